//! A broker for a page: an engine with an observer, driven by numbers and bytes. The caller gives
//! the time, real or virtual, with every call; nothing here reads a clock or keeps a socket.

use crate::convert;
use crate::records::{Put, output};
use crate::trace::Trace;
use halyard_core::conf::ListenerConfig;
use halyard_core::engine::{
    AdminCommand, Config, ConnectionId, Effect, Engine, Input, Peer, TransportEnd, Water,
};
use std::sync::Arc;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

/// A broker. All times are microseconds and never go back.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Broker {
    engine: Engine<Trace>,
    effects: Vec<Effect>,
    last_conn: u32,
}

#[wasm_bindgen]
impl Broker {
    /// An empty broker. `seed` keys its hashes and its generator: the same seed and calls give the
    /// same state.
    ///
    /// # Errors
    /// If an option is not what it may be.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue, seed: u64, now: f64, wall: f64) -> Result<Self, JsError> {
        let config = convert::broker_config(options)?;
        let config = Arc::new(Config::single(config, vec![ListenerConfig::default()]));
        let (now, wall) = (convert::instant(now), convert::wall(wall));
        let engine = Engine::new(config, seed, now, wall, Trace::default());
        Ok(Self { engine, effects: Vec::new(), last_conn: 0 })
    }

    /// Begins a turn: everything drained so far was delivered, timers that are due fire.
    pub fn turn(&mut self, now: f64, wall: f64) {
        self.handle(now, Input::Turn { wall: convert::wall(wall) });
    }

    /// A connection was made; gives its number, which is never used again.
    pub fn open(&mut self, now: f64) -> u32 {
        self.last_conn += 1;
        let conn = id(self.last_conn);
        self.handle(now, Input::opened(conn, Peer::Local, 0, convert::instant(now)));
        self.last_conn
    }

    /// Bytes came from a connection, cut anywhere.
    pub fn feed(&mut self, now: f64, conn: u32, chunk: &[u8]) {
        self.handle(now, Input::Bytes { conn: id(conn), chunk });
    }

    /// A connection ended; `broken` if it was not closed in order.
    pub fn closed(&mut self, now: f64, conn: u32, broken: bool) {
        let cause = if broken { TransportEnd::Broken } else { TransportEnd::Eof };
        self.handle(now, Input::Closed { conn: id(conn), cause });
    }

    /// What waits unsent for a connection is above the high mark, or below the low one again.
    pub fn water(&mut self, now: f64, conn: u32, high: bool) {
        let level = if high { Water::High } else { Water::Low };
        self.handle(now, Input::Water { conn: id(conn), level });
    }

    /// Says goodbye to everyone, wills included.
    #[wasm_bindgen(js_name = shutDown)]
    pub fn shut_down(&mut self, now: f64) {
        self.handle(now, Input::Admin { request: 0, command: AdminCommand::Shutdown });
    }

    /// Takes what is to be done, as records: the bytes for each connection, then what else.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while let Some((conn, bytes)) = self.engine.take_output() {
            records.put_u8(output::OUTPUT);
            records.put_u32(number(conn));
            records.put_blob(&bytes);
            self.engine.recycle(bytes);
        }
        for effect in self.effects.drain(..) {
            put_effect(&mut records, &effect);
        }
        records
    }

    /// When the next turn is due at the latest; `undefined` if none is.
    #[wasm_bindgen(js_name = nextTimeout)]
    pub fn next_timeout(&self) -> Option<f64> {
        self.engine.next_timeout().map(|at| convert::number(at.0))
    }

    /// Whether packets and events are noted for [`Self::take_trace`].
    #[wasm_bindgen(js_name = setTracing)]
    pub fn set_tracing(&mut self, on: bool) {
        self.engine.observer_mut().set(on);
    }

    /// Takes what was noted, as records.
    #[wasm_bindgen(js_name = takeTrace)]
    pub fn take_trace(&mut self) -> Vec<u8> {
        self.engine.observer_mut().take()
    }

    /// Records that found no room since the beginning, because nobody took the others.
    #[wasm_bindgen(js_name = missedTrace)]
    pub fn missed_trace(&self) -> f64 {
        convert::number(self.engine.observer().missed())
    }

    /// A hash of all state, the same natively and here.
    #[wasm_bindgen(js_name = stateHash)]
    pub fn state_hash(&self) -> u64 {
        self.engine.state_hash()
    }

    /// Bytes held for clients, by formulae of lengths.
    pub fn footprint(&self) -> f64 {
        convert::number(self.engine.footprint())
    }

    fn handle(&mut self, now: f64, input: Input<'_>) {
        self.engine.handle(convert::instant(now), input, &mut self.effects);
    }
}

fn id(conn: u32) -> ConnectionId {
    ConnectionId(u64::from(conn))
}

/// The number of a connection, which was a u32 when it came in.
pub(crate) fn number(conn: ConnectionId) -> u32 {
    u32::try_from(conn.0).unwrap_or(0)
}

fn put_effect(records: &mut Vec<u8>, effect: &Effect) {
    match effect {
        Effect::Close { conn, reason } => {
            records.put_u8(output::CLOSE);
            records.put_u32(number(*conn));
            records.put_text(&reason.to_string());
        }
        Effect::PauseRead { conn } => {
            records.put_u8(output::PAUSE);
            records.put_u32(number(*conn));
        }
        Effect::ResumeRead { conn } => {
            records.put_u8(output::RESUME);
            records.put_u32(number(*conn));
        }
        // A page's broker has no users: it asks nobody who he is.
        Effect::Authenticate(_) => {}
        // The page asks only for what answers itself, and one shard has no link.
        Effect::Answer { .. } | Effect::Link { .. } => {}
    }
}
