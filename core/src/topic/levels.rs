//! Interned topic levels: each text is held once, counted, and known by a number. Numbers serve
//! lookup only; they must never be seen outside.

use core::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::slots::Slots;
use crate::map::Keyed;

#[derive(Clone, Debug)]
struct Level {
    /// UTF-8; most are short and lie in place.
    text: SmallVec<[u8; 16]>,
    uses: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Levels {
    levels: Slots<Level>,
    by_text: HashTable<u32>,
    keyed: Keyed,
    bytes: u64,
}

impl Levels {
    pub(super) fn new(seed: u64) -> Self {
        Self { levels: Slots::new(), by_text: HashTable::new(), keyed: Keyed::new(seed), bytes: 0 }
    }

    fn hash(keyed: &Keyed, text: &[u8]) -> u64 {
        let mut hasher = keyed.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// The number of a level in use.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        let hash = Self::hash(&self.keyed, text);
        let is_it = |&id: &u32| self.levels[id].text[..] == *text;
        self.by_text.find(hash, is_it).copied()
    }

    /// The number of a level, with one use more.
    pub(super) fn acquire(&mut self, text: &str) -> u32 {
        if let Some(id) = self.find(text.as_bytes()) {
            self.levels[id].uses += 1;
            return id;
        }
        let id = self.levels.add(Level { text: SmallVec::from_slice(text.as_bytes()), uses: 1 });
        self.bytes += text.len() as u64;
        let (levels, keyed) = (&self.levels, &self.keyed);
        let rehash = |&id: &u32| Self::hash(keyed, &levels[id].text);
        self.by_text.insert_unique(Self::hash(keyed, text.as_bytes()), id, rehash);
        id
    }

    /// Takes one use back, and forgets the level with the last.
    pub(super) fn release(&mut self, id: u32) {
        let level = &mut self.levels[id];
        level.uses -= 1;
        if level.uses > 0 {
            return;
        }
        let text = core::mem::take(&mut level.text);
        self.bytes -= text.len() as u64;
        let hash = Self::hash(&self.keyed, &text);
        if let Ok(entry) = self.by_text.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        self.levels.free(id);
    }

    pub(super) fn text(&self, id: u32) -> &str {
        core::str::from_utf8(&self.levels[id].text).unwrap_or_default()
    }

    /// Levels in use.
    pub(super) fn len(&self) -> u64 {
        self.levels.live()
    }

    /// Bytes of text in use.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_lives_as_long_as_its_uses() {
        let mut levels = Levels::new(7);
        let first = levels.acquire("plant");
        let empty = levels.acquire("");
        assert_eq!(levels.acquire("plant"), first);
        assert_eq!((levels.len(), levels.bytes()), (2, 5));
        levels.release(first);
        assert_eq!(levels.find(b"plant"), Some(first));
        levels.release(first);
        assert_eq!(levels.find(b"plant"), None);
        assert_eq!(levels.text(empty), "");
        levels.release(empty);
        assert_eq!((levels.len(), levels.bytes()), (0, 0));
    }
}
