//! The one commit thread: takes what all shards have handed over, appends it, syncs once for all of
//! them, and says to each up to where it is durable. The sync under way is the batching window;
//! there is no artificial delay. After a failed write or sync it says nothing more and ends.

use super::compact::Order;
use super::counters::Counters;
use crate::clock::Clock;
use halyard_core::conf::SyncMode;
use halyard_core::journal::Batch;
use halyard_core::journal::Disk;
use halyard_core::journal::DiskError;
use halyard_core::journal::Folded;
use halyard_core::journal::Lsn;
use halyard_core::journal::Room;
use halyard_core::journal::Writer;
use halyard_core::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;

/// Closed segments that are folded however small they are: each start leaves one, and the next ones
/// read them all.
const CLOSED_MOST: usize = 16;

/// How often a full disk is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often what was written on a full disk is folded: acknowledgements make room.
const FOLD_AGAIN: Duration = Duration::from_secs(5);

/// What the thread tells the rest of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A shard's records up to this one are durable.
    Durable { shard: u16, lsn: Lsn },
    /// Whether the disk has room.
    Room(Room),
    /// All is durable and the thread ends: how often it committed, how many batches and bytes.
    Ended { commits: u64, batches: u64, bytes: u64 },
    /// The disk failed: the process must end, and acknowledge nothing more.
    Failed(String),
}

/// What goes to the thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    batches: VecDeque<(u16, Batch)>,
    stop: bool,
    /// Somebody asks for a fold.
    fold: bool,
    /// What came of the fold under way.
    folded: Option<Result<Option<Folded>, String>>,
    asleep: bool,
}

/// What the thread finds when it looks.
struct Found {
    stop: bool,
    fold: bool,
    folded: Option<Result<Option<Folded>, String>>,
}

impl Queue {
    /// Hands over records of a shard.
    pub(super) fn put(&self, shard: u16, batch: Batch) {
        let mut inner = self.lock();
        inner.batches.push_back((shard, batch));
        self.call(inner);
    }

