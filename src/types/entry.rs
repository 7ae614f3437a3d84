//! A key with its value and its expiry: one allocation, one word in the key table (= dictEntry + sds + robj).
//!
//! ```text
//! | access 24 bits, kind 8 bits | lengths 32 bits | [expiry 8] | [slot 8 or 16] | key … | [inline value …] |
//! kind     bit 7: there is an expiry; bits 0..6: INT, INLINE, RAW_INLINE, HEAP, LIST, SET, HASH, ZSET, STREAM, FADING
//! lengths  inline strings: key length 16 bits, value length 16 bits; otherwise the key's length
//! slot     INT: the number; HEAP: Rc<Vec<u8>>; FADING: Box<Fading>; other collections: the List, Set, Hash, ZSet or
//!          Stream itself (16 bytes)
//! ```
//!
//! A string of up to `INLINE_MAX` bytes stands beside its key, so that `GET` costs one miss after the bucket.

use super::table::{TableEntry, prefetch};
use super::{Fading, Hash, List, Set, Str, StrRef, Stream, Value, ValueRef, ZSet};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::{align_of, size_of};
use std::ptr::NonNull;
use std::rc::Rc;

/// Strings longer than this have an allocation of their own.
const INLINE_MAX: usize = 1024;
/// Up to so many bytes `OBJECT ENCODING` says `embstr`.
const EMBSTR_MAX: usize = 44;

const INT: u8 = 0;
const INLINE: u8 = 1;
const RAW_INLINE: u8 = 2;
const HEAP: u8 = 3;
const LIST: u8 = 4;
const SET: u8 = 5;
const HASH: u8 = 6;
const ZSET: u8 = 7;
const STREAM: u8 = 8;
/// The highest, so that one comparison of the kind's byte tells whether there is anything about time to an entry.
const FADING: u8 = 9;
const HAS_EXPIRY: u8 = 0x80;
const HEADER: usize = 8;
const ALIGN: usize = 8;

const _: () = {
    assert!(size_of::<List>() <= 16 && align_of::<List>() <= ALIGN);
    assert!(size_of::<Set>() <= 16 && align_of::<Set>() <= ALIGN);
    assert!(size_of::<Hash>() <= 16 && align_of::<Hash>() <= ALIGN);
    assert!(size_of::<ZSet>() <= 16 && align_of::<ZSet>() <= ALIGN);
    assert!(size_of::<Stream>() <= 16 && align_of::<Stream>() <= ALIGN);
    assert!(size_of::<Rc<Vec<u8>>>() == 8);
};

/// One key and all that belongs to it.
#[repr(transparent)]
pub struct Entry(NonNull<u8>);

