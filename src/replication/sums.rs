//! The running checksum of the log, by which both ends of a link find out that they hold the same stream.
//!
//! ```text
//!   base           grid           grid           grid      end
//!   ──┬──────────────┬──────────────┬──────────────┬────────┐
//!   0 │          mark│          mark│          mark│        │ sum of all bytes since the base
//! ```
//!
//! One sum runs over the log, whoever asks, so many replicas cost no more than one. The two ends began at different
//! bases; the sum of the bytes *between* two offsets is the same at both, and follows from the sums at these offsets
//! alone (the checksum is linear: see `base::crc64::followed_by`). An offset between two marks can be had as long as its
//! bytes are kept.

use crate::base::crc64::{crc64, followed_by};
use std::collections::VecDeque;

/// Marks stand at multiples of this.
pub const GRID: u64 = 64 * 1024;
/// So many are kept: they reach 256 MB back.
const MARKS_MAX: usize = 4096;

/// The sums at some offsets, the last one at the end.
#[derive(Debug)]
pub struct StreamSums {
    marks: VecDeque<(u64, u64)>,
    end: u64,
    sum: u64,
}

impl StreamSums {
    /// Begins at `base`.
    pub fn new(base: u64) -> Self {
        StreamSums { marks: VecDeque::from([(base, 0)]), end: base, sum: 0 }
    }

    /// The offset up to which bytes are summed up.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let to_grid = (GRID - self.end % GRID) as usize;
            let (now, later) = bytes.split_at(to_grid.min(bytes.len()));
            self.sum = crc64(self.sum, now);
            self.end += now.len() as u64;
            if self.end.is_multiple_of(GRID) {
                self.push_mark();
            }
            bytes = later;
        }
    }

    /// Keeps the sum at the end: somebody begins there.
    pub fn mark(&mut self) {
        if self.marks.back().is_none_or(|(offset, _)| *offset < self.end) {
            self.push_mark();
        }
    }

    fn push_mark(&mut self) {
        self.marks.push_back((self.end, self.sum));
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
    }

    /// The last offset at or before this one whose sum is known, with the sum.
    pub fn nearest(&self, offset: u64) -> Option<(u64, u64)> {
        if offset == self.end {
            return Some((self.end, self.sum));
        }
        let after = self.marks.partition_point(|(mark, _)| *mark <= offset);
        if offset > self.end { None } else { self.marks.get(after.checked_sub(1)?).copied() }
    }
}

/// The sum of the bytes between two offsets, from the sums at both.
pub fn between(from: (u64, u64), to: (u64, u64)) -> u64 {
    followed_by(from.1, to.0 - from.0) ^ to.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn sums_between_offsets_are_those_of_the_bytes_whatever_the_base() {
        let mut rng = Rng::new(5);
        let bytes: Vec<u8> = (0..500_000).map(|_| rng.next_u64() as u8).collect();
        let (mut early, mut late) = (StreamSums::new(7), StreamSums::new(100_007));
        for piece in bytes.chunks(3777) {
            early.update(piece);
        }
        late.update(&bytes[100_000..]);
        let marks: Vec<(u64, u64)> = late.marks.iter().copied().filter(|(at, _)| at % GRID == 0).collect();
        assert_eq!(marks.len(), 6);
        for pair in marks.windows(2) {
            let direct = crc64(0, &bytes[pair[0].0 as usize - 7..pair[1].0 as usize - 7]);
            assert_eq!(between(pair[0], pair[1]), direct);
            let theirs = (early.nearest(pair[0].0).unwrap(), early.nearest(pair[1].0 + 5).unwrap());
            assert_eq!(between(theirs.0, theirs.1), direct);
        }
        assert_eq!((early.nearest(6), early.nearest(500_008)), (None, None));
        assert_eq!(early.nearest(500_007), Some((500_007, crc64(0, &bytes))));
    }
}
