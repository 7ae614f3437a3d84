//! From a snapshot to databases that can take the place of the present ones.
//! Ancestor: rdbLoadRioWithLoadingCtx of rdb.c.
//!
//! Keys go into a fresh set of databases, so that an unsound snapshot costs nobody the data he has. An entry waits
//! a little before it goes into its table, for its bucket to come into the cache meanwhile.

use std::fmt;
use std::io;
use std::path::Path;

use crate::base::disk::Disk;
use crate::base::hash::hash;
use crate::keyspace::Db;
use crate::types::entry::Entry;
use crate::types::table::TableEntry;
use crate::types::{CollectionLimits, StrRef, Value};

use super::rdb::{KeyMeta, Loader, RdbError, Sink};

/// Entries that wait for their bucket.
const WAITING_MAX: usize = 16;
/// No key takes fewer bytes in a snapshot: a type, two lengths.
const KEY_BYTES_MIN: u64 = 3;
/// Room that is made on the word of a snapshot of unknown size, in keys.
const BELIEVED_KEYS: u64 = 1 << 20;
/// Bytes read from a file at a time.
const READ_SIZE: usize = 256 << 10;

/// How to take a snapshot in.
#[derive(Clone, Debug)]
pub struct StagingOptions {
    /// How many databases there are.
    pub databases: usize,
    /// A key that comes twice replaces the first; otherwise it is an error.
    pub replace_duplicates: bool,
    /// Keys that expired before this time (milliseconds since 1970) are left out, as a master does when it starts.
    pub discard_expired_before: Option<i64>,
    /// What is noted as the access of each key.
    pub access_clock: u32,
    /// Whether accesses are counted; otherwise their time is noted.
    pub lfu: bool,
    /// The size of the snapshot where it is known, by which its claims about itself are judged.
    pub snapshot_bytes: Option<u64>,
}

impl StagingOptions {
    /// All keys are kept, and none may come twice.
    pub fn new(databases: usize) -> Self {
        StagingOptions {
            databases,
            replace_duplicates: false,
            discard_expired_before: None,
            access_clock: 0,
            lfu: false,
            snapshot_bytes: None,
        }
    }

    /// The access bits of a key. What was noted by another policy than ours counts for nothing.
    #[inline]
    fn access_of(&self, meta: KeyMeta) -> u32 {
        match (self.lfu, meta.freq, meta.idle_s) {
            (true, Some(frequency), _) => self.access_clock & !0xff | u32::from(frequency),
            (false, _, Some(seconds)) => self.access_clock.wrapping_sub(seconds as u32),
            _ => self.access_clock,
        }
    }
}

/// What a snapshot says about itself, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The version of RDB that it is written in.
    pub rdb_version: u16,
    /// `redis-ver` or `valkey-ver`: the version of the writer.
    pub writer_version: Option<String>,
    /// `ctime`: seconds since 1970 at which it was made.
    pub created: Option<i64>,
    /// `used-mem`: the writer's memory.
    pub used_memory: Option<u64>,
    /// `repl-stream-db`: the database the replication stream had selected.
    pub repl_stream_db: Option<i64>,
    /// `repl-id`.
    pub repl_id: Option<String>,
    /// `repl-offset`.
    pub repl_offset: Option<i64>,
    /// `upstream-repl-id`: the history of the writer's master, where the writer was a bridge with one of its own.
    pub upstream_repl_id: Option<String>,
    /// `upstream-repl-offset`.
    pub upstream_repl_offset: Option<i64>,
    /// `upstream-stream-db`: the database that its stream had selected.
    pub upstream_stream_db: Option<i64>,
    /// `upstream-rdb-version`: the version in which the writer's master wrote.
    pub upstream_rdb_version: Option<u16>,
    /// `bridge-dialect`: what the writer's replicas understand.
    pub bridge_dialect: Option<String>,
    /// `aof-base`: the first part of a log on disk.
    pub aof_base: bool,
}

