//! The types that settings have beyond numbers and text: the closed choices, save points, buffer limits, event classes.
//!
//! Ancestor: the `configEnum` lists and the small structs of `config.c`. Each choice knows the words users type for it.

/// Declares an enum whose variants are words in the configuration.
macro_rules! choices {
    ($($(#[$doc:meta])* pub enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// The words, in the order stock lists them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for this choice.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The choice at `index` of [`Self::WORDS`].
            pub fn from_index(index: usize) -> Option<Self> {
                [$(Self::$variant),+].get(index).copied()
            }
        }
    )+ };
}

choices! {
    /// What becomes of a replica that cannot hold all of the data.
    pub enum ReplIncompatibleData {
        #[default]
        Refuse = "refuse",
        Degrade = "degrade",
    }

    /// Who may use a dangerous command: nobody, everybody, or clients on this machine.
    pub enum Access {
        #[default]
        No = "no",
        Yes = "yes",
        Local = "local",
    }

    /// How much is logged.
    pub enum LogLevel {
        Debug = "debug",
        Verbose = "verbose",
        #[default]
        Notice = "notice",
        Warning = "warning",
    }

    /// What goes when `maxmemory` is reached.
    pub enum MaxmemoryPolicy {
        VolatileLru = "volatile-lru",
        VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru",
        AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random",
        #[default]
        Noeviction = "noeviction",
    }

    /// Which service manager to tell that we are ready.
    pub enum Supervised {
        Upstart = "upstart",
        Systemd = "systemd",
        Auto = "auto",
        #[default]
        No = "no",
    }

    /// Whether a replica loads a snapshot straight from the socket.
    pub enum ReplDisklessLoad {
        #[default]
        Disabled = "disabled",
        OnEmptyDb = "on-empty-db",
        Swapdb = "swapdb",
    }

    /// Whether values that come in packed are checked deeply.
    pub enum SanitizeDumpPayload {
        #[default]
        No = "no",
        Yes = "yes",
        Clients = "clients",
    }

    /// What happens when a command from the master fails here.
    pub enum PropagationErrorBehavior {
        #[default]
        Ignore = "ignore",
        Panic = "panic",
        PanicOnReplicas = "panic-on-replicas",
    }

    /// How the kernel's out-of-memory score is steered.
    pub enum OomScoreAdj {
        #[default]
        No = "no",
        Yes = "yes",
        Relative = "relative",
        Absolute = "absolute",
    }

    /// Channels a new ACL user may use.
    pub enum AclPubsubDefault {
        Allchannels = "allchannels",
        #[default]
        Resetchannels = "resetchannels",
    }

    /// The syslog facility.
    pub enum SyslogFacility {
        User = "user",
        #[default]
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }
}

/// What a signal to stop does: all false is the default behaviour (save when save points are set).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOn {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
}

/// `save <seconds> <changes>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    pub seconds: u64,
    pub changes: u32,
}

/// The save points of a server that was told nothing.
pub fn default_save_points() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10_000)].map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec()
}

/// `replicaof <host> <port>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaOf {
    pub host: String,
    pub port: u16,
}

/// When a client that does not read is closed: bytes at once, or bytes for a time. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimit {
    pub hard: u64,
    pub soft: u64,
    pub soft_seconds: u64,
}

/// The limits of the three classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOutputBufferLimits {
    pub normal: OutputBufferLimit,
    pub replica: OutputBufferLimit,
    pub pubsub: OutputBufferLimit,
}

impl Default for ClientOutputBufferLimits {
    fn default() -> Self {
        let limit = |hard, soft, soft_seconds| OutputBufferLimit { hard, soft, soft_seconds };
        Self { normal: limit(0, 0, 0), replica: limit(256 << 20, 64 << 20, 60), pubsub: limit(32 << 20, 8 << 20, 60) }
    }
}

/// Classes of keyspace events that are published, one bit a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(pub u32);

impl NotifyFlags {
    pub const KEYSPACE: u32 = 1 << 0; // K
    pub const KEYEVENT: u32 = 1 << 1; // E
    pub const GENERIC: u32 = 1 << 2; // g
    pub const STRING: u32 = 1 << 3; // $
    pub const LIST: u32 = 1 << 4; // l
    pub const SET: u32 = 1 << 5; // s
    pub const HASH: u32 = 1 << 6; // h
    pub const ZSET: u32 = 1 << 7; // z
    pub const EXPIRED: u32 = 1 << 8; // x
    pub const EVICTED: u32 = 1 << 9; // e
    pub const STREAM: u32 = 1 << 10; // t
    pub const KEY_MISS: u32 = 1 << 11; // m, not part of A
    pub const LOADED: u32 = 1 << 12; // internal, has no letter
    pub const MODULE: u32 = 1 << 13; // d
    pub const NEW: u32 = 1 << 14; // n, not part of A
    /// `A`.
    pub const ALL: u32 = Self::GENERIC
        | Self::STRING
        | Self::LIST
        | Self::SET
        | Self::HASH
        | Self::ZSET
        | Self::EXPIRED
        | Self::EVICTED
        | Self::STREAM
        | Self::MODULE;

    /// The letters in the order in which they are shown.
    const LETTERS: [(u8, u32); 14] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
    ];

    /// Whether any of `classes` is published.
    pub fn has(self, classes: u32) -> bool {
        self.0 & classes != 0
    }

    /// From the letters a user typed; none if one of them means nothing.
    pub fn parse(letters: &[u8]) -> Option<Self> {
        let mut flags = 0;
        for &letter in letters {
            flags |= match letter {
                b'A' => Self::ALL,
                _ => Self::LETTERS.iter().find(|row| row.0 == letter)?.1,
            };
        }
        Some(Self(flags))
    }

    /// As `CONFIG GET` shows them: `A` for all classes together.
    pub fn letters(self) -> Vec<u8> {
        let mut out = Vec::new();
        let all = self.0 & Self::ALL == Self::ALL;
        if all {
            out.push(b'A');
        }
        for (letter, bit) in Self::LETTERS {
            if self.0 & bit != 0 && !(all && Self::ALL & bit != 0) {
                out.push(letter);
            }
        }
        out
    }
}

/// The version of the snapshots that a replica is sent; none: what suits the data and what it told of itself.
pub type RdbVersion = Option<u16>;

/// Versions that can be written.
const RDB_VERSIONS: std::ops::RangeInclusive<i128> = 6..=12;
/// The version of the other family.
const RDB_VERSION_VALKEY: i128 = 80;

/// `auto`, or a version that can be written.
pub fn parse_rdb_version(text: &[u8]) -> Option<RdbVersion> {
    if text.eq_ignore_ascii_case(b"auto") {
        return Some(None);
    }
    let version = super::parse::parse_integer(text)?;
    (RDB_VERSIONS.contains(&version) || version == RDB_VERSION_VALKEY).then_some(Some(version as u16))
}
