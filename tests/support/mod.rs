//! What black-box tests share: a launcher for ours and for stock Redis, a RESP client, a dataset maker, and
//! the comparison of two servers key by key. Standard library only. Nothing here sleeps for a fixed time:
//! everything waits for a condition with a bound.
#![allow(dead_code)] // Each test file uses its own part.

mod client;
mod dataset;
mod play;
mod proxy;
mod server;
mod stream;

#[allow(unused_imports)]
pub use client::{Client, Value, encode};
#[allow(unused_imports)]
pub use dataset::{Dice, assert_same_as_old, assert_same_data, difference, fill, keys_of, random_writes};
#[allow(unused_imports)]
pub use play::{assert_same_play, play};
#[allow(unused_imports)]
pub use proxy::{Proxy, Stage};
#[allow(unused_imports)]
pub use server::{Kind, Server, free_port, fresh_dir, peer};
#[allow(unused_imports)]
pub use stream::stream_of;

use std::time::{Duration, Instant};

/// Asks again and again until the closure says yes; panics with `what` after the bound.
#[track_caller]
pub fn wait_until(bound: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < bound, "waited {bound:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
