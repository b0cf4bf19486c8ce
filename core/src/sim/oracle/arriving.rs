//! What clients send: acknowledgements, and messages, for each of which is noted who is owed it.

use super::{InHand, Oracle, matches_shared};
use crate::packet::{PacketType, QoS, ReasonCode};
use crate::sim::model::{Copy, Message, message_of};
use crate::sim::watch::{Note, PublishNote};
use crate::time::Instant;
use std::collections::BTreeSet;

impl Oracle {
    pub(super) fn packet_in(&mut self, conn: u64, note: Note) {
        self.current = None;
        let now = self.now;
        let one = self.conns.entry(conn).or_default();
        one.heard = now;
        one.said_goodbye |= matches!(note, Note::Disconnect { .. });
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
        self.current = Some(InHand { id, len: publish.payload.len() });
        let Some(id) = id else { return };
        let expires = publish.expiry.map(|seconds| now.plus_secs(u64::from(seconds)));
        let groups = self.groups.keys().filter(|full| matches_shared(full, topic)).cloned();
        let groups: BTreeSet<String> = groups.collect();
        let some_member_may_not = self.some_member_may_not_read(&groups, topic);
        let message = self.messages.entry(id).or_insert_with(|| Message {
            topic: topic.clone(),
            qos: publish.qos,
            len: publish.payload.len(),
            properties: publish.properties,
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
            let (decided, dropped, sent_on) = (false, false, None);
            let copy = Copy { arrival, looks, expires, decided, dropped, sent_on };
            session.owed.entry(id).or_default().copies.push(copy);
        }
    }
}
