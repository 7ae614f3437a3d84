//! A snapshot that is loaded beside served data, and what a replica does about errors on the way: a snapshot that is
//! damaged or cut, commands of its master that fail, a disk that cannot be written.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use support::{Kind, Server, Value, encode, fill, wait_until};

const BOUND: Duration = Duration::from_secs(30);
/// A snapshot without keys and without a checksum.
const EMPTY: &[u8] = b"REDIS0010\xff\0\0\0\0\0\0\0\0";

/// A master that is none: it answers the handshake and then says what the test wants.
struct FakeMaster(TcpListener);

impl FakeMaster {
    fn new() -> FakeMaster {
        FakeMaster(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> String {
        self.0.local_addr().unwrap().port().to_string()
    }

    /// Takes the next attempt as far as PSYNC, and announces a snapshot of `length` bytes.
    fn announce(&self, length: usize) -> TcpStream {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut input = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut line = || {
                let mut line = String::new();
                input.read_line(&mut line).unwrap();
                line.trim_end()[1..].parse::<usize>().unwrap()
            };
            let count = line();
            let mut args = Vec::new();
            for _ in 0..count {
                let mut line = String::new();
                input.read_line(&mut line).unwrap();
                let mut arg = vec![0; line.trim_end()[1..].parse::<usize>().unwrap() + 2];
                input.read_exact(&mut arg).unwrap();
                args.push(arg);
            }
            if args[0].starts_with(b"PSYNC") {
                break;
            }
            let reply: &[u8] = if args[0].starts_with(b"PING") { b"+PONG\r\n" } else { b"+OK\r\n" };
            stream.write_all(reply).unwrap();
        }
        write!(stream, "+FULLRESYNC {} 0\r\n${length}\r\n", "a".repeat(40)).unwrap();
        stream
    }

    fn snapshot(&self) -> TcpStream {
        let mut stream = self.announce(EMPTY.len());
        stream.write_all(EMPTY).unwrap();
        stream
    }
}

fn replica_of(master: &FakeMaster, args: &[&str]) -> (Server, TcpStream) {
    let server = Server::start(Kind::Ours, args);
    server.cmd(&["REPLICAOF", "127.0.0.1", &master.port()]);
    let stream = master.snapshot();
    wait_until(BOUND, "the link is up", || server.info("master_link_status") == "up");
    (server, stream)
}

#[test]
fn a_snapshot_that_is_damaged_or_cut_costs_no_data() {
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let master = FakeMaster::new();
        let server = Server::start(Kind::Ours, &["--repl-diskless-load", load, "--repl-reconnect-max-delay", "1"]);
        fill(&mut server.client());
        let before = server.cmd(&["DEBUG", "DIGEST"]);
        server.cmd(&["REPLICAOF", "127.0.0.1", &master.port()]);
        let mut cut = master.announce(1000);
        cut.write_all(&EMPTY[..9]).unwrap();
        let beside = if load == "swapdb" { "1" } else { "0" };
        wait_until(BOUND, "it comes in", || server.info("master_sync_read_bytes") == "9");
        assert_eq!((server.info("loading"), server.info("async_loading")), ("0".into(), beside.into()), "{load}");
        assert_eq!(server.cmd(&["DEBUG", "DIGEST"]), before);
        if load == "swapdb" {
            assert_eq!(server.info("loading_loaded_bytes"), "9");
            let refused = Value::Error("LOADING Redis is loading the dataset in memory".into());
            for command in [&["SAVE"][..], &["BGSAVE"], &["PSYNC", "?", "-1"], &["REPLICAOF", "NO", "ONE"]] {
                assert_eq!(server.cmd(command), refused, "{command:?}");
            }
        }
        drop(cut);
        let mut damaged = master.announce(1000);
        damaged.write_all(b"REDIS0010\xf3\xf3\xf3").unwrap();
        server.wait_for_log("snapshot refused, the data we hold stays");
        wait_until(BOUND, "it is over", || server.info("async_loading") == "0");
        assert_eq!(server.cmd(&["DEBUG", "DIGEST"]), before, "{load}");
        assert_eq!((server.info("master_link_status"), server.info("loading_total_bytes")), ("down".into(), "".into()));
    }
}

