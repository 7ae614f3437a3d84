//! Clients that wait: their commands stand still until what they wait for has come (= blocked.c).
//!
//! A client that waits is still read from, so that its end is noticed and its memory is limited, but nothing of what it
//! sends is run. The commands of the pipeline it was in are held here; they run before the loop sleeps next once the
//! wait is over. A reason to wait is a row of [`Reason`], with its answer to the two questions in this file: what is
//! said when time is up, and whether CLIENT UNBLOCK may end it.

use super::client::{Client, ClientId, ReplyMode};
use super::{Server, pause::Paused};
use crate::commands::effects::KeyWait;
use crate::commands::waits::deadline_of_ms;
use crate::commands::{CommandError, error};
use crate::replication::master::ReplicaStage;
use crate::resp::reply::{Reply, encode_command};
use crate::resp::request::{Argv, Batch, OwnedArgv};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// So many replicas that have this offset, in memory or on disk.
    Replicas {
        /// The position in the log after the client's last write.
        offset: u64,
        /// How many.
        wanted: i64,
        /// Whether it must be in their append-only files (WAITAOF).
        on_disk: bool,
    },
    /// A key that has what the command needs; it runs again then.
    Keys,
    /// The end of a pause; the command runs then.
    Pause,
    /// The end of the server, or of the attempt to end it.
    Shutdown,
}

/// The wait of one client.
#[derive(Debug, Default)]
pub struct Waiting {
    /// What for; nothing any more once it is over and the held commands are about to run.
    reason: Option<Reason>,
    /// Its place in the order of arrival.
    turn: u64,
    /// Until when, in milliseconds since 1970.
    deadline_ms: Option<i64>,
    /// The command that waited for keys runs again: if it must wait again, then no longer.
    pub(super) is_rerun: bool,
    /// Where the reason is keys: which, and in which database.
    pub(super) keys: Option<(usize, Box<KeyWait>)>,
    /// CLIENT REPLY forbids the answer.
    muted: bool,
    /// Commands that came after; first of all the one that waits, where it is to be run again.
    pub(super) held: VecDeque<OwnedArgv>,
    /// What came after them is no command: the complaint.
    failure: Option<String>,
}

impl Waiting {
    /// Bytes of the commands that wait.
    pub fn memory_bytes(&self) -> usize {
        self.held.iter().map(OwnedArgv::memory_bytes).sum()
    }

    /// Whether the command itself waits and is to be run, or run again.
    pub fn is_postponed(&self) -> bool {
        matches!(self.reason, Some(Reason::Pause | Reason::Keys))
    }

    /// Whether it is not over.
    pub fn goes_on(&self) -> bool {
        self.reason.is_some()
    }
}

/// Who waits.
#[derive(Default)]
pub struct Blocked {
    /// In order of arrival.
    clients: BTreeMap<u64, ClientId>,
    /// Those who wait no longer than until some moment: the moment and their turn.
    deadlines: BTreeSet<(i64, u64)>,
    turns: u64,
    /// Their wait is over, their held commands have not run yet.
    pub(super) released: Vec<ClientId>,
    /// Ready keys are being served.
    pub(super) is_serving: bool,
    /// A replica has acknowledged something.
    pub acks_came: bool,
    /// The replicas are to be asked how far they are.
    pub ack_wanted: bool,
}

impl Blocked {
    /// How many clients wait.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Serves no ready keys until `resume`, which is to be handed what this returns.
    pub(super) fn suspend(&mut self) -> bool {
        std::mem::replace(&mut self.is_serving, true)
    }

    /// Serves ready keys again, if they were served before.
    pub(super) fn resume(&mut self, was_serving: bool) {
        self.is_serving = was_serving;
    }

    /// How many clients wait no longer than until some moment.
    pub fn with_deadline(&self) -> usize {
        self.deadlines.len()
    }
}

const UNBLOCKED: &[u8] = b"UNBLOCKED client unblocked via CLIENT UNBLOCK";
const ROLE_CHANGED: &[u8] =
    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// Whether two links are of one replica.
fn is_same_node(one: &Client, other: &Client) -> bool {
    let (one_told, other_told) = (&one.introduction, &other.introduction);
    one_told.listening_port != 0
        && one_told.listening_port == other_told.listening_port
        && one_told.ip_address == other_told.ip_address
        && (one_told.ip_address.is_some() || one.transport.peer_ip() == other.transport.peer_ip())
}

