//! Scripts, beside stock Redis: replies and error texts, what travels to replicas, limits, and flaws of Lua kept out.

mod support;

use std::process::Command;
use std::time::Duration;

use support::{Client, Kind, Server, Value, stream_of, wait_until};

const SNIPPETS: &str = include_str!("scripting/snippets.txt");

/// Where 7.2 differs from the 7.0 that runs beside: commands that wait may stand in scripts.
const AS_IN_7_2: [&str; 2] = [r#"return redis.call("blpop","nol",0)"#, r#"return redis.call("wait",1,0)"#];

fn eval(client: &mut Client, script: &str) -> Value {
    client.cmd(&["EVAL", script, "1", "key1", "arg1", "arg2"])
}

fn with_debug(kind: Kind) -> Server {
    Server::start(kind, &["--enable-debug-command", "yes"])
}

fn send(client: &mut Client, args: &[&str]) {
    client.write_raw(&support::encode(args)).unwrap();
}

fn error_text(value: &Value) -> String {
    match value {
        Value::Error(text) => text.clone(),
        other => panic!("no error but {other:?}"),
    }
}

#[test]
fn snippets_answer_as_in_stock_in_both_protocols() {
    for protocol in ["2", "3"] {
        let (ours, stock) = (with_debug(Kind::Ours), with_debug(Kind::Stock));
        let (mut a, mut b) = (ours.client(), stock.client());
        a.good(&["HELLO", protocol]);
        b.good(&["HELLO", protocol]);
        for line in SNIPPETS.lines().filter(|line| !AS_IN_7_2.contains(line)) {
            assert_eq!(eval(&mut a, line), eval(&mut b, line), "RESP{protocol}: {line}");
        }
        assert_eq!(a.cmd(&["DEBUG", "DIGEST"]), b.cmd(&["DEBUG", "DIGEST"]));
        assert_eq!(a.cmd(&["INFO", "errorstats"]), b.cmd(&["INFO", "errorstats"]));
    }
}

#[test]
fn commands_about_scripts_answer_as_in_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let one = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let cases: &[&[&str]] = &[
        &["SCRIPT"],
        &["SCRIPT", "NOPE"],
        &["SCRIPT", "DEBUG", "x"],
        &["SCRIPT", "DEBUG", "no"],
        &["SCRIPT", "FLUSH", "x"],
        &["SCRIPT", "FLUSH", "async", "x"],
        &["SCRIPT", "LOAD"],
        &["SCRIPT", "LOAD", "foo("],
        &["SCRIPT", "LOAD", "return 1"],
        &["SCRIPT", "EXISTS"],
        &["SCRIPT", "EXISTS", "a", one],
        &["SCRIPT", "KILL"],
        &["EVALSHA", "abc", "x"],
        &["EVALSHA", one, "0"],
        &["EVALSHA", one, "1"],
        &["EVALSHA", one, "-1"],
        &["EVALSHA", one, "x"],
        &["EVALSHA", "E0E1F9fabfc9d4800c877a703b823ac0578ff8db", "0"],
        &["EVALSHA_RO", one, "0"],
        &["EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "0"],
        &["EVAL", "return 1", "a"],
        &["EVAL", "return {KEYS,ARGV}", "2", "a", "b", "c"],
        &["EVAL", "return {#KEYS,#ARGV}", "0"],
        &["EVAL", "#!lua", "0"],
        &["EVAL", "#!lua\nreturn 1", "0"],
        &["EVAL", "#!lua\nerror('x')", "0"],
        &["EVAL", "#!x\nreturn 1", "0"],
        &["EVAL", "#!luax flags=no-writes\nreturn 1", "0"],
        &["EVAL", "#!lua name=foo\nreturn 1", "0"],
        &["EVAL", "#!lua flags=a\nreturn 1", "0"],
        &["EVAL", "#!lua flags=\nreturn 1", "0"],
        &["EVAL", "#!lua flags=no-writes,\nreturn 1", "0"],
        &["EVAL", "#!lua flags=no-writes,allow-oom,allow-stale,no-cluster,allow-cross-slot-keys\nreturn 1", "0"],
        &["EVAL", "#!lua flags=no-writes\nreturn redis.call('set','a',1)", "0"],
        &["EVAL", "#!lua flags=no-writes\nreturn redis.call('get','a')", "0"],
        &["EVAL_RO", "return redis.call('set','a',1)", "0"],
        &["EVAL_RO", "return redis.call('get','a')", "0"],
        &["EVAL_RO", "#!lua\nreturn 1", "0"],
        &["EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"],
        &["SCRIPT", "FLUSH"],
        &["SCRIPT", "EXISTS", one],
        &["SCRIPT", "FLUSH", "ASYNC"],
        &["SCRIPT", "FLUSH", "sync"],
    ];
    for case in cases {
        assert_eq!(ours.cmd(case), stock.cmd(case), "{case:?}");
    }
    assert_eq!(ours.info("number_of_cached_scripts"), "0");
    ours.cmd(&["EVAL", "return 1", "0"]);
    assert_eq!(ours.info("number_of_cached_scripts"), "1");
    assert!(ours.info("used_memory_vm_eval").parse::<u64>().unwrap() > 10_000);
}

#[test]
fn a_script_is_killed_though_it_catches_its_errors_and_clients_are_told_busy() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let mut said = Vec::new();
    for server in [&ours, &stock] {
        let mut told = Vec::new();
        server.cmd(&["CONFIG", "SET", "busy-reply-threshold", "20"]);
        let (mut runner, mut other) = (server.client(), server.client());
        for script in [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        ] {
            send(&mut runner, &["EVAL", script, "0"]);
            wait_until(Duration::from_secs(20), "the script is slow", || other.cmd(&["GET", "a"]).is_error());
            for line in [
                "GET a",
                "PING",
                "SET a b",
                "MULTI",
                "GET a",
                "DISCARD",
                "WATCH a",
                "UNWATCH",
                "FUNCTION KILL",
                "SHUTDOWN",
                "SCRIPT FLUSH",
                "SCRIPT EXISTS a",
                "EVAL x 0",
                "INFO",
                "SCRIPT KILL",
            ] {
                let args: Vec<&str> = line.split(' ').collect();
                told.push((line, other.cmd(&args)));
            }
            // What follows SCRIPT KILL waits for the end.
            told.push(("the script", runner.read().unwrap()));
            told.push(("after it", other.cmd(&["SCRIPT", "KILL"])));
            told.push(("and then", runner.cmd(&["EVAL", "return 'fine'", "0"])));
        }
        server.wait_for_log("Slow script detected: still in execution after");
        said.push(told);
    }
    let stock_said = said.pop().unwrap();
    for (ours, stock) in said.pop().unwrap().into_iter().zip(stock_said) {
        assert_eq!(ours, stock);
    }
}

