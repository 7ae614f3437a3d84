//! Every directive and many values, good and bad, beside stock Redis: replies, what CONFIG GET shows then, and what
//! CONFIG REWRITE writes.

mod support;

use std::collections::BTreeMap;
use std::fs;

use support::{Client, Kind, Server, fresh_dir};

/// What would take the server or its files away from the test, or ask the machine for more than it has.
const NOT_TRIED: &[&str] = &[
    "bind",
    "bind-source-addr",
    "dir",
    "maxclients",
    "maxmemory",
    "maxmemory-clients",
    "port",
    "requirepass",
    "appendonly",
    "tls-ca-cert-dir",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-dh-params-file",
    "tls-key-file",
    "tls-port",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "2",
    "yes",
    "NO",
    "maybe",
    "1kb",
    "3mb",
    "10",
    "abc",
    "4294967296",
    "2147483648",
    "-2147483649",
    "9223372036854775808",
    "50%",
    "101%",
    "a b",
    "everysec",
    "local",
    "allkeys-lru",
    "debug",
    "1 2 3",
    "normal 10mb 20mb 3",
    "slave 1mb 2 3 pubsub 1mb 2mb 3",
    "master 1 2 3",
    "normal 1 2",
    "normal -1 2 3",
    "KEA",
    "KEq",
    "900 1",
    "900 1 60 1000",
    "900",
    "900 1 x",
    "save now",
    "save nosave",
    "default",
    "{title} {port}",
    "{foo}",
    "a/b",
    "127.0.0.1",
    "1.5",
    "5 101",
    "50 99.9",
    "1tb",
    "0x10",
    "+1",
    "01",
    "hostname",
    "swapdb",
    "warning",
    "local0",
    "-2000 1 1",
    "1 2 3000",
    "relative",
    "clients",
    "panic",
];

/// Pairs in which we differ on purpose.
fn excused(name: &str, value: &str) -> bool {
    // A limit that no machine has; stock takes what overflows for the largest number.
    name == "cluster-link-sendbuf-limit" && value.len() > 19
}

fn all(client: &mut Client) -> BTreeMap<String, Vec<u8>> {
    let reply = client.cmd(&["CONFIG", "GET", "*"]);
    reply.items().chunks(2).map(|pair| (pair[0].text(), pair[1].bytes())).collect()
}

#[test]
fn every_directive_takes_and_refuses_what_stock_does() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (mut us, mut them) = (ours.client(), stock.client());
    let (known, defaults) = (all(&mut us), all(&mut them));
    for (name, default) in &defaults {
        let mine = known.get(name).unwrap_or_else(|| panic!("no {name}"));
        if !matches!(&name[..], "dir" | "port") {
            assert_eq!(mine.escape_ascii().to_string(), default.escape_ascii().to_string(), "{name}");
        }
        if NOT_TRIED.contains(&&name[..]) {
            continue;
        }
        let mut commands: Vec<Vec<&[u8]>> = Vec::new();
        for value in VALUES {
            commands.push(vec![b"CONFIG", b"SET", name.as_bytes(), default]);
            commands.push(vec![b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
            commands.push(vec![b"CONFIG", b"GET", name.as_bytes()]);
        }
        commands.push(vec![b"CONFIG", b"SET", name.as_bytes(), default]);
        let (mine, theirs) = (us.pipeline(&commands), them.pipeline(&commands));
        for ((mine, theirs), value) in mine.chunks(3).zip(theirs.chunks(3)).zip(VALUES) {
            assert!(mine == theirs || excused(name, value), "{name} {value:?}\nours: {mine:?}\nstock: {theirs:?}");
        }
    }
}

#[test]
fn several_settings_change_together_or_not_at_all() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (mut us, mut them) = (ours.client(), stock.client());
    for words in [
        &["hz", "20", "hz", "30"][..],
        &["hz", "20", "HZ", "30"],
        &["HZ", "abc"],
        &["HZ", "20", "DataBases", "5"],
        &["hz", "20", "nosuch", "1"],
        &["NoSuch", "1", "databases", "5"],
        &["databases", "5", "NoSuch", "1"],
        &["hz", "33", "port", "abc"],
        &["timeout", "7", "hz", "33", "maxmemory-policy", "nosuch"],
        &["DIR", "/tmp"],
        &["hz", "20", "dbfilename", "x"],
        &["replica-read-only", "no", "slave-read-only", "yes"],
        &["slave-read-only", "no", "SLAVE-read-only", "yes"],
        &["tls-port", "1"],
        &["hz", "11", "timeout", "3"],
        &["hz"],
        &[],
    ] {
        let line: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(words.iter().copied()).collect();
        assert_eq!(us.cmd(&line), them.cmd(&line), "{line:?}");
        for name in ["hz", "timeout", "databases", "slave-read-only", "DBFILENAME"] {
            assert_eq!(us.cmd(&["CONFIG", "GET", name]), them.cmd(&["CONFIG", "GET", name]), "{name} after {line:?}");
        }
    }
}

