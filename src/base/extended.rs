//! The 80-bit floating-point numbers that INCRBYFLOAT and HINCRBYFLOAT calculate with (= `long double` on x86, with
//! `strtold` and `%.17Lf`, behind string2ld and ld2string of util.c).
//!
//! Redis's results show all 64 bits of the mantissa, so a double will not do. A value is `mantissa × 2^exponent`; text
//! is read and written exactly, rounding to nearest, ties to even. Absent: every operation but addition and what timeouts need, and NaN.

/// The exponent of the smallest values, whose mantissa may lack its top bit.
const EXPONENT_MIN: i32 = -16445;
/// The exponent of the largest finite values.
const EXPONENT_MAX: i32 = 16320;
/// A finite value has fewer decimal digits before its point than this.
const DIGITS_BEFORE_POINT_MAX: i64 = 4933;
/// A value with more zeros than this right behind its point rounds to zero.
const ZEROS_AFTER_POINT_MAX: i64 = 4951;
/// Longer text is no number (= MAX_LONG_DOUBLE_CHARS).
const TEXT_MAX: usize = 5 * 1024 - 1;
/// The decimals that are printed.
const DECIMALS: usize = 17;

/// A number of the 80-bit format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extended {
    /// `mantissa × 2^exponent`; the top bit of the mantissa is set unless the exponent is the smallest or the value is 0.
    Finite {
        /// Whether it is below zero.
        negative: bool,
        /// 64 bits.
        mantissa: u64,
        /// Of the mantissa's lowest bit.
        exponent: i32,
    },
    /// Infinity, as its name spells it.
    Infinite {
        /// Whether it is below zero.
        negative: bool,
    },
}

/// Why a sum cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumError {
    /// An operand is not a number.
    NotANumber,
    /// The sum is not finite.
    NotFinite,
}

/// The sum of two numbers given as text, as text.
pub fn add_decimal(current: &[u8], increment: &[u8]) -> Result<Vec<u8>, SumError> {
    let current = Extended::parse(current).ok_or(SumError::NotANumber)?;
    let increment = Extended::parse(increment).ok_or(SumError::NotANumber)?;
    current.add(increment).map(Extended::to_text).ok_or(SumError::NotFinite)
}

impl Extended {
    /// Zero.
    pub const ZERO: Extended = Extended::Finite { negative: false, mantissa: 0, exponent: 0 };

