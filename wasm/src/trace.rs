//! An observer that notes what it sees as flat records for the page: every packet with its bytes,
//! every rare event, what became of a message at each subscriber. Bounded: what nobody takes is
//! counted and left off. Never changes anything.
//!
//! ```text
//! PACKET at:f64 conn:u32 out:u8 version:u8 first:u8 reason:u8 id:u16 text(subject) wire:u32 payload:u32 blob(head)
//! OPENED at conn | CONNECTED at conn version:u8 session:u8 keepalive:u16 text(client)
//! CLOSED at conn text(client) text(why) | SUBSCRIBED at text(client) text(filter) reason:u8
//! UNSUBSCRIBED at text(client) text(filter) reason:u8 | SESSION_ENDED at text(client)
//! WILL at text(client) text(topic) | DENIED at access:u8 text(client) text(topic) text(rule)
//! DELIVERY at qos:u8 outcome:u8 text(client) text(topic) text(rule)
//! ```
//! `rule` says by which line of which file it was denied; it is empty where nothing was.
//! `access` is 0 to read, 1 to write, 2 to subscribe.
//! `first` is the first byte on the wire, so it carries type and flags; `reason` is 255 where a
//! packet has none.

use crate::broker::number;
use crate::convert;
use crate::records::{Put, trace};
use halyard_core::access::Access;
use halyard_core::engine::{DeliverySeen, Direction, Event, Observer, Outcome, PacketSeen};
use halyard_core::packet::{Packet, PacketId, ReasonCode};
use halyard_core::time::Instant;

/// Most bytes of records that wait to be taken.
const ROOM: usize = 1 << 20;
/// Most bytes of a packet that are noted.
const HEAD: usize = 1024;
/// In place of a reason code where a packet has none.
const NO_REASON: u8 = 0xFF;

/// Notes what it sees, if it is on.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    on: bool,
    records: Vec<u8>,
    missed: u64,
}

impl Trace {
    pub(crate) const fn set(&mut self, on: bool) {
        self.on = on;
    }

    pub(crate) const fn missed(&self) -> u64 {
        self.missed
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.records)
    }

    /// Where a record begins, if it may.
    fn begin(&mut self, kind: u8, now: Instant) -> Option<&mut Vec<u8>> {
        if !self.on {
            return None;
        }
        if self.records.len() >= ROOM {
            self.missed += 1;
            return None;
        }
        self.records.put_u8(kind);
        self.records.put_f64(convert::number(now.0));
        Some(&mut self.records)
    }

    fn pair(&mut self, kind: u8, now: Instant, first: &str, second: &str) -> Option<&mut Vec<u8>> {
        let records = self.begin(kind, now)?;
        records.put_text(first);
        records.put_text(second);
        Some(records)
    }
}

impl Observer for Trace {
    fn wants_packets(&self) -> bool {
        self.on
    }

