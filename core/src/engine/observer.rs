//! What can be watched from outside at no cost where nobody watches: every packet, every change of
//! a connection, and for each PUBLISH what became of it at each subscriber. Observers see; they
//! never change anything.

use super::effect::CloseReason;
use super::input::{ConnectionId, Peer};
use crate::access::{Access, Decision};
use crate::packet::{Packet, PacketType, Publish, QoS, ReasonCode, Version};
use crate::time::Instant;

/// Watches an engine. Statically dispatched: `()` watches nothing and costs nothing.
pub trait Observer {
    /// Whether [`Self::packet`] and [`Self::delivery`] are wanted now; where `false`, the engine
    /// does not even build their arguments.
    #[inline]
    fn wants_packets(&self) -> bool {
        false
    }

    /// Something rare happened to a connection or session.
    #[inline]
    fn event(&mut self, now: Instant, event: &Event<'_>) {
        let _ = (now, event);
    }

    /// A packet came in or goes out.
    #[inline]
    fn packet(&mut self, now: Instant, packet: &PacketSeen<'_>) {
        let _ = (now, packet);
    }

    /// A message met a subscriber.
    #[inline]
    fn delivery(&mut self, now: Instant, delivery: &DeliverySeen<'_>) {
        let _ = (now, delivery);
    }
}

impl Observer for () {}

/// A rare event.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A transport was accepted.
    Opened {
        /// The connection.
        conn: ConnectionId,
        /// Its other end.
        peer: &'a Peer,
        /// Index of the listener.
        listener: u16,
    },
    /// CONNECT was accepted.
    Connected {
        /// The connection.
        conn: ConnectionId,
        /// Its other end.
        peer: &'a Peer,
        /// Client Identifier.
        client_id: &'a str,
        /// User Name.
        username: Option<&'a str>,
        /// Version.
        version: Version,
        /// Clean Start.
        clean_start: bool,
        /// Effective Keep Alive, seconds.
        keep_alive: u16,
        /// Whether a Session was resumed.
        session_present: bool,
    },
    /// The connection is over.
    Closed {
        /// The connection.
        conn: ConnectionId,
        /// Its other end.
        peer: &'a Peer,
        /// Client Identifier, if it got that far.
        client_id: Option<&'a str>,
        /// Why.
        reason: &'a CloseReason,
    },
    /// A subscription was made, or refused with `reason`.
    Subscribed {
        /// Client Identifier.
        client_id: &'a str,
        /// Topic Filter, with `$share/…`.
        filter: &'a str,
        /// The code in SUBACK.
        reason: ReasonCode,
    },
    /// An access list denied something that a client wanted; deliveries are reported by
    /// [`Observer::delivery`].
    Denied {
        /// Client Identifier.
        client_id: &'a str,
        /// To publish or to subscribe.
        access: Access,
        /// The topic or the filter, with the mount point.
        topic: &'a str,
        /// The PUBLISH; `None` for a Will or a subscription.
        publish: Option<&'a Publish<'a>>,
        /// Which rule denied it.
        decision: Decision<'a>,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Client Identifier.
        client_id: &'a str,
        /// Topic Filter.
        filter: &'a str,
        /// The code in UNSUBACK.
        reason: ReasonCode,
    },
    /// A Session ended.
    SessionEnded {
        /// Client Identifier.
        client_id: &'a str,
        /// What ended it.
        cause: SessionEnd,
    },
    /// Messages for a client begin to be dropped, for a limit of his own; told once until nothing
    /// was dropped for a while.
    Dropping {
        /// Client Identifier.
        client_id: &'a str,
        /// What for: [`Outcome::QueueFull`] or [`Outcome::SlowConsumer`].
        outcome: Outcome,
    },
    /// A client has more QoS 1 and 2 messages under way than the Receive Maximum allows, and may
    /// (`receive_maximum_action warn`); told once in a connection.
    OverReceiveMaximum {
        /// Client Identifier.
        client_id: &'a str,
        /// What he was told.
        receive_maximum: u16,
    },
    /// A Will Message was published.
    WillPublished {
        /// Client Identifier.
        client_id: &'a str,
        /// Will Topic.
        topic: &'a str,
    },
}

/// What ended a Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its connection closed and the Session Expiry Interval is 0.
    Closed,
    /// The Session Expiry Interval ran out.
    Expired,
    /// A new connection asked for Clean Start.
    CleanStart,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct PacketSeen<'a> {
    /// The connection.
    pub conn: ConnectionId,
    /// Which way.
    pub direction: Direction,
    /// The version of the connection.
    pub version: Version,
    /// The type of the packet.
    pub packet_type: PacketType,
    /// The packet; `None` for a PUBLISH that leaves as a copy of another's bytes.
    pub packet: Option<&'a Packet<'a>>,
    /// The packet on the wire.
    pub bytes: &'a [u8],
}

/// What became of a message at a subscriber.
#[derive(Clone, Debug)]
pub struct DeliverySeen<'a> {
    /// Client Identifier of the subscriber.
    pub client_id: &'a str,
    /// Topic of the message.
    pub topic: &'a str,
    /// QoS it goes with.
    pub qos: QoS,
    /// What became of it.
    pub outcome: Outcome,
    /// Which rule denied it, where [`Outcome::Denied`].
    pub decision: Option<Decision<'a>>,
}

/// Why a subscriber did or did not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written to the connection.
    Sent,
    /// Waits in the Session's queue.
    Queued,
    /// The subscription says No Local and the subscriber is the publisher.
    NoLocal,
    /// The queue is full: `max_queued_messages` or `max_queued_bytes`.
    QueueFull,
    /// QoS 0 to a client that is not connected.
    Offline,
    /// QoS 0 to a connection above its high-water mark.
    SlowConsumer,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// Its Message Expiry Interval ran out.
    Expired,
    /// The access list denies it: see [`DeliverySeen::decision`].
    Denied,
}
