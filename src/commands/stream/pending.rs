//! XPENDING: what was given to consumers and not acknowledged, in sum or one by one.

use super::ids::parse_range;
use super::{Done, no_group, reply_id};
use crate::base::clock::UnixMs;
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::error::{self, CommandError};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::stream::{Group, Nack, StreamId};

/// Which pending entries are told.
struct Wanted<'a> {
    start: StreamId,
    end: StreamId,
    count: usize,
    min_idle_ms: i64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// What follows the group; nothing where only the sum is wanted.
    fn parse(argv: Argv<'a>) -> Result<Option<Wanted<'a>>, CommandError> {
        match argv.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(error::SYNTAX),
        }
        let (mut at, mut min_idle_ms) = (3, 0);
        if is_option(argv.at(3), "IDLE") {
            min_idle_ms = integer(argv.at(4))?;
            if argv.len() < 8 {
                return Err(error::SYNTAX);
            }
            at = 5;
        }
        let count = integer(argv.at(at + 2))?.max(0) as usize;
        let (start, end) = parse_range(argv.at(at), argv.at(at + 1))?;
        Ok(Some(Wanted { start, end, count, min_idle_ms, consumer: argv.get(at + 3) }))
    }
}

fn reply_sum(reply: &mut Reply, group: &Group) {
    reply.array(4);
    reply.len(group.pending_len());
    let mut all = group.pending_from(StreamId::MIN).map(|(id, _)| id);
    let Some(first) = all.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    let last = all.next_back().unwrap_or(first);
    reply_id(reply, first);
    reply_id(reply, last);
    let busy = || group.consumers().map(|(_, consumer)| consumer).filter(|consumer| consumer.pending_len() > 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_len() as i64);
    }
}

fn reply_each(reply: &mut Reply, group: &Group, wanted: &Wanted<'_>, now: UnixMs) {
    let consumer = match wanted.consumer {
        Some(name) => match group.consumer_named(name) {
            Some(consumer) => Some(consumer),
            None => return reply.array(0),
        },
        None => None,
    };
    let each: Box<dyn Iterator<Item = (StreamId, &Nack)>> = match consumer {
        Some(consumer) => Box::new(group.pending_of(consumer, wanted.start)),
        None => Box::new(group.pending_from(wanted.start)),
    };
    let place = reply.defer();
    let mut told = 0;
    for (id, nack) in each.take_while(|(id, _)| *id <= wanted.end) {
        if told == wanted.count {
            break;
        }
        let idle_ms = now.wrapping_sub(nack.delivered_ms);
        if wanted.min_idle_ms != 0 && idle_ms < wanted.min_idle_ms {
            continue;
        }
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(group.consumer(nack.consumer).name());
        reply.int(idle_ms.max(0));
        reply.int(nack.deliveries as i64);
        told += 1;
    }
    reply.fill_array(place, told);
}

pub fn xpending(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let wanted = Wanted::parse(argv)?;
    let (key, name) = (argv.at(1), argv.at(2));
    let group = ctx.keys.stream(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_group(key, name, ""))?;
    match wanted {
        None => reply_sum(ctx.reply, group),
        Some(wanted) => reply_each(ctx.reply, group, &wanted, ctx.now),
    }
    Ok(())
}
