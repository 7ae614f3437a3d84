//! SORT and SORT_RO (= sort.c).
//!
//! Elements are compared as doubles, or byte by byte (ALPHA), by themselves or by what stands at keys that a pattern
//! names (BY). Where the field leaves the order of equals to chance, here it is the order in which they stood.
//!
//! Deliberately absent: collation by a locale; ALPHA is what a stock server does under `LC_COLLATE=C`.

use super::DataFn;
use super::command::{Begin, Find, KeySpec, Row, category, flag, key, one};
use super::ctx::{Ctx, integer, is_option};
use super::effects::class;
use super::error::{self, CommandError, c_string};
use crate::base::numbers;
use crate::keyspace::Keyspace;
use crate::resp::request::Argv;
use crate::types::{Element, List, Value, ValueRef};
use std::cmp::Ordering;

const NOT_DOUBLE: &str = "ERR One or more scores can't be converted into double";

/// What was asked for.
#[derive(Default)]
struct Options<'a> {
    desc: bool,
    alpha: bool,
    by: Option<&'a [u8]>,
    /// BY a pattern that names one key for all: no sorting at all.
    unsorted: bool,
    get: Vec<&'a [u8]>,
    /// How many to skip, and how many to return (all, where negative).
    limit: Option<(i64, i64)>,
    store: Option<&'a [u8]>,
}

/// Patterns name keys that nobody can check beforehand, so they are for those who may read all keys.
#[cold]
fn denied(option: &str) -> CommandError {
    CommandError::new(format!("ERR {option} option of SORT denied due to insufficient ACL permissions."))
}

impl<'a> Options<'a> {
    fn parse(argv: Argv<'a>, with_store: bool, named_keys_only: bool) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut at = 2;
        while let Some(word) = argv.get(at) {
            let (first, second) = (argv.get(at + 1), argv.get(at + 2));
            at += match (first, second) {
                _ if is_option(word, "ASC") => {
                    options.desc = false;
                    1
                }
                _ if is_option(word, "DESC") => {
                    options.desc = true;
                    1
                }
                _ if is_option(word, "ALPHA") => {
                    options.alpha = true;
                    1
                }
                (Some(skip), Some(count)) if is_option(word, "LIMIT") => {
                    options.limit = Some((integer(skip)?, integer(count)?));
                    3
                }
                (Some(key), _) if with_store && is_option(word, "STORE") => {
                    options.store = Some(key);
                    2
                }
                (Some(pattern), _) if is_option(word, "BY") => {
                    options.by = Some(pattern);
                    options.unsorted |= star(pattern).is_none();
                    if named_keys_only && star(pattern).is_some() {
                        return Err(denied("BY"));
                    }
                    2
                }
                (Some(_), _) if named_keys_only && is_option(word, "GET") => return Err(denied("GET")),
                (Some(pattern), _) if is_option(word, "GET") => {
                    options.get.push(pattern);
                    2
                }
                _ => return Err(error::SYNTAX),
            };
        }
        Ok(options)
    }

    /// Which of `len` elements are wanted: how many to skip, and how many to take.
    fn window(&self, len: usize) -> (usize, usize) {
        let (skip, count) = self.limit.unwrap_or((0, -1));
        let skip = usize::try_from(skip).unwrap_or(0).min(len);
        (skip, usize::try_from(count).unwrap_or(len).min(len - skip))
    }
}

/// Where a pattern's star stands. Patterns end at a zero byte, as C strings do.
fn star(pattern: &[u8]) -> Option<usize> {
    let end = pattern.iter().position(|&byte| byte == 0).unwrap_or(pattern.len());
    pattern[..end].iter().position(|&byte| byte == b'*')
}

/// What stands where a pattern points for this element: `prefix*suffix` a string, `prefix*suffix->field` a hash's field,
/// `#` the element itself.
fn look_up(keys: &mut Keyspace, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = star(pattern)?;
    let rest = &pattern[star + 1..];
    let arrow = rest.windows(2).position(|two| two == b"->").filter(|at| at + 2 < rest.len());
    let (suffix, field) = match arrow {
        Some(at) => (&rest[..at], Some(&rest[at + 2..])),
        None => (rest, None),
    };
    let key = [&pattern[..star], element, suffix].concat();
    match (keys.read(&key)?.value(), field) {
        (ValueRef::Str(string), None) => Some(string.element().to_vec()),
        (ValueRef::Hash(hash), Some(field)) => Some(hash.get(field)?.to_vec()),
        (ValueRef::Fading(fading), Some(field)) => Some(fading.shown().get(field)?.to_vec()),
        _ => None,
    }
}

/// The double that `strtod` reads from the whole of `text`: spaces may stand before it, and nothing at all is 0.
fn score(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    let spaces = text.iter().take_while(|&&byte| matches!(byte, b' ' | 9..=13)).count();
    if text.is_empty() {
        return Some(0.0);
    }
    let value = numbers::parse_f64(&text[spaces..])?;
    // What is too small to be told from 0 in full is out of range, too.
    (value == 0.0 || value.abs() >= f64::MIN_POSITIVE).then_some(value)
}

/// An element with what it is compared by.
struct Item {
    element: Vec<u8>,
    score: f64,
    /// The text of ALPHA with BY.
    text: Option<Vec<u8>>,
}

