//! Lua 5.1 behind a safe door: a state, its stack, functions of ours that scripts may call.
//!
//! The C library is the stock one (5.1.5). It reports errors by `longjmp`, and a jump over a Rust frame that owns
//! anything is undefined. So nothing that may raise is ever called from such a frame:
//!
//! - functions of ours return a [`Raise`], which the trampoline turns into Lua's error once they have returned;
//! - what a [`Stack`] offers is what cannot raise: raw access, and protected calls;
//! - memory runs out only in Lua's own code. In ours the allocator may overdraw; the trampoline settles that.
//!
//! What Redis's scripts need beyond that (read-only tables, the sandbox) is made in `scripting/` out of these parts. Here
//! is what keeps known flaws of 5.1 out: the collector stands still while a chunk is parsed (CVE-2025-49844), a chunk is
//! text and never longer than [`CHUNK_LEN_MAX`] (CVE-2025-46819, and all that crafted bytecode can do).
//!
//! Deliberately absent: userdata, references that free themselves, threads.

mod heap;
mod stack;
#[cfg(test)]
mod tests;

pub use stack::{Kind, Position, Raise, Reference, Stack};

use heap::Heap;
use mlua_sys as ffi;
use std::any::Any;
use std::ffi::c_int;
use std::ptr::NonNull;

/// A function of ours that scripts may call. Its arguments are on the stack; it pushes its results and tells how many.
pub type Native = fn(&mut Stack<'_>) -> Result<usize, Raise>;

/// What is asked every so many instructions of a script: whether it may go on.
pub type Hook = fn(&mut Stack<'_>) -> Result<(), Raise>;

/// The longest chunk, in bytes. The lexer counts the signs of a long bracket in an `int` and doubles it.
pub const CHUNK_LEN_MAX: usize = 1 << 29;

/// As many values a function of ours may push beside its arguments without asking.
const NATIVE_ROOM: i32 = 20;

/// The libraries of Lua that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// `print`, `pairs`, `coroutine` and so on.
    Base,
    /// `table`
    Table,
    /// `string`
    String,
    /// `math`
    Math,
}

/// A Lua state.
pub struct Lua {
    state: *mut ffi::lua_State,
    heap: Box<Heap>,
}

impl Lua {
    /// A state without any library. None if there is no memory for it.
    pub fn new() -> Option<Lua> {
        let heap = Box::<Heap>::default();
        let data = std::ptr::from_ref(&*heap).cast_mut().cast();
        // SAFETY: the heap lives as long as the state.
        let state = unsafe { ffi::lua_newstate(heap::allocate, data) };
        (!state.is_null()).then_some(Lua { state, heap })
    }

    /// Opens a library.
    pub fn open(&mut self, library: Library) {
        let (open, name) = match library {
            Library::Base => (ffi::luaopen_base as ffi::lua_CFunction, c""),
            Library::Table => (ffi::luaopen_table as ffi::lua_CFunction, c"table"),
            Library::String => (ffi::luaopen_string as ffi::lua_CFunction, c"string"),
            Library::Math => (ffi::luaopen_math as ffi::lua_CFunction, c"math"),
        };
        let limit = self.heap.replace_limit(0);
        // SAFETY: the call is protected, and pushing a function and a short name needs two slots.
        unsafe {
            ffi::lua_pushcclosure(self.state, open, 0);
            ffi::lua_pushstring_(self.state, name.as_ptr());
            ffi::lua_pcall(self.state, 1, 0, 0);
        }
        self.heap.set_limit(limit);
    }

    /// The state's stack.
    pub fn stack(&mut self) -> Stack<'_> {
        Stack::of(self.state, &self.heap)
    }

    /// Works with the stack while functions of ours can reach `host` (`Stack::with_host`).
    pub fn lend<T: Any, R>(&mut self, host: &mut T, work: impl FnOnce(&mut Stack<'_>) -> R) -> R {
        struct Return<'a>(&'a Heap, Option<NonNull<dyn Any>>);
        impl Drop for Return<'_> {
            fn drop(&mut self) {
                self.0.host.set(self.1);
            }
        }
        let before = self.heap.host.replace(Some(NonNull::from(host as &mut dyn Any)));
        let _end = Return(&self.heap, before);
        work(&mut Stack::of(self.state, &self.heap))
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.heap.used()
    }

    /// Sets how many bytes there may be; 0: any number.
    pub fn set_memory_limit(&mut self, limit: usize) {
        self.heap.set_limit(limit);
    }

    /// Asks `hook` every so many instructions, in this state and in coroutines made from now on.
    pub fn set_hook(&mut self, hook: Hook, every: i32) {
        self.heap.hook.set(Some(hook));
        self.stack().hook_every(every);
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        // SAFETY: the state was made in `new` and is closed once; its heap is still there.
        unsafe { ffi::lua_close(self.state) };
    }
}

/// What Lua calls where a function of ours is called: runs it, and raises its error when nothing of it is left.
unsafe extern "C-unwind" fn trampoline(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with a live state. This frame owns nothing, so the error may jump over it.
    unsafe {
        let count = run_native(state);
        if count < 0 {
            ffi::lua_error(state);
        }
        count
    }
}

/// Runs the function in the first upvalue: how many results it pushed, or −1 with an error on the stack. A panic ends
/// the program here, for it must not unwind through C.
unsafe extern "C" fn run_native(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `Stack::push_native` made the closure and put a `Native` into its upvalue.
    let native = unsafe {
        let stored = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        std::mem::transmute::<*mut std::ffi::c_void, Native>(stored)
    };
    // SAFETY: the state is live and was made by `Lua::new`.
    let mut stack = unsafe { Stack::of_state(state) };
    stack.settle(|stack| {
        if !stack.reserve(NATIVE_ROOM) {
            return Err(Raise::Plain(b"stack overflow".to_vec()));
        }
        native(stack).map(|count| count as c_int)
    })
}

/// What Lua calls every so many instructions.
unsafe extern "C-unwind" fn hook_trampoline(state: *mut ffi::lua_State, _event: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with a live state. This frame owns nothing, so the error may jump over it.
    unsafe {
        if run_hook(state) < 0 {
            ffi::lua_error(state);
        }
    }
}

unsafe extern "C" fn run_hook(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the state is live and was made by `Lua::new`.
    let mut stack = unsafe { Stack::of_state(state) };
    match stack.hook() {
        Some(hook) => stack.settle(|stack| hook(stack).map(|()| 0)),
        None => 0,
    }
}
