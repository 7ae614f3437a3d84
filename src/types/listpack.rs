//! Listpack: a sequence of short strings and integers in one allocation (ancestor: `listpack.c`).
//!
//! The bytes in memory are the bytes of the format, so that a snapshot copies them as they are:
//!
//! ```text
//! [total bytes: u32 LE] [count: u16 LE, 0xFFFF = unknown] [entry]* [0xFF]
//! entry  = [encoding and data] [backlen]
//!   0xxxxxxx                      integer 0..=127
//!   10xxxxxx data                 string, 6-bit length
//!   110xxxxx xxxxxxxx             13-bit signed integer
//!   1110xxxx xxxxxxxx data        string, 12-bit length
//!   0xF0 u32 LE data              string, 32-bit length
//!   0xF1 0xF2 0xF3 0xF4           signed LE integer of 16, 24, 32, 64 bits
//! backlen = length of encoding and data, 7 bits a byte, most significant first;
//!           every byte but the first has its high bit set, so that it is read from right to left
//! ```
//!
//! A string that is the canonical text of an `i64` is stored as an integer.
//!
//! The owner is one pointer (`thin.rs`). Deliberately absent: negative indexes, and a shrink-to-fit call (there is
//! nothing to shrink).

mod gapped;

pub use gapped::Gapped;

use super::Element;
use super::thin::{self, ThinBytes};
use crate::base::bytes;
use crate::base::numbers::parse_i64;
use std::ops::Deref;

const HEADER: usize = 6;
const TERMINATOR: u8 = 0xFF;
const COUNT_UNKNOWN: u16 = u16::MAX;
const EMPTY_BYTES: usize = HEADER + 1;

/// Where an entry stands: its offset. Valid until the listpack changes before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pos(u32);

impl Pos {
    fn offset(self) -> usize {
        self.0 as usize
    }

    /// The bytes between a position and a later one.
    pub fn distance_to(self, later: Pos) -> usize {
        later.offset() - self.offset()
    }
}

/// An owned listpack. One word.
pub struct Listpack {
    /// A listpack, with its length in the first word.
    memory: ThinBytes,
}

/// An entry about to be written: the encoding byte(s) and the data, without backlen.
struct Encoding<'a> {
    head: [u8; 9],
    head_len: usize,
    payload: &'a [u8],
}

impl<'a> Encoding<'a> {
    fn of(value: &'a [u8]) -> Self {
        match canonical_int(value) {
            Some(number) => Self::of_int(number),
            None => Self::of_text(value),
        }
    }

    fn of_text(value: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let len = value.len();
        let head_len = if len < 64 {
            head[0] = 0x80 | len as u8;
            1
        } else if len < 4096 {
            head[0] = 0xE0 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        } else {
            let len = u32::try_from(len).expect("a listpack entry is below 4 GiB");
            head[0] = 0xF0;
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        };
        Encoding { head, head_len, payload: value }
    }

    fn of_int(number: i64) -> Self {
        let mut head = [0; 9];
        let head_len = match number {
            0..=127 => {
                head[0] = number as u8;
                1
            }
            -4096..=4095 => {
                head[0] = 0xC0 | ((number >> 8) as u8 & 0x1F);
                head[1] = number as u8;
                2
            }
            _ => {
                let (tag, width) = match number {
                    -0x8000..=0x7FFF => (0xF1, 2),
                    -0x80_0000..=0x7F_FFFF => (0xF2, 3),
                    -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
                    _ => (0xF4, 8),
                };
                head[0] = tag;
                head[1..=width].copy_from_slice(&number.to_le_bytes()[..width]);
                1 + width
            }
        };
        Encoding { head, head_len, payload: &[] }
    }

    fn len(&self) -> usize {
        self.head_len + self.payload.len()
    }

    fn len_with_backlen(&self) -> usize {
        self.len() + backlen_size(self.len())
    }

    fn write_to(&self, slot: &mut [u8]) {
        if self.head_len == 1 {
            slot[0] = self.head[0];
        } else {
            slot[..self.head_len].copy_from_slice(&self.head[..self.head_len]);
        }
        bytes::copy(self.payload, &mut slot[self.head_len..self.len()]);
        write_backlen(&mut slot[self.len()..], self.len());
    }
}

