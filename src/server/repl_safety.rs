//! What a replica does for its data and its master beyond the protocol: when it tries again, and what it does not take.
//!
//! Ancestor: none. The C tries every second, and an empty master empties its replicas.

use super::{ClientId, Server};
use crate::replication::replica::LinkStage;

impl Server {
    fn reconnect_limit_ms(&self) -> u64 {
        let limit_s = if self.hurries_to_master() { 1 } else { self.config.repl_reconnect_max_delay };
        u64::from(limit_s) * 1000
    }

    /// An attempt to reach the master has failed: the next one waits.
    pub(super) fn put_off_reconnect(&mut self) {
        let now_ms = self.clock.monotonic_us() / 1000;
        self.repl.link.backoff.note_failure(now_ms, &mut self.rng);
        let delay_ms = self.repl.link.backoff.delay_ms(self.reconnect_limit_ms());
        log::debug!("The next attempt to reach the master comes in {delay_ms} ms");
    }

    /// Tries to reach the master, if there is one and it is time to. Each turn of cron.
    pub(super) fn reconnect_if_due(&mut self) {
        // What we ask the master for depends on what is being loaded.
        if self.repl.link.stage != LinkStage::Connect || !self.repl.is_replica() || self.loading.is_some() {
            return;
        }
        let now_ms = self.clock.monotonic_us() / 1000;
        if self.repl.link.backoff.is_due(now_ms, self.reconnect_limit_ms()) {
            self.connect_with_master();
        }
    }

    /// Somebody asks us to follow a master, or the one we have but could not agree with: what it sends is taken.
    pub(super) fn note_master_ordered(&mut self) {
        self.repl.link.backoff.reset();
        self.repl.link.is_ordered = true;
        self.repl.link.refused_empty = false;
    }

    /// The stream of the master comes in.
    pub(super) fn note_link_up(&mut self) {
        self.repl.link.backoff.reset();
        self.repl.link.is_ordered = false;
        self.repl.link.refused_empty = false;
    }

    /// Whether a snapshot of so many keys is not to take the place of our data: it is empty, of another history, and
    /// nobody asked for it. A master that lost its data and restarts is thus kept from emptying its replicas.
    pub(super) fn refuses_snapshot(&mut self, keys: u64) -> bool {
        let held = self.keys.total_keys();
        let has_history = self.repl.log.is_active() && self.repl.data_is_known;
        let wanted = self.repl.link.is_ordered || self.config.replica_accept_empty_master;
        let theirs = self.repl.link.resync().map_or("(none)", |(replid, _)| replid);
        if keys > 0 || held == 0 || !has_history || wanted || theirs == self.repl.master_replid() {
            return false;
        }
        let (host, port) = self.repl.master.clone().unwrap_or_default();
        log::warn!(
            "REFUSED an empty data set: MASTER {host}:{port} offers a snapshot without keys of history {theirs}, and \
             this replica holds {held} keys of history {} up to offset {}. Its data stays, and it tries again. If the \
             data is to go, say REPLICAOF {host} {port} or CONFIG SET replica-accept-empty-master yes.",
            self.repl.master_replid(),
            self.repl.applied_offset()
        );
        self.repl.link.refused_empty = true;
        self.link_failed("MASTER <-> REPLICA sync: snapshot refused, the data we hold stays: it is empty");
        true
    }

    /// A replica that comes back may not have been able to tell us that its former link is dead. One that told its run
    /// id is known by it: nobody waits for that link any more, or counts on what it acknowledged.
    pub(super) fn close_former_link(&mut self, id: ClientId) {
        let run_id_of = |id: ClientId| self.clients.get(id).and_then(|client| client.introduction.run_id.as_deref());
        let Some(run_id) = run_id_of(id) else { return };
        let former: Vec<ClientId> =
            self.replicas().into_iter().filter(|other| run_id_of(*other) == Some(run_id)).collect();
        for other in former {
            log::info!("Closing the former link of a replica that has come back.");
            self.close_client(other);
        }
    }
}
