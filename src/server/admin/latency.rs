//! LATENCY: events that took long, and how long commands take.

mod graph;

use super::sub;
use crate::commands::CommandError;
use crate::commands::command::{Row, flag};
use crate::commands::error::c_string;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::histogram::{Histogram, highest_equivalent};
use crate::server::latency::Series;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};
use std::fmt::Write;

type Done = Result<(), CommandError>;

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "latency",
    arity: -2,
    flags: 0,
    categories: 0,
    keys: &[],
    group: "server",
    since: "2.8.13",
    summary: "Groups the commands about latency.",
    run: None,
    subcommands: &[
        sub("doctor", 2, ADMIN, "2.8.13", "Says what the latency monitor has seen, and what to do.", doctor),
        sub("graph", 3, ADMIN, "2.8.13", "Draws the latency of an event over time.", graph_of),
        sub("help", 2, flag::LOADING | flag::STALE, "2.8.13", "Lists the subcommands.", help),
        sub("histogram", -2, ADMIN, "7.0.0", "Tells how long commands took, by the number of their calls.", histogram),
        sub("history", 3, ADMIN, "2.8.13", "Tells the samples of an event.", history),
        sub("latest", 2, ADMIN, "2.8.13", "Tells the last sample of each event.", latest),
        sub("reset", -2, ADMIN, "2.8.13", "Forgets the samples of events.", reset),
    ],
}];

const HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Say what the latency monitor has seen, and what can be done about it.",
    "GRAPH <event>",
    "    Draw the latency of an event over time.",
    "HISTORY <event>",
    "    Tell the samples of an event, each with its time.",
    "LATEST",
    "    Tell the last sample of each event.",
    "RESET [<event> ...]",
    "    Forget the samples of these events (default: of all).",
    "HISTOGRAM [COMMAND ...]",
    "    Tell how many calls of these commands (default: of all) took no longer than so many",
    "    microseconds.",
    "HELP",
    "    Show this text.",
];

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn latest(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let reply = &mut client.reply;
    reply.array(server.latency.iter().count());
    for (event, series) in server.latency.iter() {
        let Some(last) = series.samples.last() else { continue };
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.int(last.time_s);
        reply.int(last.latency_ms as i64);
        reply.int(series.max_ms as i64);
    }
    Ok(())
}

fn history(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let samples = server.latency.get(argv.at(2)).map_or(&[][..], |series| &series.samples);
    client.reply.array(samples.len());
    for sample in samples {
        client.reply.array(2);
        client.reply.int(sample.time_s);
        client.reply.int(sample.latency_ms as i64);
    }
    Ok(())
}

fn graph_of(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let event = argv.at(2);
    let Some(series) = server.latency.get(event) else {
        return Err(CommandError::quoting("ERR No samples available for event '", event, "'"));
    };
    let now_s = server.keys.now / 1000;
    let (low, high) = series.summary(now_s).range_ms;
    let name = String::from_utf8_lossy(c_string(event));
    let all_time = series.max_ms;
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {all_time} ms)\n");
    text.extend(std::iter::repeat_n('-', graph::COLUMNS));
    text.push('\n');
    graph::draw(&series.samples, now_s, &mut text);
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

fn reset(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let count = match argv.len() {
        2 => server.latency.reset(),
        _ => argv.from(2).iter().filter(|event| server.latency.forget(event)).count(),
    };
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}

/// What to think of an event that took long.
fn advice(event: &str) -> &'static str {
    match event {
        "command" | "fast-command" => {
            "Look at SLOWLOG GET for the commands that take long, and do with smaller values or smaller steps (SCAN in \
             place of KEYS, UNLINK in place of DEL). Where even fast commands take long, something else holds the \
             process up: swapping, other processes, or a virtual machine that is not scheduled."
        }
        "fork" => {
            "A fork takes longer the more memory there is to share. Transparent huge pages make it and what follows \
             worse; see whether /sys/kernel/mm/transparent_hugepage/enabled says never."
        }
        "expire-cycle" | "expire-del" => {
            "Many keys expire at the same time. Spread their times to live, or set lazyfree-lazy-expire."
        }
        "eviction-cycle" | "eviction-del" => {
            "Memory is short and keys must go for each write. Give more memory, or set lazyfree-lazy-eviction."
        }
        _ => "The disk or the machine holds the process up. See what else works on them.",
    }
}

