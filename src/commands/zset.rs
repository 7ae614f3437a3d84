//! Sorted sets: members and their scores one by one, taking from the ends, chance and ZSCAN.
//!
//! Ancestor: `t_zset.c`. Ranges stand in `zset_range`, unions and their kin in `zset_store`, the
//! commands that wait for members in `zset_blocking`.

use super::Ctx;
use super::ctx::{float, integer, is_option, reply_element};
use super::effects::class;
use super::error::{self, CommandError};
use super::scan::{ScanOptions, parse_cursor, reply_scan, reply_scan_nothing};
use crate::base::numbers::{format_f64, format_g17};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::{CollectionLimits, Element, ZSet};
use std::collections::HashSet;
use std::ops::Range;

pub use super::zset_rows::ROWS;

/// The words before the first score of ZADD.
#[derive(Clone, Copy, Default)]
struct AddOptions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    ch: bool,
    incr: bool,
}

/// What came of one member.
enum Added {
    New(f64),
    Changed(f64),
    Same(f64),
    /// An option forbade it.
    Refused,
}

impl AddOptions {
    /// Takes a word if it is an option.
    fn take(&mut self, word: &[u8]) -> bool {
        let option = match word.len() {
            2 if is_option(word, "NX") => &mut self.nx,
            2 if is_option(word, "XX") => &mut self.xx,
            2 if is_option(word, "GT") => &mut self.gt,
            2 if is_option(word, "LT") => &mut self.lt,
            2 if is_option(word, "CH") => &mut self.ch,
            4 if is_option(word, "INCR") => &mut self.incr,
            _ => return false,
        };
        *option = true;
        true
    }

