//! A selector: which commands, with which keys and which channels. One that allows nothing is the beginning; each rule
//! changes it.
//!
//! It keeps both what follows from its rules (a bit for each command) and the rules themselves, so that it is written
//! down again as it was meant: in order, without those that a later one has made void.

use super::{Catalogue, RuleError};
use crate::base::glob;
use crate::commands::command::{category, flag, key};
use crate::commands::keys_of::{Described, each_key};
use crate::resp::request::Argv;

/// A command that somebody wants to run.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its place in the catalogue.
    pub index: usize,
    /// What its row says.
    pub command: Described<'a>,
    /// Whether it is a subcommand.
    pub is_subcommand: bool,
    /// Its arguments, name included.
    pub argv: Argv<'a>,
}

/// What a command is denied for. The later in this list, and the later in the arguments, the nearer it came to being
/// allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command itself.
    Command,
    /// The key at this place.
    Key(usize),
    /// The channel at this place.
    Channel(usize),
}

const READ: u8 = 1;
const WRITE: u8 = 2;

/// Keys that may be read, written or both.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    access: u8,
    pattern: Vec<u8>,
}

/// Which commands, keys and channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// A bit for each command of the catalogue.
    allowed: Vec<u64>,
    all_commands: bool,
    /// Whether the rules begin with `+@all`, rather than with `-@all`.
    from_all: bool,
    /// What follows it, in lower case.
    rules: Vec<Vec<u8>>,
    /// Commands that are not allowed as such, with the first arguments that they are allowed with.
    first_arguments: Vec<(usize, Vec<Vec<u8>>)>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Vec<u8>>,
}

/// Which arguments of a command are channels; `true` where they are patterns.
fn channels_of(name: &str) -> Option<(bool, bool)> {
    match name {
        "subscribe" | "ssubscribe" => Some((true, false)),
        "psubscribe" => Some((true, true)),
        "publish" | "spublish" => Some((false, false)),
        _ => None,
    }
}

fn has_blank(text: &[u8]) -> bool {
    text.iter().any(|&byte| byte.is_ascii_whitespace() || byte == 0x0b || byte == 0)
}

impl Selector {
    /// One that allows nothing, or all channels where `acl-pubsub-default` says so.
    pub fn new(all_channels: bool) -> Self {
        Selector { all_channels, ..Selector::default() }
    }

    /// One that allows everything.
    pub fn everything(catalogue: &dyn Catalogue) -> Self {
        let mut selector = Selector { all_keys: true, all_channels: true, ..Selector::default() };
        selector.set_all_commands(catalogue, true);
        selector
    }

