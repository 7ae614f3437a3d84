//! Leaf functions without state: numbers, chance, hashing, formats' checksums.
//!
//! Nothing here knows a key, a client or a socket. This room and `types/` are the only ones that may say `unsafe`.

pub mod allocator;
pub mod bits;
pub mod bytes;
pub mod clock;
pub mod crash;
pub mod crc64;
pub mod disk;
pub mod extended;
pub mod geohash;
pub mod glob;
pub mod hash;
pub mod lua;
pub mod lzf;
pub mod memory;
pub mod murmur;
pub mod net;
pub mod numbers;
pub mod process;
pub mod rng;
pub mod sha1;
pub mod sha256;
pub mod ticker;
pub mod title;
