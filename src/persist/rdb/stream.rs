//! Reading a stream: its nodes, its counters, its groups with what is pending. Ancestor: the streams of rdbLoadObject.
//!
//! ```text
//! nodes    count { id (a string of 16 bytes, big endian) listpack (a string) }*
//! header   length  last ms  last seq  [2: first ms  first seq  deleted ms  deleted seq  added]
//! groups   count { name  last ms  last seq  [2: entries read]
//!                  count { id (16 bytes)  delivered (8 bytes, little endian)  deliveries }*
//!                  count { name  seen (8 bytes)  [3: active (8 bytes)]  count { id (16 bytes) }* }* }*
//! ```
//!
//! What stands in brackets came with the second and the third form. `Walk` knows this order and nothing else, so that
//! the reader and the verifier follow the same one.

use crate::types::listpack::Listpack;
use crate::types::stream::{ConsumerId, Group, Nack, StreamId};
use crate::types::{Stream, Value};
use std::collections::BTreeMap;

use super::error::ErrorKind;
use super::format::{Layout, array_at};
use super::object::Progress;
use super::strings::{Input, StringReader, StringSkipper};

const UNSOUND_GROUP: ErrorKind = ErrorKind::Corrupt("a stream's group contradicts itself");

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    NodeCount,
    NodeId,
    Node,
    Header,
    GroupCount,
    GroupName,
    GroupNumbers,
    PendingCount,
    Pending,
    ConsumerCount,
    ConsumerName,
    ConsumerTimes,
    OwnedCount,
    Owned,
    /// No bytes: a group is complete.
    GroupEnd,
    End,
}

/// What the next token is made of.
enum Kind {
    Text,
    Numbers(usize),
    Bytes(usize),
    /// Bytes and a number after them.
    BytesNumber(usize),
    /// No bytes at all.
    Mark,
    Nothing,
}

/// The order of the tokens.
struct Walk {
    at: At,
    /// 1 to 3.
    form: u8,
    /// What is left of each count that is being worked on.
    nodes: u64,
    groups: u64,
    pending: u64,
    consumers: u64,
    owned: u64,
}

impl Walk {
    fn new(layout: Layout) -> Self {
        let form = match layout {
            Layout::Stream => 1,
            Layout::Stream2 => 2,
            _ => 3,
        };
        Walk { at: At::NodeCount, form, nodes: 0, groups: 0, pending: 0, consumers: 0, owned: 0 }
    }

    fn kind(&self) -> Kind {
        match self.at {
            At::NodeId | At::Node | At::GroupName | At::ConsumerName => Kind::Text,
            At::NodeCount | At::GroupCount | At::PendingCount | At::ConsumerCount | At::OwnedCount => Kind::Numbers(1),
            At::Header => Kind::Numbers(if self.form == 1 { 3 } else { 8 }),
            At::GroupNumbers => Kind::Numbers(if self.form == 1 { 2 } else { 3 }),
            At::Pending => Kind::BytesNumber(24),
            At::ConsumerTimes => Kind::Bytes(if self.form < 3 { 8 } else { 16 }),
            At::Owned => Kind::Bytes(16),
            At::GroupEnd => Kind::Mark,
            At::End => Kind::Nothing,
        }
    }

    /// Goes on after a token; `number` is the one that was in it, if it was a count.
    fn advance(&mut self, number: u64) {
        let each = |left: &mut u64, again: At, then: At| {
            if *left > 0 {
                *left -= 1;
                return again;
            }
            then
        };
        self.at = match self.at {
            At::NodeCount => {
                self.nodes = number;
                each(&mut self.nodes, At::NodeId, At::Header)
            }
            At::NodeId => At::Node,
            At::Node => each(&mut self.nodes, At::NodeId, At::Header),
            At::Header => At::GroupCount,
            At::GroupCount => {
                self.groups = number;
                each(&mut self.groups, At::GroupName, At::End)
            }
            At::GroupName => At::GroupNumbers,
            At::GroupNumbers => At::PendingCount,
            At::PendingCount => {
                self.pending = number;
                each(&mut self.pending, At::Pending, At::ConsumerCount)
            }
            At::Pending => each(&mut self.pending, At::Pending, At::ConsumerCount),
            At::ConsumerCount => {
                self.consumers = number;
                self.next_consumer()
            }
            At::ConsumerName => At::ConsumerTimes,
            At::ConsumerTimes => At::OwnedCount,
            At::OwnedCount => {
                self.owned = number;
                self.next_owned()
            }
            At::Owned => self.next_owned(),
            At::GroupEnd => each(&mut self.groups, At::GroupName, At::End),
            At::End => At::End,
        };
    }

