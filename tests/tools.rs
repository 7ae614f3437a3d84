//! The tools of the field, unchanged: redis-cli, redis-benchmark, and redis-py from PyPI.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::{Kind, Server, Value, assert_same_data, encode, fill, fresh_dir, peer, wait_until};

const BOUND: Duration = Duration::from_secs(40);

/// A command of redis-cli against this server.
fn cli(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(peer("redis-cli"));
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]).args(args);
    command.env_remove("REDISCLI_AUTH").env("HOME", server.dir());
    command
}

#[track_caller]
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
fn ask(server: &Server, args: &[&str]) -> String {
    said(&cli(server, args).stdin(Stdio::null()).output().unwrap())
}

/// The same with words on its standard input.
#[track_caller]
fn feed(server: &Server, args: &[&str], input: &[u8]) -> String {
    let mut child =
        cli(server, args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    said(&child.wait_with_output().unwrap())
}

/// A tool that runs until it is told to stop, its output in a file.
struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    fn start(mut command: Command, dir: &Path) -> Running {
        let output = dir.join("tool.out");
        let file = fs::File::create(&output).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Running { child, output }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_until(BOUND, &format!("the tool says {text:?}"), || self.said().contains(text));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_cli_in_a_session() {
    let server = Server::start(Kind::Ours, &[]);
    let script = b"SET greeting \"hello world\"\nGET greeting\nINCR counter\nRPUSH list a b c\nLRANGE list 0 -1\n\
        HSET hash f v g w\nHGETALL hash\nGET list\nNOSUCH\nSELECT 3\nDBSIZE\nMULTI\nSET x 1\nINCR x\nEXEC\nGET none\n";
    let expected = "OK\nhello world\n1\n3\na\nb\nc\n2\nf\nv\ng\nw\n\
        WRONGTYPE Operation against a key holding the wrong kind of value\n\n\
        ERR unknown command 'NOSUCH', with args beginning with: \n\nOK\n0\nOK\nQUEUED\nQUEUED\nOK\n2\n\n";
    assert_eq!(feed(&server, &[], script), expected);
    assert_eq!(ask(&server, &["--no-raw", "HGETALL", "hash"]), "1) \"f\"\n2) \"v\"\n3) \"g\"\n4) \"w\"\n");
    assert_eq!(ask(&server, &["-3", "--no-raw", "HGETALL", "hash"]), "1# \"f\" => \"v\"\n2# \"g\" => \"w\"\n");
    assert_eq!(ask(&server, &["-n", "3", "GET", "x"]), "2\n");
    assert_eq!(ask(&server, &["-r", "3", "INCR", "turns"]), "1\n2\n3\n");
    assert_eq!(feed(&server, &["-x", "SET", "fed"], b"from a pipe"), "OK\n");
    assert_eq!(server.cmd(&["GET", "fed"]), Value::bulk("from a pipe"));
    let csv = ask(&server, &["--csv", "LRANGE", "list", "0", "-1"]);
    assert_eq!(csv, "\"a\",\"b\",\"c\"\n");
    assert!(ask(&server, &["INFO", "server"]).contains("redis_version:7.2.4"));
    server.cmd(&["CONFIG", "SET", "requirepass", "secret"]);
    assert!(ask(&server, &["PING"]).contains("NOAUTH Authentication required."));
    assert_eq!(ask(&server, &["--no-auth-warning", "-a", "secret", "PING"]), "PONG\n");
}

#[test]
fn redis_cli_pipes_masses() {
    let server = Server::start(Kind::Ours, &[]);
    let input: Vec<u8> = (0..20_000).flat_map(|n| encode(&["SET", &format!("key:{n}"), "value"])).collect();
    let output = feed(&server, &["--pipe"], &input);
    assert!(output.contains("errors: 0, replies: 20000"), "{output}");
    assert_eq!(server.cmd(&["DBSIZE"]).int(), 20_000);
}

#[test]
fn redis_cli_looks_through_the_keys() {
    let server = Server::start(Kind::Ours, &[]);
    for number in 0..1500 {
        server.cmd(&["SET", &format!("user:{number}"), "v"]);
    }
    server.cmd(&["RPUSH", "a list", "1", "2", "3", "4"]);
    server.cmd(&["ZADD", "a zset", "1", "one", "2", "two"]);
    server.cmd(&["SET", "big", &"x".repeat(5000)]);
    let mut keys: Vec<String> = ask(&server, &["--scan", "--pattern", "user:*"]).lines().map(String::from).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1500);
    let big = ask(&server, &["--bigkeys"]);
    for part in [
        "Sampled 1503 keys in the keyspace!",
        "Biggest   list found '\"a list\"' has 4 items",
        "Biggest   zset found '\"a zset\"' has 2 members",
        "Biggest string found '\"big\"' has 5000 bytes",
    ] {
        assert!(big.contains(part), "{part:?} is not in {big}");
    }
    let memory = ask(&server, &["--memkeys"]);
    assert!(memory.contains("Biggest string found '\"big\"' has "), "{memory}");
}

#[test]
fn redis_cli_takes_a_snapshot() {
    let server = Server::start(Kind::Ours, &[]);
    fill(&mut server.client());
    let dir = fresh_dir();
    let file = dir.join("dump.rdb");
    let output = cli(&server, &["--rdb", file.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let check = Command::new(peer("redis-check-rdb")).arg(&file).output().unwrap();
    assert!(said(&check).contains("RDB looks OK!"));
    let stock = Server::start_in(Kind::Stock, &dir, &[]);
    stock.wait_loaded();
    assert_same_data(&server, &stock);
}

#[test]
fn redis_cli_follows_the_stream() {
    let server = Server::start(Kind::Ours, &[]);
    server.cmd(&["SET", "before", "1"]);
    let dir = fresh_dir();
    let replica = Running::start(cli(&server, &["--replica"]), &dir);
    replica.wait_for("sending REPLCONF capa eof");
    replica.wait_for("Logging commands from master.");
    // It takes the first command that comes for an answer to its REPLCONF ACK, and does not show it.
    let mut client = server.client();
    client.good(&["SELECT", "5"]);
    client.good(&["SET", "first", "0"]);
    server.cmd(&["SPOP", "none"]);
    server.cmd(&["SET", "after", "2"]);
    server.cmd(&["INCRBYFLOAT", "after", "0.5"]);
    replica.wait_for("\"SET\",\"after\",\"2.5\",\"KEEPTTL\"");
    let said = replica.said();
    // The tool takes the SELECT before it for the answer to its REPLCONF ACK, from stock as from us.
    assert!(said.contains("\"SET\",\"after\",\"2\""), "{said}");
    assert!(!said.contains("SPOP"), "{said}");
}

#[test]
fn redis_cli_keeps_statistics() {
    let server = Server::start(Kind::Ours, &[]);
    server.cmd(&["SET", "k", "v"]);
    let dir = fresh_dir();
    let stat = Running::start(cli(&server, &["--stat", "-i", "0.05"]), &dir);
    stat.wait_for("keys       mem      clients blocked requests            connections");
    wait_until(BOUND, "three lines are there", || {
        stat.said().lines().filter(|line| line.starts_with("1 ")).count() >= 3
    });
}

#[test]
fn redis_cli_measures_latencies() {
    let server = Server::start(Kind::Ours, &[]);
    let numbers = |line: &str| line.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
    for (mode, lines) in [("--latency", 1), ("--latency-history", 2)] {
        let tool = Running::start(cli(&server, &[mode, "-i", "0.1"]), &fresh_dir());
        wait_until(BOUND, mode, || tool.said().lines().filter(|line| numbers(line) >= 4).count() >= lines);
    }
    let spectrum = Running::start(cli(&server, &["--latency-dist", "-i", "0.1"]), &fresh_dir());
    spectrum.wait_for("---------------------------------------------");
    wait_until(BOUND, "pings come", || server.info("cmdstat_ping").contains("calls="));
}

#[test]
fn redis_cli_finds_hot_keys_and_tries_the_eviction() {
    let server = Server::start(Kind::Ours, &["--maxmemory-policy", "allkeys-lfu"]);
    let mut client = server.client();
    for number in 0..50 {
        client.good(&["SET", &format!("cold:{number}"), "v"]);
    }
    client.good(&["CONFIG", "SET", "lfu-log-factor", "0"]);
    for _ in 0..200 {
        client.good(&["GET", "cold:7"]);
    }
    let hot = ask(&server, &["--hotkeys"]);
    assert!(hot.contains("Sampled 50 keys in the keyspace!"), "{hot}");
    assert!(
        hot.lines().any(|line| line.starts_with("hot key found with counter: ") && line.contains("cold:7")),
        "{hot}"
    );
    client.good(&["FLUSHALL"]);
    client.good(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "3mb"]);
    // What it says stays in its buffer until it ends, which it does not do by itself.
    let _test = Running::start(cli(&server, &["--lru-test", "100000"]), &fresh_dir());
    wait_until(BOUND, "keys are evicted", || server.info("evicted_keys").parse::<u64>().is_ok_and(|count| count > 0));
    assert!(server.info("cmdstat_get").starts_with("calls="));
}

#[test]
fn redis_cli_takes_the_functions() {
    let server = Server::start(Kind::Ours, &[]);
    server.client().good(&["SET", "key", "not taken"]);
    let code = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    server.client().good(&["FUNCTION", "LOAD", code]);
    let dir = fresh_dir();
    let file = dir.join("dump.rdb");
    said(&cli(&server, &["--functions-rdb", file.to_str().unwrap()]).output().unwrap());
    let stock = Server::start_in(Kind::Stock, &dir, &[]);
    stock.wait_loaded();
    assert_eq!((stock.cmd(&["FCALL", "f", "0"]), stock.cmd(&["DBSIZE"])), (Value::Int(7), Value::Int(0)));
}

#[test]
fn redis_benchmark_with_its_default_tests() {
    let server = Server::start(Kind::Ours, &[]);
    let tests = "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,\
        lrange_300,lrange_500,lrange_600,mset";
    let run = |more: &[&str]| {
        let output = Command::new(peer("redis-benchmark"))
            .args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-t", tests, "-n", "1000", "-q"])
            .args(more)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        said(&output)
    };
    for (pipeline, counted) in [("1", 1000), ("16", 2008)] {
        let output = run(&["-P", pipeline]);
        for name in [
            "PING_INLINE",
            "PING_MBULK",
            "SET",
            "GET",
            "INCR",
            "LPUSH",
            "RPUSH",
            "LPOP",
            "RPOP",
            "SADD",
            "HSET",
            "SPOP",
            "ZADD",
            "ZPOPMIN",
            "LPUSH (needed to benchmark LRANGE)",
            "LRANGE_100 (first 100 elements)",
            "LRANGE_300 (first 300 elements)",
            "LRANGE_500 (first 500 elements)",
            "LRANGE_600 (first 600 elements)",
            "MSET (10 keys)",
        ] {
            // Rates are drawn over each other with carriage returns; the last word of a line counts.
            let lines = output.split(['\n', '\r']);
            let line =
                lines.rev().find(|line| line.starts_with(&format!("{name}: ")) && line.contains("requests per second"));
            let line = line.unwrap_or_else(|| panic!("{name} is not in {output}"));
            let rate: f64 = line[name.len() + 2..].split(' ').next().unwrap().parse().unwrap();
            assert!(rate > 0.0, "{line}");
        }
        // The tool sends whole pipelines only.
        assert_eq!(server.cmd(&["GET", "counter:__rand_int__"]), Value::bulk(counted.to_string()));
    }
}

#[test]
fn redis_py_drives_everything() {
    let bin = peer("redis-cli");
    let python = bin.parent().unwrap().parent().unwrap().join("python");
    assert!(python.join("redis").exists(), "redis-py is not there: run scripts/install-peers");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/redis_py_smoke.py");
    for kind in [Kind::Stock, Kind::Ours] {
        let server = Server::start(kind, &[]);
        for protocol in ["2", "3"] {
            let output = Command::new("python3")
                .arg(&script)
                .args([&server.port().to_string(), protocol])
                .env("PYTHONPATH", &python)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .output()
                .unwrap();
            assert!(
                output.status.success() && output.stdout.ends_with(b"all good\n"),
                "{kind:?}, RESP{protocol}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
