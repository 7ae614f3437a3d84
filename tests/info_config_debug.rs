//! INFO, ROLE, CONFIG and DEBUG from outside, beside a stock server where that knows better.

mod support;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Client, Kind, Server, Value, difference, fill, fresh_dir, wait_until};

/// Fields that we have and Redis 7.0 has not: our own, those that came with 7.2, and later ones about clients.
const NEWER: &[&str] = &[
    "server_name",
    "understudy_version",
    "listener0",
    "master_link_lag_ms",
    "paused_reason",
    "paused_actions",
    "paused_timeout_milliseconds",
    "repl_stream_mismatches",
    "repl_refused_syncs",
    "repl_degraded_syncs",
    "repl_degraded_items",
    "replication_bridge",
    "total_blocking_keys",
    "total_blocking_keys_on_nokey",
    "pubsub_clients",
    "paused_reason",
    "paused_actions",
    "paused_timeout_milliseconds",
    "client_query_buffer_limit_disconnections",
    "client_output_buffer_limit_disconnections",
    "eventloop_cycles",
    "eventloop_duration_sum",
    "eventloop_duration_cmd_sum",
    "eventloop_duration_max_usec",
    "instantaneous_eventloop_cycles_per_sec",
    "instantaneous_eventloop_duration_usec",
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
];

/// The names of all lines, headings included, without those of single commands.
fn names(text: &str) -> Vec<String> {
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    let names = lines.map(|line| line.split(':').next().unwrap_or_default().to_string());
    names.filter(|name| !name.starts_with("cmdstat_") && !name.starts_with("latency_percentiles_usec_")).collect()
}

fn assert_same_names(ours: &Server, stock: &Server, sections: &[&str]) {
    let asked = [&["INFO"], sections].concat();
    let mut ours = names(&ours.cmd(&asked).text());
    ours.retain(|name| !NEWER.contains(&name.as_str()));
    assert_eq!(ours, names(&stock.cmd(&asked).text()), "INFO {sections:?}");
}

#[test]
fn info_has_the_lines_of_stock_in_their_order() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    for server in [&ours, &stock] {
        server.cmd(&["SET", "k", "v", "EX", "1000"]);
        server.cmd(&["NO-SUCH-COMMAND"]);
    }
    for sections in [
        &[][..],
        &["all"],
        &["everything"],
        &["default"],
        &["keyspace", "Server"],
        &["commandstats"],
        &["default", "commandstats"],
        &["latencystats"],
        &["nonsense"],
        &["nonsense", "cpu"],
    ] {
        assert_same_names(&ours, &stock, sections);
    }
}

#[test]
fn what_is_for_debugging_is_told_by_name_only() {
    let ours = Server::start(Kind::Ours, &[]);
    let mut client = ours.client();
    client.pipeline(&[["PING"].to_vec(), ["PING"].to_vec(), ["PING"].to_vec()]);
    let text = ours.cmd(&["INFO", "debug", "everything"]).text();
    assert!(text.contains("# Server\r\n") && text.contains("# Debug\r\n"));
    // 7.2 has these, 7.0 not yet.
    let expected = [
        "# Debug",
        "eventloop_duration_aof_sum",
        "eventloop_duration_cron_sum",
        "eventloop_duration_max",
        "eventloop_cmd_per_cycle_max",
    ];
    let text = ours.cmd(&["INFO", "debug"]).text();
    assert_eq!(names(&text), expected);
    let most: u64 = text.lines().last().and_then(|line| line.split(':').nth(1)).and_then(|n| n.parse().ok()).unwrap();
    assert!((1..=3).contains(&most), "{text}");
}

