//! From a command's arguments to its effects: `process_command` asks whether it may run, `call` runs it and does, in
//! one place, what follows from a change.

use super::client::{Access, Client, ClientId, Multi, ReplyMode};
use super::table::{Command, Run, Special};
use super::{Server, ticks};
use crate::commands::command::flag;
use crate::commands::error::c_string_up_to;
use crate::commands::{CommandError, Ctx};
use crate::keyspace::ExpirePolicy;
use crate::resp::request::{Argv, OwnedArgv};

impl Server {
    /// Runs, queues or refuses one command of a client. `raw` is the command as it came, where that is also the form
    /// in which it travels to replicas.
    pub fn process_command(&mut self, id: ClientId, argv: Argv<'_>, raw: Option<&[u8]>) {
        self.process_known(id, self.table.lookup(argv), argv, raw);
    }

    /// `process_command` where the caller has looked the command up.
    #[inline]
    pub fn process_known(&mut self, id: ClientId, command: Option<usize>, argv: Argv<'_>, raw: Option<&[u8]>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.reply_mode != ReplyMode::On || client.session.from_master {
            let unanswered = client.reply_mode != ReplyMode::SkipNext || client.session.from_master;
            client.muted_from = unanswered.then_some(self.reply_start);
        }
        self.admit_command(id, command, argv, raw);
        self.settle_reply(id);
        if self.has_aftermath {
            self.attend_to_aftermath(id);
        }
    }

    /// Whether a command of an ordinary client can be called without further questions while nothing is amiss.
    #[inline]
    pub(super) fn runs_at_once(&mut self, index: usize, argv: Argv<'_>) -> bool {
        let command = &self.table.commands[index];
        let is_free = !self.alert || (self.calm && self.eviction.has_room());
        is_free && command.is_about_data() && command.takes(argv.len())
    }

    /// What is due once a command is answered: messages to the caller itself, and clients that wait for keys that the
    /// command, or the transaction, has made ready.
    #[cold]
    pub(super) fn attend_to_aftermath(&mut self, id: ClientId) {
        self.has_aftermath = false;
        self.deliver_own_messages(id);
        self.handle_clients_blocked_on_keys();
    }

    #[inline]
    fn admit_command(&mut self, id: ClientId, command: Option<usize>, argv: Argv<'_>, raw: Option<&[u8]>) {
        let Some(index) = command else {
            if is_http(argv.at(0)) {
                return self.security_warning(id);
            }
            return self.reject(id, None, argv, unknown_command(argv));
        };
        if let Err(error) = self.may_run(id, index, argv) {
            // A container is not to blame for subcommands that it does not have.
            let is_known = self.table.commands[index].subcommands.is_empty() || argv.len() < 2;
            return self.reject(id, is_known.then_some(index), argv, error);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        client.last_command = Some(index);
        let in_transaction = client.multi.is_some();
        if !self.calm {
            let from_master = client.session.from_master;
            self.heed_no_touch(id, index);
            if !self.snapshot.last_save_ok && from_master && !self.may_apply_unpersisted(index) {
                return;
            }
            if self.is_paused_for(id, self.may_replicate(id, index)) {
                return self.postpone(id, argv);
            }
        }
        if in_transaction && self.table.commands[index].special == Special::None {
            return self.queue(id, index, argv);
        }
        self.call(id, index, argv, raw);
    }

    /// Somebody makes a browser talk to us: ends the connection. The log hears of it once a minute at most.
    #[cold]
    fn security_warning(&mut self, id: ClientId) {
        let now = self.keys.now / 1000;
        if (now - self.attack_logged_s).abs() > 60 {
            self.attack_logged_s = now;
            let peer = self.clients.get(id).map_or("?", |client| client.peer_name.as_str());
            log::warn!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
                 This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
                 instance. Connection from {peer} aborted."
            );
        }
        self.close_client(id);
    }

    /// Answers why a command does not run. A transaction that it was to be part of is spoilt; one that it was to
    /// execute is over.
    fn reject(&mut self, id: ClientId, index: Option<usize>, argv: Argv<'_>, error: CommandError) {
        let mut text = error.0;
        if self.tracking.is_on() {
            self.forget_caching(id);
        }
        if let Some(index) = index {
            let command = &mut self.table.commands[index];
            command.stats.rejected += 1;
            if command.special == Special::Exec {
                let reason = text.strip_prefix(b"ERR ").unwrap_or(&text);
                text = [b"EXECABORT Transaction discarded because of: ", reason].concat().into();
                if let Some(client) = self.clients.get_mut(id) {
                    client.multi = None;
                }
                self.unwatch_all(id);
            }
        }
        self.stats.note_error(&text);
        if let Some(client) = self.clients.get_mut(id) {
            // Of a transaction that our master has executed we do what we can; that a part is missing is told.
            if let Some(multi) = client.multi.as_mut().filter(|_| !client.session.from_master) {
                multi.broken = true;
            }
            client.reply.error(&text);
            if client.session.from_master {
                self.note_stream_error(id, index, argv, &text);
            }
        }
    }

    fn queue(&mut self, id: ClientId, index: usize, argv: Argv<'_>) {
        if let Err(error) = self.check_if_protected(id, index) {
            return self.reject(id, Some(index), argv, error);
        }
        let no_multi = self.table.commands[index].flags & flag::NO_MULTI != 0;
        if no_multi {
            let error = CommandError::new("ERR Command not allowed inside a transaction");
            return self.reject(id, Some(index), argv, error);
        }
        if let Some(client) = self.clients.get_mut(id) {
            if let Some(multi) = &mut client.multi {
                let args = OwnedArgv::copy_of(argv);
                multi.bytes += args.memory_bytes();
                multi.queued.push((index, args));
            }
            client.reply.status("QUEUED");
        }
        self.client_memory.note(id);
    }

    /// Everything that may keep a command from running, in the order in which Redis asks.
    fn may_run(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        let command = &self.table.commands[index];
        if !command.subcommands.is_empty() && argv.len() >= 2 {
            return Err(unknown_subcommand(argv));
        }
        check_arity(command, argv)?;
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        if client.session.from_master {
            // Whatever it takes: a replica that refuses a change of its master's is none.
            return if self.config.maxmemory > 0 { self.check_memory(id, index).or(Ok(())) } else { Ok(()) };
        }
        if client.access != Access::Everything {
            self.may_access(id, index, argv)?;
            return self.may_run_on_alert(id, index, argv);
        }
        let is_plain = client.replica.is_none() && !client.is_subscriber;
        if is_plain && !self.alert {
            return Ok(());
        }
        if is_plain && self.calm && self.eviction.has_room() {
            return Ok(());
        }
        self.may_run_on_alert(id, index, argv)
    }

    /// The part of `may_run` that looks closely: first at memory, then, where it matters, at everything else.
    #[inline(never)]
    fn may_run_on_alert(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        if self.config.maxmemory > 0 {
            self.check_memory(id, index)?;
        }
        let is_plain = |client: &Client| client.replica.is_none() && !client.is_subscriber;
        if self.calm && self.clients.get(id).is_none_or(is_plain) {
            return Ok(());
        }
        self.may_run_now(id, index, argv)
    }

    /// The part of `may_run` that matters only while something is amiss; `calm` says when it can be left out.
    #[cold]
    fn may_run_now(&self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        let command = &self.table.commands[index];
        let is_exec_of_writes = command.special == Special::Exec && self.transaction_has(id, flag::WRITE);
        let is_write = command.flags & flag::WRITE != 0 || is_exec_of_writes;
        // Whoever watches a server by PING is to hear of it, too.
        let is_ping = argv.at(0).eq_ignore_ascii_case(b"ping");
        if (is_write || is_ping)
            && let Some(error) = self.disk_error()
        {
            return Err(error);
        }
        if is_write && self.lacks_good_replicas() {
            return Err(CommandError::new("NOREPLICAS Not enough good replicas to write."));
        }
        if is_write && self.repl.is_replica() && self.config.replica_read_only {
            return Err(CommandError::new("READONLY You can't write against a read only replica."));
        }
        self.may_run_subscribed(id, command)?;
        let stale_data = self.repl.is_replica() && !self.repl.is_link_up() && !self.config.replica_serve_stale_data;
        if stale_data && self.lacks_flag(id, command, flag::STALE) {
            return Err(CommandError::new(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        let is_loading = self.loading.is_some() || self.repl.link.loads_alone();
        if is_loading && self.lacks_flag(id, command, flag::LOADING) {
            return Err(CommandError::new("LOADING Redis is loading the dataset in memory"));
        }
        if command.flags & flag::NO_ASYNC_LOADING != 0 && self.repl.link.loads_beside_data() {
            return Err(CommandError::new("LOADING Redis is loading the dataset in memory"));
        }
        if command.flags & flag::ALLOW_BUSY == 0
            && let Some(error) = self.busy_error()
        {
            return Err(error);
        }
        let is_replica = self.clients.get(id).is_some_and(|client| client.replica.is_some() || client.is_monitor);
        let touches_keys = command.flags & (flag::WRITE | flag::READONLY) != 0;
        if is_replica && (touches_keys || argv.at(0).eq_ignore_ascii_case(b"exec")) {
            return Err(CommandError::new("ERR Replica can't interact with the keyspace"));
        }
        Ok(())
    }

    /// Whether a command of the client's transaction has one of these flags.
    pub(super) fn transaction_has(&self, id: ClientId, flags: u32) -> bool {
        let multi = self.clients.get(id).and_then(|client| client.multi.as_ref());
        multi.is_some_and(|multi| multi.queued.iter().any(|(index, _)| self.table.commands[*index].flags & flags != 0))
    }

    /// Whether a command, or one of the transaction that it executes, has not this flag.
    fn lacks_flag(&self, id: ClientId, command: &Command, wanted: u32) -> bool {
        let multi = self.clients.get(id).and_then(|client| client.multi.as_ref());
        let queued_lacks = || {
            multi.is_some_and(|multi| {
                multi.queued.iter().any(|(index, _)| self.table.commands[*index].flags & wanted == 0)
            })
        };
        command.flags & wanted == 0 || (command.special == Special::Exec && queued_lacks())
    }

    /// Whether replicas may hear of a command, or of those of the transaction that it executes.
    #[cold]
    fn may_replicate(&self, id: ClientId, index: usize) -> bool {
        const FLAGS: u32 = flag::WRITE | flag::MAY_REPLICATE;
        let command = &self.table.commands[index];
        command.flags & FLAGS != 0 || (command.special == Special::Exec && self.transaction_has(id, FLAGS))
    }

    /// Whether the last snapshot failed and the configuration wants that noticed.
    pub(super) fn lacks_persistence(&self) -> bool {
        self.config.stop_writes_on_bgsave_error && !self.config.save.is_empty() && !self.snapshot.last_save_ok
    }

    /// Why writes are refused, if the last snapshot failed and the configuration wants that noticed.
    pub(super) fn disk_error(&self) -> Option<CommandError> {
        let failed = self.lacks_persistence() && !self.repl.is_replica();
        failed.then(|| {
            CommandError::new(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Commands that may modify the data set are disabled, because this instance is configured to report \
                 errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check \
                 the Redis logs for details about the RDB error.",
            )
        })
    }

    /// Finds out whether anything is amiss that `may_run_now` must ask about. Called when one of its causes changes.
    pub fn update_calm(&mut self) {
        self.calm = !self.repl.is_replica()
            && self.loading.is_none()
            && self.disk_error().is_none()
            && self.pauses.in_force().is_none()
            && !self.lacks_good_replicas()
            && self.clients.monitors.is_empty()
            && self.clients.untouching == 0
            && !self.scripts.run.timed_out;
        self.alert = !self.calm || self.config.maxmemory > 0;
    }

    /// Runs a command and does what follows from it.
    pub fn call(&mut self, id: ClientId, index: usize, argv: Argv<'_>, raw: Option<&[u8]>) {
        self.call_from(ticks(), id, index, argv, raw);
    }

    /// `call` where the time is known. Returns the time at which the command itself was done.
    pub(super) fn call_from(
        &mut self,
        start: u64,
        id: ClientId,
        index: usize,
        argv: Argv<'_>,
        raw: Option<&[u8]>,
    ) -> u64 {
        let dirty = self.keys.dirty;
        self.keys.expire_policy = self.expire_policy(id);
        let result = self.execute(id, index, argv);
        let command = &mut self.table.commands[index];
        let end = ticks();
        let took = end.wrapping_sub(start);
        command.stats.calls += 1;
        command.stats.ticks += took;
        match &mut command.latency {
            Some(histogram) => histogram.record(took),
            None => self.begin_histogram(index, took),
        }
        if let Err(error) = result {
            self.table.commands[index].stats.failed += 1;
            self.stats.note_error(&error.0);
            if let Some(client) = self.clients.get_mut(id) {
                client.reply.error(&error.0);
                if client.session.from_master {
                    self.note_stream_error(id, Some(index), argv, &error.0);
                }
            }
        }
        self.stats.commands_processed += 1;
        let changed = self.keys.dirty != dirty;
        if !self.effects.is_plain() || !self.keys.expired.is_empty() {
            self.attend_to_effects(id, index, argv, raw, changed);
        } else if changed && self.wants_propagation() {
            self.propagate_command(id, argv, raw);
            self.note_write_offset(id);
        }
        if self.keys.has_news {
            self.tell_news(Some(id));
        }
        if took >= self.notice_ticks {
            self.notice(id, index, argv, took);
        }
        end
    }

    #[inline]
    fn execute(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        match self.table.commands[index].run {
            Run::Data(function) => {
                let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
                self.keys.select(client.session.db);
                let now = self.keys.now;
                let mut ctx = Ctx {
                    keys: &mut self.keys,
                    caller: &mut client.session,
                    reply: &mut client.reply,
                    effects: &mut self.effects,
                    limits: &self.limits,
                    now,
                };
                function(&mut ctx, argv)
            }
            Run::House(function) => function(self, id, argv),
            Run::Container => Ok(()),
        }
    }

    #[inline]
    fn expire_policy(&mut self, id: ClientId) -> ExpirePolicy {
        if self.calm {
            return ExpirePolicy::Delete;
        }
        if !self.repl.is_replica() {
            // A pause keeps the data set as it is.
            let paused = self.pauses.in_force().is_some();
            return if paused { ExpirePolicy::Hide } else { ExpirePolicy::Delete };
        }
        let from_master = self.clients.get(id).is_some_and(|client| client.session.from_master);
        if from_master {
            self.keys.bring_back_fields();
            return ExpirePolicy::Ignore;
        }
        ExpirePolicy::Hide
    }

    /// What follows from a command that says what, and from keys that expired as it looked at them: their deletions
    /// travel first, then the command or what stands for it.
    #[inline(never)]
    fn attend_to_effects(&mut self, id: ClientId, index: usize, argv: Argv<'_>, raw: Option<&[u8]>, changed: bool) {
        self.propagate_expired();
        let wait = self.effects.take_wait();
        if self.effects.is_replaced() {
            let mut effects = std::mem::take(&mut self.effects);
            let (bytes, count) = effects.replacement();
            if count > 0 {
                let db = self.keys.selected();
                self.propagate(db, bytes, count);
            }
            effects.clear();
            self.effects = effects;
        } else if wait.is_none() && (changed || self.effects.is_forced()) && self.wants_propagation() {
            self.propagate_command(id, argv, raw);
        }
        if self.wants_propagation() {
            self.note_write_offset(id);
        }
        self.effects.clear();
        if let Some(wait) = wait {
            self.wait_for_keys(id, index, argv, wait);
        }
    }

    /// Hands a command on as it is.
    #[inline]
    fn propagate_command(&mut self, id: ClientId, argv: Argv<'_>, raw: Option<&[u8]>) {
        let db = self.clients.get(id).map_or(0, |client| client.session.db);
        match raw {
            Some(raw) => self.propagate(db, raw, 1),
            None => {
                let mut bytes = Vec::new();
                crate::resp::reply::encode_command(&mut bytes, argv.iter());
                self.propagate(db, &bytes, 1);
            }
        }
    }

    /// Notes how far the stream is after a client's change, for its WAIT.
    #[inline]
    fn note_write_offset(&mut self, id: ClientId) {
        if self.exec_depth == 0
            && let Some(client) = self.clients.get_mut(id)
        {
            client.write_offset = self.repl.log.end();
        }
    }

    /// Lets the watchers of changed keys know that their EXEC must do nothing, and listeners of what happened to keys.
    /// Who waits for a key is served later, between commands. `caller`: whose command runs.
    #[cold]
    pub fn tell_news(&mut self, caller: Option<ClientId>) {
        self.keys.has_news = false;
        self.has_aftermath |= self.keys.waits.has_ready();
        for watcher in std::mem::take(&mut self.keys.touched_watchers) {
            if let Some(client) = self.clients.get_mut(ClientId::of_watcher(watcher)) {
                client.watch_touched = true;
            }
        }
        if !self.keys.events.is_empty() {
            self.notify_keyspace_events(caller);
        }
    }

    /// Takes back what a command has written in vain, and lets CLIENT REPLY SKIP come to pass.
    #[inline]
    fn settle_reply(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(start) = client.muted_from.take() {
            client.reply.out.truncate(start);
        }
        client.reply_mode = match client.reply_mode {
            ReplyMode::SkipNext => ReplyMode::SkipThis,
            ReplyMode::SkipThis if client.waiting.as_ref().is_some_and(|waiting| waiting.is_postponed()) => {
                ReplyMode::SkipThis
            }
            ReplyMode::SkipThis => ReplyMode::On,
            other => other,
        };
    }
}

/// Complains if a command cannot have so many arguments.
#[inline]
pub(super) fn check_arity(command: &Command, argv: Argv<'_>) -> Result<(), CommandError> {
    if !command.takes(argv.len()) || matches!(command.run, Run::Container) {
        return Err(CommandError::wrong_arity(&command.name));
    }
    Ok(())
}

/// Whether this is no command but the beginning of a line of HTTP.
#[inline]
fn is_http(name: &[u8]) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case(b"post"),
        5 => name.eq_ignore_ascii_case(b"host:"),
        _ => false,
    }
}

