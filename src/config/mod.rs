//! The settings of one server: typed fields, and what they are before anybody says otherwise.
//!
//! Ancestor: the `server.xxx = yyy` half of `config.c` and `initServerConfig`. The names that users type live in
//! `table`, one row each; everything else (`CONFIG GET/SET/REWRITE`, the file, the command line) is derived from it.
//!
//! Deliberately absent: any effect. A changed setting is told to the server as [`Applied`]; binding ports, chdir,
//! resizing the backlog are its work. Settings that have no meaning in this server are kept as text in `accepted`.

use std::collections::BTreeMap;
use std::path::PathBuf;

mod access;
mod args;
mod help;
mod parse;
mod rewrite;
mod special;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use access::{Applied, ConfigError};
pub use args::{StartError, UserCheck};
pub use help::{COMPATIBLE_VERSION, usage, version};
pub use parse::{parse_memory, quote, split_args};
pub use special::reason;
pub use table::{DIRECTIVES, Directive, is_sensitive};
pub use values::*;

/// Declares the fields and, beside each, its default: the two can then not drift apart.
macro_rules! settings {
    ($(#[$attr:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $kind:ty = $default:expr,)* }) => {
        $(#[$attr])*
        pub struct $name { $($(#[$doc])* pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

settings! {
    /// Everything a user can set and this server listens to. Field names are the directives' names.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Config {
        // Network.
        /// Addresses to listen on; a leading `-` means "do not fail when it is not there".
        pub bind: Vec<String> = vec!["*".into(), "-::*".into()],
        pub bind_source_addr: String = String::new(),
        pub port: u16 = 6379,
        pub tcp_backlog: u32 = 511,
        pub unixsocket: Option<PathBuf> = None,
        /// Permission bits of the socket file, 0 leaves them as the umask made them.
        pub unixsocketperm: u32 = 0,
        /// Seconds after which an idle client is closed, 0 for never.
        pub timeout: u32 = 0,
        /// Seconds, 0 for off.
        pub tcp_keepalive: u32 = 300,
        pub protected_mode: bool = true,
        pub maxclients: u32 = 10_000,
        /// Bytes, or with `maxmemory_clients_percent` set that share of `maxmemory`; 0 for no limit.
        pub maxmemory_clients: u64 = 0,
        pub maxmemory_clients_percent: Option<u8> = None,
        pub client_output_buffer_limit: ClientOutputBufferLimits = ClientOutputBufferLimits::default(),
        pub client_query_buffer_limit: u64 = 1 << 30,
        pub proto_max_bulk_len: u64 = 512 << 20,

        // Access.
        /// Empty for none.
        pub requirepass: Vec<u8> = Vec::new(),
        pub enable_debug_command: Access = Access::default(),
        pub enable_module_command: Access = Access::default(),
        pub enable_protected_configs: Access = Access::default(),
        pub acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::default(),
        pub acllog_max_len: u64 = 128,
        pub aclfile: Option<PathBuf> = None,
        /// `(from, to)` of each `rename-command`; an empty `to` takes the command away.
        pub rename_command: Vec<(Vec<u8>, Vec<u8>)> = Vec::new(),
        /// Arguments of each `user` line.
        pub users: Vec<Vec<Vec<u8>>> = Vec::new(),

        // The process.
        pub databases: u32 = 16,
        pub daemonize: bool = false,
        pub supervised: Supervised = Supervised::default(),
        pub pidfile: Option<PathBuf> = None,
        pub loglevel: LogLevel = LogLevel::Notice,
        /// None is standard output.
        pub logfile: Option<PathBuf> = None,
        pub syslog_enabled: bool = false,
        pub syslog_ident: String = "redis".into(),
        pub syslog_facility: SyslogFacility = SyslogFacility::default(),
        pub crash_log_enabled: bool = true,
        /// Milliseconds without a turn of cron after which the log is told where we are, 0 for never.
        pub watchdog_period: u64 = 0,
        pub jemalloc_bg_thread: bool = true,
        pub set_proc_title: bool = true,
        pub proc_title_template: String = "{title} {listen-addr} {server-mode}".into(),
        pub oom_score_adj: OomScoreAdj = OomScoreAdj::default(),
        /// For a master, a replica and a child process.
        pub oom_score_adj_values: [i32; 3] = [0, 200, 800],
        pub disable_thp: bool = true,
        pub hz: u32 = 10,
        pub dynamic_hz: bool = true,
        /// Seconds to wait for replicas at shutdown.
        pub shutdown_timeout: u32 = 10,
        pub shutdown_on_sigint: ShutdownOn = ShutdownOn::default(),
        pub shutdown_on_sigterm: ShutdownOn = ShutdownOn::default(),
        /// Milliseconds.
        pub busy_reply_threshold: u64 = 5000,
        pub locale_collate: String = String::new(),

        // Snapshots.
        /// Absolute once loaded.
        pub dir: PathBuf = ".".into(),
        pub dbfilename: PathBuf = "dump.rdb".into(),
        pub save: Vec<SavePoint> = default_save_points(),
        pub rdbcompression: bool = true,
        pub rdbchecksum: bool = true,
        pub rdb_del_sync_files: bool = false,
        pub stop_writes_on_bgsave_error: bool = true,
        pub rdb_save_incremental_fsync: bool = true,
        /// Microseconds per key while saving (a test aid; negative: one microsecond every -n keys).
        pub rdb_key_save_delay: i32 = 0,
        /// Microseconds per key while loading (likewise).
        pub key_load_delay: i32 = 0,
        pub loading_process_events_interval_bytes: u64 = 2 << 20,
        pub sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::default(),

        // Replication.
        pub replicaof: Option<ReplicaOf> = None,
        pub masteruser: Option<Vec<u8>> = None,
        pub masterauth: Option<Vec<u8>> = None,
        pub replica_read_only: bool = true,
        pub replica_serve_stale_data: bool = true,
        pub replica_lazy_flush: bool = false,
        pub replica_priority: u32 = 100,
        pub replica_announced: bool = true,
        pub replica_announce_ip: Option<String> = None,
        pub replica_announce_port: u16 = 0,
        pub replica_ignore_maxmemory: bool = true,
        pub replica_ignore_disk_write_errors: bool = false,
        pub propagation_error_behavior: PropagationErrorBehavior = PropagationErrorBehavior::default(),
        pub repl_diskless_sync: bool = true,
        /// Seconds.
        pub repl_diskless_sync_delay: u32 = 5,
        pub repl_diskless_sync_max_replicas: u32 = 0,
        pub repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::default(),
        /// Seconds.
        pub repl_ping_replica_period: u32 = 10,
        /// Seconds.
        pub repl_timeout: u32 = 60,
        /// Microseconds that the stream gathers at most before it goes to the replicas.
        pub repl_feed_delay_us: u32 = 500,
        /// Seconds that a replica waits at most before it tries to reach its master again.
        pub repl_reconnect_max_delay: u32 = 30,
        /// Whether an automatic resync may swap data for an empty data set of another history.
        pub replica_accept_empty_master: bool = false,
        /// Bytes.
        pub repl_backlog_size: u64 = 1 << 20,
        /// Seconds, 0 for never freed.
        pub repl_backlog_ttl: u64 = 3600,
        pub repl_disable_tcp_nodelay: bool = false,
        pub repl_rdb_version: RdbVersion = None,
        /// By the `host:port`, or the `host` alone, that replicas announce or come from.
        pub repl_rdb_version_for: BTreeMap<String, u16> = BTreeMap::new(),
        pub repl_incompatible_data: ReplIncompatibleData = ReplIncompatibleData::default(),
        /// Whether a history of our own is kept beside our master's, in words that all replicas know.
        pub replication_bridge: bool = false,
        pub min_replicas_to_write: u32 = 0,
        /// Seconds.
        pub min_replicas_max_lag: u32 = 10,

        // Memory and expiry.
        /// Bytes, 0 for no limit.
        pub maxmemory: u64 = 0,
        pub maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::default(),
        pub maxmemory_samples: u32 = 5,
        pub maxmemory_eviction_tenacity: u32 = 10,
        pub lfu_log_factor: u32 = 10,
        pub lfu_decay_time: u32 = 1,
        pub active_expire_effort: u32 = 1,
        pub lazyfree_lazy_eviction: bool = false,
        pub lazyfree_lazy_expire: bool = false,
        pub lazyfree_lazy_server_del: bool = false,
        pub lazyfree_lazy_user_del: bool = false,
        pub lazyfree_lazy_user_flush: bool = false,
        pub tracking_table_max_keys: u64 = 1_000_000,

        // Encodings.
        pub list_max_listpack_size: i64 = -2,
        pub list_compress_depth: u32 = 0,
        pub set_max_intset_entries: u64 = 512,
        pub set_max_listpack_entries: u64 = 128,
        pub set_max_listpack_value: u64 = 64,
        pub hash_max_listpack_entries: u64 = 512,
        pub hash_max_listpack_value: u64 = 64,
        pub zset_max_listpack_entries: u64 = 128,
        pub zset_max_listpack_value: u64 = 64,
        pub hll_sparse_max_bytes: u64 = 3000,
        pub stream_node_max_bytes: u64 = 4096,
        pub stream_node_max_entries: u64 = 100,

        // Watching it work.
        /// Class bits, see [`NotifyFlags`].
        pub notify_keyspace_events: NotifyFlags = NotifyFlags::default(),
        /// Microseconds; negative turns the log off.
        pub slowlog_log_slower_than: i64 = 10_000,
        pub slowlog_max_len: u64 = 128,
        /// Milliseconds, 0 for off.
        pub latency_monitor_threshold: u64 = 0,
        pub latency_tracking: bool = true,
        pub latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],

        /// Directives without effect here that somebody set, by their main name.
        pub accepted: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new(),
        /// The file the settings were read from, absolute; none when there was no file.
        pub config_file: Option<PathBuf> = None,
    }
}
