//! COMMAND DOCS: what a command's arguments look like, what it costs, and what took its place.
//!
//! It all stands in `command_docs.txt`, one line a command, which is read when somebody asks and takes no memory before:
//!
//! ```text
//! name;cost;[since when deprecated, and what to use][+flag of the documentation];arguments
//!
//! argument   name ~type @n =TOKEN or !TOKEN #since ^deprecated ? * + {alternatives} or (parts), without spaces between
//! ~type      key, int, double, pattern, time; without it a string
//! @n         the number of the key specification that finds it
//! =TOKEN     a word that stands before it; !TOKEN: it is nothing but that word. In single quotes where it has signs
//! ?          may be left out          *  may come several times          +  with its token each time
//! ```

use crate::resp::reply::Reply;
use crate::server::table::{Command, CommandTable};

const DOCS: &str = include_str!("command_docs.txt");

/// An argument.
#[derive(Debug, Default, PartialEq)]
struct Argument<'a> {
    name: &'a str,
    kind: &'a str,
    key_spec: Option<i64>,
    token: Option<&'a str>,
    since: Option<&'a str>,
    deprecated_since: Option<&'a str>,
    flags: Vec<&'static str>,
    parts: Vec<Argument<'a>>,
}

/// The fields of a command's line behind its name.
fn line_of(name: &str) -> Option<[&'static str; 3]> {
    let line = DOCS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(';'))?;
    let mut fields = line.splitn(3, ';');
    Some([fields.next()?, fields.next()?, fields.next()?])
}

/// What is not read yet of a line's arguments.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes a sign away, if it is the next.
    fn takes(&mut self, sign: char) -> bool {
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes what stands before one of the signs that end a word.
    fn word(&mut self) -> &'a str {
        if self.takes('\'') {
            let (word, rest) = self.0.split_once('\'').unwrap_or((self.0, ""));
            self.0 = rest;
            return word;
        }
        let end = self.0.find(|sign| "~@=!#^?*+{}() ".contains(sign)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// The arguments up to the sign that closes them.
    fn arguments(&mut self) -> Vec<Argument<'a>> {
        let mut all = Vec::new();
        while !self.0.is_empty() && !self.takes('}') && !self.takes(')') {
            if !self.takes(' ') {
                all.push(self.argument());
            }
        }
        all
    }

    fn argument(&mut self) -> Argument<'a> {
        let mut argument = Argument { name: self.word(), kind: "string", ..Argument::default() };
        loop {
            match () {
                () if self.takes('~') => {
                    argument.kind = match self.word() {
                        "int" => "integer",
                        "time" => "unix-time",
                        word => word,
                    }
                }
                () if self.takes('@') => argument.key_spec = self.word().parse().ok(),
                () if self.takes('=') => argument.token = Some(self.word()),
                () if self.takes('!') => {
                    argument.kind = "pure-token";
                    argument.token = Some(self.word());
                }
                () if self.takes('#') => argument.since = Some(self.word()),
                () if self.takes('^') => argument.deprecated_since = Some(self.word()),
                () if self.takes('?') => argument.flags.push("optional"),
                () if self.takes('*') => argument.flags.push("multiple"),
                () if self.takes('+') => argument.flags.push("multiple_token"),
                () if self.takes('{') => {
                    argument.kind = "oneof";
                    argument.parts = self.arguments();
                }
                () if self.takes('(') => {
                    argument.kind = "block";
                    argument.parts = self.arguments();
                }
                () => return argument,
            }
        }
    }
}

