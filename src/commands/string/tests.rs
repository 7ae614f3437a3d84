//! Tests of the string commands: what stock Redis answers, counts, raises and sends to its replicas.

use super::*;
use crate::commands::testing::Bench;
use crate::keyspace::Expired;

const NOW: i64 = 1_700_000_000_000;

/// A bench with a list at `l`.
fn bench() -> Bench {
    let mut bench = Bench::new(ROWS);
    bench.now = NOW;
    let mut list = crate::types::List::new();
    list.push_back(b"1", &bench.keys.limits);
    bench.keys.insert(b"l", Value::List(list), None);
    bench
}

/// Runs lines of `command => reply | dirty | what is sent instead | events`, as a stock server was seen to do.
fn check(bench: &mut Bench, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, expected) = line.split_once(" => ").unwrap();
        let reply = bench.line(command);
        let sent = bench.propagated().unwrap_or_default();
        let words: Vec<&str> = sent.split(' ').filter(|word| !word.starts_with(['*', '$'])).collect();
        let events = bench.events().join(",");
        let found = format!("{reply} | {} | {} | {events}", bench.dirty, words.join(" "));
        let tidy = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(tidy(&found), tidy(expected), "{line}");
    }
}

#[test]
fn set_and_its_options() {
    check(
        &mut bench(),
        "set a 1 => +OK | 1 | | new a,set a
         set a 2 EX 100 => +OK | 1 | SET a 2 PXAT 1700000100000 | set a,expire a
         set a 2 exat 99999999999 => +OK | 1 | SET a 2 PXAT 99999999999000 | set a,expire a
         set a 2 NX => $-1 | 0 | |
         set a 2 KEEPTTL => +OK | 1 | | set a
         getex a PERSIST => $1 2 | 1 | PERSIST a | persist a
         set a 3 GET KEEPTTL XX => $1 2 | 1 | set a 3 KEEPTTL XX | set a
         set a 3 PX 5 GET => $1 3 | 1 | SET a 3 PXAT 1700000000005 | set a,expire a
         set b 3 GET XX => $-1 | 0 | | keymiss b
         set b 3 NX GET => $-1 | 1 | set b 3 NX | keymiss b,new b,set b
         set b 3 EX 10 EX 20 => +OK | 1 | SET b 3 PXAT 1700000020000 | set b,expire b
         set b 3 EX 10 PX 20 => -ERR syntax error | 0 | |
         set b 3 KEEPTTL EX 10 => -ERR syntax error | 0 | |
         set b 3 NX XX => -ERR syntax error | 0 | |
         set b 3 PERSIST => -ERR syntax error | 0 | |
         set b 3 EX => -ERR syntax error | 0 | |
         set b 3 EX x => -ERR value is not an integer or out of range | 0 | |
         set b 3 EX 0 => -ERR invalid expire time in 'set' command | 0 | |
         set l 5 GET EX 0 => -ERR invalid expire time in 'set' command | 0 | |
         set l 5 GET => -WRONGTYPE Operation against a key holding the wrong kind of value | 0 | |
         setex b 10 v => +OK | 1 | SET b v PXAT 1700000010000 | set b,expire b
         psetex b 0 v => -ERR invalid expire time in 'psetex' command | 0 | |
         setnx b 1 => :0 | 0 | |
         getset b 9 => $1 v | 1 | SET b 9 | set b
         set l 5 => +OK | 1 | | set l",
    );
}

#[test]
fn getex_and_getdel() {
    check(
        &mut bench(),
        "getex a EX 0 => $-1 | 0 | | keymiss a
         set a 1 => +OK | 1 | | new a,set a
         getex a => $1 1 | 0 | |
         getex a PERSIST => $1 1 | 0 | |
         getex a PX 100 => $1 1 | 1 | PEXPIREAT a 1700000000100 | expire a
         getex a EX 100 PERSIST => -ERR syntax error | 0 | |
         getex a KEEPTTL => -ERR syntax error | 0 | |
         getex a EX 0 => -ERR invalid expire time in 'getex' command | 0 | |
         getex a PXAT 1000 => $1 1 | 1 | DEL a | del a
         getdel a => $-1 | 0 | | keymiss a
         set a 1 => +OK | 1 | | new a,set a
         getdel a => $1 1 | 1 | DEL a | del a
         getdel l => -WRONGTYPE Operation against a key holding the wrong kind of value | 0 | |",
    );
}

#[test]
fn several_keys_at_once() {
    check(
        &mut bench(),
        "mset x 1 x 2 y 3 => +OK | 3 | | new x,set x,set x,new y,set y
         mset x 1 y => -ERR wrong number of arguments for 'mset' command | 0 | |
         msetnx z 1 x 1 => :0 | 0 | |
         msetnx z 1 z 2 => :1 | 2 | | new z,set z,set z
         mget x l no z => *4 $1 2 $-1 $-1 $1 2 | 0 | | keymiss no",
    );
}

