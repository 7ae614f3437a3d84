//! The stream: entries in the order of their IDs, packed into listpacks under a tree, and the groups that consume them.
//!
//! Ancestor: `t_stream.c`, with the thresholds of Redis 7.2. Its radix tree is a B-tree here: the IDs that begin the
//! nodes are numbers of one size and come in order. The bytes of the nodes are the field's (see `node`), and so is when
//! a new one begins, so that `DUMP` and snapshots are equal. Deliberately absent: a stream knows no time and no key.

mod group;
mod node;
mod runs;

pub use group::{Consumer, ConsumerId, Group, Nack};
pub use node::{Entry, Fields};

use super::CollectionLimits;
use super::listpack::Listpack;
use std::collections::{BTreeMap, btree_map};

/// A node is never longer than this, whatever the configuration says; nor is what one entry holds.
const NODE_BYTES_MAX: u64 = 1 << 30;

/// The ID of an entry: milliseconds and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, if the server chose them.
    pub ms: u64,
    /// The number among the entries of that millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The lowest; no entry has it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The highest.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An ID of these numbers.
    pub const fn new(ms: u64, seq: u64) -> Self {
        StreamId { ms, seq }
    }

    /// The one after it.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one before it.
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The sixteen bytes that sort as the ID does.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The ID of sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        StreamId { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// Its text, `ms-seq`.
    #[inline]
    pub fn text(self) -> IdText {
        self.spelled(b'-')
    }

    /// Its two numbers with something between them.
    pub fn spelled(self, between: u8) -> IdText {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (ms, seq) = (ms.format(self.ms).as_bytes(), seq.format(self.seq).as_bytes());
        let mut text = IdText { bytes: [0; 41], len: ms.len() + 1 + seq.len() };
        text.bytes[..ms.len()].copy_from_slice(ms);
        text.bytes[ms.len()] = between;
        text.bytes[ms.len() + 1..text.len].copy_from_slice(seq);
        text
    }
}

/// The text of an ID.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl IdText {
    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// How the ID of a new entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: the time, or what follows the last ID.
    Auto,
    /// `ms-*`: the next number within these milliseconds.
    AutoSeq(u64),
    /// This very one.
    Exact(StreamId),
}

/// What a stream is cut down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// So many entries, the newest.
    MaxLen(u64),
    /// The entries from this ID on.
    MinId(StreamId),
}

/// Why an entry was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The ID is not above the last one.
    NotAbove,
    /// The fields and values are too long.
    TooLarge,
}

/// A stream. One word.
#[derive(Clone)]
pub struct Stream(Box<Body>);

#[derive(Clone, Default)]
struct Body {
    /// The nodes by the ID of their first entry, even if that was deleted since.
    nodes: BTreeMap<StreamId, Listpack>,
    length: u64,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Self {
        Stream(Box::default())
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> u64 {
        self.0.length
    }

    /// Whether there is no entry. A stream may be empty and stay.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// The highest ID that an entry ever had, or that was set.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.0.last_id
    }

