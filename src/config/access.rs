//! Reading and changing settings by name: what `CONFIG GET`, `CONFIG SET` and every line of a file come down to.
//!
//! Ancestor: `configGetCommand`, `configSetCommand` and the `xxxConfigSet/Get` functions of `config.c`.
//! `set` is atomic: it changes a copy, and the copy becomes the configuration only when every pair was good.

use std::fmt;

use super::parse::{bool_word, format_memory, parse_bool, parse_integer, parse_memory, quote};
use super::special::{plain_name, spread};
use super::table::{self, DIRECTIVES, Directive, Kind, Shape};
use super::{Access, Config};
use crate::base::glob;

/// What a `CONFIG SET` changed.
#[derive(Debug)]
pub struct Applied {
    /// Main names of the directives whose value is another one now, in the order given.
    pub changed: Vec<&'static str>,
    /// The configuration as it was, to put back when the server cannot follow.
    pub before: Box<Config>,
}

/// Why a `CONFIG SET` was refused; displays as the error reply, without the dash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    Unknown(Vec<u8>),
    Failed { argument: String, reason: String },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let shown = name.split(|&byte| byte == 0).next().unwrap_or_default();
                let name = String::from_utf8_lossy(shown);
                write!(out, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Failed { argument, reason } => {
                write!(out, "ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
            }
        }
    }
}

impl ConfigError {
    /// The error of a directive that was understood but could not be carried out, for the server's own refusals.
    pub fn failed(argument: &str, reason: impl Into<String>) -> Self {
        Self::Failed { argument: argument.to_string(), reason: reason.into() }
    }
}

impl Config {
    /// Names and values of the directives that match any of `patterns`. Aliases match too, under their own name. A
    /// name asked for exactly is answered in the spelling of the question, and even if hidden.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut out = Vec::new();
        for row in DIRECTIVES {
            for name in row.spellings() {
                let spelled = patterns.iter().find_map(|pattern| {
                    if pattern.eq_ignore_ascii_case(name.as_bytes()) {
                        return Some(pattern.to_vec());
                    }
                    let visible = !row.has(table::HIDDEN);
                    let matches = visible && glob::matches(pattern, name.as_bytes(), true);
                    matches.then(|| name.as_bytes().to_vec())
                });
                out.extend(spelled.map(|name| (name, self.show(row))));
            }
        }
        out
    }

    /// Changes several settings, or none. `local` says whether the caller is on this machine (it decides about
    /// protected directives when `enable-protected-configs` is `local`).
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<Applied, ConfigError> {
        let rows = self.permitted_rows(pairs, local)?;
        let mut next = self.clone();
        for ((row, spelling), (_, value)) in rows.iter().zip(pairs) {
            let result = next.assign(row, &[value]);
            result.map_err(|reason| ConfigError::failed(spelling, reason))?;
        }
        let mut changed: Vec<&'static str> = Vec::new();
        for (row, _) in rows {
            if self.show(row) != next.show(row) && !changed.contains(&row.name) {
                changed.push(row.name);
            }
        }
        let before = Box::new(std::mem::replace(self, next));
        Ok(Applied { changed, before })
    }

    /// The rows of `pairs`, each known, named once, and open to change.
    fn permitted_rows(
        &self,
        pairs: &[(&[u8], &[u8])],
        local: bool,
    ) -> Result<Vec<(&'static Directive, &'static str)>, ConfigError> {
        let mut rows: Vec<(&'static Directive, &'static str)> = Vec::new();
        for (name, _) in pairs {
            let (row, spelling) = table::find(name).ok_or_else(|| ConfigError::Unknown(name.to_vec()))?;
            let typed = String::from_utf8_lossy(name);
            if row.has(table::IMMUTABLE) {
                return Err(ConfigError::failed(&typed, "can't set immutable config"));
            }
            if row.has(table::PROTECTED) && !self.enable_protected_configs.permits(local) {
                return Err(ConfigError::failed(&typed, "can't set protected config"));
            }
            if rows.iter().any(|(_, seen)| *seen == spelling) {
                return Err(ConfigError::failed(&typed, "duplicate parameter"));
            }
            rows.push((row, spelling));
        }
        Ok(rows)
    }

    /// Directives without effect here that were set to something else than their default, to be said in the log.
    pub fn ineffective(&self) -> Vec<&'static str> {
        let rows = DIRECTIVES.iter().filter_map(|row| match row.kind {
            // The logo is shown by another rule than stock's; how a panic ends is read where it happens.
            Kind::Accepted { .. } if matches!(row.name, "always-show-logo" | "use-exit-on-panic") => None,
            Kind::Accepted { default, .. } => Some((row.name, default)),
            _ => None,
        });
        let set =
            rows.filter(|(name, default)| self.accepted.get(name).is_some_and(|value| value != default.as_bytes()));
        // It is in no table, for it is no setting.
        let modules = self.accepted.contains_key("loadmodule").then_some("loadmodule");
        set.map(|(name, _)| name).chain(modules).collect()
    }

    /// The value as `CONFIG GET` shows it.
    pub(super) fn show(&self, row: &Directive) -> Vec<u8> {
        match &row.kind {
            Kind::Bool { get, .. } => bool_word(get(self)).into(),
            Kind::Integer { get, .. } | Kind::Memory { get, .. } => get(self).to_string().into_bytes(),
            Kind::Text { get, .. } => get(self).unwrap_or_default(),
            Kind::Choice { words, get, .. } => words[get(self)].into(),
            Kind::Special { get, .. } => get(self),
            Kind::Accepted { default, .. } => {
                self.accepted.get(row.name).map_or_else(|| default.as_bytes().to_vec(), Vec::clone)
            }
        }
    }

    /// The arguments of the lines that say the present value in a file; no lines for what a file cannot say.
    pub(super) fn lines(&self, row: &Directive) -> Vec<Vec<u8>> {
        match &row.kind {
            Kind::Memory { get, .. } => vec![format_memory(get(self)).into_bytes()],
            Kind::Text { get, .. } => get(self).iter().map(|text| quote(text)).collect(),
            Kind::Special { lines, .. } => lines(self),
            Kind::Accepted { shape: Shape::Text | Shape::Plain(_) | Shape::HostName, .. } => match self.show(row) {
                text if text.is_empty() => Vec::new(),
                text => vec![quote(&text)],
            },
            Kind::Accepted { shape: Shape::Memory(..), .. } => {
                let text = self.show(row);
                vec![parse_memory(&text).map_or(text, |bytes| format_memory(bytes).into_bytes())]
            }
            _ => vec![self.show(row)],
        }
    }

    /// Gives a directive its value. An error is the reason alone, and leaves the setting as it was.
    pub(super) fn assign(&mut self, row: &'static Directive, args: &[&[u8]]) -> Result<(), String> {
        if let Kind::Special { set, .. } = row.kind {
            if row.has(table::MULTI) {
                return set(self, &spread(args));
            }
            return set(self, args);
        }
        let [text] = args else { return Err("wrong number of arguments".to_string()) };
        match &row.kind {
            Kind::Bool { set, .. } => set(self, check_bool(text)?),
            Kind::Integer { min, max, set, .. } => set(self, check_integer(text, *min, *max)?),
            Kind::Memory { min, max, set, .. } => set(self, check_memory(text, *min, *max)?),
            Kind::Choice { words, set, .. } => set(self, check_choice(text, words)?),
            Kind::Text { set, check, .. } => {
                check(text)?;
                set(self, text);
            }
            Kind::Accepted { shape, .. } => {
                let value = check_shape(row.name, shape, text)?;
                self.accepted.insert(row.name, value);
            }
            Kind::Special { .. } => unreachable!("handled above"),
        }
        Ok(())
    }
}

