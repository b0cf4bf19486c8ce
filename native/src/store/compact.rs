//! The thread that folds closed segments into a base, at a bounded pace so that nobody's latency
//! suffers, and faster when the disk is full. It touches no file that the writer still writes.

use super::commit::Queue;
use super::files::Files;
use crate::clock::Clock;
use crate::log::Log;
use crate::log::LogType;
use halyard_core::journal::Disk;
use halyard_core::journal::DiskError;
use halyard_core::journal::Folded;
use halyard_core::journal::Job;
use halyard_core::journal::ScanError;
use halyard_core::journal::fold;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Its own reserve on the disk, given up when there is no other room to fold into.
const RESERVE: &str = "reserve";
/// It works so long at a time,
const WORK: Duration = Duration::from_micros(500);
/// and then rests so many times as long.
const REST: u32 = 3;

/// How much it steps back behind the broker's other threads.
const NICE: i32 = 10;

/// A job, and whether it is urgent.
pub(super) type Order = (Job, bool);

pub(super) struct Compactor {
    files: Files,
    queue: Arc<Queue>,
    jobs: mpsc::Receiver<Order>,
    clock: Clock,
    log: Log,
    /// Bytes of its reserve.
    reserve: u64,
}

impl Compactor {
    /// The thread's part, and the way to give it jobs; it ends when that is dropped.
    pub(super) fn new(
        files: Files,
        queue: Arc<Queue>,
        clock: Clock,
        log: Log,
        reserve: u64,
    ) -> (Self, mpsc::Sender<Order>) {
        let (sender, jobs) = mpsc::channel();
        (Self { files, queue, jobs, clock, log, reserve }, sender)
    }

    /// Folds what it is given until there is nobody to give anything.
    pub(super) fn run(mut self) {
        // Behind everybody else, where there are not processors enough. Without that it works too.
        _ = rustix::process::nice(NICE);
        self.keep_reserve();
        while let Ok((job, urgent)) = self.jobs.recv() {
            let mut outcome = self.fold(&job, urgent);
            if matches!(outcome, Err(ScanError::Disk(DiskError::Full { .. }))) {
                // There may be none.
                drop(self.files.remove(RESERVE));
                self.files.counters().reserved(0);
                outcome = self.fold(&job, true);
            }
            let outcome = match outcome {
                Err(ScanError::Disk(DiskError::Full { file })) => {
                    let text = "Store: there is no room to fold closed segments into";
                    self.log.line(LogType::Warning, format_args!("{text} ({file})."));
                    Ok(None)
                }
                Err(error) => Err(error.to_string()),
                Ok(folded) => Ok(folded),
            };
            self.queue.folded(outcome);
            self.keep_reserve();
        }
    }

    fn fold(&mut self, job: &Job, urgent: bool) -> Result<Option<Folded>, ScanError> {
        let started = self.clock.now();
        let mut busy_since = started;
        let (clock, queue) = (self.clock, Arc::clone(&self.queue));
        let folded = fold(&mut self.files, job, &mut |_| {
            let busy = clock.now().since(busy_since);
            if busy >= WORK && !urgent {
                thread::sleep(busy * REST);
                busy_since = clock.now();
            }
            !queue.is_stopping()
        })?;
        if let Some(Folded { base, len }) = folded {
            self.files.counters().folded(self.clock.now().since(started));
            let before: u64 = job.segments.iter().map(|(_, len)| len).sum();
            self.log.line(
                LogType::Information,
                format_args!(
                    "Store: folded {} segments of {:.1} MB into {base} of {:.1} MB in {:.1} s.",
                    job.segments.len(),
                    before as f64 / 1e6,
                    len as f64 / 1e6,
                    self.clock.now().since(started).as_secs_f64()
                ),
            );
        }
        Ok(folded)
    }

    /// Takes the reserve again, if there is room.
    fn keep_reserve(&mut self) {
        // Without room there is none; the next fold tries again.
        let is_there = self.files.folder().join(RESERVE).exists()
            || self.files.create(RESERVE, self.reserve).is_ok();
        self.files.counters().reserved(if is_there { self.reserve } else { 0 });
    }
}
