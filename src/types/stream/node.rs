//! A node of a stream: up to some hundred entries in one listpack, behind a master entry that names the fields most of
//! them share.
//!
//! ```text
//! master  live  deleted  n  field_1 … field_n  0
//! entry   flags  ms  seq  ( value_1 … value_n | m  field_1 value_1 … field_m value_m )  back
//!
//! flags   1: deleted   2: the fields are the master's
//! ms, seq differences from the ID under which the node stands
//! back    how many elements of the entry stand before this one, so that one can walk from the end
//! ```
//!
//! What is loaded goes through `check`, which walks every element; all else here relies on that.

use super::StreamId;
use crate::types::listpack::{EncodedEntries, Iter, Listpack, Pos};
use crate::types::{CollectionLimits, Element};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry before its values, or before its own count of fields.
const ENTRY_HEAD: i64 = 3;

/// An entry as it is read.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: StreamId,
    pack: &'a Listpack,
    len: usize,
    /// The first of the master's fields, where they are its fields.
    names: Option<Pos>,
    /// The first value, or the first field.
    at: Pos,
}

impl<'a> Entry<'a> {
    /// How many fields it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none, as no entry does that XADD made.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its fields with their values.
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        Fields { pack: self.pack, left: self.len, name: self.names, at: Some(self.at) }
    }
}

/// The fields of an entry with their values.
pub struct Fields<'a> {
    pack: &'a Listpack,
    left: usize,
    name: Option<Pos>,
    at: Option<Pos>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let at = self.at?;
        let (name, value) = match self.name {
            Some(name) => {
                self.name = self.pack.next(name);
                (name, at)
            }
            None => (at, self.pack.next(at)?),
        };
        self.at = self.pack.next(value);
        Some((self.pack.at(name), self.pack.at(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The number at `pos`; 0 where there is none, which `check` has ruled out.
#[inline]
fn int(pack: &Listpack, pos: Pos) -> i64 {
    match pack.at(pos) {
        Element::Int(number) => number,
        Element::Bytes(_) => 0,
    }
}

/// The element after `pos`, or the end.
#[inline]
fn after(pack: &Listpack, pos: Pos) -> Pos {
    pack.next(pos).unwrap_or(pack.end())
}

#[inline]
fn skip(pack: &Listpack, pos: Pos, count: usize) -> Pos {
    (0..count).fold(pos, |pos, _| after(pack, pos))
}

/// Where the parts of the master entry stand.
#[derive(Clone, Copy)]
struct Master {
    fields: usize,
    first_field: Pos,
}

impl Master {
    #[inline]
    fn of(pack: &Listpack) -> Master {
        let count = skip(pack, live_pos(pack), 2);
        Master { fields: int(pack, count) as usize, first_field: after(pack, count) }
    }

    /// Where the first entry stands.
    #[inline]
    fn first_entry(&self, pack: &Listpack) -> Pos {
        skip(pack, self.first_field, self.fields + 1)
    }
}

fn live_pos(pack: &Listpack) -> Pos {
    pack.first().unwrap_or(pack.end())
}

/// How many entries of a node are not deleted.
pub(super) fn live(pack: &Listpack) -> u64 {
    int(pack, live_pos(pack)) as u64
}

fn count_deleted(pack: &mut Listpack, removed: i64) {
    let pos = live_pos(pack);
    let live = int(pack, pos) - removed;
    pack.replace_int(pos, live);
    let pos = after(pack, pos);
    let deleted = int(pack, pos) + removed;
    pack.replace_int(pos, deleted);
}

/// Whether a node takes another entry whose fields and values are so many bytes long.
pub(super) fn has_room(pack: &Listpack, bytes: u64, limits: &CollectionLimits) -> bool {
    let most = match limits.stream_node_max_bytes {
        0 => super::NODE_BYTES_MAX,
        most => most.min(super::NODE_BYTES_MAX),
    };
    if pack.total_bytes() as u64 + bytes >= most {
        return false;
    }
    let pos = live_pos(pack);
    let entries = int(pack, pos) + int(pack, after(pack, pos));
    limits.stream_node_max_entries == 0 || (entries as u64) < limits.stream_node_max_entries
}

/// A node of one entry, whose fields become the master's.
pub(super) fn begin<'f>(id: StreamId, fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone) -> Listpack {
    let mut pack = Listpack::new();
    let mut encoded = EncodedEntries::default();
    encoded.push_int(0);
    encoded.push_int(0);
    encoded.push_int(fields.clone().count() as i64);
    fields.clone().for_each(|(field, _)| encoded.push(field));
    encoded.push_int(0);
    pack.append_encoded(&encoded);
    append(&mut pack, id, id, fields);
    pack
}

/// Appends an entry.
pub(super) fn append<'f>(
    pack: &mut Listpack,
    master_id: StreamId,
    id: StreamId,
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
) {
    let master = Master::of(pack);
    let mut names = fields_of(pack, master);
    let same =
        fields.clone().all(|(field, _)| names.next().is_some_and(|name| name == *field)) && names.next().is_none();
    let mut encoded = EncodedEntries::default();
    encoded.push_int(if same { SAME_FIELDS } else { 0 });
    encoded.push_int(id.ms.wrapping_sub(master_id.ms) as i64);
    encoded.push_int(id.seq.wrapping_sub(master_id.seq) as i64);
    let mut count = 0;
    if same {
        for (_, value) in fields {
            encoded.push(value);
            count += 1;
        }
        encoded.push_int(count + ENTRY_HEAD);
    } else {
        encoded.push_int(fields.clone().count() as i64);
        for (field, value) in fields {
            encoded.push(field);
            encoded.push(value);
            count += 2;
        }
        encoded.push_int(count + ENTRY_HEAD + 1);
    }
    pack.append_encoded(&encoded);
    let pos = live_pos(pack);
    let live = int(pack, pos) + 1;
    pack.replace_int(pos, live);
}

/// The master's fields.
fn fields_of(pack: &Listpack, master: Master) -> Iter<'_> {
    let end = skip(pack, master.first_field, master.fields);
    pack.iter_between(master.first_field, end)
}

