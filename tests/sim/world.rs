//! The world of one run: nodes, connections, children, and the clock that goes from event to event.

use crate::network::{Connection, End};
use crate::node::{self, Child, Node};
use crate::oracle::Oracle;
use crate::writer::{Asked, DATABASES, Writer};
use std::collections::BTreeMap;
use understudy::base::rng::Rng;

/// The time at which every run begins: some day of 2024, in microseconds since 1970.
const START_US: u64 = 1_720_000_000_000_000;

/// Where the operator wants each node, and how the faults stand between nodes.
pub struct World {
    pub rng: Rng,
    pub now_us: u64,
    pub nodes: Vec<Node>,
    pub connections: BTreeMap<u64, Connection>,
    last_connection: u64,
    pub children: Vec<Child>,
    pub writers: Vec<Writer>,
    pub oracle: Oracle,
    /// Whom each node follows, as the operator wants it.
    pub follows: Vec<Option<usize>>,
    /// Calls between these nodes are not answered before.
    pub unreachable_until_us: BTreeMap<(usize, usize), u64>,
    /// When a node was last started, stopped or told whom to follow.
    pub last_upheaval_us: u64,
    /// Directives that all nodes have in this run.
    pub directives: String,
    /// What happened, counted: what a run shows for itself.
    pub counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            rng: Rng::new(seed),
            now_us: START_US,
            nodes: Vec::new(),
            connections: BTreeMap::new(),
            last_connection: 0,
            children: Vec::new(),
            writers: Vec::new(),
            oracle: Oracle::default(),
            follows: Vec::new(),
            unreachable_until_us: BTreeMap::new(),
            last_upheaval_us: START_US,
            directives: String::new(),
            counts: BTreeMap::new(),
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Microseconds since the run began.
    pub fn elapsed_us(&self) -> u64 {
        self.now_us - START_US
    }

    /// Tells what happens, where somebody looks.
    pub fn trace(&self, text: impl FnOnce() -> String) {
        crate::trace::say(self.elapsed_us(), None, text);
    }

    pub fn start(&mut self, node: usize) {
        let mut directives = self.directives.clone() + &self.nodes[node].directives;
        if let Some(master) = self.follows[node] {
            directives += &format!("replicaof {} 6379\n", node::address(master).ip());
        }
        self.trace(|| format!("start node {node}, which follows {:?}", self.follows[node]));
        self.nodes[node].start(&directives, self.now_us, &mut self.rng);
    }

    /// When anything happens next, but for what the agenda holds.
    pub fn next_at_us(&self) -> Option<u64> {
        let nodes = self.nodes.iter().filter_map(Node::next_at_us);
        let connections = self.connections.values().filter_map(Connection::next_at_us);
        let children = self.children.iter().map(|child| child.next_at_us);
        nodes.chain(connections).chain(children).min()
    }

    /// Lets everything happen that is due by now.
    pub fn step(&mut self) -> Result<(), String> {
        for connection in self.connections.values_mut() {
            for node in connection.deliver(self.now_us) {
                self.nodes[node].is_due = true;
            }
        }
        self.listen_to_replies()?;
        let (nodes, rng, now_us) = (&mut self.nodes, &mut self.rng, self.now_us);
        self.children
            .retain_mut(|child| child.next_at_us > now_us || child.proceed(&mut nodes[child.node], now_us, rng));
        for index in 0..self.nodes.len() {
            if self.nodes[index].next_at_us().is_some_and(|at| at <= self.now_us) {
                self.turn(index)?;
            }
        }
        self.connections.retain(|_, connection| !connection.is_over());
        Ok(())
    }

    /// One node's turn, and what comes of it.
    pub fn turn(&mut self, index: usize) -> Result<(), String> {
        crate::trace::at(self.elapsed_us(), index);
        let node = &mut self.nodes[index];
        let observed = node.turn(self.now_us, &mut self.oracle);
        observed.map_err(|reason| format!("node {index}: {reason}"))?;
        node.free_at_us = self.now_us + 10 + self.rng.below(150);
        self.after_turn(index)
    }

    /// Says something to a node over its control connection.
    pub fn command(&mut self, index: usize, words: &[&str]) -> Result<String, String> {
        crate::trace::at(self.elapsed_us(), index);
        let answer = self.nodes[index].command(words, self.now_us, &mut self.oracle);
        let answer = answer.map_err(|reason| format!("node {index}: {reason}"))?;
        self.trace(|| format!("node {index} is told {words:?}: {}", answer.trim_end()));
        self.after_turn(index)?;
        Ok(answer)
    }

