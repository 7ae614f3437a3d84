//! Bytes to arguments, resumable at any byte (= processInlineBuffer and processMultibulkBuffer of networking.c).
//!
//! A whole pipeline is parsed first: `parse` fills a `Batch` with commands whose arguments are places in the buffer,
//! so nothing is copied. A long argument that has not arrived yet gets memory of its own, into which the socket is
//! then read; it becomes the value without a copy.

use std::ops::Index;
use std::rc::Rc;

/// An argument of at least so many bytes, not in the buffer yet, is read into memory of its own.
pub const BIG_ARGUMENT: usize = 32 * 1024;
/// The longest inline command, and the longest line that announces a length.
const LINE_MAX: usize = 64 * 1024;
/// Marks a span whose `len` is an index into the owned arguments.
const OWNED: u32 = u32::MAX;

/// What a client may send. The limits of one that has not authenticated are much lower.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Bytes of one argument (`proto-max-bulk-len`).
    pub bulk_len_max: u64,
    /// Whether the client has authenticated.
    pub authenticated: bool,
    /// Whether long arguments get memory of their own. A master's stream is kept whole, for it travels on.
    pub big_arguments: bool,
}

/// Where one argument stands: bytes of the buffer, or an owned argument's number.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

/// Bytes, and where arguments stand in them or beside them.
#[derive(Clone, Debug, Default)]
struct Store {
    buffer: Vec<u8>,
    spans: Vec<Span>,
    owned: Vec<Rc<Vec<u8>>>,
}

impl Store {
    #[inline(always)]
    fn at(&self, span: Span) -> &[u8] {
        if span.start == OWNED {
            return &self.owned[span.len as usize];
        }
        &self.buffer[span.start as usize..][..span.len as usize]
    }
}

/// The arguments of one command; the first is its name. Two words, so that handing them on costs nothing.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    store: &'a Store,
    start: u32,
    len: u32,
}

impl<'a> Argv<'a> {
    /// How many arguments there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn span(&self, index: usize) -> Span {
        assert!(index < self.len as usize);
        self.store.spans[self.start as usize + index]
    }

    /// The argument at `index`. Panics past the end, as slices do.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.store.at(self.span(index))
    }

    /// The argument at `index`, if there are so many.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The memory of a long argument, to keep without a copy.
    #[inline]
    pub fn shared(&self, index: usize) -> Option<&'a Rc<Vec<u8>>> {
        let span = self.span(index);
        (span.start == OWNED).then(|| &self.store.owned[span.len as usize])
    }

    /// All arguments.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let store = self.store;
        store.spans[self.start as usize..][..self.len as usize].iter().map(move |span| store.at(*span))
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> Argv<'a> {
        let skipped = index.min(self.len as usize) as u32;
        Argv { store: self.store, start: self.start + skipped, len: self.len - skipped }
    }
}

impl Index<usize> for Argv<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

/// How much room an `OwnedArgv` that is used again keeps, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// A command that outlives the buffer it came in, such as one queued by MULTI.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgv(Store);

impl OwnedArgv {
    /// A command made of these arguments.
    pub fn new<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut made = OwnedArgv::default();
        args.into_iter().for_each(|arg| made.push(arg));
        made
    }

    /// Appends an argument.
    pub fn push(&mut self, arg: &[u8]) {
        if self.0.buffer.len() + arg.len() < OWNED as usize {
            self.0.spans.push(Span { start: self.0.buffer.len() as u32, len: arg.len() as u32 });
            self.0.buffer.extend_from_slice(arg);
        } else {
            self.0.spans.push(Span { start: OWNED, len: self.0.owned.len() as u32 });
            self.0.owned.push(Rc::new(arg.to_vec()));
        }
    }

    /// Forgets all arguments. Room for the next is kept, within reason.
    pub fn clear(&mut self) {
        self.0.buffer.clear();
        self.0.buffer.shrink_to(KEPT_BYTES);
        self.0.spans.clear();
        self.0.owned.clear();
    }

    /// A copy of `argv`; long arguments are shared.
    pub fn copy_of(argv: Argv<'_>) -> Self {
        let mut made = OwnedArgv::default();
        for index in 0..argv.len() {
            if let Some(shared) = argv.shared(index) {
                made.0.spans.push(Span { start: OWNED, len: made.0.owned.len() as u32 });
                made.0.owned.push(Rc::clone(shared));
            } else {
                let arg = argv.at(index);
                made.0.spans.push(Span { start: made.0.buffer.len() as u32, len: arg.len() as u32 });
                made.0.buffer.extend_from_slice(arg);
            }
        }
        made
    }

    /// The arguments.
    pub fn argv(&self) -> Argv<'_> {
        Argv { store: &self.0, start: 0, len: self.0.spans.len() as u32 }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.0.buffer.capacity() + self.0.spans.capacity() * 8 + self.0.owned.iter().map(|arg| arg.len()).sum::<usize>()
    }
}

