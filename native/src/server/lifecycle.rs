//! How a shard's connections come and go: accepted, paused, closed in the way that lets the peer
//! read the last word. The rest of the turn is in `shard`.

use super::conn::Conn;
use super::conn::Stage;
use super::entrance;
use super::greet::Entrance;
use super::intake::Intake;
use super::intake::Next;
use super::intake::say_close;
use super::listener::Accepted;
use super::mailbox::Mail;
use super::shard::Shard;
use super::table::Table;
use super::wake::Token;
use crate::log::Log;
use crate::log::LogType;
use crate::metrics::DriverStats;
use halyard_core::engine::AdminCommand;
use halyard_core::engine::AuthRequest;
use halyard_core::engine::CloseReason;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::DiskState;
use halyard_core::engine::Effect;
use halyard_core::engine::Input;
use halyard_core::engine::TransportEnd;
use halyard_core::time::Instant;
use std::sync::atomic::Ordering;

/// How long a closing socket may take for what was written before.
const LINGER_WRITE_SECS: u64 = 5;
/// How long it then waits for its peer's end.
const LINGER_READ_MILLIS: u64 = 1000;
/// How long the end of the process waits for the store, and for connections to close.
const STOP_SECS: u64 = 10;
/// Overdue connections that one turn ends, so that a flood of them makes nobody wait.
const ENDED_PER_TURN: usize = 64;

impl Shard {
    pub(super) fn accept(&mut self, now: Instant) {
        for token in &self.tokens {
            if let Err(listener) = token.split() {
                self.acceptors.mark(listener);
            }
        }
        let Self { acceptors, table, tokens, ready, settings, engine, effects, driver, .. } = self;
        let (greeters, log) = (&mut self.greeters, &self.log);
        acceptors.accept(now, |Accepted { io, peer, admission }| {
            let listener = admission.listener();
            driver.listener(listener).accepted += 1;
            let lines = &settings.config.listeners[usize::from(listener)];
            if lines.proxy.as_ref().is_some_and(|proxy| !entrance::trusts(proxy, &peer)) {
                driver.listener(listener).deny("proxy_protocol_trusted");
                let text = "it may not send PROXY headers (proxy_protocol_trusted)";
                log.add(
                    LogType::Notice,
                    format_args!("Client connection from {peer} failed: {text}."),
                );
                return;
            }
            let is_greeted = lines.proxy.is_some() || settings.tls(listener).is_some();
            let greeting = is_greeted.then(|| greeters.place());
            let (identity, received) = (None, Vec::new());
            let entrance = Entrance { peer, accepted: now, identity, received, greeting };
            let mut token = Token::connection(0);
            let id = table.insert(|id, slot| {
                token = Token::connection(slot);
                Conn::new(id, io, ready.waker(token), Stage::Draining, admission)
            });
            // Its first read sets its waker.
            tokens.push(token);
            let Some(conn) = table.get(id) else { return };
            let store_full = driver.store_full;
            let mut intake = Intake { engine, effects, settings, log, now, store_full };
            let next = intake.begin(conn, entrance.into());
            let deadline = entrance::deadline(settings, &conn.stage, now);
            match next {
                Next::Upgraded => {}
                Next::Refuse(option) => {
                    driver.listener(listener).deny(option);
                    table.remove(id);
                }
                _ => table.set_deadline(id, deadline),
            }
            if is_greeted {
                greeters.enter(id, table);
                if let Some(oldest) = greeters.over(settings.config.max_tls_handshakes, table) {
                    give_way(oldest, table, driver, log);
                }
            }
        });
    }

