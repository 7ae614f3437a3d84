//! `scripts/migrate` between stock servers: nothing is lost of what is written while it works, a dry run changes nothing,
//! and wherever it is killed the source stays as it was and a second run ends well.

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Kind, Server, Value, assert_same_data, fill, wait_until};

const BOUND: Duration = Duration::from_secs(60);

fn migrate(source: &Server, target: &Server, more: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/migrate"))
        .args(["--program", env!("CARGO_BIN_EXE_understudy"), "--hold", "0", "--timeout", "60"])
        .args([
            "--source",
            &format!("127.0.0.1:{}", source.port()),
            "--target",
            &format!("127.0.0.1:{}", target.port()),
        ])
        .args(more)
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn source() -> Server {
    let source = Server::start(Kind::Stock, &["--repl-diskless-sync-delay", "0"]);
    fill(&mut source.client());
    source
}

#[test]
fn a_live_data_set_is_moved_whole() {
    let (source, target) = (source(), Server::start(Kind::Stock, &[]));
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut client, mut number) = (source.client(), 0);
            while !done.load(Ordering::Relaxed) {
                client.good(&["SET", &format!("live:{number}"), "while it moves"]);
                number += 1;
            }
        });
        let output = migrate(&source, &target, &[]).output().expect("python3 runs");
        // A writer who was not repointed: the target must not hear him any more.
        let moved = target.client().good(&["DBSIZE"]).int();
        wait_until(BOUND, "the source takes writes again", || source.client().good(&["DBSIZE"]).int() > moved);
        done.store(true, Ordering::Relaxed);
        writer.join().expect("the writer ends well");
        output
    });
    assert!(output.status.success() && text(&output).contains("all equal"), "{}", text(&output));
    assert_eq!(target.info("role"), "master");
    // What was written before the pause is there, and all else: take the later writes back and compare.
    let (mut old, mut new) = (source.client(), target.client());
    let mut number = 0;
    while old.good(&["EXISTS", &format!("live:{number}")]) == Value::Int(1) {
        if new.good(&["EXISTS", &format!("live:{number}")]) == Value::Int(0) {
            old.good(&["DEL", &format!("live:{number}")]);
        }
        number += 1;
    }
    assert!(new.good(&["EXISTS", "live:0"]) == Value::Int(1), "some came before the pause");
    assert_same_data(&source, &target);
}

#[test]
fn a_dry_run_and_a_full_target_change_nothing() {
    let (source, target) = (source(), Server::start(Kind::Stock, &[]));
    let dry = migrate(&source, &target, &["--dry-run"]).output().expect("python3 runs");
    assert!(dry.status.success() && text(&dry).contains("nothing changed"), "{}", text(&dry));
    assert_eq!((target.info("role").as_str(), target.client().good(&["DBSIZE"]).int()), ("master", 0));
    assert_eq!(source.info("connected_slaves"), "0");
    target.client().good(&["SET", "mine", "1"]);
    let refused = migrate(&source, &target, &[]).output().expect("python3 runs");
    assert!(!refused.status.success() && text(&refused).contains("--replace"), "{}", text(&refused));
    assert_eq!(target.client().good(&["GET", "mine"]).text(), "1");
}

#[test]
fn a_part_is_copied_by_database_glob_and_type() {
    let (source, target) = (source(), Server::start(Kind::Stock, &[]));
    let mut client = source.client();
    client.good(&["SELECT", "3"]);
    for (key, value) in [("part:1", "a"), ("part:2", "b"), ("other", "c")] {
        client.good(&["SET", key, value]);
    }
    client.good(&["LPUSH", "part:list", "x"]);
    let part = migrate(&source, &target, &["--filter", "db=3", "--filter", "key=part:*", "--filter", "type=string"]);
    let output = { part }.output().expect("python3 runs");
    assert!(output.status.success() && text(&output).contains("2 keys compared, all equal"), "{}", text(&output));
    let mut there = target.client();
    assert_eq!(there.good(&["DBSIZE"]).int(), 0);
    there.good(&["SELECT", "3"]);
    assert_eq!((there.good(&["DBSIZE"]).int(), there.good(&["GET", "part:2"]).text()), (2, "b".into()));
}

