//! Which arguments of a command are keys: for COMMAND GETKEYS, and to fetch keys ahead of their commands
//! (= getKeysFromCommandWithSpecs of db.c).
//!
//! Rows tell it, save for SORT, whose STORE can only be found by reading its options, for MIGRATE, whose KEYS may be a
//! password, and for SET and BITFIELD, which do different things to their key depending on their options.

use super::command::{Begin, Find, KeySpec, flag, key};
use super::ctx::is_option;
use super::error::CommandError;
use crate::base::numbers;
use crate::resp::request::Argv;

/// What is known of a command, from its row or from the table.
#[derive(Clone, Copy)]
pub struct Described<'a> {
    /// The full name.
    pub name: &'a str,
    /// Bits of `flag`.
    pub flags: u32,
    /// Where the keys stand.
    pub keys: &'static [KeySpec],
}

/// A number of keys that does not fit the arguments, or a place for a key without an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeys;

impl From<BadKeys> for CommandError {
    fn from(_: BadKeys) -> Self {
        CommandError::new("ERR Invalid arguments specified for command")
    }
}

/// Whether a command has keys among its arguments at all.
pub fn takes_keys(row: Described<'_>) -> bool {
    row.keys.iter().any(|spec| spec.flags & key::NOT_KEY == 0)
}

/// The places of the keys in `argv`. `row` is that of the subcommand where there is one.
pub fn keys_of(row: Described<'_>, argv: Argv<'_>) -> Result<Vec<usize>, BadKeys> {
    let mut places = Vec::new();
    each_key(row, argv, |place, _| places.push(place))?;
    Ok(places)
}

/// Calls `f` with the place of each key and with what is done with it, as bits of `key`.
#[inline]
pub fn each_key(row: Described<'_>, argv: Argv<'_>, mut f: impl FnMut(usize, u32)) -> Result<(), BadKeys> {
    if row.flags & flag::MOVABLEKEYS != 0 && row.name == "migrate" {
        let group = migrated(argv)?;
        (group.first..=group.last).for_each(|place| f(place, row.keys[0].flags));
        return Ok(());
    }
    for spec in row.keys.iter().filter(|spec| spec.flags & key::NOT_KEY == 0) {
        let group = match (spec.begin, spec.find) {
            (Begin::Unknown, _) | (_, Find::Unknown) => group_by_name(row, spec, argv),
            _ => group_by_spec(spec, argv),
        };
        let group = match group {
            Ok(None) => continue,
            Ok(Some(group)) => group,
            Err(BadKeys) if row.flags & flag::NO_MANDATORY_KEYS != 0 => continue,
            Err(BadKeys) => return Err(BadKeys),
        };
        let flags = if spec.flags & key::VARIABLE_FLAGS == 0 { spec.flags } else { flags_by_name(row, spec, argv) };
        (group.first..=group.last).step_by(group.step).for_each(|place| f(place, flags));
    }
    Ok(())
}

/// Keys at equal distances, all of them within the arguments.
struct Group {
    first: usize,
    last: usize,
    step: usize,
}

/// The keys that one specification names; none where its keyword is not there.
fn group_by_spec(spec: &KeySpec, argv: Argv<'_>) -> Result<Option<Group>, BadKeys> {
    let count = argv.len() as i64;
    let begin = match spec.begin {
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => match find_keyword(argv, word, from) {
            Some(place) => place as i64 + 1,
            None => return Ok(None),
        },
        Begin::Unknown => return Ok(None),
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, .. } if last >= 0 => (begin, begin + i64::from(last), step),
        Find::Range { last, step, limit } if limit <= 1 => (begin, count + i64::from(last), step),
        Find::Range { last, step, limit } => {
            (begin, begin + (count - begin) / i64::from(limit) + i64::from(last), step)
        }
        Find::KeyNum { at, first, step } => {
            let place = usize::try_from(begin + i64::from(at)).map_err(|_| BadKeys)?;
            let keys = argv.get(place).and_then(numbers::parse_i64).ok_or(BadKeys)?;
            // More keys than arguments cannot be, and a sum of larger numbers might overflow.
            if !(0..=count).contains(&keys) {
                return Err(BadKeys);
            }
            let first = begin + i64::from(first);
            (first, first + (keys - 1) * i64::from(step), step)
        }
        Find::Unknown => return Ok(None),
    };
    if first < 0 || last < first || last >= count {
        return Err(BadKeys);
    }
    Ok(Some(Group { first: first as usize, last: last as usize, step: step.max(1) as usize }))
}

