//! The databases: keys, expiries, watched keys, and the count of changes (= db.c and expire.c).
//!
//! `Keyspace` is what a data command sees. It works on the database that was selected, at the time that was set before
//! the command, and keeps what the server must know after it: `dirty`, keys that expired, watched keys that changed.
//!
//! Deliberately absent: what happens because of a change (replication, notifications); `call()` does that in one place.

pub mod access;
pub mod db;
pub mod events;
pub mod evict;
pub mod expire;
pub mod lazyfree;
pub mod waits;

pub use db::Db;
pub use events::{Event, Events, class};
pub use waits::{WaitKind, Waiter, Waits};

use crate::base::clock::UnixMs;
use crate::base::hash::hash;
use crate::base::rng::Rng;
use crate::types::entry::{Entry, ValueMut};
use crate::types::table::TableEntry;
use crate::types::{CollectionLimits, Fading, Hash, List, Set, Str, Stream, Value, ValueRef, ZSet};
use access::{AccessRule, CLOCK_MASK};
use lazyfree::{LazyFree, Retired};
use std::collections::HashMap;

/// The operation met a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// What happens to a key whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpirePolicy {
    /// It is deleted and the deletion propagated: a master.
    Delete,
    /// It is not shown, and not deleted until the master says so: a replica, to its own clients.
    Hide,
    /// It is there until it is deleted: what a master's stream and a load see.
    Ignore,
}

/// Counters of the key space that INFO shows.
#[derive(Clone, Debug, Default)]
pub struct KeyspaceStats {
    /// Reads that found a key.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Keys that expired.
    pub expired: u64,
    /// Fields of hashes that expired.
    pub expired_fields: u64,
    /// Keys that went for want of memory.
    pub evicted: u64,
    /// Active expiry cycles that ran out of time.
    pub expired_time_cap_reached: u64,
    /// The part of keys with an expiry that are likely to be expired already, 0 to 1.
    pub expired_stale: f64,
}

/// Who watches a key: the number of a client.
pub type WatcherId = u64;

/// What changed, for those who keep copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modified {
    /// The key of this name, in some database.
    Key(Vec<u8>),
    /// All keys of a database, or of all.
    All,
}

/// What was deleted because its time had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
    /// The fields of the key's hash that were deleted; none: the key itself.
    pub fields: Vec<Vec<u8>>,
}

/// All databases.
pub struct Keyspace {
    dbs: Vec<Db>,
    selected: usize,
    /// The time that commands see, in milliseconds since 1970. Set before each command.
    pub now: UnixMs,
    /// What happens to keys whose time has come.
    pub expire_policy: ExpirePolicy,
    /// Changes since the start; what a command adds tells that it changed something.
    pub dirty: u64,
    /// Keys and fields that were deleted because their time had come, not propagated yet.
    pub expired: Vec<Expired>,
    /// Hashes some of whose fields were set aside, with their database.
    aside: Vec<(usize, Vec<u8>)>,
    /// Watchers of keys that changed since this was last emptied.
    pub touched_watchers: Vec<WatcherId>,
    watched: HashMap<(usize, Vec<u8>), Vec<WatcherId>>,
    /// Who waits for which keys.
    pub waits: Waits,
    /// Somebody watches a key, waits for one, or keeps copies.
    is_heeded: bool,
    /// A watched key has changed, a key that somebody waits for is ready, or an event is to be published. Whoever
    /// attends to that takes it back.
    pub has_news: bool,
    tracked: bool,
    /// While keys are tracked: those that changed since this was last emptied, whatever their database.
    pub modified: Vec<Modified>,
    /// Events to be published.
    pub events: Events,
    /// Counters.
    pub stats: KeyspaceStats,
    /// Up to where collections stay packed.
    pub limits: CollectionLimits,
    /// Where random members come from.
    pub rng: Rng,
    /// What is noted of a new key, and with a flag above it of one that is accessed; see `access`.
    pub access_clock: u32,
    /// What is noted of accesses.
    pub access: AccessRule,
    /// An overwritten key is looked at before: for its accesses, or for what it holds.
    is_attentive: bool,
    eviction: evict::Eviction,
    /// Whose big values are freed by and by.
    pub lazy: LazyFree,
    expire_cursor: expire::Cursor,
    retired: Retired,
}

