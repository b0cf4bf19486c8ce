//! The log, in Mosquitto's manner: `1764000000: text`, by type and to several destinations
//! (`log_type`, `log_dest`, `log_timestamp`, `log_timestamp_format`). A line costs its caller a copy
//! into a bounded buffer and never a system call: a thread of its own writes. What does not fit is
//! counted and the loss is logged, never silent.

mod lines;
mod sink;

pub(crate) use halyard_core::conf::LogType;
pub(crate) use lines::Lines;

use crate::clock;
use chrono::format::Item;
use chrono::format::StrftimeItems;
use halyard_core::conf::LogConfig;
use halyard_core::conf::LogDestination;
use halyard_core::conf::LogTypes;
use sink::Sinks;
use std::fmt;
use std::fmt::Write as _;
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

const fn prefix(kind: LogType) -> &'static str {
    match kind {
        LogType::Error => "Error: ",
        LogType::Warning => "Warning: ",
        _ => "",
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
    filled: Condvar,
}

/// Lines on their way to the writer.
#[derive(Default)]
struct Buffer {
    text: String,
    lines: Vec<Line>,
    lost: u64,
    reopen: Option<Vec<LogDestination>>,
    closing: bool,
    stamp: Stamp,
}

/// Where a line of [`Buffer::text`] ends and what it is.
struct Line {
    kind: LogType,
    stamp_len: u16,
    end: usize,
}

/// How time is written, with the text for the current second.
#[derive(Default)]
struct Stamp {
    enabled: bool,
    format: Option<String>,
    second: u64,
    text: String,
}

/// The thread that writes; closing waits until everything is written.
pub(crate) struct LogWriter {
    log: Log,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Opens the destinations and starts the thread.
    pub(crate) fn start(settings: &LogConfig) -> io::Result<Self> {
        let sinks = Sinks::open(&settings.destinations)?;
        let buffer = Buffer { stamp: Stamp::new(settings), ..Buffer::default() };
        let shared = Arc::new(Shared {
            types: AtomicU16::new(bits(settings.types)),
            connections: AtomicBool::new(settings.connection_messages),
            fresh: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            buffer: Mutex::new(buffer),
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
        if self.wants(kind) {
            self.lock().add(kind, text);
            self.shared.fresh.store(true, Ordering::Relaxed);
        }
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
        Sinks::open(&settings.destinations)?;
        self.shared.types.store(bits(settings.types), Ordering::Relaxed);
        self.shared.connections.store(settings.connection_messages, Ordering::Relaxed);
        let mut buffer = self.lock();
        buffer.stamp = Stamp::new(settings);
        buffer.reopen = Some(settings.destinations.clone());
        drop(buffer);
        self.shared.filled.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn add(&mut self, kind: LogType, text: fmt::Arguments<'_>) {
        if self.text.len() > BUFFER_BYTES_MAX {
            self.lost += 1;
            return;
        }
        let start = self.text.len();
        let Self { text: out, stamp, .. } = self;
        stamp.write(out);
        let stamp_len = out.len() - start;
        // Writing to a String cannot fail.
        let _ = write!(Escaped(out), "{}{text}", prefix(kind));
        self.text.push('\n');
        let stamp_len = u16::try_from(stamp_len).unwrap_or(0);
        self.lines.push(Line { kind, stamp_len, end: self.text.len() });
    }
}

impl Stamp {
    fn new(settings: &LogConfig) -> Self {
        let format = settings.timestamp_format.clone();
        Self { enabled: settings.timestamp, format, ..Self::default() }
    }

    fn write(&mut self, out: &mut String) {
        if !self.enabled {
            return;
        }
        let second = clock::since_epoch().as_secs();
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            let _ = match &self.format {
                None => write!(self.text, "{second}: "),
                Some(format) => {
                    let now = chrono::Local::now();
                    write!(self.text, "{}: ", now.format_with_items(StrftimeItems::new(format)))
                }
            };
        }
        out.push_str(&self.text);
    }
}

/// Keeps what clients send (names, topics) from forging lines or terminal commands.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(char::is_control) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            if character.is_control() {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// The body of the writer's thread.
fn write_lines(shared: &Shared, mut sinks: Sinks) {
    let mut text = String::new();
    let mut lines = Vec::new();
    loop {
        let mut buffer = shared.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        while buffer.lines.is_empty() && buffer.reopen.is_none() && !buffer.closing {
            buffer = shared.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut buffer.text, &mut text);
        std::mem::swap(&mut buffer.lines, &mut lines);
        let (reopen, closing) = (buffer.reopen.take(), buffer.closing);
        let lost = std::mem::take(&mut buffer.lost);
        if lost > 0 {
            shared.lost.fetch_add(lost, Ordering::Relaxed);
            let what = format_args!("{lost} log lines lost: the log is written too slowly");
            buffer.add(LogType::Warning, what);
        }
        let done = closing && buffer.lines.is_empty();
        drop(buffer);
        sinks.write(&text, &lines);
        text.clear();
        lines.clear();
        text.shrink_to(64 * 1024);
        lines.shrink_to(1024);
        if let Some(destinations) = reopen
            && let Ok(opened) = Sinks::open(&destinations)
        {
            sinks = opened;
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
    fn a_line_cannot_be_forged_by_what_a_client_sends() {
        let mut buffer = Buffer::default();
        buffer.add(LogType::Notice, format_args!("Client {} gone", "a\n17: Error: b\u{1b}[2J"));
        assert_eq!(buffer.text, "Client a\\n17: Error: b\\u{1b}[2J gone\n");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut buffer = Buffer::default();
        let long = "x".repeat(BUFFER_BYTES_MAX);
        buffer.add(LogType::Notice, format_args!("{long}"));
        buffer.add(LogType::Notice, format_args!("one too many"));
        assert_eq!((buffer.lines.len(), buffer.lost), (1, 1));
    }

    #[test]
    fn lines_are_stamped_as_configured() {
        let format = Some("%Y-%m-%d".to_owned());
        let settings = LogConfig { timestamp_format: format, ..LogConfig::default() };
        let mut buffer = Buffer { stamp: Stamp::new(&settings), ..Buffer::default() };
        buffer.add(LogType::Error, format_args!("no"));
        let (date, rest) = buffer.text.split_at(10);
        assert!(date.chars().all(|c| c.is_ascii_digit() || c == '-'), "{date}");
        assert_eq!(rest, ": Error: no\n");
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