/// Where a keyword stands that something follows; looked for from `from` on, backwards where it is negative.
fn find_keyword(argv: Argv<'_>, word: &str, from: i32) -> Option<usize> {
    let count = argv.len();
    let is_word = |&place: &usize| argv.at(place).eq_ignore_ascii_case(word.as_bytes());
    match usize::try_from(from) {
        Ok(from) => (from..count.saturating_sub(1)).find(is_word),
        Err(_) => (1..=count.checked_sub(from.unsigned_abs() as usize)?).rev().find(is_word),
    }
}

/// What a row cannot tell: SORT stores to the key after the last STORE that is an option. Its patterns name keys that
/// depend on the data, which nobody can tell.
fn group_by_name(row: Described<'_>, spec: &KeySpec, argv: Argv<'_>) -> Result<Option<Group>, BadKeys> {
    if row.name != "sort" || spec.flags & key::OW == 0 {
        return Ok(None);
    }
    let (mut at, mut found) = (2, None);
    while let Some(word) = argv.get(at) {
        if is_option(word, "STORE") && at + 1 < argv.len() {
            found = Some(Group { first: at + 1, last: at + 1, step: 1 });
        }
        at += match word {
            _ if is_option(word, "LIMIT") => 3,
            _ if is_option(word, "GET") || is_option(word, "BY") || is_option(word, "STORE") => 2,
            _ => 1,
        };
    }
    Ok(found)
}

/// The keys of MIGRATE: the third argument, or if that is empty, what follows the word KEYS that is an option.
fn migrated(argv: Argv<'_>) -> Result<Group, BadKeys> {
    let mut at = 6;
    while let Some(word) = argv.get(at) {
        at += match word {
            _ if is_option(word, "AUTH") => 2,
            _ if is_option(word, "AUTH2") => 3,
            _ if is_option(word, "KEYS") && at + 1 < argv.len() => {
                if !argv.at(3).is_empty() {
                    return Err(BadKeys);
                }
                return Ok(Group { first: at + 1, last: argv.len() - 1, step: 1 });
            }
            _ => 1,
        };
    }
    if argv.len() > 3 { Ok(Group { first: 3, last: 3, step: 1 }) } else { Err(BadKeys) }
}

/// What SET and BITFIELD do with their key, given their options.
fn flags_by_name(row: Described<'_>, spec: &KeySpec, argv: Argv<'_>) -> u32 {
    let stated = spec.flags & !key::VARIABLE_FLAGS;
    match row.name {
        "set" if !argv.from(3).iter().any(|word| is_option(word, "GET")) => key::OW | key::UPDATE,
        "bitfield" if reads_bits_only(argv) => key::RO | key::ACCESS,
        _ => stated,
    }
}

