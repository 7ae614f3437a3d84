//! Unsound snapshots: each gives an error that tells what and where, none a crash.

use super::super::{DumpError, ErrorKind, KeyMeta, Loader, SaveOptions, Saver, dump_payload, load_dump_payload};
use super::{Content, Told, load, load_slices, one_key, view};
use crate::base::crc64::crc64;
use crate::base::rng::Rng;
use crate::types::stream::{Group, Nack, NewId, StreamId};
use crate::types::{CollectionLimits, Hash, List, Set, Str, Stream, Value, ZSet};

fn kind(bytes: &[u8]) -> ErrorKind {
    load(bytes).expect_err("unsound").kind
}

#[test]
fn headers_are_checked_before_the_sink_is_told() {
    let cases: [(&[u8], ErrorKind); 8] = [
        (b"REDIS0016\xff", ErrorKind::Version(16)),
        (b"REDIS0000\xff", ErrorKind::Version(0)),
        (b"REDIS9999\xff", ErrorKind::Version(9999)),
        (b"VALKEY082\xff", ErrorKind::Version(82)),
        (b"VALKEY011\xff", ErrorKind::Version(11)),
        (b"REDIS00x1\xff", ErrorKind::WrongSignature),
        (b"SIDER0010\xff", ErrorKind::WrongSignature),
        (b"-ERR this is not a snapshot", ErrorKind::WrongSignature),
    ];
    for (bytes, expected) in cases {
        let (mut loader, mut told) = (Loader::new(CollectionLimits::default()), Told::default());
        let error = loader.feed(bytes, &mut told).expect_err("unsound");
        assert_eq!(error.kind, expected);
        assert_eq!(told, Told::default());
    }
    assert_eq!(kind(b"REDIS0016\xff").to_string(), "Can't handle RDB format version 16");
    let told = load(b"VALKEY080\xfe\0\0\x01a\x01b\xff\0\0\0\0\0\0\0\0").expect("sound");
    assert_eq!(told.started, [80]);
}

#[test]
fn values_that_cannot_be_held_are_named() {
    let names = [(8, "unknown"), (26, "stream-v4"), (28, "array"), (200, "unknown")];
    for (id, name) in names {
        let error = load(&one_key(id, b"anything")).expect_err("unsupported");
        assert_eq!(error.kind, ErrorKind::Type { id, name });
        assert_eq!(error.key.as_deref(), Some(&b"k"[..]));
    }
    let text = load(&one_key(28, b"")).expect_err("unsupported").to_string();
    assert_eq!(text, "Can't load values of RDB type 28 (array), key 'k', at offset 12");
    assert_eq!(kind(b"VALKEY080\x19\x01k"), ErrorKind::Type { id: 25, name: "unknown" });
    let module = load(&one_key(7, b"\x81\xb5\xeb\x2d\xff\xfa\xdd\x6c\x01")).expect_err("unsupported").to_string();
    assert!(module.contains("module data I can't load: no matching module type 'test__rdb', key 'k'"), "{module}");
    assert_eq!(kind(b"REDIS0012\xf6\x01x"), ErrorKind::PreReleaseFunctions);
    assert_eq!(kind(b"REDIS0012\xf3\x01x"), ErrorKind::Opcode(243));
}

