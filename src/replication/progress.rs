//! How fast something goes of late, and when it will be done: what INFO tells of a snapshot on its way.
//!
//! Deliberately absent: what goes, and who looks at it how often.

use std::collections::VecDeque;

/// Rates are taken over about so long a time.
const WINDOW_MS: u64 = 5000;
/// Marks are not closer to each other.
const STEP_MS: u64 = 250;

/// How much was done at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// In bytes.
    pub bytes: u64,
    /// In keys.
    pub keys: u64,
}

/// Marks of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    marks: VecDeque<(u64, Done)>,
}

/// So much a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: f64,
    /// Keys a second.
    pub keys: f64,
}

impl Progress {
    /// So far it is at the first look.
    pub fn begin(now_ms: u64, done: Done) -> Progress {
        Progress { marks: VecDeque::from([(now_ms, done)]) }
    }

    /// Takes note of how far it is now. Times are milliseconds of a clock that never goes back. What is less far than it
    /// was has begun anew.
    pub fn note(&mut self, now_ms: u64, done: Done) {
        if self.marks.back().is_some_and(|(_, last)| done.bytes < last.bytes) {
            self.marks.clear();
        }
        if self.marks.back().is_some_and(|(at, _)| now_ms < at + STEP_MS) {
            return;
        }
        while self.marks.len() > 1 && self.marks[1].0 + WINDOW_MS <= now_ms {
            self.marks.pop_front();
        }
        self.marks.push_back((now_ms, done));
    }

    /// The rate over the last seconds, if it is `done` now.
    pub fn rate(&self, now_ms: u64, done: Done) -> Rate {
        let Some((since, mark)) = self.marks.front() else { return Rate::default() };
        let seconds = now_ms.saturating_sub(*since) as f64 / 1000.0;
        if seconds <= 0.0 {
            return Rate::default();
        }
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        Rate { bytes: per_second(done.bytes, mark.bytes), keys: per_second(done.keys, mark.keys) }
    }
}

impl Rate {
    /// Seconds until all of it is done, by the bytes if their number is known, otherwise by the keys; a total of 0 is
    /// an unknown one. −1: that cannot be told.
    pub fn seconds_left(self, done: Done, total: Done) -> i64 {
        let (rate, left) = match total {
            Done { bytes: 1.., .. } => (self.bytes, total.bytes.saturating_sub(done.bytes)),
            Done { keys: 1.., .. } => (self.keys, total.keys.saturating_sub(done.keys)),
            _ => return -1,
        };
        match left {
            0 => 0,
            _ if rate > 0.0 => (left as f64 / rate).ceil() as i64,
            _ => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: u64, keys: u64) -> Done {
        Done { bytes, keys }
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut progress = Progress::default();
        assert_eq!(progress.rate(1000, done(5, 5)), Rate::default());
        // Ten seconds at 1000 bytes a second, then ten at 100.
        for step in 0..=200u64 {
            let now = 1000 + step * 100;
            let bytes = if step <= 100 { step * 100 } else { 10_000 + (step - 100) * 10 };
            progress.note(now, done(bytes, bytes / 10));
            if step == 100 {
                let rate = progress.rate(now, done(bytes, bytes / 10));
                assert_eq!((rate.bytes.round(), rate.keys.round()), (1000.0, 100.0));
            }
        }
        let rate = progress.rate(21_000, done(11_000, 1100));
        assert_eq!((rate.bytes.round(), rate.keys.round()), (100.0, 10.0));
        assert!(progress.marks.len() as u64 <= WINDOW_MS / STEP_MS + 2, "old marks go");
    }

    #[test]
    fn what_stands_still_has_no_end() {
        let mut progress = Progress::default();
        progress.note(0, done(7, 7));
        let rate = progress.rate(60_000, done(7, 7));
        assert_eq!(rate.seconds_left(done(7, 7), done(8, 0)), -1);
        assert_eq!(rate.seconds_left(done(7, 7), done(7, 0)), 0);
        assert_eq!(progress.rate(0, done(9, 9)), Rate::default(), "no time has passed");
    }

    #[test]
    fn what_is_left_is_counted_in_bytes_or_else_in_keys() {
        let rate = Rate { bytes: 100.0, keys: 10.0 };
        assert_eq!(rate.seconds_left(done(50, 1), done(1000, 2)), 10);
        assert_eq!(rate.seconds_left(done(50, 1), done(0, 21)), 2);
        assert_eq!(rate.seconds_left(done(50, 1), done(0, 0)), -1);
        assert_eq!(rate.seconds_left(done(50, 9), done(0, 5)), 0, "more came than was announced");
    }
}
