//! What reaches a shard from outside its sockets: orders of the process, and the messages of the
//! other shards, in order. Never blocks and never waits.

use super::asks::Ask;
use super::asks::Told;
use super::wake::Ready;
use crate::settings::Settings;
use halyard_core::engine::LinkMessage;
use halyard_core::engine::ShardId;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Something for a shard.
#[derive(Debug)]
pub(super) enum Mail {
    /// A message of another shard.
    Link { from: ShardId, message: LinkMessage },
    /// A shard wants to know something.
    Ask { from: ShardId, request: u64, ask: Ask },
    /// The answer to such a question of ours.
    Told { from: ShardId, request: u64, told: Told },
    /// A configuration was read anew.
    Reconfigure(Arc<Settings>),
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

    pub(super) fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
