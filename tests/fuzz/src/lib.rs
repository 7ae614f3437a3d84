//! What the fuzz targets do with the bytes that they are given, one function a target.
//!
//! `scripts/fuzz` runs them under libFuzzer; `tests/fuzz_targets.rs` runs them in every test over the seeds, over what was
//! ever found, and over spoilt copies of both. So they keep compiling, and nothing that was found comes back.
//!
//! None may panic, overflow, take more memory than its input warrants, or take long. Beyond that each compares two ways
//! that must come to the same.

mod bench;
mod codecs;
mod glob;
mod listpack;
mod rdb;
mod request;
mod restore;

pub use codecs::{cjson, cmsgpack, structs};
pub use glob::glob;
pub use listpack::listpack;
pub use rdb::rdb;
pub use request::request;
pub use restore::{restore, stream};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("request", request),
    ("rdb", rdb),
    ("restore", restore),
    ("listpack", listpack),
    ("stream", stream),
    ("glob", glob),
    ("cmsgpack", cmsgpack),
    ("struct", structs),
    ("cjson", cjson),
];

/// Choices made by bytes, 0 when there are no more.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn index(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below.max(1)
    }

    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
