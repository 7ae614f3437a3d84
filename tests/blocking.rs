//! Clients that wait for keys: BLPOP and its sisters, beside stock Redis.

mod support;

use std::time::Duration;

use support::{Client, Dice, Kind, Server, Value, assert_same_data, encode, wait_until};

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
        (&[], &["BZPOPMIN z 0", "BZPOPMAX z 0", "BZPOPMIN y z 3"], &["ZADD z 1 a 2 b 3 c 4 d", "ZCARD z"]),
        (&[], &["BZPOPMIN z 0", "BLPOP z 0"], &["RPUSH z 1", "ZADD z 1 a", "DEL z", "ZADD z 2 b"]),
        (&[], &["BZMPOP 0 2 y z MAX COUNT 2", "BZMPOP 0 1 z MIN"], &["ZADD z 1 a 2 b 3 c 1.5 d", "ZCARD z"]),
        (&["ZADD x 1 a 2 b"], &["BZPOPMIN z 0"], &["ZUNIONSTORE z 1 x WEIGHTS 3", "ZCARD z"]),
        (&["ZADD x 1 a 2 b"], &["BZPOPMIN z 0"], &["ZRANGESTORE z x 0 -1", "ZCARD z"]),
        (&[], &["BZPOPMAX z 0"], &["ZINCRBY z 3 a", "EXISTS z"]),
        (&[], &["BZPOPMIN z 0"], &["MULTI", "ZADD z 1 a 2 b", "ZREM z a", "EXEC", "EXISTS z"]),
        (&["ZADD x 1 a"], &["BZPOPMIN z 0"], &["RENAME x z", "EXISTS z"]),
        (&[], &["BLPOP a 0"], &["LPUSHX a 1", "LINSERT a BEFORE 1 2", "FLUSHALL", "RPUSH a 1"]),
    ];
    for (setup, waits, acts) in scenes {
        let [ours, stock] = [&ours, &stock].map(|server| scene(server, setup, waits, acts));
        assert_eq!(ours, stock, "{setup:?} {waits:?} {acts:?}");
    }
}

#[test]
fn refusals_and_transactions_are_those_of_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let lines = [
        "SET s x",
        "RPUSH l 1 2 3 4 5 6",
        "ZADD z 1 a 2 b 3 c 4 d",
        "BLPOP",
        "BLPOP l",
        "BLPOP l x",
        "BLPOP l -1",
        "BLPOP l nan",
        "BLPOP l -inf",
        "BLPOP s 0",
        "BLPOP none s 0",
        "BRPOP z 1",
        "BLPOP none l 1",
        "BRPOP l none 0x10",
        "BLMOVE l l",
        "BLMOVE l l LEFT LEFT x",
        "BLMOVE l l LEFT UP 0",
        "BLMOVE l s LEFT LEFT 0",
        "BLMOVE s l LEFT LEFT 0",
        "BLMOVE l m LEFT RIGHT 0",
        "BRPOPLPUSH l m -2",
        "BRPOPLPUSH l m 0.5",
        "BLMPOP 0 0 l LEFT",
        "BLMPOP x 1 l LEFT",
        "BLMPOP -1 1 l LEFT",
        "BLMPOP 0 2 l LEFT",
        "BLMPOP 0 1 l UP",
        "BLMPOP 0 1 l LEFT COUNT",
        "BLMPOP 0 1 l LEFT COUNT 0",
        "BLMPOP 0 1 l LEFT COUNT 1 COUNT 2",
        "BLMPOP 0 1 s LEFT",
        "BLMPOP 0 2 none l RIGHT COUNT 2",
        "BZPOPMIN s 0",
        "BZPOPMIN z x",
        "BZPOPMIN none z 0",
        "BZPOPMAX z 0",
        "BZMPOP 0 1 s MIN",
        "BZMPOP 0 1 z LEFT",
        "BZMPOP 0 0 z MIN",
        "BZMPOP x 1 z MIN",
        "BZMPOP 0 1 z MIN COUNT 10",
        "BLPOP none 0.001",
        "BZPOPMIN none 0.001",
        "BLMOVE none l LEFT LEFT 0.001",
        "BRPOPLPUSH none l 0.001",
        "BLMPOP 0.001 1 none LEFT",
        "BZMPOP 0.001 1 none MIN",
        "MULTI",
        "BLPOP none 0",
        "BLPOP none s 0",
        "RPUSH l 1 2 3",
        "BRPOP l 0",
        "BLMOVE none l LEFT LEFT 0",
        "BRPOPLPUSH none l 0",
        "BRPOPLPUSH l k 0",
        "BLMPOP 0 1 none LEFT",
        "BZPOPMIN none 0",
        "BZMPOP 0 1 none MIN",
        "BLPOP none x",
        "EXEC",
        "COMMAND GETKEYS BLMPOP 0 2 a b LEFT",
        "COMMAND GETKEYS BZMPOP 0 2 a b MIN",
        "COMMAND GETKEYS BLPOP a b 0",
        "COMMAND GETKEYS BLMOVE a b LEFT LEFT 0",
    ];
    for hello in ["2", "3"] {
        let (mut one, mut other) = (ours.client(), stock.client());
        one.good(&["HELLO", hello]);
        other.good(&["HELLO", hello]);
        for line in lines {
            assert_eq!(one.cmd(&words(line)), other.cmd(&words(line)), "{line} in RESP{hello}");
        }
        for server in [&ours, &stock] {
            server.cmd(&["FLUSHALL"]);
        }
    }
}

