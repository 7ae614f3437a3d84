//! A ranked B-tree: pairs of (score, member) in order, and the rank of each of them.
//!
//! Ancestor: the skip list of `t_zset.c` (`zslInsert`, `zslGetRank`, `zslGetElementByRank`, `zslDeleteRangeByRank`).
//! It answers the same questions with fewer cache misses and about a third of the memory: pairs lie side by side in
//! fat leaves, and inner nodes know the first pair and the number of pairs under each child (order statistics).
//!
//! ```text
//!                     Inner: [ first pair | count | child ] x 2..=32
//!                                  /                  \
//!   Leaf: [ score f64 | member ] x 1..=64      Leaf: ...              (all leaves at one depth)
//! ```
//!
//! Order is by score, then by member bytes. Scores are never NaN; -0 equals 0. The tree does not own what a member
//! points to: whoever removes a member here frees it, and never before.
//!
//! Deliberately absent: parent and sibling links. An iterator that has read a leaf walks down again for the next one,
//! which costs one short descent per 64 pairs and leaves no pointer to keep true. There is no `unsafe` here.

use std::cmp::Ordering;

/// What a pair carries beside its score: a small handle that can show its bytes.
pub trait RankedMember: Copy {
    fn bytes(&self) -> &[u8];

    /// Asks the processor for what it points to.
    #[inline]
    fn prefetch(&self) {}
}

/// 64 pairs of 16 bytes: a leaf is a block of 1024 bytes.
const LEAF_CAPACITY: usize = 64;
const INNER_CAPACITY: usize = 32;
/// So many members are asked for before a walk comes to them.
const AHEAD: usize = 12;

pub struct Ranked<M> {
    root: Node<M>,
    len: usize,
}

enum Node<M> {
    Leaf(Vec<(f64, M)>),
    Inner(Vec<Branch<M>>),
}

struct Branch<M> {
    first: (f64, M),
    count: usize,
    node: Node<M>,
}

/// Whether a node lies on the left or right rim of the tree. Pairs that arrive in order (a snapshot, a clock as score)
/// split a rim leaf at its end and so leave full leaves behind.
#[derive(Clone, Copy)]
struct Rim {
    left: bool,
    right: bool,
}

impl<M: RankedMember> Default for Ranked<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: RankedMember> Ranked<M> {
    pub const fn new() -> Self {
        Self { root: Node::Leaf(Vec::new()), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Frees up to so many nodes from the right without a look at the members, which may be gone; returns whether any
    /// are left. The tree must not be used for anything else afterwards.
    pub fn free_some(&mut self, nodes: usize) -> bool {
        (0..nodes).all(|_| self.root.free_last())
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a pair that is not in the tree yet.
    pub fn insert(&mut self, score: f64, member: M) {
        debug_assert!(!score.is_nan());
        let rim = Rim { left: true, right: true };
        if let Some(right) = self.root.insert((score, member), rim) {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let mut branches = Vec::with_capacity(INNER_CAPACITY);
            branches.push(Branch::over(left));
            branches.push(Branch::over(right));
            self.root = Node::Inner(branches);
        }
        self.len += 1;
    }

    /// Takes a pair out and returns its member.
    pub fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        let removed = self.root.remove(score, member)?;
        self.len -= 1;
        self.lower_root();
        Some(removed)
    }

    /// Gives the pair (`old`, `member`) the score `new`. In place when its neighbours stay its neighbours.
    pub fn change_score(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        if self.root.nudge(old, member, new) {
            return true;
        }
        let Some(handle) = self.remove(old, member) else { return false };
        self.insert(new, handle);
        true
    }

    /// How many pairs stand before this one, if it is in the tree.
    pub fn rank(&self, score: f64, member: &[u8]) -> Option<usize> {
        let rank = self.partition_point(|s, m| order(s, m, score, member) == Ordering::Less);
        let (found, handle) = self.get(rank)?;
        (found == score && handle.bytes() == member).then_some(rank)
    }

    /// The pair at a rank, counted from 0.
    pub fn get(&self, rank: usize) -> Option<(f64, M)> {
        if rank >= self.len {
            return None;
        }
        let (leaf, at) = self.leaf_at(rank);
        Some(leaf[at])
    }

    /// The rank of the first pair for which `before` is false; `before` must be true for a prefix of the pairs.
    pub fn partition_point(&self, before: impl Fn(f64, &M) -> bool) -> usize {
        let mut node = &self.root;
        let mut rank = 0;
        loop {
            match node {
                Node::Leaf(pairs) => return rank + pairs.partition_point(|(s, m)| before(*s, m)),
                Node::Inner(branches) => {
                    let past = branches.partition_point(|b| before(b.first.0, &b.first.1));
                    let at = past.saturating_sub(1);
                    rank += branches[..at].iter().map(|b| b.count).sum::<usize>();
                    node = &branches[at].node;
                }
            }
        }
    }

    /// The pairs of ranks `start .. start + count` (cut at the end), readable from both sides.
    pub fn range(&self, start: usize, count: usize) -> Range<'_, M> {
        let start = start.min(self.len);
        let end = start + count.min(self.len - start);
        Range { tree: self, start, end, front: &[], back: &[] }
    }

    pub fn iter(&self) -> Range<'_, M> {
        self.range(0, self.len)
    }

