//! XCLAIM and XAUTOCLAIM: what one consumer was given becomes another's.
//!
//! Each entry that changes hands travels as an XCLAIM that leaves nothing to the time it arrives at; so does one that is
//! forgotten because the stream has it no more, which the receiver finds out for itself.

use super::group::propagate_group_id;
use super::ids::{parse_start, parse_strict};
use super::{Done, no_group, reply_entry, reply_id};
use crate::base::clock::UnixMs;
use crate::base::numbers::parse_i64;
use crate::commands::ctx::{Ctx, is_option};
use crate::commands::effects::{Effects, class};
use crate::commands::error::{self, CommandError, c_string};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::stream::{ConsumerId, Entry, Group, Nack, StreamId};

/// XAUTOCLAIM looks at so many entries for each that it may claim.
const ATTEMPTS: u64 = 10;
const COUNT_DEFAULT: u64 = 100;
const COUNT_MAX: i64 = i64::MAX / 16;

fn error(text: String) -> CommandError {
    CommandError::new(format!("ERR {text}"))
}

fn number(arg: &[u8], what: &str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or_else(|| error(format!("Invalid {what}")))
}

/// Lets replicas know who has an entry now.
pub fn propagate_claim(effects: &mut Effects, key: &[u8], group_name: &[u8], group: &Group, id: StreamId) {
    let Some(nack) = group.nack(id) else { return };
    let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    effects.propagate_as(&[
        b"XCLAIM",
        key,
        group_name,
        group.consumer(nack.consumer).name(),
        b"0",
        id.text().bytes(),
        b"TIME",
        time.format(nack.delivered_ms).as_bytes(),
        b"RETRYCOUNT",
        count.format(nack.deliveries as i64).as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        group.last_id.text().bytes(),
    ]);
}

/// The options of XCLAIM.
struct Options {
    min_idle_ms: i64,
    ids: Vec<StreamId>,
    delivered_ms: UnixMs,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(argv: Argv<'_>, now: UnixMs) -> Result<Options, CommandError> {
        let min_idle_ms = number(argv.at(4), "min-idle-time argument for XCLAIM")?.max(0);
        // The first word that is no ID is an option.
        let ids: Vec<StreamId> = argv.from(5).iter().map_while(|arg| parse_strict(arg, 0).ok()).collect();
        let mut options = Options {
            min_idle_ms,
            delivered_ms: now,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
            ids,
        };
        let (mut at, mut retry_count, mut delivered_ms) = (5 + options.ids.len(), -1, -1);
        while let Some(word) = argv.get(at) {
            match argv.get(at + 1) {
                _ if is_option(word, "FORCE") => options.force = true,
                _ if is_option(word, "JUSTID") => options.just_id = true,
                Some(value) => {
                    match () {
                        () if is_option(word, "IDLE") => {
                            delivered_ms = now.wrapping_sub(number(value, "IDLE option argument for XCLAIM")?);
                        }
                        () if is_option(word, "TIME") => {
                            delivered_ms = number(value, "TIME option argument for XCLAIM")?;
                        }
                        () if is_option(word, "RETRYCOUNT") => {
                            retry_count = number(value, "RETRYCOUNT option argument for XCLAIM")?;
                        }
                        () if is_option(word, "LASTID") => options.last_id = parse_strict(value, 0)?,
                        () => {
                            return Err(CommandError::quoting("ERR Unrecognized XCLAIM option '", c_string(word), "'"));
                        }
                    }
                    at += 1;
                }
                None => return Err(CommandError::quoting("ERR Unrecognized XCLAIM option '", c_string(word), "'")),
            }
            at += 1;
        }
        options.retry_count = u64::try_from(retry_count).ok();
        // A clock that is ahead of ours, or makes no sense, gives way to ours.
        if (0..=now).contains(&delivered_ms) {
            options.delivered_ms = delivered_ms;
        }
        Ok(options)
    }
}

/// The consumer that claims, made if need be; true if it was.
fn claimer(group: &mut Group, name: &[u8], now: UnixMs) -> Option<(ConsumerId, bool)> {
    let (consumer, made) = match group.consumer_named(name) {
        Some(consumer) => (consumer, false),
        None => (group.add_consumer(name, now)?, true),
    };
    group.consumer_mut(consumer).seen_ms = now;
    Some((consumer, made))
}

fn reply_claimed(reply: &mut Reply, entry: Entry<'_>, just_id: bool) {
    if just_id { reply_id(reply, entry.id) } else { reply_entry(reply, entry) }
}

