//! Values that are handed over as they stand: as payloads they must be restored to what the loader reads.

use super::super::{KeyMeta, Loader, RdbError, SaveOptions, Sink, load_dump_payload, raw_payload};
use super::roundtrip::random_snapshot;
use super::{Content, content, each};
use crate::types::{CollectionLimits, Value};
use std::collections::BTreeMap;

/// A sink that restores what it is given.
#[derive(Default)]
struct Restored {
    version: u16,
    keys: BTreeMap<(u64, Vec<u8>), (Content, KeyMeta)>,
}

impl Sink for Restored {
    fn start(&mut self, version: u32, _family: super::super::format::Family) -> Result<(), RdbError> {
        self.version = version as u16;
        Ok(())
    }

    fn select_db(&mut self, _id: u64) -> Result<(), RdbError> {
        Ok(())
    }

    fn function(&mut self, _code: &[u8]) -> Result<(), RdbError> {
        Ok(())
    }

    fn key(&mut self, _db: u64, _key: &[u8], _value: Value, _meta: KeyMeta) -> Result<(), RdbError> {
        Err(RdbError::refused("a value was read"))
    }

    fn raw(&mut self, db: u64, key: &[u8], type_id: u8, value: &[u8], meta: KeyMeta) -> Result<(), RdbError> {
        let mut payload = b"what was there before".to_vec();
        raw_payload(&mut payload, type_id, value, self.version);
        let value = load_dump_payload(&payload, &CollectionLimits::default());
        let value = value.map_err(|error| RdbError::refused(error.to_string()))?;
        self.keys.insert((db, key.to_vec()), (content(&value), meta));
        Ok(())
    }
}

#[test]
fn raw_values_are_payloads_wherever_the_bytes_are_cut() {
    for seed in 0..4 {
        let options = SaveOptions { compress: seed % 2 == 0, checksum: true, ..SaveOptions::default() };
        let (bytes, told) = random_snapshot(seed, 12, options);
        let expected: BTreeMap<_, _> =
            told.keys.into_iter().map(|(place, (content, _, meta))| (place, (content, meta))).collect();
        assert!(!expected.is_empty());
        for step in [1, 7, 4096, bytes.len()] {
            let (mut loader, mut sink) = (Loader::new(CollectionLimits::default()).raw_values(), Restored::default());
            let slices: Vec<&[u8]> = bytes.chunks(step).collect();
            assert_eq!(each(&slices, |slice| loader.feed(slice, &mut sink)), Ok(()));
            assert_eq!(loader.finish(), Ok(()));
            assert_eq!(sink.keys, expected, "seed {seed}, step {step}");
        }
    }
}
