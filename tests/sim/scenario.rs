//! One run: an operator who builds a tree of replicas, faults that befall it, an end in peace, and what must be true
//! then.

use crate::node::Node;
use crate::world::World;
use crate::writer::{DATABASES, Writer};
use std::collections::BTreeMap;
use understudy::base::rng::Rng;

/// What is to happen at some time.
#[derive(Clone, Copy, Debug)]
enum Task {
    Write(usize),
    Fault,
    /// A node is told whom to follow, as the operator wants it now.
    Tell(usize),
    Restart(usize),
    DiskFree(usize),
    Peace,
}

/// Faults end after so long at the latest.
const STORM_US: u64 = 45_000_000;
/// In peace everything must be well after so long.
const PEACE_US: u64 = 200_000_000;

struct Run {
    world: World,
    agenda: BTreeMap<(u64, u64), Task>,
    tasks: u64,
    in_peace: bool,
    /// Whether nodes come to be bridges, and cease to be, as the run goes.
    turns_bridges: bool,
}

/// Runs one seed to its end. An error tells what was not true; `Ok` counts what happened.
pub fn run(seed: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut run = Run::new(seed);
    let outcome = run.storm().and_then(|()| run.peace());
    outcome.map_err(|reason| format!("after {:.6} s: {reason}", run.world.elapsed_us() as f64 / 1e6))?;
    Ok(run.world.counts)
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut world = World::new(seed);
        let nodes = 2 + world.rng.index(4);
        for number in 0..nodes {
            world.nodes.push(Node::new(number));
            let parent = (number > 0).then(|| world.rng.index(number));
            world.follows.push(parent);
        }
        world.directives = directives(&mut world.rng);
        let turns_bridges = make_bridges(&mut world);
        for number in 0..nodes {
            world.start(number);
        }
        let storm_until_us = world.now_us + 5_000_000 + world.rng.below(STORM_US - 5_000_000);
        let mut run = Run { world, agenda: BTreeMap::new(), tasks: 0, in_peace: false, turns_bridges };
        for writer in 0..1 + run.world.rng.index(2) {
            run.world.writers.push(Writer::new(writer));
            run.at(1000, Task::Write(writer));
        }
        run.at(500_000, Task::Fault);
        run.at(storm_until_us - run.world.now_us, Task::Peace);
        run
    }

    fn at(&mut self, delay_us: u64, task: Task) {
        self.tasks += 1;
        self.agenda.insert((self.world.now_us + delay_us, self.tasks), task);
    }

    /// Goes to the next event, before this time, and lets it happen.
    fn next(&mut self, until_us: u64) -> Result<bool, String> {
        let task_at = self.agenda.keys().next().map(|(at, _)| *at);
        let Some(at) = [task_at, self.world.next_at_us()].into_iter().flatten().min() else { return Ok(false) };
        if at > until_us {
            self.world.now_us = until_us;
            return Ok(false);
        }
        self.world.now_us = self.world.now_us.max(at);
        while let Some((&key, &task)) = self.agenda.iter().next() {
            if key.0 > self.world.now_us {
                break;
            }
            self.agenda.remove(&key);
            self.perform(task)?;
        }
        self.world.step()?;
        Ok(true)
    }

    fn storm(&mut self) -> Result<(), String> {
        while !self.in_peace && self.next(u64::MAX)? {}
        Ok(())
    }

    fn perform(&mut self, task: Task) -> Result<(), String> {
        match task {
            Task::Write(writer) => {
                self.world.write(writer);
                let pause = if self.world.rng.below(20) == 0 { 3_000_000 } else { 150_000 };
                let delay = 1000 + self.world.rng.below(pause);
                self.at(delay, Task::Write(writer));
            }
            Task::Fault => {
                self.fault()?;
                let delay = 50_000 + self.world.rng.below(4_000_000);
                self.at(delay, Task::Fault);
            }
            Task::Tell(node) => self.tell(node)?,
            Task::Restart(node) if self.world.nodes[node].server.is_none() => {
                self.world.start(node);
                self.world.last_upheaval_us = self.world.now_us;
            }
            Task::Restart(_) => {}
            Task::DiskFree(node) => self.world.nodes[node].simulated_disk().room = None,
            Task::Peace => self.make_peace()?,
        }
        Ok(())
    }

    /// Tells a node whom to follow. One that does not hear is told when it does.
    fn tell(&mut self, node: usize) -> Result<(), String> {
        if !self.world.nodes[node].is_awake(self.world.now_us) {
            self.at(700_000, Task::Tell(node));
            return Ok(());
        }
        self.world.last_upheaval_us = self.world.now_us;
        let host = self.world.follows[node].map(|master| crate::node::address(master).ip().to_string());
        let answer = match host {
            None => self.world.command(node, &["REPLICAOF", "NO", "ONE"])?,
            Some(host) => self.world.command(node, &["REPLICAOF", &host, "6379"])?,
        };
        if answer.starts_with('-') {
            // It is loading.
            self.at(300_000, Task::Tell(node));
        }
        Ok(())
    }

    fn any_node(&mut self) -> usize {
        self.world.rng.index(self.world.nodes.len())
    }

    fn fault(&mut self) -> Result<(), String> {
        let node = self.any_node();
        match self.world.rng.below(18) {
            0 | 1 => self.cut(),
            2 => self.stall(),
            3 => self.part(),
            4 => self.crash(node),
            5 => self.shut_down(node)?,
            6 => {
                let until = self.world.now_us + 100_000 + self.world.rng.below(12_000_000);
                self.world.nodes[node].paused_until_us = until;
                self.world.count("pauses");
            }
            7 | 8 => self.promote(),
            9 => self.reshape(),
            10 => {
                // Promoted by mistake, and put back.
                if self.world.nodes[node].is_awake(self.world.now_us) && self.world.follows[node].is_some() {
                    self.world.last_upheaval_us = self.world.now_us;
                    self.world.command(node, &["REPLICAOF", "NO", "ONE"])?;
                    let delay = self.world.rng.below(3_000_000);
                    self.at(delay, Task::Tell(node));
                }
            }
            11 | 12 => self.configure(node)?,
            16 | 17 => self.fail_over()?,
            13 => {
                self.world.command(node, &["BGSAVE"])?;
            }
            14 => {
                let room = self.world.rng.index(4000);
                self.world.nodes[node].simulated_disk().room = Some(room);
                let delay = 500_000 + self.world.rng.below(8_000_000);
                self.at(delay, Task::DiskFree(node));
                self.world.count("full disks");
            }
            _ => {
                let kind = ["master", "replica", "normal"][self.world.rng.index(3)];
                self.world.command(node, &["CLIENT", "KILL", "TYPE", kind])?;
            }
        }
        Ok(())
    }

    fn any_connection(&mut self) -> Option<u64> {
        let numbers: Vec<u64> = self.world.connections.keys().copied().collect();
        (!numbers.is_empty()).then(|| numbers[self.world.rng.index(numbers.len())])
    }

    fn cut(&mut self) {
        let Some(number) = self.any_connection() else { return };
        let now_us = self.world.now_us;
        if let Some(connection) = self.world.connections.get_mut(&number) {
            connection.resets_at_us = Some(now_us);
        }
        self.world.count("cuts");
    }

    /// Bytes in one or both directions do not arrive for a while.
    fn stall(&mut self) {
        let Some(number) = self.any_connection() else { return };
        let until = self.world.now_us + self.world.rng.below(25_000_000);
        let sides = self.world.rng.below(3);
        if let Some(connection) = self.world.connections.get_mut(&number) {
            for side in 0..2 {
                if sides == 2 || sides == side {
                    connection.flows[side as usize].stalled_until_us = until;
                }
            }
        }
        self.world.count("stalls");
    }

    /// Two nodes cannot reach each other for a while.
    fn part(&mut self) {
        let (a, b) = (self.any_node(), self.any_node());
        if a == b {
            return;
        }
        let until = self.world.now_us + self.world.rng.below(20_000_000);
        self.world.unreachable_until_us.insert((a.min(b), a.max(b)), until);
        for connection in self.world.connections.values_mut().filter(|connection| connection.joins(a, b)) {
            connection.flows.iter_mut().for_each(|flow| flow.stalled_until_us = until);
        }
        self.world.count("partitions");
    }

    /// The process is killed, or the machine loses its power.
    fn crash(&mut self, node: usize) {
        let world = &mut self.world;
        if world.nodes[node].server.is_none() {
            return;
        }
        let power_cut = world.rng.below(2) == 0;
        world.trace(|| format!("node {node} crashes{}", if power_cut { ", its power is cut" } else { "" }));
        world.nodes[node].stop();
        world.last_upheaval_us = world.now_us;
        if power_cut {
            world.children.retain(|child| child.node != node);
            world.nodes[node].simulated_disk().crash(&mut world.rng);
        }
        let silent = power_cut && world.rng.below(2) == 0;
        for connection in world.connections.values_mut().filter(|connection| connection.has(node)) {
            connection.collect(node, world.now_us, &mut world.rng);
            if silent {
                // Nobody is told; who waits for it finds out by its own clock.
                connection.flows.iter_mut().for_each(|flow| flow.stalled_until_us = world.now_us + 30_000_000);
            }
        }
        world.count("crashes");
        let delay = 10_000 + world.rng.below(6_000_000);
        self.at(delay, Task::Restart(node));
    }

    fn shut_down(&mut self, node: usize) -> Result<(), String> {
        let how = ["SAVE", "NOSAVE"][self.world.rng.index(2)];
        if self.world.nodes[node].is_awake(self.world.now_us) {
            self.world.last_upheaval_us = self.world.now_us;
            self.world.command(node, &["SHUTDOWN", how])?;
            // Who asked for it may wait for the end of the replicas' lag; the operator has another connection.
            self.world.nodes[node].new_control();
            self.world.count("shutdowns");
            // It may wait for its replicas first.
            for delay in [3_000_000, 20_000_000] {
                self.at(delay, Task::Restart(node));
            }
        }
        Ok(())
    }

    /// The operator makes another node the master, and tells everybody in their turn.
    fn promote(&mut self) {
        let chosen = self.any_node();
        let world = &mut self.world;
        world.trace(|| format!("the operator wants node {chosen} for a master"));
        let old = world.follows.clone();
        world.follows[chosen] = None;
        for node in 0..world.nodes.len() {
            if node == chosen {
                continue;
            }
            // Below the new master as it was, or moved there.
            let stays = world.rng.below(2) == 0 && leads_to(&old, node, chosen);
            if !stays {
                world.follows[node] = Some(chosen);
            }
        }
        world.count("promotions");
        for node in 0..self.world.nodes.len() {
            let delay = self.world.rng.below(5_000_000);
            self.at(if node == chosen { delay / 4 } else { delay }, Task::Tell(node));
        }
    }

    /// The master is asked to hand its part over to one of its replicas. Whether it comes to that or not, the operator
    /// insists on it later.
    fn fail_over(&mut self) -> Result<(), String> {
        let Some(master) = self.world.follows.iter().position(Option::is_none) else { return Ok(()) };
        let heir = self.any_node();
        if self.world.follows[heir] != Some(master) || !self.world.nodes[master].is_awake(self.world.now_us) {
            return Ok(());
        }
        let host = crate::node::address(heir).ip().to_string();
        let answer = self.world.command(master, &["FAILOVER", "TO", &host, "6379", "TIMEOUT", "3000"])?;
        if answer.starts_with('+') {
            self.world.count("failovers");
            self.world.last_upheaval_us = self.world.now_us;
            self.world.follows[heir] = None;
            self.world.follows[master] = Some(heir);
            for node in 0..self.world.nodes.len() {
                let delay = 4_000_000 + self.world.rng.below(4_000_000);
                self.at(delay, Task::Tell(node));
            }
        }
        Ok(())
    }

    /// A replica is moved to another place in the tree.
    fn reshape(&mut self) {
        let (node, parent) = (self.any_node(), self.any_node());
        let world = &mut self.world;
        if node == parent || world.follows[node].is_none() || leads_to(&world.follows, parent, node) {
            return;
        }
        world.trace(|| format!("the operator moves node {node} under node {parent}"));
        world.follows[node] = Some(parent);
        world.count("moves");
        let delay = self.world.rng.below(1_000_000);
        self.at(delay, Task::Tell(node));
    }

    fn configure(&mut self, node: usize) -> Result<(), String> {
        let (name, values): (&str, &[&str]) = match self.world.rng.below(8) {
            7 if self.turns_bridges => ("replication-bridge", &["yes", "no"]),
            0 => ("repl-diskless-sync", &["yes", "no"]),
            1 => ("repl-diskless-load", &["disabled", "on-empty-db", "swapdb"]),
            2 => ("repl-backlog-size", &["16384", "100kb", "1mb"]),
            3 => ("key-load-delay", &["0", "1"]),
            4 => ("hz", &["1", "10", "50"]),
            5 => ("repl-diskless-sync-delay", &["0", "1"]),
            _ => ("client-output-buffer-limit", &["replica 20000 0 0", "replica 256mb 64mb 60"]),
        };
        let value = values[self.world.rng.index(values.len())];
        self.world.command(node, &["CONFIG", "SET", name, value])?;
        Ok(())
    }

    /// The storm is over: what was broken is repaired, and the operator's wish is told to all once more.
    fn make_peace(&mut self) -> Result<(), String> {
        self.world.trace(|| "peace".into());
        self.in_peace = true;
        self.agenda.retain(|_, task| matches!(task, Task::Write(_) | Task::Restart(_)));
        self.world.unreachable_until_us.clear();
        for node in 0..self.world.nodes.len() {
            self.world.nodes[node].paused_until_us = 0;
            self.world.nodes[node].simulated_disk().room = None;
            if self.world.nodes[node].server.is_none() {
                self.world.start(node);
            }
        }
        for connection in self.world.connections.values_mut() {
            if connection.flows.iter().any(|flow| flow.stalled_until_us > self.world.now_us) {
                connection.resets_at_us = Some(self.world.now_us);
            }
        }
        for node in 0..self.world.nodes.len() {
            self.world.command(node, &["SHUTDOWN", "ABORT"])?;
            self.world.command(node, &["FAILOVER", "ABORT"])?;
            // Where a master lost its data, it is for the operator to say that its replicas are to lose theirs.
            self.world.command(node, &["CONFIG", "SET", "replica-accept-empty-master", "yes"])?;
            self.tell(node)?;
        }
        // A failover that had come too far to be given up may have had its way after that.
        for node in 0..self.world.nodes.len() {
            self.at(10_000_000, Task::Tell(node));
        }
        Ok(())
    }

    /// Writes go on for a while; then everybody must come to hold the same.
    fn peace(&mut self) -> Result<(), String> {
        let quiet_at = self.world.now_us + 3_000_000;
        while self.next(quiet_at)? {}
        self.agenda.retain(|_, task| matches!(task, Task::Restart(_) | Task::Tell(_)));
        for connection in self.world.connections.values_mut() {
            if matches!(connection.ends[0], crate::network::End::Client(..)) {
                connection.resets_at_us = Some(self.world.now_us);
            }
        }
        let deadline = self.world.now_us + PEACE_US;
        while !self.is_well() {
            if !self.next(deadline)? {
                return Err(format!("the nodes do not come together:\n{}", self.describe()));
            }
        }
        for index in 0..self.world.nodes.len() {
            if let Some(server) = &self.world.nodes[index].server {
                self.world.oracle.check_data(server, index).map_err(|reason| format!("node {index}: {reason}"))?;
                *self.world.counts.entry("rewritten").or_default() += server.repl.bridge.rewritten;
            }
        }
        let later = self.world.now_us + 2_000_000;
        while self.next(later)? {}
        self.check_leaks()
    }

    /// Whether all nodes are where their masters are, with nothing going on.
    fn is_well(&self) -> bool {
        self.world.nodes.iter().zip(&self.world.follows).all(|(node, follows)| {
            let Some(server) = &node.server else { return false };
            let repl = &server.repl;
            let calm = server.loading.is_none() && server.keys.expired.is_empty();
            let Some(master) = follows else { return calm && !repl.is_replica() };
            let at_master = self.world.nodes[*master].server.as_ref().is_some_and(|server| {
                let place = (server.repl.replid.as_str(), server.repl.log.end());
                place == (repl.master_replid(), repl.applied_offset())
            });
            calm && repl.is_replica() && repl.is_link_up() && at_master
        })
    }

    /// Every connection that is there has its reason, and no log keeps more than it should.
    fn check_leaks(&mut self) -> Result<(), String> {
        for (index, node) in self.world.nodes.iter().enumerate() {
            let Some(server) = &node.server else { return Err(format!("node {index} is down")) };
            let replicas = self.world.follows.iter().filter(|follows| **follows == Some(index)).count();
            // One is the control connection.
            let expected = 1 + replicas + usize::from(self.world.follows[index].is_some());
            if server.clients.len() != expected {
                return Err(format!("node {index} has {} clients, not {expected}", server.clients.len()));
            }
            let (held, size) = (server.repl.log.memory_bytes(), server.config.repl_backlog_size as usize);
            if held > size + 3 * 64 * 1024 {
                return Err(format!("node {index} holds {held} bytes for a backlog of {size}"));
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for (index, node) in self.world.nodes.iter().enumerate() {
            text += &format!("node {index}, to follow {:?}: ", self.world.follows[index]);
            text += &node.server.as_ref().map_or("down".into(), |server| {
                let repl = &server.repl;
                let stage = repl.link.stage;
                let (own, theirs) = ((&repl.replid, repl.log.end()), (repl.master_replid(), repl.applied_offset()));
                format!("follows {:?}, {stage:?}, own {own:?}, its master's {theirs:?}", repl.master)
            });
            text.push('\n');
        }
        for connection in self.world.connections.values() {
            text += &format!("{connection:?}\n");
        }
        text
    }
}

/// Whether `node` follows `ancestor`, directly or through others.
fn leads_to(follows: &[Option<usize>], mut node: usize, ancestor: usize) -> bool {
    for _ in 0..follows.len() {
        match follows[node] {
            Some(master) if master == ancestor => return true,
            Some(master) => node = master,
            None => return false,
        }
    }
    false
}

/// In half of the runs some nodes are bridges: either some speak an old dialect, or they may change as the run goes.
fn make_bridges(world: &mut World) -> bool {
    let kind = world.rng.below(4);
    for node in &mut world.nodes {
        if kind < 2 || world.rng.below(2) == 0 {
            continue;
        }
        node.directives = "replication-bridge yes\n".into();
        if kind == 2 {
            node.directives += ["repl-rdb-version auto\n", "repl-rdb-version 9\n"][world.rng.index(2)];
        }
        *world.counts.entry("bridges").or_default() += 1;
    }
    kind == 3
}

fn directives(rng: &mut Rng) -> String {
    let mut pick = |values: &[&str]| values[rng.index(values.len())].to_string();
    [
        "port 6379\nprotected-mode no\nsave \"\"\nrepl-ping-replica-period 2\nrepl-timeout 8\n".to_string(),
        format!("databases {}\n", DATABASES + 1),
        format!("hz {}\n", pick(&["1", "10"])),
        format!("repl-diskless-sync {}\n", pick(&["yes", "no"])),
        format!("repl-diskless-sync-delay {}\n", pick(&["0", "1"])),
        format!("repl-diskless-load {}\n", pick(&["disabled", "on-empty-db", "swapdb"])),
        format!("repl-backlog-size {}\n", pick(&["16384", "64kb", "1mb"])),
        format!("key-load-delay {}\n", pick(&["0", "1"])),
    ]
    .concat()
}
