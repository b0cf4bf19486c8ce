//! The sender's half of QoS 1 and 2 (MQTT 5.0 §4.3.2, §4.3.3): messages sent and not yet
//! acknowledged, in the order of their first sending, their Packet Identifiers and the send quota
//! of §4.9. Never touches the identifiers that the client chose.

use super::Delivery;
use crate::message::Message;
use crate::packet::PacketId;
use crate::state::{RestoreError, Sink, Source, State, state};
use std::collections::VecDeque;

/// An unfinished exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) id: PacketId,
    /// Number of the allocation of `id`, for telling whether identifiers can have come round.
    number: u64,
    /// Whether its PUBLISH went out on this connection and counts against the quota.
    counted: bool,
    pub(crate) state: InFlightState,
}

state!(InFlight { id, number, counted, state });

/// Where an exchange stands; each state holds only what it may still need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InFlightState {
    /// QoS 1, waits for PUBACK.
    Publish1(Delivery),
    /// QoS 2, waits for PUBREC.
    Publish2(Delivery),
    /// QoS 2, PUBREL owed or sent, waits for PUBCOMP; the message is gone.
    Released,
}

impl State for InFlightState {
    fn save(&self, to: &mut dyn Sink) {
        match self {
            Self::Publish1(delivery) => {
                1u8.save(to);
                delivery.save(to);
            }
            Self::Publish2(delivery) => {
                2u8.save(to);
                delivery.save(to);
            }
            Self::Released => 3u8.save(to),
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        match u8::load(from)? {
            1 => Delivery::load(from).map(Self::Publish1),
            2 => Delivery::load(from).map(Self::Publish2),
            3 => Ok(Self::Released),
            _ => Err(from.error("state of an exchange")),
        }
    }
}

/// What an acknowledgement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AckOutcome {
    /// The exchange is complete.
    Completed,
    /// PUBREL is to be sent.
    Release,
    /// No exchange has this identifier.
    Unknown,
    /// The exchange is of another kind: a Protocol Error.
    WrongKind,
}

/// Exchanges under way to one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    inflight: VecDeque<InFlight>,
    last_id: u16,
    allocations: u64,
    /// PUBLISH packets that count against the quota of this connection.
    counted: u16,
    bytes: u64,
    /// How many at the front have been dealt with on this connection.
    resent: u32,
}

state!(Outgoing { inflight, last_id, allocations, counted, bytes, resent });

impl InFlightState {
    /// Of a delivery that waits for its first acknowledgement.
    pub(crate) fn of(delivery: Delivery) -> Self {
        if delivery.qos == crate::packet::QoS::ExactlyOnce {
            Self::Publish2(delivery)
        } else {
            Self::Publish1(delivery)
        }
    }
}

