//! Quicklist: a long list as a deque of listpacks (ancestor: `quicklist.c`).
//!
//! A node is a listpack kept under the node limit, or one element too large for it (a plain node). No node is
//! empty. The nodes stand in one ring buffer with their counts beside the pointers, so that to find an index touches
//! no node on the way. Deliberately absent: compression of inner nodes (`list-compress-depth` is accepted and has
//! no effect) and bookmarks.

use std::collections::VecDeque;

use super::Element;
use super::listpack::{self, Gapped, Listpack, Pack};

/// What the ancestor reckons for the encoding of one more entry.
const ENTRY_OVERHEAD: usize = 8;
/// The most bytes in a node when the limit counts elements.
const SAFE_BYTES: usize = 8192;
/// A first node of at most so many bytes is popped from as it is.
const SHORT_BYTES: usize = 512;

/// `list-max-listpack-size`, decoded: the most a node may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeLimit {
    bytes: usize,
    count: usize,
}

impl NodeLimit {
    /// -1 to -5 are 4 to 64 KiB; a positive setting is a number of elements.
    pub(super) fn from_setting(setting: i64) -> Self {
        match setting {
            0.. => NodeLimit { bytes: SAFE_BYTES, count: usize::try_from(setting.max(1)).unwrap_or(usize::MAX) },
            _ => NodeLimit { bytes: 2048 << setting.unsigned_abs().min(5), count: usize::MAX },
        }
    }

    pub(super) fn allows(&self, bytes: usize, count: usize) -> bool {
        bytes <= self.bytes && count <= self.count
    }

    /// Half of what the setting limits: below this, a list that shrinks becomes one listpack again.
    pub(super) fn half(&self) -> Self {
        match self.count {
            usize::MAX => NodeLimit { bytes: self.bytes / 2, count: usize::MAX },
            count => NodeLimit { bytes: self.bytes, count: count / 2 },
        }
    }

    fn is_large(&self, value: &[u8]) -> bool {
        value.len() > self.bytes
    }
}

/// A look at one node: the unit in which a list is saved.
#[derive(Clone, Copy)]
pub enum ListNode<'a> {
    Packed(&'a Pack),
    Plain(&'a [u8]),
}

impl<'a> ListNode<'a> {
    /// The bytes that a snapshot holds for this node.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            ListNode::Packed(pack) => pack.as_bytes(),
            ListNode::Plain(value) => value,
        }
    }

    fn get(self, index: usize) -> Option<Element<'a>> {
        match self {
            ListNode::Packed(pack) => pack.get(index),
            ListNode::Plain(value) => (index == 0).then_some(Element::Bytes(value)),
        }
    }

    pub(super) fn iter(self) -> NodeIter<'a> {
        match self {
            ListNode::Packed(pack) => NodeIter::Packed(pack.iter()),
            ListNode::Plain(value) => NodeIter::Plain(Some(value)),
        }
    }

    /// From the element `index` of the node to its end.
    pub(super) fn iter_from(self, index: usize) -> NodeIter<'a> {
        match self {
            ListNode::Packed(pack) => {
                let end = pack.end();
                NodeIter::Packed(pack.iter_between(pack.seek(index).unwrap_or(end), end))
            }
            ListNode::Plain(value) => NodeIter::Plain((index == 0).then_some(value)),
        }
    }

    /// From the start of the node to its element `index`, which is included.
    pub(super) fn iter_through(self, index: usize) -> NodeIter<'a> {
        match (self, self.as_packed().and_then(|pack| pack.seek(index))) {
            (ListNode::Packed(pack), Some(last)) => {
                let first = pack.first().unwrap_or(last);
                NodeIter::Packed(pack.iter_between(first, pack.next(last).unwrap_or(pack.end())))
            }
            _ => self.iter(),
        }
    }

    fn as_packed(self) -> Option<&'a Pack> {
        match self {
            ListNode::Packed(pack) => Some(pack),
            ListNode::Plain(_) => None,
        }
    }
}

/// The elements of one node, from both ends.
#[derive(Clone)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Iterator for NodeIter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            NodeIter::Packed(entries) => entries.next(),
            NodeIter::Plain(value) => value.take().map(Element::Bytes),
        }
    }
}

impl<'a> DoubleEndedIterator for NodeIter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        match self {
            NodeIter::Packed(entries) => entries.next_back(),
            NodeIter::Plain(value) => value.take().map(Element::Bytes),
        }
    }
}

#[derive(Clone)]
enum Body {
    Packed(Listpack),
    /// Of the first node only.
    Gapped(Box<Gapped>),
    Plain(Box<[u8]>),
}

