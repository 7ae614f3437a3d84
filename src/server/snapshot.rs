//! Snapshots: in the foreground, by a forked child to a file, or by one to a pipe for replicas (= rdbSave* of rdb.c).

use super::child::Children;
use super::progress::ChildReport;
use super::repl_targets::Wish;
use super::rewrite_aof::Rewrites;
use super::{Procedure, Server, logging};
use crate::base::clock::Clock;
use crate::base::disk::DiskFile;
use crate::base::process::{self, Exit, Fork, Pid};
use crate::base::{memory, net};
use crate::persist::losses::lowest_target;
use crate::persist::snapshot::{
    Listener, SnapshotOptions, SnapshotSummary, save_into, save_to_file, standard_aux, temp_file, write_and_tell,
    write_snapshot,
};
use crate::reactor::{FileId, Interest, Transport};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A chunk of a diskless snapshot on its way from the child to the replicas.
const PIPE_CHUNK: usize = 1 << 20;
/// So much is read at once of what a child tells of itself.
const INFO_CHUNK: usize = 4096;
/// After a failed save the next one by a save point waits so long.
const RETRY_MS: i64 = 5000;
/// The exit code of a child that was told to stop.
pub(super) const EXIT_KILLED: i32 = 255;

/// Where a child's snapshot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotTarget {
    /// To the file, because somebody asked or a save point was reached.
    Disk,
    /// To the file, because replicas wait for it.
    DiskForReplicas,
    /// Through a pipe to replicas.
    Pipe,
    /// To the base of an append-only file.
    AofBase,
}

impl SnapshotTarget {
    /// Whether it goes to the file of snapshots.
    fn is_rdb_file(self) -> bool {
        matches!(self, SnapshotTarget::Disk | SnapshotTarget::DiskForReplicas)
    }

    /// Whether replicas wait for it.
    pub(super) fn is_for_replicas(self) -> bool {
        matches!(self, SnapshotTarget::DiskForReplicas | SnapshotTarget::Pipe)
    }

    fn describe(self) -> &'static str {
        match self {
            SnapshotTarget::Disk | SnapshotTarget::DiskForReplicas => "saving",
            SnapshotTarget::Pipe => "RDB transfer",
            SnapshotTarget::AofBase => "append only file rewriting",
        }
    }
}

/// A file that is a snapshot once it is whole.
#[derive(Debug)]
pub struct TempFile {
    /// The file.
    pub file: DiskFile,
    /// Its name as long as it is not whole.
    pub path: PathBuf,
}

/// A child that makes a snapshot.
#[derive(Debug)]
pub struct SnapshotChild {
    /// Its process.
    pub pid: Pid,
    /// Where the snapshot goes.
    pub target: SnapshotTarget,
    /// What the snapshot is to hold, and for whom it is.
    pub wish: Wish,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// The offset of the stream at which the data was frozen.
    pub offset: u64,
    /// `keys.dirty` at that time.
    pub dirty: u64,
    /// How many keys it is to write.
    pub keys_total: u64,
    /// What it has told of itself last.
    pub report: ChildReport,
    /// The file that it writes, open to read: what becomes of the file's name is of no account to who reads it.
    pub file: Option<TempFile>,
    info: (Transport, FileId),
    told: Vec<u8>,
}

/// The pipe of a diskless snapshot.
#[derive(Debug)]
pub struct SnapshotPipe {
    /// The end we read from.
    pub transport: Transport,
    /// Its registration.
    pub file: FileId,
    /// What was read and not every replica has got yet.
    pub chunk: Vec<u8>,
    /// Bytes that were read so far.
    pub passed: u64,
}

/// The child that runs, and what became of its predecessors.
#[derive(Debug)]
pub struct Snapshot {
    /// The child that runs.
    pub child: Option<SnapshotChild>,
    /// Its pipe, if replicas read it.
    pub pipe: Option<SnapshotPipe>,
    /// Somebody wants a BGSAVE once the present child is done.
    pub scheduled: bool,
    /// Whether the last save to the file succeeded.
    pub last_save_ok: bool,
    /// When the file was last saved, in seconds since 1970.
    pub last_save_s: i64,
    /// How long the last child took, in seconds; −1: there was none.
    pub last_child_seconds: i64,
    /// Memory that the last child had to copy, in bytes.
    pub last_cow_bytes: u64,
    /// `keys.dirty` at the last save.
    pub saved_dirty: u64,
    /// What became of BGREWRITEAOF.
    pub rewrites: Rewrites,
    /// Saves to the file that were begun since the start, as stock counts them.
    pub saves: u64,
    /// Keys and expired keys of the last load.
    pub last_load: (u64, u64),
    /// Before this time no child is begun again.
    pub retry_at_ms: i64,
}

