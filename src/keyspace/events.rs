//! What happened to keys, in its order, for those who listen to keyspace notifications (= notify.c).
//!
//! Commands and the key space itself note events of the classes that somebody wants to hear of; the server publishes
//! them after each call.

use crate::config::NotifyFlags;

/// Classes of keyspace events, the letters of `notify-keyspace-events`.
pub mod class {
    use super::NotifyFlags;

    /// `g`: commands on keys of any type.
    pub const GENERIC: u32 = NotifyFlags::GENERIC;
    /// `$`: strings.
    pub const STRING: u32 = NotifyFlags::STRING;
    /// `l`: lists.
    pub const LIST: u32 = NotifyFlags::LIST;
    /// `s`: sets.
    pub const SET: u32 = NotifyFlags::SET;
    /// `h`: hashes.
    pub const HASH: u32 = NotifyFlags::HASH;
    /// `z`: sorted sets.
    pub const ZSET: u32 = NotifyFlags::ZSET;
    /// `x`: expired keys.
    pub const EXPIRED: u32 = NotifyFlags::EXPIRED;
    /// `e`: evicted keys.
    pub const EVICTED: u32 = NotifyFlags::EVICTED;
    /// `t`: streams.
    pub const STREAM: u32 = NotifyFlags::STREAM;
    /// `m`: reads that missed.
    pub const MISS: u32 = NotifyFlags::KEY_MISS;
    /// `n`: new keys.
    pub const NEW: u32 = NotifyFlags::NEW;
}

/// An event on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's name, such as `hset`.
    pub name: &'static str,
    /// The key it happened to.
    pub key: Vec<u8>,
    /// The key's database.
    pub db: usize,
}

/// The events that are not published yet.
#[derive(Debug, Default)]
pub struct Events {
    /// The classes somebody wants to hear of; events of others are not even noted.
    pub wanted: u32,
    noted: Vec<Event>,
}

impl Events {
    /// Whether somebody wants to hear of a class.
    #[inline]
    pub fn wants(&self, class: u32) -> bool {
        self.wanted & class != 0
    }

    /// Notes an event. Returns whether somebody wants to hear of it.
    #[inline]
    pub(super) fn note(&mut self, class: u32, name: &'static str, key: &[u8], db: usize) -> bool {
        let wanted = self.wants(class);
        if wanted {
            self.keep(name, key, db);
        }
        wanted
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, name: &'static str, key: &[u8], db: usize) {
        self.noted.push(Event { name, key: key.to_vec(), db });
    }

    /// Hands over the events noted so far.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.noted)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }
}
