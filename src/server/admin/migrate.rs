//! MIGRATE: takes keys to another server, which has them from then on (= migrateCommand of cluster.c). Everybody waits
//! meanwhile, as in the ancestor, but at each step no longer than the command says.
//!
//! A key goes only when the other server has said `+` to its RESTORE. The ancestor holds whatever does not begin with
//! `-` for a yes, and loses a key to a server that speaks another language.
//!
//! Deliberately absent: the ancestor keeps the connection for ten seconds, for the next call.

use crate::commands::command::{Begin, Find, KeySpec, Row, category, flag, key, one};
use crate::commands::ctx::{integer, is_option};
use crate::commands::effects::class;
use crate::commands::{CommandError, error};
use crate::persist::rdb::dump_payload;
use crate::reactor::BlockingLink;
use crate::resp::reply::encode_command;
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use std::net::ToSocketAddrs;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "migrate",
    arity: -6,
    flags: flag::WRITE | flag::MOVABLEKEYS,
    categories: category::KEYSPACE | category::DANGEROUS,
    keys: &[
        one(key::RW | key::ACCESS | key::DELETE, 3),
        KeySpec {
            flags: key::RW | key::ACCESS | key::DELETE | key::INCOMPLETE,
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
        },
    ],
    group: "generic",
    since: "2.6.0",
    summary: "Takes keys to another server.",
    run: Some(migrate),
    subcommands: &[],
}];

const CONNECTING: &str = "IOERR error or timeout connecting to the client";
const WRITING: &str = "IOERR error or timeout writing to target instance";
const READING: &str = "IOERR error or timeout reading to target instance";
/// How long each step may take where the command says nothing sensible.
const PATIENCE_MS: i64 = 1000;

/// What is asked for.
struct Plan<'a> {
    db: i64,
    patience_ms: u64,
    copy: bool,
    replace: bool,
    /// The command that says who we are, if there is one.
    auth: &'a [&'a [u8]],
    keys: Argv<'a>,
}

/// The options: (copy, replace, where what AUTH has begins and its length, where the keys begin).
type Options = (bool, bool, Option<(usize, usize)>, Option<usize>);

