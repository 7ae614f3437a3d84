//! The commands on fields that expire. Ancestor: the second half of `t_hash.c` since Redis 7.4.
//!
//! Redis and Valkey differ in error texts, and in how far away a moment may be; here it is as Redis 8 has it. What a
//! master of either family sends is taken as it comes.

use super::{Done, reply_found};
use crate::base::clock::UnixMs;
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::commands::expire::Condition;
use crate::commands::expiry::{EX, EXAT, PX, PXAT, Unit};
use crate::keyspace::{ExpirePolicy, Keyspace};
use crate::resp::request::Argv;
use crate::types::entry::{Entry, ValueMut};
use crate::types::{Element, Fading, FieldTime, Hash, ValueRef};
use std::borrow::Cow;

/// The last moment at which a field may expire, as Redis has it; Valkey has no such limit.
const LAST_MOMENT: UnixMs = (1 << 46) - 1;

/// What is answered of a field that is not there.
const NO_FIELD: i64 = -2;
/// What is answered of a field that never expires.
const NO_TIME: i64 = -1;

const FIELDS_MISSING: CommandError =
    CommandError(Cow::Borrowed(b"ERR Mandatory argument FIELDS is missing or not at the right position"));
const COUNT_WRONG: CommandError =
    CommandError(Cow::Borrowed(b"ERR The `numfields` parameter must match the number of arguments"));
const COUNT_NOT_POSITIVE: CommandError =
    CommandError(Cow::Borrowed(b"ERR Number of fields must be a positive integer"));

/// A hash to change, whatever its type.
enum Open<'a> {
    Plain(&'a mut Hash),
    Fading(&'a mut Fading),
}

impl Open<'_> {
    fn at<'a>(keys: &'a mut Keyspace, key: &[u8]) -> Result<Option<Open<'a>>, CommandError> {
        let hides = keys.expire_policy == ExpirePolicy::Hide;
        match keys.write(key).map(Entry::value_mut) {
            None => Ok(None),
            Some(ValueMut::Hash(hash)) => Ok(Some(Open::Plain(hash))),
            Some(ValueMut::Fading(fading)) => {
                if hides {
                    fading.drop_aside();
                }
                Ok(Some(Open::Fading(fading)))
            }
            Some(_) => Err(error::WRONG_TYPE),
        }
    }

    fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        match self {
            Open::Plain(hash) => hash.get(field),
            Open::Fading(fading) => fading.shown().get(field),
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Open::Plain(hash) => hash.remove(field),
            Open::Fading(fading) => fading.remove(field),
        }
    }

    /// When a field expires that is there.
    fn time(&self, field: &[u8]) -> Option<UnixMs> {
        match self {
            Open::Plain(_) => None,
            Open::Fading(fading) => fading.time(field),
        }
    }
}

/// The names after FIELDS and their count, which must be the rest of the arguments.
fn field_names<'a>(argv: Argv<'a>, at: usize, bad_count: CommandError) -> Result<Argv<'a>, CommandError> {
    if !argv.get(at).is_some_and(|word| is_option(word, "FIELDS")) {
        return Err(FIELDS_MISSING);
    }
    let count = argv.get(at + 1).and_then(|count| integer(count).ok()).filter(|&count| count > 0).ok_or(bad_count)?;
    let names = argv.from((at + 2).min(argv.len()));
    if usize::try_from(count) == Ok(names.len()) { Ok(names) } else { Err(COUNT_WRONG) }
}

/// The moment that an argument means, with the bounds that fields have.
fn field_moment(ctx: &Ctx<'_>, arg: &[u8], unit: Unit, name: &str) -> Result<UnixMs, CommandError> {
    if integer(arg)? < 0 {
        return Err(CommandError::new("ERR invalid expire time, must be >= 0"));
    }
    let moment = unit.moment(arg, ctx.now, name)?;
    if moment > LAST_MOMENT && !ctx.caller.from_master {
        return Err(CommandError::invalid_expire(name));
    }
    Ok(moment)
}

