//! The commands on sorted sets that wait until there is a member.
//!
//! Each does what its sister does that does not wait, and travels as that; where there is nothing to do it asks to be
//! run again.

use super::effects::{KeyWait, Refusal};
use super::waits::{deadline_of_seconds, keys_of};
use super::zset::{End, parse_zmpop, pop_first, take_from_end};
use super::{CommandError, Ctx};
use crate::base::clock::UnixMs;
use crate::keyspace::WaitKind;
use crate::resp::request::Argv;
use std::ops::Range;

fn wait(ctx: &mut Ctx<'_>, argv: Argv<'_>, keys: Range<usize>, deadline_ms: Option<UnixMs>) {
    ctx.effects.block_on_keys(KeyWait {
        keys: keys_of(argv, keys),
        kind: WaitKind::ZSet,
        deadline_ms,
        wakes_without_key: false,
        refusal: Refusal::NullArray,
        args: None,
    });
}

fn blocking_pop(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Result<(), CommandError> {
    let last = argv.len() - 1;
    let deadline_ms = deadline_of_seconds(argv.at(last), ctx.now)?;
    for index in 1..last {
        let key = argv.at(index);
        if ctx.keys.zset_mut(key)?.is_some() {
            ctx.reply.array(3);
            ctx.reply.bulk(key);
            take_from_end(ctx, key, end, 1, false)?;
            ctx.effects.propagate_as(&[end.command().as_bytes(), key]);
            return Ok(());
        }
    }
    wait(ctx, argv, 1..last, deadline_ms);
    Ok(())
}

/// BZPOPMIN key ... timeout
pub fn bzpopmin(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    blocking_pop(ctx, argv, End::Min)
}

/// BZPOPMAX key ... timeout
pub fn bzpopmax(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    blocking_pop(ctx, argv, End::Max)
}

/// BZMPOP timeout numkeys key ... MIN|MAX \[COUNT count\]
pub fn bzmpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let timeout = argv.at(1);
    let argv = argv.from(2);
    let (keys_end, end, wanted) = parse_zmpop(argv)?;
    let deadline_ms = deadline_of_seconds(timeout, ctx.now)?;
    if !pop_first(ctx, argv, 1..keys_end, wanted, end)? {
        wait(ctx, argv, 1..keys_end, deadline_ms);
    }
    Ok(())
}
