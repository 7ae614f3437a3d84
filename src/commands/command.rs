//! A row of the command table: what a command is called, how it is called, what it touches, and what it does.
//!
//! COMMAND, COMMAND DOCS, ACL categories and the extraction of keys all read these rows; nothing about a command is
//! written twice.

use super::{CommandError, Ctx};
use crate::resp::request::Argv;

/// What a data command does.
pub type DataFn = fn(&mut Ctx<'_>, Argv<'_>) -> Result<(), CommandError>;

/// Flags of a command, as COMMAND INFO tells them.
pub mod flag {
    /// May change the data set.
    pub const WRITE: u32 = 1 << 0;
    /// Never changes the data set.
    pub const READONLY: u32 = 1 << 1;
    /// Refused when memory is short.
    pub const DENYOOM: u32 = 1 << 2;
    /// For administrators.
    pub const ADMIN: u32 = 1 << 3;
    /// About Pub/Sub.
    pub const PUBSUB: u32 = 1 << 4;
    /// Not for scripts.
    pub const NOSCRIPT: u32 = 1 << 5;
    /// May make the client wait.
    pub const BLOCKING: u32 = 1 << 6;
    /// Allowed while a data set is loaded.
    pub const LOADING: u32 = 1 << 7;
    /// Allowed on a replica whose data is stale.
    pub const STALE: u32 = 1 << 8;
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: u32 = 1 << 9;
    /// Not shown by SLOWLOG.
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    /// Of constant or logarithmic cost.
    pub const FAST: u32 = 1 << 11;
    /// Allowed to who has not authenticated.
    pub const NO_AUTH: u32 = 1 << 12;
    /// May be propagated though it is no write.
    pub const MAY_REPLICATE: u32 = 1 << 13;
    /// Keys cannot be told from the rows alone.
    pub const MOVABLEKEYS: u32 = 1 << 14;
    /// Not inside MULTI.
    pub const NO_MULTI: u32 = 1 << 15;
    /// Allowed while a script is slow.
    pub const ALLOW_BUSY: u32 = 1 << 16;
    /// Asked asynchronously while loading.
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    /// Has optional keys only.
    pub const NO_MANDATORY_KEYS: u32 = 1 << 18;
    /// What a cluster's node takes after ASKING.
    pub const ASKING: u32 = 1 << 19;
    /// The names, in the order in which COMMAND INFO tells them. Of `MAY_REPLICATE` it says nothing.
    pub const NAMES: [(u32, &str); 19] = [
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLEKEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// ACL categories.
pub mod category {
    /// `@keyspace`
    pub const KEYSPACE: u32 = 1 << 0;
    /// `@read`
    pub const READ: u32 = 1 << 1;
    /// `@write`
    pub const WRITE: u32 = 1 << 2;
    /// `@set`
    pub const SET: u32 = 1 << 3;
    /// `@sortedset`
    pub const SORTEDSET: u32 = 1 << 4;
    /// `@list`
    pub const LIST: u32 = 1 << 5;
    /// `@hash`
    pub const HASH: u32 = 1 << 6;
    /// `@string`
    pub const STRING: u32 = 1 << 7;
    /// `@bitmap`
    pub const BITMAP: u32 = 1 << 8;
    /// `@hyperloglog`
    pub const HYPERLOGLOG: u32 = 1 << 9;
    /// `@geo`
    pub const GEO: u32 = 1 << 10;
    /// `@stream`
    pub const STREAM: u32 = 1 << 11;
    /// `@pubsub`
    pub const PUBSUB: u32 = 1 << 12;
    /// `@admin`
    pub const ADMIN: u32 = 1 << 13;
    /// `@fast`
    pub const FAST: u32 = 1 << 14;
    /// `@slow`
    pub const SLOW: u32 = 1 << 15;
    /// `@blocking`
    pub const BLOCKING: u32 = 1 << 16;
    /// `@dangerous`
    pub const DANGEROUS: u32 = 1 << 17;
    /// `@connection`
    pub const CONNECTION: u32 = 1 << 18;
    /// `@transaction`
    pub const TRANSACTION: u32 = 1 << 19;
    /// `@scripting`
    pub const SCRIPTING: u32 = 1 << 20;
    /// The names by bit number.
    pub const NAMES: [&str; 21] = [
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
    ];
}

/// What a command does with a key.
pub mod key {
    /// Reads the value.
    pub const RO: u32 = 1 << 0;
    /// Changes the value.
    pub const RW: u32 = 1 << 1;
    /// Overwrites the value.
    pub const OW: u32 = 1 << 2;
    /// Removes the key.
    pub const RM: u32 = 1 << 3;
    /// Returns or copies what the value holds.
    pub const ACCESS: u32 = 1 << 4;
    /// Changes what the value holds.
    pub const UPDATE: u32 = 1 << 5;
    /// Adds to what the value holds.
    pub const INSERT: u32 = 1 << 6;
    /// Takes from what the value holds.
    pub const DELETE: u32 = 1 << 7;
    /// Not really a key.
    pub const NOT_KEY: u32 = 1 << 8;
    /// The row does not tell all keys.
    pub const INCOMPLETE: u32 = 1 << 9;
    /// What is done depends on the arguments.
    pub const VARIABLE_FLAGS: u32 = 1 << 10;
    /// The names by bit number.
    pub const NAMES: [&str; 11] =
        ["RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags"];
}

/// Where the keys begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(i32),
    /// After this word, looked for from this argument on (from the end where negative).
    Keyword(&'static str, i32),
    /// Nobody can tell.
    Unknown,
}

/// Which arguments are keys from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative; −1 is the last argument), each `step`-th, at most one in `limit` of them.
    Range {
        /// The last one.
        last: i32,
        /// From one key to the next.
        step: i32,
        /// 0 or 1: all; 2: the first half, and so on.
        limit: i32,
    },
    /// A number stands at `at`, and so many keys from `first` on.
    KeyNum {
        /// Where the number stands.
        at: i32,
        /// Where the first key stands.
        first: i32,
        /// From one key to the next.
        step: i32,
    },
    /// Nobody can tell.
    Unknown,
}

/// One group of keys among a command's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Bits of `key`.
    pub flags: u32,
    /// Where it begins.
    pub begin: Begin,
    /// How it goes on.
    pub find: Find,
}

