//! Understudy beside stock: the differential run ends without a difference that is not explained. (`scripts/compare sync`
//! takes minutes and stays with `make compare`.)

mod support;

use std::path::Path;
use std::process::Command;

use support::{Kind, peer};

#[test]
fn a_hundred_thousand_random_commands_differ_in_no_reply_and_no_data() {
    let run = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compare"))
        .args(["diff", "--count", "100000", "--seed", "1", "--digest-every", "10000", "--stock"])
        .arg(peer("redis-server"))
        .arg("--ours")
        .arg(Kind::Ours.program())
        .output()
        .expect("python3 runs");
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && text.contains("no reply and no data differ"), "{text}");
}
