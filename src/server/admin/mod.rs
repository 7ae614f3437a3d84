//! Commands about the house itself: connections, transactions, replication, snapshots, settings, introspection.

pub mod acl;
pub mod client;
pub mod cluster;
pub mod command;
mod command_docs;
pub mod command_tips;
pub mod config;
pub mod connection;
pub mod debug;
pub mod function;
pub mod house;
pub mod info;
pub mod latency;
pub mod memory;
pub mod migrate;
pub mod module;
pub mod pubsub;
pub mod role;
pub mod script;
pub mod slowlog;

use super::table::HouseFn;
use super::{ClientId, Server};
use crate::commands::Row;

/// The rows of all house commands.
pub fn all_rows() -> &'static [&'static [Row<HouseFn>]] {
    &[
        acl::ROWS,
        client::ROWS,
        cluster::ROWS,
        command::ROWS,
        config::ROWS,
        connection::ROWS,
        debug::ROWS,
        function::ROWS,
        house::ROWS,
        info::ROWS,
        latency::ROWS,
        memory::ROWS,
        migrate::ROWS,
        module::ROWS,
        pubsub::ROWS,
        role::ROWS,
        script::ROWS,
        slowlog::ROWS,
    ]
}

/// A subcommand of a container about the server, without categories of its own.
const fn sub(
    name: &'static str,
    arity: i32,
    flags: u32,
    since: &'static str,
    summary: &'static str,
    run: HouseFn,
) -> Row<HouseFn> {
    Row {
        name,
        arity,
        flags,
        categories: 0,
        keys: &[],
        group: "server",
        since,
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

/// Answers the lines of a HELP subcommand.
fn reply_help(server: &mut Server, id: ClientId, lines: &[&str]) {
    let Some(reply) = server.reply(id) else { return };
    reply.array(lines.len());
    for line in lines {
        reply.status(line);
    }
}