/// The value of an entry, to change in place.
pub enum ValueMut<'a> {
    /// A string: change it through `Entry::set_str` and `Entry::make_vec`.
    Str,
    /// A list.
    List(&'a mut List),
    /// A set.
    Set(&'a mut Set),
    /// A hash.
    Hash(&'a mut Hash),
    /// A hash with fields that expire.
    Fading(&'a mut Fading),
    /// A sorted set.
    ZSet(&'a mut ZSet),
    /// A stream.
    Stream(&'a mut Stream),
}

/// What an entry's allocation looks like; enough to find every part of it.
#[derive(Clone, Copy)]
struct Shape {
    kind: u8,
    expires: bool,
    key_len: usize,
    inline_len: usize,
}

impl Shape {
    fn slot_offset(self) -> usize {
        HEADER + if self.expires { 8 } else { 0 }
    }

    fn slot_size(self) -> usize {
        match self.kind {
            INLINE | RAW_INLINE => 0,
            INT | HEAP => 8,
            _ => 16,
        }
    }

    fn key_offset(self) -> usize {
        self.slot_offset() + self.slot_size()
    }

    fn size(self) -> usize {
        self.key_offset() + self.key_len + self.inline_len
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), ALIGN).expect("keys and inline values are far below isize::MAX")
    }
}

fn fits_inline(key: &[u8], value: &[u8]) -> bool {
    value.len() <= INLINE_MAX && key.len() <= u16::MAX as usize
}

impl Entry {
    /// A key with a string value. A canonical integer is kept as a number.
    pub fn with_str(key: &[u8], value: &[u8], expire_ms: Option<i64>) -> Entry {
        if let Some(number) = Str::as_int(value) {
            return Entry::with_int(key, number, expire_ms);
        }
        if fits_inline(key, value) {
            return Entry::build(INLINE, key, expire_ms, 0, value);
        }
        Entry::with_shared(key, Rc::new(value.to_vec()), expire_ms)
    }

    /// A key whose value is a number.
    pub fn with_int(key: &[u8], value: i64, expire_ms: Option<i64>) -> Entry {
        let mut entry = Entry::build(INT, key, expire_ms, 0, b"");
        // SAFETY: an INT entry has a slot of eight bytes.
        unsafe { entry.slot::<i64>().write(value) };
        entry
    }

    /// A key that takes a long string over without a copy.
    pub fn with_shared(key: &[u8], value: Rc<Vec<u8>>, expire_ms: Option<i64>) -> Entry {
        let mut entry = Entry::build(HEAP, key, expire_ms, 0, b"");
        // SAFETY: a HEAP entry has a slot for one Rc, not initialised yet.
        unsafe { entry.slot::<Rc<Vec<u8>>>().write(value) };
        entry
    }

    /// A key with any value.
    pub fn new(key: &[u8], value: Value, expire_ms: Option<i64>) -> Entry {
        let kind = match &value {
            Value::Str(Str::Int(number)) => return Entry::with_int(key, *number, expire_ms),
            Value::Str(Str::Bytes { bytes, raw }) if fits_inline(key, bytes) => {
                return Entry::build(if *raw { RAW_INLINE } else { INLINE }, key, expire_ms, 0, bytes);
            }
            Value::Str(_) => HEAP,
            Value::List(_) => LIST,
            Value::Set(_) => SET,
            Value::Hash(_) => HASH,
            Value::Fading(_) => FADING,
            Value::ZSet(_) => ZSET,
            Value::Stream(_) => STREAM,
        };
        let mut entry = Entry::build(kind, key, expire_ms, 0, b"");
        // SAFETY: the entry was built with the kind whose slot this is, not initialised yet.
        unsafe {
            match value {
                Value::Str(Str::Bytes { bytes, .. }) => entry.slot::<Rc<Vec<u8>>>().write(bytes),
                Value::Str(Str::Int(number)) => entry.slot::<i64>().write(number),
                Value::List(list) => entry.slot::<List>().write(list),
                Value::Set(set) => entry.slot::<Set>().write(set),
                Value::Hash(hash) => entry.slot::<Hash>().write(hash),
                Value::Fading(fading) => entry.slot::<Box<Fading>>().write(fading),
                Value::ZSet(zset) => entry.slot::<ZSet>().write(zset),
                Value::Stream(stream) => entry.slot::<Stream>().write(stream),
            }
        }
        entry
    }

    /// Allocates an entry; its slot, if it has one, is not initialised.
    #[inline]
    fn build(kind: u8, key: &[u8], expire_ms: Option<i64>, access: u32, inline: &[u8]) -> Entry {
        let shape = Shape { kind, expires: expire_ms.is_some(), key_len: key.len(), inline_len: inline.len() };
        let layout = shape.layout();
        // SAFETY: the layout has a size of at least the header; every part is written inside it.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            let mut entry = Entry(block);
            let expiry_bit = if shape.expires { HAS_EXPIRY } else { 0 };
            block.cast::<u32>().write(access << 8 | u32::from(kind | expiry_bit));
            let lengths = match kind {
                INLINE | RAW_INLINE => key.len() as u32 | (inline.len() as u32) << 16,
                _ => u32::try_from(key.len()).expect("keys are shorter than 4 GB"),
            };
            block.cast::<u32>().add(1).write(lengths);
            if let Some(expire_ms) = expire_ms {
                entry.expiry().write(expire_ms);
            }
            let at = block.as_ptr().add(shape.key_offset());
            std::ptr::copy_nonoverlapping(key.as_ptr(), at, key.len());
            std::ptr::copy_nonoverlapping(inline.as_ptr(), at.add(key.len()), inline.len());
            entry
        }
    }

    #[inline]
    fn word(&self) -> u32 {
        // SAFETY: every entry begins with its header.
        unsafe { self.0.cast::<u32>().read() }
    }

    #[inline]
    fn shape(&self) -> Shape {
        // SAFETY: every entry begins with its header.
        let lengths = unsafe { self.0.cast::<u32>().add(1).read() } as usize;
        let byte = self.word() as u8;
        let kind = byte & !HAS_EXPIRY;
        let inline = kind == INLINE || kind == RAW_INLINE;
        let (key_len, inline_len) = if inline { (lengths & 0xffff, lengths >> 16) } else { (lengths, 0) };
        Shape { kind, expires: byte & HAS_EXPIRY != 0, key_len, inline_len }
    }

    fn expiry(&mut self) -> *mut i64 {
        // SAFETY: an address inside the allocation; whoever reads or writes there knows that the expiry exists.
        unsafe { self.0.as_ptr().add(HEADER).cast() }
    }

    fn slot<T>(&mut self) -> *mut T {
        // SAFETY: an address inside the allocation; the callers know the kind.
        unsafe { self.0.as_ptr().add(self.shape().slot_offset()).cast() }
    }

    /// When the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expire_ms(&self) -> Option<i64> {
        // SAFETY: the bit says that the eight bytes after the header are the expiry.
        (self.word() as u8 & HAS_EXPIRY != 0).then(|| unsafe { self.0.as_ptr().add(HEADER).cast::<i64>().read() })
    }

    /// Whether the entry has an expiry or fields with one.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.word() as u8 >= FADING
    }

    /// Whether the value is a hash with fields that expire.
    #[inline]
    pub fn is_fading(&self) -> bool {
        self.word() as u8 & !HAS_EXPIRY == FADING
    }

    /// The hash with fields that expire that the entry is, if it is one.
    pub fn fading_mut(&mut self) -> Option<&mut Fading> {
        match self.value_mut() {
            ValueMut::Fading(fading) => Some(fading),
            _ => None,
        }
    }

    /// Sets or clears the expiry. The value is not touched.
    pub fn set_expire_ms(&mut self, expire_ms: Option<i64>) {
        let old = self.shape();
        if let (true, Some(expire_ms)) = (old.expires, expire_ms) {
            // SAFETY: the entry has an expiry.
            return unsafe { self.expiry().write(expire_ms) };
        }
        if old.expires == expire_ms.is_some() {
            return;
        }
        let mut new = Entry::build(old.kind, self.key(), expire_ms, self.access(), self.inline_bytes());
        // SAFETY: both entries have the same kind, so slots of one size; the value moves over bit by bit, and the old
        // allocation is freed without dropping it.
        unsafe {
            std::ptr::copy_nonoverlapping(self.slot::<u8>(), new.slot::<u8>(), old.slot_size());
            dealloc(self.0.as_ptr(), old.layout());
        }
        self.0 = new.0;
        std::mem::forget(new);
    }

    /// The 24 bits of access time or frequency.
    #[inline]
    pub fn access(&self) -> u32 {
        self.word() >> 8
    }

    /// Notes an access; the highest 8 bits of `access` are lost.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        let word = access << 8 | (self.word() & 0xff);
        // SAFETY: every entry begins with its header.
        unsafe { self.0.cast::<u32>().write(word) };
    }

    fn inline_bytes(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the inline bytes end the allocation.
        unsafe {
            let at = self.0.as_ptr().add(shape.key_offset() + shape.key_len);
            std::slice::from_raw_parts(at, shape.inline_len)
        }
    }

    /// The value, to read.
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        let shape = self.shape();
        // SAFETY: the kind says what the slot holds.
        unsafe {
            let slot = self.0.as_ptr().add(shape.slot_offset());
            match shape.kind {
                INLINE | RAW_INLINE => ValueRef::Str(StrRef::Bytes(self.inline_bytes())),
                INT => ValueRef::Str(StrRef::Int(slot.cast::<i64>().read())),
                HEAP => ValueRef::Str(StrRef::Bytes((*slot.cast::<Rc<Vec<u8>>>()).as_slice())),
                LIST => ValueRef::List(&*slot.cast()),
                SET => ValueRef::Set(&*slot.cast()),
                HASH => ValueRef::Hash(&*slot.cast()),
                FADING => ValueRef::Fading(&*slot.cast::<Box<Fading>>()),
                STREAM => ValueRef::Stream(&*slot.cast()),
                _ => ValueRef::ZSet(&*slot.cast()),
            }
        }
    }

    /// The value, to change.
    pub fn value_mut(&mut self) -> ValueMut<'_> {
        // SAFETY: the kind says what the slot holds, and the entry is borrowed mutably.
        unsafe {
            match self.shape().kind {
                LIST => ValueMut::List(&mut *self.slot()),
                SET => ValueMut::Set(&mut *self.slot()),
                HASH => ValueMut::Hash(&mut *self.slot()),
                FADING => ValueMut::Fading(&mut *self.slot::<Box<Fading>>()),
                ZSET => ValueMut::ZSet(&mut *self.slot()),
                STREAM => ValueMut::Stream(&mut *self.slot()),
                _ => ValueMut::Str,
            }
        }
    }

    /// Replaces whatever the value is by a string and sets the expiry. Access bits stay.
    #[inline(always)]
    pub fn set_str(&mut self, value: &[u8], expire_ms: Option<i64>) {
        let old = self.shape();
        let number = Str::as_int(value);
        match number {
            Some(number) if old.kind == INT && old.expires == expire_ms.is_some() => {
                // SAFETY: an INT entry has a number in its slot.
                unsafe { self.slot::<i64>().write(number) };
                return self.set_expire_ms(expire_ms);
            }
            None if old.kind == INLINE && old.inline_len == value.len() && old.expires == expire_ms.is_some() => {
                // SAFETY: the inline bytes end the allocation, and the new ones are as many.
                unsafe {
                    let at = self.0.as_ptr().add(old.key_offset() + old.key_len);
                    std::ptr::copy_nonoverlapping(value.as_ptr(), at, value.len());
                }
                return self.set_expire_ms(expire_ms);
            }
            _ => {}
        }
        let mut new = match number {
            Some(number) => Entry::with_int(self.key(), number, expire_ms),
            None => Entry::with_str(self.key(), value, expire_ms),
        };
        new.set_access(self.access());
        *self = new;
    }

    /// Replaces the value by a number; the expiry stays. This is what `INCR` does.
    pub fn set_int(&mut self, value: i64) {
        if self.shape().kind == INT {
            // SAFETY: an INT entry has a number in its slot.
            return unsafe { self.slot::<i64>().write(value) };
        }
        let mut new = Entry::with_int(self.key(), value, self.expire_ms());
        new.set_access(self.access());
        *self = new;
    }

    /// Replaces the value; the expiry and the access bits stay.
    pub fn set_value(&mut self, value: Value) {
        let mut new = Entry::new(self.key(), value, self.expire_ms());
        new.set_access(self.access());
        *self = new;
    }

    /// `set_value` that hands the old value over.
    pub fn replace_value(&mut self, value: Value) -> Value {
        let mut new = Entry::new(self.key(), value, self.expire_ms());
        new.set_access(self.access());
        std::mem::replace(self, new).into_value()
    }

    /// The string as a vector to change in place, which makes it `raw`. Panics if the value is no string.
    pub fn make_vec(&mut self) -> &mut Vec<u8> {
        let bytes = match self.value() {
            ValueRef::Str(StrRef::Bytes(_)) if self.shape().kind == HEAP => None,
            ValueRef::Str(StrRef::Bytes(bytes)) => Some(bytes.to_vec()),
            ValueRef::Str(StrRef::Int(number)) => Some(itoa::Buffer::new().format(number).as_bytes().to_vec()),
            _ => panic!("make_vec is for strings"),
        };
        if let Some(bytes) = bytes {
            let mut new = Entry::with_shared(self.key(), Rc::new(bytes), self.expire_ms());
            new.set_access(self.access());
            *self = new;
        }
        // SAFETY: the entry is HEAP now.
        Rc::make_mut(unsafe { &mut *self.slot::<Rc<Vec<u8>>>() })
    }

    /// The value as one of its own; what cannot be shared is moved out, and the entry is gone.
    pub fn into_value(mut self) -> Value {
        let shape = self.shape();
        // SAFETY: the slot is read once, and the allocation is freed without dropping it.
        unsafe {
            let value = match shape.kind {
                INT => Value::Str(Str::Int(self.slot::<i64>().read())),
                INLINE | RAW_INLINE => Value::Str(Str::Bytes {
                    bytes: Rc::new(self.inline_bytes().to_vec()),
                    raw: shape.kind == RAW_INLINE,
                }),
                HEAP => Value::Str(Str::Bytes { bytes: self.slot::<Rc<Vec<u8>>>().read(), raw: true }),
                LIST => Value::List(self.slot::<List>().read()),
                SET => Value::Set(self.slot::<Set>().read()),
                HASH => Value::Hash(self.slot::<Hash>().read()),
                FADING => Value::Fading(self.slot::<Box<Fading>>().read()),
                STREAM => Value::Stream(self.slot::<Stream>().read()),
                _ => Value::ZSet(self.slot::<ZSet>().read()),
            };
            dealloc(self.0.as_ptr(), shape.layout());
            std::mem::forget(self);
            value
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding(&self) -> &'static str {
        let shape = self.shape();
        match self.value() {
            ValueRef::Str(StrRef::Int(_)) => "int",
            ValueRef::Str(_) if shape.kind == INLINE && shape.inline_len <= EMBSTR_MAX => "embstr",
            ValueRef::Str(_) => "raw",
            ValueRef::List(list) => list.encoding(),
            ValueRef::Set(set) => set.encoding(),
            ValueRef::Hash(hash) => hash.encoding(),
            ValueRef::Fading(fading) => fading.encoding(),
            ValueRef::ZSet(zset) => zset.encoding(),
            ValueRef::Stream(stream) => stream.encoding(),
        }
    }

    /// Bytes of the entry's own allocation, without what the slot points to.
    pub fn memory_bytes(&self) -> usize {
        self.shape().size()
    }
}

