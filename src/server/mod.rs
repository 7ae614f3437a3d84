//! The house: the state of the server, its loop, and the one list of procedures that events may start (= server.c).
//!
//! `Server` owns siblings and lends them side by side. Each file here adds one concern as methods: `networking`
//! (connections), `ahead` (what a pipeline will need), `dispatch` (commands), `acl` (who may run them), `scripting` (programs of them), `blocked`,
//! `blocked_keys` and `pause` (commands that wait), `pubsub` (messages), `monitor`, `tracking` and `notice` (who looks
//! on), `slowlog`, `latency` and `histogram` (what takes long), `evict` and `client_memory` (limits of memory), `snapshot`
//! (the child that saves) and `child` (where children come from), `loading`, `progress` (how far all that is),
//! `repl_master` and `repl_replica` (the two ends of replication; `repl_feed` writes the stream, `repl_check`,
//! `repl_errors`, `repl_memory` and `repl_safety` guard them; `repl_targets`, `repl_upstream`, `repl_bridge` and
//! `repl_translate` are for replicas of other versions), `failover` (a planned change of master), `cron` (time), `host` and `oom` (what the system is told of us),
//! `crash` (what is left of us), `admin/` (commands about the house).

pub mod acl;
pub mod admin;
mod ahead;
pub mod blocked;
pub mod blocked_keys;
pub mod child;
pub mod client;
pub mod client_memory;
pub mod crash;
pub mod cron;
pub mod dispatch;
pub mod evict;
pub mod failover;
pub mod functions;
pub mod histogram;
pub mod host;
pub mod latency;
pub mod listen;
pub mod loading;
pub mod logging;
pub mod monitor;
pub mod networking;
pub mod notice;
pub mod oom;
mod outputs;
pub mod pause;
mod progress;
pub mod pubsub;
pub mod repl_bridge;
pub mod repl_check;
pub mod repl_errors;
pub mod repl_feed;
pub mod repl_master;
pub mod repl_memory;
pub mod repl_replica;
pub mod repl_safety;
pub mod repl_targets;
pub mod repl_translate;
pub mod repl_upstream;
pub mod rewrite_aof;
pub mod scripting;
pub mod shutdown;
pub mod slowlog;
pub mod snapshot;
pub mod startup;
pub mod stats;
pub mod table;
pub mod tracking;

pub use crate::base::clock::ticks;
pub use client::{Client, ClientId, Clients};

use crate::acl::Users;
use crate::acl::log::AclLog;
use crate::base::clock::Clock;
use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::commands::ctx::Limits;
use crate::commands::effects::Effects;
use crate::config::{Config, NotifyFlags};
use crate::keyspace::Keyspace;
use crate::keyspace::lazyfree::LazyFree;
use crate::pubsub::PubSub;
use crate::reactor::{EventLoop, Fired, Network};
use crate::resp::request::Batch;
use crate::scripting::Scripts;
use crate::types::CollectionLimits;
use child::Children;
use loading::LoadJob;
use repl_master::Repl;
use snapshot::Snapshot;
use stats::Stats;
use std::io;
use table::CommandTable;

/// After so many microseconds a turn of the loop takes up no further event.
const TURN_US: f64 = 400.0;

/// Every door of the house: what an event may start. The names are those of the C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// A listener has connections to take.
    AcceptHandler(usize),
    /// A client has sent something.
    ReadQueryFromClient(ClientId),
    /// A client's socket has room again.
    SendReplyToClient(ClientId),
    /// A replica's socket has room again: for the snapshot, or for the stream.
    SendBulkToSlave(ClientId),
    /// The child that makes a diskless snapshot has written.
    ReadSnapshotPipe,
    /// The child has told how it fared, or is gone.
    ReadChildInfo,
    /// Something happened on the link to our master, before the snapshot.
    SyncWithMaster,
    /// The snapshot comes in from our master.
    ReadSyncBulkPayload,
    /// Replicas that wait for the stream have waited long enough.
    FeedTick,
    /// The next slice of a load.
    LoadSlice,
    /// The next part of a data set that was emptied lazily is to be freed.
    FreeRetired,
    /// The time for evictions was over, and there are more.
    EvictionTimeProc,
    /// Ten times a second, or as often as `hz` says.
    ServerCron,
}

/// The doors through which the outside comes in: time, chance, files, connections, children, events.
pub struct Doors {
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub rng: Rng,
    /// Files.
    pub disk: Disk,
    /// Connections that we make.
    pub network: Network,
    /// Children.
    pub children: Children,
    /// Events.
    pub event_loop: EventLoop<Procedure>,
}

impl Doors {
    /// Those of the operating system.
    pub fn system() -> io::Result<Doors> {
        Ok(Doors {
            clock: Clock::System,
            rng: Rng::from_os(),
            disk: Disk::System,
            network: Network::System,
            children: Children::System,
            event_loop: EventLoop::new(1024)?,
        })
    }
}

