//! A bridge speaks to its replicas in the dialect of the oldest of them.
//!
//! The dialect belongs to the history: it is agreed on when the history gets its first replica, and from there on all that
//! goes into the log is said in it. Who understands more joins; for who understands less a new history is begun, and the
//! others come back for a full sync. What the dialect has no words for is left out where the operator allows that
//! (`repl-incompatible-data degrade`) and says what the replicas are; else the replicas are dropped, and what becomes of
//! them is decided as for any full sync.
//!
//! Ancestor: none.

use super::client::{Client, ClientId};
use super::repl_translate::{Spoken, Translator};
use super::{Server, repl_master};
use crate::commands::CommandError;
use crate::config::ReplIncompatibleData;
use crate::replication::dialect::Dialect;

/// The release of Valkey that came with fields that expire.
const VALKEY_WITH_FIELD_EXPIRY: u32 = 9;

impl Server {
    /// The dialect of a replica whose version is told, by itself or by the operator.
    fn dialect_told(&self, client: &Client) -> Option<Dialect> {
        let introduction = &client.introduction;
        if let Some(version) = self.rdb_version_told(client) {
            return Some(Dialect::of_rdb_version(version));
        }
        match introduction.valkey_major {
            Some(VALKEY_WITH_FIELD_EXPIRY..) => Some(Dialect::FULL),
            Some(_) => Some(Dialect::of_rdb_version(11)),
            None if introduction.run_id.is_some() => Some(Dialect::FULL),
            None => None,
        }
    }

    /// The dialect of a replica: of who tells nothing we know that it can read what it is sent.
    fn dialect_of(&self, client: &Client) -> Dialect {
        self.dialect_told(client).unwrap_or_else(|| Dialect::of_rdb_version(self.target_for(client).version))
    }

