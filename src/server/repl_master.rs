//! Replication as a master: the stream, and the way of a replica from SYNC to the live stream (= replication.c).

use super::client::{Client, ClientId};
use super::repl_check::Mistrust;
use super::repl_feed::Feeding;
use super::repl_replica::MasterLink;
use super::repl_targets::{Translation, Wish};
use super::repl_upstream::Bridge;
use super::snapshot::SnapshotTarget;
use super::{Procedure, Server};
use crate::base::disk::DiskFile;
use crate::base::rng::Rng;
use crate::commands::CommandError;
use crate::config::Config;
use crate::keyspace::Expired;
use crate::reactor::Interest;
use crate::replication::log::{ReplicationLog, Whereabouts};
use crate::replication::master::{BulkTransfer, Parts, Replica, ReplicaStage};
use crate::resp::reply::encode_command;
use crate::resp::request::Argv;
use std::io;

/// How much of a snapshot file is read at once.
const BULK_CHUNK: usize = 256 * 1024;
/// How much of a snapshot is written to one replica in one turn.
const WRITE_PER_TURN: usize = 4 << 20;

/// What waits to travel together at the end of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    count: usize,
    db: Option<usize>,
}

/// Both ends of replication.
pub struct Repl {
    /// The one stream.
    pub log: ReplicationLog,
    /// The name of our history.
    pub replid: String,
    /// The name that our history had before.
    pub replid2: String,
    /// Up to which offset the former name holds; −1: there is none.
    pub second_offset: i64,
    /// Whether the data is exactly what the history makes of it up to the end of the log; not so while a snapshot is
    /// loaded.
    pub data_is_known: bool,
    /// The database that the stream has selected at the end of the log, whoever wrote it.
    pub stream_db: usize,
    /// Our next change must select its database even so: somebody may join here who does not know which one is.
    pub select_next: bool,
    /// Our master, if we are a replica.
    pub master: Option<(String, u16)>,
    /// The link to it.
    pub link: MasterLink,
    /// The other side, where our history is not our master's.
    pub bridge: Bridge,
    /// Who had other bytes than his master.
    pub mistrust: Mistrust,
    /// The errors met in our master's stream.
    pub stream_errors: super::repl_errors::StreamErrors,
    /// The clients that are our replicas.
    pub attached: Vec<ClientId>,
    /// What became of replicas that can't hold all of the data.
    pub translation: Translation,
    /// Which of them are fed when.
    pub feeding: Feeding,
    /// How many of them are online and acknowledge in time, while `min-replicas-to-write` asks for that.
    pub good_replicas: usize,
    /// Since when nobody reads the log, in seconds since 1970.
    pub no_replicas_since_s: Option<i64>,
}

impl Repl {
    /// Nothing replicated yet; the master, if the configuration names one, is connected to by cron.
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        Repl {
            log: ReplicationLog::default(),
            replid: new_replid(rng),
            replid2: "0".repeat(40),
            second_offset: -1,
            data_is_known: true,
            stream_db: 0,
            select_next: true,
            master: config.replicaof.as_ref().map(|master| (master.host.clone(), master.port)),
            link: MasterLink::default(),
            bridge: Bridge { is_on: config.replication_bridge, ..Bridge::default() },
            mistrust: Mistrust::default(),
            stream_errors: Default::default(),
            attached: Vec::new(),
            translation: Translation::default(),
            feeding: Feeding::default(),
            good_replicas: 0,
            no_replicas_since_s: None,
        }
    }

    /// Whether we follow a master.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.master.is_some()
    }

    /// Whether the link to our master is up and in sync.
    pub fn is_link_up(&self) -> bool {
        self.link.stage == crate::replication::replica::LinkStage::Connected
    }
}

/// A new name for a history: 40 hexadecimal digits.
pub fn new_replid(rng: &mut Rng) -> String {
    String::from_utf8_lossy(&rng.hex::<40>()).into_owned()
}

impl Server {
    /// Whether anybody may ever want to hear of a change.
    #[inline]
    pub fn wants_propagation(&self) -> bool {
        self.repl.log.is_active() && self.repl.writes_stream()
    }

    /// Hands changes on: at once, or at the end of the transaction that runs.
    pub fn propagate(&mut self, db: usize, bytes: &[u8], count: usize) {
        if !self.wants_propagation() {
            return;
        }
        match self.repl.bridge.dialect {
            None => self.hand_on(db, bytes, count),
            Some(dialect) => self.propagate_translated(dialect, db, bytes, count),
        }
    }

