//! PUBLISH (§3.3): an Application Message on its way.

use super::{PacketId, QoS, SubscriptionIds, UserProperties};
use core::num::NonZeroU16;

/// A PUBLISH packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// DUP: possibly a re-delivery.
    pub dup: bool,
    /// QoS level.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty if a Topic Alias stands for it.
    pub topic: &'a str,
    /// Packet Identifier; present exactly if QoS > 0 [MQTT-2.2.1-2], [MQTT-2.2.1-3].
    pub packet_id: Option<PacketId>,
    /// 5.0 properties; the defaults on 3.x.
    pub properties: PublishProperties<'a>,
    /// Payload.
    pub payload: &'a [u8],
}

/// Properties of PUBLISH (§3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// Payload Format Indicator: `true` = UTF-8 text.
    pub payload_format_utf8: Option<bool>,
    /// Message Expiry Interval, seconds.
    pub message_expiry_interval: Option<u32>,
    /// Topic Alias.
    pub topic_alias: Option<NonZeroU16>,
    /// Response Topic.
    pub response_topic: Option<&'a str>,
    /// Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// Subscription Identifiers; only from server to client.
    pub subscription_identifiers: SubscriptionIds,
    /// Content Type.
    pub content_type: Option<&'a str>,
}