    /// The number that `text` spells, in any form that `strtold` takes except NaN: decimal or hexadecimal, `inf`,
    /// `infinity`. None if there is anything else around it, if it overflows, or if it is too small to differ from 0.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, body) = match text.split_first()? {
            (b'-', body) => (true, body),
            (b'+', body) => (false, body),
            _ => (false, text),
        };
        if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended::Infinite { negative });
        }
        match body {
            [b'0', b'x' | b'X', hex @ ..] => parse_hexadecimal(negative, hex),
            _ => parse_decimal(negative, body),
        }
    }

    /// Whether this is not a finite number.
    pub fn is_infinite(self) -> bool {
        matches!(self, Extended::Infinite { .. })
    }

    /// The rounded sum. None if it is not finite.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn add(self, other: Self) -> Option<Self> {
        let (
            Extended::Finite { negative: a_negative, mantissa: a, exponent: a_exponent },
            Extended::Finite { negative: b_negative, mantissa: b, exponent: b_exponent },
        ) = (self, other)
        else {
            return None;
        };
        if a == 0 || b == 0 {
            return Some(if a == 0 { other } else { self });
        }
        if (a_exponent, a) < (b_exponent, b) {
            return other.add(self);
        }
        // Two bits of room above for a carry, 62 below for what the smaller one loses.
        let high = u128::from(a) << 62;
        let gap = (a_exponent - b_exponent) as u32;
        let (low, lost) = match gap {
            0..128 => {
                let full = u128::from(b) << 62;
                (full >> gap, (full >> gap) << gap != full)
            }
            _ => (0, true),
        };
        let sum = if a_negative == b_negative { high + low } else { high - low - u128::from(lost) };
        if sum == 0 {
            return Some(Extended::ZERO);
        }
        match rounded(a_negative, sum, a_exponent - 62, lost) {
            Extended::Infinite { .. } => None,
            finite => Some(finite),
        }
    }

    /// A thousand times as much, rounded up to an integer. None if it is too large; what is too small is the least.
    pub fn thousandfold_up(self) -> Option<i64> {
        let product = match self {
            Extended::Finite { negative, mantissa, exponent } => {
                rounded(negative, u128::from(mantissa) * 1000, exponent, false)
            }
            infinite => infinite,
        };
        let (negative, mantissa, exponent) = match product {
            Extended::Finite { negative, mantissa, exponent } => (negative, mantissa, exponent),
            Extended::Infinite { negative: true } => return Some(i64::MIN),
            Extended::Infinite { negative: false } => return None,
        };
        let whole = match exponent {
            0..64 => u128::from(mantissa) << exponent,
            64.. if mantissa != 0 => u128::MAX,
            -63..0 => u128::from(mantissa >> -exponent),
            _ => 0,
        };
        let has_fraction =
            exponent < 0 && (exponent < -63 && mantissa != 0 || mantissa & ((1 << -exponent.max(-63)) - 1) != 0);
        match negative {
            true => Some(i64::try_from(whole).map_or(i64::MIN, |whole| -whole)),
            false => i64::try_from(whole + u128::from(has_fraction && whole < u128::MAX)).ok(),
        }
    }

    /// At most 17 decimals, without zeros at their end: `3`, `-0.1`.
    pub fn to_text(self) -> Vec<u8> {
        let (negative, mantissa, exponent) = match self {
            Extended::Finite { negative, mantissa, exponent } => (negative, mantissa, exponent),
            Extended::Infinite { negative: true } => return b"-inf".to_vec(),
            Extended::Infinite { negative: false } => return b"inf".to_vec(),
        };
        let mut text = Vec::with_capacity(40);
        if mantissa == 0 {
            return b"0".to_vec();
        }
        if negative {
            text.push(b'-');
        }
        if exponent >= 0 {
            match exponent {
                0..64 => text.extend_from_slice((u128::from(mantissa) << exponent).to_string().as_bytes()),
                _ => Big::from_u128(mantissa.into()).shifted_left(exponent as usize).write_decimal(&mut text),
            }
            return text;
        }
        let scaled = hundred_quadrillionths(mantissa, exponent.unsigned_abs());
        if scaled == 0 {
            return b"0".to_vec();
        }
        let digits = format!("{scaled:0width$}", width = DECIMALS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        text.extend_from_slice(whole.as_bytes());
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            text.push(b'.');
            text.extend_from_slice(fraction.as_bytes());
        }
        text
    }
}

/// `mantissa × 10^17 / 2^shift`, rounded to nearest, ties to even.
fn hundred_quadrillionths(mantissa: u64, shift: u32) -> u128 {
    // 64 and 57 bits: this cannot overflow.
    let scaled = u128::from(mantissa) * 10u128.pow(DECIMALS as u32);
    if shift > 127 {
        return 0;
    }
    round_shift(scaled, shift, false)
}

/// `value / 2^shift` rounded to nearest, ties to even; `more` says that the true value is a little above `value`.
fn round_shift(value: u128, shift: u32, more: bool) -> u128 {
    if shift == 0 {
        return value;
    }
    let quotient = value >> shift;
    let rest = value - (quotient << shift);
    let half = 1u128 << (shift - 1);
    let up = rest > half || (rest == half && (more || quotient & 1 == 1));
    quotient + u128::from(up)
}

/// The number nearest to `value × 2^exponent`; `more` says that there is a little more, and then `value` has at least
/// 66 bits.
fn rounded(negative: bool, value: u128, exponent: i32, more: bool) -> Extended {
    if value == 0 {
        return Extended::Finite { negative, mantissa: 0, exponent: 0 };
    }
    let bits = 128 - value.leading_zeros() as i32;
    let shift = (bits - 64).max(EXPONENT_MIN - exponent);
    let mut exponent = exponent + shift;
    let mantissa = match shift {
        128.. => 0,
        0.. => round_shift(value, shift as u32, more),
        _ => value << -shift,
    };
    let mantissa = u64::try_from(mantissa).unwrap_or_else(|_| {
        exponent += 1;
        1 << 63
    });
    match exponent > EXPONENT_MAX {
        true => Extended::Infinite { negative },
        false => Extended::Finite { negative, mantissa, exponent },
    }
}