fn reads_bits_only(argv: Argv<'_>) -> bool {
    let mut at = 2;
    while let Some(word) = argv.get(at) {
        if !is_option(word, "GET") || at + 2 >= argv.len() {
            return false;
        }
        at += 3;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::command::{counted, one, range};
    use crate::resp::request::OwnedArgv;

    const fn row(name: &'static str, flags: u32, keys: &'static [KeySpec]) -> Described<'static> {
        Described { name, flags, keys }
    }

    const fn after(word: &'static str, from: i32, last: i32, limit: i32) -> KeySpec {
        KeySpec { flags: key::OW, begin: Begin::Keyword(word, from), find: Find::Range { last, step: 1, limit } }
    }

    const UNKNOWN: KeySpec = KeySpec { flags: key::OW, begin: Begin::Unknown, find: Find::Unknown };
    const ROWS: &[Described<'static>] = &[
        row("get", 0, &[one(key::RO, 1)]),
        row("mset", 0, &[range(key::OW, 1, -1, 2)]),
        row("blpop", 0, &[range(key::RW, 1, -2, 1)]),
        row("sort", 0, &[one(key::RO, 1), KeySpec { flags: key::RO, ..UNKNOWN }, UNKNOWN]),
        row("georadius", 0, &[one(key::RO, 1), after("STORE", 6, 0, 0), after("STOREDIST", 6, 0, 0)]),
        row("zunionstore", 0, &[one(key::OW, 1), counted(key::RO, 2)]),
        row("eval", flag::NO_MANDATORY_KEYS, &[counted(key::RW, 2)]),
        row("xread", 0, &[after("STREAMS", 1, -1, 2)]),
        row("last", 0, &[after("KEYS", -2, -1, 0)]),
        row("spublish", 0, &[one(key::NOT_KEY, 1)]),
        row("migrate", flag::MOVABLEKEYS, &[one(key::RW, 3)]),
        row("set", 0, &[one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)]),
        row("bitfield", 0, &[one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)]),
    ];

    fn find(line: &str) -> (Described<'static>, OwnedArgv) {
        let name = line.split(' ').next().unwrap();
        let row = *ROWS.iter().find(|row| row.name == name).unwrap();
        (row, OwnedArgv::new(line.split(' ').map(str::as_bytes)))
    }

    fn keys(line: &str) -> Option<String> {
        let (row, owned) = find(line);
        let words: Vec<&str> = line.split(' ').collect();
        let places = keys_of(row, owned.argv()).ok()?;
        Some(places.into_iter().map(|place| words[place]).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn keys_are_those_that_a_stock_server_finds() {
        for (line, expected) in [
            ("get a", "a"),
            ("mset a 1 b 2", "a b"),
            ("mset a 1 b", "a b"),
            ("blpop a b 0", "a b"),
            ("sort l by w_* store x", "l x"),
            ("sort l store x store y", "l y"),
            ("sort l store", "l"),
            ("sort l get store x", "l"),
            ("sort l limit 1 2 STORE x", "l x"),
            ("sort l GET GET STORE x", "l x"),
            ("georadius k 1 2 3 m store x storedist y", "k x y"),
            ("georadius k 1 2 3 m store", "k"),
            ("georadius k 1 2 3 m STORE STORE", "k STORE"),
            ("zunionstore d 2 a b", "d a b"),
            ("zunionstore d 1 a aggregate sum", "d a"),
            ("eval x 0", ""),
            ("eval x 1 k", "k"),
            ("eval x 5 k", ""),
            ("eval x -1 k", ""),
            ("xread streams a b 0 0", "a b"),
            ("xread count 1 streams a 0", "a"),
            ("xread streams a b 0", "a"),
            ("last x keys a", "a"),
            ("last keys keys a b", "a b"),
            ("spublish c m", ""),
            ("migrate h 1 k 0 1", "k"),
            ("migrate h 1 k 0 1 copy replace", "k"),
            ("migrate h 1  0 1 keys a b", "a b"),
            ("migrate h 1  0 1 auth keys KEYS a", "a"),
            ("migrate h 1  0 1 auth2 x keys keys keys b", "keys b"),
            ("migrate h 1  0 1 auth2 keys keys", ""),
            ("migrate h 1  0 1 keys", ""),
            ("migrate h 1 k 0 1 keys", "k"),
            ("migrate h 1 keys 0 1 auth keys", "keys"),
        ] {
            assert_eq!(keys(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        for count in ["3", "0", "x", "-1", "9223372036854775807", "99999999999999999999"] {
            assert_eq!(keys(&format!("zunionstore d {count} a b")), None, "{count}");
        }
        assert_eq!(keys("get"), None);
        assert_eq!(keys("zunionstore d"), None);
        assert_eq!(keys("migrate h 1 k 0 1 keys a"), None);
        assert!(!takes_keys(find("spublish c m").0) && takes_keys(find("eval x 0").0));
    }

    #[test]
    fn what_is_done_with_a_key_depends_on_options() {
        let all = key::RW | key::ACCESS | key::UPDATE;
        for (line, expected) in [
            ("set a b", key::OW | key::UPDATE),
            ("set a GET", key::OW | key::UPDATE),
            ("set a b EX 1 get", all),
            ("bitfield k get u8 0", key::RO | key::ACCESS),
            ("bitfield k get u8 0 set u8 0 1", all),
            ("bitfield k foo", all),
        ] {
            let (row, owned) = find(line);
            let mut seen = Vec::new();
            each_key(row, owned.argv(), |place, flags| seen.push((place, flags))).unwrap();
            assert_eq!(seen, [(1, expected)], "{line}");
        }
    }
}