#[test]
fn a_script_that_has_written_is_not_killed_but_the_server_can_be_ended() {
    let mut ours = Server::start(Kind::Ours, &["--busy-reply-threshold", "20"]);
    let (mut runner, mut other) = (ours.client(), ours.client());
    send(&mut runner, &["EVAL", "redis.call('set','a','b') while true do end", "0"]);
    wait_until(Duration::from_secs(20), "the script is slow", || other.cmd(&["GET", "a"]).is_error());
    assert!(error_text(&other.cmd(&["SCRIPT", "KILL"])).starts_with("UNKILLABLE Sorry the script already executed"));
    send(&mut other, &["SHUTDOWN", "NOSAVE"]);
    assert_eq!(ours.wait_exit().code(), Some(0));
}

#[test]
fn flaws_of_lua_are_kept_out() {
    let ours = Server::start(Kind::Ours, &[]);
    let mut client = ours.client();
    let fails = [
        // CVE-2025-46817: a count that overflows.
        ("return unpack({1,2,3},-2147483648,2147483647)", "too many results to unpack"),
        ("return unpack({},0,2147483647)", "too many results to unpack"),
        ("return #{unpack({},1,8000)}", "too many results to unpack"),
        // A pattern that takes the C stack.
        ("return string.find(('a'):rep(400000), ('a?'):rep(400000))", "pattern too long"),
        ("return ('a'):rep(400000):gsub(('a?'):rep(400000), '')", "pattern too long"),
        // CVE-2025-46818: metatables of basic types.
        ("getmetatable('').__index = {}", "Attempt to modify a readonly table"),
        ("local m = getmetatable('') rawset(m, '__index', {})", "Attempt to modify a readonly table"),
        ("local m = getmetatable('').__index m.rep = nil", "Attempt to modify a readonly table"),
        // The C stack, by functions and by coroutines.
        ("local function g() return 1 + g() end g()", "stack overflow"),
        ("local function f() return coroutine.wrap(f)() end return f()", "stack overflow"),
        // Errors that stock dies of.
        ("error({})", "unknown error"),
        ("error()", "nil"),
    ];
    for (script, expected) in fails {
        let text = error_text(&eval(&mut client, script));
        assert!(text.contains(expected), "{script}: {text}");
    }
    // Bytecode, crafted or not.
    let refused = eval(
        &mut client,
        r#"return {tostring(loadstring("\27Lua")), tostring(loadstring(string.dump(function() end)))}"#,
    );
    assert_eq!(refused.items(), [Value::bulk("nil"), Value::bulk("nil")]);
    // CVE-2025-49844: the collector while a chunk is parsed.
    let script = "for i = 1, 200 do local f = assert(loadstring('local t = {' .. ('\"x' .. i .. '\",'):rep(500) .. '} return #t', \
                  'chunk' .. i)) collectgarbage('step') assert(f() == 500) end return 'alive'";
    assert_eq!(eval(&mut client, script), Value::bulk("alive"));
    // CVE-2025-46819: a long bracket of many signs.
    let script = "return tostring(loadstring('return [' .. ('='):rep(5000000) .. '[x'))";
    assert_eq!(eval(&mut client, script), Value::bulk("nil"));
    assert_eq!(client.cmd(&["PING"]), Value::Simple("PONG".into()));
}

