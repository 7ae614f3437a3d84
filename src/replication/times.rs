//! When the bytes of the log came, as far as lag in time needs it: a few marks, close together for what is new and far
//! apart for what is old. A lag told from them is never too small, and too large by a small part of itself at most.

use std::collections::VecDeque;

/// Marks that are kept at most.
const MARKS_MAX: usize = 128;
/// No mark is set sooner after another.
const SPACING_MS: i64 = 10;

/// Marks of positions and times.
#[derive(Debug, Default)]
pub struct TimeMarks {
    /// Each tells that the byte at this position came at this time, in milliseconds since 1970.
    marks: VecDeque<(u64, i64)>,
    /// Bytes before this position are accounted for.
    seen: u64,
}

impl TimeMarks {
    /// Begins anew at `position`, where the next byte will come.
    pub fn reset(&mut self, position: u64) {
        self.marks.clear();
        self.seen = position;
    }

    /// What came since the last call came now.
    #[inline]
    pub fn note(&mut self, end: u64, now_ms: i64) {
        if end != self.seen {
            self.note_new(end, now_ms);
        }
    }

    fn note_new(&mut self, end: u64, now_ms: i64) {
        if self.marks.back().is_none_or(|(_, time)| now_ms - time >= SPACING_MS) {
            self.marks.push_back((self.seen, now_ms));
        }
        self.seen = end;
        if self.marks.len() > MARKS_MAX {
            self.thin(now_ms);
        }
    }

    /// Lets go of the mark whose absence spoils least, measured by the age of what it stands for.
    fn thin(&mut self, now_ms: i64) {
        let spoilt = |index: &usize| {
            let (before, after) = (self.marks[index - 1].1, self.marks[index + 1].1);
            ((after - before) << 20) / (now_ms - after + SPACING_MS).max(1)
        };
        if let Some(index) = (1..self.marks.len() - 1).min_by_key(spoilt) {
            self.marks.remove(index);
        }
    }

    /// Nobody asks for what lies before `position` any more.
    pub fn forget_before(&mut self, position: u64) {
        while self.marks.get(1).is_some_and(|(next, _)| *next <= position) {
            self.marks.pop_front();
        }
    }

    /// How old the byte at `position` is, in milliseconds; 0 if it has not come yet.
    pub fn age_ms(&self, position: u64, now_ms: i64) -> i64 {
        if position >= self.seen {
            return 0;
        }
        let after = self.marks.partition_point(|(mark, _)| *mark <= position);
        let time = self.marks.get(after.saturating_sub(1)).map_or(now_ms, |(_, time)| *time);
        (now_ms - time).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn ages_are_never_too_small_and_hardly_too_large() {
        let mut rng = Rng::new(3);
        let (mut marks, mut came, mut end, mut now) = (TimeMarks::default(), Vec::new(), 500, 1_000_000);
        marks.reset(end);
        for _ in 0..20_000 {
            now += rng.below(40) as i64;
            let count = rng.below(3);
            came.extend((0..count).map(|_| now));
            end += count;
            marks.note(end, now);
        }
        for _ in 0..2000 {
            let index = rng.index(came.len());
            let (true_age, told) = (now - came[index], marks.age_ms(500 + index as u64, now));
            assert!(told >= true_age && told <= true_age + true_age / 4 + 100, "{told} for {true_age}");
        }
        assert_eq!(marks.age_ms(end, now), 0);
        assert!(marks.marks.len() <= MARKS_MAX);
        marks.forget_before(end - 1);
        assert_eq!(marks.marks.len(), 1);
    }
}
