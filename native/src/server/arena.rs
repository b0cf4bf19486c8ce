//! The read buffer of a shard: all its connections read into it, one after the other, so that an
//! idle connection holds none. What was read is handled in the same turn.

use super::conn::Conn;
use super::io::Got;
use super::io::SCRATCH_BYTES;
use halyard_core::engine::ConnectionId;
use halyard_core::engine::TransportEnd;
use zeroize::Zeroize as _;

/// Bytes that one turn reads at most.
const ARENA_BYTES: usize = 256 * 1024;
/// Bytes that one connection gets of them: the others wait no longer than for that.
const CONNECTION_BYTES: usize = 64 * 1024;
/// With less room than this, reading waits for the next turn.
const READ_BYTES_MIN: usize = 4 * 1024;

/// What was read in this turn.
#[derive(Debug)]
pub(super) struct Arena {
    buffer: Box<[u8]>,
    /// Sealed bytes of the connection that is read.
    scratch: Box<[u8]>,
    used: usize,
    /// The most that was used since the last wipe.
    soiled: usize,
    pub(super) reads: Vec<Read>,
}

/// What came of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) conn: ConnectionId,
    start: usize,
    end: usize,
    /// The transport ended behind these bytes.
    pub(super) ended: Option<TransportEnd>,
}

impl Read {
    /// Bytes that came.
    pub(super) const fn len(self) -> usize {
        self.end - self.start
    }
}

impl Arena {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; ARENA_BYTES].into(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            used: 0,
            soiled: 0,
            reads: Vec::new(),
        }
    }

    /// Nothing that was read and handled can be found here any more.
    pub(super) fn wipe(&mut self) {
        let handled = self.used..self.soiled.max(self.used);
        self.buffer[handled].zeroize();
        // TLS opens its records where they lie.
        self.scratch.zeroize();
        self.soiled = self.used;
    }

    /// Everything was handled.
    pub(super) fn clear(&mut self) {
        self.soiled = self.soiled.max(self.used);
        self.used = 0;
        self.reads.clear();
    }

    /// The bytes of a read, to be changed in place.
    pub(super) fn bytes(&mut self, read: Read) -> &mut [u8] {
        &mut self.buffer[read.start..read.end]
    }

    /// Writes what `conn` still has to write and reads what is there for it; `false` if there is
    /// no more room in this turn.
    pub(super) fn read(&mut self, conn: &mut Conn) -> bool {
        let mut budget = CONNECTION_BYTES.min(self.buffer.len() - self.used);
        if budget < READ_BYTES_MIN.max(conn.room()) {
            return false;
        }
        conn.flush();
        let start = self.used;
        let mut ended = None;
        while !conn.paused || conn.is_broken() {
            if budget < conn.room() {
                conn.requeue();
                break;
            }
            let buffer = &mut self.buffer[self.used..self.used + budget];
            match conn.read(&mut self.scratch, buffer) {
                Ok(Some(Got { len, wire })) => {
                    budget = budget.saturating_sub(len.max(wire));
                    // What nobody listens to any more leaves the room to the others.
                    self.used += if conn.is_draining() { 0 } else { len };
                }
                Ok(None) => break,
                Err(end) => {
                    ended = Some(end);
                    break;
                }
            }
        }
        self.reads.push(Read { conn: conn.id, start, end: self.used, ended });
        true
    }
}
