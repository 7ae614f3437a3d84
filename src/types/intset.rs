//! Intset: a sorted array of distinct integers, all of one width (ancestor: `intset.c`).
//!
//! ```text
//! [width: u32 LE, 2 4 or 8] [count: u32 LE] [integer: signed LE of that width]*   ascending
//! ```
//!
//! The bytes in memory are the bytes of the format. The width grows with the widest integer added and, as in the C,
//! never shrinks. The owner is one pointer (`thin.rs`).

use super::thin::{self, ThinBytes};
use crate::base::rng::Rng;

const HEADER: usize = 8;

/// An owned intset. One word.
pub struct IntSet {
    /// Always a whole header, whose width and count give the length (`length_said`).
    memory: ThinBytes,
}

/// Length in bytes of a set of `count` integers of `width` bytes.
fn length_of(width: usize, count: usize) -> usize {
    HEADER + width * count
}

fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[inline]
fn read(bytes: &[u8], width: usize, index: usize) -> i64 {
    let at = HEADER + width * index;
    let slot = &bytes[at..at + width];
    match width {
        2 => i64::from(i16::from_le_bytes(slot.try_into().expect("two bytes"))),
        4 => i64::from(i32::from_le_bytes(slot.try_into().expect("four bytes"))),
        _ => i64::from_le_bytes(slot.try_into().expect("eight bytes")),
    }
}

#[inline]
fn write(bytes: &mut [u8], width: usize, index: usize, value: i64) {
    let at = HEADER + width * index;
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() < HEADER {
        return false;
    }
    let width = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let count = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    let fits = matches!(width, 2 | 4 | 8) && length_of(width, count) == bytes.len();
    fits && (1..count).all(|index| read(bytes, width, index - 1) < read(bytes, width, index))
}

impl IntSet {
    pub fn new() -> Self {
        Self::allocate(2, 0)
    }

    /// Takes a copy of bytes in the format, or None if they are not (or not ascending).
    pub fn from_bytes_validated(bytes: &[u8]) -> Option<Self> {
        is_valid(bytes).then(|| {
            let mut memory = ThinBytes::zeroed(bytes.len());
            // SAFETY: this is the length just asked for.
            unsafe { memory.bytes_mut(bytes.len()).copy_from_slice(bytes) };
            IntSet { memory }
        })
    }

    fn allocate(width: usize, count: usize) -> Self {
        let total = length_of(width, count);
        let mut memory = ThinBytes::zeroed(total);
        // SAFETY: `total` is the length just asked for.
        write_header(unsafe { memory.bytes_mut(total) }, width, count);
        IntSet { memory }
    }

    #[inline]
    fn width(&self) -> usize {
        self.memory.first_word() as usize
    }

    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: no set is shorter than its header.
        let header = unsafe { self.memory.bytes(HEADER) };
        u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn total_bytes(&self) -> usize {
        length_of(self.width(), self.len())
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the header gives the length of the memory, always.
        unsafe { self.memory.bytes(self.total_bytes()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let total = self.total_bytes();
        // SAFETY: as in `as_bytes`.
        unsafe { self.memory.bytes_mut(total) }
    }

    /// Bytes taken from the allocator.
    pub fn memory_bytes(&self) -> usize {
        thin::capacity_for(self.total_bytes())
    }

    /// The integer of rank `index`, ascending.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| read(self.as_bytes(), self.width(), index))
    }

    /// The rank of `value`, or the rank it would have.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (bytes, width, count) = (self.as_bytes(), self.width(), self.len());
        // A new member is mostly the greatest: integers come in order.
        if count > 0 && value > read(bytes, width, count - 1) {
            return Err(count);
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = read(bytes, width, middle);
            if found < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match self.get(low) {
            Some(found) if found == value => Ok(low),
            _ => Err(low),
        }
    }

    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// True if `value` was not there.
    pub fn add(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            self.widen(width_of(value));
        }
        let Err(index) = self.search(value) else { return false };
        let (width, count) = (self.width(), self.len());
        let (old_total, new_total) = (length_of(width, count), length_of(width, count + 1));
        // SAFETY: `old_total` is the length; the header says the new one before anyone else looks.
        let bytes = unsafe {
            self.memory.resize(old_total, new_total);
            self.memory.bytes_mut(new_total)
        };
        let at = length_of(width, index);
        bytes.copy_within(at..old_total, at + width);
        write(bytes, width, index, value);
        write_header(bytes, width, count + 1);
        true
    }

