//! The memory that replicas cost: how long the log is kept for them, and when one of them is cut for it.
//!
//! Blocks of the log are shared, so a replica is accounted for what it has still to read of them, to the byte; stock
//! counts whole blocks, the one that it stands in included.

use super::Server;
use crate::replication::master::{Replica, ReplicaStage};

impl Server {
    /// How many bytes of the log a replica has still to be sent.
    pub fn unsent_to(&self, replica: &Replica) -> u64 {
        if replica.stage == ReplicaStage::WaitBgsaveStart {
            return 0;
        }
        self.repl.log.end().saturating_sub(replica.position)
    }

    /// Lets go of the part of the log that is neither backlog nor needed by a replica, and cuts replicas that need more
    /// than they may. Once a turn.
    pub fn trim_log(&mut self) {
        let keep = self.config.repl_backlog_size;
        if self.repl.log.len() <= keep {
            return;
        }
        let mut needed = self.slowest_replica();
        if needed < self.repl.log.end() - keep {
            // Only past the backlog a replica costs memory, and its hard limit is never below that.
            for id in self.replicas() {
                self.check_output_limits(id);
            }
            needed = self.slowest_replica();
        }
        self.repl.log.trim(keep, needed);
    }

    /// The position from which on some replica still needs the log. One that is being closed needs nothing.
    fn slowest_replica(&self) -> u64 {
        let alive = self.repl.attached.iter().filter_map(|id| self.clients.get(*id)).filter(|client| !client.closing);
        let replicas = alive.filter_map(|client| client.replica.as_deref());
        let positions = replicas.filter(|replica| replica.stage != ReplicaStage::WaitBgsaveStart);
        positions.map(|replica| replica.position).min().unwrap_or(u64::MAX)
    }
}
