//! What one shard has counted, as it answers who asks: the engine's numbers and the driver's own.
//! Plain numbers, written by their shard alone; the sum over shards is made by the reader.

use super::Histogram;
use halyard_core::engine::Stats;
use halyard_core::journal::Lsn;
use halyard_core::time::Instant;
use std::collections::BTreeMap;
use std::collections::VecDeque;

/// What a shard's driver counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriverStats {
    /// Time of a turn in which something came, from what was read to what it led to.
    pub(crate) handle: Histogram,
    /// Time of a turn in which something went, to write it to the sockets.
    pub(crate) flush: Histogram,
    /// Time from handing records to the store until they were durable.
    pub(crate) commit: Histogram,
    /// Bytes of records handed to the store.
    pub(crate) stored_bytes: u64,
    /// Batches of records handed to the store.
    pub(crate) stored_batches: u64,
    /// Batches that are not durable yet.
    waiting: VecDeque<Waiting>,
    /// When the last of what was handed over became durable.
    last_commit: Option<Instant>,
    /// Whether the disk of the store is full.
    pub(crate) store_full: bool,
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// Times that accepting rested: no file was free, or `max_connect_rate` was reached.
    pub(crate) accept_rests: u64,
    /// By listener of the configuration.
    pub(crate) listeners: Vec<ListenerStats>,
}

/// A batch of records that is not durable yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Its last record.
    lsn: Lsn,
    bytes: u64,
    /// When it was handed over.
    since: Instant,
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

    /// A batch was handed to the store.
    pub(crate) fn handed_over(&mut self, lsn: Lsn, bytes: usize, now: Instant) {
        self.stored_batches += 1;
        self.stored_bytes += bytes as u64;
        self.waiting.push_back(Waiting { lsn, bytes: bytes as u64, since: now });
    }

    /// Everything up to this record is durable.
    pub(crate) fn durable(&mut self, lsn: Lsn, now: Instant) {
        while let Some(batch) = self.waiting.front() {
            if batch.lsn > lsn {
                break;
            }
            self.commit.record(now.0.saturating_sub(batch.since.0));
            self.last_commit = Some(now);
            self.waiting.pop_front();
        }
    }

    /// Batches that are not durable yet.
    pub(crate) fn batches_waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Their bytes.
    pub(crate) fn bytes_waiting(&self) -> u64 {
        self.waiting.iter().map(|batch| batch.bytes).sum()
    }

    /// Microseconds since records last became durable; 0 before the first time.
    pub(crate) fn since_commit(&self, now: Instant) -> u64 {
        self.last_commit.map_or(0, |at| now.0.saturating_sub(at.0))
    }

    fn add(&mut self, other: &Self) {
        self.last_commit = self.last_commit.max(other.last_commit);
        self.stored_bytes += other.stored_bytes;
        self.stored_batches += other.stored_batches;
        self.waiting.extend(&other.waiting);
        self.store_full |= other.store_full;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_as_long_as_its_batch_waited() {
        let mut driver = DriverStats::new(0);
        for (lsn, at) in [(3, 100), (5, 200), (9, 300)] {
            driver.handed_over(Lsn(lsn), 10, Instant(at));
        }
        driver.durable(Lsn(2), Instant(350));
        assert_eq!((driver.commit.count(), driver.batches_waiting()), (0, 3));
        driver.durable(Lsn(5), Instant(1_100));
        assert_eq!((driver.commit.count(), driver.batches_waiting()), (2, 1));
        assert_eq!((driver.bytes_waiting(), driver.since_commit(Instant(1_500))), (10, 400));
        assert_eq!((driver.commit.sum().as_str(), driver.stored_bytes), ("0.0019", 30));
    }
}