/// Whether a field that is to expire at this moment goes at once. A replica waits for its master's word.
fn is_past(ctx: &Ctx<'_>, moment: UnixMs) -> bool {
    moment <= ctx.now && ctx.keys.expire_policy == ExpirePolicy::Delete && !ctx.caller.from_master
}

/// Lets `verb key arguments FIELDS count names` travel.
fn propagate_fields(ctx: &mut Ctx<'_>, verb: &[u8], key: &[u8], arguments: &[&[u8]], names: &[&[u8]]) {
    let mut digits = itoa::Buffer::new();
    let mut args = vec![verb, key];
    args.extend(arguments);
    args.extend([b"FIELDS".as_slice(), digits.format(names.len()).as_bytes()]);
    args.extend(names);
    ctx.effects.propagate_as(&args);
}

/// What follows where fields were taken out.
fn removed_fields(ctx: &mut Ctx<'_>, key: &[u8], names: &[&[u8]]) {
    ctx.changed_times(names.len(), class::HASH, "hdel", key);
    ctx.delete_if_empty(key);
    let args: Vec<&[u8]> = [b"HDEL".as_slice(), key].into_iter().chain(names.iter().copied()).collect();
    ctx.effects.propagate_as(&args);
}

/// What follows where fields were given a time.
fn timed_fields(ctx: &mut Ctx<'_>, key: &[u8], moment: UnixMs, condition: Option<&[u8]>, names: &[&[u8]]) {
    ctx.keys.note_fields(key);
    ctx.changed_times(names.len(), class::HASH, "hexpire", key);
    let mut digits = itoa::Buffer::new();
    let mut arguments = vec![digits.format(moment).as_bytes()];
    arguments.extend(condition);
    propagate_fields(ctx, b"HPEXPIREAT", key, &arguments, names);
}

/// Answers −2 for each name.
fn reply_no_fields(ctx: &mut Ctx<'_>, count: usize) -> Done {
    ctx.reply.array(count);
    (0..count).for_each(|_| ctx.reply.int(NO_FIELD));
    Ok(())
}

fn expire_generic(ctx: &mut Ctx<'_>, argv: Argv<'_>, name: &str, unit: Unit) -> Done {
    let key = argv.at(1);
    let there = Open::at(ctx.keys, key)?.is_some();
    let moment = field_moment(ctx, argv.at(2), unit, name)?;
    let word = Some(argv.at(3)).filter(|word| Condition::of_word(word).is_some());
    let condition = word.and_then(Condition::of_word).unwrap_or_default();
    let bad_count = CommandError::new("ERR Parameter `numFields` should be greater than 0");
    let names = field_names(argv, if word.is_some() { 4 } else { 3 }, bad_count)?;
    if !there {
        return reply_no_fields(ctx, names.len());
    }
    let past = is_past(ctx, moment);
    if !past
        && condition.allows(None, moment)
        && Open::at(ctx.keys, key)?.is_some_and(|hash| names.iter().any(|field| hash.get(field).is_some()))
    {
        ctx.keys.let_fields_expire(key);
    }
    let Some(mut hash) = Open::at(ctx.keys, key)? else { return Ok(()) };
    let mut done = Vec::new();
    ctx.reply.array(names.len());
    for field in names.iter() {
        let answer = match &mut hash {
            hash if hash.get(field).is_none() => NO_FIELD,
            hash if !condition.allows(hash.time(field), moment) => 0,
            hash if past => 1 + i64::from(hash.remove(field)),
            Open::Fading(fading) => {
                fading.set_time(field, Some(moment));
                1
            }
            Open::Plain(_) => 0,
        };
        ctx.reply.int(answer);
        if answer > 0 {
            done.push(field);
        }
    }
    if !done.is_empty() {
        match past {
            true => removed_fields(ctx, key, &done),
            false => timed_fields(ctx, key, moment, word, &done),
        }
    }
    Ok(())
}

pub(super) fn hexpire(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    expire_generic(ctx, argv, "hexpire", EX)
}

pub(super) fn hexpireat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    expire_generic(ctx, argv, "hexpireat", EXAT)
}

pub(super) fn hpexpire(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    expire_generic(ctx, argv, "hpexpire", PX)
}

