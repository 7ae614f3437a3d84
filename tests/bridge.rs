//! Servers of other versions and families beside ours: what they answer, what they hold, what they send as masters, and
//! what they make of what we send. `scripts/install-peers --bridge` brings them.

mod support;

use std::fs;
use std::time::Duration;
use support::{Client, Kind, Server, Value, assert_same_data, assert_same_play, fill, fresh_dir, wait_until};

const REDIS_8_2: Kind = Kind::Peer("redis-server-8.2");
const VALKEY_8_1: Kind = Kind::Peer("valkey-server-8.1");
const VALKEY_9_1: Kind = Kind::Peer("valkey-server-9.1");

/// Hashes with fields that expire, small and large, far enough from now that none does.
const HASHES: [&str; 3] = ["fields:few", "fields:many", "fields:all"];

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

#[track_caller]
fn run(client: &mut Client, lines: &[&str]) {
    for line in lines {
        client.good(&words(line));
    }
}

fn make_fields_expire(client: &mut Client) {
    run(client, &["HSET fields:few a 1 b 2 c three", "HPEXPIREAT fields:few 4102444800123 FIELDS 2 a c"]);
    for n in 0..800 {
        client.good(&["HSET", "fields:many", &format!("field:{n}"), &format!("value {n}")]);
        if n % 3 == 0 {
            let moment = (4_102_444_800_000u64 + 977 * n).to_string();
            client.good(&["HPEXPIREAT", "fields:many", &moment, "FIELDS", "1", &format!("field:{n}")]);
        }
    }
    run(client, &["HSET fields:all 12 34", "HPEXPIREAT fields:all 4102444800001 FIELDS 1 12"]);
    client.good(&["PEXPIREAT", "fields:all", "4102444899999"]);
}

/// The fields of a hash with their values and moments, in order.
fn fields_of(client: &mut Client, key: &str) -> Vec<(String, String, i64)> {
    let all = client.good(&["HGETALL", key]);
    let mut fields: Vec<_> = all
        .items()
        .chunks(2)
        .map(|pair| {
            let time = client.good(&["HPEXPIRETIME", key, "FIELDS", "1", &pair[0].text()]).items()[0].int();
            (pair[0].text(), pair[1].text(), time)
        })
        .collect();
    fields.sort();
    fields
}

/// Both hold the same; the digest of Valkey knows nothing of the times of fields, so those are compared one by one.
#[track_caller]
fn assert_same(one: &Server, other: &Server, with_fields: bool) {
    let (mut left, mut right) = (one.client(), other.client());
    if with_fields {
        for key in HASHES {
            let fields = fields_of(&mut left, key);
            assert!(fields.is_empty() || fields.iter().any(|field| field.2 > 0), "{key}: {fields:?}");
            assert_eq!(fields, fields_of(&mut right, key), "{key}");
        }
    }
    if one.kind() == VALKEY_9_1 {
        for key in HASHES {
            left.good(&["DEL", key]);
        }
        if other.info("role") == "slave" {
            other.wait_caught_up(one);
        } else {
            HASHES.iter().for_each(|key| drop(right.good(&["DEL", key])));
        }
    }
    assert_same_data(one, other);
}

