//! HTTP and WebSocket from the client's side, byte by byte, so that tests can do it wrong.

use crate::client::Stream;
use crate::wait::PATIENCE;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;

/// An HTTP response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// The body, as far as it came with the head or until the end of the connection.
    pub body: Vec<u8>,
}

/// Sends a request and reads the response to the end of the connection.
///
/// # Panics
/// If no response comes.
pub fn request(address: SocketAddr, text: &str) -> Response {
    let mut stream = Stream::tcp(address);
    stream.write_all(text.as_bytes()).expect("the connection is open");
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => parse(&bytes),
    }
}

/// The request of a WebSocket handshake for MQTT, with these header fields besides.
pub fn handshake(path: &str, host: SocketAddr, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

fn parse(bytes: &[u8]) -> Response {
    let end = head_end(bytes).unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP response: {head:?}"));
    Response { status, head, body: bytes[end..].to_vec() }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// A frame as a client sends it: `first` is the byte with FIN and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | u8::try_from(len).unwrap_or(0)),
        len @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap_or(0).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(len).unwrap_or(0).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A frame that the broker sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The byte with FIN and opcode.
    pub first: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A WebSocket after its handshake. As [`Read`] and [`Write`] it carries MQTT, one binary frame a
/// write.
#[derive(Debug)]
pub struct WebSocket {
    stream: Stream,
    /// Received and not yet taken apart.
    received: Vec<u8>,
    /// MQTT bytes not yet read.
    payload: Vec<u8>,
}

impl WebSocket {
    /// Connects and shakes hands at `/mqtt`.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_with(address, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n").expect("an upgrade")
    }

    /// Connects and shakes hands; a refusal is the error.
    ///
    /// # Errors
    /// The response, if it is not 101.
    ///
    /// # Panics
    /// If no response comes.
    pub fn open_with(address: SocketAddr, path: &str, more: &str) -> Result<Self, Response> {
        let mut stream = Stream::tcp(address);
        let request = handshake(path, address, more);
        stream.write_all(request.as_bytes()).expect("the connection is open");
        let mut received = Vec::new();
        while head_end(&received).is_none() {
            assert!(read_more(&mut stream, &mut received).expect("an answer"), "no answer");
        }
        let response = parse(&received);
        if response.status != 101 {
            return Err(response);
        }
        Ok(Self { stream, received: response.body, payload: Vec::new() })
    }

    /// Sends bytes that may or may not be frames.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// The next frame, or `None` at the end of the connection.
    ///
    /// # Panics
    /// If none comes in time, or a frame is masked.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, len)) = take_frame(&self.received) {
                self.received.drain(..len);
                return Some(frame);
            }
            match read_more(&mut self.stream, &mut self.received) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => panic!("no frame within {PATIENCE:?}: {error}"),
            }
        }
    }

    /// Waits for a Close frame and the end of the connection; gives the status code.
    ///
    /// # Panics
    /// If the connection ends without one.
    pub fn close_code(&mut self) -> Option<u16> {
        let close = std::iter::from_fn(|| self.next_frame()).find(|frame| frame.first == 0x88);
        let close = close.expect("a Close frame");
        assert_eq!(self.next_frame(), None, "something after Close");
        close.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
    }
}

/// `false` at the end of the connection.
fn read_more(stream: &mut Stream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(len) => {
            received.extend_from_slice(&buffer[..len]);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error),
    }
}

fn take_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert!(second & 0x80 == 0, "a server does not mask");
    let (len, start) = match second {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(start..start + len)?.to_vec();
    Some((Frame { first, payload }, start + len))
}

impl Read for WebSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.payload.is_empty() {
            match self.next_frame() {
                None => return Ok(0),
                Some(Frame { first: 0x82, payload }) => self.payload = payload,
                Some(_) => {}
            }
        }
        let len = buffer.len().min(self.payload.len());
        buffer[..len].copy_from_slice(&self.payload[..len]);
        self.payload.drain(..len);
        Ok(len)
    }
}

impl Write for WebSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&frame(0x82, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
