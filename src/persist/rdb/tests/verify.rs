//! The verifier, where it has to see for itself; that it agrees with the loader is part of every load in these tests.

use super::super::{ErrorKind, RdbError, SaveOptions, Verifier};
use super::one_key;
use super::roundtrip::random_snapshot;

fn verify(bytes: &[u8], step: usize) -> Result<u64, RdbError> {
    let mut verifier = Verifier::new(false);
    for slice in bytes.chunks(step) {
        assert_eq!(verifier.feed(slice)?, slice.len());
    }
    verifier.finish()?;
    Ok(verifier.keys())
}

#[test]
fn what_is_wrong_on_the_outside_is_seen_and_the_inside_is_not_looked_at() {
    let nan = [b"\x01\x01a", &f64::NAN.to_le_bytes()[..]].concat();
    let wrong: [(u8, &[u8]); 9] = [
        (18, b"\x01\x03\x01x"),
        (0, b"\xc4\x01x"),
        (0, b"\xc3\x02\x80\xff\xff\xff\xff\x01x"),
        (0, b"\x82\x01x"),
        (0, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
        (2, b"\xc0\x01"),
        (3, b"\x01\x01a\xfd"),
        (3, b"\x01\x01a\x03xyz"),
        (5, &nan),
    ];
    for (id, body) in wrong {
        for step in [1, 100] {
            let error = verify(&one_key(id, body), step).expect_err("wrong");
            assert!(matches!(error.kind, ErrorKind::Corrupt(_)), "type {id}: {error}");
            assert_eq!(error.key.as_deref(), Some(&b"k"[..]));
        }
    }
    let inside: [(u8, &[u8]); 4] = [(16, b"\x03abc"), (11, b"\x01a"), (2, b"\x02\x01a\x01a"), (18, b"\x01\x02\x01x")];
    for (id, body) in inside {
        assert_eq!(verify(&one_key(id, body), 1), Ok(1), "type {id}");
        assert!(super::load(&one_key(id, body)).is_err());
    }
}

#[test]
fn types_are_refused_by_number_and_key_wherever_the_bytes_are_cut() {
    let bytes = one_key(26, b"anything");
    for step in 1..bytes.len() {
        let error = verify(&bytes, step).expect_err("a stream of tomorrow");
        assert_eq!(error.kind, ErrorKind::Type { id: 26, name: "stream-v4" });
        assert_eq!(error.key.as_deref(), Some(&b"k"[..]));
    }
}

#[test]
fn random_snapshots_are_sound_until_a_byte_changes() {
    for seed in 0..4 {
        let (mut bytes, told) = random_snapshot(
            seed,
            12,
            SaveOptions { compress: seed % 2 == 0, checksum: true, ..SaveOptions::default() },
        );
        for step in [1, 7, 4096, bytes.len()] {
            assert_eq!(verify(&bytes, step), Ok(told.keys.len() as u64));
        }
        for at in (0..bytes.len()).step_by(997) {
            bytes[at] ^= 0x20;
            assert!(verify(&bytes, 5000).is_err(), "byte {at}");
            bytes[at] ^= 0x20;
        }
    }
}

#[test]
fn a_wrong_checksum_can_be_let_pass() {
    let (mut bytes, _) = random_snapshot(1, 3, SaveOptions::default());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(verify(&bytes, 100).map_err(|error| error.kind), Err(ErrorKind::Checksum { .. })));
    let mut verifier = Verifier::new(true);
    bytes.extend_from_slice(b"+more");
    assert_eq!(verifier.feed(&bytes), Ok(last + 1));
    assert!(verifier.done());
    assert_eq!(verifier.offset(), last as u64 + 1);
}
