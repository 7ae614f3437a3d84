//! The replication log: the one stream of changes, addressed by absolute offset (= the backlog of replication.c).
//!
//! ```text
//!        first()                                   end() = master_repl_offset
//!   ──────┬──────────────┬──────────────┬─────────┐
//!   gone  │ block        │ block        │ block   │ to be written
//!   ──────┴──────────────┴──────────────┴─────────┘
//! ```
//!
//! Bytes are appended once and read by every replica straight from here. The byte at position `p` is the one that
//! Redis counts as offset `p + 1`: a replica that has seen `offset` bytes goes on at position `offset`.

use super::sums::{StreamSums, between};
use super::times::TimeMarks;
use crate::base::crc64::crc64;
use std::collections::VecDeque;
use std::io::IoSlice;

const BLOCK_BYTES: usize = 64 * 1024;

/// Where the bytes at a position are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In memory, or just about to be written.
    Here,
    /// Not kept any more, or never seen.
    Gone,
}

/// The log. It keeps nothing until `activate`.
#[derive(Default, Debug)]
pub struct ReplicationLog {
    blocks: VecDeque<Vec<u8>>,
    spare: Option<Vec<u8>>,
    first: u64,
    end: u64,
    active: bool,
    /// When bytes came.
    times: TimeMarks,
    /// The running checksum, if anybody asks for it.
    sums: Option<StreamSums>,
}

impl ReplicationLog {
    /// The position of the first byte that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The position after the last byte: how many bytes the history has.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes are kept.
    pub fn len(&self) -> u64 {
        self.end - self.first
    }

    /// Whether no byte is kept.
    pub fn is_empty(&self) -> bool {
        self.end == self.first
    }

    /// Whether the log keeps what is appended; until then nobody needs it and appending is not called for.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Begins to keep bytes, from the present end on.
    pub fn activate(&mut self) {
        self.active = true;
    }

    /// Drops all bytes and stops keeping new ones; the offset stays.
    pub fn deactivate(&mut self) {
        self.reset(self.end);
        self.active = false;
    }

    /// Drops all bytes and goes on at `offset`, as a replica does that begins another history.
    pub fn reset(&mut self, offset: u64) {
        self.blocks.clear();
        self.first = offset;
        self.end = offset;
        self.times.reset(offset);
        self.sums = None;
    }

    /// What was appended since the last call came now.
    #[inline]
    pub fn note_time(&mut self, now_ms: i64) {
        self.times.note(self.end, now_ms);
    }

    /// How old the byte at `position` is, in milliseconds; 0 if it has not come yet.
    pub fn age_ms(&self, position: u64, now_ms: i64) -> i64 {
        self.times.age_ms(position, now_ms)
    }

    /// Sums up from `position` on, unless that is done already, and returns the running sum there, if it can be had.
    pub fn begin_sums(&mut self, position: u64) -> Option<(u64, u64)> {
        self.sums.get_or_insert_with(|| StreamSums::new(position));
        self.update_sums();
        if position == self.end
            && let Some(sums) = &mut self.sums
        {
            sums.mark();
        }
        self.sum_at(position)
    }

    /// Sums up what was appended. Not done at each append: whole turns at once are cheaper.
    pub fn update_sums(&mut self) {
        let Some(mut sums) = self.sums.take() else { return };
        while sums.end() < self.end {
            let slices = self.slices(sums.end(), 16);
            if slices.is_empty() {
                // Somebody asked for sums from a place that is gone.
                sums = StreamSums::new(self.end);
            }
            slices.iter().for_each(|slice| sums.update(slice));
        }
        self.sums = Some(sums);
    }

    /// The running checksum at an offset, if it can be had.
    pub fn sum_at(&self, offset: u64) -> Option<(u64, u64)> {
        let (mut at, mut sum) = self.sums.as_ref()?.nearest(offset)?;
        while at < offset {
            let slices = self.slices(at, 1);
            let bytes = slices.first()?;
            let bytes = &bytes[..bytes.len().min((offset - at) as usize)];
            sum = crc64(sum, bytes);
            at += bytes.len() as u64;
        }
        Some((at, sum))
    }

    /// The checksum of the bytes between two offsets, if it can be had.
    pub fn sum_between(&self, from: u64, to: u64) -> Option<u64> {
        if from > to { None } else { Some(between(self.sum_at(from)?, self.sum_at(to)?)) }
    }

    /// Changes one bit of the byte at `position`, for tests.
    pub fn corrupt(&mut self, position: u64) {
        if (self.first..self.end).contains(&position) {
            let from_start = (position - self.block_start()) as usize;
            self.blocks[from_start / BLOCK_BYTES][from_start % BLOCK_BYTES] ^= 1;
        }
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        (self.blocks.len() + usize::from(self.spare.is_some())) * BLOCK_BYTES
    }

