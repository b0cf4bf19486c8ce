//! One connection as the driver sees it: a socket, what it refused to take, and how its bytes are
//! framed. It holds no buffer while nothing is in transit, and knows no MQTT.

use super::greet::Entrance;
use super::io::Got;
use super::io::Io;
use super::listener::Admission;
use super::tls::Session;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::Peer;
use halyard_core::engine::TransportEnd;
use halyard_core::engine::Water;
use halyard_core::time::Instant;
use halyard_core::websocket;
use halyard_core::websocket::FrameDecoder;
use halyard_core::websocket::Opcode;
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// An instant that does not come.
pub(super) const NO_DEADLINE: Instant = Instant(u64::MAX);

/// A connection of a shard.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnectionId,
    pub(super) stage: Stage,
    /// Index of the listener in the configuration.
    pub(super) listener: u16,
    /// The engine wants no more bytes for now.
    pub(super) paused: bool,
    /// It waits for its share of the turns that handshakes get.
    pub(super) queued: bool,
    /// When the driver itself ends it, or [`NO_DEADLINE`]; the engine has its own clocks.
    pub(super) deadline: Instant,
    /// Its place among the open connections.
    admission: Admission,
    io: Io,
    waker: Waker,
    backlog: Option<Box<Backlog>>,
    /// The engine was told that the backlog is high.
    high: bool,
    /// The socket takes nothing any more.
    broken: bool,
    /// Nothing is written after the backlog.
    shut: bool,
}

/// What the bytes of a connection mean.
#[derive(Debug)]
pub(super) enum Stage {
    /// The header of the PROXY protocol.
    Proxy(Box<Entrance>),
    /// Nothing until the TLS handshake is over.
    Handshake(Box<Entrance>),
    /// An HTTP request.
    Http(Box<Entrance>),
    /// A request that was understood and is not answered yet.
    Asking,
    /// MQTT.
    Mqtt,
    /// MQTT in WebSocket frames.
    WebSocket(FrameDecoder),
    /// Nothing any more: what was written is to arrive, then the socket is closed.
    Draining,
}

/// What a socket has not taken yet.
#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    sent: usize,
    /// Goes after `bytes`, from `tail_sent` on.
    tail: Body,
    tail_sent: usize,
}

/// The body of a response, which is never copied.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Part of the program.
    Program(&'static [u8]),
    /// Of a file that was read.
    Shared(Arc<[u8]>),
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Program(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Program(&[])
    }
}

impl Conn {
    pub(super) const fn new(
        id: ConnectionId,
        io: Io,
        waker: Waker,
        stage: Stage,
        admission: Admission,
    ) -> Self {
        Self {
            id,
            stage,
            listener: admission.listener(),
            paused: false,
            queued: false,
            deadline: NO_DEADLINE,
            admission,
            io,
            waker,
            backlog: None,
            high: false,
            broken: false,
            shut: false,
        }
    }

