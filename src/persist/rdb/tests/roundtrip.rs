//! What is written comes back the same, in whatever slices it is fed; and the parts no writer of ours makes.

use super::super::format::Family;
use super::super::{ErrorKind, KeyMeta, Loader, SaveOptions, Saver, Sink, Target, dump_payload, load_dump_payload};
use super::{Content, Told, content, encoding, load, load_slices, one_key, view};
use crate::base::rng::Rng;
use crate::types::stream::{Group, Nack, NewId, StreamId, Trim};
use crate::types::{CollectionLimits, Fading, FieldTime, Hash, List, Set, Str, Stream, Value, ZSet};

fn random_bytes(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => (rng.below(1 << 8) as i64 - 128).to_string().into_bytes(),
        1 => (rng.next_u64() as i32).to_string().into_bytes(),
        2 => (rng.next_u64() as i64).to_string().into_bytes(),
        3 => Vec::new(),
        4 => vec![b'a' + rng.below(3) as u8; rng.index(200)],
        5 => format!("{:03}", rng.below(1000)).into_bytes(),
        _ => (0..rng.index(60)).map(|_| rng.next_u64() as u8).collect(),
    }
}

fn random_str(rng: &mut Rng) -> Value {
    let bytes = match rng.below(12) {
        0 => vec![b'z'; 300_000],
        1 => (0..200_000).map(|_| rng.next_u64() as u8).collect(),
        _ => random_bytes(rng),
    };
    Value::Str(Str::from(bytes))
}

fn random_list(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut list = List::new();
    for _ in 0..=[3, 200, 3000][rng.index(3)] {
        match rng.below(150) {
            0 => list.push_back(&vec![b'q'; 9000 + rng.index(100)], limits),
            1..60 => list.push_front(&random_bytes(rng), limits),
            _ => list.push_back(&random_bytes(rng), limits),
        }
    }
    Value::List(list)
}

fn random_set(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut set = Set::new();
    let count = [3, 100, 700][rng.index(3)];
    let kind = rng.below(4);
    for _ in 0..=count {
        let member = match kind {
            0 => (rng.next_u64() as i16).to_string().into_bytes(),
            1 => (rng.next_u64() as i32).to_string().into_bytes(),
            2 => (rng.next_u64() as i64).to_string().into_bytes(),
            _ => random_bytes(rng),
        };
        set.add(&member, limits);
    }
    Value::Set(set)
}

fn random_hash(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut hash = Hash::new();
    for _ in 0..=[3, 100, 1500][rng.index(3)] {
        // A long value replaced by a short one would leave a table that is loaded as a listpack.
        let field = random_bytes(rng);
        if !hash.contains(&field) {
            hash.set(&field, &random_bytes(rng), limits);
        }
    }
    Value::Hash(hash)
}

/// A hash at least one of whose fields expires.
fn random_fading(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut fading = Fading::new(Hash::new());
    for n in 0..=[3, 100, 700][rng.index(3)] {
        let time = (n == 0 || rng.below(3) > 0).then(|| 4_000_000_000_000 + rng.below(1 << 40) as i64);
        let field = [&random_bytes(rng)[..], n.to_string().as_bytes()].concat();
        fading.set(&field, &random_bytes(rng), FieldTime::Set(time), limits);
    }
    Value::Fading(Box::new(fading))
}

fn random_zset(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut zset = ZSet::new();
    for _ in 0..=[3, 100, 1500][rng.index(3)] {
        let score = match rng.below(6) {
            0 => rng.below(10) as f64,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.1 * rng.below(1000) as f64,
            4 => 1e300 / (1 + rng.below(1000)) as f64,
            _ => rng.next_u64() as f64 / 7.0,
        };
        zset.insert(&random_bytes(rng), score, limits);
    }
    Value::ZSet(zset)
}