    fn next_owned(&mut self) -> At {
        if self.owned > 0 {
            self.owned -= 1;
            return At::Owned;
        }
        self.next_consumer()
    }

    fn next_consumer(&mut self) -> At {
        if self.consumers > 0 {
            self.consumers -= 1;
            return At::ConsumerName;
        }
        At::GroupEnd
    }
}

/// Numbers of a token.
type Numbers = [u64; 8];

/// Takes so many numbers, or nothing when they have not all come.
fn numbers(input: &mut Input<'_>, count: usize) -> Result<Option<Numbers>, ErrorKind> {
    let start = input.at();
    let mut found = Numbers::default();
    for number in &mut found[..count] {
        match input.length()? {
            Some(value) => *number = value,
            None => {
                input.rewind(start);
                return Ok(None);
            }
        }
    }
    Ok(Some(found))
}

/// Takes so many bytes and a number, or nothing when they have not all come.
fn bytes_number<'a>(input: &mut Input<'a>, count: usize) -> Result<Option<(&'a [u8], u64)>, ErrorKind> {
    let start = input.at();
    if let Some(bytes) = input.take(count)
        && let Some(number) = input.length()?
    {
        return Ok(Some((bytes, number)));
    }
    input.rewind(start);
    Ok(None)
}

fn id_at(bytes: &[u8]) -> StreamId {
    array_at(bytes, 0).map_or(StreamId::MIN, StreamId::from_bytes)
}

fn ms_at(bytes: &[u8], at: usize) -> i64 {
    array_at(bytes, at).map_or(0, i64::from_le_bytes)
}

/// Reads one stream.
pub struct StreamReader {
    walk: Walk,
    strings: StringReader,
    stream: Stream,
    node_id: StreamId,
    group_name: Vec<u8>,
    group: Group,
    /// What is pending in the group and not yet known to be anybody's: when it was delivered, and how often.
    unowned: BTreeMap<StreamId, (i64, u64)>,
    consumer_name: Vec<u8>,
    consumer: ConsumerId,
}

impl StreamReader {
    pub fn new(layout: Layout) -> Self {
        StreamReader {
            walk: Walk::new(layout),
            strings: StringReader::default(),
            stream: Stream::new(),
            node_id: StreamId::MIN,
            group_name: Vec::new(),
            group: Group::new(StreamId::MIN, None),
            unowned: BTreeMap::new(),
            consumer_name: Vec::new(),
            consumer: 0,
        }
    }

