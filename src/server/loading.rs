//! Loading a snapshot in slices, while the loop goes on and answers `-LOADING` (= rdbLoad and startLoading).

use super::{Procedure, Server};
use crate::base::clock::Clock;
use crate::base::disk::{Disk, DiskFile};
use crate::persist::load::{SnapshotInfo, Staged, StagingOptions, StagingSink};
use crate::persist::rdb::{ErrorKind, Loader, RdbError};
use crate::replication::progress::Done;
use crate::scripting::Functions;
use std::io;
use std::path::{Path, PathBuf};

/// How much of the file is read at once.
const CHUNK: usize = 256 * 1024;
/// How much is taken in at once while `key-load-delay` makes each key slow.
const SLOW_CHUNK: usize = 1024;
/// A slice of loading takes about so long.
const SLICE_US: u64 = 10_000;

/// Why something is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadReason {
    /// The file, at the start.
    Startup,
    /// A snapshot from our master.
    Sync,
}

/// A load that goes on.
pub struct LoadJob {
    /// Why.
    pub reason: LoadReason,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// How many bytes there are.
    pub total: u64,
    /// How many are loaded.
    pub loaded: u64,
    /// There is data that can be served meanwhile.
    pub is_beside_data: bool,
    source: Source,
    loader: Loader,
    sink: StagingSink,
}

enum Source {
    /// A file of ours, read a slice at a time.
    File { file: DiskFile, path: PathBuf },
    /// A socket that pushes.
    Socket,
}

/// Why a load failed.
enum LoadFailure {
    /// The bytes are no sound snapshot.
    Unsound(RdbError),
    /// The file cannot be read.
    Reading(String),
}

impl std::fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadFailure::Unsound(error) => error.fmt(f),
            LoadFailure::Reading(text) => f.write_str(text),
        }
    }
}

impl LoadJob {
    fn new(server: &Server, reason: LoadReason, source: Source, total: u64) -> LoadJob {
        let mut loader = Loader::new(server.keys.limits.clone());
        if !server.checks_checksums() {
            loader = loader.ignore_checksum();
        }
        let discard = reason == LoadReason::Startup && !server.repl.is_replica();
        let options = StagingOptions {
            discard_expired_before: discard.then_some(server.keys.now),
            access_clock: server.keys.access_clock,
            lfu: server.keys.access.lfu,
            snapshot_bytes: (total > 0).then_some(total),
            ..StagingOptions::new(server.keys.database_count())
        };
        LoadJob {
            reason,
            started_ms: server.keys.now,
            total,
            loaded: 0,
            is_beside_data: server.keys.total_keys() > 0,
            source,
            loader,
            sink: StagingSink::new(options),
        }
    }

    /// Takes bytes in; returns how many of them belong to the snapshot.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, RdbError> {
        let used = self.loader.feed(bytes, &mut self.sink)?;
        self.loaded += used as u64;
        Ok(used)
    }

    /// Whether the snapshot has ended.
    pub fn is_done(&self) -> bool {
        self.loader.done()
    }

    /// The data set that was loaded.
    pub fn finish(self) -> Result<Staged, RdbError> {
        self.loader.finish()?;
        self.sink.finish()
    }

    /// Keys loaded so far.
    pub fn keys(&self) -> u64 {
        self.sink.keys()
    }

    /// What is loaded and of how much; 0: that is not known.
    pub fn progress(&self) -> (Done, Done) {
        let total = Done { bytes: self.total, keys: self.sink.keys_announced() };
        (Done { bytes: self.loaded, keys: self.keys() }, total)
    }

    /// The memory that the writer of the snapshot used, as it says.
    pub fn used_memory_at_save(&self) -> u64 {
        self.sink.info().used_memory.unwrap_or(0)
    }

    /// Loads from the file for a while; `true` at its end.
    fn load_some(&mut self, clock: &Clock, disk: &Disk, key_delay_us: i32) -> Result<bool, LoadFailure> {
        let start = clock.monotonic_us();
        let mut chunk = vec![0; if key_delay_us > 0 { SLOW_CHUNK } else { CHUNK }];
        loop {
            let Source::File { file, path } = &mut self.source else { return Ok(true) };
            let got = disk
                .read(file, &mut chunk)
                .map_err(|error| LoadFailure::Reading(format!("reading {}: {error}", path.display())))?;
            let keys = self.keys();
            self.feed(&chunk[..got]).map_err(LoadFailure::Unsound)?;
            if key_delay_us > 0 {
                clock.sleep_us(key_delay_us as u64 * (self.keys() - keys));
            }
            if got == 0 || self.is_done() {
                return Ok(true);
            }
            // A simulated clock stands still while we work: there every chunk is a slice.
            if clock.monotonic_us() - start > SLICE_US || matches!(clock, Clock::Simulated(_)) {
                return Ok(false);
            }
        }
    }
}

