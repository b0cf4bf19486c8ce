//! The log, by type and to several destinations (`log_type`, `log_dest`). A line costs its caller a copy
//! into a bounded buffer and never a system call: a thread of its own writes. What does not fit is
//! counted and the loss is logged, never silent.

mod format;
mod lines;
mod sink;

pub(crate) use format::Field;
pub(crate) use halyard_core::conf::LogType;
pub(crate) use lines::Lines;

use chrono::format::Item;
use chrono::format::StrftimeItems;
use format::Style;
use halyard_core::conf::LogConfig;
use halyard_core::conf::LogDestination;
use halyard_core::conf::LogTypes;
use sink::Sinks;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// Bytes of unwritten lines above which new ones are lost (and counted).
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// The severity that syslog knows (RFC 5424 §6.2.1).
const fn severity(kind: LogType) -> u8 {
    match kind {
        LogType::Error => 3,
        LogType::Warning => 4,
        LogType::Notice | LogType::Subscribe | LogType::Unsubscribe => 5,
        LogType::Information => 6,
        LogType::Debug | LogType::Websockets => 7,
    }
}

const fn bits(types: LogTypes) -> u16 {
    let kinds = [
        LogType::Error,
        LogType::Warning,
        LogType::Notice,
        LogType::Information,
        LogType::Debug,
        LogType::Subscribe,
        LogType::Unsubscribe,
        LogType::Websockets,
    ];
    let (mut bits, mut index) = (0, 0);
    while index < kinds.len() {
        if types.has(kinds[index]) {
            bits |= kinds[index] as u16;
        }
        index += 1;
    }
    bits
}

/// Whether `format` is one that strftime knows.
pub(crate) fn is_timestamp_format(format: &str) -> bool {
    !StrftimeItems::new(format).any(|item| matches!(item, Item::Error))
}

/// The way into the log; cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    /// A bit for each wanted [`LogType`].
    types: AtomicU16,
    connections: AtomicBool,
    /// Lines were added since the writer was last woken.
    fresh: AtomicBool,
    /// Lines lost since the start.
    lost: AtomicU64,
    buffer: Mutex<Buffer>,
    /// Who publishes lines (`log_dest topic`), once the broker runs.
    feed: Mutex<Option<Feed>>,
    filled: Condvar,
}

/// Lines on their way to the writer.
#[derive(Default)]
struct Buffer {
    text: String,
    lines: Vec<Line>,
    lost: u64,
    /// Where the lines go.
    destinations: Destinations,
    /// The destinations are to be opened anew.
    reopen: bool,
    closing: bool,
    style: Style,
}

/// Where lines go.
#[derive(Clone, Default)]
struct Destinations {
    all: Vec<LogDestination>,
    facility: Option<u8>,
}