/// The complaint about a command that is not in the table.
fn unknown_command(argv: Argv<'_>) -> CommandError {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(c_string_up_to(argv.at(0), 128));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut shown = 0;
    for arg in argv.iter().skip(1) {
        if shown >= 128 {
            break;
        }
        let part = c_string_up_to(arg, 128 - shown);
        text.push(b'\'');
        text.extend_from_slice(part);
        text.extend_from_slice(b"' ");
        shown += part.len() + 3;
    }
    CommandError::bytes(text)
}

fn unknown_subcommand(argv: Argv<'_>) -> CommandError {
    let container = String::from_utf8_lossy(argv.at(0)).to_ascii_uppercase();
    let asked = c_string_up_to(argv.at(1), 128);
    CommandError::quoting("ERR unknown subcommand '", asked, &format!("'. Try {container} HELP."))
}

/// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
pub mod transactions {
    use super::*;

    /// Begins a transaction.
    pub fn multi(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
        if client.multi.is_some() {
            return Err(CommandError::new("ERR MULTI calls can not be nested"));
        }
        client.multi = Some(Box::new(Multi::default()));
        client.reply.ok();
        Ok(())
    }

    /// Forgets the transaction.
    pub fn discard(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
        if client.multi.take().is_none() {
            return Err(CommandError::new("ERR DISCARD without MULTI"));
        }
        client.reply.ok();
        server.unwatch_all(id);
        Ok(())
    }

