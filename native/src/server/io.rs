//! A socket of any kind with what lies over it, polled by the shard; what reads and writes here never
//! learns which it is. The socket and the TLS session are two things: to move a connection to another
//! thread, the socket is taken off one runtime and put onto another under the untouched session.

use super::tls::HELD_BYTES_MAX;
use super::tls::OPEN_BYTES_MIN;
use super::tls::Session;
use rustls::pki_types::CertificateDer;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

/// Room for sealed bytes that a read of a TLS connection needs: what is held and as much again as
/// one connection gets of a turn.
pub(super) const SCRATCH_BYTES: usize = HELD_BYTES_MAX + 64 * 1024;

/// An open socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket and its TLS session, if it has one.
#[derive(Debug)]
pub(super) struct Io {
    socket: Socket,
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    session: Session,
    /// Why the session is over; what comes after that is thrown away.
    failure: Option<String>,
    /// The failure was told.
    told: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Got {
    /// Plain bytes.
    pub(super) len: usize,
    /// Bytes that came from the socket for them.
    pub(super) wire: usize,
}

impl Io {
    pub(super) const fn new(socket: Socket) -> Self {
        Self { socket, tls: None }
    }

    /// From now on it speaks TLS; `session` has what was read already.
    pub(super) fn secure(&mut self, session: Session) {
        self.tls = Some(Box::new(Tls { session, failure: None, told: false }));
    }

    /// The least room that a read needs.
    pub(super) const fn room(&self) -> usize {
        if self.tls.is_some() { OPEN_BYTES_MIN } else { 1 }
    }

    /// Whether its TLS handshake is under way.
    pub(super) fn is_handshaking(&self) -> bool {
        let session = self.tls.as_ref().filter(|tls| tls.failure.is_none());
        session.is_some_and(|tls| tls.session.is_handshaking())
    }

    /// Whether its TLS handshake is over and well.
    pub(super) fn is_secure(&self) -> bool {
        let session = self.tls.as_ref().filter(|tls| tls.failure.is_none());
        session.is_some_and(|tls| !tls.session.is_handshaking())
    }

    /// The certificate of the client.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.as_ref().and_then(|tls| tls.session.certificate())
    }

    /// Why the TLS session is over, once.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        let tls = self.tls.as_mut().filter(|tls| !tls.told)?;
        tls.told = tls.failure.is_some();
        tls.failure.clone()
    }

    /// Reads what is there, at most `buffer`; `None` is the peer's end. A short read clears the
    /// socket's readiness, so that the next call returns `Pending` without a system call.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        buffer: &mut [u8],
    ) -> Poll<io::Result<Option<Got>>> {
        let Some(tls) = &mut self.tls else {
            let poll = self.socket.poll_read(cx, buffer);
            return poll.map_ok(|len| (len > 0).then_some(Got { len, wire: len }));
        };
        if tls.failure.is_some() {
            let poll = self.socket.poll_read(cx, scratch);
            return poll.map_ok(|wire| (wire > 0).then_some(Got { len: 0, wire }));
        }
        if tls.session.is_closed() {
            return Poll::Ready(Ok(None));
        }
        let held = tls.session.held();
        let room = buffer.len().min(scratch.len()).saturating_sub(held);
        let wire = match self.socket.poll_read(cx, &mut scratch[held..held + room]) {
            Poll::Pending if tls.session.is_fresh() => 0,
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) if tls.session.is_handshaking() => {
                tls.failure = Some("it closed before the TLS handshake was over".into());
                return Poll::Ready(Ok(None));
            }
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
            Poll::Ready(Ok(wire)) => wire,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        };
        match tls.session.open(scratch, wire, buffer) {
            Ok(len) => Poll::Ready(Ok(Some(Got { len, wire }))),
            Err(failure) => {
                tls.failure = Some(failure);
                Poll::Ready(Ok(Some(Got { len: 0, wire })))
            }
        }
    }

    /// What the session itself has to send now: parts of the handshake, alerts.
    pub(super) fn take_outgoing(&mut self) -> Option<Vec<u8>> {
        let outgoing = self.tls.as_mut()?.session.take_outgoing();
        (!outgoing.is_empty()).then_some(outgoing)
    }

    /// `head` and `body` as the socket is to get them; `None` if as they are.
    pub(super) fn seal(&mut self, head: &[u8], body: &[u8]) -> Option<io::Result<Vec<u8>>> {
        let tls = self.tls.as_mut()?;
        if tls.failure.is_some() {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Some(tls.session.seal(head, body).map_err(io::Error::other))
    }

    /// Writes `head` and then `body`, sealed already, as far as the socket takes them.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, head, body)
    }

    /// Says that nothing more will be written.
    pub(super) fn shut_down_write(&mut self, cx: &mut Context<'_>) {
        if let Some(tls) = &mut self.tls
            && tls.failure.is_none()
            && !tls.session.is_handshaking()
            && let Ok(goodbye) = tls.session.seal_close()
        {
            // What does not fit now is no loss: MQTT has its own last word.
            let _ = self.socket.poll_write(cx, &[], &goodbye);
        }
        self.socket.shut_down_write(cx);
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let poll = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        poll.map_ok(|()| buffer.filled().len())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        if head.is_empty() {
            return match self {
                Self::Tcp(stream) => Pin::new(stream).poll_write(cx, body),
                Self::Unix(stream) => Pin::new(stream).poll_write(cx, body),
            };
        }
        let slices = [IoSlice::new(head), IoSlice::new(body)];
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, &slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, &slices),
        }
    }

    fn shut_down_write(&mut self, cx: &mut Context<'_>) {
        // The peer may be gone already; the next read tells.
        let _ = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        };
    }
}
