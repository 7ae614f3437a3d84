//! SLOWLOG: the commands that took long.

use crate::base::numbers::parse_i64;
use crate::commands::CommandError;
use crate::commands::command::{Row, flag};
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    summary: &'static str,
    run: HouseFn,
) -> Row<HouseFn> {
    super::sub(name, arity, flags | flag::LOADING | flag::STALE, since, summary, run)
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "slowlog",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "server",
    since: "2.2.12",
    summary: "Groups the commands about the slow log.",
    run: None,
    subcommands: &[
        sub("get", -2, flag::ADMIN, "2.2.12", "Tells the commands that took long, the last first.", get),
        sub("help", 2, 0, "6.2.0", "Lists the subcommands.", help),
        sub("len", 2, flag::ADMIN, "2.2.12", "Counts the entries of the slow log.", len),
        sub("reset", 2, flag::ADMIN, "2.2.12", "Empties the slow log.", reset),
    ],
}];

/// How many entries are told to who asks for no number.
const TOLD: usize = 10;

const HELP: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Tell the last <count> entries (default: 10, -1 for all), each as its number, the",
    "    time, the duration in microseconds, the arguments, the client's address and name.",
    "LEN",
    "    Tell how many entries there are.",
    "RESET",
    "    Empty the log.",
    "HELP",
    "    Show this text.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn get(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 3 {
        return Err(CommandError::bad_subcommand(argv, "SLOWLOG"));
    }
    let refused = || CommandError::new("ERR count should be greater than or equal to -1");
    let wanted = match argv.get(2) {
        None => TOLD,
        Some(arg) => match parse_i64(arg).ok_or_else(refused)? {
            -1 => usize::MAX,
            count => usize::try_from(count).map_err(|_| refused())?,
        },
    };
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    reply.array(wanted.min(server.slowlog.count()));
    for entry in server.slowlog.iter().take(wanted) {
        reply.array(6);
        reply.int(entry.number as i64);
        reply.int(entry.time_s);
        reply.int(entry.duration_us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn len(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let count = server.slowlog.count();
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}

fn reset(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    server.slowlog.reset();
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}
