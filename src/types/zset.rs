//! The sorted set: a listpack of member and score in turn, or a hash table and a ranked tree over the same members.
//!
//! Ancestor: `t_zset.c` (`zsetAdd`, `zsetConvert`, the `zzl` and `zsl` families), with the thresholds of Redis 7.2.
//! Ranks count from 0 in ascending order; whoever wants the other order asks for `reverse`. Scores are never NaN.
//!
//! ```text
//! Big:   table: hash of member -> ZMember ----> [score][len][member]   one allocation, owned by the table
//!        tree:  (score, ZHandle) in order  ----^                       read only while the table owns it
//! ```

use super::entries::{ZHandle, ZMember};
use super::listpack::{Listpack, Pos};
use super::ranked::{Ranked, RankedMember};
use super::table::Table;
use super::walk::{Either, Pairs, has_duplicates, has_room, reserve};
use super::{CollectionLimits, Element};
use crate::base::numbers::{format_f64, parse_f64};
use crate::base::rng::Rng;
use std::cmp::Ordering;

/// Members in the order of their scores.
pub struct ZSet(Form);

enum Form {
    Pack(Listpack),
    Big(Box<Big>),
}

/// Every handle in `tree` points at a member in `table`: it enters the tree with the member's entry into the table,
/// and leaves the tree before the member leaves the table.
#[derive(Default)]
struct Big {
    tree: Ranked<ZHandle>,
    table: Table<ZMember>,
}

const _: () = assert!(size_of::<ZSet>() <= 16);

impl Default for ZSet {
    fn default() -> Self {
        Self::new()
    }
}

impl ZSet {
    pub fn new() -> Self {
        Self(Form::Pack(Listpack::new()))
    }

    /// Converts at once when that many members, the longest of them of `longest` bytes, are about to be added.
    pub fn expect(&mut self, added: usize, longest: usize, limits: &CollectionLimits) {
        let over = added > limits.zset_max_listpack_entries || longest > limits.zset_max_listpack_value;
        if over {
            self.convert_to_big(added);
        }
    }

