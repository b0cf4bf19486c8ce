//! What a session was allowed and denied of late, by topic, so that the next message on the same
//! topic costs a comparison. Forgotten whole when the lists or the client's names change, and with the
//! connection. Nobody can tell by an answer whether it was known; the memory is counted, and so saved.

use super::Access;
use crate::state::state;

/// Topics that one session remembers at most; a power of two.
const SLOTS_MAX: usize = 32;
/// Bytes of the longest topic that is remembered.
const TOPIC_BYTES_MAX: usize = 128;

const READ_KNOWN: u8 = 1;
const READ_ALLOWED: u8 = 2;
const WRITE_KNOWN: u8 = 4;
const WRITE_ALLOWED: u8 = 8;

#[derive(Clone, Debug, Default)]
struct Slot {
    topic: Box<str>,
    known: u8,
}

state!(Slot { topic, known });

/// Decisions by topic, one a slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    epoch: u64,
    slots: Vec<Slot>,
    /// Bytes of all topics.
    bytes: u32,
}

state!(Cache { epoch, slots, bytes });

/// What a slot takes beside its topic.
const SLOT: u64 = 24;

impl Cache {
    /// Whether `access` to `topic` is allowed, if that is known in this epoch.
    #[inline]
    pub(crate) fn get(&self, epoch: u64, access: Access, topic: &str) -> Option<bool> {
        if self.epoch != epoch || self.slots.is_empty() {
            return None;
        }
        let slot = self.slots.get(place(topic, self.slots.len()))?;
        let (known, allowed) = bits(access);
        if slot.known & known == 0 || *slot.topic != *topic {
            return None;
        }
        Some(slot.known & allowed != 0)
    }

    /// Remembers it. Room grows with the topics that are used, up to its limit. Gives the bytes that
    /// it grew by.
    pub(crate) fn put(&mut self, epoch: u64, access: Access, topic: &str, is_allowed: bool) -> u64 {
        let before = self.footprint();
        if topic.len() <= TOPIC_BYTES_MAX {
            self.remember(epoch, access, topic, is_allowed);
        }
        self.footprint().saturating_sub(before)
    }

    fn remember(&mut self, epoch: u64, access: Access, topic: &str, is_allowed: bool) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default()];
        }
        let at = place(topic, self.slots.len());
        if self.slots[at].known != 0 && *self.slots[at].topic != *topic {
            self.grow();
        }
        let at = place(topic, self.slots.len());
        let slot = &mut self.slots[at];
        if *slot.topic != *topic {
            self.bytes += len(topic);
            self.bytes -= len(&slot.topic);
            *slot = Slot { topic: topic.into(), known: 0 };
        }
        let (known, allowed) = bits(access);
        slot.known &= !allowed;
        slot.known |= known | if is_allowed { allowed } else { 0 };
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        if len > SLOTS_MAX {
            return;
        }
        let old = core::mem::replace(&mut self.slots, vec![Slot::default(); len]);
        for slot in old {
            let at = place(&slot.topic, len);
            self.slots[at] = slot;
        }
        self.bytes = self.slots.iter().map(|slot| self::len(&slot.topic)).sum();
    }

    /// Bytes it holds.
    pub(crate) fn footprint(&self) -> u64 {
        SLOT * self.slots.len() as u64 + u64::from(self.bytes)
    }
}

/// Never more than [`TOPIC_BYTES_MAX`].
fn len(topic: &str) -> u32 {
    u32::try_from(topic.len()).unwrap_or(0)
}

const fn bits(access: Access) -> (u8, u8) {
    match access {
        Access::Write => (WRITE_KNOWN, WRITE_ALLOWED),
        Access::Read | Access::Subscribe => (READ_KNOWN, READ_ALLOWED),
    }
}

/// A slot for a topic; `slots` is a power of two.
#[inline]
fn place(topic: &str, slots: usize) -> usize {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    if slots == 1 {
        return 0;
    }
    let bytes = topic.as_bytes();
    let mut hash = bytes.len() as u64;
    let mut add = |word: u64| hash = (hash.rotate_left(23) ^ word).wrapping_mul(MIX);
    match bytes.last_chunk::<8>() {
        // The last chunk may overlap the one before: every byte is in it.
        Some(last) => {
            let (chunks, _) = bytes.as_chunks::<8>();
            chunks.iter().for_each(|chunk| add(u64::from_le_bytes(*chunk)));
            add(u64::from_le_bytes(*last));
        }
        None => add(bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))),
    }
    (hash >> 32) as usize & (slots - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_until_the_epoch_ends() {
        let mut cache = Cache::default();
        cache.put(0, Access::Read, "a", true);
        cache.put(0, Access::Write, "a", false);
        assert_eq!(cache.get(0, Access::Read, "a"), Some(true));
        assert_eq!(cache.get(0, Access::Write, "a"), Some(false));
        assert_eq!(cache.get(0, Access::Read, "b"), None);
        assert_eq!(cache.get(1, Access::Read, "a"), None);
        cache.put(1, Access::Write, "b", true);
        assert_eq!(cache.get(0, Access::Read, "a"), None);
        assert_eq!(cache.get(1, Access::Read, "b"), None);
    }

    #[test]
    fn it_grows_to_its_limit_and_is_never_wrong() {
        let mut cache = Cache::default();
        let topic = |number: u32| format!("sensor/{number}/temperature");
        for number in 0..1000 {
            cache.put(0, Access::Read, &topic(number), number % 3 == 0);
        }
        assert_eq!(cache.slots.len(), SLOTS_MAX);
        let known = (0..1000).filter_map(|number| {
            let allowed = cache.get(0, Access::Read, &topic(number))?;
            assert_eq!(allowed, number % 3 == 0);
            Some(())
        });
        assert!(known.count() > SLOTS_MAX / 2);
        cache.put(0, Access::Read, &"x".repeat(TOPIC_BYTES_MAX + 1), true);
        assert_eq!(cache.get(0, Access::Read, &"x".repeat(TOPIC_BYTES_MAX + 1)), None);
    }
}
