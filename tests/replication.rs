//! Replication in both roles, beside stock Redis: full sync and live stream, on disk and diskless, equal key by key.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use support::{Client, Kind, Server, Value, assert_same_data, fill, random_writes, wait_until};

/// Master and replica, synced, written to, killed, brought back: always the same data.
fn full_sync_and_live_stream(master_kind: Kind, replica_kind: Kind, diskless: bool, load: &str) {
    let sync = if diskless { "yes" } else { "no" };
    let master = Server::start(master_kind, &["--repl-diskless-sync", sync, "--repl-diskless-sync-delay", "0"]);
    let mut replica = Server::start(replica_kind, &["--repl-diskless-load", load]);
    fill(&mut master.client());
    replica.follow(&master);
    assert_same_data(&master, &replica);
    random_writes(&mut master.client(), 11, 20_000);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
    replica.restart();
    random_writes(&mut master.client(), 12, 2_000);
    replica.follow(&master);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
}

#[test]
fn stock_to_ours_on_disk() {
    full_sync_and_live_stream(Kind::Stock, Kind::Ours, false, "disabled");
}

#[test]
fn stock_to_ours_diskless_to_disk() {
    full_sync_and_live_stream(Kind::Stock, Kind::Ours, true, "disabled");
}

#[test]
fn stock_to_ours_straight_from_the_socket() {
    full_sync_and_live_stream(Kind::Stock, Kind::Ours, true, "swapdb");
}

#[test]
fn ours_to_stock_on_disk() {
    full_sync_and_live_stream(Kind::Ours, Kind::Stock, false, "disabled");
}

#[test]
fn ours_to_stock_diskless() {
    full_sync_and_live_stream(Kind::Ours, Kind::Stock, true, "swapdb");
}

#[test]
fn ours_to_ours_on_disk() {
    full_sync_and_live_stream(Kind::Ours, Kind::Ours, false, "on-empty-db");
}

#[test]
fn ours_to_ours_diskless() {
    full_sync_and_live_stream(Kind::Ours, Kind::Ours, true, "swapdb");
}

#[test]
fn several_replicas_share_one_snapshot_and_writes_made_meanwhile_follow_it() {
    for diskless in ["yes", "no"] {
        let master = Server::start(Kind::Ours, &["--repl-diskless-sync", diskless, "--rdb-key-save-delay", "200"]);
        let mut client = master.client();
        fill(&mut client);
        let replicas: Vec<Server> =
            [Kind::Ours, Kind::Stock, Kind::Ours].into_iter().map(|kind| Server::start(kind, &[])).collect();
        for replica in &replicas {
            replica.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
        }
        wait_until(Duration::from_secs(30), "a snapshot is being made", || {
            master.info("rdb_bgsave_in_progress") == "1"
        });
        random_writes(&mut client, 5, 2_000);
        for replica in &replicas {
            replica.wait_for_link(&master);
            replica.wait_caught_up(&master);
            assert_same_data(&master, replica);
        }
        assert_eq!(master.info("connected_slaves"), "3");
        let forks: u32 = master.info("total_forks").parse().unwrap();
        assert!(forks <= 3, "{forks} snapshots for three replicas");
    }
}

#[test]
fn a_chain_of_both_kinds_follows_its_head_and_survives_its_promotion() {
    let head = Server::start(Kind::Stock, &["--repl-diskless-sync-delay", "0"]);
    let middle = Server::start(Kind::Ours, &[]);
    let tail = [Server::start(Kind::Stock, &[]), Server::start(Kind::Ours, &[])];
    fill(&mut head.client());
    middle.follow(&head);
    for server in &tail {
        server.follow(&middle);
    }
    random_writes(&mut head.client(), 3, 5_000);
    middle.wait_caught_up(&head);
    for server in &tail {
        server.wait_caught_up(&middle);
        assert_same_data(&head, server);
    }
    middle.cmd(&["REPLICAOF", "NO", "ONE"]);
    head.cmd(&["REPLICAOF", "127.0.0.1", &middle.port().to_string()]);
    head.wait_for_link(&middle);
    random_writes(&mut middle.client(), 4, 2_000);
    for server in tail.iter().chain([&head]) {
        server.wait_for_link(&middle);
        server.wait_caught_up(&middle);
        assert_same_data(&middle, server);
    }
}