fn pair(reply: &mut Reply, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn words(reply: &mut Reply, name: &str, words: &[&str]) {
    reply.bulk(name.as_bytes());
    reply.set(words.len());
    words.iter().for_each(|word| reply.status(word));
}

fn describe_all(reply: &mut Reply, arguments: &[Argument<'_>]) {
    reply.bulk(b"arguments");
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| describe(reply, argument));
}

fn describe(reply: &mut Reply, argument: &Argument<'_>) {
    // What a group of arguments is called is shown to nobody.
    let display_text = argument.parts.is_empty().then_some(argument.name);
    let place = reply.defer();
    let mut pairs = 2;
    pair(reply, "name", argument.name);
    pair(reply, "type", argument.kind);
    if let Some(text) = display_text {
        pairs += 1;
        pair(reply, "display_text", text);
    }
    if let Some(number) = argument.key_spec {
        pairs += 1;
        reply.bulk(b"key_spec_index");
        reply.int(number);
    }
    let texts = [("token", argument.token), ("since", argument.since), ("deprecated_since", argument.deprecated_since)];
    for (name, text) in texts {
        pairs += usize::from(text.is_some());
        text.into_iter().for_each(|text| pair(reply, name, text));
    }
    if !argument.flags.is_empty() {
        pairs += 1;
        words(reply, "flags", &argument.flags);
    }
    if !argument.parts.is_empty() {
        pairs += 1;
        describe_all(reply, &argument.parts);
    }
    reply.fill_map(place, pairs);
}

/// Writes a command's name and its documentation, subcommands included.
pub fn document(reply: &mut Reply, table: &CommandTable, command: &Command) {
    let [cost, notes, arguments] = line_of(&command.name).unwrap_or_default();
    let (deprecation, flag) = notes.split_once('+').unwrap_or((notes, ""));
    let deprecation = deprecation.split_once(' ');
    let mut flags = Vec::new();
    flags.extend(deprecation.map(|_| "deprecated"));
    flags.extend((!flag.is_empty()).then_some(flag));
    reply.bulk(command.name.as_bytes());
    let place = reply.defer();
    let mut pairs = 3;
    pair(reply, "summary", command.summary);
    pair(reply, "since", command.since);
    pair(reply, "group", command.group);
    if !cost.is_empty() {
        pairs += 1;
        pair(reply, "complexity", cost);
    }
    if !flags.is_empty() {
        pairs += 1;
        words(reply, "doc_flags", &flags);
    }
    if let Some((since, instead)) = deprecation {
        pairs += 2;
        pair(reply, "deprecated_since", since);
        pair(reply, "replaced_by", instead.trim_end());
    }
    let arguments = Rest(arguments).arguments();
    if !arguments.is_empty() {
        pairs += 1;
        describe_all(reply, &arguments);
    }
    if !command.subcommands.is_empty() {
        pairs += 1;
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        command.subcommands.iter().for_each(|&sub| document(reply, table, &table.commands[sub]));
    }
    reply.fill_map(place, pairs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_says() {
        let read = Rest("key~key@0 by#6.2.0?*{off!OFF n~int='='} pair=GET^7.0.0*+(a b~double)").arguments();
        let plain = |name| Argument { name, kind: "string", ..Argument::default() };
        let expected = [
            Argument { kind: "key", key_spec: Some(0), ..plain("key") },
            Argument {
                kind: "oneof",
                since: Some("6.2.0"),
                flags: vec!["optional", "multiple"],
                parts: vec![
                    Argument { kind: "pure-token", token: Some("OFF"), ..plain("off") },
                    Argument { kind: "integer", token: Some("="), ..plain("n") },
                ],
                ..plain("by")
            },
            Argument {
                kind: "block",
                token: Some("GET"),
                deprecated_since: Some("7.0.0"),
                flags: vec!["multiple", "multiple_token"],
                parts: vec![plain("a"), Argument { kind: "double", ..plain("b") }],
                ..plain("pair")
            },
        ];
        assert_eq!(read, expected);
    }

    fn check(command: &Command, arguments: &[Argument<'_>]) {
        for argument in arguments {
            let name = &command.name;
            assert!(!argument.name.is_empty(), "{name}");
            let kinds = ["string", "key", "integer", "double", "pattern", "unix-time", "pure-token", "oneof", "block"];
            assert!(kinds.contains(&argument.kind), "{name}: {argument:?}");
            let spec = argument.key_spec.is_none_or(|number| (number as usize) < command.keys.len());
            assert!(spec, "{name}: {argument:?}");
            check(command, &argument.parts);
        }
    }

    #[test]
    fn every_command_has_its_line_and_every_line_is_sound() {
        let table = CommandTable::new();
        for command in &table.commands {
            let Some([_, _, arguments]) = line_of(&command.name) else { panic!("{} has no line", command.name) };
            let arguments = Rest(arguments).arguments();
            check(command, &arguments);
            let takes_more = command.arity.unsigned_abs() as usize > 1 + usize::from(command.is_subcommand);
            // What the arguments of DEBUG are, its HELP says.
            let is_container = !command.subcommands.is_empty() || command.name == "debug";
            assert!(is_container || !takes_more || !arguments.is_empty(), "{} takes arguments", command.name);
        }
        let mut names: Vec<&str> = DOCS.lines().filter_map(|line| Some(line.split_once(';')?.0)).collect();
        let count = names.len();
        names.dedup();
        assert_eq!((names.len(), DOCS.lines().count()), (count, count));
    }
}
