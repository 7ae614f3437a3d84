//! Words and units: how a line becomes arguments, a text becomes quoted, and `64mb` becomes a number and back.
//!
//! Ancestor: `sdssplitargs`, `sdscatrepr` and `memtoll`. Pure functions over bytes; nothing here panics on any input.

/// The words of a line. Double quotes understand `\n \r \t \b \a \xHH`, single quotes only `\'`; a closing quote must
/// end its word. None when the quotes do not balance.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_space(byte));
        let Some(start) = start.filter(|&at| rest[at] != 0) else {
            return Some(words);
        };
        let (word, used) = split_word(&rest[start..])?;
        words.push(word);
        rest = &rest[start + used..];
    }
}

/// One word from the start of `text` and how many bytes it took.
fn split_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += match byte {
            0 => break,
            _ if is_space(byte) => break,
            b'"' => return finish_quoted(text, at + 1, word, double_quoted),
            b'\'' => return finish_quoted(text, at + 1, word, single_quoted),
            _ => {
                word.push(byte);
                1
            }
        };
    }
    Some((word, at))
}

type Unescape = fn(&[u8]) -> (u8, usize);

/// Reads up to the closing quote, which must be followed by a space or the end.
fn finish_quoted(text: &[u8], mut at: usize, mut word: Vec<u8>, unescape: Unescape) -> Option<(Vec<u8>, usize)> {
    let quote = text[at - 1];
    loop {
        match *text.get(at)? {
            0 => return None,
            byte if byte == quote => {
                let ends = text.get(at + 1).is_none_or(|&next| is_space(next) || next == 0);
                return ends.then_some((word, at + 1));
            }
            _ => {
                let (byte, used) = unescape(&text[at..]);
                word.push(byte);
                at += used;
            }
        }
    }
}

/// One byte of a double-quoted text, and how many bytes said it. `text` is not empty.
fn double_quoted(text: &[u8]) -> (u8, usize) {
    match *text {
        [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (hex_digit(high) << 4 | hex_digit(low), 4)
        }
        [b'\\', escaped, ..] => {
            let byte = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => other,
            };
            (byte, 2)
        }
        _ => (text[0], 1),
    }
}

fn single_quoted(text: &[u8]) -> (u8, usize) {
    match text {
        [b'\\', b'\'', ..] => (b'\'', 2),
        _ => (text[0], 1),
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The words of one argument that holds several, as in `--save "60 1"`.
pub fn words(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| is_space(byte)).filter(|word| !word.is_empty()).collect()
}

/// `text` in double quotes, such that [`split_args`] gives it back.
pub fn quote(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// An integer in its canonical spelling. Wider than 64 bits is told apart from "not a number": it is out of any range.
pub fn parse_integer(text: &[u8]) -> Option<i128> {
    crate::base::numbers::parse_i64(text).map(i128::from)
}

/// A number of bytes with an optional unit: `k m g` are powers of 1000, `kb mb gb` of 1024, any case. What is too
/// large comes out as `i128::MAX`, which no range holds; no digits at all are 0, as stock has it.
pub fn parse_memory(text: &[u8]) -> Option<i128> {
    let unit_at = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let factor: i128 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number: i128 = match digits {
        [] => 0,
        _ => std::str::from_utf8(digits).ok()?.parse().unwrap_or(i128::MAX),
    };
    Some(number.saturating_mul(factor))
}

/// Bytes in the largest unit that divides them, as `CONFIG REWRITE` writes them.
pub fn format_memory(bytes: i128) -> String {
    for (unit, size) in [("gb", 1i128 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
        if bytes != 0 && bytes % size == 0 {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// `yes` or `no`, any case.
pub fn parse_bool(text: &[u8]) -> Option<bool> {
    match text.to_ascii_lowercase().as_slice() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// `yes` or `no`.
pub fn bool_word(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
