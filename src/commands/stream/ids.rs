//! The IDs that clients write: `ms`, `ms-seq`, `ms-*`, and in ranges `-`, `+` and `(` for "without".
//!
//! Ancestors: `streamGenericParseIDOrReply`, `streamParseIntervalIDOrReply`. Numbers are read as C does it: spaces and a
//! sign may stand before the digits.

use crate::base::numbers::parse_i64;
use crate::commands::error::{CommandError, c_string};
use crate::types::stream::{NewId, StreamId};

/// Longer texts are no IDs.
const TEXT_MAX: usize = 127;

fn invalid() -> CommandError {
    CommandError::new("ERR Invalid stream ID specified as stream command argument")
}

/// What `strtoull` makes of a whole text, after the strict reading of a signed number.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\x0b").unwrap_or(text);
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Milliseconds, and the number after them if there is one; `None` for `*` there.
fn parts(text: &[u8]) -> Result<(u64, Option<&[u8]>), CommandError> {
    let (ms, seq) = match text.iter().position(|&byte| byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Ok((unsigned(ms).ok_or_else(invalid)?, seq))
}

fn text_of(arg: &[u8]) -> Result<&[u8], CommandError> {
    if arg.len() > TEXT_MAX { Err(invalid()) } else { Ok(c_string(arg)) }
}

/// An ID; `missing_seq` stands for a number that is not there.
pub fn parse_strict(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    let (ms, seq) = parts(text_of(arg)?)?;
    let seq = match seq {
        Some(seq) => unsigned(seq).ok_or_else(invalid)?,
        None => missing_seq,
    };
    Ok(StreamId { ms, seq })
}

/// An ID, or `-` or `+` for the lowest and the highest.
pub fn parse_id(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match text_of(arg)? {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_strict(arg, missing_seq),
    }
}

/// The ID of an entry to add.
pub fn parse_new(arg: &[u8]) -> Result<NewId, CommandError> {
    let text = text_of(arg)?;
    if text == b"*" {
        return Ok(NewId::Auto);
    }
    match parts(text)? {
        (ms, Some(b"*")) => Ok(NewId::AutoSeq(ms)),
        _ => parse_strict(arg, 0).map(NewId::Exact),
    }
}

/// The first ID of a range.
pub fn parse_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg {
        [b'(', rest @ ..] if !rest.is_empty() => {
            parse_strict(rest, 0)?.next().ok_or_else(|| CommandError::new("ERR invalid start ID for the interval"))
        }
        _ => parse_id(arg, 0),
    }
}

/// Both ends of a range.
pub fn parse_range(start: &[u8], end: &[u8]) -> Result<(StreamId, StreamId), CommandError> {
    let start = parse_start(start)?;
    let end = match end {
        [b'(', rest @ ..] if !rest.is_empty() => parse_strict(rest, u64::MAX)?
            .prev()
            .ok_or_else(|| CommandError::new("ERR invalid end ID for the interval"))?,
        _ => parse_id(end, u64::MAX)?,
    };
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_stock_reads_them() {
        let id = |arg: &[u8]| parse_id(arg, 7).ok().map(|id| (id.ms, id.seq));
        for (arg, expected) in [
            (&b"5"[..], Some((5, 7))),
            (b"5-6", Some((5, 6))),
            (b"-", Some((0, 0))),
            (b"+", Some((u64::MAX, u64::MAX))),
            (b"007-+5", Some((7, 5))),
            (b" 5- 6", Some((5, 6))),
            (b"5\0x", Some((5, 7))),
            (b"18446744073709551615-0", Some((u64::MAX, 0))),
            (b"18446744073709551616", None),
            (b"5-", None),
            (b"-5", None),
            (b"5--5", None),
            (b"5- -5", Some((5, u64::MAX - 4))),
            (b"5-6-7", None),
            (b"5-*", None),
            (b"", None),
            (b"x", None),
            (b"5 ", None),
            (b"(5", None),
            (&[b'0'; 128], None),
            (&[b'0'; 127], Some((0, 7))),
        ] {
            assert_eq!(id(arg), expected, "{}", arg.escape_ascii());
        }
        assert!(parse_strict(b"-", 0).is_err() && parse_strict(b"+", 0).is_err());
        assert_eq!(parse_new(b"*"), Ok(NewId::Auto));
        assert_eq!(parse_new(b"3-*"), Ok(NewId::AutoSeq(3)));
        assert!(parse_new(b"*-*").is_err() && parse_new(b"3-**").is_err());
    }

    #[test]
    fn ends_of_a_range_may_be_left_out() {
        let range = |start: &[u8], end: &[u8]| parse_range(start, end);
        let id = StreamId::new;
        assert_eq!(range(b"5", b"5"), Ok((id(5, 0), id(5, u64::MAX))));
        assert_eq!(range(b"(5-1", b"(5-1"), Ok((id(5, 2), id(5, 0))));
        assert_eq!(range(b"(5", b"(6-0"), Ok((id(5, 1), id(5, u64::MAX))));
        assert!(range(b"(18446744073709551615-18446744073709551615", b"+").is_err());
        assert!(range(b"-", b"(0-0").is_err() && range(b"(-", b"+").is_err() && range(b"(", b"+").is_err());
    }
}
