//! Unions, intersections and differences of sorted sets and sets, returned, counted or stored.
//!
//! Ancestor: `zunionInterDiffGenericCommand` of `t_zset.c`. A set takes part as a sorted set whose scores are all 1.
//! Where infinities meet and a score would be NaN it becomes 0, as there. Inputs are worked on from the smallest to the
//! biggest, which shows in how sums of doubles are rounded.

use super::Ctx;
use super::ctx::{float, integer, is_option};
use super::effects::class;
use super::error::{self, CommandError};
use crate::keyspace::Keyspace;
use crate::resp::request::Argv;
use crate::types::{Element, Set, Value, ValueRef, ZSet};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Returned,
    Counted,
    Stored,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, held: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => zero_if_nan(held + other),
            Aggregate::Min if other < held => other,
            Aggregate::Max if other > held => other,
            _ => held,
        }
    }
}

fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One input.
#[derive(Clone, Copy)]
pub(super) enum Source<'k> {
    Nothing,
    ZSet(&'k ZSet),
    Set(&'k Set),
}

impl<'k> Source<'k> {
    /// What is held at a key of the selected database, whether its time has come or not.
    pub(super) fn of(keys: &'k Keyspace, key: &[u8]) -> Self {
        match keys.current().get(key).map(|entry| entry.value()) {
            Some(ValueRef::ZSet(zset)) => Source::ZSet(zset),
            Some(ValueRef::Set(set)) => Source::Set(set),
            _ => Source::Nothing,
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::ZSet(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Nothing => None,
            Source::ZSet(zset) => zset.score(member),
            Source::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    fn iter(self) -> Box<dyn Iterator<Item = (Element<'k>, f64)> + 'k> {
        match self {
            Source::Nothing => Box::new(std::iter::empty()),
            Source::ZSet(zset) => Box::new(zset.iter()),
            Source::Set(set) => Box::new(set.iter().map(|member| (member, 1.0))),
        }
    }
}

/// A member that outlives the walk that found it.
fn keep(member: Element<'_>) -> Cow<'_, [u8]> {
    match member {
        Element::Bytes(bytes) => Cow::Borrowed(bytes),
        Element::Int(_) => Cow::Owned(member.to_vec()),
    }
}

type Members<'k> = Vec<(Cow<'k, [u8]>, f64)>;

/// What a command asks for.
struct Plan<'a> {
    verb: Verb,
    /// The inputs' keys; `None` for one that is not there.
    keys: Vec<Option<&'a [u8]>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members to count at most.
    limit: usize,
}

impl<'a> Plan<'a> {
    /// Reads the number of keys at `at`, the keys and the options. Inputs of a wrong type are found before options
    /// that make no sense.
    fn parse(keys: &mut Keyspace, argv: Argv<'a>, at: usize, verb: Verb, fate: Fate) -> Result<Self, CommandError> {
        let numkeys = integer(argv.at(at))?;
        if numkeys < 1 {
            let name = String::from_utf8_lossy(argv.at(0)).to_ascii_lowercase();
            return Err(CommandError::new(format!("ERR at least 1 input key is needed for '{name}' command")));
        }
        let Some(numkeys) = usize::try_from(numkeys).ok().filter(|&n| n < argv.len() - at) else {
            return Err(error::SYNTAX);
        };
        let mut plan = Plan {
            verb,
            keys: Vec::with_capacity(numkeys),
            weights: vec![1.0; numkeys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        for key in argv.from(at + 1).iter().take(numkeys) {
            plan.keys.push(match keys.read(key).map(|entry| entry.value()) {
                Some(ValueRef::ZSet(_) | ValueRef::Set(_)) => Some(key),
                None => None,
                Some(_) => return Err(error::WRONG_TYPE),
            });
        }
        plan.parse_options(argv.from(at + 1 + numkeys), fate)?;
        Ok(plan)
    }

    fn parse_options(&mut self, options: Argv<'_>, fate: Fate) -> Result<(), CommandError> {
        let scored = self.verb != Verb::Diff && fate != Fate::Counted;
        let mut at = 0;
        while at < options.len() {
            let (word, after) = (options.at(at), options.len() - at - 1);
            at += 1;
            if scored && after >= self.keys.len() && is_option(word, "WEIGHTS") {
                for weight in &mut self.weights {
                    let parsed = float(options.at(at));
                    *weight = parsed.map_err(|_| CommandError::new("ERR weight value is not a float"))?;
                    at += 1;
                }
            } else if scored && after >= 1 && is_option(word, "AGGREGATE") {
                self.aggregate = match options.at(at) {
                    word if is_option(word, "SUM") => Aggregate::Sum,
                    word if is_option(word, "MIN") => Aggregate::Min,
                    word if is_option(word, "MAX") => Aggregate::Max,
                    _ => return Err(error::SYNTAX),
                };
                at += 1;
            } else if fate == Fate::Returned && is_option(word, "WITHSCORES") {
                self.with_scores = true;
            } else if fate == Fate::Counted && after >= 1 && is_option(word, "LIMIT") {
                let limit = integer(options.at(at)).ok().and_then(|limit| usize::try_from(limit).ok());
                let limit = limit.ok_or_else(|| CommandError::new("ERR LIMIT can't be negative"))?;
                self.limit = if limit == 0 { usize::MAX } else { limit };
                at += 1;
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(())
    }

    /// The inputs with their weights, in the order in which they are worked on.
    fn sources<'k>(&self, keys: &'k Keyspace) -> Vec<(Source<'k>, f64)> {
        let of = |key: &Option<&[u8]>| key.map_or(Source::Nothing, |key| Source::of(keys, key));
        let mut sources: Vec<_> = self.keys.iter().map(of).zip(self.weights.iter().copied()).collect();
        if self.verb != Verb::Diff {
            sources.sort_by_key(|(source, _)| source.len());
        }
        sources
    }

    /// The members of the result in the order of a sorted set.
    fn members<'k>(&self, keys: &'k Keyspace) -> Members<'k> {
        let sources = self.sources(keys);
        let (first, others) = (sources[0], &sources[1..]);
        let mut members = match self.verb {
            Verb::Union if !others.is_empty() => self.union(&sources),
            Verb::Union | Verb::Inter => {
                let found = |(member, score)| Some((keep(member), self.shared_score(member, score * first.1, others)?));
                first.0.iter().filter_map(found).collect()
            }
            Verb::Diff => {
                let alone = |member: &[u8]| others.iter().all(|(source, _)| source.score(member).is_none());
                let members = first.0.iter().map(|(member, score)| (keep(member), score));
                members.filter(|(member, _)| alone(member)).collect()
            }
        };
        members.sort_unstable_by(|(a, a_score), (b, b_score)| {
            a_score.partial_cmp(b_score).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
        });
        members
    }

    /// The score of a member that all of `others` have too.
    fn shared_score(&self, member: Element<'_>, weighted: f64, others: &[(Source<'_>, f64)]) -> Option<f64> {
        let buffer = &mut [0; 20];
        let member = member.as_bytes(buffer);
        let mut joined = zero_if_nan(weighted);
        for (source, weight) in others {
            joined = self.aggregate.join(joined, source.score(member)? * weight);
        }
        Some(joined)
    }

    fn union<'k>(&self, sources: &[(Source<'k>, f64)]) -> Members<'k> {
        let biggest = sources.last().map_or(0, |(source, _)| source.len());
        let mut joined: HashMap<Cow<'k, [u8]>, f64> = HashMap::with_capacity(biggest);
        for (source, weight) in sources {
            for (member, score) in source.iter() {
                let score = zero_if_nan(score * weight);
                let joined = joined.entry(keep(member));
                joined.and_modify(|held| *held = self.aggregate.join(*held, score)).or_insert(score);
            }
        }
        joined.into_iter().collect()
    }

    /// How many members all inputs have, up to the limit.
    fn count(&self, keys: &Keyspace) -> usize {
        let sources = self.sources(keys);
        let shared = |&(member, _): &(Element<'_>, f64)| self.shared_score(member, 0.0, &sources[1..]).is_some();
        sources[0].0.iter().filter(shared).take(self.limit).count()
    }
}

