//! The codec over random packets: what is written is read again; slicing never matters; a damaged
//! packet is refused or is another packet, and never a panic (hostile input 9).

mod codec_support;

use codec_support::{VERSIONS, connect, packet, publish};
use halyard_core::codec::{self, DecodeError, Decoder, Limits, Role, primitives};
use halyard_core::packet::{Packet, PacketType, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A stream in one direction: who reads it, in which version, its packets.
#[derive(Clone, Debug)]
struct Stream {
    role: Role,
    version: Version,
    packets: Vec<Packet<'static>>,
}

impl Stream {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for packet in &self.packets {
            codec::encode(packet, self.version, &mut bytes);
        }
        bytes
    }

    fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new(self.role);
        if self.role == Role::Client {
            decoder.set_version(self.version);
        }
        decoder
    }
}

fn stream() -> impl Strategy<Value = Stream> {
    (select(&VERSIONS[..]), any::<bool>()).prop_flat_map(|(version, from_client)| {
        let role = if from_client { Role::Server } else { Role::Client };
        (connect(version), vec(packet(version, from_client), 1..6)).prop_map(
            move |(connect, mut packets)| {
                if from_client {
                    packets.insert(0, Packet::Connect(connect));
                }
                Stream { role, version, packets }
            },
        )
    })
}

