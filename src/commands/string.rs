//! The string commands (= t_string.c): rows in `string/rows.rs`, LCS in `string/lcs.rs`.
//!
//! SET, GET, INCR and their plural forms are the busiest paths of the server: one search of the key table each, no
//! memory but the entry's own, and options are looked at only where there are any. A long argument becomes the value
//! without a copy. Commands on bits and HyperLogLogs work on strings, too, and stand in files of their own.

mod conditional;
mod lcs;
mod rows;
#[cfg(test)]
mod tests;

pub use rows::ROWS;

use super::ctx::{Ctx, Limits, Session, for_each_key, integer, is_option, reply_str};
use super::effects::class;
use super::error::{self, CommandError};
use super::expiry::{EX, EXAT, PX, PXAT, Unit};
use crate::base::clock::UnixMs;
use crate::base::extended::{self, SumError};
use crate::keyspace::{ExpirePolicy, Keyspace};
use crate::resp::request::Argv;
use crate::types::entry::Entry;
use crate::types::{Str, StrRef, Value, ValueRef};
use std::borrow::Cow;
use std::rc::Rc;

type Done = Result<(), CommandError>;

const TOO_LONG: CommandError =
    CommandError(Cow::Borrowed(b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
const OFFSET: CommandError = CommandError(Cow::Borrowed(b"ERR offset is out of range"));
const OVERFLOW: CommandError = CommandError(Cow::Borrowed(b"ERR increment or decrement would overflow"));
const DECREMENT_OVERFLOW: CommandError = CommandError(Cow::Borrowed(b"ERR decrement would overflow"));
const NOT_FINITE: CommandError = CommandError(Cow::Borrowed(b"ERR increment would produce NaN or Infinity"));

/// A string that grows is given room to grow further: as much as it has, but no more than this.
const SPARE_MAX: usize = 1024 * 1024;

/// The string to read; an error if the value is of another type.
#[inline]
pub(super) fn read_string<'k>(keys: &'k mut Keyspace, key: &[u8]) -> Result<Option<StrRef<'k>>, CommandError> {
    match keys.read(key).map(Entry::value) {
        Some(ValueRef::Str(string)) => Ok(Some(string)),
        Some(_) => Err(error::WRONG_TYPE),
        None => Ok(None),
    }
}

/// The string in an entry; an error if the value is of another type.
pub(super) fn string_of(entry: &Entry) -> Result<StrRef<'_>, CommandError> {
    match entry.value() {
        ValueRef::Str(string) => Ok(string),
        _ => Err(error::WRONG_TYPE),
    }
}

