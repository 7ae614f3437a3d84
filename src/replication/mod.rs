//! Replication without its sockets: the log that all replicas read from, the life of a replica as its master sees it,
//! and the handshake with a master.

pub mod backoff;
pub mod dialect;
pub mod log;
pub mod master;
pub mod progress;
pub mod replica;
pub mod sums;
pub mod times;
