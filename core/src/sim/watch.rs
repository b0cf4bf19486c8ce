//! What the oracle and the tests learn about an engine: an observer that notes packets and events
//! as plain owned data, in the order in which they happened. It judges nothing.

use crate::access::{Access, Decision, Reason};
use crate::engine::{
    CloseReason, ConnectionId, DeliverySeen, Direction, Event, Observer, Outcome, PacketSeen,
    SessionEnd,
};
use crate::packet::{
    Ack, Connect, Packet, PacketType, Publish, PublishProperties, QoS, ReasonCode, SubscriptionIds,
    SubscriptionOptions, Version,
};
use crate::time::Instant;

/// One thing that an engine did or saw.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    In {
        conn: ConnectionId,
        note: Note,
    },
    Out {
        conn: ConnectionId,
        version: Version,
        bytes: Vec<u8>,
    },
    Connected {
        conn: ConnectionId,
        client_id: String,
        session_present: bool,
    },
    Closed {
        conn: ConnectionId,
        reason: CloseReason,
    },
    Subscribed {
        client_id: String,
        filter: String,
        reason: ReasonCode,
    },
    Unsubscribed {
        client_id: String,
        filter: String,
    },
    SessionEnded {
        client_id: String,
        cause: SessionEnd,
    },
    Will {
        client_id: String,
    },
    /// A Will was not published, or will not be as things stand.
    WillDenied {
        client_id: String,
    },
    Delivery {
        client_id: String,
        topic: String,
        qos: QoS,
        outcome: Outcome,
    },
    /// A retained message was withheld because its publisher may not publish it any more.
    SourceDenied {
        client_id: String,
        topic: String,
    },
}

/// A packet, owned, as far as anybody here asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Connect(Box<ConnectNote>),
    Publish(PublishNote),
    Ack { kind: PacketType, id: u16, reason: ReasonCode },
    Subscribe { identifier: u32, filters: Vec<(String, SubscriptionOptions)> },
    Disconnect { reason: ReasonCode, expiry: Option<u32> },
    Other(PacketType),
}

/// A CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectNote {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) keep_alive: u16,
    pub(super) clean_start: bool,
    pub(super) expiry: u32,
    pub(super) receive_maximum: u16,
    pub(super) maximum_packet_size: u32,
    pub(super) will: Option<WillNote>,
}

/// A Will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WillNote {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) delay_secs: u32,
}

/// A PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishNote {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) id: Option<u16>,
    pub(super) alias: Option<u16>,
    pub(super) ids: Vec<u32>,
    pub(super) expiry: Option<u32>,
    /// Bytes of the properties that go on to subscribers, but for its expiry.
    pub(super) properties: usize,
}

impl Note {
    pub(super) fn of(packet: &Packet<'_>) -> Self {
        let ack =
            |kind, ack: &Ack<'_>| Self::Ack { kind, id: ack.packet_id.get(), reason: ack.reason };
        match packet {
            Packet::Connect(connect) => Self::Connect(Box::new(ConnectNote::of(connect))),
            Packet::Publish(publish) => Self::Publish(PublishNote::of(publish)),
            Packet::Puback(packet) => ack(PacketType::Puback, packet),
            Packet::Pubrec(packet) => ack(PacketType::Pubrec, packet),
            Packet::Pubrel(packet) => ack(PacketType::Pubrel, packet),
            Packet::Pubcomp(packet) => ack(PacketType::Pubcomp, packet),
            Packet::Subscribe(subscribe) => Self::Subscribe {
                identifier: subscribe.subscription_identifier.unwrap_or(0),
                filters: subscribe
                    .filters
                    .iter()
                    .map(|filter| (filter.filter.to_owned(), filter.options))
                    .collect(),
            },
            Packet::Disconnect(disconnect) => Self::Disconnect {
                reason: disconnect.reason,
                expiry: disconnect.session_expiry_interval,
            },
            other => Self::Other(other.packet_type()),
        }
    }
}

