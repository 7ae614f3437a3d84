//! Scripts in the house: EVAL and its kin, the commands that scripts run, and what is served while one runs for long
//! (= eval.c and script.c).
//!
//! What a script writes travels as one transaction. A command of a script is one of its caller: it runs through `call` like
//! any other, with the caller's output put aside, so that nothing of what follows from a command is written twice.
//!
//! A script that runs for longer than `busy-reply-threshold` is interrupted now and then: clients are read from, and
//! answered BUSY but for the few commands that are allowed then. None of those touches data; what would (our master's
//! stream, the served queues of waiting clients, time itself) waits for the script's end.

use super::client::{Access, ClientId};
use super::{Procedure, Server};
use crate::acl::Denied;
use crate::acl::log::Context;
use crate::base::lua::{Reference, Stack};
use crate::commands::CommandError;
use crate::commands::command::flag;
use crate::commands::ctx::integer;
use crate::commands::error::OOM;
use crate::reactor::Fired;
use crate::resp::request::Argv;
use crate::scripting::{Dialect, Ending, Engine, Flags, Host, Run, Script, Scripts};
use std::rc::Rc;

const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
const NOT_FROM_SCRIPT: &str = "ERR This Redis command is not allowed from script";
const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
     either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
const SENT_BY_MASTER: &str = "UNKILLABLE The busy script was sent by a master instance in the context of replication \
     and cannot be killed.";
const BUSY_SCRIPT: &str = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

/// What is raised in a script that is to end; of a function, too.
const KILLED: &str = "Script killed by user with SCRIPT KILL...";

type Done = Result<(), CommandError>;

/// EVAL script numkeys [key …] [arg …]
pub fn eval(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.eval_generic(id, argv, false, false)
}

/// EVAL_RO
pub fn eval_ro(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.eval_generic(id, argv, false, true)
}

/// EVALSHA sha1 numkeys [key …] [arg …]
pub fn evalsha(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.eval_generic(id, argv, true, false)
}

/// EVALSHA_RO
pub fn evalsha_ro(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    server.eval_generic(id, argv, true, true)
}

/// How many keys stand after their number at index 2.
pub fn count_of_keys(argv: Argv<'_>) -> Result<usize, CommandError> {
    checked_count(integer(argv.at(2))?, argv)
}