/// One parsed command of a batch.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    spans_start: usize,
    spans_end: usize,
    start: usize,
    end: usize,
    /// Whether the bytes from `start` to `end` are the command in its replication form.
    verbatim: bool,
}

/// The commands that one read brought, in order.
#[derive(Default)]
pub struct Batch {
    store: Store,
    commands: Vec<Parsed>,
}

impl Batch {
    /// Takes the buffer that was parsed, which the commands' arguments stand in.
    #[inline]
    pub fn hold(&mut self, buffer: Vec<u8>) {
        self.store.buffer = buffer;
    }

    /// Forgets all commands, keeps the memory, and gives the buffer back.
    #[inline]
    pub fn clear(&mut self) -> Vec<u8> {
        self.store.spans.clear();
        self.store.owned.clear();
        self.commands.clear();
        std::mem::take(&mut self.store.buffer)
    }

    /// How long the buffer is that the commands came in.
    pub fn buffer_len(&self) -> usize {
        self.store.buffer.len()
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The arguments of a command.
    #[inline]
    pub fn argv(&self, index: usize) -> Argv<'_> {
        let command = &self.commands[index];
        let len = command.spans_end - command.spans_start;
        Argv { store: &self.store, start: command.spans_start as u32, len: len as u32 }
    }

    /// The bytes of a command as they came, if they can be appended to a replication stream as they are.
    #[inline]
    pub fn raw(&self, index: usize) -> Option<&[u8]> {
        let command = &self.commands[index];
        command.verbatim.then(|| &self.store.buffer[command.start..command.end])
    }

    /// The bytes of a command as they came, and of what stands before it.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.end(index - 1) };
        &self.store.buffer[start..self.end(index)]
    }

    /// How many bytes of the buffer a command took, blank lines before it included.
    pub fn end(&self, index: usize) -> usize {
        self.commands[index].end
    }
}

/// How far the parser has come in a command that has not arrived in full.
#[derive(Default, Debug)]
pub struct ParseState {
    /// Arguments still to come; 0 between commands.
    args_left: usize,
    /// The announced length of the argument being read.
    bulk_len: Option<usize>,
    /// Bytes of the unfinished command that are behind us, counted from its start.
    pos: usize,
    /// Whether a line break was not `\r\n`. Redis skips two bytes whatever they are, and so do we, but such a command
    /// is not passed on as it came.
    sloppy: bool,
    spans: Vec<Span>,
    owned: Vec<Rc<Vec<u8>>>,
    /// A long argument that the socket is read into: what has come, and how much it will be.
    big: Option<(Vec<u8>, usize)>,
}

impl ParseState {
    /// The long argument that wants its bytes straight from the socket, with how many it lacks.
    pub fn big_argument(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let (bytes, len) = self.big.as_mut()?;
        let lacks = *len - bytes.len();
        (lacks > 0).then_some((bytes, lacks))
    }

    /// Whether a command has begun and not ended.
    pub fn is_mid_command(&self) -> bool {
        self.args_left > 0
    }

    /// Bytes of a long argument that have come.
    pub fn received(&self) -> usize {
        self.big.as_ref().map_or(0, |(bytes, _)| bytes.len())
    }

    /// Bytes held for the unfinished command.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * 8 + self.big.as_ref().map_or(0, |(bytes, _)| bytes.capacity())
    }
}

/// Why the connection cannot go on. The text is what the client is told.
#[derive(Debug, PartialEq)]
pub struct ProtocolError(pub String);

fn protocol_error<T>(text: impl Into<String>) -> Result<T, ProtocolError> {
    Err(ProtocolError(format!("ERR Protocol error: {}", text.into())))
}