    /// Reads what is there, at most `buffer`; `Ok(None)` if nothing is, and the waker is set.
    /// `scratch` is for bytes that are sealed.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        buffer: &mut [u8],
    ) -> Result<Option<Got>, TransportEnd> {
        loop {
            let mut cx = Context::from_waker(&self.waker);
            let poll = self.io.poll_read(&mut cx, scratch, buffer);
            if let Some(outgoing) = self.io.take_outgoing() {
                self.write_as_is(&[], outgoing);
            }
            return match poll {
                Poll::Pending if !self.broken => Ok(None),
                Poll::Pending => Err(TransportEnd::Broken),
                Poll::Ready(Ok(None)) if self.broken => Err(TransportEnd::Broken),
                Poll::Ready(Ok(None)) => Err(TransportEnd::Eof),
                Poll::Ready(Ok(Some(got))) => Ok(Some(got)),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Poll::Ready(Err(_)) => Err(TransportEnd::Broken),
            };
        }
    }

    /// Writes MQTT bytes, framed as the connection has it, and keeps what the socket refuses.
    /// Gives the buffer back if it is done with.
    pub(super) fn send(&mut self, body: Vec<u8>) -> Option<Vec<u8>> {
        match self.stage {
            Stage::Draining => Some(body),
            Stage::WebSocket(_) => {
                let (header, len) = websocket::header(body.len() as u64, Opcode::Binary);
                self.write(&header[..len], body)
            }
            _ => self.write(&[], body),
        }
    }

    /// Writes bytes that are no MQTT: control frames and HTTP.
    pub(super) fn send_raw(&mut self, bytes: Vec<u8>) {
        self.write(&[], bytes);
    }

    /// Writes a response whose body is there already: it is not copied.
    pub(super) fn send_body(&mut self, head: Vec<u8>, body: Body) {
        match self.io.seal(&head, body.bytes()) {
            None => {
                let backlog = Backlog { bytes: head, tail: body, ..Backlog::default() };
                self.backlog = Some(Box::new(backlog));
            }
            Some(Ok(bytes)) => {
                self.backlog = Some(Box::new(Backlog { bytes, ..Backlog::default() }));
            }
            Some(Err(_)) => return self.fail(),
        }
        self.flush();
    }

    fn write(&mut self, head: &[u8], body: Vec<u8>) -> Option<Vec<u8>> {
        if self.broken || self.shut {
            return Some(body);
        }
        match self.io.seal(head, &body) {
            None => return self.write_as_is(head, body),
            Some(Ok(sealed)) => _ = self.write_as_is(&[], sealed),
            Some(Err(_)) => self.fail(),
        }
        Some(body)
    }

    fn write_as_is(&mut self, head: &[u8], body: Vec<u8>) -> Option<Vec<u8>> {
        if self.broken || self.shut {
            return Some(body);
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.push(head, &body);
            return Some(body);
        }
        let mut cx = Context::from_waker(&self.waker);
        let taken = match self.io.poll_write(&mut cx, head, &body) {
            Poll::Ready(Ok(taken)) if taken == head.len() + body.len() => return Some(body),
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => 0,
            Poll::Ready(Err(_)) => {
                self.fail();
                return Some(body);
            }
            Poll::Pending => 0,
        };
        self.backlog = Some(Box::new(Backlog::of(head, body, taken)));
        self.flush();
        None
    }

    /// Writes what was refused before. If the socket refuses again, its waker is set.
    pub(super) fn flush(&mut self) {
        let Some(backlog) = &mut self.backlog else { return };
        let mut cx = Context::from_waker(&self.waker);
        while !backlog.is_empty() {
            match self.io.poll_write(&mut cx, &[], backlog.next()) {
                Poll::Ready(Ok(taken)) => backlog.advance(taken),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(_)) => return self.fail(),
                Poll::Pending => return,
            }
        }
        self.backlog = None;
    }

    /// Nothing can be written any more; the next read tells how it ended.
    fn fail(&mut self) {
        self.broken = true;
        self.backlog = None;
        self.requeue();
    }

    /// The mark that the backlog has crossed since it was last asked.
    pub(super) fn crossed(&mut self, high: u32, low: u32) -> Option<Water> {
        let held = self.backlog.as_ref().map_or(0, |backlog| backlog.len());
        if !self.high && held > high as usize {
            self.high = true;
            Some(Water::High)
        } else if self.high && held <= low as usize {
            self.high = false;
            Some(Water::Low)
        } else {
            None
        }
    }

    /// Whether a write failed; what can still be read comes first, then its end.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) const fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    pub(super) const fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining)
    }

    /// Says that nothing more will be written, once; `true` if it was said now.
    pub(super) fn shut_down_write(&mut self) -> bool {
        if self.shut || self.broken || self.backlog.is_some() {
            return false;
        }
        self.shut = true;
        self.io.shut_down_write(&mut Context::from_waker(&self.waker));
        true
    }

    /// From now on it speaks TLS; `early` was read already.
    pub(super) fn secure(
        &mut self,
        config: &Arc<rustls::ServerConfig>,
        early: &[u8],
    ) -> Result<(), String> {
        self.io.secure(Session::new(Arc::clone(config), early)?);
        self.requeue();
        Ok(())
    }

    /// The least room that a read needs.
    pub(super) const fn room(&self) -> usize {
        self.io.room()
    }

    /// Whether its header or its TLS handshake is under way.
    pub(super) const fn is_greeted(&self) -> bool {
        matches!(self.stage, Stage::Proxy(_) | Stage::Handshake(_))
    }

    /// A proxy has told where it comes from; the error names the option that it is denied by.
    pub(super) fn comes_from(&mut self, now: Instant, address: IpAddr) -> Result<(), &'static str> {
        self.admission.comes_from(now, address)
    }

    /// What it has not done yet, and where it comes from.
    pub(super) const fn waits_for(&self) -> Option<(&Peer, &'static str)> {
        match &self.stage {
            Stage::Proxy(entrance) => Some((&entrance.peer, "PROXY header")),
            Stage::Handshake(entrance) => Some((&entrance.peer, "TLS handshake")),
            Stage::Http(entrance) => Some((&entrance.peer, "HTTP request")),
            _ => None,
        }
    }

    /// Whether reading it may cost a handshake's arithmetic.
    pub(super) fn is_handshaking(&self) -> bool {
        self.io.is_handshaking()
    }

    /// Whether its TLS handshake is over and well.
    pub(super) fn is_secure(&self) -> bool {
        self.io.is_secure()
    }

    /// The certificate of the client.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.io.certificate()
    }

    /// Why its TLS session is over, once.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.io.take_failure()
    }

    /// A TLS session ends with a word of its own; the socket is closed at once.
    pub(super) fn say_goodbye(&mut self) {
        if self.is_secure() {
            self.shut_down_write();
        }
    }

    /// Puts it behind those that are ready already.
    pub(super) fn requeue(&self) {
        self.waker.wake_by_ref();
    }
}