impl Keyspace {
    /// Empty databases.
    pub fn new(databases: usize, rng: Rng) -> Self {
        Keyspace {
            dbs: (0..databases.max(1)).map(|_| Db::default()).collect(),
            selected: 0,
            now: 0,
            expire_policy: ExpirePolicy::Delete,
            dirty: 0,
            expired: Vec::new(),
            aside: Vec::new(),
            touched_watchers: Vec::new(),
            watched: HashMap::new(),
            waits: Waits::new(databases.max(1)),
            is_heeded: false,
            has_news: false,
            tracked: false,
            modified: Vec::new(),
            events: Events::default(),
            stats: KeyspaceStats::default(),
            limits: CollectionLimits::default(),
            rng,
            access_clock: 0,
            access: AccessRule::default(),
            is_attentive: false,
            eviction: evict::Eviction::default(),
            lazy: LazyFree::default(),
            expire_cursor: expire::Cursor::default(),
            retired: Retired::default(),
        }
    }

    /// Sets the time that commands see.
    #[inline]
    pub fn set_time(&mut self, now: UnixMs) {
        self.now = now;
        self.access_clock = self.access.clock(now);
        self.is_attentive = self.access_clock > CLOCK_MASK || self.lazy.server_del;
    }

    /// Seconds since an entry was accessed, where that is noted.
    pub fn idle_seconds(&self, entry: &Entry) -> u32 {
        ((self.now / 1000) as u32).wrapping_sub(entry.access()) & CLOCK_MASK
    }

    /// How often an entry was accessed of late, on a logarithmic scale up to 255, where that is counted.
    pub fn frequency(&self, entry: &Entry) -> u32 {
        self.access.frequency(entry.access(), access::minutes_at(self.now))
    }

    /// Selects the database that all other calls work on. It must exist.
    #[inline]
    pub fn select(&mut self, index: usize) {
        assert!(index < self.dbs.len());
        self.selected = index;
    }

    /// The selected database's number.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// How many databases there are.
    pub fn database_count(&self) -> usize {
        self.dbs.len()
    }

    /// The database with this number.
    pub fn db(&self, index: usize) -> &Db {
        &self.dbs[index]
    }

    /// The database with this number, without any of the accounting that this type does.
    pub fn db_mut(&mut self, index: usize) -> &mut Db {
        &mut self.dbs[index]
    }

    /// All databases.
    pub fn dbs(&self) -> &[Db] {
        &self.dbs
    }

    /// The selected database.
    #[inline]
    pub fn current(&self) -> &Db {
        &self.dbs[self.selected]
    }

    #[inline]
    fn is_due(&self, entry: &Entry) -> bool {
        entry.expire_ms().is_some_and(|at| at <= self.now)
    }

    /// Deletes the key if its time has come and this server decides that. Returns whether the key is to be treated as
    /// not there.
    #[inline]
    fn expire_if_needed(&mut self, hash: u64, key: &[u8]) -> bool {
        self.current().is_timed() && self.expire_if_due(hash, key)
    }

    /// `expire_if_needed` in a database where something expires.
    #[inline(never)]
    fn expire_if_due(&mut self, hash: u64, key: &[u8]) -> bool {
        if self.expire_policy == ExpirePolicy::Ignore {
            return false;
        }
        let Some(entry) = self.current().get_hashed(hash, key).filter(|entry| entry.is_timed()) else { return false };
        if !self.is_due(entry) {
            return entry.is_fading() && self.expire_fields(self.selected, key, usize::MAX);
        }
        if self.expire_policy == ExpirePolicy::Delete {
            self.delete_expired(self.selected, key);
        }
        true
    }

