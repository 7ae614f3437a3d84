//! The vocabulary: every command of stock is known, the commands of a cluster are refused as stock refuses them outside
//! of one, and what BGREWRITEAOF leaves is what stock starts from.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Kind, Server, Value, assert_same_data, assert_same_play, fill, fresh_dir, wait_until};

fn names(server: &Server) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = server.cmd(&["COMMAND", "LIST"]).items().iter().map(Value::text).collect();
    for command in server.cmd(&["COMMAND"]).items() {
        let subcommands = command.items().get(9).map(|list| list.items().to_vec()).unwrap_or_default();
        all.extend(subcommands.iter().map(|sub| sub.items()[0].text()));
    }
    all
}

#[test]
fn every_command_of_stock_is_known() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (ours, stock) = (names(&ours), names(&stock));
    let missing: Vec<&String> = stock.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in ["client|no-touch", "client|setinfo", "cluster|myshardid", "waitaof"] {
        assert!(ours.contains(name) && !stock.contains(name), "{name} came with 7.2");
    }
}

#[test]
fn commands_of_a_cluster_are_refused_outside_of_one() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    assert_same_play(
        &ours,
        &stock,
        "\
         c CLUSTER
         c CLUSTER HELP
         c CLUSTER INFO
         c CLUSTER NODES x
         c CLUSTER KEYSLOT a
         c CLUSTER KEYSLOT
         c CLUSTER NOSUCH
         c cluster slots
         c CLUSTER RESET HARD
         c CLUSTER MEET 127.0.0.1 1
         c ASKING
         c ASKING x
         c READONLY
         c READWRITE
         c MULTI
         c CLUSTER INFO
         c READONLY
         c EXEC
         c RESTORE-ASKING a 0 nonsense
         c RESTORE-ASKING a 0
         c LOLWUT VERSION x
         c LOLWUT VERSION 5 x
         c LOLWUT VERSION 6 1 x
         c MODULE LIST",
    );
    let text = ours.cmd(&["LOLWUT"]).text();
    assert!(text.ends_with("Redis ver. 7.2.4\n"), "{text}");
}

#[test]
fn restore_asking_restores_and_travels_as_it_came() {
    let (master, replica) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    replica.follow(&master);
    let mut client = master.client();
    client.good(&["RPUSH", "list", "1", "2"]);
    let payload = client.cmd(&["DUMP", "list"]).bytes();
    client.good(&[b"RESTORE-ASKING".as_slice(), b"copy", b"0", &payload]);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
}