#[test]
fn nobody_can_change_what_other_scripts_find() {
    let ours = Server::start(Kind::Ours, &[]);
    let mut client = ours.client();
    let tries = [
        "rawset(_G, 'x', 1)",
        "x = 1",
        "_G.x = 1",
        "setmetatable(_G, nil)",
        "table.insert(redis, 1)",
        "local _, t = pairs(redis) t.call = nil",
        "local _, t = pairs(_G) t.redis = nil",
        "string.rep = nil",
        "for k, v in pairs(_G) do if type(v) == 'table' then v.x = 1 end end",
        "table.foreach(_G, function(k, v) if k == 'redis' then v.call = nil end end)",
        "getmetatable(_G).__index = nil",
        "getmetatable(_G).__newindex = nil",
        "loadstring('x = 1')()",
        "coroutine.wrap(function() x = 1 end)()",
        "table.sort(redis)",
        "table.remove(_G, 1) x = 1",
        "local t = _G._G t.redis = 5",
        "loadstring('return _G')().x = 1",
        "redis.call = function() end",
    ];
    for tried in tries {
        eval(&mut client, tried);
        let script = "return {type(redis.call), type(string.rep), type(rawget(_G, 'x')), #redis, type(redis.x), redis.call('ping')}";
        let found: Vec<String> = eval(&mut client, script).items().iter().map(|item| format!("{item:?}")).collect();
        let text = |word: &str| format!("{:?}", Value::bulk(word));
        let expected = [text("function"), text("function"), text("nil"), "Int(0)".into(), text("nil")];
        assert_eq!(found[..5], expected, "{tried}");
    }
}

