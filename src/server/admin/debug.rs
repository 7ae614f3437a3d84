//! DEBUG: what tests and repairs need (= debug.c).
//!
//! What belongs to parts that this server does not have (the append-only file, a cluster) is answered as a stock server
//! answers that does not use them.

mod inspect;
mod knobs;
mod reload;

use crate::base::crash;
use crate::commands::command::{Row, flag};
use crate::commands::ctx::{integer, is_option};
use crate::commands::digest::{Digest, dataset_digest, value_digest};
use crate::commands::{CommandError, error};
use crate::resp::reply::{Reply, encode_command};
use crate::resp::request::Argv;
use crate::server::acl::Protected;
use crate::server::repl_master::new_replid;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "debug",
    arity: -2,
    flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE,
    categories: 0,
    keys: &[],
    group: "server",
    since: "1.0.0",
    summary: "Commands for tests and for those who look for errors.",
    run: Some(debug),
    subcommands: &[],
}];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "AOF-FLUSH-SLEEP <microsec>",
    "    Accepted for tests written for other servers.",
    "ASSERT",
    "    End the server by a failed assertion.",
    "CHANGE-REPL-ID",
    "    Give the history of this server a new name. For tests of replication only.",
    "CLIENT-EVICTION",
    "    Tell what each client weighs, where maxmemory-clients is set.",
    "CLUSTERLINK KILL <to|from|all> <node-id>",
    "    Refused outside of a cluster.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE, but write every directive, defaults too.",
    "CORRUPT-STREAM <arg> [<arg> ...]",
    "    Send a command to the replicas with one bit of its last argument changed on the",
    "    way. It has no effect here.",
    "CRASH-AND-RECOVER [<milliseconds>]",
    "    Start the program again without any farewell, after a delay (default 0).",
    "DIGEST",
    "    Tell a number in hex that is the same where the data is the same.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Tell such a number for the value of each key.",
    "DROP-CLUSTER-PACKET-FILTER <packet-type>",
    "    Accepted for tests written for other servers.",
    "ERROR <string>",
    "    Answer an error with this text.",
    "HTSTATS <dbid>",
    "    Tell about the key table of a database.",
    "HTSTATS-KEY <key>",
    "    Tell about the table that holds the value of a key.",
    "LEAK <string>",
    "    Lose so much memory.",
    "LISTPACK <key>",
    "    Write the bytes of a value that is a listpack to the log.",
    "LOADAOF",
    "    Fails: there is no append-only file.",
    "LOG <message>",
    "    Write a line to the log.",
    "MALLCTL <name> [<value>]",
    "    Tell an integer setting of the allocator, or change it.",
    "MALLCTL-STR <name>",
    "    Tell a text setting of the allocator.",
    "OBJECT <key>",
    "    Tell how the value of a key is kept.",
    "OOM",
    "    End the server by asking for more memory than there can be.",
    "PANIC",
    "    End the server by a panic.",
    "PAUSE-CRON <0|1>",
    "    Stop what happens by the clock, or let it go on.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Make <count> strings named key:<num>, or <prefix>:<num>. They do not travel to",
    "    replicas.",
    "PROTOCOL <type>",
    "    Answer a sample of a type: string, integer, double, bignum, null, array, set,",
    "    map, attrib, push, verbatim, true, false.",
    "QUICKLIST <key> [<0|1>]",
    "    Write the nodes of a list to the log, with 1 what they hold.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted for tests written for other servers.",
    "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
    "    Save, empty the databases, and load what was saved. NOSAVE loads what the file",
    "    held before, NOFLUSH keeps what is there, MERGE lets the file win over it.",
    "REPLICATE <arg> [<arg> ...]",
    "    Send a command to the replicas that has no effect here.",
    "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>",
    "    Accepted for tests written for other servers.",
    "RESTART [<milliseconds>]",
    "    Save the configuration and the data, and start the program again.",
    "SDSLEN <key>",
    "    Tell the length of a key and of its string.",
    "SEGFAULT",
    "    End the server by a segmentation fault.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Leave expired keys alone until they are accessed, or look for them again.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Accepted for tests written for other servers.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Take snapshots and payloads of RESTORE whose checksum is wrong, or refuse them again.",
    "SLEEP <seconds>",
    "    Do nothing for a while. Decimals allowed.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match so many letters 'a' with a pattern.",
    "STRINGMATCH-TEST",
    "    Match random patterns with random texts.",
    "STRUCTSIZE",
    "    Tell the sizes of a few structures.",
    "HELP",
    "    Prints this help.",
];

