//! DISCONNECT (§3.14): the last packet of a connection.

use super::{ReasonCode, UserProperties};

/// A DISCONNECT packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; `Success` is a normal disconnection, and all that 3.x can say.
    pub reason: ReasonCode,
    /// Session Expiry Interval, seconds; only from a client.
    pub session_expiry_interval: Option<u32>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user_properties: UserProperties<'a>,
    /// Server Reference; only from a server.
    pub server_reference: Option<&'a str>,
}

impl Disconnect<'_> {
    /// A DISCONNECT with nothing but its reason.
    pub const fn new(reason: ReasonCode) -> Self {
        Self {
            reason,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: UserProperties::EMPTY,
            server_reference: None,
        }
    }
}
