//! Clients that wait for keys (= the other half of blocked.c).
//!
//! A command that does not find what it needs asks through its effects to wait. When a key that somebody waits for
//! becomes ready, the command of the first in its queue runs again, as if it had come only now: it finds what it needs,
//! or an error, or it must wait again, behind the others, but no longer than it meant to. Ready keys are served between
//! commands, after the whole transaction that made them ready; what a served command makes ready is served in turn.

use super::Server;
use super::blocked::Reason;
use super::client::ClientId;
use crate::commands::effects::{KeyWait, Refusal};
use crate::keyspace::Waiter;
use crate::resp::request::{Argv, OwnedArgv};

impl Server {
    /// Lets a client wait for keys, with the command that has just run. Where a client cannot wait, it is answered.
    #[cold]
    pub(super) fn wait_for_keys(&mut self, id: ClientId, index: usize, argv: Argv<'_>, mut wait: Box<KeyWait>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if self.exec_depth > 0 || client.is_master() {
            return match wait.refusal {
                Refusal::Null => client.reply.null(),
                Refusal::NullArray => client.reply.null_array(),
            };
        }
        // It counts as a call once it is over.
        self.stats.commands_processed -= 1;
        self.table.commands[index].stats.calls -= 1;
        let db = client.session.db;
        let turn = self.block_client(id, Reason::Keys, wait.deadline_ms);
        let waiter = Waiter { turn, client: id.watcher(), kind: wait.kind, wakes_without_key: wait.wakes_without_key };
        self.keys.begin_wait(db, &wait.keys, waiter);
        if let Some(waiting) = self.clients.get_mut(id).and_then(|client| client.waiting.as_mut()) {
            let args = match wait.args.take() {
                Some(args) => OwnedArgv::new(args.iter().map(Vec::as_slice)),
                None => OwnedArgv::copy_of(argv),
            };
            waiting.held.push_front(args);
            waiting.keys = Some((db, wait));
        }
    }

    /// Serves the keys that have become ready, and those that become so meanwhile.
    pub(super) fn handle_clients_blocked_on_keys(&mut self) {
        if self.blocked.is_serving {
            return;
        }
        self.blocked.is_serving = true;
        while self.keys.waits.has_ready() {
            for (db, key) in self.keys.waits.take_ready() {
                self.handle_clients_blocked_on_key(db, &key);
            }
        }
        self.blocked.is_serving = false;
    }

    /// Serves those who stand in the queue of a key now, as far as there is something for them.
    fn handle_clients_blocked_on_key(&mut self, db: usize, key: &[u8]) {
        let Some(last) = self.keys.waits.last_turn(db, key) else { return };
        let mut turn = 0;
        loop {
            let kind = self.keys.wait_kind(db, key);
            let Some(waiter) = self.keys.waits.next(db, key, turn, last, kind) else { return };
            turn = waiter.turn;
            self.unblock_client_on_key(ClientId::of_watcher(waiter.client));
        }
    }

    /// Runs the command of a client again that waits for a key.
    fn unblock_client_on_key(&mut self, id: ClientId) {
        if self.end_wait(id).is_none() {
            return;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(waiting) = client.waiting.as_mut() else { return };
        waiting.is_rerun = true;
        let Some(args) = waiting.held.pop_front() else { return };
        self.reply_start = client.reply.out.len();
        self.process_command(id, args.argv(), None);
        let waiting = self.clients.get_mut(id).and_then(|client| client.waiting.as_mut());
        if let Some(waiting) = waiting {
            waiting.is_rerun = false;
            if !waiting.goes_on() {
                self.blocked.released.push(id);
            }
        }
    }
}
