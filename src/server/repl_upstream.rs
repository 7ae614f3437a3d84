//! Where we stand in our master's history, and which history is ours.
//!
//! ```text
//! a plain replica      master ══ history M ══▶ replica ══ history M ══▶ its replicas     the same bytes at the same offsets
//! replication-bridge   master ══ history M ══▶ bridge  ══ history B ══▶ its replicas     B: what the bridge itself propagates
//! ```
//!
//! A plain replica passes its master's bytes on, so its log is its master's. A bridge speaks to replicas that may not
//! understand its master, so other bytes than the master's go into its one log, and these are a history of its own: its own
//! name, its own offsets, its own PINGs. Every rule of the log holds for it unchanged, and its replicas continue after a cut
//! as they do anywhere. Beside it the bridge notes how far it has come in its master's history (`Upstream`): that is what it
//! acknowledges, asks to go on from, and shows as `slave_repl_offset`.
//!
//! The bytes of a bridge's history cannot be made a second time (its PINGs, and what stands for a command that was
//! translated, depend on the moment). So a bridge that starts from a file goes on under a new name, and vouches for the old
//! one up to the offset of the file, as a master does; whoever has come further does a full sync.
//!
//! Ancestor: none.

use super::repl_master::new_replid;
use super::{ClientId, Server};
use crate::persist::load::SnapshotInfo;
use crate::replication::dialect::Dialect;
use crate::resp::reply::encode_command;

/// A place in our master's history, where that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The name of the history.
    pub replid: String,
    /// How much of it we have applied.
    pub offset: u64,
    /// The database that its stream has selected there.
    pub db: usize,
}

impl Upstream {
    /// The fields that say it in the header of a snapshot.
    pub fn aux(&self) -> [(Vec<u8>, Vec<u8>); 3] {
        let field = |name: &str, value: String| (name.into(), value.into_bytes());
        [
            field("upstream-repl-id", self.replid.clone()),
            field("upstream-repl-offset", self.offset.to_string()),
            field("upstream-stream-db", self.db.to_string()),
        ]
    }

    fn of(info: &SnapshotInfo, databases: usize) -> Option<Upstream> {
        let replid = info.upstream_repl_id.clone().filter(|replid| replid.len() == 40)?;
        let offset = u64::try_from(info.upstream_repl_offset?).ok()?;
        let db = info.upstream_stream_db.and_then(|db| usize::try_from(db).ok());
        Some(Upstream { replid, offset, db: db.filter(|&db| db < databases).unwrap_or(0) })
    }
}

/// What a bridge has beyond other nodes.
#[derive(Debug, Default)]
pub struct Bridge {
    /// `replication-bridge yes`.
    pub is_on: bool,
    /// Where we stand in our master's history; none while we are no replica, or hold nothing of it.
    pub upstream: Option<Upstream>,
    /// The version of RDB that our master writes, if we have had a snapshot of it, bridge or not.
    pub master_rdb_version: Option<u16>,
    /// What the replicas of this history understand; none before there was one.
    pub dialect: Option<Dialect>,
    /// Whether somebody told that there are replicas of this dialect; else we have concluded it.
    pub dialect_is_told: bool,
    /// From where on the log is said so.
    pub spoken_from: u64,
    /// How often other commands were said than came.
    pub rewritten: u64,
    /// How often something was left out then.
    pub degraded: u64,
    /// Histories that had to be begun, each of which costs our replicas a full sync.
    pub histories: u64,
}

impl Bridge {
    /// The fields of a snapshot's header that say what a stock server has no need to know.
    pub fn aux(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut aux: Vec<_> = self.upstream.iter().flat_map(Upstream::aux).collect();
        let master_wrote = self.master_rdb_version.map(|version| version.to_string().into_bytes());
        aux.extend(master_wrote.map(|version| (b"upstream-rdb-version".to_vec(), version)));
        aux.extend(self.dialect.map(|dialect| (b"bridge-dialect".to_vec(), dialect.to_string().into_bytes())));
        aux
    }
}

impl super::repl_master::Repl {
    /// Whether we follow a master and keep a history of our own.
    pub fn is_bridging(&self) -> bool {
        self.bridge.is_on && self.is_replica()
    }

    /// Whether what is in the log is what we propagate ourselves.
    #[inline]
    pub fn writes_stream(&self) -> bool {
        !self.is_replica() || self.bridge.is_on
    }

    /// How much of our master's history we have applied.
    pub fn applied_offset(&self) -> u64 {
        self.bridge.upstream.as_ref().map_or(self.log.end(), |upstream| upstream.offset)
    }

