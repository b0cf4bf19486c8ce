//! The configuration of one engine: what the broker and its listeners allow, and which of the
//! shards this is.

use super::ShardId;
use crate::conf::{BrokerConfig, ListenerConfig};
use std::sync::Arc;

/// The index of no listener: that of a Session whose listener is in the configuration no more.
pub(crate) const NO_LISTENER: u16 = u16::MAX;

/// The configuration of one engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What holds for all listeners.
    pub broker: BrokerConfig,
    /// The listeners; connections name theirs by index.
    pub listeners: Vec<ListenerConfig>,
    /// This shard.
    pub shard: ShardId,
    /// How many shards there are, at least 1.
    pub shards: u16,
}

impl Config {
    /// The index of the listener of this name: `at`, if that is it. [`NO_LISTENER`] if there is none.
    pub(crate) fn listener_named(&self, name: &str, at: u16) -> u16 {
        if self.listeners.get(usize::from(at)).is_some_and(|one| *one.name == *name) {
            return at;
        }
        let mut listeners = self.listeners.iter().zip(0..NO_LISTENER);
        listeners.find(|(one, _)| *one.name == *name).map_or(NO_LISTENER, |(_, at)| at)
    }

    /// The name of a listener.
    pub(crate) fn listener_name(&self, at: u16) -> Option<&Arc<str>> {
        self.listeners.get(usize::from(at)).map(|listener| &listener.name)
    }

    /// A single engine.
    pub const fn single(broker: BrokerConfig, listeners: Vec<ListenerConfig>) -> Self {
        Self { broker, listeners, shard: ShardId(0), shards: 1 }
    }

    /// Whether the Session of `client_id` belongs to this shard.
    pub fn owns(&self, client_id: &str) -> bool {
        shard_of(client_id, self.shards) == self.shard
    }
}

/// The shard that owns the Session of `client_id`: FNV-1a, the same on every machine.
pub fn shard_of(client_id: &str, shards: u16) -> ShardId {
    let hash = client_id.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mixed = crate::rng::Rng::new(hash).next_u64();
    ShardId(u16::try_from(mixed % u64::from(shards.max(1))).unwrap_or(0))
}
