//! Scripts of several connections, played on a server: what each command is answered, and what else reaches anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Client, Value};
use super::server::Server;

/// The connections of a script have numbers above this one.
const FIRST_NUMBER: i64 = 50;

/// Plays a script of lines `CONNECTION COMMAND ...`; a connection is made when its name first comes up. A word may stand
/// in double quotes; `{X}` is the number of connection X. Returns line by line what was answered, and what the other
/// connections were sent meanwhile. Numbers that no two servers share (ports, times) are blotted.
#[track_caller]
pub fn play(server: &Server, script: &str) -> Vec<String> {
    // From here on both servers that a script is played on give the same numbers.
    while server.cmd(&["CLIENT", "ID"]).int() < FIRST_NUMBER {}
    let mut stage = Play { server, clients: BTreeMap::new(), queueing: BTreeSet::new(), barriers: 0 };
    script.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| stage.step(line)).collect()
}

/// Plays a script on two servers and demands the same outcome of every line.
#[track_caller]
pub fn assert_same_play(one: &Server, other: &Server, script: &str) {
    let (left, right) = (play(one, script), play(other, script));
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right, "{:?} and {:?}", one.kind(), other.kind());
    }
}

struct Play<'a> {
    server: &'a Server,
    /// Each with its number.
    clients: BTreeMap<String, (Client, i64)>,
    queueing: BTreeSet<String>,
    barriers: usize,
}

impl Play<'_> {
    fn step(&mut self, line: &str) -> String {
        let mut words = words_of(line);
        let name = words.remove(0);
        if !self.clients.contains_key(&name) {
            let mut client = self.server.client();
            let number = client.good(&["CLIENT", "ID"]).int();
            self.clients.insert(name.clone(), (client, number));
        }
        for word in &mut words {
            for (name, (_, number)) in &self.clients {
                *word = word.replace(&format!("{{{name}}}"), &number.to_string());
            }
        }
        let client = &mut self.clients.get_mut(&name).unwrap().0;
        let sent = client.write_raw(&super::encode(&words));
        let mut reply = sent.and_then(|()| client.read());
        while matches!(&reply, Ok(Value::Simple(text)) if text.contains("barrier-")) {
            reply = client.read();
        }
        let ended = reply.is_err() || words[0].eq_ignore_ascii_case("quit");
        match words[0].to_ascii_lowercase().as_str() {
            "multi" => _ = self.queueing.insert(name.clone()),
            "exec" | "discard" | "reset" | "quit" => _ = self.queueing.remove(&name),
            _ => {}
        }
        let mut told = format!("{line}\n    {name}: {}", reply.map_or("(closed)".into(), |reply| shown(&reply)));
        if ended {
            self.clients.remove(&name);
        }
        // What is sent inside MULTI would become part of the transaction.
        let names: Vec<String> = self.clients.keys().filter(|name| !self.queueing.contains(*name)).cloned().collect();
        for name in names {
            for value in self.gather(&name) {
                told.push_str(&format!("\n    {name}: {}", shown(&value)));
            }
        }
        told
    }

    /// What has reached a connection: all that comes before the answer to a PING of ours.
    fn gather(&mut self, name: &str) -> Vec<Value> {
        self.barriers += 1;
        let word = format!("barrier-{}", self.barriers);
        let client = &mut self.clients.get_mut(name).unwrap().0;
        let mut gathered = Vec::new();
        if client.write_raw(&super::encode(&["PING", &word])).is_err() {
            return gathered;
        }
        let answers = [Value::bulk(&word), Value::Array(vec![Value::bulk("pong"), Value::bulk(&word)])];
        while let Ok(value) = client.read() {
            if answers.contains(&value) {
                return gathered;
            }
            if !matches!(&value, Value::Simple(text) if text.contains("barrier-")) {
                gathered.push(value);
            }
        }
        gathered
    }
}

/// A reply in one line. What HELLO answers is told as such: it names versions.
fn shown(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match value {
        Value::Bulk(bytes) | Value::Verbatim(bytes) => format!("{:?}", blotted(&String::from_utf8_lossy(bytes))),
        Value::Array(items) if items.first() == Some(&Value::bulk("server")) => "(hello)".into(),
        Value::Array(items) => format!("[{}]", all(items)),
        Value::Set(items) => format!("~[{}]", all(items)),
        Value::Push(items) => format!(">[{}]", all(items)),
        Value::Map(pairs) if pairs.first().is_some_and(|(key, _)| *key == Value::bulk("server")) => "(hello)".into(),
        Value::Map(pairs) => {
            let told: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value))).collect();
            format!("%{{{}}}", told.join(", "))
        }
        other => blotted(&format!("{other:?}")),
    }
}

fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (Vec::new(), false);
    for (at, part) in line.split('"').enumerate() {
        quoted = at % 2 == 1;
        match quoted {
            true => words.push(part.to_string()),
            false => words.extend(part.split_whitespace().map(str::to_string)),
        }
    }
    assert!(!quoted, "{line}");
    words
}

/// Long numbers become `#`.
fn blotted(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        out.push_str(if digits.len() >= 5 { "#" } else { &digits });
        digits.clear();
        out.push(letter);
    }
    out.pop();
    out
}