    /// True if `value` was there.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else { return false };
        let (width, count) = (self.width(), self.len());
        let (old_total, new_total) = (length_of(width, count), length_of(width, count - 1));
        let at = length_of(width, index);
        let bytes = self.bytes_mut();
        bytes.copy_within(at + width..old_total, at);
        write_header(bytes, width, count - 1);
        // SAFETY: `old_total` is the length of the memory, which from here on is `new_total`.
        unsafe { self.memory.resize(old_total, new_total) };
        true
    }

    /// Rewrites every integer in `width` bytes.
    fn widen(&mut self, width: usize) {
        let mut wide = Self::allocate(width, self.len());
        let bytes = wide.bytes_mut();
        for (index, value) in self.iter().enumerate() {
            write(bytes, width, index, value);
        }
        *self = wide;
    }

    /// Each member with the same chance; None when there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<i64> {
        match self.len() {
            0 => None,
            count => self.get(rng.index(count)),
        }
    }

    /// Ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        let (bytes, width) = (self.as_bytes(), self.width());
        (0..self.len()).map(move |index| read(bytes, width, index))
    }
}

fn write_header(bytes: &mut [u8], width: usize, count: usize) {
    let count = u32::try_from(count).expect("an intset is below 4 Gi members");
    bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
    bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
}

impl Drop for IntSet {
    fn drop(&mut self) {
        let total = self.total_bytes();
        // SAFETY: `total` is the length, and this is the end.
        unsafe { self.memory.free(total) };
    }
}

impl Clone for IntSet {
    fn clone(&self) -> Self {
        let mut copy = Self::allocate(self.width(), self.len());
        copy.bytes_mut().copy_from_slice(self.as_bytes());
        copy
    }
}

impl Default for IntSet {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for IntSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl std::fmt::Debug for IntSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

const _: () = assert!(size_of::<IntSet>() == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn assert_same(set: &IntSet, twin: &BTreeSet<i64>) {
        assert!(set.iter().eq(twin.iter().copied()));
        assert!(set.iter().rev().eq(twin.iter().rev().copied()));
        assert_eq!(set.len(), twin.len());
        assert_eq!(IntSet::from_bytes_validated(set.as_bytes()).as_ref(), Some(set));
    }

    #[test]
    fn changes_agree_with_a_tree() {
        let mut rng = Rng::new(5);
        for _ in 0..60 {
            let (mut set, mut twin) = (IntSet::new(), BTreeSet::new());
            let bits = 4 + rng.below(60);
            for _ in 0..200 {
                let value = (rng.next_u64() as i64) >> (63 - bits).max(rng.below(64));
                assert_eq!(set.contains(value), twin.contains(&value));
                if rng.below(3) == 0 {
                    let member = set.random(&mut rng);
                    assert_eq!(member.is_none(), twin.is_empty());
                    let value = member.unwrap_or(value);
                    assert_eq!(set.remove(value), twin.remove(&value));
                } else {
                    assert_eq!(set.add(value), twin.insert(value));
                }
                assert_same(&set, &twin);
            }
            assert_eq!(set.get(0), twin.first().copied());
            assert_eq!(set.get(set.len()), None);
        }
    }

    #[test]
    fn the_width_grows_at_the_limits_of_each() {
        let limits = [
            (i64::from(i16::MAX), 2),
            (i64::from(i16::MIN), 2),
            (i64::from(i16::MAX) + 1, 4),
            (i64::from(i32::MIN), 4),
            (i64::from(i32::MIN) - 1, 8),
            (i64::MAX, 8),
        ];
        let mut set = IntSet::new();
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]);
        for (value, width) in limits {
            assert!(set.add(value));
            assert_eq!(set.width(), width, "after {value}");
            assert!(set.contains(value));
        }
        assert!(set.iter().is_sorted());
        assert_eq!(set.as_bytes().len(), 8 + 6 * 8);
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut set = IntSet::new();
        assert_eq!([5, -1, 300, 5].map(|value| set.add(value)), [true, true, true, false]);
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 3, 0, 0, 0, 0xFF, 0xFF, 5, 0, 44, 1]);
    }

    #[test]
    fn damaged_bytes_are_refused_or_readable() {
        for widest in [7, 70_000, 1 << 40] {
            let mut set = IntSet::new();
            assert_eq!([1, 2, -3, widest].map(|value| set.add(value)), [true; 4]);
            let whole = set.as_bytes();
            assert!((0..whole.len()).all(|cut| IntSet::from_bytes_validated(&whole[..cut]).is_none()));
            for index in 0..whole.len() {
                for bits in 1..=255u8 {
                    let mut damaged = whole.to_vec();
                    damaged[index] ^= bits;
                    if let Some(set) = IntSet::from_bytes_validated(&damaged) {
                        assert!(index >= HEADER);
                        assert!(set.iter().collect::<Vec<_>>().is_sorted_by(|a, b| a < b));
                    }
                }
            }
        }
        let twice = [2, 0, 0, 0, 2, 0, 0, 0, 7, 0, 7, 0];
        assert!(IntSet::from_bytes_validated(&twice).is_none());
    }
}
