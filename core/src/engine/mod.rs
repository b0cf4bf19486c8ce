//! The only door for drivers, and the only glue: it owns the Broker, the Connections and their
//! timers, turns bytes into packets for the one and packets into bytes for the others. Server,
//! page and simulator call nothing else, so they cannot drift apart. It does no I/O and reads no
//! clock.

mod admin;
mod authentication;
mod config;
mod effect;
mod input;
mod intake;
mod observer;
mod outlet;
mod recover;
mod withheld;

pub use crate::broker::{Counter, CounterKind, Drops, LinkMessage, Stats};
pub use admin::{
    ADMIN_PAGE_ROWS, AdminCommand, AdminRefusal, AdminReply, ClientDetail, ClientRow,
    ConnectionDetail, DecisionRow, MessageRow, RetainedRow, SubscriptionRow, TopicPage, TopicRow,
};
pub use authentication::AuthRequest;
pub use config::{Config, shard_of};
pub use effect::{CloseReason, Effect};
pub use input::{ConnectionId, DiskState, Input, Peer, ShardId, TransportEnd, Water};
pub use observer::{DeliverySeen, Direction, Event, Observer, Outcome, PacketSeen, SessionEnd};

pub use recover::{Recovered, recover, recover_and_forget};

use crate::arena::Arena;
use crate::broker::{Broker, Ending, Pressure, TimerKey};
use crate::connection::{Connection, Frames};
use crate::journal::{Batch, Lsn, ShardImage};
use crate::map::{Map, map};
use crate::packet::{Connack, ConnackProperties, Disconnect, Packet, ReasonCode};
use crate::state::{Hasher, RestoreError, Saver, Sink, Source, State};
use crate::time::{Instant, WallClock};
use outlet::Out;
use std::collections::VecDeque;
use std::sync::Arc;

/// Emptied output buffers that are kept for reuse, and the largest that is.
const POOL_BUFFERS: usize = 256;
const POOL_BYTES: usize = 64 * 1024;
/// Timers that one turn handles at most: thousands that are due at once, as after a flood of half-open
/// connections, must not make others wait. The next turn is then due at once.
const TIMERS_PER_TURN: usize = 64;
/// Version of what [`Engine::snapshot`] writes.
const SNAPSHOT_VERSION: u32 = 1;

/// A broker: sessions, connections and timers of one shard.
#[derive(Clone, Debug)]
pub struct Engine<O: Observer = ()> {
    broker: Broker,
    links: Connections,
    observer: O,
}

/// Everything about connections; apart from the broker, so that both can be borrowed at once.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    slots: Arena<Connection>,
    by_id: Map<ConnectionId, u32>,
    /// Slots with output, in the order in which they got it.
    dirty: VecDeque<u32>,
    /// Last output of connections that are closed.
    farewell: VecDeque<(ConnectionId, Vec<u8>)>,
    /// What waits for records to become durable.
    withheld: withheld::Withheld,
    pool: Vec<Vec<u8>>,
    frames: Frames,
    config: Arc<Config>,
    bytes_sent: u64,
    packets_sent: u64,
    publish_sent: [u64; 3],
    publish_bytes_sent: [u64; 3],
    /// Packets other than PUBLISH over the client's Maximum Packet Size.
    unsendable: u64,
    shutting_down: bool,
}

impl<O: Observer> Engine<O> {
    /// An empty broker. `seed` keys its hashes and its generator; `wall` is the wall clock at
    /// `now`.
    pub fn new(config: Arc<Config>, seed: u64, now: Instant, wall: WallClock, observer: O) -> Self {
        Self {
            broker: Broker::new(Arc::clone(&config), seed, now, wall),
            links: Connections::new(config, seed),
            observer,
        }
    }

