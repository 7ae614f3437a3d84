//! The yardstick of `scripts/bench migration`: the replayer carries what RESTORE and commands can carry, says what was
//! refused, and the part that measures it beside `scripts/migrate` finds what is missing.

mod support;

#[allow(dead_code)] // It has a `main` of its own.
#[path = "../scripts/benchmark/replay.rs"]
mod replay;

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Kind, Server, assert_same_as_old, fill, fresh_dir, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const FAR_MS: &str = "4102444800000";

/// Carries `source` to `target`, with `during` done between the snapshot and the end; the lines that were told.
fn carry(source: &Server, target: &Server, version: Option<u16>, during: impl FnOnce() + Send) -> Vec<String> {
    let place = |server: &Server| format!("127.0.0.1:{}", server.port());
    let (from, to) = (place(source), place(target));
    let goal = Arc::new(AtomicU64::new(replay::NO_GOAL));
    let told = goal.clone();
    std::thread::scope(|scope| {
        let carrier = scope.spawn(move || {
            let lines = RefCell::new(Vec::new());
            replay::carry(&from, &to, version, goal, &|line| lines.borrow_mut().push(line)).expect("it is carried");
            lines.into_inner()
        });
        wait_until(BOUND, "the source streams", || source.info("slave0").contains("state=online"));
        during();
        told.store(source.info("master_repl_offset").parse().expect("an offset"), Ordering::Relaxed);
        carrier.join().expect("it ends well")
    })
}

fn library(client: &mut support::Client) {
    client.good(&["FUNCTION", "LOAD", "#!lua name=one\nredis.register_function('f', function() return 1 end)"]);
}

#[test]
fn snapshot_and_stream_reach_the_target() {
    for diskless in ["yes", "no"] {
        let args = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"];
        let (source, target) = (Server::start(Kind::Stock, &args), Server::start(Kind::Stock, &[]));
        let mut client = source.client();
        fill(&mut client);
        library(&mut client);
        let lines = carry(&source, &target, None, || {
            for number in 0..300 {
                let (key, word) = (format!("live:{}", number % 40), number.to_string());
                client.good(&["SELECT", ["0", "3"][number % 2]]);
                client.good(&["APPEND", &format!("s{key}"), &word]);
                client.good(&["RPUSH", &format!("l{key}"), &word, "x"]);
                client.good(&["HSET", &format!("h{key}"), &word, "v"]);
                client.good(&["ZADD", &format!("z{key}"), &word, "member"]);
                client.good(&["XADD", &format!("x{key}"), "*", "field", &word]);
                client.good(&["EVAL", "return redis.call('INCRBYFLOAT', KEYS[1], 0.1)", "1", "float"]);
            }
            client.good(&["MULTI"]);
            client.good(&["SET", "in", "one", "EX", "5000"]);
            client.good(&["LPOP", "llive:3", "3"]);
            client.good(&["EXEC"]);
        });
        let last = lines.last().expect("lines");
        assert!(lines.len() == 3 && last.contains("\"refused\": []"), "{lines:?}");
        assert_same_as_old(&source, &target);
        assert_eq!(target.cmd(&["FUNCTION", "LIST"]), source.cmd(&["FUNCTION", "LIST"]));
    }
}

/// A master says `XADD key MINID = id LIMIT n`, which it takes from its own master alone.
#[test]
fn what_only_a_master_may_say_is_refused_and_named() {
    let (source, target) =
        (Server::start(Kind::Stock, &["--repl-diskless-sync-delay", "0"]), Server::start(Kind::Stock, &[]));
    let lines = carry(&source, &target, None, || {
        source.client().good(&["XADD", "stream", "MINID", "~", "5", "LIMIT", "50", "*", "field", "value"]);
    });
    let last = lines.last().expect("lines");
    assert!(last.contains("{\"what\": \"XADD\", \"error\": \"ERR syntax error, LIMIT cannot be used"), "{last}");
    assert_eq!(target.client().good(&["EXISTS", "stream"]).int(), 0);
}

