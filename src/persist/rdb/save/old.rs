//! The forms of versions before 10: ziplists in place of listpacks, scores as texts, streams that count nothing.

use std::io::{self, Write};

use crate::base::numbers::format_f64;
use crate::types::list::ListNode;
use crate::types::{Element, List, StrRef, ValueRef, ZSet};

use super::super::format::{encode_length, type_id};
use super::super::target::Target;
use super::super::ziplist;
use super::Saver;

/// What stands for an infinite score in place of the length of its text.
const INFINITE: u8 = 254;
const MINUS_INFINITE: u8 = 255;

/// The type number under which a value is written.
pub(super) fn type_of(value: ValueRef<'_>, target: Target) -> u8 {
    match value {
        ValueRef::Str(_) => type_id::STRING,
        ValueRef::List(_) if target.knows_quicklists() => type_id::LIST_QUICKLIST,
        ValueRef::List(_) => type_id::LIST,
        ValueRef::Set(set) if set.as_intset().is_some() => type_id::SET_INTSET,
        ValueRef::Set(_) => type_id::SET,
        ValueRef::Hash(hash) if hash.is_packed() => type_id::HASH_ZIPLIST,
        ValueRef::Hash(_) | ValueRef::Fading(_) => type_id::HASH,
        ValueRef::ZSet(zset) if zset.as_listpack().is_some() => type_id::ZSET_ZIPLIST,
        ValueRef::ZSet(_) if target.knows_binary_scores() => type_id::ZSET_2,
        ValueRef::ZSet(_) => type_id::ZSET,
        ValueRef::Stream(_) => type_id::STREAM,
    }
}

impl<W: Write> Saver<W> {
    pub(super) fn old_value(&mut self, value: ValueRef<'_>) -> io::Result<()> {
        match value {
            ValueRef::Str(StrRef::Int(number)) => self.integer(number),
            ValueRef::Str(StrRef::Bytes(bytes)) => self.string(bytes),
            ValueRef::List(list) => self.old_list(list),
            ValueRef::Set(set) => match set.as_intset() {
                Some(intset) => self.string(intset.as_bytes()),
                None => self.plain_set(set),
            },
            ValueRef::Hash(hash) => match hash.to_listpack() {
                Some(pack) => self.ziplist(pack.iter()),
                None => self.plain_hash(hash),
            },
            ValueRef::Fading(fading) => self.without_times(fading),
            ValueRef::ZSet(zset) => self.old_zset(zset),
            ValueRef::Stream(stream) => self.stream(stream),
        }
    }

    fn old_list(&mut self, list: &List) -> io::Result<()> {
        if !self.options.target.knows_quicklists() {
            encode_length(&mut self.block, list.len() as u64);
            return list.iter().try_for_each(|element| self.element(element));
        }
        encode_length(&mut self.block, list.node_count() as u64);
        list.nodes().try_for_each(|node| match node {
            ListNode::Plain(bytes) => self.ziplist([Element::Bytes(bytes)].into_iter()),
            ListNode::Packed(pack) => self.ziplist(pack.iter()),
        })
    }

    fn old_zset(&mut self, zset: &ZSet) -> io::Result<()> {
        if let Some(pack) = zset.as_listpack() {
            return self.ziplist(pack.iter());
        }
        encode_length(&mut self.block, zset.len() as u64);
        for (member, score) in zset.iter().rev() {
            self.element(member)?;
            if self.options.target.knows_binary_scores() {
                self.block.extend_from_slice(&score.to_le_bytes());
            } else {
                self.text_score(score);
            }
        }
        Ok(())
    }

    fn text_score(&mut self, score: f64) {
        if score.is_infinite() {
            return self.block.push(if score > 0.0 { INFINITE } else { MINUS_INFINITE });
        }
        let mut text = Vec::with_capacity(32);
        format_f64(score, &mut text);
        self.block.push(text.len() as u8);
        self.block.extend_from_slice(&text);
    }

    fn ziplist<'a>(&mut self, elements: impl Iterator<Item = Element<'a>>) -> io::Result<()> {
        let too_long = || io::Error::other("a value is too long for the RDB version that was asked for");
        self.string(&ziplist::encode(elements).ok_or_else(too_long)?)
    }
}
