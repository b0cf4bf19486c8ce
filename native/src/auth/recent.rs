//! What was put in or touched of late, up to a number of entries and an age: two generations, of
//! which the older goes when the younger is full. Never grows beyond its limit.

use halyard_core::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Entries that are forgotten when they are old, or when there are too many.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: BTreeMap<K, (V, Instant)>,
    old: BTreeMap<K, (V, Instant)>,
    /// Entries of one generation.
    half: usize,
    life: Duration,
}

impl<K: Ord + Copy, V: Clone> Recent<K, V> {
    pub(super) const fn new(entries: usize, life: Duration) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), half: entries.div_ceil(2), life }
    }

    /// Other limits hold from now on. Where fewer entries are allowed than there are, all go.
    pub(super) fn limit(&mut self, entries: usize, life: Duration) {
        (self.half, self.life) = (entries.div_ceil(2), life);
        if self.young.len().max(self.old.len()) > self.half {
            self.young.clear();
            self.old.clear();
        }
    }

    /// The value, which counts as young again.
    pub(super) fn touch(&mut self, key: &K, now: Instant) -> Option<V> {
        let value = self.get(key, now)?;
        self.put(*key, value.clone(), now);
        Some(value)
    }

    /// The value, unless it is too old.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let (value, at) = self.young.get(key).or_else(|| self.old.get(key))?;
        (now.since(*at) < self.life).then(|| value.clone())
    }

    pub(super) fn put(&mut self, key: K, value: V, now: Instant) {
        if self.half == 0 {
            return;
        }
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, (value, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_old_or_too_much_goes() {
        let mut recent = Recent::new(4, Duration::from_secs(10));
        for key in 0..4 {
            recent.put(key, key * 10, Instant::ZERO);
        }
        assert_eq!(recent.touch(&0, Instant::ZERO.plus_secs(1)), Some(0));
        recent.put(9, 90, Instant::ZERO.plus_secs(1));
        assert!(recent.young.len() + recent.old.len() <= 4);
        assert_eq!(recent.get(&0, Instant::ZERO.plus_secs(10)), Some(0));
        assert_eq!(recent.get(&0, Instant::ZERO.plus_secs(11)), None);
        recent.limit(100, Duration::from_secs(5));
        assert_eq!(recent.get(&0, Instant::ZERO.plus_secs(7)), None);
        assert_eq!(recent.get(&9, Instant::ZERO.plus_secs(5)), Some(90));
        recent.limit(2, Duration::from_secs(100));
        assert_eq!(recent.get(&9, Instant::ZERO.plus_secs(5)), None);
        let mut none = Recent::new(0, Duration::from_secs(10));
        none.put(1, 1, Instant::ZERO);
        assert_eq!(none.get(&1, Instant::ZERO), None);
    }
}
