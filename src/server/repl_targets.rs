//! For whom a snapshot is written: which version a replica is sent, and what becomes of data that it cannot hold.
//!
//! Without ancestor: stock servers write their own version for everybody. Valkey tells its version (`REPLCONF version`);
//! of all others nothing is known, so they get the lowest version that can carry the data, unless `repl-rdb-version` or
//! `repl-rdb-version-for` says better. Replicas that are to be sent different snapshots get one after the other.

use super::Server;
use super::client::{Client, ClientId};
use super::repl_master::replica_name;
use crate::commands::CommandError;
use crate::config::ReplIncompatibleData;
use crate::persist::losses::{Losses, lowest_target};
use crate::persist::rdb::Target;
use crate::replication::master::Parts;
use std::collections::BTreeMap;

/// The first release of Valkey that reads its own versions.
const VALKEY_WITH_OWN_VERSIONS: u32 = 9;
/// A replica that comes again and again is told of in the log so often, in seconds.
const TOLD_AGAIN_S: i64 = 60;
/// Of more replicas than these nobody remembers who was told of.
const TOLD_MAX: usize = 1000;

/// What a snapshot is to hold, and for whom it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What it holds.
    pub parts: Parts,
    /// Who is to read it; none: the oldest that can hold all.
    pub target: Option<Target>,
}

impl Wish {
    /// All of the data, as our own file has it.
    pub const ALL: Wish = Wish { parts: Parts::ALL, target: None };
}

/// What became of replicas that cannot hold all of the data.
#[derive(Debug, Default)]
pub struct Translation {
    /// Syncs that were refused.
    pub refused_syncs: u64,
    /// Syncs in which something was left out.
    pub degraded_syncs: u64,
    /// Keys and libraries that came to a replica without what it cannot hold, or not at all.
    pub degraded_items: u64,
    /// When the log last told of which replica, in seconds since 1970.
    told: BTreeMap<String, i64>,
}

impl Translation {
    /// Whether the log is to tell that a replica is refused.
    pub(super) fn is_to_be_told(&mut self, name: &str, now_s: i64) -> bool {
        if self.told.get(name).is_some_and(|&at| now_s - at < TOLD_AGAIN_S) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(name.into(), now_s);
        true
    }
}

impl Server {
    /// For whom a snapshot is written that this client is to be sent.
    pub(super) fn target_for(&self, client: &Client) -> Target {
        if let Some(version) = self.rdb_version_told(client) {
            return Target::of_version(version);
        }
        let lowest = lowest_target(&self.keys);
        match client.introduction.valkey_major {
            None => lowest,
            Some(_) if lowest == Target::OLDEST => lowest,
            Some(VALKEY_WITH_OWN_VERSIONS..) => Target::VALKEY,
            Some(_) => Target::OLDEST,
        }
    }

    /// The version that the operator asks for.
    pub(super) fn rdb_version_told(&self, client: &Client) -> Option<u16> {
        let config = &self.config;
        if config.repl_rdb_version_for.is_empty() {
            return config.repl_rdb_version;
        }
        let seen = || client.transport.peer_ip().map(|ip| ip.to_canonical().to_string());
        let host = client.introduction.ip_address.clone().or_else(seen).unwrap_or_default();
        let place = format!("{host}:{}", client.introduction.listening_port);
        let told = config.repl_rdb_version_for.get(&place).or_else(|| config.repl_rdb_version_for.get(&host));
        told.copied().or(config.repl_rdb_version)
    }

    /// What a replica is to be sent, as things are.
    pub(super) fn wish_of(&self, id: ClientId) -> Wish {
        let Some(client) = self.clients.get(id) else { return Wish::ALL };
        let parts = client.replica.as_ref().map_or(client.introduction.parts, |replica| replica.parts);
        Wish { parts, target: Some(self.target_for(client)) }
    }

    /// Whether this snapshot is another than our own file would be, which it must not become then.
    pub(super) fn is_apart(&self, wish: Wish) -> bool {
        wish.parts != Parts::ALL || wish.target.is_some_and(|target| target != lowest_target(&self.keys))
    }

    fn losses_of(&self, wish: Wish) -> Losses {
        let target = wish.target.unwrap_or_else(|| lowest_target(&self.keys));
        let losses = Losses::of(&self.keys, self.scripts.functions.libraries().count(), target);
        if wish.parts.keys { losses } else { Losses { functions: losses.functions, ..Losses::default() } }
    }

    /// The error for a client that wants to sync and could not hold all of the data, if that is refused.
    pub(super) fn check_losses(&mut self, id: ClientId) -> Result<(), CommandError> {
        let wish = self.wish_of(id);
        let capa_eof = self.clients.get(id).is_some_and(|client| client.introduction.capa_eof);
        if self.is_apart(wish) && !capa_eof {
            // It must not go through the file, lest it be taken for our own.
            return Err(CommandError::new(
                "NOMASTERLINK Can't SYNC: a snapshot of another RDB version requires EOF capability",
            ));
        }
        if self.config.repl_incompatible_data == ReplIncompatibleData::Degrade {
            return Ok(());
        }
        let losses = self.losses_of(wish);
        if losses.count() == 0 { Ok(()) } else { Err(self.refuse_sync(id, wish, &losses)) }
    }

    fn refuse_sync(&mut self, id: ClientId, wish: Wish, losses: &Losses) -> CommandError {
        let version = wish.target.unwrap_or(Target::OLDEST).version;
        let name = self.clients.get(id).map(replica_name).unwrap_or_default();
        self.repl.translation.refused_syncs += 1;
        if self.repl.translation.is_to_be_told(&name, self.keys.now / 1000) {
            log::warn!(
                "Replica {name} can't be synced: RDB version {version} can't hold {losses}. See repl-rdb-version and repl-incompatible-data."
            );
        }
        // At any other error stock replicas ask again at once and without end, by SYNC in turn.
        CommandError::new(format!("NOMASTERLINK Can't SYNC: RDB version {version} can't hold {losses}"))
    }

    /// Before a snapshot is begun for these replicas: notes what will be missing in it, or sends them away; true if
    /// the snapshot may begin.
    pub(super) fn accept_losses(&mut self, waiting: &[ClientId], wish: Wish) -> bool {
        let losses = self.losses_of(wish);
        if losses.count() == 0 {
            return true;
        }
        if self.config.repl_incompatible_data == ReplIncompatibleData::Degrade {
            let version = wish.target.unwrap_or(Target::OLDEST).version;
            log::warn!("The snapshot of RDB version {version} that begins lacks what that can't hold: {losses}");
            let translation = &mut self.repl.translation;
            translation.degraded_syncs += waiting.len() as u64;
            translation.degraded_items += waiting.len() as u64 * losses.count();
            return true;
        }
        for &id in waiting {
            let error = self.refuse_sync(id, wish, &losses);
            let Some(client) = self.clients.get_mut(id) else { continue };
            client.replica = None;
            client.reply.error(&error.0);
            client.close_after_reply = true;
            let session = client.session.id;
            self.forget_replica(session);
            self.after_commands(id);
        }
        false
    }

    /// `REPLCONF version`, which Valkey sends since version 8.
    pub(super) fn note_valkey_version(&mut self, id: ClientId, value: &[u8]) {
        let major = value.split(|&byte| byte == b'.').next().and_then(crate::base::numbers::parse_u64);
        if let Some(client) = self.clients.get_mut(id) {
            client.introduction.valkey_major = major.and_then(|major| u32::try_from(major).ok());
        }
    }
}
