//! Short byte strings compared and copied without a call into the C library.
//!
//! Most keys, fields and small values are of 4 to 32 bytes. Two words that overlap in the middle cover such a length,
//! whatever it is.

/// Whether both are the same.
#[inline]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        4..=7 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        17..=32 => a.first_chunk::<16>() == b.first_chunk() && a.last_chunk::<16>() == b.last_chunk(),
        _ => a == b,
    }
}

/// Copies; both are of one length.
#[inline]
pub fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "a copy is as long as what it is of");
    match from.len() {
        4..=7 => copy_ends::<4>(from, to),
        8..=16 => copy_ends::<8>(from, to),
        17..=32 => copy_ends::<16>(from, to),
        _ => to.copy_from_slice(from),
    }
}

#[inline]
fn copy_ends<const SIZE: usize>(from: &[u8], to: &mut [u8]) {
    let (Some(first), Some(last)) = (from.first_chunk::<SIZE>(), from.last_chunk::<SIZE>()) else { return };
    to.first_chunk_mut().into_iter().for_each(|part: &mut [u8; SIZE]| *part = *first);
    to.last_chunk_mut().into_iter().for_each(|part: &mut [u8; SIZE]| *part = *last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_every_length_counts() {
        for len in 0..70 {
            let one: Vec<u8> = (0..len).map(|index| (index as u8).wrapping_mul(7)).collect();
            let mut other = vec![0; len];
            copy(&one, &mut other);
            assert!(one == other && equal(&one, &other));
            for place in 0..len {
                other[place] ^= 0x80;
                assert!(!equal(&one, &other), "{len} {place}");
                other[place] ^= 0x80;
            }
            assert!(!equal(&one, &[one.as_slice(), b"x"].concat()));
        }
    }
}
