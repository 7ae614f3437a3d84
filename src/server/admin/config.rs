//! CONFIG: the settings of the running server (= the commands of config.c).
//!
//! Names, values and the text of the file are the work of `crate::config`; here is what a change sets in motion.

use crate::acl::User;
use crate::base::process;
use crate::commands::command::{Row, flag};
use crate::commands::{CommandError, error};
use crate::config::{Applied, Config, ConfigError, reason};
use crate::resp::request::Argv;
use crate::server::startup::RESERVED_FILES;
use crate::server::stats::Stats;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server, crash, host, logging};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

type Done = Result<(), CommandError>;

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

/// What is without effect here may stand in a file that comes from elsewhere, but whoever asks for it is told.
const NO_DEFRAG: &str = "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified \
                         Jemalloc like the one shipped by default with the Redis source distribution";

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

const fn sub(name: &'static str, arity: i32, since: &'static str, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row {
        name,
        arity,
        flags: ADMIN,
        categories: 0,
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
    name: "config",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "server",
    since: "2.0.0",
    summary: "Commands about the settings of the server.",
    run: None,
    subcommands: &[
        sub("get", -3, "2.0.0", "Tells the values of settings.", get),
        Row { flags: flag::LOADING | flag::STALE, ..sub("help", 2, "5.0.0", "Tells the subcommands.", help) },
        sub("resetstat", 2, "2.0.0", "Sets the counters of INFO to zero.", resetstat),
        sub("rewrite", 2, "2.8.0", "Writes the settings to the configuration file.", rewrite),
        sub("set", -4, "2.0.0", "Changes settings.", set),
    ],
}];