/// Whether an entry is a text of less than 64 bytes that cannot be a number, as most are.
#[inline]
fn is_short_text(value: &[u8]) -> bool {
    value.len() < 64 && !matches!(value.first(), Some(b'0'..=b'9' | b'-'))
}

/// Bytes of the entry of a short text, its backlen included.
#[inline]
fn short_text_len(value: &[u8]) -> usize {
    value.len() + 2
}

/// Writes the entry of a short text: what `Encoding` would, in fewer steps.
#[inline]
fn write_short_text(value: &[u8], slot: &mut [u8]) {
    let len = value.len();
    slot[0] = 0x80 | len as u8;
    bytes::copy(value, &mut slot[1..=len]);
    slot[len + 1] = len as u8 + 1;
}

/// Entries that go to the end of a listpack together, at the price of one move.
#[derive(Default)]
pub struct EncodedEntries {
    bytes: Vec<u8>,
    count: usize,
}

impl EncodedEntries {
    /// Adds an entry, as an integer if that is what the text says.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.put(&Encoding::of(value));
    }

    /// Adds an integer.
    #[inline]
    pub fn push_int(&mut self, number: i64) {
        self.put(&Encoding::of_int(number));
    }

    fn put(&mut self, entry: &Encoding) {
        let at = self.bytes.len();
        self.bytes.resize(at + entry.len_with_backlen(), 0);
        entry.write_to(&mut self.bytes[at..]);
        self.count += 1;
    }
}

/// `value` as a number when it is that number's canonical text. Most strings are refused by their first byte.
fn canonical_int(value: &[u8]) -> Option<i64> {
    match value.first() {
        Some(b'0'..=b'9' | b'-') if value.len() <= 20 => parse_i64(value),
        _ => None,
    }
}

/// Bytes of the backlen of an entry of `len` bytes. The limits of the format are one below the powers of two.
fn backlen_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

fn write_backlen(slot: &mut [u8], len: usize) {
    let size = backlen_size(len);
    if size == 1 {
        slot[0] = len as u8;
        return;
    }
    let mut rest = len;
    for index in (0..size).rev() {
        let more = if index > 0 { 0x80 } else { 0 };
        slot[index] = (rest & 0x7F) as u8 | more;
        rest >>= 7;
    }
}

/// Length of encoding and data at `offset`. The entry must be valid.
#[inline]
fn entry_len(bytes: &[u8], offset: usize) -> usize {
    let head = bytes[offset];
    match head {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(head & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(head & 0x0F) << 8 | usize::from(bytes[offset + 1])),
        0xF0 => 5 + long_len(bytes, offset),
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        _ => 9,
    }
}

fn long_len(bytes: &[u8], offset: usize) -> usize {
    let word: [u8; 4] = bytes[offset + 1..offset + 5].try_into().expect("four bytes");
    u32::from_le_bytes(word) as usize
}

/// Offset of what follows the entry at `offset`.
#[inline]
fn next_offset(bytes: &[u8], offset: usize) -> usize {
    let len = entry_len(bytes, offset);
    offset + len + backlen_size(len)
}

/// Offset of the entry that ends at `offset`, which must not be the first entry.
#[inline]
fn prev_offset(bytes: &[u8], offset: usize) -> usize {
    let mut at = offset - 1;
    let mut len = usize::from(bytes[at] & 0x7F);
    let mut shift = 7;
    while bytes[at] & 0x80 != 0 {
        at -= 1;
        len |= usize::from(bytes[at] & 0x7F) << shift;
        shift += 7;
    }
    at - len
}

fn signed_at<const WIDTH: usize>(bytes: &[u8], offset: usize) -> i64 {
    let mut word = [0; 8];
    word[8 - WIDTH..].copy_from_slice(&bytes[offset..offset + WIDTH]);
    // The number stands in the top bytes, so the shift back extends its sign.
    i64::from_le_bytes(word) >> (64 - 8 * WIDTH)
}

