//! Understudy: a Redis-compatible server whose reason to exist is replication.

pub mod base;
pub mod commands;
pub mod config;
pub mod keyspace;
pub mod persist;
pub mod reactor;
pub mod replication;
pub mod resp;
pub mod server;
pub mod types;
