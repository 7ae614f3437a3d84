//! One database: the key table and the count of keys that expire.

use crate::base::hash::hash;
use crate::base::rng::Rng;
use crate::types::ValueRef;
use crate::types::entry::Entry;
use crate::types::table::{Table, TableEntry};
use std::collections::BTreeSet;

/// So many keys are asked for together: what lies ready must not drive itself out again.
pub const PREFETCHED: usize = 16;
/// A table of fewer entries is likely to be near anyway.
pub const FAR: usize = 20_000;

/// Keys that are asked for together: each its bucket as it is added, and what the buckets lead to once all are.
pub struct Prefetch<'a> {
    /// None where all is likely to be near.
    table: Option<&'a Table<Entry>>,
    hashes: [u64; PREFETCHED],
    count: usize,
}

impl Prefetch<'_> {
    /// Asks the processor for the bucket of a key. There may be `PREFETCHED` of them.
    #[inline]
    pub fn add(&mut self, key: &[u8]) {
        let Some(table) = self.table else { return };
        let hash = hash(key);
        table.prefetch_bucket(hash);
        self.hashes[self.count] = hash;
        self.count += 1;
    }

    /// Asks the processor for the entries of all keys that were added.
    #[inline]
    pub fn fetch_entries(&self) {
        let (Some(table), hashes) = (self.table, &self.hashes[..self.count]) else { return };
        hashes.iter().for_each(|hash| table.prefetch_entry(*hash));
        if hashes.first().and_then(|hash| table.likely(*hash)).is_some_and(Entry::is_apart) {
            let likely = || hashes.iter().filter_map(|hash| table.likely(*hash));
            likely().for_each(Entry::prefetch_inside);
            likely().for_each(Entry::prefetch_string);
        }
    }
}

/// One database. A key that expires carries a mark in the table, which must be set exactly when the entry has an
/// expiry; so all changes of an expiry go through here.
#[derive(Default)]
pub struct Db {
    table: Table<Entry>,
    /// Keys with an expiry, and notes of hashes with fields that expire.
    timed: usize,
    /// When to look after which hash with fields that expire: each such hash has one note, for no later than when the
    /// first field expires. A note may stay for a while where no field expires any more.
    noted: BTreeSet<(i64, Box<[u8]>)>,
    /// The average time that volatile keys have left, in milliseconds, as far as the active expiry has seen.
    pub avg_ttl_ms: i64,
}

impl Db {
    /// How many keys there are, expired ones included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many keys have an expiry.
    #[inline]
    pub fn volatile(&self) -> usize {
        self.timed - self.noted.len()
    }

