//! Functions in the house: FCALL and FCALL_RO, libraries that come with a command or with a snapshot (= the parts of
//! functions.c that touch the server).
//!
//! A library is a piece of the data set that no database holds: it travels to replicas as the commands that made it,
//! stands at the head of every snapshot, and goes only where somebody says so. What a function writes travels as what a
//! script writes.

use super::Server;
use super::client::ClientId;
use crate::commands::CommandError;
use crate::commands::ctx::integer;
use crate::persist::rdb::{DumpError, load_functions};
use crate::resp::request::Argv;
use crate::scripting::Functions;
use crate::scripting::engine::push_list;
use crate::scripting::functions::Policy;

/// So long may the code of a library run while it is loaded, in microseconds.
const LOAD_TIME_US: u64 = 500_000;
/// The same for a library that has been loaded elsewhere already: our master or a former run of ours took it.
const TRUSTED_LOAD_TIME_US: u64 = 10_000_000;

type Done = Result<(), CommandError>;

/// FCALL function numkeys [key …] [arg …]
pub fn fcall(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.fcall_generic(id, argv, false)
}

/// FCALL_RO
pub fn fcall_ro(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.fcall_generic(id, argv, true)
}

fn complaint(text: Vec<u8>) -> CommandError {
    CommandError::bytes([b"ERR ".as_slice(), &text].concat())
}

impl Server {
    fn fcall_generic(&mut self, id: ClientId, argv: Argv<'_>, read_only: bool) -> Done {
        self.refuse_within_script()?;
        self.show_script(id, argv);
        let function = self.scripts.functions.find(argv.at(1));
        let function = function.ok_or_else(|| CommandError::new("ERR Function not found"))?;
        let bad_count = |_| CommandError::new("ERR Bad number of keys provided");
        let count = integer(argv.at(2)).map_err(bad_count)?;
        let keys = super::scripting::checked_count(count, argv)?;
        self.prepare_run(id, function.flags, &function.name, read_only)?;
        let run = &mut self.scripts.run;
        run.is_function = true;
        run.command.clear();
        argv.iter().for_each(|arg| run.command.push(arg));
        let Some(mut engine) = self.scripts.functions.engine.take() else {
            return Err(CommandError::new("ERR Function not found"));
        };
        let outcome = self.run_script(id, argv, &mut engine, &function.callback, |stack| {
            push_list(stack, argv.from(3).iter().take(keys));
            push_list(stack, argv.from(3 + keys).iter());
            2
        });
        self.scripts.functions.engine = Some(engine);
        outcome
    }

    /// Until when a library that comes with a command of this client may take to load.
    fn load_deadline_us(&self, id: ClientId) -> u64 {
        let is_trusted = self.clients.get(id).is_some_and(|client| client.session.from_master);
        self.clock.monotonic_us() + if is_trusted { TRUSTED_LOAD_TIME_US } else { LOAD_TIME_US }
    }

    /// Works with the libraries, whose code may need the server meanwhile.
    fn with_functions<R>(&mut self, work: impl FnOnce(&mut Functions, &mut Server) -> R) -> R {
        let mut functions = std::mem::take(&mut self.scripts.functions);
        let outcome = work(&mut functions, self);
        self.scripts.functions = functions;
        outcome
    }

    /// FUNCTION LOAD: the library's name.
    pub(super) fn load_library(&mut self, id: ClientId, code: &[u8], replace: bool) -> Result<Vec<u8>, CommandError> {
        self.refuse_within_script()?;
        let until_us = self.load_deadline_us(id);
        let loaded = self.with_functions(|functions, server| functions.load(server, code, replace, until_us));
        self.keys.dirty += u64::from(loaded.is_ok());
        loaded.map_err(complaint)
    }

    /// FUNCTION RESTORE
    pub(super) fn restore_libraries(&mut self, id: ClientId, payload: &[u8], policy: Policy) -> Done {
        self.refuse_within_script()?;
        let (codes, flaw) = load_functions(payload).map_err(|error| match error {
            DumpError::VersionOrChecksum => CommandError::new("ERR DUMP payload version or checksum are wrong"),
            DumpError::BadData => CommandError::new("ERR Bad data format"),
        })?;
        let until_us = self.load_deadline_us(id);
        let restored =
            self.with_functions(|functions, server| functions.restore(server, &codes, flaw, policy, until_us));
        self.keys.dirty += u64::from(restored.is_ok());
        restored.map_err(complaint)
    }

    /// FUNCTION DELETE
    pub(super) fn delete_library(&mut self, name: &[u8]) -> Done {
        self.refuse_within_script()?;
        if !self.scripts.functions.delete(name) {
            return Err(CommandError::new("ERR Library not found"));
        }
        self.keys.dirty += 1;
        Ok(())
    }

    /// FUNCTION FLUSH
    pub(super) fn flush_libraries(&mut self) -> Done {
        self.refuse_within_script()?;
        self.scripts.functions.flush();
        self.keys.dirty += 1;
        Ok(())
    }

    /// The libraries of a snapshot, ready to take the place of ours; what is wrong with one of them.
    pub(super) fn stage_libraries(&mut self, codes: &[Vec<u8>]) -> Result<Functions, String> {
        let mut staged = Functions::default();
        let until_us = self.clock.monotonic_us() + TRUSTED_LOAD_TIME_US;
        for code in codes {
            staged.load(self, code, false, until_us).map_err(refusal)?;
        }
        Ok(staged)
    }

    /// Adds the libraries of a snapshot to ours.
    pub(super) fn merge_libraries(&mut self, codes: &[Vec<u8>], replace: bool) -> Result<(), String> {
        let policy = if replace { Policy::Replace } else { Policy::Append };
        let until_us = self.clock.monotonic_us() + TRUSTED_LOAD_TIME_US;
        self.with_functions(|functions, server| functions.restore(server, codes, None, policy, until_us))
            .map_err(refusal)
    }
}

fn refusal(why: Vec<u8>) -> String {
    format!("Failed creating the library: {}", String::from_utf8_lossy(&why))
}
