//! The one table of directives: every name a user may type, what it may hold, and which field holds it.
//!
//! Ancestor: `static_configs[]` in `config.c`. Names, ranges, flags and texts are those of Redis 7.2 as a running
//! server shows them. `CONFIG GET/SET/REWRITE`, the file and the command line all walk this table and nothing else.
//!
//! A row whose kind is [`Kind::Accepted`] has no meaning in this server: what is set is checked, kept and shown.

use super::special;
use super::{
    Access, AclPubsubDefault, Config, LogLevel, MaxmemoryPolicy, OomScoreAdj, PropagationErrorBehavior,
    ReplDisklessLoad, ReplIncompatibleData, SanitizeDumpPayload, Supervised, SyslogFacility,
};

/// One directive.
pub struct Directive {
    pub name: &'static str,
    /// The other name it goes by, if any.
    pub alias: Option<&'static str>,
    pub flags: u8,
    pub kind: Kind,
}

/// Cannot be changed while the server runs.
pub const IMMUTABLE: u8 = 1;
/// Can be changed at run time only where `enable-protected-configs` allows it.
pub const PROTECTED: u8 = 2;
/// Must not show up in logs.
pub const SENSITIVE: u8 = 4;
/// Shown only to who asks for the exact name.
pub const HIDDEN: u8 = 8;
/// Takes several words.
pub const MULTI: u8 = 16;

