//! Bits of byte strings, counted from the highest bit of the first byte (= the leaf functions of bitops.c).
//!
//! A word is eight bytes read big-endian, so that the order of its bits is that of the string.

use std::ops::Range;

/// The bit at `index`; what lies past the end is 0.
#[inline]
pub fn get(bytes: &[u8], index: u64) -> bool {
    let byte = usize::try_from(index / 8).ok().and_then(|at| bytes.get(at)).copied().unwrap_or(0);
    byte >> (7 - index % 8) & 1 != 0
}

/// Sets the bit at `index`, which must be inside, and returns what it was.
#[inline]
pub fn set(bytes: &mut [u8], index: u64, on: bool) -> bool {
    let byte = &mut bytes[(index / 8) as usize];
    let shift = 7 - index % 8;
    let was = *byte >> shift & 1 != 0;
    *byte = *byte & !(1 << shift) | u8::from(on) << shift;
    was
}

/// The unsigned number of up to 64 bits that begins at bit `first`; bits past the end are 0.
pub fn get_number(bytes: &[u8], first: u64, width: u32) -> u64 {
    debug_assert!((1..=64).contains(&width));
    let mut window = [0; 16];
    if let Some(rest) = usize::try_from(first / 8).ok().and_then(|at| bytes.get(at..)) {
        let taken = rest.len().min(9);
        window[..taken].copy_from_slice(&rest[..taken]);
    }
    let wide = u128::from_be_bytes(window) << (first % 8);
    (wide >> (128 - width)) as u64
}

/// Writes the lowest `width` bits of `value` from bit `first` on. All of them must be inside.
pub fn set_number(bytes: &mut [u8], first: u64, width: u32, value: u64) {
    debug_assert!((1..=64).contains(&width));
    let rest = &mut bytes[(first / 8) as usize..];
    let touched = (first % 8 + u64::from(width)).div_ceil(8) as usize;
    let mut window = [0; 16];
    window[..touched].copy_from_slice(&rest[..touched]);
    let below = 128 - width - (first % 8) as u32;
    let mask = (u128::MAX >> (128 - width)) << below;
    let wide = u128::from_be_bytes(window) & !mask | (u128::from(value) << below) & mask;
    rest[..touched].copy_from_slice(&wide.to_be_bytes()[..touched]);
}

/// How many bits are set.
pub fn count_ones(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 32 && is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor was asked whether it has the instruction.
        return unsafe { count_ones_popcnt(bytes) };
    }
    count_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_ones_popcnt(bytes: &[u8]) -> u64 {
    count_words(bytes)
}

/// Four sums side by side, so that no addition waits for the one before it.
#[inline(always)]
fn count_words(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut sums = [0u64; 4];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum += u64::from(u64::from_ne_bytes(*word).count_ones());
        }
    }
    sums.iter().sum::<u64>() + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// How many bits of a range of bits are set. The range must be inside.
pub fn count_ones_in(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let before = bytes[first] & !(0xff >> (range.start % 8));
    let after = bytes[last] & (0x7f >> ((range.end - 1) % 8));
    count_ones(&bytes[first..=last]) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// The first bit of a range of bits that is `wanted`. The range must be inside.
pub fn find_in(bytes: &[u8], range: Range<u64>, wanted: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    // With a zero looked for, everything is seen inverted, so that a one is.
    let flip = if wanted { 0 } else { 0xff };
    let head = (bytes[first] ^ flip) & (0xff >> (range.start % 8));
    let found = if head != 0 {
        first as u64 * 8 + u64::from(head.leading_zeros())
    } else {
        let rest = &bytes[first + 1..=last];
        let at = first + 1 + first_byte_not(rest, flip)?;
        at as u64 * 8 + u64::from((bytes[at] ^ flip).leading_zeros())
    };
    (found < range.end).then_some(found)
}

/// Where the first byte stands that is not `byte`.
fn first_byte_not(bytes: &[u8], byte: u8) -> Option<usize> {
    const BLOCK: usize = 64;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let same = blocks.iter().take_while(|block| block.iter().fold(0, |odd, other| odd | (other ^ byte)) == 0).count();
    let skipped = same * BLOCK;
    bytes[skipped..].iter().position(|&other| other != byte).map(|at| skipped + at)
}

/// How strings are combined bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set where all are.
    And,
    /// Set where one is.
    Or,
    /// Set where an odd number of them are.
    Xor,
    /// Set where the only one is not.
    Not,
    /// Set where the first is and no other.
    Diff,
    /// Set where any but the first is, and the first is not.
    Diff1,
    /// Set where the first is and any other.
    AndOr,
    /// Set where exactly one is.
    One,
}

