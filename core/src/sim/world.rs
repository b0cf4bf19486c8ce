//! A whole world in one value: engines, clients, the network between them and one clock. Seeded and
//! single-threaded: the same seed and the same calls give the same run, to the byte, on every
//! target. It drives engines by the contract of `engine`, as every driver does, and judges nothing:
//! that is the oracle's part.

use super::clock::Clock;
use super::network::Conditions;
use super::oracle::Oracle;
use super::station::Station;
use super::turn::Node;
use super::wire::{Cut, Wire};
use crate::engine::{Config, ShardId};
use crate::journal::Image;
use crate::rng::Rng;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Steps after which a world that should come to rest is given up.
const STEPS_MAX: u64 = 2_000_000;

/// The world. See the [module](super).
#[derive(Debug)]
pub struct World {
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) conditions: Conditions,
    pub(super) nodes: Vec<Node>,
    /// By connection number.
    pub(super) wires: BTreeMap<u64, Wire>,
    pub(super) stations: Vec<Station>,
    pub(super) oracle: Oracle,
    /// What the records of all engines so far amount to.
    pub(super) image: Image<Box<[u8]>>,
    pub(super) next_conn: u64,
    /// How often of a thousand turns an engine is replaced by its own snapshot, restored.
    pub(super) restores: u64,
    pub(super) restore_rng: Rng,
    pub(super) trace: Option<Vec<String>>,
    steps: u64,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Turn(usize),
    Wire(u64),
    Station(usize),
}

impl World {
    /// A world with one engine of default configuration and a quiet network.
    pub fn new(seed: u64) -> Self {
        Self::with_config(seed, super::default_config())
    }

    /// A world with an engine for each shard of this configuration, joined by links.
    pub fn with_config(seed: u64, config: Config) -> Self {
        let mut rng = Rng::new(seed);
        let clock = Clock::new();
        let shards = config.shards.max(1);
        let nodes: Vec<Node> = (0..shards)
            .map(|shard| {
                let config = Config { shard: ShardId(shard), shards, ..config.clone() };
                Node::new(Arc::new(config), rng.next_u64(), &clock)
            })
            .collect();
        let restore_rng = Rng::new(rng.next_u64());
        let mut world = Self {
            image: Image::new(),
            oracle: Oracle::new(&config),
            clock,
            conditions: Conditions::default(),
            nodes,
            wires: BTreeMap::new(),
            stations: Vec::new(),
            next_conn: 1,
            restores: 0,
            restore_rng,
            trace: None,
            steps: 0,
            rng,
        };
        world.begin_image();
        world
    }

    /// Sets how the network behaves from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Replaces the engine by its restored snapshot in so many of a thousand turns, and checks that
    /// both have one hash.
    pub fn set_restores(&mut self, of_thousand: u64) {
        self.restores = of_thousand;
    }

