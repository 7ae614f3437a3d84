//! Keys that clients wait for, and which of them are ready (= blocking_keys and ready_keys of db.c and blocked.c).
//!
//! Each key has a queue; who came first stands first. A key becomes ready when it may have what somebody waits for. What
//! is there is asked when the queue is served, after the command or transaction that brought it, for it may be gone.

use super::WatcherId;
use crate::types::ValueRef;
use std::collections::BTreeMap;

/// The type of value that a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// A list.
    List,
    /// A sorted set.
    ZSet,
    /// A stream.
    Stream,
}

impl WaitKind {
    /// Who may be served by a value.
    pub fn of(value: ValueRef<'_>) -> Option<WaitKind> {
        match value {
            ValueRef::List(_) => Some(WaitKind::List),
            ValueRef::ZSet(_) => Some(WaitKind::ZSet),
            ValueRef::Stream(_) => Some(WaitKind::Stream),
            _ => None,
        }
    }
}

/// A place in the queue of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The place: whoever came later has a greater one. No two waits have the same.
    pub turn: u64,
    /// Who waits.
    pub client: WatcherId,
    /// What for.
    pub kind: WaitKind,
    /// Whether the client is also to be woken when there is nothing at the key any more, or something else.
    pub wakes_without_key: bool,
}

#[derive(Default)]
struct Queue {
    waiters: BTreeMap<u64, Waiter>,
    /// How many of them want to be woken without the key.
    without_key: usize,
    /// The key stands among the ready ones.
    is_ready: bool,
}

/// All queues.
pub struct Waits {
    by_db: Vec<BTreeMap<Box<[u8]>, Queue>>,
    keys: usize,
    ready: Vec<(usize, Box<[u8]>)>,
}

