//! What a bridge speaks to whom: replicas of which more or less is known, what cannot be said to them, and what happens
//! where there is no bridge. `scripts/install-peers --bridge` brings the servers.

mod support;

use std::time::Duration;
use support::{Client, Kind, Server, assert_same_as_old, assert_same_data, wait_until};

const REDIS_6_2: Kind = Kind::Peer("redis-server-6.2");
const REDIS_7_0: Kind = Kind::Stock;
const REDIS_8_2: Kind = Kind::Peer("redis-server-8.2");
const VALKEY_8_1: Kind = Kind::Peer("valkey-server-8.1");
const VALKEY_9_1: Kind = Kind::Peer("valkey-server-9.1");
const BOUND: Duration = Duration::from_secs(60);

fn bridge_of(master: &Server, directives: &[&str]) -> Server {
    let fixed = ["--replication-bridge", "yes", "--repl-reconnect-max-delay", "1"];
    let bridge = Server::start(Kind::Ours, &[&fixed, directives].concat());
    bridge.follow(master);
    bridge
}

/// Says at the bridge what a replica reads.
fn tell(bridge: &Server, replica: &Server, version: u16) {
    let place = format!("127.0.0.1:{} {version}", replica.port());
    bridge.client().good(&["CONFIG", "SET", "repl-rdb-version-for", &place]);
}

fn run(client: &mut Client, lines: &[&str]) {
    for line in lines {
        client.good(&line.split(' ').collect::<Vec<_>>());
    }
}

#[track_caller]
fn assert_same(master: &Server, bridge: &Server, replicas: &[&Server]) {
    bridge.wait_caught_up(master);
    for replica in replicas {
        replica.wait_for_link(bridge);
        replica.wait_caught_up(bridge);
        match replica.kind() {
            REDIS_6_2 => assert_same_as_old(bridge, replica),
            _ => assert_same_data(bridge, replica),
        }
    }
}

#[test]
fn for_a_lower_joiner_a_new_history_begins_and_a_higher_one_just_joins() {
    let master = Server::start(REDIS_8_2, &[]);
    let bridge = bridge_of(&master, &[]);
    let mut client = master.client();
    let new = Server::start(VALKEY_9_1, &[]);
    new.follow(&bridge);
    assert_eq!(bridge.info("bridge_dialect"), "7.2+field-expiry");
    run(
        &mut client,
        &["HSET h a 1 b 2", "HPEXPIREAT h 4102444800123 FIELDS 1 a", "RPUSH l a b c", "LMOVE l l LEFT RIGHT"],
    );
    new.wait_caught_up(&bridge);
    assert_eq!(new.cmd(&["HPEXPIRETIME", "h", "FIELDS", "1", "a"]).items()[0].int(), 4_102_444_800_123);
    run(&mut client, &["HPERSIST h FIELDS 1 a"]);

    let old = Server::start(REDIS_6_2, &[]);
    tell(&bridge, &old, 9);
    let replid = bridge.info("master_replid");
    old.follow(&bridge);
    bridge.wait_for_log(
        "understands 5.0, not 7.2+field-expiry: a new history begins, and all replicas must do a full sync.",
    );
    assert_eq!(bridge.info("bridge_dialect"), "5.0");
    run(&mut client, &["LMOVE l l2 RIGHT LEFT", "SET s v EX 1000", "COPY s s2", "HINCRBYFLOAT h a 0.5", "LPOP l 2"]);
    assert_same(&master, &bridge, &[&old, &new]);
    assert_ne!(bridge.info("master_replid"), replid);
    assert_eq!(bridge.info("bridge_histories"), "2");
    assert_ne!(bridge.info("bridge_rewritten_commands"), "0");

    let middle = Server::start(REDIS_7_0, &[]);
    middle.follow(&bridge);
    run(&mut client, &["SET s w IFEQ v", "RPUSH l3 1 2 3", "LPOP l3 2"].map(|line| line.trim_end_matches(" IFEQ v")));
    assert_same(&master, &bridge, &[&old, &new, &middle]);
    assert_eq!((bridge.info("bridge_histories"), bridge.info("bridge_dialect")), ("2".into(), "5.0".into()));
    // Told to be even older, it would not understand what is said now.
    tell(&bridge, &middle, 8);
    wait_until(BOUND, "the dialect follows what is told", || bridge.info("bridge_dialect") == "4.0");
    assert_same(&master, &bridge, &[&middle]);
    assert_eq!(bridge.info("bridge_degraded_commands"), "0");
}