pub(super) fn hpexpireat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    expire_generic(ctx, argv, "hpexpireat", PXAT)
}

/// Answers what `of` makes of each field's moment.
fn reply_times(ctx: &mut Ctx<'_>, argv: Argv<'_>, of: impl Fn(UnixMs, UnixMs) -> i64) -> Done {
    let held = ctx.keys.read(argv.at(1)).map(Entry::value);
    let (hash, fading) = match held {
        None => (None, None),
        Some(ValueRef::Hash(hash)) => (Some(hash), None),
        Some(ValueRef::Fading(fading)) => (Some(fading.shown()), Some(fading)),
        Some(_) => return Err(error::WRONG_TYPE),
    };
    let names = field_names(argv, 2, COUNT_NOT_POSITIVE)?;
    ctx.reply.array(names.len());
    for field in names.iter() {
        let time = fading.and_then(|fading| fading.time(field));
        ctx.reply.int(match time {
            Some(moment) => of(moment, ctx.now),
            None if hash.is_some_and(|hash| hash.contains(field)) => NO_TIME,
            None => NO_FIELD,
        });
    }
    Ok(())
}

/// Rounds up to a second.
fn to_seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000
}

fn left_ms(moment: UnixMs, now: UnixMs) -> i64 {
    moment.saturating_sub(now).max(0)
}

pub(super) fn httl(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    reply_times(ctx, argv, |moment, now| to_seconds(left_ms(moment, now)))
}

pub(super) fn hpttl(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    reply_times(ctx, argv, left_ms)
}

pub(super) fn hexpiretime(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    reply_times(ctx, argv, |moment, _| to_seconds(moment))
}

pub(super) fn hpexpiretime(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    reply_times(ctx, argv, |moment, _| moment)
}

/// Takes their times from fields; returns the names of those that had one.
fn persist_fields<'a>(hash: &mut Open<'_>, names: Argv<'a>) -> Vec<&'a [u8]> {
    let Open::Fading(fading) = hash else { return Vec::new() };
    let timed = names.iter().filter(|field| {
        let had = fading.time(field).is_some();
        fading.set_time(field, None);
        had
    });
    timed.collect()
}

pub(super) fn hpersist(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let there = Open::at(ctx.keys, key)?.is_some();
    let names = field_names(argv, 2, COUNT_NOT_POSITIVE)?;
    if !there {
        return reply_no_fields(ctx, names.len());
    }
    let Some(mut hash) = Open::at(ctx.keys, key)? else { return Ok(()) };
    ctx.reply.array(names.len());
    let mut persisted = 0;
    for at in 0..names.len() {
        let name = names.from(at).at(0);
        let answer = match &mut hash {
            hash if hash.get(name).is_none() => NO_FIELD,
            Open::Fading(fading) if fading.time(name).is_some() => {
                fading.set_time(name, None);
                1
            }
            _ => NO_TIME,
        };
        persisted += usize::from(answer == 1);
        ctx.reply.int(answer);
    }
    if persisted > 0 {
        ctx.changed_times(persisted, class::HASH, "hpersist", key);
    }
    Ok(())
}

pub(super) fn hgetdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let mut hash = Open::at(ctx.keys, key)?;
    let names = field_names(argv, 2, COUNT_NOT_POSITIVE)?;
    ctx.reply.array(names.len());
    let mut removed = Vec::new();
    for field in names.iter() {
        reply_found(ctx.reply, hash.as_ref().and_then(|hash| hash.get(field)));
        if hash.as_mut().is_some_and(|hash| hash.remove(field)) {
            removed.push(field);
        }
    }
    if !removed.is_empty() {
        removed_fields(ctx, key, &removed);
    }
    Ok(())
}

/// What HGETEX does to the times of fields.
enum Touch {
    Nothing,
    Persist,
    Expire(UnixMs),
}

/// The unit that a word of HGETEX and HSETEX stands for.
fn unit_of(word: &[u8]) -> Option<Unit> {
    [("EX", EX), ("PX", PX), ("EXAT", EXAT), ("PXAT", PXAT)]
        .into_iter()
        .find(|(name, _)| is_option(word, name))
        .map(|(_, unit)| unit)
}

