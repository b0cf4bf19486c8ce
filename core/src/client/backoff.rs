//! How long to wait before the next connection attempt: exponential with jitter, so that clients
//! that lost one server do not return in step. Never reads a clock.

use super::options::Backoff;
use crate::rng::Rng;
use crate::time::Instant;

/// Counts failures since the last success.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    failures: u8,
    rng: Rng,
}

impl Attempts {
    pub(super) const fn new(seed: u64) -> Self {
        Self { failures: 0, rng: Rng::new(seed) }
    }

    /// A connection was accepted.
    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// When to try again.
    pub(super) fn next(&mut self, now: Instant, backoff: Backoff) -> Instant {
        let doubled = u64::from(backoff.min_ms.max(1)) << self.failures.min(31);
        let longest = doubled.min(u64::from(backoff.max_ms.max(backoff.min_ms).max(1)));
        self.failures = self.failures.saturating_add(1);
        now.plus_millis(self.rng.between(longest.div_ceil(2), longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_start_again_after_success() {
        let backoff = Backoff { min_ms: 100, max_ms: 1_000 };
        let mut attempts = Attempts::new(1);
        for longest in [100, 200, 400, 800, 1_000, 1_000, 1_000] {
            let delay = attempts.next(Instant::ZERO, backoff).0 / 1_000;
            assert!((longest / 2..=longest).contains(&delay), "{delay} of {longest}");
        }
        attempts.succeeded();
        assert!(attempts.next(Instant::ZERO, backoff).0 <= 100_000);
    }

    #[test]
    fn two_seeds_do_not_return_in_step() {
        let backoff = Backoff { min_ms: 60_000, max_ms: 60_000 };
        let delay = |seed| Attempts::new(seed).next(Instant::ZERO, backoff);
        assert_ne!(delay(1), delay(2));
        assert_eq!(delay(3), delay(3));
    }
}
