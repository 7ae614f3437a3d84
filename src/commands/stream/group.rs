//! Groups: XGROUP with its subcommands, and XACK.

use super::Done;
use super::ids::{parse_id, parse_strict};
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::effects::{Effects, class};
use crate::commands::error::{CommandError, c_string};
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::{Group, StreamId};

const HELP: [&str; 17] = [
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Prints this help.",
];

const KEY_REQUIRED: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
                            the MKSTREAM option to create an empty stream automatically.";

/// The complaint about a group that a subcommand needs.
pub fn no_such_group(key: &[u8], group: &[u8]) -> CommandError {
    let parts: [&[u8]; 5] =
        [b"NOGROUP No such consumer group '", c_string(group), b"' for key name '", c_string(key), b"'"];
    CommandError::bytes(parts.concat())
}

/// Lets replicas know how far a group has come.
pub fn propagate_group_id(effects: &mut Effects, key: &[u8], group_name: &[u8], group: &Group) {
    let mut digits = itoa::Buffer::new();
    let read: &[u8] = group.entries_read.map_or(b"-1", |read| digits.format(read).as_bytes());
    let id = group.last_id.text();
    effects.propagate_as(&[b"XGROUP", b"SETID", key, group_name, id.bytes(), b"ENTRIESREAD", read]);
}

/// What follows the ID in XGROUP CREATE and SETID.
#[derive(Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(argv: Argv<'_>, create: bool) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut at = 5;
        while let Some(word) = argv.get(at) {
            match argv.get(at + 1) {
                _ if create && is_option(word, "MKSTREAM") => options.mkstream = true,
                Some(value) if is_option(word, "ENTRIESREAD") => {
                    options.entries_read = match integer(value)? {
                        -1 => None,
                        count => Some(
                            u64::try_from(count)
                                .map_err(|_| CommandError::new("ERR value for ENTRIESREAD must be positive or -1"))?,
                        ),
                    };
                    at += 1;
                }
                _ => return Err(CommandError::bad_subcommand(argv, "XGROUP")),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// The stream of a subcommand that needs one.
fn stream_of<'c>(ctx: &'c mut Ctx<'_>, key: &[u8]) -> Result<&'c mut Stream, CommandError> {
    ctx.keys.stream_mut(key)?.ok_or_else(|| CommandError::new(KEY_REQUIRED))
}

pub fn xgroup_create(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let options = Options::parse(argv, true)?;
    let (key, name) = (argv.at(2), argv.at(3));
    let stream = ctx.keys.stream_mut(key)?;
    if stream.is_none() && !options.mkstream {
        return Err(CommandError::new(KEY_REQUIRED));
    }
    // So many words even an option that comes twice does not make.
    if argv.len() > 8 {
        return Err(CommandError::bad_subcommand(argv, "XGROUP"));
    }
    let fresh = stream.is_none();
    let id = match c_string(argv.at(4)) {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.last_id()),
        _ => parse_strict(argv.at(4), 0)?,
    };
    let (stream, _) = ctx.keys.stream_or_new(key)?;
    if !stream.add_group(name, Group::new(id, options.entries_read)) {
        return Err(CommandError::new("BUSYGROUP Consumer Group name already exists"));
    }
    if fresh {
        ctx.keys.signal_modified(key);
        ctx.keys.signal_ready(key);
    }
    ctx.keys.dirty += 1;
    ctx.event(class::STREAM, "xgroup-create", key);
    ctx.reply.ok();
    Ok(())
}

pub fn xgroup_setid(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let options = Options::parse(argv, false)?;
    let (key, name) = (argv.at(2), argv.at(3));
    let stream = stream_of(ctx, key)?;
    let last_id = stream.last_id();
    let group = stream.group_mut(name).ok_or_else(|| no_such_group(key, name))?;
    if argv.len() > 7 {
        return Err(CommandError::bad_subcommand(argv, "XGROUP"));
    }
    // Here, unlike where a group is made, `-` and `+` are IDs.
    group.last_id = if c_string(argv.at(4)) == b"$" { last_id } else { parse_id(argv.at(4), 0)? };
    group.entries_read = options.entries_read;
    ctx.keys.dirty += 1;
    ctx.event(class::STREAM, "xgroup-setid", key);
    ctx.reply.ok();
    Ok(())
}

pub fn xgroup_destroy(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(2);
    let removed = stream_of(ctx, key)?.remove_group(argv.at(3));
    if removed {
        ctx.keys.dirty += 1;
        ctx.event(class::STREAM, "xgroup-destroy", key);
        // Who waits for the group is to hear of it.
        ctx.keys.signal_ready(key);
    }
    ctx.reply.int(i64::from(removed));
    Ok(())
}

pub fn xgroup_createconsumer(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, name, now) = (argv.at(2), argv.at(3), ctx.now);
    let group = stream_of(ctx, key)?.group_mut(name).ok_or_else(|| no_such_group(key, name))?;
    let created = group.add_consumer(argv.at(4), now).is_some();
    if created {
        ctx.keys.dirty += 1;
        ctx.event(class::STREAM, "xgroup-createconsumer", key);
    }
    ctx.reply.int(i64::from(created));
    Ok(())
}

pub fn xgroup_delconsumer(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, name) = (argv.at(2), argv.at(3));
    let group = stream_of(ctx, key)?.group_mut(name).ok_or_else(|| no_such_group(key, name))?;
    let pending = group.remove_consumer(argv.at(4));
    if pending.is_some() {
        ctx.keys.dirty += 1;
        ctx.event(class::STREAM, "xgroup-delconsumer", key);
    }
    ctx.reply.len(pending.unwrap_or(0));
    Ok(())
}

pub fn xgroup_help(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Done {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.status(line));
    Ok(())
}

pub fn xack(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    // The ancestor looks for the key as a reader does.
    let is_there = ctx.keys.stream(argv.at(1))?.is_some();
    let stream = if is_there { ctx.keys.stream_mut(argv.at(1))? } else { None };
    let Some(group) = stream.and_then(|stream| stream.group_mut(argv.at(2))) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let ids: Vec<StreamId> = argv.from(3).iter().map(|arg| parse_strict(arg, 0)).collect::<Result<_, _>>()?;
    let acknowledged = ids.into_iter().filter(|&id| group.acknowledge(id)).count();
    ctx.keys.dirty += acknowledged as u64;
    ctx.reply.len(acknowledged);
    Ok(())
}