/// The server.
pub struct Server {
    /// The settings.
    pub config: Config,
    /// Where time comes from.
    pub clock: Clock,
    /// Where chance comes from.
    pub rng: Rng,
    /// Where files are.
    pub disk: Disk,
    /// Where connections are made to.
    pub network: Network,
    /// Where children come from.
    pub children: Children,
    /// The reactor.
    pub event_loop: EventLoop<Procedure>,
    /// The sockets that take connections.
    pub listeners: Vec<listen::Waiting>,
    /// A listener could not accept for want of descriptors; cron tries again.
    pub accept_again: bool,
    /// Who is connected.
    pub clients: Clients,
    /// The data.
    pub keys: Keyspace,
    /// What follows from the command that runs.
    pub effects: Effects,
    /// Limits that commands hold to.
    pub limits: Limits,
    /// The command table.
    pub table: CommandTable,
    /// Who may do what.
    pub users: Users,
    /// What was denied.
    pub acl_log: AclLog,
    /// Counters.
    pub stats: Stats,
    /// Both ends of replication.
    pub repl: Repl,
    /// Who listens to which channel.
    pub pubsub: PubSub<ClientId>,
    /// Who keeps copies of which keys.
    pub tracking: tracking::Tracking,
    /// The commands that took long.
    pub slowlog: slowlog::SlowLog,
    /// The events that took long.
    pub latency: latency::Latency,
    /// What clients weigh together.
    pub client_memory: client_memory::ClientMemory,
    /// A command that took so many processor ticks or more is looked at once it has run.
    notice_ticks: u64,
    /// Messages to the client whose command runs: they come after its reply.
    own_messages: Vec<u8>,
    /// Something is to be done once the command that runs is answered.
    has_aftermath: bool,
    /// The snapshot child and what became of its predecessors.
    pub snapshot: Snapshot,
    /// How far snapshots on their way are.
    progress: progress::ProgressMarks,
    /// Clients that wait.
    pub blocked: blocked::Blocked,
    /// Commands that stand still for a while.
    pub pauses: pause::Pauses,
    /// Our part is being handed over to a replica.
    pub failover: failover::Failover,
    /// The load that goes on.
    pub loading: Option<Box<LoadJob>>,
    /// Nothing is amiss that a command would have to be refused for.
    pub calm: bool,
    /// Something is, or there is a limit to memory: each command is looked at closely.
    pub alert: bool,
    /// What is done about that limit.
    pub eviction: evict::Eviction,
    /// The scripts, and the engine that they run in.
    pub scripts: Scripts,
    /// Whose script runs.
    pub script_caller: Option<ClientId>,
    /// Whether a transaction's commands, or those of a script, are running.
    pub exec_depth: usize,
    /// What a transaction has to propagate: bytes, how many commands, and the database of the last.
    pub transaction: repl_master::Outbox,
    /// Where the reply of the command that runs begins in its client's output.
    pub reply_start: usize,
    /// Processor ticks in a microsecond, as measured.
    pub ticks_per_us: f64,
    /// When the server started, in milliseconds since 1970.
    pub started_ms: i64,
    /// The number that tells this run from others.
    pub run_id: String,
    /// Turns of cron since the start.
    pub cron_loops: u64,
    /// Active expiry may be switched off by DEBUG.
    pub active_expire: bool,
    /// Cron may be paused by DEBUG.
    pub cron_paused: bool,
    /// What the system is told of us, in peace and in a crash.
    pub host: host::Host,
    /// Set when the loop is to end, with the exit code.
    pub exit_code: Option<i32>,
    /// A shutdown waits for something, such as replicas that lag.
    pub shutdown: Option<shutdown::PendingShutdown>,
    fired: Vec<Fired<Procedure>>,
    next_fired: usize,
    turn_ticks: u64,
    /// What was emptied lazily is being freed.
    freeing: bool,
    attack_logged_s: i64,
    tick_mark: Option<(u64, u64)>,
    read_buffer: Vec<u8>,
    batch: Batch,
    spare_outputs: outputs::SpareOutputs,
    pending_writes: Vec<ClientId>,
    closing: Vec<ClientId>,
}

impl Server {
    /// A server with these settings, listening, its data not loaded yet.
    pub fn new(config: Config) -> io::Result<Self> {
        let mut server = Self::behind(Doors::system()?, config)?;
        server.listen()?;
        Ok(server)
    }

