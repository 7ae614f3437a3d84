//! Reading the small tokens and the strings of a snapshot from a buffer that may end anywhere.
//!
//! A token (a length, a number) is taken whole or not at all; the caller keeps what is left for next time.
//! A string may be larger than any buffer: what there is of it is taken, and the reader remembers the rest.
//! No claimed length is believed further than `GROWTH_STEP` ahead of the bytes that came.

use crate::base::lzf;

use super::error::ErrorKind;
use super::format::{self, Length, array_at, special};

/// How far ahead of the received bytes a buffer may grow.
const GROWTH_STEP: usize = 1 << 20;
/// No three bytes of LZF unfold to more than this.
const LZF_RATIO_MAX: usize = 264;

/// A cursor over a buffer.
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { bytes, at: 0 }
    }

    /// How much was taken.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was taken from there on.
    pub fn taken_since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    pub fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..count)?;
        self.at += count;
        Some(taken)
    }

    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = array_at(self.rest(), 0)?;
        self.at += N;
        Some(array)
    }

    /// A string that is plain, not long, and here as a whole; otherwise nothing is taken.
    #[inline]
    pub fn short_text(&mut self) -> Option<&'a [u8]> {
        let (start, first) = (self.at, self.byte()?);
        let count = match first >> 6 {
            0 => Some(usize::from(first)),
            1 => self.byte().map(|next| usize::from(first & 0x3f) << 8 | usize::from(next)),
            _ => None,
        };
        let text = count.and_then(|count| self.take(count));
        if text.is_none() {
            self.at = start;
        }
        text
    }

    /// A string that is written as a number; otherwise nothing is taken.
    #[inline]
    pub fn number(&mut self) -> Option<i64> {
        let start = self.at;
        let number = match self.byte()? {
            0xc0 => self.array().map(|bytes| i8::from_le_bytes(bytes).into()),
            0xc1 => self.array().map(|bytes| i16::from_le_bytes(bytes).into()),
            0xc2 => self.array().map(|bytes| i32::from_le_bytes(bytes).into()),
            _ => None,
        };
        if number.is_none() {
            self.at = start;
        }
        number
    }

    /// A length that must not be a special encoding.
    pub fn length(&mut self) -> Result<Option<u64>, ErrorKind> {
        match format::decode_length(self.rest())? {
            Some((Length::Plain(length), used)) => {
                self.at += used;
                Ok(Some(length))
            }
            Some((Length::Special(_), _)) => Err(ErrorKind::Corrupt("a string where a length was due")),
            None => Ok(None),
        }
    }
}

/// A string as it was found: borrowed from the buffer where that was possible.
pub enum RdbString<'a> {
    Int(i64),
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl RdbString<'_> {
    /// The text; `scratch` is for numbers.
    pub fn bytes<'b>(&'b self, scratch: &'b mut itoa::Buffer) -> &'b [u8] {
        match self {
            RdbString::Int(number) => scratch.format(*number).as_bytes(),
            RdbString::Borrowed(bytes) => bytes,
            RdbString::Owned(bytes) => bytes,
        }
    }

    pub fn into_vec(self) -> Vec<u8> {
        match self {
            RdbString::Owned(bytes) => bytes,
            other => other.bytes(&mut itoa::Buffer::new()).to_vec(),
        }
    }
}

/// How the bytes of a string become its text.
#[derive(Clone, Copy)]
enum Packing {
    Raw,
    Lzf { unpacked: usize },
}

impl Packing {
    /// Whether so many bytes can be what is claimed of them.
    fn check(self, count: usize) -> Result<(), ErrorKind> {
        match self {
            Packing::Lzf { unpacked } if unpacked > count.saturating_mul(LZF_RATIO_MAX) => {
                Err(ErrorKind::Corrupt("impossible length of a compressed string"))
            }
            _ => Ok(()),
        }
    }

    fn open<'a>(self, bytes: RdbString<'a>) -> Result<RdbString<'a>, ErrorKind> {
        let Packing::Lzf { unpacked } = self else { return Ok(bytes) };
        let mut scratch = itoa::Buffer::new();
        let packed = bytes.bytes(&mut scratch);
        self.check(packed.len())?;
        match lzf::decompress(packed, unpacked) {
            Some(text) if text.len() == unpacked => Ok(RdbString::Owned(text)),
            _ => Err(ErrorKind::Corrupt("invalid LZF compressed string")),
        }
    }
}

/// A string of which a part has come.
struct Partial {
    bytes: Vec<u8>,
    wanted: usize,
    packing: Packing,
}

/// Reads strings, across buffers where they do not fit one.
#[derive(Default)]
pub struct StringReader {
    partial: Option<Partial>,
}

enum Header {
    Int(i64),
    Bytes { count: usize, packing: Packing },
}

