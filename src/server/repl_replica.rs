//! Replication as a replica: the way from REPLICAOF to the live stream (= replication.c).
//!
//! A snapshot is written to a file and verified as it comes; only when all of it is here and sound does the data we
//! hold go, and the file is loaded. Loaded straight from the socket, it is staged beside the old data and takes its
//! place at the end.

use super::client::{Client, ClientId};
use super::loading::{LoadJob, LoadReason};
use super::repl_check::LinkCheck;
use super::repl_master::new_replid;
use super::repl_upstream::Upstream;
use super::{Procedure, Server, logging};
use crate::base::disk::{Disk, DiskFile};
use crate::commands::CommandError;
use crate::commands::ctx::{integer, is_option};
use crate::config::ReplDisklessLoad;
use crate::persist::load::SnapshotInfo;
use crate::persist::rdb::Verifier;
use crate::reactor::{FileId, Interest, Transport};
use crate::replication::backoff::Backoff;
use crate::replication::progress::Done;
use crate::replication::replica::{Framing, Introduction, LinkStage, Step, parse_framing};
use crate::resp::request::Argv;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

/// How much is read from the master at once while the snapshot comes in.
const TRANSFER_CHUNK: usize = 1 << 20;
/// A line of the handshake is never longer.
const LINE_MAX: usize = 8 * 1024;

/// A snapshot that comes in.
struct Transfer {
    framing: Option<Framing>,
    received: u64,
    /// What follows the snapshot's end: the marker, as far as it has come.
    trailer: Vec<u8>,
    destination: Destination,
}

enum Destination {
    /// Nothing has come yet.
    Undecided,
    /// A file, verified on its way.
    Disk { file: DiskFile, path: PathBuf, verifier: Box<Verifier> },
    /// Data beside the data we hold.
    Memory(Box<LoadJob>),
}

/// The link to our master.
pub struct MasterLink {
    /// Where it stands.
    pub stage: LinkStage,
    /// The connection, until it becomes a client that sends the stream.
    connection: Option<(Transport, FileId)>,
    /// The client that sends the stream.
    pub client: Option<ClientId>,
    input: Vec<u8>,
    introduction: Introduction,
    transfer: Option<Transfer>,
    /// The history and offset that the present snapshot begins.
    resync: Option<(String, u64)>,
    /// When anything last came, in seconds since 1970.
    pub last_io_s: i64,
    /// Since when the link is down, in seconds since 1970.
    pub down_since_s: i64,
    /// The master wants to know our offset now.
    pub ack_wanted: bool,
    last_newline_s: i64,
    /// When the last bytes of the stream came, in milliseconds since 1970.
    pub heard_ms: Option<i64>,
    /// Whether the stream is checked, and how far.
    pub check: LinkCheck,
    /// When the next attempt is due.
    pub backoff: Backoff,
    /// Somebody has asked for this master, and no sync has succeeded since: what it sends is what he wants.
    pub is_ordered: bool,
    /// The master offered an empty data set, which was not taken.
    pub refused_empty: bool,
    /// What came of a transaction whose end has not come.
    pub(super) open_transaction: Vec<u8>,
}

impl Default for MasterLink {
    fn default() -> Self {
        MasterLink {
            stage: LinkStage::Connect,
            connection: None,
            client: None,
            input: Vec::new(),
            introduction: Introduction::default(),
            transfer: None,
            resync: None,
            last_io_s: 0,
            down_since_s: 0,
            ack_wanted: false,
            last_newline_s: 0,
            heard_ms: None,
            check: LinkCheck::default(),
            backoff: Backoff::default(),
            is_ordered: false,
            refused_empty: false,
            open_transaction: Vec::new(),
        }
    }
}

impl MasterLink {
    /// What we hold is not what the master thinks it is: all of it must come anew.
    pub fn forget_continuation(&mut self) {
        self.introduction.psync = None;
    }

    /// The history and offset that the snapshot which comes begins, if the master told.
    pub fn resync(&self) -> Option<&(String, u64)> {
        self.resync.as_ref()
    }

    /// The load that goes on straight from the socket, beside the data that is served, if there is any.
    pub fn load_beside(&self) -> Option<&LoadJob> {
        match &self.transfer.as_ref()?.destination {
            Destination::Memory(job) => Some(job),
            _ => None,
        }
    }