    /// Takes out the pairs of ranks `start .. start + count`, hands each to `taken`, and returns how many there were.
    pub fn remove_range(&mut self, start: usize, count: usize, mut taken: impl FnMut(f64, M)) -> usize {
        let mut left = count.min(self.len.saturating_sub(start));
        let total = left;
        while left > 0 {
            left -= self.remove_chunk(start, left, &mut taken);
        }
        total
    }

    /// Bytes of the nodes, without what the members point to.
    pub fn memory_bytes(&self) -> usize {
        self.root.memory_bytes()
    }

    /// Takes up to `count` pairs from the one leaf that holds `rank`.
    fn remove_chunk(&mut self, rank: usize, count: usize, taken: &mut dyn FnMut(f64, M)) -> usize {
        let removed = self.root.remove_chunk(rank, count, taken);
        self.len -= removed;
        self.lower_root();
        removed
    }

    fn lower_root(&mut self) {
        while let Node::Inner(branches) = &mut self.root
            && branches.len() <= 1
        {
            self.root = branches.pop().map_or(Node::Leaf(Vec::new()), |branch| branch.node);
        }
    }

    fn leaf_at(&self, mut rank: usize) -> (&[(f64, M)], usize) {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(pairs) => return (pairs, rank),
                Node::Inner(branches) => {
                    let (at, inside) = child_at(branches, rank);
                    rank = inside;
                    node = &branches[at].node;
                }
            }
        }
    }
}

impl<M: RankedMember> Branch<M> {
    fn over(node: Node<M>) -> Self {
        Self { first: node.first(), count: node.count(), node }
    }
}

impl<M: RankedMember> Node<M> {
    fn first(&self) -> (f64, M) {
        match self {
            Node::Leaf(pairs) => pairs[0],
            Node::Inner(branches) => branches[0].first,
        }
    }

    fn count(&self) -> usize {
        match self {
            Node::Leaf(pairs) => pairs.len(),
            Node::Inner(branches) => branches.iter().map(|b| b.count).sum(),
        }
    }

    fn slots(&self) -> usize {
        match self {
            Node::Leaf(pairs) => pairs.len(),
            Node::Inner(branches) => branches.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF_CAPACITY,
            Node::Inner(_) => INNER_CAPACITY,
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Node::Leaf(pairs) => pairs.capacity() * size_of::<(f64, M)>(),
            Node::Inner(branches) => {
                let own = branches.capacity() * size_of::<Branch<M>>();
                own + branches.iter().map(|b| b.node.memory_bytes()).sum::<usize>()
            }
        }
    }

    /// Frees the last leaf, or the last node that has none any more; returns whether anything is left under this node.
    fn free_last(&mut self) -> bool {
        match self {
            Node::Leaf(pairs) => {
                *pairs = Vec::new();
                false
            }
            Node::Inner(branches) => {
                if branches.last_mut().is_some_and(|last| !last.node.free_last()) {
                    branches.pop();
                }
                !branches.is_empty()
            }
        }
    }

    /// Adds a pair under this node. A node that had to split returns its new right neighbour.
    fn insert(&mut self, pair: (f64, M), rim: Rim) -> Option<Node<M>> {
        match self {
            Node::Leaf(pairs) => {
                let at = pairs.partition_point(|other| is_before(other, &pair));
                insert_or_split(pairs, at, pair, LEAF_CAPACITY, rim).map(Node::Leaf)
            }
            Node::Inner(branches) => {
                let at = choose_child(branches, &pair, rim);
                let inside = Rim { left: rim.left && at == 0, right: rim.right && at + 1 == branches.len() };
                let branch = &mut branches[at];
                let Some(right) = branch.node.insert(pair, inside) else {
                    branch.count += 1;
                    branch.first = branch.node.first();
                    return None;
                };
                refresh(branches, at);
                let right = Branch::over(right);
                insert_or_split(branches, at + 1, right, INNER_CAPACITY, rim).map(Node::Inner)
            }
        }
    }

