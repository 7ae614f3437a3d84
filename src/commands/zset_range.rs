//! Ranges of sorted sets: by rank, by score, by name. Returned, counted, stored or removed.
//!
//! Ancestor: the `zrangeGenericCommand` family of `t_zset.c`, where each range is walked node by node. Here each kind
//! of range becomes a range of ranks first; what then happens to it is the same for all.

use super::Ctx;
use super::ctx::{integer, is_option, reply_element};
use super::error::{self, CommandError, c_string};
use super::zset::{note_removed, reply_pair};
use super::zset_store::{Source, store};
use crate::base::numbers::parse_f64_in_reach;
use crate::resp::request::Argv;
use crate::types::ZSet;
use std::ops::Range;

/// What the two ends of a range are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rank,
    Score,
    Lex,
}

/// One end of a range of scores.
#[derive(Clone, Copy)]
struct ScoreEnd {
    score: f64,
    exclusive: bool,
}

/// One end of a range of names.
#[derive(Clone, Copy)]
enum LexEnd<'a> {
    Lowest,
    Highest,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
}

/// The two ends of a range, lower one first.
#[derive(Clone, Copy)]
enum Span<'a> {
    Rank(i64, i64),
    Score(ScoreEnd, ScoreEnd),
    Lex(LexEnd<'a>, LexEnd<'a>),
}

const BAD_SCORE: &str = "ERR min or max is not a float";
const BAD_LEX: &str = "ERR min or max not valid string range item";

impl ScoreEnd {
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        let (exclusive, text) = match arg {
            [b'(', text @ ..] => (true, text),
            text => (false, text),
        };
        let score = range_score(text).ok_or_else(|| CommandError::new(BAD_SCORE))?;
        Ok(ScoreEnd { score, exclusive })
    }
}

/// The score that text spells as the end of a range. Looser than elsewhere, as the ancestor's plain `strtod` is: nothing
/// is 0, space before the number is skipped, what is too big is infinite, and a zero byte ends the text.
fn range_score(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let spaces = text.iter().take_while(|&&byte| matches!(byte, b' ' | 9..=13)).count();
    parse_f64_in_reach(&text[spaces..])
}

impl<'a> LexEnd<'a> {
    fn parse(arg: &'a [u8]) -> Result<Self, CommandError> {
        match arg {
            [b'-'] | [b'-', 0, ..] => Ok(LexEnd::Lowest),
            [b'+'] | [b'+', 0, ..] => Ok(LexEnd::Highest),
            [b'[', name @ ..] => Ok(LexEnd::Inclusive(name)),
            [b'(', name @ ..] => Ok(LexEnd::Exclusive(name)),
            _ => Err(CommandError::new(BAD_LEX)),
        }
    }

    /// The rank of the first member that is not below this end; as an upper end: not within it.
    fn rank(self, zset: &ZSet, upper: bool) -> usize {
        match self {
            LexEnd::Lowest => 0,
            LexEnd::Highest => zset.len(),
            LexEnd::Inclusive(name) if upper => zset.first_lex_above(name),
            LexEnd::Inclusive(name) => zset.first_lex_at_least(name),
            LexEnd::Exclusive(name) if upper => zset.first_lex_at_least(name),
            LexEnd::Exclusive(name) => zset.first_lex_above(name),
        }
    }
}

impl<'a> Span<'a> {
    fn parse(kind: Kind, low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        Ok(match kind {
            Kind::Rank => Span::Rank(integer(low)?, integer(high)?),
            Kind::Score => Span::Score(ScoreEnd::parse(low)?, ScoreEnd::parse(high)?),
            Kind::Lex => Span::Lex(LexEnd::parse(low)?, LexEnd::parse(high)?),
        })
    }

