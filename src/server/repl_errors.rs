//! What a replica does when its master's stream cannot be applied or cannot be persisted: it says so loudly, and ends
//! if the configuration wants that.

use super::{ClientId, Server};
use crate::commands::command::flag;
use crate::commands::keys_of::{Described, keys_of};
use crate::config::PropagationErrorBehavior;
use crate::resp::request::Argv;

/// At most one line about an error in so many milliseconds: a stream that fails everywhere must not fill the disk.
const LOG_EVERY_MS: i64 = 1000;

/// What a replica remembers of the errors that it met in its master's stream.
#[derive(Debug, Default)]
pub struct StreamErrors {
    logged_ms: Option<i64>,
    unlogged: u64,
    disk_logged_ms: Option<i64>,
    /// The first one since the last full sync, and how many there were.
    since_sync: Option<(Failed, u64)>,
}

/// A command of the stream that was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its name, as it came.
    pub command: String,
    /// The database that the stream had selected.
    pub db: usize,
    /// Its first key, with what is not printable escaped; of a command that we do not know its first argument.
    pub key: String,
}

impl StreamErrors {
    /// The first command that failed since the last full sync, and how many did.
    pub fn since_sync(&self) -> Option<(&Failed, u64)> {
        self.since_sync.as_ref().map(|(first, count)| (first, *count))
    }

    /// A full sync has made it all good.
    pub(super) fn forgive(&mut self) {
        self.since_sync = None;
    }

    fn tell_unlogged(&mut self) {
        let unlogged = std::mem::take(&mut self.unlogged);
        if unlogged > 0 {
            log::error!("== CRITICAL == {unlogged} more such errors were not logged.");
        }
    }
}

/// So much of a key, in bytes, is shown.
const KEY_SHOWN: usize = 128;

fn shown(word: &[u8]) -> String {
    word[..word.len().min(KEY_SHOWN)].escape_ascii().to_string()
}

/// The exit code of a process that aborts itself, as a shell tells it.
const ABORTED: i32 = 134;

impl Server {
    /// What failed, by its name and key.
    fn failed(&self, id: ClientId, index: Option<usize>, argv: Argv<'_>) -> Failed {
        let described = index.map(|index| {
            let command = &self.table.commands[index];
            Described { name: &command.name, flags: command.flags, keys: command.keys }
        });
        let place = match described {
            Some(described) => keys_of(described, argv).ok().and_then(|places| places.first().copied()),
            None => Some(1),
        };
        let db = self.clients.get(id).map_or(0, |client| client.session.db);
        let key = place.and_then(|place| argv.get(place)).map_or_else(String::new, shown);
        Failed { command: shown(argv.at(0)), db, key }
    }

    /// Errors that were left out of the log for their number are at least counted there.
    pub(super) fn tell_unlogged_stream_errors(&mut self) {
        let now = self.keys.now;
        let errors = &mut self.repl.stream_errors;
        if errors.unlogged > 0 && errors.logged_ms.is_none_or(|logged_ms| (now - logged_ms).abs() >= LOG_EVERY_MS) {
            errors.logged_ms = Some(now);
            errors.tell_unlogged();
        }
    }

    /// A command of our master's stream failed here: what we hold may differ from what it holds from now on.
    #[cold]
    pub(super) fn note_stream_error(&mut self, id: ClientId, index: Option<usize>, argv: Argv<'_>, error: &[u8]) {
        let failed = self.failed(id, index, argv);
        self.stats.unexpected_error_replies += 1;
        let name = index.map_or("<unknown>", |index| self.table.commands[index].name.as_str()).to_string();
        let panics = self.config.propagation_error_behavior != PropagationErrorBehavior::Ignore;
        let errors = &mut self.repl.stream_errors;
        let is_due = errors.logged_ms.is_none_or(|logged_ms| (self.keys.now - logged_ms).abs() >= LOG_EVERY_MS);
        if is_due || panics {
            errors.logged_ms = Some(self.keys.now);
            // As stock shows it: the code is left out where it is the plain one.
            let shown = match error.strip_prefix(b"ERR ") {
                Some(rest) => String::from_utf8_lossy(rest).into_owned(),
                None => format!("-{}", String::from_utf8_lossy(error)),
            };
            log::error!(
                "== CRITICAL == This replica is sending an error to its master: '{shown}' after processing the command '{name}'"
            );
            let Failed { command, db, key } = &failed;
            log::error!(
                "== CRITICAL == The command '{command}' of our master for '{key}' in db {db} was not applied: what we hold differs from what it holds until the next full sync."
            );
            errors.tell_unlogged();
        } else {
            errors.unlogged += 1;
        }
        errors.since_sync.get_or_insert((failed, 0)).1 += 1;
        if panics {
            log::error!("This replica panicked sending an error to its master after processing the command '{name}'");
            self.exit_code = Some(ABORTED);
        }
    }

    /// Whether a command from our master may run though we cannot persist what it writes; if not, the process ends.
    #[cold]
    pub(super) fn may_apply_unpersisted(&mut self, index: usize) -> bool {
        let is_write = self.table.commands[index].flags & flag::WRITE != 0;
        if !is_write || !self.lacks_persistence() {
            return true;
        }
        if !self.config.replica_ignore_disk_write_errors {
            log::error!("Replica was unable to write command to disk.");
            self.exit_code = Some(ABORTED);
            return false;
        }
        let errors = &mut self.repl.stream_errors;
        if errors.disk_logged_ms.is_none_or(|logged_ms| (self.keys.now - logged_ms).abs() >= LOG_EVERY_MS * 10) {
            errors.disk_logged_ms = Some(self.keys.now);
            log::warn!("Replica is applying a command it is unable to write to disk.");
        }
        true
    }
}
