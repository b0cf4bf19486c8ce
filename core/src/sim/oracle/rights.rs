//! What rights forbid and what they excuse: nothing that the rights at that time deny may be delivered
//! or have an effect, and what is lost because of them was lost lawfully.

use super::Oracle;
use crate::access::Access;
use crate::engine::CloseReason;
use crate::packet::{QoS, ReasonCode};
use crate::sim::model::{Looks, MessageId, message_of};
use crate::sim::rights::Rights;
use crate::sim::watch::PublishNote;
use std::collections::BTreeSet;

impl Oracle {
    /// From now on these rights hold.
    pub(in crate::sim) fn set_rights(&mut self, rights: Option<Rights>) {
        self.rights = rights;
        // What waits for a group may wait at a member who may not read it any more.
        self.messages.values_mut().for_each(|message| message.group_excused = true);
    }

    pub(super) fn may_publish(&self, client_id: &str, topic: &str) -> bool {
        let rights = self.rights.as_ref();
        rights.is_none_or(|rights| rights.may(client_id, Access::Write, topic))
    }

    fn may_read(&self, client_id: &str, topic: &str) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.may(client_id, Access::Read, topic))
    }

    /// Whether a PUBLISH has no effect because its sender may not publish it; then its answer has to
    /// say so, where there is a word for it.
    pub(super) fn is_denied(&mut self, conn: u64, client_id: &str, publish: &PublishNote) -> bool {
        if self.may_publish(client_id, &publish.topic) {
            return false;
        }
        self.denied.extend(message_of(&publish.payload));
        if let (Some(one), Some(id)) = (self.conns.get_mut(&conn), publish.id)
            && one.connect.as_ref().is_some_and(|connect| connect.version.is_v5())
        {
            one.denied.insert(id);
        }
        true
    }

    /// A PUBLISH was acknowledged with this reason.
    pub(super) fn answered(&mut self, conn: u64, id: u16, reason: ReasonCode) {
        let denied = self.conns.get_mut(&conn).is_some_and(|one| one.denied.remove(&id));
        if denied != (reason == ReasonCode::NotAuthorized) {
            self.blame(format!("#{conn}: {id} is answered with {reason:?}, denied: {denied}"));
        }
    }

    /// Why a session must not get this message as rights stand, if so.
    pub(super) fn rights_fault(&self, session: usize, publish: &PublishNote) -> Option<String> {
        let session = self.sessions.get(session)?;
        if !self.may_read(&session.client_id, &publish.topic) {
            return Some("it may not read that".to_owned());
        }
        let id = message_of(&publish.payload)?;
        let looks = Looks::of(publish);
        let owed = session.owed.get(&id);
        let live = owed.is_some_and(|owed| owed.may_send(&looks, publish.dup, self.now));
        let checked = self.rights.as_ref().is_some_and(|rights| rights.checks_source);
        let source = format!("c{}", id.0);
        let lost = checked && publish.retain && !publish.dup && !live;
        (lost && !self.may_publish(&source, &publish.topic))
            .then(|| format!("{source} may not publish that any more"))
    }

    /// The engine kept a message from a session because of its rights: of this topic, it may be owed
    /// none that came so far.
    pub(super) fn delivery_denied(&mut self, client_id: &str, topic: &str) {
        if self.may_read(client_id, topic) {
            self.blame(format!("a message to {topic} was denied to {client_id}, who may read it"));
        }
        self.excuse(client_id, topic);
        self.give_up(client_id, topic);
    }

    /// Exchanges of QoS 1 from an earlier connection end without a word where the message may not be
    /// sent again; those of QoS 2 with PUBREL: see `is_release_due`.
    fn give_up(&mut self, client_id: &str, topic: &str) {
        let messages = core::mem::take(&mut self.messages);
        if let Some(session) = self.live_session(client_id) {
            let attached = session.attached;
            for flight in session.flights.values_mut() {
                let message = flight.message.and_then(|id| messages.get(&id));
                let is_it = message.is_some_and(|message| message.topic == topic);
                let again = attached.is_some() && attached != Some(flight.sent_on);
                flight.given_up |= is_it && again && flight.qos == QoS::AtLeastOnce;
            }
        }
        self.messages = messages;
    }

    pub(super) fn source_denied(&mut self, client_id: &str, topic: &str) {
        let rights = self.rights.as_ref();
        if !rights.is_some_and(|one| one.checks_source && one.keeps_somebody_from(topic)) {
            self.blame(format!("the retained message of {topic} was denied to {client_id}"));
        }
        self.excuse(client_id, topic);
    }

    fn excuse(&mut self, client_id: &str, topic: &str) {
        let messages = core::mem::take(&mut self.messages);
        let on_topic =
            |id: &MessageId| messages.get(id).is_some_and(|message| message.topic == topic);
        if let Some(session) = self.live_session(client_id) {
            for (id, owed) in &mut session.owed {
                owed.excused |= on_topic(id);
            }
            session.replays.iter_mut().for_each(|replay| replay.owed.retain(|id| !on_topic(id)));
        }
        self.messages = messages;
        for message in self.messages.values_mut().filter(|message| message.topic == topic) {
            message.group_excused = true;
        }
    }

    /// A Will is not published: now, or as things stand.
    pub(super) fn will_denied(&mut self, client_id: &str) {
        let Some(session) = self.live_session(client_id) else { return };
        let is_due = session.attached.is_none();
        let Some(will) = session.will.clone() else { return };
        if is_due {
            session.will = None;
        }
        if self.may_publish(client_id, &will.topic) {
            self.blame(format!("the will of {client_id} was denied, who may publish it"));
        }
    }

    /// Whether members of these groups may not read what is published to `topic`.
    pub(super) fn some_member_may_not_read(&self, groups: &BTreeSet<String>, topic: &str) -> bool {
        let mut members = groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        members.any(|member| !self.may_read(member, topic))
    }

    /// Whether PUBREL is due: PUBREC was received, or the message may not be repeated because the
    /// client may not read it any more, so that all that is left to do is to free its identifier.
    pub(super) fn is_release_due(&mut self, conn: u64, id: u16) -> bool {
        let Some(session) = self.session_of(conn) else { return false };
        let Some(flight) = session.flights.get(&id) else { return false };
        if flight.released {
            return true;
        }
        let (client_id, message, sent_on) =
            (session.client_id.clone(), flight.message, flight.sent_on);
        let largest = session.connect.maximum_packet_size;
        let withheld = message.and_then(|id| self.messages.get(&id)).is_some_and(|message| {
            !self.may_read(&client_id, &message.topic)
                || message.len as u64 + 100 > u64::from(largest)
        });
        let given_up = withheld && sent_on != conn;
        if let Some(flight) = self.session_of(conn).and_then(|one| one.flights.get_mut(&id)) {
            flight.released |= given_up;
        }
        given_up
    }

    /// Whether the engine closed a connection because of what has changed.
    pub(super) fn is_dismissed(&self, reason: &CloseReason) -> bool {
        let code = ReasonCode::AdministrativeAction;
        let dismissed = matches!(reason, CloseReason::Violation { code: one, .. } if *one == code);
        dismissed && self.rights.is_some()
    }
}
