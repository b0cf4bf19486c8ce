//! The scenarios with messages: groups of one publisher and its subscribers, driven by one thread
//! in turns: read everything that is ready, publish what the windows allow, write each connection
//! once. `pairs` is many groups of one subscriber, `fanout` one group of many, `rate` is `pairs`
//! by the clock. It ends by itself: by count, by time, or when nothing moves any more.

use super::check::{Arrivals, Counts};
use super::link::{Filled, Link, Scratch, needs_ack};
use super::options::{Options, Scenario};
use super::process::Process;
use super::report::Round;
use super::wire::{self, Raw, Template};
use crate::clock::Clock;
use halyard_core::packet::{PacketType, QoS};
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// How long to look for messages too many once all have arrived.
const SETTLE: Duration = Duration::from_millis(50);
const TIMER: Token = Token(usize::MAX);

/// A publisher and its subscribers.
#[derive(Debug)]
struct Group {
    publisher: usize,
    topic: String,
    template: Template,
    sent: u64,
    /// PUBREC received (QoS 2).
    recorded: u64,
    /// Acknowledged for good.
    acked: u64,
    /// Messages below this number have reached every subscriber.
    done: u64,
    /// Arrivals of the messages from `done` on, if there are many subscribers.
    ring: Vec<u32>,
    subscribers: u32,
    dirty: bool,
    /// When those not acknowledged were sent, nanoseconds; kept in `rate` alone.
    waiting: Option<VecDeque<u64>>,
}

/// What a connection is for.
#[derive(Debug)]
enum Role {
    Publisher,
    Subscriber(Arrivals),
}

/// A run.
struct Load<'o> {
    options: &'o Options,
    clock: Clock,
    poll: Poll,
    /// Fires once a message, for `rate`.
    timer: Option<TimerFd>,
    links: Vec<Link>,
    roles: Vec<(usize, Role)>,
    groups: Vec<Group>,
    latency: Histogram<u64>,
    /// From PUBLISH to PUBACK or PUBCOMP.
    acknowledgement: Histogram<u64>,
    dirty_links: Vec<usize>,
    dirty_groups: Vec<usize>,
    /// Messages sent by the clock, in `rate`.
    ticked: u64,
    /// Messages per group at most.
    quota: u64,
    /// When to stop sending, nanoseconds.
    stop_at: u64,
    refused: u64,
    progress: u64,
}

/// Runs the scenario once.
pub(super) fn run(options: &Options, address: SocketAddr, round: usize) -> Result<Round, String> {
    let broker = options.pid.map(Process::open).transpose()?;
    let mut load = Load::open(options, address, round)?;
    let cpu = broker.map(Process::cpu_nanos).transpose()?;
    let start = load.clock.nanos();
    load.stop_at = start.saturating_add(nanos(options.duration));
    let complete = load.drive(start)?;
    let elapsed = load.clock.nanos() - start;
    let cpu_after = broker.map(Process::cpu_nanos).transpose()?;
    let resident = broker.map(Process::resident_bytes).transpose()?;
    load.settle()?;
    let counts = load.counts();
    Ok(Round {
        complete: complete && load.refused == 0,
        sent: load.groups.iter().map(|group| group.sent).sum(),
        counts,
        elapsed,
        latency: Some(quantiles(&load.latency)),
        acknowledgement: (!load.acknowledgement.is_empty())
            .then(|| quantiles(&load.acknowledgement)),
        cpu: cpu_after.zip(cpu).map(|(after, before)| after - before),
        resident,
        ..Round::default()
    })
}

/// The median, the 99th percentile and the most.
fn quantiles(histogram: &Histogram<u64>) -> [u64; 3] {
    [0.5, 0.99, 1.0].map(|q| histogram.value_at_quantile(q))
}

