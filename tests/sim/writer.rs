//! A client that changes the data: all types, several databases, transactions that cross them, deletions, expiry.

use understudy::base::rng::Rng;
use understudy::resp::reply::encode_command;

/// One client and its connection.
#[derive(Default)]
pub struct Writer {
    /// The connection, by its number.
    pub connection: Option<u64>,
    /// Replies that have not come.
    pub outstanding: usize,
    in_transaction: bool,
    /// What WAIT was asked for: each write's token and the replicas wanted.
    pub asked: Vec<Asked>,
    tokens: u64,
    number: usize,
    now_us: u64,
}

/// A write whose safety was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The key that was written.
    pub token: String,
    /// When it was sent.
    pub at_us: u64,
    /// How many replies stand before that of WAIT.
    pub replies_before: usize,
}

/// The databases that writers use; tokens stand in the one after them, which nobody empties.
pub const DATABASES: u64 = 3;

fn push(out: &mut Vec<u8>, text: &str) {
    encode_command(out, text.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
}

impl Writer {
    pub fn new(number: usize) -> Writer {
        Writer { number, ..Writer::default() }
    }

    /// Forgets everything about a connection that is over.
    pub fn reset(&mut self) {
        *self = Writer { tokens: self.tokens, ..Writer::new(self.number) };
    }

    /// Some commands to be sent at once.
    pub fn speak(&mut self, now_us: u64, rng: &mut Rng) -> Vec<u8> {
        self.now_us = now_us;
        let mut out = Vec::new();
        for _ in 0..1 + rng.below(6) {
            self.one(&mut out, rng);
        }
        out
    }

    fn say(&mut self, out: &mut Vec<u8>, text: &str) {
        push(out, text);
        self.outstanding += 1;
    }

    fn one(&mut self, out: &mut Vec<u8>, rng: &mut Rng) {
        match rng.below(40) {
            0..4 => self.say(out, &format!("SELECT {}", rng.below(DATABASES))),
            4..6 if !self.in_transaction => {
                self.in_transaction = true;
                self.say(out, "MULTI");
            }
            4..10 if self.in_transaction => {
                self.in_transaction = false;
                self.say(out, "EXEC");
            }
            10 if !self.in_transaction && rng.below(2) == 0 => self.ask_for_safety(out, rng),
            11 if rng.below(12) == 0 => self.say(out, "FLUSHDB"),
            12 => {
                let big = "x".repeat(500 + rng.index(12_000));
                let key = rng.below(6);
                self.say(out, &format!("SET big{key} {big}"));
            }
            _ => {
                let text = write_command(rng);
                self.say(out, &text);
            }
        }
    }

    /// A write to a key of its own, and WAIT for some replicas.
    fn ask_for_safety(&mut self, out: &mut Vec<u8>, rng: &mut Rng) {
        self.tokens += 1;
        // Nobody else writes this key: a write that changes nothing has no offset to wait for.
        let token = format!("token:{}:{}", self.number, self.tokens);
        self.say(out, &format!("SELECT {DATABASES}"));
        self.say(out, &format!("SETNX {token} 1"));
        self.asked.push(Asked { token, at_us: self.now_us, replies_before: self.outstanding });
        self.say(out, &format!("WAIT {} {}", 1 + rng.below(2), 100 + rng.below(3000)));
        self.say(out, "SELECT 0");
    }

    /// Takes whole replies off the inbox; gives the tokens that WAIT acknowledged, with the count it told.
    pub fn listen(&mut self, inbox: &mut Vec<u8>) -> Vec<(Asked, u64)> {
        let mut acknowledged = Vec::new();
        let mut used = 0;
        while let Some(length) = reply_length(&inbox[used..]) {
            let reply = &inbox[used..used + length];
            if self.asked.first().is_some_and(|asked| asked.replies_before == 0) {
                let asked = self.asked.remove(0);
                let count = std::str::from_utf8(&reply[1..length - 2]).ok().and_then(|text| text.parse().ok());
                acknowledged.extend(count.filter(|_| reply[0] == b':').map(|count| (asked, count)));
            }
            for asked in &mut self.asked {
                asked.replies_before -= 1;
            }
            self.outstanding = self.outstanding.saturating_sub(1);
            used += length;
        }
        inbox.drain(..used);
        acknowledged
    }
}

/// The length of the whole reply at the start of these bytes, if it is there.
fn reply_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..end - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' => {
            let whole = end + usize::try_from(number()?).map_or(0, |length| length + 2);
            (bytes.len() >= whole).then_some(whole)
        }
        b'*' => {
            let mut whole = end;
            for _ in 0..number()?.max(0) {
                whole += reply_length(bytes.get(whole..)?)?;
            }
            Some(whole)
        }
        _ => Some(end),
    }
}

fn write_command(rng: &mut Rng) -> String {
    let mut key = |kind: char| format!("{kind}{}", rng.below(8));
    let (s, l, t, z, h) = (key('s'), key('l'), key('t'), key('z'), key('h'));
    let any = [&s, &l, &t, &z, &h][rng.index(5)].clone();
    let (n, m) = (rng.below(20), rng.below(1000));
    match rng.below(24) {
        0 | 1 => format!("SET {s} {m}"),
        2 => format!("SET {s} {m} PX {}", 100 + m * 10),
        3 => format!("INCRBY {s} {m}"),
        4 => format!("APPEND {s} {m}"),
        5 | 6 => format!("LPUSH {l} {m} {n}"),
        7 => format!("RPUSH {l} {m}"),
        8 => format!("LPOP {l}"),
        9 => format!("LTRIM {l} 0 {n}"),
        10 | 11 => format!("SADD {t} {n} {m}"),
        12 => format!("SPOP {t}"),
        13 => format!("SPOP {t} {n}"),
        14 | 15 => format!("ZADD {z} {m} {n}"),
        16 => format!("ZINCRBY {z} {n} {m}"),
        17 => format!("ZPOPMIN {z} 2"),
        18 | 19 => format!("HSET {h} {n} {m}"),
        20 => format!("HINCRBYFLOAT {h} {n} 0.1"),
        21 => format!("DEL {any}"),
        22 => format!("PEXPIRE {any} {}", m * 20),
        _ => match rng.below(4) {
            0 => format!("RENAME {any} {any}r"),
            1 => format!("MOVE {any} {}", rng.below(DATABASES)),
            2 => format!("COPY {any} {any} DB {} REPLACE", rng.below(DATABASES)),
            _ => format!("GETEX {s} EX {n}"),
        },
    }
}
