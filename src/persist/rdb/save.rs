//! Writing snapshots for a reader that is known, by default for the oldest that can hold the data in the packed forms
//! that are held here, which came with version 10. Ancestor: rdbSaveRio and rdbSaveObject of rdb.c.
//!
//! The caller pulls: header, then database by database key after key, then the end. What is written gathers in a
//! buffer that goes to the output in blocks, and the checksum runs once over each block.

mod old;

use std::io::{self, Write};

use crate::base::crc64::crc64;
use crate::base::lzf::Compressor;
use crate::base::numbers::parse_i64;
use crate::types::list::ListNode;
use crate::types::listpack::Listpack;
use crate::types::stream::{Group, StreamId};
use crate::types::{Element, Fading, Hash, List, Set, StrRef, Stream, ValueRef, ZSet};

use super::format::{Family, container, encode_length, opcode, special, type_id};
use super::load::KeyMeta;
use super::target::Target;

/// Blocks go out at this size.
const BLOCK_SIZE: usize = 256 << 10;
/// Shorter strings are not worth compressing.
const COMPRESS_ABOVE: usize = 20;
/// No 32-bit number is longer.
const INT_TEXT_MAX: usize = 11;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// Compress strings that gain by it (`rdbcompression`).
    pub compress: bool,
    /// Put a checksum in the footer (`rdbchecksum`).
    pub checksum: bool,
    /// Who is to read it. What he cannot hold is left out: whoever minds must ask before.
    pub target: Target,
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions { compress: true, checksum: true, target: Target::OLDEST }
    }
}

/// Writes one snapshot.
pub struct Saver<W: Write> {
    out: W,
    options: SaveOptions,
    block: Vec<u8>,
    compressor: Compressor,
    crc: u64,
    /// Bytes handed to `out`.
    flushed: u64,
}

impl<W: Write> Saver<W> {
    pub fn new(out: W, options: SaveOptions) -> Self {
        Saver {
            out,
            options,
            block: Vec::with_capacity(BLOCK_SIZE + BLOCK_SIZE / 8),
            compressor: Compressor::default(),
            crc: 0,
            flushed: 0,
        }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.flushed + self.block.len() as u64
    }

    pub fn header(&mut self, aux: &[(&[u8], &[u8])]) -> io::Result<()> {
        let Target { family, version } = self.options.target;
        match family {
            Family::Redis => write!(self.block, "REDIS{version:04}")?,
            Family::Valkey => write!(self.block, "VALKEY{version:03}")?,
        }
        let aux = if self.options.target.knows_aux() { aux } else { &[] };
        for (name, value) in aux {
            self.block.push(opcode::AUX);
            self.string(name)?;
            self.string(value)?;
        }
        Ok(())
    }

    /// The source of a function library.
    pub fn function(&mut self, code: &[u8]) -> io::Result<()> {
        if !self.options.target.knows_functions() {
            return Ok(());
        }
        self.block.push(opcode::FUNCTION2);
        self.string(code)
    }

    /// The keys that follow are of database `id`, which holds so many keys, so many of which expire.
    pub fn select_db(&mut self, id: u64, keys: u64, expires: u64) -> io::Result<()> {
        self.block.push(opcode::SELECTDB);
        encode_length(&mut self.block, id);
        if self.options.target.knows_aux() {
            self.block.push(opcode::RESIZEDB);
            encode_length(&mut self.block, keys);
            encode_length(&mut self.block, expires);
        }
        self.flush_if_full()
    }

    /// A key with its value, and what stands beside it.
    pub fn key(&mut self, key: &[u8], value: ValueRef<'_>, meta: KeyMeta) -> io::Result<()> {
        if !self.options.target.holds(value) {
            return Ok(());
        }
        if let Some(ms) = meta.expire_ms {
            self.block.push(opcode::EXPIRETIME_MS);
            self.block.extend_from_slice(&ms.to_le_bytes());
        }
        if let Some(seconds) = meta.idle_s {
            self.block.push(opcode::IDLE);
            encode_length(&mut self.block, seconds);
        }
        if let Some(frequency) = meta.freq {
            self.block.extend_from_slice(&[opcode::FREQ, frequency]);
        }
        self.block.push(type_of(value, self.options.target));
        self.string(key)?;
        self.value(value)
    }

