//! `memory_limit`: what the engine holds for clients, by formulae of lengths, and what it stops doing
//! as that comes near the limit. The count in hand is never below the truth: it grows with whatever
//! is taken in and is set right by a walk over everything, at most once for each thirty-second part
//! of the limit or each second. What goes first, and later, is the order of [`Pressure`]; a QoS 1 or
//! 2 message that was acknowledged is never touched.

use super::deliver::purge_expired;
use super::{Broker, Outlet, TimerKey, Violation};
use crate::map::set;
use crate::packet::{Ack, Packet, PacketId, Publish, QoS, ReasonCode};
use crate::session::SessionKey;
use crate::state::state;
use crate::time::Instant;

/// The count is set right when it has grown by this part of the limit.
const AUDIT_PARTS: u64 = 32;
/// And again after so long, while there is pressure: what is freed is not counted at once.
const AUDIT_SECS: u64 = 1;
/// What an open connection takes, a Session, a subscription with its place in the tree, and a
/// message that waits for one Session.
const CONNECTION: u64 = 256;
const SESSION: u64 = 512;
const SUBSCRIPTION: u64 = 192;
const DELIVERY: u64 = 96;

/// How near the limit is. Each step adds to what is no longer done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Below 70 % of the limit.
    #[default]
    None,
    /// From 70 %: QoS 0 waits for nobody any more.
    AtMostOnce,
    /// From 80 %: no new retained message and no new subscription (0x97).
    Growth,
    /// From 85 %: connections whose client does not read are closed (0x97), if no QoS 1 or 2
    /// message is lost by it.
    SlowReaders,
    /// From 90 %: no new Session (CONNACK 0x97); who has one may come for his messages. 3.x
    /// publishers, which cannot be refused a message, are not read.
    Sessions,
    /// From 95 %: no new QoS 1 or 2 message (PUBACK, PUBREC 0x97; 3.x: closed unacknowledged).
    Messages,
}

/// The count.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    /// Never below what is held.
    bound: u64,
    /// What the last walk found.
    audited: u64,
    due: Option<Instant>,
}

state!(Memory { bound, audited, due });

impl Default for Memory {
    /// Nothing is known yet, perhaps after a recovery: the first turn counts.
    fn default() -> Self {
        Self { bound: u64::MAX, audited: 0, due: None }
    }
}

impl Memory {
    #[inline]
    fn add(&mut self, bytes: u64) {
        self.bound = self.bound.saturating_add(bytes);
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self) {
        self.add(CONNECTION);
    }

    /// The start of a packet is kept until the rest has come, or output that nobody takes.
    #[inline]
    pub(crate) fn kept(&mut self, bytes: u64) {
        self.add(bytes);
    }

    /// A Session was made or its Will replaced, by a CONNECT of about so many bytes.
    pub(super) fn connected(&mut self, bytes: u64) {
        self.add(SESSION + bytes);
    }

    /// A subscription was added.
    pub(super) fn subscribed(&mut self, filter: &str) {
        self.add(SUBSCRIPTION + 2 * filter.len() as u64);
    }

    /// A message was stored, once.
    #[inline]
    pub(super) fn stored(&mut self, weight: u64) {
        self.add(weight);
    }

    /// A stored message goes to one Session.
    #[inline]
    pub(super) fn delivery(&mut self) {
        self.add(DELIVERY);
    }

    fn pressure(&self, limit: u64) -> Pressure {
        if limit == 0 || self.bound < limit / 10 * 7 {
            return Pressure::None;
        }
        match u128::from(self.bound) * 100 / u128::from(limit) {
            0..70 => Pressure::None,
            70..80 => Pressure::AtMostOnce,
            80..85 => Pressure::Growth,
            85..90 => Pressure::SlowReaders,
            90..95 => Pressure::Sessions,
            _ => Pressure::Messages,
        }
    }
}