#[inline]
fn element_at(bytes: &[u8], offset: usize) -> Element<'_> {
    let head = bytes[offset];
    let text = |from: usize, len: usize| Element::Bytes(&bytes[from..from + len]);
    match head {
        0x00..=0x7F => Element::Int(i64::from(head)),
        0x80..=0xBF => text(offset + 1, usize::from(head & 0x3F)),
        0xC0..=0xDF => {
            let raw = i64::from(head & 0x1F) << 8 | i64::from(bytes[offset + 1]);
            Element::Int((raw << 51) >> 51)
        }
        0xE0..=0xEF => text(offset + 2, entry_len(bytes, offset) - 2),
        0xF0 => text(offset + 5, long_len(bytes, offset)),
        0xF1 => Element::Int(signed_at::<2>(bytes, offset + 1)),
        0xF2 => Element::Int(signed_at::<3>(bytes, offset + 1)),
        0xF3 => Element::Int(signed_at::<4>(bytes, offset + 1)),
        _ => Element::Int(signed_at::<8>(bytes, offset + 1)),
    }
}

/// Where the entry at `offset` ends, if it is whole, lies before `end` and its backlen agrees.
#[inline]
fn checked_next(bytes: &[u8], offset: usize, end: usize) -> Option<usize> {
    let head = bytes[offset];
    let known = match head {
        0xE0..=0xEF => offset + 2 <= end,
        0xF0 => offset + 5 <= end,
        0xF5..=0xFF => false,
        _ => true,
    };
    if !known {
        return None;
    }
    let len = entry_len(bytes, offset);
    if len < 0x80 {
        // A back length of one byte, as nearly all have.
        let backlen = offset + len;
        return (backlen < end && usize::from(bytes[backlen]) == len).then_some(backlen + 1);
    }
    let size = backlen_size(len);
    let next = offset.checked_add(len)?.checked_add(size)?;
    if next > end {
        return None;
    }
    let mut expected = [0; 5];
    write_backlen(&mut expected, len);
    (bytes[offset + len..next] == expected[..size]).then_some(next)
}

