//! What an engine says why somebody does not get a message, or is thrown out: each excuse must be true
//! by what the oracle knows itself. It never takes an engine's word for its own fault.

use super::{InHand, Oracle};
use crate::engine::{CloseReason, Outcome};
use crate::packet::QoS;
use crate::sim::model::{Looks, Message, MessageId, Session};

/// Properties that a Will may have, which the oracle does not read.
const WILL_PROPERTIES: u64 = 100;
/// The largest Subscription Identifier on the wire, with its own identifier.
const SUBSCRIPTION_ID: u64 = 5;

impl Oracle {
    /// The engine says what becomes of a message at one session.
    pub(super) fn delivery(&mut self, client_id: &str, topic: &str, qos: QoS, outcome: Outcome) {
        let fault = match outcome {
            Outcome::NoLocal => return,
            Outcome::Sent | Outcome::Queued | Outcome::Expired | Outcome::Denied => None,
            Outcome::QueueFull => self.room_left(client_id, topic),
            Outcome::Offline => self.not_offline(client_id, qos),
            Outcome::SlowConsumer => (qos != QoS::AtMostOnce).then(|| format!("with {qos:?}")),
            Outcome::TooLarge => self.not_too_large(client_id, topic),
        };
        if let Some(fault) = fault {
            self.blame(format!(
                "a message to {topic} for {client_id} was dropped: {outcome:?}, {fault}"
            ));
        }
        let in_hand = self.current;
        let id = in_hand.and_then(|one| one.id);
        if Self::is_owed_singly(topic, id) {
            self.decide(client_id, id, outcome);
        } else {
            self.count_queued(client_id, topic, qos, in_hand, outcome);
        }
        match outcome {
            Outcome::Denied => self.delivery_denied(client_id, topic),
            Outcome::QueueFull | Outcome::TooLarge | Outcome::Offline | Outcome::SlowConsumer => {
                self.excuse_groups(client_id, topic, id, outcome);
            }
            _ => {}
        }
    }

    /// Whether what becomes of this message at a session is told of one copy in `owed`.
    pub(super) fn is_owed_singly(topic: &str, id: Option<MessageId>) -> bool {
        id.is_some() && !topic.starts_with("s/")
    }

    /// The copy in hand is the oldest of which nothing was said yet.
    fn decide(&mut self, client_id: &str, id: Option<MessageId>, outcome: Outcome) {
        let Some(session) = self.live_session(client_id) else { return };
        let Some(owed) = id.and_then(|id| session.owed.get_mut(&id)) else { return };
        let Some(copy) = owed.copies.iter_mut().find(|copy| !copy.decided) else { return };
        copy.decided = true;
        copy.dropped = !matches!(outcome, Outcome::Sent | Outcome::Queued | Outcome::Denied);
    }

    fn count_queued(
        &mut self,
        client_id: &str,
        topic: &str,
        qos: QoS,
        in_hand: Option<InHand>,
        outcome: Outcome,
    ) {
        let len = in_hand.map_or_else(|| self.longest(topic), |one| one.len);
        let is_shared = topic.starts_with("s/");
        let Some(session) = self.live_session(client_id) else { return };
        match outcome {
            Outcome::Queued => session.queued.push((topic.to_owned(), qos, len)),
            // What is denied may have been in flight: then too much is counted from here on.
            Outcome::Expired | Outcome::TooLarge if in_hand.is_none() && is_shared => {
                session.unqueue(topic, qos);
            }
            _ => {}
        }
    }

    fn longest(&self, topic: &str) -> usize {
        let on_topic = self.messages.values().filter(|message| message.topic == topic);
        on_topic.map(|message| message.len).max().unwrap_or(0)
    }

