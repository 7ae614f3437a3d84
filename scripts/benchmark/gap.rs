//! The longest turn that any loop on this machine has, through no fault of its own: it does nothing but read the clock,
//! and tells between which two readings most time went by. Whatever took the core meanwhile, it was somebody else.
//!
//! `gap SECONDS` prints microseconds.

use std::time::{Duration, Instant};

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0.0);
    let Some(seconds) = seconds else {
        eprintln!("usage: gap SECONDS");
        std::process::exit(2);
    };
    let begin = Instant::now();
    let (mut last, mut longest) = (begin, Duration::ZERO);
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    println!("{}", longest.as_micros());
}
