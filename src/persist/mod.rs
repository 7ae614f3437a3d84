//! What leaves the process's memory for good: snapshots. The log on disk is deliberately absent.
//!
//! `rdb` is the format, bytes only; `snapshot` writes the whole data set, `load` reads it; `losses` is what a reader
//! could not hold.

pub mod load;
pub mod losses;
pub mod rdb;
pub mod snapshot;

#[cfg(test)]
mod tests;
