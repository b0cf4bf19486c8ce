//! How `halyard pub` and `halyard sub` end: exit code and words, those of mosquitto_pub and
//! mosquitto_sub.

use halyard_core::client::DisconnectCause;
use halyard_core::packet::{Connack, Disconnect, ReasonCode, Version};

/// The codes of libmosquitto that the commands end with.
pub(super) const USAGE: u8 = 1;
pub(super) const PROTOCOL: u8 = 2;
pub(super) const NOT_CONNECTED: u8 = 4;
pub(super) const CONNECTION_LOST: u8 = 7;
pub(super) const TIMED_OUT: u8 = 27;

/// An end: the exit code, and what is said unless `--quiet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: u8,
    pub(super) message: Option<String>,
}

impl Outcome {
    pub(super) const SUCCESS: Self = Self { code: 0, message: None };

    pub(super) fn error(code: u8, message: &str) -> Self {
        Self { code, message: Some(format!("Error: {message}")) }
    }

    pub(super) fn timed_out() -> Self {
        Self { code: TIMED_OUT, message: Some("Timed out".to_owned()) }
    }

    /// The server refused the connection.
    pub(super) fn refused(version: Version, connack: &Connack<'_>) -> Self {
        let reason = connack.reason;
        if version.is_v5() {
            let message = format!("Connection error: {reason}");
            return Self { code: reason.as_u8(), message: Some(message) };
        }
        let code = reason.v3_connect_code().unwrap_or(0);
        let why = match code {
            1 => "unacceptable protocol version",
            2 => "identifier rejected",
            3 => "broker unavailable",
            4 => "bad user name or password",
            5 => "not authorised",
            _ => "unknown reason",
        };
        let message = format!("Connection error: Connection Refused: {why}.");
        Self { code: code.max(1), message: Some(message) }
    }

    /// The connection ended while there was something to do.
    pub(super) fn disconnected(cause: &DisconnectCause<'_>) -> Self {
        match cause {
            DisconnectCause::Server(Disconnect { reason, reason_string, .. }) => {
                let why = reason_string.map(|text| format!(" ({text})")).unwrap_or_default();
                let message = format!("The server disconnected: {reason}{why}.");
                Self::error(NOT_CONNECTED, &message)
            }
            DisconnectCause::Protocol { reason: ReasonCode::PacketTooLarge, .. } => {
                Self::error(PROTOCOL, "A message was larger than maximum-packet-size.")
            }
            DisconnectCause::Protocol { detail, .. } => {
                let words = "A network protocol error occurred when communicating with the broker";
                Self::error(PROTOCOL, &format!("{words}: {detail}."))
            }
            DisconnectCause::ConnectTimeout => {
                Self::error(CONNECTION_LOST, "The broker did not answer CONNECT in time.")
            }
            _ => Self::error(CONNECTION_LOST, "The connection was lost."),
        }
    }
}
