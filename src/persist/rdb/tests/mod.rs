//! Tests of the whole room: what a sink was told, compared as plain collections of the standard library.

mod damage;
mod raw;
mod roundtrip;
mod samples;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::numbers::format_f64;
use crate::types::stream::StreamId;
use crate::types::{CollectionLimits, Element, Str, StrRef, Stream, Value, ValueRef};

use super::{ErrorKind, KeyMeta, Loader, RdbError, Sink, Verifier};

/// A value without its encoding.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Str(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// With when each field expires.
    Fading(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
    /// Scores as clients see them.
    ZSet(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Everything, spelled out.
    Stream(String),
}

fn content(value: &Value) -> Content {
    match value {
        Value::Str(Str::Int(number)) => Content::Str(number.to_string().into_bytes()),
        Value::Str(Str::Bytes { bytes, .. }) => Content::Str(bytes.to_vec()),
        Value::List(list) => {
            let elements: Vec<_> = list.iter().map(|element| element.to_vec()).collect();
            assert_eq!(elements.len(), list.len());
            Content::List(elements)
        }
        Value::Set(set) => {
            let members: BTreeSet<_> = set.iter().map(|member| member.to_vec()).collect();
            assert_eq!(members.len(), set.len());
            Content::Set(members)
        }
        Value::Hash(hash) => {
            let fields: BTreeMap<_, _> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
            assert_eq!(fields.len(), hash.len());
            Content::Hash(fields)
        }
        Value::Fading(fading) => {
            Content::Fading(fading.iter().map(|(f, v, time)| (f.to_vec(), (v.to_vec(), time))).collect())
        }
        Value::ZSet(zset) => {
            let text = |score| {
                let mut text = Vec::new();
                format_f64(score, &mut text);
                text
            };
            let members: BTreeMap<_, _> = zset.iter().map(|(m, score)| (m.to_vec(), text(score))).collect();
            assert_eq!(members.len(), zset.len());
            let scores: Vec<f64> = zset.iter().map(|(_, score)| score).collect();
            assert!(scores.is_sorted(), "{scores:?}");
            Content::ZSet(members)
        }
        Value::Stream(stream) => Content::Stream(spell(stream)),
    }
}

/// All that a stream holds, save when consumers were active.
fn spell(stream: &Stream) -> String {
    let text = |id: StreamId| String::from_utf8_lossy(id.text().bytes()).into_owned();
    let mut out = format!(
        "length {} last {} deleted {} added {}\n",
        stream.len(),
        text(stream.last_id()),
        text(stream.max_deleted_id()),
        stream.entries_added()
    );
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        let show = |element: Element<'_>| element.to_vec().escape_ascii().to_string();
        let fields: Vec<_> = entry.fields().map(|(field, value)| show(field) + "=" + &show(value)).collect();
        out += &format!("{} {}\n", text(entry.id), fields.join(" "));
    }
    for (name, group) in stream.groups() {
        out += &format!("group {} {} {:?}\n", name.escape_ascii(), text(group.last_id), group.entries_read);
        for (id, nack) in group.pending_from(StreamId::MIN) {
            let owner = group.consumer(nack.consumer).name().escape_ascii();
            out += &format!("  {} {owner} {} {}\n", text(id), nack.delivered_ms, nack.deliveries);
        }
        for (number, consumer) in group.consumers() {
            let pending = group.pending_of(number, StreamId::MIN).count();
            assert_eq!(pending, consumer.pending_len());
            out += &format!("  consumer {} {} {pending}\n", consumer.name().escape_ascii(), consumer.seen_ms);
        }
    }
    out
}

fn view(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Str(Str::Int(number)) => ValueRef::Str(StrRef::Int(*number)),
        Value::Str(Str::Bytes { bytes, .. }) => ValueRef::Str(StrRef::Bytes(bytes)),
        Value::List(list) => ValueRef::List(list),
        Value::Set(set) => ValueRef::Set(set),
        Value::Hash(hash) => ValueRef::Hash(hash),
        Value::Fading(fading) => ValueRef::Fading(fading),
        Value::ZSet(zset) => ValueRef::ZSet(zset),
        Value::Stream(stream) => ValueRef::Stream(stream),
    }
}