fn get(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let patterns: Vec<&[u8]> = argv.iter().skip(2).collect();
    let found = server.config.get(&patterns);
    let Some(reply) = server.reply(id) else { return Ok(()) };
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn resetstat(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    Stats::reset(&mut server.stats);
    server.table.reset_stats();
    server.keys.stats = Default::default();
    server.eviction.reset_stats();
    server.keys.reset_freed();
    server.acl_log.denied = Default::default();
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn set(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if argv.len() % 2 == 1 {
        return Err(error::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = (2..argv.len()).step_by(2).map(|at| (argv.at(at), argv.at(at + 1))).collect();
    let is_local = server.is_local(id);
    let refused = |error: ConfigError| CommandError::new(error.to_string());
    let applied = server.config.set(&pairs, is_local).map_err(refused)?;
    server.follow_config(applied).map_err(refused)?;
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

impl Server {
    /// Whether a client is on this machine.
    pub fn is_local(&self, id: ClientId) -> bool {
        let client = self.clients.get(id);
        client.is_some_and(|client| client.transport.peer_ip().is_none_or(|ip| ip.to_canonical().is_loopback()))
    }

    /// Does what the changed settings ask for; where that cannot be, all settings are what they were.
    fn follow_config(&mut self, applied: Applied) -> Result<(), ConfigError> {
        let default_user = self.users.default_user().clone();
        let mut outcome = Ok(());
        for name in &applied.changed {
            outcome = self.follow_setting(name, &applied.before);
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_err() {
            self.put_back(applied, default_user);
        }
        self.apply_limits();
        self.follow_maxmemory();
        self.follow_measuring();
        self.follow_client_limit();
        self.follow_bridge_setting();
        self.check_dialect();
        self.refresh_good_replicas();
        self.update_calm();
        outcome
    }

    fn follow_setting(&mut self, name: &'static str, before: &Config) -> Result<(), ConfigError> {
        match name {
            "port" => self
                .listen_again()
                .map_err(|_| ConfigError::failed(name, "Unable to listen on this port. Check server logs.")),
            "bind" => {
                self.listen_again().map_err(|_| ConfigError::failed(name, "Failed to bind to specified addresses."))
            }
            "maxclients" => raise_maxclients(self.config.maxclients, before.maxclients),
            "dir" => {
                std::env::set_current_dir(&self.config.dir).map_err(|error| ConfigError::failed(name, reason(&error)))
            }
            "repl-backlog-size" => {
                self.trim_log();
                Ok(())
            }
            "crash-log-enabled" | "use-exit-on-panic" | "watchdog-period" => {
                crash::follow(&self.config);
                Ok(())
            }
            "proc-title-template" => {
                host::set_title(&self.config, None);
                Ok(())
            }
            "jemalloc-bg-thread" => {
                self.follow_background_thread();
                Ok(())
            }
            "loglevel" => {
                logging::set_level(self.config.loglevel);
                Ok(())
            }
            "requirepass" => {
                self.update_default_user_password();
                Ok(())
            }
            "activedefrag" if self.config.get(&[b"activedefrag"])[0].1 == b"yes" => {
                Err(ConfigError::failed(name, NO_DEFRAG))
            }
            "oom-score-adj" | "oom-score-adj-values" => self
                .follow_oom_score_adj()
                .map_err(|_| ConfigError::failed(name, "Failed to set current oom_score_adj. Check server logs.")),
            "tls-port" | "tls-cluster" | "tls-replication" => {
                log::warn!("{name}: TLS is not part of this build.");
                Err(ConfigError::failed(name, "Unable to update TLS configuration. Check server logs."))
            }
            _ => Ok(()),
        }
    }

    /// Undoes what `follow_config` began.
    fn put_back(&mut self, applied: Applied, default_user: User) {
        let (sockets, directory) =
            (applied.changed.iter().any(|name| matches!(*name, "port" | "bind")), applied.changed.contains(&"dir"));
        self.config = *applied.before;
        // As before; if even that is refused, the log tells.
        let _ = self.follow_oom_score_adj();
        self.users.put(default_user);
        self.refresh_all_access();
        logging::set_level(self.config.loglevel);
        if directory && let Err(error) = std::env::set_current_dir(&self.config.dir) {
            log::error!("Going back to the directory {}: {error}", self.config.dir.display());
        }
        if sockets && let Err(error) = self.listen_again() {
            log::error!("Going back to the former addresses: {error}");
        }
    }
}

/// Sees to it that so many clients can connect.
fn raise_maxclients(wanted: u32, before: u32) -> Result<(), ConfigError> {
    if wanted <= before {
        return Ok(());
    }
    let got = process::raise_file_limit(u64::from(wanted) + RESERVED_FILES);
    if got >= u64::from(wanted) + RESERVED_FILES {
        return Ok(());
    }
    let possible = got.saturating_sub(RESERVED_FILES);
    let text =
        format!("The operating system is not able to handle the specified number of clients, try with {possible}");
    Err(ConfigError::failed("maxclients", text))
}

fn rewrite(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if server.config.config_file.is_none() {
        return Err(CommandError::new("ERR The server is running without a config file"));
    }
    rewrite_file(server, false).map_err(|error| {
        log::warn!("CONFIG REWRITE failed: {error}");
        CommandError::new(format!("ERR Rewriting config file: {error}"))
    })?;
    log::info!("CONFIG REWRITE executed with success.");
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

/// Writes the settings to the configuration file: it is the new one as a whole or the old one. `all`: also those that
/// have their default value.
pub fn rewrite_file(server: &mut Server, all: bool) -> Result<(), String> {
    // Users stand in one of two files.
    server.config.users = match server.config.aclfile {
        None => server.users.lines().into_iter().map(|line| vec![line["user ".len()..].to_vec()]).collect(),
        Some(_) => Vec::new(),
    };
    let config = &server.config;
    let Some(path) = &config.config_file else { return Err("The server is running without a config file".into()) };
    let write = || -> io::Result<()> {
        let mut old = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        if all {
            mention_all(config, &mut old);
        }
        replace_file(path, &config.rewrite(&old))
    };
    write().map_err(|error| reason(&error))
}

/// Has every setting that CONFIG GET shows stand in the text, so that a rewrite writes it.
fn mention_all(config: &Config, text: &mut Vec<u8>) {
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    for (name, _) in config.get(&[b"*"]) {
        // The classes of buffer limits are settings of their own.
        let classes: &[&[u8]] =
            if name == b"client-output-buffer-limit" { &[b" normal", b" replica", b" pubsub"] } else { &[b""] };
        for class in classes {
            text.extend_from_slice(&[&name, *class, b"\n"].concat());
        }
    }
}

fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", process::pid()));
    let temp = directory.join(name);
    let result = (|| {
        let mut file = File::create(&temp)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        File::open(directory)?.sync_all()
    })();
    if result.is_err() {
        // It may not even have been made; the first error is the one to tell.
        let _ = fs::remove_file(&temp);
    }
    result
}
