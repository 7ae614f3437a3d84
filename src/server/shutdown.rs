//! The orderly end: what is saved, what is told, and who is waited for (= prepareForShutdown and finishShutdown).

use super::{ClientId, Server};
use crate::base::process;
use crate::commands::CommandError;
use crate::commands::ctx::is_option;
use crate::resp::request::Argv;

/// How a shutdown was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShutdownOptions {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// End even if saving fails.
    pub force: bool,
}

/// A shutdown that waits for replicas to catch up.
#[derive(Clone, Copy, Debug)]
pub struct PendingShutdown {
    options: ShutdownOptions,
    deadline_ms: i64,
    asked_by: Option<ClientId>,
}

impl Server {
    /// Ends if a signal asked for it.
    pub(super) fn check_signals(&mut self) {
        let Some(signal) = process::pending_shutdown_signal() else { return };
        if self.shutdown.is_some() || self.exit_code.is_some() {
            return;
        }
        let (name, on) = match signal {
            process::SIGINT => ("SIGINT", self.config.shutdown_on_sigint),
            _ => ("SIGTERM", self.config.shutdown_on_sigterm),
        };
        match self.loading {
            None => log::warn!("Received {name} scheduling shutdown..."),
            Some(_) => log::warn!("Received shutdown signal during loading, scheduling shutdown."),
        }
        let options = ShutdownOptions { save: on.save, nosave: on.nosave, now: on.now, force: on.force };
        if !self.begin_shutdown(options, None) {
            process::forget_shutdown_signal();
        }
    }

    /// Begins a shutdown; `false` if it cannot be.
    fn begin_shutdown(&mut self, mut options: ShutdownOptions, asked_by: Option<ClientId>) -> bool {
        log::warn!("User requested shutdown...");
        if self.loading.is_some() {
            // Half a data set must not take the place of the whole one.
            options.save = false;
            options.nosave = true;
        }
        let lagging = self.lagging_replicas();
        if !options.now && self.config.shutdown_timeout > 0 && lagging > 0 {
            log::info!(
                "{lagging} replicas are lagging behind, waiting up to {} seconds.",
                self.config.shutdown_timeout
            );
            let deadline_ms = self.clock.unix_ms() + i64::from(self.config.shutdown_timeout) * 1000;
            self.shutdown = Some(PendingShutdown { options, deadline_ms, asked_by });
            return true;
        }
        self.finish_shutdown(options)
    }

    fn lagging_replicas(&self) -> usize {
        if self.repl.is_replica() {
            return 0;
        }
        let end = self.repl.log.end();
        let replicas = self.clients.iter().filter_map(|(_, client)| client.replica.as_ref());
        replicas.filter(|replica| replica.receives_stream() && replica.ack_offset < end).count()
    }

    /// Looks whether the replicas of a pending shutdown have caught up, or the time is over.
    pub(super) fn continue_shutdown(&mut self) {
        let Some(pending) = self.shutdown else { return };
        let lagging = self.lagging_replicas();
        if lagging > 0 && self.keys.now < pending.deadline_ms {
            return;
        }
        if lagging > 0 {
            log::warn!("Lagging replicas: {lagging} did not catch up in time.");
        }
        self.shutdown = None;
        if !self.finish_shutdown(pending.options) {
            process::forget_shutdown_signal();
            if let Some(id) = pending.asked_by
                && let Some(reply) = self.reply(id)
            {
                reply.error(b"ERR Errors trying to SHUTDOWN. Check logs.");
                self.after_commands(id);
            }
        }
    }

    fn finish_shutdown(&mut self, options: ShutdownOptions) -> bool {
        if let Some(child) = &self.snapshot.child {
            log::warn!("There is a child saving an .rdb. Killing it! ({})", child.pid);
            self.kill_snapshot_child();
        }
        let wants_save = options.save || (!self.config.save.is_empty() && !options.nosave);
        if wants_save {
            log::info!("Saving the final RDB snapshot before exiting.");
            if let Err(error) = self.rdb_save() {
                log::error!("Error trying to save the DB, can't exit: {error}");
                if !options.force {
                    log::warn!("Errors trying to shut down the server. Check the logs for more information.");
                    return false;
                }
            }
        }
        // What the replicas can still be given they are given.
        self.feed_replicas();
        self.close_listeners();
        if let Some(path) = &self.config.unixsocket {
            log::info!("Removing the unix socket file.");
            let _ = std::fs::remove_file(path);
        }
        log::warn!("Understudy is now ready to exit, bye bye...");
        self.exit_code = Some(0);
        true
    }

    /// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]
    pub fn shutdown_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let mut options = ShutdownOptions::default();
        let mut abort = false;
        for arg in argv.iter().skip(1) {
            match arg {
                _ if is_option(arg, "NOSAVE") => options.nosave = true,
                _ if is_option(arg, "SAVE") => options.save = true,
                _ if is_option(arg, "NOW") => options.now = true,
                _ if is_option(arg, "FORCE") => options.force = true,
                _ if is_option(arg, "ABORT") => abort = true,
                _ => return Err(crate::commands::error::SYNTAX),
            }
        }
        let other = options.nosave || options.save || options.now || options.force;
        if (abort && other) || (options.nosave && options.save) {
            return Err(crate::commands::error::SYNTAX);
        }
        if abort {
            let Some(_) = self.shutdown.take() else {
                return Err(CommandError::new("ERR No shutdown in progress."));
            };
            process::forget_shutdown_signal();
            log::info!("Shutdown manually aborted.");
            if let Some(reply) = self.reply(id) {
                reply.ok();
            }
            return Ok(());
        }
        if !self.begin_shutdown(options, Some(id)) {
            return Err(CommandError::new("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        Ok(())
    }
}
