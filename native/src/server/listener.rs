//! Accepting: from every listening socket until it has no more, under the limits of the
//! configuration and of open files. At the limit of open files, and over `max_connect_rate`, new
//! connections wait in the system's queue and everybody else is served on. Knows nothing of what is spoken.

use super::addresses::Addresses;
use super::addresses::Network;
use super::bind::Bound;
use super::bind::BoundSocket;
use super::io::Io;
use super::io::Socket as OpenSocket;
use super::wake::Ready;
use super::wake::Token;
use crate::log::Log;
use crate::log::LogType;
use crate::metrics::DriverStats;
use halyard_core::conf;
use halyard_core::conf::BrokerConfig;
use halyard_core::conf::ServerConfig;
use halyard_core::engine::Peer;
use halyard_core::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use tokio::net::TcpListener;
use tokio::net::UnixListener;

/// Connections accepted from one socket in one turn; the others' bytes come next.
const ACCEPTS_PER_TURN: usize = 32;
/// Files kept free of connections, for logs, configuration and whatever else must be opened.
const FILES_RESERVED: u32 = 32;
/// How long accepting rests when no file can be opened.
const REST_MILLIS: u64 = 200;
/// How long it rests at least because of `max_connect_rate`: several then come at once.
const PACE_MILLIS_MIN: u64 = 10;

/// Counts of open connections, shared by all shards.
#[derive(Debug, Default)]
pub(crate) struct OpenCounts {
    total: AtomicU32,
    by_listener: Mutex<BTreeMap<u16, Weak<Place>>>,
    by_address: Addresses,
    pace: Mutex<Pace>,
}

/// The open connections of one listener, among all.
#[derive(Debug)]
struct Place {
    open: AtomicU32,
    counts: Arc<OpenCounts>,
}

/// How fast connections are accepted (`max_connect_rate`): a second's worth may be saved up.
#[derive(Debug, Default)]
struct Pace {
    /// Millionths of a connection.
    saved: u64,
    at: Instant,
}

/// A place among the open connections; given back when dropped.
#[derive(Debug)]
pub(super) struct Admission {
    place: Arc<Place>,
    listener: u16,
    network: Option<Network>,
}

/// The limits on open connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenLimits {
    /// `global_max_connections`.
    pub(super) total: Option<u32>,
    /// `max_connect_rate`; 0 = no limit.
    pub(super) rate: u32,
    /// Open files of the process.
    pub(super) files: u32,
}

impl OpenLimits {
    pub(super) const fn new(broker: &BrokerConfig, files: u32) -> Self {
        Self { total: broker.max_connections, rate: broker.max_connect_rate, files }
    }
}

/// The listening sockets of one shard.
pub(super) struct Acceptors {
    listeners: Vec<Listener>,
    counts: Arc<OpenCounts>,
    limits: OpenLimits,
    /// Accepting rests until then.
    resting_until: Option<Instant>,
    /// Whether it was said that accepting rests.
    warned: bool,
    log: Log,
    /// Connections denied, by listener and option.
    denied: BTreeMap<(u16, &'static str), u64>,
    /// Times that accepting rested.
    rests: u64,
}

struct Listener {
    socket: Socket,
    waker: Waker,
    index: u16,
    /// The connections that it has open, on all shards.
    place: Arc<Place>,
    max_connections: Option<u32>,
    /// Its connections come from proxies, who tell the clients' addresses later.
    is_proxied: bool,
    /// Something may be there to accept.
    ready: bool,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// A reload has removed it.
    Closed,
}

/// An accepted connection.
pub(super) struct Accepted {
    pub(super) io: Io,
    pub(super) peer: Peer,
    pub(super) admission: Admission,
}

impl OpenCounts {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let counts = Self::default();
        counts.by_address.reconfigure(&config.broker);
        counts
    }

    fn place(self: &Arc<Self>, index: u16) -> Arc<Place> {
        let mut all = self.by_listener.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = all.get(&index).and_then(Weak::upgrade) {
            return place;
        }
        let place = Arc::new(Place { open: AtomicU32::new(0), counts: Arc::clone(self) });
        all.insert(index, Arc::downgrade(&place));
        place
    }

