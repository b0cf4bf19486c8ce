//! How fast one client may send (`max_message_rate`, `max_byte_rate`): token buckets that hold one
//! second's worth. What was read is always handled; who is over his rate is not read until his debt
//! is paid, so that nothing is buffered, dropped or refused.

use crate::state::state;
use crate::time::Instant;
use core::time::Duration;

/// What a client may send a second; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

/// Parts of a token: rates are per second, and time is in microseconds.
const PARTS: i128 = 1_000_000;

/// A token bucket; a negative level is debt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    /// Millionths of a token.
    level: i64,
    filled: Instant,
}

state!(Bucket { level, filled });

/// The buckets of a connection, and since when it is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttle {
    messages: Bucket,
    bytes: Bucket,
    started: bool,
    /// Since when it is not read, and when it is again.
    pub(crate) paused: Option<(Instant, Instant)>,
}

state!(Throttle { messages, bytes, started, paused });

impl Bucket {
    /// Takes `amount` at `rate` a second (0 = no limit); returns after how many microseconds the
    /// debt is paid.
    fn take(&mut self, now: Instant, rate: u64, amount: u64) -> u64 {
        if rate == 0 {
            return 0;
        }
        let rate = i128::from(rate);
        let earned = i128::from(now.0.saturating_sub(self.filled.0)) * rate;
        self.filled = now;
        let full = (i128::from(self.level) + earned).min(rate * PARTS);
        let level = full - i128::from(amount) * PARTS;
        self.level = i64::try_from(level).unwrap_or(i64::MIN);
        let debt = -i128::from(self.level).min(0);
        u64::try_from((debt + rate - 1) / rate).unwrap_or(u64::MAX)
    }
}

impl Throttle {
    /// Counts what was read; when reading may go on, if that is later than `now`.
    pub(crate) fn count(
        &mut self,
        now: Instant,
        rates: Rates,
        messages: u64,
        bytes: u64,
    ) -> Option<Instant> {
        if !self.started {
            // It begins with both buckets full.
            self.started = true;
            let full = |rate: u64| Bucket {
                level: i64::try_from(i128::from(rate) * PARTS).unwrap_or(i64::MAX),
                filled: now,
            };
            (self.messages, self.bytes) = (full(rates.messages.into()), full(rates.bytes));
        }
        let by_messages = self.messages.take(now, rates.messages.into(), messages);
        let wait = by_messages.max(self.bytes.take(now, rates.bytes, bytes));
        (wait > 0).then(|| now + Duration::from_micros(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_and_debt_is_paid_at_the_rate() {
        let rates = Rates { messages: 10, bytes: 0 };
        let mut throttle = Throttle::default();
        let start = Instant::ZERO.plus_secs(1000);
        assert_eq!(throttle.count(start, rates, 10, 1 << 40), None);
        assert_eq!(throttle.count(start, rates, 1, 0), Some(start.plus_millis(100)));
        let later = start.plus_millis(100);
        assert_eq!(throttle.count(later, rates, 0, 0), None);
        assert_eq!(throttle.count(later, rates, 20, 0), Some(later.plus_secs(2)));
        // However long it rests, no more than a second's worth is saved up.
        let rested = later.plus_secs(1_000_000);
        assert_eq!(throttle.count(rested, rates, 10, 0), None);
        assert_eq!(throttle.count(rested, rates, 1, 0), Some(rested.plus_millis(100)));
    }

    #[test]
    fn the_slower_of_both_rates_decides_and_nothing_overflows() {
        let rates = Rates { messages: u32::MAX, bytes: 1 };
        let mut throttle = Throttle::default();
        assert_eq!(throttle.count(Instant::ZERO, rates, 1, 3), Some(Instant::ZERO.plus_secs(2)));
        let far = throttle.count(Instant::ZERO, rates, u64::MAX, u64::MAX);
        assert!(far.is_some());
    }
}
