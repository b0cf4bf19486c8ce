//! A socket of any kind, polled by the shard. TLS becomes one more variant; what reads and writes
//! here never learns which it is.

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

/// An open socket.
#[derive(Debug)]
pub(super) enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Io {
    /// Reads what is there, at most `buffer`. `Ok(0)` is the peer's end. A short read clears the
    /// socket's readiness, so that the next call returns `Pending` without a system call.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let poll = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        poll.map_ok(|()| buffer.filled().len())
    }

    /// Writes `head` and then `body`, as far as the socket takes them.
    pub(super) fn poll_write(
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

    /// Says that nothing more will be written.
    pub(super) fn shut_down_write(&mut self, cx: &mut Context<'_>) {
        // The peer may be gone already; the next read tells.
        let _ = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        };
    }
}