#[test]
fn what_the_target_refuses_is_named_and_the_rest_goes_on() {
    let delay = ["--repl-diskless-sync-delay", "0"];
    let source = Server::start(Kind::Peer("redis-server-8.2"), &delay);
    let mut client = source.client();
    client.good(&["SET", "plain", "text"]);
    client.good(&["HSET", "hash", "a", "1", "b", "2"]);
    client.good(&["HPEXPIREAT", "hash", FAR_MS, "FIELDS", "1", "a"]);
    library(&mut client);
    // Payloads of 12 are of neither family for Valkey, whatever they hold; of 11, what it does not know is the type.
    for (version, keys, error) in [(None, 0, "version or checksum are wrong"), (Some(11), 1, "Bad data format")] {
        let target = Server::start(Kind::Peer("valkey-server-9.1"), &[]);
        let lines = carry(&source, &target, version, || {
            client.good(&["HSET", "later", "a", "1"]);
            client.good(&["HPEXPIREAT", "later", FAR_MS, "FIELDS", "1", "a"]);
            client.good(&["HSETEX", "later", "EX", "1000", "FIELDS", "1", "b", "2"]);
            client.cmd(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
        });
        let last = lines.last().expect("lines");
        let refusal = "a key of type 25 (hash-listpack-with-field-expiry)\", \"error\": \"ERR";
        assert!(last.contains(refusal) && last.contains(error) && last.contains("\"first\": \"hash\""), "{last}");
        assert!(last.contains("{\"what\": \"VADD\", \"error\": \"ERR unknown command"), "{last}");
        let moments = ["HPEXPIRETIME", "later", "FIELDS", "1", "a"];
        assert_eq!(target.cmd(&moments), source.cmd(&moments), "{last}");
        assert_eq!(target.client().good(&["EXISTS", "plain"]).int(), keys);
        assert_eq!(target.client().good(&["EXISTS", "hash"]).int(), 0);
        client.good(&["DEL", "vectors", "later"]);
    }
}

#[test]
fn a_source_that_is_none_is_told() {
    let target = Server::start(Kind::Stock, &[]);
    let replica = Server::start(Kind::Stock, &["--replicaof", "127.0.0.1", "1"]);
    let (from, to) = (format!("127.0.0.1:{}", replica.port()), format!("127.0.0.1:{}", target.port()));
    let error = replay::carry(&from, &to, None, Arc::new(AtomicU64::new(0)), &|_| {}).expect_err("no master");
    assert!(error.to_string().starts_with("the source answers -"), "{error}");
}

/// The whole part with few keys: both ways are measured, and only one of them lacks keys.
#[test]
fn the_part_of_the_benchmarks_measures_both_ways() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return; // one core for the server, one for the load
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(env!("CARGO")).args(["build", "--locked", "--examples"]).current_dir(root).output();
    let built = built.expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ours = Path::new(env!("CARGO_BIN_EXE_understudy"));
    let dir = fresh_dir();
    let output = Command::new("python3")
        .arg(root.join("scripts/bench"))
        .args(["migration", "--quick", "--keys", "3000", "--peers", "redis-8.2,valkey-9.1", "--ours"])
        .arg(ours)
        .args(["--directory", dir.to_str().expect("a name")])
        .env("BENCH_EXAMPLES", ours.with_file_name("examples"))
        .output()
        .expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("the target refuses a key of type 25 (hash-listpack-with-field-expiry)"), "{text}");
    let figures = |figure: &str| -> (f64, f64) {
        let line = text.lines().find(|line| line.contains(figure)).unwrap_or_else(|| panic!("no {figure} in {text}"));
        let number = |name: &str| line.split(name).nth(1)?.split_whitespace().next()?.parse().ok();
        (number("ours ").expect("ours"), number("replay ").expect("the replayer's"))
    };
    let (ours, replay) = figures("keys that differ [keys]");
    assert!(ours == 0.0 && (1.0..=30.0).contains(&replay), "{ours} {replay}");
    for figure in
        ["until target in sync [s]", "writes paused [ms]", "CPU of all three [s]", "peak memory of bridge [MB]"]
    {
        let (ours, replay) = figures(figure);
        assert!(ours > 0.0 && replay > 0.0, "{figure}: {ours} {replay}");
    }
    std::fs::remove_dir_all(dir).expect("it was there");
}
