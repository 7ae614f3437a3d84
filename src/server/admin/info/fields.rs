//! The lines of INFO that are always there, and where their values come from.

use super::Field;
use crate::base::crc64::crc64;
use crate::base::process;
use crate::config::COMPATIBLE_VERSION;
use crate::keyspace::access::CLOCK_MASK;
use crate::pubsub::Space;
use crate::server::stats::Measured;
use crate::server::{Client, Server, startup};

const DAY_S: i64 = 24 * 60 * 60;

fn show(value: impl std::fmt::Display) -> String {
    value.to_string()
}

fn zero(_: &Server) -> String {
    "0".into()
}

/// How much of the keys a child has written.
fn fork_percent(server: &Server) -> String {
    let state = server.child_state().unwrap_or_default();
    format!("{:.2}", state.done.keys as f64 * 100.0 / state.total.keys.max(1) as f64)
}

fn uptime_s(server: &Server) -> i64 {
    (server.clock.unix_ms() - server.started_ms) / 1000
}

pub const SERVER: &[Field] = &[
    ("redis_version", |_| COMPATIBLE_VERSION.into()),
    ("server_name", |_| "understudy".into()),
    ("understudy_version", |_| env!("CARGO_PKG_VERSION").into()),
    ("redis_git_sha1", |_| "00000000".into()),
    ("redis_git_dirty", zero),
    ("redis_build_id", |_| format!("{:x}", crc64(0, env!("CARGO_PKG_VERSION").as_bytes()))),
    ("redis_mode", |_| "standalone".into()),
    ("os", |_| process::uname()),
    ("arch_bits", |_| show(usize::BITS)),
    ("monotonic_clock", |_| "POSIX clock_gettime".into()),
    ("multiplexing_api", |_| "epoll".into()),
    ("atomicvar_api", |_| "rust-std".into()),
    ("gcc_version", |_| "0.0.0".into()),
    ("process_id", |_| show(process::pid())),
    ("process_supervised", |server| startup::supervision(&server.config).word().into()),
    ("run_id", |server| server.run_id.clone()),
    ("tcp_port", |server| show(server.config.port)),
    ("server_time_usec", |server| show(server.clock.unix_us())),
    ("uptime_in_seconds", |server| show(uptime_s(server))),
    ("uptime_in_days", |server| show(uptime_s(server) / DAY_S)),
    ("hz", |server| show(server.hz())),
    ("configured_hz", |server| show(server.config.hz)),
    ("lru_clock", |server| show((server.keys.now / 1000) as u32 & CLOCK_MASK)),
    ("executable", |_| std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default()),
    ("config_file", |server| server.config.config_file.as_ref().map_or_else(String::new, |path| show(path.display()))),
    ("io_threads_active", zero),
];

fn largest(server: &Server, size: fn(&Client) -> usize) -> String {
    show(server.clients.iter().map(|(_, client)| size(client)).max().unwrap_or(0))
}

pub const CLIENTS: &[Field] = &[
    ("connected_clients", |server| show(server.clients.iter().filter(|(_, client)| client.replica.is_none()).count())),
    ("cluster_connections", zero),
    ("maxclients", |server| show(server.config.maxclients)),
    ("client_recent_max_input_buffer", |server| largest(server, |client| client.input.capacity())),
    ("client_recent_max_output_buffer", |server| largest(server, |client| client.reply.out.capacity())),
    ("blocked_clients", |server| show(server.blocked.len())),
    ("tracking_clients", |server| show(server.tracking.clients())),
    ("pubsub_clients", |server| show(server.pubsub.subscribers())),
    ("clients_in_timeout_table", |server| show(server.blocked.with_deadline())),
    ("total_blocking_keys", |server| show(server.keys.waits.keys())),
    ("total_blocking_keys_on_nokey", |server| show(server.keys.waits.keys_waited_for_to_go())),
    ("paused_reason", |server| server.pauses.reason(server.keys.now).0.into()),
    ("paused_actions", |server| server.pauses.in_force().map_or("none", |paused| paused.name()).into()),
    ("paused_timeout_milliseconds", |server| show(server.pauses.reason(server.keys.now).1)),
];

/// For how long a child has been making a snapshot, or the base of an append-only file; −1 without one.
fn child_seconds(server: &Server, rewrites: bool) -> String {
    let started_ms = server.snapshot.child_of(rewrites).map(|child| child.started_ms);
    show(started_ms.map_or(-1, |started_ms| (server.clock.unix_ms() - started_ms) / 1000))
}