impl Snapshot {
    /// Nothing saved yet.
    pub fn new(now_s: i64) -> Self {
        Snapshot {
            child: None,
            pipe: None,
            scheduled: false,
            last_save_ok: true,
            last_save_s: now_s,
            last_child_seconds: -1,
            last_cow_bytes: 0,
            saved_dirty: 0,
            rewrites: Rewrites::default(),
            saves: 0,
            last_load: (0, 0),
            retry_at_ms: 0,
        }
    }

    /// The child that runs, if it makes the base of an append-only file, or the one that makes anything else.
    pub fn child_of(&self, rewrites: bool) -> Option<&SnapshotChild> {
        self.child.as_ref().filter(|child| (child.target == SnapshotTarget::AofBase) == rewrites)
    }

    /// The offset of the snapshot file that is being made for replicas; another one that wants the same may join.
    pub fn joinable_offset(&self, wish: Wish) -> Option<u64> {
        let child = self.child.as_ref()?;
        (child.target == SnapshotTarget::DiskForReplicas && child.wish == wish).then_some(child.offset)
    }
}

impl Server {
    /// The path of the snapshot file.
    pub fn rdb_path(&self) -> PathBuf {
        self.config.dir.join(&self.config.dbfilename)
    }

    /// Whether the checksum of a snapshot that is loaded must be right.
    pub fn checks_checksums(&self) -> bool {
        self.config.rdbchecksum && !self.limits.skip_checksums
    }

    /// Changes since the last save.
    pub fn unsaved_changes(&self) -> u64 {
        self.keys.dirty.saturating_sub(self.snapshot.saved_dirty)
    }

    fn snapshot_options(&self, target: SnapshotTarget, wish: Wish) -> SnapshotOptions {
        let is_base = target == SnapshotTarget::AofBase;
        let point = (self.repl.stream_db as i64, self.repl.replid.as_str(), self.repl.log.end() as i64);
        let point = (self.repl.log.is_active() && self.repl.data_is_known && !is_base).then_some(point);
        let libraries = self.scripts.functions.libraries().filter(|_| wish.parts.functions);
        let mut aux = standard_aux(point, self.keys.now / 1000, self.used_memory() as u64, is_base);
        if target.is_rdb_file() && point.is_some() {
            aux.extend(self.repl.bridge.aux());
        }
        SnapshotOptions {
            compress: self.config.rdbcompression,
            checksum: self.config.rdbchecksum,
            incremental_fsync: self.config.rdb_save_incremental_fsync,
            key_delay_us: self.config.rdb_key_save_delay,
            accesses: self.saved_accesses(),
            aux,
            functions: libraries.map(|library| library.code.to_vec()).collect(),
            without_keys: !wish.parts.keys,
            target: wish.target,
        }
    }

    /// Saves to the file while everybody waits.
    pub fn rdb_save(&mut self) -> io::Result<()> {
        self.snapshot.saves += 1;
        let options = self.snapshot_options(SnapshotTarget::Disk, Wish::ALL);
        let name = self.config.dbfilename.display().to_string();
        let outcome = save_to_file(&mut self.disk, &self.keys, &self.config.dir, &name, &options);
        match &outcome {
            Ok(_) => {
                log::info!("DB saved on disk");
                self.note_saved(self.keys.dirty);
            }
            Err(error) => {
                log::error!("Error saving DB on disk: {error}");
                self.snapshot.last_save_ok = false;
            }
        }
        self.update_calm();
        outcome.map(drop)
    }

    fn note_saved(&mut self, dirty: u64) {
        self.snapshot.saved_dirty = dirty;
        self.snapshot.last_save_s = self.clock.unix_ms() / 1000;
        self.snapshot.last_save_ok = true;
    }

