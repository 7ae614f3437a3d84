//! Carries a data set from one server to another the way replaying tools are documented to work: it asks the source for a
//! full sync as a replica does, sends each key of the snapshot to the target as `RESTORE key ttl payload REPLACE` while the
//! snapshot comes in, and then the commands of the live stream as they are. It is the yardstick of `scripts/bench migration`,
//! and no copy of any such tool: it has one thread, one connection to either side, and at most `WINDOW` requests unanswered.
//!
//! `replay SOURCE TARGET [VERSION]`, both HOST:PORT. VERSION is what the payloads say that they are of; without it, what the
//! snapshot says. What the target refuses is counted, by type or command and error, and not tried in other words.
//!
//! It ends once the target has answered all up to the stream offset that comes as a line on standard input, or, where that
//! ends without one, all that has come. It prints a line of JSON after the snapshot, when it has caught up, and in the end.

#[path = "reply.rs"]
mod reply;

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use understudy::persist::rdb::format::{self, Family};
use understudy::persist::rdb::{KeyMeta, Loader, RdbError, Sink, raw_payload};
use understudy::resp::request::{self, Batch, ParseState, RequestLimits};
use understudy::types::CollectionLimits;

/// Requests that wait for their replies at most, and how many are left to wait while more are made.
const WINDOW: usize = 1024;
const WINDOW_LOW: usize = 256;
const SENT_AT_ONCE: usize = 64 << 10;
const READ_AT_ONCE: usize = 256 << 10;
const ACK_EVERY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(20);
const KINDS_MAX: usize = 100;
const SHOWN_MAX: usize = 80;
/// No offset was asked for yet.
pub const NO_GOAL: u64 = u64::MAX;

pub type Done<T = ()> = Result<T, Box<dyn Error>>;

/// What was asked of the target and is not answered.
enum Asked {
    Select,
    Key { type_id: u8, key: Vec<u8> },
    Library,
    Command { name: String, shown: String },
}

/// How often something was refused, and the first of them.
struct Refused {
    count: u64,
    first: String,
}

struct Target {
    stream: TcpStream,
    unsent: Vec<u8>,
    input: Vec<u8>,
    buffer: Vec<u8>,
    asked: VecDeque<Asked>,
    db: u64,
    family: Family,
    refusals: BTreeMap<(String, String), Refused>,
    keys: u64,
    commands: u64,
}

impl Target {
    fn connect(place: &str) -> io::Result<Target> {
        let stream = TcpStream::connect(place)?;
        stream.set_nodelay(true)?;
        Ok(Target {
            stream,
            unsent: Vec::new(),
            input: Vec::new(),
            buffer: vec![0; READ_AT_ONCE],
            asked: VecDeque::new(),
            db: 0,
            family: Family::Redis,
            refusals: BTreeMap::new(),
            keys: 0,
            commands: 0,
        })
    }

    fn ask(&mut self, words: &[&[u8]], asked: Asked) -> io::Result<()> {
        push_command(&mut self.unsent, words);
        self.note(asked)
    }

    fn note(&mut self, asked: Asked) -> io::Result<()> {
        self.asked.push_back(asked);
        if self.unsent.len() >= SENT_AT_ONCE || self.asked.len() >= WINDOW {
            self.send()?;
            self.receive(WINDOW_LOW)?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unsent)?;
        self.unsent.clear();
        Ok(())
    }

    /// Sends all there is and waits for all replies.
    fn drain(&mut self) -> io::Result<()> {
        self.send()?;
        self.receive(0)
    }

    /// Takes replies until no more than `left` are to come.
    fn receive(&mut self, left: usize) -> io::Result<()> {
        while self.asked.len() > left {
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the target closed the connection"));
            }
            self.input.extend_from_slice(&self.buffer[..count]);
            let mut at = 0;
            while let Some(length) = reply::length(&self.input[at..]) {
                let asked = self.asked.pop_front().ok_or(io::Error::other("a reply that nobody asked for"))?;
                match &asked {
                    Asked::Key { .. } => self.keys += 1,
                    Asked::Command { .. } => self.commands += 1,
                    Asked::Select | Asked::Library => {}
                }
                let mut errors = Vec::new();
                find_errors(&self.input[at..at + length], &mut errors);
                for error in errors {
                    self.refused(&asked, error);
                }
                at += length;
            }
            self.input.drain(..at);
        }
        Ok(())
    }

    fn refused(&mut self, asked: &Asked, error: String) {
        let (what, first) = match asked {
            Asked::Select => ("SELECT".to_string(), String::new()),
            Asked::Key { type_id, key } => {
                let name = format::type_row(*type_id, self.family).map_or("unknown", |row| row.name);
                (format!("a key of type {type_id} ({name})"), shown(key))
            }
            Asked::Library => ("a library of functions".to_string(), String::new()),
            Asked::Command { name, shown } => (name.clone(), shown.clone()),
        };
        let kind = (what, error);
        let is_new = !self.refusals.contains_key(&kind);
        let kind = if is_new && self.refusals.len() >= KINDS_MAX { ("other".into(), String::new()) } else { kind };
        self.refusals.entry(kind).or_insert(Refused { count: 0, first }).count += 1;
    }
}

