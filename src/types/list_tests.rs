//! The list beside a deque.

use std::collections::VecDeque;

use super::*;
use crate::base::rng::Rng;

type Twin = VecDeque<Vec<u8>>;

fn limits(list_max_listpack_size: i64) -> CollectionLimits {
    CollectionLimits { list_max_listpack_size, ..CollectionLimits::default() }
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => vec![b'l'; 4000 + rng.index(9000)],
        1 | 2 => vec![b'm'; rng.index(900)],
        3..=6 => rng.below(30).to_string().into_bytes(),
        _ => vec![b'a' + rng.index(6) as u8; rng.index(3)],
    }
}

fn assert_same(list: &List, twin: &Twin) {
    assert!(list.is_consistent());
    assert_eq!(list.len(), twin.len());
    assert!(list.iter().map(|element| element.to_vec()).eq(twin.iter().cloned()));
    let in_nodes: usize = list.nodes().map(|node| node.iter().count()).sum();
    assert_eq!(in_nodes, twin.len());
}

/// Walks and looks from random places.
fn assert_reads_alike(list: &List, twin: &Twin, rng: &mut Rng) {
    let (a, b) = (rng.index(twin.len() + 1), rng.index(twin.len() + 2));
    let text = |element: Element| element.to_vec();
    assert_eq!(list.get(a).map(text), twin.get(a).cloned());
    assert!(list.iter_from(a, false).map(text).eq(twin.iter().skip(a).cloned()));
    assert!(list.iter_from(a, true).map(text).eq(twin.iter().take(a + 1).rev().cloned()));
    let expected: Vec<_> = twin.iter().take(b).skip(a).cloned().collect();
    assert!(list.iter_between(a, b).rev().map(text).eq(expected.iter().rev().cloned()));
    let mut both_ends = list.iter_between(a, b);
    for turn in 0..expected.len() {
        let element = if turn % 2 == 0 { both_ends.next() } else { both_ends.next_back() };
        let index = if turn % 2 == 0 { turn / 2 } else { expected.len() - 1 - turn / 2 };
        assert_eq!(element.map(text).as_ref(), Some(&expected[index]));
        assert_eq!(both_ends.len(), expected.len() - turn - 1);
    }
    assert!(both_ends.next().is_none() && both_ends.next_back().is_none());
}

fn remove_matching(twin: &mut Twin, value: &[u8], count: usize, from_tail: bool) -> usize {
    let mut places: Vec<usize> = (0..twin.len()).filter(|index| twin[*index] == value).collect();
    if from_tail {
        places.reverse();
    }
    if count > 0 {
        places.truncate(count);
    }
    places.sort_unstable();
    for place in places.iter().rev() {
        twin.remove(*place);
    }
    places.len()
}

fn change(list: &mut List, twin: &mut Twin, limits: &CollectionLimits, rng: &mut Rng, growing: bool) {
    let value = value(rng);
    let index = rng.index(twin.len() + 1);
    match rng.below(if growing { 8 } else { 14 }) {
        0 | 1 => {
            list.push_back(&value, limits);
            twin.push_back(value);
        }
        2 | 3 => {
            list.push_front(&value, limits);
            twin.push_front(value);
        }
        4 | 5 => {
            list.insert(index, &value, limits);
            twin.insert(index, value);
        }
        6 => {
            assert_eq!(list.set(index, &value, limits), index < twin.len());
            if let Some(slot) = twin.get_mut(index) {
                *slot = value;
            }
        }
        7 | 8 => assert_eq!(list.pop_front(), twin.pop_front()),
        9 | 10 => assert_eq!(list.pop_back(), twin.pop_back()),
        11 => {
            let count = rng.index(twin.len() + 1).min(rng.index(40));
            list.remove_range(index, count);
            twin.drain(index..twin.len().min(index + count));
        }
        12 => {
            let (count, from_tail) = (rng.index(4), rng.below(2) == 0);
            assert_eq!(list.remove_matching(&value, count, from_tail), remove_matching(twin, &value, count, from_tail));
        }
        _ => list.retighten(limits),
    }
}

#[test]
fn changes_agree_with_a_deque() {
    for (seed, setting) in [-1, -2, -5, 0, 1, 3, 10, 200].into_iter().cycle().take(24).enumerate() {
        let mut rng = Rng::new(seed as u64);
        let limits = limits(setting);
        let (mut list, mut twin) = (List::new(), Twin::new());
        for turn in 0..600 {
            change(&mut list, &mut twin, &limits, &mut rng, turn % 300 < 200);
            assert_same(&list, &twin);
            assert_reads_alike(&list, &twin, &mut rng);
        }
    }
}

#[test]
fn no_node_outgrows_the_limit() {
    for (setting, most_bytes, most_count) in [(-1, 4096, usize::MAX), (-2, 8192, usize::MAX), (5, 8192, 5)] {
        let (limits, mut rng) = (limits(setting), Rng::new(9));
        let mut list = List::new();
        for _ in 0..2000 {
            let (index, value) = (rng.index(list.len() + 1), value(&mut rng));
            list.insert(index, &value, &limits);
            list.set(rng.index(list.len()), &value, &limits);
        }
        assert!(list.node_count() > 10);
        for node in list.nodes() {
            match node {
                ListNode::Packed(pack) if pack.len() > 1 => {
                    assert!(pack.total_bytes() <= most_bytes && pack.len() <= most_count);
                }
                ListNode::Packed(_) => {}
                ListNode::Plain(value) => assert!(value.len() > most_bytes),
            }
        }
    }
}

