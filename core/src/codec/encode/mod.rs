//! Packets to bytes (§3), for all versions. Infallible: a packet that the types allow and the
//! standard does not is a mistake of the caller, caught by a `debug_assert`. It never writes a
//! property or reason code on 3.x, and never more than [`encoded_len`] said.

mod hot;
mod packets;
mod properties;
mod sink;

pub use hot::{encode_ack, encode_publish, encode_publish_template, publish_len};

use super::primitives::varint_len;
use crate::packet::{Packet, PacketType, Version};
use sink::{Counter, Sink};

/// Appends `packet` in the form of `version`. A CONNECT goes in the form of its own version. AUTH
/// does not exist before 5.0 and writes nothing there.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) {
    match packet {
        Packet::Publish(publish) => encode_publish(publish, version, out),
        Packet::Puback(ack) => encode_ack(PacketType::Puback, ack, version, out),
        Packet::Pubrec(ack) => encode_ack(PacketType::Pubrec, ack, version, out),
        Packet::Pubrel(ack) => encode_ack(PacketType::Pubrel, ack, version, out),
        Packet::Pubcomp(ack) => encode_ack(PacketType::Pubcomp, ack, version, out),
        Packet::Auth(_) if !version.is_v5() => debug_assert!(false, "AUTH before 5.0"),
        _ => {
            let len = body_len(packet, version);
            let first = first_byte(packet.packet_type());
            out.reserve(1 + varint_len(len) as usize + len as usize);
            out.u8(first);
            out.varint(len);
            packets::body(packet, version, out);
        }
    }
}

/// The bytes that [`encode`] appends.
pub fn encoded_len(packet: &Packet<'_>, version: Version) -> u32 {
    match packet {
        Packet::Publish(publish) => publish_len(publish, version),
        Packet::Auth(_) if !version.is_v5() => 0,
        _ => {
            let len = body_len(packet, version);
            1 + varint_len(len) + len
        }
    }
}

fn body_len(packet: &Packet<'_>, version: Version) -> u32 {
    let mut counter = Counter::default();
    packets::body(packet, version, &mut counter);
    counter.0
}

/// The first byte of a packet without flags of its own (§2.1.3).
const fn first_byte(packet: PacketType) -> u8 {
    let flags = match packet {
        PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => 2,
        _ => 0,
    };
    (packet as u8) << 4 | flags
}
