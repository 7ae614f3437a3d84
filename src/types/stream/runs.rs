//! A map whose keys are IDs of entries, for what is pending: mostly added at the end, and packed closely.
//!
//! Ancestor: the radix trees of `streamCG` and `streamConsumer`. Here sorted runs stand in a tree by where they begin;
//! the last run, which grows, stands beside it, so that a short map is one run and no tree.

use super::StreamId;
use std::collections::BTreeMap;

/// Entries of a run.
const RUN_LEN: usize = 64;

type Run<V> = Vec<(StreamId, V)>;

/// A sorted map.
#[derive(Clone, Debug)]
pub struct Runs<V> {
    /// Runs of at least one entry by where they begin: at their first entry or at one that is gone.
    earlier: BTreeMap<StreamId, Run<V>>,
    /// What lies above all of them.
    last: Run<V>,
    len: usize,
}

impl<V> Default for Runs<V> {
    fn default() -> Self {
        Runs { earlier: BTreeMap::new(), last: Vec::new(), len: 0 }
    }
}

/// Where an ID stands in a run, or would.
fn place<V>(run: &[(StreamId, V)], id: StreamId) -> Result<usize, usize> {
    run.binary_search_by_key(&id, |entry| entry.0)
}

/// Takes an entry out of a run, and returns room of which too little is used.
fn take<V>(run: &mut Run<V>, id: StreamId) -> Option<V> {
    let at = place(run, id).ok()?;
    let (_, value) = run.remove(at);
    if run.len() < run.capacity() / 4 {
        run.shrink_to(run.len() * 2);
    }
    Some(value)
}

