//! The commands on hashes.
//!
//! Ancestor: `t_hash.c`. Hashes with fields that expire are of a type of their own, which the calls below that change a
//! hash take for a wrong one: then, and only then, they ask `fading`. Reading is the same for both.

mod fading;
mod fields;
mod fields_rows;
mod rows;

pub use fields_rows::ROWS as FIELDS_ROWS;
pub use rows::ROWS;

use super::ctx::{Ctx, integer, is_option, reply_element};
use super::effects::class;
use super::error::{self, CommandError};
use super::sample;
use super::scan::{ScanOptions, parse_cursor, reply_scan, reply_scan_nothing};
use crate::base::extended::{Extended, SumError, add_decimal};
use crate::base::numbers::parse_i64;
use crate::base::rng::Rng;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::{Element, Hash};
use std::collections::HashSet;

type Done = Result<(), CommandError>;

/// Sets the pairs from argument 2 on; returns how many fields are new.
fn set_pairs(ctx: &mut Ctx<'_>, argv: Argv<'_>, name: &'static str) -> Result<usize, CommandError> {
    if argv.len() % 2 == 1 {
        return Err(CommandError::wrong_arity(name));
    }
    let (key, pairs) = (argv.at(1), argv.len() / 2 - 1);
    let Ok((hash, limits)) = ctx.keys.hash_or_new(key) else { return fading::set_pairs(ctx, argv) };
    hash.expect(pairs, limits);
    let mut created = 0;
    for at in (2..argv.len()).step_by(2) {
        created += usize::from(hash.set(argv.at(at), argv.at(at + 1), limits));
    }
    ctx.changed_times(pairs, class::HASH, "hset", key);
    Ok(created)
}

fn hset(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let created = set_pairs(ctx, argv, "hset")?;
    ctx.reply.len(created);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    set_pairs(ctx, argv, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

fn hsetnx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, field) = (argv.at(1), argv.at(2));
    let Ok((hash, limits)) = ctx.keys.hash_or_new(key) else { return fading::hsetnx(ctx, argv) };
    if hash.contains(field) {
        ctx.reply.int(0);
        return Ok(());
    }
    hash.set(field, argv.at(3), limits);
    ctx.changed(class::HASH, "hset", key);
    ctx.reply.int(1);
    Ok(())
}

fn hget(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let hash = ctx.keys.hash(argv.at(1))?;
    reply_found(ctx.reply, hash.and_then(|hash| hash.get(argv.at(2))));
    Ok(())
}

fn reply_found(reply: &mut Reply, found: Option<Element<'_>>) {
    match found {
        Some(value) => reply_element(reply, value),
        None => reply.null(),
    }
}

fn hmget(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let hash = ctx.keys.hash(argv.at(1))?;
    ctx.reply.array(argv.len() - 2);
    for field in argv.from(2).iter() {
        reply_found(ctx.reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let Ok(hash) = ctx.keys.hash_mut(key) else { return fading::hdel(ctx, argv) };
    let Some(hash) = hash else {
        ctx.reply.int(0);
        return Ok(());
    };
    let removed = argv.from(2).iter().filter(|field| hash.remove(field)).count();
    let emptied = hash.is_empty();
    if removed > 0 {
        ctx.changed_times(removed, class::HASH, "hdel", key);
        if emptied {
            ctx.delete_if_empty(key);
        }
    }
    ctx.reply.len(removed);
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let len = ctx.keys.hash(argv.at(1))?.map_or(0, Hash::len);
    ctx.reply.len(len);
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let value = ctx.keys.hash(argv.at(1))?.and_then(|hash| hash.get(argv.at(2)));
    ctx.reply.len(value.map_or(0, |value| value.len()));
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let found = ctx.keys.hash(argv.at(1))?.is_some_and(|hash| hash.contains(argv.at(2)));
    ctx.reply.int(i64::from(found));
    Ok(())
}

/// The sum of a field's value and an increment, with the errors of HINCRBY.
#[inline]
fn integer_sum(found: Option<Element<'_>>, increment: i64) -> Result<i64, CommandError> {
    let current = match found {
        None => Some(0),
        Some(Element::Int(value)) => Some(value),
        Some(Element::Bytes(text)) => parse_i64(text),
    };
    let current = current.ok_or_else(|| CommandError::new("ERR hash value is not an integer"))?;
    current.checked_add(increment).ok_or_else(|| CommandError::new("ERR increment or decrement would overflow"))
}

fn hincrby(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, field) = (argv.at(1), argv.at(2));
    let increment = integer(argv.at(3))?;
    let Ok((hash, limits)) = ctx.keys.hash_or_new(key) else { return fading::hincrby(ctx, key, field, increment) };
    // A new hash cannot fail below, so none is left empty.
    let sum = integer_sum(hash.get(field), increment)?;
    hash.set(field, itoa::Buffer::new().format(sum).as_bytes(), limits);
    ctx.changed(class::HASH, "hincrby", key);
    ctx.reply.int(sum);
    Ok(())
}

/// The sum of a field's value and an increment, with the errors of HINCRBYFLOAT.
fn float_sum(current: &[u8], increment: &[u8]) -> Result<Vec<u8>, CommandError> {
    add_decimal(current, increment).map_err(|error| {
        CommandError::new(match error {
            SumError::NotANumber => "ERR hash value is not a float",
            SumError::NotFinite => "ERR increment would produce NaN or Infinity",
        })
    })
}

fn hincrbyfloat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, field, increment) = (argv.at(1), argv.at(2), argv.at(3));
    if Extended::parse(increment).ok_or(error::NOT_FLOAT)?.is_infinite() {
        return Err(CommandError::new("ERR value is NaN or Infinity"));
    }
    let Ok((hash, limits)) = ctx.keys.hash_or_new(key) else {
        return fading::hincrbyfloat(ctx, key, field, increment);
    };
    let sum = match hash.get(field) {
        None => float_sum(b"0", increment)?,
        Some(value) => float_sum(value.as_bytes(&mut [0; 20]), increment)?,
    };
    hash.set(field, &sum, limits);
    ctx.changed(class::HASH, "hincrbyfloat", key);
    // The sum itself travels: another machine's arithmetic may differ in the last digit.
    ctx.effects.propagate_as(&[b"HSET", key, field, &sum]);
    ctx.reply.bulk(&sum);
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let Some(hash) = ctx.keys.hash(argv.at(1))? else {
        ctx.reply.map(0);
        return Ok(());
    };
    ctx.reply.map(hash.len());
    for (field, value) in hash.iter() {
        reply_element(ctx.reply, field);
        reply_element(ctx.reply, value);
    }
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let hash = ctx.keys.hash(argv.at(1))?;
    ctx.reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(field, _)| reply_element(ctx.reply, field));
    Ok(())
}

