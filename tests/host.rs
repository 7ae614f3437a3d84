//! The process as the system sees it: crashes and what they leave in the log, titles, scores, the watchdog.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use support::{Kind, Server, Value, wait_until};

const BOUND: Duration = Duration::from_secs(40);

/// Starts a server, has it crash by a DEBUG subcommand, and returns the signal that ended it, and its log.
fn crash(how: &[&str], args: &[&str]) -> (Option<i32>, Option<i32>, String) {
    let mut server = Server::start(Kind::Ours, args);
    let mut client = server.client();
    client.good(&["CLIENT", "SETNAME", "the-culprit"]);
    let command = [&["DEBUG"], how].concat();
    assert!(client.try_cmd(&command).is_err(), "no answer comes");
    let status = server.wait_exit();
    (status.signal(), status.code(), server.log())
}

#[test]
fn a_crash_leaves_a_report() {
    for (how, signal, texts) in [
        ("SEGFAULT", 11, &["crashed by signal: 11", "Accessing address: 0x", "RIP:"][..]),
        ("PANIC", 6, &["Guru Meditation: ", "src/server/admin/debug.rs:"]),
        ("ASSERT", 6, &["=== ASSERTION FAILED ===", "==> src/server/admin/debug.rs:"]),
        ("OOM", 6, &["Out Of Memory allocating", "crashed by signal: 6"]),
    ] {
        let (ended_by, _, log) = crash(&[how], &[]);
        assert_eq!(ended_by, Some(signal), "{how}: {log}");
        for text in [
            "BUG REPORT START",
            "------ STACK TRACE ------",
            "understudy::server",
            "------ CURRENT CLIENT INFO ------",
            "name=the-culprit",
            "------ INFO OUTPUT ------",
            "redis_version:7.2.4",
            "------ CLIENT LIST OUTPUT ------",
            "BUG REPORT END",
        ]
        .iter()
        .chain(texts)
        {
            assert!(log.contains(text), "{how}: {text:?} is not in {log}");
        }
        assert_eq!(log.matches("BUG REPORT START").count(), 1, "{how}: {log}");
    }
}

#[test]
fn a_signal_from_outside_is_told_with_its_sender() {
    let mut server = Server::start(Kind::Ours, &[]);
    server.signal("BUS");
    assert_eq!(server.wait_exit().signal(), Some(7));
    let log = server.log();
    assert!(log.contains("crashed by signal: 7, si_code: 0") && log.contains("Killed by PID: "), "{log}");
}

#[test]
fn reports_can_be_switched_off_and_a_panic_can_be_an_exit() {
    let (signal, _, log) = crash(&["SEGFAULT"], &["--crash-log-enabled", "no"]);
    assert_eq!((signal, log.contains("STACK TRACE")), (Some(11), false));
    let (signal, code, log) = crash(&["PANIC"], &["--use-exit-on-panic", "yes"]);
    assert_eq!((signal, code, log.contains("STACK TRACE")), (None, Some(1), true));
    let server = Server::start(Kind::Ours, &["--crash-log-enabled", "no"]);
    assert_eq!(server.cmd(&["CONFIG", "SET", "crash-log-enabled", "yes"]), Value::ok());
    assert!(server.client().try_cmd(&["DEBUG", "SEGFAULT"]).is_err());
    server.wait_for_log("STACK TRACE");
}

#[test]
fn a_log_file_gets_the_report_as_well() {
    let mut server = Server::start(Kind::Ours, &["--logfile", "own.log"]);
    assert!(server.client().try_cmd(&["DEBUG", "SEGFAULT"]).is_err());
    server.wait_exit();
    let log = fs::read_to_string(server.dir().join("own.log")).unwrap();
    assert!(log.contains("crashed by signal: 11") && log.contains("BUG REPORT END"), "{log}");
}

#[test]
fn the_watchdog_tells_where_the_loop_hangs() {
    let server = Server::start(Kind::Ours, &["--hz", "500"]);
    assert_eq!(server.cmd(&["CONFIG", "SET", "watchdog-period", "50"]), Value::ok());
    server.cmd(&["PING"]);
    assert!(!server.log().contains("WATCHDOG"));
    server.cmd(&["DEBUG", "SLEEP", "1"]);
    server.wait_for_log("--- WATCHDOG TIMER EXPIRED ---");
    server.wait_for_log("understudy::server::admin::debug::sleep");
    assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()), "it goes on");
    assert_eq!(server.cmd(&["CONFIG", "SET", "watchdog-period", "0"]), Value::ok());
}

