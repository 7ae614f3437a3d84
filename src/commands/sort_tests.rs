//! SORT against the replies of a stock 7.0.15 to the same commands on the same data.

use super::ROWS;
use crate::commands::testing::Bench;
use crate::keyspace::Keyspace;

/// Commands with the replies of the stock server.
const STOCK: &[(&str, &str)] = &[
    ("sort l", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort h", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("sort str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("sort nokey", "*0"),
    ("sort l foo", "-ERR syntax error"),
    ("sort nokey foo", "-ERR syntax error"),
    ("sort h foo", "-ERR syntax error"),
    ("sort l limit 1", "-ERR syntax error"),
    ("sort l limit x 1", "-ERR value is not an integer or out of range"),
    ("sort l limit 1 99999999999999999999", "-ERR value is not an integer or out of range"),
    ("sort l by", "-ERR syntax error"),
    ("sort l get", "-ERR syntax error"),
    ("sort l store", "-ERR syntax error"),
    ("sort_ro l store x", "-ERR syntax error"),
    ("sort_ro l", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort l asc desc", "*4 $2 10 $1 3 $1 2 $1 1"),
    ("sort l DESC Asc", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort l limit -1 -1", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort l limit 0 -5", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort l limit 1 2", "*2 $1 2 $1 3"),
    ("sort l limit 10 1", "*0"),
    ("sort l limit -5 2", "*2 $1 1 $1 2"),
    ("sort l limit 0 0 get w_*", "*0"),
    ("sort l limit 9223372036854775807 9223372036854775807", "*0"),
    ("sort l by nosort", "*4 $1 3 $1 1 $1 2 $2 10"),
    ("sort l by nosort desc", "*4 $2 10 $1 2 $1 1 $1 3"),
    ("sort l by nosort limit 1 2", "*2 $1 1 $1 2"),
    ("sort l by nosort desc limit 1 2", "*2 $1 2 $1 1"),
    ("sort l by w_* by nosort", "*4 $1 3 $1 1 $1 2 $2 10"),
    ("sort l by nosort by w_*", "*4 $1 3 $1 1 $1 2 $2 10"),
    ("sort z", "-ERR One or more scores can't be converted into double"),
    ("sort z alpha desc", "*3 $1 c $1 b $1 a"),
    ("sort z by nosort", "*3 $1 a $1 b $1 c"),
    ("sort z by nosort desc", "*3 $1 c $1 b $1 a"),
    ("sort z by nosort limit 1 2", "*2 $1 b $1 c"),
    ("sort z by nosort desc limit 1 1", "*1 $1 b"),
    ("sort z by nosort limit 5 1", "*0"),
    ("sort s by nosort limit 1 1", "*1 $1 2"),
    ("sort s by nosort desc", "*3 $1 1 $1 2 $1 3"),
    ("sort letters", "-ERR One or more scores can't be converted into double"),
    ("sort letters alpha", "*3 $1 a $1 b $1 c"),
    ("sort l alpha", "*4 $1 1 $2 10 $1 2 $1 3"),
    ("sort words alpha", "*3 $1 C $1 a $1 b"),
    ("sort spelled", "*4 $2 01 $1 1 $3 1.0 $4 1.00"),
    ("sort spelled desc", "*4 $4 1.00 $3 1.0 $1 1 $2 01"),
    ("sort spelled alpha desc", "*4 $4 1.00 $3 1.0 $1 1 $2 01"),
    ("sort odd", "*6 $4 -inf $5 -.5e1 $2 +1 $2 1. $4 0x10 $3 inf"),
    ("sort big desc", "*3 $16 9007199254740994 $16 9007199254740993 $16 9007199254740992"),
    ("sort huge", "-ERR One or more scores can't be converted into double"),
    ("sort tiny", "-ERR One or more scores can't be converted into double"),
    ("sort zeros", "*2 $8 0x0p3333 $1 1"),
    ("sort nan", "-ERR One or more scores can't be converted into double"),
    ("sort l by w_*", "*4 $2 10 $1 3 $1 2 $1 1"),
    ("sort l by w_* desc", "*4 $1 1 $1 2 $1 3 $2 10"),
    ("sort l by w_* get # get w_* get nokey_*", "*12 $2 10 $-1 $-1 $1 3 $1 1 $-1 $1 2 $1 2 $-1 $1 1 $1 3 $-1"),
    ("sort l by h_*->w get h_*->g get #", "*8 $-1 $2 10 $-1 $1 3 $-1 $1 2 $1 x $1 1"),
    ("sort l by h_*->", "*4 $1 1 $2 10 $1 2 $1 3"),
    ("sort l get #x", "*4 $-1 $-1 $-1 $-1"),
    ("sort l get h_1->g", "*4 $-1 $-1 $-1 $-1"),
    ("sort l get w_*->x", "*4 $-1 $-1 $-1 $-1"),
    ("sort l get h_*", "*4 $-1 $-1 $-1 $-1"),
    ("sort l by w_*x*", "*4 $1 1 $2 10 $1 2 $1 3"),
    ("sort l by a_* alpha", "*4 $2 10 $1 1 $1 2 $1 3"),
    ("sort l by a_* alpha desc", "*4 $1 3 $1 2 $1 1 $2 10"),
    ("sort l by q_* alpha", "*4 $1 3 $1 1 $1 2 $2 10"),
    ("sort l by q_* desc", "*4 $1 3 $1 2 $2 10 $1 1"),
    ("sort l by a_*", "-ERR One or more scores can't be converted into double"),
    ("sort l by * limit 1 2", "*2 $2 10 $1 2"),
];

fn fill(keys: &mut Keyspace) {
    for (key, items) in [
        ("l", "3 1 2 10"),
        ("words", "b a C"),
        ("spelled", "1.0 1 01 1.00"),
        ("odd", "+1 0x10 inf -inf -.5e1 1."),
        ("big", "9007199254740993 9007199254740992 9007199254740994"),
        ("huge", "1e400"),
        ("tiny", "1e-400"),
        ("zeros", "1 0x0p3333"),
        ("nan", "nan"),
    ] {
        let (list, limits) = keys.list_or_new(key.as_bytes()).unwrap();
        items.split(' ').for_each(|item| list.push_back(item.as_bytes(), limits));
    }
    for (key, items) in [("s", "3 1 2"), ("letters", "c b a")] {
        let (set, limits) = keys.set_or_new(key.as_bytes()).unwrap();
        items.split(' ').for_each(|item| assert!(set.add(item.as_bytes(), limits)));
    }
    let (zset, limits) = keys.zset_or_new(b"z").unwrap();
    for (member, score) in [("c", 3.0), ("a", 1.0), ("b", 2.0)] {
        zset.insert(member.as_bytes(), score, limits);
    }
    for (key, field, value) in [("h", "f", "v"), ("h_1", "w", "5"), ("h_1", "g", "x"), ("h_2", "w", "4")] {
        let (hash, limits) = keys.hash_or_new(key.as_bytes()).unwrap();
        hash.set(field.as_bytes(), value.as_bytes(), limits);
    }
    let strings = [("w_1", "3"), ("w_2", "2"), ("w_3", "1"), ("a_1", "B"), ("a_2", "a"), ("a_3", "b"), ("str", "x")];
    for (key, value) in strings {
        keys.set_str(key.as_bytes(), value.as_bytes(), None);
    }
}

fn bench() -> Bench {
    let mut bench = Bench::of_changes(ROWS);
    fill(&mut bench.keys);
    bench
}

#[test]
fn replies_are_those_of_the_stock_server() {
    let mut bench = bench();
    for (command, reply) in STOCK {
        assert_eq!(bench.line(command), *reply, "{command}");
        assert_eq!(bench.dirty, 0, "{command}");
    }
}

fn stored(bench: &mut Bench) -> Vec<String> {
    let list = bench.keys.list(b"x").unwrap().expect("a list");
    list.iter().map(|element| String::from_utf8(element.to_vec()).unwrap()).collect()
}

#[test]
fn what_is_stored_is_a_list_and_nothing_deletes_it() {
    let mut bench = bench();
    for (command, expected) in [
        ("sort l by w_* get # get q_* store x", ["10", "", "3", "", "2", "", "1", ""].as_slice()),
        ("sort l by nosort desc limit 1 2 store x", &["2", "1"]),
        ("sort letters by nosort desc store x", &["c", "b", "a"]),
        ("sort z by nosort desc store x", &["c", "b", "a"]),
    ] {
        assert_eq!(bench.line(command), format!(":{}", expected.len()), "{command}");
        assert_eq!(stored(&mut bench), expected, "{command}");
        assert_eq!(bench.dirty, expected.len() as u64);
        assert_eq!(bench.events(), ["sortstore x"]);
    }
    assert_eq!(bench.line("sort nokey store x"), ":0");
    assert_eq!((bench.dirty, bench.events()), (1, vec!["del x".to_owned()]));
    assert_eq!(bench.line("sort nokey store x"), ":0");
    assert_eq!((bench.dirty, bench.events()), (0, vec![]));
}

#[test]
fn spaces_and_nothing_are_read_as_strtod_reads_them() {
    let scored: Vec<_> =
        [b"".as_slice(), b" 2", b"\t-1", b"2 ", b" ", b"5e", b"1\0x", b"2.3e-310", b"0e5"].map(super::score).into();
    assert_eq!(scored, [Some(0.0), Some(2.0), Some(-1.0), None, None, None, Some(1.0), None, Some(0.0)]);
}
