//! XDELEX and XACKDEL, and what becomes of the groups' references to entries that go (facts: Redis 8.2).
//!
//! What they did travels as XDEL and XACK, which servers of any age and family understand.

use super::Done;
use super::ids::parse_strict;
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::StreamId;

/// What is done about groups that have an entry pending which is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refs {
    /// They keep it.
    #[default]
    Keep,
    /// It is taken from them.
    Delete,
    /// The entry stays unless all groups have acknowledged it.
    Acked,
}

impl Refs {
    /// The policy that a word stands for.
    pub fn of_word(word: &[u8]) -> Option<Refs> {
        [("KEEPREF", Refs::Keep), ("DELREF", Refs::Delete), ("ACKED", Refs::Acked)]
            .into_iter()
            .find_map(|(name, refs)| is_option(word, name).then_some(refs))
    }
}

/// Entries that a group no longer has pending.
pub type Acks = Vec<(Vec<u8>, Vec<StreamId>)>;

/// Whether no group has an entry pending or is yet to read it.
pub fn is_acked(stream: &Stream, id: StreamId) -> bool {
    stream.groups().all(|(_, group)| group.last_id >= id && group.nack(id).is_none())
}

/// Takes entries from all groups that have them pending.
pub fn drop_references(stream: &mut Stream, ids: &[StreamId]) -> Acks {
    let names: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    let mut acks = Acks::new();
    for name in names {
        let Some(group) = stream.group_mut(&name) else { continue };
        let taken: Vec<StreamId> = ids.iter().copied().filter(|&id| group.acknowledge(id)).collect();
        if !taken.is_empty() {
            acks.push((name, taken));
        }
    }
    acks
}

/// Lets `verb key [group] ids` travel.
pub fn propagate_ids(ctx: &mut Ctx<'_>, verb: &[u8], key: &[u8], group: Option<&[u8]>, ids: &[StreamId]) {
    let texts: Vec<_> = ids.iter().map(|id| id.text()).collect();
    let mut args = vec![verb, key];
    args.extend(group);
    args.extend(texts.iter().map(|text| text.bytes()));
    ctx.effects.propagate_as(&args);
}

/// Lets the end of references travel.
pub fn propagate_acks(ctx: &mut Ctx<'_>, key: &[u8], acks: &Acks) {
    for (group, ids) in acks {
        propagate_ids(ctx, b"XACK", key, Some(group), ids);
    }
}

/// The options from `at` on: a policy and IDS with a count, in any order.
fn parse(argv: Argv<'_>, mut at: usize) -> Result<(Refs, Vec<StreamId>), CommandError> {
    let (mut refs, mut ids) = (None, None);
    while let Some(word) = argv.get(at) {
        if let (Some(policy), None) = (Refs::of_word(word), refs) {
            refs = Some(policy);
            at += 1;
            continue;
        }
        if !is_option(word, "IDS") || ids.is_some() {
            return Err(error::SYNTAX);
        }
        let count = argv.get(at + 1).and_then(|count| integer(count).ok()).filter(|&count| count > 0);
        let count = count.ok_or_else(|| CommandError::new("ERR Number of IDs must be a positive integer"))?;
        let first = at + 2;
        let end = usize::try_from(count).ok().and_then(|count| first.checked_add(count));
        let end = end
            .filter(|&end| end <= argv.len())
            .ok_or_else(|| CommandError::new("ERR The `numids` parameter must match the number of arguments"))?;
        ids = Some((first, end));
        at = end;
    }
    let (first, end) = ids.ok_or(error::SYNTAX)?;
    let ids = (first..end).map(|at| parse_strict(argv.at(at), 0)).collect::<Result<_, _>>()?;
    Ok((refs.unwrap_or_default(), ids))
}

/// Answers −1 for each ID.
fn reply_absent(ctx: &mut Ctx<'_>, count: usize) -> Done {
    ctx.reply.array(count);
    (0..count).for_each(|_| ctx.reply.int(-1));
    Ok(())
}

/// Deletes one entry if the policy allows; the answer, and whether it is gone.
fn delete_one(stream: &mut Stream, id: StreamId, refs: Refs) -> (i64, bool) {
    if refs == Refs::Acked && !is_acked(stream, id) {
        return (2, false);
    }
    let deleted = stream.delete(id);
    (1, deleted)
}

pub(super) fn xdelex(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let there = ctx.keys.stream_mut(key)?.is_some();
    let (refs, ids) = parse(argv, 2)?;
    if !there {
        return reply_absent(ctx, ids.len());
    }
    let Some(stream) = ctx.keys.stream_mut(key)? else { return Ok(()) };
    let mut deleted = Vec::new();
    ctx.reply.array(ids.len());
    for &id in &ids {
        let is_there = stream.get(id).is_some();
        let (answer, gone) = delete_one(stream, id, refs);
        ctx.reply.int(if is_there || answer != 1 { answer } else { -1 });
        if gone {
            deleted.push(id);
        }
    }
    // References go even where the entry had gone before. Redis lets replicas know only together with other deletions.
    let acks = if refs == Refs::Delete { drop_references(stream, &ids) } else { Acks::new() };
    if !deleted.is_empty() {
        ctx.changed_times(deleted.len(), class::STREAM, "xdel", key);
        propagate_ids(ctx, b"XDEL", key, None, &deleted);
    }
    if !acks.is_empty() {
        ctx.keys.dirty += u64::from(deleted.is_empty());
        propagate_acks(ctx, key, &acks);
    }
    Ok(())
}

pub(super) fn xackdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, name) = (argv.at(1), argv.at(2));
    let there = ctx.keys.stream_mut(key)?.is_some_and(|stream| stream.group(name).is_some());
    let (refs, ids) = parse(argv, 3)?;
    if !there {
        return reply_absent(ctx, ids.len());
    }
    let Some(stream) = ctx.keys.stream_mut(key)? else { return Ok(()) };
    let (mut acknowledged, mut deleted) = (Vec::new(), Vec::new());
    ctx.reply.array(ids.len());
    for id in ids {
        if !stream.group_mut(name).is_some_and(|group| group.acknowledge(id)) {
            ctx.reply.int(-1);
            continue;
        }
        acknowledged.push(id);
        let (answer, gone) = delete_one(stream, id, refs);
        ctx.reply.int(answer);
        if gone {
            deleted.push(id);
        }
    }
    let acks = if refs == Refs::Delete { drop_references(stream, &acknowledged) } else { Acks::new() };
    if acknowledged.is_empty() {
        return Ok(());
    }
    ctx.keys.dirty += acknowledged.len() as u64;
    propagate_ids(ctx, b"XACK", key, Some(name), &acknowledged);
    if !deleted.is_empty() {
        ctx.changed(class::STREAM, "xdel", key);
        propagate_ids(ctx, b"XDEL", key, None, &deleted);
    }
    propagate_acks(ctx, key, &acks);
    Ok(())
}
