//! The event loop and what it listens to. It knows no procedure of the server: it is generic over them.

pub mod blocking;
pub mod event_loop;
pub mod simulated;
pub mod transport;

pub use blocking::BlockingLink;
pub use event_loop::{EventLoop, FileId, Fired, Interest};
pub use transport::{Listener, Network, Transport};
