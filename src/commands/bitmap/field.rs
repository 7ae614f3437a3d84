//! BITFIELD: numbers of 1 to 64 bits that stand anywhere in a string.
//!
//! All steps are read before the first is done. If one of them may write, the string is first made as long as the
//! furthest of those needs, whatever becomes of it then.

use super::{Done, bit_offset, change_bits, read_bytes};
use crate::base::bits;
use crate::base::numbers::parse_i64;
use crate::commands::ctx::{Ctx, Limits, Session, integer, is_option};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;

/// What becomes of a number that does not fit.
#[derive(Clone, Copy)]
enum Overflow {
    /// Its high bits are lost.
    Wrap,
    /// It becomes the nearest that fits.
    Saturate,
    /// Nothing is written, and the answer is null.
    Fail,
}

#[derive(Clone, Copy)]
struct Kind {
    signed: bool,
    width: u32,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increase(i64, Overflow),
}

struct Step {
    kind: Kind,
    offset: u64,
    action: Action,
}

/// What came of a step that may write.
struct Written {
    /// The answer; nothing where the number did not fit.
    reply: Option<i64>,
    /// Whether another number stands there now.
    changed: bool,
}

impl Kind {
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        let (signed, digits) = match arg {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => (false, &[][..]),
        };
        match parse_i64(digits).and_then(|width| u32::try_from(width).ok()) {
            Some(width @ 1..=63) => Ok(Kind { signed, width }),
            Some(64) if signed => Ok(Kind { signed, width: 64 }),
            _ => Err(CommandError::new(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )),
        }
    }

    /// Where a number begins; after `#`, counted in numbers of this width.
    fn offset(self, arg: &[u8], limits: &Limits, caller: &Session) -> Result<u64, CommandError> {
        let Some(index) = arg.strip_prefix(b"#") else { return bit_offset(arg, limits, caller) };
        let offset = parse_i64(index).and_then(|index| index.checked_mul(i64::from(self.width))).unwrap_or(-1);
        bit_offset(itoa::Buffer::new().format(offset).as_bytes(), limits, caller)
    }

    fn read(self, bytes: &[u8], offset: u64) -> i64 {
        self.cut(bits::get_number(bytes, offset, self.width) as i64)
    }

    /// The number that the lowest bits of `value` spell.
    fn cut(self, value: i64) -> i64 {
        let shift = 64 - self.width;
        if self.signed { value << shift >> shift } else { ((value as u64) << shift >> shift) as i64 }
    }

    /// `value + increment`, cut to the width, and the limit that was passed if it does not fit.
    fn add(self, value: i64, increment: i64) -> (i64, Option<i64>) {
        let (low, high) = match self.signed {
            true => (i64::MIN >> (64 - self.width), i64::MAX >> (64 - self.width)),
            false => (0, i64::MAX >> (63 - self.width)),
        };
        let passed = if !self.signed && value < 0 {
            // A negative number to SET is one beyond all bounds when it is taken without its sign.
            Some(high)
        } else {
            // So is one to SET as a signed number, from where on its distance to the highest is no signed number any
            // more: stock clamps it there.
            let beyond = i128::from(value) + i128::from(increment);
            let too_far = self.width < 64 && high.checked_sub(value).is_none();
            match () {
                () if too_far || beyond > i128::from(high) => Some(high),
                () if beyond < i128::from(low) => Some(low),
                () => None,
            }
        };
        (self.cut(value.wrapping_add(increment)), passed)
    }
}

