//! The whole data set as a snapshot, into a file or anything else that takes bytes. Ancestors: rdbSaveRio, rdbSave and
//! rdbSaveInfoAuxFields of rdb.c.
//!
//! Deliberately absent: forks and who waits for them. This runs in the child as well as in the server itself.

use crate::config::COMPATIBLE_VERSION;
use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::clock::Clock;
use crate::base::disk::{Disk, DiskFile, DiskWriter};
use crate::keyspace::Keyspace;
use crate::types::entry::Entry;
use crate::types::table::TableEntry;

use super::losses::lowest_target;
use super::rdb::{KeyMeta, SaveOptions, Saver, Target};

/// After so many bytes a file is forced to disk, so that the end does not wait for all of it.
const SYNC_STEP: usize = 4 << 20;
/// After so many keys or so many bytes the writer looks whether it is time to tell how far it is.
const LOOK_KEYS: u64 = 256;
const LOOK_BYTES: u64 = 1 << 20;
/// It tells that so often, in microseconds.
const TELL_US: u64 = 100_000;

/// How to write a snapshot, and what stands in it beside the keys.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// `rdbcompression`.
    pub compress: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// `rdb-save-incremental-fsync`; only for files.
    pub incremental_fsync: bool,
    /// `rdb-key-save-delay`: microseconds to sleep after each key; if negative, one after each so many keys.
    pub key_delay_us: i32,
    /// What is written of accesses.
    pub accesses: Accesses,
    /// Fields of the header; see `standard_aux`.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
    /// There are no keys in it.
    pub without_keys: bool,
    /// Who is to read it; otherwise it is written for the oldest that can hold all.
    pub target: Option<Target>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        SnapshotOptions {
            compress: true,
            checksum: true,
            incremental_fsync: true,
            key_delay_us: 0,
            accesses: Accesses::Nothing,
            aux: Vec::new(),
            functions: Vec::new(),
            without_keys: false,
            target: None,
        }
    }
}

/// What a snapshot tells of accesses to keys: what the policy of `maxmemory` goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accesses {
    /// Nothing.
    Nothing,
    /// How long each key was idle.
    Idle,
    /// How often each was accessed of late.
    Frequency,
}

impl Accesses {
    /// What stands beside the key of an entry.
    #[inline]
    fn meta(self, keys: &Keyspace, entry: &Entry) -> KeyMeta {
        let mut meta = KeyMeta { expire_ms: entry.expire_ms(), ..KeyMeta::default() };
        match self {
            Accesses::Nothing => {}
            Accesses::Idle => meta.idle_s = Some(u64::from(keys.idle_seconds(entry))),
            Accesses::Frequency => meta.freq = Some(keys.frequency(entry) as u8),
        }
        meta
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSummary {
    pub keys: u64,
    pub bytes: u64,
}

/// Where the replication stream stood: its database, its id, its offset.
pub type ReplicationPoint<'a> = (i64, &'a str, i64);

/// The fields that stock servers put into the header. `now` is in seconds since 1970. `is_base`: this begins an
/// append-only file.
pub fn standard_aux(
    replication: Option<ReplicationPoint<'_>>,
    now: i64,
    used_memory: u64,
    is_base: bool,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut aux = Vec::new();
    let mut put = |name: &str, value: &str| aux.push((name.into(), value.into()));
    put("redis-ver", COMPATIBLE_VERSION);
    put("redis-bits", &usize::BITS.to_string());
    put("ctime", &now.to_string());
    put("used-mem", &used_memory.to_string());
    if let Some((db, id, offset)) = replication {
        put("repl-stream-db", &db.to_string());
        put("repl-id", id);
        put("repl-offset", &offset.to_string());
    }
    put("aof-base", if is_base { "1" } else { "0" });
    aux
}

/// Who is told from time to time how much is written.
pub type Listener<'a> = &'a mut dyn FnMut(SnapshotSummary);

/// Writes all keys, expired ones too: whoever reads them decides.
pub fn write_snapshot(keys: &Keyspace, out: impl Write, options: &SnapshotOptions) -> io::Result<SnapshotSummary> {
    write_and_tell(keys, out, options, None)
}

/// The same, and `listener` is told how far it is, several times a second.
pub fn write_and_tell(
    keys: &Keyspace,
    out: impl Write,
    options: &SnapshotOptions,
    listener: Option<Listener<'_>>,
) -> io::Result<SnapshotSummary> {
    let bytes = Cell::new(0);
    let mut out = Counted { out, bytes: &bytes };
    let target = options.target.unwrap_or_else(|| lowest_target(keys));
    let mut saver =
        Saver::new(&mut out, SaveOptions { compress: options.compress, checksum: options.checksum, target });
    let aux: Vec<(&[u8], &[u8])> = options.aux.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    saver.header(&aux)?;
    for code in &options.functions {
        saver.function(code)?;
    }
    let mut pace = Pace::new(options.key_delay_us, &bytes, listener);
    let accesses = if target.knows_accesses() { options.accesses } else { Accesses::Nothing };
    let dbs = if options.without_keys { &[] } else { keys.dbs() };
    for (id, db) in dbs.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        saver.select_db(id as u64, db.len() as u64, db.volatile() as u64)?;
        for entry in db.iter() {
            saver.key(entry.key(), entry.value(), accesses.meta(keys, entry))?;
            pace.key_done();
        }
    }
    saver.end()?;
    Ok(SnapshotSummary { keys: pace.keys, bytes: bytes.get() })
}

