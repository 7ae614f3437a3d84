//! The program as a shell, a script or a service manager meets it: arguments, configuration, exit codes, log lines.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use support::{Client, Kind, Server, Value, free_port, fresh_dir, wait_until};

const BOUND: Duration = Duration::from_secs(20);

fn program() -> PathBuf {
    Kind::Ours.program()
}

/// Runs it to its end, which must come by itself.
fn run(args: &[&str], input: &str) -> Output {
    let dir = fresh_dir();
    let mut child = Command::new(program())
        .args(args)
        .current_dir(&dir)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not ask for its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    wait_until(BOUND, &format!("{args:?} ends"), || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    fs::remove_dir_all(&dir).unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that was started with exactly these arguments, in a directory of its own; killed when dropped.
struct Process {
    child: Child,
    dir: PathBuf,
}

impl Process {
    fn start(args: &[&str], input: Option<&str>, environment: &[(&str, &Path)]) -> Process {
        let dir = fresh_dir();
        Process::start_in(dir, args, input, environment)
    }

    fn start_in(dir: PathBuf, args: &[&str], input: Option<&str>, environment: &[(&str, &Path)]) -> Process {
        let output = fs::File::create(dir.join("output")).unwrap();
        let mut child = Command::new(program())
            .args(args)
            .current_dir(&dir)
            .env_remove("NOTIFY_SOCKET")
            .envs(environment.iter().copied())
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        if let Some(input) = input {
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        }
        Process { child, dir }
    }

    fn output(&self) -> String {
        text(&fs::read(self.dir.join("output")).unwrap())
    }

    #[track_caller]
    fn wait_ready(&self) {
        wait_until(BOUND, "the server is ready", || self.output().contains("Ready to accept connections"));
    }

    fn terminate(&mut self) -> ExitStatus {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let mut status = None;
        wait_until(BOUND, "the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- output in {}\n{}", self.dir.display(), self.output());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn setting(port: u16, name: &str) -> String {
    let reply = Client::connect(port).good(&["CONFIG", "GET", name]);
    reply.items().get(1).map(Value::text).unwrap_or_default()
}

/// Whether a line reads `pid:role dd Mon yyyy hh:mm:ss.mmm level message`.
fn is_log_line(line: &str) -> bool {
    let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some((pid, rest)) = shape.split_once(':') else { return false };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let fields: Vec<&str> = rest.splitn(7, ' ').collect();
    !pid.is_empty()
        && pid.bytes().all(|byte| byte == b'0')
        && fields.len() == 7
        && ["M", "S", "C", "X"].contains(&fields[0])
        && fields[1] == "00"
        && months.contains(&fields[2])
        && fields[3] == "0000"
        && fields[4] == "00:00:00.000"
        && [".", "-", "*", "#"].contains(&fields[5])
        && !fields[6].is_empty()
}

#[test]
fn version_and_help() {
    for option in ["-v", "--version"] {
        let output = run(&[option], "");
        assert!(output.status.success(), "{option}");
        let said = text(&output.stdout);
        assert!(said.starts_with("Understudy server v=") && said.contains("bits=64"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
    for option in ["-h", "--help"] {
        let output = run(&[option], "");
        assert_eq!(output.status.code(), Some(1), "{option}: as redis-server");
        assert!(text(&output.stderr).contains("--port 7777 --replicaof 127.0.0.1 6379"));
    }
    let output = run(&["--check-system"], "");
    assert!(text(&output.stdout).contains("[overcommit]..."));
}

#[test]
fn a_bad_directive_stops_the_start_with_file_line_and_reason() {
    let dir = fresh_dir();
    let file = dir.join("bad.conf");
    let path = file.to_str().unwrap();
    for (contents, line, shown, reason) in [
        ("port 7000\n\n# a remark\nfoo bar\n", 4, "foo bar", "Bad directive or wrong number of arguments"),
        ("port many\n", 1, "port many", "argument couldn't be parsed into an integer"),
        ("port 70000\n", 1, "port 70000", "argument must be between 0 and 65535 inclusive"),
        ("appendonly maybe\n", 1, "appendonly maybe", "argument must be 'yes' or 'no'"),
        ("maxmemory 12qb\n", 1, "maxmemory 12qb", "argument must be a memory value"),
        ("loglevel loud\n", 1, "loglevel loud", "argument(s) must be one of the following: "),
        ("port\n", 1, "port", "wrong number of arguments"),
        ("save 10\n", 1, "save 10", "Invalid save parameters"),
        ("dir /no/such/directory\n", 1, "dir /no/such/directory", "No such file or directory"),
        ("logfile \"unbalanced\n", 1, "logfile \"unbalanced", "Unbalanced quotes in configuration line"),
    ] {
        fs::write(&file, contents).unwrap();
        let output = run(&[path], "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{contents:?}");
        for part in [
            "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***",
            &format!("Reading the configuration file, at line {line} of {path}"),
            &format!(">>> '{shown}'"),
            reason,
        ] {
            assert!(said.contains(part), "{contents:?}: {part:?} is not in {said}");
        }
    }
    let output = run(&["/no/such/file.conf"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(
        said.contains("Fatal error, can't open config file '/no/such/file.conf': No such file or directory"),
        "{said}"
    );
    let output = run(&["--foo", "bar"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Bad directive or wrong number of arguments"));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn directives_on_the_command_line() {
    let port = free_port().to_string();
    let process = Process::start(
        &[
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--save",
            "900",
            "1",
            "300",
            "10",
            "--maxmemory",
            "100mb",
            "--appendonly",
            "no",
            "--client-output-buffer-limit",
            "replica 64mb 16mb 30",
            "--slave-priority",
            "7",
            "--proc-title-template",
            "{title} {port}",
        ],
        None,
        &[],
    );
    process.wait_ready();
    let port = port.parse().unwrap();
    assert_eq!(setting(port, "save"), "900 1 300 10");
    assert_eq!(setting(port, "maxmemory"), "104857600");
    assert_eq!(setting(port, "replica-priority"), "7");
    assert!(setting(port, "client-output-buffer-limit").contains("slave 67108864 16777216 30"));
}

#[test]
fn the_command_line_outranks_the_file_and_a_file_includes_others() {
    let dir = fresh_dir();
    let port = free_port();
    fs::write(dir.join("more.conf"), "timeout 11\nreplica-priority 12\n").unwrap();
    fs::write(
        dir.join("main.conf"),
        format!("port {port}\nbind 127.0.0.1\nsave ''\ntimeout 10\ninclude more.conf\nhz 20\n"),
    )
    .unwrap();
    let process = Process::start_in(dir, &["main.conf", "--hz", "30", "--loglevel", "verbose"], None, &[]);
    process.wait_ready();
    assert_eq!(setting(port, "timeout"), "11", "the included file came later");
    assert_eq!(setting(port, "replica-priority"), "12");
    assert_eq!(setting(port, "hz"), "30");
    assert_eq!(setting(port, "loglevel"), "verbose");
    let info = Client::connect(port).good(&["INFO", "server"]).text();
    let file = process.dir.join("main.conf").canonicalize().unwrap();
    assert!(info.contains(&format!("config_file:{}\r\n", file.display())), "{info}");
    assert!(info.contains("executable:/"), "{info}");
}

#[test]
fn signals_that_mean_nothing_are_ignored() {
    let server = Server::start(Kind::Ours, &[]);
    for signal in ["HUP", "PIPE"] {
        server.signal(signal);
        assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()), "{signal}");
    }
}

#[test]
fn configuration_from_standard_input() {
    let port = free_port();
    let input = format!("port {port}\nbind 127.0.0.1\nsave ''\ntimeout 44\n");
    let process = Process::start(&["-"], Some(&input), &[]);
    process.wait_ready();
    assert_eq!(setting(port, "timeout"), "44");
    let output = run(&["-"], "no-such-directive 1\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(">>> 'no-such-directive 1'"));
}

#[test]
fn a_port_in_use() {
    let server = Server::start(Kind::Ours, &[]);
    let port = server.port().to_string();
    let output = run(&["--port", &port, "--bind", "127.0.0.1", "--save", ""], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    let first =
        format!("Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use\n");
    assert!(said.contains(&first), "{said}");
    assert!(said.contains(&format!("Failed listening on port {port} (TCP), aborting.\n")), "{said}");
    assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()), "the one that has the port serves on");
    let output = run(&["--port", "0", "--save", ""], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("Configured to not listen anywhere, exiting."));
}

#[test]
fn the_lines_of_a_life() {
    let port = free_port();
    let mut process = Process::start(&["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""], None, &[]);
    process.wait_ready();
    assert!(process.terminate().success());
    let said = process.output();
    for line in said.lines() {
        assert!(is_log_line(line), "{line:?}");
        assert!(line.starts_with(&format!("{}:", process.child.id())), "{line:?}");
    }
    let mut at = 0;
    for (role, part) in [
        ('C', "Configuration loaded"),
        ('M', &*format!("Running mode=standalone, port={port}.")),
        ('M', "Server initialized"),
        ('M', "Ready to accept connections"),
        ('M', "Received SIGTERM scheduling shutdown..."),
        ('M', "User requested shutdown..."),
        ('M', "ready to exit, bye bye..."),
    ] {
        let found = said[at..].find(part).unwrap_or_else(|| panic!("{part:?} does not follow in {said}"));
        let line = said[..at + found].rsplit('\n').next().unwrap();
        assert!(line.contains(&format!(":{role} ")), "{line:?}{part:?}");
        at += found;
    }
}

#[test]
fn a_replica_logs_as_one() {
    let port = free_port().to_string();
    let process = Process::start(
        &["--port", &port, "--bind", "127.0.0.1", "--save", "", "--replicaof", "127.0.0.1 1"],
        None,
        &[],
    );
    process.wait_ready();
    let said = process.output();
    let line = said.lines().find(|line| line.contains("Server initialized")).unwrap();
    assert!(line.contains(":S "), "{line}");
}

#[test]
fn in_the_background_with_pid_file_and_log_file() {
    let dir = fresh_dir();
    let port = free_port();
    let pid_file = dir.join("understudy.pid");
    let log_file = dir.join("understudy.log");
    let args = [
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--daemonize",
        "yes",
        "--dir",
        dir.to_str().unwrap(),
        "--pidfile",
        pid_file.to_str().unwrap(),
        "--logfile",
        "understudy.log",
    ];
    let output = run(&args, "");
    assert!(output.status.success(), "the parent leaves at once");
    let log = || text(&fs::read(&log_file).unwrap_or_default());
    wait_until(BOUND, "the log tells of a ready server", || log().contains("Ready to accept connections"));
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert!(pid.ends_with('\n'));
    let mut client = Client::connect(port);
    assert!(text(&client.cmd(&["INFO", "server"]).bytes()).contains(&format!("process_id:{}\r\n", pid.trim())));
    assert!(log().lines().all(is_log_line), "{}", log());
    assert!(client.try_cmd(&["SHUTDOWN", "NOSAVE"]).is_err());
    wait_until(BOUND, "the pid file is gone", || !pid_file.exists());
    wait_until(BOUND, "the process is gone", || !is_alive(pid.trim()));
    assert!(log().contains("Removing the pid file."));
    fs::remove_dir_all(dir).unwrap();
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn log_levels() {
    for (level, verbose, notice) in
        [("debug", true, true), ("verbose", true, true), ("notice", false, true), ("warning", false, false)]
    {
        let server = Server::start(Kind::Ours, &["--loglevel", level]);
        assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()));
        let mut server = server;
        assert!(server.terminate().success());
        let log = server.log();
        assert_eq!(log.contains("Accepted 127.0.0.1:"), verbose, "{level}: {log}");
        assert_eq!(log.contains("Ready to accept connections"), notice, "{level}: {log}");
        assert!(log.contains("bye bye"), "{level}: {log}");
    }
    let server = Server::start(Kind::Ours, &["--loglevel", "warning"]);
    server.cmd(&["CONFIG", "SET", "loglevel", "notice"]);
    server.cmd(&["SAVE"]);
    server.wait_for_log("DB saved on disk");
}

#[test]
fn systemd_hears_when_the_server_is_ready_and_when_it_ends() {
    let dir = fresh_dir();
    let path = dir.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    let hear = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("the service manager is told");
        text(&bytes[..length])
    };
    for supervised in ["systemd", "auto"] {
        let port = free_port().to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--supervised", supervised];
        let mut process = Process::start(&args, None, &[("NOTIFY_SOCKET", &path)]);
        let mut heard = hear();
        while !heard.contains("READY=1") {
            heard += &hear();
        }
        assert!(heard.contains("STATUS=Ready to accept connections\n"), "{heard}");
        assert!(process.output().contains("supervised by systemd"));
        assert_eq!(Client::connect(port.parse().unwrap()).cmd(&["PING"]), Value::Simple("PONG".into()));
        assert!(process.terminate().success());
        assert!(hear().contains("STOPPING=1"));
    }
    let port = free_port().to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--supervised", "systemd"];
    let process = Process::start(&args, None, &[]);
    process.wait_ready();
    assert!(process.output().contains("systemd supervision error: NOTIFY_SOCKET not found!"));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_directive_without_meaning_is_said_so_in_the_log() {
    let server = Server::start(Kind::Ours, &["--activerehashing", "no", "--io-threads", "2", "--lfu-log-factor", "10"]);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Directives without effect in this server: "));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("activerehashing") && line.contains("io-threads"), "{line}");
    assert!(!line.contains("repl-diskless-sync-delay"), "{line}");
    let plain = Server::start(Kind::Ours, &[]);
    assert!(!plain.log().contains("without effect"), "{}", plain.log());
}

#[test]
fn rewriting_keeps_comments_and_order() {
    let dir = fresh_dir();
    let port = free_port();
    let file = dir.join("server.conf");
    let written = format!(
        "# Our server\nport {port}\nbind 127.0.0.1\n\n# Snapshots\nsave 3600 1\nsave 300 100\n# Time\ntimeout 5\ndir {}\n",
        dir.display()
    );
    fs::write(&file, &written).unwrap();
    let process = Process::start_in(dir, &["server.conf"], None, &[]);
    process.wait_ready();
    let mut client = Client::connect(port);
    client.good(&["CONFIG", "SET", "timeout", "77", "maxmemory", "1gb", "save", "60 1000"]);
    assert_eq!(client.cmd(&["CONFIG", "REWRITE"]), Value::ok());
    let now = fs::read_to_string(&file).unwrap();
    let order = [
        "# Our server\n",
        &format!("port {port}\n"),
        "# Snapshots\n",
        "save 60 1000\n",
        "# Time\n",
        "timeout 77\n",
        "maxmemory 1gb\n",
    ];
    let mut at = 0;
    for part in order {
        at += now[at..].find(part).unwrap_or_else(|| panic!("{part:?} does not follow in\n{now}"));
    }
    assert_eq!(now.matches("\nsave ").count(), 1, "{now}");
    assert!(client.try_cmd(&["SHUTDOWN", "NOSAVE"]).is_err());
    let second = Process::start_in(process.dir.join("."), &[file.to_str().unwrap()], None, &[]);
    second.wait_ready();
    assert_eq!(setting(port, "timeout"), "77");
    assert_eq!(setting(port, "save"), "60 1000");
    let plain = Server::start(Kind::Ours, &[]);
    let refused = Value::Error("ERR The server is running without a config file".into());
    assert_eq!(plain.cmd(&["CONFIG", "REWRITE"]), refused);
}

#[test]
fn a_unix_socket() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    let dir = fresh_dir();
    let path = dir.join("understudy.sock");
    let args = ["--port", "0", "--save", "", "--unixsocket", path.to_str().unwrap(), "--unixsocketperm", "700"];
    let mut process = Process::start(&args, None, &[]);
    process.wait_ready();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    assert!(process.terminate().success());
    assert!(!path.exists(), "the socket is cleared away");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_second_interrupt_ends_at_once() {
    // The shutdown waits for a replica that never acknowledges; the first interrupt is not enough.
    let mut server = Server::start(Kind::Ours, &["--shutdown-timeout", "600"]);
    let mut replica = server.client();
    replica.write_raw(b"PSYNC ? -1\r\n").unwrap();
    server.wait_for_log(" succeeded");
    server.cmd(&["SET", "k", "v"]);
    server.signal("INT");
    server.wait_for_log("Waiting for replicas before shutting down.");
    assert_eq!(server.cmd(&["GET", "k"]), Value::bulk("v"), "it serves meanwhile");
    server.signal("INT");
    assert_eq!(server.wait_exit().code(), Some(1));
}
