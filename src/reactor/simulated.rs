//! The network of a simulation: connections, listeners and calls whose other ends a simulation holds in its hands.
//!
//! A `SimulatedStream` is what a server sees; its `FarEnd` is what carries the bytes. The two share nothing: what one
//! side says reaches the other as a message, when that side looks. Dropping either end closes the connection.
//!
//! ```text
//!   server                                simulation
//!   SimulatedStream ── bytes ───────────→ FarEnd::take
//!                   ←─ bytes, room, reset ── FarEnd::deliver, ...
//!   SimulatedNetwork ── FarEnd of a call ─→ Calls
//!   SimulatedListener ←─ stream ─────────── Door::knock
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};

enum Arrival {
    Bytes(Vec<u8>),
    Room(usize),
    Answered,
    Refused,
    Reset,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Calling,
    Open,
    Refused,
    Reset,
    Closed,
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct SimulatedStream {
    peer: SocketAddr,
    arrivals: Receiver<Arrival>,
    out: Sender<Vec<u8>>,
    input: Vec<u8>,
    room: usize,
    standing: Standing,
    shut: bool,
}

/// The simulation's end of it.
#[derive(Debug)]
pub struct FarEnd {
    to: Sender<Arrival>,
    from: Receiver<Vec<u8>>,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arrival")
    }
}

fn connection(peer: SocketAddr, standing: Standing) -> (SimulatedStream, FarEnd) {
    let (to, arrivals) = mpsc::channel();
    let (out, from) = mpsc::channel();
    let stream = SimulatedStream { peer, arrivals, out, input: Vec::new(), room: 0, standing, shut: false };
    (stream, FarEnd { to, from })
}

impl SimulatedStream {
    /// A connection that stands, from `peer`, with no room to write yet.
    pub fn open(peer: SocketAddr) -> (SimulatedStream, FarEnd) {
        connection(peer, Standing::Open)
    }