fn hvals(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let hash = ctx.keys.hash(argv.at(1))?;
    ctx.reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(_, value)| reply_element(ctx.reply, value));
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let cursor = parse_cursor(argv.at(2))?;
    let Some(hash) = ctx.keys.hash(argv.at(1))? else {
        reply_scan_nothing(ctx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(argv, 3, false)?;
    reply_scan(ctx.reply, options, cursor, |page, cursor| {
        hash.scan(cursor, |field, value| {
            let mut digits = [0; 20];
            let field = field.as_bytes(&mut digits);
            if page.wants(field) {
                page.write(field);
                page.write(value.as_bytes(&mut [0; 20]));
            }
        })
    });
    Ok(())
}

/// The count that SRANDMEMBER and HRANDFIELD take: negative for picks that may repeat.
pub(super) fn signed_count(arg: &[u8]) -> Result<i64, CommandError> {
    match integer(arg)? {
        i64::MIN => Err(CommandError::new(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        count => Ok(count),
    }
}

fn hrandfield(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let mut rng = Rng::new(ctx.keys.rng.next_u64());
    if argv.len() == 2 {
        let hash = ctx.keys.hash(argv.at(1))?;
        reply_found(ctx.reply, hash.and_then(|hash| hash.random(&mut rng)).map(|(field, _)| field));
        return Ok(());
    }
    let count = signed_count(argv.at(2))?;
    let with_values = match argv.get(3) {
        None => false,
        Some(option) if argv.len() == 4 && is_option(option, "WITHVALUES") => true,
        Some(_) => return Err(error::SYNTAX),
    };
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::new("ERR value is out of range"));
    }
    let hash = ctx.keys.hash(argv.at(1))?;
    let Some(hash) = hash.filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let shown = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let shown = if count < 0 { shown } else { shown.min(hash.len()) };
    ctx.reply.array(if with_values && !ctx.reply.resp3 { shown * 2 } else { shown });
    let reply = &mut *ctx.reply;
    let show = |(field, value): (Element<'_>, Element<'_>)| {
        if with_values && reply.resp3 {
            reply.array(2);
        }
        reply_element(reply, field);
        if with_values {
            reply_element(reply, value);
        }
    };
    match count < 0 {
        true => (0..shown).filter_map(|_| hash.random(&mut rng)).for_each(show),
        false => random_fields(hash, shown, &mut rng, show),
    }
    Ok(())
}

/// Shows `count` different fields.
fn random_fields<'a>(hash: &'a Hash, count: usize, rng: &mut Rng, mut show: impl FnMut((Element<'a>, Element<'a>))) {
    if hash.is_packed() || !sample::is_sparse(hash.len(), count) {
        return sample::select_each(hash.iter(), hash.len(), count, rng, |pair, picked| {
            if picked {
                show(pair);
            }
        });
    }
    let mut drawn = HashSet::with_capacity(count);
    while drawn.len() < count {
        let Some((field, value)) = hash.random(rng) else { return };
        if drawn.insert(field.to_vec()) {
            show((field, value));
        }
    }
}

#[cfg(test)]
mod tests;
