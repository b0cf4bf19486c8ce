//! Whether every message arrived, once and in order: one bit a message. Knows no connection.

/// Arrivals of messages numbered from 0, at one subscriber.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    seen: Vec<u64>,
    next: u64,
    counts: Counts,
}

/// What was wrong, and what was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    /// Of another topic, another run, or never sent.
    pub(super) strange: u64,
}

impl Arrivals {
    /// Message `number` of `sent` arrived; `true` if for the first time.
    #[inline]
    pub(super) fn note(&mut self, number: u64, sent: u64) -> bool {
        let Some(index) = usize::try_from(number / 64).ok().filter(|_| number < sent) else {
            self.counts.strange += 1;
            return false;
        };
        if index >= self.seen.len() {
            self.seen.resize(index + 1, 0);
        }
        let word = &mut self.seen[index];
        let bit = 1 << (number % 64);
        if *word & bit != 0 {
            self.counts.duplicated += 1;
            return false;
        }
        *word |= bit;
        self.counts.delivered += 1;
        if number >= self.next {
            self.next = number + 1;
        } else {
            self.counts.reordered += 1;
        }
        true
    }

    /// Something that belongs to no message arrived.
    pub(super) const fn note_strange(&mut self) {
        self.counts.strange += 1;
    }

    /// The result, when `sent` messages had been sent.
    pub(super) const fn finish(&self, sent: u64) -> Counts {
        Counts { lost: sent.saturating_sub(self.counts.delivered), ..self.counts }
    }
}

impl Counts {
    /// Whether nothing was wrong.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.strange == 0
    }

    /// The sum with another subscriber's.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            strange: self.strange + other.strange,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u64], sent: u64) -> Counts {
        let mut arrivals = Arrivals::default();
        for number in numbers {
            arrivals.note(*number, sent);
        }
        arrivals.finish(sent)
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert!(of(&[0, 1, 2], 3).is_clean());
        assert_eq!(of(&[0, 2], 3), Counts { delivered: 2, lost: 1, ..Counts::default() });
        assert_eq!(of(&[0, 0], 1), Counts { delivered: 1, duplicated: 1, ..Counts::default() });
        assert_eq!(of(&[1, 0], 2), Counts { delivered: 2, reordered: 1, ..Counts::default() });
        assert_eq!(of(&[0], 0), Counts { strange: 1, ..Counts::default() });
    }
}
