//! The snapshot format, in and out: reading every RDB from version 1 on, writing version 10, or 12 where
//! fields of hashes expire, or what a given reader understands.
//! Ancestors: rdb.c, and the `DUMP`/`RESTORE` payload part of cluster.c.
//!
//! ```text
//! "REDIS" version(4 digits)  |  "VALKEY" version(3 digits)
//! { AUX key value | FUNCTION2 library | SELECTDB n | RESIZEDB keys expires
//! | [EXPIRETIME_MS ms] [IDLE s | FREQ n] type key value }*
//! EOF crc64 (8 bytes, little endian; 0 = not computed; absent before version 5)
//! ```
//!
//! - `format`: opcodes, the table of value types, lengths. - `load`: the push parser of a whole file.
//! - `object`: the push parser of one value, `stream`: that of a stream. - `ziplist`, `zipmap`: encodings older than version 10.
//! - `verify`: whether a snapshot is whole and readable, without reading its values.
//! - `save`: the writer. - `target`: what its readers understand. - `dump`: one value with a footer, for `DUMP` and `RESTORE`.
//!
//! Deliberately absent: module values, functions of the pre-release form.
//! They are refused by name. Files, sockets and forks are others' business: here are only bytes.

mod dump;
mod error;
pub mod format;
mod load;
mod object;
mod save;
mod stream;
mod strings;
mod target;
mod verify;
mod ziplist;
mod zipmap;

#[cfg(test)]
mod tests;

pub use dump::{
    DumpError, dump_functions, dump_payload, dump_payload_for, load_dump_payload, load_functions, raw_payload,
    with_right_checksum,
};
pub use error::{ErrorKind, RdbError};
pub use load::{KeyMeta, Loader, Sink};
pub use save::{SaveOptions, Saver};
pub use target::Target;
pub use verify::Verifier;
