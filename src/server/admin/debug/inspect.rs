//! What DEBUG tells about the inside of values and tables.

use super::{Done, answer, positive};
use crate::base::glob;
use crate::commands::{CommandError, error};
use crate::keyspace::access::CLOCK_MASK;
use crate::persist::rdb::dump_payload;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::{Client, ClientId, Server};
use crate::types::ValueRef;
use crate::types::entry::Entry;
use std::fmt::Write;

/// What a DUMP payload has beyond the value: its type, the version, the checksum.
const DUMP_FRAME: usize = 1 + 2 + 8;

/// What DEBUG OBJECT says of an entry.
fn describe(entry: &Entry, clock: u32, list_limit: i64, compress: bool) -> String {
    let value = entry.value();
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry,
        entry.encoding(),
        dump_payload(value, compress).len().saturating_sub(DUMP_FRAME),
        entry.access(),
        clock.wrapping_sub(entry.access()) & CLOCK_MASK,
    );
    if let ValueRef::List(list) = value
        && entry.encoding() == "quicklist"
    {
        let nodes = list.node_count();
        let bytes: usize = list.nodes().map(|node| node.as_bytes().len()).sum();
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{list_limit} ql_compressed:0 ql_uncompressed_size:{bytes}",
            list.len() as f64 / nodes.max(1) as f64,
        );
    }
    text
}

/// DEBUG OBJECT
pub fn object(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let (clock, limit) = (server.keys.access_clock, server.config.list_max_listpack_size);
    let entry = server.keys.peek(argv.at(2)).ok_or(error::NO_SUCH_KEY)?;
    let text = describe(entry, clock, limit, server.limits.compress_dumps);
    answer(server, id, |reply| reply.status(&text))
}

/// DEBUG LISTPACK
pub fn listpack(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let entry = server.keys.peek(argv.at(2)).ok_or(error::NO_SUCH_KEY)?;
    if entry.encoding() != "listpack" {
        return Err(CommandError::new("ERR Not a listpack encoded object."));
    }
    let payload = dump_payload(entry.value(), server.limits.compress_dumps);
    log::info!("Listpack as DUMP has it: {}", payload.escape_ascii());
    answer(server, id, |reply| reply.status("Listpack structure written to the log"))
}

/// DEBUG HTSTATS
pub fn htstats(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let index = crate::commands::ctx::integer(argv.at(2))?;
    let index = usize::try_from(index).ok().filter(|&index| index < server.keys.database_count());
    let index = index.ok_or_else(|| CommandError::new("ERR Out of range database"))?;
    let db = server.keys.db(index);
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n table bytes: {}\n\
         [Expires HT]\nHash table 0 stats (main hash table):\n number of elements: {}\n",
        db.buckets(),
        db.len(),
        db.table_bytes(),
        db.volatile(),
    );
    answer(server, id, |reply| reply.verbatim("txt", text.as_bytes()))
}

/// DEBUG HTSTATS-KEY
pub fn htstats_key(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let entry = server.keys.peek(argv.at(2)).ok_or(error::NO_SUCH_KEY)?;
    let elements = match (entry.value(), entry.encoding()) {
        (ValueRef::Set(set), "hashtable") => set.len(),
        (ValueRef::Hash(hash), "hashtable") => hash.len(),
        (ValueRef::Fading(fading), "hashtable") => fading.len(),
        (ValueRef::ZSet(zset), "skiplist") => zset.len(),
        _ => {
            return Err(CommandError::new(
                "ERR The value stored at the specified key is not represented using an hash table",
            ));
        }
    };
    let text = format!("Hash table 0 stats (main hash table):\n number of elements: {elements}\n");
    answer(server, id, |reply| reply.verbatim("txt", text.as_bytes()))
}

/// DEBUG STRINGMATCH-LEN
pub fn stringmatch_len(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let length = positive(argv.at(2))?;
    if length as u64 > server.limits.string_len_max {
        return Err(error::OUT_OF_RANGE);
    }
    let matches = glob::matches(argv.at(3), &vec![b'a'; length], false);
    answer(server, id, |reply| reply.int(i64::from(matches)))
}

/// DEBUG STRUCTSIZE
pub fn structsize(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let text = format!(
        "bits:{} entry:{} client:{} reply:{} ",
        usize::BITS,
        size_of::<Entry>(),
        size_of::<Client>(),
        size_of::<Reply>()
    );
    answer(server, id, |reply| reply.status(&text))
}
