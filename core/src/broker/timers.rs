//! The one timer map of an engine. Entries are exact; who arms a timer knows when it is due and so
//! can take it back.

use crate::session::SessionKey;
use crate::state::{RestoreError, Sink, Source, State, state};
use crate::time::Instant;
use std::collections::BTreeSet;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A time-out of the connection in this slot: CONNECT, Keep Alive or unfinished packet.
    Connection(u32),
    /// A Session Expiry Interval.
    SessionExpiry(SessionKey),
    /// A Will Delay Interval.
    Will(SessionKey),
    /// The first retained message that expires.
    Retained,
    /// `$SYS`.
    Sys,
    /// Exchange of counters with other shards.
    Clock,
    /// The count of memory is to be set right.
    Memory,
}

/// All timers, in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, TimerKey)>,
}

state!(Timers { due });

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, key: TimerKey) {
        self.due.insert((at, key));
    }

    pub(crate) fn disarm(&mut self, at: Instant, key: TimerKey) {
        self.due.remove(&(at, key));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerKey> {
        let first = *self.due.first()?;
        if first.0 > now {
            return None;
        }
        self.due.remove(&first);
        Some(first.1)
    }

    pub(crate) fn footprint(&self) -> u64 {
        32 * self.due.len() as u64
    }
}

impl State for TimerKey {
    fn save(&self, to: &mut dyn Sink) {
        match self {
            Self::Connection(slot) => {
                0u8.save(to);
                slot.save(to);
            }
            Self::SessionExpiry(key) => {
                1u8.save(to);
                key.save(to);
            }
            Self::Will(key) => {
                2u8.save(to);
                key.save(to);
            }
            Self::Retained => 3u8.save(to),
            Self::Sys => 4u8.save(to),
            Self::Clock => 5u8.save(to),
            Self::Memory => 9u8.save(to),
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(match u8::load(from)? {
            0 => Self::Connection(State::load(from)?),
            1 => Self::SessionExpiry(State::load(from)?),
            2 => Self::Will(State::load(from)?),
            3 => Self::Retained,
            4 => Self::Sys,
            5 => Self::Clock,
            9 => Self::Memory,
            _ => return Err(from.error("timer")),
        })
    }
}