    /// The ranks in this range. Never backwards, never past the end.
    fn ranks(&self, zset: &ZSet) -> Range<usize> {
        let (start, end) = match *self {
            Span::Rank(start, end) => {
                let len = zset.len() as i64;
                let from_front = |at: i64| if at < 0 { at + len } else { at };
                (from_front(start).clamp(0, len) as usize, from_front(end).clamp(-1, len - 1).wrapping_add(1) as usize)
            }
            Span::Score(low, high) => {
                let rank = |end: ScoreEnd, above: bool| match above {
                    true => zset.first_above(end.score),
                    false => zset.first_at_least(end.score),
                };
                (rank(low, low.exclusive), rank(high, !high.exclusive))
            }
            Span::Lex(low, high) => (low.rank(zset, false), high.rank(zset, true)),
        };
        start..end.max(start)
    }
}

/// All that a command of the ZRANGE family asks for.
struct Query<'a> {
    span: Span<'a>,
    reverse: bool,
    offset: i64,
    /// Members at most; negative: all.
    limit: i64,
    with_scores: bool,
}

/// What of a query a command's name says already.
#[derive(Clone, Copy)]
struct Given {
    kind: Option<Kind>,
    reverse: Option<bool>,
    /// The result is stored; scores are not asked for.
    stores: bool,
}

impl<'a> Query<'a> {
    /// Reads the two ends at `at` and the options after them.
    fn parse(argv: Argv<'a>, at: usize, given: Given) -> Result<Self, CommandError> {
        let mut kind = given.kind;
        let mut reverse = given.reverse;
        let (mut offset, mut limit, mut with_scores) = (0, None, false);
        let mut next = at + 2;
        while let Some(word) = argv.get(next) {
            if !given.stores && is_option(word, "WITHSCORES") {
                with_scores = true;
            } else if is_option(word, "LIMIT") && next + 2 < argv.len() {
                offset = integer(argv.at(next + 1))?;
                limit = Some(integer(argv.at(next + 2))?);
                next += 2;
            } else if given.reverse.is_none() && reverse.is_none() && is_option(word, "REV") {
                reverse = Some(true);
            } else if kind.is_none() && is_option(word, "BYLEX") {
                kind = Some(Kind::Lex);
            } else if kind.is_none() && is_option(word, "BYSCORE") {
                kind = Some(Kind::Score);
            } else {
                return Err(error::SYNTAX);
            }
            next += 1;
        }
        let (kind, reverse) = (kind.unwrap_or(Kind::Rank), reverse.unwrap_or(false));
        if limit.is_some_and(|limit| limit != -1) && kind == Kind::Rank {
            return Err(CommandError::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && kind == Kind::Lex {
            return Err(CommandError::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Backwards, scores and names are given from the high end; ranks are not.
        let swapped = reverse && kind != Kind::Rank;
        let (low, high) = if swapped { (at + 1, at) } else { (at, at + 1) };
        let span = Span::parse(kind, argv.at(low), argv.at(high))?;
        if kind == Kind::Rank {
            offset = 0;
        }
        Ok(Query { span, reverse, offset, limit: limit.unwrap_or(-1), with_scores })
    }

    /// The ranks asked for, counted from the front whatever the direction.
    fn ranks(&self, zset: &ZSet) -> Range<usize> {
        let mut ranks = self.span.ranks(zset);
        if self.reverse && matches!(self.span, Span::Rank(..)) {
            ranks = zset.len() - ranks.end.min(zset.len())..zset.len() - ranks.start;
        }
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let left = ranks.len().saturating_sub(offset);
        let count = usize::try_from(self.limit).map_or(left, |limit| left.min(limit));
        if count == 0 {
            return 0..0;
        }
        match self.reverse {
            true => ranks.end - offset - count..ranks.end - offset,
            false => ranks.start + offset..ranks.start + offset + count,
        }
    }
}

/// Answers a command of the ZRANGE family: the key at argument 1, the ends after it.
fn range(ctx: &mut Ctx<'_>, argv: Argv<'_>, kind: Option<Kind>, reverse: Option<bool>) -> Result<(), CommandError> {
    let query = Query::parse(argv, 2, Given { kind, reverse, stores: false })?;
    let Some(zset) = ctx.keys.zset(argv.at(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(zset);
    let members = zset.range(ranks.start, ranks.len(), query.reverse);
    if !query.with_scores {
        ctx.reply.array(ranks.len());
        members.for_each(|(member, _)| reply_element(ctx.reply, member));
        return Ok(());
    }
    let nested = ctx.reply.resp3;
    ctx.reply.array(if nested { ranks.len() } else { ranks.len() * 2 });
    members.for_each(|(member, score)| reply_pair(ctx.reply, member, score, nested));
    Ok(())
}

/// ZRANGE key start stop \[BYSCORE|BYLEX\] \[REV\] \[LIMIT offset count\] \[WITHSCORES\]
pub fn zrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, None, None)
}

/// ZREVRANGE key start stop \[WITHSCORES\]
pub fn zrevrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, Some(Kind::Rank), Some(true))
}

/// ZRANGEBYSCORE key min max \[WITHSCORES\] \[LIMIT offset count\]
pub fn zrangebyscore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, Some(Kind::Score), Some(false))
}