/// A stream with deleted entries, groups, and entries that are pending though they are gone.
pub fn random_stream(rng: &mut Rng, limits: &CollectionLimits) -> Value {
    let mut stream = Stream::new();
    let mut ids = Vec::new();
    for _ in 0..[0, 3, 150, 600][rng.index(4)] {
        let pairs: Vec<_> = (0..=rng.index(3)).map(|at| (format!("f{at}").into_bytes(), random_bytes(rng))).collect();
        let fields = pairs.iter().map(|(field, value)| (&field[..], &value[..]));
        ids.push(stream.append(NewId::Auto, 1 + rng.below(1 << 41), fields, limits).expect("above"));
    }
    let gone: Vec<StreamId> = ids.iter().copied().filter(|_| rng.below(5) == 0).collect();
    for number in 0..rng.below(4) {
        let mut group = Group::new(stream.last_id(), (rng.below(3) > 0).then(|| rng.below(1000)));
        let consumers: Vec<_> = (0..rng.below(4))
            .map(|at| group.add_consumer(format!("c{at}").as_bytes(), at as i64).expect("new"))
            .collect();
        for &id in ids.iter().filter(|_| !consumers.is_empty()) {
            let consumer = consumers[rng.index(consumers.len())];
            group.assign(
                id,
                Nack { delivered_ms: rng.next_u64() as i64 >> 8, deliveries: rng.below(1 << 20), consumer },
            );
        }
        assert!(stream.add_group(format!("group {number}").as_bytes(), group));
    }
    gone.iter().for_each(|&id| assert!(stream.delete(id)));
    stream.trim(Trim::MaxLen(400), false, 0);
    Value::Stream(stream)
}

fn random_value(rng: &mut Rng, limits: &CollectionLimits, target: Target) -> Value {
    match rng.below(7) {
        0 => random_str(rng),
        1 => random_list(rng, limits),
        2 => random_set(rng, limits),
        3 => random_hash(rng, limits),
        4 => random_stream(rng, limits),
        5 if target.knows_field_expiry() => random_fading(rng, limits),
        _ => random_zset(rng, limits),
    }
}

/// A snapshot of random values in three databases, and what loading it must tell.
pub fn random_snapshot(seed: u64, keys: u64, options: SaveOptions) -> (Vec<u8>, Told) {
    let (mut rng, limits) = (Rng::new(seed), CollectionLimits::default());
    let mut saver = Saver::new(Vec::new(), options);
    let mut told = Told { started: vec![u32::from(options.target.version)], ..Told::default() };
    let aux: &[(&[u8], &[u8])] = &[(b"redis-ver", b"7.2.4"), (b"redis-bits", b"64")];
    saver.header(aux).expect("memory");
    let version = options.target.version;
    told.aux = aux.iter().filter(|_| version >= 7).map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let library = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    saver.function(library).expect("memory");
    told.functions.extend((version >= 10).then(|| library.to_vec()));
    for db in [0, 5, 300] {
        saver.select_db(db, keys, 7).expect("memory");
        told.databases.push(db);
        told.sizes.extend((version >= 7).then_some((keys, 7)));
        for n in 0..keys {
            let key = if n % 3 == 0 { n.to_string() } else { format!("key:{n}") }.into_bytes();
            let value = random_value(&mut rng, &limits, options.target);
            let expire_ms = (rng.below(3) == 0).then(|| 4_000_000_000_000 + rng.below(1 << 40) as i64);
            saver.key(&key, view(&value), KeyMeta { expire_ms, ..KeyMeta::default() }).expect("memory");
            let meta = KeyMeta { expire_ms, ..KeyMeta::default() };
            if version >= 9 || !matches!(value, Value::Stream(_)) {
                told.keys.insert((db, key), (content(&value), encoding(&value), meta));
            }
        }
    }
    let written = saver.written();
    let bytes = saver.end().expect("memory");
    assert_eq!(bytes.len() as u64, written + 9);
    (bytes, told)
}

#[test]
fn random_values_come_back_with_their_encodings() {
    let valkey = Target { family: Family::Valkey, version: 80 };
    for seed in 0..6 {
        let target = [Target::OLDEST, Target::WITH_FIELD_EXPIRY, valkey][seed as usize % 3];
        for compress in [true, false] {
            let (bytes, told) = random_snapshot(seed, 25, SaveOptions { compress, checksum: true, target });
            let loaded = load(&bytes).expect("sound");
            assert!(loaded == told, "seed {seed} compress {compress}");
        }
    }
}