#[test]
fn what_cannot_be_said_is_refused_until_it_is_gone() {
    for (kind, version) in [(REDIS_7_0, Some(10)), (VALKEY_8_1, None)] {
        let (master, replica) = (Server::start(REDIS_8_2, &[]), Server::start(kind, &[]));
        let bridge = bridge_of(&master, &[]);
        if let Some(version) = version {
            tell(&bridge, &replica, version);
        }
        replica.follow(&bridge);
        let mut client = master.client();
        run(&mut client, &["HSET h a 1 b 2", "SET before 1"]);
        bridge.wait_caught_up(&master);
        replica.wait_caught_up(&bridge);
        run(&mut client, &["HPEXPIRE h 5000000 FIELDS 1 a", "SET after 1"]);
        bridge.wait_for_log("cannot be told");
        bridge.wait_for_log("when fields of key 'h' in db 0 expire (see repl-incompatible-data)");
        bridge.wait_for_log("can't hold 1 hash with fields that expire (first: db 0 'h')");
        assert_eq!(replica.info("master_link_status"), "down");
        assert_eq!(replica.cmd(&["GET", "before"]).text(), "1");
        run(&mut client, &["HPERSIST h FIELDS 1 a"]);
        assert_same(&master, &bridge, &[&replica]);
        assert_eq!(bridge.info("bridge_degraded_commands"), "0");
        assert_eq!(bridge.info("bridge_histories"), "2");
    }
}

#[test]
fn what_cannot_be_said_is_left_out_where_that_is_allowed() {
    let (master, replica) = (Server::start(VALKEY_9_1, &[]), Server::start(VALKEY_8_1, &[]));
    let bridge = bridge_of(&master, &["--repl-incompatible-data", "degrade"]);
    replica.follow(&bridge);
    let mut client = master.client();
    run(&mut client, &["HSET h a 1 b 2", "HPEXPIREAT h 4102444800123 FIELDS 1 a", "HSETEX h EX 1000 FIELDS 1 c 3"]);
    run(&mut client, &["HPERSIST h FIELDS 1 a", "HDEL h b", "HSETEX h PX 50 FIELDS 1 soon gone"]);
    wait_until(BOUND, "the field expires", || master.cmd(&["HLEN", "h"]).int() == 2);
    bridge.wait_caught_up(&master);
    replica.wait_caught_up(&bridge);
    let mut held: Vec<String> = replica.cmd(&["HGETALL", "h"]).items().iter().map(|item| item.text()).collect();
    held.sort();
    assert_eq!(held, ["1", "3", "a", "c"]);
    assert_eq!(bridge.info("bridge_degraded_commands"), "3");
    assert_eq!(bridge.info("bridge_histories"), "1");
    assert_eq!(bridge.info("sync_full"), "1");
}

#[test]
fn a_replica_of_which_nothing_is_known_is_sent_what_can_carry_the_data() {
    let (master, replica) = (Server::start(REDIS_8_2, &[]), Server::start(REDIS_8_2, &[]));
    let bridge = bridge_of(&master, &["--repl-incompatible-data", "degrade"]);
    replica.follow(&bridge);
    assert_eq!(bridge.info("bridge_dialect"), "7.0");
    let mut client = master.client();
    run(&mut client, &["HSET h a 1 b 2", "HPEXPIREAT h 4102444800123 FIELDS 1 a", "HSETEX h KEEPTTL FIELDS 1 a 2"]);
    wait_until(BOUND, "the dialect has words for it", || bridge.info("bridge_dialect") == "7.2+field-expiry");
    assert_same(&master, &bridge, &[&replica]);
    assert_eq!(replica.cmd(&["HPEXPIRETIME", "h", "FIELDS", "1", "a"]).items()[0].int(), 4_102_444_800_123);
    run(&mut client, &["HEXPIRE h 5000 FIELDS 1 b", "HGETEX h PERSIST FIELDS 1 a", "HGETDEL h FIELDS 1 b"]);
    assert_same(&master, &bridge, &[&replica]);
    assert_eq!(bridge.info("bridge_degraded_commands"), "0");
    assert_eq!(bridge.info("sync_full"), "2");
}

#[test]
fn functions_cannot_be_said_before_7_0() {
    let (master, replica) = (Server::start(REDIS_7_0, &[]), Server::start(REDIS_6_2, &[]));
    let bridge = bridge_of(&master, &[]);
    tell(&bridge, &replica, 9);
    replica.follow(&bridge);
    let mut client = master.client();
    let library =
        "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('SET', keys[1], 1) end)";
    client.good(&["FUNCTION", "LOAD", library]);
    bridge.wait_for_log("cannot be told in 5.0 a library of functions (see repl-incompatible-data)");
    client.good(&["FCALL", "f", "1", "k"]);
    client.good(&["FUNCTION", "FLUSH"]);
    assert_same(&master, &bridge, &[&replica]);
}

