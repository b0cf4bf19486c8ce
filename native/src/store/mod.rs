//! The store of a broker with `persistence true` (DESIGN §5): opens the folder, reads the journal,
//! and runs the one commit thread and the one that folds. What the records mean is the core's.

mod commit;
mod compact;
mod counters;
mod files;

pub(crate) use commit::Note;
pub(crate) use counters::StoreNumbers;

use crate::clock;
use crate::clock::Clock;
use crate::log::Log;
use crate::log::LogType;
use commit::Committer;
use commit::Queue;
use compact::Compactor;
use counters::Counters;
use files::Files;
use halyard_core::conf::StoreConfig;
use halyard_core::conf::SyncMode;
use halyard_core::journal;
use halyard_core::journal::Batch;
use halyard_core::journal::Image;
use halyard_core::journal::Layout;
use halyard_core::journal::Loss;
use halyard_core::journal::Repaired;
use halyard_core::journal::Scanned;
use halyard_core::journal::Writer;
use halyard_core::journal::load;
use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// Segments that stand ready behind the one in use: the next one, and the reserve.
const READY: usize = 2;
/// The name of our folder in `persistence_location`.
const FOLDER: &str = "halyard";
/// Stands above `persistence_location`, as in Mosquitto.
const LOCATION_VARIABLE: &str = "MOSQUITTO_PERSISTENCE_LOCATION";

/// A journal that was read.
pub(crate) struct Found {
    files: Files,
    scanned: Scanned,
    /// What its records amount to; empty for a new one.
    pub(crate) image: Image<Box<[u8]>>,
}

/// The store of a running broker.
pub(crate) struct Store {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    commit: JoinHandle<()>,
    compact: JoinHandle<()>,
}

/// A shard's way to the store.
#[derive(Debug)]
pub(crate) struct Inlet {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    shard: u16,
}

impl Inlet {
    /// Hands over the records of a turn.
    pub(crate) fn put(&self, batch: Batch) {
        self.queue.put(self.shard, batch);
    }

    /// What the store has counted, for all shards.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        self.counters.numbers()
    }
}

/// Where the journal is.
fn folder(config: &StoreConfig) -> PathBuf {
    let location = std::env::var_os(LOCATION_VARIABLE).map(PathBuf::from);
    let location = location.or_else(|| config.location.as_ref().map(PathBuf::from));
    location.unwrap_or_else(|| PathBuf::from(".")).join(FOLDER)
}

/// Makes a damaged journal sound again; gives what is to be said about it.
pub(crate) fn repair(config: &StoreConfig) -> Result<String, String> {
    let folder = folder(config);
    let place = folder.display();
    if !folder.is_dir() {
        return Err(format!("{place}: there is no store to be repaired"));
    }
    let mut files = Files::open(&folder, config.allow_shared)?;
    let repaired = journal::repair(&mut files, clock::seed());
    let repaired = repaired.map_err(|error| format!("{place}: it was not repaired: {error}"))?;
    let Some(Repaired { losses, records, misfits, aside, base }) = repaired else {
        return Ok(format!("Store {place}: it is sound; nothing was changed.\n"));
    };
    let mut text = format!("Store {place}: it was damaged.\n");
    for Loss { file, at, bytes, records, what } in losses {
        let _ = writeln!(
            text,
            "lost: {file} at byte {at}: {bytes} bytes, at least {records} records: {what}"
        );
    }
    if misfits > 0 {
        let _ = writeln!(text, "left out: {misfits} steps of records that build on what is lost");
    }
    for copy in aside {
        let _ = writeln!(text, "as it was: {copy}");
    }
    let _ = writeln!(text, "kept: {records} records, in {base}. The broker can be started.");
    Ok(text)
}

/// Takes the folder and reads the journal. The error is for the one who starts the broker.
pub(crate) fn open(config: &StoreConfig, clock: Clock, log: &Log) -> Result<Found, String> {
    let folder = folder(config);
    let started = clock.now();
    let mut files = Files::open(&folder, config.allow_shared)?;
    let (scanned, image) = load(&mut files, &mut |_, bytes| bytes.into()).map_err(|error| {
        format!(
            "{}: the store cannot be read: {error}. Nothing was changed. Put a copy of the folder \
             in its place, keep what can be read with --repair, or move it away to begin without what it \
             holds",
            folder.display(),
        )
    })?;
    let took = clock.now().since(started);
    say_what_was_read(log, &folder.display(), &scanned, &image, took);
    log.line(LogType::Information, format_args!("{}", promise(config)));
    Ok(Found { files, scanned, image })
}