/// Without what streams of version 9 do not tell.
fn without_counts(mut told: Told) -> Told {
    for (content, ..) in told.keys.values_mut() {
        let Content::Stream(text) = content else { continue };
        let line = |line: &str| match line.split_once(" deleted ") {
            Some((before, _)) => before.to_string(),
            None if line.starts_with("group ") => line.rsplit_once(' ').expect("what was read").0.to_string(),
            None => line.to_string(),
        };
        *text = text.lines().map(line).collect::<Vec<_>>().join("\n");
    }
    told
}

#[test]
fn what_is_written_for_each_reader_comes_back() {
    for version in [6, 7, 8, 9, 10, 11, 12, 80] {
        for seed in 0..3 {
            let target = Target::of_version(version);
            let options = SaveOptions { compress: seed != 1, checksum: true, target };
            let (bytes, told) = random_snapshot(u64::from(version) * 100 + seed, 25, options);
            let magic = if version == 80 { "VALKEY080".to_string() } else { format!("REDIS{version:04}") };
            assert!(bytes.starts_with(magic.as_bytes()));
            let loaded = load(&bytes).expect("sound");
            assert!(without_counts(loaded) == without_counts(told), "version {version} seed {seed}");
        }
    }
}

/// The types of keys in a snapshot of `version` that holds one small and one large collection of each kind.
fn types_written(version: u16) -> Vec<u8> {
    let limits = CollectionLimits::default();
    let mut types = Vec::new();
    for count in [3, 3000] {
        let (mut list, mut set, mut hash, mut zset) = (List::new(), Set::new(), Hash::new(), ZSet::new());
        let mut fading = Fading::new(Hash::new());
        for n in 0..count {
            let text = format!("element {n}").into_bytes();
            list.push_back(&text, &limits);
            set.add(&text, &limits);
            hash.set(&text, b"v", &limits);
            zset.insert(&text, f64::from(n), &limits);
            fading.set(&text, b"v", FieldTime::Set(Some(4_000_000_000_000)), &limits);
        }
        let stream = Value::Stream(Stream::new());
        let all = [Value::List(list), Value::Set(set), Value::Hash(hash), Value::ZSet(zset), stream];
        for value in all.iter().chain([&Value::Fading(Box::new(fading))]) {
            let options = SaveOptions { target: Target::of_version(version), ..SaveOptions::default() };
            let bytes = Saver::new(Vec::new(), options).bare_value(view(value)).expect("memory");
            types.push(bytes[0]);
        }
    }
    types
}

#[test]
fn the_forms_are_those_that_each_reader_knows() {
    assert_eq!(types_written(7), [14, 2, 13, 12, 15, 4, 14, 2, 4, 3, 15, 4], "streams are not written by who asks");
    assert_eq!(types_written(9), [14, 2, 13, 12, 15, 4, 14, 2, 4, 5, 15, 4]);
    assert_eq!(types_written(10), [18, 2, 16, 17, 19, 4, 18, 2, 4, 5, 19, 4]);
    assert_eq!(types_written(11), [18, 20, 16, 17, 21, 4, 18, 2, 4, 5, 21, 4]);
    assert_eq!(types_written(12), [18, 20, 16, 17, 21, 25, 18, 2, 4, 5, 21, 24]);
    assert_eq!(types_written(80), [18, 20, 16, 17, 21, 22, 18, 2, 4, 5, 21, 22]);
}

#[test]
fn slices_of_any_size_load_the_same() {
    let (bytes, told) =
        random_snapshot(99, 12, SaveOptions { target: Target::WITH_FIELD_EXPIRY, ..SaveOptions::default() });
    assert!(load_slices(bytes.chunks(1)).expect("sound") == told, "one by one");
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut rest = &bytes[..];
        let slices = std::iter::from_fn(move || {
            let most = [3, 40, 1000, 100_000][rng.index(4)];
            let (slice, after) = rest.split_at(rng.index(most).min(rest.len()));
            let ended = rest.is_empty();
            rest = after;
            (!ended).then_some(slice)
        });
        assert!(load_slices(slices).expect("sound") == told, "slices of seed {seed}");
    }
}

