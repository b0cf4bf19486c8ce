//! One connection of the load: set up while blocking, then driven by readiness with bulk reads and
//! one write a turn, over TCP or WebSocket, with or without TLS. Knows bytes and packets, no scenario.

use super::options::Options;
use super::secure::{Secure, Session};
use super::wire::{self, Raw};
use crate::cli::websocket::{self, Deframer, Upgrade};
use halyard_core::codec;
use halyard_core::packet::{
    Connect, ConnectProperties, Packet, PacketId, PacketType, QoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, UserProperties,
};
use mio::net::TcpStream;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// How long the broker may take to answer during set-up.
const SETUP_PATIENCE: Duration = Duration::from_secs(10);
/// Any key will do: what the mask protects against does not occur here.
const MASK: u32 = 0x1F83_D9AB;

/// Buffers that all links share; a link at rest holds none.
#[derive(Debug)]
pub(super) struct Scratch {
    raw: Vec<u8>,
    /// What TLS made of `raw`.
    plain: Vec<u8>,
    mqtt: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self::of(CHUNK)
    }

    fn of(size: usize) -> Self {
        Self { raw: vec![0; size], plain: Vec::new(), mqtt: Vec::with_capacity(size) }
    }

    /// What [`Link::fill`] brought.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.mqtt
    }
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Bytes, and perhaps more.
    More,
    /// All there was.
    Drained,
    /// The broker closed the connection.
    Closed,
}

/// How long a session of `--persistent` outlives its connection.
const PERSISTENT_SECS: u32 = 3600;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: TcpStream,
    tls: Option<Session>,
    deframer: Option<Deframer>,
    /// MQTT bytes to write.
    pub(super) out: Vec<u8>,
    /// Bytes on their way to the socket, from `written` on.
    wire: Vec<u8>,
    written: usize,
    rest: Vec<u8>,
    /// Whether the link is on a list of links to flush.
    pub(super) dirty: bool,
}

impl Link {
    /// A link over a socket that is still connecting.
    pub(super) fn over(socket: TcpStream, options: &Options) -> Result<Self, String> {
        let tls = options.secure.as_ref().map(Secure::session).transpose()?;
        Ok(Self {
            socket,
            tls,
            deframer: None,
            out: Vec::new(),
            wire: Vec::new(),
            written: 0,
            rest: Vec::new(),
            dirty: false,
        })
    }

    /// Connects, and subscribes if `filter` is given; blocks meanwhile.
    pub(super) fn open(
        options: &Options,
        address: SocketAddr,
        client_id: &str,
        filter: Option<&str>,
    ) -> Result<Self, String> {
        let socket = std::net::TcpStream::connect(address)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        let prepared = socket.set_nodelay(true).and_then(|()| socket.set_nonblocking(true));
        prepared.map_err(|error| format!("cannot set up a socket: {error}"))?;
        let mut link = Self::over(TcpStream::from_std(socket), options)?;
        if options.ws {
            let upgrade = upgrade(options, address);
            link.wire.extend_from_slice(&upgrade.request);
            link.flush_now()?;
            while !link.upgraded(&upgrade)? {
                wait_readable(&link.socket)?;
            }
        }
        connect_packet(options, client_id, &mut link.out);
        link.flush_now()?;
        link.expect(options, PacketType::Connack)?;
        if let Some(filter) = filter {
            subscribe_packet(options, filter, &mut link.out);
            link.flush_now()?;
            link.expect(options, PacketType::Suback)?;
        }
        Ok(link)
    }

    /// Reads the answer to an upgrade; `true` once it is there.
    pub(super) fn upgraded(&mut self, upgrade: &Upgrade) -> Result<bool, String> {
        let mut scratch = Scratch::of(4096);
        loop {
            let (filled, bytes) = self.receive(&mut scratch.raw, &mut scratch.plain)?;
            self.rest.extend_from_slice(bytes);
            match filled {
                Filled::More => {}
                Filled::Drained => break,
                Filled::Closed => {
                    return Err("the broker closed the connection during the upgrade".to_owned());
                }
            }
        }
        let Some(end) = upgrade.answer(&self.rest)? else { return Ok(false) };
        let mut deframer = Deframer::default();
        let mut mqtt = Vec::new();
        deframer.feed(&self.rest[end..], &mut mqtt, &mut self.wire)?;
        self.rest = mqtt;
        self.deframer = Some(deframer);
        Ok(true)
    }

