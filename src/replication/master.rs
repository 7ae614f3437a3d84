//! The life of a replica as its master sees it: from the wish to sync until it reads the live stream.
//!
//! ```text
//! WaitBgsaveStart → WaitBgsaveEnd → SendBulk → Online        snapshot on disk
//! WaitBgsaveStart → WaitBgsaveEnd ───────────→ Online        diskless: the child's bytes pass through a pipe
//! ```

use crate::base::disk::DiskFile;
use crate::resp::request::split_args;

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaStage {
    /// A snapshot must be begun for it.
    WaitBgsaveStart,
    /// It waits for the end of a snapshot that is being made (and, diskless, receives it meanwhile).
    WaitBgsaveEnd,
    /// The snapshot file is on its way.
    SendBulk,
    /// It follows the live stream.
    Online,
}

impl ReplicaStage {
    /// What `INFO replication` calls it.
    pub fn name(self) -> &'static str {
        match self {
            ReplicaStage::WaitBgsaveStart | ReplicaStage::WaitBgsaveEnd => "wait_bgsave",
            ReplicaStage::SendBulk => "send_bulk",
            ReplicaStage::Online => "online",
        }
    }
}

/// What of the data set a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The keys.
    pub keys: bool,
    /// The libraries of functions.
    pub functions: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Parts = Parts { keys: true, functions: true };

    /// What `REPLCONF rdb-filter-only` asks for: nothing but the parts that it names. A complaint if it names others.
    pub fn parse(words: &[u8]) -> Result<Parts, Vec<u8>> {
        let words = split_args(words).ok_or_else(|| b"Missing rdb-filter-only values".to_vec())?;
        let mut parts = Parts { keys: false, functions: false };
        for word in words {
            if !word.eq_ignore_ascii_case(b"functions") {
                return Err([b"Unsupported rdb-filter-only option: ", &word[..]].concat());
            }
            parts.functions = true;
        }
        Ok(parts)
    }
}

impl Default for Parts {
    fn default() -> Self {
        Parts::ALL
    }
}

/// A snapshot file on its way to a replica.
#[derive(Debug)]
pub struct BulkTransfer {
    /// The file; each replica reads its own descriptor.
    pub file: DiskFile,
    /// How long it is.
    pub size: u64,
    /// How much of it has been read.
    pub read: u64,
    /// Read and not sent yet.
    pub pending: Vec<u8>,
    /// How much of `pending` is sent.
    pub sent: usize,
}

/// What a master knows of one replica.
#[derive(Debug)]
pub struct Replica {
    /// Where it stands.
    pub stage: ReplicaStage,
    /// The position in the log of the next byte it is to be sent.
    pub position: u64,
    /// Whether it has ever said how far it is; until then it may hold nothing at all.
    pub has_acked: bool,
    /// The offset that it has when its sync is done.
    pub sync_offset: u64,
    /// The offset it has acknowledged.
    pub ack_offset: u64,
    /// The offset up to which its append-only file is on disk, as it acknowledged.
    pub ack_disk_offset: u64,
    /// When it last acknowledged anything, in milliseconds since 1970; 0: never.
    pub ack_time_ms: i64,
    /// When it last acknowledged anything, or came, in seconds since 1970.
    pub ack_time_s: i64,
    /// Whether it understands `$EOF:` framing.
    pub capa_eof: bool,
    /// Whether it understands PSYNC2.
    pub capa_psync2: bool,
    /// Whether it came by SYNC and so sends no acknowledgements.
    pub pre_psync: bool,
    /// The snapshot file on its way.
    pub bulk: Option<BulkTransfer>,
    /// How much of the chunk from the snapshot pipe it has been sent.
    pub pipe_sent: usize,
    /// Whether it goes online at its first acknowledgement: after a diskless transfer we cannot know when it has loaded.
    pub online_on_ack: bool,
    /// What it wants of the snapshot.
    pub parts: Parts,
    /// The offset up to which it has the bytes that we have, and the running sum there.
    pub checked: Option<(u64, u64)>,
}

impl Replica {
    /// A replica that wants a full sync.
    pub fn new(now_s: i64) -> Self {
        Replica {
            stage: ReplicaStage::WaitBgsaveStart,
            position: 0,
            has_acked: false,
            sync_offset: 0,
            ack_offset: 0,
            ack_disk_offset: 0,
            ack_time_ms: 0,
            ack_time_s: now_s,
            capa_eof: false,
            capa_psync2: false,
            pre_psync: false,
            bulk: None,
            pipe_sent: 0,
            online_on_ack: false,
            parts: Parts::ALL,
            checked: None,
        }
    }

    /// The offset up to which it has all, as far as we know.
    pub fn known_offset(&self) -> u64 {
        self.ack_offset.max(self.sync_offset)
    }

    /// Whether the live stream may be written to it.
    pub fn receives_stream(&self) -> bool {
        self.stage == ReplicaStage::Online && !self.online_on_ack
    }
}

/// What a client has told by REPLCONF before it asks to sync.
#[derive(Clone, Debug, Default)]
pub struct ReplicaIntroduction {
    /// `REPLCONF listening-port`
    pub listening_port: u16,
    /// `REPLCONF ip-address`
    pub ip_address: Option<String>,
    /// `REPLCONF capa eof`
    pub capa_eof: bool,
    /// `REPLCONF capa psync2`
    pub capa_psync2: bool,
    /// `REPLCONF rdb-only 1`: wants the snapshot and no stream.
    pub rdb_only: bool,
    /// `REPLCONF rdb-filter-only`: wants a part of the snapshot.
    pub parts: Parts,
    /// `REPLCONF version`: the release of Valkey that it is, the first number of it.
    pub valkey_major: Option<u32>,
    /// `REPLCONF stream-check`: a replica of ours, which can be asked for sums, and its run id.
    pub run_id: Option<String>,
}
