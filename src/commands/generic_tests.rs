//! Commands on keys: replies, counts of changes, events and what travels are those of a stock 7.0.15.

use super::ROWS;
use crate::commands::testing::Bench;
use crate::keyspace::{ExpirePolicy, Expired};

fn bench(keys: &[&str]) -> Bench {
    let mut bench = Bench::of_changes(ROWS);
    for key in keys {
        bench.keys.set_str(key.as_bytes(), b"v", None);
    }
    bench
}

/// Runs a command and compares reply, changes counted, and events.
fn check(bench: &mut Bench, command: &str, reply: &str, dirty: u64, events: &[&str]) {
    assert_eq!(bench.line(command), reply, "{command}");
    assert_eq!(bench.dirty, dirty, "{command}");
    assert_eq!(bench.events(), events, "{command}");
    assert_eq!(bench.keys.selected(), bench.session.db, "{command} leaves the selection alone");
}

#[test]
fn deleting_counts_each_key() {
    let mut bench = bench(&["a", "b", "c"]);
    check(&mut bench, "exists a a nokey b", ":3", 0, &[]);
    check(&mut bench, "touch a b nokey", ":2", 0, &[]);
    check(&mut bench, "del a nokey b a", ":2", 2, &["del a", "del b"]);
    check(&mut bench, "unlink c c", ":1", 1, &["del c"]);
    check(&mut bench, "del a", ":0", 0, &[]);
    check(&mut bench, "dbsize", ":0", 0, &[]);
    check(&mut bench, "randomkey", "$-1", 0, &[]);
}

