//! The memory of one Lua state, counted and limited, and what else belongs to the state: the host that is lent to it,
//! and its hook.

use super::Hook;
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;

/// Lua asks for no more than this (`L_Umaxalign`).
const ALIGN: usize = 8;

/// What stands behind a state's allocator.
#[derive(Default)]
pub(super) struct Heap {
    used: Cell<usize>,
    limit: Cell<usize>,
    /// How deep we are in functions of ours. There an allocation must not fail, for Lua would jump over our frames.
    pub in_native: Cell<bool>,
    /// Who runs the script.
    pub host: Cell<Option<NonNull<dyn Any>>>,
    /// What is asked every so many instructions.
    pub hook: Cell<Option<Hook>>,
}

impl Heap {
    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// Sets how many bytes there may be; 0: any number.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// `set_limit`, telling the limit before.
    pub fn replace_limit(&self, limit: usize) -> usize {
        self.limit.replace(limit)
    }

    /// Whether more is in use than there may be: functions of ours can overdraw.
    pub fn is_overdrawn(&self) -> bool {
        self.limit.get() != 0 && self.used.get() > self.limit.get()
    }

    fn may_grow(&self, by: usize) -> bool {
        let limit = self.limit.get();
        limit == 0 || self.in_native.get() || self.used.get().saturating_add(by) <= limit
    }
}

/// Lua's allocator (`lua_Alloc`).
///
/// # Safety
///
/// `heap` is a live [`Heap`]; `block` is null or came from here with a size of `old`.
pub(super) unsafe extern "C" fn allocate(heap: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: the caller hands the heap that it was made with.
    let heap = unsafe { &*heap.cast::<Heap>() };
    let block = block.cast::<u8>();
    let old = if block.is_null() { 0 } else { old };
    if new > old && !heap.may_grow(new - old) {
        return std::ptr::null_mut();
    }
    let (Ok(old_layout), Ok(new_layout)) = (Layout::from_size_align(old, ALIGN), Layout::from_size_align(new, ALIGN))
    else {
        return std::ptr::null_mut();
    };
    // SAFETY: sizes that are not 0; the old layout is the one that the block was taken with.
    let given = unsafe {
        match (old, new) {
            (0, 0) => std::ptr::null_mut(),
            (0, _) => alloc(new_layout),
            (_, 0) => {
                dealloc(block, old_layout);
                std::ptr::null_mut()
            }
            _ => realloc(block, old_layout, new),
        }
    };
    if new > 0 && given.is_null() {
        if heap.in_native.get() {
            std::alloc::handle_alloc_error(new_layout);
        }
        return given.cast();
    }
    heap.used.set(heap.used.get() + new - old);
    given.cast()
}
