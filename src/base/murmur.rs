//! MurmurHash64A, the published hash by which HyperLogLogs choose a register. Not keyed: it is part of a format.

const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

/// The hash of some bytes under a seed.
pub fn hash64a(bytes: &[u8], seed: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        hash = (hash ^ (word ^ word >> SHIFT).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::hash64a;

    /// Register and run length, as PFDEBUG DECODE of a stock server tells them after one PFADD.
    #[test]
    fn elements_fall_into_the_registers_of_a_stock_server() {
        for (element, register, run) in ELEMENTS {
            let hash = hash64a(element.as_bytes(), 0xadc8_3b19);
            assert_eq!((hash & 16383, (hash >> 14).trailing_zeros() + 1), (*register, *run), "{element}");
        }
    }

    const ELEMENTS: &[(&str, u64, u32)] = &[
        ("", 5938, 2),
        ("a", 12711, 2),
        ("ab", 719, 1),
        ("abc", 9474, 1),
        ("abcd", 11070, 8),
        ("abcde", 3726, 4),
        ("abcdef", 13647, 2),
        ("abcdefg", 5634, 2),
        ("abcdefgh", 1383, 1),
        ("abcdefghi", 6903, 1),
        ("0123456789abcdef", 5949, 1),
        ("0123456789abcdefX", 11257, 1),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            15288,
            1,
        ),
    ];
}
