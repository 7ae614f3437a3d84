//! How commands ask to wait: their timeouts, and their keys (= timeout.c).

use super::error::CommandError;
use crate::base::clock::UnixMs;
use crate::base::extended::Extended;
use crate::base::numbers::parse_i64;
use crate::resp::request::Argv;
use std::ops::Range;

/// The moment that a timeout in milliseconds leads to; none for 0.
pub fn deadline_of_ms(arg: &[u8], now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    let timeout_ms =
        parse_i64(arg).ok_or_else(|| CommandError::new("ERR timeout is not an integer or out of range"))?;
    deadline_after(timeout_ms, now)
}

/// The moment that a timeout in seconds with decimals leads to; none for 0.
pub fn deadline_of_seconds(arg: &[u8], now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    let seconds =
        Extended::parse(arg).ok_or_else(|| CommandError::new("ERR timeout is not a float or out of range"))?;
    let timeout_ms = seconds.thousandfold_up().ok_or_else(out_of_range)?;
    deadline_after(timeout_ms, now)
}

fn deadline_after(timeout_ms: i64, now: UnixMs) -> Result<Option<UnixMs>, CommandError> {
    if timeout_ms < 0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    let deadline = now.checked_add(timeout_ms).ok_or_else(out_of_range)?;
    Ok((timeout_ms > 0).then_some(deadline))
}

fn out_of_range() -> CommandError {
    CommandError::new("ERR timeout is out of range")
}

/// Some of the arguments, as keys to wait for.
pub fn keys_of(argv: Argv<'_>, range: Range<usize>) -> Vec<Vec<u8>> {
    range.map(|index| argv.at(index).to_vec()).collect()
}
