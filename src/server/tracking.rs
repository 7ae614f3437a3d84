//! Client-side caching: who keeps copies of which keys, and how they learn that those are stale (= tracking.c).
//!
//! A client tracks in one of two ways. By default the server remembers which keys it has read, and tells it once when
//! one of them changes. With BCAST it remembers nothing, and the client hears of every change of keys that begin with
//! its prefixes, gathered until the loop sleeps. What is told to the client whose command runs comes after its reply.
//!
//! Nothing is done as long as nobody tracks: neither does the keyspace note what changes, nor does `call` look on.

mod table;

use super::{ClientId, Server};
use crate::commands::command::{flag, key};
use crate::commands::keys_of::{Described, each_key};
use crate::keyspace::Modified;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;
use std::collections::BTreeMap;
use table::TrackingTable;

/// Where clients of RESP2 that others redirect to them hear of stale keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Which of the keys that it reads a client's tracking is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// All of them.
    #[default]
    All,
    /// Those that are read right after CLIENT CACHING YES.
    OptIn,
    /// All but those that are read right after CLIENT CACHING NO.
    OptOut,
}

/// The tracking of one client.
#[derive(Clone, Debug, Default)]
pub struct ClientTracking {
    /// It hears of all keys with its prefixes, whether it has read them or not.
    pub is_broadcast: bool,
    /// Which keys it is about.
    pub choice: Choice,
    /// It does not hear of changes of its own making.
    pub no_loop: bool,
    /// CLIENT CACHING has said something about the next command.
    pub caching: bool,
    /// Who is told in its place.
    pub redirect: Option<ClientId>,
    /// That client is gone.
    pub is_redirect_broken: bool,
    /// The prefixes of BCAST, in their order.
    pub prefixes: Vec<Vec<u8>>,
}

/// A prefix that clients listen to.
#[derive(Debug, Default)]
struct Prefix {
    clients: Vec<ClientId>,
    /// The keys that have changed since clients were told, each with the client that changed it first.
    keys: BTreeMap<Vec<u8>, Option<ClientId>>,
}

/// All tracking.
#[derive(Default)]
pub struct Tracking {
    clients: usize,
    table: TrackingTable,
    prefixes: BTreeMap<Vec<u8>, Prefix>,
}

impl Tracking {
    /// Whether any client tracks.
    pub fn is_on(&self) -> bool {
        self.clients > 0
    }

    /// How many clients track.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// How many keys are remembered to have been read.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// How many pairs of a key and a client that has read it are remembered.
    pub fn items(&self) -> usize {
        self.table.items()
    }

    /// How many prefixes are listened to.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }
}

