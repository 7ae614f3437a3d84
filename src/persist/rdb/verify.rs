//! Whether a snapshot is whole and holds nothing that cannot be read: magic, version, opcodes, type numbers, lengths
//! and checksum, while its bytes arrive. Ancestor: what redis-check-rdb does, short of reading the values.
//!
//! A replica asks here before it gives its old data up. The walk is the loader's own, with values passed over: nothing
//! is unpacked, and what stands inside a packed collection is not looked at.

use crate::types::{CollectionLimits, Value};

use super::error::{ErrorKind, RdbError};
use super::format::{Layout, Part};
use super::load::{KeyMeta, Loader, Sink};
use super::object::{container_kind, score};
use super::stream::StreamSkipper;
use super::strings::{Input, StringSkipper};

/// Verifies one snapshot.
pub struct Verifier {
    loader: Loader,
    looker: Looker,
}

impl Verifier {
    /// With `ignore_checksum` any footer will do (`rdbchecksum no`).
    pub fn new(ignore_checksum: bool) -> Self {
        let loader = Loader::new(CollectionLimits::default()).skip_values();
        let loader = if ignore_checksum { loader.ignore_checksum() } else { loader };
        Verifier { loader, looker: Looker::default() }
    }

    /// Takes the next bytes; returns how many of them belong to the snapshot. See `Loader::feed`.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, RdbError> {
        self.loader.feed(bytes, &mut self.looker)
    }

    /// Whether the snapshot is complete, footer and all.
    pub fn done(&self) -> bool {
        self.loader.done()
    }

    /// To be called when no more bytes will come: an error unless the snapshot was whole.
    pub fn finish(&self) -> Result<(), RdbError> {
        self.loader.finish()
    }

    /// Keys seen so far.
    pub fn keys(&self) -> u64 {
        self.loader.keys_loaded()
    }

    /// Keys that the databases which have begun are said to hold.
    pub fn keys_announced(&self) -> u64 {
        self.looker.announced
    }

    /// The sources of function libraries seen so far. Whether they can be run is for others to say.
    pub fn functions(&self) -> &[Vec<u8>] {
        &self.looker.functions
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.loader.offset()
    }
}

/// The sink of a walk that only looks.
#[derive(Default)]
struct Looker {
    functions: Vec<Vec<u8>>,
    announced: u64,
}

impl Sink for Looker {
    fn select_db(&mut self, _id: u64) -> Result<(), RdbError> {
        Ok(())
    }

    fn resize(&mut self, keys: u64, _expires: u64) -> Result<(), RdbError> {
        self.announced = self.announced.saturating_add(keys);
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> Result<(), RdbError> {
        self.functions.push(code.to_vec());
        Ok(())
    }

    fn key(&mut self, _db: u64, _key: &[u8], _value: Value, _meta: KeyMeta) -> Result<(), RdbError> {
        Ok(())
    }
}

/// Passes over one value.
pub struct Skipper {
    layout: Layout,
    stream: Option<StreamSkipper>,
    strings: StringSkipper,
    /// Elements still to come, once their count is known.
    left: Option<u64>,
    /// The part of the element that comes next.
    part: usize,
    /// The first moment is still to come.
    wants_moment: bool,
}

impl Skipper {
    pub fn new(layout: Layout) -> Self {
        let is_stream = matches!(layout, Layout::Stream | Layout::Stream2 | Layout::Stream3);
        let stream = is_stream.then(|| StreamSkipper::new(layout));
        Skipper {
            layout,
            stream,
            strings: StringSkipper::default(),
            left: None,
            part: 0,
            wants_moment: layout.has_first_moment(),
        }
    }

    /// Takes what `input` has of the value; false when more is needed.
    pub fn step(&mut self, input: &mut Input<'_>) -> Result<bool, ErrorKind> {
        if let Some(stream) = &mut self.stream {
            return stream.step(input, &mut self.strings);
        }
        if self.wants_moment {
            if input.take(8).is_none() {
                return Ok(false);
            }
            self.wants_moment = false;
        }
        let Some(parts) = self.layout.element() else { return self.strings.skip(input) };
        let mut left = match self.left {
            Some(left) => left,
            None => match input.length()? {
                Some(count) => count,
                None => return Ok(false),
            },
        };
        while left > 0 {
            while let Some(part) = parts.get(self.part) {
                let whole = match part {
                    Part::String => self.strings.skip(input)?,
                    Part::Score => score(self.layout, input)?.is_some(),
                    Part::Container => container_kind(input)?.is_some(),
                    Part::Time => input.length()?.is_some(),
                    Part::Moment => input.take(8).is_some(),
                };
                if !whole {
                    self.left = Some(left);
                    return Ok(false);
                }
                self.part += 1;
            }
            self.part = 0;
            left -= 1;
        }
        Ok(true)
    }
}
