//! What the servers of a release understand of the stream: the oldest release among those that a bridge serves is the
//! dialect of its history.
//!
//! A command is understood if it came with the release or before, and so are its options. Commands that came after 7.2 are
//! not the same in the two families, so of those only what both have in common is spoken, to those who know it: the times
//! of the fields of hashes, as HPEXPIREAT and HPERSIST.
//!
//! ```text
//! RDB version   6    7    8    9    10   11               12 (Redis), 80 (Valkey)
//! dialect       2.6  3.2  4.0  5.0  7.0  7.2              7.2+field-expiry
//! ```
//!
//! Where the tables below err on the side of not understanding, what is sent is bigger than it must be, and right.

use crate::resp::request::Argv;
use std::fmt;

/// The first two numbers of a release.
pub type Release = (u8, u8);

/// So much is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dialect {
    /// The oldest release that it must suit.
    pub release: Release,
    /// Whether fields of hashes may expire.
    pub field_expiry: bool,
}

/// Later than all that is ever spoken.
const NEVER: Release = (u8::MAX, 0);

/// Words that are options of these commands from this argument on, since this release.
const WORDS: &[(&[&str], usize, &[&str], Release)] = &[
    (&["set"], 3, &["EX", "PX", "NX", "XX"], (3, 2)),
    (&["set"], 3, &["KEEPTTL"], (6, 0)),
    (&["set"], 3, &["GET", "EXAT", "PXAT"], (6, 2)),
    (&["set"], 3, &["IFEQ", "IFNE", "IFDEQ", "IFDNE"], NEVER),
    (&["zadd"], 2, &["NX", "XX", "CH", "INCR"], (3, 2)),
    (&["zadd"], 2, &["GT", "LT"], (6, 2)),
    (&["xadd"], 2, &["NOMKSTREAM", "MINID", "LIMIT"], (6, 2)),
    (&["xtrim"], 2, &["MINID", "LIMIT"], (6, 2)),
    (&["xadd", "xtrim"], 2, &["KEEPREF", "DELREF", "ACKED"], NEVER),
    (&["xgroup|create", "xgroup|setid"], 5, &["ENTRIESREAD"], (7, 0)),
    (&["xsetid"], 3, &["ENTRIESADDED", "MAXDELETEDID"], (7, 0)),
    (&["bitop"], 1, &["DIFF", "DIFF1", "ANDOR", "ONE"], NEVER),
    (&["zunionstore", "zinterstore"], 3, &["COUNT"], NEVER),
    (&["flushall", "flushdb"], 1, &["SYNC"], (6, 2)),
    // The two families do not mean the same by a negative offset.
    (&["zrangestore"], 5, &["LIMIT"], NEVER),
];

/// These commands may have so many arguments, their name included; more of them since this release.
const COUNTS: &[(&[&str], usize, Release)] = &[
    (&["expire", "pexpire", "expireat", "pexpireat"], 3, (7, 0)),
    (&["lpop", "rpop"], 2, (6, 2)),
    (&["hset"], 4, (4, 0)),
    (&["lpushx", "rpushx"], 3, (4, 0)),
    (&["flushall", "flushdb"], 1, (4, 0)),
];

/// Never said as they come: payloads carry a version of RDB, which is the master's; distances on the globe are not
/// the same to the last digit in all releases; and what SORT takes for a number is not, either.
const NEVER_VERBATIM: &[&str] =
    &["restore", "restore-asking", "function|restore", "georadius", "georadiusbymember", "geosearchstore", "sort"];

/// These have doubles among their arguments. Valkey 9 does not take hexadecimal ones, and Redis 8 not everywhere.
const WITH_DOUBLES: &[&str] =
    &["zadd", "zincrby", "zremrangebyscore", "zrangestore", "zunionstore", "zinterstore", "geoadd"];

impl Dialect {
    /// All that is ever spoken.
    pub const FULL: Dialect = Dialect { release: (7, 2), field_expiry: true };

