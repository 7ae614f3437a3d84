//! The push parser of a snapshot. Ancestor: rdbLoadRio of rdb.c, turned inside out: bytes are fed in slices of any
//! size by whoever has them (a file at start, a socket during a sync), and what they hold goes to a `Sink`.
//!
//! ```text
//! Magic -> Opcode <-> {AuxKey -> AuxValue, Function, Key -> Text | Object | Skip}; Opcode -> Footer -> Done
//! ```
//!
//! A step takes its token whole or leaves it; what a buffer leaves over is a few bytes, carried to the next one.
//! Strings and collections are taken as they come. The checksum runs once over each buffer, not over each field.

use crate::base::crc64::crc64;
use crate::types::{CollectionLimits, Str, StrRef, Value};

use super::error::{ErrorKind, RdbError};
use super::format::{self, Family, Layout, opcode, type_id};
use super::object::{ObjectReader, Progress};
use super::strings::{Input, RdbString, StringReader};
use super::verify::Skipper;

const MAGIC_SIZE: usize = 9;
const FOOTER_SIZE: usize = 8;
/// More than the longest token that is taken whole, the text of a score.
const CARRY_WINDOW: usize = 512;
/// A longer string that was put together here is handed over, not shown.
const SHOWN_MAX: usize = 1024;

/// What stands beside a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyMeta {
    /// Unix time at which the key expires, in milliseconds.
    pub expire_ms: Option<i64>,
    /// Seconds since the last access, where the writer evicted by LRU.
    pub idle_s: Option<u64>,
    /// The logarithmic access counter, where the writer evicted by LFU.
    pub freq: Option<u8>,
}

/// Who takes what a snapshot holds. An error stops the load.
pub trait Sink {
    /// The header is sound and of a version that can be read. Until now nothing had to be given up for this load.
    fn start(&mut self, _version: u32, _family: Family) -> Result<(), RdbError> {
        Ok(())
    }
    fn select_db(&mut self, id: u64) -> Result<(), RdbError>;
    /// A hint: the selected database holds so many keys, so many of which expire.
    fn resize(&mut self, _keys: u64, _expires: u64) -> Result<(), RdbError> {
        Ok(())
    }
    fn aux(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), RdbError> {
        Ok(())
    }
    /// The source of a function library.
    fn function(&mut self, code: &[u8]) -> Result<(), RdbError>;
    /// A key of database `db`. That it may be there already is the sink's matter.
    fn key(&mut self, db: u64, key: &[u8], value: Value, meta: KeyMeta) -> Result<(), RdbError>;
    /// `key` for a short string, which need not become a value of its own first. `Int` only if the snapshot says so.
    fn string(&mut self, db: u64, key: &[u8], value: StrRef<'_>, meta: KeyMeta) -> Result<(), RdbError> {
        let value = match value {
            StrRef::Int(number) => Str::Int(number),
            StrRef::Bytes(bytes) => Str::from(bytes.to_vec()),
        };
        self.key(db, key, Value::Str(value), meta)
    }
    /// `key` where values are not read (`Loader::raw_values`): the number of the type, and the bytes that stand for the value.
    fn raw(&mut self, _db: u64, _key: &[u8], _type_id: u8, _value: &[u8], _meta: KeyMeta) -> Result<(), RdbError> {
        Ok(())
    }
}

enum State {
    Magic,
    Opcode,
    AuxKey,
    AuxValue {
        name: Vec<u8>,
    },
    Function,
    Key {
        type_id: u8,
    },
    /// The value of a key, where it is a string.
    Text,
    /// The value of a key, where only a module could read it: all that can be said is which.
    Module,
    Object(ObjectReader),
    /// The value of a key, where it is not wanted.
    Skip(Skipper),
    Footer,
    Done,
    Failed,
}

/// A value that is not read.
#[derive(Default)]
struct RawValue {
    type_id: u8,
    bytes: Vec<u8>,
}

