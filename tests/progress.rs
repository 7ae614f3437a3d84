//! How far a sync is, told by both sides of it while it lasts, and by nobody afterwards.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use support::{Kind, Server, encode, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const KEYS: u64 = 4000;

/// Data that takes a while wherever each key is made to last some milliseconds.
fn populate(server: &Server) {
    server.client().good(&["DEBUG", "POPULATE", &KEYS.to_string(), "key", "500"]);
}

fn number(server: &Server, field: &str) -> i64 {
    server.info(field).parse().unwrap_or(i64::MIN)
}

/// A part of a line `name:a=1,b=2`.
fn part(line: &str, name: &str) -> i64 {
    let value = line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or(i64::MIN)
}

/// Waits until the line of our only replica shows this state at work.
fn wait_for_state(server: &Server, state: &str) -> String {
    let mut line = String::new();
    wait_until(BOUND, &format!("a replica is in the state {state}, at work"), || {
        line = server.info("syncing_slave0");
        line.starts_with(&format!("state={state}"))
            && (state == "load" || (part(&line, "bytes_per_sec") > 0 && part(&line, "eta_seconds") > 0))
    });
    line
}

fn assert_nothing_is_told(server: &Server) {
    let text = server.cmd(&["INFO", "everything"]).text();
    for name in ["syncing_slave", "master_sync_read", "master_sync_eta", "loading_loaded", "loading_total"] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }
    assert_eq!((number(server, "current_save_keys_processed"), number(server, "current_save_keys_total")), (0, 0));
}

/// A sync without disks, slow at its source.
fn diskless(master: Kind, replica: Kind) {
    let slow = ["--repl-diskless-sync", "yes", "--rdb-key-save-delay", "5000", "--rdbcompression", "no"];
    let (master, replica) = (Server::start(master, &slow), Server::start(replica, &[]));
    populate(&master);
    let port = master.port().to_string();
    replica.cmd(&["REPLICAOF", "127.0.0.1", &port]);
    if replica.kind() == Kind::Ours {
        wait_until(BOUND, "the replica tells how fast it goes", || {
            number(&replica, "master_sync_keys_per_sec") > 0 && number(&replica, "master_sync_bytes_per_sec") > 0
        });
        let (read, total) = (number(&replica, "master_sync_read_keys"), number(&replica, "master_sync_total_keys"));
        assert!(read > 0 && read < total && total == KEYS as i64, "{read} of {total}");
        assert!(number(&replica, "master_sync_eta_seconds") > 0);
    }
    if master.kind() == Kind::Ours {
        let line = wait_for_state(&master, "stream");
        assert!(part(&line, "bytes") > 0 && part(&line, "keys") > 0, "{line}");
        assert_eq!((part(&line, "total_keys"), part(&line, "total_bytes")), (KEYS as i64, 0), "{line}");
        assert!(part(&line, "keys_per_sec") > 0, "{line}");
        let (done, total) =
            (number(&master, "current_save_keys_processed"), number(&master, "current_save_keys_total"));
        assert!(done > 0 && done < total && total == KEYS as i64, "{done} of {total}");
    }
    replica.cmd(&["REPLICAOF", "NO", "ONE"]);
    wait_until(BOUND, "the child is gone", || master.info("rdb_bgsave_in_progress") == "0");
    for server in [&master, &replica].into_iter().filter(|server| server.kind() == Kind::Ours) {
        assert_nothing_is_told(server);
    }
}

#[test]
fn a_replica_of_a_stock_master_tells_how_far_it_is() {
    diskless(Kind::Stock, Kind::Ours);
}

#[test]
fn a_master_tells_how_far_its_stock_replica_is() {
    diskless(Kind::Ours, Kind::Stock);
}

