//! What follows from a command beyond its reply: how it travels to replicas, and what it waits for.
//!
//! A command that says nothing here is propagated as it was typed if it changed something (`dirty`). The server reads
//! this once after the call, in one place.

use crate::base::clock::UnixMs;
use crate::keyspace::WaitKind;
use crate::resp::reply::encode_command;

pub use crate::keyspace::class;

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
/// The command is to wait.
const WAIT: u8 = 1 << 2;

/// What a command leaves for the server to do.
#[derive(Default, Debug)]
pub struct Effects {
    marks: u8,
    commands: Vec<u8>,
    count: usize,
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
        self.wait = None;
    }
}
