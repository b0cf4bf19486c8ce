//! WebSocket frames after the handshake, for a server (RFC 6455 §5, MQTT 5.0 §6): binary frames
//! only, no extensions, sans I/O. Payloads are unmasked where they lie and handed on as they come; a
//! frame is never collected, whatever length it announces. The handshake is not done here.

mod decoder;
mod encoder;
mod mask;

pub use decoder::FrameDecoder;
pub use encoder::{HEADER_LEN_MAX, Opcode, encode_close, encode_header, encode_pong, header};

use core::fmt;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const CONTROL_LEN_MAX: usize = 125;

/// What a decoder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input is consumed; nothing (more) was found in it.
    NeedMore,
    /// Bytes of MQTT, never none. Frames and packets need not be aligned [MQTT-6.0.0-2].
    Data(&'a [u8]),
    /// A Ping, to be answered by [`encode_pong`] with its payload.
    Ping(ControlPayload),
    /// A Pong; it needs no answer.
    Pong,
    /// The peer closes; to be answered by [`encode_close`], unless a Close was sent before.
    /// Whatever comes after it is ignored.
    Close {
        /// The peer's status code, if it gave one.
        code: Option<u16>,
    },
}

/// The payload of a control frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControlPayload {
    len: u8,
    bytes: [u8; CONTROL_LEN_MAX],
}

/// Why a peer's frames are refused. The connection is to be closed with [`WsError::close_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsError {
    /// A reserved bit is set (RFC 6455 §5.2); no extension was negotiated.
    ReservedBits,
    /// An opcode that the standard does not know (§5.2).
    ReservedOpcode(u8),
    /// A text frame [MQTT-6.0.0-1].
    TextFrame,
    /// A frame that is not masked (§5.1).
    Unmasked,
    /// A continuation frame with nothing to continue (§5.4).
    UnexpectedContinuation,
    /// A new message inside a fragmented one (§5.4).
    UnfinishedMessage,
    /// A fragmented control frame (§5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (§5.5).
    ControlTooLong,
    /// The most significant bit of a 64-bit length is set (§5.2).
    LengthTooLong,
    /// A frame longer than the limit.
    FrameTooLarge {
        /// Its length.
        len: u64,
        /// The limit.
        limit: u32,
    },
    /// A Close whose payload is a single byte (§5.5.1).
    CloseLength,
    /// A status code that may not be sent (§7.4).
    CloseCode(u16),
    /// A Close whose reason is not UTF-8 (§5.5.1).
    CloseReason,
}

impl ControlPayload {
    const EMPTY: Self = Self { len: 0, bytes: [0; CONTROL_LEN_MAX] };

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Appends what fits, which is all of a judged control frame.
    fn push(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[usize::from(self.len)..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.len += len as u8;
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl WsError {
    /// The status code to close with (RFC 6455 §7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TextFrame => 1003,
            Self::CloseReason => 1007,
            Self::FrameTooLarge { .. } => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ReservedOpcode(opcode) => {
                return write!(f, "WebSocket opcode {opcode} is reserved");
            }
            Self::FrameTooLarge { len, limit } => {
                return write!(f, "WebSocket frame of {len} bytes is over the limit of {limit}");
            }
            Self::CloseCode(code) => {
                return write!(f, "WebSocket status code {code} is not allowed");
            }
            Self::ReservedBits => "reserved WebSocket bits are set and no extension was agreed",
            Self::TextFrame => "WebSocket text frame; MQTT goes in binary frames [MQTT-6.0.0-1]",
            Self::Unmasked => "WebSocket frame is not masked",
            Self::UnexpectedContinuation => "WebSocket continuation of no message",
            Self::UnfinishedMessage => "new WebSocket message inside a fragmented one",
            Self::FragmentedControl => "fragmented WebSocket control frame",
            Self::ControlTooLong => "WebSocket control frame of more than 125 bytes",
            Self::LengthTooLong => "WebSocket frame length has its top bit set",
            Self::CloseLength => "WebSocket Close with a payload of one byte",
            Self::CloseReason => "WebSocket Close with a reason that is not UTF-8",
        };
        f.write_str(text)
    }
}

impl core::error::Error for WsError {}
