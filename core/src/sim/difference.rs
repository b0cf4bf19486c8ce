//! The first thing in which two images differ, for people.

use crate::journal::ShardImage;
use core::fmt::Debug;
use std::collections::BTreeMap;

/// What the records say and what the engine holds, where they first differ.
pub(super) fn describe_difference<M: Debug + PartialEq>(
    written: &ShardImage<M>,
    held: &ShardImage<M>,
) -> String {
    first("session", &written.sessions, &held.sessions)
        .or_else(|| first("retained message", &written.retained, &held.retained))
        .or_else(|| first("tombstone", &written.tombstones, &held.tombstones))
        .or_else(|| first("outbox", &written.outbox, &held.outbox))
        .or_else(|| first("mark", &written.marks, &held.marks))
        .or_else(|| first("message", &written.messages, &held.messages))
        .unwrap_or_default()
}

fn first<K: Debug + Ord, V: Debug + PartialEq>(
    what: &str,
    written: &BTreeMap<K, V>,
    held: &BTreeMap<K, V>,
) -> Option<String> {
    let keys = written.keys().chain(held.keys());
    let key = keys.into_iter().find(|key| written.get(key) != held.get(key))?;
    Some(format!("{what} {key:?}: {:?}, not {:?}", written.get(key), held.get(key)))
}
