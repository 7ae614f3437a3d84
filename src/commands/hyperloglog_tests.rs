//! Replies, bytes, changes and events as stock Redis gave them.

use super::ROWS;
use crate::commands::testing::Bench;
use crate::keyspace::ExpirePolicy;
use crate::types::{Set, StrRef, Value, ValueRef};

const NO_HYPERLOGLOG: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPTED: &str = "-INVALIDOBJ Corrupted HLL object detected";

fn bytes(bench: &mut Bench, key: &str) -> Vec<u8> {
    match bench.keys.peek(key.as_bytes()).map(|entry| entry.value()) {
        Some(ValueRef::Str(StrRef::Bytes(bytes))) => bytes.to_vec(),
        _ => panic!("no string at {key}"),
    }
}

fn put(bench: &mut Bench, key: &str, cache_end: u8, opcodes: &[u8]) {
    let mut bytes = b"HYLL\x01\0\0\0\x05\0\0\0\0\0\0".to_vec();
    bytes.push(cache_end);
    bytes.extend_from_slice(opcodes);
    bench.keys.set_str(key.as_bytes(), &bytes, None);
}

#[test]
fn elements_are_added_counted_and_merged() {
    let mut bench = Bench::new(ROWS);
    bench.keys.insert(b"set", Value::Set(Set::new()), None);
    bench.keys.set_str(b"text", b"foo", None);
    bench.keys.set_str(b"number", b"12345", None);
    for (command, reply, dirty, events) in [
        ("pfadd a", ":1", 1, "new a,pfadd a"),
        ("pfadd a", ":0", 0, ""),
        ("pfadd a x", ":1", 1, "pfadd a"),
        ("pfadd a x", ":0", 0, ""),
        ("pfcount a", ":1", 1, ""),
        ("pfcount a", ":1", 0, ""),
        ("pfadd a x y z", ":1", 2, "pfadd a"),
        ("pfadd b u v", ":1", 3, "new b,pfadd b"),
        ("pfcount a none", ":3", 0, "keymiss none"),
        ("pfcount none", ":0", 0, "keymiss none"),
        ("pfcount a b", ":5", 0, ""),
        ("pfmerge c a b", "+OK", 1, "keymiss c,new c,pfadd c"),
        ("pfmerge c a", "+OK", 1, "pfadd c"),
        ("pfmerge e none", "+OK", 1, "keymiss e,keymiss none,new e,pfadd e"),
        ("pfcount c", ":5", 1, ""),
        ("pfdebug encoding c", "+sparse", 0, ""),
        ("pfdebug Decode e", "$7 Z:16384", 0, ""),
        ("pfdebug todense c", ":1", 1, ""),
        ("pfdebug todense c", ":0", 0, ""),
        ("pfcount c", ":5", 0, ""),
        ("pfdebug encoding c", "+dense", 0, ""),
        ("pfdebug decode c", "-ERR HLL encoding is not sparse", 0, ""),
        ("pfmerge a c", "+OK", 1, "pfadd a"),
        ("pfdebug encoding a", "+dense", 0, ""),
        ("pfdebug foo a", "-ERR Unknown PFDEBUG subcommand 'foo'", 0, ""),
        ("pfdebug foo none", "-ERR The specified key does not exist", 0, ""),
        ("pfadd text a", NO_HYPERLOGLOG, 0, ""),
        ("pfcount number", NO_HYPERLOGLOG, 0, ""),
        ("pfmerge text a", NO_HYPERLOGLOG, 0, ""),
        ("pfmerge a number", NO_HYPERLOGLOG, 0, ""),
        ("pfdebug encoding text", NO_HYPERLOGLOG, 0, ""),
        ("pfcount a set", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0, ""),
        ("pfadd set a", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0, ""),
        ("pfselftest", "+OK", 0, ""),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!((bench.dirty, bench.events().join(",").as_str()), (dirty, events), "{command}");
    }
    assert!(bench.line("pfdebug getreg b").starts_with("*16384 :0 "));
    assert_eq!((bench.dirty, bench.line("pfdebug encoding b").as_str()), (1, "+dense"));
}

