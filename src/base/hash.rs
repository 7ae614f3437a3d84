//! The keyed hash of the key table and of the collections.
//!
//! The key is drawn once a process, so that a client cannot choose names that collide.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// Drawn once, never changed: a hash must not change while a table lives.
static STATE: OnceLock<RandomState> = OnceLock::new();

/// Fixes the hash key for this process, so that a run under a seed repeats. Has no effect after the first hash.
pub fn seed(seed: u64) {
    let _ = STATE.set(RandomState::with_seeds(seed, !seed, seed.rotate_left(17), 0x5eed));
}

fn state() -> &'static RandomState {
    STATE.get_or_init(|| {
        let mut rng = super::rng::Rng::from_os();
        RandomState::with_seeds(rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64())
    })
}

/// The keyed 64-bit hash of a byte string.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = state().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The same key for the maps of the standard library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyed;

impl BuildHasher for Keyed {
    type Hasher = ahash::AHasher;

    #[inline]
    fn build_hasher(&self) -> ahash::AHasher {
        state().build_hasher()
    }
}
