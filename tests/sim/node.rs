//! A server in the simulation: its life, its disk, and the doors that the simulation holds the other side of.

use crate::network::{Connection, End};
use crate::oracle::{Oracle, Seen};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use understudy::base::clock::Clock;
use understudy::base::disk::{Disk, SimulatedDisk};
use understudy::base::rng::Rng;
use understudy::config::Config;
use understudy::reactor::simulated::{Call, FarEnd, SimulatedListener, SimulatedNetwork, SimulatedStream};
use understudy::reactor::{EventLoop, Listener, Network};
use understudy::resp::reply::encode_command;
use understudy::server::child::{Children, SimulatedChild, SimulatedChildren};
use understudy::server::{Doors, Server};

/// One server, up or down.
pub struct Node {
    pub number: usize,
    /// What it has in its configuration beyond the others.
    pub directives: String,
    pub server: Option<Server>,
    /// Its disk while it is down.
    disk: Disk,
    door: Sender<SimulatedStream>,
    calls: Receiver<Call>,
    births: Receiver<SimulatedChild>,
    control: Option<FarEnd>,
    pub seen: Seen,
    /// How often it has been started.
    pub incarnation: u32,
    /// It has something to do.
    pub is_due: bool,
    /// It is busy until then.
    pub free_at_us: u64,
    /// It is stopped, as by SIGSTOP, until then.
    pub paused_until_us: u64,
}

/// Where a node listens.
pub fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8], 6379))
}

/// Which node listens there.
pub fn node_at(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => usize::from(address.ip().octets()[3]),
        SocketAddr::V6(_) => unreachable!("the simulation has IPv4 addresses"),
    }
}

impl Node {
    pub fn new(number: usize) -> Node {
        Node {
            number,
            directives: String::new(),
            server: None,
            disk: Disk::Simulated(SimulatedDisk::default()),
            door: channel().0,
            calls: channel().1,
            births: channel().1,
            control: None,
            seen: Seen::default(),
            incarnation: 0,
            is_due: false,
            free_at_us: 0,
            paused_until_us: 0,
        }
    }

    /// Starts the server with these directives.
    pub fn start(&mut self, directives: &str, now_us: u64, rng: &mut Rng) {
        let config = Config::parse(directives.as_bytes()).expect("directives of the simulation");
        let (network, calls) = SimulatedNetwork::new();
        let (children, births) = SimulatedChildren::new();
        let (listener, door) = SimulatedListener::new();
        let doors = Doors {
            clock: Clock::Simulated(now_us as i64),
            rng: Rng::new(rng.next_u64()),
            disk: std::mem::take(&mut self.disk),
            network: Network::Simulated(network),
            children: Children::Simulated(children),
            event_loop: EventLoop::simulated(),
        };
        let mut server = Server::behind(doors, config).expect("a server");
        server.add_listener(Listener::Simulated(listener)).expect("a listener");
        (self.calls, self.births, self.door) = (calls, births, door);
        self.new_control();
        server.load_data_from_disk().expect("a readable disk");
        self.server = Some(server);
        self.seen = Seen::default();
        self.incarnation += 1;
        self.is_due = true;
        self.free_at_us = now_us;
        self.paused_until_us = 0;
    }

    /// Another connection for the operator in the place of the one there was.
    pub fn new_control(&mut self) {
        let control = self.accept(SocketAddr::from(([10, 0, 1, 1], 1)));
        control.give_room(usize::MAX / 2);
        self.control = Some(control);
    }

