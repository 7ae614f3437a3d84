//! Servers of other versions and families read what we write for them: as replicas of ours and from a file, and they are
//! told what they cannot hold. `scripts/install-peers --bridge` brings them.

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;
use support::{Kind, Server, assert_same_as_old, assert_same_data, fill, fresh_dir, peer, wait_until};

const REDIS_6_2: Kind = Kind::Peer("redis-server-6.2");
const REDIS_8_2: Kind = Kind::Peer("redis-server-8.2");
const VALKEY_8_1: Kind = Kind::Peer("valkey-server-8.1");
const VALKEY_9_1: Kind = Kind::Peer("valkey-server-9.1");

const FIELDS: [&str; 2] = ["fields:few", "fields:many"];

/// A master of ours with all that every peer can hold.
fn master(version: &str) -> Server {
    let master = Server::start(Kind::Ours, &["--repl-rdb-version", version]);
    let mut client = master.client();
    fill(&mut client);
    // Since 7.2 the digest of a score is made of fewer digits.
    for db in ["0", "3", "15"] {
        client.good(&["SELECT", db]);
        client.good(&["DEL", "zset:edges"]);
    }
    master
}

fn make_fields_expire(master: &Server) {
    let mut client = master.client();
    client.good(&["HSET", "fields:few", "a", "1", "b", "2", "c", "three"]);
    client.good(&["HPEXPIREAT", "fields:few", "4102444800123", "FIELDS", "2", "a", "c"]);
    for n in 0..800u64 {
        client.good(&["HSET", "fields:many", &format!("field:{n}"), &format!("value {n}")]);
        if n % 3 == 0 {
            let moment = (4_102_444_800_000u64 + 977 * n).to_string();
            client.good(&["HPEXPIREAT", "fields:many", &moment, "FIELDS", "1", &format!("field:{n}")]);
        }
    }
}

/// The fields of a hash with their values and, if wanted, when they expire, in order.
fn fields_of(server: &Server, key: &str, times: bool) -> Vec<(String, String, i64)> {
    let mut client = server.client();
    let all = client.good(&["HGETALL", key]);
    let mut time = |field: &str| match times {
        true => client.good(&["HPEXPIRETIME", key, "FIELDS", "1", field]).items()[0].int(),
        false => 0,
    };
    let pairs = all.items().chunks(2).map(|pair| (pair[0].text(), pair[1].text()));
    let mut fields: Vec<_> = pairs.map(|(field, value)| (field.clone(), value, time(&field))).collect();
    fields.sort();
    fields
}

/// Both hold the same: the hashes with fields that expire one by one, as their digests are not the same everywhere.
#[track_caller]
fn assert_same(ours: &Server, others: &[&Server], times: bool) {
    for (key, other) in FIELDS.iter().flat_map(|key| others.iter().map(move |other| (key, other))) {
        assert_eq!(fields_of(ours, key, times), fields_of(other, key, times), "{key}");
    }
    for server in others.iter().chain([&ours]).filter(|server| server.info("role") == "master") {
        FIELDS.iter().for_each(|key| drop(server.client().good(&["DEL", key])));
    }
    for other in others {
        if other.info("role") == "slave" {
            other.wait_caught_up(ours);
        }
        match other.kind() {
            REDIS_6_2 => assert_same_as_old(ours, other),
            _ => assert_same_data(ours, other),
        }
    }
}