    /// Forks a child that makes a snapshot. One that is apart (`is_apart`) must not go to the file.
    pub fn rdb_save_background(&mut self, target: SnapshotTarget, wish: Wish) -> io::Result<()> {
        if self.snapshot.child.is_some() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.snapshot.saves += u64::from(target.is_rdb_file());
        let wish = Wish { target: wish.target.or_else(|| Some(lowest_target(&self.keys))), ..wish };
        let place = self.place_of(target);
        let file = if target == SnapshotTarget::Pipe { None } else { self.temp_snapshot(target) };
        if let Children::Simulated(_) = self.children {
            return self.bear_simulated_child(target, wish, (file, place));
        }
        let (info_out, info_in) = net::pipe()?;
        let data = if target == SnapshotTarget::Pipe { Some(net::pipe()?) } else { None };
        if let Some((_, end)) = &data {
            // A pipe that holds several blocks spares most of the waiting of either side for the other.
            net::set_pipe_size(end.as_raw_fd(), PIPE_CHUNK);
        }
        let marker = self.rng.hex::<40>();
        let start = self.clock.monotonic_us();
        match process::fork()? {
            Fork::Child => {
                drop(info_out);
                let options = self.snapshot_options(target, wish);
                let data = data.map(|(_, end)| end);
                let code = self.snapshot_child(target, (file, place), data, (&marker, info_in), &options);
                process::exit_now(code)
            }
            Fork::Parent(pid) => {
                self.stats.latest_fork_us = self.clock.monotonic_us() - start;
                self.stats.total_forks += 1;
                self.note_latency("fork", self.stats.latest_fork_us);
                drop(info_in);
                let data = data.map(|(end, _)| Transport::Pipe(end));
                self.adopt_child(pid, (target, wish), Transport::Pipe(info_out), data, file)
            }
        }
    }

    /// Makes the file that a child is to write. If that cannot be, the child fails, and what follows from that follows.
    fn temp_snapshot(&mut self, target: SnapshotTarget) -> Option<TempFile> {
        // The name must not be that of a child whose parent was killed and that still writes.
        let writer = |count: u64| format!("{}.{count}", &self.run_id[..8]);
        let path = match target {
            SnapshotTarget::AofBase => self.temp_base(&writer(self.snapshot.rewrites.begun)),
            _ => temp_file(&self.config.dir, &writer(self.snapshot.saves)),
        };
        let file = self.disk.create(&path).inspect_err(|error| {
            log::error!("Failed opening the temp RDB file {} for saving: {error}", path.display());
        });
        file.ok().map(|file| TempFile { file, path })
    }

    /// Where a snapshot stands once it is whole.
    fn place_of(&mut self, target: SnapshotTarget) -> PathBuf {
        if target == SnapshotTarget::AofBase { self.next_base() } else { self.rdb_path() }
    }

    /// In a simulation the snapshot is taken at once, and its way out is the simulation's affair.
    fn bear_simulated_child(
        &mut self,
        target: SnapshotTarget,
        wish: Wish,
        (file, place): (Option<TempFile>, PathBuf),
    ) -> io::Result<()> {
        let (options, mut snapshot) = (self.snapshot_options(target, wish), Vec::new());
        let piped = target == SnapshotTarget::Pipe;
        let marker = self.rng.hex::<40>();
        if piped {
            snapshot.extend_from_slice(&[b"$EOF:".as_slice(), &marker, b"\r\n"].concat());
        }
        write_snapshot(&self.keys, &mut snapshot, &options)?;
        if piped {
            snapshot.extend_from_slice(&marker);
        }
        let Children::Simulated(children) = &mut self.children else { return Ok(()) };
        let handle = file.as_ref().and_then(|temp| Some((temp.file.another().ok()?, temp.path.clone(), place)));
        let (pid, info, data) = children.bear(snapshot, piped, handle);
        self.adopt_child(pid, (target, wish), info, data, file)
    }

    /// The memory in use, in bytes; 0 in a simulation, where nothing may differ from run to run.
    pub fn used_memory(&self) -> usize {
        match self.clock {
            Clock::System => memory::used_memory(),
            Clock::Simulated(_) => 0,
        }
    }

    fn adopt_child(
        &mut self,
        pid: Pid,
        (target, wish): (SnapshotTarget, Wish),
        mut info: Transport,
        data: Option<Transport>,
        file: Option<TempFile>,
    ) -> io::Result<()> {
        log::info!("Background {} started by pid {pid}", target.describe());
        let info_file = self.event_loop.add_file(&mut info)?;
        self.event_loop.create_file_event(info_file, Interest::Readable, Procedure::ReadChildInfo);
        if let Some(mut transport) = data {
            let file = self.event_loop.add_file(&mut transport)?;
            self.event_loop.create_file_event(file, Interest::Readable, Procedure::ReadSnapshotPipe);
            self.snapshot.pipe =
                Some(SnapshotPipe { transport, file, chunk: Vec::with_capacity(PIPE_CHUNK), passed: 0 });
        }
        match target {
            SnapshotTarget::AofBase => self.snapshot.rewrites.scheduled = false,
            _ => self.snapshot.scheduled = false,
        }
        self.snapshot.child = Some(SnapshotChild {
            pid,
            target,
            wish,
            started_ms: self.keys.now,
            offset: self.repl.log.end(),
            dirty: self.keys.dirty,
            keys_total: if wish.parts.keys { self.keys.total_keys() as u64 } else { 0 },
            report: ChildReport::default(),
            file,
            info: (info, info_file),
            told: Vec::new(),
        });
        Ok(())
    }