impl Access {
    /// Whether a caller may pass.
    pub fn permits(self, local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => local,
        }
    }
}

fn check_bool(text: &[u8]) -> Result<bool, String> {
    parse_bool(text).ok_or_else(|| "argument must be 'yes' or 'no'".to_string())
}

fn check_integer(text: &[u8], min: i128, max: i128) -> Result<i128, String> {
    let number = parse_integer(text);
    within(number.ok_or_else(|| "argument couldn't be parsed into an integer".to_string())?, min, max)
}

fn check_memory(text: &[u8], min: i128, max: i128) -> Result<i128, String> {
    let bytes = parse_memory(text);
    within(bytes.ok_or_else(|| "argument must be a memory value".to_string())?, min, max)
}

fn within(number: i128, min: i128, max: i128) -> Result<i128, String> {
    match (min..=max).contains(&number) {
        true => Ok(number),
        false => Err(format!("argument must be between {min} and {max} inclusive")),
    }
}

fn check_choice(text: &[u8], words: &[&str]) -> Result<usize, String> {
    let index = words.iter().position(|word| word.as_bytes().eq_ignore_ascii_case(text));
    index.ok_or_else(|| format!("argument(s) must be one of the following: {}", words.join(", ")))
}

/// The value to keep for a directive without effect, in the form in which stock would show it.
fn check_shape(name: &str, shape: &Shape, text: &[u8]) -> Result<Vec<u8>, String> {
    Ok(match *shape {
        Shape::Bool => bool_word(check_bool(text)?).into(),
        Shape::Integer(min, max) => check_integer(text, min, max)?.to_string().into_bytes(),
        Shape::Memory(min, max) => check_memory(text, min, max)?.to_string().into_bytes(),
        Shape::Choice(words) => words[check_choice(text, words)?].into(),
        Shape::Text => text.to_vec(),
        Shape::HostName => {
            if text.len() >= 256 {
                return Err("Hostnames must be less than 256 characters".into());
            }
            if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)) {
                return Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into());
            }
            text.to_vec()
        }
        Shape::Plain(what) => {
            if text.is_empty() {
                return Err(format!("{name} can't be empty"));
            }
            plain_name(name, what, text)?;
            text.to_vec()
        }
    })
}
