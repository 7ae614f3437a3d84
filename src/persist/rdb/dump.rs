//! One value as bytes, for `DUMP` and `RESTORE`, and libraries, for `FUNCTION DUMP` and `RESTORE`.
//! Ancestor: createDumpPayload and verifyDumpPayload of cluster.c.
//!
//! ```text
//! type value            | version:u16 | crc64 of all before it:u64         little endian, no magic
//! { FUNCTION2 library } | version:u16 | crc64
//! ```
//!
//! Without a magic the family of the writer shows only in its version: 80 and above is Valkey.

use std::borrow::Cow;
use std::fmt;

use crate::base::crc64::crc64;
use crate::types::{CollectionLimits, Value, ValueRef};

use super::format::{self, Family, array_at, opcode};
use super::object::{ObjectReader, Progress};
use super::save::{SaveOptions, Saver};
use super::strings::{Input, StringReader};
use super::target::Target;

const FOOTER_SIZE: usize = 10;

/// Why a payload was not restored; shown as the error replies of `RESTORE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    VersionOrChecksum,
    BadData,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DumpError::VersionOrChecksum => "ERR DUMP payload version or checksum are wrong",
            DumpError::BadData => "ERR Bad data format",
        })
    }
}

impl std::error::Error for DumpError {}

/// The payload of a value, in the encodings of the lowest version that can say it.
pub fn dump_payload(value: ValueRef<'_>, compress: bool) -> Vec<u8> {
    dump_payload_for(value, compress, Target::lowest_for(value))
}

/// The payload of a value for a reader, without what that cannot hold; the reader must know its type.
pub fn dump_payload_for(value: ValueRef<'_>, compress: bool, target: Target) -> Vec<u8> {
    let mut payload = Saver::new(Vec::new(), SaveOptions { compress, checksum: false, target })
        .bare_value(value)
        .expect("writing to memory does not fail");
    push_footer(&mut payload, target.version);
    payload
}

/// Puts the payload of a value that nobody has read into place of what `payload` held: its bytes as they stand in a snapshot
/// (`Sink::raw`), and the version that it says it is of.
pub fn raw_payload(payload: &mut Vec<u8>, type_id: u8, value: &[u8], version: u16) {
    payload.clear();
    payload.push(type_id);
    payload.extend_from_slice(value);
    push_footer(payload, version);
}

fn push_footer(payload: &mut Vec<u8>, version: u16) {
    payload.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(0, payload);
    payload.extend_from_slice(&crc.to_le_bytes());
}

/// The payload of libraries.
pub fn dump_functions<'a>(codes: impl Iterator<Item = &'a [u8]>, compress: bool) -> Vec<u8> {
    let mut payload = Saver::new(Vec::new(), SaveOptions { compress, checksum: false, target: Target::OLDEST })
        .bare_functions(codes)
        .expect("writing to memory does not fail");
    push_footer(&mut payload, Target::OLDEST.version);
    payload
}

/// Libraries, and what is wrong behind the last of them, if anything is.
pub type LoadedFunctions = (Vec<Vec<u8>>, Option<&'static str>);

/// The libraries of a payload.
pub fn load_functions(payload: &[u8]) -> Result<LoadedFunctions, DumpError> {
    let (_, body) = verify(payload).ok_or(DumpError::VersionOrChecksum)?;
    let (mut input, mut codes) = (Input::new(body), Vec::new());
    while let Some(code) = input.byte() {
        match code {
            opcode::FUNCTION2 => {}
            opcode::FUNCTION_PRE_GA => return Ok((codes, Some("Pre-GA function format not supported"))),
            _ => return Ok((codes, Some("given type is not a function"))),
        }
        let mut scratch = itoa::Buffer::new();
        match StringReader::default().read(&mut input) {
            Ok(Some(string)) => codes.push(string.bytes(&mut scratch).to_vec()),
            _ => return Ok((codes, Some("Failed loading library payload"))),
        }
    }
    Ok((codes, None))
}

/// The value of a payload, from any server whose version is known.
pub fn load_dump_payload(payload: &[u8], limits: &CollectionLimits) -> Result<Value, DumpError> {
    let (family, body) = verify(payload).ok_or(DumpError::VersionOrChecksum)?;
    let mut input = Input::new(body);
    let id = input.byte().ok_or(DumpError::BadData)?;
    let layout = format::layout_of(id, family).map_err(|_| DumpError::BadData)?;
    match ObjectReader::new(layout).step(&mut input, limits) {
        Ok(Progress::Done(Some(value))) if input.at() == body.len() => Ok(value),
        _ => Err(DumpError::BadData),
    }
}

/// The payload with the checksum that it should have, if it is long enough to have one.
pub fn with_right_checksum(payload: &[u8]) -> Cow<'_, [u8]> {
    match payload.len().checked_sub(size_of::<u64>()) {
        Some(len) => Cow::Owned([&payload[..len], &crc64(0, &payload[..len]).to_le_bytes()].concat()),
        None => Cow::Borrowed(payload),
    }
}

/// The family and the part before the footer, if the footer is right.
fn verify(payload: &[u8]) -> Option<(Family, &[u8])> {
    let body_size = payload.len().checked_sub(FOOTER_SIZE)?;
    let version = u32::from(u16::from_le_bytes(array_at(payload, body_size)?));
    let crc = u64::from_le_bytes(array_at(payload, body_size + 2)?);
    let family = match version {
        0..=format::VERSION_NEWEST_REDIS => Family::Redis,
        version if format::VERSIONS_VALKEY.contains(&version) => Family::Valkey,
        _ => return None,
    };
    (crc64(0, &payload[..body_size + 2]) == crc).then_some((family, &payload[..body_size]))
}
