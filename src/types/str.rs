//! An owned string value, on its way into or out of the key table (= the OBJ_STRING part of object.c).

use crate::base::numbers;
use std::rc::Rc;

/// A string as a value of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Str {
    /// A string that spells an integer canonically.
    Int(i64),
    /// Any other bytes. Shared, so that a long argument becomes a value without a copy.
    Bytes {
        /// The bytes.
        bytes: Rc<Vec<u8>>,
        /// Whether the string was changed in place, which `OBJECT ENCODING` tells however short it is.
        raw: bool,
    },
}

impl Str {
    /// The number that these bytes are kept as, if they are kept as one.
    #[inline]
    pub fn as_int(bytes: &[u8]) -> Option<i64> {
        if bytes.len() > 20 { None } else { numbers::parse_i64(bytes) }
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Str {
        match Str::as_int(&bytes) {
            Some(number) => Str::Int(number),
            None => Str::Bytes { bytes: Rc::new(bytes), raw: false },
        }
    }
}