impl Waits {
    /// Nobody waits in any of so many databases.
    pub(super) fn new(databases: usize) -> Self {
        Waits { by_db: (0..databases).map(|_| BTreeMap::new()).collect(), keys: 0, ready: Vec::new() }
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// How many keys somebody waits for.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// How many of them have somebody who is to be woken when the key goes.
    pub fn keys_waited_for_to_go(&self) -> usize {
        self.by_db.iter().flat_map(BTreeMap::values).filter(|queue| queue.without_key > 0).count()
    }

    /// Whether a key is ready.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The keys that have become ready, in that order; from now on they may become ready again.
    pub fn take_ready(&mut self) -> Vec<(usize, Box<[u8]>)> {
        for (db, key) in &self.ready {
            if let Some(queue) = self.by_db[*db].get_mut(key) {
                queue.is_ready = false;
            }
        }
        std::mem::take(&mut self.ready)
    }

    /// The last place in the queue of a key.
    pub fn last_turn(&self, db: usize, key: &[u8]) -> Option<u64> {
        self.by_db[db].get(key)?.waiters.last_key_value().map(|(turn, _)| *turn)
    }

    /// The first who stands behind `after`, up to `last`, and whom a value of this kind wakes, or its absence.
    pub fn next(&self, db: usize, key: &[u8], after: u64, last: u64, kind: Option<WaitKind>) -> Option<Waiter> {
        let queue = self.by_db[db].get(key)?;
        if (kind.is_none() && queue.without_key == 0) || after >= last {
            return None;
        }
        let wakes = |waiter: &&Waiter| Some(waiter.kind) == kind || waiter.wakes_without_key;
        queue.waiters.range(after + 1..=last).map(|(_, waiter)| waiter).find(wakes).copied()
    }

    /// Puts somebody at the end of the queues of these keys.
    pub(super) fn add(&mut self, db: usize, keys: &[Vec<u8>], waiter: Waiter) {
        for key in keys {
            if !self.by_db[db].contains_key(key.as_slice()) {
                self.by_db[db].insert(key.as_slice().into(), Queue::default());
                self.keys += 1;
            }
            let Some(queue) = self.by_db[db].get_mut(key.as_slice()) else { continue };
            if queue.waiters.insert(waiter.turn, waiter).is_none() {
                queue.without_key += usize::from(waiter.wakes_without_key);
            }
        }
    }

    /// Takes somebody out of the queues of these keys.
    pub(super) fn remove(&mut self, db: usize, keys: &[Vec<u8>], turn: u64) {
        for key in keys {
            let Some(queue) = self.by_db[db].get_mut(key.as_slice()) else { continue };
            if let Some(waiter) = queue.waiters.remove(&turn) {
                queue.without_key -= usize::from(waiter.wakes_without_key);
            }
            if queue.waiters.is_empty() {
                self.by_db[db].remove(key.as_slice());
                self.keys -= 1;
            }
        }
    }

    /// Notes that a key may have what somebody waits for. Returns whether anybody does.
    pub(super) fn signal(&mut self, db: usize, key: &[u8]) -> bool {
        let Some(queue) = self.by_db[db].get_mut(key) else { return false };
        if !queue.is_ready {
            queue.is_ready = true;
            self.ready.push((db, key.into()));
        }
        true
    }

    /// The keys of a database that somebody waits for.
    pub(super) fn keys_in(&self, db: usize) -> impl Iterator<Item = &[u8]> {
        self.by_db[db].keys().map(|key| &**key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(turn: u64, kind: WaitKind, wakes_without_key: bool) -> Waiter {
        Waiter { turn, client: turn * 100, kind, wakes_without_key }
    }

    #[test]
    fn a_queue_is_served_in_order_of_arrival_and_by_kind() {
        let mut waits = Waits::new(2);
        let (a, both) = (vec![b"a".to_vec()], vec![b"a".to_vec(), b"b".to_vec(), b"a".to_vec()]);
        waits.add(1, &both, waiter(3, WaitKind::List, false));
        waits.add(1, &a, waiter(5, WaitKind::ZSet, false));
        waits.add(1, &a, waiter(7, WaitKind::List, false));
        waits.add(1, &a, waiter(9, WaitKind::Stream, true));
        assert_eq!((waits.keys(), waits.keys_waited_for_to_go(), waits.last_turn(1, b"a")), (2, 1, Some(9)));
        let turns = |waits: &Waits, kind, last| {
            let mut turns = Vec::new();
            while let Some(waiter) = waits.next(1, b"a", turns.last().copied().unwrap_or(0), last, kind) {
                turns.push(waiter.turn);
            }
            turns
        };
        assert_eq!(turns(&waits, Some(WaitKind::List), 9), [3, 7, 9]);
        assert_eq!(turns(&waits, Some(WaitKind::List), 7), [3, 7]);
        assert_eq!(turns(&waits, Some(WaitKind::ZSet), 9), [5, 9]);
        assert_eq!(turns(&waits, None, 9), [9], "only who wants to know that it is gone");
        waits.remove(1, &a, 9);
        assert_eq!(turns(&waits, None, 9), []);
        waits.remove(1, &both, 3);
        assert_eq!((waits.keys(), waits.last_turn(1, b"b")), (1, None));
        waits.remove(1, &a, 5);
        waits.remove(1, &a, 7);
        assert!(waits.is_empty());
    }

    #[test]
    fn a_key_is_ready_once_however_often_it_is_signalled() {
        let mut waits = Waits::new(1);
        assert!(!waits.signal(0, b"a"), "nobody waits");
        let keys = vec![b"a".to_vec(), b"b".to_vec()];
        waits.add(0, &keys, waiter(1, WaitKind::List, false));
        assert!(waits.signal(0, b"b") && waits.signal(0, b"a") && waits.signal(0, b"b"));
        assert_eq!(waits.take_ready(), [(0, b"b".as_slice().into()), (0, b"a".as_slice().into())]);
        assert!(!waits.has_ready());
        assert!(waits.signal(0, b"b"));
        waits.remove(0, &keys, 1);
        assert_eq!(waits.take_ready().len(), 1, "what became ready stays so, though nobody waits any more");
    }
}
