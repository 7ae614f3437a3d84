//! MEMORY, and the memory section of INFO (= the second half of object.c).

mod doctor;

use super::info::Line;
use crate::base::{memory, process};
use crate::commands::command::{Row, flag, key, one};
use crate::commands::ctx::{integer, is_option};
use crate::commands::{CommandError, error};
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use crate::types::ValueRef;
use crate::types::entry::Entry;

type Done = Result<(), CommandError>;

/// A key's share of its table: a slot of eight bytes, and of the tags and the room to grow.
const SLOT_BYTES: usize = 16;
/// Elements of a collection that MEMORY USAGE looks at unless it is told otherwise.
const USAGE_SAMPLES: usize = 5;

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
    "HELP",
    "    Prints this help.",
];

const fn sub(name: &'static str, arity: i32, flags: u32, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row {
        name,
        arity,
        flags,
        categories: 0,
        keys: &[],
        group: "server",
        since: "4.0.0",
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "memory",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "server",
    since: "4.0.0",
    summary: "Commands about memory.",
    run: None,
    subcommands: &[
        sub("doctor", 2, 0, "Says whether anything is wrong with the use of memory.", doctor_command),
        sub("help", 2, flag::LOADING | flag::STALE, "Tells the subcommands.", help),
        sub("malloc-stats", 2, 0, "Tells what the allocator has counted.", malloc_stats),
        sub("purge", 2, 0, "Gives unused pages back to the system.", purge),
        sub("stats", 2, 0, "Tells what memory is used for.", stats),
        Row {
            keys: &[one(key::RO, 2)],
            ..sub("usage", -3, flag::READONLY, "Estimates the memory that a key takes.", usage)
        },
    ],
}];

/// Where memory is, in bytes.
struct Figures {
    used: usize,
    peak: usize,
    startup: usize,
    resident: usize,
    allocator: memory::AllocatorStats,
    /// All blocks of the log.
    log: usize,
    /// The part of them that is kept as the backlog; the rest is there for replicas.
    backlog: usize,
    replicas: usize,
    clients: usize,
    tables: usize,
    keys: usize,
    /// How many scripts are kept.
    scripts: usize,
}

/// `part` of `whole`.
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn difference(a: usize, b: usize) -> i64 {
    a as i64 - b as i64
}

impl Figures {
    fn of(server: &Server) -> Self {
        let used = memory::used_memory();
        let clients = |replicas: bool| {
            let wanted = server.clients.iter().filter(|(_, client)| client.replica.is_some() == replicas);
            wanted.map(|(id, _)| server.client_bytes(id)).sum()
        };
        let log = server.repl.log.memory_bytes();
        let backlog = log.min(server.config.repl_backlog_size as usize);
        Figures {
            used,
            peak: server.stats.peak_memory.max(used),
            startup: server.stats.startup_memory,
            resident: process::resident_bytes() as usize,
            allocator: memory::allocator_stats(),
            log,
            backlog,
            replicas: clients(true) + (log - backlog),
            clients: clients(false),
            tables: server.keys.dbs().iter().map(|db| db.table_bytes()).sum(),
            keys: server.keys.total_keys(),
            scripts: server.scripts.len(),
        }
    }

    fn overhead(&self) -> usize {
        self.startup + self.backlog + self.replicas + self.clients + self.tables
    }

    fn dataset(&self) -> usize {
        self.used.saturating_sub(self.overhead())
    }

    fn dataset_percent(&self) -> f64 {
        ratio(self.dataset(), self.used.saturating_sub(self.startup)) * 100.0
    }
}

/// A number of bytes as people read it.
fn human(bytes: usize) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Writes the memory section of INFO.
pub fn write_info(server: &Server, out: &mut String) {
    let figures = Figures::of(server);
    write_usage(&figures, out);
    write_scripts(server, out);
    let max = server.config.maxmemory as usize;
    out.line("maxmemory", max);
    out.line("maxmemory_human", human(max));
    out.line("maxmemory_policy", server.config.maxmemory_policy.word());
    write_fragmentation(&figures, out);
    out.line("mem_not_counted_for_evict", server.memory_not_counted());
    out.line("mem_replication_backlog", figures.backlog);
    out.line("mem_total_replication_buffers", figures.log);
    out.line("mem_clients_slaves", figures.replicas);
    out.line("mem_clients_normal", figures.clients);
    out.line("mem_cluster_links", 0);
    out.line("mem_aof_buffer", 0);
    out.line("mem_allocator", memory::allocator_name());
    out.line("active_defrag_running", 0);
    let (pending, freed) = server.keys.retired_objects();
    out.line("lazyfree_pending_objects", pending);
    out.line("lazyfreed_objects", freed);
}

