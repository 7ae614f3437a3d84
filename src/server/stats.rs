//! Counters that INFO shows and CONFIG RESETSTAT clears.

use std::collections::BTreeMap;

/// What the server has counted since its start or the last reset.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections taken.
    pub connections_received: u64,
    /// Connections refused for `maxclients` or protected mode.
    pub rejected_connections: u64,
    /// Commands run.
    pub commands_processed: u64,
    /// Bytes read.
    pub net_input_bytes: u64,
    /// Bytes written.
    pub net_output_bytes: u64,
    /// Bytes read from our master.
    pub net_repl_input_bytes: u64,
    /// Bytes written to our replicas.
    pub net_repl_output_bytes: u64,
    /// Reads from clients.
    pub reads: u64,
    /// Writes to clients.
    pub writes: u64,
    /// Clients closed for the size of their output.
    pub output_limit_disconnections: u64,
    /// Clients closed for the size of their input.
    pub query_limit_disconnections: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Errors that commands of our master's stream ended in.
    pub unexpected_error_replies: u64,
    /// Error replies by their code.
    pub errors: BTreeMap<String, u64>,
    /// Snapshots sent to replicas.
    pub sync_full: u64,
    /// Replicas that went on where they were.
    pub sync_partial_ok: u64,
    /// Replicas that wanted to and could not.
    pub sync_partial_err: u64,
    /// Forks.
    pub total_forks: u64,
    /// How long the last fork took, in microseconds.
    pub latest_fork_us: u64,
    /// Turns of the event loop.
    pub eventloop_cycles: u64,
    /// Time in turns of the event loop, in microseconds.
    pub eventloop_duration_sum_us: u64,
    /// The longest turn, in microseconds.
    pub eventloop_duration_max_us: u64,
    /// Time in cron, in microseconds.
    pub eventloop_duration_cron_us: u64,
    /// The most commands of one turn.
    pub eventloop_commands_max: u64,
    /// `commands_processed` as it was at the end of the last turn.
    commands_at_turn: u64,
    /// The most memory ever used, in bytes.
    pub peak_memory: usize,
    /// The memory used when nothing was loaded yet, in bytes.
    pub startup_memory: usize,
    /// Time in active expiry, in microseconds.
    pub expire_cycle_us: u64,
    rates: [Rate; MEASURED],
}

/// What rates are taken of.
#[derive(Clone, Copy, Debug)]
pub enum Measured {
    /// Commands run.
    Commands,
    /// Bytes read.
    Input,
    /// Bytes written.
    Output,
    /// Bytes read from our master.
    ReplInput,
    /// Bytes written to our replicas.
    ReplOutput,
    /// Turns of the event loop.
    Cycles,
    /// Microseconds in them.
    CycleTime,
}

const MEASURED: usize = 7;

/// A rate per second over the last samples.
#[derive(Clone, Debug, Default)]
struct Rate {
    samples: [f64; 16],
    next: usize,
    last_count: u64,
    last_us: u64,
}

impl Rate {
    fn sample(&mut self, count: u64, now_us: u64) {
        let elapsed = now_us.saturating_sub(self.last_us).max(1);
        if self.last_us > 0 {
            self.samples[self.next] = count.saturating_sub(self.last_count) as f64 * 1e6 / elapsed as f64;
            self.next = (self.next + 1) % self.samples.len();
        }
        (self.last_count, self.last_us) = (count, now_us);
    }

    fn per_second(&self) -> f64 {
        self.samples.iter().sum::<f64>() / self.samples.len() as f64
    }
}

/// An error's code ends before so many bytes.
const ERROR_CODE_LEN_MAX: usize = 31;

/// The most error codes told apart, so that nobody can fill memory with codes of their making.
const ERROR_CODES_MAX: usize = 128;

impl Stats {
    /// Counts an error reply under its code; one of a single word, or of a very long first one, has none.
    pub fn note_error(&mut self, text: &[u8]) {
        self.error_replies += 1;
        let end = text.iter().take(ERROR_CODE_LEN_MAX).position(|&byte| byte == b' ');
        let code = end.map_or(b"ERR".as_slice(), |end| &text[..end]);
        let code = String::from_utf8_lossy(code).into_owned();
        if self.errors.len() < ERROR_CODES_MAX || self.errors.contains_key(&code) {
            *self.errors.entry(code).or_default() += 1;
        }
    }

    /// Samples the rates; called ten times a second.
    pub fn sample(&mut self, now_us: u64) {
        // In the order of `Measured`.
        let counts: [u64; MEASURED] = [
            self.commands_processed,
            self.net_input_bytes,
            self.net_output_bytes,
            self.net_repl_input_bytes,
            self.net_repl_output_bytes,
            self.eventloop_cycles,
            self.eventloop_duration_sum_us,
        ];
        for (rate, count) in self.rates.iter_mut().zip(counts) {
            rate.sample(count, now_us);
        }
    }

    /// So much a second.
    pub fn per_second(&self, what: Measured) -> f64 {
        self.rates[what as usize].per_second()
    }

    /// Notes a turn of the event loop.
    #[inline]
    pub fn note_turn(&mut self, duration_us: u64) {
        self.eventloop_cycles += 1;
        self.eventloop_duration_sum_us += duration_us;
        self.eventloop_duration_max_us = self.eventloop_duration_max_us.max(duration_us);
        let commands = self.commands_processed.saturating_sub(self.commands_at_turn);
        self.eventloop_commands_max = self.eventloop_commands_max.max(commands);
        self.commands_at_turn = self.commands_processed;
    }

    /// Forgets what CONFIG RESETSTAT forgets.
    pub fn reset(&mut self) {
        *self = Stats {
            latest_fork_us: self.latest_fork_us,
            total_forks: self.total_forks,
            peak_memory: self.peak_memory,
            startup_memory: self.startup_memory,
            ..Stats::default()
        };
    }
}
