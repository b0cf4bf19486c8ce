//! A byte stream to a broker: TCP or a Unix socket, with or without TLS and a WebSocket around it. Opening
//! blocks, everything after does not. Knows no MQTT.

use super::args::Args;
use super::wire::Wire;
use crate::cli::websocket::{self, Deframer, Upgrade};
use halyard_core::packet::Version;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long a broker may take to accept a connection or to answer an upgrade.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An open stream.
#[derive(Debug)]
pub(super) struct Transport {
    stream: Wire,
    deframer: Option<Deframer>,
    wire: Vec<u8>,
    /// MQTT bytes that came with the answer to the upgrade.
    early: Vec<u8>,
    mask: halyard_core::rng::Rng,
}

impl Transport {
    /// Opens a stream as the arguments say.
    pub(super) fn open(args: &Args) -> Result<Self, String> {
        let (socket, name) = connect(args)?;
        let mut transport = Self {
            stream: Wire::open(socket, args)?,
            deframer: None,
            wire: Vec::new(),
            early: Vec::new(),
            mask: halyard_core::rng::Rng::new(crate::clock::seed()),
        };
        if args.ws {
            transport.upgrade(args, &name)?;
        }
        let nonblocking = transport.stream.socket().set_nonblocking(true);
        nonblocking.map_err(|error| error_text(&error))?;
        Ok(transport)
    }

    fn upgrade(&mut self, args: &Args, name: &str) -> Result<(), String> {
        let protocol = if args.version == Version::V3 { "mqttv3.1" } else { "mqtt" };
        let upgrade = Upgrade::new(name, &args.ws_path, protocol);
        let fail = |error: std::io::Error| error_text(&error);
        self.stream.socket().set_read_timeout(Some(PATIENCE)).map_err(fail)?;
        self.stream.write_all(&upgrade.request).map_err(fail)?;
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).map_err(fail)? {
                0 => return Err("the server closed the connection during the upgrade".to_owned()),
                count => bytes.extend_from_slice(&chunk[..count]),
            }
            if let Some(end) = upgrade.answer(&bytes)? {
                let mut deframer = Deframer::default();
                deframer.feed(&bytes[end..], &mut self.early, &mut self.wire)?;
                self.deframer = Some(deframer);
                return Ok(());
            }
        }
    }

    /// Takes MQTT bytes to send.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.deframer.is_some() {
            let mask = u32::try_from(self.mask.next_u64() >> 32).unwrap_or(1);
            websocket::write_binary(bytes, mask, &mut self.wire);
        } else {
            self.wire.extend_from_slice(bytes);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        while !self.wire.is_empty() {
            match self.stream.write(&self.wire) {
                Ok(0) => break,
                Ok(count) => _ = self.wire.drain(..count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error_text(&error)),
            }
        }
        match self.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error_text(&error)),
            _ => Ok(()),
        }
    }

    /// Whether bytes wait for the socket.
    pub(super) fn is_blocked(&self) -> bool {
        !self.wire.is_empty() || self.stream.is_blocked()
    }

    /// Bytes that lie here without the socket being readable.
    pub(super) const fn has_early_bytes(&self) -> bool {
        !self.early.is_empty()
    }

    /// Appends received MQTT bytes to `out`; `false` once the peer has closed.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<bool, String> {
        out.append(&mut self.early);
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => match &mut self.deframer {
                None => {
                    out.extend_from_slice(&chunk[..count]);
                    Ok(true)
                }
                Some(deframer) => deframer.feed(&chunk[..count], out, &mut self.wire),
            },
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    /// Writes the rest, for a short time, and closes.
    pub(super) fn finish(mut self) {
        _ = self.stream.socket().set_nonblocking(false);
        _ = self.stream.socket().set_write_timeout(Some(Duration::from_secs(5)));
        if self.deframer.is_some() {
            websocket::write_close(0x2A2A_2A2A, &mut self.wire);
        }
        _ = self.stream.write_all(&self.wire);
        self.stream.say_goodbye();
        _ = self.stream.socket().shutdown(std::net::Shutdown::Write);
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.socket().as_fd()
    }
}

/// A connected socket, and the server's name for a `Host` header.
fn connect(args: &Args) -> Result<(Socket, String), String> {
    if let Some(path) = &args.unix {
        let address = SockAddr::unix(path).map_err(|error| error_text(&error))?;
        let socket = dial(Domain::UNIX, None, &address, args)?;
        return Ok((socket, "localhost".to_owned()));
    }
    let host = args.host.as_deref().unwrap_or("localhost");
    let port = args.port();
    let lookup = || "Unable to connect (Lookup error.).".to_owned();
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|_| lookup())?.collect();
    let mut last = lookup();
    for address in addresses {
        match dial(Domain::for_address(address), Some(Protocol::TCP), &address.into(), args) {
            Ok(socket) => {
                let name = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                return Ok((socket, format!("{name}:{port}")));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn dial(
    domain: Domain,
    protocol: Option<Protocol>,
    address: &SockAddr,
    args: &Args,
) -> Result<Socket, String> {
    let fail = |error: std::io::Error| error_text(&error);
    let socket = Socket::new(domain, Type::STREAM, protocol).map_err(fail)?;
    if domain == Domain::UNIX {
        socket.connect(address).map_err(fail)?;
        return Ok(socket);
    }
    if let Some(bind) = &args.bind {
        let lookup = |_| format!("the address {bind} is not known");
        let mut local = (bind.as_str(), 0).to_socket_addrs().map_err(lookup)?;
        let same = local.find(|local| Domain::for_address(*local) == domain);
        let local = same.ok_or_else(|| format!("{bind} is of another address family"))?;
        socket.bind(&local.into()).map_err(fail)?;
    }
    socket.connect_timeout(address, PATIENCE).map_err(fail)?;
    // A tool that sends one thing and waits has nothing to gain from Nagle: always off.
    socket.set_tcp_nodelay(true).map_err(fail)?;
    Ok(socket)
}

/// The system's words for an error, without the number.
pub(super) fn error_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}
