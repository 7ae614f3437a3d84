//! A server process of a test: started on a free port in a directory of its own, ended with the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Value};
use super::wait_until;

/// How long a server may take to answer after its start.
const START_BOUND: Duration = Duration::from_secs(20);

/// Which program to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Stock,
    /// A server of another version or family, by the name of its program.
    Peer(&'static str),
}

impl Kind {
    pub fn program(self) -> PathBuf {
        match self {
            Kind::Ours => PathBuf::from(env!("CARGO_BIN_EXE_understudy")),
            Kind::Stock => peer("redis-server"),
            Kind::Peer(name) => peer(name),
        }
    }

    /// Before 7.0 DEBUG is open to all, and nothing is said about it.
    fn knows_debug_directive(self) -> bool {
        self != Kind::Peer("redis-server-6.2")
    }
}

/// A program that `scripts/install-peers` brought (`redis-cli`, `redis-check-rdb`, ...).
pub fn peer(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let here = target.join("peers/bin").join(name);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin").join(name);
    match [here, usual].into_iter().find(|path| path.exists()) {
        Some(path) => path,
        None => panic!("{name} is not there: run scripts/install-peers --bridge"),
    }
}

/// A running server. Dropping it kills the process and removes its directory, except after a failed test.
pub struct Server {
    kind: Kind,
    args: Vec<String>,
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts a server without save points on a free loopback port and waits until it answers.
    /// `args` come last and so override the defaults of tests.
    #[track_caller]
    pub fn start(kind: Kind, args: &[&str]) -> Server {
        Server::start_in(kind, &fresh_dir(), args)
    }

    /// As `start`, in a directory that may already hold a snapshot, or a configuration file `server.conf`.
    #[track_caller]
    pub fn start_in(kind: Kind, dir: &Path, args: &[&str]) -> Server {
        let args = args.iter().map(|arg| arg.to_string()).collect();
        let mut server = Server { kind, args, port: 0, dir: dir.to_path_buf(), child: None };
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("{kind:?} does not start with {:?}; its log:\n{}", server.args, server.log());
    }

    /// Runs the process; false if it ended before it answered (somebody else may have taken the port).
    fn launch(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let config = self.dir.join("server.conf");
        let child = Command::new(self.kind.program())
            .args(config.exists().then_some(config))
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--dir", self.dir.to_str().unwrap()])
            .args(self.kind.knows_debug_directive().then_some(["--enable-debug-command", "yes"]).into_iter().flatten())
            .args(["--repl-diskless-sync-delay", "0"])
            .args(&self.args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.kind.program().display()));
        self.child = Some(child);
        let start = Instant::now();
        while start.elapsed() < START_BOUND {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            if self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("{:?} does not answer on port {}; its log:\n{}", self.kind, self.port, self.log());
    }

    fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut client = Client::over(stream);
        client.try_cmd(&["PING"]).is_ok()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new connection, in RESP2 and database 0.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// One command on a connection of its own.
    #[track_caller]
    pub fn cmd<A: AsRef<[u8]>>(&self, args: &[A]) -> Value {
        self.client().cmd(args)
    }

    /// A field of INFO, empty if absent.
    #[track_caller]
    pub fn info(&self, field: &str) -> String {
        let text = self.cmd(&["INFO", "everything"]).text();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_string()
    }

    /// What the server printed since its first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(Duration::from_secs(30), &format!("the log says {text:?}"), || self.log().contains(text));
    }

    /// Waits until a snapshot read at the start is loaded.
    #[track_caller]
    pub fn wait_loaded(&self) {
        wait_until(Duration::from_secs(60), "the data set is loaded", || self.info("loading") == "0");
    }

    /// Makes this a replica and waits until the link is up.
    #[track_caller]
    pub fn follow(&self, master: &Server) {
        self.wait_loaded();
        let reply = self.cmd(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        assert_eq!(reply, Value::Simple("OK".into()));
        self.wait_for_link(master);
    }

    #[track_caller]
    pub fn wait_for_link(&self, master: &Server) {
        let port = master.port.to_string();
        wait_until(Duration::from_secs(60), "the replica's link is up", || {
            self.info("master_port") == port && self.info("master_link_status") == "up"
        });
    }

    /// Waits until this replica has applied all that its master has written so far.
    #[track_caller]
    pub fn wait_caught_up(&self, master: &Server) {
        let goal: u64 = master.info("master_repl_offset").parse().expect("master_repl_offset");
        wait_until(Duration::from_secs(60), "the replica has caught up", || {
            self.info("master_link_status") == "up"
                && self.info("slave_repl_offset").parse::<u64>().is_ok_and(|offset| offset >= goal)
        });
    }

    /// SIGKILL, and the process is gone on return.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal by name (`TERM`, `STOP`, `CONT` ...).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// SIGTERM, then how the process ended.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_exit()
    }

    /// Waits for a process that is about to end by itself.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let mut status = None;
        wait_until(Duration::from_secs(30), "the server has ended", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// As `restart`, with further arguments from now on.
    #[track_caller]
    pub fn restart_with(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|arg| arg.to_string()));
        self.restart();
    }

    /// Kills it if it still runs, and starts it again on the same port, directory and arguments.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "{:?} does not start again; its log:\n{}", self.kind, self.log());
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("---- {:?} on port {}, end of {}", self.kind, self.port, self.log_path().display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A new empty directory for one test.
pub fn fresh_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A port nobody listens on, below the range the kernel gives to outgoing connections, and not tried twice
/// by one process; processes start at different places.
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