#[test]
fn stock_starts_from_the_base_that_bgrewriteaof_leaves() {
    let dir = fresh_dir();
    let mut server = Server::start_in(Kind::Ours, &dir, &[]);
    fill(&mut server.client());
    for round in 1..=3 {
        server.client().good(&["SET", "round", &round.to_string()]);
        assert_eq!(server.cmd(&["BGREWRITEAOF"]).text(), "Background append only file rewriting started");
        let is_done =
            || server.info("aof_rewrite_in_progress") == "0" && server.info("aof_last_rewrite_time_sec") != "-1";
        wait_until(Duration::from_secs(30), "the base is written", is_done);
        assert_eq!(server.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
        assert_eq!(server.info("aof_rewrites"), round.to_string());
    }
    let mut files: Vec<String> = std::fs::read_dir(dir.join("appendonlydir"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["appendonly.aof.3.base.rdb", "appendonly.aof.manifest"]);
    let elsewhere = fresh_dir();
    std::fs::create_dir(elsewhere.join("appendonlydir")).unwrap();
    for file in &files {
        std::fs::copy(dir.join("appendonlydir").join(file), elsewhere.join("appendonlydir").join(file)).unwrap();
    }
    let stock = Server::start_in(Kind::Stock, &elsewhere, &["--appendonly", "yes"]);
    stock.wait_loaded();
    assert_same_data(&server, &stock);
    server.kill();
}

#[test]
fn a_rewrite_waits_for_a_save_and_a_save_for_a_rewrite() {
    let server = Server::start(Kind::Ours, &["--rdb-key-save-delay", "2000"]);
    server.client().good(&["DEBUG", "POPULATE", "500"]);
    server.client().good(&["BGSAVE"]);
    assert_eq!(server.cmd(&["BGREWRITEAOF"]).text(), "Background append only file rewriting scheduled");
    assert_eq!(server.info("aof_rewrite_scheduled"), "1");
    wait_until(Duration::from_secs(30), "the rewrite begins", || server.info("aof_rewrite_in_progress") == "1");
    assert_eq!(server.info("rdb_bgsave_in_progress"), "0");
    let again = server.cmd(&["BGREWRITEAOF"]).text();
    assert!(again.contains("Background append only file rewriting already in progress"), "{again}");
    let save = server.cmd(&["BGSAVE"]).text();
    assert!(save.contains("Another child process is active"), "{save}");
    assert_eq!(server.cmd(&["BGSAVE", "SCHEDULE"]).text(), "Background saving scheduled");
    wait_until(Duration::from_secs(30), "the save follows", || server.info("rdb_bgsave_in_progress") == "1");
    assert_eq!(server.info("aof_rewrite_in_progress"), "0");
}

#[test]
fn complaints_quote_and_come_in_the_order_of_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    assert_same_play(
        &ours,
        &stock,
        "\
         c acl cat a b
         c ACL GenPass 1 2
         c acl log 1 2
         c client unblock 1 2 3
         c client pause 1 2 3
         c slowlog get 1 2
         c pubsub channels a b
         c function stats x
         c xinfo stream a b c d e
         c replconf FOO bar
         c replconf Foo
         c blmpop x x a left
         c blmpop x 1 a up
         c blmpop x 1 a left count 0
         c blmpop x 1 a left
         c bzmpop x x a min
         c bzmpop x 1 a up
         c bzmpop x 1 a min count 0
         c bzmpop x 1 a min
         c set a 1
         c blmpop x 1 a left
         c bzmpop -1 1 a min",
    );
}

#[test]
fn a_container_is_not_counted_for_subcommands_that_it_does_not_have() {
    let counted = [Kind::Ours, Kind::Stock].map(|kind| {
        let server = Server::start(kind, &[]);
        for words in [&["CONFIG", "NOSUCH"][..], &["CONFIG"], &["CONFIG", "GET"], &["SLOWLOG", "x", "y"]] {
            assert!(server.cmd(words).is_error(), "{words:?}");
        }
        let info = server.cmd(&["INFO", "commandstats"]).text();
        let of_interest = info.lines().filter(|line| line.contains("_config") || line.contains("_slowlog"));
        of_interest.map(str::to_owned).collect::<BTreeSet<String>>()
    });
    assert_eq!(counted[0], counted[1]);
}

#[test]
fn resets_are_answered_and_transactions_grow_into_no_memory_as_in_stock() {
    for lines in [
        "CLIENT REPLY OFF|PING|RESET|PING|CLIENT REPLY SKIP|RESET|PING|QUIT",
        "CONFIG SET maxmemory 1|MULTI|MULTI|WATCH a|GET a|EXEC|MULTI|DISCARD|MULTI|RESET|PING|CONFIG SET maxmemory 0|QUIT",
    ] {
        let said = [Kind::Ours, Kind::Stock].map(|kind| {
            let server = Server::start(kind, &[]);
            let mut client = server.client();
            client.write_raw(format!("{}\r\n", lines.replace('|', "\r\n")).as_bytes()).unwrap();
            String::from_utf8(client.read_to_end().unwrap()).unwrap()
        });
        assert_eq!(said[0], said[1], "{lines}");
        assert!(said[0].ends_with("+OK\r\n"), "{}", said[0]);
    }
}
