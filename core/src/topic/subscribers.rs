//! The subscribers of one filter, in the order of subscribing. Adding, finding and removing cost
//! about the same for 1 as for 100,000, and walking is a walk through memory, since fan-out is what
//! a list is for. Order must never depend on a hash.

use core::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::map::Keyed;

/// Up to here a list is searched and closed up at once; above, it has an index, and holes.
const FEW: usize = 16;

/// Keys with their values, oldest first.
#[derive(Clone, Debug)]
pub(super) enum Subscribers<K, V> {
    Few(SmallVec<[(K, V); 1]>),
    Many(Box<Crowd<K, V>>),
}

impl<K: Copy + Eq + Hash, V: Copy> Subscribers<K, V> {
    pub(super) fn new() -> Self {
        Self::Few(SmallVec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        // A crowd is never empty.
        matches!(self, Self::Few(list) if list.is_empty())
    }

    pub(super) fn get(&self, keyed: &Keyed, key: K) -> Option<V> {
        match self {
            Self::Few(list) => list.iter().find(|entry| entry.0 == key).map(|entry| entry.1),
            Self::Many(crowd) => {
                let at = crowd.find(keyed, key)?;
                crowd.list[at as usize].map(|entry| entry.1)
            }
        }
    }

    /// Adds `key` at the end, or sets another value where it is; gives the one it had.
    pub(super) fn insert(&mut self, keyed: &Keyed, key: K, value: V) -> Option<V> {
        match self {
            Self::Few(list) => {
                if let Some(entry) = list.iter_mut().find(|entry| entry.0 == key) {
                    return Some(core::mem::replace(&mut entry.1, value));
                }
                list.push((key, value));
                if list.len() > FEW {
                    *self = Self::Many(Box::new(Crowd::new(keyed, list)));
                }
                None
            }
            Self::Many(crowd) => crowd.insert(keyed, key, value),
        }
    }

    /// Removes `key`; the others keep their order.
    pub(super) fn remove(&mut self, keyed: &Keyed, key: K) -> Option<V> {
        match self {
            Self::Few(list) => {
                let at = list.iter().position(|entry| entry.0 == key)?;
                let (_, value) = list.remove(at);
                if list.len() == 1 {
                    list.shrink_to_fit();
                }
                Some(value)
            }
            Self::Many(crowd) => {
                let value = crowd.remove(keyed, key)?;
                if crowd.index.len() <= FEW / 2 {
                    *self = Self::Few(crowd.list.iter().flatten().copied().collect());
                }
                Some(value)
            }
        }
    }

    /// Hands out all, oldest first.
    #[inline]
    pub(super) fn each(&self, f: &mut impl FnMut(K, V)) {
        match self {
            Self::Few(list) => list.iter().for_each(|&(key, value)| f(key, value)),
            Self::Many(crowd) => crowd.each(f),
        }
    }
}

/// A long list. What leaves it leaves a hole; when holes are half of it, it closes up.
#[derive(Clone, Debug)]
pub(super) struct Crowd<K, V> {
    list: Vec<Option<(K, V)>>,
    /// Places in the list, by key.
    index: HashTable<u32>,
}

impl<K: Copy + Eq + Hash, V: Copy> Crowd<K, V> {
    fn new(keyed: &Keyed, few: &[(K, V)]) -> Self {
        let list = few.iter().copied().map(Some).collect();
        let mut crowd = Self { list, index: HashTable::new() };
        crowd.index_all(keyed);
        crowd
    }

    fn find(&self, keyed: &Keyed, key: K) -> Option<u32> {
        let is_it = |&at: &u32| has(&self.list, at, key);
        self.index.find(keyed.hash_one(key), is_it).copied()
    }

    fn insert(&mut self, keyed: &Keyed, key: K, value: V) -> Option<V> {
        if let Some(at) = self.find(keyed, key) {
            let old = self.list[at as usize].replace((key, value));
            return old.map(|entry| entry.1);
        }
        let at = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(Some((key, value)));
        self.index_one(keyed, at);
        None
    }

    fn remove(&mut self, keyed: &Keyed, key: K) -> Option<V> {
        let list = &mut self.list;
        let found = self.index.find_entry(keyed.hash_one(key), |&at| has(list, at, key)).ok()?;
        let (at, _) = found.remove();
        let (_, value) = list[at as usize].take()?;
        if list.len() > 2 * self.index.len() {
            list.retain(Option::is_some);
            list.shrink_to_fit();
            self.index = HashTable::with_capacity(list.len());
            self.index_all(keyed);
        }
        Some(value)
    }

    #[inline]
    fn each(&self, f: &mut impl FnMut(K, V)) {
        self.list.iter().flatten().for_each(|&(key, value)| f(key, value));
    }

    fn index_all(&mut self, keyed: &Keyed) {
        let len = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        (0..len).for_each(|at| self.index_one(keyed, at));
    }

    fn index_one(&mut self, keyed: &Keyed, at: u32) {
        let list = &self.list;
        let hash = |&at: &u32| list[at as usize].map_or(0, |(key, _)| keyed.hash_one(key));
        self.index.insert_unique(hash(&at), at, hash);
    }
}

fn has<K: Copy + Eq, V>(list: &[Option<(K, V)>], at: u32, key: K) -> bool {
    list[at as usize].as_ref().is_some_and(|entry| entry.0 == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(subscribers: &Subscribers<u64, u64>) -> Vec<u64> {
        let mut keys = Vec::new();
        subscribers.each(&mut |key, _| keys.push(key));
        keys
    }

    #[test]
    fn order_survives_growing_into_a_crowd_and_back() {
        let (keyed, mut subscribers) = (Keyed::new(1), Subscribers::new());
        for key in 0..40 {
            assert_eq!(subscribers.insert(&keyed, key, key * 10), None);
        }
        assert!(matches!(subscribers, Subscribers::Many(_)));
        assert_eq!(subscribers.insert(&keyed, 5, 51), Some(50));
        assert_eq!(keys(&subscribers), (0..40).collect::<Vec<_>>(), "a new value keeps its place");
        for key in (0..40).filter(|key| key % 8 != 5) {
            assert_eq!(subscribers.remove(&keyed, key), Some(key * 10));
            assert_eq!(subscribers.get(&keyed, key), None);
        }
        assert!(matches!(subscribers, Subscribers::Few(_)));
        assert_eq!(keys(&subscribers), [5, 13, 21, 29, 37]);
        assert_eq!((subscribers.get(&keyed, 5), subscribers.remove(&keyed, 2)), (Some(51), None));
    }

    #[test]
    fn holes_are_never_more_than_half() {
        let (keyed, mut subscribers) = (Keyed::new(1), Subscribers::new());
        for key in 0..10_000u64 {
            subscribers.insert(&keyed, key, 0);
            if key >= 100 {
                assert_eq!(subscribers.remove(&keyed, key - 100), Some(0));
            }
            if let Subscribers::Many(crowd) = &subscribers {
                assert!(crowd.list.len() <= 2 * crowd.index.len() + 1);
            }
        }
        assert_eq!(keys(&subscribers), (9_900..10_000).collect::<Vec<_>>());
    }
}
