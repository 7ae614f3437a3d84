//! The two forms against each other and against plain registers, and strings that only look like HyperLogLogs.

use super::*;
use crate::base::rng::Rng;

/// The naive twin: registers as they are.
fn add_to(registers: &mut [u8], element: &[u8]) -> bool {
    let hash = hash64a(element, SEED);
    let value = (0..50).take_while(|bit| hash >> (14 + bit) & 1 == 0).count() as u8 + 1;
    let register = &mut registers[(hash % 16384) as usize];
    let lower = *register < value;
    *register = (*register).max(value);
    lower
}

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut found = Registers::default();
    HyperLogLog::new(bytes).unwrap().merge_into(&mut found).unwrap();
    found.iter().collect()
}

fn sparse(opcodes: &[u8]) -> Vec<u8> {
    let mut bytes = HyperLogLog::empty();
    bytes.truncate(HEADER);
    bytes.extend_from_slice(opcodes);
    bytes
}

#[test]
fn both_forms_hold_what_the_naive_twin_holds() {
    let mut rng = Rng::new(31);
    for (sparse_max, elements) in [(0, 50), (20, 20), (300, 2000), (3000, 6000), (100_000, 60_000)] {
        let (mut bytes, mut twin) = (HyperLogLog::empty(), vec![0; REGISTERS]);
        for number in 0..elements {
            let element = rng.next_u64().to_le_bytes();
            let element = &element[..1 + rng.index(8)];
            assert_eq!(add(&mut bytes, element, sparse_max), Ok(add_to(&mut twin, element)));
            if number % 997 == 0 || number + 1 == elements {
                assert_eq!(registers(&bytes), twin);
            }
        }
        let hll = HyperLogLog::new(&bytes).unwrap();
        assert_eq!(hll.is_dense(), sparse_max <= 3000, "{sparse_max}");
        let counted = hll.count().unwrap();
        let mut all = Registers::default();
        hll.merge_into(&mut all).unwrap();
        assert_eq!(all.count(), counted);
        let mut dense = bytes.clone();
        assert_eq!(make_dense(&mut dense), Ok(sparse_max > 3000));
        assert_eq!(registers(&dense), twin);
        assert_eq!(HyperLogLog::new(&dense).unwrap().count(), Ok(counted));
    }
}

#[test]
fn the_count_is_near_the_truth() {
    let mut bytes = HyperLogLog::empty();
    assert_eq!(HyperLogLog::new(&bytes).unwrap().count(), Ok(0));
    for number in 1..=200_000u64 {
        add(&mut bytes, &number.to_le_bytes(), 3000).unwrap();
        if number.is_power_of_two() || number.is_multiple_of(50_000) {
            let counted = HyperLogLog::new(&bytes).unwrap().count().unwrap();
            assert!(counted.abs_diff(number) as f64 <= number as f64 * 0.03 + 1.0, "{counted} of {number}");
        }
    }
}

#[test]
fn runs_are_split_and_joined() {
    for (before, index, value, after) in [
        ("Z:16384", 0, 1, "v:1,1 Z:16383"),
        ("Z:16384", 16383, 32, "Z:16383 v:32,1"),
        ("Z:16384", 64, 2, "z:64 v:2,1 Z:16319"),
        ("v:1,1 Z:16383", 1, 1, "v:1,2 Z:16382"),
        ("v:1,4 Z:16380", 4, 1, "v:1,4 v:1,1 Z:16379"),
        ("v:1,4 Z:16380", 2, 3, "v:1,2 v:3,1 v:1,1 Z:16380"),
        ("v:1,4 Z:16380", 2, 1, "v:1,4 Z:16380"),
        ("v:2,1 v:1,1 v:2,1 Z:16381", 1, 2, "v:2,3 Z:16381"),
        ("z:1 z:1 Z:16382", 1, 7, "z:1 v:7,1 Z:16382"),
    ] {
        let mut opcodes = Vec::new();
        for word in before.split(' ') {
            let (kind, numbers) = word.split_once(':').unwrap();
            let (value, len) = numbers.split_once(',').unwrap_or(("0", numbers));
            assert!(kind == "v" || value == "0");
            push_run(&mut opcodes, value.parse().unwrap(), len.parse().unwrap());
        }
        let mut bytes = sparse(&opcodes);
        assert_eq!(HyperLogLog::new(&bytes).unwrap().describe(), before);
        assert_eq!(raise(&mut bytes, index, value, 3000), Ok(before != after));
        assert_eq!(HyperLogLog::new(&bytes).unwrap().describe(), after);
    }
}

#[test]
fn a_change_makes_the_cached_count_stale() {
    let mut bytes = HyperLogLog::empty();
    set_cached_count(&mut bytes, 7);
    assert_eq!(HyperLogLog::new(&bytes).unwrap().cached_count(), Some(7));
    assert_eq!(raise(&mut bytes, 5, 1, 3000), Ok(true));
    assert_eq!(HyperLogLog::new(&bytes).unwrap().cached_count(), None);
    set_cached_count(&mut bytes, 1);
    assert_eq!(raise(&mut bytes, 5, 1, 3000), Ok(false));
    assert_eq!(HyperLogLog::new(&bytes).unwrap().cached_count(), Some(1));
    make_dense(&mut bytes).unwrap();
    assert_eq!(HyperLogLog::new(&bytes).unwrap().cached_count(), Some(1));
}

#[test]
fn headers_are_checked() {
    let good = HyperLogLog::empty();
    assert!(HyperLogLog::new(&good).is_some());
    assert!(HyperLogLog::new(&good[..15]).is_none());
    assert!(HyperLogLog::new(&good[..16]).is_some());
    for (at, byte) in [(0, b'h'), (4, 2), (4, 0)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(HyperLogLog::new(&bad).is_none());
    }
}

#[test]
fn any_bytes_after_the_header_are_an_error_at_worst() {
    let mut rng = Rng::new(32);
    for (opcodes, counted) in
        [(&[][..], false), (&[0x7f, 0xfe], false), (&[0x7f], false), (&[0x7f, 0xff, 0], false), (&[0x7f, 0xff], true)]
    {
        let bytes = sparse(opcodes);
        let hll = HyperLogLog::new(&bytes).unwrap();
        assert_eq!(hll.count().is_ok(), counted);
        assert_eq!(hll.merge_into(&mut Registers::default()).is_ok(), counted);
        assert_eq!(make_dense(&mut bytes.clone()).is_ok(), counted);
    }
    assert_eq!(raise(&mut sparse(&[]), 0, 1, 3000), Err(Corrupted));
    assert_eq!(raise(&mut sparse(&[0x7f, 0xfe]), 16383, 1, 3000), Err(Corrupted));
    assert_eq!(raise(&mut sparse(&[0x7f]), 0, 1, 3000), Err(Corrupted));
    assert_eq!(raise(&mut sparse(&[0x7f]), 0, 33, 3000), Err(Corrupted));
    for _ in 0..3000 {
        let opcodes: Vec<u8> = (0..rng.index(40)).map(|_| rng.next_u64() as u8).collect();
        let mut bytes = sparse(&opcodes);
        for _ in 0..20 {
            let (index, value) = (rng.index(REGISTERS), 1 + rng.index(51) as u8);
            let _ = raise(&mut bytes, index, value, 100);
            let hll = HyperLogLog::new(&bytes).unwrap();
            let _ = (hll.count(), hll.describe(), hll.merge_into(&mut Registers::default()));
        }
    }
}
