//! What a reader of snapshots cannot hold of the data that is there. Without ancestor: stock servers write one version.

use std::fmt;

use crate::keyspace::Keyspace;
use crate::types::ValueRef;
use crate::types::table::TableEntry;

use super::rdb::Target;

/// So many keys are named.
const NAMED_MAX: usize = 3;

/// The oldest reader that can hold all that is there.
pub fn lowest_target(keys: &Keyspace) -> Target {
    let fading = keys.dbs().iter().any(|db| db.hashes_with_field_expiry().next().is_some());
    if fading { Target::WITH_FIELD_EXPIRY } else { Target::OLDEST }
}

/// What a reader cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Hashes whose fields would no longer expire.
    pub fading: u64,
    /// Streams, which would be missing.
    pub streams: u64,
    /// Libraries of functions, which would be missing.
    pub functions: u64,
    /// The first of these keys, with their databases.
    pub first: Vec<(usize, Vec<u8>)>,
}

impl Losses {
    /// What `target` cannot hold of these keys and so many libraries.
    pub fn of(keys: &Keyspace, functions: usize, target: Target) -> Losses {
        let mut losses = Losses::default();
        if !target.knows_functions() {
            losses.functions = functions as u64;
        }
        for (id, db) in keys.dbs().iter().enumerate() {
            if !target.knows_field_expiry() {
                for entry in db.hashes_with_field_expiry() {
                    losses.fading += 1;
                    losses.name(id, entry.key());
                }
            }
            if !target.knows_streams() {
                for entry in db.iter().filter(|entry| matches!(entry.value(), ValueRef::Stream(_))) {
                    losses.streams += 1;
                    losses.name(id, entry.key());
                }
            }
        }
        losses
    }

    fn name(&mut self, db: usize, key: &[u8]) {
        if self.first.len() < NAMED_MAX {
            self.first.push((db, key.to_vec()));
        }
    }

    /// How many keys and libraries are concerned.
    pub fn count(&self) -> u64 {
        self.fading + self.streams + self.functions
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.fading, "hash with fields that expire", "hashes with fields that expire"),
            (self.streams, "stream", "streams"),
            (self.functions, "library of functions", "libraries of functions"),
        ];
        let some = kinds.iter().filter(|(count, ..)| *count > 0);
        let kinds: Vec<String> =
            some.map(|(count, one, more)| format!("{count} {}", if *count == 1 { one } else { more })).collect();
        f.write_str(&kinds.join(", "))?;
        for (at, (db, key)) in self.first.iter().enumerate() {
            let before = if at == 0 { " (first: " } else { ", " };
            write!(f, "{before}db {db} '{}'", key.escape_ascii())?;
        }
        f.write_str(if self.first.is_empty() { "" } else { ")" })
    }
}
