//! The fixed header (§2.1): packet type, flags and Remaining Length, and all that can be refused
//! from it alone, so that nothing is buffered for a packet that may not come.

use super::decode::Context;
use super::decoder::Role;
use super::error::{ErrorKind, Fault};
use super::primitives::{VarintError, decode_varint};
use crate::packet::{PacketType, Version};

/// A fixed header that may introduce a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) packet: PacketType,
    pub(super) flags: u8,
    /// Bytes of the fixed header, 2 to 5.
    pub(super) len: u32,
    /// Bytes of the whole packet.
    pub(super) size: u32,
    /// Whether the Remaining Length has its shortest form; judged in CONNECT by its version.
    pub(super) minimal: bool,
}

/// Reads and judges the fixed header at the start of `bytes`; `None` if more bytes are needed. What
/// it says depends on the bytes alone, never on how they were sliced.
#[inline]
pub(super) fn read(bytes: &[u8], context: &Context<'_>) -> Result<Option<Header>, Fault> {
    let Context { role, version, limits } = *context;
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let packet = match PacketType::from_u8(first >> 4) {
        Some(packet) => packet,
        None if role == Role::Server && version.is_none() => {
            return Err(Fault::new(ErrorKind::FirstPacketNotConnect, 0));
        }
        None => return Err(Fault::new(ErrorKind::ReservedPacketType, 0)),
    };
    let flags = first & 0x0F;
    judge_first_byte(packet, flags, role, version).map_err(|kind| Fault::new(kind, 0))?;
    let varint = match decode_varint(rest) {
        Ok(varint) => varint,
        Err(VarintError::Incomplete) => return Ok(None),
        Err(VarintError::TooLong) => {
            return Err(Fault::new(ErrorKind::RemainingLengthTooLong, 1));
        }
    };
    let minimal = varint.is_minimal();
    if !minimal && version == Some(Version::V5) {
        return Err(Fault::new(ErrorKind::RemainingLengthNotMinimal, 1));
    }
    let len = 1 + u32::from(varint.len);
    let size = len + varint.value;
    let header = Header { packet, flags, len, size, minimal };
    match packet {
        PacketType::Connect if size > limits.max_connect_size => {
            let kind = ErrorKind::ConnectTooLarge { size, limit: limits.max_connect_size };
            Err(Fault::new(kind, 1))
        }
        PacketType::Connect => Ok(Some(header)),
        _ if size > limits.max_packet_size => {
            let kind = ErrorKind::PacketTooLarge { size, limit: limits.max_packet_size };
            Err(Fault::new(kind, 1))
        }
        _ => Ok(Some(header)),
    }
}

#[inline]
fn judge_first_byte(
    packet: PacketType,
    flags: u8,
    role: Role,
    version: Option<Version>,
) -> Result<(), ErrorKind> {
    use PacketType as P;
    if packet == P::Publish && version.is_some() {
        return judge_publish_flags(flags);
    }
    match role {
        Role::Server => match packet {
            P::Connect if version.is_some() => return Err(ErrorKind::SecondConnect),
            P::Connect => {}
            _ if version.is_none() => return Err(ErrorKind::FirstPacketNotConnect),
            P::Connack | P::Suback | P::Unsuback | P::Pingresp => {
                return Err(ErrorKind::WrongDirection);
            }
            _ => {}
        },
        Role::Client => match packet {
            P::Connect | P::Subscribe | P::Unsubscribe | P::Pingreq => {
                return Err(ErrorKind::WrongDirection);
            }
            P::Disconnect if !is_v5(version) => return Err(ErrorKind::WrongDirection),
            _ => {}
        },
    }
    if packet == P::Auth && !is_v5(version) {
        return Err(ErrorKind::AuthBeforeV5);
    }
    let expected = match packet {
        P::Publish => return judge_publish_flags(flags),
        P::Pubrel | P::Subscribe | P::Unsubscribe => 2,
        _ => 0,
    };
    // 3.1 lets these three carry DUP.
    let ignored = if expected == 2 && version == Some(Version::V3) { 8 } else { 0 };
    if flags & !ignored == expected { Ok(()) } else { Err(ErrorKind::ReservedFlags(flags)) }
}

#[inline]
fn judge_publish_flags(flags: u8) -> Result<(), ErrorKind> {
    match flags >> 1 & 3 {
        3 => Err(ErrorKind::PublishQoS3),
        0 if flags & 8 != 0 => Err(ErrorKind::DupWithQoS0),
        _ => Ok(()),
    }
}

/// A client that was not told its version speaks 5.0.
#[inline]
fn is_v5(version: Option<Version>) -> bool {
    version.is_none_or(Version::is_v5)
}
