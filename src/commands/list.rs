//! The commands on lists: the ends, the middle, and the moves between lists. LPOS stands in `pos`, the commands that
//! wait for elements in `blocking`.
//!
//! Ancestor: `t_list.c`.

mod blocking;
mod pos;
mod rows;

pub use rows::ROWS;

use pos::{Needle, lpos};

use super::ctx::{Ctx, integer, is_option, reply_element};
use super::effects::class;
use super::error::{self, CommandError};
use crate::base::numbers::parse_i64;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::list::List;
use crate::types::{CollectionLimits, Element};
use std::ops::Range;

type Done = Result<(), CommandError>;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Head,
    Tail,
}

impl End {
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if is_option(arg, "LEFT") => Ok(End::Head),
            () if is_option(arg, "RIGHT") => Ok(End::Tail),
            () => Err(error::SYNTAX),
        }
    }

    fn push_event(self) -> &'static str {
        if self == End::Head { "lpush" } else { "rpush" }
    }

    fn pop_event(self) -> &'static str {
        if self == End::Head { "lpop" } else { "rpop" }
    }

    fn pop_command(self) -> &'static [u8] {
        if self == End::Head { b"LPOP" } else { b"RPOP" }
    }

    #[inline]
    fn push(self, list: &mut List, value: &[u8], limits: &CollectionLimits) {
        match self {
            End::Head => list.push_front(value, limits),
            End::Tail => list.push_back(value, limits),
        }
    }
}

/// Goes back to a listpack where what was taken has made the list that short.
#[inline]
fn shrink(list: &mut List, limits: &CollectionLimits) {
    if list.node_count() == 1 {
        list.retighten(limits);
    }
}

// ---- pushes

#[inline]
fn push(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Done {
    let key = argv.at(1);
    let (list, limits) = ctx.keys.list_or_new(key)?;
    for index in 2..argv.len() {
        end.push(list, argv.at(index), limits);
    }
    let len = list.len();
    ctx.changed_times(argv.len() - 2, class::LIST, end.push_event(), key);
    ctx.reply.len(len);
    Ok(())
}

fn lpush(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    push(ctx, argv, End::Head)
}

fn rpush(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    push(ctx, argv, End::Tail)
}

fn push_existing(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Done {
    if ctx.keys.list_mut(argv.at(1))?.is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    push(ctx, argv, end)
}

fn lpushx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    push_existing(ctx, argv, End::Head)
}

fn rpushx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    push_existing(ctx, argv, End::Tail)
}

// ---- pops

/// Writes the `count` elements at an end, from the outside in, and takes them out.
fn pop_into(list: &mut List, end: End, count: usize, reply: &mut Reply) {
    let len = list.len();
    match end {
        End::Head => list.iter_between(0, count).for_each(|element| reply_element(reply, element)),
        End::Tail => list.iter_between(len - count, len).rev().for_each(|element| reply_element(reply, element)),
    }
    list.remove_range(if end == End::Head { 0 } else { len - count }, count);
}

/// Notes that elements were taken from an end, and whether the list is empty now.
fn popped(ctx: &mut Ctx<'_>, key: &[u8], end: End, count: usize, emptied: bool) {
    ctx.changed_times(count, class::LIST, end.pop_event(), key);
    if emptied {
        ctx.delete_if_empty(key);
    }
}

#[inline]
fn pop_one(ctx: &mut Ctx<'_>, key: &[u8], end: End) -> Done {
    let limits = ctx.keys.limits.clone();
    let Some(list) = ctx.keys.list_mut(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = if end == End::Head { 0 } else { list.len().saturating_sub(1) };
    match list.get(index) {
        Some(element) => reply_element(ctx.reply, element),
        None => ctx.reply.null(),
    }
    match end {
        End::Head => list.remove_front(),
        End::Tail => list.remove_back(),
    }
    shrink(list, &limits);
    let emptied = list.is_empty();
    popped(ctx, key, end, 1, emptied);
    Ok(())
}

fn pop(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Done {
    if argv.len() > 3 {
        return Err(CommandError::wrong_arity(end.pop_event()));
    }
    let key = argv.at(1);
    let Some(count) = argv.get(2) else { return pop_one(ctx, key, end) };
    let count = parse_i64(count).and_then(|count| usize::try_from(count).ok()).ok_or(error::MUST_BE_POSITIVE)?;
    let limits = ctx.keys.limits.clone();
    let Some(list) = ctx.keys.list_mut(key)? else {
        ctx.reply.null_array();
        return Ok(());
    };
    let count = count.min(list.len());
    ctx.reply.array(count);
    if count == 0 {
        return Ok(());
    }
    pop_into(list, end, count, ctx.reply);
    shrink(list, &limits);
    let emptied = list.is_empty();
    popped(ctx, key, end, count, emptied);
    Ok(())
}

fn lpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    pop(ctx, argv, End::Head)
}

fn rpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    pop(ctx, argv, End::Tail)
}

/// The keys, the end and the count of LMPOP, whose arguments begin with the number of keys: the index after the last
/// key, the end, the count.
fn parse_lmpop(argv: Argv<'_>) -> Result<(usize, End, usize), CommandError> {
    let keys = parse_i64(argv.at(0)).filter(|&count| count > 0);
    let keys = keys.ok_or_else(|| CommandError::new("ERR numkeys should be greater than 0"))?;
    let end_at = usize::try_from(keys).unwrap_or(usize::MAX).saturating_add(1);
    let end = End::parse(argv.get(end_at).ok_or(error::SYNTAX)?)?;
    let options = argv.from(end_at + 1);
    if options.is_empty() {
        return Ok((end_at, end, 1));
    }
    if options.len() < 2 || !is_option(options.at(0), "COUNT") {
        return Err(error::SYNTAX);
    }
    let count = parse_i64(options.at(1)).and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let count = count.ok_or_else(|| CommandError::new("ERR count should be greater than 0"))?;
    if options.len() > 2 {
        return Err(error::SYNTAX);
    }
    Ok((end_at, end, count))
}

