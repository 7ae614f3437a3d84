//! What leaves the process's memory for good: snapshots (`rdb`). The log on disk is deliberately absent.

pub mod rdb;