fn returned(ctx: &mut Ctx<'_>, argv: Argv<'_>, verb: Verb) -> Result<(), CommandError> {
    let plan = Plan::parse(ctx.keys, argv, 1, verb, Fate::Returned)?;
    let members = plan.members(ctx.keys);
    let nested = plan.with_scores && ctx.reply.resp3;
    ctx.reply.array(if plan.with_scores && !nested { members.len() * 2 } else { members.len() });
    for (member, score) in &members {
        if nested {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(member);
        if plan.with_scores {
            ctx.reply.double(*score);
        }
    }
    Ok(())
}

fn stored(ctx: &mut Ctx<'_>, argv: Argv<'_>, verb: Verb, event: &'static str) -> Result<(), CommandError> {
    let plan = Plan::parse(ctx.keys, argv, 2, verb, Fate::Stored)?;
    let members = plan.members(ctx.keys);
    let mut result = ZSet::new();
    let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
    result.expect(members.len(), longest, &ctx.keys.limits);
    for (member, score) in &members {
        result.insert(member, *score, &ctx.keys.limits);
    }
    drop(members);
    store(ctx, argv.at(1), result, event);
    Ok(())
}

/// Puts a result in the place of whatever the key held, and answers how many members it has. An empty result removes
/// the key.
pub(super) fn store(ctx: &mut Ctx<'_>, key: &[u8], result: ZSet, event: &'static str) {
    let len = result.len();
    if len > 0 {
        ctx.keys.insert(key, Value::ZSet(result), None);
        ctx.changed(class::ZSET, event, key);
    } else if ctx.keys.delete(key) {
        ctx.changed(class::GENERIC, "del", key);
    }
    ctx.reply.len(len);
}

/// ZUNION numkeys key ... \[WEIGHTS weight ...\] \[AGGREGATE SUM|MIN|MAX\] \[WITHSCORES\]
pub fn zunion(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    returned(ctx, argv, Verb::Union)
}

/// ZINTER numkeys key ... \[WEIGHTS weight ...\] \[AGGREGATE SUM|MIN|MAX\] \[WITHSCORES\]
pub fn zinter(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    returned(ctx, argv, Verb::Inter)
}

/// ZDIFF numkeys key ... \[WITHSCORES\]
pub fn zdiff(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    returned(ctx, argv, Verb::Diff)
}

/// ZINTERCARD numkeys key ... \[LIMIT limit\]
pub fn zintercard(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let plan = Plan::parse(ctx.keys, argv, 1, Verb::Inter, Fate::Counted)?;
    let count = plan.count(ctx.keys);
    ctx.reply.len(count);
    Ok(())
}

/// ZUNIONSTORE destination numkeys key ... \[WEIGHTS weight ...\] \[AGGREGATE SUM|MIN|MAX\]
pub fn zunionstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    stored(ctx, argv, Verb::Union, "zunionstore")
}

/// ZINTERSTORE destination numkeys key ... \[WEIGHTS weight ...\] \[AGGREGATE SUM|MIN|MAX\]
pub fn zinterstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    stored(ctx, argv, Verb::Inter, "zinterstore")
}

/// ZDIFFSTORE destination numkeys key ...
pub fn zdiffstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    stored(ctx, argv, Verb::Diff, "zdiffstore")
}
