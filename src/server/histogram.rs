//! How long the calls of a command took: counts by duration, cheap to add to (the place of hdr_histogram.c).
//!
//! A duration is counted in processor ticks as it was measured, under its power of two and the four bits below its
//! highest: within a sixteenth, for a handful of instructions and no look at a clock. When somebody asks, ticks become
//! nanoseconds.

/// Bits that are told apart below the highest one.
const SUB_BITS: u32 = 4;
/// Longer durations count as this one.
const TICKS_MAX: u64 = (1 << 40) - 1;
/// Counts in all.
const BUCKETS: usize = (40 - SUB_BITS as usize) * (1 << SUB_BITS) + (1 << SUB_BITS);

/// The counts of one command.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BUCKETS] }
    }
}

#[inline]
fn bucket_of(ticks: u64) -> usize {
    let ticks = ticks.min(TICKS_MAX);
    let shift = 63 - SUB_BITS - (ticks | 1 << SUB_BITS).leading_zeros();
    ((shift as usize) << SUB_BITS) + (ticks >> shift) as usize
}

/// The longest duration that is counted in a bucket, in ticks.
fn longest_in(bucket: usize) -> u64 {
    let shift = (bucket >> SUB_BITS).saturating_sub(1);
    let head = bucket - (shift << SUB_BITS);
    (((head as u64) + 1) << shift) - 1
}

impl Histogram {
    /// Counts a duration.
    #[inline]
    pub fn record(&mut self, ticks: u64) {
        if let Some(count) = self.counts.get_mut(bucket_of(ticks)) {
            *count += 1;
        }
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The durations that occur, shortest first, in ticks, each with its count.
    fn durations(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(bucket, count)| (longest_in(bucket), *count))
    }

    /// The duration that so many percent of all durations do not exceed, in ticks.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.durations().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, |(ticks, _)| ticks)
    }

    /// How many durations were no longer than each of the limits that LATENCY HISTOGRAM tells, in microseconds: powers of
    /// two of 1024 nanoseconds, and an allowance for what durations are rounded to. Limits that add nothing are left out.
    pub fn cumulative(&self, ns_per_tick: f64) -> Vec<(u64, u64)> {
        let mut told: Vec<(u64, u64)> = Vec::new();
        let (mut limit_ns, mut seen) = (1024u64, 0);
        for (ticks, count) in self.durations() {
            let ns = ((ticks as f64 * ns_per_tick) as u64).min(DURATION_MAX_NS);
            while ns > highest_equivalent(limit_ns) && limit_ns < DURATION_MAX_NS {
                limit_ns *= 2;
            }
            seen += count;
            let limit_us = highest_equivalent(limit_ns) / 1000;
            match told.last_mut().filter(|(last_us, _)| *last_us == limit_us) {
                Some(last) => last.1 = seen,
                None => told.push((limit_us, seen)),
            }
        }
        told
    }
}

/// Stock counts nothing longer than a second.
const DURATION_MAX_NS: u64 = (1 << 30) - 1;

/// What stock rounds a duration up to: it keeps the seven bits below the highest one of a number of nanoseconds.
pub fn highest_equivalent(ns: u64) -> u64 {
    let ns = ns.min(DURATION_MAX_NS);
    let shift = (63 - (ns | 1).leading_zeros()).saturating_sub(7);
    ((ns >> shift) << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn every_duration_has_its_bucket_within_a_sixteenth() {
        let mut rng = Rng::new(3);
        for ticks in (0..5000).chain((0..50_000).map(|_| rng.next_u64() >> (24 + rng.below(40)))) {
            let bucket = bucket_of(ticks);
            assert!(bucket < BUCKETS);
            let longest = longest_in(bucket);
            assert!(longest >= ticks && longest <= ticks + ticks / 16, "{ticks} in {bucket}: {longest}");
            assert!(bucket == 0 || longest_in(bucket - 1) < ticks);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_and_sums_are_those_of_the_sorted_durations() {
        let (mut histogram, mut rng) = (Histogram::default(), Rng::new(4));
        let mut all: Vec<u64> = (0..10_000).map(|_| rng.next_u64() >> (30 + rng.below(30))).collect();
        all.iter().for_each(|&ticks| histogram.record(ticks));
        all.sort_unstable();
        for percent in [0.0, 5.5, 50.0, 99.0, 99.9, 100.0] {
            let exact = all[((percent / 100.0 * 10_000.0) as usize).saturating_sub(1)];
            assert_eq!(histogram.percentile(percent), longest_in(bucket_of(exact)), "{percent}");
        }
        let told = histogram.cumulative(1.0);
        assert_eq!(told.last().unwrap().1, histogram.total());
        assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
        assert_eq!(Histogram::default().percentile(50.0), 0);
    }

    /// As a stock server has been seen to tell.
    #[test]
    fn limits_are_those_of_stock() {
        for (exponent, limit_us) in [(10, 1), (13, 8), (15, 33), (17, 132), (20, 1056), (25, 33_816)] {
            assert_eq!(highest_equivalent(1 << exponent) / 1000, limit_us);
        }
        assert_eq!(highest_equivalent(5000), 5023);
        assert_eq!(highest_equivalent(0), 0);
        let mut histogram = Histogram::default();
        [1, 5, 40_000, 2_000_000_000, 3_000_000_000].into_iter().for_each(|ticks| histogram.record(ticks));
        assert_eq!(histogram.cumulative(1.0), [(1, 2), (66, 3), (1_073_741, 5)]);
    }
}
