//! A Session (MQTT 5.0 §4.1): what the broker remembers of a client, connected or not. Knows no
//! connection and no codec; it remembers, and the broker decides.

mod incoming;
mod inflight;
mod queue;
mod subscription;

pub(crate) use incoming::{Arrival, Incoming};
pub(crate) use inflight::{AckOutcome, InFlight, InFlightState, Outgoing};
pub(crate) use queue::{Delivery, Queue, QueueLimits};
pub(crate) use subscription::{RetainedCursor, Subscription};

use crate::access::{Cache, Claims};
use crate::message::Message;
use crate::packet::Version;
use crate::state::{RestoreError, Sink, Source, State, state};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Session within its engine: slot and generation, so that a stale key finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

state!(SessionKey { slot, generation });

/// `u32::MAX` as a Session Expiry Interval: the Session does not expire (§3.1.2.11.2).
pub(crate) const NEVER: u32 = u32::MAX;

/// Time without a drop that ends an episode of drops, so that a log has one line for it.
const DROPS_APART_SECS: u64 = 60;

/// The connection that a Session is attached to, as far as the broker needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Slot of the connection in the engine.
    pub(crate) slot: u32,
    /// Maximum Packet Size of the client; `u32::MAX` = no limit.
    pub(crate) maximum_packet_size: u32,
    /// How many QoS 1 and 2 PUBLISH may be unacknowledged: the client's Receive Maximum, and ours.
    pub(crate) receive_maximum: u16,
    /// Request Problem Information.
    pub(crate) problem_information: bool,
}

state!(Attached { slot, maximum_packet_size, receive_maximum, problem_information });

/// A Will Message that waits for its connection to end, or for its delay.
#[derive(Clone, Debug)]
pub(crate) struct PendingWill {
    pub(crate) message: Message,
    pub(crate) delay_secs: u32,
}

state!(PendingWill { message, delay_secs });

/// What a Session has to do with records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Its number in the journal; 0 = it does not outlive the process.
    pub(crate) number: u64,
    /// The number under which its Will alone does.
    pub(crate) will: u64,
    /// Whether it outlived the process when it began: so its subscriptions count for other shards.
    pub(crate) kept: bool,
    /// The last batch that says something about it.
    pub(crate) lsn: u64,
}

state!(Recorded { number, will, kept, lsn });

/// A Session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) client_id: Arc<str>,
    pub(crate) username: Option<Box<str>>,
    /// Whether it belongs to this user, who proved his name (`clientid_owner`).
    pub(crate) is_owned: bool,
    /// Rights that its token brought, in place of those of the listener.
    pub(crate) claims: Option<Claims>,
    /// Version of the present or last connection.
    pub(crate) version: Version,
    /// Listener of the present or last connection: its index, and what it is found by elsewhere.
    pub(crate) listener: u16,
    pub(crate) listener_name: Arc<str>,
    /// Prefix of every topic of this client (`mount_point`).
    pub(crate) mount: Option<Arc<str>>,
    /// Session Expiry Interval, seconds; [`NEVER`] = does not expire.
    pub(crate) expiry_interval: u32,
    /// When it expires; set while no connection is attached and the interval is finite.
    pub(crate) expires: Option<Instant>,
    /// When the Will is published; set while it is delayed.
    pub(crate) will_due: Option<Instant>,
    pub(crate) attached: Option<Attached>,
    pub(crate) will: Option<Box<PendingWill>>,
    /// By Topic Filter, with `$share/…` and mount point as subscribed.
    pub(crate) subscriptions: BTreeMap<Box<str>, Subscription>,
    /// Retained messages still to be sent for new subscriptions, by filter with mount point.
    pub(crate) replays: BTreeMap<Box<str>, RetainedCursor>,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) queue: Queue,
    /// Whether it waits for its turn to send what it holds.
    pub(crate) pending: bool,
    /// What it has to do with records.
    pub(crate) recorded: Recorded,
    /// When a message was last dropped for it, for want of room or because its client is slow.
    pub(crate) last_drop: Option<Instant>,
    /// Scratch of the fan-out: the publish that last matched it, and where it stands in the list.
    pub(crate) mark: (u64, u32),
    /// What the client was allowed of late.
    pub(crate) access: Cache,
}

