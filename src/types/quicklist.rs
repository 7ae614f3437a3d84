//! Quicklist: a long list as a deque of listpacks (ancestor: `quicklist.c`).
//!
//! A node is a listpack kept under the node limit, or one element too large for it (a plain node). No node is
//! empty. The nodes stand in one ring buffer with their counts beside the pointers, so that to find an index touches
//! no node on the way. Deliberately absent: compression of inner nodes (`list-compress-depth` is accepted and has
//! no effect) and bookmarks.

use std::collections::VecDeque;

use super::Element;
use super::listpack::{self, Listpack, Pos};

/// What the ancestor reckons for the encoding of one more entry.
const ENTRY_OVERHEAD: usize = 8;
/// The most bytes in a node when the limit counts elements.
const SAFE_BYTES: usize = 8192;
/// A first node longer than this is not pushed to and popped from itself; see `Quicklist`.
const YOUNG_BYTES: usize = 1024;

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
    Packed(&'a Listpack),
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

    fn as_packed(self) -> Option<&'a Listpack> {
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
            Body::Plain(value) => ListNode::Plain(value),
        }
    }

    /// The listpack, if there is room in it for `value`.
    #[inline]
    fn room_for(&mut self, value: &[u8], limit: NodeLimit) -> Option<&mut Listpack> {
        let count = self.len() + 1;
        match &mut self.body {
            Body::Packed(pack) => {
                let bytes = pack.total_bytes() + value.len() + ENTRY_OVERHEAD;
                (limit.allows(bytes, count) && !limit.is_large(value)).then_some(pack)
            }
            Body::Plain(_) => None,
        }
    }

    /// False if there is no room.
    fn insert(&mut self, index: usize, value: &[u8], limit: NodeLimit) -> bool {
        let Some(pack) = self.room_for(value, limit) else { return false };
        let pos = pack.seek(index).unwrap_or(pack.end());
        pack.insert_before(pos, value);
        self.count += 1;
        true
    }

    /// Removes `count` elements, fewer than there are.
    fn trim(&mut self, index: usize, count: usize) {
        if let Body::Packed(pack) = &mut self.body {
            pack.remove_range(index, count);
            self.count -= count as u32;
        }
    }

    fn remove_matching(&mut self, value: &[u8], most: usize, from_tail: bool) -> usize {
        let removed = match &mut self.body {
            Body::Packed(pack) => remove_matching(pack, value, most, from_tail),
            Body::Plain(own) => usize::from(**own == *value && most > 0),
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
/// To add or take an entry at the front of a listpack moves all that follows it. So where the first node is long, a
/// short *young* node stands before it, which belongs to it: it takes in what is pushed and gives what is popped, and
/// is made one with it again (`settle`) once it has grown, or before anything looks at where nodes end. There are at
/// least three nodes while one of them is young.
#[derive(Clone, Default)]
pub(super) struct Quicklist {
    nodes: VecDeque<Node>,
    /// Elements in all nodes.
    len: usize,
    /// Set while the first node is young.
    young: Option<Young>,
}

/// What is known of a young node.
#[derive(Clone, Copy)]
struct Young {
    /// The limit at the last push.
    limit: NodeLimit,
    /// So many of its last entries came out of the next node and have room there.
    parted: u32,
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

    /// What the young node and the next one become once that has settled; nothing if none is young.
    pub(super) fn settled_front(&self) -> Vec<Listpack> {
        if self.young.is_none() {
            return Vec::new();
        }
        let nodes = self.nodes.iter().take(2).cloned().collect();
        let mut front = Quicklist { nodes, len: 0, young: self.young };
        front.settle();
        let packs = front.nodes.into_iter().filter_map(|node| match node.body {
            Body::Packed(pack) => Some(pack),
            Body::Plain(_) => None,
        });
        packs.collect()
    }

    /// How many entries of the young node the next one has no room for.
    fn stays_in_front(&self, Young { limit, parted }: Young) -> usize {
        let (Body::Packed(young), Body::Packed(next)) = (&self.nodes[0].body, &self.nodes[1].body) else {
            return self.nodes[0].len();
        };
        let (mut bytes, mut count, mut left) = (next.total_bytes(), self.nodes[1].len(), self.nodes[0].len());
        let (own, mut end, mut pos) = (left, young.end(), young.last());
        while let Some(here) = pos
            && (own - left < parted as usize || limit.allows(bytes + young.at(here).len() + ENTRY_OVERHEAD, count + 1))
        {
            bytes += here.distance_to(end);
            (count, left, end, pos) = (count + 1, left - 1, here, young.prev(here));
        }
        left
    }

    /// Gives the entries of the young node to the one they belong to.
    fn settle(&mut self) {
        let Some(young) = self.young.take() else { return };
        let left = self.stays_in_front(young);
        let [Node { body: Body::Packed(young), count }, Node { body: Body::Packed(next), count: next_count }] =
            &mut self.nodes.make_contiguous()[..2]
        else {
            return;
        };
        let moved = *count - left as u32;
        if moved == 0 {
            return;
        }
        *next_count += moved;
        if left > 0 {
            next.prepend(&young.split_off(left));
            *count -= moved;
        } else {
            next.prepend(young);
            self.nodes.pop_front();
        }
    }

    /// Keeps the promise of three nodes after some have gone.
    #[inline]
    fn settle_if_few(&mut self) {
        if self.young.is_some() && self.nodes.len() < 3 {
            self.settle();
        }
    }

    pub(super) fn node(&self, index: usize) -> Option<ListNode<'_>> {
        self.nodes.get(index).map(Node::view)
    }

    /// The only node, if it is a listpack.
    pub(super) fn only_pack_mut(&mut self) -> Option<&mut Listpack> {
        match self.nodes.make_contiguous() {
            [Node { body: Body::Packed(pack), .. }] => Some(pack),
            _ => None,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let bodies = self.nodes.iter().map(|node| match &node.body {
            Body::Packed(pack) => pack.memory_bytes(),
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
        if let Some(last) = self.nodes.back_mut()
            && let Some(pack) = last.room_for(value, limit)
        {
            pack.push(value);
            last.count += 1;
        } else {
            self.nodes.push_back(Node::of_value(value, limit));
        }
    }

    pub(super) fn push_front(&mut self, value: &[u8], limit: NodeLimit) {
        self.len += 1;
        let nodes = self.nodes.len();
        let Some(first) = self.nodes.front_mut() else { return self.nodes.push_front(Node::of_value(value, limit)) };
        let Some(pack) = first.room_for(value, limit) else {
            self.settle();
            if !self.nodes[0].insert(0, value, limit) {
                self.nodes.push_front(Node::of_value(value, limit));
            }
            return;
        };
        let is_long = pack.total_bytes() > YOUNG_BYTES;
        if is_long && self.young.is_some() {
            self.settle();
        } else if !is_long || nodes == 1 {
            pack.push_front(value);
            first.count += 1;
            return self.young.iter_mut().for_each(|young| young.limit = limit);
        }
        self.nodes.push_front(Node::of_value(value, limit));
        self.young = (self.nodes.len() > 2).then_some(Young { limit, parted: 0 });
    }

    pub(super) fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.part_front();
        let first = self.nodes.front_mut()?;
        self.len -= 1;
        if first.count > 1
            && let Some(value) = pop(first, Listpack::first)
        {
            let left = first.count;
            self.young.iter_mut().for_each(|young| young.parted = young.parted.min(left));
            return Some(value);
        }
        self.young = None;
        self.nodes.pop_front().map(only_value)
    }

    /// Parts the first entries of a long first node from it, as a young node.
    fn part_front(&mut self) {
        if self.young.is_some() || self.nodes.len() < 2 {
            return;
        }
        let Node { body: Body::Packed(pack), count } = &mut self.nodes[0] else { return };
        let some = pack.len() / (1 + pack.total_bytes() / YOUNG_BYTES);
        if pack.total_bytes() <= 2 * YOUNG_BYTES || some < 2 {
            return;
        }
        let mut rest = pack.split_off(some);
        std::mem::swap(pack, &mut rest);
        *count -= some as u32;
        self.nodes.push_front(Node { body: Body::Packed(rest), count: some as u32 });
        self.young = Some(Young { limit: NodeLimit::from_setting(0), parted: some as u32 });
    }

    pub(super) fn pop_back(&mut self) -> Option<Vec<u8>> {
        let last = self.nodes.back_mut()?;
        self.len -= 1;
        if last.count > 1
            && let Some(value) = pop(last, Listpack::last)
        {
            return Some(value);
        }
        let value = self.nodes.pop_back().map(only_value);
        self.settle_if_few();
        value
    }

    // ---- the middle

    /// False if there is no element `index`.
    pub(super) fn set(&mut self, index: usize, value: &[u8], limit: NodeLimit) -> bool {
        self.settle();
        let Some((place, offset)) = self.locate(index) else { return false };
        let node = &mut self.nodes[place];
        let count = node.len();
        if let Body::Packed(pack) = &mut node.body
            && !limit.is_large(value)
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
        self.settle();
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
            self.nodes.insert(place, Node::of_value(value, limit));
        }
    }

    /// Inserts inside a node that has no room, by making two of it.
    fn insert_splitting(&mut self, place: usize, offset: usize, value: &[u8], limit: NodeLimit) {
        let node = &mut self.nodes[place];
        let Body::Packed(pack) = &mut node.body else { return };
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
        let (Body::Packed(left_pack), Body::Packed(right_pack)) = (&left.body, &right.body) else { return };
        let (bytes, count) = (left_pack.total_bytes() + right_pack.total_bytes(), left.len() + right.len());
        if !limit.allows(bytes, count) {
            return;
        }
        if let Some(Node { body: Body::Packed(tail), count }) = self.nodes.remove(place + 1)
            && let Node { body: Body::Packed(pack), count: total } = &mut self.nodes[place]
        {
            pack.append(&tail);
            *total += count;
        }
    }

    /// Removes up to `count` elements from `start` on.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        self.settle();
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
        self.settle();
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
        counts_agree && self.len == self.nodes.iter().map(Node::len).sum::<usize>()
    }
}

/// Takes the entry that `end` finds out of a node of several.
fn pop(node: &mut Node, end: fn(&Listpack) -> Option<Pos>) -> Option<Vec<u8>> {
    let Body::Packed(pack) = &mut node.body else { return None };
    let pos = end(pack)?;
    let value = pack.at(pos).to_vec();
    pack.remove(pos);
    node.count -= 1;
    Some(value)
}

/// What a node of one element held.
fn only_value(node: Node) -> Vec<u8> {
    match node.body {
        Body::Plain(value) => value.into_vec(),
        Body::Packed(pack) => pack.get(0).map_or_else(Vec::new, |element| element.to_vec()),
    }
}
