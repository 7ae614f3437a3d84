//! A listpack with room before it, so that nothing moves when an entry comes or goes at either end.
//!
//! The head of a long list is kept so (`quicklist.rs`). Its bytes are those of the format from `start` on.

use super::{COUNT_UNKNOWN, Encoding, HEADER, Listpack, Pack, TERMINATOR, next_offset, prev_offset};
use super::{is_short_text, short_text_len, write_short_text};
use std::ops::Deref;

/// An owned listpack that grows and shrinks at both ends.
#[derive(Clone)]
pub struct Gapped {
    /// The room, then the listpack.
    memory: Vec<u8>,
    start: usize,
}

impl Deref for Gapped {
    type Target = Pack;

    #[inline]
    fn deref(&self) -> &Pack {
        Pack::of(&self.memory[self.start..])
    }
}

impl Gapped {
    /// A copy, without room yet.
    pub fn of(pack: &Pack) -> Self {
        Gapped { memory: pack.as_bytes().to_vec(), start: 0 }
    }

    /// Bytes taken from the allocator.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.memory.capacity()
    }

    /// A copy that takes no more than it needs.
    pub fn to_listpack(&self) -> Listpack {
        Listpack::copy_of(self)
    }

    #[inline]
    pub fn push_front(&mut self, value: &[u8]) {
        let count = self.count();
        if is_short_text(value) {
            write_short_text(value, self.open_front(short_text_len(value)));
        } else {
            let entry = Encoding::of(value);
            entry.write_to(self.open_front(entry.len_with_backlen()));
        }
        self.write_header(count, 1, 0);
    }

    /// Makes the listpack longer by so many bytes at the front, which are returned; the header is to be written anew.
    #[inline]
    fn open_front(&mut self, added: usize) -> &mut [u8] {
        if added > self.start {
            self.make_room(added);
        }
        self.start -= added;
        &mut self.memory[self.start + HEADER..][..added]
    }

    #[inline]
    pub fn push_back(&mut self, value: &[u8]) {
        if is_short_text(value) {
            write_short_text(value, self.open_back(short_text_len(value)));
        } else {
            let entry = Encoding::of(value);
            entry.write_to(self.open_back(entry.len_with_backlen()));
        }
        self.write_header(self.count(), 1, 0);
    }

    /// Makes the listpack longer by so many bytes at the back, which are returned; the header is to be written anew.
    #[inline]
    fn open_back(&mut self, added: usize) -> &mut [u8] {
        let at = self.memory.len() - 1;
        self.memory.resize(at + added, 0);
        self.memory.push(TERMINATOR);
        &mut self.memory[at..at + added]
    }

    /// Takes out the first entry, if there is one.
    #[inline]
    pub fn remove_front(&mut self) {
        if !self.is_empty() {
            let count = self.count();
            self.start += next_offset(self.as_bytes(), HEADER) - HEADER;
            self.write_header(count, 0, 1);
        }
    }

    /// Takes out the last entry, if there is one.
    #[inline]
    pub fn remove_back(&mut self) {
        if !self.is_empty() {
            let last = prev_offset(self.as_bytes(), self.total_bytes() - 1);
            self.memory.truncate(self.start + last);
            self.memory.push(TERMINATOR);
            self.write_header(self.count(), 0, 1);
        }
    }

    /// Room for an entry of so many bytes, and for half as much again as there is.
    #[cold]
    fn make_room(&mut self, added: usize) {
        let own = self.as_bytes();
        let start = added + (added + own.len()) / 2;
        let mut memory = Vec::with_capacity(start + own.len());
        memory.resize(start, 0);
        memory.extend_from_slice(own);
        (self.memory, self.start) = (memory, start);
    }

    /// The header of what stands between `start` and the end, where there were `count` entries before.
    #[inline]
    fn write_header(&mut self, count: u16, added: u16, removed: u16) {
        let header = &mut self.memory[self.start..];
        let total = u32::try_from(header.len()).expect("a listpack is below 4 GiB");
        let count = if count == COUNT_UNKNOWN { count } else { count + added - removed };
        header[..4].copy_from_slice(&total.to_le_bytes());
        header[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}
