//! Snapshots and expiry from the outside: what is on disk, what is loaded, what a failure leaves behind.
//! Where stock Redis must behave alike the same test runs on both.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, Kind, Server, Value, assert_same_data, encode, fill, free_port, fresh_dir, peer, wait_until};

const BOTH: [Kind; 2] = [Kind::Stock, Kind::Ours];
const BOUND: Duration = Duration::from_secs(20);
const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
    Commands that may modify the data set are disabled, because this instance is configured to report errors during \
    writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details \
    about the RDB error.";

fn dump(server: &Server) -> PathBuf {
    server.dir().join("dump.rdb")
}

/// Files of saves that are not whole.
fn temp_files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("temp-")).collect()
}

fn wait_saved(server: &Server) {
    wait_until(BOUND, "the child is done", || server.info("rdb_bgsave_in_progress") == "0");
}

/// A server of this kind in a directory of its own that holds a copy of the other's snapshot.
fn start_with(kind: Kind, snapshot: &Path) -> Server {
    let dir = fresh_dir();
    fs::copy(snapshot, dir.join("dump.rdb")).unwrap();
    let server = Server::start_in(kind, &dir, &[]);
    server.wait_loaded();
    server
}

fn assert_sound(snapshot: &Path) {
    let output = Command::new(peer("redis-check-rdb")).arg(snapshot).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("RDB looks OK!"), "{text}");
}

fn set_many(client: &mut Client, count: usize) {
    let commands: Vec<Vec<String>> =
        (0..count).map(|n| vec!["SET".into(), format!("key:{n}"), "x".repeat(40)]).collect();
    assert!(client.pipeline(&commands).iter().all(|reply| *reply == Value::ok()));
}

/// The id of the child that the log told of last.
fn child_of(server: &Server) -> String {
    let log = server.log();
    let after = log.rsplit("Background saving started by pid ").next().unwrap();
    after.lines().next().unwrap().trim().to_string()
}

