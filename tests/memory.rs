//! What memory is used for, told as stock tells it; and big values that are freed by and by.

mod support;

use std::time::Duration;
use support::{Client, Kind, Server, Value, wait_until};

const BOUND: Duration = Duration::from_secs(30);

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().unwrap_or_else(|_| panic!("{field}: {:?}", server.info(field)))
}

/// The names in a map, those of the maps in it behind a dot.
fn names(map: &Value) -> Vec<String> {
    let Value::Map(pairs) = map else { panic!("no map: {map:?}") };
    let inner = |(name, value): &(Value, Value)| match value {
        Value::Map(_) => names(value).into_iter().map(|inner| format!("{}.{inner}", name.text())).collect(),
        _ => vec![name.text()],
    };
    pairs.iter().flat_map(inner).collect()
}

#[test]
fn memory_stats_have_the_fields_of_stock_in_their_order() {
    let replies = [Kind::Ours, Kind::Stock].map(|kind| {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        client.good(&["HELLO", "3"]);
        client.good(&["SET", "k", "v", "EX", "100"]);
        client.good(&["SELECT", "3"]);
        client.good(&["SET", "k", "v"]);
        client.good(&["MEMORY", "STATS"])
    });
    assert_eq!(names(&replies[0]), names(&replies[1]));
    let Value::Map(pairs) = &replies[0] else { panic!("no map") };
    let whole = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key.text() == name);
        found.unwrap_or_else(|| panic!("{name} is not there")).1.int()
    };
    assert_eq!(whole("keys.count"), 2);
    assert!(
        whole("total.allocated") > whole("startup.allocated") && whole("peak.allocated") >= whole("total.allocated")
    );
    assert_eq!(whole("overhead.total") + whole("dataset.bytes"), whole("total.allocated"));
    assert!(whole("allocator.resident") >= whole("allocator.active"));
}

#[test]
fn memory_answers_what_stock_answers() {
    let servers = [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &[]));
    let mut clients = servers.each_ref().map(Server::client);
    for line in [
        "MEMORY",
        "MEMORY HELP",
        "MEMORY FOO",
        "MEMORY PURGE",
        "MEMORY PURGE now",
        "MEMORY DOCTOR now",
        "MEMORY STATS now",
        "MEMORY MALLOC-STATS now",
        "MEMORY USAGE",
        "MEMORY USAGE none",
        "MEMORY USAGE none SAMPLES",
        "MEMORY USAGE none SAMPLES x",
        "MEMORY USAGE none SAMPLES -1",
        "MEMORY USAGE none SAMPLES 0",
        "MEMORY USAGE none SAMPLES 1 SAMPLES 2",
        "MEMORY USAGE none FOO 1",
        "OBJECT HELP",
        "OBJECT FOO none",
        "OBJECT FREQ none",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let [ours, stock] = clients.each_mut().map(|client| client.cmd(&words));
        assert_eq!(ours, stock, "{line}");
    }
    let text = clients[0].good(&["MEMORY", "MALLOC-STATS"]).text();
    assert!(text.starts_with("___ Begin jemalloc statistics ___"), "{text}");
}

#[test]
fn the_usage_of_a_key_is_what_its_deletion_gives() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    let used = |client: &mut Client| -> i64 {
        // Nothing but the key may change: the client's own memory is warm after the first question.
        let text = client.cmd(&["INFO", "memory"]).text();
        let line = text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.parse().unwrap()
    };
    for (kind, command) in [("string", "SET"), ("list", "RPUSH"), ("set", "SADD"), ("hash", "HSET"), ("zset", "ZADD")] {
        let mut words = vec![command.to_string(), kind.to_string()];
        for n in 0..2000 {
            match command {
                "SET" if n > 0 => words[2].push_str(&"x".repeat(100)),
                "HSET" => words.extend([format!("field:{n}"), "v".repeat(50)]),
                "ZADD" => words.extend([n.to_string(), format!("member:{n}")]),
                _ => words.push(format!("element:{n}")),
            }
        }
        client.good(&words);
        // Twice, so that buffers have the size that they keep.
        used(&mut client);
        let estimate = client.cmd(&["MEMORY", "USAGE", kind, "SAMPLES", "0"]).int();
        let full = used(&mut client);
        client.good(&["DEL", kind]);
        let freed = full - used(&mut client);
        let ratio = estimate as f64 / freed as f64;
        assert!((0.6..1.4).contains(&ratio), "{kind}: {estimate} told, {freed} freed");
    }
}

