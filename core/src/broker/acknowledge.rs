//! PUBACK, PUBREC, PUBREL and PUBCOMP from a client (MQTT 5.0 §3.4 to §3.7, §4.3).

use super::{Broker, Outlet, Violation};
use crate::journal::Op;
use crate::packet::{Ack, Packet, ReasonCode};
use crate::session::{AckOutcome, SessionKey};
use crate::time::Instant;

const WRONG_KIND: Violation = Violation::new(
    ReasonCode::ProtocolError,
    "the acknowledgement does not fit the QoS of the exchange [MQTT-4.3.2-2], [MQTT-4.3.3-2]",
);

impl Broker {
    pub(super) fn puback(
        &mut self,
        now: Instant,
        key: SessionKey,
        ack: &Ack<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(key.slot) else { return Ok(()) };
        let outcome = session.outgoing.puback(ack.packet_id);
        if outcome == AckOutcome::Completed {
            self.durable.acked(session, ack.packet_id);
        }
        // A refusal counts as delivered: it is never sent to another [MQTT-4.8.2-6].
        if ack.reason.is_error() {
            self.stats.drops.refused += 1;
        }
        self.settle(now, key, outcome, outlet)
    }

    pub(super) fn pubrec(
        &mut self,
        now: Instant,
        key: SessionKey,
        ack: &Ack<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(key.slot) else { return Ok(()) };
        let id = ack.packet_id;
        if ack.reason.is_error() {
            let outcome = session.outgoing.pubrec_refused(id);
            if outcome == AckOutcome::Completed {
                self.durable.acked(session, id);
            }
            self.stats.drops.refused += 1;
            return self.settle(now, key, outcome, outlet);
        }
        let outcome = session.outgoing.pubrec(id);
        if outcome == AckOutcome::Release {
            self.durable.of(session, |session| Op::PubrecSeen { session, id });
        }
        let Some(slot) = self.connection_of(key) else { return Ok(()) };
        let reason = match outcome {
            AckOutcome::WrongKind => return Err(WRONG_KIND),
            AckOutcome::Unknown => {
                self.stats.unknown_acks += 1;
                ReasonCode::PacketIdentifierNotFound
            }
            AckOutcome::Release | AckOutcome::Completed => ReasonCode::Success,
        };
        self.promise(key, outlet);
        outlet.send(slot, &Packet::Pubrel(Ack::new(ack.packet_id, reason)));
        Ok(())
    }

    pub(super) fn pubrel(&mut self, key: SessionKey, ack: &Ack<'_>, outlet: &mut impl Outlet) {
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        let id = ack.packet_id;
        let known = session.incoming.release(id);
        if known {
            self.durable.of(session, |session| Op::Released { session, id });
        }
        let Some(slot) = self.connection_of(key) else { return };
        let reason = if known {
            ReasonCode::Success
        } else {
            self.stats.unknown_acks += 1;
            ReasonCode::PacketIdentifierNotFound
        };
        self.promise(key, outlet);
        outlet.send(slot, &Packet::Pubcomp(Ack::new(ack.packet_id, reason)));
    }

    pub(super) fn pubcomp(
        &mut self,
        now: Instant,
        key: SessionKey,
        ack: &Ack<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(key.slot) else { return Ok(()) };
        let outcome = session.outgoing.pubcomp(ack.packet_id);
        if outcome == AckOutcome::Completed {
            self.durable.acked(session, ack.packet_id);
        }
        self.settle(now, key, outcome, outlet)
    }

    /// An exchange is over, or was none: there may be room for the next.
    fn settle(
        &mut self,
        now: Instant,
        key: SessionKey,
        outcome: AckOutcome,
        outlet: &mut impl Outlet,
    ) -> Result<(), Violation> {
        match outcome {
            AckOutcome::WrongKind => return Err(WRONG_KIND),
            AckOutcome::Unknown => self.stats.unknown_acks += 1,
            AckOutcome::Completed | AckOutcome::Release => self.pump(now, key, outlet),
        }
        Ok(())
    }
}