#[test]
fn a_wait_is_too_long_where_its_end_cannot_be_told() {
    let server = Server::start(Kind::Ours, &[]);
    for timeout in ["inf", "1e300", "9223372036854775", "9223372036854775.807"] {
        let said = server.cmd(&["BLPOP", "a", timeout]);
        assert_eq!(said, Value::Error("ERR timeout is out of range".into()), "{timeout}");
    }
}

/// Lists and sorted sets have keys of their own here: where a client waits for several keys and one of the others has
/// come to hold another type, 7.0 serves it, and 7.2, whose command runs again, answers an error. And of two keys that are ready at once 7.0 takes the one first filled,
/// 7.2 the first in the command, so nobody waits for two that a move may fill.
#[test]
fn random_queues_are_served_as_stock_serves_them() {
    let debug = ["--enable-debug-command", "yes"];
    let (ours, stock) = (Server::start(Kind::Ours, &debug), Server::start(Kind::Stock, &debug));
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let key = |dice: &mut Dice| ["a", "b", "c"][dice.below(3) as usize];
        let mut waits = Vec::new();
        for _ in 0..2 + dice.below(8) {
            let (one, other) = (key(&mut dice), key(&mut dice));
            waits.push(match dice.below(8) {
                0 | 1 => format!("BLPOP {one} {other} 0"),
                2 => format!("BRPOP d{one} 100"),
                3 => format!("BLMOVE {one} d{other} LEFT RIGHT 0"),
                4 => format!("BRPOPLPUSH {one} d{other} 0"),
                5 => format!("BLMPOP 0 2 {one} {other} LEFT COUNT {}", 1 + dice.below(3)),
                6 => format!("BZPOPMIN z{one} z{other} 0"),
                _ => format!("BZMPOP 10 1 z{one} MAX COUNT {}", 1 + dice.below(3)),
            });
        }
        let mut acts = Vec::new();
        for number in 0..12 {
            let key = key(&mut dice);
            acts.push(match dice.below(8) {
                0..3 => format!("RPUSH {key} {number}"),
                3 => format!("LPUSH {key} {number} x{number} y{number}"),
                4 => format!("ZADD z{key} 1 m{number} 2 n{number}"),
                5 => format!("DEL {key}"),
                6 => format!("COPY z{key} za"),
                _ => format!("RPOPLPUSH {key} d"),
            });
        }
        let (waits, acts): (Vec<&str>, Vec<&str>) =
            (waits.iter().map(String::as_str).collect(), acts.iter().map(String::as_str).collect());
        let [ours, stock] = [&ours, &stock].map(|server| scene(server, &[], &waits, &acts));
        assert_eq!(ours, stock, "seed {seed}: {waits:?} {acts:?}");
    }
}

#[test]
fn of_several_keys_that_a_transaction_fills_the_first_in_the_command_is_taken() {
    let server = Server::start(Kind::Ours, &[]);
    let seen = scene(&server, &[], &["BLPOP a b 0"], &["MULTI", "RPUSH b 1", "RPUSH a 2", "EXEC", "LLEN b"]);
    assert_eq!(seen[4], Value::Int(1));
    assert_eq!(seen[6], Value::Array(vec![Value::bulk("a"), Value::bulk("2")]));
}

