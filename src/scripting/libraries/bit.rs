//! `bit`: operations on the lowest 32 bits of numbers (facts of LuaBitOp's documentation).

use crate::base::lua::{Native, Raise, Stack};

/// The functions.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("tobit", |stack| answer(stack, |stack| bits(stack, 1))),
    ("bnot", |stack| answer(stack, |stack| Ok(!bits(stack, 1)?))),
    ("bswap", |stack| answer(stack, |stack| Ok(bits(stack, 1)?.swap_bytes()))),
    ("band", |stack| fold(stack, |a, b| a & b)),
    ("bor", |stack| fold(stack, |a, b| a | b)),
    ("bxor", |stack| fold(stack, |a, b| a ^ b)),
    ("lshift", |stack| shift(stack, |a, n| a << n)),
    ("rshift", |stack| shift(stack, |a, n| a >> n)),
    ("arshift", |stack| shift(stack, |a, n| ((a as i32) >> n) as u32)),
    ("rol", |stack| shift(stack, u32::rotate_left)),
    ("ror", |stack| shift(stack, u32::rotate_right)),
    ("tohex", tohex),
];

/// The lowest 32 bits of an argument. Adding 2^52 + 2^51 rounds to an integer, half to even, that stands in the lowest
/// bits of the mantissa, modulo 2^32, as the documentation defines numbers beyond 32 bits.
fn bits(stack: &Stack<'_>, index: i32) -> Result<u32, Raise> {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    Ok((stack.check_number(index)? + SHIFT).to_bits() as u32)
}

/// Pushes 32 bits as a number with a sign.
fn answer(stack: &mut Stack<'_>, function: fn(&Stack<'_>) -> Result<u32, Raise>) -> Result<usize, Raise> {
    let bits = function(stack)?;
    push(stack, bits)
}

fn push(stack: &mut Stack<'_>, bits: u32) -> Result<usize, Raise> {
    stack.push_number(f64::from(bits as i32));
    Ok(1)
}

/// All arguments, one after the other. The first is asked for first, then from the last down.
fn fold(stack: &mut Stack<'_>, operation: fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let first = bits(stack, 1)?;
    let folded = (2..=stack.top()).rev().try_fold(first, |folded, index| Ok(operation(folded, bits(stack, index)?)))?;
    stack.set_top(0);
    push(stack, folded)
}

fn shift(stack: &mut Stack<'_>, operation: fn(u32, u32) -> u32) -> Result<usize, Raise> {
    let (number, count) = (bits(stack, 1)?, bits(stack, 2)?);
    push(stack, operation(number, count & 31))
}

/// The last digits of a number in hexadecimal: as many as are asked for, in capitals where that is negative.
fn tohex(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let number = bits(stack, 1)?;
    let digits = if stack.top() < 2 { 8 } else { bits(stack, 2)? as i32 };
    let all = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    let shown = (digits.unsigned_abs() as usize).min(8);
    stack.push_bytes(&all.as_bytes()[8 - shown..]);
    Ok(1)
}
