//! Replies as stock Redis gave them; the algebra and the picks against the standard library's sets.

use super::ROWS;
use crate::base::rng::Rng;
use crate::commands::testing::Bench;
use std::collections::BTreeSet;

type Members = BTreeSet<String>;

fn members(reply: &str) -> Members {
    reply.split(' ').skip(1).filter(|word| !word.starts_with('$')).map(str::to_owned).collect()
}

fn join(set: &Members) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn members_come_and_go() {
    let mut bench = Bench::new(ROWS);
    for (command, reply, dirty) in [
        ("sadd s 3 1 2", ":3", 3),
        ("sadd s 3 4", ":1", 1),
        ("sadd s 3", ":0", 0),
        ("smembers s", "*4 $1 1 $1 2 $1 3 $1 4", 0),
        ("smembers none", "*0", 0),
        ("scard s", ":4", 0),
        ("sismember s 1", ":1", 0),
        ("sismember none 1", ":0", 0),
        ("smismember s 1 9", "*2 :1 :0", 0),
        ("smismember none 1 9", "*2 :0 :0", 0),
        ("srem s 9", ":0", 0),
        ("srem none 9", ":0", 0),
        ("smove s t 77", ":0", 0),
        ("smove s t 1", ":1", 2),
        ("sadd s 1", ":1", 1),
        ("smove s t 1", ":1", 1),
        ("smove s s 2", ":1", 0),
        ("smove s s 9", ":0", 0),
        ("srem s 2 3 4 4", ":3", 3),
        ("scard s", ":0", 0),
        ("smove none t 1", ":0", 0),
        ("sscan t 0", "*2 $1 0 *1 $1 1", 0),
        ("sscan none x", "-ERR invalid cursor", 0),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!(bench.dirty, dirty, "{command}");
    }
    assert!(!bench.keys.exists(b"s"));
    bench.line("smove t u 1");
    assert_eq!(bench.events(), ["srem t", "del t", "new u", "sadd u"]);
}

#[test]
fn encodings_as_stock_has_them() {
    let mut bench = Bench::new(ROWS);
    let numbers = |range: std::ops::Range<i32>| range.map(|n| format!(" {n}")).collect::<String>();
    bench.line("sadd ints 1 2");
    assert_eq!(bench.encoding("ints"), "intset");
    bench.line("sadd ints x");
    assert_eq!(bench.encoding("ints"), "listpack");
    bench.line(&format!("sadd many{}", numbers(0..512)));
    assert_eq!(bench.encoding("many"), "intset");
    bench.line("sadd many x");
    assert_eq!(bench.encoding("many"), "hashtable");
    bench.line(&format!("sadd hinted a{}", " a".repeat(128)));
    assert_eq!(bench.encoding("hinted"), "hashtable", "as many as were said to come");
    bench.line("sinterstore d many many");
    assert_eq!(bench.encoding("d"), "hashtable");
    bench.line("sadd few 1 2 3");
    bench.line("sinterstore d many few");
    assert_eq!(bench.encoding("d"), "intset");
    bench.line("sunionstore d few ints");
    assert_eq!(bench.encoding("d"), "listpack");
}

#[test]
fn sets_are_combined_as_the_standard_library_does() {
    let mut rng = Rng::new(5);
    for round in 0..60 {
        let mut bench = Bench::new(ROWS);
        bench.resp3 = true;
        let prefix = if round % 2 == 0 { "" } else { "m" };
        let mut sets = Vec::new();
        for name in ["a", "b", "c"] {
            let (size, range) = (rng.below(300), 1 + rng.below(400));
            let set: Members = (0..size).map(|_| format!("{prefix}{}", rng.below(range))).collect();
            if !set.is_empty() {
                bench.line(&format!("sadd {name} {}", join(&set)));
            }
            sets.push(set);
        }
        let [a, b, c] = [&sets[0], &sets[1], &sets[2]];
        let inter: Members = a.iter().filter(|m| b.contains(*m) && c.contains(*m)).cloned().collect();
        let union: Members = a.iter().chain(b).chain(c).cloned().collect();
        let diff: Members = a.iter().filter(|m| !b.contains(*m) && !c.contains(*m)).cloned().collect();
        for (name, wanted) in [("sinter", &inter), ("sunion", &union), ("sdiff", &diff)] {
            let reply = bench.line(&format!("{name} a b c"));
            assert!(reply.starts_with(&format!("~{}", wanted.len())), "{reply}");
            assert_eq!(members(&reply), *wanted, "{name}");
            let stored = bench.line(&format!("{name}store d a b c"));
            assert_eq!(stored, format!(":{}", wanted.len()));
            assert_eq!(members(&bench.line("smembers d")), *wanted, "{name}store");
            assert_eq!(bench.keys.exists(b"d"), !wanted.is_empty());
        }
        assert_eq!(bench.line("sintercard 3 a b c"), format!(":{}", inter.len()));
        assert_eq!(bench.line("sintercard 3 a b c limit 2"), format!(":{}", inter.len().min(2)));
        assert_eq!(bench.line("sdiff a b a"), "~0");
        assert_eq!(members(&bench.line("sinter a a")), *a);
    }
}