/// Parses all whole commands of `buffer` into `batch` and returns how many bytes they took. What is left after them
/// must stand at the start of the buffer of the next call. Of who has not authenticated, one command is parsed at a time.
pub fn parse(
    buffer: &[u8],
    state: &mut ParseState,
    limits: RequestLimits,
    batch: &mut Batch,
) -> Result<usize, ProtocolError> {
    let mut start = 0;
    let plain_allowed = limits.authenticated && limits.bulk_len_max > PLAIN_NUMBER_MAX && buffer.len() < OWNED as usize;
    loop {
        if state.args_left == 0 {
            while plain_allowed && let Some(end) = parse_plain(buffer, start, batch) {
                start = end;
            }
            while buffer[start..].starts_with(b"\r\n") {
                start += 2;
            }
            match buffer.get(start) {
                None => return Ok(start),
                Some(b'*') => match begin_multibulk(&buffer[start..], state, limits)? {
                    Begun::NeedsMore => return Ok(start),
                    Begun::Nothing(len) => {
                        start += len;
                        continue;
                    }
                    Begun::Command => {}
                },
                Some(_) => match parse_inline(buffer, start, batch)? {
                    None => return Ok(start),
                    Some(end) if !limits.authenticated => return Ok(end),
                    Some(end) => {
                        start = end;
                        continue;
                    }
                },
            }
        }
        if !parse_arguments(&buffer[start..], state, limits)? {
            return Ok(start);
        }
        let end = start + state.pos;
        finish_command(start, end, state, batch);
        start = end;
        if !limits.authenticated {
            return Ok(start);
        }
    }
}

/// The greatest number that `plain_number` reads.
const PLAIN_NUMBER_MAX: u64 = 999_999;

/// A whole command as every client library writes it, straight into the batch; returns where the next one begins.
/// Whatever is not that, or not whole, is left to the careful way, which must come to the same where both can.
#[inline]
fn parse_plain(buffer: &[u8], start: usize, batch: &mut Batch) -> Option<usize> {
    let (count, mut at) = plain_number(buffer, start, b'*').filter(|(count, _)| *count > 0)?;
    let spans_start = batch.store.spans.len();
    for _ in 0..count {
        let argument = plain_number(buffer, at, b'$').and_then(|(len, body)| {
            let after = body + len;
            (buffer.get(after..after + 2) == Some(b"\r\n"))
                .then_some((Span { start: body as u32, len: len as u32 }, after))
        });
        let Some((span, after)) = argument else {
            batch.store.spans.truncate(spans_start);
            return None;
        };
        batch.store.spans.push(span);
        at = after + 2;
    }
    batch.commands.push(Parsed { spans_start, spans_end: batch.store.spans.len(), start, end: at, verbatim: true });
    Some(at)
}

/// The number of up to six digits in a line that begins with `mark`, and where the next line begins. One and two
/// digits, which nearly all lengths have, are read at once.
#[inline]
fn plain_number(buffer: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    if let Some(&[first, tens, ones, third, fourth, ..]) = buffer.get(at..at + 5)
        && first == mark
    {
        let (high, low) = (usize::from(tens.wrapping_sub(b'0')), usize::from(ones.wrapping_sub(b'0')));
        if high <= 9 && [ones, third] == *b"\r\n" {
            return Some((high, at + 4));
        }
        if (1..=9).contains(&high) && low <= 9 && [third, fourth] == *b"\r\n" {
            return Some((high * 10 + low, at + 5));
        }
    }
    any_plain_number(buffer, at, mark)
}

fn any_plain_number(buffer: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = buffer.get(at..)?;
    let [first, digit, rest @ ..] = line else { return None };
    let mut value = usize::from(digit.wrapping_sub(b'0'));
    if *first != mark || value > 9 {
        return None;
    }
    for (index, &byte) in rest.iter().enumerate().take(6) {
        let digit = usize::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            let whole = byte == b'\r' && rest.get(index + 1) == Some(&b'\n');
            return whole.then_some((value, at + index + 4));
        }
        if value == 0 {
            // A zero before other digits.
            return None;
        }
        value = value * 10 + digit;
    }
    None
}

