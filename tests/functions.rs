//! Functions, beside stock Redis: replies and error texts, how libraries travel, where they are kept, and what a library
//! that is no good costs.

mod support;

use std::process::Command;
use std::time::Duration;

use support::{Client, Kind, Server, Value, stream_of, wait_until};
use understudy::resp::request::split_args;

const COMMANDS: &str = include_str!("functions/commands.txt");

const EVERY_PAIR: [(Kind, Kind); 3] = [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)];

/// A library of functions that write, read, and remember.
const LIBRARY: &str = "#!lua name=mylib
local count = 0
redis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function{function_name='peek', description='reads', flags={'no-writes', 'allow-stale'},
    callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function('count', function() count = count + 1 return count end)
redis.register_function('many', function(keys) for i = 1, 5 do redis.call('rpush', keys[1], i) end
    redis.call('sadd', 's', 1, 2, 3) return redis.call('spop', 's') end)";

const OTHER: &str = "#!lua name=other\nredis.register_function('other', function() return 'other' end)";

fn with_debug(kind: Kind) -> Server {
    Server::start(kind, &["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"])
}

fn send(client: &mut Client, args: &[&str]) {
    client.write_raw(&support::encode(args)).unwrap();
}

/// The same, whatever the order in which a server tells of libraries, functions and flags.
fn settled(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            items = items.into_iter().map(settled).collect();
            if items.iter().all(|item| matches!(item, Value::Array(parts) if parts.len() >= 6)) {
                items.sort_by_key(|item| format!("{item:?}"));
            }
            Value::Array(items)
        }
        other => other,
    }
}

fn libraries(server: &Server) -> Value {
    settled(server.cmd(&["FUNCTION", "LIST", "WITHCODE"]))
}

#[track_caller]
fn assert_same(one: &Server, other: &Server) {
    support::assert_same_data(one, other);
    assert_eq!(libraries(one), libraries(other));
}

#[test]
fn commands_answer_as_in_stock() {
    let servers = [with_debug(Kind::Ours), with_debug(Kind::Stock)];
    let mut clients = servers.each_ref().map(Server::client);
    let mut dumps = [Vec::new(), Vec::new()];
    for line in COMMANDS.lines() {
        let words = split_args(line.as_bytes()).unwrap();
        let replies = [0, 1].map(|place| {
            let words = words.iter().map(|word| if word == b"$DUMP" { dumps[place].clone() } else { word.clone() });
            let reply = clients[place].cmd(&words.collect::<Vec<_>>());
            if line == "FUNCTION DUMP" {
                dumps[place] = if let Value::Bulk(bytes) = &reply { bytes.clone() } else { Vec::new() };
            }
            settled(reply)
        });
        // Several libraries are dumped, and looked for, in any order.
        let clash = line.starts_with("FUNCTION RESTORE")
            && replies.iter().all(|reply| reply.is_error() && reply.text().starts_with("ERR Library "));
        if line != "FUNCTION DUMP" && !clash {
            assert_eq!(replies[0], replies[1], "{line}");
        }
    }
}

#[test]
fn libraries_and_what_functions_write_reach_replicas_of_either_kind() {
    for (master, replica) in EVERY_PAIR {
        let (master, replica) = (with_debug(master), with_debug(replica));
        let mut client = master.client();
        client.good(&["FUNCTION", "LOAD", LIBRARY]);
        client.good(&["FCALL", "many", "1", "before"]);
        // One comes with the snapshot, the others with the stream.
        replica.follow(&master);
        replica.wait_for_link(&master);
        assert_same(&master, &replica);
        client.good(&["FUNCTION", "LOAD", OTHER]);
        client.good(&["FCALL", "put", "1", "k", "v"]);
        client.good(&["FCALL", "many", "1", "list"]);
        replica.wait_caught_up(&master);
        assert_same(&master, &replica);
        assert_eq!(replica.cmd(&["FCALL_RO", "PEEK", "1", "k"]), Value::bulk("v"));
        assert!(replica.cmd(&["FCALL", "put", "1", "k", "v"]).text().starts_with("READONLY"));
        assert!(replica.cmd(&["FUNCTION", "FLUSH"]).text().starts_with("READONLY"));
        let dump = client.good(&["FUNCTION", "DUMP"]).bytes();
        client.good(&["FUNCTION", "DELETE", "other"]);
        client.good(&["FLUSHALL"]);
        replica.wait_caught_up(&master);
        assert_same(&master, &replica);
        assert_eq!(replica.cmd(&["FUNCTION", "LIST"]).items().len(), 1);
        client.good(&[&b"FUNCTION"[..], b"RESTORE", &dump, b"REPLACE"]);
        replica.wait_caught_up(&master);
        assert_same(&master, &replica);
        assert_eq!(replica.cmd(&["FUNCTION", "LIST"]).items().len(), 2);
        client.good(&["FUNCTION", "FLUSH", "ASYNC"]);
        replica.wait_caught_up(&master);
        assert_eq!(replica.cmd(&["FUNCTION", "LIST"]).items().len(), 0);
    }
}

