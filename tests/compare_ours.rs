//! Understudy beside stock: the differential run and a short sync run end without a difference that is not explained.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Kind, peer};

/// Runs one part of `scripts/compare`, which must end well, and returns what it printed.
fn compare(part: &str, options: &[&str]) -> String {
    let run = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compare"))
        .arg(part)
        .args(options)
        .arg("--stock")
        .arg(peer("redis-server"))
        .arg("--ours")
        .arg(Kind::Ours.program())
        .output()
        .expect("python3 runs");
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{text}");
    text
}

#[test]
fn a_hundred_thousand_random_commands_differ_in_no_reply_and_no_data() {
    let text = compare("diff", &["--count", "100000", "--seed", "1", "--digest-every", "10000"]);
    assert!(text.contains("no reply and no data differ"), "{text}");
}

#[test]
fn each_follows_the_other_through_live_writes_and_a_kill() {
    let text = compare("sync", &["--pairs", "stock-ours,ours-stock", "--writes", "5000"]);
    assert_eq!(text.matches("| equal |").count(), 8, "{text}");
}