    /// Whether it allows everything.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8], catalogue: &dyn Catalogue) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || rule == b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || rule == b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.set_all_commands(catalogue, true),
            _ if is("nocommands") || is("-@all") => self.set_all_commands(catalogue, false),
            [b'~', pattern @ ..] => self.add_keys(READ | WRITE, pattern)?,
            [b'%', rest @ ..] => self.add_keys_with_access(rest)?,
            [b'&', pattern @ ..] => self.add_channel(pattern)?,
            [sign @ (b'+' | b'-'), b'@', name @ ..] => self.set_category(catalogue, name, *sign == b'+')?,
            [b'+', name @ ..] => self.allow(catalogue, name)?,
            [b'-', name @ ..] => {
                let index = catalogue.find(name).ok_or(RuleError::Unknown)?;
                self.set_command(catalogue, index, false);
                self.note_rule(b'-', name);
            }
            // Stock takes an empty rule for none.
            [] => {}
            _ => return Err(RuleError::Syntax),
        }
        self.all_commands = (0..catalogue.count()).all(|index| self.allows(index));
        Ok(())
    }

    fn add_keys(&mut self, access: u8, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        if has_blank(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access |= access,
            None => self.keys.push(KeyPattern { access, pattern: pattern.to_vec() }),
        }
        Ok(())
    }

    /// `R~pattern`, `W~pattern`, `RW~pattern`.
    fn add_keys_with_access(&mut self, rest: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        let mut access = 0;
        for (at, byte) in rest.iter().enumerate() {
            let one = match byte.to_ascii_uppercase() {
                b'R' => READ,
                b'W' => WRITE,
                b'~' if access != 0 => return self.add_keys(access, &rest[at + 1..]),
                _ => return Err(RuleError::Syntax),
            };
            if access & one != 0 {
                return Err(RuleError::Syntax);
            }
            access |= one;
        }
        Err(RuleError::Syntax)
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_blank(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    fn set_all_commands(&mut self, catalogue: &dyn Catalogue, allow: bool) {
        let words = catalogue.count().div_ceil(64);
        self.allowed = vec![if allow { u64::MAX } else { 0 }; words];
        self.all_commands = allow;
        self.from_all = allow;
        self.rules.clear();
        self.first_arguments.clear();
    }

    fn set_category(&mut self, catalogue: &dyn Catalogue, name: &[u8], allow: bool) -> Result<(), RuleError> {
        let bit = category::NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        let bit = bit.ok_or(RuleError::Unknown)?;
        let matching = (0..catalogue.count()).filter(|&index| catalogue.categories(index) & 1 << bit != 0);
        matching.for_each(|index| self.set_command(catalogue, index, allow));
        self.note_rule(if allow { b'+' } else { b'-' }, &[b"@", name].concat());
        Ok(())
    }

    /// `+name`, where `name` may end in the one first argument that is allowed.
    fn allow(&mut self, catalogue: &dyn Catalogue, name: &[u8]) -> Result<(), RuleError> {
        if let Some(index) = catalogue.find(name) {
            self.set_command(catalogue, index, true);
        } else {
            let bar = name.iter().rposition(|&byte| byte == b'|').ok_or(RuleError::Unknown)?;
            let (command, argument) = (&name[..bar], &name[bar + 1..]);
            let index = catalogue.find(command).ok_or(RuleError::Unknown)?;
            if catalogue.is_subcommand(index) {
                return Err(RuleError::ArgumentOfSubcommand);
            }
            // A blank could not be read back: the rules are written with blanks between them.
            if argument.is_empty() || has_blank(argument) {
                return Err(RuleError::Syntax);
            }
            if !catalogue.subcommands(index).is_empty() {
                return Err(RuleError::Unknown);
            }
            self.allow_first_argument(index, argument);
        }
        self.note_rule(b'+', name);
        Ok(())
    }

    fn allow_first_argument(&mut self, index: usize, argument: &[u8]) {
        let argument = argument.to_vec();
        match self.first_arguments.iter_mut().find(|(command, _)| *command == index) {
            None => self.first_arguments.push((index, vec![argument])),
            Some((_, known)) if known.iter().any(|one| one.eq_ignore_ascii_case(&argument)) => {}
            Some((_, known)) => known.push(argument),
        }
    }

    /// Allows or forbids a command as a whole, with its subcommands.
    fn set_command(&mut self, catalogue: &dyn Catalogue, index: usize, allow: bool) {
        for &index in [index].iter().chain(catalogue.subcommands(index)) {
            let (word, bit) = (index / 64, 1 << (index % 64));
            if self.allowed.len() <= word {
                self.allowed.resize(word + 1, 0);
            }
            match allow {
                true => self.allowed[word] |= bit,
                false => self.allowed[word] &= !bit,
            }
            self.first_arguments.retain(|(command, _)| *command != index);
        }
    }

    /// Appends a rule about commands, and drops those that it makes void: the ones about the same command or its
    /// subcommands.
    fn note_rule(&mut self, sign: u8, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        self.rules.retain(|rule| match rule[1..].strip_prefix(&name[..]) {
            Some(rest) => !rest.is_empty() && rest[0] != b'|',
            None => true,
        });
        self.rules.push([&[sign], &name[..]].concat());
    }

    fn allows(&self, index: usize) -> bool {
        self.allowed.get(index / 64).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    /// Whether a command may run.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        self.check_command(asked)?;
        if !self.all_keys {
            self.check_keys(asked)?;
        }
        if !self.all_channels && asked.command.flags & flag::PUBSUB != 0 {
            self.check_channels(asked)?;
        }
        Ok(())
    }

    fn check_command(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        // Whoever may log in at all may run what belongs to it.
        if self.allows(asked.index) || asked.command.flags & flag::NO_AUTH != 0 {
            return Ok(());
        }
        let first = asked.argv.get(if asked.is_subcommand { 2 } else { 1 }).ok_or(Denied::Command)?;
        let allowed = self.first_arguments.iter().find(|(command, _)| *command == asked.index);
        match allowed.is_some_and(|(_, allowed)| allowed.iter().any(|one| one.eq_ignore_ascii_case(first))) {
            true => Ok(()),
            false => Err(Denied::Command),
        }
    }

    fn check_keys(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let mut denied = None;
        // Arguments that make no sense name no keys; the command itself will complain.
        let complete = each_key(asked.command, asked.argv, |place, flags| {
            if denied.is_none() && !self.allows_key(asked.argv.at(place), flags) {
                denied = Some(Denied::Key(place));
            }
        });
        match denied {
            Some(denied) if complete.is_ok() => Err(denied),
            _ => Ok(()),
        }
    }

    /// Whether what `flags` say may be done with a key. What only asks whether it is there needs any permission on it.
    fn allows_key(&self, name: &[u8], flags: u32) -> bool {
        let mut needed = 0;
        if flags & key::ACCESS != 0 {
            needed |= READ;
        }
        if flags & (key::INSERT | key::DELETE | key::UPDATE) != 0 {
            needed |= WRITE;
        }
        let fits = |known: &KeyPattern| known.access & needed == needed && glob::matches(&known.pattern, name, false);
        self.all_keys || self.keys.iter().any(fits)
    }

    fn check_channels(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let Some((many, are_patterns)) = channels_of(asked.command.name) else { return Ok(()) };
        let last = if many { asked.argv.len() } else { asked.argv.len().min(2) };
        match (1..last).find(|&place| !self.allows_channel(asked.argv.at(place), are_patterns)) {
            Some(place) => Err(Denied::Channel(place)),
            None => Ok(()),
        }
    }

    /// Whether a channel may be used. A pattern must be one of those allowed, letter by letter.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        let fits = |known: &Vec<u8>| if is_pattern { known == name } else { glob::matches(known, name, false) };
        self.all_channels || self.channels.iter().any(fits)
    }

    /// Whether a command may run that reads keys which nobody can tell beforehand.
    pub fn reads_any_key(&self, asked: &Asked<'_>) -> bool {
        let any = self.all_keys || self.keys.iter().any(|known| known.pattern == b"*" && known.access & READ != 0);
        any && self.check_command(asked).is_ok()
    }

    /// The rules about commands.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut text = if self.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules {
            text.push(b' ');
            text.extend_from_slice(rule);
        }
        text
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let last = self.keys.last();
        let rules = self.keys.iter().map(|known| {
            let head: &[u8] = match known.access {
                READ => b"%R~",
                WRITE => b"%W~",
                // Nothing may follow `~*`; stock writes it even so, and cannot read it back.
                _ if known.pattern == b"*" && last != Some(known) => b"%RW~",
                _ => b"~",
            };
            [head, &known.pattern].concat()
        });
        rules.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|known| [b"&", &known[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// All rules that make such a selector of a new one.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.describe_keys();
        if !text.is_empty() {
            text.push(b' ');
        }
        if !self.all_channels {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend_from_slice(&channels);
            text.push(b' ');
        }
        text.extend_from_slice(&self.describe_commands());
        text
    }
}