    /// Takes one connection's share of `rate`; if there is none, when there will be.
    fn pace(&self, now: Instant, rate: u32) -> Result<(), Instant> {
        const ONE: u64 = 1_000_000;
        let rate = u64::from(rate);
        if rate == 0 {
            return Ok(());
        }
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = now.0.saturating_sub(pace.at.0).saturating_mul(rate);
        // A shard may be a little behind another.
        pace.at = pace.at.max(now);
        pace.saved = pace.saved.saturating_add(earned).min(rate * ONE);
        if pace.saved < ONE {
            let wait = (ONE - pace.saved).div_ceil(rate) / 1000 + 1;
            return Err(now.plus_millis(wait.max(PACE_MILLIS_MIN)));
        }
        pace.saved -= ONE;
        Ok(())
    }

    /// Nobody was there.
    fn unpace(&self, rate: u32) {
        if rate > 0 {
            self.pace.lock().unwrap_or_else(PoisonError::into_inner).saved += 1_000_000;
        }
    }
}

impl Admission {
    pub(super) const fn listener(&self) -> u16 {
        self.listener
    }

    /// A proxy has told where the connection comes from; the error names the option that it is
    /// denied by.
    pub(super) fn comes_from(&mut self, now: Instant, address: IpAddr) -> Result<(), &'static str> {
        let network = Network::of(address);
        self.place.counts.by_address.enter(now, network)?;
        self.network = Some(network);
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.place.counts.total.fetch_sub(1, Ordering::Relaxed);
        self.place.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(network) = self.network {
            self.place.counts.by_address.leave(network);
        }
    }
}

impl Acceptors {
    /// Registers the sockets with the runtime of the calling thread.
    pub(super) fn new(
        bound: &[Bound],
        settings: &[conf::Listener],
        ready: &Arc<Ready>,
        counts: Arc<OpenCounts>,
        limits: OpenLimits,
        log: Log,
    ) -> io::Result<Self> {
        let mut all = Self {
            listeners: Vec::with_capacity(bound.len()),
            counts,
            limits,
            resting_until: None,
            warned: false,
            log,
            denied: BTreeMap::new(),
            rests: 0,
        };
        for bound in bound {
            let socket = bound.socket.try_clone()?;
            all.open(bound.index, socket, &settings[usize::from(bound.index)], ready)?;
        }
        Ok(all)
    }

    /// Accepts from one more socket, that of the listener with this index.
    pub(super) fn open(
        &mut self,
        index: u16,
        socket: BoundSocket,
        settings: &conf::Listener,
        ready: &Arc<Ready>,
    ) -> io::Result<()> {
        let socket = match socket {
            BoundSocket::Tcp(socket) => Socket::Tcp(TcpListener::from_std(socket)?),
            BoundSocket::Unix(socket) => Socket::Unix(UnixListener::from_std(socket)?),
        };
        let is_closed = |one: &Listener| matches!(one.socket, Socket::Closed);
        let free = self.listeners.iter().position(is_closed);
        let number = free.unwrap_or(self.listeners.len());
        let token = Token::listener(u16::try_from(number).unwrap_or(u16::MAX));
        let listener = Listener {
            socket,
            waker: ready.waker(token),
            index,
            place: self.counts.place(index),
            max_connections: settings.max_connections,
            is_proxied: settings.proxy.is_some(),
            ready: true,
        };
        match free {
            Some(number) => self.listeners[number] = listener,
            None => self.listeners.push(listener),
        }
        Ok(())
    }

    /// Closes the sockets of the listener with this index.
    pub(super) fn shut(&mut self, index: u16) {
        for listener in self.listeners.iter_mut().filter(|one| one.index == index) {
            listener.socket = Socket::Closed;
        }
    }