#[test]
fn the_doctor_sees_nothing_in_little_and_a_peak_in_the_past() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    assert!(client.cmd(&["MEMORY", "DOCTOR"]).text().contains("next to no memory"));
    client.good(&["DEBUG", "POPULATE", "20000", "keep", "400"]);
    client.good(&["DEBUG", "POPULATE", "100000", "key", "400"]);
    let peak = number(&server, "used_memory");
    wait_until(BOUND, "the peak is noted", || number(&server, "used_memory_peak") >= peak);
    for n in 0..100 {
        let names: Vec<String> = (0..1000).map(|k| format!("key:{}", n * 1000 + k)).collect();
        client.good(&["UNLINK".to_string()].into_iter().chain(names).collect::<Vec<_>>());
    }
    let text = client.cmd(&["MEMORY", "DOCTOR"]).text();
    assert!(text.contains(" * Peak memory: "), "{text}");
}

/// Makes a big value of each kind but strings; returns the names.
fn make_big(client: &mut Client) -> Vec<String> {
    let mut names = Vec::new();
    for (kind, command) in [("list", "RPUSH"), ("set", "SADD"), ("hash", "HSET"), ("zset", "ZADD")] {
        let name = format!("big:{kind}");
        for chunk in 0..20 {
            let mut words = vec![command.to_string(), name.clone()];
            for n in 0..5000 {
                let n = chunk * 5000 + n;
                match command {
                    "HSET" => words.extend([format!("field:{n}"), "v".into()]),
                    "ZADD" => words.extend([n.to_string(), format!("member:{n}")]),
                    _ => words.push(format!("element:{n}")),
                }
            }
            client.good(&words);
        }
        names.push(name);
    }
    names
}

#[test]
fn big_values_are_freed_by_and_by_where_that_is_wanted() {
    for (setting, ways) in [
        ("none", &["UNLINK", "FLUSHALL ASYNC"][..]),
        ("lazyfree-lazy-user-del", &["DEL"]),
        ("lazyfree-lazy-server-del", &["SET", "RENAME"]),
        ("lazyfree-lazy-expire", &["PEXPIRE"]),
        ("lazyfree-lazy-user-flush", &["FLUSHDB", "FLUSHALL"]),
    ] {
        for way in ways {
            let server = Server::start(Kind::Ours, &[]);
            let mut client = server.client();
            let before = number(&server, "used_memory");
            let names = make_big(&mut client);
            let full = number(&server, "used_memory");
            if setting != "none" {
                client.good(&["CONFIG", "SET", setting, "yes"]);
            }
            client.good(&["SET", "small", "v"]);
            let commands: Vec<Vec<String>> = match *way {
                "FLUSHALL ASYNC" => vec![vec!["FLUSHALL".into(), "ASYNC".into()]],
                "FLUSHDB" | "FLUSHALL" => vec![vec![way.to_string()]],
                "UNLINK" | "DEL" => vec![[vec![way.to_string()], names.clone()].concat()],
                "SET" => names.iter().map(|name| vec!["SET".into(), name.clone(), "v".into()]).collect(),
                "PEXPIRE" => names.iter().map(|name| vec!["PEXPIRE".into(), name.clone(), "1".into()]).collect(),
                _ => names
                    .iter()
                    .flat_map(|name| {
                        [
                            vec!["SET".into(), "small".into(), "v".into()],
                            vec!["RENAME".into(), "small".into(), name.clone()],
                        ]
                    })
                    .collect(),
            };
            for command in &commands {
                client.good(command);
            }
            let done = || number(&server, "lazyfreed_objects") >= 4 && number(&server, "lazyfree_pending_objects") == 0;
            wait_until(BOUND, &format!("{way} with {setting} has freed all"), done);
            let left = number(&server, "used_memory");
            assert!(left < before + (full - before) / 10, "{way}: {before} {full} {left}");
        }
    }
}

#[test]
fn what_is_not_wanted_lazily_is_freed_at_once() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    let names = make_big(&mut client);
    client.good(&["DEL", &names[0]]);
    client.good(&["SET", &names[1], "v"]);
    client.good(&["FLUSHALL", "SYNC"]);
    assert_eq!((number(&server, "lazyfreed_objects"), number(&server, "lazyfree_pending_objects")), (0, 0));
}

#[test]
fn a_server_that_was_emptied_gives_its_memory_back_though_nobody_asks_it_for_anything() {
    let server = Server::start(Kind::Ours, &["--enable-debug-command", "yes"]);
    let resident = || {
        let told = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
        told.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4096
    };
    let empty = resident();
    server.client().good(&["DEBUG", "POPULATE", "600000"]);
    let full = resident();
    assert!(full > empty + 15_000_000, "{empty} bytes, then {full}");
    server.client().good(&["FLUSHALL"]);
    // The allocator keeps what is not used for ten seconds.
    wait_until(Duration::from_secs(120), "the memory is given back", || resident() < empty + 5_000_000);
}
