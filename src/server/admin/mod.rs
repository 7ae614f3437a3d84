//! Commands about the house itself: connections, transactions, replication, snapshots, settings, introspection.

pub mod connection;
pub mod house;

use super::table::HouseFn;
use crate::commands::Row;

/// The rows of all house commands.
pub fn all_rows() -> &'static [&'static [Row<HouseFn>]] {
    &[connection::ROWS, house::ROWS]
}
