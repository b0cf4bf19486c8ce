//! What goes into the client and what comes out of it, and its refusals. Plain data.

use crate::packet::{
    Auth, Connack, Disconnect, PacketId, Publish, QoS, ReasonCode, Suback, Unsuback,
};
use crate::time::Instant;
use core::fmt;

/// What the driver reports.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The transport asked for by [`Event::OpenTransport`] is open.
    TransportOpened,
    /// Bytes arrived, cut anywhere.
    Bytes(&'a [u8]),
    /// The transport ended, or could not be opened. Not to be sent after [`Event::CloseTransport`].
    TransportClosed,
    /// The time of [`Client::next_timeout`](super::Client::next_timeout) has come. Harmless at any
    /// other time.
    Timeout,
}

/// What the application or the driver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Open a transport now and answer with [`Input::TransportOpened`] or
    /// [`Input::TransportClosed`].
    OpenTransport,
    /// Write what [`Client::take_output`](super::Client::take_output) gives, then close the
    /// transport and report nothing more about it.
    CloseTransport,
    /// The server accepted the connection; the packet is its CONNACK. With
    /// [`Connack::session_present`] unset, subscriptions are gone.
    Connected(&'a Connack<'a>),
    /// The server refused the connection, and why.
    Refused(&'a Connack<'a>),
    /// A message. The topic is always filled in, whether or not an alias stood for it.
    Message(&'a Publish<'a>),
    /// A message has reached the server: QoS 1 and 2 at their last acknowledgement, QoS 0 when it
    /// left the queue (one that was written at once has no event).
    Published {
        /// What [`Client::publish`](super::Client::publish) gave.
        token: Token,
        /// The acknowledgement's reason; a failure if the server refused the message.
        reason: ReasonCode,
    },
    /// A message that waited will not be published.
    PublishDropped {
        /// What [`Client::publish`](super::Client::publish) gave.
        token: Token,
        /// Why.
        cause: PublishError,
    },
    /// Answer to a SUBSCRIBE.
    Subscribed(&'a Suback<'a>),
    /// Answer to an UNSUBSCRIBE.
    Unsubscribed(&'a Unsuback<'a>),
    /// An AUTH packet: a challenge to answer by [`Client::auth`](super::Client::auth), or the
    /// success of a re-authentication.
    Auth(&'a Auth<'a>),
    /// The connection ended, or an attempt at one did.
    Disconnected(DisconnectCause<'a>),
    /// The next attempt is due then.
    ReconnectAt(Instant),
    /// There will be no further attempt unless [`Client::connect`](super::Client::connect) is
    /// called.
    Stopped,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectCause<'a> {
    /// The transport ended without a word.
    TransportClosed,
    /// The server sent DISCONNECT (5.0).
    Server(&'a Disconnect<'a>),
    /// The server refused the connection; [`Event::Refused`] told why.
    Refused,
    /// No CONNACK in time.
    ConnectTimeout,
    /// No PINGRESP in time.
    KeepAliveTimeout,
    /// The server broke the protocol.
    Protocol {
        /// What DISCONNECT told the server (5.0).
        reason: ReasonCode,
        /// What was wrong.
        detail: &'a str,
    },
}

impl fmt::Display for DisconnectCause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransportClosed => f.write_str("the connection was closed"),
            Self::Server(packet) => {
                write!(f, "the server disconnected: {}", packet.reason)?;
                packet.reason_string.map_or(Ok(()), |text| write!(f, " ({text})"))
            }
            Self::Refused => f.write_str("the server refused the connection"),
            Self::ConnectTimeout => f.write_str("no CONNACK in time"),
            Self::KeepAliveTimeout => f.write_str("no PINGRESP in time"),
            Self::Protocol { reason, detail } => write!(f, "{reason}: {detail}"),
        }
    }
}

/// Names one call of [`Client::publish`](super::Client::publish); ascending, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What became of a call of [`Client::publish`](super::Client::publish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its name in later events.
    pub token: Token,
    /// Where the message is now.
    pub state: ReceiptState,
}

/// Where a message is after [`Client::publish`](super::Client::publish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptState {
    /// QoS 0, in the out buffer: done.
    Written,
    /// QoS 1 or 2, in the out buffer.
    InFlight(PacketId),
    /// Waits for a connection or for a place in flight.
    Queued,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Topic Name empty, too long, or with a wildcard or U+0000 [MQTT-4.7.0-1], [MQTT-3.3.2-2].
    TopicInvalid,
    /// An alias of 0, above the server's Topic Alias Maximum, or without a topic so far.
    AliasInvalid,
    /// A property is longer than 65,535 bytes, or one that a client must not send.
    PropertyInvalid,
    /// Larger than the server's Maximum Packet Size, or than any packet can be.
    TooLarge,
    /// QoS above the server's Maximum QoS [MQTT-3.2.2-11].
    QosNotSupported,
    /// Retained, and the server has no retained messages [MQTT-3.2.2-14].
    RetainNotSupported,
    /// The queue is full.
    QueueFull,
    /// No connection, and this QoS does not wait for one.
    Offline,
    /// Too much lies unsent already.
    OutputFull,
    /// The server lost the session, and the options say not to publish again.
    SessionLost,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopicInvalid => "the topic is empty, too long or holds +, # or U+0000",
            Self::AliasInvalid => "the topic alias is unknown or above the server's maximum",
            Self::PropertyInvalid => "a property is too long or not for a client to send",
            Self::TooLarge => "the packet is larger than the server accepts",
            Self::QosNotSupported => "the server does not support this QoS",
            Self::RetainNotSupported => "the server does not support retained messages",
            Self::QueueFull => "the queue is full",
            Self::Offline => "not connected",
            Self::OutputFull => "too much is waiting to be sent",
            Self::SessionLost => "the server lost the session",
        })
    }
}

impl core::error::Error for PublishError {}

/// Why another command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No connection to send it over.
    NotConnected,
    /// No filter, or one that is empty, longer than 65,535 bytes or holds U+0000.
    FilterInvalid,
    /// Larger than the server's Maximum Packet Size.
    TooLarge,
    /// All 65,535 packet identifiers are in use.
    NoPacketId,
    /// Not in this protocol version, or a value the standard forbids here.
    NotAllowed,
    /// No received message with this packet identifier waits for an acknowledgement.
    NothingToAck,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected",
            Self::FilterInvalid => {
                "no topic filter, or one that is empty, too long or holds U+0000"
            }
            Self::TooLarge => "the packet is larger than the server accepts",
            Self::NoPacketId => "all packet identifiers are in use",
            Self::NotAllowed => "not allowed by this protocol version",
            Self::NothingToAck => "no message with this packet identifier waits for an answer",
        })
    }
}

impl core::error::Error for CommandError {}

/// What the server said in CONNACK, with the standard's defaults for what it left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Session Present.
    pub session_present: bool,
    /// Receive Maximum.
    pub receive_maximum: u16,
    /// Maximum QoS.
    pub maximum_qos: QoS,
    /// Retain Available.
    pub retain_available: bool,
    /// Maximum Packet Size.
    pub maximum_packet_size: u32,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Keep Alive in force, seconds.
    pub keep_alive: u16,
    /// Session Expiry Interval in force, seconds.
    pub session_expiry_interval: u32,
}
