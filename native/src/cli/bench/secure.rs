//! TLS under the load: what the flags ask for, made once, and one connection's share of it. Every
//! connection shakes hands in full, as clients that have never met the broker do. Knows no MQTT.

use super::options::Options;
use crate::tls::{self, ClientOptions};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::sync::Arc;

/// Plaintext taken out at once.
const CHUNK: usize = 16 << 10;

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Secure {
    /// What the options ask for, if they ask for TLS.
    pub(super) fn of(options: &Options) -> std::result::Result<Option<Self>, String> {
        if options.tls == ClientOptions::default() {
            return Ok(None);
        }
        let mut config = Arc::unwrap_or_clone(tls::client(&options.tls)?);
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(options.host.clone())
            .map_err(|_| format!("{:?} is no name that a certificate could have", options.host))?;
        Ok(Some(Self { config: Arc::new(config), name }))
    }

    /// The state of a new connection.
    pub(super) fn session(&self) -> std::result::Result<Session, String> {
        let mut tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| format!("cannot begin TLS: {error}"))?;
        // The window of the scenario is the limit.
        tls.set_buffer_limit(None);
        Ok(Session(Box::new(tls)))
    }
}

/// One connection's TLS.
#[derive(Debug)]
pub(super) struct Session(Box<ClientConnection>);

impl Session {
    /// Appends to `plain` what these bytes from the socket hold; `false` if the broker has ended TLS.
    /// What TLS itself has to answer is written at once, or waits for [`Self::flush`].
    pub(super) fn open(
        &mut self,
        mut sealed: &[u8],
        socket: &mut impl Write,
        plain: &mut Vec<u8>,
    ) -> Result<bool> {
        let mut is_open = true;
        while !sealed.is_empty() {
            if self.0.read_tls(&mut sealed)? == 0 {
                break;
            }
            let state = self.0.process_new_packets().map_err(Error::other)?;
            is_open &= !state.peer_has_closed();
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let start = plain.len();
                plain.resize(start + left.min(CHUNK), 0);
                let count = self.0.reader().read(&mut plain[start..])?;
                plain.truncate(start + count);
                left -= count;
            }
        }
        self.flush(socket)?;
        Ok(is_open)
    }

    /// Seals bytes; they wait for [`Self::flush`].
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<()> {
        self.0.writer().write_all(plain)
    }

    /// Whether sealed bytes wait for the socket, or plain ones for the end of the handshake.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.wants_write()
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
