//! FAILOVER: hands the part of the master over to a replica, without a write lost (= failoverCommand and its helpers
//! of replication.c).
//!
//! ```text
//! FAILOVER → WaitingForSync: writes are held until the target has all → InProgress: we follow it and ask it by
//! PSYNC … FAILOVER to be our master → it continues our history: done
//! ```
//!
//! Whatever goes wrong before the target has agreed ends in our being the master again. Where the link breaks after we
//! have asked, nobody knows whether the target has agreed; then it is asked again, and if it says that it is a master
//! already, it is followed as one. (Stock takes that for a refusal, and there are two masters.)

use super::Server;
use super::admin::info::replication;
use super::client::ClientId;
use super::pause::{Paused, Purpose};
use crate::commands::ctx::{integer, is_option};
use crate::commands::{CommandError, error};
use crate::replication::master::{Replica, ReplicaStage};
use crate::replication::replica::{LinkStage, Step};
use crate::resp::request::Argv;

/// How far a failover is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailoverStage {
    /// There is none.
    #[default]
    None,
    /// The target is to get all that we have.
    WaitingForSync,
    /// We follow the target, which has not agreed yet.
    InProgress,
}

/// The failover that goes on.
#[derive(Debug, Default)]
pub struct Failover {
    /// How far it is.
    pub stage: FailoverStage,
    target: Option<(String, u16)>,
    deadline_ms: Option<i64>,
    force: bool,
    /// The target was asked to take over so many times.
    asked: u32,
    /// It said that it is a master, and may be so because we asked.
    target_is_master: bool,
}

impl Failover {
    /// What `master_failover_state` says.
    pub fn name(&self) -> &'static str {
        match self.stage {
            FailoverStage::None => "no-failover",
            FailoverStage::WaitingForSync => "waiting-for-sync",
            FailoverStage::InProgress => "failover-in-progress",
        }
    }

    /// Whether there is one.
    pub fn is_under_way(&self) -> bool {
        self.stage != FailoverStage::None
    }

    /// Whether the next PSYNC asks the target to take over.
    pub fn asks(&self) -> bool {
        self.stage == FailoverStage::InProgress && !self.target_is_master
    }
}

/// The words after FAILOVER.
#[derive(Debug, Default)]
struct Wish {
    target: Option<(String, i64)>,
    timeout_ms: Option<i64>,
    force: bool,
    abort: bool,
}

fn parse(argv: Argv<'_>) -> Result<Wish, CommandError> {
    let mut wish = Wish::default();
    let mut at = 1;
    while at < argv.len() {
        let more = argv.len() - at - 1;
        match argv.at(at) {
            arg if is_option(arg, "TIMEOUT") && more >= 1 && wish.timeout_ms.is_none() => {
                let timeout_ms = integer(argv.at(at + 1))?;
                if timeout_ms <= 0 {
                    return Err(CommandError::new("ERR FAILOVER timeout must be greater than 0"));
                }
                wish.timeout_ms = Some(timeout_ms);
                at += 1;
            }
            arg if is_option(arg, "ABORT") && argv.len() == 2 => wish.abort = true,
            arg if is_option(arg, "TO") && more >= 2 && wish.target.is_none() => {
                let host = String::from_utf8_lossy(argv.at(at + 1)).into_owned();
                wish.target = Some((host, integer(argv.at(at + 2))?));
                at += 2;
            }
            arg if is_option(arg, "FORCE") && !wish.force => wish.force = true,
            _ => return Err(error::SYNTAX),
        }
        at += 1;
    }
    Ok(wish)
}

fn is_at(replica: &(&super::Client, &Replica), host: &str, port: i64) -> bool {
    let address = replication::address(replica.0);
    address.0 == host && i64::from(address.1) == port
}

