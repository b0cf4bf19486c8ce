//! Slots by `u32` index, freed ones reused last in, first out. A freed slot keeps its old value
//! until it is reused, so what goes in must own nothing worth freeing early.

use core::ops::{Index, IndexMut};

/// No slot: what a link holds where a list or a branch ends.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Stores `value`; the index is never [`NONE`].
    pub(super) fn add(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return id;
        }
        let id = u32::try_from(self.slots.len()).unwrap_or(NONE);
        assert!(id < NONE - 1, "more than 4 billion topic levels are in use");
        self.slots.push(value);
        id
    }

    /// Gives the slot back; the caller holds no link to it any more.
    pub(super) fn free(&mut self, id: u32) {
        self.free.push(id);
    }

    /// All slots with their numbers, freed ones too.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots)
    }

    /// Slots in use.
    pub(super) fn live(&self) -> u64 {
        (self.slots.len() - self.free.len()) as u64
    }

    /// Slots ever needed at once.
    pub(super) fn peak(&self) -> u64 {
        self.slots.len() as u64
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    #[inline]
    fn index(&self, id: u32) -> &T {
        &self.slots[id as usize]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    #[inline]
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.slots[id as usize]
    }
}
