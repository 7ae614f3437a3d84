//! The directives with a grammar of their own, and the checks on texts that are more than texts.
//!
//! Ancestor: the `setConfigXxxOption`/`getConfigXxxOption` functions of `config.c`.
//! An error is the reason alone; who asked wraps it (a file error names the line, `CONFIG SET` the argument).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::parse::{format_memory, parse_integer, parse_memory, quote, words};
use super::table::Kind;
use super::values::{RdbVersion, parse_rdb_version};
use super::{Config, NotifyFlags, OutputBufferLimit, ReplicaOf, SavePoint, ShutdownOn};
use crate::base::numbers::{format_f64, parse_f64};

type Checked = Result<(), String>;

/// More addresses than these cannot be listened on.
const MAX_BIND_ADDRESSES: usize = 16;
/// A smaller backlog is made this large.
const MIN_REPL_BACKLOG_SIZE: i128 = 16 << 10;
const WRONG_NUMBER: &str = "wrong number of arguments";
const NOT_RDB_VERSION: &str = "argument must be 'auto', a version from 6 to 12, or 80";

pub const BIND: Kind = Kind::Special {
    get: |config| config.bind.join(" ").into_bytes(),
    set: set_bind,
    lines: |config| {
        let addresses: Vec<Vec<u8>> = config.bind.iter().map(|address| as_word(address)).collect();
        vec![if addresses.is_empty() { as_word("") } else { addresses.join(&b' ') }]
    },
};

pub const UNIXSOCKETPERM: Kind = Kind::Special {
    get: |config| format!("{:o}", config.unixsocketperm).into_bytes(),
    set: set_unixsocketperm,
    lines: |config| vec![format!("{:o}", config.unixsocketperm).into_bytes()],
};

pub const MAXMEMORY_CLIENTS: Kind = Kind::Special {
    get: |config| maxmemory_clients(config, |bytes| bytes.to_string()),
    set: set_maxmemory_clients,
    lines: |config| vec![maxmemory_clients(config, format_memory)],
};

pub const CLIENT_OUTPUT_BUFFER_LIMIT: Kind = Kind::Special {
    get: |config| buffer_limits(config, "slave", |bytes| bytes.to_string()).join(" ").into_bytes(),
    set: set_client_output_buffer_limit,
    lines: |config| {
        let lines = buffer_limits(config, "replica", format_memory);
        lines.into_iter().map(String::into_bytes).collect()
    },
};

pub const OOM_SCORE_ADJ_VALUES: Kind = Kind::Special {
    get: oom_score_adj_values,
    set: set_oom_score_adj_values,
    lines: |config| vec![oom_score_adj_values(config)],
};

pub const HZ: Kind = Kind::Integer {
    min: 0,
    max: i32::MAX as i128,
    get: |config| i128::from(config.hz),
    set: |config, value| config.hz = value.clamp(1, 500) as u32,
};

pub const REPL_BACKLOG_SIZE: Kind = Kind::Memory {
    min: 1,
    max: i64::MAX as i128,
    get: |config| i128::from(config.repl_backlog_size),
    set: |config, value| config.repl_backlog_size = value.max(MIN_REPL_BACKLOG_SIZE) as u64,
};

pub const SHUTDOWN_ON_SIGINT: Kind = Kind::Special {
    get: |config| shutdown_words(config.shutdown_on_sigint),
    set: |config, args| parse_shutdown(args).map(|on| config.shutdown_on_sigint = on),
    lines: |config| vec![shutdown_words(config.shutdown_on_sigint)],
};

pub const SHUTDOWN_ON_SIGTERM: Kind = Kind::Special {
    get: |config| shutdown_words(config.shutdown_on_sigterm),
    set: |config, args| parse_shutdown(args).map(|on| config.shutdown_on_sigterm = on),
    lines: |config| vec![shutdown_words(config.shutdown_on_sigterm)],
};

pub const DIR: Kind = Kind::Special {
    get: |config| absolute(&config.dir).as_os_str().as_bytes().to_vec(),
    set: set_dir,
    lines: |config| vec![quote(absolute(&config.dir).as_os_str().as_bytes())],
};

pub const SAVE: Kind = Kind::Special {
    get: |config| save_points(config).join(" ").into_bytes(),
    set: set_save,
    lines: |config| match save_points(config) {
        points if points.is_empty() => vec![as_word("")],
        points => points.into_iter().map(String::into_bytes).collect(),
    },
};

