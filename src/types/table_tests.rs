//! The table beside a map of the standard library, and the promises of SCAN, of growth, and of chance.

use super::buckets::zero_bytes;
use super::*;
use std::collections::{BTreeMap, BTreeSet};

struct Pair(Box<(Vec<u8>, u64)>);

impl TableEntry for Pair {
    fn key(&self) -> &[u8] {
        &self.0.0
    }
}

fn pair(number: u64, value: u64) -> Pair {
    Pair(Box::new((format!("key:{number}").into_bytes(), value)))
}

#[test]
fn behaves_as_a_map_through_growth_and_shrinking() {
    let mut rng = Rng::new(11);
    let (mut table, mut model) = (Table::new(), BTreeMap::new());
    for round in 0..8 {
        let growing = round % 2 == 0;
        for step in 0..20_000 {
            let number = rng.below(12_000);
            let key = format!("key:{number}").into_bytes();
            if rng.below(10) < if growing { 8 } else { 1 } {
                let old = table.insert(pair(number, step)).map(|old| old.0.1);
                assert_eq!(old, model.insert(key, step));
            } else {
                assert_eq!(table.remove(&key).map(|old| old.0.1), model.remove(&key));
            }
        }
        assert_eq!(table.len(), model.len());
        let held: BTreeMap<_, _> = table.iter().map(|pair| (pair.0.0.clone(), pair.0.1)).collect();
        assert_eq!(held, model);
        for (key, value) in &model {
            assert_eq!(table.get(key).map(|pair| pair.0.1), Some(*value));
        }
    }
    while let Some(key) = model.keys().next().cloned() {
        model.remove(&key);
        assert!(table.remove(&key).is_some());
    }
    assert_eq!((table.len(), table.buckets(), table.children), (0, 1, 0));
}

#[test]
fn scan_returns_what_stays_while_the_table_grows_and_shrinks() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let mut table = Table::new();
        let start = 1 + rng.below(3000);
        for number in 0..start {
            table.insert(pair(number, 0));
        }
        let stay: BTreeSet<u64> = (0..start).filter(|n| n % 3 == 0).collect();
        let (mut cursor, mut seen, mut next) = (0, BTreeSet::new(), start);
        loop {
            cursor = table.scan(cursor, |pair| {
                seen.insert(pair.0.0.clone());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..rng.below(20) {
                if seed % 2 == 0 {
                    table.insert(pair(next, 0));
                    next += 1;
                } else {
                    let number = rng.below(start);
                    if !number.is_multiple_of(3) {
                        table.remove(format!("key:{number}").as_bytes());
                    }
                }
            }
        }
        for number in stay {
            assert!(seen.contains(format!("key:{number}").as_bytes()), "seed {seed} lost {number}");
        }
    }
}

#[test]
fn marks_follow_their_entries() {
    let mut table = Table::new();
    for number in 0..5000 {
        table.insert(pair(number, 0));
        let key = format!("key:{number}").into_bytes();
        assert!(table.set_mark(hash(&key), &key, number % 5 == 0));
    }
    for number in (0..5000).filter(|n| n % 2 == 1) {
        table.remove(format!("key:{number}").as_bytes());
    }
    let mut marked = BTreeSet::new();
    for index in 0..table.buckets() {
        table.marked_in_bucket(index, |pair| {
            marked.insert(pair.0.0.clone());
        });
    }
    let wanted: BTreeSet<_> = (0..5000).filter(|n| n % 10 == 0).map(|n| format!("key:{n}").into_bytes()).collect();
    assert_eq!(marked, wanted);
}

#[test]
fn random_is_fair_and_reserve_and_slices_keep_count() {
    let mut table = Table::new();
    table.reserve(5000);
    let room = table.buckets();
    for number in 0..100 {
        table.insert(pair(number, number));
    }
    assert_eq!(table.buckets(), room);
    let (mut rng, mut hits) = (Rng::new(5), [0u32; 100]);
    for _ in 0..100_000 {
        hits[table.random(&mut rng).unwrap().0.1 as usize] += 1;
    }
    assert!(hits.iter().all(|&n| (800..1200).contains(&n)), "{hits:?}");
    let mut calls = 0;
    while table.take_some(10, drop) {
        calls += 1;
    }
    assert!(table.is_empty() && calls >= 5);
}

#[test]
fn zero_bytes_equals_its_naive_twin() {
    let mut rng = Rng::new(9);
    for _ in 0..100_000 {
        let word = rng.next_u64() & rng.next_u64() & rng.next_u64();
        let naive = (0..8).filter(|i| (word >> (i * 8)) & 0xff == 0).fold(0, |bits, i| bits | 0x80u64 << (i * 8));
        assert_eq!(zero_bytes(word), naive);
    }
}
