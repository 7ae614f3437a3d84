//! What the engine needs of the server that it runs in.

use super::Scripts;
use super::flags::Run;
use crate::resp::request::Argv;
use std::any::Any;

/// The server, as far as scripts reach it.
pub trait Host: Any + Sized {
    /// The scripts and the run that goes on.
    fn scripts(&mut self) -> &mut Scripts;

    /// Runs the command in `run.args`, if it may run, and leaves its reply in `run.reply`.
    fn call_from_script(&mut self, run: &mut Run);

    /// Whether the caller may run the command; none if there is no such command.
    fn caller_may_run(&mut self, argv: Argv<'_>) -> Option<bool>;

    /// What a script says to the log. Levels from 0 (debug) to 3 (warning).
    fn log_from_script(&self, level: u8, text: &[u8]);

    /// Asked every so often: why the script must end now, if it must. Serves clients meanwhile if it has run for long.
    fn interrupt(&mut self) -> Option<&'static str>;
}