    /// Sets the last ID.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.0.last_id = id;
    }

    /// The highest ID that was deleted by name.
    pub fn max_deleted_id(&self) -> StreamId {
        self.0.max_deleted_id
    }

    /// Sets the highest ID that was deleted.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.0.max_deleted_id = id;
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.0.entries_added
    }

    /// Sets the count of entries that were ever added.
    pub fn set_entries_added(&mut self, count: u64) {
        self.0.entries_added = count;
    }

    // ---- changes

    /// The ID that a new entry gets, if there is one above the last.
    pub fn next_id(&self, wanted: NewId, now_ms: u64) -> Option<StreamId> {
        let last = self.0.last_id;
        let id = match wanted {
            NewId::Auto if now_ms > last.ms => StreamId::new(now_ms, 0),
            NewId::Auto => last.next()?,
            NewId::AutoSeq(ms) if ms == last.ms => StreamId::new(ms, last.seq.checked_add(1)?),
            NewId::AutoSeq(ms) => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        (id > last).then_some(id)
    }

    /// Appends an entry of `count` fields with their values and returns its ID.
    pub fn append<'f>(
        &mut self,
        wanted: NewId,
        now_ms: u64,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: &CollectionLimits,
    ) -> Result<StreamId, AppendError> {
        let id = self.next_id(wanted, now_ms).ok_or(AppendError::NotAbove)?;
        let bytes: u64 = fields.clone().map(|(field, value)| (field.len() + value.len()) as u64).sum();
        if bytes > NODE_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let body = &mut *self.0;
        match body.nodes.last_entry() {
            Some(mut last) if node::has_room(last.get(), bytes, limits) => {
                let master = *last.key();
                node::append(last.get_mut(), master, id, fields);
            }
            _ => {
                body.nodes.insert(id, node::begin(id, fields));
            }
        }
        body.length += 1;
        body.entries_added += 1;
        body.last_id = id;
        Ok(id)
    }

    /// Deletes an entry; returns whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some((&master, pack)) = self.0.nodes.range_mut(..=id).next_back() else { return false };
        match node::delete(pack, master, id) {
            None => return false,
            Some(0) => {
                self.0.nodes.remove(&master);
            }
            Some(_) => {}
        }
        self.0.length -= 1;
        self.0.max_deleted_id = self.0.max_deleted_id.max(id);
        true
    }

    /// Takes the oldest entries out and returns how many they were. With `approx` only whole nodes go, and of those no
    /// more than hold `limit` entries together (0: any number).
    pub fn trim(&mut self, to: Trim, approx: bool, limit: u64) -> u64 {
        let body = &mut *self.0;
        let mut trimmed = 0;
        while let Some(mut first) = body.nodes.first_entry() {
            if matches!(to, Trim::MaxLen(most) if body.length <= most) {
                break;
            }
            let (master, pack) = (*first.key(), first.get_mut());
            let live = node::live(pack);
            if limit > 0 && trimmed + live > limit {
                break;
            }
            let goes = match to {
                Trim::MaxLen(most) => body.length - live >= most,
                Trim::MinId(least) => node::last_id(pack, master) < least,
            };
            if goes {
                first.remove();
                body.length -= live;
                trimmed += live;
                continue;
            }
            if !approx {
                let removed = match to {
                    Trim::MaxLen(most) => node::delete_first(pack, master, body.length - most, StreamId::MAX),
                    Trim::MinId(least) => node::delete_first(pack, master, u64::MAX, least),
                };
                body.length -= removed;
                trimmed += removed;
            }
            break;
        }
        trimmed
    }

    // ---- reading

    /// The entries from `start` through `end`.
    #[inline]
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(self, start, end, false)
    }

    /// The same, from the last to the first.
    pub fn range_rev(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(self, start, end, true)
    }

    /// An entry.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The ID of the first entry.
    pub fn first_id(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The ID of the last entry.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_rev(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The nodes with their IDs, as snapshots hold them.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.0.nodes.iter().map(|(&id, pack)| (id, pack))
    }

    /// Takes a node that was loaded. `None` if its bytes are no node, if it holds no entry, or if it does not follow
    /// the nodes before it.
    pub fn push_node(&mut self, master: StreamId, pack: Listpack) -> Option<()> {
        let live = node::check(&pack, master)?;
        if self.last_node_id().is_some_and(|last| last >= master) {
            return None;
        }
        self.0.nodes.insert(master, pack);
        self.0.length = self.0.length.checked_add(live)?;
        Some(())
    }

    /// The ID of the last entry, even if that was deleted since; `None` where no node is left.
    pub fn last_node_id(&self) -> Option<StreamId> {
        self.0.nodes.last_key_value().map(|(&master, pack)| node::last_id(pack, master))
    }

    /// How many nodes a radix tree over the nodes' IDs has, which `XINFO STREAM` shows. Such a tree has one for each
    /// place where keys part, one for each run of bytes between such places, and one for each end.
    pub fn radix_tree_nodes(&self) -> usize {
        const BYTES: usize = 16;
        let common = |a: StreamId, b: StreamId| {
            let (a, b) = (a.to_bytes(), b.to_bytes());
            (0..BYTES).find(|&at| a[at] != b[at]).unwrap_or(BYTES)
        };
        let mut keys = self.0.nodes.keys().copied();
        let Some(mut last) = keys.next() else { return 1 };
        // The depths at which the path to the last key parts from keys before it.
        let mut forks: Vec<usize> = Vec::new();
        let mut nodes = 0;
        let run = |from: usize, to: usize| usize::from(to > from);
        for key in keys {
            let depth = common(last, key);
            // What lies deeper is complete: the end of the last key, and the forks on the way up.
            let mut below = BYTES;
            nodes += 1;
            while let Some(&fork) = forks.last().filter(|&&fork| fork > depth) {
                nodes += run(fork + 1, below) + 1;
                below = fork;
                forks.pop();
            }
            nodes += run(depth + 1, below);
            if forks.last() != Some(&depth) {
                forks.push(depth);
            }
            last = key;
        }
        let mut below = BYTES;
        nodes += 1;
        while let Some(fork) = forks.pop() {
            nodes += run(fork + 1, below) + 1;
            below = fork;
        }
        nodes + run(0, below)
    }

    /// Bytes of memory. `samples` bounds how many nodes, pending entries and consumers are looked at (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        /// What the tree takes for a node beside its listpack, about.
        const TREE: usize = 2 * (size_of::<StreamId>() + size_of::<Listpack>());
        let count = self.0.nodes.len();
        let take = if samples == 0 { count } else { samples.min(count) };
        let sampled: usize = self.0.nodes.values().take(take).map(Listpack::memory_bytes).sum();
        let groups: usize = self.0.groups.iter().map(|(name, group)| name.len() + group.memory_bytes()).sum();
        size_of::<Body>() + sampled * count / take.max(1) + count * TREE + groups
    }

    /// How many nodes and pending entries there are: what takes time to free.
    pub fn parts(&self) -> usize {
        self.0.nodes.len() + self.0.groups.values().map(Group::pending_len).sum::<usize>()
    }

    /// Frees about so many of them. See `Value::free_some`.
    pub fn free_some(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0 && self.0.nodes.pop_first().is_some() {
            left -= 1;
        }
        while left > 0
            && let Some(mut group) = self.0.groups.first_entry()
        {
            left = group.get_mut().free_some(left);
            if left > 0 {
                group.remove();
            }
        }
        left == 0
    }

    // ---- groups

    /// The groups by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.groups.iter().map(|(name, group)| (&name[..], group))
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.get(name)
    }

    /// A group, to change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.0.groups.get_mut(name)
    }

    /// A group to change, while the entries are read.
    pub fn split_group(&mut self, name: &[u8]) -> Option<(StreamView<'_>, &mut Group)> {
        let body = &mut *self.0;
        let group = body.groups.get_mut(name)?;
        let view = StreamView {
            nodes: &body.nodes,
            length: body.length,
            last_id: body.last_id,
            max_deleted_id: body.max_deleted_id,
            entries_added: body.entries_added,
        };
        Some((view, group))
    }

    /// What can be read of a stream while one of its groups changes.
    pub fn view(&self) -> StreamView<'_> {
        StreamView {
            nodes: &self.0.nodes,
            length: self.0.length,
            last_id: self.0.last_id,
            max_deleted_id: self.0.max_deleted_id,
            entries_added: self.0.entries_added,
        }
    }

    /// Puts a group in; false if there is one of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.0.groups.contains_key(name) {
            return false;
        }
        self.0.groups.insert(name.into(), group);
        true
    }

    /// Takes a group out; returns whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name).is_some()
    }
}

