//! The rows of the commands on fields that expire (facts of COMMAND INFO of Redis 8.2).

use super::fields;
use crate::commands::command::{DataFn, KeySpec, Row, category, flag, key, one};

const LOOKS: &[KeySpec] = &[one(key::RO | key::ACCESS, 1)];
const CHANGES: &[KeySpec] = &[one(key::RW | key::UPDATE, 1)];
const LOOKS_AND_CHANGES: &[KeySpec] = &[one(key::RW | key::ACCESS | key::UPDATE, 1)];
const TAKES: &[KeySpec] = &[one(key::RW | key::ACCESS | key::DELETE, 1)];

/// A command on fields that expire; all of them are fast.
const fn row(
    name: &'static str,
    arity: i32,
    flags: u32,
    keys: &'static [KeySpec],
    since: &'static str,
    summary: &'static str,
    run: DataFn,
) -> Row<DataFn> {
    Row {
        name,
        arity,
        flags: flags | flag::FAST,
        categories: category::HASH,
        keys,
        group: "hash",
        since,
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

/// The commands on fields that expire.
pub const ROWS: &[Row<DataFn>] = &[
    row("hexpire", -6, flag::WRITE, CHANGES, "7.4.0", "Sets how many seconds fields have left.", fields::hexpire),
    row(
        "hexpireat",
        -6,
        flag::WRITE,
        CHANGES,
        "7.4.0",
        "Sets the Unix time at which fields expire, in seconds.",
        fields::hexpireat,
    ),
    row(
        "hexpiretime",
        -5,
        flag::READONLY,
        LOOKS,
        "7.4.0",
        "Tells the Unix time at which fields expire, in seconds.",
        fields::hexpiretime,
    ),
    row(
        "hgetdel",
        -5,
        flag::WRITE,
        TAKES,
        "8.0.0",
        "Returns the values of fields and takes the fields out.",
        fields::hgetdel,
    ),
    row(
        "hgetex",
        -5,
        flag::WRITE,
        LOOKS_AND_CHANGES,
        "8.0.0",
        "Returns the values of fields and changes when they expire.",
        fields::hgetex,
    ),
    row("hpersist", -5, flag::WRITE, CHANGES, "7.4.0", "Takes the expiry from fields.", fields::hpersist),
    row(
        "hpexpire",
        -6,
        flag::WRITE,
        CHANGES,
        "7.4.0",
        "Sets how many milliseconds fields have left.",
        fields::hpexpire,
    ),
    row(
        "hpexpireat",
        -6,
        flag::WRITE,
        CHANGES,
        "7.4.0",
        "Sets the Unix time at which fields expire, in milliseconds.",
        fields::hpexpireat,
    ),
    row(
        "hpexpiretime",
        -5,
        flag::READONLY,
        LOOKS,
        "7.4.0",
        "Tells the Unix time at which fields expire, in milliseconds.",
        fields::hpexpiretime,
    ),
    row("hpttl", -5, flag::READONLY, LOOKS, "7.4.0", "Tells how many milliseconds fields have left.", fields::hpttl),
    row(
        "hsetex",
        -6,
        flag::WRITE | flag::DENYOOM,
        CHANGES,
        "8.0.0",
        "Sets fields and when they expire, all or none of them.",
        fields::hsetex,
    ),
    row("httl", -5, flag::READONLY, LOOKS, "7.4.0", "Tells how many seconds fields have left.", fields::httl),
];