#[test]
fn info_of_master_and_replica_has_the_lines_of_stock() {
    let start = |kind| (Server::start(kind, &["--min-replicas-to-write", "1"]), Server::start(kind, &[]));
    let ((our_master, our_replica), (master, replica)) = (start(Kind::Ours), start(Kind::Stock));
    for (master, replica) in [(&our_master, &our_replica), (&master, &replica)] {
        replica.follow(master);
        wait_until(Duration::from_secs(20), "the replica is online", || master.info("slave0").contains("state=online"));
    }
    assert_same_names(&our_master, &master, &["replication"]);
    assert_same_names(&our_replica, &replica, &["replication"]);
    let line = our_master.info("slave0");
    assert!(line.starts_with(&format!("ip=127.0.0.1,port={},state=online,offset=", our_replica.port())), "{line}");
    assert_eq!(our_replica.info("master_replid"), our_master.info("master_replid"));
    for (master, replica) in [(our_master, our_replica), (master, replica)] {
        master.cmd(&["SET", "a", "b"]);
        replica.wait_caught_up(&master);
        let offset: i64 = master.info("master_repl_offset").parse().unwrap();
        let role = replica.cmd(&["ROLE"]);
        assert_eq!(role.items()[0], Value::bulk("slave"));
        assert_eq!(role.items()[2], Value::Int(i64::from(master.port())));
        assert_eq!(role.items()[3], Value::bulk("connected"));
        assert!(role.items()[4].int() >= offset, "{role:?}");
        let role = master.cmd(&["ROLE"]);
        assert_eq!(role.items()[0], Value::bulk("master"));
        let of_replica = role.items()[2].items()[0].items();
        assert_eq!(of_replica[..2], [Value::bulk("127.0.0.1"), Value::bulk(replica.port().to_string())]);
        drop(replica);
        let lost = || master.cmd(&["ROLE"]).items()[2].items().is_empty();
        wait_until(Duration::from_secs(20), "the replica is gone", lost);
    }
}

#[test]
fn info_counts_what_happens() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    client.cmd(&["SET", "k", "v"]);
    client.cmd(&["GET", "k"]);
    client.cmd(&["GET", "none"]);
    client.cmd(&["LPUSH", "k", "v"]);
    assert_eq!((server.info("keyspace_hits"), server.info("keyspace_misses")), ("1".into(), "1".into()));
    assert_eq!(server.info("rdb_changes_since_last_save"), "1");
    assert_eq!(server.info("errorstat_WRONGTYPE"), "count=1");
    assert!(server.info("cmdstat_get").starts_with("calls=2,usec="));
    assert!(server.info("cmdstat_lpush").ends_with(",rejected_calls=0,failed_calls=1"));
    assert_eq!(server.info("db0"), "keys=1,expires=0,avg_ttl=0");
    assert_eq!(server.info("process_id"), server.pid().to_string());
    assert_eq!(client.cmd(&["CONFIG", "RESETSTAT"]), Value::ok());
    assert_eq!((server.info("keyspace_hits"), server.info("errorstat_WRONGTYPE")), ("0".into(), String::new()));
    client.good(&["HELLO", "3"]);
    assert!(matches!(client.cmd(&["INFO"]), Value::Verbatim(_)));
}

#[test]
fn the_stream_offset_does_not_move_without_a_replica_and_the_peak_is_never_below_the_use() {
    let server = Server::start(Kind::Ours, &[]);
    server.cmd(&["DEBUG", "POPULATE", "20000"]);
    assert_eq!(server.info("master_repl_offset"), "0");
    let number = |field: &str| server.info(field).parse::<u64>().unwrap();
    let (used, startup) = (number("used_memory"), number("used_memory_startup"));
    assert!(used > startup + 20_000 * 16, "{used} {startup}");
    assert!(number("used_memory_peak") >= used);
    assert!(number("used_memory_dataset") > 0 && number("used_memory_rss") > used);
    let mut client = server.client();
    let bytes = client.cmd(&["MEMORY", "USAGE", "key:1"]).int();
    assert!((16..200).contains(&bytes), "{bytes}");
    assert_eq!(client.cmd(&["MEMORY", "USAGE", "none"]), Value::Nil);
    assert_eq!(client.cmd(&["MEMORY", "PURGE"]), Value::ok());
    assert!(client.cmd(&["MEMORY", "STATS"]).items().len() > 40);
}

fn config(client: &mut Client, name: &str) -> String {
    client.cmd(&["CONFIG", "GET", name]).items().get(1).map(Value::text).unwrap_or_default()
}

