//! ACL: users and what they may do (= the commands of acl.c). The rules themselves are the work of `crate::acl`.

use super::sub;
use crate::acl::log::Entry;
use crate::acl::{Selector, User, Users, merge_selectors};
use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag};
use crate::commands::ctx::{integer, is_option};
use crate::config::reason;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::acl::denial_text;
use crate::server::dispatch::check_arity;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use std::path::PathBuf;

type Done = Result<(), CommandError>;

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Prints this help.",
];

/// What is told about users, or changes them, is for administrators.
const USERS: u32 = flag::ADMIN | ANYBODY;
const ANYBODY: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;

const CONTAINER: Row<HouseFn> = Row {
    name: "acl",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "server",
    since: "6.0.0",
    summary: "Commands about users and what they may do.",
    run: None,
    subcommands: SUBCOMMANDS,
};

const SUBCOMMANDS: &[Row<HouseFn>] = &[
    sub("cat", -2, ANYBODY, "6.0.0", "Lists the categories, or the commands of one.", cat),
    sub("deluser", -3, USERS, "6.0.0", "Deletes users and ends their connections.", deluser),
    sub("dryrun", -4, USERS, "7.0.0", "Tells whether a user may run a command, without running it.", dryrun),
    sub("genpass", -2, ANYBODY, "6.0.0", "Makes a password that nobody can guess.", genpass),
    sub("getuser", 3, USERS, "6.0.0", "Tells the rules of a user.", getuser),
    sub("help", 2, flag::LOADING | flag::STALE, "6.0.0", "Tells the subcommands.", help),
    sub("list", 2, USERS, "6.0.0", "Tells all users as lines of a file.", list),
    sub("load", 2, USERS, "6.0.0", "Takes the users from the file again.", load),
    sub("log", -2, USERS, "6.0.0", "Tells what was denied lately.", log),
    sub("save", 2, USERS, "6.0.0", "Writes the users to the file.", save),
    sub("setuser", -3, USERS, "6.0.0", "Makes or changes a user.", setuser),
    sub("users", 2, USERS, "6.0.0", "Lists the names of the users.", users),
    sub("whoami", 2, ANYBODY, "6.0.0", "Tells the name of the user of this connection.", whoami),
];

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[CONTAINER];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn cat(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    match argv.get(2) {
        _ if argv.len() > 3 => return Err(CommandError::bad_subcommand(argv, "ACL")),
        None => {
            reply.array(category::NAMES.len());
            category::NAMES.iter().for_each(|name| reply.bulk(name.as_bytes()));
        }
        Some(wanted) => {
            let bit = category::NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(wanted));
            let bit = bit.ok_or_else(|| CommandError::quoting("ERR Unknown category '", wanted, "'"))?;
            let of_category = |command: &&crate::server::table::Command| {
                command.categories & 1 << bit != 0 && command.subcommands.is_empty()
            };
            let found: Vec<_> = server.table.commands.iter().filter(of_category).collect();
            reply.array(found.len());
            found.into_iter().for_each(|command| reply.bulk(command.name.as_bytes()));
        }
    }
    Ok(())
}

fn whoami(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get(id) else { return Ok(()) };
    let name = server.user_name(client).to_vec();
    if let Some(reply) = server.reply(id) {
        reply.bulk(&name);
    }
    Ok(())
}

fn users(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    client.reply.array(server.users.iter().len());
    server.users.iter().for_each(|(name, _)| client.reply.bulk(name));
    Ok(())
}

fn list(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let lines = server.users.lines();
    if let Some(reply) = server.reply(id) {
        reply.array(lines.len());
        lines.iter().for_each(|line| reply.bulk(line));
    }
    Ok(())
}

fn describe_selector(reply: &mut Reply, selector: &Selector) {
    for (name, rules) in [
        (b"commands".as_slice(), selector.describe_commands()),
        (b"keys", selector.describe_keys()),
        (b"channels", selector.describe_channels()),
    ] {
        reply.bulk(name);
        reply.bulk(&rules);
    }
}

fn describe_user(reply: &mut Reply, user: &User) {
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.into_iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| reply.bulk(hash));
    describe_selector(reply, user.root());
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        describe_selector(reply, selector);
    }
}

fn getuser(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    match server.users.by_name(argv.at(2)).and_then(|user| server.users.get(user)) {
        Some(user) => describe_user(&mut client.reply, user),
        None => client.reply.null(),
    }
    Ok(())
}

