//! The hot path: PUBLISH, and acknowledgements without properties. One reservation, then plain
//! copies.

use super::properties::{Properties, Reasoned};
use super::sink::Sink;
use super::{first_byte, packets};
use crate::codec::primitives::{VARINT_MAX, clip_str, varint_bytes, varint_len};
use crate::packet::{Ack, PacketType, Publish, QoS, ReasonCode, Version};

/// The bytes that [`encode_publish`] appends.
#[inline]
pub fn publish_len(publish: &Publish<'_>, version: Version) -> u32 {
    let properties = properties_len(publish, version);
    let len = remaining_len(publish, version, properties);
    1 + varint_len(len) + len
}

/// Appends a PUBLISH. One over the standard's size must not get here; see [`publish_len`].
#[inline]
pub fn encode_publish(publish: &Publish<'_>, version: Version, out: &mut Vec<u8>) {
    encode_publish_template(publish, version, out);
}

/// Appends a PUBLISH that will be sent to many: returns the offset, from where it was appended, of
/// its Packet Identifier, for [`crate::packet::PacketId::get`] in big-endian form; `None` for QoS 0.
#[inline]
pub fn encode_publish_template(
    publish: &Publish<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let properties = properties_len(publish, version);
    let len = remaining_len(publish, version, properties);
    debug_assert!(len <= VARINT_MAX, "a PUBLISH larger than the standard can express");
    debug_assert_eq!(publish.packet_id.is_some(), publish.qos != QoS::AtMostOnce);
    debug_assert!(!publish.dup || publish.qos != QoS::AtMostOnce, "DUP with QoS 0");
    let start = out.len();
    out.reserve(5 + len as usize);
    let flags = u8::from(publish.dup) << 3 | publish.qos.bits() << 1 | u8::from(publish.retain);
    let topic = clip_str(publish.topic).as_bytes();
    let head = Head::new((PacketType::Publish as u8) << 4 | flags, len, topic.len() as u16);
    out.bytes(head.as_slice());
    out.bytes(topic);
    let mut packet_id_at = None;
    if publish.qos != QoS::AtMostOnce {
        packet_id_at = Some(out.len() - start);
        out.u16(publish.packet_id.map_or(0, crate::packet::PacketId::get));
    }
    if version.is_v5() {
        out.varint(properties);
        if properties != 0 {
            publish.properties.write(out);
        }
    }
    out.bytes(publish.payload);
    packet_id_at
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP, which `packet` says.
#[inline]
pub fn encode_ack(packet: PacketType, ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) {
    debug_assert!(matches!(
        packet,
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp
    ));
    let plain = !version.is_v5()
        || ack.reason == ReasonCode::Success
            && ack.reason_string.is_none()
            && ack.user_properties.is_empty();
    if plain {
        let [high, low] = ack.packet_id.get().to_be_bytes();
        out.extend_from_slice(&[first_byte(packet), 2, high, low]);
    } else {
        encode_full_ack(packet, ack, version, out);
    }
}

fn encode_full_ack(packet: PacketType, ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) {
    let properties = Reasoned(ack.reason_string, ack.user_properties).len();
    let tail = if properties == 0 { 0 } else { varint_len(properties) + properties };
    out.u8(first_byte(packet));
    out.varint(3 + tail);
    packets::ack(ack, version, out);
}

/// The fixed header of a PUBLISH and the length of its topic, to be copied at once.
struct Head {
    bytes: [u8; 7],
    len: usize,
}

impl Head {
    #[inline]
    fn new(first: u8, remaining_len: u32, topic_len: u16) -> Self {
        let (varint, varint_len) = varint_bytes(remaining_len);
        let mut bytes = [first, varint[0], varint[1], varint[2], varint[3], 0, 0];
        let [high, low] = topic_len.to_be_bytes();
        bytes[1 + varint_len] = high;
        bytes[2 + varint_len] = low;
        Self { bytes, len: 3 + varint_len }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[inline]
fn properties_len(publish: &Publish<'_>, version: Version) -> u32 {
    if version.is_v5() { publish.properties.len() } else { 0 }
}

#[inline]
fn remaining_len(publish: &Publish<'_>, version: Version, properties: u32) -> u32 {
    let packet_id = if publish.qos == QoS::AtMostOnce { 0 } else { 2 };
    let properties = if version.is_v5() { varint_len(properties) + properties } else { 0 };
    2 + clip_str(publish.topic).len() as u32 + packet_id + properties + publish.payload.len() as u32
}