/// A peer that starts with a file that `redis-cli --rdb` fetched from us.
#[track_caller]
fn loads(kind: Kind, ours: &Server, magic: &str) -> Server {
    let dir = fresh_dir();
    let file = dir.join("dump.rdb");
    let mut command = Command::new(peer("redis-cli"));
    let status = command.args(["-p", &ours.port().to_string(), "--rdb"]).arg(&file).output().expect("redis-cli runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert!(fs::read(&file).expect("a snapshot").starts_with(magic.as_bytes()));
    let peer = Server::start_in(kind, &dir, &[]);
    peer.wait_loaded();
    peer
}

#[track_caller]
fn reads(kind: Kind, version: &str, magic: &str) {
    let ours = master(version);
    let fields = magic == "REDIS0012" || magic == "VALKEY080";
    if fields {
        make_fields_expire(&ours);
    }
    let replica = Server::start(kind, &[]);
    replica.follow(&ours);
    let loaded = loads(kind, &ours, magic);
    replica.wait_caught_up(&ours);
    assert_same(&ours, &[&replica, &loaded], fields);
}

#[test]
fn redis_6_2_reads_version_9() {
    reads(REDIS_6_2, "9", "REDIS0009");
}

#[test]
fn redis_6_2_reads_older_versions_still() {
    let ours = master("8");
    let mut client = ours.client();
    assert!(ours.info("repl_degraded_syncs") == "0");
    ours.cmd(&["CONFIG", "SET", "repl-incompatible-data", "degrade"]);
    for (version, magic) in [("8", "REDIS0008"), ("7", "REDIS0007"), ("6", "REDIS0006")] {
        client.good(&["CONFIG", "SET", "repl-rdb-version", version]);
        let loaded = loads(REDIS_6_2, &ours, magic);
        // What it could not be told of is streams.
        for db in ["0", "3", "15"] {
            client.good(&["SELECT", db]);
            for key in client.good(&["KEYS", "*"]).items() {
                if client.good(&[b"TYPE".as_slice(), &key.bytes()]).text() == "stream" {
                    client.good(&[b"DEL".as_slice(), &key.bytes()]);
                }
            }
        }
        assert_same_as_old(&ours, &loaded);
    }
    assert_eq!(ours.info("repl_degraded_syncs"), "1", "once the streams were gone nothing was missing");
}

#[test]
fn redis_7_0_reads_what_is_written_unasked() {
    reads(Kind::Stock, "auto", "REDIS0010");
}

#[test]
fn redis_8_2_reads_versions_11_and_12() {
    reads(REDIS_8_2, "11", "REDIS0011");
    reads(REDIS_8_2, "auto", "REDIS0012");
}

#[test]
fn valkey_8_1_reads_version_11() {
    reads(VALKEY_8_1, "11", "REDIS0011");
}

#[test]
fn valkey_9_1_reads_its_own_version() {
    reads(VALKEY_9_1, "80", "VALKEY080");
}

#[test]
fn replicas_of_both_families_that_ask_at_once_are_sent_what_each_understands() {
    let ours = master("auto");
    make_fields_expire(&ours);
    let replicas = [Server::start(REDIS_8_2, &[]), Server::start(VALKEY_9_1, &[]), Server::start(Kind::Ours, &[])];
    let port = ours.port().to_string();
    replicas.iter().for_each(|replica| drop(replica.cmd(&["REPLICAOF", "127.0.0.1", &port])));
    for replica in &replicas {
        replica.wait_for_link(&ours);
        replica.wait_caught_up(&ours);
    }
    assert!(fields_of(&ours, "fields:few", true).iter().any(|field| field.2 == 4_102_444_800_123));
    assert_same(&ours, &replicas.iter().collect::<Vec<_>>(), true);
    assert_eq!(ours.info("repl_degraded_syncs") + &ours.info("repl_refused_syncs"), "00");
}

/// A replica that cannot hold all is refused, with words on both sides, and follows once that is allowed.
#[track_caller]
fn refused_then_degraded(kind: Kind, version: u16) {
    let (ours, replica) = (master("auto"), Server::start(kind, &[]));
    make_fields_expire(&ours);
    let place = format!("127.0.0.1:{}", replica.port());
    if kind != VALKEY_8_1 {
        ours.cmd(&["CONFIG", "SET", "repl-rdb-version-for", &format!("{place} {version}")]);
    }
    let kept = replica.cmd(&["SET", "kept", "1"]);
    assert!(!kept.is_error());
    replica.cmd(&["REPLICAOF", "127.0.0.1", &ours.port().to_string()]);
    let losses = format!("RDB version {version} can't hold 2 hashes with fields that expire (first: db 0 'fields:");
    ours.wait_for_log(&format!("Replica {place} can't be synced: {losses}"));
    replica.wait_for_log(&losses);
    assert_eq!(replica.cmd(&["GET", "kept"]).text(), "1");
    assert_ne!(ours.info("repl_refused_syncs"), "0");
    assert_eq!(ours.info("repl_degraded_syncs"), "0");
    assert!(!replica.log().contains("with SYNC"), "it tries other ways in place of waiting");
    ours.cmd(&["CONFIG", "SET", "repl-incompatible-data", "degrade"]);
    replica.wait_for_link(&ours);
    wait_until(Duration::from_secs(20), "it is counted", || ours.info("repl_degraded_syncs") == "1");
    assert_eq!(ours.info("repl_degraded_items"), "2");
    assert_same(&ours, &[&replica], false);
}

#[test]
fn redis_7_0_is_refused_fields_that_expire() {
    refused_then_degraded(Kind::Stock, 10);
}

#[test]
fn valkey_8_1_is_refused_fields_that_expire() {
    refused_then_degraded(VALKEY_8_1, 10);
}

#[test]
fn libraries_are_refused_before_version_10() {
    let (ours, replica) = (master("9"), Server::start(REDIS_6_2, &[]));
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    ours.client().good(&["FUNCTION", "LOAD", library]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &ours.port().to_string()]);
    replica.wait_for_log("RDB version 9 can't hold 1 library of functions");
    ours.client().good(&["FUNCTION", "FLUSH"]);
    replica.wait_for_link(&ours);
    assert_same(&ours, &[&replica], false);
}

#[test]
fn a_replica_that_waits_is_refused_when_fields_come_to_expire_meanwhile() {
    let (ours, replica) = (master("auto"), Server::start(VALKEY_8_1, &[]));
    let mut client = ours.client();
    client.good(&["CONFIG", "SET", "rdb-key-save-delay", "3000"]);
    client.good(&["BGSAVE"]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &ours.port().to_string()]);
    ours.wait_for_log("Waiting for next BGSAVE for SYNC");
    make_fields_expire(&ours);
    client.good(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    replica.wait_for_log("RDB version 10 can't hold 2 hashes with fields that expire");
    assert_eq!(ours.info("connected_slaves"), "0");
    client.good(&["HPERSIST", "fields:few", "FIELDS", "2", "a", "c"]);
    client.good(&["DEL", "fields:many"]);
    replica.wait_for_link(&ours);
    assert_same(&ours, &[&replica], false);
}
