//! Packets of the load as fast as they can be made and read: a PUBLISH is a template that is
//! copied and patched, an incoming packet is looked at where it lies. Everything that is not on the
//! way of a message goes through the codec.

use halyard_core::codec;
use halyard_core::packet::{PacketId, PacketType, Publish, PublishProperties, QoS, Version};

/// The smallest payload: message number and time of sending.
pub(super) const PAYLOAD_MIN: usize = 16;

/// A PUBLISH to copy.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    payload_at: usize,
}

impl Template {
    pub(super) fn new(version: Version, topic: &str, qos: QoS, payload: usize) -> Self {
        let payload = vec![0x2E; payload.max(PAYLOAD_MIN)];
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id: if qos == QoS::AtMostOnce { None } else { PacketId::new(1) },
            properties: PublishProperties::default(),
            payload: &payload,
        };
        let mut bytes = Vec::new();
        let id_at = codec::encode_publish_template(&publish, version, &mut bytes);
        let payload_at = bytes.len() - payload.len();
        Self { bytes, id_at, payload_at }
    }

    /// Appends message `number`, sent at `nanos`.
    #[inline]
    pub(super) fn append(&self, number: u64, nanos: u64, id: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if let Some(at) = self.id_at {
            packet[at..at + 2].copy_from_slice(&id.to_be_bytes());
        }
        let payload = &mut packet[self.payload_at..];
        payload[..8].copy_from_slice(&number.to_le_bytes());
        payload[8..16].copy_from_slice(&nanos.to_le_bytes());
    }
}

/// A packet as it lies in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    first: u8,
    body: &'a [u8],
    /// Its length with the fixed header.
    pub(super) size: usize,
}

/// A message of the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) topic: &'a [u8],
    pub(super) qos: QoS,
    pub(super) id: u16,
    pub(super) number: u64,
    pub(super) nanos: u64,
}

/// The first packet of `bytes`; `None` if it is not whole.
#[inline]
pub(super) fn first_packet(bytes: &[u8]) -> Result<Option<Raw<'_>>, String> {
    let mut length = 0_usize;
    for at in 0..4 {
        let Some(&byte) = bytes.get(1 + at) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let start = 2 + at;
            let body = bytes.get(start..start + length);
            return Ok(body.map(|body| Raw { first: bytes[0], body, size: start + length }));
        }
    }
    Err("the broker sent a Remaining Length of more than four bytes".to_owned())
}

impl<'a> Raw<'a> {
    #[inline]
    pub(super) const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_u8(self.first >> 4)
    }

    /// Packet Identifier of an acknowledgement.
    #[inline]
    pub(super) fn id(&self) -> u16 {
        self.body.first_chunk().map_or(0, |id| u16::from_be_bytes(*id))
    }

    /// Reason code of an acknowledgement; 0 where there is none.
    #[inline]
    pub(super) fn reason(&self, version: Version) -> u8 {
        if version.is_v5() { self.body.get(2).copied().unwrap_or(0) } else { 0 }
    }

    /// The body, for packets off the way of messages.
    pub(super) const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Reads a PUBLISH of the load; `None` if it is none.
    #[inline]
    pub(super) fn message(&self, version: Version) -> Option<Arrived<'a>> {
        let (topic_len, rest) = self.body.split_first_chunk::<2>()?;
        let (topic, mut rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*topic_len)))?;
        let qos = QoS::from_bits(self.first >> 1 & 3)?;
        let mut id = 0;
        if qos != QoS::AtMostOnce {
            let (bytes, tail) = rest.split_first_chunk::<2>()?;
            id = u16::from_be_bytes(*bytes);
            rest = tail;
        }
        if version.is_v5() {
            // The load carries no properties, so a section of 128 bytes or more is not ours.
            let (&length, tail) = rest.split_first()?;
            rest = tail.get(usize::from(length)..)?;
        }
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (nanos, _) = rest.split_first_chunk::<8>()?;
        let (number, nanos) = (u64::from_le_bytes(*number), u64::from_le_bytes(*nanos));
        Some(Arrived { topic, qos, id, number, nanos })
    }
}

/// Appends an acknowledgement that means success.
#[inline]
pub(super) fn append_ack(packet: PacketType, id: u16, out: &mut Vec<u8>) {
    let flags = if matches!(packet, PacketType::Pubrel) { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[(packet as u8) << 4 | flags, 2, high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_message_reads_back() {
        for version in [Version::V3, Version::V4, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let template = Template::new(version, "bench/0", qos, 200);
                let mut out = Vec::new();
                template.append(77, 88, 99, &mut out);
                for cut in 0..out.len() {
                    assert!(first_packet(&out[..cut]).expect("well formed").is_none());
                }
                let raw = first_packet(&out).expect("well formed").expect("whole");
                assert_eq!((raw.packet_type(), raw.size), (Some(PacketType::Publish), out.len()));
                let message = raw.message(version).expect("of the load");
                let id = if qos == QoS::AtMostOnce { 0 } else { 99 };
                assert_eq!((message.number, message.nanos, message.id), (77, 88, id));
                assert_eq!((message.topic, message.qos), (b"bench/0".as_slice(), qos));
            }
        }
    }
}
