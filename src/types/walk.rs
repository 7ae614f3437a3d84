//! What the collections share: iterators (one of two, the pairs of a listpack), checks and bounds.
//!
//! Ancestors: `hashTypeIterator`, `setTypeIterator`, `zzlNext`, `lpSafeToAdd`.

use super::Element;
use super::listpack::{Listpack, Pos};
use super::table::{Table, TableEntry};
use crate::base::hash::hash;

/// So many keys are compared each with each; more are sorted.
const PAIRWISE_MAX: usize = 16;

/// One of two iterators over the same items.
pub enum Either<A, B> {
    Left(A),
    Right(B),
}

impl<A, B> Iterator for Either<A, B>
where
    A: Iterator,
    B: Iterator<Item = A::Item>,
{
    type Item = A::Item;

    #[inline]
    fn next(&mut self) -> Option<A::Item> {
        match self {
            Either::Left(items) => items.next(),
            Either::Right(items) => items.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Either::Left(items) => items.size_hint(),
            Either::Right(items) => items.size_hint(),
        }
    }
}

impl<A, B> DoubleEndedIterator for Either<A, B>
where
    A: DoubleEndedIterator,
    B: DoubleEndedIterator<Item = A::Item>,
{
    fn next_back(&mut self) -> Option<A::Item> {
        match self {
            Either::Left(items) => items.next_back(),
            Either::Right(items) => items.next_back(),
        }
    }
}

/// The pairs (field and value, member and score) of a listpack, from both ends.
pub struct Pairs<'a> {
    pack: &'a Listpack,
    left: usize,
    /// The first entry of the next pair, and the second entry of the last one. Only meaningful while `left > 0`.
    front: Option<Pos>,
    back: Option<Pos>,
}

impl<'a> Pairs<'a> {
    /// The pairs `start .. start + count`, cut at the end. The listpack holds an even number of entries.
    pub fn new(pack: &'a Listpack, start: usize, count: usize) -> Self {
        let len = pack.len() / 2;
        let left = count.min(len.saturating_sub(start));
        let (front, back) = match left {
            0 => (None, None),
            _ => (pack.seek(start * 2), pack.seek((start + left) * 2 - 1)),
        };
        Self { pack, left, front, back }
    }

    pub fn all(pack: &'a Listpack) -> Self {
        Self::new(pack, 0, usize::MAX)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let first = self.front?;
        let second = self.pack.next(first)?;
        self.front = self.pack.next(second);
        Some((self.pack.at(first), self.pack.at(second)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let second = self.back?;
        let first = self.pack.prev(second)?;
        self.back = self.pack.prev(first);
        Some((self.pack.at(first), self.pack.at(second)))
    }
}

/// Whether a listpack (seen as tuples of `step` entries) names the same key twice. Loaded bytes are not trusted.
pub fn has_duplicates(pack: &Listpack, step: usize) -> bool {
    let mut scratch = [0; 20];
    let mut hashes: Vec<u64> = Vec::with_capacity(pack.len().div_ceil(step));
    hashes.extend(pack.iter().step_by(step).map(|key| hash(key.as_bytes(&mut scratch))));
    let repeated = if hashes.len() <= PAIRWISE_MAX {
        hashes.iter().enumerate().any(|(at, hash)| hashes[..at].contains(hash))
    } else {
        hashes.sort_unstable();
        hashes.windows(2).any(|pair| pair[0] == pair[1])
    };
    repeated && have_equals(pack.iter().step_by(step).map(|key| key.to_vec()).collect())
}

/// What equal hashes make likely, for certain.
#[cold]
fn have_equals(mut keys: Vec<Vec<u8>>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// A listpack may not grow past a gigabyte, as in the original.
pub fn has_room(pack: &Listpack, added: usize) -> bool {
    pack.total_bytes().saturating_add(added) < 1 << 30
}

/// Makes room in an empty table for `len` entries and `added` more. Counts that a peer announces are believed only up
/// to a bound (some 14 MB of buckets); beyond it the table grows as the entries come.
pub fn reserve<T: TableEntry>(table: &mut Table<T>, len: usize, added: usize) {
    table.reserve(len.saturating_add(added).min(1 << 20));
}