/// The lines of a file that was written anew after these changes, without what depends on the place and the version.
fn rewritten(kind: Kind) -> (Vec<String>, Vec<String>) {
    let dir = fresh_dir();
    let file = dir.join("server.conf");
    let head = "# my file\nmaxmemory 1gb\n# comment\nslave-read-only yes\n\nsave 60 1\nsave 120 2\nhz 10\n\n\
                appendonly no\nrename-command keys \"\"\ntimeout 7\ntimeout 8\n";
    fs::write(&file, head).unwrap();
    let server = Server::start_in(kind, &dir, &[]);
    let mut client = server.client();
    for words in [
        &["maxmemory", "100mb", "maxmemory-policy", "allkeys-lru", "timeout", "5"][..],
        &["save", "900 1 300 10"],
        &["client-output-buffer-limit", "normal 1mb 2mb 3 slave 1mb 2mb 3"],
        &["notify-keyspace-events", "KEA", "maxmemory-clients", "5%"],
        &["requirepass", "a \"b\"", "masterauth", "a b", "masteruser", "x"],
        &["replica-announce-ip", "1.2.3.4", "replica-announce-port", "77"],
        &["loglevel", "verbose", "min-replicas-to-write", "1", "min-slaves-max-lag", "3"],
        &["slowlog-log-slower-than", "5", "list-max-ziplist-size", "-1", "hash-max-ziplist-entries", "5"],
        &["latency-tracking-info-percentiles", "50 90", "shutdown-on-sigterm", "save now", "lua-time-limit", "77"],
        &["repl-backlog-size", "5mb", "repl-backlog-ttl", "5", "acl-pubsub-default", "allchannels"],
    ] {
        let line: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(words.iter().copied()).collect();
        client.good(&line);
    }
    client.good(&["CONFIG", "REWRITE"]);
    let text = fs::read_to_string(&file).unwrap();
    client.good(&["CONFIG", "REWRITE"]);
    if kind == Kind::Ours {
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "a second time changes nothing");
    }
    let text = text.replace(dir.to_str().unwrap(), "DIR").replace(&server.port().to_string(), "PORT");
    let text = text.replace(" sanitize-payload", "");
    let (head, tail) = text.split_once("# Generated by CONFIG REWRITE\n").unwrap();
    let lines = |text: &str| text.lines().map(str::to_string).collect::<Vec<_>>();
    let mut tail = lines(tail);
    tail.sort();
    (lines(head), tail)
}

#[test]
fn a_rewritten_file_says_what_stock_writes() {
    let (ours, stock) = (rewritten(Kind::Ours), rewritten(Kind::Stock));
    assert_eq!(ours, stock);
    assert!(ours.1.contains(&"dir \"DIR\"".to_string()), "{ours:?}");
}

/// What the kernel knows of a process; of one that is gone, nothing.
fn oom_score_adj(pid: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default().trim().to_string()
}

/// The processes whose parent is this one.
fn children_of(parent: &str) -> Vec<String> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let parent_of = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1).map(str::to_string))
    };
    numbers.filter(|pid| parent_of(pid).as_deref() == Some(parent)).collect()
}

#[test]
fn the_kernel_is_told_whom_to_kill_first() {
    let observe = |kind: Kind| {
        let server = Server::start(kind, &[]);
        let pid = server.pid().to_string();
        let mut client = server.client();
        let mut seen = vec![oom_score_adj(&pid)];
        for (name, value) in [
            ("oom-score-adj-values", "10 20 30"),
            ("oom-score-adj", "yes"),
            ("oom-score-adj", "absolute"),
            ("oom-score-adj-values", "11 22 33"),
            ("oom-score-adj", "no"),
            ("oom-score-adj", "relative"),
            ("oom-score-adj-values", "5 900 1000"),
        ] {
            seen.push(format!("{:?}", client.cmd(&["CONFIG", "SET", name, value])));
            seen.push(oom_score_adj(&pid));
        }
        client.good(&["REPLICAOF", "127.0.0.1", "1"]);
        seen.push(oom_score_adj(&pid));
        client.good(&["REPLICAOF", "NO", "ONE"]);
        seen.push(oom_score_adj(&pid));
        client.good(&["SET", "k", "v"]);
        client.good(&["CONFIG", "SET", "rdb-key-save-delay", "30000000"]);
        client.good(&["BGSAVE"]);
        let told = || children_of(&pid).iter().any(|child| oom_score_adj(child) == "1000");
        support::wait_until(std::time::Duration::from_secs(20), "the child is told of", told);
        seen
    };
    assert_eq!(observe(Kind::Ours), observe(Kind::Stock));
}