    /// Handles one input. `now` never goes back. Effects are appended in the order in which they
    /// are to be done. Inputs about connections that are not open change nothing.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, effects: &mut Vec<Effect>) {
        match input {
            Input::Turn { wall } => self.turn(now, wall, effects),
            Input::Opened { conn, peer, listener, identity, accepted } => {
                let accepted = accepted.min(now);
                self.opened(now, Connection::new(conn, peer, listener, identity, accepted));
            }
            Input::Bytes { conn, chunk } => self.bytes(now, conn, chunk, effects),
            Input::Closed { conn, cause } => self.closed(now, conn, cause, effects),
            Input::Water { conn, level } => self.water(now, conn, level, effects),
            Input::Disk(state) => {
                self.broker.durable.set_full(state == DiskState::Full);
                if state == DiskState::Room {
                    self.read_on(now, effects);
                }
            }
            Input::Durable { lsn } => self.durable(now, lsn, effects),
            Input::Link { peer, message } => {
                let (broker, mut out) = self.parts(now, effects);
                broker.linked(now, peer, message, &mut out);
            }
            Input::Admin { request, command } => self.admin(now, request, command, effects),
            Input::Authenticated { conn, request, verdict } => {
                self.authenticated(now, conn, request, verdict, effects);
            }
            Input::Revoked { conn } => self.revoked(now, conn, effects),
            Input::Reconfigured(config) => {
                let before = core::mem::replace(&mut self.links.config, Arc::clone(&config));
                self.broker.reconfigure(config, now);
                self.recheck(now, &before, effects);
            }
        }
    }

    /// When [`Input::Turn`] is due at the latest; at once if work is left over.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.broker.has_pending() { Some(Instant::ZERO) } else { self.broker.timers.next() }
    }

    /// Output of the next connection that has some: to be written, or kept, by the driver. Call
    /// until `None` once a turn; last words of closed connections come too.
    pub fn take_output(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        while let Some(slot) = self.links.dirty.pop_front() {
            let Some(connection) = self.links.slots.get_mut(slot) else { continue };
            if !connection.output.dirty {
                continue;
            }
            connection.output.dirty = false;
            let bytes = connection.output.take();
            if !bytes.is_empty() {
                return Some((connection.id, bytes));
            }
        }
        self.links.farewell.pop_front()
    }

    /// Takes the records made since the last time, for the store. Call it once a turn, when all has
    /// been handled and before link messages are handed over and output is taken; everything in one
    /// batch becomes durable together, and [`Input::Durable`] says when.
    pub fn take_records(&mut self) -> Option<Batch> {
        self.broker.durable.take().map(|(lsn, bytes)| Batch { lsn: Lsn(lsn), bytes })
    }

    /// What must outlive the process: the same that all records so far amount to.
    pub fn image(&self) -> ShardImage<Box<[u8]>> {
        self.broker.image()
    }

    /// Takes an emptied buffer back for reuse.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.links.pool.len() < POOL_BUFFERS && buffer.capacity() <= POOL_BYTES {
            buffer.clear();
            self.links.pool.push(buffer);
        }
    }

    /// The observer.
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// The observer.
    pub const fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let mut stats = self.broker.stats.clone();
        self.links.add_to(&mut stats);
        stats
    }

    /// Bytes held for clients, by formulae of lengths: the same on every machine.
    pub fn footprint(&self) -> u64 {
        // What a socket does not take is the driver's to keep, at least this much.
        let high = u64::from(self.links.config.broker.output_high_water);
        let connections = self.links.slots.iter().map(|(_, connection)| {
            connection.footprint() + if connection.blocked_since.is_some() { high } else { 0 }
        });
        self.broker.footprint() + connections.sum::<u64>() + self.links.withheld.footprint()
    }

    /// All state, for [`Self::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        let mut saver = Saver::default();
        SNAPSHOT_VERSION.save(&mut saver);
        self.save(&mut saver);
        saver.out
    }

    /// A hash of all state; of payloads and undecoded bytes it covers the lengths.
    pub fn state_hash(&self) -> u64 {
        let mut hasher = Hasher::default();
        self.save(&mut hasher);
        hasher.finish()
    }

    fn save(&self, to: &mut dyn Sink) {
        self.broker.save(to);
        self.links.save(to);
    }

    /// An engine as it was at [`Self::snapshot`], under the configuration of then.
    ///
    /// # Errors
    /// If the bytes are no whole snapshot of this version.
    pub fn restore(config: Arc<Config>, bytes: &[u8], observer: O) -> Result<Self, RestoreError> {
        let mut from = Source::new(bytes);
        if u32::load(&mut from)? != SNAPSHOT_VERSION {
            return Err(from.error("snapshot of this version"));
        }
        let broker = Broker::load(Arc::clone(&config), &mut from)?;
        let links = Connections::load(config, &mut from)?;
        if !from.is_empty() {
            return Err(from.error("end of the snapshot"));
        }
        Ok(Self { broker, links, observer })
    }

    fn parts<'a>(
        &'a mut self,
        now: Instant,
        effects: &'a mut Vec<Effect>,
    ) -> (&'a mut Broker, Out<'a, O>) {
        let Self { broker, links, observer } = self;
        (broker, Out { links, observer, effects, now })
    }

    fn turn(&mut self, now: Instant, wall: WallClock, effects: &mut Vec<Effect>) {
        let Self { broker, links, .. } = self;
        links.add_to_totals(&mut broker.stats);
        let (broker, mut out) = self.parts(now, effects);
        broker.turn(now, wall, &mut out);
        if self.broker.wants_audit(now) {
            self.audit(now, effects);
        }
        for _ in 0..TIMERS_PER_TURN {
            let Some(timer) = self.broker.timers.pop_due(now) else { break };
            if let TimerKey::Connection(slot) = timer {
                self.connection_timer(now, slot, effects);
            } else {
                let (broker, mut out) = self.parts(now, effects);
                broker.timer(now, timer, &mut out);
            }
        }
    }

    /// Counts the memory that is held, and lets go of those who do not read if it runs out.
    fn audit(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.broker.purge_for_memory(now);
        let bytes = self.footprint();
        let (broker, mut out) = self.parts(now, effects);
        broker.audited(now, bytes, &mut out);
        if self.broker.pressure() < Pressure::SlowReaders {
            return;
        }
        let (broker, links) = (&self.broker, &self.links);
        let is_given_up = |one: &Connection| {
            let survives = one.session().is_none_or(|key| broker.survives_closing(key));
            one.blocked_since.is_some() && survives
        };
        let slots = links.slots.iter().filter(|(_, one)| is_given_up(one)).map(|(slot, _)| slot);
        for slot in slots.collect::<Vec<u32>>() {
            self.broker.stats.memory_closed += 1;
            let (code, detail) = (ReasonCode::QuotaExceeded, "memory_limit is near");
            self.dismiss(now, slot, code, CloseReason::Violation { code, detail }, effects);
        }
    }

    fn opened(&mut self, now: Instant, connection: Connection) {
        let Connection { id: conn, listener, .. } = connection;
        if self.links.find(conn).is_some() || self.links.shutting_down {
            return;
        }
        self.observer.event(now, &Event::Opened { conn, peer: &connection.peer, listener });
        self.broker.stats.connections_opened += 1;
        self.broker.stats.connections_open += 1;
        self.broker.memory.opened();
        let slot = self.links.slots.insert(connection);
        self.links.by_id.insert(conn, slot);
        self.arm(now, slot);
    }

    fn water(&mut self, now: Instant, conn: ConnectionId, level: Water, effects: &mut Vec<Effect>) {
        let Some(slot) = self.links.find(conn) else { return };
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        match (level, connection.blocked_since) {
            (Water::High, None) => {
                if !connection.is_paused() {
                    effects.push(Effect::PauseRead { conn });
                }
                connection.blocked_since = Some(now);
                self.broker.memory.kept(self.links.config.broker.output_high_water.into());
                self.arm(now, slot);
            }
            (Water::Low, Some(since)) => {
                connection.blocked_since = None;
                connection.forgive(now, since);
                let session = connection.session();
                if !connection.is_paused() {
                    effects.push(Effect::ResumeRead { conn });
                }
                self.arm(now, slot);
                if let Some(key) = session {
                    let (broker, mut out) = self.parts(now, effects);
                    broker.unblocked(now, key, &mut out);
                }
            }
            _ => {}
        }
    }

    /// Wills first, so that those who are still connected get them; then everybody goes.
    fn shut_down(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.links.shutting_down = true;
        let slots: Vec<u32> = self.links.slots.iter().map(|(slot, _)| slot).collect();
        for slot in &slots {
            if let Some(key) = self.links.slots.get(*slot).and_then(Connection::session) {
                let (broker, mut out) = self.parts(now, effects);
                broker.publish_will_now(now, key, &mut out);
            }
        }
        for key in self.broker.delayed_wills() {
            let (broker, mut out) = self.parts(now, effects);
            broker.publish_will_now(now, key, &mut out);
        }
        for slot in slots {
            let code = ReasonCode::ServerShuttingDown;
            self.dismiss(now, slot, code, CloseReason::ShuttingDown, effects);
        }
    }

    /// Ends a connection with DISCONNECT, where the version has one, or a refusing CONNACK.
    fn dismiss(
        &mut self,
        now: Instant,
        slot: u32,
        code: ReasonCode,
        reason: CloseReason,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.links.slots.get(slot) else { return };
        let says_why = connection.version.is_v5() && connection.is_connected();
        if says_why {
            let text = reason.for_client(code).filter(|_| connection.wants_reasons);
            let packet = Disconnect { reason_string: text.as_deref(), ..Disconnect::new(code) };
            let (_, mut out) = self.parts(now, effects);
            out.write(slot, &Packet::Disconnect(packet));
        }
        self.lose(now, slot, reason, effects);
    }

    /// Answers a CONNECT that is refused, where the version has a code for it, and closes.
    fn refuse(
        &mut self,
        now: Instant,
        slot: u32,
        code: ReasonCode,
        detail: &'static str,
        effects: &mut Vec<Effect>,
    ) {
        self.broker.stats.connects_refused += 1;
        let reason = CloseReason::Refused { code, detail };
        let Some(connection) = self.links.slots.get(slot) else { return };
        if connection.version.is_v5() || code.v3_connect_code().is_some() {
            let text = reason.for_client(code).filter(|_| connection.wants_reasons);
            let properties =
                ConnackProperties { reason_string: text.as_deref(), ..Default::default() };
            let connack = Connack { session_present: false, reason: code, properties };
            let (_, mut out) = self.parts(now, effects);
            out.write(slot, &Packet::Connack(connack));
        }
        self.lose(now, slot, reason, effects);
    }

    /// Lets go of a connection: its Session learns that it is lost, the driver is told to close.
    fn lose(&mut self, now: Instant, slot: u32, reason: CloseReason, effects: &mut Vec<Effect>) {
        let session = self.links.slots.get(slot).and_then(Connection::session);
        let (broker, mut out) = self.parts(now, effects);
        out.remove(slot, reason, broker);
        if let Some(key) = session {
            broker.detach(now, key, Ending::Lost, &mut out);
        }
    }
}

