//! All that a data command may touch.

use super::effects::Effects;
use super::error::{self, CommandError};
use crate::base::clock::UnixMs;
use crate::base::numbers;
use crate::keyspace::Keyspace;
use crate::keyspace::db::PREFETCHED;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::{Element, StrRef};

/// The part of a client's state that commands see.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The client's number.
    pub id: u64,
    /// The selected database.
    pub db: usize,
    /// Whether the command comes from our master's stream.
    pub from_master: bool,
    /// Whether it may not read keys that its command does not name, such as those of SORT's patterns.
    pub reads_named_keys_only: bool,
}

/// Limits that commands hold to.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The longest string, in bytes (`proto-max-bulk-len`).
    pub string_len_max: u64,
    /// Whether FLUSHALL and FLUSHDB are asynchronous where they do not say (`lazyfree-lazy-user-flush`).
    pub lazy_user_flush: bool,
    /// Whether DUMP compresses strings (`rdbcompression`).
    pub compress_dumps: bool,
    /// Whether wrong checksums of payloads and snapshots are let pass (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    pub skip_checksums: bool,
    /// Bytes that a sparse HyperLogLog may take (`hll-sparse-max-bytes`).
    pub hll_sparse_bytes_max: usize,
}

/// What a command function is handed.
pub struct Ctx<'a> {
    /// The keys, with the caller's database selected.
    pub keys: &'a mut Keyspace,
    /// Who calls.
    pub caller: &'a mut Session,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// What follows from the command.
    pub effects: &'a mut Effects,
    /// Limits from the configuration.
    pub limits: &'a Limits,
    /// The time at which the command happens, in milliseconds since 1970.
    pub now: UnixMs,
}

impl Ctx<'_> {
    /// Notes that a key was changed once: counts it, tells its watchers, and raises the event.
    #[inline]
    pub fn changed(&mut self, class: u32, event: &'static str, key: &[u8]) {
        self.changed_times(1, class, event, key);
    }

    /// `changed` where one command counts as several changes.
    #[inline]
    pub fn changed_times(&mut self, times: usize, class: u32, event: &'static str, key: &[u8]) {
        self.keys.dirty += times as u64;
        self.keys.signal_modified(key);
        self.keys.event(class, event, key);
    }

    /// Raises an event without counting a change.
    #[inline]
    pub fn event(&mut self, class: u32, event: &'static str, key: &[u8]) {
        self.keys.event(class, event, key);
    }

    /// Takes a collection out that has become empty, with the event that belongs to it.
    pub fn delete_if_empty(&mut self, key: &[u8]) {
        if self.keys.delete_if_empty(key) {
            self.event(super::effects::class::GENERIC, "del", key);
        }
    }
}

/// Calls `f` with the index of each key of a command of many keys, one in every `step` arguments; what they need is
/// asked for ahead.
#[inline]
pub fn for_each_key(ctx: &mut Ctx<'_>, argv: Argv<'_>, step: usize, mut f: impl FnMut(&mut Ctx<'_>, usize)) {
    for (number, index) in (1..argv.len()).step_by(step).enumerate() {
        if number % PREFETCHED == 0 && index + step < argv.len() {
            let mut keys = ctx.keys.current().prefetch();
            (index..argv.len()).step_by(step).take(PREFETCHED).for_each(|index| keys.add(argv.at(index)));
            keys.fetch_entries();
        }
        f(ctx, index);
    }
}

/// Writes a listpack's or an intset's element as a bulk string.
pub fn reply_element(reply: &mut Reply, element: Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_int(value),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Writes a string value as a bulk string.
#[inline]
pub fn reply_str(reply: &mut Reply, string: StrRef<'_>) {
    match string {
        StrRef::Int(value) => reply.bulk_int(value),
        StrRef::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// The integer that an argument must be.
#[inline]
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    numbers::parse_i64(arg).ok_or(error::NOT_INTEGER)
}

/// The double that an argument must be.
pub fn float(arg: &[u8]) -> Result<f64, CommandError> {
    numbers::parse_f64(arg).ok_or(error::NOT_FLOAT)
}

/// Whether an argument is this option, in any case. `option` must be upper case.
#[inline]
pub fn is_option(arg: &[u8], option: &str) -> bool {
    arg.eq_ignore_ascii_case(option.as_bytes())
}
