//! Where a reply ends.

/// How long the reply at the start is, if all of it is there.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let line = memchr::memchr(b'\n', bytes)? + 1;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    let length = match bytes[0] {
        b'$' => number()?.max(-2),
        b'*' => return (0..number()?.max(0)).try_fold(line, |at, _| Some(at + length(bytes.get(at..)?)?)),
        _ => return Some(line),
    };
    let end = if length < 0 { line } else { line + length as usize + 2 };
    (end <= bytes.len()).then_some(end)
}