impl SnapshotInfo {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let Ok(text) = std::str::from_utf8(value) else { return };
        match name {
            b"redis-ver" | b"valkey-ver" => self.writer_version = Some(text.into()),
            b"ctime" => self.created = text.parse().ok(),
            b"used-mem" => self.used_memory = text.parse().ok(),
            b"repl-stream-db" => self.repl_stream_db = text.parse().ok(),
            b"repl-id" => self.repl_id = Some(text.into()),
            b"repl-offset" => self.repl_offset = text.parse().ok(),
            b"upstream-repl-id" => self.upstream_repl_id = Some(text.into()),
            b"upstream-repl-offset" => self.upstream_repl_offset = text.parse().ok(),
            b"upstream-stream-db" => self.upstream_stream_db = text.parse().ok(),
            b"upstream-rdb-version" => self.upstream_rdb_version = text.parse().ok(),
            b"bridge-dialect" => self.bridge_dialect = Some(text.into()),
            b"aof-base" => self.aof_base = text == "1",
            _ => {}
        }
    }
}

/// What came of a load.
pub struct Staged {
    pub dbs: Vec<Db>,
    pub info: SnapshotInfo,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
    /// Keys that are in `dbs`, each time one came.
    pub keys: u64,
    /// Keys that were left out because their time had passed.
    pub expired: u64,
}

/// An entry on its way to its table.
struct Waiting {
    db: usize,
    hash: u64,
    entry: Entry,
}

/// Takes a snapshot into databases of its own.
pub struct StagingSink {
    options: StagingOptions,
    staged: Staged,
    /// A ring: the oldest is at `next` once it is full.
    waiting: Vec<Waiting>,
    next: usize,
    /// The selected database.
    selected: usize,
    /// Keys for which room may still be made on the snapshot's word.
    believed: u64,
    announced: u64,
}

impl StagingSink {
    pub fn new(options: StagingOptions) -> Self {
        let dbs = (0..options.databases.max(1)).map(|_| Db::default()).collect();
        let believed = options.snapshot_bytes.map_or(BELIEVED_KEYS, |bytes| bytes / KEY_BYTES_MIN);
        StagingSink {
            options,
            staged: Staged { dbs, info: SnapshotInfo::default(), functions: Vec::new(), keys: 0, expired: 0 },
            waiting: Vec::with_capacity(WAITING_MAX),
            next: 0,
            selected: 0,
            believed,
            announced: 0,
        }
    }

    /// Keys taken so far.
    pub fn keys(&self) -> u64 {
        self.staged.keys
    }

    /// Keys that the databases which have begun are said to hold.
    pub fn keys_announced(&self) -> u64 {
        self.announced
    }

    /// What the snapshot said about itself so far.
    pub fn info(&self) -> &SnapshotInfo {
        &self.staged.info
    }

    /// The databases and all else, once the loader is done.
    pub fn finish(mut self) -> Result<Staged, RdbError> {
        self.waiting.rotate_left(self.next);
        for waiting in std::mem::take(&mut self.waiting) {
            self.settle(waiting)?;
        }
        Ok(self.staged)
    }

    /// Whether the key is wanted.
    #[inline]
    fn wants(&mut self, key: &[u8], meta: KeyMeta) -> Result<bool, RdbError> {
        if u32::try_from(key.len()).is_err() {
            return Err(RdbError::refused("a key of 4 GB or more"));
        }
        let (Some(limit), Some(at)) = (self.options.discard_expired_before, meta.expire_ms) else { return Ok(true) };
        // Where the snapshot belongs to a history that replicas may continue, keys must not vanish unheard: they stay,
        // and the expiry that finds them tells the replicas.
        let expired = at < limit && self.staged.info.repl_id.is_none();
        self.staged.expired += u64::from(expired);
        Ok(!expired)
    }