    /// Whether anything in here expires, be it a key or a field.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.timed != 0
    }

    /// Bytes of the key table without the entries.
    pub fn table_bytes(&self) -> usize {
        self.table.memory_bytes()
    }

    /// The key table's number of buckets.
    pub fn buckets(&self) -> usize {
        self.table.buckets()
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.table.get(key)
    }

    /// `get` where the hash is known.
    #[inline]
    pub fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.table.get_hashed(hash, key)
    }

    /// The entry of a key to change anything but its expiry.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.table.get_mut(key)
    }

    /// `get_mut` where the hash is known.
    #[inline]
    pub fn get_mut_hashed(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.table.get_mut_hashed(hash, key)
    }

    /// The entry of a key, which is made if there is none. What `make` makes must have no expiry.
    #[inline]
    pub fn get_or_insert_with(&mut self, hash: u64, key: &[u8], make: impl FnOnce() -> Entry) -> &mut Entry {
        self.table.get_or_insert_with(hash, key, make)
    }

    /// Puts an entry in; gives back the one it replaces.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        self.insert_hashed(hash(entry.key()), entry)
    }

    /// `insert` where the hash is known.
    #[inline]
    pub fn insert_hashed(&mut self, hash: u64, entry: Entry) -> Option<Entry> {
        let expires = entry.expire_ms().is_some();
        if entry.is_fading() {
            return self.insert_fading(hash, entry);
        }
        self.insert_plain(hash, entry, expires)
    }

    #[cold]
    fn insert_fading(&mut self, hash: u64, entry: Entry) -> Option<Entry> {
        let (key, expires) = (entry.key().to_vec(), entry.expire_ms().is_some());
        let old = self.insert_plain(hash, entry, expires);
        self.note_fields(&key);
        old
    }

    #[inline]
    fn insert_plain(&mut self, hash: u64, entry: Entry, expires: bool) -> Option<Entry> {
        if let Some(held) = self.table.get_mut_hashed(hash, entry.key()) {
            let expired_before = held.expire_ms().is_some();
            let mut old = std::mem::replace(held, entry);
            if old.is_fading() {
                self.forget_fields(&mut old);
            }
            self.note_expiry(hash, old.key(), expired_before, expires);
            return Some(old);
        }
        self.timed += usize::from(expires);
        self.table.insert_new(hash, entry, expires);
        None
    }

    /// Sets a string, in place where the entry's memory allows it.
    #[inline(always)]
    pub fn set_str(&mut self, hash: u64, key: &[u8], value: &[u8], expire_ms: Option<i64>, access: u32) {
        if let Some(entry) = self.table.get_mut_hashed(hash, key) {
            let expired_before = entry.expire_ms().is_some();
            entry.set_str(value, expire_ms);
            entry.set_access(access);
            return self.note_expiry(hash, key, expired_before, expire_ms.is_some());
        }
        let mut entry = Entry::with_str(key, value, expire_ms);
        entry.set_access(access);
        self.timed += usize::from(expire_ms.is_some());
        self.table.insert_new(hash, entry, expire_ms.is_some());
    }

    #[inline]
    fn note_expiry(&mut self, hash: u64, key: &[u8], before: bool, after: bool) {
        if before != after {
            self.table.set_mark(hash, key, after);
            self.timed = if after { self.timed + 1 } else { self.timed - 1 };
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let mut entry = self.table.remove(key)?;
        if entry.is_timed() {
            self.timed -= usize::from(entry.expire_ms().is_some());
            self.forget_fields(&mut entry);
        }
        Some(entry)
    }

    /// Takes back the note of what is at a key and will be overwritten.
    #[inline]
    pub fn forget_fields_of(&mut self, key: &[u8]) {
        if !self.noted.is_empty()
            && let Some(fading) = self.table.get_mut(key).and_then(Entry::fading_mut)
            && let Some(noted_ms) = fading.noted_ms.take()
        {
            self.timed -= usize::from(self.noted.remove(&(noted_ms, key.into())));
        }
    }

    /// Takes back the note of a hash that is no longer here.
    fn forget_fields(&mut self, entry: &mut Entry) {
        let noted_ms = entry.fading_mut().and_then(|fading| fading.noted_ms.take());
        if let Some(noted_ms) = noted_ms {
            self.timed -= usize::from(self.noted.remove(&(noted_ms, entry.key().into())));
        }
    }

    /// Sees to it that somebody looks after the fields of a hash when the first of them expires. To be called whenever
    /// that may be earlier than it was.
    pub fn note_fields(&mut self, key: &[u8]) {
        let Some(fading) = self.table.get_mut(key).and_then(Entry::fading_mut) else { return };
        let (before, due) = (fading.noted_ms, fading.first_time());
        let Some(due) = due.filter(|due| before.is_none_or(|before| *due < before)) else { return };
        fading.noted_ms = Some(due);
        if let Some(before) = before {
            self.timed -= usize::from(self.noted.remove(&(before, key.into())));
        }
        self.timed += usize::from(self.noted.insert((due, key.into())));
    }

    /// The key of a hash to look after at `now`, whose note is gone then.
    pub fn take_note(&mut self, now: i64) -> Option<Box<[u8]>> {
        if self.noted.first()?.0 > now {
            return None;
        }
        let (at, key) = self.noted.pop_first()?;
        self.timed -= 1;
        let fading = self.table.get_mut(&key).and_then(Entry::fading_mut);
        if let Some(fading) = fading.filter(|fading| fading.noted_ms == Some(at)) {
            fading.noted_ms = None;
        }
        Some(key)
    }

    /// How many hashes with fields that expire are noted.
    pub fn noted_fields(&self) -> usize {
        self.noted.len()
    }

    /// The hashes with fields that expire.
    pub fn hashes_with_field_expiry(&self) -> impl Iterator<Item = &Entry> {
        self.noted.iter().filter_map(|(at, key)| {
            let entry = self.table.get(key)?;
            let ValueRef::Fading(fading) = entry.value() else { return None };
            (fading.noted_ms == Some(*at) && fading.expires()).then_some(entry)
        })
    }

    /// Sets or clears an expiry; returns whether the key is there.
    pub fn set_expire(&mut self, key: &[u8], expire_ms: Option<i64>) -> bool {
        let hash = hash(key);
        let Some(entry) = self.table.get_mut_hashed(hash, key) else { return false };
        let before = entry.expire_ms().is_some();
        entry.set_expire_ms(expire_ms);
        self.note_expiry(hash, key, before, expire_ms.is_some());
        true
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// One step of SCAN; see `Table::scan`.
    pub fn scan(&self, cursor: u64, f: impl FnMut(&Entry)) -> u64 {
        self.table.scan(cursor, f)
    }

    /// A random entry.
    pub fn random(&self, rng: &mut Rng) -> Option<&Entry> {
        self.table.random(rng)
    }

    /// Calls `f` for `count` entries or a few more of neighbouring buckets, all or those that expire; see `Table::sample`.
    pub fn sample(&self, start: usize, count: usize, volatile: bool, f: impl FnMut(&Entry)) -> usize {
        self.table.sample(start, count, volatile, f)
    }

    /// Calls `f` for the keys of one bucket that expire.
    pub fn volatile_in_bucket(&self, index: usize, f: impl FnMut(&Entry)) {
        self.table.marked_in_bucket(index, f);
    }

    /// Prepares for so many keys.
    pub fn reserve(&mut self, keys: usize) {
        self.table.reserve(keys);
    }

    /// Asks the processor for the bucket of a key.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// Begins to ask the processor for all that finding some keys needs.
    #[inline]
    pub fn prefetch(&self) -> Prefetch<'_> {
        Prefetch { table: (self.len() >= FAR).then_some(&self.table), hashes: [0; PREFETCHED], count: 0 }
    }

    /// Takes `budget` entries out, or a few more, and hands them to `f`; returns whether any are left. Only for a
    /// database that was taken out itself: it can be used for nothing else afterwards.
    pub fn take_some(&mut self, budget: usize, f: impl FnMut(Entry)) -> bool {
        self.table.take_some(budget, f)
    }
}
