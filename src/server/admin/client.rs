//! CLIENT: what the server knows of its connections, and what they may ask for themselves (= the CLIENT part of
//! networking.c).
//!
//! PAUSE and UNPAUSE live with the pauses.

mod tracking;

use super::connection::check_client_name;
use crate::acl::UserId;
use crate::commands::command::{Row, category, flag};
use crate::commands::ctx::{integer, is_option};
use crate::commands::{CommandError, error};
use crate::pubsub::Space;
use crate::resp::request::Argv;
use crate::server::client::{Class, Client, ReplyMode};
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use std::os::fd::AsRawFd;

type Done = Result<(), CommandError>;

/// How much of a client's output is told as `obl`; the rest is `omem`.
const OUTPUT_BUFFER: usize = 16 * 1024;

const OWN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const HELPING: u32 = flag::LOADING | flag::STALE;
const OTHERS: u32 = OWN | flag::ADMIN;

const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    summary: &'static str,
    run: HouseFn,
) -> Row<HouseFn> {
    Row { categories: category::CONNECTION, group: "connection", ..super::sub(name, arity, flags, since, summary, run) }
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "client",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "connection",
    since: "2.4.0",
    summary: "Groups the commands about client connections",
    run: None,
    subcommands: &[
        sub("caching", 3, OWN, "6.0.0", "Says whether the next command's keys are tracked", tracking::caching),
        sub("getname", 2, OWN, "2.6.9", "Tells the name of this connection", getname),
        sub("getredir", 2, OWN, "6.0.0", "Tells which client gets the invalidations of this one", tracking::getredir),
        sub("help", 2, HELPING, "5.0.0", "Lists the subcommands", help),
        sub("id", 2, OWN, "5.0.0", "Tells the number of this connection", client_id),
        sub("info", 2, OWN, "6.2.0", "Describes this connection", info),
        sub("kill", -3, OTHERS, "2.4.0", "Closes connections", kill),
        sub("list", -2, OTHERS, "2.4.0", "Describes all connections", list),
        sub("no-evict", 3, OTHERS, "7.0.0", "Spares this connection when memory is short", no_evict),
        sub("no-touch", 3, OWN, "7.2.0", "Says whether this connection's reads count as use of a key", no_touch),
        sub("pause", -3, OTHERS, "3.0.0", "Lets commands stand still for a while", Server::client_pause),
        sub("reply", 3, OWN, "3.2.0", "Says whether commands are to be answered", reply),
        sub("setinfo", 4, OWN, "7.2.0", "Notes the library behind this connection", setinfo),
        sub("setname", 3, OWN, "2.6.9", "Names this connection", setname),
        sub("tracking", -3, OWN, "6.0.0", "Says whether to be told when keys become stale", tracking::tracking),
        sub("trackinginfo", 2, OWN, "6.2.0", "Tells how this connection tracks keys", tracking::trackinginfo),
        sub("unblock", -3, OTHERS, "5.0.0", "Ends the wait of a connection", unblock),
        sub("unpause", 2, OTHERS, "6.2.0", "Ends a pause", Server::client_unpause),
    ],
}];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Say whether the keys that the next command reads are tracked, or not, where tracking",
    "    was begun with OPTIN, or with OPTOUT.",
    "GETREDIR",
    "    Tell which client gets the invalidation messages of this one.",
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the number of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections that fit every option:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * USER <username>",
    "    * ID <client-id>",
    "    * SKIPME (YES|NO): whether to spare this connection (default: yes).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
    "    Describe connections, one a line.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Let commands, or only writes, stand still for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Say whether commands are answered; SKIP concerns the next one.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Note the library behind this connection.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Say whether to be told when keys become stale that this connection has read.",
    "TRACKINGINFO",
    "    Tell how this connection tracks keys.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    End the wait of a connection, as if its time were up or by an error.",
    "UNPAUSE",
    "    End the pause.",
    "NO-EVICT (ON|OFF)",
    "    Spare this connection when memory is short.",
    "NO-TOUCH (ON|OFF)",
    "    Do not count this connection's reads as use of the keys.",
    "HELP",
    "    Show this text.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn getname(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    match client.name.is_empty() {
        true => client.reply.null(),
        false => client.reply.bulk(&client.name),
    }
    Ok(())
}