#[test]
fn memory_of_scripts_is_limited() {
    let ours = Server::start(Kind::Ours, &[]);
    let mut client = ours.client();
    for script in ["return ('x'):rep(2^31-1)", "local s = ('x'):rep(2^20) while true do s = s .. s end"] {
        let text = error_text(&eval(&mut client, script));
        assert!(text.contains("not enough memory"), "{text}");
    }
    assert_eq!(eval(&mut client, "return pcall(string.rep, 'x', 2^31-1) and 1 or 2"), Value::Int(2));
    assert_eq!(eval(&mut client, "return 'fine'"), Value::bulk("fine"));
}

/// Scripts whose writes travel in several ways.
const WRITERS: [&str; 12] = [
    "return redis.call('set','a',1)",
    "redis.call('set','a',1) redis.call('incr','a') return redis.call('lpush','l',1,2,3)",
    "redis.call('sadd','s',1,2,3,4,5) return redis.call('spop','s',2)",
    "redis.call('select',3) redis.call('set','three',3) redis.call('select',0) redis.call('set','zero',0)",
    "redis.call('select',2) return redis.call('set','two',2)",
    "redis.call('set','vol','x','px',1000000) redis.call('expire','a',1000)",
    "redis.call('set','kept','x','px',100000) return redis.call('persist','kept')",
    "redis.pcall('lpush','a','x') return redis.call('hset','h','f',1,'g',2)",
    "redis.call('set','half','done') error('and then')",
    "redis.call('zadd','z',1.5,'m') return redis.call('incrbyfloat','f',0.1)",
    "redis.setresp(3) redis.call('hincrbyfloat','h','f',1.5) return redis.call('hgetall','h')",
    "for i=1,100 do redis.call('rpush','many',i) end return redis.call('ltrim','many',10,20)",
];

fn run_writers(master: &Server) {
    let mut client = master.client();
    for script in WRITERS {
        eval(&mut client, script);
    }
    client.good(&["MULTI"]);
    for script in WRITERS {
        eval(&mut client, script);
    }
    client.cmd(&["SET", "beside", "x"]);
    client.good(&["EXEC"]);
}

#[test]
fn what_scripts_write_reaches_replicas_of_either_kind() {
    for (master, replica) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)] {
        let (master, replica) = (with_debug(master), with_debug(replica));
        replica.follow(&master);
        replica.wait_for_link(&master);
        run_writers(&master);
        replica.wait_caught_up(&master);
        support::assert_same_data(&master, &replica);
        assert_eq!(replica.info("number_of_cached_scripts"), "0");
    }
}

#[test]
fn a_script_travels_as_the_commands_that_it_ran() {
    let quick = ["--repl-diskless-sync-delay", "0"];
    let (ours, stock) = (Server::start(Kind::Ours, &quick), Server::start(Kind::Stock, &quick));
    let run = |client: &mut Client| {
        for script in WRITERS.iter().filter(|script| !script.contains("spop") && !script.contains("px")) {
            eval(client, script);
        }
        eval(
            client,
            "redis.set_repl(redis.REPL_NONE) redis.call('set','q',1) redis.set_repl(redis.REPL_ALL) redis.call('set','r',1)",
        );
        client.good(&["MULTI"]);
        eval(client, "redis.call('set','a',1) redis.call('incr','a')");
        client.cmd(&["INCR", "a"]);
        client.good(&["EXEC"]);
        eval(client, "return redis.call('get','a')");
        client.cmd(&["SCRIPT", "LOAD", "return 5"]);
        client.cmd(&["SCRIPT", "FLUSH"]);
    };
    assert_eq!(stream_of(&ours, run), stream_of(&stock, run));
}

