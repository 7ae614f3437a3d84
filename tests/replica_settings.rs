//! Settings of a replica that take effect while it runs: what it announces, whether it serves stale data, whether it
//! takes writes of its own; the same steps on ours and on stock Redis.

mod support;

use std::time::Duration;

use support::{Client, Kind, Server, Value, wait_until};

const BOUND: Duration = Duration::from_secs(30);

/// The reply to one line on a connection of its own, to be compared.
fn told(server: &Server, line: &str) -> String {
    told_on(&mut server.client(), line)
}

fn told_on(client: &mut Client, line: &str) -> String {
    let args: Vec<&str> = line.split(' ').collect();
    format!("{line}: {:?}", client.cmd(&args))
}

/// A master and its replica, both of this kind, with `k` on both.
fn pair(kind: Kind) -> (Server, Server) {
    let (master, replica) = (Server::start(kind, &[]), Server::start(kind, &[]));
    assert_eq!(master.cmd(&["SET", "k", "v"]), Value::ok());
    replica.follow(&master);
    (master, replica)
}

fn set(server: &Server, name: &str, value: &str) {
    assert_eq!(server.cmd(&["CONFIG", "SET", name, value]), Value::ok(), "{name} {value}");
}

/// Cuts the replica's link and waits until its master has seen the replica at this address.
fn reconnect(master: &Server, replica: &Server, address: &str) {
    assert_eq!(replica.cmd(&["CLIENT", "KILL", "TYPE", "master"]), Value::Int(1));
    wait_until(BOUND, &format!("the master shows {address}"), || {
        let line = master.info("slave0");
        line.starts_with(address) && line.contains("state=online")
    });
    replica.wait_for_link(master);
}

#[test]
fn an_announced_address_shows_at_the_master_after_a_reconnect() {
    for (master_kind, replica_kind) in
        [(Kind::Stock, Kind::Stock), (Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours)]
    {
        let (master, replica) = (Server::start(master_kind, &[]), Server::start(replica_kind, &[]));
        replica.follow(&master);
        let role = || {
            let slaves = master.cmd(&["ROLE"]).items()[2].clone();
            slaves.items()[0].items()[..2].iter().map(Value::text).collect::<Vec<String>>()
        };
        let own = replica.port().to_string();
        wait_until(BOUND, "the replica is online", || master.info("slave0").contains("state=online"));
        set(&replica, "replica-announce-ip", "replica.example");
        set(&replica, "replica-announce-port", "4321");
        assert!(master.info("slave0").starts_with(&format!("ip=127.0.0.1,port={own},")), "not before it reconnects");
        assert_eq!(role(), ["127.0.0.1", &own]);
        reconnect(&master, &replica, "ip=replica.example,port=4321,");
        assert_eq!(role(), ["replica.example", "4321"], "{master_kind:?} to {replica_kind:?}");
        set(&replica, "replica-announce-ip", "");
        set(&replica, "replica-announce-port", "0");
        reconnect(&master, &replica, &format!("ip=127.0.0.1,port={own},"));
        assert_eq!(role(), ["127.0.0.1", &own]);
        assert_eq!(master.info("sync_full"), "1", "it continued each time");
    }
}

#[test]
fn what_sentinels_read_in_info_changes_at_once() {
    let steps = |kind| {
        let (_master, replica) = pair(kind);
        let mut seen = Vec::new();
        for line in ["replica-announced no", "replica-priority 7", "replica-priority 0", "replica-announced yes"] {
            seen.push(told(&replica, &format!("CONFIG SET {line}")));
            seen.extend(["replica_announced", "slave_priority", "slave_read_only"].map(|field| replica.info(field)));
        }
        set(&replica, "replica-read-only", "no");
        seen.push(replica.info("slave_read_only"));
        seen.push(told(&replica, "CONFIG SET replica-priority -1"));
        seen.push(told(&replica, "CONFIG SET replica-announced maybe"));
        seen
    };
    assert_eq!(steps(Kind::Ours), steps(Kind::Stock));
}

