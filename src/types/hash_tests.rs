//! The hash beside a `BTreeMap`, across its thresholds.

use super::*;
use std::collections::BTreeMap;

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