    fn delete_expired(&mut self, db: usize, key: &[u8]) {
        if let Some(entry) = self.dbs[db].remove(key) {
            self.discard(entry, self.lazy.expire);
            self.stats.expired += 1;
            if self.is_heeded {
                self.tell_of_change(db, key);
            }
            self.has_news |= self.events.note(class::EXPIRED, "expired", key, db);
            self.expired.push(Expired { db, key: key.to_vec(), fields: Vec::new() });
        }
    }

    /// Deletes or hides up to `most` fields of a hash whose time has come; true if no others are left.
    #[cold]
    fn expire_fields(&mut self, db: usize, key: &[u8], most: usize) -> bool {
        let Some(fading) = self.dbs[db].get_mut(key).and_then(Entry::fading_mut) else { return false };
        if self.expire_policy == ExpirePolicy::Hide {
            if fading.set_aside(self.now) {
                self.aside.push((db, key.to_vec()));
            }
            return fading.shown().is_empty();
        }
        if fading.first_time().is_none_or(|at| at > self.now) {
            return false;
        }
        let fields = fading.take_due(self.now, most, &self.limits);
        let emptied = fading.is_empty();
        if self.is_heeded {
            self.tell_of_change(db, key);
        }
        self.stats.expired_fields += fields.len() as u64;
        self.has_news |= self.events.note(class::HASH, "hexpired", key, db);
        self.expired.push(Expired { db, key: key.to_vec(), fields });
        if emptied {
            self.dbs[db].remove(key);
            self.has_news |= self.events.note(class::GENERIC, "del", key, db);
        }
        emptied
    }

    /// Shows all fields again that are only hidden, for those whom time does not concern.
    pub fn bring_back_fields(&mut self) {
        for (db, key) in std::mem::take(&mut self.aside) {
            let entry = self.dbs.get_mut(db).and_then(|db| db.get_mut(&key));
            if let Some(fading) = entry.and_then(Entry::fading_mut) {
                fading.bring_back(&self.limits);
            }
        }
    }