/// Marks an entry as deleted and returns how many live ones are left; `None` if it was not there.
pub(super) fn delete(pack: &mut Listpack, master_id: StreamId, id: StreamId) -> Option<u64> {
    let mut cursor = Cursor::new(pack, master_id);
    let flags_at = loop {
        let raw = cursor.forward()?;
        if raw.id > id {
            return None;
        }
        if raw.id == id && !raw.is_deleted() {
            break raw.at;
        }
    };
    let flags = int(pack, flags_at) | DELETED;
    pack.replace_int(flags_at, flags);
    count_deleted(pack, 1);
    Some(live(pack))
}

/// Marks up to `most` live entries below `least` as deleted, the first ones, and returns how many they were.
pub(super) fn delete_first(pack: &mut Listpack, master_id: StreamId, most: u64, least: StreamId) -> u64 {
    let mut cursor = Cursor::new(pack, master_id);
    let mut found = Vec::new();
    while (found.len() as u64) < most {
        let Some(raw) = cursor.forward() else { break };
        if raw.is_deleted() {
            continue;
        }
        if raw.id >= least {
            break;
        }
        found.push((raw.at, raw.flags));
    }
    for &(at, flags) in &found {
        // The flags take one byte before and after, so no place moves.
        pack.replace_int(at, flags | DELETED);
    }
    count_deleted(pack, found.len() as i64);
    found.len() as u64
}

/// The ID of the last entry, deleted or not.
pub(super) fn last_id(pack: &Listpack, master_id: StreamId) -> StreamId {
    Cursor::new(pack, master_id).backward().map_or(master_id, |raw| raw.id)
}

/// An entry, deleted or not.
struct Raw {
    id: StreamId,
    flags: i64,
    /// Where its flags stand.
    at: Pos,
    /// Its fields.
    len: usize,
    /// Where its first value stands, or its first field.
    values: Pos,
}

impl Raw {
    fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }
}

