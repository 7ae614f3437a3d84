//! Whole servers in one thread under one seed: masters, chains of replicas and clients, on a simulated clock, network,
//! disk and snapshot child. Random writes and random faults, then peace, in which everybody must come together.
//!
//! At every step: what a replica appends are its master's bytes, a history never goes back, no server claims more of a
//! history than there was, data at the same offset is the same everywhere, WAIT tells the truth.
//!
//! `make sim SEEDS=100000` runs many; `make sim SEED=17` replays one and shows its trace.

mod network;
mod node;
mod oracle;
mod scenario;
mod trace;
mod world;
mod writer;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// One seed. The hash key is the same in every run, so that tables are walked in the same order.
fn run(seed: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    understudy::base::hash::seed(0x5EED);
    let outcome = catch_unwind(AssertUnwindSafe(|| scenario::run(seed)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or("a panic".into()))
    })
}

/// Runs seeds on all processors until one fails or all are done.
fn run_all(first: u64, count: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    let next = AtomicU64::new(first);
    let (failures, totals) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match run(seed) {
                        Ok(counts) => {
                            let mut totals = totals.lock().unwrap();
                            counts.into_iter().for_each(|(what, count)| *totals.entry(what).or_default() += count);
                        }
                        Err(reason) => {
                            eprintln!("seed {seed}: {reason}");
                            failures.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let mut failed = failures.into_inner().unwrap();
    failed.sort_unstable();
    match failed.first() {
        None => Ok(totals.into_inner().unwrap()),
        Some(seed) => Err(format!("{} of {count} seeds failed; to replay one: make sim SEED={seed}", failed.len())),
    }
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("SIM_SEED") {
        trace::switch_on();
        return run(seed).map(drop).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(1), number("SIM_SEEDS").unwrap_or(600));
    match run_all(first, count) {
        Ok(totals) => eprintln!("{count} seeds from {first} on ended well: {totals:?}"),
        Err(reason) => panic!("{reason}"),
    }
}