pub const PERSISTENCE: &[Field] = &[
    ("loading", |server| show(u8::from(server.loading.is_some() || server.repl.link.loads_alone()))),
    ("async_loading", |server| show(u8::from(server.repl.link.loads_beside_data()))),
    ("current_cow_peak", zero),
    ("current_cow_size", zero),
    ("current_cow_size_age", zero),
    ("current_fork_perc", fork_percent),
    ("current_save_keys_processed", |server| show(server.child_state().unwrap_or_default().done.keys)),
    ("current_save_keys_total", |server| show(server.child_state().unwrap_or_default().total.keys)),
    ("rdb_changes_since_last_save", |server| show(server.unsaved_changes())),
    ("rdb_bgsave_in_progress", |server| show(u8::from(server.snapshot.child_of(false).is_some()))),
    ("rdb_last_save_time", |server| show(server.snapshot.last_save_s)),
    ("rdb_last_bgsave_status", |server| if server.snapshot.last_save_ok { "ok".into() } else { "err".into() }),
    ("rdb_last_bgsave_time_sec", |server| show(server.snapshot.last_child_seconds)),
    ("rdb_current_bgsave_time_sec", |server| child_seconds(server, false)),
    ("rdb_saves", |server| show(server.snapshot.saves)),
    ("rdb_last_cow_size", |server| show(server.snapshot.last_cow_bytes)),
    ("rdb_last_load_keys_expired", |server| show(server.snapshot.last_load.1)),
    ("rdb_last_load_keys_loaded", |server| show(server.snapshot.last_load.0)),
    ("aof_enabled", zero),
    ("aof_rewrite_in_progress", |server| show(u8::from(server.snapshot.child_of(true).is_some()))),
    ("aof_rewrite_scheduled", |server| show(u8::from(server.snapshot.rewrites.scheduled))),
    ("aof_last_rewrite_time_sec", |server| show(server.snapshot.rewrites.last_seconds)),
    ("aof_current_rewrite_time_sec", |server| child_seconds(server, true)),
    (
        "aof_last_bgrewrite_status",
        |server| if server.snapshot.rewrites.failures == 0 { "ok".into() } else { "err".into() },
    ),
    ("aof_rewrites", |server| show(server.snapshot.rewrites.begun)),
    ("aof_rewrites_consecutive_failures", |server| show(server.snapshot.rewrites.failures)),
    ("aof_last_write_status", |_| "ok".into()),
    ("aof_last_cow_size", |server| show(server.snapshot.rewrites.last_cow_bytes)),
    ("module_fork_in_progress", zero),
    ("module_fork_last_cow_size", zero),
];

/// A rate of bytes, in KB a second.
fn kilobytes(server: &Server, what: Measured) -> String {
    format!("{:.2}", server.stats.per_second(what) / 1024.0)
}

/// Microseconds that a turn of the event loop took lately, on the average.
fn turn_us(server: &Server) -> String {
    let cycles = server.stats.per_second(Measured::Cycles);
    let us = server.stats.per_second(Measured::CycleTime);
    show(if cycles > 0.0 { (us / cycles) as u64 } else { 0 })
}

/// How long memory has been over its limit: in all, and without a break until now, in milliseconds.
fn exceeded_ms(server: &Server) -> (String, String) {
    let (total, current) = server.eviction.exceeded(server.clock.monotonic_us());
    (show(total / 1000), show(current / 1000))
}

fn ticks_in_commands(server: &Server) -> u64 {
    server.table.commands.iter().map(|command| command.stats.ticks).sum()
}

