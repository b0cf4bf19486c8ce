//! What a client is told when it is made: identity, what CONNECT says (MQTT 5.0 §3.1), and the
//! limits that it keeps to. Plain data; never changed by the client itself.

use crate::packet::{
    Connect, ConnectProperties, QoS, UserPropertiesBuf, Version, Will, WillProperties,
};

/// How a [`Client`](super::Client) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Protocol version.
    pub version: Version,
    /// Client Identifier; empty asks the server for one, which is then kept for reconnects.
    pub client_id: String,
    /// When to ask for a new session.
    pub clean_start: CleanStart,
    /// Keep Alive, seconds; 0 = off. A Server Keep Alive takes its place.
    pub keep_alive: u16,
    /// User Name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// The Will Message.
    pub will: Option<WillMessage>,
    /// Sets Mosquitto's bridge bit in the protocol level.
    pub bridge: bool,
    /// Session Expiry Interval, seconds (5.0).
    pub session_expiry_interval: Option<u32>,
    /// Receive Maximum announced to the server (5.0); never 0.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size announced to the server (5.0), and kept to on all versions.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum announced to the server (5.0).
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information (5.0).
    pub request_response_information: bool,
    /// Request Problem Information (5.0).
    pub request_problem_information: bool,
    /// User Properties of CONNECT (5.0).
    pub user_properties: UserPropertiesBuf,
    /// Authentication Method (5.0).
    pub authentication_method: Option<String>,
    /// Authentication Data of CONNECT (5.0).
    pub authentication_data: Option<Vec<u8>>,
    /// Who acknowledges received messages.
    pub acks: Acks,
    /// Most QoS 1 and 2 messages in flight to the server; its Receive Maximum may lower this.
    pub max_inflight: u16,
    /// Most messages that wait for a connection or for a place in flight.
    pub queue_messages: u32,
    /// Most bytes of them, as encoded.
    pub queue_bytes: u64,
    /// Whether QoS 0 messages wait for a connection, too; else they are refused.
    pub queue_qos0: bool,
    /// Most Topic Aliases that the client assigns of its own accord.
    pub assign_aliases: u16,
    /// Most bytes that may lie unsent before a QoS 0 message is refused.
    pub output_limit: u32,
    /// Whether and how fast to reconnect.
    pub reconnect: Option<Backoff>,
    /// Longest wait from the open transport to CONNACK, milliseconds.
    pub connect_timeout_ms: u32,
    /// Longest wait for PINGRESP, milliseconds.
    pub ping_timeout_ms: u32,
    /// Whether unfinished messages are published as new ones when the server has lost the session.
    pub republish_lost: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V5,
            client_id: String::new(),
            clean_start: CleanStart::First,
            keep_alive: 60,
            username: None,
            password: None,
            will: None,
            bridge: false,
            session_expiry_interval: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            request_response_information: false,
            request_problem_information: true,
            user_properties: UserPropertiesBuf::new(),
            authentication_method: None,
            authentication_data: None,
            acks: Acks::Automatic,
            max_inflight: 20,
            queue_messages: 1_000,
            queue_bytes: 16 << 20,
            queue_qos0: true,
            assign_aliases: 0,
            output_limit: 16 << 20,
            reconnect: None,
            connect_timeout_ms: 30_000,
            ping_timeout_ms: 20_000,
            republish_lost: true,
        }
    }
}

impl Options {
    /// Ordinary options of a version with a Client Identifier.
    pub fn new(version: Version, client_id: &str) -> Self {
        Self { version, client_id: client_id.to_owned(), ..Self::default() }
    }

    /// The CONNECT packet; `client_id` is the one asked for or assigned earlier.
    pub(super) fn connect<'a>(&'a self, client_id: &'a str, clean_start: bool) -> Connect<'a> {
        let properties = if self.version.is_v5() {
            ConnectProperties {
                session_expiry_interval: self.session_expiry_interval,
                receive_maximum: self.receive_maximum,
                maximum_packet_size: self.maximum_packet_size,
                topic_alias_maximum: self.topic_alias_maximum,
                request_response_information: self.request_response_information,
                request_problem_information: self.request_problem_information,
                user_properties: self.user_properties.as_ref(),
                authentication_method: self.authentication_method.as_deref(),
                authentication_data: self.authentication_data.as_deref(),
            }
        } else {
            ConnectProperties::default()
        };
        Connect {
            version: self.version,
            clean_start,
            keep_alive: self.keep_alive,
            client_id,
            will: self.will.as_ref().map(|will| will.packet(self.version)),
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            properties,
            bridge: self.bridge,
        }
    }
}

/// When CONNECT asks for a new session (Clean Start; Clean Session on 3.x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanStart {
    /// At every connect.
    Always,
    /// At the first connect only; later ones resume.
    First,
    /// Never: what the server kept is resumed.
    Never,
}

/// Who acknowledges received QoS 1 and 2 messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// The client, as soon as the event has been taken.
    Automatic,
    /// The application, by [`Client::ack`](super::Client::ack).
    Manual,
}

/// Waiting time before a reconnect: doubled at each failure, and of that a random part between
/// half and all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first reconnect, milliseconds.
    pub min_ms: u32,
    /// Never longer, milliseconds.
    pub max_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min_ms: 1_000, max_ms: 120_000 }
    }
}

/// An owned Will Message (§3.1.2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WillMessage {
    /// Will Topic.
    pub topic: String,
    /// Will Payload.
    pub payload: Vec<u8>,
    /// QoS to publish it with.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// Will Delay Interval, seconds (5.0).
    pub delay_interval: Option<u32>,
    /// Payload Format Indicator (5.0).
    pub payload_format_utf8: Option<bool>,
    /// Message Expiry Interval, seconds (5.0).
    pub message_expiry_interval: Option<u32>,
    /// Content Type (5.0).
    pub content_type: Option<String>,
    /// Response Topic (5.0).
    pub response_topic: Option<String>,
    /// Correlation Data (5.0).
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
}

impl WillMessage {
    fn packet(&self, version: Version) -> Will<'_> {
        let properties = if version.is_v5() {
            WillProperties {
                delay_interval: self.delay_interval,
                payload_format_utf8: self.payload_format_utf8,
                message_expiry_interval: self.message_expiry_interval,
                content_type: self.content_type.as_deref(),
                response_topic: self.response_topic.as_deref(),
                correlation_data: self.correlation_data.as_deref(),
                user_properties: self.user_properties.as_ref(),
            }
        } else {
            WillProperties::default()
        };
        Will {
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            payload: &self.payload,
            properties,
        }
    }
}
