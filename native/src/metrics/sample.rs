//! What one shard has counted, as it answers who asks: the engine's numbers and the driver's own.
//! Plain numbers, written by their shard alone; the sum over shards is made by the reader.

use super::Histogram;
use halyard_core::engine::Stats;
use std::collections::BTreeMap;

/// What a shard's driver counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriverStats {
    /// Time of a turn in which something came, from what was read to what it led to.
    pub(crate) handle: Histogram,
    /// Time of a turn in which something went, to write it to the sockets.
    pub(crate) flush: Histogram,
    /// Time from handing records to the store until they were durable.
    pub(crate) commit: Histogram,
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// Times that accepting rested: no file was free, or `max_connect_rate` was reached.
    pub(crate) accept_rests: u64,
    /// By listener of the configuration.
    pub(crate) listeners: Vec<ListenerStats>,
}

/// What is counted for one listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenerStats {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Connections open now.
    pub(crate) open: u64,
    /// Bytes read from its sockets.
    pub(crate) received_bytes: u64,
    /// Bytes written to its sockets, or kept for them.
    pub(crate) sent_bytes: u64,
    /// Connections denied, by the option that denied them.
    pub(crate) denied: BTreeMap<&'static str, u64>,
}

/// The numbers of a shard at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) stats: Stats,
    pub(crate) driver: DriverStats,
    /// Open sockets, HTTP included.
    pub(crate) sockets: u64,
}

impl DriverStats {
    pub(crate) fn new(listeners: usize) -> Self {
        Self { listeners: vec![ListenerStats::default(); listeners], ..Self::default() }
    }

    /// The numbers of this listener.
    pub(crate) fn listener(&mut self, index: u16) -> &mut ListenerStats {
        let index = usize::from(index);
        if index >= self.listeners.len() {
            self.listeners.resize_with(index + 1, ListenerStats::default);
        }
        &mut self.listeners[index]
    }

    fn add(&mut self, other: &Self) {
        self.handle.add(&other.handle);
        self.flush.add(&other.flush);
        self.commit.add(&other.commit);
        self.turns += other.turns;
        self.accept_rests += other.accept_rests;
        for (index, more) in (0..).zip(&other.listeners) {
            self.listener(index).add(more);
        }
    }
}

impl ListenerStats {
    /// A connection was denied by this option.
    pub(crate) fn deny(&mut self, option: &'static str) {
        *self.denied.entry(option).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.open += other.open;
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        for (option, count) in &other.denied {
            *self.denied.entry(option).or_default() += count;
        }
    }
}

impl Sample {
    /// Adds the numbers of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        self.stats.join(&other.stats);
        self.driver.add(&other.driver);
        self.sockets += other.sockets;
    }
}
