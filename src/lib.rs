//! Understudy: a Redis-compatible server whose reason to exist is replication.
//!
//! One daemon, one thread for data, an event loop in the shape of Redis's own `ae`: file events, time events, `call()`,
//! `replication_feed_slaves()`. A reader who knows the C finds every idea under its own name.
//!
//! # The rooms
//!
//! A room imports only from rooms with a lower number; `tests/tidy.rs` holds the rule.
//!
//! | | room | what it owns |
//! |---|---|---|
//! | 0 | [`base`] | clock, chance, numbers, hashes and checksums, the system's doors: leaf functions |
//! | 1 | [`reactor`] | the event loop (file events that are drained or remembered) and its transports |
//! | 1 | [`resp`] | requests from bytes, replies to bytes |
//! | 1 | [`types`] | the values and the encodings under them; the hash table; an entry of the key table |
//! | 1 | [`config`] | the directives: parse, get, set, rewrite |
//! | 2 | [`keyspace`] | the databases: keys, expiry, watched keys |
//! | 3 | [`persist`] | RDB: the push parser, the saver, the verifier |
//! | 3 | [`replication`] | the log that all replicas read, a replica's life, the handshake with a master |
//! | 3 | [`pubsub`] | channels and patterns, and who listens to them |
//! | 4 | [`commands`] | what data commands do, one file a family, and the rows that describe them |
//! | 5 | [`acl`] | users, their rules, the verdict on a command |
//! | 5 | [`scripting`] | the engine of scripts, their sandbox and their libraries |
//! | 6 | [`server`] | the house: clients, dispatch, snapshots, both ends of replication, commands about the house |
//!
//! # The way of a request
//!
//! socket → `read_query_from_client` → `resp::request::parse` (a whole pipeline; arguments are places in the buffer) →
//! prefetch of the keys → `process_command` → `call()` → a command's function → keyspace → what follows from a change
//! (the log, watched keys), in one place → the client's output → written once, in `before_sleep`.
//!
//! # The way of a change
//!
//! Each change becomes bytes once: the command as it came, or what stands for it, appended to the replication log.
//! A replica is an offset into that log; it is fed by `writev` straight from there. A replica of ours appends its
//! master's bytes at its master's offsets, so a chain shares one history.
//!
//! # The doors
//!
//! Time, chance, files, connections, children and events come in through [`server::Doors`], each real or simulated:
//! `tests/sim` runs a whole cluster in one thread under one seed.
//!
//! # Deliberately absent
//!
//! Threads that touch data, `Rc<RefCell>`, async, globals beyond what a signal handler and the hash key need.

pub mod acl;
pub mod base;
pub mod commands;
pub mod config;
pub mod keyspace;
pub mod persist;
pub mod pubsub;
pub mod reactor;
pub mod replication;
pub mod resp;
pub mod scripting;
pub mod server;
pub mod types;

/// The unit tests run with the allocator of the program, so that its figures can be tested.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: base::allocator::Allocator = base::allocator::Allocator;