#[test]
fn replies_to_who_waited_are_in_its_protocol() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let seen = [&ours, &stock].map(|server| {
        let mut seen = Vec::new();
        let mut pusher = server.client();
        for line in ["BLPOP a 0", "BLMPOP 0 1 a LEFT", "BZPOPMIN z 0", "BZMPOP 0 1 z MIN COUNT 3", "BLPOP none 0.01"] {
            let mut client = server.client();
            client.good(&["HELLO", "3"]);
            client.write_raw(&encode(&words(line))).unwrap();
            wait_until(Duration::from_secs(20), line, || {
                server.info("blocked_clients") == "1" || line.contains("none")
            });
            pusher.good(&["ZADD", "z", "1.5", "m", "2", "n"]);
            pusher.good(&["RPUSH", "a", "x", "y"]);
            seen.push(reply(&mut client));
            seen.push(client.cmd(&["PING"]));
            pusher.good(&["FLUSHALL"]);
        }
        seen
    });
    assert_eq!(seen[0], seen[1]);
}

/// The number of a client.
fn id_of(client: &mut Client) -> String {
    client.cmd(&["CLIENT", "ID"]).int().to_string()
}

fn wait_until_blocked(server: &Server, count: usize) {
    let count = count.to_string();
    wait_until(Duration::from_secs(20), "so many clients wait", || server.info("blocked_clients") == count);
}

#[test]
fn who_waits_is_listed_unblocked_killed_and_forgotten() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &[]);
        let mut other = server.client();
        let unblocked = Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into());
        for (how, said) in [(vec![], Value::Nil), (vec!["TIMEOUT"], Value::Nil), (vec!["ERROR"], unblocked)] {
            let mut client = server.client();
            let id = id_of(&mut client);
            // What was sent behind the command runs once its wait is over, and not before.
            client.write_raw(&encode(&["BLMOVE", "a", "b", "LEFT", "LEFT", "0"])).unwrap();
            client.write_raw(&encode(&["INCR", "count"])).unwrap();
            wait_until_blocked(&server, 1);
            let list = other.cmd(&["CLIENT", "LIST", "ID", &id]).text();
            assert!(list.contains(" flags=b ") && list.contains(" cmd=blmove "), "{list}");
            assert_eq!(other.cmd(&["EXISTS", "count"]), Value::Int(0));
            assert_eq!(other.cmd(&[vec!["CLIENT", "UNBLOCK", &id], how].concat()), Value::Int(1));
            assert_eq!(reply(&mut client), said);
            assert_eq!(reply(&mut client), Value::Int(1));
            other.good(&["DEL", "count"]);
            assert_eq!(other.cmd(&["CLIENT", "UNBLOCK", &id]), Value::Int(0));
        }
        // Nothing is given to who is gone: the next in the queue gets it.
        let (mut gone, mut killed, mut stays) = (server.client(), server.client(), server.client());
        let id = id_of(&mut killed);
        for (number, client) in [&mut gone, &mut killed, &mut stays].into_iter().enumerate() {
            client.write_raw(&encode(&["BLPOP", "x", "a", "0"])).unwrap();
            wait_until_blocked(&server, number + 1);
        }
        drop(gone);
        wait_until_blocked(&server, 2);
        other.good(&["CLIENT", "KILL", "ID", &id]);
        wait_until_blocked(&server, 1);
        assert_eq!(other.cmd(&["RPUSH", "a", "v"]), Value::Int(1));
        assert_eq!(reply(&mut stays), Value::Array(vec![Value::bulk("a"), Value::bulk("v")]));
        assert_eq!(other.cmd(&["RPUSH", "a", "w"]), Value::Int(1));
        assert_eq!(other.cmd(&["LLEN", "a"]), Value::Int(1));
    }
}

