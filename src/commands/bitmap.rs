//! Strings as arrays of bits: one bit, counting, searching, combining. Numbers of any width stand in `bitmap/field.rs`.
//!
//! Ancestor: `bitops.c`, with Redis 7.2's order of checks: arguments are read before the key is looked up.

mod field;
mod rows;
#[cfg(test)]
mod tests;

pub use rows::ROWS;

use super::ctx::{Ctx, Limits, Session, integer, is_option};
use super::effects::class;
use super::error::{self, CommandError};
use super::string::{grow, read_string, string_of};
use crate::base::bits::{self, Operation};
use crate::base::numbers::parse_i64;
use crate::keyspace::Keyspace;
use crate::resp::request::Argv;
use crate::types::{Element, Str, StrRef, Value, ValueRef};
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

type Done = Result<(), CommandError>;

const OFFSET: CommandError = CommandError(Cow::Borrowed(b"ERR bit offset is not an integer or out of range"));
const BIT: CommandError = CommandError(Cow::Borrowed(b"ERR bit is not an integer or out of range"));

/// The place of a bit. Strings end at `proto-max-bulk-len`, but for our master's.
fn bit_offset(arg: &[u8], limits: &Limits, caller: &Session) -> Result<u64, CommandError> {
    let offset = parse_i64(arg).and_then(|offset| u64::try_from(offset).ok()).ok_or(OFFSET)?;
    if offset / 8 >= limits.string_len_max && !caller.from_master { Err(OFFSET) } else { Ok(offset) }
}

/// Changes the string at a key in place, made as long as the byte of bit `last` needs. `change` is told whether it had
/// to grow, or to begin.
fn change_bits<T>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    last: u64,
    change: impl FnOnce(&mut [u8], bool) -> T,
) -> Result<T, CommandError> {
    let needed = usize::try_from(last / 8).ok().and_then(|at| at.checked_add(1)).ok_or(OFFSET)?;
    if let Some(entry) = ctx.keys.write(key) {
        string_of(entry)?;
        let bytes = entry.make_vec();
        let grown = needed > bytes.len();
        if grown {
            grow(bytes, needed - bytes.len())?;
            bytes.resize(needed, 0);
        }
        return Ok(change(bytes, grown));
    }
    let mut bytes = Vec::new();
    grow(&mut bytes, needed)?;
    bytes.resize(needed, 0);
    let outcome = change(&mut bytes, true);
    ctx.keys.insert(key, Value::Str(Str::Bytes { bytes: Rc::new(bytes), raw: true }), None);
    Ok(outcome)
}

/// SETBIT key offset value
fn setbit(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let offset = bit_offset(argv.at(2), ctx.limits, ctx.caller)?;
    let on = match argv.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(BIT),
    };
    let key = argv.at(1);
    let (was, grown) = change_bits(ctx, key, offset, |bytes, grown| (bits::set(bytes, offset, on), grown))?;
    if grown || was != on {
        ctx.changed(class::STRING, "setbit", key);
    }
    ctx.reply.int(i64::from(was));
    Ok(())
}

/// The string at a key, as bytes; a number's digits are written into `digits`.
fn read_bytes<'b>(
    ctx: &'b mut Ctx<'_>,
    key: &[u8],
    digits: &'b mut [u8; 20],
) -> Result<Option<&'b [u8]>, CommandError> {
    let string = read_string(ctx.keys, key)?;
    Ok(string.map(|string| string.element().as_bytes(digits)))
}

/// GETBIT key offset
fn getbit(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let offset = bit_offset(argv.at(2), ctx.limits, ctx.caller)?;
    let bit = read_bytes(ctx, argv.at(1), &mut [0; 20])?.is_some_and(|bytes| bits::get(bytes, offset));
    ctx.reply.int(i64::from(bit));
    Ok(())
}

/// The part of a string that BITCOUNT and BITPOS look at, as it was asked for.
struct Part {
    start: i64,
    end: i64,
    /// Whether the ends count bits and not bytes.
    in_bits: bool,
}

impl Part {
    /// `unit_first`: what is wrong with the unit is told before what is wrong with the end.
    fn parse(argv: Argv<'_>, at: usize, unit_first: bool) -> Result<Self, CommandError> {
        if argv.len() > at + 3 {
            return Err(error::SYNTAX);
        }
        let start = argv.get(at).map_or(Ok(0), integer)?;
        let end = argv.get(at + 1).map_or(Ok(-1), integer);
        let in_bits = match argv.get(at + 2) {
            Some(unit) if is_option(unit, "BIT") => Ok(true),
            Some(unit) if !is_option(unit, "BYTE") => Err(error::SYNTAX),
            _ => Ok(false),
        };
        let end = if unit_first && in_bits.is_err() { 0 } else { end? };
        Ok(Part { start, end, in_bits: in_bits? })
    }