impl Server {
    /// Begins to load the snapshot file, if there is one; until it is loaded clients are told so.
    pub fn load_data_from_disk(&mut self) -> io::Result<()> {
        let path = self.rdb_path();
        let begun = self.disk.open(&path).and_then(|file| self.begin_load(file, &path, LoadReason::Startup));
        match begun {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ready();
                Ok(())
            }
            other => other,
        }
    }

    /// Begins to load a file in slices.
    pub fn begin_load(&mut self, file: DiskFile, path: &Path, reason: LoadReason) -> io::Result<()> {
        let total = self.disk.len(&file)?;
        let job = LoadJob::new(self, reason, Source::File { file, path: path.to_path_buf() }, total);
        log::info!("Loading DB in memory from {}", path.display());
        self.loading = Some(Box::new(job));
        self.update_calm();
        self.event_loop.create_time_event(&self.clock, 0, Procedure::LoadSlice);
        Ok(())
    }

    /// A load that a socket pushes bytes into.
    pub fn socket_load(&self, total: u64) -> Box<LoadJob> {
        Box::new(LoadJob::new(self, LoadReason::Sync, Source::Socket, total))
    }

    /// Loads on for a while.
    pub(super) fn load_slice(&mut self) {
        self.update_time();
        let Some(job) = &mut self.loading else { return };
        match job.load_some(&self.clock, &self.disk, self.config.key_load_delay) {
            Ok(false) => self.event_loop.create_time_event(&self.clock, 0, Procedure::LoadSlice),
            Ok(true) => self.end_load(),
            Err(failure) => self.load_failed(&failure),
        }
        if self.loading.is_some() {
            self.keep_master_alive();
        }
    }

    fn end_load(&mut self) {
        let Some(job) = self.loading.take() else { return };
        let (reason, started_ms) = (job.reason, job.started_ms);
        match self.finish_load(*job) {
            Ok((staged, functions)) => {
                let seconds = (self.clock.unix_ms() - started_ms) as f64 / 1000.0;
                let info = staged.info.clone();
                self.take_over(staged, functions);
                match reason {
                    LoadReason::Startup => {
                        self.restore_history(&info);
                        log::info!("DB loaded from disk: {seconds:.3} seconds");
                        self.ready();
                    }
                    LoadReason::Sync => self.sync_loaded(&info),
                }
            }
            Err(error) => self.load_failure(reason, &LoadFailure::Unsound(error)),
        }
        self.update_calm();
    }

    /// The data set that was loaded, its libraries included.
    pub(super) fn finish_load(&mut self, job: LoadJob) -> Result<(Staged, Functions), RdbError> {
        let staged = job.finish()?;
        let functions = self.stage_libraries(&staged.functions).map_err(RdbError::refused)?;
        Ok((staged, functions))
    }

    fn load_failed(&mut self, failure: &LoadFailure) {
        let Some(job) = self.loading.take() else { return };
        self.load_failure(job.reason, failure);
        self.update_calm();
    }

    fn load_failure(&mut self, reason: LoadReason, failure: &LoadFailure) {
        if reason == LoadReason::Sync {
            return self.sync_load_failed(&failure.to_string());
        }
        for line in obituary(failure) {
            log::error!("{line}");
        }
        self.exit_code = Some(1);
    }

    /// Puts a loaded data set in the place of the one we hold; that one is freed in slices.
    pub fn take_over(&mut self, staged: Staged, functions: Functions) {
        self.tell_origin(&staged.info);
        log::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", staged.keys, staged.expired);
        self.snapshot.last_load = (staged.keys, staged.expired);
        self.keys.replace_dbs(staged.dbs);
        self.scripts.functions = functions;
        self.snapshot.saved_dirty = self.keys.dirty;
    }

    /// Who wrote the snapshot that was loaded, and when.
    fn tell_origin(&self, info: &SnapshotInfo) {
        if let Some(version) = &info.writer_version {
            log::info!("Loading RDB produced by version {version}");
        }
        if let Some(created) = info.created {
            log::info!("RDB age {} seconds", (self.clock.unix_ms() / 1000 - created).max(0));
        }
        if let Some(bytes) = info.used_memory {
            log::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / f64::from(1 << 20));
        }
    }

    /// The data is there: clients are served.
    pub fn ready(&mut self) {
        super::startup::ready(&self.config);
    }
}

/// The lines that tell why the server does not start; the words that Redis has for each case stand first.
fn obituary(failure: &LoadFailure) -> Vec<String> {
    const LAST: &str = "Terminating server after rdb file reading failure.";
    let LoadFailure::Unsound(error) = failure else {
        return vec![format!("Fatal error loading the DB: {failure}. Exiting.")];
    };
    let mut lines = Vec::new();
    match error.kind {
        ErrorKind::WrongSignature | ErrorKind::Version(_) => {
            return vec![error.to_string(), "Fatal error loading the DB: Invalid argument. Exiting.".into()];
        }
        ErrorKind::Truncated => lines.push("Short read or OOM loading DB. Unrecoverable error, aborting now.".into()),
        ErrorKind::Checksum { .. } => lines.push(format!("{error}. Aborting now.")),
        _ => {}
    }
    let (text, at) = (error.to_string(), format!(", at offset {}", error.offset));
    let text = text.strip_suffix(&at).unwrap_or(&text);
    lines.push(format!("Internal error in RDB reading offset {}: {text}", error.offset));
    lines.push(LAST.into());
    lines
}
