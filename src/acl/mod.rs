//! Who may do what: users, their rules, and the verdict on a command (= acl.c without its commands).
//!
//! A user has a root selector and perhaps more; a command is allowed if one of them allows it: the command itself, its
//! keys and its channels. Rules change a selector one at a time, and a selector can be written down again as rules.
//! What the commands are called and which categories they are in comes through [`Catalogue`], so that nothing about a
//! command is written twice.
//!
//! Deliberately absent: the commands, files and connections of users; those are the server's.

pub mod log;
mod selector;
#[cfg(test)]
mod tests;
mod user;
mod users;

pub use selector::{Asked, Denied, Selector};
pub use user::User;
pub use users::{DEFAULT, UserId, Users, merge_selectors};

use std::fmt;

/// What rules must know of the commands. They go by the names of their rows, whatever `rename-command` says.
pub trait Catalogue {
    /// How many there are, containers and subcommands included.
    fn count(&self) -> usize;
    /// The one with this full name, such as `get` or `config|get`, in any case.
    fn find(&self, full_name: &[u8]) -> Option<usize>;
    /// Its categories, as bits of `commands::command::category`.
    fn categories(&self, index: usize) -> u32;
    /// Its subcommands.
    fn subcommands(&self, index: usize) -> &[usize];
    /// Whether it is a subcommand.
    fn is_subcommand(&self, index: usize) -> bool;
}

/// The catalogue of who does not know the commands yet.
pub struct NoCommands;

impl Catalogue for NoCommands {
    fn count(&self) -> usize {
        0
    }

    fn find(&self, _full_name: &[u8]) -> Option<usize> {
        None
    }

    fn categories(&self, _index: usize) -> u32 {
        0
    }

    fn subcommands(&self, _index: usize) -> &[usize] {
        &[]
    }

    fn is_subcommand(&self, _index: usize) -> bool {
        false
    }
}

/// Why a rule is refused. Displays as users know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No rule at all.
    Syntax,
    /// No such command, subcommand or category.
    Unknown,
    /// A key pattern after `~*`.
    AfterAllKeys,
    /// A channel pattern after `&*`.
    AfterAllChannels,
    /// A password to take away that is not there.
    NoSuchPassword,
    /// No SHA-256 in lower-case hexadecimal digits.
    BadHash,
    /// `+command|subcommand|argument`.
    ArgumentOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::ArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}
