//! The judge: follows everything that engines see and do with a slow and obvious model of a broker,
//! and blames whatever MQTT does not allow. It reads the wire and the observer's words, never the
//! engine's state. Payloads that do not say which message they are (see `model`) are not judged.

mod arriving;
mod excuses;
mod leaving;
mod rights;
mod sessions;
#[cfg(test)]
mod tests;
mod verdict;

use super::model::{Message, MessageId, Session, WillDue, message_of};
use super::rights::Rights;
use super::watch::{ConnectNote, Seen};
use crate::codec::{Decoder, Limits, Role};
use crate::engine::{Config, ConnectionId};
use crate::packet::SubscriptionOptions;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What is due by a timer may be late by so much, microseconds: the length of a few turns.
const SLACK_US: u64 = 10_000;
/// Violations kept; more tell nothing new.
const VIOLATIONS_MAX: usize = 20;

/// What the oracle must know of the configuration.
#[derive(Clone, Copy, Debug)]
struct Rules {
    max_inflight: u16,
    max_queued_messages: u32,
    max_queued_bytes: u64,
    queues_at_most_once: bool,
    max_keepalive: u16,
    packet_timeout_secs: u32,
}

/// A connection as the engine sees it.
#[derive(Clone, Debug, Default)]
struct Conn {
    connect: Option<ConnectNote>,
    session: Option<usize>,
    aliases_in: BTreeMap<u16, String>,
    aliases_out: BTreeMap<u16, String>,
    /// PUBLISH packets sent on it and not acknowledged.
    outstanding: BTreeSet<u16>,
    /// PUBLISH packets from it that were denied and are not answered.
    denied: BTreeSet<u16>,
    /// Filters of the SUBSCRIBE in hand.
    asked: Vec<(String, SubscriptionOptions)>,
    identifier: u32,
    /// When its last packet came.
    heard: Instant,
    said_goodbye: bool,
    closed: bool,
}

/// A message that is being routed.
#[derive(Clone, Copy, Debug)]
struct InHand {
    /// `None`: nobody judges it.
    id: Option<MessageId>,
    len: usize,
}

/// The judge.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    rules: Rules,
    /// Who may do what; `None` = everybody everything.
    rights: Option<Rights>,
    now: Instant,
    violations: Vec<String>,
    conns: BTreeMap<u64, Conn>,
    sessions: Vec<Session>,
    live: BTreeMap<String, usize>,
    retained: BTreeMap<String, MessageId>,
    groups: BTreeMap<String, BTreeSet<String>>,
    messages: BTreeMap<MessageId, Message>,
    /// Last first arrival per publisher, topic and QoS.
    arrived: BTreeMap<(u32, String, u8), u32>,
    arrivals: u64,
    /// Messages that were denied when they came.
    denied: BTreeSet<MessageId>,
    /// The message that is being routed.
    current: Option<InHand>,
    /// Bytes that the observer saw and the driver has not taken.
    announced: BTreeMap<u64, Vec<u8>>,
    /// Connections whose transport ended in this turn.
    gone: BTreeSet<u64>,
    pub(super) delivered: u64,
    /// Whether everybody may be thrown out, because the server stops.
    stopping: bool,
    /// Whether the disk has no room: then QoS 0 waits for nobody.
    disk_full: bool,
}

/// One line of a trace.
pub(super) fn trace_line(now: Instant, seen: &Seen) -> String {
    let line = match seen {
        Seen::In { conn, note } => format!("{conn} > {note:?}"),
        Seen::Out { conn, version, bytes } => {
            let mut decoder = Decoder::new(Role::Client);
            decoder.set_version(*version);
            let line = match decoder.decode(bytes, &Limits::default()) {
                Ok((_, Some(frame))) => super::describe(&frame.packet),
                other => format!("{other:?}"),
            };
            format!("{conn} < {line}")
        }
        other => format!("{other:?}"),
    };
    format!("{:>10} {line}", now.0)
}

impl Oracle {
    pub(super) fn new(config: &Config) -> Self {
        let max_inflight = match config.broker.max_inflight_messages {
            0 => u16::MAX,
            max => max,
        };
        let broker = &config.broker;
        let rules = Rules {
            max_inflight,
            max_queued_messages: broker.max_queued_messages,
            max_queued_bytes: broker.max_queued_bytes,
            queues_at_most_once: broker.queue_qos0_messages,
            max_keepalive: broker.max_keepalive,
            packet_timeout_secs: broker.packet_timeout_secs,
        };
        Self {
            rules,
            rights: None,
            now: Instant::ZERO,
            violations: Vec::new(),
            conns: BTreeMap::new(),
            sessions: Vec::new(),
            live: BTreeMap::new(),
            retained: BTreeMap::new(),
            groups: BTreeMap::new(),
            messages: BTreeMap::new(),
            arrived: BTreeMap::new(),
            arrivals: 0,
            denied: BTreeSet::new(),
            current: None,
            announced: BTreeMap::new(),
            gone: BTreeSet::new(),
            delivered: 0,
            stopping: false,
            disk_full: false,
        }
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Notes a violation.
    pub(super) fn blame(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(format!("at {} us: {what}", self.now.0));
        }
    }

