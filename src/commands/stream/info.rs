//! XINFO: what a stream, its groups and their consumers are like.

use super::group::no_such_group;
use super::{Done, reply_entry, reply_id};
use crate::base::clock::UnixMs;
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::error::{self, CommandError};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::{Consumer, ConsumerId, Group, Nack, StreamId};

const HELP: [&str; 9] = [
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Prints this help.",
];

/// How many entries, and pending ones of each group and consumer, XINFO STREAM FULL shows.
const COUNT_DEFAULT: usize = 10;

fn field(reply: &mut Reply, name: &str) {
    reply.bulk(name.as_bytes());
}

fn int_field(reply: &mut Reply, name: &str, value: i64) {
    field(reply, name);
    reply.int(value);
}

fn id_field(reply: &mut Reply, name: &str, id: StreamId) {
    field(reply, name);
    reply_id(reply, id);
}

fn maybe_int_field(reply: &mut Reply, name: &str, value: Option<i64>) {
    field(reply, name);
    match value {
        Some(value) => reply.int(value),
        None => reply.null(),
    }
}

/// How long ago a moment was.
fn since(now: UnixMs, then: UnixMs) -> i64 {
    now.wrapping_sub(then).max(0)
}

pub fn xinfo_help(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Done {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.status(line));
    Ok(())
}

pub fn xinfo_consumers(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, name) = (argv.at(2), argv.at(3));
    let stream = ctx.keys.stream(key)?.ok_or(error::NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| no_such_group(key, name))?;
    let (reply, now) = (&mut *ctx.reply, ctx.now);
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        field(reply, "name");
        reply.bulk(consumer.name());
        int_field(reply, "pending", consumer.pending_len() as i64);
        int_field(reply, "idle", since(now, consumer.seen_ms));
        int_field(reply, "inactive", consumer.active_ms.map_or(-1, |active_ms| since(now, active_ms)));
    }
    Ok(())
}

pub fn xinfo_groups(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let stream = ctx.keys.stream(argv.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    let reply = &mut *ctx.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        field(reply, "name");
        reply.bulk(name);
        int_field(reply, "consumers", group.consumers().len() as i64);
        int_field(reply, "pending", group.pending_len() as i64);
        reply_progress(reply, stream, group);
    }
    Ok(())
}

/// How far a group has come.
fn reply_progress(reply: &mut Reply, stream: &Stream, group: &Group) {
    id_field(reply, "last-delivered-id", group.last_id);
    maybe_int_field(reply, "entries-read", group.entries_read.map(|read| read as i64));
    maybe_int_field(reply, "lag", stream.view().lag(group));
}

/// What FULL and COUNT say: nothing, or how many at most (0: all).
fn parse_full(argv: Argv<'_>) -> Result<Option<usize>, CommandError> {
    if argv.len() == 3 {
        return Ok(None);
    }
    let known = is_option(argv.at(3), "FULL");
    match argv.len() {
        4 if known => Ok(Some(COUNT_DEFAULT)),
        6 if known && is_option(argv.at(4), "COUNT") => {
            Ok(Some(usize::try_from(integer(argv.at(5))?).unwrap_or(COUNT_DEFAULT)))
        }
        _ => Err(CommandError::bad_subcommand(argv, "XINFO")),
    }
}

pub fn xinfo_stream(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let stream = ctx.keys.stream(argv.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    let full = parse_full(argv)?;
    let reply = &mut *ctx.reply;
    reply.map(if full.is_some() { 9 } else { 10 });
    int_field(reply, "length", stream.len() as i64);
    int_field(reply, "radix-tree-keys", stream.nodes().len() as i64);
    int_field(reply, "radix-tree-nodes", stream.radix_tree_nodes() as i64);
    id_field(reply, "last-generated-id", stream.last_id());
    id_field(reply, "max-deleted-entry-id", stream.max_deleted_id());
    int_field(reply, "entries-added", stream.entries_added() as i64);
    id_field(reply, "recorded-first-entry-id", stream.first_id().unwrap_or_default());
    match full {
        Some(count) => reply_full(reply, stream, if count == 0 { usize::MAX } else { count }),
        None => {
            int_field(reply, "groups", stream.groups().len() as i64);
            let edges = [
                ("first-entry", stream.range(StreamId::MIN, StreamId::MAX).next()),
                ("last-entry", stream.range_rev(StreamId::MIN, StreamId::MAX).next()),
            ];
            for (name, entry) in edges {
                field(reply, name);
                match entry {
                    Some(entry) => reply_entry(reply, entry),
                    None => reply.null(),
                }
            }
        }
    }
    Ok(())
}

/// The entries and the groups, up to so many of each kind.
fn reply_full(reply: &mut Reply, stream: &Stream, count: usize) {
    field(reply, "entries");
    let shown = usize::try_from(stream.len()).unwrap_or(usize::MAX).min(count);
    reply.array(shown);
    stream.range(StreamId::MIN, StreamId::MAX).take(shown).for_each(|entry| reply_entry(reply, entry));
    field(reply, "groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        field(reply, "name");
        reply.bulk(name);
        reply_progress(reply, stream, group);
        int_field(reply, "pel-count", group.pending_len() as i64);
        field(reply, "pending");
        reply.array(group.pending_len().min(count));
        for (id, nack) in group.pending_from(StreamId::MIN).take(count) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(group.consumer(nack.consumer).name());
            reply_delivery(reply, nack);
        }
        field(reply, "consumers");
        reply.array(group.consumers().len());
        for (number, consumer) in group.consumers() {
            reply_consumer(reply, group, number, consumer, count);
        }
    }
}

fn reply_delivery(reply: &mut Reply, nack: &Nack) {
    reply.int(nack.delivered_ms);
    reply.int(nack.deliveries as i64);
}

fn reply_consumer(reply: &mut Reply, group: &Group, number: ConsumerId, consumer: &Consumer, count: usize) {
    reply.map(5);
    field(reply, "name");
    reply.bulk(consumer.name());
    int_field(reply, "seen-time", consumer.seen_ms);
    int_field(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    int_field(reply, "pel-count", consumer.pending_len() as i64);
    field(reply, "pending");
    reply.array(consumer.pending_len().min(count));
    for (id, nack) in group.pending_of(number, StreamId::MIN).take(count) {
        reply.array(3);
        reply_id(reply, id);
        reply_delivery(reply, nack);
    }
}
