//! COMMAND: what this server can do, told from the rows of the command table (= the COMMAND part of server.c).

use super::command_docs::document;
use super::command_tips::tips;
use crate::base::glob;
use crate::commands::command::{Begin, Find, KeySpec, Row, category, flag, key};
use crate::commands::ctx::is_option;
use crate::commands::keys_of::{Described, each_key, takes_keys};
use crate::commands::{CommandError, error};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::table::{Command, CommandTable, HouseFn};
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const fn sub(name: &'static str, arity: i32, since: &'static str, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row {
        name,
        arity,
        flags: flag::LOADING | flag::STALE,
        categories: category::CONNECTION,
        keys: &[],
        group: "server",
        since,
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "command",
    arity: -1,
    flags: flag::LOADING | flag::STALE,
    categories: category::CONNECTION,
    keys: &[],
    group: "server",
    since: "2.8.13",
    summary: "Describes all commands",
    run: Some(info),
    subcommands: &[
        sub("count", 2, "2.8.13", "Counts the commands", count),
        sub("docs", -2, "7.0.0", "Documents commands", docs),
        sub("getkeys", -3, "2.8.13", "Tells the keys among the arguments of a command", getkeys),
        sub("getkeysandflags", -3, "7.0.0", "Tells the keys of a command and what it does with them", getkeysandflags),
        sub("help", 2, "5.0.0", "Lists the subcommands", help),
        sub("info", -2, "2.8.13", "Describes commands", info),
        sub("list", -2, "7.0.0", "Lists the names of commands", list),
    ],
}];

const HELP: [&str; 17] = [
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands of this server.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    List the names of commands.",
    "INFO [<command-name> ...]",
    "    Describe these commands, or all.",
    "DOCS [<command-name> ...]",
    "    Document these commands, or all.",
    "GETKEYS <full-command>",
    "    Tell the keys of a command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Tell the keys of a command and what it does with them.",
    "HELP",
    "    Show this text.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if let Some(reply) = server.reply(id) {
        reply.array(HELP.len());
        HELP.iter().for_each(|line| reply.status(line));
    }
    Ok(())
}

/// All commands that are no subcommands.
fn top_level(table: &CommandTable) -> impl Iterator<Item = &Command> {
    table.commands.iter().filter(|command| !command.is_subcommand)
}

fn count(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let count = top_level(&server.table).count();
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}

fn info(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let table = &server.table;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    if argv.len() <= 2 {
        reply.array(top_level(table).count());
        top_level(table).for_each(|command| describe(reply, table, command));
        return Ok(());
    }
    reply.array(argv.len() - 2);
    for name in argv.from(2).iter() {
        match table.by_full_name(name) {
            Some(index) => describe(reply, table, &table.commands[index]),
            None => reply.null(),
        }
    }
    Ok(())
}

fn names_of(reply: &mut Reply, bits: u32, names: &[&str], prefix: &str) {
    reply.set(bits.count_ones() as usize);
    for (_, name) in names.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0) {
        reply.status(&format!("{prefix}{name}"));
    }
}

fn describe(reply: &mut Reply, table: &CommandTable, command: &Command) {
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.int(i64::from(command.arity));
    let flags = flag::NAMES.iter().filter(|(bit, _)| command.flags & bit != 0);
    reply.set(flags.clone().count());
    flags.for_each(|(_, name)| reply.status(name));
    let (first, last, step) = legacy_range(command.keys);
    reply.int(i64::from(first));
    reply.int(i64::from(last));
    reply.int(i64::from(step));
    names_of(reply, command.categories, &category::NAMES, "@");
    let tips = tips(&command.name);
    reply.set(tips.len());
    tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(reply, spec));
    reply.set(command.subcommands.len());
    command.subcommands.iter().for_each(|&sub| describe(reply, table, &table.commands[sub]));
}

/// First key, last key and step, as they were told before there were key specifications: what a single range can say
/// of ranges that follow each other.
fn legacy_range(specs: &[KeySpec]) -> (i32, i32, i32) {
    if let [KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }] = *specs {
        return (first, if last >= 0 { first + last } else { last }, step);
    }
    let mut whole: Option<(i32, i32)> = None;
    for spec in specs {
        let (Begin::Index(first), Find::Range { last, step: 1, .. }) = (spec.begin, spec.find) else { continue };
        let last = if last >= 0 { first + last } else { last };
        match &mut whole {
            None => whole = Some((first, last)),
            Some(range) if range.1 == first - 1 => range.1 = last,
            Some(_) => {}
        }
    }
    whole.map_or((0, 0, 0), |(first, last)| (first, last, 1))
}