    fn event(&mut self, now: Instant, event: &Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                if let Some(records) = self.begin(trace::OPENED, now) {
                    records.put_u32(number(*conn));
                }
            }
            Event::Connected { conn, client_id, version, keep_alive, session_present, .. } => {
                if let Some(records) = self.begin(trace::CONNECTED, now) {
                    records.put_u32(number(*conn));
                    records.put_u8(version.level());
                    records.put_u8(u8::from(*session_present));
                    records.put_u16(*keep_alive);
                    records.put_text(client_id);
                }
            }
            Event::Closed { conn, client_id, reason, .. } => {
                if let Some(records) = self.begin(trace::CLOSED, now) {
                    records.put_u32(number(*conn));
                    records.put_text(client_id.unwrap_or_default());
                    records.put_text(&reason.to_string());
                }
            }
            Event::Denied { client_id, access, topic, decision, .. } => {
                if let Some(records) = self.begin(trace::DENIED, now) {
                    records.put_u8(match access {
                        Access::Read => 0,
                        Access::Write => 1,
                        Access::Subscribe => 2,
                    });
                    records.put_text(client_id);
                    records.put_text(topic);
                    records.put_text(&decision.reason.to_string());
                }
            }
            // Each delivery that is dropped is shown.
            Event::Dropping { .. } | Event::OverReceiveMaximum { .. } => {}
            Event::Subscribed { client_id, filter, reason } => {
                if let Some(records) = self.pair(trace::SUBSCRIBED, now, client_id, filter) {
                    records.put_u8(reason.as_u8());
                }
            }
            Event::Unsubscribed { client_id, filter, reason } => {
                if let Some(records) = self.pair(trace::UNSUBSCRIBED, now, client_id, filter) {
                    records.put_u8(reason.as_u8());
                }
            }
            Event::SessionEnded { client_id, .. } => {
                if let Some(records) = self.begin(trace::SESSION_ENDED, now) {
                    records.put_text(client_id);
                }
            }
            Event::WillPublished { client_id, topic } => {
                self.pair(trace::WILL, now, client_id, topic);
            }
        }
    }

    fn packet(&mut self, now: Instant, seen: &PacketSeen<'_>) {
        let Some(records) = self.begin(trace::PACKET, now) else { return };
        let summary = seen.packet.map_or(Summary::EMPTY, Summary::of);
        records.put_u32(number(seen.conn));
        records.put_u8(u8::from(seen.direction == Direction::Out));
        records.put_u8(seen.version.level());
        records.put_u8(seen.bytes.first().copied().unwrap_or(0));
        records.put_u8(summary.reason.map_or(NO_REASON, ReasonCode::as_u8));
        records.put_u16(summary.id.map_or(0, PacketId::get));
        records.put_text(summary.subject);
        records.put_u32(length(seen.bytes));
        records.put_u32(length(summary.payload));
        records.put_blob(&seen.bytes[..seen.bytes.len().min(HEAD)]);
    }

    fn delivery(&mut self, now: Instant, seen: &DeliverySeen<'_>) {
        let Some(records) = self.begin(trace::DELIVERY, now) else { return };
        records.put_u8(seen.qos.bits());
        records.put_u8(outcome(seen.outcome));
        records.put_text(seen.client_id);
        records.put_text(seen.topic);
        // A text is made only for what was denied: that is rare.
        let rule = seen.decision.map(|decision| decision.reason.to_string());
        records.put_text(rule.as_deref().unwrap_or_default());
    }
}

/// What a person wants to see of a packet at one glance.
struct Summary<'a> {
    id: Option<PacketId>,
    reason: Option<ReasonCode>,
    /// Client Identifier, topic or first filter.
    subject: &'a str,
    payload: &'a [u8],
}

impl<'a> Summary<'a> {
    const EMPTY: Self = Self { id: None, reason: None, subject: "", payload: &[] };

    fn of(packet: &'a Packet<'a>) -> Self {
        let empty = Self::EMPTY;
        match packet {
            Packet::Connect(it) => Self { subject: it.client_id, ..empty },
            Packet::Connack(it) => Self { reason: Some(it.reason), ..empty },
            Packet::Publish(it) => {
                Self { id: it.packet_id, subject: it.topic, payload: it.payload, ..empty }
            }
            Packet::Puback(it) | Packet::Pubrec(it) | Packet::Pubrel(it) | Packet::Pubcomp(it) => {
                Self { id: Some(it.packet_id), reason: Some(it.reason), ..empty }
            }
            Packet::Subscribe(it) => {
                let subject = it.filters.first().map_or("", |filter| filter.filter);
                Self { id: Some(it.packet_id), subject, ..empty }
            }
            Packet::Suback(it) => {
                Self { id: Some(it.packet_id), reason: it.reasons.first().copied(), ..empty }
            }
            Packet::Unsubscribe(it) => {
                let subject = it.filters.first().copied().unwrap_or_default();
                Self { id: Some(it.packet_id), subject, ..empty }
            }
            Packet::Unsuback(it) => {
                Self { id: Some(it.packet_id), reason: it.reasons.first().copied(), ..empty }
            }
            Packet::Pingreq | Packet::Pingresp => empty,
            Packet::Disconnect(it) => Self { reason: Some(it.reason), ..empty },
            Packet::Auth(it) => Self { reason: Some(it.reason), ..empty },
        }
    }
}

const fn outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Sent => 0,
        Outcome::Queued => 1,
        Outcome::NoLocal => 2,
        Outcome::QueueFull => 3,
        Outcome::Offline => 4,
        Outcome::SlowConsumer => 5,
        Outcome::TooLarge => 6,
        Outcome::Expired => 7,
        Outcome::Denied => 8,
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
