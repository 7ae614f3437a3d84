//! The commands on streams: what adds entries, takes them away and reads them. IDs are read in `ids`, what a stream is
//! trimmed to in `trim`; XREAD and XREADGROUP stand in `read`, groups in `group`, what is pending in `pending` and
//! `claim`, XINFO in `info`.
//!
//! Ancestor: `t_stream.c`.

mod claim;
mod delete;
mod group;
pub mod ids;
mod info;
mod pending;
mod read;
mod rows;
mod trim;

pub use rows::ROWS;

use claim::{xautoclaim, xclaim};
use group::{
    xack, xgroup_create, xgroup_createconsumer, xgroup_delconsumer, xgroup_destroy, xgroup_help, xgroup_setid,
};
use info::{xinfo_consumers, xinfo_groups, xinfo_help, xinfo_stream};
use pending::xpending;
use read::{xread, xreadgroup};

use super::ctx::{Ctx, integer, is_option, reply_element};
use super::effects::class;
use super::error::{self, CommandError, c_string};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::{AppendError, Entry, NewId, StreamId};
use ids::{parse_range, parse_strict};
use trim::TrimArgs;

type Done = Result<(), CommandError>;

fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().bytes());
}

/// Writes an entry: its ID and its fields with their values.
fn reply_entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(entry.len() * 2);
    for (field, value) in entry.fields() {
        reply_element(reply, field);
        reply_element(reply, value);
    }
}

/// The complaint about a group that is not there.
fn no_group(key: &[u8], group: &[u8], where_: &str) -> CommandError {
    let parts: [&[u8]; 6] =
        [b"NOGROUP No such key '", c_string(key), b"' or consumer group '", c_string(group), b"'", where_.as_bytes()];
    CommandError::bytes(parts.concat())
}

/// The fields and values of XADD, in pairs.
#[derive(Clone)]
struct Pairs<'a>(Argv<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let pair = (self.0.get(0)?, self.0.get(1)?);
        self.0 = self.0.from(2);
        Some(pair)
    }
}