    /// What the child does: everything, then it tells how much memory it had to copy.
    fn snapshot_child(
        &mut self,
        target: SnapshotTarget,
        (file, place): (Option<TempFile>, PathBuf),
        data: Option<OwnedFd>,
        (marker, info): (&[u8; 40], OwnedFd),
        options: &SnapshotOptions,
    ) -> i32 {
        logging::set_role(logging::Role::Child);
        let _ = self.apply_oom_score_adj(super::oom::OomClass::Child);
        self.settle_in_as_child();
        // Listeners that live on in the child would keep the port taken if the parent dies.
        self.listeners.clear();
        let mut info = std::fs::File::from(info);
        // A parent that is gone does not want to know.
        let mut tell = |done| drop(info.write_all(&ChildReport::encode(done, 0)));
        let outcome = match (file, data) {
            (_, Some(end)) => self.snapshot_to_pipe(end, marker, options, &mut tell),
            (Some(mut temp), None) => {
                save_into(&mut self.disk, &self.keys, (&mut temp.file, &temp.path), &place, options, Some(&mut tell))
            }
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        };
        let copied = process::private_dirty_bytes();
        match &outcome {
            Ok(_) if target.is_rdb_file() => log::info!("DB saved on disk"),
            Ok(_) => {}
            Err(error) => log::error!("Error saving DB: {error}"),
        }
        log::info!("Fork CoW for RDB: current {0} MB, peak {0} MB", copied >> 20);
        let done = outcome.as_ref().copied().unwrap_or(SnapshotSummary { keys: 0, bytes: 0 });
        let _ = info.write_all(&ChildReport::encode(done, copied));
        i32::from(outcome.is_err())
    }

    fn snapshot_to_pipe(
        &self,
        end: OwnedFd,
        marker: &[u8; 40],
        options: &SnapshotOptions,
        listener: Listener<'_>,
    ) -> io::Result<SnapshotSummary> {
        let mut out = std::fs::File::from(end);
        out.write_all(&[b"$EOF:".as_slice(), marker, b"\r\n"].concat())?;
        let summary = write_and_tell(&self.keys, &mut out, options, Some(listener))?;
        out.write_all(marker)?;
        Ok(summary)
    }