    /// What the readers of an RDB version understand.
    pub fn of_rdb_version(version: u16) -> Dialect {
        let (release, field_expiry) = match version {
            0..=6 => ((2, 6), false),
            7 => ((3, 2), false),
            8 => ((4, 0), false),
            9 => ((5, 0), false),
            10 => ((7, 0), false),
            11 => ((7, 2), false),
            _ => ((7, 2), true),
        };
        Dialect { release, field_expiry }
    }

    /// The dialect that this is the name of.
    pub fn parse(text: &str) -> Option<Dialect> {
        let all = [6, 7, 8, 9, 10, 11, 12].map(Dialect::of_rdb_version);
        all.into_iter().find(|dialect| dialect.to_string() == text)
    }

    /// The version of RDB that all who speak it can read, whatever the data.
    pub fn rdb_version(self) -> u16 {
        match self.release {
            (..3, _) => 6,
            (3, _) => 7,
            (4, _) => 8,
            (5 | 6, _) => 9,
            _ => 10,
        }
    }

    /// Whether it knows what came with a release.
    pub fn knows(self, release: Release) -> bool {
        self.release >= release
    }

    /// Whether a command is understood as it stands. `name` is the full one, `since` that of its row.
    pub fn understands(self, name: &str, since: &str, argv: Argv<'_>) -> bool {
        if matches!(name, "hpexpireat" | "hpersist") {
            return self.field_expiry;
        }
        if NEVER_VERBATIM.contains(&name) || !self.knows(release_of(since)) {
            return false;
        }
        let fits = |(names, most, release): &(&[&str], usize, Release)| {
            !names.contains(&name) || argv.len() <= *most || self.knows(*release)
        };
        let end = options_end(name, argv);
        let knows_words = |(names, first, words, release): &(&[&str], usize, &[&str], Release)| {
            !names.contains(&name)
                || self.knows(*release)
                || !(*first..end).any(|at| words.iter().any(|word| argv.at(at).eq_ignore_ascii_case(word.as_bytes())))
        };
        let is_plain = !WITH_DOUBLES.contains(&name) || !(2..argv.len()).any(|at| is_hexadecimal(argv.at(at)));
        is_plain && COUNTS.iter().all(fits) && WORDS.iter().all(knows_words)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.release;
        write!(f, "{major}.{minor}{}", if self.field_expiry { "+field-expiry" } else { "" })
    }
}

/// Whether this may be a hexadecimal double, or the bound of a range that is one.
fn is_hexadecimal(arg: &[u8]) -> bool {
    let digits = arg.iter().position(|byte| !matches!(byte, b'(' | b'+' | b'-'));
    matches!(digits.and_then(|at| arg.get(at..at + 2)), Some([b'0', b'x' | b'X']))
}

