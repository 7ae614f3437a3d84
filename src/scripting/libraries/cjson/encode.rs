//! Values to JSON. Nothing here calls itself: the tables that are not complete stand in a list, and on Lua's stack.

use super::{NULL, Settings, check_single};
use crate::base::lua::{Kind, Raise, Stack};
use crate::base::numbers;

/// A table that is being written. It is on the stack; above it the element, or the key and the value, that comes next.
enum Open {
    Array { table: i32, next: i32, len: i32 },
    Object { table: i32, is_first: bool },
}

/// `cjson.encode`
pub fn encode(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    check_single(stack)?;
    let settings = Settings::load(stack);
    let mut out = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        match stack.kind(-1) {
            Kind::Table => {
                let depth = open.len() + 1;
                if depth > settings.encode_max_depth as usize || !stack.reserve(3) {
                    return Err(Raise::error(format!("Cannot serialise, excessive nesting ({depth})")));
                }
                open.push(begin_table(stack, &mut out, &settings)?);
            }
            _ => append_scalar(stack, &mut out, &settings)?,
        }
        while let Some(top) = open.last_mut() {
            if go_on(stack, &mut out, &settings, top)? {
                break;
            }
            open.pop();
        }
        if open.is_empty() {
            stack.set_top(0);
            stack.push_bytes(&out);
            return Ok(1);
        }
    }
}

/// Begins the table on top.
fn begin_table(stack: &mut Stack<'_>, out: &mut Vec<u8>, settings: &Settings) -> Result<Open, Raise> {
    let len = array_length(stack, settings)?;
    let table = stack.top();
    if len > 0 {
        out.push(b'[');
        return Ok(Open::Array { table, next: 1, len });
    }
    out.push(b'{');
    stack.push_nil();
    Ok(Open::Object { table, is_first: true })
}

/// Pushes what a table holds next; `false` if that was all.
fn go_on(stack: &mut Stack<'_>, out: &mut Vec<u8>, settings: &Settings, open: &mut Open) -> Result<bool, Raise> {
    match open {
        Open::Array { table, next, len } => {
            stack.set_top(*table);
            if *next > *len {
                out.push(b']');
                return Ok(false);
            }
            if *next > 1 {
                out.push(b',');
            }
            stack.raw_get_element(*table, *next);
            *next += 1;
        }
        Open::Object { table, is_first } => {
            stack.set_top(*table + 1);
            if !stack.next(*table)? {
                out.push(b'}');
                return Ok(false);
            }
            if !*is_first {
                out.push(b',');
            }
            *is_first = false;
            append_key(stack, out, settings)?;
        }
    }
    Ok(true)
}

/// The length of the table on top if it is an array, and 0 or less if it is none. Stock counts with 32 bits.
fn array_length(stack: &mut Stack<'_>, settings: &Settings) -> Result<i32, Raise> {
    let (mut max, mut items) = (0i32, 0i32);
    let top = stack.top();
    let is_array = stack.walk(top, |stack| {
        let key = if stack.kind(-2) == Kind::Number { stack.number(-2).unwrap_or_default() } else { 0.0 };
        if key < 1.0 || key.floor() != key {
            return Err(());
        }
        if key > f64::from(max) {
            max = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
        }
        items = items.wrapping_add(1);
        Ok(())
    });
    stack.set_top(top);
    if is_array.is_err() {
        return Ok(0);
    }
    let is_sparse =
        settings.sparse_ratio > 0 && max > items.wrapping_mul(settings.sparse_ratio) && max > settings.sparse_safe;
    match (is_sparse, settings.sparse_convert) {
        (true, 0) => Err(refusal("table", "excessively sparse array")),
        (true, _) => Ok(0),
        (false, _) => Ok(max),
    }
}

fn refusal(kind: &str, reason: &str) -> Raise {
    Raise::error(format!("Cannot serialise {kind}: {reason}"))
}

/// The key below the top, with its colon.
fn append_key(stack: &Stack<'_>, out: &mut Vec<u8>, settings: &Settings) -> Result<(), Raise> {
    match stack.kind(-2) {
        Kind::Str => append_string(out, stack.bytes(-2).unwrap_or_default()),
        Kind::Number => {
            out.push(b'"');
            append_number(out, stack.number(-2).unwrap_or_default(), settings)?;
            out.push(b'"');
        }
        _ => return Err(refusal(stack.kind_name(-2), "table key must be a number or string")),
    }
    out.push(b':');
    Ok(())
}

/// The value on top, which is no table.
fn append_scalar(stack: &Stack<'_>, out: &mut Vec<u8>, settings: &Settings) -> Result<(), Raise> {
    match stack.kind(-1) {
        Kind::Str => append_string(out, stack.bytes(-1).unwrap_or_default()),
        Kind::Number => append_number(out, stack.number(-1).unwrap_or_default(), settings)?,
        Kind::Boolean => out.extend_from_slice(if stack.boolean(-1) { b"true" } else { b"false" }),
        Kind::Nil => out.extend_from_slice(b"null"),
        Kind::LightUserdata if stack.mark(-1) == Some(NULL) => out.extend_from_slice(b"null"),
        _ => return Err(refusal(stack.kind_name(-1), "type not supported")),
    }
    Ok(())
}

fn append_number(out: &mut Vec<u8>, number: f64, settings: &Settings) -> Result<(), Raise> {
    if !number.is_finite() {
        return match settings.encode_invalid {
            0 => Err(refusal("number", "must not be NaN or Inf")),
            2 => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            _ => {
                out.extend_from_slice(if number.is_nan() { b"nan" } else { &b"-inf"[usize::from(number > 0.0)..] });
                Ok(())
            }
        };
    }
    let integer = number as i64;
    if integer as f64 == number && integer != 0 && integer.unsigned_abs() < 10u64.pow(settings.precision as u32) {
        numbers::write_i64(out, integer);
    } else {
        numbers::format_g(number, settings.precision as usize, out);
    }
    Ok(())
}

/// The letter behind the backslash that stands for a byte; 0 if it stands for itself, `u` if it has no letter.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 32 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[127] = b'u';
    escapes[8] = b'b';
    escapes[9] = b't';
    escapes[10] = b'n';
    escapes[12] = b'f';
    escapes[13] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[b'/' as usize] = b'/';
    escapes
};

fn append_string(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut written = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[written..place]);
        written = place + 1;
        match escape {
            b'u' => {
                out.extend([b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            letter => out.extend([b'\\', letter]),
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}
