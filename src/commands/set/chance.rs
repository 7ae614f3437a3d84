//! Members by chance: SPOP and SRANDMEMBER.
//!
//! Ancestors: `spopCommand`, `spopWithCountCommand`, `srandmemberWithCountCommand` of `t_set.c`. What SPOP took travels
//! as SREM, in commands of at most `BATCH` members, or as DEL.

use super::Done;
use crate::base::numbers::parse_i64;
use crate::base::rng::Rng;
use crate::commands::ctx::{Ctx, reply_element};
use crate::commands::effects::class;
use crate::commands::error;
use crate::commands::hash::signed_count;
use crate::commands::sample;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::types::{CollectionLimits, Element, Set};
use std::collections::HashSet;

/// Members of one SREM.
const BATCH: usize = 1024;
/// When fewer than a fifth stay behind, picking those is less work.
const KEPT_FACTOR: usize = 5;

pub(super) fn spop(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    match argv.len() {
        2 => spop_one(ctx, argv.at(1)),
        3 => spop_with_count(ctx, argv.at(1), argv.at(2)),
        _ => Err(error::SYNTAX),
    }
}

fn spop_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Done {
    let mut rng = Rng::new(ctx.keys.rng.next_u64());
    let popped = ctx.keys.set_mut(key)?.and_then(|set| set.pop_random(&mut rng).map(|member| (member, set.is_empty())));
    let Some((member, emptied)) = popped else {
        ctx.reply.null();
        return Ok(());
    };
    ctx.changed(class::SET, "spop", key);
    if emptied {
        ctx.delete_if_empty(key);
    }
    ctx.effects.propagate_as(&[b"SREM", key, &member]);
    ctx.reply.bulk(&member);
    Ok(())
}

fn spop_with_count(ctx: &mut Ctx<'_>, key: &[u8], count: &[u8]) -> Done {
    let count = parse_i64(count).and_then(|count| usize::try_from(count).ok()).ok_or(error::MUST_BE_POSITIVE)?;
    let limits = ctx.keys.limits.clone();
    let mut rng = Rng::new(ctx.keys.rng.next_u64());
    let Some(set) = ctx.keys.set_mut(key)?.filter(|_| count > 0) else {
        ctx.reply.set(0);
        return Ok(());
    };
    let len = set.len();
    if count >= len {
        ctx.reply.set(len);
        set.iter().for_each(|member| reply_element(ctx.reply, member));
        ctx.keys.delete(key);
        ctx.changed_times(len, class::SET, "spop", key);
        ctx.event(class::GENERIC, "del", key);
        ctx.effects.propagate_as(&[b"DEL", key]);
        return Ok(());
    }
    let popped = take_random(set, count, &limits, &mut rng);
    ctx.reply.set(popped.len());
    popped.iter().for_each(|member| ctx.reply.bulk(member));
    ctx.changed_times(popped.len(), class::SET, "spop", key);
    for batch in popped.chunks(BATCH) {
        let head = [b"SREM".as_slice(), key];
        let command: Vec<&[u8]> = head.into_iter().chain(batch.iter().map(Vec::as_slice)).collect();
        ctx.effects.propagate_as(&command);
    }
    Ok(())
}

/// Takes `count` members out, fewer than there are.
fn take_random(set: &mut Set, count: usize, limits: &CollectionLimits, rng: &mut Rng) -> Vec<Vec<u8>> {
    let kept = set.len() - count;
    if set.encoding() == "hashtable" && kept.saturating_mul(KEPT_FACTOR) > count {
        return (0..count).filter_map(|_| set.pop_random(rng)).collect();
    }
    // Integers stay integers; what is left of anything else begins as a listpack.
    let mut left = if set.as_intset().is_some() { Set::new() } else { Set::for_adding(b"", 0, limits) };
    let mut popped = Vec::with_capacity(count);
    sample::select_each(set.iter(), set.len(), count, rng, |member, picked| match picked {
        true => popped.push(member.to_vec()),
        false => {
            left.add(member.as_bytes(&mut [0; 20]), limits);
        }
    });
    *set = left;
    popped
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let mut rng = Rng::new(ctx.keys.rng.next_u64());
    if argv.len() == 2 {
        match ctx.keys.set(argv.at(1))?.and_then(|set| set.random(&mut rng)) {
            Some(member) => reply_element(ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    if argv.len() > 3 {
        return Err(error::SYNTAX);
    }
    let count = signed_count(argv.at(2))?;
    let Some(set) = ctx.keys.set(argv.at(1))?.filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        ctx.reply.array(wanted);
        (0..wanted).filter_map(|_| set.random(&mut rng)).for_each(|member| reply_element(ctx.reply, member));
        return Ok(());
    }
    let wanted = wanted.min(set.len());
    ctx.reply.array(wanted);
    random_members(set, wanted, &mut rng, ctx.reply);
    Ok(())
}

/// Writes `count` different members.
fn random_members(set: &Set, count: usize, rng: &mut Rng, reply: &mut Reply) {
    if set.encoding() != "hashtable" || !sample::is_sparse(set.len(), count) {
        return sample::select_each(set.iter(), set.len(), count, rng, |member, picked| {
            if picked {
                reply_element(reply, member);
            }
        });
    }
    let mut drawn: HashSet<&[u8]> = HashSet::with_capacity(count);
    while drawn.len() < count {
        // A table holds no integers.
        let Some(Element::Bytes(member)) = set.random(rng) else { return };
        if drawn.insert(member) {
            reply.bulk(member);
        }
    }
}