/// The first two numbers of a text such as `2.8.9`.
fn release_of(since: &str) -> Release {
    let mut numbers = since.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Where the options of a command end behind which anything may follow.
fn options_end(name: &str, argv: Argv<'_>) -> usize {
    let is_id = |arg: &[u8]| arg.contains(&b'-') && arg.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    let is_score = |arg: &[u8]| crate::base::numbers::parse_f64(arg).is_some();
    let end = match name {
        "xadd" => (2..argv.len()).find(|&at| is_id(argv.at(at)) && !argv.at(at - 1).eq_ignore_ascii_case(b"MINID")),
        "zadd" => (2..argv.len()).find(|&at| is_score(argv.at(at))),
        _ => None,
    };
    end.unwrap_or(argv.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::OwnedArgv;

    #[test]
    fn dialects_are_ordered_and_named() {
        let versions = [6, 7, 8, 9, 10, 11, 12];
        for pair in versions.windows(2) {
            assert!(Dialect::of_rdb_version(pair[0]) < Dialect::of_rdb_version(pair[1]), "{pair:?}");
        }
        for version in versions {
            let dialect = Dialect::of_rdb_version(version);
            assert_eq!(Dialect::parse(&dialect.to_string()), Some(dialect));
            assert!(dialect.rdb_version() <= version.clamp(6, 10));
        }
        assert_eq!(Dialect::of_rdb_version(80), Dialect::FULL);
        assert_eq!(Dialect::FULL.to_string(), "7.2+field-expiry");
        assert_eq!(Dialect::parse("7.4"), None);
    }

    /// The RDB version from which on a command is understood; 0: by none.
    fn first(name: &str, since: &str, line: &str) -> u16 {
        let argv = OwnedArgv::new(line.split(' ').map(str::as_bytes));
        let understood = |version: &u16| Dialect::of_rdb_version(*version).understands(name, since, argv.argv());
        let from = [6, 7, 8, 9, 10, 11, 12].into_iter().find(understood);
        assert!((from.unwrap_or(99)..=12).all(|version| understood(&version)), "{line}");
        from.unwrap_or(0)
    }

    #[test]
    fn commands_and_their_options_are_known_since_they_came() {
        for (line, since, version) in [
            ("set k v", "1.0.0", 6),
            ("set k v nx", "1.0.0", 7),
            ("set k v KEEPTTL", "1.0.0", 10),
            ("set k v PXAT 5", "1.0.0", 10),
            ("set k v IFEQ w", "1.0.0", 0),
            ("set k IFEQ", "1.0.0", 6),
            ("unlink k", "4.0.0", 8),
            ("xadd k 1-1 LIMIT ACKED", "5.0.0", 9),
            ("xadd k MAXLEN = 5 1-1 f v", "5.0.0", 9),
            ("xadd k MINID = 5-1 1-1 f v", "5.0.0", 10),
            ("xadd k MINID = 5-1 LIMIT 0 1-1 f v", "5.0.0", 10),
            ("xadd k DELREF MAXLEN = 5 1-1 f v", "5.0.0", 0),
            ("zadd k 1 GT 2 LT", "1.2.0", 6),
            ("zadd k XX 1 GT", "1.2.0", 7),
            ("zadd k GT CH 1 a", "1.2.0", 10),
            ("zadd k -0x1p3 a", "1.2.0", 0),
            ("zincrby k 0X2 a", "1.2.0", 0),
            ("zremrangebyscore k (0x1 5", "1.2.0", 0),
            ("zremrangebyscore k (1 +inf", "1.2.0", 6),
            ("sort k STORE l", "1.0.0", 0),
            ("lpop k", "1.0.0", 6),
            ("lpop k 3", "1.0.0", 10),
            ("pexpireat k 5", "2.6.0", 6),
            ("pexpireat k 5 GT", "2.6.0", 10),
            ("bitop AND k a b", "2.6.0", 6),
            ("bitop DIFF k a b", "2.6.0", 0),
            ("restore k 0 payload", "2.6.0", 0),
            ("hpexpireat k 5 FIELDS 1 f", "7.4.0", 12),
            ("hsetex k FIELDS 1 f v", "8.0.0", 0),
            ("flushall", "1.0.0", 6),
            ("flushall ASYNC", "1.0.0", 8),
            ("flushall SYNC", "1.0.0", 10),
            ("spublish c m", "7.0.0", 10),
            ("copy a b", "6.2.0", 10),
        ] {
            let name = line.split(' ').next().unwrap_or_default();
            assert_eq!(first(name, since, line), version, "{line}");
        }
        assert_eq!(first("xgroup|setid", "5.0.0", "xgroup SETID k g 1-1"), 9);
        assert_eq!(first("xgroup|setid", "5.0.0", "xgroup SETID k g 1-1 ENTRIESREAD 3"), 10);
        assert_eq!(first("function|restore", "7.0.0", "function RESTORE x"), 0);
    }
}
