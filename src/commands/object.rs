//! OBJECT: what a value is like inside (= objectCommand of object.c).

use super::DataFn;
use super::command::{Row, category, flag, key, one};
use super::ctx::Ctx;
use super::error::CommandError;
use super::generic::look_silently;
use crate::keyspace::access;
use crate::resp::request::Argv;
use crate::types::entry::Entry;
use crate::types::{StrRef, ValueRef};

const NO_LFU: &str = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                      switching between policies at runtime LRU and LFU data will take some time to adjust.";
const LFU: &str = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                   between policies at runtime LRU and LFU data will take some time to adjust.";
/// What a server that keeps one object for each of the integers up to 9999 tells of their references.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

const HELP: [&str; 15] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

fn object_encoding(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    match look_silently(ctx, argv.at(2), |entry| entry.encoding()) {
        Some(encoding) => ctx.reply.bulk(encoding.as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_freq(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    match look_silently(ctx, argv.at(2), Entry::access) {
        Some(_) if !ctx.keys.access.lfu => return Err(CommandError::new(NO_LFU)),
        Some(access) => {
            let frequency = ctx.keys.access.frequency(access, access::minutes_at(ctx.keys.now));
            ctx.reply.int(i64::from(frequency));
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_idletime(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let clock = ctx.keys.access_clock;
    match look_silently(ctx, argv.at(2), |entry| clock.wrapping_sub(entry.access()) & access::CLOCK_MASK) {
        Some(_) if ctx.keys.access.lfu => return Err(CommandError::new(LFU)),
        Some(seconds) => ctx.reply.int(i64::from(seconds)),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_refcount(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    match look_silently(ctx, argv.at(2), |entry| matches!(entry.value(), ValueRef::Str(StrRef::Int(0..10_000)))) {
        Some(shared) => ctx.reply.int(if shared { SHARED_REFERENCES } else { 1 }),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_help(ctx: &mut Ctx<'_>, _argv: Argv<'_>) -> Result<(), CommandError> {
    ctx.reply.array(HELP.len());
    for line in HELP {
        ctx.reply.status(line);
    }
    Ok(())
}

/// The commands of this file.
pub const ROWS: &[Row<DataFn>] = &[Row {
    name: "object",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "generic",
    since: "2.2.3",
    summary: "Commands about the inside of a value.",
    run: None,
    subcommands: &[
        Row {
            name: "encoding",
            arity: 3,
            flags: flag::READONLY,
            categories: category::KEYSPACE,
            keys: &[one(key::RO, 2)],
            group: "generic",
            since: "2.2.3",
            summary: "Tells in which form a value is kept.",
            run: Some(object_encoding),
            subcommands: &[],
        },
        Row {
            name: "freq",
            arity: 3,
            flags: flag::READONLY,
            categories: category::KEYSPACE,
            keys: &[one(key::RO, 2)],
            group: "generic",
            since: "4.0.0",
            summary: "Tells how often a value is accessed, on a logarithmic scale.",
            run: Some(object_freq),
            subcommands: &[],
        },
        Row {
            name: "help",
            arity: 2,
            flags: flag::LOADING | flag::STALE,
            categories: category::KEYSPACE,
            keys: &[],
            group: "generic",
            since: "6.2.0",
            summary: "Explains the subcommands.",
            run: Some(object_help),
            subcommands: &[],
        },
        Row {
            name: "idletime",
            arity: 3,
            flags: flag::READONLY,
            categories: category::KEYSPACE,
            keys: &[one(key::RO, 2)],
            group: "generic",
            since: "2.2.3",
            summary: "Tells how many seconds ago a value was accessed last.",
            run: Some(object_idletime),
            subcommands: &[],
        },
        Row {
            name: "refcount",
            arity: 3,
            flags: flag::READONLY,
            categories: category::KEYSPACE,
            keys: &[one(key::RO, 2)],
            group: "generic",
            since: "2.2.3",
            summary: "Tells how many references to a value there are.",
            run: Some(object_refcount),
            subcommands: &[],
        },
    ],
}];

#[cfg(test)]
mod tests {
    use super::ROWS;
    use crate::commands::testing::Bench;

    #[test]
    fn the_inside_of_values() {
        let mut bench = Bench::new(ROWS);
        for (key, value) in [
            ("int", "9999"),
            ("big", "10000"),
            ("short", "x"),
            ("long", "more than forty-four bytes of one string value"),
        ] {
            bench.keys.set_str(key.as_bytes(), value.as_bytes(), None);
        }
        for (command, reply) in [
            ("object encoding int", "$3 int"),
            ("object ENCODING short", "$6 embstr"),
            ("object encoding long", "$3 raw"),
            ("object encoding nokey", "$-1"),
            ("object refcount int", ":2147483647"),
            ("object refcount big", ":1"),
            ("object refcount long", ":1"),
            ("object freq nokey", "$-1"),
        ] {
            assert_eq!(bench.line(command), reply, "{command}");
        }
        assert!(bench.line("object freq int").starts_with("-ERR An LFU maxmemory policy is not selected, access freq"));
        assert!(bench.line("object help").starts_with("*15 +OBJECT <subcommand>"));
    }

    #[test]
    fn what_is_told_of_accesses_depends_on_the_policy() {
        let mut bench = Bench::new(ROWS);
        bench.keys.access.lfu = true;
        bench.now = 60_000;
        bench.keys.set_time(bench.now);
        bench.keys.set_str(b"k", b"v", None);
        assert_eq!(bench.line("object freq k"), ":5");
        assert_eq!(bench.line("object freq nokey"), "$-1");
        bench.keys.read(b"k");
        assert_eq!(bench.line("object freq k"), ":6", "the first hit counts for sure");
        bench.now = 4 * 60_000;
        bench.keys.set_time(bench.now);
        assert_eq!(bench.line("object freq k"), ":3");
        assert!(bench.line("object idletime k").starts_with("-ERR An LFU maxmemory policy is selected, idle time not"));
        assert_eq!(bench.line("object idletime nokey"), "$-1");
    }

    #[test]
    fn the_idle_time_is_counted_across_the_clocks_wrap() {
        let mut bench = Bench::new(ROWS);
        bench.keys.access_clock = (1 << 24) - 2;
        bench.keys.set_str(b"k", b"v", None);
        bench.keys.access_clock = 3;
        assert_eq!(bench.line("object idletime k"), ":5");
        assert_eq!(bench.line("object idletime k"), ":5", "asking is no access");
    }
}
