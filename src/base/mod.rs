//! Leaf functions without state: numbers, chance, hashing, formats' checksums.
//!
//! Nothing here knows a key, a client or a socket. This room and `types/` are the only ones that may say `unsafe`.

pub mod clock;
pub mod hash;
pub mod numbers;
pub mod rng;
