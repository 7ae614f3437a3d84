//! DUMP and RESTORE: one value as bytes, to take to another server (= the commands of that name in cluster.c).
//!
//! Deliberately absent: MIGRATE, and RESTORE-ASKING, which only a cluster needs; FREQ is read and forgotten, for there
//! is no LFU policy.

use super::DataFn;
use super::command::{Row, category, flag, key, one};
use super::ctx::{Ctx, integer, is_option};
use super::effects::class;
use super::error::{self, CommandError};
use crate::keyspace::ExpirePolicy;
use crate::persist::rdb::{dump_payload, load_dump_payload};
use crate::resp::request::Argv;

/// The access clock has so many bits.
const CLOCK_MASK: i64 = (1 << 24) - 1;

fn dump(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    match ctx.keys.read(argv.at(1)) {
        Some(entry) => ctx.reply.bulk(&dump_payload(entry.value())),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// What follows the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(argv: Argv<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut at = 4;
        while let Some(word) = argv.get(at) {
            at += match argv.get(at + 1) {
                _ if is_option(word, "REPLACE") => {
                    options.replace = true;
                    1
                }
                _ if is_option(word, "ABSTTL") => {
                    options.absolute = true;
                    1
                }
                Some(value) if is_option(word, "IDLETIME") && options.frequency.is_none() => {
                    options.idle_seconds = Some(integer(value)?);
                    if options.idle_seconds < Some(0) {
                        return Err(CommandError::new("ERR Invalid IDLETIME value, must be >= 0"));
                    }
                    2
                }
                Some(value) if is_option(word, "FREQ") && options.idle_seconds.is_none() => {
                    options.frequency = Some(integer(value)?);
                    if !(Some(0)..=Some(255)).contains(&options.frequency) {
                        return Err(CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                    }
                    2
                }
                _ => return Err(error::SYNTAX),
            };
        }
        Ok(options)
    }
}

fn restore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let options = Options::parse(argv)?;
    let key = argv.at(1);
    if !options.replace && ctx.keys.exists(key) {
        return Err(CommandError::new("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(argv.at(2))?;
    if ttl < 0 {
        return Err(CommandError::new("ERR Invalid TTL value, must be >= 0"));
    }
    let loaded = load_dump_payload(argv.at(3), &ctx.keys.limits);
    let value = loaded.map_err(|error| CommandError::new(error.to_string()))?;
    // A time to live past the end of time counts as a moment before its beginning, as in the ancestor.
    let moment = (ttl != 0).then(|| if options.absolute { ttl } else { ttl.wrapping_add(ctx.now) });
    let decides = ctx.keys.expire_policy == ExpirePolicy::Delete && !ctx.caller.from_master;
    if decides && moment.is_some_and(|moment| moment <= ctx.now) {
        if ctx.keys.delete(key) {
            ctx.changed(class::GENERIC, "del", key);
            ctx.effects.propagate_as(&[b"DEL", key]);
        }
        ctx.reply.ok();
        return Ok(());
    }
    ctx.keys.insert(key, value, moment);
    if let Some(seconds) = options.idle_seconds {
        let access = i64::from(ctx.keys.access_clock).wrapping_sub(seconds) & CLOCK_MASK;
        let db = ctx.keys.selected();
        if let Some(entry) = ctx.keys.db_mut(db).get_mut(key) {
            entry.set_access(access as u32);
        }
    }
    ctx.changed(class::GENERIC, "restore", key);
    if let Some(moment) = moment.filter(|_| !options.absolute) {
        let mut digits = itoa::Buffer::new();
        let mut args: Vec<&[u8]> = argv.iter().collect();
        args[2] = digits.format(moment).as_bytes();
        args.push(b"ABSTTL");
        ctx.effects.propagate_as(&args);
    }
    ctx.reply.ok();
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "dump",
        arity: 2,
        flags: flag::READONLY,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Serializes the value at a key.",
        run: Some(dump),
        subcommands: &[],
    },
    Row {
        name: "restore",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[one(key::OW | key::UPDATE, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Makes a key from a serialized value.",
        run: Some(restore),
        subcommands: &[],
    },
];
