//! CONNACK (§3.2): the server's answer to CONNECT.

use super::{QoS, ReasonCode, UserProperties};

/// A CONNACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Session Present; never set in 3.1.
    pub session_present: bool,
    /// Success, or why not.
    pub reason: ReasonCode,
    /// 5.0 properties; not written on 3.x.
    pub properties: ConnackProperties<'a>,
}

/// Properties of CONNACK (§3.2.2.3). `None` = not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// Session Expiry Interval that the server uses instead of the one asked for, seconds.
    pub session_expiry_interval: Option<u32>,
    /// Receive Maximum of the server.
    pub receive_maximum: Option<u16>,
    /// Maximum QoS; only 0 and 1 may be sent.
    pub maximum_qos: Option<QoS>,
    /// Retain Available.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size the server accepts, bytes.
    pub maximum_packet_size: Option<u32>,
    /// Assigned Client Identifier.
    pub assigned_client_identifier: Option<&'a str>,
    /// Topic Alias Maximum of the server.
    pub topic_alias_maximum: Option<u16>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// Wildcard Subscription Available.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription Identifiers Available.
    pub subscription_identifiers_available: Option<bool>,
    /// Shared Subscription Available.
    pub shared_subscription_available: Option<bool>,
    /// Server Keep Alive, seconds.
    pub server_keep_alive: Option<u16>,
    /// Response Information.
    pub response_information: Option<&'a str>,
    /// Server Reference.
    pub server_reference: Option<&'a str>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
}