    /// A listening socket was reported as ready.
    pub(super) fn mark(&mut self, number: usize) {
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.ready = true;
        }
    }

    /// Hands every new connection to `each`.
    pub(super) fn accept(&mut self, now: Instant, mut each: impl FnMut(Accepted)) {
        if self.resting_until.is_some_and(|until| until > now) {
            return;
        }
        let was_resting = self.resting_until.take().is_some();
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[number].ready {
                    break;
                }
                if let Err(until) = self.counts.pace(now, self.limits.rate) {
                    self.rests += 1;
                    self.resting_until = Some(until);
                    return;
                }
                if let Err(cause) = self.accept_one(now, number, &mut each) {
                    self.rest(now, &cause);
                    return;
                }
            }
            let listener = &self.listeners[number];
            if listener.ready {
                listener.waker.wake_by_ref();
            }
        }
        if was_resting && self.warned {
            self.warned = false;
            self.log.add(LogType::Notice, format_args!("Accepting connections again."));
        }
    }

    /// Accepts one connection, if there is one; fails if no file can be opened.
    fn accept_one(
        &mut self,
        now: Instant,
        number: usize,
        each: &mut impl FnMut(Accepted),
    ) -> Result<(), String> {
        let open = self.counts.total.load(Ordering::Relaxed);
        if open.saturating_add(FILES_RESERVED) >= self.limits.files {
            return Err(format!("{open} connections are open"));
        }
        let listener = &mut self.listeners[number];
        let (io, peer) = match listener.poll_accept() {
            Poll::Pending => {
                listener.ready = false;
                self.counts.unpace(self.limits.rate);
                return Ok(());
            }
            Poll::Ready(Ok(accepted)) => accepted,
            Poll::Ready(Err(error)) if is_exhaustion(&error) => return Err(error.to_string()),
            // It was gone before we came.
            Poll::Ready(Err(_)) => return Ok(()),
        };
        let index = listener.index;
        let limit = listener.max_connections;
        let network = match &peer {
            Peer::Ip { address, .. } if !listener.is_proxied => Some(Network::of(*address)),
            _ => None,
        };
        let place = Arc::clone(&listener.place);
        match self.admit(now, (index, place), limit, network) {
            Ok(admission) => each(Accepted { io, peer, admission }),
            Err(option) => {
                *self.denied.entry((index, option)).or_default() += 1;
                let text = format_args!("Client connection from {peer} denied: {option} exceeded.");
                self.log.add(LogType::Notice, text);
            }
        }
        Ok(())
    }

    fn admit(
        &self,
        now: Instant,
        (listener, place): (u16, Arc<Place>),
        limit: Option<u32>,
        network: Option<Network>,
    ) -> Result<Admission, &'static str> {
        let total = self.counts.total.fetch_add(1, Ordering::Relaxed);
        let open = place.open.fetch_add(1, Ordering::Relaxed);
        let mut admission = Admission { place, listener, network: None };
        if limit.is_some_and(|limit| open >= limit) {
            return Err("max_connections");
        }
        if self.limits.total.is_some_and(|limit| total >= limit) {
            return Err("global_max_connections");
        }
        if let Some(network) = network {
            self.counts.by_address.enter(now, network)?;
            admission.network = Some(network);
        }
        Ok(admission)
    }

    fn rest(&mut self, now: Instant, cause: &str) {
        self.rests += 1;
        self.resting_until = Some(now.plus_millis(REST_MILLIS));
        if !self.warned {
            self.warned = true;
            let files = self.limits.files;
            self.log.add(
                LogType::Warning,
                format_args!(
                    "No more connections can be accepted: {cause}, and this process may have \
                     {files} files open. New ones wait until others close; raise the limit with \
                     ulimit -n or LimitNOFILE, or set max_connections below it."
                ),
            );
        }
    }

    /// When [`Self::accept`] is to be called again although nothing is reported.
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.resting_until
    }

    pub(super) fn reconfigure(&mut self, broker: &BrokerConfig, settings: &[conf::Listener]) {
        self.limits.total = broker.max_connections;
        self.limits.rate = broker.max_connect_rate;
        self.counts.by_address.reconfigure(broker);
        for listener in &mut self.listeners {
            if let Some(settings) = settings.get(usize::from(listener.index)) {
                listener.max_connections = settings.max_connections;
                listener.is_proxied = settings.proxy.is_some();
            }
        }
    }

    /// Tells how many were denied.
    pub(super) fn add_denied(&self, to: &mut DriverStats) {
        to.accept_rests += self.rests;
        for ((listener, option), count) in &self.denied {
            to.listener(*listener).denied.insert(option, *count);
        }
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.listeners.clear();
        self.resting_until = None;
    }
}

impl Listener {
    fn poll_accept(&self) -> Poll<io::Result<(Io, Peer)>> {
        let mut cx = Context::from_waker(&self.waker);
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_accept(&mut cx).map_ok(|(stream, address)| {
                let peer = Peer::Ip { address: address.ip(), port: address.port() };
                (Io::new(OpenSocket::Tcp(stream)), peer)
            }),
            Socket::Unix(socket) => socket
                .poll_accept(&mut cx)
                .map_ok(|(stream, _)| (Io::new(OpenSocket::Unix(stream)), Peer::Unix)),
            Socket::Closed => Poll::Pending,
        }
    }
}

/// Whether accepting failed for want of files or memory, and not for the connection's own sake.
fn is_exhaustion(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let causes = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| causes.contains(&Errno::from_raw(code)))
}
