//! Between replies and values of Lua (= the conversions of script_lua.c).

use crate::base::lua::{Kind, Raise, Stack};
use crate::base::numbers;
use crate::resp::reply::Reply;

/// How deep replies of our own commands are nested at most.
const DEPTH_MAX: usize = 64;

/// Pushes what a reply says. The bytes are a whole reply of ours.
pub fn push_reply(stack: &mut Stack<'_>, bytes: &[u8]) -> Result<(), Raise> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.value(stack, 0) {
        Some(()) => Ok(()),
        None => Err(Raise::error("a command's reply cannot be read")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(b'\r', rest)?;
        self.at += end + 2;
        Some(&rest[..end])
    }

    fn count(&mut self) -> Option<i64> {
        numbers::parse_i64(self.line()?)
    }

    fn payload(&mut self, len: i64) -> Option<&'a [u8]> {
        let len = usize::try_from(len).ok()?;
        let payload = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len + 2;
        Some(payload)
    }

    fn value(&mut self, stack: &mut Stack<'_>, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX || !stack.reserve(6) {
            return None;
        }
        let kind = *self.bytes.get(self.at)?;
        self.at += 1;
        match kind {
            b':' => stack.push_number(self.count()? as f64),
            b'$' => match self.count()? {
                -1 => stack.push_boolean(false),
                len => stack.push_bytes(self.payload(len)?),
            },
            b'*' => match self.count()? {
                -1 => stack.push_boolean(false),
                count => self.array(stack, count, depth)?,
            },
            b'+' => field(stack, "ok", self.line()?),
            b'-' => error(stack, self.line()?),
            b'_' => {
                self.line()?;
                stack.push_nil();
            }
            b'#' => stack.push_boolean(self.line()? == b"t"),
            b',' => {
                let text = self.line()?;
                stack.push_table(0, 1);
                stack.push_number(numbers::parse_f64(text).unwrap_or(f64::NAN));
                stack.raw_set_field(-2, "double");
            }
            b'(' => field(stack, "big_number", self.line()?),
            b'=' => {
                let len = self.count()?;
                let text = self.payload(len)?;
                stack.push_table(0, 1);
                stack.push_table(0, 2);
                stack.push_bytes(text.get(4..)?);
                stack.raw_set_field(-2, "string");
                stack.push_bytes(&text[..3]);
                stack.raw_set_field(-2, "format");
                stack.raw_set_field(-2, "verbatim_string");
            }
            b'%' => self.map(stack, depth)?,
            b'~' => self.set(stack, depth)?,
            b'>' => {
                let count = self.count()?;
                self.array(stack, count, depth)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn array(&mut self, stack: &mut Stack<'_>, count: i64, depth: usize) -> Option<()> {
        stack.push_table(usize::try_from(count).ok()?, 0);
        for number in 1..=i32::try_from(count).ok()? {
            self.value(stack, depth + 1)?;
            stack.raw_set_element(-2, number);
        }
        Some(())
    }

    fn map(&mut self, stack: &mut Stack<'_>, depth: usize) -> Option<()> {
        let pairs = usize::try_from(self.count()?).ok()?;
        stack.push_table(0, 1);
        stack.push_table(0, pairs);
        for _ in 0..pairs {
            self.value(stack, depth + 1)?;
            self.value(stack, depth + 1)?;
            set_or_drop(stack);
        }
        stack.raw_set_field(-2, "map");
        Some(())
    }

    fn set(&mut self, stack: &mut Stack<'_>, depth: usize) -> Option<()> {
        let count = usize::try_from(self.count()?).ok()?;
        stack.push_table(0, 1);
        stack.push_table(0, count);
        for _ in 0..count {
            self.value(stack, depth + 1)?;
            stack.push_boolean(true);
            set_or_drop(stack);
        }
        stack.raw_set_field(-2, "set");
        Some(())
    }
}

/// Sets the key and value on top in the table below them, if it is a key.
fn set_or_drop(stack: &mut Stack<'_>) {
    if stack.kind(-2) == Kind::Nil { stack.pop(2) } else { stack.raw_set(-3) }
}

fn field(stack: &mut Stack<'_>, name: &str, value: &[u8]) {
    stack.push_table(0, 1);
    stack.push_bytes(value);
    stack.raw_set_field(-2, name);
}

/// The error of a command, which has been counted already.
fn error(stack: &mut Stack<'_>, text: &[u8]) {
    stack.push_table(0, 2);
    stack.push_bytes(text);
    stack.raw_set_field(-2, "err");
    stack.push_boolean(true);
    stack.raw_set_field(-2, "ignore_error_stats_update");
}

/// Pushes an error table with this text, which begins with its code or gets `ERR`.
pub fn push_error(stack: &mut Stack<'_>, text: &[u8]) {
    let text = text.strip_suffix(b"\r\n").unwrap_or(text);
    let clean: Vec<u8> = text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
    let text = match clean.strip_prefix(b"-") {
        Some(rest) if rest.contains(&b' ') => rest.to_vec(),
        Some(rest) => [b"ERR ", rest].concat(),
        None => [b"ERR ".as_slice(), &clean].concat(),
    };
    field(stack, "err", &text);
}

/// Pushes a status table.
pub fn push_status(stack: &mut Stack<'_>, text: &[u8]) {
    field(stack, "ok", text);
}

/// An error that a script returns as its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnedError {
    /// The text as the client gets it.
    pub text: Vec<u8>,
    /// It is a command's and counted already.
    pub is_counted: bool,
}

