//! A twin that hears nothing but what is said in a dialect holds the same in the end.

use super::*;
use crate::commands::command::flag;
use crate::commands::digest::{dataset_digest, value_digest};
use crate::commands::testing::Bench;
use crate::types::table::TableEntry;

/// Every command that writes, with options of all times. `$x` is the payload of the key x, `@5` a moment in 5 seconds.
const SAMPLES: &str = include_str!("../../tests/support/samples.txt");

/// What makes fields of hashes expire.
const FADING: &str = include_str!("../../tests/support/fading.txt");

/// One bench that does what is typed, and one that hears what is said.
struct Twins {
    master: Bench,
    twin: Bench,
    table: CommandTable,
    dialect: Dialect,
    lost: Vec<String>,
}

impl Twins {
    fn new(dialect: Dialect) -> Twins {
        let (master, mut twin) = (Bench::of_all(), Bench::of_all());
        twin.session.from_master = true;
        Twins { master, twin, table: CommandTable::new(), dialect, lost: Vec::new() }
    }

    /// What a command was that has just run, as it would travel.
    fn effect(&self, args: &[&[u8]]) -> Vec<u8> {
        if self.master.effects.is_replaced() {
            return self.master.effects.replacement().0.to_vec();
        }
        let mut bytes = Vec::new();
        if self.master.dirty > 0 {
            encode_command(&mut bytes, args.iter().copied());
        }
        bytes
    }

    fn run(&mut self, line: &str) {
        let args: Vec<Vec<u8>> = line.split(' ').map(|word| self.word(word)).collect();
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let reply = self.master.run_bytes(&args);
        assert!(!reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
        let effect = self.effect(&args);
        let functions = Functions::default();
        let translator = Translator {
            table: &self.table,
            keys: &self.master.keys,
            functions: &functions,
            dialect: self.dialect,
            compress: true,
        };
        let mut said = match translator.translate(0, &effect) {
            Spoken::Verbatim => Sentence { parts: vec![(0, effect, 1)], lost: None },
            Spoken::Otherwise(sentence) => sentence,
        };
        self.lost.extend(said.lost.take().map(|what| format!("{line}: {what}")));
        for (db, bytes, count) in said.parts {
            let commands = commands_of(&bytes);
            assert!(commands.len() == count || count == 1, "{line}");
            commands.iter().for_each(|command| self.hear(db, command.argv(), line));
        }
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        match word.split_at_checked(1) {
            Some(("$", key)) if !key.is_empty() => {
                let reply = self.master.run_bytes(&[b"DUMP", key.as_bytes()]);
                let start = reply.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                reply[start..reply.len() - 2].to_vec()
            }
            Some(("@", seconds)) => {
                let seconds: i64 = seconds.parse().expect("seconds");
                (self.master.now + 1000 * seconds).to_string().into_bytes()
            }
            _ => word.as_bytes().to_vec(),
        }
    }

    fn hear(&mut self, db: usize, argv: Argv<'_>, line: &str) {
        let command = &self.table.commands[self.table.lookup(argv).expect("a command")];
        if command.name == "restore" {
            let payload = argv.at(3);
            let version = u16::from_le_bytes([payload[payload.len() - 10], payload[payload.len() - 9]]);
            assert_eq!(version, self.dialect.rdb_version(), "{line}");
            let has_moment = argv.iter().any(|word| is_option(word, "ABSTTL"));
            assert!(!has_moment || self.dialect.knows((5, 0)), "{line}");
        } else {
            let shown: Vec<_> = argv.iter().map(|arg| arg.escape_ascii().to_string()).collect();
            let is_known = self.dialect.understands(&command.name, command.since, argv);
            assert!(is_known, "{line} became {} in {}", shown.join(" "), self.dialect);
        }
        self.twin.session.db = db;
        let reply = self.twin.run_bytes(&argv.iter().collect::<Vec<_>>());
        assert!(!reply.starts_with(b"-"), "{line}: the twin says {}", reply.escape_ascii());
    }

    /// Both hold the same, times included; in old dialects there is nothing but strings for some.
    fn compare(&self, line: &str) {
        for (db, (ours, theirs)) in self.master.keys.dbs().iter().zip(self.twin.keys.dbs()).enumerate() {
            assert_eq!(ours.len(), theirs.len(), "{line} in {}: keys of db {db}", self.dialect);
            for entry in ours.iter() {
                let key = entry.key().escape_ascii();
                let other = theirs.get(entry.key()).unwrap_or_else(|| panic!("{line} in {}: no {key}", self.dialect));
                assert_eq!(value_digest(entry), value_digest(other), "{line} in {}: {key}", self.dialect);
                if let (ValueRef::Fading(ours), ValueRef::Fading(theirs)) = (entry.value(), other.value()) {
                    let times = |fading: &Fading| {
                        pairs(
                            fading
                                .iter()
                                .filter_map(|(field, _, time)| Some((field, crate::types::Element::Int(time?)))),
                        )
                    };
                    assert_eq!(times(ours), times(theirs), "{line}: {key}");
                }
                let times = (entry.expire_ms().unwrap_or(0), other.expire_ms().unwrap_or(0));
                assert!((times.0 - times.1).abs() < 2, "{line} in {}: {key} expires {times:?}", self.dialect);
            }
        }
        assert_eq!(dataset_digest(&self.master.keys), dataset_digest(&self.twin.keys));
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['|', '\n']).filter(|line| !line.is_empty())
}

#[test]
fn every_dialect_says_all_that_it_can_and_a_twin_that_hears_it_holds_the_same() {
    for version in [12, 11, 10, 9] {
        let mut twins = Twins::new(Dialect::of_rdb_version(version));
        for line in lines(SAMPLES) {
            twins.run(line);
            twins.compare(line);
        }
        assert_eq!(twins.lost, [""; 0], "{version}");
    }
    for version in [8, 7, 6] {
        let mut twins = Twins::new(Dialect::of_rdb_version(version));
        let has_streams = |line: &&str| line.starts_with('X') || (version < 8 && line.starts_with("SWAPDB"));
        for line in lines(SAMPLES).filter(|line| !has_streams(line)) {
            twins.run(line);
            twins.compare(line);
        }
        assert_eq!(twins.lost, [""; 0], "{version}");
        twins.run("XADD e1 1-1 f v");
        assert_eq!(twins.lost, ["XADD e1 1-1 f v: the value of key 'e1' in db 0"]);
    }
}

#[test]
fn the_times_of_fields_are_said_to_who_knows_them() {
    let mut twins = Twins::new(Dialect::FULL);
    for line in lines(FADING) {
        twins.run(line);
        twins.compare(line);
    }
    assert_eq!(twins.lost, [""; 0]);
    let mut twins = Twins::new(Dialect::of_rdb_version(11));
    for line in lines(FADING) {
        twins.run(line);
        let (ours, theirs) = (twins.master.keys.db(0), twins.twin.keys.db(0));
        assert_eq!(ours.len(), theirs.len(), "{line}");
        for entry in ours.iter() {
            let fields = |keys: &Keyspace| match keys.db(0).get(entry.key()).map(|entry| entry.value()) {
                Some(ValueRef::Hash(hash)) => pairs(hash.iter()),
                Some(ValueRef::Fading(fading)) => pairs(fading.iter().map(|(field, value, _)| (field, value))),
                _ => panic!("{line}: no hash"),
            };
            assert_eq!(fields(&twins.master.keys), fields(&twins.twin.keys), "{line}");
        }
    }
    let told = |word: &str| twins.lost.iter().any(|line| line.starts_with(word));
    assert!(told("HEXPIRE") && told("HSETEX f1 EX") && told("RESTORE"), "{:?}", twins.lost);
    assert!(!told("HDEL") && !told("HPERSIST") && !told("HSETEX f1 FIELDS"), "{:?}", twins.lost);
}

fn pairs<'a>(
    all: impl Iterator<Item = (crate::types::Element<'a>, crate::types::Element<'a>)>,
) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let bytes = |element: crate::types::Element<'_>| element.as_bytes(&mut [0; 20]).to_vec();
    all.map(|(field, value)| (bytes(field), bytes(value))).collect()
}