/// What an acknowledgement promises.
fn promise(config: &StoreConfig) -> String {
    let short_of_power = |when: &str| {
        format!(
            "Store: what is acknowledged survives the end of this process, but not a loss of \
             power: the disk gets it {when} (persistence_sync)."
        )
    };
    match config.sync {
        SyncMode::Always => "Store: what is acknowledged survives a loss of power.".into(),
        SyncMode::Interval => short_of_power(&format!("every {} ms", config.sync_interval_millis)),
        SyncMode::Never => short_of_power("when the system likes"),
    }
}

fn say_what_was_read(
    log: &Log,
    folder: &dyn fmt::Display,
    scanned: &Scanned,
    image: &Image<Box<[u8]>>,
    took: Duration,
) {
    if let Some(cut) = scanned.cut {
        log.line(
            LogType::Notice,
            format_args!(
                "Store: {folder}/{} ends in an unfinished write at byte {}, as after a loss of \
                 power. It was not acknowledged and is cut off.",
                cut.file, cut.at
            ),
        );
    }
    let shards = &image.shards;
    let sessions: usize = shards.iter().map(|shard| shard.sessions.len()).sum();
    let retained: usize = shards.iter().map(|shard| shard.retained.len()).sum();
    let all = shards.iter().flat_map(|shard| shard.sessions.values());
    let messages: usize = all.map(|session| session.queue.len() + session.inflight.len()).sum();
    log.line(
        LogType::Information,
        format_args!(
            "Store {folder}: {sessions} sessions with {messages} messages and {retained} retained \
             messages restored from {:.1} MB in {:.2} s.",
            scanned.bytes as f64 / 1e6,
            took.as_secs_f64()
        ),
    );
}

impl Found {
    /// Where it is, for the log.
    pub(crate) fn place(&self) -> String {
        self.files.folder().display().to_string()
    }

    /// Goes on with the journal: makes `records` durable, then starts the threads. What they have
    /// to say goes to `tell`.
    pub(crate) fn start(
        self,
        config: &StoreConfig,
        epoch: u32,
        records: &[(u16, Batch)],
        clock: Clock,
        log: &Log,
        tell: Box<dyn Fn(Note) + Send>,
    ) -> Result<Store, String> {
        let Self { files, scanned, image } = self;
        // Messages are the engines' by now.
        drop(image);
        let text = |error: &dyn fmt::Display| format!("the store cannot be written: {error}");
        let layout =
            Layout { segment: config.segment_size, ready: READY, seed: clock::seed(), epoch };
        let writer = Writer::open(files.clone(), &scanned, layout);
        let mut writer = writer.map_err(|error| text(&error))?;
        for (shard, batch) in records {
            let appended = writer.append(*shard, batch.lsn, &batch.bytes);
            appended.map_err(|error| text(&error))?;
        }
        writer.sync().map_err(|error| text(&error))?;
        let queue = Arc::new(Queue::default());
        let counters = Arc::clone(files.counters());
        let (compactor, jobs) =
            Compactor::new(files, Arc::clone(&queue), clock, log.clone(), config.segment_size / 2);
        let committer = Committer {
            writer,
            queue: Arc::clone(&queue),
            counters: Arc::clone(&counters),
            mode: config.sync,
            interval: Duration::from_millis(config.sync_interval_millis.into()),
            tell,
            waiting: VecDeque::new(),
            room: journal::Room::Ample,
            clock,
            unsynced: None,
            jobs,
            fold_least: config.segment_size,
            folding: false,
            fold_again: None,
            asked: false,
            done: (0, 0, 0),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).spawn(run);
            thread.map_err(|error| text(&error))
        };
        let compact = spawn("compact", Box::new(|| compactor.run()))?;
        let commit = spawn("commit", Box::new(|| committer.run()))?;
        Ok(Store { queue, counters, commit, compact })
    }
}

impl Store {
    /// A shard's way in.
    pub(crate) fn inlet(&self, shard: u16) -> Inlet {
        Inlet { queue: Arc::clone(&self.queue), counters: Arc::clone(&self.counters), shard }
    }

    /// Folds all there is, now.
    pub(crate) fn fold(&self) {
        self.queue.fold();
    }

    /// Makes all that was handed over durable, and ends the threads.
    pub(crate) fn close(self) {
        self.queue.stop();
        // A thread that panicked has said so.
        let _ = self.commit.join();
        let _ = self.compact.join();
    }
}
