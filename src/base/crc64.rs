//! CRC-64 as snapshots and DUMP end with (ancestor: `crc64.c`): Jones' polynomial, reflected, no initial value, no final
//! xor. The work is done by `crc-fast`; checksum buffers, not fields.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of what gave `crc` (0 for nothing yet) followed by `bytes`.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(bytes);
    digest.finalize()
}

/// The polynomial without its leading term, lowest power in the highest bit.
const POLYNOMIAL: u64 = 0xAD93_D235_94C9_35A9_u64.reverse_bits();

/// The product of two remainders.
fn product(a: u64, mut b: u64) -> u64 {
    let mut result = 0;
    for bit in (0..64).rev() {
        if a >> bit & 1 == 1 {
            result ^= b;
        }
        b = (b >> 1) ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    result
}

/// What `crc` becomes when so many zero bytes follow. As the checksum is linear, that of two pieces is
/// `followed_by(first, second_len) ^ second`, and that of a piece whose beginning is known follows likewise.
pub fn followed_by(crc: u64, mut zeros: u64) -> u64 {
    // The power of x that one zero byte multiplies by; squared from bit to bit of the count.
    let (mut result, mut power) = (crc, 1 << (63 - 8));
    while zeros > 0 {
        if zeros & 1 == 1 {
            result = product(power, result);
        }
        power = product(power, power);
        zeros >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, from the definition.
    fn naive(crc: u64, bytes: &[u8]) -> u64 {
        bytes.iter().fold(crc, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { 0xAD93_D235_94C9_35A9_u64.reverse_bits() } else { 0 }
            })
        })
    }

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn zeros_that_follow_are_reckoned_without_being_there() {
        for (crc, zeros) in [(0, 5), (1, 1), (0xe9c6_d914_c4b8_d9ca, 0), (0xe9c6_d914_c4b8_d9ca, 1), (u64::MAX, 70_001)]
        {
            assert_eq!(followed_by(crc, zeros as u64), naive(crc, &vec![0; zeros]));
        }
        let (a, b) = (b"one piece".as_slice(), b"and another".as_slice());
        let whole = crc64(0, &[a, b].concat());
        assert_eq!(followed_by(crc64(0, a), b.len() as u64) ^ crc64(0, b), whole);
    }

    #[test]
    fn any_cut_gives_the_same_sum() {
        let bytes: Vec<u8> = (0..700u32).map(|index| ((index * index) >> 3) as u8).collect();
        let whole = crc64(0, &bytes);
        assert_eq!(whole, naive(0, &bytes));
        for cut in 0..bytes.len() {
            assert_eq!(crc64(crc64(0, &bytes[..cut]), &bytes[cut..]), whole);
        }
    }
}
