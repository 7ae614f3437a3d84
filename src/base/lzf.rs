//! LZF, the compression of long strings in snapshots (ancestor: `lzf_c.c`, `lzf_d.c`; the format is liblzf's).
//!
//! ```text
//! 000LLLLL data                          L + 1 bytes as they are
//! LLLooooo oooooooo                      L + 2 bytes (L in 1..=6) from o + 1 bytes back
//! 111ooooo LLLLLLLL oooooooo             L + 9 bytes from o + 1 bytes back
//! ```
//!
//! A copy may overlap what it writes. Any choice of copies is a valid stream; ours need not be liblzf's.

const LITERALS_MAX: usize = 32;
/// The format has shorter ones, which save nothing where they part a run of literals.
const MATCH_MIN: usize = 4;
/// The table of places has so many bits for a long input.
const HASH_BITS_MAX: u32 = 14;
/// Bytes that are looked at together.
const WORD: usize = MATCH_MIN;
/// After so many bytes (as a power of two) without a match every second one is looked at, and so on.
const PATIENCE_BITS: usize = 6;
const MATCH_MAX: usize = 2 + 7 + 255;
const DISTANCE_MAX: usize = 1 << 13;
/// Short copies go by so many bytes at once, into room behind the end that is there for that.
const WIDE: usize = 16;
const SLACK: usize = 64;
/// The smallest gain worth the trouble, as in the ancestor of the snapshot's writer.
const GAIN_MIN: usize = 4;
/// No stream grows by more than this: three bytes can stand for `MATCH_MAX`.
const EXPANSION_MAX: usize = MATCH_MAX / 3;

/// Compresses one input after the other without clearing or allocating anything between them.
#[derive(Default)]
pub struct Compressor {
    /// Where each hash of four bytes was last seen, counted from `base`; at most `base` if not in this input.
    seen: Vec<u32>,
    base: u32,
    out: Vec<u8>,
}

impl Compressor {
    /// `input` compressed, or None if that would not save at least four bytes.
    pub fn compress(&mut self, input: &[u8]) -> Option<&[u8]> {
        let budget = input.len().checked_sub(GAIN_MIN)?;
        // Positions are kept as u32, and nothing in a snapshot is longer.
        let len = u32::try_from(input.len()).ok()?;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out.reserve(budget + SLACK);
        if self.base.checked_add(len).is_none() {
            self.seen.fill(0);
            self.base = 0;
        }
        let pays = self.compress_into(input, budget, &mut out);
        self.base += len;
        self.out = out;
        pays.then_some(&self.out)
    }

    fn compress_into(&mut self, input: &[u8], budget: usize, out: &mut Vec<u8>) -> bool {
        // A short string touches few cache lines of the table.
        let bits = (usize::BITS - input.len().leading_zeros()).clamp(6, HASH_BITS_MAX);
        if self.seen.len() < 1 << bits {
            self.seen.resize(1 << bits, 0);
        }
        let mut seen = Seen { slots: &mut self.seen[..1 << bits], shift: 32 - bits, base: self.base };
        // The first place repeats nothing, and needs no note: a slot that was never set means it.
        let (mut at, mut literals_from) = (1, 0);
        while at + WORD <= input.len() {
            let Some(distance) = seen.replace(input, at) else {
                // The longer nothing was found, the less it is looked for.
                at += 1 + ((at - literals_from) >> PATIENCE_BITS);
                if out.len() + (at - literals_from) > budget {
                    return false;
                }
                continue;
            };
            let len = match_len(input, at, distance);
            write_literals(out, input, literals_from, at);
            write_match(out, distance, len);
            if out.len() > budget {
                return false;
            }
            // The last place of a match is enough to find what runs on from it.
            seen.replace(input, at + len - 1);
            at += len;
            literals_from = at;
        }
        write_literals(out, input, literals_from, input.len());
        out.len() <= budget
    }
}

/// The part of a compressor's notes that one input uses.
struct Seen<'a> {
    slots: &'a mut [u32],
    shift: u32,
    base: u32,
}

impl Seen<'_> {
    /// Notes that the bytes at `at`, which is not 0, stand there; how far back the same four bytes stood before, if
    /// in reach.
    #[inline]
    fn replace(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let word = |at: usize| Some(u32::from_le_bytes(*input.get(at..)?.first_chunk::<WORD>()?));
        let key = word(at)?;
        let slot = &mut self.slots[(key.wrapping_mul(0x9E37_79B1) >> self.shift) as usize];
        let before = std::mem::replace(slot, self.base + at as u32).saturating_sub(self.base) as usize;
        // Equal bytes are rare and near ones are not: in this order the processor guesses right.
        (word(before)? == key && at - before <= DISTANCE_MAX).then_some(at - before)
    }
}

