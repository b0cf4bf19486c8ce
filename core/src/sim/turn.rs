//! The server's driver in the simulator: the turn of every driver (begin, read, handle, write each
//! dirty connection once, close), over simulated sockets and links. It decides nothing that an engine decides.

use super::clock::Clock;
use super::watch::Watch;
use super::world::World;
use crate::auth::{Credential, Denial, Grant, Verdict};
use crate::engine::{
    AdminReply, AuthRequest, Config, ConnectionId, DiskState, Effect, Engine, Input, LinkMessage,
    Peer, ShardId, Water,
};
use crate::journal::{FORMAT, Image, Lsn, Op};
use crate::rng::Rng;
use crate::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;

/// A turn takes at least so long, microseconds.
const TURN_US: u64 = 50;
/// How long a driver goes on sending to a connection that the engine closed, seconds.
const LINGER_SECS: u64 = 5;
/// Reads of one connection in one turn, at most.
const READS_MAX: u64 = 4;
/// A store that never fails takes up to so long, microseconds.
const STORE_US: u64 = 5_000;

/// An engine and its driver.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) engine: Engine<Watch>,
    pub(super) config: Arc<Config>,
    pub(super) answers: Vec<(u64, AdminReply)>,
    /// Who is to be found out and was not yet.
    questions: Vec<AuthRequest>,
    turn_at: Option<Instant>,
    rests_until: Instant,
    waters: Vec<(ConnectionId, Water)>,
    effects: Vec<Effect>,
    /// Messages from other shards, in order.
    inbox: VecDeque<(ShardId, LinkMessage)>,
    /// Batches handed to the store, and when they will be durable.
    storing: VecDeque<(Instant, Lsn)>,
}

impl Node {
    pub(super) fn new(config: Arc<Config>, seed: u64, clock: &Clock) -> Self {
        let engine =
            Engine::new(Arc::clone(&config), seed, clock.now(), clock.wall(), Watch::default());
        Self {
            engine,
            config,
            answers: Vec::new(),
            questions: Vec::new(),
            turn_at: None,
            rests_until: Instant::ZERO,
            waters: Vec::new(),
            effects: Vec::new(),
            inbox: VecDeque::new(),
            storing: VecDeque::new(),
        }
    }

    /// When the next turn begins; without `timers`, only if there is something in motion.
    pub(super) fn next(&self, timers: bool) -> Option<Instant> {
        let engine = self.engine.next_timeout().filter(|at| timers || *at == Instant::ZERO);
        let stored = self.storing.front().map(|(at, _)| *at);
        let at = [self.turn_at, engine, stored].into_iter().flatten().min()?;
        Some(at.max(self.rests_until))
    }

    /// Something is ready: a turn begins soon.
    pub(super) fn wants_turn(&mut self, now: Instant, rng: &mut Rng) {
        if self.turn_at.is_none() {
            self.turn_at = Some(Instant(now.0 + rng.below(2 * TURN_US)));
        }
    }
}

impl World {
    /// One turn of an engine's driver.
    pub(super) fn turn(&mut self, node: usize) {
        let now = self.clock.now();
        let wall = self.clock.wall();
        self.nodes[node].turn_at = None;
        self.nodes[node].rests_until = Instant(now.0 + TURN_US);
        self.input(node, Input::Turn { wall });
        for (conn, level) in core::mem::take(&mut self.nodes[node].waters) {
            self.input(node, Input::Water { conn, level });
        }
        while let Some((at, lsn)) = self.nodes[node].storing.front().copied()
            && at <= now
        {
            self.nodes[node].storing.pop_front();
            self.input(node, Input::Durable { lsn });
        }
        self.answer(node);
        // Links come before what was read, and are handed over before anything is written: so
        // whoever acts on an acknowledgement acts after all shards can know.
        for _ in 0..self.nodes[node].inbox.len() {
            let Some((peer, message)) = self.nodes[node].inbox.pop_front() else { break };
            self.oracle.handed_over(message.published());
            self.input(node, Input::Link { peer, message });
        }
        for conn in self.ready(node) {
            self.serve(node, conn);
        }
        self.store(node);
        self.hand_over(node);
        self.write(node);
        self.perform(node);
        self.restore_perhaps(node);
        self.oracle.end_of_turn(now, node);
    }

    /// Says who clients are, some of them later and in any order. A password is whatever the client
    /// says, so that a snapshot need not hold it: who is in the file is let in.
    fn answer(&mut self, node: usize) {
        let now = self.clock.now();
        for question in core::mem::take(&mut self.nodes[node].questions) {
            if self.rng.chance(500) {
                self.nodes[node].questions.push(question);
                self.nodes[node].wants_turn(now, &mut self.rng);
                continue;
            }
            let AuthRequest { conn, request, .. } = question;
            let verdict = verdict(&question);
            self.input(node, Input::Authenticated { conn, request, verdict });
        }
    }