/// Hands the spans of a finished command to the batch, moved to their place in the buffer.
#[inline]
fn finish_command(start: usize, end: usize, state: &mut ParseState, batch: &mut Batch) {
    let (spans_start, owned_start) = (batch.store.spans.len(), batch.store.owned.len() as u32);
    batch.store.spans.extend(state.spans.iter().map(|span| match span.start {
        OWNED => Span { start: OWNED, len: span.len + owned_start },
        offset => Span { start: offset + start as u32, len: span.len },
    }));
    let verbatim = state.owned.is_empty() && !std::mem::take(&mut state.sloppy);
    batch.store.owned.append(&mut state.owned);
    batch.commands.push(Parsed { spans_start, spans_end: batch.store.spans.len(), start, end, verbatim });
    state.spans.clear();
    state.pos = 0;
}

enum Begun {
    NeedsMore,
    /// A command of no arguments, this many bytes long.
    Nothing(usize),
    Command,
}

fn begin_multibulk(bytes: &[u8], state: &mut ParseState, limits: RequestLimits) -> Result<Begun, ProtocolError> {
    let Some((line, end)) = line_of(bytes, 1) else {
        if bytes.len() > LINE_MAX {
            return protocol_error("too big mbulk count string");
        }
        return Ok(Begun::NeedsMore);
    };
    let count = match parse_length(line) {
        Some(count) if count <= i64::from(i32::MAX) => count,
        _ if hides_line_end(line) && bytes.len() <= LINE_MAX => return Ok(Begun::NeedsMore),
        _ if hides_line_end(line) => return protocol_error("too big mbulk count string"),
        _ => return protocol_error("invalid multibulk length"),
    };
    if count > 10 && !limits.authenticated {
        return protocol_error("unauthenticated multibulk length");
    }
    if count <= 0 {
        return Ok(Begun::Nothing(end));
    }
    state.args_left = count as usize;
    state.pos = end;
    state.sloppy = bytes[end - 1] != b'\n';
    Ok(Begun::Command)
}

/// The line that begins `from` bytes into `bytes`, and where the next one begins.
#[inline]
fn line_of(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let length = memchr::memchr(b'\r', bytes.get(from..)?)?;
    let end = from + length + 2;
    (end <= bytes.len()).then(|| (&bytes[from..from + length], end))
}

/// Whether Redis, which looks for a line's end in a C string, does not see the end of this line and waits for more.
fn hides_line_end(line: &[u8]) -> bool {
    line.contains(&0)
}

/// A length as announced: digits, perhaps with a minus sign.
#[inline]
fn parse_length(line: &[u8]) -> Option<i64> {
    match line {
        [digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        _ => crate::base::numbers::parse_i64(line),
    }
}

/// Goes on with the arguments of a command; `bytes` begins where the command does. Returns whether it is whole.
fn parse_arguments(bytes: &[u8], state: &mut ParseState, limits: RequestLimits) -> Result<bool, ProtocolError> {
    while state.args_left > 0 {
        let len = match state.bulk_len {
            Some(len) => len,
            None => match announced_length(bytes, state, limits)? {
                Some(len) => len,
                None => return Ok(false),
            },
        };
        if state.big.is_some() {
            if !finish_big(bytes, state) {
                return Ok(false);
            }
            continue;
        }
        let Some(end) = state.pos.checked_add(len + 2).filter(|&end| end <= bytes.len()) else {
            if len >= BIG_ARGUMENT && limits.big_arguments {
                begin_big(bytes, state, len);
                if finish_big(bytes, state) {
                    continue;
                }
            }
            return Ok(false);
        };
        state.spans.push(Span { start: state.pos as u32, len: len as u32 });
        state.pos = end;
        state.sloppy |= bytes[end - 2..end] != *b"\r\n";
        state.bulk_len = None;
        state.args_left -= 1;
    }
    Ok(true)
}

#[inline]
fn announced_length(
    bytes: &[u8],
    state: &mut ParseState,
    limits: RequestLimits,
) -> Result<Option<usize>, ProtocolError> {
    match bytes.get(state.pos) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => {
            let shown = if other.is_ascii() { (other as char).to_string() } else { "?".into() };
            return protocol_error(format!("expected '$', got '{shown}'"));
        }
    }
    let Some((line, end)) = line_of(bytes, state.pos + 1) else {
        if bytes.len() - state.pos > LINE_MAX {
            return protocol_error("too big bulk count string");
        }
        return Ok(None);
    };
    let len = match parse_length(line) {
        Some(len) if len >= 0 && len as u64 <= limits.bulk_len_max => len as usize,
        _ if hides_line_end(line) && bytes.len() - state.pos <= LINE_MAX => return Ok(None),
        _ if hides_line_end(line) => return protocol_error("too big bulk count string"),
        _ => return protocol_error("invalid bulk length"),
    };
    if len > 16384 && !limits.authenticated {
        return protocol_error("unauthenticated bulk length");
    }
    state.pos = end;
    state.sloppy |= bytes[end - 1] != b'\n';
    state.bulk_len = Some(len);
    Ok(Some(len))
}

