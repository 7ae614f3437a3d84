//! `maxmemory` from outside: who goes, who is refused, and what replicas hear of it.

mod support;

use std::time::Duration;
use support::{Client, Kind, Server, Value, assert_same_data, fill, wait_until};

const BOUND: Duration = Duration::from_secs(40);
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const KINDS: [Kind; 2] = [Kind::Ours, Kind::Stock];

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().unwrap_or_else(|_| panic!("{field}: {:?}", server.info(field)))
}

/// Lets so much memory be used beside what is.
fn allow(server: &Server, bytes: u64) {
    let limit = number(server, "used_memory") + bytes;
    assert_eq!(server.cmd(&["CONFIG", "SET", "maxmemory", &limit.to_string()]), Value::ok());
}

/// Sets keys `prefix:0` and so on; each has to be taken.
fn set_many(client: &mut Client, prefix: &str, count: usize, options: &[&str]) {
    let commands: Vec<Vec<String>> = (0..count)
        .map(|number| {
            let head = ["SET", &format!("{prefix}:{number}"), &"v".repeat(200)].map(String::from);
            head.into_iter().chain(options.iter().map(|word| word.to_string())).collect()
        })
        .collect();
    for reply in client.pipeline(&commands) {
        assert_eq!(reply, Value::ok());
    }
}

/// How many of the keys `prefix:0` and so on are there.
fn left(client: &mut Client, prefix: &str, count: usize) -> usize {
    let commands: Vec<Vec<String>> = (0..count).map(|n| vec!["TYPE".into(), format!("{prefix}:{n}")]).collect();
    client.pipeline(&commands).iter().filter(|reply| **reply == Value::Simple("string".into())).count()
}

#[test]
fn memory_stays_within_its_limit_by_every_policy_that_has_keys_go() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = Server::start(Kind::Ours, &["--maxmemory-policy", policy]);
        let mut client = server.client();
        allow(&server, 4 << 20);
        let options: &[&str] = if policy.starts_with("volatile") { &["EX", "10000"] } else { &[] };
        set_many(&mut client, "k", 20_000, options);
        let (used, limit) = (number(&server, "used_memory"), number(&server, "maxmemory"));
        assert!(used < limit + (200 << 10), "{policy}: {used} {limit}");
        // Questions cost memory, too: more keys may go while they are counted.
        let before = number(&server, "evicted_keys");
        let there = left(&mut client, "k", 20_000);
        assert!((5_000..19_000).contains(&there), "{policy}: {there}");
        assert!((before..=number(&server, "evicted_keys")).contains(&(20_000 - there as u64)), "{policy}: {there}");
        if policy.starts_with("volatile") {
            // A key that does not expire may not go: when nobody else is left, there is no room.
            let refused = (0..100_000).find_map(|n| {
                let reply = client.cmd(&["SET", &format!("forever:{n}"), &"v".repeat(200)]);
                reply.is_error().then_some((n, reply))
            });
            let (taken, refusal) = refused.expect("memory is short at last");
            assert_eq!(refusal, Value::Error(OOM.into()));
            assert_eq!((left(&mut client, "k", 20_000), left(&mut client, "forever", taken)), (0, taken));
            assert!(
                number(&server, "current_eviction_exceeded_time") <= number(&server, "total_eviction_exceeded_time")
            );
        }
    }
}