fn is_valid(bytes: &[u8], deep: bool) -> bool {
    if bytes.len() < EMPTY_BYTES || bytes[bytes.len() - 1] != TERMINATOR {
        return false;
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if total as usize != bytes.len() {
        return false;
    }
    if !deep {
        return true;
    }
    let end = bytes.len() - 1;
    let (mut offset, mut entries) = (HEADER, 0usize);
    while offset < end {
        match checked_next(bytes, offset, end) {
            Some(next) => offset = next,
            None => return false,
        }
        entries += 1;
    }
    let count = u16::from_le_bytes([bytes[4], bytes[5]]);
    count == COUNT_UNKNOWN || usize::from(count) == entries
}

/// A listpack to read, wherever its bytes stand.
#[repr(transparent)]
pub struct Pack([u8]);

impl Pack {
    /// The bytes are a listpack; other bytes would be read wrongly or be a panic.
    #[inline]
    fn of(bytes: &[u8]) -> &Self {
        // SAFETY: a Pack is a slice of bytes and nothing else, as its `repr` says.
        unsafe { &*(std::ptr::from_ref(bytes) as *const Pack) }
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length of the whole in bytes.
    #[inline]
    pub fn total_bytes(&self) -> usize {
        self.0.len()
    }

    /// Number of entries. Counts them only when there are more than the header can say.
    pub fn len(&self) -> usize {
        match self.count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == EMPTY_BYTES
    }

    #[inline]
    fn count(&self) -> u16 {
        let bytes = self.as_bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    #[inline]
    pub fn first(&self) -> Option<Pos> {
        (!self.is_empty()).then_some(Pos(HEADER as u32))
    }

    #[inline]
    pub fn last(&self) -> Option<Pos> {
        self.prev(self.end())
    }

    /// One past the last entry: where an append goes.
    #[inline]
    pub fn end(&self) -> Pos {
        Pos((self.total_bytes() - 1) as u32)
    }

    #[inline]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        let bytes = self.as_bytes();
        let next = next_offset(bytes, pos.offset());
        (next < bytes.len() - 1).then_some(Pos(next as u32))
    }

    #[inline]
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        (pos.offset() > HEADER).then(|| Pos(prev_offset(self.as_bytes(), pos.offset()) as u32))
    }

    /// The entry at `pos`, which must be one.
    #[inline]
    pub fn at(&self, pos: Pos) -> Element<'_> {
        element_at(self.as_bytes(), pos.offset())
    }

    /// Where the entry `index` stands, walked to from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Pos> {
        let len = self.len();
        if index >= len {
            return None;
        }
        let bytes = self.as_bytes();
        let offset = if index <= len / 2 {
            (0..index).fold(HEADER, |offset, _| next_offset(bytes, offset))
        } else {
            (index..len).fold(bytes.len() - 1, |offset, _| prev_offset(bytes, offset))
        };
        Some(Pos(offset as u32))
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.seek(index).map(|pos| self.at(pos))
    }

    /// The first entry equal to `needle`, looking at the first entry and then at each one after `skip` others
    /// (1 to look at the fields of a hash only).
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<Pos> {
        self.find_from(self.first()?, needle, skip)
    }

    /// As `find`, starting at the entry at `start`.
    pub fn find_from(&self, start: Pos, needle: &[u8], skip: usize) -> Option<Pos> {
        let bytes = self.as_bytes();
        let number = canonical_int(needle);
        let mut offset = start.offset();
        loop {
            let head = bytes[offset];
            let next = match head {
                0x80..=0xBF => {
                    let len = usize::from(head & 0x3F);
                    if len == needle.len() && short_equals(bytes, offset + 1, needle) {
                        return Some(Pos(offset as u32));
                    }
                    offset + len + 2
                }
                TERMINATOR => return None,
                _ => {
                    let equal = match element_at(bytes, offset) {
                        Element::Int(value) => number == Some(value),
                        Element::Bytes(value) => value == needle,
                    };
                    if equal {
                        return Some(Pos(offset as u32));
                    }
                    next_offset(bytes, offset)
                }
            };
            offset = next;
            for _ in 0..skip {
                if bytes[offset] == TERMINATOR {
                    return None;
                }
                offset = next_offset(bytes, offset);
            }
        }
    }

    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER, back: self.total_bytes() - 1 }
    }

    /// The entries from `from` on, up to and without the one at `to`.
    pub fn iter_between(&self, from: Pos, to: Pos) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: from.offset(), back: to.offset() }
    }

    pub fn iter_rev(&self) -> std::iter::Rev<Iter<'_>> {
        self.iter().rev()
    }
}

impl Deref for Listpack {
    type Target = Pack;

    #[inline]
    fn deref(&self) -> &Pack {
        let total = self.memory.first_word() as usize;
        // SAFETY: the first word is the length of the memory, always.
        Pack::of(unsafe { self.memory.bytes(total) })
    }
}

impl Listpack {
    pub fn new() -> Self {
        Self::from_entries(&[], 0)
    }

    /// Takes a copy of bytes in the format, or None if they are not. `deep` walks every entry and backlen; only
    /// bytes that this process wrote itself may do without.
    pub fn from_bytes_validated(bytes: &[u8], deep: bool) -> Option<Self> {
        is_valid(bytes, deep).then(|| Self::copy_of(Pack::of(bytes)))
    }

    fn copy_of(pack: &Pack) -> Self {
        let mut copy = Self::allocate(pack.total_bytes());
        copy.bytes_mut().copy_from_slice(pack.as_bytes());
        copy
    }

    /// A listpack of `count` entries already encoded.
    fn from_entries(entries: &[u8], count: usize) -> Self {
        let total = EMPTY_BYTES + entries.len();
        let mut pack = Self::allocate(total);
        let bytes = pack.bytes_mut();
        bytes[HEADER..total - 1].copy_from_slice(entries);
        bytes[total - 1] = TERMINATOR;
        pack.set_count(count);
        pack
    }

    /// `total` zero bytes with `total` in the header; the caller fills in the rest.
    fn allocate(total: usize) -> Self {
        let header = u32::try_from(total).expect("a listpack is below 4 GiB");
        let mut memory = ThinBytes::zeroed(total);
        // SAFETY: `total` is the length just asked for.
        unsafe { memory.bytes_mut(total)[..4].copy_from_slice(&header.to_le_bytes()) };
        Listpack { memory }
    }