    /// The part of `propagate` that all have: what is in the right words goes on.
    #[inline]
    pub(super) fn hand_on(&mut self, db: usize, bytes: &[u8], count: usize) {
        if self.exec_depth == 0 {
            if count > 1 {
                return self.replication_feed_slaves(db, &in_transaction(bytes));
            }
            return self.replication_feed_slaves(db, bytes);
        }
        let outbox = &mut self.transaction;
        if outbox.db != Some(db) {
            // A transaction that selects databases on its way carries these SELECTs inside.
            if outbox.db.is_some() {
                encode_command(&mut outbox.bytes, [b"SELECT".as_slice(), db.to_string().as_bytes()].into_iter());
                outbox.count += 1;
                self.repl.stream_db = db;
            } else {
                self.select_in_stream(db);
            }
            self.transaction.db = Some(db);
        }
        self.transaction.bytes.extend_from_slice(bytes);
        self.transaction.count += count;
    }

    /// Sends what a transaction gathered; more than one command travels inside MULTI and EXEC.
    pub fn flush_transaction(&mut self) {
        let outbox = std::mem::take(&mut self.transaction);
        if outbox.count > 1 {
            self.append_to_log(&in_transaction(&outbox.bytes));
        } else if outbox.count == 1 {
            self.append_to_log(&outbox.bytes);
        }
    }

    /// Propagates the deletion of keys whose time has come.
    #[inline]
    pub fn propagate_expired(&mut self) {
        if !self.keys.expired.is_empty() {
            self.propagate_deletions();
        }
    }

    #[cold]
    fn propagate_deletions(&mut self) {
        for Expired { db, key, fields } in std::mem::take(&mut self.keys.expired) {
            if !fields.is_empty() {
                self.propagate_expired_fields(db, &key, &fields);
                continue;
            }
            self.keys.dirty += 1;
            let mut bytes = Vec::with_capacity(key.len() + 32);
            let command: &[u8] = if self.keys.lazy.expire { b"UNLINK" } else { b"DEL" };
            encode_command(&mut bytes, [command, &key].into_iter());
            self.propagate(db, &bytes, 1);
        }
    }

    #[cold]
    fn propagate_expired_fields(&mut self, db: usize, key: &[u8], fields: &[Vec<u8>]) {
        for fields in fields.chunks(512) {
            self.keys.dirty += fields.len() as u64;
            let mut bytes = Vec::new();
            let args: Vec<&[u8]> =
                [b"HDEL".as_slice(), key].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
            encode_command(&mut bytes, args.into_iter());
            self.propagate(db, &bytes, 1);
        }
    }

    /// Appends a change to the log, in the database it belongs to. All replicas read it from there.
    pub fn replication_feed_slaves(&mut self, db: usize, bytes: &[u8]) {
        self.select_in_stream(db);
        self.append_to_log(bytes);
    }

    fn select_in_stream(&mut self, db: usize) {
        if self.repl.select_next || self.repl.stream_db != db {
            let mut select = Vec::with_capacity(32);
            encode_command(&mut select, [b"SELECT".as_slice(), db.to_string().as_bytes()].into_iter());
            self.append_to_log(&select);
            self.repl.stream_db = db;
            self.repl.select_next = false;
        }
    }

    /// Appends bytes to the log.
    pub fn append_to_log(&mut self, bytes: &[u8]) {
        self.repl.log.append(bytes);
    }

    /// Ids of our replicas.
    pub fn replicas(&self) -> Vec<ClientId> {
        let alive = |id: &&ClientId| self.clients.get(**id).is_some_and(|client| !client.closing);
        self.repl.attached.iter().filter(alive).copied().collect()
    }

    /// Whether writes are refused for want of good replicas. A replica has not to care.
    #[inline]
    pub fn lacks_good_replicas(&self) -> bool {
        let (wanted, max_lag) = (self.config.min_replicas_to_write, self.config.min_replicas_max_lag);
        wanted > 0 && max_lag > 0 && !self.repl.is_replica() && self.repl.good_replicas < wanted as usize
    }

