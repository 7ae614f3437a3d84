//! Ziplists, the packed lists of snapshots before version 10: read with every byte checked, and written whole. Ancestor:
//! ziplist.c.
//!
//! ```text
//! bytes:u32 tail:u32 count:u16 { entry }* 0xff            all little endian
//! entry: previous entry's length (1 byte, or 0xfe and 4) encoding payload
//! 00LLLLLL | 01LLLLLL L | 10...... LLLL (big endian)       string of that length
//! c0: i16   d0: i32   e0: i64   f0: i24   fe: i8   f1..fd: 0..12
//! ```

use crate::types::Element;

use super::format::array_at;

const HEADER_SIZE: usize = 10;
const END: u8 = 0xff;
/// Four bytes of length follow.
const LONG_PREVIOUS: u8 = 0xfe;
/// The count says no more than "this many or more".
const COUNT_UNKNOWN: usize = u16::MAX as usize;

/// The elements of a ziplist, or `None` if it is unsound anywhere.
pub fn decode(bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let total = u32::from_le_bytes(array_at(bytes, 0)?) as usize;
    let tail = u32::from_le_bytes(array_at(bytes, 4)?) as usize;
    let count = usize::from(u16::from_le_bytes(array_at(bytes, 8)?));
    if total != bytes.len() || bytes.len() <= HEADER_SIZE || bytes.last() != Some(&END) {
        return None;
    }
    let body = &bytes[..bytes.len() - 1];
    let (mut at, mut previous) = (HEADER_SIZE, None);
    let mut elements = Vec::with_capacity(count.min(body.len() / 2));
    while at < body.len() {
        let (claimed, used) = previous_length(&body[at..])?;
        if claimed != previous.map_or(0, |start| at - start) {
            return None;
        }
        let (element, size) = entry(&body[at + used..])?;
        elements.push(element);
        previous = Some(at);
        at += used + size;
    }
    let counted = count == COUNT_UNKNOWN || count == elements.len();
    (counted && tail == previous.unwrap_or(HEADER_SIZE)).then_some(elements)
}

fn previous_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        END => None,
        LONG_PREVIOUS => Some((u32::from_le_bytes(array_at(bytes, 1)?) as usize, 5)),
        small => Some((usize::from(small), 1)),
    }
}

/// The element that starts at its encoding byte, and the bytes it takes from there.
fn entry(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let first = *bytes.first()?;
    let low = usize::from(first & 0x3f);
    let (header, length): (usize, usize) = match first >> 6 {
        0 => (1, low),
        1 => (2, low << 8 | usize::from(*bytes.get(1)?)),
        2 => (5, u32::from_be_bytes(array_at(bytes, 1)?) as usize),
        _ => return integer(first, bytes),
    };
    let end = header.checked_add(length)?;
    Some((Element::Bytes(bytes.get(header..end)?), end))
}

fn integer(encoding: u8, bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let (value, size) = match encoding {
        0xc0 => (i64::from(i16::from_le_bytes(array_at(bytes, 1)?)), 3),
        0xd0 => (i64::from(i32::from_le_bytes(array_at(bytes, 1)?)), 5),
        0xe0 => (i64::from_le_bytes(array_at(bytes, 1)?), 9),
        0xf0 => {
            let [a, b, c] = array_at(bytes, 1)?;
            (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 4)
        }
        0xfe => (i64::from(i8::from_le_bytes(array_at(bytes, 1)?)), 2),
        0xf1..=0xfd => (i64::from(encoding) - 0xf1, 1),
        _ => return None,
    };
    Some((Element::Int(value), size))
}

