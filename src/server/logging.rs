//! Log lines as Redis writes them: `pid:role dd Mon yyyy hh:mm:ss.mmm level message`.
//!
//! Ancestor: `serverLogRaw` in `server.c`. Everybody logs through the macros of `log`; this is what stands behind
//! them. The levels are Redis's four: `trace!` is debug `.`, `debug!` verbose `-`, `info!` notice `*`, `warn!` and
//! `error!` warning `#`. The role is X for a Sentinel, M for a master, S for a replica, C for whoever is not the
//! settled server: a process that is still starting, or the child of a fork.
//!
//! The log file is opened for each line, so that it can be moved away under us.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::clock::{Clock, UnixMs, local_time};
use crate::base::crash::write_stdout;
use crate::base::process;
use crate::config::LogLevel;

/// The target of lines that are written as they are, without anything before them.
pub const RAW: &str = "raw";

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The log file, where there is one.
static PATH: OnceLock<PathBuf> = OnceLock::new();

/// As whom we log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Sentinel,
    /// Also: not settled yet.
    Child,
    Replica,
    Master,
}

impl Role {
    fn letter(self) -> char {
        match self {
            Role::Sentinel => 'X',
            Role::Child => 'C',
            Role::Replica => 'S',
            Role::Master => 'M',
        }
    }
}

/// The settled process and its role's letter, packed: the child of a fork then needs to say nothing to be a child.
static ROLE: AtomicU64 = AtomicU64::new(0);

fn pack(pid: process::Pid, role: Role) -> u64 {
    (pid as u64) << 8 | role.letter() as u64
}

fn letter_for(pid: process::Pid, packed: u64) -> char {
    if packed >> 8 == pid as u64 { char::from(packed as u8) } else { Role::Child.letter() }
}

/// From now on this process logs as `role`.
pub fn set_role(role: Role) {
    ROLE.store(pack(process::pid(), role), Ordering::Relaxed);
}

/// Starts logging, to standard output or to the end of `logfile`. The error is that of a file that cannot be opened.
pub fn init(logfile: Option<&Path>, level: LogLevel) -> io::Result<()> {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(log::LevelFilter::Trace).format(|out, record| {
        let pid = process::pid();
        let letter = letter_for(pid, ROLE.load(Ordering::Relaxed));
        process::syslog(severity(record.level()), record.args());
        write_record(out, pid, letter, Clock::System.unix_ms(), record)
    });
    match logfile {
        Some(path) => {
            let file = LogFile { path: path.to_path_buf() };
            file.open()?;
            let _ = PATH.set(path.to_path_buf());
            builder.target(env_logger::Target::Pipe(Box::new(file)));
        }
        None => {
            builder.target(env_logger::Target::Stdout);
        }
    }
    // A second start within one process (tests do that) keeps the first one's destination.
    let _ = builder.try_init();
    set_level(level);
    Ok(())
}

/// What is logged from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Debug => log::LevelFilter::Trace,
        LogLevel::Verbose => log::LevelFilter::Debug,
        LogLevel::Notice => log::LevelFilter::Info,
        LogLevel::Warning => log::LevelFilter::Warn,
    });
}

/// Writes a line where the log goes, past every lock and buffer: for who can wait for nobody. `stamped`: with what stands
/// before each line of the log.
pub fn write_past_locks(line: &str, stamped: bool) {
    let letter = letter_for(process::pid(), ROLE.load(Ordering::Relaxed));
    let mut text = Vec::new();
    let target = if stamped { "" } else { RAW };
    let arguments = format_args!("{line}");
    let record = log::Record::builder().level(log::Level::Warn).target(target).args(arguments).build();
    // Writing into memory cannot fail; and that the log cannot be written could be said nowhere but there.
    let _ = write_record(&mut text, process::pid(), letter, Clock::System.unix_ms(), &record);
    let _ = match PATH.get() {
        Some(path) => LogFile { path: path.clone() }.write_all(&text),
        None => write_stdout(&text),
    };
}

fn write_record(
    out: &mut dyn Write,
    pid: process::Pid,
    letter: char,
    now: UnixMs,
    record: &log::Record<'_>,
) -> io::Result<()> {
    if record.target() == RAW {
        return writeln!(out, "{}", record.args());
    }
    let time = local_time(now.div_euclid(1000));
    let month = MONTHS[usize::from(time.month - 1) % 12];
    let (day, year, hour, minute, second) = (time.day, time.year, time.hour, time.minute, time.second);
    let ms = now.rem_euclid(1000);
    let sign = level_sign(record.level());
    write!(out, "{pid}:{letter} {day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{ms:03} {sign} ")?;
    writeln!(out, "{}", record.args())
}

/// The level in the system's log.
fn severity(level: log::Level) -> usize {
    match level {
        log::Level::Trace => 0,
        log::Level::Debug => 1,
        log::Level::Info => 2,
        log::Level::Warn | log::Level::Error => 3,
    }
}

fn level_sign(level: log::Level) -> char {
    match level {
        log::Level::Trace => '.',
        log::Level::Debug => '-',
        log::Level::Info => '*',
        log::Level::Warn | log::Level::Error => '#',
    }
}

/// The end of a file that may be moved away between two lines. A relative path follows `dir`.
struct LogFile {
    path: PathBuf,
}

impl LogFile {
    fn open(&self) -> io::Result<File> {
        File::options().append(true).create(true).open(&self.path)
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.open()?.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: log::Level, target: &str, letter: char, now: UnixMs) -> String {
        let mut out = Vec::new();
        let message = format_args!("Ready to accept connections");
        let record = log::Record::builder().level(level).target(target).args(message).build();
        write_record(&mut out, 4711, letter, now, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_redis_lines() {
        let now = 1_709_251_199_007;
        let mut date = std::process::Command::new("date");
        date.args(["-d", "@1709251199", "+%d %b %Y %H:%M:%S"]).env("LC_ALL", "C");
        let said = String::from_utf8(date.output().unwrap().stdout).unwrap();
        for (level, sign) in [(log::Level::Trace, '.'), (log::Level::Debug, '-'), (log::Level::Info, '*')] {
            let expected = format!("4711:M {}.007 {sign} Ready to accept connections\n", said.trim());
            assert_eq!(line(level, "understudy::server", 'M', now), expected);
        }
        for level in [log::Level::Warn, log::Level::Error] {
            assert!(line(level, "x", 'S', now).contains(".007 # Ready"));
        }
    }

    #[test]
    fn raw_lines_stand_alone() {
        assert_eq!(line(log::Level::Info, RAW, 'M', 0), "Ready to accept connections\n");
    }

    #[test]
    fn whoever_is_not_the_settled_process_is_a_child() {
        assert_eq!(letter_for(100, 0), 'C');
        for (role, letter) in [(Role::Sentinel, 'X'), (Role::Child, 'C'), (Role::Replica, 'S'), (Role::Master, 'M')] {
            let packed = pack(100, role);
            assert_eq!(letter_for(100, packed), letter);
            assert_eq!(letter_for(101, packed), 'C');
        }
    }

    #[test]
    fn a_log_file_that_was_moved_away_is_made_anew() {
        let directory = std::env::temp_dir().join(format!("understudy-logging-{}", process::pid()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("server.log");
        let mut file = LogFile { path: path.clone() };
        file.write_all(b"one\n").unwrap();
        file.write_all(b"two\n").unwrap();
        std::fs::rename(&path, directory.join("old.log")).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read(directory.join("old.log")).unwrap(), b"one\ntwo\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"three\n");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(file.open().is_err(), "the directory is gone");
    }
}