    /// Whether the old data is served while the new is loaded.
    ///
    /// Stock does so only if the master is of the history that the data is of, and else answers `-LOADING`. The data
    /// was served before the load began, while the link was down, and is whole until it is replaced, so here it is
    /// served on whatever the history is; who does not want that says `replica-serve-stale-data no`.
    pub fn loads_beside_data(&self) -> bool {
        self.load_beside().is_some_and(|job| job.is_beside_data)
    }

    /// Whether a load straight from the socket goes on and there is nothing to serve meanwhile.
    pub fn loads_alone(&self) -> bool {
        self.load_beside().is_some_and(|job| !job.is_beside_data)
    }

    /// What has come of the snapshot, and of how much; 0: the master has not told.
    pub fn transfer_progress(&self) -> Option<(Done, Done)> {
        let transfer = self.transfer.as_ref()?;
        let bytes = if let Some(Framing::Length(total)) = transfer.framing { total } else { 0 };
        let (keys, announced) = match &transfer.destination {
            Destination::Undecided => (0, 0),
            Destination::Disk { verifier, .. } => (verifier.keys(), verifier.keys_announced()),
            Destination::Memory(job) => (job.keys(), job.progress().1.keys),
        };
        Some((Done { bytes: transfer.received, keys }, Done { bytes, keys: announced }))
    }
}