/// The same, for text whose value is not 0: it may become neither infinite nor 0.
fn rounded_text(negative: bool, value: u128, exponent: i32, more: bool) -> Option<Extended> {
    match rounded(negative, value, exponent, more) {
        Extended::Infinite { .. } | Extended::Finite { mantissa: 0, .. } => None,
        number => Some(number),
    }
}

/// Splits a number's text into its digits, how many of them stand before the point, and its exponent. None if the text
/// is anything else.
fn split_number(text: &[u8], is_digit: fn(&u8) -> bool, mark: u8) -> Option<(Vec<u8>, i64, i64)> {
    let mut digits: Vec<u8> = text.iter().copied().take_while(is_digit).collect();
    let before_point = digits.len() as i64;
    let mut rest = &text[digits.len()..];
    if let [b'.', fraction @ ..] = rest {
        let count = fraction.iter().take_while(|byte| is_digit(byte)).count();
        digits.extend_from_slice(&fraction[..count]);
        rest = &fraction[count..];
    }
    if digits.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [first, exponent @ ..] if first.eq_ignore_ascii_case(&mark) => parse_exponent(exponent)?,
        _ => return None,
    };
    Some((digits, before_point, exponent))
}

/// A decimal exponent; absurd ones are cut to a billion.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        (b'+', digits) => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1_000_000_000));
    Some(if negative { -size } else { size })
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let (digits, before_point, exponent) = split_number(text, u8::is_ascii_hexdigit, b'p')?;
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    let mut value = 0u128;
    let mut more = false;
    for (index, &digit) in digits[leading..].iter().enumerate() {
        let digit = (digit as char).to_digit(16)?;
        match index < 32 {
            true => value = value << 4 | u128::from(digit),
            false => more |= digit != 0,
        }
    }
    if value == 0 {
        return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
    }
    let taken = (leading + 32).min(digits.len()) as i64;
    let exponent = exponent + (before_point - taken) * 4;
    rounded_text(negative, value, exponent.clamp(-100_000, 100_000) as i32, more)
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let (digits, before_point, exponent) = split_number(text, u8::is_ascii_digit, b'e')?;
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    let trailing = digits[leading..].iter().rev().take_while(|&&digit| digit == b'0').count();
    let significant = &digits[leading..digits.len() - trailing];
    if significant.is_empty() {
        return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
    }
    // The value is 0.significant × 10^point, or significant × 10^power.
    let point = before_point - leading as i64 + exponent;
    if !(-ZEROS_AFTER_POINT_MAX..=DIGITS_BEFORE_POINT_MAX).contains(&point) {
        return None;
    }
    let power = (point - significant.len() as i64) as i32;
    let (value, exponent, more) = match scale_small(significant, power) {
        Some(scaled) => scaled,
        None => scale_big(significant, power),
    };
    rounded_text(negative, value, exponent, more)
}

/// `digits × 10^power` as bits, their exponent, and whether there is more; None if 128 bits are not enough.
fn scale_small(digits: &[u8], power: i32) -> Option<(u128, i32, bool)> {
    if digits.len() > 38 || !(-18..=38).contains(&power) {
        return None;
    }
    let value = digits.iter().fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    let scale = 10u128.pow(power.unsigned_abs());
    if power >= 0 {
        return Some((value.checked_mul(scale)?, 0, false));
    }
    // The dividend has 128 bits and the divisor at most 60: enough are left.
    let shift = value.leading_zeros();
    let value = value << shift;
    Some((value / scale, -(shift as i32), value % scale != 0))
}