impl StringReader {
    /// The next string, or `None` when more bytes are needed. On `None` all that could be taken was taken.
    pub fn read<'a>(&mut self, input: &mut Input<'a>) -> Result<Option<RdbString<'a>>, ErrorKind> {
        if self.partial.is_some() {
            return self.resume(input);
        }
        let start = input.at();
        let Some(header) = header(input)? else {
            input.rewind(start);
            return Ok(None);
        };
        match header {
            Header::Int(number) => Ok(Some(RdbString::Int(number))),
            Header::Bytes { count, packing } => match input.take(count) {
                Some(bytes) if matches!(packing, Packing::Raw) => Ok(Some(RdbString::Borrowed(bytes))),
                Some(bytes) => packing.open(RdbString::Borrowed(bytes)).map(Some),
                None => {
                    self.partial = Some(Partial { bytes: Vec::new(), wanted: count, packing });
                    self.resume(input)
                }
            },
        }
    }

    fn resume<'a>(&mut self, input: &mut Input<'a>) -> Result<Option<RdbString<'a>>, ErrorKind> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let missing = partial.wanted - partial.bytes.len();
        let come = input.take(missing.min(input.rest().len())).unwrap_or_default();
        grow(&mut partial.bytes, come, partial.wanted);
        if partial.bytes.len() < partial.wanted {
            return Ok(None);
        }
        match self.partial.take() {
            Some(Partial { bytes, packing, .. }) => packing.open(RdbString::Owned(bytes)).map(Some),
            None => Ok(None),
        }
    }
}

/// Passes over strings, across buffers where they do not fit one.
#[derive(Default)]
pub struct StringSkipper {
    /// Bytes still to come of the string in work.
    left: Option<usize>,
}

impl StringSkipper {
    /// Passes over the next string; false when more bytes are needed. Then all that could be taken was taken.
    pub fn skip(&mut self, input: &mut Input<'_>) -> Result<bool, ErrorKind> {
        let left = match self.left {
            Some(left) => left,
            None => {
                let start = input.at();
                match header(input)? {
                    None => {
                        input.rewind(start);
                        return Ok(false);
                    }
                    Some(Header::Int(_)) => return Ok(true),
                    Some(Header::Bytes { count, packing }) => {
                        packing.check(count)?;
                        count
                    }
                }
            }
        };
        let come = left.min(input.rest().len());
        input.take(come);
        self.left = (come < left).then_some(left - come);
        Ok(self.left.is_none())
    }
}

/// Appends `come`; the capacity doubles toward `wanted`, never past it.
fn grow(bytes: &mut Vec<u8>, come: &[u8], wanted: usize) {
    if bytes.capacity() - bytes.len() < come.len() {
        let missing = wanted - bytes.len();
        let step = bytes.len().max(GROWTH_STEP).max(come.len());
        bytes.reserve_exact(missing.min(step));
    }
    bytes.extend_from_slice(come);
}

fn header(input: &mut Input<'_>) -> Result<Option<Header>, ErrorKind> {
    let Some((length, used)) = format::decode_length(input.rest())? else { return Ok(None) };
    input.take(used);
    match length {
        Length::Plain(count) => Ok(Some(Header::Bytes { count: in_memory(count)?, packing: Packing::Raw })),
        Length::Special(special::INT8) => Ok(input.array().map(|b| Header::Int(i8::from_le_bytes(b).into()))),
        Length::Special(special::INT16) => Ok(input.array().map(|b| Header::Int(i16::from_le_bytes(b).into()))),
        Length::Special(special::INT32) => Ok(input.array().map(|b| Header::Int(i32::from_le_bytes(b).into()))),
        Length::Special(special::LZF) => {
            let Some(count) = input.length()? else { return Ok(None) };
            let Some(unpacked) = input.length()? else { return Ok(None) };
            let packing = Packing::Lzf { unpacked: in_memory(unpacked)? };
            Ok(Some(Header::Bytes { count: in_memory(count)?, packing }))
        }
        Length::Special(_) => Err(ErrorKind::Corrupt("unknown string encoding")),
    }
}

/// A length that could be one of something in memory.
fn in_memory(length: u64) -> Result<usize, ErrorKind> {
    match usize::try_from(length) {
        Ok(length) if length <= isize::MAX as usize => Ok(length),
        _ => Err(ErrorKind::Corrupt("impossible string length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_bytes_not_the_claim() {
        let mut bytes = Vec::new();
        let wanted = 64 << 20;
        for _ in 0..40 {
            grow(&mut bytes, &[7; 100_000], wanted);
            assert!(bytes.capacity() <= 2 * bytes.len() + GROWTH_STEP, "{}", bytes.capacity());
        }
        let mut whole = Vec::new();
        for _ in 0..3 {
            grow(&mut whole, &[7; 1000], 3000);
        }
        assert_eq!((whole.len(), whole.capacity()), (3000, 3000));
    }
}