    /// Counts the replicas that are online and acknowledge in time.
    pub fn refresh_good_replicas(&mut self) {
        let (now_s, max_lag) = (self.keys.now / 1000, i64::from(self.config.min_replicas_max_lag));
        if self.config.min_replicas_to_write == 0 || max_lag == 0 {
            return;
        }
        let replicas = self.replicas();
        let replicas = replicas.iter().filter_map(|id| self.replica_of(*id));
        let good = |replica: &&Replica| replica.stage == ReplicaStage::Online && now_s - replica.ack_time_s <= max_lag;
        self.repl.good_replicas = replicas.filter(good).count();
        self.update_calm();
    }

    /// SYNC and PSYNC.
    pub fn sync_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let psync = argv.at(0).eq_ignore_ascii_case(b"psync");
        if self.clients.get(id).is_none_or(|client| client.replica.is_some()) {
            return Ok(());
        }
        if psync && argv.get(3).is_some_and(|option| option.eq_ignore_ascii_case(b"failover")) {
            self.take_over_from_master(id, argv)?;
        }
        if self.failover.is_under_way() {
            return Err(CommandError::new("NOMASTERLINK Can't SYNC while failing over"));
        }
        if self.repl.is_replica() && !self.repl.is_link_up() {
            return Err(CommandError::new("NOMASTERLINK Can't SYNC while not connected with my master"));
        }
        self.check_if_bridge_is_needed(id)?;
        let has_output = self.clients.get(id).is_some_and(|client| client.output_len() > 0);
        if has_output {
            return Err(CommandError::new("ERR SYNC and PSYNC are invalid with pending output"));
        }
        let now_s = self.keys.now / 1000;
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let mut replica = Replica::new(now_s);
        replica.pre_psync = !psync;
        replica.capa_eof = client.introduction.capa_eof;
        replica.capa_psync2 = client.introduction.capa_psync2;
        replica.parts = client.introduction.parts;
        if replica.parts != Parts::ALL && !replica.capa_eof {
            // A part must not go through the file, lest it be taken for the whole.
            return Err(CommandError::new("ERR Filtered replica requires EOF capability"));
        }
        let name = replica_name(client);
        log::info!("Replica {name} asks for synchronization");
        self.close_former_link(id);
        if psync && self.continue_from(id, argv, &name, &mut replica)? {
            return Ok(());
        }
        self.check_losses(id)?;
        self.stats.sync_full += 1;
        self.begin_history();
        self.agree_on_dialect(id);
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        client.transport.set_tcp_options(!self.config.repl_disable_tcp_nodelay, self.config.tcp_keepalive);
        client.replica = Some(Box::new(replica));
        self.repl.attached.push(id);
        self.update_calm();
        self.join_or_wait(id);
        Ok(())
    }

    /// Partial resynchronization: goes on where the replica is, if that place is in our history and still kept.
    fn continue_from(
        &mut self,
        id: ClientId,
        argv: Argv<'_>,
        name: &str,
        replica: &mut Replica,
    ) -> Result<bool, CommandError> {
        let asked_id = String::from_utf8_lossy(argv.at(1)).into_owned();
        let wanted = crate::base::numbers::parse_i64(argv.at(2)).ok_or(crate::commands::error::NOT_INTEGER)?;
        if asked_id == "?" {
            log::info!("Full resync requested by replica {name}");
            return Ok(false);
        }
        let ours = asked_id.eq_ignore_ascii_case(&self.repl.replid);
        let former = asked_id.eq_ignore_ascii_case(&self.repl.replid2) && wanted <= self.repl.second_offset;
        let position = wanted.saturating_sub(1).max(0) as u64;
        let run_id = self.clients.get(id).and_then(|client| client.introduction.run_id.clone());
        if self.repl.mistrust.concerns(run_id.as_deref(), position) {
            log::warn!("Replica {name} must not continue: the stream it has got is not ours.");
            return Ok(false);
        }
        if !(ours || former) || self.repl.log.whereabouts(position) == Whereabouts::Gone {
            log::info!(
                "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {wanted})."
            );
            self.stats.sync_partial_err += 1;
            return Ok(false);
        }
        if !self.may_continue_in_dialect(id, position) {
            log::info!("Replica {name} must not continue: it may not understand what it lacks.");
            return Ok(false);
        }
        replica.stage = ReplicaStage::Online;
        replica.position = position;
        replica.has_acked = true;
        replica.ack_offset = position;
        if run_id.is_some() {
            replica.checked = self.repl.log.begin_sums(position);
        }
        self.stats.sync_partial_ok += 1;
        let replid = self.repl.replid.clone();
        let Some(client) = self.clients.get_mut(id) else { return Ok(true) };
        let capa_psync2 = replica.capa_psync2;
        client.replica = Some(Box::new(std::mem::replace(replica, Replica::new(0))));
        client.reply.status(&if capa_psync2 { format!("CONTINUE {replid}") } else { "CONTINUE".into() });
        let lacks = self.repl.log.end() - position;
        log::info!(
            "Partial resynchronization request from {name} accepted. Sending {lacks} bytes of backlog starting from offset {wanted}."
        );
        self.repl.no_replicas_since_s = None;
        self.repl.attached.push(id);
        self.refresh_good_replicas();
        self.update_calm();
        Ok(true)
    }

    /// Begins to keep the stream. Writes made before were not counted, so this is a new history.
    fn begin_history(&mut self) {
        self.repl.no_replicas_since_s = None;
        if self.repl.log.is_active() {
            return;
        }
        self.repl.log.activate();
        self.repl.bridge.dialect = None;
        if !self.repl.is_replica() {
            self.repl.replid = new_replid(&mut self.rng);
            self.repl.replid2 = "0".repeat(40);
            self.repl.second_offset = -1;
            log::info!("Replication backlog created, my new replication ID is {}", self.repl.replid);
        }
    }

    /// Lets a replica join the snapshot that is being made for others, or leaves it waiting for the next.
    fn join_or_wait(&mut self, id: ClientId) {
        let joinable = self.snapshot.joinable_offset(self.wish_of(id));
        // Where those have gone for whom it is made, what followed its start may be gone, too.
        let is_followed = |offset: u64| self.repl.log.whereabouts(offset) == Whereabouts::Here;
        if let Some(offset) = joinable.filter(|offset| is_followed(*offset)) {
            log::info!("Waiting for end of BGSAVE for SYNC");
            self.begin_full_resync(id, offset);
        } else if joinable.is_some() {
            log::info!("Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC");
        } else if self.snapshot.child.is_some() {
            log::info!("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
        }
    }

    /// Tells a replica that the snapshot at `offset` is coming.
    fn begin_full_resync(&mut self, id: ClientId, offset: u64) {
        let replid = self.repl.replid.clone();
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(replica) = &mut client.replica else { return };
        replica.stage = ReplicaStage::WaitBgsaveEnd;
        replica.position = offset;
        replica.sync_offset = offset;
        if client.introduction.run_id.is_some() {
            replica.checked = self.repl.log.begin_sums(offset);
            self.repl.mistrust.forgive(client.introduction.run_id.as_deref());
        }
        if !replica.pre_psync {
            client.reply.status(&format!("FULLRESYNC {replid} {offset}"));
        }
        // The stream that follows the snapshot must begin with its database.
        self.repl.select_next = true;
        self.after_commands(id);
    }

    /// Begins a snapshot for the replicas that wait for one, unless more of them are just introducing themselves.
    pub(super) fn start_waiting_sync(&mut self) {
        if self.snapshot.child.is_some() || self.loading.is_some() || !self.any_waits_for_bgsave() {
            return;
        }
        if self.snapshot.retry_at_ms > self.keys.now {
            return;
        }
        let mut waiting = self.replicas_in(ReplicaStage::WaitBgsaveStart);
        // Those who want something else come later.
        let wish = waiting.first().map_or(Wish::ALL, |id| self.wish_of(*id));
        waiting.retain(|id| self.wish_of(*id) == wish);
        let apart = self.is_apart(wish);
        let diskless = (self.config.repl_diskless_sync || apart)
            && waiting.iter().all(|id| self.replica_of(*id).is_some_and(|replica| replica.capa_eof));
        if diskless && self.more_replicas_are_coming(&waiting) {
            return;
        }
        if self.accept_losses(&waiting, wish) {
            self.start_bgsave_for_replication(&waiting, diskless, wish);
        }
    }

    fn any_waits_for_bgsave(&self) -> bool {
        self.repl
            .attached
            .iter()
            .any(|id| self.replica_of(*id).is_some_and(|replica| replica.stage == ReplicaStage::WaitBgsaveStart))
    }

    /// Whether a client has introduced itself as a replica and not asked to sync yet; it is waited for, but not longer
    /// than `repl-diskless-sync-delay`.
    fn more_replicas_are_coming(&self, waiting: &[ClientId]) -> bool {
        let max = self.config.repl_diskless_sync_max_replicas as usize;
        if max > 0 && waiting.len() >= max {
            return false;
        }
        let longest_s = waiting.iter().filter_map(|id| self.replica_of(*id)).map(|replica| replica.ack_time_s).min();
        let waited_s = self.keys.now / 1000 - longest_s.unwrap_or(0);
        waited_s < i64::from(self.config.repl_diskless_sync_delay)
            && self.clients.iter().any(|(_, client)| {
                client.replica.is_none() && !client.closing && client.introduction.listening_port != 0
            })
    }

    /// Ids of the replicas at this stage.
    pub fn replicas_in(&self, stage: ReplicaStage) -> Vec<ClientId> {
        let mut ids = self.replicas();
        ids.retain(|id| self.replica_of(*id).is_some_and(|replica| replica.stage == stage));
        ids
    }

    /// The replica that a client is.
    pub fn replica_of(&self, id: ClientId) -> Option<&Replica> {
        self.clients.get(id)?.replica.as_deref()
    }

    fn replica_of_mut(&mut self, id: ClientId) -> Option<&mut Replica> {
        self.clients.get_mut(id)?.replica.as_deref_mut()
    }

    fn start_bgsave_for_replication(&mut self, waiting: &[ClientId], diskless: bool, wish: Wish) {
        let target = if diskless { "replicas sockets" } else { "disk" };
        log::info!("Starting BGSAVE for SYNC with target: {target}");
        let offset = self.repl.log.end();
        let kind = if diskless { SnapshotTarget::Pipe } else { SnapshotTarget::DiskForReplicas };
        if let Err(error) = self.rdb_save_background(kind, wish) {
            log::error!("BGSAVE for replication failed: {error}");
            self.snapshot.retry_at_ms = self.keys.now + 1000;
            for &id in waiting {
                self.close_client(id);
            }
            return;
        }
        for &id in waiting {
            self.begin_full_resync(id, offset);
            if let Some(replica) = self.replica_of_mut(id) {
                replica.pipe_sent = 0;
            }
        }
    }

    /// A snapshot for replicas is made, into this file or straight to them, or has failed: those that wait for it go
    /// on, or are closed and come back.
    pub fn update_slaves_waiting_bgsave(&mut self, ok: bool, file: Option<DiskFile>) {
        for id in self.replicas_in(ReplicaStage::WaitBgsaveEnd) {
            if !ok {
                log::warn!("SYNC failed. BGSAVE child returned an error");
                self.close_client(id);
            } else if let Some(file) = &file {
                if let Err(error) = file.another().and_then(|file| self.begin_bulk(id, file)) {
                    log::error!("SYNC failed. Can't open/stat DB after BGSAVE: {error}");
                    self.close_client(id);
                }
            } else {
                let name = self.clients.get(id).map(replica_name).unwrap_or_default();
                log::info!(
                    "Streamed replica with replica {name} (socket). Waiting for REPLCONF ACK from replica to enable streaming"
                );
                if let Some(replica) = self.replica_of_mut(id) {
                    replica.stage = ReplicaStage::Online;
                    replica.online_on_ack = true;
                }
            }
        }
    }

    fn begin_bulk(&mut self, id: ClientId, file: DiskFile) -> io::Result<()> {
        let size = self.disk.len(&file)?;
        if let Some(replica) = self.replica_of_mut(id) {
            replica.stage = ReplicaStage::SendBulk;
            let pending = format!("${size}\r\n").into_bytes();
            replica.bulk = Some(BulkTransfer { file, size, read: 0, pending, sent: 0 });
        }
        self.send_bulk_to_slave(id);
        Ok(())
    }

    /// A replica's socket has room: sends what it is to get next.
    pub fn send_bulk_to_slave(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id) else { return };
        if client.output_len() > 0 {
            // The reply line goes first; the rest follows once it is out.
            return self.send_reply_to_client(id);
        }
        match self.replica_of(id).map(|replica| replica.stage) {
            Some(ReplicaStage::SendBulk) => self.send_bulk_chunks(id),
            Some(ReplicaStage::WaitBgsaveEnd) => self.write_pipe_chunk(id),
            _ => self.write_to_replica(id),
        }
    }

    fn send_bulk_chunks(&mut self, id: ClientId) {
        for _ in 0..WRITE_PER_TURN / BULK_CHUNK {
            match self.send_one_chunk(id) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(client) = self.clients.get(id) {
                        self.event_loop.would_block(client.file, Interest::Writable);
                    }
                    break;
                }
                Err(error) => {
                    log::warn!("Sending the snapshot to a replica: {error}");
                    return self.close_client(id);
                }
            }
        }
        self.arm_writes(id);
    }

    /// Sends a part of the snapshot file; `false` once all of it is sent.
    fn send_one_chunk(&mut self, id: ClientId) -> io::Result<bool> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(false) };
        let Some(bulk) = client.replica.as_mut().and_then(|replica| replica.bulk.as_mut()) else { return Ok(false) };
        if bulk.sent == bulk.pending.len() {
            if bulk.read == bulk.size {
                let name = replica_name(client);
                self.put_replica_online(id, &name);
                return Ok(false);
            }
            bulk.sent = 0;
            bulk.pending.resize((bulk.size - bulk.read).min(BULK_CHUNK as u64) as usize, 0);
            let got = self.disk.read_at(&bulk.file, bulk.read, &mut bulk.pending)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bulk.pending.truncate(got);
            bulk.read += got as u64;
        }
        let written = client.transport.write(&bulk.pending[bulk.sent..])?;
        bulk.sent += written;
        client.last_active_ms = self.keys.now;
        self.stats.net_repl_output_bytes += written as u64;
        Ok(true)
    }

    fn put_replica_online(&mut self, id: ClientId, name: &str) {
        let now_s = self.keys.now / 1000;
        if let Some(replica) = self.replica_of_mut(id) {
            replica.stage = ReplicaStage::Online;
            replica.online_on_ack = false;
            replica.bulk = None;
            replica.ack_time_s = now_s;
        }
        log::info!("Synchronization with replica {name} succeeded");
        self.refresh_good_replicas();
        self.write_to_replica(id);
    }

    /// The child that makes a diskless snapshot has written: every replica must get the chunk before the next is read.
    pub(super) fn read_snapshot_pipe(&mut self) {
        loop {
            let Some(pipe) = &mut self.snapshot.pipe else { return };
            pipe.chunk.clear();
            match pipe.transport.read(&mut pipe.chunk, usize::MAX) {
                Ok(0) => return self.snapshot_pipe_ended(),
                Ok(count) => pipe.passed += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.event_loop.would_block(pipe.file, Interest::Readable);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("Diskless replication, reading from the child: {error}");
                    return self.kill_snapshot_child();
                }
            }
            let receivers = self.replicas_in(ReplicaStage::WaitBgsaveEnd);
            if receivers.is_empty() {
                log::warn!("Diskless rdb transfer, last replica dropped, killing fork child.");
                return self.kill_snapshot_child();
            }
            for id in receivers {
                if let Some(replica) = self.replica_of_mut(id) {
                    replica.pipe_sent = 0;
                }
                self.write_pipe_chunk(id);
            }
            if !self.pipe_chunk_is_out() {
                if let Some(pipe) = &self.snapshot.pipe {
                    self.event_loop.delete_file_event(pipe.file, Interest::Readable);
                }
                return;
            }
        }
    }

    fn pipe_chunk_is_out(&self) -> bool {
        let Some(pipe) = &self.snapshot.pipe else { return true };
        let all = self.replicas_in(ReplicaStage::WaitBgsaveEnd);
        all.iter().all(|id| self.replica_of(*id).is_none_or(|replica| replica.pipe_sent >= pipe.chunk.len()))
    }

    /// Writes what a replica lacks of the chunk; when the last one has it, the pipe is read on.
    fn write_pipe_chunk(&mut self, id: ClientId) {
        loop {
            let Some(pipe) = &self.snapshot.pipe else { return };
            let Some(client) = self.clients.get_mut(id) else { return };
            if client.closing || client.output_len() > 0 {
                return self.arm_writes(id);
            }
            let Some(replica) = client.replica.as_mut() else { return };
            let rest = &pipe.chunk[replica.pipe_sent.min(pipe.chunk.len())..];
            if rest.is_empty() {
                break;
            }
            match client.transport.write(rest) {
                Ok(count) => {
                    replica.pipe_sent += count;
                    client.last_active_ms = self.keys.now;
                    self.stats.net_repl_output_bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.event_loop.would_block(client.file, Interest::Writable);
                    return self.arm_writes(id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::warn!("Diskless rdb transfer, write error sending DB to replica: {error}");
                    self.close_client(id);
                    break;
                }
            }
        }
        if let Some(client) = self.clients.get(id) {
            self.event_loop.delete_file_event(client.file, Interest::Writable);
        }
        self.resume_snapshot_pipe();
    }

    /// Reads the pipe on once nobody lacks anything of the present chunk.
    pub(super) fn resume_snapshot_pipe(&mut self) {
        if self.pipe_chunk_is_out()
            && let Some(pipe) = &self.snapshot.pipe
        {
            self.event_loop.create_file_event(pipe.file, Interest::Readable, Procedure::ReadSnapshotPipe);
        }
    }

    fn snapshot_pipe_ended(&mut self) {
        let still_up = self.replicas_in(ReplicaStage::WaitBgsaveEnd).len();
        log::info!("Diskless rdb transfer, done reading from pipe, {still_up} replicas still up.");
        self.close_snapshot_pipe();
        self.await_child_end();
    }

    /// A replica of ours is gone.
    pub(super) fn replica_lost(&mut self, client: &Client) {
        log::info!("Connection with replica {} lost.", replica_name(client));
        self.forget_replica(client.session.id);
    }

    /// A client, by the number of its session, is no replica any more.
    pub(super) fn forget_replica(&mut self, session: u64) {
        self.repl.attached.retain(|id| id.number != session);
        if self.replicas().is_empty() {
            self.repl.no_replicas_since_s = Some(self.keys.now / 1000);
            if self.snapshot.pipe.is_some() {
                log::warn!("Diskless rdb transfer, last replica dropped, killing fork child.");
                self.kill_snapshot_child();
            }
        } else {
            self.resume_snapshot_pipe();
        }
        self.refresh_good_replicas();
        self.update_calm();
    }

    /// REPLCONF from a replica, or from our master.
    pub fn replconf(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        if argv.len().is_multiple_of(2) {
            return Err(crate::commands::error::SYNTAX);
        }
        for pair in (1..argv.len()).step_by(2) {
            let (name, value) = (argv.at(pair).to_ascii_lowercase(), argv.at(pair + 1));
            match name.as_slice() {
                b"ack" => {
                    let on_disk = argv.get(pair + 2).is_some_and(|option| option.eq_ignore_ascii_case(b"fack"));
                    self.note_ack(id, value, if on_disk { argv.get(pair + 3) } else { None });
                    return Ok(());
                }
                b"stream-check" => {
                    self.accept_stream_check(id, value);
                    return Ok(());
                }
                b"stream-sum" if argv.len() == 5 => return self.note_stream_sum(id, argv),
                b"getack" => {
                    if self.clients.get(id).is_some_and(Client::is_master) {
                        self.repl.link.ack_wanted = true;
                    }
                    return Ok(());
                }
                _ => self.note_introduction(id, argv.at(pair), value)?,
            }
        }
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }

    fn note_introduction(&mut self, id: ClientId, name: &[u8], value: &[u8]) -> Result<(), CommandError> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let introduction = &mut client.introduction;
        match name.to_ascii_lowercase().as_slice() {
            b"listening-port" => {
                let port = crate::commands::ctx::integer(value)?;
                introduction.listening_port = u16::try_from(port).map_err(|_| crate::commands::error::NOT_INTEGER)?;
            }
            b"ip-address" => {
                if value.len() >= 46 {
                    return Err(CommandError::new(format!(
                        "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                        value.len()
                    )));
                }
                introduction.ip_address = Some(String::from_utf8_lossy(value).into_owned());
            }
            b"capa" if value.eq_ignore_ascii_case(b"eof") => introduction.capa_eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => introduction.capa_psync2 = true,
            b"capa" => {}
            b"version" => self.note_valkey_version(id, value),
            b"rdb-only" => introduction.rdb_only = crate::commands::ctx::integer(value)? == 1,
            b"rdb-filter-only" => {
                let complain = |text: Vec<u8>| CommandError::bytes([b"ERR ".as_slice(), &text].concat());
                introduction.parts = Parts::parse(value).map_err(complain)?;
            }
            _ => {
                return Err(CommandError::quoting("ERR Unrecognized REPLCONF option: ", name, ""));
            }
        }
        Ok(())
    }

    fn note_ack(&mut self, id: ClientId, value: &[u8], on_disk: Option<&[u8]>) {
        let now_s = self.keys.now / 1000;
        let Some(offset) = crate::base::numbers::parse_u64(value) else { return };
        let disk_offset = on_disk.and_then(crate::base::numbers::parse_u64);
        let Some(client) = self.clients.get_mut(id) else { return };
        let name = replica_name(client);
        let Some(replica) = &mut client.replica else { return };
        replica.has_acked = true;
        replica.ack_offset = replica.ack_offset.max(offset);
        replica.ack_disk_offset = replica.ack_disk_offset.max(disk_offset.unwrap_or(0));
        replica.ack_time_s = now_s;
        replica.ack_time_ms = self.keys.now;
        self.blocked.acks_came = true;
        if replica.online_on_ack && replica.stage == ReplicaStage::Online {
            self.put_replica_online(id, &name);
        }
    }

    /// The part of replication's second that a master has.
    pub(super) fn master_cron(&mut self) {
        let now_s = self.keys.now / 1000;
        let period = i64::from(self.config.repl_ping_replica_period.max(1));
        let replicas = self.replicas();
        // Nothing may come after what the target of a failover has acknowledged.
        let hands_over = self.failover.is_under_way();
        if self.repl.writes_stream() && !hands_over && !replicas.is_empty() && now_s % period == 0 {
            let mut ping = Vec::new();
            encode_command(&mut ping, [b"PING".as_slice()].into_iter());
            self.append_to_log(&ping);
        }
        self.refresh_good_replicas();
        let diskless = self.snapshot.pipe.is_some();
        for &id in &replicas {
            let Some(client) = self.clients.get_mut(id) else { continue };
            let Some(replica) = &client.replica else { continue };
            let waits = replica.stage == ReplicaStage::WaitBgsaveStart
                || (replica.stage == ReplicaStage::WaitBgsaveEnd && !diskless);
            if waits {
                // A line break tells a replica that we are alive; it is no part of the stream.
                client.reply.out.push(b'\n');
                self.after_commands(id);
            }
            self.drop_if_timed_out(id, now_s);
        }
        let ttl = self.config.repl_backlog_ttl as i64;
        let expired = self.repl.no_replicas_since_s.is_some_and(|since| ttl > 0 && now_s - since > ttl);
        if expired && replicas.is_empty() && !self.repl.is_replica() && self.repl.log.is_active() {
            // Without the log writes are not counted, so what follows is another history.
            self.repl.replid = new_replid(&mut self.rng);
            self.repl.replid2 = "0".repeat(40);
            self.repl.second_offset = -1;
            self.repl.log.deactivate();
            log::info!("Replication backlog freed after {ttl} seconds without connected replicas.");
        }
    }

    fn drop_if_timed_out(&mut self, id: ClientId, now_s: i64) {
        let timeout = i64::from(self.config.repl_timeout);
        let Some(client) = self.clients.get(id) else { return };
        let Some(replica) = &client.replica else { return };
        let idle_s = now_s - client.last_active_ms / 1000;
        let what = match replica.stage {
            ReplicaStage::Online if replica.online_on_ack || replica.pre_psync => return,
            ReplicaStage::Online if now_s - replica.ack_time_s > timeout => "streaming sync",
            ReplicaStage::WaitBgsaveEnd if self.snapshot.pipe.is_some() && idle_s > timeout => "full sync",
            ReplicaStage::SendBulk if idle_s > timeout => "full sync",
            _ => return,
        };
        log::warn!("Disconnecting timedout replica ({what}): {}", replica_name(client));
        self.close_client(id);
    }
}

/// Commands that must land together.
fn in_transaction(bytes: &[u8]) -> Vec<u8> {
    [b"*1\r\n$5\r\nMULTI\r\n".as_slice(), bytes, b"*1\r\n$4\r\nEXEC\r\n"].concat()
}

/// How logs name a replica: the address it announced or came from, and the port it listens on.
pub fn replica_name(client: &Client) -> String {
    let ip = client.introduction.ip_address.clone();
    let ip = ip.or_else(|| client.transport.peer_ip().map(|ip| ip.to_canonical().to_string()));
    match client.introduction.listening_port {
        0 => format!("client id #{}", client.session.id),
        port => format!("{}:{port}", ip.unwrap_or_else(|| "?".into())),
    }
}