/// The same, for numbers of any length.
fn scale_big(digits: &[u8], power: i32) -> (u128, i32, bool) {
    let mut value = Big::from_digits(digits);
    if power >= 0 {
        value.multiply_by_power_of_ten(power as u32);
        let excess = value.bits().saturating_sub(128);
        let (top, more) = value.shifted_right(excess);
        return (top, excess as i32, more);
    }
    let mut scale = Big::from_u128(1);
    scale.multiply_by_power_of_ten(power.unsigned_abs());
    // The quotient gets 99 or 100 bits, whatever the two lengths are.
    let shift = 100 + scale.bits() as i32 - value.bits() as i32;
    match shift >= 0 {
        true => value = value.shifted_left(shift as usize),
        false => scale = scale.shifted_left(shift.unsigned_abs() as usize),
    }
    let (quotient, more) = value.divided_by(&scale);
    (quotient, -shift, more)
}

/// A natural number of any length, 64 bits a limb, the lowest first, no zero limb at the top.
struct Big(Vec<u64>);

impl Big {
    fn from_u128(value: u128) -> Self {
        Big(vec![value as u64, (value >> 64) as u64]).trimmed()
    }

    fn from_digits(digits: &[u8]) -> Self {
        let mut value = Big(Vec::new());
        for chunk in digits.chunks(19) {
            let addend = chunk.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            value.multiply_add(10u64.pow(chunk.len() as u32), addend);
        }
        value
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 64 - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    fn multiply_by_power_of_ten(&mut self, mut power: u32) {
        while power > 0 {
            let step = power.min(19);
            self.multiply_add(10u64.pow(step), 0);
            power -= step;
        }
    }

    fn shifted_left(&self, count: usize) -> Big {
        let mut limbs = vec![0; count / 64];
        let mut carry = 0;
        for &limb in &self.0 {
            let wide = u128::from(limb) << (count % 64);
            limbs.push(wide as u64 | carry);
            carry = (wide >> 64) as u64;
        }
        limbs.push(carry);
        Big(limbs).trimmed()
    }

    /// What is left above `count` bits, which must fit 128, and whether any bit was lost.
    fn shifted_right(&self, count: usize) -> (u128, bool) {
        let limb = |index: usize| u128::from(self.0.get(index).copied().unwrap_or(0));
        let (skip, part) = (count / 64, count % 64);
        let low = limb(skip) | limb(skip + 1) << 64;
        let top = if part == 0 { low } else { low >> part | limb(skip + 2) << (128 - part) };
        let lost = self.0.iter().take(skip).any(|&limb| limb != 0) || limb(skip) & ((1 << part) - 1) != 0;
        (top, lost)
    }

    /// The quotient, which must have at most 101 bits, and whether there is a rest. One bit a step.
    fn divided_by(mut self, divisor: &Big) -> (u128, bool) {
        let mut quotient = 0u128;
        for shift in (0..=self.bits().saturating_sub(divisor.bits())).rev() {
            let shifted = divisor.shifted_left(shift);
            quotient <<= 1;
            if self.subtract_if_not_less(&shifted) {
                quotient |= 1;
            }
        }
        (quotient, !self.0.is_empty())
    }

    fn subtract_if_not_less(&mut self, other: &Big) -> bool {
        if self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())).is_lt() {
            return false;
        }
        let mut borrow = false;
        for (index, limb) in self.0.iter_mut().enumerate() {
            let (difference, first) = limb.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first || second;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        true
    }

