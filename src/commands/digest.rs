//! Numbers that are equal where data is equal: `DEBUG DIGEST` and `DEBUG DIGEST-VALUE` (= the digests of debug.c).
//!
//! The construction is the field's, found by comparing with a stock server, so that data of two servers can be compared
//! across programs. Two steps: to `add` bytes is to xor their SHA-1 in, which forgets order; to `mix` bytes is to add
//! them and to take the SHA-1 of the whole, which keeps it. Numbers are 32 bits, most significant byte first.
//!
//! ```text
//! value   = mix type (0 string, 1 list, 2 set, 3 zset, 4 hash, 6 stream), then
//!           string: mix it          list: mix each element     set: add each member
//!           hash: add (mix field, mix value, and with a time of its own: add "!!hexpire!!") for each
//!           zset: add (mix member, mix score) for each
//!           stream: mix the ID of each entry (as ms.seq), each field and each value
//!           and with an expiry: add "!!expire!!"
//! key     = mix name, then as value
//! dataset = for each database that holds keys: mix its number, then add each key
//! ```

use crate::base::numbers;
use crate::base::sha1::sha1;
use crate::keyspace::Keyspace;
use crate::types::entry::Entry;
use crate::types::stream::StreamId;
use crate::types::table::TableEntry;
use crate::types::{Element, ValueRef};

/// A digest. That of nothing is all zeros.
pub type Digest = [u8; 20];

fn add(digest: &mut Digest, bytes: &[u8]) {
    for (byte, other) in digest.iter_mut().zip(sha1(bytes)) {
        *byte ^= other;
    }
}

fn mix(digest: &mut Digest, bytes: &[u8]) {
    add(digest, bytes);
    *digest = sha1(digest);
}

fn mix_element(digest: &mut Digest, element: Element<'_>) {
    mix(digest, element.as_bytes(&mut [0; 20]));
}

/// The digest of two things that belong together.
fn pair(first: Element<'_>, second: Element<'_>) -> Digest {
    let mut digest = Digest::default();
    mix_element(&mut digest, first);
    mix_element(&mut digest, second);
    digest
}

fn mix_value(digest: &mut Digest, entry: &Entry) {
    let value = entry.value();
    let type_number: u32 = match value {
        ValueRef::Str(_) => 0,
        ValueRef::List(_) => 1,
        ValueRef::Set(_) => 2,
        ValueRef::ZSet(_) => 3,
        ValueRef::Hash(_) | ValueRef::Fading(_) => 4,
        ValueRef::Stream(_) => 6,
    };
    mix(digest, &type_number.to_be_bytes());
    match value {
        ValueRef::Str(string) => mix_element(digest, string.element()),
        ValueRef::List(list) => list.iter().for_each(|element| mix_element(digest, element)),
        ValueRef::Set(set) => set.iter().for_each(|member| add(digest, member.as_bytes(&mut [0; 20]))),
        ValueRef::Hash(hash) => hash.iter().for_each(|(field, value)| add(digest, &pair(field, value))),
        ValueRef::Fading(fading) => {
            for (field, value, time) in fading.iter() {
                let mut of_field = pair(field, value);
                if time.is_some() {
                    add(&mut of_field, b"!!hexpire!!");
                }
                add(digest, &of_field);
            }
        }
        ValueRef::ZSet(zset) => {
            let mut text = Vec::new();
            for (member, score) in zset.iter() {
                text.clear();
                numbers::format_g17(score, &mut text);
                add(digest, &pair(member, Element::Bytes(&text)));
            }
        }
        ValueRef::Stream(stream) => {
            for entry in stream.range(StreamId::MIN, StreamId::MAX) {
                mix(digest, entry.id.spelled(b'.').bytes());
                for (field, value) in entry.fields() {
                    mix_element(digest, field);
                    mix_element(digest, value);
                }
            }
        }
    }
    if entry.expire_ms().is_some() {
        add(digest, b"!!expire!!");
    }
}

/// The digest of an entry's value and of whether it expires. Its key has no part in it.
pub fn value_digest(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    mix_value(&mut digest, entry);
    digest
}

/// The digest of all databases, expired keys included.
pub fn dataset_digest(keys: &Keyspace) -> Digest {
    let mut digest = Digest::default();
    for (number, db) in keys.dbs().iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        mix(&mut digest, &(number as u32).to_be_bytes());
        for entry in db.iter() {
            let mut of_key = Digest::default();
            mix(&mut of_key, entry.key());
            mix_value(&mut of_key, entry);
            add(&mut digest, &of_key);
        }
    }
    digest
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
