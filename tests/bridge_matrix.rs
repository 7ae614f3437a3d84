//! Each of five servers over each of five servers, a bridge of ours between them: full sync, live writes of every kind, cuts,
//! partial resyncs, and in the end the same data. One master feeds five bridges at once. `make bridge` does it at length.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{Client, Kind, Proxy, Server, Value, keys_of, random_writes, wait_until};

const REDIS_6_2: Kind = Kind::Peer("redis-server-6.2");
const REDIS_7_0: Kind = Kind::Stock;
const REDIS_8_2: Kind = Kind::Peer("redis-server-8.2");
const VALKEY_8_1: Kind = Kind::Peer("valkey-server-8.1");
const VALKEY_9_1: Kind = Kind::Peer("valkey-server-9.1");
const ALL: [Kind; 5] = [REDIS_6_2, REDIS_7_0, REDIS_8_2, VALKEY_8_1, VALKEY_9_1];
const BOUND: Duration = Duration::from_secs(60);

const SAMPLES: &str = include_str!("support/samples.txt");
const FADING: &str = include_str!("support/fading.txt");

/// A bridge and its replica.
struct Branch {
    bridge: Server,
    above: Proxy,
    below: Proxy,
    replica: Server,
}

impl Branch {
    fn start(master: &Server, kind: Kind) -> Branch {
        let fixed = ["--replication-bridge", "yes", "--repl-incompatible-data", "degrade"];
        let bridge = Server::start(Kind::Ours, &[&fixed[..], &["--repl-reconnect-max-delay", "1"]].concat());
        let replica = Server::start(kind, &[]);
        if let Some(version) = [(REDIS_6_2, 9), (REDIS_7_0, 10)].iter().find(|(old, _)| *old == kind) {
            let place = format!("127.0.0.1:{} {}", replica.port(), version.1);
            bridge.client().good(&["CONFIG", "SET", "repl-rdb-version-for", &place]);
        }
        let (above, below) = (Proxy::to(master.port()), Proxy::to(bridge.port()));
        for (server, port) in [(&bridge, above.port()), (&replica, below.port())] {
            server.cmd(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
            wait_until(BOUND, "the link is up", || server.info("master_link_status") == "up");
        }
        Branch { bridge, above, below, replica }
    }

    fn knows_field_expiry(&self) -> bool {
        matches!(self.replica.kind(), REDIS_8_2 | VALKEY_9_1)
    }

    #[track_caller]
    fn assert_same(&self, master: &Server) {
        self.bridge.wait_caught_up(master);
        self.replica.wait_caught_up(&self.bridge);
        let name = format!("{:?} → bridge → {:?}", master.kind(), self.replica.kind());
        let has_times = master.kind() == REDIS_8_2 || master.kind() == VALKEY_9_1;
        // Before 7.0 entries that are deleted stay pending when they are claimed, from there on they do not.
        let pending = master.kind() != REDIS_6_2;
        for (server, times) in [(&self.bridge, has_times), (&self.replica, has_times && self.knows_field_expiry())] {
            let what = (times, pending);
            for db in 0..16 {
                let (ours, theirs) = (contents(master, db, what), contents(server, db, what));
                let names = |all: &BTreeMap<Vec<u8>, Vec<String>>| all.keys().cloned().collect::<BTreeSet<_>>();
                assert_eq!(names(&ours), names(&theirs), "{name}: keys of db {db} of {:?}", server.kind());
                for (key, held) in &ours {
                    let key_name = key.escape_ascii();
                    assert_eq!(held, &theirs[key], "{name}: {key_name} in db {db} of {:?}", server.kind());
                }
            }
            if master.kind() != REDIS_6_2 && server.kind() != REDIS_6_2 {
                assert_eq!(libraries(master), libraries(server), "{name}: functions of {:?}", server.kind());
            }
        }
    }
}

/// What a key holds, in words that all versions have.
fn contents(server: &Server, db: u8, (times, pending): (bool, bool)) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut client = server.client();
    let keys = keys_of(&mut client, db);
    keys.into_iter().map(|key| (key.clone(), content(&mut client, &key, (times, pending)))).collect()
}

