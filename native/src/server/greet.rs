//! Connections before their first byte of MQTT or HTTP: those whose PROXY header or TLS handshake is
//! under way. They are served in turn with a share of each turn of the loop, so that no storm of
//! handshakes holds up who is connected; over the cap the oldest gives way, for an honest client is
//! done long before. Knows nothing of what comes after.

use super::conn::Conn;
use super::table::Table;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::Peer;
use halyard_core::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// Microseconds of one turn after which no further handshake is begun in it.
pub(super) const HANDSHAKE_MICROS: u64 = 1000;

/// What is known of a connection before it speaks MQTT or HTTP.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) peer: Peer,
    /// When it was accepted: the one time-out runs from there.
    pub(super) accepted: Instant,
    /// Who its certificate says it is.
    pub(super) identity: Option<Arc<str>>,
    /// What has come of the header or request that is under way.
    pub(super) received: Vec<u8>,
    /// Its place among those that are greeted.
    pub(super) greeting: Option<Greeting>,
}

/// A place among the connections that are greeted; given back when dropped.
#[derive(Debug)]
pub(super) struct Greeting(Arc<AtomicU32>);

impl Drop for Greeting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The greeted connections of a shard.
#[derive(Debug, Default)]
pub(super) struct Greeters {
    open: Arc<AtomicU32>,
    /// All of them, oldest first, among some that are done.
    order: VecDeque<ConnectionId>,
    /// Those that something has come for.
    ready: VecDeque<ConnectionId>,
}

impl Greeters {
    /// A place for one more.
    pub(super) fn place(&self) -> Greeting {
        self.open.fetch_add(1, Ordering::Relaxed);
        Greeting(Arc::clone(&self.open))
    }

    /// Notes a new one, behind all others.
    pub(super) fn enter(&mut self, id: ConnectionId, table: &mut Table) {
        self.order.push_back(id);
        // Those that are done stay until they are met; so that they do not heap up behind one that
        // never is:
        if self.order.len() > 64 + 2 * self.open.load(Ordering::Relaxed) as usize {
            self.order.retain(|id| table.get(*id).is_some_and(|conn| conn.is_greeted()));
        }
    }

    /// The oldest, if there are more than `limit` (0 = no limit).
    pub(super) fn over(&mut self, limit: u32, table: &mut Table) -> Option<ConnectionId> {
        if limit == 0 || self.open.load(Ordering::Relaxed) <= limit {
            return None;
        }
        while let Some(id) = self.order.pop_front() {
            if table.get(id).is_some_and(|conn| conn.is_greeted()) {
                return Some(id);
            }
        }
        None
    }

    /// Something came for this one.
    pub(super) fn push(&mut self, conn: &mut Conn) {
        if !conn.queued {
            conn.queued = true;
            self.ready.push_back(conn.id);
        }
    }

    /// The next that something came for.
    pub(super) fn pop(&mut self) -> Option<ConnectionId> {
        self.ready.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }
}