#[test]
fn copying_within_and_between_databases() {
    let mut bench = bench(&["a"]);
    bench.keys.set_expire(b"a", Some(4_102_444_800_000));
    check(&mut bench, "copy a b", ":1", 1, &["copy_to b"]);
    assert_eq!(bench.keys.peek(b"b").unwrap().expire_ms(), Some(4_102_444_800_000));
    check(&mut bench, "copy a b", ":0", 0, &[]);
    check(&mut bench, "copy a b replace", ":1", 1, &["copy_to b"]);
    check(&mut bench, "copy a a db 3", ":1", 1, &["copy_to a"]);
    check(&mut bench, "copy a b db 1 db 2 REPLACE", ":1", 1, &["copy_to b"]);
    assert_eq!([0, 1, 2, 3].map(|db| bench.keys.db(db).len()), [2, 0, 1, 1]);
    check(&mut bench, "copy nokey b", ":0", 0, &[]);
    let same = "-ERR source and destination objects are the same";
    for (command, error) in [
        ("copy a a", same),
        ("copy nokey nokey replace", same),
        ("copy a a db 0", same),
        ("copy a b db", "-ERR syntax error"),
        ("copy a b foo", "-ERR syntax error"),
        ("copy a b db x", "-ERR value is not an integer or out of range"),
        ("copy a b db 16", "-ERR DB index is out of range"),
        ("copy a b db -1", "-ERR DB index is out of range"),
        ("copy a b db 99999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
    ] {
        check(&mut bench, command, error, 0, &[]);
    }
}

#[test]
fn a_copy_is_a_value_of_its_own() {
    let mut bench = bench(&[]);
    let (list, limits) = bench.keys.list_or_new(b"l").unwrap();
    list.push_back(b"1", limits);
    check(&mut bench, "copy l m", ":1", 1, &["copy_to m"]);
    bench.keys.list_or_new(b"l").unwrap().0.pop_back();
    assert_eq!(bench.keys.list(b"m").unwrap().unwrap().len(), 1);
}

#[test]
fn renaming_takes_the_expiry_along_and_drops_what_was_there() {
    let mut bench = bench(&["a", "b", "c"]);
    bench.keys.set_expire(b"a", Some(4_102_444_800_000));
    check(&mut bench, "renamenx a b", ":0", 0, &[]);
    check(&mut bench, "rename a b", "+OK", 1, &["rename_from a", "rename_to b"]);
    assert_eq!(bench.keys.peek(b"b").unwrap().expire_ms(), Some(4_102_444_800_000));
    check(&mut bench, "rename c b", "+OK", 1, &["rename_from c", "rename_to b"]);
    assert_eq!(bench.keys.peek(b"b").unwrap().expire_ms(), None);
    assert_eq!((bench.keys.current().len(), bench.keys.current().volatile()), (1, 0));
    check(&mut bench, "renamenx b d", ":1", 1, &["rename_from b", "rename_to d"]);
    check(&mut bench, "rename d d", "+OK", 0, &[]);
    check(&mut bench, "renamenx d d", ":0", 0, &[]);
    check(&mut bench, "rename nokey nokey", "-ERR no such key", 0, &[]);
    check(&mut bench, "renamenx nokey d", "-ERR no such key", 0, &[]);
}

#[test]
fn moving_to_another_database() {
    let mut bench = bench(&["a", "b"]);
    check(&mut bench, "move a 1", ":1", 1, &["move_from a", "move_to a"]);
    check(&mut bench, "move a 1", ":0", 0, &[]);
    bench.keys.set_str(b"a", b"new", None);
    check(&mut bench, "move a 1", ":0", 0, &[]);
    assert_eq!((bench.keys.db(0).len(), bench.keys.db(1).len()), (2, 1));
    check(&mut bench, "move a 0", "-ERR source and destination objects are the same", 0, &[]);
    check(&mut bench, "move a 16", "-ERR DB index is out of range", 0, &[]);
    check(&mut bench, "move a x", "-ERR value is not an integer or out of range", 0, &[]);
}

#[test]
fn changes_reach_those_who_watch_the_key_in_its_database() {
    let mut bench = bench(&["a"]);
    bench.keys.watch(b"a", 7);
    bench.keys.select(1);
    bench.keys.watch(b"a", 8);
    bench.line("move a 1");
    assert_eq!(bench.keys.touched_watchers, [7, 8]);
}

#[test]
fn flushes_travel_even_where_nothing_was() {
    let mut bench = bench(&["a", "b"]);
    bench.line("copy a c db 5");
    check(&mut bench, "flushdb async", "+OK", 2, &[]);
    assert_eq!(bench.propagated(), None);
    check(&mut bench, "flushdb", "+OK", 0, &[]);
    assert_eq!(bench.propagated().as_deref(), Some("*1 $7 flushdb"));
    check(&mut bench, "flushall SYNC", "+OK", 1, &[]);
    check(&mut bench, "flushall sync", "+OK", 0, &[]);
    assert_eq!(bench.propagated().as_deref(), Some("*2 $8 flushall $4 sync"));
    for command in ["flushall foo", "flushdb sync async", "flushdb sync sync"] {
        check(&mut bench, command, "-ERR syntax error", 0, &[]);
    }
}

#[test]
fn databases_change_places() {
    let mut bench = bench(&["a", "b"]);
    check(&mut bench, "swapdb 0 2", "+OK", 1, &[]);
    assert_eq!((bench.keys.db(0).len(), bench.keys.db(2).len()), (0, 2));
    check(&mut bench, "swapdb 2 2", "+OK", 1, &[]);
    for (command, error) in [
        ("swapdb x y", "-ERR invalid first DB index"),
        ("swapdb 16 y", "-ERR invalid second DB index"),
        ("swapdb 0 99999999999", "-ERR invalid second DB index"),
        ("swapdb -1 0", "-ERR DB index is out of range"),
        ("swapdb 0 16", "-ERR DB index is out of range"),
    ] {
        check(&mut bench, command, error, 0, &[]);
    }
}

#[test]
fn expired_keys_are_not_listed() {
    let mut bench = bench(&["a", "ab", "b", "old"]);
    bench.keys.set_expire(b"old", Some(bench.now));
    bench.keys.set_expire(b"b", Some(bench.now + 1));
    bench.keys.expire_policy = ExpirePolicy::Hide;
    for command in ["keys *", "keys ???"] {
        assert!(!bench.line(command).contains("old"), "{command}");
    }
    assert!(bench.line("scan 0 count 100").starts_with("*2 $1 0 *3 "));
    assert_eq!(bench.line("keys a?"), "*1 $2 ab");
    check(&mut bench, "dbsize", ":4", 0, &[]);
    bench.keys.expire_policy = ExpirePolicy::Delete;
    assert!(bench.line("scan 0 count 100").starts_with("*2 $1 0 *3 "));
    check(&mut bench, "dbsize", ":3", 0, &[]);
    assert_eq!(bench.keys.expired, [Expired { db: 0, key: b"old".to_vec(), fields: vec![] }], "its deletion travels");
}

#[test]
fn a_lone_star_lists_the_empty_key() {
    let mut bench = bench(&[""]);
    for (pattern, count) in [("*", 1), ("**", 0), ("?", 0), ("", 1)] {
        assert!(bench.run(&["keys", pattern]).starts_with(&format!("*{count}\r\n")), "{pattern}");
        let scanned = bench.run(&["scan", "0", "match", pattern]);
        assert!(scanned.starts_with(&format!("*2\r\n$1\r\n0\r\n*{count}\r\n")), "{pattern}");
    }
}

#[test]
fn a_scan_returns_every_key_by_type() {
    let mut bench = bench(&[]);
    for number in 0..1000 {
        bench.keys.set_str(format!("k{number}").as_bytes(), b"v", None);
    }
    bench.keys.hash_or_new(b"h").unwrap();
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), std::collections::HashSet::new(), 0);
    loop {
        let reply = bench.line(&format!("scan {cursor} count 50 type STRING"));
        let words: Vec<&str> = reply.split(' ').collect();
        cursor = words[2].to_owned();
        seen.extend(words[4..].iter().skip(1).step_by(2).map(|key| key.to_string()));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!((5..=25).contains(&calls), "{calls} calls for 1001 keys, 50 at a time");
    assert_eq!(bench.line("scan 0 count 5000 type hash"), "*2 $1 0 *1 $1 h");
    assert_eq!(bench.line("scan 0 count 5000 type foo"), "*2 $1 0 *0");
    assert_eq!(bench.line("type h"), "+hash");
    assert_eq!(bench.line("type nokey"), "+none");
    assert_eq!(bench.line("scan x"), "-ERR invalid cursor");
}
