//! The hash beside a `BTreeMap`, across its thresholds.

use super::*;
use std::collections::BTreeMap;

type Pair = (Vec<u8>, Vec<u8>);
type Twin = BTreeMap<Vec<u8>, Vec<u8>>;

fn limits() -> CollectionLimits {
    CollectionLimits { hash_max_listpack_entries: 128, ..CollectionLimits::default() }
}

fn check(hash: &Hash, twin: &Twin) {
    assert_eq!(hash.len(), twin.len());
    let pairs: Twin = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    assert_eq!(&pairs, twin);
    assert_eq!(hash.iter().count(), twin.len());
    let (mut scanned, mut cursor) = (Twin::new(), 0);
    loop {
        cursor = hash.scan(cursor, |field, value| {
            scanned.insert(field.to_vec(), value.to_vec());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&scanned, twin);
}

fn text(rng: &mut Rng, span: u64, long: bool) -> Vec<u8> {
    match rng.below(3) {
        0 => rng.below(span).to_string().into_bytes(),
        1 if long => vec![b'v'; rng.index(400)],
        _ => format!("t{}", rng.below(span)).into_bytes(),
    }
}

#[test]
fn behaves_like_a_tree_map() {
    for seed in 0..24u64 {
        let mut rng = Rng::new(seed);
        let (mut hash, mut twin) = (Hash::new(), Twin::new());
        let span = [10, 100, 3000][seed as usize % 3];
        for n in 0..3000 {
            let field = text(&mut rng, span, false);
            match rng.below(8) {
                0..=4 => {
                    let value = text(&mut rng, 1 << 40, seed % 2 == 0 && n > 1000);
                    assert_eq!(hash.set(&field, &value, &limits()), !twin.contains_key(&field));
                    twin.insert(field, value);
                }
                5 => assert_eq!(hash.remove(&field), twin.remove(&field).is_some()),
                _ => {
                    assert_eq!(hash.get(&field).map(|value| value.to_vec()), twin.get(&field).cloned());
                    assert_eq!(hash.contains(&field), twin.contains_key(&field));
                    let random = hash.random(&mut rng);
                    assert_eq!(random.is_some(), !twin.is_empty());
                    assert!(random.is_none_or(|(field, value)| twin.get(&field.to_vec()) == Some(&value.to_vec())));
                }
            }
            if n % 250 == 0 {
                check(&hash, &twin);
            }
        }
        check(&hash, &twin);
        check(&hash.clone(), &twin);
        assert!(hash.memory_bytes(0) >= twin.len());
    }
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let mut hash = Hash::new();
    for n in 0..128 {
        assert!(hash.set(format!("f{n}").as_bytes(), b"1", &limits()));
    }
    assert!(!hash.set(b"f0", &[b'v'; 64], &limits()));
    assert_eq!(hash.encoding(), "listpack");
    let mut other = hash.clone();
    assert!(hash.set(b"f128", b"1", &limits()));
    assert_eq!(hash.encoding(), "hashtable");
    assert!(!other.set(b"f0", &[b'v'; 65], &limits()));
    assert_eq!((other.encoding(), other.len()), ("hashtable", 128));
    let mut hash = Hash::new();
    hash.set(&[b'f'; 65], b"", &limits());
    assert_eq!(hash.encoding(), "hashtable");
    let mut hash = Hash::new();
    hash.expect(128, &limits());
    assert_eq!(hash.encoding(), "listpack");
    hash.expect(129, &limits());
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn a_loaded_listpack_is_checked_and_converted() {
    let mut pack = Listpack::new();
    for n in 0..129 {
        pack.push(format!("f{n}").as_bytes());
        pack.push_int(7);
    }
    let hash = Hash::from_listpack(pack.clone(), &limits()).expect("no field twice");
    assert_eq!((hash.encoding(), hash.get(b"f128").map(|v| v.to_vec())), ("hashtable", Some(b"7".to_vec())));
    pack.push(b"f3");
    assert!(Hash::from_listpack(pack.clone(), &limits()).is_none(), "odd");
    pack.push(b"x");
    assert!(Hash::from_listpack(pack, &limits()).is_none(), "twice");
}

fn has_shape(hash: &Hash) -> bool {
    matches!(hash.0, Form::Pack(Some(_), _))
}

/// The listpack that holds these pairs, written entry by entry.
fn listpack_of(pairs: &[Pair]) -> Listpack {
    let mut pack = Listpack::new();
    for (field, value) in pairs {
        pack.push(field);
        pack.push(value);
    }
    pack
}

#[test]
fn hashes_with_a_shape_are_to_the_byte_what_they_stand_for() {
    let names: [&[u8]; 8] = [b"name", b"mail", b"12", b"-7", b"", &[b'n'; 64], b"nane", b"\xff\0"];
    let (mut shaped, mut plain) = (0, 0);
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut hashes: [(Hash, Vec<Pair>); 8] = Default::default();
        for _ in 0..400 {
            let which = rng.index(hashes.len());
            let (hash, twin) = &mut hashes[which];
            // Mostly the next name, so that the order is mostly the same.
            let next = if rng.below(8) == 0 { rng.index(names.len()) } else { twin.len() % names.len() };
            let field = names[next];
            let at = twin.iter().position(|(name, _)| name == field);
            match rng.below(10) {
                0 => {
                    assert_eq!(hash.remove(field), at.is_some());
                    at.map(|at| twin.remove(at));
                }
                1 => {
                    let pack = hash.to_listpack().expect("eight fields").into_owned();
                    *hash = Hash::from_listpack(pack, &limits()).expect("no field twice");
                }
                2 => *hash = hash.clone(),
                _ => {
                    let value = text(&mut rng, 1 << 20, false);
                    assert_eq!(hash.set(field, &value, &limits()), at.is_none());
                    match at {
                        Some(at) => twin[at].1 = value,
                        None => twin.push((field.to_vec(), value)),
                    }
                }
            }
            assert_eq!(hash.to_listpack().as_deref(), Some(&listpack_of(twin)));
            let pairs = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec()));
            assert!(pairs.eq(twin.iter().cloned()) && hash.len() == twin.len());
            for name in names {
                let expected = twin.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
                assert_eq!((hash.contains(name), hash.get(name).map(|v| v.to_vec())), (expected.is_some(), expected));
            }
            let random = hash.random(&mut rng).map(|(field, value)| (field.to_vec(), value.to_vec()));
            assert!(random.map_or(twin.is_empty(), |pair| twin.contains(&pair)));
            if has_shape(hash) { shaped += 1 } else { plain += 1 }
        }
    }
    assert!(shaped > 10_000 && plain > 10_000, "{shaped} with a shape, {plain} without");
}

