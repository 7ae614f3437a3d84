//! The replication section of INFO, and who our replicas are.

use super::Line;
use crate::replication::master::{Replica, ReplicaStage};
use crate::replication::replica::LinkStage;
use crate::server::loading::LoadReason;
use crate::server::progress::State;
use crate::server::repl_errors::Failed;
use crate::server::{Client, Server};

/// Writes the section.
pub fn write(server: &Server, out: &mut String) {
    let repl = &server.repl;
    out.line("role", if repl.is_replica() { "slave" } else { "master" });
    as_replica(server, out);
    let replicas: Vec<(&Client, &Replica)> = replicas(server).collect();
    out.line("connected_slaves", replicas.len());
    let (wanted, max_lag) = (server.config.min_replicas_to_write, server.config.min_replicas_max_lag);
    let now_s = server.clock.unix_ms() / 1000;
    if wanted > 0 && max_lag > 0 {
        out.line("min_slaves_good_slaves", repl.good_replicas);
    }
    for (number, (client, replica)) in replicas.into_iter().enumerate() {
        let (ip, port) = address(client);
        let lag = if replica.stage == ReplicaStage::Online { now_s - replica.ack_time_s } else { 0 };
        let state = replica.stage.name();
        let lag_ms = match replica.stage {
            ReplicaStage::WaitBgsaveStart => 0,
            _ => repl.log.age_ms(replica.known_offset(), server.clock.unix_ms()),
        };
        let offset = replica.ack_offset;
        let value = format!("ip={ip},port={port},state={state},offset={offset},lag={lag},lag_ms={lag_ms}");
        out.line(&format!("slave{number}"), value);
    }
    syncing_replicas(server, out);
    out.line("master_failover_state", server.failover.name());
    out.line("master_replid", &repl.replid);
    out.line("master_replid2", &repl.replid2);
    out.line("master_repl_offset", repl.log.end());
    out.line("second_repl_offset", repl.second_offset);
    let active = repl.log.is_active();
    out.line("repl_backlog_active", u8::from(active));
    out.line("repl_backlog_size", server.config.repl_backlog_size);
    out.line("repl_backlog_first_byte_offset", if active { repl.log.first() + 1 } else { 0 });
    out.line("repl_backlog_histlen", if active { repl.log.len() } else { 0 });
    out.line("repl_stream_mismatches", repl.mistrust.count);
    if let Some((first, count)) = repl.stream_errors.since_sync() {
        let Failed { command, db, key } = first;
        out.line("master_stream_errors", count);
        out.line("master_stream_first_error", format!("cmd={command},db={db},key={key}"));
    }
    out.line("repl_refused_syncs", repl.translation.refused_syncs);
    out.line("repl_degraded_syncs", repl.translation.degraded_syncs);
    out.line("repl_degraded_items", repl.translation.degraded_items);
    out.line("replication_bridge", u8::from(repl.bridge.is_on));
    if repl.bridge.is_on {
        out.line("bridge_master_replid", repl.master.as_ref().map_or("", |_| repl.master_replid()));
        out.line("bridge_dialect", server.dialect_name());
        out.line("bridge_rewritten_commands", repl.bridge.rewritten);
        out.line("bridge_degraded_commands", repl.bridge.degraded);
        out.line("bridge_histories", repl.bridge.histories);
    }
}

/// How far the replicas are that are not online yet. The name does not begin with `slave` and a digit, by which a
/// Sentinel tells the lines above.
fn syncing_replicas(server: &Server, out: &mut String) {
    let open = server.clients.iter().filter(|(_, client)| !client.closing);
    let replicas = open.filter_map(|(id, client)| Some((id, client.replica.as_deref()?)));
    for (number, (id, replica)) in replicas.enumerate() {
        let Some((stage, state)) = server.sync_state(id, replica) else { continue };
        let mut value = format!("state={stage}");
        if let Some(State { done, total, rate }) = state {
            value += &format!(
                ",bytes={},total_bytes={},keys={},total_keys={},bytes_per_sec={},keys_per_sec={},eta_seconds={}",
                done.bytes,
                total.bytes,
                done.keys,
                total.keys,
                rate.bytes as u64,
                rate.keys as u64,
                rate.seconds_left(done, total)
            );
        }
        out.line(&format!("syncing_slave{number}"), value);
    }
}

/// The lines that only a replica has.
fn as_replica(server: &Server, out: &mut String) {
    let (repl, config) = (&server.repl, &server.config);
    let Some((host, port)) = &repl.master else { return };
    let now_s = server.clock.unix_ms() / 1000;
    let heard_s = server.master_client().map(|master| now_s - master.last_active_ms / 1000);
    let loads = server.loading.as_ref().is_some_and(|job| job.reason == LoadReason::Sync);
    let syncing = repl.link.stage == LinkStage::Transfer || loads;
    out.line("master_host", host);
    out.line("master_port", port);
    out.line("master_link_status", if repl.is_link_up() { "up" } else { "down" });
    out.line("master_last_io_seconds_ago", heard_s.unwrap_or(-1));
    out.line("master_sync_in_progress", u8::from(syncing));
    out.line("slave_read_repl_offset", repl.applied_offset());
    out.line("slave_repl_offset", repl.applied_offset());
    if syncing {
        let transfer = server.transfer_state();
        let state = transfer.unwrap_or_default();
        let (received, total) = (state.done.bytes, state.total.bytes);
        let percent = if total > 0 { received as f64 / total as f64 * 100.0 } else { 0.0 };
        out.line("master_sync_total_bytes", total);
        out.line("master_sync_read_bytes", received);
        out.line("master_sync_left_bytes", total as i64 - received as i64);
        out.line("master_sync_perc", format!("{percent:.2}"));
        out.line("master_sync_last_io_seconds_ago", now_s - repl.link.last_io_s);
        if transfer.is_some() {
            super::progress(out, "master_sync", "read", state);
            out.line("master_sync_eta_seconds", state.seconds_left());
        }
    }
    if !repl.is_link_up() {
        let down_s = repl.link.down_since_s;
        out.line("master_link_down_since_seconds", if down_s > 0 { now_s - down_s } else { -1 });
    }
    out.line("slave_priority", config.replica_priority);
    out.line("slave_read_only", u8::from(config.replica_read_only));
    out.line("replica_announced", u8::from(config.replica_announced));
    out.line("master_link_lag_ms", repl.link.heard_ms.map_or(-1, |heard| (server.clock.unix_ms() - heard).max(0)));
    if repl.link.refused_empty {
        out.line("master_refused_empty", 1);
    }
}

/// Our replicas, whatever they wait for.
pub fn replicas(server: &Server) -> impl Iterator<Item = (&Client, &Replica)> {
    let open = server.clients.iter().filter(|(_, client)| !client.closing);
    open.filter_map(|(_, client)| Some((client, client.replica.as_deref()?)))
}

/// Where a replica is to be found: what it announced, or where it comes from.
pub fn address(client: &Client) -> (String, u16) {
    let announced = client.introduction.ip_address.clone();
    let seen = || client.transport.peer_ip().map(|ip| ip.to_canonical().to_string());
    (announced.or_else(seen).unwrap_or_default(), client.introduction.listening_port)
}