#[test]
fn who_holds_nothing_says_that_it_is_loading() {
    for load in ["on-empty-db", "swapdb"] {
        let master = FakeMaster::new();
        let server = Server::start(Kind::Ours, &["--repl-diskless-load", load]);
        server.cmd(&["REPLICAOF", "127.0.0.1", &master.port()]);
        let mut stream = master.announce(EMPTY.len());
        stream.write_all(&EMPTY[..9]).unwrap();
        wait_until(BOUND, "it comes in", || server.info("master_sync_read_bytes") == "9");
        assert_eq!((server.info("loading"), server.info("async_loading")), ("1".into(), "0".into()), "{load}");
        let refused = Value::Error("LOADING Redis is loading the dataset in memory".into());
        assert_eq!(server.cmd(&["GET", "k"]), refused);
        stream.write_all(&EMPTY[9..]).unwrap();
        wait_until(BOUND, "it is loaded", || server.info("loading") == "0");
        assert_eq!(server.cmd(&["GET", "k"]), Value::Nil);
    }
}

fn failing_stream() -> Vec<u8> {
    let commands: [&[&str]; 5] =
        [&["SET", "k", "v"], &["NOSUCH", "a"], &["LPUSH", "k", "x"], &["SET", "k"], &["SET", "after", "1"]];
    commands.iter().flat_map(|command| encode(command)).collect()
}

#[test]
fn errors_in_the_stream_are_told_loudly() {
    let master = FakeMaster::new();
    let (server, mut stream) = replica_of(&master, &[]);
    stream.write_all(&failing_stream()).unwrap();
    wait_until(BOUND, "all is applied", || server.cmd(&["GET", "after"]) == Value::bulk("1"));
    assert_eq!(server.info("unexpected_error_replies"), "3");
    server.wait_for_log(
        "== CRITICAL == This replica is sending an error to its master: \
         'unknown command 'NOSUCH', with args beginning with: 'a' ' after processing the command '<unknown>'",
    );
    assert!(server.log().matches("== CRITICAL == This replica").count() < 3, "the lines are rationed");
    server.wait_for_log("== CRITICAL == The command 'NOSUCH' of our master for 'a' in db 0 was not applied");
    // Those that were left out are counted though nothing more fails.
    server.wait_for_log("== CRITICAL == 2 more such errors were not logged.");
    assert_eq!(server.info("master_stream_errors"), "3");
    assert_eq!(server.info("master_stream_first_error"), "cmd=NOSUCH,db=0,key=a");
}

#[test]
fn errors_in_the_stream_end_a_replica_that_is_to_panic() {
    for mode in ["panic", "panic-on-replicas"] {
        let master = FakeMaster::new();
        let (mut server, mut stream) = replica_of(&master, &["--propagation-error-behavior", mode]);
        stream.write_all(&failing_stream()).unwrap();
        assert!(!server.wait_exit().success());
        let line = "This replica panicked sending an error to its master after processing the command '<unknown>'";
        assert!(server.log().contains(line), "{}", server.log());
    }
}

#[test]
fn a_replica_that_cannot_persist_ends_unless_told_otherwise() {
    for ignore in ["no", "yes"] {
        let master = FakeMaster::new();
        let args = ["--save", "3600 1", "--dbfilename", "taken", "--replica-ignore-disk-write-errors", ignore];
        let (mut server, mut stream) = replica_of(&master, &args);
        let file = server.dir().join("taken");
        // The snapshot cannot take the place of a directory.
        let _ = std::fs::remove_file(&file);
        std::fs::create_dir_all(file.join("full")).unwrap();
        server.cmd(&["BGSAVE"]);
        wait_until(BOUND, "it has failed", || server.info("rdb_last_bgsave_status") == "err");
        stream.write_all(&encode(&["SET", "k", "v"])).unwrap();
        if ignore == "yes" {
            wait_until(BOUND, "it is applied", || server.cmd(&["GET", "k"]) == Value::bulk("v"));
            server.wait_for_log("Replica is applying a command it is unable to write to disk.");
        } else {
            assert!(!server.wait_exit().success());
            assert!(server.log().contains("Replica was unable to write command to disk."), "{}", server.log());
        }
    }
}