    /// Reads once into `scratch`, after what was left of the last read.
    #[inline]
    pub(super) fn fill(&mut self, scratch: &mut Scratch) -> Result<Filled, String> {
        scratch.mqtt.clear();
        scratch.mqtt.append(&mut self.rest);
        let (filled, bytes) = self.receive(&mut scratch.raw, &mut scratch.plain)?;
        match &mut self.deframer {
            None => scratch.mqtt.extend_from_slice(bytes),
            Some(deframer) => {
                if !deframer.feed(bytes, &mut scratch.mqtt, &mut self.wire)? {
                    return Ok(Filled::Closed);
                }
            }
        }
        Ok(filled)
    }

    /// Reads once from the socket, and opens what TLS has sealed.
    #[inline]
    fn receive<'b>(
        &mut self,
        raw: &'b mut [u8],
        plain: &'b mut Vec<u8>,
    ) -> Result<(Filled, &'b [u8]), String> {
        let count = match self.socket.read(raw) {
            Ok(0) => return Ok((Filled::Closed, &[])),
            Ok(count) => count,
            Err(error) if is_for_later(&error) => 0,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Ok((Filled::Closed, &[]));
            }
            Err(error) => return Err(format!("cannot read from the broker: {error}")),
        };
        let mut filled = if count == raw.len() { Filled::More } else { Filled::Drained };
        let Some(tls) = &mut self.tls else { return Ok((filled, &raw[..count])) };
        plain.clear();
        let opened = tls.open(&raw[..count], &mut self.socket, plain);
        if !opened.map_err(|error| format!("TLS with the broker failed: {error}"))? {
            filled = Filled::Closed;
        }
        Ok((filled, plain))
    }

    /// Keeps what was not a whole packet for the next [`Self::fill`].
    #[inline]
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// Writes once what is to be written; what the socket refuses stays.
    #[inline]
    pub(super) fn flush(&mut self) -> Result<(), String> {
        self.dirty = false;
        if !self.out.is_empty() {
            if self.deframer.is_some() {
                websocket::write_binary(&self.out, MASK, &mut self.wire);
                self.out.clear();
            } else if self.wire.is_empty() {
                std::mem::swap(&mut self.out, &mut self.wire);
            } else {
                self.wire.append(&mut self.out);
            }
        }
        if let Some(tls) = &mut self.tls {
            let sealed = tls.seal(&self.wire).and_then(|()| tls.flush(&mut self.socket));
            self.wire.clear();
            return sealed.map_err(|error| format!("cannot write to the broker: {error}"));
        }
        if self.written == self.wire.len() {
            return Ok(());
        }
        match self.socket.write(&self.wire[self.written..]) {
            Ok(count) => self.written += count,
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(format!("cannot write to the broker: {error}")),
        }
        if self.written == self.wire.len() {
            self.wire.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Bytes not yet taken by the socket; those that TLS keeps count as one.
    pub(super) fn unsent(&self) -> usize {
        let sealed = usize::from(self.tls.as_ref().is_some_and(Session::is_blocked));
        self.out.len() + self.wire.len() - self.written + sealed
    }

    /// Frees the buffers of a link that has nothing to do.
    pub(super) fn shrink(&mut self) {
        if self.unsent() == 0 {
            self.out = Vec::new();
            self.wire = Vec::new();
            self.rest = Vec::new();
        }
    }

    /// Sends raw bytes before any MQTT.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.wire.extend_from_slice(bytes);
    }

    fn flush_now(&mut self) -> Result<(), String> {
        self.flush()?;
        while self.unsent() > 0 {
            wait(&self.socket, nix::poll::PollFlags::POLLOUT)?;
            self.flush()?;
        }
        Ok(())
    }

    /// Waits for one packet of a type that says success.
    fn expect(&mut self, options: &Options, wanted: PacketType) -> Result<(), String> {
        let mut scratch = Scratch::of(4096);
        loop {
            if self.fill(&mut scratch)? == Filled::Closed {
                return Err(format!("the broker closed the connection instead of {wanted}"));
            }
            if let Some(raw) = wire::first_packet(&scratch.mqtt)? {
                check_answer(options, &raw, wanted)?;
                let rest = scratch.mqtt[raw.size..].to_vec();
                self.keep(&rest);
                return Ok(());
            }
            self.keep(&scratch.mqtt);
            wait_readable(&self.socket)?;
        }
    }
}

