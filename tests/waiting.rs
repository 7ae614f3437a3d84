//! Clients that wait: WAIT, CLIENT PAUSE, CLIENT UNBLOCK, and writes that need good replicas; beside stock Redis.

mod support;

use std::time::{Duration, Instant};

use support::{Client, Kind, Server, Value, wait_until};

fn wait_until_blocked(server: &Server, count: &str) {
    wait_until(Duration::from_secs(20), "so many clients wait", || server.info("blocked_clients") == count);
}

fn send(client: &mut Client, args: &[&str]) {
    client.write_raw(&support::encode(args)).unwrap();
}

/// The reply to a command that `send` sent.
fn reply(client: &mut Client) -> Value {
    client.read().expect("a reply")
}

/// The line of CLIENT LIST about a client whose last command is this one.
fn listed(server: &Server, command: &str) -> String {
    let list = server.cmd(&["CLIENT", "LIST"]).text();
    let line = list.lines().find(|line| line.contains(&format!("cmd={command} "))).map(str::to_string);
    line.unwrap_or_else(|| panic!("no client with cmd={command} in\n{list}"))
}

fn id_of(line: &str) -> String {
    line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap().to_string()
}

#[test]
fn refusals_are_those_of_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    for line in [
        "WAIT",
        "WAIT x 1",
        "WAIT 1 x",
        "WAIT 1 -1",
        "WAIT -1 10",
        "WAIT 0 0",
        "WAIT 1 10",
        "CLIENT PAUSE",
        "CLIENT PAUSE x",
        "CLIENT PAUSE -1",
        "CLIENT PAUSE 10 FOO",
        "CLIENT PAUSE 10 WRITE X",
        "CLIENT PAUSE 0",
        "CLIENT UNPAUSE",
        "CLIENT UNPAUSE x",
        "CLIENT UNBLOCK",
        "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK 999",
        "CLIENT UNBLOCK 999 FOO",
        "CLIENT UNBLOCK 999 ERROR",
        "SHUTDOWN ABORT",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(ours.cmd(&args), stock.cmd(&args), "{line}");
    }
}

#[test]
fn waitaof_counts_what_replicas_have_on_disk() {
    let server = Server::start(Kind::Ours, &[]);
    let none = Value::Array(vec![Value::Int(0), Value::Int(0)]);
    assert_eq!(server.cmd(&["WAITAOF", "0", "0", "10"]), none);
    assert_eq!(server.cmd(&["WAITAOF", "0", "1", "10"]), none);
    let off = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    assert_eq!(server.cmd(&["WAITAOF", "1", "0", "10"]), Value::Error(off.into()));
    let range = "ERR value is out of range, value must between 0 and 1";
    assert_eq!(server.cmd(&["WAITAOF", "2", "0", "10"]), Value::Error(range.into()));
}

#[test]
fn wait_returns_when_the_replicas_have_the_write_and_holds_the_pipeline_meanwhile() {
    for (master_kind, replica_kind) in [(Kind::Ours, Kind::Ours), (Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours)]
    {
        let master = Server::start(master_kind, &[]);
        let replica = Server::start(replica_kind, &[]);
        replica.follow(&master);
        let mut client = master.client();
        for number in 0..5 {
            client.good(&["SET", "k", &number.to_string()]);
            assert_eq!(client.cmd(&["WAIT", "1", "0"]), Value::Int(1));
            assert_eq!(replica.cmd(&["GET", "k"]), Value::bulk(number.to_string()));
        }
        replica.signal("STOP");
        client.good(&["INCR", "k"]);
        assert_eq!(client.cmd(&["WAIT", "1", "50"]), Value::Int(0), "the time is up");
        // What is sent behind a WAIT runs after it, a command cut in two and a long argument as well.
        let long = "x".repeat(100_000);
        let mut bytes = support::encode(&["WAIT", "1", "0"]);
        bytes.extend(support::encode(&["GET", "k"]));
        bytes.extend(support::encode(&["SET", "long", &long]));
        bytes.extend(support::encode(&["WAIT", "1", "0"]));
        bytes.extend(support::encode(&["STRLEN", "long"]));
        let (first, rest) = bytes.split_at(bytes.len() - 60_000);
        client.write_raw(first).unwrap();
        wait_until_blocked(&master, "1");
        client.write_raw(rest).unwrap();
        let line = listed(&master, "wait");
        assert!(line.contains(" flags=b "), "{line}");
        assert_eq!(master.cmd(&["EXISTS", "long"]), Value::Int(0), "it waits");
        replica.signal("CONT");
        let expected = [Value::Int(1), Value::bulk("5"), Value::ok(), Value::Int(1), Value::Int(100_000)];
        for value in expected {
            assert_eq!(reply(&mut client), value, "{master_kind:?} to {replica_kind:?}");
        }
        assert_eq!(master.info("blocked_clients"), "0");
        // Inside a transaction it answers at once.
        replica.signal("STOP");
        client.good(&["MULTI"]);
        client.good(&["INCR", "k"]);
        client.good(&["WAIT", "1", "0"]);
        assert_eq!(client.cmd(&["EXEC"]), Value::Array(vec![Value::Int(6), Value::Int(1)]));
        assert_eq!(client.cmd(&["WAIT", "1", "30"]), Value::Int(0));
        replica.signal("CONT");
        assert_eq!(client.cmd(&["WAIT", "1", "0"]), Value::Int(1));
    }
}

