//! Snapshots: whole or in pieces of any size they load the same, what loads is verified, and what was loaded is saved
//! and loaded the same again.

use super::Choices;
use understudy::base::rng::Rng;
use understudy::commands::digest::dataset_digest;
use understudy::keyspace::Keyspace;
use understudy::persist::load::{Staged, StagingOptions, StagingSink};
use understudy::persist::rdb::{KeyMeta, Loader, RdbError, SaveOptions, Saver, Target, Verifier};
use understudy::types::CollectionLimits;
use understudy::types::table::TableEntry;

const DATABASES: usize = 16;

/// The first byte is the size of the pieces, the rest a snapshot.
pub fn rdb(data: &[u8]) {
    let mut choices = Choices(data);
    let piece = usize::from(choices.byte()).max(1);
    let bytes = choices.0;
    let (whole, cut) = (load(bytes, bytes.len()), load(bytes, piece));
    let mut verifier = Verifier::new(true);
    let verified = verifier.feed(bytes).and_then(|_| verifier.finish());
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => {
            assert!(verified.is_ok(), "loaded but not verified: {verified:?}");
            let digest = digest_of(&whole);
            assert_eq!(digest_of(&cut), digest, "in pieces of {piece}");
            let saved = save(&whole);
            let again = load(&saved, saved.len()).unwrap_or_else(|error| panic!("{error} in {}", saved.escape_ascii()));
            assert_eq!(digest_of(&again), digest, "saved and loaded again");
        }
        (Err(whole), Err(cut)) => assert_eq!(whole, cut, "in pieces of {piece}"),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("in pieces of {piece}: {error}"),
    }
}

/// The error comes without its offset, which is that of a token's first byte in its piece.
fn load(bytes: &[u8], piece: usize) -> Result<Staged, String> {
    load_pieces(bytes, piece).map_err(|error| format!("{:?}, key {:?}", error.kind, error.key))
}

fn load_pieces(bytes: &[u8], piece: usize) -> Result<Staged, RdbError> {
    let options = StagingOptions {
        discard_expired_before: Some(1_700_000_000_000),
        snapshot_bytes: Some(bytes.len() as u64),
        ..StagingOptions::new(DATABASES)
    };
    let mut sink = StagingSink::new(options);
    let mut loader = Loader::new(CollectionLimits::default()).ignore_checksum();
    for part in bytes.chunks(piece.max(1)) {
        if loader.done() {
            break;
        }
        loader.feed(part, &mut sink)?;
    }
    loader.finish()?;
    sink.finish()
}

fn digest_of(staged: &Staged) -> String {
    // The digest is of a key space, and databases can only be moved: so what was loaded is copied, by way of a snapshot.
    let bytes = save(staged);
    let mut sink = StagingSink::new(StagingOptions::new(DATABASES));
    let mut loader = Loader::new(CollectionLimits::default());
    let done = loader.feed(&bytes, &mut sink).and_then(|_| loader.finish());
    done.unwrap_or_else(|error| panic!("{error} in {}", bytes.escape_ascii()));
    let mut keys = Keyspace::new(DATABASES, Rng::new(1));
    keys.replace_dbs(sink.finish().unwrap().dbs);
    format!("{:?} {:?}", dataset_digest(&keys), staged.functions)
}

fn save(staged: &Staged) -> Vec<u8> {
    let mut saver = Saver::new(Vec::new(), SaveOptions { target: Target::WITH_FIELD_EXPIRY, ..SaveOptions::default() });
    saver.header(&[]).unwrap();
    for code in &staged.functions {
        saver.function(code).unwrap();
    }
    for (id, db) in (0..).zip(&staged.dbs) {
        saver.select_db(id, db.len() as u64, 0).unwrap();
        for entry in db.iter() {
            let meta = KeyMeta { expire_ms: entry.expire_ms(), ..KeyMeta::default() };
            saver.key(entry.key(), entry.value(), meta).unwrap();
        }
    }
    saver.end().unwrap()
}