    /// The thread ends once all is durable.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.stop = true;
        self.call(inner);
    }

    /// All that is closed, and what is in use so far, is folded.
    pub(super) fn fold(&self) {
        let mut inner = self.lock();
        inner.fold = true;
        self.call(inner);
    }

    /// A fold is over: done, given up for now, or failed.
    pub(super) fn folded(&self, outcome: Result<Option<Folded>, String>) {
        let mut inner = self.lock();
        inner.folded = Some(outcome);
        self.call(inner);
    }

    /// Whether nothing that takes time should be done any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stop
    }

    fn call(&self, mut inner: MutexGuard<'_, Inner>) {
        if std::mem::take(&mut inner.asleep) {
            drop(inner);
            self.called.notify_one();
        }
    }

    /// Waits for something to do, at most so long. Moves batches to `into`.
    fn wait(&self, into: &mut VecDeque<(u16, Batch)>, at_most: Option<Duration>) -> Found {
        let mut inner = self.lock();
        let called = |inner: &Inner| {
            !inner.batches.is_empty() || inner.stop || inner.fold || inner.folded.is_some()
        };
        if !called(&inner) {
            inner.asleep = true;
            let idle = |inner: &mut Inner| !called(inner);
            inner = match at_most {
                None => self.called.wait_while(inner, idle).unwrap_or_else(PoisonError::into_inner),
                Some(time) => {
                    let waited = self.called.wait_timeout_while(inner, time, idle);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            inner.asleep = false;
        }
        into.append(&mut inner.batches);
        let fold = std::mem::take(&mut inner.fold);
        Found { stop: inner.stop, fold, folded: inner.folded.take() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs on the thread.
pub(super) struct Committer<D: Disk> {
    pub(super) writer: Writer<D>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) mode: SyncMode,
    /// How long what was written may stay unsynced, in the mode `interval`.
    pub(super) interval: Duration,
    pub(super) tell: Box<dyn Fn(Note) + Send>,
    /// Not appended yet.
    pub(super) waiting: VecDeque<(u16, Batch)>,
    pub(super) room: Room,
    pub(super) clock: Clock,
    /// Since when something is written and not synced, in the mode `interval`.
    pub(super) unsynced: Option<Instant>,
    /// The way to the thread that folds.
    pub(super) jobs: mpsc::Sender<Order>,
    /// Bytes of closed segments that are worth folding.
    pub(super) fold_least: u64,
    /// Whether it has something to do.
    pub(super) folding: bool,
    /// On a full disk: from when on to fold again what has been written since.
    pub(super) fold_again: Option<(Instant, u64)>,
    /// Whether somebody asked for a fold that has not begun.
    pub(super) asked: bool,
    /// Commits, batches and bytes so far.
    pub(super) done: (u64, u64, u64),
}

impl<D: Disk> Committer<D> {
    /// Works until told to stop or the disk fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            (self.tell)(Note::Failed(error.to_string()));
            return;
        }
        let (commits, batches, bytes) = self.done;
        match self.writer.close() {
            Ok(()) => (self.tell)(Note::Ended { commits, batches, bytes }),
            Err(error) => (self.tell)(Note::Failed(error.to_string())),
        }
    }

    fn work(&mut self) -> Result<(), DiskError> {
        // The disk may have been full before anybody came.
        self.look_for_room()?;
        // Earlier lives may have left enough.
        self.fold()?;
        loop {
            let patience = self.patience();
            let found = self.queue.wait(&mut self.waiting, patience);
            self.append()?;
            self.commit()?;
            let full_before = self.room == Room::Short;
            self.look_for_room()?;
            // On a full disk what waits was promised to nobody.
            if found.stop && (self.waiting.is_empty() || self.room == Room::Short) {
                return Ok(());
            }
            if let Some(outcome) = found.folded {
                self.folding = false;
                match outcome {
                    Ok(Some(folded)) => self.writer.folded(folded),
                    Ok(None) => {}
                    Err(text) => {
                        let file = "closed segments".into();
                        return Err(DiskError::Failed { what: "fold", file, text });
                    }
                }
            }
            self.asked |= found.fold || self.is_fold_due(full_before);
            self.fold()?;
        }
    }

    /// Whether a full disk asks for a fold: it has just become full, or clients have acknowledged
    /// for a while what the store still holds.
    fn is_fold_due(&mut self, full_before: bool) -> bool {
        if self.room == Room::Ample {
            self.fold_again = None;
            return false;
        }
        let (now, written) = (self.clock.now(), self.done.2);
        let due = match self.fold_again {
            Some((due, folded)) => due <= now && folded < written,
            None => !full_before,
        };
        if due {
            self.fold_again = Some((now + FOLD_AGAIN, written));
        }
        due
    }

    /// Begins to fold, if there is enough to fold or somebody asked.
    fn fold(&mut self) -> Result<(), DiskError> {
        // A full disk has its own times: a fold that finds no room would be tried at once again.
        if self.folding || (self.room == Room::Short && !self.asked) {
            return Ok(());
        }
        let asked = std::mem::take(&mut self.asked);
        if asked {
            self.writer.turn_over()?;
        }
        let least =
            if asked || self.writer.closed().len() > CLOSED_MOST { 0 } else { self.fold_least };
        if let Some(job) = self.writer.job(least) {
            // Without the thread there is no folding; that it panicked it has said itself.
            self.folding = self.jobs.send((job, self.room == Room::Short)).is_ok();
        }
        Ok(())
    }

    /// How long there is nothing to do if nobody calls.
    fn patience(&self) -> Option<Duration> {
        let sync = match (self.mode, self.unsynced) {
            (SyncMode::Interval, Some(since)) => {
                Some((since + self.interval).since(self.clock.now()))
            }
            _ => None,
        };
        let full = self.room == Room::Short || !self.waiting.is_empty();
        sync.into_iter().chain(full.then_some(LOOK_AGAIN)).min()
    }

    /// Appends what waits, as far as there is room.
    fn append(&mut self) -> Result<(), DiskError> {
        while let Some((shard, batch)) = self.waiting.front() {
            match self.writer.append(*shard, batch.lsn, &batch.bytes) {
                Ok(()) => {}
                Err(DiskError::Full { .. }) => break,
                Err(error) => return Err(error),
            }
            self.done.1 += 1;
            self.done.2 += batch.bytes.len() as u64;
            self.counters.appended(batch.bytes.len() as u64);
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Makes what was appended as durable as the mode promises, and says so.
    fn commit(&mut self) -> Result<(), DiskError> {
        let durable = match self.mode {
            SyncMode::Always => self.writer.sync()?,
            SyncMode::Interval | SyncMode::Never => self.writer.write()?,
        };
        let any = !durable.is_empty();
        self.done.0 += u64::from(any);
        if any {
            self.counters.committed();
        }
        for (shard, lsn) in durable {
            (self.tell)(Note::Durable { shard, lsn });
        }
        if self.mode == SyncMode::Interval {
            let now = self.clock.now();
            if any {
                self.unsynced.get_or_insert(now);
            }
            if self.unsynced.is_some_and(|since| since + self.interval <= now) {
                self.writer.sync()?;
                self.unsynced = None;
            }
        }
        Ok(())
    }

    fn look_for_room(&mut self) -> Result<(), DiskError> {
        let room = match self.writer.prepare()? {
            // What waits is longer than a segment, and there is no room for that.
            Room::Ample if !self.waiting.is_empty() => Room::Short,
            room => room,
        };
        if std::mem::replace(&mut self.room, room) != room {
            (self.tell)(Note::Room(room));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halyard_core::journal::Layout;
    use halyard_core::journal::load;
    use halyard_core::sim::SimDisk;

    fn batch(lsn: u64, len: usize) -> Batch {
        Batch { lsn: Lsn(lsn), bytes: vec![7; len] }
    }

    /// Commits what `fill` hands over, on this thread, and gives all that was told.
    fn commit(disk: SimDisk, mode: SyncMode, fill: impl FnOnce(&Queue)) -> Vec<Note> {
        let layout = Layout { segment: 4096, ready: 2, seed: 1, epoch: 1 };
        let writer = Writer::open(disk, &Default::default(), layout).expect("it works so far");
        let queue = Arc::new(Queue::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let (jobs, _) = mpsc::channel();
        let committer = Committer {
            writer,
            queue: Arc::clone(&queue),
            counters: Arc::default(),
            mode,
            interval: Duration::from_secs(1),
            tell: Box::new(move |note| sink.lock().expect("nobody panics").push(note)),
            waiting: VecDeque::new(),
            room: Room::Ample,
            clock: Clock::start(),
            unsynced: None,
            jobs,
            fold_least: 64 << 20,
            folding: false,
            fold_again: None,
            asked: false,
            done: (0, 0, 0),
        };
        fill(&queue);
        queue.stop();
        committer.run();
        let told = told.lock().expect("nobody panics");
        told.clone()
    }

    #[test]
    fn what_waits_becomes_durable_together_and_each_shard_hears_of_its_last() {
        for mode in [SyncMode::Always, SyncMode::Interval, SyncMode::Never] {
            let told = commit(SimDisk::new(), mode, |queue| {
                queue.put(0, batch(1, 20));
                queue.put(2, batch(5, 20));
                queue.put(0, batch(2, 20));
            });
            let ended = Note::Ended { commits: 1, batches: 3, bytes: 60 };
            let expected = [
                Note::Durable { shard: 0, lsn: Lsn(2) },
                Note::Durable { shard: 2, lsn: Lsn(5) },
                ended,
            ];
            assert_eq!(told, expected, "{mode:?}");
        }
    }

    #[test]
    fn after_a_failure_nothing_is_called_durable_any_more() {
        let mut fresh = SimDisk::new();
        let layout = Layout { segment: 4096, ready: 2, seed: 1, epoch: 1 };
        let (found, _) = load::<_, ()>(&mut fresh, &mut |_, _| ()).expect("an empty disk");
        let mut opened = Writer::open(fresh, &found, layout).expect("an empty disk");
        let operations = opened.disk().operations();
        // The write fails, or the sync behind it.
        for more in [0, 1] {
            let mut disk = SimDisk::new();
            disk.fail_from(operations + more);
            let told = commit(disk, SyncMode::Always, |queue| queue.put(0, batch(1, 20)));
            let [Note::Failed(text)] = &told[..] else { panic!("{told:?}") };
            assert!(text.contains("0000000001.seg") && text.contains("simulated"), "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_told_and_what_finds_no_room_is_not_called_durable() {
        let mut disk = SimDisk::new();
        disk.set_capacity(Some(3 * 4096));
        let told = commit(disk, SyncMode::Always, |queue| {
            for lsn in 1..=10 {
                queue.put(0, batch(lsn, 2000));
            }
        });
        assert!(told.contains(&Note::Room(Room::Short)), "{told:?}");
        let last = told.iter().filter_map(|note| match note {
            Note::Durable { lsn, .. } => Some(lsn.0),
            _ => None,
        });
        // One fits into each segment but for its reserve.
        assert!(last.max().is_some_and(|last| (3..10).contains(&last)), "{told:?}");
    }

    #[test]
    fn a_batch_that_the_disk_has_no_room_for_though_it_has_for_segments_is_a_full_disk_too() {
        let mut disk = SimDisk::new();
        disk.set_capacity(Some(4 * 4096));
        let told = commit(disk, SyncMode::Always, |queue| {
            queue.put(0, batch(1, 20));
            queue.put(0, batch(2, 50_000));
        });
        let ended = Note::Ended { commits: 1, batches: 1, bytes: 20 };
        let first = Note::Durable { shard: 0, lsn: Lsn(1) };
        assert_eq!(told, [first, Note::Room(Room::Short), ended]);
    }
}
