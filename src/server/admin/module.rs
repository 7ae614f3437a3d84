//! MODULE: for those who ask which modules there are (= the commands of module.c). There are none, and none can be
//! loaded: their interface is C's, and gives the whole process away.

use crate::commands::CommandError;
use crate::commands::command::{Row, flag};
use crate::resp::request::Argv;
use crate::server::acl::Protected;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const HELP: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    Return a list of loaded modules.",
    "LOAD <path> [<arg> ...]",
    "    Load a module library from <path>, passing to it any optional arguments.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Load a module library from <path>, while passing it module configurations and optional arguments.",
    "UNLOAD <name>",
    "    Unload a module.",
    "HELP",
    "    Prints this help.",
];

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT;
const CHANGING: u32 = ADMIN | flag::NO_ASYNC_LOADING;

const fn row(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    summary: &'static str,
    run: Option<HouseFn>,
    subcommands: &'static [Row<HouseFn>],
) -> Row<HouseFn> {
    Row { name, arity, flags, categories: 0, keys: &[], group: "server", since, summary, run, subcommands }
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[row(
    "module",
    -2,
    0,
    "4.0.0",
    "Commands about modules, of which there are none.",
    None,
    &[
        row("help", 2, flag::LOADING | flag::STALE, "5.0.0", "Tells the subcommands.", Some(help), &[]),
        row("list", 2, ADMIN, "4.0.0", "Lists the modules: none.", Some(list), &[]),
        row("load", -3, CHANGING, "4.0.0", "Refuses to load a module.", Some(load), &[]),
        row("loadex", -3, CHANGING, "7.0.0", "Refuses to load a module with settings.", Some(load), &[]),
        row("unload", 3, CHANGING, "4.0.0", "Finds no module to unload.", Some(unload), &[]),
    ],
)];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn list(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if let Some(reply) = server.reply(id) {
        reply.array(0);
    }
    Ok(())
}

fn load(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.check_protected(id, Protected::Module)?;
    log::warn!("Module {} failed to load: this server has no modules", String::from_utf8_lossy(argv.at(2)));
    Err(CommandError::new("ERR Error loading the extension. Please check the server logs."))
}

fn unload(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    server.check_protected(id, Protected::Module)?;
    Err(CommandError::new("ERR Error unloading module: no such module with that name"))
}
