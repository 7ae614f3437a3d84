//! DEBUG RELOAD, and the ways to start the program again.

use super::{Done, answer};
use crate::base::title;
use crate::commands::CommandError;
use crate::commands::ctx::{integer, is_option};
use crate::config::Config;
use crate::keyspace::Db;
use crate::persist::load::{LoadError, LoadOptions, Staged, StagingOptions, StagingSink, load_file};
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use crate::server::{ClientId, Server};
use crate::types::table::TableEntry;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::time::Duration;

#[derive(Default)]
struct Options {
    merge: bool,
    noflush: bool,
    nosave: bool,
}

fn parse(argv: Argv<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    for arg in argv.iter().skip(2) {
        match arg {
            _ if is_option(arg, "MERGE") => options.merge = true,
            _ if is_option(arg, "NOFLUSH") => options.noflush = true,
            _ if is_option(arg, "NOSAVE") => options.nosave = true,
            _ => {
                return Err(CommandError::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
            }
        }
    }
    Ok(options)
}

/// DEBUG RELOAD: all at once, while everybody waits. A file that is no good leaves the data as it was.
pub fn reload(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let options = parse(argv)?;
    if !options.nosave {
        server.rdb_save().map_err(|_| CommandError::new("ERR"))?;
    }
    let failed = |why: String| {
        log::error!("DEBUG RELOAD: {why}");
        CommandError::new("ERR Error trying to load the RDB dump, check server logs.")
    };
    let staged = load(server, options.merge).map_err(|error| failed(error.to_string()))?;
    if !options.noflush {
        let functions = server.stage_libraries(&staged.functions).map_err(failed)?;
        server.take_over(staged, functions);
    } else if let Some(key) = conflict(server, &staged.dbs).filter(|_| !options.merge) {
        return Err(failed(format!("the key '{}' is in the file and in memory", key.escape_ascii())));
    } else {
        server.merge_libraries(&staged.functions, options.merge).map_err(failed)?;
        merge(server, staged);
    }
    log::warn!("DB reloaded by DEBUG RELOAD");
    answer(server, id, Reply::ok)
}

fn load(server: &Server, replace_duplicates: bool) -> Result<Staged, LoadError> {
    let path = server.rdb_path();
    let options = LoadOptions { limits: server.keys.limits.clone(), checksum: server.checks_checksums() };
    let mut sink = StagingSink::new(StagingOptions {
        replace_duplicates,
        discard_expired_before: (!server.repl.is_replica()).then_some(server.keys.now),
        access_clock: server.keys.access_clock,
        lfu: server.keys.access.lfu,
        snapshot_bytes: server.disk.open(&path).and_then(|file| server.disk.len(&file)).ok(),
        ..StagingOptions::new(server.keys.database_count())
    });
    load_file(&server.disk, &path, &options, &mut sink)?;
    Ok(sink.finish()?)
}

/// A key that is in both.
fn conflict(server: &Server, loaded: &[Db]) -> Option<Vec<u8>> {
    let pairs = loaded.iter().zip(server.keys.dbs());
    let mut common = pairs.flat_map(|(loaded, ours)| loaded.iter().filter(|entry| ours.get(entry.key()).is_some()));
    common.next().map(|entry| entry.key().to_vec())
}

/// Adds what was loaded to what is there.
fn merge(server: &mut Server, staged: Staged) {
    for (index, mut loaded) in staged.dbs.into_iter().enumerate() {
        server.keys.select(index);
        let names: Vec<Vec<u8>> = loaded.iter().map(|entry| entry.key().to_vec()).collect();
        for name in names {
            if let Some(entry) = loaded.remove(&name) {
                drop(server.keys.db_mut(index).insert(entry));
                server.keys.signal_modified(&name);
            }
        }
    }
}

/// DEBUG RESTART
pub fn restart(server: &mut Server, _id: ClientId, argv: Argv<'_>) -> Done {
    let delay = delay(argv)?;
    if server.config.config_file.is_some() {
        super::super::config::rewrite_file(server, false)
            .map_err(|error| CommandError::new(format!("ERR Rewriting config file: {error}")))?;
    }
    server.kill_snapshot_child();
    if !server.config.save.is_empty() {
        server.rdb_save().map_err(|_| CommandError::new("ERR failed to restart the server. Check server logs."))?;
    }
    again(&server.config, delay)
}

/// DEBUG CRASH-AND-RECOVER
pub fn crash_and_recover(server: &mut Server, _id: ClientId, argv: Argv<'_>) -> Done {
    let delay = delay(argv)?;
    again(&server.config, delay)
}

fn delay(argv: Argv<'_>) -> Result<Duration, CommandError> {
    let ms = argv.get(2).map_or(Ok(0), integer)?;
    Ok(Duration::from_millis(ms.max(0) as u64))
}

/// Becomes the same program anew, with the same arguments. Returns only if that cannot be.
fn again(config: &Config, delay: Duration) -> Done {
    std::thread::sleep(delay);
    let mut args: Vec<OsString> = title::original_args().into_iter().skip(1).collect();
    // The file may have been named relative to a directory that we left.
    if let (Some(path), Some(first)) = (&config.config_file, args.first_mut())
        && !first.as_encoded_bytes().starts_with(b"-")
    {
        *first = path.clone().into();
    }
    log::warn!("Restarting by DEBUG.");
    let error = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(args).exec(),
        Err(error) => error,
    };
    log::error!("Starting again: {error}");
    Err(CommandError::new("ERR failed to restart the server. Check server logs."))
}
