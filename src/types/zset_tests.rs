//! The sorted set beside a sorted `Vec`, across its thresholds.

use super::*;

type Twin = Vec<(Vec<u8>, f64)>;

fn limits() -> CollectionLimits {
    CollectionLimits::default()
}

fn owned<'a>(pairs: impl Iterator<Item = (Element<'a>, f64)>) -> Twin {
    pairs.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn sort(twin: &mut Twin) {
    twin.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then_with(|| a.0.cmp(&b.0)));
}

fn twin_insert(twin: &mut Twin, member: &[u8], score: f64) -> Option<f64> {
    let old = twin_remove(twin, member);
    twin.push((member.to_vec(), score));
    sort(twin);
    old
}

fn twin_remove(twin: &mut Twin, member: &[u8]) -> Option<f64> {
    let at = twin.iter().position(|(other, _)| other == member)?;
    Some(twin.remove(at).1)
}

fn check(zset: &ZSet, twin: &Twin) {
    assert_eq!(zset.len(), twin.len());
    assert_eq!(&owned(zset.iter()), twin);
    let mut backwards = owned(zset.iter().rev());
    backwards.reverse();
    assert_eq!(&backwards, twin);
    let (mut scanned, mut cursor) = (Twin::new(), 0);
    loop {
        cursor = zset.scan(cursor, |member, score| scanned.push((member.to_vec(), score)));
        if cursor == 0 {
            break;
        }
    }
    sort(&mut scanned);
    scanned.dedup();
    assert_eq!(&scanned, twin);
}

fn random_pair(rng: &mut Rng, span: u64) -> (Vec<u8>, f64) {
    let member = match rng.below(3) {
        0 => rng.below(span).to_string().into_bytes(),
        _ => format!("m{}", rng.below(span)).into_bytes(),
    };
    let score = match rng.below(8) {
        0 => [f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, -1e-300, 1e17][rng.index(6)],
        1..=3 => rng.below(10) as f64,
        _ => (rng.below(2000) as f64 - 1000.0) / 8.0,
    };
    (member, score)
}

fn reads(zset: &ZSet, twin: &Twin, rng: &mut Rng, member: &[u8], bound: f64) {
    let at = twin.iter().position(|(other, _)| other == member);
    assert_eq!(zset.rank(member), at);
    assert_eq!(zset.score(member), at.map(|at| twin[at].1));
    assert_eq!(zset.contains(member), at.is_some());
    assert_eq!(zset.first_at_least(bound), twin.iter().filter(|(_, score)| *score < bound).count());
    assert_eq!(zset.first_above(bound), twin.iter().filter(|(_, score)| *score <= bound).count());
    let (start, count) = (rng.index(twin.len() + 2), rng.index(90));
    let from = start.min(twin.len());
    let mut expected = twin[from..twin.len().min(from + count)].to_vec();
    assert_eq!(owned(zset.range(start, count, false)), expected);
    expected.reverse();
    assert_eq!(owned(zset.range(start, count, true)), expected);
    assert_eq!(zset.at(start).map(|(m, s)| (m.to_vec(), s)), twin.get(start).cloned());
    let random = zset.random(rng).map(|(m, s)| (m.to_vec(), s));
    assert_eq!(random.is_some(), !twin.is_empty());
    assert!(random.is_none_or(|pair| twin.contains(&pair)));
}

#[test]
fn behaves_like_a_sorted_vector() {
    for seed in 0..18u64 {
        let mut rng = Rng::new(seed);
        let (mut zset, mut twin) = (ZSet::new(), Twin::new());
        let span = [30, 150, 1500][seed as usize % 3];
        for n in 0..3000 {
            let (member, score) = random_pair(&mut rng, span);
            match rng.below(30) {
                0..=17 => {
                    let old = zset.insert(&member, score, &limits());
                    assert_eq!(old, twin_insert(&mut twin, &member, score));
                }
                18..=22 => assert_eq!(zset.remove(&member), twin_remove(&mut twin, &member)),
                23 => assert_eq!(zset.pop_min(), (!twin.is_empty()).then(|| twin.remove(0))),
                24 => assert_eq!(zset.pop_max(), twin.pop()),
                25 if n % 10 == 0 => {
                    let (start, count) = (rng.index(twin.len() + 2), rng.index(150));
                    let from = start.min(twin.len());
                    let removed = twin.drain(from..twin.len().min(from + count)).count();
                    assert_eq!(zset.remove_range_by_rank(start, count), removed);
                }
                _ => reads(&zset, &twin, &mut rng, &member, score),
            }
            if n % 250 == 0 {
                check(&zset, &twin);
            }
        }
        check(&zset, &twin);
        check(&zset.clone(), &twin);
        assert!(zset.memory_bytes(5) >= twin.len());
        zset.remove_range_by_rank(0, usize::MAX);
        check(&zset, &Twin::new());
    }
}

