//! COMMAND DOCS beside stock: how the arguments of each command are put together, which is what redis-cli's hints are
//! made of.

mod support;

use std::collections::BTreeMap;
use support::{Kind, Server, Value};

type Documents = BTreeMap<String, BTreeMap<String, Value>>;

/// What 7.2 documents otherwise than 7.0.
const NEWER: [&str; 5] = ["client|pause", "command|getkeys", "command|getkeysandflags", "zrank", "zrevrank"];
/// Prose, in our own words, and what 7.0 does not tell.
const OWN_WORDS: [&str; 6] = ["summary", "complexity", "history", "replaced_by", "display_text", "subcommands"];

fn pairs(value: &Value) -> Vec<(String, Value)> {
    value.items().chunks(2).map(|pair| (pair[0].text(), pair[1].clone())).collect()
}

/// A map as its pairs by name, what need not be the same left out, and in the arguments, too.
fn essence(value: &Value) -> BTreeMap<String, Value> {
    let told = pairs(value).into_iter().filter(|(name, _)| !OWN_WORDS.contains(&name.as_str()));
    let essential = told.map(|(name, value)| match name.as_str() {
        "arguments" => {
            let shown = value.items().iter().map(|argument| Value::Simple(format!("{:?}", essence(argument))));
            (name, Value::Array(shown.collect()))
        }
        _ => (name, value),
    });
    essential.collect()
}

fn collect(value: &Value, into: &mut Documents) {
    for (name, document) in pairs(value) {
        let subcommands = pairs(&document).into_iter().find(|(field, _)| field == "subcommands");
        if let Some((_, subcommands)) = subcommands {
            collect(&subcommands, into);
        }
        into.insert(name, essence(&document));
    }
}

#[test]
fn arguments_are_documented_as_stock_documents_them() {
    let documents = |kind: Kind| {
        let mut all = Documents::new();
        collect(&Server::start(kind, &[]).cmd(&["COMMAND", "DOCS"]), &mut all);
        all
    };
    let (stock, ours) = (documents(Kind::Stock), documents(Kind::Ours));
    let mut compared = 0;
    for (name, document) in stock.iter().filter(|(name, _)| !NEWER.contains(&name.as_str())) {
        if let Some(mine) = ours.get(name) {
            assert_eq!(mine, document, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn documents_are_told_of_the_commands_that_are_asked_for() {
    let ours = Server::start(Kind::Ours, &[]);
    let mut client = ours.client();
    client.good(&["HELLO", "3"]);
    let Value::Map(told) = client.good(&["COMMAND", "DOCS", "get", "nosuch", "config|get"]) else { panic!("no map") };
    assert_eq!(told.iter().map(|(name, _)| name.text()).collect::<Vec<_>>(), ["get", "config|get"]);
    let Value::Map(document) = &told[0].1 else { panic!("no map") };
    let arguments = document.iter().find(|(name, _)| name.text() == "arguments").unwrap();
    let Value::Map(key) = &arguments.1.items()[0] else { panic!("no map") };
    let key: Vec<(String, String)> = key.iter().map(|(name, value)| (name.text(), format!("{value:?}"))).collect();
    assert_eq!(key[3], ("key_spec_index".into(), "Int(0)".into()));
    assert_eq!(key.len(), 4, "{key:?}");
}