/// A subcommand: its name, the least and the most arguments that may follow it, what it does.
type Sub = (&'static str, usize, usize, HouseFn);

const SUBCOMMANDS: &[Sub] = &[
    ("AOF-FLUSH-SLEEP", 1, 1, accepted),
    ("ASSERT", 0, 0, assertion),
    ("CHANGE-REPL-ID", 0, 0, change_repl_id),
    ("CLIENT-EVICTION", 0, 0, knobs::client_eviction),
    ("CLUSTERLINK", 3, 3, knobs::clusterlink),
    ("CONFIG-REWRITE-FORCE-ALL", 0, 0, config_rewrite_force_all),
    ("CORRUPT-STREAM", 1, usize::MAX, corrupt_stream),
    ("CRASH-AND-RECOVER", 0, 1, reload::crash_and_recover),
    ("DIGEST", 0, 0, digest),
    ("DIGEST-VALUE", 0, usize::MAX, digest_value),
    ("DROP-CLUSTER-PACKET-FILTER", 1, 1, accepted),
    ("ERROR", 1, 1, error),
    ("HELP", 0, 0, help),
    ("HTSTATS", 1, 2, inspect::htstats),
    ("HTSTATS-KEY", 1, 2, inspect::htstats_key),
    ("LEAK", 1, 1, knobs::leak),
    ("LISTPACK", 1, 1, inspect::listpack),
    ("LOADAOF", 0, 0, knobs::loadaof),
    ("LOG", 1, 1, log_message),
    ("MALLCTL", 1, 2, knobs::mallctl),
    ("MALLCTL-STR", 1, 1, knobs::mallctl_str),
    ("OBJECT", 1, 2, inspect::object),
    ("OOM", 0, 0, out_of_memory),
    ("PANIC", 0, 0, panic),
    ("PAUSE-CRON", 1, 1, pause_cron),
    ("POPULATE", 1, 3, populate),
    ("PROTOCOL", 1, 1, protocol),
    ("QUICKLIST", 1, 2, knobs::quicklist),
    ("QUICKLIST-PACKED-THRESHOLD", 1, 1, knobs::quicklist_packed_threshold),
    ("RELOAD", 0, usize::MAX, reload::reload),
    ("REPLICATE", 1, usize::MAX, replicate),
    ("REPLYBUFFER", 2, 2, replybuffer),
    ("RESTART", 0, 1, reload::restart),
    ("SDSLEN", 1, 1, knobs::sdslen),
    ("SEGFAULT", 0, 0, segfault),
    ("SET-ACTIVE-EXPIRE", 1, 1, set_active_expire),
    ("SET-DISABLE-DENY-SCRIPTS", 1, 1, set_disable_deny_scripts),
    ("SET-SKIP-CHECKSUM-VALIDATION", 1, 1, knobs::set_skip_checksum_validation),
    ("SLEEP", 1, 1, sleep),
    ("STRINGMATCH-LEN", 2, 2, inspect::stringmatch_len),
    ("STRINGMATCH-TEST", 0, 0, knobs::stringmatch_test),
    ("STRUCTSIZE", 0, 0, inspect::structsize),
];

fn debug(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.check_protected(id, Protected::Debug)?;
    let arguments = argv.len() - 2;
    let wanted = SUBCOMMANDS.iter().find(|(name, ..)| is_option(argv.at(1), name));
    match wanted {
        Some((_, least, most, run)) if (*least..=*most).contains(&arguments) => {
            if let Some(client) = server.clients.get(id) {
                server.keys.select(client.session.db);
            }
            run(server, id, argv)
        }
        _ => Err(unknown(argv)),
    }
}

fn unknown(argv: Argv<'_>) -> CommandError {
    CommandError::bad_subcommand(argv, "DEBUG")
}

/// Lets `write` write to the client, if it is still there.
fn answer(server: &mut Server, id: ClientId, write: impl FnOnce(&mut Reply)) -> Done {
    if let Some(reply) = server.reply(id) {
        write(reply);
    }
    Ok(())
}

fn accepted(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    answer(server, id, Reply::ok)
}

/// Output buffers do not shrink by the clock here, so there is nothing to set.
fn replybuffer(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let (what, value) = (argv.at(2), argv.at(3));
    if is_option(what, "PEAK-RESET-TIME") {
        if !is_option(value, "NEVER") && !is_option(value, "RESET") {
            integer(value)?;
        }
    } else if !is_option(what, "RESIZING") {
        return Err(unknown(argv));
    }
    answer(server, id, Reply::ok)
}

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn assertion(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let nobody_asked_for_a_failed_assertion = argv.is_empty();
    assert!(nobody_asked_for_a_failed_assertion);
    help(server, id, argv)
}

fn panic(_server: &mut Server, _id: ClientId, _argv: Argv<'_>) -> Done {
    panic!("DEBUG PANIC asked for a panic")
}

fn out_of_memory(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    const BYTES: usize = isize::MAX as usize / 2;
    log::error!("Out Of Memory allocating {BYTES} bytes!");
    let block: Vec<u8> = Vec::with_capacity(BYTES);
    answer(server, id, |reply| reply.len(block.len()))
}

fn segfault(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    crash::segfault();
    answer(server, id, Reply::ok)
}

fn change_repl_id(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    log::info!("Changing replication IDs after receiving change-repl-id");
    server.repl.replid = new_replid(&mut server.rng);
    server.repl.replid2 = "0".repeat(40);
    server.repl.second_offset = -1;
    answer(server, id, Reply::ok)
}

fn config_rewrite_force_all(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::config::rewrite_file(server, true)
        .map_err(|error| CommandError::new(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {error}")))?;
    answer(server, id, Reply::ok)
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let text = hex(&dataset_digest(&server.keys));
    answer(server, id, |reply| reply.status(&text))
}

fn digest_value(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let digests: Vec<String> =
        argv.iter().skip(2).map(|key| hex(&server.keys.peek(key).map(value_digest).unwrap_or_default())).collect();
    answer(server, id, |reply| {
        reply.array(digests.len());
        digests.iter().for_each(|digest| reply.status(digest));
    })
}

fn error(_server: &mut Server, _id: ClientId, argv: Argv<'_>) -> Done {
    Err(CommandError::bytes(argv.at(2).to_vec()))
}

fn log_message(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(argv.at(2)));
    answer(server, id, Reply::ok)
}

/// 0 or 1, by the rules of C: what is no number is 0.
fn switch(arg: &[u8]) -> bool {
    integer(arg).is_ok_and(|number| number != 0)
}

fn pause_cron(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.cron_paused = switch(argv.at(2));
    answer(server, id, Reply::ok)
}

fn set_active_expire(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.active_expire = switch(argv.at(2));
    answer(server, id, Reply::ok)
}

fn set_disable_deny_scripts(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.scripts.allows_all_commands = switch(argv.at(2));
    answer(server, id, Reply::ok)
}

fn sleep(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let seconds = crate::base::numbers::parse_f64(argv.at(2)).unwrap_or(0.0);
    server.clock.sleep_us((seconds.max(0.0) * 1e6) as u64);
    answer(server, id, Reply::ok)
}

fn replicate(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    if server.wants_propagation() {
        let args: Vec<&[u8]> = argv.iter().skip(2).collect();
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args.into_iter());
        server.append_to_log(&bytes);
    }
    answer(server, id, Reply::ok)
}

fn corrupt_stream(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    replicate(server, id, argv)?;
    if server.wants_propagation() {
        let log = &mut server.repl.log;
        // The sum is that of the sound bytes; what goes out is not.
        log.update_sums();
        log.corrupt(log.end().saturating_sub(3));
    }
    Ok(())
}

/// A number that must not be negative.
fn positive(arg: &[u8]) -> Result<usize, CommandError> {
    let number = integer(arg).map_err(|_| error::MUST_BE_POSITIVE)?;
    usize::try_from(number).map_err(|_| error::MUST_BE_POSITIVE)
}

fn populate(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let count = positive(argv.at(2))?;
    let size = argv.get(4).map(positive).transpose()?.filter(|&size| size > 0);
    if size.is_some_and(|size| size as u64 > server.limits.string_len_max) {
        return Err(error::OUT_OF_RANGE);
    }
    let prefix = argv.get(3).unwrap_or(b"key");
    for number in 0..count {
        let key = [prefix, b":", number.to_string().as_bytes()].concat();
        if server.keys.exists(&key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        server.keys.set_str(&key, &value, None);
        server.keys.signal_modified(&key);
    }
    answer(server, id, Reply::ok)
}

fn protocol(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let kind = argv.at(2).to_ascii_lowercase();
    let resp3 = server.reply(id).is_some_and(|reply| reply.resp3);
    if kind == b"push" && !resp3 {
        return Err(CommandError::new("ERR RESP2 is not supported by this command"));
    }
    let Some(reply) = server.reply(id) else { return Ok(()) };
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                reply.attributes(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"bignum" if resp3 => reply.out.extend_from_slice(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(CommandError::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
