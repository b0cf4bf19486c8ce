//! The judge: follows everything that engines see and do with a slow and obvious model of a broker,
//! and blames whatever MQTT does not allow. It reads the wire and the observer's words, never the
//! engine's state. Payloads that do not say which message they are (see `model`) are not judged.

use super::model::{
    Flight, Looks, Message, MessageId, Owed, Replay, Session, Subscription, WillDue, message_of,
};
use super::station::Received;
use super::watch::{ConnectNote, Note, PublishNote, Seen};
use crate::codec::{Decoder, Limits, Role};
use crate::engine::{CloseReason, Config, ConnectionId, Outcome, SessionEnd};
use crate::packet::{PacketType, QoS, ReasonCode, SubscriptionOptions, Version};
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
    queue_is_bounded: bool,
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
    /// Filters of the SUBSCRIBE in hand.
    asked: Vec<(String, SubscriptionOptions)>,
    identifier: u32,
    closed: bool,
}

/// The judge.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    rules: Rules,
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
    /// The message that is being routed.
    current: Option<MessageId>,
    /// Bytes that the observer saw and the driver has not taken.
    announced: BTreeMap<u64, Vec<u8>>,
    pub(super) delivered: u64,
    /// Whether everybody may be thrown out, because the server stops.
    stopping: bool,
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
        let queue_is_bounded =
            config.broker.max_queued_messages > 0 || config.broker.max_queued_bytes > 0;
        Self {
            rules: Rules { max_inflight, queue_is_bounded },
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
            current: None,
            announced: BTreeMap::new(),
            delivered: 0,
            stopping: false,
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
            Seen::Delivery { client_id, topic, qos, outcome } => {
                self.delivery(&client_id, &topic, qos, outcome);
            }
        }
    }

    /// The driver took output: it must be what the observer saw.
    pub(super) fn output(&mut self, conn: ConnectionId, bytes: &[u8]) {
        let announced = self.announced.remove(&conn.0).unwrap_or_default();
        if announced != bytes {
            self.blame(format!(
                "{conn}: {} bytes of output, the observer saw {}",
                bytes.len(),
                announced.len()
            ));
        }
    }

    /// The driver took all there was.
    pub(super) fn all_output_taken(&mut self) {
        if let Some((conn, bytes)) = self.announced.pop_first() {
            self.blame(format!("#{conn}: {} bytes never came out", bytes.len()));
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

    /// The server is told to stop: from now on it may close anything.
    pub(super) const fn stopping(&mut self) {
        self.stopping = true;
    }

    /// What comes next has nothing to do with the message that was routed last.
    pub(super) const fn other_message(&mut self) {
        self.current = None;
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

    fn connected(&mut self, conn: u64, client_id: &str, session_present: bool) {
        let now = self.now;
        let Some(connect) = self.conns.get(&conn).and_then(|one| one.connect.clone()) else {
            return self.blame(format!("#{conn} is connected without CONNECT"));
        };
        let alive = self.live_session(client_id).is_some_and(|session| session.is_alive(now));
        let present = alive && !connect.clean_start;
        if present != session_present {
            self.blame(format!("{client_id}: Session Present {session_present}, not {present}"));
        }
        if !session_present {
            if let Some(old) = self.live_session(client_id) {
                old.ended = true;
            }
            let session = Session::new(client_id, connect.clone());
            self.sessions.push(session);
            self.live.insert(client_id.to_owned(), self.sessions.len() - 1);
        }
        let index = self.live.get(client_id).copied();
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.session = index;
        }
        let Some(session) = self.live_session(client_id) else { return };
        session.attached = Some(conn);
        session.expiry = connect.expiry;
        session.expires = None;
        session.will = connect.will.clone();
        session.will_due = WillDue::No;
        session.connect = connect;
    }

    fn closed(&mut self, conn: u64, reason: &CloseReason) {
        let now = self.now;
        let tolerated = matches!(
            reason,
            CloseReason::ClientDisconnected(_)
                | CloseReason::TransportLost(_)
                | CloseReason::KeepAliveTimeout
                | CloseReason::ConnectTimeout
                | CloseReason::PacketTimeout
                | CloseReason::TakenOver
                | CloseReason::ShuttingDown
                | CloseReason::Administrative
        );
        if let Some(one) = self.conns.get_mut(&conn) {
            one.closed = true;
        }
        let session = self.session_of(conn);
        let judged = session.is_some();
        if let Some(session) = session
            && session.attached == Some(conn)
        {
            let normal = *reason == CloseReason::ClientDisconnected(ReasonCode::Success);
            session.detach(now, normal);
        }
        let slow = matches!(reason, CloseReason::Violation { code: ReasonCode::QuotaExceeded, .. });
        if !tolerated && !slow && judged && !self.stopping {
            self.blame(format!("the engine closed #{conn}: {reason}"));
        }
    }

    fn session_ended(&mut self, client_id: &str, cause: SessionEnd) {
        self.current = None;
        let now = self.now;
        let Some(index) = self.live.remove(client_id) else {
            return self.blame(format!("a session of {client_id} ended that was none"));
        };
        let session = &mut self.sessions[index];
        session.ended = true;
        let lawful = match cause {
            SessionEnd::Closed => session.expiry == 0,
            SessionEnd::Expired => session.expires.is_some_and(|at| at <= now),
            SessionEnd::CleanStart => true,
        };
        let will_is_left = session.will.is_some();
        let shared = session.shared_ever.clone();
        let (members, subscriptions) =
            (client_id.to_owned(), core::mem::take(&mut session.subscriptions));
        if !lawful {
            self.blame(format!("the session of {client_id} ended too early ({cause:?})"));
        }
        if will_is_left {
            self.blame(format!("the session of {client_id} ended and left its will"));
        }
        for full in subscriptions.keys().filter(|full| full.starts_with("$share/")) {
            self.leave(full, &members);
        }
        // What it had been given by a group may be lost with it where the exchange was started.
        for message in self.messages.values_mut() {
            let started = message.qos == QoS::ExactlyOnce;
            if started && message.groups.iter().any(|group| shared.contains(group)) {
                message.group_excused = true;
            }
        }
    }

    fn leave(&mut self, full: &str, client_id: &str) {
        let Some(members) = self.groups.get_mut(full) else { return };
        members.remove(client_id);
        if members.is_empty() {
            self.groups.remove(full);
            for message in self.messages.values_mut() {
                message.group_excused |= message.groups.contains(full);
            }
        }
    }

    fn will(&mut self, client_id: &str) {
        let now = self.now;
        let stopping = self.stopping;
        let Some(session) = self.live_session(client_id) else {
            return self.blame(format!("a will of {client_id}, who has no session"));
        };
        let version = session.connect.version;
        let Some(will) = session.will.take() else {
            return self.blame(format!("a second will of {client_id}, or one he does not have"));
        };
        if session.attached.is_some() && !stopping {
            self.blame(format!("the will of {client_id}, who is connected"));
        }
        let note = PublishNote {
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            dup: false,
            id: None,
            alias: None,
            ids: Vec::new(),
            expiry: None,
        };
        let _ = (now, version);
        self.arrives(client_id, &note);
    }

    fn subscribed(&mut self, client_id: &str, filter: &str, reason: ReasonCode) {
        if reason.is_error() {
            return;
        }
        let now = self.now;
        let retained = self.retained.clone();
        let Some(conn) = self.live_session(client_id).and_then(|session| session.attached) else {
            return self.blame(format!("{client_id} subscribed without a connection"));
        };
        let (asked, identifier) = match self.conns.get(&conn) {
            Some(one) => (one.asked.clone(), one.identifier),
            None => return,
        };
        let Some((_, mut options)) = asked.into_iter().find(|(name, _)| name == filter) else {
            return self.blame(format!("{client_id} did not ask for {filter}"));
        };
        options.qos = options.qos.min(QoS::from_bits(reason.as_u8()).unwrap_or_default());
        let subscription = Subscription { options, identifier };
        let Some(session) = self.live_session(client_id) else { return };
        let is_shared = filter.starts_with("$share/");
        if !is_shared && session.wants_retained(filter, options) {
            let matching = retained.iter();
            let matching = matching.filter(|(topic, _)| crate::topic::matches(filter, topic));
            for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
                old.owed.clear();
            }
            session.replays.push(Replay {
                filter: filter.to_owned(),
                subscription,
                conn,
                at: now,
                owed: matching.map(|(_, id)| *id).collect(),
            });
        } else {
            for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
                old.owed.clear();
            }
        }
        session.subscriptions.insert(filter.to_owned(), subscription);
        if is_shared {
            session.shared_ever.insert(filter.to_owned());
            self.groups.entry(filter.to_owned()).or_default().insert(client_id.to_owned());
        }
    }

    fn unsubscribed(&mut self, client_id: &str, filter: &str) {
        let Some(session) = self.live_session(client_id) else { return };
        session.subscriptions.remove(filter);
        for old in session.replays.iter_mut().filter(|old| old.filter == filter) {
            old.owed.clear();
        }
        if filter.starts_with("$share/") {
            self.leave(filter, client_id);
        }
    }

    fn packet_in(&mut self, conn: u64, note: Note) {
        self.current = None;
        match note {
            Note::Connect(connect) => {
                self.conns.entry(conn).or_default().connect = Some(*connect);
            }
            Note::Publish(publish) => self.publish_in(conn, publish),
            Note::Subscribe { identifier, filters } => {
                let one = self.conns.entry(conn).or_default();
                (one.asked, one.identifier) = (filters, identifier);
            }
            Note::Disconnect { reason, expiry } => {
                let now = self.now;
                let Some(session) = self.session_of(conn) else { return };
                if let Some(seconds) = expiry {
                    session.expiry = seconds;
                }
                session.detach(now, reason == ReasonCode::Success);
            }
            Note::Ack { kind, id, reason } => self.ack_in(conn, kind, id, reason),
            Note::Other(_) => {}
        }
    }

    fn ack_in(&mut self, conn: u64, kind: PacketType, id: u16, reason: ReasonCode) {
        let Some(session) = self.session_of(conn) else { return };
        let done = match kind {
            PacketType::Pubrel => {
                session.incoming.remove(&id);
                return;
            }
            PacketType::Pubrec if !reason.is_error() => {
                if let Some(flight) = session.flights.get_mut(&id) {
                    flight.released = true;
                }
                false
            }
            _ => session.flights.remove(&id).is_some(),
        };
        if done && let Some(one) = self.conns.get_mut(&conn) {
            one.outstanding.remove(&id);
        }
    }

    fn publish_in(&mut self, conn: u64, mut publish: PublishNote) {
        let Some(one) = self.conns.get_mut(&conn) else { return };
        if let Some(alias) = publish.alias {
            if publish.topic.is_empty() {
                publish.topic = one.aliases_in.get(&alias).cloned().unwrap_or_default();
            } else {
                one.aliases_in.insert(alias, publish.topic.clone());
            }
        }
        let Some(session) = self.session_of(conn) else { return };
        let client_id = session.client_id.clone();
        if publish.qos == QoS::ExactlyOnce
            && let Some(id) = publish.id
            && !session.incoming.insert(id)
        {
            if !publish.dup {
                self.blame(format!("{client_id} reuses packet identifier {id}"));
            }
            return;
        }
        if let Some((publisher, number)) = message_of(&publish.payload)
            && !self.messages.contains_key(&(publisher, number))
        {
            let key = (publisher, publish.topic.clone(), publish.qos.bits());
            let last = self.arrived.insert(key, number);
            if last.is_some_and(|last| last >= number) {
                self.blame(format!("{client_id} publishes {number} after {last:?}"));
            }
        }
        self.arrives(&client_id, &publish);
    }

    /// A message is published: who is owed it now?
    fn arrives(&mut self, publisher: &str, publish: &PublishNote) {
        self.arrivals += 1;
        let (arrival, now) = (self.arrivals, self.now);
        let topic = &publish.topic;
        let id = message_of(&publish.payload);
        if publish.retain {
            let old = match id {
                Some(id) if !publish.payload.is_empty() => self.retained.insert(topic.clone(), id),
                _ => self.retained.remove(topic),
            };
            if let Some(old) = old.and_then(|old| self.messages.get_mut(&old)) {
                old.retained_until = Some(now);
            }
        }
        let Some(id) = id else { return };
        let expires = publish.expiry.map(|seconds| now.plus_secs(u64::from(seconds)));
        let groups = self.groups.keys().filter(|full| matches_shared(full, topic)).cloned();
        let groups: BTreeSet<String> = groups.collect();
        let message = self.messages.entry(id).or_insert_with(|| Message {
            topic: topic.clone(),
            qos: publish.qos,
            len: publish.payload.len(),
            expires,
            retained_until: None,
            at: now,
            groups: BTreeSet::new(),
            group_received: 0,
            group_excused: false,
            arrivals: 0,
        });
        message.arrivals += 1;
        (message.at, message.expires) = (now, expires);
        message.groups.extend(groups);
        if publish.retain {
            message.retained_until = Some(Instant(u64::MAX));
        }
        for index in self.live.values() {
            let session = &mut self.sessions[*index];
            let by_itself = session.client_id == publisher;
            let Some(looks) = session.looks(topic, publish.qos, publish.retain, by_itself) else {
                continue;
            };
            let owed = session.owed.entry(id).or_insert_with(|| Owed {
                expected: 0,
                looks: Vec::new(),
                arrival,
                last_arrival: arrival,
                received: 0,
                fresh: 0,
                exact: 0,
                excused: false,
            });
            owed.last_arrival = arrival;
            owed.expected += 1;
            if !owed.looks.contains(&looks) {
                owed.looks.push(looks);
            }
        }
        self.current = Some(id);
    }

    fn delivery(&mut self, client_id: &str, topic: &str, qos: QoS, outcome: Outcome) {
        let bounded = self.rules.queue_is_bounded;
        let lawful = match outcome {
            Outcome::Sent | Outcome::Queued | Outcome::NoLocal => return,
            Outcome::QueueFull => bounded,
            Outcome::Offline | Outcome::SlowConsumer => qos == QoS::AtMostOnce,
            Outcome::TooLarge => self
                .live_session(client_id)
                .is_some_and(|session| session.connect.maximum_packet_size != u32::MAX),
            Outcome::Expired => return,
        };
        if !lawful {
            self.blame(format!("a message to {topic} for {client_id} was dropped: {outcome:?}"));
        }
        let Some(id) = self.current else {
            // A message from another shard, or one that was queued, or that was given to another
            // member of its group.
            if topic.starts_with("s/") {
                self.messages.values_mut().for_each(|message| message.group_excused = true);
            }
            let messages = core::mem::take(&mut self.messages);
            if let Some(session) = self.live_session(client_id) {
                for (id, owed) in &mut session.owed {
                    owed.excused |= messages.get(id).is_some_and(|one| one.topic == topic);
                }
            }
            self.messages = messages;
            return;
        };
        if topic.starts_with("s/") {
            if let Some(message) = self.messages.get_mut(&id) {
                message.group_excused = true;
            }
        } else if let Some(owed) =
            self.live_session(client_id).and_then(|session| session.owed.get_mut(&id))
        {
            owed.expected = owed.expected.saturating_sub(1);
        }
    }

    fn packet_out(&mut self, conn: u64, version: Version, bytes: &[u8]) {
        self.announced.entry(conn).or_default().extend_from_slice(bytes);
        let mut decoder = Decoder::new(Role::Client);
        decoder.set_version(version);
        let note = match decoder.decode(bytes, &Limits::default()) {
            Ok((used, Some(frame))) if used == bytes.len() => Note::of(&frame.packet),
            other => return self.blame(format!("#{conn} is sent what is no packet: {other:?}")),
        };
        match note {
            Note::Publish(publish) => self.publish_out(conn, publish, bytes.len()),
            Note::Ack { kind: PacketType::Pubrec, id, reason } if reason.is_error() => {
                if let Some(session) = self.session_of(conn) {
                    session.incoming.remove(&id);
                }
            }
            Note::Ack { kind: PacketType::Pubrel, id, reason: ReasonCode::Success } => {
                let flight = self.session_of(conn).and_then(|session| session.flights.get(&id));
                if !flight.is_some_and(|flight| flight.released) {
                    self.blame(format!("#{conn} gets a PUBREL {id} that is not due"));
                }
            }
            _ => {}
        }
    }

    fn publish_out(&mut self, conn: u64, mut publish: PublishNote, len: usize) {
        let max_inflight = self.rules.max_inflight;
        let Some(one) = self.conns.get_mut(&conn) else { return };
        if let Some(alias) = publish.alias {
            if publish.topic.is_empty() {
                publish.topic = one.aliases_out.get(&alias).cloned().unwrap_or_default();
            } else {
                one.aliases_out.insert(alias, publish.topic.clone());
            }
        }
        let Some(index) = one.session else {
            return self.blame(format!("#{conn} gets a PUBLISH before it is connected"));
        };
        let mut faults = Vec::new();
        if publish.topic.is_empty() {
            faults.push("an alias that stands for nothing".to_owned());
        }
        let message = message_of(&publish.payload);
        let session = &mut self.sessions[index];
        if len as u64 > u64::from(session.connect.maximum_packet_size) {
            faults.push(format!("{len} bytes are over its Maximum Packet Size"));
        }
        if let Some(id) = publish.id {
            let flight = Flight { message, qos: publish.qos, released: false, sent_on: conn };
            match session.flights.insert(id, flight) {
                None if publish.dup => faults.push(format!("DUP on the first sending of {id}")),
                Some(old) => faults.extend(resend_fault(id, &old, &flight, publish.dup)),
                None => {}
            }
            one.outstanding.insert(id);
            let most = session.connect.receive_maximum.min(max_inflight);
            if one.outstanding.len() > usize::from(most) {
                faults.push(format!("{} in flight, {most} allowed", one.outstanding.len()));
            }
        } else if publish.dup {
            faults.push("DUP with QoS 0".to_owned());
        }
        let session = &self.sessions[index];
        if let Some(id) = message
            && let Some(fault) = self.lookup_fault(session, id, &publish)
        {
            faults.push(fault);
        }
        for fault in faults {
            self.blame(format!("#{conn} gets {publish:?}: {fault}"));
        }
    }

    /// Why a session must not get this message in this form, if so.
    fn lookup_fault(
        &self,
        session: &Session,
        id: MessageId,
        publish: &PublishNote,
    ) -> Option<String> {
        let Some(message) = self.messages.get(&id) else {
            return Some("never published".to_owned());
        };
        if message.topic != publish.topic {
            return Some(format!("published to {}", message.topic));
        }
        let looks = Looks { qos: publish.qos, ids: publish.ids.clone(), retain: publish.retain };
        if session.is_replay(message, &looks) {
            return None;
        }
        if publish.topic.starts_with("s/") {
            let shared = &session.shared_ever;
            let member = shared.iter().any(|full| matches_shared(full, &publish.topic));
            return (!member).then(|| "not a member of any group of it".to_owned());
        }
        match session.owed.get(&id) {
            None => Some("no subscription matched when it was published".to_owned()),
            Some(owed) if owed.looks.contains(&looks) => None,
            Some(owed) => Some(format!("expected {:?}", owed.looks)),
        }
    }

    /// An application got a message.
    pub(super) fn received(&mut self, conn: u64, received: &Received) {
        self.delivered += 1;
        let Some(id) = message_of(&received.payload) else { return };
        let Some(index) = self.conns.get(&conn).and_then(|one| one.session) else { return };
        let Some(message) = self.messages.get_mut(&id) else { return };
        if message.topic.starts_with("s/") {
            message.group_received += 1;
            return;
        }
        let published_qos = message.qos;
        let session = &mut self.sessions[index];
        let replays = session.replays_of(&received.topic);
        let owed = session.owed.entry(id).or_insert_with(|| Owed {
            expected: 0,
            looks: Vec::new(),
            arrival: 0,
            last_arrival: 0,
            received: 0,
            fresh: 0,
            exact: 0,
            excused: false,
        });
        owed.received += 1;
        owed.fresh += u32::from(!received.dup);
        owed.exact += u32::from(received.qos == QoS::ExactlyOnce);
        let most = owed.expected + replays;
        let count = if received.qos == QoS::ExactlyOnce { owed.exact } else { owed.fresh };
        let (arrival, latest, first) = (owed.arrival, owed.last_arrival, owed.received == 1);
        let client_id = session.client_id.clone();
        let mut late = None;
        if first && !received.retain && id.1 > 0 {
            let key = (id.0, received.topic.clone(), published_qos.bits(), received.qos.bits());
            late = session.order.insert(key, arrival).filter(|last| *last > latest);
        }
        if count > most {
            self.blame(format!(
                "{client_id} got {id:?} {count} times with QoS {}, expected {most}",
                received.qos
            ));
        }
        if let Some(last) = late {
            self.blame(format!("{client_id} got {id:?}, arrival {latest}, after {last}"));
        }
    }

    /// What must hold once the network is whole, everybody is connected and nothing moves.
    pub(super) fn finish(&mut self, now: Instant) {
        self.now = now;
        let mut faults = Vec::new();
        for index in self.live.values() {
            let session = &self.sessions[*index];
            for (id, owed) in &session.owed {
                faults.extend(self.missing(session, *id, owed));
            }
            let current = |replay: &&Replay| session.attached == Some(replay.conn);
            for id in session.replays.iter().filter(current).flat_map(|replay| &replay.owed) {
                faults.extend(self.missing_replay(session, *id));
            }
            if !session.flights.is_empty() {
                faults.push(format!("{}: {:?} in flight", session.client_id, session.flights));
            }
            if !session.incoming.is_empty() {
                faults.push(format!("{}: {:?} unreleased", session.client_id, session.incoming));
            }
        }
        for (id, message) in &self.messages {
            let lost = !message.groups.is_empty()
                && message.qos != QoS::AtMostOnce
                && message.group_received == 0
                && !message.group_excused
                && !is_lost_lawfully(message, u32::MAX, now);
            if lost {
                faults.push(format!("no member of {:?} got {id:?}", message.groups));
            }
        }
        for fault in faults {
            self.blame(fault);
        }
    }

    fn missing(&self, session: &Session, id: MessageId, owed: &Owed) -> Option<String> {
        let message = self.messages.get(&id)?;
        let least = owed.looks.iter().map(|looks| looks.qos).min()?;
        let wanted = match least {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => owed.expected.min(1),
            QoS::ExactlyOnce => owed.expected,
        };
        let lawful = owed.excused
            || is_lost_lawfully(message, session.connect.maximum_packet_size, self.now);
        (owed.received < wanted && !lawful).then(|| {
            format!("{} got {id:?} {} times, not {wanted}", session.client_id, owed.received)
        })
    }

    fn missing_replay(&self, session: &Session, id: MessageId) -> Option<String> {
        let message = self.messages.get(&id)?;
        let lawful = is_lost_lawfully(message, session.connect.maximum_packet_size, self.now)
            || self.retained.get(&message.topic) != Some(&id);
        let got = session.owed.get(&id).is_some_and(|owed| owed.received > 0);
        (!got && !lawful).then(|| format!("{} did not get the retained {id:?}", session.client_id))
    }
}