/// How many bytes at `at` equal those `distance` back; at least `MATCH_MIN` do.
#[inline]
fn match_len(input: &[u8], at: usize, distance: usize) -> usize {
    let most = MATCH_MAX.min(input.len() - at);
    let (now, before) = (&input[at..at + most], &input[at - distance..at - distance + most]);
    let mut len = MATCH_MIN;
    while let (Some(a), Some(b)) = (now[len..].first_chunk::<8>(), before[len..].first_chunk::<8>()) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return len + differing.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    len + now[len..].iter().zip(&before[len..]).take_while(|(a, b)| a == b).count()
}

/// Appends `input[from..to]` as it is.
#[inline]
fn write_literals(out: &mut Vec<u8>, input: &[u8], mut from: usize, to: usize) {
    while from < to {
        let count = (to - from).min(LITERALS_MAX);
        out.push((count - 1) as u8);
        let end = out.len();
        if count <= WIDE && out.capacity() - end >= WIDE && input.len() - from >= WIDE {
            // SAFETY: both sides have `WIDE` bytes of room, and the length grows by what was asked for of them.
            unsafe {
                let wide = input.as_ptr().add(from).cast::<[u8; WIDE]>().read_unaligned();
                out.as_mut_ptr().add(end).cast::<[u8; WIDE]>().write_unaligned(wide);
                out.set_len(end + count);
            }
        } else {
            out.extend_from_slice(&input[from..from + count]);
        }
        from += count;
    }
}

fn write_match(out: &mut Vec<u8>, distance: usize, len: usize) {
    let (offset, len) = (distance - 1, len - 2);
    if len < 7 {
        out.push((len << 5 | offset >> 8) as u8);
    } else {
        out.push((7 << 5 | offset >> 8) as u8);
        out.push((len - 7) as u8);
    }
    out.push(offset as u8);
}

/// What `input` stands for, or None if it is damaged or does not stand for exactly `expected_len` bytes.
pub fn decompress(input: &[u8], expected_len: usize) -> Option<Vec<u8>> {
    if expected_len > input.len().checked_mul(EXPANSION_MAX)? {
        return None;
    }
    let mut out = Vec::with_capacity(expected_len + SLACK);
    let mut rest = input;
    while let [control, after @ ..] = rest {
        let control = usize::from(*control);
        if control < LITERALS_MAX {
            let (run, after) = after.split_at_checked(control + 1)?;
            out.extend_from_slice(run);
            rest = after;
        } else {
            let (extra, after) = if control >> 5 == 7 { after.split_first()? } else { (&0, after) };
            let (offset, after) = after.split_first()?;
            let distance = ((control & 0x1F) << 8 | usize::from(*offset)) + 1;
            let from = out.len().checked_sub(distance)?;
            copy_within(&mut out, from, (control >> 5) + usize::from(*extra) + 2);
            rest = after;
        }
        if out.len() > expected_len {
            return None;
        }
    }
    (out.len() == expected_len).then_some(out)
}

