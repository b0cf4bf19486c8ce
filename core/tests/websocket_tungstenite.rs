//! The WebSocket frame codec against an independent implementation: the same data, the same control
//! events, and a refusal wherever the other refuses.

use halyard_core::websocket::{Event, FrameDecoder, Opcode, WsError, encode_close, encode_header};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

const LIMIT: u32 = 1 << 16;

/// A socket that gives its bytes in pieces and swallows what is written.
struct Socket {
    bytes: Vec<u8>,
    start: usize,
    pieces: Vec<usize>,
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.start..];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = self.pieces.pop().unwrap_or(usize::MAX).min(rest.len()).min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.start += len;
        Ok(len)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came out of a stream.
#[derive(Debug, Default)]
struct Seen<E> {
    data: Vec<u8>,
    pings: Vec<Vec<u8>>,
    pongs: usize,
    close: Option<Option<u16>>,
    error: Option<E>,
}

fn theirs(bytes: &[u8], pieces: &[usize], role: Role) -> Seen<Error> {
    let socket = Socket { bytes: bytes.to_vec(), start: 0, pieces: pieces.to_vec() };
    let config =
        WebSocketConfig::default().max_frame_size(Some(LIMIT as usize)).max_message_size(None);
    let mut socket = WebSocket::from_raw_socket(socket, role, Some(config));
    let mut seen = Seen { data: Vec::new(), pings: Vec::new(), pongs: 0, close: None, error: None };
    loop {
        match socket.read() {
            Ok(Message::Binary(data)) => seen.data.extend_from_slice(&data),
            Ok(Message::Text(text)) => seen.data.extend_from_slice(text.as_bytes()),
            Ok(Message::Ping(payload)) => seen.pings.push(payload.to_vec()),
            Ok(Message::Pong(_)) => seen.pongs += 1,
            Ok(Message::Close(close)) => {
                seen.close = Some(close.map(|close| close.code.into()));
                return seen;
            }
            Ok(Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return seen,
            Err(error) => {
                seen.error = Some(error);
                return seen;
            }
        }
    }
}

fn ours(bytes: &[u8], pieces: &[usize]) -> Seen<WsError> {
    let mut decoder = FrameDecoder::new();
    let mut seen = Seen { data: Vec::new(), pings: Vec::new(), pongs: 0, close: None, error: None };
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut pieces = pieces.iter().rev();
    while !rest.is_empty() {
        let len = pieces.next().copied().unwrap_or(usize::MAX).min(rest.len());
        let (mut piece, tail) = rest.split_at_mut(len);
        rest = tail;
        loop {
            let (consumed, event) = match decoder.decode(piece, LIMIT) {
                Ok(found) => found,
                Err(error) => {
                    seen.error = Some(error);
                    return seen;
                }
            };
            match event {
                Event::NeedMore => break,
                Event::Data(data) => seen.data.extend_from_slice(data),
                Event::Ping(payload) => seen.pings.push(payload.as_slice().to_vec()),
                Event::Pong => seen.pongs += 1,
                Event::Close { code } => {
                    seen.close = Some(code);
                    return seen;
                }
            }
            piece = &mut piece[consumed..];
        }
    }
    seen
}

/// A client's stream, as the other implementation writes it: whole messages, so the last is final.
fn client_stream() -> impl Strategy<Value = Vec<u8>> {
    let sizes = prop_oneof![6 => 0..300_usize, 1 => 60_000..65_537_usize];
    let part =
        (sizes, any::<u32>(), any::<bool>(), vec((9..11_u8, vec(any::<u8>(), 0..126)), 0..3));
    (vec(part, 1..8), any::<Option<Option<u16>>>()).prop_map(|(parts, close)| {
        let mut bytes = Vec::new();
        let mut in_message = false;
        let last = parts.len() - 1;
        for (index, (size, key, fin, controls)) in parts.into_iter().enumerate() {
            let fin = fin || index == last;
            let data = if in_message { Data::Continue } else { Data::Binary };
            let payload: Vec<u8> = (0..size).map(|at| (at ^ size) as u8).collect();
            push(&mut bytes, OpCode::Data(data), fin, key, payload);
            in_message = !fin;
            for (opcode, payload) in controls {
                let control = if opcode == 9 { Control::Ping } else { Control::Pong };
                push(&mut bytes, OpCode::Control(control), true, key ^ 0x5A5A, payload);
            }
        }
        if let Some(code) = close {
            let payload = code.map_or_else(Vec::new, |code| {
                [&(1_000 + code % 4).to_be_bytes()[..], b"bye"].concat()
            });
            push(&mut bytes, OpCode::Control(Control::Close), true, 7, payload);
        }
        bytes
    })
}

fn push(bytes: &mut Vec<u8>, opcode: OpCode, fin: bool, key: u32, payload: Vec<u8>) {
    let header = FrameHeader {
        is_final: fin,
        opcode,
        mask: Some(key.to_be_bytes()),
        ..FrameHeader::default()
    };
    Frame::from_payload(header, payload.into()).format(bytes).expect("a Vec takes all");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_valid_stream_is_read_alike(bytes in client_stream(), pieces in vec(1..5_000_usize, 0..40)) {
        let (ours, theirs) = (ours(&bytes, &pieces), theirs(&bytes, &pieces, Role::Server));
        prop_assert_eq!(ours.error, None);
        prop_assert!(theirs.error.is_none(), "{:?}", theirs.error);
        prop_assert_eq!(ours.data, theirs.data);
        prop_assert_eq!(ours.pings, theirs.pings);
        prop_assert_eq!(ours.pongs, theirs.pongs);
        prop_assert_eq!(ours.close, theirs.close);
    }

    #[test]
    fn a_damaged_stream_is_refused_alike(
        mut bytes in client_stream(),
        pieces in vec(1..5_000_usize, 0..40),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in damage {
            // Mostly at the beginning, where there is a header for certain.
            let at = at.index(bytes.len().min(20));
            bytes[at] = byte;
        }
        let (ours, theirs) = (ours(&bytes, &pieces), theirs(&bytes, &pieces, Role::Server));
        let stricter = matches!(
            ours.error,
            Some(WsError::TextFrame | WsError::CloseCode(_))
        );
        if let (Some(error), false) = (&theirs.error, stricter) {
            prop_assert!(ours.error.is_some(), "only they refuse: {error}");
        }
        if ours.error.is_none() {
            prop_assert!(theirs.error.is_none());
            prop_assert!(ours.data.starts_with(&theirs.data));
            prop_assert_eq!(ours.pings, theirs.pings);
            prop_assert_eq!(ours.close, theirs.close);
        } else if !stricter && theirs.error.is_none() {
            // They judge some headers only when the payload is there: nothing came after it.
            prop_assert!(theirs.pings.len() <= ours.pings.len());
            prop_assert!(ours.data.starts_with(&theirs.data));
        }
    }

    #[test]
    fn they_read_what_we_write(
        payloads in vec(prop_oneof![0..300_usize, 60_000..65_537_usize], 1..6),
        pieces in vec(1..5_000_usize, 0..40),
    ) {
        let mut bytes = Vec::new();
        let mut data = Vec::new();
        for size in payloads {
            let payload: Vec<u8> = (0..size).map(|at| at as u8).collect();
            encode_header(payload.len() as u64, Opcode::Binary, &mut bytes);
            bytes.extend_from_slice(&payload);
            data.extend(payload);
        }
        encode_header(0, Opcode::Ping, &mut bytes);
        encode_close(Some(1001), &mut bytes);
        let theirs = theirs(&bytes, &pieces, Role::Client);
        prop_assert!(theirs.error.is_none(), "{:?}", theirs.error);
        prop_assert_eq!(theirs.data, data);
        prop_assert_eq!(theirs.pings.len(), 1);
        prop_assert_eq!(theirs.close, Some(Some(1001)));
    }
}
