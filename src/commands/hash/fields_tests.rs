//! The expected answers are those of Redis 8.2.3.

use crate::commands::testing::Bench;
use crate::commands::{DataFn, Row};
use crate::keyspace::{ExpirePolicy, Expired};
use std::sync::OnceLock;

const NOW: i64 = 1_700_000_000_000;

/// The rows of all commands on data, as one table.
fn rows() -> &'static [Row<DataFn>] {
    static ALL: OnceLock<Vec<Row<DataFn>>> = OnceLock::new();
    let all = crate::commands::all_rows().iter().copied().flatten();
    ALL.get_or_init(|| all.map(|row| Row { ..*row }).collect())
}

fn bench() -> Bench {
    let mut bench = Bench::new(rows());
    bench.now = NOW;
    bench.keys.set_str(b"s", b"v", None);
    bench.line("hset h a 1 b 2 c 3 d 4");
    bench
}

#[test]
fn times_travel_as_the_moment_they_mean() {
    let mut bench = bench();
    for (command, reply, travels) in [
        ("hexpire h 100 FIELDS 2 a b", "*2 :1 :1", "HPEXPIREAT h 1700000100000 FIELDS 2 a b"),
        ("hpexpire h 100000 NX FIELDS 1 c", "*1 :1", "HPEXPIREAT h 1700000100000 NX FIELDS 1 c"),
        ("hexpire h 200 XX FIELDS 2 a zz", "*2 :1 :-2", "HPEXPIREAT h 1700000200000 XX FIELDS 1 a"),
        ("hexpire h 100 GT FIELDS 1 a", "*1 :0", ""),
        ("hexpireat h 1 FIELDS 1 a", "*1 :2", "HDEL h a"),
        ("hexpire h 0 FIELDS 2 b zz", "*2 :2 :-2", "HDEL h b"),
        ("hgetex h EX 50 FIELDS 2 c d", "*2 $1 3 $1 4", "HPEXPIREAT h 1700000050000 FIELDS 2 c d"),
        ("hgetex h PERSIST FIELDS 1 c", "*1 $1 3", "HPERSIST h FIELDS 1 c"),
        ("hgetex h FIELDS 1 c", "*1 $1 3", ""),
        ("hgetex h PXAT 1 FIELDS 1 c", "*1 $1 3", "HDEL h c"),
        ("hgetdel h FIELDS 2 d zz", "*2 $1 4 $-1", "HDEL h d"),
        ("hsetex h EX 100 FIELDS 2 a 1 b 2", ":1", "hsetex h PXAT 1700000100000 FIELDS 2 a 1 b 2"),
        ("hsetex h FXX PX 100000 FIELDS 1 a 1", ":1", "hsetex h FXX PXAT 1700000100000 FIELDS 1 a 1"),
        ("hsetex h FNX EX 5 FIELDS 1 a 2", ":0", ""),
        ("hsetex h KEEPTTL FIELDS 1 a 7", ":1", "hsetex h KEEPTTL FIELDS 1 a 7"),
        ("hincrbyfloat h a 1.5", "$3 8.5", "HSETEX h KEEPTTL FIELDS 1 a 8.5"),
        ("hincrbyfloat h z 1.5", "$3 1.5", "HSET h z 1.5"),
        ("hsetex h EXAT 1 FIELDS 1 a 7", ":1", "HDEL h a"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        let spoken = bench.propagated().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            words[2..].iter().step_by(2).copied().collect::<Vec<_>>().join(" ")
        });
        let typed = (bench.dirty > 0).then(|| command.to_owned());
        assert_eq!(spoken.or(typed).unwrap_or_default(), travels, "{command}");
    }
}

#[test]
fn values_that_are_set_last_and_sums_keep_their_time() {
    let mut bench = bench();
    for (command, left) in [
        ("hincrby h a 1", 100),
        ("hincrbyfloat h a 1", 100),
        ("hsetnx h a 1", 100),
        ("hsetex h KEEPTTL FIELDS 1 a 1", 100),
        ("hset h a 1", -1),
        ("hmset h a 1", -1),
        ("hsetex h FIELDS 1 a 1", -1),
        ("hpersist h FIELDS 1 a", -1),
    ] {
        assert_eq!(bench.line("hexpire h 100 FIELDS 1 a"), "*1 :1");
        bench.line(command);
        assert_eq!(bench.line("httl h FIELDS 1 a"), format!("*1 :{left}"), "{command}");
    }
    assert_eq!(bench.encoding("h"), "listpackex");
    bench.line("hpexpireat h 1700000010001 FIELDS 1 a");
    assert_eq!(bench.line("httl h FIELDS 3 a b x"), "*3 :11 :-1 :-2");
    assert_eq!(bench.line("hpttl h FIELDS 1 a"), "*1 :10001");
    assert_eq!(bench.line("hexpiretime h FIELDS 1 a"), "*1 :1700000011");
    assert_eq!(bench.line("hpexpiretime h FIELDS 1 a"), "*1 :1700000010001");
    assert_eq!(bench.line("hexpire nokey 10 FIELDS 2 a b"), "*2 :-2 :-2");
}