/// Takes elements from the first of the keys at these places that has any and answers; `false` if none has.
fn pop_first(
    ctx: &mut Ctx<'_>,
    argv: Argv<'_>,
    keys: Range<usize>,
    count: usize,
    end: End,
) -> Result<bool, CommandError> {
    let limits = ctx.keys.limits.clone();
    for index in keys {
        let key = argv.at(index);
        let Some(list) = ctx.keys.list_mut(key)? else { continue };
        let count = count.min(list.len());
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        ctx.reply.array(count);
        pop_into(list, end, count, ctx.reply);
        shrink(list, &limits);
        let emptied = list.is_empty();
        popped(ctx, key, end, count, emptied);
        ctx.effects.propagate_as(&[end.pop_command(), key, itoa::Buffer::new().format(count).as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}

fn lmpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let argv = argv.from(1);
    let (keys_end, end, count) = parse_lmpop(argv)?;
    if !pop_first(ctx, argv, 1..keys_end, count, end)? {
        ctx.reply.null_array();
    }
    Ok(())
}

// ---- moves

fn move_element(ctx: &mut Ctx<'_>, from: &[u8], to: &[u8], take: End, put: End) -> Done {
    let limits = ctx.keys.limits.clone();
    if ctx.keys.list_mut(from)?.is_none() {
        ctx.reply.null();
        return Ok(());
    }
    ctx.keys.list_mut(to)?;
    let source = ctx.keys.list_mut(from)?;
    let taken = source.and_then(|list| match take {
        End::Head => list.pop_front(),
        End::Tail => list.pop_back(),
    });
    let Some(value) = taken else { return Ok(()) };
    let (target, _) = ctx.keys.list_or_new(to)?;
    put.push(target, &value, &limits);
    ctx.keys.signal_modified(to);
    ctx.event(class::LIST, put.push_event(), to);
    let emptied = ctx.keys.list_mut(from)?.is_some_and(|list| {
        shrink(list, &limits);
        list.is_empty()
    });
    popped(ctx, from, take, 1, emptied);
    ctx.reply.bulk(&value);
    Ok(())
}

fn lmove(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (take, put) = (End::parse(argv.at(3))?, End::parse(argv.at(4))?);
    move_element(ctx, argv.at(1), argv.at(2), take, put)
}

fn rpoplpush(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    move_element(ctx, argv.at(1), argv.at(2), End::Tail, End::Head)
}

// ---- the middle

/// The place that an index means, counted from the end where it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// The part of a list from `start` through `end`, as LRANGE and LTRIM mean them; empty where they cross.
fn part(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index + len } else { index };
    let (start, end) = (from_end(start).max(0), from_end(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

fn llen(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let len = ctx.keys.list(argv.at(1))?.map_or(0, List::len);
    ctx.reply.len(len);
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let Some(list) = ctx.keys.list(argv.at(1))? else {
        ctx.reply.null();
        return Ok(());
    };
    match place(integer(argv.at(2))?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply_element(ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (start, end) = (integer(argv.at(2))?, integer(argv.at(3))?);
    let Some(list) = ctx.keys.list(argv.at(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let part = part(start, end, list.len());
    ctx.reply.array(part.len());
    list.iter_between(part.start, part.end).for_each(|element| reply_element(ctx.reply, element));
    Ok(())
}

fn lset(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let limits = ctx.keys.limits.clone();
    let list = ctx.keys.list_mut(key)?.ok_or(error::NO_SUCH_KEY)?;
    let index = place(integer(argv.at(2))?, list.len()).ok_or(error::OUT_OF_RANGE)?;
    list.set(index, argv.at(3), &limits);
    shrink(list, &limits);
    ctx.changed(class::LIST, "lset", key);
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let after = is_option(argv.at(2), "AFTER");
    if !after && !is_option(argv.at(2), "BEFORE") {
        return Err(error::SYNTAX);
    }
    let key = argv.at(1);
    let limits = ctx.keys.limits.clone();
    let Some(list) = ctx.keys.list_mut(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let pivot = Needle::new(argv.at(3));
    let Some(index) = list.iter().position(|element| pivot.is(element)) else {
        ctx.reply.int(-1);
        return Ok(());
    };
    list.insert(index + usize::from(after), argv.at(4), &limits);
    let len = list.len();
    ctx.changed(class::LIST, "linsert", key);
    ctx.reply.len(len);
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let count = integer(argv.at(2))?;
    let limits = ctx.keys.limits.clone();
    let Some(list) = ctx.keys.list_mut(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let removed = list.remove_matching(argv.at(3), most, count < 0);
    if removed > 0 {
        shrink(list, &limits);
        let emptied = list.is_empty();
        ctx.changed_times(removed, class::LIST, "lrem", key);
        if emptied {
            ctx.delete_if_empty(key);
        }
    }
    ctx.reply.len(removed);
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let (start, end) = (integer(argv.at(2))?, integer(argv.at(3))?);
    let limits = ctx.keys.limits.clone();
    let Some(list) = ctx.keys.list_mut(key)? else {
        ctx.reply.ok();
        return Ok(());
    };
    let len = list.len();
    let kept = part(start, end, len);
    list.remove_range(kept.end, len - kept.end);
    list.remove_range(0, kept.start);
    shrink(list, &limits);
    // Counted as no change where nothing went, but told as one.
    ctx.changed_times(len - kept.len(), class::LIST, "ltrim", key);
    if kept.is_empty() {
        ctx.delete_if_empty(key);
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests;