fn doctor(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let now_s = server.keys.now / 1000;
    let mut text = String::new();
    let events: Vec<(&str, &Series)> = server.latency.iter().collect();
    if server.config.latency_monitor_threshold == 0 && events.is_empty() {
        text.push_str(
            "Nothing can be said: the latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> \
             turns it on.\n",
        );
    } else if events.is_empty() {
        text.push_str("No event has taken longer than latency-monitor-threshold says. All is well.\n");
    } else {
        text.push_str("These events have taken longer than latency-monitor-threshold says:\n\n");
        for (number, (event, series)) in events.iter().enumerate() {
            let summary = series.summary(now_s);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time \
                 event {}ms.",
                number + 1,
                series.samples.len(),
                summary.average_ms,
                summary.deviation_ms,
                summary.period_s,
                series.max_ms,
            );
        }
        text.push_str("\nWhat can be done about it:\n\n");
        let mut given: Vec<&str> = Vec::new();
        for advice in events.iter().map(|(event, _)| advice(event)) {
            if !given.contains(&advice) {
                given.push(advice);
                let _ = writeln!(text, "- {advice}");
            }
        }
    }
    if let Some(reply) = server.reply(id) {
        reply.verbatim("txt", text.as_bytes());
    }
    Ok(())
}

/// The commands asked for that have been measured: those of the names, of a container all its subcommands.
fn measured(server: &Server, argv: Argv<'_>) -> Vec<usize> {
    let table = &server.table;
    let mut chosen = Vec::new();
    match argv.len() {
        2 => chosen.extend(0..table.commands.len()),
        _ => {
            for index in argv.from(2).iter().filter_map(|name| table.by_full_name(name)) {
                chosen.push(index);
                chosen.extend(&table.commands[index].subcommands);
            }
        }
    }
    chosen.retain(|&index| table.histogram(index).is_some_and(|histogram| histogram.total() > 0));
    chosen
}

fn describe(reply: &mut Reply, histogram: &Histogram, ns_per_tick: f64) {
    let limits = histogram.cumulative(ns_per_tick);
    reply.map(2);
    reply.bulk(b"calls");
    reply.int(histogram.total() as i64);
    reply.bulk(b"histogram_usec");
    reply.map(limits.len());
    for (limit_us, count) in limits {
        reply.int(limit_us as i64);
        reply.int(count as i64);
    }
}

fn histogram(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let chosen = measured(server, argv);
    let ns_per_tick = 1000.0 / server.ticks_per_us;
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    client.reply.map(chosen.len());
    for index in chosen {
        let Some(histogram) = server.table.histogram(index) else { continue };
        client.reply.bulk(server.table.commands[index].name.as_bytes());
        describe(&mut client.reply, histogram, ns_per_tick);
    }
    Ok(())
}

/// The lines of INFO latencystats.
pub fn write_info(server: &Server, out: &mut String) {
    if !server.config.latency_tracking {
        return;
    }
    for (index, command) in server.table.commands.iter().enumerate() {
        let Some(histogram) = server.table.histogram(index).filter(|histogram| histogram.total() > 0) else { continue };
        let told = server.config.latency_tracking_info_percentiles.iter().map(|&percent| {
            let ticks = histogram.percentile(percent) as f64;
            let us = highest_equivalent((ticks * 1000.0 / server.ticks_per_us) as u64) as f64 / 1000.0;
            let mut name = Vec::new();
            crate::base::numbers::format_f64(percent, &mut name);
            format!("p{}={us:.3}", String::from_utf8_lossy(&name))
        });
        let told = told.collect::<Vec<_>>().join(",");
        let _ = write!(out, "latency_percentiles_usec_{}:{told}\r\n", command.name);
    }
}
