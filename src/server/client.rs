//! A connected client: its connection, its session, what it sent and what it is to be sent (= struct client).

use super::blocked::Waiting;
use super::tracking::ClientTracking;
use crate::acl::UserId;
use crate::commands::Session;
use crate::reactor::{FileId, Transport};
use crate::replication::master::{Replica, ReplicaIntroduction};
use crate::resp::reply::Reply;
use crate::resp::request::{OwnedArgv, ParseState};
use slab::Slab;

/// Names one client for good: a slot, and the number of the client in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId {
    /// Index into the slab.
    pub slot: usize,
    /// The client's number, never used twice.
    pub number: u64,
}

/// Bits of a watcher's id that hold the client's number; the slot stands above them.
const NUMBER_BITS: u32 = 40;

impl ClientId {
    /// The id under which this client watches keys.
    pub fn watcher(self) -> u64 {
        (self.slot as u64) << NUMBER_BITS | self.number
    }

    /// The client that watches under this id.
    pub fn of_watcher(watcher: u64) -> ClientId {
        ClientId { slot: (watcher >> NUMBER_BITS) as usize, number: watcher & ((1 << NUMBER_BITS) - 1) }
    }
}

/// What CLIENT REPLY asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// None is.
    Off,
    /// The next one is not.
    SkipNext,
    /// The one that runs now is not.
    SkipThis,
}

/// What a client may run, found out whenever it logs in or a user changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Everything,
    /// What the rules of its user say.
    ByRules,
    /// Only what belongs to logging in.
    Login,
}

/// The classes of clients that CLIENT LIST and the limits of output tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Any other.
    Normal,
    /// Our master.
    Master,
    /// A replica of ours.
    Replica,
    /// Listens to a channel or a pattern.
    PubSub,
}

/// The commands queued since MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    /// Each command's index in the table, with its arguments.
    pub queued: Vec<(usize, OwnedArgv)>,
    /// Bytes of their arguments.
    pub bytes: usize,
    /// A command could not be queued, so EXEC will refuse.
    pub broken: bool,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub transport: Transport,
    /// Its registration with the reactor.
    pub file: FileId,
    /// What commands see.
    pub session: Session,
    /// What is to be sent.
    pub reply: Reply,
    /// Whether the output before this one was large.
    pub was_output_large: bool,
    /// How much of `reply` is sent.
    pub sent: usize,
    /// Bytes that came and are no whole command yet.
    pub input: Vec<u8>,
    /// How far the parser has come in them.
    pub parse: ParseState,
    /// The client is on the list of those to write to.
    pub pending_write: bool,
    /// It is to be closed before the next turn.
    pub closing: bool,
    /// It is to be closed once its replies are sent.
    pub close_after_reply: bool,
    /// It has logged in, or none needed to when it came.
    pub authenticated: bool,
    /// Who it is.
    pub user: UserId,
    /// What follows from that.
    pub access: Access,
    /// It waits for something, or what it sent meanwhile has not run yet.
    pub waiting: Option<Box<Waiting>>,
    /// The position in the log after its last write.
    pub write_offset: u64,
    /// It listens to some channel or pattern.
    pub is_subscriber: bool,
    /// It is shown all commands.
    pub is_monitor: bool,
    /// It wants to be told when keys become stale.
    pub tracking: Option<Box<ClientTracking>>,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Where in its output begins what the command that runs writes in vain.
    pub muted_from: Option<usize>,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO lib-name and lib-ver.
    pub library: (Vec<u8>, Vec<u8>),
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// The transaction being gathered.
    pub multi: Option<Box<Multi>>,
    /// The keys it watches, with their databases.
    pub watched: Vec<(usize, Vec<u8>)>,
    /// One of them has changed, so EXEC will do nothing.
    pub watch_touched: bool,
    /// The last command's index in the table.
    pub last_command: Option<usize>,
    /// When it connected, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it last sent or took anything, in milliseconds since 1970.
    pub last_active_ms: i64,
    /// Since when its output is over the soft limit, in seconds since 1970.
    pub soft_limit_since_s: Option<i64>,
    /// The peer's address as shown.
    pub peer_name: String,
    /// Our address as shown.
    pub local_name: String,
    /// It is a replica of ours.
    pub replica: Option<Box<Replica>>,
    /// What it told of itself by REPLCONF.
    pub introduction: ReplicaIntroduction,
    /// Bytes read from it.
    pub bytes_in: u64,
    /// Bytes written to it.
    pub bytes_out: u64,
}

