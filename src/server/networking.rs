//! Connections: taking them, reading commands, writing replies, closing (= networking.c).

use super::ahead::{self, AHEAD};
use super::client::{Access, Class, Client, ClientId, ReplyMode};
use super::{Procedure, Server, outputs};
use crate::acl;
use crate::base::clock::ticks;
use crate::commands::Session;
use crate::config::{ClientOutputBufferLimits, quote};
use crate::reactor::{Interest, Transport};
use crate::replication::master::ReplicaIntroduction;
use crate::resp::reply::Reply;
use crate::resp::request::{self, Batch, ParseState, RequestLimits};
use std::io;

/// How much is read from a client at once.
const READ_BYTES: usize = 64 * 1024;
/// Connections taken in one turn.
const ACCEPTS_PER_TURN: usize = 1000;
/// How much is written to one client in one turn.
const WRITE_PER_TURN: usize = 1 << 20;

const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

impl Server {
    /// Takes the connections that wait at a listener.
    pub fn accept_handler(&mut self, listener: usize) {
        self.update_time();
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(waiting) = self.listeners.get_mut(listener) else { return };
            match waiting.listener.accept() {
                Ok(transport) => self.accept_common(transport),
                Err(error) => {
                    let file = waiting.file;
                    match error.kind() {
                        io::ErrorKind::WouldBlock => {
                            return self.event_loop.would_block(file, Interest::Readable);
                        }
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                        _ => {
                            // Out of descriptors: the listener stays ready, and the next cron tries again.
                            log::warn!("Accepting client connection: {error}");
                            self.event_loop.would_block(file, Interest::Readable);
                            self.accept_again = true;
                            return;
                        }
                    }
                }
            }
        }
    }

    fn accept_common(&mut self, mut transport: Transport) {
        self.stats.connections_received += 1;
        if self.clients.len() >= self.config.maxclients as usize {
            self.stats.rejected_connections += 1;
            let _ = transport.write(b"-ERR max number of clients reached\r\n");
            return;
        }
        let open_to_all = self.config.protected_mode && self.users.default_user().needs_no_password();
        if open_to_all && transport.peer_ip().is_some_and(|ip| !ip.to_canonical().is_loopback()) {
            self.stats.rejected_connections += 1;
            let _ = transport.write(DENIED);
            return;
        }
        transport.set_tcp_options(true, self.config.tcp_keepalive);
        match self.create_client(transport) {
            Ok(id) => {
                if let Some(client) = self.clients.get(id) {
                    log::debug!("Accepted {}", client.peer_name);
                }
            }
            Err(error) => log::warn!("Error registering fd event for the new client: {error}"),
        }
    }

    /// Makes a client of a connection.
    pub fn create_client(&mut self, mut transport: Transport) -> io::Result<ClientId> {
        let file = self.event_loop.add_file(&mut transport)?;
        let unix = self.config.unixsocket.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let now = self.keys.now;
        let number = self.clients.next_number();
        let client = Client {
            peer_name: transport.peer_name(&unix),
            local_name: transport.local_name(&unix),
            transport,
            file,
            session: Session { id: number, ..Session::default() },
            reply: Reply::default(),
            sent: 0,
            input: Vec::new(),
            parse: ParseState::default(),
            pending_write: false,
            closing: false,
            close_after_reply: false,
            authenticated: self.default_user_is_open(),
            user: acl::DEFAULT,
            access: self.first_access(),
            waiting: None,
            write_offset: 0,
            is_subscriber: false,
            is_monitor: false,
            tracking: None,
            reply_mode: ReplyMode::On,
            muted_from: None,
            name: Vec::new(),
            library: (Vec::new(), Vec::new()),
            no_evict: false,
            no_touch: false,
            multi: None,
            watched: Vec::new(),
            watch_touched: false,
            last_command: None,
            was_output_large: false,
            created_ms: now,
            last_active_ms: now,
            soft_limit_since_s: None,
            replica: None,
            introduction: ReplicaIntroduction::default(),
            bytes_in: 0,
            bytes_out: 0,
        };
        let id = self.clients.insert(client);
        self.event_loop.create_file_event(file, Interest::Readable, Procedure::ReadQueryFromClient(id));
        Ok(id)
    }

    /// Marks a client to be closed before the next turn.
    pub fn close_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && !client.closing
        {
            client.closing = true;
            self.closing.push(id);
        }
    }

    /// Closes the clients that were marked.
    pub fn free_closing_clients(&mut self) {
        while let Some(id) = self.closing.pop() {
            self.unwatch_all(id);
            self.unsubscribe_all(id);
            self.end_wait(id);
            self.stop_monitoring(id);
            self.set_no_touch(id, false);
            self.disable_tracking(id);
            self.client_memory.forget(id);
            let Some(mut client) = self.clients.remove(id) else { continue };
            if self.snapshot.child.is_some() {
                client.transport.shutdown();
            }
            self.event_loop.remove_file(client.file, &mut client.transport);
            if client.is_master() {
                self.master_client_lost(id);
            } else if client.replica.is_some() {
                self.replica_lost(&client);
            }
        }
    }

    /// Reads what a client sent and runs its commands.
    pub fn read_query_from_client(&mut self, id: ClientId) {
        if self.script_caller.is_none() {
            self.update_time();
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.closing || self.exit_code.is_some() {
            return;
        }
        let file = client.file;
        if let Some((big, lacks)) = client.parse.big_argument() {
            let outcome = client.transport.read(big, lacks);
            if self.note_read(id, file, outcome, lacks).is_none() || self.check_query_limit(id) {
                return;
            }
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut buffer = if client.input.is_empty() {
            std::mem::take(&mut self.read_buffer)
        } else {
            std::mem::take(&mut client.input)
        };
        if client.parse.big_argument().is_none() {
            buffer.reserve(READ_BYTES);
            let room = buffer.capacity() - buffer.len();
            let outcome = client.transport.read(&mut buffer, room);
            if self.note_read(id, file, outcome, room).is_none() {
                return self.keep_input(id, buffer, 0);
            }
        }
        self.process_buffer(id, buffer);
    }

    /// Runs the whole commands of a buffer and keeps the rest of it.
    pub(super) fn process_buffer(&mut self, id: ClientId, buffer: Vec<u8>) {
        let bulk_len_max = self.config.proto_max_bulk_len;
        self.host.last_reader = Some(id);
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.waiting.is_some() {
            return self.keep_input(id, buffer, 0);
        }
        let limits = RequestLimits {
            bulk_len_max: if client.is_master() { u64::MAX >> 1 } else { bulk_len_max },
            authenticated: client.access != Access::Login,
            big_arguments: !client.is_master(),
        };
        if !limits.authenticated {
            return self.process_one_by_one(id, buffer, limits);
        }
        let mut batch = std::mem::take(&mut self.batch);
        let parsed = request::parse(&buffer, &mut client.parse, limits, &mut batch);
        batch.hold(buffer);
        let used = self.run_batch(id, &batch);
        let buffer = batch.clear();
        self.batch = batch;
        self.go_on_after_batch(id, buffer, parsed.map(|parsed| used.unwrap_or(parsed)), 0);
    }

    /// What is left of a buffer after its commands is kept, or complained about.
    #[inline]
    fn go_on_after_batch(
        &mut self,
        id: ClientId,
        buffer: Vec<u8>,
        used: Result<usize, request::ProtocolError>,
        before: usize,
    ) {
        match used {
            Ok(used) => self.keep_input(id, buffer, before + used),
            Err(error) => {
                self.keep_input(id, buffer, 0);
                if !self.hold_failure(id, &error.0) {
                    self.protocol_failure(id, &error.0);
                }
            }
        }
    }

    /// The same for who has not authenticated: the command that comes next may do so, and what follows it may be long
    /// then.
    #[cold]
    fn process_one_by_one(&mut self, id: ClientId, mut buffer: Vec<u8>, limits: RequestLimits) {
        let (mut batch, mut at) = (Batch::default(), 0);
        loop {
            let Some(client) = self.clients.get_mut(id) else { return self.keep_input(id, buffer, at) };
            if client.access != Access::Login {
                buffer.drain(..at);
                return self.process_buffer(id, buffer);
            }
            let parsed = request::parse(&buffer[at..], &mut client.parse, limits, &mut batch);
            let taken = parsed.as_ref().map_or(0, |parsed| *parsed);
            batch.hold(buffer[at..at + taken].to_vec());
            let is_cut = self.run_batch(id, &batch).is_some();
            batch.clear();
            match parsed {
                Ok(parsed) if parsed > 0 && !is_cut && self.is_served(id) => at += parsed,
                _ if is_cut => return self.keep_input(id, buffer, usize::MAX),
                parsed => return self.go_on_after_batch(id, buffer, parsed, at),
            }
        }
    }

    fn is_served(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.waiting.is_none())
    }

    /// Runs what stands in a client's input though nothing new came: the stream that followed a snapshot at once.
    pub(super) fn run_waiting_input(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if !client.input.is_empty() {
            let buffer = std::mem::take(&mut client.input);
            self.process_buffer(id, buffer);
        }
    }

    /// Accounts for a read; `None` if there is nothing to go on with.
    fn note_read(
        &mut self,
        id: ClientId,
        file: crate::reactor::FileId,
        outcome: io::Result<usize>,
        asked: usize,
    ) -> Option<()> {
        let client = self.clients.get_mut(id)?;
        match outcome {
            Ok(0) => {
                log::debug!("Client closed connection {}", client.peer_name);
                self.close_client(id);
                None
            }
            Ok(count) => {
                client.last_active_ms = self.keys.now;
                client.bytes_in += count as u64;
                self.stats.reads += 1;
                self.stats.net_input_bytes += count as u64;
                if client.is_master() {
                    self.stats.net_repl_input_bytes += count as u64;
                }
                if count < asked {
                    self.event_loop.short_read(file);
                }
                Some(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.event_loop.would_block(file, Interest::Readable);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => {
                log::debug!("Reading from client {}: {error}", client.peer_name);
                self.close_client(id);
                None
            }
        }
    }

    /// Keeps what is left of the input for the next read, after `used` bytes.
    fn keep_input(&mut self, id: ClientId, mut buffer: Vec<u8>, used: usize) {
        let mut is_kept = false;
        if let Some(client) = self.clients.get_mut(id)
            && used < buffer.len()
        {
            if self.read_buffer.capacity() == 0 && buffer.len() - used < READ_BYTES / 2 {
                // The buffer is the shared one and little is left: that moves to the client.
                client.input = buffer[used..].to_vec();
                buffer.clear();
            } else {
                buffer.drain(..used);
                client.input = std::mem::take(&mut buffer);
            }
            is_kept = true;
        }
        if self.read_buffer.capacity() == 0 {
            buffer.clear();
            buffer.shrink_to(READ_BYTES * 2);
            self.read_buffer = buffer;
        }
        if is_kept {
            self.check_query_limit(id);
        }
    }

    /// Closes a client of which too much is held that is no whole command. Returns whether it is closed.
    pub(super) fn check_query_limit(&mut self, id: ClientId) -> bool {
        self.client_memory.note(id);
        let limit = self.config.client_query_buffer_limit as usize;
        let Some(client) = self.clients.get(id).filter(|client| !client.is_master()) else { return false };
        if client.input_held() <= limit {
            return false;
        }
        let begins = quote(&client.input[..client.input.len().min(64)]);
        let description = super::admin::client::description(self, id);
        log::warn!(
            "Closing client that reached max query buffer length: {description} (qbuf initial bytes: {})",
            String::from_utf8_lossy(&begins)
        );
        self.stats.query_limit_disconnections += 1;
        self.close_client(id);
        true
    }

    /// Runs the commands of a batch. Returns how many bytes they took where not all could run.
    fn run_batch(&mut self, id: ClientId, batch: &Batch) -> Option<usize> {
        let mut known = ahead::NOTHING_KNOWN;
        let mut is_ordinary = self.clients.get(id).is_some_and(Client::is_ordinary);
        // When the command before was done. Reading the clock takes as long as a good part of a command.
        let mut time = None;
        for index in 0..batch.len() {
            if index % AHEAD == 0 {
                time = None;
                self.look_ahead(id, batch, index, &mut known);
            }
            let (command, argv, raw) = (ahead::command(&known, index), batch.argv(index), batch.raw(index));
            let at_once = command.filter(|command| is_ordinary && self.runs_at_once(*command, argv));
            let client = self.clients.get_mut(id)?;
            if client.closing || client.close_after_reply || self.exit_code.is_some() {
                // What came after QUIT or SHUTDOWN is not run (the file is written), but what came before is answered.
                self.after_commands(id);
                return Some(batch.buffer_len());
            }
            if client.waiting.is_some() {
                self.hold_commands(id, batch, index);
                break;
            }
            if client.reply.out.capacity() == 0 {
                client.reply.out = self.spare_outputs.take(client.was_output_large);
            }
            if let Some(command) = at_once {
                client.last_command = Some(command);
                time = Some(self.call_from(time.unwrap_or_else(ticks), id, command, argv, raw));
                if self.has_aftermath {
                    self.attend_to_aftermath(id);
                    time = None;
                }
                continue;
            }
            time = None;
            self.reply_start = client.reply.out.len();
            let from_master = client.session.from_master;
            self.process_known(id, command, argv, raw);
            if from_master {
                self.applied_from_master(id, batch.bytes(index));
            }
            is_ordinary = self.clients.get(id).is_some_and(Client::is_ordinary);
        }
        if !batch.is_empty() {
            self.after_commands(id);
        }
        None
    }

    /// What is due once after a client's commands: its replies wait for `before_sleep`, within their limit.
    pub fn after_commands(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.session.from_master {
            return;
        }
        if client.output_len() == 0 {
            if client.close_after_reply {
                return self.close_client(id);
            }
            self.spare_outputs.give_back(std::mem::take(&mut client.reply.out));
            return;
        }
        if !client.pending_write {
            client.pending_write = true;
            self.pending_writes.push(id);
        }
        if client.output_len() > outputs::SMALL {
            self.check_output_limits(id);
        }
    }

    /// Closes a client whose output is over its class's limit.
    pub fn check_output_limits(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(id).filter(|client| !client.closing) else { return };
        let log_lag = client.replica.as_ref().map_or(0, |replica| self.unsent_to(replica));
        let Some(client) = self.clients.get_mut(id) else { return };
        let used = client.output_len() as u64 + log_lag;
        let mut limit = class_limit(&self.config.client_output_buffer_limit, client);
        if client.replica.is_some() && limit.hard > 0 {
            // The backlog is kept anyway; a limit below would cut a replica that has just continued from it.
            limit.hard = limit.hard.max(self.config.repl_backlog_size);
        }
        let now = self.keys.now / 1000;
        let over_hard = limit.hard > 0 && used >= limit.hard;
        let mut over_soft = false;
        if limit.soft > 0 && used >= limit.soft {
            let since = *client.soft_limit_since_s.get_or_insert(now);
            over_soft = now - since > limit.soft_seconds as i64;
        } else {
            client.soft_limit_since_s = None;
        }
        if over_hard || over_soft {
            let description = super::admin::client::description(self, id);
            log::warn!("Client {description} scheduled to be closed ASAP for overcoming of output buffer limits.");
            self.stats.output_limit_disconnections += 1;
            self.close_client(id);
        }
    }

    pub(super) fn protocol_failure(&mut self, id: ClientId, text: &str) {
        let Some(client) = self.clients.get_mut(id) else { return };
        log::debug!("{text} from client {}", client.peer_name);
        if client.session.from_master {
            log::error!("Protocol error in the stream of our master: {text}");
            return self.close_client(id);
        }
        if client.reply_mode == ReplyMode::On {
            client.reply.error(text.as_bytes());
        }
        client.close_after_reply = true;
        self.stats.note_error(text.as_bytes());
        self.after_commands(id);
    }

    /// Writes replies to all clients that have some, before the loop sleeps.
    pub fn handle_clients_with_pending_writes(&mut self) {
        let mut pending = std::mem::take(&mut self.pending_writes);
        for id in pending.drain(..) {
            if let Some(client) = self.clients.get_mut(id) {
                client.pending_write = false;
                self.write_to_client(id);
            }
        }
        self.pending_writes = pending;
    }

    /// Writes to the clients that have output, but for one.
    pub(super) fn write_to_others(&mut self, not_to: ClientId) {
        let kept = self.pending_writes.contains(&not_to);
        self.pending_writes.retain(|id| *id != not_to);
        self.handle_clients_with_pending_writes();
        if kept {
            self.pending_writes.push(not_to);
        }
    }

    /// Goes on writing to a client whose socket was full.
    pub fn send_reply_to_client(&mut self, id: ClientId) {
        self.write_to_client(id);
    }

    fn write_to_client(&mut self, id: ClientId) {
        let mut written = 0;
        loop {
            let Some(client) = self.clients.get_mut(id) else { return };
            if client.closing {
                return;
            }
            let rest = &client.reply.out[client.sent..];
            if rest.is_empty() {
                return self.output_sent(id);
            }
            match client.transport.write(rest) {
                Ok(count) => {
                    client.sent += count;
                    client.bytes_out += count as u64;
                    if !client.is_master() {
                        // Of a master only what it sends tells that it lives.
                        client.last_active_ms = self.keys.now;
                    }
                    self.stats.writes += 1;
                    self.stats.net_output_bytes += count as u64;
                    written += count;
                    if client.output_len() > 0 && written > WRITE_PER_TURN {
                        return self.arm_writes(id);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.event_loop.would_block(client.file, Interest::Writable);
                    return self.arm_writes(id);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("Error writing to client {}: {error}", client.peer_name);
                    return self.close_client(id);
                }
            }
        }
    }

    /// The one place that installs the write procedure of a client.
    pub fn arm_writes(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get(id) {
            let procedure = match &client.replica {
                Some(_) => Procedure::SendBulkToSlave(id),
                None => Procedure::SendReplyToClient(id),
            };
            self.event_loop.create_file_event(client.file, Interest::Writable, procedure);
        }
    }

    fn output_sent(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.sent = 0;
        client.was_output_large = self.spare_outputs.give_back(std::mem::take(&mut client.reply.out));
        self.event_loop.delete_file_event(client.file, Interest::Writable);
        if client.close_after_reply {
            self.close_client(id);
        } else if client.replica.is_some() {
            // A snapshot may wait behind the reply, and not only the stream.
            self.send_bulk_to_slave(id);
        }
    }
}

fn class_limit(limits: &ClientOutputBufferLimits, client: &Client) -> crate::config::OutputBufferLimit {
    match client.class() {
        Class::Replica => limits.replica,
        Class::PubSub => limits.pubsub,
        Class::Normal | Class::Master => limits.normal,
    }
}
