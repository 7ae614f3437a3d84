//! The sockets that take connections: which addresses, and what happens where one cannot be had.

use super::{Procedure, Server};
use crate::config::reason;
use crate::reactor::{FileId, Interest, Listener};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A listener and its registration.
pub struct Waiting {
    /// The socket.
    pub listener: Listener,
    /// Its id with the reactor.
    pub file: FileId,
}

impl Server {
    /// Opens all listeners that the configuration names.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if self.config.port != 0 {
            let port = self.config.port;
            for listener in self.bind_all(port)? {
                self.add_listener(listener)?;
            }
        }
        if let Some(path) = self.config.unixsocket.clone() {
            let listener =
                Listener::unix(&path, self.config.unixsocketperm, self.config.tcp_backlog).map_err(|error| {
                    let text = format!("Failed opening Unix socket {}: bind: {}", path.display(), reason(&error));
                    io::Error::new(error.kind(), text)
                })?;
            self.add_listener(listener)?;
        }
        if self.listeners.is_empty() {
            return Err(io::Error::other("Configured to not listen anywhere, exiting."));
        }
        Ok(())
    }

    /// Listens at every address of `bind`. A `-` before an address makes its absence no error.
    fn bind_all(&self, port: u16) -> io::Result<Vec<Listener>> {
        let mut listeners = Vec::new();
        for address in &self.config.bind {
            let (optional, address) = match address.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, address.as_str()),
            };
            let opened = resolve(address, port).and_then(|resolved| Listener::tcp(resolved, self.config.tcp_backlog));
            match opened {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    let absent = matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
                        || error.kind() == io::ErrorKind::Unsupported;
                    log::warn!(
                        "Warning: Could not create server TCP listening socket {address}:{port}: bind: {}",
                        reason(&error)
                    );
                    if !(optional && absent) {
                        return Err(io::Error::new(
                            error.kind(),
                            format!("Failed listening on port {port} (TCP), aborting."),
                        ));
                    }
                }
            }
        }
        Ok(listeners)
    }

    /// Takes connections from this listener, too.
    pub fn add_listener(&mut self, mut listener: Listener) -> io::Result<()> {
        let file = self.event_loop.add_file(&mut listener)?;
        let procedure = Procedure::AcceptHandler(self.listeners.len());
        self.event_loop.create_file_event(file, Interest::Readable, procedure);
        self.listeners.push(Waiting { listener, file });
        Ok(())
    }

    /// Closes all listeners.
    pub fn close_listeners(&mut self) {
        for mut waiting in std::mem::take(&mut self.listeners) {
            self.event_loop.remove_file(waiting.file, &mut waiting.listener);
        }
    }

    /// Listens anew after `port`, `bind` or `tcp-backlog` changed. On an error the caller puts the old settings back and
    /// calls again.
    pub fn listen_again(&mut self) -> io::Result<()> {
        let old: Vec<Waiting> = std::mem::take(&mut self.listeners);
        // Our own sockets must be gone before the same address can be bound again.
        let mut unix = Vec::new();
        for mut waiting in old {
            match waiting.listener {
                Listener::Unix(_) | Listener::Simulated(_) => unix.push(waiting),
                Listener::Tcp(_) => self.event_loop.remove_file(waiting.file, &mut waiting.listener),
            }
        }
        for waiting in unix {
            self.event_loop.create_file_event(
                waiting.file,
                Interest::Readable,
                Procedure::AcceptHandler(self.listeners.len()),
            );
            self.listeners.push(waiting);
        }
        if self.config.port != 0 {
            for listener in self.bind_all(self.config.port)? {
                self.add_listener(listener)?;
            }
        }
        Ok(())
    }
}

/// The socket address of one word of `bind`.
fn resolve(address: &str, port: u16) -> io::Result<SocketAddr> {
    match address {
        "*" | "0.0.0.0" => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        "::*" | "::" => Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)),
        _ => {
            let mut found = (address, port).to_socket_addrs()?;
            found.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
        }
    }
}
