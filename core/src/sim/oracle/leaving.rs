//! What clients are sent and what their applications get: nothing that is not owed, in order, within
//! the limits of the receiver.

use super::{Oracle, matches_shared};
use crate::codec::{Decoder, Limits, Role};
use crate::packet::{PacketType, QoS, ReasonCode, Version};
use crate::sim::model::{Flight, Looks, MessageId, Session, message_of};
use crate::sim::station::Received;
use crate::sim::watch::{Note, PublishNote};
use crate::time::Instant;

impl Oracle {
    pub(super) fn packet_out(&mut self, conn: u64, version: Version, bytes: &[u8]) {
        self.announced.entry(conn).or_default().extend_from_slice(bytes);
        let mut decoder = Decoder::new(Role::Client);
        decoder.set_version(version);
        let note = match decoder.decode(bytes, &Limits::default()) {
            Ok((used, Some(frame))) if used == bytes.len() => Note::of(&frame.packet),
            other => return self.blame(format!("#{conn} is sent what is no packet: {other:?}")),
        };
        match note {
            Note::Publish(publish) => self.publish_out(conn, publish, bytes.len()),
            Note::Ack { kind: PacketType::Puback, id, reason } => self.answered(conn, id, reason),
            Note::Ack { kind: PacketType::Pubrec, id, reason } => {
                self.answered(conn, id, reason);
                if let Some(session) = self.session_of(conn).filter(|_| reason.is_error()) {
                    session.incoming.remove(&id);
                }
            }
            Note::Ack { kind: PacketType::Pubrel, id, reason: ReasonCode::Success }
                if !self.is_release_due(conn, id) =>
            {
                self.blame(format!("#{conn} gets a PUBREL {id} that is not due"));
            }
            _ => {}
        }
    }

    fn publish_out(&mut self, conn: u64, mut publish: PublishNote, len: usize) {
        let (max_inflight, now) = (self.rules.max_inflight, self.now);
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
        let session = &mut self.sessions[index];
        if len as u64 > u64::from(session.connect.maximum_packet_size) {
            faults.push(format!("{len} bytes are over its Maximum Packet Size"));
        }
        if let Some(id) = publish.id {
            one.outstanding.insert(id);
            let most = session.connect.receive_maximum.min(max_inflight);
            if one.outstanding.len() > usize::from(most) {
                faults.push(format!("{} in flight, {most} allowed", one.outstanding.len()));
            }
        } else if publish.dup {
            faults.push("DUP with QoS 0".to_owned());
        }
        if !publish.dup && !Self::is_owed_singly(&publish.topic, message_of(&publish.payload)) {
            self.sessions[index].unqueue(&publish.topic, publish.qos);
        }
        faults.extend(self.rights_fault(index, &publish));
        let session = &self.sessions[index];
        if let Some(id) = message_of(&publish.payload)
            && let Some(fault) = self.lookup_fault(session, id, &publish)
        {
            faults.push(fault);
        }
        faults.extend(self.sessions[index].sent(conn, &publish, now));
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
        let looks = Looks::of(publish);
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
            Some(owed) if owed.may_send(&looks, publish.dup, self.now) => None,
            Some(owed) => Some(format!("expected {:?}", owed.copies)),
        }
    }

    /// An application got a message.
    pub(in crate::sim) fn received(&mut self, conn: u64, received: &Received) {
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
        let owed = session.owed.entry(id).or_default();
        owed.received += 1;
        owed.fresh += u32::from(!received.dup);
        owed.exact += u32::from(received.qos == QoS::ExactlyOnce);
        let most = owed.expected() + replays;
        let count = if received.qos == QoS::ExactlyOnce { owed.exact } else { owed.fresh };
        let first = owed.received == 1 && !received.retain && id.1 > 0;
        let arrival = if owed.excused {
            owed.copies.last().map(|copy| copy.arrival)
        } else {
            owed.first_by(conn, received.qos)
        };
        let excused = owed.excused;
        let client_id = session.client_id.clone();
        let mut late = None;
        if let Some(arrival) = arrival.filter(|_| first) {
            let key = (id.0, received.topic.clone(), published_qos.bits(), received.qos.bits());
            let last = session.order.entry(key).or_default();
            late = (*last > arrival).then_some((arrival, *last));
            // What may be a later copy than we know holds nobody back.
            if !excused {
                *last = arrival.max(*last);
            }
        }
        if count > most {
            self.blame(format!(
                "{client_id} got {id:?} {count} times with QoS {}, expected {most}",
                received.qos
            ));
        }
        if let Some((arrival, last)) = late {
            self.blame(format!("{client_id} got {id:?}, arrival {arrival}, after {last}"));
        }
    }
}

impl Looks {
    pub(super) fn of(publish: &PublishNote) -> Self {
        Self { qos: publish.qos, ids: publish.ids.clone(), retain: publish.retain }
    }
}

impl Session {
    /// Notes which copy of which message is sent, under which identifier, and says what is wrong
    /// with that.
    fn sent(&mut self, conn: u64, publish: &PublishNote, now: Instant) -> Option<String> {
        let message = message_of(&publish.payload);
        let owed = message.and_then(|id| self.owed.get_mut(&id));
        let Some(id) = publish.id else {
            owed.and_then(|owed| owed.send(&Looks::of(publish), conn, now));
            return None;
        };
        let old = self.flights.get(&id).filter(|old| publish.dup || !old.given_up).copied();
        let copy = match (old, owed) {
            (None, Some(owed)) => owed.send(&Looks::of(publish), conn, now),
            (Some(Flight { copy: Some(arrival), .. }), Some(owed)) => {
                owed.resend(arrival, conn);
                Some(arrival)
            }
            _ => None,
        };
        let (qos, released, given_up) = (publish.qos, false, false);
        let flight = Flight { message, qos, released, given_up, sent_on: conn, copy };
        self.flights.insert(id, flight);
        match old {
            None => publish.dup.then(|| format!("DUP on the first sending of {id}")),
            Some(old) => resend_fault(id, &old, &flight, publish.dup),
        }
    }
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