    #[inline]
    fn put(&mut self, key: &[u8], mut entry: Entry, meta: KeyMeta) -> Result<(), RdbError> {
        entry.set_access(self.options.access_of(meta));
        let (db, hash) = (self.selected, hash(key));
        self.staged.dbs[db].prefetch_bucket(hash);
        self.staged.keys += 1;
        let waiting = Waiting { db, hash, entry };
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(waiting);
            return Ok(());
        }
        let oldest = std::mem::replace(&mut self.waiting[self.next], waiting);
        self.next = (self.next + 1) % WAITING_MAX;
        self.settle(oldest)
    }

    /// Puts an entry into its table.
    #[inline]
    fn settle(&mut self, waiting: Waiting) -> Result<(), RdbError> {
        let Waiting { db, hash, entry } = waiting;
        let Some(old) = self.staged.dbs[db].insert_hashed(hash, entry) else { return Ok(()) };
        if self.options.replace_duplicates {
            return Ok(());
        }
        let key = old.key();
        let text = format!("Internal error in RDB: RDB has duplicated key '{}' in DB {db}", key.escape_ascii());
        Err(RdbError { key: Some(key.to_vec()), ..RdbError::refused(text) })
    }
}

impl Sink for StagingSink {
    fn select_db(&mut self, id: u64) -> Result<(), RdbError> {
        let databases = self.staged.dbs.len();
        match usize::try_from(id) {
            Ok(id) if id < databases => {
                self.selected = id;
                Ok(())
            }
            _ => Err(RdbError::refused(format!(
                "FATAL: Data file was created with a Redis server configured to handle more than {databases} databases \
                 (it has keys in DB {id})"
            ))),
        }
    }

    fn resize(&mut self, keys: u64, _expires: u64) -> Result<(), RdbError> {
        self.announced = self.announced.saturating_add(keys);
        let keys = keys.min(self.believed);
        self.believed -= keys;
        self.staged.dbs[self.selected].reserve(keys as usize);
        Ok(())
    }

    fn start(&mut self, version: u32, _family: super::rdb::format::Family) -> Result<(), RdbError> {
        self.staged.info.rdb_version = version as u16;
        Ok(())
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), RdbError> {
        self.staged.info.note(name, value);
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), RdbError> {
        self.staged.functions.push(code.to_vec());
        Ok(())
    }

    fn key(&mut self, _db: u64, key: &[u8], value: Value, meta: KeyMeta) -> Result<(), RdbError> {
        if !self.wants(key, meta)? {
            return Ok(());
        }
        self.put(key, Entry::new(key, value, meta.expire_ms), meta)
    }

    #[inline]
    fn string(&mut self, _db: u64, key: &[u8], value: StrRef<'_>, meta: KeyMeta) -> Result<(), RdbError> {
        if !self.wants(key, meta)? {
            return Ok(());
        }
        let entry = match value {
            StrRef::Int(number) => Entry::with_int(key, number, meta.expire_ms),
            StrRef::Bytes(bytes) => Entry::with_str(key, bytes, meta.expire_ms),
        };
        self.put(key, entry, meta)
    }
}

/// Why a file was not loaded.
#[derive(Debug)]
pub enum LoadError {
    Io(io::Error),
    Rdb(RdbError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(error) => error.fmt(f),
            LoadError::Rdb(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        LoadError::Io(error)
    }
}

impl From<RdbError> for LoadError {
    fn from(error: RdbError) -> Self {
        LoadError::Rdb(error)
    }
}

/// How to read a snapshot's file.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    pub limits: CollectionLimits,
    /// `rdbchecksum`: whether a wrong checksum is an error.
    pub checksum: bool,
}

/// Loads a file in one go. What follows the snapshot in it is not looked at, as stock does.
pub fn load_file(disk: &Disk, path: &Path, options: &LoadOptions, sink: &mut impl Sink) -> Result<Loader, LoadError> {
    let mut loader = Loader::new(options.limits.clone());
    if !options.checksum {
        loader = loader.ignore_checksum();
    }
    let mut file = disk.open(path)?;
    let mut buffer = vec![0; READ_SIZE];
    while !loader.done() {
        let count = match disk.read(&mut file, &mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        loader.feed(&buffer[..count], sink)?;
    }
    loader.finish()?;
    Ok(loader)
}
