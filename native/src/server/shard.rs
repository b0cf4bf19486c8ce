//! One shard: an engine, its connections, and the turn that drives them (DESIGN §4.3). It reads
//! what is ready, handles what was read, and writes every connection that got output once. It is
//! one future; no connection has a task, a lock or a buffer of its own.

use super::arena::Arena;
use super::asks::Asks;
use super::greet::Greeters;
use super::greet::HANDSHAKE_MICROS;
use super::intake::Intake;
use super::intake::Next;
use super::listener::Acceptors;
use super::mailbox::Mailbox;
use super::table::Table;
use super::timer::Timer;
use super::wake::Ready;
use super::wake::Token;
use crate::auth::Authenticator;
use crate::auth::Reply;
use crate::clock::Clock;
use crate::log::Lines;
use crate::log::Log;
use crate::metrics::DriverStats;
use crate::settings::Settings;
use crate::store::Inlet;
use halyard_core::engine::CloseReason;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::Effect;
use halyard_core::engine::Engine;
use halyard_core::engine::Input;
use halyard_core::engine::ShardId;
use halyard_core::time::Instant;
use std::future::Future;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

/// A shard; it is done when it was told to stop and all its connections are closed.
pub(super) struct Shard {
    pub(super) engine: Engine<Lines>,
    pub(super) settings: Arc<Settings>,
    pub(super) acceptors: Acceptors,
    pub(super) ready: Arc<Ready>,
    /// Which of `shards` it is.
    pub(super) number: ShardId,
    /// The mailboxes of all shards.
    pub(super) shards: Arc<[Mailbox]>,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) timer: Timer,
    pub(super) table: Table,
    /// What is ready and was not read yet.
    pub(super) tokens: Vec<Token>,
    pub(super) arena: Arena,
    pub(super) effects: Vec<Effect>,
    /// Connections to close once their output is written.
    pub(super) closing: Vec<(ConnectionId, CloseReason)>,
    /// When it ends at the latest, once it was told to stop.
    pub(super) stop_by: Option<Instant>,
    /// Answers who a client is, here or by `reply`.
    pub(super) auth: Arc<Authenticator>,
    pub(super) reply: Reply,
    /// The way to the store, with `persistence true`.
    pub(super) store: Option<Inlet>,
    /// Connections whose handshakes are under way.
    pub(super) greeters: Greeters,
    pub(super) driver: DriverStats,
    pub(super) asks: Asks,
}

impl Future for Shard {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(cx)
    }
}

impl Shard {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.now();
        self.engine.handle(now, Input::Turn { wall: Clock::wall() }, &mut self.effects);
        self.ready.take(&mut self.tokens);
        self.accept(now);
        self.read_handshakes();
        self.read_sockets();
        let read = self.clock.now();
        let is_busy = !self.arena.reads.is_empty();
        self.drain_mailbox(now);
        self.handle_reads(now);
        self.end_overdue(now);
        self.perform(now);
        let handled = self.clock.now();
        let wrote = self.write_sockets(now);
        self.driver.turns += 1;
        if is_busy {
            self.driver.handle.record(handled.0 - read.0);
        }
        if wrote {
            self.driver.flush.record(self.clock.now().0 - handled.0);
        }
        self.close(now);
        self.log.flush();
        if self.has_stopped(now) {
            return Poll::Ready(());
        }
        self.rest(cx, now);
        Poll::Pending
    }

    /// Goes on with handshakes for their share of the turn; what they cost is arithmetic.
    fn read_handshakes(&mut self) {
        let begin = self.clock.now();
        while let Some(id) = self.greeters.pop() {
            let Some(conn) = self.table.get(id) else { continue };
            conn.queued = false;
            self.arena.read(conn);
            if self.clock.now().0 - begin.0 >= HANDSHAKE_MICROS {
                break;
            }
        }
    }

    /// Reads all sockets that are ready, as far as the read buffer reaches.
    fn read_sockets(&mut self) {
        let mut done = 0;
        for token in &self.tokens {
            if let Ok(slot) = token.split()
                && let Some(conn) = self.table.at(slot)
            {
                if conn.is_handshaking() {
                    self.greeters.push(conn);
                } else if !self.arena.read(conn) {
                    break;
                }
            }
            done += 1;
        }
        self.tokens.drain(..done);
    }

    fn handle_reads(&mut self, now: Instant) {
        for index in 0..self.arena.reads.len() {
            let read = self.arena.reads[index];
            let Some(conn) = self.table.get(read.conn) else { continue };
            self.driver.listener(conn.listener).received_bytes += read.len() as u64;
            let mut intake = Intake {
                engine: &mut self.engine,
                effects: &mut self.effects,
                settings: &self.settings,
                log: &self.log,
                now,
                store_full: self.driver.store_full,
            };
            let next = match conn.take_failure() {
                Some(cause) => intake.failed(conn, cause),
                None => intake.bytes(conn, self.arena.bytes(read)),
            };
            if let Some(cause) = read.ended {
                intake.ended(conn, cause);
            }
            let broker = &self.settings.config.broker;
            if let Some(level) = conn.crossed(broker.output_high_water, broker.output_low_water) {
                let input = Input::Water { conn: conn.id, level };
                self.engine.handle(now, input, &mut self.effects);
            }
            match next {
                Next::Open => {}
                Next::Upgraded => self.table.set_deadline(read.conn, None),
                Next::Until(deadline) => self.table.set_deadline(read.conn, Some(deadline)),
                Next::Refuse(option) => {
                    self.driver.listener(conn.listener).deny(option);
                    self.drain(now, read.conn);
                }
                Next::Drain => self.drain(now, read.conn),
                Next::Ask { ask, whom, head_only } => {
                    self.ask(now, read.conn, &ask, whom, head_only);
                }
            }
            self.settle(now, read.conn, read.ended);
        }
        self.arena.clear();
    }

    /// Writes each connection that got output, once; whether any did.
    fn write_sockets(&mut self, now: Instant) -> bool {
        let mut wrote = false;
        let broker = &self.settings.config.broker;
        while let Some((id, bytes)) = self.engine.take_output() {
            let Some(conn) = self.table.get(id) else {
                self.engine.recycle(bytes);
                continue;
            };
            wrote = true;
            self.driver.listener(conn.listener).sent_bytes += bytes.len() as u64;
            if let Some(emptied) = conn.send(bytes) {
                self.engine.recycle(emptied);
            }
            // Also if the bytes went behind others: a socket that takes nothing reports nothing.
            if let Some(level) = conn.crossed(broker.output_high_water, broker.output_low_water) {
                // Pauses its reading; it writes nothing.
                self.engine.handle(now, Input::Water { conn: id, level }, &mut self.effects);
            }
        }
        self.perform(now);
        wrote
    }

    /// Arranges for the next turn: at once if work is left, else when something comes.
    fn rest(&mut self, cx: &mut Context<'_>, now: Instant) {
        let dues = [
            self.engine.next_timeout(),
            self.table.next_deadline(),
            self.acceptors.next_timeout(),
            self.stop_by,
        ];
        let due = dues.into_iter().flatten().min();
        let idle = self.table.close_some()
            && self.tokens.is_empty()
            && self.effects.is_empty()
            && self.greeters.is_idle()
            && self.timer.set(cx, &self.clock, now, due)
            && self.ready.sleep(cx.waker());
        if !idle {
            // Behind the next look at the sockets, so that none waits for the end of our work.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
    }
}
