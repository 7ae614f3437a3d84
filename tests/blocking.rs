//! Clients that wait for keys: BLPOP and its sisters, beside stock Redis.

mod support;

use std::time::Duration;

use support::{Client, Kind, Server, Value, encode, wait_until};

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn reply(client: &mut Client) -> Value {
    client.read().expect("a reply")
}

/// Lets clients wait, runs commands, and then asks each client that waited to answer PING behind what it got: so it is
/// seen what each got, and that it got nothing else. Who still waits is unblocked first.
fn scene(server: &Server, setup: &[&str], waits: &[&str], acts: &[&str]) -> Vec<Value> {
    server.cmd(&["FLUSHALL"]);
    for line in setup {
        server.cmd(&words(line));
    }
    let mut waiters: Vec<(Client, Value)> = Vec::new();
    for line in waits {
        let mut client = server.client();
        let id = client.cmd(&["CLIENT", "ID"]);
        drop(client.write_raw(&encode(&words(line))));
        let want = (waiters.len() + 1).to_string();
        wait_until(Duration::from_secs(20), line, || server.info("blocked_clients") == want);
        waiters.push((client, id));
    }
    let mut client = server.client();
    let mut seen: Vec<Value> = acts.iter().map(|line| client.cmd(&words(line))).collect();
    for (mut waiter, id) in waiters {
        seen.push(client.cmd(&["CLIENT", "UNBLOCK", &id.int().to_string(), "ERROR"]));
        seen.push(reply(&mut waiter));
        seen.push(waiter.cmd(&["PING"]));
    }
    assert_eq!(server.info("blocked_clients"), "0");
    seen.push(server.cmd(&["DEBUG", "DIGEST"]));
    seen
}

#[test]
fn what_is_pushed_goes_to_who_waits_as_stock_gives_it() {
    let debug = ["--enable-debug-command", "yes"];
    let (ours, stock) = (Server::start(Kind::Ours, &debug), Server::start(Kind::Stock, &debug));
    let scenes: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &["BLPOP a 0", "BLPOP a 0", "BRPOP a 10"], &["RPUSH a 1 2"]),
        (&[], &["BLPOP a 0", "BRPOP a 0"], &["RPUSH a 1 2 3 4"]),
        (&[], &["BLPOP x a a 0"], &["LPUSH a 1 2", "LRANGE a 0 -1"]),
        (&[], &["BLMOVE a b LEFT RIGHT 0", "BLPOP b 0", "BLPOP a 0"], &["RPUSH a 1 2", "KEYS *"]),
        (&[], &["BLPOP b 0", "BRPOPLPUSH a b 0"], &["RPUSH a 1 2", "LLEN a"]),
        (&[], &["BRPOPLPUSH a a 0", "BLPOP a 0"], &["RPUSH a 1"]),
        (&[], &["BLMOVE a b LEFT LEFT 0", "BLMOVE b a LEFT LEFT 0"], &["RPUSH a 1", "KEYS *"]),
        (&[], &["BLPOP a 0"], &["MULTI", "RPUSH a 1", "DEL a", "EXEC", "RPUSH b 2", "RENAME b a", "EXISTS a"]),
        (&[], &["BLPOP a 0"], &["MULTI", "RPUSH a 1", "DEL a", "SET a x", "EXEC"]),
        (&[], &["BLPOP a 0"], &["MULTI", "RPUSH a 1", "LPUSH a 2", "EXEC"]),
        (&["RPUSH s 3 1 2"], &["BLPOP a 0"], &["SORT s STORE a", "LRANGE a 0 -1"]),
        (&["RPUSH s 3 1 2"], &["BLPOP a 0"], &["COPY s a", "LRANGE a 0 -1"]),
        (&[], &["BLPOP a 0"], &["SELECT 1", "RPUSH a x y", "MOVE a 0", "SELECT 0", "LRANGE a 0 -1"]),
        (&[], &["BLPOP a 0"], &["SELECT 1", "RPUSH a x y", "SWAPDB 0 1", "SELECT 0", "LRANGE a 0 -1"]),
        (&["SET d x"], &["BLMOVE a d LEFT LEFT 0", "BLPOP a 0"], &["RPUSH a 1 2", "TYPE a"]),
        (&[], &["BLPOP a 0", "BLPOP a 0"], &["SET a x", "DEL a", "SADD a 1", "DEL a", "RPUSH a 1", "TYPE a"]),
        (&[], &["BLMPOP 0 2 b a RIGHT COUNT 2", "BLMPOP 0 1 a LEFT"], &["RPUSH a 1 2 3 4", "LRANGE a 0 -1"]),
        (&[], &["BLPOP a 0"], &["LPUSHX a 1", "LINSERT a BEFORE 1 2", "FLUSHALL", "RPUSH a 1"]),
    ];
    for (setup, waits, acts) in scenes {
        let [ours, stock] = [&ours, &stock].map(|server| scene(server, setup, waits, acts));
        assert_eq!(ours, stock, "{setup:?} {waits:?} {acts:?}");
    }
}