#[derive(Clone)]
struct Node {
    body: Body,
    /// Elements in the body.
    count: u32,
}

impl Node {
    fn of_pack(pack: Listpack) -> Self {
        let count = u32::try_from(pack.len()).expect("a listpack has fewer entries than bytes");
        Node { body: Body::Packed(pack), count }
    }

    fn of_large(value: &[u8]) -> Self {
        Node { body: Body::Plain(value.into()), count: 1 }
    }

    fn of_value(value: &[u8], limit: NodeLimit) -> Self {
        if limit.is_large(value) {
            return Self::of_large(value);
        }
        let mut pack = Listpack::new();
        pack.push(value);
        Node { body: Body::Packed(pack), count: 1 }
    }

    fn len(&self) -> usize {
        self.count as usize
    }

    fn view(&self) -> ListNode<'_> {
        match &self.body {
            Body::Packed(pack) => ListNode::Packed(pack),
            Body::Gapped(pack) => ListNode::Packed(pack),
            Body::Plain(value) => ListNode::Plain(value),
        }
    }

    /// The listpack to change in any way; it has no room at the front afterwards.
    fn pack_mut(&mut self) -> Option<&mut Listpack> {
        if let Body::Gapped(pack) = &self.body {
            self.body = Body::Packed(pack.to_listpack());
        }
        match &mut self.body {
            Body::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// The listpack to push to and pop from, with room at the front from now on.
    #[inline]
    fn gapped(&mut self) -> Option<&mut Gapped> {
        if let Body::Packed(pack) = &self.body {
            self.body = Body::Gapped(Box::new(Gapped::of(pack)));
        }
        match &mut self.body {
            Body::Gapped(pack) => Some(pack),
            _ => None,
        }
    }

    #[inline]
    fn has_room(&self, value: &[u8], limit: NodeLimit) -> bool {
        self.view().as_packed().is_some_and(|pack| {
            let bytes = pack.total_bytes() + value.len() + ENTRY_OVERHEAD;
            limit.allows(bytes, self.len() + 1) && !limit.is_large(value)
        })
    }

    /// False if there is no room.
    fn insert(&mut self, index: usize, value: &[u8], limit: NodeLimit) -> bool {
        if !self.has_room(value, limit) {
            return false;
        }
        if let Some(pack) = self.pack_mut() {
            let pos = pack.seek(index).unwrap_or(pack.end());
            pack.insert_before(pos, value);
            self.count += 1;
        }
        true
    }

    /// Removes `count` elements, fewer than there are.
    fn trim(&mut self, index: usize, count: usize) {
        if let Some(pack) = self.pack_mut() {
            pack.remove_range(index, count);
            self.count -= count as u32;
        }
    }

    /// Removes the first element, where there are others.
    #[inline]
    fn remove_front(&mut self) {
        self.count -= 1;
        match &mut self.body {
            Body::Packed(pack) if pack.total_bytes() <= SHORT_BYTES => pack.remove_range(0, 1),
            _ => self.gapped().into_iter().for_each(Gapped::remove_front),
        }
    }

    /// Removes the last element, where there are others.
    #[inline]
    fn remove_back(&mut self) {
        self.count -= 1;
        match &mut self.body {
            Body::Packed(pack) => {
                pack.last().map(|last| pack.remove(last));
            }
            Body::Gapped(pack) => pack.remove_back(),
            Body::Plain(_) => {}
        }
    }

    fn remove_matching(&mut self, value: &[u8], most: usize, from_tail: bool) -> usize {
        let removed = match self.view() {
            ListNode::Plain(own) => usize::from(*own == *value && most > 0),
            ListNode::Packed(_) => self.pack_mut().map_or(0, |pack| remove_matching(pack, value, most, from_tail)),
        };
        self.count -= removed as u32;
        removed
    }
}

/// Removes up to `most` entries equal to `value` and says how many.
pub(super) fn remove_matching(pack: &mut Listpack, value: &[u8], most: usize, from_tail: bool) -> usize {
    let mut removed = 0;
    let mut pos = if from_tail { pack.last() } else { pack.first() };
    while let Some(here) = pos.filter(|_| removed < most) {
        if from_tail {
            pos = pack.prev(here);
            if pack.at(here) == *value {
                pack.remove(here);
                removed += 1;
            }
        } else if let Some(found) = pack.find_from(here, value, 0) {
            pos = pack.remove(found);
            removed += 1;
        } else {
            break;
        }
    }
    removed
}

/// A long list.
///
/// To add or take an entry at the front of a listpack moves all that follows it, so the first node is one with room
/// before it (`Gapped`) once it is pushed to or popped from.
#[derive(Clone, Default)]
pub(super) struct Quicklist {
    nodes: VecDeque<Node>,
    /// Elements in all nodes.
    len: usize,
}

impl Quicklist {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Frees up to so many nodes; returns whether any are left. The list must not be used for anything else afterwards.
    pub(super) fn free_some(&mut self, nodes: usize) -> bool {
        self.nodes.truncate(self.nodes.len().saturating_sub(nodes));
        !self.nodes.is_empty()
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> Option<ListNode<'_>> {
        self.nodes.get(index).map(Node::view)
    }

    /// Takes the only node, if it is a listpack within the limit.
    pub(super) fn take_only_pack(&mut self, limit: NodeLimit) -> Option<Listpack> {
        if self.nodes.len() != 1 {
            return None;
        }
        let node = &mut self.nodes[0];
        let pack = node.view().as_packed()?;
        if !limit.allows(pack.total_bytes(), node.len()) {
            return None;
        }
        node.pack_mut().map(std::mem::take)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let bodies = self.nodes.iter().map(|node| match &node.body {
            Body::Packed(pack) => pack.memory_bytes(),
            Body::Gapped(pack) => pack.memory_bytes(),
            Body::Plain(value) => value.len(),
        });
        size_of::<Self>() + self.nodes.capacity() * size_of::<Node>() + bodies.sum::<usize>()
    }

    /// The node that holds the element `index`, and its place therein. Counted from the nearer end.
    pub(super) fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut left = index;
            for (place, node) in self.nodes.iter().enumerate() {
                if left < node.len() {
                    return Some((place, left));
                }
                left -= node.len();
            }
        } else {
            let mut start = self.len;
            for (place, node) in self.nodes.iter().enumerate().rev() {
                start -= node.len();
                if index >= start {
                    return Some((place, index - start));
                }
            }
        }
        unreachable!("the length of a list is the sum of its nodes'")
    }

    pub(super) fn get(&self, index: usize) -> Option<Element<'_>> {
        let (place, offset) = self.locate(index)?;
        self.nodes[place].view().get(offset)
    }

    // ---- the ends

    pub(super) fn push_pack(&mut self, pack: Listpack) {
        let node = Node::of_pack(pack);
        if node.count > 0 {
            self.len += node.len();
            self.nodes.push_back(node);
        }
    }

    pub(super) fn push_plain(&mut self, value: Vec<u8>) {
        self.len += 1;
        self.nodes.push_back(Node { body: Body::Plain(value.into()), count: 1 });
    }

    pub(super) fn push_back(&mut self, value: &[u8], limit: NodeLimit) {
        self.len += 1;
        match self.nodes.back_mut() {
            Some(last) if last.has_room(value, limit) => {
                last.count += 1;
                match &mut last.body {
                    Body::Packed(pack) => pack.push(value),
                    Body::Gapped(pack) => pack.push_back(value),
                    Body::Plain(_) => unreachable!("a plain node has no room"),
                }
            }
            _ => self.nodes.push_back(Node::of_value(value, limit)),
        }
    }

    #[inline]
    pub(super) fn push_front(&mut self, value: &[u8], limit: NodeLimit) {
        self.len += 1;
        match self.nodes.front_mut() {
            Some(first) if first.has_room(value, limit) => {
                first.count += 1;
                first.gapped().into_iter().for_each(|pack| pack.push_front(value));
            }
            _ => self.push_node_front(Node::of_value(value, limit)),
        }
    }

    fn push_node_front(&mut self, node: Node) {
        if let Some(first) = self.nodes.front_mut() {
            first.pack_mut();
        }
        self.nodes.push_front(node);
    }

    /// Removes the first element, if there is one.
    #[inline]
    pub(super) fn remove_front(&mut self) {
        let Some(first) = self.nodes.front_mut() else { return };
        self.len -= 1;
        if first.count > 1 {
            first.remove_front();
        } else {
            self.nodes.pop_front();
        }
    }

    /// Removes the last element, if there is one.
    #[inline]
    pub(super) fn remove_back(&mut self) {
        let Some(last) = self.nodes.back_mut() else { return };
        self.len -= 1;
        if last.count > 1 {
            last.remove_back();
        } else {
            self.nodes.pop_back();
        }
    }

    // ---- the middle

    /// False if there is no element `index`.
    pub(super) fn set(&mut self, index: usize, value: &[u8], limit: NodeLimit) -> bool {
        let Some((place, offset)) = self.locate(index) else { return false };
        let node = &mut self.nodes[place];
        let count = node.len();
        if !limit.is_large(value)
            && let Some(pack) = node.pack_mut()
            && let Some(pos) = pack.seek(offset)
        {
            let growth = value.len().saturating_sub(pack.at(pos).len());
            if count == 1 || growth == 0 || limit.allows(pack.total_bytes() + growth + ENTRY_OVERHEAD, count) {
                pack.replace(pos, value);
                return true;
            }
        }
        self.remove_range(index, 1);
        self.insert(index, value, limit);
        true
    }

    /// Inserts before the element `index`; at the end if there is none.
    pub(super) fn insert(&mut self, index: usize, value: &[u8], limit: NodeLimit) {
        let Some((place, offset)) = self.locate(index) else { return self.push_back(value, limit) };
        self.len += 1;
        if self.nodes[place].insert(offset, value, limit) {
            return;
        }
        if offset > 0 {
            return self.insert_splitting(place, offset, value, limit);
        }
        let before = place.checked_sub(1).map(|before| &mut self.nodes[before]);
        if !before.is_some_and(|node| node.insert(node.len(), value, limit)) {
            let node = Node::of_value(value, limit);
            if place == 0 { self.push_node_front(node) } else { self.nodes.insert(place, node) }
        }
    }

    /// Inserts inside a node that has no room, by making two of it.
    fn insert_splitting(&mut self, place: usize, offset: usize, value: &[u8], limit: NodeLimit) {
        let node = &mut self.nodes[place];
        let Some(pack) = node.pack_mut() else { return };
        let tail = Node::of_pack(pack.split_off(offset));
        node.count = offset as u32;
        self.nodes.insert(place + 1, tail);
        if !self.nodes[place].insert(offset, value, limit) {
            self.nodes.insert(place + 1, Node::of_value(value, limit));
            self.merge_with_next(place + 2, limit);
        } else {
            self.merge_with_next(place + 1, limit);
        }
        if place > 0 {
            self.merge_with_next(place - 1, limit);
        }
    }

    /// Makes one listpack of the nodes at `place` and after it, if it would be within the limit.
    fn merge_with_next(&mut self, place: usize, limit: NodeLimit) {
        let (Some(left), Some(right)) = (self.nodes.get(place), self.nodes.get(place + 1)) else { return };
        let (Some(left_pack), Some(right_pack)) = (left.view().as_packed(), right.view().as_packed()) else { return };
        let (bytes, count) = (left_pack.total_bytes() + right_pack.total_bytes(), left.len() + right.len());
        if !limit.allows(bytes, count) {
            return;
        }
        if let Some(Node { body: Body::Packed(tail), count }) = self.nodes.remove(place + 1)
            && let Some(pack) = self.nodes[place].pack_mut()
        {
            pack.append(&tail);
            self.nodes[place].count += count;
        }
    }

    /// Removes up to `count` elements from `start` on.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let Some((mut place, offset)) = self.locate(start) else { return };
        let mut left = count.min(self.len - start);
        self.len -= left;
        if offset > 0 {
            let here = left.min(self.nodes[place].len() - offset);
            self.nodes[place].trim(offset, here);
            left -= here;
            place += 1;
        }
        let mut whole = place;
        while whole < self.nodes.len() && self.nodes[whole].len() <= left {
            left -= self.nodes[whole].len();
            whole += 1;
        }
        self.nodes.drain(place..whole);
        if left > 0 {
            self.nodes[place].trim(0, left);
        }
    }

    /// Removes up to `most` elements equal to `value` and says how many.
    pub(super) fn remove_matching(&mut self, value: &[u8], most: usize, from_tail: bool) -> usize {
        let mut removed = 0;
        let mut visit = |node: &mut Node| removed += node.remove_matching(value, most - removed, from_tail);
        if from_tail {
            self.nodes.iter_mut().rev().for_each(&mut visit);
        } else {
            self.nodes.iter_mut().for_each(&mut visit);
        }
        if removed > 0 {
            self.nodes.retain(|node| node.count > 0);
            self.len -= removed;
        }
        removed
    }

    /// True if the counts are right and no node is empty.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let counts_agree = self.nodes.iter().all(|node| node.len() == node.view().iter().count() && node.count > 0);
        let rest_is_tight = self.nodes.iter().skip(1).all(|node| !matches!(node.body, Body::Gapped(_)));
        counts_agree && rest_is_tight && self.len == self.nodes.iter().map(Node::len).sum::<usize>()
    }
}