fn new_histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3)
        .map_err(|error| format!("cannot make a histogram: {error}"))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'o> Load<'o> {
    fn open(options: &'o Options, address: SocketAddr, round: usize) -> Result<Self, String> {
        let (groups, subscribers) = match options.scenario {
            Scenario::Fanout => (1, options.subscribers),
            _ => (options.pairs, 1),
        };
        let mut load = Self {
            options,
            clock: Clock::start(),
            poll: Poll::new().map_err(|error| format!("cannot poll: {error}"))?,
            timer: None,
            links: Vec::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            latency: new_histogram()?,
            acknowledgement: new_histogram()?,
            dirty_links: Vec::new(),
            dirty_groups: Vec::new(),
            ticked: 0,
            quota: options.messages.div_ceil(groups as u64),
            stop_at: u64::MAX,
            refused: 0,
            progress: 0,
        };
        for group in 0..groups {
            load.open_group(address, round, group, subscribers)?;
        }
        for (index, link) in load.links.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered =
                load.poll.registry().register(&mut link.socket, Token(index), interest);
            registered.map_err(|error| format!("cannot poll a socket: {error}"))?;
        }
        Ok(load)
    }

    fn open_group(
        &mut self,
        address: SocketAddr,
        round: usize,
        group: usize,
        subscribers: usize,
    ) -> Result<(), String> {
        let options = self.options;
        let pid = std::process::id();
        let topic = format!("bench/{pid}/{round}/{group}");
        for subscriber in 0..subscribers {
            let id = format!("bench-{pid}-{round}-{group}-s{subscriber}");
            self.links.push(Link::open(options, address, &id, Some(&topic))?);
            self.roles.push((group, Role::Subscriber(Arrivals::default())));
        }
        let id = format!("bench-{pid}-{round}-{group}-p");
        self.links.push(Link::open(options, address, &id, None)?);
        self.roles.push((group, Role::Publisher));
        let window = usize::try_from(options.window).unwrap_or(usize::MAX);
        self.groups.push(Group {
            publisher: self.links.len() - 1,
            template: Template::new(options.version, &topic, options.qos, options.payload),
            topic,
            sent: 0,
            recorded: 0,
            acked: 0,
            done: 0,
            ring: if subscribers > 1 { vec![0; window.next_power_of_two()] } else { Vec::new() },
            subscribers: u32::try_from(subscribers).unwrap_or(u32::MAX),
            dirty: false,
            waiting: (options.scenario == Scenario::Rate && needs_ack(options.qos))
                .then(VecDeque::new),
        });
        Ok(())
    }

    /// Publishes and receives until the end; `false` if it stalled.
    fn drive(&mut self, start: u64) -> Result<bool, String> {
        self.timer = self.start_timer()?;
        if self.timer.is_none() {
            for group in 0..self.groups.len() {
                self.mark_group(group);
            }
        }
        let mut scratch = Scratch::new();
        let mut events = Events::with_capacity(1024);
        let (mut last_progress, mut last_move) = (0, start);
        loop {
            self.publish_and_flush(start, self.timer.is_some())?;
            let now = self.clock.nanos();
            if now >= self.stop_at && self.all_done() {
                return Ok(true);
            }
            if self.groups.iter().all(|group| group.sent >= self.quota) && self.all_done() {
                return Ok(true);
            }
            if self.progress != last_progress {
                (last_progress, last_move) = (self.progress, now);
            } else if now - last_move > nanos(self.options.stall) {
                return Ok(false);
            }
            self.turn(&mut events, &mut scratch, Duration::from_millis(20))?;
        }
    }

    /// One turn of the loop: waits, then reads whatever is ready.
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
            let token = event.token();
            if token == TIMER {
                // Read, or it does not fire again; how often it fired the clock tells better.
                _ = self.timer.as_ref().map(TimerFd::wait);
                continue;
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(token.0, scratch)?;
            }
            if event.is_writable() {
                self.mark_link(token.0);
            }
        }
        Ok(())
    }

    fn read(&mut self, index: usize, scratch: &mut Scratch) -> Result<(), String> {
        loop {
            let filled = self.links[index].fill(scratch)?;
            let now = self.clock.nanos();
            let mut rest = scratch.bytes();
            while let Some(raw) = wire::first_packet(rest)? {
                self.packet(index, &raw, now);
                rest = &rest[raw.size..];
            }
            self.links[index].keep(rest);
            match filled {
                Filled::More => {}
                Filled::Drained => return Ok(()),
                Filled::Closed => return Err("the broker closed a connection".to_owned()),
            }
        }
    }

    #[inline]
    fn packet(&mut self, index: usize, raw: &Raw<'_>, now: u64) {
        self.progress += 1;
        let Self { options, links, roles, groups, latency, acknowledgement, .. } = self;
        let (group_index, role) = &mut roles[index];
        let group_index = *group_index;
        let group = &mut groups[group_index];
        let out = &mut links[index].out;
        let freed = match (role, raw.packet_type()) {
            (Role::Subscriber(arrivals), Some(PacketType::Publish)) => {
                arrived(options, group, arrivals, latency, raw, now, out)
            }
            (Role::Subscriber(_), Some(PacketType::Pubrel)) => {
                wire::append_ack(PacketType::Pubcomp, raw.id(), out);
                false
            }
            (Role::Publisher, Some(packet)) => {
                self.refused += u64::from(raw.reason(options.version) >= 0x80);
                let freed = group.acknowledged(packet, raw.id(), options.qos, out);
                if freed && let Some(sent) = group.waiting.as_mut().and_then(VecDeque::pop_front) {
                    acknowledgement.saturating_record(now.saturating_sub(sent));
                }
                freed
            }
            (Role::Subscriber(arrivals), _) => {
                arrivals.note_strange();
                false
            }
            (Role::Publisher, None) => false,
        };
        if !self.links[index].out.is_empty() {
            self.mark_link(index);
        }
        if freed {
            self.mark_group(group_index);
        }
    }

    #[inline]
    fn mark_link(&mut self, index: usize) {
        if !std::mem::replace(&mut self.links[index].dirty, true) {
            self.dirty_links.push(index);
        }
    }

    #[inline]
    fn mark_group(&mut self, group: usize) {
        if !std::mem::replace(&mut self.groups[group].dirty, true) {
            self.dirty_groups.push(group);
        }
    }

    fn publish_and_flush(&mut self, start: u64, by_clock: bool) -> Result<(), String> {
        let now = self.clock.nanos();
        if by_clock {
            self.publish_by_clock(start, now);
        } else if now < self.stop_at {
            while let Some(index) = self.dirty_groups.pop() {
                let window = self.options.window;
                let quota = self.quota;
                let group = &mut self.groups[index];
                group.dirty = false;
                let publisher = group.publisher;
                let out = &mut self.links[publisher].out;
                let limit = quota.min(group.done.min(group.acked_for(self.options.qos)) + window);
                while group.sent < limit {
                    group.publish(now, out);
                }
                if !out.is_empty() {
                    self.mark_link(publisher);
                }
            }
        }
        for at in 0..self.dirty_links.len() {
            let index = self.dirty_links[at];
            self.links[index].flush()?;
        }
        self.dirty_links.clear();
        Ok(())
    }

    /// Sends what is due by now, a pair after the other.
    fn publish_by_clock(&mut self, start: u64, now: u64) {
        let until = now.min(self.stop_at).saturating_sub(start);
        let due = u128::from(until) * u128::from(self.options.rate) / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX).min(self.options.messages);
        while self.ticked < due {
            let index = usize::try_from(self.ticked % self.groups.len() as u64).unwrap_or(0);
            self.ticked += 1;
            let group = &mut self.groups[index];
            let publisher = group.publisher;
            group.publish(now, &mut self.links[publisher].out);
            self.mark_link(publisher);
        }
    }

    fn start_timer(&self) -> Result<Option<TimerFd>, String> {
        if self.options.scenario != Scenario::Rate {
            return Ok(None);
        }
        let fail = |error: nix::Error| format!("cannot make a timer: {error}");
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK).map_err(fail)?;
        let period = i64::try_from(1_000_000_000 / self.options.rate).unwrap_or(1).max(1);
        let period = Expiration::Interval(TimeSpec::nanoseconds(period));
        timer.set(period, TimerSetTimeFlags::empty()).map_err(fail)?;
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)
            .map_err(|error| format!("cannot poll a timer: {error}"))?;
        Ok(Some(timer))
    }

    fn all_done(&self) -> bool {
        self.groups.iter().all(|group| {
            group.done == group.sent && group.acked_for(self.options.qos) == group.sent
        })
    }

    /// Looks for messages too many.
    fn settle(&mut self) -> Result<(), String> {
        let until = self.clock.nanos() + nanos(SETTLE);
        let mut scratch = Scratch::new();
        let mut events = Events::with_capacity(1024);
        self.stop_at = 0;
        while self.clock.nanos() < until {
            self.turn(&mut events, &mut scratch, Duration::from_millis(10))?;
            self.publish_and_flush(0, false)?;
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        self.roles.iter().fold(Counts::default(), |sum, (group, role)| match role {
            Role::Subscriber(arrivals) => sum.plus(arrivals.finish(self.groups[*group].sent)),
            Role::Publisher => sum,
        })
    }
}

