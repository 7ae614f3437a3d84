//! What SCAN, SSCAN, HSCAN and ZSCAN share: the cursor, the options, the walk and the shape of the reply.
//!
//! Ancestor: `scanGenericCommand` and `parseScanCursorOrReply` of `db.c`. SCAN itself stands with the commands on keys,
//! the others with their families.

use super::ctx::{integer, is_option};
use super::error::{self, CommandError, c_string};
use crate::base::{glob, numbers};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;

/// Elements looked at in a call that does not say how many.
const COUNT_DEFAULT: usize = 10;
/// Steps of the walk for each element asked for, after which a call ends though it has found fewer: in a table that
/// is nearly empty.
const STEPS_PER_ELEMENT: usize = 10;

/// What follows the cursor.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions<'a> {
    /// Elements to look at, about.
    pub count: usize,
    /// The pattern of MATCH, unless it is one that everything matches.
    pub pattern: Option<&'a [u8]>,
    /// The word after TYPE.
    pub type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from argument `first` on; TYPE only where `with_type`.
    pub fn parse(argv: Argv<'a>, first: usize, with_type: bool) -> Result<Self, CommandError> {
        let mut options = ScanOptions { count: COUNT_DEFAULT, pattern: None, type_name: None };
        for at in (first..argv.len()).step_by(2) {
            let word = argv.at(at);
            let Some(value) = argv.get(at + 1) else { return Err(error::SYNTAX) };
            if is_option(word, "COUNT") {
                let count = integer(value)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(error::SYNTAX)?;
            } else if is_option(word, "MATCH") {
                options.pattern = (value != b"*").then_some(value);
            } else if with_type && is_option(word, "TYPE") {
                options.type_name = Some(value);
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether the element is one that MATCH asks for.
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element, false))
    }
}

/// The cursor that an argument spells, as `strtoul` reads it: a sign and leading zeros are allowed, and nothing is 0.
pub fn parse_cursor(arg: &[u8]) -> Result<u64, CommandError> {
    let (negative, digits) = match c_string(arg) {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let significant = &digits[zeros..];
    let value = match significant {
        [] if zeros > 0 => 0,
        _ => numbers::parse_u64(significant).ok_or(error::INVALID_CURSOR)?,
    };
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// What one call of the SCAN family has come to.
pub struct ScanPage<'r, 'a> {
    /// Where matching elements are written.
    pub reply: &'r mut Reply,
    options: ScanOptions<'a>,
    seen: usize,
    written: usize,
}

impl ScanPage<'_, '_> {
    /// Counts an element, and tells whether it is to be written.
    pub fn wants(&mut self, element: &[u8]) -> bool {
        self.seen += 1;
        self.options.matches(element)
    }

    /// Writes one part of an element: a key, a field, a value.
    pub fn write(&mut self, part: &[u8]) {
        self.reply.bulk(part);
        self.written += 1;
    }
}

/// Takes steps until enough elements were seen or none are left, and frames what they wrote as the reply. A step is
/// given the cursor and returns the next one.
pub fn reply_scan<'r, 'a>(
    reply: &'r mut Reply,
    options: ScanOptions<'a>,
    mut cursor: u64,
    mut step: impl FnMut(&mut ScanPage<'r, 'a>, u64) -> u64,
) {
    let start = reply.out.len();
    let mut page = ScanPage { reply, options, seen: 0, written: 0 };
    for _ in 0..options.count.saturating_mul(STEPS_PER_ELEMENT) {
        cursor = step(&mut page, cursor);
        if cursor == 0 || page.seen >= options.count {
            break;
        }
    }
    let mut head = Reply::new(false);
    head.array(2);
    head.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    head.array(page.written);
    page.reply.out.splice(start..start, head.out);
}

/// The reply of a scan over a key that is not there.
pub fn reply_scan_nothing(reply: &mut Reply) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::OwnedArgv;

    #[test]
    fn a_cursor_is_what_strtoul_reads() {
        for (text, cursor) in [("", 0), ("0", 0), ("00", 0), ("+7", 7), ("007", 7), ("-1", u64::MAX)] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(cursor), "{text}");
        }
        for bad in ["-", "+", "x", "5x", " 5", "0x10", "18446744073709551616"] {
            assert_eq!(parse_cursor(bad.as_bytes()), Err(error::INVALID_CURSOR), "{bad}");
        }
        assert_eq!(parse_cursor(b"18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn options_come_in_pairs_of_any_case() {
        let parse = |line: &str, with_type| {
            let argv = OwnedArgv::new(line.split(' ').map(str::as_bytes));
            let options = ScanOptions::parse(argv.argv(), 2, with_type);
            options.map(|o| (o.count, o.pattern.map(<[u8]>::to_vec), o.type_name.map(<[u8]>::to_vec)))
        };
        assert_eq!(parse("scan 0", true), Ok((10, None, None)));
        let all = parse("scan 0 match a* Count 5 TYPE hash", true);
        assert_eq!(all, Ok((5, Some(b"a*".to_vec()), Some(b"hash".to_vec()))));
        assert_eq!(parse("scan 0 match *", true), Ok((10, None, None)));
        assert_eq!(parse("scan 0 type hash", false), Err(error::SYNTAX));
        assert_eq!(parse("scan 0 count 0", true), Err(error::SYNTAX));
        assert_eq!(parse("scan 0 count x", true), Err(error::NOT_INTEGER));
        assert_eq!(parse("scan 0 count 5 match", true), Err(error::SYNTAX));
    }

    #[test]
    fn a_call_takes_steps_until_it_has_seen_enough() {
        let options = ScanOptions { count: 3, pattern: Some(b"?"), type_name: None };
        let mut reply = Reply::new(false);
        // Each step shows two elements, of which one matches.
        reply_scan(&mut reply, options, 5, |page, cursor| {
            for element in [b"a".as_slice(), b"bb"] {
                if page.wants(element) {
                    page.write(element);
                }
            }
            cursor + 1
        });
        assert_eq!(reply.out, b"*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$1\r\na\r\n");
        let mut reply = Reply::new(false);
        reply_scan(&mut reply, options, 5, |_, cursor| cursor + 1);
        assert_eq!(reply.out, b"*2\r\n$2\r\n35\r\n*0\r\n", "an empty stretch ends the call too");
    }
}
