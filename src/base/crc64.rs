//! CRC-64 as snapshots and DUMP end with (ancestor: `crc64.c`): Jones' polynomial, reflected, no initial value, no final
//! xor. The work is done by `crc-fast`; checksum buffers, not fields.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of what gave `crc` (0 for nothing yet) followed by `bytes`.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(bytes);
    digest.finalize()
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
    fn any_cut_gives_the_same_sum() {
        let bytes: Vec<u8> = (0..700u32).map(|index| ((index * index) >> 3) as u8).collect();
        let whole = crc64(0, &bytes);
        assert_eq!(whole, naive(0, &bytes));
        for cut in 0..bytes.len() {
            assert_eq!(crc64(crc64(0, &bytes[..cut]), &bytes[cut..]), whole);
        }
    }
}
