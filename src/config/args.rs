//! From the command line to a configuration: the file, standard input, `--directive value ...`, in this order.
//!
//! Ancestor: the argument loop of `main` and `loadServerConfig(FromString)`. As there, options become lines of text
//! that follow the file's, so that one grammar serves all. Lines are counted as stock counts them.

use super::COMPATIBLE_VERSION;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Config;
use super::parse::{is_space, quote, split_args, words};
use super::special::{path, reason};
use super::table;
use crate::base::glob;

/// Files that include files that include files: past this it is a circle.
const MAX_INCLUDE_DEPTH: u32 = 16;

/// Why the server does not start. Displays as stock says it; the exit status is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    BadLine {
        /// None for standard input and the command line.
        file: Option<PathBuf>,
        line_number: usize,
        line: String,
        reason: String,
    },
    CannotOpen {
        file: PathBuf,
        reason: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLine { file, line_number, line, reason } => {
                writeln!(out, "\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***")?;
                write!(out, "Reading the configuration file, at line {line_number}")?;
                if let Some(file) = file {
                    write!(out, " of {}", file.display())?;
                }
                write!(out, "\n>>> '{line}'\n{reason}")
            }
            Self::CannotOpen { file, reason } => {
                write!(out, "Fatal error, can't open config file '{}': {reason}", file.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Config {
    /// Reads the configuration that `args` (without the program's name) describe: `[file|-] [--name value ...] [-]`.
    /// `check_user` says what is wrong with the words of a `user` line.
    pub fn load(args: &[OsString], stdin: &mut dyn Read, check_user: UserCheck) -> Result<Self, StartError> {
        let mut loader = Loader { check_user: Some(check_user), ..Loader::default() };
        let mut options: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let mut newlines = 0;
        if let Some(file) = options.first().filter(|arg| !arg.starts_with(b"--") && **arg != *b"-") {
            if !file.is_empty() {
                newlines += loader.load_main_file(&path(file))?;
            }
            options.remove(0);
        }
        let dash = |arg: Option<&&[u8]>| arg.is_some_and(|arg| **arg == *b"-");
        if dash(options.first()) || dash(options.last()) {
            let at = if dash(options.first()) { 0 } else { options.len() - 1 };
            options.remove(at);
            newlines += loader.load_stdin(stdin, newlines)?;
        }
        loader.saves_loaded = false;
        loader.load_text(&options_text(&options), None, newlines + 2)?;
        loader.finish()
    }

    /// The configuration that the lines of `text` make of the defaults.
    pub fn parse(text: &[u8]) -> Result<Self, StartError> {
        let mut loader = Loader::default();
        loader.load_text(text, None, 1)?;
        Ok(loader.config)
    }
}

/// The options as lines. A word that starts with `--` opens a line, unless the line before still waits for its first
/// value; `--save` alone needs none, and clears the save points.
fn options_text(options: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut name: &[u8] = b"";
    let mut values = 0;
    for option in options {
        let lone_save = name.eq_ignore_ascii_case(b"save") && values == 0;
        let complete = name.is_empty() || values > 0 || lone_save;
        if *option == b"--sentinel" && complete {
            continue;
        }
        if option.starts_with(b"--") && complete {
            if lone_save {
                text.extend(b" \"\"");
            }
            if !text.is_empty() {
                text.push(b'\n');
            }
            text.extend(&option[2..]);
            let split = words(&option[2..]);
            name = split.first().copied().unwrap_or_default();
            values = split.len().saturating_sub(1);
            continue;
        }
        text.push(b' ');
        text.extend(quote(option));
        values += 1;
    }
    if name.eq_ignore_ascii_case(b"save") && values == 0 {
        text.extend(b" \"\"");
    }
    text
}

/// Says what is wrong with the words of a `user` line, whose rules are not this room's matter.
pub type UserCheck = fn(&[&[u8]]) -> Result<(), String>;

/// A configuration in the making.
#[derive(Default)]
struct Loader {
    config: Config,
    /// Whether a `save` line was seen: the first one replaces what was there, the next ones add.
    saves_loaded: bool,
    depth: u32,
    check_user: Option<UserCheck>,
}

/// Why one line was refused: its own fault, or that of a file it includes.
enum Refusal {
    Reason(String),
    Elsewhere(StartError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl Loader {
    /// Reads the file named on the command line; says how many newlines it has.
    fn load_main_file(&mut self, file: &Path) -> Result<usize, StartError> {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
        let text = read_file(&absolute)?;
        self.load_text(&text, Some(&absolute), 1)?;
        self.config.config_file = Some(absolute);
        Ok(count_newlines(&text))
    }

    fn load_stdin(&mut self, stdin: &mut dyn Read, newlines: usize) -> Result<usize, StartError> {
        let mut text = Vec::new();
        stdin
            .read_to_end(&mut text)
            .map_err(|error| StartError::CannotOpen { file: PathBuf::from("-"), reason: reason(&error) })?;
        self.load_text(&text, None, newlines + 1)?;
        Ok(count_newlines(&text))
    }

    fn load_text(&mut self, text: &[u8], file: Option<&Path>, first_line: usize) -> Result<(), StartError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.load_line(line).map_err(|refusal| match refusal {
                Refusal::Elsewhere(error) => error,
                Refusal::Reason(reason) => StartError::BadLine {
                    file: file.map(Path::to_path_buf),
                    line_number: first_line + index,
                    line: String::from_utf8_lossy(line).into_owned(),
                    reason,
                },
            })?;
        }
        Ok(())
    }

    fn load_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let args = split_args(line).ok_or_else(|| "Unbalanced quotes in configuration line".to_string())?;
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let Some((name, values)) = args.split_first() else {
            return Ok(());
        };
        let Some((row, _)) = table::find(name) else {
            return self.load_unlisted(&name.to_ascii_lowercase(), values);
        };
        if values.is_empty() && !row.has(table::MULTI) {
            return Err("wrong number of arguments".to_string().into());
        }
        if row.name == "save" {
            return Ok(self.load_save(row, values)?);
        }
        Ok(self.config.assign(row, values)?)
    }

    /// Save points add up over lines; an empty one forgets those before it.
    fn load_save(&mut self, row: &'static table::Directive, values: &[&[u8]]) -> Result<(), String> {
        let before = match self.saves_loaded {
            true => self.config.save.clone(),
            false => Vec::new(),
        };
        self.config.assign(row, values)?;
        self.saves_loaded = true;
        if !self.config.save.is_empty() {
            self.config.save.splice(0..0, before);
        }
        Ok(())
    }

    /// The lines that are no settings, and so are in no table.
    fn load_unlisted(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), Refusal> {
        let owned = |values: &[&[u8]]| values.iter().map(|value| value.to_vec()).collect::<Vec<_>>();
        match (name, values) {
            (b"include", [pattern]) => self.include(pattern),
            (b"rename-command", [from, to]) => {
                self.config.rename_command.push((from.to_vec(), to.to_vec()));
                Ok(())
            }
            (b"user", [user, ..]) => {
                if self.config.users.iter().any(|seen| seen[0] == **user) {
                    let user = String::from_utf8_lossy(user);
                    return Err(format!(
                        "Error in user declaration '{user}': Duplicate user found. A user can only be \
                         defined once in config files"
                    )
                    .into());
                }
                self.check_user.map_or(Ok(()), |check| check(values))?;
                self.config.users.push(owned(values));
                Ok(())
            }
            (b"loadmodule", [_, ..]) => {
                self.config.accepted.insert("loadmodule", owned(values).join(&b' '));
                Ok(())
            }
            // Gone since 3.2, but still in files that were carried along.
            (b"list-max-ziplist-entries" | b"list-max-ziplist-value", [_]) => Ok(()),
            (b"sentinel", [_, ..]) => Err("sentinel directive while not in sentinel mode".to_string().into()),
            _ => Err("Bad directive or wrong number of arguments".to_string().into()),
        }
    }

    /// Reads every file that matches. A plain path must exist, a pattern may match nothing.
    fn include(&mut self, pattern: &[u8]) -> Result<(), Refusal> {
        if self.depth >= MAX_INCLUDE_DEPTH {
            return Err("include files nest too deeply".to_string().into());
        }
        self.depth += 1;
        for file in expand(pattern) {
            let text = read_file(&file).map_err(Refusal::Elsewhere)?;
            self.load_text(&text, Some(&file), 1).map_err(Refusal::Elsewhere)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Config, StartError> {
        if let Ok(directory) = self.config.dir.canonicalize() {
            self.config.dir = directory;
        }
        Ok(self.config)
    }
}

fn read_file(file: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(file).map_err(|error| StartError::CannotOpen { file: file.to_path_buf(), reason: reason(&error) })
}

fn count_newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

pub(super) fn trim(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_space(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|&byte| !is_space(byte)).map_or(start, |at| at + 1);
    &line[start..end]
}

/// The files that a path with wildcards in any of its parts stands for, sorted.
fn expand(pattern: &[u8]) -> Vec<PathBuf> {
    let is_pattern = |part: &[u8]| part.iter().any(|byte| b"*?[".contains(byte));
    if !is_pattern(pattern) {
        return vec![path(pattern)];
    }
    let mut found = vec![PathBuf::from(if pattern.starts_with(b"/") { "/" } else { "." })];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        found = match is_pattern(part) {
            true => found.iter().flat_map(|directory| entries(directory, part)).collect(),
            false => found.iter().map(|directory| directory.join(path(part))).collect(),
        };
    }
    found.retain(|file| file.exists());
    found.sort();
    found
}

/// The entries of `directory` whose names match; hidden ones only if the pattern says the dot.
fn entries(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = listing.flatten().map(|entry| entry.file_name());
    let matching = names.filter(|name| {
        let name = name.as_bytes();
        (name[0] != b'.' || pattern[0] == b'.') && glob::matches(pattern, name, false)
    });
    matching.map(|name| directory.join(name)).collect()
}