    /// Watches keys.
    pub fn watch(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
        if client.multi.is_some() {
            return Err(CommandError::new("ERR WATCH inside MULTI is not allowed"));
        }
        client.reply.ok();
        let db = client.session.db;
        server.keys.select(db);
        for key in argv.iter().skip(1) {
            let place = (db, key.to_vec());
            if client.watched.contains(&place) {
                continue;
            }
            // A key that has expired and is not deleted yet counts as gone already.
            if server.keys.is_expired(db, key) {
                server.keys.exists(key);
            }
            server.keys.watch(key, id.watcher());
            client.watched.push(place);
        }
        Ok(())
    }

    /// Watches nothing any more.
    pub fn unwatch(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        server.unwatch_all(id);
        if let Some(client) = server.clients.get_mut(id) {
            client.reply.ok();
        }
        Ok(())
    }

    /// Runs the transaction.
    pub fn exec(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
        let Some(multi) = client.multi.take() else {
            return Err(CommandError::new("ERR EXEC without MULTI"));
        };
        let touched = client.watch_touched;
        if multi.broken {
            server.unwatch_all(id);
            return Err(CommandError::new("EXECABORT Transaction discarded because of previous errors."));
        }
        server.unwatch_all(id);
        let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
        if touched {
            client.reply.null_array();
            return Ok(());
        }
        client.reply.array(multi.queued.len());
        server.exec_depth += 1;
        for (index, args) in &multi.queued {
            match server.may_still_run(id, *index, args.argv()) {
                Ok(()) => server.call(id, *index, args.argv(), None),
                Err(error) => server.answer_error(id, &error),
            }
        }
        server.exec_depth -= 1;
        server.end_transaction(id);
        // What the commands changed has travelled with them.
        server.effects.propagate_nothing();
        Ok(())
    }
}

impl Server {
    /// Sends what a transaction gathered, for the client that ran it.
    pub(super) fn end_transaction(&mut self, id: ClientId) {
        let before = self.repl.log.end();
        self.flush_transaction();
        let end = self.repl.log.end();
        if end > before
            && let Some(client) = self.clients.get_mut(id)
        {
            client.write_offset = end;
        }
    }

    /// Ends all watching of a client.
    pub fn unwatch_all(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.watch_touched = false;
        for (db, key) in std::mem::take(&mut client.watched) {
            self.keys.unwatch(db, &key, id.watcher());
        }
    }
}