impl<V> Runs<V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the entry of this ID can only be in the last run.
    fn is_last(&self, id: StreamId) -> bool {
        match self.last.first() {
            Some((first, _)) => id >= *first,
            None => self.earlier.last_key_value().and_then(|(_, run)| run.last()).is_none_or(|(end, _)| id > *end),
        }
    }

    /// The value of an ID.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let run = match self.is_last(id) {
            true => &self.last,
            false => self.earlier.range(..=id).next_back()?.1,
        };
        place(run, id).ok().map(|at| &run[at].1)
    }

    /// The value of an ID to change.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let run = match self.is_last(id) {
            true => &mut self.last,
            false => self.earlier.range_mut(..=id).next_back()?.1,
        };
        place(run, id).ok().map(|at| &mut run[at].1)
    }

    /// Sets the value of an ID; returns the one that it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(id) {
            return Some(std::mem::replace(held, value));
        }
        self.len += 1;
        if self.is_last(id) || (self.earlier.is_empty() && self.last.len() < RUN_LEN) {
            self.insert_last(id, value);
        } else if let Some((_, run)) = self.earlier.range_mut(..=id).next_back() {
            let at = place(run, id).unwrap_or_else(|at| at);
            run.insert(at, (id, value));
            if run.len() > RUN_LEN {
                let upper = run.split_off(RUN_LEN / 2);
                self.earlier.insert(upper[0].0, upper);
            }
        } else {
            // It lies below everything.
            let mut run = match self.earlier.first_entry() {
                Some(first) if first.get().len() < RUN_LEN => first.remove(),
                _ => Vec::new(),
            };
            run.insert(0, (id, value));
            self.earlier.insert(id, run);
        }
        None
    }

    fn insert_last(&mut self, id: StreamId, value: V) {
        if self.last.len() == RUN_LEN {
            let full = std::mem::take(&mut self.last);
            let at = place(&full, id).unwrap_or_else(|at| at);
            self.earlier.insert(full[0].0, full);
            if at < RUN_LEN {
                // It belongs into the run that is full: once more, by the way that splits.
                self.len -= 1;
                self.insert(id, value);
                return;
            }
        }
        let at = place(&self.last, id).unwrap_or_else(|at| at);
        self.last.insert(at, (id, value));
    }

    /// Takes an ID out.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let value = if self.is_last(id) {
            take(&mut self.last, id)?
        } else {
            let (&begin, run) = self.earlier.range_mut(..=id).next_back()?;
            let value = take(run, id)?;
            if run.is_empty() {
                self.earlier.remove(&begin);
            }
            value
        };
        self.len -= 1;
        Some(value)
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(StreamId, V)> {
        let first = self.earlier.first_key_value().map_or(&self.last, |(_, run)| run);
        let id = first.first()?.0;
        self.remove(id).map(|value| (id, value))
    }

    /// The entries from `start` on.
    pub fn range(&self, start: StreamId) -> impl DoubleEndedIterator<Item = (StreamId, &V)> {
        let begin = self.earlier.range(..=start).next_back().map_or(start, |(&begin, _)| begin);
        let from_start = move |run: &'_ Run<V>| run.partition_point(|entry| entry.0 < start);
        let earlier = self.earlier.range(begin..).flat_map(move |(_, run)| &run[from_start(run)..]);
        earlier.chain(&self.last[from_start(&self.last)..]).map(|(id, value)| (*id, value))
    }

    /// Bytes of memory, about: the tree with its share of unused room.
    pub fn memory_bytes(&self) -> usize {
        let room: usize = self.earlier.values().map(Vec::capacity).sum();
        (room + self.last.capacity()) * size_of::<(StreamId, V)>()
            + self.earlier.len() * 2 * size_of::<(StreamId, Run<V>)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn check(runs: &Runs<u64>, twin: &BTreeMap<StreamId, u64>) {
        assert_eq!(runs.len(), twin.len());
        assert!(
            runs.range(StreamId::MIN).map(|(id, &value)| (id, value)).eq(twin.iter().map(|(&id, &value)| (id, value)))
        );
        assert!(runs.range(StreamId::MIN).rev().map(|(id, _)| id).eq(twin.keys().rev().copied()));
        assert!(runs.earlier.values().all(|run| !run.is_empty() && run.len() <= RUN_LEN));
    }

    #[test]
    fn a_map_of_runs_is_a_map() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let (mut runs, mut twin) = (Runs::default(), BTreeMap::new());
            let mut top = 500;
            // Now most are added at the end, now anywhere, now they go.
            for step in 0..3000u64 {
                let anywhere = StreamId { ms: rng.below(top), seq: 0 };
                let style = (step / 500 + seed) % 3;
                match rng.below(10) {
                    0 => {
                        let start = StreamId { ms: anywhere.ms, seq: rng.below(2) };
                        let found = runs.range(start).next().map(|(id, &value)| (id, value));
                        assert_eq!(found, twin.range(start..).next().map(|(&id, &value)| (id, value)));
                        assert_eq!(runs.get(start), twin.get(&start));
                        assert_eq!(runs.get_mut(anywhere).copied(), twin.get(&anywhere).copied());
                    }
                    1 => assert_eq!(runs.remove(anywhere), twin.remove(&anywhere)),
                    2 if style == 2 => assert_eq!(runs.pop_first(), twin.pop_first()),
                    _ if style == 2 => {
                        let next = twin.range(anywhere..).next().map(|(&id, _)| id);
                        assert_eq!(next.and_then(|id| runs.remove(id)), next.and_then(|id| twin.remove(&id)));
                    }
                    _ if style == 1 => assert_eq!(runs.insert(anywhere, step), twin.insert(anywhere, step)),
                    _ => {
                        top += 1;
                        let end = StreamId { ms: top, seq: 0 };
                        assert_eq!(runs.insert(end, step), twin.insert(end, step));
                    }
                }
                if step % 100 == 0 {
                    check(&runs, &twin);
                }
            }
            check(&runs, &twin);
        }
    }

    #[test]
    fn what_is_added_at_the_end_is_packed_closely() {
        let mut runs = Runs::default();
        for ms in 0..10_000 {
            runs.insert(StreamId { ms, seq: 0 }, ());
        }
        assert!(runs.memory_bytes() < 18 * 10_000, "{}", runs.memory_bytes());
    }
}
