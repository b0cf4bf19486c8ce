//! The socket of `halyard pub|sub` with or without TLS over it, as one thing to read and write. The
//! handshake blocks; after it both do what the socket does.

use super::args::Args;
use super::transport::{PATIENCE, error_text};
use crate::tls;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};

/// A socket, perhaps with TLS.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    /// Shakes hands, if the arguments ask for TLS.
    pub(super) fn open(socket: Socket, args: &Args) -> Result<Self, String> {
        let Some(options) = args.tls() else { return Ok(Self { socket, tls: None }) };
        let config = tls::client(&options)?;
        let host = args.host.as_deref().filter(|_| args.unix.is_none()).unwrap_or("localhost");
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is no name that a certificate could have"))?;
        let failed = |cause: &dyn std::fmt::Display| format!("A TLS error occurred: {cause}.");
        let mut tls = ClientConnection::new(config, name).map_err(|error| failed(&error))?;
        let limited = socket.set_read_timeout(Some(PATIENCE));
        limited.map_err(|error| error_text(&error))?;
        let mut stream = &socket;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).map_err(|error| failed(&error))?;
        }
        Ok(Self { socket, tls: Some(Box::new(tls)) })
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether sealed bytes wait for the socket.
    pub(super) fn is_blocked(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Tells the server that nothing more will come.
    pub(super) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The server closes as well without it.
            _ = self.flush();
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A server that closes without a word has closed.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                outcome => return outcome,
            }
            tls.read_tls(&mut self.socket)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            while tls.wants_write() {
                if tls.write_tls(&mut self.socket).is_err() {
                    break;
                }
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        let taken = tls.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
