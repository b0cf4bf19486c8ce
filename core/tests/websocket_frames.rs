//! WebSocket frames: refusals with their status codes, and independence of slicing (hostile input
//! 54).

use halyard_core::websocket::{
    Event, FrameDecoder, Opcode, WsError, encode_close, encode_header, encode_pong,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const LIMIT: u32 = 1 << 20;

/// What came out of a stream, data joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// A client's frame: masked.
fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn feed<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Option<WsError>) {
    let mut decoder = FrameDecoder::new();
    let mut seen = Vec::new();
    for slice in slices {
        let mut bytes = slice.to_vec();
        let mut start = 0;
        loop {
            let rest = bytes.len() - start;
            match decoder.decode(&mut bytes[start..], LIMIT) {
                Ok((consumed, Event::NeedMore)) => {
                    assert_eq!(consumed, rest, "without an event all is consumed");
                    break;
                }
                Ok((consumed, Event::Data(data))) => {
                    assert!(!data.is_empty());
                    match seen.last_mut() {
                        Some(Seen::Data(last)) => last.extend_from_slice(data),
                        _ => seen.push(Seen::Data(data.to_vec())),
                    }
                    start += consumed;
                }
                Ok((consumed, Event::Ping(payload))) => {
                    seen.push(Seen::Ping(payload.as_slice().to_vec()));
                    start += consumed;
                }
                Ok((consumed, Event::Pong)) => {
                    seen.push(Seen::Pong);
                    start += consumed;
                }
                Ok((consumed, Event::Close { code })) => {
                    seen.push(Seen::Close(code));
                    start += consumed;
                }
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

fn refused(bytes: &[u8], error: WsError, code: u16) {
    let (_, found) = feed([bytes]);
    assert_eq!(found, Some(error));
    assert_eq!(error.close_code(), code, "{error}");
    assert_eq!(feed(bytes.chunks(1)).1, Some(error));
}

#[test]
fn refusals() {
    let key = [1, 2, 3, 4];
    refused(&[0x82, 0x01], WsError::Unmasked, 1002);
    refused(&frame(0x81, b"x", key), WsError::TextFrame, 1003);
    refused(&frame(0x01, b"x", key), WsError::TextFrame, 1003);
    refused(&frame(0xC2, b"x", key), WsError::ReservedBits, 1002);
    refused(&frame(0x83, b"x", key), WsError::ReservedOpcode(3), 1002);
    refused(&frame(0x8B, b"x", key), WsError::ReservedOpcode(11), 1002);
    refused(&frame(0x80, b"x", key), WsError::UnexpectedContinuation, 1002);
    let twice = [frame(0x02, b"x", key), frame(0x82, b"y", key)].concat();
    refused(&twice, WsError::UnfinishedMessage, 1002);
    refused(&frame(0x09, b"x", key), WsError::FragmentedControl, 1002);
    refused(&[0x89, 0xFE], WsError::ControlTooLong, 1002);
    refused(&[0x88, 0xFF], WsError::ControlTooLong, 1002);
    let top_bit = [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    refused(&top_bit, WsError::LengthTooLong, 1002);
    let large = [0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4];
    let error = WsError::FrameTooLarge { len: u64::from(LIMIT) + 1, limit: LIMIT };
    refused(&large, error, 1009);
    refused(&frame(0x88, b"x", key), WsError::CloseLength, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let bytes = frame(0x88, &u16::to_be_bytes(code), key);
        refused(&bytes, WsError::CloseCode(code), 1002);
    }
    refused(&frame(0x88, b"\x03\xE8\xFF", key), WsError::CloseReason, 1007);
}

#[test]
fn whatever_follows_a_close_is_ignored() {
    let close = frame(0x88, &1001_u16.to_be_bytes(), [9, 8, 7, 6]);
    let bytes = [&close[..], b"\x00\xFF garbage"].concat();
    assert_eq!(feed([&bytes[..]]), (vec![Seen::Close(Some(1001))], None));
    assert_eq!(feed(bytes.chunks(1)), (vec![Seen::Close(Some(1001))], None));
}

#[test]
fn what_a_server_sends() {
    let header = |len| {
        let mut out = Vec::new();
        encode_header(len, Opcode::Binary, &mut out);
        out
    };
    assert_eq!(header(0), [0x82, 0]);
    assert_eq!(header(125), [0x82, 125]);
    assert_eq!(header(126), [0x82, 126, 0, 126]);
    assert_eq!(header(0xFFFF), [0x82, 126, 0xFF, 0xFF]);
    assert_eq!(header(0x1_0000), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    let mut out = Vec::new();
    encode_close(Some(1002), &mut out);
    encode_close(None, &mut out);
    encode_pong(b"hi", &mut out);
    assert_eq!(out, [0x88, 2, 0x03, 0xEA, 0x88, 0, 0x8A, 2, b'h', b'i']);
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<FrameDecoder>() <= 32);
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let sizes = prop_oneof![8 => 0..200_usize, 1 => 60_000..70_000_usize];
    let data = (sizes, any::<[u8; 4]>(), any::<bool>());
    let control = (select_control(), vec(any::<u8>(), 0..=125), any::<[u8; 4]>());
    let part = prop_oneof![data.prop_map(Ok), control.prop_map(Err)];
    vec(part, 1..10).prop_map(|parts| {
        let mut bytes = Vec::new();
        let mut in_message = false;
        for part in parts {
            match part {
                Ok((size, key, fin)) => {
                    let opcode = if in_message { 0 } else { 2 };
                    let payload: Vec<u8> = (0..size).map(|index| index as u8).collect();
                    bytes.extend(frame(u8::from(fin) << 7 | opcode, &payload, key));
                    in_message = !fin;
                }
                Err((opcode, payload, key)) => bytes.extend(frame(0x80 | opcode, &payload, key)),
            }
        }
        bytes
    })
}

fn select_control() -> impl Strategy<Value = u8> {
    proptest::sample::select(&[9_u8, 10][..])
}

proptest! {
    #[test]
    fn slicing_does_not_matter(
        mut bytes in frames(),
        cuts in vec(any::<Index>(), 0..12),
        damage in vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = feed([&bytes[..]]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.insert(0, 0);
        cuts.push(bytes.len());
        prop_assert_eq!(&feed(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
        if bytes.len() < 4_000 {
            prop_assert_eq!(&feed(bytes.chunks(1)), &whole);
        }
    }
}
