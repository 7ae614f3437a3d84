//! Dump files between ours and servers of other versions and families, both ways, with all that each of them can hold:
//! what its file holds we hold once we have loaded it, and what we write for it, fetched by `redis-cli --rdb` with
//! `repl-rdb-version`, it holds in turn. `scripts/install-peers --bridge` brings them.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Client, Kind, Server, Value, fill, fresh_dir, keys_of, peer, random_writes, wait_until};

const BOUND: Duration = Duration::from_secs(60);

/// A server whose files are exchanged.
struct Peer {
    kind: Kind,
    /// What it is written for.
    version: &'static str,
    /// How a file of that version begins.
    magic: &'static str,
    policy: &'static str,
}

const REDIS_6_2: Peer =
    Peer { kind: Kind::Peer("redis-server-6.2"), version: "9", magic: "REDIS0009", policy: "allkeys-lfu" };
const REDIS_7_0: Peer = Peer { kind: Kind::Stock, version: "10", magic: "REDIS0010", policy: "allkeys-lru" };
const REDIS_8_2: Peer =
    Peer { kind: Kind::Peer("redis-server-8.2"), version: "12", magic: "REDIS0012", policy: "allkeys-lfu" };
const VALKEY_8_1: Peer =
    Peer { kind: Kind::Peer("valkey-server-8.1"), version: "11", magic: "REDIS0011", policy: "allkeys-lru" };
const VALKEY_9_1: Peer =
    Peer { kind: Kind::Peer("valkey-server-9.1"), version: "80", magic: "VALKEY080", policy: "allkeys-lfu" };

impl Peer {
    fn knows_field_expiry(&self) -> bool {
        matches!(self.version, "12" | "80")
    }

    /// Functions, what streams count, lists with big elements apart.
    fn is_of_7_0_or_later(&self) -> bool {
        self.version != "9"
    }

