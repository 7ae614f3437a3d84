//! The live stream on its way to the replicas: who is fed in which turn of the loop.
//!
//! A replica costs one system call each time it is fed, nearly all of it in the kernel. Where many clients write one
//! command at a time, turns of the loop are short, and a system call for each replica in each turn would be nearly all
//! that a replica costs. So a turn's changes go to the replicas at its end, before its clients are told, unless the
//! replicas were fed within the last `repl-feed-delay-us` (500 microseconds): then at the end of the first turn after
//! that. Ticks of a millisecond see to it that there is one. Where changes come more rarely, nobody ever waits.
//!
//! A server that dies takes with it what it had not handed to the kernel: of what clients were told of, the changes of
//! these microseconds, and of up to a millisecond more where the load ends with them. Redis 7.0 is not free of that either: it
//! writes a turn's replies first and its replicas last (as a trace of its system calls shows), so it may lose the changes
//! of a turn. Where the user asks for more (`min-replicas-to-write`), replicas are always fed before clients are told, and
//! nobody waits either where much has gathered or where an acknowledgement is asked for (WAIT, shutdown).

use super::client::ClientId;
use super::{Procedure, Server};
use crate::base::clock::Clock;
use crate::reactor::Interest;
use std::io;

/// How much of the stream is written to one replica in one turn.
const WRITE_PER_TURN: usize = 4 << 20;
/// Slices handed to one `writev`.
const SLICES: usize = 16;
/// A replica that lacks so many bytes is fed at once.
const HASTE_BYTES: u64 = 64 * 1024;

/// Microseconds from one tick to the next.
const TICK_US: u64 = 1000;
/// After so many ticks without anything to feed they stop.
const IDLE_TICKS: u32 = 20;

/// When the replicas are fed.
#[derive(Debug, Default)]
pub struct Feeding {
    /// When they were last, in microseconds of the monotonic clock.
    last_us: u64,
    /// Up to where the log was fed then.
    fed_to: u64,
    /// Ticks come, so that there is a turn at whose end the waiting is over.
    ticks: bool,
    /// So many of them in a row found nothing to feed.
    idle_ticks: u32,
    /// They are to have everything at the end of this turn.
    pub in_haste: bool,
}

impl Server {
    /// Writes the live stream to all replicas that have not got all of it, unless they are to wait a little.
    pub(super) fn feed_replicas(&mut self) {
        if !self.repl.log.is_active() {
            return;
        }
        self.repl.log.note_time(self.keys.now);
        let end = self.repl.log.end();
        if end != self.repl.feeding.fed_to && self.waits_to_feed(end) {
            return;
        }
        self.repl.feeding.in_haste = false;
        self.repl.feeding.fed_to = end;
        for index in 0..self.repl.attached.len() {
            let id = self.repl.attached[index];
            if self.can_be_fed(id, end) {
                self.write_to_replica(id);
            }
        }
        // After the writes, so that only a replica that does not take the stream is counted as lagging.
        self.trim_log();
    }

    /// Whether a replica lacks some of the stream and can take it.
    fn can_be_fed(&self, id: ClientId, end: u64) -> bool {
        let Some(client) = self.clients.get(id).filter(|client| !client.closing) else { return false };
        let replica = client.replica.as_deref();
        replica.is_some_and(|replica| replica.receives_stream() && replica.position < end)
            && !self.event_loop.awaits_writable(client.file)
    }

    /// Whether what was appended since the replicas were last fed is to wait.
    fn waits_to_feed(&mut self, end: u64) -> bool {
        let (feeding, delay_us) = (&mut self.repl.feeding, u64::from(self.config.repl_feed_delay_us));
        let is_urgent = feeding.in_haste
            || delay_us == 0
            || self.config.min_replicas_to_write > 0
            || end.abs_diff(feeding.fed_to) >= HASTE_BYTES;
        if self.repl.attached.is_empty() || is_urgent {
            return false;
        }
        let now_us = self.clock.monotonic_us();
        if now_us - feeding.last_us >= delay_us {
            feeding.last_us = now_us;
            return false;
        }
        self.start_feed_ticks()
    }

    /// Whether a tick will come.
    fn start_feed_ticks(&mut self) -> bool {
        if !self.repl.feeding.ticks {
            self.repl.feeding.idle_ticks = 0;
            self.repl.feeding.ticks = match self.clock {
                Clock::System => self.event_loop.set_ticker(TICK_US, Procedure::FeedTick).is_ok(),
                Clock::Simulated(_) => {
                    self.event_loop.create_time_event(&self.clock, TICK_US / 1000, Procedure::FeedTick);
                    true
                }
            };
        }
        self.repl.feeding.ticks
    }

    /// The end of this turn sees whether somebody has waited long enough. Where nobody waits any more, the ticks end.
    pub(super) fn feed_tick(&mut self) {
        let feeding = &mut self.repl.feeding;
        let is_idle = feeding.fed_to == self.repl.log.end();
        feeding.idle_ticks = if is_idle { feeding.idle_ticks + 1 } else { 0 };
        if let Clock::Simulated(_) = self.clock {
            feeding.ticks = false;
        } else if feeding.idle_ticks >= IDLE_TICKS {
            feeding.ticks = self.event_loop.set_ticker(0, Procedure::FeedTick).is_err();
        }
    }

    /// Writes the stream to all replicas, whoever's turn it is.
    pub(super) fn feed_all_replicas(&mut self) {
        self.repl.feeding.in_haste = true;
        self.feed_replicas();
    }

    /// Writes the stream to one replica, straight from the log.
    pub(super) fn write_to_replica(&mut self, id: ClientId) {
        let mut written = 0;
        loop {
            let Some(client) = self.clients.get_mut(id) else { return };
            if client.closing || client.output_len() > 0 {
                return;
            }
            let Some(replica) = client.replica.as_mut().filter(|replica| replica.receives_stream()) else { return };
            let slices = self.repl.log.slices(replica.position, SLICES);
            if slices.is_empty() {
                return self.event_loop.delete_file_event(client.file, Interest::Writable);
            }
            match client.transport.write_vectored(&slices) {
                Ok(count) => {
                    replica.position += count as u64;
                    written += count;
                    client.last_active_ms = self.keys.now;
                    self.stats.net_repl_output_bytes += count as u64;
                    if written > WRITE_PER_TURN {
                        return self.arm_writes(id);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.event_loop.would_block(client.file, Interest::Writable);
                    return self.arm_writes(id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("Error writing to replica: {error}");
                    return self.close_client(id);
                }
            }
        }
    }
}