impl Server {
    /// REPLICAOF host port, REPLICAOF NO ONE.
    pub fn replicaof_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        if self.failover.is_under_way() {
            return Err(CommandError::new("ERR REPLICAOF not allowed while failing over."));
        }
        if is_option(argv.at(1), "NO") && is_option(argv.at(2), "ONE") {
            if self.repl.is_replica() {
                self.replication_unset_master();
                log::info!("MASTER MODE enabled (user request)");
            }
        } else {
            if self.clients.get(id).is_some_and(|client| client.replica.is_some()) {
                return Err(CommandError::new("ERR Command is not valid when client is a replica."));
            }
            let port = integer(argv.at(2)).ok().and_then(|port| u16::try_from(port).ok());
            let Some(port) = port else { return Err(CommandError::new("ERR Invalid master port")) };
            let host = String::from_utf8_lossy(argv.at(1)).into_owned();
            let same = self.repl.master.as_ref().is_some_and(|master| *master == (host.clone(), port));
            if same && !self.repl.link.refused_empty {
                log::info!(
                    "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed."
                );
                if let Some(reply) = self.reply(id) {
                    reply.status("OK Already connected to specified master");
                }
                return Ok(());
            }
            self.replication_set_master(host, port);
            log::info!("REPLICAOF {}:{port} enabled (user request)", String::from_utf8_lossy(argv.at(1)));
        }
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }

    /// Follows this master from now on.
    pub fn replication_set_master(&mut self, host: String, port: u16) {
        self.cancel_link();
        if !self.repl.is_replica() {
            self.begin_upstream();
        }
        self.config.replicaof = Some(crate::config::ReplicaOf { host: host.clone(), port });
        self.repl.master = Some((host, port));
        self.repl.link.down_since_s = self.keys.now / 1000;
        self.note_master_ordered();
        self.disconnect_blocked_clients();
        for replica in self.replicas() {
            self.close_client(replica);
        }
        logging::set_role(logging::Role::Replica);
        // If that cannot be, the log tells.
        let _ = self.follow_oom_score_adj();
        self.update_calm();
        if self.loading.is_none() {
            self.connect_with_master();
        }
    }

    /// Follows nobody any more. The history goes on under a new name; the old one holds up to here.
    pub fn replication_unset_master(&mut self) {
        self.repl.master = None;
        let parted_in_vain = self.end_upstream_unused();
        self.config.replicaof = None;
        self.repl.link.refused_empty = false;
        self.cancel_link();
        let former = std::mem::replace(&mut self.repl.replid, new_replid(&mut self.rng));
        if self.repl.data_is_known {
            self.repl.second_offset = self.repl.log.end() as i64 + 1;
            self.repl.replid2 = if parted_in_vain { self.repl.replid2.clone() } else { former };
        } else {
            self.repl.second_offset = -1;
            self.repl.replid2 = "0".repeat(40);
        }
        self.repl.data_is_known = true;
        self.repl.select_next = true;
        log::info!(
            "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
            self.repl.replid2,
            self.repl.second_offset,
            self.repl.replid
        );
        for replica in self.replicas() {
            self.close_client(replica);
        }
        self.repl.no_replicas_since_s.get_or_insert(self.keys.now / 1000);
        logging::set_role(logging::Role::Master);
        let _ = self.follow_oom_score_adj();
        self.update_calm();
    }

    /// Gives up whatever goes on with the present master.
    fn cancel_link(&mut self) {
        if let Some(id) = self.repl.link.client.take() {
            if let Some(client) = self.clients.get_mut(id) {
                client.session.from_master = false;
            }
            self.close_client(id);
        }
        self.drop_connection();
        if self.loading.as_ref().is_some_and(|job| job.reason == LoadReason::Sync) {
            self.loading = None;
        }
        self.repl.link.stage = LinkStage::Connect;
        self.update_calm();
    }

    fn drop_connection(&mut self) {
        if let Some((mut transport, file)) = self.repl.link.connection.take() {
            transport.shutdown();
            self.event_loop.remove_file(file, &mut transport);
        }
        if let Some(transfer) = self.repl.link.transfer.take() {
            self.discard(transfer);
        }
        self.repl.link.input.clear();
    }

    fn discard(&mut self, transfer: Transfer) {
        if let Destination::Disk { path, .. } = transfer.destination {
            // What is left of it is of no use to anybody.
            let _ = self.disk.remove(&path);
        }
    }

    /// Ends the attempt; cron makes the next one when it is due.
    pub(super) fn link_failed(&mut self, text: &str) {
        log::warn!("{text}");
        self.drop_connection();
        self.repl.link.stage = LinkStage::Connect;
        self.put_off_reconnect();
        self.update_calm();
    }

    /// Begins to connect.
    pub fn connect_with_master(&mut self) {
        let Some((host, port)) = self.repl.master.clone() else { return };
        log::info!("Connecting to MASTER {host}:{port}");
        self.repl.link.last_io_s = self.keys.now / 1000;
        let connected = (host.as_str(), port)
            .to_socket_addrs()
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
            .and_then(|address| self.network.connect(address));
        let registered = connected.and_then(|mut transport| {
            let file = self.event_loop.add_file(&mut transport)?;
            Ok((transport, file))
        });
        match registered {
            Ok((transport, file)) => {
                self.event_loop.create_file_event(file, Interest::Writable, Procedure::SyncWithMaster);
                self.event_loop.create_file_event(file, Interest::Readable, Procedure::SyncWithMaster);
                self.repl.link.connection = Some((transport, file));
                self.repl.link.stage = LinkStage::Connecting;
                log::info!("MASTER <-> REPLICA sync started");
            }
            Err(error) => self.link_failed(&format!("Unable to connect to MASTER: {error}")),
        }
    }

    fn introduction(&self) -> Introduction {
        let config = &self.config;
        let port = if config.replica_announce_port != 0 { config.replica_announce_port } else { config.port };
        Introduction {
            user: config.masteruser.clone(),
            password: config.masterauth.clone(),
            port,
            ip: config.replica_announce_ip.clone(),
            psync: self.continuation(),
            failover: self.failover.asks(),
            run_id: self.run_id.clone(),
        }
    }

    /// The handshake with our master: one step for each event.
    pub(super) fn sync_with_master(&mut self) {
        let Some((transport, file)) = &mut self.repl.link.connection else { return };
        if self.repl.link.stage == LinkStage::Connecting {
            match transport.connect_result() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return self.event_loop.would_block(*file, Interest::Writable);
                }
                Err(error) => return self.link_failed(&format!("Error condition on socket for SYNC: {error}")),
            }
            transport.set_tcp_options(true, self.config.tcp_keepalive);
            let file = *file;
            self.event_loop.delete_file_event(file, Interest::Writable);
            log::info!("Non blocking connect for SYNC fired the event.");
            self.repl.link.introduction = self.introduction();
            let (stage, bytes) = self.repl.link.introduction.begin();
            return self.send_to_master(stage, &bytes);
        }
        if self.read_from_master(64 * 1024).is_none() {
            return;
        }
        while self.repl.link.stage.is_handshake() {
            let Some(line) = self.next_line() else { return };
            self.handshake_step(&line);
        }
        if self.repl.link.stage == LinkStage::Transfer {
            self.take_transfer_bytes();
        }
    }

    fn send_to_master(&mut self, stage: LinkStage, bytes: &[u8]) {
        let Some((transport, _)) = &mut self.repl.link.connection else { return };
        match transport.write(bytes) {
            // A fresh connection takes the few bytes of a handshake whole.
            Ok(count) if count == bytes.len() => self.repl.link.stage = stage,
            Ok(_) => self.link_failed("Error writing to master: the connection took only a part"),
            Err(error) => self.link_failed(&format!("Sending command to master in replication handshake: {error}")),
        }
    }

    /// Reads into the link's input; `None` if nothing came.
    fn read_from_master(&mut self, max: usize) -> Option<()> {
        let link = &mut self.repl.link;
        let (transport, file) = link.connection.as_mut()?;
        link.input.reserve(max);
        let room = link.input.capacity() - link.input.len();
        match transport.read(&mut link.input, room) {
            Ok(0) => {
                let text = match link.stage {
                    LinkStage::Transfer => "I/O error trying to sync with MASTER: connection lost",
                    _ => "Failed to read response from the server: connection closed",
                };
                self.link_failed(text);
                None
            }
            Ok(count) => {
                link.last_io_s = self.keys.now / 1000;
                self.stats.net_repl_input_bytes += count as u64;
                if count < room {
                    self.event_loop.short_read(*file);
                }
                Some(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.event_loop.would_block(*file, Interest::Readable);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => {
                self.link_failed(&format!("I/O error reading from MASTER: {error}"));
                None
            }
        }
    }

    /// A whole line of the input, without its end.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let input = &mut self.repl.link.input;
        let Some(end) = memchr::memchr(b'\n', input) else {
            if input.len() > LINE_MAX {
                self.link_failed("Bad protocol from MASTER: a line without end");
            }
            return None;
        };
        let mut line: Vec<u8> = input.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    fn handshake_step(&mut self, line: &[u8]) {
        let stage = self.repl.link.stage;
        let shown = String::from_utf8_lossy(line).into_owned();
        match stage {
            LinkStage::PingReply if line.starts_with(b"+") => {
                log::info!("Master replied to PING, replication can continue...");
            }
            LinkStage::PortReply | LinkStage::IpReply | LinkStage::CapaReply if line.starts_with(b"-") => {
                log::info!("(Non critical) Master does not understand REPLCONF: {shown}");
            }
            LinkStage::CheckReply => self.note_check_reply(line),
            _ => {}
        }
        let step = self.repl.link.introduction.step(stage, line);
        if stage == LinkStage::PsyncReply && !self.failover_answered(&step, line) {
            return;
        }
        match step {
            Step::Send(LinkStage::PsyncReply, bytes) => {
                self.send_to_master(LinkStage::PsyncReply, &bytes);
                match self.repl.link.connection {
                    Some(_) => self.note_failover_asked(),
                    None => self.failover_write_failed(),
                }
            }
            Step::Send(next, bytes) => self.send_to_master(next, &bytes),
            Step::Wait => {}
            Step::FullResync { replid, offset } => {
                log::info!("Full resync from master: {replid}:{offset}");
                self.begin_transfer(Some((replid, offset)));
            }
            Step::Sync(bytes) => {
                log::info!("Retrying with SYNC...");
                self.send_to_master(LinkStage::Transfer, &bytes);
                self.begin_transfer(None);
            }
            Step::Continue(replid) => self.continue_history(replid),
            Step::Fail(text) => self.link_failed(&text),
        }
    }

    fn begin_transfer(&mut self, resync: Option<(String, u64)>) {
        let link = &mut self.repl.link;
        if link.connection.is_none() {
            return;
        }
        link.resync = resync;
        link.stage = LinkStage::Transfer;
        link.transfer =
            Some(Transfer { framing: None, received: 0, trailer: Vec::new(), destination: Destination::Undecided });
        if let Some((_, file)) = &link.connection {
            self.event_loop.create_file_event(*file, Interest::Readable, Procedure::ReadSyncBulkPayload);
        }
    }

    /// The snapshot comes in.
    pub(super) fn read_sync_bulk_payload(&mut self) {
        self.update_time();
        if self.read_from_master(TRANSFER_CHUNK).is_some() {
            self.take_transfer_bytes();
        }
    }

    /// Works on what has come of the snapshot: first the line that announces it, then its bytes.
    fn take_transfer_bytes(&mut self) {
        while self.repl.link.transfer.as_ref().is_some_and(|transfer| transfer.framing.is_none()) {
            let Some(line) = self.next_line() else { return };
            if line.is_empty() {
                continue;
            }
            match parse_framing(&line) {
                Ok(framing) => {
                    if let Err(error) = self.open_destination(&framing) {
                        return self.link_failed(&format!(
                            "Opening the temp file needed for MASTER <-> REPLICA synchronization: {error}"
                        ));
                    }
                    if let Some(transfer) = &mut self.repl.link.transfer {
                        transfer.framing = Some(framing);
                    }
                }
                Err(text) => return self.link_failed(&text),
            }
        }
        let input = std::mem::take(&mut self.repl.link.input);
        let Some(transfer) = &mut self.repl.link.transfer else { return };
        match transfer.take(&input, &mut self.disk) {
            Ok(None) => {}
            Ok(Some(used)) => {
                self.repl.link.input = input[used..].to_vec();
                return self.transfer_complete();
            }
            Err(text) => {
                return self.link_failed(&format!(
                    "MASTER <-> REPLICA sync: snapshot refused, the data we hold stays: {text}"
                ));
            }
        }
        if self.loading.is_none() {
            self.keep_master_alive();
        }
    }

    fn open_destination(&mut self, framing: &Framing) -> io::Result<()> {
        let to_memory = match self.config.repl_diskless_load {
            ReplDisklessLoad::Disabled => false,
            ReplDisklessLoad::OnEmptyDb => self.keys.total_keys() == 0,
            ReplDisklessLoad::Swapdb => true,
        };
        let total = match framing {
            Framing::Length(total) => *total,
            Framing::Marker(_) => 0,
        };
        let how = if total == 0 { "streamed replication with EOF".into() } else { format!("{total} bytes") };
        let place = if to_memory { "parser" } else { "disk" };
        log::info!("MASTER <-> REPLICA sync: receiving {how} from master to {place}");
        let destination = if to_memory {
            Destination::Memory(self.socket_load(total))
        } else {
            let pid = crate::base::process::pid();
            let path = self.config.dir.join(format!("temp-{}.{pid}.rdb", self.keys.now / 1000));
            let file = self.disk.create_new(&path)?;
            Destination::Disk { file, path, verifier: Box::new(Verifier::new(!self.checks_checksums())) }
        };
        if let Some(transfer) = &mut self.repl.link.transfer {
            transfer.destination = destination;
        }
        Ok(())
    }

    /// All of the snapshot is here.
    fn transfer_complete(&mut self) {
        let Some(transfer) = self.repl.link.transfer.take() else { return };
        if let Some((_, file)) = &self.repl.link.connection {
            // The stream waits in the socket until the snapshot is loaded.
            self.event_loop.delete_file_event(*file, Interest::Readable);
        }
        let keys = match &transfer.destination {
            Destination::Undecided => 0,
            Destination::Disk { verifier, .. } => verifier.keys(),
            Destination::Memory(job) => job.keys(),
        };
        if self.refuses_snapshot(keys) {
            return self.discard(transfer);
        }
        if let Destination::Disk { verifier, .. } = &transfer.destination
            && let Err(text) = self.stage_libraries(verifier.functions())
        {
            self.discard(transfer);
            return self
                .link_failed(&format!("MASTER <-> REPLICA sync: snapshot refused, the data we hold stays: {text}"));
        }
        match transfer.destination {
            Destination::Undecided => self.link_failed("MASTER <-> REPLICA sync: nothing came"),
            Destination::Memory(job) => match self.finish_load(*job) {
                Ok((staged, functions)) => {
                    let info = staged.info.clone();
                    self.take_over(staged, functions);
                    self.sync_loaded(&info);
                }
                Err(text) => self
                    .link_failed(&format!("MASTER <-> REPLICA sync: snapshot refused, the data we hold stays: {text}")),
            },
            Destination::Disk { file, path, .. } => self.load_transferred(file, path),
        }
    }

    /// The file is verified: the old data goes, and the new is loaded in slices.
    fn load_transferred(&mut self, file: DiskFile, path: PathBuf) {
        self.leave_old_history();
        let place = self.rdb_path();
        let saved = self.disk.sync(&file).and_then(|()| {
            // To be read under whatever name: a child of a server that was killed here may still put its own file in
            // that place.
            let file = self.disk.open(&path)?;
            self.disk.rename(&path, &place)?;
            Ok(file)
        });
        let file = match saved {
            Ok(file) => file,
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.disk.remove(&path);
                let place = place.display();
                return self.link_failed(&format!("Failed trying to rename the temp DB into {place}: {error}"));
            }
        };
        log::info!("MASTER <-> REPLICA sync: Flushing old data");
        self.repl.data_is_known = false;
        let empty = (0..self.keys.database_count()).map(|_| Default::default()).collect();
        self.keys.replace_dbs(empty);
        self.scripts.functions.flush();
        log::info!("MASTER <-> REPLICA sync: Loading DB in memory");
        if let Err(error) = self.begin_load(file, &place, LoadReason::Sync) {
            self.link_failed(&format!("Failed trying to load the MASTER synchronization DB: {error}"));
        }
    }

    /// Our replicas are in a history that ends here, and a child that saves it must not put its file in the place of
    /// the one that came.
    fn leave_old_history(&mut self) {
        self.kill_snapshot_child();
        for replica in self.replicas() {
            self.close_client(replica);
        }
    }

    /// The loader found what the verifier could not: the link is tried again.
    pub(super) fn sync_load_failed(&mut self, failure: &str) {
        self.link_failed(&format!("Failed trying to load the MASTER synchronization DB from disk: {failure}"));
    }

    /// The snapshot is loaded: from here on the master's stream is a client that sends commands.
    pub(super) fn sync_loaded(&mut self, info: &SnapshotInfo) {
        let Some((mut transport, file)) = self.repl.link.connection.take() else { return };
        self.event_loop.remove_file(file, &mut transport);
        let (replid, offset) =
            self.repl.link.resync.take().unwrap_or_else(|| (new_replid(&mut self.rng), self.repl.log.end()));
        self.leave_old_history();
        self.disown_writes();
        self.enter_history(Upstream { replid, offset, db: self.stream_db_of(info) });
        self.begin_trust(self.repl.log.end());
        self.repl.bridge.master_rdb_version = Some(info.rdb_version);
        self.repl.data_is_known = true;
        log::info!("MASTER <-> REPLICA sync: Finished with success");
        self.follow_stream(transport);
    }

    /// Partial resynchronization: the stream goes on where we are. The history may have a new name by now; ours holds
    /// up to here.
    fn continue_history(&mut self, replid: Option<String>) {
        if self.continuation().is_none() {
            return self.link_failed("Master continues a history that we did not ask for");
        }
        let Some((mut transport, file)) = self.repl.link.connection.take() else { return };
        self.event_loop.remove_file(file, &mut transport);
        log::info!("Successful partial resynchronization with master.");
        if let Some(replid) = replid
            && replid != self.repl.master_replid()
        {
            log::info!("Master replication ID changed to {replid}");
            self.rename_history(replid);
        }
        log::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
        self.follow_stream(transport);
    }

    /// Makes the link to the master a client that sends the stream.
    fn follow_stream(&mut self, transport: Transport) {
        let rest = std::mem::take(&mut self.repl.link.input);
        let id = match self.create_client(transport) {
            Ok(id) => id,
            Err(error) => return self.link_failed(&format!("Registering the master's connection: {error}")),
        };
        let db = self.repl.master_db();
        if let Some(client) = self.clients.get_mut(id) {
            client.session.from_master = true;
            client.session.db = db;
            client.authenticated = true;
            client.access = super::client::Access::Everything;
            client.input = rest;
        }
        self.repl.link.client = Some(id);
        self.repl.link.stage = LinkStage::Connected;
        self.repl.link.open_transaction.clear();
        self.repl.link.heard_ms = Some(self.keys.now);
        self.note_link_up();
        self.begin_stream_check();
        self.update_calm();
        // A diskless master sends the stream only after our first acknowledgement.
        self.send_ack();
        self.run_waiting_input(id);
    }

    /// Tells the master that we are alive while we cannot answer.
    pub(super) fn keep_master_alive(&mut self) {
        let now_s = self.keys.now / 1000;
        if now_s == self.repl.link.last_newline_s {
            return;
        }
        self.repl.link.last_newline_s = now_s;
        if let Some((transport, _)) = &mut self.repl.link.connection {
            // If it cannot be written now, the next second tries again.
            let _ = transport.write(b"\n");
        }
    }

    /// The client that was our master is gone.
    pub(super) fn master_client_lost(&mut self, id: ClientId) {
        if self.repl.link.client != Some(id) {
            return;
        }
        log::warn!("Connection with master lost.");
        self.repl.link.client = None;
        self.repl.link.stage = LinkStage::Connect;
        self.repl.link.down_since_s = self.keys.now / 1000;
        self.update_calm();
        if self.repl.is_replica() {
            log::info!("Reconnecting to MASTER after the link was lost");
            self.connect_with_master();
        }
    }

    /// The part of replication's second that a replica has.
    pub(super) fn replication_cron(&mut self) {
        if self.repl.is_replica() {
            self.replica_cron();
        }
        self.master_cron();
    }

    fn replica_cron(&mut self) {
        let now_s = self.keys.now / 1000;
        let timeout = i64::from(self.config.repl_timeout);
        let silent = now_s - self.repl.link.last_io_s > timeout;
        match self.repl.link.stage {
            LinkStage::Connect => {}
            LinkStage::Connected => {
                let heard_ms = self.master_client().map_or(0, |client| client.last_active_ms);
                if now_s - heard_ms / 1000 > timeout {
                    log::warn!("MASTER timeout: no data nor PING received...");
                    if let Some(id) = self.repl.link.client {
                        self.close_client(id);
                    }
                } else {
                    self.send_ack();
                    self.send_stream_sum();
                }
            }
            LinkStage::Transfer if silent && self.loading.is_none() => {
                self.link_failed("Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value.");
            }
            _ if silent && self.loading.is_none() => self.link_failed("Timeout connecting to the MASTER..."),
            _ => {}
        }
    }

    /// The client that sends our master's stream.
    pub fn master_client(&self) -> Option<&Client> {
        self.clients.get(self.repl.link.client?)
    }
}