fn pair(reply: &mut Reply, name: &str, value: i32) {
    reply.bulk(name.as_bytes());
    reply.int(i64::from(value));
}

fn search(reply: &mut Reply, section: &str, kind: &str, pairs: usize) {
    reply.bulk(section.as_bytes());
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(pairs);
}

fn describe_keys(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    names_of(reply, spec.flags, &key::NAMES, "");
    match spec.begin {
        Begin::Index(index) => {
            search(reply, "begin_search", "index", 1);
            pair(reply, "index", index);
        }
        Begin::Keyword(word, from) => {
            search(reply, "begin_search", "keyword", 2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            pair(reply, "startfrom", from);
        }
        Begin::Unknown => search(reply, "begin_search", "unknown", 0),
    }
    match spec.find {
        Find::Range { last, step, limit } => {
            search(reply, "find_keys", "range", 3);
            pair(reply, "lastkey", last);
            pair(reply, "keystep", step);
            pair(reply, "limit", limit);
        }
        Find::KeyNum { at, first, step } => {
            search(reply, "find_keys", "keynum", 3);
            pair(reply, "keynumidx", at);
            pair(reply, "firstkey", first);
            pair(reply, "keystep", step);
        }
        Find::Unknown => search(reply, "find_keys", "unknown", 0),
    }
}

fn docs(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let table = &server.table;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let chosen: Vec<&Command> = match argv.len() {
        2 => top_level(table).collect(),
        _ => argv.from(2).iter().filter_map(|name| table.by_full_name(name)).map(|at| &table.commands[at]).collect(),
    };
    client.reply.map(chosen.len());
    chosen.into_iter().for_each(|command| document(&mut client.reply, table, command));
    Ok(())
}

fn list(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let table = &server.table;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let chosen: Vec<&Command> = match argv.len() {
        2 => top_level(table).collect(),
        5 if is_option(argv.at(2), "FILTERBY") => {
            let (kind, wanted) = (argv.at(3), argv.at(4));
            let of = |test: &dyn Fn(&Command) -> bool| table.commands.iter().filter(|&one| test(one)).collect();
            match kind {
                _ if is_option(kind, "MODULE") => Vec::new(),
                _ if is_option(kind, "PATTERN") => of(&|one| glob::matches(wanted, one.name.as_bytes(), true)),
                _ if is_option(kind, "ACLCAT") => {
                    let bit = category::NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(wanted));
                    of(&|one| bit.is_some_and(|bit| one.categories & 1 << bit != 0))
                }
                _ => return Err(error::SYNTAX),
            }
        }
        _ => return Err(error::SYNTAX),
    };
    match argv.len() {
        2 => client.reply.set(chosen.len()),
        _ => client.reply.array(chosen.len()),
    }
    chosen.into_iter().for_each(|command| client.reply.bulk(command.name.as_bytes()));
    Ok(())
}

/// The places of the keys of the command that begins at the third argument, with what is done with them.
fn find_keys(table: &CommandTable, argv: Argv<'_>) -> Result<Vec<(usize, u32)>, CommandError> {
    let inner = argv.from(2);
    let Some(index) = table.lookup(inner) else {
        return Err(CommandError::new("ERR Invalid command specified"));
    };
    let command = &table.commands[index];
    let described = Described { name: &command.name, flags: command.flags, keys: command.keys };
    if !takes_keys(described) {
        return Err(CommandError::new("ERR The command has no key arguments"));
    }
    let count = inner.len() as i64;
    let arity = i64::from(command.arity);
    if (arity > 0 && arity != count) || count < -arity {
        return Err(CommandError::new("ERR Invalid number of arguments specified for command"));
    }
    let mut found = Vec::new();
    each_key(described, inner, |place, flags| found.push((place, flags)))?;
    if found.is_empty() && command.flags & flag::NO_MANDATORY_KEYS == 0 {
        return Err(CommandError::new("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn getkeys(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let found = find_keys(&server.table, argv)?;
    let Some(reply) = server.reply(id) else { return Ok(()) };
    reply.array(found.len());
    found.into_iter().for_each(|(place, _)| reply.bulk(argv.at(place + 2)));
    Ok(())
}

fn getkeysandflags(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let found = find_keys(&server.table, argv)?;
    let Some(reply) = server.reply(id) else { return Ok(()) };
    reply.array(found.len());
    for (place, flags) in found {
        reply.array(2);
        reply.bulk(argv.at(place + 2));
        names_of(reply, flags, &key::NAMES, "");
    }
    Ok(())
}
