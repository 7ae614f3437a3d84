//! The latency monitor: events that took long, by kind, with their last samples (= latency.c).
//!
//! How long each command takes is measured apart from this, by the histograms of the command table.

use std::collections::BTreeMap;

/// So many samples of an event are kept.
const SAMPLES_MAX: usize = 160;

/// How long the worst event of one second took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub time_s: i64,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// The samples of one kind of event, the oldest first; there is at least one.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The samples.
    pub samples: Vec<Sample>,
    /// The worst ever, in milliseconds.
    pub max_ms: u64,
}

/// All events.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<&'static str, Series>,
}

impl Latency {
    /// Notes an event. Of the events of one second the worst counts.
    pub fn add(&mut self, event: &'static str, time_s: i64, latency_ms: u64) {
        let series = self.events.entry(event).or_default();
        series.max_ms = series.max_ms.max(latency_ms);
        match series.samples.last_mut().filter(|last| last.time_s == time_s) {
            Some(last) => last.latency_ms = last.latency_ms.max(latency_ms),
            None => series.samples.push(Sample { time_s, latency_ms }),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.remove(0);
        }
    }

    /// The samples of an event.
    pub fn get(&self, event: &[u8]) -> Option<&Series> {
        self.events.get(std::str::from_utf8(event).ok()?)
    }

    /// All events by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(event, series)| (*event, series))
    }

    /// Forgets an event; whether there was such.
    pub fn forget(&mut self, event: &[u8]) -> bool {
        std::str::from_utf8(event).is_ok_and(|event| self.events.remove(event).is_some())
    }

    /// Forgets all events; returns how many there were.
    pub fn reset(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

/// What can be said of a series beyond its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The least and the most, in milliseconds.
    pub range_ms: (u64, u64),
    /// The average, in milliseconds.
    pub average_ms: u64,
    /// By how much samples are off the average, on the average.
    pub deviation_ms: u64,
    /// Seconds from one sample to the next, on the average.
    pub period_s: f64,
}

impl Series {
    /// Sums the series up. `now_s`: in seconds since 1970.
    pub fn summary(&self, now_s: i64) -> Summary {
        let values = || self.samples.iter().map(|sample| sample.latency_ms);
        let count = self.samples.len().max(1) as u64;
        let average_ms = values().sum::<u64>() / count;
        let first_s = self.samples.first().map_or(now_s, |sample| sample.time_s);
        Summary {
            range_ms: (values().min().unwrap_or(0), values().max().unwrap_or(0)),
            average_ms,
            deviation_ms: values().map(|value| value.abs_diff(average_ms)).sum::<u64>() / count,
            period_s: (now_s - first_s).max(0) as f64 / count as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_second_counts_and_old_samples_go() {
        let mut latency = Latency::default();
        for (time_s, latency_ms) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            latency.add("command", time_s, latency_ms);
        }
        let series = latency.get(b"command").unwrap();
        let pairs: Vec<_> = series.samples.iter().map(|sample| (sample.time_s, sample.latency_ms)).collect();
        assert_eq!((pairs.as_slice(), series.max_ms), ([(1, 9), (2, 3)].as_slice(), 9));
        let expected = Summary { range_ms: (3, 9), average_ms: 6, deviation_ms: 3, period_s: 2.0 };
        assert_eq!(series.summary(5), expected);
        (0..500).for_each(|second| latency.add("fork", second, 1));
        assert_eq!(latency.get(b"fork").unwrap().samples.len(), SAMPLES_MAX);
        assert!(latency.forget(b"fork") && !latency.forget(b"fork"));
        assert_eq!(latency.reset(), 1);
    }
}
