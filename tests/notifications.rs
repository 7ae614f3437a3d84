//! Keyspace notifications: what every command tells beside what stock Redis tells, which classes are told, and when.

mod support;

use std::time::Duration;

use support::{Client, Kind, Server, Value, encode, wait_until};

/// Commands of all kinds, one a line, on keys that are there, that are not, and whose time has come.
const SCRIPT: &str = include_str!("notifications.txt");

/// A server whose keys expire only when they are asked for, with a client, and one that listens.
fn listened(kind: Kind, classes: &str) -> (Server, Client, Client) {
    let server = Server::start(kind, &["--enable-debug-command", "yes", "--notify-keyspace-events", classes]);
    let (mut client, mut listener) = (server.client(), server.client());
    client.good(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    listener.good(&["PSUBSCRIBE", "__key*"]);
    (server, client, listener)
}

/// The messages up to one that is published now, each as its channel and its text.
fn told(client: &mut Client, listener: &mut Client) -> Vec<String> {
    client.good(&["PUBLISH", "__key_end", ""]);
    let next = |listener: &mut Client| {
        let message = listener.read().expect("a message");
        format!("{} {}", message.items()[2].text(), message.items()[3].text())
    };
    std::iter::from_fn(|| Some(next(listener)).filter(|text| text != "__key_end ")).collect()
}

#[test]
fn every_command_tells_what_it_tells_in_stock() {
    let (_ours, mut our_client, mut our_listener) = listened(Kind::Ours, "KEAnm");
    let (_stock, mut stock_client, mut stock_listener) = listened(Kind::Stock, "KEAnm");
    let (mut in_transaction, mut events) = (false, 0);
    for line in SCRIPT.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (ours, stock) = (our_client.cmd(&words), stock_client.cmd(&words));
        assert_eq!(ours.is_error(), stock.is_error(), "{line}: {ours:?} {stock:?}");
        in_transaction = line == "MULTI" || (in_transaction && line != "EXEC");
        if !in_transaction {
            let ours = told(&mut our_client, &mut our_listener);
            assert_eq!(ours, told(&mut stock_client, &mut stock_listener), "{line}");
            events += ours.len();
        }
    }
    assert!(events > 400, "{events} messages");
}

#[test]
fn only_the_classes_that_are_asked_for_are_told() {
    let (ours, mut our_client, mut our_listener) = listened(Kind::Ours, "");
    let (stock, mut stock_client, mut stock_listener) = listened(Kind::Stock, "");
    for classes in ["", "A", "K", "E", "Kg", "E$", "KElz", "Kx", "Emn", "KEs", "Eht", "KA", "Kd", ""] {
        for server in [&ours, &stock] {
            assert_eq!(server.cmd(&["CONFIG", "SET", "notify-keyspace-events", classes]), Value::ok());
        }
        for line in [
            "SET a 1",
            "GET a",
            "GET none",
            "RPUSH l 1",
            "LPOP l",
            "SADD s 1",
            "HSET h f 1",
            "ZADD z 1 a",
            "DEL a z",
            "SET e v PXAT 1",
            "GET e",
            "XADD x * f v",
            "FLUSHALL",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            our_client.good(&words);
            stock_client.good(&words);
        }
        let ours = told(&mut our_client, &mut our_listener);
        assert_eq!(ours, told(&mut stock_client, &mut stock_listener), "{classes:?}");
    }
}

#[test]
fn who_listens_to_its_own_commands_hears_of_them_after_the_reply() {
    let server = Server::start(Kind::Ours, &["--notify-keyspace-events", "EA"]);
    let mut client = server.client();
    client.good(&["HELLO", "3"]);
    client.good(&["PSUBSCRIBE", "__key*"]);
    assert_eq!(client.cmd(&["SET", "a", "1"]), Value::ok());
    let heard = |client: &mut Client| client.read().unwrap().items()[2].text();
    assert_eq!(heard(&mut client), "__keyevent@0__:set");
    client.write_raw(&encode(&["MULTI"])).unwrap();
    client.write_raw(&encode(&["DEL", "a"])).unwrap();
    client.write_raw(&encode(&["RPUSH", "l", "1"])).unwrap();
    client.write_raw(&encode(&["EXEC"])).unwrap();
    let replies: Vec<Value> = (0..4).map(|_| client.read().unwrap()).collect();
    assert_eq!(replies[3], Value::Array(vec![Value::Int(1), Value::Int(1)]));
    assert_eq!(heard(&mut client), "__keyevent@0__:del");
    assert_eq!(heard(&mut client), "__keyevent@0__:rpush");
}

#[test]
fn a_served_wait_is_told_of_after_what_served_it() {
    let told = [Kind::Ours, Kind::Stock].map(|kind| {
        let (server, mut client, mut listener) = listened(kind, "KEA");
        let mut waiters = Vec::new();
        for line in ["BLMOVE a b LEFT RIGHT 0", "BLPOP b 0", "BZPOPMIN z 0"] {
            let mut waiter = server.client();
            waiter.write_raw(&encode(&line.split(' ').collect::<Vec<_>>())).unwrap();
            waiters.push(waiter);
            let count = waiters.len().to_string();
            wait_until(Duration::from_secs(20), line, || server.info("blocked_clients") == count);
        }
        client.good(&["RPUSH", "a", "1", "2"]);
        client.good(&["ZADD", "z", "1", "m"]);
        told(&mut client, &mut listener)
    });
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_replica_tells_what_it_is_sent() {
    let told = [Kind::Ours, Kind::Stock].map(|kind| {
        let (replica, mut client, mut listener) = listened(kind, "KEA");
        let master = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        for line in ["SET a 1", "RPUSH l 1 2", "RPOPLPUSH l k", "SET e v PXAT 1", "GET e", "SPOP none", "FLUSHALL"] {
            master.cmd(&line.split(' ').collect::<Vec<_>>());
        }
        replica.wait_caught_up(&master);
        told(&mut client, &mut listener)
    });
    assert_eq!(told[0], told[1]);
}

#[test]
fn keys_that_go_by_themselves_are_told_of() {
    let (server, mut client, mut listener) = listened(Kind::Ours, "Exe");
    client.good(&["SET", "gone", "v", "PXAT", "1"]);
    client.good(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    let message = listener.read().unwrap();
    assert_eq!(
        (message.items()[2].text(), message.items()[3].text()),
        ("__keyevent@0__:expired".into(), "gone".into())
    );
    for number in 0..100 {
        client.good(&["SET", &format!("k{number}"), &"x".repeat(1000)]);
    }
    client.good(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    client.good(&["CONFIG", "SET", "maxmemory", "1"]);
    wait_until(Duration::from_secs(20), "all keys are evicted", || server.cmd(&["DBSIZE"]) == Value::Int(0));
    let told = told(&mut client, &mut listener);
    assert_eq!(told.len(), 100);
    assert!(told.iter().all(|text| text.starts_with("__keyevent@0__:evicted k")), "{told:?}");
}