/// The entries of a stream and its counters, without its groups.
#[derive(Clone, Copy)]
pub struct StreamView<'a> {
    nodes: &'a BTreeMap<StreamId, Listpack>,
    length: u64,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
}

impl<'a> StreamView<'a> {
    /// The entries from `start` through `end`.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'a> {
        Range::over(self.nodes, start, end, false)
    }

    /// An entry.
    pub fn get(&self, id: StreamId) -> Option<Entry<'a>> {
        self.range(id, id).next()
    }

    fn first_id(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// Whether an entry from this ID on may have been deleted by name, and not because all up to it are gone.
    fn has_tombstones(&self, start: StreamId) -> bool {
        self.max_deleted_id != StreamId::MIN
            && start <= self.max_deleted_id
            && self.first_id().is_some_and(|first| first <= self.max_deleted_id)
    }

    /// How many entries were ever added up to this ID, where that can be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.length == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        match id.cmp(&self.last_id) {
            std::cmp::Ordering::Equal => return Some(self.entries_added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        let first = self.first_id()?;
        if self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= first {
            return None;
        }
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(self.entries_added.wrapping_sub(self.length)),
            std::cmp::Ordering::Equal => Some(self.entries_added.wrapping_sub(self.length).wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has not been given yet, where that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_tombstones(group.last_id) => read,
            _ => self.entries_up_to(group.last_id)?,
        };
        Some(self.entries_added.wrapping_sub(read) as i64)
    }

    /// Moves a group on to an entry that it is given and that is above its last one.
    pub fn advance(&self, group: &mut Group, id: StreamId) {
        match &mut group.entries_read {
            Some(read) if !self.has_tombstones(id) => *read = read.wrapping_add(1),
            _ if self.entries_added > 0 => group.entries_read = self.entries_up_to(id),
            _ => {}
        }
        group.last_id = id;
    }
}

/// Entries in order, or against it.
pub struct Range<'a> {
    nodes: btree_map::Range<'a, StreamId, Listpack>,
    node: Option<node::Cursor<'a>>,
    start: StreamId,
    end: StreamId,
    backwards: bool,
}

impl<'a> Range<'a> {
    fn new(stream: &'a Stream, start: StreamId, end: StreamId, backwards: bool) -> Self {
        Self::over(&stream.0.nodes, start, end, backwards)
    }

    fn over(nodes: &'a BTreeMap<StreamId, Listpack>, start: StreamId, end: StreamId, backwards: bool) -> Self {
        // The node in which `start` may stand begins at or before it.
        let first = nodes.range(..=start).next_back().map_or(start, |(&master, _)| master);
        let nodes = nodes.range(first..=end.max(first));
        Range { nodes, node: None, start, end, backwards }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if self.start > self.end {
            return None;
        }
        loop {
            if let Some(node) = &mut self.node {
                let found = if self.backwards {
                    node.last_live(self.start, self.end)
                } else {
                    node.first_live(self.start, self.end)
                };
                if found.is_some() {
                    return found;
                }
            }
            let node = if self.backwards { self.nodes.next_back() } else { self.nodes.next() };
            let (&master, pack) = node?;
            self.node = Some(node::Cursor::new(pack, master));
        }
    }
}

#[cfg(test)]
mod tests;
