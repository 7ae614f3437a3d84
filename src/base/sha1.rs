//! SHA-1, which names scripts and digests data sets (ancestor: `sha1.c`). The work is done by the crate `sha1`.

use sha1::{Digest, Sha1};

pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

/// The digest in 40 hexadecimal digits, in small letters.
pub fn sha1_hex(bytes: &[u8]) -> [u8; 40] {
    let mut digits = [0; 40];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(sha1(bytes)) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    digits
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_the_standard() {
        assert_eq!(&super::sha1_hex(b"abc"), b"a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
