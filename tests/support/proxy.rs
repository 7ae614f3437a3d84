//! A proxy on loopback between a replica and its master that cuts the link at a chosen byte of a chosen stage.
//!
//! It follows what the master sends: the replies of the handshake, the snapshot in either framing, the stream. From the
//! snapshot's end until the replica's first acknowledgement, the replica is taken to load.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Handshake,
    Snapshot,
    Load,
    Live,
}

#[derive(Default)]
struct State {
    /// The stage and how many of its bytes pass before the cut.
    plan: Option<(Stage, usize)>,
    /// Cuts made so far.
    cuts: usize,
    links: Vec<(TcpStream, TcpStream)>,
    closed: bool,
}

/// Listens until it is dropped.
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Passes every connection on to `target`.
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((replica, _)) = listener.accept() {
                if lock(&shared).closed {
                    return;
                }
                if let Ok(master) = TcpStream::connect(("127.0.0.1", target)) {
                    join(replica, master, &shared);
                }
            }
        });
        Proxy { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the link once `after` bytes of `stage` have passed.
    pub fn plan(&self, stage: Stage, after: usize) {
        lock(&self.state).plan = Some((stage, after));
    }

    pub fn cuts(&self) -> usize {
        lock(&self.state).cuts
    }

    /// Cuts whatever is linked now.
    pub fn cut_now(&self) {
        let mut state = lock(&self.state);
        state.cuts += 1;
        state.links.drain(..).for_each(|link| cut(&link));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.state).closed = true;
        lock(&self.state).links.drain(..).for_each(|link| cut(&link));
        // The listening thread wakes up and sees it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

fn cut((replica, master): &(TcpStream, TcpStream)) {
    // Either may be gone already.
    let _ = replica.shutdown(Shutdown::Both);
    let _ = master.shutdown(Shutdown::Both);
}

/// Two threads for one link: what the replica says, and what the master says, which tells the stage.
fn join(replica: TcpStream, master: TcpStream, state: &Arc<Mutex<State>>) {
    let copy = |stream: &TcpStream| stream.try_clone().unwrap();
    lock(state).links.push((copy(&replica), copy(&master)));
    let tracker = Arc::new(Mutex::new(Tracker::default()));
    let (mut from, mut to, shared) = (copy(&replica), copy(&master), Arc::clone(&tracker));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if buffer[..count].windows(3).any(|word| word == b"ACK") {
                shared.lock().unwrap().acknowledged();
            }
            // Where the master is cut off, what the replica says is read all the same: to close a socket that holds
            // unread bytes would destroy what is still on its way to the replica.
            let _ = to.write_all(&buffer[..count]);
        }
        cut(&(from, to));
    });
    let (mut from, mut to, state) = (master, replica, Arc::clone(state));
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let pass = {
                let mut state = lock(&state);
                let (pass, cut_here) = tracker.lock().unwrap().take(&buffer[..count], state.plan);
                if cut_here {
                    state.plan = None;
                    state.cuts += 1;
                }
                if cut_here { Err(pass) } else { Ok(pass) }
            };
            let (Ok(count) | Err(count)) = pass;
            if to.write_all(&buffer[..count]).is_err() || pass.is_err() || lock(&state).closed {
                break;
            }
        }
        // All that has passed arrives; the replica sees the end behind it.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// Knows from the bytes where a link stands.
struct Tracker {
    stage: Stage,
    /// Bytes of this stage so far.
    passed: usize,
    line: Vec<u8>,
    /// Bytes that the snapshot still has, or its last 40 bytes and the marker that ends it.
    left: Option<usize>,
    marker: Option<Vec<u8>>,
}

impl Default for Tracker {
    fn default() -> Self {
        Tracker { stage: Stage::Handshake, passed: 0, line: Vec::new(), left: None, marker: None }
    }
}

impl Tracker {
    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.passed = 0;
        self.line.clear();
    }

    fn acknowledged(&mut self) {
        if self.stage == Stage::Load {
            self.enter(Stage::Live);
        }
    }

    /// How many of these bytes may pass, and whether the link is cut after them.
    fn take(&mut self, bytes: &[u8], plan: Option<(Stage, usize)>) -> (usize, bool) {
        for (at, &byte) in bytes.iter().enumerate() {
            if plan.is_some_and(|(stage, after)| stage == self.stage && self.passed >= after) {
                return (at, true);
            }
            self.passed += 1;
            self.step(byte);
        }
        let due =
            plan.is_some_and(|(stage, after)| stage == self.stage && stage == Stage::Load && self.passed >= after);
        (bytes.len(), due)
    }

    fn step(&mut self, byte: u8) {
        match self.stage {
            Stage::Handshake => {
                self.line.push(byte);
                if byte == b'\n' {
                    if self.line.starts_with(b"+FULLRESYNC") {
                        self.enter(Stage::Snapshot);
                    } else if self.line.starts_with(b"+CONTINUE") {
                        self.enter(Stage::Live);
                    }
                    self.line.clear();
                }
            }
            Stage::Snapshot => self.snapshot_byte(byte),
            Stage::Load | Stage::Live => {}
        }
    }

    fn snapshot_byte(&mut self, byte: u8) {
        self.line.push(byte);
        if let Some(left) = &mut self.left {
            *left -= 1;
            self.line.clear();
            if *left == 0 {
                self.enter(Stage::Load);
            }
        } else if let Some(marker) = &self.marker {
            if self.line.ends_with(marker) {
                self.enter(Stage::Load);
            } else if self.line.len() > 4096 {
                self.line.drain(..4000);
            }
        } else if byte == b'\n' {
            let line = std::mem::take(&mut self.line);
            let text = line.trim_ascii_end();
            if let Some(marker) = text.strip_prefix(b"$EOF:") {
                self.marker = Some(marker.to_vec());
            } else if let Some(length) = text.strip_prefix(b"$") {
                self.left = Some(std::str::from_utf8(length).unwrap().parse().unwrap());
            }
        }
    }
}
