//! What several sets have in common, together, or apart from each other.
//!
//! Ancestors: `sinterGenericCommand` and `sunionDiffGenericCommand` of `t_set.c`.

use super::Done;
use crate::base::numbers::parse_i64;
use crate::commands::ctx::{Ctx, is_option, reply_element};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::keyspace::Keyspace;
use crate::resp::request::Argv;
use crate::types::entry::Entry;
use crate::types::{CollectionLimits, Element, Set, Value, ValueRef};

/// The sets at these keys, `None` where there is no key. Every key is looked at, for a wrong type is an error even
/// where the result is known before.
fn sets_at<'k>(
    keys: &'k mut Keyspace,
    names: impl Iterator<Item = &'k [u8]> + Clone,
) -> Result<Vec<Option<&'k Set>>, CommandError> {
    let mut held = Vec::with_capacity(names.size_hint().0);
    for name in names.clone() {
        held.push(keys.set(name)?.is_some());
    }
    let db = keys.current();
    let found = |(name, held): (&[u8], bool)| match held.then(|| db.get(name).map(Entry::value)) {
        Some(Some(ValueRef::Set(set))) => Some(set),
        _ => None,
    };
    Ok(names.zip(held).map(found).collect())
}

/// The arguments from `first` to before `end`.
fn names<'a>(argv: Argv<'a>, first: usize, end: usize) -> impl Iterator<Item = &'a [u8]> + Clone {
    (first..end).map(move |index| argv.at(index))
}

fn holds(set: &Set, element: Element<'_>) -> bool {
    match (element, set.as_intset()) {
        (Element::Int(number), Some(ints)) => ints.contains(number),
        _ => set.contains(element.as_bytes(&mut [0; 20])),
    }
}

fn add(to: &mut Set, element: Element<'_>, limits: &CollectionLimits) {
    to.add(element.as_bytes(&mut [0; 20]), limits);
}

/// Shows what all sets have, until `f` says that it is enough.
fn intersect(sets: &[Option<&Set>], mut f: impl FnMut(Element<'_>) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    let mut shared = smallest
        .iter()
        .filter(|&element| others.iter().all(|other| std::ptr::eq(*other, *smallest) || holds(other, element)));
    while let Some(element) = shared.next()
        && f(element)
    {}
}

fn union(sets: &[Option<&Set>], limits: &CollectionLimits) -> Set {
    let mut all = Set::new();
    for element in sets.iter().flatten().flat_map(|set| set.iter()) {
        add(&mut all, element, limits);
    }
    all
}

/// What the first set has and no other.
fn difference(sets: &[Option<&Set>], limits: &CollectionLimits) -> Set {
    let mut rest = Set::new();
    let Some((Some(first), others)) = sets.split_first() else { return rest };
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return rest;
    }
    // Look each member of the first set up in all others, or take all members of the others out of a copy: whichever
    // is less work. The former is worth twice as much, for it stops at the first hit and copies less.
    let look_ups = first.len().saturating_mul(others.len() + 1) / 2;
    let removals = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    if look_ups <= removals {
        others.sort_by_key(|other| std::cmp::Reverse(other.len()));
        let kept = first.iter().filter(|&element| !others.iter().any(|other| holds(other, element)));
        kept.for_each(|element| add(&mut rest, element, limits));
        return rest;
    }
    first.iter().for_each(|element| add(&mut rest, element, limits));
    for element in others.iter().flat_map(|other| other.iter()) {
        rest.remove(element.as_bytes(&mut [0; 20]));
        if rest.is_empty() {
            break;
        }
    }
    rest
}

fn reply_set(ctx: &mut Ctx<'_>, set: &Set) {
    ctx.reply.set(set.len());
    set.iter().for_each(|element| reply_element(ctx.reply, element));
}

/// Keeps a result at a key, in place of whatever was there; an empty one deletes the key.
fn store(ctx: &mut Ctx<'_>, key: &[u8], set: Set, event: &'static str) {
    let len = set.len();
    if len == 0 {
        if ctx.keys.delete(key) {
            ctx.changed(class::GENERIC, "del", key);
        }
    } else {
        ctx.keys.insert(key, Value::Set(set), None);
        ctx.changed(class::SET, event, key);
    }
    ctx.reply.len(len);
}

pub(super) fn sinter(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let sets = sets_at(ctx.keys, names(argv, 1, argv.len()))?;
    let head = ctx.reply.defer();
    let mut count = 0;
    intersect(&sets, |element| {
        reply_element(ctx.reply, element);
        count += 1;
        true
    });
    ctx.reply.fill_set(head, count);
    Ok(())
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let limits = ctx.keys.limits.clone();
    let sets = sets_at(ctx.keys, names(argv, 2, argv.len()))?;
    let mut shared = Set::new();
    intersect(&sets, |element| {
        add(&mut shared, element, &limits);
        true
    });
    store(ctx, argv.at(1), shared, "sinterstore");
    Ok(())
}

/// How many keys follow argument 1, which says so, and where they end.
fn counted_keys(argv: Argv<'_>) -> Result<usize, CommandError> {
    let count = parse_i64(argv.at(1)).filter(|&count| count > 0);
    let count = count.ok_or_else(|| CommandError::new("ERR numkeys should be greater than 0"))?;
    let fits = usize::try_from(count).ok().filter(|&count| count <= argv.len() - 2);
    fits.map(|count| count + 2)
        .ok_or_else(|| CommandError::new("ERR Number of keys can't be greater than number of args"))
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let end = counted_keys(argv)?;
    let mut limit = 0;
    for at in (end..argv.len()).step_by(2) {
        let Some(value) = argv.get(at + 1).filter(|_| is_option(argv.at(at), "LIMIT")) else {
            return Err(error::SYNTAX);
        };
        let value = parse_i64(value).and_then(|limit| usize::try_from(limit).ok());
        limit = value.ok_or_else(|| CommandError::new("ERR LIMIT can't be negative"))?;
    }
    let sets = sets_at(ctx.keys, names(argv, 2, end))?;
    let mut count = 0;
    intersect(&sets, |_| {
        count += 1;
        count != limit
    });
    ctx.reply.len(count);
    Ok(())
}

pub(super) fn sunion(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let limits = ctx.keys.limits.clone();
    let all = union(&sets_at(ctx.keys, names(argv, 1, argv.len()))?, &limits);
    reply_set(ctx, &all);
    Ok(())
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let limits = ctx.keys.limits.clone();
    let all = union(&sets_at(ctx.keys, names(argv, 2, argv.len()))?, &limits);
    store(ctx, argv.at(1), all, "sunionstore");
    Ok(())
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let limits = ctx.keys.limits.clone();
    let rest = difference(&sets_at(ctx.keys, names(argv, 1, argv.len()))?, &limits);
    reply_set(ctx, &rest);
    Ok(())
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let limits = ctx.keys.limits.clone();
    let rest = difference(&sets_at(ctx.keys, names(argv, 2, argv.len()))?, &limits);
    store(ctx, argv.at(1), rest, "sdiffstore");
    Ok(())
}