/// Gives a long argument its own memory and moves there what has come of it.
fn begin_big(bytes: &[u8], state: &mut ParseState, len: usize) {
    let arrived = &bytes[state.pos..];
    let arrived = &arrived[..arrived.len().min(len)];
    let mut big = Vec::with_capacity(len);
    big.extend_from_slice(arrived);
    state.pos += arrived.len();
    state.big = Some((big, len));
}

/// Ends a long argument once it is whole and its line break has come.
fn finish_big(bytes: &[u8], state: &mut ParseState) -> bool {
    let whole = matches!(&state.big, Some((bytes, len)) if bytes.len() == *len);
    if !whole || state.pos + 2 > bytes.len() {
        return false;
    }
    if let Some((big, _)) = state.big.take() {
        state.spans.push(Span { start: OWNED, len: state.owned.len() as u32 });
        state.owned.push(Rc::new(big));
    }
    state.pos += 2;
    state.bulk_len = None;
    state.args_left -= 1;
    true
}

/// Parses one inline command; returns where the next one begins, or `None` if its line is not whole.
fn parse_inline(buffer: &[u8], start: usize, batch: &mut Batch) -> Result<Option<usize>, ProtocolError> {
    let bytes = &buffer[start..];
    let line_end = memchr::memchr(b'\n', bytes).filter(|&length| !hides_line_end(&bytes[..length]));
    let Some(length) = line_end else {
        if bytes.len() > LINE_MAX {
            return protocol_error("too big inline request");
        }
        return Ok(None);
    };
    let end = start + length + 1;
    let line = bytes[..length].strip_suffix(b"\r").unwrap_or(&bytes[..length]);
    let Some(args) = split_args(line) else {
        return protocol_error("unbalanced quotes in request");
    };
    if args.is_empty() {
        return Ok(Some(end));
    }
    let spans_start = batch.store.spans.len();
    for arg in args {
        batch.store.spans.push(Span { start: OWNED, len: batch.store.owned.len() as u32 });
        batch.store.owned.push(Rc::new(arg));
    }
    batch.commands.push(Parsed { spans_start, spans_end: batch.store.spans.len(), start, end, verbatim: false });
    Ok(Some(end))
}

/// Splits a line into words as the shell-like inline protocol does: blanks between words, `"…"` with escapes
/// (`\n \r \t \b \a \xHH`), `'…'` with `\'`. `None` if quotes are not balanced.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
        rest = &rest[blanks..];
        if rest.is_empty() || rest[0] == 0 {
            return Some(args);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] | [0, ..] => break,
                [byte, ..] if byte.is_ascii_whitespace() => break,
                [b'"', tail @ ..] => {
                    rest = double_quoted(tail, &mut word)?;
                    break;
                }
                [b'\'', tail @ ..] => {
                    rest = single_quoted(tail, &mut word)?;
                    break;
                }
                [byte, tail @ ..] => {
                    word.push(*byte);
                    rest = tail;
                }
            }
        }
        args.push(word);
    }
}