/// Replies with the string at a key, or with nothing.
#[inline]
fn reply_value(ctx: &mut Ctx<'_>, key: &[u8]) -> Done {
    match read_string(ctx.keys, key)? {
        Some(string) => reply_str(ctx.reply, string),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Puts the argument at `value` at a key, whatever was there, with this expiry. The caller counts the change.
#[inline]
fn store(ctx: &mut Ctx<'_>, key: &[u8], argv: Argv<'_>, value: usize, expire_ms: Option<UnixMs>) {
    // A key whose time has come expires before it is overwritten, and a new one is told of. Mostly neither can be.
    let is_new = (ctx.keys.current().is_timed() || ctx.keys.events.wants(class::NEW)) && ctx.keys.make_way(key);
    if is_new && argv.shared(value).is_none() {
        ctx.event(class::NEW, "new", key);
    }
    match argv.shared(value) {
        Some(shared) => ctx.keys.insert_entry(Entry::with_shared(key, Rc::clone(shared), expire_ms)),
        None => ctx.keys.set_str(key, argv.at(value), expire_ms),
    }
}

/// Refuses a string that would become longer than `proto-max-bulk-len`. What our master did is done.
fn check_length(limits: &Limits, caller: &Session, len: u64, more: usize) -> Done {
    match len.checked_add(more as u64) {
        Some(total) if total <= limits.string_len_max || caller.from_master => Ok(()),
        _ => Err(TOO_LONG),
    }
}

/// Makes room in a string for `more` bytes.
pub(super) fn grow(bytes: &mut Vec<u8>, more: usize) -> Done {
    if bytes.capacity() - bytes.len() >= more {
        return Ok(());
    }
    let spare = bytes.len().saturating_add(more).min(SPARE_MAX);
    bytes.try_reserve_exact(more.saturating_add(spare)).map_err(|_| TOO_LONG)
}

fn get(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    reply_value(ctx, argv.at(1))
}

fn mget(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    ctx.reply.array(argv.len() - 1);
    for_each_key(ctx, argv, 1, |ctx, index| {
        if reply_value(ctx, argv.at(index)).is_err() {
            ctx.reply.null();
        }
    });
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let len = read_string(ctx.keys, argv.at(1))?.map_or(0, |string| string.element().len());
    ctx.reply.len(len);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (start, end) = (integer(argv.at(2))?, integer(argv.at(3))?);
    let mut digits = [0; 20];
    let string = read_string(ctx.keys, argv.at(1))?.unwrap_or(StrRef::Bytes(b"")).element();
    let bytes = string.as_bytes(&mut digits);
    let len = bytes.len() as i64;
    let place = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let backward = start < 0 && end < 0 && start > end;
    let (first, last) = (place(start), place(end).min(len - 1));
    let part = if backward || first > last { &[] } else { &bytes[first as usize..=last as usize] };
    ctx.reply.bulk(part);
    Ok(())
}

fn substr(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    getrange(ctx, argv)
}

/// The options of SET and GETEX.
#[derive(Default)]
struct Options {
    /// XX or NX.
    must_exist: Option<bool>,
    /// IFEQ: which argument the value must equal.
    if_equal: Option<usize>,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    /// How to read the time to live, and which argument it is.
    expiry: Option<(Unit, usize)>,
}

impl Options {
    fn parse(argv: Argv<'_>, first: usize, is_set: bool) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = first;
        while let Some(arg) = argv.get(index) {
            if let Some(unit) = unit_option(arg) {
                index += 1;
                options.take_expiry(unit, index)?;
                if index == argv.len() {
                    return Err(error::SYNTAX);
                }
            } else if is_set
                && is_option(arg, "IFEQ")
                && options.must_exist.is_none()
                && options.if_equal.is_none()
                && index + 1 < argv.len()
            {
                index += 1;
                options.if_equal = Some(index);
            } else if is_set {
                options.take_set_flag(arg)?;
            } else if is_option(arg, "PERSIST") && options.expiry.is_none() {
                options.persist = true;
            } else {
                return Err(error::SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }

    fn take_expiry(&mut self, unit: Unit, index: usize) -> Done {
        let other = self.expiry.is_some_and(|(taken, _)| taken != unit);
        if other || self.keep_ttl || self.persist {
            return Err(error::SYNTAX);
        }
        self.expiry = Some((unit, index));
        Ok(())
    }

    fn take_set_flag(&mut self, arg: &[u8]) -> Done {
        if is_option(arg, "NX") && self.must_exist != Some(true) && self.if_equal.is_none() {
            self.must_exist = Some(false);
        } else if is_option(arg, "XX") && self.must_exist != Some(false) && self.if_equal.is_none() {
            self.must_exist = Some(true);
        } else if is_option(arg, "GET") {
            self.get = true;
        } else if is_option(arg, "KEEPTTL") && self.expiry.is_none() {
            self.keep_ttl = true;
        } else {
            return Err(error::SYNTAX);
        }
        Ok(())
    }

    fn expire_ms(&self, argv: Argv<'_>, now: UnixMs, command: &str) -> Result<Option<UnixMs>, CommandError> {
        let Some((unit, index)) = self.expiry else { return Ok(None) };
        unit.positive_moment(argv.at(index), now, command).map(Some)
    }
}

fn unit_option(arg: &[u8]) -> Option<Unit> {
    [(EX, "EX"), (PX, "PX"), (EXAT, "EXAT"), (PXAT, "PXAT")]
        .into_iter()
        .find_map(|(unit, name)| is_option(arg, name).then_some(unit))
}

fn set(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    if argv.len() > 3 {
        return set_with_options(ctx, argv);
    }
    let key = argv.at(1);
    store(ctx, key, argv, 2, None);
    ctx.changed(class::STRING, "set", key);
    ctx.reply.ok();
    Ok(())
}

fn set_with_options(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let options = Options::parse(argv, 3, true)?;
    let deadline = options.expire_ms(argv, ctx.now, "set")?;
    let key = argv.at(1);
    if options.get {
        reply_value(ctx, key)?;
    }
    let differs = match options.if_equal {
        Some(at) => !conditional::holds(ctx, key, argv.at(at))?,
        None => options.must_exist.is_some_and(|must_exist| ctx.keys.exists(key) != must_exist),
    };
    if differs {
        if !options.get {
            ctx.reply.null();
        }
        return Ok(());
    }
    match deadline {
        Some(deadline) => store_until(ctx, key, argv, 2, deadline),
        None => {
            let kept = if options.keep_ttl { ctx.keys.peek(key).and_then(Entry::expire_ms) } else { None };
            store(ctx, key, argv, 2, kept);
            ctx.changed(class::STRING, "set", key);
        }
    }
    if options.if_equal.is_some() && deadline.is_none() {
        conditional::propagate_set(ctx, key, argv.at(2), options.keep_ttl, None);
    }
    if !options.get {
        ctx.reply.ok();
    } else if deadline.is_none() && options.if_equal.is_none() {
        // Replicas need not look for the old value.
        let args: Vec<&[u8]> =
            argv.iter().enumerate().filter(|&(i, arg)| i < 3 || !is_option(arg, "GET")).map(|(_, arg)| arg).collect();
        ctx.effects.propagate_as(&args);
    }
    Ok(())
}

/// `store` with all that follows from a time to live: replicas hear the moment, not the span.
fn store_until(ctx: &mut Ctx<'_>, key: &[u8], argv: Argv<'_>, value: usize, deadline: UnixMs) {
    store(ctx, key, argv, value, Some(deadline));
    ctx.changed(class::STRING, "set", key);
    ctx.event(class::GENERIC, "expire", key);
    let deadline = deadline.to_string();
    ctx.effects.propagate_as(&[b"SET", key, argv.at(value), b"PXAT", deadline.as_bytes()]);
}

fn setex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let deadline = EX.positive_moment(argv.at(2), ctx.now, "setex")?;
    store_until(ctx, argv.at(1), argv, 3, deadline);
    ctx.reply.ok();
    Ok(())
}

fn psetex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let deadline = PX.positive_moment(argv.at(2), ctx.now, "psetex")?;
    store_until(ctx, argv.at(1), argv, 3, deadline);
    ctx.reply.ok();
    Ok(())
}

fn setnx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let absent = !ctx.keys.exists(key);
    if absent {
        store(ctx, key, argv, 2, None);
        ctx.changed(class::STRING, "set", key);
    }
    ctx.reply.int(i64::from(absent));
    Ok(())
}

fn getset(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    reply_value(ctx, key)?;
    store(ctx, key, argv, 2, None);
    ctx.changed(class::STRING, "set", key);
    ctx.effects.propagate_as(&[b"SET", key, argv.at(2)]);
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    reply_value(ctx, key)?;
    if ctx.keys.delete(key) {
        ctx.changed(class::GENERIC, "del", key);
        ctx.effects.propagate_as(&[b"DEL", key]);
    }
    Ok(())
}

fn getex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let options = Options::parse(argv, 2, false)?;
    let key = argv.at(1);
    let Some(string) = read_string(ctx.keys, key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let deadline = options.expire_ms(argv, ctx.now, "getex")?;
    reply_str(ctx.reply, string);
    if let Some(deadline) = deadline {
        // Only a master decides that the time has come.
        if deadline <= ctx.now && ctx.keys.expire_policy == ExpirePolicy::Delete {
            ctx.keys.delete(key);
            ctx.changed(class::GENERIC, "del", key);
            ctx.effects.propagate_as(&[b"DEL", key]);
            return Ok(());
        }
        ctx.keys.set_expire(key, Some(deadline));
        ctx.changed(class::GENERIC, "expire", key);
        ctx.effects.propagate_as(&[b"PEXPIREAT", key, deadline.to_string().as_bytes()]);
    } else if options.persist && ctx.keys.peek(key).is_some_and(|entry| entry.expire_ms().is_some()) {
        ctx.keys.set_expire(key, None);
        ctx.changed(class::GENERIC, "persist", key);
        ctx.effects.propagate_as(&[b"PERSIST", key]);
    }
    Ok(())
}

fn store_pairs(ctx: &mut Ctx<'_>, argv: Argv<'_>) {
    for_each_key(ctx, argv, 2, |ctx, index| {
        let key = argv.at(index);
        store(ctx, key, argv, index + 1, None);
        ctx.changed(class::STRING, "set", key);
    });
}

fn mset(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    if argv.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity("mset"));
    }
    store_pairs(ctx, argv);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    if argv.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity("msetnx"));
    }
    let taken = (1..argv.len()).step_by(2).any(|index| ctx.keys.exists(argv.at(index)));
    if !taken {
        store_pairs(ctx, argv);
    }
    ctx.reply.int(i64::from(!taken));
    Ok(())
}

