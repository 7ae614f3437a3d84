//! What data commands do, one file a family. Each exports `ROWS`; the server joins them into the command table.
//!
//! A command here gets a `Ctx` and nothing else: keys, the caller's session, a place for the reply, and `effects` for
//! what follows from it beyond its own bytes. It can be tested without a server.

pub mod bitmap;
pub mod command;
pub mod connection;
pub mod ctx;
pub mod digest;
pub mod dump;
pub mod effects;
pub mod error;
pub mod expire;
pub mod expiry;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod keys_of;
pub mod list;
pub mod lolwut;
pub mod object;
mod sample;
pub mod scan;
pub mod set;
pub mod sort;
pub mod stream;
pub mod string;
#[cfg(test)]
pub mod testing;
pub mod waits;
pub mod zset;
mod zset_blocking;
mod zset_range;
mod zset_rows;
mod zset_store;

pub use command::{DataFn, Row};
pub use ctx::{Ctx, Session};
pub use error::CommandError;

/// The rows of all data commands.
pub fn all_rows() -> &'static [&'static [Row<DataFn>]] {
    &[
        bitmap::ROWS,
        connection::ROWS,
        dump::ROWS,
        expire::ROWS,
        generic::ROWS,
        geo::ROWS,
        hash::ROWS,
        hash::FIELDS_ROWS,
        hyperloglog::ROWS,
        list::ROWS,
        lolwut::ROWS,
        object::ROWS,
        set::ROWS,
        sort::ROWS,
        stream::ROWS,
        string::ROWS,
        zset::ROWS,
    ]
}