#[test]
fn a_load_is_told_on_both_sides() {
    let master = Server::start(Kind::Ours, &["--repl-diskless-sync", "yes"]);
    populate(&master);
    let mut replica = Server::start(Kind::Ours, &["--key-load-delay", "5000", "--repl-diskless-load", "disabled"]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    wait_until(BOUND, "the replica tells how fast it loads", || {
        number(&replica, "loading_keys_per_sec") > 0 && number(&replica, "loading_bytes_per_sec") > 0
    });
    let (loaded, total) = (number(&replica, "loading_loaded_keys"), number(&replica, "loading_total_keys"));
    assert!(loaded > 0 && loaded < total && total == KEYS as i64, "{loaded} of {total}");
    assert!(number(&replica, "loading_eta_seconds") > 0);
    assert_eq!(wait_for_state(&master, "load"), "state=load");
    replica.kill();
    wait_until(BOUND, "the replica is forgotten", || master.info("connected_slaves") == "0");
    assert_nothing_is_told(&master);
}

#[test]
fn a_sync_by_file_is_told_from_its_first_byte_to_its_last() {
    let mut master = Server::start(Kind::Ours, &["--repl-diskless-sync", "no", "--rdbcompression", "no"]);
    // More than the sockets hold, and the replica reads it in small bites.
    master.client().good(&["DEBUG", "POPULATE", "40", "big", "1000000"]);
    let mut replica = TcpStream::connect(("127.0.0.1", master.port())).unwrap();
    replica.write_all(&encode(&["PSYNC", "?", "-1"])).unwrap();
    let (mut bite, mut line) = (vec![0; 1 << 20], String::new());
    wait_until(BOUND, "the file is on its way", || {
        line = master.info("syncing_slave0");
        let sends = line.starts_with("state=send");
        if sends {
            assert!(replica.read(&mut bite).unwrap() > 0);
        }
        sends && part(&line, "bytes_per_sec") > 0 && part(&line, "eta_seconds") > 0
    });
    let (sent, total) = (part(&line, "bytes"), part(&line, "total_bytes"));
    assert!(sent > 0 && sent < total && total > 40_000_000, "{line}");
    drop(replica);
    wait_until(BOUND, "the replica is forgotten", || master.info("connected_slaves") == "0");
    assert_nothing_is_told(&master);
    // The next one is to wait for its file.
    populate(&master);
    master.cmd(&["CONFIG", "SET", "rdb-key-save-delay", "5000"]);
    let mut replica = TcpStream::connect(("127.0.0.1", master.port())).unwrap();
    replica.write_all(&encode(&["PSYNC", "?", "-1"])).unwrap();
    let line = wait_for_state(&master, "snapshot");
    assert_eq!(part(&line, "total_keys"), KEYS as i64 + 40, "{line}");
    assert!(part(&line, "keys") > 0 && part(&line, "bytes") > 0, "{line}");
    // Its child, which would go on for long, is ended with it.
    assert!(master.terminate().success());
}

/// A real snapshot of which the replica is given as much as the test wants.
#[test]
fn a_file_that_comes_in_is_told_in_bytes_and_keys() {
    let maker = Server::start(Kind::Stock, &["--rdbcompression", "no"]);
    populate(&maker);
    maker.client().good(&["SAVE"]);
    let snapshot = std::fs::read(maker.dir().join("dump.rdb")).unwrap();
    let master = TcpListener::bind("127.0.0.1:0").unwrap();
    let replica = Server::start(Kind::Ours, &[]);
    replica.cmd(&["REPLICAOF", "127.0.0.1", &master.local_addr().unwrap().port().to_string()]);
    let (mut link, _) = master.accept().unwrap();
    // PING, REPLCONF port, capa, version, stream-check; then PSYNC.
    let mut asked = [0; 4096];
    for _ in 0..5 {
        assert!(link.read(&mut asked).unwrap() > 0);
        link.write_all(b"+OK\r\n").unwrap();
    }
    assert!(link.read(&mut asked).unwrap() > 0 && asked.starts_with(b"*3\r\n$5\r\nPSYNC"));
    write!(link, "+FULLRESYNC {} 0\r\n${}\r\n", "a".repeat(40), snapshot.len()).unwrap();
    let mut sent = 0;
    wait_until(BOUND, "the replica tells how fast it comes", || {
        let bite = 500.min(snapshot.len() / 2 - sent);
        link.write_all(&snapshot[sent..sent + bite]).unwrap();
        sent += bite;
        number(&replica, "master_sync_bytes_per_sec") > 0 && number(&replica, "master_sync_keys_per_sec") > 0
    });
    wait_until(BOUND, "all of it came in", || number(&replica, "master_sync_read_bytes") == sent as i64);
    let eta = number(&replica, "master_sync_eta_seconds");
    assert!(eta > 0, "{eta}");
    let (read, total) = (number(&replica, "master_sync_read_keys"), number(&replica, "master_sync_total_keys"));
    assert_eq!(total, KEYS as i64);
    // The keys are all of one size.
    let expected = KEYS as f64 * sent as f64 / snapshot.len() as f64;
    assert!((read as f64 - expected).abs() < 20.0, "{read} keys, of {expected}");
    link.write_all(&snapshot[sent..]).unwrap();
    wait_until(BOUND, "the sync is done", || replica.info("master_link_status") == "up");
    assert_nothing_is_told(&replica);
}
