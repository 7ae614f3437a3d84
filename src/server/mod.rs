//! The daemon: how it starts, and what it says while it runs.

pub mod logging;
pub mod startup;