#[test]
fn the_samples_have_every_command_that_writes() {
    let table = CommandTable::new();
    let names: Vec<String> = lines(SAMPLES)
        .chain(lines(FADING))
        .filter_map(|line| {
            let args = OwnedArgv::new(line.split(' ').map(str::as_bytes));
            Some(table.commands[table.lookup(args.argv())?].name.clone())
        })
        .collect();
    // The last ones travel as DEL, or are tried beside real servers.
    let others = ["migrate", "function|delete", "function|flush", "function|load", "function|restore"];
    let writes = table.commands.iter().filter(|command| command.flags & flag::WRITE != 0);
    let missing: Vec<&str> =
        writes.map(|command| command.name.as_str()).filter(|name| !others.contains(name)).collect();
    let missing: Vec<_> = missing.into_iter().filter(|name| !names.iter().any(|known| known == name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn commands_are_found_in_bytes_and_what_is_none_ends_them() {
    let mut bytes = Vec::new();
    encode_command(&mut bytes, [b"SET".as_slice(), b"a\r\n*", b""].into_iter());
    encode_command(&mut bytes, [b"PING".as_slice()].into_iter());
    let whole = commands_of(&bytes);
    assert_eq!(whole.len(), 2);
    assert_eq!(whole[0].argv().iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"a\r\n*", b""]);
    for end in 0..bytes.len() {
        assert!(commands_of(&bytes[..end]).len() < 2);
    }
}
