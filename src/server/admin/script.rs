//! EVAL and its kin, and SCRIPT (rows; what they do is in `server::scripting`).

use crate::commands::CommandError;
use crate::commands::command::{Begin, Find, KeySpec, Row, category, flag, key};
use crate::commands::ctx::is_option;
use crate::resp::request::Argv;
use crate::server::scripting::{eval, eval_ro, evalsha, evalsha_ro};
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const fn counted_keys(flags: u32) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(2), find: Find::KeyNum { at: 0, first: 1, step: 1 } }
}

const EVAL: u32 = flag::NOSCRIPT | flag::STALE | flag::SKIP_MONITOR | flag::NO_MANDATORY_KEYS | flag::MOVABLEKEYS;
/// Keys that a script may change.
pub(super) const WRITES: &[KeySpec] = &[counted_keys(key::RW | key::ACCESS | key::UPDATE)];
/// Keys that a script only reads.
pub(super) const READS: &[KeySpec] = &[counted_keys(key::RO | key::ACCESS)];

/// A command that runs a script, or a function.
pub(super) const fn runs(
    name: &'static str,
    flags: u32,
    keys: &'static [KeySpec],
    since: &'static str,
    summary: &'static str,
    run: HouseFn,
) -> Row<HouseFn> {
    Row {
        name,
        arity: -3,
        flags: EVAL | flags,
        categories: category::SCRIPTING,
        keys,
        group: "scripting",
        since,
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    summary: &'static str,
    run: HouseFn,
) -> Row<HouseFn> {
    Row { categories: category::SCRIPTING, group: "scripting", ..super::sub(name, arity, flags, since, summary, run) }
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    runs("eval", flag::MAY_REPLICATE, WRITES, "2.6.0", "Runs a script.", eval),
    runs("evalsha", flag::MAY_REPLICATE, WRITES, "2.6.0", "Runs a script that is known by its SHA-1.", evalsha),
    runs("eval_ro", flag::READONLY, READS, "7.0.0", "Runs a script that writes nothing.", eval_ro),
    runs("evalsha_ro", flag::READONLY, READS, "7.0.0", "Runs a known script that writes nothing.", evalsha_ro),
    Row {
        name: "script",
        arity: -2,
        flags: 0,
        categories: 0,
        keys: &[],
        group: "scripting",
        since: "2.6.0",
        summary: "Groups the commands about scripts.",
        run: None,
        subcommands: &[
            sub("debug", 3, flag::NOSCRIPT, "3.2.0", "Sets how scripts are debugged.", debug),
            sub("exists", -3, flag::NOSCRIPT, "2.6.0", "Tells which scripts are known.", exists),
            sub("flush", -2, flag::NOSCRIPT | flag::MAY_REPLICATE, "2.6.0", "Forgets all scripts.", flush),
            sub("help", 2, flag::LOADING | flag::STALE, "5.0.0", "Lists the subcommands.", help),
            sub("kill", 2, flag::NOSCRIPT | flag::ALLOW_BUSY, "2.6.0", "Ends the script that runs.", kill),
            sub("load", 3, flag::NOSCRIPT | flag::STALE | flag::MAY_REPLICATE, "2.6.0", "Makes a script known.", load),
        ],
    },
];

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Set how scripts are debugged. There is no debugger here, so only NO is possible.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Tell of each script whether it is known.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts. Whoever runs them by their SHA-1 must load them again.",
    "KILL",
    "    End the script that runs, unless it has written.",
    "LOAD <script>",
    "    Make a script known without running it.",
    "HELP",
    "    Print this help.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

/// There is no debugger. Who asks for one is told so; a client that hoped for it would wait for a prompt in vain.
fn debug(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let mode = argv.at(2);
    if is_option(mode, "YES") || is_option(mode, "SYNC") {
        return Err(CommandError::new("ERR This server has no script debugger"));
    }
    if !is_option(mode, "NO") {
        return Err(CommandError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"));
    }
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn exists(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let known: Vec<bool> = argv.iter().skip(2).map(|sha| server.scripts.by_sha(sha).is_some()).collect();
    if let Some(reply) = server.reply(id) {
        reply.array(known.len());
        known.into_iter().for_each(|is_known| reply.int(i64::from(is_known)));
    }
    Ok(())
}

fn flush(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let is_fine = match argv.get(2) {
        None => true,
        Some(mode) => argv.len() == 3 && (is_option(mode, "SYNC") || is_option(mode, "ASYNC")),
    };
    if !is_fine {
        return Err(CommandError::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    server.scripts.flush();
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn kill(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    server.kill_script(id, false)
}

fn load(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let script = server.script_of(argv.at(2))?;
    if let Some(reply) = server.reply(id) {
        reply.bulk(&script.sha);
    }
    Ok(())
}