/// Copies the elements of a value in its own order, only those wanted if they are not to be sorted.
fn load(value: ValueRef<'_>, options: &Options<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    fn pick<'e>(all: impl Iterator<Item = Element<'e>>, (skip, count): (usize, usize)) -> Vec<Vec<u8>> {
        all.skip(skip).take(count).map(|element| element.to_vec()).collect()
    }
    let window = |len: usize| if options.unsorted { options.window(len) } else { (0, len) };
    let backwards = options.unsorted && options.desc;
    Ok(match value {
        ValueRef::List(list) if backwards => pick(list.iter().rev(), window(list.len())),
        ValueRef::List(list) => pick(list.iter(), window(list.len())),
        ValueRef::Set(set) => pick(set.iter(), window(set.len())),
        ValueRef::ZSet(zset) => {
            let (skip, count) = window(zset.len());
            zset.range(skip, count, backwards).map(|(member, _)| member.to_vec()).collect()
        }
        _ => return Err(error::WRONG_TYPE),
    })
}

/// Finds out what each element is compared by.
fn weigh(keys: &mut Keyspace, options: &Options<'_>, elements: Vec<Vec<u8>>) -> Result<Vec<Item>, CommandError> {
    let mut items = Vec::with_capacity(elements.len());
    for element in elements {
        let mut item = Item { element, score: 0.0, text: None };
        let text = options.by.map(|pattern| look_up(keys, pattern, &item.element));
        match (options.alpha, text) {
            (true, text) => item.text = text.flatten(),
            (false, Some(None)) => {}
            (false, text) => {
                let text = text.flatten();
                let spelled = score(text.as_ref().unwrap_or(&item.element));
                item.score = spelled.ok_or_else(|| CommandError::new(NOT_DOUBLE))?;
            }
        }
        items.push(item);
    }
    Ok(items)
}

fn compare(options: &Options<'_>, a: &Item, b: &Item) -> Ordering {
    let order = match (options.alpha, options.by) {
        (true, Some(_)) => a.text.cmp(&b.text),
        (true, None) => a.element.cmp(&b.element),
        (false, _) => a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal).then_with(|| a.element.cmp(&b.element)),
    };
    if options.desc { order.reverse() } else { order }
}

/// The elements that are wanted, in order.
fn sorted(ctx: &mut Ctx<'_>, key: &[u8], options: &mut Options<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    let Some(entry) = ctx.keys.read(key) else { return Ok(Vec::new()) };
    let value = entry.value();
    if options.unsorted && options.store.is_some() && matches!(value, ValueRef::Set(_)) {
        // A set has no order that a replica would share, so what is stored is sorted after all.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    let elements = load(value, options)?;
    if options.unsorted {
        return Ok(elements);
    }
    let mut items = weigh(ctx.keys, options, elements)?;
    items.sort_by(|a, b| compare(options, a, b));
    let (skip, count) = options.window(items.len());
    Ok(items.into_iter().skip(skip).take(count).map(|item| item.element).collect())
}

fn store(ctx: &mut Ctx<'_>, key: &[u8], output: &[Option<Vec<u8>>]) {
    if output.is_empty() {
        if ctx.keys.delete(key) {
            ctx.changed(class::GENERIC, "del", key);
        }
    } else {
        let mut list = List::new();
        for element in output {
            list.push_back(element.as_deref().unwrap_or_default(), &ctx.keys.limits);
        }
        ctx.keys.insert(key, Value::List(list), None);
        ctx.changed_times(output.len(), class::LIST, "sortstore", key);
    }
    ctx.reply.len(output.len());
}

fn sort_generic(ctx: &mut Ctx<'_>, argv: Argv<'_>, with_store: bool) -> Result<(), CommandError> {
    let mut options = Options::parse(argv, with_store, ctx.caller.reads_named_keys_only)?;
    let elements = sorted(ctx, argv.at(1), &mut options)?;
    let output: Vec<Option<Vec<u8>>> = if options.get.is_empty() {
        elements.into_iter().map(Some).collect()
    } else {
        let wanted = elements.iter().flat_map(|element| options.get.iter().map(move |pattern| (pattern, element)));
        wanted.map(|(pattern, element)| look_up(ctx.keys, pattern, element)).collect()
    };
    if let Some(key) = options.store {
        store(ctx, key, &output);
        return Ok(());
    }
    ctx.reply.array(output.len());
    for found in &output {
        match found {
            Some(bytes) => ctx.reply.bulk(bytes),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn sort(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    sort_generic(ctx, argv, true)
}

fn sort_ro(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    sort_generic(ctx, argv, false)
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "sort",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS,
        categories: category::SET | category::SORTEDSET | category::LIST | category::DANGEROUS,
        keys: &[
            one(key::RO | key::ACCESS, 1),
            KeySpec { flags: key::RO | key::ACCESS, begin: Begin::Unknown, find: Find::Unknown },
            KeySpec { flags: key::OW | key::UPDATE, begin: Begin::Unknown, find: Find::Unknown },
        ],
        group: "generic",
        since: "1.0.0",
        summary: "Sorts the elements of a list, a set or a sorted set, and may store them.",
        run: Some(sort),
        subcommands: &[],
    },
    Row {
        name: "sort_ro",
        arity: -2,
        flags: flag::READONLY | flag::MOVABLEKEYS,
        categories: category::SET | category::SORTEDSET | category::LIST | category::DANGEROUS,
        keys: &[
            one(key::RO | key::ACCESS, 1),
            KeySpec { flags: key::RO | key::ACCESS, begin: Begin::Unknown, find: Find::Unknown },
        ],
        group: "generic",
        since: "7.0.0",
        summary: "Sorts the elements of a list, a set or a sorted set.",
        run: Some(sort_ro),
        subcommands: &[],
    },
];

#[cfg(test)]
#[path = "sort_tests.rs"]
mod tests;
