//! The protocol: bytes to arguments (`request`), replies to bytes (`reply`). RESP2 and RESP3, no sockets.

pub mod reply;
pub mod request;
