//! One TLS session over a socket, as bytes in and bytes out: what the socket brought is opened into
//! the shard's read buffer, what is to be sent is sealed in one go. It touches no socket, so the
//! socket may be moved to another thread under it; between records it holds no buffer, and nothing
//! that has come waits inside for a readiness that would never be reported.

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncodeTlsData;
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::UnbufferedStatus;
use std::fmt;
use std::sync::Arc;

/// Bytes that may wait for the rest of their record or handshake message. A record has at most 16 KiB
/// and a head; a client's certificates are to fit as well.
pub(super) const HELD_BYTES_MAX: usize = 36 * 1024;
/// Room that opening needs in the read buffer: what may be held, and something new.
pub(super) const OPEN_BYTES_MIN: usize = HELD_BYTES_MAX + 4 * 1024;
/// Plain bytes of one record.
const RECORD_BYTES: usize = 16 * 1024;
/// What a record adds to its plain bytes: head, nonce, type and tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;
/// States without progress after which a session counts as stuck.
const STATES_MAX: usize = 64;

/// The server's side of a TLS session.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    /// The beginning of a record or message whose rest has not come.
    held: Vec<u8>,
    /// `held` has not been looked at yet.
    fresh: bool,
    /// Sealed bytes that go out before anything else.
    outgoing: Vec<u8>,
    /// The client has said that it sends nothing more.
    closed: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, fresh, closed, .. } = self;
        write!(f, "Session {{ held: {}, fresh: {fresh}, closed: {closed} }}", held.len())
    }
}

impl Session {
    /// A session that begins with `early`, which was read from the socket already.
    pub(super) fn new(config: Arc<ServerConfig>, early: &[u8]) -> Result<Self, String> {
        let tls = UnbufferedServerConnection::new(config).map_err(|error| error.to_string())?;
        let (held, fresh) = (early.to_vec(), !early.is_empty());
        Ok(Self { tls, held, fresh, outgoing: Vec::new(), closed: false })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the client has ended the session.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes that are held and were not looked at: they are to be opened without waiting for more.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(super) const fn held(&self) -> usize {
        self.held.len()
    }

    /// The client's own certificate.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.peer_certificates().and_then(<[_]>::first)
    }

    /// What is to be sent now: parts of the handshake, alerts.
    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Opens what is held and the `new` bytes that lie in `scratch` behind the place for it; the
    /// plain bytes go to `plain`. The error says why the session is over.
    pub(super) fn open(
        &mut self,
        scratch: &mut [u8],
        new: usize,
        plain: &mut [u8],
    ) -> Result<usize, String> {
        let held = std::mem::take(&mut self.held);
        self.fresh = false;
        scratch[..held.len()].copy_from_slice(&held);
        let sealed = &mut scratch[..held.len() + new];
        let (consumed, len) = self.process(sealed, plain).inspect_err(|_| self.say_alert())?;
        let rest = &sealed[consumed..];
        if rest.len() > HELD_BYTES_MAX {
            return Err("a TLS message of the client is too long".into());
        }
        if !self.closed && !rest.is_empty() {
            self.held = rest.to_vec();
        }
        Ok(len)
    }

    /// Runs the session over `sealed`: how many bytes it has done with, and how many plain ones came.
    fn process(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<(usize, usize), String> {
        let (mut consumed, mut len) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut sealed[consumed..]);
            let mut done = false;
            match state.map_err(|error| explain(&error))? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| explain(&error))?;
                        discard += record.discard;
                        let end = len + record.payload.len();
                        let room = plain.get_mut(len..end).ok_or("a TLS record is too long")?;
                        room.copy_from_slice(record.payload);
                        len = end;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut self.outgoing)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.closed = true,
                ConnectionState::ReadEarlyData(_) => {
                    return Err("early data is not accepted".into());
                }
                _ => done = true,
            }
            consumed += discard;
            if done {
                return Ok((consumed, len));
            }
        }
    }

    /// What rustls has to say to the client about its fault.
    fn say_alert(&mut self) {
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut []);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = state {
            // An alert that cannot be written is one that nobody misses.
            let _ = encode(&mut data, &mut self.outgoing);
        }
    }

    /// Seals `head` and `body` behind what waits to be sent.
    pub(super) fn seal(&mut self, head: &[u8], body: &[u8]) -> Result<Vec<u8>, String> {
        if head.is_empty() {
            return self.seal_one(body);
        }
        // One record costs less than a copy of what is mostly small.
        let mut whole = Vec::with_capacity(head.len() + body.len());
        whole.extend_from_slice(head);
        whole.extend_from_slice(body);
        self.seal_one(&whole)
    }

    fn seal_one(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let records = plain.len().div_ceil(RECORD_BYTES).max(1);
        let size = plain.len() + records * RECORD_OVERHEAD;
        self.write(|traffic, out| {
            let start = out.len();
            out.resize(start + size, 0);
            let mut outcome = traffic.encrypt(plain, &mut out[start..]);
            if let Err(EncryptError::InsufficientSize(need)) = &outcome {
                // A new key goes out with it.
                out.resize(start + need.required_size + 1024, 0);
                outcome = traffic.encrypt(plain, &mut out[start..]);
            }
            let len = outcome.map_err(|error| error.to_string())?;
            out.truncate(start + len);
            Ok(())
        })
    }

    /// The client is told that nothing more will come.
    pub(super) fn seal_close(&mut self) -> Result<Vec<u8>, String> {
        self.write(|traffic, out| {
            let start = out.len();
            out.resize(start + 64, 0);
            let len = traffic.queue_close_notify(&mut out[start..]).map_err(|e| e.to_string())?;
            out.truncate(start + len);
            Ok(())
        })
    }

    /// Brings the session to where it may write, and lets `each` write once.
    fn write(
        &mut self,
        each: impl FnOnce(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut Vec<u8>,
        ) -> Result<(), String>,
    ) -> Result<Vec<u8>, String> {
        let mut out = std::mem::take(&mut self.outgoing);
        for _ in 0..STATES_MAX {
            // What is held was looked at: it is not whole, and gives nothing.
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.held);
            match state.map_err(|error| explain(&error))? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    each(&mut traffic, &mut out)?;
                    self.held.drain(..discard);
                    return Ok(out);
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.closed = true,
                _ => return Err("nothing may be written in this session".into()),
            }
            self.held.drain(..discard);
        }
        Err("the session is stuck".into())
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let mut outcome = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(need)) = &outcome {
        out.resize(start + need.required_size, 0);
        outcome = data.encode(&mut out[start..]);
    }
    let len = outcome.map_err(|error| error.to_string())?;
    out.truncate(start + len);
    Ok(())
}

/// What went wrong, and what it usually means.
fn explain(error: &rustls::Error) -> String {
    use rustls::Error;
    use rustls::InvalidMessage;
    let hint = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "; the client does not speak TLS on a port that does"
        }
        Error::NoCertificatesPresented => "; require_certificate is on",
        Error::PeerIncompatible(_) => "; client and listener have no version or cipher in common",
        _ => "",
    };
    format!("{error}{hint}")
}
