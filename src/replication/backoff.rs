//! When the next attempt to reach a master is due: each failure doubles the wait, and chance spreads it, so that a
//! hundred replicas that lost their master in the same second do not come back in the same second.
//!
//! Ancestor: none; the C tries again every second.

use crate::base::rng::Rng;

/// The wait after the first failure.
const FIRST_MS: u64 = 1000;

/// The waits between attempts that fail.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    failed_at_ms: u64,
    /// What was drawn for the next wait, before the limit: a part of it between a half and one, in 1/1024.
    share: u64,
}

impl Backoff {
    /// An attempt has failed.
    pub fn note_failure(&mut self, now_ms: u64, rng: &mut Rng) {
        self.failures += 1;
        self.failed_at_ms = now_ms;
        self.share = 512 + rng.below(513);
    }

    /// How long to wait after the last failure: from a half of the full wait to all of it. `limit_ms` may have changed
    /// meanwhile.
    pub fn delay_ms(&self, limit_ms: u64) -> u64 {
        if self.failures == 0 {
            return 0;
        }
        let full = FIRST_MS << (self.failures - 1).min(20);
        full.min(limit_ms) * self.share / 1024
    }

    /// Whether it is time to try.
    pub fn is_due(&self, now_ms: u64, limit_ms: u64) -> bool {
        now_ms >= self.failed_at_ms + self.delay_ms(limit_ms)
    }

    /// All is well, or somebody wants the next attempt at once.
    pub fn reset(&mut self) {
        *self = Backoff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_spread() {
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();
        assert!(backoff.is_due(0, 30_000));
        for full in [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            backoff.note_failure(77, &mut rng);
            let delay = backoff.delay_ms(30_000);
            assert!((full / 2..=full).contains(&delay), "{delay} of {full}");
            assert!(!backoff.is_due(76 + delay, 30_000) && backoff.is_due(77 + delay, 30_000));
        }
        assert!(backoff.delay_ms(2000) <= 2000, "a lower limit holds at once");
        let mut seen: Vec<u64> = (0..100)
            .map(|_| {
                backoff.note_failure(0, &mut rng);
                backoff.delay_ms(30_000)
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 80, "a hundred replicas come back at {} different times", seen.len());
        backoff.reset();
        assert!(backoff.is_due(0, 30_000));
    }
}
