//! `maxmemory`: when keys have to go, and which commands are refused when none can (= evict.c, `performEvictions`).
//!
//! What is in use is known exactly and at once: the allocator counts for each thread what it has taken and given back,
//! and data has one thread. So each command can be preceded by the question; a server without a limit does not ask (see
//! `alert`).
//!
//! Memory that is only there for replicas (the log past the backlog) does not count: each eviction is written to the
//! log, and a slow replica would have keys evicted for want of the memory that their evictions take.

use super::table::Special;
use super::{ClientId, Procedure, Server};
use crate::base::memory;
use crate::commands::CommandError;
use crate::commands::command::flag;
use crate::commands::error::OOM;
use crate::config::MaxmemoryPolicy;
use crate::keyspace::evict::{is_lfu, is_lru};
use crate::persist::snapshot::Accesses;
use crate::resp::reply::encode_command;

/// Keys that go between two looks at the clock.
const STEP: usize = 16;

/// What has become of the attempts to stay within `maxmemory`.
pub struct Eviction {
    meter: memory::Meter,
    /// `maxmemory`.
    limit: usize,
    /// Whether memory was short when the last command began, and nothing could be done. Scripts go by this.
    pub out_of_memory: bool,
    /// The loop comes back to evict more.
    scheduled: bool,
    /// Since when memory is over its limit, in microseconds of the monotonic clock.
    exceeded_since_us: Option<u64>,
    /// How long it was before that, in microseconds.
    exceeded_us: u64,
}

impl Eviction {
    /// No limit yet. What counts is the memory of the calling thread.
    pub fn of_this_thread() -> Self {
        Eviction {
            meter: memory::Meter::of_this_thread(),
            limit: 0,
            out_of_memory: false,
            scheduled: false,
            exceeded_since_us: None,
            exceeded_us: 0,
        }
    }

    /// Whether memory is within its limit before a command runs.
    #[inline]
    pub(super) fn has_room(&mut self) -> bool {
        let has_room = self.meter.used_memory() <= self.limit;
        self.out_of_memory &= !has_room;
        has_room
    }

    /// How long memory has been over its limit: in all, and without a break until now, in microseconds.
    pub fn exceeded(&self, now_us: u64) -> (u64, u64) {
        let current = self.exceeded_since_us.map_or(0, |since| now_us.saturating_sub(since));
        (self.exceeded_us + current, current)
    }

    /// Forgets what CONFIG RESETSTAT forgets.
    pub fn reset_stats(&mut self) {
        self.exceeded_us = 0;
        self.exceeded_since_us = None;
    }
}

/// What came of an attempt to stay within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is memory enough, or nothing may be done about it.
    Enough,
    /// The time for it was over; the loop goes on with it.
    Later,
    /// No key can go.
    Failed,
}

impl Server {
    /// Keeps to `maxmemory` before a command runs; an error if memory is short and the command would take more.
    pub(super) fn check_memory(&mut self, id: ClientId, index: usize) -> Result<(), CommandError> {
        let short = !self.eviction.has_room() && self.perform_evictions() == Outcome::Failed;
        self.eviction.out_of_memory = short;
        if short && self.takes_memory(id, index) { Err(OOM) } else { Ok(()) }
    }

    /// Whether a command, or one of the transaction that it executes, takes memory; and everything in a transaction but
    /// what ends it.
    fn takes_memory(&self, id: ClientId, index: usize) -> bool {
        let command = &self.table.commands[index];
        let multi = self.clients.get(id).and_then(|client| client.multi.as_ref());
        match command.special {
            Special::Exec => self.transaction_has(id, flag::DENYOOM),
            Special::None => command.flags & flag::DENYOOM != 0 || multi.is_some(),
            Special::InMulti => multi.is_some() && matches!(&*command.name, "multi" | "watch"),
        }
    }

    /// By how much memory is over the limit, in bytes.
    fn memory_excess(&self) -> usize {
        let used = memory::used_memory();
        let limit = self.config.maxmemory as usize;
        if limit == 0 || used <= limit {
            return 0;
        }
        used.saturating_sub(self.memory_not_counted()).saturating_sub(limit)
    }

    /// Memory that is there for replicas alone: the log past the backlog, in bytes.
    pub fn memory_not_counted(&self) -> usize {
        self.repl.log.memory_bytes().saturating_sub(self.config.repl_backlog_size as usize)
    }

    /// Whether keys may go now. Those of a replica go when its master says so.
    fn may_evict(&self) -> bool {
        let follows = self.repl.is_replica() && self.config.replica_ignore_maxmemory;
        !follows && self.loading.is_none() && self.pauses.in_force().is_none()
    }

