//! The set: an intset, a listpack or a hash table, as big as it must be.
//!
//! Ancestor: `t_set.c` (`setTypeAddAux`, `setTypeMaybeConvert`), with the encodings and thresholds of Redis 7.2. A set
//! only ever moves on: intset to listpack or table, listpack to table.

use super::entries::Member;
use super::intset::IntSet;
use super::listpack::Listpack;
use super::table::Table;
use super::walk::{Either, has_duplicates, has_room, reserve};
use super::{CollectionLimits, Element};
use crate::base::numbers::parse_i64;
use crate::base::rng::Rng;

/// A set of byte strings.
pub struct Set(Form);

enum Form {
    Ints(IntSet),
    Pack(Listpack),
    Table(Box<Table<Member>>),
}

const _: () = assert!(size_of::<Set>() <= 16);

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl Set {
    pub fn new() -> Self {
        Self(Form::Ints(IntSet::new()))
    }

    /// An empty set in the encoding for `expected` members of which `first` is one.
    pub fn for_adding(first: &[u8], expected: usize, limits: &CollectionLimits) -> Self {
        if parse_i64(first).is_some() && expected <= limits.set_max_intset_entries {
            Self::new()
        } else if expected <= limits.set_max_listpack_entries {
            Self(Form::Pack(Listpack::new()))
        } else {
            Self(Form::Table(Box::default()))
        }
    }

    /// Converts at once when that many members are about to be added.
    pub fn expect(&mut self, added: usize, limits: &CollectionLimits) {
        let over = match &self.0 {
            Form::Ints(_) => added > limits.set_max_intset_entries,
            Form::Pack(_) => added > limits.set_max_listpack_entries,
            Form::Table(_) => false,
        };
        if over {
            self.convert_to_table(added);
        }
    }

    /// A set from loaded integers; a table when there are more than the limit.
    pub fn from_intset(ints: IntSet, limits: &CollectionLimits) -> Self {
        let over = ints.len() > limits.set_max_intset_entries;
        let mut set = Self(Form::Ints(ints));
        if over {
            set.convert_to_table(1);
        }
        set
    }

    /// A set from a loaded listpack, or `None` if a member stands in it twice.
    pub fn from_listpack(pack: Listpack, limits: &CollectionLimits) -> Option<Self> {
        if has_duplicates(&pack, 1) {
            return None;
        }
        let over = pack.len() > limits.set_max_listpack_entries;
        let mut set = Self(Form::Pack(pack));
        if over {
            set.convert_to_table(1);
        }
        Some(set)
    }

    /// The table, once there is one.
    #[inline]
    pub(super) fn table(&self) -> Option<&Table<Member>> {
        match &self.0 {
            Form::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.len(),
            Form::Pack(pack) => pack.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// See `Value::free_some`.
    pub fn free_some(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Form::Ints(_) | Form::Pack(_) => false,
            Form::Table(table) => table.take_some(budget, drop),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Ints(_) => "intset",
            Form::Pack(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    pub fn as_intset(&self) -> Option<&IntSet> {
        match &self.0 {
            Form::Ints(ints) => Some(ints),
            _ => None,
        }
    }

    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Pack(pack) => Some(pack),
            _ => None,
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Form::Ints(ints) => parse_i64(member).is_some_and(|number| ints.contains(number)),
            Form::Pack(pack) => pack.find(member, 0).is_some(),
            Form::Table(table) => table.contains(member),
        }
    }

    /// Adds a member; false if it was there.
    pub fn add(&mut self, member: &[u8], limits: &CollectionLimits) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => match parse_i64(member) {
                Some(number) => {
                    let added = ints.add(number);
                    if added && ints.len() > limits.set_max_intset_entries {
                        self.convert_to_table(1);
                    }
                    return added;
                }
                None => self.leave_intset(member, limits),
            },
            Form::Pack(pack) => {
                if pack.find(member, 0).is_some() {
                    return false;
                }
                if !fits(pack, pack.len(), member, limits) {
                    self.convert_to_table(1);
                }
            }
            Form::Table(_) => {}
        }
        match &mut self.0 {
            Form::Ints(_) => unreachable!("an intset was left above"),
            Form::Pack(pack) => {
                pack.push(member);
                true
            }
            Form::Table(table) => add_to_table(table, member),
        }
    }

    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Form::Ints(ints) => parse_i64(member).is_some_and(|number| ints.remove(number)),
            Form::Pack(pack) => {
                let found = pack.find(member, 0);
                if let Some(pos) = found {
                    pack.remove(pos);
                }
                found.is_some()
            }
            Form::Table(table) => table.remove(member).is_some(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        match &self.0 {
            Form::Ints(ints) => Either::Left(ints.iter().map(Element::Int)),
            Form::Pack(pack) => Either::Right(Either::Left(pack.iter())),
            Form::Table(table) => Either::Right(Either::Right(table.iter().map(element))),
        }
    }

    /// A member by chance. `None` only from an empty set.
    pub fn random(&self, rng: &mut Rng) -> Option<Element<'_>> {
        match &self.0 {
            Form::Ints(ints) => ints.get(rng.index(ints.len())).map(Element::Int),
            Form::Pack(pack) => pack.get(rng.index(pack.len())),
            Form::Table(table) => table.random(rng).map(element),
        }
    }

    pub fn pop_random(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let member = self.random(rng)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// One step of SSCAN: hands out some members and returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, mut f: impl FnMut(Element<'_>)) -> u64 {
        match &self.0 {
            Form::Table(table) => table.scan(cursor, |member| f(element(member))),
            _ => {
                self.iter().for_each(f);
                0
            }
        }
    }

    /// Bytes of memory, estimated from up to `samples` members (0: from all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Ints(ints) => ints.as_bytes().len(),
            Form::Pack(pack) => pack.total_bytes(),
            Form::Table(table) => {
                let take = if samples == 0 { table.len() } else { samples.min(table.len()) };
                let sampled: usize = table.iter().take(take).map(Member::size).sum();
                table.memory_bytes() + sampled * table.len() / take.max(1)
            }
        }
    }

    /// A non-integer comes: on to a listpack if the integers and it fit there, else to a table.
    fn leave_intset(&mut self, member: &[u8], limits: &CollectionLimits) {
        let Form::Ints(ints) = &self.0 else { return };
        let widest = [ints.get(0), ints.len().checked_sub(1).and_then(|last| ints.get(last))]
            .into_iter()
            .flatten()
            .map(|number| Element::Int(number).to_vec().len())
            .max();
        let mut pack = Listpack::new();
        if fits(&pack, ints.len(), member, limits) && widest.unwrap_or(0) <= limits.set_max_listpack_value {
            ints.iter().for_each(|number| pack.push_int(number));
            self.0 = Form::Pack(pack);
        } else {
            self.convert_to_table(1);
        }
    }

    fn convert_to_table(&mut self, added: usize) {
        let mut table: Box<Table<Member>> = Box::default();
        reserve(&mut table, self.len(), added);
        for member in self.iter() {
            table.insert(Member::new(member.as_bytes(&mut [0; 20])));
        }
        self.0 = Form::Table(table);
    }
}

impl Clone for Set {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Form::Ints(ints) => Form::Ints(ints.clone()),
            Form::Pack(pack) => Form::Pack(pack.clone()),
            Form::Table(from) => {
                let mut table: Box<Table<Member>> = Box::default();
                for member in from.iter() {
                    table.insert(Member::new(member.bytes()));
                }
                Form::Table(table)
            }
        })
    }
}

fn element(member: &Member) -> Element<'_> {
    Element::Bytes(member.bytes())
}

fn fits(pack: &Listpack, len: usize, member: &[u8], limits: &CollectionLimits) -> bool {
    len < limits.set_max_listpack_entries
        && member.len() <= limits.set_max_listpack_value
        && has_room(pack, member.len())
}

fn add_to_table(table: &mut Table<Member>, member: &[u8]) -> bool {
    let hash = crate::base::hash::hash(member);
    if table.get_hashed(hash, member).is_some() {
        return false;
    }
    table.insert_new(hash, Member::new(member), false);
    true
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
