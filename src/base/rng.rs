//! The door through which chance comes in: a small seeded generator (xoshiro256**).
//!
//! Everything random in the server (sampling, run ids, jitter) draws from an `Rng` that was handed to it, so that a
//! whole run can be repeated under one seed. For secrets there is a way of its own.

/// A seeded pseudo-random generator. Equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
    /// Secrets are drawn from the operating system.
    is_system: bool,
}

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        let mut next = || {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        Rng { state: [next(), next(), next(), next()], is_system: false }
    }

    /// A generator seeded by the operating system.
    pub fn from_os() -> Self {
        Rng { is_system: true, ..Rng::new(os_random()) }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        // The multiply-shift of Lemire; the bias of at most n / 2^64 is of no account here.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// `below` for indices.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// Lower-case hexadecimal digits, as run ids and replication ids are made of.
    pub fn hex<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for digit in &mut out {
            *digit = b"0123456789abcdef"[self.index(16)];
        }
        out
    }

    /// Fills a buffer with hexadecimal digits that nobody can guess: what this generator says could be guessed from
    /// what it has said before, so they come from the operating system unless a simulation is to be repeatable.
    pub fn secret_hex(&mut self, out: &mut [u8]) {
        for digits in out.chunks_mut(16) {
            let bits = if self.is_system { os_random() } else { self.next_u64() };
            for (place, digit) in digits.iter_mut().enumerate() {
                *digit = b"0123456789abcdef"[(bits >> (4 * place)) as usize & 15];
            }
        }
    }
}

/// 64 bits from the operating system's generator.
pub fn os_random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is ours and as long as we say.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 {
        return u64::from_ne_bytes(bytes);
    }
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    time.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_sequences_and_below_stays_below() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            assert_eq!(a.next_u64(), b.next_u64());
            seen[a.index(10)] += 1;
            b.index(10);
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        assert_ne!(Rng::new(1).next_u64(), Rng::new(2).next_u64());
    }
}