impl Backlog {
    /// `head` and `body` without their first `taken` bytes.
    fn of(head: &[u8], body: Vec<u8>, taken: usize) -> Self {
        match taken.checked_sub(head.len()) {
            Some(sent) => Self { bytes: body, sent, ..Self::default() },
            None => {
                let mut bytes = Vec::with_capacity(head.len() - taken + body.len());
                bytes.extend_from_slice(&head[taken..]);
                bytes.extend_from_slice(&body);
                Self { bytes, ..Self::default() }
            }
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.tail.bytes().len() - self.tail_sent
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn next(&self) -> &[u8] {
        match self.bytes.get(self.sent..) {
            Some(bytes) if !bytes.is_empty() => bytes,
            _ => &self.tail.bytes()[self.tail_sent..],
        }
    }

    fn advance(&mut self, taken: usize) {
        if self.sent < self.bytes.len() {
            self.sent += taken;
        } else {
            self.tail_sent += taken;
        }
    }

    fn push(&mut self, head: &[u8], body: &[u8]) {
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_begins_where_the_socket_stopped() {
        for taken in 0..=5 {
            let backlog = Backlog::of(b"ab", b"cde".to_vec(), taken);
            assert_eq!(backlog.next(), &b"abcde"[taken..]);
            assert_eq!(backlog.len(), 5 - taken);
        }
    }

    #[test]
    fn a_backlog_keeps_order_and_forgets_what_was_sent() {
        let mut backlog = Backlog {
            bytes: b"12345678".to_vec(),
            tail: Body::Shared(Arc::from(&b"xy"[..])),
            ..Backlog::default()
        };
        backlog.advance(6);
        backlog.push(b"[", b"9");
        assert_eq!((backlog.next(), backlog.bytes.len()), (&b"78[9"[..], 4));
        backlog.advance(4);
        assert_eq!((backlog.next(), backlog.len()), (&b"xy"[..], 2));
        backlog.advance(2);
        assert!(backlog.is_empty());
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Conn>() <= 160, "{}", size_of::<Conn>());
    }
}
