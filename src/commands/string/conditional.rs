//! Conditions and times of the younger servers: SET … IFEQ, DELIFEQ and MSETEX (facts: Valkey 9.1).
//!
//! What they did travels as SET and DEL, which servers of any age and family understand.

use super::{Done, Options, read_string, store};
use crate::base::clock::UnixMs;
use crate::commands::ctx::{Ctx, integer};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::resp::request::Argv;
use crate::types::entry::Entry;

/// Whether there is a string at a key that equals `wanted`; an error if the value is of another type.
pub(super) fn holds(ctx: &mut Ctx<'_>, key: &[u8], wanted: &[u8]) -> Result<bool, CommandError> {
    Ok(read_string(ctx.keys, key)?.is_some_and(|held| held.element() == *wanted))
}

/// Lets a string travel without the condition under which it was set.
pub(super) fn propagate_set(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], keep_ttl: bool, deadline: Option<UnixMs>) {
    let mut digits = itoa::Buffer::new();
    let mut args = vec![b"SET".as_slice(), key, value];
    match deadline {
        Some(deadline) => args.extend([b"PXAT", digits.format(deadline).as_bytes()]),
        None if keep_ttl => args.push(b"KEEPTTL"),
        None => {}
    }
    ctx.effects.propagate_as(&args);
}

pub(super) fn delifeq(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let equal = holds(ctx, key, argv.at(2))?;
    if equal {
        ctx.keys.delete(key);
        ctx.changed(class::GENERIC, "del", key);
        ctx.effects.propagate_as(&[b"DEL", key]);
    }
    ctx.reply.int(i64::from(equal));
    Ok(())
}

pub(super) fn msetex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let count = integer(argv.at(1)).ok().and_then(|count| u32::try_from(count).ok()).filter(|&count| count > 0);
    let count = count.ok_or_else(|| CommandError::new("ERR invalid numkeys value or out of range"))?;
    let end = 2 + 2 * count as usize;
    if end > argv.len() {
        return Err(error::SYNTAX);
    }
    let options = Options::parse(argv, end, true)?;
    if options.get || options.if_equal.is_some() {
        return Err(error::SYNTAX);
    }
    let deadline = options.expire_ms(argv, ctx.now, "msetex")?;
    let refused = options
        .must_exist
        .is_some_and(|must_exist| (2..end).step_by(2).any(|at| ctx.keys.exists(argv.at(at)) != must_exist));
    if !refused {
        for at in (2..end).step_by(2) {
            let key = argv.at(at);
            let kept = if options.keep_ttl { ctx.keys.peek(key).and_then(Entry::expire_ms) } else { None };
            store(ctx, key, argv, at + 1, deadline.or(kept));
            ctx.changed(class::STRING, "set", key);
            if deadline.is_some() {
                ctx.event(class::GENERIC, "expire", key);
            }
            propagate_set(ctx, key, argv.at(at + 1), options.keep_ttl, deadline);
        }
    }
    ctx.reply.int(i64::from(!refused));
    Ok(())
}
