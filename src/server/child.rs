//! The door to child processes: those of the system, or ones that a simulation plays.
//!
//! A snapshot child of a simulation is no process. The snapshot is written into memory at the moment at which a real
//! one would be forked; the simulation then lets it come out as slowly, and end as badly, as it likes.

use crate::base::disk::DiskFile;
use crate::base::process::{self, Exit, Pid};
use crate::reactor::Transport;
use crate::reactor::simulated::{FarEnd, SimulatedStream};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};

/// Where children come from.
#[derive(Debug, Default)]
pub enum Children {
    /// The operating system.
    #[default]
    System,
    /// A simulation.
    Simulated(SimulatedChildren),
}

/// The children of a simulation, as their parent sees them.
#[derive(Debug)]
pub struct SimulatedChildren {
    births: Sender<SimulatedChild>,
    last_pid: Pid,
    exits: BTreeMap<Pid, Exit>,
}

/// A snapshot child in the hands of a simulation.
#[derive(Debug)]
pub struct SimulatedChild {
    /// Its number.
    pub pid: Pid,
    /// What it is to write.
    pub snapshot: Vec<u8>,
    /// Its end of the pipe for its last words. When it is closed, the child has ended.
    pub info: FarEnd,
    /// Its end of the pipe to the replicas; without one the snapshot goes into a file.
    pub data: Option<FarEnd>,
    /// The file, the name it has until it is whole, and the name it gets then.
    pub file: Option<(DiskFile, PathBuf, PathBuf)>,
}

impl SimulatedChildren {
    /// No child yet; whatever is born comes out at the other end.
    pub fn new() -> (SimulatedChildren, Receiver<SimulatedChild>) {
        let (births, born) = mpsc::channel();
        (SimulatedChildren { births, last_pid: 1000, exits: BTreeMap::new() }, born)
    }

    /// Gives birth to a child that writes `snapshot`: its number, and our ends of its pipes.
    pub fn bear(
        &mut self,
        snapshot: Vec<u8>,
        piped: bool,
        file: Option<(DiskFile, PathBuf, PathBuf)>,
    ) -> (Pid, Transport, Option<Transport>) {
        let nowhere = ([0, 0, 0, 0], 0).into();
        self.last_pid += 1;
        let (info, info_end) = SimulatedStream::open(nowhere);
        let (data, data_end) = if piped { Some(SimulatedStream::open(nowhere)) } else { None }.unzip();
        // A simulation that is over has no use for it.
        let _ = self.births.send(SimulatedChild { pid: self.last_pid, snapshot, info: info_end, data: data_end, file });
        (self.last_pid, Transport::Simulated(info), data.map(Transport::Simulated))
    }

    /// Says how a child has ended. One that has ended without a word was killed.
    pub fn note_exit(&mut self, pid: Pid, exit: Exit) {
        self.exits.insert(pid, exit);
    }
}

impl Children {
    /// Waits until this child has ended; none if there is no such child.
    pub fn wait(&mut self, pid: Pid) -> Option<Exit> {
        match self {
            Children::System => process::wait_child(pid),
            Children::Simulated(children) => {
                Some(children.exits.remove(&pid).unwrap_or(Exit::Signal(process::SIGKILL)))
            }
        }
    }

    /// Takes note of a child that has ended, without waiting for one.
    pub fn wait_nonblocking(&mut self) -> Option<(Pid, Exit)> {
        match self {
            Children::System => process::wait_child_nonblocking(),
            Children::Simulated(_) => None,
        }
    }

    /// Ends a child.
    pub fn kill(&mut self, pid: Pid, signal: i32) -> io::Result<()> {
        match self {
            Children::System => process::kill(pid, signal),
            Children::Simulated(children) => {
                children.exits.insert(pid, Exit::Signal(signal));
                Ok(())
            }
        }
    }
}
