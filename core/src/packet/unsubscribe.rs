//! UNSUBSCRIBE, UNSUBACK (§3.10, §3.11).

use super::{PacketId, ReasonCode, UserProperties};

/// An UNSUBSCRIBE packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// At least one filter [MQTT-3.10.3-2].
    pub filters: Vec<&'a str>,
}

/// An UNSUBACK packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// Packet Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One code a filter in 5.0; not written on 3.x, empty when read from 3.x.
    pub reasons: Vec<ReasonCode>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}