    /// The same behind doors of the caller's choice, and not listening.
    pub fn behind(doors: Doors, config: Config) -> io::Result<Self> {
        let Doors { clock, mut rng, disk, network, children, event_loop } = doors;
        let keys = Keyspace::new(config.databases as usize, Rng::new(rng.next_u64()));
        let run_id = String::from_utf8_lossy(&rng.hex::<40>()).into_owned();
        let repl = Repl::new(&config, &mut rng);
        let table = CommandTable::renamed(&config.rename_command).map_err(io::Error::other)?;
        let mut server = Server {
            users: Users::new(&table),
            acl_log: AclLog::default(),
            table,
            event_loop,
            disk,
            network,
            children,
            listeners: Vec::new(),
            accept_again: false,
            clients: Clients::default(),
            keys,
            effects: Effects::default(),
            limits: Limits::default(),
            stats: Stats::default(),
            repl,
            pubsub: PubSub::default(),
            tracking: tracking::Tracking::default(),
            slowlog: slowlog::SlowLog::default(),
            latency: latency::Latency::default(),
            client_memory: client_memory::ClientMemory::default(),
            notice_ticks: u64::MAX,
            own_messages: Vec::new(),
            has_aftermath: false,
            snapshot: Snapshot::new(clock.unix_ms() / 1000),
            progress: progress::ProgressMarks::default(),
            blocked: blocked::Blocked::default(),
            pauses: pause::Pauses::default(),
            failover: failover::Failover::default(),
            loading: None,
            calm: true,
            alert: false,
            eviction: evict::Eviction::of_this_thread(),
            scripts: Scripts::default(),
            script_caller: None,
            exec_depth: 0,
            transaction: repl_master::Outbox::default(),
            reply_start: 0,
            ticks_per_us: measure_ticks(&clock),
            started_ms: clock.unix_ms(),
            run_id,
            cron_loops: 0,
            active_expire: true,
            cron_paused: false,
            host: host::Host::default(),
            exit_code: None,
            shutdown: None,
            fired: Vec::new(),
            next_fired: 0,
            turn_ticks: u64::MAX,
            freeing: false,
            attack_logged_s: 0,
            tick_mark: None,
            read_buffer: Vec::with_capacity(128 * 1024),
            batch: Batch::default(),
            spare_outputs: outputs::SpareOutputs::default(),
            pending_writes: Vec::new(),
            closing: Vec::new(),
            config,
            clock,
            rng,
        };
        server.follow_settings().map(|()| server)
    }

    /// Does what the settings ask of a server that is new.
    fn follow_settings(&mut self) -> io::Result<()> {
        self.load_users_at_startup()?;
        // What cannot be is in the log; stock starts even so.
        let _ = self.follow_oom_score_adj();
        self.apply_limits();
        self.measure_turn();
        self.update_time();
        self.follow_maxmemory();
        self.update_calm();
        self.follow_client_limit();
        self.stats.startup_memory = crate::base::memory::used_memory();
        self.event_loop.create_time_event(&self.clock, 1, Procedure::ServerCron);
        Ok(())
    }

    /// Takes over from the configuration what commands and the key space hold to.
    pub fn apply_limits(&mut self) {
        let config = &self.config;
        self.limits.string_len_max = config.proto_max_bulk_len;
        let wanted = config.notify_keyspace_events;
        let is_published = wanted.has(NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT);
        self.keys.events.wanted = if is_published { wanted.0 } else { 0 };
        self.limits.lazy_user_flush = config.lazyfree_lazy_user_flush;
        self.limits.compress_dumps = config.rdbcompression;
        self.keys.lazy = LazyFree {
            expire: config.lazyfree_lazy_expire,
            server_del: config.lazyfree_lazy_server_del,
            user_del: config.lazyfree_lazy_user_del,
        };
        self.limits.hll_sparse_bytes_max = config.hll_sparse_max_bytes as usize;
        self.keys.limits = CollectionLimits {
            list_max_listpack_size: config.list_max_listpack_size,
            list_compress_depth: config.list_compress_depth,
            set_max_intset_entries: config.set_max_intset_entries as usize,
            set_max_listpack_entries: config.set_max_listpack_entries as usize,
            set_max_listpack_value: config.set_max_listpack_value as usize,
            hash_max_listpack_entries: config.hash_max_listpack_entries as usize,
            hash_max_listpack_value: config.hash_max_listpack_value as usize,
            zset_max_listpack_entries: config.zset_max_listpack_entries as usize,
            zset_max_listpack_value: config.zset_max_listpack_value as usize,
            stream_node_max_bytes: config.stream_node_max_bytes,
            stream_node_max_entries: config.stream_node_max_entries,
        };
    }

    /// Looks at the clock for the commands that come next.
    #[inline]
    pub fn update_time(&mut self) {
        self.keys.set_time(self.clock.unix_ms());
    }