/// So many bytes of a long string are asked for ahead, and of its part in the next page; the processor goes on from
/// there by itself.
const STRING_AHEAD: usize = 512;
const NEXT_PAGE_AHEAD: usize = 192;
const PAGE: usize = 4096;

impl Entry {
    /// Whether the value has memory of its own, so that it is another miss away.
    #[inline]
    pub fn is_apart(&self) -> bool {
        self.shape().kind >= HEAP
    }

    /// Asks the processor for the beginning of a long string. What the entry points to should be near by now.
    #[inline]
    pub fn prefetch_string(&self) {
        if self.shape().kind == HEAP
            && let ValueRef::Str(StrRef::Bytes(bytes)) = self.value()
        {
            bytes.iter().take(STRING_AHEAD).step_by(64).for_each(|byte| prefetch(byte));
            let next_page = bytes.get(PAGE - bytes.as_ptr().addr() % PAGE..).unwrap_or_default();
            next_page.iter().take(NEXT_PAGE_AHEAD).step_by(64).for_each(|byte| prefetch(byte));
        }
    }
}

impl TableEntry for Entry {
    const LIKELY_BYTES: usize = 32;

    #[inline]
    fn key(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the key stands at its offset for as long as the entry lives.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(shape.key_offset()), shape.key_len) }
    }

    #[inline]
    fn prefetch_inside(&self) {
        let shape = self.shape();
        if shape.kind < HEAP {
            return;
        }
        for word in 0..shape.slot_size() / 8 {
            // SAFETY: the slot is so many words long. Which of them is an address does not matter to a prefetch.
            prefetch(unsafe { self.0.as_ptr().add(shape.slot_offset()).cast::<*const u8>().add(word).read() });
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let shape = self.shape();
        // SAFETY: the kind says what the slot holds; it is dropped once, then its allocation goes.
        unsafe {
            match shape.kind {
                HEAP => self.slot::<Rc<Vec<u8>>>().drop_in_place(),
                LIST => self.slot::<List>().drop_in_place(),
                SET => self.slot::<Set>().drop_in_place(),
                HASH => self.slot::<Hash>().drop_in_place(),
                FADING => self.slot::<Box<Fading>>().drop_in_place(),
                ZSET => self.slot::<ZSet>().drop_in_place(),
                STREAM => self.slot::<Stream>().drop_in_place(),
                _ => {}
            }
            dealloc(self.0.as_ptr(), shape.layout());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn text(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            ValueRef::Str(string) => string.element().to_vec(),
            _ => panic!("not a string"),
        }
    }

    #[test]
    fn a_string_survives_every_change_of_shape() {
        let mut rng = Rng::new(4);
        for _ in 0..2000 {
            let key = vec![b'k'; rng.index(40)];
            let (mut value, mut expire) = (Vec::new(), None);
            let mut entry = Entry::with_str(&key, &value, expire);
            for _ in 0..20 {
                match rng.below(5) {
                    0 => {
                        value = vec![b'v'; rng.index(1500)];
                        expire = (rng.below(2) == 0).then(|| rng.below(1 << 40) as i64);
                        entry.set_str(&value, expire);
                    }
                    1 => {
                        let number = rng.next_u64() as i64;
                        value = number.to_string().into_bytes();
                        entry.set_int(number);
                    }
                    2 => {
                        value.push(b'x');
                        entry.make_vec().push(b'x');
                        assert_eq!(entry.encoding(), "raw");
                    }
                    3 => {
                        expire = (rng.below(2) == 0).then(|| rng.below(1 << 40) as i64);
                        entry.set_expire_ms(expire);
                    }
                    _ => {
                        let access = entry.access();
                        entry = Entry::new(&key, entry.into_value(), expire);
                        entry.set_access(access + 1);
                    }
                }
                assert_eq!((text(&entry), entry.expire_ms()), (value.clone(), expire));
                assert_eq!(entry.key(), key);
            }
        }
    }

    #[test]
    fn encodings_are_named_as_redis_names_them() {
        assert_eq!(Entry::with_str(b"k", b"12", None).encoding(), "int");
        assert_eq!(Entry::with_str(b"k", b"012", None).encoding(), "embstr");
        assert_eq!(Entry::with_str(b"k", &[b'a'; 44], None).encoding(), "embstr");
        assert_eq!(Entry::with_str(b"k", &[b'a'; 45], None).encoding(), "raw");
        assert_eq!(Entry::with_str(b"k", &[b'a'; 5000], None).encoding(), "raw");
    }
}
