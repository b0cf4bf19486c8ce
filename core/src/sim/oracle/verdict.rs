//! What must hold in the end, once the network is whole, everybody is connected and nothing moves:
//! nothing that was owed is missing, and no exchange is left open.

use super::Oracle;
use crate::packet::QoS;
use crate::sim::model::{Message, MessageId, Owed, Replay, Session};
use crate::time::Instant;

impl Oracle {
    /// What must hold once the network is whole, everybody is connected and nothing moves.
    pub(in crate::sim) fn finish(&mut self, now: Instant) {
        self.now = now;
        let mut faults = Vec::new();
        for index in self.live.values() {
            let session = &self.sessions[*index];
            for (id, owed) in &session.owed {
                faults.extend(self.missing(session, *id, owed));
            }
            let current = |replay: &&Replay| session.attached == Some(replay.conn);
            for id in session.replays.iter().filter(current).flat_map(|replay| &replay.owed) {
                faults.extend(self.missing_replay(session, *id));
            }
            let open = session.flights.iter().filter(|(_, flight)| !flight.given_up);
            let open: Vec<_> = open.collect();
            if !open.is_empty() {
                faults.push(format!("{}: {open:?} in flight", session.client_id));
            }
            if !session.incoming.is_empty() {
                faults.push(format!("{}: {:?} unreleased", session.client_id, session.incoming));
            }
        }
        for (id, message) in &self.messages {
            let lost = !message.groups.is_empty()
                && message.qos != QoS::AtMostOnce
                && message.group_received == 0
                && !message.group_excused
                && !is_lost_lawfully(message, u32::MAX, now);
            if lost {
                faults.push(format!("no member of {:?} got {id:?}", message.groups));
            }
        }
        for fault in faults {
            self.blame(fault);
        }
    }

    fn missing(&self, session: &Session, id: MessageId, owed: &Owed) -> Option<String> {
        let message = self.messages.get(&id)?;
        let least = owed.copies.iter().map(|copy| copy.looks.qos).min()?;
        let wanted = match least {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => owed.expected().min(1),
            QoS::ExactlyOnce => owed.expected(),
        };
        let lawful = owed.excused
            || is_lost_lawfully(message, session.connect.maximum_packet_size, self.now);
        (owed.received < wanted && !lawful).then(|| {
            format!("{} got {id:?} {} times, not {wanted}", session.client_id, owed.received)
        })
    }

    fn missing_replay(&self, session: &Session, id: MessageId) -> Option<String> {
        let message = self.messages.get(&id)?;
        let lawful = is_lost_lawfully(message, session.connect.maximum_packet_size, self.now)
            || self.retained.get(&message.topic) != Some(&id);
        let got = session.owed.get(&id).is_some_and(|owed| owed.received > 0);
        (!got && !lawful).then(|| format!("{} did not get the retained {id:?}", session.client_id))
    }
}

/// Whether a message may be missing because it expired or is too large for the client. Topic and
/// properties of simulated messages take fewer than 100 bytes.
fn is_lost_lawfully(message: &Message, maximum_packet_size: u32, now: Instant) -> bool {
    message.expires.is_some_and(|at| at <= now)
        || message.len as u64 + 100 > u64::from(maximum_packet_size)
}