    /// Runs until somebody asks it to end; returns the exit code.
    pub fn run(&mut self) -> i32 {
        loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(code)) => return code,
                Err(error) => {
                    log::error!("Waiting for events: {error}");
                    return 1;
                }
            }
        }
    }

    /// One turn of the loop: what is due before it sleeps, sleep, events. Returns the exit code once there is one.
    ///
    /// Where many clients have sent much, a turn ends before all of them had theirs, so that the replies of the first
    /// do not wait for the last; the next turn goes on with the rest and asks for no new events before.
    pub fn turn(&mut self) -> io::Result<Option<i32>> {
        self.before_sleep();
        if self.exit_code.is_some() {
            return Ok(self.exit_code);
        }
        if self.next_fired == self.fired.len() {
            self.next_fired = 0;
            self.fired.clear();
            self.event_loop.poll(&self.clock, &mut self.fired)?;
        }
        let start = ticks();
        self.run_fired(start);
        let turn = ticks().wrapping_sub(start) as f64 / self.ticks_per_us;
        self.stats.note_turn(turn as u64);
        Ok(None)
    }

    fn run_fired(&mut self, start: u64) {
        while let Some(&event) = self.fired.get(self.next_fired) {
            self.next_fired += 1;
            match event {
                Fired::File(_, procedure) | Fired::Time(procedure) => self.dispatch(procedure),
            }
            if ticks().wrapping_sub(start) > self.turn_ticks {
                return;
            }
        }
        self.event_loop.settle();
    }

    /// The events that have come and have not been dealt with yet.
    fn take_fired(&mut self) -> Vec<Fired<Procedure>> {
        self.fired.split_off(self.next_fired)
    }

    /// Events that are to be dealt with after all.
    fn put_back_fired(&mut self, events: Vec<Fired<Procedure>>) {
        self.fired.extend(events);
    }

    /// The list of all doors.
    fn dispatch(&mut self, procedure: Procedure) {
        match procedure {
            Procedure::ReadQueryFromClient(id) => self.read_query_from_client(id),
            Procedure::SendReplyToClient(id) => self.send_reply_to_client(id),
            Procedure::AcceptHandler(listener) => self.accept_handler(listener),
            Procedure::SendBulkToSlave(id) => self.send_bulk_to_slave(id),
            Procedure::ReadSnapshotPipe => self.read_snapshot_pipe(),
            Procedure::ReadChildInfo => self.read_child_info(),
            Procedure::SyncWithMaster => self.sync_with_master(),
            Procedure::ReadSyncBulkPayload => self.read_sync_bulk_payload(),
            Procedure::FeedTick => self.feed_tick(),
            Procedure::LoadSlice => self.load_slice(),
            Procedure::FreeRetired => self.free_retired(),
            Procedure::EvictionTimeProc => self.eviction_time_proc(),
            Procedure::ServerCron => self.measured_cron(),
        }
    }

    /// What is due after each turn, before the loop waits: deletions of expired keys travel, replicas and clients are
    /// written to, marked clients are closed.
    fn before_sleep(&mut self) {
        self.propagate_expired();
        if self.keys.has_news {
            self.tell_news(None);
        }
        self.handle_blocked_clients();
        self.check_failover();
        self.keys.access.untouched = self.snapshot.child.is_some();
        if !self.freeing && self.keys.has_retired() {
            self.freeing = true;
            self.event_loop.create_time_event(&self.clock, 0, Procedure::FreeRetired);
        }
        if self.tracking.is_on() {
            self.broadcast_invalidations();
        }
        if self.client_memory.is_limited() {
            self.evict_clients();
        }
        self.start_waiting_sync();
        self.feed_replicas();
        self.handle_clients_with_pending_writes();
        self.free_closing_clients();
    }

    /// Puts the length of a turn into ticks; a simulation has its own idea of time.
    fn measure_turn(&mut self) {
        if let Clock::System = self.clock {
            self.turn_ticks = (TURN_US * self.ticks_per_us) as u64;
        }
        self.update_notice();
    }

    /// Microseconds that so many processor ticks took.
    pub fn ticks_to_us(&self, ticks: u64) -> u64 {
        (ticks as f64 / self.ticks_per_us) as u64
    }

    /// The output of a client, to write a reply to. A client that is gone has none.
    pub fn reply(&mut self, id: ClientId) -> Option<&mut crate::resp::reply::Reply> {
        self.clients.get_mut(id).map(|client| &mut client.reply)
    }
}

/// Compares the processor's counter with the clock for a fifth of a millisecond; cron refines it later.
fn measure_ticks(clock: &Clock) -> f64 {
    if let Clock::Simulated(_) = clock {
        return 1.0;
    }
    let (start_us, start_ticks) = (clock.monotonic_us(), ticks());
    loop {
        let elapsed = clock.monotonic_us() - start_us;
        if elapsed >= 200 {
            return (ticks().wrapping_sub(start_ticks) as f64 / elapsed as f64).max(1e-3);
        }
    }
}
