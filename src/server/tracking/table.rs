//! Which clients have read which keys since those changed last.

use crate::base::hash::hash;
use crate::base::rng::Rng;
use crate::types::table::{Table, TableEntry};

/// A key that was read.
struct Read(Box<Inner>);

struct Inner {
    key: Box<[u8]>,
    /// Who has read it, in the order of their ids.
    readers: Vec<u64>,
}

impl TableEntry for Read {
    fn key(&self) -> &[u8] {
        &self.0.key
    }
}

/// The keys that were read and by whom. A client is known by its `ClientId::watcher`; whether it is still there, and
/// still tracks, is asked when there is something to tell.
#[derive(Default)]
pub struct TrackingTable {
    keys: Table<Read>,
    items: usize,
}

impl TrackingTable {
    /// Notes that a client has read a key.
    pub fn remember(&mut self, key: &[u8], reader: u64) {
        let make = || Read(Box::new(Inner { key: key.into(), readers: Vec::new() }));
        let readers = &mut self.keys.get_or_insert_with(hash(key), key, make).0.readers;
        if let Err(place) = readers.binary_search(&reader) {
            readers.insert(place, reader);
            self.items += 1;
        }
    }

    /// Forgets a key; returns who has read it.
    pub fn take(&mut self, key: &[u8]) -> Vec<u64> {
        let readers = self.keys.remove(key).map_or_else(Vec::new, |read| read.0.readers);
        self.items -= readers.len();
        readers
    }

    /// Some key that was read.
    pub fn random_key(&self, rng: &mut Rng) -> Option<Vec<u8>> {
        self.keys.random(rng).map(|read| read.key().to_vec())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many pairs of a key and a reader there are.
    pub fn items(&self) -> usize {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn as_a_plain_map_of_sets() {
        let (mut table, mut naive) = (TrackingTable::default(), BTreeMap::<Vec<u8>, BTreeSet<u64>>::new());
        let mut rng = Rng::new(5);
        for _ in 0..20_000 {
            let key = format!("key:{}", rng.below(200)).into_bytes();
            if rng.below(10) == 0 {
                let readers: Vec<u64> = naive.remove(&key).unwrap_or_default().into_iter().collect();
                assert_eq!(table.take(&key), readers);
            } else {
                let reader = rng.below(9);
                table.remember(&key, reader);
                naive.entry(key).or_default().insert(reader);
            }
            assert_eq!(table.len(), naive.len());
            assert_eq!(table.items(), naive.values().map(BTreeSet::len).sum::<usize>());
            let random = table.random_key(&mut rng);
            assert!(random.map_or(naive.is_empty(), |key| naive.contains_key(&key)));
        }
    }
}