impl Server {
    /// Lets a client wait. The command that runs must not have answered. Returns its turn.
    pub fn block_client(&mut self, id: ClientId, reason: Reason, deadline_ms: Option<i64>) -> u64 {
        self.blocked.turns += 1;
        let turn = self.blocked.turns;
        let Some(client) = self.clients.get_mut(id) else { return turn };
        let muted = client.muted_from.is_some();
        let waiting = client.waiting.get_or_insert_default();
        if !waiting.is_rerun || reason != Reason::Keys {
            waiting.deadline_ms = deadline_ms;
        }
        waiting.reason = Some(reason);
        waiting.turn = turn;
        waiting.muted = muted;
        self.blocked.clients.insert(turn, id);
        self.blocked.deadlines.extend(waiting.deadline_ms.map(|deadline_ms| (deadline_ms, turn)));
        turn
    }

    /// Takes a client off all lists of those who wait; returns what it waited for.
    pub(super) fn end_wait(&mut self, id: ClientId) -> Option<Reason> {
        let waiting = self.clients.get_mut(id)?.waiting.as_mut()?;
        let reason = waiting.reason.take()?;
        self.blocked.clients.remove(&waiting.turn);
        if let Some(deadline_ms) = waiting.deadline_ms {
            self.blocked.deadlines.remove(&(deadline_ms, waiting.turn));
        }
        if let Some((db, wait)) = waiting.keys.take() {
            self.keys.end_wait(db, &wait.keys, waiting.turn);
        }
        Some(reason)
    }

    /// Lets a command wait for the end of a pause.
    pub fn postpone(&mut self, id: ClientId, argv: Argv<'_>) {
        self.block_client(id, Reason::Pause, None);
        if let Some(waiting) = self.clients.get_mut(id).and_then(|client| client.waiting.as_mut()) {
            waiting.held.push_front(OwnedArgv::copy_of(argv));
        }
    }

    /// Keeps the commands of a batch from `index` on until their client's wait is over.
    #[cold]
    pub(super) fn hold_commands(&mut self, id: ClientId, batch: &Batch, index: usize) {
        if let Some(waiting) = self.clients.get_mut(id).and_then(|client| client.waiting.as_mut()) {
            waiting.held.extend((index..batch.len()).map(|at| OwnedArgv::copy_of(batch.argv(at))));
        }
    }

    /// Keeps the complaint about what follows the held commands. `false` if the client does not wait.
    pub(super) fn hold_failure(&mut self, id: ClientId, text: &str) -> bool {
        let waiting = self.clients.get_mut(id).and_then(|client| client.waiting.as_mut());
        waiting.map(|waiting| waiting.failure = Some(text.into())).is_some()
    }

    fn reason_of(&self, id: ClientId) -> Option<Reason> {
        self.clients.get(id)?.waiting.as_ref()?.reason
    }

    /// Ends the wait of those whose reason fits, each with the answer that `answer` gives.
    fn unblock_where(&mut self, fits: impl Fn(&Server, Reason) -> bool, answer: impl Fn(&Server, Reason, &mut Reply)) {
        let ids: Vec<ClientId> = self.blocked.clients.values().copied().collect();
        for id in ids {
            if self.reason_of(id).is_some_and(|reason| fits(self, reason)) {
                self.release(id, &answer);
            }
        }
    }