fn kill_9(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

/// A server that takes at least ten seconds for a snapshot in the background, which has begun.
fn slow_saver(kind: Kind, args: &[&str]) -> Server {
    let args = [args, &["--rdb-key-save-delay", "10000"]].concat();
    let server = Server::start(kind, &args);
    set_many(&mut server.client(), 1000);
    assert_eq!(server.cmd(&["BGSAVE"]), Value::Simple("Background saving started".into()));
    wait_until(BOUND, "the child writes", || !temp_files(server.dir()).is_empty());
    server
}

#[test]
fn what_is_saved_is_loaded_by_stock_and_by_us() {
    let ours = Server::start(Kind::Ours, &[]);
    fill(&mut ours.client());
    assert_eq!(ours.cmd(&["SAVE"]), Value::ok());
    assert_sound(&dump(&ours));
    assert_same_data(&ours, &start_with(Kind::Stock, &dump(&ours)));
    assert_same_data(&ours, &start_with(Kind::Ours, &dump(&ours)));
}

#[test]
fn the_file_of_stock_is_loaded_by_us() {
    let stock = Server::start(Kind::Stock, &[]);
    fill(&mut stock.client());
    assert_eq!(stock.cmd(&["SAVE"]), Value::ok());
    let ours = start_with(Kind::Ours, &dump(&stock));
    assert_same_data(&stock, &ours);
    let keys: i64 = stock.info("rdb_saves").parse().unwrap();
    assert_eq!(keys, 1);
    assert!(ours.info("rdb_last_load_keys_loaded").parse::<u64>().unwrap() > 100);
    assert_eq!(ours.info("rdb_changes_since_last_save"), "0", "what was loaded is saved already");
}

#[test]
fn compression_and_checksum_can_be_left_out() {
    for args in [["--rdbcompression", "no"], ["--rdbchecksum", "no"]] {
        let ours = Server::start(Kind::Ours, &args);
        ours.cmd(&["SET", "long", &"abc".repeat(1000)]);
        assert_eq!(ours.cmd(&["SAVE"]), Value::ok());
        let bytes = fs::read(dump(&ours)).unwrap();
        assert_eq!(bytes.len() > 3000, args[0] == "--rdbcompression", "{args:?}");
        assert_eq!(bytes.ends_with(&[0; 8]), args[0] == "--rdbchecksum", "{args:?}");
        assert_sound(&dump(&ours));
        assert_same_data(&ours, &start_with(Kind::Stock, &dump(&ours)));
    }
}

#[test]
fn a_save_in_the_background_tells_the_truth_about_itself() {
    for kind in BOTH {
        let server = slow_saver(kind, &[]);
        assert_eq!(server.info("rdb_bgsave_in_progress"), "1");
        assert_ne!(server.info("rdb_current_bgsave_time_sec"), "-1");
        assert_eq!(server.info("rdb_changes_since_last_save"), "1000");
        server.cmd(&["SET", "later", "1"]);
        let busy = Value::Error("ERR Background save already in progress".into());
        for command in [vec!["BGSAVE"], vec!["SAVE"], vec!["BGSAVE", "SCHEDULE"]] {
            assert_eq!(server.cmd(&command), busy, "{kind:?} {command:?}");
        }
        assert_eq!(server.cmd(&["BGSAVE", "now"]), Value::Error("ERR syntax error".into()));
        kill_9(&child_of(&server));
        wait_saved(&server);
        server.cmd(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        let before = server.cmd(&["LASTSAVE"]).int();
        assert_eq!(server.info("rdb_last_bgsave_status"), "err");
        assert_eq!(server.cmd(&["BGSAVE"]), Value::Simple("Background saving started".into()));
        wait_saved(&server);
        assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
        assert_eq!(server.info("rdb_changes_since_last_save"), "0");
        assert_eq!(server.info("rdb_saves"), "2", "{kind:?} counts what was begun");
        assert_eq!(server.info("rdb_current_bgsave_time_sec"), "-1");
        assert_ne!(server.info("rdb_last_bgsave_time_sec"), "-1");
        assert!(server.info("rdb_last_cow_size").parse::<u64>().unwrap() > 0, "{kind:?}");
        assert!(server.info("latest_fork_usec").parse::<u64>().unwrap() > 0, "{kind:?}");
        assert_eq!(server.info("total_forks"), "2", "{kind:?}");
        assert_eq!(server.info("rdb_last_save_time"), server.cmd(&["LASTSAVE"]).int().to_string());
        assert!(server.cmd(&["LASTSAVE"]).int() >= before);
        assert_sound(&dump(&server));
        assert_same_data(&server, &start_with(Kind::Stock, &dump(&server)));
    }
}

#[test]
fn writes_made_during_a_save_count_for_the_next_one() {
    let server = slow_saver(Kind::Ours, &["--save", "3600 100000"]);
    server.cmd(&["SET", "later", "1"]);
    server.cmd(&["DEL", "later"]);
    // The snapshot under way cannot be made faster, so let a second server show what a quick one leaves.
    assert_eq!(server.info("rdb_changes_since_last_save"), "1002");
    let quick = Server::start(Kind::Ours, &["--rdb-key-save-delay", "300000"]);
    quick.cmd(&["MSET", "a", "1", "b", "2"]);
    quick.cmd(&["BGSAVE"]);
    quick.cmd(&["SET", "later", "1"]);
    assert_eq!(quick.info("rdb_bgsave_in_progress"), "1");
    wait_saved(&quick);
    assert_eq!(quick.info("rdb_changes_since_last_save"), "1");
    assert_eq!(start_with(Kind::Stock, &dump(&quick)).cmd(&["DBSIZE"]).int(), 2, "as it was at the fork");
}

#[test]
fn a_killed_child_leaves_nothing_but_a_bad_status() {
    for kind in BOTH {
        let server = slow_saver(kind, &["--save", "3600 100000"]);
        kill_9(&child_of(&server));
        server.wait_for_log("Background saving terminated by signal 9");
        assert_eq!(server.info("rdb_last_bgsave_status"), "err", "{kind:?}");
        assert_eq!(temp_files(server.dir()), Vec::<String>::new(), "{kind:?}");
        assert!(!dump(&server).exists());
        assert_eq!(server.cmd(&["SET", "k", "v"]), Value::Error(MISCONF.into()), "{kind:?}");
        assert_eq!(server.cmd(&["GET", "key:1"]), Value::bulk("x".repeat(40)), "reads go on");
        server.cmd(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        assert_eq!(server.cmd(&["SAVE"]), Value::ok());
        assert_eq!(server.cmd(&["SET", "k", "v"]), Value::ok(), "{kind:?}");
        assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
    }
}

#[test]
fn writes_stop_while_the_disk_fails_and_go_on_after_a_good_save() {
    for kind in BOTH {
        let server = Server::start(kind, &["--save", "3600 100000"]);
        server.cmd(&["SET", "k", "v"]);
        // Renaming onto a directory fails for root, too.
        fs::create_dir(dump(&server)).unwrap();
        assert!(server.cmd(&["SAVE"]).is_error());
        server.cmd(&["BGSAVE"]);
        server.wait_for_log("Background saving error");
        assert_eq!(server.info("rdb_last_bgsave_status"), "err");
        assert_eq!(temp_files(server.dir()), Vec::<String>::new(), "{kind:?}");
        for write in [vec!["SET", "k", "w"], vec!["DEL", "k"], vec!["FLUSHALL"], vec!["PING"]] {
            assert_eq!(server.cmd(&write), Value::Error(MISCONF.into()), "{kind:?} {write:?}");
        }
        let mut client = server.client();
        client.good(&["MULTI"]);
        assert_eq!(client.cmd(&["SET", "k", "w"]), Value::Error(MISCONF.into()), "{kind:?}");
        assert!(matches!(client.cmd(&["EXEC"]), Value::Error(text) if text.starts_with("EXECABORT")), "{kind:?}");
        assert_eq!(server.cmd(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]), Value::ok());
        assert_eq!(server.cmd(&["SET", "k", "w"]), Value::ok(), "{kind:?}: not asked to stop");
        server.cmd(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]);
        assert!(server.cmd(&["SET", "k", "w"]).is_error(), "{kind:?}");
        server.cmd(&["CONFIG", "SET", "save", ""]);
        assert_eq!(server.cmd(&["SET", "k", "w"]), Value::ok(), "{kind:?}: nobody wants snapshots");
        server.cmd(&["CONFIG", "SET", "save", "3600 100000"]);
        assert!(server.cmd(&["SET", "k", "w"]).is_error(), "{kind:?}");
        fs::remove_dir(dump(&server)).unwrap();
        server.cmd(&["BGSAVE"]);
        server.wait_for_log("Background saving terminated with success");
        assert_eq!(server.cmd(&["SET", "k", "x"]), Value::ok(), "{kind:?}");
    }
}

#[test]
fn save_points_save() {
    let server = Server::start(Kind::Ours, &["--save", "3600 1 1 5"]);
    server.cmd(&["MSET", "a", "1", "b", "1", "c", "1", "d", "1", "e", "1"]);
    server.wait_for_log("5 changes in 1 seconds. Saving...");
    server.wait_for_log("Background saving terminated with success");
    assert_eq!(server.info("rdb_changes_since_last_save"), "0");
    assert_eq!(start_with(Kind::Stock, &dump(&server)).cmd(&["DBSIZE"]).int(), 5);
}

#[test]
fn the_end_by_signal_saves_where_save_points_are_set() {
    for kind in BOTH {
        for (signal, points, saved) in [("TERM", "3600 9", true), ("INT", "3600 9", true), ("TERM", "", false)] {
            let dir = fresh_dir();
            let mut server = Server::start_in(kind, &dir, &["--save", points]);
            server.cmd(&["SET", "k", "v"]);
            server.signal(signal);
            assert!(server.wait_exit().success(), "{kind:?} {signal}");
            assert_eq!(dump(&server).exists(), saved, "{kind:?} {signal} {points:?}");
            let log = server.log();
            assert!(log.contains(&format!("Received SIG{signal} scheduling shutdown...")), "{log}");
            assert!(log.contains("User requested shutdown..."), "{log}");
            assert_eq!(log.contains("Saving the final RDB snapshot before exiting."), saved, "{log}");
            assert!(log.contains("is now ready to exit, bye bye..."), "{log}");
            server.restart();
            server.wait_loaded();
            assert_eq!(server.cmd(&["DBSIZE"]).int(), i64::from(saved));
        }
    }
}

#[test]
fn shutdown_saves_as_it_is_told() {
    for kind in BOTH {
        for (points, option, saved) in
            [("3600 9", "NOSAVE", false), ("", "SAVE", true), ("3600 9", "NOW", true), ("", "FORCE", false)]
        {
            let mut server = Server::start(kind, &["--save", points]);
            server.cmd(&["SET", "k", "v"]);
            let mut client = server.client();
            assert!(client.try_cmd(&["SHUTDOWN", option]).is_err(), "{kind:?}: no reply, a closed link");
            assert!(server.wait_exit().success());
            assert_eq!(dump(&server).exists(), saved, "{kind:?} {points:?} {option}");
        }
    }
}

#[test]
fn shutdown_that_cannot_save_is_refused() {
    for kind in BOTH {
        let mut server = Server::start(kind, &[]);
        server.cmd(&["SET", "k", "v"]);
        fs::create_dir(dump(&server)).unwrap();
        for arguments in [vec!["SHUTDOWN", "SAVE", "NOSAVE"], vec!["SHUTDOWN", "ABORT", "NOW"], vec!["SHUTDOWN", "x"]] {
            assert_eq!(server.cmd(&arguments), Value::Error("ERR syntax error".into()), "{kind:?} {arguments:?}");
        }
        assert_eq!(server.cmd(&["SHUTDOWN", "ABORT"]), Value::Error("ERR No shutdown in progress.".into()));
        let refused = Value::Error("ERR Errors trying to SHUTDOWN. Check logs.".into());
        assert_eq!(server.cmd(&["SHUTDOWN", "SAVE"]), refused, "{kind:?}");
        assert_eq!(server.cmd(&["GET", "k"]), Value::bulk("v"), "{kind:?}: it serves on");
        assert!(server.client().try_cmd(&["SHUTDOWN", "SAVE", "FORCE"]).is_err());
        assert!(server.wait_exit().success(), "{kind:?}");
    }
}

#[test]
fn shutdown_stops_a_save_in_the_background() {
    for kind in BOTH {
        let mut server = slow_saver(kind, &[]);
        assert!(server.terminate().success());
        assert!(server.log().contains("There is a child saving an .rdb. Killing it!"), "{kind:?}");
        assert_eq!(temp_files(server.dir()), Vec::<String>::new(), "{kind:?}");
        assert!(!dump(&server).exists());
    }
}

#[test]
fn a_server_killed_while_it_saves_leaves_the_old_file() {
    let mut server = Server::start(Kind::Ours, &[]);
    set_many(&mut server.client(), 500);
    assert_eq!(server.cmd(&["SAVE"]), Value::ok());
    let old = fs::read(dump(&server)).unwrap();
    server.cmd(&["SET", "later", "1"]);
    server.cmd(&["CONFIG", "SET", "rdb-key-save-delay", "10000"]);
    let mut client = server.client();
    client.write_raw(b"SAVE\r\n").unwrap();
    wait_until(BOUND, "the save has begun", || !temp_files(server.dir()).is_empty());
    server.kill();
    assert_eq!(fs::read(dump(&server)).unwrap(), old);
    server.restart();
    server.wait_loaded();
    assert_eq!(server.cmd(&["DBSIZE"]).int(), 500);
    assert_eq!(server.cmd(&["EXISTS", "later"]).int(), 0);
}

#[test]
fn a_server_killed_while_its_child_saves_starts_again_at_once() {
    let mut server = slow_saver(Kind::Ours, &[]);
    let orphan = child_of(&server);
    let mut client = server.client();
    server.kill();
    assert!(client.try_cmd(&["PING"]).is_err(), "the child keeps no connection open");
    // The child lives on and holds neither the port nor anything else that is needed.
    server.restart();
    assert_eq!(server.cmd(&["DBSIZE"]).int(), 0);
    kill_9(&orphan);
}

#[test]
fn a_file_that_cannot_be_loaded_stops_the_start() {
    let sound = Server::start(Kind::Stock, &[]);
    sound.cmd(&["RPUSH", "l", "a", "b", "c"]);
    sound.cmd(&["SAVE"]);
    let sound = fs::read(dump(&sound)).unwrap();
    let mut flipped = sound.clone();
    let at = flipped.len() - 1;
    flipped[at] ^= 1;
    const INVALID: &str = "Fatal error loading the DB: Invalid argument. Exiting.";
    const SHORT: &str = "Short read or OOM loading DB. Unrecoverable error, aborting now.";
    let cases: [(&str, Vec<u8>, &[&str]); 7] = [
        ("newer", b"REDIS9999rest".to_vec(), &["Can't handle RDB format version 9999", INVALID]),
        ("no snapshot", b"NOT A SNAPSHOT".to_vec(), &["Wrong signature trying to load DB from file", INVALID]),
        ("empty", Vec::new(), &[SHORT, "Internal error in RDB reading offset 0"]),
        ("cut header", b"REDI".to_vec(), &[SHORT]),
        ("cut", sound[..sound.len() - 12].to_vec(), &[SHORT, "Internal error in RDB reading offset"]),
        ("flipped", flipped, &["Wrong RDB checksum expected: (", "). Aborting now."]),
        ("unknown type", b"REDIS0010\x64\x03key\x01v\xff".to_vec(), &["Internal error in RDB reading offset"]),
    ];
    for kind in BOTH {
        for (name, bytes, lines) in &cases {
            let dir = fresh_dir();
            fs::write(dir.join("dump.rdb"), bytes).unwrap();
            let (code, log) = run_to_end(kind, &dir);
            assert_eq!(code, Some(1), "{kind:?}, {name}: {log}");
            for line in *lines {
                assert!(log.contains(line), "{kind:?}, {name}: {line:?} is not in {log}");
            }
            assert!(!log.contains("Ready to accept connections"), "{kind:?}, {name}: {log}");
            assert_eq!(fs::read(dir.join("dump.rdb")).unwrap(), *bytes, "the file is left alone");
            if kind == Kind::Ours && *name == "unknown type" {
                assert!(log.contains("type 100") && log.contains("'key'"), "{log}");
            }
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}

/// Starts a server that is expected to end by itself; its exit code (none if it had to be killed) and its output.
fn run_to_end(kind: Kind, dir: &Path) -> (Option<i32>, String) {
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut child = Command::new(kind.program())
        .args(["--port", &free_port().to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let read_log = || String::from_utf8_lossy(&fs::read(dir.join("log")).unwrap()).into_owned();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), read_log());
        }
        if start.elapsed() > BOUND || read_log().contains("Ready to accept connections") {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, read_log());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Samples that no build without modules or field expiries can hold, and those that are broken on purpose.
const REFUSED: &[&str] = &[
    "future_v19",
    "invalid_chksum_v8",
    "misc_with_stream",
    "module",
    "module_aux_empty",
    "module_aux_v12",
    "redis_40_with_module",
    "redis_60_with_module_aux",
    "redis_ent_opcode_ram_lru",
];

#[test]
fn every_sample_starts_or_is_refused_by_name() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/rdb-samples");
    if !samples.exists() {
        eprintln!("skipped: {} is not there", samples.display());
        return;
    }
    let mut refused = Vec::new();
    let mut started = 0;
    for folder in ["librdb", "rdb-tools"] {
        for entry in fs::read_dir(samples.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rdb") {
                continue;
            }
            let dir = fresh_dir();
            fs::copy(&path, dir.join("dump.rdb")).unwrap();
            let (code, log) = run_to_end(Kind::Ours, &dir);
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            match code {
                None => {
                    assert!(log.contains("Done loading RDB, keys loaded: "), "{name}: {log}");
                    started += 1;
                }
                Some(code) => {
                    assert_eq!(code, 1, "{name}: {log}");
                    let why = log.lines().find(|line| line.contains(" # ")).unwrap_or_default();
                    refused.push(format!("{name}: {}", why.split(" # ").nth(1).unwrap_or_default()));
                }
            }
            fs::remove_dir_all(&dir).unwrap();
        }
    }
    refused.sort();
    for line in &refused {
        let name = line.split(':').next().unwrap();
        assert!(REFUSED.contains(&name), "{line}");
    }
    assert!(started > 40, "{started}");
    assert_eq!(refused.len(), REFUSED.len(), "{refused:#?}");
}

/// A directory with a snapshot of 20000 keys, and arguments that make loading it take ten seconds.
fn slow_to_load() -> (PathBuf, [&'static str; 4]) {
    let maker = Server::start(Kind::Stock, &[]);
    set_many(&mut maker.client(), 20_000);
    maker.cmd(&["SAVE"]);
    let dir = fresh_dir();
    fs::copy(dump(&maker), dir.join("dump.rdb")).unwrap();
    (dir, ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"])
}

#[test]
fn while_it_loads_it_says_so() {
    let (dir, args) = slow_to_load();
    let server = Server::start_in(Kind::Ours, &dir, &args);
    let loading = Value::Error("LOADING Redis is loading the dataset in memory".into());
    for command in [
        vec!["GET", "key:1"],
        vec!["SET", "a", "b"],
        vec!["PING"],
        vec!["DBSIZE"],
        vec!["FLUSHALL"],
        vec!["SAVE"],
        vec!["BGSAVE"],
        vec!["REPLICAOF", "NO", "ONE"],
    ] {
        assert_eq!(server.cmd(&command), loading, "{command:?}");
    }
    assert_eq!(server.cmd(&["SELECT", "1"]), Value::ok());
    assert_eq!(server.cmd(&["ECHO", "x"]), Value::bulk("x"));
    assert_eq!(server.cmd(&["MULTI"]), Value::ok());
    assert_eq!(server.info("loading"), "1");
    let total = fs::metadata(dir.join("dump.rdb")).unwrap().len();
    assert_eq!(server.info("loading_total_bytes"), total.to_string());
    let loaded = server.info("loading_loaded_bytes").parse::<u64>().unwrap();
    assert!(loaded > 0 && loaded < total, "{loaded}");
    for field in ["loading_start_time", "loading_loaded_perc", "loading_eta_seconds"] {
        assert_ne!(server.info(field), "", "{field}");
    }
    assert_eq!(server.cmd(&["CONFIG", "SET", "key-load-delay", "0"]), Value::ok());
    server.wait_loaded();
    assert_eq!(server.cmd(&["DBSIZE"]).int(), 20_000);
    assert_eq!(server.info("rdb_last_load_keys_loaded"), "20000");
    assert_eq!(server.info("loading_total_bytes"), "");
    let log = server.log();
    for line in
        ["Loading RDB produced by version 7.0", "RDB age ", "RDB memory usage when created ", "DB loaded from disk: "]
    {
        assert!(log.contains(line), "{line:?} is not in {log}");
    }
}

#[test]
fn the_end_comes_also_while_it_loads() {
    for kind in BOTH {
        let (dir, args) = slow_to_load();
        let args = [args.as_slice(), &["--save", "3600 1"]].concat();
        let mut server = Server::start_in(kind, &dir, &args);
        let before = fs::read(dir.join("dump.rdb")).unwrap();
        assert!(server.terminate().success(), "{kind:?}: {}", server.log());
        assert!(server.log().contains("Received shutdown signal during loading, scheduling shutdown."), "{kind:?}");
        assert_eq!(fs::read(dir.join("dump.rdb")).unwrap(), before, "{kind:?}: half a data set is not saved");
    }
}

#[test]
fn a_master_lets_keys_expire_and_tells_its_replica() {
    let master = Server::start(Kind::Ours, &[]);
    let replica = Server::start(Kind::Stock, &[]);
    replica.follow(&master);
    let mut client = master.client();
    for number in 0..300 {
        client.good(&["SET", &format!("volatile:{number}"), "v", "PX", "50"]);
    }
    client.good(&["SET", "stays", "v", "EX", "1000"]);
    client.good(&["HSET", "gone", "f", "v"]);
    client.good(&["PEXPIRE", "gone", "20"]);
    wait_until(BOUND, "the expired keys are gone", || master.cmd(&["DBSIZE"]).int() == 1);
    assert_eq!(master.info("expired_keys"), "301");
    assert_eq!(
        master.info("db0"),
        replica.info("db0").replace("avg_ttl=0", &avg_ttl(&master)),
        "{}",
        replica.info("db0")
    );
    replica.wait_caught_up(&master);
    assert_eq!(replica.cmd(&["DBSIZE"]).int(), 1, "a stock replica deletes only what it is told to");
}

fn avg_ttl(server: &Server) -> String {
    let line = server.info("db0");
    line[line.find("avg_ttl=").unwrap()..].to_string()
}

#[test]
fn an_expired_key_goes_when_it_is_touched() {
    let master = Server::start(Kind::Ours, &[]);
    let replica = Server::start(Kind::Stock, &[]);
    replica.follow(&master);
    let mut client = master.client();
    client.good(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    for key in ["a", "b", "c", "d"] {
        client.good(&["SET", key, "v", "PX", "1"]);
    }
    client.good(&["DEBUG", "SLEEP", "0.01"]);
    assert_eq!(client.cmd(&["PTTL", "a"]), Value::Int(-2));
    assert_eq!(client.cmd(&["GET", "b"]), Value::Nil);
    assert_eq!(client.cmd(&["DBSIZE"]).int(), 2, "c and d were not touched");
    assert_eq!(client.cmd(&["EXISTS", "c", "c"]), Value::Int(0));
    assert_eq!(client.cmd(&["SADD", "d", "member"]), Value::Int(1), "another type may take its place");
    assert_eq!(client.cmd(&["TTL", "d"]), Value::Int(-1));
    assert_eq!(client.cmd(&["DBSIZE"]).int(), 1);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
}

#[test]
fn a_replica_hides_expired_keys_and_waits_for_its_master() {
    let master = Server::start(Kind::Stock, &[]);
    master.cmd(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    let replica = Server::start(Kind::Ours, &[]);
    replica.follow(&master);
    for key in ["a", "b"] {
        master.cmd(&["SET", key, "v", "PX", "1"]);
    }
    master.cmd(&["SET", "stays", "v"]);
    replica.wait_caught_up(&master);
    let mut client = replica.client();
    wait_until(BOUND, "the keys have expired", || client.cmd(&["EXISTS", "a", "b"]) == Value::Int(0));
    assert_eq!(client.cmd(&["GET", "a"]), Value::Nil);
    assert_eq!(client.cmd(&["TYPE", "b"]), Value::Simple("none".into()));
    assert_eq!(client.cmd(&["PTTL", "b"]), Value::Int(-2));
    assert_eq!(client.cmd(&["KEYS", "*"]), Value::Array(vec![Value::bulk("stays")]));
    // Many turns of cron later they are still there: nobody has told us to delete them.
    let turns = || replica.info("uptime_in_seconds").parse::<u64>().unwrap();
    let start = turns();
    wait_until(BOUND, "a second has passed", || turns() > start);
    assert_eq!(client.cmd(&["DBSIZE"]).int(), 3);
    assert_eq!(replica.info("expired_keys"), "0");
    assert_eq!(master.cmd(&["GET", "a"]), Value::Nil);
    replica.wait_caught_up(&master);
    assert_eq!(client.cmd(&["DBSIZE"]).int(), 2);
    assert_eq!(client.cmd(&["REPLICAOF", "NO", "ONE"]), Value::ok());
    wait_until(BOUND, "a new master deletes what has expired", || client.cmd(&["DBSIZE"]).int() == 1);
}

#[test]
fn expired_keys_of_a_snapshot_are_left_out_by_a_master_only() {
    let maker = Server::start(Kind::Stock, &[]);
    maker.cmd(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    maker.cmd(&["SET", "gone", "v", "PX", "1"]);
    maker.cmd(&["SET", "stays", "v"]);
    maker.cmd(&["DEBUG", "SLEEP", "0.01"]);
    assert_eq!(maker.cmd(&["SAVE"]), Value::ok());
    let ours = start_with(Kind::Ours, &dump(&maker));
    assert_eq!(ours.cmd(&["DBSIZE"]).int(), 1);
    assert_eq!(ours.info("rdb_last_load_keys_expired"), "1");
    assert_eq!(ours.info("rdb_last_load_keys_loaded"), "1");
}

#[test]
fn whoever_asks_for_a_sync_gets_a_snapshot() {
    // Cron turns every two milliseconds, so the end of a child is found in every way there is.
    for capability in ["psync2", "eof"] {
        let server = Server::start(Kind::Ours, &["--hz", "500", "--repl-diskless-sync", "yes"]);
        for round in 0..60 {
            let stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
            let mut replica = Client::over(stream.try_clone().unwrap());
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            replica.good(&["REPLCONF", "capa", capability]);
            replica.write_raw(b"PSYNC ? -1\r\n").unwrap();
            let mut got = Vec::new();
            while !got.windows(9).any(|window| window == b"REDIS0010") {
                let more = replica.read_exact(1).unwrap_or_else(|error| panic!("round {round}: {error}; {got:?}"));
                got.extend(more);
            }
        }
    }
}

#[test]
fn a_snapshot_that_waits_behind_a_ping_is_sent() {
    // One turn of cron pings the replica that waits and then finds that the child has ended. For that the child must
    // end after the turn's events were gathered: while a command of that turn sleeps.
    let server = Server::start(Kind::Ours, &["--hz", "1", "--rdb-key-save-delay", "10000"]);
    set_many(&mut server.client(), 120);
    let (mut replica, mut first, mut second) = (server.client(), server.client(), server.client());
    let probe = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut ping = Client::over(probe.try_clone().unwrap());
    replica.write_raw(b"PSYNC ? -1\r\n").unwrap();
    server.wait_for_log("Background saving started");
    first.write_raw(b"DEBUG SLEEP 1\r\n").unwrap();
    probe.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    wait_until(BOUND, "the server sleeps", || ping.try_cmd(&["PING"]).is_err());
    second.write_raw(b"DEBUG SLEEP 1\r\n").unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"REDIS0010") {
        got.extend(replica.read_exact(1).unwrap());
    }
    // Who waits for the answer may be sent a sign of life before it: a line break.
    assert!(got.trim_ascii_start().starts_with(b"+FULLRESYNC "));
}

#[test]
fn what_follows_shutdown_in_a_pipeline_is_neither_run_nor_answered() {
    let mut server = Server::start(Kind::Ours, &["--save", "3600 1"]);
    let mut client = server.client();
    let commands: [&[&str]; 3] = [&["SET", "before", "1"], &["SHUTDOWN"], &["SET", "after", "1"]];
    let pipeline: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
    client.write_raw(&pipeline).unwrap();
    assert_eq!(client.read_to_end().unwrap(), b"+OK\r\n", "the second SET must not be promised");
    assert!(server.wait_exit().success());
    server.restart();
    server.wait_loaded();
    assert_eq!(server.cmd(&["DBSIZE"]), Value::Int(1));
}