impl Connections {
    fn new(config: Arc<Config>, seed: u64) -> Self {
        Self {
            slots: Arena::default(),
            by_id: map(seed),
            dirty: VecDeque::new(),
            farewell: VecDeque::new(),
            withheld: withheld::Withheld::default(),
            pool: Vec::new(),
            frames: Frames::default(),
            config,
            bytes_sent: 0,
            packets_sent: 0,
            publish_sent: [0; 3],
            publish_bytes_sent: [0; 3],
            unsendable: 0,
            shutting_down: false,
        }
    }

    #[inline]
    fn find(&self, conn: ConnectionId) -> Option<u32> {
        self.by_id.get(&conn).copied()
    }

    fn add_to(&self, stats: &mut Stats) {
        stats.bytes_sent += self.bytes_sent;
        stats.packets_sent += self.packets_sent;
        stats.publish_sent_qos0 += self.publish_sent[0];
        stats.publish_sent_qos1 += self.publish_sent[1];
        stats.publish_sent_qos2 += self.publish_sent[2];
        stats.publish_sent_bytes_qos0 += self.publish_bytes_sent[0];
        stats.publish_sent_bytes_qos1 += self.publish_bytes_sent[1];
        stats.publish_sent_bytes_qos2 += self.publish_bytes_sent[2];
        stats.drops.too_large += self.unsendable;
    }