impl Group {
    /// Publishes the next message.
    #[inline]
    fn publish(&mut self, now: u64, out: &mut Vec<u8>) {
        self.template.append(self.sent, now, packet_id(self.sent), out);
        self.sent += 1;
        if let Some(waiting) = &mut self.waiting {
            waiting.push_back(now);
        }
    }

    const fn acked_for(&self, qos: QoS) -> u64 {
        if needs_ack(qos) { self.acked } else { self.sent }
    }

    /// Takes an answer to the publisher; `true` if the window may have moved.
    fn acknowledged(&mut self, packet: PacketType, id: u16, qos: QoS, out: &mut Vec<u8>) -> bool {
        match (packet, qos) {
            (PacketType::Pubrec, QoS::ExactlyOnce) if id == packet_id(self.recorded) => {
                self.recorded += 1;
                wire::append_ack(PacketType::Pubrel, id, out);
                false
            }
            (PacketType::Puback, QoS::AtLeastOnce) | (PacketType::Pubcomp, QoS::ExactlyOnce)
                if id == packet_id(self.acked) =>
            {
                self.acked += 1;
                true
            }
            // Out of order or unasked for: the run stalls and says so.
            _ => false,
        }
    }

    /// Message `number` reached one subscriber more; `true` if the window may have moved.
    #[inline]
    fn arrived(&mut self, number: u64) -> bool {
        if self.ring.is_empty() {
            self.done += 1;
            return true;
        }
        let mask = self.ring.len() - 1;
        let slot = |number: u64| usize::try_from(number).unwrap_or(0) & mask;
        self.ring[slot(number)] += 1;
        let before = self.done;
        while self.done < self.sent && self.ring[slot(self.done)] == self.subscribers {
            self.ring[slot(self.done)] = 0;
            self.done += 1;
        }
        self.done != before
    }
}

/// The identifier of message `number`: 1 to 65,535 in turn.
fn packet_id(number: u64) -> u16 {
    u16::try_from(number % 65_535 + 1).unwrap_or(1)
}

/// A message came to a subscriber; `true` if the publisher's window may have moved.
#[inline]
fn arrived(
    options: &Options,
    group: &mut Group,
    arrivals: &mut Arrivals,
    latency: &mut Histogram<u64>,
    raw: &Raw<'_>,
    now: u64,
    out: &mut Vec<u8>,
) -> bool {
    let message = raw.message(options.version);
    let Some(message) =
        message.filter(|one| one.topic == group.topic.as_bytes() && one.qos == options.qos)
    else {
        arrivals.note_strange();
        return false;
    };
    match message.qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => wire::append_ack(PacketType::Puback, message.id, out),
        QoS::ExactlyOnce => wire::append_ack(PacketType::Pubrec, message.id, out),
    }
    if !arrivals.note(message.number, group.sent) {
        return false;
    }
    latency.saturating_record(now.saturating_sub(message.nanos));
    group.arrived(message.number)
}