/// Takes lines that are to be published: the rest of their topic, and the text. Gives how many of
/// them there was no room for.
pub(crate) type Feed = Box<dyn Fn(Vec<(&'static str, String)>) -> u64 + Send>;

/// Where a line of [`Buffer::text`] ends and what it is.
struct Line {
    kind: LogType,
    stamp_len: u16,
    end: usize,
}

/// The thread that writes; closing waits until everything is written.
pub(crate) struct LogWriter {
    log: Log,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Opens the destinations and starts the thread.
    pub(crate) fn start(settings: &LogConfig) -> io::Result<Self> {
        let destinations = Destinations::of(settings);
        let sinks = Sinks::open(&destinations)?;
        let buffer = Buffer { style: Style::new(settings), destinations, ..Buffer::default() };
        let shared = Arc::new(Shared {
            types: AtomicU16::new(bits(settings.types)),
            connections: AtomicBool::new(settings.connection_messages),
            fresh: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            buffer: Mutex::new(buffer),
            feed: Mutex::new(None),
            filled: Condvar::new(),
        });
        let log = Log { shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("halyard-log".into())
            .stack_size(128 * 1024)
            .spawn(move || write_lines(&shared, sinks))?;
        Ok(Self { log, thread: Some(thread) })
    }

    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Writes what is left and ends.
    pub(crate) fn close(mut self) {
        self.log.lock().closing = true;
        self.log.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already reported; there is nothing left to say it to.
            let _ = thread.join();
        }
    }
}

impl Log {
    #[inline]
    pub(crate) fn wants(&self, kind: LogType) -> bool {
        self.shared.types.load(Ordering::Relaxed) & kind as u16 != 0
    }

    /// Lines that were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// `connection_messages`.
    pub(crate) fn wants_connections(&self) -> bool {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Adds a line; [`Self::flush`] gets it written.
    pub(crate) fn add(&self, kind: LogType, text: fmt::Arguments<'_>) {
        self.add_with(kind, text, &[]);
    }

    /// Adds a line and what it is about, which JSON shows apart.
    pub(crate) fn add_with(&self, kind: LogType, text: fmt::Arguments<'_>, fields: &[Field<'_>]) {
        if self.wants(kind) {
            self.lock().add(kind, text, fields);
            self.shared.fresh.store(true, Ordering::Relaxed);
        }
    }

    /// Publishes lines by `feed` from now on.
    pub(crate) fn publish_by(&self, feed: Feed) {
        *self.shared.feed.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
    }

    /// Opens files anew: they may have been moved away (log rotation).
    pub(crate) fn reopen(&self) {
        self.lock().reopen = true;
        self.shared.filled.notify_one();
    }

    /// Adds a line and gets it written.
    pub(crate) fn line(&self, kind: LogType, text: fmt::Arguments<'_>) {
        self.add(kind, text);
        self.flush();
    }

    /// Wakes the writer, if there is something to write.
    #[inline]
    pub(crate) fn flush(&self) {
        if self.shared.fresh.load(Ordering::Relaxed) {
            self.shared.fresh.store(false, Ordering::Relaxed);
            self.shared.filled.notify_one();
        }
    }

    /// Applies a new configuration; files are opened anew (log rotation). Nothing changes if one
    /// cannot be opened.
    pub(crate) fn reconfigure(&self, settings: &LogConfig) -> io::Result<()> {
        let destinations = Destinations::of(settings);
        Sinks::open(&destinations)?;
        self.shared.types.store(bits(settings.types), Ordering::Relaxed);
        self.shared.connections.store(settings.connection_messages, Ordering::Relaxed);
        let mut buffer = self.lock();
        buffer.style = Style::new(settings);
        buffer.destinations = destinations;
        buffer.reopen = true;
        drop(buffer);
        self.shared.filled.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destinations {
    fn of(settings: &LogConfig) -> Self {
        Self { all: settings.destinations.clone(), facility: settings.facility }
    }
}

impl Buffer {
    fn add(&mut self, kind: LogType, text: fmt::Arguments<'_>, fields: &[Field<'_>]) {
        if self.text.len() > BUFFER_BYTES_MAX {
            self.lost += 1;
            return;
        }
        let Self { text: out, style, .. } = self;
        let stamp_len = style.write(out, kind, text, fields);
        out.push('\n');
        let stamp_len = u16::try_from(stamp_len).unwrap_or(0);
        self.lines.push(Line { kind, stamp_len, end: self.text.len() });
    }
}

/// The body of the writer's thread.
fn write_lines(shared: &Shared, mut sinks: Sinks) {
    let mut text = String::new();
    let mut lines = Vec::new();
    loop {
        let mut buffer = shared.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        while buffer.lines.is_empty() && !buffer.reopen && !buffer.closing {
            buffer = shared.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut buffer.text, &mut text);
        std::mem::swap(&mut buffer.lines, &mut lines);
        let (reopen, closing) = (std::mem::take(&mut buffer.reopen), buffer.closing);
        let destinations = reopen.then(|| buffer.destinations.clone());
        let lost = std::mem::take(&mut buffer.lost);
        if lost > 0 {
            shared.lost.fetch_add(lost, Ordering::Relaxed);
            let what = format_args!("{lost} log lines lost: the log is written too slowly");
            buffer.add(LogType::Warning, what, &[]);
        }
        let done = closing && buffer.lines.is_empty();
        drop(buffer);
        sinks.write(&text, &lines, shared);
        text.clear();
        lines.clear();
        text.shrink_to(64 * 1024);
        lines.shrink_to(1024);
        if let Some(destinations) = destinations {
            match Sinks::open(&destinations) {
                Ok(opened) => sinks = opened,
                Err(error) => {
                    let what =
                        format_args!("the log goes on as before, for it cannot be opened: {error}");
                    let mut buffer = shared.buffer.lock().unwrap_or_else(PoisonError::into_inner);
                    buffer.add(LogType::Warning, what, &[]);
                }
            }
        }
        if done {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut buffer = Buffer::default();
        let long = "x".repeat(BUFFER_BYTES_MAX);
        buffer.add(LogType::Notice, format_args!("{long}"), &[]);
        buffer.add(LogType::Notice, format_args!("one too many"), &[]);
        assert_eq!((buffer.lines.len(), buffer.lost), (1, 1));
    }

    #[test]
    fn a_format_of_time_is_one_that_strftime_knows() {
        assert!(is_timestamp_format("%FT%T") && !is_timestamp_format("%Ö"));
    }

    #[test]
    fn everything_is_written_before_the_log_closes() {
        let path = std::env::temp_dir().join(format!("halyard-log-{}", std::process::id()));
        let name = path.to_str().unwrap().to_owned();
        let destinations = vec![LogDestination::File(name)];
        let settings = LogConfig { destinations, timestamp: false, ..LogConfig::default() };
        let writer = LogWriter::start(&settings).unwrap();
        for n in 0..1000 {
            writer.log().line(LogType::Information, format_args!("line {n}"));
            writer.log().line(LogType::Debug, format_args!("not wanted"));
        }
        writer.close();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("line 999\n"));
    }
}
