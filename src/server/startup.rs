//! From the command line to a process that is ready to serve, and what is said to the world on the way.
//!
//! Ancestor: `main`, `redisAsciiArt`, `createPidFile`, `redisCommunicateSystemd` and `syscheck.c`. The order:
//! [`prepare`] (configuration, log, daemonize, signals), then the server opens its sockets, [`announce`] (role, pid
//! file, banner, warnings), the data set is loaded, [`ready`]; at the end [`stopping`].
//!
//! Deliberately absent: `--test-memory` (memory testers do that better), and Sentinel, which has its own room.

use crate::config::COMPATIBLE_VERSION;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::acl::check_user_line;
use super::logging::{self, RAW, Role};
use super::{crash, host};
use crate::base::{process, title};
use crate::config::{self, Config, Supervised, reason};

/// Where the pid goes when we run in the background and nobody said where.
const DEFAULT_PID_FILE: &str = "/var/run/understudy.pid";
/// Descriptors that are not clients: the log, snapshots, listening sockets, links.
pub const RESERVED_FILES: u64 = 32;

const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Serve,
    Help,
    Version,
    CheckSystem,
    /// Known to stock, not to us.
    TestMemory,
    Sentinel,
}

/// Looks for the options that are no directives. They count in first place only, as in stock: everything else is a
/// file or a directive, and has another grammar.
fn wish(args: &[OsString]) -> Wish {
    let (program, args) = (args.first(), args.get(1..).unwrap_or_default());
    let name = program.and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    if name.to_string_lossy().ends_with("-sentinel") || args.iter().any(|arg| arg == "--sentinel") {
        return Wish::Sentinel;
    }
    let mut options = getopts::Options::new();
    options.optflag("h", "help", "").optflag("v", "version", "").optflag("", "check-system", "");
    options.optflag("", "test-memory", "");
    let Ok(found) = options.parse(args.iter().take(1)) else {
        return Wish::Serve;
    };
    let named = [
        ("h", Wish::Help),
        ("v", Wish::Version),
        ("check-system", Wish::CheckSystem),
        ("test-memory", Wish::TestMemory),
    ];
    named.into_iter().find(|(name, _)| found.opt_present(name)).map_or(Wish::Serve, |(_, wish)| wish)
}

/// Reads the command line (with the program's name first) and makes the process a server's: log, working directory,
/// background, signal handlers, file limit. Where that is not what was asked for, or fails, the status to end with.
pub fn prepare(args: &[OsString]) -> Result<Config, ExitCode> {
    match wish(args) {
        Wish::Serve => {}
        Wish::Help => {
            let program = args.first().map_or("understudy".into(), |program| program.to_string_lossy());
            eprint!("{}", config::usage(&program));
            return Err(ExitCode::FAILURE);
        }
        Wish::Version => {
            println!("{}", config::version());
            return Err(ExitCode::SUCCESS);
        }
        Wish::CheckSystem => return Err(check_system()),
        Wish::TestMemory => {
            return Err(refuse("--test-memory is not part of this program: use memtester or memtest86."));
        }
        Wish::Sentinel => return Err(refuse("Sentinel mode is not part of this build.")),
    }
    let options = args.get(1..).unwrap_or_default();
    let mut config = Config::load(options, &mut std::io::stdin().lock(), check_user_line)
        .map_err(|error| refuse(&error.to_string()))?;
    title::prepare();
    start_log(&config)?;
    host::open_syslog(&config);
    if config.daemonize && supervision(&config) == Supervised::No {
        process::daemonize().map_err(|error| refuse(&format!("Can't go into the background: {error}")))?;
    }
    process::install_signal_handlers();
    crash::log_panics();
    crash::follow(&config);
    introduce(&config, options.is_empty());
    tell_supervisor_we_load(&config);
    fit_maxclients(&mut config);
    Ok(config)
}

