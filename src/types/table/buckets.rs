//! The buckets of a table: seven entries with their tags in one cache line, and the blocks of memory that they stand in.
//!
//! Deliberately absent: growth and search, which are the table's (`table.rs`).

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::mem::ManuallyDrop;

/// Entries in a bucket that has no child.
pub(super) const SLOTS: usize = 7;
/// Buckets in a chunk; the first may be smaller.
pub(super) const CHUNK_BUCKETS: usize = 1024;
pub(super) const CHAINED: u64 = 0x80 << 56;
const TAG_BITS: u64 = 0x00ff_ffff_ffff_ffff;
const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

pub(super) union Slot<T> {
    pub(super) entry: ManuallyDrop<T>,
    pub(super) child: *mut Bucket<T>,
}

#[repr(C, align(64))]
pub(super) struct Bucket<T> {
    /// Seven tags and the marks byte, little end first.
    pub(super) tags: u64,
    pub(super) slots: [Slot<T>; SLOTS],
}

/// One bit (the highest) in each byte of `word` that is zero, exactly.
#[inline]
pub(super) fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

#[inline]
pub(super) fn tag_of(hash: u64) -> u64 {
    (hash >> 56).max(1)
}

impl<T> Bucket<T> {
    #[inline]
    pub(super) fn is_chained(&self) -> bool {
        self.tags & CHAINED != 0
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        SLOTS - usize::from(self.is_chained())
    }

    /// The candidates for `tag`: the high bit of each byte whose tag is equal. Never an empty slot or the child.
    #[inline]
    pub(super) fn matches(&self, tag: u64) -> u64 {
        zero_bytes(self.tags ^ (tag * 0x0001_0101_0101_0101)) & TAG_BITS
    }

    #[inline]
    pub(super) fn free_slot(&self) -> Option<usize> {
        let free = zero_bytes(self.tags) & TAG_BITS;
        let slot = (free.trailing_zeros() / 8) as usize;
        (slot < self.capacity()).then_some(slot)
    }

    pub(super) fn count(&self) -> usize {
        SLOTS - (zero_bytes(self.tags) & TAG_BITS).count_ones() as usize
    }

    #[inline]
    pub(super) fn tag(&self, slot: usize) -> u64 {
        (self.tags >> (slot * 8)) & 0xff
    }

    pub(super) fn is_marked(&self, slot: usize) -> bool {
        self.tags & (1 << (56 + slot)) != 0
    }

    pub(super) fn set_mark(&mut self, slot: usize, mark: bool) {
        let bit = 1 << (56 + slot);
        self.tags = if mark { self.tags | bit } else { self.tags & !bit };
    }

    #[inline]
    pub(super) fn put(&mut self, slot: usize, tag: u64, mark: bool, entry: T) {
        self.tags |= tag << (slot * 8);
        self.set_mark(slot, mark);
        self.slots[slot].entry = ManuallyDrop::new(entry);
    }

    /// Moves an entry out and leaves its slot empty.
    pub(super) fn take(&mut self, slot: usize) -> (u64, bool, T) {
        let (tag, mark) = (self.tag(slot), self.is_marked(slot));
        debug_assert_ne!(tag, 0);
        self.tags &= !(0xff << (slot * 8));
        self.set_mark(slot, false);
        // SAFETY: a slot with a tag holds an entry; with the tag gone nobody reads it again.
        (tag, mark, unsafe { ManuallyDrop::take(&mut self.slots[slot].entry) })
    }

    #[inline]
    pub(super) fn child(&self) -> *mut Bucket<T> {
        if !self.is_chained() {
            return std::ptr::null_mut();
        }
        // SAFETY: the chained bit says that slot 6 holds the address of a child.
        unsafe { self.slots[SLOTS - 1].child }
    }

    /// The occupied slots, as a bit per byte.
    pub(super) fn occupied(&self) -> u64 {
        !zero_bytes(self.tags) & 0x0080_8080_8080_8080
    }
}

/// The slots whose bytes have a bit set.
#[inline]
pub(super) fn slots_of(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let slot = (bits.trailing_zeros() / 8) as usize;
            bits &= bits - 1;
            slot
        })
    })
}

pub(super) fn bucket_layout<T>(count: usize) -> Layout {
    Layout::array::<Bucket<T>>(count).expect("a chunk is far smaller than the address space")
}

/// Empty buckets.
///
/// # Safety
/// `count` must not be 0.
pub(super) unsafe fn allocate_buckets<T>(count: usize) -> *mut Bucket<T> {
    let layout = bucket_layout::<T>(count);
    // SAFETY: the caller says that the layout has a size.
    let block = unsafe { alloc_zeroed(layout) };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block.cast()
}