fn options(argv: Argv<'_>) -> Result<Options, CommandError> {
    let (mut copy, mut replace, mut auth) = (false, false, None);
    let mut at = 6;
    while let Some(word) = argv.get(at) {
        let more = argv.len() - 1 - at;
        match word {
            _ if is_option(word, "COPY") => copy = true,
            _ if is_option(word, "REPLACE") => replace = true,
            _ if is_option(word, "AUTH") && more >= 1 => {
                auth = Some((at + 1, 1));
                at += 1;
            }
            _ if is_option(word, "AUTH2") && more >= 2 => {
                auth = Some((at + 1, 2));
                at += 2;
            }
            _ if is_option(word, "KEYS") && argv.at(3).is_empty() => return Ok((copy, replace, auth, Some(at + 1))),
            _ if is_option(word, "KEYS") => {
                return Err(CommandError::new(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            _ => return Err(error::SYNTAX),
        }
        at += 1;
    }
    Ok((copy, replace, auth, None))
}

fn migrate(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
    let (copy, replace, auth, first_key) = options(argv)?;
    let (patience_ms, db) = (integer(argv.at(5))?, integer(argv.at(4))?);
    let words = |(at, count)| [b"AUTH".as_slice()].into_iter().chain(argv.from(at).iter().take(count)).collect();
    let auth: Vec<&[u8]> = auth.map_or(Vec::new(), words);
    let plan = Plan {
        db,
        patience_ms: if patience_ms > 0 { patience_ms } else { PATIENCE_MS } as u64,
        copy,
        replace,
        auth: &auth,
        keys: argv.from(first_key.unwrap_or(3)),
    };
    let count = if first_key.is_some() { plan.keys.len() } else { 1 };
    if let Some(client) = server.clients.get(id) {
        server.keys.select(client.session.db);
    }
    let mut request = plan.preface();
    let keys = plan.pack(server, count, &mut request);
    let answer = if keys.is_empty() { "NOKEY" } else { "OK" };
    let outcome = if keys.is_empty() { Ok(()) } else { plan.carry(server, argv, &keys, &request) };
    match server.reply(id) {
        Some(reply) if outcome.is_ok() => reply.status(answer),
        _ => {}
    }
    outcome
}

impl Plan<'_> {
    /// What is said before the first key.
    fn preface(&self) -> Vec<u8> {
        let mut request = Vec::new();
        if !self.auth.is_empty() {
            encode_command(&mut request, self.auth.iter().copied());
        }
        if self.selects() {
            encode_command(&mut request, [b"SELECT".as_slice(), self.db.to_string().as_bytes()].into_iter());
        }
        request
    }

    /// A connection that is new is in no database: as the ancestor remembers it, in number −1.
    fn selects(&self) -> bool {
        self.db != -1
    }

    /// Appends what makes the keys there again; returns those that are here.
    fn pack<'k>(&'k self, server: &mut Server, count: usize, request: &mut Vec<u8>) -> Vec<&'k [u8]> {
        let (now, compress) = (server.keys.now, server.limits.compress_dumps);
        let mut found = Vec::new();
        for name in self.keys.iter().take(count) {
            let Some(entry) = server.keys.read(name) else { continue };
            let ttl_ms = entry.expire_ms().map_or(0, |at| (at - now).max(1));
            let payload = dump_payload(entry.value(), compress);
            let ttl = ttl_ms.to_string();
            let words = [b"RESTORE".as_slice(), name, ttl.as_bytes(), &payload, b"REPLACE"];
            encode_command(request, words.into_iter().take(if self.replace { 5 } else { 4 }));
            found.push(name);
        }
        found
    }

    /// Sends it all, and lets those keys go that have arrived.
    fn carry(&self, server: &mut Server, argv: Argv<'_>, keys: &[&[u8]], request: &[u8]) -> Result<(), CommandError> {
        let mut link = connect(server, argv, self.patience_ms)?;
        link.write_all(&server.clock, request).map_err(|error| {
            log::warn!("MIGRATE: writing to the target: {error}");
            CommandError::new(WRITING)
        })?;
        let mut arrived = Vec::new();
        let outcome = self.read_answers(server, &mut link, keys, &mut arrived);
        if !self.copy && !arrived.is_empty() {
            for name in &arrived {
                server.keys.delete(name);
                server.keys.dirty += 1;
                server.keys.signal_modified(name);
                server.keys.event(class::GENERIC, "del", name);
            }
            let words: Vec<&[u8]> = [b"DEL".as_slice()].into_iter().chain(arrived).collect();
            server.effects.propagate_as(&words);
        }
        outcome
    }

    /// Reads an answer to each command that was sent; an error to the first ones is one to all.
    fn read_answers<'k>(
        &self,
        server: &Server,
        link: &mut BlockingLink,
        keys: &[&'k [u8]],
        arrived: &mut Vec<&'k [u8]>,
    ) -> Result<(), CommandError> {
        let mut answer = || link.read_line(&server.clock).map_err(|_| CommandError::new(READING));
        let mut refusal = None;
        for _ in 0..usize::from(!self.auth.is_empty()) + usize::from(self.selects()) {
            let line = answer()?;
            refusal = refusal.or((line.first() != Some(&b'+')).then_some(line));
        }
        let is_welcome = refusal.is_none();
        for name in keys {
            let line = answer()?;
            if line.first() != Some(&b'+') {
                refusal = refusal.or(Some(line));
            } else if is_welcome {
                arrived.push(name);
            }
        }
        let text = "ERR Target instance replied with error: ";
        let said = |line: &[u8]| line.strip_prefix(b"-").unwrap_or(line).to_vec();
        refusal.map_or(Ok(()), |line| Err(CommandError::bytes([text.as_bytes(), &said(&line)].concat())))
    }
}

/// Connects to the target. That nobody listens there the ancestor learns only when it writes.
fn connect(server: &Server, argv: Argv<'_>, patience_ms: u64) -> Result<BlockingLink, CommandError> {
    let connecting = || CommandError::new(CONNECTING);
    let host = std::str::from_utf8(argv.at(1)).map_err(|_| connecting())?;
    // As C reads numbers: what is none is 0, where nobody listens.
    let port = integer(argv.at(2)).unwrap_or(0) as u16;
    let mut addresses = (host, port).to_socket_addrs().map_err(|_| connecting())?;
    let address = addresses.next().ok_or_else(connecting)?;
    server.network.connect_blocking(address, patience_ms).map_err(|error| {
        log::debug!("MIGRATE: connecting to {address}: {error}");
        CommandError::new(if error.kind() == std::io::ErrorKind::TimedOut { CONNECTING } else { WRITING })
    })
}
