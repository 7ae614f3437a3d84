//! Zipmaps, the small hashes of Redis 2.x: read only, every byte checked. Ancestor: zipmap.c.
//!
//! ```text
//! count:u8 { length field length free:u8 value free*byte }* 0xff
//! length: 1 byte below 254, or 254 and 4 bytes, little endian; a count of 254 or more says nothing
//! ```

use super::format::array_at;

const END: u8 = 0xff;
const BIG: u8 = 0xfe;

/// Fields and values in their order, or `None` if the zipmap is unsound anywhere.
pub fn decode(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let count = *bytes.first()?;
    let mut at = 1;
    let mut pairs = Vec::new();
    while *bytes.get(at)? != END {
        let (length, start) = length_at(bytes, at)?;
        let field_end = start.checked_add(length)?;
        let field = bytes.get(start..field_end)?;
        let (length, start) = length_at(bytes, field_end)?;
        let free = usize::from(*bytes.get(start)?);
        let value_end = (start + 1).checked_add(length)?;
        pairs.push((field, bytes.get(start + 1..value_end)?));
        at = value_end.checked_add(free)?;
    }
    let whole = at + 1 == bytes.len();
    let counted = count >= BIG || usize::from(count) == pairs.len();
    (whole && counted).then_some(pairs)
}

/// A length and the place after it.
fn length_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        END => None,
        BIG => Some((u32::from_le_bytes(array_at(bytes, at + 1)?) as usize, at + 5)),
        small => Some((usize::from(small), at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &[u8] = b"\x02\x03foo\x03\x02bar..\xfe\x02\0\0\0hi\x05\0world\xff";

    #[test]
    fn pairs_are_read_and_free_space_skipped() {
        let pairs = decode(SOUND).expect("sound");
        assert_eq!(pairs, [(&b"foo"[..], &b"bar"[..]), (b"hi", b"world")]);
        assert_eq!(decode(b"\0\xff"), Some(Vec::new()));
    }

    #[test]
    fn damage_is_seen_or_harmless() {
        for cut in 0..SOUND.len() {
            assert!(decode(&SOUND[..cut]).is_none(), "cut at {cut}");
        }
        for at in 0..SOUND.len() {
            for value in 0..=255 {
                let mut bytes = SOUND.to_vec();
                bytes[at] = value;
                let _ = decode(&bytes);
            }
        }
        assert!(decode(b"\x01\xff").is_none());
        assert!(decode(b"\0\xff\xff").is_none());
        assert!(decode(b"\x01\xfe\xff\xff\xff\xffa").is_none());
    }
}
