//! Numbers to text and back, by the strict rules that clients see.
//!
//! Ancestors: `string2ll`, `string2d`, `d2string` of util.c. A number has one spelling: no spaces, no plus sign, no
//! leading zeros, so that an integer taken for a number prints as it came.

/// The signed 64-bit integer that `text` spells canonically, or `None`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // At most 19 digits: 9_999_999_999_999_999_999 fits.
        value = value * 10 + u64::from(digit);
    }
    match negative {
        false => i64::try_from(value).ok(),
        true if value <= 1 << 63 => Some((value as i64).wrapping_neg()),
        true => None,
    }
}

/// The unsigned integer that `text` spells canonically, or `None`.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || (text.len() > 1 && text[0] == b'0') || !text.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The double that `text` spells: decimal or hexadecimal notation, `inf`, `+inf`, `-inf`, `infinity`; no spaces, no NaN,
/// and nothing that is finite as it is spelt and too big, or so small that it would be 0.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value = parse_f64_in_reach(text)?;
    let body = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let (digits, mark) = match body {
        [b'0', b'x' | b'X', hex @ ..] => (hex, b'p'),
        _ => (body, b'e'),
    };
    let mut mantissa = digits.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&mark));
    let is_fit = match value {
        0.0 => mantissa.all(|byte| matches!(byte, b'0' | b'.')),
        _ => value.is_finite() || body[0].eq_ignore_ascii_case(&b'i'),
    };
    is_fit.then_some(value)
}

/// `parse_f64` that takes what is out of range for infinite or 0, as `strtod` does.
pub fn parse_f64_in_reach(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(hex) = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        let value = parse_hex_float(hex)?;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    match body.as_bytes().first()? {
        b'0'..=b'9' | b'.' => {}
        _ if body.eq_ignore_ascii_case("inf") || body.eq_ignore_ascii_case("infinity") => {}
        _ => return None,
    }
    text.parse().ok()
}

/// What follows `0x`, rounded once to the nearest double.
fn parse_hex_float(hex: &str) -> Option<f64> {
    let (mantissa, exponent) = match hex.split_once(['p', 'P']) {
        Some((mantissa, exponent)) => (mantissa, parse_binary_exponent(exponent)?),
        None => (hex, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut exponent = exponent - 4 * fraction.len() as i64;
    let (mut bits, mut more) = (0u64, false);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            more |= digit != 0;
            exponent += 4;
        }
    }
    if bits == 0 {
        return Some(0.0);
    }
    Some(scale_by_power_of_two(bits, more, exponent))
}

/// The digits after `p`; absurd exponents are cut to a billion.
fn parse_binary_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1_000_000_000));
    Some(if text.starts_with('-') { -size } else { size })
}

/// `bits`, and a little `more`, times 2^exponent; infinite or 0 where no double is near.
fn scale_by_power_of_two(bits: u64, more: bool, exponent: i64) -> f64 {
    const SMALLEST: i64 = -1074;
    let width = 64 - i64::from(bits.leading_zeros());
    // No bit below these counts: a double has 53 of them, and none below the smallest.
    let dropped = (width - 53).max(SMALLEST - exponent).max(0);
    if dropped > width || width + exponent > 1024 {
        return if exponent > 0 { f64::INFINITY } else { 0.0 };
    }
    let kept = bits.checked_shr(dropped as u32).unwrap_or(0);
    let rest = u128::from(bits) - (u128::from(kept) << dropped);
    let half = (1u128 << dropped) >> 1;
    let up = dropped > 0 && (rest > half || rest == half && (more || kept & 1 == 1));
    let power = exponent + dropped;
    let power_of_two = match power {
        -1022.. => f64::from_bits(((power + 1023) as u64) << 52),
        _ => f64::from_bits(1 << (power - SMALLEST)),
    };
    (kept + u64::from(up)) as f64 * power_of_two
}

/// Appends the decimal digits of `value`.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `digits_of` is for numbers below this.
pub const SHORT_NUMBERS: u32 = 100_000_000;

/// The digits of a number below `SHORT_NUMBERS`: the first in the lowest byte, and how many there are. They are made
/// side by side in one word, which has not to be read back from memory before it has arrived there.
#[inline]
pub fn digits_of(value: u32) -> (u64, u32) {
    debug_assert!(value < SHORT_NUMBERS);
    let value = u64::from(value);
    // Two lanes of four digits, then four of two, then eight of one; each division is a multiplication by its inverse.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    let leading = ((ones | (1 << 63)).trailing_zeros() / 8).min(7);
    ((ones | 0x3030_3030_3030_3030) >> (leading * 8), 8 - leading)
}

/// Appends `value` as Redis 7.2 prints doubles: the shortest digits that read back the same; `3`, `0.1`, `1e+21`,
/// `inf`, `-inf`, `nan`.
pub fn format_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 {
        return out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    }
    if value.fract() == 0.0 && value.abs() < (i64::MAX / 2) as f64 {
        return write_i64(out, value as i64);
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let mut buffer = ryu::Buffer::new();
    let (digits, point) = shortest_digits(buffer.format_finite(value.abs()));
    write_digits(&digits, point, out);
}

