//! The commands on HyperLogLogs, which count different elements roughly in little memory.
//!
//! Ancestor: `hyperloglog.c`. The format stands in `types::hyperloglog`. Whoever looks at a HyperLogLog alone has its
//! string ready to be changed, and so `raw`, whether it changes or not.

use super::command::{DataFn, Row, category, flag, key, one, range};
use super::ctx::{Ctx, is_option};
use super::effects::class;
use super::error::{CommandError, c_string};
use super::string::{read_string, string_of};
use crate::keyspace::{ExpirePolicy, Keyspace};
use crate::resp::request::Argv;
use crate::types::hyperloglog::{self, Corrupted, HyperLogLog, REGISTERS, Registers};
use crate::types::{Str, StrRef, Value};
use std::borrow::Cow;
use std::rc::Rc;

type Done = Result<(), CommandError>;

const NO_HYPERLOGLOG: CommandError =
    CommandError(Cow::Borrowed(b"WRONGTYPE Key is not a valid HyperLogLog string value."));

impl From<Corrupted> for CommandError {
    fn from(_: Corrupted) -> Self {
        CommandError::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

fn hyperloglog_of(string: StrRef<'_>) -> Result<HyperLogLog<'_>, CommandError> {
    match string {
        StrRef::Bytes(bytes) => HyperLogLog::new(bytes).ok_or(NO_HYPERLOGLOG),
        StrRef::Int(_) => Err(NO_HYPERLOGLOG),
    }
}

/// The bytes of the HyperLogLog at a key, to change.
fn bytes_mut<'k>(keys: &'k mut Keyspace, key: &[u8]) -> Result<Option<&'k mut Vec<u8>>, CommandError> {
    let Some(entry) = keys.write(key) else { return Ok(None) };
    hyperloglog_of(string_of(entry)?)?;
    Ok(Some(entry.make_vec()))
}

/// Changes the HyperLogLog at a key, or a new one that is put there then. `change` is told whether it is new.
fn change<T>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Vec<u8>, bool) -> Result<T, Corrupted>,
) -> Result<T, CommandError> {
    if let Some(bytes) = bytes_mut(ctx.keys, key)? {
        return Ok(change(bytes, false)?);
    }
    let mut bytes = HyperLogLog::empty();
    let outcome = change(&mut bytes, true)?;
    ctx.keys.insert(key, Value::Str(Str::Bytes { bytes: Rc::new(bytes), raw: true }), None);
    Ok(outcome)
}

/// What is corrupted may show it only after some elements, which stay added. Redis tells its replicas nothing of those;
/// the command itself would be an error to them, too, so they get the string.
fn propagate_string(ctx: &mut Ctx<'_>, key: &[u8]) {
    if let Some(Ok(StrRef::Bytes(bytes))) = ctx.keys.peek(key).map(string_of) {
        ctx.effects.propagate_as(&[b"SET", key, bytes, b"KEEPTTL"]);
        ctx.keys.dirty += 1;
    }
}