pub const STATS: &[Field] = &[
    ("total_connections_received", |server| show(server.stats.connections_received)),
    ("total_commands_processed", |server| show(server.stats.commands_processed)),
    ("instantaneous_ops_per_sec", |server| show(server.stats.per_second(Measured::Commands) as u64)),
    ("total_net_input_bytes", |server| show(server.stats.net_input_bytes)),
    ("total_net_output_bytes", |server| show(server.stats.net_output_bytes)),
    ("total_net_repl_input_bytes", |server| show(server.stats.net_repl_input_bytes)),
    ("total_net_repl_output_bytes", |server| show(server.stats.net_repl_output_bytes)),
    ("instantaneous_input_kbps", |server| kilobytes(server, Measured::Input)),
    ("instantaneous_output_kbps", |server| kilobytes(server, Measured::Output)),
    ("instantaneous_input_repl_kbps", |server| kilobytes(server, Measured::ReplInput)),
    ("instantaneous_output_repl_kbps", |server| kilobytes(server, Measured::ReplOutput)),
    ("rejected_connections", |server| show(server.stats.rejected_connections)),
    ("sync_full", |server| show(server.stats.sync_full)),
    ("sync_partial_ok", |server| show(server.stats.sync_partial_ok)),
    ("sync_partial_err", |server| show(server.stats.sync_partial_err)),
    ("expired_keys", |server| show(server.keys.stats.expired)),
    ("expired_stale_perc", |server| format!("{:.2}", server.keys.stats.expired_stale * 100.0)),
    ("expired_time_cap_reached_count", |server| show(server.keys.stats.expired_time_cap_reached)),
    ("expire_cycle_cpu_milliseconds", |server| show(server.stats.expire_cycle_us / 1000)),
    ("evicted_keys", |server| show(server.keys.stats.evicted)),
    ("evicted_clients", |server| show(server.client_memory.evicted)),
    ("total_eviction_exceeded_time", |server| exceeded_ms(server).0),
    ("current_eviction_exceeded_time", |server| exceeded_ms(server).1),
    ("keyspace_hits", |server| show(server.keys.stats.hits)),
    ("keyspace_misses", |server| show(server.keys.stats.misses)),
    ("pubsub_channels", |server| show(server.pubsub.len(Space::Channel))),
    ("pubsub_patterns", |server| show(server.pubsub.len(Space::Pattern))),
    ("pubsubshard_channels", |server| show(server.pubsub.len(Space::Shard))),
    ("latest_fork_usec", |server| show(server.stats.latest_fork_us)),
    ("total_forks", |server| show(server.stats.total_forks)),
    ("migrate_cached_sockets", zero),
    ("slave_expires_tracked_keys", zero),
    ("active_defrag_hits", zero),
    ("active_defrag_misses", zero),
    ("active_defrag_key_hits", zero),
    ("active_defrag_key_misses", zero),
    ("total_active_defrag_time", zero),
    ("current_active_defrag_time", zero),
    ("tracking_total_keys", |server| show(server.tracking.keys())),
    ("tracking_total_items", |server| show(server.tracking.items())),
    ("tracking_total_prefixes", |server| show(server.tracking.prefixes())),
    ("unexpected_error_replies", |server| show(server.stats.unexpected_error_replies)),
    ("total_error_replies", |server| show(server.stats.error_replies)),
    ("dump_payload_sanitizations", zero),
    ("total_reads_processed", |server| show(server.stats.reads)),
    ("total_writes_processed", |server| show(server.stats.writes)),
    ("io_threaded_reads_processed", zero),
    ("io_threaded_writes_processed", zero),
    ("client_query_buffer_limit_disconnections", |server| show(server.stats.query_limit_disconnections)),
    ("client_output_buffer_limit_disconnections", |server| show(server.stats.output_limit_disconnections)),
    ("reply_buffer_shrinks", zero),
    ("reply_buffer_expands", zero),
    ("eventloop_cycles", |server| show(server.stats.eventloop_cycles)),
    ("eventloop_duration_sum", |server| show(server.stats.eventloop_duration_sum_us)),
    ("eventloop_duration_cmd_sum", |server| show(server.ticks_to_us(ticks_in_commands(server)))),
    ("eventloop_duration_max_usec", |server| show(server.stats.eventloop_duration_max_us)),
    ("instantaneous_eventloop_cycles_per_sec", |server| show(server.stats.per_second(Measured::Cycles) as u64)),
    ("instantaneous_eventloop_duration_usec", turn_us),
    ("acl_access_denied_auth", |server| show(server.acl_log.denied.logins)),
    ("acl_access_denied_cmd", |server| show(server.acl_log.denied.commands)),
    ("acl_access_denied_key", |server| show(server.acl_log.denied.keys)),
    ("acl_access_denied_channel", |server| show(server.acl_log.denied.channels)),
];

pub const DEBUG: &[Field] = &[
    ("eventloop_duration_aof_sum", zero),
    ("eventloop_duration_cron_sum", |server| show(server.stats.eventloop_duration_cron_us)),
    ("eventloop_duration_max", |server| show(server.stats.eventloop_duration_max_us)),
    ("eventloop_cmd_per_cycle_max", |server| show(server.stats.eventloop_commands_max)),
];

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

pub const CPU: &[Field] = &[
    ("used_cpu_sys", |_| seconds(process::cpu_times().system_us)),
    ("used_cpu_user", |_| seconds(process::cpu_times().user_us)),
    ("used_cpu_sys_children", |_| seconds(process::cpu_times().children_system_us)),
    ("used_cpu_user_children", |_| seconds(process::cpu_times().children_user_us)),
    ("used_cpu_sys_main_thread", |_| seconds(process::thread_cpu_times().1)),
    ("used_cpu_user_main_thread", |_| seconds(process::thread_cpu_times().0)),
];
