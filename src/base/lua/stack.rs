//! The stack of a Lua state: values in and out, tables, protected calls.
//!
//! Indices are Lua's: from 1 at the bottom of the running function, or from −1 down from the top.

use super::heap::Heap;
use super::{CHUNK_LEN_MAX, Hook, Native, hook_trampoline, trampoline};
use mlua_sys as ffi;
use std::any::Any;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;

/// An error that a function of ours raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raise {
    /// A text, behind the place of the call.
    Error(Vec<u8>),
    /// A text as it is.
    Plain(Vec<u8>),
    /// The value on top of the stack.
    Value,
    /// What is wrong with this argument.
    Argument(i32, Vec<u8>),
}

impl Raise {
    /// A text, behind the place of the call.
    pub fn error(text: impl Into<String>) -> Raise {
        Raise::Error(text.into().into_bytes())
    }

    /// What is wrong with this argument.
    pub fn argument(index: i32, text: impl Into<String>) -> Raise {
        Raise::Argument(index, text.into().into_bytes())
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such argument.
    None,
    /// `nil`
    Nil,
    /// `true` or `false`
    Boolean,
    /// A bare pointer; one of ours is a mere mark.
    LightUserdata,
    /// A double.
    Number,
    /// Bytes.
    Str,
    /// A table.
    Table,
    /// A function.
    Function,
    /// Anything else.
    Other,
}

/// A value kept in the registry until it is released.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference(c_int);

/// Where a function on the stack stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The chunk's name as Lua shows it.
    pub source: Vec<u8>,
    /// The chunk's name as it was given, with its first sign.
    pub name: Vec<u8>,
    /// The line, −1 in a function that is not Lua's.
    pub line: i32,
}

/// The stack.
pub struct Stack<'a> {
    state: *mut ffi::lua_State,
    heap: &'a Heap,
    lent: PhantomData<&'a mut ()>,
}

impl<'a> Stack<'a> {
    pub(super) fn of(state: *mut ffi::lua_State, heap: &'a Heap) -> Self {
        Stack { state, heap, lent: PhantomData }
    }

    /// The stack of a running function.
    ///
    /// # Safety
    ///
    /// The state is live for `'a`, and `Lua::new` made it or the state that it is a coroutine of.
    pub(super) unsafe fn of_state(state: *mut ffi::lua_State) -> Self {
        let mut heap = std::ptr::null_mut();
        // SAFETY: `Lua::new` gave its heap to the allocator, and it lives as long as the state.
        let heap = unsafe {
            ffi::lua_getallocf(state, &raw mut heap);
            &*heap.cast::<Heap>()
        };
        Stack::of(state, heap)
    }

    /// Runs a function of ours, in which memory cannot run out: its result, or −1 with the error on the stack.
    pub(super) fn settle(&mut self, work: impl FnOnce(&mut Self) -> Result<c_int, Raise>) -> c_int {
        let before = self.heap.in_native.replace(true);
        let outcome = work(self);
        let mut count = outcome.unwrap_or_else(|raise| {
            self.push_raise(raise);
            -1
        });
        if count >= 0 && self.heap.is_overdrawn() {
            self.collect();
            if self.heap.is_overdrawn() {
                self.set_top(0);
                self.collect();
                self.push_bytes(b"not enough memory");
                count = -1;
            }
        }
        self.heap.in_native.set(before);
        count
    }

    pub(super) fn hook(&self) -> Option<Hook> {
        self.heap.hook.get()
    }

    /// Has the hook asked every so many instructions of the running coroutine.
    pub fn hook_every(&mut self, instructions: i32) {
        // SAFETY: the state is live.
        unsafe { ffi::lua_sethook(self.state, Some(hook_trampoline), ffi::LUA_MASKCOUNT, instructions) };
    }