    fn write_decimal(mut self, text: &mut Vec<u8>) {
        const CHUNK: u64 = 10u64.pow(19);
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let dividend = u128::from(rest) << 64 | u128::from(*limb);
                *limb = (dividend / u128::from(CHUNK)) as u64;
                rest = (dividend % u128::from(CHUNK)) as u64;
            }
            self = self.trimmed();
            chunks.push(rest);
        }
        let mut chunks = chunks.iter().rev();
        text.extend_from_slice(chunks.next().unwrap_or(&0).to_string().as_bytes());
        for chunk in chunks {
            text.extend_from_slice(format!("{chunk:019}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What gcc's `long double` and glibc make of random numbers on x86-64. `P text mantissa exponent` is what strtold
    /// reads, `P text -` that it refuses, `A a b sum` an addition printed by `%.17Lf` without trailing zeros.
    const CASES: &str = include_str!("extended_cases.txt");

    fn check(line: &str) {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["P", text, "-"] => assert_eq!(Extended::parse(text.as_bytes()), None, "{line}"),
            ["P", text, mantissa, exponent] => {
                let expected = (u64::from_str_radix(mantissa, 16).unwrap(), exponent.parse::<i32>().unwrap());
                match Extended::parse(text.as_bytes()) {
                    Some(Extended::Finite { negative, mantissa, exponent }) => {
                        assert_eq!((mantissa, exponent), expected, "{line}");
                        assert_eq!(negative, text.starts_with('-'), "{line}");
                    }
                    other => panic!("{line}: {other:?}"),
                }
            }
            ["A", a, b, sum] => {
                let made = add_decimal(a.as_bytes(), b.as_bytes()).unwrap();
                assert_eq!(String::from_utf8(made).unwrap(), sum, "{line}");
            }
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn calculates_as_the_x87_does() {
        assert!(CASES.lines().count() > 500);
        CASES.lines().for_each(check);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in [
            "",
            "-",
            "+",
            ".",
            "-.",
            "e5",
            "1e",
            "1e+",
            "1e5.0",
            "1 ",
            " 1",
            "1.2.3",
            "nan",
            "-nan",
            "0x",
            "0x.",
            "0x1p",
            "0xg",
            "1\0",
            "in",
            "infinit",
            "--1",
            "1e5000",
            "-1e5000",
            "1e-5000",
            "1e99999999999999999999",
        ] {
            assert_eq!(Extended::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Extended::parse(&[b'0'; TEXT_MAX]), Some(Extended::ZERO));
        assert_eq!(Extended::parse(&[b'0'; TEXT_MAX + 1]), None);
    }

    #[test]
    fn infinity_can_be_read_but_not_added() {
        for (text, negative) in [("inf", false), ("+Infinity", false), ("-INF", true)] {
            assert_eq!(Extended::parse(text.as_bytes()), Some(Extended::Infinite { negative }));
            assert_eq!(add_decimal(b"1", text.as_bytes()), Err(SumError::NotFinite));
        }
        assert_eq!(add_decimal(b"5e4931", b"5e4931").map(|text| text.len()), Ok(4933));
        assert_eq!(add_decimal(b"1.1e4932", b"1.1e4932"), Err(SumError::NotFinite));
        assert_eq!(add_decimal(b"x", b"1"), Err(SumError::NotANumber));
    }

    #[test]
    fn sums_of_doubles_agree_with_exact_arithmetic() {
        let mut rng = crate::base::rng::Rng::new(11);
        for _ in 0..20_000 {
            // Both below 2^60 in steps of 2^-3: every sum is exact.
            let (a, b) = ((rng.next_u64() >> 1) as i64 >> 2, (rng.next_u64() as i64) >> 3);
            let text = |value: i64| {
                format!("{}{}.{:03}", if value < 0 { "-" } else { "" }, value.abs() / 8, value.abs() % 8 * 125)
            };
            let sum = Extended::parse(&add_decimal(text(a).as_bytes(), text(b).as_bytes()).unwrap());
            assert_eq!(sum, Extended::parse(text(a + b).as_bytes()), "{a} {b}");
        }
    }

    #[test]
    fn a_thousandfold_is_rounded_up() {
        let cases: [(&str, Option<i64>); 20] = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1", Some(1000)),
            ("0.0001", Some(1)),
            ("1e-4000", Some(1)),
            ("-1e-4000", Some(0)),
            ("-0.0009", Some(0)),
            ("-0.001", Some(0)),
            ("0.29", Some(290)),
            ("-0.007", Some(-7)),
            ("2.3", Some(2300)),
            ("-1.5", Some(-1500)),
            ("0x0.01", Some(4)),
            ("1.0005", Some(1001)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("1e4000", None),
            ("inf", None),
            ("-1e300", Some(i64::MIN)),
            ("-inf", Some(i64::MIN)),
        ];
        for (text, expected) in cases {
            assert_eq!(Extended::parse(text.as_bytes()).and_then(Extended::thousandfold_up), expected, "{text}");
        }
    }
}