/// Turns the value on top into a reply, and drops it. `resp3` is what the script has asked for. Errors among what it
/// returns are handed to `note`.
pub fn reply_value(stack: &mut Stack<'_>, reply: &mut Reply, resp3: bool, note: &mut dyn FnMut(ReturnedError)) {
    if !stack.reserve(4) {
        note(ReturnedError { text: b"ERR reached lua stack limit".to_vec(), is_counted: false });
        reply.error(b"ERR reached lua stack limit");
        return stack.pop(1);
    }
    match stack.kind(-1) {
        Kind::Str => reply.bulk(stack.bytes(-1).unwrap_or_default()),
        Kind::Number => reply.int(whole(stack.number(-1).unwrap_or_default())),
        Kind::Boolean => match (resp3, stack.boolean(-1)) {
            (true, value) => reply.bool(value),
            (false, true) => reply.int(1),
            (false, false) => reply.null(),
        },
        Kind::Table => reply_table(stack, reply, resp3, note),
        _ => reply.null(),
    }
    stack.pop(1);
}

/// As C cuts a double to a 64-bit integer on the processors that matter.
fn whole(number: f64) -> i64 {
    const BEYOND: f64 = (1u64 << 63) as f64;
    if (-BEYOND..BEYOND).contains(&number) { number as i64 } else { i64::MIN }
}

/// Whether the table on top has a field of this type; it is pushed.
fn has(stack: &mut Stack<'_>, name: &str, kind: Kind) -> bool {
    stack.raw_get_field(-1, name);
    let fits = stack.kind(-1) == kind;
    if !fits {
        stack.pop(1);
    }
    fits
}

fn reply_table(stack: &mut Stack<'_>, reply: &mut Reply, resp3: bool, note: &mut dyn FnMut(ReturnedError)) {
    if has(stack, "err", Kind::Str) {
        let text = one_line(stack.bytes(-1).unwrap_or_default());
        stack.pop(1);
        stack.raw_get_field(-1, "ignore_error_stats_update");
        note(ReturnedError { is_counted: stack.boolean(-1), text: text.clone() });
        reply.error(&text);
    } else if has(stack, "ok", Kind::Str) {
        let text = one_line(stack.bytes(-1).unwrap_or_default());
        reply.status_bytes(&text);
    } else if has(stack, "double", Kind::Number) {
        reply.double(stack.number(-1).unwrap_or_default());
    } else if has(stack, "map", Kind::Table) {
        reply_pairs(stack, reply, resp3, true, note);
    } else if has(stack, "set", Kind::Table) {
        reply_pairs(stack, reply, resp3, false, note);
    } else if has(stack, "big_number", Kind::Str) {
        let text = one_line(stack.bytes(-1).unwrap_or_default());
        reply.big_number(&text);
    } else if has(stack, "verbatim_string", Kind::Table) {
        return reply_verbatim(stack, reply, resp3, note);
    } else {
        return reply_array(stack, reply, resp3, note);
    }
    stack.pop(1);
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

fn reply_pairs(
    stack: &mut Stack<'_>,
    reply: &mut Reply,
    resp3: bool,
    is_map: bool,
    note: &mut dyn FnMut(ReturnedError),
) {
    let (place, mut count) = (reply.defer(), 0);
    let done = stack.walk::<()>(-1, |stack| {
        stack.push_value(-2);
        reply_value(stack, reply, resp3, note);
        if is_map {
            reply_value(stack, reply, resp3, note);
        }
        count += 1;
        Ok(())
    });
    debug_assert!(done.is_ok());
    if is_map { reply.fill_map(place, count) } else { reply.fill_set(place, count) }
}

fn reply_verbatim(stack: &mut Stack<'_>, reply: &mut Reply, resp3: bool, note: &mut dyn FnMut(ReturnedError)) {
    stack.raw_get_field(-1, "format");
    stack.raw_get_field(-2, "string");
    match (stack.bytes(-2), stack.bytes(-1)) {
        (Some(format), Some(text)) => {
            let mut short = [b' '; 3];
            let len = format.len().min(3);
            short[..len].copy_from_slice(&format[..len]);
            reply.verbatim(&String::from_utf8_lossy(&short), text);
            stack.pop(3);
        }
        _ => {
            stack.pop(3);
            reply_array(stack, reply, resp3, note);
        }
    }
}

/// The elements up to the first that is nil.
fn reply_array(stack: &mut Stack<'_>, reply: &mut Reply, resp3: bool, note: &mut dyn FnMut(ReturnedError)) {
    let mut count = 0;
    let mut is_there = |stack: &mut Stack<'_>| {
        stack.raw_get_element(-1, count + 1);
        let is_there = stack.kind(-1) != Kind::Nil;
        stack.pop(1);
        count += i32::from(is_there);
        is_there
    };
    while is_there(stack) {}
    reply.array(count as usize);
    for number in 1..=count {
        stack.raw_get_element(-1, number);
        reply_value(stack, reply, resp3, note);
    }
}
