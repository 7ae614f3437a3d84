//! The least that a server over epoll can cost: it finds the end of each request and answers `+OK`. It looks at no
//! word of it and holds nothing. What a real server takes beyond this is its own work.
//!
//! `floor PORT` listens on loopback until it is killed.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, Read, Write};

const LISTENER: Token = Token(usize::MAX - 1);

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

/// The number at the start of a line, and where the next line begins.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut value, mut at) = (0, 1);
    while *bytes.get(at)? != b'\r' {
        value = value * 10 + usize::from(bytes[at] - b'0');
        at += 1;
    }
    Some((value, at + 2))
}

/// How long the request at the start is, if all of it is there.
fn request(bytes: &[u8]) -> Option<usize> {
    if *bytes.first()? != b'*' {
        return memchr::memchr(b'\n', bytes).map(|end| end + 1);
    }
    let (words, mut at) = number(bytes)?;
    for _ in 0..words {
        let (length, start) = number(bytes.get(at..)?)?;
        at += start + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// Serves what has come; `false` once the client is gone.
fn serve(client: &mut Client, buffer: &mut [u8], out: &mut Vec<u8>) -> bool {
    loop {
        let count = match client.stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        };
        let kept = !client.input.is_empty();
        let bytes: &[u8] = if kept {
            client.input.extend_from_slice(&buffer[..count]);
            &client.input
        } else {
            &buffer[..count]
        };
        out.clear();
        let mut at = 0;
        while let Some(length) = request(&bytes[at..]) {
            at += length;
            out.extend_from_slice(b"+OK\r\n");
        }
        if kept {
            client.input.drain(..at);
        } else if at < count {
            client.input.extend_from_slice(&buffer[at..count]);
        }
        // Whoever does not read what it asked for is of no interest here.
        if !out.is_empty() && client.stream.write_all(out).is_err() {
            return false;
        }
        if count < buffer.len() {
            return true;
        }
    }
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(6379);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients: Slab<Client> = Slab::new();
    let (mut buffer, mut out) = (vec![0; 64 * 1024], Vec::with_capacity(64 * 1024));
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let entry = clients.vacant_entry();
                    poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE)?;
                    entry.insert(Client { stream, input: Vec::new() });
                }
                continue;
            }
            let Token(index) = event.token();
            let Some(client) = clients.get_mut(index) else { continue };
            if !serve(client, &mut buffer, &mut out) {
                let mut client = clients.remove(index);
                poll.registry().deregister(&mut client.stream)?;
            }
        }
    }
}
