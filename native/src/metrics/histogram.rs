//! Durations by size, for Prometheus: fixed buckets of plain numbers, one histogram a shard, so
//! that nothing on the way of a message locks or shares. Sums are made when somebody asks.

/// Upper bounds of the buckets, microseconds; what is over the last is in none of them.
pub(crate) const BOUNDS_MICROS: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// How many were in each bucket and not in the one before; the last is beyond all bounds.
    counts: [u64; BOUNDS_MICROS.len() + 1],
    sum_micros: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, micros: u64) {
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.counts[bucket] += 1;
        self.sum_micros += micros;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_micros += other.sum_micros;
    }

    /// Bounds in seconds as Prometheus writes them, each with all that is not above it.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (String, u64)> {
        let bounds = BOUNDS_MICROS.iter().map(|micros| seconds(*micros));
        let bounds = bounds.chain(["+Inf".to_owned()]);
        bounds.zip(self.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        }))
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn sum(&self) -> String {
        seconds(self.sum_micros)
    }
}

/// Microseconds in seconds, without what says nothing.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_in_all_above() {
        let mut histogram = Histogram::default();
        for micros in [10, 11, 20_000_000] {
            histogram.record(micros);
        }
        let mut twice = histogram.clone();
        twice.add(&histogram);
        let buckets: Vec<(String, u64)> = twice.buckets().collect();
        assert_eq!(buckets[0], ("0.00001".to_owned(), 2));
        assert_eq!(buckets[1], ("0.000025".to_owned(), 4));
        assert_eq!(buckets[BOUNDS_MICROS.len() - 1], ("10".to_owned(), 4));
        assert_eq!(buckets[BOUNDS_MICROS.len()], ("+Inf".to_owned(), 6));
        assert_eq!((twice.count(), twice.sum()), (6, "40.000042".to_owned()));
    }
}