#[test]
fn config_errors_are_those_of_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let taken = stock.port().to_string();
    for args in [
        &["CONFIG"][..],
        &["CONFIG", "GET"],
        &["CONFIG", "SET"],
        &["CONFIG", "SET", "maxmemory"],
        &["CONFIG", "SET", "maxmemory", "1mb", "hz"],
        &["CONFIG", "SET", "no-such-thing", "1"],
        &["CONFIG", "SET", "port", "x"],
        &["CONFIG", "SET", "databases", "4"],
        &["CONFIG", "SET", "dir", "/"],
        &["CONFIG", "SET", "maxmemory", "1mb", "maxmemory", "2mb"],
        &["CONFIG", "REWRITE"],
        &["CONFIG", "HELP"],
        &["CONFIG", "NONSENSE"],
    ] {
        assert_eq!(ours.cmd(args), stock.cmd(args), "{args:?}");
    }
    let refused = ours.cmd(&["CONFIG", "SET", "maxmemory", "7mb", "port", &taken]);
    let text = "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check \
                server logs.";
    assert_eq!(refused, Value::Error(text.into()));
    let mut client = ours.client();
    assert_eq!(config(&mut client, "port"), ours.port().to_string());
    assert_eq!(config(&mut client, "maxmemory"), "0", "nothing of a refused change remains");
    let refused = client.cmd(&["CONFIG", "SET", "maxclients", "4000000000"]);
    assert!(refused.text().contains("The operating system is not able to handle"), "{refused:?}");
}

#[test]
fn config_set_reaches_the_running_server() {
    let server = Server::start(Kind::Ours, &["--enable-protected-configs", "yes"]);
    let mut client = server.client();
    client.good(&["CONFIG", "SET", "hash-max-listpack-entries", "1", "proto-max-bulk-len", "1mb"]);
    client.cmd(&["HSET", "h", "a", "1", "b", "2"]);
    assert_eq!(client.cmd(&["OBJECT", "ENCODING", "h"]), Value::bulk("hashtable"));
    assert!(client.cmd(&["SETRANGE", "s", "2000000", "x"]).is_error());

    client.good(&["CONFIG", "SET", "requirepass", "secret"]);
    assert_eq!(client.cmd(&["PING"]), Value::Simple("PONG".into()), "who is in stays in");
    let mut stranger = server.client();
    assert!(stranger.cmd(&["PING"]).is_error());
    client.good(&["CONFIG", "SET", "requirepass", ""]);
    assert!(!stranger.cmd(&["PING"]).is_error());

    let other = support::free_port();
    client.good(&["CONFIG", "SET", "port", &other.to_string()]);
    assert!(!Client::connect(other).cmd(&["PING"]).is_error());
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err(), "the old port is free");
    assert!(!client.cmd(&["PING"]).is_error(), "connections made at the old port live on");

    let dir = fresh_dir();
    client.good(&["SET", "k", "v"]);
    client.good(&["CONFIG", "SET", "dir", dir.to_str().unwrap(), "dbfilename", "here.rdb"]);
    client.good(&["SAVE"]);
    assert!(dir.join("here.rdb").exists());
    fs::remove_dir_all(dir).unwrap();
}

/// A server that was started from a file, which says everything.
struct FromFile(std::process::Child);

