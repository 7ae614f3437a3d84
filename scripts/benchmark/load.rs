//! A client that keeps to a schedule whatever the server does: request number i is due i / rate seconds after the start,
//! and its latency counts from then, so that a server that stalls also answers for the requests that had to wait.
//!
//! `load PORT RATE SECONDS CONNECTIONS KEYS WORD...` prints one line of JSON, times in microseconds. `__rand_int__` in a
//! word becomes 12 digits below KEYS. With 0 SECONDS it goes on, gently, until its standard input ends.

#[path = "reply.rs"]
mod reply;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RANDOM: &[u8] = b"__rand_int__";
const ANSWER_BOUND: Duration = Duration::from_secs(30);
const GENTLE_WAIT: Duration = Duration::from_millis(1);

struct Connection {
    stream: TcpStream,
    /// When the requests without a reply were due, since the start.
    due: VecDeque<Duration>,
    unsent: Vec<u8>,
    input: Vec<u8>,
}

struct Tally {
    latencies: Vec<Duration>,
    errors: usize,
    first_error: Option<String>,
}

/// A request, and where its random numbers stand.
struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
    keys: u64,
    seed: u64,
}

impl Template {
    fn new(words: &[String], keys: u64) -> Template {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        let places = bytes.windows(RANDOM.len()).enumerate().filter(|(_, window)| *window == RANDOM).map(|(at, _)| at);
        Template { places: places.collect(), bytes, keys: keys.max(1), seed: 0x9E37_79B9_7F4A_7C15 }
    }

    fn next(&mut self) -> &[u8] {
        for &place in &self.places {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            let digits = format!("{:012}", self.seed % self.keys);
            self.bytes[place..place + RANDOM.len()].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

fn send(connection: &mut Connection) -> io::Result<()> {
    while !connection.unsent.is_empty() {
        match connection.stream.write(&connection.unsent) {
            Ok(count) => drop(connection.unsent.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(connection: &mut Connection, buffer: &mut [u8], start: Instant, tally: &mut Tally) -> io::Result<()> {
    loop {
        match connection.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(count) => connection.input.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let (now, mut at) = (start.elapsed(), 0);
        while let Some(length) = reply::length(&connection.input[at..]) {
            if connection.input[at] == b'-' {
                tally.errors += 1;
                let text = String::from_utf8_lossy(&connection.input[at..at + length - 2]).into_owned();
                tally.first_error.get_or_insert(text);
            }
            let due = connection.due.pop_front().ok_or(io::Error::other("a reply that nobody asked for"))?;
            tally.latencies.push(now.saturating_sub(due));
            at += length;
        }
        connection.input.drain(..at);
    }
}

fn connect(port: u16, count: usize, poll: &Poll) -> io::Result<Vec<Connection>> {
    let open = |index| {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        Ok(Connection { stream, due: VecDeque::new(), unsent: Vec::new(), input: Vec::new() })
    };
    (0..count).map(open).collect()
}

fn show(mut tally: Tally, unanswered: usize, seconds: f64) {
    tally.latencies.sort_unstable();
    let microseconds = |part: f64| {
        let index = (tally.latencies.len() as f64 * part) as usize;
        let at = tally.latencies.get(index.min(tally.latencies.len().saturating_sub(1)));
        at.map_or(0.0, |latency| latency.as_nanos() as f64 / 1000.0)
    };
    println!(
        "{{\"requests\": {}, \"errors\": {}, \"first_error\": {:?}, \"unanswered\": {unanswered}, \"seconds\": {seconds:.3}, \
         \"p50\": {:.1}, \"p99\": {:.1}, \"p99.9\": {:.1}, \"max\": {:.1}}}",
        tally.latencies.len(),
        tally.errors,
        tally.first_error.unwrap_or_default(),
        microseconds(0.5),
        microseconds(0.99),
        microseconds(0.999),
        microseconds(1.0),
    );
}

/// Set once standard input has ended.
fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, rate, seconds, count, keys, words @ ..] = &args[..] else {
        return Err("load PORT RATE SECONDS CONNECTIONS KEYS WORD...".into());
    };
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let gentle = seconds == 0.0;
    let total = if gentle { usize::MAX } else { (rate * seconds) as usize };
    let wait = if gentle { GENTLE_WAIT } else { Duration::ZERO };
    let ended = if gentle { end_of_input() } else { Arc::default() };
    let mut poll = Poll::new()?;
    let mut connections = connect(port.parse()?, count.parse()?, &poll)?;
    let mut template = Template::new(words, keys.parse()?);
    let mut tally = Tally { latencies: Vec::new(), errors: 0, first_error: None };
    let (mut events, mut buffer, mut issued, mut last) = (Events::with_capacity(1024), vec![0; 1 << 18], 0, None);
    let start = Instant::now();
    loop {
        let now = start.elapsed();
        while last.is_none() {
            let due = Duration::from_secs_f64(issued as f64 / rate);
            if issued == total || ended.load(Ordering::Relaxed) {
                last = Some(now);
            } else if due > now {
                break;
            } else {
                let index = issued % connections.len();
                connections[index].due.push_back(due);
                connections[index].unsent.extend_from_slice(template.next());
                send(&mut connections[index])?;
                issued += 1;
            }
        }
        poll.poll(&mut events, Some(wait))?;
        for event in &events {
            receive(&mut connections[event.token().0], &mut buffer, start, &mut tally)?;
        }
        for connection in &mut connections {
            send(connection)?;
        }
        let unanswered = issued - tally.latencies.len();
        if last.is_some_and(|last| unanswered == 0 || now > last + ANSWER_BOUND) {
            show(tally, unanswered, start.elapsed().as_secs_f64());
            return Ok(());
        }
    }
}
