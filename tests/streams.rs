//! Streams beside stock Redis: payloads, snapshots and replication both ways, and clients that wait.

mod support;

use std::time::Duration;

use support::{Client, Dice, Kind, Server, Value, assert_same_data, encode, wait_until};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn start(kind: Kind, args: &[&str]) -> Server {
    Server::start(kind, &[&DEBUG, args].concat())
}

/// Commands on a few streams with groups. IDs come from a counter, so that two servers do the same.
fn stream_commands(seed: u64, count: usize) -> Vec<Vec<String>> {
    let mut dice = Dice::new(seed);
    let mut ms = 1;
    let mut commands = Vec::new();
    for _ in 0..count {
        let key = format!("s{}", dice.below(3));
        let group = format!("g{}", dice.below(2));
        let consumer = format!("c{}", dice.below(3));
        let past = format!("{}-{}", ms - dice.below(ms.min(60)), dice.below(3));
        let few = (1 + dice.below(5)).to_string();
        let line = match dice.below(22) {
            0..8 => {
                ms += dice.below(2);
                let trim =
                    ["", "MAXLEN 60 ", "MAXLEN ~ 40 ", "MINID ~ 5 ", "MAXLEN ~ 10 LIMIT 20 "][dice.below(5) as usize];
                let fields = ["a 1", "a 2 b x", "a 3", "b 7 c 123456789012", "a y"][dice.below(5) as usize];
                format!("XADD {key} {trim}{ms}-* {fields} v {}", "x".repeat(dice.below(40) as usize))
            }
            8 => format!("XDEL {key} {past}"),
            9 => format!("XTRIM {key} MAXLEN ~ 50"),
            10 => format!("XTRIM {key} MINID {past}"),
            11 => format!("XGROUP CREATE {key} {group} {past} MKSTREAM"),
            12..15 => format!("XREADGROUP GROUP {group} {consumer} COUNT {few} STREAMS {key} >"),
            15 => format!("XREADGROUP GROUP {group} {consumer} COUNT {few} NOACK STREAMS {key} >"),
            16 => format!("XACK {key} {group} {past}"),
            17 => format!("XCLAIM {key} {group} {consumer} 0 {past} FORCE"),
            18 => format!("XAUTOCLAIM {key} {group} {consumer} 0 0 COUNT {few}"),
            19 => format!("XGROUP SETID {key} {group} {past}"),
            20 => format!("XGROUP CREATECONSUMER {key} {group} {consumer}"),
            _ => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
        };
        commands.push(words(&line).into_iter().map(String::from).collect());
    }
    commands
}

/// All that XINFO tells of the streams, without what one of two servers cannot know.
fn told(server: &Server, unknown: &[&str]) -> Vec<Value> {
    (0..3)
        .map(|number| {
            let mut client = server.client();
            client.good(&["HELLO", "3"]);
            let mut info = client.cmd(&["XINFO", "STREAM", &format!("s{number}"), "FULL", "COUNT", "0"]);
            forget(&mut info, unknown);
            info
        })
        .collect()
}

fn forget(value: &mut Value, unknown: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, unknown)),
        Value::Map(pairs) => {
            pairs.retain(|(name, _)| !unknown.contains(&name.text().as_str()));
            pairs.iter_mut().for_each(|(_, item)| forget(item, unknown));
        }
        _ => {}
    }
}

#[test]
fn payloads_and_digests_are_those_of_stock() {
    for (seed, entries, bytes) in [(1, "100", "4096"), (2, "3", "0"), (3, "0", "300"), (4, "1", "4096")] {
        let args = ["--stream-node-max-entries", entries, "--stream-node-max-bytes", bytes, "--rdbcompression", "no"];
        let (ours, stock) = (start(Kind::Ours, &args), start(Kind::Stock, &args));
        let mut commands = stream_commands(seed, 1500);
        // When consumers were seen differs, and when things were delivered.
        commands.retain(|args| args[0] == "XADD" || args[0] == "XDEL" || args[0] == "XTRIM" || args[1] == "CREATE");
        let replies = [&ours, &stock].map(|server| server.client().pipeline(&commands));
        assert_eq!(replies[0], replies[1], "seed {seed}");
        for key in ["s0", "s1", "s2"] {
            for question in [&["DUMP", key][..], &["DEBUG", "DIGEST-VALUE", key], &["XINFO", "STREAM", key]] {
                assert_eq!(ours.cmd(question), stock.cmd(question), "{question:?} seed {seed}");
            }
            assert_eq!(ours.cmd(&["OBJECT", "ENCODING", key]), Value::bulk("stream"));
            assert!(ours.cmd(&["MEMORY", "USAGE", key]).int() > 100);
            let text = ours.cmd(&["DEBUG", "OBJECT", key]).text();
            assert!(text.contains("encoding:stream"), "{text}");
        }
        assert_same_data(&ours, &stock);
    }
}

