//! What a bridge says in place of a command that its replicas do not understand.
//!
//! Whatever a command does, it can be told by what its keys hold afterwards: `DEL key`, or `RESTORE key …` with a payload in a
//! version that all can read, and the times of fields one by one. That is always right and may be big, so for the frequent
//! commands there are other words, made of the arguments and of what is there now. Commands that belong together are told by
//! state altogether, lest anything be done twice.
//!
//! Ancestor: none.

use crate::commands::command::key;
use crate::commands::ctx::is_option;
use crate::commands::keys_of::{Described, each_key};
use crate::commands::stream::ids::parse_id;
use crate::keyspace::Keyspace;
use crate::persist::rdb::{Target, dump_payload_for};
use crate::replication::dialect::Dialect;
use crate::resp::reply::encode_command;
use crate::resp::request::{Argv, OwnedArgv};
use crate::scripting::Functions;
use crate::types::{Fading, ValueRef};
use std::collections::BTreeMap;

use super::table::CommandTable;

/// So many fields are named by one command.
const FIELDS_AT_ONCE: usize = 512;

/// What is said in place of commands.
#[derive(Debug, Default)]
pub struct Sentence {
    /// Commands, encoded, and how many they are, for each database they belong to.
    pub parts: Vec<(usize, Vec<u8>, usize)>,
    /// The first thing that cannot be said.
    pub lost: Option<String>,
}

/// What became of commands.
#[derive(Debug)]
pub enum Spoken {
    /// They are understood as they are.
    Verbatim,
    /// Others are said.
    Otherwise(Sentence),
}

/// What a translation needs to know.
pub struct Translator<'a> {
    /// Who knows which command.
    pub table: &'a CommandTable,
    /// The data after the commands.
    pub keys: &'a Keyspace,
    /// The libraries after the commands.
    pub functions: &'a Functions,
    /// What is understood.
    pub dialect: Dialect,
    /// Whether payloads are compressed.
    pub compress: bool,
}

/// The arguments of encoded commands; what is no command ends them.
pub fn commands_of(mut bytes: &[u8]) -> Vec<OwnedArgv> {
    fn number(bytes: &mut &[u8], mark: u8) -> Option<usize> {
        let end = memchr::memchr(b'\n', bytes)?;
        let line = bytes[..end].strip_prefix(&[mark])?.strip_suffix(b"\r")?;
        *bytes = &bytes[end + 1..];
        crate::base::numbers::parse_u64(line).map(|number| number as usize)
    }
    let mut commands = Vec::new();
    while let Some(count) = number(&mut bytes, b'*') {
        let mut args = OwnedArgv::new([]);
        for _ in 0..count {
            let Some(len) = number(&mut bytes, b'$').filter(|len| len + 2 <= bytes.len()) else { return commands };
            args.push(&bytes[..len]);
            bytes = &bytes[len + 2..];
        }
        commands.push(args);
    }
    commands
}

/// A command and what the table knows of it.
struct Known<'a> {
    row: Described<'a>,
    argv: Argv<'a>,
    is_understood: bool,
}