#[test]
fn errors_come_in_the_order_of_the_real_server() {
    let mut bench = bench();
    let (missing, count) = (
        "-ERR Mandatory argument FIELDS is missing or not at the right position",
        "-ERR The `numfields` parameter must match the number of arguments",
    );
    let (greater, positive) =
        ("-ERR Parameter `numFields` should be greater than 0", "-ERR Number of fields must be a positive integer");
    let (integer, negative) =
        ("-ERR value is not an integer or out of range", "-ERR invalid expire time, must be >= 0");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for (command, error) in [
        ("hexpire h x FIELDS 1 a", integer),
        ("hexpire h -1 FIELDS 1 a", negative),
        ("hexpire h 10 FIELDS 0 a", greater),
        ("hexpire h 10 FIELDS 2 a", count),
        ("hexpire h 10 FIELDS 1 a b", count),
        ("hexpire h 10 NX XX FIELDS 1 a", missing),
        ("hexpire s x FIELDS 2 a b", wrong),
        ("hexpire h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("hpexpireat h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("httl h FIELDS 0 a", positive),
        ("httl h FOO 1 a", missing),
        ("hpersist s FIELDS 1 a", wrong),
        ("hgetex h EX 10 PX 10 FIELDS 1 a", missing),
        ("hgetex h EX FIELDS 1 a", integer),
        ("hgetdel h FIELDS 2 a", count),
        ("hsetex h FIELDS 0 a 1", "-ERR invalid number of fields"),
        ("hsetex h FIELDS 2 a 1", "-ERR wrong number of arguments for 'hsetex' command"),
        ("hsetex h FOO FIELDS 1 a 1", "-ERR unknown argument: FOO"),
        (
            "hsetex h EX 10 KEEPTTL FIELDS 1 a 1",
            "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        ),
        ("hsetex h FNX FNX FIELDS 1 a 1", "-ERR Only one of FXX or FNX arguments can be specified"),
    ] {
        assert_eq!(bench.line(command), error, "{command}");
        assert_eq!(bench.dirty, 0);
    }
}

fn due(bench: &mut Bench) {
    bench.line("hpexpire h 5 FIELDS 2 a b");
    bench.now += 5;
}

#[test]
fn whoever_decides_deletes_what_is_due_before_anybody_sees_it() {
    for (command, reply) in [
        ("hlen h", ":2"),
        ("hget h a", "$-1"),
        ("hexists h a", ":0"),
        ("hkeys h", "*2 $1 c $1 d"),
        ("hdel h a", ":0"),
        ("hsetnx h a 5", ":1"),
        ("hincrby h a 5", ":5"),
    ] {
        let mut bench = bench();
        due(&mut bench);
        assert_eq!(bench.line(command), reply, "{command}");
        let fields = vec![b"a".to_vec(), b"b".to_vec()];
        assert_eq!(bench.keys.expired, [Expired { db: 0, key: b"h".to_vec(), fields }]);
    }
    let mut bench = bench();
    bench.line("hexpire h 1 FIELDS 4 a b c d");
    bench.now += 1000;
    assert_eq!(bench.line("hlen h"), ":0");
    assert_eq!((bench.keys.total_keys(), bench.keys.db(0).is_timed()), (1, false));
    assert_eq!(bench.line("hset h n 1"), ":1");
    assert_eq!(bench.encoding("h"), "listpack");
}

#[test]
fn a_replica_hides_what_is_due_and_its_master_still_finds_it() {
    let mut bench = bench();
    due(&mut bench);
    for _ in 0..2 {
        bench.keys.expire_policy = ExpirePolicy::Hide;
        assert_eq!(bench.line("hlen h"), ":2");
        assert_eq!(bench.line("hget h a"), "$-1");
        assert_eq!(bench.line("hpttl h FIELDS 1 a"), "*1 :-2");
        bench.keys.bring_back_fields();
        bench.keys.expire_policy = ExpirePolicy::Ignore;
        bench.session.from_master = true;
        assert_eq!(bench.line("hlen h"), ":4");
        assert_eq!(bench.line("hget h a"), "$1 1");
        assert!(bench.keys.expired.is_empty());
    }
    assert_eq!(bench.line("hpexpireat h 1 FIELDS 1 c"), "*1 :1", "its time will come when the master says so");
    assert_eq!(bench.line("hdel h a b c"), ":3");
}

#[test]
fn copies_expire_as_the_original_does() {
    let mut bench = bench();
    bench.line("hexpire h 10 FIELDS 1 a");
    let entry = bench.keys.take(b"h").expect("there");
    assert!(!bench.keys.db(0).is_timed());
    bench.keys.insert(b"g", entry.into_value(), Some(NOW + 1_000_000));
    assert_eq!((bench.keys.db(0).volatile(), bench.keys.db(0).noted_fields()), (1, 1));
    bench.now += 10_000;
    assert_eq!(bench.line("hlen g"), ":3");
}

#[test]
fn nothing_is_left_to_expire_of_what_is_overwritten() {
    for command in [
        "set h v",
        "set h v KEEPTTL",
        "setex h 1000 v",
        "mset h v",
        "sunionstore h one",
        "del h",
        "rename one h",
        "sort one STORE h",
    ] {
        let mut bench = bench();
        bench.line("sadd one 1");
        bench.line("hexpire h 100 FIELDS 2 a b");
        assert!(bench.keys.db(0).hashes_with_field_expiry().next().is_some());
        bench.line(command);
        assert!(bench.keys.db(0).hashes_with_field_expiry().next().is_none(), "{command}");
        assert_eq!(bench.keys.db(0).noted_fields(), 0, "{command}");
    }
}

#[test]
fn fields_that_are_to_stay_after_all_need_no_younger_snapshot() {
    for command in ["hpersist h FIELDS 2 a b", "hset h a 1 b 2", "hdel h a b", "hgetdel h FIELDS 2 a b"] {
        let mut bench = bench();
        bench.line("hset other f v");
        bench.line("hexpire h 100 FIELDS 2 a b");
        bench.line(command);
        assert!(bench.keys.db(0).hashes_with_field_expiry().next().is_none(), "{command}");
        bench.line("hexpire other 100 FIELDS 1 f");
        assert!(bench.keys.db(0).hashes_with_field_expiry().next().is_some(), "{command}");
    }
}