/// Feeds `slices` as a driver does: again with the rest until all is consumed and no packet comes.
/// Packets are kept in wire form.
fn feed<'a>(
    decoder: &mut Decoder,
    slices: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<(PacketType, Vec<u8>)>, Option<DecodeError>) {
    let limits = Limits::default();
    let mut packets = Vec::new();
    for slice in slices {
        let mut rest = slice;
        loop {
            match decoder.decode(rest, &limits) {
                Ok((consumed, Some(frame))) => {
                    packets.push((frame.packet.packet_type(), frame.bytes.to_vec()));
                    rest = &rest[consumed..];
                }
                Ok((consumed, None)) => {
                    assert_eq!(consumed, rest.len(), "without a packet all is consumed");
                    break;
                }
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

/// `bytes` cut at these places.
fn slices<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut slices = Vec::new();
    let mut start = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        slices.push(&bytes[start..cut]);
        start = cut;
    }
    slices
}

/// Decodes one packet of an established stream, which must lie whole in `bytes`; a packet that comes
/// out must survive being written and read again.
fn decode_one(bytes: &[u8], role: Role, version: Version) -> Result<(), DecodeError> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(role);
    if bytes[0] >> 4 != 1 {
        decoder.set_version(version);
    }
    let frame = decoder.decode(bytes, &limits)?.1;
    let Some(frame) = frame else { return Ok(()) };
    let packet = frame.packet.clone();
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut again = Vec::new();
    codec::encode(&packet, version, &mut again);
    assert_eq!(codec::encoded_len(&packet, version) as usize, again.len());
    let mut second = Decoder::new(role);
    if packet.packet_type() != PacketType::Connect {
        second.set_version(version);
    }
    let (consumed, frame) = second.decode(&again, &limits).expect("what was written can be read");
    assert_eq!(consumed, again.len());
    assert_eq!(frame.expect("and is whole").packet, packet);
    Ok(())
}

/// The body of a packet.
fn body(bytes: &[u8]) -> &[u8] {
    &bytes[1 + usize::from(primitives::decode_varint(&bytes[1..]).unwrap().len)..]
}

/// The packet with its body cut to `len` and extended by `tail`, and a Remaining Length to match.
fn resized(bytes: &[u8], len: usize, tail: &[u8]) -> Vec<u8> {
    let kept = &body(bytes)[..len];
    let mut out = vec![bytes[0]];
    primitives::encode_varint((kept.len() + tail.len()) as u32, &mut out);
    out.extend_from_slice(kept);
    out.extend_from_slice(tail);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_again(stream in stream()) {
        let mut decoder = stream.decoder();
        for packet in &stream.packets {
            let mut bytes = Vec::new();
            codec::encode(packet, stream.version, &mut bytes);
            prop_assert_eq!(codec::encoded_len(packet, stream.version) as usize, bytes.len());
            let (consumed, frame) = decoder.decode(&bytes, &Limits::default()).unwrap();
            let frame = frame.unwrap();
            prop_assert_eq!(consumed, bytes.len());
            prop_assert_eq!(&frame.packet, packet);
            prop_assert_eq!(frame.bytes, &bytes[..]);
        }
        prop_assert_eq!(decoder.version(), Some(stream.version));
    }

    #[test]
    fn slicing_does_not_matter(stream in stream(), cuts in vec(any::<Index>(), 0..12)) {
        let bytes = stream.bytes();
        let whole = feed(&mut stream.decoder(), [&bytes[..]]);
        prop_assert_eq!(whole.0.len(), stream.packets.len());
        let mut decoder = stream.decoder();
        prop_assert_eq!(&feed(&mut decoder, slices(&bytes, &cuts)), &whole);
        prop_assert!(decoder.buffered().is_empty());
        if bytes.len() < 4_000 {
            prop_assert_eq!(&feed(&mut stream.decoder(), bytes.chunks(1)), &whole);
        }
    }

    #[test]
    fn slicing_does_not_change_a_refusal(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..12),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = stream.bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = feed(&mut stream.decoder(), [&bytes[..]]);
        prop_assert_eq!(&feed(&mut stream.decoder(), slices(&bytes, &cuts)), &whole);
        if bytes.len() < 4_000 {
            prop_assert_eq!(&feed(&mut stream.decoder(), bytes.chunks(1)), &whole);
        }
        if let Some(error) = whole.1 {
            prop_assert!(!error.clause().is_empty());
            prop_assert!(error.to_string().contains(error.clause()));
        }
    }

    #[test]
    fn a_decoder_goes_on_from_its_parts(stream in stream(), cut in any::<Index>()) {
        let bytes = stream.bytes();
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut decoder = stream.decoder();
        let (mut packets, _) = feed(&mut decoder, [first]);
        let buffered = decoder.buffered().to_vec();
        let mut restored = Decoder::from_parts(decoder.role(), decoder.version(), buffered);
        let (rest, error) = feed(&mut restored, [second]);
        packets.extend(rest);
        prop_assert_eq!(error, None);
        prop_assert_eq!(packets, feed(&mut stream.decoder(), [&bytes[..]]).0);
    }

    #[test]
    fn a_packet_cut_short_waits(stream in stream()) {
        for packet in &stream.packets {
            let mut bytes = Vec::new();
            codec::encode(packet, stream.version, &mut bytes);
            for len in 0..bytes.len().min(300) {
                let mut decoder = Decoder::new(stream.role);
                if packet.packet_type() != PacketType::Connect {
                    decoder.set_version(stream.version);
                }
                let result = decoder.decode(&bytes[..len], &Limits::default());
                prop_assert_eq!(result, Ok((len, None)));
                prop_assert_eq!(decoder.buffered(), &bytes[..len]);
            }
        }
    }

    #[test]
    fn a_damaged_packet_never_panics(
        stream in stream(),
        damage in vec((any::<Index>(), any::<u8>()), 1..5),
    ) {
        for packet in &stream.packets {
            let mut bytes = Vec::new();
            codec::encode(packet, stream.version, &mut bytes);
            for (at, byte) in &damage {
                let at = at.index(bytes.len().min(80));
                bytes[at] = *byte;
            }
            let _ = decode_one(&bytes, stream.role, stream.version);
        }
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 1..200), version in select(&VERSIONS[..])) {
        for role in [Role::Server, Role::Client] {
            let mut decoder = Decoder::new(role);
            decoder.set_version(version);
            feed(&mut decoder, [&bytes[..]]);
            feed(&mut Decoder::new(role), [&bytes[..]]);
        }
    }

    #[test]
    fn a_template_names_the_place_of_the_packet_identifier(
        publish in publish(Version::V5, false),
        version in select(&VERSIONS[..]),
        prefix in 0..20_usize,
    ) {
        let mut out = vec![0xAA; prefix];
        let at = codec::encode_publish_template(&publish, version, &mut out);
        let bytes = &out[prefix..];
        prop_assert_eq!(codec::publish_len(&publish, version) as usize, bytes.len());
        let found = at.map(|at| u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        prop_assert_eq!(found, publish.packet_id.map(|id| id.get()));
    }

    #[test]
    fn varints(value in 0..=primitives::VARINT_MAX, tail in any::<u8>()) {
        let mut bytes = Vec::new();
        primitives::encode_varint(value, &mut bytes);
        prop_assert_eq!(primitives::varint_len(value) as usize, bytes.len());
        for len in 0..bytes.len() {
            let cut = primitives::decode_varint(&bytes[..len]);
            prop_assert_eq!(cut, Err(primitives::VarintError::Incomplete));
        }
        bytes.push(tail);
        let read = primitives::decode_varint(&bytes).unwrap();
        prop_assert_eq!(read.value, value);
        prop_assert!(read.is_minimal());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_body_cut_at_any_byte_and_extended_never_panics(
        stream in stream(),
        tail in prop_oneof![Just(Vec::new()), vec(any::<u8>(), 0..8)],
    ) {
        for packet in &stream.packets {
            let mut bytes = Vec::new();
            codec::encode(packet, stream.version, &mut bytes);
            let whole = body(&bytes).len();
            for len in (0..whole.min(400)).chain([whole]) {
                let _ = decode_one(&resized(&bytes, len, &tail), stream.role, stream.version);
            }
        }
    }
}
