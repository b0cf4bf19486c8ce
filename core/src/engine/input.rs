//! What a driver tells the engine: one closed enum, which is also the alphabet of recordings, of
//! the fuzzer and of the simulator. Never holds a handle of the operating system.

use super::LinkMessage;
use crate::auth::Verdict;
use crate::journal::Lsn;
use crate::time::Instant;
use crate::time::WallClock;
use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

/// One network connection, numbered by the driver; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One shard of a broker: an engine of its own, joined to the others by links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// Where a connection comes from, for logs, limits and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An internet address.
    Ip {
        /// Address of the client.
        address: IpAddr,
        /// Port of the client.
        port: u16,
    },
    /// A Unix socket.
    Unix,
    /// Inside this process or page.
    Local,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { address: IpAddr::V4(address), port } => write!(f, "{address}:{port}"),
            Self::Ip { address: IpAddr::V6(address), port } => write!(f, "[{address}]:{port}"),
            Self::Unix => f.write_str("unix socket"),
            Self::Local => f.write_str("local"),
        }
    }
}

/// One thing that happened outside the engine.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A turn begins: every output buffer has been taken whole, byte budgets start anew, timers
    /// that are due fire. Wall-clock time is for `$SYS` and expiry alone.
    Turn {
        /// The wall clock.
        wall: WallClock,
    },
    /// A connection was accepted on the listener with this index in the configuration.
    Opened {
        /// The new connection.
        conn: ConnectionId,
        /// Its other end.
        peer: Peer,
        /// Index of the listener in the configuration.
        listener: u16,
        /// Who the transport proved it to be, by its certificate: then this is the User Name,
        /// whatever CONNECT says, and no password is asked for. Empty if it was to prove that and did
        /// not: then CONNECT is refused.
        identity: Option<Arc<str>>,
        /// When the transport was accepted: the time until CONNECT runs from there, whatever a
        /// proxy's header, TLS and a WebSocket took of it.
        accepted: Instant,
    },
    /// Bytes of the MQTT stream arrived, cut anywhere.
    Bytes {
        /// The connection.
        conn: ConnectionId,
        /// What arrived.
        chunk: &'a [u8],
    },
    /// The transport is gone. Not sent after an `Effect::Close` for the same connection.
    Closed {
        /// The connection.
        conn: ConnectionId,
        /// How it ended.
        cause: TransportEnd,
    },
    /// The bytes that the driver holds for a connection, because its socket takes no more, crossed
    /// a mark. The marks are those of the configuration.
    Water {
        /// The connection.
        conn: ConnectionId,
        /// The mark that was crossed.
        level: Water,
    },
    /// All batches of this engine up to this one are durable.
    Durable {
        /// The number of the batch.
        lsn: Lsn,
    },
    /// What the transport proved the client to be by was taken back: it is disconnected.
    Revoked {
        /// The connection.
        conn: ConnectionId,
    },
    /// The answer to an `Effect::Authenticate`.
    Authenticated {
        /// The connection.
        conn: ConnectionId,
        /// The number of the question.
        request: u32,
        /// The answer.
        verdict: Verdict,
    },
    /// The disk of the store is full, or has room again.
    Disk(DiskState),
    /// A message from another shard.
    Link {
        /// The shard that sent it.
        peer: ShardId,
        /// The message.
        message: LinkMessage,
    },
    /// A command of whoever runs the broker.
    Admin {
        /// Comes back in the answer.
        request: u64,
        /// What to do.
        command: super::AdminCommand,
    },
    /// From now on this configuration holds.
    Reconfigured(Arc<super::Config>),
}

impl Input<'_> {
    /// A connection that says nothing of itself, accepted at `now`.
    pub const fn opened(conn: ConnectionId, peer: Peer, listener: u16, now: Instant) -> Self {
        Self::Opened { conn, peer, listener, identity: None, accepted: now }
    }
}

/// Whether the disk of the store has room for something new. There is a reserve for what is in
/// flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskState {
    /// It has none.
    Full,
    /// It has some (again).
    Room,
}

/// How a transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportEnd {
    /// The peer closed its side.
    Eof,
    /// The connection broke (reset, unreachable, WebSocket violation).
    Broken,
}

/// A mark of the driver's send backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Water {
    /// Above the high mark: send nothing but what cannot wait.
    High,
    /// Back below the low mark.
    Low,
}
