//! The one place that reads the machine's clocks (DESIGN §2.1): everything else is handed the time.

#![allow(clippy::disallowed_types)]

use halyard_core::time::Instant;
use halyard_core::time::WallClock;
use std::time::Duration;

/// Monotonic time since the process started, and the wall clock. All shards share one start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since the start, for the load generator.
    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The moment on the runtime's clock that the engine calls `at`.
    pub(crate) fn deadline(&self, at: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + Duration::from_micros(at.0))
    }

    pub(crate) fn wall() -> WallClock {
        WallClock(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Time since 1970-01-01 00:00 UTC; zero on a machine whose clock is set before.
pub(crate) fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// The clock that systemd means by a moment (`CLOCK_MONOTONIC`), microseconds.
pub(crate) fn monotonic_micros() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| {
        let (secs, nanos) = (now.tv_sec().unsigned_abs(), now.tv_nsec().unsigned_abs());
        secs * 1_000_000 + nanos / 1_000
    })
}

/// A number that differs between starts, to key the engine's hashes and its generator.
pub(crate) fn seed() -> u64 {
    use std::hash::BuildHasher;
    use std::hash::RandomState;
    RandomState::new().hash_one(since_epoch())
}