    /// A member of a group lost what it was given, and which message that was may not be known. One
    /// that was too large when it left the queue is known by its length.
    fn excuse_groups(
        &mut self,
        client_id: &str,
        topic: &str,
        id: Option<MessageId>,
        outcome: Outcome,
    ) {
        if topic.starts_with("s/") {
            let limit = self.packet_limit(client_id);
            for (other, message) in &mut self.messages {
                let is_it = id.map_or(message.topic == topic, |id| id == *other);
                let large = message.packet_len(*other, QoS::ExactlyOnce, SUBSCRIPTION_ID) > limit;
                message.group_excused |= is_it && (large || outcome != Outcome::TooLarge);
            }
        } else if id.is_none() && outcome == Outcome::TooLarge {
            let lost = self.too_large(client_id, topic);
            let Some(session) = self.live_session(client_id) else { return };
            for id in lost {
                session.owed.entry(id).or_default().excused = true;
            }
        }
    }

    fn packet_limit(&mut self, client_id: &str) -> u64 {
        let session = self.live_session(client_id);
        session.map_or(u64::MAX, |session| u64::from(session.connect.maximum_packet_size))
    }

    /// Messages of a topic that this session may have been owed and that are too large for it.
    fn too_large(&mut self, client_id: &str, topic: &str) -> Vec<MessageId> {
        let limit = self.packet_limit(client_id);
        let Some(index) = self.live.get(client_id) else { return Vec::new() };
        let owed = &self.sessions[*index].owed;
        let on_topic = self.messages.iter().filter(|(_, message)| message.topic == topic);
        let large = on_topic.filter(|(id, message)| {
            let copies = owed.get(*id).into_iter().flat_map(|owed| &owed.copies);
            let mut lens = copies.map(|copy| message.packet_len_as(**id, &copy.looks));
            let replay = message.packet_len(**id, message.qos, SUBSCRIPTION_ID);
            lens.any(|len| len > limit) || (message.retained_until.is_some() && replay > limit)
        });
        large.map(|(id, _)| *id).collect()
    }

    /// Why a message is not too large, if so.
    fn not_too_large(&mut self, client_id: &str, topic: &str) -> Option<String> {
        let limit = self.packet_limit(client_id);
        let id = self.current.and_then(|one| one.id);
        if self.current.is_some() && id.is_none() {
            return (limit == u64::from(u32::MAX)).then(|| "nothing is too large".to_owned());
        }
        if topic.starts_with("s/") {
            let mut messages = self.messages.iter().filter(|(_, message)| message.topic == topic);
            let large = messages.any(|(other, message)| {
                let is_it = id.is_none_or(|id| id == *other);
                is_it && message.packet_len(*other, QoS::ExactlyOnce, SUBSCRIPTION_ID) > limit
            });
            return (!large).then(|| format!("not over {limit} bytes"));
        }
        let Some(id) = id else {
            // One that nobody judges may be it: its properties are not known.
            let unjudged = |one: &(String, QoS, usize)| {
                one.0 == topic && (one.2 + topic.len()) as u64 + WILL_PROPERTIES > limit
            };
            let mut unjudged_ones = self.live_session(client_id)?.queued.iter();
            let none = !unjudged_ones.any(unjudged) && self.too_large(client_id, topic).is_empty();
            return none.then(|| format!("none is over {limit} bytes"));
        };
        let session = self.sessions.get(*self.live.get(client_id)?)?;
        let copies = &session.owed.get(&id)?.copies;
        let copy = copies.iter().find(|copy| !copy.decided)?;
        let len = self.messages.get(&id)?.packet_len_as(id, &copy.looks);
        (len <= limit).then(|| format!("{len} bytes are not over {limit}"))
    }

    fn not_offline(&mut self, client_id: &str, qos: QoS) -> Option<String> {
        if qos != QoS::AtMostOnce {
            return Some(format!("with {qos:?}"));
        }
        if self.rules.queues_at_most_once && !self.disk_full {
            return Some("where QoS 0 is queued".to_owned());
        }
        let attached = self.live_session(client_id).is_some_and(|one| one.attached.is_some());
        attached.then(|| "while it is connected".to_owned())
    }

    /// Why a queue is not full, if so.
    fn room_left(&mut self, client_id: &str, topic: &str) -> Option<String> {
        let rules = self.rules;
        let new = self.current.map_or_else(|| self.longest(topic), |one| one.len) + topic.len();
        let session = self.sessions.get(*self.live.get(client_id)?)?;
        let (count, bytes) = self.waiting(session);
        let many = rules.max_queued_messages > 0 && count >= u64::from(rules.max_queued_messages);
        let long = rules.max_queued_bytes > 0 && bytes + new as u64 > rules.max_queued_bytes;
        (!many && !long).then(|| format!("with {count} queued, {bytes} bytes, and {new} new ones"))
    }

