//! Data for tests: everything a server of this build can hold, random writes, and whether two servers agree.

use std::collections::BTreeSet;

use super::client::{Client, Value};
use super::server::Server;

/// Databases that `fill` and `random_writes` use.
const DATABASES: &[u8] = &[0, 3, 15];

/// Live writes between two reads of replies.
const WRITE_BATCH: usize = 500;

type Args = Vec<Vec<u8>>;

/// A seeded source of chance (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn pick<'a>(&mut self, options: &[&'a str]) -> &'a str {
        options[self.below(options.len() as u64) as usize]
    }
}

fn args(words: &[&str]) -> Args {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn send(client: &mut Client, commands: &[Args]) {
    for (reply, command) in client.pipeline(commands).iter().zip(commands) {
        assert!(!reply.is_error(), "{}: {reply:?}", String::from_utf8_lossy(&command.join(&b' ')));
    }
}

/// Fills several databases with all types in all their encodings, expiries, binary keys and big values.
pub fn fill(client: &mut Client) {
    for db in DATABASES {
        client.good(&["SELECT", &db.to_string()]);
        let mut dice = Dice::new(u64::from(*db) + 1);
        let mut commands = strings(&mut dice);
        commands.extend(collections(&mut dice));
        commands.extend(expiries());
        send(client, &commands);
    }
    client.good(&["SELECT", "0"]);
}

fn strings(dice: &mut Dice) -> Vec<Args> {
    let mut commands = Vec::new();
    for number in
        ["0", "-1", "127", "32768", "-2147483649", "9223372036854775807", "-9223372036854775808", "007", "1.5"]
    {
        commands.push(args(&["SET", &format!("string:number:{number}"), number]));
    }
    for length in [0, 1, 44, 45, 63, 64, 16_383, 16_384, 70_000, 1_000_000] {
        commands.push(vec![b"SET".to_vec(), format!("string:noise:{length}").into_bytes(), dice.bytes(length)]);
        commands.push(args(&["SET", &format!("string:even:{length}"), &"ab".repeat(length / 2)]));
    }
    for length in [1, 2, 20, 200, 70_000] {
        let mut key = dice.bytes(length);
        key[0] = 0;
        commands.push(vec![b"SET".to_vec(), key, dice.bytes(10)]);
    }
    commands.push(args(&["SET", "", "the empty key"]));
    commands.push(args(&["APPEND", "string:appended", "12"]));
    commands
}

/// One command that adds `count` elements made by `element`.
fn adding(command: &str, key: &str, count: usize, mut element: impl FnMut(usize) -> Args) -> Args {
    let mut all = args(&[command, key]);
    (0..count).for_each(|i| all.extend(element(i)));
    all
}

fn collections(dice: &mut Dice) -> Vec<Args> {
    let word = |i: usize| format!("member:{i}").into_bytes();
    let mut commands = vec![
        adding("SADD", "set:int16", 100, |i| vec![(i as i64 - 50).to_string().into()]),
        adding("SADD", "set:int32", 100, |i| vec![(i as i64 * 70_000).to_string().into()]),
        adding("SADD", "set:int64", 100, |i| vec![(i as i64 - (1 << 40)).to_string().into()]),
        adding("SADD", "set:many-int", 600, |i| vec![(i * 3).to_string().into()]),
        adding("SADD", "set:long", 3, |i| vec![vec![i as u8; 65]]),
        adding("HSET", "hash:long", 3, |i| vec![word(i), vec![i as u8; 65]]),
        adding("ZADD", "zset:long", 3, |i| vec![i.to_string().into(), vec![i as u8; 65]]),
        adding("RPUSH", "list:big-elements", 6, |i| vec![vec![b'a' + i as u8; 9_000 * i]]),
        adding("RPUSH", "list:binary", 100, |i| vec![dice.bytes(i)]),
        adding("ZADD", "zset:ties", 50, |i| vec![(i % 2).to_string().into(), word(i)]),
        args(&[
            "ZADD",
            "zset:edges",
            "inf",
            "a",
            "-inf",
            "b",
            "0",
            "c",
            "-0",
            "d",
            "1e300",
            "e",
            "0.1",
            "f",
            "3.5e-310",
            "g",
        ]),
        args(&["HSET", "hash:edges", "", "", "0", "-1", "9223372036854775807", "-9223372036854775808", "01", "1.0"]),
        args(&["RPUSH", "list:edges", "", "0", "-1", "127", "4095", "-8193", "9223372036854775807", "x"]),
    ];
    for (size, count) in [("one", 1), ("small", 60), ("full", 128), ("over", 129), ("big", 5_000)] {
        commands.push(adding("RPUSH", &format!("list:{size}"), count, |i| vec![word(i)]));
        commands.push(adding("RPUSH", &format!("list:int:{size}"), count, |i| vec![(i * i).to_string().into()]));
        commands.push(adding("SADD", &format!("set:{size}"), count, |i| vec![word(i)]));
        commands.push(adding("HSET", &format!("hash:{size}"), count, |i| vec![word(i), i.to_string().into()]));
        let mut score = || (dice.below(1_000_000) as f64 / 64.0).to_string().into();
        commands.push(adding("ZADD", &format!("zset:{size}"), count, |i| vec![score(), word(i)]));
    }
    commands.extend(streams(dice));
    commands
}

/// Streams of one and of many nodes, with deleted entries, and groups that have read some of them.
fn streams(dice: &mut Dice) -> Vec<Args> {
    let mut commands = Vec::new();
    for (size, count) in [("one", 1), ("small", 60), ("big", 3_000)] {
        let key = format!("stream:{size}");
        for i in 0..count {
            let (id, value) = (format!("{}-{}", 1 + i / 3, 1 + i % 3), dice.below(1 << 40).to_string());
            let mut command = args(&["XADD", &key, &id, "field", &value]);
            command.extend((0..i % 3).flat_map(|at| vec![format!("other:{at}").into_bytes(), dice.bytes(i % 50)]));
            commands.push(command);
        }
        commands.push(args(&["XDEL", &key, "3-1", "5-2", "5-3"]));
        commands.push(args(&["XGROUP", "CREATE", &key, "readers", "0"]));
        commands.push(args(&["XGROUP", "CREATE", &key, "idle", "$"]));
        commands.push(args(&["XREADGROUP", "GROUP", "readers", "one", "COUNT", "40", "STREAMS", &key, ">"]));
        commands.push(args(&["XREADGROUP", "GROUP", "readers", "two", "COUNT", "7", "STREAMS", &key, ">"]));
        commands.push(args(&["XACK", &key, "readers", "1-1", "2-1", "14-1"]));
    }
    commands.push(args(&["XGROUP", "CREATE", "stream:empty", "idle", "0", "MKSTREAM"]));
    commands
}

fn expiries() -> Vec<Args> {
    let keys = [
        "string:number:0",
        "string:even:70000",
        "list:small",
        "set:int16",
        "set:big",
        "hash:small",
        "zset:big",
        "stream:big",
    ];
    let mut commands: Vec<Args> = keys.iter().map(|key| args(&["PEXPIREAT", key, "4102444800123"])).collect();
    commands.extend((0..200).map(|i| args(&["SET", &format!("volatile:{i}"), "x", "EX", &(10_000 + i).to_string()])));
    commands
}

/// Writes of all kinds, reproducible by seed, whose effect does not depend on time; keys are `r:TYPE:N`.
/// Commands with chance or the time in them (SPOP, XADD) are included, so only a replica can agree with the server written to.
pub fn random_writes(client: &mut Client, seed: u64, count: usize) {
    let mut dice = Dice::new(seed);
    let mut left = count;
    while left > 0 {
        let db = DATABASES[dice.below(DATABASES.len() as u64) as usize];
        client.good(&["SELECT", &db.to_string()]);
        let batch: Vec<Args> = (0..WRITE_BATCH.min(left)).map(|_| random_write(&mut dice)).collect();
        send(client, &batch);
        left -= batch.len();
    }
    client.good(&["SELECT", "0"]);
}

fn random_write(dice: &mut Dice) -> Args {
    let key = |dice: &mut Dice, kind: &str| format!("r:{kind}:{}", dice.below(40));
    let element = |dice: &mut Dice| match dice.below(4) {
        0 => dice.below(1 << 40).to_string(),
        1 => "x".repeat(dice.below(100) as usize),
        _ => format!("m{}", dice.below(300)),
    };
    let kind = dice.pick(&["string", "count", "float", "list", "set", "hash", "stream", "zset"]);
    let k = key(dice, kind);
    let (e, f) = (element(dice), element(dice));
    let n = dice.below(1000).to_string();
    match dice.below(20) {
        0 => return args(&["DEL", &k]),
        1 => {
            return args(&["PEXPIRE", &k, &(10_000_000 + dice.below(1 << 30)).to_string()]);
        }
        2 => return args(&["PERSIST", &k]),
        3 => return args(&["COPY", &k, &format!("{k}:copy"), "REPLACE"]),
        _ => {}
    }
    let side = dice.pick(&["L", "R"]);
    match (kind, dice.below(6)) {
        ("string", 0) => args(&["APPEND", &k, &e]),
        ("string", 1) => args(&["SETRANGE", &k, &n, &e]),
        ("string", 2) => args(&["SET", &k, &e, "EX", "100000"]),
        ("string", 3) => args(&["GETDEL", &k]),
        ("string", _) => args(&["SET", &k, &e]),
        ("count", _) => args(&["INCRBY", &k, &n]),
        ("float", _) => args(&["INCRBYFLOAT", &k, &format!("{n}.25")]),
        ("list", 0) => args(&[&format!("{side}POP"), &k]),
        ("list", 1) => args(&["LTRIM", &k, "0", "200"]),
        ("list", 2) => args(&["LMOVE", &k, &key(dice, kind), side, "LEFT"].map(|w| {
            if w == "L" {
                "LEFT"
            } else if w == "R" {
                "RIGHT"
            } else {
                w
            }
        })),
        ("list", _) => args(&[&format!("{side}PUSH"), &k, &e, &f]),
        ("set", 0) => args(&["SPOP", &k]),
        ("set", 1) => args(&["SPOP", &k, "3"]),
        ("set", 2) => args(&["SREM", &k, &e]),
        ("set", 3) => args(&["SUNIONSTORE", &k, &key(dice, kind), &key(dice, kind)]),
        ("set", _) => args(&["SADD", &k, &e, &f]),
        ("hash", 0) => args(&["HDEL", &k, &e]),
        ("hash", 1) => args(&["HINCRBYFLOAT", &k, "f", "0.5"]),
        ("hash", _) => args(&["HSET", &k, &e, &f]),
        ("stream", 0) => args(&["XADD", &k, "MAXLEN", "~", "100", "*", &e, &f]),
        ("stream", 1) => args(&["XTRIM", &k, "MAXLEN", "30"]),
        ("stream", 2) => args(&["XADD", &k, "MINID", "~", &n, "LIMIT", "50", "*", "field", &e]),
        ("stream", _) => args(&["XADD", &k, "*", "field", &e, "other", &f]),
        (_, 0) => args(&["ZREM", &k, &e]),
        (_, 1) => args(&["ZINCRBY", &k, &n, &e]),
        (_, 2) => args(&["ZPOPMIN", &k]),
        (_, 3) => args(&["ZUNIONSTORE", &k, "2", &k, &key(dice, kind), "AGGREGATE", "MAX"]),
        (_, _) => args(&["ZADD", &k, &n, &e, &format!("{n}.5"), &f]),
    }
}

/// The names of a database's keys, by a complete SCAN.
pub fn keys_of(client: &mut Client, db: u8) -> BTreeSet<Vec<u8>> {
    client.good(&["SELECT", &db.to_string()]);
    let mut keys = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        let reply = client.good(&[b"SCAN".as_slice(), &cursor, b"COUNT", b"1000"]);
        cursor = reply.items()[0].bytes();
        keys.extend(reply.items()[1].items().iter().map(Value::bytes));
        if cursor == b"0" {
            return keys;
        }
    }
}