#[test]
fn a_replica_without_its_master_serves_stale_data_or_says_why_not() {
    let steps = |kind| {
        let (master, replica) = pair(kind);
        drop(master);
        wait_until(BOUND, "the link is down", || replica.info("master_link_status") == "down");
        let mut seen = Vec::new();
        for serves in ["no", "yes"] {
            set(&replica, "replica-serve-stale-data", serves);
            for line in [
                "GET k",
                "SET k w",
                "PING",
                "ECHO hello",
                "SELECT 1",
                "EXISTS k",
                "DBSIZE",
                "KEYS *",
                "SCAN 0",
                "CONFIG GET replica-serve-stale-data",
                "SUBSCRIBE channel",
                "PUBLISH channel m",
                "PUBSUB CHANNELS",
                "COMMAND FOO",
                "CLIENT GETNAME",
                "HELLO 9",
                "AUTH x",
                "UNWATCH",
                "WATCH k",
                "EXEC",
                "DISCARD",
                "TYPE",
                "FOO",
                "WAIT 0 0",
                "FLUSHALL",
                "SAVE",
                "LATENCY RESET",
                "OBJECT ENCODING k",
                "SLOWLOG LEN",
                "SCRIPT EXISTS",
                "ACL WHOAMI",
                "RESET",
            ] {
                if kind == Kind::Stock || known(&replica, line) {
                    seen.push((line, told(&replica, line)));
                } else {
                    seen.push((line, String::new()));
                }
            }
            for line in ["INFO replication", "COMMAND", "COMMAND COUNT", "ROLE", "LASTSAVE"] {
                let args: Vec<&str> = line.split(' ').collect();
                seen.push((line, format!("refused: {}", replica.cmd(&args).is_error())));
            }
            for command in ["GET k", "SET k w", "PING", "ECHO hello", "INFO replication"] {
                let mut client = replica.client();
                seen.push((command, told_on(&mut client, "MULTI")));
                let args: Vec<&str> = command.split(' ').collect();
                seen.push((command, format!("{:?}", client.cmd(&args))));
                let exec = client.cmd(&["EXEC"]);
                let shown = if command.starts_with("INFO") { exec.is_error().to_string() } else { format!("{exec:?}") };
                seen.push((command, shown));
            }
            // What was queued while stale data were served is refused at its EXEC.
            set(&replica, "replica-serve-stale-data", "yes");
            let mut client = replica.client();
            client.good(&["MULTI"]);
            client.good(&["GET", "k"]);
            set(&replica, "replica-serve-stale-data", serves);
            seen.push(("queued before", told_on(&mut client, "EXEC")));
            seen.push(("queued before", told_on(&mut client, "DISCARD")));
        }
        set(&replica, "replica-serve-stale-data", "no");
        seen.push(("promoted", told(&replica, "REPLICAOF NO ONE")));
        seen.push(("promoted", told(&replica, "GET k")));
        seen
    };
    let (ours, stock) = (steps(Kind::Ours), steps(Kind::Stock));
    let differ = ours.iter().zip(&stock).filter(|(our, theirs)| our != theirs && !our.1.is_empty());
    let differ: Vec<String> = differ.map(|(our, theirs)| format!("{our:?}\n{theirs:?}")).collect();
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
    assert_eq!(ours.len(), stock.len());
    let refusal = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert!(ours[0].1.contains(refusal), "{:?}", ours[0]);
}

/// Whether the server has the command of this line, or nobody has it.
fn known(server: &Server, line: &str) -> bool {
    let name = line.split(' ').next().unwrap();
    name == "FOO" || server.cmd(&["COMMAND", "INFO", name]).items()[0] != Value::Nil
}