impl Broker {
    /// This shard's part of `memory_limit`; 0 = no limit.
    fn memory_limit(&self) -> u64 {
        self.config.broker.memory_limit / u64::from(self.config.shards.max(1))
    }

    /// How near the limit is.
    #[inline]
    pub(crate) fn pressure(&self) -> Pressure {
        self.memory.pressure(self.memory_limit())
    }

    /// Whether the count is to be set right by [`Self::audited`].
    pub(crate) fn wants_audit(&self, now: Instant) -> bool {
        let limit = self.memory_limit();
        let Memory { bound, audited, due } = self.memory;
        let grown = bound.saturating_sub(audited) >= limit / AUDIT_PARTS;
        self.pressure() > Pressure::None && (grown || due.is_some_and(|due| due <= now))
    }

    /// What expired makes room before anything is given up.
    pub(crate) fn purge_for_memory(&mut self, now: Instant) {
        for (_, session) in self.sessions.iter_mut() {
            if session.messages().any(|message| message.is_expired(now)) {
                self.stats.drops.expired += purge_expired(now, session, &mut self.durable);
            }
        }
    }

    /// A walk over everything found this much; publishers are read again if that is little enough.
    pub(crate) fn audited(&mut self, now: Instant, bytes: u64, outlet: &mut impl Outlet) {
        self.memory.audited = bytes;
        self.memory.bound = bytes;
        self.stats.memory_accounted = bytes;
        if let Some(at) = self.memory.due.take() {
            self.timers.disarm(at, TimerKey::Memory);
        }
        if self.pressure() > Pressure::None {
            let due = now.plus_secs(AUDIT_SECS);
            self.memory.due = Some(due);
            self.timers.arm(due, TimerKey::Memory);
        }
        self.release_held(outlet);
    }

    /// Bytes of the messages that Sessions hold, each counted once.
    pub(super) fn bodies(&self) -> u64 {
        let mut seen = set(self.seed);
        let messages = self.sessions.iter().flat_map(|(_, session)| session.messages());
        messages.filter(|message| seen.insert(message.number)).map(|message| message.weight()).sum()
    }

    /// Whether QoS 1 and 2 of 3.x clients is not read, because it could not be refused.
    pub(super) fn holds_for_memory(&self, key: SessionKey) -> bool {
        self.pressure() >= Pressure::Sessions
            && self.session(key).is_some_and(|session| !session.version.is_v5())
    }

    /// Refuses a QoS 1 or 2 message for want of memory, before anything is promised; `false` if
    /// there is no want, or the message is one that was taken before.
    pub(super) fn refuse_for_memory(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        id: PacketId,
        outlet: &mut impl Outlet,
    ) -> Result<bool, Violation> {
        if self.pressure() < Pressure::Messages {
            return Ok(false);
        }
        let Some(session) = self.session(key) else { return Ok(false) };
        if publish.qos == QoS::ExactlyOnce && session.incoming.holds(id) {
            return Ok(false);
        }
        let v5 = session.version.is_v5();
        self.stats.drops.memory += 1;
        if !v5 {
            return Err(Violation::new(
                ReasonCode::QuotaExceeded,
                "memory_limit is reached and 3.x has no word for it: not acknowledged",
            ));
        }
        if let Some(slot) = self.connection_of(key) {
            let ack = Ack::new(id, ReasonCode::QuotaExceeded);
            let packet = match publish.qos {
                QoS::ExactlyOnce => Packet::Pubrec(ack),
                _ => Packet::Puback(ack),
            };
            outlet.send(slot, &packet);
        }
        Ok(true)
    }

    /// Whether nothing that was acknowledged is lost if the connection of this Session is closed.
    pub(crate) fn survives_closing(&self, key: SessionKey) -> bool {
        self.session(key).is_none_or(|session| {
            session.expiry_interval > 0 || session.messages().all(|one| one.qos == QoS::AtMostOnce)
        })
    }
}
