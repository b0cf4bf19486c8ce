//! The client's side of a WebSocket for MQTT (RFC 6455; MQTT 5.0 §6): the upgrade request, masked
//! frames out, frames in. Bytes to bytes; no socket, no extensions, and no frame is ever collected.

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

/// The upgrade request, and the answer expected to it.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) request: Vec<u8>,
    accept: String,
}

impl Upgrade {
    /// Asks `host` for `path`.
    pub(crate) fn new(host: &str, path: &str, protocol: &str) -> Self {
        let key = generate_key();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        Self { request: request.into_bytes(), accept: derive_accept_key(key.as_bytes()) }
    }

    /// Reads the answer: its length once it is whole, `None` if more is needed.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            if bytes.len() > 16 << 10 {
                return Err("the answer to the WebSocket request has no end".to_owned());
            }
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("101") {
            return Err(format!("the server refused the WebSocket: {status}"));
        }
        let accepted = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
            name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value.trim() == self.accept
        });
        if !accepted {
            return Err("the server's Sec-WebSocket-Accept is wrong".to_owned());
        }
        Ok(Some(end + 4))
    }
}

const OP_BINARY: u8 = 2;
const OP_CLOSE: u8 = 8;
const OP_PING: u8 = 9;
const OP_PONG: u8 = 10;

/// Appends `payload` as one masked binary frame.
pub(crate) fn write_binary(payload: &[u8], mask: u32, out: &mut Vec<u8>) {
    write_frame(OP_BINARY, payload, mask, out);
}

/// Appends a masked close frame with status 1000.
pub(crate) fn write_close(mask: u32, out: &mut Vec<u8>) {
    write_frame(OP_CLOSE, &1000_u16.to_be_bytes(), mask, out);
}

fn write_frame(opcode: u8, payload: &[u8], mask: u32, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => out.push(0x80 | short),
        (_, Ok(middle)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    let key = mask.to_be_bytes();
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    let wide = u64::from(u32::from_ne_bytes(key));
    let wide = wide << 32 | wide;
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Takes frames of a server apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deframer {
    /// First bytes of a header that is not whole yet.
    header: Vec<u8>,
    /// Bytes left of the current frame's payload.
    left: u64,
    opcode: u8,
    /// Payload of a control frame.
    control: Vec<u8>,
}

impl Deframer {
    /// Appends what binary frames carry to `out`, and answers to `answers`. `Ok(false)` = the
    /// server closed.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> Result<bool, String> {
        loop {
            if self.left > 0 {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (payload, rest) = bytes.split_at(take);
                bytes = rest;
                self.left -= take as u64;
                if self.opcode >= OP_CLOSE {
                    self.control.extend_from_slice(payload);
                } else {
                    out.extend_from_slice(payload);
                }
                if self.left > 0 {
                    return Ok(true);
                }
            }
            if self.opcode >= OP_CLOSE && !self.end_control(answers) {
                return Ok(false);
            }
            if !self.take_header(&mut bytes)? {
                return Ok(true);
            }
        }
    }

    /// A control frame is whole; `false` if it was a close.
    fn end_control(&mut self, answers: &mut Vec<u8>) -> bool {
        let opcode = std::mem::take(&mut self.opcode);
        match opcode {
            OP_PING => write_frame(OP_PONG, &self.control, 0x5A3C_96E1, answers),
            OP_CLOSE => write_frame(OP_CLOSE, &self.control, 0x5A3C_96E1, answers),
            _ => {}
        }
        self.control.clear();
        opcode != OP_CLOSE
    }

    fn take_header(&mut self, bytes: &mut &[u8]) -> Result<bool, String> {
        loop {
            let need = match self.header.get(1).map(|length| length & 0x7F) {
                None => 2,
                Some(126) => 4,
                Some(127) => 10,
                Some(_) => 2,
            };
            if self.header.len() == need {
                break;
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(false) };
            self.header.push(byte);
            *bytes = rest;
        }
        let opcode = self.header[0] & 0x0F;
        self.left = match self.header.len() {
            2 => u64::from(self.header[1]),
            4 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            _ => self.header[2..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let fault = if self.header[1] & 0x80 != 0 {
            Some("a masked frame")
        } else if self.header[0] & 0x70 != 0 || !matches!(opcode, 0 | 2 | 8..=10) {
            Some("a frame that is neither binary nor control")
        } else if opcode >= OP_CLOSE && self.left > 125 {
            Some("a control frame that is too long")
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(format!("the server sent {fault} over the WebSocket"));
        }
        self.opcode = opcode;
        self.header.clear();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered_as_it_says() {
        let accept = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        let upgrade = Upgrade { request: Vec::new(), accept };
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\
                       sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        assert_eq!(upgrade.answer(answer), Ok(Some(answer.len() - 4)));
        assert_eq!(upgrade.answer(&answer[..40]), Ok(None));
        assert!(upgrade.answer(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(upgrade.answer(b"HTTP/1.1 101 OK\r\n\r\n").is_err());
    }

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let mut stream = vec![0x02, 1, b'a', 0x89, 1, b'p', 0x80, 126, 0, 200];
        stream.extend_from_slice(&[b'b'; 200]);
        let mut expected = vec![b'a'];
        expected.extend_from_slice(&[b'b'; 200]);
        for cut in 0..stream.len() {
            let (mut deframer, mut out, mut answers) = (Deframer::default(), vec![], vec![]);
            for part in [&stream[..cut], &stream[cut..]] {
                assert_eq!(deframer.feed(part, &mut out, &mut answers), Ok(true));
            }
            assert_eq!(out, expected, "cut at {cut}");
            assert_eq!(answers.len(), 7, "one pong");
        }
        let mut closed = Deframer::default();
        assert_eq!(closed.feed(&[0x88, 0], &mut vec![], &mut vec![]), Ok(false));
        assert!(Deframer::default().feed(&[0x81, 0], &mut vec![], &mut vec![]).is_err());
    }

    #[test]
    fn a_mask_covers_every_byte() {
        for length in [0, 1, 7, 8, 9, 125, 126, 70_000] {
            let payload: Vec<u8> =
                (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
            let mut frame = Vec::new();
            write_binary(&payload, 0x0102_0304, &mut frame);
            let body = &frame[frame.len() - length..];
            let plain: Vec<u8> = body
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect();
            assert_eq!(plain, payload);
        }
    }
}
