//! What happens by the clock: expiry, timeouts, save points, replication's own second (= serverCron).

use super::{ClientId, Procedure, Server, crash, ticks};
use crate::base::memory;

/// The part of a cron interval that the active expiry may take, in percent.
const EXPIRE_CPU_PERCENT: u64 = 25;
/// Entries of a database emptied lazily that are freed between two looks at the clock.
const FREE_STEP: usize = 256;
/// So long a turn frees such entries, in microseconds; then others have theirs, until the next millisecond.
const FREE_US: u64 = 300;

/// The highest frequency of cron, and how many clients there may be for each of its turns before it goes faster.
const HZ_MAX: u64 = 500;
const CLIENTS_PER_TURN: u64 = 200;

impl Server {
    /// How often cron runs a second: as `hz` says, and with `dynamic-hz` twice as often, and twice again, where there are
    /// many clients.
    pub fn hz(&self) -> u64 {
        let mut hz = u64::from(self.config.hz).clamp(1, HZ_MAX);
        while self.config.dynamic_hz && self.clients.len() as u64 / hz > CLIENTS_PER_TURN && hz < HZ_MAX {
            hz = (hz * 2).min(HZ_MAX);
        }
        hz
    }

    /// Runs `hz` times a second.
    pub(super) fn measured_cron(&mut self) {
        let start = ticks();
        self.server_cron();
        self.stats.eventloop_duration_cron_us += self.ticks_to_us(ticks().wrapping_sub(start));
    }

    fn server_cron(&mut self) {
        self.update_time();
        let hz = self.hz();
        self.event_loop.create_time_event(&self.clock, 1000 / hz, Procedure::ServerCron);
        if self.cron_paused {
            return;
        }
        self.cron_loops += 1;
        if self.config.watchdog_period > 0 {
            crash::watch(&self.config);
        }
        self.stats.sample(self.clock.monotonic_us());
        self.note_progress();
        if self.cron_loops % hz == 1 || hz == 1 {
            self.each_second();
        }
        self.reconnect_if_due();
        self.check_signals();
        self.continue_shutdown();
        if self.active_expire && !self.repl.is_replica() && self.loading.is_none() && self.pauses.in_force().is_none() {
            let effort = self.config.active_expire_effort.clamp(1, 10) - 1;
            let budget_us = 1_000_000 / hz * (EXPIRE_CPU_PERCENT + 2 * u64::from(effort)) / 100;
            self.keys.expire_policy = crate::keyspace::ExpirePolicy::Delete;
            let start_us = self.clock.monotonic_us();
            self.keys.active_expire_cycle(&self.clock, budget_us, effort as usize);
            let took_us = self.clock.monotonic_us() - start_us;
            self.stats.expire_cycle_us += took_us;
            self.note_latency("expire-cycle", took_us);
            self.propagate_expired();
        }
        self.reap_child();
        self.save_if_due();
        self.accept_again_if_needed();
        self.stats.peak_memory = self.stats.peak_memory.max(self.used_memory());
        memory::decay();
    }

    /// Frees a part of what was emptied lazily, and comes again as long as there is more.
    pub(super) fn free_retired(&mut self) {
        let start_us = self.clock.monotonic_us();
        while self.keys.has_retired() {
            self.keys.free_retired(FREE_STEP);
            if self.clock.monotonic_us() - start_us > FREE_US {
                break;
            }
        }
        self.freeing = self.keys.has_retired();
        if self.freeing {
            self.event_loop.create_time_event(&self.clock, 1, Procedure::FreeRetired);
        }
    }

    fn each_second(&mut self) {
        self.clients_cron();
        self.replication_cron();
        self.forget_untracked();
        self.tell_unlogged_stream_errors();
        self.event_loop_ticks();
    }

    /// Refines the length of a tick: the longer the measured time, the better.
    fn event_loop_ticks(&mut self) {
        let now = (self.clock.monotonic_us(), ticks());
        if let Some((us, old)) = self.tick_mark.replace(now)
            && now.0 > us + 100_000
        {
            self.ticks_per_us = (now.1.wrapping_sub(old) as f64 / (now.0 - us) as f64).max(1e-3);
            self.measure_turn();
        }
    }

    /// Closes clients that are idle for too long or over their soft limit for too long.
    fn clients_cron(&mut self) {
        let timeout_ms = i64::from(self.config.timeout) * 1000;
        let now = self.keys.now;
        let idle: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                timeout_ms > 0
                    && client.replica.is_none()
                    && !client.is_monitor
                    && !client.is_master()
                    && client.waiting.is_none()
                    && !client.is_subscriber
                    && now - client.last_active_ms > timeout_ms
            })
            .map(|(id, _)| id)
            .collect();
        for id in idle {
            log::debug!("Closing idle client");
            self.close_client(id);
        }
        let writing: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.output_len() > 0 || client.replica.is_some())
            .map(|(id, _)| id)
            .collect();
        for id in writing {
            self.check_output_limits(id);
        }
    }

    /// Tries listeners again that could not accept for want of descriptors.
    fn accept_again_if_needed(&mut self) {
        if std::mem::take(&mut self.accept_again) {
            for listener in 0..self.listeners.len() {
                self.accept_handler(listener);
            }
        }
    }
}