/// The significant digits of a printed positive double, without zeros at either end, and where the decimal point
/// stands relative to their start.
fn shortest_digits(printed: &str) -> (Vec<u8>, i32) {
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((printed, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    (digits, whole.len() as i32 + exponent - leading as i32)
}

/// The layout that fpconv gives shortest digits: plain where few zeros or few places are needed, else scientific.
fn write_digits(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    let (scale, exponent) = (point - count, point - 1);
    if scale >= 0 && exponent < count + 7 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', scale as usize));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-point) as usize));
            out.extend_from_slice(digits);
        } else {
            out.extend_from_slice(&digits[..point as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[point as usize..]);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        write_i64(out, i64::from(exponent.abs()));
    }
}

/// Appends `value` as C's `%.17g` prints it, the form that Redis gives doubles in digests and in old text formats.
pub fn format_g17(value: f64, out: &mut Vec<u8>) {
    format_g(value, 17, out);
}

/// Appends `value` as C's `%.<digits>g` prints it. `digits` is at least 1.
pub fn format_g(value: f64, digits: usize, out: &mut Vec<u8>) {
    if !value.is_finite() || value == 0.0 {
        return format_f64(value, out);
    }
    let wanted = digits as i32;
    let printed = format!("{value:.0$e}", digits.saturating_sub(1));
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let mut digits: Vec<u8> = mantissa.bytes().filter(|&byte| byte != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    out.extend_from_slice(sign.as_bytes());
    if (-4..wanted).contains(&exponent) {
        let point = exponent + 1;
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-point) as usize));
            out.extend_from_slice(&digits);
        } else if point as usize >= digits.len() {
            out.extend_from_slice(&digits);
            out.extend(std::iter::repeat_n(b'0', point as usize - digits.len()));
        } else {
            out.extend_from_slice(&digits[..point as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[point as usize..]);
        }
        return;
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    write_i64(out, i64::from(exponent.abs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_a_word_are_those_of_the_library() {
        let some = (0..20_000).chain((20_000..SHORT_NUMBERS).step_by(997)).chain([SHORT_NUMBERS - 1]);
        for value in some {
            let (word, count) = digits_of(value);
            assert_eq!(word.to_le_bytes()[..count as usize], *value.to_string().as_bytes());
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        for good in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_i64(good.as_bytes()), good.parse().ok());
        }
        for bad in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
    }

    fn printed(value: f64) -> String {
        let mut out = Vec::new();
        format_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_print_as_redis_72_prints_them() {
        for (value, text) in [
            (3.0, "3"),
            (0.1, "0.1"),
            (1e21, "1e+21"),
            (1e20, "1e+20"),
            (1e17, "100000000000000000"),
            (5e18, "5e+18"),
            (9223372036854775807.0, "9223372036854776000"),
            (0.00012345678, "1.2345678e-4"),
            (-1234567.1234567, "-1.2345671234567e+6"),
            (1234567.123456, "1234567.123456"),
            (-1.5, "-1.5"),
            (1e-7, "1e-7"),
            (0.000001, "0.000001"),
            (1.2345e25, "1.2345e+25"),
            (f64::INFINITY, "inf"),
            (-0.0, "-0"),
            (3.0e10, "30000000000"),
            (0.1 + 0.2, "0.30000000000000004"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(printed(value), text);
        }
        let mut rng = crate::base::rng::Rng::new(3);
        for _ in 0..100_000 {
            let value = f64::from_bits(rng.next_u64());
            if value.is_finite() {
                assert_eq!(printed(value).parse::<f64>().unwrap(), value);
            }
        }
    }

    #[test]
    fn g17_prints_as_printf_does() {
        for (value, text) in [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (1e17, "1e+17"),
            (1e-5, "1.0000000000000001e-05"),
            (123456.789, "123456.789"),
            (-2.5e-7, "-2.4999999999999999e-07"),
            (1e16, "10000000000000000"),
            (1e300, "1.0000000000000001e+300"),
        ] {
            let mut out = Vec::new();
            format_g17(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn doubles_are_read_strictly() {
        let long = format!("{}1", "0".repeat(300));
        for (text, value) in [
            ("1", 1.0),
            ("-1.5", -1.5),
            ("1e3", 1000.0),
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("0x0p99999999999", 0.0),
            ("0x1.8p-1", 0.75),
            ("0x1p-1074", 5e-324),
            ("0x1.8p-1075", 5e-324),
            ("0xfffffffffffffbff", 18446744073709549568.0),
            ("0x20000000000001", 9007199254740992.0),
            ("0x20000000000001.00000000000000001", 9007199254740994.0),
            ("0x3.fffffffffffffp-1023", 4.450147717014403e-308),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0e-999", 0.0),
            ("1e-320", 1e-320),
            (long.as_str(), 1.0),
            (".5", 0.5),
            ("5.", 5.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        for bad in ["", " 1", "1 ", "nan", "-nan", "abc", "1e", "--1", "1e400", "0x", "+"] {
            assert_eq!(parse_f64(bad.as_bytes()), None, "{bad}");
        }
        for bad in [
            "1e-400",
            "0.1e-330",
            "0x1p1024",
            "0x1.fffffffffffff8p1023",
            "0x1p-1075",
            "0x1p-9999999999",
            "0x1p",
            "0x1p+-5",
        ] {
            assert_eq!(parse_f64(bad.as_bytes()), None, "{bad}");
        }
        for (text, value) in
            [("1e-400", 0.0), ("0x1p-2000", 0.0), ("-0x1p2000", f64::NEG_INFINITY), ("1e400", f64::INFINITY)]
        {
            assert_eq!(parse_f64_in_reach(text.as_bytes()), Some(value), "{text}");
        }
    }
}
