//! What a replica does when its master's stream cannot be applied or cannot be persisted: it says so loudly, and ends
//! if the configuration wants that.

use super::Server;
use crate::commands::command::flag;
use crate::config::PropagationErrorBehavior;

/// At most one line about an error in so many milliseconds: a stream that fails everywhere must not fill the disk.
const LOG_EVERY_MS: i64 = 1000;

/// What a replica remembers of the errors that it met in its master's stream.
#[derive(Debug, Default)]
pub struct StreamErrors {
    logged_ms: Option<i64>,
    unlogged: u64,
    disk_logged_ms: Option<i64>,
}

/// The exit code of a process that aborts itself, as a shell tells it.
const ABORTED: i32 = 134;

impl Server {
    /// A command of our master's stream failed here: what we hold may differ from what it holds from now on.
    #[cold]
    pub(super) fn note_stream_error(&mut self, index: Option<usize>, error: &[u8]) {
        self.stats.unexpected_error_replies += 1;
        let name = index.map_or("<unknown>", |index| self.table.commands[index].name.as_str()).to_string();
        let panics = self.config.propagation_error_behavior != PropagationErrorBehavior::Ignore;
        let errors = &mut self.repl.stream_errors;
        let is_due = errors.logged_ms.is_none_or(|logged_ms| (self.keys.now - logged_ms).abs() >= LOG_EVERY_MS);
        if is_due || panics {
            errors.logged_ms = Some(self.keys.now);
            let unlogged = std::mem::take(&mut errors.unlogged);
            // As stock shows it: the code is left out where it is the plain one.
            let shown = match error.strip_prefix(b"ERR ") {
                Some(rest) => String::from_utf8_lossy(rest).into_owned(),
                None => format!("-{}", String::from_utf8_lossy(error)),
            };
            log::error!(
                "== CRITICAL == This replica is sending an error to its master: '{shown}' after processing the command '{name}'"
            );
            if unlogged > 0 {
                log::error!("== CRITICAL == {unlogged} more such errors were not logged.");
            }
        } else {
            errors.unlogged += 1;
        }
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