/// Reads one snapshot.
pub struct Loader {
    state: State,
    limits: CollectionLimits,
    verify_checksum: bool,
    skip_values: bool,
    /// The bytes of the value in work, where they are handed over as they stand.
    raw: Option<RawValue>,
    version: u32,
    family: Family,
    strings: StringReader,
    /// The start of a token whose end has not come.
    carry: Vec<u8>,
    /// The bytes of the footer that have come.
    footer: Vec<u8>,
    crc: u64,
    /// Bytes fed and taken, from the start.
    offset: u64,
    db: u64,
    key: Vec<u8>,
    meta: KeyMeta,
    keys_loaded: u64,
    empty_keys_skipped: u64,
}

impl Loader {
    pub fn new(limits: CollectionLimits) -> Self {
        Loader {
            state: State::Magic,
            limits,
            verify_checksum: true,
            skip_values: false,
            raw: None,
            version: 0,
            family: Family::Redis,
            strings: StringReader::default(),
            carry: Vec::new(),
            footer: Vec::new(),
            crc: 0,
            offset: 0,
            db: 0,
            key: Vec::new(),
            meta: KeyMeta::default(),
            keys_loaded: 0,
            empty_keys_skipped: 0,
        }
    }

    /// Accepts any footer (`rdbchecksum no`).
    pub fn ignore_checksum(mut self) -> Self {
        self.verify_checksum = false;
        self
    }

    /// Passes over values: the sink is told all but keys.
    pub(super) fn skip_values(mut self) -> Self {
        self.skip_values = true;
        self
    }

    /// Passes over values, and gives the sink the bytes that stand for each: keys come by `Sink::raw`. What stands inside a
    /// packed collection is not looked at. A value is held as a whole, however large.
    pub fn raw_values(mut self) -> Self {
        self.raw = Some(RawValue::default());
        self.skip_values()
    }