pub(super) fn hgetex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    Open::at(ctx.keys, key)?;
    let (touch, at) = match argv.at(2) {
        word if is_option(word, "PERSIST") => (Touch::Persist, 3),
        word => match unit_of(word) {
            Some(unit) => (Touch::Expire(field_moment(ctx, argv.at(3), unit, "hgetex")?), 4),
            None => (Touch::Nothing, 2),
        },
    };
    let names = field_names(argv, at, COUNT_NOT_POSITIVE)?;
    let Some(hash) = Open::at(ctx.keys, key)? else {
        ctx.reply.array(names.len());
        (0..names.len()).for_each(|_| ctx.reply.null());
        return Ok(());
    };
    ctx.reply.array(names.len());
    let mut found = Vec::new();
    for field in names.iter() {
        let value = hash.get(field);
        if value.is_some() && !found.contains(&field) {
            found.push(field);
        }
        reply_found(ctx.reply, value);
    }
    if !found.is_empty() {
        touch_fields(ctx, key, touch, names, &found)?;
    }
    Ok(())
}

fn touch_fields(ctx: &mut Ctx<'_>, key: &[u8], touch: Touch, names: Argv<'_>, found: &[&[u8]]) -> Done {
    match touch {
        Touch::Nothing => {}
        Touch::Persist => {
            let Some(mut hash) = Open::at(ctx.keys, key)? else { return Ok(()) };
            let persisted = persist_fields(&mut hash, names);
            if !persisted.is_empty() {
                ctx.changed_times(persisted.len(), class::HASH, "hpersist", key);
                propagate_fields(ctx, b"HPERSIST", key, &[], &persisted);
            }
        }
        Touch::Expire(moment) if is_past(ctx, moment) => {
            let Some(mut hash) = Open::at(ctx.keys, key)? else { return Ok(()) };
            found.iter().for_each(|field| {
                hash.remove(field);
            });
            removed_fields(ctx, key, found);
        }
        Touch::Expire(moment) => {
            ctx.keys.let_fields_expire(key);
            if let Some((fading, _)) = ctx.keys.fading_mut(key) {
                found.iter().for_each(|field| fading.set_time(field, Some(moment)));
            }
            timed_fields(ctx, key, moment, None, found);
        }
    }
    Ok(())
}

/// The options of HSETEX.
struct SetOptions {
    /// Whether all fields must be there (true) or none (false).
    all_there: Option<bool>,
    time: FieldTime,
    /// Where the time stands among the arguments, if one was given.
    time_at: Option<usize>,
    /// Where the first field stands, and how many there are.
    first: usize,
    count: usize,
}

impl SetOptions {
    fn parse(ctx: &Ctx<'_>, argv: Argv<'_>) -> Result<SetOptions, CommandError> {
        let mut options = SetOptions { all_there: None, time: FieldTime::Set(None), time_at: None, first: 0, count: 0 };
        let (mut at, mut has_time) = (2, false);
        while let Some(word) = argv.get(at) {
            if is_option(word, "FIELDS") {
                options.fields(argv, at)?;
                at = options.first + 2 * options.count;
                continue;
            }
            let unit = unit_of(word);
            let keeps = is_option(word, "KEEPTTL");
            match word {
                _ if is_option(word, "FNX") || is_option(word, "FXX") => {
                    if options.all_there.replace(is_option(word, "FXX")).is_some() {
                        return Err(CommandError::new("ERR Only one of FXX or FNX arguments can be specified"));
                    }
                }
                _ if unit.is_some() || keeps => {
                    if std::mem::replace(&mut has_time, true) {
                        return Err(CommandError::new(
                            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                        ));
                    }
                    if let Some(unit) = unit {
                        at += 1;
                        let arg = argv.get(at).ok_or_else(|| CommandError::wrong_arity("hsetex"))?;
                        options.time = FieldTime::Set(Some(field_moment(ctx, arg, unit, "hsetex")?));
                        options.time_at = Some(at);
                    } else {
                        options.time = FieldTime::Keep;
                    }
                }
                // Valkey's conditions on the key: its master has seen to them.
                _ if ctx.caller.from_master && (is_option(word, "NX") || is_option(word, "XX")) => {}
                _ => return Err(CommandError::quoting("ERR unknown argument: ", word, "")),
            }
            at += 1;
        }
        if options.count == 0 { Err(CommandError::wrong_arity("hsetex")) } else { Ok(options) }
    }