    /// Works with the host that runs the script. An error if there is none, or if it is at work already.
    pub fn with_host<T: Any, R>(&mut self, work: impl FnOnce(&mut T, &mut Self) -> R) -> Result<R, Raise> {
        let mut pointer = self.heap.host.take().ok_or_else(|| Raise::error("no server runs this script"))?;
        // SAFETY: `Lua::lend` borrows the host for as long as the pointer is there, and whoever works with it has
        // taken the pointer away, so there is no second reference.
        let outcome = unsafe { pointer.as_mut() }.downcast_mut::<T>().map(|host| work(host, self));
        self.heap.host.set(Some(pointer));
        outcome.ok_or_else(|| Raise::error("another kind of server runs this script"))
    }

    // ---- sizes

    /// How many values there are.
    pub fn top(&self) -> i32 {
        // SAFETY: the state is live.
        unsafe { ffi::lua_gettop(self.state) }
    }

    /// Drops values, or adds nils, until there are so many.
    pub fn set_top(&mut self, top: i32) {
        assert!(top >= 0);
        self.room(top - self.top());
        // SAFETY: there is room.
        unsafe { ffi::lua_settop(self.state, top) };
    }

    /// Drops so many values.
    pub fn pop(&mut self, count: i32) {
        self.set_top(self.top() - count);
    }

    /// Makes room for so many values more. `false`: a stack holds no more than some thousands.
    pub fn reserve(&mut self, count: i32) -> bool {
        // SAFETY: the state is live.
        count <= 0 || unsafe { ffi::lua_checkstack(self.state, count) != 0 }
    }

    fn room(&mut self, count: i32) {
        assert!(self.reserve(count), "the stack of a script is full");
    }

    /// An index from the bottom.
    pub fn absolute(&self, index: i32) -> i32 {
        if index < 0 && index > ffi::LUA_REGISTRYINDEX { self.top() + 1 + index } else { index }
    }

    fn check(&self, index: i32) {
        let top = self.top();
        assert!((1..=top).contains(&self.absolute(index)) || index <= ffi::LUA_REGISTRYINDEX, "no value at {index}");
    }

    fn check_table(&self, index: i32) {
        self.check(index);
        assert!(self.kind(index) == Kind::Table, "no table at {index}");
    }

    // ---- values out

    /// The type of a value.
    pub fn kind(&self, index: i32) -> Kind {
        // SAFETY: the state is live; an index above the top is answered with "none".
        match unsafe { ffi::lua_type(self.state, index) } {
            ffi::LUA_TNONE => Kind::None,
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::Str,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            _ => Kind::Other,
        }
    }