impl FromFile {
    fn start(file: &Path, port: u16) -> FromFile {
        let mut command = Command::new(Kind::Ours.program());
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        wait_until(Duration::from_secs(20), "the server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        FromFile(child)
    }
}

impl Drop for FromFile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_config_rewrite_writes_can_be_started_from() {
    let (dir, port) = (fresh_dir(), support::free_port());
    let file = dir.join("test.conf");
    let head = format!("# a word\nport {port}\nbind 127.0.0.1\n");
    let old = format!("{head}hz 20\ndir {}\nenable-debug-command yes\n", dir.display());
    fs::write(&file, old).unwrap();
    let server = FromFile::start(&file, port);
    let mut client = Client::connect(port);
    assert_eq!(config(&mut client, "hz"), "20");
    client.good(&["CONFIG", "SET", "hz", "50", "maxmemory", "3mb", "save", "900 1 300 10"]);
    client.good(&["CONFIG", "SET", "requirepass", "a \"b\" c", "client-output-buffer-limit", "pubsub 9mb 1mb 7"]);
    client.good(&["CONFIG", "REWRITE"]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&format!("{head}hz 50\n")), "{text}");
    assert!(!text.contains("repl-timeout"), "defaults that nobody spoke of stay out:\n{text}");
    let all = client.cmd(&["CONFIG", "GET", "*"]);
    drop(server);
    for force_all in [true, false] {
        let server = FromFile::start(&file, port);
        let mut client = Client::connect(port);
        assert!(client.cmd(&["PING"]).is_error());
        client.good(&["AUTH", "a \"b\" c"]);
        assert_eq!(client.cmd(&["CONFIG", "GET", "*"]), all);
        if force_all {
            client.good(&["DEBUG", "CONFIG-REWRITE-FORCE-ALL"]);
            assert!(fs::read_to_string(&file).unwrap().contains("\nrepl-timeout 60\n"));
        }
        drop(server);
    }
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["test.conf"], "no temporary file stays");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn debug_needs_permission() {
    let (ours, stock) =
        [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &["--enable-debug-command", "no"])).into();
    let (mut us, mut them) = (ours.client(), stock.client());
    for words in
        ["DEBUG JMAP", "MULTI", "DEBUG SLEEP 0", "EXEC", "CONFIG SET requirepass x", "RESET", "DEBUG JMAP", "DEBUG"]
    {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(us.cmd(&words), them.cmd(&words), "{words:?}");
    }
    let local = Server::start(Kind::Ours, &["--enable-debug-command", "local"]);
    assert_eq!(local.cmd(&["DEBUG", "SLEEP", "0"]), Value::ok());
}

#[test]
fn there_are_no_modules_and_nobody_can_load_any() {
    for setting in ["no", "local"] {
        let args = ["--enable-module-command", setting];
        let (ours, stock) = (Server::start(Kind::Ours, &args), Server::start(Kind::Stock, &args));
        let (mut us, mut them) = (ours.client(), stock.client());
        for words in [
            "MODULE",
            "MODULE HELP",
            "MODULE LIST",
            "MODULE LIST x",
            "MODULE LOAD",
            "MODULE LOAD x",
            "MODULE LOADEX x CONFIG a b ARGS c",
            "MODULE UNLOAD x",
            "MODULE NONSENSE",
            "MULTI",
            "MODULE LOAD x",
            "EXEC",
            "CONFIG SET enable-module-command yes",
            "CONFIG SET requirepass x",
            "RESET",
            "MODULE LOAD x",
            "MODULE LIST",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(us.cmd(&words), them.cmd(&words), "{words:?} with {setting}");
        }
    }
}