    /// Changes a score where that moves nothing: the pair is neither first nor last of its leaf and keeps its place.
    fn nudge(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        match self {
            Node::Leaf(pairs) => {
                let at = pairs.partition_point(|(s, m)| order(*s, m, old, member) == Ordering::Less);
                let found = pairs.get(at).is_some_and(|(s, m)| *s == old && m.bytes() == member);
                if !found || at == 0 || at + 1 == pairs.len() {
                    return false;
                }
                let (before, after) = (&pairs[at - 1], &pairs[at + 1]);
                let keeps_place = order(before.0, &before.1, new, member) == Ordering::Less
                    && order(after.0, &after.1, new, member) == Ordering::Greater;
                if keeps_place {
                    pairs[at].0 = new;
                }
                keeps_place
            }
            Node::Inner(branches) => {
                let at = child_of(branches, old, member);
                at.is_some_and(|at| branches[at].node.nudge(old, member, new))
            }
        }
    }

    fn remove_chunk(&mut self, rank: usize, count: usize, taken: &mut dyn FnMut(f64, M)) -> usize {
        match self {
            Node::Leaf(pairs) => {
                let end = pairs.len().min(rank.saturating_add(count));
                pairs.drain(rank..end).for_each(|(score, member)| taken(score, member));
                end - rank
            }
            Node::Inner(branches) => {
                let (at, inside) = child_at(branches, rank);
                let removed = branches[at].node.remove_chunk(inside, count, taken);
                repair(branches, at, removed);
                removed
            }
        }
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        match self {
            Node::Leaf(pairs) => {
                let at = pairs.partition_point(|(s, m)| order(*s, m, score, member) == Ordering::Less);
                let found = pairs.get(at).is_some_and(|(s, m)| *s == score && m.bytes() == member);
                found.then(|| pairs.remove(at).1)
            }
            Node::Inner(branches) => {
                let at = child_of(branches, score, member)?;
                let removed = branches[at].node.remove(score, member)?;
                repair(branches, at, 1);
                Some(removed)
            }
        }
    }
}

/// The child that holds this pair if any does.
fn child_of<M: RankedMember>(branches: &[Branch<M>], score: f64, member: &[u8]) -> Option<usize> {
    let is_past = |b: &Branch<M>| order(b.first.0, &b.first.1, score, member) == Ordering::Greater;
    branches.partition_point(|b| !is_past(b)).checked_sub(1)
}

/// Members are looked at only where scores are equal: each is a cache miss.
fn order<M: RankedMember>(score: f64, member: &M, other_score: f64, other_member: &[u8]) -> Ordering {
    if score < other_score {
        Ordering::Less
    } else if score > other_score {
        Ordering::Greater
    } else {
        member.bytes().cmp(other_member)
    }
}

fn is_before<M: RankedMember>(pair: &(f64, M), other: &(f64, M)) -> bool {
    pair.0 < other.0 || (pair.0 == other.0 && pair.1.bytes() < other.1.bytes())
}

/// The child that holds a rank, and the rank inside it.
fn child_at<M>(branches: &[Branch<M>], mut rank: usize) -> (usize, usize) {
    for (at, branch) in branches.iter().enumerate() {
        if rank < branch.count {
            return (at, rank);
        }
        rank -= branch.count;
    }
    unreachable!("a rank below the count of a node lies in one of its children")
}

/// The child a new pair belongs to. A full child first gives half of the difference to a neighbour with room, which
/// keeps leaves fuller than splitting at once would.
fn choose_child<M: RankedMember>(branches: &mut [Branch<M>], pair: &(f64, M), rim: Rim) -> usize {
    let pick = |branches: &[Branch<M>]| branches.partition_point(|b| is_before(&b.first, pair)).saturating_sub(1);
    let at = pick(branches);
    let node = &branches[at].node;
    let on_rim = (rim.left && at == 0) || (rim.right && at + 1 == branches.len());
    if node.slots() < node.capacity() || on_rim {
        return at;
    }
    let roomy = node.capacity() * 7 / 8;
    let has_room = |i: usize| branches.get(i).is_some_and(|b| b.node.slots() <= roomy);
    if has_room(at + 1) {
        level(branches, at);
    } else if at > 0 && has_room(at - 1) {
        level(branches, at - 1);
    } else {
        return at;
    }
    pick(branches)
}

/// Puts an item into a node, splitting the node when it is full: in the middle, or at the rim where items arrive.
fn insert_or_split<T>(items: &mut Vec<T>, at: usize, item: T, capacity: usize, rim: Rim) -> Option<Vec<T>> {
    if items.len() < capacity {
        if items.capacity() < capacity && items.len() == items.capacity() {
            // A tree of one small leaf grows in steps; every other node is born at full size.
            items.reserve_exact((items.len().max(4)).min(capacity - items.len()));
        }
        items.insert(at, item);
        return None;
    }
    let cut = match () {
        () if rim.right && at == items.len() => items.len(),
        () if rim.left && at == 0 => 0,
        () => items.len() / 2,
    };
    let mut right = Vec::with_capacity(capacity);
    right.extend(items.drain(cut..));
    if at > cut || cut == capacity {
        right.insert(at - cut, item);
    } else {
        items.insert(at, item);
    }
    Some(right)
}

