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

    /// Keeps the thread waiting; a clock that somebody moves by hand has nobody wait for it.
    pub fn sleep_us(&self, us: u64) {
        if let Clock::System = self {
            std::thread::sleep(std::time::Duration::from_micros(us));
        }
    }
}

/// A moment as the clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    pub year: i32,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// Seconds since 1970 in the machine's time zone.
pub fn local_time(unix_s: i64) -> LocalTime {
    // SAFETY: all-zero is a valid broken-down time, and the call fills it from the number beside it. A year past what
    // it can hold leaves the zeros.
    let parts = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&unix_s, &mut parts);
        parts
    };
    LocalTime {
        year: parts.tm_year.saturating_add(1900),
        month: parts.tm_mon as u8 + 1,
        day: parts.tm_mday as u8,
        hour: parts.tm_hour as u8,
        minute: parts.tm_min as u8,
        second: parts.tm_sec as u8,
    }
}

/// A counter of the processor that is cheap to read: its differences are durations in ticks of unknown length.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reading the time stamp counter touches no memory.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Clock::System.monotonic_us()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_is_what_date_says() {
        for unix_s in [0i64, 951_782_399, 951_782_400, 1_709_251_199, 1_795_386_271, 4_102_444_799] {
            let format = "+%Y %-m %-d %-H %-M %-S";
            let output = std::process::Command::new("date").args(["-d", &format!("@{unix_s}"), format]).output();
            let said = String::from_utf8(output.unwrap().stdout).unwrap();
            let LocalTime { year, month, day, hour, minute, second } = local_time(unix_s);
            assert_eq!(format!("{year} {month} {day} {hour} {minute} {second}"), said.trim());
        }
    }
}