#[test]
fn debug_answers_as_stock_does() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (mut us, mut them) = (ours.client(), stock.client());
    let kinds = "string integer double null array set map attrib push verbatim true false bignum nonsense";
    for args in [
        &["DEBUG"][..],
        &["DEBUG", "NONSENSE"],
        &["DEBUG", "SLEEP"],
        &["DEBUG", "POPULATE", "-1"],
        &["DEBUG", "POPULATE", "x"],
        &["DEBUG", "POPULATE", "3", "p", "-1"],
        &["DEBUG", "POPULATE", "30"],
        &["DEBUG", "POPULATE", "30", "long", "100"],
        &["DEBUG", "POPULATE", "30", "short", "3"],
        &["DEBUG", "POPULATE", "40", "short"],
        &["DEBUG", "OBJECT", "none"],
        &["DEBUG", "LISTPACK", "key:1"],
        &["DEBUG", "HTSTATS", "99"],
        &["DEBUG", "HTSTATS-KEY", "key:1"],
        &["DEBUG", "RELOAD", "NONSENSE"],
        &["DEBUG", "DIGEST-VALUE", "key:1", "long:1", "none"],
        &["DEBUG", "DIGEST-VALUE"],
        &["DEBUG", "ERROR", "WRONG something"],
        &["DEBUG", "PAUSE-CRON", "0"],
        &["DEBUG", "CHANGE-REPL-ID"],
        &["SET", "number", "12"],
        &["DEBUG", "SDSLEN", "number"],
        &["DEBUG", "SDSLEN", "none"],
        &["DEBUG", "SDSLEN"],
        &["DEBUG", "LEAK", "some"],
        &["DEBUG", "MALLCTL", "no.such"],
        &["DEBUG", "MALLCTL", "opt.narenas"],
        &["DEBUG", "MALLCTL-STR", "no.such"],
        &["DEBUG", "LISTPACK", "none"],
        &["DEBUG", "QUICKLIST", "none"],
        &["DEBUG", "QUICKLIST", "key:1"],
        &["DEBUG", "CLIENT-EVICTION"],
        &["DEBUG", "AOF-FLUSH-SLEEP", "0"],
        &["DEBUG", "DROP-CLUSTER-PACKET-FILTER", "-1"],
        &["DEBUG", "CLUSTERLINK", "KILL", "all", "nobody"],
        &["DEBUG", "CLUSTERLINK", "KEEP", "all", "nobody"],
        &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b"],
        &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "much"],
        &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "5gb"],
        &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "0"],
        &["DEBUG", "REPLYBUFFER", "NONSENSE", "1"],
        &["DEBUG", "STRINGMATCH-LEN"],
        &["GET", "long:7"],
        &["GET", "short:7"],
        &["DBSIZE"],
        &["DEBUG", "DIGEST"],
    ] {
        assert_eq!(us.cmd(args), them.cmd(args), "{args:?}");
    }
    for protocol in ["2", "3"] {
        us.good(&["HELLO", protocol]);
        them.good(&["HELLO", protocol]);
        for kind in kinds.split(' ') {
            let ask = support::encode(&["DEBUG", "PROTOCOL", kind]);
            let mut raw = [Vec::new(), Vec::new()];
            for (client, raw) in [&mut us, &mut them].into_iter().zip(&mut raw) {
                // An attribute is no reply of its own, so bytes are compared: up to the PING's answer.
                client.write_raw(&ask).unwrap();
                client.write_raw(b"PING\r\n").unwrap();
                while !raw.ends_with(b"+PONG\r\n") {
                    raw.extend(client.read_exact(1).unwrap());
                }
            }
            assert_eq!(raw[0].escape_ascii().to_string(), raw[1].escape_ascii().to_string(), "{kind} in {protocol}");
        }
    }
    let text = us.cmd(&["DEBUG", "SDSLEN", "key:1"]).text();
    assert!(text.starts_with("key_sds_len:5, key_sds_avail:0, ") && text.contains(", val_sds_len:7, "), "{text}");
    assert!(us.cmd(&["DEBUG", "LOADAOF"]).is_error(), "and we go on");
    us.good(&["DEBUG", "STRINGMATCH-TEST"]);
    us.good(&["RPUSH", "l", "a", "b", "c"]);
    let text = us.cmd(&["DEBUG", "OBJECT", "l"]).text();
    assert!(text.contains(" refcount:1 encoding:listpack serializedlength:") && text.contains(" lru:"), "{text}");
}

#[test]
fn the_same_commands_give_the_same_digest_as_on_stock_and_a_reload_keeps_it() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    for server in [&ours, &stock] {
        fill(&mut server.client());
    }
    let mut client = ours.client();
    let digest = client.cmd(&["DEBUG", "DIGEST"]);
    assert_eq!(digest, stock.cmd(&["DEBUG", "DIGEST"]));
    let ttl = client.cmd(&["PEXPIRETIME", "volatile:7"]);
    assert_eq!(client.cmd(&["DEBUG", "RELOAD"]), Value::ok());
    assert_eq!(client.cmd(&["DEBUG", "DIGEST"]), digest);
    assert_eq!(client.cmd(&["PEXPIRETIME", "volatile:7"]), ttl);
    assert_eq!(difference(&ours, &stock).filter(|what| !what.contains("volatile:")), None);
    assert_eq!(ours.info("rdb_changes_since_last_save"), "0");
}