#[test]
fn the_bytes_are_those_of_a_stock_server() {
    let mut bench = Bench::new(ROWS);
    bench.line("pfadd a");
    assert_eq!(bytes(&mut bench, "a"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff");
    bench.line("pfcount a");
    bench.line("pfadd a a");
    assert_eq!(bytes(&mut bench, "a"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x71\xa6\x84\x4e\x57");
    bench.line("pfcount a");
    assert_eq!(bytes(&mut bench, "a"), b"HYLL\x01\0\0\0\x01\0\0\0\0\0\0\0\x71\xa6\x84\x4e\x57");
    bench.limits.hll_sparse_bytes_max = 21;
    bench.line("pfadd a a");
    assert_eq!(bench.line("pfdebug encoding a"), "+sparse");
    bench.line("pfadd a b");
    assert_eq!(bench.line("pfdebug encoding a"), "+dense");
}

#[test]
fn what_only_looks_like_one_is_an_error() {
    let mut bench = Bench::new(ROWS);
    for opcodes in [&b"\x7f\xfe"[..], b"", b"\x7f\xff\x00", b"\x7f"] {
        for (command, cached) in [
            ("pfcount bad", false),
            ("pfcount bad", true),
            ("pfcount bad good", true),
            ("pfmerge bad", true),
            ("pfmerge good bad", true),
            ("pfdebug getreg bad", true),
            ("pfdebug todense bad", true),
        ] {
            bench.line("pfadd good x");
            put(&mut bench, "bad", if cached { 0 } else { 0x80 }, opcodes);
            let before = bytes(&mut bench, "bad");
            let expected = if cached && command == "pfcount bad" { ":5" } else { CORRUPTED };
            assert_eq!(bench.line(command), expected, "{command} of {opcodes:?}");
            assert_eq!(bench.dirty, 0);
            assert_eq!(bytes(&mut bench, "bad"), before);
        }
    }
    put(&mut bench, "bad", 0, b"");
    assert_eq!(bench.line("pfadd bad x"), CORRUPTED);
    bench.keys.set_str(b"bad", b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0", None);
    assert_eq!(bench.line("pfcount bad"), NO_HYPERLOGLOG);
}

#[test]
fn a_replica_counts_and_keeps_the_bytes_of_its_master() {
    let mut bench = Bench::new(ROWS);
    bench.line("pfadd a x y z");
    let before = bytes(&mut bench, "a");
    for (policy, changes) in [(ExpirePolicy::Hide, false), (ExpirePolicy::Ignore, true)] {
        bench.keys.expire_policy = policy;
        assert_eq!(bench.line("pfcount a"), ":3");
        assert_eq!(bytes(&mut bench, "a") != before, changes, "{policy:?}");
    }
}

/// Stock keeps what it added before it met the damage, and tells its replicas nothing: here they are told.
#[test]
fn what_was_added_before_the_damage_showed_travels() {
    let mut bench = Bench::new(ROWS);
    let elements: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let mut changed = 0;
    for pair in elements.chunks(2) {
        // Half of the registers, all zero; the others are missing.
        put(&mut bench, "half", 0x80, &[0x5f, 0xff]);
        let before = bytes(&mut bench, "half");
        let dirty = bench.keys.dirty;
        let reply = bench.line(&format!("pfadd half {}", pair.join(" ")));
        let after = bytes(&mut bench, "half");
        if reply == CORRUPTED {
            changed += usize::from(after != before);
            assert_eq!(bench.keys.dirty != dirty, after != before, "{pair:?}");
            assert_eq!(bench.effects.is_replaced(), after != before, "{pair:?}");
            let (stream, _) = bench.effects.replacement();
            assert!(after == before || stream.windows(after.len()).any(|part| part == after), "{pair:?}");
        }
        bench.effects.clear();
    }
    assert!((10..100).contains(&changed), "{changed} errors after a change");
}
