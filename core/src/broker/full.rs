//! A disk without room (DESIGN §5.7): what would have to be written down anew is refused, each client
//! told in its version's words; what is known already goes on, and so do deliveries,
//! acknowledgements, releases and session ends, for which the store keeps a reserve.

use super::connect::Refusal;
use super::link::KEPT;
use super::{Broker, Outlet, Subscriber};
use crate::packet::{Ack, Connect, Packet, PacketId, Publish, QoS, ReasonCode};
use crate::session::SessionKey;
use std::borrow::Cow;

impl Broker {
    /// Whether a PUBLISH is of a kind that cannot be answered now: the disk is full, the message
    /// needs it, and 3.x has no word for that. It is not read until there is room again.
    #[inline]
    pub(crate) fn waits_for_room(&self, key: SessionKey, publish: &Publish<'_>) -> bool {
        self.durable.is_full()
            && publish.packet_id.is_some()
            && self.session(key).is_some_and(|session| !session.version.is_v5())
            && self.needs_disk(key, publish)
    }

    /// Whether a PUBLISH has been answered here, because nothing new can be stored: 5.0 is told
    /// 0x97. A QoS 2 identifier that is known goes on, and so does what leaves no trace on the disk.
    pub(super) fn refuse_as_full(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> bool {
        if !self.durable.is_full() || !self.needs_disk(key, publish) {
            return false;
        }
        self.stats.drops.store_full += 1;
        let Some(id) = publish.packet_id else { return true };
        let ack = Ack::new(id, ReasonCode::QuotaExceeded);
        let answer = match publish.qos {
            QoS::ExactlyOnce => Packet::Pubrec(ack),
            _ => Packet::Puback(ack),
        };
        if let Some(slot) = self.connection_of(key) {
            outlet.send(slot, &answer);
        }
        true
    }

    /// Whether a message has to be written down: it is retained, its identifier must be remembered,
    /// or somebody may get it whose Session outlives the process. Looked up only on a full disk.
    fn needs_disk(&self, key: SessionKey, publish: &Publish<'_>) -> bool {
        if publish.qos == QoS::AtMostOnce {
            return publish.retain;
        }
        let Some(session) = self.session(key) else { return false };
        if publish.qos == QoS::ExactlyOnce {
            let known = |id: PacketId| session.incoming.holds(id);
            if publish.packet_id.is_some_and(known) {
                return false;
            }
            if session.recorded.number > 0 {
                return true;
            }
        }
        let topic = match &session.mount {
            None => Cow::Borrowed(publish.topic),
            Some(mount) => Cow::Owned([mount, publish.topic].concat()),
        };
        let mut needs = publish.retain;
        self.tree.for_each_match(&topic, |subscriber, grant| {
            needs |= match subscriber {
                Subscriber::Session(to) => {
                    self.session(to).is_some_and(|session| session.recorded.number > 0)
                }
                Subscriber::Group(_) => true,
                Subscriber::Peer(_) => grant.identifier == KEPT,
            };
        });
        needs
    }

    /// Whether a message of this kind, which may have to be stored, is not taken.
    pub(super) fn is_full_for_publish(&self, qos: QoS, retain: bool) -> bool {
        self.durable.is_full() && (qos != QoS::AtMostOnce || retain)
    }

    /// Whether a CONNECT asks for something that cannot be stored: a new Session, or a Will.
    pub(super) fn check_store(
        &self,
        client_id: &str,
        connect: &Connect<'_>,
        expiry: u32,
    ) -> Result<(), Refusal> {
        if !self.durable.is_full() {
            return Ok(());
        }
        let resumes = !connect.clean_start && self.by_client_id.contains_key(client_id);
        if connect.will.is_some() || (expiry > 0 && !resumes) {
            let detail = "the disk of the store is full: no new session and no will";
            return Err(Refusal::new(ReasonCode::QuotaExceeded, detail));
        }
        Ok(())
    }

    /// Whether a subscription of this Session cannot be stored.
    pub(super) fn is_full_for(&self, key: SessionKey) -> bool {
        let kept = || self.session(key).is_some_and(|session| session.recorded.number > 0);
        self.durable.is_full() && kept()
    }
}