#[test]
fn debug_reload_takes_what_its_options_say() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    client.good(&["SET", "both", "saved"]);
    client.good(&["SET", "saved", "x"]);
    client.good(&["SAVE"]);
    client.good(&["SET", "both", "later"]);
    client.good(&["SET", "later", "x"]);
    client.good(&["DEL", "saved"]);
    assert!(client.cmd(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH"]).is_error());
    assert_eq!(client.cmd(&["GET", "both"]), Value::bulk("later"), "a refused reload changes nothing");
    client.good(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"]);
    assert_eq!(client.cmd(&["MGET", "both", "saved", "later"]).items(), ["saved", "x", "x"].map(Value::bulk));
    client.good(&["DEBUG", "RELOAD", "NOSAVE"]);
    assert_eq!(client.cmd(&["MGET", "both", "saved", "later"]).items()[2], Value::Nil);
    fs::write(server.dir().join("dump.rdb"), "REDIS0011 nonsense").unwrap();
    assert!(client.cmd(&["DEBUG", "RELOAD", "NOSAVE"]).is_error());
    assert_eq!(client.cmd(&["DBSIZE"]), Value::Int(2));
}

#[test]
fn debug_restart_saves_and_starts_again_and_a_crash_does_not_save() {
    let server = Server::start(Kind::Ours, &["--save", "10000 1"]);
    server.cmd(&["SET", "k", "v"]);
    for (how, kept) in [("RESTART", Value::bulk("v")), ("CRASH-AND-RECOVER", Value::bulk("v"))] {
        let run = server.info("run_id");
        assert!(server.client().try_cmd(&["DEBUG", how, "0"]).is_err(), "the connection ends");
        // A socket of the process that ends may still take connections for a moment.
        let answers = || {
            let stream = TcpStream::connect(("127.0.0.1", server.port()));
            stream.is_ok_and(|stream| Client::over(stream).try_cmd(&["PING"]).is_ok())
        };
        wait_until(Duration::from_secs(20), "the server is back", answers);
        server.wait_loaded();
        assert_ne!(server.info("run_id"), run);
        assert_eq!(server.cmd(&["GET", "k"]), kept);
        server.cmd(&["SET", "k", "lost in the crash"]);
    }
}

#[test]
fn expired_keys_stay_until_they_are_asked_for_when_debug_says_so() {
    let server = Server::start(Kind::Ours, &["--hz", "500"]);
    let mut client = server.client();
    client.good(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    client.good(&["SET", "k", "v", "PX", "1"]);
    client.good(&["DEBUG", "SLEEP", "0.01"]);
    let cycles: u64 = server.info("eventloop_cycles").parse().unwrap();
    let passed = || server.info("eventloop_cycles").parse::<u64>().unwrap() > cycles + 20;
    wait_until(Duration::from_secs(20), "some turns have passed", passed);
    assert_eq!(client.cmd(&["DBSIZE"]), Value::Int(1));
    client.good(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    wait_until(Duration::from_secs(20), "the key is gone", || client.cmd(&["DBSIZE"]) == Value::Int(0));
    assert_eq!(server.info("expired_keys"), "1");
}

#[test]
fn wrong_checksums_pass_where_debug_says_so() {
    let dir = fresh_dir();
    let mut server = Server::start_in(Kind::Ours, &dir, &[]);
    fill(&mut server.client());
    server.client().good(&["SAVE"]);
    let path = dir.join("dump.rdb");
    let mut file = fs::read(&path).unwrap();
    *file.last_mut().unwrap() ^= 1;
    fs::write(&path, file).unwrap();
    let mut payload = server.cmd(&["DUMP", "string:number:007"]).bytes();
    *payload.last_mut().unwrap() ^= 1;
    let restore = [b"RESTORE".as_slice(), b"again", b"0", &payload];
    for (skip, passes) in [("0", false), ("1", true), ("0", false)] {
        server.client().good(&["DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", skip]);
        server.cmd(&["DEL", "again"]);
        assert_eq!(server.cmd(&restore).is_error(), !passes);
        assert_eq!(server.cmd(&["DEBUG", "RELOAD", "NOSAVE"]).is_error(), !passes);
    }
    server.kill();
}

#[test]
fn cron_goes_faster_where_there_are_many_clients() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &["--hz", "1"]);
        let crowd: Vec<TcpStream> =
            (0..450).map(|_| TcpStream::connect(("127.0.0.1", server.port())).unwrap()).collect();
        wait_until(Duration::from_secs(30), "hz has followed", || server.info("hz") == "4");
        assert_eq!(server.info("configured_hz"), "1");
        server.client().good(&["CONFIG", "SET", "dynamic-hz", "no"]);
        wait_until(Duration::from_secs(30), "hz is as it is set", || server.info("hz") == "1");
        drop(crowd);
    }
}