    /// The end of the server; its disk stays.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            self.disk = std::mem::take(&mut server.disk);
        }
        self.control = None;
    }

    /// The disk, whether the server is up or not.
    pub fn disk(&mut self) -> &mut Disk {
        match &mut self.server {
            Some(server) => &mut server.disk,
            None => &mut self.disk,
        }
    }

    /// The disk as the simulation sees it.
    pub fn simulated_disk(&mut self) -> &mut SimulatedDisk {
        match self.disk() {
            Disk::Simulated(disk) => disk,
            Disk::System => unreachable!("nodes have simulated disks"),
        }
    }

    /// When it wants its next turn.
    pub fn next_at_us(&self) -> Option<u64> {
        let server = self.server.as_ref()?;
        let at = if self.is_due { 0 } else { server.event_loop.next_time_us()? };
        Some(at.max(self.free_at_us).max(self.paused_until_us))
    }

    /// A turn of its loop and the beginning of the next, in which what it wrote goes out. The oracle looks in between,
    /// before the log forgets anything.
    pub fn turn(&mut self, now_us: u64, oracle: &mut Oracle) -> Result<(), String> {
        let Some(server) = &mut self.server else { return Ok(()) };
        self.is_due = false;
        server.clock = Clock::Simulated(now_us as i64);
        for _ in 0..2 {
            let exit_code = server.turn().expect("a loop without a kernel");
            oracle.observe(server, &mut self.seen)?;
            if exit_code.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Says something to the server over a connection that never fails, and returns what it answers.
    pub fn command(&mut self, words: &[&str], now_us: u64, oracle: &mut Oracle) -> Result<String, String> {
        let Some(control) = &self.control else { return Ok(String::new()) };
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words.iter().map(|word| word.as_bytes()));
        control.deliver(bytes);
        self.turn(now_us, oracle)?;
        self.is_due = true;
        let answer = self.control.as_ref().map(|control| control.take().0).unwrap_or_default();
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A connection from `peer` reaches it; returns the far end.
    pub fn accept(&mut self, peer: SocketAddr) -> FarEnd {
        let (stream, end) = SimulatedStream::open(peer);
        let _ = self.door.send(stream);
        self.is_due = true;
        end
    }

    /// The calls it has made since the last look.
    pub fn new_calls(&self) -> Vec<Call> {
        self.calls.try_iter().collect()
    }

    /// The snapshot children it has born.
    pub fn new_children(&self) -> Vec<SimulatedChild> {
        self.births.try_iter().collect()
    }

    /// Whether it can do anything now.
    pub fn is_awake(&self, now_us: u64) -> bool {
        self.server.is_some() && self.paused_until_us <= now_us
    }
}

/// A snapshot child of some node, and how far it has come.
pub struct Child {
    pub node: usize,
    incarnation: u32,
    child: SimulatedChild,
    written: usize,
    pub next_at_us: u64,
    pace_us: u64,
}

impl Child {
    pub fn new(node: &Node, child: SimulatedChild, now_us: u64, rng: &mut Rng) -> Child {
        let pace_us = if rng.below(5) == 0 { 200_000 } else { 1 + rng.below(3000) };
        Child {
            node: node.number,
            incarnation: node.incarnation,
            child,
            written: 0,
            next_at_us: now_us + pace_us,
            pace_us,
        }
    }

    /// Goes on for a while. `false`: it is over.
    pub fn proceed(&mut self, node: &mut Node, now_us: u64, rng: &mut Rng) -> bool {
        let is_orphan = node.server.is_none() || node.incarnation != self.incarnation;
        let parent_closed = self.child.info.take().1;
        if (is_orphan && self.child.data.is_some()) || (parent_closed && !is_orphan) {
            return false;
        }
        if rng.below(150) == 0 {
            return self.end(node, is_orphan, false, rng);
        }
        let left = self.child.snapshot.len() - self.written;
        let most = if rng.below(3) == 0 { 64 } else { 8192 };
        let count = (1 + rng.index(most)).min(left);
        let bytes = self.child.snapshot[self.written..self.written + count].to_vec();
        self.written += count;
        self.next_at_us = now_us + 1 + rng.below(self.pace_us);
        match (&self.child.data, &mut self.child.file) {
            (Some(data), _) => {
                data.deliver(bytes);
            }
            (None, Some((file, _, _))) => {
                if node.disk().write_all(file, &bytes).is_err() {
                    return self.end(node, is_orphan, false, rng);
                }
            }
            (None, None) => return self.end(node, is_orphan, false, rng),
        }
        if self.written == self.child.snapshot.len() {
            return self.end(node, is_orphan, true, rng);
        }
        node.is_due |= !is_orphan;
        true
    }

    fn end(&mut self, node: &mut Node, is_orphan: bool, well: bool, rng: &mut Rng) -> bool {
        use understudy::base::process::{Exit, SIGKILL};
        if let Some((file, temp, place)) = &self.child.file {
            let disk = node.disk();
            if well {
                let done = disk.sync(file).and_then(|()| disk.rename(temp, place));
                let done = done.and_then(|()| disk.sync_directory(place.parent().unwrap_or(place)));
                assert!(done.is_ok() || is_orphan, "a disk that renames: {done:?}");
            } else if rng.below(2) == 0 {
                let _ = disk.remove(temp);
            }
        }
        let bad = if rng.below(2) == 0 { Exit::Code(1) } else { Exit::Signal(SIGKILL) };
        if let (false, Some(Server { children: Children::Simulated(children), .. })) = (is_orphan, &mut node.server) {
            children.note_exit(self.child.pid, if well { Exit::Code(0) } else { bad });
            node.is_due = true;
        }
        self.child.info.deliver([0u64, 0, 4096].map(u64::to_le_bytes).concat());
        false
    }
}

/// Makes a connection between two nodes that both are up.
pub fn connect(caller: usize, far: FarEnd, called: &mut Node, rng: &mut Rng) -> Connection {
    far.answer();
    let end = called.accept(SocketAddr::from(([10, 0, 0, caller as u8], 50_000 + rng.below(10_000) as u16)));
    Connection::new(End::Node(caller, far), End::Node(called.number, end), rng)
}
