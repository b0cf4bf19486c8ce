//! CONNECT (§3.1): what a client asks for when it opens a connection.

use super::{QoS, UserProperties, Version};

/// A CONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol version.
    pub version: Version,
    /// Clean Start (5.0) or Clean Session (3.x).
    pub clean_start: bool,
    /// Keep Alive, seconds; 0 = off.
    pub keep_alive: u16,
    /// Client Identifier; empty asks the server for one.
    pub client_id: &'a str,
    /// The Will Message, if any.
    pub will: Option<Will<'a>>,
    /// User Name.
    pub username: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// 5.0 properties; the defaults on 3.x.
    pub properties: ConnectProperties<'a>,
    /// Bit 7 of the protocol level, which Mosquitto's bridges set: do not treat as an ordinary client.
    pub bridge: bool,
}

/// Properties of CONNECT (§3.1.2.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval, seconds; `u32::MAX` = never. `None` = absent (0).
    pub session_expiry_interval: Option<u32>,
    /// Receive Maximum, 1 to 65,535. Absent = 65,535.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size, bytes, not 0. Absent = no limit.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum: aliases the client accepts. Absent = 0.
    pub topic_alias_maximum: Option<u16>,
    /// Request Response Information.
    pub request_response_information: bool,
    /// Request Problem Information; `true` if absent.
    pub request_problem_information: bool,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry_interval: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            request_response_information: false,
            request_problem_information: true,
            user_properties: UserProperties::EMPTY,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

/// A Will Message (§3.1.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// QoS to publish it with.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// Will Topic.
    pub topic: &'a str,
    /// Will Payload.
    pub payload: &'a [u8],
    /// 5.0 properties.
    pub properties: WillProperties<'a>,
}

/// Properties of the Will (§3.1.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WillProperties<'a> {
    /// Will Delay Interval, seconds. Absent = 0.
    pub delay_interval: Option<u32>,
    /// Payload Format Indicator: `true` = UTF-8 text.
    pub payload_format_utf8: Option<bool>,
    /// Message Expiry Interval, seconds.
    pub message_expiry_interval: Option<u32>,
    /// Content Type.
    pub content_type: Option<&'a str>,
    /// Response Topic.
    pub response_topic: Option<&'a str>,
    /// Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