    /// Has keys go until memory is within its limit, nobody can go, or the time for it is over.
    fn perform_evictions(&mut self) -> Outcome {
        if !self.may_evict() {
            return Outcome::Enough;
        }
        let start_us = self.clock.monotonic_us();
        let outcome = self.evict_excess();
        let now_us = self.clock.monotonic_us();
        self.note_latency("eviction-cycle", now_us.saturating_sub(start_us));
        if outcome != Outcome::Enough {
            self.eviction.exceeded_since_us.get_or_insert(now_us);
        } else if let Some(since) = self.eviction.exceeded_since_us.take() {
            self.eviction.exceeded_us += now_us.saturating_sub(since);
        }
        if self.keys.has_news {
            self.tell_news(None);
        }
        outcome
    }

    fn evict_excess(&mut self) -> Outcome {
        let mut excess = self.memory_excess();
        if excess == 0 {
            return Outcome::Enough;
        }
        let (policy, samples) = (self.config.maxmemory_policy, self.config.maxmemory_samples as usize);
        let (start_us, budget_us) = (self.clock.monotonic_us(), budget_us(self.config.maxmemory_eviction_tenacity));
        let mut evicted = 0;
        while excess > 0 {
            let Some((db, key)) = self.keys.eviction_victim(policy, samples) else {
                // What is on its way to be freed is as good as free.
                return self.free_all_retired(excess);
            };
            // What the eviction itself takes in the log must not keep it going.
            excess = excess.saturating_sub(self.evict(db, &key).max(1));
            evicted += 1;
            if evicted % STEP == 0 {
                excess = excess.min(self.memory_excess());
                if self.clock.monotonic_us() - start_us > budget_us {
                    self.schedule_eviction();
                    return Outcome::Later;
                }
            }
        }
        if self.eviction.scheduled { Outcome::Later } else { Outcome::Enough }
    }

    /// Takes one key out and tells whoever has to know; returns how much memory that gave, in bytes.
    fn evict(&mut self, db: usize, key: &[u8]) -> usize {
        let before = memory::used_memory();
        let lazily = self.config.lazyfree_lazy_eviction;
        self.keys.evict(db, key, lazily);
        let freed = before.saturating_sub(memory::used_memory());
        if self.wants_propagation() {
            let mut bytes = Vec::with_capacity(key.len() + 32);
            let command: &[u8] = if lazily { b"UNLINK" } else { b"DEL" };
            encode_command(&mut bytes, [command, key].into_iter());
            self.propagate(db, &bytes, 1);
        }
        freed
    }

    /// Frees what waits to be freed; whether that was enough.
    fn free_all_retired(&mut self, excess: usize) -> Outcome {
        let before = memory::used_memory();
        while self.keys.has_retired() && before.saturating_sub(memory::used_memory()) < excess {
            self.keys.free_retired(STEP);
        }
        if before.saturating_sub(memory::used_memory()) >= excess { Outcome::Enough } else { Outcome::Failed }
    }

    fn schedule_eviction(&mut self) {
        if !self.eviction.scheduled {
            self.eviction.scheduled = true;
            self.event_loop.create_time_event(&self.clock, 0, Procedure::EvictionTimeProc);
        }
    }

    /// Goes on with evictions for which the time was over.
    pub(super) fn eviction_time_proc(&mut self) {
        self.update_time();
        self.eviction.scheduled = false;
        self.perform_evictions();
    }

    /// Follows a change of `maxmemory` or its policy.
    pub fn follow_maxmemory(&mut self) {
        self.eviction.limit = self.config.maxmemory as usize;
        self.keys.access.lfu = is_lfu(self.config.maxmemory_policy);
        self.keys.access.log_factor = self.config.lfu_log_factor;
        self.keys.access.decay_minutes = self.config.lfu_decay_time;
        self.keys.set_time(self.keys.now);
        if self.memory_excess() > 0 && self.config.maxmemory_policy != MaxmemoryPolicy::Noeviction {
            self.schedule_eviction();
        }
    }

    /// What snapshots tell of accesses.
    pub(super) fn saved_accesses(&self) -> Accesses {
        match self.config.maxmemory_policy {
            policy if is_lfu(policy) => Accesses::Frequency,
            policy if is_lru(policy) => Accesses::Idle,
            _ => Accesses::Nothing,
        }
    }
}

/// How long evictions may keep a command waiting: up to half a millisecond for a tenacity of up to 10, from there on
/// growing to minutes, and for 100 without an end.
fn budget_us(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => 50 * u64::from(tenacity),
        11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_grows_from_nothing_to_no_end() {
        assert_eq!((budget_us(0), budget_us(10), budget_us(11), budget_us(100)), (0, 500, 575, u64::MAX));
        let minutes = budget_us(99) / 60_000_000;
        assert!((1..4).contains(&minutes), "{minutes}");
        assert!((0..100).all(|tenacity| budget_us(tenacity) < budget_us(tenacity + 1)));
    }

    #[test]
    fn the_time_over_the_limit_adds_up() {
        let mut eviction = Eviction { exceeded_since_us: Some(100), exceeded_us: 7, ..Eviction::of_this_thread() };
        assert_eq!(eviction.exceeded(150), (57, 50));
        eviction.reset_stats();
        assert_eq!(eviction.exceeded(150), (0, 0));
    }
}
