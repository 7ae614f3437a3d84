//! Transactions, replication, snapshots and the end: rows whose functions live where the work is done.

use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag, key, range};
use crate::commands::ctx::is_option;
use crate::resp::request::Argv;
use crate::server::dispatch::transactions;
use crate::server::repl_targets::Wish;
use crate::server::snapshot::SnapshotTarget;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    Row {
        name: "multi",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY,
        categories: category::TRANSACTION,
        keys: &[],
        group: "transactions",
        since: "1.2.0",
        summary: "Mark the start of a transaction block",
        run: Some(transactions::multi),
        subcommands: &[],
    },
    Row {
        name: "exec",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SKIP_SLOWLOG,
        categories: category::TRANSACTION,
        keys: &[],
        group: "transactions",
        since: "1.2.0",
        summary: "Execute all commands issued after MULTI",
        run: Some(transactions::exec),
        subcommands: &[],
    },
    Row {
        name: "discard",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY,
        categories: category::TRANSACTION,
        keys: &[],
        group: "transactions",
        since: "2.0.0",
        summary: "Discard all commands issued after MULTI",
        run: Some(transactions::discard),
        subcommands: &[],
    },
    Row {
        name: "watch",
        arity: -2,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY,
        categories: category::TRANSACTION,
        keys: &[range(key::RO, 1, -1, 1)],
        group: "transactions",
        since: "2.2.0",
        summary: "Watch the given keys to determine execution of the MULTI/EXEC block",
        run: Some(transactions::watch),
        subcommands: &[],
    },
    Row {
        name: "unwatch",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY,
        categories: category::TRANSACTION,
        keys: &[],
        group: "transactions",
        since: "2.2.0",
        summary: "Forget about all watched keys",
        run: Some(transactions::unwatch),
        subcommands: &[],
    },
    Row {
        name: "monitor",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Shows every command that the server runs, as it runs.",
        run: Some(Server::monitor_command),
        subcommands: &[],
    },
    Row {
        name: "replicaof",
        arity: 3,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::STALE | flag::NO_ASYNC_LOADING,
        categories: 0,
        keys: &[],
        group: "server",
        since: "5.0.0",
        summary: "Make the server a replica of another instance, or promote it as master.",
        run: Some(Server::replicaof_command),
        subcommands: &[],
    },
    Row {
        name: "slaveof",
        arity: 3,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::STALE | flag::NO_ASYNC_LOADING,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Make the server a replica of another instance, or promote it as master.",
        run: Some(Server::replicaof_command),
        subcommands: &[],
    },
    Row {
        name: "failover",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::STALE,
        categories: 0,
        keys: &[],
        group: "server",
        since: "6.2.0",
        summary: "Hands the part of the master over to a replica.",
        run: Some(Server::failover_command),
        subcommands: &[],
    },
    Row {
        name: "replconf",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY,
        categories: 0,
        keys: &[],
        group: "server",
        since: "3.0.0",
        summary: "An internal command for configuring the replication stream",
        run: Some(Server::replconf),
        subcommands: &[],
    },
    Row {
        name: "sync",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Internal command used for replication",
        run: Some(Server::sync_command),
        subcommands: &[],
    },
    Row {
        name: "psync",
        arity: -3,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI,
        categories: 0,
        keys: &[],
        group: "server",
        since: "2.8.0",
        summary: "Internal command used for replication",
        run: Some(Server::sync_command),
        subcommands: &[],
    },
    Row {
        name: "wait",
        arity: 3,
        flags: flag::BLOCKING,
        categories: category::CONNECTION,
        keys: &[],
        group: "generic",
        since: "3.0.0",
        summary: "Waits until replicas have acknowledged this connection's writes",
        run: Some(Server::wait_command),
        subcommands: &[],
    },
    Row {
        name: "waitaof",
        arity: 4,
        flags: flag::BLOCKING,
        categories: category::CONNECTION,
        keys: &[],
        group: "generic",
        since: "7.2.0",
        summary: "Waits until this connection's writes are in append-only files",
        run: Some(Server::waitaof_command),
        subcommands: &[],
    },
    Row {
        name: "shutdown",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::NO_MULTI | flag::ALLOW_BUSY,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Synchronously save the dataset to disk and then shut down the server",
        run: Some(Server::shutdown_command),
        subcommands: &[],
    },
    Row {
        name: "save",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Synchronously save the dataset to disk",
        run: Some(save),
        subcommands: &[],
    },
    Row {
        name: "bgsave",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Asynchronously save the dataset to disk",
        run: Some(bgsave),
        subcommands: &[],
    },
    Row {
        name: "bgrewriteaof",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING,
        categories: 0,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Writes the data set as the base of an append-only file, in the background.",
        run: Some(Server::bgrewriteaof_command),
        subcommands: &[],
    },
    Row {
        name: "lastsave",
        arity: 1,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        categories: category::ADMIN | category::DANGEROUS,
        keys: &[],
        group: "server",
        since: "1.0.0",
        summary: "Get the UNIX time stamp of the last successful save to disk",
        run: Some(lastsave),
        subcommands: &[],
    },
    Row {
        name: "time",
        arity: 1,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        categories: 0,
        keys: &[],
        group: "server",
        since: "2.6.0",
        summary: "Return the current server time",
        run: Some(time),
        subcommands: &[],
    },
];

fn save(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    if server.snapshot.child_of(false).is_some() {
        return Err(CommandError::new("ERR Background save already in progress"));
    }
    server.rdb_save().map_err(|_| CommandError::new("ERR"))?;
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

fn bgsave(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let schedule = match argv.get(1) {
        None => false,
        Some(arg) if is_option(arg, "SCHEDULE") && argv.len() == 2 => true,
        _ => return Err(crate::commands::error::SYNTAX),
    };
    let is_no_save = |target| matches!(target, SnapshotTarget::Pipe | SnapshotTarget::AofBase);
    let text = match &server.snapshot.child {
        Some(child) if is_no_save(child.target) && schedule => {
            server.snapshot.scheduled = true;
            "Background saving scheduled"
        }
        Some(child) if is_no_save(child.target) => {
            return Err(CommandError::new(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
            ));
        }
        Some(_) => return Err(CommandError::new("ERR Background save already in progress")),
        None => {
            server.rdb_save_background(SnapshotTarget::Disk, Wish::ALL).map_err(|error| {
                log::error!("Can't save in background: fork: {error}");
                CommandError::new("ERR")
            })?;
            "Background saving started"
        }
    };
    if let Some(reply) = server.reply(id) {
        reply.status(text);
    }
    Ok(())
}

fn lastsave(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let at = server.snapshot.last_save_s;
    if let Some(reply) = server.reply(id) {
        reply.int(at);
    }
    Ok(())
}

fn time(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let now = server.clock.unix_us();
    if let Some(reply) = server.reply(id) {
        reply.array(2);
        reply.bulk_int(now / 1_000_000);
        reply.bulk_int(now % 1_000_000);
    }
    Ok(())
}
