//! A disk without room (DESIGN §5.7): what would have to be written down anew is refused, each client
//! told in its version's words; what is known already goes on, and so do deliveries,
//! acknowledgements, releases and session ends, for which the store keeps a reserve.

use super::connect::Refusal;
use super::{Broker, Outlet, Violation};
use crate::packet::{Ack, Connect, Packet, PacketId, Publish, QoS, ReasonCode};
use crate::session::SessionKey;

const FULL: Violation = Violation::new(
    ReasonCode::QuotaExceeded,
    "the disk of the store is full, which 3.x cannot be told in PUBACK",
);

impl Broker {
    /// Whether a PUBLISH is answered here, because nothing new can be stored: 5.0 is told 0x97, 3.x
    /// has no word for it and is closed, so that it keeps the message. A QoS 2 identifier that is
    /// known goes on.
    pub(super) fn refuse_as_full(
        &mut self,
        key: SessionKey,
        publish: &Publish<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<bool, Violation> {
        if !self.is_full_for_publish(publish.qos, publish.retain) {
            return Ok(false);
        }
        let Some(session) = self.session(key) else { return Ok(false) };
        let (v5, known) = (session.version.is_v5(), |id: PacketId| session.incoming.holds(id));
        if publish.qos == QoS::ExactlyOnce && publish.packet_id.is_some_and(known) {
            return Ok(false);
        }
        self.stats.drops.store_full += 1;
        let Some(id) = publish.packet_id else { return Ok(true) };
        if !v5 {
            return Err(FULL);
        }
        let ack = Ack::new(id, ReasonCode::QuotaExceeded);
        let answer = match publish.qos {
            QoS::ExactlyOnce => Packet::Pubrec(ack),
            _ => Packet::Puback(ack),
        };
        if let Some(slot) = self.connection_of(key) {
            outlet.send(slot, &answer);
        }
        Ok(true)
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