/// `last`, `step` and `limit` of a key range that begins at an index.
pub const fn range(flags: u32, first: i32, last: i32, step: i32) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(first), find: Find::Range { last, step, limit: 0 } }
}

/// One key at an index.
pub const fn one(flags: u32, index: i32) -> KeySpec {
    range(flags, index, 0, 1)
}

/// A counted group of keys: the number at `index`, the keys after it.
pub const fn counted(flags: u32, index: i32) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(index), find: Find::KeyNum { at: 0, first: 1, step: 1 } }
}

/// A row of the table. `F` is what the command may touch: a data command a `Ctx`, a house command the server.
pub struct Row<F: 'static> {
    /// The name in lower case; a subcommand's own name without its container's.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least so many.
    pub arity: i32,
    /// Bits of `flag`.
    pub flags: u32,
    /// Bits of `category`, without those that follow from the flags.
    pub categories: u32,
    /// Where the keys stand.
    pub keys: &'static [KeySpec],
    /// The group of COMMAND DOCS.
    pub group: &'static str,
    /// The version of Redis that brought it.
    pub since: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What to run; a container of subcommands has nothing.
    pub run: Option<F>,
    /// The subcommands.
    pub subcommands: &'static [Row<F>],
}

impl<F: 'static> Row<F> {
    /// The categories with those that follow from the flags.
    pub fn all_categories(&self) -> u32 {
        let mut all = self.categories;
        let implied = [
            (flag::WRITE, category::WRITE),
            (flag::ADMIN, category::ADMIN | category::DANGEROUS),
            (flag::PUBSUB, category::PUBSUB),
            (flag::FAST, category::FAST),
            (flag::BLOCKING, category::BLOCKING),
        ];
        for (flag, categories) in implied {
            if self.flags & flag != 0 {
                all |= categories;
            }
        }
        if self.flags & flag::READONLY != 0 && self.categories & category::SCRIPTING == 0 {
            all |= category::READ;
        }
        if self.flags & flag::FAST == 0 {
            all |= category::SLOW;
        }
        all
    }
}
