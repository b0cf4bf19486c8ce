//! Messages from the server that are not done yet: acknowledgements owed, in the order of receipt
//! [MQTT-4.6.0-2], and the identifiers of received QoS 2 messages [MQTT-4.3.3-10]. Never holds a
//! payload and never touches what the client publishes.

use crate::packet::{PacketId, QoS, ReasonCode};
use std::collections::{BTreeMap, VecDeque};

/// An acknowledgement that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owed {
    id: PacketId,
    qos: QoS,
    /// What to answer; `None` until the application says.
    answer: Option<ReasonCode>,
}

/// A QoS 2 message that was handed on and not yet released by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Received {
    /// What was, or will be, said in PUBREC; `None` until the application says.
    answer: Option<ReasonCode>,
    /// Whether it counts against the Receive Maximum of this connection.
    counted: bool,
}

/// What to do with a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// Hand it on.
    Deliver,
    /// A repetition: only answer it.
    Repeated,
    /// More than the Receive Maximum.
    TooMany,
}

/// All that is under way from the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Incoming {
    owed: VecDeque<Owed>,
    received: BTreeMap<u16, Received>,
    /// Unfinished on this connection.
    counted: u32,
}

impl Incoming {
    /// A connection begins: acknowledgements of the last one are void, the set stays.
    pub(super) fn connected(&mut self) {
        self.owed.clear();
        self.counted = 0;
        for received in self.received.values_mut() {
            received.counted = false;
        }
    }

    /// The session is a new one.
    pub(super) fn session_lost(&mut self) {
        self.connected();
        self.received.clear();
    }

    /// A QoS 1 or 2 PUBLISH; `automatic` if it will be answered at once.
    pub(super) fn publish(
        &mut self,
        id: PacketId,
        qos: QoS,
        automatic: bool,
        maximum: u16,
    ) -> Receipt {
        let known = (qos == QoS::ExactlyOnce).then(|| self.received.get(&id.get()).copied());
        let known = known.flatten();
        if !known.is_some_and(|received| received.counted) {
            if self.counted >= u32::from(maximum) {
                return Receipt::TooMany;
            }
            self.counted += 1;
        }
        let answer = automatic.then_some(ReasonCode::Success);
        let answer = known.map_or(answer, |received| received.answer.or(answer));
        if qos == QoS::ExactlyOnce {
            self.received.insert(id.get(), Received { answer, counted: true });
        }
        let waits = |owed: &Owed| owed.id == id && owed.qos == qos;
        if known.is_none() || !self.owed.iter().any(waits) {
            self.owed.push_back(Owed { id, qos, answer });
        }
        if known.is_some() { Receipt::Repeated } else { Receipt::Deliver }
    }

    /// The application answers; `false` if nothing was to be answered.
    pub(super) fn answer(&mut self, id: PacketId, reason: ReasonCode) -> bool {
        let received = self.received.get_mut(&id.get()).filter(|one| one.answer.is_none());
        let known = received.map(|one| one.answer = Some(reason)).is_some();
        let mut owed = self.owed.iter_mut();
        let owed = owed.find(|owed| owed.id == id && owed.answer.is_none());
        owed.map(|owed| owed.answer = Some(reason)).is_some() || known
    }

    /// The next acknowledgement to write: identifier, QoS 1 or 2, reason.
    pub(super) fn next_answer(&mut self) -> Option<(PacketId, QoS, ReasonCode)> {
        let Owed { id, qos, answer } = *self.owed.front()?;
        let reason = answer?;
        self.owed.pop_front();
        if qos == QoS::AtLeastOnce {
            self.counted = self.counted.saturating_sub(1);
        } else if reason.is_error() {
            self.remove(id);
        }
        Some((id, qos, reason))
    }

    /// PUBREL; `false` if the identifier is not known.
    pub(super) fn release(&mut self, id: PacketId) -> bool {
        self.owed.retain(|owed| owed.id != id || owed.qos != QoS::ExactlyOnce);
        self.remove(id)
    }

    /// Identifiers of QoS 2 messages held.
    pub(super) fn held(&self) -> u32 {
        u32::try_from(self.received.len()).unwrap_or(u32::MAX)
    }

    fn remove(&mut self, id: PacketId) -> bool {
        let Some(received) = self.received.remove(&id.get()) else { return false };
        self.counted = self.counted.saturating_sub(u32::from(received.counted));
        true
    }
}
