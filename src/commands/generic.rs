//! Commands on keys of any type and on whole databases (= the commands of db.c, COPY and SCAN included).
//!
//! Deliberately absent: what blocked clients are told of keys that appear here; the server sees that after the call.

use super::DataFn;
use super::command::{Row, category, flag, key, one, range};
use super::ctx::{Ctx, for_each_key, is_option};
use super::effects::class;
use super::error::{self, CommandError};
use super::scan::{ScanOptions, parse_cursor, reply_scan};
use crate::base::{glob, numbers};
use crate::keyspace::ExpirePolicy;
use crate::resp::request::Argv;
use crate::types::entry::Entry;
use crate::types::table::TableEntry;
use crate::types::{Str, StrRef, Value, ValueRef};
use std::rc::Rc;

/// Source and destination name one place.
const SAME_OBJECT: &str = "ERR source and destination objects are the same";

/// What `f` tells of a key, counted as a read but not noted as an access to the value.
pub(super) fn look<T>(ctx: &mut Ctx<'_>, key: &[u8], f: impl FnOnce(&Entry) -> T) -> Option<T> {
    let found = look_silently(ctx, key, f);
    if found.is_none() {
        ctx.event(class::MISS, "keymiss", key);
    }
    found
}

/// `look` for who inspects the server and not the data: nobody is told that there is nothing.
pub(super) fn look_silently<T>(ctx: &mut Ctx<'_>, key: &[u8], f: impl FnOnce(&Entry) -> T) -> Option<T> {
    let found = ctx.keys.peek(key).map(f);
    match found {
        Some(_) => ctx.keys.stats.hits += 1,
        None => ctx.keys.stats.misses += 1,
    }
    found
}

/// Deletes each key of `argv` from the second argument on, and says how many were there; `lazily`, what is big is freed
/// by and by.
fn delete_each(ctx: &mut Ctx<'_>, argv: Argv<'_>, lazily: bool) -> Result<(), CommandError> {
    let mut deleted = 0;
    for_each_key(ctx, argv, 1, |ctx, index| {
        let key = argv.at(index);
        if ctx.keys.delete_by(key, lazily) {
            ctx.changed(class::GENERIC, "del", key);
            deleted += 1;
        }
    });
    ctx.reply.int(deleted);
    Ok(())
}

fn del(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    delete_each(ctx, argv, ctx.keys.lazy.user_del)
}

fn unlink(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    delete_each(ctx, argv, true)
}

fn exists(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let mut found = 0;
    for_each_key(ctx, argv, 1, |ctx, index| found += usize::from(look(ctx, argv.at(index), |_| ()).is_some()));
    ctx.reply.len(found);
    Ok(())
}

fn touch(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let mut found = 0;
    for_each_key(ctx, argv, 1, |ctx, index| found += usize::from(ctx.keys.read(argv.at(index)).is_some()));
    ctx.reply.len(found);
    Ok(())
}

fn type_(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let name = look(ctx, argv.at(1), |entry| entry.value().type_name());
    ctx.reply.status(name.unwrap_or("none"));
    Ok(())
}

/// A number of a database that a client typed; the range is that of a C `int`.
fn database(ctx: &Ctx<'_>, arg: &[u8]) -> Result<usize, CommandError> {
    let number = numbers::parse_i64(arg).ok_or(error::NOT_INTEGER)?;
    if i32::try_from(number).is_err() {
        let (low, high) = (i32::MIN, i32::MAX);
        return Err(CommandError::new(format!("ERR value is out of range, value must between {low} and {high}")));
    }
    existing_database(ctx, number)
}

fn existing_database(ctx: &Ctx<'_>, number: i64) -> Result<usize, CommandError> {
    let index = usize::try_from(number).ok().filter(|&index| index < ctx.keys.database_count());
    index.ok_or(error::DB_OUT_OF_RANGE)
}