#[test]
fn a_wait_ends_by_command_by_role_change_and_with_its_client() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        client.good(&["SET", "k", "v"]);
        for (how, said) in [
            (vec![], Value::Int(0)),
            (vec!["TIMEOUT"], Value::Int(0)),
            (vec!["ERROR"], Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())),
        ] {
            send(&mut client, &["WAIT", "3", "0"]);
            wait_until_blocked(&server, "1");
            let id = id_of(&listed(&server, "wait"));
            let line = [vec!["CLIENT", "UNBLOCK", &id], how].concat();
            assert_eq!(server.cmd(&line), Value::Int(1));
            assert_eq!(reply(&mut client), said);
            assert_eq!(server.cmd(&line), Value::Int(0), "it waits no more");
        }
        send(&mut client, &["WAIT", "3", "100000"]);
        wait_until_blocked(&server, "1");
        drop(client);
        wait_until_blocked(&server, "0");
        let mut client = server.client();
        send(&mut client, &["WAIT", "3", "0"]);
        send(&mut client, &["SET", "k", "w"]);
        wait_until_blocked(&server, "1");
        server.cmd(&["REPLICAOF", "127.0.0.1", "1"]);
        let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
        assert_eq!(reply(&mut client), Value::Error(text.into()));
        assert!(client.read().is_err(), "the link is closed");
        assert!(server.cmd(&["WAIT", "0", "0"]).text().starts_with("ERR WAIT cannot be used with replica instances."));
        assert_eq!(server.cmd(&["GET", "k"]), Value::bulk("v"));
    }
}

#[test]
fn a_pause_of_writes_holds_writes_expiry_and_transactions_that_write() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        client.good(&["SET", "k", "1"]);
        client.good(&["SET", "expiring", "1", "PX", "30"]);
        client.good(&["CLIENT", "PAUSE", "100000", "WRITE"]);
        client.good(&["CLIENT", "PAUSE", "1", "WRITE"]);
        let held: [&[&str]; 4] =
            [&["INCR", "k"], &["DEL", "k2"], &["PFCOUNT", "h"], &["PUBLISH", "channel", "message"]];
        // What this build has not is refused at once.
        let known = held
            .into_iter()
            .filter(|args| kind == Kind::Stock || server.cmd(&["COMMAND", "INFO", args[0]]).items()[0] != Value::Nil);
        let mut waiting: Vec<Client> = Vec::new();
        for args in known {
            let mut other = server.client();
            send(&mut other, args);
            waiting.push(other);
            wait_until_blocked(&server, &waiting.len().to_string());
        }
        // A transaction that was queued before writes at its EXEC, one that only reads does not wait.
        assert_eq!(client.cmd(&["GET", "k"]), Value::bulk("1"));
        client.good(&["MULTI"]);
        client.good(&["GET", "k"]);
        assert_eq!(client.cmd(&["EXEC"]), Value::Array(vec![Value::bulk("1")]));
        wait_until(Duration::from_secs(10), "the key has expired", || {
            server.cmd(&["EXISTS", "expiring"]) == Value::Int(0)
        });
        assert_eq!(server.cmd(&["DBSIZE"]), Value::Int(2), "and is not deleted");
        assert_eq!(server.info("expired_keys"), "0");
        if kind == Kind::Ours {
            // Stock 7.0 ends with an assertion here.
            let id = id_of(&listed(&server, "incr"));
            assert_eq!(server.cmd(&["CLIENT", "UNBLOCK", &id]), Value::Int(0), "a pause is not ended so");
        }
        client.good(&["CLIENT", "UNPAUSE"]);
        for other in &mut waiting {
            let said = reply(other);
            assert!(matches!(said, Value::Int(_)), "{said:?}");
        }
        wait_until_blocked(&server, "0");
        wait_until(Duration::from_secs(10), "it is deleted", || server.cmd(&["DBSIZE"]) == Value::Int(1));
    }
}

