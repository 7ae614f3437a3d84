//! BGREWRITEAOF (= rewriteAppendOnlyFileBackground and its kin in aof.c): a child writes the data set as the base of an
//! append-only file, as a stock server does that keeps no such file. A server started on that directory with
//! `appendonly yes` begins with these data.
//!
//! ```text
//! appenddirname/                            appendonlydir
//!     appendfilename.manifest               file appendonly.aof.2.base.rdb seq 2 type b
//!     appendfilename.SEQ.base.rdb           a snapshot, its field aof-base 1
//! ```
//!
//! Deliberately absent: the append-only file itself, to which the stream would be written.

use super::snapshot::{EXIT_KILLED, SnapshotChild, SnapshotTarget};
use super::{ClientId, Server};
use crate::base::process::{self, Exit};
use crate::commands::CommandError;
use crate::resp::request::Argv;
use crate::server::repl_targets::Wish;
use std::io;
use std::path::{Path, PathBuf};

/// What became of the children that made bases.
#[derive(Debug)]
pub struct Rewrites {
    /// Somebody wants one once the present child is done.
    pub scheduled: bool,
    /// How many were begun.
    pub begun: u64,
    /// How many failed since one succeeded.
    pub failures: u64,
    /// How long the last one took, in seconds; −1: there was none.
    pub last_seconds: i64,
    /// Memory that the last one had to copy, in bytes.
    pub last_cow_bytes: u64,
}

impl Default for Rewrites {
    fn default() -> Self {
        Rewrites { scheduled: false, begun: 0, failures: 0, last_seconds: -1, last_cow_bytes: 0 }
    }
}

/// A file that a manifest names.
#[derive(Debug, PartialEq)]
struct Named {
    name: String,
    seq: u64,
    is_base: bool,
}

/// Reads a manifest. Lines that are none, and names outside of the directory, are left out.
fn parse_manifest(text: &str) -> Vec<Named> {
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["file", name, "seq", seq, "type", kind] if !name.contains('/') && !name.starts_with('.') => {
                let name = name.trim_matches('"').to_owned();
                Some(Named { name, seq: seq.parse().ok()?, is_base: kind == "b" })
            }
            _ => None,
        }
    };
    text.lines().filter_map(parse).collect()
}

impl Server {
    /// BGREWRITEAOF
    pub fn bgrewriteaof_command(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        let text = match &server.snapshot.child {
            Some(child) if child.target == SnapshotTarget::AofBase => {
                return Err(CommandError::new("ERR Background append only file rewriting already in progress"));
            }
            Some(_) => {
                server.snapshot.rewrites.scheduled = true;
                "Background append only file rewriting scheduled"
            }
            None => {
                server.rewrite_append_only_file_background().map_err(|error| {
                    log::error!("Can't rewrite append only file in background: {error}");
                    CommandError::new(
                        "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
                    )
                })?;
                "Background append only file rewriting started"
            }
        };
        if let Some(reply) = server.reply(id) {
            reply.status(text);
        }
        Ok(())
    }

    fn rewrite_append_only_file_background(&mut self) -> io::Result<()> {
        let directory = self.aof_directory();
        self.disk.make_directory(&directory)?;
        self.snapshot.rewrites.begun += 1;
        self.rdb_save_background(SnapshotTarget::AofBase, Wish::ALL)
    }

    /// Does what BGREWRITEAOF was told to wait for.
    pub(super) fn rewrite_if_scheduled(&mut self) {
        if self.snapshot.child.is_none()
            && std::mem::take(&mut self.snapshot.rewrites.scheduled)
            && let Err(error) = self.rewrite_append_only_file_background()
        {
            log::error!("Scheduled BGREWRITEAOF: {error}");
        }
    }

    fn word_of(&self, directive: &str) -> String {
        let found = self.config.get(&[directive.as_bytes()]);
        found.first().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    fn aof_directory(&self) -> PathBuf {
        self.config.dir.join(self.word_of("appenddirname"))
    }

    fn manifest(&self) -> PathBuf {
        self.aof_directory().join(format!("{}.manifest", self.word_of("appendfilename")))
    }

    fn named_files(&self) -> Vec<Named> {
        let text = self.disk.read_whole(&self.manifest()).unwrap_or_default();
        parse_manifest(&String::from_utf8_lossy(&text))
    }

    /// Where a base stands before it is whole.
    pub(super) fn temp_base(&self, writer: &str) -> PathBuf {
        self.config.dir.join(format!("temp-rewriteaof-bg-{writer}.aof"))
    }

    /// Where the next base goes.
    pub(super) fn next_base(&self) -> PathBuf {
        let last = self.named_files().iter().filter(|file| file.is_base).map(|file| file.seq).max();
        self.aof_directory().join(base_name(&self.word_of("appendfilename"), last.unwrap_or(0) + 1))
    }

    /// The child that made a base has ended: the manifest names it from now on, and what it named before goes.
    pub(super) fn rewrite_ended(&mut self, child: &SnapshotChild, exit: Exit) {
        let outcome = match exit {
            Exit::Code(0) => {
                log::info!("Background AOF rewrite terminated with success");
                self.adopt_base()
            }
            Exit::Code(EXIT_KILLED) | Exit::Signal(process::SIGUSR1) => Err(io::ErrorKind::Interrupted.into()),
            Exit::Code(_) => Err(io::Error::other("the child failed")),
            Exit::Signal(signal) => Err(io::Error::other(format!("the child got signal {signal}"))),
        };
        match outcome {
            Ok(()) => {
                self.snapshot.rewrites.failures = 0;
                log::info!("Background AOF rewrite finished successfully");
            }
            Err(error) => {
                self.snapshot.rewrites.failures += 1;
                log::warn!("Background AOF rewrite terminated with error: {error}");
                if let Some(temp) = &child.file {
                    // A child that could still do so has removed it.
                    let _ = self.disk.remove(&temp.path);
                }
            }
        }
    }

    fn adopt_base(&mut self) -> io::Result<()> {
        let base = self.next_base();
        // It is not there if the directives were changed meanwhile.
        self.disk.open(&base)?;
        let before = self.named_files();
        let seq = before.iter().filter(|file| file.is_base).map(|file| file.seq).max().unwrap_or(0) + 1;
        let name = base.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let manifest = self.manifest();
        self.disk.replace(&manifest, format!("file {name} seq {seq} type b\n").as_bytes())?;
        let directory = base.parent().unwrap_or(Path::new(".")).to_path_buf();
        for old in before.iter().filter(|old| old.name != name) {
            log::info!("Removing the history file {}", old.name);
            // What is not there need not be removed.
            let _ = self.disk.remove(&directory.join(&old.name));
        }
        Ok(())
    }
}

fn base_name(file_name: &str, seq: u64) -> String {
    format!("{file_name}.{seq}.base.rdb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_files_of_its_own_directory() {
        let text = "file a.aof.2.base.rdb seq 2 type b\nfile a.aof.7.incr.aof seq 7 type i\n# no\nfile x seq y type b\n\
                    file ../etc seq 1 type b\nfile . seq 1 type b\n";
        let named = |name: &str, seq, is_base| Named { name: name.into(), seq, is_base };
        assert_eq!(parse_manifest(text), [named("a.aof.2.base.rdb", 2, true), named("a.aof.7.incr.aof", 7, false)]);
        assert_eq!(base_name("a.aof", 3), "a.aof.3.base.rdb");
    }
}
