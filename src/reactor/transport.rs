//! The door to the network: a connection or a listener, over TCP or a Unix socket (= connection.c), or in the hands of
//! a simulation.

use super::simulated::{SimulatedListener, SimulatedNetwork, SimulatedStream};
use crate::base::net;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A connection.
#[derive(Debug)]
pub enum Transport {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// The end of a pipe that a child of ours writes to.
    Pipe(OwnedFd),
    /// In a simulation.
    Simulated(SimulatedStream),
}

/// Where connections are made to.
#[derive(Clone, Debug, Default)]
pub enum Network {
    /// The operating system's network.
    #[default]
    System,
    /// One that a simulation carries the bytes of.
    Simulated(SimulatedNetwork),
}

impl Network {
    /// Begins to connect; the outcome shows when the connection becomes writable, in `connect_result`.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Transport> {
        match self {
            Network::System => TcpStream::connect(address).map(Transport::Tcp),
            Network::Simulated(network) => network.connect(address).map(Transport::Simulated),
        }
    }
}

impl Transport {
    /// How a connection attempt ended.
    pub fn connect_result(&mut self) -> io::Result<()> {
        let stream = match self {
            Transport::Tcp(stream) => stream,
            Transport::Simulated(stream) => return stream.connect_result(),
            Transport::Unix(_) | Transport::Pipe(_) => return Ok(()),
        };
        match stream.take_error()? {
            Some(error) => Err(error),
            None => stream.peer_addr().map(drop),
        }
    }

    /// Reads once into the spare capacity of `buffer`; 0 means that the peer has closed.
    #[inline]
    pub fn read(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        match self {
            Transport::Simulated(stream) => stream.read(buffer, max),
            Transport::Pipe(_) => net::read_spare(self.as_raw_fd(), buffer, max),
            _ => net::receive_spare(self.as_raw_fd(), buffer, max),
        }
    }

    /// Writes as much as the kernel takes now.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.write(bytes),
            Transport::Unix(stream) => stream.write(bytes),
            Transport::Simulated(stream) => stream.write(bytes),
            Transport::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// `write` from several places at once.
    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [slice] = slices {
            // A little cheaper, and what a replica that keeps up always gets.
            return self.write(slice);
        }
        match self {
            Transport::Tcp(stream) => stream.write_vectored(slices),
            Transport::Unix(stream) => stream.write_vectored(slices),
            Transport::Simulated(stream) => stream.write(slices.first().map_or(&[], |slice| slice)),
            Transport::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The peer's address as CLIENT LIST shows it: `ip:port`, `[ipv6]:port`, or `path:0`.
    pub fn peer_name(&self, unix_path: &str) -> String {
        match self {
            Transport::Tcp(stream) => stream.peer_addr().map_or_else(|_| "?:0".into(), show_address),
            Transport::Simulated(stream) => show_address(stream.peer()),
            _ => format!("{unix_path}:0"),
        }
    }

    /// Our own address, in the same form.
    pub fn local_name(&self, unix_path: &str) -> String {
        match self {
            Transport::Tcp(stream) => stream.local_addr().map_or_else(|_| "?:0".into(), show_address),
            _ => format!("{unix_path}:0"),
        }
    }

    /// The peer's IP address, if it has one.
    pub fn peer_ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Transport::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Transport::Simulated(stream) => Some(stream.peer().ip()),
            _ => None,
        }
    }

    /// Whether this is TCP.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Transport::Tcp(_) | Transport::Simulated(_))
    }

    /// Ends the connection for both sides at once, even if a child of ours still holds a copy of the descriptor.
    pub fn shutdown(&mut self) {
        // A connection that the peer has reset is over already.
        let _ = match self {
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Transport::Unix(stream) => stream.shutdown(Shutdown::Both),
            Transport::Pipe(_) => Ok(()),
            Transport::Simulated(stream) => {
                stream.shutdown();
                Ok(())
            }
        };
    }

    /// Sets what TCP connections of this server have: no delay, and keep-alive unless `keepalive_s` is 0.
    pub fn set_tcp_options(&self, nodelay: bool, keepalive_s: u32) {
        if let Transport::Tcp(stream) = self {
            // A connection that the peer has reset meanwhile refuses options; the next read tells.
            let _ = net::set_nodelay(stream.as_raw_fd(), nodelay);
            if keepalive_s > 0 {
                let _ = net::set_keepalive(stream.as_raw_fd(), keepalive_s);
            }
        }
    }
}

fn show_address(address: SocketAddr) -> String {
    format!("{}:{}", address.ip(), address.port())
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Transport::Tcp(stream) => stream.as_raw_fd(),
            Transport::Unix(stream) => stream.as_raw_fd(),
            Transport::Pipe(fd) => fd.as_raw_fd(),
            Transport::Simulated(_) => -1,
        }
    }
}

/// Hands each call of `Source` to whatever the enum holds.
macro_rules! delegate_source {
    ($type:ident { $($variant:ident),+ } $($pipe:ident)?) => {
        // What is simulated is ready whenever the simulation takes a turn, and is known to no kernel.
        impl Source for $type {
            fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
                match self {
                    $($type::$variant(source) => source.register(registry, token, interest),)+
                    $($type::$pipe(fd) => mio::unix::SourceFd(&fd.as_raw_fd()).register(registry, token, interest),)?
                    $type::Simulated(_) => Ok(()),
                }
            }

            fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
                match self {
                    $($type::$variant(source) => source.reregister(registry, token, interest),)+
                    $($type::$pipe(fd) => mio::unix::SourceFd(&fd.as_raw_fd()).reregister(registry, token, interest),)?
                    $type::Simulated(_) => Ok(()),
                }
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                match self {
                    $($type::$variant(source) => source.deregister(registry),)+
                    $($type::$pipe(fd) => mio::unix::SourceFd(&fd.as_raw_fd()).deregister(registry),)?
                    $type::Simulated(_) => Ok(()),
                }
            }
        }
    };
}

delegate_source!(Transport { Tcp, Unix } Pipe);
delegate_source!(Listener { Tcp, Unix });

/// A socket that takes connections.
#[derive(Debug)]
pub enum Listener {
    /// At a TCP address.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
    /// In a simulation.
    Simulated(SimulatedListener),
}

impl Listener {
    /// Listens at a TCP address.
    pub fn tcp(address: SocketAddr, backlog: u32) -> io::Result<Listener> {
        net::listen_tcp(address, backlog).map(|listener| Listener::Tcp(TcpListener::from_std(listener)))
    }

    /// Listens at a path; see `net::listen_unix`.
    pub fn unix(path: &std::path::Path, mode: u32, backlog: u32) -> io::Result<Listener> {
        net::listen_unix(path, mode, backlog).map(|listener| Listener::Unix(UnixListener::from_std(listener)))
    }

    /// Takes one connection.
    pub fn accept(&mut self) -> io::Result<Transport> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Transport::Tcp(stream)),
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Transport::Unix(stream)),
            Listener::Simulated(listener) => listener.accept().map(Transport::Simulated),
        }
    }
}
