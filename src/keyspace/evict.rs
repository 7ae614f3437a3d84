//! Which key goes when memory is short (= evict.c: `evictionPoolPopulate` and the choice in `performEvictions`).
//!
//! Nobody keeps keys in the order of their last access. A few keys are sampled, the best of them and of those that
//! earlier samples found wait in a small pool, and the best of the pool goes: with five samples that is near to the true
//! order. A sample is a few neighbouring buckets of the key table from a random one on; keys are where their hash puts
//! them, so neighbours have nothing in common.
//!
//! Deliberately absent: how much memory is too much, and what follows from an eviction; `server/evict.rs` has both.

use super::access::{self, CLOCK_MASK};
use super::{Db, Keyspace, class};
use crate::config::MaxmemoryPolicy as Policy;
use crate::types::entry::Entry;
use crate::types::table::TableEntry;

/// Candidates that wait.
const POOL_SIZE: usize = 16;
/// Where fewer than one bucket in so many has a key that expires, the search goes on where the last one ended: a random
/// place would have it walk past the same buckets again and again.
const SPARSE: usize = 16;

/// The candidates of earlier samples, and where the last search ended.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// The worst first.
    pool: Vec<Candidate>,
    /// The database whose turn it is, where keys go at random.
    next_db: usize,
    /// The bucket at which the next search for keys that expire begins, where they are few.
    bucket: usize,
}

#[derive(Debug)]
struct Candidate {
    score: u64,
    db: usize,
    key: Vec<u8>,
}

/// Whether a policy looks only at keys that expire.
fn is_volatile(policy: Policy) -> bool {
    use Policy::*;
    matches!(policy, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
}

/// Whether a policy counts accesses.
pub fn is_lfu(policy: Policy) -> bool {
    matches!(policy, Policy::AllkeysLfu | Policy::VolatileLfu)
}

/// Whether a policy goes by the time of the last access.
pub fn is_lru(policy: Policy) -> bool {
    matches!(policy, Policy::AllkeysLru | Policy::VolatileLru)
}

/// Keys of a database that a policy may choose from.
fn eligible(db: &Db, policy: Policy) -> usize {
    if is_volatile(policy) { db.volatile() } else { db.len() }
}

impl Keyspace {
    /// The key that is to go next by `policy`, with its database; none if there is no key that may go.
    pub fn eviction_victim(&mut self, policy: Policy, samples: usize) -> Option<(usize, Vec<u8>)> {
        match policy {
            Policy::Noeviction => None,
            Policy::AllkeysRandom | Policy::VolatileRandom => self.random_victim(policy),
            _ => self.best_victim(policy, samples.max(1)),
        }
    }

    fn random_victim(&mut self, policy: Policy) -> Option<(usize, Vec<u8>)> {
        for _ in 0..self.database_count() {
            let db = self.eviction.next_db % self.database_count();
            self.eviction.next_db = db + 1;
            if eligible(&self.dbs[db], policy) == 0 {
                continue;
            }
            let key = match policy {
                Policy::AllkeysRandom => self.dbs[db].random(&mut self.rng).map(|entry| entry.key().to_vec()),
                _ => {
                    let mut found = Vec::new();
                    self.sample(db, 1, true, |entry| found.push(entry.key().to_vec()));
                    let chosen = self.rng.index(found.len());
                    found.into_iter().nth(chosen)
                }
            };
            return key.map(|key| (db, key));
        }
        None
    }

    fn best_victim(&mut self, policy: Policy, samples: usize) -> Option<(usize, Vec<u8>)> {
        loop {
            let mut any = false;
            for db in 0..self.database_count() {
                if eligible(&self.dbs[db], policy) > 0 {
                    any = true;
                    self.populate_pool(db, policy, samples);
                }
            }
            if !any {
                self.eviction.pool.clear();
                return None;
            }
            while let Some(best) = self.eviction.pool.pop() {
                let entry = self.dbs[best.db].get(&best.key);
                if entry.is_some_and(|entry| !is_volatile(policy) || entry.expire_ms().is_some()) {
                    return Some((best.db, best.key));
                }
            }
        }
    }

    /// Samples a database and keeps the best of it and of what was there.
    fn populate_pool(&mut self, db: usize, policy: Policy, samples: usize) {
        let mut pool = std::mem::take(&mut self.eviction.pool);
        let (rule, minutes) = (self.access.clone(), access::minutes_at(self.now));
        let seconds = (self.now / 1000) as u32;
        let score = |entry: &Entry| match policy {
            // The sooner it expires, the better.
            Policy::VolatileTtl => u64::MAX - entry.expire_ms().unwrap_or(i64::MAX).max(0) as u64,
            _ if is_lfu(policy) => u64::from(255 - rule.frequency(entry.access(), minutes)),
            _ => u64::from(seconds.wrapping_sub(entry.access()) & CLOCK_MASK),
        };
        self.sample(db, samples, is_volatile(policy), |entry| {
            consider(&mut pool, score(entry), db, entry.key());
        });
        self.eviction.pool = pool;
    }

    /// Calls `f` for `count` keys of a database or a few more, if there are so many: any keys, or those that expire.
    fn sample(&mut self, db: usize, count: usize, volatile: bool, f: impl FnMut(&Entry)) {
        let (database, cursor) = (&self.dbs[db], &mut self.eviction.bucket);
        let is_sparse = volatile && database.volatile() * SPARSE < database.buckets();
        let start = if is_sparse { *cursor } else { self.rng.index(database.buckets()) };
        let end = database.sample(start, count, volatile, f);
        if is_sparse {
            *cursor = end;
        }
    }

    /// Takes a key out for want of memory; `lazily`, a big value is freed by and by.
    pub fn evict(&mut self, db: usize, key: &[u8], lazily: bool) -> bool {
        let Some(entry) = self.dbs[db].remove(key) else { return false };
        if self.is_heeded {
            self.tell_of_change(db, key);
        }
        self.stats.evicted += 1;
        self.has_news |= self.events.note(class::EVICTED, "evicted", key, db);
        self.discard(entry, lazily);
        true
    }
}

/// Puts a key in its place in the pool, if it is good enough and not there yet.
fn consider(pool: &mut Vec<Candidate>, score: u64, db: usize, key: &[u8]) {
    let full = pool.len() >= POOL_SIZE;
    if full && score <= pool[0].score || pool.iter().any(|other| other.db == db && other.key == key) {
        return;
    }
    let mut candidate = if full { pool.remove(0) } else { Candidate { score, db, key: Vec::new() } };
    candidate.key.clear();
    candidate.key.extend_from_slice(key);
    (candidate.score, candidate.db) = (score, db);
    let place = pool.partition_point(|other| other.score < score);
    pool.insert(place, candidate);
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;
