//! Lua's numbers to and from others, as the processor and the C library do it.

use crate::base::lua::{Kind, Raise, Stack};

/// A double cut to an integer as the processor does it: what does not fit becomes the least of all.
pub fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// The integer that a double is, if it is one of 64 bits.
pub fn as_integer(number: f64) -> Option<i64> {
    let integer = to_integer(number);
    (integer as f64 == number).then_some(integer)
}

/// An argument that must be a number or spell one, cut to an integer.
pub fn check_integer(stack: &Stack<'_>, index: i32) -> Result<i64, Raise> {
    Ok(to_integer(stack.check_number(index)?))
}

/// Whether an argument was given that is not nil.
pub fn is_given(stack: &Stack<'_>, index: i32) -> bool {
    !matches!(stack.kind(index), Kind::None | Kind::Nil)
}

/// The number that text begins with, and its length (= strtod): decimal, hexadecimal, infinite or none.
pub fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign_len = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let unsigned = &text[sign_len..];
    let (number, len) = parse_unsigned(unsigned)?;
    let number = if text[0] == b'-' { -number } else { number };
    Some((number, sign_len + len))
}

fn parse_unsigned(text: &[u8]) -> Option<(f64, usize)> {
    let begins_with = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if begins_with(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if begins_with(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if begins_with(b"nan") {
        let note = text.get(4..).unwrap_or_default();
        let letters = note.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let has_note = text.get(3) == Some(&b'(') && note.get(letters) == Some(&b')');
        return Some((f64::NAN, if has_note { 5 + letters } else { 3 }));
    }
    if begins_with(b"0x")
        && let Some((number, len)) = parse_hexadecimal(&text[2..])
    {
        return Some((number, 2 + len));
    }
    parse_decimal(text)
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// An exponent with its letter in front: its value, and its length; of length 0 where there is none.
fn parse_exponent(text: &[u8], letter: u8) -> (i64, usize) {
    if !text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)) {
        return (0, 0);
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    let number = &text[1 + sign_len..];
    let len = digits(number);
    if len == 0 {
        return (0, 0);
    }
    let value = number[..len].iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 40));
    (if text[1] == b'-' { -value } else { value }, 1 + sign_len + len)
}

fn parse_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text);
    let rest = &text[whole..];
    if whole > 0 && whole <= 15 && !matches!(rest.first(), Some(b'.' | b'e' | b'E')) {
        let value = text[..whole].iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some((value as f64, whole));
    }
    let fraction = if rest.first() == Some(&b'.') { digits(&rest[1..]) } else { 0 };
    if whole + fraction == 0 {
        return None;
    }
    let point = usize::from(rest.first() == Some(&b'.'));
    let mantissa = whole + point + fraction;
    let (_, exponent) = parse_exponent(&text[mantissa..], b'e');
    let len = mantissa + exponent;
    let number = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((number, len))
}

/// What stands behind `0x`.
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut mantissa, mut exponent, mut len, mut found, mut behind_point) = (0u64, 0i64, 0, false, false);
    while let Some(&byte) = text.get(len) {
        if byte == b'.' && !behind_point {
            behind_point = true;
            len += 1;
            continue;
        }
        let Some(digit) = char::from(byte).to_digit(16) else { break };
        found = true;
        len += 1;
        exponent -= if behind_point { 4 } else { 0 };
        if mantissa >> 58 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
        } else {
            // Too low to be seen, save for the rounding.
            mantissa |= u64::from(digit != 0);
            exponent += 4;
        }
    }
    if !found {
        return None;
    }
    let (power, power_len) = parse_exponent(&text[len..], b'p');
    let exponent = (exponent + power).clamp(-2200, 2200) as i32;
    let half = exponent / 2;
    Some((mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half), len + power_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, number, len) in [
            ("1", 1.0, 1),
            ("-1.5e-3x", -0.0015, 7),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1.", 1.0, 2),
            (".5", 0.5, 2),
            ("0x", 0.0, 1),
            ("0x1F", 31.0, 4),
            ("-0x1.8p1", -3.0, 8),
            ("0x.8", 0.5, 4),
            ("0x1p-2000", 0.0, 9),
            ("0x1p99999999999999999999", f64::INFINITY, 24),
            ("1e99999999999999999999", f64::INFINITY, 22),
            ("infinitx", f64::INFINITY, 3),
            ("-Infinity", f64::NEG_INFINITY, 9),
            ("123456789012345678901234567890", 1.2345678901234568e29, 30),
            ("0x123456789abcdef01234", 85_968_058_283_706_960_000_000.0, 22),
        ] {
            assert_eq!(parse_prefix(text.as_bytes()), Some((number, len)), "{text}");
        }
        for text in ["", "-", "+", ".", "-.", "x", "- 1", "e5", "i"] {
            assert_eq!(parse_prefix(text.as_bytes()), None, "{text}");
        }
        let (nan, len) = parse_prefix(b"nan(a_1)").unwrap();
        assert!(nan.is_nan() && len == 8 && parse_prefix(b"nan(a").unwrap().1 == 3);
    }

    #[test]
    fn integers_wrap_as_the_processor_has_it() {
        assert_eq!(to_integer(-1.9), -1);
        for number in [9.3e18, -9.3e18, f64::NAN, f64::INFINITY] {
            assert_eq!(to_integer(number), i64::MIN);
        }
        assert_eq!(as_integer(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        assert_eq!((as_integer(9_223_372_036_854_775_808.0), as_integer(0.5), as_integer(-0.0)), (None, None, Some(0)));
    }
}