/// The encoding's name as OBJECT ENCODING tells it; strings have theirs elsewhere.
fn encoding(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "",
        Value::List(list) => list.encoding(),
        Value::Set(set) => set.encoding(),
        Value::Hash(hash) => hash.encoding(),
        Value::Fading(fading) => fading.encoding(),
        Value::ZSet(zset) => zset.encoding(),
        Value::Stream(stream) => stream.encoding(),
    }
}

/// A sink that remembers.
#[derive(Debug, Default, PartialEq)]
struct Told {
    started: Vec<u32>,
    aux: Vec<(Vec<u8>, Vec<u8>)>,
    functions: Vec<Vec<u8>>,
    sizes: Vec<(u64, u64)>,
    databases: Vec<u64>,
    keys: BTreeMap<(u64, Vec<u8>), (Content, &'static str, KeyMeta)>,
}

impl Told {
    fn content(&self, db: u64, key: &str) -> Option<&Content> {
        self.keys.get(&(db, key.as_bytes().to_vec())).map(|(content, _, _)| content)
    }

    fn meta(&self, db: u64, key: &str) -> Option<KeyMeta> {
        self.keys.get(&(db, key.as_bytes().to_vec())).map(|(_, _, meta)| *meta)
    }
}

impl Sink for Told {
    fn start(&mut self, version: u32, _family: super::format::Family) -> Result<(), RdbError> {
        self.started.push(version);
        Ok(())
    }

    fn select_db(&mut self, id: u64) -> Result<(), RdbError> {
        self.databases.push(id);
        Ok(())
    }

    fn resize(&mut self, keys: u64, expires: u64) -> Result<(), RdbError> {
        self.sizes.push((keys, expires));
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), RdbError> {
        self.aux.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), RdbError> {
        self.functions.push(code.to_vec());
        Ok(())
    }

    fn key(&mut self, db: u64, key: &[u8], value: Value, meta: KeyMeta) -> Result<(), RdbError> {
        let told = (content(&value), encoding(&value), meta);
        match self.keys.insert((db, key.to_vec()), told) {
            Some(_) => Err(RdbError::refused("duplicate key")),
            None => Ok(()),
        }
    }
}

/// Loads `slices` one after the other; all bytes must be taken and the snapshot be whole. The verifier must agree.
fn load_slices<'a>(slices: impl Iterator<Item = &'a [u8]>) -> Result<Told, RdbError> {
    let slices: Vec<&[u8]> = slices.collect();
    let (mut loader, mut told) = (Loader::new(CollectionLimits::default()), Told::default());
    let loaded = each(&slices, |slice| loader.feed(slice, &mut told)).and_then(|()| loader.finish());
    let mut verifier = Verifier::new(false);
    let verified = each(&slices, |slice| verifier.feed(slice)).and_then(|()| verifier.finish());
    match &loaded {
        Ok(()) => {
            assert_eq!(verified, Ok(()));
            assert_eq!(verifier.keys(), loader.keys_loaded() + loader.empty_keys_skipped());
        }
        // The contents of a value, or keys that come twice: not what a verifier looks at.
        Err(RdbError { kind: ErrorKind::Corrupt(_) | ErrorKind::Refused(_), .. }) => {}
        Err(error) => assert_eq!(verified.as_ref(), Err(error)),
    }
    loaded.map(|()| told)
}

fn each<'a>(slices: &[&'a [u8]], mut feed: impl FnMut(&'a [u8]) -> Result<usize, RdbError>) -> Result<(), RdbError> {
    slices.iter().try_for_each(|slice| match feed(slice)? {
        taken if taken == slice.len() => Ok(()),
        _ => Err(RdbError::refused("bytes after the end")),
    })
}

fn load(bytes: &[u8]) -> Result<Told, RdbError> {
    load_slices(std::iter::once(bytes))
}

/// A snapshot of version 4 (which has no checksum) with one key "k" of the given type.
fn one_key(type_id: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"REDIS0004\xfe\0".to_vec();
    bytes.extend_from_slice(&[type_id, 1, b'k']);
    bytes.extend_from_slice(body);
    bytes.push(0xff);
    bytes
}
