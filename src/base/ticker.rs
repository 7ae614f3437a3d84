//! A clock that ticks every so many microseconds, as a file that becomes readable at each tick (Linux: timerfd).
//!
//! A timer that is set anew for each wait costs more than the wait where a hypervisor has to be asked for it; one that
//! ticks by itself costs that once a tick.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The clock.
#[derive(Debug)]
pub struct Ticker(OwnedFd);

impl Ticker {
    /// One that stands still.
    pub fn new() -> io::Result<Ticker> {
        // SAFETY: a system call without pointers; the descriptor that it returns is nobody else's.
        unsafe {
            let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Ticker(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// Ticks every `interval_us` microseconds from now on; 0: not any more.
    pub fn set(&self, interval_us: u64) -> io::Result<()> {
        let interval = libc::timespec {
            tv_sec: (interval_us / 1_000_000) as libc::time_t,
            tv_nsec: (interval_us % 1_000_000 * 1000) as libc::c_long,
        };
        let setting = libc::itimerspec { it_interval: interval, it_value: interval };
        // SAFETY: the descriptor is ours and the kernel only reads the structure, which outlives the call.
        match unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &setting, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// To be called after a tick: without it there is no next one.
    pub fn acknowledge(&self) {
        let mut ticks = [0u8; 8];
        // SAFETY: the descriptor is ours and the kernel writes at most the eight bytes that we own. That there was no
        // tick is no error.
        unsafe { libc::read(self.0.as_raw_fd(), ticks.as_mut_ptr().cast(), ticks.len()) };
    }
}

impl AsRawFd for Ticker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
