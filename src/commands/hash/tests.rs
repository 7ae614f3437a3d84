//! Replies as stock Redis gave them, and random picks against what there is to pick from.

use super::ROWS;
use crate::commands::testing::Bench;
use std::collections::HashMap;

fn bench_with(fields: usize) -> Bench {
    let mut bench = Bench::new(ROWS);
    for number in 0..fields {
        bench.line(&format!("hset h f{number} {number}"));
    }
    bench
}

#[test]
fn fields_are_set_read_and_taken_out() {
    let mut bench = Bench::new(ROWS);
    for (command, reply, dirty) in [
        ("hset h a 1 b 2 c x", ":3", 3),
        ("hset h a 1 b", "-ERR wrong number of arguments for 'hset' command", 0),
        ("hset h a 5 d 4", ":1", 2),
        ("hmset h a 1", "+OK", 1),
        ("hmset h a", "-ERR wrong number of arguments for 'hmset' command", 0),
        ("hsetnx h a 3", ":0", 0),
        ("hsetnx h z 3", ":1", 1),
        ("hget h a", "$1 1", 0),
        ("hget h nope", "$-1", 0),
        ("hmget h a nope", "*2 $1 1 $-1", 0),
        ("hmget none a", "*1 $-1", 0),
        ("hlen h", ":5", 0),
        ("hstrlen h a", ":1", 0),
        ("hstrlen none a", ":0", 0),
        ("hexists h b", ":1", 0),
        ("hkeys none", "*0", 0),
        ("hkeys h", "*5 $1 a $1 b $1 c $1 d $1 z", 0),
        ("hvals h", "*5 $1 1 $1 2 $1 x $1 4 $1 3", 0),
        ("hgetall none", "*0", 0),
        ("hdel h a b nope a", ":2", 2),
        ("hdel h nope", ":0", 0),
        ("hgetall h", "*6 $1 c $1 x $1 d $1 4 $1 z $1 3", 0),
        ("hdel h c d z", ":3", 3),
        ("hlen h", ":0", 0),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!(bench.dirty, dirty, "{command}");
    }
    assert!(!bench.keys.exists(b"h"));
}

#[test]
fn sums_and_their_errors() {
    let mut bench = Bench::new(ROWS);
    for (command, reply) in [
        ("hset h a 10 t x", ":2"),
        ("hincrby h a -3", ":7"),
        ("hincrby h new 0", ":0"),
        ("hincrby h t 1", "-ERR hash value is not an integer"),
        ("hincrby h a x", "-ERR value is not an integer or out of range"),
        ("hincrby h a 9223372036854775807", "-ERR increment or decrement would overflow"),
        ("hincrbyfloat h t 1", "-ERR hash value is not a float"),
        ("hincrbyfloat h a abc", "-ERR value is not a valid float"),
        ("hincrbyfloat h a inf", "-ERR value is NaN or Infinity"),
        ("hincrbyfloat h a 1.5", "$3 8.5"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
    assert_eq!(bench.propagated().unwrap(), "*4 $4 HSET $1 h $1 a $3 8.5");
    assert_eq!(bench.events(), ["hincrbyfloat h"]);
    bench.line("hincrby none a x");
    assert!(!bench.keys.exists(b"none"), "a refused increment begins no hash");
}

#[test]
fn maps_and_pairs_in_resp3() {
    let mut bench = bench_with(2);
    bench.resp3 = true;
    assert_eq!(bench.line("hgetall h"), "%2 $2 f0 $1 0 $2 f1 $1 1");
    assert_eq!(bench.line("hrandfield h 9 withvalues"), "*2 *2 $2 f0 $1 0 *2 $2 f1 $1 1");
    assert_eq!(bench.line("hrandfield none"), "_");
    bench.resp3 = false;
    assert_eq!(bench.line("hrandfield h 9 withvalues"), "*4 $2 f0 $1 0 $2 f1 $1 1");
}

#[test]
fn events_tell_of_new_and_empty_keys() {
    let mut bench = Bench::new(ROWS);
    bench.line("hset h a 1");
    assert_eq!(bench.events(), ["new h", "hset h"]);
    bench.line("hset h a 1");
    assert_eq!(bench.events(), ["hset h"]);
    bench.line("hdel h a");
    assert_eq!(bench.events(), ["hdel h", "del h"]);
}

#[test]
fn random_fields_are_different_unless_the_count_is_negative() {
    for size in [20, 2000] {
        let mut bench = bench_with(size);
        for count in [1, 5, size / 2, size, size * 2] {
            let reply = bench.line(&format!("hrandfield h {count} withvalues"));
            let words: Vec<&str> = reply.split(' ').collect();
            let mut seen = HashMap::new();
            for pair in words[1..].chunks(4) {
                assert_eq!(pair[1][1..], *pair[3]);
                assert!(seen.insert(pair[1], ()).is_none(), "{} twice", pair[1]);
            }
            assert_eq!(seen.len(), count.min(size));
        }
        let reply = bench.line(&format!("hrandfield h -{}", size * 2));
        assert_eq!(reply.split('$').count() - 1, size * 2);
    }
}

#[test]
fn bad_counts_of_random_fields() {
    let mut bench = bench_with(3);
    for (command, reply) in [
        ("hrandfield h x withvalues", "-ERR value is not an integer or out of range"),
        ("hrandfield h 2 withvaluess", "-ERR syntax error"),
        ("hrandfield h 2 withvalues x", "-ERR syntax error"),
        ("hrandfield h 0", "*0"),
        ("hrandfield none 3", "*0"),
        ("hrandfield h 9223372036854775807 withvalues", "-ERR value is out of range"),
        (
            "hrandfield h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
}

#[test]
fn a_scan_shows_every_field_with_its_value() {
    for size in [10, 3000] {
        let mut bench = bench_with(size);
        let (mut cursor, mut seen) = (String::from("0"), HashMap::new());
        loop {
            let reply = bench.line(&format!("hscan h {cursor} count 7 match f*"));
            let words: Vec<&str> = reply.split(' ').collect();
            for pair in words[4..].chunks(4) {
                seen.insert(pair[1].to_owned(), pair[3].to_owned());
            }
            cursor = words[2].to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), size);
        assert!(seen.iter().all(|(field, value)| field[1..] == *value));
    }
    let mut bench = bench_with(3);
    assert_eq!(bench.line("hscan h 0 match f1"), "*2 $1 0 *2 $2 f1 $1 1");
    assert_eq!(bench.line("hscan h x"), "-ERR invalid cursor");
    assert_eq!(bench.line("hscan h 0 foo"), "-ERR syntax error");
    assert_eq!(bench.line("hscan none 0 foo"), "*2 $1 0 *0");
}

#[test]
fn another_type_is_refused_by_all() {
    let mut bench = Bench::new(ROWS);
    bench.keys.set_str(b"s", b"text", None);
    for row in ROWS {
        let rest = match row.name {
            "hrandfield" => "1",
            "hscan" => "0",
            "hset" | "hmset" | "hsetnx" => "a 1",
            "hincrby" | "hincrbyfloat" => "a 1",
            _ => "a",
        };
        let command = format!("{} s {rest}", row.name);
        assert!(bench.line(&command).starts_with("-WRONGTYPE"), "{command}");
        assert_eq!(bench.dirty, 0);
    }
}