impl ConnectNote {
    fn of(connect: &Connect<'_>) -> Self {
        let properties = &connect.properties;
        let expiry = match (connect.version.is_v5(), connect.clean_start) {
            (true, _) => properties.session_expiry_interval.unwrap_or(0),
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        Self {
            version: connect.version,
            client_id: connect.client_id.to_owned(),
            keep_alive: connect.keep_alive,
            clean_start: connect.clean_start,
            expiry,
            receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
            maximum_packet_size: properties.maximum_packet_size.unwrap_or(u32::MAX),
            will: connect.will.as_ref().map(|will| WillNote {
                topic: will.topic.to_owned(),
                payload: will.payload.to_vec(),
                qos: will.qos,
                retain: will.retain,
                delay_secs: will.properties.delay_interval.unwrap_or(0),
            }),
        }
    }
}

impl PublishNote {
    fn of(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map(crate::packet::PacketId::get),
            alias: publish.properties.topic_alias.map(core::num::NonZero::get),
            ids: publish.properties.subscription_identifiers.to_vec(),
            expiry: publish.properties.message_expiry_interval,
            properties: passed_on(publish),
        }
    }
}

/// Bytes of the properties that go on to subscribers, but for its expiry.
fn passed_on(publish: &Publish<'_>) -> usize {
    let mut plain = publish.clone();
    plain.properties = PublishProperties::default();
    let without = crate::codec::publish_len(&plain, Version::V5);
    plain.properties = publish.properties.clone();
    plain.properties.topic_alias = None;
    plain.properties.message_expiry_interval = None;
    plain.properties.subscription_identifiers = SubscriptionIds::default();
    (crate::codec::publish_len(&plain, Version::V5) - without) as usize
}

/// The observer: notes until it is emptied.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) seen: Vec<Seen>,
}

impl Observer for Watch {
    fn wants_packets(&self) -> bool {
        true
    }

    fn event(&mut self, _now: Instant, event: &Event<'_>) {
        let owned = |text: &str| text.to_owned();
        self.seen.push(match event {
            Event::Denied { client_id, access: Access::Write, publish: None, .. } => {
                Seen::WillDenied { client_id: owned(client_id) }
            }
            Event::Opened { .. }
            | Event::Denied { .. }
            | Event::Dropping { .. }
            | Event::OverReceiveMaximum { .. } => return,
            Event::Connected { conn, client_id, session_present, .. } => Seen::Connected {
                conn: *conn,
                client_id: owned(client_id),
                session_present: *session_present,
            },
            Event::Closed { conn, reason, .. } => {
                Seen::Closed { conn: *conn, reason: (*reason).clone() }
            }
            Event::Subscribed { client_id, filter, reason } => Seen::Subscribed {
                client_id: owned(client_id),
                filter: owned(filter),
                reason: *reason,
            },
            Event::Unsubscribed { client_id, filter, .. } => {
                Seen::Unsubscribed { client_id: owned(client_id), filter: owned(filter) }
            }
            Event::SessionEnded { client_id, cause } => {
                Seen::SessionEnded { client_id: owned(client_id), cause: *cause }
            }
            Event::WillPublished { client_id, .. } => Seen::Will { client_id: owned(client_id) },
        });
    }

    fn packet(&mut self, _now: Instant, seen: &PacketSeen<'_>) {
        let conn = seen.conn;
        match (seen.direction, seen.packet) {
            (Direction::In, Some(packet)) => {
                self.seen.push(Seen::In { conn, note: Note::of(packet) });
            }
            (Direction::In, None) => {}
            (Direction::Out, _) => {
                let (version, bytes) = (seen.version, seen.bytes.to_vec());
                self.seen.push(Seen::Out { conn, version, bytes });
            }
        }
    }

    fn delivery(&mut self, _now: Instant, seen: &DeliverySeen<'_>) {
        let (client_id, topic) = (seen.client_id.to_owned(), seen.topic.to_owned());
        if let Some(Decision { reason: Reason::PublisherLost, .. }) = seen.decision {
            return self.seen.push(Seen::SourceDenied { client_id, topic });
        }
        self.seen.push(Seen::Delivery { client_id, topic, qos: seen.qos, outcome: seen.outcome });
    }
}