/// What a directive holds, and the way to its field.
pub enum Kind {
    Bool {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Integer {
        min: i128,
        max: i128,
        get: fn(&Config) -> i128,
        set: fn(&mut Config, i128),
    },
    /// Bytes, with units.
    Memory {
        min: i128,
        max: i128,
        get: fn(&Config) -> i128,
        set: fn(&mut Config, i128),
    },
    /// Any text. `get` gives none for "not set", which `CONFIG REWRITE` leaves out.
    Text {
        get: fn(&Config) -> Option<Vec<u8>>,
        set: fn(&mut Config, &[u8]),
        check: fn(&[u8]) -> Result<(), String>,
    },
    Choice {
        words: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    },
    /// Has its own grammar. `lines` are the arguments of each line that says the present value in a file.
    Special {
        get: fn(&Config) -> Vec<u8>,
        set: fn(&mut Config, &[&[u8]]) -> Result<(), String>,
        lines: fn(&Config) -> Vec<Vec<u8>>,
    },
    Accepted {
        shape: Shape,
        default: &'static str,
    },
}

/// What is checked of a directive without effect.
pub enum Shape {
    Bool,
    Integer(i128, i128),
    Memory(i128, i128),
    Text,
    /// A name that must not be a path; the word says what of.
    Plain(&'static str),
    /// The name of a host.
    HostName,
    Choice(&'static [&'static str]),
}

/// A setting kept as text in some form.
trait TextField {
    fn read(&self) -> Option<Vec<u8>>;
    fn write(&mut self, text: &[u8]);
}

impl TextField for String {
    fn read(&self) -> Option<Vec<u8>> {
        (!self.is_empty()).then(|| self.clone().into_bytes())
    }
    fn write(&mut self, text: &[u8]) {
        *self = String::from_utf8_lossy(text).into_owned();
    }
}

impl TextField for Vec<u8> {
    fn read(&self) -> Option<Vec<u8>> {
        (!self.is_empty()).then(|| self.clone())
    }
    fn write(&mut self, text: &[u8]) {
        *self = text.to_vec();
    }
}

impl TextField for std::path::PathBuf {
    fn read(&self) -> Option<Vec<u8>> {
        (!self.as_os_str().is_empty()).then(|| self.as_os_str().as_encoded_bytes().to_vec())
    }
    fn write(&mut self, text: &[u8]) {
        *self = special::path(text);
    }
}

impl<T: TextField + Default> TextField for Option<T> {
    fn read(&self) -> Option<Vec<u8>> {
        self.as_ref().and_then(TextField::read)
    }
    fn write(&mut self, text: &[u8]) {
        *self = (!text.is_empty()).then(|| {
            let mut value = T::default();
            value.write(text);
            value
        });
    }
}

macro_rules! flag {
    ($field:ident) => {
        Kind::Bool { get: |config| config.$field, set: |config, value| config.$field = value }
    };
}

// The range is checked before `set`, and fits the field: `as` cannot cut.
macro_rules! number {
    ($kind:ident, $field:ident, $min:expr, $max:expr) => {
        Kind::$kind {
            min: $min,
            max: $max,
            get: |config| config.$field as i128,
            set: |config, value| config.$field = value as _,
        }
    };
}

macro_rules! int {
    ($field:ident, $min:expr, $max:expr) => {
        number!(Integer, $field, $min, $max)
    };
}

macro_rules! memory {
    ($field:ident, $min:expr, $max:expr) => {
        number!(Memory, $field, $min, $max)
    };
}

macro_rules! text {
    ($field:ident) => {
        text!($field, special::anything)
    };
    ($field:ident, $check:expr) => {
        Kind::Text {
            get: |config| config.$field.read(),
            set: |config, value| config.$field.write(value),
            check: $check,
        }
    };
}

macro_rules! choice {
    ($kind:ident, $field:ident) => {
        Kind::Choice {
            words: $kind::WORDS,
            get: |config| config.$field as usize,
            set: |config, index| config.$field = $kind::from_index(index).unwrap_or_default(),
        }
    };
}

/// `relative` is another word for `yes`, and shows as that.
const OOM_SCORE_ADJ: Kind = Kind::Choice {
    words: OomScoreAdj::WORDS,
    get: |config| config.oom_score_adj as usize,
    set: |config, index| {
        config.oom_score_adj = match OomScoreAdj::from_index(index) {
            Some(OomScoreAdj::Relative) => OomScoreAdj::Yes,
            other => other.unwrap_or_default(),
        }
    },
};

const fn row(name: &'static str, flags: u8, kind: Kind) -> Directive {
    Directive { name, alias: None, flags, kind }
}

const fn also(name: &'static str, alias: &'static str, flags: u8, kind: Kind) -> Directive {
    Directive { name, alias: Some(alias), flags, kind }
}

const fn accepted(name: &'static str, flags: u8, shape: Shape, default: &'static str) -> Directive {
    Directive { name, alias: None, flags, kind: Kind::Accepted { shape, default } }
}

const INT: i128 = i32::MAX as i128;
const UINT: i128 = u32::MAX as i128;
const LONG: i128 = i64::MAX as i128;
const ULONG: i128 = u64::MAX as i128;
const MB: i128 = 1 << 20;

/// Every directive.
pub static DIRECTIVES: &[Directive] = &[
    // Network.
    row("bind", MULTI, special::BIND),
    row("bind-source-addr", 0, text!(bind_source_addr)),
    row("port", 0, int!(port, 0, 65535)),
    row("tcp-backlog", IMMUTABLE, int!(tcp_backlog, 0, INT)),
    row("unixsocket", IMMUTABLE, text!(unixsocket)),
    row("unixsocketperm", IMMUTABLE, special::UNIXSOCKETPERM),
    row("timeout", 0, int!(timeout, 0, INT)),
    row("tcp-keepalive", 0, int!(tcp_keepalive, 0, INT)),
    row("protected-mode", 0, flag!(protected_mode)),
    row("maxclients", 0, int!(maxclients, 1, UINT)),
    row("maxmemory-clients", 0, special::MAXMEMORY_CLIENTS),
    row("client-output-buffer-limit", MULTI, special::CLIENT_OUTPUT_BUFFER_LIMIT),
    row("client-query-buffer-limit", 0, memory!(client_query_buffer_limit, MB, LONG)),
    row("proto-max-bulk-len", 0, memory!(proto_max_bulk_len, MB, LONG)),
    // Access.
    row("requirepass", SENSITIVE, text!(requirepass)),
    row("enable-debug-command", IMMUTABLE, choice!(Access, enable_debug_command)),
    row("enable-module-command", IMMUTABLE, choice!(Access, enable_module_command)),
    row("enable-protected-configs", IMMUTABLE, choice!(Access, enable_protected_configs)),
    row("acl-pubsub-default", 0, choice!(AclPubsubDefault, acl_pubsub_default)),
    row("acllog-max-len", 0, int!(acllog_max_len, 0, LONG)),
    row("aclfile", IMMUTABLE, text!(aclfile)),
    // The process.
    row("databases", IMMUTABLE, int!(databases, 1, INT)),
    row("daemonize", IMMUTABLE, flag!(daemonize)),
    row("supervised", IMMUTABLE, choice!(Supervised, supervised)),
    row("pidfile", IMMUTABLE, text!(pidfile)),
    row("loglevel", 0, choice!(LogLevel, loglevel)),
    row("logfile", IMMUTABLE, text!(logfile)),
    row("syslog-enabled", IMMUTABLE, flag!(syslog_enabled)),
    row("syslog-ident", IMMUTABLE, text!(syslog_ident)),
    row("syslog-facility", IMMUTABLE, choice!(SyslogFacility, syslog_facility)),
    row("crash-log-enabled", 0, flag!(crash_log_enabled)),
    row("watchdog-period", HIDDEN, int!(watchdog_period, 0, INT)),
    row("jemalloc-bg-thread", 0, flag!(jemalloc_bg_thread)),
    row("set-proc-title", IMMUTABLE, flag!(set_proc_title)),
    row("proc-title-template", 0, text!(proc_title_template, special::title_template)),
    row("oom-score-adj", 0, OOM_SCORE_ADJ),
    row("oom-score-adj-values", MULTI, special::OOM_SCORE_ADJ_VALUES),
    row("disable-thp", IMMUTABLE, flag!(disable_thp)),
    row("hz", 0, special::HZ),
    row("dynamic-hz", 0, flag!(dynamic_hz)),
    row("shutdown-timeout", 0, int!(shutdown_timeout, 0, INT)),
    row("shutdown-on-sigint", MULTI, special::SHUTDOWN_ON_SIGINT),
    row("shutdown-on-sigterm", MULTI, special::SHUTDOWN_ON_SIGTERM),
    also("busy-reply-threshold", "lua-time-limit", 0, int!(busy_reply_threshold, 0, LONG)),
    row("locale-collate", 0, text!(locale_collate)),
    // Snapshots.
    row("dir", PROTECTED, special::DIR),
    row("dbfilename", PROTECTED, text!(dbfilename, special::dbfilename)),
    row("save", MULTI, special::SAVE),
    row("rdbcompression", 0, flag!(rdbcompression)),
    row("rdbchecksum", IMMUTABLE, flag!(rdbchecksum)),
    row("rdb-del-sync-files", 0, flag!(rdb_del_sync_files)),
    row("stop-writes-on-bgsave-error", 0, flag!(stop_writes_on_bgsave_error)),
    row("rdb-save-incremental-fsync", 0, flag!(rdb_save_incremental_fsync)),
    row("rdb-key-save-delay", HIDDEN, int!(rdb_key_save_delay, -INT - 1, INT)),
    row("key-load-delay", HIDDEN, int!(key_load_delay, -INT - 1, INT)),
    row("loading-process-events-interval-bytes", HIDDEN, int!(loading_process_events_interval_bytes, 1024, INT)),
    row("sanitize-dump-payload", 0, choice!(SanitizeDumpPayload, sanitize_dump_payload)),
    // Replication.
    also("replicaof", "slaveof", IMMUTABLE | MULTI, special::REPLICAOF),
    row("masteruser", SENSITIVE, text!(masteruser)),
    row("masterauth", SENSITIVE, text!(masterauth)),
    also("replica-read-only", "slave-read-only", 0, flag!(replica_read_only)),
    also("replica-serve-stale-data", "slave-serve-stale-data", 0, flag!(replica_serve_stale_data)),
    also("replica-lazy-flush", "slave-lazy-flush", 0, flag!(replica_lazy_flush)),
    also("replica-priority", "slave-priority", 0, int!(replica_priority, 0, INT)),
    row("replica-announced", 0, flag!(replica_announced)),
    also("replica-announce-ip", "slave-announce-ip", 0, text!(replica_announce_ip)),
    also("replica-announce-port", "slave-announce-port", 0, int!(replica_announce_port, 0, 65535)),
    also("replica-ignore-maxmemory", "slave-ignore-maxmemory", 0, flag!(replica_ignore_maxmemory)),
    row("replica-ignore-disk-write-errors", 0, flag!(replica_ignore_disk_write_errors)),
    row("propagation-error-behavior", 0, choice!(PropagationErrorBehavior, propagation_error_behavior)),
    row("repl-diskless-sync", 0, flag!(repl_diskless_sync)),
    row("repl-diskless-sync-delay", 0, int!(repl_diskless_sync_delay, 0, INT)),
    row("repl-diskless-sync-max-replicas", 0, int!(repl_diskless_sync_max_replicas, 0, INT)),
    row("repl-diskless-load", 0, choice!(ReplDisklessLoad, repl_diskless_load)),
    also("repl-ping-replica-period", "repl-ping-slave-period", 0, int!(repl_ping_replica_period, 1, INT)),
    row("repl-timeout", 0, int!(repl_timeout, 1, INT)),
    row("repl-feed-delay-us", 0, int!(repl_feed_delay_us, 0, 1000)),
    row("repl-reconnect-max-delay", 0, int!(repl_reconnect_max_delay, 1, 3600)),
    row("replica-accept-empty-master", 0, flag!(replica_accept_empty_master)),
    row("repl-backlog-size", 0, special::REPL_BACKLOG_SIZE),
    row("repl-backlog-ttl", 0, int!(repl_backlog_ttl, 0, LONG)),
    row("repl-disable-tcp-nodelay", 0, flag!(repl_disable_tcp_nodelay)),
    row("repl-rdb-version", 0, special::REPL_RDB_VERSION),
    row("repl-rdb-version-for", MULTI, special::REPL_RDB_VERSION_FOR),
    row("repl-incompatible-data", 0, choice!(ReplIncompatibleData, repl_incompatible_data)),
    row("replication-bridge", 0, flag!(replication_bridge)),
    also("min-replicas-to-write", "min-slaves-to-write", 0, int!(min_replicas_to_write, 0, INT)),
    also("min-replicas-max-lag", "min-slaves-max-lag", 0, int!(min_replicas_max_lag, 0, INT)),
    // Memory and expiry.
    row("maxmemory", 0, memory!(maxmemory, 0, ULONG)),
    row("maxmemory-policy", 0, choice!(MaxmemoryPolicy, maxmemory_policy)),
    row("maxmemory-samples", 0, int!(maxmemory_samples, 1, INT)),
    row("maxmemory-eviction-tenacity", 0, int!(maxmemory_eviction_tenacity, 0, 100)),
    row("lfu-log-factor", 0, int!(lfu_log_factor, 0, INT)),
    row("lfu-decay-time", 0, int!(lfu_decay_time, 0, INT)),
    row("active-expire-effort", 0, int!(active_expire_effort, 1, 10)),
    row("lazyfree-lazy-eviction", 0, flag!(lazyfree_lazy_eviction)),
    row("lazyfree-lazy-expire", 0, flag!(lazyfree_lazy_expire)),
    row("lazyfree-lazy-server-del", 0, flag!(lazyfree_lazy_server_del)),
    row("lazyfree-lazy-user-del", 0, flag!(lazyfree_lazy_user_del)),
    row("lazyfree-lazy-user-flush", 0, flag!(lazyfree_lazy_user_flush)),
    row("tracking-table-max-keys", 0, int!(tracking_table_max_keys, 0, LONG)),
    // Encodings.
    also("list-max-listpack-size", "list-max-ziplist-size", 0, int!(list_max_listpack_size, -INT - 1, INT)),
    row("list-compress-depth", 0, int!(list_compress_depth, 0, INT)),
    row("set-max-intset-entries", 0, int!(set_max_intset_entries, 0, LONG)),
    row("set-max-listpack-entries", 0, int!(set_max_listpack_entries, 0, LONG)),
    row("set-max-listpack-value", 0, memory!(set_max_listpack_value, 0, LONG)),
    also("hash-max-listpack-entries", "hash-max-ziplist-entries", 0, int!(hash_max_listpack_entries, 0, LONG)),
    also("hash-max-listpack-value", "hash-max-ziplist-value", 0, memory!(hash_max_listpack_value, 0, LONG)),
    also("zset-max-listpack-entries", "zset-max-ziplist-entries", 0, int!(zset_max_listpack_entries, 0, LONG)),
    also("zset-max-listpack-value", "zset-max-ziplist-value", 0, memory!(zset_max_listpack_value, 0, LONG)),
    row("hll-sparse-max-bytes", 0, memory!(hll_sparse_max_bytes, 0, LONG)),
    row("stream-node-max-bytes", 0, memory!(stream_node_max_bytes, 0, LONG)),
    row("stream-node-max-entries", 0, int!(stream_node_max_entries, 0, LONG)),
    // Watching it work.
    row("notify-keyspace-events", 0, special::NOTIFY_KEYSPACE_EVENTS),
    row("slowlog-log-slower-than", 0, int!(slowlog_log_slower_than, -1, LONG)),
    row("slowlog-max-len", 0, int!(slowlog_max_len, 0, LONG)),
    row("latency-monitor-threshold", 0, int!(latency_monitor_threshold, 0, LONG)),
    row("latency-tracking", 0, flag!(latency_tracking)),
    row("latency-tracking-info-percentiles", MULTI, special::LATENCY_TRACKING_INFO_PERCENTILES),
    // Without effect here: the process.
    accepted("always-show-logo", IMMUTABLE, Shape::Bool, "no"),
    accepted("socket-mark-id", IMMUTABLE, Shape::Integer(0, UINT), "0"),
    accepted("crash-memcheck-enabled", 0, Shape::Bool, "yes"),
    accepted("ignore-warnings", 0, Shape::Text, ""),
    accepted("io-threads", IMMUTABLE, Shape::Integer(1, 128), "1"),
    accepted("io-threads-do-reads", IMMUTABLE, Shape::Bool, "no"),
    accepted("activerehashing", 0, Shape::Bool, "yes"),
    accepted("lua-enable-deprecated-api", IMMUTABLE | HIDDEN, Shape::Bool, "no"),
    accepted("use-exit-on-panic", HIDDEN, Shape::Bool, "no"),
    renamed("server-cpulist", "server_cpulist"),
    renamed("bio-cpulist", "bio_cpulist"),
    renamed("aof-rewrite-cpulist", "aof_rewrite_cpulist"),
    renamed("bgsave-cpulist", "bgsave_cpulist"),
    // Without effect here: the allocator's defragmenter.
    accepted("activedefrag", 0, Shape::Bool, "no"),
    accepted("active-defrag-cycle-min", 0, Shape::Integer(1, 99), "1"),
    accepted("active-defrag-cycle-max", 0, Shape::Integer(1, 99), "25"),
    accepted("active-defrag-threshold-lower", 0, Shape::Integer(0, 1000), "10"),
    accepted("active-defrag-threshold-upper", 0, Shape::Integer(0, 1000), "100"),
    accepted("active-defrag-max-scan-fields", 0, Shape::Integer(1, LONG), "1000"),
    accepted("active-defrag-ignore-bytes", 0, Shape::Memory(1, LONG), "104857600"),
    // Without effect here: the append-only file.
    accepted("appendonly", 0, Shape::Bool, "no"),
    accepted("appendfsync", 0, Shape::Choice(&["everysec", "always", "no"]), "everysec"),
    accepted("appendfilename", IMMUTABLE, Shape::Plain("filename"), "appendonly.aof"),
    accepted("appenddirname", IMMUTABLE, Shape::Plain("dirname"), "appendonlydir"),
    accepted("no-appendfsync-on-rewrite", 0, Shape::Bool, "no"),
    accepted("auto-aof-rewrite-percentage", 0, Shape::Integer(0, INT), "100"),
    accepted("auto-aof-rewrite-min-size", 0, Shape::Memory(0, LONG), "67108864"),
    accepted("aof-load-truncated", 0, Shape::Bool, "yes"),
    accepted("aof-use-rdb-preamble", 0, Shape::Bool, "yes"),
    accepted("aof-rewrite-incremental-fsync", 0, Shape::Bool, "yes"),
    accepted("aof-timestamp-enabled", 0, Shape::Bool, "no"),
    accepted("aof-disable-auto-gc", 0, Shape::Bool, "no"),
    // Without effect here: the cluster.
    accepted("cluster-enabled", IMMUTABLE, Shape::Bool, "no"),
    accepted("cluster-config-file", IMMUTABLE, Shape::Text, "nodes.conf"),
    accepted("cluster-port", IMMUTABLE, Shape::Integer(0, 65535), "0"),
    accepted("cluster-announce-ip", 0, Shape::Text, ""),
    accepted("cluster-announce-hostname", 0, Shape::HostName, ""),
    accepted("cluster-announce-human-nodename", 0, Shape::Text, ""),
    accepted("cluster-announce-port", 0, Shape::Integer(0, 65535), "0"),
    accepted("cluster-announce-bus-port", 0, Shape::Integer(0, 65535), "0"),
    accepted("cluster-announce-tls-port", 0, Shape::Integer(0, 65535), "0"),
    accepted("cluster-node-timeout", 0, Shape::Integer(0, LONG), "15000"),
    accepted("cluster-migration-barrier", 0, Shape::Integer(0, INT), "1"),
    accepted("cluster-allow-replica-migration", 0, Shape::Bool, "yes"),
    accepted("cluster-allow-reads-when-down", 0, Shape::Bool, "no"),
    accepted("cluster-allow-pubsubshard-when-down", 0, Shape::Bool, "yes"),
    accepted("cluster-require-full-coverage", 0, Shape::Bool, "yes"),
    accepted("cluster-link-sendbuf-limit", 0, Shape::Memory(0, ULONG), "0"),
    accepted("cluster-preferred-endpoint-type", 0, Shape::Choice(&["ip", "hostname", "unknown-endpoint"]), "ip"),
    also(
        "cluster-replica-validity-factor",
        "cluster-slave-validity-factor",
        0,
        Kind::Accepted { shape: Shape::Integer(0, INT), default: "10" },
    ),
    also(
        "cluster-replica-no-failover",
        "cluster-slave-no-failover",
        0,
        Kind::Accepted { shape: Shape::Bool, default: "no" },
    ),
    // Without effect here: TLS.
    accepted("tls-port", 0, Shape::Integer(0, 65535), "0"),
    accepted("tls-cluster", 0, Shape::Bool, "no"),
    accepted("tls-replication", 0, Shape::Bool, "no"),
    accepted("tls-auth-clients", 0, Shape::Choice(&["no", "yes", "optional"]), "yes"),
    accepted("tls-prefer-server-ciphers", 0, Shape::Bool, "no"),
    accepted("tls-session-caching", 0, Shape::Bool, "yes"),
    accepted("tls-session-cache-size", 0, Shape::Integer(0, INT), "20480"),
    accepted("tls-session-cache-timeout", 0, Shape::Integer(0, INT), "300"),
    accepted("tls-cert-file", 0, Shape::Text, ""),
    accepted("tls-key-file", 0, Shape::Text, ""),
    accepted("tls-key-file-pass", SENSITIVE, Shape::Text, ""),
    accepted("tls-client-cert-file", 0, Shape::Text, ""),
    accepted("tls-client-key-file", 0, Shape::Text, ""),
    accepted("tls-client-key-file-pass", SENSITIVE, Shape::Text, ""),
    accepted("tls-dh-params-file", 0, Shape::Text, ""),
    accepted("tls-ca-cert-file", 0, Shape::Text, ""),
    accepted("tls-ca-cert-dir", 0, Shape::Text, ""),
    accepted("tls-protocols", 0, Shape::Text, ""),
    accepted("tls-ciphers", 0, Shape::Text, ""),
    accepted("tls-ciphersuites", 0, Shape::Text, ""),
];

/// 7.2 replaced the underscores of these four by dashes and kept the old names.
const fn renamed(name: &'static str, alias: &'static str) -> Directive {
    also(name, alias, IMMUTABLE, Kind::Accepted { shape: Shape::Text, default: "" })
}

/// The row of `name` (or alias, any case) and the spelling that matched.
pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    DIRECTIVES.iter().find_map(|row| {
        row.spellings().find(|spelling| spelling.as_bytes().eq_ignore_ascii_case(name)).map(|spelling| (row, spelling))
    })
}

/// Whether the directive of this name holds what must not show up in logs.
pub fn is_sensitive(name: &[u8]) -> bool {
    find(name).is_some_and(|(directive, _)| directive.has(SENSITIVE))
}

impl Directive {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The name, then the alias.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.alias)
    }
}