impl Outgoing {
    /// Exchanges of an earlier process, in order; all are to be taken up again.
    pub(crate) fn recovered(flights: Vec<(PacketId, InFlightState)>) -> Self {
        let mut outgoing = Self { allocations: 65_535, ..Self::default() };
        for (id, state) in flights {
            if let InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery) = &state {
                outgoing.bytes += delivery.message.weight();
            }
            outgoing.last_id = id.get();
            // Number 0: the identifiers may have come round any number of times since.
            outgoing.inflight.push_back(InFlight { id, number: 0, counted: false, state });
        }
        outgoing
    }

    pub(crate) fn len(&self) -> usize {
        self.inflight.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Exchanges, in the order of their first sending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.inflight.iter()
    }

    /// Whether another PUBLISH may go out: quota, the number of identifiers, and `max_bytes` (0 =
    /// no limit) [MQTT-3.3.4-9], [MQTT-4.9.0-2].
    #[inline]
    pub(crate) fn has_quota(&self, receive_maximum: u16, max_bytes: u64) -> bool {
        self.counted < receive_maximum
            && self.inflight.len() < usize::from(receive_maximum)
            && (max_bytes == 0 || self.bytes < max_bytes)
    }

    /// Whether what was sent before the present connection still has to be sent again.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        (self.resent as usize) < self.inflight.len()
    }

    /// Takes `delivery` in as sent now, under an identifier of [`Self::next_id`]. The caller asked
    /// [`Self::has_quota`], so that at most 65,535 are in use [MQTT-2.2.1-3].
    pub(crate) fn start(&mut self, id: PacketId, delivery: Delivery) {
        self.bytes += delivery.message.weight();
        self.counted += 1;
        let state = InFlightState::of(delivery);
        let number = self.allocations;
        self.inflight.push_back(InFlight { id, number, counted: true, state });
        self.resent += 1;
    }

    /// A Packet Identifier that is not in use.
    pub(crate) fn next_id(&mut self) -> PacketId {
        self.allocations += 1;
        loop {
            self.last_id = if self.last_id == u16::MAX { 1 } else { self.last_id + 1 };
            let Some(id) = PacketId::new(self.last_id) else { continue };
            // An identifier can be in use only if the numbering came round since the oldest.
            let came_round =
                self.inflight.front().is_some_and(|old| self.allocations - old.number >= 65_535);
            if !came_round || self.inflight.iter().all(|old| old.id != id) {
                return id;
            }
            self.allocations += 1;
        }
    }

    /// A PUBACK.
    pub(crate) fn puback(&mut self, id: PacketId) -> AckOutcome {
        self.finish(id, |state| matches!(state, InFlightState::Publish1(_)))
    }

    /// A PUBREC that accepts.
    pub(crate) fn pubrec(&mut self, id: PacketId) -> AckOutcome {
        let Some(at) = self.position(id) else { return AckOutcome::Unknown };
        let entry = &mut self.inflight[at];
        match &entry.state {
            InFlightState::Publish1(_) => return AckOutcome::WrongKind,
            InFlightState::Publish2(delivery) => {
                self.bytes -= delivery.message.weight();
                entry.state = InFlightState::Released;
            }
            InFlightState::Released => {}
        }
        AckOutcome::Release
    }

    /// A PUBREC that refuses [MQTT-4.3.3-4]: the exchange is over.
    pub(crate) fn pubrec_refused(&mut self, id: PacketId) -> AckOutcome {
        self.finish(id, |state| matches!(state, InFlightState::Publish2(_)))
    }

    /// A PUBCOMP.
    pub(crate) fn pubcomp(&mut self, id: PacketId) -> AckOutcome {
        self.finish(id, |state| matches!(state, InFlightState::Released))
    }

    fn finish(&mut self, id: PacketId, right: fn(&InFlightState) -> bool) -> AckOutcome {
        let Some(at) = self.position(id) else { return AckOutcome::Unknown };
        if !right(&self.inflight[at].state) {
            return AckOutcome::WrongKind;
        }
        self.remove(at);
        AckOutcome::Completed
    }

    /// Acknowledgements mostly come in order, so the front is nearly always right; the search is
    /// bounded by the Receive Maximum.
    #[inline]
    fn position(&self, id: PacketId) -> Option<usize> {
        self.inflight.iter().position(|entry| entry.id == id)
    }

    fn remove(&mut self, at: usize) {
        let Some(entry) = self.inflight.remove(at) else { return };
        if (at as u64) < u64::from(self.resent) {
            self.resent -= 1;
        }
        self.counted -= u16::from(entry.counted);
        if let InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery) = &entry.state
        {
            self.bytes -= delivery.message.weight();
        }
    }

    /// A new connection: everything is to be sent again, in order [MQTT-4.4.0-1], [MQTT-4.6.0-1].
    pub(crate) fn reconnect(&mut self) {
        self.counted = 0;
        self.resent = 0;
        for entry in &mut self.inflight {
            entry.counted = false;
        }
    }

    /// The next exchange to take up again on this connection. Call [`Self::sent_again`] or
    /// [`Self::give_up_unsent`] next.
    pub(crate) fn next_unsent(&self) -> Option<&InFlight> {
        self.inflight.get(self.resent as usize)
    }

    /// Whether a PUBLISH sent again fits into the quota of this connection.
    pub(crate) const fn has_resend_quota(&self, receive_maximum: u16) -> bool {
        self.counted < receive_maximum
    }

    /// What [`Self::next_unsent`] gave has been sent.
    pub(crate) fn sent_again(&mut self) {
        if let Some(entry) = self.inflight.get_mut(self.resent as usize) {
            if !matches!(entry.state, InFlightState::Released) {
                entry.counted = true;
                self.counted += 1;
            }
            self.resent += 1;
        }
    }

    /// What [`Self::next_unsent`] gave cannot be sent. With QoS 1 it counts as completed. With QoS 2
    /// the message is gone and PUBREL is next, which is then `true`: the client may hold the Packet
    /// Identifier and would take another message under it for a repetition of this one.
    pub(crate) fn give_up_unsent(&mut self) -> bool {
        let Some(entry) = self.inflight.get_mut(self.resent as usize) else { return false };
        if let InFlightState::Publish2(delivery) = &entry.state {
            self.bytes -= delivery.message.weight();
            entry.state = InFlightState::Released;
            return true;
        }
        self.remove(self.resent as usize);
        false
    }

    /// Exchanges in order, for a Session that ends.
    pub(crate) fn drain(&mut self) -> VecDeque<InFlight> {
        self.counted = 0;
        self.resent = 0;
        self.bytes = 0;
        core::mem::take(&mut self.inflight)
    }

    /// The messages that may still have to be sent again.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.inflight.iter().filter_map(|entry| match &entry.state {
            InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery) => {
                Some(&*delivery.message)
            }
            InFlightState::Released => None,
        })
    }

    pub(crate) fn footprint(&self) -> u64 {
        self.bytes + 80 * self.inflight.len() as u64
    }
}
