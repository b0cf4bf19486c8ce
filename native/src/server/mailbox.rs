//! What reaches a shard from outside its sockets: orders of the process, and the messages of the
//! other shards, in order. Never blocks and never waits.

use super::asks::Ask;
use super::asks::Told;
use super::takeover::Takeover;
use super::wake::Ready;
use crate::auth::Answer;
use halyard_core::engine::DiskState;
use halyard_core::engine::LinkMessage;
use halyard_core::engine::ShardId;
use halyard_core::journal::Lsn;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;

/// Lines of the log that are published in one turn at most: a flood is for files.
const LOG_LINES_MAX: usize = 1000;

/// Something for a shard.
#[derive(Debug)]
pub(super) enum Mail {
    /// A message of another shard.
    Link { from: ShardId, message: LinkMessage },
    /// A shard wants to know something.
    Ask { from: ShardId, request: u64, ask: Ask },
    /// The answer to such a question of ours.
    Told { from: ShardId, request: u64, told: Told },
    /// Our records up to this one are durable.
    Durable(Lsn),
    /// Whether the disk of the store has room.
    Disk(DiskState),
    /// A configuration was read anew.
    Reconfigure(Box<Takeover>),
    /// Lines of the log to publish, with the ends of their topics.
    Log(Vec<(&'static str, String)>),
    /// To be counted, if the shard turns.
    Pulse(Arc<AtomicUsize>),
    /// Who a client is, or is not.
    Authenticated(Answer),
    /// Close everything and end.
    Stop,
}

/// The mailbox of a shard.
pub(super) struct Mailbox {
    ready: Arc<Ready>,
    mail: Mutex<Vec<Mail>>,
}

impl Mailbox {
    pub(super) const fn new(ready: Arc<Ready>) -> Self {
        Self { ready, mail: Mutex::new(Vec::new()) }
    }

    pub(super) fn put(&self, mail: Mail) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        self.ready.wake();
    }

    /// Puts in lines of the log, as many as one turn takes; gives how many it does not.
    pub(super) fn put_log(&self, mut lines: Vec<(&'static str, String)>) -> u64 {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = mail.iter_mut().find_map(|mail| match mail {
            Mail::Log(waiting) => Some(waiting),
            _ => None,
        });
        let room = LOG_LINES_MAX - waiting.as_ref().map_or(0, |waiting| waiting.len());
        let lost = lines.len().saturating_sub(room) as u64;
        lines.truncate(room);
        match waiting {
            Some(waiting) => waiting.append(&mut lines),
            None => mail.push(Mail::Log(lines)),
        }
        drop(mail);
        self.ready.wake();
        lost
    }

    pub(super) fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