impl Operation {
    /// Whether it is one of those that came with Redis 8.2.
    pub fn is_young(self) -> bool {
        matches!(self, Operation::Diff | Operation::Diff1 | Operation::AndOr | Operation::One)
    }
}

/// `combine` for the young operations.
fn combine_young(operation: Operation, sources: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.as_ref().len()).max().unwrap_or(0);
    let (mut any, mut several) = (vec![0u8; len], vec![0u8; len]);
    let first = sources.first().map_or(&[][..], AsRef::as_ref);
    for source in sources.iter().skip(usize::from(operation != Operation::One)) {
        for ((any, several), byte) in any.iter_mut().zip(&mut several).zip(source.as_ref()) {
            *several |= *any & byte;
            *any |= byte;
        }
    }
    let of_first = first.iter().copied().chain(std::iter::repeat(0));
    let bytes = any.iter().zip(&several).zip(of_first);
    bytes
        .map(|((any, several), first)| match operation {
            Operation::Diff => first & !any,
            Operation::Diff1 => any & !first,
            Operation::AndOr => first & any,
            _ => any & !several,
        })
        .collect()
}

/// Combines strings bit by bit. Short ones count as if zeros followed; the result is as long as the longest.
pub fn combine(operation: Operation, sources: &[impl AsRef<[u8]>]) -> Vec<u8> {
    /// The result is made in pieces that stay in the nearest cache while all sources pass over them.
    const PIECE: usize = 8 * 1024;
    if operation.is_young() {
        return combine_young(operation, sources);
    }
    let len = sources.iter().map(|source| source.as_ref().len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    let Some((head, others)) = sources.split_first() else { return result };
    for (index, piece) in result.chunks_mut(PIECE).enumerate() {
        let start = index * PIECE;
        copy_part(piece, part(head.as_ref(), start));
        for other in others {
            combine_part(operation, piece, part(other.as_ref(), start));
        }
        if operation == Operation::Not {
            piece.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    result
}

fn part(source: &[u8], start: usize) -> &[u8] {
    source.get(start..).unwrap_or(&[])
}

fn copy_part(piece: &mut [u8], from: &[u8]) {
    let shared = piece.len().min(from.len());
    piece[..shared].copy_from_slice(&from[..shared]);
}

/// Loops over bytes of two slices of one length, which the compiler turns into ones over vectors.
fn combine_part(operation: Operation, piece: &mut [u8], from: &[u8]) {
    let shared = piece.len().min(from.len());
    let (head, tail) = piece.split_at_mut(shared);
    let pairs = head.iter_mut().zip(&from[..shared]);
    match operation {
        Operation::And => {
            pairs.for_each(|(byte, other)| *byte &= other);
            tail.fill(0);
        }
        Operation::Or => pairs.for_each(|(byte, other)| *byte |= other),
        Operation::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The naive twin: a string as single bits.
    fn bits_of(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 != 0)).collect()
    }

    fn some_bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
        let kind = rng.next_u64() % 4;
        let byte = |rng: &mut Rng| match kind {
            0 => 0,
            1 => 0xff,
            _ => rng.next_u64() as u8,
        };
        let mut bytes: Vec<u8> = (0..len).map(|_| byte(rng)).collect();
        if len > 0 && kind < 2 && rng.next_u64().is_multiple_of(2) {
            let at = rng.index(len);
            bytes[at] ^= 1 << (rng.next_u64() % 8);
        }
        bytes
    }

    #[test]
    fn counts_and_places_are_those_of_the_naive_twin() {
        let mut rng = Rng::new(11);
        for round in 0..4000 {
            let len = rng.index(if round % 10 == 0 { 700 } else { 40 });
            let bytes = some_bytes(&mut rng, len);
            let bits = bits_of(&bytes);
            let end = rng.index(bits.len() + 1);
            let start = rng.index(end + 1);
            let part = &bits[start..end];
            let range = start as u64..end as u64;
            assert_eq!(count_ones(&bytes), bits.iter().filter(|bit| **bit).count() as u64);
            assert_eq!(count_ones_in(&bytes, range.clone()), part.iter().filter(|bit| **bit).count() as u64);
            for wanted in [true, false] {
                let place = part.iter().position(|bit| *bit == wanted).map(|at| (start + at) as u64);
                assert_eq!(find_in(&bytes, range.clone(), wanted), place, "{wanted} {range:?} in {bytes:?}");
            }
        }
    }

    #[test]
    fn numbers_are_read_and_written_at_any_bit() {
        let mut rng = Rng::new(12);
        for _ in 0..20_000 {
            let len = 1 + rng.index(20);
            let mut bytes = some_bytes(&mut rng, len);
            let bits = bits_of(&bytes);
            let width = 1 + rng.index(64);
            let first = rng.index(bits.len() + 70);
            let naive =
                (first..first + width).fold(0, |sum: u64, at| sum << 1 | u64::from(bits.get(at) == Some(&true)));
            assert_eq!(get_number(&bytes, first as u64, width as u32), naive);
            assert_eq!(get(&bytes, first as u64), bits.get(first) == Some(&true));
            if first + width > bits.len() {
                continue;
            }
            let value = rng.next_u64();
            set_number(&mut bytes, first as u64, width as u32, value);
            let mut expected = bits.clone();
            for (at, bit) in expected[first..first + width].iter_mut().enumerate() {
                *bit = value >> (width - 1 - at) & 1 != 0;
            }
            assert_eq!(bits_of(&bytes), expected);
            assert_eq!(set(&mut bytes, first as u64, true), expected[first]);
            expected[first] = true;
            assert_eq!(bits_of(&bytes), expected);
            assert!(set(&mut bytes, first as u64, false));
            expected[first] = false;
            assert_eq!(bits_of(&bytes), expected);
        }
        assert_eq!(get_number(b"abc", u64::MAX, 64), 0);
        assert!(!get(b"abc", u64::MAX));
    }

    #[test]
    fn young_operations_answer_as_redis_8_2_does() {
        let (a, b, c) = (&b"abc"[..], &b"abd"[..], &b"xyz12"[..]);
        for (operation, sources, expected) in [
            (Operation::Diff, &[a, b, c][..], &b"\x00\x00\x01\x00\x00"[..]),
            (Operation::Diff1, &[a, b, c], b"\x18\x19\x1c12"),
            (Operation::AndOr, &[a, b, c], b"abb\x00\x00"),
            (Operation::One, &[a, b, c], b"\x18\x19\x1d12"),
            (Operation::Diff, &[c, a], b"\x18\x19\x1812"),
            (Operation::Diff1, &[c, a], b"\x01\x02\x01\x00\x00"),
            (Operation::AndOr, &[c, a], b"``b\x00\x00"),
            (Operation::One, &[c, a, a], b"\x18\x19\x1812"),
            (Operation::One, &[a], b"abc"),
            (Operation::One, &[b"", b""], b""),
        ] {
            assert_eq!(combine(operation, sources), expected, "{operation:?}");
        }
    }

    #[test]
    fn strings_are_combined_as_if_zeros_followed() {
        use Operation::{And, Not, Or, Xor};
        let mut rng = Rng::new(13);
        for round in 0..600 {
            let longest = if round % 20 == 0 { 30_000 } else { 100 };
            let sources: Vec<Vec<u8>> = (0..1 + rng.index(4))
                .map(|_| {
                    let len = rng.index(longest);
                    some_bytes(&mut rng, len)
                })
                .collect();
            let len = sources.iter().map(Vec::len).max().unwrap();
            let at = |source: &Vec<u8>, index: usize| source.get(index).copied().unwrap_or(0);
            for operation in [And, Or, Xor] {
                let join = |a: u8, b: u8| match operation {
                    And => a & b,
                    Or => a | b,
                    _ => a ^ b,
                };
                let naive: Vec<u8> =
                    (0..len).map(|i| sources.iter().map(|source| at(source, i)).reduce(join).unwrap()).collect();
                assert!(combine(operation, &sources) == naive, "{operation:?} of {:?}", sources);
            }
            let inverted: Vec<u8> = sources[0].iter().map(|byte| !byte).collect();
            assert_eq!(combine(Not, &sources[..1]), inverted);
        }
        assert!(combine(And, &[] as &[&[u8]]).is_empty());
    }
}