#[test]
fn commands_on_fields_answer_as_redis_8_2_does() {
    let script = "
        a HSET h a 1 b 2 c 3 d 4
        a SET s v
        a HEXPIREAT h 4102444800 FIELDS 2 a zz
        a HPEXPIREAT h 4102444800001 GT FIELDS 2 a b
        a HPEXPIREAT h 4102444800002 LT FIELDS 2 a b
        a HEXPIREAT h 4102444800 NX FIELDS 3 a b c
        a HEXPIREAT h 4102444801 XX FIELDS 3 a b d
        a HPEXPIRETIME h FIELDS 5 a b c d e
        a HEXPIRETIME h FIELDS 5 a b c d e
        a HTTL nokey FIELDS 1 a
        a HPERSIST h FIELDS 3 a d e
        a HPERSIST nokey FIELDS 1 a
        a OBJECT ENCODING h
        a DEBUG DIGEST-VALUE h s
        a HGETEX h PXAT 4102444800001 FIELDS 2 d e
        a HGETEX h PERSIST FIELDS 2 d e
        a HGETEX h EX 0 FIELDS 1 d
        a HGETDEL h FIELDS 2 c c
        a HSETEX h FXX FIELDS 2 a 1 q 2
        a HSETEX h FNX PXAT 4102444800001 FIELDS 2 q 1 r 2
        a HPEXPIRETIME h FIELDS 2 q r
        a HINCRBY h q 5
        a HINCRBYFLOAT h q 0.25
        a HSETNX h q 0
        a HPEXPIRETIME h FIELDS 1 q
        a HSET h q 0
        a HPEXPIRETIME h FIELDS 1 q
        a COPY h g
        a RENAME g f
        a DEBUG DIGEST-VALUE f h
        a HPEXPIRETIME f FIELDS 4 a b q r
        a HEXPIRE h 0 FIELDS 4 a b q r
        a EXISTS h
        a HEXPIRE s 10 FIELDS 1 a
        a HEXPIRE f -1 FIELDS 1 a
        a HPEXPIREAT f 70368744177664 FIELDS 1 a
        a HTTL f FIELDS 2 a
        a HGETDEL f FIELDS 0 a
        a HSETEX f KEEPTTL EX 10 FIELDS 1 a 1
        a XADD st 1-1 a b
        a XADD st 2-1 a b
        a XADD st 3-1 a b
        a XADD st 4-1 a b
        a XADD st 5-1 a b
        a XGROUP CREATE st g 0
        a XGROUP CREATE st h 0
        a XREADGROUP GROUP g c COUNT 4 STREAMS st >
        a XREADGROUP GROUP h c COUNT 3 STREAMS st >
        a XDELEX st ACKED IDS 2 1-1 5-1
        a XACKDEL st g ACKED IDS 3 1-1 4-1 9-9
        a XACKDEL st h ACKED IDS 1 1-1
        a XDELEX st DELREF IDS 2 2-1 2-1
        a XTRIM st MAXLEN = 2 ACKED
        a XTRIM st DELREF MAXLEN = 1
        a XADD st KEEPREF MAXLEN = 3 7-1 a b
        a XPENDING st g
        a XPENDING st h
        a XRANGE st - +
        a XDELEX st IDS 0 1-1
        a XADD dangling 1-1 f v
        a XADD dangling 2-1 f v
        a XADD dangling 3-1 f v
        a XGROUP CREATE dangling g 0
        a XREADGROUP GROUP g c COUNT 2 STREAMS dangling >
        a XDEL dangling 1-1 2-1
        a XDELEX dangling ACKED IDS 4 1-1 2-1 3-1 7
        a XDELEX dangling KEEPREF IDS 1 1-1
        a XPENDING dangling g
        a XDELEX dangling DELREF IDS 2 1-1 9-9
        a XPENDING dangling g
        a XDELEX st FOO IDS 1 1-1
        a XACKDEL st nog IDS 1 1-1
        a SET x abc
        a SET y abd
        a BITOP DIFF d x y
        a BITOP DIFF1 d y x
        a BITOP ANDOR d x y
        a BITOP ONE d x y
        a GET d
        a BITOP DIFF d x
    ";
    let (stock, ours) = (Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[]));
    assert_same_play(&stock, &ours, script);
    assert_same_data(&stock, &ours);
}

#[test]
fn conditions_answer_as_valkey_9_1_does() {
    let script = "
        a SET s v
        a SET s w IFEQ x
        a SET s w IFEQ v
        a SET s w IFEQ x GET
        a SET nokey w IFEQ x GET
        a SET s w IFEQ a NX
        a SET s w XX IFEQ a
        a SET s z IFEQ w PXAT 4102444800001
        a SET s y IFEQ z KEEPTTL
        a PEXPIRETIME s
        a LPUSH l a
        a SET l w IFEQ x
        a DELIFEQ s x
        a DELIFEQ s y
        a DELIFEQ l x
        a MSETEX 2 a 1 b 2
        a MSETEX 2 a 1 b
        a MSETEX 0 a 1
        a MSETEX 1 a 1 NX
        a MSETEX 1 a 1 XX PXAT 4102444800001
        a MSETEX 1 a 2 KEEPTTL
        a PEXPIRETIME a
        a MSETEX 1 a 2 EX 0
        a MSETEX 1 a 1 FOO
        a COMMAND GETKEYS MSETEX 2 a 1 b 2
    ";
    let (stock, ours) = (Server::start(VALKEY_9_1, &[]), Server::start(Kind::Ours, &[]));
    assert_same_play(&stock, &ours, script);
    assert_same_data(&stock, &ours);
}