fn xadd(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let args = TrimArgs::parse(ctx, argv, true)?;
    let fields = argv.from(args.end.saturating_add(1).min(argv.len()));
    if fields.len() < 2 || fields.len() % 2 == 1 {
        return Err(CommandError::wrong_arity("xadd"));
    }
    if args.id == NewId::Exact(StreamId::MIN) {
        return Err(CommandError::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = argv.at(1);
    if args.no_mkstream && ctx.keys.stream_mut(key)?.is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let now = ctx.now as u64;
    let (stream, limits) = ctx.keys.stream_or_new(key)?;
    if stream.last_id() == StreamId::MAX {
        return Err(CommandError::new("ERR The stream has exhausted the last possible ID, unable to add more items"));
    }
    let id = stream.append(args.id, now, Pairs(fields), limits).map_err(|error| match error {
        AppendError::NotAbove => {
            CommandError::new("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        }
        AppendError::TooLarge => CommandError::new("ERR Elements are too large to be stored"),
    })?;
    let trimmed = args.trim(stream, ctx.caller.from_master);
    let threshold = args.exact(stream);
    reply_id(ctx.reply, id);
    ctx.changed(class::STREAM, "xadd", key);
    ctx.keys.signal_ready(key);
    if trimmed.count > 0 {
        ctx.event(class::STREAM, "xtrim", key);
    }
    if args.refs.is_some() {
        args.propagate_xadd(ctx, argv, id, &trimmed, threshold.as_deref());
    } else if threshold.is_some() || !matches!(args.id, NewId::Exact(_)) {
        let text = id.text();
        let mut words: Vec<&[u8]> = argv.iter().collect();
        words[args.end] = text.bytes();
        args.rewrite(&mut words, threshold.as_deref());
        ctx.effects.propagate_as(&words);
    }
    Ok(())
}

fn xtrim(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let args = TrimArgs::parse(ctx, argv, false)?;
    let key = argv.at(1);
    let Some(stream) = ctx.keys.stream_mut(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let trimmed = args.trim(stream, ctx.caller.from_master);
    let threshold = args.exact(stream);
    if trimmed.count > 0 {
        ctx.changed_times(trimmed.count as usize, class::STREAM, "xtrim", key);
        if args.refs.is_some() {
            args.propagate_xtrim(ctx, argv, &trimmed, threshold.as_deref());
        } else if threshold.is_some() {
            let mut words: Vec<&[u8]> = argv.iter().collect();
            args.rewrite(&mut words, threshold.as_deref());
            ctx.effects.propagate_as(&words);
        }
    }
    ctx.reply.int(trimmed.count as i64);
    Ok(())
}

fn xlen(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let len = ctx.keys.stream(argv.at(1))?.map_or(0, Stream::len);
    ctx.reply.int(len as i64);
    Ok(())
}

fn range(ctx: &mut Ctx<'_>, argv: Argv<'_>, backwards: bool) -> Done {
    let (start, end) = if backwards { (argv.at(3), argv.at(2)) } else { (argv.at(2), argv.at(3)) };
    let (start, end) = parse_range(start, end)?;
    let mut count = None;
    let mut options = argv.from(4);
    while let Some(word) = options.get(0) {
        let value = options.get(1).filter(|_| is_option(word, "COUNT")).ok_or(error::SYNTAX)?;
        count = Some(integer(value)?.max(0) as usize);
        options = options.from(2);
    }
    let Some(stream) = ctx.keys.stream(argv.at(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        ctx.reply.null_array();
        return Ok(());
    }
    let entries = if backwards { stream.range_rev(start, end) } else { stream.range(start, end) };
    let place = ctx.reply.defer();
    let mut found = 0;
    for entry in entries.take(count.unwrap_or(usize::MAX)) {
        reply_entry(ctx.reply, entry);
        found += 1;
    }
    ctx.reply.fill_array(place, found);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    range(ctx, argv, false)
}

fn xrevrange(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    range(ctx, argv, true)
}

fn xdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let Some(stream) = ctx.keys.stream_mut(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let ids: Vec<StreamId> = argv.from(2).iter().map(|arg| parse_strict(arg, 0)).collect::<Result<_, _>>()?;
    let deleted = ids.into_iter().filter(|&id| stream.delete(id)).count();
    if deleted > 0 {
        ctx.changed_times(deleted, class::STREAM, "xdel", key);
    }
    ctx.reply.len(deleted);
    Ok(())
}

fn xsetid(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let id = parse_strict(argv.at(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, StreamId::MIN);
    let mut options = argv.from(3);
    while let Some(word) = options.get(0) {
        match options.get(1) {
            Some(value) if is_option(word, "ENTRIESADDED") => {
                let count = u64::try_from(integer(value)?);
                entries_added = Some(count.map_err(|_| CommandError::new("ERR entries_added must be positive"))?);
            }
            Some(value) if is_option(word, "MAXDELETEDID") => {
                max_deleted_id = parse_strict(value, 0)?;
                if id < max_deleted_id {
                    return Err(CommandError::new(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
            }
            _ => return Err(error::SYNTAX),
        }
        options = options.from(2);
    }
    let key = argv.at(1);
    let stream = ctx.keys.stream_mut(key)?.ok_or(error::NO_SUCH_KEY)?;
    if id < stream.max_deleted_id() {
        return Err(CommandError::new("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"));
    }
    if !stream.is_empty() {
        if stream.last_entry_id().is_some_and(|last| id < last) {
            return Err(CommandError::new("ERR The ID specified in XSETID is smaller than the target stream top item"));
        }
        if entries_added.is_some_and(|count| count < stream.len()) {
            return Err(CommandError::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.set_last_id(id);
    if let Some(count) = entries_added {
        stream.set_entries_added(count);
    }
    if max_deleted_id != StreamId::MIN {
        stream.set_max_deleted_id(max_deleted_id);
    }
    ctx.changed(class::STREAM, "xsetid", key);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests;