    /// How much waits in the queue of a session, at most.
    fn waiting(&self, session: &Session) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for (id, owed) in &session.owed {
            let Some(message) = self.messages.get(id) else { continue };
            // What looks like a retained message that a SUBSCRIBE asked for may be either.
            let either = message.retained_until.is_some() && !session.replays.is_empty();
            for copy in &owed.copies {
                let unsent = copy.sent_on.is_none() || (either && copy.looks.retain);
                if copy.decided && unsent && copy.is_kept(self.now) {
                    count += 1;
                    bytes += (message.len + message.properties + message.topic.len()) as u64;
                }
            }
        }
        for (topic, _, len) in &session.queued {
            count += 1;
            bytes += (topic.len() + len) as u64;
        }
        (count, bytes)
    }

    /// Whether the engine may close a connection for this reason.
    pub(super) fn may_close(&self, conn: u64, reason: &CloseReason) -> bool {
        let Some(one) = self.conns.get(&conn) else { return true };
        let silent_us = self.now.0 - one.heard.0;
        match reason {
            CloseReason::TransportLost(_) | CloseReason::Administrative => true,
            CloseReason::ClientDisconnected(_) => one.said_goodbye,
            CloseReason::KeepAliveTimeout => {
                let asked = one.connect.as_ref().map_or(0, |connect| connect.keep_alive);
                let max = self.rules.max_keepalive;
                let secs = if max > 0 && (asked == 0 || asked > max) { max } else { asked };
                secs > 0 && silent_us >= u64::from(secs) * 1_500_000
            }
            CloseReason::PacketTimeout => {
                let secs = self.rules.packet_timeout_secs;
                secs > 0 && silent_us >= u64::from(secs) * 1_000_000
            }
            CloseReason::TakenOver => self.is_claimed_anew(conn),
            CloseReason::ShuttingDown => self.stopping,
            _ => false,
        }
    }

    /// Whether somebody else has sent a CONNECT for the session of this connection.
    fn is_claimed_anew(&self, conn: u64) -> bool {
        let session = self.conns.get(&conn).and_then(|one| one.session);
        let Some(session) = session.and_then(|index| self.sessions.get(index)) else { return true };
        self.conns.iter().any(|(other, one)| {
            let named = one.connect.as_ref().is_some_and(|it| it.client_id == session.client_id);
            *other != conn && named && !one.closed && one.session.is_none()
        })
    }
}

impl Session {
    /// One of those that wait beside `owed` waits no more.
    pub(super) fn unqueue(&mut self, topic: &str, qos: QoS) {
        let at = self.queued.iter().position(|one| one.0 == topic && one.1 == qos);
        if let Some(at) = at {
            self.queued.remove(at);
        }
    }
}

impl Message {
    fn packet_len_as(&self, id: MessageId, looks: &Looks) -> u64 {
        let ids = looks.ids.iter().map(|id| 1 + varint_len(u64::from(*id))).sum();
        self.packet_len(id, looks.qos, ids)
    }

    /// The length of its PUBLISH without Topic Alias (MQTT 5.0 section 3.3), with so many bytes of
    /// Subscription Identifiers; that of a Will at most.
    fn packet_len(&self, id: MessageId, qos: QoS, ids: u64) -> u64 {
        let will = if id.1 == 0 { WILL_PROPERTIES } else { 0 };
        let expiry = if self.expires.is_some() { 5 } else { 0 };
        let properties = ids + expiry + self.properties as u64 + will;
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { 2 };
        let head = 2 + self.topic.len() as u64 + packet_id;
        let rest = head + varint_len(properties) + properties + self.len as u64;
        1 + varint_len(rest) + rest
    }
}

/// Bytes of a Variable Byte Integer.
const fn varint_len(value: u64) -> u64 {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