    /// Writes the footer and what is left in the buffer; gives the output back.
    pub fn end(mut self) -> io::Result<W> {
        self.block.push(opcode::EOF);
        self.flush()?;
        let checksum = if self.options.checksum { self.crc } else { 0 };
        self.out.write_all(&checksum.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Libraries, as a `FUNCTION DUMP` payload has them. Nothing else may have been written.
    pub(super) fn bare_functions<'a>(mut self, codes: impl Iterator<Item = &'a [u8]>) -> io::Result<W> {
        for code in codes {
            self.function(code)?;
        }
        self.flush()?;
        Ok(self.out)
    }

    /// The type and the value, as a `DUMP` payload has them. Nothing else may have been written.
    pub(super) fn bare_value(mut self, value: ValueRef<'_>) -> io::Result<W> {
        self.block.push(type_of(value, self.options.target));
        self.value(value)?;
        self.flush()?;
        Ok(self.out)
    }

    fn value(&mut self, value: ValueRef<'_>) -> io::Result<()> {
        if self.options.target.wants_old_forms() {
            return self.old_value(value);
        }
        match value {
            ValueRef::Str(StrRef::Int(number)) => self.integer(number),
            ValueRef::Str(StrRef::Bytes(bytes)) => self.string(bytes),
            ValueRef::List(list) => self.list(list),
            ValueRef::Set(set) => self.set(set),
            ValueRef::Hash(hash) => self.hash(hash),
            ValueRef::Fading(fading) => self.fading(fading),
            ValueRef::ZSet(zset) => self.zset(zset),
            ValueRef::Stream(stream) => self.stream(stream),
        }
    }

    fn list(&mut self, list: &List) -> io::Result<()> {
        encode_length(&mut self.block, list.node_count() as u64);
        for node in list.nodes() {
            let kind = match node {
                ListNode::Plain(_) => container::PLAIN,
                ListNode::Packed(_) => container::PACKED,
            };
            encode_length(&mut self.block, kind);
            self.string(node.as_bytes())?;
        }
        Ok(())
    }

    /// A listpack of members is younger than version 10; older readers get it plainly.
    fn set(&mut self, set: &Set) -> io::Result<()> {
        if let Some(intset) = set.as_intset() {
            return self.string(intset.as_bytes());
        }
        if let Some(listpack) = set.as_listpack().filter(|_| self.options.target.knows_packed_sets()) {
            return self.string(listpack.as_bytes());
        }
        self.plain_set(set)
    }

    fn plain_set(&mut self, set: &Set) -> io::Result<()> {
        encode_length(&mut self.block, set.len() as u64);
        for member in set.iter() {
            self.element(member)?;
        }
        Ok(())
    }

    fn hash(&mut self, hash: &Hash) -> io::Result<()> {
        if let Some(listpack) = hash.to_listpack() {
            return self.string(listpack.as_bytes());
        }
        self.plain_hash(hash)
    }

    fn plain_hash(&mut self, hash: &Hash) -> io::Result<()> {
        encode_length(&mut self.block, hash.len() as u64);
        for (field, value) in hash.iter() {
            self.element(field)?;
            self.element(value)?;
        }
        Ok(())
    }

    fn fading(&mut self, fading: &Fading) -> io::Result<()> {
        match type_of(ValueRef::Fading(fading), self.options.target) {
            type_id::HASH_LISTPACK_FIELD_EXPIRY => {
                self.first_moment(fading);
                let mut pack = Listpack::new();
                for (field, value, time) in fading.iter_by_time() {
                    pack.push(field.as_bytes(&mut [0; 20]));
                    pack.push(value.as_bytes(&mut [0; 20]));
                    pack.push_int(time.unwrap_or(0));
                }
                self.string(pack.as_bytes())
            }
            type_id::HASH_FIELD_EXPIRY => {
                self.first_moment(fading);
                let first = fading.first_time().unwrap_or(0);
                encode_length(&mut self.block, fading.len() as u64);
                for (field, value, time) in fading.iter() {
                    encode_length(&mut self.block, time.map_or(0, |time| time.abs_diff(first) + 1));
                    self.element(field)?;
                    self.element(value)?;
                }
                Ok(())
            }
            type_id::HASH_FIELD_EXPIRY_VALKEY => {
                encode_length(&mut self.block, fading.len() as u64);
                for (field, value, time) in fading.iter() {
                    self.element(field)?;
                    self.element(value)?;
                    self.block.extend_from_slice(&time.unwrap_or(-1).to_le_bytes());
                }
                Ok(())
            }
            _ => self.without_times(fading),
        }
    }

    fn without_times(&mut self, fading: &Fading) -> io::Result<()> {
        encode_length(&mut self.block, fading.len() as u64);
        for (field, value, _) in fading.iter() {
            self.element(field)?;
            self.element(value)?;
        }
        Ok(())
    }

    fn first_moment(&mut self, fading: &Fading) {
        self.block.extend_from_slice(&fading.first_time().unwrap_or(0).to_le_bytes());
    }

    /// Members go from the highest score down: a skip list is built fastest from its far end.
    fn zset(&mut self, zset: &ZSet) -> io::Result<()> {
        if let Some(listpack) = zset.as_listpack() {
            return self.string(listpack.as_bytes());
        }
        encode_length(&mut self.block, zset.len() as u64);
        for (member, score) in zset.iter().rev() {
            self.element(member)?;
            self.block.extend_from_slice(&score.to_le_bytes());
        }
        Ok(())
    }

    /// When a consumer was last active is younger than version 10; readers that are not told take it to be when the
    /// consumer was last seen. What is counted, and which ids were deleted, is younger than version 9.
    fn stream(&mut self, stream: &Stream) -> io::Result<()> {
        let nodes = stream.nodes();
        encode_length(&mut self.block, nodes.len() as u64);
        for (id, node) in nodes {
            self.string(&id.to_bytes())?;
            self.string(node.as_bytes())?;
        }
        let last = stream.last_id();
        let mut counters = vec![stream.len(), last.ms, last.seq];
        if !self.options.target.wants_old_forms() {
            let (first, deleted) = (stream.first_id().unwrap_or_default(), stream.max_deleted_id());
            counters.extend([first.ms, first.seq, deleted.ms, deleted.seq, stream.entries_added()]);
        }
        counters.push(stream.groups().len() as u64);
        counters.iter().for_each(|&number| encode_length(&mut self.block, number));
        stream.groups().try_for_each(|(name, group)| self.group(name, group))
    }

    fn group(&mut self, name: &[u8], group: &Group) -> io::Result<()> {
        self.string(name)?;
        encode_length(&mut self.block, group.last_id.ms);
        encode_length(&mut self.block, group.last_id.seq);
        if !self.options.target.wants_old_forms() {
            encode_length(&mut self.block, group.entries_read.unwrap_or(u64::MAX));
        }
        encode_length(&mut self.block, group.pending_len() as u64);
        for (id, nack) in group.pending_from(StreamId::MIN) {
            self.block.extend_from_slice(&id.to_bytes());
            self.block.extend_from_slice(&nack.delivered_ms.to_le_bytes());
            encode_length(&mut self.block, nack.deliveries);
            self.flush_if_full()?;
        }
        let consumers = group.consumers();
        encode_length(&mut self.block, consumers.len() as u64);
        for (number, consumer) in consumers {
            self.string(consumer.name())?;
            self.block.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            if self.options.target.knows_active_consumers() {
                self.block.extend_from_slice(&consumer.active_ms.unwrap_or(-1).to_le_bytes());
            }
            encode_length(&mut self.block, consumer.pending_len() as u64);
            for (id, _) in group.pending_of(number, StreamId::MIN) {
                self.block.extend_from_slice(&id.to_bytes());
                self.flush_if_full()?;
            }
        }
        Ok(())
    }

    fn element(&mut self, element: Element<'_>) -> io::Result<()> {
        match element {
            Element::Int(number) => self.integer(number),
            Element::Bytes(bytes) => self.string(bytes),
        }
    }

    fn integer(&mut self, number: i64) -> io::Result<()> {
        if !self.small_integer(number) {
            self.raw(itoa::Buffer::new().format(number).as_bytes())?;
        }
        self.flush_if_full()
    }

    /// A string in the shortest of its forms: number, compressed, or as it is.
    fn string(&mut self, bytes: &[u8]) -> io::Result<()> {
        let number = if bytes.len() <= INT_TEXT_MAX { parse_i64(bytes) } else { None };
        let short = number.is_some_and(|number| self.small_integer(number))
            || self.options.compress && bytes.len() > COMPRESS_ABOVE && self.compressed(bytes);
        if !short {
            self.raw(bytes)?;
        }
        self.flush_if_full()
    }

    /// Writes a number that fits 32 bits; false (and nothing written) if it does not.
    fn small_integer(&mut self, number: i64) -> bool {
        let mut put = |kind: u8, bytes: &[u8]| {
            self.block.push(0xc0 | kind);
            self.block.extend_from_slice(bytes);
            true
        };
        if let Ok(number) = i8::try_from(number) {
            put(special::INT8, &number.to_le_bytes())
        } else if let Ok(number) = i16::try_from(number) {
            put(special::INT16, &number.to_le_bytes())
        } else if let Ok(number) = i32::try_from(number) {
            put(special::INT32, &number.to_le_bytes())
        } else {
            false
        }
    }

    /// Writes `bytes` compressed; false (and nothing written) if that would not be shorter.
    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let Some(packed) = self.compressor.compress(bytes) else { return false };
        self.block.push(0xc0 | special::LZF);
        encode_length(&mut self.block, packed.len() as u64);
        encode_length(&mut self.block, bytes.len() as u64);
        self.block.extend_from_slice(packed);
        true
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        encode_length(&mut self.block, bytes.len() as u64);
        if bytes.len() < BLOCK_SIZE {
            self.block.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.put_out(bytes)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.block.len() >= BLOCK_SIZE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        let result = self.put_out(&block);
        block.clear();
        self.block = block;
        result
    }

    fn put_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.options.checksum {
            self.crc = crc64(self.crc, bytes);
        }
        self.flushed += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// The type number under which a value is written.
fn type_of(value: ValueRef<'_>, target: Target) -> u8 {
    if target.wants_old_forms() {
        return old::type_of(value, target);
    }
    match value {
        ValueRef::Fading(fading) if fading.expires() && target.knows_field_expiry() => match target.family {
            Family::Valkey => type_id::HASH_FIELD_EXPIRY_VALKEY,
            Family::Redis if fading.encoding() == "listpackex" => type_id::HASH_LISTPACK_FIELD_EXPIRY,
            Family::Redis => type_id::HASH_FIELD_EXPIRY,
        },
        ValueRef::Fading(_) => type_id::HASH,
        ValueRef::Str(_) => type_id::STRING,
        ValueRef::List(_) => type_id::LIST_QUICKLIST_2,
        ValueRef::Set(set) if set.as_intset().is_some() => type_id::SET_INTSET,
        ValueRef::Set(set) if set.as_listpack().is_some() && target.knows_packed_sets() => type_id::SET_LISTPACK,
        ValueRef::Set(_) => type_id::SET,
        ValueRef::Hash(hash) if hash.is_packed() => type_id::HASH_LISTPACK,
        ValueRef::Hash(_) => type_id::HASH,
        ValueRef::ZSet(zset) if zset.as_listpack().is_some() => type_id::ZSET_LISTPACK,
        ValueRef::ZSet(_) => type_id::ZSET_2,
        ValueRef::Stream(_) if target.knows_active_consumers() => type_id::STREAM_3,
        ValueRef::Stream(_) => type_id::STREAM_2,
    }
}
