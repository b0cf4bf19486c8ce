//! Where log lines go (`log_dest`). Runs on the log's own thread: a destination that blocks delays
//! lines, never the broker.

use super::Line;
use super::severity;
use halyard_core::conf::LogDestination;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixDatagram;

/// The facility "daemon" of syslog, shifted as it is sent.
const FACILITY_DAEMON: u8 = 3 << 3;
const SYSLOG_SOCKET: &str = "/dev/log";

/// The opened destinations.
pub(super) struct Sinks {
    sinks: Vec<Sink>,
}

enum Sink {
    Stdout,
    Stderr,
    File(File),
    /// Without a connection until there is a syslog.
    Syslog(Option<UnixDatagram>),
}

impl Sinks {
    pub(super) fn open(destinations: &[LogDestination]) -> io::Result<Self> {
        let sinks = destinations.iter().map(Sink::open).collect::<io::Result<_>>()?;
        Ok(Self { sinks })
    }

    pub(super) fn write(&mut self, text: &str, lines: &[Line]) {
        for sink in &mut self.sinks {
            // There is nobody left to tell that the log itself cannot be written.
            let _ = sink.write(text, lines);
        }
    }
}

impl Sink {
    fn open(destination: &LogDestination) -> io::Result<Self> {
        Ok(match destination {
            LogDestination::Stdout => Self::Stdout,
            LogDestination::Stderr => Self::Stderr,
            LogDestination::Syslog => Self::Syslog(connect().ok()),
            LogDestination::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Self::File(
                    file.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?,
                )
            }
        })
    }

    fn write(&mut self, text: &str, lines: &[Line]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(text.as_bytes()),
            Self::File(file) => file.write_all(text.as_bytes()),
            Self::Syslog(socket) => {
                let mut start = 0;
                for line in lines {
                    let body = &text[start + usize::from(line.stamp_len)..line.end];
                    start = line.end;
                    send(socket, severity(line.kind), body.trim_end())?;
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

/// Sends one line (RFC 3164); a syslog that was restarted is connected to once more.
fn send(socket: &mut Option<UnixDatagram>, severity: u8, body: &str) -> io::Result<()> {
    let priority = FACILITY_DAEMON | severity;
    let datagram = format!("<{priority}>halyard[{}]: {body}", std::process::id());
    if let Some(open) = socket
        && open.send(datagram.as_bytes()).is_ok()
    {
        return Ok(());
    }
    let open = connect()?;
    open.send(datagram.as_bytes())?;
    *socket = Some(open);
    Ok(())
}
