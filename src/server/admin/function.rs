//! FCALL, FCALL_RO and FUNCTION (rows; what they do is in `server::functions`).

use crate::base::glob;
use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag};
use crate::commands::ctx::is_option;
use crate::commands::error::c_string_up_to;
use crate::persist::rdb::dump_functions;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::scripting::Flags;
use crate::scripting::functions::{Function, Library, Policy};
use crate::server::functions::{fcall, fcall_ro};
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const fn sub(name: &'static str, arity: i32, flags: u32, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row { categories: category::SCRIPTING, group: "scripting", ..super::sub(name, arity, flags, "7.0.0", summary, run) }
}

const WRITES: u32 = flag::WRITE | flag::NOSCRIPT;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    super::script::runs("fcall", flag::MAY_REPLICATE, super::script::WRITES, "7.0.0", "Runs a function.", fcall),
    super::script::runs(
        "fcall_ro",
        flag::READONLY,
        super::script::READS,
        "7.0.0",
        "Runs a function that writes nothing.",
        fcall_ro,
    ),
    Row {
        name: "function",
        arity: -2,
        flags: 0,
        categories: 0,
        keys: &[],
        group: "scripting",
        since: "7.0.0",
        summary: "Groups the commands about functions.",
        run: None,
        subcommands: &[
            sub("delete", 3, WRITES, "Deletes a library with its functions.", delete),
            sub("dump", 2, flag::NOSCRIPT, "Returns all libraries in a form that can be restored.", dump),
            sub("flush", -2, WRITES, "Deletes all libraries.", flush),
            sub("help", 2, flag::LOADING | flag::STALE, "Lists the subcommands.", help),
            sub("kill", 2, flag::NOSCRIPT | flag::ALLOW_BUSY, "Ends the function that runs.", kill),
            sub("list", -2, flag::NOSCRIPT, "Tells of the libraries.", list),
            sub("load", -3, WRITES | flag::DENYOOM, "Makes a library of its code.", load),
            sub("restore", -3, WRITES | flag::DENYOOM, "Restores libraries that were dumped.", restore),
            sub("stats", 2, flag::NOSCRIPT | flag::ALLOW_BUSY, "Tells of the function that runs.", stats),
        ],
    },
];

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Make a library of its code, and tell its name. One of that name is replaced only by REPLACE.",
    "DELETE <LIBRARY NAME>",
    "    Delete the library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Tell of every library, or of those whose name fits the pattern: its name, its engine, its functions with",
    "    what they are for and what they declare, and with WITHCODE its code.",
    "STATS",
    "    Tell which function runs, by which command, and since how many milliseconds; nil if none does. Then, for",
    "    every engine, how many libraries and functions it holds.",
    "KILL",
    "    End the function that runs, unless it has written.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all libraries.",
    "DUMP",
    "    Return all libraries as bytes that FUNCTION RESTORE takes.",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Take dumped libraries in: in place of all that are there (FLUSH), beside those (APPEND, unless it is said",
    "    otherwise), or beside those of other names (REPLACE). If one of them cannot be, nothing changes.",
    "HELP",
    "    Print this help.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn ok(server: &mut Server, id: ClientId) -> Done {
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn load(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let mut replace = false;
    for at in 2..argv.len() - 1 {
        if !is_option(argv.at(at), "REPLACE") {
            return Err(CommandError::quoting(
                "ERR Unknown option given: ",
                c_string_up_to(argv.at(at), usize::MAX),
                "",
            ));
        }
        replace = true;
    }
    let name = server.load_library(id, argv.at(argv.len() - 1), replace)?;
    if let Some(reply) = server.reply(id) {
        reply.bulk(&name);
    }
    Ok(())
}

fn delete(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.delete_library(argv.at(2))?;
    ok(server, id)
}

fn flush(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 3 {
        return Err(CommandError::bad_subcommand(argv, "FUNCTION"));
    }
    if argv.get(2).is_some_and(|mode| !is_option(mode, "SYNC") && !is_option(mode, "ASYNC")) {
        return Err(CommandError::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    server.flush_libraries()?;
    ok(server, id)
}

fn kill(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    server.kill_script(id, true)
}

fn dump(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let codes = server.scripts.functions.libraries().map(|library| &library.code[..]);
    let payload = dump_functions(codes, server.config.rdbcompression);
    if let Some(reply) = server.reply(id) {
        reply.bulk(&payload);
    }
    Ok(())
}

fn restore(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 4 {
        return Err(CommandError::bad_subcommand(argv, "FUNCTION"));
    }
    let policy = match argv.get(3) {
        None => Policy::Append,
        Some(word) if is_option(word, "APPEND") => Policy::Append,
        Some(word) if is_option(word, "REPLACE") => Policy::Replace,
        Some(word) if is_option(word, "FLUSH") => Policy::Flush,
        Some(_) => {
            return Err(CommandError::new(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    server.restore_libraries(id, argv.at(2), policy)?;
    ok(server, id)
}

fn list(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let (mut pattern, mut with_code, mut at) = (None, false, 2);
    while let Some(word) = argv.get(at) {
        if is_option(word, "WITHCODE") && !with_code {
            with_code = true;
        } else if is_option(word, "LIBRARYNAME") && pattern.is_none() {
            at += 1;
            let given = argv.get(at).ok_or_else(|| CommandError::new("ERR library name argument was not given"))?;
            pattern = Some(given);
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", c_string_up_to(word, usize::MAX), ""));
        }
        at += 1;
    }
    let Server { scripts, clients, .. } = server;
    let Some(client) = clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    let (place, mut count) = (reply.defer(), 0);
    for library in scripts.functions.libraries() {
        if pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, true)) {
            describe_library(reply, library, with_code);
            count += 1;
        }
    }
    reply.fill_array(place, count);
    Ok(())
}

fn describe_library(reply: &mut Reply, library: &Library, with_code: bool) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    library.functions.iter().for_each(|function| describe_function(reply, function));
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn describe_function(reply: &mut Reply, function: &Function) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    match &function.description {
        Some(description) => reply.bulk(description),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    let declared = Flags::NAMES.iter().filter(|(_, flag)| function.flags.has(*flag));
    reply.set(declared.clone().count());
    declared.for_each(|(name, _)| reply.status(name));
}

/// While a script runs for long, this is refused as everything is: it is about functions.
fn stats(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let is_running = server.scripts.run.timed_out;
    if is_running
        && !server.scripts.run.is_function
        && let Some(busy) = server.busy_error()
    {
        return Err(busy);
    }
    let now_us = server.clock.monotonic_us();
    let Server { scripts, clients, .. } = server;
    let Some(client) = clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    if is_running {
        let run = &scripts.run;
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(&run.name);
        reply.bulk(b"command");
        reply.array(run.command.argv().len());
        run.command.argv().iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(b"duration_ms");
        reply.int((now_us.saturating_sub(run.started_us) / 1000) as i64);
    } else {
        reply.null();
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(scripts.functions.libraries().len() as i64);
    reply.bulk(b"functions_count");
    reply.int(scripts.functions.count() as i64);
    Ok(())
}