impl Translator<'_> {
    /// What to say in place of these commands, which are the effect of one.
    pub fn translate(&self, db: usize, bytes: &[u8]) -> Spoken {
        let commands = commands_of(bytes);
        let known: Vec<Known<'_>> = commands.iter().map(|command| self.known(db, command.argv())).collect();
        if known.iter().all(|command| command.is_understood) {
            return Spoken::Verbatim;
        }
        let mut said = Sentence::default();
        let is_alone = known.len() == 1;
        for command in &known {
            if command.is_understood {
                said.say(db, &command.argv.iter().collect::<Vec<_>>());
            } else if !(is_alone || is_stateless(command.row.name)) || !self.special(db, command, &mut said) {
                said = Sentence::default();
                known.iter().for_each(|command| self.state_effects(db, command, &mut said));
                return Spoken::Otherwise(said);
            }
        }
        Spoken::Otherwise(said)
    }

    fn known<'a>(&'a self, db: usize, argv: Argv<'a>) -> Known<'a> {
        // Effects go by their own names, be they called otherwise here or not at all.
        let Some(index) = self.table.lookup(argv).or_else(|| self.table.by_own_name(argv.at(0))) else {
            let row = Described { name: "", flags: 0, keys: &[] };
            return Known { row, argv, is_understood: true };
        };
        let command = &self.table.commands[index];
        let row = Described { name: &command.name, flags: command.flags, keys: command.keys };
        let is_understood = self.dialect.understands(&command.name, command.since, argv)
            && (row.name != "xclaim" || self.gone_entries(db, argv).is_empty());
        Known { row, argv, is_understood }
    }

    /// The state of all keys that a command writes.
    fn state_effects(&self, db: usize, command: &Known<'_>, said: &mut Sentence) {
        let (argv, name) = (command.argv, command.row.name);
        let mut places = Vec::new();
        let found = each_key(command.row, argv, |place, flags| {
            if flags & (key::RW | key::OW | key::RM) != 0 {
                places.push(place);
            }
        });
        if found.is_err() || places.is_empty() {
            return said.lose(format!("{} {}", name.to_ascii_uppercase(), argv.at(1).escape_ascii()));
        }
        let target = if name == "copy" { copied_to(argv).unwrap_or(db) } else { db };
        places.into_iter().for_each(|place| self.state_of(target, argv.at(place), said));
    }

    /// What a key holds.
    fn state_of(&self, db: usize, key: &[u8], said: &mut Sentence) {
        let Some(entry) = self.keys.db(db).get(key) else { return said.say(db, &[b"DEL", key]) };
        let value = entry.value();
        let target = Target::of_version(self.dialect.rdb_version());
        if !target.holds(value) {
            said.say(db, &[b"DEL", key]);
            return said.lose(format!("the value of key '{}' in db {db}", key.escape_ascii()));
        }
        let payload = dump_payload_for(value, self.compress, target);
        let absolute = self.dialect.knows((5, 0));
        let ttl = match entry.expire_ms() {
            None => 0,
            Some(moment) if absolute => moment,
            Some(moment) => (moment - self.keys.now).max(1),
        };
        let ttl = ttl.to_string();
        let mut words = vec![b"RESTORE".as_slice(), key, ttl.as_bytes(), &payload];
        match self.dialect.knows((3, 0)) {
            true => words.push(b"REPLACE"),
            false => said.say(db, &[b"DEL", key]),
        }
        if absolute && entry.expire_ms().is_some() {
            words.push(b"ABSTTL");
        }
        said.say(db, &words);
        if let ValueRef::Fading(fading) = value {
            let fields: Vec<Vec<u8>> =
                fading.iter().map(|(field, _, _)| field.as_bytes(&mut [0; 20]).to_vec()).collect();
            self.times_of(db, key, fading, &fields, said);
        }
    }

    /// When these fields of a hash expire that never did in what was said before.
    fn times_of(&self, db: usize, key: &[u8], fading: &Fading, fields: &[Vec<u8>], said: &mut Sentence) {
        let mut by_time: BTreeMap<i64, Vec<&[u8]>> = BTreeMap::new();
        for field in fields {
            if let Some(moment) = fading.time_of_any(field) {
                by_time.entry(moment).or_default().push(field);
            }
        }
        if !by_time.is_empty() && !self.dialect.field_expiry {
            return said.lose(expiry_of_fields(db, key));
        }
        for (moment, fields) in by_time {
            let moment = moment.to_string();
            for fields in fields.chunks(FIELDS_AT_ONCE) {
                let count = fields.len().to_string();
                let mut words = vec![b"HPEXPIREAT".as_slice(), key, moment.as_bytes(), b"FIELDS", count.as_bytes()];
                words.extend_from_slice(fields);
                said.say(db, &words);
            }
        }
    }

    /// Other words for a command, if there are any.
    fn special(&self, db: usize, command: &Known<'_>, said: &mut Sentence) -> bool {
        let (argv, name) = (command.argv, command.row.name);
        let words: Vec<&[u8]> = argv.iter().collect();
        match name {
            "set" => self.string(db, argv.at(1), argv.at(2), said),
            "msetex" => {
                let count = crate::base::numbers::parse_u64(argv.at(1)).unwrap_or(0) as usize;
                let at = |n: usize| (argv.get(2 + 2 * n), argv.get(3 + 2 * n));
                let pairs = (0..count).map_while(|n| at(n).0.zip(at(n).1));
                pairs.for_each(|(key, value)| self.string(db, key, value, said));
            }
            "hsetex" => return self.hash_fields(db, argv, said),
            "hpexpireat" => said.lose(expiry_of_fields(db, argv.at(1))),
            "hpersist" | "spublish" => {}
            "expireat" | "pexpireat" => said.say(db, &words[..3]),
            "lpop" | "rpop" => self.popped(db, argv, name == "lpop", said),
            "lmove" => return self.moved(db, argv, said),
            "zadd" => return self.scores(db, argv, said),
            "hset" => said.say(db, &[&[b"HMSET".as_slice()], &words[1..]].concat()),
            "unlink" => said.say(db, &[&[b"DEL".as_slice()], &words[1..]].concat()),
            "flushall" | "flushdb" => said.say(db, &words[..1]),
            "xgroup|create" | "xgroup|setid" if self.dialect.knows((5, 0)) => {
                let end = words.iter().position(|word| is_option(word, "ENTRIESREAD")).unwrap_or(words.len());
                said.say(db, &words[..end]);
            }
            "xsetid" if self.dialect.knows((5, 0)) => said.say(db, &words[..3]),
            "xclaim" if self.dialect.knows((5, 0)) => {
                said.say(db, &words);
                said.say(
                    db,
                    &[&[b"XACK".as_slice(), argv.at(1), argv.at(2)], &self.gone_entries(db, argv)[..]].concat(),
                );
            }
            "function|restore" if self.dialect.knows((7, 0)) => {
                said.say(db, &[b"FUNCTION", b"FLUSH"]);
                for library in self.functions.libraries() {
                    said.say(db, &[b"FUNCTION", b"LOAD", b"REPLACE", &library.code]);
                }
            }
            "function|load" | "function|restore" => said.lose("a library of functions".into()),
            "function|delete" | "function|flush" => {}
            _ => return false,
        }
        true
    }

    /// Entries that are claimed and pending no more, for they are deleted: before 7.0 they would stay.
    fn gone_entries<'a>(&self, db: usize, argv: Argv<'a>) -> Vec<&'a [u8]> {
        let value = self.keys.db(db).get(argv.at(1)).map(|entry| entry.value());
        let Some(ValueRef::Stream(stream)) = value.filter(|_| !self.dialect.knows((7, 0))) else { return Vec::new() };
        let Some(group) = stream.group(argv.at(2)) else { return Vec::new() };
        let ids = argv.from(argv.len().min(5)).iter().map_while(|arg| Some((arg, parse_id(arg, 0).ok()?)));
        ids.filter(|(_, id)| group.nack(*id).is_none()).map(|(arg, _)| arg).collect()
    }

    /// A string that was set, and when it expires.
    fn string(&self, db: usize, key: &[u8], value: &[u8], said: &mut Sentence) {
        said.say(db, &[b"SET", key, value]);
        if let Some(moment) = self.keys.db(db).get(key).and_then(|entry| entry.expire_ms()) {
            said.say(db, &[b"PEXPIREAT", key, moment.to_string().as_bytes()]);
        }
    }

    /// The fields that HSETEX has set, and when they expire.
    fn hash_fields(&self, db: usize, argv: Argv<'_>, said: &mut Sentence) -> bool {
        let Some(at) = argv.iter().position(|word| is_option(word, "FIELDS")) else { return false };
        let count = argv.get(at + 1).and_then(crate::base::numbers::parse_u64).unwrap_or(0) as usize;
        let pairs: Vec<&[u8]> = argv.from(argv.len().min(at + 2)).iter().take(2 * count).collect();
        let Some(entry) = self.keys.db(db).get(argv.at(1)) else { return false };
        let verb: &[u8] = if pairs.len() <= 2 || self.dialect.knows((4, 0)) { b"HSET" } else { b"HMSET" };
        said.say(db, &[&[verb, argv.at(1)], &pairs[..]].concat());
        if let ValueRef::Fading(fading) = entry.value() {
            let fields: Vec<Vec<u8>> = pairs.iter().step_by(2).map(|field| field.to_vec()).collect();
            self.times_of(db, argv.at(1), fading, &fields, said);
        }
        true
    }

    /// A list of whose one end so many elements were taken.
    fn popped(&self, db: usize, argv: Argv<'_>, from_left: bool, said: &mut Sentence) {
        let (key, count) = (argv.at(1), crate::base::numbers::parse_i64(argv.at(2)).unwrap_or(0));
        if self.keys.db(db).get(key).is_none() {
            return said.say(db, &[b"DEL", key]);
        }
        let (first, last) = if from_left { (count, -1) } else { (0, -1 - count) };
        said.say(db, &[b"LTRIM", key, first.to_string().as_bytes(), last.to_string().as_bytes()]);
    }

    /// An element that went from one list to another: it is at the end of that now.
    fn moved(&self, db: usize, argv: Argv<'_>, said: &mut Sentence) -> bool {
        let (from_left, to_left) = (is_option(argv.at(3), "LEFT"), is_option(argv.at(4), "LEFT"));
        let Some(ValueRef::List(list)) = self.keys.db(db).get(argv.at(2)).map(|entry| entry.value()) else {
            return false;
        };
        let Some(element) = list.get(if to_left { 0 } else { list.len() - 1 }) else { return false };
        said.say(db, &[if from_left { b"LPOP" } else { b"RPOP" }, argv.at(1)]);
        said.say(db, &[if to_left { b"LPUSH" } else { b"RPUSH" }, argv.at(2), element.as_bytes(&mut [0; 20])]);
        true
    }

    /// The scores that the members of a ZADD have now.
    fn scores(&self, db: usize, argv: Argv<'_>, said: &mut Sentence) -> bool {
        let Some(ValueRef::ZSet(zset)) = self.keys.db(db).get(argv.at(1)).map(|entry| entry.value()) else {
            return false;
        };
        let Some(first) = (2..argv.len()).find(|&at| crate::base::numbers::parse_f64(argv.at(at)).is_some()) else {
            return false;
        };
        let mut pairs = Vec::new();
        for member in argv.from(first + 1).iter().step_by(2) {
            if let Some(score) = zset.score(member) {
                let mut text = Vec::new();
                crate::base::numbers::format_f64(score, &mut text);
                pairs.push((text, member));
            }
        }
        let words: Vec<&[u8]> = pairs.iter().flat_map(|(score, member)| [&score[..], member]).collect();
        if !words.is_empty() {
            said.say(db, &[&[b"ZADD".as_slice(), argv.at(1)], &words[..]].concat());
        }
        true
    }
}

