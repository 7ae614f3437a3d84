//! The active expiry: finds keys whose time has come though nobody asks for them (= activeExpireCycle of expire.c).
//!
//! Keys that expire are marked in the table's buckets, so a cycle walks over buckets and looks only at marked entries;
//! a database without such keys costs nothing.

use super::{ExpirePolicy, Keyspace};
use crate::base::clock::Clock;
use crate::types::table::TableEntry;

/// Where the walk stands: the database and its bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    db: usize,
    bucket: usize,
}

/// Buckets looked at between two looks at the clock.
const STEP_BUCKETS: usize = 64;
/// Fields of one hash deleted between two looks at the clock.
const STEP_FIELDS: usize = 512;
/// A cycle goes on while more than so many percent of the volatile keys it sees are expired; fewer with each step of
/// effort.
const STALE_PERCENT: usize = 10;
/// Buckets that a cycle looks at where it finds little; with each step of effort a quarter more, as in the ancestor.
const CALM_BUCKETS: usize = 4096;

impl Keyspace {
    /// Deletes keys whose time has come, for at most `budget_us` microseconds. What was deleted stands in `expired`.
    /// `effort`: 0 to 9, how much more it looks for than it must.
    pub fn active_expire_cycle(&mut self, clock: &Clock, budget_us: u64, effort: usize) {
        self.active_expire_fields(clock, budget_us);
        if self.expire_policy != ExpirePolicy::Delete || self.dbs().iter().all(|db| db.volatile() == 0) {
            self.stats.expired_stale = 0.0;
            return;
        }
        let start = clock.monotonic_us();
        let (mut buckets, mut seen, mut stale) = (0, 0, 0);
        // A full round without an end would mean that we walk in circles.
        let total: usize = (0..self.database_count()).map(|db| self.db(db).buckets()).sum();
        let calm_buckets = CALM_BUCKETS + CALM_BUCKETS / 4 * effort;
        let stale_percent = STALE_PERCENT.saturating_sub(effort);
        while buckets < total {
            let (step_seen, step_stale, step_buckets) = self.expire_step();
            (seen, stale, buckets) = (seen + step_seen, stale + step_stale, buckets + step_buckets.max(1));
            if buckets >= calm_buckets && stale * 100 <= seen * stale_percent {
                break;
            }
            if clock.monotonic_us().saturating_sub(start) > budget_us {
                self.stats.expired_time_cap_reached += 1;
                break;
            }
        }
        let ratio = if seen > 0 { stale as f64 / seen as f64 } else { 0.0 };
        self.stats.expired_stale = ratio * 0.05 + self.stats.expired_stale * 0.95;
    }

    /// Deletes fields of hashes whose time has come; their hashes are noted in the order of time.
    fn active_expire_fields(&mut self, clock: &Clock, budget_us: u64) {
        if self.expire_policy != ExpirePolicy::Delete || self.dbs().iter().all(|db| db.noted_fields() == 0) {
            return;
        }
        let start = clock.monotonic_us();
        for db in 0..self.database_count() {
            let now = self.now;
            while let Some(key) = self.db_mut(db).take_note(now) {
                self.expire_fields(db, &key, STEP_FIELDS);
                self.db_mut(db).note_fields(&key);
                if clock.monotonic_us().saturating_sub(start) > budget_us {
                    return;
                }
            }
        }
    }

    /// Walks over some buckets of one database; returns volatile keys seen, those expired, and buckets walked over.
    fn expire_step(&mut self) -> (usize, usize, usize) {
        let Cursor { db, bucket } = self.expire_cursor;
        let db = db % self.database_count();
        let buckets = self.db(db).buckets();
        if self.db(db).volatile() == 0 || bucket >= buckets {
            self.expire_cursor = Cursor { db: db + 1, bucket: 0 };
            return (0, 0, buckets.saturating_sub(bucket));
        }
        let end = (bucket + STEP_BUCKETS).min(buckets);
        let (now, mut due, mut seen, mut ttl_sum) = (self.now, Vec::new(), 0usize, 0i64);
        for index in bucket..end {
            self.db(db).volatile_in_bucket(index, |entry| {
                let left = entry.expire_ms().map_or(i64::MAX, |at| at.saturating_sub(now));
                seen += 1;
                if left <= 0 {
                    due.push(entry.key().to_vec());
                } else {
                    ttl_sum = ttl_sum.saturating_add(left);
                }
            });
        }
        for key in &due {
            self.delete_expired(db, key);
        }
        let alive = (seen - due.len()) as i64;
        if alive > 0 {
            let database = self.db_mut(db);
            let average = ttl_sum / alive;
            database.avg_ttl_ms =
                if database.avg_ttl_ms == 0 { average } else { database.avg_ttl_ms / 50 * 49 + average / 50 };
        }
        self.expire_cursor = Cursor { db, bucket: end };
        (seen, due.len(), end - bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn more_effort_finds_more_of_few_that_are_due() {
        let left = |effort| {
            let mut keys = Keyspace::new(1, Rng::new(3));
            for number in 0..200_000 {
                let expire_ms = if number % 20 == 0 { 1 } else { 1 << 40 };
                keys.set_str(format!("k{number}").as_bytes(), b"v", Some(expire_ms));
            }
            keys.set_time(1000);
            keys.active_expire_cycle(&Clock::System, u64::MAX, effort);
            assert_eq!(keys.expired.len() + keys.current().len(), 200_000);
            keys.current().len()
        };
        assert!(left(0) > 195_000, "a twentieth is too little to go on for");
        assert_eq!(left(9), 190_000);
    }
}