#[test]
fn the_dialect_outlives_a_restart() {
    let (master, replica) = (Server::start(REDIS_8_2, &[]), Server::start(REDIS_6_2, &[]));
    let mut bridge = bridge_of(&master, &["--save", "3600 1000000"]);
    tell(&bridge, &replica, 9);
    replica.follow(&bridge);
    let mut client = master.client();
    run(&mut client, &["RPUSH l a b c"]);
    bridge.wait_caught_up(&master);
    replica.wait_caught_up(&bridge);
    let (follows, told) = (format!("127.0.0.1 {}", master.port()), format!("127.0.0.1:{} 9", replica.port()));
    assert!(bridge.terminate().success());
    run(&mut client, &["LMOVE l other LEFT LEFT"]);
    bridge.restart_with(&["--replicaof", &follows, "--repl-rdb-version-for", &told]);
    bridge.wait_loaded();
    bridge.wait_caught_up(&master);
    run(&mut client, &["LMOVE l other LEFT LEFT"]);
    assert_same(&master, &bridge, &[&replica]);
    assert_eq!((bridge.info("sync_full"), bridge.info("sync_partial_ok")), ("0".into(), "1".into()));
    assert_eq!(bridge.info("bridge_dialect"), "5.0");
}

#[test]
fn without_the_directive_an_older_replica_is_refused_with_its_name() {
    for (kind, version) in [(REDIS_7_0, Some(10)), (VALKEY_8_1, None)] {
        let (master, replica) = (Server::start(REDIS_8_2, &[]), Server::start(kind, &[]));
        let plain = Server::start(Kind::Ours, &[]);
        plain.follow(&master);
        if let Some(version) = version {
            tell(&plain, &replica, version);
        }
        replica.cmd(&["REPLICAOF", "127.0.0.1", &plain.port().to_string()]);
        plain.wait_for_log("can't follow my master's stream: it reads RDB version 1");
        plain.wait_for_log("my master writes 12, and replication-bridge is off. See replication-bridge.");
        replica.wait_for_log("replication-bridge is off");
        assert_ne!(plain.info("repl_refused_syncs"), "0");
        // With it the replica follows; so does one of which nothing is known without.
        plain.cmd(&["CONFIG", "SET", "replication-bridge", "yes"]);
        run(&mut master.client(), &["HSET h f 1", "HINCRBYFLOAT h f 0.5"]);
        assert_same(&master, &plain, &[&replica]);
    }
}

#[test]
fn without_the_directive_a_replica_of_which_nothing_is_known_is_served_as_ever() {
    let master = Server::start(REDIS_8_2, &[]);
    let plain = Server::start(Kind::Ours, &[]);
    plain.follow(&master);
    let replicas = [Server::start(REDIS_8_2, &[]), Server::start(Kind::Ours, &[])];
    run(&mut master.client(), &["HSET h f 1", "HINCRBYFLOAT h f 0.5", "HSETEX h EX 1000 FIELDS 1 g 2"]);
    replicas.iter().for_each(|replica| replica.follow(&plain));
    run(&mut master.client(), &["HSETEX h EX 1000 FIELDS 1 i 2"]);
    assert_same(&master, &plain, &replicas.iter().collect::<Vec<_>>());
    assert_eq!(plain.info("master_replid"), master.info("master_replid"));
}

#[test]
fn commands_of_other_names_are_said_by_their_own() {
    let (master, replica) = (Server::start(REDIS_8_2, &[]), Server::start(REDIS_6_2, &[]));
    let bridge = bridge_of(&master, &[]);
    tell(&bridge, &replica, 9);
    replica.follow(&bridge);
    let renamed = Server::start(Kind::Ours, &["--replication-bridge", "yes", "--rename-command", "DEL", "remove"]);
    let below = Server::start(REDIS_7_0, &[]);
    below.follow(&renamed);
    run(&mut renamed.client(), &["SET a 1", "SET b 1 PX 30", "GETDEL a", "HSET h f 1", "HSETEX h EX 0 FIELDS 1 f 2"]);
    wait_until(BOUND, "the key expires", || renamed.cmd(&["DBSIZE"]).int() == 0);
    below.wait_caught_up(&renamed);
    assert_eq!(below.cmd(&["DBSIZE"]).int(), 0);
}
