//! `cmsgpack`: values to MessagePack and back (facts of the format's specification and of what a stock server answers).
//!
//! What does not fit is written as nil: functions, userdata, and tables nested deeper than 16. A table is an array where
//! its keys are 1 to n, and a map otherwise. Numbers that are integers of 64 bits are written as such, others as floats
//! of 4 bytes if they lose nothing. Absent, as in stock: the types `bin` and `ext`.

use super::numbers::{as_integer, check_integer, is_given};
use crate::base::lua::{Kind, Native, Raise, Stack};

/// The functions.
pub const FUNCTIONS: &[(&str, Native)] =
    &[("pack", pack), ("unpack", unpack), ("unpack_one", unpack_one), ("unpack_limit", unpack_limit)];

/// The constants.
pub const CONSTANTS: &[(&str, &str)] = &[
    ("_NAME", "cmsgpack"),
    ("_VERSION", "lua-cmsgpack 0.4.0"),
    ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
    ("_DESCRIPTION", "MessagePack C implementation for Lua"),
];

/// Tables nested deeper are written as nil.
const NESTING_MAX: usize = 16;

fn pack(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let count = stack.top();
    if count == 0 {
        return Err(Raise::argument(0, "MessagePack pack needs input."));
    }
    if !stack.reserve(count) {
        return Err(Raise::argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut out = Vec::new();
    for index in 1..=count {
        encode(stack, &mut out, index, 0);
    }
    stack.set_top(0);
    stack.push_bytes(&out);
    Ok(1)
}

/// Writes the value at an index from the bottom. It calls itself for what a table holds, `NESTING_MAX` times at most.
fn encode(stack: &mut Stack<'_>, out: &mut Vec<u8>, index: i32, depth: usize) {
    match stack.kind(index) {
        Kind::Str => encode_string(out, stack.bytes(index).unwrap_or_default()),
        Kind::Boolean => out.push(if stack.boolean(index) { 0xc3 } else { 0xc2 }),
        Kind::Number => encode_number(out, stack.number(index).unwrap_or_default()),
        // A stack that is nearly full holds no further table.
        Kind::Table if depth < NESTING_MAX && stack.reserve(8) => encode_table(stack, out, index, depth + 1),
        _ => out.push(0xc0),
    }
}

fn encode_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len @ 32..=0xff => out.extend([0xd9, len as u8]),
        len => encode_length(out, len, 0xda, 0xdb),
    }
    out.extend_from_slice(bytes);
}

/// A length of 2 or 4 bytes, after the byte that says which.
fn encode_length(out: &mut Vec<u8>, len: usize, short: u8, long: u8) {
    if let Ok(len) = u16::try_from(len) {
        out.push(short);
        out.extend(len.to_be_bytes());
    } else {
        out.push(long);
        out.extend((len as u32).to_be_bytes());
    }
}