    /// Connections with something to handle, in any order.
    fn ready(&mut self, node: usize) -> Vec<u64> {
        let now = self.clock.now();
        let wires = self.wires.iter();
        let ready = wires.filter(|(_, wire)| wire.node == node && wire.wakes_server(now));
        let mut ready: Vec<u64> = ready.map(|(conn, _)| *conn).collect();
        for last in (1..ready.len()).rev() {
            let other = usize::try_from(self.rng.below(last as u64 + 1)).unwrap_or(0);
            ready.swap(last, other);
        }
        ready
    }

    /// Reads one connection and handles what came.
    fn serve(&mut self, node: usize, conn: u64) {
        let now = self.clock.now();
        let id = ConnectionId(conn);
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if !wire.server_open {
            wire.server_open = true;
            let listener = wire.listener;
            self.input(node, Input::opened(id, Peer::Local, listener, now));
        }
        for _ in 0..self.rng.between(1, READS_MAX) {
            let Some(wire) = self.wires.get_mut(&conn) else { return };
            if wire.paused || !wire.to_server.has_arrived() {
                break;
            }
            let chunk = wire.to_server.read(&self.conditions, &mut self.rng);
            let station = wire.station;
            self.input(node, Input::Bytes { conn: id, chunk: &chunk });
            self.write_client(conn, station);
        }
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if let Some(cause) = wire.to_server.ended(now) {
            wire.server_done = true;
            wire.to_server.abandon();
            wire.server_backlog.clear();
            self.input(node, Input::Closed { conn: id, cause });
            self.oracle.transport_gone(conn);
            let Some(wire) = self.wires.get_mut(&conn) else { return };
            wire.to_client.finish(now, &self.conditions, &mut self.rng);
            self.forget_if_over(conn);
        } else if wire.wakes_server(now) {
            self.nodes[node].wants_turn(now, &mut self.rng);
        }
    }

    /// Hands an input to an engine, and to the oracle what the engine did with it.
    pub(super) fn input(&mut self, node: usize, input: Input<'_>) {
        let now = self.clock.now();
        let one = &mut self.nodes[node];
        one.engine.handle(now, input, &mut one.effects);
        let seen = core::mem::take(&mut one.engine.observer_mut().seen);
        for one in seen {
            if let Some(trace) = &mut self.trace {
                trace.push(super::oracle::trace_line(now, &one));
            }
            self.oracle.see(now, one);
        }
    }

    /// The disk of the store is full, or has room again.
    pub fn disk(&mut self, state: DiskState) {
        self.oracle.disk_is_full(state == DiskState::Full);
        for node in 0..self.nodes.len() {
            self.input(node, Input::Disk(state));
            let now = self.clock.now();
            self.nodes[node].wants_turn(now, &mut self.rng);
        }
    }

    /// Hands the records of this turn to a store that never fails and takes some time.
    fn store(&mut self, node: usize) {
        let now = self.clock.now();
        let one = &mut self.nodes[node];
        let Some(batch) = one.engine.take_records() else { return };
        let last = one.storing.back().map_or(now, |(at, _)| *at);
        let at = Instant(now.0 + self.rng.below(STORE_US)).max(last);
        one.storing.push_back((at, batch.lsn));
        let shard = one.config.shard.0;
        if let Err(error) = self.image.apply(shard, &batch.bytes, |body, _| body.into()) {
            self.oracle.blame(format!("a record of shard {shard} does not fit: {error}"));
        }
        if self.rng.chance(100) {
            self.check_image(node);
        }
    }

    /// What the records amount to is what the engine would have to remember.
    pub(super) fn check_image(&mut self, node: usize) {
        let one = &self.nodes[node];
        if !one.config.broker.persistence {
            return;
        }
        let (shard, held) = (one.config.shard.0, one.engine.image());
        let written = &self.image.shards[usize::from(shard)];
        if *written != held {
            let difference = super::describe_difference(written, &held);
            self.oracle.blame(format!("shard {shard}: the records say otherwise: {difference}"));
        }
    }

    /// Gives messages for other shards to them.
    fn hand_over(&mut self, node: usize) {
        let now = self.clock.now();
        let from = self.nodes[node].config.shard;
        let mut rest = Vec::new();
        for effect in core::mem::take(&mut self.nodes[node].effects) {
            let Effect::Link { peer, message } = effect else {
                rest.push(effect);
                continue;
            };
            if let Some(other) = self.nodes.iter_mut().find(|other| other.config.shard == peer) {
                other.inbox.push_back((from, message));
                other.wants_turn(now, &mut self.rng);
            }
        }
        self.nodes[node].effects = rest;
    }

    /// Takes the output of each connection once and sends what its socket takes.
    fn write(&mut self, node: usize) {
        while let Some((id, mut bytes)) = self.nodes[node].engine.take_output() {
            self.oracle.output(id, &bytes);
            if let Some(wire) = self.wires.get_mut(&id.0)
                && !wire.server_done
            {
                wire.server_backlog.append(&mut bytes);
            }
            bytes.clear();
            self.nodes[node].engine.recycle(bytes);
            self.write_server(id.0);
        }
        let nodes = &self.nodes;
        let waits = |conn| nodes.iter().any(|node| node.engine.is_withheld(conn));
        self.oracle.all_output_taken(waits);
    }