    /// The name of our master's history as far as we have come in it; our own if we know none.
    pub fn master_replid(&self) -> &str {
        self.bridge.upstream.as_ref().map_or(&self.replid, |upstream| &upstream.replid)
    }

    /// The database that our master's stream has selected.
    pub fn master_db(&self) -> usize {
        self.bridge.upstream.as_ref().map_or(self.stream_db, |upstream| upstream.db)
    }
}

impl Server {
    /// The history we are in and the first offset that we lack, if what we hold is exactly that history up to there.
    pub(super) fn continuation(&self) -> Option<(String, u64)> {
        let repl = &self.repl;
        let is_placed = !repl.is_bridging() || repl.bridge.upstream.is_some();
        let known = repl.log.is_active() && repl.data_is_known && is_placed;
        known.then(|| (repl.master_replid().to_string(), repl.applied_offset() + 1))
    }

    /// A snapshot of our master's is loaded: what we hold is that history up to there, whatever it was before.
    pub(super) fn enter_history(&mut self, place: Upstream) {
        let repl = &mut self.repl;
        if repl.bridge.is_on {
            repl.bridge.upstream = Some(place);
            self.begin_own_history();
        } else {
            repl.replid = place.replid;
            repl.log.reset(place.offset);
            repl.stream_db = place.db;
            repl.replid2 = "0".repeat(40);
            repl.second_offset = -1;
        }
        self.repl.log.activate();
    }

    /// A history of our own that has nothing in common with any other.
    pub(super) fn begin_own_history(&mut self) {
        let repl = &mut self.repl;
        repl.replid = new_replid(&mut self.rng);
        repl.replid2 = "0".repeat(40);
        repl.second_offset = -1;
        repl.log.reset(repl.log.end());
        repl.select_next = true;
        repl.bridge.histories += 1;
        repl.bridge.dialect = None;
        log::info!("This bridge begins the history {} at offset {}.", repl.replid, repl.log.end());
    }

    /// Our master's history goes on under another name; where it is ours, too, the old name holds up to here.
    pub(super) fn rename_history(&mut self, replid: String) {
        let repl = &mut self.repl;
        if let Some(upstream) = &mut repl.bridge.upstream {
            upstream.replid = replid;
            return;
        }
        repl.replid2 = std::mem::replace(&mut repl.replid, replid);
        repl.second_offset = repl.log.end() as i64 + 1;
        // Our own replicas must learn the new name; they continue, too.
        for replica in self.replicas() {
            self.close_client(replica);
        }
    }

    /// A bridge comes to be a replica, or a replica a bridge: the history so far is the master's, and ours parts from it
    /// here. Our replicas continue under the new name.
    pub(super) fn begin_upstream(&mut self) {
        let repl = &mut self.repl;
        if !repl.bridge.is_on || !repl.log.is_active() || !repl.data_is_known {
            return;
        }
        let replid = std::mem::replace(&mut repl.replid, new_replid(&mut self.rng));
        repl.replid2 = replid.clone();
        repl.second_offset = repl.log.end() as i64 + 1;
        repl.bridge.upstream = Some(Upstream { replid, offset: repl.log.end(), db: repl.stream_db });
        repl.select_next = true;
        log::info!("This bridge parts from the history {} at offset {}.", repl.replid2, repl.log.end());
        log::info!("Its own history is {}.", repl.replid);
    }

    /// We follow nobody any more. Whether nothing has come of it that we did: then it is the history that we parted from
    /// which our replicas know.
    pub(super) fn end_upstream_unused(&mut self) -> bool {
        let repl = &mut self.repl;
        let end = repl.log.end();
        let upstream = repl.bridge.upstream.take();
        upstream.is_some_and(|upstream| {
            (&upstream.replid, upstream.offset) == (&repl.replid2, end) && repl.second_offset == end as i64 + 1
        })
    }

    /// A bridge comes to be a plain replica: its master's history is its own from here on.
    fn end_upstream(&mut self) {
        let Some(upstream) = self.repl.bridge.upstream.take() else { return };
        self.kill_replicas_snapshot();
        self.disown_writes();
        self.enter_history(upstream);
    }

    /// `replication-bridge` may have changed.
    pub(super) fn follow_bridge_setting(&mut self) {
        let is_on = self.config.replication_bridge;
        if is_on == self.repl.bridge.is_on {
            return;
        }
        self.repl.bridge.is_on = is_on;
        self.repl.bridge.dialect = None;
        if is_on {
            self.speak_to_attached();
        }
        if !self.repl.is_replica() {
            return;
        }
        if is_on {
            self.begin_upstream()
        } else {
            self.end_upstream()
        }
        self.begin_stream_check();
        for replica in self.replicas() {
            self.close_client(replica);
        }
    }

