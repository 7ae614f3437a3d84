//! The commands on sets. What combines several sets stands in `algebra`, what picks members by chance in `chance`.
//!
//! Ancestor: `t_set.c`.

mod algebra;
mod chance;
mod rows;

pub use rows::ROWS;

use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use chance::{spop, srandmember};

use super::ctx::{Ctx, reply_element};
use super::effects::class;
use super::error::CommandError;
use super::scan::{ScanOptions, parse_cursor, reply_scan, reply_scan_nothing};
use crate::resp::request::Argv;
use crate::types::Set;

type Done = Result<(), CommandError>;

fn sadd(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let (set, limits) = ctx.keys.set_or_new(key)?;
    let fresh = set.is_empty();
    if fresh {
        *set = Set::for_adding(argv.at(2), argv.len() - 2, limits);
    } else {
        set.expect(argv.len() - 2, limits);
    }
    let added = argv.from(2).iter().filter(|member| set.add(member, limits)).count();
    if added > 0 {
        ctx.changed_times(added, class::SET, "sadd", key);
    }
    ctx.reply.len(added);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let key = argv.at(1);
    let Some(set) = ctx.keys.set_mut(key)? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let removed = argv.from(2).iter().filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    if removed > 0 {
        ctx.changed_times(removed, class::SET, "srem", key);
        if emptied {
            ctx.delete_if_empty(key);
        }
    }
    ctx.reply.len(removed);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let (from, to, member) = (argv.at(1), argv.at(2), argv.at(3));
    if ctx.keys.set_mut(from)?.is_none() {
        ctx.reply.int(0);
        return Ok(());
    }
    ctx.keys.set_mut(to)?;
    if from == to {
        let held = ctx.keys.set_mut(from)?.is_some_and(|set| set.contains(member));
        ctx.reply.int(i64::from(held));
        return Ok(());
    }
    let Some(left) = ctx.keys.set_mut(from)?.and_then(|set| set.remove(member).then(|| set.len())) else {
        ctx.reply.int(0);
        return Ok(());
    };
    ctx.changed(class::SET, "srem", from);
    if left == 0 {
        ctx.delete_if_empty(from);
    }
    let (set, limits) = ctx.keys.set_or_new(to)?;
    let fresh = set.is_empty();
    if fresh {
        *set = Set::for_adding(member, 1, limits);
    }
    let added = set.add(member, limits);
    if added {
        ctx.changed(class::SET, "sadd", to);
    }
    ctx.reply.int(1);
    Ok(())
}

fn scard(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let len = ctx.keys.set(argv.at(1))?.map_or(0, Set::len);
    ctx.reply.len(len);
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let found = ctx.keys.set(argv.at(1))?.is_some_and(|set| set.contains(argv.at(2)));
    ctx.reply.int(i64::from(found));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let set = ctx.keys.set(argv.at(1))?;
    ctx.reply.array(argv.len() - 2);
    for member in argv.from(2).iter() {
        ctx.reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let set = ctx.keys.set(argv.at(1))?;
    ctx.reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| reply_element(ctx.reply, member));
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let cursor = parse_cursor(argv.at(2))?;
    let Some(set) = ctx.keys.set(argv.at(1))? else {
        reply_scan_nothing(ctx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(argv, 3, false)?;
    reply_scan(ctx.reply, options, cursor, |page, cursor| {
        set.scan(cursor, |member| {
            let mut digits = [0; 20];
            let member = member.as_bytes(&mut digits);
            if page.wants(member) {
                page.write(member);
            }
        })
    });
    Ok(())
}

#[cfg(test)]
mod tests;