fn encode_number(out: &mut Vec<u8>, number: f64) {
    if let Some(integer) = as_integer(number) {
        return encode_integer(out, integer);
    }
    let short = number as f32;
    if f64::from(short) == number {
        out.push(0xca);
        out.extend(short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(number.to_be_bytes());
    }
}

fn encode_integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((value as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend(value.to_be_bytes());
        }
        -32..=-1 => out.push(value as u8),
        -0x80..=-33 => out.extend([0xd0, value as u8]),
        -0x8000..=-0x81 => {
            out.push(0xd1);
            out.extend((value as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend((value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(value.to_be_bytes());
        }
    }
}

fn encode_table(stack: &mut Stack<'_>, out: &mut Vec<u8>, table: i32, depth: usize) {
    let (count, is_array) = measure(stack, table);
    let value = stack.top() + 1;
    if is_array {
        match count {
            0..16 => out.push(0x90 | count as u8),
            _ => encode_length(out, count, 0xdc, 0xdd),
        }
        for number in 1..=count {
            stack.raw_get_element(table, number as i32);
            encode(stack, out, value, depth);
            stack.pop(1);
        }
        return;
    }
    match count {
        0..16 => out.push(0x80 | count as u8),
        _ => encode_length(out, count, 0xde, 0xdf),
    }
    each(stack, table, |stack| {
        encode(stack, out, value, depth);
        encode(stack, out, value + 1, depth);
    });
}

/// Goes through a table: each key is at −2, its value at −1.
fn each(stack: &mut Stack<'_>, table: i32, mut work: impl FnMut(&mut Stack<'_>)) {
    let top = stack.top();
    let Ok(()) = stack.walk(table, |stack| {
        work(stack);
        Ok::<(), std::convert::Infallible>(())
    });
    stack.set_top(top);
}

/// How many entries a table has, and whether their keys are 1 to so many.
fn measure(stack: &mut Stack<'_>, table: i32) -> (usize, bool) {
    let (mut count, mut max, mut has_others) = (0, 0, false);
    each(stack, table, |stack| {
        count += 1;
        let number = if stack.kind(-2) == Kind::Number { stack.number(-2) } else { None };
        match number.and_then(as_integer) {
            Some(number) if number > 0 => max = max.max(number),
            _ => has_others = true,
        }
    });
    (count, !has_others && max == count as i64)
}

fn unpack(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    decode(stack, 0, 0)
}

fn unpack_one(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let offset = if is_given(stack, 2) { check_integer(stack, 2)? } else { 0 };
    keep_first(stack);
    decode(stack, 1, offset)
}

fn unpack_limit(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let limit = check_integer(stack, 2)?;
    let offset = if is_given(stack, 3) { check_integer(stack, 3)? } else { 0 };
    keep_first(stack);
    decode(stack, limit, offset)
}

/// Stock takes all arguments but the first off the stack, where there are any.
fn keep_first(stack: &mut Stack<'_>) {
    if stack.top() > 1 {
        stack.set_top(1);
    }
}

/// Without a limit and an offset all values are returned, and only then the offset is not.
fn decode(stack: &mut Stack<'_>, limit: i64, offset: i64) -> Result<usize, Raise> {
    let data = stack.check_bytes(1)?.to_vec();
    let len = data.len();
    // Stock shows the lowest 32 bits of an offset.
    let shown = offset as i32;
    let Some(start) = usize::try_from(offset).ok().filter(|_| limit >= 0) else {
        return Err(Raise::error(format!("Invalid request to unpack with offset of {shown} and limit of {len}.")));
    };
    if start > len {
        return Err(Raise::error(format!("Start offset {shown} greater than input length {len}.")));
    }
    let tells_offset = limit != 0 || offset != 0;
    let limit = if tells_offset { limit as usize } else { usize::MAX };
    let mut input = Input { rest: &data[start..] };
    let first = stack.top() + 1;
    let mut count = 0;
    while !input.rest.is_empty() && count < limit {
        input.value(stack)?;
        count += 1;
    }
    if tells_offset {
        let left = input.rest.len();
        let offset = if left == 0 { -1.0 } else { (len - left) as f64 };
        if !stack.reserve(1) {
            return Err(Raise::error("stack overflow (too many return values at once)"));
        }
        stack.push_number(offset);
        stack.insert(first);
        count += 1;
    }
    Ok(count)
}

/// A collection that waits for its next entry. It is on the stack, and above it the key of what comes next.
struct Open {
    /// Where the table is.
    table: i32,
    left: usize,
    /// How many entries it has so far.
    count: usize,
    is_map: bool,
    /// Whether the key of a map comes next.
    wants_key: bool,
}

/// Bytes that are being decoded. Nothing here calls itself: the collections that are not complete stand in a list.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Pushes one value with all that it holds.
    fn value(&mut self, stack: &mut Stack<'_>) -> Result<(), Raise> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            if !self.rest.is_empty() && !stack.reserve(1) {
                return Err(Raise::error(
                    "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
                ));
            }
            if let Some((len, is_map)) = self.begin(stack)? {
                if !is_map && !stack.reserve(2) {
                    return Err(Raise::error("stack overflow (in function mp_decode_to_lua_array)"));
                }
                stack.push_table(0, 0);
                if len > 0 {
                    let table = stack.top();
                    open.push(Open { table, left: len, count: 0, is_map, wants_key: is_map });
                    if !is_map {
                        stack.push_number(1.0);
                    }
                    continue;
                }
            }
            while let Some(top) = open.last_mut() {
                if top.is_map && top.wants_key {
                    top.wants_key = false;
                    break;
                }
                set(stack, top.table)?;
                top.left -= 1;
                top.count += 1;
                if top.left > 0 {
                    top.wants_key = top.is_map;
                    if !top.is_map {
                        stack.push_number(top.count as f64 + 1.0);
                    }
                    break;
                }
                open.pop();
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    /// Pushes a scalar, or tells the length of a collection and whether it is a map.
    fn begin(&mut self, stack: &mut Stack<'_>) -> Result<Option<(usize, bool)>, Raise> {
        let [first] = self.bytes()?;
        let number = match first {
            0x00..=0x7f => f64::from(first),
            0xe0..=0xff => f64::from(first as i8),
            0xcc => f64::from(u8::from_be_bytes(self.bytes()?)),
            0xcd => f64::from(u16::from_be_bytes(self.bytes()?)),
            0xce => f64::from(u32::from_be_bytes(self.bytes()?)),
            0xd0 => f64::from(i8::from_be_bytes(self.bytes()?)),
            0xd1 => f64::from(i16::from_be_bytes(self.bytes()?)),
            0xd2 => f64::from(i32::from_be_bytes(self.bytes()?)),
            // Stock reads unsigned 64 bits as signed ones, too.
            0xcf | 0xd3 => i64::from_be_bytes(self.bytes()?) as f64,
            0xca => f64::from(f32::from_be_bytes(self.bytes()?)),
            0xcb => f64::from_be_bytes(self.bytes()?),
            0xc0 => {
                stack.push_nil();
                return Ok(None);
            }
            0xc2 | 0xc3 => {
                stack.push_boolean(first == 0xc3);
                return Ok(None);
            }
            0xa0..=0xbf => return self.string(stack, usize::from(first & 0x1f)),
            0xd9..=0xdb => {
                let len = self.length(first - 0xd9)?;
                return self.string(stack, len);
            }
            0x90..=0x9f => return Ok(Some((usize::from(first & 0xf), false))),
            0xdc | 0xdd => return Ok(Some((self.length(first - 0xdb)?, false))),
            0x80..=0x8f => return Ok(Some((usize::from(first & 0xf), true))),
            0xde | 0xdf => return Ok(Some((self.length(first - 0xdd)?, true))),
            _ => return Err(Raise::error("Bad data format in input.")),
        };
        stack.push_number(number);
        Ok(None)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Raise> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| Raise::error("Missing bytes in input."))?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Raise> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// A length of 1, 2 or 4 bytes, for 0, 1 and 2.
    fn length(&mut self, width: u8) -> Result<usize, Raise> {
        let bytes = self.take(1 << width)?;
        Ok(bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
    }

    fn string(&mut self, stack: &mut Stack<'_>, len: usize) -> Result<Option<(usize, bool)>, Raise> {
        stack.push_bytes(self.take(len)?);
        Ok(None)
    }
}

/// Puts the value on top under the key below it.
fn set(stack: &mut Stack<'_>, table: i32) -> Result<(), Raise> {
    let complaint = match stack.kind(-2) {
        Kind::Nil => "table index is nil",
        Kind::Number if stack.number(-2).is_some_and(f64::is_nan) => "table index is NaN",
        _ => {
            stack.raw_set(table);
            return Ok(());
        }
    };
    Err(Raise::Plain(complaint.into()))
}
