//! Pauses: client commands stand still for a while, and with them expiry (= pauseActions of networking.c).
//!
//! A pause has a purpose. Several may be in force at once; the strictest rules.

use super::Server;
use super::client::ClientId;
use crate::commands::CommandError;
use crate::commands::ctx::is_option;
use crate::commands::waits::deadline_of_ms;
use crate::resp::request::Argv;

/// What stands still. Replicas and our master never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// Commands that may change the data set or have something to tell to replicas.
    Writes,
    /// Every command.
    All,
}

impl Paused {
    /// What INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            Paused::Writes => "write",
            Paused::All => "all",
        }
    }
}

/// What a pause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// CLIENT PAUSE.
    Client,
    /// Replicas are to catch up before the end.
    Shutdown,
    /// A replica is to take over.
    Failover,
}

const PURPOSES: [(Purpose, &str); 3] = [
    (Purpose::Client, "client_pause"),
    (Purpose::Shutdown, "shutdown_in_progress"),
    (Purpose::Failover, "failover_in_progress"),
];

#[derive(Clone, Copy, Debug)]
struct Pause {
    paused: Paused,
    until_ms: i64,
}

/// All pauses.
#[derive(Debug, Default)]
pub struct Pauses {
    by_purpose: [Option<Pause>; PURPOSES.len()],
    in_force: Option<Paused>,
}

impl Pauses {
    /// What stands still now.
    #[inline]
    pub fn in_force(&self) -> Option<Paused> {
        self.in_force
    }

    /// What for and for how many milliseconds more, of the pause that ends last.
    pub fn reason(&self, now_ms: i64) -> (&'static str, i64) {
        let pauses =
            self.by_purpose.iter().zip(PURPOSES).filter_map(|(pause, (_, name))| Some((pause.as_ref()?, name)));
        let last = pauses.max_by_key(|(pause, _)| pause.until_ms);
        last.map_or(("none", 0), |(pause, name)| (name, pause.until_ms.saturating_sub(now_ms).max(0)))
    }
}

impl Server {
    /// Begins a pause, or prolongs and sharpens the one that is in force for the same purpose.
    pub(super) fn pause(&mut self, purpose: Purpose, mut paused: Paused, mut until_ms: i64) {
        self.check_pauses();
        let slot = &mut self.pauses.by_purpose[purpose as usize];
        if let Some(former) = slot {
            paused = paused.max(former.paused);
            until_ms = until_ms.max(former.until_ms);
        }
        *slot = Some(Pause { paused, until_ms });
        self.update_pauses();
    }

    /// Ends a pause.
    pub(super) fn unpause(&mut self, purpose: Purpose) {
        self.pauses.by_purpose[purpose as usize] = None;
        self.update_pauses();
    }

    /// Ends the pauses whose time is up.
    pub(super) fn check_pauses(&mut self) {
        if self.pauses.in_force.is_none() {
            return;
        }
        let now = self.keys.now;
        for pause in &mut self.pauses.by_purpose {
            *pause = pause.filter(|pause| pause.until_ms > now);
        }
        self.update_pauses();
    }

    fn update_pauses(&mut self) {
        let former = self.pauses.in_force;
        self.pauses.in_force = self.pauses.by_purpose.iter().flatten().map(|pause| pause.paused).max();
        if self.pauses.in_force != former {
            self.update_calm();
        }
        if self.pauses.in_force < former {
            self.release_postponed();
        }
    }

    /// CLIENT PAUSE timeout [WRITE | ALL]
    pub fn client_pause(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let paused = match argv.get(3) {
            _ if argv.len() > 4 => {
                return Err(CommandError::bad_subcommand(argv, "CLIENT"));
            }
            None => Paused::All,
            Some(mode) if is_option(mode, "WRITE") => Paused::Writes,
            Some(mode) if is_option(mode, "ALL") => Paused::All,
            Some(_) => return Err(CommandError::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        };
        if let Some(until_ms) = deadline_of_ms(argv.at(2), self.keys.now)? {
            self.pause(Purpose::Client, paused, until_ms);
        }
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }

    /// CLIENT UNPAUSE
    pub fn client_unpause(&mut self, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        self.unpause(Purpose::Client);
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }
}
