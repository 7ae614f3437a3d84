//! The hash: a listpack of field and value in turn, values alone if many hashes have the same fields, or a hash table.
//!
//! Ancestor: `t_hash.c` (`hashTypeSet`, `hashTypeTryConversion`), with the thresholds of Redis 7.2. A listpack becomes
//! a table and never goes back. Fields that expire are the matter of `fading`.

use super::entries::Field;
use super::listpack::{Listpack, Pos};
use super::shape::Shape;
use super::table::Table;
use super::walk::{Either, Pairs, has_duplicates, has_room, reserve};
use super::{CollectionLimits, Element};
use crate::base::rng::Rng;
use std::borrow::Cow;
use std::rc::Rc;

/// Fields and their values.
pub struct Hash(Form);

enum Form {
    /// Fields and values in turn, or, where there is a shape that has the fields, the values.
    Pack(Option<Rc<Shape>>, Listpack),
    Table(Box<Table<Field>>),
}

const _: () = assert!(size_of::<Hash>() <= 16);

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    pub fn new() -> Self {
        Self(Form::Pack(None, Listpack::new()))
    }

    /// Converts at once when that many fields are about to be set.
    pub fn expect(&mut self, added: usize, limits: &CollectionLimits) {
        if self.is_packed() && added > limits.hash_max_listpack_entries {
            self.convert_to_table(added);
        }
    }

    /// A hash from a loaded listpack, or `None` if it has an odd entry or a field twice.
    pub fn from_listpack(pack: Listpack, limits: &CollectionLimits) -> Option<Self> {
        if !pack.len().is_multiple_of(2) {
            return None;
        }
        let over = pack.len() / 2 > limits.hash_max_listpack_entries;
        if !over && let Some(shape) = Shape::of(pack.iter().step_by(2)) {
            return Some(Self(Form::Pack(Some(shape), pack.seconds())));
        }
        if has_duplicates(&pack, 2) {
            return None;
        }
        let mut hash = Self(Form::Pack(None, pack));
        if over {
            hash.convert_to_table(1);
        }
        Some(hash)
    }

    /// The table, once there is one.
    #[inline]
    pub(super) fn table(&self) -> Option<&Table<Field>> {
        match &self.0 {
            Form::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Pack(None, pack) => pack.len() / 2,
            Form::Pack(Some(shape), _) => shape.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// See `Value::free_some`.
    pub fn free_some(&mut self, budget: usize) -> bool {
        match &mut self.0 {
            Form::Pack(..) => false,
            Form::Table(table) => table.take_some(budget, drop),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Pack(..) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Whether it is not a table.
    pub fn is_packed(&self) -> bool {
        matches!(self.0, Form::Pack(..))
    }

    /// Fields and values in turn, unless it is a table.
    pub fn to_listpack(&self) -> Option<Cow<'_, Listpack>> {
        match &self.0 {
            Form::Pack(None, pack) => Some(Cow::Borrowed(pack)),
            Form::Pack(Some(shape), values) => Some(Cow::Owned(Listpack::interleaved(shape.names(), values))),
            Form::Table(_) => None,
        }
    }

    pub fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        match &self.0 {
            Form::Pack(shape, pack) => value_of(shape.as_deref(), pack, field).map(|value| pack.at(value)),
            Form::Table(table) => table.get(field).map(|entry| Element::Bytes(entry.value())),
        }
    }

    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.0 {
            Form::Pack(None, pack) => pack.find(field, 1).is_some(),
            Form::Pack(Some(shape), _) => shape.position(field).is_some(),
            Form::Table(table) => table.contains(field),
        }
    }

    /// Sets a field; true if it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &CollectionLimits) -> bool {
        if let Form::Pack(_, pack) = &self.0 {
            let longest = field.len().max(value.len());
            let added = field.len().saturating_add(value.len());
            if longest > limits.hash_max_listpack_value || !has_room(pack, added) {
                self.convert_to_table(1);
            }
        }
        match &mut self.0 {
            Form::Pack(shape, pack) => {
                if let Some(at) = value_of(shape.as_deref(), pack, field) {
                    pack.replace(at, value);
                    return false;
                }
                let longer = match shape {
                    Some(shape) => shape.longer(field),
                    None if pack.is_empty() => Shape::first(field),
                    None => None,
                };
                if longer.is_none() {
                    keep_own_names(shape, pack);
                    pack.push(field);
                }
                *shape = longer;
                pack.push(value);
                if self.len() > limits.hash_max_listpack_entries {
                    self.convert_to_table(1);
                }
                true
            }
            Form::Table(table) => set_in_table(table, field, value),
        }
    }

    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Form::Pack(None, pack) => {
                let found = pack.find(field, 1);
                if let Some(pos) = found {
                    pack.remove_many(pos, 2);
                }
                found.is_some()
            }
            Form::Pack(shape, pack) => match shape.as_ref().and_then(|shape| shape.position(field)) {
                Some(position) => {
                    remove_at(shape, pack, position);
                    true
                }
                None => false,
            },
            Form::Table(table) => table.remove(field).is_some(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>)> {
        match &self.0 {
            Form::Pack(None, pack) => Either::Left(Either::Left(Pairs::all(pack))),
            Form::Pack(Some(shape), values) => Either::Left(Either::Right(shape.names().iter().zip(values.iter()))),
            Form::Table(table) => Either::Right(table.iter().map(pair)),
        }
    }

    /// A field by chance, with its value. `None` only from an empty hash.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>)> {
        match &self.0 {
            Form::Pack(None, pack) => Pairs::new(pack, rng.index(self.len()), 1).next(),
            Form::Pack(Some(shape), values) => {
                let position = rng.index(self.len());
                shape.names().get(position).zip(values.get(position))
            }
            Form::Table(table) => table.random(rng).map(pair),
        }
    }

    /// One step of HSCAN: hands out some fields and returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, mut f: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match &self.0 {
            Form::Pack(..) => {
                self.iter().for_each(|(field, value)| f(field, value));
                0
            }
            Form::Table(table) => table.scan(cursor, |entry| {
                let (field, value) = pair(entry);
                f(field, value);
            }),
        }
    }

    /// Bytes of memory, estimated from up to `samples` fields (0: from all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Form::Pack(_, pack) => pack.total_bytes(),
            Form::Table(table) => {
                let take = if samples == 0 { table.len() } else { samples.min(table.len()) };
                let sampled: usize = table.iter().take(take).map(Field::size).sum();
                table.memory_bytes() + sampled * table.len() / take.max(1)
            }
        }
    }

    fn convert_to_table(&mut self, added: usize) {
        let mut table: Box<Table<Field>> = Box::default();
        reserve(&mut table, self.len(), added);
        for (field, value) in self.iter() {
            table.insert(Field::new(field.as_bytes(&mut [0; 20]), value.as_bytes(&mut [0; 20])));
        }
        self.0 = Form::Table(table);
    }
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Form::Pack(shape, pack) => Form::Pack(shape.clone(), pack.clone()),
            Form::Table(from) => {
                let mut table: Box<Table<Field>> = Box::default();
                for entry in from.iter() {
                    table.insert(Field::new(entry.field(), entry.value()));
                }
                Form::Table(table)
            }
        })
    }
}