#[test]
fn a_read_only_replica_refuses_writes_and_nothing_else() {
    let steps = |kind| {
        let (_master, replica) = pair(kind);
        let mut seen: Vec<String> = ["SET k w", "DEL k", "DEL", "FLUSHALL", "PUBLISH channel m", "EXPIRE k 1", "GET k"]
            .map(|line| told(&replica, line))
            .into();
        let mut client = replica.client();
        for line in ["MULTI", "GET k", "PUBLISH channel m", "EXEC", "MULTI", "SET k w", "GET k", "EXEC", "EXEC"] {
            seen.push(told_on(&mut client, line));
        }
        // Writes that were queued while they were allowed are refused at their EXEC.
        set(&replica, "replica-read-only", "no");
        client.good(&["MULTI"]);
        client.good(&["SET", "k", "w"]);
        set(&replica, "replica-read-only", "yes");
        seen.extend(["EXEC", "GET k", "EXEC"].map(|line| told_on(&mut client, line)));
        seen
    };
    assert_eq!(steps(Kind::Ours), steps(Kind::Stock));
}

#[test]
fn writes_of_a_replica_stay_there_until_the_next_full_sync() {
    let steps = |kind| {
        let (master, replica) = pair(kind);
        let sub = Server::start(kind, &[]);
        sub.follow(&replica);
        set(&replica, "replica-read-only", "no");
        let mut seen: Vec<String> = Vec::new();
        // The master's pings move the offset, too: they come every ten seconds, so one attempt of two is quiet.
        let mut attempts = 0;
        wait_until(BOUND, "writes leave the offset where it was", || {
            attempts += 1;
            let before = replica.info("master_repl_offset");
            seen.clear();
            seen.extend(
                ["SET own 1", "INCR own", "SET k mine", "RPUSH l a b", "PUBLISH c m"].map(|line| told(&replica, line)),
            );
            seen.push(told(&replica, "DEL l"));
            replica.info("master_repl_offset") == before
        });
        assert!(attempts <= 2, "{kind:?}: local writes move the offset");
        master.cmd(&["SET", "later", "1"]);
        replica.wait_caught_up(&master);
        sub.wait_caught_up(&replica);
        seen.extend(["GET k", "EXISTS own", "GET later", "DBSIZE"].map(|line| told(&sub, line)));
        seen.extend(["GET k", "GET own", "DBSIZE"].map(|line| told(&replica, line)));
        assert_eq!(replica.cmd(&["REPLICAOF", "NO", "ONE"]), Value::ok());
        // A history of its own makes the next sync a full one.
        assert_eq!(replica.cmd(&["SET", "apart", "1"]), Value::ok());
        replica.follow(&master);
        assert_eq!(master.info("sync_full"), "2");
        seen.extend(["GET k", "EXISTS own", "EXISTS apart", "DBSIZE"].map(|line| told(&replica, line)));
        seen
    };
    assert_eq!(steps(Kind::Ours), steps(Kind::Stock));
}

#[test]
fn a_key_that_a_replica_itself_gave_an_expiry_goes_when_its_time_has_come() {
    let steps = |kind| {
        let (master, replica) = pair(kind);
        set(&replica, "replica-read-only", "no");
        let mut client = replica.client();
        let mut seen: Vec<String> = ["SET a v PX 20", "SET b v", "PEXPIRE b 20", "SETEX c 1000 v"]
            .map(|line| told_on(&mut client, line))
            .into();
        wait_until(BOUND, "the keys have expired", || {
            client.cmd(&["GET", "a"]) == Value::Nil && client.cmd(&["GET", "b"]) == Value::Nil
        });
        seen.extend(["EXISTS a b c", "TTL a", "TYPE b", "KEYS a*"].map(|line| told_on(&mut client, line)));
        if kind == Kind::Stock {
            // Ours keeps them, unseen, until the next full sync or promotion.
            wait_until(BOUND, "they are deleted", || client.cmd(&["DBSIZE"]) == Value::Int(2));
        }
        seen.extend(["SET a w", "GET a", "TTL a", "INCR b", "TTL b", "DBSIZE"].map(|line| told_on(&mut client, line)));
        assert_eq!(master.cmd(&["DBSIZE"]), Value::Int(1));
        seen
    };
    assert_eq!(steps(Kind::Ours), steps(Kind::Stock));
}