    /// Whether the key is there, without counting a hit and without touching it.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        let hash = hash(key);
        !self.expire_if_needed(hash, key) && self.current().get_hashed(hash, key).is_some()
    }

    /// To be called before `set_str`, unless nothing in the database expires: ends what must not outlive the value that
    /// is there. Returns whether the key is new.
    pub fn make_way(&mut self, key: &[u8]) -> bool {
        let is_new = !self.exists(key);
        self.dbs[self.selected].forget_fields_of(key);
        is_new
    }

    /// The entry to read from: counts a hit or a miss and notes the access.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = hash(key);
        let gone = self.expire_if_needed(hash, key);
        let access = self.access_clock;
        let entry = if gone { None } else { self.dbs[self.selected].get_mut_hashed(hash, key) };
        match entry {
            Some(entry) => {
                self.stats.hits += 1;
                if entry.access() != access {
                    access::note(entry, access, &self.access, &mut self.rng);
                }
                Some(entry)
            }
            None => {
                self.stats.misses += 1;
                self.has_news |= self.events.note(class::MISS, "keymiss", key, self.selected);
                None
            }
        }
    }

    /// Notes an event on a key of the selected database.
    #[inline]
    pub fn event(&mut self, class: u32, name: &'static str, key: &[u8]) {
        self.has_news |= self.events.note(class, name, key, self.selected);
    }

    /// The entry, without counting and without noting the access: for OBJECT, TYPE, TTL, DEBUG.
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = hash(key);
        if self.expire_if_needed(hash, key) {
            return None;
        }
        self.current().get_hashed(hash, key)
    }

    /// The entry to change in place. Whoever changes the expiry must use `set_expire`.
    #[inline]
    pub fn write(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let hash = hash(key);
        if self.expire_if_needed(hash, key) {
            return None;
        }
        let access = self.access_clock;
        let entry = self.dbs[self.selected].get_mut_hashed(hash, key)?;
        if entry.access() != access {
            access::note(entry, access, &self.access, &mut self.rng);
        }
        Some(entry)
    }

    /// Puts a value at the key, whatever was there, with this expiry. Does not count as a change by itself.
    pub fn insert(&mut self, key: &[u8], value: Value, expire_ms: Option<UnixMs>) {
        self.insert_entry(Entry::new(key, value, expire_ms));
    }

    /// `insert` for an entry that was made elsewhere.
    pub fn insert_entry(&mut self, mut entry: Entry) {
        let key = entry.key();
        let hash = hash(key);
        self.expire_if_needed(hash, key);
        let access = if self.is_attentive { self.before_overwrite(hash, key) } else { self.access_clock };
        if self.is_heeded {
            self.signal_ready(key);
        }
        if self.events.wants(class::NEW) && self.current().get_hashed(hash, key).is_none() {
            self.event(class::NEW, "new", key);
        }
        entry.set_access(access);
        drop(self.dbs[self.selected].insert_hashed(hash, entry));
    }

    /// Gives a key the access bits that its value had elsewhere.
    pub fn set_access(&mut self, key: &[u8], access: u32) {
        if let Some(entry) = self.dbs[self.selected].get_mut(key) {
            entry.set_access(access);
        }
    }

    /// Puts a string at the key, whatever was there, with this expiry.
    #[inline]
    pub fn set_str(&mut self, key: &[u8], value: &[u8], expire_ms: Option<UnixMs>) {
        if self.is_attentive {
            return self.set_str_attentively(key, value, expire_ms);
        }
        let access = self.access_clock;
        self.dbs[self.selected].set_str(hash(key), key, value, expire_ms, access);
    }

    #[cold]
    #[inline(never)]
    fn set_str_attentively(&mut self, key: &[u8], value: &[u8], expire_ms: Option<UnixMs>) {
        let hash = hash(key);
        let access = self.before_overwrite(hash, key);
        self.dbs[self.selected].set_str(hash, key, value, expire_ms, access);
    }

    /// What is to be noted of a key that is about to be overwritten: of one that is there an access. Its value, if it is
    /// big and such are freed by and by, is out of the way then.
    #[cold]
    fn before_overwrite(&mut self, hash: u64, key: &[u8]) -> u32 {
        let access = self.access_of(hash, key);
        let entry = self.dbs[self.selected].get_mut_hashed(hash, key);
        if self.lazy.server_del
            && let Some(entry) = entry.filter(|entry| lazyfree::is_big(entry.value()))
        {
            self.retired.put(entry.replace_value(Value::Str(Str::Int(0))));
        }
        access
    }

    fn access_of(&mut self, hash: u64, key: &[u8]) -> u32 {
        let Some(entry) = self.dbs[self.selected].get_mut_hashed(hash, key) else { return self.access_clock };
        access::note(entry, self.access_clock, &self.access, &mut self.rng);
        entry.access()
    }

    /// Takes the key out. Returns whether it was there (and not expired).
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.delete_by(key, self.lazy.server_del)
    }

    /// `delete` where the caller decides whether a big value is freed by and by.
    pub fn delete_by(&mut self, key: &[u8], lazily: bool) -> bool {
        let Some(entry) = self.take(key) else { return false };
        self.discard(entry, lazily);
        true
    }

    /// Takes the key out and hands its entry over.
    pub fn take(&mut self, key: &[u8]) -> Option<Entry> {
        if self.expire_if_needed(hash(key), key) {
            return None;
        }
        self.dbs[self.selected].remove(key)
    }

    /// Sets or clears the expiry of a key; returns whether the key is there.
    pub fn set_expire(&mut self, key: &[u8], expire_ms: Option<UnixMs>) -> bool {
        self.dbs[self.selected].set_expire(key, expire_ms)
    }

    /// A random key that is not expired (or any, where nothing but expired keys turns up).
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let all_volatile = self.current().volatile() == self.current().len();
        for attempt in 0..=100 {
            let key = self.dbs[self.selected].random(&mut self.rng)?.key().to_vec();
            let hidden = self.expire_policy != ExpirePolicy::Delete;
            if !self.expire_if_needed(hash(&key), &key) || (attempt == 100 && all_volatile && hidden) {
                return Some(key);
            }
        }
        None
    }

    /// Empties one database, or all; returns how many keys went. Lazily, their memory is freed by and by.
    pub fn flush(&mut self, db: Option<usize>, lazily: bool) -> usize {
        let range = match db {
            Some(index) => index..index + 1,
            None => 0..self.dbs.len(),
        };
        let mut removed = 0;
        self.note_flushed();
        for index in range {
            let concerned = self.concerned(index, None);
            self.tell_concerned(index, concerned);
            removed += self.dbs[index].len();
            let old = std::mem::take(&mut self.dbs[index]);
            if lazily {
                self.retired.put_db(old);
            }
        }
        removed
    }

    /// Exchanges two databases; clients that selected one see the other's keys from now on.
    pub fn swap_dbs(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let (of_a, of_b) = (self.concerned(a, Some(&self.dbs[b])), self.concerned(b, Some(&self.dbs[a])));
        self.tell_concerned(a, of_a);
        self.tell_concerned(b, of_b);
        self.dbs.swap(a, b);
    }

    /// Replaces all databases, as a finished load does; the memory of the old ones is freed by and by.
    pub fn replace_dbs(&mut self, dbs: Vec<Db>) {
        self.note_flushed();
        for index in 0..self.dbs.len() {
            let concerned = self.concerned(index, dbs.get(index));
            self.tell_concerned(index, concerned);
        }
        for old in std::mem::replace(&mut self.dbs, dbs) {
            self.retired.put_db(old);
        }
    }

    /// Lets go of what was taken out: at once, or by and by if it is big and `lazily` is wanted.
    pub fn discard(&mut self, entry: Entry, lazily: bool) {
        if lazily && lazyfree::is_big(entry.value()) {
            self.retired.put(entry.into_value());
        }
    }

    /// Frees about so many elements of what was taken out lazily.
    pub fn free_retired(&mut self, budget: usize) {
        self.retired.free_some(budget);
    }

    /// Whether anything waits to be freed.
    #[inline]
    pub fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Values that wait to be freed, and those that were.
    pub fn retired_objects(&self) -> (usize, u64) {
        (self.retired.pending(), self.retired.freed)
    }

    /// Forgets how many values were freed lazily.
    pub fn reset_freed(&mut self) {
        self.retired.freed = 0;
    }

    /// Notes that a key's value changed: its watchers will not EXEC, and who waits for it may be served. Does not count
    /// `dirty`.
    #[inline]
    pub fn signal_modified(&mut self, key: &[u8]) {
        if self.is_heeded {
            self.tell_of_change(self.selected, key);
        }
    }

    fn note_flushed(&mut self) {
        if self.tracked {
            self.modified.push(Modified::All);
        }
    }

    /// Says whether `modified` is to be kept.
    pub fn set_tracked(&mut self, tracked: bool) {
        self.tracked = tracked;
        self.note_heed();
        if !tracked {
            self.modified.clear();
        }
    }

    /// Notes that a key of the selected database may have what somebody waits for. Only a stream must say so itself,
    /// when it gets an entry or loses a group: lists and sorted sets are waited for only while they are not there, and
    /// then any change will do.
    pub fn signal_ready(&mut self, key: &[u8]) {
        self.has_news |= self.waits.signal(self.selected, key);
    }

    #[cold]
    fn tell_of_change(&mut self, db: usize, key: &[u8]) {
        if !self.watched.is_empty()
            && let Some(watchers) = self.watched.get(&(db, key.to_vec()))
        {
            self.touched_watchers.extend_from_slice(watchers);
            self.has_news = true;
        }
        if !self.waits.is_empty() && self.kind_at(db, key) != Some(WaitKind::Stream) {
            self.has_news |= self.waits.signal(db, key);
        }
        if self.tracked {
            self.modified.push(Modified::Key(key.to_vec()));
        }
    }

    fn kind_at(&self, db: usize, key: &[u8]) -> Option<WaitKind> {
        self.dbs[db].get(key).and_then(|entry| WaitKind::of(entry.value()))
    }

    /// The kind of waits that what is at a key can end, seen without touching it.
    pub fn wait_kind(&self, db: usize, key: &[u8]) -> Option<WaitKind> {
        self.kind_at(db, key).filter(|_| !self.is_expired(db, key))
    }

    /// The watchers and the awaited keys that are concerned when another database, or none, takes the place of `db`:
    /// those of keys that exist there or will.
    fn concerned(&self, db: usize, replaced_by: Option<&Db>) -> (Vec<WatcherId>, Vec<Box<[u8]>>) {
        let old = &self.dbs[db];
        let exists = |key: &[u8]| old.get(key).is_some() || replaced_by.is_some_and(|new| new.get(key).is_some());
        let watched = self.watched.iter().filter(|((watched_db, key), _)| *watched_db == db && exists(key));
        let watchers = watched.flat_map(|(_, watchers)| watchers).copied().collect();
        (watchers, self.waits.keys_in(db).filter(|key| exists(key)).map(Into::into).collect())
    }

    fn tell_concerned(&mut self, db: usize, (watchers, awaited): (Vec<WatcherId>, Vec<Box<[u8]>>)) {
        self.has_news |= !watchers.is_empty();
        self.touched_watchers.extend(watchers);
        for key in awaited {
            self.has_news |= self.waits.signal(db, &key);
        }
    }

    /// Begins to watch a key of the selected database.
    pub fn watch(&mut self, key: &[u8], watcher: WatcherId) {
        let watchers = self.watched.entry((self.selected, key.to_vec())).or_default();
        if !watchers.contains(&watcher) {
            watchers.push(watcher);
        }
        self.is_heeded = true;
    }

    /// Ends the watching of a key.
    pub fn unwatch(&mut self, db: usize, key: &[u8], watcher: WatcherId) {
        let place = (db, key.to_vec());
        if let Some(watchers) = self.watched.get_mut(&place) {
            watchers.retain(|&other| other != watcher);
            if watchers.is_empty() {
                self.watched.remove(&place);
            }
        }
        self.note_heed();
    }

    fn note_heed(&mut self) {
        self.is_heeded = self.tracked || !self.watched.is_empty() || !self.waits.is_empty();
    }

    /// Puts a client at the end of the queues of keys of a database.
    pub fn begin_wait(&mut self, db: usize, keys: &[Vec<u8>], waiter: Waiter) {
        self.waits.add(db, keys, waiter);
        self.note_heed();
    }

    /// Takes a client out of these queues.
    pub fn end_wait(&mut self, db: usize, keys: &[Vec<u8>], turn: u64) {
        self.waits.remove(db, keys, turn);
        self.note_heed();
    }

    /// How many keys are watched.
    pub fn watched_keys(&self) -> usize {
        self.watched.len()
    }

    /// Whether a key of a database is there but its time has come.
    pub fn is_expired(&self, db: usize, key: &[u8]) -> bool {
        self.dbs[db].get(key).is_some_and(|entry| self.is_due(entry))
    }

    /// Keys in all databases.
    pub fn total_keys(&self) -> usize {
        self.dbs.iter().map(Db::len).sum()
    }
}