/// Runs `f` with another database selected.
fn in_database<T>(ctx: &mut Ctx<'_>, db: usize, f: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
    let home = ctx.keys.selected();
    ctx.keys.select(db);
    let result = f(ctx);
    ctx.keys.select(home);
    result
}

/// A value of its own that equals the entry's.
fn clone_value(entry: &Entry) -> Value {
    match entry.value() {
        ValueRef::Str(StrRef::Int(number)) => Value::Str(Str::Int(number)),
        ValueRef::Str(StrRef::Bytes(bytes)) => {
            Value::Str(Str::Bytes { bytes: Rc::new(bytes.to_vec()), raw: entry.encoding() == "raw" })
        }
        ValueRef::List(list) => Value::List(list.clone()),
        ValueRef::Set(set) => Value::Set(set.clone()),
        ValueRef::Hash(hash) => Value::Hash(hash.clone()),
        ValueRef::Fading(fading) => Value::Fading(Box::new(fading.clone())),
        ValueRef::ZSet(zset) => Value::ZSet(zset.clone()),
        ValueRef::Stream(stream) => Value::Stream(stream.clone()),
    }
}

fn copy(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let (source, target) = (argv.at(1), argv.at(2));
    let home = ctx.keys.selected();
    let (mut db, mut replace, mut at) = (home, false, 3);
    while let Some(word) = argv.get(at) {
        match argv.get(at + 1) {
            _ if is_option(word, "REPLACE") => replace = true,
            Some(number) if is_option(word, "DB") => {
                db = database(ctx, number)?;
                at += 1;
            }
            _ => return Err(error::SYNTAX),
        }
        at += 1;
    }
    if db == home && source == target {
        return Err(CommandError::new(SAME_OBJECT));
    }
    let copied = ctx.keys.read(source).is_some() && (!in_database(ctx, db, |ctx| ctx.keys.exists(target)) || replace);
    if let Some(held) = ctx.keys.current().get(source).filter(|_| copied) {
        let (value, expire_ms) = (clone_value(held), held.expire_ms());
        in_database(ctx, db, |ctx| {
            ctx.keys.delete(target);
            ctx.keys.insert(target, value, expire_ms);
            ctx.changed(class::GENERIC, "copy_to", target);
        });
    }
    ctx.reply.int(i64::from(copied));
    Ok(())
}

/// Gives the value at the first key to the second; `only_new` leaves a key that exists alone. Returns whether it moved.
fn rename_key(ctx: &mut Ctx<'_>, argv: Argv<'_>, only_new: bool) -> Result<bool, CommandError> {
    let (source, target) = (argv.at(1), argv.at(2));
    if !ctx.keys.exists(source) {
        return Err(error::NO_SUCH_KEY);
    }
    if source == target || (ctx.keys.exists(target) && only_new) {
        return Ok(false);
    }
    let Some(entry) = ctx.keys.take(source) else { return Ok(false) };
    let (expire_ms, access) = (entry.expire_ms(), entry.access());
    ctx.keys.delete(target);
    ctx.keys.insert(target, entry.into_value(), expire_ms);
    if ctx.keys.access.lfu {
        ctx.keys.set_access(target, access);
    }
    ctx.keys.signal_modified(source);
    ctx.event(class::GENERIC, "rename_from", source);
    ctx.changed(class::GENERIC, "rename_to", target);
    Ok(true)
}

fn rename(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    rename_key(ctx, argv, false)?;
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let moved = rename_key(ctx, argv, true)?;
    ctx.reply.int(i64::from(moved));
    Ok(())
}