    /// Notes every packet and event as a line from now on; see [`Self::trace_lines`].
    pub fn set_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// The lines noted since [`Self::set_trace`].
    pub fn trace_lines(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// The present.
    pub const fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What the oracle found wrong so far.
    pub fn violations(&self) -> &[String] {
        self.oracle.violations()
    }

    /// How many things have happened.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Lets time pass and everything that is due in it happen.
    pub fn run_for_ms(&mut self, millis: u64) {
        let end = self.clock.now().plus_millis(millis);
        while let Some((at, due)) = self.next(true)
            && at <= end
        {
            self.step(at, due);
        }
        self.clock.advance_to(end);
    }

    /// Lets everything happen that is in motion: bytes under way, connections being opened, work
    /// left over. Timers that lie further ahead do not fire. `false` if there is no end to it.
    pub fn run_until_idle(&mut self) -> bool {
        let begin = self.steps;
        while self.next(false).is_some() {
            let Some((at, due)) = self.next(true) else { break };
            self.step(at, due);
            if self.steps - begin > STEPS_MAX {
                self.oracle.blame(format!("no rest after {STEPS_MAX} steps"));
                return false;
            }
        }
        true
    }

    /// Cuts the connection of a client once `at_byte` more bytes have arrived at either end; both
    /// ends learn of it at once. What is in transit is lost.
    pub fn cut_link(&mut self, client: &str, at_byte: u64) {
        let learns = Some(0);
        let cut = Cut { after_bytes: at_byte, client_learns_us: learns, server_learns_us: learns };
        self.cut(client, cut);
    }

    /// Cuts the connection of a client, as told. A client without connection is left alone.
    pub fn cut(&mut self, client: &str, cut: Cut) {
        let Some(station) = self.stations.iter().position(|one| one.name == client) else { return };
        let Some(conn) = self.stations[station].wire else { return };
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if wire.to_client.is_severed() {
            return;
        }
        if cut.after_bytes == 0 {
            wire.sever(self.clock.now(), cut);
        } else {
            wire.cut = Some(cut);
        }
    }

    /// Ends all faults: planned cuts are called off, half-open connections are found out, stalled
    /// clients read again.
    pub fn heal(&mut self) {
        let now = self.clock.now();
        for wire in self.wires.values_mut() {
            wire.cut = None;
            if wire.to_client.is_severed() {
                wire.sever(
                    now,
                    Cut { after_bytes: 0, client_learns_us: Some(0), server_learns_us: Some(0) },
                );
            }
        }
        for station in 0..self.stations.len() {
            self.unstall(station);
        }
    }

    /// The first thing to happen; without `timers`, only what is in motion. Of things at one time
    /// any may come first.
    fn next(&mut self, timers: bool) -> Option<(Instant, Due)> {
        let now = self.clock.now();
        let mut first: Option<Instant> = None;
        let mut due = [Due::Turn(0); 8];
        let mut count = 0_usize;
        let mut offer = |at: Option<Instant>, what: Due| {
            let Some(at) = at.map(|at| at.max(now)) else { return };
            if first.is_none_or(|first| at < first) {
                (first, count) = (Some(at), 0);
            }
            if first == Some(at) && count < due.len() {
                due[count] = what;
                count += 1;
            }
        };
        for (index, node) in self.nodes.iter().enumerate() {
            offer(node.next(timers), Due::Turn(index));
        }
        for (conn, wire) in &self.wires {
            offer(wire.next(), Due::Wire(*conn));
        }
        if timers {
            for (index, station) in self.stations.iter().enumerate() {
                offer(station.next(), Due::Station(index));
            }
        }
        let at = first?;
        let pick = if count > 1 && timers { self.rng.below(count as u64) } else { 0 };
        Some((at, due[usize::try_from(pick).unwrap_or(0)]))
    }

    fn step(&mut self, at: Instant, due: Due) {
        self.steps += 1;
        self.clock.advance_to(at);
        match due {
            Due::Turn(node) => self.turn(node),
            Due::Wire(conn) => self.wire_moves(conn),
            Due::Station(station) => self.wake(station),
        }
    }

    /// Something arrives at an end of a connection.
    fn wire_moves(&mut self, conn: u64) {
        let now = self.clock.now();
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        let (station, node) = (wire.station, wire.node);
        if wire.arrive(now)
            && let Some(cut) = wire.cut
        {
            wire.sever(now, cut);
        }
        if wire.is_open(now) && !wire.client_open && !wire.client_done {
            wire.client_open = true;
            self.opened(station);
        }
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if wire.server_closing.is_some_and(|deadline| deadline <= now) {
            wire.flush_server(now, &self.conditions, &mut self.rng);
        }
        let (server, client) = (wire.wakes_server(now), wire.wakes_client(now));
        if server {
            self.nodes[node].wants_turn(now, &mut self.rng);
        }
        if client {
            self.read(station, conn);
        }
        self.forget_if_over(conn);
    }

    pub(super) fn forget_if_over(&mut self, conn: u64) {
        if self.wires.get(&conn).is_some_and(Wire::is_over) {
            self.wires.remove(&conn);
        }
    }
}
