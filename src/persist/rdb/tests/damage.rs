//! Unsound snapshots: each gives an error that tells what and where, none a crash.

use super::super::{DumpError, ErrorKind, KeyMeta, Loader, SaveOptions, Saver, dump_payload, load_dump_payload};
use super::{Told, load, load_slices, one_key, view};
use crate::base::crc64::crc64;
use crate::base::rng::Rng;
use crate::types::{CollectionLimits, Hash, List, Set, Str, Value, ZSet};

fn kind(bytes: &[u8]) -> ErrorKind {
    load(bytes).expect_err("unsound").kind
}

#[test]
fn headers_are_checked_before_the_sink_is_told() {
    let cases: [(&[u8], ErrorKind); 8] = [
        (b"REDIS0013\xff", ErrorKind::Version(13)),
        (b"REDIS0000\xff", ErrorKind::Version(0)),
        (b"REDIS9999\xff", ErrorKind::Version(9999)),
        (b"VALKEY081\xff", ErrorKind::Version(81)),
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
    assert_eq!(kind(b"REDIS0013\xff").to_string(), "Can't handle RDB format version 13");
    let told = load(b"VALKEY080\xfe\0\0\x01a\x01b\xff\0\0\0\0\0\0\0\0").expect("sound");
    assert_eq!(told.started, [80]);
}

#[test]
fn values_that_cannot_be_held_are_named() {
    let names = [
        (6, "module-value-pre-GA"),
        (7, "module-value"),
        (8, "unknown"),
        (15, "stream"),
        (19, "stream-v2"),
        (21, "stream-v3"),
        (24, "hash-with-field-expiry"),
        (25, "hash-listpack-with-field-expiry"),
        (26, "unknown"),
        (200, "unknown"),
    ];
    for (id, name) in names {
        let error = load(&one_key(id, b"anything")).expect_err("unsupported");
        assert_eq!(error.kind, ErrorKind::Type { id, name });
        assert_eq!(error.key.as_deref(), Some(&b"k"[..]));
    }
    let text = load(&one_key(21, b"")).expect_err("unsupported").to_string();
    assert_eq!(text, "Can't load values of RDB type 21 (stream-v3), key 'k', at offset 12");
    assert_eq!(kind(b"VALKEY080\x16\x01k"), ErrorKind::Type { id: 22, name: "hash-with-field-expiry" });
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
        for id in [0, 1, 2, 3, 4, 5, 16, 18] {
            let mut bytes = one_key(id, length);
            bytes.extend_from_slice(&[1; 100]);
            let result = load(&bytes);
            assert!(result.is_err(), "type {id}");
        }
    }
    assert!(matches!(kind(&one_key(0, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff")), ErrorKind::Corrupt(_)));
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
    ];
    let mut saver = Saver::new(Vec::new(), SaveOptions { compress: true, checksum });
    saver.header(&[(b"redis-ver", b"7.2.4")]).expect("memory");
    saver.select_db(0, 12, 0).expect("memory");
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
    assert_eq!(load(&bytes).expect("sound").keys.len(), 12);
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
        let id = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20][rng.index(16)];
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
    let payload = dump_payload(view(&Value::Str(Str::from(b"some text".to_vec()))));
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
    assert_eq!(sealed(b"\0\x01x", 13), Some(DumpError::VersionOrChecksum));
    let unsound: [&[u8]; 6] = [b"", b"\0", b"\0\x02x", b"\0\x01xy", b"\x02\0", b"\x15\x01x"];
    for body in unsound {
        assert_eq!(sealed(body, 10), Some(DumpError::BadData), "{}", body.escape_ascii());
    }
}