    /// The bits of a string of `len` bytes that are meant.
    fn of(&self, len: usize) -> Range<u64> {
        let unit = if self.in_bits { 1 } else { 8 };
        let units = len as i64 * 8 / unit;
        let place = |index: i64| if index < 0 { (index + units).max(0) } else { index };
        let (start, end) = (place(self.start), place(self.end).min(units - 1));
        if start > end { 0..0 } else { (start * unit) as u64..((end + 1) * unit) as u64 }
    }
}

/// BITCOUNT key \[start end \[BYTE|BIT\]\]
fn bitcount(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    if argv.len() == 3 {
        return Err(error::SYNTAX);
    }
    let part = Part::parse(argv, 2, false)?;
    // Both before the first byte they would come to stand on it.
    let backward = part.start < 0 && part.end < 0 && part.start > part.end;
    let mut digits = [0; 20];
    let bytes = read_bytes(ctx, argv.at(1), &mut digits)?.unwrap_or(&[]);
    let count = if backward { 0 } else { bits::count_ones_in(bytes, part.of(bytes.len())) };
    ctx.reply.int(count as i64);
    Ok(())
}

/// BITPOS key bit \[start \[end \[BYTE|BIT\]\]\]
fn bitpos(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let wanted = match integer(argv.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::new("ERR The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(argv, 3, true)?;
    let has_end = argv.len() > 4;
    let mut digits = [0; 20];
    let Some(bytes) = read_bytes(ctx, argv.at(1), &mut digits)? else {
        ctx.reply.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let range = part.of(bytes.len());
    let place = match bits::find_in(bytes, range.clone(), wanted) {
        Some(place) => place as i64,
        // Zeros are thought to follow a string whose end was not asked for.
        None if !wanted && !has_end && !range.is_empty() => range.end as i64,
        None => -1,
    };
    ctx.reply.int(place);
    Ok(())
}

/// What BITOP reads at a key of the selected database, whether its time has come or not.
fn source<'k>(keys: &'k Keyspace, key: &[u8]) -> Cow<'k, [u8]> {
    match keys.current().get(key).map(|entry| entry.value()) {
        Some(ValueRef::Str(StrRef::Bytes(bytes))) => Cow::Borrowed(bytes),
        Some(ValueRef::Str(StrRef::Int(number))) => Cow::Owned(Element::Int(number).to_vec()),
        _ => Cow::Borrowed(&[]),
    }
}

/// BITOP AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE destination key ...; the latter four, of Redis 8.2, travel as what they
/// came to.
fn bitop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let operation = match argv.at(1) {
        word if is_option(word, "AND") => Operation::And,
        word if is_option(word, "OR") => Operation::Or,
        word if is_option(word, "XOR") => Operation::Xor,
        word if is_option(word, "NOT") => Operation::Not,
        word if is_option(word, "DIFF") => Operation::Diff,
        word if is_option(word, "DIFF1") => Operation::Diff1,
        word if is_option(word, "ANDOR") => Operation::AndOr,
        word if is_option(word, "ONE") => Operation::One,
        _ => return Err(error::SYNTAX),
    };
    if operation == Operation::Not && argv.len() != 4 {
        return Err(CommandError::new("ERR BITOP NOT must be called with a single source key."));
    }
    if matches!(operation, Operation::Diff | Operation::Diff1 | Operation::AndOr) && argv.len() < 5 {
        let name = String::from_utf8_lossy(argv.at(1)).to_uppercase();
        return Err(CommandError::new(format!("ERR BITOP {name} must be called with at least two source keys.")));
    }
    let mut present = Vec::with_capacity(argv.len() - 3);
    for key in argv.from(3).iter() {
        present.push(read_string(ctx.keys, key)?.map(|_| key));
    }
    let keys = &*ctx.keys;
    let sources: Vec<_> =
        present.iter().map(|key| key.map_or(Cow::Borrowed(&[][..]), |key| source(keys, key))).collect();
    let result = bits::combine(operation, &sources);
    drop(sources);
    let (key, len) = (argv.at(2), result.len());
    let is_young = operation.is_young();
    if is_young && len > 0 {
        ctx.effects.propagate_as(&[b"SET", key, &result]);
    }
    if len > 0 {
        ctx.keys.insert(key, Value::Str(Str::Bytes { bytes: Rc::new(result), raw: true }), None);
        ctx.changed(class::STRING, "set", key);
    } else if ctx.keys.delete(key) {
        ctx.changed(class::GENERIC, "del", key);
        if is_young {
            ctx.effects.propagate_as(&[b"DEL", key]);
        }
    }
    ctx.reply.len(len);
    Ok(())
}