    /// Nobody must join a snapshot that was begun in a history which is left.
    pub(super) fn kill_replicas_snapshot(&mut self) {
        if self.snapshot.child.as_ref().is_some_and(|child| child.target.is_for_replicas()) {
            self.kill_snapshot_child();
        }
    }

    /// After a start from a snapshot: what we hold is that history up to its offset. A replica asks its master to go on
    /// from there; who has a history of his own begins it, and vouches for the old one up to there, never beyond.
    pub(super) fn restore_history(&mut self, info: &SnapshotInfo) {
        let (Some(replid), Some(offset)) = (&info.repl_id, info.repl_offset) else { return };
        let Ok(offset) = u64::try_from(offset) else { return };
        if replid.len() != 40 {
            return;
        }
        let db = self.stream_db_of(info);
        let repl = &mut self.repl;
        repl.bridge.master_rdb_version = info.upstream_rdb_version;
        repl.log.reset(offset);
        repl.log.activate();
        repl.stream_db = db;
        if !repl.writes_stream() {
            repl.replid = replid.clone();
        } else {
            repl.replid2 = replid.clone();
            repl.second_offset = offset as i64 + 1;
            repl.no_replicas_since_s = Some(self.keys.now / 1000);
        }
        log::info!("The snapshot holds the history {replid} up to offset {offset}.");
        if repl.bridge.is_on {
            repl.bridge.dialect = info.bridge_dialect.as_deref().and_then(Dialect::parse);
            repl.bridge.spoken_from = offset;
        }
        if repl.is_bridging() {
            let theirs = Upstream::of(info, self.keys.database_count());
            let theirs = theirs.unwrap_or_else(|| Upstream { replid: replid.clone(), offset, db });
            log::info!("It holds the master's history {} up to offset {}.", theirs.replid, theirs.offset);
            repl.bridge.upstream = Some(theirs);
        }
    }

    /// The database that the stream had selected when the snapshot was made. A master that is a replica itself passes
    /// its own master's stream on and cannot put a SELECT into it.
    pub(super) fn stream_db_of(&self, info: &SnapshotInfo) -> usize {
        let db = info.repl_stream_db.and_then(|db| usize::try_from(db).ok());
        db.filter(|&db| db < self.keys.database_count()).unwrap_or(0)
    }

    /// Bytes of the master's stream were applied: they are our stream too, unless we write one ourselves.
    pub(super) fn applied_from_master(&mut self, id: ClientId, bytes: &[u8]) {
        if self.repl.link.client == Some(id) {
            // A transaction whose end has not come is not applied, so it does not count yet: if the link is cut now,
            // it must come again as a whole.
            let client = self.clients.get(id);
            let is_open = client.is_some_and(|client| client.multi.is_some());
            let db = client.map(|client| client.session.db);
            let link = &mut self.repl.link;
            link.heard_ms = Some(self.keys.now);
            if is_open {
                link.open_transaction.extend_from_slice(bytes);
            } else if link.open_transaction.is_empty() {
                self.came_along(bytes, db);
            } else {
                link.open_transaction.extend_from_slice(bytes);
                let whole = std::mem::take(&mut link.open_transaction);
                self.came_along(&whole, db);
            }
        }
        if std::mem::take(&mut self.repl.link.ack_wanted) {
            self.send_ack();
        }
    }

    /// We have come so far in our master's history, and its stream has selected this database.
    fn came_along(&mut self, bytes: &[u8], db: Option<usize>) {
        let repl = &mut self.repl;
        match &mut repl.bridge.upstream {
            Some(upstream) => {
                upstream.offset += bytes.len() as u64;
                upstream.db = db.unwrap_or(upstream.db);
            }
            None => {
                repl.log.append(bytes);
                repl.stream_db = db.unwrap_or(repl.stream_db);
            }
        }
    }

    /// Tells the master how far we have come.
    pub fn send_ack(&mut self) {
        let offset = self.repl.applied_offset().to_string();
        let Some(id) = self.repl.link.client else { return };
        let Some(client) = self.clients.get_mut(id) else { return };
        encode_command(&mut client.reply.out, [b"REPLCONF".as_slice(), b"ACK", offset.as_bytes()].into_iter());
        if !client.pending_write {
            client.pending_write = true;
            self.pending_writes.push(id);
        }
    }
}