#[test]
fn commands_about_libraries_travel_as_typed_and_functions_as_what_they_ran() {
    let quick = ["--repl-diskless-sync-delay", "0"];
    let run = |client: &mut Client| {
        client.cmd(&["SELECT", "3"]);
        client.cmd(&["FUNCTION", "LOAD", LIBRARY]);
        client.cmd(&["function", "load", "replace", LIBRARY]);
        client.cmd(&["FUNCTION", "LOAD", LIBRARY]);
        client.cmd(&["FCALL", "put", "1", "k", "v"]);
        client.cmd(&["FCALL_RO", "peek", "1", "k"]);
        client.cmd(&["FCALL", "count", "0"]);
        client.cmd(&["MULTI"]);
        client.cmd(&["FUNCTION", "LOAD", OTHER]);
        client.cmd(&["FCALL", "put", "1", "k", "w"]);
        client.cmd(&["EXEC"]);
        let dump = client.cmd(&["FUNCTION", "DUMP"]).bytes();
        client.cmd(&["FUNCTION", "DELETE", "nobody"]);
        client.cmd(&["FUNCTION", "DELETE", "other"]);
        client.cmd(&["FUNCTION", "DELETE", "mylib"]);
        client.cmd(&["FUNCTION", "FLUSH", "SYNC"]);
        client.cmd(&["FUNCTION", "RESTORE", "nothing"]);
        client.cmd(&[&b"FUNCTION"[..], b"RESTORE", &dump]);
        client.cmd(&["FUNCTION", "FLUSH"]);
    };
    // What is restored is bytes of its own in each server.
    let sent = [Kind::Ours, Kind::Stock].map(|kind| {
        let mut sent = stream_of(&Server::start(kind, &quick), run);
        sent.iter_mut().filter(|line| line.starts_with("FUNCTION RESTORE")).for_each(|line| line.truncate(16));
        sent
    });
    assert_eq!(sent[0], sent[1]);
    assert!(sent[0].iter().any(|line| line.starts_with("FUNCTION RESTORE")), "{:?}", sent[0]);
}

#[test]
fn what_one_dumps_the_other_restores() {
    for (from, to) in EVERY_PAIR {
        let (from, to) = (with_debug(from), with_debug(to));
        let long = format!("{OTHER} -- {}", "x".repeat(5000));
        for code in [LIBRARY, &long] {
            from.client().good(&["FUNCTION", "LOAD", code]);
        }
        let dump = from.cmd(&["FUNCTION", "DUMP"]).bytes();
        to.client().good(&[&b"FUNCTION"[..], b"RESTORE", &dump]);
        assert_eq!(libraries(&from), libraries(&to));
        assert_eq!(to.cmd(&["FCALL", "other", "0"]), Value::bulk("other"));
    }
}

