//! A small blocking RESP2/RESP3 client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A reply that takes longer than this fails the test.
const REPLY_BOUND: Duration = Duration::from_secs(60);

/// Commands sent before their replies are read, so that neither side's socket buffers fill up.
const PIPELINE_CHUNK: usize = 500;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Int(i64),
    Double(f64),
    Bool(bool),
    Simple(String),
    Error(String),
    Bulk(Vec<u8>),
    Big(String),
    Verbatim(Vec<u8>),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
}

impl Value {
    /// A bulk string, for expectations.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Value {
        Value::Bulk(bytes.as_ref().to_vec())
    }

    pub fn ok() -> Value {
        Value::Simple("OK".into())
    }

    /// The text of a string-like reply; panics on others.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Simple(text) | Value::Error(text) | Value::Big(text) => text.clone().into_bytes(),
            Value::Bulk(bytes) | Value::Verbatim(bytes) => bytes.clone(),
            other => panic!("no text: {other:?}"),
        }
    }

    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            other => panic!("no integer: {other:?}"),
        }
    }

    #[track_caller]
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("no array: {other:?}"),
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

/// A connection. Methods without `try` panic on a broken link.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    #[track_caller]
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|e| panic!("port {port}: {e}"));
        Client::over(stream)
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(REPLY_BOUND)).unwrap();
        stream.set_write_timeout(Some(REPLY_BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::with_capacity(64 * 1024, stream) }
    }

    /// One command and its reply.
    #[track_caller]
    pub fn cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.try_cmd(args).unwrap_or_else(|e| panic!("{}: {e}", shown(args)))
    }

    /// One command that must not be answered by an error.
    #[track_caller]
    pub fn good<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        let reply = self.cmd(args);
        assert!(!reply.is_error(), "{}: {reply:?}", shown(args));
        reply
    }

    pub fn try_cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.write_raw(&encode(args))?;
        self.read()
    }

    /// All commands, then all replies.
    #[track_caller]
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Vec<Value> {
        let mut replies = Vec::with_capacity(commands.len());
        for chunk in commands.chunks(PIPELINE_CHUNK) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|args| encode(args)).collect();
            self.write_raw(&bytes).expect("the pipeline is sent");
            replies.extend(chunk.iter().map(|args| self.read().unwrap_or_else(|e| panic!("{}: {e}", shown(args)))));
        }
        replies
    }

    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// All bytes until the server closes the link.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Exactly `count` raw bytes.
    pub fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next reply.
    pub fn read(&mut self) -> io::Result<Value> {
        let line = self.read_line()?;
        let (kind, rest) = line.split_at(1);
        let text = || rest.to_string();
        Ok(match kind {
            "+" => Value::Simple(text()),
            "-" => Value::Error(text()),
            ":" => Value::Int(number(rest)?),
            "(" => Value::Big(text()),
            "," => Value::Double(rest.parse().map_err(|_| bad(&line))?),
            "#" => Value::Bool(rest == "t"),
            "_" => Value::Nil,
            "$" | "=" | "!" => match number::<i64>(rest)? {
                -1 => Value::Nil,
                length => self.read_blob(kind, length as usize)?,
            },
            "*" => match number::<i64>(rest)? {
                -1 => Value::Nil,
                count => Value::Array(self.read_many(count as usize)?),
            },
            "~" => Value::Set(self.read_many(number(rest)?)?),
            ">" => Value::Push(self.read_many(number(rest)?)?),
            "%" => {
                let flat = self.read_many(number::<usize>(rest)? * 2)?;
                Value::Map(flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            _ => return Err(bad(&line)),
        })
    }

    fn read_blob(&mut self, kind: &str, length: usize) -> io::Result<Value> {
        let mut bytes = self.read_exact(length + 2)?;
        bytes.truncate(length);
        Ok(match kind {
            "$" => Value::Bulk(bytes),
            "!" => Value::Error(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Value::Verbatim(bytes.split_off(4)),
        })
    }

    fn read_many(&mut self, count: usize) -> io::Result<Vec<Value>> {
        (0..count).map(|_| self.read()).collect()
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\r\n") {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the link"));
        }
        line.truncate(line.len() - 2);
        let text = String::from_utf8_lossy(&line).into_owned();
        if text.is_empty() { Err(bad("an empty line")) } else { Ok(text) }
    }
}

/// A command as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.as_ref().len()).bytes());
        bytes.extend(arg.as_ref());
        bytes.extend(b"\r\n");
    }
    bytes
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| bad(text))
}

fn bad(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no RESP: {line:?}"))
}

fn shown<A: AsRef<[u8]>>(args: &[A]) -> String {
    let words: Vec<String> = args
        .iter()
        .map(|arg| String::from_utf8_lossy(&arg.as_ref()[..arg.as_ref().len().min(60)]).into_owned())
        .collect();
    words.join(" ")
}