    /// A sorted set from a loaded listpack, or `None` if it has an odd entry, a member twice or a score that is none.
    pub fn from_listpack(pack: Listpack, limits: &CollectionLimits) -> Option<Self> {
        if !pack.len().is_multiple_of(2) || has_duplicates(&pack, 2) {
            return None;
        }
        let mut in_order = true;
        let mut previous: Option<(Element<'_>, f64)> = None;
        for (member, score) in Pairs::all(&pack) {
            let score = read_score(score)?;
            if let Some((before, lower)) = previous {
                in_order &= compare(before, lower, member.as_bytes(&mut [0; 20]), score) == Ordering::Less;
            }
            previous = Some((member, score));
        }
        if in_order && pack.len() / 2 <= limits.zset_max_listpack_entries {
            return Some(Self(Form::Pack(pack)));
        }
        let mut zset = Self(Form::Big(Big::from_pack(&pack, 0)));
        zset.tighten(limits);
        Some(zset)
    }

    /// Back to a listpack if it fits in one: for results that were built as a whole (ZUNIONSTORE and its kin).
    pub fn tighten(&mut self, limits: &CollectionLimits) {
        let Form::Big(big) = &self.0 else { return };
        let short = |entry: &ZMember| entry.bytes().len() <= limits.zset_max_listpack_value;
        if big.table.len() > limits.zset_max_listpack_entries || !big.table.iter().all(short) {
            return;
        }
        let mut pack = Listpack::new();
        for (member, score) in self.iter() {
            pack.push(member.as_bytes(&mut [0; 20]));
            pack.push(&score_text(score));
        }
        self.0 = Form::Pack(pack);
    }

    /// The table, once there is one.
    #[inline]
    pub(super) fn table(&self) -> Option<&Table<ZMember>> {
        match &self.0 {
            Form::Big(big) => Some(&big.table),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Pack(pack) => pack.len() / 2,
            Form::Big(big) => big.table.len(),
        }
    }

    /// See `Value::free_some`.
    pub fn free_some(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Form::Pack(_) => false,
            // A node of the tree is one allocation, as a member is.
            Form::Big(big) => big.tree.free_some(budget) || big.table.take_some(budget, drop),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Pack(_) => "listpack",
            Form::Big(_) => "skiplist",
        }
    }

    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Pack(pack) => Some(pack),
            Form::Big(_) => None,
        }
    }

    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Pack(pack) => Some(score_after(pack, pack.find(member, 1)?)),
            Form::Big(big) => big.table.get(member).map(ZMember::score),
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.score(member).is_some()
    }

    /// Adds a member or gives it a new score; returns the old score if there was one.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &CollectionLimits) -> Option<f64> {
        debug_assert!(!score.is_nan());
        if let Form::Pack(pack) = &mut self.0 {
            if let Some(pos) = pack.find(member, 1) {
                let old = score_after(pack, pos);
                if old != score {
                    pack.remove_many(pos, 2);
                    insert_in_pack(pack, member, score);
                }
                return Some(old);
            }
            let fits = pack.len() / 2 < limits.zset_max_listpack_entries
                && member.len() <= limits.zset_max_listpack_value
                && has_room(pack, member.len());
            if fits {
                insert_in_pack(pack, member, score);
                return None;
            }
        }
        self.convert_to_big(1).insert(member, score)
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Pack(pack) => {
                let pos = pack.find(member, 1)?;
                let score = score_after(pack, pos);
                pack.remove_many(pos, 2);
                Some(score)
            }
            Form::Big(big) => {
                let score = big.table.get(member)?.score();
                big.tree.remove(score, member);
                big.table.remove(member);
                Some(score)
            }
        }
    }

    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.0 {
            Form::Pack(pack) => Pairs::all(pack).position(|(other, _)| other == *member),
            Form::Big(big) => big.tree.rank(big.table.get(member)?.score(), member),
        }
    }

    /// The member at a rank, with its score.
    pub fn at(&self, rank: usize) -> Option<(Element<'_>, f64)> {
        self.slice(rank, 1).next()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Element<'_>, f64)> {
        self.slice(0, usize::MAX)
    }

    /// The members of ranks `start .. start + count`, ascending or, with `reverse`, from the last of them down.
    pub fn range(&self, start: usize, count: usize, reverse: bool) -> impl Iterator<Item = (Element<'_>, f64)> {
        let members = self.slice(start, count);
        if reverse { Either::Left(members.rev()) } else { Either::Right(members) }
    }

    /// The rank of the first member whose score is at least `score`.
    pub fn first_at_least(&self, score: f64) -> usize {
        self.partition_point(|other, _| other < score)
    }

    /// The rank of the first member whose score is above `score`.
    pub fn first_above(&self, score: f64) -> usize {
        self.partition_point(|other, _| other <= score)
    }

    /// The rank of the first member that is at least `member`, where all scores are equal.
    pub fn first_lex_at_least(&self, member: &[u8]) -> usize {
        self.partition_point(|_, other| other < member)
    }

    /// The rank of the first member above `member`, where all scores are equal.
    pub fn first_lex_above(&self, member: &[u8]) -> usize {
        self.partition_point(|_, other| other <= member)
    }

    /// Removes the members of ranks `start .. start + count` and returns how many there were.
    pub fn remove_range_by_rank(&mut self, start: usize, count: usize) -> usize {
        match &mut self.0 {
            Form::Pack(pack) => {
                let found = count.min((pack.len() / 2).saturating_sub(start));
                if found > 0 {
                    pack.remove_range(start * 2, found * 2);
                }
                found
            }
            Form::Big(big) => big.remove_range(start, count),
        }
    }

    pub fn pop_min(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(0)
    }

    pub fn pop_max(&mut self) -> Option<(Vec<u8>, f64)> {
        self.pop(self.len().checked_sub(1)?)
    }

    /// A member by chance, with its score. `None` only from an empty set.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, f64)> {
        self.at(rng.index(self.len()))
    }

    /// One step of ZSCAN: hands out some members and returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, mut f: impl FnMut(Element<'_>, f64)) -> u64 {
        match &self.0 {
            Form::Pack(_) => {
                self.iter().for_each(|(member, score)| f(member, score));
                0
            }
            Form::Big(big) => big.table.scan(cursor, |entry| f(Element::Bytes(entry.bytes()), entry.score())),
        }
    }

    /// Bytes of memory, estimated from up to `samples` members (0: from all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Pack(pack) => pack.total_bytes(),
            Form::Big(big) => {
                let take = if samples == 0 { big.table.len() } else { samples.min(big.table.len()) };
                let sampled: usize = big.table.iter().take(take).map(ZMember::size).sum();
                big.table.memory_bytes() + big.tree.memory_bytes() + sampled * big.table.len() / take.max(1)
            }
        }
    }

    fn slice(&self, start: usize, count: usize) -> impl DoubleEndedIterator<Item = (Element<'_>, f64)> {
        match &self.0 {
            Form::Pack(pack) => {
                Either::Left(Pairs::new(pack, start, count).map(|(member, score)| (member, known_score(score))))
            }
            Form::Big(big) => Either::Right(big.range(start, count)),
        }
    }

    fn partition_point(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match &self.0 {
            Form::Pack(pack) => Pairs::all(pack)
                .take_while(|(member, score)| before(known_score(*score), member.as_bytes(&mut [0; 20])))
                .count(),
            Form::Big(big) => big.tree.partition_point(|score, member| before(score, member.bytes())),
        }
    }

    fn pop(&mut self, rank: usize) -> Option<(Vec<u8>, f64)> {
        let popped = self.at(rank).map(|(member, score)| (member.to_vec(), score));
        self.remove_range_by_rank(rank, 1);
        popped
    }

    fn convert_to_big(&mut self, added: usize) -> &mut Big {
        if let Form::Pack(pack) = &self.0 {
            self.0 = Form::Big(Big::from_pack(pack, added));
        }
        match &mut self.0 {
            Form::Big(big) => big,
            Form::Pack(_) => unreachable!("converted above"),
        }
    }
}