/// Adds to the integer at a key; a key that is not there counts as 0.
#[inline]
fn add_integer(ctx: &mut Ctx<'_>, key: &[u8], increment: i64) -> Done {
    let sum = match ctx.keys.write(key) {
        Some(entry) => {
            let old = match string_of(entry)? {
                StrRef::Int(number) => number,
                StrRef::Bytes(bytes) => integer(bytes)?,
            };
            let sum = old.checked_add(increment).ok_or(OVERFLOW)?;
            entry.set_int(sum);
            sum
        }
        None => {
            ctx.keys.insert_entry(Entry::with_int(key, increment, None));
            increment
        }
    };
    ctx.changed(class::STRING, "incrby", key);
    ctx.reply.int(sum);
    Ok(())
}

fn incr(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    add_integer(ctx, argv.at(1), 1)
}

fn decr(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    add_integer(ctx, argv.at(1), -1)
}

fn incrby(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    add_integer(ctx, argv.at(1), integer(argv.at(2))?)
}

fn decrby(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let decrement = integer(argv.at(2))?;
    add_integer(ctx, argv.at(1), decrement.checked_neg().ok_or(DECREMENT_OVERFLOW)?)
}

fn incrbyfloat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let entry = ctx.keys.write(key);
    let mut digits = [0; 20];
    let old = entry.as_deref().map(string_of).transpose()?.unwrap_or(StrRef::Int(0)).element();
    let sum = extended::add_decimal(old.as_bytes(&mut digits), argv.at(2)).map_err(|error| match error {
        SumError::NotANumber => error::NOT_FLOAT,
        SumError::NotFinite => NOT_FINITE,
    })?;
    // The text as it is, even if it spells an integer: OBJECT ENCODING tells no `int` after this command.
    let value = Value::Str(Str::Bytes { bytes: Rc::new(sum.clone()), raw: false });
    match entry {
        Some(entry) => entry.set_value(value),
        None => ctx.keys.insert(key, value, None),
    }
    ctx.changed(class::STRING, "incrbyfloat", key);
    // Replicas need not calculate as we do, and what they hear must leave the time to live alone.
    ctx.effects.propagate_as(&[b"SET", key, &sum, b"KEEPTTL"]);
    ctx.reply.bulk(&sum);
    Ok(())
}

