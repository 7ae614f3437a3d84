//! The values: string, list, set, hash, sorted set, stream, and the encodings under them.
//!
//! This room knows no client and no database. Small collections are the field's packed formats (listpack, intset), big
//! ones are tables and trees of our own. It may say `unsafe`, with its reason.

pub mod element;
mod entries;
pub mod entry;
pub mod fading;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod list;
pub mod listpack;
mod quicklist;
pub mod ranked;
pub mod set;
mod shape;
pub mod str;
pub mod stream;
pub mod table;
mod thin;
mod walk;
pub mod zset;

pub use element::Element;
pub use fading::{Fading, FieldTime};
pub use hash::Hash;
pub use list::List;
pub use set::Set;
pub use str::Str;
pub use stream::Stream;
pub use zset::ZSet;

/// A string value as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StrRef<'a> {
    /// A string that spells an integer and is kept as one.
    Int(i64),
    /// Any other bytes.
    Bytes(&'a [u8]),
}

impl<'a> StrRef<'a> {
    /// The same, seen as an element.
    pub fn element(self) -> Element<'a> {
        match self {
            StrRef::Int(value) => Element::Int(value),
            StrRef::Bytes(bytes) => Element::Bytes(bytes),
        }
    }
}

/// The thresholds up to which collections stay packed. The names are those of the directives.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionLimits {
    /// Entries (positive) or a size class (−1 … −5: 4, 8, 16, 32, 64 KB) of a list's node.
    pub list_max_listpack_size: i64,
    /// Accepted for its name; nodes are not compressed in memory.
    pub list_compress_depth: u32,
    /// Members of an integer set.
    pub set_max_intset_entries: usize,
    /// Members of a packed set.
    pub set_max_listpack_entries: usize,
    /// Bytes of a packed set's member.
    pub set_max_listpack_value: usize,
    /// Fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// Bytes of a packed hash's field or value.
    pub hash_max_listpack_value: usize,
    /// Members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// Bytes of a packed sorted set's member.
    pub zset_max_listpack_value: usize,
    /// Bytes of a stream's node (0: any number).
    pub stream_node_max_bytes: u64,
    /// Entries of a stream's node (0: any number).
    pub stream_node_max_entries: u64,
}

impl Default for CollectionLimits {
    fn default() -> Self {
        CollectionLimits {
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
        }
    }
}

/// An owned value of any type, on its way into or out of the key table.
pub enum Value {
    /// A string.
    Str(Str),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A hash with fields that expire.
    Fading(Box<Fading>),
    /// A sorted set.
    ZSet(ZSet),
    /// A stream.
    Stream(Stream),
}

impl Value {
    /// Frees about so many elements of a big value, which must not be used for anything else afterwards; returns whether
    /// anything is left.
    pub fn free_some(&mut self, budget: usize) -> bool {
        match self {
            Value::List(list) => list.free_some(budget),
            Value::Set(set) => set.free_some(budget),
            Value::Hash(hash) => hash.free_some(budget),
            Value::Fading(fading) => fading.free_some(budget),
            Value::ZSet(zset) => zset.free_some(budget),
            Value::Stream(stream) => stream.free_some(budget),
            Value::Str(_) => false,
        }
    }
}

/// A value as it is read.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string.
    Str(StrRef<'a>),
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A hash.
    Hash(&'a Hash),
    /// A hash with fields that expire.
    Fading(&'a Fading),
    /// A sorted set.
    ZSet(&'a ZSet),
    /// A stream.
    Stream(&'a Stream),
}

impl ValueRef<'_> {
    /// How many members are found by their hash: those of a set, hash or sorted set that is a table.
    #[inline]
    pub fn hashed_members(&self) -> usize {
        match self {
            ValueRef::Hash(hash) => hash.table().map_or(0, table::Table::len),
            ValueRef::Set(set) => set.table().map_or(0, table::Table::len),
            ValueRef::ZSet(zset) => zset.table().map_or(0, table::Table::len),
            _ => 0,
        }
    }

    /// Asks the processor for the first thing that a look at the member with this hash needs.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        match self {
            ValueRef::Hash(value) => value.table().into_iter().for_each(|table| table.prefetch_bucket(hash)),
            ValueRef::Set(value) => value.table().into_iter().for_each(|table| table.prefetch_bucket(hash)),
            ValueRef::ZSet(value) => value.table().into_iter().for_each(|table| table.prefetch_bucket(hash)),
            _ => {}
        }
    }

    /// And for the second, once the first is near.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        match self {
            ValueRef::Hash(value) => value.table().into_iter().for_each(|table| table.prefetch_entry(hash)),
            ValueRef::Set(value) => value.table().into_iter().for_each(|table| table.prefetch_entry(hash)),
            ValueRef::ZSet(value) => value.table().into_iter().for_each(|table| table.prefetch_entry(hash)),
            _ => {}
        }
    }
}

impl ValueRef<'_> {
    /// What `TYPE` says.
    pub fn type_name(self) -> &'static str {
        match self {
            ValueRef::Str(_) => "string",
            ValueRef::List(_) => "list",
            ValueRef::Set(_) => "set",
            ValueRef::Hash(_) | ValueRef::Fading(_) => "hash",
            ValueRef::ZSet(_) => "zset",
            ValueRef::Stream(_) => "stream",
        }
    }
}
