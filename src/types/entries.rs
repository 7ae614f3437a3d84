//! What big sets, hashes and sorted sets hold: one allocation per element behind a one-word owning pointer.
//!
//! Ancestors: `sds` and `dictEntry`, here in one block without a pointer between them.
//!
//! ```text
//! Member   [member], with its length in the pointer's highest byte; or, if that is 0xFF, [len][member]
//! Field    [len][field][len][value]
//! ZMember  [score f64][len][member]
//! len      one byte below 0xFD; 0xFD, 0xFE, 0xFF say that 2, 4 or 8 bytes follow, little end first
//! ```
//!
//! Nothing is aligned: every number is read byte-wise. The size of a block follows from its lengths, so that it is
//! stored nowhere. Addresses of a process lie below 2^56 on all machines that there are (47 bits on x86-64, 48 on
//! aarch64, and more only for who asks), so the highest byte of a pointer is free.

use super::ranked::RankedMember;
use super::table::{TableEntry, prefetch};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::num::NonZero;
use std::ptr::NonNull;

const SCORE_BYTES: usize = 8;

/// An element of a set: a pointer that must not be read before the length was taken out of it.
pub struct Member(NonNull<u8>);

/// In place of a length: it stands in the block.
const LENGTH_INSIDE: usize = 0xFF;
const LENGTH_SHIFT: u32 = usize::BITS - 8;
const ADDRESS: usize = (1 << LENGTH_SHIFT) - 1;

/// A field of a hash with its value.
pub struct Field(Block);

/// A member of a sorted set with its score.
pub struct ZMember(Block);

/// A second pointer to a `ZMember`, for the tree. Copies are free; it must not be read after the member was freed.
#[derive(Clone, Copy)]
pub struct ZHandle(NonNull<u8>);

impl Member {
    pub fn new(member: &[u8]) -> Self {
        let len = member.len().min(LENGTH_INSIDE);
        let block = if len == LENGTH_INSIDE {
            let mut writer = Writer::new(text_size(member));
            writer.text(member);
            writer.done()
        } else {
            let mut writer = Writer::new(len.max(1));
            writer.put(member);
            writer.block
        };
        assert!(block.0.addr().get() <= ADDRESS, "an address has a byte to spare");
        Self(block.0.map_addr(|address| address | len << LENGTH_SHIFT))
    }

    #[inline]
    fn block(&self) -> Block {
        // SAFETY: the address of a block is not 0.
        Block(self.0.map_addr(|word| unsafe { NonZero::new_unchecked(word.get() & ADDRESS) }))
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let (len, block) = (self.0.addr().get() >> LENGTH_SHIFT, self.block().0);
        // SAFETY: the block was filled with so many bytes, or with a text; the borrow of self keeps it alive.
        unsafe {
            if len == LENGTH_INSIDE { text_after(block, 0).0 } else { std::slice::from_raw_parts(block.as_ptr(), len) }
        }
    }

    /// Bytes of the allocation.
    pub fn size(&self) -> usize {
        match self.0.addr().get() >> LENGTH_SHIFT {
            LENGTH_INSIDE => text_size(self.bytes()),
            len => len.max(1),
        }
    }
}

impl TableEntry for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    #[inline]
    fn address(word: *const u8) -> *const u8 {
        word.map_addr(|word| word & ADDRESS)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let size = self.size();
        // SAFETY: this is the block's only owner and its size is what its lengths say.
        unsafe { self.block().free(size) }
    }
}

impl Field {
    pub fn new(field: &[u8], value: &[u8]) -> Self {
        let mut writer = Writer::new(text_size(field) + text_size(value));
        writer.text(field);
        writer.text(value);
        Self(writer.done())
    }

    pub fn field(&self) -> &[u8] {
        self.0.text_at(0).0
    }

    pub fn value(&self) -> &[u8] {
        let (_, at) = self.0.text_at(0);
        self.0.text_at(at).0
    }

    /// Bytes of the allocation.
    pub fn size(&self) -> usize {
        let (_, at) = self.0.text_at(0);
        self.0.text_at(at).1
    }

