//! What leaves the process's memory for good: snapshots. The log on disk is deliberately absent.
//!
//! `rdb` is the format, bytes only; `snapshot` writes the whole data set, `load` reads it.

pub mod load;
pub mod rdb;
pub mod snapshot;

#[cfg(test)]
mod tests;
