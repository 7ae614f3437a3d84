//! Commands of a connection: PING, AUTH, HELLO, SELECT, QUIT, RESET.

use crate::commands::command::{Row, category, flag};
use crate::commands::ctx::{integer, is_option};
use crate::commands::{CommandError, error};
use crate::resp::request::Argv;
use crate::server::client::{Access, ReplyMode};
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    Row {
        name: "ping",
        arity: -1,
        flags: flag::FAST,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "1.0.0",
        summary: "Ping the server",
        run: Some(ping),
        subcommands: &[],
    },
    Row {
        name: "auth",
        arity: -2,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "1.0.0",
        summary: "Authenticate to the server",
        run: Some(auth),
        subcommands: &[],
    },
    Row {
        name: "hello",
        arity: -1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "6.0.0",
        summary: "Handshake with Redis",
        run: Some(hello),
        subcommands: &[],
    },
    Row {
        name: "select",
        arity: 2,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "1.0.0",
        summary: "Change the selected database for the current connection",
        run: Some(select),
        subcommands: &[],
    },
    Row {
        name: "quit",
        arity: -1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "1.0.0",
        summary: "Close the connection",
        run: Some(quit),
        subcommands: &[],
    },
    Row {
        name: "reset",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY,
        categories: category::CONNECTION,
        keys: &[],
        group: "connection",
        since: "6.2.0",
        summary: "Reset the connection",
        run: Some(reset),
        subcommands: &[],
    },
];

fn ping(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 2 {
        return Err(CommandError::wrong_arity("ping"));
    }
    if let Some(client) = server.clients.get_mut(id) {
        let reply = &mut client.reply;
        match argv.get(1) {
            // Among messages, an answer must have their shape.
            message if client.is_subscriber && !reply.resp3 => {
                reply.array(2);
                reply.bulk(b"pong");
                reply.bulk(message.unwrap_or(b""));
            }
            Some(message) => reply.bulk(message),
            None => reply.out.extend_from_slice(b"+PONG\r\n"),
        }
    }
    Ok(())
}

fn auth(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() > 3 {
        return Err(error::SYNTAX);
    }
    if argv.len() == 2 && server.users.default_user().needs_no_password() {
        return Err(CommandError::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ));
    }
    let (user, password) = if argv.len() == 3 { (argv.at(1), argv.at(2)) } else { (b"default".as_slice(), argv.at(1)) };
    server.log_in(id, argv.at(0), user, password)?;
    if let Some(client) = server.clients.get_mut(id) {
        client.reply.ok();
    }
    Ok(())
}

/// What HELLO was asked for.
struct Hello<'a> {
    protocol: Option<i64>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn parse_hello(argv: Argv<'_>) -> Result<Hello<'_>, CommandError> {
    let mut hello = Hello { protocol: None, credentials: None, name: None };
    if let Some(version) = argv.get(1) {
        let version = integer(version)
            .map_err(|_| CommandError::new("ERR Protocol version is not an integer or out of range"))?;
        if !(2..=3).contains(&version) {
            return Err(CommandError::new("NOPROTO unsupported protocol version"));
        }
        hello.protocol = Some(version);
    }
    let mut at = 2;
    while at < argv.len() {
        let more = argv.len() - at - 1;
        if is_option(argv.at(at), "AUTH") && more >= 2 {
            hello.credentials = Some((argv.at(at + 1), argv.at(at + 2)));
            at += 3;
        } else if is_option(argv.at(at), "SETNAME") && more >= 1 {
            check_client_name(argv.at(at + 1))?;
            hello.name = Some(argv.at(at + 1));
            at += 2;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", argv.at(at), "'"));
        }
    }
    Ok(hello)
}

/// A name for CLIENT SETNAME and HELLO: no blanks, no line breaks.
pub fn check_client_name(name: &[u8]) -> Done {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(CommandError::new("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn hello(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let asked = parse_hello(argv)?;
    if let Some((user, password)) = asked.credentials {
        server.log_in(id, argv.at(0), user, password)?;
    }
    let role = if server.repl.is_replica() { "replica" } else { "master" };
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    if client.access == Access::Login {
        return Err(CommandError::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = asked.name {
        client.name = name.to_vec();
    }
    if let Some(version) = asked.protocol {
        client.reply.resp3 = version == 3;
    }
    let resp3 = client.reply.resp3;
    let reply = &mut client.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::config::COMPATIBLE_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id.number as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(role.as_bytes());
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn select(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let index = integer(argv.at(1))?;
    if i32::try_from(index).is_err() {
        return Err(CommandError::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let count = server.keys.database_count();
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    match usize::try_from(index) {
        Ok(index) if index < count => {
            client.session.db = index;
            client.reply.ok();
            Ok(())
        }
        _ => Err(error::DB_OUT_OF_RANGE),
    }
}

fn quit(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if let Some(client) = server.clients.get_mut(id) {
        client.reply.ok();
        client.close_after_reply = true;
    }
    Ok(())
}

fn reset(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if server.clients.get(id).is_some_and(|client| client.replica.is_some() || client.is_master()) {
        return Err(CommandError::new("ERR can only reset normal client connections"));
    }
    server.unwatch_all(id);
    server.unsubscribe_all(id);
    server.log_out(id);
    server.stop_monitoring(id);
    server.set_no_touch(id, false);
    server.disable_tracking(id);
    if let Some(client) = server.clients.get_mut(id) {
        client.multi = None;
        client.reply.resp3 = false;
        client.session.db = 0;
        client.name.clear();
        if std::mem::replace(&mut client.reply_mode, ReplyMode::On) == ReplyMode::Off {
            client.muted_from = None;
        }
        client.no_evict = false;
        client.reply.status("RESET");
    }
    Ok(())
}
