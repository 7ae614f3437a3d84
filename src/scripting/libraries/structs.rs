//! `struct`: values to bytes and back, by a format (facts of the documentation of Lua's struct library and of what a
//! stock server answers).
//!
//! | letter | what |
//! |---|---|
//! | `b` `B`, `h` `H`, `l` `L` | integers of 1, 2, 8 bytes, with and without a sign; `T` is as `L` |
//! | `i`*n* `I`*n* | integers of *n* bytes, 4 where *n* is not said |
//! | `f` `d` | floats of 4 and 8 bytes |
//! | `s` | a string that a zero byte ends |
//! | `c`*n* | *n* bytes; `c0` is the whole string, or as many as the number before it says |
//! | `x` | a byte of padding |
//! | `<` `>` | little endian (so it begins), big endian |
//! | `!`*n* | values stand at multiples of their size, or of *n* where that is less; 8 where *n* is not said |

use super::numbers::{check_integer, is_given, to_integer};
use crate::base::lua::{Kind, Native, Raise, Stack};

/// The widest integer.
const INTEGER_SIZE_MAX: usize = 32;
/// What `!` alone aligns to.
const ALIGNMENT_MAX: usize = 8;

/// The functions.
pub const FUNCTIONS: &[(&str, Native)] = &[("pack", pack), ("unpack", unpack), ("size", size)];

/// A format that is being read.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    /// A format ends at a zero byte.
    fn new(text: &'a [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Format { rest: &text[..end], big_endian: false, alignment: 1 }
    }

    /// The next option and its size; that of an option without one is 0.
    fn next(&mut self) -> Result<Option<(u8, usize)>, Raise> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number()?.unwrap_or(1),
            b'i' | b'I' => {
                let size = self.number()?.unwrap_or(4);
                if size > INTEGER_SIZE_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_SIZE_MAX}");
                    return Err(Raise::error(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The digits that stand here, if any do.
    fn number(&mut self) -> Result<Option<usize>, Raise> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 {
            return Ok(None);
        }
        let number =
            number.iter().try_fold(0i32, |sum, digit| sum.checked_mul(10)?.checked_add(i32::from(digit - b'0')));
        number.map(|number| Some(number as usize)).ok_or_else(|| Raise::error("integral size overflow"))
    }

    /// How many bytes of padding stand before a value that would begin at `place`.
    fn padding(&self, place: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        size.wrapping_sub(place & (size - 1)) & (size - 1)
    }

    /// An option that says how the others are meant.
    fn control(&mut self, option: u8) -> Result<(), Raise> {
        match option {
            b' ' => {}
            b'<' => self.big_endian = false,
            b'>' => self.big_endian = true,
            b'!' => {
                let alignment = self.number()?.unwrap_or(ALIGNMENT_MAX);
                if !alignment.is_power_of_two() {
                    return Err(Raise::error(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            _ => {
                let text = [b"invalid format option '".as_slice(), &[option], b"'"].concat();
                return Err(Raise::Argument(1, text));
            }
        }
        Ok(())
    }

    /// Appends bytes that are in little-endian order, in the order asked for.
    fn put(&self, out: &mut Vec<u8>, little: &[u8]) {
        match self.big_endian {
            true => out.extend(little.iter().rev()),
            false => out.extend(little),
        }
    }

    /// The bytes in little-endian order, of which there are at most `N`.
    fn take<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        let mut little = [0; N];
        for (i, place) in little.iter_mut().enumerate().take(bytes.len()) {
            *place = if self.big_endian { bytes[bytes.len() - 1 - i] } else { bytes[i] };
        }
        little
    }
}

fn pack(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let format = stack.check_bytes(1)?.to_vec();
    let mut format = Format::new(&format);
    let mut out = Vec::new();
    let mut next = 2;
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let mut bytes = [0; INTEGER_SIZE_MAX];
                bytes[..8].copy_from_slice(&to_unsigned(number(stack, next)?).to_le_bytes());
                format.put(&mut out, &bytes[..size]);
                next += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                format.put(&mut out, &(number(stack, next)? as f32).to_le_bytes());
                next += 1;
            }
            b'd' => {
                format.put(&mut out, &number(stack, next)?.to_le_bytes());
                next += 1;
            }
            b's' | b'c' => {
                if stack.kind(next) == Kind::None {
                    return Err(missing(next, "string"));
                }
                let string = stack.check_bytes(next)?;
                next += 1;
                let size = if size == 0 { string.len() } else { size };
                let shown = string.get(..size).ok_or_else(|| Raise::argument(next, "string too short"))?;
                out.extend_from_slice(shown);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => format.control(option)?,
        }
    }
    stack.set_top(0);
    stack.push_bytes(&out);
    Ok(1)
}

/// A number to pack.
fn number(stack: &Stack<'_>, index: i32) -> Result<f64, Raise> {
    if stack.kind(index) == Kind::None {
        return Err(missing(index, "number"));
    }
    stack.check_number(index)
}

/// Stock finds a nil where an argument is missing.
fn missing(index: i32, expected: &str) -> Raise {
    Raise::argument(index, format!("{expected} expected, got nil"))
}

/// A double cut to 64 bits, with or without a sign, as the processor does it.
fn to_unsigned(number: f64) -> u64 {
    const TOP: f64 = 9_223_372_036_854_775_808.0;
    if number >= TOP { (to_integer(number - TOP) as u64) ^ (1 << 63) } else { to_integer(number) as u64 }
}

fn unpack(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let format = stack.check_bytes(1)?.to_vec();
    let mut format = Format::new(&format);
    let data = stack.check_bytes(2)?.to_vec();
    let start = if is_given(stack, 3) { check_integer(stack, 3)? } else { 1 };
    if start == 0 {
        return Err(Raise::argument(3, "offset must be 1 or greater"));
    }
    let mut place = (start as usize).wrapping_sub(1);
    let mut count = 0;
    while let Some((option, size)) = format.next()? {
        place = place.wrapping_add(format.padding(place, option, size));
        let mut bytes = part(&data, place, size)?;
        if !stack.reserve(2) {
            return Err(Raise::error("stack overflow (too many results)"));
        }
        count += 1;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                stack.push_number(integer(&format, option, bytes));
            }
            b'f' => stack.push_number(f64::from(f32::from_le_bytes(format.take(bytes)))),
            b'd' => stack.push_number(f64::from_le_bytes(format.take(bytes))),
            b'c' => {
                if size == 0 {
                    // The string takes the place of its length.
                    count -= 1;
                    bytes = part(&data, place, counted(stack, count)?)?;
                }
                stack.push_bytes(bytes);
            }
            b's' => {
                let rest = &data[place..];
                let end = memchr::memchr(0, rest).ok_or_else(|| Raise::error("unfinished string in data"))?;
                stack.push_bytes(&rest[..end]);
                bytes = &rest[..=end];
            }
            _ => {
                count -= 1;
                if option != b'x' {
                    format.control(option)?;
                }
            }
        }
        place += bytes.len();
    }
    stack.push_number((place.wrapping_add(1) as i64) as f64);
    Ok(count + 1)
}