/// PFADD key \[element ...\]
fn pfadd(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let sparse_max = ctx.limits.hll_sparse_bytes_max;
    let mut changes = 0;
    let outcome = change(ctx, key, |bytes, is_new| {
        changes = usize::from(is_new);
        for element in argv.from(2).iter() {
            changes += usize::from(hyperloglog::add(bytes, element, sparse_max)?);
        }
        if changes > 0 {
            hyperloglog::forget_cached_count(bytes);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        if changes > 0 {
            propagate_string(ctx, key);
        }
        return Err(error);
    }
    if changes > 0 {
        ctx.changed_times(changes, class::STRING, "pfadd", key);
    }
    ctx.reply.int(i64::from(changes > 0));
    Ok(())
}

/// What several keys hold together. Returns whether one of them is dense.
fn merge(ctx: &mut Ctx<'_>, keys: Argv<'_>, registers: &mut Registers) -> Result<bool, CommandError> {
    let mut dense = false;
    for key in keys.iter() {
        if let Some(string) = read_string(ctx.keys, key)? {
            let hll = hyperloglog_of(string)?;
            dense |= hll.is_dense();
            hll.merge_into(registers)?;
        }
    }
    Ok(dense)
}

/// PFCOUNT key ...
fn pfcount(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let count = if argv.len() > 2 {
        let mut registers = Registers::default();
        merge(ctx, argv.from(1), &mut registers)?;
        registers.count()
    } else {
        count_one(ctx, argv.at(1))?
    };
    ctx.reply.int(count as i64);
    Ok(())
}

/// A count that was not cached is cached, which changes the string; replicas hear of it. A replica whose own client
/// asks does not cache it (Redis's does): at the same offset its data are its master's.
fn count_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<u64, CommandError> {
    if read_string(ctx.keys, key)?.is_none() {
        return Ok(0);
    }
    let keeps_data = ctx.keys.expire_policy == ExpirePolicy::Hide;
    let Some(bytes) = bytes_mut(ctx.keys, key)? else { return Ok(0) };
    let hll = hyperloglog_of(StrRef::Bytes(bytes))?;
    if let Some(count) = hll.cached_count() {
        return Ok(count);
    }
    let count = hll.count()?;
    if keeps_data {
        return Ok(count);
    }
    hyperloglog::set_cached_count(bytes, count);
    ctx.keys.signal_modified(key);
    ctx.keys.dirty += 1;
    Ok(count)
}

/// PFMERGE destination \[source ...\]
fn pfmerge(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let mut registers = Registers::default();
    let dense = merge(ctx, argv.from(1), &mut registers)?;
    let key = argv.at(1);
    let sparse_max = ctx.limits.hll_sparse_bytes_max;
    change(ctx, key, |bytes, _| {
        if dense {
            hyperloglog::make_dense(bytes)?;
        }
        for (index, value) in registers.iter().enumerate().filter(|(_, value)| *value > 0) {
            hyperloglog::raise(bytes, index, value, sparse_max)?;
        }
        hyperloglog::forget_cached_count(bytes);
        Ok(())
    })?;
    ctx.changed(class::STRING, "pfadd", key);
    ctx.reply.ok();
    Ok(())
}

/// PFDEBUG GETREG|DECODE|ENCODING|TODENSE key
fn pfdebug(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (word, key) = (argv.at(1), argv.at(2));
    let no_key = || CommandError::new("ERR The specified key does not exist");
    let bytes = bytes_mut(ctx.keys, key)?.ok_or_else(no_key)?;
    let mut converted = false;
    if is_option(word, "GETREG") {
        converted = hyperloglog::make_dense(bytes)?;
        let mut registers = Registers::default();
        hyperloglog_of(StrRef::Bytes(bytes))?.merge_into(&mut registers)?;
        ctx.reply.array(REGISTERS);
        registers.iter().for_each(|register| ctx.reply.int(i64::from(register)));
    } else if is_option(word, "DECODE") {
        let hll = hyperloglog_of(StrRef::Bytes(bytes))?;
        if hll.is_dense() {
            return Err(CommandError::new("ERR HLL encoding is not sparse"));
        }
        ctx.reply.bulk(hll.describe().as_bytes());
    } else if is_option(word, "ENCODING") {
        let dense = hyperloglog_of(StrRef::Bytes(bytes))?.is_dense();
        ctx.reply.status(if dense { "dense" } else { "sparse" });
    } else if is_option(word, "TODENSE") {
        converted = hyperloglog::make_dense(bytes)?;
        ctx.reply.int(i64::from(converted));
    } else {
        return Err(CommandError::quoting("ERR Unknown PFDEBUG subcommand '", c_string(word), "'"));
    }
    if converted {
        ctx.keys.dirty += 1;
    }
    Ok(())
}

/// PFSELFTEST: both forms side by side under the same elements, and estimates against the truth.
fn pfselftest(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Done {
    const ELEMENTS: u64 = 30_000;
    let (mut sparse, mut dense) = (HyperLogLog::empty(), HyperLogLog::empty());
    hyperloglog::make_dense(&mut dense)?;
    for number in 1..=ELEMENTS {
        let element = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let raised = hyperloglog::add(&mut dense, &element, 0)?;
        if hyperloglog::add(&mut sparse, &element, usize::MAX)? != raised {
            return Err(CommandError::new("ERR TESTFAILED sparse and dense registers differ"));
        }
        if number.is_power_of_two() || number == ELEMENTS {
            let count = |bytes: &[u8]| HyperLogLog::new(bytes).ok_or(Corrupted)?.count();
            let counted = count(&dense)?;
            // Ten standard errors of an estimator with so many registers, and one for very few elements.
            let tolerated = (number as f64 * 10.4 / (REGISTERS as f64).sqrt()).ceil() as u64;
            if counted.abs_diff(number) > tolerated || count(&sparse)? != counted {
                let text = format!("ERR TESTFAILED {counted} elements counted of {number}");
                return Err(CommandError::new(text));
            }
        }
    }
    ctx.reply.ok();
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "pfadd",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        categories: category::HYPERLOGLOG,
        keys: &[one(key::RW | key::INSERT, 1)],
        group: "hyperloglog",
        since: "2.8.9",
        summary: "Adds elements to a HyperLogLog.",
        run: Some(pfadd),
        subcommands: &[],
    },
    Row {
        name: "pfcount",
        arity: -2,
        flags: flag::READONLY | flag::MAY_REPLICATE,
        categories: category::HYPERLOGLOG,
        keys: &[range(key::RW | key::ACCESS, 1, -1, 1)],
        group: "hyperloglog",
        since: "2.8.9",
        summary: "Estimates how many different elements HyperLogLogs have seen together.",
        run: Some(pfcount),
        subcommands: &[],
    },
    Row {
        name: "pfdebug",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::ADMIN,
        categories: category::HYPERLOGLOG,
        keys: &[one(key::RW | key::ACCESS, 2)],
        group: "hyperloglog",
        since: "2.8.9",
        summary: "Shows the inside of a HyperLogLog, for developers.",
        run: Some(pfdebug),
        subcommands: &[],
    },
    Row {
        name: "pfmerge",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM,
        categories: category::HYPERLOGLOG,
        keys: &[one(key::RW | key::ACCESS | key::INSERT, 1), range(key::RO | key::ACCESS, 2, -1, 1)],
        group: "hyperloglog",
        since: "2.8.9",
        summary: "Adds to a HyperLogLog what others have seen.",
        run: Some(pfmerge),
        subcommands: &[],
    },
    Row {
        name: "pfselftest",
        arity: 1,
        flags: flag::ADMIN,
        categories: category::HYPERLOGLOG,
        keys: &[],
        group: "hyperloglog",
        since: "2.8.9",
        summary: "Tests the HyperLogLogs of the server, for developers.",
        run: Some(pfselftest),
        subcommands: &[],
    },
];

#[cfg(test)]
#[path = "hyperloglog_tests.rs"]
mod tests;