#[test]
fn polygons_are_searched_as_valkey_9_1_does() {
    let (stock, ours) = (Server::start(VALKEY_9_1, &[]), Server::start(Kind::Ours, &[]));
    let mut dice = support::Dice::new(11);
    let mut degrees = |middle: f64, half: f64| middle + half * (dice.below(2_000_001) as f64 / 1e6 - 1.0);
    let mut script = String::new();
    for member in 0..1500 {
        script += &format!("a GEOADD g {} {} m{member}\n", degrees(10.0, 170.0), degrees(10.0, 75.0));
    }
    for member in 0..800 {
        script += &format!("a GEOADD g {} {} near{member}\n", degrees(14.0, 4.0), degrees(38.0, 4.0));
    }
    for number in 0..400 {
        let (middle, half) = if number % 2 == 0 { ((14.0, 38.0), 4.0) } else { ((10.0, 5.0), 60.0) };
        let flat = if number % 5 == 0 { 0.1 } else { 1.0 };
        let count = 3 + number % 5;
        let vertices: Vec<String> =
            (0..count).map(|_| format!("{} {}", degrees(middle.0, half), degrees(middle.1, half * flat))).collect();
        let polygon = format!("BYPOLYGON {count} {}", vertices.join(" "));
        let options = ["", "ASC WITHDIST WITHCOORD", "DESC COUNT 7", "COUNT 3 ANY", "WITHHASH"][number / 5 % 5];
        script += &format!("a GEOSEARCH g {polygon} {options}\n");
        if number % 7 == 0 {
            script += &format!("a GEOSEARCHSTORE d{number} g {polygon} STOREDIST\n");
            script += &format!("a ZRANGE d{number} 0 -1 WITHSCORES\n");
        }
    }
    // Not by digests: those of Valkey leave digits of scores out.
    assert_same_play(&stock, &ours, &script);
}

/// A master of another kind is followed with all it holds and all it writes, and its file is loaded.
#[track_caller]
fn follows(kind: Kind, live: &[&str], with_fields: bool) {
    let (master, ours) = (Server::start(kind, &[]), Server::start(Kind::Ours, &[]));
    let mut client = master.client();
    fill(&mut client);
    // Since 7.2 the digest of a score is made of fewer digits.
    for db in ["0", "3", "15"] {
        client.good(&["SELECT", db]);
        client.good(&["DEL", "zset:edges"]);
    }
    client.good(&["SELECT", "0"]);
    if with_fields {
        make_fields_expire(&mut client);
    }
    ours.follow(&master);
    run(&mut client, live);
    support::random_writes(&mut client, 5, 1500);
    let payload = client.good(&["DUMP", if with_fields { "fields:few" } else { "string:noise:64" }]).bytes();
    client.good(&[b"RESTORE".as_slice(), b"restored", b"0", &payload]);
    ours.wait_caught_up(&master);
    assert_eq!(ours.info("master_link_status"), "up");
    client.good(&["SAVE"]);
    let dir = fresh_dir();
    fs::copy(master.dir().join("dump.rdb"), dir.join("dump.rdb")).expect("a snapshot");
    if with_fields {
        client.good(&["DEL", "restored"]);
        ours.wait_caught_up(&master);
    }
    let loaded = Server::start_in(Kind::Ours, &dir, &[]);
    loaded.wait_loaded();
    if with_fields {
        loaded.cmd(&["DEL", "restored"]);
    }
    assert_same(&ours, &loaded, with_fields);
    assert_same(&master, &ours, with_fields);
}

#[test]
fn redis_8_2_is_followed() {
    let live = [
        "HSET live a 1 b 2 c 3 d 4 e 5",
        "HEXPIRE live 100000 FIELDS 2 a b",
        "HPEXPIREAT live 4102444800001 FIELDS 1 c",
        "HGETEX live EX 100000 FIELDS 1 d",
        "HGETEX live PERSIST FIELDS 1 d",
        "HGETDEL live FIELDS 1 e",
        "HSETEX live EX 100000 FIELDS 2 f 1 g 2",
        "HSETEX live KEEPTTL FIELDS 1 f 9",
        "HINCRBYFLOAT live f 1.5",
        "HPERSIST live FIELDS 1 g",
        "HEXPIRE live 0 FIELDS 1 b",
        "HSETEX fields:few KEEPTTL FIELDS 1 a 11",
        "XADD st 1-1 a b",
        "XADD st 2-1 a b",
        "XADD st 3-1 a b",
        "XADD st 4-1 a b",
        "XGROUP CREATE st g 0",
        "XREADGROUP GROUP g c COUNT 3 STREAMS st >",
        "XDELEX st DELREF IDS 1 1-1",
        "XACKDEL st g KEEPREF IDS 1 2-1",
        "XADD st ACKED MAXLEN = 1 5-1 a b",
        "XTRIM st DELREF MAXLEN = 1",
        "SET x abc",
        "SET y abd",
        "BITOP DIFF1 d x y",
    ];
    follows(REDIS_8_2, &live, true);
}

#[test]
fn valkey_9_1_is_followed() {
    let live = [
        "HSET fields:few x 1 y 2",
        "HEXPIRE fields:few 100000 FIELDS 1 x",
        "HSETEX fields:few XX EX 100000 FIELDS 1 z 1",
        "HGETDEL fields:few FIELDS 1 y",
        "SET s v",
        "SET s w IFEQ v",
        "SET gone w",
        "DELIFEQ gone w",
        "MSETEX 2 a 1 b 2 EX 100000",
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "GEOSEARCHSTORE area g BYPOLYGON 4 12 37 12 39 16 39 16 37",
    ];
    follows(VALKEY_9_1, &live, true);
}