/// Whether an answer says what was hoped for.
pub(super) fn check_answer(
    options: &Options,
    raw: &Raw<'_>,
    wanted: PacketType,
) -> Result<(), String> {
    let got = raw.packet_type();
    if got != Some(wanted) {
        let name = got.map_or("nothing known", PacketType::name);
        return Err(format!("the broker answered {name} instead of {wanted}"));
    }
    let code = match wanted {
        PacketType::Connack => raw.body().get(1).copied().unwrap_or(0x80),
        // The last byte is the only filter's code, in every version.
        _ => raw.body().last().copied().unwrap_or(0x80),
    };
    let fine = match wanted {
        PacketType::Connack => code == 0,
        _ => code == options.qos.bits(),
    };
    if fine { Ok(()) } else { Err(format!("the broker refused: {wanted} with code {code:#04x}")) }
}

/// The upgrade request for a broker.
pub(super) fn upgrade(options: &Options, address: SocketAddr) -> Upgrade {
    let protocol =
        if options.version == halyard_core::packet::Version::V3 { "mqttv3.1" } else { "mqtt" };
    Upgrade::new(&address.to_string(), &options.path, protocol)
}

/// Appends CONNECT.
pub(super) fn connect_packet(options: &Options, client_id: &str, out: &mut Vec<u8>) {
    // Without end on 3.x, whose Client Identifiers come from no other run.
    let lasts = options.persistent;
    let expiry = (lasts && options.version.is_v5()).then_some(PERSISTENT_SECS);
    let connect = Connect {
        version: options.version,
        clean_start: !lasts || options.version.is_v5(),
        keep_alive: 0,
        client_id,
        will: None,
        username: options.username.as_deref(),
        password: options.password.as_ref().map(String::as_bytes),
        properties: ConnectProperties {
            session_expiry_interval: expiry,
            ..ConnectProperties::default()
        },
        bridge: false,
    };
    codec::encode(&Packet::Connect(connect), options.version, out);
}

fn subscribe_packet(options: &Options, filter: &str, out: &mut Vec<u8>) {
    let Some(packet_id) = PacketId::new(1) else { return };
    let filter = SubscribeFilter { filter, options: SubscriptionOptions::new(options.qos) };
    let subscribe = Subscribe {
        packet_id,
        subscription_identifier: None,
        user_properties: UserProperties::EMPTY,
        filters: vec![filter],
    };
    codec::encode(&Packet::Subscribe(subscribe), options.version, out);
}

/// Whether an operation is to be tried again when the socket is ready.
fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}

fn wait_readable(socket: &TcpStream) -> Result<(), String> {
    wait(socket, nix::poll::PollFlags::POLLIN)
}

fn wait(socket: &TcpStream, flags: nix::poll::PollFlags) -> Result<(), String> {
    use std::os::fd::AsFd;
    let mut polled = [nix::poll::PollFd::new(socket.as_fd(), flags)];
    let patience = u16::try_from(SETUP_PATIENCE.as_millis()).unwrap_or(u16::MAX);
    match nix::poll::poll(&mut polled, patience) {
        Ok(0) => Err(format!("the broker did not answer for {} s", SETUP_PATIENCE.as_secs())),
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(format!("cannot wait for the broker: {error}")),
    }
}

/// Whether messages of this QoS are acknowledged.
pub(super) const fn needs_ack(qos: QoS) -> bool {
    !matches!(qos, QoS::AtMostOnce)
}