fn refuse(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// Goes to the working directory and starts the log there.
fn start_log(config: &Config) -> Result<(), ExitCode> {
    let fatal = |what: &str, error: std::io::Error| {
        let heading = format!("\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***");
        refuse(&format!("{heading}\n{what}: {}", reason(&error)))
    };
    std::env::set_current_dir(&config.dir).map_err(|error| fatal("Can't chdir to the working directory", error))?;
    let logfile = config.logfile.as_deref();
    logging::init(logfile, config.loglevel).map_err(|error| fatal("Can't open the log file", error))
}

/// The first lines of the log.
fn introduce(config: &Config, no_arguments: bool) {
    let (version, bits, pid) = (env!("CARGO_PKG_VERSION"), usize::BITS, process::pid());
    log::info!("oO0OoO0OoO0Oo Understudy is starting oO0OoO0OoO0Oo");
    log::info!("Redis version={COMPATIBLE_VERSION}, understudy={version}, bits={bits}, pid={pid}, just started");
    if no_arguments {
        log::warn!("Warning: no config file specified, using the default config.");
    } else {
        log::info!("Configuration loaded");
    }
    let without_effect = config.ineffective();
    if !without_effect.is_empty() {
        log::info!("Directives without effect in this server: {}", without_effect.join(", "));
    }
}

/// Sees to it that `maxclients` connections can be open, or lowers it to what can.
fn fit_maxclients(config: &mut Config) {
    let wanted = u64::from(config.maxclients) + RESERVED_FILES;
    let got = process::raise_file_limit(wanted);
    if got >= wanted {
        return;
    }
    let fitting = got.saturating_sub(RESERVED_FILES).max(1) as u32;
    log::warn!(
        "maxclients is {fitting} instead of {}: the system allows {got} open files, and {wanted} were needed. \
         Raise it with 'ulimit -n'.",
        config.maxclients
    );
    config.maxclients = fitting;
}

/// Once the sockets listen: takes on the role, writes the pid file, shows the banner and what is wrong with the system.
pub fn announce(config: &Config) {
    logging::set_role(if config.replicaof.is_some() { Role::Replica } else { Role::Master });
    if let Some(path) = pid_file(config)
        && let Err(error) = fs::write(&path, format!("{}\n", process::pid()))
    {
        log::info!("Failed to write PID file: {}", reason(&error));
    }
    match shows_logo(config) {
        true => log::info!(target: RAW, "{}", banner(config.port, process::pid())),
        false => log::info!("Running mode=standalone, port={}.", config.port),
    }
    log::info!("Server initialized");
    for warning in complaints(config.tcp_backlog).into_iter().filter_map(|(_, complaint)| complaint) {
        log::warn!("WARNING {warning}");
    }
    if config.disable_thp && huge_pages_always() && process::disable_huge_pages() {
        log::info!("Transparent huge pages are off for this process.");
    }
}

/// Once the data set is there: connections are served.
pub fn ready(config: &Config) {
    if config.port != 0 {
        log::info!("Ready to accept connections tcp");
    }
    if config.unixsocket.is_some() {
        log::info!("Ready to accept connections unix");
    }
    if supervision(config) == Supervised::Systemd {
        let how = match config.replicaof.is_some() && config.replica_read_only {
            true => "Ready to accept connections in read-only mode",
            false => "Ready to accept connections",
        };
        tell_systemd(&format!("STATUS={how}\nREADY=1\n"));
    }
}

/// At the end: the service manager is told, and the pid file goes.
pub fn stopping(config: &Config) {
    if supervision(config) == Supervised::Systemd {
        tell_systemd("STOPPING=1\n");
    }
    if let Some(path) = pid_file(config) {
        log::info!("Removing the pid file.");
        let _ = fs::remove_file(path);
    }
}

/// A background process has a pid file in any case, others if they were told of one.
fn pid_file(config: &Config) -> Option<PathBuf> {
    let background = config.daemonize && supervision(config) == Supervised::No;
    config.pidfile.clone().or_else(|| background.then(|| DEFAULT_PID_FILE.into()))
}

/// The logo is for people: in a terminal, or on demand.
fn shows_logo(config: &Config) -> bool {
    let always = config.accepted.get("always-show-logo").is_some_and(|value| value == b"yes");
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    always || (config.logfile.is_none() && !config.syslog_enabled && terminal)
}

/// A stage with the lead on it and the understudy in the wings. Tools look for ` PID: `.
fn banner(port: u16, pid: process::Pid) -> String {
    let (version, bits) = (env!("CARGO_PKG_VERSION"), usize::BITS);
    format!(
        r"
     .--------------------------.
     |\  \  \            /  /  /|
     | \  \  |    o     |  /  / |      Understudy {version} (Redis {COMPATIBLE_VERSION}) {bits} bit
     | |  |  |   /|\    |  |  | |
     | |  |  |   / \    |  |  | |      Running in standalone mode
     | |  |  |          |  | o| |      Port: {port}
     |_|__|__|__________|__|/|\_|      PID: {pid}
    /___________________________\
"
    )
}

/// The service manager we answer to. `auto` is whoever left a sign in the environment.
pub fn supervision(config: &Config) -> Supervised {
    supervision_with(config.supervised, |name| std::env::var_os(name).is_some())
}

fn supervision_with(wanted: Supervised, is_set: impl Fn(&str) -> bool) -> Supervised {
    match wanted {
        Supervised::Upstart | Supervised::Auto if is_set("UPSTART_JOB") => Supervised::Upstart,
        Supervised::Systemd | Supervised::Auto if is_set("NOTIFY_SOCKET") => Supervised::Systemd,
        _ => Supervised::No,
    }
}

fn tell_supervisor_we_load(config: &Config) {
    match supervision(config) {
        Supervised::Systemd => {
            log::info!(
                "supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit."
            );
            tell_systemd("STATUS=Understudy is loading...\n");
        }
        Supervised::Upstart => {
            log::info!("supervised by upstart, will stop to signal readiness.");
            let _ = process::kill(process::pid(), process::SIGSTOP);
        }
        Supervised::No if config.supervised == Supervised::Systemd => {
            log::warn!("systemd supervision error: NOTIFY_SOCKET not found!");
        }
        Supervised::No if config.supervised == Supervised::Upstart => {
            log::warn!("upstart supervision requested, but UPSTART_JOB not found!");
        }
        Supervised::No | Supervised::Auto => {}
    }
}

fn tell_systemd(text: &str) {
    if !process::sd_notify(text) {
        log::warn!("systemd supervision error: nobody listens at NOTIFY_SOCKET");
    }
}

/// What of the system's settings stands in our way: each check with its complaint.
fn complaints(tcp_backlog: u32) -> [(&'static str, Option<String>); 3] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    [
        ("overcommit", overcommit_complaint(&read(OVERCOMMIT))),
        ("THP", huge_pages_complaint(&read(HUGE_PAGES))),
        ("tcp-backlog", backlog_complaint(&read(SOMAXCONN), tcp_backlog)),
    ]
}

fn overcommit_complaint(setting: &str) -> Option<String> {
    let number: i64 = setting.trim().parse().ok()?;
    (number != 1).then(|| {
        format!(
            "Memory overcommit must be enabled: vm.overcommit_memory is {number}, with which the kernel may refuse the \
             fork of a snapshot, or of a replica's full sync, although memory would do. Set it to 1 with \
             'sysctl vm.overcommit_memory=1', and in /etc/sysctl.conf to keep it."
        )
    })
}

fn huge_pages_complaint(setting: &str) -> Option<String> {
    setting.contains("[always]").then(|| {
        format!(
            "Transparent huge pages are set to 'always' ({HUGE_PAGES}): after a fork the first write to each page then \
             copies 2 MB, which costs latency and memory. 'echo madvise > {HUGE_PAGES}' as root is better."
        )
    })
}

fn huge_pages_always() -> bool {
    fs::read_to_string(HUGE_PAGES).is_ok_and(|setting| setting.contains("[always]"))
}

fn backlog_complaint(setting: &str, wanted: u32) -> Option<String> {
    let limit: u32 = setting.trim().parse().ok()?;
    (limit < wanted).then(|| {
        format!(
            "The TCP backlog setting of {wanted} cannot be enforced: {SOMAXCONN} holds it down to {limit}, and more \
             connections than that at once may be refused."
        )
    })
}

/// Prints every check; the status is 1 if one of them complains.
fn check_system() -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    for (name, complaint) in complaints(Config::default().tcp_backlog) {
        match complaint {
            None => println!("[{name}]...OK"),
            Some(text) => {
                println!("[{name}]...WARNING:\n{text}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_of(line: &str) -> Wish {
        wish(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_that_are_no_directives_count_in_first_place() {
        for (line, expected) in [
            ("understudy", Wish::Serve),
            ("understudy -h", Wish::Help),
            ("understudy --help x", Wish::Help),
            ("understudy -v", Wish::Version),
            ("understudy --version", Wish::Version),
            ("understudy --check-system", Wish::CheckSystem),
            ("understudy --test-memory 100", Wish::TestMemory),
            ("understudy x.conf", Wish::Serve),
            ("understudy -", Wish::Serve),
            ("understudy --port 1 --version", Wish::Serve),
            ("understudy x.conf -h", Wish::Serve),
            ("understudy x.conf --sentinel", Wish::Sentinel),
            ("/usr/bin/redis-sentinel x.conf", Wish::Sentinel),
            ("/usr/bin/understudy-sentinel", Wish::Sentinel),
            ("/opt/redis-sentinel/understudy --port 1", Wish::Serve),
        ] {
            assert_eq!(wish_of(line), expected, "{line}");
        }
    }

    #[test]
    fn words_that_are_not_utf8_are_left_to_the_configuration() {
        use std::os::unix::ffi::OsStringExt;
        let args = [OsString::from("understudy"), OsString::from_vec(b"\xff.conf".to_vec())];
        assert_eq!(wish(&args), Wish::Serve);
    }

    #[test]
    fn the_service_manager_must_have_left_a_sign() {
        let with = |wanted, sign: &str| supervision_with(wanted, |name| name == sign);
        assert_eq!(with(Supervised::Auto, "NOTIFY_SOCKET"), Supervised::Systemd);
        assert_eq!(with(Supervised::Systemd, "NOTIFY_SOCKET"), Supervised::Systemd);
        assert_eq!(with(Supervised::Auto, "UPSTART_JOB"), Supervised::Upstart);
        assert_eq!(with(Supervised::Systemd, "UPSTART_JOB"), Supervised::No);
        assert_eq!(with(Supervised::Upstart, "NOTIFY_SOCKET"), Supervised::No);
        assert_eq!(with(Supervised::No, "NOTIFY_SOCKET"), Supervised::No);
        assert_eq!(with(Supervised::Auto, ""), Supervised::No);
    }

    #[test]
    fn only_bad_settings_of_the_system_raise_complaints() {
        assert_eq!(overcommit_complaint("1\n"), None);
        assert_eq!(overcommit_complaint(""), None, "a system without it");
        assert!(overcommit_complaint("0\n").unwrap().starts_with("Memory overcommit must be enabled"));
        assert_eq!(huge_pages_complaint("always [madvise] never\n"), None);
        assert!(huge_pages_complaint("[always] madvise never\n").is_some());
        assert_eq!(backlog_complaint("511\n", 511), None);
        assert!(backlog_complaint("128\n", 511).unwrap().contains("setting of 511 cannot be enforced"));
    }

    #[test]
    fn the_banner_names_port_and_process() {
        let text = banner(7000, 4711);
        assert!(text.contains("Port: 7000\n") && text.contains(" PID: 4711\n"), "{text}");
    }

    #[test]
    fn kept_directives_are_named_but_the_logo_is_shown() {
        let config = Config::parse(b"always-show-logo yes\nio-threads 4\nhz 20\nsyslog-enabled yes").unwrap();
        assert_eq!(config.ineffective(), ["io-threads"]);
        assert!(shows_logo(&config));
        let config = Config::parse(b"logfile x.log").unwrap();
        assert!(!shows_logo(&config));
    }

    #[test]
    fn a_pid_file_is_for_the_background_and_for_who_asks() {
        let file = |text: &str| pid_file(&Config::parse(text.as_bytes()).unwrap());
        assert_eq!(file("port 1"), None);
        assert_eq!(file("daemonize yes"), Some(DEFAULT_PID_FILE.into()));
        assert_eq!(file("pidfile /tmp/x.pid"), Some("/tmp/x.pid".into()));
    }

    #[test]
    fn a_file_limit_too_low_lowers_maxclients() {
        let mut config = Config { maxclients: u32::MAX, ..Config::default() };
        fit_maxclients(&mut config);
        let limit = process::raise_file_limit(0);
        assert_eq!(u64::from(config.maxclients) + RESERVED_FILES, limit.min(u64::from(u32::MAX) + RESERVED_FILES));
        let mut config = Config { maxclients: 4, ..Config::default() };
        fit_maxclients(&mut config);
        assert_eq!(config.maxclients, 4);
    }
}