    /// `words` are the arguments after the options: scores and members.
    fn check(&self, words: usize) -> Result<(), CommandError> {
        if words == 0 || !words.is_multiple_of(2) {
            return Err(error::SYNTAX);
        }
        if self.nx && self.xx {
            return Err(CommandError::new("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.gt && self.lt) || (self.nx && (self.gt || self.lt)) {
            return Err(CommandError::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.incr && words > 2 {
            return Err(CommandError::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Adds one member, or changes its score, as far as the options allow.
    fn add(
        &self,
        zset: &mut ZSet,
        limits: &CollectionLimits,
        member: &[u8],
        score: f64,
    ) -> Result<Added, CommandError> {
        let conditional = self.nx || self.xx || self.gt || self.lt || self.incr;
        let old = if conditional { zset.score(member) } else { zset.insert(member, score, limits) };
        let Some(old) = old else {
            if self.xx {
                return Ok(Added::Refused);
            }
            if conditional {
                zset.insert(member, score, limits);
            }
            return Ok(Added::New(score));
        };
        let score = if self.incr { old + score } else { score };
        if self.nx {
            return Ok(Added::Refused);
        }
        if score.is_nan() {
            return Err(CommandError::new("ERR resulting score is not a number (NaN)"));
        }
        if (self.gt && score <= old) || (self.lt && score >= old) {
            return Ok(Added::Refused);
        }
        if score == old {
            return Ok(Added::Same(score));
        }
        if conditional {
            zset.insert(member, score, limits);
        }
        Ok(Added::Changed(score))
    }
}

/// ZADD key \[NX|XX\] \[GT|LT\] \[CH\] \[INCR\] score member ...
pub fn zadd(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    add_members(ctx, argv, AddOptions::default())
}

/// ZINCRBY key increment member
pub fn zincrby(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    add_members(ctx, argv, AddOptions { incr: true, ..AddOptions::default() })
}

/// Adds the scores and members that stand after the options. An option is one in ZINCRBY, too, where it leaves no
/// increment.
fn add_members(ctx: &mut Ctx<'_>, argv: Argv<'_>, mut options: AddOptions) -> Result<(), CommandError> {
    let mut first = 2;
    while first < argv.len() && options.take(argv.at(first)) {
        first += 1;
    }
    options.check(argv.len() - first)?;
    let key = argv.at(1);
    // All scores are read before anything changes. The first needs no memory of its own.
    let score = float(argv.at(first))?;
    let more: Vec<f64> = (first + 2..argv.len()).step_by(2).map(|at| float(argv.at(at))).collect::<Result<_, _>>()?;
    if options.xx && ctx.keys.zset_mut(key)?.is_none() {
        if options.incr {
            ctx.reply.null();
        } else {
            ctx.reply.int(0);
        }
        return Ok(());
    }
    let (zset, limits) = ctx.keys.zset_or_new(key)?;
    // How long the first member is decides only where it is the first of all: options may keep it out.
    let longest = if zset.is_empty() { argv.at(first + 1).len() } else { 0 };
    zset.expect(more.len() + 1, longest, limits);
    let (mut added, mut updated, mut last) = (0, 0, None);
    for (at, score) in std::iter::once(score).chain(more).enumerate() {
        let outcome = options.add(zset, limits, argv.at(first + at * 2 + 1), score)?;
        (added, updated, last) = match outcome {
            Added::New(score) => (added + 1, updated, Some(score)),
            Added::Changed(score) => (added, updated + 1, Some(score)),
            Added::Same(score) => (added, updated, Some(score)),
            Added::Refused => (added, updated, None),
        };
    }
    if added + updated > 0 {
        let event = if options.incr { "zincr" } else { "zadd" };
        ctx.changed_times(added + updated, class::ZSET, event, key);
    }
    match last {
        Some(score) if options.incr => ctx.reply.double(score),
        None if options.incr => ctx.reply.null(),
        _ => ctx.reply.len(if options.ch { added + updated } else { added }),
    }
    Ok(())
}

/// ZREM key member ...
pub fn zrem(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let key = argv.at(1);
    let mut removed = 0;
    if let Some(zset) = ctx.keys.zset_mut(key)? {
        removed = argv.from(2).iter().filter(|member| zset.remove(member).is_some()).count();
    }
    note_removed(ctx, key, removed, "zrem");
    ctx.reply.len(removed);
    Ok(())
}

/// Counts removed members and raises what follows from their removal.
pub(super) fn note_removed(ctx: &mut Ctx<'_>, key: &[u8], removed: usize, event: &'static str) {
    if removed > 0 {
        ctx.changed_times(removed, class::ZSET, event, key);
        ctx.delete_if_empty(key);
    }
}

/// ZCARD key
pub fn zcard(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let len = ctx.keys.zset(argv.at(1))?.map_or(0, ZSet::len);
    ctx.reply.len(len);
    Ok(())
}

/// ZSCORE key member
pub fn zscore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let score = ctx.keys.zset(argv.at(1))?.and_then(|zset| zset.score(argv.at(2)));
    reply_score(ctx.reply, score);
    Ok(())
}

/// ZMSCORE key member ...
pub fn zmscore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let zset = ctx.keys.zset(argv.at(1))?;
    ctx.reply.array(argv.len() - 2);
    for member in argv.from(2).iter() {
        reply_score(ctx.reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// ZRANK key member \[WITHSCORE\]
pub fn zrank(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    rank(ctx, argv, "zrank", false)
}

/// ZREVRANK key member \[WITHSCORE\]
pub fn zrevrank(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    rank(ctx, argv, "zrevrank", true)
}

fn rank(ctx: &mut Ctx<'_>, argv: Argv<'_>, name: &str, reverse: bool) -> Result<(), CommandError> {
    if argv.len() > 4 {
        return Err(CommandError::wrong_arity(name));
    }
    let with_score = argv.len() == 4;
    if with_score && !is_option(argv.at(3), "WITHSCORE") {
        return Err(error::SYNTAX);
    }
    let member = argv.at(2);
    let found = ctx.keys.zset(argv.at(1))?.and_then(|zset| {
        let rank = zset.rank(member)?;
        Some((if reverse { zset.len() - 1 - rank } else { rank }, zset))
    });
    match found {
        Some((rank, zset)) if with_score => {
            ctx.reply.array(2);
            ctx.reply.len(rank);
            reply_score(ctx.reply, zset.score(member));
        }
        Some((rank, _)) => ctx.reply.len(rank),
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// The end of a sorted set that members are taken from.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl End {
    pub(super) fn command(self) -> &'static str {
        match self {
            End::Min => "ZPOPMIN",
            End::Max => "ZPOPMAX",
        }
    }

    fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

/// ZPOPMIN key \[count\]
pub fn zpopmin(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    pop(ctx, argv, End::Min)
}

/// ZPOPMAX key \[count\]
pub fn zpopmax(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    pop(ctx, argv, End::Max)
}

fn pop(ctx: &mut Ctx<'_>, argv: Argv<'_>, end: End) -> Result<(), CommandError> {
    if argv.len() > 3 {
        return Err(error::SYNTAX);
    }
    let count = argv.get(2).map(|arg| integer(arg).ok().and_then(|count| usize::try_from(count).ok()));
    let Some(wanted) = count.unwrap_or(Some(1)) else { return Err(error::MUST_BE_POSITIVE) };
    let key = argv.at(1);
    let taken = ctx.keys.zset_mut(key)?.map_or(0, |zset| zset.len().min(wanted));
    if taken == 0 {
        ctx.reply.array(0);
        return Ok(());
    }
    // Pairs are pairs only in RESP3, and there only where a count was asked for.
    let nested = ctx.reply.resp3 && count.is_some();
    ctx.reply.array(if nested { taken } else { taken * 2 });
    take_from_end(ctx, key, end, taken, nested)
}

/// Takes `count` members, which must be there, and writes them.
pub(super) fn take_from_end(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    count: usize,
    nested: bool,
) -> Result<(), CommandError> {
    if let Some(zset) = ctx.keys.zset_mut(key)? {
        let start = match end {
            End::Min => 0,
            End::Max => zset.len() - count,
        };
        for (member, score) in zset.range(start, count, matches!(end, End::Max)) {
            reply_pair(ctx.reply, member, score, nested);
        }
        zset.remove_range_by_rank(start, count);
    }
    note_removed(ctx, key, count, end.event());
    Ok(())
}

/// A member and its score: two replies in a row, or one of two.
pub(super) fn reply_pair(reply: &mut Reply, member: Element<'_>, score: f64, nested: bool) {
    if nested {
        reply.array(2);
    }
    reply_element(reply, member);
    reply.double(score);
}

/// ZMPOP numkeys key ... MIN|MAX \[COUNT count\]
pub fn zmpop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let argv = argv.from(1);
    let (keys_end, end, wanted) = parse_zmpop(argv)?;
    if !pop_first(ctx, argv, 1..keys_end, wanted, end)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// Where the keys of ZMPOP end, which end is asked and for how many members. The arguments begin with the number of keys.
pub(super) fn parse_zmpop(argv: Argv<'_>) -> Result<(usize, End, usize), CommandError> {
    let positive = |arg: &[u8]| integer(arg).ok().filter(|&number| number > 0).map(|number| number as usize);
    let Some(numkeys) = positive(argv.at(0)) else {
        return Err(CommandError::new("ERR numkeys should be greater than 0"));
    };
    let end = match numkeys.checked_add(1).and_then(|at| argv.get(at)) {
        Some(word) if is_option(word, "MIN") => End::Min,
        Some(word) if is_option(word, "MAX") => End::Max,
        _ => return Err(error::SYNTAX),
    };
    let rest = argv.from(numkeys + 2);
    let wanted = match rest.len() {
        0 => 1,
        2.. if is_option(rest.at(0), "COUNT") => {
            positive(rest.at(1)).ok_or(CommandError::new("ERR count should be greater than 0"))?
        }
        _ => return Err(error::SYNTAX),
    };
    if rest.len() > 2 {
        return Err(error::SYNTAX);
    }
    Ok((numkeys + 1, end, wanted))
}

/// Takes members from the first of the keys at these places that has any and answers; `false` if none has.
pub(super) fn pop_first(
    ctx: &mut Ctx<'_>,
    argv: Argv<'_>,
    keys: Range<usize>,
    wanted: usize,
    end: End,
) -> Result<bool, CommandError> {
    for key in keys.map(|index| argv.at(index)) {
        let Some(zset) = ctx.keys.zset_mut(key)? else { continue };
        let taken = zset.len().min(wanted);
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        ctx.reply.array(taken);
        take_from_end(ctx, key, end, taken, true)?;
        ctx.effects.propagate_as(&[end.command().as_bytes(), key, itoa::Buffer::new().format(taken).as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}

/// ZRANDMEMBER key \[count \[WITHSCORES\]\]
pub fn zrandmember(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let Some(count) = argv.get(2) else {
        let mut rng = ctx.keys.rng.clone();
        match ctx.keys.zset(argv.at(1))?.and_then(|zset| zset.random(&mut rng)) {
            Some((member, _)) => reply_element(ctx.reply, member),
            None => ctx.reply.null(),
        }
        ctx.keys.rng = rng;
        return Ok(());
    };
    let count = integer(count)?;
    if count == i64::MIN {
        let most = i64::MAX;
        return Err(CommandError::new(format!("ERR value is out of range, value must between -{most} and {most}")));
    }
    let with_scores = argv.len() == 4 && is_option(argv.at(3), "WITHSCORES");
    if argv.len() > 3 && !with_scores {
        return Err(error::SYNTAX);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::new("ERR value is out of range"));
    }
    // A copy of the generator that takes the original's place afterwards: the set borrows the keys meanwhile.
    let mut rng = ctx.keys.rng.clone();
    if let Some(zset) = ctx.keys.zset(argv.at(1))? {
        let mut draw = |below: usize| rng.index(below);
        reply_drawn(ctx.reply, zset, count, with_scores, &mut draw);
    } else {
        ctx.reply.array(0);
    }
    ctx.keys.rng = rng;
    Ok(())
}

/// Writes members drawn by chance: `count` different ones, or as many as `-count` with repetitions.
fn reply_drawn(reply: &mut Reply, zset: &ZSet, count: i64, with_scores: bool, draw: &mut dyn FnMut(usize) -> usize) {
    let len = zset.len();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let replies = if count < 0 { wanted } else { wanted.min(len) };
    let nested = with_scores && reply.resp3;
    reply.array(if with_scores && !nested { replies * 2 } else { replies });
    let mut write = |(member, score): (Element<'_>, f64)| {
        if with_scores {
            reply_pair(reply, member, score, nested);
        } else {
            reply_element(reply, member);
        }
    };
    if count < 0 {
        for _ in 0..replies {
            zset.at(draw(len)).into_iter().for_each(&mut write);
        }
    } else if replies == len {
        zset.iter().for_each(write);
    } else {
        // Floyd's way to draw without repetition: one number for each member drawn, however big the set is.
        let mut ranks = HashSet::with_capacity(replies);
        for top in len - replies..len {
            let drawn = draw(top + 1);
            let rank = if ranks.insert(drawn) { drawn } else { top };
            ranks.insert(rank);
            zset.at(rank).into_iter().for_each(&mut write);
        }
    }
}

/// ZSCAN key cursor \[MATCH pattern\] \[COUNT count\]
pub fn zscan(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let cursor = parse_cursor(argv.at(2))?;
    let Some(zset) = ctx.keys.zset(argv.at(1))? else {
        reply_scan_nothing(ctx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(argv, 3, false)?;
    // A listpack holds its scores as text already; a big set's are printed by an older rule, with 17 digits.
    let print = if zset.as_listpack().is_some() { format_f64 } else { format_g17 };
    let mut text = Vec::with_capacity(32);
    reply_scan(ctx.reply, options, cursor, |page, cursor| {
        zset.scan(cursor, |member, score| {
            let buffer = &mut [0; 20];
            let member = member.as_bytes(buffer);
            if page.wants(member) {
                page.write(member);
                text.clear();
                print(score, &mut text);
                page.write(&text);
            }
        })
    });
    Ok(())
}

#[cfg(test)]
#[path = "zset_tests.rs"]
mod tests;
