//! INFO: the server's figures, section by section (= genRedisInfoString of server.c).
//!
//! Names and order are those of Redis 7.2, for programs look for them; after `redis_version` stands who we are. What
//! this server does not have (AOF, a cluster, modules) is told as 0, as a stock server without it does.

mod fields;
pub mod replication;

use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag};
use crate::resp::request::Argv;
use crate::server::progress::State;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use std::fmt::Write;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "info",
    arity: -1,
    flags: flag::LOADING | flag::STALE,
    categories: category::DANGEROUS,
    keys: &[],
    group: "server",
    since: "1.0.0",
    summary: "Tells figures about the server and what it has done.",
    run: Some(info),
    subcommands: &[],
}];

/// A line of INFO: its name, and where its value comes from.
type Field = (&'static str, fn(&Server) -> String);

/// What a section is made of.
enum Part {
    /// Lines that are always there.
    Fields(&'static [Field]),
    /// Lines that depend on the state.
    Text(fn(&Server, &mut String)),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    ByDefault,
    /// With `all` and `everything`.
    WithAll,
    ByName,
}

struct Section {
    name: &'static str,
    /// Who is told: the least that must be asked for.
    told: Told,
    parts: &'static [Part],
}

const fn section(name: &'static str, parts: &'static [Part]) -> Section {
    Section { name, told: Told::ByDefault, parts }
}

const fn on_demand(name: &'static str, parts: &'static [Part]) -> Section {
    Section { name, told: Told::WithAll, parts }
}

/// All sections in their order.
const SECTIONS: &[Section] = &[
    section("Server", &[Part::Fields(fields::SERVER), Part::Text(listeners)]),
    section("Clients", &[Part::Fields(fields::CLIENTS)]),
    section("Memory", &[Part::Text(super::memory::write_info)]),
    section("Persistence", &[Part::Fields(fields::PERSISTENCE), Part::Text(loading)]),
    section("Stats", &[Part::Fields(fields::STATS)]),
    section("Replication", &[Part::Text(replication::write)]),
    section("CPU", &[Part::Fields(fields::CPU)]),
    section("Modules", &[]),
    on_demand("Commandstats", &[Part::Text(command_stats)]),
    section("Errorstats", &[Part::Text(error_stats)]),
    on_demand("Latencystats", &[Part::Text(super::latency::write_info)]),
    section("Cluster", &[Part::Fields(&[("cluster_enabled", |_| "0".into())])]),
    section("Keyspace", &[Part::Text(keyspace)]),
    Section { name: "Debug", told: Told::ByName, parts: &[Part::Fields(fields::DEBUG)] },
];

/// A text that lines of INFO are appended to.
pub trait Line {
    /// Appends a line.
    fn line(&mut self, name: &str, value: impl std::fmt::Display);
}

impl Line for String {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing into a string cannot fail.
        let _ = write!(self, "{name}:{value}\r\n");
    }
}

/// The text of the sections that are asked for: their names in any case, or `default`, `all`, `everything`.
pub fn text(server: &Server, asked: &[&[u8]]) -> String {
    let any = |name: &str| asked.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let told = match asked {
        _ if any("all") || any("everything") => Some(Told::WithAll),
        _ if asked.is_empty() || any("default") => Some(Told::ByDefault),
        _ => None,
    };
    let mut out = String::with_capacity(8192);
    for section in SECTIONS {
        let in_general = told.is_some_and(|told| section.told <= told);
        if !(in_general || any(section.name)) {
            continue;
        }
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        let _ = write!(out, "# {}\r\n", section.name);
        for part in section.parts {
            match part {
                Part::Fields(fields) => fields.iter().for_each(|(name, value)| out.line(name, value(server))),
                Part::Text(write) => write(server, &mut out),
            }
        }
    }
    out
}

fn info(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
    let asked: Vec<&[u8]> = argv.iter().skip(1).collect();
    // Cron has not seen every peak.
    server.stats.peak_memory = server.stats.peak_memory.max(server.used_memory());
    let text = text(server, &asked);
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

fn listeners(server: &Server, out: &mut String) {
    let config = &server.config;
    let tcp = (config.port != 0).then(|| {
        let binds: String = config.bind.iter().map(|address| format!("bind={address},")).collect();
        format!("name=tcp,{binds}port={}", config.port)
    });
    let unix = config.unixsocket.as_ref().map(|path| format!("name=unix,bind={}", path.display()));
    for (number, listener) in tcp.into_iter().chain(unix).enumerate() {
        out.line(&format!("listener{number}"), listener);
    }
}

/// The progress of a load.
fn loading(server: &Server, out: &mut String) {
    let (Some(job), Some(state)) = (server.load_job(), server.load_state()) else { return };
    let elapsed = (server.clock.unix_ms() - job.started_ms) as f64 / 1000.0;
    let percent = if job.total > 0 { job.loaded as f64 / job.total as f64 * 100.0 } else { 0.0 };
    let left = job.total.saturating_sub(job.loaded) as f64;
    let eta = match (job.total, job.loaded) {
        (0, _) => state.seconds_left(),
        (_, 0) => 1,
        _ => (elapsed * left / job.loaded as f64) as i64,
    };
    out.line("loading_start_time", job.started_ms / 1000);
    out.line("loading_total_bytes", job.total);
    out.line("loading_rdb_used_mem", job.used_memory_at_save());
    out.line("loading_loaded_bytes", job.loaded);
    out.line("loading_loaded_perc", format!("{percent:.2}"));
    out.line("loading_eta_seconds", eta);
    progress(out, "loading", "loaded", state);
}

/// How far something is in keys, and how fast it goes.
fn progress(out: &mut String, what: &str, done: &str, state: State) {
    out.line(&format!("{what}_{done}_keys"), state.done.keys);
    out.line(&format!("{what}_total_keys"), state.total.keys);
    out.line(&format!("{what}_bytes_per_sec"), state.rate.bytes as u64);
    out.line(&format!("{what}_keys_per_sec"), state.rate.keys as u64);
}

fn command_stats(server: &Server, out: &mut String) {
    for command in &server.table.commands {
        let stats = &command.stats;
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let usec = server.ticks_to_us(stats.ticks);
        let per_call = if stats.calls > 0 { usec as f64 / stats.calls as f64 } else { 0.0 };
        let value = format!(
            "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            stats.calls, stats.rejected, stats.failed
        );
        out.line(&format!("cmdstat_{}", command.name), value);
    }
}

fn error_stats(server: &Server, out: &mut String) {
    for (code, count) in &server.stats.errors {
        out.line(&format!("errorstat_{code}"), format!("count={count}"));
    }
}

fn keyspace(server: &Server, out: &mut String) {
    for (number, db) in server.keys.dbs().iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let value = format!("keys={},expires={},avg_ttl={}", db.len(), db.volatile(), db.avg_ttl_ms);
        out.line(&format!("db{number}"), value);
    }
}
