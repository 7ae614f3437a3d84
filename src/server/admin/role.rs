//! ROLE: what we are in replication, and how far along (= roleCommand of replication.c).

use super::info::replication;
use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag};
use crate::replication::master::ReplicaStage;
use crate::replication::replica::LinkStage;
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[Row {
    name: "role",
    arity: 1,
    flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST,
    categories: category::ADMIN | category::DANGEROUS,
    keys: &[],
    group: "server",
    since: "2.8.12",
    summary: "Tells whether this is a master or a replica, and of whom.",
    run: Some(role),
    subcommands: &[],
}];

fn role(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
    let offset = server.repl.applied_offset() as i64;
    if let Some((host, port)) = server.repl.master.clone() {
        let stage = server.repl.link.stage;
        let Some(reply) = server.reply(id) else { return Ok(()) };
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(host.as_bytes());
        reply.int(i64::from(port));
        reply.bulk(stage.role_name().as_bytes());
        reply.int(if stage == LinkStage::Connected { offset } else { -1 });
        return Ok(());
    }
    let online = replication::replicas(server).filter(|(_, replica)| replica.stage == ReplicaStage::Online);
    let replicas: Vec<(String, u16, u64)> = online
        .map(|(client, replica)| {
            let (ip, port) = replication::address(client);
            (ip, port, replica.ack_offset)
        })
        .collect();
    let Some(reply) = server.reply(id) else { return Ok(()) };
    reply.array(3);
    reply.bulk(b"master");
    reply.int(offset);
    reply.array(replicas.len());
    for (ip, port, acknowledged) in replicas {
        reply.array(3);
        reply.bulk(ip.as_bytes());
        reply.bulk_int(i64::from(port));
        reply.bulk_int(acknowledged as i64);
    }
    Ok(())
}