#[test]
fn contents_that_contradict_themselves_are_refused() {
    let nan = f64::NAN.to_le_bytes();
    let cases: Vec<(u8, Vec<u8>)> = vec![
        (2, b"\x02\x01a\x01a".to_vec()),
        (4, b"\x02\x01a\x01x\x01a\x01y".to_vec()),
        (3, b"\x02\x01a\x011\x01a\x012".to_vec()),
        (3, b"\x01\x01a\xfd".to_vec()),
        (3, b"\x01\x01a\x03nan".to_vec()),
        (3, b"\x01\x01a\x03xyz".to_vec()),
        (5, [b"\x01\x01a", &nan[..]].concat()),
        (9, b"\x05\x01\x01a\0x".to_vec()),
        (11, b"\x0c\x02\0\0\0\x02\0\0\0\x02\0\x01\0".to_vec()),
        (11, b"\x0c\x03\0\0\0\x02\0\0\0\x01\0\x02\0".to_vec()),
        (16, b"\x09\x09\0\0\0\x01\0\x01\x01\xff".to_vec()),
        (16, b"\x0f\x0f\0\0\0\x04\0\x01\x01\x02\x01\x01\x01\x03\x01\xff".to_vec()),
        (17, b"\x0c\x0c\0\0\0\x02\0\x01\x01\x81x\x02\xff".to_vec()),
        (20, b"\x0b\x0b\0\0\0\x02\0\x01\x01\x01\x01\xff".to_vec()),
        (18, b"\x01\x03\x01x".to_vec()),
        (0, b"\xc4\x01x".to_vec()),
        (0, b"\xc3\x02\x40\xff\x01x".to_vec()),
        (0, b"\xc3\x02\x80\xff\xff\xff\xff\x01x".to_vec()),
        (0, b"\x82\x01x".to_vec()),
        (2, b"\xc0\x01".to_vec()),
    ];
    for (id, body) in cases {
        let error = load(&one_key(id, &body)).expect_err("unsound");
        assert!(matches!(error.kind, ErrorKind::Corrupt(_)), "type {id} {}: {error}", body.escape_ascii());
        assert_eq!(error.key.as_deref(), Some(&b"k"[..]), "type {id}");
    }
}

