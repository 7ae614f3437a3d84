//! How it is noted that a key was accessed: when it was last (LRU), or how often of late (LFU). Ancestors: the `lru`
//! field of `robj`, `updateLFU` and its kin of evict.c.
//!
//! ```text
//! 24 bits of an entry   LRU  | seconds, modulo 2^24                        |
//!                       LFU  | minutes, modulo 2^16 | counter, logarithmic |
//! access clock          the same for a new key, and above it flags that say that an access takes more than a store
//! ```
//!
//! A read compares the entry's bits with the access clock and has nothing to do where they are equal: most of the time,
//! under LRU. A flag makes them differ always, so that everything else happens off the busy path.

use crate::base::clock::UnixMs;
use crate::base::rng::Rng;
use crate::types::entry::Entry;

/// The bits of an entry.
pub const CLOCK_MASK: u32 = 0xff_ffff;
/// In the access clock: accesses are counted.
const COUNTED: u32 = 1 << 24;
/// In the access clock: accesses to keys that are there are not noted.
const UNTOUCHED: u32 = 1 << 25;
/// A new key's counter, so that it has some time to prove its worth.
pub const LFU_INIT: u32 = 5;
const COUNTER_MAX: u32 = 255;

/// What is noted, and how.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// Whether accesses are counted; otherwise their time is noted.
    pub lfu: bool,
    /// The higher, the more accesses it takes to saturate the counter (`lfu-log-factor`).
    pub log_factor: u32,
    /// So many minutes without an access take one from the counter, 0 for never (`lfu-decay-time`).
    pub decay_minutes: u32,
    /// Whether reads leave no trace: while a child saves, each trace would copy a page.
    pub untouched: bool,
}

impl Default for AccessRule {
    fn default() -> Self {
        AccessRule { lfu: false, log_factor: 10, decay_minutes: 1, untouched: false }
    }
}

impl AccessRule {
    /// The access clock at a time.
    #[inline]
    pub fn clock(&self, now: UnixMs) -> u32 {
        let seconds = (now / 1000) as u32 & CLOCK_MASK;
        if self.lfu || self.untouched { self.flagged_clock(seconds, now) } else { seconds }
    }

    #[cold]
    fn flagged_clock(&self, seconds: u32, now: UnixMs) -> u32 {
        let flag = if self.untouched { UNTOUCHED } else { 0 };
        if self.lfu { flag | COUNTED | counted_at(now, LFU_INIT) } else { flag | seconds }
    }

    /// The counter of an entry's bits, less what it has lost since. `minutes` is 16 bits of them.
    pub fn frequency(&self, access: u32, minutes: u32) -> u32 {
        let elapsed = minutes.wrapping_sub(access >> 8) & 0xffff;
        let lost = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        (access & COUNTER_MAX).saturating_sub(lost)
    }

    /// The bits of an entry after one more access.
    fn counted(&self, access: u32, clock: u32, rng: &mut Rng) -> u32 {
        let minutes = (clock & CLOCK_MASK) >> 8;
        let counter = self.frequency(access, minutes);
        minutes << 8 | self.incremented(counter, rng)
    }

    /// One more, with a chance that is the smaller the higher the counter stands.
    fn incremented(&self, counter: u32, rng: &mut Rng) -> u32 {
        if counter >= COUNTER_MAX {
            return COUNTER_MAX;
        }
        let above = u64::from(counter.saturating_sub(LFU_INIT));
        counter + u32::from(rng.below(above * u64::from(self.log_factor) + 1) == 0)
    }
}

/// The bits of an entry that was accessed now, with this counter.
pub fn counted_at(now: UnixMs, counter: u32) -> u32 {
    minutes_at(now) << 8 | counter.min(COUNTER_MAX)
}

/// 16 bits of minutes.
pub fn minutes_at(now: UnixMs) -> u32 {
    (now / 60_000) as u32 & 0xffff
}

/// Notes an access to an entry whose bits differ from the access clock.
#[cold]
#[inline(never)]
pub(super) fn note(entry: &mut Entry, clock: u32, rule: &AccessRule, rng: &mut Rng) {
    if clock & UNTOUCHED == 0 {
        let counted = clock & COUNTED != 0;
        entry.set_access(if counted { rule.counted(entry.access(), clock, rng) } else { clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: UnixMs = 60_000;

    fn lfu() -> AccessRule {
        AccessRule { lfu: true, ..AccessRule::default() }
    }

    fn hit(rule: &AccessRule, entry: &mut Entry, now: UnixMs, times: usize, rng: &mut Rng) -> u32 {
        (0..times).for_each(|_| note(entry, rule.clock(now), rule, rng));
        rule.frequency(entry.access(), minutes_at(now))
    }

    #[test]
    fn the_counter_grows_as_the_documents_say() {
        // The table of redis.conf: counters after so many hits, by factor. What chance makes of it varies a little.
        let mut rng = Rng::new(1);
        for (factor, hits, low, high) in [
            (0, 100, 104, 106),
            (0, 1000, 255, 255),
            (1, 1000, 44, 56),
            (10, 1000, 15, 22),
            (10, 100_000, 130, 155),
            (100, 1000, 8, 14),
        ] {
            let rule = AccessRule { log_factor: factor, ..lfu() };
            let mut entry = Entry::with_str(b"k", b"v", None);
            entry.set_access(rule.clock(0));
            let counter = hit(&rule, &mut entry, 0, hits, &mut rng);
            assert!((low..=high).contains(&counter), "factor {factor}, {hits} hits: {counter}");
        }
    }

    #[test]
    fn the_counter_decays_by_the_minute_and_across_the_wrap_of_its_clock() {
        let mut rule = AccessRule { log_factor: 0, ..lfu() };
        let mut entry = Entry::with_str(b"k", b"v", None);
        let start = 65_530 * MINUTE;
        entry.set_access(counted_at(start, 20));
        let at = |rule: &AccessRule, minutes| rule.frequency(entry.access(), minutes_at(start + minutes * MINUTE));
        assert_eq!((at(&rule, 0), at(&rule, 1), at(&rule, 10), at(&rule, 30)), (20, 19, 10, 0));
        rule.decay_minutes = 7;
        assert_eq!((at(&rule, 6), at(&rule, 7), at(&rule, 13), at(&rule, 14)), (20, 19, 19, 18));
        rule.decay_minutes = 0;
        assert_eq!(at(&rule, 1000), 20);
        rule.decay_minutes = 1;
        assert_eq!(hit(&rule, &mut entry, start + 10 * MINUTE, 1, &mut Rng::new(2)), 11, "an access settles the loss");
    }

    #[test]
    fn what_is_not_to_be_touched_keeps_its_bits_but_a_new_key_has_its_own() {
        for lfu in [false, true] {
            let (rule, mut rng) = (AccessRule { lfu, untouched: true, ..AccessRule::default() }, Rng::new(3));
            let (mut entry, clock) = (Entry::with_str(b"k", b"v", None), rule.clock(90 * MINUTE));
            entry.set_access(clock);
            assert_eq!(entry.access(), if lfu { counted_at(90 * MINUTE, LFU_INIT) } else { 5400 });
            let before = entry.access();
            note(&mut entry, rule.clock(95 * MINUTE), &rule, &mut rng);
            assert_eq!(entry.access(), before);
        }
    }
}