#[test]
fn a_replica_of_either_kind_has_what_its_master_has() {
    // When who was seen does not travel; nor, from 7.0, how many entries a group has read.
    let times = ["seen-time", "active-time", "entries-read", "lag"];
    for (master, replica) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)] {
        let (master, replica) = (start(master, &["--repl-diskless-sync-delay", "0"]), start(replica, &[]));
        let mut client = master.client();
        let commands = stream_commands(7, 3000);
        client.pipeline(&commands[..1000]);
        replica.follow(&master);
        replica.wait_for_link(&master);
        replica.wait_caught_up(&master);
        assert_eq!(
            busy(told(&master, &times)),
            busy(told(&replica, &times)),
            "{:?} to {:?}",
            master.kind(),
            replica.kind()
        );
        client.pipeline(&commands[1000..]);
        replica.wait_caught_up(&master);
        assert_same_data(&master, &replica);
        let left = busy(told(&master, &times));
        assert_eq!(left, busy(told(&replica, &times)), "{:?} to {:?}", master.kind(), replica.kind());
        assert!(left.iter().all(|info| matches!(info, Value::Map(_))), "{left:?}");
    }
}

/// Consumers that have nothing may be unknown to a replica; how often something was read again as well.
fn busy(mut streams: Vec<Value>) -> Vec<Value> {
    fn walk(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.retain(|item| match item {
                    Value::Map(pairs) => {
                        pairs.iter().any(|(name, _)| name.text() == "last-delivered-id")
                            || pairs.iter().any(|(name, count)| name.text() == "pel-count" && *count != Value::Int(0))
                    }
                    _ => true,
                });
                items.iter_mut().for_each(walk);
            }
            Value::Map(pairs) => pairs.iter_mut().for_each(|(_, item)| walk(item)),
            _ => {}
        }
    }
    streams.iter_mut().for_each(walk);
    streams
}

#[test]
fn a_restart_loses_nothing() {
    let mut ours = start(Kind::Ours, &[]);
    ours.client().pipeline(&stream_commands(9, 2000));
    let before = told(&ours, &["active-time"]);
    let digest = ours.cmd(&["DEBUG", "DIGEST"]);
    ours.cmd(&["SAVE"]);
    ours.kill();
    ours.restart();
    assert_eq!(told(&ours, &["active-time"]), before);
    assert_eq!(ours.cmd(&["DEBUG", "DIGEST"]), digest);
    // A copy and a restored payload are the same again, groups and all.
    assert_eq!(ours.cmd(&["COPY", "s0", "copy"]), Value::Int(1));
    let payload = ours.cmd(&["DUMP", "s0"]).bytes();
    assert_eq!(ours.cmd(&[b"RESTORE".as_slice(), b"restored", b"0", &payload]), Value::ok());
    for key in ["copy", "restored"] {
        assert_eq!(ours.cmd(&["DUMP", key]).bytes(), payload, "{key}");
    }
    assert_eq!(ours.cmd(&["SCAN", "0", "COUNT", "100", "TYPE", "stream"]).items()[1].items().len(), 5);
    assert!(ours.cmd(&["SORT", "s0"]).text().starts_with("WRONGTYPE"));
}

/// Lets clients wait, runs commands, and tells what each of them got; who still waits is unblocked with an error.
fn scene(server: &Server, setup: &[&str], waits: &[&str], acts: &[&str]) -> Vec<Value> {
    server.cmd(&["FLUSHALL"]);
    setup.iter().for_each(|line| assert!(!server.cmd(&words(line)).is_error(), "{line}"));
    let mut waiters: Vec<(Client, i64)> = Vec::new();
    for line in waits {
        let mut client = server.client();
        let id = client.cmd(&["CLIENT", "ID"]).int();
        client.write_raw(&encode(&words(line))).unwrap();
        let want = (waiters.len() + 1).to_string();
        wait_until(Duration::from_secs(20), line, || server.info("blocked_clients") == want);
        waiters.push((client, id));
    }
    let mut client = server.client();
    let mut seen: Vec<Value> = acts.iter().map(|line| client.cmd(&words(line))).collect();
    for (mut waiter, id) in waiters {
        seen.push(client.cmd(&["CLIENT", "UNBLOCK", &id.to_string(), "ERROR"]));
        seen.push(waiter.read().expect("a reply"));
        seen.push(waiter.cmd(&["PING"]));
    }
    seen.push(server.cmd(&["DEBUG", "DIGEST"]));
    seen
}