    /// Takes what `input` has of the stream.
    pub fn step(&mut self, input: &mut Input<'_>) -> Result<Progress, ErrorKind> {
        loop {
            let mut count = 0;
            match self.walk.kind() {
                Kind::Text => {
                    let Some(string) = self.strings.read(input)? else { return Ok(Progress::NeedMore) };
                    self.text(string.bytes(&mut itoa::Buffer::new()))?;
                }
                Kind::Numbers(wanted) => {
                    let Some(found) = numbers(input, wanted)? else { return Ok(Progress::NeedMore) };
                    count = found[0];
                    self.numbers(found)?;
                }
                Kind::Bytes(wanted) => {
                    let Some(bytes) = input.take(wanted) else { return Ok(Progress::NeedMore) };
                    self.bytes(bytes)?;
                }
                Kind::BytesNumber(wanted) => {
                    let Some((bytes, number)) = bytes_number(input, wanted)? else { return Ok(Progress::NeedMore) };
                    let id = id_at(bytes);
                    if self.unowned.insert(id, (ms_at(bytes, 16), number)).is_some() {
                        return Err(UNSOUND_GROUP);
                    }
                }
                Kind::Mark => self.end_group()?,
                Kind::Nothing => {
                    return Ok(Progress::Done(Some(Value::Stream(std::mem::take(&mut self.stream)))));
                }
            }
            self.walk.advance(count);
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), ErrorKind> {
        match self.walk.at {
            At::NodeId => {
                let id: [u8; 16] =
                    text.try_into().map_err(|_| ErrorKind::Corrupt("a stream's node has an ID of the wrong size"))?;
                self.node_id = StreamId::from_bytes(id);
            }
            At::Node => {
                let node = Listpack::from_bytes_validated(text, true);
                node.and_then(|node| self.stream.push_node(self.node_id, node))
                    .ok_or(ErrorKind::Corrupt("stream listpack integrity check failed"))?;
            }
            At::GroupName => self.group_name = text.to_vec(),
            _ => self.consumer_name = text.to_vec(),
        }
        Ok(())
    }

    fn numbers(&mut self, found: Numbers) -> Result<(), ErrorKind> {
        match self.walk.at {
            At::Header => self.header(found),
            At::GroupNumbers => {
                let last_id = StreamId::new(found[0], found[1]);
                let entries_read = match self.walk.form {
                    1 => self.stream.view().entries_up_to(last_id),
                    _ => (found[2] != u64::MAX).then_some(found[2]),
                };
                self.group = Group::new(last_id, entries_read);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn header(&mut self, found: Numbers) -> Result<(), ErrorKind> {
        let [length, last_ms, last_seq, _, _, deleted_ms, deleted_seq, added] = found;
        let last_id = StreamId::new(last_ms, last_seq);
        // How many entries there are the nodes know best; but some there must be.
        if length > 0 && self.stream.nodes().len() == 0 {
            return Err(ErrorKind::Corrupt("a stream has a length and no entries"));
        }
        if self.stream.last_node_id().is_some_and(|last| last > last_id) {
            return Err(ErrorKind::Corrupt("a stream's last ID is not its last"));
        }
        self.stream.set_last_id(last_id);
        self.stream.set_max_deleted_id(StreamId::new(deleted_ms, deleted_seq));
        self.stream.set_entries_added(if self.walk.form == 1 { self.stream.len() } else { added });
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        if self.walk.at == At::ConsumerTimes {
            let seen_ms = ms_at(bytes, 0);
            self.consumer = self.group.add_consumer(&self.consumer_name, seen_ms).ok_or(UNSOUND_GROUP)?;
            // Before the third form nobody knew better than that who was seen was active.
            let active_ms = if self.walk.form < 3 { seen_ms } else { ms_at(bytes, 8) };
            self.group.consumer_mut(self.consumer).active_ms = (active_ms != -1).then_some(active_ms);
            return Ok(());
        }
        let id = id_at(bytes);
        let (delivered_ms, deliveries) = self.unowned.remove(&id).ok_or(UNSOUND_GROUP)?;
        self.group.assign(id, Nack { delivered_ms, deliveries, consumer: self.consumer });
        Ok(())
    }

    /// The last token of a group has come.
    fn end_group(&mut self) -> Result<(), ErrorKind> {
        let group = std::mem::replace(&mut self.group, Group::new(StreamId::MIN, None));
        if !self.unowned.is_empty() || !self.stream.add_group(&self.group_name, group) {
            return Err(UNSOUND_GROUP);
        }
        Ok(())
    }
}

/// Passes over one stream.
pub struct StreamSkipper {
    walk: Walk,
}

impl StreamSkipper {
    pub fn new(layout: Layout) -> Self {
        StreamSkipper { walk: Walk::new(layout) }
    }

    /// Takes what `input` has of the stream; false when more is needed.
    pub fn step(&mut self, input: &mut Input<'_>, strings: &mut StringSkipper) -> Result<bool, ErrorKind> {
        loop {
            let token = match self.walk.kind() {
                Kind::Text => strings.skip(input)?.then_some(0),
                Kind::Numbers(wanted) => numbers(input, wanted)?.map(|found| found[0]),
                Kind::Bytes(wanted) => input.take(wanted).map(|_| 0),
                Kind::BytesNumber(wanted) => bytes_number(input, wanted)?.map(|_| 0),
                Kind::Mark => Some(0),
                Kind::Nothing => return Ok(true),
            };
            match token {
                Some(count) => self.walk.advance(count),
                None => return Ok(false),
            }
        }
    }
}