    /// Topics that have a retained message.
    pub(super) fn retained_topics(&self) -> Vec<String> {
        self.retained.keys().cloned().collect()
    }

    /// Takes one thing that the engine saw or did.
    pub(super) fn see(&mut self, now: Instant, seen: Seen) {
        self.now = now;
        match seen {
            Seen::In { conn, note } => self.packet_in(conn.0, note),
            Seen::Out { conn, version, bytes } => self.packet_out(conn.0, version, &bytes),
            Seen::Connected { conn, client_id, session_present } => {
                self.connected(conn.0, &client_id, session_present);
            }
            Seen::Closed { conn, reason } => self.closed(conn.0, &reason),
            Seen::Subscribed { client_id, filter, reason } => {
                self.subscribed(&client_id, &filter, reason);
            }
            Seen::Unsubscribed { client_id, filter } => self.unsubscribed(&client_id, &filter),
            Seen::SessionEnded { client_id, cause } => self.session_ended(&client_id, cause),
            Seen::Will { client_id } => self.will(&client_id),
            Seen::WillDenied { client_id } => self.will_denied(&client_id),
            Seen::SourceDenied { client_id, topic } => self.source_denied(&client_id, &topic),
            Seen::Delivery { client_id, topic, qos, outcome } => {
                self.delivery(&client_id, &topic, qos, outcome);
            }
        }
    }

    /// The driver took output: it must be what the observer saw.
    pub(super) fn output(&mut self, conn: ConnectionId, bytes: &[u8]) {
        let announced = self.announced.remove(&conn.0).unwrap_or_default();
        if let Some(rest) = announced.strip_prefix(bytes).filter(|rest| !rest.is_empty()) {
            // What is left may wait for the store: see `all_output_taken`.
            self.announced.insert(conn.0, rest.to_vec());
        } else if announced != bytes {
            self.blame(format!(
                "{conn}: {} bytes of output, the observer saw {}",
                bytes.len(),
                announced.len()
            ));
        }
    }

    /// What waited for the store on this connection need not come out any more.
    pub(super) fn transport_gone(&mut self, conn: u64) {
        self.gone.insert(conn);
    }

    /// The driver took all there was.
    pub(super) fn all_output_taken(&mut self, is_withheld: impl Fn(ConnectionId) -> bool) {
        for conn in core::mem::take(&mut self.gone) {
            self.announced.remove(&conn);
        }
        let stuck = self.announced.iter().find(|(conn, _)| !is_withheld(ConnectionId(**conn)));
        if let Some((conn, bytes)) = stuck {
            let text = format!("#{conn}: {} bytes never came out", bytes.len());
            self.blame(text);
        }
    }

    /// A broker without a store starts anew.
    pub(super) fn broker_restarted(&mut self) {
        self.conns.clear();
        self.retained.clear();
        self.groups.clear();
        self.announced.clear();
        self.current = None;
        for (_, index) in core::mem::take(&mut self.live) {
            self.sessions[index].ended = true;
        }
        for message in self.messages.values_mut() {
            message.group_excused = true;
        }
    }

    /// The store is told whether there is room.
    pub(super) const fn disk_is_full(&mut self, full: bool) {
        self.disk_full = full;
    }

    /// The server is told to stop: from now on it may close anything.
    pub(super) const fn stopping(&mut self) {
        self.stopping = true;
    }

    /// A shard handles what another one sent it.
    pub(super) fn handed_over(&mut self, message: Option<&crate::message::Message>) {
        self.current = message.map(|message| {
            let payload = &*message.payload.0;
            InHand { id: message_of(payload), len: payload.len() }
        });
    }

    /// What must hold whenever the driver is done with a turn.
    pub(super) fn end_of_turn(&mut self, now: Instant, _node: usize) {
        self.now = now;
        self.current = None;
        let mut late = Vec::new();
        for index in self.live.values() {
            let session = &self.sessions[*index];
            let is_late = |at: Instant| at.0 + SLACK_US < now.0;
            if session.expires.is_some_and(is_late) {
                late.push(format!("the session of {} has not ended in time", session.client_id));
            }
            if let WillDue::At(at) = session.will_due
                && session.will.is_some()
                && is_late(at)
            {
                late.push(format!("the will of {} was not published in time", session.client_id));
            }
        }
        for one in late {
            self.blame(one);
        }
    }

    /// The number of the session behind a connection: another number is another session.
    pub(super) fn session_number(&self, conn: u64) -> Option<usize> {
        self.conns.get(&conn)?.session
    }

    fn session_of(&mut self, conn: u64) -> Option<&mut Session> {
        let index = self.conns.get(&conn)?.session?;
        self.sessions.get_mut(index)
    }

    fn live_session(&mut self, client_id: &str) -> Option<&mut Session> {
        let index = *self.live.get(client_id)?;
        self.sessions.get_mut(index)
    }
}

/// Whether a shared subscription `$share/name/filter` matches.
fn matches_shared(full: &str, topic: &str) -> bool {
    full.splitn(3, '/').nth(2).is_some_and(|filter| crate::topic::matches(filter, topic))
}