    /// Appends bytes to the history.
    pub fn append(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |block| BLOCK_BYTES - block.len());
            if room == 0 {
                self.blocks.push_back(self.spare.take().unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES)));
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(now);
            }
            bytes = later;
        }
    }

    /// Where the bytes from `position` on are.
    pub fn whereabouts(&self, position: u64) -> Whereabouts {
        if self.active && (self.first..=self.end).contains(&position) { Whereabouts::Here } else { Whereabouts::Gone }
    }

    /// The bytes from `position` on, as at most `max` slices to be written in one call. Empty at the end.
    pub fn slices(&self, position: u64, max: usize) -> Vec<IoSlice<'_>> {
        if position < self.first || position >= self.end {
            return Vec::new();
        }
        // All blocks but the last are full, so the position tells the block; the first block may have begun earlier.
        let from_start = (position - self.block_start()) as usize;
        let (block, offset) = (from_start / BLOCK_BYTES, from_start % BLOCK_BYTES);
        let mut slices = vec![IoSlice::new(&self.blocks[block][offset..])];
        slices.extend(self.blocks.iter().skip(block + 1).take(max - 1).map(|block| IoSlice::new(block)));
        slices
    }

    /// How many blocks hold the bytes from `position` on.
    pub fn blocks_from(&self, position: u64) -> usize {
        if position >= self.end {
            return 0;
        }
        self.blocks.len() - (position.max(self.first) - self.block_start()) as usize / BLOCK_BYTES
    }

    /// The position of the first byte of the first block, which may lie before `first`.
    fn block_start(&self) -> u64 {
        let held: usize = match self.blocks.back() {
            Some(last) => (self.blocks.len() - 1) * BLOCK_BYTES + last.len(),
            None => 0,
        };
        self.end - held as u64
    }

    /// Forgets what lies before the last `keep` bytes, but nothing from `needed` on (the slowest reader's position).
    pub fn trim(&mut self, keep: u64, needed: u64) {
        let target = self.end.saturating_sub(keep).min(needed);
        if target <= self.first {
            return;
        }
        self.update_sums();
        self.first = target;
        self.times.forget_before(target);
        while self.blocks.len() > 1 && self.block_start() + BLOCK_BYTES as u64 <= target {
            if let Some(mut block) = self.blocks.pop_front() {
                block.clear();
                self.spare = Some(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn sums_tell_the_same_at_both_ends_and_notice_a_bit() {
        let mut rng = Rng::new(2);
        let (mut master, mut replica) = (ReplicationLog::default(), ReplicationLog::default());
        for (log, base) in [(&mut master, 1000), (&mut replica, 31_000)] {
            log.reset(1000);
            log.activate();
            log.append(&[7; 30_000]);
            log.begin_sums(base);
        }
        let mut from = 31_000;
        for round in 0..100 {
            let bytes: Vec<u8> = (0..rng.index(20_000)).map(|_| rng.next_u64() as u8).collect();
            for log in [&mut master, &mut replica] {
                log.append(&bytes);
                log.update_sums();
                log.trim(100_000, u64::MAX);
            }
            let to = replica.end();
            assert_eq!(master.sum_between(from, to), replica.sum_between(from, to));
            assert!(master.sum_between(from, to).is_some() && master.sum_at(to + 1).is_none());
            from = if round % 3 == 0 { to } else { from.max(replica.first()) };
        }
        for log in [&mut master, &mut replica] {
            log.append(b"*1\r\n");
        }
        replica.corrupt(replica.end() - 3);
        master.update_sums();
        replica.update_sums();
        let to = replica.end();
        assert_ne!(master.sum_between(from, to), replica.sum_between(from, to));
    }

    #[test]
    fn every_position_reads_as_in_a_plain_vector() {
        let mut rng = Rng::new(1);
        let (mut log, mut model) = (ReplicationLog::default(), Vec::new());
        log.reset(1000);
        log.activate();
        for _ in 0..300 {
            let bytes: Vec<u8> = (0..rng.index(5000)).map(|_| rng.next_u64() as u8).collect();
            log.append(&bytes);
            model.extend_from_slice(&bytes);
            log.trim(100_000, if rng.below(3) == 0 { log.first() } else { u64::MAX });
            assert_eq!(log.end(), 1000 + model.len() as u64);
            let position = log.first() + rng.below(log.len() + 1);
            let mut read = Vec::new();
            while position + (read.len() as u64) < log.end() {
                for slice in log.slices(position + read.len() as u64, 2) {
                    read.extend_from_slice(&slice);
                }
            }
            assert_eq!(read, model[(position - 1000) as usize..]);
            assert_eq!(log.whereabouts(position), Whereabouts::Here);
        }
        assert!(log.first() > 1000 && log.len() >= 100_000 && log.memory_bytes() < 100_000 + 6000 * 300);
        assert_eq!(log.whereabouts(log.first() - 1), Whereabouts::Gone);
        assert_eq!(log.whereabouts(log.end() + 1), Whereabouts::Gone);
        assert!(log.slices(log.end(), 4).is_empty());
    }
}