    fn after_turn(&mut self, index: usize) -> Result<(), String> {
        let node = &mut self.nodes[index];
        let Some(server) = &node.server else { return Ok(()) };
        if server.exit_code.is_some() {
            node.stop();
            // A shutdown that waited for replicas ends long after it was asked for.
            self.last_upheaval_us = self.now_us;
        }
        for connection in self.connections.values_mut() {
            connection.collect(index, self.now_us, &mut self.rng);
        }
        let Some(server) = &node.server else { return Ok(()) };
        if self.rng.below(200) == 0 {
            let checked = self.oracle.check_data(server, index);
            checked.map_err(|reason| format!("node {index}: {reason}"))?;
        }
        let calls = node.new_calls();
        for child in node.new_children() {
            self.children.push(Child::new(node, child, self.now_us, &mut self.rng));
        }
        for call in calls {
            self.put_through(index, node::node_at(call.to), call.end);
        }
        Ok(())
    }

    fn put_through(&mut self, caller: usize, called: usize, far: understudy::reactor::simulated::FarEnd) {
        let pair = (caller.min(called), caller.max(called));
        if self.unreachable_until_us.get(&pair).is_some_and(|until| *until > self.now_us) {
            // The call hangs: the far end stays with nobody, and the caller gives up in its own time.
            let connection = Connection::new(End::Node(caller, far), End::Closed, &mut self.rng);
            return self.add(connection);
        }
        if self.nodes[called].server.is_none() {
            far.refuse();
            self.nodes[caller].is_due = true;
            return;
        }
        let connection = node::connect(caller, far, &mut self.nodes[called], &mut self.rng);
        self.nodes[caller].is_due = true;
        self.add(connection);
    }

    pub fn add(&mut self, connection: Connection) {
        self.last_connection += 1;
        self.connections.insert(self.last_connection, connection);
    }

    /// A writer says something to the node that the operator takes for the master.
    pub fn write(&mut self, writer: usize) {
        let master = self.follows.iter().position(Option::is_none).unwrap_or(0);
        let open = self.writers[writer].connection.filter(|number| {
            self.connections.get(number).is_some_and(|connection| matches!(connection.ends[0], End::Client(..)))
        });
        let Some(number) = open else {
            self.writers[writer].reset();
            if self.nodes[master].server.is_some() {
                let peer = ([10, 0, 2, writer as u8], 40_000).into();
                let end = self.nodes[master].accept(peer);
                let client = End::Client(Vec::new());
                let connection = Connection::new(client, End::Node(master, end), &mut self.rng);
                self.add(connection);
                self.writers[writer].connection = Some(self.last_connection);
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if !connection.has(master) {
            // The operator has told the client of another master.
            connection.resets_at_us = Some(self.now_us);
            return;
        }
        if self.writers[writer].outstanding < 60 {
            let bytes = self.writers[writer].speak(self.now_us, &mut self.rng);
            connection.send(0, bytes, self.now_us, &mut self.rng);
        }
    }

    fn listen_to_replies(&mut self) -> Result<(), String> {
        for writer in 0..self.writers.len() {
            let Some(number) = self.writers[writer].connection else { continue };
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            let End::Client(inbox) = &mut connection.ends[0] else { continue };
            if inbox.is_empty() {
                continue;
            }
            for (asked, count) in self.writers[writer].listen(inbox) {
                self.count("waits");
                self.check_promise(&asked, count)?;
            }
        }
        Ok(())
    }

    /// WAIT has told that so many replicas have a write. Unless nodes were started, stopped or moved meanwhile, so many
    /// and the master must hold it.
    fn check_promise(&mut self, asked: &Asked, count: u64) -> Result<(), String> {
        if count == 0 || self.last_upheaval_us >= asked.at_us {
            return Ok(());
        }
        self.count("promises");
        let holds = |node: &&Node| {
            let server = node.server.as_ref();
            server.is_some_and(|server| server.keys.db(DATABASES as usize).get(asked.token.as_bytes()).is_some())
        };
        let holders = self.nodes.iter().filter(holds).count() as u64;
        if holders <= count {
            return Err(format!("WAIT told of {count} replicas with {}, but {holders} nodes have it", asked.token));
        }
        Ok(())
    }
}