    fn args(&self) -> [&str; 6] {
        ["--maxmemory", "1gb", "--maxmemory-policy", self.policy, "--lfu-decay-time", "0"]
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

/// Beside what `fill` makes: the other encodings, what streams remember, libraries, fields that expire, how often keys
/// were used.
fn fill_whole(peer: &Peer, client: &mut Client) {
    fill(client);
    let lines = "
        GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        SETBIT bits 100000 1
        PFADD hll:few a b c
        CONFIG SET hash-max-ziplist-entries 0
        HSET plain:hash a 1 b 2
        CONFIG SET zset-max-ziplist-entries 0
        ZADD plain:zset 1 a 1.5 b
        CONFIG SET set-max-intset-entries 0
        SADD plain:set 1 2 3
        CONFIG SET list-max-ziplist-size 1
        RPUSH list:nodes a b c 4 5
        CONFIG SET list-max-ziplist-size 128
        CONFIG SET list-compress-depth 1
        XGROUP CREATECONSUMER stream:small readers idler
        XCLAIM stream:small readers three 0 2-2 TIME 1600000000000 RETRYCOUNT 9 FORCE
        XDEL stream:small 2-3";
    for line in lines.lines().map(words).filter(|line| !line.is_empty()) {
        client.good(&line);
    }
    for from in (0..20_000).step_by(500) {
        let numbers: Vec<String> = (from..from + 500).map(|n| format!("element {n}")).collect();
        for command in [["PFADD", "hll:many"], ["RPUSH", "list:packed"]] {
            client.good(&[&command[..], &numbers.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        }
    }
    if peer.is_of_7_0_or_later() {
        client.good(&words("XGROUP CREATE stream:small counted 3-2 ENTRIESREAD 7"));
        client.good(&words("XSETID stream:one 100-1 ENTRIESADDED 500 MAXDELETEDID 50-1"));
        client.good(&words("DEBUG QUICKLIST-PACKED-THRESHOLD 200B"));
        client.good(&["RPUSH", "list:plain", &"x".repeat(300), "small", &"y".repeat(70_000)]);
        for name in ["one", "two"] {
            let code = format!("#!lua name={name}\nredis.register_function('{name}_f', function() return 1 end)");
            client.good(&["FUNCTION", "LOAD", &code]);
        }
    }
    if peer.knows_field_expiry() {
        make_fields_expire(client);
    }
    let payload = client.good(&["DUMP", "hash:one"]).bytes();
    let access: &[u8] = if peer.policy == "allkeys-lfu" { b"FREQ" } else { b"IDLETIME" };
    for number in [b"77".as_slice(), b"200"] {
        client.good(&[b"RESTORE".as_slice(), &[b"used:", number].concat(), b"0", &payload, access, number]);
    }
    random_writes(client, 7, 3000);
}

fn make_fields_expire(client: &mut Client) {
    client.good(&words("HSET fields:few a 1 b 2 c three"));
    client.good(&words("HPEXPIREAT fields:few 4102444800123 FIELDS 2 a c"));
    for n in 0..800u64 {
        client.good(&["HSET", "fields:many", &format!("field:{n}"), &format!("value {n}")]);
        if n % 3 == 0 {
            let moment = (4_102_444_800_000u64 + 977 * n).to_string();
            client.good(&["HPEXPIREAT", "fields:many", &moment, "FIELDS", "1", &format!("field:{n}")]);
        }
    }
    client.good(&words("HSET fields:all 12 34"));
    client.good(&words("HPEXPIREAT fields:all 4102444800001 FIELDS 1 12"));
    client.good(&words("PEXPIREAT fields:all 4102444899999"));
}

type Key = (u8, Vec<u8>);

/// What clients can read of a key.
#[derive(Clone, Debug)]
struct Look {
    kind: String,
    value: Value,
    /// In milliseconds since 1970; −1: never.
    expires: i64,
    /// When fields expire, where the server knows of that.
    fields: Option<BTreeMap<Vec<u8>, i64>>,
}

fn keys(client: &mut Client) -> Vec<Key> {
    // A node of a cluster has one database.
    let databases = if client.cmd(&["SELECT", "1"]).is_error() { 1 } else { 16 };
    let mut keys = Vec::new();
    for db in 0..databases {
        keys.extend(keys_of(client, db).into_iter().map(|key| (db, key)));
    }
    keys
}

/// One reply for each key, of a command that begins so, and ends so.
fn ask(client: &mut Client, keys: &[Key], command: &[&str], rest: &[&str]) -> Vec<Value> {
    let mut replies = Vec::new();
    for of_db in keys.chunk_by(|one, other| one.0 == other.0) {
        client.good(&["SELECT", &of_db[0].0.to_string()]);
        let commands: Vec<Vec<&[u8]>> = of_db
            .iter()
            .map(|(_, key)| {
                let head = command.iter().map(|word| word.as_bytes());
                head.chain([key.as_slice()]).chain(rest.iter().map(|word| word.as_bytes())).collect()
            })
            .collect();
        replies.extend(client.pipeline(&commands));
    }
    replies
}

fn knows(client: &mut Client, command: &str) -> bool {
    client.good(&["COMMAND", "INFO", command]).items().first().is_some_and(|told| *told != Value::Nil)
}

fn look(server: &Server) -> BTreeMap<Key, Look> {
    let mut client = server.client();
    client.good(&["HELLO", "3"]);
    let all = keys(&mut client);
    let kinds: Vec<String> = ask(&mut client, &all, &["TYPE"], &[]).iter().map(Value::text).collect();
    let expires = moments(&mut client, &all);
    let with_fields = knows(&mut client, "HPEXPIRETIME");
    let mut found = BTreeMap::new();
    for ((key, kind), expires) in all.into_iter().zip(kinds).zip(expires) {
        let read: (&[&str], &[&str]) = match kind.as_str() {
            "string" => (&["GET"], &[]),
            "list" => (&["LRANGE"], &["0", "-1"]),
            "set" => (&["SMEMBERS"], &[]),
            "hash" => (&["HGETALL"], &[]),
            "zset" => (&["ZRANGE"], &["0", "-1", "WITHSCORES"]),
            "stream" => (&["XINFO", "STREAM"], &["FULL", "COUNT", "0"]),
            other => panic!("a {other}"),
        };
        let place = [key.clone()];
        let value = canonical(ask(&mut client, &place, read.0, read.1).remove(0));
        let fields = (with_fields && kind == "hash").then(|| fields_of(&mut client, &key.1, &value));
        found.insert(key, Look { kind, value, expires, fields });
    }
    found
}

/// When keys expire; a server before 7.0 tells how long they have.
fn moments(client: &mut Client, keys: &[Key]) -> Vec<i64> {
    let command = if knows(client, "PEXPIRETIME") { "PEXPIRETIME" } else { "PTTL" };
    let time = client.good(&["TIME"]);
    let now_ms = time.items()[0].text().parse::<i64>().unwrap() * 1000;
    let replies = ask(client, keys, &[command], &[]);
    let at = |told: &Value| if command == "PTTL" && told.int() >= 0 { told.int() + now_ms } else { told.int() };
    replies.iter().map(at).collect()
}

/// When the fields of a hash expire; the database is selected.
fn fields_of(client: &mut Client, key: &[u8], value: &Value) -> BTreeMap<Vec<u8>, i64> {
    let Value::Map(pairs) = value else { panic!("no hash: {value:?}") };
    let fields: Vec<Vec<u8>> = pairs.iter().map(|(field, _)| field.bytes()).collect();
    let count = fields.len().to_string();
    let mut command = vec![b"HPEXPIRETIME".as_slice(), key, b"FIELDS", count.as_bytes()];
    command.extend(fields.iter().map(Vec::as_slice));
    let times: Vec<i64> = client.good(&command).items().iter().map(Value::int).collect();
    assert_eq!(times.len(), fields.len());
    fields.into_iter().zip(times).collect()
}

/// Without the order that maps, sets, and the groups and consumers of streams do not have.
fn canonical(value: Value) -> Value {
    match value {
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            pairs.sort_by_key(|(name, _)| name.bytes());
            Value::Map(pairs)
        }
        Value::Set(mut items) => {
            items.sort_by_key(Value::bytes);
            Value::Set(items)
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(canonical).collect();
            items.sort_by_key(|item| match item {
                Value::Map(pairs) => pairs.iter().find(|(name, _)| name.text() == "name").map(|(_, name)| name.bytes()),
                _ => None,
            });
            Value::Array(items)
        }
        other => other,
    }
}

/// In what two tell different things of a stream, as far as both tell anything. How a server lays streams out is its own affair,
/// a lag is reckoned from what else is told, and when consumers were active last is in files from version 11 on.
fn stream_difference(one: &Value, other: &Value, with_activity: bool) -> Option<String> {
    match (one, other) {
        (Value::Map(one), Value::Map(other)) => {
            let told = |name: &str| match name {
                "radix-tree-keys" | "radix-tree-nodes" | "lag" => false,
                "active-time" => with_activity,
                _ => true,
            };
            let mut both = one.iter().filter_map(|(name, value)| {
                let (_, theirs) = other.iter().find(|(known, _)| known == name && told(&name.text()))?;
                Some((name.text(), value, theirs))
            });
            both.find_map(|(name, one, other)| {
                Some(format!("{name}: {}", stream_difference(one, other, with_activity)?))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).find_map(|(one, other)| stream_difference(one, other, with_activity))
        }
        _ => (one != other).then(|| format!("{one:?} / {other:?}")),
    }
}

/// What a file does not carry to the last digit.
#[derive(Clone, Copy)]
struct Slack {
    /// Of times at which keys expire, in milliseconds.
    ms: u64,
    /// When consumers were active last is in it.
    with_activity: bool,
}

const NONE: Slack = Slack { ms: 0, with_activity: true };

#[track_caller]
fn assert_same(one: &BTreeMap<Key, Look>, other: &BTreeMap<Key, Look>, slack: Slack) {
    let keys: Vec<&Key> =
        one.keys().chain(other.keys()).filter(|key| !(one.contains_key(*key) && other.contains_key(*key))).collect();
    assert!(keys.is_empty(), "only one holds {keys:?}");
    assert!(one.len() > 500, "{} keys", one.len());
    for (key, left) in one {
        let (right, name) = (&other[key], key.1.escape_ascii().to_string());
        assert_eq!(left.kind, right.kind, "{name}");
        if left.kind == "stream" {
            let difference = stream_difference(&left.value, &right.value, slack.with_activity);
            assert_eq!(difference, None, "{name} in db {}", key.0);
        } else {
            assert!(left.value == right.value, "{name} in db {}:\n{:?}\n{:?}", key.0, left.value, right.value);
        }
        assert_eq!(left.expires < 0, right.expires < 0, "{name} expires");
        assert!(left.expires.abs_diff(right.expires) <= slack.ms, "{name}: {} / {}", left.expires, right.expires);
        if let (Some(left), Some(right)) = (&left.fields, &right.fields) {
            assert_eq!(left, right, "{name}");
        }
    }
}

/// How often each key was used, or when last; asked without using it.
fn accesses(peer: &Peer, server: &Server) -> BTreeMap<Key, i64> {
    let mut client = server.client();
    let word = if peer.policy == "allkeys-lfu" { "FREQ" } else { "IDLETIME" };
    let all = keys(&mut client);
    let told = ask(&mut client, &all, &["OBJECT", word], &[]);
    all.into_iter().zip(told.iter().map(Value::int)).collect()
}

#[track_caller]
fn assert_same_accesses(peer: &Peer, one: &BTreeMap<Key, i64>, other: &BTreeMap<Key, i64>) {
    let slack = if peer.policy == "allkeys-lfu" { 0 } else { 60 };
    assert_eq!(one.len(), other.len());
    for (key, left) in one {
        assert!(left.abs_diff(other[key]) <= slack, "{}: {left} / {}", key.1.escape_ascii(), other[key]);
    }
}

fn libraries(server: &Server) -> Vec<Value> {
    let told = server.cmd(&["FUNCTION", "LIST", "WITHCODE"]);
    let mut told = if told.is_error() { Vec::new() } else { told.items().to_vec() };
    told.sort_by_key(|library| format!("{library:?}"));
    told
}

fn saved(server: &Server) -> PathBuf {
    server.client().good(&["SAVE"]);
    let dir = fresh_dir();
    fs::copy(server.dir().join("dump.rdb"), dir.join("dump.rdb")).expect("a snapshot");
    dir
}

/// A file that `redis-cli --rdb` fetches from us, written for whom `repl-rdb-version` says.
fn fetched(ours: &Server, magic: &str) -> PathBuf {
    let dir = fresh_dir();
    let mut command = Command::new(peer("redis-cli"));
    command.args(["-p", &ours.port().to_string(), "--rdb"]).arg(dir.join("dump.rdb"));
    let output = command.output().expect("redis-cli runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(dir.join("dump.rdb")).expect("a snapshot").starts_with(magic.as_bytes()));
    dir
}

fn start_in(kind: Kind, dir: &Path, args: &[&str]) -> Server {
    let server = Server::start_in(kind, dir, args);
    server.wait_loaded();
    server
}

/// From a peer's file to us, and from us to the peer.
#[track_caller]
fn there_and_back(peer: &Peer) {
    let maker = Server::start(peer.kind, &peer.args());
    fill_whole(peer, &mut maker.client());
    let slack = Slack { ms: if peer.is_of_7_0_or_later() { 0 } else { 60_000 }, ..NONE };
    let used = accesses(peer, &maker);
    assert!(used.values().any(|access| (200..260).contains(access)), "one is as it was restored");
    let file = saved(&maker);
    let held = look(&maker);
    let ours = start_in(Kind::Ours, &file, &[&peer.args()[..], &["--repl-rdb-version", peer.version]].concat());
    assert_same_accesses(peer, &used, &accesses(peer, &ours));
    let loaded = look(&ours);
    assert_same(&held, &loaded, slack);
    assert_eq!(libraries(&maker), libraries(&ours));
    assert_eq!(libraries(&ours).len(), if peer.is_of_7_0_or_later() { 2 } else { 0 });
    // What was read since then counts as used.
    let used = accesses(peer, &ours);
    let reader = start_in(peer.kind, &fetched(&ours, peer.magic), &peer.args());
    assert_same_accesses(peer, &used, &accesses(peer, &reader));
    assert_same(&loaded, &look(&reader), slack);
    assert_eq!(libraries(&ours), libraries(&reader));
}

#[test]
fn files_of_redis_6_2() {
    there_and_back(&REDIS_6_2);
}

#[test]
fn files_of_redis_7_0() {
    there_and_back(&REDIS_7_0);
}

#[test]
fn files_of_redis_8_2() {
    there_and_back(&REDIS_8_2);
}

#[test]
fn files_of_valkey_8_1() {
    there_and_back(&VALKEY_8_1);
}

#[test]
fn files_of_valkey_9_1() {
    there_and_back(&VALKEY_9_1);
}

const UNASKED: Slack = Slack { with_activity: false, ..NONE };

/// What SAVE writes is for the oldest that can hold all: 7.0, or 7.4 where fields expire.
#[test]
fn what_we_save_unasked_is_read_by_every_server_that_can_hold_it() {
    let ours = Server::start(Kind::Ours, &REDIS_7_0.args());
    fill_whole(&REDIS_7_0, &mut ours.client());
    let (file, held) = (saved(&ours), look(&ours));
    for peer in [&REDIS_7_0, &REDIS_8_2, &VALKEY_8_1, &VALKEY_9_1] {
        let dir = fresh_dir();
        fs::copy(file.join("dump.rdb"), dir.join("dump.rdb")).expect("a copy");
        let reader = start_in(peer.kind, &dir, &[]);
        assert_same(&held, &look(&reader), UNASKED);
        assert_eq!(libraries(&ours), libraries(&reader));
    }
    let _ = fs::remove_dir_all(file);
    // Fields that expire make it version 12, which carries that, too.
    make_fields_expire(&mut ours.client());
    let reader = start_in(REDIS_8_2.kind, &saved(&ours), &[]);
    assert_same(&look(&ours), &look(&reader), NONE);
}

/// Nodes of a cluster write where each slot's keys begin, or how many there are.
#[test]
fn files_of_nodes_of_a_cluster_are_loaded() {
    let peers = [&REDIS_7_0, &REDIS_8_2, &VALKEY_8_1, &VALKEY_9_1];
    let nodes = peers.map(|peer| Server::start(peer.kind, &["--cluster-enabled", "yes"]));
    for node in &nodes {
        node.client().good(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    }
    for node in &nodes {
        wait_until(BOUND, "the cluster is up", || node.cmd(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok"));
        let commands: Vec<Vec<String>> =
            (0..1000).map(|n| ["SET".into(), format!("key:{n}"), n.to_string()].to_vec()).collect();
        assert!(node.client().pipeline(&commands).iter().all(|reply| *reply == Value::ok()));
        let ours = start_in(Kind::Ours, &saved(node), &[]);
        assert_same(&look(node), &look(&ours), NONE);
    }
}

/// What no server of ours can hold is refused by its name, and the file stays as it is.
#[test]
fn a_file_with_a_vector_set_is_refused_by_its_name() {
    let maker = Server::start(REDIS_8_2.kind, &[]);
    maker.client().good(&["SET", "kept", "1"]);
    maker.client().good(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
    let dir = saved(&maker);
    let before = fs::read(dir.join("dump.rdb")).expect("a snapshot");
    let mut command = Command::new(Kind::Ours.program());
    command.args(["--port", &support::free_port().to_string(), "--dir"]).arg(&dir);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("vectorset"), "{log}");
    assert_eq!(fs::read(dir.join("dump.rdb")).expect("a snapshot"), before);
    let _ = fs::remove_dir_all(dir);
}