#[test]
fn payloads_come_back() {
    let limits = CollectionLimits::default();
    let mut rng = Rng::new(5);
    for _ in 0..60 {
        let value = random_value(&mut rng, &limits, Target::WITH_FIELD_EXPIRY);
        let payload = dump_payload(view(&value), true);
        let back = load_dump_payload(&payload, &limits).expect("sound");
        assert!(content(&back) == content(&value));
        assert_eq!(encoding(&back), encoding(&value));
    }
}

#[test]
fn payloads_are_those_of_stock() {
    // What redis-server 7.0.15 answers to DUMP.
    let limits = CollectionLimits::default();
    let mut set = Set::new();
    [b"1", b"2", b"3"].iter().for_each(|member| assert!(set.add(*member, &limits)));
    let mut plain = Set::new();
    plain.add(b"x", &limits);
    let mut list = List::new();
    [&b"a"[..], b"5", b"bcd"].iter().for_each(|element| list.push_back(element, &limits));
    let mut hash = Hash::new();
    hash.set(b"f", b"v", &limits);
    let mut zset = ZSet::new();
    zset.insert(b"m", 1.5, &limits);
    zset.insert(b"n", f64::NEG_INFINITY, &limits);
    let cases: [(Value, &[u8]); 6] = [
        (Value::Str(Str::Int(10)), b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"),
        (Value::Set(set), b"\x0b\x0e\x02\0\0\0\x03\0\0\0\x01\0\x02\0\x03\0\n\0\xa5\x02\\\xe2mnM\x1b"),
        (Value::Set(plain), b"\x02\x01\x01x\n\0\xff\xe8\x80\xbav\x0c/\t"),
        (
            Value::List(list),
            b"\x12\x01\x02\x11\x11\0\0\0\x03\0\x81a\x02\x05\x01\x83bcd\x04\xff\n\0\x7fe\x1a\x94\x8c\xbb-f",
        ),
        (Value::Hash(hash), b"\x10\r\r\0\0\0\x02\0\x81f\x02\x81v\x02\xff\n\0 \xf1=D#T\x08\x9d"),
        (
            Value::ZSet(zset),
            b"\x11\x18\x18\0\0\0\x04\0\x81n\x02\x84-inf\x05\x81m\x02\x831.5\x04\xff\n\0\xed\xfa\xf8;Q\x8e\xc6,",
        ),
    ];
    for (value, payload) in cases {
        assert_eq!(dump_payload(view(&value), true).escape_ascii().to_string(), payload.escape_ascii().to_string());
        assert!(content(&load_dump_payload(payload, &limits).expect("sound")) == content(&value));
    }
    // Compressed streams are not unique, so this one is only read.
    let compressed = b"\x00\xc3\t>\x01aa\xe01\x00\x01aa\n\x00\xecIB\xd6\xb3'_|";
    let back = load_dump_payload(compressed, &limits).expect("sound");
    assert_eq!(content(&back), Content::Str(vec![b'a'; 62]));
}

#[test]
fn bytes_after_the_end_are_left_to_the_caller() {
    let (bytes, told) =
        random_snapshot(3, 2, SaveOptions { compress: true, checksum: false, ..SaveOptions::default() });
    let mut joined = bytes.clone();
    joined.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let (mut loader, mut sink) = (Loader::new(CollectionLimits::default()), Told::default());
    assert_eq!(loader.feed(&joined, &mut sink), Ok(bytes.len()));
    assert!(loader.done() && sink == told);
    assert_eq!(loader.feed(b"more", &mut sink), Ok(0));
    assert_eq!((loader.version(), loader.family(), loader.keys_loaded()), (10, Family::Redis, 6));
}

#[test]
fn what_stands_beside_a_key_is_told_and_forgotten() {
    let mut bytes = b"REDIS0009\xfe\x03\xfb\x03\x02".to_vec();
    bytes.extend_from_slice(b"\xfd\x05\0\0\0\x00\x01a\x01x");
    bytes.extend_from_slice(b"\xfc\x01\0\0\0\0\0\0\x80\xf8\x40\xff\x00\x01b\x01y");
    bytes.extend_from_slice(b"\xf9\x07\x00\x01c\xc1\x39\x30");
    bytes.extend_from_slice(b"\xf4\x01\x02\x03\x00\x01d\x01y\xff\0\0\0\0\0\0\0\0");
    let told = load(&bytes).expect("sound");
    assert_eq!(told.sizes, [(3, 2)]);
    assert_eq!(told.meta(3, "a").and_then(|meta| meta.expire_ms), Some(5000));
    let b = KeyMeta { expire_ms: Some(i64::MIN + 1), idle_s: Some(255), freq: None };
    assert_eq!(told.meta(3, "b"), Some(b));
    assert_eq!(told.meta(3, "c"), Some(KeyMeta { freq: Some(7), ..KeyMeta::default() }));
    assert_eq!(told.content(3, "c"), Some(&Content::Str(b"12345".to_vec())));
    assert_eq!(told.meta(3, "d"), Some(KeyMeta::default()));
}

#[test]
fn collections_without_elements_are_skipped() {
    let listpack = b"\x07\x07\0\0\0\0\0\xff";
    let ziplist = b"\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff";
    let intset = b"\x08\x02\0\0\0\0\0\0\0";
    let nodes = b"\x01\x02\x07\x07\0\0\0\0\0\xff";
    let bodies: [(u8, &[u8]); 12] = [
        (1, b"\0"),
        (2, b"\0"),
        (3, b"\0"),
        (4, b"\0"),
        (5, b"\0"),
        (9, b"\x02\0\xff"),
        (10, ziplist),
        (11, intset),
        (14, b"\0"),
        (16, listpack),
        (18, nodes),
        (20, listpack),
    ];
    for (id, body) in bodies {
        let (mut loader, mut told) = (Loader::new(CollectionLimits::default()), Told::default());
        let bytes = one_key(id, body);
        assert_eq!(loader.feed(&bytes, &mut told), Ok(bytes.len()), "type {id}");
        assert!(told.keys.is_empty() && loader.done(), "type {id}");
        assert_eq!(loader.empty_keys_skipped(), 1);
    }
}

#[test]
fn a_sink_can_refuse() {
    struct Closed;
    impl Sink for Closed {
        fn select_db(&mut self, id: u64) -> Result<(), super::RdbError> {
            Err(super::RdbError::refused(format!("no database {id}")))
        }
        fn function(&mut self, _code: &[u8]) -> Result<(), super::RdbError> {
            Ok(())
        }
        fn key(&mut self, _: u64, _: &[u8], _: Value, _: KeyMeta) -> Result<(), super::RdbError> {
            Ok(())
        }
    }
    let mut loader = Loader::new(CollectionLimits::default());
    let error = loader.feed(b"REDIS0009\xfe\x11", &mut Closed).expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Refused("no database 17".into()));
    assert_eq!(error.offset, 9);
    assert!(loader.feed(b"\xff", &mut Closed).is_err(), "nothing goes on after an error");
}

#[test]
fn the_checker_of_stock_finds_nothing_wrong() {
    let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin/redis-check-rdb");
    let file = std::env::temp_dir().join(format!("understudy-{}.rdb", std::process::id()));
    for (seed, compress) in [(1, true), (2, false)] {
        let options = SaveOptions { compress, checksum: true, ..SaveOptions::default() };
        std::fs::write(&file, random_snapshot(seed, 20, options).0).expect("temporary file");
        let run = |program: &str| std::process::Command::new(program).arg(&file).output();
        let Ok(output) = run(peers).or_else(|_| run("redis-check-rdb")) else {
            eprintln!("skipped: no redis-check-rdb");
            break;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("RDB looks OK"), "{text}");
    }
    std::fs::remove_file(&file).expect("temporary file");
}