/// Makes a branch say again what is under it.
fn refresh<M: RankedMember>(branches: &mut [Branch<M>], at: usize) {
    let branch = &mut branches[at];
    branch.first = branch.node.first();
    branch.count = branch.node.count();
}

/// After `removed` pairs left child `at`: drops it when empty, merges or levels it with a neighbour when it is thin.
fn repair<M: RankedMember>(branches: &mut Vec<Branch<M>>, at: usize, removed: usize) {
    let slots = branches[at].node.slots();
    if slots == 0 {
        branches.remove(at);
        return;
    }
    branches[at].count -= removed;
    branches[at].first = branches[at].node.first();
    if slots >= branches[at].node.capacity() / 3 || branches.len() == 1 {
        return;
    }
    let left = if at + 1 < branches.len() { at } else { at - 1 };
    let together = branches[left].node.slots() + branches[left + 1].node.slots();
    if together > branches[left].node.capacity() * 3 / 4 {
        level(branches, left);
        return;
    }
    let right = branches.remove(left + 1);
    match (&mut branches[left].node, right.node) {
        (Node::Leaf(a), Node::Leaf(mut b)) => a.append(&mut b),
        (Node::Inner(a), Node::Inner(mut b)) => a.append(&mut b),
        _ => unreachable!("neighbours have one depth"),
    }
    refresh(branches, left);
}

/// Shares the items of two neighbours evenly.
fn level<M: RankedMember>(branches: &mut [Branch<M>], left: usize) {
    fn share<T>(a: &mut Vec<T>, b: &mut Vec<T>) {
        let half = (a.len() + b.len()) / 2;
        if a.len() > half {
            b.splice(0..0, a.drain(half..));
        } else {
            let missing = half - a.len();
            a.extend(b.drain(..missing));
        }
    }
    let (a, b) = branches.split_at_mut(left + 1);
    match (&mut a[left].node, &mut b[0].node) {
        (Node::Leaf(a), Node::Leaf(b)) => share(a, b),
        (Node::Inner(a), Node::Inner(b)) => share(a, b),
        _ => unreachable!("neighbours have one depth"),
    }
    refresh(branches, left);
    refresh(branches, left + 1);
}

/// Pairs between two ranks, in order; see [`Ranked::range`].
pub struct Range<'a, M> {
    tree: &'a Ranked<M>,
    /// Ranks not yet held in `front` or `back`.
    start: usize,
    end: usize,
    front: &'a [(f64, M)],
    back: &'a [(f64, M)],
}

impl<M: RankedMember> Iterator for Range<'_, M> {
    type Item = (f64, M);

    fn next(&mut self) -> Option<(f64, M)> {
        if self.front.is_empty() && self.start < self.end {
            let (leaf, at) = self.tree.leaf_at(self.start);
            let until = leaf.len().min(at + (self.end - self.start));
            self.front = &leaf[at..until];
            self.start += until - at;
            self.front.iter().take(AHEAD).for_each(|(_, member)| member.prefetch());
        }
        let source = if self.front.is_empty() { &mut self.back } else { &mut self.front };
        let (pair, rest) = source.split_first()?;
        if let Some((_, member)) = rest.get(AHEAD - 1) {
            member.prefetch();
        }
        *source = rest;
        Some(*pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.front.len() + (self.end - self.start) + self.back.len();
        (left, Some(left))
    }
}

impl<M: RankedMember> DoubleEndedIterator for Range<'_, M> {
    fn next_back(&mut self) -> Option<(f64, M)> {
        if self.back.is_empty() && self.start < self.end {
            let (leaf, at) = self.tree.leaf_at(self.end - 1);
            let from = (at + 1).saturating_sub(self.end - self.start);
            self.back = &leaf[from..=at];
            self.end -= at + 1 - from;
            self.back.iter().rev().take(AHEAD).for_each(|(_, member)| member.prefetch());
        }
        let source = if self.back.is_empty() { &mut self.front } else { &mut self.back };
        let (pair, rest) = source.split_last()?;
        if let Some((_, member)) = rest.len().checked_sub(AHEAD).and_then(|at| rest.get(at)) {
            member.prefetch();
        }
        *source = rest;
        Some(*pair)
    }
}

impl<M: RankedMember> ExactSizeIterator for Range<'_, M> {}

#[cfg(test)]
#[path = "ranked_tests.rs"]
mod tests;
