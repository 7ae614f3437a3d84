//! A node with `replication-bridge yes` between servers of different versions and families: it has a history of its own,
//! its replicas continue with it and it continues with its master. `scripts/install-peers --bridge` brings the servers.

mod support;

use std::time::Duration;
use support::{Kind, Proxy, Server, assert_same_as_old, assert_same_data, fill, random_writes, wait_until};

const REDIS_6_2: Kind = Kind::Peer("redis-server-6.2");
const REDIS_7_0: Kind = Kind::Stock;
const REDIS_8_2: Kind = Kind::Peer("redis-server-8.2");
const VALKEY_9_1: Kind = Kind::Peer("valkey-server-9.1");
const BOUND: Duration = Duration::from_secs(60);

/// A master, a bridge and its replicas, linked through proxies that can cut.
struct Bridged {
    master: Server,
    bridge: Server,
    replicas: Vec<Server>,
    above: Proxy,
    below: Proxy,
}

impl Bridged {
    #[track_caller]
    fn start(master: Kind, replicas: &[Kind], directives: &[&str]) -> Bridged {
        let master = Server::start(master, &["--repl-backlog-size", "64mb"]);
        let fixed = ["--replication-bridge", "yes", "--repl-backlog-size", "64mb", "--repl-reconnect-max-delay", "1"];
        let bridge = Server::start(Kind::Ours, &[&fixed, directives].concat());
        let (above, below) = (Proxy::to(master.port()), Proxy::to(bridge.port()));
        let replicas: Vec<Server> = replicas.iter().map(|kind| Server::start(*kind, &[])).collect();
        let old = replicas.iter().filter(|replica| replica.kind() == REDIS_6_2);
        for place in old.map(|replica| format!("127.0.0.1:{} 9", replica.port())) {
            bridge.client().good(&["CONFIG", "SET", "repl-rdb-version-for", &place]);
        }
        let bridged = Bridged { master, bridge, replicas, above, below };
        without_edges(&bridged.master, fill);
        bridged.link(&bridged.bridge, bridged.above.port());
        for replica in &bridged.replicas {
            bridged.link(replica, bridged.below.port());
        }
        bridged
    }

    fn link(&self, server: &Server, port: u16) {
        server.cmd(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        wait_until(BOUND, "the link is up", || server.info("master_link_status") == "up");
    }

    #[track_caller]
    fn wait_caught_up(&self) {
        self.bridge.wait_caught_up(&self.master);
        self.replicas.iter().for_each(|replica| replica.wait_caught_up(&self.bridge));
    }

    /// All hold what the master holds.
    #[track_caller]
    fn assert_same(&self) {
        self.wait_caught_up();
        assert_same_data(&self.master, &self.bridge);
        for replica in &self.replicas {
            match replica.kind() {
                REDIS_6_2 => assert_same_as_old(&self.bridge, replica),
                _ => assert_same_data(&self.bridge, replica),
            }
        }
    }

    fn counts(&self) -> [String; 4] {
        let of = |server: &Server, field: &str| server.info(field);
        [
            of(&self.master, "sync_full"),
            of(&self.bridge, "sync_full"),
            of(&self.master, "sync_partial_ok"),
            of(&self.bridge, "sync_partial_ok"),
        ]
    }

    fn writes(&self, seed: u64, count: usize) {
        without_edges(&self.master, |client| random_writes(client, seed, count));
    }
}

/// Since 7.2 the digest of a score is made of fewer digits.
fn without_edges(server: &Server, write: impl FnOnce(&mut support::Client)) {
    let mut client = server.client();
    write(&mut client);
    for db in ["0", "3", "15"] {
        client.good(&["SELECT", db]);
        client.good(&["DEL", "zset:edges"]);
    }
}

/// Full and partial syncs of the master, of the bridge.
fn syncs(full: [u32; 2], partial: [u32; 2]) -> [String; 4] {
    [full[0], full[1], partial[0], partial[1]].map(|count| count.to_string())
}

#[track_caller]
fn continues_after_cuts(master: Kind, replicas: &[Kind]) {
    let nodes = Bridged::start(master, replicas, &["--repl-ping-replica-period", "1"]);
    let count = replicas.len() as u32;
    nodes.writes(1, 1000);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, count], [0, 0]));
    let own = nodes.bridge.info("master_replid");
    assert_ne!(own, nodes.master.info("master_replid"));
    assert_eq!(nodes.bridge.info("bridge_master_replid"), nodes.master.info("master_replid"));
    assert_eq!(nodes.replicas[0].info("master_replid"), own);

    nodes.above.cut_now();
    nodes.writes(2, 500);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, count], [1, 0]), "the bridge continues, its replicas notice nothing");
    nodes.below.cut_now();
    nodes.writes(3, 500);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, count], [1, count]));
    nodes.below.cut_now();
    nodes.above.cut_now();
    nodes.writes(4, 500);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, count], [2, 2 * count]));
    assert_eq!(nodes.bridge.info("master_replid"), own);
    assert_eq!(nodes.bridge.info("bridge_histories"), "1");
}

