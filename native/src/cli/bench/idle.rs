//! Connections that say CONNECT and then nothing: what a connect costs the broker, what a silent
//! connection costs it in memory and in CPU time.

use super::link::{self, Filled, Link, Scratch};
use super::options::Options;
use super::process::Process;
use super::report::{Idle, Round};
use super::wire;
use crate::cli::websocket::Upgrade;
use crate::clock::Clock;
use halyard_core::packet::PacketType;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections under way at a time.
const CONCURRENCY: usize = 256;

/// Where a connection stands.
#[derive(Debug)]
enum Stage {
    Connecting,
    Upgrading(Upgrade),
    AwaitConnack,
    Established,
}

struct Crowd<'o> {
    options: &'o Options,
    address: SocketAddr,
    round: usize,
    poll: Poll,
    links: Vec<(Link, Stage)>,
    established: usize,
}

/// Runs the scenario once.
pub(super) fn run(options: &Options, address: SocketAddr, round: usize) -> Result<Round, String> {
    raise_file_limit(options.connections)?;
    let broker = options.pid.map(Process::open).transpose()?;
    let clock = Clock::start();
    let mut crowd = Crowd {
        options,
        address,
        round,
        poll: Poll::new().map_err(|error| format!("cannot poll: {error}"))?,
        links: Vec::with_capacity(options.connections),
        established: 0,
    };
    let memory_before = broker.map(Process::resident_bytes).transpose()?;
    let cpu_before = broker.map(Process::cpu_nanos).transpose()?;
    let start = clock.nanos();
    crowd.connect_all(clock)?;
    let elapsed = clock.nanos() - start;
    let cpu_connected = broker.map(Process::cpu_nanos).transpose()?;
    crowd.stay_silent(clock, options.duration)?;
    let cpu_silent = broker.map(Process::cpu_nanos).transpose()?;
    let memory_after = broker.map(Process::resident_bytes).transpose()?;
    let connections = crowd.established as u64;
    let cpu = cpu_connected.zip(cpu_before).map(|(after, before)| after - before);
    let growth =
        memory_after.zip(memory_before).map(|(after, before)| after.saturating_sub(before));
    let silent = cpu_silent.zip(cpu_connected).map(|(after, before)| after - before);
    Ok(Round {
        complete: crowd.established == options.connections,
        elapsed,
        cpu,
        resident: memory_after,
        idle: Some(Idle {
            connections,
            bytes_per_connection: growth.map(|bytes| bytes / connections.max(1)),
            silent_nanos_per_second: silent
                .map(|nanos| nanos as f64 / options.duration.as_secs_f64().max(0.001)),
        }),
        ..Round::default()
    })
}

impl Crowd<'_> {
    fn connect_all(&mut self, clock: Clock) -> Result<(), String> {
        let mut scratch = Scratch::new();
        let mut events = Events::with_capacity(1024);
        let mut last_move = clock.nanos();
        while self.established < self.options.connections {
            while self.links.len() < self.options.connections
                && self.links.len() - self.established < CONCURRENCY
            {
                self.begin()?;
            }
            let before = self.established;
            self.turn(&mut events, &mut scratch, Duration::from_millis(100))?;
            let now = clock.nanos();
            if self.established > before {
                last_move = now;
            } else if u128::from(now - last_move) > self.options.stall.as_nanos() {
                let (done, all) = (self.established, self.options.connections);
                return Err(format!("no connection was accepted any more after {done} of {all}"));
            }
        }
        Ok(())
    }

    fn stay_silent(&mut self, clock: Clock, duration: Duration) -> Result<(), String> {
        for (link, _) in &mut self.links {
            link.shrink();
        }
        let mut scratch = Scratch::new();
        let mut events = Events::with_capacity(1024);
        let until = clock.now() + duration;
        while clock.now() < until {
            let left = until.since(clock.now());
            self.turn(&mut events, &mut scratch, left)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        let address = self.address;
        let mut socket = TcpStream::connect(address)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        let token = Token(self.links.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, token, interest);
        registered.map_err(|error| format!("cannot poll a socket: {error}"))?;
        // Thousands of ports in TIME_WAIT would starve the next round: end by reset.
        let reference = socket2::SockRef::from(&socket);
        let prepared =
            reference.set_linger(Some(Duration::ZERO)).and_then(|()| socket.set_nodelay(true));
        prepared.map_err(|error| format!("cannot set up a socket: {error}"))?;
        self.links.push((Link::over(socket, self.options)?, Stage::Connecting));
        Ok(())
    }

    fn turn(
        &mut self,
        events: &mut Events,
        scratch: &mut Scratch,
        patience: Duration,
    ) -> Result<(), String> {
        match self.poll.poll(events, Some(patience)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot wait for sockets: {error}")),
        }
        for event in events.iter() {
            let index = event.token().0;
            if event.is_writable() && matches!(self.links[index].1, Stage::Connecting) {
                self.opened(index)?;
            }
            if event.is_readable() || event.is_read_closed() {
                self.readable(index, scratch)?;
            }
            self.links[index].0.flush()?;
        }
        Ok(())
    }

    fn opened(&mut self, index: usize) -> Result<(), String> {
        let (link, stage) = &mut self.links[index];
        if let Ok(Some(error)) = link.socket.take_error() {
            return Err(format!("cannot connect to {}: {error}", self.address));
        }
        if link.socket.peer_addr().is_err() {
            return Ok(());
        }
        if self.options.ws {
            let upgrade = link::upgrade(self.options, self.address);
            link.send_raw(&upgrade.request);
            *stage = Stage::Upgrading(upgrade);
        } else {
            self.say_connect(index);
        }
        Ok(())
    }

    fn say_connect(&mut self, index: usize) {
        let id = format!("bench-{}-{}-i{index}", std::process::id(), self.round);
        let (link, stage) = &mut self.links[index];
        link::connect_packet(self.options, &id, &mut link.out);
        *stage = Stage::AwaitConnack;
    }

    fn readable(&mut self, index: usize, scratch: &mut Scratch) -> Result<(), String> {
        let (link, stage) = &mut self.links[index];
        if let Stage::Upgrading(upgrade) = stage {
            if link.upgraded(upgrade)? {
                self.say_connect(index);
            }
            return Ok(());
        }
        if matches!(stage, Stage::Connecting) {
            return Ok(());
        }
        if link.fill(scratch)? == Filled::Closed {
            return Err(format!("the broker closed connection {index}"));
        }
        let mut rest = scratch.bytes();
        while let Some(raw) = wire::first_packet(rest)? {
            if matches!(stage, Stage::AwaitConnack) {
                link::check_answer(self.options, &raw, PacketType::Connack)?;
                *stage = Stage::Established;
                self.established += 1;
            }
            rest = &rest[raw.size..];
        }
        link.keep(rest);
        Ok(())
    }
}

/// Lets this process open as many sockets as it needs.
fn raise_file_limit(connections: usize) -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = connections as u64 + 64;
    let fail = |error: nix::Error| {
        format!("cannot open {wanted} files: {error}; raise the limit with ulimit -n")
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fail)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(fail)?;
    }
    Ok(())
}