/// Writes a snapshot to `name` in `dir`: it is there whole, on disk and in the place of the old one, or not at all.
pub fn save_to_file(
    disk: &mut Disk,
    keys: &Keyspace,
    dir: &Path,
    name: &str,
    options: &SnapshotOptions,
) -> io::Result<SnapshotSummary> {
    let temp = temp_file(dir, &std::process::id().to_string());
    let mut file = disk.create(&temp)?;
    save_into(disk, keys, (&mut file, &temp), &dir.join(name), options, None)
}

/// Writes a snapshot into a file that was made for it, and gives it its name once it is whole.
pub fn save_into(
    disk: &mut Disk,
    keys: &Keyspace,
    (file, temp): (&mut DiskFile, &Path),
    place: &Path,
    options: &SnapshotOptions,
    listener: Option<Listener<'_>>,
) -> io::Result<SnapshotSummary> {
    let result = write_file(disk, keys, file, options, listener).and_then(|summary| {
        disk.rename(temp, place)?;
        disk.sync_directory(place.parent().unwrap_or(Path::new(".")))?;
        Ok(summary)
    });
    if result.is_err() {
        // The first error is the one to tell.
        let _ = disk.remove(temp);
    }
    result
}

/// Where a snapshot stands before it is whole. Whoever stops its writer removes the file.
pub fn temp_file(dir: &Path, writer: &str) -> PathBuf {
    dir.join(format!("temp-{writer}.rdb"))
}

fn write_file(
    disk: &mut Disk,
    keys: &Keyspace,
    file: &mut DiskFile,
    options: &SnapshotOptions,
    listener: Option<Listener<'_>>,
) -> io::Result<SnapshotSummary> {
    let sync_step = options.incremental_fsync.then_some(SYNC_STEP);
    let summary = write_and_tell(keys, DiskWriter { disk, file, sync_step, unsynced: 0 }, options, listener)?;
    disk.sync(file)?;
    Ok(summary)
}

/// Counts keys, tells how many there were, and sleeps between them, to make a save as slow as a test wants it.
struct Pace<'a, 'b> {
    delay_us: i32,
    keys: u64,
    bytes: &'b Cell<u64>,
    listener: Option<Listener<'a>>,
    /// The clock is looked at again after so many keys or so many bytes.
    next_look: SnapshotSummary,
    /// When it was told last, in microseconds.
    told_us: u64,
}

impl<'a, 'b> Pace<'a, 'b> {
    fn new(delay_us: i32, bytes: &'b Cell<u64>, listener: Option<Listener<'a>>) -> Self {
        let never = if listener.is_some() { 0 } else { u64::MAX };
        let told_us = Clock::System.monotonic_us();
        Pace { delay_us, keys: 0, bytes, listener, next_look: SnapshotSummary { keys: never, bytes: never }, told_us }
    }

    #[inline]
    fn key_done(&mut self) {
        self.keys += 1;
        if self.keys >= self.next_look.keys || self.bytes.get() >= self.next_look.bytes {
            self.look();
        }
        if self.delay_us != 0 {
            self.sleep();
        }
    }

    /// Tells how far it is if that was not told of late.
    #[cold]
    fn look(&mut self) {
        let done = SnapshotSummary { keys: self.keys, bytes: self.bytes.get() };
        let keys = if self.delay_us == 0 { LOOK_KEYS } else { 1 };
        self.next_look = SnapshotSummary { keys: done.keys + keys, bytes: done.bytes + LOOK_BYTES };
        let now_us = Clock::System.monotonic_us();
        if now_us >= self.told_us + TELL_US
            && let Some(listener) = &mut self.listener
        {
            self.told_us = now_us;
            listener(done);
        }
    }

    #[cold]
    fn sleep(&self) {
        let magnitude = u64::from(self.delay_us.unsigned_abs());
        if self.delay_us > 0 {
            Clock::System.sleep_us(magnitude);
        } else if self.keys.is_multiple_of(magnitude) {
            Clock::System.sleep_us(1);
        }
    }
}

/// Counts what goes through.
struct Counted<'a, W> {
    out: W,
    bytes: &'a Cell<u64>,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes.set(self.bytes.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