impl Step {
    /// Reads all steps, and whether they only get.
    fn parse_all(ctx: &Ctx<'_>, argv: Argv<'_>) -> Result<Vec<Step>, CommandError> {
        let mut steps = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut at = 2;
        while at < argv.len() {
            let (word, after) = (argv.at(at), argv.len() - at - 1);
            if is_option(word, "OVERFLOW") && after >= 1 {
                overflow = match argv.at(at + 1) {
                    word if is_option(word, "WRAP") => Overflow::Wrap,
                    word if is_option(word, "SAT") => Overflow::Saturate,
                    word if is_option(word, "FAIL") => Overflow::Fail,
                    _ => return Err(CommandError::new("ERR Invalid OVERFLOW type specified")),
                };
                at += 2;
                continue;
            }
            let make: Option<fn(i64, Overflow) -> Action> = match word {
                _ if is_option(word, "GET") && after >= 2 => None,
                _ if is_option(word, "SET") && after >= 3 => Some(Action::Set),
                _ if is_option(word, "INCRBY") && after >= 3 => Some(Action::Increase),
                _ => return Err(error::SYNTAX),
            };
            let kind = Kind::parse(argv.at(at + 1))?;
            let offset = kind.offset(argv.at(at + 2), ctx.limits, ctx.caller)?;
            at += 3;
            let action = match make {
                None => Action::Get,
                Some(make) => {
                    at += 1;
                    make(integer(argv.at(at - 1))?, overflow)
                }
            };
            steps.push(Step { kind, offset, action });
        }
        Ok(steps)
    }

    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.kind.width) - 1
    }

    fn run(&self, bytes: &mut [u8]) -> Written {
        let (kind, old) = (self.kind, self.kind.read(bytes, self.offset));
        let (value, increment, overflow) = match self.action {
            Action::Get => return Written { reply: Some(old), changed: false },
            Action::Set(value, overflow) => (value, 0, overflow),
            Action::Increase(increment, overflow) => (old, increment, overflow),
        };
        let (wrapped, passed) = kind.add(value, increment);
        let new = match (passed, overflow) {
            (Some(_), Overflow::Fail) => return Written { reply: None, changed: false },
            (Some(limit), Overflow::Saturate) => limit,
            _ => wrapped,
        };
        bits::set_number(bytes, self.offset, kind.width, new as u64);
        let reply = if matches!(self.action, Action::Set(..)) { old } else { new };
        Written { reply: Some(reply), changed: new != old }
    }
}

/// BITFIELD key \[GET type offset\] \[OVERFLOW WRAP|SAT|FAIL\] \[SET|INCRBY type offset value\] ...
pub(super) fn bitfield(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let steps = Step::parse_all(ctx, argv)?;
    let writes = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    match writes.map(Step::last_bit).max() {
        Some(last) => write(ctx, argv.at(1), &steps, last),
        None => read(ctx, argv.at(1), &steps),
    }
}

/// BITFIELD_RO key \[GET type offset\] ...
pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let steps = Step::parse_all(ctx, argv)?;
    if steps.iter().any(|step| !matches!(step.action, Action::Get)) {
        return Err(CommandError::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, argv.at(1), &steps)
}

fn read(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> Done {
    let mut digits = [0; 20];
    let bytes = read_bytes(ctx, key, &mut digits)?.unwrap_or(&[]);
    let found: Vec<i64> = steps.iter().map(|step| step.kind.read(bytes, step.offset)).collect();
    ctx.reply.array(found.len());
    found.into_iter().for_each(|number| ctx.reply.int(number));
    Ok(())
}

fn write(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step], last: u64) -> Done {
    let (written, grown) = change_bits(ctx, key, last, |bytes, grown| {
        (steps.iter().map(|step| step.run(bytes)).collect::<Vec<_>>(), grown)
    })?;
    ctx.reply.array(written.len());
    written.iter().for_each(|step| answer(ctx.reply, step.reply));
    let counts = |(step, written): &(&Step, &Written)| {
        written.changed || (grown && written.reply.is_some() && !matches!(step.action, Action::Get))
    };
    let changes = steps.iter().zip(&written).filter(counts).count();
    if changes > 0 {
        ctx.changed_times(changes, class::STRING, "setbit", key);
    } else if grown {
        // All that was to be written failed, but the string has grown: replicas must hear of it, too.
        ctx.keys.signal_modified(key);
        ctx.effects.propagate_anyway();
    }
    Ok(())
}

fn answer(reply: &mut Reply, number: Option<i64>) {
    match number {
        Some(number) => reply.int(number),
        None => reply.null(),
    }
}