#[test]
fn numbers_are_counted() {
    check(
        &mut bench(),
        "incr n => :1 | 1 | | new n,incrby n
         decrby n -9223372036854775808 => -ERR decrement would overflow | 0 | |
         incrby n 9223372036854775807 => -ERR increment or decrement would overflow | 0 | |
         decrby n 11 => :-10 | 1 | | incrby n
         decr l => -WRONGTYPE Operation against a key holding the wrong kind of value | 0 | |
         incrby n 1.5 => -ERR value is not an integer or out of range | 0 | |
         incrbyfloat n 0.1 => $4 -9.9 | 1 | SET n -9.9 KEEPTTL | incrbyfloat n
         incr n => -ERR value is not an integer or out of range | 0 | |
         incrbyfloat n x => -ERR value is not a valid float | 0 | |
         incrbyfloat n inf => -ERR increment would produce NaN or Infinity | 0 | |
         incrbyfloat f 3 => $1 3 | 1 | SET f 3 KEEPTTL | new f,incrbyfloat f",
    );
    let mut bench = bench();
    bench.line("incrbyfloat f 3");
    assert_eq!(bench.keys.peek(b"f").unwrap().encoding(), "embstr");
    assert_eq!(bench.line("incr f"), ":4");
    assert_eq!(bench.keys.peek(b"f").unwrap().encoding(), "int");
}

#[test]
fn parts_of_strings() {
    check(
        &mut bench(),
        "append s 12 => :2 | 1 | | new s,append s
         append s cde => :5 | 1 | | append s
         setrange s 1 XY => :5 | 1 | | setrange s
         setrange s -1 z => -ERR offset is out of range | 0 | |
         setrange l -1 z => -ERR offset is out of range | 0 | |
         setrange s 536870911 zz => -ERR string exceeds maximum allowed size (proto-max-bulk-len) | 0 | |
         getrange s 0 -2 => $4 1XYd | 0 | |
         getrange s -100 -90 => $1 1 | 0 | |
         getrange s -3 -5 => $0 | 0 | |
         substr s 3 100 => $2 de | 0 | |
         getrange l x 1 => -ERR value is not an integer or out of range | 0 | |
         strlen s => :5 | 0 | |",
    );
    let mut bench = bench();
    assert_eq!(bench.run(&["SETRANGE", "none", "1", ""]), ":0\r\n");
    assert!(!bench.keys.exists(b"none"));
    assert_eq!(bench.run_bytes(&[b"setrange", b"none", b"2", b"z"]), b":3\r\n");
    assert_eq!(bench.run_bytes(&[b"get", b"none"]), b"$3\r\n\0\0z\r\n");
}

#[test]
fn a_master_may_exceed_our_limit_but_not_the_address_space() {
    let mut bench = bench();
    bench.limits.string_len_max = 4;
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    bench.line("set s abcd");
    assert_eq!(bench.line("append s e"), too_long);
    bench.session.from_master = true;
    assert_eq!(bench.line("append s e"), ":5");
    assert_eq!(bench.line("setrange s 9223372036854775807 e"), too_long);
    assert_eq!(bench.line("get s"), "$5 abcde");
}

#[test]
fn a_key_whose_time_has_come_is_no_old_value() {
    let mut bench = bench();
    for (command, reply) in [
        ("set k 7 KEEPTTL", "+OK"),
        ("incr k", ":1"),
        ("append k 7", ":1"),
        ("setnx k 7", ":1"),
        ("msetnx k 7", ":1"),
        ("getset k 7", "$-1"),
        ("set k 7 NX", "+OK"),
    ] {
        bench.line("psetex k 10 5");
        bench.now += 10;
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!(
            std::mem::take(&mut bench.keys.expired),
            [Expired { db: 0, key: b"k".to_vec(), fields: vec![] }],
            "{command}"
        );
        assert_eq!(bench.keys.peek(b"k").unwrap().expire_ms(), None, "{command}");
    }
}

#[test]
fn lcs_tells_bytes_length_or_places() {
    check(
        &mut bench(),
        "mset a ohmytext b mynewtext => +OK | 2 | | new a,set a,new b,set b
         lcs a b => $6 mytext | 0 | |
         lcs a b len => :6 | 0 | |
         lcs a b idx minmatchlen 4 withmatchlen => *4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6 | 0 | |
         lcs a b idx len => -ERR If you want both the length and indexes, please just use IDX. | 0 | |
         lcs a no => $0 | 0 | | keymiss no
         lcs a l foo => -ERR The specified keys must contain string values | 0 | |
         lcs a b minmatchlen => -ERR syntax error | 0 | |",
    );
}
