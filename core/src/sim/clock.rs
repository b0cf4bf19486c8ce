//! Virtual time: one monotonic clock and a wall clock that follows it. It moves only when the world
//! moves it, and never back.

use crate::time::{Instant, WallClock};

/// The clock of a world.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    now: Instant,
    wall_at_start: u64,
}

impl Clock {
    /// A clock at zero, on 2026-01-01 00:00 UTC.
    pub(super) const fn new() -> Self {
        Self { now: Instant::ZERO, wall_at_start: 1_767_225_600_000 }
    }

    /// The present.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// The wall clock at present.
    pub(super) const fn wall(&self) -> WallClock {
        WallClock(self.wall_at_start + self.now.0 / 1000)
    }

    /// Moves on; a time that has passed changes nothing.
    pub(super) fn advance_to(&mut self, at: Instant) {
        self.now = self.now.max(at);
    }
}