fn setname(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    check_client_name(argv.at(2))?;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    client.name = argv.at(2).to_vec();
    client.reply.ok();
    Ok(())
}

fn setinfo(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let (attribute, value) = (argv.at(2), argv.at(3));
    let is_name = is_option(attribute, "LIB-NAME");
    if !is_name && !is_option(attribute, "LIB-VER") {
        return Err(CommandError::quoting("ERR Unrecognized option '", attribute, "'"));
    }
    check_client_name(value).map_err(|_| {
        CommandError::quoting("ERR ", attribute, " cannot contain spaces, newlines or special characters.")
    })?;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let place = if is_name { &mut client.library.0 } else { &mut client.library.1 };
    *place = value.to_vec();
    client.reply.ok();
    Ok(())
}

fn unblock(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let with_error = match argv.get(3) {
        _ if argv.len() > 4 => {
            return Err(CommandError::bad_subcommand(argv, "CLIENT"));
        }
        None => false,
        Some(reason) if is_option(reason, "TIMEOUT") => false,
        Some(reason) if is_option(reason, "ERROR") => true,
        Some(_) => return Err(CommandError::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let number = integer(argv.at(2))?;
    let found = u64::try_from(number).ok().and_then(|number| server.clients.by_number(number));
    let unblocked = found.is_some_and(|other| server.unblock_client(other, with_error));
    if let Some(reply) = server.reply(id) {
        reply.int(i64::from(unblocked));
    }
    Ok(())
}

fn client_id(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if let Some(reply) = server.reply(id) {
        reply.int(id.number as i64);
    }
    Ok(())
}

fn on_or_off(arg: &[u8]) -> Result<bool, CommandError> {
    match arg {
        _ if is_option(arg, "ON") => Ok(true),
        _ if is_option(arg, "OFF") => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn no_evict(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let on = on_or_off(argv.at(2))?;
    if let Some(client) = server.clients.get_mut(id) {
        client.no_evict = on;
        client.reply.ok();
    }
    Ok(())
}

fn no_touch(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let on = on_or_off(argv.at(2))?;
    server.set_no_touch(id, on);
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

/// What is written from here on is taken back, or what was to be taken back is, before the OK: see
/// `Server::settle_reply`.
fn reply(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let mode = argv.at(2);
    if is_option(mode, "ON") {
        client.reply_mode = ReplyMode::On;
        if let Some(start) = client.muted_from.take() {
            client.reply.out.truncate(start);
        }
        client.reply.ok();
    } else if is_option(mode, "OFF") {
        client.reply_mode = ReplyMode::Off;
        client.muted_from.get_or_insert(client.reply.out.len());
    } else if is_option(mode, "SKIP") {
        if client.reply_mode != ReplyMode::Off {
            client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(error::SYNTAX);
    }
    Ok(())
}

fn class_named(name: &[u8]) -> Result<Class, CommandError> {
    Ok(match name {
        _ if is_option(name, "NORMAL") => Class::Normal,
        _ if is_option(name, "MASTER") => Class::Master,
        _ if is_option(name, "REPLICA") || is_option(name, "SLAVE") => Class::Replica,
        _ if is_option(name, "PUBSUB") => Class::PubSub,
        _ => return Err(CommandError::quoting("ERR Unknown client type '", name, "'")),
    })
}

/// What KILL looks for: a client must fit everything that is given.
#[derive(Default)]
struct Victims<'a> {
    number: Option<u64>,
    class: Option<Class>,
    user: Option<UserId>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    spare_caller: bool,
}

impl<'a> Victims<'a> {
    fn parse(server: &Server, argv: Argv<'a>) -> Result<Self, CommandError> {
        let mut wanted = Victims { spare_caller: true, ..Victims::default() };
        for at in (2..argv.len()).step_by(2) {
            let Some(value) = argv.get(at + 1) else { return Err(error::SYNTAX) };
            match argv.at(at) {
                option if is_option(option, "ID") => {
                    let number = integer(value).ok().filter(|&number| number > 0);
                    let number = number.ok_or_else(|| CommandError::new("ERR client-id should be greater than 0"))?;
                    wanted.number = Some(number as u64);
                }
                option if is_option(option, "TYPE") => wanted.class = Some(class_named(value)?),
                option if is_option(option, "ADDR") => wanted.address = Some(value),
                option if is_option(option, "LADDR") => wanted.local_address = Some(value),
                option if is_option(option, "USER") => {
                    let user = server.users.by_name(value);
                    let unknown = || CommandError::quoting("ERR No such user '", value, "'");
                    wanted.user = Some(user.ok_or_else(unknown)?);
                }
                option if is_option(option, "SKIPME") => {
                    wanted.spare_caller = match value {
                        _ if is_option(value, "YES") => true,
                        _ if is_option(value, "NO") => false,
                        _ => return Err(error::SYNTAX),
                    }
                }
                _ => return Err(error::SYNTAX),
            }
        }
        Ok(wanted)
    }

    fn fit(&self, caller: ClientId, id: ClientId, client: &Client) -> bool {
        !client.closing
            && self.number.is_none_or(|number| number == id.number)
            && self.class.is_none_or(|class| class == client.class())
            && self.user.is_none_or(|user| user == client.user && !client.is_master())
            && self.address.is_none_or(|address| address == client.peer_name.as_bytes())
            && self.local_address.is_none_or(|address| address == client.local_name.as_bytes())
            && !(self.spare_caller && id == caller)
    }
}

fn kill(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let old_form = argv.len() == 3;
    let wanted = match old_form {
        true => Victims { address: argv.get(2), ..Victims::default() },
        false => Victims::parse(server, argv)?,
    };
    let found = server.clients.iter().filter(|(other, client)| wanted.fit(id, *other, client));
    let victims: Vec<ClientId> = found.map(|(other, _)| other).take(if old_form { 1 } else { usize::MAX }).collect();
    if old_form && victims.is_empty() {
        return Err(CommandError::new("ERR No such client"));
    }
    for &victim in &victims {
        if victim != id {
            server.close_client(victim);
        } else if let Some(client) = server.clients.get_mut(id) {
            client.close_after_reply = true;
        }
    }
    if let Some(reply) = server.reply(id) {
        match old_form {
            true => reply.ok(),
            false => reply.len(victims.len()),
        }
    }
    Ok(())
}

fn info(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let mut text = String::new();
    describe(server, Some((id, argv)), id, &mut text);
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

fn list(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let mut chosen: Vec<ClientId> = Vec::new();
    match argv.get(2) {
        None => chosen.extend(server.clients.iter().map(|(other, _)| other)),
        Some(option) if is_option(option, "TYPE") && argv.len() == 4 => {
            let class = class_named(argv.at(3))?;
            let fitting = server.clients.iter().filter(|(_, client)| client.class() == class);
            chosen.extend(fitting.map(|(other, _)| other));
        }
        Some(option) if is_option(option, "ID") && argv.len() > 3 => {
            for number in argv.from(3).iter() {
                let number = integer(number).map_err(|_| CommandError::new("ERR Invalid client ID"))?;
                chosen.extend(u64::try_from(number).ok().and_then(|number| server.clients.by_number(number)));
            }
        }
        Some(_) => return Err(error::SYNTAX),
    }
    if argv.get(2).is_none_or(|option| !is_option(option, "ID")) {
        chosen.sort_by_key(|other| other.number);
    }
    let mut text = String::new();
    chosen.into_iter().for_each(|other| describe(server, Some((id, argv)), other, &mut text));
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

fn flags_of(client: &Client) -> String {
    let tracking = client.tracking.as_deref();
    let letters = [
        (client.is_monitor, 'O'),
        (client.replica.is_some(), 'S'),
        (client.is_master(), 'M'),
        (client.is_subscriber, 'P'),
        (client.multi.is_some(), 'x'),
        (client.waiting.is_some(), 'b'),
        (tracking.is_some(), 't'),
        (tracking.is_some_and(|tracking| tracking.is_redirect_broken), 'R'),
        (tracking.is_some_and(|tracking| tracking.is_broadcast), 'B'),
        (client.watch_touched, 'd'),
        (client.close_after_reply, 'c'),
        (client.closing, 'A'),
        (!client.transport.is_tcp(), 'U'),
        (client.no_evict, 'e'),
        (client.no_touch, 'T'),
    ];
    let shown: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if shown.is_empty() { "N".into() } else { shown }
}

/// What logs tell of a client.
pub fn description(server: &Server, id: ClientId) -> String {
    let mut text = String::new();
    describe(server, None, id, &mut text);
    text.truncate(text.trim_end().len());
    text
}

/// One line about a client. `caller` is who asks, and its command, the only one whose arguments are in memory now.
fn describe(server: &Server, caller: Option<(ClientId, Argv<'_>)>, id: ClientId, text: &mut String) {
    use std::fmt::Write;
    let Some(client) = server.clients.get(id) else { return };
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let now = server.keys.now;
    let own = caller.filter(|(asks, _)| *asks == id);
    let argv_bytes: usize = own.map_or(0, |(_, argv)| argv.iter().map(<[u8]>::len).sum());
    let multi_bytes = client.multi.as_ref().map_or(0, |multi| multi.bytes);
    let (input, output) = (client.input.len(), client.reply.out.capacity());
    let pending = client.output_len();
    let unsent = client.replica.as_ref().map_or(0, |replica| server.unsent_to(replica));
    let blocks = server.repl.log.blocks_from(server.repl.log.end() - unsent);
    // What goes beyond a small buffer counts as a list of its own, as stock has it.
    let in_buffer = pending.min(OUTPUT_BUFFER);
    let listed = pending - in_buffer + unsent as usize;
    let blocks = blocks + usize::from(pending > in_buffer);
    let total = unsent as usize + server.client_bytes(id) + argv_bytes;
    let events = if server.event_loop.awaits_writable(client.file) { "rw" } else { "r" };
    let command = client.last_command.map_or("NULL", |index| server.table.commands[index].name.as_str());
    let multi = client.multi.as_ref().map_or(-1, |multi| multi.queued.len() as i64);
    let listens = |space: Space| server.pubsub.count(space, id);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={multi} ",
        id.number,
        client.peer_name,
        client.local_name,
        client.transport.as_raw_fd(),
        shown(&client.name),
        (now - client.created_ms) / 1000,
        (now - client.last_active_ms) / 1000,
        flags_of(client),
        client.session.db,
        listens(Space::Channel),
        listens(Space::Pattern),
        listens(Space::Shard),
    );
    let _ = writeln!(
        text,
        "qbuf={input} qbuf-free={} argv-mem={argv_bytes} multi-mem={multi_bytes} rbs={output} rbp={pending} obl={in_buffer} \
         oll={blocks} omem={listed} tot-mem={total} events={events} cmd={command} user={} redir={} resp={} lib-name={} lib-ver={}",
        client.input.capacity() - input,
        shown(server.user_name(client)),
        tracking::redirect_of(client.tracking.as_deref()),
        if client.reply.resp3 { 3 } else { 2 },
        shown(&client.library.0),
        shown(&client.library.1),
    );
}