fn move_(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let key = argv.at(1);
    let db = database(ctx, argv.at(2))?;
    if db == ctx.keys.selected() {
        return Err(CommandError::new(SAME_OBJECT));
    }
    let free = ctx.keys.exists(key) && !in_database(ctx, db, |ctx| ctx.keys.exists(key));
    let taken = if free { ctx.keys.take(key) } else { None };
    ctx.reply.int(i64::from(taken.is_some()));
    if let Some(entry) = taken {
        ctx.keys.signal_modified(key);
        in_database(ctx, db, |ctx| {
            let access = entry.access();
            ctx.keys.insert_entry(entry);
            if ctx.keys.access.lfu {
                ctx.keys.set_access(key, access);
            }
        });
        ctx.event(class::GENERIC, "move_from", key);
        in_database(ctx, db, |ctx| ctx.changed(class::GENERIC, "move_to", key));
    }
    Ok(())
}

fn randomkey(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Result<(), CommandError> {
    match ctx.keys.random_key() {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Whether an entry's time has come, and who asks is to see it so.
fn is_hidden(entry: &Entry, now: i64, policy: ExpirePolicy) -> bool {
    policy != ExpirePolicy::Ignore && entry.expire_ms().is_some_and(|at| at <= now)
}

fn keys(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let pattern = argv.at(1);
    // The empty key is matched by a lone star, but by no other pattern with one.
    let all = pattern == b"*";
    let (now, policy) = (ctx.keys.now, ctx.keys.expire_policy);
    let place = ctx.reply.defer();
    let mut count = 0;
    for entry in ctx.keys.current().iter() {
        if (all || glob::matches(pattern, entry.key(), false)) && !is_hidden(entry, now, policy) {
            ctx.reply.bulk(entry.key());
            count += 1;
        }
    }
    ctx.reply.fill_array(place, count);
    Ok(())
}

fn scan(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(argv.at(1))?;
    let options = ScanOptions::parse(argv, 2, true)?;
    let of_type = |entry: &Entry| {
        options.type_name.is_none_or(|name| name.eq_ignore_ascii_case(entry.value().type_name().as_bytes()))
    };
    let (now, policy, db) = (ctx.keys.now, ctx.keys.expire_policy, ctx.keys.current());
    let mut due = Vec::new();
    reply_scan(ctx.reply, options, cursor, |page, cursor| {
        db.scan(cursor, |entry| {
            if !page.wants(entry.key()) || !of_type(entry) {
                return;
            }
            match is_hidden(entry, now, policy) {
                true => due.push(entry.key().to_vec()),
                false => page.write(entry.key()),
            }
        })
    });
    for key in due {
        // Looking at an expired key deletes it, where this server decides that.
        ctx.keys.exists(&key);
    }
    Ok(())
}

fn dbsize(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Result<(), CommandError> {
    ctx.reply.len(ctx.keys.current().len());
    Ok(())
}

/// FLUSHDB and FLUSHALL. They travel even where there was nothing to remove: a replica may hold what we do not.
fn flush(ctx: &mut Ctx<'_>, argv: Argv<'_>, db: Option<usize>) -> Result<(), CommandError> {
    match argv.get(1) {
        Some(mode) if argv.len() > 2 || !(is_option(mode, "SYNC") || is_option(mode, "ASYNC")) => {
            return Err(error::SYNTAX);
        }
        _ => {}
    }
    let lazily = argv.get(1).map_or(ctx.limits.lazy_user_flush, |mode| is_option(mode, "ASYNC"));
    let removed = ctx.keys.flush(db, lazily);
    ctx.keys.dirty += removed as u64;
    if removed == 0 {
        ctx.effects.propagate_as(&argv.iter().collect::<Vec<_>>());
    }
    ctx.reply.ok();
    Ok(())
}

fn flushdb(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let db = ctx.keys.selected();
    flush(ctx, argv, Some(db))
}

fn flushall(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    flush(ctx, argv, None)
}

fn swapdb(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let number = |at: usize, which: &str| {
        let number = numbers::parse_i64(argv.at(at)).filter(|&number| i32::try_from(number).is_ok());
        number.ok_or_else(|| CommandError::new(format!("ERR invalid {which} DB index")))
    };
    let (first, second) = (number(1, "first")?, number(2, "second")?);
    let (first, second) = (existing_database(ctx, first)?, existing_database(ctx, second)?);
    ctx.keys.swap_dbs(first, second);
    ctx.keys.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "copy",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1), one(key::OW | key::UPDATE, 2)],
        group: "generic",
        since: "6.2.0",
        summary: "Copies the value of a key to another key.",
        run: Some(copy),
        subcommands: &[],
    },
    Row {
        name: "dbsize",
        arity: 1,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Counts the keys of the database.",
        run: Some(dbsize),
        subcommands: &[],
    },
    Row {
        name: "del",
        arity: -2,
        flags: flag::WRITE,
        categories: category::KEYSPACE,
        keys: &[range(key::RM | key::DELETE, 1, -1, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Deletes keys.",
        run: Some(del),
        subcommands: &[],
    },
    Row {
        name: "exists",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[range(key::RO, 1, -1, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Counts how many of the named keys exist.",
        run: Some(exists),
        subcommands: &[],
    },
    Row {
        name: "flushall",
        arity: -1,
        flags: flag::WRITE,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Deletes all keys of all databases.",
        run: Some(flushall),
        subcommands: &[],
    },
    Row {
        name: "flushdb",
        arity: -1,
        flags: flag::WRITE,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Deletes all keys of the database.",
        run: Some(flushdb),
        subcommands: &[],
    },
    Row {
        name: "keys",
        arity: 2,
        flags: flag::READONLY,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[],
        group: "generic",
        since: "1.0.0",
        summary: "Lists the keys that match a pattern.",
        run: Some(keys),
        subcommands: &[],
    },
    Row {
        name: "move",
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::ACCESS | key::UPDATE, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Moves a key to another database.",
        run: Some(move_),
        subcommands: &[],
    },
    Row {
        name: "randomkey",
        arity: 1,
        flags: flag::READONLY,
        categories: category::KEYSPACE,
        keys: &[],
        group: "generic",
        since: "1.0.0",
        summary: "Names a key chosen at random.",
        run: Some(randomkey),
        subcommands: &[],
    },
    Row {
        name: "rename",
        arity: 3,
        flags: flag::WRITE,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::ACCESS | key::DELETE, 1), one(key::OW | key::UPDATE, 2)],
        group: "generic",
        since: "1.0.0",
        summary: "Gives a key another name, whatever stood there.",
        run: Some(rename),
        subcommands: &[],
    },
    Row {
        name: "renamenx",
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::ACCESS | key::DELETE, 1), one(key::OW | key::INSERT, 2)],
        group: "generic",
        since: "1.0.0",
        summary: "Gives a key another name, if nothing stands there.",
        run: Some(renamenx),
        subcommands: &[],
    },
    Row {
        name: "scan",
        arity: -2,
        flags: flag::READONLY,
        categories: category::KEYSPACE,
        keys: &[],
        group: "generic",
        since: "2.8.0",
        summary: "Walks over the keys of the database, some at a time.",
        run: Some(scan),
        subcommands: &[],
    },
    Row {
        name: "swapdb",
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[],
        group: "server",
        since: "4.0.0",
        summary: "Exchanges two databases.",
        run: Some(swapdb),
        subcommands: &[],
    },
    Row {
        name: "touch",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[range(key::RO, 1, -1, 1)],
        group: "generic",
        since: "3.2.1",
        summary: "Notes an access to keys and counts those that exist.",
        run: Some(touch),
        subcommands: &[],
    },
    Row {
        name: "type",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RO, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Tells the type of the value at a key.",
        run: Some(type_),
        subcommands: &[],
    },
    Row {
        name: "unlink",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[range(key::RM | key::DELETE, 1, -1, 1)],
        group: "generic",
        since: "4.0.0",
        summary: "Deletes keys; their memory may be freed later.",
        run: Some(unlink),
        subcommands: &[],
    },
];

#[cfg(test)]
#[path = "generic_tests.rs"]
mod tests;
