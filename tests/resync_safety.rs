//! What a resync must not do, and what is better than a plain retry: waits between attempts, data that is not given up
//! for nothing, lag in time, a stream that is checked, memory that is counted and comes back.

mod support;

use std::time::Duration;

use support::{Kind, Server, Value, assert_same_data, fill, free_port, random_writes, wait_until};

const BOUND: Duration = Duration::from_secs(30);

fn holds(server: &Server, field: &str, value: &str) {
    wait_until(BOUND, &format!("{field} is {value}"), || server.info(field) == value);
}

/// Milliseconds of the waits that a replica has announced in its log.
fn waits(server: &Server) -> Vec<u64> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| line.split("reach the master comes in ").nth(1));
    lines.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_replica_waits_longer_after_each_failure_but_not_when_it_is_told_to_follow() {
    let replica = Server::start(Kind::Ours, &["--loglevel", "debug"]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    wait_until(BOUND, "two attempts have failed", || waits(&replica).len() >= 2);
    let seen = waits(&replica);
    assert!((500..=1000).contains(&seen[0]) && (1000..=2000).contains(&seen[1]), "{seen:?}");
    let count = seen.len();
    replica.cmd(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    wait_until(BOUND, "the new master is tried", || waits(&replica).len() > count);
    let seen = waits(&replica);
    let first = seen[count..].iter().find(|wait| **wait <= 1000);
    assert!(first.is_some(), "an order begins anew: {seen:?}");
    replica.cmd(&["CONFIG", "SET", "repl-reconnect-max-delay", "1"]);
    let count = waits(&replica).len();
    wait_until(BOUND, "the limit holds", || waits(&replica).len() > count + 2);
    assert!(waits(&replica)[count + 1..].iter().all(|wait| *wait <= 1000));
    assert!(replica.cmd(&["CONFIG", "SET", "repl-reconnect-max-delay", "0"]).is_error());
}

/// A replica in sync, whose master has come back empty and was refused.
fn refused(load: &str) -> (Server, Server, Value) {
    let mut master = Server::start(Kind::Ours, &[]);
    let replica = Server::start(Kind::Ours, &["--repl-diskless-load", load, "--repl-reconnect-max-delay", "1"]);
    fill(&mut master.client());
    replica.follow(&master);
    let before = replica.cmd(&["DEBUG", "DIGEST"]);
    let (old_history, keys) = (replica.info("master_replid"), replica.cmd(&["DBSIZE"]).int());
    master.restart();
    holds(&replica, "master_refused_empty", "1");
    assert_eq!(replica.info("master_link_status"), "down");
    assert_eq!(replica.cmd(&["DEBUG", "DIGEST"]), before, "the data was given up ({load})");
    let log = replica.log();
    let line = log.lines().find(|line| line.contains("REFUSED an empty data set")).expect("a loud line");
    assert!(line.contains(&old_history) && line.contains(&master.info("master_replid")), "{line}");
    assert!(keys > 0 && line.contains(" keys of history"), "{line}");
    (master, replica, before)
}

#[test]
fn a_master_that_comes_back_empty_does_not_empty_its_replica() {
    for load in ["disabled", "swapdb"] {
        let (master, replica, before) = refused(load);
        let count = |server: &Server| server.log().matches("REFUSED an empty data set").count();
        let seen = count(&replica);
        wait_until(BOUND, "it is tried again", || count(&replica) > seen);
        assert_eq!(replica.cmd(&["DEBUG", "DIGEST"]), before);
        // As soon as there is a key the data set is not empty any more.
        master.cmd(&["SET", "new", "1"]);
        replica.wait_for_link(&master);
        assert_eq!(replica.info("master_refused_empty"), "");
        assert_same_data(&master, &replica);
    }
}

#[test]
fn who_asks_for_an_empty_data_set_gets_it() {
    let (master, replica, _) = refused("disabled");
    replica.cmd(&["CONFIG", "SET", "replica-accept-empty-master", "yes"]);
    replica.wait_for_link(&master);
    assert_eq!(replica.cmd(&["DBSIZE"]), Value::Int(0));
    assert_eq!(replica.info("master_refused_empty"), "");

    let (master, replica, _) = refused("swapdb");
    let port = master.port().to_string();
    assert_eq!(replica.cmd(&["REPLICAOF", "127.0.0.1", &port]), Value::ok());
    replica.wait_for_link(&master);
    assert_eq!(replica.cmd(&["DBSIZE"]), Value::Int(0));

    let (master, replica, before) = refused("disabled");
    replica.cmd(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(replica.info("master_refused_empty"), "");
    assert_eq!(replica.cmd(&["DEBUG", "DIGEST"]), before);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    replica.wait_for_link(&master);
    assert_eq!(replica.cmd(&["DBSIZE"]), Value::Int(0));
}

#[test]
fn a_replica_that_restarts_from_its_file_keeps_its_data_too() {
    let mut master = Server::start(Kind::Stock, &[]);
    let master_place = format!("127.0.0.1 {}", master.port());
    let args = ["--save", "3600 1", "--replicaof", &master_place, "--repl-reconnect-max-delay", "1"];
    let mut replica = Server::start(Kind::Ours, &args);
    fill(&mut master.client());
    replica.wait_for_link(&master);
    replica.wait_caught_up(&master);
    let before = replica.cmd(&["DEBUG", "DIGEST"]);
    assert!(replica.terminate().success());
    master.restart();
    replica.restart();
    replica.wait_loaded();
    holds(&replica, "master_refused_empty", "1");
    assert_eq!(replica.cmd(&["DEBUG", "DIGEST"]), before);
    // A data set that was emptied in the same history is not refused: there it is the truth.
    master.cmd(&["SET", "new", "1"]);
    replica.wait_for_link(&master);
    master.cmd(&["FLUSHALL"]);
    master.cmd(&["CONFIG", "SET", "repl-backlog-size", "16kb"]);
    replica.signal("STOP");
    master.cmd(&["CLIENT", "KILL", "TYPE", "replica"]);
    master.cmd(&["SET", "gone", &"x".repeat(100_000)]);
    master.cmd(&["DEL", "gone"]);
    replica.signal("CONT");
    replica.wait_for_link(&master);
    replica.wait_caught_up(&master);
    assert_eq!(replica.cmd(&["DBSIZE"]), Value::Int(0));
}

#[test]
fn a_stream_that_differs_is_noticed_and_made_good() {
    let master = Server::start(Kind::Ours, &[]);
    let middle = Server::start(Kind::Ours, &[]);
    let last = Server::start(Kind::Ours, &[]);
    let stock = Server::start(Kind::Stock, &[]);
    fill(&mut master.client());
    middle.follow(&master);
    stock.follow(&master);
    last.follow(&middle);
    let mut client = master.client();
    client.good(&["SET", "k", "v"]);
    last.wait_caught_up(&master);
    client.good(&["DEBUG", "CORRUPT-STREAM", "SET", "k", "v"]);
    master.wait_for_log("differs from ours between offsets");
    middle.wait_for_log("differs from its master's between offsets");
    for server in [&middle, &last] {
        wait_until(BOUND, "the value is right again", || server.cmd(&["GET", "k"]) == Value::bulk("v"));
    }
    // Nobody can ask stock for sums.
    assert_eq!(stock.cmd(&["GET", "k"]), Value::bulk("w"));
    client.good(&["SET", "k", "x"]);
    for server in [&middle, &last] {
        server.wait_for_link(master_of(server, &master, &middle));
        server.wait_caught_up(&master);
        assert_same_data(&master, server);
    }
    assert_eq!(master.info("repl_stream_mismatches"), "1");
    // All is forgiven: the next cut costs no full sync.
    let full = master.info("sync_full");
    let partial = master.info("sync_partial_ok");
    middle.cmd(&["CLIENT", "KILL", "TYPE", "master"]);
    wait_until(BOUND, "it continues", || master.info("sync_partial_ok") != partial);
    assert_eq!(master.info("sync_full"), full);
}

fn master_of<'a>(server: &Server, master: &'a Server, middle: &'a Server) -> &'a Server {
    if server.port() == middle.port() { master } else { middle }
}

#[test]
fn a_sound_stream_is_never_complained_about() {
    let args = ["--repl-backlog-size", "16kb"];
    let servers: Vec<Server> = (0..3).map(|_| Server::start(Kind::Ours, &args)).collect();
    let [head, middle, tail] = servers.as_slice() else { unreachable!() };
    middle.follow(head);
    tail.follow(middle);
    // Two seconds of acknowledgements, with more between them than the backlog holds, and then less.
    for (round, count) in [(1, 20_000), (2, 20_000), (3, 10), (4, 10)] {
        random_writes(&mut head.client(), round, count);
        tail.wait_caught_up(head);
        let written: u64 = head.info("master_repl_offset").parse().unwrap();
        wait_until(BOUND, "it is acknowledged", || {
            let line = middle.info("slave0");
            let offset = line.split(',').find_map(|part| part.strip_prefix("offset=")).unwrap_or("0");
            offset.parse::<u64>().unwrap() >= written
        });
    }
    // What was writable above goes on under a new name: the sums are those of the bytes, whatever they are called.
    middle.cmd(&["REPLICAOF", "NO", "ONE"]);
    tail.wait_for_link(middle);
    head.cmd(&["REPLICAOF", "127.0.0.1", &middle.port().to_string()]);
    head.wait_for_link(middle);
    random_writes(&mut middle.client(), 5, 3000);
    for server in [head, tail] {
        server.wait_caught_up(middle);
        assert_same_data(middle, server);
    }
    for server in &servers {
        assert_eq!(server.info("repl_stream_mismatches"), "0");
    }
}

#[test]
fn lag_is_told_in_time_at_both_ends() {
    let master = Server::start(Kind::Ours, &[]);
    let replica = Server::start(Kind::Ours, &[]);
    replica.follow(&master);
    let lag = || {
        let text = master.info("slave0");
        text.rsplit(',').next().unwrap().strip_prefix("lag_ms=").unwrap_or_else(|| panic!("{text}")).parse::<u64>()
    };
    master.cmd(&["SET", "a", "1"]);
    replica.wait_caught_up(&master);
    wait_until(BOUND, "all is acknowledged", || lag() == Ok(0));
    assert!(replica.info("master_link_lag_ms").parse::<i64>().unwrap() >= 0);
    replica.signal("STOP");
    master.cmd(&["SET", "a", "2"]);
    wait_until(BOUND, "the lag grows with time", || lag().unwrap() > 300);
    replica.signal("CONT");
    wait_until(BOUND, "it has caught up", || lag() == Ok(0));
    drop(master);
    let own = || replica.info("master_link_lag_ms").parse::<i64>().unwrap();
    let before = own();
    wait_until(BOUND, "what a replica holds ages without a master", || own() > before + 300);
}

/// What follows the start of a snapshot is kept for those for whom it is made. Whoever comes when they have gone cannot
/// go on from there.
#[test]
fn who_cannot_join_the_snapshot_that_is_being_made_waits_for_the_next() {
    let args = ["--repl-diskless-sync", "no", "--repl-backlog-size", "16384", "--rdb-key-save-delay", "30000"];
    let master = Server::start(Kind::Ours, &args);
    for key in 0..100 {
        master.cmd(&["SET", &format!("key:{key}"), "value"]);
    }
    let first = Server::start(Kind::Ours, &[]);
    first.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    wait_until(BOUND, "a snapshot is being made", || master.info("rdb_bgsave_in_progress") == "1");
    first.cmd(&["REPLICAOF", "NO", "ONE"]);
    wait_until(BOUND, "it has gone", || master.info("connected_slaves") == "0");
    let value = "v".repeat(100_000);
    for key in 0..20 {
        master.cmd(&["SET", &format!("big:{key}"), &value]);
    }
    master.cmd(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    let second = Server::start(Kind::Ours, &[]);
    second.follow(&master);
    master.cmd(&["SET", "after", "1"]);
    second.wait_caught_up(&master);
    assert!(master.log().contains("Can't attach the replica to the current BGSAVE."), "it had nothing to join");
    assert_same_data(&master, &second);
}