    /// A replica comes for a full sync: it is to understand what follows.
    pub(super) fn agree_on_dialect(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id).filter(|client| !client.introduction.rdb_only) else { return };
        if !self.repl.bridge.is_on {
            return;
        }
        let (told, name) = (self.dialect_told(client), repl_master::replica_name(client));
        let theirs = self.dialect_of(client);
        match self.repl.bridge.dialect {
            Some(ours) if theirs >= ours => {
                self.repl.bridge.dialect_is_told |= told == Some(ours);
                return;
            }
            Some(ours) => self.part_from_replicas(&format!("Replica {name} understands {theirs}, not {ours}")),
            None => {}
        }
        self.speak(theirs, told.is_some());
    }

    /// Whether a replica that would continue from `position` understands what it lacks and what will follow.
    pub(super) fn may_continue_in_dialect(&mut self, id: ClientId, position: u64) -> bool {
        let Some(client) = self.clients.get(id).filter(|_| self.repl.bridge.is_on) else { return true };
        let (told, name) = (self.dialect_told(client), repl_master::replica_name(client));
        let (theirs, end) = (self.dialect_of(client), self.repl.log.end());
        match self.repl.bridge.dialect {
            Some(ours) if told.is_some_and(|theirs| theirs < ours) => {
                self.part_from_replicas(&format!("Replica {name} understands {theirs}, not {ours}"));
                false
            }
            Some(ours) => {
                self.repl.bridge.dialect_is_told |= told == Some(ours);
                position >= self.repl.bridge.spoken_from
            }
            None if position == end => {
                self.speak(theirs, told.is_some());
                true
            }
            None => false,
        }
    }

    /// A plain replica passes its master's bytes on. The error for a replica of which it is told that it is older than the
    /// master, and so would sooner or later not understand them.
    pub(super) fn check_if_bridge_is_needed(&mut self, id: ClientId) -> Result<(), CommandError> {
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        let told = match client.introduction.valkey_major {
            _ if !self.repl.is_replica() || self.repl.bridge.is_on || client.introduction.rdb_only => None,
            Some(major) if self.rdb_version_told(client).is_none() => (major < VALKEY_WITH_FIELD_EXPIRY).then_some(11),
            _ => self.rdb_version_told(client),
        };
        let (Some(told), Some(version)) = (told, self.repl.bridge.master_rdb_version) else { return Ok(()) };
        if Dialect::of_rdb_version(told) >= Dialect::of_rdb_version(version) {
            return Ok(());
        }
        let name = repl_master::replica_name(client);
        let why = format!("it reads RDB version {told}, my master writes {version}, and replication-bridge is off");
        self.repl.translation.refused_syncs += 1;
        if self.repl.translation.is_to_be_told(&name, self.keys.now / 1000) {
            log::warn!("Replica {name} can't follow my master's stream: {why}. See replication-bridge.");
        }
        Err(CommandError::new(format!("NOMASTERLINK Can't SYNC: {why}")))
    }

    /// All that is appended from here on is said so.
    fn speak(&mut self, dialect: Dialect, is_told: bool) {
        let bridge = &mut self.repl.bridge;
        bridge.dialect = Some(dialect);
        bridge.dialect_is_told = is_told;
        bridge.spoken_from = self.repl.log.end();
        log::info!("This bridge speaks {dialect} from offset {} on.", bridge.spoken_from);
    }

    /// Where a node comes to be a bridge, its replicas go on with it.
    pub(super) fn speak_to_attached(&mut self) {
        let attached = self.replicas();
        let attached = attached.iter().filter_map(|id| self.clients.get(*id));
        let lowest = attached.map(|client| self.dialect_of(client)).min();
        self.repl.bridge.dialect = lowest;
        self.repl.bridge.dialect_is_told = false;
        self.repl.bridge.spoken_from = 0;
    }

    /// What is known of the replicas may have changed.
    pub(super) fn check_dialect(&mut self) {
        let Some(ours) = self.repl.bridge.dialect else { return };
        let attached = self.replicas();
        let attached = attached.iter().filter_map(|id| self.clients.get(*id));
        if let Some(theirs) = attached.filter_map(|client| self.dialect_told(client)).min().filter(|told| *told < ours)
        {
            self.part_from_replicas(&format!("Replicas understand {theirs}, not {ours}"));
        }
    }

    /// A history that has nothing to do with what was said so far; our replicas come back for a full sync.
    fn part_from_replicas(&mut self, reason: &str) {
        log::warn!("{reason}: a new history begins, and all replicas must do a full sync.");
        self.kill_replicas_snapshot();
        for replica in self.replicas() {
            self.close_client(replica);
        }
        self.begin_own_history();
    }

    /// Whether it is accepted that replicas do not get what they cannot hold.
    fn may_degrade(&self) -> bool {
        let is_told = |client: &Client| {
            let old_valkey = client.introduction.valkey_major.is_some_and(|major| major < VALKEY_WITH_FIELD_EXPIRY);
            old_valkey || self.rdb_version_told(client).is_some()
        };
        // A replica that is cut off at the moment is there all the same.
        self.config.repl_incompatible_data == ReplIncompatibleData::Degrade
            && (self.repl.bridge.dialect_is_told
                || self.replicas().iter().filter_map(|id| self.clients.get(*id)).any(is_told))
    }

    /// Hands changes on in words that the replicas know.
    #[cold]
    pub(super) fn propagate_translated(&mut self, dialect: Dialect, db: usize, bytes: &[u8], count: usize) {
        let translator = Translator {
            table: &self.table,
            keys: &self.keys,
            functions: &self.scripts.functions,
            dialect,
            compress: self.config.rdbcompression,
        };
        let Spoken::Otherwise(sentence) = translator.translate(db, bytes) else {
            return self.hand_on(db, bytes, count);
        };
        self.repl.bridge.rewritten += 1;
        if let Some(lost) = &sentence.lost {
            if !self.may_degrade() {
                return self.part_from_replicas(&format!(
                    "Its replicas cannot be told in {dialect} {lost} (see repl-incompatible-data)"
                ));
            }
            self.repl.bridge.degraded += 1;
        }
        for (db, bytes, count) in sentence.parts {
            self.hand_on(db, &bytes, count);
        }
    }

    /// The name of the dialect for INFO.
    pub fn dialect_name(&self) -> String {
        self.repl.bridge.dialect.map(|dialect| dialect.to_string()).unwrap_or_default()
    }
}