impl State for Session {
    fn save(&self, to: &mut dyn Sink) {
        self.generation.save(to);
        self.client_id.save(to);
        self.username.save(to);
        self.is_owned.save(to);
        self.claims.save(to);
        self.version.save(to);
        self.listener.save(to);
        self.listener_name.save(to);
        self.mount.save(to);
        self.expiry_interval.save(to);
        self.expires.save(to);
        self.will_due.save(to);
        self.attached.save(to);
        self.will.save(to);
        self.subscriptions.save(to);
        self.replays.save(to);
        self.incoming.save(to);
        self.outgoing.save(to);
        self.queue.save(to);
        self.pending.save(to);
        self.recorded.save(to);
        self.last_drop.save(to);
        self.access.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(Self {
            generation: State::load(from)?,
            client_id: State::load(from)?,
            username: State::load(from)?,
            is_owned: State::load(from)?,
            claims: State::load(from)?,
            version: State::load(from)?,
            listener: State::load(from)?,
            listener_name: State::load(from)?,
            mount: State::load(from)?,
            expiry_interval: State::load(from)?,
            expires: State::load(from)?,
            will_due: State::load(from)?,
            attached: State::load(from)?,
            will: State::load(from)?,
            subscriptions: State::load(from)?,
            replays: State::load(from)?,
            incoming: State::load(from)?,
            outgoing: State::load(from)?,
            queue: State::load(from)?,
            pending: State::load(from)?,
            recorded: State::load(from)?,
            last_drop: State::load(from)?,
            mark: (0, 0),
            access: State::load(from)?,
        })
    }
}

impl Session {
    pub(crate) fn new(generation: u32, client_id: Arc<str>, version: Version) -> Self {
        Self {
            generation,
            client_id,
            username: None,
            is_owned: false,
            claims: None,
            version,
            listener: 0,
            listener_name: "".into(),
            mount: None,
            expiry_interval: 0,
            expires: None,
            will_due: None,
            attached: None,
            will: None,
            subscriptions: BTreeMap::new(),
            replays: BTreeMap::new(),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            queue: Queue::default(),
            pending: false,
            recorded: Recorded::default(),
            last_drop: None,
            mark: (0, 0),
            access: Cache::default(),
        }
    }

    /// Whether something waits to be sent to the client.
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.outgoing.has_unsent() || !self.replays.is_empty()
    }

    /// Notes that a message was dropped for it; whether that begins an episode: nothing was for
    /// [`DROPS_APART_SECS`].
    pub(crate) fn begins_to_drop(&mut self, now: Instant) -> bool {
        let last = self.last_drop.replace(now);
        last.is_none_or(|last| now >= last.plus_secs(DROPS_APART_SECS))
    }

    /// The messages that it holds.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.outgoing.messages().chain(self.queue.messages())
    }

    /// Bytes of these messages, shared or not.
    pub(crate) const fn body_bytes(&self) -> u64 {
        self.outgoing.bytes() + self.queue.bytes()
    }

    /// Bytes it holds, by a formula of lengths: the same on every machine.
    pub(crate) fn footprint(&self) -> u64 {
        let subscriptions: u64 =
            self.subscriptions.keys().map(|filter| 64 + filter.len() as u64).sum();
        let will = self.will.as_ref().map_or(0, |will| 96 + will.message.weight());
        let name = self.username.as_ref().map_or(0, |name| name.len() as u64);
        256 + self.client_id.len() as u64
            + name
            + self.claims.as_ref().map_or(0, Claims::footprint)
            + self.access.footprint()
            + subscriptions
            + will
            + self.queue.footprint()
            + self.outgoing.footprint()
            + self.incoming.footprint()
            + self.replays.iter().map(|(filter, cursor)| cursor.footprint(filter)).sum::<u64>()
    }
}
