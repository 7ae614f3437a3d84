//! SHA-1, which names scripts and digests data sets (ancestor: `sha1.c`). The work is done by the crate `sha1`.

use sha1::{Digest, Sha1};

pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_of_the_standard() {
        let hex: String = super::sha1(b"abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