/// That number, if so many arguments follow.
pub(super) fn checked_count(count: i64, argv: Argv<'_>) -> Result<usize, CommandError> {
    if count > argv.len() as i64 - 3 {
        return Err(CommandError::new("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CommandError::new("ERR Number of keys can't be negative"))
}

impl Server {
    fn eval_generic(&mut self, id: ClientId, argv: Argv<'_>, by_sha: bool, read_only: bool) -> Done {
        self.refuse_within_script()?;
        self.show_script(id, argv);
        if by_sha && argv.at(1).len() != 40 {
            return Err(CommandError::new(NO_SCRIPT));
        }
        let keys = count_of_keys(argv)?;
        let script = match by_sha {
            true => self.scripts.by_sha(argv.at(1)).ok_or_else(|| CommandError::new(NO_SCRIPT))?,
            false => self.script_of(argv.at(1))?,
        };
        self.prepare_run(id, script.flags, &script.sha, read_only)?;
        let Some(mut engine) = self.scripts.engine.take() else { return Err(CommandError::new(NO_SCRIPT)) };
        engine.set_keys_and_args(argv.from(3).iter().take(keys), argv.from(3 + keys).iter());
        let outcome = self.run_script(id, argv, &mut engine, &script.function, |_| 0);
        self.scripts.engine = Some(engine);
        outcome
    }

    /// Whatever is allowed to scripts, an engine that is at work cannot be changed or run.
    pub(super) fn refuse_within_script(&self) -> Done {
        if self.script_caller.is_some() { Err(CommandError::new(NOT_FROM_SCRIPT)) } else { Ok(()) }
    }

    /// The script of this text, made if it is not known.
    pub(super) fn script_of(&mut self, body: &[u8]) -> Result<Rc<Script>, CommandError> {
        self.refuse_within_script()?;
        if let Some(script) = self.scripts.by_body(body) {
            return Ok(script);
        }
        if self.scripts.engine.is_none() {
            self.scripts.engine = Engine::new::<Server>(Dialect::Scripts);
        }
        let complain = |text: Vec<u8>| CommandError::bytes([b"ERR ".as_slice(), &text].concat());
        self.scripts.create(body).map_err(complain)
    }

    /// Whether a script may run now, as far as it tells what it will do; notes the run (= scriptPrepareForRun).
    pub(super) fn prepare_run(&mut self, id: ClientId, flags: Flags, name: &[u8], read_only: bool) -> Done {
        let from_master = self.clients.get(id).is_some_and(|client| client.session.from_master);
        let is_stale = self.repl.is_replica() && !self.repl.is_link_up() && !self.config.replica_serve_stale_data;
        let is_short = self.config.maxmemory > 0 && self.eviction.out_of_memory;
        let may_write = !flags.has(Flags::COMPATIBLE) && !flags.has(Flags::NO_WRITES);
        if may_write && !from_master {
            if is_short && !flags.has(Flags::ALLOW_OOM) {
                return Err(OOM);
            }
            self.may_write_from_script()?;
        }
        if is_stale && !flags.has(Flags::ALLOW_STALE) {
            return Err(CommandError::new(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        if may_write && read_only {
            return Err(CommandError::new("ERR Can not execute a script with write flag using *_ro command."));
        }
        let now_us = self.clock.monotonic_us();
        let run = &mut self.scripts.run;
        run.begin(flags, name, now_us);
        run.read_only = read_only || flags.has(Flags::NO_WRITES);
        run.allow_oom = flags.has(Flags::ALLOW_OOM) || from_master;
        Ok(())
    }

    /// Whether anything keeps scripts from writing; asked before one that declares that it may, and before each write.
    fn may_write_from_script(&self) -> Done {
        if self.calm {
            return Ok(());
        }
        if self.repl.is_replica() && self.config.replica_read_only {
            return Err(CommandError::new("READONLY You can't write against a read only replica."));
        }
        if let Some(error) = self.disk_error() {
            return Err(error);
        }
        if self.lacks_good_replicas() {
            return Err(CommandError::new("NOREPLICAS Not enough good replicas to write."));
        }
        Ok(())
    }

    /// Runs a function in an engine and answers the client (= luaCallFunction). `prepare_run` has been asked.
    pub(super) fn run_script(
        &mut self,
        id: ClientId,
        argv: Argv<'_>,
        engine: &mut Engine,
        function: &Reference,
        push_args: impl FnOnce(&mut Stack<'_>) -> i32,
    ) -> Done {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let db = client.session.db;
        let mut reply = std::mem::take(&mut client.reply);
        client.reply.resp3 = reply.resp3;
        self.script_caller = Some(id);
        self.exec_depth += 1;
        let ending = engine.run(self, function, push_args, &mut reply);
        self.exec_depth -= 1;
        self.script_caller = None;
        if std::mem::take(&mut self.scripts.run.timed_out) {
            self.update_calm();
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.session.db = db;
            client.reply = reply;
        }
        self.keys.select(db);
        if self.exec_depth == 0 {
            self.end_transaction(id);
        }
        self.effects.propagate_nothing();
        match ending {
            Ending::Done(errors) => {
                if !errors.is_empty() {
                    self.count_failure(argv);
                }
                for error in errors.iter().filter(|error| !error.is_counted) {
                    self.stats.note_error(&error.text);
                }
                Ok(())
            }
            Ending::Failed(error) if error.is_counted => {
                // It was counted as that of a command of the script.
                self.count_failure(argv);
                if let Some(client) = self.clients.get_mut(id) {
                    client.reply.error(&error.text);
                }
                Ok(())
            }
            Ending::Failed(error) => Err(CommandError::bytes(error.text)),
        }
    }

    fn count_failure(&mut self, argv: Argv<'_>) {
        if let Some(index) = self.table.lookup(argv) {
            self.table.commands[index].stats.failed += 1;
        }
    }

    /// Whether a command may run in a script: its index (= scriptCall).
    fn may_run_in_script(&mut self, id: ClientId, run: &Run) -> Result<usize, (Option<usize>, CommandError)> {
        let argv = run.args.argv();
        let unknown = || (None, CommandError::new("ERR Unknown Redis command called from script"));
        let index = self.table.lookup(argv).ok_or_else(unknown)?;
        let command = &self.table.commands[index];
        if !command.subcommands.is_empty() && argv.len() >= 2 {
            return Err(unknown());
        }
        let flags = command.flags;
        let refuse = |text: &str| Err((Some(index), CommandError::new(text)));
        if super::dispatch::check_arity(command, argv).is_err() {
            return refuse("ERR Wrong number of args calling Redis command from script");
        }
        if flags & flag::NOSCRIPT != 0 && !self.scripts.allows_all_commands {
            return refuse(NOT_FROM_SCRIPT);
        }
        let is_stale =
            !self.calm && self.repl.is_replica() && !self.repl.is_link_up() && !self.config.replica_serve_stale_data;
        if is_stale && flags & flag::STALE == 0 {
            return refuse("ERR Can not execute the command on a stale replica");
        }
        let client = self.clients.get(id);
        let from_master = client.is_some_and(|client| client.session.from_master);
        if client.is_some_and(|client| client.access == Access::ByRules)
            && let Some(text) = self.script_acl_refusal(id, index, argv)
        {
            return refuse(text);
        }
        if flags & flag::WRITE != 0 {
            if run.read_only {
                return refuse("ERR Write commands are not allowed from read-only scripts.");
            }
            if !from_master {
                self.may_write_from_script().map_err(|error| (Some(index), error))?;
            }
        }
        let is_short = self.config.maxmemory > 0 && self.eviction.out_of_memory;
        if is_short && flags & flag::DENYOOM != 0 && !run.allow_oom && !run.wrote {
            return Err((Some(index), OOM));
        }
        Ok(index)
    }

    fn script_acl_refusal(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Option<&'static str> {
        let denied = self.acl_check(id, index, argv).err()?;
        self.note_refused(id, index, argv, denied, Context::Lua);
        Some(match denied {
            Denied::Command => "ERR The user executing the script can't run this command or subcommand",
            Denied::Key(_) => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command \
                 arguments"
            }
            Denied::Channel(_) => {
                "ERR The user executing the script can't publish to the channel mentioned in the command"
            }
        })
    }

    /// Answers a command of a script that may not run.
    fn refuse_in_script(&mut self, run: &mut Run, index: Option<usize>, error: &CommandError) {
        self.stats.note_error(&error.0);
        if let Some(index) = index {
            self.table.commands[index].stats.rejected += 1;
        }
        run.reply.error(&error.0);
    }

    /// What clients are told while a script runs for long.
    pub(super) fn busy_error(&self) -> Option<CommandError> {
        let run = &self.scripts.run;
        run.timed_out.then(|| CommandError::new(if run.is_function { BUSY_FUNCTION } else { BUSY_SCRIPT }))
    }

    fn kill_command(&self) -> &'static str {
        if self.scripts.run.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" }
    }

    /// SCRIPT KILL and FUNCTION KILL.
    pub(super) fn kill_script(&mut self, id: ClientId, is_function: bool) -> Done {
        let Some(caller) = self.script_caller else { return Err(CommandError::new(NOT_BUSY)) };
        let run = &self.scripts.run;
        if self.clients.get(caller).is_some_and(|client| client.session.from_master) {
            return Err(CommandError::new(SENT_BY_MASTER));
        }
        if run.wrote {
            return Err(CommandError::new(UNKILLABLE));
        }
        if run.is_function != is_function {
            return Err(CommandError::new(if run.is_function { BUSY_FUNCTION } else { BUSY_SCRIPT }));
        }
        self.scripts.run.killed = true;
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }

    /// Serves clients while a script runs (= processEventsWhileBlocked).
    fn process_events_while_blocked(&mut self, caller: ClientId) {
        let is_serving = self.blocked.suspend();
        let own_messages = self.take_own_messages();
        let has_aftermath = std::mem::take(&mut self.has_aftermath);
        let mut fired = self.take_fired();
        if let Err(error) = self.event_loop.poll_now(&mut fired) {
            log::error!("Waiting for events: {error}");
        }
        let mut later = Vec::new();
        for event in fired {
            match event {
                Fired::File(_, Procedure::ReadQueryFromClient(id)) if self.may_be_served(id, caller) => {
                    self.read_query_from_client(id);
                }
                Fired::File(_, Procedure::SendReplyToClient(id)) if id != caller => self.send_reply_to_client(id),
                Fired::File(_, Procedure::AcceptHandler(listener)) => self.accept_handler(listener),
                other => later.push(other),
            }
        }
        self.put_back_fired(later);
        self.write_to_others(caller);
        self.blocked.resume(is_serving);
        self.put_back_own_messages(own_messages);
        self.has_aftermath |= has_aftermath;
    }

    /// Whether a client may be read from while a script of `caller` runs.
    fn may_be_served(&self, id: ClientId, caller: ClientId) -> bool {
        id != caller && self.clients.get(id).is_some_and(|client| !client.session.from_master)
    }
}

impl Host for Server {
    fn scripts(&mut self) -> &mut Scripts {
        &mut self.scripts
    }

    fn call_from_script(&mut self, run: &mut Run) {
        run.reply.out.clear();
        let Some(id) = self.script_caller else { return };
        let index = match self.may_run_in_script(id, run) {
            Ok(index) => index,
            Err((index, error)) => return self.refuse_in_script(run, index, &error),
        };
        run.wrote |= self.table.commands[index].flags & flag::WRITE != 0;
        let kept = (!run.replicates).then(|| self.transaction.clone());
        if let Some(client) = self.clients.get_mut(id) {
            std::mem::swap(&mut client.reply, &mut run.reply);
        }
        self.call(id, index, run.args.argv(), None);
        if let Some(client) = self.clients.get_mut(id) {
            std::mem::swap(&mut client.reply, &mut run.reply);
        }
        if let Some(kept) = kept {
            self.transaction = kept;
        }
    }

    fn caller_may_run(&mut self, argv: Argv<'_>) -> Option<bool> {
        let index = self.table.lookup(argv)?;
        let command = &self.table.commands[index];
        if !command.subcommands.is_empty() && argv.len() >= 2 {
            return None;
        }
        let id = self.script_caller?;
        Some(self.acl_check(id, index, argv).is_ok())
    }

    fn log_from_script(&self, level: u8, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        match level {
            0 => log::trace!("{text}"),
            1 => log::debug!("{text}"),
            2 => log::info!("{text}"),
            _ => log::warn!("{text}"),
        }
    }

    fn interrupt(&mut self) -> Option<&'static str> {
        if let Some(registering) = &self.scripts.registering {
            return (self.clock.monotonic_us() > registering.until_us).then_some("FUNCTION LOAD timeout");
        }
        let threshold_us = self.config.busy_reply_threshold.saturating_mul(1000);
        let elapsed_us = self.clock.monotonic_us().saturating_sub(self.scripts.run.started_us);
        if threshold_us == 0 || elapsed_us < threshold_us {
            return self.scripts.run.killed.then_some(KILLED);
        }
        let caller = self.script_caller?;
        if !self.scripts.run.timed_out {
            self.scripts.run.timed_out = true;
            self.update_calm();
            log::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try killing the script using \
                 the {} command. Script name is: {}.",
                elapsed_us / 1000,
                self.kill_command(),
                String::from_utf8_lossy(&self.scripts.run.name)
            );
        }
        self.process_events_while_blocked(caller);
        let ends = self.scripts.run.killed || self.exit_code.is_some();
        if ends {
            log::warn!("Lua script killed by user with {}.", self.kill_command());
        }
        ends.then_some(KILLED)
    }
}