#[test]
fn a_pause_of_everything_ends_by_itself_and_loses_nothing() {
    for kind in [Kind::Ours, Kind::Stock] {
        let (server, replica) = (Server::start(kind, &[]), Server::start(Kind::Ours, &[]));
        replica.follow(&server);
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        let mut queued = server.client();
        queued.good(&["MULTI"]);
        queued.good(&["INCR", "total"]);
        server.cmd(&["CLIENT", "PAUSE", "400"]);
        send(&mut queued, &["EXEC"]);
        for client in &mut clients {
            for _ in 0..3 {
                send(client, &["INCR", "total"]);
            }
            send(client, &["CLIENT", "REPLY", "SKIP"]);
            send(client, &["INCR", "total"]);
            send(client, &["PING"]);
        }
        for client in &mut clients {
            for _ in 0..3 {
                assert!(reply(client).int() > 0);
            }
            assert_eq!(reply(client), Value::Simple("PONG".into()));
        }
        assert_eq!(reply(&mut queued).items().len(), 1);
        assert_eq!(server.cmd(&["GET", "total"]), Value::bulk("81"));
        replica.wait_caught_up(&server);
        assert_eq!(replica.cmd(&["GET", "total"]), Value::bulk("81"));
    }
}

#[test]
fn a_paused_replica_follows_its_master() {
    let (master, replica) = (Server::start(Kind::Stock, &[]), Server::start(Kind::Ours, &[]));
    replica.follow(&master);
    let mut watcher = replica.client();
    master.cmd(&["SET", "k", "v"]);
    replica.wait_caught_up(&master);
    watcher.good(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    master.cmd(&["SET", "k", "w"]);
    wait_until(Duration::from_secs(20), "the write has come", || watcher.cmd(&["GET", "k"]) == Value::bulk("w"));
}

#[test]
fn a_protocol_error_behind_a_wait_is_told_after_it() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    client.good(&["SET", "k", "v"]);
    client.write_raw(b"WAIT 1 100\r\nPING\r\n*x\r\n").unwrap();
    assert_eq!(reply(&mut client), Value::Int(0));
    assert_eq!(reply(&mut client), Value::Simple("PONG".into()));
    assert!(reply(&mut client).text().starts_with("ERR Protocol error"));
    assert!(client.read().is_err());
}

#[test]
fn writes_need_good_replicas() {
    let settings = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];
    let refused = Value::Error("NOREPLICAS Not enough good replicas to write.".into());
    for kind in [Kind::Ours, Kind::Stock] {
        let master = Server::start(kind, &settings);
        let mut client = master.client();
        assert_eq!(client.cmd(&["SET", "k", "v"]), refused);
        assert_eq!(client.cmd(&["GET", "k"]), Value::Nil);
        client.good(&["MULTI"]);
        assert_eq!(client.cmd(&["SET", "k", "v"]), refused);
        assert!(client.cmd(&["EXEC"]).text().starts_with("EXECABORT"));
        let mut replica = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        wait_until(Duration::from_secs(20), "the replica is good", || master.info("min_slaves_good_slaves") == "1");
        client.good(&["SET", "k", "v"]);
        replica.signal("STOP");
        wait_until(Duration::from_secs(20), "the replica lags", || client.cmd(&["SET", "k", "v"]) == refused);
        replica.signal("CONT");
        wait_until(Duration::from_secs(20), "it is good again", || client.cmd(&["SET", "k", "v"]) == Value::ok());
        replica.kill();
        wait_until(Duration::from_secs(20), "it is gone", || client.cmd(&["SET", "k", "v"]) == refused);
        client.good(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        client.good(&["SET", "k", "v"]);
    }
}

