//! PUBACK, PUBREC, PUBREL and PUBCOMP (§3.4 to §3.7), which share one layout.

use super::{PacketId, ReasonCode, UserProperties};

/// The body of PUBACK, PUBREC, PUBREL or PUBCOMP; the packet type says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Packet Identifier of the exchange.
    pub packet_id: PacketId,
    /// Reason code; `Success` on 3.x.
    pub reason: ReasonCode,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
}

impl Ack<'_> {
    /// A plain acknowledgement.
    pub const fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, reason_string: None, user_properties: UserProperties::EMPTY }
    }
}
