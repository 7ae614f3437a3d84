//! SHA-256, under which passwords are kept (ancestor: `sha256.c`). The work is done by the crate `sha2`.

use sha2::{Digest, Sha256};

/// The digest in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    let mut hex = [0; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_the_standard() {
        let expected = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(&super::sha256_hex(b"abc"), expected);
    }
}