#[test]
fn scripts_on_replicas_and_short_of_memory_are_refused_as_in_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let scripts: [&[&str]; 9] = [
        &["EVAL", "return redis.call('set','a',1)", "0"],
        &["EVAL", "return redis.pcall('set','a',1)", "0"],
        &["EVAL", "return redis.call('get','a')", "0"],
        &["EVAL", "#!lua\nreturn 1", "0"],
        &["EVAL", "#!lua flags=no-writes\nreturn redis.call('get','a')", "0"],
        &["EVAL", "#!lua flags=allow-oom\nreturn redis.call('set','a',1)", "0"],
        &["EVAL", "#!lua flags=allow-stale\nreturn redis.call('get','a')", "0"],
        &["EVAL", "#!lua flags=allow-stale,no-writes\nreturn redis.call('echo','a')", "0"],
        &["EVAL_RO", "return redis.call('get','a')", "0"],
    ];
    let settings: [&[&[&str]]; 4] = [
        &[&["CONFIG", "SET", "maxmemory", "1"]],
        &[&["CONFIG", "SET", "maxmemory", "0"], &["CONFIG", "SET", "min-replicas-to-write", "1"]],
        &[&["CONFIG", "SET", "min-replicas-to-write", "0"], &["REPLICAOF", "127.0.0.1", "1"]],
        &[&["CONFIG", "SET", "replica-serve-stale-data", "no"]],
    ];
    for setting in settings {
        for args in setting {
            assert_eq!(ours.cmd(args), stock.cmd(args), "{args:?}");
        }
        for script in scripts {
            assert_eq!(ours.cmd(script), stock.cmd(script), "{setting:?} {script:?}");
        }
    }
}

#[test]
fn a_script_is_bound_to_the_rules_of_its_caller() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let said = [&ours, &stock].map(|server| {
        server.cmd(&["ACL", "SETUSER", "joe", "on", "nopass", "~k*", "+@all", "-get", "resetchannels", "&c"]);
        let mut joe = server.client();
        joe.good(&["AUTH", "joe", "x"]);
        let script = "return {redis.pcall('get','k'), redis.pcall('set','x',1), redis.pcall('set','k',1), \
             redis.pcall('publish','d',1), redis.acl_check_cmd('get','k'), redis.acl_check_cmd('set','k',1)}";
        (joe.cmd(&["EVAL", script, "0"]), joe.cmd(&["EVAL", "return redis.call('get','k')", "0"]))
    });
    assert_eq!(said[0], said[1]);
}

#[test]
fn nested_commands_are_counted_and_keys_they_change_wake_and_warn_others() {
    let ours = Server::start(Kind::Ours, &[]);
    let (mut client, mut waiter, mut watcher) = (ours.client(), ours.client(), ours.client());
    client.good(&["CONFIG", "RESETSTAT"]);
    eval(
        &mut client,
        "for i=1,10 do redis.call('incr','n') end redis.pcall('incr','n','x') redis.pcall('lpush','n',1)",
    );
    let stats = client.cmd(&["INFO", "commandstats"]).text();
    assert!(stats.contains("cmdstat_incr:calls=10,") && stats.contains("rejected_calls=1,failed_calls=0"), "{stats}");
    assert!(stats.contains("cmdstat_lpush:calls=1,"), "{stats}");
    watcher.good(&["WATCH", "n"]);
    send(&mut waiter, &["BLPOP", "list", "0"]);
    wait_until(Duration::from_secs(20), "a client waits", || ours.info("blocked_clients") == "1");
    // The whole script runs before anybody is served.
    eval(&mut client, "redis.call('rpush','list','one','two') redis.call('incr','n') return redis.call('lpop','list')");
    assert_eq!(waiter.read().unwrap().items()[1], Value::bulk("two"));
    watcher.good(&["MULTI"]);
    assert_eq!(watcher.cmd(&["EXEC"]), Value::Nil);
}

#[test]
fn redis_cli_evaluates_a_file() {
    let ours = Server::start(Kind::Ours, &[]);
    let file = ours.dir().join("script.lua");
    std::fs::write(&file, "return {KEYS[1], ARGV[1], redis.call('set', KEYS[1], ARGV[1])}").unwrap();
    let mut cli = Command::new(support::peer("redis-cli"));
    cli.args(["-p", &ours.port().to_string(), "--eval", file.to_str().unwrap(), "k", ",", "v"]);
    let output = cli.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "k\nv\nOK\n");
}
