//! MEMORY DOCTOR: what is odd about the use of memory, in words (= getMemoryDoctorReport of object.c).

use super::{Figures, ratio};
use crate::server::Server;

/// Below so much used memory nothing can be said.
const NEXT_TO_NOTHING: usize = 5 << 20;
/// The peak is odd from so much of the present use on.
const PEAK: f64 = 1.5;
/// Fragmentation and overheads are odd from this ratio on, and
const EXCESS: f64 = 1.4;
/// the allocator's own overhead from this one on,
const OVERHEAD: f64 = 1.1;
/// if so many bytes are concerned.
const EXCESS_BYTES: usize = 10 << 20;
/// A client is big, on the average, from so many bytes on.
const CLIENT_BYTES: usize = 200 << 10;
/// And a replica.
const REPLICA_BYTES: usize = 10 << 20;
/// Scripts are many from this number on.
const SCRIPTS: usize = 1000;

/// What a check looks at, and what it has to say.
type Ailment = (fn(&Figures, &Server) -> bool, &'static str);

fn exceeds(outer: usize, inner: usize, limit: f64) -> bool {
    ratio(outer, inner) > limit && outer.saturating_sub(inner) > EXCESS_BYTES
}

const AILMENTS: &[Ailment] = &[
    (
        |figures, _| figures.peak as f64 > figures.used as f64 * PEAK,
        "Peak memory: once, more than one and a half times as much memory was used as now. The allocator may not give \
         all of it back to the system, so the resident memory can stay as high; it will be used again as the data \
         grows. MEMORY PURGE gives back what it can.",
    ),
    (
        |figures, _| exceeds(figures.resident, figures.used, EXCESS),
        "High total RSS: the resident memory is more than 1.4 times the memory that is used. A peak in the past (see \
         above, if it is mentioned) explains that; otherwise the memory is fragmented.",
    ),
    (
        |figures, _| exceeds(figures.allocator.active, figures.allocator.allocated, EXCESS),
        "High allocator fragmentation: pages of the allocator are only partly in use, more than 1.4 bytes for each byte \
         that is. That happens where values of many sizes come and go; a restart, or a full sync into a fresh \
         replica that is promoted then, packs them again.",
    ),
    (
        |figures, _| exceeds(figures.allocator.resident, figures.allocator.active, OVERHEAD),
        "High allocator RSS overhead: the allocator keeps more than a tenth of its memory for pages that it does not use \
         and has not given back to the system yet. MEMORY PURGE has it do so.",
    ),
    (
        |figures, _| exceeds(figures.resident, figures.allocator.resident, OVERHEAD),
        "High process RSS overhead: more than a tenth of the resident memory is none of the allocator's: stacks, code, \
         buffers of libraries.",
    ),
    (
        |figures, server| figures.clients > CLIENT_BYTES * normal_clients(server).max(1),
        "Big client buffers: clients take more than 200 KB each, on the average. Somebody sends very long commands, or \
         reads his replies more slowly than they come (CLIENT LIST tells who); 'client-output-buffer-limit' bounds it.",
    ),
    (
        |figures, server| figures.replicas > REPLICA_BYTES * server.repl.attached.len().max(1),
        "Big replica buffers: what waits for replicas is more than 10 MB each. A replica does not keep up with the \
         stream: look at its link and its load, and at 'slave0' and so on in INFO REPLICATION.",
    ),
    (
        |figures, _| figures.scripts > SCRIPTS,
        "Many scripts: more than 1000 are kept. Scripts that are made anew for each call, with values in their text, \
         fill memory; values belong into KEYS and ARGV. SCRIPT FLUSH removes them all.",
    ),
];

fn normal_clients(server: &Server) -> usize {
    server.clients.iter().filter(|(_, client)| client.replica.is_none()).count()
}

/// The report.
pub(super) fn report(figures: &Figures, server: &Server) -> String {
    if figures.used < NEXT_TO_NOTHING {
        return "This server uses next to no memory, so there is nothing to be said about it yet.\n".into();
    }
    let found: Vec<&str> =
        AILMENTS.iter().filter(|(check, _)| check(figures, server)).map(|(_, advice)| *advice).collect();
    if found.is_empty() {
        return "No problem was found with the memory of this server.\n".into();
    }
    let mut text = "The memory of this server shows:\n\n".to_string();
    for advice in found {
        text.push_str(" * ");
        text.push_str(advice);
        text.push_str("\n\n");
    }
    text
}