#[test]
fn an_empty_result_deletes_what_was_there() {
    let mut bench = Bench::of_changes(ROWS);
    bench.keys.set_str(b"d", b"text", None);
    bench.line("sadd a 1 2");
    assert_eq!(bench.line("sinterstore d a a"), ":2");
    assert_eq!((bench.dirty, bench.events()), (1, vec!["sinterstore d".to_owned()]));
    assert_eq!(bench.line("sinterstore d a none"), ":0");
    assert_eq!((bench.dirty, bench.events()), (1, vec!["del d".to_owned()]));
    assert_eq!(bench.line("sdiffstore d none a"), ":0");
    assert_eq!((bench.dirty, bench.events()), (0, vec![]));
}

#[test]
fn errors_of_sintercard() {
    let mut bench = Bench::new(ROWS);
    bench.line("sadd a 1 2 3");
    for (command, reply) in [
        ("sintercard 0 a", "-ERR numkeys should be greater than 0"),
        ("sintercard x a", "-ERR numkeys should be greater than 0"),
        ("sintercard 2 a", "-ERR Number of keys can't be greater than number of args"),
        ("sintercard 9223372036854775807 a", "-ERR Number of keys can't be greater than number of args"),
        ("sintercard 1 a limit", "-ERR syntax error"),
        ("sintercard 1 a foo 1", "-ERR syntax error"),
        ("sintercard 1 a limit x", "-ERR LIMIT can't be negative"),
        ("sintercard 1 a limit -1", "-ERR LIMIT can't be negative"),
        ("sintercard 1 a limit 0", ":3"),
        ("sintercard 1 a limit 9 limit 2", ":2"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
}

#[test]
fn what_spop_takes_travels_as_srem_or_del() {
    let mut bench = Bench::new(ROWS);
    bench.line("sadd s a");
    assert_eq!(bench.line("spop s"), "$1 a");
    assert_eq!(bench.propagated().unwrap(), "*3 $4 SREM $1 s $1 a");
    assert_eq!(bench.events(), ["spop s", "del s"]);
    bench.line("sadd s 1 2 3");
    assert_eq!(bench.line("spop s 3"), "*3 $1 1 $1 2 $1 3");
    assert_eq!((bench.propagated().unwrap().as_str(), bench.dirty), ("*2 $3 DEL $1 s", 3));
    for (command, reply) in [
        ("spop none", "$-1"),
        ("spop none 3", "*0"),
        ("spop none -1", "-ERR value is out of range, must be positive"),
        ("spop none x", "-ERR value is out of range, must be positive"),
        ("spop none 1 2", "-ERR syntax error"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!((bench.dirty, bench.propagated()), (0, None));
    }
}

#[test]
fn spop_takes_so_many_and_leaves_the_rest() {
    for (size, prefix) in [(100, ""), (100, "m"), (3000, ""), (3000, "m")] {
        for count in [1, size / 10, size / 2, size - 1] {
            let mut bench = Bench::new(ROWS);
            let all: Members = (0..size).map(|n| format!("{prefix}{n}")).collect();
            bench.line(&format!("sadd s {}", join(&all)));
            let popped = members(&bench.line(&format!("spop s {count}")));
            assert_eq!((popped.len(), bench.dirty), (count, count as u64));
            let sent = bench.propagated().unwrap();
            assert_eq!(sent.matches("SREM").count(), count.div_ceil(1024));
            let left = members(&bench.line("smembers s"));
            assert_eq!(left.len(), size - count);
            assert_eq!(&popped | &left, all);
        }
    }
}

#[test]
fn every_member_has_the_same_chance() {
    for (size, count) in [(6usize, 2usize), (600, 3), (600, 590)] {
        let mut bench = Bench::new(ROWS);
        let all: Members = (0..size).map(|n| format!("m{n}")).collect();
        bench.line(&format!("sadd s {}", join(&all)));
        let mut first_half = 0;
        let rounds = 2000;
        for _ in 0..rounds {
            let picked = members(&bench.line(&format!("srandmember s {count}")));
            assert_eq!(picked.len(), count);
            first_half += picked.iter().filter(|m| m[1..].parse::<usize>().unwrap() < size / 2).count();
        }
        let expected = rounds * count / 2;
        assert!(first_half.abs_diff(expected) < expected / 8, "{first_half} of {expected}");
    }
}

#[test]
fn random_members_by_count() {
    let mut bench = Bench::new(ROWS);
    bench.line("sadd s 1 2 3");
    assert_eq!(bench.line("srandmember s 9"), "*3 $1 1 $1 2 $1 3");
    assert!(bench.line("srandmember s -7").starts_with("*7 "));
    for (command, reply) in [
        ("srandmember none", "$-1"),
        ("srandmember none 3", "*0"),
        ("srandmember s 0", "*0"),
        ("srandmember s x", "-ERR value is not an integer or out of range"),
        ("srandmember s 1 2", "-ERR syntax error"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
}

#[test]
fn another_type_is_refused_by_all() {
    let mut bench = Bench::new(ROWS);
    bench.line("sadd a 1");
    bench.keys.set_str(b"s", b"text", None);
    for command in [
        "sadd s a",
        "srem s a",
        "smove s a 1",
        "smove a s 1",
        "scard s",
        "sismember s a",
        "smismember s a",
        "smembers s",
        "sscan s 0",
        "spop s",
        "spop s 1",
        "srandmember s",
        "srandmember s 1",
        "sinter none s",
        "sinter a s",
        "sunion none s",
        "sdiff none s",
        "sintercard 2 none s",
        "sinterstore d none s",
        "sunionstore d a s",
        "sdiffstore d none s",
    ] {
        assert!(bench.line(command).starts_with("-WRONGTYPE"), "{command}");
        assert_eq!(bench.dirty, 0);
    }
}