    /// The child has told something, or has ended.
    pub(super) fn read_child_info(&mut self) {
        let Some(child) = &mut self.snapshot.child else { return };
        let (transport, file) = &mut child.info;
        child.told.reserve(INFO_CHUNK);
        match transport.read(&mut child.told, INFO_CHUNK) {
            Ok(0) => {}
            Ok(_) => {
                child.report = ChildReport::take(&mut child.told).unwrap_or(child.report);
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.event_loop.would_block(*file, Interest::Readable);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => log::warn!("Reading from the snapshot child: {error}"),
        }
        if self.snapshot.pipe.is_some() {
            // What the child wrote for the replicas may still stand in its other pipe; the end of that one decides.
            let file = *file;
            return self.event_loop.would_block(file, Interest::Readable);
        }
        self.await_child_end();
    }

    /// Takes note of the end of a child that has closed its pipe, so this hardly waits.
    pub(super) fn await_child_end(&mut self) {
        if let Some(child) = &self.snapshot.child {
            let exit = self.children.wait(child.pid);
            self.child_ended(exit.unwrap_or(Exit::Code(1)));
        }
    }

    /// Looks whether the child has ended without a word.
    pub(super) fn reap_child(&mut self) {
        let Some(child) = &self.snapshot.child else { return };
        if self.snapshot.pipe.is_some() {
            return;
        }
        let pid = child.pid;
        while let Some((ended, exit)) = self.children.wait_nonblocking() {
            if ended == pid {
                return self.child_ended(exit);
            }
            log::warn!("Warning, detected child with unmatched pid: {ended}");
        }
    }

    fn child_ended(&mut self, exit: Exit) {
        let Some(mut child) = self.snapshot.child.take() else { return };
        // Its last words, if they were not read yet.
        child.told.reserve(INFO_CHUNK);
        while child.info.0.read(&mut child.told, INFO_CHUNK).is_ok_and(|count| count > 0) {
            child.told.reserve(INFO_CHUNK);
        }
        child.report = ChildReport::take(&mut child.told).unwrap_or(child.report);
        self.event_loop.remove_file(child.info.1, &mut child.info.0);
        let seconds = (self.clock.unix_ms() - child.started_ms) / 1000;
        let ok = exit == Exit::Code(0);
        let (last_seconds, last_cow_bytes) = match child.target {
            SnapshotTarget::AofBase => {
                (&mut self.snapshot.rewrites.last_seconds, &mut self.snapshot.rewrites.last_cow_bytes)
            }
            _ => (&mut self.snapshot.last_child_seconds, &mut self.snapshot.last_cow_bytes),
        };
        *last_seconds = seconds;
        if child.report.copied > 0 {
            *last_cow_bytes = child.report.copied;
        }
        if child.target == SnapshotTarget::AofBase {
            self.rewrite_ended(&child, exit);
        } else if child.target == SnapshotTarget::Pipe {
            self.close_snapshot_pipe();
            match exit {
                Exit::Code(0) => log::info!("Background RDB transfer terminated with success"),
                Exit::Code(code) => log::warn!("Background transfer error: exit code {code}"),
                Exit::Signal(signal) => log::warn!("Background transfer terminated by signal {signal}"),
            }
            self.update_slaves_waiting_bgsave(ok, None);
        } else {
            self.file_child_ended(child, exit);
        }
        self.update_calm();
        if std::mem::take(&mut self.snapshot.scheduled)
            && let Err(error) = self.rdb_save_background(SnapshotTarget::Disk, Wish::ALL)
        {
            log::error!("Scheduled BGSAVE: {error}");
        }
        self.rewrite_if_scheduled();
    }

    fn file_child_ended(&mut self, child: SnapshotChild, exit: Exit) {
        let ok = exit == Exit::Code(0);
        match exit {
            Exit::Code(0) => {
                log::info!("Background saving terminated with success");
                self.note_saved(child.dirty);
            }
            Exit::Code(EXIT_KILLED) | Exit::Signal(process::SIGUSR1) => log::info!("Background saving stopped"),
            _ => {
                match exit {
                    Exit::Code(_) => log::warn!("Background saving error"),
                    Exit::Signal(signal) => log::warn!("Background saving terminated by signal {signal}"),
                }
                self.snapshot.last_save_ok = false;
                self.snapshot.retry_at_ms = self.keys.now + RETRY_MS;
            }
        }
        if let Some(temp) = child.file.as_ref().filter(|_| !ok) {
            // A child that could still do so has removed it.
            let _ = self.disk.remove(&temp.path);
        }
        self.update_slaves_waiting_bgsave(ok, child.file.map(|temp| temp.file));
    }

    /// Closes the pipe of a diskless snapshot.
    pub(super) fn close_snapshot_pipe(&mut self) {
        if let Some(mut pipe) = self.snapshot.pipe.take() {
            self.event_loop.remove_file(pipe.file, &mut pipe.transport);
        }
    }

    /// Stops the child, whatever it makes; replicas that wait for it are closed and come back.
    pub fn kill_snapshot_child(&mut self) {
        self.close_snapshot_pipe();
        if let Some(child) = &self.snapshot.child {
            let pid = child.pid;
            log::info!("Killing running RDB child: {pid}");
            if self.children.kill(pid, process::SIGUSR1).is_ok() {
                let exit = self.children.wait(pid);
                self.child_ended(exit.unwrap_or(Exit::Signal(process::SIGUSR1)));
            }
        }
    }

    /// Begins a save if one of the save points is reached.
    pub(super) fn save_if_due(&mut self) {
        if self.snapshot.child.is_some() || self.loading.is_some() || self.snapshot.retry_at_ms > self.keys.now {
            return;
        }
        let (changes, elapsed) = (self.unsaved_changes(), self.keys.now / 1000 - self.snapshot.last_save_s);
        let due = self
            .config
            .save
            .iter()
            .find(|point| changes >= u64::from(point.changes) && elapsed > point.seconds as i64)
            .copied();
        let Some(point) = due else { return };
        if changes == 0 {
            return;
        }
        log::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        if let Err(error) = self.rdb_save_background(SnapshotTarget::Disk, Wish::ALL) {
            log::error!("Can't save in background: fork: {error}");
            self.snapshot.last_save_ok = false;
            self.snapshot.retry_at_ms = self.keys.now + RETRY_MS;
            self.update_calm();
        }
    }
}