    fn look(&mut self) {
        loop {
            match self.arrivals.try_recv() {
                Ok(Arrival::Bytes(bytes)) => self.input.extend_from_slice(&bytes),
                Ok(Arrival::Room(more)) => self.room += more,
                Ok(Arrival::Answered) => self.standing = Standing::Open,
                Ok(Arrival::Refused) => self.standing = Standing::Refused,
                Ok(Arrival::Reset) => self.standing = Standing::Reset,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    if self.standing == Standing::Open {
                        self.standing = Standing::Closed;
                    }
                    return;
                }
            }
        }
    }

    /// As `Transport::read`.
    pub fn read(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        self.look();
        if self.shut {
            return Ok(0);
        }
        let room = max.min(buffer.capacity() - buffer.len());
        let count = self.input.len().min(room);
        buffer.extend(self.input.drain(..count));
        match self.standing {
            _ if count > 0 => Ok(count),
            Standing::Reset | Standing::Refused => Err(io::ErrorKind::ConnectionReset.into()),
            Standing::Closed => Ok(0),
            Standing::Open | Standing::Calling => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// As `Transport::write`: takes what there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look();
        match self.standing {
            _ if self.shut => Err(io::ErrorKind::BrokenPipe.into()),
            Standing::Reset | Standing::Refused => Err(io::ErrorKind::ConnectionReset.into()),
            Standing::Closed => Err(io::ErrorKind::BrokenPipe.into()),
            Standing::Open if self.room > 0 => {
                let count = bytes.len().min(self.room);
                self.room -= count;
                // Nobody may be there to take it any more, as with any network.
                let _ = self.out.send(bytes[..count].to_vec());
                Ok(count)
            }
            Standing::Open | Standing::Calling => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// As `Transport::connect_result`.
    pub fn connect_result(&mut self) -> io::Result<()> {
        self.look();
        match self.standing {
            Standing::Open => Ok(()),
            Standing::Calling => Err(io::ErrorKind::NotConnected.into()),
            Standing::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            Standing::Reset | Standing::Closed => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// As `Transport::shutdown`.
    pub fn shutdown(&mut self) {
        self.shut = true;
    }

    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl FarEnd {
    /// Lets bytes arrive at the server. `false`: it has closed.
    pub fn deliver(&self, bytes: Vec<u8>) -> bool {
        self.to.send(Arrival::Bytes(bytes)).is_ok()
    }

    /// Lets the server write so many bytes more.
    pub fn give_room(&self, bytes: usize) {
        let _ = self.to.send(Arrival::Room(bytes));
    }

    /// Takes the call that this is the end of.
    pub fn answer(&self) {
        let _ = self.to.send(Arrival::Answered);
    }

    /// Nobody listens there.
    pub fn refuse(&self) {
        let _ = self.to.send(Arrival::Refused);
    }

    /// Breaks the connection; what was not read is read all the same.
    pub fn reset(&self) {
        let _ = self.to.send(Arrival::Reset);
    }

    /// What the server has written since the last look, and whether it has closed.
    pub fn take(&self) -> (Vec<u8>, bool) {
        let mut taken = Vec::new();
        loop {
            match self.from.try_recv() {
                Ok(bytes) => taken.extend_from_slice(&bytes),
                Err(TryRecvError::Empty) => return (taken, false),
                Err(TryRecvError::Disconnected) => return (taken, true),
            }
        }
    }
}

/// A call that a server makes: where to, and the far end of the connection if it is answered.
#[derive(Debug)]
pub struct Call {
    /// Whom it calls.
    pub to: SocketAddr,
    /// The connection.
    pub end: FarEnd,
}

/// Where a server's calls go.
#[derive(Clone, Debug)]
pub struct SimulatedNetwork {
    calls: Sender<Call>,
}

impl SimulatedNetwork {
    /// A network, and where its calls come out.
    pub fn new() -> (SimulatedNetwork, Receiver<Call>) {
        let (calls, received) = mpsc::channel();
        (SimulatedNetwork { calls }, received)
    }

    /// Begins to connect.
    pub fn connect(&self, to: SocketAddr) -> io::Result<SimulatedStream> {
        let (stream, end) = connection(to, Standing::Calling);
        self.calls.send(Call { to, end }).map_err(|_| io::ErrorKind::NetworkUnreachable)?;
        Ok(stream)
    }
}

/// A listener whose connections a simulation makes.
#[derive(Debug)]
pub struct SimulatedListener {
    waiting: Receiver<SimulatedStream>,
}

impl SimulatedListener {
    /// A listener, and the door to knock at.
    pub fn new() -> (SimulatedListener, Sender<SimulatedStream>) {
        let (door, waiting) = mpsc::channel();
        (SimulatedListener { waiting }, door)
    }

    /// As `Listener::accept`.
    pub fn accept(&mut self) -> io::Result<SimulatedStream> {
        self.waiting.try_recv().map_err(|_| io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_room_and_ends_arrive_as_messages() {
        let peer = "10.0.0.1:1".parse().unwrap();
        let (network, calls) = SimulatedNetwork::new();
        let mut stream = network.connect(peer).unwrap();
        assert_eq!(stream.connect_result().unwrap_err().kind(), io::ErrorKind::NotConnected);
        let end = calls.recv().unwrap().end;
        end.answer();
        stream.connect_result().unwrap();
        assert_eq!(stream.write(b"abc").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        end.give_room(2);
        assert_eq!(stream.write(b"abc").unwrap(), 2);
        assert_eq!(end.take(), (b"ab".to_vec(), false));
        assert!(end.deliver(b"hello".to_vec()));
        let mut buffer = Vec::with_capacity(16);
        assert_eq!(stream.read(&mut buffer, 3).unwrap(), 3);
        drop(end);
        assert_eq!(stream.read(&mut buffer, 8).unwrap(), 2);
        assert_eq!(stream.read(&mut buffer, 8).unwrap(), 0);
        assert_eq!(buffer, b"hello");
        let (stream, end) = SimulatedStream::open(peer);
        drop(stream);
        assert_eq!(end.take(), (Vec::new(), true));
        let (mut stream, end) = SimulatedStream::open(peer);
        end.reset();
        assert_eq!(stream.read(&mut buffer, 8).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