/// The typed doors: `x` to read, `x_mut` to change what is there, `x_or_new` to change or begin one.
macro_rules! typed_access {
    ($kind:ident, $read:ident, $write:ident, $create:ident $(, $also:pat => $value:expr)?) => {
        impl Keyspace {
            /// The value to read, counted as a hit or a miss; an error if it is of another type.
            pub fn $read(&mut self, key: &[u8]) -> Result<Option<&$kind>, WrongType> {
                match self.read(key).map(Entry::value) {
                    None => Ok(None),
                    Some(ValueRef::$kind(value)) => Ok(Some(value)),
                    $(Some($also) => Ok(Some($value)),)?
                    Some(_) => Err(WrongType),
                }
            }

            /// The value to change; an error if it is of another type.
            pub fn $write(&mut self, key: &[u8]) -> Result<Option<&mut $kind>, WrongType> {
                match self.write(key).map(Entry::value_mut) {
                    None => Ok(None),
                    Some(ValueMut::$kind(value)) => Ok(Some(value)),
                    Some(_) => Err(WrongType),
                }
            }

            /// The value to change, with the thresholds that apply; begun empty if the key is not there. Whoever
            /// leaves it empty must call `delete_if_empty`.
            pub fn $create(&mut self, key: &[u8]) -> Result<(&mut $kind, &CollectionLimits), WrongType> {
                let hash = hash(key);
                if self.expire_if_needed(hash, key) {
                    // Where it was only hidden, it gives way now.
                    self.dbs[self.selected].remove(key);
                }
                let access = if self.is_attentive { self.access_of(hash, key) } else { self.access_clock };
                let (events, has_news, db) = (&mut self.events, &mut self.has_news, self.selected);
                let make = || {
                    *has_news |= events.note(class::NEW, "new", key, db);
                    Entry::new(key, Value::$kind($kind::new()), None)
                };
                let entry = self.dbs[self.selected].get_or_insert_with(hash, key, make);
                entry.set_access(access);
                match entry.value_mut() {
                    ValueMut::$kind(value) => Ok((value, &self.limits)),
                    _ => Err(WrongType),
                }
            }
        }
    };
}