/// Appends `len` bytes of `out` itself, from `from` on, some of which may be the ones appended.
#[inline]
fn copy_within(out: &mut Vec<u8>, from: usize, len: usize) {
    let end = out.len();
    if end - from >= WIDE && len <= SLACK - WIDE && out.capacity() - end >= SLACK {
        let mut done = 0;
        while done < len {
            // SAFETY: what is read ends before `end + done`, as it starts `WIDE` or more before that, and is initialised;
            // what is written ends at most at `end + len + WIDE`, for which there is capacity.
            unsafe {
                let base = out.as_mut_ptr();
                base.add(end + done)
                    .cast::<[u8; WIDE]>()
                    .write_unaligned(base.add(from + done).cast::<[u8; WIDE]>().read_unaligned());
            }
            done += WIDE;
        }
        // SAFETY: so many bytes have just been written.
        unsafe { out.set_len(end + len) };
        return;
    }
    let mut left = len;
    while left > 0 {
        // What lies behind `from` repeats itself, so each round may copy twice as much.
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn compress(input: &[u8]) -> Option<Vec<u8>> {
        Compressor::default().compress(input).map(<[u8]>::to_vec)
    }

    fn assert_survives(input: &[u8], compressor: &mut Compressor) -> bool {
        let Some(packed) = compressor.compress(input) else { return false };
        assert!(packed.len() + GAIN_MIN <= input.len());
        assert_eq!(decompress(packed, input.len()).as_deref(), Some(input));
        assert!(decompress(packed, input.len() + 1).is_none());
        assert!(decompress(packed, input.len() - 1).is_none());
        true
    }

    /// Runs and repeats of every length and distance, random bytes between.
    fn sample(rng: &mut Rng, len: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        while bytes.len() < len {
            let count = 1 + rng.index(400).min(rng.index(400));
            if rng.below(3) == 0 {
                (0..count.min(60)).for_each(|_| bytes.push(rng.next_u64() as u8));
            } else {
                let from = bytes.len() - 1 - rng.index(bytes.len().min(9000));
                copy_within(&mut bytes, from, count);
            }
        }
        bytes
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut rng = Rng::new(11);
        let (mut compressor, mut paid) = (Compressor::default(), 0);
        for _ in 0..400 {
            let len = rng.index(30_000).min(rng.index(30_000));
            paid += usize::from(assert_survives(&sample(&mut rng, len), &mut compressor));
        }
        assert!(paid > 300);
        for len in 0..600 {
            assert_eq!(assert_survives(&vec![b'a'; len], &mut compressor), len >= 8);
        }
    }

    /// What an earlier input left in the table means nothing for the next one, also where positions begin anew.
    #[test]
    fn positions_may_run_out_of_their_numbers() {
        let mut rng = Rng::new(12);
        let mut compressor = Compressor { base: u32::MAX - 100_000, ..Compressor::default() };
        let bases: Vec<u32> = (0..200)
            .map(|_| {
                let len = 500 + rng.index(2000);
                let input = sample(&mut rng, len);
                assert!(assert_survives(&input, &mut compressor));
                compressor.base
            })
            .collect();
        assert!(bases.windows(2).any(|pair| pair[1] < pair[0]), "they have run out");
    }

    /// Past the longest distance, the offset would run into the length.
    #[test]
    fn repeats_at_the_edge_of_reach() {
        let (mut rng, mut compressor) = (Rng::new(6), Compressor::default());
        for distance in DISTANCE_MAX - 2..DISTANCE_MAX + 3 {
            let mut bytes = b"a repeat from far".to_vec();
            bytes.resize_with(distance, || rng.next_u64() as u8 | 0x80);
            bytes.extend_from_slice(b"a repeat from far");
            bytes.resize(distance + 2000, b'.');
            assert!(assert_survives(&bytes, &mut compressor));
        }
    }

    #[test]
    fn it_must_pay() {
        let mut rng = Rng::new(4);
        let noise: Vec<u8> = (0..5000).map(|_| rng.next_u64() as u8).collect();
        assert!(compress(&noise).is_none());
        assert!(compress(b"").is_none() && compress(b"aaaa").is_none());
        assert!(compress(&[b'a'; 100]).is_some_and(|packed| packed.len() < 10));
        assert!(compress(&b"field:value;".repeat(1000)).is_some_and(|packed| packed.len() < 200));
    }

    /// Made by a stock server (DUMP of this text).
    #[test]
    fn a_stream_of_stock_is_read() {
        let mut text = b"the understudy learns the part while the lead plays it; ".repeat(6);
        text.extend([b'a'; 50]);
        let packed = b"\x16the understudy learns t \x15\x09part while`\x0e \x19\x0ad plays it;`\x12\xe0\xff7\xe1\x03\x17\x00a\xe0&\x00\x01aa";
        assert_eq!(decompress(packed, text.len()).as_deref(), Some(&text[..]));
    }

    /// One byte at a time, from the drawing at the top.
    fn naive_decompress(input: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < input.len() {
            let control = input[at] as usize;
            at += 1;
            if control < 32 {
                for _ in 0..=control {
                    out.push(*input.get(at)?);
                    at += 1;
                }
                continue;
            }
            let mut len = control >> 5;
            if len == 7 {
                len += *input.get(at)? as usize;
                at += 1;
            }
            let back = ((control & 31) << 8) + *input.get(at)? as usize + 1;
            at += 1;
            for _ in 0..len + 2 {
                out.push(*out.get(out.len().checked_sub(back)?)?);
            }
        }
        Some(out)
    }

    #[test]
    fn damaged_streams_are_refused_or_mean_what_they_say() {
        let mut rng = Rng::new(8);
        let input = sample(&mut rng, 900);
        let packed = compress(&input).expect("a sample repeats itself");
        for cut in 0..packed.len() {
            assert!(decompress(&packed[..cut], input.len()).is_none());
        }
        for index in 0..packed.len() {
            for bits in 1..=255u8 {
                let mut damaged = packed.clone();
                damaged[index] ^= bits;
                let expected = naive_decompress(&damaged);
                let len = expected.as_ref().map_or(input.len(), Vec::len);
                assert_eq!(decompress(&damaged, len), expected);
            }
        }
        assert!(decompress(&packed, usize::MAX).is_none());
        assert_eq!(decompress(b"", 0), Some(Vec::new()));
    }
}
