//! What the codec allocates: nothing for a PUBLISH or an acknowledgement that lies whole in the
//! input, nothing to write one into a buffer with room, and for a partial packet at most twice what
//! was received, whatever its Remaining Length says (hostile input 5 and 6).

use allocation_counter::measure;
use halyard_core::codec::{self, Decoder, Limits, Role};
use halyard_core::packet::*;

fn publish() -> Publish<'static> {
    let properties = PublishProperties {
        payload_format_utf8: Some(true),
        message_expiry_interval: Some(60),
        topic_alias: core::num::NonZeroU16::new(3),
        response_topic: Some("answer/here"),
        correlation_data: Some(b"17"),
        subscription_identifiers: [1, 268_435_455].into_iter().collect(),
        content_type: Some("text/plain"),
        ..PublishProperties::default()
    };
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a/topic/of/some/levels",
        packet_id: PacketId::new(9),
        properties,
        payload: b"21.5",
    }
}

fn client(version: Version) -> Decoder {
    let mut decoder = Decoder::new(Role::Client);
    decoder.set_version(version);
    decoder
}

#[test]
fn a_publish_and_its_acknowledgement_allocate_nothing() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let publish = publish();
        let ack = Ack::new(PacketId::new(9).unwrap(), ReasonCode::Success);
        let mut bytes = Vec::with_capacity(1_000);
        let written = measure(|| {
            codec::encode_publish(&publish, version, &mut bytes);
            codec::encode_ack(PacketType::Puback, &ack, version, &mut bytes);
        });
        assert_eq!(written.count_total, 0);
        let mut decoder = client(version);
        let limits = Limits::default();
        let mut packets = 0;
        let read = measure(|| {
            let mut rest = &bytes[..];
            while let (consumed, Some(_)) = decoder.decode(rest, &limits).unwrap() {
                packets += 1;
                rest = &rest[consumed..];
            }
        });
        assert_eq!((packets, read.count_total), (2, 0));
    }
}

#[test]
fn a_partial_packet_holds_at_most_twice_what_came() {
    let mut decoder = client(Version::V5);
    let limits = Limits::default();
    let announced = measure(|| {
        decoder.decode(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], &limits).unwrap();
    });
    assert!(announced.bytes_max <= 10, "{announced:?}");
    let gathered = measure(|| {
        for _ in 0..100 {
            decoder.decode(&[0; 1_000], &limits).unwrap();
        }
    });
    assert!(gathered.bytes_current <= 200_020, "{gathered:?}");
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let mut decoder = client(Version::V5);
    let limits = Limits::default();
    let held = measure(|| {
        let bytes = [0x30, 6, 0, 1, b'a', 0, b'h', b'i'];
        decoder.decode(&bytes[..3], &limits).unwrap();
        let (consumed, frame) = decoder.decode(&bytes[3..], &limits).unwrap();
        assert!(frame.is_some());
        assert_eq!(consumed, 5);
        decoder.decode(&[], &limits).unwrap();
        decoder.decode(&bytes[..3], &limits).unwrap();
        assert!(decoder.decode(&bytes[3..], &limits).unwrap().1.is_some());
        decoder.release();
    });
    assert_eq!(held.bytes_current, 0);
    assert_eq!(decoder.buffered(), b"");
}

#[test]
fn a_partial_packet_is_never_larger_than_the_packet() {
    let mut decoder = client(Version::V5);
    let limits = Limits::default();
    let payload = vec![7; 10_000];
    let publish = Publish { payload: &payload, ..publish() };
    let mut bytes = Vec::new();
    codec::encode_publish(&publish, Version::V5, &mut bytes);
    let held = measure(|| {
        for chunk in bytes.chunks(999) {
            decoder.decode(chunk, &limits).unwrap();
        }
    });
    assert!(held.bytes_current as usize <= bytes.len(), "{held:?}");
}