fn content(client: &mut Client, key: &[u8], (times, pending): (bool, bool)) -> Vec<String> {
    let ask = |client: &mut Client, before: &[&str], after: &[&str]| {
        let words =
            before.iter().map(|word| word.as_bytes()).chain([key]).chain(after.iter().map(|word| word.as_bytes()));
        client.good(&words.collect::<Vec<_>>())
    };
    let kind = ask(client, &["TYPE"], &[]).text();
    let ttl = ask(client, &["PTTL"], &[]).int();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as i64;
    // To the ten seconds or so: the oldest servers do not tell the moment.
    let moment = if ttl < 0 { -1 } else { (now + ttl + 2500) / 10_000 };
    let mut all = vec![kind.clone(), moment.to_string()];
    let texts = |value: Value| value.items().iter().map(Value::text).collect::<Vec<_>>();
    match kind.as_str() {
        "zset" => {
            let scores = texts(ask(client, &["ZRANGE"], &["0", "-1", "WITHSCORES"]));
            let exact = |(at, text): (usize, &String)| match at % 2 {
                1 => format!("{:?}", text.parse::<f64>().expect("a score")),
                _ => text.clone(),
            };
            all.extend(scores.iter().enumerate().map(exact));
        }
        "hash" => {
            let flat = texts(ask(client, &["HGETALL"], &[]));
            let mut pairs: Vec<_> = flat.chunks(2).map(|pair| pair.join("=")).collect();
            pairs.sort();
            all.extend(pairs);
            let mut fields: Vec<_> = flat.iter().step_by(2).filter(|_| times).collect();
            fields.sort();
            for field in fields {
                all.push(ask(client, &["HPEXPIRETIME"], &["FIELDS", "1", field]).items()[0].int().to_string());
            }
        }
        "stream" => {
            all.push(format!("{:?}", ask(client, &["XRANGE"], &["-", "+"])));
            for group in ask(client, &["XINFO", "GROUPS"], &[]).items() {
                let shown: Vec<_> =
                    group.items()[..8].iter().enumerate().filter(|(at, _)| pending || *at != 5).collect();
                all.push(format!("{shown:?}"));
            }
        }
        _ => all.push(format!("{:?}", ask(client, &["DEBUG", "DIGEST-VALUE"], &[]))),
    }
    all
}

/// The libraries of functions, with their code.
fn libraries(server: &Server) -> BTreeSet<String> {
    let all = server.client().good(&["FUNCTION", "LIST", "WITHCODE"]);
    let is_code = |item: &&Value| matches!(item, Value::Bulk(text) if text.starts_with(b"#!lua"));
    all.items().iter().flat_map(|library| library.items().iter().filter(is_code)).map(Value::text).collect()
}

/// A line of the samples as arguments.
fn arguments(client: &mut Client, line: &str) -> Vec<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as i64;
    let mut word = |word: &str| match word.split_at_checked(1) {
        Some(("$", key)) if !key.is_empty() => client.good(&["DUMP", key]).bytes(),
        Some(("@", seconds)) => (now + 1000 * seconds.parse::<i64>().expect("seconds")).to_string().into_bytes(),
        _ => word.as_bytes().to_vec(),
    };
    line.split(' ').map(&mut word).collect()
}

