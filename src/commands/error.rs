//! The errors that commands answer, with the words that clients know.

use crate::keyspace::WrongType;
use crate::resp::request::Argv;
use std::borrow::Cow;

/// An error reply: its code and its text. Bytes, for it may quote what a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(pub Cow<'static, [u8]>);

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: CommandError = CommandError(Cow::Borrowed($text.as_bytes()));)*
    };
}

errors! {
    /// The key holds a value of another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Arguments that make no sense together.
    SYNTAX = "ERR syntax error";
    /// A command that would take memory where there is none.
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    /// Not a 64-bit signed integer in canonical spelling.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// Not a double.
    NOT_FLOAT = "ERR value is not a valid float";
    /// No value at a key that must have one.
    NO_SUCH_KEY = "ERR no such key";
    /// A count or an index that does not fit.
    OUT_OF_RANGE = "ERR index out of range";
    /// A value that must not be below 0.
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    /// A cursor that is no number.
    INVALID_CURSOR = "ERR invalid cursor";
    /// A database number that does not exist.
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
}

impl CommandError {
    /// An error with this text, which begins with its code.
    pub fn new(text: impl Into<String>) -> Self {
        CommandError(Cow::Owned(text.into().into_bytes()))
    }

    /// An error that quotes bytes of a client.
    pub fn bytes(text: Vec<u8>) -> Self {
        CommandError(Cow::Owned(text))
    }

    /// An error that quotes what a client sent, as far as C would print it.
    pub fn quoting(before: &str, sent: &[u8], after: &str) -> Self {
        CommandError::bytes([before.as_bytes(), c_string(sent), after.as_bytes()].concat())
    }

    /// The complaint about the number of arguments. `name` is the full one, such as `config|get`.
    pub fn wrong_arity(name: &str) -> Self {
        CommandError::new(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The complaint about words that no subcommand of a container takes.
    pub fn bad_subcommand(argv: Argv<'_>, container: &str) -> Self {
        let asked = c_string_up_to(argv.at(1), 128);
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        CommandError::quoting(before, asked, &format!("'. Try {container} HELP."))
    }

    /// The complaint about an expiry that does not fit.
    pub fn invalid_expire(name: &str) -> Self {
        CommandError::new(format!("ERR invalid expire time in '{name}' command"))
    }
}

/// What C takes for the string when it is handed these bytes: what stands before the first zero byte.
pub fn c_string(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// A C string of which at most `max` bytes are shown.
pub fn c_string_up_to(bytes: &[u8], max: usize) -> &[u8] {
    let shown = c_string(bytes);
    &shown[..shown.len().min(max)]
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> Self {
        WRONG_TYPE
    }
}