impl Server {
    /// Begins the tracking of a client, or changes how it tracks.
    pub fn enable_tracking(&mut self, id: ClientId, wanted: ClientTracking) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let prefixes = wanted.prefixes.clone();
        match client.tracking.as_deref_mut() {
            Some(tracking) => {
                let mut all = std::mem::take(&mut tracking.prefixes);
                all.extend(wanted.prefixes.iter().cloned());
                *tracking = ClientTracking { prefixes: all, caching: tracking.caching, ..wanted };
            }
            None => {
                client.tracking = Some(Box::new(wanted));
                self.tracking.clients += 1;
            }
        }
        if let Some(tracking) = client.tracking.as_deref_mut() {
            tracking.prefixes.sort();
            tracking.prefixes.dedup();
        }
        for prefix in prefixes {
            let listening = &mut self.tracking.prefixes.entry(prefix).or_default().clients;
            if !listening.contains(&id) {
                listening.push(id);
            }
        }
        self.update_tracking();
    }

    /// Ends the tracking of a client. The keys that it has read stay in the table until they change.
    pub fn disable_tracking(&mut self, id: ClientId) {
        let Some(tracking) = self.clients.get_mut(id).and_then(|client| client.tracking.take()) else { return };
        self.tracking.clients -= 1;
        for name in &tracking.prefixes {
            let Some(prefix) = self.tracking.prefixes.get_mut(name) else { continue };
            prefix.clients.retain(|other| *other != id);
            if prefix.clients.is_empty() {
                self.tracking.prefixes.remove(name);
            }
        }
        self.update_tracking();
    }

    fn update_tracking(&mut self) {
        self.keys.set_tracked(self.tracking.is_on());
        self.update_notice();
    }

    /// Forgets who has read what once nobody has tracked for a while: whoever begins anew begins with no copies.
    pub(super) fn forget_untracked(&mut self) {
        if !self.tracking.is_on() && self.tracking.keys() > 0 {
            self.tracking.table = TrackingTable::default();
        }
    }

    /// After a command while anybody tracks: what it has read is remembered, what it has changed is told.
    pub(super) fn note_tracked(&mut self, id: ClientId, index: usize, argv: Argv<'_>) {
        self.invalidate_modified(Some(id));
        let command = &self.table.commands[index];
        let is_about_client = command.name.starts_with("client|");
        if command.flags & flag::READONLY != 0 {
            self.remember_keys(id, index, argv);
        }
        if !is_about_client && self.exec_depth == 0 {
            self.forget_caching(id);
        }
        self.limit_tracking_table(id);
    }

    /// What CLIENT CACHING has said concerns one command, or one transaction.
    pub(super) fn forget_caching(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id).filter(|client| client.multi.is_none())
            && let Some(tracking) = &mut client.tracking
        {
            tracking.caching = false;
        }
    }

    fn remember_keys(&mut self, id: ClientId, index: usize, argv: Argv<'_>) {
        let Some(tracking) = self.clients.get(id).and_then(|client| client.tracking.as_deref()) else { return };
        let is_chosen = match tracking.choice {
            Choice::All => true,
            Choice::OptIn => tracking.caching,
            Choice::OptOut => !tracking.caching,
        };
        if tracking.is_broadcast || !is_chosen {
            return;
        }
        let command = &self.table.commands[index];
        let described = Described { name: &command.name, flags: command.flags, keys: command.keys };
        let table = &mut self.tracking.table;
        let remember = |place, flags| {
            if flags & key::NOT_KEY == 0 {
                table.remember(argv.at(place), id.watcher());
            }
        };
        // A command whose keys cannot be told has answered an error, and nothing that could be kept.
        let _ = each_key(described, argv, remember);
    }

    /// Takes keys out of the table until it is within its limit; who has read them must take them for changed.
    fn limit_tracking_table(&mut self, caller: ClientId) {
        let most = self.config.tracking_table_max_keys as usize;
        while most > 0 && self.tracking.keys() > most {
            let Some(key) = self.tracking.table.random_key(&mut self.keys.rng) else { return };
            self.invalidate_key(Some(caller), &key);
        }
    }

    /// Tells of the keys that have changed. `caller` is whose command has changed them, if it was one.
    pub(super) fn invalidate_modified(&mut self, caller: Option<ClientId>) {
        for modified in std::mem::take(&mut self.keys.modified) {
            match modified {
                Modified::Key(key) => {
                    self.gather_broadcast(caller, &key);
                    self.invalidate_key(caller, &key);
                }
                Modified::All => self.invalidate_all(caller),
            }
        }
    }

    fn invalidate_key(&mut self, caller: Option<ClientId>, key: &[u8]) {
        for reader in self.tracking.table.take(key) {
            let id = ClientId::of_watcher(reader);
            let tracking = self.clients.get(id).and_then(|client| client.tracking.as_deref());
            let Some(tracking) = tracking.filter(|tracking| !tracking.is_broadcast) else { continue };
            if !tracking.no_loop || caller != Some(id) {
                self.send_tracking_message(caller, id, Some(&[key]));
            }
        }
    }

    fn invalidate_all(&mut self, caller: Option<ClientId>) {
        let tracking = self.clients.iter().filter(|(_, client)| client.tracking.is_some());
        for id in tracking.map(|(id, _)| id).collect::<Vec<_>>() {
            self.send_tracking_message(caller, id, None);
        }
        self.tracking.table = TrackingTable::default();
    }

    fn gather_broadcast(&mut self, caller: Option<ClientId>, key: &[u8]) {
        for (name, prefix) in &mut self.tracking.prefixes {
            if key.starts_with(name) && !prefix.keys.contains_key(key) {
                prefix.keys.insert(key.to_vec(), caller);
            }
        }
    }

    /// Before the loop sleeps: what expired meanwhile is told, and what BCAST has gathered.
    pub(super) fn broadcast_invalidations(&mut self) {
        self.invalidate_modified(None);
        let mut messages: Vec<(ClientId, Vec<Vec<u8>>)> = Vec::new();
        for prefix in self.tracking.prefixes.values_mut().filter(|prefix| !prefix.keys.is_empty()) {
            let keys = std::mem::take(&mut prefix.keys);
            for &id in &prefix.clients {
                let tracking = self.clients.get(id).and_then(|client| client.tracking.as_deref());
                let no_loop = tracking.is_some_and(|tracking| tracking.no_loop);
                let told = keys.iter().filter(|(_, changer)| !(no_loop && **changer == Some(id)));
                messages.push((id, told.map(|(key, _)| key.clone()).collect()));
            }
        }
        for (id, keys) in messages.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            self.send_tracking_message(None, id, Some(&keys));
        }
    }

    /// Tells a client, or who is told in its place, that keys are stale; none: that all are.
    fn send_tracking_message(&mut self, caller: Option<ClientId>, id: ClientId, keys: Option<&[&[u8]]>) {
        let Some(tracking) = self.clients.get(id).and_then(|client| client.tracking.as_deref()) else { return };
        let redirect = tracking.redirect;
        let target = redirect.unwrap_or(id);
        let Some(receiver) = self.clients.get(target) else {
            return self.tell_broken_redirect(caller, id, target);
        };
        let mut text = Reply::new(receiver.reply.resp3);
        text.push(if text.resp3 { 2 } else { 3 });
        if text.resp3 {
            text.bulk(b"invalidate");
        } else if redirect.is_some() && receiver.is_subscriber {
            text.bulk(b"message");
            text.bulk(CHANNEL);
        } else {
            return;
        }
        match keys {
            Some(keys) => {
                text.array(keys.len());
                keys.iter().for_each(|key| text.bulk(key));
            }
            None => text.null(),
        }
        self.push_bytes(caller, target, &text.out);
    }

    fn tell_broken_redirect(&mut self, caller: Option<ClientId>, id: ClientId, target: ClientId) {
        let mut text = Reply::new(true);
        text.push(2);
        text.bulk(b"tracking-redir-broken");
        text.int(target.number as i64);
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(tracking) = client.tracking.as_deref_mut() {
            tracking.is_redirect_broken = true;
        }
        if client.reply.resp3 {
            self.push_bytes(caller, id, &text.out);
        }
    }
}
