//! The differential run itself: stock beside stock shows no difference, and one falsified reply fails it.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Kind, peer};

const COUNT: &str = "20000";

fn compare(more: &[&str]) -> Output {
    let stock = peer("redis-server");
    Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compare"))
        .args(["diff", "--count", COUNT, "--seed", "1", "--strict", "--stock"])
        .arg(&stock)
        .arg("--ours")
        .arg(Kind::Stock.program())
        .args(more)
        .output()
        .expect("python3 runs")
}

#[test]
fn stock_beside_stock_shows_no_difference() {
    let run = compare(&[]);
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("no reply and no data differ"), "{text}");
}

#[test]
fn one_falsified_reply_fails_the_run() {
    let run = compare(&["--flip-reply", "7777"]);
    let text = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(text.contains("DIFFERENCE (reply) at command 7777, seed 1"), "{text}");
}
