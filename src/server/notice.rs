//! What is noticed of a command beside its outcome: that somebody looks on, that its caller keeps copies of what it
//! reads, that it was slow.
//!
//! `call` compares the command's duration with one number, `Server::notice_ticks`. It is 0 where every command matters,
//! the lower of the limits of the slow log and of the latency monitor otherwise, and above every duration where nobody
//! cares: then nothing of this costs anything.

use super::histogram::Histogram;
use super::table::Special;
use super::{ClientId, Server, slowlog};
use crate::base::clock::Clock;
use crate::commands::command::flag;
use crate::commands::ctx::is_option;
use crate::config::is_sensitive;
use crate::resp::request::Argv;

/// What is shown of a secret.
pub(super) const REDACTED: &[u8] = b"(redacted)";

impl Server {
    /// Finds out from which duration on `call` calls `notice`. Called when one of its causes changes.
    pub fn update_notice(&mut self) {
        let every_one_matters =
            !self.clients.monitors.is_empty() || self.tracking.is_on() || self.client_memory.is_limited();
        self.notice_ticks = if every_one_matters { 0 } else { u64::MAX };
        if let (Clock::System, false) = (&self.clock, every_one_matters) {
            self.notice_ticks = self.slow_from_ticks();
        }
    }

    /// From how many ticks on a command is slow for the slow log or for the latency monitor.
    fn slow_from_ticks(&self) -> u64 {
        let for_log_us = u64::try_from(self.config.slowlog_log_slower_than).unwrap_or(u64::MAX);
        let for_monitor_us = match self.config.latency_monitor_threshold {
            0 => u64::MAX,
            threshold_ms => threshold_ms.saturating_mul(1000),
        };
        let from_us = for_log_us.min(for_monitor_us);
        if from_us == u64::MAX { u64::MAX } else { (from_us as f64 * self.ticks_per_us) as u64 }
    }

    /// The first measured call of a command.
    #[cold]
    pub(super) fn begin_histogram(&mut self, index: usize, ticks: u64) {
        if self.config.latency_tracking {
            let mut histogram = Box::<Histogram>::default();
            histogram.record(ticks);
            self.table.commands[index].latency = Some(histogram);
        }
    }

    /// Notes an event that took so many microseconds, if that is long for the latency monitor.
    pub fn note_latency(&mut self, event: &'static str, duration_us: u64) {
        let (threshold_ms, latency_ms) = (self.config.latency_monitor_threshold, duration_us / 1000);
        if threshold_ms > 0 && latency_ms >= threshold_ms {
            self.latency.add(event, self.clock.unix_ms() / 1000, latency_ms);
        }
    }

    /// Follows settings of what is measured and kept.
    pub(super) fn follow_measuring(&mut self) {
        self.table.measure_latency(self.config.latency_tracking);
        self.slowlog.trim(self.config.slowlog_max_len as usize);
        self.update_notice();
    }

    fn note_duration(&mut self, id: ClientId, index: usize, argv: Argv<'_>, duration_us: u64) {
        let flags = self.table.commands[index].flags;
        self.note_latency(if flags & flag::FAST != 0 { "fast-command" } else { "command" }, duration_us);
        let is_slow = u64::try_from(self.config.slowlog_log_slower_than).is_ok_and(|from_us| duration_us >= from_us);
        let Some(client) = self.clients.get(id).filter(|_| is_slow && flags & flag::SKIP_SLOWLOG == 0) else { return };
        let name = &self.table.commands[index].name;
        let shown: Vec<&[u8]> =
            argv.iter().enumerate().map(|(at, arg)| if is_secret(name, argv, at) { REDACTED } else { arg }).collect();
        // A command of a script has no client of its own.
        let in_script = self.script_caller == Some(id);
        let entry = slowlog::Entry {
            number: 0,
            time_s: self.clock.unix_ms() / 1000,
            duration_us,
            args: slowlog::cut_arguments(shown.into_iter()),
            peer: if in_script { "?:0".into() } else { client.peer_name.clone() },
            name: if in_script { Vec::new() } else { client.name.clone() },
        };
        self.slowlog.push(entry, self.config.slowlog_max_len as usize);
    }

    /// Looks at a command that has run.
    #[cold]
    pub(super) fn notice(&mut self, id: ClientId, index: usize, argv: Argv<'_>, ticks: u64) {
        self.note_duration(id, index, argv, self.ticks_to_us(ticks));
        if !self.clients.monitors.is_empty() {
            let command = &self.table.commands[index];
            if command.special == Special::Exec || command.flags & (flag::ADMIN | flag::SKIP_MONITOR) == 0 {
                let name = command.name.clone();
                self.feed_monitors(id, &name, argv);
            }
        }
        self.client_memory.note(id);
        if self.tracking.is_on() {
            self.note_tracked(id, index, argv);
        }
    }
}

impl Server {
    /// CLIENT NO-TOUCH: whether a client's reads count as use of the keys.
    pub(super) fn set_no_touch(&mut self, id: ClientId, on: bool) {
        let Some(client) = self.clients.get_mut(id).filter(|client| client.no_touch != on) else { return };
        client.no_touch = on;
        match on {
            true => self.clients.untouching += 1,
            false => self.clients.untouching -= 1,
        }
        self.note_touching(false);
        self.update_calm();
    }

    /// Before a command while there are such clients: TOUCH does what it says for them, too.
    #[cold]
    pub(super) fn heed_no_touch(&mut self, id: ClientId, index: usize) {
        let is_touch = || self.table.commands[index].name == "touch";
        let untouched = self.clients.get(id).is_some_and(|client| client.no_touch && !is_touch());
        self.note_touching(untouched);
    }

    fn note_touching(&mut self, untouched: bool) {
        let untouched = untouched || self.snapshot.child.is_some();
        if self.keys.access.untouched != untouched {
            self.keys.access.untouched = untouched;
            self.keys.set_time(self.keys.now);
        }
    }
}

/// Whether an argument is a secret that neither monitors nor the slow log may show. `name` is that of the table.
pub(super) fn is_secret(name: &str, argv: Argv<'_>, at: usize) -> bool {
    let comes_after = |word: &str, from: usize, count: usize| {
        (from..at).rev().take(count).any(|before| is_option(argv.at(before), word))
    };
    match name {
        "auth" => at >= 1,
        "hello" => comes_after("AUTH", 2, 2),
        "acl|setuser" => at >= 2,
        "config|set" => at >= 3 && at % 2 == 1 && is_sensitive(argv.at(at - 1)),
        "migrate" => comes_after("AUTH", 6, 1) || comes_after("AUTH2", 6, 2),
        _ => false,
    }
}
