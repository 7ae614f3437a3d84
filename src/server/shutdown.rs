//! The orderly end: what is saved, what is told, and who is waited for (= prepareForShutdown and finishShutdown).

use super::admin::info::replication;
use super::blocked::Reason;
use super::pause::{Paused, Purpose};
use super::repl_master::replica_name;
use super::{Client, ClientId, Server};
use crate::base::process;
use crate::commands::CommandError;
use crate::commands::ctx::is_option;
use crate::replication::master::{Replica, ReplicaStage};
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
}

/// What became of a wish to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The loop ends.
    Ends,
    /// Replicas are waited for.
    Waits,
    /// It could not be.
    Failed,
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
        if self.begin_shutdown(options) == Outcome::Failed {
            process::forget_shutdown_signal();
        }
    }

    fn begin_shutdown(&mut self, mut options: ShutdownOptions) -> Outcome {
        log::warn!("User requested shutdown...");
        if self.loading.is_some() {
            // Half a data set must not take the place of the whole one.
            options.save = false;
            options.nosave = true;
        }
        if !options.now && self.config.shutdown_timeout > 0 && !self.lagging_replicas().is_empty() {
            log::info!("Waiting for replicas before shutting down.");
            let deadline_ms = self.clock.unix_ms() + i64::from(self.config.shutdown_timeout) * 1000;
            self.shutdown = Some(PendingShutdown { options, deadline_ms });
            self.request_acks();
            // What is written from now on could be lost.
            self.pause(Purpose::Shutdown, Paused::Writes, i64::MAX);
            return Outcome::Waits;
        }
        self.finish_shutdown(options)
    }

    /// Replicas that have not acknowledged all that we have.
    fn lagging_replicas(&self) -> Vec<(&Client, &Replica)> {
        let end = self.repl.log.end();
        let mut lagging: Vec<(&Client, &Replica)> = replication::replicas(self).collect();
        lagging.retain(|(_, replica)| !self.repl.is_replica() && replica.ack_offset != end);
        lagging
    }

    /// Looks whether the replicas of a pending shutdown have caught up, or the time is over.
    pub(super) fn continue_shutdown(&mut self) {
        let Some(pending) = self.shutdown else { return };
        if !self.lagging_replicas().is_empty() && self.keys.now < pending.deadline_ms {
            return;
        }
        self.shutdown = None;
        if self.finish_shutdown(pending.options) == Outcome::Failed {
            process::forget_shutdown_signal();
            self.unpause(Purpose::Shutdown);
            self.fail_shutdown_waiters();
        }
    }

    /// Tells of each replica that will miss something, and how many will not.
    fn log_replicas(&self) {
        let (end, now_s) = (self.repl.log.end(), self.keys.now / 1000);
        let lagging = self.lagging_replicas();
        for (client, replica) in &lagging {
            log::warn!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                replica_name(client),
                end.saturating_sub(replica.ack_offset),
                if replica.stage == ReplicaStage::Online { now_s - replica.ack_time_s } else { 0 },
                replica.stage.name(),
            );
        }
        let all = replication::replicas(self).count();
        if all > 0 {
            log::info!("{} of {all} replicas are in sync when shutting down.", all - lagging.len());
        }
    }

    fn finish_shutdown(&mut self, options: ShutdownOptions) -> Outcome {
        self.log_replicas();
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
                    return Outcome::Failed;
                }
            }
        }
        // What the replicas can still be given they are given.
        self.feed_all_replicas();
        self.close_listeners();
        if let Some(path) = &self.config.unixsocket {
            log::info!("Removing the unix socket file.");
            let _ = std::fs::remove_file(path);
        }
        log::warn!("Understudy is now ready to exit, bye bye...");
        self.exit_code = Some(0);
        Outcome::Ends
    }

    /// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`
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
            self.unpause(Purpose::Shutdown);
            self.fail_shutdown_waiters();
            if let Some(reply) = self.reply(id) {
                reply.ok();
            }
            return Ok(());
        }
        if !options.nosave
            && !options.now
            && let Some(error) = self.busy_error()
        {
            return Err(error);
        }
        let waits_already = self.shutdown.is_some() && !options.now;
        match if waits_already { Outcome::Waits } else { self.begin_shutdown(options) } {
            Outcome::Ends => {}
            Outcome::Waits => {
                self.block_client(id, Reason::Shutdown, None);
            }
            Outcome::Failed => return Err(CommandError::new("ERR Errors trying to SHUTDOWN. Check logs.")),
        }
        Ok(())
    }
}