#[test]
fn redis_8_2_over_redis_7_0_and_6_2_continues_after_cuts() {
    continues_after_cuts(REDIS_8_2, &[REDIS_6_2, REDIS_7_0]);
}

#[test]
fn valkey_9_1_over_redis_8_2_continues_after_cuts() {
    continues_after_cuts(VALKEY_9_1, &[REDIS_8_2]);
}

#[test]
fn a_master_of_ours_over_a_replica_of_ours_continues_after_cuts() {
    continues_after_cuts(Kind::Ours, &[Kind::Ours]);
}

#[test]
fn pings_of_the_bridge_reach_its_replicas_and_those_of_its_master_do_not() {
    let nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &["--repl-ping-replica-period", "3600"]);
    nodes.master.cmd(&["CONFIG", "SET", "repl-ping-replica-period", "1"]);
    nodes.wait_caught_up();
    let offset = |server: &Server, field: &str| server.info(field).parse::<u64>().expect("an offset");
    let (own, theirs) = (offset(&nodes.bridge, "master_repl_offset"), offset(&nodes.bridge, "slave_repl_offset"));
    wait_until(BOUND, "the master pings", || offset(&nodes.bridge, "slave_repl_offset") >= theirs + 28);
    assert_eq!(offset(&nodes.bridge, "master_repl_offset"), own);
    nodes.bridge.cmd(&["CONFIG", "SET", "repl-ping-replica-period", "1"]);
    wait_until(BOUND, "the bridge pings", || offset(&nodes.replicas[0], "slave_repl_offset") >= own + 28);
    nodes.assert_same();
}

#[test]
fn the_master_hears_how_far_the_bridge_is_in_its_history() {
    let nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &[]);
    let mut client = nodes.master.client();
    for n in 0..50 {
        client.good(&["SET", "acked", &n.to_string()]);
        assert_eq!(client.good(&["WAIT", "1", "10000"]).int(), 1);
        assert_eq!(nodes.bridge.cmd(&["GET", "acked"]).text(), n.to_string());
    }
    let role = nodes.bridge.cmd(&["ROLE"]);
    assert_eq!(role.items()[4].int().to_string(), nodes.bridge.info("slave_repl_offset"));
}

#[test]
fn a_bridge_that_was_shut_down_with_a_save_continues_on_both_sides() {
    let mut nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &["--save", "3600 1000000"]);
    nodes.writes(1, 500);
    nodes.assert_same();
    nodes.master.client().good(&["SELECT", "3"]);
    let port = format!("127.0.0.1 {}", nodes.above.port());
    assert!(nodes.bridge.terminate().success());
    nodes.writes(2, 500);
    nodes.bridge.restart_with(&["--replicaof", &port]);
    nodes.bridge.wait_loaded();
    nodes.writes(3, 500);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, 0], [1, 1]), "nobody needed a full sync");
}

#[test]
fn a_bridge_that_was_killed_never_continues_falsely() {
    let mut nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &["--save", "3600 1000000"]);
    nodes.writes(1, 300);
    nodes.wait_caught_up();
    nodes.bridge.cmd(&["SAVE"]);
    nodes.writes(2, 300);
    nodes.assert_same();
    let port = format!("127.0.0.1 {}", nodes.above.port());
    nodes.bridge.kill();
    nodes.bridge.restart_with(&["--replicaof", &port]);
    nodes.bridge.wait_loaded();
    nodes.writes(3, 300);
    nodes.assert_same();
    assert_eq!(nodes.counts(), syncs([1, 1], [1, 0]), "the bridge continues; its replica had more than the file");
}

#[test]
fn a_bridge_is_promoted_and_its_replicas_go_on() {
    let nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &[]);
    nodes.writes(1, 300);
    nodes.assert_same();
    nodes.bridge.cmd(&["REPLICAOF", "NO", "ONE"]);
    random_writes(&mut nodes.bridge.client(), 5, 300);
    nodes.replicas[0].wait_caught_up(&nodes.bridge);
    assert_same_data(&nodes.bridge, &nodes.replicas[0]);
    assert_eq!(nodes.bridge.info("sync_full"), "1");
    assert_eq!(nodes.bridge.info("bridge_master_replid"), "");
    // It follows somebody who is not there, and thinks better of it.
    nodes.bridge.cmd(&["REPLICAOF", "127.0.0.1", "1"]);
    nodes.bridge.cmd(&["REPLICAOF", "NO", "ONE"]);
    random_writes(&mut nodes.bridge.client(), 7, 100);
    nodes.replicas[0].wait_caught_up(&nodes.bridge);
    assert_eq!(nodes.bridge.info("sync_full"), "1");
    // As a master that becomes a replica of one that has continued its history, it continues, too.
    nodes.replicas[0].cmd(&["REPLICAOF", "NO", "ONE"]);
    nodes.link(&nodes.bridge, nodes.replicas[0].port());
    random_writes(&mut nodes.replicas[0].client(), 6, 300);
    nodes.bridge.wait_caught_up(&nodes.replicas[0]);
    assert_same_data(&nodes.bridge, &nodes.replicas[0]);
    assert_eq!(nodes.replicas[0].info("sync_full"), "0");
    assert_eq!(nodes.replicas[0].info("sync_partial_ok"), "1");
}