    /// Takes the next bytes and gives what they complete to `sink`. Returns how many bytes were taken: all of them,
    /// unless the snapshot ended before (then the rest is not part of it). After an error nothing more is taken.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, RdbError> {
        let result = self.feed_body(bytes, sink).and_then(|taken| {
            let footer = self.feed_footer(&bytes[taken..])?;
            Ok(taken + footer)
        });
        match &result {
            Ok(taken) => self.offset += *taken as u64,
            Err(_) => self.state = State::Failed,
        }
        result
    }

    /// To be called when no more bytes will come: an error unless the snapshot was whole.
    pub fn finish(&self) -> Result<(), RdbError> {
        if self.done() {
            return Ok(());
        }
        let kind = match self.state {
            // What follows a type nobody knows need not be a key: its length may well reach past the end.
            State::Key { type_id } => format::layout_of(type_id, self.family).err(),
            _ => None,
        };
        let kind = kind.unwrap_or(ErrorKind::Truncated);
        Err(RdbError { kind, offset: self.offset, key: self.key_in_work() })
    }

    /// Whether the snapshot is complete, footer and all.
    pub fn done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The version in the header; 0 until it has come.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Keys given to the sink (or passed over) so far.
    pub fn keys_loaded(&self) -> u64 {
        self.keys_loaded
    }

    /// Keys whose collections had no elements: skipped, as stock servers do.
    pub fn empty_keys_skipped(&self) -> u64 {
        self.empty_keys_skipped
    }

    fn in_body(&self) -> bool {
        !matches!(self.state, State::Footer | State::Done)
    }

    fn key_in_work(&self) -> Option<Vec<u8>> {
        matches!(self.state, State::Text | State::Module | State::Object(_) | State::Skip(_)).then(|| self.key.clone())
    }

    /// Everything before the footer.
    fn feed_body(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, RdbError> {
        if !self.in_body() {
            return Ok(0);
        }
        let mut taken = 0;
        if !self.carry.is_empty() {
            let carried = self.carry.len();
            let window = bytes.len().min(CARRY_WINDOW);
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(&bytes[..window]);
            let used = self.run(&joined, self.offset - carried as u64, sink)?;
            if used < carried {
                debug_assert_eq!(window, bytes.len(), "a token longer than the window");
                self.carry = joined.split_off(used);
                taken = window;
            } else {
                taken = used - carried;
            }
        }
        if self.in_body() && self.carry.is_empty() {
            taken += self.run(&bytes[taken..], self.offset + taken as u64, sink)?;
            if self.in_body() {
                self.carry.extend_from_slice(&bytes[taken..]);
                taken = bytes.len();
            }
        }
        self.crc = crc64(self.crc, &bytes[..taken]);
        Ok(taken)
    }

    fn feed_footer(&mut self, bytes: &[u8]) -> Result<usize, RdbError> {
        if !matches!(self.state, State::Footer) {
            return Ok(0);
        }
        let missing = FOOTER_SIZE - self.footer.len();
        let taken = missing.min(bytes.len());
        self.footer.extend_from_slice(&bytes[..taken]);
        if let Some(stored) = format::array_at(&self.footer, 0).map(u64::from_le_bytes) {
            let computed = self.crc;
            if self.verify_checksum && stored != 0 && stored != computed {
                return Err(ErrorKind::Checksum { computed, stored }.into());
            }
            self.state = State::Done;
        }
        Ok(taken)
    }

    /// Steps through `bytes`, which start at `base` of the snapshot, until they are used up or the body ends.
    fn run(&mut self, bytes: &[u8], base: u64, sink: &mut impl Sink) -> Result<usize, RdbError> {
        let mut input = Input::new(bytes);
        while self.in_body() {
            let start = input.at();
            let quick = self.quick_step(&mut input, sink);
            let stepped = if matches!(quick, Ok(false)) { self.step(&mut input, sink) } else { quick };
            match stepped {
                Ok(true) => {}
                Ok(false) => break,
                Err(mut error) => {
                    error.offset = base + start as u64;
                    error.key = error.key.or_else(|| self.key_in_work());
                    return Err(error);
                }
            }
        }
        Ok(input.at())
    }

    /// Takes what most snapshots are full of in one go: a key whose value is a string, where both are short and here
    /// as a whole. False, with nothing taken, if something else comes.
    #[inline]
    fn quick_step(&mut self, input: &mut Input<'_>, sink: &mut impl Sink) -> Result<bool, RdbError> {
        if !matches!(self.state, State::Opcode) || self.raw.is_some() {
            return Ok(false);
        }
        let start = input.at();
        let mut meta = self.meta;
        let found = string_key(input, &mut meta);
        let Some((key, value)) = found else {
            input.rewind(start);
            return Ok(false);
        };
        if !self.skip_values {
            sink.string(self.db, key, value, meta)?;
        }
        self.meta = KeyMeta::default();
        self.keys_loaded += 1;
        Ok(true)
    }

    /// One step of the machine; false when its token has not all come (then it was left in `input`).
    fn step(&mut self, input: &mut Input<'_>, sink: &mut impl Sink) -> Result<bool, RdbError> {
        match &mut self.state {
            State::Opcode => {
                let start = input.at();
                let whole = self.opcode(input, sink)?;
                if !whole {
                    input.rewind(start);
                }
                return Ok(whole);
            }
            State::Object(reader) => match reader.step(input, &self.limits)? {
                Progress::NeedMore => return Ok(false),
                Progress::Done(value) => self.object_done(value, sink)?,
            },
            State::Text => return self.text(input, sink),
            State::Module => {
                let Some([id]) = lengths(input)? else { return Ok(false) };
                return Err(ErrorKind::ModuleType(format::module_name(id)).into());
            }
            State::Skip(skipper) => {
                let start = input.at();
                let whole = skipper.step(input)?;
                if let Some(raw) = &mut self.raw {
                    raw.bytes.extend_from_slice(input.taken_since(start));
                }
                if !whole {
                    return Ok(false);
                }
                self.skipped(sink)?;
            }
            State::Magic => {
                let Some(magic) = input.array::<MAGIC_SIZE>() else { return Ok(false) };
                (self.family, self.version) = read_magic(&magic)?;
                sink.start(self.version, self.family)?;
                self.state = State::Opcode;
            }
            State::Key { .. } | State::AuxKey | State::AuxValue { .. } | State::Function => {
                return self.string(input, sink);
            }
            State::Footer | State::Done => return Ok(false),
            State::Failed => return Err(RdbError::refused("the load has failed before")),
        }
        Ok(true)
    }

    /// A string that stands by itself: a key, a field of AUX, a library.
    fn string(&mut self, input: &mut Input<'_>, sink: &mut impl Sink) -> Result<bool, RdbError> {
        let Some(string) = self.strings.read(input)? else { return Ok(false) };
        let mut scratch = itoa::Buffer::new();
        let bytes = string.bytes(&mut scratch);
        self.state = match std::mem::replace(&mut self.state, State::Opcode) {
            State::Key { type_id } => {
                self.key.clear();
                self.key.extend_from_slice(bytes);
                match format::layout_of(type_id, self.family) {
                    Ok(layout) if self.skip_values => {
                        if let Some(raw) = &mut self.raw {
                            raw.type_id = type_id;
                            raw.bytes.clear();
                        }
                        State::Skip(Skipper::new(layout))
                    }
                    Ok(Layout::String) => State::Text,
                    Ok(layout) => State::Object(ObjectReader::new(layout)),
                    Err(ErrorKind::Type { id: 6 | 7, .. }) => State::Module,
                    Err(kind) => return Err(RdbError { kind, offset: 0, key: Some(self.key.clone()) }),
                }
            }
            State::AuxKey => State::AuxValue { name: bytes.to_vec() },
            State::AuxValue { name } => {
                sink.aux(&name, bytes)?;
                State::Opcode
            }
            _ => {
                sink.function(bytes)?;
                State::Opcode
            }
        };
        Ok(true)
    }

    fn object_done(&mut self, value: Option<Value>, sink: &mut impl Sink) -> Result<(), RdbError> {
        match value {
            Some(value) => {
                sink.key(self.db, &self.key, value, self.meta)?;
                self.key_done();
            }
            None => {
                self.empty_keys_skipped += 1;
                self.meta = KeyMeta::default();
                self.state = State::Opcode;
            }
        }
        Ok(())
    }

    /// The value of a key that is a string; false when it has not all come.
    fn text(&mut self, input: &mut Input<'_>, sink: &mut impl Sink) -> Result<bool, RdbError> {
        let Some(string) = self.strings.read(input)? else { return Ok(false) };
        let value = match &string {
            RdbString::Int(number) => StrRef::Int(*number),
            RdbString::Borrowed(bytes) => StrRef::Bytes(bytes),
            RdbString::Owned(bytes) => StrRef::Bytes(bytes),
        };
        match string {
            RdbString::Owned(bytes) if bytes.len() > SHOWN_MAX => {
                sink.key(self.db, &self.key, Value::Str(Str::from(bytes)), self.meta)?;
            }
            _ => sink.string(self.db, &self.key, value, self.meta)?,
        }
        self.key_done();
        Ok(true)
    }

    fn skipped(&mut self, sink: &mut impl Sink) -> Result<(), RdbError> {
        if let Some(raw) = &self.raw {
            sink.raw(self.db, &self.key, raw.type_id, &raw.bytes, self.meta)?;
        }
        self.key_done();
        Ok(())
    }

    fn key_done(&mut self) {
        self.keys_loaded += 1;
        self.meta = KeyMeta::default();
        self.state = State::Opcode;
    }

    /// An opcode with its operands, or the type of a key; false when they have not all come.
    fn opcode(&mut self, input: &mut Input<'_>, sink: &mut impl Sink) -> Result<bool, RdbError> {
        let Some(code) = input.byte() else { return Ok(false) };
        match code {
            opcode::EOF => {
                let footer = self.version >= format::VERSION_WITH_CHECKSUM;
                self.state = if footer { State::Footer } else { State::Done };
            }
            opcode::EXPIRETIME => {
                let Some(seconds) = input.array().map(i32::from_le_bytes) else { return Ok(false) };
                self.meta.expire_ms = Some(i64::from(seconds) * 1000);
            }
            opcode::EXPIRETIME_MS => {
                let Some(ms) = input.array().map(i64::from_le_bytes) else { return Ok(false) };
                self.meta.expire_ms = Some(ms);
            }
            opcode::FREQ => {
                let Some(freq) = input.byte() else { return Ok(false) };
                self.meta.freq = Some(freq);
            }
            opcode::IDLE => {
                let Some([idle]) = lengths(input)? else { return Ok(false) };
                self.meta.idle_s = Some(idle);
            }
            opcode::SELECTDB => {
                let Some([db]) = lengths(input)? else { return Ok(false) };
                sink.select_db(db)?;
                self.db = db;
            }
            opcode::RESIZEDB => {
                let Some([keys, expires]) = lengths(input)? else { return Ok(false) };
                sink.resize(keys, expires)?;
            }
            // A hint of cluster mode on the sizes of slots: nothing is lost without it.
            opcode::SLOT_INFO => return Ok(lengths::<3>(input)?.is_some()),
            opcode::MODULE_AUX => return module_aux(input),
            opcode::AUX => self.state = State::AuxKey,
            opcode::FUNCTION2 => self.state = State::Function,
            opcode::FUNCTION_PRE_GA => return Err(ErrorKind::PreReleaseFunctions.into()),
            opcode::LOWEST.. => return Err(ErrorKind::Opcode(code).into()),
            type_id => self.state = State::Key { type_id },
        }
        Ok(true)
    }
}