/// ZREVRANGEBYSCORE key max min \[WITHSCORES\] \[LIMIT offset count\]
pub fn zrevrangebyscore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, Some(Kind::Score), Some(true))
}

/// ZRANGEBYLEX key min max \[LIMIT offset count\]
pub fn zrangebylex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, Some(Kind::Lex), Some(false))
}

/// ZREVRANGEBYLEX key max min \[LIMIT offset count\]
pub fn zrevrangebylex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    range(ctx, argv, Some(Kind::Lex), Some(true))
}

/// ZRANGESTORE destination source start stop \[BYSCORE|BYLEX\] \[REV\] \[LIMIT offset count\]
pub fn zrangestore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let query = Query::parse(argv, 3, Given { kind: None, reverse: None, stores: true })?;
    let source = argv.at(2);
    let mut result = ZSet::new();
    if ctx.keys.zset(source)?.is_some()
        && let Source::ZSet(zset) = Source::of(ctx.keys, source)
    {
        let ranks = query.ranks(zset);
        // In the order asked for: it shows in which zeros lose their sign before the result outgrows a listpack.
        for (member, score) in zset.range(ranks.start, ranks.len(), query.reverse) {
            result.insert(member.as_bytes(&mut [0; 20]), score, &ctx.keys.limits);
        }
    }
    store(ctx, argv.at(1), result, "zrangestore");
    Ok(())
}

fn count(ctx: &mut Ctx<'_>, argv: Argv<'_>, kind: Kind) -> Result<(), CommandError> {
    let span = Span::parse(kind, argv.at(2), argv.at(3))?;
    let found = ctx.keys.zset(argv.at(1))?.map_or(0, |zset| span.ranks(zset).len());
    ctx.reply.len(found);
    Ok(())
}

/// ZCOUNT key min max
pub fn zcount(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    count(ctx, argv, Kind::Score)
}

/// ZLEXCOUNT key min max
pub fn zlexcount(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    count(ctx, argv, Kind::Lex)
}

fn remove(ctx: &mut Ctx<'_>, argv: Argv<'_>, kind: Kind, event: &'static str) -> Result<(), CommandError> {
    let span = Span::parse(kind, argv.at(2), argv.at(3))?;
    let key = argv.at(1);
    let mut removed = 0;
    if let Some(zset) = ctx.keys.zset_mut(key)? {
        let ranks = span.ranks(zset);
        removed = zset.remove_range_by_rank(ranks.start, ranks.len());
    }
    note_removed(ctx, key, removed, event);
    ctx.reply.len(removed);
    Ok(())
}

/// ZREMRANGEBYRANK key start stop
pub fn zremrangebyrank(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    remove(ctx, argv, Kind::Rank, "zremrangebyrank")
}

/// ZREMRANGEBYSCORE key min max
pub fn zremrangebyscore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    remove(ctx, argv, Kind::Score, "zremrangebyscore")
}

/// ZREMRANGEBYLEX key min max
pub fn zremrangebylex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    remove(ctx, argv, Kind::Lex, "zremrangebylex")
}
