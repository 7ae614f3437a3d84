//! The log of what was denied (= the ACL LOG part of acl.c). What is like an entry of the last minute is counted there.

use std::collections::VecDeque;

/// Entries as much alike as can be count as one within so many milliseconds.
const SAME_WITHIN_MS: i64 = 60_000;

/// What was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// To log in.
    Auth,
}

/// Where it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// By a client.
    TopLevel,
    /// In a transaction.
    Multi,
    /// In a script.
    Lua,
    /// In a module.
    Module,
}

impl Reason {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

impl Context {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
            Context::Module => "module",
        }
    }
}

/// What was denied, how often, and to whom the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, never used twice.
    pub id: u64,
    /// How often.
    pub count: u64,
    /// What was denied.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, key or channel; the command that was to log in.
    pub object: Vec<u8>,
    /// Who asked.
    pub user: Vec<u8>,
    /// When first, in milliseconds since 1970.
    pub created_ms: i64,
    /// When last, in milliseconds since 1970.
    pub updated_ms: i64,
    /// The client that asked last.
    pub client: String,
}

/// The log, its newest entry first.
#[derive(Clone, Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
    /// How often each reason was noted since the last reset of the counters.
    pub denied: Counters,
}

/// How often something was denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands.
    pub commands: u64,
    /// Keys.
    pub keys: u64,
    /// Channels.
    pub channels: u64,
    /// Logins.
    pub logins: u64,
}

/// What is to be noted.
#[derive(Clone, Debug)]
pub struct Denial<'a> {
    /// What was denied.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, key or channel.
    pub object: &'a [u8],
    /// Who asked.
    pub user: &'a [u8],
    /// The client that asked.
    pub client: String,
    /// When, in milliseconds since 1970.
    pub now_ms: i64,
}

impl AclLog {
    /// Notes something that was denied; keeps so many entries (= addACLLogEntry).
    pub fn note(&mut self, denial: Denial<'_>, max_len: usize) {
        match denial.reason {
            Reason::Command => self.denied.commands += 1,
            Reason::Key => self.denied.keys += 1,
            Reason::Channel => self.denied.channels += 1,
            Reason::Auth => self.denied.logins += 1,
        }
        let alike = |entry: &Entry| {
            entry.reason == denial.reason
                && entry.context == denial.context
                && (denial.now_ms - entry.updated_ms).abs() <= SAME_WITHIN_MS
                && entry.object == denial.object
                && entry.user == denial.user
        };
        let entry = match self.entries.iter().position(alike).and_then(|place| self.entries.remove(place)) {
            Some(entry) => Entry { count: entry.count + 1, updated_ms: denial.now_ms, client: denial.client, ..entry },
            None => {
                self.next_id += 1;
                Entry {
                    id: self.next_id - 1,
                    count: 1,
                    reason: denial.reason,
                    context: denial.context,
                    object: denial.object.to_vec(),
                    user: denial.user.to_vec(),
                    created_ms: denial.now_ms,
                    updated_ms: denial.now_ms,
                    client: denial.client,
                }
            }
        };
        self.entries.push_front(entry);
        self.entries.truncate(max_len);
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The entries, the newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }
}
