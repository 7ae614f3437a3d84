//! The first line of a library's code, `#!lua name=…`.

use crate::resp::request::split_args;

const BAD_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Whether a library or a function may have this name.
pub fn check_name(name: &[u8]) -> Result<(), &'static str> {
    let fits = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if fits { Ok(()) } else { Err(BAD_NAME) }
}

/// The library's name, and the text to compile. The line break of the first line stays, so that lines keep their
/// numbers.
pub fn parse(code: &[u8]) -> Result<(Vec<u8>, &[u8]), Vec<u8>> {
    if !code.starts_with(b"#!") {
        return Err(b"Missing library metadata".to_vec());
    }
    let invalid = || b"Invalid library metadata".to_vec();
    let end = memchr::memchr(b'\n', code).ok_or_else(invalid)?;
    let mut parts = split_args(&code[..end]).ok_or_else(invalid)?.into_iter();
    let engine = parts.next().ok_or_else(invalid)?;
    let mut name = None;
    for part in parts {
        let prefix = part.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case(b"name="));
        if prefix.is_none() {
            return Err([b"Invalid metadata value given: ", &part[..]].concat());
        }
        if name.replace(part[5..].to_vec()).is_some() {
            return Err(b"Invalid metadata value, name argument was given multiple times".to_vec());
        }
    }
    let name = name.ok_or_else(|| b"Library name was not given".to_vec())?;
    check_name(&name).map_err(|complaint| complaint.as_bytes().to_vec())?;
    let engine = engine.get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"Engine '", engine, b"' not found"].concat());
    }
    Ok((name, &code[end..]))
}