impl Server {
    /// `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`
    pub fn failover_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let wish = parse(argv)?;
        if wish.abort {
            if !self.failover.is_under_way() {
                return Err(CommandError::new("ERR No failover in progress."));
            }
            self.abort_failover("Failover manually aborted");
        } else {
            self.begin_failover(wish)?;
        }
        if let Some(reply) = self.reply(id) {
            reply.ok();
        }
        Ok(())
    }

    fn begin_failover(&mut self, wish: Wish) -> Result<(), CommandError> {
        if self.failover.is_under_way() {
            return Err(CommandError::new("ERR FAILOVER already in progress."));
        }
        if self.repl.is_replica() {
            return Err(CommandError::new("ERR FAILOVER is not valid when server is a replica."));
        }
        if replication::replicas(self).next().is_none() {
            return Err(CommandError::new("ERR FAILOVER requires connected replicas."));
        }
        if wish.force && (wish.timeout_ms.is_none() || wish.target.is_none()) {
            return Err(CommandError::new(
                "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
            ));
        }
        let mut target = None;
        if let Some((host, port)) = wish.target {
            let found = replication::replicas(self).find(|replica| is_at(replica, &host, port));
            let Some((client, replica)) = found else {
                return Err(CommandError::new("ERR FAILOVER target HOST and PORT is not a replica."));
            };
            if replica.stage != ReplicaStage::Online {
                return Err(CommandError::new("ERR FAILOVER target replica is not online."));
            }
            target = Some(replication::address(client));
        }
        match &target {
            Some((host, port)) => log::info!("FAILOVER requested to {host}:{port}."),
            None => log::info!("FAILOVER requested to any replica."),
        }
        let now = self.keys.now;
        let deadline_ms = wish.timeout_ms.map(|timeout_ms| now.saturating_add(timeout_ms));
        self.failover = Failover {
            stage: FailoverStage::WaitingForSync,
            target,
            deadline_ms,
            force: wish.force,
            ..Failover::default()
        };
        if self.synced_target().is_none() {
            // Who answers at once need not be waited for until the next second.
            self.request_acks();
        }
        self.pause(Purpose::Failover, Paused::Writes, i64::MAX);
        Ok(())
    }

    /// The address of a replica that may take over: it is the one wanted, and has acknowledged all that we have.
    fn synced_target(&self) -> Option<(String, u16)> {
        let end = self.repl.log.end();
        let wanted = |replica: &(&super::Client, &Replica)| {
            let target = self.failover.target.as_ref();
            target.is_none_or(|(host, port)| is_at(replica, host, i64::from(*port)))
        };
        let synced = |replica: &(&super::Client, &Replica)| {
            replica.1.stage == ReplicaStage::Online && replica.1.ack_offset == end
        };
        let mut candidates = replication::replicas(self).filter(|replica| synced(replica) && wanted(replica));
        candidates.next().map(|(client, _)| replication::address(client))
    }

    /// Hands over once a replica has all, or gives up when the time is over. Before the loop sleeps.
    pub(super) fn check_failover(&mut self) {
        if self.failover.stage != FailoverStage::WaitingForSync {
            return;
        }
        if let Some((host, port)) = self.synced_target() {
            log::info!("Failover target {host}:{port} is synced, failing over.");
            return self.hand_over(host, port);
        }
        if self.failover.deadline_ms.is_none_or(|deadline| self.keys.now < deadline) {
            return;
        }
        match self.failover.target.clone() {
            Some((host, port)) if self.failover.force => {
                log::info!("FAILOVER to {host}:{port} time out exceeded, failing over.");
                self.hand_over(host, port);
            }
            _ => self.abort_failover("Replica never caught up before timeout"),
        }
    }

    fn hand_over(&mut self, host: String, port: u16) {
        self.failover.stage = FailoverStage::InProgress;
        self.failover.target = Some((host.clone(), port));
        self.replication_set_master(host, port);
    }

    /// PSYNC … FAILOVER is on its way.
    pub(super) fn note_failover_asked(&mut self) {
        if self.failover.asks() {
            self.failover.asked += 1;
        }
    }

    /// The target has answered PSYNC: it has agreed, or it has refused. `false` if the link is given up.
    pub(super) fn failover_answered(&mut self, step: &Step, line: &[u8]) -> bool {
        if self.failover.stage != FailoverStage::InProgress || *step == Step::Wait {
            return true;
        }
        if matches!(step, Step::FullResync { .. } | Step::Continue(_)) {
            self.end_failover();
            return true;
        }
        if self.failover.target_is_master {
            return true;
        }
        if self.failover.asked > 1 && line.starts_with(b"-ERR PSYNC FAILOVER can't be sent to a master") {
            self.failover.target_is_master = true;
            self.link_failed("The failover target is a master already: an earlier request may have reached it");
            return false;
        }
        self.abort_failover("Failover target rejected psync request");
        false
    }

    /// The request could not be sent whole.
    pub(super) fn failover_write_failed(&mut self) {
        if self.failover.stage == FailoverStage::InProgress {
            self.abort_failover("Write error to failover target");
        }
    }

    fn abort_failover(&mut self, reason: &str) {
        match &self.failover.target {
            Some((host, port)) => log::info!("FAILOVER to {host}:{port} aborted: {reason}"),
            None => log::info!("FAILOVER to any replica aborted: {reason}"),
        }
        if self.failover.stage == FailoverStage::InProgress {
            self.replication_unset_master();
        }
        self.end_failover();
    }

    /// Writes run again, or are refused by the replica that we are now.
    fn end_failover(&mut self) {
        self.failover = Failover::default();
        self.unpause(Purpose::Failover);
    }

    /// PSYNC … FAILOVER: our master asks us to take over.
    pub(super) fn take_over_from_master(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let replid = String::from_utf8_lossy(argv.at(1)).into_owned();
        log::warn!("Failover request received for replid {replid}.");
        if !self.repl.is_replica() {
            return Err(CommandError::new("ERR PSYNC FAILOVER can't be sent to a master."));
        }
        if !replid.eq_ignore_ascii_case(&self.repl.replid) {
            if self.repl.is_bridging() {
                log::warn!("It is refused: a bridge (replication-bridge yes) has a history of its own.");
            }
            return Err(CommandError::new("ERR PSYNC FAILOVER replid must match my replid."));
        }
        self.replication_unset_master();
        let peer = self.clients.get(id).map_or("?", |client| client.peer_name.as_str());
        log::info!("MASTER MODE enabled (failover request from '{peer}')");
        Ok(())
    }

    /// Whether our attempts to reach the failover's target must not be spread over a long time, for writes are held.
    pub(super) fn hurries_to_master(&self) -> bool {
        self.failover.stage == FailoverStage::InProgress && self.repl.link.stage != LinkStage::Connected
    }
}
