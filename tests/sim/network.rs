//! The network between the servers: connections whose bytes are late, come in pieces, stall, or are lost with the
//! connection; never reordered or changed within one, as TCP promises.

use std::collections::VecDeque;
use understudy::base::rng::Rng;
use understudy::reactor::simulated::FarEnd;

/// Who holds an end of a connection.
#[derive(Debug)]
pub enum End {
    /// A server, by the far end of what it sees.
    Node(usize, FarEnd),
    /// A client of the simulation: what has reached it.
    Client(Vec<u8>),
    /// Nobody any more.
    Closed,
}

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
pub struct Flow {
    parcels: VecDeque<(u64, Vec<u8>)>,
    last_at_us: u64,
    /// The sender has closed; that arrives after the bytes.
    closes_at_us: Option<u64>,
    /// Nothing arrives before.
    pub stalled_until_us: u64,
}

/// A connection. `ends[0]` is who called.
#[derive(Debug)]
pub struct Connection {
    pub ends: [End; 2],
    /// `flows[i]` is what `ends[i]` has sent.
    pub flows: [Flow; 2],
    delay_us: u64,
    /// Both ends learn that it is broken, then.
    pub resets_at_us: Option<u64>,
}

/// Room for bytes on their way that a sender has at first.
const WINDOW: usize = 48 * 1024;

impl Connection {
    pub fn new(caller: End, called: End, rng: &mut Rng) -> Connection {
        // Far away, or narrow, or neither; both at once would be too slow for the end in peace.
        let (delay_us, window) = match rng.below(12) {
            0 | 1 => (20_000 + rng.below(200_000), WINDOW),
            2..5 => (100 + rng.below(1000), 64 + rng.index(1000)),
            _ => (100 + rng.below(2000), WINDOW),
        };
        for end in [&caller, &called] {
            if let End::Node(_, far) = end {
                far.give_room(window);
            }
        }
        Connection { ends: [caller, called], flows: Default::default(), delay_us, resets_at_us: None }
    }

    /// Whether it joins these two servers, whoever called.
    pub fn joins(&self, a: usize, b: usize) -> bool {
        self.has(a) && self.has(b)
    }

    /// Whether this server holds an end.
    pub fn has(&self, node: usize) -> bool {
        self.ends.iter().any(|end| matches!(end, End::Node(held, _) if *held == node))
    }

    /// Whether nobody holds an end any more.
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(|end| matches!(end, End::Closed))
    }

    /// Sends bytes from this side.
    pub fn send(&mut self, side: usize, bytes: Vec<u8>, now_us: u64, rng: &mut Rng) {
        let flow = &mut self.flows[side];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // Sometimes in pieces, down to single bytes.
            let piece = match rng.below(8) {
                0 => 1 + rng.index(rest.len()),
                1 => 1 + rng.index(rest.len().min(7)),
                _ => rest.len(),
            };
            let at = flow.last_at_us.max(now_us + self.delay_us / 2 + rng.below(self.delay_us));
            flow.last_at_us = at;
            flow.parcels.push_back((at, rest[..piece].to_vec()));
            rest = &rest[piece..];
        }
    }

    /// Takes what a server has written on its side, and notices that it has closed.
    pub fn collect(&mut self, node: usize, now_us: u64, rng: &mut Rng) {
        for side in 0..2 {
            let End::Node(held, far) = &self.ends[side] else { continue };
            if *held != node {
                continue;
            }
            let (bytes, closed) = far.take();
            if !bytes.is_empty() {
                self.send(side, bytes, now_us, rng);
            }
            if closed {
                self.ends[side] = End::Closed;
                self.flows[side].closes_at_us = Some(self.flows[side].last_at_us.max(now_us) + self.delay_us);
            }
        }
    }

    /// When something arrives next.
    pub fn next_at_us(&self) -> Option<u64> {
        let of = |flow: &Flow| {
            let at = flow.parcels.front().map(|(at, _)| *at).or(flow.closes_at_us)?;
            Some(at.max(flow.stalled_until_us))
        };
        [of(&self.flows[0]), of(&self.flows[1]), self.resets_at_us].into_iter().flatten().min()
    }

    /// Lets arrive what is due. Returns the servers that something reached.
    pub fn deliver(&mut self, now_us: u64) -> Vec<usize> {
        let mut reached = Vec::new();
        if self.resets_at_us.is_some_and(|at| at <= now_us) {
            self.resets_at_us = None;
            for side in 0..2 {
                if let End::Node(node, far) = &self.ends[side] {
                    far.reset();
                    reached.push(*node);
                }
                self.flows[side] = Flow::default();
                if let End::Client(_) = self.ends[side] {
                    self.ends[side] = End::Closed;
                }
            }
            return reached;
        }
        for side in 0..2 {
            while let Some(bytes) = self.flows[side].due(now_us) {
                let count = bytes.len();
                match &mut self.ends[1 - side] {
                    End::Node(node, far) => {
                        far.deliver(bytes);
                        reached.push(*node);
                    }
                    End::Client(inbox) => inbox.extend_from_slice(&bytes),
                    // The other side is gone: the sender is told.
                    End::Closed => self.resets_at_us = Some(now_us + self.delay_us),
                }
                if let End::Node(node, far) = &self.ends[side] {
                    far.give_room(count);
                    reached.push(*node);
                }
            }
            let flow = &mut self.flows[side];
            if flow.parcels.is_empty() && flow.closes_at_us.is_some_and(|at| at.max(flow.stalled_until_us) <= now_us) {
                flow.closes_at_us = None;
                if let End::Node(node, _) = &self.ends[1 - side] {
                    reached.push(*node);
                }
                // Dropping the far end is how the server learns of the close.
                self.ends[1 - side] = End::Closed;
            }
        }
        reached
    }
}

impl Flow {
    fn due(&mut self, now_us: u64) -> Option<Vec<u8>> {
        if self.stalled_until_us > now_us || self.parcels.front()?.0 > now_us {
            return None;
        }
        self.parcels.pop_front().map(|(_, bytes)| bytes)
    }
}