    pub(super) fn drain_mailbox(&mut self, now: Instant) {
        for mail in self.shards[usize::from(self.number.0)].take() {
            match mail {
                Mail::Reconfigure(reload) => self.reconfigure(now, *reload),
                Mail::Link { from: peer, message } => {
                    let input = Input::Link { peer, message };
                    self.engine.handle(now, input, &mut self.effects);
                }
                Mail::Durable(lsn) => {
                    self.driver.durable(lsn, now);
                    self.engine.handle(now, Input::Durable { lsn }, &mut self.effects);
                }
                Mail::Disk(state) => {
                    self.driver.store_full = state == DiskState::Full;
                    self.engine.handle(now, Input::Disk(state), &mut self.effects);
                }
                Mail::Ask { from, request, ask } => self.asked(now, from, request, ask),
                Mail::Told { from, request, told } => self.told(now, from, request, told),
                Mail::Log(lines) => {
                    for (topic, text) in lines {
                        let command = AdminCommand::LogLine { topic, text };
                        let input = Input::Admin { request: 0, command };
                        self.engine.handle(now, input, &mut self.effects);
                    }
                }
                Mail::Pulse(answers) => {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Mail::Authenticated(answer) => self.learned(now, answer),
                Mail::Stop => self.stop(now),
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        self.stop_by = Some(now.plus_secs(STOP_SECS));
        self.acceptors.close();
        let input = Input::Admin { request: 0, command: AdminCommand::Shutdown };
        self.engine.handle(now, input, &mut self.effects);
        for id in self.table.ids() {
            if self.table.get(id).is_some_and(|conn| {
                conn.is_greeted() || matches!(conn.stage, Stage::Http(_) | Stage::Asking)
            }) {
                self.drain(now, id);
            }
        }
    }

    /// Whether it was told to stop and nothing is left to be done, or not in time: a disk that takes
    /// nothing must not keep the process. What was not promised is then not.
    pub(super) fn has_stopped(&self, now: Instant) -> bool {
        let Some(by) = self.stop_by else { return false };
        let open = self.table.len();
        if open > 0 && by <= now {
            self.log.line(
                LogType::Warning,
                format_args!(
                    "Stopped with {open} connections open: what they wait for, the store has not \
                     taken in {STOP_SECS} s."
                ),
            );
        }
        open == 0 || by <= now
    }

    /// Does what the engine asks for, but for closing, which comes after writing.
    pub(super) fn perform(&mut self, now: Instant) {
        self.store_records();
        while !self.effects.is_empty() {
            let questions = self.obey();
            self.verify(now, questions);
            self.store_records();
        }
    }

    /// Before any link message leaves: a journal never holds an effect without its cause.
    fn store_records(&mut self) {
        if let Some(store) = &self.store
            && let Some(batch) = self.engine.take_records()
        {
            self.driver.handed_over(batch.lsn, batch.bytes.len(), self.clock.now());
            store.put(batch);
        }
    }

    /// Does one round of it; gives the questions, whose answers may ask for more.
    fn obey(&mut self) -> Vec<AuthRequest> {
        let mut questions = Vec::new();
        let mut answers = Vec::new();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Authenticate(request) => questions.push(*request),
                Effect::Close { conn, reason } => self.closing.push((conn, reason)),
                Effect::PauseRead { conn } => {
                    if let Some(conn) = self.table.get(conn) {
                        conn.paused = true;
                    }
                }
                Effect::ResumeRead { conn } => {
                    if let Some(conn) = self.table.get(conn) {
                        conn.paused = false;
                        conn.requeue();
                    }
                }
                Effect::Link { peer, message } => {
                    if let Some(mailbox) = self.shards.get(usize::from(peer.0)) {
                        mailbox.put(Mail::Link { from: self.number, message });
                    }
                }
                Effect::Answer { request, reply } => answers.push((request, reply)),
            }
        }
        for (request, reply) in answers {
            self.answered(request, reply);
        }
        questions
    }

    /// Closes what the engine has let go of; its last output is written or kept.
    pub(super) fn close(&mut self, now: Instant) {
        for (id, reason) in std::mem::take(&mut self.closing) {
            let Some(conn) = self.table.get(id) else { continue };
            if matches!(conn.stage, Stage::WebSocket(_)) {
                say_close(conn, Some(close_code(&reason)));
            } else if is_clients_end(&reason) && !conn.has_backlog() {
                conn.say_goodbye();
                self.table.remove(id);
                continue;
            }
            self.drain(now, id);
        }
    }

    /// Nothing more is read or said: what was written arrives, then the socket closes. To close at
    /// once could destroy it on the way (RFC 1122 §4.2.2.13: a reset overtakes data).
    pub(super) fn drain(&mut self, now: Instant, id: ConnectionId) {
        let Some(conn) = self.table.get(id) else { return };
        conn.stage = Stage::Draining;
        conn.paused = false;
        conn.requeue();
        self.table.set_deadline(id, Some(now.plus_secs(LINGER_WRITE_SECS)));
        self.settle(now, id, None);
    }

    /// Moves a connection on that is ending: at the end of its transport it is removed, and once
    /// all is written the peer is told.
    pub(super) fn settle(&mut self, now: Instant, id: ConnectionId, ended: Option<TransportEnd>) {
        let Some(conn) = self.table.get(id) else { return };
        let asks = matches!(conn.stage, Stage::Asking);
        let owes = asks || conn.is_draining() && conn.has_backlog() && !conn.is_broken();
        match ended {
            // It said its last word and still listens to ours.
            Some(TransportEnd::Eof) if owes => {}
            Some(_) => {
                self.table.remove(id);
            }
            None if conn.is_draining() && conn.shut_down_write() => {
                self.table.set_deadline(id, Some(now.plus_millis(LINGER_READ_MILLIS)));
            }
            None => {}
        }
    }

    /// Ends what took longer than the driver's own deadlines allow.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        for _ in 0..ENDED_PER_TURN {
            let Some(id) = self.table.pop_due(now) else { break };
            if let Some(conn) = self.table.get(id)
                && let Some((peer, what)) = conn.waits_for()
            {
                self.log.add(
                    LogType::Notice,
                    format_args!("Connection from {peer} closed: no {what} in time."),
                );
                let handshake = self.settings.config.tls_handshake_timeout_secs;
                let connect = self.settings.config.broker.connect_timeout_secs;
                let is_handshake = matches!(conn.stage, Stage::Handshake(_))
                    && handshake > 0
                    && (connect == 0 || handshake < connect);
                let option = if is_handshake { "tls_handshake_timeout" } else { "connect_timeout" };
                self.driver.listener(conn.listener).deny(option);
            }
            self.table.remove(id);
        }
    }
}

/// The oldest handshake ends: there are more than `max_tls_handshakes`.
fn give_way(id: ConnectionId, table: &mut Table, driver: &mut DriverStats, log: &Log) {
    let Some(conn) = table.get(id) else { return };
    driver.listener(conn.listener).deny("max_tls_handshakes");
    if let Some((peer, what)) = conn.waits_for() {
        log.add(
            LogType::Notice,
            format_args!(
                "Connection from {peer} closed: its {what} is the oldest of more than \
                 max_tls_handshakes allows."
            ),
        );
    }
    table.remove(id);
}

/// Whether the client itself ended the connection and waits for nothing.
const fn is_clients_end(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::ClientDisconnected(_) | CloseReason::TransportLost(_))
}

/// The status code of the WebSocket Close (RFC 6455 §7.4.1).
const fn close_code(reason: &CloseReason) -> u16 {
    match reason {
        CloseReason::ShuttingDown => 1001,
        CloseReason::Malformed(_) | CloseReason::Violation { .. } => 1002,
        CloseReason::Refused { .. } | CloseReason::Administrative => 1008,
        _ => 1000,
    }
}
