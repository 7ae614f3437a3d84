//! A user: a name, passwords, switches, and selectors, of which the first is the root.

use super::{Asked, Catalogue, Denied, RuleError, Selector};
use crate::base::sha256::sha256_hex;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Vec<u8>,
    on: bool,
    nopass: bool,
    /// Only told: what comes packed is always looked at closely here.
    skips_sanitizing: bool,
    /// SHA-256 in hexadecimal digits.
    passwords: Vec<[u8; 64]>,
    /// The root first.
    selectors: Vec<Selector>,
}

impl User {
    /// A user that may not even log in.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        User {
            name: name.to_vec(),
            on: false,
            nopass: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The default user as it is where nobody says otherwise: it may do everything and needs no password.
    pub fn everything(catalogue: &dyn Catalogue) -> Self {
        let selectors = vec![Selector::everything(catalogue)];
        User { on: true, nopass: true, selectors, ..User::new(b"default", true) }
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether one can log in as this user.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// The SHA-256 of its passwords, in hexadecimal digits.
    pub fn passwords(&self) -> &[[u8; 64]] {
        &self.passwords
    }

    /// The root selector.
    pub fn root(&self) -> &Selector {
        &self.selectors[0]
    }

    /// The other selectors.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors[1..]
    }

    /// Whether it may do everything.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// Its only password is this one, or none is needed (= ACLUpdateDefaultUserPassword).
    pub fn set_only_password(&mut self, password: Option<&[u8]>) {
        self.passwords = password.into_iter().map(sha256_hex).collect();
        self.nopass = password.is_none();
    }

    /// Whether one may log in as this user with this password.
    pub fn accepts(&self, password: &[u8]) -> bool {
        if !self.on {
            return false;
        }
        if self.nopass {
            return true;
        }
        let hash = sha256_hex(password);
        // Comparing every byte whatever the outcome tells nothing by the time it takes.
        let same = |known: &[u8; 64]| known.iter().zip(&hash).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0;
        self.passwords.iter().fold(false, |found, known| found | same(known))
    }

    /// Applies one rule (= ACLSetUser).
    pub fn apply(&mut self, rule: &[u8], catalogue: &dyn Catalogue, all_channels: bool) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("on") => self.on = true,
            _ if is("off") => self.on = false,
            _ if is("nopass") => {
                self.nopass = true;
                self.passwords.clear();
            }
            _ if is("skip-sanitize-payload") => self.skips_sanitizing = true,
            _ if is("sanitize-payload") => self.skips_sanitizing = false,
            _ if is("resetpass") => {
                self.nopass = false;
                self.passwords.clear();
            }
            [b'>', password @ ..] => self.add_password(sha256_hex(password)),
            [b'#', hash @ ..] => self.add_password(checked_hash(hash)?),
            [b'<', password @ ..] => self.remove_password(&sha256_hex(password))?,
            [b'!', hash @ ..] => self.remove_password(&checked_hash(hash)?)?,
            [b'(', inner @ .., b')'] => {
                let mut selector = Selector::new(all_channels);
                for rule in split_rules(inner) {
                    selector.apply(&rule, catalogue)?;
                }
                self.selectors.push(selector);
            }
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => *self = User::new(&self.name, all_channels),
            _ => self.selectors[0].apply(rule, catalogue)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: [u8; 64]) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, hash: &[u8; 64]) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|known| known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(place);
        Ok(())
    }

    /// Whether a command may run; if no selector allows it, what the one denied it for that came nearest.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let mut worst = Denied::Command;
        for selector in &self.selectors {
            match selector.check(asked) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether a command may run that reads keys which nobody can tell beforehand.
    pub fn reads_any_key(&self, asked: &Asked<'_>) -> bool {
        self.selectors.iter().any(|selector| selector.reads_any_key(asked))
    }

    /// Whether a subscription may stand.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| selector.allows_channel(name, is_pattern))
    }

    /// The switches, by the names of their rules.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.on { "on" } else { "off" }];
        if self.nopass {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// The rules that make such a user of a new one.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.flags().join(" ").into_bytes();
        for hash in &self.passwords {
            text.extend_from_slice(b" #");
            text.extend_from_slice(hash);
        }
        text.push(b' ');
        text.extend_from_slice(&self.root().describe());
        for selector in self.selectors() {
            text.extend_from_slice(b" (");
            text.extend_from_slice(&selector.describe());
            text.push(b')');
        }
        text
    }
}

/// The rules of a selector: words, with quotes as in a configuration file. Quotes that do not balance leave none.
fn split_rules(text: &[u8]) -> Vec<Vec<u8>> {
    crate::config::split_args(text).unwrap_or_default()
}

fn checked_hash(hash: &[u8]) -> Result<[u8; 64], RuleError> {
    let fits = hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hash.try_into().ok().filter(|_| fits).ok_or(RuleError::BadHash)
}