/// What follows a closing quote must be a blank or the end.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(u8::is_ascii_whitespace).then_some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let hex = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return closed(tail),
            [b'\\', b'x', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                word.push(hex(*high)? * 16 + hex(*low)?);
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return closed(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const LIMITS: RequestLimits = RequestLimits { bulk_len_max: 512 << 20, authenticated: true, big_arguments: true };

    /// Feeds `stream` in pieces as a socket would, and collects all commands.
    fn feed(stream: &[u8], mut piece: impl FnMut() -> usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut state, mut batch) = (ParseState::default(), Batch::default());
        let (mut buffer, mut commands, mut rest) = (Vec::new(), Vec::new(), stream);
        while !rest.is_empty() {
            let mut take = piece().min(rest.len());
            if let Some((big, lacks)) = state.big_argument() {
                take = take.min(lacks);
                big.extend_from_slice(&rest[..take]);
            } else {
                buffer.extend_from_slice(&rest[..take]);
            }
            rest = &rest[take..];
            let used = parse(&buffer, &mut state, LIMITS, &mut batch)?;
            batch.hold(buffer);
            for index in 0..batch.len() {
                commands.push(batch.argv(index).iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
                if let Some(raw) = batch.raw(index) {
                    let mut encoded = Vec::new();
                    super::super::reply::encode_command(&mut encoded, batch.argv(index).iter());
                    assert_eq!(raw, encoded);
                }
            }
            buffer = batch.clear();
            buffer.drain(..used);
        }
        Ok(commands)
    }

    #[test]
    fn any_cut_gives_the_same_commands() {
        let mut rng = Rng::new(8);
        let mut stream = Vec::new();
        let mut wanted = Vec::new();
        for _ in 0..60 {
            let args: Vec<Vec<u8>> = (0..1 + rng.index(5))
                .map(|_| {
                    let len = if rng.below(8) == 0 { BIG_ARGUMENT + rng.index(50_000) } else { rng.index(30) };
                    (0..len).map(|_| rng.next_u64() as u8).collect()
                })
                .collect();
            super::super::reply::encode_command(&mut stream, args.iter().map(Vec::as_slice));
            wanted.push(args);
            match rng.below(4) {
                0 => {
                    stream.extend_from_slice(b"set \"a\\x41\\n\" 'it\\'s'  x\r\n");
                    wanted.push(vec![b"set".to_vec(), b"aA\n".to_vec(), b"it's".to_vec(), b"x".to_vec()]);
                }
                1 => stream.extend_from_slice(b"\r\n*0\r\n*-1\r\n"),
                _ => {}
            }
        }
        assert!(feed(&stream, || usize::MAX).unwrap() == wanted);
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let longest = 1 << (seed % 17);
            assert!(feed(&stream, || 1 + rng.index(longest)).unwrap() == wanted, "seed {seed}");
        }
        let short = &stream[..stream.len().min(4000)];
        assert_eq!(feed(short, || 1).unwrap(), feed(short, || 4000).unwrap());
    }

    #[test]
    fn protocol_errors_are_worded_as_redis_words_them() {
        for (bytes, text) in [
            ("*1\r\n:1\r\n", "expected '$', got ':'"),
            ("*x\r\n", "invalid multibulk length"),
            ("*99999999999\r\n", "invalid multibulk length"),
            ("*1\r\n$-1\r\n", "invalid bulk length"),
            ("*1\r\n$abc\r\n", "invalid bulk length"),
            ("*1\r\n$9999999999\r\n", "invalid bulk length"),
            ("set \"a\r\n", "unbalanced quotes in request"),
            ("set 'a'b\r\n", "unbalanced quotes in request"),
        ] {
            assert_eq!(feed(bytes.as_bytes(), || 1), protocol_error(text), "{bytes}");
        }
        let long = vec![b'a'; LINE_MAX + 1];
        assert_eq!(feed(&long, || 4096), protocol_error("too big inline request"));
        let long = [b"*".to_vec(), vec![b'1'; LINE_MAX + 1]].concat();
        assert_eq!(feed(&long, || 4096), protocol_error("too big mbulk count string"));
        let long = [b"*1\r\n$".to_vec(), vec![b'1'; LINE_MAX + 1]].concat();
        assert_eq!(feed(&long, || 4096), protocol_error("too big bulk count string"));
    }

    #[test]
    fn who_has_not_authenticated_may_send_little() {
        let limits = RequestLimits { authenticated: false, ..LIMITS };
        let parse_one = |bytes: &[u8]| parse(bytes, &mut ParseState::default(), limits, &mut Batch::default());
        assert_eq!(parse_one(b"*11\r\n"), protocol_error("unauthenticated multibulk length"));
        assert_eq!(parse_one(b"*1\r\n$16385\r\n"), protocol_error("unauthenticated bulk length"));
        for bytes in [b"*1\r\n$4\r\nPING\r\n*11\r\n".as_slice(), b"PING\r\n*11\r\n"] {
            let first = bytes.len() - 5;
            assert_eq!(parse_one(bytes), Ok(first), "who sent the first command may be somebody then");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = Rng::new(2);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..rng.index(60)).map(|_| b"*$0123456789-\r\n\"'\\x a"[rng.index(21)]).collect();
            let mut sizes = Rng::new(3);
            let _ = feed(&bytes, || 1 + sizes.index(10));
        }
    }
}