fn write_usage(figures: &Figures, out: &mut String) {
    out.line("used_memory", figures.used);
    out.line("used_memory_human", human(figures.used));
    out.line("used_memory_rss", figures.resident);
    out.line("used_memory_rss_human", human(figures.resident));
    out.line("used_memory_peak", figures.peak);
    out.line("used_memory_peak_human", human(figures.peak));
    out.line("used_memory_peak_perc", format!("{:.2}%", ratio(figures.used, figures.peak) * 100.0));
    out.line("used_memory_overhead", figures.overhead());
    out.line("used_memory_startup", figures.startup);
    out.line("used_memory_dataset", figures.dataset());
    out.line("used_memory_dataset_perc", format!("{:.2}%", figures.dataset_percent()));
    out.line("allocator_allocated", figures.allocator.allocated);
    out.line("allocator_active", figures.allocator.active);
    out.line("allocator_resident", figures.allocator.resident);
    let total = process::total_system_memory() as usize;
    out.line("total_system_memory", total);
    out.line("total_system_memory_human", human(total));
}

/// What scripts take.
fn write_scripts(server: &Server, out: &mut String) {
    let functions = &server.scripts.functions;
    let (eval, kept) = (server.scripts.engine_bytes(), server.scripts.bytes());
    let (engine, code) = (functions.engine_bytes(), functions.bytes());
    out.line("used_memory_lua", eval);
    out.line("used_memory_vm_eval", eval);
    out.line("used_memory_lua_human", human(eval));
    out.line("used_memory_scripts_eval", kept);
    out.line("number_of_cached_scripts", server.scripts.len());
    out.line("number_of_functions", functions.count());
    out.line("number_of_libraries", functions.libraries().len());
    out.line("used_memory_vm_functions", engine);
    out.line("used_memory_vm_total", eval + engine);
    out.line("used_memory_vm_total_human", human(eval + engine));
    out.line("used_memory_functions", code);
    out.line("used_memory_scripts", kept + code);
    out.line("used_memory_scripts_human", human(kept + code));
}

fn write_fragmentation(figures: &Figures, out: &mut String) {
    let allocator = &figures.allocator;
    for (ratio_name, bytes_name, outer, inner) in [
        ("allocator_frag_ratio", "allocator_frag_bytes", allocator.active, allocator.allocated),
        ("allocator_rss_ratio", "allocator_rss_bytes", allocator.resident, allocator.active),
        ("rss_overhead_ratio", "rss_overhead_bytes", figures.resident, allocator.resident),
        ("mem_fragmentation_ratio", "mem_fragmentation_bytes", figures.resident, figures.used),
    ] {
        out.line(ratio_name, format!("{:.2}", ratio(outer, inner)));
        out.line(bytes_name, difference(outer, inner));
    }
}

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn doctor_command(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let text = doctor::report(&Figures::of(server), server);
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

fn malloc_stats(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let text = memory::allocator_report();
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", &text);
    }
    Ok(())
}

