//! What the engine asks a driver to do, besides writing the output buffers: rare things only.
//! The driver does them in order and decides nothing.

use super::input::{ConnectionId, ShardId};
use super::{AuthRequest, LinkMessage};
use crate::codec::DecodeError;
use crate::packet::ReasonCode;
use core::fmt;

/// One thing for the driver to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write what is left of the output, then close. The engine has forgotten the connection.
    Close {
        /// The connection.
        conn: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// Stop reading from the connection; its Keep Alive is suspended.
    PauseRead {
        /// The connection.
        conn: ConnectionId,
    },
    /// Read from it again.
    ResumeRead {
        /// The connection.
        conn: ConnectionId,
    },
    /// Find out who a client is, without stopping for it, and answer with `Input::Authenticated`.
    Authenticate(Box<AuthRequest>),
    /// Hand a message to another shard, before any socket is written.
    Link {
        /// The shard it goes to.
        peer: ShardId,
        /// The message.
        message: LinkMessage,
    },
    /// The answer to an `Input::Admin`.
    Answer {
        /// The number of the request.
        request: u64,
        /// What came of it.
        reply: super::AdminReply,
    },
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent DISCONNECT with this reason.
    ClientDisconnected(ReasonCode),
    /// The transport ended without DISCONNECT.
    TransportLost(super::input::TransportEnd),
    /// What the client sent is no MQTT, or breaks the protocol at once.
    Malformed(DecodeError),
    /// CONNECT was refused with this code.
    Refused {
        /// The code in CONNACK.
        code: ReasonCode,
        /// What a person should know.
        detail: &'static str,
    },
    /// The server ended the connection with this code.
    Violation {
        /// The code in DISCONNECT, where the version has one.
        code: ReasonCode,
        /// What was wrong, with the clause.
        detail: &'static str,
    },
    /// No packet for one and a half times the Keep Alive [MQTT-3.1.2-22].
    KeepAliveTimeout,
    /// No CONNECT in time after the transport opened.
    ConnectTimeout,
    /// A packet was begun and not finished in time.
    PacketTimeout,
    /// Another connection took the Session over [MQTT-3.1.4-3].
    TakenOver,
    /// The server stops.
    ShuttingDown,
    /// The administrator asked for it.
    Administrative,
}

impl CloseReason {
    /// What the client itself is told, as Reason String. Who is kept out learns nothing beyond the
    /// code: it could tell a wrong name from a wrong password.
    pub(crate) fn for_client(&self, code: ReasonCode) -> Option<String> {
        match (self, code) {
            (
                _,
                ReasonCode::BadUserNameOrPassword
                | ReasonCode::NotAuthorized
                | ReasonCode::Banned
                | ReasonCode::BadAuthenticationMethod,
            ) => None,
            (Self::Refused { detail, .. } | Self::Violation { detail, .. }, _) => {
                Some((*detail).to_owned())
            }
            (reason, _) => Some(reason.to_string()),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientDisconnected(ReasonCode::Success) => f.write_str("client disconnected"),
            Self::ClientDisconnected(code) => write!(f, "client disconnected: {code}"),
            Self::TransportLost(super::input::TransportEnd::Eof) => {
                f.write_str("connection closed by client without DISCONNECT")
            }
            Self::TransportLost(super::input::TransportEnd::Broken) => {
                f.write_str("connection lost")
            }
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Refused { code, detail } | Self::Violation { code, detail } => {
                write!(f, "{detail} (0x{:02X} {code})", code.as_u8())
            }
            Self::KeepAliveTimeout => f.write_str("exceeded timeout (Keep Alive)"),
            Self::ConnectTimeout => f.write_str("no CONNECT in time"),
            Self::PacketTimeout => f.write_str("a packet was not finished in time"),
            Self::TakenOver => f.write_str("session taken over by a new connection"),
            Self::ShuttingDown => f.write_str("server shutting down"),
            Self::Administrative => f.write_str("disconnected by the administrator"),
        }
    }
}