#[test]
fn what_a_replica_tells_its_clients() {
    let master = Server::start(Kind::Stock, &["--repl-diskless-sync-delay", "0", "--requirepass", "secret"]);
    let mut client = master.client();
    client.good(&["AUTH", "secret"]);
    client.good(&["SET", "k", "v"]);
    let replica = Server::start(Kind::Ours, &["--masterauth", "wrong"]);
    replica.cmd(&["REPLICAOF", "localhost", &master.port().to_string()]);
    replica.wait_for_log("Unable to AUTH to MASTER");
    replica.cmd(&["CONFIG", "SET", "masterauth", "secret"]);
    wait_until(Duration::from_secs(30), "the link is up", || replica.info("master_link_status") == "up");
    let mut ours = replica.client();
    assert_eq!(ours.cmd(&["GET", "k"]), Value::bulk("v"));
    let refused = Value::Error("READONLY You can't write against a read only replica.".into());
    assert_eq!(ours.cmd(&["SET", "k", "w"]), refused);
    ours.good(&["MULTI"]);
    assert_eq!(ours.cmd(&["SET", "k", "w"]), refused);
    assert!(ours.cmd(&["EXEC"]).text().starts_with("EXECABORT"));
    ours.good(&["CONFIG", "SET", "replica-read-only", "no"]);
    ours.good(&["SET", "own", "1"]);
    let role = ours.good(&["ROLE"]);
    assert_eq!(role.items()[0], Value::bulk("slave"));
    assert_eq!(role.items()[3], Value::bulk("connected"));
    drop(master);
    wait_until(Duration::from_secs(30), "the link is down", || replica.info("master_link_status") == "down");
    assert_eq!(ours.cmd(&["GET", "k"]), Value::bulk("v"));
    ours.good(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    assert_eq!(
        ours.cmd(&["GET", "k"]),
        Value::Error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.".into())
    );
    assert_eq!(
        ours.cmd(&["PING"]),
        Value::Error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.".into())
    );
    ours.good(&["REPLICAOF", "NO", "ONE"]);
    ours.good(&["SET", "k", "w"]);
}

/// A master that speaks just enough of the protocol to hand out whatever snapshot a test wants.
fn false_master(snapshot: Vec<u8>, marker: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count) = socket.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                seen.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&seen).into_owned();
                if text.contains("PSYNC") {
                    let id = "c".repeat(40);
                    let mark = "m".repeat(40);
                    let mut out = format!("+FULLRESYNC {id} 100\r\n\n\n").into_bytes();
                    match marker {
                        true => out.extend_from_slice(format!("$EOF:{mark}\r\n").as_bytes()),
                        false => out.extend_from_slice(format!("${}\r\n", snapshot.len()).as_bytes()),
                    }
                    out.extend_from_slice(&snapshot);
                    if marker {
                        out.extend_from_slice(mark.as_bytes());
                    }
                    let _ = socket.write_all(&out);
                    // The replica ends the link when it refuses.
                    while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
                    break;
                }
                let reply: &[u8] = if text.contains("REPLCONF") { b"+OK\r\n" } else { b"+PONG\r\n" };
                let _ = socket.write_all(reply);
            }
        }
    });
    port
}

