//! XREAD and XREADGROUP: what came after an ID, from several streams, and waiting for it.
//!
//! Ancestor: `xreadCommand`, as of 7.2: a consumer is made and seen even where there is nothing for it. What a group is
//! given travels as XCLAIM, and how far it has come as XGROUP SETID.

use super::claim::propagate_claim;
use super::group::propagate_group_id;
use super::ids::parse_strict;
use super::{Done, no_group, reply_entry, reply_id};
use crate::base::clock::UnixMs;
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::effects::{Effects, KeyWait, Refusal, class};
use crate::commands::error::{self, CommandError, c_string};
use crate::commands::waits::{deadline_of_ms, keys_of};
use crate::keyspace::WaitKind;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::{ConsumerId, Group, Nack, StreamId, StreamView};

/// The options before the keys.
struct Options<'a> {
    /// 0: any number.
    count: usize,
    /// Whether the client waits, and until when.
    block: Option<Option<UnixMs>>,
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys stand.
    first: usize,
    /// How many they are.
    streams: usize,
}

fn error(text: &str) -> CommandError {
    CommandError::new(format!("ERR {text}"))
}

impl<'a> Options<'a> {
    fn parse(argv: Argv<'a>, grouped: bool, now: UnixMs) -> Result<Options<'a>, CommandError> {
        let mut options = Options { count: 0, block: None, group: None, no_ack: false, first: 0, streams: 0 };
        let mut at = 1;
        while let Some(word) = argv.get(at) {
            match (argv.get(at + 1), argv.get(at + 2)) {
                (Some(value), _) if is_option(word, "BLOCK") => {
                    options.block = Some(deadline_of_ms(value, now)?);
                    at += 1;
                }
                (Some(value), _) if is_option(word, "COUNT") => {
                    options.count = integer(value)?.max(0) as usize;
                    at += 1;
                }
                (Some(_), _) if is_option(word, "STREAMS") => {
                    let left = argv.len() - at - 1;
                    if left % 2 == 1 {
                        let (name, symbol) = if grouped { ("xreadgroup", '>') } else { ("xread", '$') };
                        return Err(error(&format!(
                            "Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
                             specified."
                        )));
                    }
                    (options.first, options.streams) = (at + 1, left / 2);
                    break;
                }
                (Some(group), Some(consumer)) if is_option(word, "GROUP") => {
                    if !grouped {
                        return Err(error(
                            "The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                        ));
                    }
                    options.group = Some((group, consumer));
                    at += 2;
                }
                _ if is_option(word, "NOACK") => {
                    if !grouped {
                        return Err(error(
                            "The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                        ));
                    }
                    options.no_ack = true;
                }
                _ => return Err(error::SYNTAX),
            }
            at += 1;
        }
        if options.first == 0 {
            return Err(error::SYNTAX);
        }
        if grouped && options.group.is_none() {
            return Err(error("Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }
}

/// From where a stream is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// What lies above an ID; for a group, what its consumer has there.
    After(StreamId),
    /// What nobody in the group was given yet.
    New,
}

/// Where the reading of a stream begins, now that it is known whether it and its group are there.
fn parse_from(arg: &[u8], group: bool, stream: Option<&Stream>) -> Result<From, CommandError> {
    match c_string(arg) {
        b"$" if group => Err(error(
            "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result \
             set.",
        )),
        b"$" => Ok(From::After(stream.map_or(StreamId::MIN, Stream::last_id))),
        b">" if group => Ok(From::New),
        b">" => Err(error(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => Ok(match parse_strict(arg, 0)? {
            // The highest ID means to a group what `>` does.
            StreamId::MAX if group => From::New,
            id => From::After(id),
        }),
    }
}

/// Begins the part of the reply that belongs to one stream.
fn begin_stream(reply: &mut Reply, key: &[u8]) {
    if !reply.resp3 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// What a group's consumer reads.
struct Delivery<'a> {
    key: &'a [u8],
    group_name: &'a [u8],
    consumer: ConsumerId,
    count: usize,
    no_ack: bool,
    now: UnixMs,
}

impl Delivery<'_> {
    fn enough(&self, given: usize) -> bool {
        self.count > 0 && given == self.count
    }

    /// Gives the consumer what nobody was given yet.
    fn deliver(&self, view: StreamView<'_>, group: &mut Group, reply: &mut Reply, effects: &mut Effects) {
        let place = reply.defer();
        let (mut given, mut went_on) = (0, false);
        if let Some(start) = group.last_id.next() {
            for entry in view.range(start, StreamId::MAX) {
                view.advance(group, entry.id);
                went_on = true;
                reply_entry(reply, entry);
                given += 1;
                if !self.no_ack {
                    let nack = Nack { delivered_ms: self.now, deliveries: 1, consumer: self.consumer };
                    group.assign(entry.id, nack);
                    group.consumer_mut(self.consumer).active_ms = Some(self.now);
                    propagate_claim(effects, self.key, self.group_name, group, entry.id);
                }
                if self.enough(given) {
                    break;
                }
            }
        }
        reply.fill_array(place, given);
        if went_on {
            propagate_group_id(effects, self.key, self.group_name, group);
        }
    }

    /// Tells the consumer what it has and has not acknowledged.
    fn tell_history(&self, view: StreamView<'_>, group: &mut Group, after: StreamId, reply: &mut Reply) {
        let place = reply.defer();
        let mut told = Vec::new();
        if let Some(start) = after.next() {
            let pending = group.pending_of(self.consumer, start).map(|(id, _)| id);
            told.extend(pending.take(if self.count == 0 { usize::MAX } else { self.count }));
        }
        for &id in &told {
            match view.get(id) {
                Some(entry) => {
                    reply_entry(reply, entry);
                    group.deliver_again(id, self.now);
                }
                None => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
        }
        reply.fill_array(place, told.len());
    }
}

/// Reads one stream for a consumer; returns whether it was given anything to read.
fn read_for_group(
    ctx: &mut Ctx<'_>,
    argv: Argv<'_>,
    options: &Options<'_>,
    index: usize,
    from: From,
) -> Result<bool, CommandError> {
    let Some((group_name, consumer_name)) = options.group else { return Ok(false) };
    let key = argv.at(options.first + index);
    let now = ctx.now;
    let Some(stream) = ctx.keys.stream_mut(key)? else { return Ok(false) };
    let last_entry_id = stream.last_entry_id();
    let Some((view, group)) = stream.split_group(group_name) else { return Ok(false) };
    let (mut changes, mut made) = (0, false);
    let consumer = match group.consumer_named(consumer_name) {
        Some(consumer) => consumer,
        None => {
            let Some(consumer) = group.add_consumer(consumer_name, now) else { return Ok(false) };
            changes += 1;
            made = true;
            if options.no_ack {
                ctx.effects.propagate_as(&[b"XGROUP", b"CREATECONSUMER", key, group_name, consumer_name]);
            }
            consumer
        }
    };
    group.consumer_mut(consumer).seen_ms = now;
    let delivery = Delivery { key, group_name, consumer, count: options.count, no_ack: options.no_ack, now };
    let serves = match from {
        From::After(_) => true,
        From::New => last_entry_id.is_some_and(|last| last > group.last_id),
    };
    if serves {
        changes += 1;
        begin_stream(ctx.reply, key);
        match from {
            From::After(id) => delivery.tell_history(view, group, id, ctx.reply),
            From::New => delivery.deliver(view, group, ctx.reply, ctx.effects),
        }
    }
    if made {
        ctx.event(class::STREAM, "xgroup-createconsumer", key);
    }
    ctx.keys.dirty += changes;
    Ok(serves)
}

/// Reads one stream; returns whether there was anything.
fn read_stream(ctx: &mut Ctx<'_>, key: &[u8], count: usize, after: StreamId) -> Result<bool, CommandError> {
    let Some(stream) = ctx.keys.stream(key)? else { return Ok(false) };
    let Some(start) = after.next().filter(|_| stream.last_id() > after) else { return Ok(false) };
    let entries = stream.range(start, StreamId::MAX).take(if count == 0 { usize::MAX } else { count });
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(false);
    }
    begin_stream(ctx.reply, key);
    let place = ctx.reply.defer();
    let mut found = 0;
    for entry in entries {
        reply_entry(ctx.reply, entry);
        found += 1;
    }
    ctx.reply.fill_array(place, found);
    Ok(true)
}

fn read(ctx: &mut Ctx<'_>, argv: Argv<'_>, grouped: bool) -> Done {
    let options = Options::parse(argv, grouped, ctx.now)?;
    let mut froms = Vec::with_capacity(options.streams);
    for index in 0..options.streams {
        let key = argv.at(options.first + index);
        let stream = ctx.keys.stream(key)?;
        if let Some((group, _)) = options.group
            && stream.and_then(|stream| stream.group(group)).is_none()
        {
            return Err(no_group(key, group, " in XREADGROUP with GROUP option"));
        }
        froms.push(parse_from(argv.at(options.first + options.streams + index), grouped, stream)?);
    }
    if grouped {
        ctx.effects.propagate_nothing();
    }
    let place = ctx.reply.defer();
    let mut read = 0;
    for (index, &from) in froms.iter().enumerate() {
        let found = match from {
            From::After(id) if !grouped => read_stream(ctx, argv.at(options.first + index), options.count, id)?,
            _ => read_for_group(ctx, argv, &options, index, from)?,
        };
        read += usize::from(found);
    }
    if read > 0 {
        match ctx.reply.resp3 {
            true => ctx.reply.fill_map(place, read),
            false => ctx.reply.fill_array(place, read),
        }
        return Ok(());
    }
    match options.block {
        Some(deadline_ms) => wait(ctx, argv, &options, &froms, deadline_ms),
        None => ctx.reply.null_array(),
    }
    Ok(())
}

/// Lets the client wait. `$` means what was the last ID when it began to.
fn wait(ctx: &mut Ctx<'_>, argv: Argv<'_>, options: &Options<'_>, froms: &[From], deadline_ms: Option<UnixMs>) {
    let ids = options.first + options.streams;
    let has_last = argv.from(ids).iter().any(|arg| c_string(arg) == b"$");
    let args = has_last.then(|| {
        let mut args: Vec<Vec<u8>> = argv.iter().map(<[u8]>::to_vec).collect();
        for (arg, from) in args[ids..].iter_mut().zip(froms) {
            if let From::After(id) = from {
                *arg = id.text().bytes().to_vec();
            }
        }
        args
    });
    ctx.effects.block_on_keys(KeyWait {
        keys: keys_of(argv, options.first..ids),
        kind: WaitKind::Stream,
        deadline_ms,
        wakes_without_key: options.group.is_some(),
        refusal: Refusal::NullArray,
        args,
    });
}

pub fn xread(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    read(ctx, argv, false)
}

pub fn xreadgroup(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    read(ctx, argv, true)
}