impl Client {
    /// Whether its commands about data need no closer look: whoever it is may run them all, it gathers no transaction,
    /// it wants their replies. Only commands of the house change that.
    pub(super) fn is_ordinary(&self) -> bool {
        self.access == Access::Everything
            && self.reply_mode == ReplyMode::On
            && self.multi.is_none()
            && self.replica.is_none()
            && !self.is_subscriber
            && !self.session.from_master
    }

    /// Bytes to be sent, the stream of a replica not counted.
    pub fn output_len(&self) -> usize {
        self.reply.out.len() - self.sent
    }

    /// Bytes that it sent and that are no whole command yet.
    pub fn input_held(&self) -> usize {
        self.input.len() + self.parse.received()
    }

    /// Bytes held for it, its subscriptions and a replica's part of the log not counted.
    pub fn memory_bytes(&self) -> usize {
        let multi = self
            .multi
            .as_ref()
            .map_or(0, |multi| multi.bytes + multi.queued.capacity() * size_of::<(usize, OwnedArgv)>());
        let watched: usize = self.watched.iter().map(|(_, key)| size_of::<(usize, Vec<u8>)>() + key.capacity()).sum();
        let prefixes = self.tracking.as_ref().map_or(0, |tracking| tracking.prefixes.iter().map(Vec::capacity).sum());
        let waiting = self.waiting.as_ref().map_or(0, |waiting| waiting.memory_bytes());
        size_of::<Client>()
            + self.input.capacity()
            + self.parse.memory_bytes()
            + self.reply.out.capacity()
            + self.name.capacity()
            + multi
            + watched
            + prefixes
            + waiting
    }

    /// Whether this is our link to a master.
    pub fn is_master(&self) -> bool {
        self.session.from_master
    }

    /// What kind of client it is.
    pub fn class(&self) -> Class {
        match () {
            () if self.is_master() => Class::Master,
            () if self.replica.is_some() => Class::Replica,
            () if self.is_subscriber => Class::PubSub,
            () => Class::Normal,
        }
    }

    /// Its id.
    pub fn id(&self, slot: usize) -> ClientId {
        ClientId { slot, number: self.session.id }
    }
}

/// All connected clients.
#[derive(Default)]
pub struct Clients {
    slab: Slab<Client>,
    last_number: u64,
    /// Who is shown all commands.
    pub monitors: Vec<ClientId>,
    /// How many have said CLIENT NO-TOUCH ON.
    pub untouching: usize,
}

impl Clients {
    /// A number for a new client.
    pub fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The slot that `insert` will use next.
    pub fn vacant_slot(&self) -> usize {
        self.slab.vacant_key()
    }

    /// Takes a client in.
    pub fn insert(&mut self, client: Client) -> ClientId {
        let number = client.session.id;
        ClientId { slot: self.slab.insert(client), number }
    }

    /// Takes a client out.
    pub fn remove(&mut self, id: ClientId) -> Option<Client> {
        self.get(id)?;
        Some(self.slab.remove(id.slot))
    }

    /// The client, if it is still there.
    #[inline]
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        self.slab.get(id.slot).filter(|client| client.session.id == id.number)
    }

    /// The client to change, if it is still there.
    #[inline]
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.slab.get_mut(id.slot).filter(|client| client.session.id == id.number)
    }

    /// The client with this number.
    pub fn by_number(&self, number: u64) -> Option<ClientId> {
        self.iter().find(|(id, _)| id.number == number).map(|(id, _)| id)
    }

    /// All clients.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.slab.iter().map(|(slot, client)| (client.id(slot), client))
    }

    /// All clients, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ClientId, &mut Client)> {
        self.slab.iter_mut().map(|(slot, client)| (client.id(slot), client))
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }
}