#[test]
fn a_snapshot_that_cannot_be_loaded_leaves_the_data_that_was_there() {
    let sound_head = |version: &str| [b"REDIS".as_slice(), version.as_bytes()].concat();
    let key = |kind: u8| [&[0xfe, 0, kind, 3][..], b"key", &[1, b'v']].concat();
    let end = [&[0xff][..], &[0; 8]].concat();
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("a bad header", b"NOTREDIS0010 and more of it".to_vec(), "signature"),
        ("a newer version", [sound_head("0099"), key(0), end.clone()].concat(), "version 99"),
        ("an unknown type", [sound_head("0010"), key(200), end.clone()].concat(), "200"),
        ("a wrong checksum", [sound_head("0010"), key(0), vec![0xff, 1, 2, 3, 4, 5, 6, 7, 8]].concat(), "checksum"),
        ("an early end", [sound_head("0010"), key(0)].concat(), "end"),
    ];
    for (load, marker) in [("disabled", false), ("disabled", true), ("swapdb", true)] {
        let replica = Server::start(Kind::Ours, &["--repl-diskless-load", load]);
        let mut client = replica.client();
        fill(&mut client);
        let before = client.good(&["DEBUG", "DIGEST"]);
        for (what, snapshot, word) in &cases {
            if *what == "an early end" && marker {
                // Where the length is not told, only the end of the connection shows it.
                continue;
            }
            let port = false_master(snapshot.clone(), marker);
            client.good(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
            let refused = || {
                let log = replica.log().to_lowercase();
                log.matches("the data we hold stays").count() > 0 && log.contains(&word.to_lowercase())
            };
            wait_until(Duration::from_secs(20), &format!("{what} is refused ({load}, marker {marker})"), refused);
            assert_eq!(client.good(&["DEBUG", "DIGEST"]), before, "{what}");
            client.good(&["REPLICAOF", "NO", "ONE"]);
        }
        let rest: Vec<_> = std::fs::read_dir(replica.dir())
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("temp-"))
            .collect();
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[test]
fn an_old_master_is_asked_by_sync() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let replica = Server::start(Kind::Ours, &[]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
    let (socket, _) = listener.accept().unwrap();
    let mut master = Client::over(socket);
    // PING must be answered well; the rest an old server need not know.
    master.read().unwrap();
    master.write_raw(b"-ERR unknown command\r\n").unwrap();
    replica.wait_for_log("Error reply to PING from master");
    let (socket, _) = listener.accept().unwrap();
    let mut master = Client::over(socket);
    master.read().unwrap();
    master.write_raw(b"+PONG\r\n").unwrap();
    for _ in 0..5 {
        master.read().unwrap();
        master.write_raw(b"-ERR unknown command\r\n").unwrap();
    }
    assert_eq!(master.read_exact(6).unwrap(), b"SYNC\r\n");
    let snapshot = [b"REDIS0006\xfe\x00\x00\x03old\x05value\xff".as_slice(), &[0; 8]].concat();
    master.write_raw(format!("${}\r\n", snapshot.len()).as_bytes()).unwrap();
    master.write_raw(&snapshot).unwrap();
    master.write_raw(b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$4\r\nlive\r\n$1\r\n1\r\n").unwrap();
    let mut client = replica.client();
    wait_until(Duration::from_secs(20), "the stream is applied", || {
        client.cmd(&["GET", "old"]) == Value::bulk("value") && {
            client.cmd(&["SELECT", "3"]);
            let live = client.cmd(&["GET", "live"]) == Value::bulk("1");
            client.cmd(&["SELECT", "0"]);
            live
        }
    });
}

/// What a replica is sent for commands whose effect is not what was typed.
#[test]
fn commands_travel_as_what_they_did() {
    let stream_of = |kind: Kind| {
        let server = Server::start(kind, &["--repl-diskless-sync-delay", "0"]);
        let mut replica = server.client();
        replica.write_raw(b"SYNC\r\n").unwrap();
        let mut client = server.client();
        wait_until(Duration::from_secs(20), "the snapshot is sent", || server.info("connected_slaves") == "1");
        let line = loop {
            let byte = replica.read_exact(1).unwrap();
            if byte != b"\n" {
                break byte;
            }
        };
        assert_eq!(line, b"$");
        let mut length = Vec::new();
        while !length.ends_with(b"\r\n") {
            length.extend(replica.read_exact(1).unwrap());
        }
        let length: usize = String::from_utf8_lossy(&length).trim().parse().unwrap();
        replica.read_exact(length).unwrap();
        for command in [
            "SET f 1.5",
            "INCRBYFLOAT f 0.25",
            "HSET h a 1",
            "HINCRBYFLOAT h a 0.5",
            "SADD s 1",
            "SPOP s",
            "SET e 1",
            "GETDEL e",
            "RPUSH l a b",
            "LMOVE l m LEFT RIGHT",
            "SET gone 1",
            "EXPIREAT gone 1",
            "SELECT 2",
            "MULTI",
            "SET x 1",
            "SET y 2",
            "EXEC",
            "MULTI",
            "GET x",
            "EXEC",
            "FLUSHDB",
        ] {
            let args: Vec<&str> = command.split(' ').collect();
            client.good(&args);
        }
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last: &String| last != "FLUSHDB") {
            let words: Vec<String> = replica.read().unwrap().items().iter().map(Value::text).collect();
            if !words[0].eq_ignore_ascii_case("ping") {
                seen.push(words.join(" "));
            }
        }
        seen
    };
    assert_eq!(stream_of(Kind::Ours), stream_of(Kind::Stock));
}

#[test]
fn a_replica_that_says_nothing_is_dropped_and_a_master_that_says_nothing_is_left() {
    let master = Server::start(Kind::Ours, &["--repl-timeout", "2", "--repl-ping-replica-period", "1"]);
    let replica = Server::start(Kind::Ours, &["--repl-timeout", "2"]);
    replica.follow(&master);
    replica.signal("STOP");
    master.wait_for_log("Disconnecting timedout replica (streaming sync)");
    replica.signal("CONT");
    replica.wait_for_link(&master);
    wait_until(Duration::from_secs(20), "the master has its replica again", || master.info("connected_slaves") == "1");
    master.signal("STOP");
    replica.wait_for_log("MASTER timeout: no data nor PING received...");
    master.signal("CONT");
    replica.wait_for_link(&master);
    assert_same_data(&master, &replica);
}

#[test]
fn a_client_that_quits_is_closed_though_a_snapshot_is_being_made() {
    let server = Server::start(Kind::Ours, &["--rdb-key-save-delay", "2000"]);
    let mut client = server.client();
    for number in 0..2_000 {
        client.good(&["SET", &format!("k{number}"), "v"]);
    }
    let mut leaving = server.client();
    client.good(&["BGSAVE"]);
    leaving.write_raw(b"QUIT\r\n").unwrap();
    assert_eq!(leaving.read_to_end().unwrap(), b"+OK\r\n");
    assert_eq!(server.info("rdb_bgsave_in_progress"), "1");
}

/// The link is cut again and again while the master is written to: each time the stream goes on where it was.
fn cut_links(master_kind: Kind, replica_kind: Kind) {
    let args = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"];
    let master = Server::start(master_kind, &args);
    let replica = Server::start(replica_kind, &[]);
    fill(&mut master.client());
    replica.follow(&master);
    let mut writer = master.client();
    for round in 0..15 {
        random_writes(&mut writer, 100 + round, 700);
        // A cut that meets no link is none; tests/cuts.rs cuts at every other stage.
        replica.wait_for_link(&master);
        let cut = if round % 2 == 0 { (&master, "replica") } else { (&replica, "master") };
        cut.0.cmd(&["CLIENT", "KILL", "TYPE", cut.1]);
        random_writes(&mut writer, 200 + round, 300);
    }
    replica.wait_for_link(&master);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
    assert_eq!(master.info("sync_full"), "1");
    assert!(master.info("sync_partial_ok").parse::<u32>().unwrap() >= 10);
}

#[test]
fn ours_continues_after_cuts_from_stock() {
    cut_links(Kind::Stock, Kind::Ours);
}

#[test]
fn stock_continues_after_cuts_from_ours() {
    cut_links(Kind::Ours, Kind::Stock);
}

#[test]
fn ours_continues_after_cuts_from_ours() {
    cut_links(Kind::Ours, Kind::Ours);
}

#[test]
fn a_transaction_that_was_cut_in_two_comes_again_as_a_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let replica = Server::start(Kind::Ours, &[]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
    let id = "d".repeat(40);
    let handshake = |psync_reply: &str| {
        let (socket, _) = listener.accept().unwrap();
        let mut master = Client::over(socket);
        for reply in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "-ERR unknown\r\n", "-ERR unknown\r\n", psync_reply] {
            let words = master.read().unwrap();
            master.write_raw(reply.as_bytes()).unwrap();
            if reply == psync_reply {
                return (master, words.items()[1..].iter().map(Value::text).collect::<Vec<_>>());
            }
        }
        unreachable!()
    };
    let (mut master, asked) = handshake(&format!("+FULLRESYNC {id} 1000\r\n"));
    assert_eq!(asked, ["?", "-1"]);
    let snapshot = [b"REDIS0010\xff".as_slice(), &[0; 8]].concat();
    master.write_raw(format!("${}\r\n", snapshot.len()).as_bytes()).unwrap();
    master.write_raw(&snapshot).unwrap();
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    master.write_raw(set).unwrap();
    master.write_raw(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n").unwrap();
    let mut client = replica.client();
    wait_until(Duration::from_secs(20), "the first write is applied", || client.cmd(&["GET", "a"]) == Value::bulk("1"));
    drop(master);
    let (mut master, asked) = handshake(&format!("+CONTINUE {id}\r\n"));
    assert_eq!(asked, [id.clone(), (1001 + set.len()).to_string()]);
    master.write_raw(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n").unwrap();
    wait_until(Duration::from_secs(20), "the transaction is applied", || client.cmd(&["GET", "a"]) == Value::bulk("2"));
}

#[test]
fn after_a_clean_restart_both_ends_continue_and_after_a_crash_nobody_does_falsely() {
    let save = ["--save", "3600 1", "--repl-diskless-sync-delay", "0"];
    let mut master = Server::start(Kind::Ours, &save);
    let mut replica =
        Server::start(Kind::Ours, &["--save", "3600 1", "--replicaof", &format!("127.0.0.1 {}", master.port())]);
    let stock = Server::start(Kind::Stock, &[]);
    fill(&mut master.client());
    replica.wait_for_link(&master);
    stock.follow(&master);
    let full = |server: &Server| server.info("sync_full").parse::<u32>().unwrap();
    let before = full(&master);

    assert!(replica.terminate().success());
    random_writes(&mut master.client(), 21, 500);
    replica.restart();
    replica.wait_for_link(&master);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
    assert_eq!(full(&master), before, "the replica's clean restart cost a full sync");

    assert!(master.terminate().success());
    master.restart();
    for follower in [&replica, &stock] {
        follower.wait_for_link(&master);
    }
    random_writes(&mut master.client(), 22, 500);
    for follower in [&replica, &stock] {
        follower.wait_caught_up(&master);
        assert_same_data(&master, follower);
    }
    assert_eq!(full(&master), 0, "the master's clean restart cost a full sync");

    master.cmd(&["SAVE"]);
    random_writes(&mut master.client(), 23, 500);
    for follower in [&replica, &stock] {
        follower.wait_caught_up(&master);
    }
    master.kill();
    master.restart();
    for follower in [&replica, &stock] {
        follower.wait_for_link(&master);
        follower.wait_caught_up(&master);
        assert_same_data(&master, follower);
    }
    assert_eq!(full(&master), 2, "after a crash the lost writes must not stay on the replicas");
}

#[test]
fn who_joins_a_chain_later_knows_which_database_the_stream_has_selected() {
    for (head, middle) in [(Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Stock), (Kind::Ours, Kind::Ours)] {
        for load in ["disabled", "swapdb"] {
            let head = Server::start(head, &["--repl-diskless-sync-delay", "0"]);
            let middle = Server::start(middle, &["--repl-diskless-sync-delay", "0"]);
            middle.follow(&head);
            let mut client = head.client();
            client.good(&["SELECT", "5"]);
            client.good(&["SET", "before", "1"]);
            middle.wait_caught_up(&head);
            let late = Server::start(Kind::Ours, &["--repl-diskless-load", load]);
            late.follow(&middle);
            client.good(&["SET", "after", "1"]);
            late.wait_caught_up(&head);
            assert_same_data(&head, &late);
        }
    }
}