/// All rules come to pass, or none.
fn setuser(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let name = argv.at(2);
    if name.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b)) {
        return Err(CommandError::new("ERR Usernames can't contain spaces or null characters"));
    }
    let rules: Vec<&[u8]> = argv.iter().skip(3).collect();
    let rules = merge_selectors(&rules).map_err(|place| {
        CommandError::quoting("ERR Unmatched parenthesis in acl selector starting at '", rules[place], "'.")
    })?;
    let all_channels = server.new_users_hear_all();
    let known = server.users.by_name(name).and_then(|user| server.users.get(user)).cloned();
    let mut user = known.unwrap_or_else(|| User::new(name, all_channels));
    for rule in &rules {
        user.apply(rule, &server.table, all_channels).map_err(|error| {
            CommandError::quoting("ERR Error in ACL SETUSER modifier '", rule, &format!("': {error}"))
        })?;
    }
    let user = server.users.put(user);
    server.refresh_all_access();
    server.close_deaf_subscribers(user, id);
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn deluser(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.iter().skip(2).any(|name| name == b"default") {
        return Err(CommandError::new("ERR The 'default' user cannot be removed"));
    }
    let mut deleted = 0;
    for name in argv.iter().skip(2) {
        if let Some(user) = server.users.remove(name) {
            server.close_clients_of(user, id);
            deleted += 1;
        }
    }
    if let Some(reply) = server.reply(id) {
        reply.int(deleted);
    }
    Ok(())
}

fn genpass(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 3 {
        return Err(CommandError::bad_subcommand(argv, "ACL"));
    }
    let bits = argv.get(2).map_or(Ok(256), integer)?;
    if !(1..=4096).contains(&bits) {
        return Err(CommandError::new(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let mut secret = vec![0; (bits as usize).div_ceil(4)];
    server.rng.secret_hex(&mut secret);
    if let Some(reply) = server.reply(id) {
        reply.bulk(&secret);
    }
    Ok(())
}

fn dryrun(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let user = server.users.by_name(argv.at(2));
    let user = user.ok_or_else(|| CommandError::quoting("ERR User '", argv.at(2), "' not found"))?;
    let inner = argv.from(3);
    let unknown = || CommandError::quoting("ERR Command '", inner.at(0), "' not found");
    let index = server.table.lookup(inner).ok_or_else(unknown)?;
    if !server.table.commands[index].subcommands.is_empty() && inner.len() > 1 {
        return Err(unknown());
    }
    check_arity(&server.table.commands[index], inner)?;
    let verdict = server.user_may_run(user, index, inner);
    let text =
        verdict.map_err(|denied| denial_text(denied, argv.at(2), &server.table.commands[index].name, inner, true));
    if let Some(reply) = server.reply(id) {
        match text {
            Ok(()) => reply.ok(),
            Err(text) => reply.bulk(&text),
        }
    }
    Ok(())
}

fn describe_entry(reply: &mut Reply, entry: &Entry, now_ms: i64) {
    let text = |reply: &mut Reply, name: &str, value: &[u8]| {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    };
    let number = |reply: &mut Reply, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.int(value);
    };
    reply.map(10);
    number(reply, "count", entry.count as i64);
    text(reply, "reason", entry.reason.word().as_bytes());
    text(reply, "context", entry.context.word().as_bytes());
    text(reply, "object", &entry.object);
    text(reply, "username", &entry.user);
    reply.bulk(b"age-seconds");
    reply.double((now_ms - entry.updated_ms) as f64 / 1000.0);
    text(reply, "client-info", entry.client.as_bytes());
    number(reply, "entry-id", entry.id as i64);
    number(reply, "timestamp-created", entry.created_ms);
    number(reply, "timestamp-last-updated", entry.updated_ms);
}

fn log(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let wanted = match argv.get(2) {
        _ if argv.len() > 3 => return Err(CommandError::bad_subcommand(argv, "ACL")),
        None => 10,
        Some(word) if is_option(word, "RESET") => {
            server.acl_log.reset();
            if let Some(reply) = server.reply(id) {
                reply.ok();
            }
            return Ok(());
        }
        Some(count) => usize::try_from(integer(count)?).unwrap_or(0),
    };
    let now = server.keys.now;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let count = wanted.min(server.acl_log.entries().len());
    client.reply.array(count);
    server.acl_log.entries().take(count).for_each(|entry| describe_entry(&mut client.reply, entry, now));
    Ok(())
}

fn file(server: &Server) -> Result<PathBuf, CommandError> {
    server.config.aclfile.clone().ok_or_else(|| {
        CommandError::new(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL \
             SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in \
             order to store users in the Redis configuration.",
        )
    })
}

/// All users are new ones then, save for the default user: the connections of the others end.
fn load(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let users = server.read_acl_file(&file(server)?);
    let users = users.map_err(|error| CommandError::new(format!("ERR {error}")))?;
    let before = std::mem::replace(&mut server.users, users);
    for (name, _) in before.iter().filter(|(name, _)| *name != b"default") {
        if let Some(user) = before.by_name(name) {
            server.close_clients_of(user, id);
        }
    }
    server.refresh_all_access();
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn save(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let path = file(server)?;
    let text = file_text(&server.users);
    if let Err(error) = server.disk.replace(&path, &text) {
        log::warn!("Writing the ACL file {} for ACL SAVE: {}", path.display(), reason(&error));
        return Err(CommandError::new(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn file_text(users: &Users) -> Vec<u8> {
    users.lines().into_iter().flat_map(|line| line.into_iter().chain([b'\n'])).collect()
}
