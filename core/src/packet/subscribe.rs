//! SUBSCRIBE, SUBACK (§3.8, §3.9). Filters are UTF-8 here; whether they are valid Topic Filters is
//! judged by the broker, filter by filter.

use super::{PacketId, QoS, ReasonCode, UserProperties};

/// A SUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Subscription Identifier, 1 to 268,435,455.
    pub subscription_identifier: Option<u32>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// At least one filter [MQTT-3.8.3-2].
    pub filters: Vec<SubscribeFilter<'a>>,
}

/// One Topic Filter of a SUBSCRIBE with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// Topic Filter, with `$share/…/` if shared.
    pub filter: &'a str,
    /// Subscription Options; on 3.x only the QoS.
    pub options: SubscriptionOptions,
}

/// Subscription Options (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// Maximum QoS.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Plain options with a maximum QoS.
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The options byte of 5.0.
    pub const fn bits(self) -> u8 {
        self.qos.bits()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads the options byte of 5.0; `None` for QoS 3, Retain Handling 3 or a reserved bit.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        let Some(qos) = QoS::from_bits(bits & 3) else { return None };
        let retain_handling = match bits >> 4 & 3 {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        };
        if bits & 0xC0 != 0 {
            return None;
        }
        Some(Self {
            qos,
            no_local: bits & 4 != 0,
            retain_as_published: bits & 8 != 0,
            retain_handling,
        })
    }
}

/// Retain Handling (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Send retained messages at each SUBSCRIBE.
    #[default]
    SendAtSubscribe = 0,
    /// Send them only if the subscription did not exist.
    SendIfNew = 1,
    /// Do not send them.
    DoNotSend = 2,
}

/// A SUBACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// Packet Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One code a filter, in order [MQTT-3.9.3-1].
    pub reasons: Vec<ReasonCode>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
