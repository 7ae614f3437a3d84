//! Who is to read a snapshot, and what such a reader knows. The forms came with these versions:
//!
//! ```text
//!  6  Redis 2.6 to 3.0    what all know
//!  7  Redis 3.2           fields in the header, the sizes of databases, quicklists
//!  8  Redis 4.0           scores in binary
//!  9  Redis 5.0 to 6.2    streams, how idle and how often used keys are
//! 10  Redis 7.0           listpacks for ziplists, functions, what streams count
//! 11  Redis 7.2, Valkey 7.2 and 8    listpacks of sets, when consumers were active
//! 12  Redis 7.4 to 8.4    fields of hashes that expire
//! 80  Valkey 9.0          the same, in another form
//! ```

use crate::types::ValueRef;

use super::format::{self, Family};

/// Who is to read what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub family: Family,
    pub version: u16,
}

impl Target {
    /// The oldest reader that is written for without being asked.
    pub const OLDEST: Target = Target { family: Family::Redis, version: format::VERSION_WRITTEN };
    /// The oldest reader of Redis that knows of fields that expire.
    pub const WITH_FIELD_EXPIRY: Target = Target { family: Family::Redis, version: format::VERSION_WITH_FIELD_EXPIRY };
    /// The oldest reader of Valkey that does.
    pub const VALKEY: Target = Target { family: Family::Valkey, version: *format::VERSIONS_VALKEY.start() as u16 };

    /// The readers of a version, whose number tells whose it is.
    pub fn of_version(version: u16) -> Target {
        let family = if version < Self::VALKEY.version { Family::Redis } else { Family::Valkey };
        Target { family, version }
    }

    /// The lowest of Redis that can hold a value whole.
    pub fn lowest_for(value: ValueRef<'_>) -> Target {
        match value {
            ValueRef::Fading(fading) if fading.expires() => Target::WITH_FIELD_EXPIRY,
            _ => Target::OLDEST,
        }
    }

    /// Whether the reader can hold fields that expire.
    pub fn knows_field_expiry(self) -> bool {
        match self.family {
            Family::Redis => self.version >= format::VERSION_WITH_FIELD_EXPIRY,
            Family::Valkey => self.version >= Self::VALKEY.version,
        }
    }

    /// Whether the reader can hold a value, be it with losses.
    pub fn holds(self, value: ValueRef<'_>) -> bool {
        self.knows_streams() || !matches!(value, ValueRef::Stream(_))
    }

    /// Whether the reader can hold streams.
    pub fn knows_streams(self) -> bool {
        self.version >= 9
    }

    /// Whether the reader can hold libraries of functions.
    pub fn knows_functions(self) -> bool {
        self.version >= 10
    }

    pub(super) fn knows_packed_sets(self) -> bool {
        self.version >= 11
    }

    pub(super) fn knows_active_consumers(self) -> bool {
        self.version >= 11
    }

    /// Ziplists and what is of their time.
    pub(super) fn wants_old_forms(self) -> bool {
        self.version < 10
    }

    pub(in crate::persist) fn knows_accesses(self) -> bool {
        self.version >= 9
    }

    pub(super) fn knows_binary_scores(self) -> bool {
        self.version >= 8
    }

    pub(super) fn knows_quicklists(self) -> bool {
        self.version >= 7
    }

    pub(super) fn knows_aux(self) -> bool {
        self.version >= 7
    }
}