fn purge(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    memory::purge();
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

/// A value of MEMORY STATS.
enum Figure {
    Whole(i64),
    Real(f64),
    /// A database's tables.
    Tables(i64),
}

fn stats(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let figures = Figures::of(server);
    let whole = |bytes: usize| Figure::Whole(bytes as i64);
    let allocator = figures.allocator;
    let mut lines: Vec<(String, Figure)> = Vec::new();
    let mut add = |name: &str, figure: Figure| lines.push((name.into(), figure));
    add("peak.allocated", whole(figures.peak));
    add("total.allocated", whole(figures.used));
    add("startup.allocated", whole(figures.startup));
    add("replication.backlog", whole(figures.backlog));
    add("clients.slaves", whole(figures.replicas));
    add("clients.normal", whole(figures.clients));
    add("cluster.links", Figure::Whole(0));
    add("aof.buffer", Figure::Whole(0));
    add("lua.caches", whole(server.scripts.bytes()));
    add("functions.caches", whole(server.scripts.functions.bytes()));
    for (number, db) in server.keys.dbs().iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        add(&format!("db.{number}"), Figure::Tables(db.table_bytes() as i64));
    }
    add("overhead.total", whole(figures.overhead()));
    add("keys.count", whole(figures.keys));
    add(
        "keys.bytes-per-key",
        whole(figures.used.saturating_sub(figures.startup).checked_div(figures.keys).unwrap_or(0)),
    );
    add("dataset.bytes", whole(figures.dataset()));
    add("dataset.percentage", Figure::Real(figures.dataset_percent()));
    add("peak.percentage", Figure::Real(ratio(figures.used, figures.peak) * 100.0));
    add("allocator.allocated", whole(allocator.allocated));
    add("allocator.active", whole(allocator.active));
    add("allocator.resident", whole(allocator.resident));
    for (name, bytes_name, outer, inner) in [
        ("allocator-fragmentation.ratio", "allocator-fragmentation.bytes", allocator.active, allocator.allocated),
        ("allocator-rss.ratio", "allocator-rss.bytes", allocator.resident, allocator.active),
        ("rss-overhead.ratio", "rss-overhead.bytes", figures.resident, allocator.resident),
        ("fragmentation", "fragmentation.bytes", figures.resident, figures.used),
    ] {
        add(name, Figure::Real(ratio(outer, inner)));
        add(bytes_name, Figure::Whole(difference(outer, inner)));
    }
    let Some(reply) = server.reply(id) else { return Ok(()) };
    reply.map(lines.len());
    for (name, figure) in lines {
        reply.bulk(name.as_bytes());
        match figure {
            Figure::Whole(value) => reply.int(value),
            Figure::Real(value) => reply.double(value),
            Figure::Tables(bytes) => {
                // A key that expires has a mark in the one table, and slots of a cluster there are none.
                let parts = [("main", bytes), ("expires", 0), ("slot-to-keys", 0)];
                reply.map(parts.len());
                for (part, bytes) in parts {
                    reply.bulk(format!("overhead.hashtable.{part}").as_bytes());
                    reply.int(bytes);
                }
            }
        }
    }
    Ok(())
}

/// What an entry takes with all that hangs on it.
fn entry_bytes(entry: &Entry, samples: usize) -> usize {
    let inside = match entry.value() {
        ValueRef::Str(_) if entry.encoding() == "raw" => match entry.value() {
            ValueRef::Str(string) => memory::size_class(string.element().len()),
            _ => 0,
        },
        ValueRef::Str(_) => 0,
        ValueRef::List(list) => list.memory_bytes(),
        ValueRef::Set(set) => set.memory_bytes(samples),
        ValueRef::Hash(hash) => hash.memory_bytes(samples),
        ValueRef::Fading(fading) => fading.memory_bytes(samples),
        ValueRef::ZSet(zset) => zset.memory_bytes(samples),
        ValueRef::Stream(stream) => stream.memory_bytes(samples),
    };
    memory::size_class(entry.memory_bytes()) + SLOT_BYTES + inside
}

fn usage(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let mut samples = USAGE_SAMPLES;
    let mut at = 3;
    while let Some(word) = argv.get(at) {
        let Some(count) = argv.get(at + 1).filter(|_| is_option(word, "SAMPLES")) else { return Err(error::SYNTAX) };
        samples = usize::try_from(integer(count)?).map_err(|_| error::SYNTAX)?;
        at += 2;
    }
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    server.keys.select(client.session.db);
    match server.keys.peek(argv.at(2)) {
        Some(entry) => client.reply.len(entry_bytes(entry, samples)),
        None => client.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_as_stock_tells_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_015_080, "991.29K"),
            (1_035_320, "1011.05K"),
            (12_255_232, "11.69M"),
            (25_276_530_688, "23.54G"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn what_is_not_measured_divides_nothing_by_nothing() {
        assert_eq!((ratio(1, 0), ratio(1, 4)), (0.0, 0.25));
    }
}
