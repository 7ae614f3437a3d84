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
        self.first = target;
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
