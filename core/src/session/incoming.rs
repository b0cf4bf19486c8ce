//! The receiver's half of QoS 2 (MQTT 5.0 §4.3.3): Packet Identifiers received and not yet
//! released, nothing else. Never shares anything with the identifiers we send.

use crate::packet::PacketId;
use crate::state::state;

/// Identifiers of QoS 2 PUBLISH packets that wait for PUBREL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// Ascending, each with whether it counts against the present connection's Receive Maximum.
    ids: Vec<(PacketId, bool)>,
    counted: u16,
    /// Whether it was told that the present connection exceeds its Receive Maximum.
    is_excess_told: bool,
}

state!(Incoming { ids, counted, is_excess_told });

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Seen for the first time: to be routed.
    New,
    /// A repetition: to be acknowledged again, not routed [MQTT-4.3.3-10].
    Repeated,
    /// One more than the Receive Maximum [MQTT-3.3.4-9].
    OverQuota,
}

impl Incoming {
    pub(crate) const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Notes a QoS 2 PUBLISH. `quota` is the Receive Maximum that we told the client, if any; on
    /// `OverQuota` nothing is noted.
    pub(crate) fn receive(&mut self, id: PacketId, quota: Option<u16>) -> Arrival {
        match self.ids.binary_search_by_key(&id, |entry| entry.0) {
            Ok(at) => {
                if !self.ids[at].1 {
                    self.ids[at].1 = true;
                    self.counted += 1;
                }
                Arrival::Repeated
            }
            Err(_) if quota.is_some_and(|quota| self.counted >= quota) => Arrival::OverQuota,
            Err(at) => {
                self.ids.insert(at, (id, true));
                self.counted += 1;
                Arrival::New
            }
        }
    }

    /// Whether `id` waits for PUBREL.
    pub(crate) fn holds(&self, id: PacketId) -> bool {
        self.ids.binary_search_by_key(&id, |entry| entry.0).is_ok()
    }

    /// Whether as many exchanges are open on this connection as the Receive Maximum allows.
    pub(crate) const fn is_full(&self, quota: u16) -> bool {
        self.counted >= quota
    }

    /// Forgets `id` at its PUBREL; `false` if it was not known.
    pub(crate) fn release(&mut self, id: PacketId) -> bool {
        let Ok(at) = self.ids.binary_search_by_key(&id, |entry| entry.0) else { return false };
        let (_, counted) = self.ids.remove(at);
        self.counted -= u16::from(counted);
        if self.ids.is_empty() {
            self.ids = Vec::new();
        }
        true
    }

    /// Whether this is the first time on this connection that its Receive Maximum is exceeded.
    pub(crate) const fn begins_to_exceed(&mut self) -> bool {
        !core::mem::replace(&mut self.is_excess_told, true)
    }

    /// A new connection: identifiers from before no longer count.
    pub(crate) fn reconnect(&mut self) {
        self.counted = 0;
        self.is_excess_told = false;
        for entry in &mut self.ids {
            entry.1 = false;
        }
    }

    /// What an earlier process had received and not released.
    pub(crate) fn recovered(ids: impl Iterator<Item = PacketId>) -> Self {
        Self { ids: ids.map(|id| (id, false)).collect(), counted: 0, is_excess_told: false }
    }

    /// What is received and not released, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PacketId> {
        self.ids.iter().map(|entry| entry.0)
    }

    pub(crate) const fn footprint(&self) -> u64 {
        4 * self.ids.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn a_repetition_is_no_new_arrival() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.receive(id(7), Some(1)), Arrival::New);
        assert_eq!(incoming.receive(id(7), Some(1)), Arrival::Repeated);
        assert_eq!(incoming.receive(id(8), Some(1)), Arrival::OverQuota);
        assert!(incoming.release(id(7)));
        assert!(!incoming.release(id(7)));
        assert_eq!(incoming, Incoming::default());
    }

    #[test]
    fn ids_kept_from_before_do_not_count_until_repeated() {
        let mut incoming = Incoming::default();
        incoming.receive(id(1), Some(2));
        incoming.receive(id(2), Some(2));
        incoming.reconnect();
        assert_eq!(incoming.receive(id(3), Some(2)), Arrival::New);
        assert_eq!(incoming.receive(id(1), Some(2)), Arrival::Repeated);
        assert_eq!(incoming.receive(id(1), Some(2)), Arrival::Repeated);
        assert_eq!(incoming.receive(id(4), Some(2)), Arrival::OverQuota);
    }
}