#[test]
fn the_third_hash_of_a_kind_has_a_shape_and_dictionaries_have_none() {
    let record = |n: usize| {
        let mut hash = Hash::new();
        for field in ["id", "name", "mail"] {
            hash.set(field.as_bytes(), format!("{field} {n}").as_bytes(), &limits());
        }
        hash
    };
    let records: Vec<Hash> = (0..100).map(record).collect();
    let first = records.iter().position(has_shape).expect("some have a shape");
    assert!(first <= 4 && records[first..].iter().all(has_shape));
    assert!(records[99].memory_bytes(0) + 3 * 4 < records[0].memory_bytes(0));
    for n in 0..5000 {
        let mut hash = Hash::new();
        hash.set(format!("user {n}").as_bytes(), b"1", &limits());
        hash.set(format!("order {n}").as_bytes(), b"1", &limits());
        assert!(!has_shape(&hash));
    }
}

#[test]
fn shapes_are_not_for_many_fields_or_long_names() {
    let mut long = Vec::new();
    for _ in 0..100 {
        let mut hash = Hash::new();
        for n in 0..66 {
            hash.set(format!("field {n}").as_bytes(), b"1", &limits());
        }
        assert_eq!((hash.encoding(), hash.len()), ("listpack", 66));
        assert!(!has_shape(&hash));
        long.push(hash);
    }
    let wide = CollectionLimits { hash_max_listpack_value: 1000, ..limits() };
    for _ in 0..10 {
        let mut hash = Hash::new();
        hash.set(&[b'n'; 65], b"1", &wide);
        assert!(!has_shape(&hash));
    }
}
