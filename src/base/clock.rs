//! The door through which time comes in: wall time for expiries, monotonic time for durations.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as expiry times are kept.
pub type UnixMs = i64;

/// Where time comes from: the system, or a hand that a simulation moves.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's clocks.
    System,
    /// A clock that stands still until somebody moves it, in microseconds since 1970.
    Simulated(i64),
}

impl Clock {
    /// Wall time in microseconds since 1970.
    pub fn unix_us(&self) -> i64 {
        match self {
            Clock::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as i64)
            }
            Clock::Simulated(us) => *us,
        }
    }

    /// Wall time in milliseconds since 1970.
    pub fn unix_ms(&self) -> UnixMs {
        self.unix_us() / 1000
    }

    /// Time in microseconds that never goes back; its origin means nothing.
    pub fn monotonic_us(&self) -> u64 {
        match self {
            Clock::System => {
                let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                // SAFETY: the kernel fills the structure that we own.
                unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
                now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
            }
            Clock::Simulated(us) => *us as u64,
        }
    }
}
