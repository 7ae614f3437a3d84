//! The set beside a `BTreeSet`, across its thresholds, and the moments when its encoding changes.

use super::*;
use std::collections::BTreeSet;

type Twin = BTreeSet<Vec<u8>>;

fn limits() -> CollectionLimits {
    CollectionLimits::default()
}

fn check(set: &Set, twin: &Twin) {
    assert_eq!(set.len(), twin.len());
    let mut members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
    members.sort();
    assert!(members.iter().eq(twin.iter()));
    let (mut scanned, mut cursor) = (Twin::new(), 0);
    loop {
        cursor = set.scan(cursor, |member| {
            scanned.insert(member.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&scanned, twin);
}

fn member(rng: &mut Rng, span: u64, kind: u64) -> Vec<u8> {
    let number = rng.below(span);
    match kind {
        0 => number.to_string().into_bytes(),
        1 => (number as i64 - 1000).wrapping_mul(1 << 40).to_string().into_bytes(),
        2 => format!("m{number}").into_bytes(),
        _ => format!("{number:080}").into_bytes(),
    }
}

#[test]
fn behaves_like_a_tree_set() {
    for seed in 0..24u64 {
        let mut rng = Rng::new(seed);
        let (mut set, mut twin) = (Set::new(), Twin::new());
        let span = [20, 300, 2000][seed as usize % 3];
        let kinds = 1 + seed % 4;
        for n in 0..3000 {
            let kind = rng.below(kinds);
            let one = member(&mut rng, span, kind);
            match rng.below(8) {
                0..=4 => assert_eq!(set.add(&one, &limits()), twin.insert(one)),
                5 | 6 => assert_eq!(set.remove(&one), twin.remove(&one)),
                _ if n % 3 == 0 => match set.pop_random(&mut rng) {
                    Some(popped) => assert!(twin.remove(&popped)),
                    None => assert!(twin.is_empty()),
                },
                _ => {
                    assert_eq!(set.contains(&one), twin.contains(&one));
                    let random = set.random(&mut rng).map(|member| member.to_vec());
                    assert_eq!(random.is_some(), !twin.is_empty());
                    assert!(random.is_none_or(|member| twin.contains(&member)));
                }
            }
            if n % 250 == 0 {
                check(&set, &twin);
            }
        }
        check(&set, &twin);
        check(&set.clone(), &twin);
        assert!(set.memory_bytes(5) >= twin.len());
    }
}

/// Adds `count` numbers and then `last`.
fn encoding_after(count: usize, last: &[u8]) -> &'static str {
    let mut set = Set::new();
    for n in 0..count {
        set.add(n.to_string().as_bytes(), &limits());
    }
    set.add(last, &limits());
    set.encoding()
}

#[test]
fn encodings_change_where_redis_changes_them() {
    assert_eq!(encoding_after(511, b"-1"), "intset");
    assert_eq!(encoding_after(512, b"-1"), "hashtable");
    assert_eq!(encoding_after(127, b"x"), "listpack");
    assert_eq!(encoding_after(128, b"x"), "hashtable");
    assert_eq!(encoding_after(0, &[b'x'; 64]), "listpack");
    assert_eq!(encoding_after(0, &[b'x'; 65]), "hashtable");
    assert_eq!(encoding_after(5, b"01"), "listpack", "01 is no canonical integer");
    let mut set = Set::new();
    for n in 0..128 {
        set.add(format!("m{n}").as_bytes(), &limits());
    }
    assert_eq!(set.encoding(), "listpack");
    assert!(!set.add(b"m0", &limits()));
    assert_eq!(set.encoding(), "listpack", "a member that is there converts nothing");
    set.add(b"m128", &limits());
    assert_eq!(set.encoding(), "hashtable");
    for n in 1..129 {
        assert!(set.remove(format!("m{n}").as_bytes()));
    }
    assert_eq!((set.encoding(), set.len()), ("hashtable", 1));
}

#[test]
fn an_expected_size_chooses_the_encoding() {
    assert_eq!(Set::for_adding(b"1", 512, &limits()).encoding(), "intset");
    assert_eq!(Set::for_adding(b"1", 513, &limits()).encoding(), "hashtable");
    assert_eq!(Set::for_adding(b"a", 128, &limits()).encoding(), "listpack");
    assert_eq!(Set::for_adding(b"a", 129, &limits()).encoding(), "hashtable");
    let mut set = Set::for_adding(b"1", 1, &limits());
    set.add(b"1", &limits());
    set.expect(513, &limits());
    assert_eq!((set.encoding(), set.contains(b"1")), ("hashtable", true));
}

#[test]
fn loaded_encodings_are_checked_and_converted() {
    let mut pack = Listpack::new();
    for n in 0..200 {
        pack.push(format!("m{n}").as_bytes());
    }
    let set = Set::from_listpack(pack.clone(), &limits()).expect("no member twice");
    assert_eq!((set.encoding(), set.len()), ("hashtable", 200));
    pack.push(b"m7");
    assert!(Set::from_listpack(pack, &limits()).is_none());
    let mut ints = IntSet::new();
    (0..513).for_each(|n| assert!(ints.add(n)));
    let set = Set::from_intset(ints, &limits());
    assert_eq!((set.encoding(), set.contains(b"512")), ("hashtable", true));
}