pub const REPLICAOF: Kind = Kind::Special {
    get: replicaof,
    set: set_replicaof,
    lines: |config| {
        let line = |master: &ReplicaOf| [as_word(&master.host), format!(" {}", master.port).into_bytes()].concat();
        config.replicaof.iter().map(line).collect()
    },
};

pub const NOTIFY_KEYSPACE_EVENTS: Kind = Kind::Special {
    get: |config| config.notify_keyspace_events.letters(),
    set: set_notify_keyspace_events,
    lines: |config| vec![quote(&config.notify_keyspace_events.letters())],
};

pub const LATENCY_TRACKING_INFO_PERCENTILES: Kind = Kind::Special {
    get: |config| percentiles(config).into_bytes(),
    set: set_percentiles,
    lines: |config| match percentiles(config) {
        none if none.is_empty() => vec![as_word("")],
        some => vec![some.into_bytes()],
    },
};

pub const REPL_RDB_VERSION: Kind = Kind::Special {
    get: |config| rdb_version(config.repl_rdb_version).into_bytes(),
    set: |config, args| {
        let [text] = args else { return Err(WRONG_NUMBER.to_string()) };
        config.repl_rdb_version = parse_rdb_version(text).ok_or_else(|| NOT_RDB_VERSION.to_string())?;
        Ok(())
    },
    lines: |config| vec![rdb_version(config.repl_rdb_version).into_bytes()],
};

/// Addresses and versions in turn. What is set is added to what is there; `auto` takes an address out, nothing all.
pub const REPL_RDB_VERSION_FOR: Kind = Kind::Special {
    get: |config| rdb_versions_for(config).join(" ").into_bytes(),
    set: set_repl_rdb_version_for,
    lines: |config| match rdb_versions_for(config) {
        none if none.is_empty() => vec![as_word("")],
        some => some.into_iter().map(String::into_bytes).collect(),
    },
};

/// A path of these bytes.
pub fn path(text: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(text))
}

/// `path` without links and dots where it exists, else as it is.
fn absolute(path: &std::path::Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// What the system says went wrong, without Rust's "(os error N)".
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

pub fn anything(_: &[u8]) -> Checked {
    Ok(())
}

/// Refuses a path where a plain name is due.
pub fn plain_name(directive: &str, what: &str, value: &[u8]) -> Checked {
    match value.contains(&b'/') {
        true => Err(format!("{directive} can't be a path, just a {what}")),
        false => Ok(()),
    }
}

pub fn dbfilename(value: &[u8]) -> Checked {
    plain_name("dbfilename", "filename", value)
}

/// Accepts a template whose variables are known, and that is not empty once `{title}` is.
pub fn title_template(value: &[u8]) -> Checked {
    const KNOWN: [&str; 7] = ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let error = || "template format is invalid or contains unknown variables".to_string();
    let text = std::str::from_utf8(value).map_err(|_| error())?;
    let mut rest = text;
    let mut empty = true;
    while let Some(open) = rest.find('{') {
        empty &= open == 0;
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            (rest, empty) = (after, false);
            continue;
        }
        let close = rest.find('}').ok_or_else(error)?;
        let name = &rest[..close];
        if !KNOWN.contains(&name) {
            return Err(error());
        }
        empty &= name == "title";
        rest = &rest[close + 1..];
    }
    if empty && rest.is_empty() { Err(error()) } else { Ok(()) }
}

/// `text` as one word of a line: in quotes only where it needs them.
fn as_word(text: &str) -> Vec<u8> {
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:*%/[]".contains(&byte));
    if plain { text.as_bytes().to_vec() } else { quote(text.as_bytes()) }
}

fn set_bind(config: &mut Config, args: &[&[u8]]) -> Checked {
    if args.len() > MAX_BIND_ADDRESSES {
        return Err("Too many bind addresses specified.".to_string());
    }
    let addresses = args.iter().filter(|address| !address.is_empty());
    config.bind = addresses.map(|address| String::from_utf8_lossy(address).into_owned()).collect();
    Ok(())
}

fn set_unixsocketperm(config: &mut Config, args: &[&[u8]]) -> Checked {
    let [text] = args else { return Err(WRONG_NUMBER.to_string()) };
    let text = std::str::from_utf8(text).unwrap_or("");
    match i64::from_str_radix(text, 8) {
        Ok(bits @ 0..=0o777) => {
            config.unixsocketperm = bits as u32;
            Ok(())
        }
        Ok(_) => Err("argument must be between 0 and 777 inclusive".to_string()),
        Err(_) => Err("argument couldn't be parsed as an octal number".to_string()),
    }
}