#[test]
fn halves_of_a_split_node_join_their_neighbours() {
    let limits = limits(4);
    let mut list = List::new();
    [b"b", b"c", b"d", b"e", b"f"].iter().for_each(|value| list.push_back(*value, &limits));
    list.push_front(b"a", &limits);
    assert_eq!(list.node_count(), 3);
    list.insert(2, b"x", &limits);
    let counts: Vec<usize> = list.nodes().map(|node| node.iter().count()).collect();
    assert_eq!(counts, [3, 4]);
    assert_eq!(list.iter().map(|element| element.to_vec()).collect::<Vec<_>>().concat(), b"abxcdef");
}

#[test]
fn the_encoding_changes_where_72_changes_it() {
    let limits = limits(4);
    let mut list = List::new();
    (0..4).for_each(|_| list.push_back(b"x", &limits));
    assert_eq!(list.encoding(), "listpack");
    list.push_back(b"x", &limits);
    assert_eq!((list.encoding(), list.node_count()), ("quicklist", 2));
    list.remove_range(3, 2);
    list.retighten(&limits);
    assert_eq!((list.encoding(), list.node_count()), ("quicklist", 1));
    list.pop_back();
    assert_eq!(list.encoding(), "quicklist");
    list.retighten(&limits);
    assert_eq!((list.encoding(), list.len()), ("listpack", 2));

    let limits = self::limits(-2);
    let mut list = List::new();
    list.push_back(&[b'x'; 8180], &limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_back(b"y", &limits);
    assert_eq!(list.encoding(), "quicklist");
    list.pop_front();
    list.retighten(&limits);
    assert_eq!(list.encoding(), "listpack");
    list.push_front(&[b'z'; 8193], &limits);
    list.pop_back();
    list.retighten(&limits);
    assert_eq!((list.encoding(), list.pop_front()), ("quicklist", Some(vec![b'z'; 8193])));
}

#[test]
fn a_list_is_rebuilt_from_its_nodes() {
    let (limits, mut rng) = (limits(-1), Rng::new(2));
    for len in [0, 1, 5, 300] {
        let mut list = List::new();
        (0..len).for_each(|_| list.push_back(&value(&mut rng), &limits));
        let mut copy = List::new();
        for node in list.nodes() {
            match node {
                ListNode::Packed(pack) => {
                    let pack = Listpack::from_bytes_validated(node.as_bytes(), true)
                        .filter(|copy| copy.as_bytes() == pack.as_bytes());
                    copy.push_listpack_node(pack.expect("a node is valid"));
                }
                ListNode::Plain(value) => copy.push_plain_node(value.to_vec()),
            }
        }
        copy.retighten(&limits);
        assert_eq!((copy.encoding(), copy.node_count()), (list.encoding(), list.node_count()));
        assert!(copy.is_consistent() && copy.iter().eq(list.iter()));
    }
}

#[test]
fn a_listpack_over_the_limit_becomes_a_quicklist_when_loaded() {
    let mut pack = Listpack::new();
    (0..10).for_each(|number| pack.push_int(number));
    let mut list = List::new();
    list.push_listpack_node(pack);
    list.retighten(&limits(-2));
    assert_eq!(list.encoding(), "listpack");
    list.retighten(&limits(9));
    assert_eq!((list.encoding(), list.len()), ("quicklist", 10));
}

/// Pushes and pops at both ends, each done to the node that it concerns and to no other.
struct Plainly(VecDeque<Listpack>);

impl Plainly {
    fn push(&mut self, value: &[u8], most_bytes: usize, front: bool) {
        let end = if front { self.0.front_mut() } else { self.0.back_mut() };
        match end.filter(|pack| pack.total_bytes() + value.len() + 8 <= most_bytes) {
            Some(pack) if front => pack.push_front(value),
            Some(pack) => pack.push(value),
            None => {
                let mut pack = Listpack::new();
                pack.push(value);
                if front { self.0.push_front(pack) } else { self.0.push_back(pack) }
            }
        }
    }

    fn pop(&mut self, front: bool) {
        let Some(pack) = (if front { self.0.front_mut() } else { self.0.back_mut() }) else { return };
        let pos = if front { pack.first() } else { pack.last() };
        pack.remove(pos.unwrap());
        self.0.retain(|pack| !pack.is_empty());
    }
}

#[test]
fn what_spares_long_moves_at_the_front_is_not_to_be_seen() {
    let mut rng = Rng::new(31);
    for round in 0..60 {
        let limits = limits(if round % 3 == 0 { -1 } else { -2 });
        let most_bytes = if round % 3 == 0 { 4096 } else { 8192 };
        let mut list = List::new();
        while list.encoding() == "listpack" {
            list.push_back(&[b'y'; 40], &limits);
        }
        let mut twin =
            Plainly(list.nodes().map(|node| Listpack::from_bytes_validated(node.as_bytes(), true).unwrap()).collect());
        let longest = [5, 60, 300][rng.index(3)];
        for _ in 0..300 {
            let (front, push) = (rng.below(4) > 0, rng.below(7) > 2);
            for _ in 0..rng.index(40) {
                if push || twin.0.len() < 2 {
                    let value = vec![b'a' + rng.index(20) as u8; rng.index(longest)];
                    let value = if rng.below(4) == 0 { rng.below(100_000).to_string().into_bytes() } else { value };
                    if front {
                        list.push_front(&value, &limits)
                    } else {
                        list.push_back(&value, &limits)
                    }
                    twin.push(&value, most_bytes, front);
                } else {
                    if front {
                        list.pop_front()
                    } else {
                        list.pop_back()
                    };
                    twin.pop(front);
                }
            }
            assert!(list.is_consistent());
            assert!(list.nodes().map(ListNode::as_bytes).eq(twin.0.iter().map(|pack| pack.as_bytes())));
            assert_eq!(list.node_count(), twin.0.len());
        }
    }
}
