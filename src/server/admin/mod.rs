//! Commands about the house itself: connections, transactions, replication, snapshots, settings, introspection.

pub mod client;
pub mod command;
pub mod command_tips;
pub mod connection;
pub mod house;

use super::table::HouseFn;
use crate::commands::Row;

/// The rows of all house commands.
pub fn all_rows() -> &'static [&'static [Row<HouseFn>]] {
    &[client::ROWS, command::ROWS, connection::ROWS, house::ROWS]
}