    /// The name of a value's type, as scripts see it; `no value` if there is none.
    pub fn kind_name(&self, index: i32) -> &'static str {
        // SAFETY: the state is live, and the names are literals of the library.
        let name = unsafe { CStr::from_ptr(ffi::lua_typename(self.state, ffi::lua_type(self.state, index))) };
        name.to_str().unwrap_or_default()
    }

    /// Whether a value is neither nil nor false.
    pub fn boolean(&self, index: i32) -> bool {
        // SAFETY: the state is live.
        unsafe { ffi::lua_toboolean(self.state, index) != 0 }
    }

    /// A number, or what a string spells.
    pub fn number(&self, index: i32) -> Option<f64> {
        // SAFETY: the state is live.
        unsafe { (ffi::lua_isnumber(self.state, index) != 0).then(|| ffi::lua_tonumber(self.state, index)) }
    }

    /// The bytes of a string; of nothing else.
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        if self.kind(index) != Kind::Str {
            return None;
        }
        let mut len = 0;
        // SAFETY: it is a string, and it stays where it is while it is on the stack, which nobody changes meanwhile.
        unsafe {
            let start = ffi::lua_tolstring(self.state, index, &raw mut len);
            Some(std::slice::from_raw_parts(start.cast(), len))
        }
    }

    /// The bytes of a string, or of a number, which becomes a string where it stands.
    pub fn to_bytes(&mut self, index: i32) -> Option<&[u8]> {
        if self.kind(index) == Kind::Number {
            // SAFETY: converting a number takes some memory, and memory does not run out here.
            self.sure(|state| unsafe { ffi::lua_tolstring(state, index, std::ptr::null_mut()) });
        }
        self.bytes(index)
    }

    /// The mark in a light userdata.
    pub fn mark(&self, index: i32) -> Option<usize> {
        // SAFETY: the state is live.
        (self.kind(index) == Kind::LightUserdata).then(|| unsafe { ffi::lua_touserdata(self.state, index) } as usize)
    }

    /// The address of a table, function or the like, to tell it from others; 0 of other values.
    pub fn address(&self, index: i32) -> usize {
        // SAFETY: the state is live.
        unsafe { ffi::lua_topointer(self.state, index) as usize }
    }

    /// The length of a string or a table (a border of it, as `#` tells), without metamethods.
    pub fn raw_len(&self, index: i32) -> usize {
        match self.kind(index) {
            // SAFETY: of these it takes no memory.
            Kind::Str | Kind::Table => unsafe { ffi::lua_objlen(self.state, index) },
            _ => 0,
        }
    }

    /// Whether two values are the same, without metamethods.
    pub fn raw_equal(&self, one: i32, other: i32) -> bool {
        // SAFETY: the state is live.
        unsafe { ffi::lua_rawequal(self.state, one, other) != 0 }
    }

    // ---- arguments

    /// An argument that must be a string or a number.
    pub fn check_bytes(&mut self, index: i32) -> Result<&[u8], Raise> {
        match self.kind(index) {
            Kind::Str | Kind::Number => Ok(self.to_bytes(index).unwrap_or_default()),
            _ => Err(self.wrong_kind(index, "string")),
        }
    }

    /// An argument that must be a number or spell one.
    pub fn check_number(&self, index: i32) -> Result<f64, Raise> {
        self.number(index).ok_or_else(|| self.wrong_kind(index, "number"))
    }

    /// An argument that must be a number or spell one, without what stands behind its point.
    pub fn check_integer(&self, index: i32) -> Result<i64, Raise> {
        self.check_number(index).map(|number| number as i64)
    }

    /// An argument that must be a table.
    pub fn check_is_table(&self, index: i32) -> Result<(), Raise> {
        if self.kind(index) == Kind::Table { Ok(()) } else { Err(self.wrong_kind(index, "table")) }
    }

    /// An argument that must be there.
    pub fn check_any(&self, index: i32) -> Result<(), Raise> {
        if self.kind(index) == Kind::None { Err(Raise::argument(index, "value expected")) } else { Ok(()) }
    }

    /// The complaint about an argument of another type.
    pub fn wrong_kind(&self, index: i32, expected: &str) -> Raise {
        Raise::argument(index, format!("{expected} expected, got {}", self.kind_name(index)))
    }

    // ---- values in

    /// Runs what may take memory, which does not run out meanwhile.
    fn sure<R>(&mut self, work: impl FnOnce(*mut ffi::lua_State) -> R) -> R {
        let before = self.heap.in_native.replace(true);
        let outcome = work(self.state);
        self.heap.in_native.set(before);
        outcome
    }

    /// `nil`
    pub fn push_nil(&mut self) {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.state) };
    }

    /// `true` or `false`
    pub fn push_boolean(&mut self, value: bool) {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) };
    }

    /// A number.
    pub fn push_number(&mut self, value: f64) {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.state, value) };
    }

    /// A string.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.room(1);
        // SAFETY: there is room, and memory does not run out.
        self.sure(|state| unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) });
    }

    /// A light userdata with a mark in it.
    pub fn push_mark(&mut self, mark: usize) {
        self.room(1);
        // SAFETY: there is room; nobody follows the pointer.
        unsafe { ffi::lua_pushlightuserdata(self.state, mark as *mut _) };
    }

    /// A function of ours.
    pub fn push_native(&mut self, native: Native) {
        self.room(2);
        // SAFETY: there is room, and memory does not run out. The trampoline takes the upvalue for what it is.
        self.sure(|state| unsafe {
            ffi::lua_pushlightuserdata(state, native as *mut _);
            ffi::lua_pushcclosure(state, trampoline, 1);
        });
    }

    /// A function of ours that holds on to the value on top, which it replaces.
    pub fn push_native_with(&mut self, native: Native) {
        self.check(-1);
        self.room(2);
        // SAFETY: as in `push_native`; the value on top is the second upvalue.
        self.sure(|state| unsafe {
            ffi::lua_pushlightuserdata(state, native as *mut _);
            ffi::lua_insert(state, -2);
            ffi::lua_pushcclosure(state, trampoline, 2);
        });
    }

    /// Replaces the function of C on top by one that calls it unless an argument that is a string is too long.
    pub fn push_limited(&mut self, argument: i32, len_max: usize, complaint: &'static CStr) {
        self.check(-1);
        self.room(4);
        // SAFETY: there is room, and memory does not run out. `limited` takes the upvalues for what they are: the
        // address of a function, which is one of C, two numbers, and a string that lives for ever.
        self.sure(|state| unsafe {
            let Some(function) = ffi::lua_tocfunction(state, -1) else { return };
            ffi::lua_pushlightuserdata(state, function as *mut _);
            ffi::lua_pushlightuserdata(state, argument as usize as *mut _);
            ffi::lua_pushlightuserdata(state, len_max as *mut _);
            ffi::lua_pushlightuserdata(state, complaint.as_ptr().cast_mut().cast());
            ffi::lua_pushcclosure(state, limited, 4);
            ffi::lua_replace(state, -2);
        });
    }

    /// The value that the running function holds on to.
    pub fn push_upvalue(&mut self) {
        self.room(1);
        // SAFETY: there is room; a function that holds on to nothing gets nil.
        unsafe { ffi::lua_pushvalue(self.state, ffi::lua_upvalueindex(2)) };
    }

    /// A copy of a value.
    pub fn push_value(&mut self, index: i32) {
        self.check(index);
        self.room(1);
        // SAFETY: there is room, and a value.
        unsafe { ffi::lua_pushvalue(self.state, index) };
    }

    /// An empty table with room for so many elements in order and so many others.
    pub fn push_table(&mut self, elements: usize, fields: usize) {
        self.room(1);
        let (elements, fields) = (elements.min(1 << 24) as c_int, fields.min(1 << 24) as c_int);
        // SAFETY: there is room, and memory does not run out.
        self.sure(|state| unsafe { ffi::lua_createtable(state, elements, fields) });
    }

    /// The table of global variables.
    pub fn push_globals(&mut self) {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_pushvalue(self.state, ffi::LUA_GLOBALSINDEX) };
    }

    /// Takes the table on top for that of the global variables.
    pub fn set_globals(&mut self) {
        self.check_table(-1);
        // SAFETY: it is a table.
        unsafe { ffi::lua_replace(self.state, ffi::LUA_GLOBALSINDEX) };
    }

    /// Gives a function of Lua the table on top for its global variables.
    pub fn set_environment(&mut self, function: i32) {
        self.check_table(-1);
        self.check(function);
        // SAFETY: it is a table.
        unsafe { ffi::lua_setfenv(self.state, function) };
    }

    /// Takes the value on top away and puts it before the one at `index`.
    pub fn insert(&mut self, index: i32) {
        self.check(index);
        // SAFETY: there are values.
        unsafe { ffi::lua_insert(self.state, index) };
    }

    /// Takes the value on top away and puts it in place of the one at `index`.
    pub fn replace(&mut self, index: i32) {
        self.check(index);
        // SAFETY: there are values.
        unsafe { ffi::lua_replace(self.state, index) };
    }

    /// Takes a value out from between others.
    pub fn remove(&mut self, index: i32) {
        self.check(index);
        // SAFETY: there is a value.
        unsafe { ffi::lua_remove(self.state, index) };
    }

    // ---- tables, without metamethods

    /// Replaces the key on top by its value in a table.
    pub fn raw_get(&mut self, table: i32) {
        self.check_table(table);
        // SAFETY: a table, and a key on top.
        unsafe { ffi::lua_rawget_(self.state, table) };
    }

    /// Sets the key below the top to the value on top, and drops both. The key must be neither nil nor NaN.
    pub fn raw_set(&mut self, table: i32) {
        self.check_table(table);
        let is_nan = self.kind(-2) == Kind::Number && self.number(-2).is_some_and(f64::is_nan);
        assert!(self.kind(-2) != Kind::Nil && !is_nan, "no key for a table");
        // SAFETY: a table, a key and a value, and memory does not run out.
        self.sure(|state| unsafe { ffi::lua_rawset(state, table) });
    }

    /// Pushes an element.
    pub fn raw_get_element(&mut self, table: i32, number: i32) {
        self.check_table(table);
        self.room(1);
        // SAFETY: a table, and room.
        unsafe { ffi::lua_rawgeti_(self.state, table, number) };
    }

    /// Sets an element to the value on top, and drops it.
    pub fn raw_set_element(&mut self, table: i32, number: i32) {
        self.check_table(table);
        // SAFETY: a table and a value, and memory does not run out.
        self.sure(|state| unsafe { ffi::lua_rawseti_(state, table, number) });
    }

    /// Pushes a field.
    pub fn raw_get_field(&mut self, table: i32, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.raw_get(table);
    }

    /// Sets a field to the value on top, and drops it.
    pub fn raw_set_field(&mut self, table: i32, name: &str) {
        let table = self.absolute(table);
        self.push_bytes(name.as_bytes());
        self.insert(-2);
        self.raw_set(table);
    }

    /// Sets a field to a function of ours.
    pub fn set_native(&mut self, table: i32, name: &str, native: Native) {
        let table = self.absolute(table);
        self.push_native(native);
        self.raw_set_field(table, name);
    }

    /// Goes through a table: each key is at −2, its value at −1. What is above the key afterwards is dropped. Nobody may
    /// add a key meanwhile.
    pub fn walk<E>(&mut self, table: i32, mut each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.check_table(table);
        let table = self.absolute(table);
        self.room(3);
        let base = self.top();
        self.push_nil();
        // SAFETY: a table, a key that came from it, and room for what follows it.
        while unsafe { ffi::lua_next(self.state, table) } != 0 {
            each(self)?;
            self.set_top(base + 1);
        }
        Ok(())
    }

    /// Replaces the key on top by the next key and its value; drops it if there is none. The key must be of this table.
    pub fn next(&mut self, table: i32) -> Result<bool, Raise> {
        self.check_table(table);
        let table = self.absolute(table);
        if self.kind(-1) != Kind::Nil {
            self.push_value(-1);
            self.raw_get(table);
            // A key whose value was taken away is still known, so only a call can tell.
            let is_there = self.kind(-1) != Kind::Nil;
            self.pop(1);
            if !is_there {
                return self.protected_next(table);
            }
        }
        self.room(1);
        // SAFETY: a table and a key that is in it, and room.
        Ok(unsafe { ffi::lua_next(self.state, table) } != 0)
    }

    fn protected_next(&mut self, table: i32) -> Result<bool, Raise> {
        unsafe extern "C-unwind" fn next(state: *mut ffi::lua_State) -> c_int {
            // SAFETY: called below with a table and a key. This frame owns nothing, so the error may jump over it.
            unsafe { if ffi::lua_next(state, 1) != 0 { 2 } else { 0 } }
        }
        self.room(3);
        let base = self.top() - 1;
        // SAFETY: there is room; the table and the key are the arguments.
        let status = unsafe {
            ffi::lua_pushvalue(self.state, table);
            ffi::lua_insert(self.state, -2);
            self.sure(|state| ffi::lua_pushcclosure(state, next, 0));
            ffi::lua_insert(self.state, -3);
            self.unsure(|state| ffi::lua_pcall(state, 2, ffi::LUA_MULTRET, 0))
        };
        if status == 0 { Ok(self.top() > base) } else { Err(Raise::Value) }
    }

    /// Pushes the metatable of a value, if it has one.
    pub fn push_metatable(&mut self, index: i32) -> bool {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_getmetatable(self.state, index) != 0 }
    }

    /// Takes the table (or nil) on top for the metatable of a value.
    pub fn set_metatable(&mut self, index: i32) {
        self.check(index);
        assert!(matches!(self.kind(-1), Kind::Table | Kind::Nil), "no metatable");
        // SAFETY: there is a value, and a table or nil.
        unsafe { ffi::lua_setmetatable(self.state, index) };
    }

    // ---- the registry

    /// Keeps the value on top in the registry, and drops it.
    pub fn keep(&mut self) -> Reference {
        self.check(-1);
        self.room(2);
        // SAFETY: there is a value, and memory does not run out.
        Reference(self.sure(|state| unsafe { ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX) }))
    }

    /// Pushes a value that is kept.
    pub fn push_kept(&mut self, reference: &Reference) {
        self.room(1);
        // SAFETY: there is room.
        unsafe { ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, reference.0) };
    }

    /// Keeps a value no longer.
    pub fn release(&mut self, reference: Reference) {
        self.room(2);
        // SAFETY: there is room, and memory does not run out.
        self.sure(|state| unsafe { ffi::luaL_unref(state, ffi::LUA_REGISTRYINDEX, reference.0) });
    }

    // ---- code

    /// Lua's own code runs: memory may run out, for an error goes no further than this.
    fn unsure<R>(&mut self, work: impl FnOnce(*mut ffi::lua_State) -> R) -> R {
        let before = self.heap.in_native.replace(false);
        let outcome = work(self.state);
        self.heap.in_native.set(before);
        outcome
    }

    /// Makes a function of source text and pushes it. If that fails, a message is pushed in its place. `name` is what
    /// messages call the text: behind `@` as it is, behind `=` too, else the text's beginning.
    pub fn load(&mut self, text: &[u8], name: &[u8]) -> bool {
        self.room(1);
        let refusal: &[u8] = match text.first() {
            _ if text.len() > CHUNK_LEN_MAX => b"chunk too long",
            Some(0x1b) => b"attempt to load a binary chunk (mode is 't')",
            _ => b"",
        };
        if !refusal.is_empty() {
            self.push_bytes(refusal);
            return false;
        }
        let end = memchr::memchr(0, name).unwrap_or(name.len());
        let name = CString::new(&name[..end]).unwrap_or_default();
        // SAFETY: the parser is protected. The collector stands still meanwhile, for the parser of 5.1 does not hold on
        // to all that it makes.
        self.unsure(|state| unsafe {
            ffi::lua_gc(state, ffi::LUA_GCSTOP, 0);
            let status = ffi::luaL_loadbuffer(state, text.as_ptr().cast(), text.len(), name.as_ptr());
            ffi::lua_gc(state, ffi::LUA_GCRESTART, 0);
            status == 0
        })
    }

    /// Calls the function below its `args` arguments. Both are replaced by `results` results (−1: as many as there are),
    /// or, if that fails, by the error. `handler` is the index of a function that an error goes through where it happens.
    pub fn call(&mut self, args: i32, results: i32, handler: Option<i32>) -> bool {
        self.check(-args - 1);
        let handler = handler.map_or(0, |index| self.absolute(index));
        self.room(results.max(1));
        // SAFETY: there is a function with its arguments, and the call is protected.
        self.unsure(|state| unsafe { ffi::lua_pcall(state, args, results, handler) == 0 })
    }

    /// Collects all garbage.
    pub fn collect(&mut self) {
        // SAFETY: the state is live, and there are no finalizers.
        unsafe { ffi::lua_gc(self.state, ffi::LUA_GCCOLLECT, 0) };
    }

    /// Goes a step with the collection of garbage, and lets it go on by itself if it was stopped.
    pub fn collect_step(&mut self) {
        // SAFETY: the state is live, and there are no finalizers.
        unsafe {
            ffi::lua_gc(self.state, ffi::LUA_GCSTEP, 1);
        }
    }

    // ---- where we are

    /// Where the function stands that is so many levels up; 0 is the running one.
    pub fn position(&self, level: i32) -> Option<Position> {
        // SAFETY: a zeroed record is one that Lua may fill in.
        let mut info = unsafe { std::mem::zeroed::<ffi::lua_Debug>() };
        // SAFETY: the record is filled in; the names in it are strings that live as long as the function runs.
        unsafe {
            if ffi::lua_getstack(self.state, level, &raw mut info) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.state, c"Sl".as_ptr(), &raw mut info);
            let name = if info.source.is_null() { c"" } else { CStr::from_ptr(info.source) };
            Some(Position {
                source: CStr::from_ptr(info.short_src.as_ptr()).to_bytes().to_vec(),
                name: name.to_bytes().to_vec(),
                line: info.currentline,
            })
        }
    }

    /// What the running function is called where it was called, and whether as a method.
    fn own_name(&self) -> (Vec<u8>, bool) {
        // SAFETY: a zeroed record is one that Lua may fill in.
        let mut info = unsafe { std::mem::zeroed::<ffi::lua_Debug>() };
        // SAFETY: the record is filled in; names are null or strings.
        unsafe {
            if ffi::lua_getstack(self.state, 0, &raw mut info) == 0 {
                return (b"?".to_vec(), false);
            }
            ffi::lua_getinfo(self.state, c"n".as_ptr(), &raw mut info);
            let name = if info.name.is_null() { c"?" } else { CStr::from_ptr(info.name) };
            let is_method = !info.namewhat.is_null() && CStr::from_ptr(info.namewhat) == c"method";
            (name.to_bytes().to_vec(), is_method)
        }
    }

    fn push_raise(&mut self, raise: Raise) {
        // Nothing of the function is needed any more, and a full stack would have no room for the error.
        if raise != Raise::Value && !self.reserve(1) {
            self.set_top(0);
        }
        let text = match raise {
            Raise::Value => return,
            Raise::Plain(text) => return self.push_bytes(&text),
            Raise::Error(text) => text,
            Raise::Argument(index, text) => {
                let (name, is_method) = self.own_name();
                match index - i32::from(is_method) {
                    0 if is_method => [b"calling '", &name[..], b"' on bad self (", &text, b")"].concat(),
                    index => {
                        [b"bad argument #", index.to_string().as_bytes(), b" to '", &name, b"' (", &text, b")"].concat()
                    }
                }
            }
        };
        let place = match self.position(1) {
            Some(position) if position.line > 0 => {
                [&position.source[..], b":", position.line.to_string().as_bytes(), b": "].concat()
            }
            _ => Vec::new(),
        };
        self.push_bytes(&[place, text].concat());
    }
}

/// What `Stack::push_limited` pushes.
unsafe extern "C-unwind" fn limited(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalues are those that `push_limited` made. This frame owns nothing, so errors may jump over it.
    unsafe {
        let upvalue = |number| ffi::lua_touserdata(state, ffi::lua_upvalueindex(number));
        let argument = upvalue(2) as usize as c_int;
        if ffi::lua_type(state, argument) == ffi::LUA_TSTRING && ffi::lua_objlen(state, argument) > upvalue(3) as usize
        {
            return ffi::luaL_argerror(state, argument, upvalue(4).cast());
        }
        let function = std::mem::transmute::<*mut std::ffi::c_void, ffi::lua_CFunction>(upvalue(1));
        function(state)
    }
}
