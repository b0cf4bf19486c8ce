//! Where log lines go (`log_dest`). Runs on the log's own thread: a destination that blocks delays
//! lines, never the broker.

use super::Destinations;
use super::Line;
use super::Shared;
use super::severity;
use halyard_core::conf::LogDestination;
use halyard_core::conf::LogType;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// The facilities "daemon" and "local0" of syslog (RFC 5424 §6.2.1).
const FACILITY_DAEMON: u8 = 3;
const FACILITY_LOCAL0: u8 = 16;
const SYSLOG_SOCKET: &str = "/dev/log";

/// The system's log.
struct Syslog {
    /// None until there is a syslog.
    socket: Option<UnixDatagram>,
    facility: u8,
}

/// The opened destinations.
pub(super) struct Sinks {
    sinks: Vec<Sink>,
}

enum Sink {
    Stdout,
    Stderr,
    File(File),
    Syslog(Syslog),
    Topic,
}

impl Sinks {
    pub(super) fn open(destinations: &Destinations) -> io::Result<Self> {
        let open = |destination| Sink::open(destination, destinations.facility);
        let sinks = destinations.all.iter().map(open).collect::<io::Result<_>>()?;
        Ok(Self { sinks })
    }

    pub(super) fn write(&mut self, text: &str, lines: &[Line], shared: &Shared) {
        for sink in &mut self.sinks {
            // There is nobody left to tell that the log itself cannot be written.
            let _ = sink.write(text, lines, shared);
        }
    }
}

impl Sink {
    fn open(destination: &LogDestination, facility: Option<u8>) -> io::Result<Self> {
        Ok(match destination {
            LogDestination::Stdout => Self::Stdout,
            LogDestination::Stderr => Self::Stderr,
            LogDestination::Syslog => Self::Syslog(Syslog {
                socket: connect().ok(),
                facility: facility.map_or(FACILITY_DAEMON, |local| FACILITY_LOCAL0 + local),
            }),
            LogDestination::Topic => Self::Topic,
            LogDestination::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Self::File(
                    file.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?,
                )
            }
        })
    }

    fn write(&mut self, text: &str, lines: &[Line], shared: &Shared) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
            Self::File(file) => file.write_all(text.as_bytes()),
            Self::Topic => {
                publish(text, lines, shared);
                Ok(())
            }
            Self::Syslog(syslog) => {
                let mut start = 0;
                for line in lines {
                    let body = &text[start + usize::from(line.stamp_len)..line.end];
                    start = line.end;
                    syslog.send(severity(line.kind), body.trim_end())?;
                }
                Ok(())
            }
        }
    }
}

fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SYSLOG_SOCKET)?;
    Ok(socket)
}

/// Hands lines to who publishes them: none of `debug`, for each of these would make others.
fn publish(text: &str, lines: &[Line], shared: &Shared) {
    let feed = shared.feed.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(feed) = &*feed else { return };
    let mut start = 0;
    let mut published = Vec::new();
    for line in lines {
        let body = &text[start..line.end];
        start = line.end;
        if let Some(topic) = topic(line.kind) {
            published.push((topic, body.trim_end().to_owned()));
        }
    }
    if !published.is_empty() {
        shared.lost.fetch_add(feed(published), Ordering::Relaxed);
    }
}

/// What follows `$SYS/broker/log/`, as in Mosquitto.
const fn topic(kind: LogType) -> Option<&'static str> {
    Some(match kind {
        LogType::Error => "E",
        LogType::Warning => "W",
        LogType::Notice => "N",
        LogType::Information => "I",
        LogType::Debug => return None,
        LogType::Subscribe => "M/subscribe",
        LogType::Unsubscribe => "M/unsubscribe",
        LogType::Websockets => "WS",
    })
}

impl Syslog {
    /// Sends one line (RFC 3164); a syslog that was restarted is connected to once more.
    fn send(&mut self, severity: u8, body: &str) -> io::Result<()> {
        let priority = self.facility << 3 | severity;
        let datagram = format!("<{priority}>halyard[{}]: {body}", std::process::id());
        if let Some(open) = &self.socket
            && open.send(datagram.as_bytes()).is_ok()
        {
            return Ok(());
        }
        let open = connect()?;
        open.send(datagram.as_bytes())?;
        self.socket = Some(open);
        Ok(())
    }
}