    fn fields(&mut self, argv: Argv<'_>, at: usize) -> Result<(), CommandError> {
        let count = argv.get(at + 1).and_then(|count| integer(count).ok()).filter(|&count| count > 0);
        let count = count.ok_or_else(|| CommandError::new("ERR invalid number of fields"))?;
        self.first = at + 2;
        self.count = usize::try_from(count).unwrap_or(usize::MAX);
        let room = argv.len().saturating_sub(self.first) / 2;
        if self.count > room { Err(CommandError::wrong_arity("hsetex")) } else { Ok(()) }
    }
}

pub(super) fn hsetex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let there = Open::at(ctx.keys, key)?.is_some();
    let options = SetOptions::parse(ctx, argv)?;
    let names: Vec<&[u8]> = (0..options.count).map(|n| argv.at(options.first + 2 * n)).collect();
    if let Some(wanted) = options.all_there {
        let hash = Open::at(ctx.keys, key)?;
        let has = |field: &&[u8]| hash.as_ref().is_some_and(|hash| hash.get(field).is_some());
        if !names.iter().all(|field| has(field) == wanted) {
            ctx.reply.int(0);
            return Ok(());
        }
    }
    ctx.reply.int(1);
    if let FieldTime::Set(Some(moment)) = options.time
        && is_past(ctx, moment)
    {
        return set_past(ctx, key, there, &names);
    }
    ctx.keys.hash_or_new(key).map(|_| ()).or_else(|_| ctx.keys.fading_mut(key).map(|_| ()).ok_or(error::WRONG_TYPE))?;
    let expires = matches!(options.time, FieldTime::Set(Some(_)));
    if expires {
        ctx.keys.let_fields_expire(key);
    }
    let value_of = |n: usize| argv.at(options.first + 2 * n + 1);
    match ctx.keys.fading_mut(key) {
        Some((fading, limits)) => names.iter().enumerate().for_each(|(n, field)| {
            fading.set(field, value_of(n), options.time, limits);
        }),
        None => {
            let (hash, limits) = ctx.keys.hash_or_new(key)?;
            names.iter().enumerate().for_each(|(n, field)| {
                hash.set(field, value_of(n), limits);
            });
        }
    }
    ctx.keys.note_fields(key);
    ctx.changed_times(names.len(), class::HASH, "hset", key);
    if expires {
        ctx.event(class::HASH, "hexpire", key);
    }
    propagate_set(ctx, argv, &options);
    Ok(())
}

/// Sets fields that have expired already: they are gone.
fn set_past(ctx: &mut Ctx<'_>, key: &[u8], there: bool, names: &[&[u8]]) -> Done {
    if !there {
        ctx.event(class::NEW, "new", key);
    }
    ctx.event(class::HASH, "hset", key);
    if let Some(mut hash) = Open::at(ctx.keys, key)? {
        names.iter().for_each(|field| {
            hash.remove(field);
        });
    }
    removed_fields(ctx, key, names);
    if !there {
        ctx.event(class::GENERIC, "del", key);
    }
    Ok(())
}

/// Lets an HSETEX travel with the moment that it means.
fn propagate_set(ctx: &mut Ctx<'_>, argv: Argv<'_>, options: &SetOptions) {
    let (FieldTime::Set(Some(moment)), Some(at)) = (options.time, options.time_at) else { return };
    let mut digits = itoa::Buffer::new();
    let mut args: Vec<&[u8]> = argv.iter().collect();
    args[at - 1] = b"PXAT";
    args[at] = digits.format(moment).as_bytes();
    ctx.effects.propagate_as(&args);
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