/// What carries a snapshot to the target.
struct Carrier<'a> {
    target: &'a mut Target,
    /// What payloads say they are of, where that is not what the snapshot says.
    version: Option<u16>,
    snapshot_version: u16,
    payload: Vec<u8>,
}

impl Sink for Carrier<'_> {
    fn start(&mut self, version: u32, family: Family) -> Result<(), RdbError> {
        self.snapshot_version = version as u16;
        self.target.family = family;
        Ok(())
    }

    fn select_db(&mut self, id: u64) -> Result<(), RdbError> {
        if id == self.target.db {
            return Ok(());
        }
        self.target.db = id;
        self.target.ask(&[b"SELECT", id.to_string().as_bytes()], Asked::Select).map_err(failed)
    }

    fn function(&mut self, code: &[u8]) -> Result<(), RdbError> {
        self.target.ask(&[b"FUNCTION", b"LOAD", code], Asked::Library).map_err(failed)
    }

    fn key(&mut self, _: u64, _: &[u8], _: understudy::types::Value, _: KeyMeta) -> Result<(), RdbError> {
        Err(RdbError::refused("values are not read here"))
    }

    fn raw(&mut self, _db: u64, key: &[u8], type_id: u8, value: &[u8], meta: KeyMeta) -> Result<(), RdbError> {
        raw_payload(&mut self.payload, type_id, value, self.version.unwrap_or(self.snapshot_version));
        let ttl_ms = meta.expire_ms.map_or(0, |moment| (moment - unix_ms()).max(1));
        let mut digits = itoa::Buffer::new();
        let words = [b"RESTORE", key, digits.format(ttl_ms).as_bytes(), &self.payload, b"REPLACE"];
        self.target.ask(&words, Asked::Key { type_id, key: key.to_vec() }).map_err(failed)
    }
}

fn failed(error: io::Error) -> RdbError {
    RdbError::refused(format!("the target: {error}"))
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    push_line(out, b'*', words.len());
    for word in words {
        push_line(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_line(out: &mut Vec<u8>, sign: u8, number: usize) {
    out.push(sign);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(SHOWN_MAX)].escape_ascii().to_string()
}

/// The errors of a reply, those within an array too.
fn find_errors(reply: &[u8], found: &mut Vec<String>) {
    match reply[0] {
        b'-' => found.push(reply[1..].trim_ascii_end().escape_ascii().to_string()),
        b'*' => {
            let mut at = memchr::memchr(b'\n', reply).map_or(reply.len(), |end| end + 1);
            while let Some(length) = reply::length(&reply[at..]).filter(|_| at < reply.len()) {
                find_errors(&reply[at..at + length], found);
                at += length;
            }
        }
        _ => {}
    }
}

struct Source {
    stream: TcpStream,
    /// What has come and was not taken.
    input: Vec<u8>,
    buffer: Vec<u8>,
}

impl Source {
    fn connect(place: &str) -> io::Result<Source> {
        let stream = TcpStream::connect(place)?;
        stream.set_nodelay(true)?;
        Ok(Source { stream, input: Vec::new(), buffer: vec![0; READ_AT_ONCE] })
    }

    /// Takes in what has come; how much that was.
    fn fill(&mut self) -> io::Result<usize> {
        let count = self.stream.read(&mut self.buffer)?;
        if count == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the source closed the connection"));
        }
        self.input.extend_from_slice(&self.buffer[..count]);
        Ok(count)
    }

    fn tell(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut command = Vec::new();
        push_command(&mut command, words);
        self.stream.write_all(&command)
    }

    /// The next line that is not empty: those keep the connection alive.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                if !text.is_empty() {
                    return Ok(text);
                }
            } else {
                self.fill()?;
            }
        }
    }

    fn answer(&mut self, words: &[&[u8]]) -> Done<String> {
        self.tell(words)?;
        let line = self.line()?;
        if line.starts_with('-') {
            return Err(format!("the source answers {line}").into());
        }
        Ok(line)
    }

    /// Asks for a full sync: the offset at which it stands, and the mark that ends it, where its length is not told.
    fn begin(&mut self) -> Done<(u64, Vec<u8>)> {
        self.answer(&[b"PING"])?;
        self.answer(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])?;
        let line = self.answer(&[b"PSYNC", b"?", b"-1"])?;
        let offset = line.strip_prefix("+FULLRESYNC ").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let offset = offset.ok_or_else(|| format!("the source answers PSYNC with {line}"))?;
        let line = self.line()?;
        match (line.strip_prefix("$EOF:"), line.starts_with('$')) {
            (Some(mark), _) => Ok((offset, mark.as_bytes().to_vec())),
            (None, true) => Ok((offset, Vec::new())),
            (None, false) => Err(format!("the source begins a snapshot with {line}").into()),
        }
    }

    /// Carries the snapshot over.
    fn snapshot(&mut self, target: &mut Target, version: Option<u16>, mark: &[u8]) -> Done {
        let mut loader = Loader::new(CollectionLimits::default()).raw_values();
        let mut carrier = Carrier { target, version, snapshot_version: 0, payload: Vec::new() };
        loop {
            let taken = loader.feed(&self.input, &mut carrier)?;
            self.input.drain(..taken);
            if loader.done() {
                break;
            }
            self.fill()?;
        }
        while self.input.len() < mark.len() {
            self.fill()?;
        }
        if !self.input.starts_with(mark) {
            return Err("the snapshot does not end with its mark".into());
        }
        self.input.drain(..mark.len());
        target.drain()?;
        Ok(())
    }
}

