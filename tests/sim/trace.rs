//! What happened, for who replays one seed: the operator's deeds, the faults, and the logs of all servers.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The time in the run, and the node whose turn it is.
    static PLACE: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let (at_us, node) = PLACE.get();
        say(at_us, Some(node), || record.args().to_string());
    }

    fn flush(&self) {}
}

/// Shows everything from now on.
pub fn switch_on() {
    ON.store(true, Ordering::Relaxed);
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

/// Whose turn it is, for the log lines that follow.
pub fn at(at_us: u64, node: usize) {
    PLACE.set((at_us, node));
}

/// A line of the trace.
pub fn say(at_us: u64, node: Option<usize>, text: impl FnOnce() -> String) {
    if ON.load(Ordering::Relaxed) {
        let who = node.map_or("world ".into(), |node| format!("node {node}"));
        eprintln!("{:10.6} {who} {}", at_us as f64 / 1e6, text());
    }
}
