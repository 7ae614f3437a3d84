//! A connection that everybody waits for (= syncio.c): what MIGRATE talks to another server over. Each step may take so
//! long and no longer.
//!
//! Deliberately absent: simulations, in which nobody can be waited for.

use super::Network;
use crate::base::clock::Clock;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// So much is written before the patience begins anew.
const CHUNK: usize = 64 * 1024;
/// The longest line that is taken.
const LINE_MAX: usize = 64 * 1024;

/// The connection.
#[derive(Debug)]
pub struct BlockingLink {
    stream: TcpStream,
    patience_ms: u64,
    /// What came and is not read yet.
    buffer: Vec<u8>,
}

impl Network {
    /// Connects; this and each later step may take `patience_ms` (at least 1).
    pub fn connect_blocking(&self, address: SocketAddr, patience_ms: u64) -> io::Result<BlockingLink> {
        let Network::System = self else { return Err(io::ErrorKind::Unsupported.into()) };
        let stream = TcpStream::connect_timeout(&address, Duration::from_millis(patience_ms.max(1)))?;
        stream.set_nodelay(true)?;
        Ok(BlockingLink { stream, patience_ms: patience_ms.max(1), buffer: Vec::new() })
    }
}

impl BlockingLink {
    /// Writes all of it.
    pub fn write_all(&mut self, clock: &Clock, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            let (mut rest, deadline) = (chunk, self.deadline(clock));
            while !rest.is_empty() {
                self.stream.set_write_timeout(Some(left(clock, deadline)?))?;
                match self.stream.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Reads a line, without its end.
    pub fn read_line(&mut self, clock: &Clock) -> io::Result<Vec<u8>> {
        let deadline = self.deadline(clock);
        let mut seen = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[seen..]) {
                let mut line: Vec<u8> = self.buffer.drain(..=seen + end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            seen = self.buffer.len();
            if seen > LINE_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.stream.set_read_timeout(Some(left(clock, deadline)?))?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn deadline(&self, clock: &Clock) -> u64 {
        clock.monotonic_us() + self.patience_ms * 1000
    }
}

/// What is left until a deadline.
fn left(clock: &Clock, deadline_us: u64) -> io::Result<Duration> {
    match deadline_us.saturating_sub(clock.monotonic_us()) {
        0 => Err(io::ErrorKind::TimedOut.into()),
        us => Ok(Duration::from_micros(us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lines_come_one_by_one_and_silence_ends_the_patience() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Clock::System;
        let mut link = Network::System.connect_blocking(listener.local_addr().unwrap(), 50).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        link.write_all(&clock, &vec![b'x'; 100_000]).unwrap();
        let mut got = vec![0; 100_000];
        peer.read_exact(&mut got).unwrap();
        assert!(got.iter().all(|&byte| byte == b'x'));
        peer.write_all(b"+OK\r\n-ERR no\r\n+hal").unwrap();
        assert_eq!(link.read_line(&clock).unwrap(), b"+OK");
        assert_eq!(link.read_line(&clock).unwrap(), b"-ERR no");
        assert!(link.read_line(&clock).is_err(), "nobody sends the rest");
        peer.write_all(b"f\r\n").unwrap();
        drop(peer);
        assert_eq!(link.read_line(&clock).unwrap(), b"+half");
        assert_eq!(link.read_line(&clock).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
