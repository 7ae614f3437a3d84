//! DUMP and RESTORE: one value as bytes, to take to another server (= the commands of that name in cluster.c).
//!
//! Deliberately absent: MIGRATE, which needs a connection and so is the server's. RESTORE-ASKING is what the nodes of a
//! cluster send each other; without one it is RESTORE. IDLETIME and FREQ count where the
//! policy of `maxmemory` notes just that of accesses; where it does not, they are read and forgotten.

use super::DataFn;
use super::command::{Row, category, flag, key, one};
use super::ctx::{Ctx, integer, is_option};
use super::effects::class;
use super::error::{self, CommandError};
use crate::keyspace::{ExpirePolicy, access};
use crate::persist::rdb::{dump_payload, load_dump_payload, with_right_checksum};
use crate::resp::request::Argv;

fn dump(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    match ctx.keys.read(argv.at(1)) {
        Some(entry) => ctx.reply.bulk(&dump_payload(entry.value(), ctx.limits.compress_dumps)),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// What follows the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(argv: Argv<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut at = 4;
        while let Some(word) = argv.get(at) {
            at += match argv.get(at + 1) {
                _ if is_option(word, "REPLACE") => {
                    options.replace = true;
                    1
                }
                _ if is_option(word, "ABSTTL") => {
                    options.absolute = true;
                    1
                }
                Some(value) if is_option(word, "IDLETIME") && options.frequency.is_none() => {
                    options.idle_seconds = Some(integer(value)?);
                    if options.idle_seconds < Some(0) {
                        return Err(CommandError::new("ERR Invalid IDLETIME value, must be >= 0"));
                    }
                    2
                }
                Some(value) if is_option(word, "FREQ") && options.idle_seconds.is_none() => {
                    options.frequency = Some(integer(value)?);
                    if !(Some(0)..=Some(255)).contains(&options.frequency) {
                        return Err(CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                    }
                    2
                }
                _ => return Err(error::SYNTAX),
            };
        }
        Ok(options)
    }
}

fn restore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let options = Options::parse(argv)?;
    let key = argv.at(1);
    if !options.replace && ctx.keys.exists(key) {
        return Err(CommandError::new("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(argv.at(2))?;
    if ttl < 0 {
        return Err(CommandError::new("ERR Invalid TTL value, must be >= 0"));
    }
    let payload = if ctx.limits.skip_checksums { with_right_checksum(argv.at(3)) } else { argv.at(3).into() };
    let loaded = load_dump_payload(&payload, &ctx.keys.limits);
    let value = loaded.map_err(|error| CommandError::new(error.to_string()))?;
    // A time to live past the end of time counts as a moment before its beginning, as in the ancestor.
    let moment = (ttl != 0).then(|| if options.absolute { ttl } else { ttl.wrapping_add(ctx.now) });
    let decides = ctx.keys.expire_policy == ExpirePolicy::Delete && !ctx.caller.from_master;
    if decides && moment.is_some_and(|moment| moment <= ctx.now) {
        if ctx.keys.delete(key) {
            ctx.changed(class::GENERIC, "del", key);
            ctx.effects.propagate_as(&[b"DEL", key]);
        }
        ctx.reply.ok();
        return Ok(());
    }
    ctx.keys.insert(key, value, moment);
    let access = match (ctx.keys.access.lfu, options.frequency, options.idle_seconds) {
        (true, Some(frequency), _) => Some(access::counted_at(ctx.keys.now, frequency as u32)),
        (false, _, Some(seconds)) => Some(ctx.keys.access_clock.wrapping_sub(seconds as u32) & access::CLOCK_MASK),
        _ => None,
    };
    if let Some(access) = access {
        ctx.keys.set_access(key, access);
    }
    ctx.changed(class::GENERIC, "restore", key);
    if let Some(moment) = moment.filter(|_| !options.absolute) {
        let mut digits = itoa::Buffer::new();
        let mut args: Vec<&[u8]> = argv.iter().collect();
        args[2] = digits.format(moment).as_bytes();
        args.push(b"ABSTTL");
        ctx.effects.propagate_as(&args);
    }
    ctx.reply.ok();
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[
    Row {
        name: "dump",
        arity: 2,
        flags: flag::READONLY,
        categories: category::KEYSPACE,
        keys: &[one(key::RO | key::ACCESS, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Serializes the value at a key.",
        run: Some(dump),
        subcommands: &[],
    },
    Row {
        name: "restore",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[one(key::OW | key::UPDATE, 1)],
        group: "generic",
        since: "2.6.0",
        summary: "Makes a key from a serialized value.",
        run: Some(restore),
        subcommands: &[],
    },
    Row {
        name: "restore-asking",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM | flag::ASKING,
        categories: category::KEYSPACE | category::DANGEROUS,
        keys: &[one(key::OW | key::UPDATE, 1)],
        group: "server",
        since: "3.0.0",
        summary: "RESTORE, as nodes of a cluster send it.",
        run: Some(restore),
        subcommands: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::ROWS;
    use crate::commands::testing::Bench;
    use crate::keyspace::ExpirePolicy;

    /// What a stock 7.0.15 makes of the string `hello`.
    const HELLO: &[u8] = b"\x00\x05hello\n\x00cr\xdfve4 \n";

    fn restore(bench: &mut Bench, words: &str) -> String {
        let mut args: Vec<&[u8]> = vec![b"restore"];
        args.extend(words.split(' ').map(|word| if word == "HELLO" { HELLO } else { word.as_bytes() }));
        String::from_utf8_lossy(&bench.run_bytes(&args)).trim_end().to_owned()
    }

    #[test]
    fn a_dump_is_what_restore_takes() {
        let mut bench = Bench::of_changes(ROWS);
        assert_eq!(bench.run(&["dump", "k"]), "$-1\r\n");
        assert_eq!(restore(&mut bench, "k 0 HELLO"), "+OK");
        assert_eq!((bench.dirty, bench.propagated(), bench.events()), (1, None, vec!["restore k".to_owned()]));
        assert_eq!(bench.run_bytes(&[b"dump", b"k"]), [b"$17\r\n", HELLO, b"\r\n"].concat());
    }

    #[test]
    fn a_time_to_live_travels_as_a_moment() {
        let mut bench = Bench::of_changes(ROWS);
        bench.now = 1_700_000_000_000;
        assert_eq!(restore(&mut bench, "k 100000 HELLO replace idletime 5"), "+OK");
        let travels = bench.effects.replacement().0.to_vec();
        let tail = b"$7\r\nreplace\r\n$8\r\nidletime\r\n$1\r\n5\r\n$6\r\nABSTTL\r\n";
        assert!(
            travels.starts_with(b"*8\r\n$7\r\nrestore\r\n$1\r\nk\r\n$13\r\n1700000100000\r\n")
                && travels.ends_with(tail)
        );
        assert_eq!(bench.keys.peek(b"k").unwrap().expire_ms(), Some(1_700_000_100_000));
        assert_eq!(restore(&mut bench, "k 1800000000000 HELLO replace absttl"), "+OK");
        assert_eq!(bench.propagated(), None);
    }

    #[test]
    fn what_has_expired_already_deletes_on_a_master_only() {
        let mut bench = Bench::of_changes(ROWS);
        for words in ["k 1 HELLO absttl", "k 9223372036854775807 HELLO"] {
            assert_eq!(restore(&mut bench, words), "+OK");
            assert_eq!((bench.dirty, bench.keys.total_keys()), (0, 0));
        }
        restore(&mut bench, "k 0 HELLO");
        assert_eq!(restore(&mut bench, "k 1 HELLO absttl replace"), "+OK");
        assert_eq!(bench.propagated().as_deref(), Some("*2 $3 DEL $1 k"));
        assert_eq!((bench.dirty, bench.events()), (1, vec!["del k".to_owned()]));
        bench.keys.expire_policy = ExpirePolicy::Ignore;
        bench.session.from_master = true;
        assert_eq!(restore(&mut bench, "k 1 HELLO absttl replace"), "+OK");
        assert_eq!(bench.keys.total_keys(), 1);
    }

    #[test]
    fn errors_come_in_the_order_of_the_stock_server() {
        let mut bench = Bench::of_changes(ROWS);
        restore(&mut bench, "k 0 HELLO");
        for (words, error) in [
            ("k x bad", "BUSYKEY Target key name already exists."),
            ("k x bad FOO", "ERR syntax error"),
            ("n x bad", "ERR value is not an integer or out of range"),
            ("n -1 bad", "ERR Invalid TTL value, must be >= 0"),
            ("n 0 bad", "ERR DUMP payload version or checksum are wrong"),
            ("n 0 HELLO IDLETIME", "ERR syntax error"),
            ("n 0 HELLO IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
            ("n 0 HELLO IDLETIME x", "ERR value is not an integer or out of range"),
            ("n 0 HELLO FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("n 0 HELLO FREQ -1", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("n 0 HELLO FREQ 5 IDLETIME 5", "ERR syntax error"),
            ("n 0 HELLO IDLETIME 5 FREQ 5", "ERR syntax error"),
        ] {
            assert_eq!(restore(&mut bench, words), format!("-{error}"), "{words}");
            assert_eq!(bench.dirty, 0);
        }
    }

    #[test]
    fn the_idle_time_is_set_against_the_access_clock() {
        let mut bench = Bench::of_changes(ROWS);
        bench.keys.access_clock = 3;
        restore(&mut bench, "k 0 HELLO IDLETIME 5");
        assert_eq!(bench.keys.peek(b"k").unwrap().access(), (1 << 24) - 2);
        restore(&mut bench, "k 0 HELLO REPLACE FREQ 77");
        assert_eq!(bench.keys.peek(b"k").unwrap().access(), 3, "nobody counts accesses");
    }

    #[test]
    fn the_frequency_is_set_where_accesses_are_counted() {
        let mut bench = Bench::of_changes(ROWS);
        bench.keys.access.lfu = true;
        bench.now = 7 * 60_000;
        bench.keys.set_time(bench.now);
        for (words, access) in [("FREQ 77", 7 << 8 | 77), ("FREQ 0", 7 << 8), ("IDLETIME 3", 7 << 8 | 5)] {
            assert_eq!(restore(&mut bench, &format!("k{access} 0 HELLO {words}")), "+OK");
            assert_eq!(bench.keys.peek(format!("k{access}").as_bytes()).unwrap().access(), access, "{words}");
        }
    }
}