typed_access!(List, list, list_mut, list_or_new);
typed_access!(Set, set, set_mut, set_or_new);
typed_access!(Hash, hash, hash_mut, hash_or_new, ValueRef::Fading(fading) => fading.shown());
typed_access!(ZSet, zset, zset_mut, zset_or_new);
typed_access!(Stream, stream, stream_mut, stream_or_new);

impl Keyspace {
    /// The hash at a key to change, where it has fields that expire; `hash_mut` and `hash_or_new` call that a wrong type.
    /// The key must have been asked for by one of these before. Whoever changes times must call `note_fields`.
    pub fn fading_mut(&mut self, key: &[u8]) -> Option<(&mut Fading, &CollectionLimits)> {
        let fading = self.dbs[self.selected].get_mut(key)?.fading_mut()?;
        if self.expire_policy == ExpirePolicy::Hide {
            fading.drop_aside();
        }
        Some((fading, &self.limits))
    }

    /// Lets the fields of a hash expire from now on: `fading_mut` finds it.
    pub fn let_fields_expire(&mut self, key: &[u8]) {
        let Some(entry) = self.dbs[self.selected].get_mut(key) else { return };
        if let ValueMut::Hash(hash) = entry.value_mut() {
            let hash = std::mem::take(hash);
            entry.set_value(Value::Fading(Box::new(Fading::new(hash))));
        }
    }

    /// Sees to it that the fields of a hash whose times have changed are looked after.
    pub fn note_fields(&mut self, key: &[u8]) {
        self.dbs[self.selected].note_fields(key);
    }

    /// Takes the key out if its collection has become empty; returns whether it did.
    pub fn delete_if_empty(&mut self, key: &[u8]) -> bool {
        let empty = match self.current().get(key).map(Entry::value) {
            Some(ValueRef::List(list)) => list.is_empty(),
            Some(ValueRef::Set(set)) => set.is_empty(),
            Some(ValueRef::Hash(hash)) => hash.is_empty(),
            Some(ValueRef::Fading(fading)) => fading.is_empty(),
            Some(ValueRef::ZSet(zset)) => zset.is_empty(),
            _ => false,
        };
        if empty {
            self.dbs[self.selected].remove(key);
        }
        empty
    }
}