/// The live stream.
struct Stream {
    offset: u64,
    state: ParseState,
    batch: Batch,
    goal: Arc<AtomicU64>,
    wants_ack: bool,
}

const LIMITS: RequestLimits = RequestLimits { bulk_len_max: 512 << 20, authenticated: true, big_arguments: false };

impl Stream {
    /// Passes on the commands that have come as a whole.
    fn pass_on(&mut self, source: &mut Source, target: &mut Target) -> Done {
        let mut buffer = std::mem::take(&mut source.input);
        let taken = request::parse(&buffer, &mut self.state, LIMITS, &mut self.batch).map_err(|error| error.0)?;
        self.batch.hold(buffer);
        for index in 0..self.batch.len() {
            let (argv, bytes) = (self.batch.argv(index), self.batch.bytes(index));
            let name = argv.at(0).to_ascii_uppercase();
            if name == b"REPLCONF" {
                self.wants_ack = true;
            } else if name != b"PING" {
                target.unsent.extend_from_slice(bytes);
                let name = String::from_utf8_lossy(&name).into_owned();
                target.note(Asked::Command { name, shown: shown(bytes) })?;
            }
        }
        self.offset += taken as u64;
        buffer = self.batch.clear();
        buffer.drain(..taken);
        source.input = buffer;
        target.drain()?;
        Ok(())
    }

    /// Until the goal is reached; `tell` is called once nothing waits to be passed on.
    fn run(&mut self, source: &mut Source, target: &mut Target, tell: &dyn Fn(u64, &Target)) -> Done {
        source.stream.set_read_timeout(Some(IDLE))?;
        let (mut acked, mut has_told) = (Instant::now(), false);
        loop {
            self.pass_on(source, target)?;
            if std::mem::take(&mut self.wants_ack) || acked.elapsed() >= ACK_EVERY {
                source.tell(&[b"REPLCONF", b"ACK", self.offset.to_string().as_bytes()])?;
                acked = Instant::now();
            }
            let goal = self.goal.load(Ordering::Relaxed);
            if goal != NO_GOAL && has_told && self.offset >= goal {
                return Ok(());
            }
            let count = match source.fill() {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                filled => filled?,
            };
            if !has_told && count < READ_AT_ONCE {
                self.pass_on(source, target)?;
                tell(self.offset, target);
                has_told = true;
            }
        }
    }
}

/// The offset to end at, once it is told.
fn goal_of_input() -> Arc<AtomicU64> {
    let goal = Arc::new(AtomicU64::new(NO_GOAL));
    let told = goal.clone();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        told.store(line.trim().parse().unwrap_or(0), Ordering::Relaxed);
    });
    goal
}

fn line(event: &str, start: Instant, offset: u64, target: &Target) -> String {
    let kind = |((what, error), Refused { count, first }): (&(String, String), &Refused)| {
        format!("{{\"what\": {what:?}, \"error\": {error:?}, \"count\": {count}, \"first\": {first:?}}}")
    };
    let kinds: Vec<String> = target.refusals.iter().map(kind).collect();
    let (seconds, keys, commands) = (start.elapsed().as_secs_f64(), target.keys, target.commands);
    format!(
        "{{\"event\": {event:?}, \"seconds\": {seconds:.3}, \"offset\": {offset}, \"keys\": {keys}, \
         \"commands\": {commands}, \"refused\": [{}]}}",
        kinds.join(", ")
    )
}

/// Carries all from `source` to `target` until the goal is reached. `tell` gets the lines of JSON.
pub fn carry(source: &str, target: &str, version: Option<u16>, goal: Arc<AtomicU64>, tell: &dyn Fn(String)) -> Done {
    let start = Instant::now();
    let (mut source, mut target) = (Source::connect(source)?, Target::connect(target)?);
    let (offset, mark) = source.begin()?;
    source.snapshot(&mut target, version, &mark)?;
    tell(line("snapshot", start, offset, &target));
    let state = ParseState::default();
    let mut stream = Stream { offset, state, batch: Batch::default(), goal, wants_ack: true };
    stream.run(&mut source, &mut target, &|offset, target| tell(line("caught up", start, offset, target)))?;
    tell(line("end", start, stream.offset, &target));
    Ok(())
}

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (source, target, version) = match &args[..] {
        [source, target] => (source, target, None),
        [source, target, version] => (source, target, Some(version.parse()?)),
        _ => return Err("replay SOURCE TARGET [VERSION]".into()),
    };
    carry(source, target, version, goal_of_input(), &|line| println!("{line}"))
}
