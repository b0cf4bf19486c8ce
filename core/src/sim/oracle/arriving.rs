//! What clients send: acknowledgements, and messages, for each of which is noted who is owed it.

use super::{Oracle, matches_shared};
use crate::engine::Outcome;
use crate::packet::{PacketType, QoS, ReasonCode};
use crate::sim::model::{Copy, Message, message_of};
use crate::sim::watch::{Note, PublishNote};
use crate::time::Instant;
use std::collections::BTreeSet;

impl Oracle {
    pub(super) fn packet_in(&mut self, conn: u64, note: Note) {
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
            && !self.denied.contains(&(publisher, number))
        {
            let key = (publisher, publish.topic.clone(), publish.qos.bits());
            let last = self.arrived.insert(key, number);
            if last.is_some_and(|last| last >= number) {
                self.blame(format!("{client_id} publishes {number} after {last:?}"));
            }
        }
        if !self.is_denied(conn, &client_id, &publish) {
            self.arrives(&client_id, &publish);
        }
    }

    /// A message is published: who is owed it now?
    pub(super) fn arrives(&mut self, publisher: &str, publish: &PublishNote) {
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
        let some_member_may_not = self.some_member_may_not_read(&groups, topic);
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
        message.group_excused |= some_member_may_not;
        if publish.retain {
            message.retained_until = Some(Instant(u64::MAX));
        }
        for index in self.live.values() {
            let session = &mut self.sessions[*index];
            let by_itself = session.client_id == publisher;
            let Some(looks) = session.looks(topic, publish.qos, publish.retain, by_itself) else {
                continue;
            };
            let copy = Copy { arrival, looks, expires, dropped: false, sent_on: None };
            session.owed.entry(id).or_default().copies.push(copy);
        }
        self.current = Some(id);
    }

    pub(super) fn delivery(&mut self, client_id: &str, topic: &str, qos: QoS, outcome: Outcome) {
        let bounded = self.rules.queue_is_bounded;
        let lawful = match outcome {
            Outcome::Sent | Outcome::Queued | Outcome::NoLocal => return,
            Outcome::QueueFull => bounded,
            Outcome::Offline | Outcome::SlowConsumer => qos == QoS::AtMostOnce,
            Outcome::TooLarge => self
                .live_session(client_id)
                .is_some_and(|session| session.connect.maximum_packet_size != u32::MAX),
            Outcome::Expired => return,
            Outcome::Denied => return self.delivery_denied(client_id, topic),
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
            && let Some(copy) = owed.copies.last_mut()
        {
            copy.dropped = true;
        }
    }
}
