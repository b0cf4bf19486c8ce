//! One network connection, beside the Broker: its decoder, aliases, clocks and output. Never sees
//! another connection, and decides nothing about sessions.

mod alias;
mod output;
mod pending;
mod throttle;

pub(crate) use alias::{AliasError, IncomingAliases, OutgoingAliases};
pub(crate) use output::{Frames, Output};
pub(crate) use pending::Pending;
pub(crate) use throttle::{Rates, Throttle};

use crate::auth::Grant;
use crate::codec::{Decoder, Role, mask_connect};
use crate::engine::{ConnectionId, Peer};
use crate::packet::Version;
use crate::session::SessionKey;
use crate::state::{RestoreError, Sink, Source, State};
use crate::time::Instant;
use std::sync::Arc;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing but CONNECT may come.
    AwaitConnect,
    /// CONNECT came, and who it is is being found out.
    Authenticating,
    /// CONNECT was accepted.
    Connected(SessionKey),
}

/// What a client sent that cannot be answered while the disk is full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread {
    /// Since when it waits.
    pub(crate) since: Instant,
    /// A PUBLISH, and what has come behind it.
    pub(crate) bytes: Vec<u8>,
}

impl State for Unread {
    fn save(&self, to: &mut dyn Sink) {
        self.since.save(to);
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).save(to);
        to.payload(&self.bytes);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let since = State::load(from)?;
        let len = from.len("unread bytes")?;
        Ok(Self { since, bytes: from.take(len, "unread bytes")?.to_vec() })
    }
}

/// A network connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Arc<Peer>,
    pub(crate) listener: u16,
    /// Who the transport proved it to be.
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) phase: Phase,
    /// Client Identifier, once CONNECT was accepted.
    pub(crate) client_id: Option<Arc<str>>,
    pub(crate) version: Version,
    /// Maximum Packet Size of the client; `u32::MAX` = no limit.
    pub(crate) maximum_packet_size: u32,
    /// Request Problem Information of a CONNECT that was read.
    pub(crate) wants_reasons: bool,
    pub(crate) decoder: Decoder,
    pub(crate) aliases_in: IncomingAliases,
    pub(crate) aliases_out: OutgoingAliases,
    pub(crate) output: Output,
    /// When the last whole packet came [MQTT-3.1.2-22].
    pub(crate) last_packet: Instant,
    /// Since when an unfinished packet has been waiting.
    pub(crate) partial_since: Option<Instant>,
    /// Effective Keep Alive, seconds; 0 = off.
    pub(crate) keep_alive: u16,
    /// When its timer is due.
    pub(crate) timer: Option<Instant>,
    /// Since when its backlog is above the high mark, and so it is not read.
    pub(crate) blocked_since: Option<Instant>,
    /// What it is not read for while the disk of the store is full.
    pub(crate) unread: Option<Box<Unread>>,
    /// Since when it is not read because a link lacks credit.
    pub(crate) held_since: Option<Instant>,
    /// Its rates; only kept where there are limits.
    pub(crate) throttle: Option<Box<Throttle>>,
    /// An authentication that is under way.
    pub(crate) pending: Option<Box<Pending>>,
    /// Questions about it that the driver was asked.
    pub(crate) questions: u32,
    /// The Authentication Method of CONNECT.
    pub(crate) method: Option<Box<str>>,
    /// Who it is, once CONNECT was accepted.
    pub(crate) grant: Option<Arc<Grant>>,
    /// When the proof of that ends, and the connection with it.
    pub(crate) proof_ends: Option<Instant>,
}

impl Connection {
    /// A connection that was accepted at `accepted`.
    pub(crate) fn new(
        id: ConnectionId,
        peer: Peer,
        listener: u16,
        identity: Option<Arc<str>>,
        accepted: Instant,
    ) -> Self {
        Self {
            id,
            peer: Arc::new(peer),
            listener,
            identity,
            phase: Phase::AwaitConnect,
            client_id: None,
            version: Version::V4,
            maximum_packet_size: u32::MAX,
            wants_reasons: false,
            decoder: Decoder::new(Role::Server),
            aliases_in: IncomingAliases::default(),
            aliases_out: OutgoingAliases::default(),
            output: Output::default(),
            last_packet: accepted,
            partial_since: None,
            keep_alive: 0,
            timer: None,
            blocked_since: None,
            unread: None,
            held_since: None,
            throttle: None,
            pending: None,
            questions: 0,
            method: None,
            grant: None,
            proof_ends: None,
        }
    }

    pub(crate) const fn session(&self) -> Option<SessionKey> {
        match self.phase {
            Phase::AwaitConnect | Phase::Authenticating => None,
            Phase::Connected(key) => Some(key),
        }
    }

    /// Whether CONNECT was accepted.
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// Whether it waits for the driver to say who it is, and so goes no further.
    pub(crate) fn awaits_verdict(&self) -> bool {
        self.phase == Phase::Authenticating
            && self.pending.as_ref().is_some_and(|pending| pending.awaits_verdict)
    }

    /// Whether the driver was asked not to read.
    pub(crate) fn is_paused(&self) -> bool {
        self.blocked_since.is_some()
            || self.held_since.is_some()
            || self.unread.is_some()
            || self.throttled().is_some()
            || self.awaits_verdict()
    }

