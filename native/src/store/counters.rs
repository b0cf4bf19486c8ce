//! What the threads of the store count, for whoever shows it. Written by them alone, read by shards
//! at any time: plain atomic numbers that order nothing.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The numbers of the store so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    appended_bytes: AtomicU64,
    commits: AtomicU64,
    syncs: AtomicU64,
    segments: AtomicU64,
    folds: AtomicU64,
    fold_micros: AtomicU64,
    reserve_bytes: AtomicU64,
}

/// The numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreNumbers {
    /// Bytes of records appended to the journal.
    pub(crate) appended_bytes: u64,
    /// Commits, each of all that waited.
    pub(crate) commits: u64,
    /// Times that the disk was asked to make a file or its name durable.
    pub(crate) syncs: u64,
    /// Segments: closed ones, the one in use, and those that stand ready.
    pub(crate) segments: u64,
    /// Times that closed segments were folded.
    pub(crate) folds: u64,
    /// The time that took.
    pub(crate) folding: Duration,
    /// Bytes that are kept free for folding on a full disk.
    pub(crate) reserve_bytes: u64,
}

impl Counters {
    pub(super) fn appended(&self, bytes: u64) {
        self.appended_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Relaxed);
    }

    pub(super) fn synced(&self) {
        self.syncs.fetch_add(1, Relaxed);
    }

    /// A file has this name now.
    pub(super) fn named(&self, name: &str) {
        if is_segment(name) {
            self.segments.fetch_add(1, Relaxed);
        }
    }

    /// There is no file of this name any more.
    pub(super) fn removed(&self, name: &str) {
        if is_segment(name) {
            self.segments.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn folded(&self, took: Duration) {
        self.folds.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.fold_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn reserved(&self, bytes: u64) {
        self.reserve_bytes.store(bytes, Relaxed);
    }

    /// The numbers now.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        StoreNumbers {
            appended_bytes: self.appended_bytes.load(Relaxed),
            commits: self.commits.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            segments: self.segments.load(Relaxed),
            folds: self.folds.load(Relaxed),
            folding: Duration::from_micros(self.fold_micros.load(Relaxed)),
            reserve_bytes: self.reserve_bytes.load(Relaxed),
        }
    }
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".seg")
}