#[test]
fn a_blocked_client_counts_in_info() {
    let server = Server::start(Kind::Ours, &[]);
    server.cmd(&["CONFIG", "RESETSTAT"]);
    let mut client = server.client();
    client.write_raw(&encode(&["BLPOP", "a", "b", "a", "100"])).unwrap();
    wait_until_blocked(&server, 1);
    assert_eq!(server.info("total_blocking_keys"), "2");
    assert_eq!(server.info("total_blocking_keys_on_nokey"), "0");
    assert_eq!(server.info("clients_in_timeout_table"), "1");
    let calls = || server.cmd(&["INFO", "commandstats"]).text().contains("cmdstat_blpop:calls=1,");
    assert!(!calls(), "a command counts once it has run to its end");
    server.cmd(&["RPUSH", "b", "1"]);
    assert_eq!(reply(&mut client), Value::Array(vec![Value::bulk("b"), Value::bulk("1")]));
    assert_eq!(server.info("total_blocking_keys"), "0");
    assert_eq!(server.info("clients_in_timeout_table"), "0");
    assert!(calls());
}

#[test]
fn client_reply_holds_for_what_was_waited_for() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        for end in ["served", "unblocked"] {
            let id = id_of(&mut client);
            client.write_raw(&encode(&["CLIENT", "REPLY", "SKIP"])).unwrap();
            client.write_raw(&encode(&["BLPOP", "a", "0"])).unwrap();
            wait_until_blocked(&server, 1);
            match end {
                "served" => drop(server.cmd(&["RPUSH", "a", "1"])),
                _ => drop(server.cmd(&["CLIENT", "UNBLOCK", &id])),
            }
            assert_eq!(client.cmd(&["ECHO", end]), Value::bulk(end), "{kind:?}");
        }
    }
}

#[test]
fn what_a_wait_ends_in_travels_as_the_command_that_does_not_wait() {
    for (master_kind, replica_kind) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)]
    {
        let debug = ["--enable-debug-command", "yes"];
        let (master, replica) = (Server::start(master_kind, &debug), Server::start(replica_kind, &debug));
        replica.follow(&master);
        let waits = [
            "BLPOP a 0",
            "BLMOVE a b LEFT RIGHT 0",
            "BRPOP b 0",
            "BLMPOP 0 2 a b RIGHT COUNT 2",
            "BRPOPLPUSH a c 0",
            "BZPOPMIN z 0",
            "BZMPOP 0 1 z MAX COUNT 2",
            "BZPOPMAX z y 0",
        ];
        let acts = [
            "RPUSH a 1 2 3 4 5 6",
            "MULTI",
            "RPUSH b 1 2 3",
            "LPUSH a x",
            "EXEC",
            "ZADD z 1 a 2 b 3 c 4 d 5 e",
            "SELECT 3",
            "RPUSH a 9",
            "BLPOP a 0",
            "BLMPOP 0 1 a LEFT COUNT 5",
        ];
        scene(&master, &[], &waits, &acts[..acts.len() - 1]);
        replica.wait_caught_up(&master);
        assert_same_data(&master, &replica);
        let calls = |name: &str| {
            let stats = replica.cmd(&["INFO", "commandstats"]).text();
            stats.lines().any(|line| line.starts_with(&format!("cmdstat_{name}:")))
        };
        for name in ["lpop", "rpop", "lmove", "rpoplpush", "zpopmin", "zpopmax"] {
            assert!(calls(name), "{name} from {master_kind:?}");
        }
        for name in ["blpop", "brpop", "blmove", "blmpop", "bzpopmin", "bzmpop"] {
            assert!(!calls(name), "{name} from {master_kind:?}");
        }
    }
}

#[test]
fn who_waits_on_a_master_that_becomes_a_replica_is_told_and_let_go() {
    for kind in [Kind::Ours, Kind::Stock] {
        let (server, other) = (Server::start(kind, &[]), Server::start(kind, &[]));
        let mut clients: Vec<Client> = Vec::new();
        for (number, line) in ["BLPOP a 0", "BZPOPMIN z 5000", "WAIT 3 0"].into_iter().enumerate() {
            let mut client = server.client();
            client.write_raw(&encode(&words(line))).unwrap();
            wait_until_blocked(&server, number + 1);
            clients.push(client);
        }
        other.cmd(&["RPUSH", "a", "1"]);
        server.follow(&other);
        let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
        for client in &mut clients {
            assert_eq!(reply(client), Value::Error(text.into()));
            assert_eq!(client.read_to_end().unwrap(), b"", "and the connection is closed");
        }
        let refused = server.cmd(&["BLPOP", "none", "0"]);
        assert_eq!(refused, Value::Error("READONLY You can't write against a read only replica.".into()));
    }
}
