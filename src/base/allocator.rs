//! The allocator of the program: jemalloc, built with size classes of eight bytes.
//!
//! The build sets `--with-lg-quantum=3` (`.cargo/config.toml`), which spares the data set some bytes per key. With it a
//! plain `malloc` promises eight bytes of alignment, not sixteen, so whatever asks for more says so here.
//!
//! Deliberately absent: `GlobalAlloc` of `tikv-jemallocator`, which takes sixteen for granted.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_int;
use tikv_jemalloc_sys as jemalloc;

/// What each block is aligned to without asking.
const QUANTUM: usize = 8;

/// jemalloc.
pub struct Allocator;

#[inline]
fn flags(align: usize) -> c_int {
    if align <= QUANTUM { 0 } else { jemalloc::MALLOCX_ALIGN(align) }
}

// SAFETY: jemalloc gives blocks of at least the size and, by the flags, the alignment asked for, or null; blocks go back
// with the size and the flags that they were made with. It does not unwind.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises that the size is not zero.
        let block = unsafe {
            match flags(layout.align()) {
                0 => jemalloc::malloc(layout.size()),
                flags => jemalloc::mallocx(layout.size(), flags),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe {
            match flags(layout.align()) {
                0 => jemalloc::calloc(1, layout.size()),
                flags => jemalloc::mallocx(layout.size(), flags | jemalloc::MALLOCX_ZERO),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the block is ours and was made with this layout.
        unsafe { jemalloc::sdallocx(block.cast(), layout.size(), flags(layout.align())) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`, and the new size is not zero.
        let block = unsafe {
            match flags(layout.align()) {
                0 => jemalloc::realloc(block.cast(), new_size),
                flags => jemalloc::rallocx(block.cast(), new_size, flags),
            }
        };
        block.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_as_asked_whatever_their_size() {
        for align in [1, 8, 16, 32, 64, 4096] {
            for size in (1..200).chain([1000, 4097]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // Several at once, so that not each is the first of its page.
                // SAFETY: the size is not zero, and each block goes back with the layout it has by then.
                unsafe {
                    let blocks: Vec<*mut u8> = (0..5).map(|_| Allocator.alloc(layout)).collect();
                    for block in blocks {
                        assert!((block as usize).is_multiple_of(align), "{size} bytes aligned to {align}");
                        block.write_bytes(7, size);
                        let grown = Allocator.realloc(block, layout, size * 3);
                        assert!((grown as usize).is_multiple_of(align) && *grown.add(size - 1) == 7);
                        Allocator.dealloc(grown, Layout::from_size_align(size * 3, align).unwrap());
                    }
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!((zeroed as usize).is_multiple_of(align) && (0..size).all(|at| *zeroed.add(at) == 0));
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }

    #[test]
    fn the_build_has_classes_of_eight_bytes() {
        // SAFETY: only asks what a block of so many bytes would have.
        assert_eq!(unsafe { jemalloc::nallocx(40, 0) }, 40, "JEMALLOC_SYS_WITH_LG_QUANTUM was not set in the build");
    }
}
