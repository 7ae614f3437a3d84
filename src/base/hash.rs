//! The keyed hash of the key table and of the collections.
//!
//! The key is drawn once a process, so that a client cannot choose names that collide.

use ahash::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

/// The keys of both hashes: ours, and that of the maps of the standard library.
struct Keys {
    words: [u64; 3],
    maps: RandomState,
}

/// Drawn once, never changed: a hash must not change while a table lives.
static KEYS: OnceLock<Keys> = OnceLock::new();

/// Fixes the hash key for this process, so that a run under a seed repeats. Has no effect after the first hash.
pub fn seed(seed: u64) {
    let _ = KEYS.set(drawn(&mut super::rng::Rng::new(seed)));
}

fn drawn(rng: &mut super::rng::Rng) -> Keys {
    let mut word = || rng.next_u64();
    // An odd multiplier loses nothing of what it multiplies.
    Keys { words: [word(), word(), word() | 1], maps: RandomState::with_seeds(word(), word(), word(), word()) }
}

#[inline]
fn keys() -> &'static Keys {
    KEYS.get_or_init(|| drawn(&mut super::rng::Rng::from_os()))
}

/// Both halves of the product of two words, laid over each other: every bit of either word reaches every other.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[inline]
fn half_word(bytes: &[u8], at: usize) -> u64 {
    let half = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    u64::from(half)
}

/// The keyed 64-bit hash of a byte string: two words (which overlap where there are fewer than 16 bytes, so the length
/// is mixed in), each covered by a secret one, multiplied and folded; longer strings are taken 16 bytes at a time.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let [first, second, multiplier] = keys().words;
    let len = bytes.len();
    let (a, b) = match len {
        8..=16 => (word(bytes, 0), word(bytes, len - 8)),
        4..=7 => (half_word(bytes, 0), half_word(bytes, len - 4)),
        1..=3 => (u64::from(bytes[0]) | u64::from(bytes[len / 2]) << 8, u64::from(bytes[len - 1])),
        0 => (0, 0),
        _ => {
            let state = hash_blocks(bytes, first, second);
            (word(bytes, len - 16) ^ state, word(bytes, len - 8))
        }
    };
    folded(folded(a ^ first, b ^ second) ^ len as u64, multiplier)
}

/// All blocks of 16 bytes but the last, or the last but for some bytes.
fn hash_blocks(bytes: &[u8], first: u64, second: u64) -> u64 {
    let blocks = bytes[..bytes.len() - 1].chunks_exact(16);
    blocks.fold(0, |state, block| folded(word(block, 0) ^ first ^ state, word(block, 8) ^ second))
}

/// The same key for the maps of the standard library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyed;

impl BuildHasher for Keyed {
    type Hasher = ahash::AHasher;

    #[inline]
    fn build_hasher(&self) -> ahash::AHasher {
        keys().maps.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::HashMap;

    /// Strings that differ in one bit, or in length alone, or come in a row as names of keys do: every bit of the hash is
    /// as often set as not, and no bucket gets much more than its share.
    #[test]
    fn any_change_changes_half_of_the_bits() {
        let mut rng = Rng::new(5);
        for len in (0..40).chain([64, 100, 1000]) {
            let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            let (whole, longer) = (hash(&bytes), hash(&[&bytes[..], &[0]].concat()));
            assert_ne!(whole, longer);
            let (mut changed, mut tries) = (0, 0);
            for _ in 0..if len == 0 { 0 } else { 400 } {
                let mut other = bytes.clone();
                other[rng.index(len)] ^= 1 << rng.index(8);
                changed += (hash(&other) ^ whole).count_ones();
                tries += 64;
            }
            assert!(tries == 0 || (0.4..0.6).contains(&(f64::from(changed) / f64::from(tries))), "{len}: {changed}");
        }
    }

    #[test]
    fn names_in_a_row_spread() {
        for (format, shift) in [("key:", 0), ("key:", 56), ("a-much-longer-name-of-a-key:", 0), ("", 3)] {
            let mut buckets: HashMap<u64, u32> = HashMap::new();
            for number in 0..25_600 {
                *buckets.entry(hash(format!("{format}{number}").as_bytes()) >> shift & 255).or_default() += 1;
            }
            let most = buckets.values().max().copied().unwrap_or(0);
            assert!(buckets.len() == 256 && most < 160, "{format}: {} buckets, {most} at most", buckets.len());
        }
    }
}