/// A walk over a node, from both ends.
pub(super) struct Cursor<'a> {
    pack: &'a Listpack,
    id: StreamId,
    master: Master,
    front: Pos,
    back: Pos,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(pack: &'a Listpack, id: StreamId) -> Self {
        let master = Master::of(pack);
        Cursor { pack, id, master, front: master.first_entry(pack), back: pack.end() }
    }

    #[inline]
    fn raw(&self, at: Pos) -> Raw {
        let pack = self.pack;
        let ms = after(pack, at);
        let seq = after(pack, ms);
        let flags = int(pack, at);
        let next = after(pack, seq);
        let id = StreamId {
            ms: self.id.ms.wrapping_add(int(pack, ms) as u64),
            seq: self.id.seq.wrapping_add(int(pack, seq) as u64),
        };
        if flags & SAME_FIELDS != 0 {
            return Raw { id, flags, at, len: self.master.fields, values: next };
        }
        Raw { id, flags, at, len: int(pack, next) as usize, values: after(pack, next) }
    }

    /// The next entry from the front.
    #[inline]
    fn forward(&mut self) -> Option<Raw> {
        if self.front >= self.back {
            return None;
        }
        let raw = self.raw(self.front);
        let elements = if raw.flags & SAME_FIELDS != 0 { raw.len } else { raw.len * 2 };
        self.front = skip(self.pack, raw.values, elements + 1);
        Some(raw)
    }

    /// The next entry from the back.
    fn backward(&mut self) -> Option<Raw> {
        if self.front >= self.back {
            return None;
        }
        let count_at = self.pack.prev(self.back)?;
        let mut at = count_at;
        for _ in 0..int(self.pack, count_at) {
            at = self.pack.prev(at)?;
        }
        self.back = at;
        Some(self.raw(at))
    }

    fn entry(&self, raw: &Raw) -> Entry<'a> {
        let names = (raw.flags & SAME_FIELDS != 0).then_some(self.master.first_field);
        Entry { id: raw.id, pack: self.pack, len: raw.len, names, at: raw.values }
    }

    /// The next entry from the front that is not deleted and lies within these IDs.
    #[inline]
    pub(super) fn first_live(&mut self, start: StreamId, end: StreamId) -> Option<Entry<'a>> {
        while let Some(raw) = self.forward() {
            if raw.id > end {
                self.front = self.back;
                return None;
            }
            if raw.id >= start && !raw.is_deleted() {
                return Some(self.entry(&raw));
            }
        }
        None
    }

    /// The same from the back.
    pub(super) fn last_live(&mut self, start: StreamId, end: StreamId) -> Option<Entry<'a>> {
        while let Some(raw) = self.backward() {
            if raw.id < start {
                self.back = self.front;
                return None;
            }
            if raw.id <= end && !raw.is_deleted() {
                return Some(self.entry(&raw));
            }
        }
        None
    }
}

fn number(elements: &mut Iter<'_>) -> Option<i64> {
    match elements.next()? {
        Element::Int(number) => Some(number),
        Element::Bytes(_) => None,
    }
}

/// Looks at every element of a loaded listpack: how many live entries it has, or `None` if it is no node. Its first
/// entry must stand under the node's own ID, and each one above the one before.
pub(super) fn check(pack: &Listpack, master_id: StreamId) -> Option<u64> {
    let mut elements = pack.iter();
    let live = number(&mut elements)?;
    let deleted = number(&mut elements)?;
    let names = number(&mut elements)?;
    for _ in 0..names {
        elements.next()?;
    }
    if names < 0 || number(&mut elements)? != 0 {
        return None;
    }
    let (mut seen_live, mut seen_deleted, mut last) = (0, 0, None);
    while let Some(flags) = elements.next() {
        let Element::Int(flags) = flags else { return None };
        let (ms, seq) = (number(&mut elements)?, number(&mut elements)?);
        let id = StreamId { ms: master_id.ms.wrapping_add(ms as u64), seq: master_id.seq.wrapping_add(seq as u64) };
        let follows = last.map_or(id == master_id, |last| id > last);
        if !follows || !(0..=DELETED | SAME_FIELDS).contains(&flags) {
            return None;
        }
        last = Some(id);
        let same = flags & SAME_FIELDS != 0;
        let fields = if same { names } else { number(&mut elements)? };
        let values = if same { fields } else { fields.checked_mul(2)? };
        for _ in 0..values {
            elements.next()?;
        }
        let back = values.checked_add(if same { ENTRY_HEAD } else { ENTRY_HEAD + 1 })?;
        if fields < 0 || number(&mut elements)? != back {
            return None;
        }
        if flags & DELETED != 0 { seen_deleted += 1 } else { seen_live += 1 }
    }
    let counted = live == seen_live && deleted == seen_deleted && last.is_some();
    counted.then_some(live as u64)
}
