//! Where an element stands in a list: LPOS.
//!
//! Ancestor: `lposCommand` of `t_list.c`.

use super::{Done, Element};
use crate::base::numbers::parse_i64;
use crate::commands::ctx::{Ctx, is_option};
use crate::commands::error::{self, CommandError};
use crate::commands::hash::signed_count;
use crate::resp::request::Argv;

/// What elements are compared with. The number that it may spell is read once.
pub(super) struct Needle<'a> {
    text: &'a [u8],
    number: Option<i64>,
}

impl<'a> Needle<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Needle { text, number: parse_i64(text) }
    }

    #[inline]
    pub(super) fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(number) => self.number == Some(number),
            Element::Bytes(text) => self.text == text,
        }
    }
}

struct Options {
    /// The first match to report, from 1; negative from the tail.
    rank: i64,
    /// Matches to report; without it only the place of one, bare.
    count: Option<usize>,
    /// Elements to look at.
    looked_at_max: usize,
}

fn parse_options(argv: Argv<'_>) -> Result<Options, CommandError> {
    let mut options = Options { rank: 1, count: None, looked_at_max: usize::MAX };
    // 0 means no limit, for both.
    let limit = |value: &[u8], error: &'static str| match parse_i64(value) {
        Some(0) => Ok(usize::MAX),
        value => value.and_then(|value| usize::try_from(value).ok()).ok_or_else(|| CommandError::new(error.to_owned())),
    };
    for at in (3..argv.len()).step_by(2) {
        let (word, Some(value)) = (argv.at(at), argv.get(at + 1)) else { return Err(error::SYNTAX) };
        if is_option(word, "RANK") {
            options.rank = signed_count(value)?;
            if options.rank == 0 {
                return Err(CommandError::new(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                     negative to start from the end of the list",
                ));
            }
        } else if is_option(word, "COUNT") {
            options.count = Some(limit(value, "ERR COUNT can't be negative")?);
        } else if is_option(word, "MAXLEN") {
            options.looked_at_max = limit(value, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok(options)
}

pub(super) fn lpos(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let options = parse_options(argv)?;
    let Some(list) = ctx.keys.list(argv.at(1))? else {
        match options.count {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let needle = Needle::new(argv.at(2));
    let reverse = options.rank < 0;
    let len = list.len();
    let skipped = usize::try_from(options.rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let mut places = list
        .iter_from(if reverse { len - 1 } else { 0 }, reverse)
        .take(options.looked_at_max)
        .enumerate()
        .filter(|&(_, element)| needle.is(element))
        .map(|(seen, _)| if reverse { len - 1 - seen } else { seen })
        .skip(skipped);
    let Some(count) = options.count else {
        match places.next() {
            Some(place) => ctx.reply.len(place),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let head = ctx.reply.defer();
    let mut found = 0;
    for place in places.take(count) {
        ctx.reply.len(place);
        found += 1;
    }
    ctx.reply.fill_array(head, found);
    Ok(())
}