impl Clone for ZSet {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Form::Pack(pack) => Form::Pack(pack.clone()),
            Form::Big(from) => {
                let mut big = Box::<Big>::default();
                for (score, member) in from.tree.iter() {
                    big.insert(member.bytes(), score);
                }
                Form::Big(big)
            }
        })
    }
}

impl Big {
    fn from_pack(pack: &Listpack, added: usize) -> Box<Self> {
        let mut big = Box::<Self>::default();
        reserve(&mut big.table, pack.len() / 2, added);
        for (member, score) in Pairs::all(pack) {
            big.insert(member.as_bytes(&mut [0; 20]), known_score(score));
        }
        big
    }

    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let hash = crate::base::hash::hash(member);
        if let Some(entry) = self.table.get_mut_hashed(hash, member) {
            let old = entry.score();
            if old != score {
                self.tree.change_score(old, member, score);
                entry.set_score(score);
            }
            return Some(old);
        }
        let entry = ZMember::new(member, score);
        // SAFETY: the entry goes into the table, and the handle leaves the tree before the entry leaves the table.
        self.tree.insert(score, unsafe { entry.handle() });
        self.table.insert_new(hash, entry, false);
        None
    }

    fn remove_range(&mut self, start: usize, count: usize) -> usize {
        let table = &mut self.table;
        self.tree.remove_range(start, count, |_, member| {
            table.remove(member.bytes());
        })
    }

    fn range(&self, start: usize, count: usize) -> impl DoubleEndedIterator<Item = (Element<'_>, f64)> {
        // SAFETY: the borrow of self keeps every member in the table for as long as the iterator's items live.
        let bytes = |member: ZHandle| unsafe { member.bytes_during() };
        self.tree.range(start, count).map(move |(score, member)| (Element::Bytes(bytes(member)), score))
    }
}

fn insert_in_pack(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut next = pack.first();
    while let Some(pos) = next {
        if compare(pack.at(pos), score_after(pack, pos), member, score) == Ordering::Greater {
            break;
        }
        next = pack.next(pos).and_then(|score_pos| pack.next(score_pos));
    }
    let pos = next.unwrap_or(pack.end());
    pack.insert_before(pos, &score_text(score));
    pack.insert_before(pos, member);
}

fn compare(member: Element<'_>, score: f64, other: &[u8], other_score: f64) -> Ordering {
    let by_score = score.partial_cmp(&other_score).expect("scores are never NaN");
    by_score.then_with(|| member.as_bytes(&mut [0; 20]).cmp(other))
}

fn score_after(pack: &Listpack, member: Pos) -> f64 {
    pack.next(member).map_or(0.0, |pos| known_score(pack.at(pos)))
}

/// The score that an entry of our own (or checked) listpack spells.
fn known_score(entry: Element<'_>) -> f64 {
    read_score(entry).expect("scores are checked when a listpack is loaded")
}

fn read_score(entry: Element<'_>) -> Option<f64> {
    match entry {
        Element::Int(number) => Some(number as f64),
        Element::Bytes(text) => parse_f64(text),
    }
}

/// The shortest text of a score, which a listpack stores as an integer where it is one; -0 is stored as 0.
fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    format_f64(if score == 0.0 { 0.0 } else { score }, &mut text);
    text
}

#[cfg(test)]
#[path = "zset_tests.rs"]
mod tests;
