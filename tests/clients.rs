//! Client libraries and queues of the field, unchanged: every family of commands through redis-py, ioredis and node-redis, and
//! real queues over RQ, Celery and BullMQ. The same scripts run on stock and on ours, and must print the same.
//!
//! `scripts/install-peers --clients` brings what they need; the scripts are in `tests/clients`.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Kind, Server, peer};

/// A script takes a second or two.
const BOUND_SECONDS: &str = "120";

/// Where `scripts/install-peers --clients` puts a part of what it brings.
fn clients(part: &str) -> PathBuf {
    let path = peer("redis-cli").parent().unwrap().parent().unwrap().join("clients").join(part);
    assert!(path.exists(), "{} is not there: run scripts/install-peers --clients", path.display());
    path
}

/// What a script of `tests/clients` says to a server.
fn said(kind: Kind, script: &str, args: &[&str]) -> Output {
    let server = Server::start(kind, &[]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    // A library that waits for a reply that never comes waits for ever.
    let mut command = Command::new("timeout");
    command.arg(BOUND_SECONDS);
    if script.ends_with(".js") {
        clients("js/.installed");
        command.arg(peer("node")).env("NODE_PATH", clients("js/node_modules"));
    } else {
        clients("python/.installed");
        command.arg("python3").env("PYTHONPATH", clients("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    }
    command.arg(file).arg(server.port().to_string()).args(args).current_dir(server.dir()).output().unwrap()
}

/// Runs a script on both and compares all that it printed.
#[track_caller]
fn same_on_both(script: &str, args: &[&str]) {
    let [stock, ours] = [Kind::Stock, Kind::Ours].map(|kind| {
        let output = said(kind, script, args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && text.ends_with("all good\n"),
            "{script} {args:?} on {kind:?}: {}\n{text}\n{complaints}",
            output.status
        );
        text
    });
    let differing = stock.lines().zip(ours.lines()).find(|(stock, ours)| stock != ours);
    if let Some((stock, ours)) = differing {
        panic!("{script} {args:?}\nstock: {stock}\nours:  {ours}");
    }
    assert_eq!(stock, ours, "{script} {args:?}");
}

#[test]
fn redis_py_2() {
    same_on_both("redis_py.py", &["2"]);
}

#[test]
fn redis_py_3() {
    same_on_both("redis_py.py", &["3"]);
}

#[test]
fn ioredis() {
    same_on_both("ioredis.js", &[]);
}

#[test]
fn node_redis_2() {
    same_on_both("node_redis.js", &["2"]);
}

#[test]
fn node_redis_3() {
    same_on_both("node_redis.js", &["3"]);
}

#[test]
fn rq() {
    same_on_both("rq_queue.py", &[]);
}

#[test]
fn celery() {
    same_on_both("celery_queue.py", &[]);
}

#[test]
fn bullmq() {
    same_on_both("bullmq.js", &[]);
}