/// Fails with the names of the first differing keys unless both servers hold the same data.
#[track_caller]
pub fn assert_same_data(a: &Server, b: &Server) {
    if let Some(what) = difference(a, b) {
        panic!("{:?} on {} and {:?} on {} differ: {what}", a.kind(), a.port(), b.kind(), b.port());
    }
}

/// What differs between two servers: names of keys, types, contents (by digest), times of expiry.
pub fn difference(a: &Server, b: &Server) -> Option<String> {
    let (mut a, mut b) = (a.client(), b.client());
    let digests = [a.good(&["DEBUG", "DIGEST"]), b.good(&["DEBUG", "DIGEST"])];
    let mut found = Vec::new();
    for db in 0..16 {
        let (ours, theirs) = (keys_of(&mut a, db), keys_of(&mut b, db));
        for key in ours.symmetric_difference(&theirs).take(5) {
            found.push(format!("only one holds {:?} in db {db}", String::from_utf8_lossy(key)));
        }
        let both: Vec<Vec<u8>> = ours.intersection(&theirs).cloned().collect();
        for chunk in both.chunks(1000) {
            let (left, right) = (described(&mut a, chunk), described(&mut b, chunk));
            let differ = chunk.iter().zip(left.iter().zip(&right)).filter(|(_, (l, r))| l != r);
            found.extend(
                differ
                    .take(5)
                    .map(|(key, (l, r))| format!("{:?} in db {db}: {l:?} / {r:?}", String::from_utf8_lossy(key))),
            );
        }
    }
    if found.is_empty() && digests[0] != digests[1] {
        found.push(format!("DEBUG DIGEST {digests:?}, though no key differs"));
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

/// Fails unless `old`, a server before 7.0, holds what `new` does: keys, types, digests of contents, and times of expiry
/// to the minute.
#[track_caller]
pub fn assert_same_as_old(new: &Server, old: &Server) {
    let (mut new, mut old) = (new.client(), old.client());
    for db in 0..16 {
        let keys = keys_of(&mut new, db);
        assert_eq!(keys, keys_of(&mut old, db), "keys of db {db}");
        for key in keys {
            let of = |client: &mut Client| {
                let mut ask = |words: &[&str]| client.good(&[args(words), vec![key.clone()]].concat());
                (ask(&["TYPE"]), ask(&["DEBUG", "DIGEST-VALUE"]), ask(&["PTTL"]).int())
            };
            let (left, right) = (of(&mut new), of(&mut old));
            let name = String::from_utf8_lossy(&key);
            assert_eq!((left.0, left.1), (right.0, right.1), "{name:?} in db {db}");
            assert_eq!(left.2 < 0, right.2 < 0, "{name:?} in db {db} expires");
            assert!(left.2.abs_diff(right.2) < 60_000, "{name:?} in db {db} expires in {} and {}", left.2, right.2);
        }
    }
}

fn described(client: &mut Client, keys: &[Vec<u8>]) -> Vec<Vec<Value>> {
    let ask =
        |words: &[&str]| -> Vec<Args> { keys.iter().map(|key| [args(words), vec![key.clone()]].concat()).collect() };
    let columns =
        [ask(&["TYPE"]), ask(&["PEXPIRETIME"]), ask(&["DEBUG", "DIGEST-VALUE"])].map(|asked| client.pipeline(&asked));
    (0..keys.len()).map(|i| columns.iter().map(|column| column[i].clone()).collect()).collect()
}