    /// Moves what was counted since the last turn into `stats`.
    fn add_to_totals(&mut self, stats: &mut Stats) {
        self.add_to(stats);
        self.bytes_sent = 0;
        self.packets_sent = 0;
        self.publish_sent = [0; 3];
        self.publish_bytes_sent = [0; 3];
        self.unsendable = 0;
    }

    fn save(&self, to: &mut dyn Sink) {
        self.slots.save(to);
        self.dirty.save(to);
        u32::try_from(self.farewell.len()).unwrap_or(u32::MAX).save(to);
        for (conn, bytes) in &self.farewell {
            conn.0.save(to);
            crate::state::Opaque(bytes.clone().into()).save(to);
        }
        self.withheld.save(to);
        self.bytes_sent.save(to);
        self.packets_sent.save(to);
        for count in self.publish_sent.into_iter().chain(self.publish_bytes_sent) {
            count.save(to);
        }
        self.unsendable.save(to);
        self.shutting_down.save(to);
    }

    fn load(config: Arc<Config>, from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let mut links = Self::new(config, 0);
        links.slots = State::load(from)?;
        for (slot, connection) in links.slots.iter() {
            links.by_id.insert(connection.id, slot);
        }
        links.dirty = State::load(from)?;
        for _ in 0..u32::load(from)? {
            let conn = ConnectionId(u64::load(from)?);
            links.farewell.push_back((conn, crate::state::Opaque::load(from)?.0.into()));
        }
        links.withheld = State::load(from)?;
        links.bytes_sent = State::load(from)?;
        links.packets_sent = State::load(from)?;
        for count in links.publish_sent.iter_mut().chain(&mut links.publish_bytes_sent) {
            *count = u64::load(from)?;
        }
        links.unsendable = State::load(from)?;
        links.shutting_down = State::load(from)?;
        Ok(links)
    }
}