fn append(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, addition) = (argv.at(1), argv.at(2));
    let len = match ctx.keys.write(key) {
        Some(entry) => {
            let len = string_of(entry)?.element().len();
            check_length(ctx.limits, ctx.caller, len as u64, addition.len())?;
            let bytes = entry.make_vec();
            grow(bytes, addition.len())?;
            bytes.extend_from_slice(addition);
            bytes.len()
        }
        None => {
            store(ctx, key, argv, 2, None);
            addition.len()
        }
    };
    ctx.changed(class::STRING, "append", key);
    ctx.reply.len(len);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, part) = (argv.at(1), argv.at(3));
    let offset = usize::try_from(integer(argv.at(2))?).map_err(|_| OFFSET)?;
    let entry = ctx.keys.write(key);
    let old_len = entry.as_deref().map(string_of).transpose()?.map_or(0, |string| string.element().len());
    if part.is_empty() {
        ctx.reply.len(old_len);
        return Ok(());
    }
    check_length(ctx.limits, ctx.caller, offset as u64, part.len())?;
    let len = match entry {
        Some(entry) => overwrite(entry.make_vec(), offset, part)?,
        None => {
            let mut bytes = Vec::new();
            let len = overwrite(&mut bytes, offset, part)?;
            ctx.keys.insert(key, Value::Str(Str::Bytes { bytes: Rc::new(bytes), raw: true }), None);
            len
        }
    };
    ctx.changed(class::STRING, "setrange", key);
    ctx.reply.len(len);
    Ok(())
}

/// Writes `part` at `offset`, after as many zeros as are missing; returns the new length.
fn overwrite(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) -> Result<usize, CommandError> {
    let end = offset.checked_add(part.len()).ok_or(TOO_LONG)?;
    if end > bytes.len() {
        grow(bytes, end - bytes.len())?;
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(part);
    Ok(bytes.len())
}