#[test]
fn libraries_outlive_a_restart_a_reload_and_flushall() {
    for second in [Kind::Ours, Kind::Stock] {
        let mut first = with_debug(Kind::Ours);
        first.client().good(&["FUNCTION", "LOAD", LIBRARY]);
        first.client().good(&["FUNCTION", "LOAD", OTHER]);
        first.client().good(&["FCALL", "put", "1", "k", "v"]);
        let before = libraries(&first);
        first.client().good(&["DEBUG", "RELOAD"]);
        assert_eq!(libraries(&first), before);
        assert!(first.cmd(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH"]).is_error());
        assert_eq!(libraries(&first), before);
        first.client().good(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"]);
        assert_eq!(libraries(&first), before);
        first.client().good(&["FLUSHALL"]);
        first.client().good(&["SAVE"]);
        let dir = support::fresh_dir();
        std::fs::copy(first.dir().join("dump.rdb"), dir.join("dump.rdb")).unwrap();
        first.kill();
        let again = Server::start_in(second, &dir, &["--enable-debug-command", "yes"]);
        again.wait_loaded();
        assert_eq!(libraries(&again), before);
        assert_eq!(again.cmd(&["FCALL", "count", "0"]), Value::Int(1));
    }
}

#[test]
fn a_replica_takes_its_masters_libraries_however_it_loads() {
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let args = ["--repl-diskless-load", load, "--enable-debug-command", "yes"];
        let (master, replica) = (with_debug(Kind::Stock), Server::start(Kind::Ours, &args));
        master.client().good(&["FUNCTION", "LOAD", LIBRARY]);
        replica.client().good(&["FUNCTION", "LOAD", OTHER]);
        replica.client().good(&["SET", "mine", "1"]);
        replica.follow(&master);
        replica.wait_for_link(&master);
        assert_same(&master, &replica);
        // A snapshot that never becomes whole costs nothing.
        replica.client().good(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(replica.cmd(&["FCALL", "count", "0"]), Value::Int(1));
    }
}

/// What a master sends whose snapshot holds this library.
fn bad_master(code: &str) -> (u16, std::thread::JoinHandle<()>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut snapshot = b"REDIS0010\xf5".to_vec();
    snapshot.extend([0x40 | (code.len() >> 8) as u8, code.len() as u8]);
    snapshot.extend(code.as_bytes());
    snapshot.push(0xff);
    snapshot.extend([0; 8]);
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (mut input, mut output) = (BufReader::new(stream.try_clone().unwrap()), stream);
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|count| count > 0) {
            let word = line.trim().to_ascii_lowercase();
            line.clear();
            let answer = match word.as_str() {
                "ping" => "+PONG\r\n".to_string(),
                "replconf" => "+OK\r\n".to_string(),
                "psync" => format!("+FULLRESYNC {} 1\r\n${}\r\n", "1".repeat(40), snapshot.len()),
                _ => continue,
            };
            let mut bytes = answer.into_bytes();
            if word == "psync" {
                bytes.extend(&snapshot);
            }
            if output.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    (port, thread)
}

#[test]
fn a_sync_with_a_bad_library_costs_neither_data_nor_libraries() {
    for load in ["disabled", "swapdb"] {
        for code in ["#!lua name=bad\nnonsense", "no library", "#!lua name=bad\nreturn 1"] {
            let ours = Server::start(Kind::Ours, &["--repl-diskless-load", load]);
            ours.client().good(&["FUNCTION", "LOAD", LIBRARY]);
            ours.client().good(&["SET", "mine", "1"]);
            let (port, thread) = bad_master(code);
            ours.client().good(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
            ours.wait_for_log("the data we hold stays: Failed creating the library");
            ours.client().good(&["REPLICAOF", "NO", "ONE"]);
            thread.join().unwrap();
            assert_eq!(ours.cmd(&["GET", "mine"]), Value::bulk("1"));
            assert_eq!(ours.cmd(&["FCALL", "count", "0"]), Value::Int(1));
        }
    }
}

#[test]
fn cut_and_changed_payloads_are_refused_or_restored_whole() {
    let ours = with_debug(Kind::Ours);
    let mut client = ours.client();
    client.good(&["FUNCTION", "LOAD", LIBRARY]);
    client.good(&["FUNCTION", "LOAD", OTHER]);
    let dump = client.good(&["FUNCTION", "DUMP"]).bytes();
    let before = libraries(&ours);
    let seal = |body: &[u8]| {
        let mut payload = [body, &[10, 0]].concat();
        payload.extend(understudy::base::crc64::crc64(0, &payload).to_le_bytes());
        payload
    };
    let body = &dump[..dump.len() - 10];
    for cut in 0..dump.len() {
        let reply = client.cmd(&[&b"FUNCTION"[..], b"RESTORE", &dump[..cut], b"REPLACE"]);
        assert!(reply.is_error(), "{cut}");
    }
    assert_eq!(libraries(&ours), before);
    for at in 0..body.len() {
        let mut changed = body.to_vec();
        changed[at] ^= 1 << (at % 8);
        let reply = client.cmd(&[&b"FUNCTION"[..], b"RESTORE", &seal(&changed), b"REPLACE"]);
        assert!(reply.is_error() || reply == Value::ok(), "{at}: {reply:?}");
        let reply = client.cmd(&[&b"FUNCTION"[..], b"RESTORE", &seal(&body[..at]), b"FLUSH"]);
        assert!(reply.is_error() || reply == Value::ok(), "{at}: {reply:?}");
        client.good(&[&b"FUNCTION"[..], b"RESTORE", &dump, b"FLUSH"]);
    }
    assert_eq!(libraries(&ours), before);
}

#[test]
fn a_library_that_loads_without_end_is_stopped() {
    let ours = with_debug(Kind::Ours);
    let mut client = ours.client();
    client.good(&["FUNCTION", "LOAD", OTHER]);
    for loops in ["while true do end", "local function f() return f() end f()"] {
        let code = format!("#!lua name=other\nredis.register_function('x', function() end) {loops}");
        let reply = client.cmd(&["FUNCTION", "LOAD", "REPLACE", &code]);
        assert_eq!(reply.text(), "ERR Error registering functions: ERR FUNCTION LOAD timeout");
    }
    assert_eq!(client.cmd(&["FCALL", "other", "0"]), Value::bulk("other"));
    assert!(client.cmd(&["FCALL", "x", "0"]).is_error());
    let endless = "#!lua name=big\nlocal t = {} local i = 0 while true do i = i + 1 t[i] = ('x'):rep(1000000) .. i end";
    assert!(client.cmd(&["FUNCTION", "LOAD", endless]).is_error());
    assert_eq!(client.cmd(&["FCALL", "other", "0"]), Value::bulk("other"));
}

#[test]
fn a_function_that_runs_for_long_is_told_of_and_killed_as_in_stock() {
    let code = "#!lua name=slow\nredis.register_function('Slow', function() while true do pcall(error) end end)
        redis.register_function('write', function(keys) redis.call('set', keys[1], 1) while true do end end)";
    let said = [Kind::Ours, Kind::Stock].map(|kind| {
        let mut server = Server::start(kind, &["--busy-reply-threshold", "20"]);
        let (mut runner, mut other) = (server.client(), server.client());
        other.good(&["FUNCTION", "LOAD", code]);
        let busy = |other: &mut Client| other.cmd(&["PING"]).is_error();
        send(&mut runner, &["fcall", "SLOW", "1", "k", "a"]);
        wait_until(Duration::from_secs(20), "the function is slow", || busy(&mut other));
        let mut said = Vec::new();
        for args in
            [&["PING"][..], &["FUNCTION", "LIST"], &["FUNCTION", "HELP"], &["SCRIPT", "KILL"], &["FUNCTION", "STATS"]]
        {
            said.push(other.cmd(args));
        }
        // How long it has run differs.
        if let Some(Value::Array(stats)) = said.last_mut()
            && let Value::Array(running) = &mut stats[1]
        {
            assert!(running[5].int() >= 20);
            running.pop();
        }
        said.push(other.cmd(&["FUNCTION", "KILL"]));
        said.push(runner.read().unwrap());
        said.push(other.cmd(&["FUNCTION", "KILL"]));
        said.push(other.cmd(&["FUNCTION", "STATS"]));
        send(&mut runner, &["EVAL", "while true do end", "0"]);
        wait_until(Duration::from_secs(20), "the script is slow", || busy(&mut other));
        said.push(other.cmd(&["FUNCTION", "KILL"]));
        said.push(other.cmd(&["FUNCTION", "STATS"]));
        said.push(other.cmd(&["SCRIPT", "KILL"]));
        assert!(runner.read().unwrap().is_error());
        send(&mut runner, &["FCALL", "write", "1", "k"]);
        wait_until(Duration::from_secs(20), "the function is slow", || busy(&mut other));
        said.push(other.cmd(&["FUNCTION", "KILL"]));
        send(&mut other, &["SHUTDOWN", "NOSAVE"]);
        assert_eq!(server.wait_exit().code(), Some(0));
        said
    });
    for (ours, stock) in said[0].iter().zip(&said[1]) {
        assert_eq!(ours, stock);
    }
}

#[test]
fn functions_are_refused_where_and_as_stock_refuses_them() {
    let (ours, stock) = (with_debug(Kind::Ours), with_debug(Kind::Stock));
    let setup: [&[&str]; 3] = [
        &["FUNCTION", "LOAD", LIBRARY],
        &["ACL", "SETUSER", "joe", "on", "nopass", "~k*", "+@scripting", "-function|dump", "+get"],
        &["ACL", "SETUSER", "ann", "on", "nopass", "%R~k*", "+fcall", "+fcall_ro", "+get"],
    ];
    let calls: [&[&str]; 12] = [
        &["FCALL", "put", "1", "k", "v"],
        &["FCALL", "put", "1", "x", "v"],
        &["FCALL", "peek", "1", "k"],
        &["FCALL", "peek", "1", "x"],
        &["FCALL", "peek", "0"],
        &["FCALL_RO", "put", "1", "k", "v"],
        &["FCALL_RO", "peek", "1", "k"],
        &["FUNCTION", "LOAD", OTHER],
        &["FUNCTION", "DELETE", "other"],
        &["FUNCTION", "DUMP"],
        &["FUNCTION", "LIST"],
        &["FUNCTION", "STATS"],
    ];
    let settings: [&[&[&str]]; 6] = [
        &[],
        &[&["CONFIG", "SET", "maxmemory", "1"]],
        &[&["CONFIG", "SET", "maxmemory", "0"], &["CONFIG", "SET", "min-replicas-to-write", "1"]],
        &[&["CONFIG", "SET", "min-replicas-to-write", "0"], &["REPLICAOF", "127.0.0.1", "1"]],
        &[&["CONFIG", "SET", "replica-serve-stale-data", "no"]],
        &[&["REPLICAOF", "NO", "ONE"], &["FUNCTION", "FLUSH"]],
    ];
    for args in setup {
        assert_eq!(ours.cmd(args), stock.cmd(args), "{args:?}");
    }
    for setting in settings {
        for args in setting {
            assert_eq!(ours.cmd(args), stock.cmd(args), "{args:?}");
        }
        for user in ["default", "joe", "ann"] {
            let mut clients = [ours.client(), stock.client()];
            for client in &mut clients {
                client.good(&["AUTH", user, ""]);
            }
            for call in calls {
                let [a, b] = clients.each_mut().map(|client| settled(client.cmd(call)));
                let is_dump = call[1] == "DUMP" && matches!(a, Value::Bulk(_));
                // 7.2 says it in other words.
                let are_denied = [&a, &b].iter().all(|reply| reply.is_error() && reply.text().starts_with("NOPERM"));
                assert!(a == b || is_dump || are_denied, "{setting:?} {user} {call:?}: {a:?} where stock says {b:?}");
            }
        }
    }
}

#[test]
fn a_monitor_is_shown_a_function_before_what_it_runs() {
    let shown = [Kind::Ours, Kind::Stock].map(|kind| {
        let server = Server::start(kind, &[]);
        let (mut monitor, mut client) = (server.client(), server.client());
        client.good(&["FUNCTION", "LOAD", LIBRARY]);
        monitor.good(&["MONITOR"]);
        client.good(&["FCALL", "put", "1", "k", "v"]);
        let mut lines = Vec::new();
        for _ in 0..2 {
            let line = monitor.read().unwrap().text();
            lines.push(line.split_once('[').unwrap().1.split_once(" ").unwrap().1.to_string());
        }
        lines.into_iter().map(|line| line.split_once(']').unwrap().1.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(shown[0], shown[1]);
}

#[test]
fn redis_cli_takes_the_libraries_alone() {
    let server = with_debug(Kind::Ours);
    let mut client = server.client();
    client.good(&["FUNCTION", "LOAD", LIBRARY]);
    support::fill(&mut client);
    let dir = support::fresh_dir();
    let output = Command::new(support::peer("redis-cli"))
        .args(["-p", &server.port().to_string(), "--functions-rdb", dir.join("dump.rdb").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let stock = Server::start_in(Kind::Stock, &dir, &[]);
    stock.wait_loaded();
    assert_eq!(libraries(&stock), libraries(&server));
    assert_eq!(stock.cmd(&["DBSIZE"]), Value::Int(0));
    // Who wants everything gets it, though somebody asks for a part at the same time.
    let replica = with_debug(Kind::Ours);
    let mut part = server.client();
    part.good(&["REPLCONF", "capa", "eof", "rdb-filter-only", ""]);
    send(&mut part, &["PSYNC", "?", "-1"]);
    replica.follow(&server);
    drop(part);
    replica.wait_for_link(&server);
    assert_same(&server, &replica);
}

#[test]
fn memory_and_counts_are_told() {
    let ours = Server::start(Kind::Ours, &[]);
    for (field, expected) in
        [("number_of_functions", "0"), ("number_of_libraries", "0"), ("used_memory_functions", "0")]
    {
        assert_eq!(ours.info(field), expected);
    }
    ours.client().good(&["FUNCTION", "LOAD", LIBRARY]);
    let number = |field: &str| ours.info(field).parse::<usize>().unwrap();
    assert_eq!((number("number_of_functions"), number("number_of_libraries")), (4, 1));
    assert!(number("used_memory_functions") > LIBRARY.len() && number("used_memory_vm_functions") > 10_000);
    assert!(number("used_memory_scripts") >= number("used_memory_functions"));
    let before = number("used_memory_vm_functions");
    for _ in 0..2000 {
        ours.client().good(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]);
    }
    for _ in 0..1000 {
        ours.cmd(&["FUNCTION", "LOAD", "REPLACE", "#!lua name=mylib\nredis.register_function('a', function() end) x"]);
    }
    assert!(number("used_memory_vm_functions") < before * 20, "{before}");
    ours.client().good(&["FUNCTION", "FLUSH"]);
    assert_eq!((number("number_of_functions"), number("used_memory_functions")), (0, 0));
}
