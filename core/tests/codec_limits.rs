//! What the decoder may hold and refuse before a packet is complete: nothing by an announced length,
//! nothing for a stream that does not begin with CONNECT (hostile input 1, 5 and 6).

use halyard_core::codec::{Decoder, ErrorKind, Limits, Role};
use halyard_core::packet::{Packet, Version};

/// A minimal CONNECT of 3.1.1.
const CONNECT: &[u8] = &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];

#[test]
fn a_stream_that_does_not_begin_with_connect_is_refused_at_its_first_byte() {
    let openings: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n", &[0x16, 3, 1, 2, 0], &[0xFF; 9], &[0x00]];
    let packets = (2..=15).map(|packet: u8| vec![packet << 4, 0]);
    for opening in openings.iter().map(|bytes| bytes.to_vec()).chain(packets) {
        let mut decoder = Decoder::new(Role::Server);
        let error = decoder.decode(&opening, &Limits::default()).unwrap_err();
        let expected = match opening[0] {
            0x16 => ErrorKind::ReservedFlags(6),
            _ => ErrorKind::FirstPacketNotConnect,
        };
        assert_eq!(error.kind, expected);
        assert_eq!(error.reason_code(), None, "{error}");
        assert!(decoder.buffered().len() <= 5);
    }
}

#[test]
fn memory_follows_received_bytes_not_the_remaining_length() {
    let mut decoder = Decoder::new(Role::Server);
    decoder.set_version(Version::V5);
    let limits = Limits::default();
    decoder.decode(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], &limits).unwrap();
    for fed in 1..=64 {
        let (consumed, frame) = decoder.decode(&[0; 1000], &limits).unwrap();
        assert_eq!((consumed, frame), (1000, None));
        assert_eq!(decoder.buffered().len(), 5 + fed * 1000);
    }
}

#[test]
fn too_large_is_said_at_the_header() {
    let limits = Limits { max_packet_size: 100, max_connect_size: 200, ..Limits::default() };
    let mut decoder = Decoder::new(Role::Server);
    let error = decoder.decode(&[0x10, 0xC7, 0x01], &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectTooLarge { size: 202, limit: 200 });
    let (_, frame) = decoder.decode(CONNECT, &limits).unwrap();
    assert!(matches!(frame.unwrap().packet, Packet::Connect(_)));
    let error = decoder.decode(&[0x30, 99], &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PacketTooLarge { size: 101, limit: 100 });
    assert_eq!(decoder.buffered(), b"");
}