impl Transfer {
    /// Takes bytes in. Returns how many belong to the snapshot once it is complete, `None` while more must come.
    fn take(&mut self, bytes: &[u8], disk: &mut Disk) -> Result<Option<usize>, String> {
        let ours = match self.framing {
            Some(Framing::Length(total)) => bytes.len().min((total - self.received) as usize),
            _ => bytes.len(),
        };
        let mut used = 0;
        if !self.is_done() {
            used = self.feed(&bytes[..ours], disk)?;
        }
        let (complete, taken) = match &self.framing {
            Some(Framing::Length(total)) => {
                self.received += ours as u64;
                (self.received == *total, ours)
            }
            Some(Framing::Marker(marker)) => {
                let wanted = if self.is_done() { marker.len() - self.trailer.len() } else { 0 };
                let part = &bytes[used..used + wanted.min(bytes.len() - used)];
                self.trailer.extend_from_slice(part);
                if !marker.starts_with(&self.trailer) {
                    return Err("the snapshot does not end with the marker that was announced".into());
                }
                self.received += (used + part.len()) as u64;
                (self.trailer.len() == marker.len(), used + part.len())
            }
            None => (false, 0),
        };
        if complete && !self.is_done() {
            return Err("the snapshot ends before its end".into());
        }
        Ok(complete.then_some(taken))
    }

    fn is_done(&self) -> bool {
        match &self.destination {
            Destination::Undecided => false,
            Destination::Disk { verifier, .. } => verifier.done(),
            Destination::Memory(job) => job.is_done(),
        }
    }

    /// Hands bytes to the destination; returns how many of them the snapshot had.
    fn feed(&mut self, bytes: &[u8], disk: &mut Disk) -> Result<usize, String> {
        match &mut self.destination {
            Destination::Undecided => Ok(0),
            Destination::Memory(job) => job.feed(bytes).map_err(|error| error.to_string()),
            Destination::Disk { file, verifier, .. } => {
                let used = verifier.feed(bytes).map_err(|error| error.to_string())?;
                disk.write_all(file, &bytes[..used]).map_err(|error| format!("writing the temp file: {error}"))?;
                Ok(used)
            }
        }
    }
}
