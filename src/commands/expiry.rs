//! The times to live that commands take: EX, PX, EXAT, PXAT of SET and GETEX, and the EXPIRE family (= the parsing
//! parts of expire.c and t_string.c). All of them become milliseconds since 1970 here; nothing else does that sum.

use super::ctx::integer;
use super::error::CommandError;
use crate::base::clock::UnixMs;

/// How a command counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Milliseconds in one.
    ms: i64,
    /// Whether it counts from 1970 and not from now.
    absolute: bool,
}

/// Seconds from now: EX, EXPIRE.
pub const EX: Unit = Unit { ms: 1000, absolute: false };
/// Seconds since 1970: EXAT, EXPIREAT.
pub const EXAT: Unit = Unit { ms: 1000, absolute: true };
/// Milliseconds from now: PX, PEXPIRE.
pub const PX: Unit = Unit { ms: 1, absolute: false };
/// Milliseconds since 1970: PXAT, PEXPIREAT.
pub const PXAT: Unit = Unit { ms: 1, absolute: true };

impl Unit {
    /// The moment that an argument means, which may lie in the past: the rule of EXPIRE. `command` is the name that a
    /// complaint about an overflow quotes, in lower case.
    pub fn moment(self, arg: &[u8], now: UnixMs, command: &str) -> Result<UnixMs, CommandError> {
        self.to_unix_ms(integer(arg)?, now).ok_or_else(|| CommandError::invalid_expire(command))
    }

    /// The same where zero and negative arguments are refused: the rule of SET and GETEX.
    pub fn positive_moment(self, arg: &[u8], now: UnixMs, command: &str) -> Result<UnixMs, CommandError> {
        let amount = Some(integer(arg)?).filter(|&amount| amount > 0);
        amount.and_then(|amount| self.to_unix_ms(amount, now)).ok_or_else(|| CommandError::invalid_expire(command))
    }

    fn to_unix_ms(self, amount: i64, now: UnixMs) -> Option<UnixMs> {
        amount.checked_mul(self.ms)?.checked_add(if self.absolute { 0 } else { now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::error;

    const NOW: UnixMs = 1_700_000_000_000;

    #[test]
    fn every_unit_and_origin_becomes_milliseconds_since_1970() {
        for (unit, expected) in [(EX, NOW + 7000), (PX, NOW + 7), (EXAT, 7000), (PXAT, 7)] {
            assert_eq!(unit.moment(b"7", NOW, "x"), Ok(expected));
            assert_eq!(unit.positive_moment(b"7", NOW, "x"), Ok(expected));
        }
        assert_eq!(EX.moment(b"-7", NOW, "x"), Ok(NOW - 7000));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_commands_name() {
        let invalid = CommandError::new("ERR invalid expire time in 'set' command");
        for bad in [b"0".as_slice(), b"-1", b"9223372036854775807", b"9223372036854775"] {
            assert_eq!(EX.positive_moment(bad, NOW, "set"), Err(invalid.clone()));
        }
        let most = (i64::MAX - NOW).to_string();
        assert_eq!(PX.moment(most.as_bytes(), NOW, "set"), Ok(i64::MAX));
        let more = (i64::MAX - NOW + 1).to_string();
        assert_eq!(PX.moment(more.as_bytes(), NOW, "set"), Err(invalid.clone()));
        assert_eq!(EXAT.moment(b"-9223372036854776", NOW, "set"), Err(invalid));
        assert_eq!(EXAT.moment(b"1x", NOW, "set"), Err(error::NOT_INTEGER));
    }
}
