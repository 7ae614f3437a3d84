//! The memory under listpacks and intsets: one allocation behind one word.
//!
//! Such a format says its own length in its header, so neither length nor capacity is stored beside the pointer:
//! the capacity is a function of the length (the size classes of jemalloc, which would round up to them anyway),
//! and an append seldom moves. The owner passes the length in; that it is the true one is what every call here
//! relies on, and why they are `unsafe`.

use std::alloc::{self, Layout};
use std::ptr::{self, NonNull};

/// An allocation of `capacity_for(total)` bytes, all of them initialised. Its owner knows `total` and frees it.
pub(super) struct ThinBytes {
    start: NonNull<u8>,
}

// SAFETY: the allocation has one owner and no interior mutability, as in a Vec<u8>.
unsafe impl Send for ThinBytes {}
// SAFETY: as above, a shared reference only reads.
unsafe impl Sync for ThinBytes {}

/// Multiples of 8 up to 64, then four sizes to a doubling.
pub(super) fn capacity_for(total: usize) -> usize {
    if total <= 64 { total.next_multiple_of(8) } else { total.next_multiple_of(total.next_power_of_two() / 8) }
}

fn layout_for(total: usize) -> Layout {
    Layout::from_size_align(capacity_for(total), 8).expect("a compact collection is far below isize::MAX")
}

impl ThinBytes {
    /// `total` zero bytes.
    pub(super) fn zeroed(total: usize) -> Self {
        assert!(total >= 4, "every format has a header");
        let layout = layout_for(total);
        // SAFETY: the size is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => ThinBytes { start },
            None => alloc::handle_alloc_error(layout),
        }
    }

    /// The first four bytes, which every format has, as a number.
    #[inline]
    pub(super) fn first_word(&self) -> u32 {
        // SAFETY: every capacity is at least 8 bytes, and all of them are initialised.
        u32::from_le_bytes(unsafe { self.start.cast::<[u8; 4]>().read() })
    }

    /// # Safety
    /// `total` is the length last given to `zeroed` or `resize`.
    #[inline]
    pub(super) unsafe fn bytes(&self, total: usize) -> &[u8] {
        // SAFETY: the capacity of `total` is at least `total`, all initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), total) }
    }

    /// # Safety
    /// As `bytes`.
    #[inline]
    pub(super) unsafe fn bytes_mut(&mut self, total: usize) -> &mut [u8] {
        // SAFETY: as `bytes`, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), total) }
    }

    /// Makes room for `new_total` bytes. What lies past the old length is initialised, to whatever it was.
    ///
    /// # Safety
    /// As `bytes`, of `old_total`.
    #[inline]
    pub(super) unsafe fn resize(&mut self, old_total: usize, new_total: usize) {
        let (old, new) = (layout_for(old_total), layout_for(new_total));
        if old == new {
            return;
        }
        // SAFETY: the allocation was made with the layout of `old_total`; the new size is not zero.
        let start = unsafe { alloc::realloc(self.start.as_ptr(), old, new.size()) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(new) };
        if new.size() > old.size() {
            // SAFETY: the allocation is now `new.size()` bytes long.
            unsafe { ptr::write_bytes(start.as_ptr().add(old.size()), 0, new.size() - old.size()) };
        }
        self.start = start;
    }

    /// # Safety
    /// As `bytes`; and `self` is not used again.
    pub(super) unsafe fn free(&mut self, total: usize) {
        // SAFETY: the allocation was made with this layout.
        unsafe { alloc::dealloc(self.start.as_ptr(), layout_for(total)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_holds_the_total_and_wastes_little() {
        for total in 7..20_000 {
            let capacity = capacity_for(total);
            assert!(capacity >= total && capacity <= total.max(16) + total.max(64) / 4);
            assert_eq!(capacity_for(capacity), capacity);
        }
    }
}