#[test]
fn the_directive_at_run_time_parts_the_histories_and_joins_them_again() {
    let nodes = Bridged::start(VALKEY_9_1, &[REDIS_7_0], &["--replication-bridge", "no"]);
    let replid = nodes.master.info("master_replid");
    nodes.writes(1, 300);
    nodes.assert_same();
    assert_eq!(
        (nodes.bridge.info("master_replid"), nodes.bridge.info("replication_bridge")),
        (replid.clone(), "0".into())
    );
    nodes.bridge.cmd(&["CONFIG", "SET", "replication-bridge", "yes"]);
    assert_eq!(nodes.bridge.info("bridge_master_replid"), replid);
    nodes.writes(2, 300);
    nodes.assert_same();
    assert_ne!(nodes.bridge.info("master_replid"), replid);
    assert_eq!(nodes.counts(), syncs([1, 1], [0, 1]), "the replica continued under the new name");
    nodes.above.cut_now();
    nodes.writes(3, 300);
    nodes.bridge.cmd(&["CONFIG", "SET", "replication-bridge", "no"]);
    nodes.assert_same();
    assert_eq!(nodes.bridge.info("master_replid"), replid);
    assert_eq!(nodes.bridge.info("master_repl_offset"), nodes.bridge.info("slave_repl_offset"));
    assert_eq!(nodes.counts(), syncs([1, 2], [1, 1]));
}

#[test]
fn transactions_and_scripts_and_messages_pass_through() {
    let nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &[]);
    let mut listener = nodes.replicas[0].client();
    listener.good(&["SUBSCRIBE", "news"]);
    let mut client = nodes.master.client();
    for n in 0..20 {
        let n = n.to_string();
        client.good(&["MULTI"]);
        client.good(&["SET", "tx:a", &n]);
        client.good(&["SELECT", "3"]);
        client.good(&["RPUSH", "tx:b", &n]);
        client.good(&["SELECT", "0"]);
        client.good(&["EXEC"]);
        let script = "for i = 1, 3 do redis.call('RPUSH', KEYS[1], ARGV[1] .. i) end redis.call('SET', 's', ARGV[1])";
        client.good(&["EVAL", script, "1", "script:list", &n]);
    }
    client.good(&["PUBLISH", "news", "of the day"]);
    let message = listener.read().expect("a message");
    assert_eq!(message.items()[2].text(), "of the day");
    nodes.assert_same();
    // A cut in the middle of a transaction: it comes again as a whole.
    for after in [10, 60, 90, 120, 200] {
        nodes.above.plan(support::Stage::Live, after);
        client.good(&["MULTI"]);
        (0..5).for_each(|n| drop(client.good(&["RPUSH", "tx:whole", &n.to_string()])));
        client.good(&["EXEC"]);
        nodes.above.cut_now();
        nodes.assert_same();
    }
    assert_eq!(nodes.counts()[..2], syncs([1, 1], [0, 0])[..2]);
}

#[test]
fn a_failover_to_a_bridge_is_refused_and_one_from_it_succeeds() {
    let nodes = Bridged::start(REDIS_8_2, &[REDIS_7_0], &[]);
    nodes.wait_caught_up();
    let to = |server: &Server| ["FAILOVER", "TO", "127.0.0.1", &server.port().to_string()].map(str::to_string);
    assert!(!nodes.master.cmd(&to(&nodes.bridge)).is_error());
    nodes.bridge.wait_for_log("It is refused: a bridge (replication-bridge yes) has a history of its own.");
    wait_until(BOUND, "the master is the master again", || {
        nodes.master.info("master_failover_state") == "no-failover" && nodes.master.info("role") == "master"
    });
    nodes.writes(1, 200);
    nodes.assert_same();

    let heir = &nodes.replicas[0];
    nodes.bridge.cmd(&["REPLICAOF", "NO", "ONE"]);
    // The heir is to be reached where it listens, not through the proxy.
    nodes.link(heir, nodes.bridge.port());
    random_writes(&mut nodes.bridge.client(), 2, 200);
    let full = (nodes.bridge.info("sync_full"), heir.info("sync_full"));
    assert!(!nodes.bridge.cmd(&to(heir)).is_error());
    wait_until(BOUND, "the heir has taken over", || heir.info("role") == "master");
    nodes.bridge.wait_for_link(heir);
    random_writes(&mut heir.client(), 3, 200);
    nodes.bridge.wait_caught_up(heir);
    assert_same_data(heir, &nodes.bridge);
    assert_eq!((nodes.bridge.info("sync_full"), heir.info("sync_full")), full, "nobody needed a full sync");
}
