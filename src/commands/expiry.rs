//! The times to live that commands take: EX, PX, EXAT, PXAT of SET and GETEX, and the EXPIRE family (= the parsing
//! parts of expire.c and t_string.c). All of them become milliseconds since 1970 here; nothing else does that sum.

use super::ctx::integer;
use super::error::CommandError;
use crate::base::clock::UnixMs;

/// What a time to live is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds: EX, EXAT, EXPIRE, EXPIREAT.
    Seconds,
    /// Milliseconds: PX, PXAT, PEXPIRE, PEXPIREAT.
    Milliseconds,
}

/// From where a time to live is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From this moment on: EX, PX, EXPIRE, PEXPIRE.
    Now(UnixMs),
    /// From 1970 on: EXAT, PXAT, EXPIREAT, PEXPIREAT.
    Epoch,
}

/// The moment that an argument means, which may lie in the past: the rule of EXPIRE. `command` is the name that a
/// complaint about an overflow quotes, in lower case.
pub fn parse_expire(arg: &[u8], unit: Unit, since: Since, command: &str) -> Result<UnixMs, CommandError> {
    to_unix_ms(integer(arg)?, unit, since).ok_or_else(|| CommandError::invalid_expire(command))
}

/// The same where zero and negative arguments are refused: the rule of SET and GETEX.
pub fn parse_positive_expire(arg: &[u8], unit: Unit, since: Since, command: &str) -> Result<UnixMs, CommandError> {
    Some(integer(arg)?)
        .filter(|&amount| amount > 0)
        .and_then(|amount| to_unix_ms(amount, unit, since))
        .ok_or_else(|| CommandError::invalid_expire(command))
}

fn to_unix_ms(amount: i64, unit: Unit, since: Since) -> Option<UnixMs> {
    let amount_ms = match unit {
        Unit::Seconds => amount.checked_mul(1000)?,
        Unit::Milliseconds => amount,
    };
    match since {
        Since::Now(now) => amount_ms.checked_add(now),
        Since::Epoch => Some(amount_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::error;

    const NOW: UnixMs = 1_700_000_000_000;

    #[test]
    fn every_unit_and_origin_becomes_milliseconds_since_1970() {
        for (unit, since, expected) in [
            (Unit::Seconds, Since::Now(NOW), NOW + 7000),
            (Unit::Milliseconds, Since::Now(NOW), NOW + 7),
            (Unit::Seconds, Since::Epoch, 7000),
            (Unit::Milliseconds, Since::Epoch, 7),
        ] {
            assert_eq!(parse_expire(b"7", unit, since, "x"), Ok(expected));
            assert_eq!(parse_positive_expire(b"7", unit, since, "x"), Ok(expected));
        }
        assert_eq!(parse_expire(b"-7", Unit::Seconds, Since::Now(NOW), "x"), Ok(NOW - 7000));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_commands_name() {
        let invalid = CommandError::new("ERR invalid expire time in 'set' command");
        for bad in [b"0".as_slice(), b"-1", b"9223372036854775807", b"9223372036854775"] {
            assert_eq!(parse_positive_expire(bad, Unit::Seconds, Since::Now(NOW), "set"), Err(invalid.clone()));
        }
        let most = (i64::MAX - NOW).to_string();
        assert_eq!(parse_expire(most.as_bytes(), Unit::Milliseconds, Since::Now(NOW), "set"), Ok(i64::MAX));
        let more = (i64::MAX - NOW + 1).to_string();
        assert_eq!(parse_expire(more.as_bytes(), Unit::Milliseconds, Since::Now(NOW), "set"), Err(invalid.clone()));
        assert_eq!(parse_expire(b"-9223372036854776", Unit::Seconds, Since::Epoch, "set"), Err(invalid));
        assert_eq!(parse_expire(b"1x", Unit::Seconds, Since::Epoch, "set"), Err(error::NOT_INTEGER));
    }
}