#[test]
fn what_is_refused_and_what_is_not_is_as_in_stock() {
    let servers = KINDS.map(|kind| Server::start(kind, &[]));
    let mut clients = servers.each_ref().map(Server::client);
    for line in [
        "SET k 1",
        "RPUSH list 1 2 3",
        "WATCH k",
        "UNWATCH",
        "CONFIG SET maxmemory 1",
        "SET k 2",
        "GET k",
        "APPEND k 3",
        "DEL k",
        "INCR k",
        "SPOP none",
        "LPOP list",
        "LPUSH list 0",
        "EXPIRE list 100",
        "RENAME list other",
        "COPY other list",
        "RESTORE x 0 bad",
        "SORT other STORE list",
        "SORT other",
        "GETDEL k",
        "GETEX k EX 100",
        "MULTI",
        "SET k 1",
        "EXEC",
        "MULTI",
        "GET k",
        "PING",
        "EXEC",
        "MULTI",
        "DISCARD",
        "MULTI",
        "RESET",
        "SUBSCRIBE channel",
        "SET k 1",
        "UNSUBSCRIBE",
        "CONFIG SET maxmemory 0",
        "MULTI",
        "SET k 1",
        "CONFIG SET maxmemory 1",
        "SET k 2",
        "EXEC",
        "GET k",
        "CONFIG SET maxmemory-policy volatile-lru",
        "SET k 3",
        "GET k",
        "CONFIG SET maxmemory-policy allkeys-lru",
        "SET k 3",
        "GET k",
        "DBSIZE",
        "INFO errorstats",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let [ours, stock] = clients.each_mut().map(|client| client.cmd(&words));
        assert_eq!(ours, stock, "{line}");
    }
    // A transaction that was queued while there was room is refused where it would take memory, and only there.
    for (command, refused) in [("SET", true), ("GET", false)] {
        let replies = servers.each_ref().map(|server| {
            let (mut client, mut other) = (server.client(), server.client());
            client.good(&["CONFIG", "SET", "maxmemory", "0"]);
            client.good(&["MULTI"]);
            let args: &[&str] = if command == "SET" { &["SET", "k", "1"] } else { &["GET", "k"] };
            client.good(args);
            other.good(&["CONFIG", "SET", "maxmemory", "1"]);
            client.cmd(&["EXEC"])
        });
        assert_eq!(replies[0], replies[1]);
        assert_eq!(replies[0].is_error(), refused, "{replies:?}");
    }
}

#[test]
fn keys_that_are_used_outlive_those_that_are_not() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        let server = Server::start(Kind::Ours, &["--maxmemory-policy", policy, "--maxmemory-samples", "10"]);
        let mut client = server.client();
        set_many(&mut client, "hot", 2000, &[]);
        set_many(&mut client, "cold", 2000, &[]);
        // The access clock has seconds: let one pass, then use the half of them.
        let idle = || server.cmd(&["OBJECT", "IDLETIME", "cold:0"]);
        if policy == "allkeys-lru" {
            wait_until(BOUND, "the keys are idle for two seconds", || idle().int() >= 2);
        }
        for _ in 0..20 {
            let reads: Vec<Vec<String>> = (0..2000).map(|n| vec!["GET".into(), format!("hot:{n}")]).collect();
            client.pipeline(&reads);
        }
        allow(&server, 0);
        set_many(&mut client, "new", 1500, &[]);
        let (hot, cold) = (left(&mut client, "hot", 2000), left(&mut client, "cold", 2000));
        assert!(hot > 1900 && cold < 1500, "{policy}: {hot} hot and {cold} cold keys are left");
    }
}

#[test]
fn the_pairs_of_master_and_replica_end_with_the_same_keys() {
    for (master_kind, replica_kind) in [(Kind::Ours, Kind::Ours), (Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours)]
    {
        for lazily in ["no", "yes"] {
            let args = ["--maxmemory-policy", "allkeys-lru", "--lazyfree-lazy-eviction", lazily];
            let (master, replica) = (Server::start(master_kind, &args), Server::start(replica_kind, &args));
            replica.follow(&master);
            wait_until(BOUND, "the replica is online", || master.info("slave0").contains("state=online"));
            // The replica has less memory yet; it does not evict on its own.
            replica.cmd(&["CONFIG", "SET", "maxmemory", "1mb"]);
            let mut client = master.client();
            fill(&mut client);
            allow(&master, 1 << 20);
            for database in ["0", "3"] {
                client.good(&["SELECT", database]);
                set_many(&mut client, "k", 8000, &[]);
                for n in 0..50 {
                    let members: Vec<String> = (0..200).map(|member| format!("member:{member}")).collect();
                    let head = ["SADD".to_string(), format!("big:{n}")];
                    client.good(&head.into_iter().chain(members).collect::<Vec<_>>());
                }
            }
            // A lower limit is followed at once, whether commands come or not.
            let half = number(&master, "used_memory") / 2;
            client.good(&["CONFIG", "SET", "maxmemory", &half.to_string()]);
            wait_until(BOUND, "keys are evicted", || number(&master, "evicted_keys") > 100);
            set_many(&mut client, "more", 500, &[]);
            // What is asked takes memory, too.
            client.good(&["CONFIG", "SET", "maxmemory", "0"]);
            client.good(&["SELECT", "0"]);
            replica.wait_caught_up(&master);
            assert_eq!(number(&replica, "evicted_keys"), 0);
            assert_same_data(&master, &replica);
            if (master_kind, lazily) == (Kind::Ours, "yes") {
                assert!(number(&master, "lazyfreed_objects") > 0);
            }
        }
    }
}