#[test]
fn who_waits_for_a_stream_gets_what_stock_gives() {
    let (ours, stock) = (start(Kind::Ours, &[]), start(Kind::Stock, &[]));
    let group: &[&str] = &["XADD s 1-1 a 1", "XGROUP CREATE s g $"];
    let scenes: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &["XREAD BLOCK 0 STREAMS s $", "XREAD BLOCK 0 STREAMS s 0"], &["XADD s 1-1 a 1"]),
        (
            &["XADD s 5-5 a 1"],
            &["XREAD BLOCK 0 STREAMS s $", "XREAD BLOCK 0 STREAMS s 7"],
            &["XADD s 6-1 a 1", "XADD s 8 b 2"],
        ),
        (
            &[],
            &["XREAD COUNT 1 BLOCK 0 STREAMS s t $ $"],
            &["MULTI", "XADD s 1-1 a 1", "XADD s 1-2 a 1", "EXEC", "XADD t 1 b 2"],
        ),
        (&[], &["XREAD BLOCK 0 STREAMS s $"], &["XADD t 1 a 1", "RENAME t s"]),
        (&["XADD t 1 a 1"], &["XREAD BLOCK 0 STREAMS s 0"], &["COPY t s"]),
        (&[], &["XREAD BLOCK 0 STREAMS s 0", "BLPOP s 0"], &["RPUSH s 1 2", "DEL s", "XADD s 1 a 1"]),
        (
            group,
            &["XREADGROUP GROUP g a BLOCK 0 STREAMS s >", "XREADGROUP GROUP g b BLOCK 0 STREAMS s >"],
            &["XADD s 2 a 1", "XPENDING s g"],
        ),
        (
            group,
            &["XREADGROUP GROUP g a BLOCK 0 COUNT 1 STREAMS s >", "XREADGROUP GROUP g b BLOCK 0 STREAMS s >"],
            &["MULTI", "XADD s 2 a 1", "XADD s 3 a 1", "EXEC", "XPENDING s g"],
        ),
        (
            group,
            &["XREADGROUP GROUP g a NOACK BLOCK 0 STREAMS s >", "XREAD BLOCK 0 STREAMS s $"],
            &["XADD s 2 a 1", "XPENDING s g"],
        ),
        (group, &["XREADGROUP GROUP g a BLOCK 0 STREAMS s >"], &["XTRIM s MAXLEN 0", "XSETID s 9-9", "XADD s * a 1 b"]),
    ];
    for (setup, waits, acts) in scenes {
        let [ours, stock] = [&ours, &stock].map(|server| scene(server, setup, waits, acts));
        assert_eq!(ours, stock, "{setup:?} {waits:?} {acts:?}");
    }
}

#[test]
fn who_waits_for_a_group_hears_that_it_is_gone() {
    // As of 7.2: the command runs again and finds what it finds.
    let ours = start(Kind::Ours, &[]);
    let gone = "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let wait = "XREADGROUP GROUP g a BLOCK 0 STREAMS s >";
    for (act, expected) in [("XGROUP DESTROY s g", gone), ("DEL s", gone), ("FLUSHALL", gone), ("SET s x", wrong)] {
        let seen = scene(&ours, &["XGROUP CREATE s g $ MKSTREAM"], &[wait, wait], &[act]);
        for at in [2, 5] {
            assert_eq!(seen[at], Value::Error(expected.into()), "{act}: {seen:?}");
        }
    }
    let seen =
        scene(&ours, &["XADD s 1 a 1"], &["XREAD BLOCK 0 STREAMS s $"], &["DEL s", "SET s x", "DEL s", "XADD s 2 b 2"]);
    let entry = Value::Array(vec![Value::bulk("2-0"), Value::Array(vec![Value::bulk("b"), Value::bulk("2")])]);
    assert_eq!(seen[5], Value::Array(vec![Value::Array(vec![Value::bulk("s"), Value::Array(vec![entry])])]));
}

#[test]
fn what_came_and_went_ends_no_wait() {
    let ours = start(Kind::Ours, &[]);
    let acts = ["MULTI", "XADD s 1-1 a 1", "XDEL s 1-1", "EXEC", "XADD s 1-2 a 1"];
    let seen = scene(&ours, &[], &["XREAD BLOCK 0 STREAMS s $"], &acts);
    let entry = Value::Array(vec![Value::bulk("1-2"), Value::Array(vec![Value::bulk("a"), Value::bulk("1")])]);
    assert_eq!(seen[6], Value::Array(vec![Value::Array(vec![Value::bulk("s"), Value::Array(vec![entry])])]));
}

#[test]
fn a_consumer_that_waits_travels_with_noack_only() {
    let (ours, replica) = (start(Kind::Ours, &["--repl-diskless-sync-delay", "0"]), start(Kind::Stock, &[]));
    ours.cmd(&words("XGROUP CREATE s g $ MKSTREAM"));
    replica.follow(&ours);
    replica.wait_for_link(&ours);
    ours.cmd(&words("XREADGROUP GROUP g quiet BLOCK 1 STREAMS s >"));
    ours.cmd(&words("XREADGROUP GROUP g loud NOACK BLOCK 1 STREAMS s >"));
    replica.wait_caught_up(&ours);
    let names = |server: &Server| -> Vec<String> {
        let reply = server.cmd(&words("XINFO CONSUMERS s g"));
        reply.items().iter().map(|consumer| consumer.items()[1].text()).collect()
    };
    assert_eq!((names(&ours), names(&replica)), (vec!["loud".into(), "quiet".into()], vec!["loud".to_owned()]));
}