    /// Sends what waits at the server's end of a connection, and watches the marks.
    pub(super) fn write_server(&mut self, conn: u64) {
        let now = self.clock.now();
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.flush_server(now, &self.conditions, &mut self.rng);
        let node = &mut self.nodes[wire.node];
        let backlog = wire.server_backlog.len() as u64;
        let config = &node.config.broker;
        let level = if !wire.high && backlog > u64::from(config.output_high_water) {
            Water::High
        } else if wire.high && backlog < u64::from(config.output_low_water) {
            Water::Low
        } else {
            return;
        };
        wire.high = level == Water::High;
        node.waters.push((ConnectionId(conn), level));
        node.wants_turn(now, &mut self.rng);
    }

    /// Does the effects, in order.
    fn perform(&mut self, node: usize) {
        let now = self.clock.now();
        for effect in core::mem::take(&mut self.nodes[node].effects) {
            match effect {
                Effect::Close { conn, .. } => {
                    if let Some(wire) = self.wires.get_mut(&conn.0)
                        && !wire.server_done
                    {
                        wire.server_closing = Some(now.plus_secs(LINGER_SECS));
                        wire.flush_server(now, &self.conditions, &mut self.rng);
                    }
                    self.forget_if_over(conn.0);
                }
                Effect::PauseRead { conn } => {
                    if let Some(wire) = self.wires.get_mut(&conn.0) {
                        wire.paused = true;
                    }
                }
                Effect::ResumeRead { conn } => {
                    if let Some(wire) = self.wires.get_mut(&conn.0) {
                        wire.paused = false;
                        self.nodes[node].wants_turn(now, &mut self.rng);
                    }
                }
                Effect::Answer { request, reply } => {
                    self.nodes[node].answers.push((request, reply));
                }
                Effect::Authenticate(request) => {
                    self.nodes[node].questions.push(*request);
                    self.nodes[node].wants_turn(now, &mut self.rng);
                }
                Effect::Link { .. } => {}
            }
        }
    }

    /// Goes on with a restored snapshot instead of the engine, now and then.
    fn restore_perhaps(&mut self, node: usize) {
        if !self.restore_rng.chance(self.restores) {
            return;
        }
        self.restore(node);
    }

    /// Goes on with a restored snapshot instead of the engine: nothing may change.
    pub(super) fn restore(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        let before = one.engine.state_hash();
        let bytes = one.engine.snapshot();
        match Engine::restore(Arc::clone(&one.config), &bytes, Watch::default()) {
            Err(error) => self.oracle.blame(format!("a snapshot cannot be restored: {error:?}")),
            Ok(engine) => {
                let after = engine.state_hash();
                if after != before {
                    self.oracle.blame(format!("restored hash {after:016x}, not {before:016x}"));
                }
                if engine.snapshot() != bytes {
                    self.oracle.blame("a restored engine has another snapshot".to_owned());
                }
                one.engine = engine;
            }
        }
    }

    /// All records so far are forgotten.
    pub(super) fn begin_image(&mut self) {
        let shards = u16::try_from(self.nodes.len()).unwrap_or(1);
        let mut batch = vec![FORMAT];
        Op::Start { epoch: 1, shards, wall: self.clock.wall().0, key: 0 }.encode(&mut batch);
        self.image = Image::new();
        if let Err(error) = self.image.apply(0, &batch, |body, _| body.into()) {
            self.oracle.blame(format!("a start is no record: {error}"));
        }
    }

    /// A broker without a store is started anew: connections break, sessions are gone.
    pub fn restart_broker(&mut self) {
        let now = self.clock.now();
        for node in 0..self.nodes.len() {
            let seed = self.rng.next_u64();
            let config = Arc::clone(&self.nodes[node].config);
            self.nodes[node] = Node::new(config, seed, &self.clock);
            for wire in self.wires.values_mut().filter(|wire| wire.node == node) {
                wire.server_done = true;
                wire.server_closing = None;
                wire.server_backlog.clear();
                wire.cut = None;
                let learns = Some(self.rng.below(200_000));
                wire.sever(
                    now,
                    super::Cut { after_bytes: 0, client_learns_us: learns, server_learns_us: None },
                );
            }
        }
        self.wires.retain(|_, wire| !wire.is_over());
        self.begin_image();
        self.oracle.broker_restarted();
    }
}

fn verdict(question: &AuthRequest) -> Verdict {
    let AuthRequest { username, authority, .. } = question;
    let users = authority.users.as_ref();
    let user = users.zip(username.as_deref()).and_then(|(users, name)| users.get(name));
    let Some(user) = user else { return Verdict::Denied(Denial::Credentials) };
    let grant = Grant {
        username: username.as_deref().map(Into::into),
        credential: Credential::User(user.fingerprint),
        expires: None,
        rights: None,
    };
    Verdict::Granted { grant: Arc::new(grant), data: Box::default() }
}