/// A key of type string with its value, as `Loader::quick_step` wants it; `None` after whatever was taken if not.
#[inline]
fn string_key<'a>(input: &mut Input<'a>, meta: &mut KeyMeta) -> Option<(&'a [u8], StrRef<'a>)> {
    let mut code = input.byte()?;
    if code == opcode::EXPIRETIME_MS {
        meta.expire_ms = Some(i64::from_le_bytes(input.array()?));
        code = input.byte()?;
    }
    if code != type_id::STRING {
        return None;
    }
    let key = input.short_text()?;
    let value = input.short_text().map(StrRef::Bytes).or_else(|| input.number().map(StrRef::Int))?;
    Some((key, value))
}

/// `N` lengths in a row, or `None` when they have not all come.
fn lengths<const N: usize>(input: &mut Input<'_>) -> Result<Option<[u64; N]>, ErrorKind> {
    let mut found = [0; N];
    for length in &mut found {
        match input.length()? {
            Some(value) => *length = value,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// Module data beside the keys: module id, opcode and value of "when", then values up to a 0. Without values there is
/// nothing to lose; with values only the module knows what they mean.
fn module_aux(input: &mut Input<'_>) -> Result<bool, RdbError> {
    match lengths(input)? {
        None => Ok(false),
        Some([_, _, _, 0]) => Ok(true),
        Some([id, ..]) => Err(ErrorKind::ModuleAux(format::module_name(id)).into()),
    }
}

/// The family and version a snapshot says it is of.
fn read_magic(magic: &[u8; MAGIC_SIZE]) -> Result<(Family, u32), ErrorKind> {
    let (family, digits) = if let Some(digits) = magic.strip_prefix(b"REDIS") {
        (Family::Redis, digits)
    } else if let Some(digits) = magic.strip_prefix(b"VALKEY") {
        (Family::Valkey, digits)
    } else {
        return Err(ErrorKind::WrongSignature);
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ErrorKind::WrongSignature);
    }
    let version = digits.iter().fold(0, |version, digit| version * 10 + u32::from(digit - b'0'));
    let known = match family {
        Family::Redis => (1..=format::VERSION_NEWEST_REDIS).contains(&version),
        Family::Valkey => format::VERSIONS_VALKEY.contains(&version),
    };
    if known { Ok((family, version)) } else { Err(ErrorKind::Version(version)) }
}