fn maxmemory_clients(config: &Config, show: fn(i128) -> String) -> Vec<u8> {
    match config.maxmemory_clients_percent {
        Some(percent) => format!("{percent}%").into_bytes(),
        None => show(i128::from(config.maxmemory_clients)).into_bytes(),
    }
}

fn set_maxmemory_clients(config: &mut Config, args: &[&[u8]]) -> Checked {
    let [text] = args else { return Err(WRONG_NUMBER.to_string()) };
    let malformed = || "argument must be a memory or percent value".to_string();
    if let Some(digits) = text.strip_suffix(b"%") {
        let percent = parse_integer(digits).filter(|&percent| percent >= 0).ok_or_else(malformed)?;
        if percent > 100 {
            return Err("percentage argument must be less or equal to 100".to_string());
        }
        config.maxmemory_clients_percent = Some(percent as u8);
        config.maxmemory_clients = 0;
        return Ok(());
    }
    let bytes = parse_memory(text).ok_or_else(malformed)?;
    config.maxmemory_clients =
        u64::try_from(bytes).map_err(|_| format!("argument must be between 0 and {} inclusive", u64::MAX))?;
    config.maxmemory_clients_percent = None;
    Ok(())
}

fn buffer_limits(config: &Config, replica: &str, show: fn(i128) -> String) -> Vec<String> {
    let limits = &config.client_output_buffer_limit;
    [("normal", limits.normal), (replica, limits.replica), ("pubsub", limits.pubsub)]
        .map(|(class, limit)| {
            let (hard, soft) = (show(limit.hard.into()), show(limit.soft.into()));
            format!("{class} {hard} {soft} {}", limit.soft_seconds)
        })
        .to_vec()
}

fn set_client_output_buffer_limit(config: &mut Config, args: &[&[u8]]) -> Checked {
    if !args.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_string());
    }
    let mut limits = config.client_output_buffer_limit;
    for class in args.chunks_exact(4) {
        let place = match class[0].to_ascii_lowercase().as_slice() {
            b"normal" => &mut limits.normal,
            b"replica" | b"slave" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_string()),
        };
        let bytes = |text| parse_memory(text).and_then(|bytes| u64::try_from(bytes).ok());
        let seconds = parse_integer(class[3]).and_then(|seconds| u64::try_from(seconds).ok());
        let (Some(hard), Some(soft), Some(soft_seconds)) = (bytes(class[1]), bytes(class[2]), seconds) else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_string());
        };
        *place = OutputBufferLimit { hard, soft, soft_seconds };
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

fn oom_score_adj_values(config: &Config) -> Vec<u8> {
    config.oom_score_adj_values.map(|value| value.to_string()).join(" ").into_bytes()
}

fn set_oom_score_adj_values(config: &mut Config, args: &[&[u8]]) -> Checked {
    let args: &[&[u8]; 3] = args.try_into().map_err(|_| WRONG_NUMBER.to_string())?;
    let mut values = [0; 3];
    for (value, text) in values.iter_mut().zip(args) {
        let number = parse_integer(text).filter(|number| (-2000..=2000).contains(number));
        *value = number
            .ok_or_else(|| "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_string())?
            as i32;
    }
    config.oom_score_adj_values = values;
    Ok(())
}

fn shutdown_words(on: ShutdownOn) -> Vec<u8> {
    let parts = [(on.save, "save"), (on.nosave, "nosave"), (on.now, "now"), (on.force, "force")];
    let words: Vec<&str> = parts.iter().filter(|part| part.0).map(|part| part.1).collect();
    if words.is_empty() { b"default".to_vec() } else { words.join(" ").into_bytes() }
}

fn parse_shutdown(args: &[&[u8]]) -> Result<ShutdownOn, String> {
    let unknown = || {
        let known = "argument(s) must be one of the following: default, save, nosave, now, force";
        known.to_string()
    };
    let mut on = ShutdownOn::default();
    for word in args {
        match word.to_ascii_lowercase().as_slice() {
            b"default" => {}
            b"save" => on.save = true,
            b"nosave" => on.nosave = true,
            b"now" => on.now = true,
            b"force" => on.force = true,
            _ => return Err(unknown()),
        }
    }
    match args.is_empty() {
        true => Err(unknown()),
        false if on.save && on.nosave => {
            Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_string())
        }
        false => Ok(on),
    }
}

