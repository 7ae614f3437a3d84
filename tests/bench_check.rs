//! The benchmark harness without a benchmark: its report, from figures given here, finds the medians, the best peer,
//! the ratios and the targets that are met.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bench(args: &[&str]) -> Output {
    Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/bench"))
        .args(args)
        .output()
        .expect("python3 runs")
}

fn row(measure: &str, figure: &str, better: &str, samples: &str) -> String {
    format!(
        r#"{{"measure": "{measure}", "figure": "{figure}", "unit": "ns/request", "better": "{better}", "samples": {samples}}}"#
    )
}

fn run(id: u32, quick: bool, rows: &[String]) -> String {
    format!(r#"{{"id": "{id}", "quick": {quick}, "rounds": 5, "rows": [{}]}}"#, rows.join(","))
}

/// What `scripts/bench report` says of such runs, and where its files are.
fn report(part: &str, runs: &[String]) -> (String, PathBuf) {
    let dir = support::fresh_dir();
    fs::write(dir.join(format!("{part}.json")), format!(r#"{{"part": "{part}", "runs": [{}]}}"#, runs.join(",")))
        .unwrap();
    let output = bench(&["report", "--directory", dir.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    (text, dir)
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line {start} in\n{text}"))
}

const SAMPLES: &str = r#"{"ours": [900, 200, 210, 190, 100], "redis-7.0": [800, 810, 790, 1, 9000],
    "redis-8.2": [500, 500, 500, 500, 500], "valkey-9.1": [600], "floor": [100, 70, 50]}"#;

#[test]
fn a_table_holds_medians_the_ratio_to_the_best_peer_and_the_targets() {
    let rows = [
        row("GET, 16 B, pipeline 64", "server CPU", "less", SAMPLES),
        row("GET, 16 B, pipeline 64", "throughput", "more", SAMPLES),
    ];
    let (text, dir) = report("requests", &[run(1, false, &rows)]);
    // The floor is no peer to beat, but has a target of its own: 200 / 70.
    let cpu = "| GET, 16 B, pipeline 64 | 200.0 | 800.0 | 500.0 | 600.0 | 70.00 | 0.40 | ±200% \
               | ≤ 0.50 ×; ≤ 2.50 × floor | pass; short (2.86) |";
    assert_eq!(line(&text, "| GET, 16 B, pipeline 64 | 200.0"), cpu);
    let rates = text.split("### requests: throughput").nth(1).expect("a table of its own for each figure");
    assert!(line(rates, "| GET").contains("| 70.00 | 0.25 |"), "most is best for a rate: {rates}");
    assert!(text.contains("1 of 2 targets are met"), "{text}");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.matches("<svg").count() == 2 && page.contains("class=\"short\""), "{page}");
    assert_eq!(page.matches("<rect").count(), 10, "a bar for each server and figure");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_full_run_outweighs_a_quick_one_and_a_newer_one_an_older() {
    let with =
        |ours: u32| [row("4 replicas", "master CPU", "less", &format!(r#"{{"ours": [{ours}], "redis-7.0": [100]}}"#))];
    let quick_last = [run(1, false, &with(11)), run(2, false, &with(22)), run(3, true, &with(33))];
    let (text, dir) = report("stream", &quick_last);
    assert!(line(&text, "| 4 replicas").contains("| 22.00 | 100.0 | 0.22 |"), "{text}");
    assert!(!text.contains("QUICK"), "{text}");
    fs::remove_dir_all(dir).unwrap();
    let (text, dir) = report("stream", &quick_last[2..]);
    assert!(text.contains("| 33.00 |") && text.contains("QUICK"), "{text}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_failure_lasts_until_a_later_run_has_figures() {
    let failed =
        r#"{"measure": "empty", "figure": "FAILED", "unit": "", "better": "less", "samples": {}, "error": "-ERR no"}"#;
    let good = [row("empty", "CPU", "less", r#"{"ours": [1], "redis-7.0": [4]}"#)];
    for (runs, told) in [
        ([run(1, false, &[failed.to_string()]), run(2, false, &good)], false),
        ([run(1, false, &good), run(2, false, &[failed.to_string()])], true),
    ] {
        let (text, dir) = report("startup", &runs);
        assert_eq!(text.contains("-ERR no"), told, "{text}");
        assert!(text.contains("| 0.25 |"), "{text}");
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn an_absolute_target_needs_no_peer_and_a_failure_is_told() {
    let failed =
        r#"{"measure": "other", "figure": "FAILED", "unit": "", "better": "less", "samples": {}, "error": "-ERR no"}"#;
    let rows = [row("10 keys inserted", "longest turn", "less", r#"{"ours": [999, 1001, 1500]}"#), failed.to_string()];
    let (text, dir) = report("turn", &[run(1, false, &rows)]);
    assert!(line(&text, "| 10 keys").ends_with("| ≤ 1000 ns/request | short (1001) |"), "{text}");
    assert!(line(&text, "| other").ends_with("| FAILED: -ERR no |"), "{text}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn it_names_its_parts_and_refuses_others() {
    let list = String::from_utf8_lossy(&bench(&["--list"]).stdout).into_owned();
    let parts = "requests latency memory sync stream fanout rdb startup idle turn instructions migration";
    for part in parts.split(' ') {
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(part)), "no {part} in\n{list}");
    }
    let refused = bench(&["reqests"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no part reqests"));
    assert!(!bench(&["report", "--directory", "/nowhere"]).status.success());
}