/// A ziplist of these elements, or `None` if it would be too long for one.
pub fn encode<'a>(elements: impl Iterator<Item = Element<'a>>) -> Option<Vec<u8>> {
    let mut out = vec![0; HEADER_SIZE];
    let (mut tail, mut previous, mut count) = (HEADER_SIZE, 0, 0usize);
    for element in elements {
        tail = out.len();
        match u8::try_from(previous).ok().filter(|&size| size < LONG_PREVIOUS) {
            Some(size) => out.push(size),
            None => {
                out.push(LONG_PREVIOUS);
                out.extend_from_slice(&u32::try_from(previous).ok()?.to_le_bytes());
            }
        }
        match element {
            Element::Int(number) => push_integer(&mut out, number),
            Element::Bytes(bytes) => push_text(&mut out, bytes)?,
        }
        previous = out.len() - tail;
        count += 1;
    }
    out.push(END);
    let total = u32::try_from(out.len()).ok()?;
    out[..4].copy_from_slice(&total.to_le_bytes());
    out[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
    out[8..HEADER_SIZE].copy_from_slice(&(count.min(COUNT_UNKNOWN) as u16).to_le_bytes());
    Some(out)
}

fn push_text(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    match bytes.len() {
        length @ ..0x40 => out.push(length as u8),
        length @ ..0x4000 => out.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]),
        length => {
            out.push(0x80);
            out.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
    Some(())
}

fn push_integer(out: &mut Vec<u8>, number: i64) {
    const I24: std::ops::Range<i64> = -1 << 23..1 << 23;
    if let 0..=12 = number {
        out.push(0xf1 + number as u8);
    } else if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[0xfe, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xc0);
        out.extend_from_slice(&number.to_le_bytes());
    } else if I24.contains(&number) {
        out.push(0xf0);
        out.extend_from_slice(&number.to_le_bytes()[..3]);
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xd0);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        out.push(0xe0);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of the given encoded entries (each from its encoding byte on).
    fn build(entries: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; HEADER_SIZE];
        let (mut previous, mut tail) = (0, HEADER_SIZE);
        for entry in entries {
            tail = out.len();
            if previous < 254 {
                out.push(previous as u8);
            } else {
                out.push(0xfe);
                out.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            out.extend_from_slice(entry);
            previous = out.len() - tail;
        }
        out.push(END);
        let total = out.len() as u32;
        out[..4].copy_from_slice(&total.to_le_bytes());
        out[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
        out[8..10].copy_from_slice(&(entries.len() as u16).to_le_bytes());
        out
    }

    #[test]
    fn every_encoding_is_read() {
        let mut long = vec![0x41, 0x2c];
        long.extend_from_slice(&[b'x'; 300]);
        let bytes = build(&[
            b"\x03abc",
            &long,
            b"\x80\0\0\0\x02hi",
            b"\xc0\xff\xff",
            b"\xd0\0\0\x01\0",
            b"\xe0\0\0\0\0\0\0\0\x80",
            b"\xf0\xff\xff\xff",
            b"\xf0\0\0\x01",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
        ]);
        let elements = decode(&bytes).expect("sound");
        let texts: Vec<Vec<u8>> = elements.iter().map(Element::to_vec).collect();
        let numbers = ["-1", "65536", "-9223372036854775808", "-1", "65536", "-128", "0", "12"];
        assert_eq!(texts[0], b"abc");
        assert_eq!(texts[1], [b'x'; 300]);
        assert_eq!(texts[2], b"hi");
        assert_eq!(&texts[3..], numbers.map(|n| n.as_bytes().to_vec()).as_slice());
        assert!(decode(&build(&[])).is_some_and(|empty| empty.is_empty()));
    }

    #[test]
    fn damage_is_seen_or_harmless() {
        let sound = build(&[b"\x03abc", b"\xc0\x10\x10", b"\x01z", b"\xf3"]);
        for cut in 0..sound.len() {
            assert!(decode(&sound[..cut]).is_none(), "cut at {cut}");
        }
        for at in 0..sound.len() {
            for value in 0..=255 {
                let mut bytes = sound.clone();
                bytes[at] = value;
                let _ = decode(&bytes);
            }
        }
        let mut bytes = sound.clone();
        bytes[HEADER_SIZE + 5] = 4; // the second entry's word on the first
        assert!(decode(&bytes).is_none());
    }

    #[test]
    fn what_is_written_is_read_the_same_and_as_short_as_can_be() {
        let texts: Vec<Vec<u8>> = [0, 1, 63, 64, 250, 16383, 16384, 70_000].map(|size| vec![b'x'; size]).to_vec();
        let mut all: Vec<Element<'_>> = texts.iter().map(|text| Element::Bytes(text)).collect();
        for power in 0..63 {
            for near in [-1, 0, 1] {
                all.extend([Element::Int((1 << power) + near), Element::Int(near - (1 << power))]);
            }
        }
        all.extend([Element::Int(i64::MAX), Element::Int(i64::MIN)]);
        let bytes = encode(all.iter().copied()).expect("short");
        assert_eq!(decode(&bytes), Some(all));
        for (number, size) in [(0, 1), (12, 1), (13, 2), (-1, 2), (-129, 3), (32768, 4), (-8_388_609, 5), (1 << 31, 9)]
        {
            let bytes = encode([Element::Int(number)].into_iter()).expect("short");
            assert_eq!(bytes.len(), HEADER_SIZE + 1 + size + 1, "{number}");
        }
        let many = encode((0..70_000).map(Element::Int)).expect("short");
        assert_eq!(decode(&many).map(|elements| elements.len()), Some(70_000));
        assert_eq!(encode(std::iter::empty()), Some(build(&[])));
    }
}
