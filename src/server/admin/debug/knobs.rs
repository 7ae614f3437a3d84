//! Subcommands of DEBUG that look at one value's bytes, at the allocator, or turn something off that is in a test's way.

use super::{Done, answer, switch};
use crate::base::{glob, memory};
use crate::commands::ctx::is_option;
use crate::commands::{CommandError, error};
use crate::config::parse_memory;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::{ClientId, Server};
use crate::types::{StrRef, ValueRef};

/// So many pairs are matched by STRINGMATCH-TEST.
const MATCHES: usize = 100_000;
/// The bound of QUICKLIST-PACKED-THRESHOLD, exclusive.
const PACKED_MAX: i128 = 4 << 30;

/// DEBUG SDSLEN: what a stock server tells of its strings. Ours have no spare room that they would tell of.
pub fn sdslen(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let key = argv.at(2);
    let entry = server.keys.peek(key).ok_or(error::NO_SUCH_KEY)?;
    let ValueRef::Str(StrRef::Bytes(bytes)) = entry.value() else {
        return Err(CommandError::new("ERR Not an sds encoded string."));
    };
    let text = format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{}, val_sds_avail:0, val_zmalloc: {}",
        key.len(),
        memory::size_class(key.len() + 2),
        bytes.len(),
        memory::size_class(bytes.len() + 2),
    );
    answer(server, id, |reply| reply.status(&text))
}

/// DEBUG LEAK
pub fn leak(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let lost = Box::leak(Box::<[u8]>::from(argv.at(2)));
    log::debug!("{} bytes are lost as DEBUG LEAK wants it", lost.len());
    answer(server, id, Reply::ok)
}

fn refused(why: memory::MallctlError) -> CommandError {
    CommandError::new(match why {
        memory::MallctlError::NoSuchName => "ERR No such file or directory",
        memory::MallctlError::Invalid => "ERR Invalid argument",
    })
}

/// DEBUG MALLCTL: reads an integer of the allocator, and sets it.
pub fn mallctl(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let value = argv.get(3).map(crate::commands::ctx::integer).transpose()?;
    let old = memory::mallctl(argv.at(2), value).map_err(refused)?;
    answer(server, id, |reply| reply.int(old))
}

/// DEBUG MALLCTL-STR: reads a text of the allocator.
pub fn mallctl_str(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let text = memory::mallctl_str(argv.at(2)).map_err(refused)?;
    answer(server, id, |reply| reply.bulk(text.as_bytes()))
}

/// DEBUG LOADAOF: there is no append-only file to load, and unlike the ancestor we outlive that.
pub fn loadaof(_server: &mut Server, _id: ClientId, _argv: Argv<'_>) -> Done {
    log::warn!("DEBUG LOADAOF: this server keeps no append-only file");
    Err(CommandError::new("ERR Error trying to load the AOF files, check server logs."))
}

/// DEBUG STRINGMATCH-TEST: matches random patterns with random texts; the ancestor does not end before it crashes.
pub fn stringmatch_test(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    const SIGNS: &[u8] = b"*?[]^-\\ab";
    for _ in 0..MATCHES {
        let mut word = || -> Vec<u8> {
            let len = server.rng.index(12);
            (0..len).map(|_| SIGNS[server.rng.index(SIGNS.len())]).collect()
        };
        let (pattern, text) = (word(), word());
        glob::matches(&pattern, &text, server.rng.index(2) == 0);
    }
    answer(server, id, |reply| reply.status("Apparently Redis did not crash: test passed"))
}

/// DEBUG QUICKLIST
pub fn quicklist(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let entry = server.keys.peek(argv.at(2)).ok_or(error::NO_SUCH_KEY)?;
    let (ValueRef::List(list), "quicklist") = (entry.value(), entry.encoding()) else {
        return Err(CommandError::new("ERR Not a quicklist encoded object."));
    };
    let in_full = argv.get(3).is_some_and(switch);
    log::info!("Quicklist of {} elements in {} nodes", list.len(), list.node_count());
    for (number, node) in list.nodes().enumerate() {
        let bytes = node.as_bytes();
        match in_full {
            true => log::info!("Node {number}: {}", bytes.escape_ascii()),
            false => log::info!("Node {number}: {} bytes", bytes.len()),
        }
    }
    answer(server, id, |reply| reply.status("Quicklist structure written to the log"))
}

/// DEBUG CLIENT-EVICTION
pub fn client_eviction(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if !server.client_memory.is_limited() {
        return Err(CommandError::new("ERR maxmemory-clients is disabled."));
    }
    let mut sizes: Vec<usize> = server.clients.iter().map(|(id, _)| server.client_bytes(id)).collect();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    let lines: String = sizes.iter().map(|bytes| format!("{bytes} bytes\n")).collect();
    answer(server, id, |reply| reply.verbatim("txt", format!("{} clients\n{lines}", sizes.len()).as_bytes()))
}

/// DEBUG SET-SKIP-CHECKSUM-VALIDATION: for RESTORE and for snapshots, until it is set back.
pub fn set_skip_checksum_validation(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.limits.skip_checksums = switch(argv.at(2));
    answer(server, id, Reply::ok)
}

/// DEBUG QUICKLIST-PACKED-THRESHOLD: what is longer than a gigabyte stands alone here, whatever a test wants.
pub fn quicklist_packed_threshold(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    match parse_memory(argv.at(2)) {
        Some(0..PACKED_MAX) => answer(server, id, Reply::ok),
        _ => Err(CommandError::new("ERR argument must be a memory value bigger than 1 and smaller than 4gb")),
    }
}

/// DEBUG CLUSTERLINK
pub fn clusterlink(_server: &mut Server, _id: ClientId, argv: Argv<'_>) -> Done {
    match is_option(argv.at(2), "KILL") {
        true => Err(CommandError::new("ERR Debug option only available for cluster mode enabled setup!")),
        false => Err(super::unknown(argv)),
    }
}
