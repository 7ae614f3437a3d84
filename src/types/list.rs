//! The list: one listpack while it is short, a quicklist beyond (ancestor: `t_list.c`'s encodings of 7.2).
//!
//! It becomes a quicklist when it would grow over `list-max-listpack-size`, at once and on its own. It becomes a
//! listpack again when a command that shrank it calls `retighten` and what is left is one node of at most half the limit.
//! Deliberately absent: `list-compress-depth` is accepted and has no effect on memory.

use super::listpack::Listpack;
pub use super::quicklist::ListNode;
use super::quicklist::{self, NodeIter, NodeLimit, Quicklist};
use super::{CollectionLimits, Element};

#[derive(Clone)]
enum Repr {
    Pack(Listpack),
    Quick(Box<Quicklist>),
}

#[derive(Clone)]
pub struct List {
    repr: Repr,
}

const _: () = assert!(size_of::<List>() <= 16);

fn node_limit(limits: &CollectionLimits) -> NodeLimit {
    NodeLimit::from_setting(limits.list_max_listpack_size)
}

impl List {
    pub fn new() -> Self {
        List { repr: Repr::Pack(Listpack::new()) }
    }

    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Pack(pack) => pack.len(),
            Repr::Quick(quick) => quick.len(),
        }
    }

    /// See `Value::free_some`. A node counts as one element.
    pub fn free_some(&mut self, budget: usize) -> bool {
        match &mut self.repr {
            Repr::Pack(_) => false,
            Repr::Quick(quick) => quick.free_some(budget),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.repr {
            Repr::Pack(_) => "listpack",
            Repr::Quick(_) => "quicklist",
        }
    }

    /// Bytes taken from the allocator, without this handle.
    pub fn memory_bytes(&self) -> usize {
        match &self.repr {
            Repr::Pack(pack) => pack.memory_bytes(),
            Repr::Quick(quick) => quick.memory_bytes(),
        }
    }

    // ---- encodings

    fn make_quick(&mut self) -> &mut Quicklist {
        if let Repr::Pack(pack) = &mut self.repr {
            let mut quick = Quicklist::default();
            quick.push_pack(std::mem::take(pack));
            self.repr = Repr::Quick(Box::new(quick));
        }
        match &mut self.repr {
            Repr::Quick(quick) => quick,
            Repr::Pack(_) => unreachable!("a listpack has just been converted"),
        }
    }

    /// Becomes a quicklist if one more element of `value_len` bytes would be too much for a listpack.
    #[inline]
    fn try_conversion_growing(&mut self, value_len: usize, limit: NodeLimit) {
        if let Repr::Pack(pack) = &self.repr
            && !limit.allows(pack.total_bytes() + value_len, pack.len() + 1)
        {
            self.make_quick();
        }
    }

    /// Takes the encoding that 7.2 would have after a removal or a load.
    pub fn retighten(&mut self, limits: &CollectionLimits) {
        let limit = node_limit(limits);
        match &mut self.repr {
            Repr::Pack(pack) => {
                if !limit.allows(pack.total_bytes(), pack.len()) {
                    self.make_quick();
                }
            }
            Repr::Quick(quick) => {
                if let Some(pack) = quick.take_only_pack(limit.half()) {
                    self.repr = Repr::Pack(pack);
                }
            }
        }
    }

    // ---- the ends

    pub fn push_back(&mut self, value: &[u8], limits: &CollectionLimits) {
        let limit = node_limit(limits);
        self.try_conversion_growing(value.len(), limit);
        match &mut self.repr {
            Repr::Pack(pack) => pack.push(value),
            Repr::Quick(quick) => quick.push_back(value, limit),
        }
    }

    pub fn push_front(&mut self, value: &[u8], limits: &CollectionLimits) {
        let limit = node_limit(limits);
        self.try_conversion_growing(value.len(), limit);
        match &mut self.repr {
            Repr::Pack(pack) => pack.push_front(value),
            Repr::Quick(quick) => quick.push_front(value, limit),
        }
    }

    /// Removes the first element, if there is one.
    #[inline]
    pub fn remove_front(&mut self) {
        match &mut self.repr {
            Repr::Pack(pack) => pack.remove_range(0, 1),
            Repr::Quick(quick) => quick.remove_front(),
        }
    }

    /// Removes the last element, if there is one.
    #[inline]
    pub fn remove_back(&mut self) {
        match &mut self.repr {
            Repr::Pack(pack) => {
                pack.last().map(|last| pack.remove(last));
            }
            Repr::Quick(quick) => quick.remove_back(),
        }
    }

    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        let value = self.get(0)?.to_vec();
        self.remove_front();
        Some(value)
    }

    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        let value = self.get(self.len().checked_sub(1)?)?.to_vec();
        self.remove_back();
        Some(value)
    }

    // ---- the middle

    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        match &self.repr {
            Repr::Pack(pack) => pack.get(index),
            Repr::Quick(quick) => quick.get(index),
        }
    }

    /// Replaces the element `index`; false if there is none.
    pub fn set(&mut self, index: usize, value: &[u8], limits: &CollectionLimits) -> bool {
        if index >= self.len() {
            return false;
        }
        let limit = node_limit(limits);
        self.try_conversion_growing(value.len(), limit);
        match &mut self.repr {
            Repr::Pack(pack) => pack.seek(index).map(|pos| pack.replace(pos, value)).is_some(),
            Repr::Quick(quick) => quick.set(index, value, limit),
        }
    }

    /// Inserts before the element `index`; at the end if there is none.
    pub fn insert(&mut self, index: usize, value: &[u8], limits: &CollectionLimits) {
        let limit = node_limit(limits);
        self.try_conversion_growing(value.len(), limit);
        match &mut self.repr {
            Repr::Pack(pack) => {
                let pos = pack.seek(index).unwrap_or(pack.end());
                pack.insert_before(pos, value);
            }
            Repr::Quick(quick) => quick.insert(index, value, limit),
        }
    }

    /// Removes up to `count` elements from `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize) {
        match &mut self.repr {
            Repr::Pack(pack) => pack.remove_range(start, count),
            Repr::Quick(quick) => quick.remove_range(start, count),
        }
    }

    /// Removes the first (or, `from_tail`, the last) `count` elements equal to `value`, all of them if `count` is 0;
    /// returns how many there were.
    pub fn remove_matching(&mut self, value: &[u8], count: usize, from_tail: bool) -> usize {
        let most = if count == 0 { usize::MAX } else { count };
        match &mut self.repr {
            Repr::Pack(pack) => quicklist::remove_matching(pack, value, most, from_tail),
            Repr::Quick(quick) => quick.remove_matching(value, most, from_tail),
        }
    }

    // ---- whole nodes, as a snapshot has them

    /// From head to tail, as an original server would have them. A listpack is one node.
    pub fn nodes(&self) -> impl Iterator<Item = ListNode<'_>> {
        (0..self.node_count()).filter_map(|place| self.node(place))
    }

    pub fn node_count(&self) -> usize {
        match &self.repr {
            Repr::Pack(_) => 1,
            Repr::Quick(quick) => quick.node_count(),
        }
    }

    fn node(&self, place: usize) -> Option<ListNode<'_>> {
        match &self.repr {
            Repr::Pack(pack) => (place == 0).then_some(ListNode::Packed(pack)),
            Repr::Quick(quick) => quick.node(place),
        }
    }

    /// Appends the elements of `pack` as a node of their own. `retighten` when all are there.
    pub fn push_listpack_node(&mut self, pack: Listpack) {
        match &mut self.repr {
            Repr::Pack(own) if own.is_empty() => *own = pack,
            _ => self.make_quick().push_pack(pack),
        }
    }

    /// Appends one large element.
    pub fn push_plain_node(&mut self, value: Vec<u8>) {
        self.make_quick().push_plain(value);
    }

    // ---- walks

    pub fn iter(&self) -> ListIter<'_> {
        self.iter_between(0, self.len())
    }

    /// From the element `index` to the tail, or in reverse to the head.
    pub fn iter_from(&self, index: usize, reverse: bool) -> ListWalk<'_> {
        if reverse {
            ListWalk::ToHead(self.iter_between(0, self.len().min(index.saturating_add(1))))
        } else {
            ListWalk::ToTail(self.iter_between(index, self.len()))
        }
    }

    /// The elements `start..end`.
    pub fn iter_between(&self, start: usize, end: usize) -> ListIter<'_> {
        let end = end.min(self.len());
        let nothing = NodeIter::Plain(None);
        if start >= end {
            return ListIter {
                list: self,
                front_node: 0,
                front: nothing.clone(),
                back_node: 0,
                back: nothing,
                left: 0,
            };
        }
        let (front_node, offset) = self.locate(start);
        let (back_node, last) = self.locate(end - 1);
        ListIter {
            list: self,
            front_node,
            front: self.node(front_node).map_or(nothing.clone(), |node| node.iter_from(offset)),
            back_node,
            back: self.node(back_node).map_or(nothing, |node| node.iter_through(last)),
            left: end - start,
        }
    }

    /// The node of the element `index`, which exists, and its place therein.
    fn locate(&self, index: usize) -> (usize, usize) {
        match &self.repr {
            Repr::Pack(_) => (0, index),
            Repr::Quick(quick) => quick.locate(index).unwrap_or((0, 0)),
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// The elements of a part of a list, from both ends.
#[derive(Clone)]
pub struct ListIter<'a> {
    list: &'a List,
    front_node: usize,
    front: NodeIter<'a>,
    back_node: usize,
    back: NodeIter<'a>,
    /// Elements not given yet: the two ends know of each other by this alone.
    left: usize,
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(element) = self.front.next() {
                return Some(element);
            }
            self.front_node += 1;
            self.front = self.list.node(self.front_node)?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> DoubleEndedIterator for ListIter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(element) = self.back.next_back() {
                return Some(element);
            }
            self.back_node = self.back_node.checked_sub(1)?;
            self.back = self.list.node(self.back_node)?.iter();
        }
    }
}

impl ExactSizeIterator for ListIter<'_> {}

/// A walk in one of the two directions.
#[derive(Clone)]
pub enum ListWalk<'a> {
    ToTail(ListIter<'a>),
    ToHead(ListIter<'a>),
}

impl<'a> Iterator for ListWalk<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            ListWalk::ToTail(elements) => elements.next(),
            ListWalk::ToHead(elements) => elements.next_back(),
        }
    }
}

#[cfg(test)]
impl List {
    /// True if what the nodes say of themselves is true.
    fn is_consistent(&self) -> bool {
        match &self.repr {
            Repr::Pack(_) => true,
            Repr::Quick(quick) => quick.is_consistent(),
        }
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