    /// Replaces the value. The allocator leaves the block where it is when the new size is of the same class.
    pub fn set_value(&mut self, value: &[u8]) {
        let (_, at) = self.0.text_at(0);
        let (old, new) = (self.size(), at + text_size(value));
        if old != new {
            // SAFETY: `old` is the size of the block; the field, which stands before `at`, fits in both sizes.
            unsafe { self.0.resize(old, new) };
        }
        let mut writer = Writer { block: Block(self.0.0), at, size: new };
        writer.text(value);
        writer.done();
    }
}

impl TableEntry for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        self.field()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let size = self.size();
        // SAFETY: this is the block's only owner and its size is what its lengths say.
        unsafe { self.0.free(size) }
    }
}

impl ZMember {
    pub fn new(member: &[u8], score: f64) -> Self {
        let mut writer = Writer::new(SCORE_BYTES + text_size(member));
        writer.put(&score.to_ne_bytes());
        writer.text(member);
        Self(writer.done())
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.text_at(SCORE_BYTES).0
    }

    pub fn score(&self) -> f64 {
        // SAFETY: every ZMember begins with eight bytes of score.
        unsafe { self.0.0.cast::<f64>().read_unaligned() }
    }

    pub fn set_score(&mut self, score: f64) {
        // SAFETY: as above; the member's bytes, which others may be reading through a handle, stand after the score.
        unsafe { self.0.0.cast::<f64>().write_unaligned(score) }
    }

    /// Bytes of the allocation.
    pub fn size(&self) -> usize {
        self.0.text_at(SCORE_BYTES).1
    }

    /// A second pointer to this member.
    ///
    /// # Safety
    /// The handle must not be read after the member was dropped.
    pub unsafe fn handle(&self) -> ZHandle {
        ZHandle(self.0.0)
    }
}

impl TableEntry for ZMember {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for ZMember {
    fn drop(&mut self) {
        let size = self.size();
        // SAFETY: this is the block's only owner and its size is what its lengths say.
        unsafe { self.0.free(size) }
    }
}

impl ZHandle {
    /// The member's bytes for as long as the caller knows the member to live.
    ///
    /// # Safety
    /// The member must not be dropped during `'a`.
    #[inline]
    pub unsafe fn bytes_during<'a>(self) -> &'a [u8] {
        // SAFETY: the block lives during 'a by the caller's word, and its text is never written after creation.
        unsafe { text_after(self.0, SCORE_BYTES).0 }
    }
}

impl RankedMember for ZHandle {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: who made the handle promised not to read it after the member was dropped.
        unsafe { self.bytes_during() }
    }

    #[inline]
    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

/// A block of bytes that does not know its size. Its owner does.
struct Block(NonNull<u8>);

impl Block {
    /// The text whose length stands at `at`, and the offset after it. `at` is 0, a score's end or a text's end.
    #[inline]
    fn text_at(&self, at: usize) -> (&[u8], usize) {
        // SAFETY: a `Writer` filled the block with texts at just these offsets; the borrow of self keeps it alive.
        unsafe { text_after(self.0, at) }
    }

    /// # Safety
    /// `old` must be the block's size and both sizes at least 1.
    unsafe fn resize(&mut self, old: usize, new: usize) {
        // SAFETY: the block was allocated with `layout(old)`, and `new` is not 0.
        let moved = unsafe { realloc(self.0.as_ptr(), layout(old), layout(new).size()) };
        self.0 = NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(layout(new)));
    }

    /// # Safety
    /// `size` must be the block's size, and nothing may read the block afterwards.
    unsafe fn free(&mut self, size: usize) {
        // SAFETY: the block was allocated with `layout(size)`.
        unsafe { dealloc(self.0.as_ptr(), layout(size)) }
    }
}

