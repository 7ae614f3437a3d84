//! Commands on the time that keys have left (= the commands of expire.c).
//!
//! Times travel to replicas as the absolute moment, in milliseconds, whatever was typed.

use super::DataFn;
use super::command::{Row, category, flag, key, one};
use super::ctx::{Ctx, is_option};
use super::effects::class;
use super::error::CommandError;
use super::expiry::{EX, EXAT, PX, PXAT, Unit};
use super::generic::look;
use crate::keyspace::ExpirePolicy;
use crate::resp::request::Argv;

/// When an expiry may be set, from NX, XX, GT and LT.
#[derive(Default)]
pub(super) struct Condition {
    none_yet: bool,
    one_already: bool,
    later: bool,
    earlier: bool,
}

impl Condition {
    /// The condition that one word is, if it is one.
    pub(super) fn of_word(word: &[u8]) -> Option<Condition> {
        let none = Condition::default();
        Some(match word {
            _ if is_option(word, "NX") => Condition { none_yet: true, ..none },
            _ if is_option(word, "XX") => Condition { one_already: true, ..none },
            _ if is_option(word, "GT") => Condition { later: true, ..none },
            _ if is_option(word, "LT") => Condition { earlier: true, ..none },
            _ => return None,
        })
    }

    fn parse(argv: Argv<'_>) -> Result<Condition, CommandError> {
        let mut condition = Condition::default();
        for word in argv.from(3).iter() {
            let flag = match word {
                _ if is_option(word, "NX") => &mut condition.none_yet,
                _ if is_option(word, "XX") => &mut condition.one_already,
                _ if is_option(word, "GT") => &mut condition.later,
                _ if is_option(word, "LT") => &mut condition.earlier,
                _ => return Err(CommandError::quoting("ERR Unsupported option ", word, "")),
            };
            *flag = true;
        }
        if condition.none_yet && (condition.one_already || condition.later || condition.earlier) {
            return Err(CommandError::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.later && condition.earlier {
            return Err(CommandError::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether `new` may take the place of `old`. No expiry is later than any other.
    pub(super) fn allows(&self, old: Option<i64>, new: i64) -> bool {
        !(self.none_yet && old.is_some()
            || self.one_already && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

fn expire_generic(ctx: &mut Ctx<'_>, argv: Argv<'_>, name: &str, unit: Unit) -> Result<(), CommandError> {
    let condition = Condition::parse(argv)?;
    let moment = unit.moment(argv.at(2), ctx.now, name)?;
    let key = argv.at(1);
    let old = ctx.keys.write(key).map(|entry| entry.expire_ms());
    if !old.is_some_and(|old| condition.allows(old, moment)) {
        ctx.reply.int(0);
        return Ok(());
    }
    // Only who decides on expiries deletes at once. A replica waits for its master's word.
    if moment <= ctx.now && ctx.keys.expire_policy == ExpirePolicy::Delete && !ctx.caller.from_master {
        ctx.keys.delete(key);
        ctx.changed(class::GENERIC, "del", key);
        ctx.effects.propagate_as(&[b"DEL", key]);
    } else {
        ctx.keys.set_expire(key, Some(moment));
        ctx.changed(class::GENERIC, "expire", key);
        if unit != PXAT {
            let mut digits = itoa::Buffer::new();
            let mut args = vec![b"PEXPIREAT".as_slice(), key, digits.format(moment).as_bytes()];
            args.extend(argv.from(3).iter());
            ctx.effects.propagate_as(&args);
        }
    }
    ctx.reply.int(1);
    Ok(())
}

fn expire(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    expire_generic(ctx, argv, "expire", EX)
}

fn expireat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    expire_generic(ctx, argv, "expireat", EXAT)
}

fn pexpire(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    expire_generic(ctx, argv, "pexpire", PX)
}

fn pexpireat(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    expire_generic(ctx, argv, "pexpireat", PXAT)
}

/// Answers what `of` makes of a key's expiry; −1 without one, −2 without a key.
fn reply_time(ctx: &mut Ctx<'_>, argv: Argv<'_>, of: impl Fn(i64, i64) -> i64) -> Result<(), CommandError> {
    let now = ctx.now;
    let answer = match look(ctx, argv.at(1), |entry| entry.expire_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(moment)) => of(moment, now),
    };
    ctx.reply.int(answer);
    Ok(())
}

fn left_ms(moment: i64, now: i64) -> i64 {
    moment.saturating_sub(now).max(0)
}

/// Rounds to the nearest second.
fn to_seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn ttl(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    reply_time(ctx, argv, |moment, now| to_seconds(left_ms(moment, now)))
}

fn pttl(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    reply_time(ctx, argv, left_ms)
}

fn expiretime(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    reply_time(ctx, argv, |moment, _| to_seconds(moment))
}

fn pexpiretime(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    reply_time(ctx, argv, |moment, _| moment)
}

fn persist(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let key = argv.at(1);
    let volatile = ctx.keys.write(key).is_some_and(|entry| entry.expire_ms().is_some());
    if volatile {
        ctx.keys.set_expire(key, None);
        ctx.changed(class::GENERIC, "persist", key);
    }
    ctx.reply.int(i64::from(volatile));
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "expire",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::UPDATE, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Sets how many seconds a key has left.",
        run: Some(expire),
        subcommands: &[],
    },
    Row {
        name: "expireat",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::UPDATE, 1)],
        group: "generic",
        since: "1.2.0",
        summary: "Sets the Unix time at which a key expires, in seconds.",
        run: Some(expireat),
        subcommands: &[],
    },
    Row {
        name: "expiretime",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "7.0.0",
        summary: "Tells the Unix time at which a key expires, in seconds.",
        run: Some(expiretime),
        subcommands: &[],
    },
    Row {
        name: "persist",
        arity: 2,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::UPDATE, 1)],
        group: "generic",
        since: "2.2.0",
        summary: "Takes the expiry from a key.",
        run: Some(persist),
        subcommands: &[],
    },
    Row {
        name: "pexpire",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::UPDATE, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Sets how many milliseconds a key has left.",
        run: Some(pexpire),
        subcommands: &[],
    },
    Row {
        name: "pexpireat",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RW | key::UPDATE, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Sets the Unix time at which a key expires, in milliseconds.",
        run: Some(pexpireat),
        subcommands: &[],
    },
    Row {
        name: "pexpiretime",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "7.0.0",
        summary: "Tells the Unix time at which a key expires, in milliseconds.",
        run: Some(pexpiretime),
        subcommands: &[],
    },
    Row {
        name: "pttl",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Tells how many milliseconds a key has left.",
        run: Some(pttl),
        subcommands: &[],
    },
    Row {
        name: "ttl",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "1.0.0",
        summary: "Tells how many seconds a key has left.",
        run: Some(ttl),
        subcommands: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::ROWS;
    use crate::commands::testing::Bench;
    use crate::keyspace::ExpirePolicy;

    fn bench() -> Bench {
        let mut bench = Bench::new(ROWS);
        bench.now = 1_700_000_000_000;
        bench.keys.set_str(b"a", b"1", None);
        bench
    }

    #[test]
    fn a_time_travels_as_the_moment_it_means() {
        let mut bench = bench();
        for (command, travels) in [
            ("expire a 100", Some("*3 $9 PEXPIREAT $1 a $13 1700000100000")),
            ("expire a 200 XX", Some("*4 $9 PEXPIREAT $1 a $13 1700000200000 $2 XX")),
            ("pexpire a 250000 gt", Some("*4 $9 PEXPIREAT $1 a $13 1700000250000 $2 gt")),
            ("expireat a 4102444801 GT", Some("*4 $9 PEXPIREAT $1 a $13 4102444801000 $2 GT")),
            ("pexpireat a 4102444801001 GT", None),
        ] {
            assert_eq!(bench.line(command), ":1", "{command}");
            assert_eq!((bench.propagated().as_deref(), bench.dirty), (travels, 1), "{command}");
            assert_eq!(bench.events(), ["expire a"]);
        }
        assert_eq!(bench.line("persist a"), ":1");
        assert_eq!((bench.propagated(), bench.dirty, bench.events()), (None, 1, vec!["persist a".to_owned()]));
        assert_eq!(bench.line("persist a"), ":0");
        assert_eq!((bench.dirty, bench.events()), (0, vec![]));
    }

    #[test]
    fn conditions_compare_with_the_expiry_that_stands() {
        let mut bench = bench();
        for (command, reply) in [
            ("expire a 100 XX", 0),
            ("expire a 100 GT", 0),
            ("expire a 100 XX LT", 0),
            ("expire a 100 LT", 1),
            ("expire a 50 GT", 0),
            ("expire a 100 GT", 0),
            ("expire a 200 LT", 0),
            ("expire a 100 NX", 0),
            ("expire a 99 LT XX", 1),
            ("expire nokey 100", 0),
            ("persist a", 1),
            ("expire a 100 NX NX", 1),
        ] {
            assert_eq!(bench.line(command), format!(":{reply}"), "{command}");
            assert_eq!(bench.dirty, reply, "{command}");
        }
    }

    #[test]
    fn errors_come_in_the_order_of_the_stock_server() {
        let mut bench = bench();
        let nx = "-ERR NX and XX, GT or LT options at the same time are not compatible";
        let gt = "-ERR GT and LT options at the same time are not compatible";
        for (command, error) in [
            ("expire a x", "-ERR value is not an integer or out of range"),
            ("expire nokey x", "-ERR value is not an integer or out of range"),
            ("expire a x FOO", "-ERR Unsupported option FOO"),
            ("expire a x NX FOO", "-ERR Unsupported option FOO"),
            ("expire a 100 NX XX", nx),
            ("expire a 100 GT LT NX", nx),
            ("expire a 100 LT GT", gt),
            ("expire a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("expire a -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
            ("pexpire a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("expireat a 9223372036854775807", "-ERR invalid expire time in 'expireat' command"),
        ] {
            assert_eq!(bench.line(command), error, "{command}");
        }
        assert_eq!(bench.line("pexpireat a 9223372036854775807"), ":1");
        assert_eq!(bench.line("pexpiretime a"), ":9223372036854775807");
        assert_eq!(bench.line("pexpireat a -1 GT"), ":0");
    }

    #[test]
    fn a_moment_that_has_passed_deletes_on_a_master_only() {
        for command in ["expire a 0", "expire a -1", "pexpireat a 1", "expireat a 1700000000 LT"] {
            let mut master = bench();
            assert_eq!(master.line(command), ":1");
            assert_eq!(master.propagated().as_deref(), Some("*2 $3 DEL $1 a"));
            assert_eq!((master.events(), master.keys.total_keys(), master.dirty), (vec!["del a".to_owned()], 0, 1));
        }
        let mut replica = bench();
        replica.session.from_master = true;
        replica.keys.expire_policy = ExpirePolicy::Ignore;
        assert_eq!(replica.line("pexpireat a 1"), ":1");
        assert_eq!((replica.events(), replica.keys.total_keys()), (vec!["expire a".to_owned()], 1));
    }

    #[test]
    fn what_is_left_is_rounded_to_the_nearest_second() {
        let mut bench = bench();
        for (command, without) in [("ttl a", -1), ("pttl a", -1), ("expiretime a", -1), ("ttl nokey", -2)] {
            assert_eq!(bench.line(command), format!(":{without}"));
        }
        bench.keys.set_expire(b"a", Some(bench.now + 1499));
        for (command, reply) in
            [("ttl a", 1i64), ("pttl a", 1499), ("expiretime a", 1_700_000_001), ("pexpiretime a", 1_700_000_001_499)]
        {
            assert_eq!(bench.line(command), format!(":{reply}"), "{command}");
        }
        bench.keys.set_expire(b"a", Some(bench.now + 1500));
        assert_eq!(bench.line("ttl a"), ":2");
    }
}
