//! A slab whose order of reuse is part of its saved state: the same history gives the same slots.

use crate::state::{RestoreError, Sink, Source, State};

/// Values in numbered slots, reused last freed first.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(value);
            return slot;
        }
        self.slots.push(Some(value));
        u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 slots fit in memory")
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().zip(0u32..).filter_map(|(slot, at)| Some((at, slot.as_ref()?)))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.slots.iter_mut().zip(0u32..).filter_map(|(slot, at)| Some((at, slot.as_mut()?)))
    }

    /// Slots, used or free.
    pub(crate) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl<T: State> State for Arena<T> {
    fn save(&self, to: &mut dyn Sink) {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX).save(to);
        for slot in &self.slots {
            slot.save(to);
        }
        self.free.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        let slots = Vec::<Option<T>>::load(from)?;
        let free = Vec::<u32>::load(from)?;
        let vacant = |slot: &u32| slots.get(*slot as usize).is_some_and(Option::is_none);
        if !free.iter().all(vacant) || free.len() != slots.iter().filter(|s| s.is_none()).count() {
            return Err(from.error("list of free slots"));
        }
        Ok(Self { slots, free })
    }
}