#[test]
fn a_replica_that_does_not_ignore_the_limit_evicts_but_never_refuses_its_master() {
    let master = Server::start(Kind::Ours, &[]);
    let replica =
        Server::start(Kind::Ours, &["--replica-ignore-maxmemory", "no", "--maxmemory-policy", "allkeys-random"]);
    replica.follow(&master);
    wait_until(BOUND, "the replica is online", || master.info("slave0").contains("state=online"));
    allow(&replica, 1 << 20);
    let mut client = master.client();
    set_many(&mut client, "k", 10_000, &[]);
    replica.wait_caught_up(&master);
    assert!(number(&replica, "evicted_keys") > 1000);
    replica.cmd(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    set_many(&mut client, "more", 100, &[]);
    replica.wait_caught_up(&master);
    assert_eq!(left(&mut replica.client(), "more", 100), 100);
}

#[test]
fn what_is_kept_for_a_slow_replica_does_not_drive_keys_out() {
    let master = Server::start(Kind::Ours, &["--maxmemory-policy", "allkeys-lru", "--repl-backlog-size", "16kb"]);
    let replica = Server::start(Kind::Ours, &[]);
    let mut client = master.client();
    set_many(&mut client, "k", 2000, &[]);
    replica.follow(&master);
    wait_until(BOUND, "the replica is online", || master.info("slave0").contains("state=online"));
    let mut sleeper = replica.client();
    sleeper.write_raw(&support::encode(&["DEBUG", "SLEEP", "2"])).unwrap();
    allow(&master, 3 << 20);
    // As much as a socket cannot hold, into one key.
    let big = "x".repeat(1 << 20);
    wait_until(BOUND, "the log is longer than the limit allows", || {
        client.good(&["SET", "big", &big]);
        number(&master, "mem_not_counted_for_evict") > 6 << 20
    });
    assert_eq!((number(&master, "evicted_keys"), left(&mut client, "k", 2000)), (0, 2000));
    assert!(number(&master, "used_memory") > number(&master, "maxmemory"));
}

#[test]
fn what_is_known_of_accesses_survives_a_restart_and_goes_to_stock() {
    for (policy, question, low, high) in [
        ("allkeys-lfu", "FREQ", 9, 11),
        ("volatile-lru", "IDLETIME", 1000, 1030),
        ("allkeys-lru", "IDLETIME", 1000, 1030),
    ] {
        let mut server = Server::start(Kind::Ours, &["--maxmemory-policy", policy, "--lfu-decay-time", "0"]);
        let mut client = server.client();
        client.good(&["RPUSH", "list", "a"]);
        let payload = client.cmd(&["DUMP", "list"]).bytes();
        let (word, value) = if question == "FREQ" { ("FREQ", "10") } else { ("IDLETIME", "1000") };
        client.good(&[b"RESTORE", b"k".as_slice(), b"0", &payload, word.as_bytes(), value.as_bytes()]);
        for kind in [Kind::Ours, Kind::Stock, Kind::Ours] {
            server.cmd(&["SAVE"]);
            let dir = support::fresh_dir();
            std::fs::copy(server.dir().join("dump.rdb"), dir.join("dump.rdb")).unwrap();
            server = Server::start_in(kind, &dir, &["--maxmemory-policy", policy, "--lfu-decay-time", "0"]);
            server.wait_loaded();
            let told = server.cmd(&["OBJECT", question, "k"]).int();
            assert!((low..=high).contains(&told), "{policy}, {kind:?}: {told}");
        }
    }
}

#[test]
fn a_watched_key_that_is_evicted_spoils_the_transaction() {
    for kind in KINDS {
        let server = Server::start(kind, &["--maxmemory-policy", "allkeys-lru"]);
        let mut client = server.client();
        client.good(&["SET", "k", "v"]);
        client.good(&["WATCH", "k"]);
        client.good(&["MULTI"]);
        client.good(&["GET", "other"]);
        server.cmd(&["CONFIG", "SET", "maxmemory", "1"]);
        server.cmd(&["SET", "x", "y"]);
        server.cmd(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(client.cmd(&["EXEC"]), Value::Nil, "{kind:?}");
    }
}
