//! The connections of a shard by slot, and the deadlines that the driver keeps for them (HTTP
//! requests and closing sockets; MQTT's own are the engine's).

use super::conn::Conn;
use super::conn::NO_DEADLINE;
use crate::auth::scram;
use halyard_core::engine::ConnectionId;
use halyard_core::time::Instant;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Slots of connections. A number in a [`ConnectionId`] finds its slot; it is never given twice.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Conn>>>,
    free: Vec<u32>,
    serial: u32,
    deadlines: BTreeSet<(Instant, u32)>,
    /// Exchanges of authentication that are under way: rare, so they stand apart.
    exchanges: BTreeMap<ConnectionId, Box<scram::Server>>,
    /// Connections taken out whose sockets are still to be closed: thousands that end at once make
    /// nobody else wait for the system.
    #[expect(clippy::vec_box, reason = "it moves a pointer from its slot, not a connection")]
    to_close: Vec<Box<Conn>>,
}

/// Sockets that one turn closes.
const CLOSED_PER_TURN: usize = 64;

impl Table {
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts in the connection that `make` builds for its number and slot.
    pub(super) fn insert(&mut self, make: impl FnOnce(ConnectionId, u32) -> Conn) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.serial = self.serial.wrapping_add(1);
        let id = ConnectionId(u64::from(self.serial) << 32 | u64::from(slot));
        self.slots[slot as usize] = Some(Box::new(make(id, slot)));
        id
    }

    pub(super) fn at(&mut self, slot: u32) -> Option<&mut Conn> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Conn> {
        self.at(slot_of(id)).filter(|conn| conn.id == id)
    }

    /// Takes a connection out; its socket is closed by [`Self::close_some`].
    pub(super) fn remove(&mut self, id: ConnectionId) {
        if self.get(id).is_none() {
            return;
        }
        self.set_deadline(id, None);
        self.exchanges.remove(&id);
        self.free.push(slot_of(id));
        self.to_close.extend(self.slots[slot_of(id) as usize].take());
    }

    /// Closes sockets of connections that were taken out, a bounded number; `false` if some are left.
    pub(super) fn close_some(&mut self) -> bool {
        let left = self.to_close.len().saturating_sub(CLOSED_PER_TURN);
        self.to_close.truncate(left);
        left == 0
    }

    /// The listener of each.
    pub(super) fn listeners(&self) -> impl Iterator<Item = u16> {
        self.slots.iter().flatten().map(|conn| conn.listener)
    }

    /// All of them.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.slots.iter().flatten().map(|conn| conn.id).collect()
    }

    pub(super) fn set_deadline(&mut self, id: ConnectionId, at: Option<Instant>) {
        let Some(conn) = self.get(id) else { return };
        let before = std::mem::replace(&mut conn.deadline, at.unwrap_or(NO_DEADLINE));
        if before != NO_DEADLINE {
            self.deadlines.remove(&(before, slot_of(id)));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, slot_of(id)));
        }
    }

    /// Keeps an exchange of authentication for as long as its connection is open.
    pub(super) fn set_exchange(&mut self, id: ConnectionId, exchange: Option<Box<scram::Server>>) {
        if let Some(exchange) = exchange.filter(|_| self.get(id).is_some()) {
            self.exchanges.insert(id, exchange);
        } else {
            self.exchanges.remove(&id);
        }
    }

    pub(super) fn take_exchange(&mut self, id: ConnectionId) -> Option<Box<scram::Server>> {
        self.exchanges.remove(&id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The next connection whose deadline has passed; its deadline is gone.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<ConnectionId> {
        let (at, slot) = *self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.deadlines.pop_first();
        let conn = self.at(slot)?;
        conn.deadline = NO_DEADLINE;
        Some(conn.id)
    }
}

/// The slot that a connection's number names.
pub(super) const fn slot_of(id: ConnectionId) -> u32 {
    (id.0 & 0xFFFF_FFFF) as u32
}