impl Session {
    /// Its connection is over.
    fn detach(&mut self, now: Instant, normal: bool) {
        if self.attached.take().is_none() {
            return;
        }
        if normal {
            self.will = None;
        }
        let after = |secs: u32| now.plus_secs(u64::from(secs));
        if let Some(will) = &self.will {
            self.will_due = WillDue::At(after(will.delay_secs.min(self.expiry)));
        }
        self.expires = (self.expiry != u32::MAX).then(|| after(self.expiry));
    }
}

/// Whether a shared subscription `$share/name/filter` matches.
fn matches_shared(full: &str, topic: &str) -> bool {
    full.splitn(3, '/').nth(2).is_some_and(|filter| crate::topic::matches(filter, topic))
}

/// Whether a message may be missing because it expired or is too large for the client. Topic and
/// properties of simulated messages take fewer than 100 bytes.
fn is_lost_lawfully(message: &Message, maximum_packet_size: u32, now: Instant) -> bool {
    message.expires.is_some_and(|at| at <= now)
        || message.len as u64 + 100 > u64::from(maximum_packet_size)
}

/// What is wrong with sending `new` under an identifier that `old` still has.
fn resend_fault(id: u16, old: &Flight, new: &Flight, dup: bool) -> Option<String> {
    if old.message != new.message || old.qos != new.qos || old.released {
        return Some(format!("packet identifier {id} is in use by {:?}", old.message));
    }
    if old.sent_on == new.sent_on {
        return Some(format!("{id} is sent again on one connection"));
    }
    (!dup).then(|| format!("{id} is sent again without DUP"))
}