#[test]
fn valkey_8_1_is_followed() {
    follows(VALKEY_8_1, &["SET s v", "SET s w IFEQ v", "SET s x IFEQ w EX 100000"], false);
}

#[test]
fn fields_go_at_a_master_of_ours_and_its_replicas_of_both_kinds_hear_of_it() {
    let master = Server::start(Kind::Ours, &[]);
    let mut client = master.client();
    make_fields_expire(&mut client);
    let replicas = [Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[])];
    replicas.iter().for_each(|replica| replica.follow(&master));
    run(&mut client, &["HSET soon a 1 b 2 c 3", "HSETEX later PX 60 FIELDS 1 x 1", "HPEXPIRE soon 50 FIELDS 2 a b"]);
    for server in [&master, &replicas[0], &replicas[1]] {
        wait_until(Duration::from_secs(20), "fields that are due are gone", || {
            server.cmd(&["HLEN", "soon"]) == Value::Int(1) && server.cmd(&["EXISTS", "later"]) == Value::Int(0)
        });
    }
    run(&mut client, &["HSETEX live EX 100000 FIELDS 2 f 1 g 2", "HINCRBYFLOAT live f 1.5", "HGETDEL live FIELDS 1 g"]);
    for replica in &replicas {
        replica.wait_caught_up(&master);
        assert_same_data(&master, replica);
    }
    assert!(!replicas[0].log().contains("== CRITICAL =="), "the replica refused something");
}

#[test]
fn fields_go_when_a_master_says_so_and_not_before() {
    let (master, ours) = (Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[]));
    ours.follow(&master);
    let mut client = master.client();
    run(&mut client, &["DEBUG SET-ACTIVE-EXPIRE 0", "HSET h a 1 b 2", "HPEXPIRE h 1 FIELDS 1 a"]);
    ours.wait_caught_up(&master);
    wait_until(Duration::from_secs(20), "the field is hidden", || {
        ours.cmd(&["HGETALL", "h"]).items() == [Value::bulk("b"), Value::bulk("2")]
    });
    assert_same_data(&master, &ours);
    run(&mut client, &["HGET h a"]);
    ours.wait_caught_up(&master);
    assert_same_data(&master, &ours);
    assert_eq!(ours.cmd(&["DEBUG", "DIGEST-VALUE", "h"]), master.cmd(&["DEBUG", "DIGEST-VALUE", "h"]));
}

#[test]
fn a_module_value_is_refused_by_name_and_the_old_data_is_kept() {
    let (master, ours) = (Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[]));
    ours.cmd(&["SET", "kept", "1"]);
    master.cmd(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
    ours.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    ours.wait_for_log("no matching module type 'vectorset'");
    assert_eq!(ours.cmd(&["GET", "kept"]), Value::bulk("1"));
}

#[test]
fn vectors_that_a_master_sends_live_are_told_by_name_and_key() {
    let (master, ours) = (Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[]));
    ours.follow(&master);
    let mut client = master.client();
    client.good(&["SELECT", "3"]);
    client.good(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
    client.good(&["SET", "after", "1"]);
    ours.wait_caught_up(&master);
    ours.wait_for_log("== CRITICAL == The command 'VADD' of our master for 'vectors' in db 3 was not applied");
    assert_eq!(ours.info("master_stream_errors"), "1");
    assert_eq!(ours.info("master_stream_first_error"), "cmd=VADD,db=3,key=vectors");
    // The stream goes on.
    let mut reader = ours.client();
    reader.good(&["SELECT", "3"]);
    assert_eq!(
        (reader.good(&["GET", "after"]), reader.good(&["EXISTS", "vectors"])),
        (Value::bulk("1"), Value::Int(0))
    );
    // What stood in a transaction with it is done.
    run(&mut client, &["MULTI", "SET together 1", "VADD vectors VALUES 2 1 2 other", "EXEC"]);
    ours.wait_caught_up(&master);
    assert_eq!(ours.info("master_stream_errors"), "2");
    assert_eq!(reader.good(&["GET", "together"]), Value::bulk("1"));
    // A full sync makes it good.
    client.good(&["DEL", "vectors"]);
    ours.cmd(&["REPLICAOF", "NO", "ONE"]);
    ours.cmd(&["SET", "own", "1"]);
    ours.follow(&master);
    ours.wait_caught_up(&master);
    assert_eq!(ours.info("master_stream_errors"), "");
    assert_same_data(&master, &ours);
}