/// Without the wish for good replicas the stream may gather for a moment; with it nobody is told before they have it.
#[test]
fn what_was_told_with_good_replicas_survives_the_death_of_the_master() {
    let settings = ["--min-replicas-to-write", "1", "--repl-feed-delay-us", "1000"];
    for _ in 0..4 {
        let mut master = Server::start(Kind::Ours, &settings);
        let replica = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        wait_until(Duration::from_secs(20), "the replica is good", || master.info("min_slaves_good_slaves") == "1");
        let mut client = master.client();
        for _ in 0..200 {
            client.good(&["INCR", "told"]);
        }
        master.kill();
        wait_until(Duration::from_secs(20), "all that was told is there", || {
            replica.cmd(&["GET", "told"]) == Value::bulk("200")
        });
    }
}

#[test]
fn a_shutdown_waits_for_lagging_replicas_and_holds_writes_meanwhile() {
    for kind in [Kind::Ours, Kind::Stock] {
        let mut master = Server::start(kind, &["--shutdown-timeout", "100"]);
        let replica = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        replica.signal("STOP");
        let (mut asks, mut writes) = (master.client(), master.client());
        writes.good(&["SET", "k", "1"]);
        send(&mut asks, &["SHUTDOWN"]);
        wait_until_blocked(&master, "1");
        send(&mut writes, &["INCR", "k"]);
        wait_until_blocked(&master, "2");
        assert_eq!(master.cmd(&["SHUTDOWN", "ABORT"]), Value::ok());
        assert_eq!(reply(&mut asks), Value::Error("ERR Errors trying to SHUTDOWN. Check logs.".into()));
        assert_eq!(reply(&mut writes), Value::Int(2));
        master.wait_for_log("Shutdown manually aborted.");
        let mut asks = master.client();
        send(&mut asks, &["SHUTDOWN", "SAVE"]);
        wait_until_blocked(&master, "1");
        replica.signal("CONT");
        assert!(master.wait_exit().success());
        for text in ["Waiting for replicas before", "1 of 1 replicas are in sync", "ready to exit, bye bye"] {
            assert!(master.log().contains(text), "{text}");
        }
        assert_eq!(replica.cmd(&["GET", "k"]), Value::bulk("2"));
        // A replica that never answers is named, and not waited for longer than the time allows.
        master.restart();
        replica.wait_for_link(&master);
        replica.wait_caught_up(&master);
        replica.signal("STOP");
        master.cmd(&["SET", "k", "3"]);
        master.cmd(&["CONFIG", "SET", "shutdown-timeout", "1"]);
        assert!(master.terminate().success());
        replica.signal("CONT");
        assert!(master.log().contains(&format!("Lagging replica 127.0.0.1:{} reported offset ", replica.port())));
        assert!(master.log().contains("0 of 1 replicas are in sync"));
    }
}

#[test]
fn a_replica_that_came_back_counts_once_while_its_former_link_lingers() {
    let master = Server::start(Kind::Ours, &["--repl-diskless-sync", "no"]);
    let has_acked = |offset: &str, links: usize| {
        wait_until(Duration::from_secs(20), "all have acknowledged", || {
            master.cmd(&["INFO", "replication"]).text().matches(&format!("offset={offset},")).count() == links
        });
    };
    let mut links: Vec<Client> = Vec::new();
    for port in ["7001", "7001", "7002"] {
        let mut link = master.client();
        link.good(&["REPLCONF", "listening-port", port]);
        send(&mut link, &["PSYNC", "?", "-1"]);
        wait_until(Duration::from_secs(20), "the replica is online", || {
            let text = master.cmd(&["INFO", "replication"]).text();
            text.contains(&format!("port={port},state=online")) && !text.contains("state=wait_bgsave")
        });
        send(&mut link, &["REPLCONF", "ACK", "1000000"]);
        links.push(link);
        has_acked("1000000", links.len());
        // The next one comes in another millisecond, by which the server tells which was heard of last.
        let told = Instant::now();
        wait_until(Duration::from_secs(20), "two milliseconds are over", || told.elapsed().as_millis() >= 2);
    }
    let mut client = master.client();
    client.good(&["SET", "k", "v"]);
    assert_eq!(client.cmd(&["WAIT", "2", "0"]), Value::Int(2));
    assert_eq!(client.cmd(&["WAIT", "3", "50"]), Value::Int(2));
    // It is heard of again, so it was another replica behind the same address all along.
    send(&mut links[0], &["REPLCONF", "ACK", "1000001"]);
    has_acked("1000001", 1);
    assert_eq!(client.cmd(&["WAIT", "3", "0"]), Value::Int(3));
}