pub fn xclaim(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, name, now) = (argv.at(1), argv.at(2), ctx.now);
    let split = ctx.keys.stream_mut(key)?.and_then(|stream| stream.split_group(name));
    let (view, group) = split.ok_or_else(|| no_group(key, name, ""))?;
    let options = Options::parse(argv, now)?;
    ctx.effects.propagate_nothing();
    let mut tells_last_id = options.last_id > group.last_id;
    group.last_id = group.last_id.max(options.last_id);
    let Some((consumer, made)) = claimer(group, argv.at(3), now) else { return Ok(()) };
    let place = ctx.reply.defer();
    let (mut changes, mut claimed) = (u64::from(made), 0);
    for &id in &options.ids {
        let held = group.nack(id).copied();
        let Some(entry) = view.get(id) else {
            if held.is_some() {
                propagate_claim(ctx.effects, key, name, group, id);
                tells_last_id = false;
                group.acknowledge(id);
                changes += 1;
            }
            continue;
        };
        let deliveries = match held {
            Some(nack) => {
                if options.min_idle_ms > 0 && now.wrapping_sub(nack.delivered_ms) < options.min_idle_ms {
                    continue;
                }
                nack.deliveries
            }
            // One that nobody has counts as delivered once.
            None if options.force => 1,
            None => continue,
        };
        let once_more = deliveries.wrapping_add(u64::from(!options.just_id));
        let deliveries = options.retry_count.unwrap_or(once_more);
        group.assign(id, Nack { delivered_ms: options.delivered_ms, deliveries, consumer });
        group.consumer_mut(consumer).active_ms = Some(now);
        reply_claimed(ctx.reply, entry, options.just_id);
        claimed += 1;
        propagate_claim(ctx.effects, key, name, group, id);
        tells_last_id = false;
        changes += 1;
    }
    if tells_last_id {
        propagate_group_id(ctx.effects, key, name, group);
        changes += 1;
    }
    ctx.reply.fill_array(place, claimed);
    if made {
        ctx.event(class::STREAM, "xgroup-createconsumer", key);
    }
    ctx.keys.dirty += changes;
    Ok(())
}

/// The minimal idle time, where to begin, how many, and whether only IDs are wanted.
fn parse_autoclaim(argv: Argv<'_>) -> Result<(i64, StreamId, u64, bool), CommandError> {
    let min_idle_ms = number(argv.at(4), "min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = parse_start(argv.at(5))?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    let mut at = 6;
    while let Some(word) = argv.get(at) {
        match argv.get(at + 1) {
            Some(value) if is_option(word, "COUNT") => {
                let wanted = parse_i64(value).filter(|count| (1..=COUNT_MAX).contains(count));
                count = wanted.ok_or_else(|| error("COUNT must be > 0".into()))? as u64;
                at += 1;
            }
            _ if is_option(word, "JUSTID") => just_id = true,
            _ => return Err(error::SYNTAX),
        }
        at += 1;
    }
    Ok((min_idle_ms, start, count, just_id))
}

pub fn xautoclaim(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (min_idle_ms, start, count, just_id) = parse_autoclaim(argv)?;
    let (key, name, now) = (argv.at(1), argv.at(2), ctx.now);
    let split = ctx.keys.stream_mut(key)?.and_then(|stream| stream.split_group(name));
    let (view, group) = split.ok_or_else(|| no_group(key, name, ""))?;
    ctx.effects.propagate_nothing();
    let Some((consumer, made)) = claimer(group, argv.at(3), now) else { return Ok(()) };
    ctx.reply.array(3);
    let mut claimed = Reply::new(ctx.reply.resp3);
    let (mut changes, mut claims, mut deleted) = (u64::from(made), 0, Vec::new());
    let (mut attempts, mut left, mut next) = (count.saturating_mul(ATTEMPTS), count, Some(start));
    while attempts > 0 && left > 0 {
        attempts -= 1;
        let Some((id, nack)) = next.and_then(|from| group.pending_from(from).next()) else { break };
        let nack = *nack;
        next = id.next();
        let Some(entry) = view.get(id) else {
            propagate_claim(ctx.effects, key, name, group, id);
            group.acknowledge(id);
            deleted.push(id);
            changes += 1;
            left -= 1;
            continue;
        };
        if min_idle_ms > 0 && now.wrapping_sub(nack.delivered_ms) < min_idle_ms {
            continue;
        }
        let deliveries = nack.deliveries.wrapping_add(u64::from(!just_id));
        group.assign(id, Nack { delivered_ms: now, deliveries, consumer });
        group.consumer_mut(consumer).active_ms = Some(now);
        reply_claimed(&mut claimed, entry, just_id);
        claims += 1;
        left -= 1;
        propagate_claim(ctx.effects, key, name, group, id);
        changes += 1;
    }
    let next = next.and_then(|from| group.pending_from(from).next()).map_or(StreamId::MIN, |(id, _)| id);
    reply_id(ctx.reply, next);
    ctx.reply.array(claims);
    ctx.reply.out.extend_from_slice(&claimed.out);
    ctx.reply.array(deleted.len());
    deleted.iter().for_each(|&id| reply_id(ctx.reply, id));
    if made {
        ctx.event(class::STREAM, "xgroup-createconsumer", key);
    }
    ctx.keys.dirty += changes;
    Ok(())
}