/// Writes of every kind that the master knows; returns the lines that it took.
fn write(client: &mut Client, text: &'static str) -> BTreeSet<&'static str> {
    let mut taken = BTreeSet::new();
    for line in text.split(['|', '\n']).filter(|line| !line.is_empty() && !line.starts_with("PFDEBUG")) {
        let args = arguments(client, line);
        if !client.cmd(&args).is_error() {
            taken.insert(line);
        }
    }
    taken
}

/// Functions, scripts and transactions.
fn programs(master: &Server) {
    let mut client = master.client();
    let script = "for i = 1, 5 do redis.call('RPUSH', KEYS[1], i) end redis.call('INCRBYFLOAT', KEYS[2], 0.1)";
    for _ in 0..3 {
        client.good(&["EVAL", script, "2", "script:list", "script:float"]);
        client.good(&["MULTI"]);
        client.good(&["LMOVE", "script:list", "script:other", "LEFT", "RIGHT"]);
        client.good(&["SET", "script:set", "v", "EX", "5000"]);
        client.good(&["EXEC"]);
    }
    if master.kind() == REDIS_6_2 {
        return;
    }
    let library = |name: &str, value: &str| {
        format!(
            "#!lua name={name}\nredis.register_function('{name}_f', function(keys) return redis.call('SET', keys[1], '{value}') end)"
        )
    };
    client.good(&["FUNCTION", "LOAD", &library("one", "1")]);
    client.good(&["FUNCTION", "LOAD", &library("two", "2")]);
    client.good(&["FCALL", "one_f", "1", "function:key"]);
    let dump = client.good(&["FUNCTION", "DUMP"]).bytes();
    client.good(&["FUNCTION", "DELETE", "one"]);
    client.good(&["FUNCTION", "LOAD", "REPLACE", &library("two", "22")]);
    client.good(&["FUNCTION", "FLUSH"]);
    client.good(&[b"FUNCTION".as_slice(), b"RESTORE", &dump]);
    client.good(&["FUNCTION", "LOAD", &library("three", "3")]);
}

fn over_all(kind: Kind, newer: &[&str]) {
    let master = Server::start(kind, &["--repl-backlog-size", "64mb"]);
    let mut client = master.client();
    random_writes(&mut client, 1, 500);
    // What expires of fields is there from the start, so that replicas of which nothing is known are sent a version for it.
    let mut taken = write(&mut client, FADING);
    let branches: Vec<Branch> = ALL.iter().map(|kind| Branch::start(&master, *kind)).collect();
    let flushes = SAMPLES.find("FLUSHDB").expect("the end of the samples");
    taken.extend(write(&mut client, &SAMPLES[..flushes]));
    taken.extend(write(&mut client, FADING));
    programs(&master);
    random_writes(&mut client, 2, 500);
    branches.iter().for_each(|branch| branch.assert_same(&master));
    for branch in &branches {
        branch.above.cut_now();
        branch.below.cut_now();
    }
    write(&mut client, &SAMPLES[..flushes]);
    random_writes(&mut client, 3, 300);
    branches.iter().for_each(|branch| branch.assert_same(&master));
    write(&mut client, &SAMPLES[flushes..]);
    random_writes(&mut client, 4, 100);
    branches.iter().for_each(|branch| branch.assert_same(&master));
    for line in newer {
        assert!(taken.contains(line), "{kind:?} did not take {line}");
    }
    let counts = |server: &Server| (server.info("sync_full"), server.info("sync_partial_ok"));
    assert_eq!(counts(&master), ("5".into(), "5".into()), "the bridges of {kind:?} continued");
    for branch in &branches {
        let what = format!("{kind:?} → bridge → {:?}", branch.replica.kind());
        assert_eq!(
            counts(&branch.bridge),
            ("1".into(), "1".into()),
            "{what} in {}",
            branch.bridge.info("bridge_dialect")
        );
        assert_eq!(branch.bridge.info("bridge_histories"), "1", "{what}");
        let loses = matches!(kind, REDIS_8_2 | VALKEY_9_1) && !branch.knows_field_expiry()
            || kind != REDIS_6_2 && branch.replica.kind() == REDIS_6_2;
        assert_eq!(branch.bridge.info("bridge_degraded_commands") != "0", loses, "{what}");
    }
}

#[test]
fn redis_6_2_over_all() {
    over_all(REDIS_6_2, &["SET s2 got GET", "COPY s1 s9", "LMOVE l1 l2 LEFT RIGHT", "ZADD z1 GT 5 a 1 b"]);
}

#[test]
fn redis_7_0_over_all() {
    over_all(REDIS_7_0, &["LMPOP 1 l3 LEFT COUNT 2", "XGROUP SETID e1 gs 4-1 ENTRIESREAD 2"]);
}

#[test]
fn redis_8_2_over_all() {
    over_all(
        REDIS_8_2,
        &[
            "HSETEX f1 EX 700 FIELDS 2 n 1 o 2",
            "HGETDEL h1 FIELDS 1 g",
            "HINCRBYFLOAT f1 n 0.5",
            "BITOP DIFF b2 bits b1",
            "XDELEX e1 KEEPREF IDS 1 5-1",
            "XACKDEL e1 gr KEEPREF IDS 1 9999999999999-1",
            "RESTORE f3 0 $f1",
        ],
    );
}

#[test]
fn valkey_8_1_over_all() {
    over_all(VALKEY_8_1, &["SET s2 v4 IFEQ got", "RESTORE r1 0 $s2"]);
}

#[test]
fn valkey_9_1_over_all() {
    over_all(
        VALKEY_9_1,
        &[
            "DELIFEQ del1 x",
            "SET s2 v5 PX 70000 IFEQ v4",
            "GEOSEARCHSTORE g5 g1 BYPOLYGON 4 12 36 17 36 17 41 12 41",
            "HSETEX f1 EX 700 FIELDS 2 n 1 o 2",
            "HGETEX f1 PX 90000 FIELDS 2 a g",
            "RESTORE f3 0 $f1",
        ],
    );
}

/// The long way, where a stock master dies of itself: the script says so, with its last words, and calls it no difference.
#[test]
fn a_stock_master_that_crashes_is_told_by_its_last_words() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let program = format!(
        "import importlib.machinery, importlib.util, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader('matrix', {:?})
matrix = importlib.util.module_from_spec(importlib.util.spec_from_loader('matrix', loader))
loader.exec_module(matrix)
class Writer(matrix.Writer):
    turn = 0
    def write(self, count):
        super().write(count)
        self.turn += 1
        if self.turn == 3:    # bridge and replica are there
            self.connection('DEBUG', 'SEGFAULT')
matrix.Writer = Writer
sys.argv = ['bridge-matrix', '--from', 'redis-server', '--to', 'redis-server', '--writes', '1000', '--ours', {:?}]
matrix.main()",
        scripts.join("bridge-matrix"),
        env!("CARGO_BIN_EXE_understudy")
    );
    let path = format!("{}", scripts.display());
    let output = Command::new("python3").args(["-c", &program]).env("PYTHONPATH", path).output().expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("redis-server crashed by itself: ") && told.contains("crashed by signal: 11"), "{told}");
    assert!(
        told.contains("a crash") && told.contains("keys that the bridge had got") && !told.contains("DIFFERS"),
        "{told}"
    );
}