/// # Safety
/// A length and its text must stand at `at` in a live block, and must stay as they are during `'a`.
#[inline]
unsafe fn text_after<'a>(block: NonNull<u8>, at: usize) -> (&'a [u8], usize) {
    // SAFETY: by the caller's word the length's bytes and then the text's bytes lie inside the block.
    unsafe {
        let head = block.add(at);
        let (len, head_size) = match head.read() {
            0xFD => (usize::from(head.add(1).cast::<u16>().read_unaligned().to_le()), 3),
            0xFE => (head.add(1).cast::<u32>().read_unaligned().to_le() as usize, 5),
            0xFF => (head.add(1).cast::<u64>().read_unaligned().to_le() as usize, 9),
            len => (usize::from(len), 1),
        };
        (std::slice::from_raw_parts(head.add(head_size).as_ptr(), len), at + head_size + len)
    }
}

fn text_size(text: &[u8]) -> usize {
    let head = match text.len() {
        0..=0xFC => 1,
        0xFD..=0xFFFF => 3,
        0x1_0000..=0xFFFF_FFFF => 5,
        _ => 9,
    };
    head + text.len()
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("a slice that exists is no longer than isize::MAX")
}

/// Fills a block from `at` to `size`; every write is checked against the size.
struct Writer {
    block: Block,
    at: usize,
    size: usize,
}

impl Writer {
    fn new(size: usize) -> Self {
        // SAFETY: a block holds at least one length byte, so the size is not 0.
        let start = unsafe { alloc(layout(size)) };
        let block = Block(NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout(size))));
        Self { block, at: 0, size }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.size - self.at);
        // SAFETY: the assertion keeps the copy inside the block, which nobody else is reading yet.
        unsafe { self.block.0.add(self.at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.at += bytes.len();
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        let len = text.len();
        match len {
            0..=0xFC => self.put(&[len as u8]),
            0xFD..=0xFFFF => {
                self.put(&[0xFD]);
                self.put(&(len as u16).to_le_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                self.put(&[0xFE]);
                self.put(&(len as u32).to_le_bytes());
            }
            _ => {
                self.put(&[0xFF]);
                self.put(&(len as u64).to_le_bytes());
            }
        }
        self.put(text);
    }

    fn done(self) -> Block {
        assert_eq!(self.at, self.size, "every byte of a block is written");
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 11] = [0, 1, 7, 0xFC, 0xFD, 0xFE, 0xFF, 0x100, 0xFFFF, 0x1_0000, 70_000];

    fn text(len: usize, salt: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 31 + salt) as u8).collect()
    }

    #[test]
    fn texts_of_every_length_class_come_back() {
        for len in SIZES {
            let bytes = text(len, 1);
            let (member, scored) = (Member::new(&bytes), ZMember::new(&bytes, -2.5));
            let size = if len < LENGTH_INSIDE { len.max(1) } else { text_size(&bytes) };
            assert_eq!((member.key(), member.size()), (&bytes[..], size));
            assert_eq!((scored.key(), scored.score(), scored.size()), (&bytes[..], -2.5, 8 + text_size(&bytes)));
            // SAFETY: `scored` lives to the end of this block.
            assert_eq!(unsafe { scored.handle() }.bytes(), &bytes[..]);
        }
        assert_eq!(Member::new(b"01234567").size(), 8);
    }

    #[test]
    fn a_value_is_replaced_by_one_of_any_length() {
        for from in SIZES {
            for to in SIZES {
                let name = text(to, 9);
                let mut field = Field::new(&name, &text(from, 2));
                assert_eq!(field.value(), &text(from, 2)[..]);
                field.set_value(&text(to, 3));
                assert_eq!((field.field(), field.value()), (&name[..], &text(to, 3)[..]));
                field.set_value(&text(from, 4));
                assert_eq!((field.key(), field.value()), (&name[..], &text(from, 4)[..]));
            }
        }
    }

    #[test]
    fn a_score_changes_beside_its_member() {
        let mut member = ZMember::new(b"m", 1.0);
        // SAFETY: `member` lives to the end of this block.
        let handle = unsafe { member.handle() };
        member.set_score(f64::INFINITY);
        assert_eq!((member.score(), handle.bytes()), (f64::INFINITY, &b"m"[..]));
    }
}
