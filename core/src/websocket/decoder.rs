//! Incremental reading of a client's frames (RFC 6455 §5.2 to §5.5): the same events and the same
//! refusal for every slicing of the stream, and never more held than a header and a control payload.

use super::mask::unmask;
use super::{CONTROL_LEN_MAX, ControlPayload, Event, WsError};

/// Two bytes, a 64-bit length, a masking key.
const HEADER_LEN_MAX: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Bits of `FrameDecoder::state`.
const IN_PAYLOAD: u8 = 1;
const IN_MESSAGE: u8 = 2;
const CLOSED: u8 = 4;

/// Turns a client's bytes into MQTT bytes and control events. It is 32 bytes large, and holds heap
/// memory only while a control frame is cut in two.
#[derive(Clone, Debug, Default)]
pub struct FrameDecoder {
    /// The header so far; its last four bytes are the key, turned to the next payload byte.
    header: [u8; HEADER_LEN_MAX],
    header_len: u8,
    state: u8,
    /// Payload bytes of the frame still to come.
    remaining: u64,
    control: Option<Box<ControlPayload>>,
}

impl FrameDecoder {
    /// A decoder for the first byte after the handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds `input`, which is unmasked in place; returns how many of its bytes were consumed and
    /// the first event among them. Call again with the rest until [`Event::NeedMore`]. `max_frame`
    /// limits the payload of one frame. After an error the stream is lost: close the connection.
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        max_frame: u32,
    ) -> Result<(usize, Event<'a>), WsError> {
        if self.state & CLOSED != 0 {
            return Ok((input.len(), Event::NeedMore));
        }
        let mut consumed = 0;
        loop {
            if self.state & IN_PAYLOAD == 0 {
                consumed += self.read_header(&input[consumed..], max_frame)?;
                if self.state & IN_PAYLOAD == 0 {
                    return Ok((consumed, Event::NeedMore));
                }
            }
            let available = input.len() - consumed;
            let len = usize::try_from(self.remaining).map_or(available, |left| left.min(available));
            if self.is_control() {
                let end = consumed + len;
                self.unmask(&mut input[consumed..end]);
                match self.control(&input[consumed..end])? {
                    Event::NeedMore => return Ok((end, Event::NeedMore)),
                    event => return Ok((end, event)),
                }
            }
            if len > 0 {
                let end = consumed + len;
                let payload = &mut input[consumed..end];
                self.unmask(payload);
                self.end_frame_if_complete();
                return Ok((end, Event::Data(payload)));
            }
            if self.remaining > 0 {
                return Ok((consumed, Event::NeedMore));
            }
            self.end_frame_if_complete();
        }
    }

    /// Takes header bytes from `input`; begins the payload once the header is whole.
    fn read_header(&mut self, input: &[u8], max_frame: u32) -> Result<usize, WsError> {
        let mut taken = 0;
        loop {
            let have = usize::from(self.header_len);
            let need = if have < 2 { have + 1 } else { header_len(self.header[1]) };
            if have == need {
                self.begin_payload(max_frame)?;
                return Ok(taken);
            }
            let bytes = &input[taken..];
            let len = bytes.len().min(need - have);
            if len == 0 {
                return Ok(taken);
            }
            self.header[have..have + len].copy_from_slice(&bytes[..len]);
            self.header_len += len as u8;
            taken += len;
            match have {
                0 => self.judge_first_byte()?,
                1 => self.judge_second_byte()?,
                _ => {}
            }
        }
    }

    fn judge_first_byte(&self) -> Result<(), WsError> {
        let first = self.header[0];
        let in_message = self.state & IN_MESSAGE != 0;
        if first & 0x70 != 0 {
            return Err(WsError::ReservedBits);
        }
        match self.opcode() {
            CONTINUATION if !in_message => Err(WsError::UnexpectedContinuation),
            TEXT => Err(WsError::TextFrame),
            BINARY if in_message => Err(WsError::UnfinishedMessage),
            CLOSE | PING | PONG if first & 0x80 == 0 => Err(WsError::FragmentedControl),
            CONTINUATION | BINARY | CLOSE | PING | PONG => Ok(()),
            opcode => Err(WsError::ReservedOpcode(opcode)),
        }
    }

    fn judge_second_byte(&self) -> Result<(), WsError> {
        let second = self.header[1];
        if second & 0x80 == 0 {
            return Err(WsError::Unmasked);
        }
        if self.is_control() && usize::from(second & 0x7F) > CONTROL_LEN_MAX {
            return Err(WsError::ControlTooLong);
        }
        Ok(())
    }

    fn begin_payload(&mut self, max_frame: u32) -> Result<(), WsError> {
        let h = &self.header;
        let len = match h[1] & 0x7F {
            126 => u64::from(u16::from_be_bytes([h[2], h[3]])),
            127 => u64::from_be_bytes([h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9]]),
            short => u64::from(short),
        };
        if len >> 63 != 0 {
            return Err(WsError::LengthTooLong);
        }
        if len > u64::from(max_frame) && !self.is_control() {
            return Err(WsError::FrameTooLarge { len, limit: max_frame });
        }
        self.remaining = len;
        self.state |= IN_PAYLOAD;
        Ok(())
    }

    /// Unmasks bytes of the payload and counts them.
    fn unmask(&mut self, payload: &mut [u8]) {
        let start = usize::from(self.header_len) - 4;
        if let Some(key) = self.header[start..].first_chunk_mut::<4>() {
            unmask(payload, key);
        }
        self.remaining -= payload.len() as u64;
    }

    fn end_frame_if_complete(&mut self) {
        if self.remaining > 0 {
            return;
        }
        if !self.is_control() {
            let fin = self.header[0] & 0x80 != 0;
            self.state = if fin { self.state & !IN_MESSAGE } else { self.state | IN_MESSAGE };
        }
        self.state &= !IN_PAYLOAD;
        self.header_len = 0;
    }

    /// Takes unmasked bytes of a control frame; gives its event once it is whole.
    fn control(&mut self, bytes: &[u8]) -> Result<Event<'static>, WsError> {
        if self.remaining > 0 {
            if !bytes.is_empty() {
                self.control.get_or_insert_with(|| Box::new(ControlPayload::EMPTY)).push(bytes);
            }
            return Ok(Event::NeedMore);
        }
        let mut payload = self.control.take().map_or(ControlPayload::EMPTY, |held| *held);
        payload.push(bytes);
        let opcode = self.opcode();
        self.end_frame_if_complete();
        match opcode {
            PING => Ok(Event::Ping(payload)),
            PONG => Ok(Event::Pong),
            _ => {
                let code = close_code(payload.as_slice())?;
                self.state |= CLOSED;
                Ok(Event::Close { code })
            }
        }
    }

    const fn opcode(&self) -> u8 {
        self.header[0] & 0x0F
    }

    const fn is_control(&self) -> bool {
        self.header[0] & 0x08 != 0
    }
}

/// The length of a whole header by its second byte.
const fn header_len(second: u8) -> usize {
    match second & 0x7F {
        126 => 8,
        127 => 14,
        _ => 6,
    }
}

/// The status code in the payload of a Close (§5.5.1, §7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, WsError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(WsError::CloseLength) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(WsError::CloseCode(code));
    }
    match core::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(WsError::CloseReason),
    }
}
