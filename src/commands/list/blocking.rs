//! The commands on lists that wait until there is an element.
//!
//! Each does what its sister does that does not wait, and travels as that; where there is nothing to do it asks to be
//! run again.

use super::{Done, End, move_element, parse_lmpop, pop_first, pop_one};
use crate::base::clock::UnixMs;
use crate::commands::Ctx;
use crate::commands::effects::{KeyWait, Refusal};
use crate::commands::waits::{deadline_of_seconds, keys_of};
use crate::keyspace::WaitKind;
use crate::resp::request::Argv;
use std::ops::Range;

fn wait(ctx: &mut Ctx<'_>, argv: Argv<'_>, keys: Range<usize>, deadline_ms: Option<UnixMs>, refusal: Refusal) {
    ctx.effects.block_on_keys(KeyWait {
        keys: keys_of(argv, keys),
        kind: WaitKind::List,
        deadline_ms,
        wakes_without_key: false,
        refusal,
        args: None,
    });
}

fn blocking_pop(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Done {
    let last = argv.len() - 1;
    let deadline_ms = deadline_of_seconds(argv.at(last), ctx.now)?;
    for index in 1..last {
        let key = argv.at(index);
        if ctx.keys.list_mut(key)?.is_some() {
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            pop_one(ctx, key, end)?;
            ctx.effects.propagate_as(&[end.pop_command(), key]);
            return Ok(());
        }
    }
    wait(ctx, argv, 1..last, deadline_ms, Refusal::NullArray);
    Ok(())
}

pub(super) fn blpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    blocking_pop(ctx, argv, End::Head)
}

pub(super) fn brpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    blocking_pop(ctx, argv, End::Tail)
}

pub(super) fn blmpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let timeout = argv.at(1);
    let argv = argv.from(2);
    let (keys_end, end, count) = parse_lmpop(argv)?;
    let deadline_ms = deadline_of_seconds(timeout, ctx.now)?;
    if !pop_first(ctx, argv, 1..keys_end, count, end)? {
        wait(ctx, argv, 1..keys_end, deadline_ms, Refusal::NullArray);
    }
    Ok(())
}

pub(super) fn blmove(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (take, put) = (End::parse(argv.at(3))?, End::parse(argv.at(4))?);
    let deadline_ms = deadline_of_seconds(argv.at(5), ctx.now)?;
    if ctx.keys.list_mut(argv.at(1))?.is_none() {
        wait(ctx, argv, 1..2, deadline_ms, Refusal::Null);
        return Ok(());
    }
    move_element(ctx, argv.at(1), argv.at(2), take, put)?;
    ctx.effects.propagate_as(&[b"LMOVE", argv.at(1), argv.at(2), argv.at(3), argv.at(4)]);
    Ok(())
}

pub(super) fn brpoplpush(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let deadline_ms = deadline_of_seconds(argv.at(3), ctx.now)?;
    if ctx.keys.list_mut(argv.at(1))?.is_none() {
        wait(ctx, argv, 1..2, deadline_ms, Refusal::Null);
        return Ok(());
    }
    move_element(ctx, argv.at(1), argv.at(2), End::Tail, End::Head)?;
    ctx.effects.propagate_as(&[b"RPOPLPUSH", argv.at(1), argv.at(2)]);
    Ok(())
}
