//! Why a snapshot could not be read: what, at which byte, while reading which key.
//! The texts that operators grep for are those of rdb.c.

use std::fmt;

/// What was wrong, apart from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The first bytes are neither `REDIS` nor `VALKEY` and digits.
    WrongSignature,
    /// A version this build has no facts about.
    Version(u32),
    /// A value type this build cannot hold: its number and, where known, its name.
    Type {
        id: u8,
        name: &'static str,
    },
    /// An opcode this build does not know.
    Opcode(u8),
    /// Data a module left beside the keys; its name.
    /// A value of a module's own type.
    ModuleType(String),
    ModuleAux(String),
    /// Opcode 246: functions as release candidates of 7.0 wrote them.
    PreReleaseFunctions,
    /// Contents that contradict themselves.
    Corrupt(&'static str),
    /// The footer does not match the bytes.
    Checksum {
        computed: u64,
        stored: u64,
    },
    /// The bytes ended before the end opcode and footer.
    Truncated,
    /// The sink did not want what was found.
    Refused(String),
}

/// An error of the loader. The load cannot go on after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdbError {
    pub kind: ErrorKind,
    /// Where the step that failed began, in bytes from the start of the snapshot.
    pub offset: u64,
    /// The key whose value was being read, if any.
    pub key: Option<Vec<u8>>,
}

impl RdbError {
    /// What a sink returns; the loader adds the place.
    pub fn refused(why: impl Into<String>) -> Self {
        ErrorKind::Refused(why.into()).into()
    }
}

impl From<ErrorKind> for RdbError {
    fn from(kind: ErrorKind) -> Self {
        RdbError { kind, offset: 0, key: None }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSignature => f.write_str("Wrong signature trying to load DB from file"),
            Self::Version(version) => write!(f, "Can't handle RDB format version {version}"),
            Self::Type { id, name } => write!(f, "Can't load values of RDB type {id} ({name})"),
            Self::Opcode(code) => write!(f, "Unknown RDB type or opcode {code}"),
            Self::ModuleType(name) => {
                write!(f, "The RDB file contains module data I can't load: no matching module type '{name}'")
            }
            Self::ModuleAux(name) => {
                write!(f, "The RDB file contains AUX module data I can't load: no matching module '{name}'")
            }
            Self::PreReleaseFunctions => f.write_str("Pre-release function format not supported"),
            Self::Corrupt(what) => write!(f, "Corrupt RDB: {what}"),
            Self::Checksum { computed, stored } => {
                write!(f, "Wrong RDB checksum expected: ({computed:x}) but got ({stored:x})")
            }
            Self::Truncated => f.write_str("Short read or OOM loading DB: unexpected end of RDB"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        // A sink that refuses says itself what it means.
        let key = self.key.as_ref().filter(|_| !matches!(self.kind, ErrorKind::Refused(_)));
        if let Some(key) = key {
            const SHOWN: usize = 128;
            write!(f, ", key '{}'", key[..key.len().min(SHOWN)].escape_ascii())?;
            if key.len() > SHOWN {
                f.write_str("...")?;
            }
        }
        match self.kind {
            ErrorKind::WrongSignature | ErrorKind::Version(_) | ErrorKind::Checksum { .. } => Ok(()),
            _ => write!(f, ", at offset {}", self.offset),
        }
    }
}

impl std::error::Error for RdbError {}
