//! A whole engine under arbitrary inputs: connections open, say anything in any slices, close, are
//! slow; time passes; the engine is replaced by its restored snapshot. No panic, one hash on both
//! sides of a snapshot, output only for connections that were opened, and memory that is given back
//! when everybody has gone.

#![no_main]

use halyard_core::codec;
use halyard_core::conf::{BrokerConfig, ListenerConfig};
use halyard_core::engine::{
    AdminCommand, Config, ConnectionId, Effect, Engine, Input, Peer, TransportEnd, Water,
};
use halyard_core::packet::{Connect, ConnectProperties, Packet, Version};
use halyard_core::time::{Instant, WallClock};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Connections that one run may open; a few, so that they meet.
const CONNECTIONS: u8 = 4;
/// What an engine may hold for one byte of input, and beside that: an order of magnitude above what
/// it needs, far below what a leak or an announced length would take.
const HELD_PER_BYTE: u64 = 200;
const HELD_MIN: u64 = 1 << 20;

struct Run {
    engine: Engine,
    config: Arc<Config>,
    now: Instant,
    open: Vec<Option<ConnectionId>>,
    ever: BTreeSet<ConnectionId>,
    effects: Vec<Effect>,
    said: u64,
}

fuzz_target!(|data: &[u8]| {
    let Some((&setup, data)) = data.split_first() else { return };
    let mut run = Run::new(setup);
    let mut rest = data;
    while let Some((&[what, size], tail)) = rest.split_first_chunk::<2>() {
        let (argument, tail) = tail.split_at(usize::from(size).min(tail.len()));
        rest = tail;
        run.act(what, size, argument);
    }
    run.end();
});

impl Run {
    fn new(setup: u8) -> Self {
        let tight = setup & 1 == 1;
        let broker = BrokerConfig {
            // Now and then only: it is most of the work.
            sys_interval_secs: u32::from(setup >> 5 == 1),
            max_inflight_messages: if tight { 1 } else { 20 },
            max_queued_messages: if tight { 2 } else { 1_000 },
            output_high_water: if tight { 100 } else { 262_144 },
            output_low_water: 50,
            turn_budget_bytes: if tight { 100 } else { 1_048_576 },
            queue_qos0_messages: setup & 4 != 0,
            // Every Session ends, so that at the end nothing may be left.
            persistent_client_expiration_secs: Some(60),
            retain_expiry_secs: Some(60),
            ..BrokerConfig::default()
        };
        let listener = ListenerConfig {
            max_qos: if setup & 8 == 0 { 2 } else { 1 },
            mount_point: (setup & 16 != 0).then(|| "m/".to_owned()),
            ..ListenerConfig::default()
        };
        let config = Arc::new(Config::single(broker, vec![listener]));
        let engine =
            Engine::new(Arc::clone(&config), u64::from(setup), Instant::ZERO, WallClock(0), ());
        Self {
            engine,
            config,
            now: Instant::ZERO,
            open: vec![None; usize::from(CONNECTIONS)],
            ever: BTreeSet::new(),
            effects: Vec::new(),
            said: 0,
        }
    }

    fn act(&mut self, what: u8, size: u8, argument: &[u8]) {
        let slot = usize::from(what >> 4) % usize::from(CONNECTIONS);
        let conn = self.open[slot];
        match (what & 15, conn) {
            (0, _) => self.open(slot),
            (1, None) => self.enter(slot, size),
            (1..=7, Some(conn)) => {
                self.said += argument.len() as u64;
                self.input(Input::Bytes { conn, chunk: argument });
            }
            (8, Some(conn)) => {
                self.open[slot] = None;
                let cause = if size & 1 == 0 { TransportEnd::Eof } else { TransportEnd::Broken };
                self.input(Input::Closed { conn, cause });
            }
            (9, Some(conn)) => {
                let level = if size & 1 == 0 { Water::High } else { Water::Low };
                self.input(Input::Water { conn, level });
            }
            (10, _) => self.restore(),
            (11, _) => {
                let client_id = String::from_utf8_lossy(argument).into_owned();
                let command = AdminCommand::Disconnect { client_id };
                self.input(Input::Admin { request: 1, command });
            }
            (12, _) => {
                self.now = self.now.plus_millis(u64::from(size) * 100);
                self.turn();
            }
            _ => self.turn(),
        }
        assert!(self.engine.footprint() <= HELD_MIN + HELD_PER_BYTE * self.said);
    }

    fn open(&mut self, slot: usize) {
        if self.open[slot].is_some() {
            return;
        }
        let conn = ConnectionId(self.ever.len() as u64 + 1);
        self.ever.insert(conn);
        self.open[slot] = Some(conn);
        self.input(Input::opened(conn, Peer::Local, 0, self.now));
    }

    /// A connection with a CONNECT, so that it need not be guessed byte by byte.
    fn enter(&mut self, slot: usize, size: u8) {
        self.open(slot);
        let Some(conn) = self.open[slot] else { return };
        let version = match size & 3 {
            0 => Version::V3,
            1 => Version::V4,
            _ => Version::V5,
        };
        let client_id = ["a", "b", "c"][usize::from(size >> 2) % 3];
        let mut bytes = Vec::new();
        let packet = Packet::Connect(Connect {
            version,
            clean_start: size & 16 != 0,
            keep_alive: u16::from(size >> 5),
            client_id,
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties {
                session_expiry_interval: version.is_v5().then_some(30),
                topic_alias_maximum: version.is_v5().then_some(2),
                ..ConnectProperties::default()
            },
            bridge: false,
        });
        codec::encode(&packet, version, &mut bytes);
        self.said += bytes.len() as u64;
        self.input(Input::Bytes { conn, chunk: &bytes });
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input, &mut self.effects);
        for effect in self.effects.drain(..) {
            if let Effect::Close { conn, .. } = effect {
                for slot in &mut self.open {
                    if *slot == Some(conn) {
                        *slot = None;
                    }
                }
            }
        }
    }

    /// The rest of a driver's turn, and the beginning of the next.
    fn turn(&mut self) {
        while let Some((conn, bytes)) = self.engine.take_output() {
            assert!(self.ever.contains(&conn));
            self.engine.recycle(bytes);
        }
        self.input(Input::Turn { wall: WallClock(self.now.0 / 1000) });
    }

    fn restore(&mut self) {
        let snapshot = self.engine.snapshot();
        let restored = Engine::restore(Arc::clone(&self.config), &snapshot, ())
            .expect("an engine restores its own snapshot");
        assert_eq!(restored.state_hash(), self.engine.state_hash());
        assert_eq!(restored.snapshot(), snapshot);
        self.engine = restored;
    }

    /// Everybody goes; when all that has a time has ended, nothing is left but `$SYS`.
    fn end(&mut self) {
        self.restore();
        for slot in 0..self.open.len() {
            if let Some(conn) = self.open[slot].take() {
                self.input(Input::Closed { conn, cause: TransportEnd::Broken });
            }
        }
        for _ in 0..4 {
            self.now = self.now.plus_secs(61);
            // What waits for its turn gets one.
            for _ in 0..1_000 {
                self.turn();
                if self.engine.next_timeout() != Some(Instant::ZERO) {
                    break;
                }
            }
        }
        let stats = self.engine.stats();
        assert_eq!((stats.clients_total, stats.clients_connected, stats.subscriptions), (0, 0, 0));
        if self.config.broker.sys_interval_secs == 0 {
            assert_eq!(self.engine.footprint(), 0);
            assert_eq!(self.engine.next_timeout(), None);
        }
    }
}