/// Where a field's value stands.
#[inline]
fn value_of(shape: Option<&Shape>, pack: &Listpack, field: &[u8]) -> Option<Pos> {
    match shape {
        None => pack.next(pack.find(field, 1)?),
        Some(shape) => pack.seek(shape.position(field)?),
    }
}

/// Puts the names that a shape had beside the values.
fn keep_own_names(shape: &mut Option<Rc<Shape>>, pack: &mut Listpack) {
    if let Some(shape) = shape.take() {
        *pack = Listpack::interleaved(shape.names(), pack);
    }
}

/// Takes a field out of a hash with a shape.
fn remove_at(shape: &mut Option<Rc<Shape>>, pack: &mut Listpack, position: usize) {
    let shorter = shape.as_ref().and_then(|shape| shape.without(position));
    if shorter.is_none() {
        keep_own_names(shape, pack);
        pack.remove_range(position * 2, 2);
    } else {
        pack.remove_range(position, 1);
    }
    *shape = shorter;
}

fn pair(entry: &Field) -> (Element<'_>, Element<'_>) {
    (Element::Bytes(entry.field()), Element::Bytes(entry.value()))
}

fn set_in_table(table: &mut Table<Field>, field: &[u8], value: &[u8]) -> bool {
    let hash = crate::base::hash::hash(field);
    if let Some(entry) = table.get_mut_hashed(hash, field) {
        entry.set_value(value);
        return false;
    }
    table.insert_new(hash, Field::new(field, value), false);
    true
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
