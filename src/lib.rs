//! Understudy: a Redis-compatible server whose reason to exist is replication.

pub mod base;
pub mod config;
pub mod resp;
pub mod types;