#[test]
fn claims_are_not_believed() {
    for length in [&b"\x80\xff\xff\xff\xff"[..], b"\x81\0\0\x7f\xff\xff\xff\xff\xff"] {
        for id in [0, 1, 2, 3, 4, 5, 15, 16, 18, 19, 21] {
            let mut bytes = one_key(id, length);
            bytes.extend_from_slice(&[1; 100]);
            let result = load(&bytes);
            assert!(result.is_err(), "type {id}");
        }
    }
    assert!(matches!(kind(&one_key(0, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff")), ErrorKind::Corrupt(_)));
}

/// A stream with something of everything.
fn small_stream() -> Stream {
    let limits = CollectionLimits { stream_node_max_entries: 3, ..CollectionLimits::default() };
    let mut stream = Stream::new();
    for ms in 1..=5 {
        let fields = [(&b"a"[..], &b"1"[..]), (b"b", b"text")];
        let fields = fields.into_iter().take(1 + ms as usize % 2);
        stream.append(NewId::Exact(StreamId::new(ms, 7)), 0, fields, &limits).expect("above");
    }
    let mut group = Group::new(StreamId::new(4, 7), Some(4));
    let (one, two) = (group.add_consumer(b"one", 5), group.add_consumer(b"two", 6));
    for (ms, consumer) in [(1, one), (2, two), (4, one)] {
        let consumer = consumer.expect("new");
        group.assign(StreamId::new(ms, 7), Nack { delivered_ms: 99, deliveries: 3, consumer });
    }
    stream.add_group(b"readers", group);
    stream.add_group(b"idle", Group::new(StreamId::MIN, None));
    stream.delete(StreamId::new(2, 7));
    stream
}

/// The stream of `small_stream` in one of the three forms, without its type.
fn stream_body(form: u8) -> Vec<u8> {
    let mut payload = dump_payload(view(&Value::Stream(small_stream())), true);
    payload.truncate(payload.len() - 10);
    let mut body = payload.split_off(1);
    let find = |body: &[u8], what: &[u8]| body.windows(what.len()).position(|window| window == what).expect("there");
    if form == 1 {
        // The first ID, the deleted one and the count of added entries; and of each group the entries read.
        let at = find(&body, b"\x04\x05\x07\x01\x07\x02\x07\x05");
        body.drain(at + 3..at + 8);
        let at = find(&body, b"readers\x04\x07\x04");
        body.remove(at + 9);
        let at = find(&body, b"idle\0\0\x81");
        body.drain(at + 6..at + 15);
    }
    if form == 3 {
        for name in [b"\x03one", b"\x03two"] {
            let at = find(&body, name) + 12;
            body.splice(at..at, 77i64.to_le_bytes());
        }
    }
    body
}

#[test]
fn streams_of_all_forms_are_read_however_they_are_cut() {
    for (form, id) in [(1, 15), (2, 19), (3, 21)] {
        let bytes = one_key(id, &stream_body(form));
        let told = load(&bytes).unwrap_or_else(|error| panic!("form {form}: {error}"));
        let Some(Content::Stream(text)) = told.content(0, "k") else { panic!("{told:?}") };
        let facts = ["length 4 last 5-7", "2 text", "readers 4-7", "consumer one 5 2", "  1-7 one 99 3", "idle 0-0"];
        assert!(
            facts.iter().skip(usize::from(form == 1)).all(|fact| *fact == "2 text" || text.contains(fact)),
            "{text}"
        );
        let deleted = if form == 1 { "deleted 0-0 added 4" } else { "deleted 2-7 added 5" };
        assert!(text.contains(deleted), "{text}");
        for cut in 1..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert!(load_slices([first, second].into_iter()).expect("sound") == told, "form {form} cut at {cut}");
            assert!(load(first).is_err(), "form {form} ends at {cut}");
        }
        assert!(load_slices(bytes.chunks(1)).expect("sound") == told);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let whole = load(&changed);
            assert!(load_slices(changed.chunks(5)).ok() == whole.ok(), "form {form} bit {bit}");
        }
    }
}

#[test]
fn streams_that_contradict_themselves_are_refused() {
    let sound = stream_body(2);
    let damage = |what: &[u8], instead: &[u8]| {
        let mut body = sound.clone();
        let at = body.windows(what.len()).position(|window| window == what).expect("there");
        body.splice(at..at + what.len(), instead.iter().copied());
        kind(&one_key(19, &body))
    };
    let corrupt = |kind: ErrorKind| assert!(matches!(kind, ErrorKind::Corrupt(_)), "{kind:?}");
    // The last ID is below the last entry's; the nodes are out of order; an ID is too short.
    corrupt(damage(b"\x04\x05\x07\x01\x07", b"\x04\x04\x07\x01\x07"));
    corrupt(damage(b"\x10\0\0\0\0\0\0\0\x04", b"\x10\0\0\0\0\0\0\0\x03"));
    corrupt(damage(b"\x10\0\0\0\0\0\0\0\x04\0", b"\x0f\0\0\0\0\0\0\0\x04"));
    // Two groups, or consumers, of one name; a pending entry that a consumer has and the group has not.
    corrupt(damage(b"\x04idle", b"\x07readers"));
    corrupt(damage(b"\x03two", b"\x03one"));
    corrupt(damage(
        b"\x03one\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01",
        b"\x03one\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x09",
    ));
    // A length without nodes.
    corrupt(kind(&one_key(19, b"\0\x01\x05\x07\0\0\0\0\x05\0")));
    assert!(load(&one_key(19, b"\0\0\x05\x07\0\0\0\0\x05\0")).is_ok(), "an empty stream is one");
}

/// A small snapshot with a value of every encoding that is written.
fn small_snapshot(checksum: bool) -> Vec<u8> {
    let limits = CollectionLimits::default();
    let long = vec![b'x'; 65];
    let (mut list, mut big_list, mut set, mut ints) = (List::new(), List::new(), Set::new(), Set::new());
    let (mut hash, mut big_hash, mut zset, mut big_zset) = (Hash::new(), Hash::new(), ZSet::new(), ZSet::new());
    for text in [&b"1"[..], b"-70000", b"three"] {
        list.push_back(text, &limits);
        big_list.push_back(text, &limits);
        set.add(text, &limits);
        hash.set(text, b"value", &limits);
        big_hash.set(text, &long, &limits);
        zset.insert(text, 0.5, &limits);
        big_zset.insert(text, f64::INFINITY, &limits);
    }
    big_list.push_back(&[b'q'; 9000], &limits);
    big_zset.insert(&long, 2.0, &limits);
    let stream = small_stream();
    ints.add(b"5000", &limits);
    let values = [
        Value::Str(Str::Int(-3)),
        Value::Str(Str::Int(i64::MAX)),
        Value::Str(Str::from(b"text".to_vec())),
        Value::Str(Str::from(vec![b'z'; 100])),
        Value::List(list),
        Value::List(big_list),
        Value::Set(set),
        Value::Set(ints),
        Value::Hash(hash),
        Value::Hash(big_hash),
        Value::ZSet(zset),
        Value::ZSet(big_zset),
        Value::Stream(stream),
    ];
    let mut saver = Saver::new(Vec::new(), SaveOptions { compress: true, checksum, ..SaveOptions::default() });
    saver.header(&[(b"redis-ver", b"7.2.4")]).expect("memory");
    saver.select_db(0, 13, 0).expect("memory");
    for (n, value) in values.iter().enumerate() {
        saver
            .key(
                format!("k{n}").as_bytes(),
                view(value),
                KeyMeta { expire_ms: (n == 4).then_some(1 << 42), ..KeyMeta::default() },
            )
            .expect("memory");
    }
    saver.end().expect("memory")
}

#[test]
fn a_snapshot_cut_anywhere_is_not_whole() {
    let bytes = small_snapshot(true);
    assert_eq!(load(&bytes).expect("sound").keys.len(), 13);
    for cut in 0..bytes.len() {
        let (mut loader, mut told) = (Loader::new(CollectionLimits::default()), Told::default());
        assert_eq!(loader.feed(&bytes[..cut], &mut told), Ok(cut));
        assert_eq!(loader.finish().map_err(|error| error.kind), Err(ErrorKind::Truncated), "cut at {cut}");
    }
}

#[test]
fn a_bit_changed_anywhere_is_found() {
    let bytes = small_snapshot(true);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(load(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn without_checksum_a_changed_bit_is_found_or_harmless() {
    let bytes = small_snapshot(false);
    let body = bytes.len() - 8;
    assert_eq!(bytes[body..], [0; 8]);
    let mut found = 0;
    for bit in 0..body * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let whole = load(&changed);
        found += usize::from(whole.is_err());
        assert!(load_slices(changed.chunks(7)).ok() == whole.ok(), "bit {bit} in slices");
    }
    assert!(found > body, "{found}");
}

#[test]
fn bytes_of_no_meaning_never_crash() {
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let id = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25][rng.index(23)];
        let mut body = vec![1 + rng.below(30) as u8];
        body.extend((0..rng.index(40)).map(|_| [rng.next_u64() as u8, rng.below(4) as u8][rng.index(2)]));
        let _ = load(&one_key(id, &body));
    }
}

#[test]
fn checksums_count_from_version_5_on() {
    let mut bytes = b"REDIS0005\xfe\0\0\x01a\x01b\xff".to_vec();
    let computed = crc64(0, &bytes);
    let bad = computed ^ 0x10;
    bytes.extend_from_slice(&bad.to_le_bytes());
    let error = load(&bytes).expect_err("wrong");
    assert_eq!(error.kind, ErrorKind::Checksum { computed, stored: bad });
    assert_eq!(error.to_string(), format!("Wrong RDB checksum expected: ({computed:x}) but got ({bad:x})"));
    let mut loader = Loader::new(CollectionLimits::default()).ignore_checksum();
    assert_eq!(loader.feed(&bytes, &mut Told::default()), Ok(bytes.len()));
    assert!(loader.done());
    let size = bytes.len();
    bytes[size - 8..].copy_from_slice(&computed.to_le_bytes());
    assert!(load(&bytes).is_ok());
}

#[test]
fn payloads_are_checked() {
    let limits = CollectionLimits::default();
    let payload = dump_payload(view(&Value::Str(Str::from(b"some text".to_vec()))), true);
    for cut in 0..payload.len() {
        assert!(load_dump_payload(&payload[..cut], &limits).is_err());
    }
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 4;
        assert!(matches!(load_dump_payload(&changed, &limits), Err(DumpError::VersionOrChecksum)));
    }
    let sealed = |body: &[u8], version: u16| {
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        let crc = crc64(0, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        load_dump_payload(&bytes, &limits).err()
    };
    assert_eq!(sealed(b"\0\x01x", 12), None);
    assert_eq!(sealed(b"\0\x01x", 80), None);
    assert_eq!(sealed(b"\0\x01x", 16), Some(DumpError::VersionOrChecksum));
    let unsound: [&[u8]; 6] = [b"", b"\0", b"\0\x02x", b"\0\x01xy", b"\x02\0", b"\x15\x01x"];
    for body in unsound {
        assert_eq!(sealed(body, 10), Some(DumpError::BadData), "{}", body.escape_ascii());
    }
}