impl Sentence {
    fn say(&mut self, db: usize, words: &[&[u8]]) {
        if self.parts.last().is_none_or(|part| part.0 != db) {
            self.parts.push((db, Vec::new(), 0));
        }
        if let Some((_, bytes, count)) = self.parts.last_mut() {
            encode_command(bytes, words.iter().copied());
            *count += 1;
        }
    }

    fn lose(&mut self, what: String) {
        self.lost.get_or_insert(what);
    }
}

/// Whether the other words for a command do no harm among others: they tell how things are, or are made of its arguments.
fn is_stateless(name: &str) -> bool {
    matches!(
        name,
        "xgroup|create" | "xgroup|setid" | "xsetid" | "xclaim" | "expireat" | "pexpireat" | "hset" | "unlink"
    )
}

fn expiry_of_fields(db: usize, key: &[u8]) -> String {
    format!("when fields of key '{}' in db {db} expire", key.escape_ascii())
}

/// The database that COPY names.
fn copied_to(argv: Argv<'_>) -> Option<usize> {
    let at = (3..argv.len()).find(|&at| is_option(argv.at(at), "DB"))?;
    crate::base::numbers::parse_u64(argv.get(at + 1)?).map(|db| db as usize)
}

#[cfg(test)]
#[path = "repl_translate_tests.rs"]
mod tests;
