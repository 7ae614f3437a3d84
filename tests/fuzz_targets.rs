//! The fuzz targets, without a fuzzer: over their seeds, over what was ever found, and over spoilt copies of both.
//! `scripts/fuzz` is the way to look for more.

#[path = "fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use targets::{Choices, TARGETS};
use understudy::base::rng::Rng;

/// Spoilt copies of each input.
const SPOILT: usize = 60;
/// Inputs of more bytes are only run as they are.
const SPOILT_SIZE_MAX: usize = 4096;
/// No input may take as long. (Under libFuzzer the bound is 10 s.)
const BOUND: Duration = Duration::from_secs(60);

#[test]
fn targets_take_whatever_comes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for (name, target) in TARGETS {
        let mut rng = Rng::new(11);
        let mut inputs = files(&root.join("seeds").join(name));
        assert!(!inputs.is_empty(), "{name} has no seeds");
        inputs.extend(files(&root.join("found").join(name)));
        for (file, input) in &inputs {
            run(name, *target, file, input);
            if input.len() > SPOILT_SIZE_MAX {
                continue;
            }
            for number in 0..SPOILT {
                let spoilt = spoil(input, &inputs, &mut rng);
                run(name, *target, &format!("{file} spoilt for the {number}th time"), &spoilt);
            }
        }
    }
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

fn run(name: &str, target: fn(&[u8]), what: &str, input: &[u8]) {
    let start = Instant::now();
    if let Err(panic) = std::panic::catch_unwind(|| target(input)) {
        eprintln!("{name}, {what}: {}", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
    assert!(start.elapsed() < BOUND, "{name}, {what}: took {:?}", start.elapsed());
}

/// A copy with a few bytes changed, inserted, left out, or taken from another input.
fn spoil(input: &[u8], inputs: &[(String, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    const TELLING: &[u8] = &[0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xfe, 0xff];
    let mut spoilt = input.to_vec();
    for _ in 0..=rng.index(3) {
        let at = rng.index(spoilt.len().max(1));
        let byte = if rng.index(2) == 0 { TELLING[rng.index(TELLING.len())] } else { rng.next_u64() as u8 };
        match rng.index(5) {
            0 => spoilt.insert(at, byte),
            1 => drop(spoilt.drain(at..(at + rng.index(4)).min(spoilt.len()))),
            2 => {
                let (_, other) = &inputs[rng.index(inputs.len())];
                let mut part = Choices(&other[rng.index(other.len().max(1)).min(other.len())..]);
                let count = rng.index(32);
                spoilt.splice(at..at, part.take(count).iter().copied());
            }
            _ => {
                if let Some(there) = spoilt.get_mut(at) {
                    *there = byte;
                }
            }
        }
    }
    spoilt
}