    /// What we did not read since `since` does not count against the client; the one deadline of
    /// CONNECT stays.
    pub(crate) fn forgive(&mut self, now: Instant, since: Instant) {
        if !self.is_connected() {
            return;
        }
        let pause = now.since(since);
        self.last_packet = (self.last_packet + pause).min(now);
        self.partial_since = self.partial_since.map(|at| (at + pause).min(now));
    }

    /// Since when it is not read because it sent too fast, and until when.
    pub(crate) const fn throttled(&self) -> Option<(Instant, Instant)> {
        match &self.throttle {
            Some(throttle) => throttle.paused,
            None => None,
        }
    }

    /// When the Keep Alive runs out: one and a half times after the last packet.
    pub(crate) fn keep_alive_end(&self) -> Option<Instant> {
        let millis = u64::from(self.keep_alive) * 1500;
        (self.keep_alive > 0).then(|| self.last_packet.plus_millis(millis))
    }

    pub(crate) fn footprint(&self) -> u64 {
        192 + self.identity.as_ref().map_or(0, |name| name.len() as u64)
            + self.decoder.buffered().len() as u64
            + self.output.len()
            + self.aliases_in.footprint()
            + self.aliases_out.footprint()
            + self.unread.as_ref().map_or(0, |unread| unread.bytes.len() as u64)
            + self.pending.as_ref().map_or(0, |pending| pending.footprint())
            + self.method.as_ref().map_or(0, |name| name.len() as u64)
    }
}

impl State for Connection {
    fn save(&self, to: &mut dyn Sink) {
        self.id.0.save(to);
        self.peer.save(to);
        self.listener.save(to);
        self.identity.save(to);
        self.session().save(to);
        self.client_id.save(to);
        self.version.save(to);
        self.maximum_packet_size.save(to);
        self.wants_reasons.save(to);
        self.decoder.save(to);
        self.aliases_in.save(to);
        self.aliases_out.save(to);
        self.output.save(to);
        self.last_packet.save(to);
        self.partial_since.save(to);
        self.keep_alive.save(to);
        self.timer.save(to);
        self.blocked_since.save(to);
        self.unread.save(to);
        self.held_since.save(to);
        self.throttle.save(to);
        self.pending.save(to);
        self.questions.save(to);
        self.method.save(to);
        self.grant.as_deref().cloned().save(to);
        self.proof_ends.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let id = ConnectionId(u64::load(from)?);
        let peer = Arc::new(Peer::load(from)?);
        let listener = State::load(from)?;
        let identity = State::load(from)?;
        let session: Option<SessionKey> = State::load(from)?;
        let mut connection = Self {
            id,
            peer,
            listener,
            identity,
            phase: session.map_or(Phase::AwaitConnect, Phase::Connected),
            client_id: State::load(from)?,
            version: State::load(from)?,
            maximum_packet_size: State::load(from)?,
            wants_reasons: State::load(from)?,
            decoder: State::load(from)?,
            aliases_in: State::load(from)?,
            aliases_out: State::load(from)?,
            output: State::load(from)?,
            last_packet: State::load(from)?,
            partial_since: State::load(from)?,
            keep_alive: State::load(from)?,
            timer: State::load(from)?,
            blocked_since: State::load(from)?,
            unread: State::load(from)?,
            held_since: State::load(from)?,
            throttle: State::load(from)?,
            pending: State::load(from)?,
            questions: State::load(from)?,
            method: State::load(from)?,
            grant: Option::<Grant>::load(from)?.map(Arc::new),
            proof_ends: State::load(from)?,
        };
        if session.is_none() && connection.pending.is_some() {
            connection.phase = Phase::Authenticating;
        }
        Ok(connection)
    }
}

impl State for Decoder {
    fn save(&self, to: &mut dyn Sink) {
        self.version().save(to);
        let buffered = self.buffered();
        u32::try_from(buffered.len()).unwrap_or(u32::MAX).save(to);
        if self.version().is_some() {
            to.payload(buffered);
        } else {
            let mut masked = buffered.to_vec();
            mask_connect(&mut masked);
            to.payload(&masked);
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let version = State::load(from)?;
        let len = from.len("undecoded bytes")?;
        let partial = from.take(len, "undecoded bytes")?.to_vec();
        Ok(Self::from_parts(Role::Server, version, partial))
    }
}

impl State for Peer {
    fn save(&self, to: &mut dyn Sink) {
        match self {
            Self::Ip { address: core::net::IpAddr::V4(address), port } => {
                4u8.save(to);
                to.bytes(&address.octets());
                port.save(to);
            }
            Self::Ip { address: core::net::IpAddr::V6(address), port } => {
                6u8.save(to);
                to.bytes(&address.octets());
                port.save(to);
            }
            Self::Unix => 1u8.save(to),
            Self::Local => 0u8.save(to),
        }
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let kind = u8::load(from)?;
        let address: core::net::IpAddr = match kind {
            0 => return Ok(Self::Local),
            1 => return Ok(Self::Unix),
            4 => {
                let octets = from.take(4, "address")?;
                <[u8; 4]>::try_from(octets).map_err(|_| from.error("address"))?.into()
            }
            6 => {
                let octets = from.take(16, "address")?;
                <[u8; 16]>::try_from(octets).map_err(|_| from.error("address"))?.into()
            }
            _ => return Err(from.error("peer")),
        };
        Ok(Self::Ip { address, port: State::load(from)? })
    }
}
