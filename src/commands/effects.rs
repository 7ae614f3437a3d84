//! What follows from a command beyond its reply: how it travels to replicas, and which events it raised.
//!
//! A command that says nothing here is propagated as it was typed if it changed something (`dirty`). The server reads
//! this once after the call, in one place.

use crate::base::clock::UnixMs;
use crate::keyspace::WaitKind;
use crate::resp::reply::encode_command;

/// Classes of keyspace events, the letters of `notify-keyspace-events`.
pub mod class {
    /// `g`: commands on keys of any type.
    pub const GENERIC: u32 = 1 << 0;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 1;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 2;
    /// `s`: sets.
    pub const SET: u32 = 1 << 3;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 4;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 5;
    /// `x`: expired keys.
    pub const EXPIRED: u32 = 1 << 6;
    /// `e`: evicted keys.
    pub const EVICTED: u32 = 1 << 7;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 8;
    /// `m`: reads that missed.
    pub const MISS: u32 = 1 << 9;
    /// `n`: new keys.
    pub const NEW: u32 = 1 << 10;
}

/// An event on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// One of `class`.
    pub class: u32,
    /// The event's name, such as `hset`.
    pub name: &'static str,
    /// The key it happened to.
    pub key: Vec<u8>,
    /// The key's database.
    pub db: usize,
}

/// What a command waits for that did not find what it needs. It runs again once one of the keys may have it, and asks
/// again if that is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWait {
    /// The keys, in the caller's database.
    pub keys: Vec<Vec<u8>>,
    /// What must be there.
    pub kind: WaitKind,
    /// Until when; a command that runs again keeps its first deadline.
    pub deadline_ms: Option<UnixMs>,
    /// Whether it also runs again when a key is deleted or holds another type.
    pub wakes_without_key: bool,
    /// What is answered where no client can wait, as in a transaction. Who has waited in vain gets a null array.
    pub refusal: Refusal,
    /// What runs again in place of what was typed, where that would mean something else later.
    pub args: Option<Vec<Vec<u8>>>,
}

/// The answer of a command that would wait and cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Null.
    Null,
    /// A null array.
    NullArray,
}

/// The command said what travels in its place.
const REPLACED: u8 = 1 << 0;
/// What was typed travels though nothing changed.
const FORCED: u8 = 1 << 1;
/// There are events.
const EVENTS: u8 = 1 << 2;
/// The command is to wait.
const WAIT: u8 = 1 << 3;

/// What a command leaves for the server to do.
#[derive(Default, Debug)]
pub struct Effects {
    marks: u8,
    commands: Vec<u8>,
    count: usize,
    /// The classes somebody wants to hear of; events of others are not even noted.
    pub wanted_classes: u32,
    events: Vec<Event>,
    wait: Option<Box<KeyWait>>,
}

impl Effects {
    /// Propagates `args` in place of what was typed. Called several times, all of them travel, in order and together.
    pub fn propagate_as(&mut self, args: &[&[u8]]) {
        self.marks |= REPLACED;
        self.count += 1;
        encode_command(&mut self.commands, args.iter().copied());
    }

    /// Propagates what was typed, though nothing changed.
    pub fn propagate_anyway(&mut self) {
        self.marks |= FORCED;
    }

    /// Whether what was typed travels though nothing changed.
    pub fn is_forced(&self) -> bool {
        self.marks & FORCED != 0
    }

    /// Propagates nothing, though something changed.
    pub fn propagate_nothing(&mut self) {
        self.marks |= REPLACED;
    }

    /// Whether the command said what travels in its place.
    pub fn is_replaced(&self) -> bool {
        self.marks & REPLACED != 0
    }

    /// The commands that travel in place of the one that was typed, encoded, and how many they are.
    pub fn replacement(&self) -> (&[u8], usize) {
        (&self.commands, self.count)
    }

    /// Lets the client wait for keys. The command must not have answered; what it has changed travels only if it says so.
    pub fn block_on_keys(&mut self, wait: KeyWait) {
        self.marks |= WAIT;
        self.wait = Some(Box::new(wait));
    }

    /// What the command waits for, if it does.
    #[inline]
    pub fn take_wait(&mut self) -> Option<Box<KeyWait>> {
        self.wait.take()
    }

    /// Notes an event on a key.
    #[inline]
    pub fn event(&mut self, class: u32, name: &'static str, key: &[u8], db: usize) {
        if self.wanted_classes & class != 0 {
            self.marks |= EVENTS;
            self.events.push(Event { class, name, key: key.to_vec(), db });
        }
    }

    /// The events noted so far; they are gone afterwards.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether nothing is left for the server to do.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.marks == 0
    }

    /// Makes ready for the next command.
    pub fn clear(&mut self) {
        self.marks = 0;
        self.commands.clear();
        self.count = 0;
        self.events.clear();
        self.wait = None;
    }
}
