//! Who goes first, by each policy, and that somebody goes as long as there is anybody who may.

use super::*;
use crate::base::rng::Rng;

const SECOND: i64 = 1000;

/// A key for each of `count` seconds, the first the longest ago; each third one expires, the last of them first.
fn aged(policy: Policy, count: i64) -> Keyspace {
    let mut keys = Keyspace::new(3, Rng::new(5));
    keys.access.lfu = is_lfu(policy);
    for second in 0..count {
        keys.select(second as usize % 2);
        keys.set_time(second * if is_lfu(policy) { 60 * SECOND } else { SECOND });
        let expire = (second % 3 == 0).then_some(1_000_000_000_000 - second);
        keys.set_str(second.to_string().as_bytes(), b"v", expire);
        if is_lfu(policy) {
            keys.set_access(second.to_string().as_bytes(), access::counted_at(keys.now, second as u32 % 200));
        }
    }
    keys
}

/// The order in which all go that may.
fn order(keys: &mut Keyspace, policy: Policy, samples: usize) -> Vec<i64> {
    let mut order = Vec::new();
    while let Some((db, key)) = keys.eviction_victim(policy, samples) {
        assert!(keys.evict(db, &key, false));
        let number: i64 = std::str::from_utf8(&key).unwrap().parse().unwrap();
        assert_eq!(if keys.database_count() > 1 { number as usize % 2 } else { 0 }, db);
        order.push(number);
    }
    order
}

#[test]
fn every_policy_takes_all_that_may_go_and_nothing_else() {
    for policy in (0..8).filter_map(Policy::from_index) {
        let mut keys = aged(policy, 300);
        let mut gone = order(&mut keys, policy, 5);
        gone.sort_unstable();
        gone.dedup();
        let expected = match policy {
            Policy::Noeviction => 0,
            _ if is_volatile(policy) => 100,
            _ => 300,
        };
        assert_eq!((gone.len(), keys.stats.evicted), (expected, expected as u64), "{policy:?}");
        assert!(!is_volatile(policy) || gone.iter().all(|number| number % 3 == 0));
        assert_eq!(keys.total_keys(), 300 - expected);
    }
}

/// How far, on the average, the first half of those who went is from the half that should have gone: 0 is perfect,
/// 0.5 is chance.
fn misplaced(gone: &[i64], rank: impl Fn(i64) -> i64) -> f64 {
    let mut sorted: Vec<i64> = gone.iter().map(|&number| rank(number)).collect();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let first = &gone[..gone.len() / 2];
    first.iter().filter(|&&number| rank(number) >= median).count() as f64 / first.len() as f64
}

#[test]
fn those_who_matter_least_go_first() {
    for (policy, rank) in [
        (Policy::AllkeysLru, (|number| number) as fn(i64) -> i64),
        (Policy::VolatileLru, |number| number),
        (Policy::VolatileTtl, |number| -number),
        (Policy::AllkeysRandom, |number| number),
    ] {
        let mut keys = aged(policy, 3000);
        let gone = order(&mut keys, policy, 10);
        let misplaced = misplaced(&gone, rank);
        match policy {
            Policy::AllkeysRandom => assert!((0.4..0.6).contains(&misplaced), "{policy:?}: {misplaced}"),
            _ => assert!(misplaced < 0.1, "{policy:?}: {misplaced}"),
        }
    }
}

#[test]
fn what_is_used_often_outlives_what_was_used_last() {
    let mut keys = Keyspace::new(1, Rng::new(6));
    keys.access.lfu = true;
    keys.set_time(60 * SECOND);
    for number in 0..1000 {
        keys.set_str(number.to_string().as_bytes(), b"v", None);
        let hits = if number < 500 { 200 } else { 1 };
        for _ in 0..hits {
            keys.read(number.to_string().as_bytes()).expect("it is there");
        }
    }
    let gone: Vec<i64> = order(&mut keys, Policy::AllkeysLfu, 10).into_iter().take(450).collect();
    let often = gone.iter().filter(|&&number| number < 500).count();
    assert!(often < 45, "{often}");
}

#[test]
fn a_needle_in_a_haystack_is_found() {
    let mut keys = Keyspace::new(1, Rng::new(7));
    for number in 0..20_000 {
        keys.set_str(format!("hay:{number}").as_bytes(), b"v", None);
    }
    keys.set_str(b"needle", b"v", Some(1 << 42));
    for policy in [Policy::VolatileLru, Policy::VolatileRandom, Policy::VolatileLfu, Policy::VolatileTtl] {
        assert_eq!(keys.eviction_victim(policy, 5), Some((0, b"needle".to_vec())), "{policy:?}");
    }
    keys.set_expire(b"needle", None);
    assert_eq!(keys.eviction_victim(Policy::VolatileLru, 5), None, "a candidate that does not expire any more");
}

#[test]
fn a_change_of_policy_and_keys_that_are_gone_leave_the_pool_sound() {
    let mut keys = aged(Policy::AllkeysLru, 100);
    keys.eviction_victim(Policy::AllkeysLru, 10).expect("there are keys");
    keys.flush(None, false);
    assert_eq!(keys.eviction_victim(Policy::AllkeysLru, 10), None);
    keys.select(2);
    keys.set_str(b"last", b"v", None);
    assert_eq!(keys.eviction_victim(Policy::AllkeysRandom, 10), Some((2, b"last".to_vec())));
    assert_eq!(keys.eviction_victim(Policy::AllkeysLfu, 10), Some((2, b"last".to_vec())));
}