    /// Ends a client's wait with an answer, and lets the held commands run.
    fn release(&mut self, id: ClientId, answer: impl Fn(&Server, Reason, &mut Reply)) {
        let Some(reason) = self.end_wait(id) else { return };
        let mut said = Reply::default();
        let Some(client) = self.clients.get_mut(id) else { return };
        said.resp3 = client.reply.resp3;
        answer(self, reason, &mut said);
        let failed = said.out.starts_with(b"-");
        if failed {
            self.stats.note_error(said.out[1..].trim_ascii_end());
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(waiting) = &mut client.waiting else { return };
        if !waiting.muted {
            client.reply.out.extend_from_slice(&said.out);
        }
        if reason == Reason::Keys {
            waiting.held.pop_front();
            if client.reply_mode == ReplyMode::SkipThis {
                client.reply_mode = ReplyMode::On;
            }
            let index = client.last_command;
            self.count_call_that_waited(index, failed);
        }
        self.blocked.released.push(id);
    }

    /// A command counts as called when its wait is over.
    fn count_call_that_waited(&mut self, index: Option<usize>, failed: bool) {
        self.stats.commands_processed += 1;
        if let Some(index) = index {
            let stats = &mut self.table.commands[index].stats;
            stats.calls += 1;
            stats.failed += u64::from(failed);
        }
    }

    /// What a client is told whose time is up.
    fn answer_of_timeout(&self, reason: Reason, reply: &mut Reply) {
        match reason {
            Reason::Replicas { offset, on_disk, .. } => self.answer_replicas(offset, on_disk, reply),
            Reason::Keys => reply.null_array(),
            Reason::Pause | Reason::Shutdown => {}
        }
    }

    fn answer_replicas(&self, offset: u64, on_disk: bool, reply: &mut Reply) {
        let count = self.count_acks(offset, on_disk) as i64;
        if on_disk {
            // No append-only file is kept here.
            reply.array(2);
            reply.int(0);
        }
        reply.int(count);
    }

    /// Ends waits that are over, runs what they held, and asks replicas that somebody waits for. Before the loop sleeps.
    pub(super) fn handle_blocked_clients(&mut self) {
        self.check_pauses();
        self.handle_clients_blocked_on_keys();
        if !self.blocked.is_empty() {
            self.check_deadlines();
            if std::mem::take(&mut self.blocked.acks_came) {
                let came = |server: &Server, reason| match reason {
                    Reason::Replicas { offset, wanted, on_disk } => server.count_acks(offset, on_disk) as i64 >= wanted,
                    _ => false,
                };
                self.unblock_where(came, Server::answer_of_timeout);
            }
        }
        while !self.blocked.released.is_empty() {
            for id in std::mem::take(&mut self.blocked.released) {
                self.resume_client(id);
            }
        }
        if self.blocked.ack_wanted && self.pauses.in_force().is_none() {
            self.blocked.ack_wanted = false;
            self.request_acks();
        }
    }

    fn check_deadlines(&mut self) {
        while let Some((deadline_ms, turn)) = self.blocked.deadlines.first().copied() {
            if deadline_ms > self.keys.now {
                return;
            }
            match self.blocked.clients.get(&turn) {
                Some(id) => self.release(*id, Server::answer_of_timeout),
                None => drop(self.blocked.deadlines.pop_first()),
            }
        }
    }

    /// Runs what a client sent while it waited, until it waits again.
    fn resume_client(&mut self, id: ClientId) {
        loop {
            let Some(client) = self.clients.get_mut(id) else { return };
            let ends = client.closing || client.close_after_reply;
            let Some(waiting) = &mut client.waiting else { return };
            if waiting.reason.is_some() {
                return self.after_commands(id);
            }
            match waiting.held.pop_front().filter(|_| !ends) {
                Some(args) => {
                    self.reply_start = client.reply.out.len();
                    self.process_command(id, args.argv(), None);
                }
                None => break,
            }
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let failure = client.waiting.take().and_then(|waiting| waiting.failure);
        let ends = client.closing || client.close_after_reply;
        let input = std::mem::take(&mut client.input);
        self.after_commands(id);
        match failure {
            _ if ends => {}
            Some(text) => self.protocol_failure(id, &text),
            None => self.process_buffer(id, input),
        }
    }

    /// The pause is over or has become milder.
    pub(super) fn release_postponed(&mut self) {
        self.unblock_where(|_, reason| reason == Reason::Pause, |_, _, _| {});
    }

    /// An attempt to end the server is given up.
    pub(super) fn fail_shutdown_waiters(&mut self) {
        let text = b"ERR Errors trying to SHUTDOWN. Check logs.";
        self.unblock_where(|_, reason| reason == Reason::Shutdown, |_, _, reply| reply.error(text));
    }

    /// We are a replica now: nobody can be promised anything any more. Commands that a pause holds back are refused
    /// or not when they run.
    pub(super) fn disconnect_blocked_clients(&mut self) {
        let concerned = |reason: Reason| matches!(reason, Reason::Replicas { .. } | Reason::Keys);
        let ids: Vec<ClientId> = self.blocked.clients.values().copied().collect();
        for id in ids {
            if self.reason_of(id).is_some_and(concerned)
                && let Some(client) = self.clients.get_mut(id)
            {
                client.close_after_reply = true;
            }
        }
        self.unblock_where(|_, reason| concerned(reason), |_, _, reply| reply.error(ROLE_CHANGED));
    }

    /// CLIENT UNBLOCK: whether there was a wait to end.
    pub fn unblock_client(&mut self, id: ClientId, with_error: bool) -> bool {
        let Some(Reason::Replicas { .. } | Reason::Keys) = self.reason_of(id) else { return false };
        match with_error {
            true => self.release(id, |_, _, reply| reply.error(UNBLOCKED)),
            false => self.release(id, Server::answer_of_timeout),
        }
        true
    }

    /// How many replicas have acknowledged an offset. One that has come back while its former link is not known to be
    /// dead yet counts once: a link does not count that was not heard of since another of the same address came. Two
    /// replicas that share an address, as behind a router that hides theirs, are both heard of again within a second.
    pub fn count_acks(&self, offset: u64, on_disk: bool) -> usize {
        // A write that was made before there was a log has offset 0: a replica that is still loading does not have it.
        let has_it = |client: &&Client| {
            client.replica.as_ref().is_some_and(|replica| {
                let acknowledged = if on_disk { replica.ack_disk_offset } else { replica.ack_offset };
                replica.stage == ReplicaStage::Online && replica.has_acked && acknowledged >= offset
            })
        };
        let attached = self.repl.attached.iter().filter_map(|id| self.clients.get(*id));
        let attached: Vec<&Client> = attached.filter(|client| !client.closing).collect();
        let is_superseded = |client: &Client| {
            let acked_ms = client.replica.as_ref().map_or(0, |replica| replica.ack_time_ms);
            let heard_ms = acked_ms.max(client.created_ms);
            let came_later = |other: &&&Client| other.created_ms > heard_ms && other.session.id != client.session.id;
            attached.iter().filter(came_later).any(|other| is_same_node(other, client))
        };
        attached.iter().filter(|client| has_it(client) && !is_superseded(client)).count()
    }

    /// Asks all replicas how far they are. The question is a part of the stream.
    pub(super) fn request_acks(&mut self) {
        if !self.repl.is_replica() && !self.repl.attached.is_empty() {
            let mut question = Vec::new();
            encode_command(&mut question, [b"REPLCONF".as_slice(), b"GETACK", b"*"].into_iter());
            self.append_to_log(&question);
            self.repl.feeding.in_haste = true;
        }
    }

    /// WAIT numreplicas timeout
    pub fn wait_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        if self.repl.is_replica() {
            return Err(CommandError::new(
                "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.",
            ));
        }
        let wanted = crate::commands::ctx::integer(argv.at(1))?;
        let deadline_ms = deadline_of_ms(argv.at(2), self.keys.now)?;
        self.wait_for_replicas(id, wanted, false, deadline_ms);
        Ok(())
    }

    /// WAITAOF numlocal numreplicas timeout
    pub fn waitaof_command(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let local = crate::commands::ctx::integer(argv.at(1))?;
        if !(0..=1).contains(&local) {
            return Err(CommandError::new("ERR value is out of range, value must between 0 and 1"));
        }
        let wanted = crate::commands::ctx::integer(argv.at(2))?;
        if wanted < 0 {
            return Err(error::MUST_BE_POSITIVE);
        }
        let deadline_ms = deadline_of_ms(argv.at(3), self.keys.now)?;
        if self.repl.is_replica() {
            return Err(CommandError::new(
                "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.",
            ));
        }
        if local > 0 {
            return Err(CommandError::new(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        self.wait_for_replicas(id, wanted, true, deadline_ms);
        Ok(())
    }

    fn wait_for_replicas(&mut self, id: ClientId, wanted: i64, on_disk: bool, deadline_ms: Option<i64>) {
        let Some(client) = self.clients.get(id) else { return };
        let offset = client.write_offset;
        if self.exec_depth == 0 && (self.count_acks(offset, on_disk) as i64) < wanted {
            self.block_client(id, Reason::Replicas { offset, wanted, on_disk }, deadline_ms);
            self.blocked.ack_wanted = true;
            return;
        }
        let mut said = Reply::default();
        self.answer_replicas(offset, on_disk, &mut said);
        if let Some(reply) = self.reply(id) {
            reply.out.extend_from_slice(&said.out);
        }
    }

    /// Another history has taken the place of the one in which clients have written: no acknowledgement will ever
    /// cover what they wrote.
    pub(super) fn disown_writes(&mut self) {
        for (_, client) in self.clients.iter_mut().filter(|(_, client)| client.write_offset > 0) {
            client.write_offset = u64::MAX;
        }
    }

    /// Whether a command of this client must wait for the end of a pause.
    #[cold]
    pub(super) fn is_paused_for(&self, id: ClientId, may_replicate: bool) -> bool {
        let Some(client) = self.clients.get(id) else { return false };
        let obeyed = client.replica.is_some() || client.is_master();
        !obeyed
            && match self.pauses.in_force() {
                Some(Paused::All) => true,
                Some(Paused::Writes) => may_replicate,
                None => false,
            }
    }
}
