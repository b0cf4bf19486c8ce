//! A server's frames (RFC 6455 §5.2): whole messages, never masked, never fragmented.

use super::CONTROL_LEN_MAX;

/// The longest header of a server's frame.
pub const HEADER_LEN_MAX: usize = 10;

/// The frames that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// MQTT bytes [MQTT-6.0.0-1].
    Binary = 2,
    /// The end of the stream.
    Close = 8,
    /// A question whether the peer lives.
    Ping = 9,
    /// The answer to a Ping.
    Pong = 10,
}

/// The header of a frame with a payload of `len` bytes: the bytes, and how many of them count.
pub const fn header(len: u64, opcode: Opcode) -> ([u8; HEADER_LEN_MAX], usize) {
    let mut bytes = [0; HEADER_LEN_MAX];
    bytes[0] = 0x80 | opcode as u8;
    let (first, extended) = match len {
        0..=125 => (len as u8, 0),
        126..=0xFFFF => (126, 2),
        _ => (127, 8),
    };
    bytes[1] = first;
    let big = len.to_be_bytes();
    let mut index = 0;
    while index < extended {
        bytes[2 + index] = big[8 - extended + index];
        index += 1;
    }
    (bytes, 2 + extended)
}

/// Appends the header of a frame with a payload of `len` bytes, which must follow.
pub fn encode_header(len: u64, opcode: Opcode, out: &mut Vec<u8>) {
    let (bytes, header_len) = header(len, opcode);
    out.extend_from_slice(&bytes[..header_len]);
}

/// Appends a Close with this status code, or with none.
pub fn encode_close(code: Option<u16>, out: &mut Vec<u8>) {
    encode_header(if code.is_some() { 2 } else { 0 }, Opcode::Close, out);
    if let Some(code) = code {
        out.extend_from_slice(&code.to_be_bytes());
    }
}

/// Appends the answer to a Ping with this payload.
pub fn encode_pong(payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_LEN_MAX)];
    encode_header(payload.len() as u64, Opcode::Pong, out);
    out.extend_from_slice(payload);
}