fn title(server: &Server) -> String {
    let line = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    // Stock marks the end of the memory with a point where the title is short.
    String::from_utf8_lossy(&line).trim_end_matches(['\0', '.', ' ']).replace('\0', " ")
}

#[test]
fn the_title_is_that_of_the_template_as_in_stock() {
    let servers = [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &[]));
    let shown = |server: &Server| {
        let title = title(server);
        title.split_once(' ').expect("a program and more").1.replace(&server.port().to_string(), "PORT")
    };
    assert_eq!(shown(&servers[0]), "127.0.0.1:PORT");
    assert_eq!(shown(&servers[0]), shown(&servers[1]));
    for template in [
        "{title} one {listen-addr}{server-mode}",
        "a {port} b {tls-port} c {unixsocket}",
        "plain",
        "a title that is much longer than the command line was {port} {port} {port} {port} {port} {port} {port} {port} \
         {port} {port} {port} {port} {port} {port} {port} {port} {port} {port} {port} {port} {port} {port} and it ends",
        "bad {template}",
        "",
        "{title}",
    ] {
        let replies = servers.each_ref().map(|server| server.cmd(&["CONFIG", "SET", "proc-title-template", template]));
        assert_eq!(replies[0], replies[1], "{template}");
        if template.contains("{title}") {
            continue;
        }
        let titles = servers.each_ref().map(|server| title(server).replace(&server.port().to_string(), "PORT"));
        assert_eq!(titles[0], titles[1], "{template}");
    }
    // Whoever needs the command line and the environment still has them.
    assert_eq!(servers[0].cmd(&["CONFIG", "GET", "port"]).items()[1].text(), servers[0].port().to_string());
    let off = Server::start(Kind::Ours, &["--set-proc-title", "no"]);
    assert!(title(&off).contains("--set-proc-title"), "{}", title(&off));
}

#[test]
fn a_restart_by_debug_finds_its_arguments_though_the_title_is_another() {
    let server = Server::start(Kind::Ours, &["--proc-title-template", "gone {port}", "--maxmemory", "123456789"]);
    let pid = server.pid();
    let run = server.info("run_id");
    assert!(server.client().try_cmd(&["DEBUG", "CRASH-AND-RECOVER"]).is_err());
    let again = || support::Client::connect(server.port()).try_cmd(&["PING"]).is_ok();
    wait_until(BOUND, "it listens again", || {
        std::net::TcpStream::connect(("127.0.0.1", server.port())).is_ok() && again()
    });
    assert_ne!(server.info("run_id"), run);
    assert_eq!((server.info("maxmemory"), server.pid()), ("123456789".into(), pid));
    assert_eq!(title(&server), format!("gone {}", server.port()));
}

#[test]
fn the_score_by_which_the_system_kills_is_as_in_stock() {
    let score = |server: &Server| fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).unwrap();
    let servers =
        [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &["--oom-score-adj-values", "10", "20", "30"]));
    let before = score(&servers[0]);
    for command in [
        "CONFIG SET oom-score-adj yes",
        "CONFIG SET oom-score-adj-values 40 50 60",
        "REPLICAOF 127.0.0.1 1",
        "CONFIG SET oom-score-adj absolute",
        "REPLICAOF NO ONE",
        "CONFIG SET oom-score-adj relative",
        "CONFIG SET oom-score-adj-values 4000 50 60",
        "CONFIG SET oom-score-adj no",
    ] {
        let words: Vec<&str> = match command.strip_prefix("CONFIG SET oom-score-adj-values ") {
            Some(values) => vec!["CONFIG", "SET", "oom-score-adj-values", values],
            None => command.split(' ').collect(),
        };
        let replies = servers.each_ref().map(|server| server.cmd(&words));
        assert_eq!(replies[0], replies[1], "{command}");
        assert_eq!(score(&servers[0]), score(&servers[1]), "{command}");
    }
    assert_eq!(score(&servers[0]), before);
}

#[test]
fn the_allocators_thread_comes_and_goes() {
    let server = Server::start(Kind::Ours, &["--jemalloc-bg-thread", "no"]);
    let threads = || fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count();
    assert_eq!(threads(), 1);
    assert_eq!(server.cmd(&["CONFIG", "SET", "jemalloc-bg-thread", "yes"]), Value::ok());
    wait_until(BOUND, "there are two threads", || threads() == 2);
    assert_eq!(server.cmd(&["CONFIG", "SET", "jemalloc-bg-thread", "no"]), Value::ok());
    wait_until(BOUND, "there is one", || threads() == 1);
}