#[test]
fn killed_anywhere_it_leaves_the_source_as_it_was() {
    let source = source();
    let digest = source.client().good(&["DEBUG", "DIGEST"]).text();
    for delay_ms in [150, 400, 600, 800, 1000, 1300] {
        let target = Server::start(Kind::Stock, &[]);
        let mut command = migrate(&source, &target, &["--replace"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 runs");
        // Where it is by then is up to the machine; any place will do.
        std::thread::sleep(Duration::from_millis(delay_ms));
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(source.client().good(&["DEBUG", "DIGEST"]).text(), digest);
    }
    // A pause that nobody renews ends by itself.
    source.client().good(&["SET", "written", "after"]);
    source.client().good(&["DEL", "written"]);
    let target = Server::start(Kind::Stock, &[]);
    let output = migrate(&source, &target, &[]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    assert_same_data(&source, &target);
}

#[test]
fn fields_that_expire_are_moved_and_their_moments_compared() {
    let source = Server::start(Kind::Peer("redis-server-8.2"), &[]);
    let target = Server::start(Kind::Peer("valkey-server-9.1"), &[]);
    let mut client = source.client();
    client.good(&["HSET", "h", "a", "1", "b", "2", "c", "3"]);
    client.good(&["HPEXPIREAT", "h", "4102444800123", "FIELDS", "2", "a", "b"]);
    let output = migrate(&source, &target, &[]).output().expect("python3 runs");
    assert!(output.status.success() && text(&output).contains("1 keys compared, all equal"), "{}", text(&output));
    let moments = ["HPEXPIRETIME", "h", "FIELDS", "3", "a", "b", "c"];
    assert_eq!(target.cmd(&moments), source.cmd(&moments));
    // What the comparison is for: a field that would live longer, or for ever, is no equal.
    for change in
        [&["HPEXPIREAT", "h", "4102444800124", "FIELDS", "1", "a"][..], &["HPERSIST", "h", "FIELDS", "1", "b"]]
    {
        target.client().good(&["HPEXPIREAT", "h", "4102444800123", "FIELDS", "2", "a", "b"]);
        assert_eq!(compared(&source, &target), "[]");
        target.client().good(change);
        assert_eq!(compared(&source, &target), "[(0, b'h', 'fields expire at other times')]", "{change:?}");
    }
    // A server that knows no such fields is compared by the values alone.
    let old = Server::start(Kind::Stock, &[]);
    old.client().good(&["HSET", "h", "a", "1", "b", "2", "c", "3"]);
    assert_eq!(compared(&source, &old), "[]");
    // A field that is about to go may be gone on one side.
    client.good(&["HSET", "h", "soon", "1"]);
    client.good(&["HPEXPIRE", "h", "4000", "FIELDS", "1", "soon"]);
    target.client().good(&["HPEXPIREAT", "h", "4102444800123", "FIELDS", "2", "a", "b"]);
    assert_eq!(compared(&source, &target), "[]");
}

/// What the script's own comparison finds.
fn compared(source: &Server, target: &Server) -> String {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let program = format!(
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {scripts:?})\n\
         from migration import nodes, verify\n\
         ends = [nodes.Node('end', '127.0.0.1:%d' % port) for port in ({}, {})]\n\
         print(verify.compare(ends[0], ends[1], lambda text: None)[0])",
        source.port(),
        target.port()
    );
    let output = Command::new("python3").args(["-c", &program]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    text(&output).trim().to_string()
}

#[test]
fn it_tells_keys_bytes_rate_and_the_time_left() {
    // Each key takes the source a while, so that both syncs can be watched.
    let slow = ["--rdb-key-save-delay", "1500", "--rdbcompression", "no"];
    let (source, target) = (Server::start(Kind::Stock, &slow), Server::start(Kind::Stock, &[]));
    source.client().good(&["DEBUG", "POPULATE", "2000", "key", "500"]);
    let output = migrate(&source, &target, &[]).output().expect("python3 runs");
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    let watched = |line: &&str| {
        let units = ["bridge 127.0.0.1:", " of 2000 keys, ", " MB, ", " MB/s, ", " keys/s, ", " s left"];
        units.iter().all(|unit| line.contains(unit))
    };
    assert!(told.lines().any(|line| watched(&line)), "{told}");
}

/// Seeds in which the bridge, the target and the source are killed; the script runs many more.
#[test]
fn whoever_is_killed_the_source_is_as_it_was_and_a_second_run_ends_well() {
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/migrate-kills"))
        .args(["--seed", "4", "--rounds", "3", "--program", env!("CARGO_BIN_EXE_understudy")])
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("killed: source 1, bridge 1, target 1, script 0; 0 failed"), "{}", text(&output));
}

#[test]
fn data_that_nobody_can_hold_is_named_and_nothing_is_waited_for() {
    let (source, target) = (Server::start(Kind::Peer("redis-server-8.2"), &[]), Server::start(Kind::Stock, &[]));
    source.client().good(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
    let output = migrate(&source, &target, &[]).output().expect("python3 runs");
    let told = text(&output);
    assert!(!output.status.success() && told.contains("cannot read") && told.contains("vectorset"), "{told}");
    assert_eq!((target.info("role").as_str(), source.info("connected_slaves").as_str()), ("master", "0"));
    // What comes live is not passed over either.
    source.client().good(&["DEL", "vectors"]);
    let bridge = Server::start(Kind::Ours, &[]);
    bridge.follow(&source);
    source.client().good(&["VADD", "vectors", "VALUES", "2", "1", "0.5", "element"]);
    bridge.wait_caught_up(&source);
    let place = format!("127.0.0.1:{}", bridge.port());
    let output = migrate(&source, &target, &["--bridge", &place, "--replace"]).output().expect("python3 runs");
    let told = text(&output);
    assert!(!output.status.success() && told.contains("cmd=VADD,db=0,key=vectors"), "{told}");
    assert_eq!(target.info("role"), "master");
}

#[test]
fn a_bridge_that_is_still_loading_is_waited_for() {
    let (source, target) = (source(), Server::start(Kind::Stock, &[]));
    let mut bridge = Server::start(Kind::Ours, &[]);
    bridge.client().good(&["DEBUG", "POPULATE", "500"]);
    bridge.client().good(&["SAVE"]);
    bridge.restart_with(&["--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024"]);
    assert_eq!(bridge.info("loading"), "1");
    let place = format!("127.0.0.1:{}", bridge.port());
    let output = migrate(&source, &target, &["--bridge", &place]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    assert_same_data(&source, &target);
}

/// A program in Python with two ends that hold the same and a bridge, beside the scripts.
fn script(ends: [&Server; 3], program: &str) -> String {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let ports = ends.map(|server| server.port().to_string()).join(", ");
    let program = format!(
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {scripts:?})\n\
         from migration import live, nodes, verify\n\
         class Told:\n    step = lambda self, text: print(text)\n    __call__ = lambda self, text: None\n\
         source, target, bridge = [nodes.Node('end', '127.0.0.1:%d' % port) for port in ({ports})]\n\
         {program}"
    );
    let output = Command::new("python3").args(["-c", &program]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

#[test]
fn what_changes_while_it_is_compared_is_compared_again_in_the_pause() {
    let [source, target, bridge] =
        [Kind::Stock, Kind::Stock, Kind::Ours].map(|kind| Server::start(kind, &["--databases", "16"]));
    for server in [&source, &target] {
        let mut client = server.client();
        client.good(&["MSET", "same", "1", "changes", "1", "late", "1", "wrong", "1"]);
        client.good(&["SELECT", "3"]);
        client.good(&["HSET", "late", "f", "1"]);
    }
    target.client().good(&["SET", "wrong", "2"]);
    let told = script(
        [&source, &target, &bridge],
        "turn = 0
def settle():
    global turn
    turn += 1
    if turn == 2:    # after all keys were compared
        for end in (source, bridge, target):
            end.ask('SET', 'changes', '2')
comparison = live.Live(source, target, bridge, Told(), settle)
comparison.before_pause()
print('before', list(comparison.wrong), sorted(comparison.left))
for end in (source, bridge):    # the target misses the last writes
    end.ask('SELECT', '3')
    end.ask('HSET', 'late', 'f', '2')
    end.ask('SET', 'new', '1')
    end.ask('SELECT', '0')
wrong, count = comparison.in_pause()
print('after', sorted(wrong), count)
bridge.ask('SWAPDB', '0', '1')
wrong, count = comparison.in_pause()
print('swapped', sorted(wrong), count)
comparison = live.Live(source, target, bridge, Told(), lambda: None)
comparison.before_pause()
bridge.ask('FLUSHALL')
print('flushed', len(comparison.in_pause()[0]))
",
    );
    assert!(told.contains("before [(0, b'wrong', 'another value')] [b'changes']\n"), "{told}");
    let late =
        "[(0, b'wrong', 'another value'), (3, b'late', 'another value'), (3, b'new', 'missing in the target')] 6\n";
    assert!(told.contains(&format!("after {late}")), "{told}");
    for why in ["databases were swapped", "all data was replaced or a database emptied"] {
        assert!(told.contains(&format!("all keys are compared while writes are paused: {why}")), "{told}");
    }
    assert!(told.contains(&format!("swapped {late}")) && told.ends_with("flushed 3\n"), "{told}");
}

#[test]
fn a_key_that_only_the_target_holds_is_no_equal() {
    let [source, target, bridge] = [Kind::Stock, Kind::Stock, Kind::Ours].map(|kind| Server::start(kind, &[]));
    target.client().good(&["SET", "beside", "1"]);
    let told = script(
        [&source, &target, &bridge],
        "comparison = live.Live(source, target, bridge, Told(), lambda: None)
comparison.before_pause()
print(*comparison.in_pause())
",
    );
    assert!(told.ends_with("[(0, b'beside', 'not at the source')] 0\n"), "{told}");
}

/// The quick look at bytes must see what the look at meanings sees: of every type, at both ends of a collection.
#[test]
fn no_difference_is_overlooked() {
    let (source, target) = (Server::start(Kind::Stock, &[]), Server::start(Kind::Stock, &[]));
    let many: Vec<String> = (0..600).map(|number| format!("word{number}")).collect();
    let big = |before: &[&str]| -> Vec<String> {
        before.iter().map(ToString::to_string).chain(many.iter().cloned()).collect()
    };
    for server in [&source, &target] {
        let mut client = server.client();
        for (kind, key) in [("RPUSH", "list"), ("SADD", "set"), ("HSET", "hash")] {
            client.good(&big(&[kind, &format!("big:{key}")]));
            client.good(&[kind, &format!("small:{key}"), "a", "1", "b", "-2"]);
        }
        client.good(&["ZADD", "small:zset", "1", "a", "-0.5", "b"]);
        client.good(&["MSET", "string", "text", "number", "17", "odd", "\r\n-ERR\r\n", "empty", "", "moves", "1"]);
        client.good(&["MSET", "timed", "1", "ages", "1", "lasts", "1"]);
        for key in ["timed", "ages", "lasts"] {
            client.good(&["PEXPIREAT", key, "4102444800000"]);
        }
        client.good(&["XADD", "stream", "1-1", "a", "b"]);
        client.good(&["XGROUP", "CREATE", "stream", "group", "0"]);
        client.good(&["PFADD", "counter", "a", "b"]);
        client.good(&["PFADD", "counted", "a", "b"]);
    }
    target.client().good(&["PFCOUNT", "counted"]);
    target.client().good(&["PEXPIREAT", "timed", "4102444800900"]);
    assert_eq!(compared(&source, &target), "[]");
    let changes: [(&str, &[&str]); 16] = [
        ("big:list", &["LSET", "big:list", "-1", "other"]),
        ("big:set", &["SREM", "big:set", "word17"]),
        ("big:hash", &["HSET", "big:hash", "word598", "other"]),
        ("small:list", &["LSET", "small:list", "3", "-3"]),
        ("small:set", &["SADD", "small:set", "c"]),
        ("small:hash", &["HSET", "small:hash", "b", "-3"]),
        ("small:zset", &["ZADD", "small:zset", "-0.25", "b"]),
        ("string", &["APPEND", "string", "\r\n"]),
        ("number", &["SET", "number", "18"]),
        ("odd", &["SET", "odd", "\r\n-ERR\r"]),
        ("empty", &["APPEND", "empty", "x"]),
        ("ages", &["PEXPIREAT", "ages", "4102444900000"]),
        ("lasts", &["PERSIST", "lasts"]),
        ("stream", &["XGROUP", "SETID", "stream", "group", "$"]),
        ("counter", &["PFADD", "counter", "c", "d", "e"]),
        ("moves", &["RENAME", "moves", "moved"]),
    ];
    for (_, change) in changes {
        target.client().good(change);
    }
    let wrong = compared(&source, &target);
    for (key, _) in changes {
        assert!(wrong.contains(&format!("(0, b'{key}', ")), "{key}: {wrong}");
    }
    assert_eq!(wrong.matches("(0, ").count(), changes.len(), "{wrong}");
    // Who may not read is not told that all is equal.
    for server in [&source, &target] {
        server.client().good(&["ACL", "SETUSER", "default", "-get", "-pexpiretime"]);
    }
    let wrong = compared(&source, &target);
    assert!(wrong.contains("cannot be read: ") && wrong.contains("NOPERM"), "{wrong}");
}
