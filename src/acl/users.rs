//! All users, by name, and how many of them are made at once: from the lines of a file.

use super::{Catalogue, RuleError, User};
use std::collections::BTreeMap;

/// Names a user as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId(u32);

/// Whom a connection begins as.
pub const DEFAULT: UserId = UserId(0);

const DEFAULT_NAME: &[u8] = b"default";

/// The users. The default one is always there.
#[derive(Clone, Debug)]
pub struct Users {
    list: Vec<Option<User>>,
    by_name: BTreeMap<Vec<u8>, UserId>,
}

impl Users {
    /// Only the default user, who may do everything.
    pub fn new(catalogue: &dyn Catalogue) -> Self {
        let by_name = BTreeMap::from([(DEFAULT_NAME.to_vec(), DEFAULT)]);
        Users { list: vec![Some(User::everything(catalogue))], by_name }
    }

    /// The one of this name.
    pub fn by_name(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// A user. One that is gone is no more than nobody.
    pub fn get(&self, id: UserId) -> Option<&User> {
        self.list.get(id.0 as usize)?.as_ref()
    }

    /// The default user.
    pub fn default_user(&self) -> &User {
        self.list[0].as_ref().expect("the default user is never removed")
    }

    /// The default user, to change.
    pub fn default_user_mut(&mut self) -> &mut User {
        self.list[0].as_mut().expect("the default user is never removed")
    }

    /// All of them by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &User)> {
        let user = |id: &UserId| self.list[id.0 as usize].as_ref().expect("names lead to users");
        self.by_name.iter().map(move |(name, id)| (&name[..], user(id)))
    }

    /// Puts a user in the place of the one of its name, or beside the others.
    pub fn put(&mut self, user: User) -> UserId {
        if let Some(id) = self.by_name(user.name()) {
            self.list[id.0 as usize] = Some(user);
            return id;
        }
        let free = self.list.iter().position(Option::is_none).unwrap_or(self.list.len());
        let id = UserId(free as u32);
        self.by_name.insert(user.name().to_vec(), id);
        match self.list.get_mut(free) {
            Some(place) => *place = Some(user),
            None => self.list.push(Some(user)),
        }
        id
    }

    /// Takes a user out. The default one stays.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        let id = self.by_name(name).filter(|id| *id != DEFAULT)?;
        self.by_name.remove(name);
        self.list[id.0 as usize] = None;
        Some(id)
    }

    /// The lines of a file that holds these users.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.iter().map(|(name, user)| [b"user ", name, b" ", &user.describe()].concat()).collect()
    }

    /// The users that a file's lines make; the complaints if one of them is bad (= ACLLoadFromFile).
    pub fn parse(text: &[u8], path: &str, catalogue: &dyn Catalogue, all_channels: bool) -> Result<Self, String> {
        let mut users = Users::new(catalogue);
        let mut complaints = String::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let line = trim(line);
            if line.is_empty() {
                continue;
            }
            let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let [b"user", name, rules @ ..] = &words[..] else {
                complaints += &format!("{path}:{number} should start with user keyword followed by the username. ");
                continue;
            };
            if seen.contains(name) {
                let name = String::from_utf8_lossy(name);
                complaints += &format!("WARNING: Duplicate user '{name}' found on line {number}. ");
                continue;
            }
            seen.push(name);
            let Ok(rules) = merge_selectors(rules) else {
                complaints += &format!("{path}:{number}: Unmatched parenthesis in selector definition.");
                continue;
            };
            let mut user = User::new(name, all_channels);
            let place = format!("{path}:{number}");
            complaints += &apply_all(&mut user, &rules, &place, catalogue, all_channels);
            if complaints.is_empty() {
                users.put(user);
            }
        }
        if complaints.is_empty() {
            return Ok(users);
        }
        Err(complaints + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
    }
}

/// Applies the rules of a line. Each unknown command is complained about, of other mistakes only the first.
fn apply_all(user: &mut User, rules: &[Vec<u8>], place: &str, catalogue: &dyn Catalogue, all_channels: bool) -> String {
    let (mut complaints, mut is_spoilt) = (String::new(), false);
    for rule in rules {
        match user.apply(rule, catalogue, all_channels) {
            Ok(()) => {}
            Err(RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(rule);
                complaints += &format!("{place}: Error in applying operation '{rule}': {}. ", RuleError::Unknown);
            }
            Err(error) if !is_spoilt => {
                complaints += &format!("{place}: {error}. ");
                is_spoilt = true;
            }
            Err(_) => {}
        }
    }
    complaints
}

fn trim(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| b" \t\r\n".contains(byte);
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
    &line[start..end]
}

/// Puts the words of each selector together, from the one with `(` at its start to the one with `)` at its end. If a
/// selector does not end, the place where it begins. As in stock, one that begins before another has ended takes its
/// place.
pub fn merge_selectors<W: AsRef<[u8]>>(words: &[W]) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open = None;
    for (at, word) in words.iter().enumerate() {
        let word = word.as_ref();
        let begins = word.starts_with(b"(");
        match (open, merged.last_mut()) {
            (Some(_), Some(selector)) if begins && !word.ends_with(b")") => {
                *selector = word.to_vec();
                open = Some(at);
            }
            (Some(_), Some(selector)) => {
                selector.push(b' ');
                // A C string to stock, which ends at a zero byte.
                selector.extend(word.iter().take_while(|byte| **byte != 0));
            }
            _ => {
                merged.push(word.to_vec());
                open = begins.then_some(at);
            }
        }
        if word.ends_with(b")") {
            open = None;
        }
    }
    match open {
        Some(at) => Err(at),
        None => Ok(merged),
    }
}
