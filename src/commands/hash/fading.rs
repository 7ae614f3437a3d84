//! What the commands on hashes do where fields expire: HSET and HMSET give a field eternity, the others leave its time
//! alone.

use super::{Done, float_sum, integer_sum};
use crate::commands::ctx::Ctx;
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::resp::request::Argv;
use crate::types::FieldTime;

#[cold]
pub(super) fn set_pairs(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<usize, CommandError> {
    let (key, pairs) = (argv.at(1), argv.len() / 2 - 1);
    let (fading, limits) = ctx.keys.fading_mut(key).ok_or(error::WRONG_TYPE)?;
    let mut created = 0;
    for at in (2..argv.len()).step_by(2) {
        created += usize::from(fading.set(argv.at(at), argv.at(at + 1), FieldTime::Set(None), limits));
    }
    ctx.changed_times(pairs, class::HASH, "hset", key);
    Ok(created)
}

#[cold]
pub(super) fn hsetnx(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (key, field) = (argv.at(1), argv.at(2));
    let (fading, limits) = ctx.keys.fading_mut(key).ok_or(error::WRONG_TYPE)?;
    if fading.shown().contains(field) {
        ctx.reply.int(0);
        return Ok(());
    }
    fading.set(field, argv.at(3), FieldTime::Set(None), limits);
    ctx.changed(class::HASH, "hset", key);
    ctx.reply.int(1);
    Ok(())
}

#[cold]
pub(super) fn hdel(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let (fading, _) = ctx.keys.fading_mut(key).ok_or(error::WRONG_TYPE)?;
    let removed = argv.from(2).iter().filter(|field| fading.remove(field)).count();
    if removed > 0 {
        ctx.changed_times(removed, class::HASH, "hdel", key);
        ctx.delete_if_empty(key);
    }
    ctx.reply.len(removed);
    Ok(())
}

#[cold]
pub(super) fn hincrby(ctx: &mut Ctx<'_>, key: &[u8], field: &[u8], increment: i64) -> Done {
    let (fading, limits) = ctx.keys.fading_mut(key).ok_or(error::WRONG_TYPE)?;
    let sum = integer_sum(fading.shown().get(field), increment)?;
    fading.set(field, itoa::Buffer::new().format(sum).as_bytes(), FieldTime::Keep, limits);
    ctx.changed(class::HASH, "hincrby", key);
    ctx.reply.int(sum);
    Ok(())
}

#[cold]
pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>, key: &[u8], field: &[u8], increment: &[u8]) -> Done {
    let (fading, limits) = ctx.keys.fading_mut(key).ok_or(error::WRONG_TYPE)?;
    let sum = match fading.shown().get(field) {
        None => float_sum(b"0", increment)?,
        Some(value) => float_sum(value.as_bytes(&mut [0; 20]), increment)?,
    };
    fading.set(field, &sum, FieldTime::Keep, limits);
    let expires = fading.time(field).is_some();
    ctx.changed(class::HASH, "hincrbyfloat", key);
    // HSET would take the field's time from it.
    match expires {
        true => ctx.effects.propagate_as(&[b"HSETEX", key, b"KEEPTTL", b"FIELDS", b"1", field, &sum]),
        false => ctx.effects.propagate_as(&[b"HSET", key, field, &sum]),
    }
    ctx.reply.bulk(&sum);
    Ok(())
}