    /// No caller but `resize_gap` touches the first word.
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        let total = self.total_bytes();
        // SAFETY: the first word is the length of the memory, always.
        unsafe { self.memory.bytes_mut(total) }
    }

    /// Bytes taken from the allocator.
    pub fn memory_bytes(&self) -> usize {
        thin::capacity_for(self.total_bytes())
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
        self.bytes_mut()[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    /// Once unknown, the count stays so: to learn it again would be a walk at every removal.
    fn adjust_count(&mut self, added: usize, removed: usize) {
        match self.count() {
            COUNT_UNKNOWN => {}
            count => self.set_count(usize::from(count) + added - removed),
        }
    }

    // ---- changes

    /// Appends, as an integer if that is what the text says.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.put(self.end(), 0, &Encoding::of(value));
        self.adjust_count(1, 0);
    }

    pub fn push_front(&mut self, value: &[u8]) {
        self.insert_before(Pos(HEADER as u32), value);
    }

    pub fn push_int(&mut self, number: i64) {
        self.put(self.end(), 0, &Encoding::of_int(number));
        self.adjust_count(1, 0);
    }

    /// Inserts before the entry at `pos` (or appends at `end()`) and returns where the new entry stands.
    pub fn insert_before(&mut self, pos: Pos, value: &[u8]) -> Pos {
        self.put(pos, 0, &Encoding::of(value));
        self.adjust_count(1, 0);
        pos
    }

    /// Replaces the entry at `pos`; the new one stands at the same `pos`.
    pub fn replace(&mut self, pos: Pos, value: &[u8]) -> Pos {
        let offset = pos.offset();
        let old_len = next_offset(self.as_bytes(), offset) - offset;
        self.put(pos, old_len, &Encoding::of(value));
        pos
    }

    /// Removes the entry at `pos` and returns where the entry after it now stands.
    pub fn remove(&mut self, pos: Pos) -> Option<Pos> {
        self.remove_many(pos, 1)
    }

    /// Removes up to `count` entries from `pos` on and returns where the entry after them now stands.
    pub fn remove_many(&mut self, pos: Pos, count: usize) -> Option<Pos> {
        let bytes = self.as_bytes();
        let (mut after, mut removed) = (pos.offset(), 0);
        while removed < count && bytes[after] != TERMINATOR {
            after = next_offset(bytes, after);
            removed += 1;
        }
        self.resize_gap(pos.offset(), after - pos.offset(), 0);
        self.adjust_count(0, removed);
        (pos != self.end()).then_some(pos)
    }

    /// Removes up to `count` entries from `index` on.
    pub fn remove_range(&mut self, index: usize, count: usize) {
        if let Some(pos) = self.seek(index) {
            self.remove_many(pos, count);
        }
    }

    /// Appends the entries of `other`, already encoded.
    pub fn append(&mut self, other: &Pack) {
        let (at, own, added) = (self.end().offset(), self.len(), other.len());
        let entries = &other.as_bytes()[HEADER..other.total_bytes() - 1];
        self.resize_gap(at, 0, entries.len());
        self.bytes_mut()[at..at + entries.len()].copy_from_slice(entries);
        self.set_count(own + added);
    }

    /// Appends entries that were encoded before.
    pub fn append_encoded(&mut self, entries: &EncodedEntries) {
        let at = self.end().offset();
        self.resize_gap(at, 0, entries.bytes.len());
        self.bytes_mut()[at..at + entries.bytes.len()].copy_from_slice(&entries.bytes);
        self.adjust_count(entries.count, 0);
    }

    /// Replaces the entry at `pos` by a number; it stands at the same `pos`.
    #[inline]
    pub fn replace_int(&mut self, pos: Pos, number: i64) {
        let offset = pos.offset();
        let old_len = next_offset(self.as_bytes(), offset) - offset;
        self.put(pos, old_len, &Encoding::of_int(number));
    }

    /// Every second entry, beginning with the second.
    pub fn seconds(&self) -> Listpack {
        let bytes = self.as_bytes();
        let mut entries = Vec::with_capacity(bytes.len());
        let (mut offset, mut count) = (HEADER, 0);
        while bytes[offset] != TERMINATOR {
            let second = next_offset(bytes, offset);
            offset = next_offset(bytes, second);
            entries.extend_from_slice(&bytes[second..offset]);
            count += 1;
        }
        Self::from_entries(&entries, count)
    }

    /// The entries of two listpacks of one length in turn.
    pub fn interleaved(firsts: &Listpack, seconds: &Listpack) -> Listpack {
        let (first, second) = (firsts.as_bytes(), seconds.as_bytes());
        let mut pack = Self::allocate(first.len() + second.len() - EMPTY_BYTES);
        let bytes = pack.bytes_mut();
        let (mut from, mut at) = ([HEADER; 2], HEADER);
        while first[from[0]] != TERMINATOR {
            for (source, from) in [first, second].into_iter().zip(&mut from) {
                let next = next_offset(source, *from);
                let entry = &source[*from..next];
                bytes[at..at + entry.len()].copy_from_slice(entry);
                (*from, at) = (next, at + entry.len());
            }
        }
        bytes[at] = TERMINATOR;
        pack.set_count(firsts.len() * 2);
        pack
    }

    /// Keeps the first `index` entries and returns the others.
    pub fn split_off(&mut self, index: usize) -> Listpack {
        let len = self.len();
        let Some(pos) = self.seek(index) else { return Listpack::new() };
        let end = self.end().offset();
        let tail = Self::from_entries(&self.as_bytes()[pos.offset()..end], len - index);
        self.resize_gap(pos.offset(), end - pos.offset(), 0);
        self.set_count(index);
        tail
    }

    /// Writes an entry over the `old_len` bytes at `pos`.
    #[inline]
    fn put(&mut self, pos: Pos, old_len: usize, entry: &Encoding) {
        let new_len = entry.len_with_backlen();
        let at = pos.offset();
        self.resize_gap(at, old_len, new_len);
        entry.write_to(&mut self.bytes_mut()[at..at + new_len]);
    }

    /// Makes the `old_len` bytes at `at` be `new_len` long, moving what follows. What they hold is left over.
    #[inline]
    fn resize_gap(&mut self, at: usize, old_len: usize, new_len: usize) {
        let old_total = self.total_bytes();
        assert!(at >= HEADER && at + old_len < old_total, "a listpack position out of range");
        let new_total = old_total - old_len + new_len;
        let header = u32::try_from(new_total).expect("a listpack is below 4 GiB").to_le_bytes();
        if new_total > old_total {
            // SAFETY: `old_total` is the length; the first word says the new one before anyone else looks.
            let bytes = unsafe {
                self.memory.resize(old_total, new_total);
                self.memory.bytes_mut(new_total)
            };
            bytes.copy_within(at + old_len..old_total, at + new_len);
            bytes[..4].copy_from_slice(&header);
        } else if new_total < old_total {
            let bytes = self.bytes_mut();
            bytes.copy_within(at + old_len..old_total, at + new_len);
            bytes[..4].copy_from_slice(&header);
            // SAFETY: `old_total` is the length of the memory, which from here on is `new_total`.
            unsafe { self.memory.resize(old_total, new_total) };
        }
    }
}

/// The last byte is looked at first: keys of one length mostly share their beginning.
#[inline]
fn short_equals(pack: &[u8], offset: usize, needle: &[u8]) -> bool {
    match needle.last() {
        Some(last) => {
            let text = &pack[offset..offset + needle.len()];
            text[needle.len() - 1] == *last && bytes::equal(text, needle)
        }
        None => true,
    }
}

/// The entries of a listpack, from both ends.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let element = element_at(self.bytes, self.front);
        self.front = next_offset(self.bytes, self.front);
        Some(element)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        self.back = prev_offset(self.bytes, self.back);
        Some(element_at(self.bytes, self.back))
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        let total = self.total_bytes();
        // SAFETY: `total` is the length, and this is the end.
        unsafe { self.memory.free(total) };
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::copy_of(self)
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Listpack({:02x?})", self.as_bytes())
    }
}

const _: () = assert!(size_of::<Option<Listpack>>() == 8);

#[cfg(test)]
#[path = "listpack_tests.rs"]
mod tests;