fn set_dir(config: &mut Config, args: &[&[u8]]) -> Checked {
    let [text] = args else { return Err(WRONG_NUMBER.to_string()) };
    let directory = path(text).canonicalize().map_err(|error| reason(&error))?;
    if !directory.is_dir() {
        return Err("Not a directory".to_string());
    }
    config.dir = directory;
    Ok(())
}

fn save_points(config: &Config) -> Vec<String> {
    config.save.iter().map(|point| format!("{} {}", point.seconds, point.changes)).collect()
}

fn set_save(config: &mut Config, args: &[&[u8]]) -> Checked {
    let invalid = || "Invalid save parameters".to_string();
    if !args.len().is_multiple_of(2) {
        return Err(invalid());
    }
    let mut points = Vec::new();
    for pair in args.chunks_exact(2) {
        let seconds = parse_integer(pair[0]).filter(|&seconds| seconds >= 1).ok_or_else(invalid)?;
        let changes = parse_integer(pair[1]).and_then(|changes| u32::try_from(changes).ok());
        let changes = changes.filter(|&changes| changes <= i32::MAX as u32).ok_or_else(invalid)?;
        points.push(SavePoint { seconds: seconds as u64, changes });
    }
    config.save = points;
    Ok(())
}

fn replicaof(config: &Config) -> Vec<u8> {
    match &config.replicaof {
        Some(master) => format!("{} {}", master.host, master.port).into_bytes(),
        None => Vec::new(),
    }
}

/// Two words, or none for "of nobody" (which stock refuses, and wrapper scripts want).
fn set_replicaof(config: &mut Config, args: &[&[u8]]) -> Checked {
    config.replicaof = match args {
        [] => None,
        [host, port] if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") => None,
        [host, port] => {
            let port = parse_integer(port).and_then(|port| u16::try_from(port).ok());
            let port = port.ok_or_else(|| "Invalid master port".to_string())?;
            Some(ReplicaOf { host: String::from_utf8_lossy(host).into_owned(), port })
        }
        _ => return Err(WRONG_NUMBER.to_string()),
    };
    Ok(())
}

fn rdb_version(version: RdbVersion) -> String {
    version.map_or("auto".into(), |version| version.to_string())
}

fn rdb_versions_for(config: &Config) -> Vec<String> {
    config.repl_rdb_version_for.iter().map(|(address, version)| format!("{address} {version}")).collect()
}

fn set_repl_rdb_version_for(config: &mut Config, args: &[&[u8]]) -> Checked {
    let mut versions = config.repl_rdb_version_for.clone();
    if let [] | [[]] = args {
        versions.clear();
    } else if !args.len().is_multiple_of(2) {
        return Err(WRONG_NUMBER.to_string());
    }
    for pair in args.chunks_exact(2) {
        let address = String::from_utf8_lossy(pair[0]).into_owned();
        match parse_rdb_version(pair[1]).ok_or_else(|| NOT_RDB_VERSION.to_string())? {
            Some(version) => versions.insert(address, version),
            None => versions.remove(&address),
        };
    }
    config.repl_rdb_version_for = versions;
    Ok(())
}

fn set_notify_keyspace_events(config: &mut Config, args: &[&[u8]]) -> Checked {
    let [text] = args else { return Err(WRONG_NUMBER.to_string()) };
    config.notify_keyspace_events =
        NotifyFlags::parse(text).ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_string())?;
    Ok(())
}

fn percentiles(config: &Config) -> String {
    let mut out = Vec::new();
    for &percentile in &config.latency_tracking_info_percentiles {
        if !out.is_empty() {
            out.push(b' ');
        }
        format_f64(percentile, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn set_percentiles(config: &mut Config, args: &[&[u8]]) -> Checked {
    let mut values = Vec::new();
    for text in args {
        let value = parse_f64(text);
        let value = value.ok_or_else(|| "Invalid latency-tracking-info-percentiles parameters".to_string())?;
        if !(0.0..=100.0).contains(&value) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_string());
        }
        values.push(value);
    }
    config.latency_tracking_info_percentiles = values;
    Ok(())
}

/// The words a directive of several words is given: one argument may hold them all.
pub fn spread<'a>(args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    match args {
        [one] => words(one),
        several => several.to_vec(),
    }
}