/// So many bytes of the data from a place on.
fn part(data: &[u8], place: usize, size: usize) -> Result<&[u8], Raise> {
    let bytes = place.checked_add(size).and_then(|end| data.get(place..end));
    bytes.ok_or_else(|| Raise::argument(2, "data string too short"))
}

/// The size of a `c0`: the result before it, of which there are `count`. It is taken away.
fn counted(stack: &mut Stack<'_>, count: usize) -> Result<usize, Raise> {
    let number = if count > 0 { stack.number(-1) } else { None };
    let number = number.ok_or_else(|| Raise::error("format 'c0' needs a previous size"))?;
    stack.pop(1);
    Ok(to_unsigned(number) as usize)
}

/// An integer of up to 32 bytes, of which the lowest 8 count.
fn integer(format: &Format<'_>, option: u8, bytes: &[u8]) -> f64 {
    let lowest = if format.big_endian && bytes.len() > 8 { &bytes[bytes.len() - 8..] } else { bytes };
    let value = u64::from_le_bytes(format.take(lowest));
    if option.is_ascii_uppercase() {
        return value as f64;
    }
    // The sign stands where the size says, and beyond 8 bytes where the processor's shift ends up: modulo 64.
    let sign = u64::MAX << ((8 * bytes.len()).wrapping_sub(1) & 63);
    let value = if value & sign == 0 { value } else { value | sign };
    (value as i64) as f64
}

fn size(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let format = stack.check_bytes(1)?.to_vec();
    let mut format = Format::new(&format);
    let mut total: usize = 0;
    while let Some((option, size)) = format.next()? {
        total = total.saturating_add(format.padding(total, option, size));
        match option {
            b's' => return Err(Raise::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(Raise::argument(1, "option 'c0' has no fixed size")),
            _ => {}
        }
        total = total.saturating_add(size);
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
    }
    stack.push_number((total as i64) as f64);
    Ok(1)
}