#[test]
fn members_of_one_score_are_found_by_their_bytes() {
    for count in [20usize, 100, 2000] {
        let mut zset = ZSet::new();
        let name = |n: usize| format!("{:05}", n * 2).into_bytes();
        for n in (0..count).rev() {
            zset.insert(&name(n), 0.0, &limits());
        }
        for n in [0, 1, count / 2, count - 1] {
            let (there, after) = (name(n), format!("{:05}", n * 2 + 1).into_bytes());
            assert_eq!((zset.first_lex_at_least(&there), zset.first_lex_above(&there)), (n, n + 1));
            assert_eq!((zset.first_lex_at_least(&after), zset.first_lex_above(&after)), (n + 1, n + 1));
        }
        assert_eq!((zset.first_lex_at_least(b""), zset.first_lex_above(b"z")), (0, count));
    }
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let mut zset = ZSet::new();
    for n in 0..128 {
        assert_eq!(zset.insert(format!("m{n}").as_bytes(), 1.0, &limits()), None);
    }
    assert_eq!(zset.insert(b"m0", 2.0, &limits()), Some(1.0));
    assert_eq!(zset.encoding(), "listpack");
    assert_eq!(zset.insert(b"x", 1.5, &limits()), None);
    assert_eq!((zset.encoding(), zset.rank(b"m0"), zset.rank(b"x")), ("skiplist", Some(128), Some(127)));
    zset.tighten(&limits());
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove(b"m5");
    assert_eq!(zset.encoding(), "skiplist", "a removal converts nothing");
    zset.tighten(&limits());
    assert_eq!((zset.encoding(), zset.len(), zset.score(b"x")), ("listpack", 128, Some(1.5)));
    let mut zset = ZSet::new();
    zset.insert(&[b'x'; 64], 1.0, &limits());
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(&[b'y'; 65], 1.0, &limits());
    assert_eq!(zset.encoding(), "skiplist");
    zset.tighten(&limits());
    assert_eq!(zset.encoding(), "skiplist", "one member is too long");
    let mut zset = ZSet::new();
    zset.expect(128, 64, &limits());
    assert_eq!(zset.encoding(), "listpack");
    zset.expect(1, 65, &limits());
    assert_eq!(zset.encoding(), "skiplist");
}

#[test]
fn scores_are_stored_as_redis_stores_them() {
    let mut zset = ZSet::new();
    for (member, score) in [("a", -0.0), ("b", 3.0), ("c", 3.5), ("d", 1e17), ("e", f64::INFINITY)] {
        zset.insert(member.as_bytes(), score, &limits());
    }
    let pack = zset.as_listpack().expect("five members are a listpack");
    let texts: Vec<Vec<u8>> = pack.iter().map(|entry| entry.to_vec()).collect();
    let expected: [&[u8]; 10] = [b"a", b"0", b"b", b"3", b"c", b"3.5", b"d", b"100000000000000000", b"e", b"inf"];
    assert_eq!(texts, expected);
    assert!(matches!(pack.get(3), Some(Element::Int(3))) && matches!(pack.get(5), Some(Element::Bytes(_))));
}

#[test]
fn a_loaded_listpack_is_checked_sorted_and_converted() {
    let load = |entries: &[&[u8]]| {
        let mut pack = Listpack::new();
        entries.iter().for_each(|entry| pack.push(entry));
        ZSet::from_listpack(pack, &limits())
    };
    let zset = load(&[b"a", b"1", b"b", b"1", b"c", b"1.5"]).expect("well formed");
    assert_eq!((zset.encoding(), zset.len()), ("listpack", 3));
    let zset = load(&[b"b", b"2", b"a", b"2", b"c", b"-inf"]).expect("out of order, but whole");
    let sorted: Twin = vec![(b"c".to_vec(), f64::NEG_INFINITY), (b"a".to_vec(), 2.0), (b"b".to_vec(), 2.0)];
    assert_eq!((zset.encoding(), owned(zset.iter())), ("listpack", sorted));
    assert!(load(&[b"a", b"1", b"b"]).is_none(), "odd");
    assert!(load(&[b"a", b"1", b"a", b"2"]).is_none(), "twice");
    assert!(load(&[b"a", b"nan"]).is_none() && load(&[b"a", b"x"]).is_none(), "no score");
    let many: Vec<String> = (0..130).flat_map(|n| [format!("m{n}"), n.to_string()]).collect();
    let many: Vec<&[u8]> = many.iter().map(|entry| entry.as_bytes()).collect();
    let zset = load(&many).expect("well formed");
    assert_eq!((zset.encoding(), zset.rank(b"m129")), ("skiplist", Some(129)));
}
