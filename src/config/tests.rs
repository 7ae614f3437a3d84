//! The room's tests. The oracle for names, defaults and their spelling is `CONFIG GET *` of an untouched Redis 7.0.15,
//! kept in `fixtures/`; error texts were taken from the same server.

use std::ffi::OsString;
use std::path::PathBuf;

use proptest::prelude::*;

use super::parse::{format_memory, parse_memory};
use super::table::{self, HIDDEN, IMMUTABLE, Kind, PROTECTED};
use super::*;

const STOCK_SETTINGS: &str = include_str!("fixtures/config-get-7.0.15.txt");

fn load_with(args: &[&str], stdin: &str) -> Result<Config, StartError> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    Config::load(&args, &mut stdin.as_bytes(), |_| Ok(()))
}

fn load(args: &[&str]) -> Config {
    load_with(args, "").unwrap()
}

fn load_error(args: &[&str]) -> String {
    load_with(args, "").unwrap_err().to_string()
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, false).map(|applied| applied.changed).map_err(|error| error.to_string())
}

/// The answer to `CONFIG GET name`.
fn shown(config: &Config, name: &str) -> String {
    let answer = config.get(&[name.as_bytes()]);
    assert_eq!(answer.len(), 1, "{name}");
    String::from_utf8(answer[0].1.clone()).unwrap()
}

fn names(config: &Config, patterns: &[&str]) -> Vec<String> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    config.get(&patterns).into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
}

/// A directory of our own that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("understudy-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_stock_setting_has_stocks_default() {
    let config = Config::default();
    for line in STOCK_SETTINGS.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        assert_eq!(shown(&config, name), value, "{name}");
    }
    assert_eq!(STOCK_SETTINGS.lines().count(), 190);
}

#[test]
fn a_star_shows_stocks_names_the_new_ones_of_7_2_and_ours() {
    let all = names(&Config::default(), &["*"]);
    for line in STOCK_SETTINGS.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(all.iter().any(|shown| shown == name), "{name}");
    }
    let stock: Vec<&str> = STOCK_SETTINGS.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let mut ours: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|name| !stock.contains(name) && !["dir", "port"].contains(name))
        .collect();
    ours.sort_unstable();
    let new = [
        "aof-rewrite-cpulist",
        "bgsave-cpulist",
        "bio-cpulist",
        "cluster-announce-human-nodename",
        "locale-collate",
        "repl-feed-delay-us",
        "repl-incompatible-data",
        "repl-rdb-version",
        "repl-rdb-version-for",
        "repl-reconnect-max-delay",
        "replica-accept-empty-master",
        "replication-bridge",
        "server-cpulist",
        "set-max-listpack-entries",
        "set-max-listpack-value",
    ];
    assert_eq!(ours, new);
}

#[test]
fn the_table_names_each_directive_once() {
    let mut spellings: Vec<&str> = DIRECTIVES.iter().flat_map(Directive::spellings).collect();
    let count = spellings.len();
    spellings.sort_unstable();
    spellings.dedup();
    assert_eq!(spellings.len(), count);
}

#[test]
fn what_get_shows_set_takes_and_changes_nothing() {
    let mut config = load(&["--enable-protected-configs", "yes", "--maxmemory-clients", "5%", "--save", "9 9"]);
    for row in DIRECTIVES.iter().filter(|row| !row.has(IMMUTABLE)) {
        let value = config.show(row);
        let applied = config.set(&[(row.name.as_bytes(), &value)], true).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(applied.changed, [""; 0], "{}", row.name);
        assert_eq!(config.show(row), value, "{}", row.name);
    }
}

#[test]
fn every_directive_holds_another_value_than_its_default() {
    for row in DIRECTIVES {
        let mut config = Config::default();
        let before = config.show(row);
        let candidates: &[&[u8]] = match row.kind {
            Kind::Special { .. } => &[
                b"60 5",
                b"10 20 30",
                b"normal 1 2 3",
                b"5.5",
                b"save",
                b"Kx",
                b"700",
                b"5%",
                b"/",
                b"h 1",
                b"9",
                b"h:1 9",
            ],
            _ => &[b"yes", b"no", b"5", b"77", b"4096", b"2mb", b"local", b"other{title}"],
        };
        let words = match row.kind {
            Kind::Choice { words, .. } => words,
            Kind::Accepted { shape: table::Shape::Choice(words), .. } => words,
            _ => &[],
        };
        let words = words.iter().map(|word| word.as_bytes());
        let moved = candidates.iter().copied().chain(words).any(|value| {
            let taken = config.assign(row, &[value]).is_ok();
            taken && config.show(row) != before
        });
        assert!(moved, "{}", row.name);
        let changed: Vec<&str> = DIRECTIVES
            .iter()
            .filter(|other| config.show(other) != Config::default().show(other))
            .map(|r| r.name)
            .collect();
        assert_eq!(changed, [row.name], "two directives share a field");
    }
}

#[test]
fn get_answers_aliases_and_exact_names_as_asked() {
    let config = Config::default();
    assert_eq!(names(&config, &["SLAVE-PRIORITY", "replica-priority"]), ["replica-priority", "SLAVE-PRIORITY"]);
    assert_eq!(names(&config, &["*of"]), ["replicaof", "slaveof"]);
    assert_eq!(names(&config, &["port", "p?rt", "nosuch"]), ["port"]);
    assert_eq!(names(&config, &["rdb-key-save-d*"]), [""; 0]);
    assert_eq!(names(&config, &["rdb-key-save-delay"]), ["rdb-key-save-delay"]);
    assert_eq!(table::DIRECTIVES.iter().filter(|row| row.has(HIDDEN)).count(), 6);
}

#[test]
fn set_refuses_with_stocks_texts() {
    let mut config = Config::default();
    let before = config.clone();
    for (name, value, reason) in [
        ("hz", "garbage", "argument couldn't be parsed into an integer"),
        ("port", "65536", "argument must be between 0 and 65535 inclusive"),
        ("slowlog-max-len", "-1", "argument must be between 0 and 9223372036854775807 inclusive"),
        ("rdbcompression", "2", "argument must be 'yes' or 'no'"),
        ("maxmemory", "-1", "argument must be a memory value"),
        ("maxmemory", "1tb", "argument must be a memory value"),
        ("maxmemory", "18446744073709551616", "argument must be between 0 and 18446744073709551615 inclusive"),
        ("repl-backlog-size", "0", "argument must be between 1 and 9223372036854775807 inclusive"),
        (
            "proto-max-bulk-len",
            "99999999999999999999999999999999999999999999gb",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        ("maxmemory-clients", "101%", "percentage argument must be less or equal to 100"),
        ("maxmemory-clients", "-5", "argument must be a memory or percent value"),
        ("maxmemory-clients", "%", "argument must be a memory or percent value"),
        ("loglevel", "x", "argument(s) must be one of the following: debug, verbose, notice, warning"),
        ("databases", "5", "can't set immutable config"),
        ("dbfilename", "x", "can't set protected config"),
        ("dir", "/", "can't set protected config"),
        ("save", "0 1", "Invalid save parameters"),
        ("save", "1", "Invalid save parameters"),
        ("save", "5 -1", "Invalid save parameters"),
        ("notify-keyspace-events", "KQ", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        ("oom-score-adj-values", "1 2 3000", "Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
        ("client-output-buffer-limit", "normal 0 0", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit", "master 0 0 0", "Invalid client class specified in buffer limit configuration."),
        (
            "client-output-buffer-limit",
            "normal 1mb 0 0 pubsub x 0 0",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("latency-tracking-info-percentiles", "x", "Invalid latency-tracking-info-percentiles parameters"),
        (
            "latency-tracking-info-percentiles",
            "50 101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("shutdown-on-sigint", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("shutdown-on-sigterm", "", "argument(s) must be one of the following: default, save, nosave, now, force"),
        ("proc-title-template", "{bad}", "template format is invalid or contains unknown variables"),
        ("proc-title-template", "{title}", "template format is invalid or contains unknown variables"),
        ("proc-title-template", "x {title", "template format is invalid or contains unknown variables"),
        ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
    ] {
        let expected = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
        assert_eq!(set(&mut config, &[(name, value)]), Err(expected));
        assert_eq!(config, before, "{name} {value}");
    }
    let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'NoSuch'";
    assert_eq!(set(&mut config, &[("NoSuch", "1")]), Err(unknown.to_string()));
}

#[test]
fn set_is_all_or_nothing() {
    let mut config = Config::default();
    let before = config.clone();
    let refused = set(&mut config, &[("maxclients", "50"), ("appendonly", "yes"), ("hz", "x")]);
    assert!(refused.unwrap_err().contains("argument 'hz'"));
    assert_eq!(config, before);
    let twice = set(&mut config, &[("hz", "20"), ("HZ", "30")]);
    assert!(twice.unwrap_err().ends_with("argument 'HZ') - duplicate parameter"));
    let pairs: &[(&[u8], &[u8])] = &[(b"maxclients", b"50"), (b"hz", b"10"), (b"slave-priority", b"7"), (b"save", b"")];
    let applied = config.set(pairs, false).unwrap();
    assert_eq!(applied.changed, ["maxclients", "replica-priority", "save"]);
    assert_eq!(*applied.before, before);
    assert_eq!((config.maxclients, config.replica_priority, config.save.len()), (50, 7, 0));
}

#[test]
fn protected_settings_open_to_whom_they_should() {
    let scratch = Scratch::new("protected");
    let directory = scratch.0.to_str().unwrap().as_bytes().to_vec();
    let mut config = load(&["--enable-protected-configs", "local"]);
    assert!(config.set(&[(b"dir", &directory)], false).is_err());
    assert_eq!(config.set(&[(b"dir", &directory)], true).unwrap().changed, ["dir"]);
    assert_eq!(config.dir, scratch.0);
    let missing = config.set(&[(b"dir", b"/no/such")], true).unwrap_err().to_string();
    assert!(missing.ends_with("argument 'dir') - No such file or directory"), "{missing}");
    let path = config.set(&[(b"dbfilename", b"a/b")], true).unwrap_err().to_string();
    assert!(path.ends_with("- dbfilename can't be a path, just a filename"), "{path}");
    assert_eq!(DIRECTIVES.iter().filter(|row| row.has(PROTECTED)).count(), 2);
}

#[test]
fn values_read_as_stock_reads_and_shows_them() {
    let mut config = Config::default();
    for (name, value, expected) in [
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        ("repl-backlog-size", "3000", "16384"),
        ("maxmemory-clients", "1k", "1000"),
        ("maxmemory", "1GB", "1073741824"),
        ("loglevel", "WARNING", "warning"),
        ("replica-announced", "NO", "no"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "g$lshzxetd", "A"),
        ("notify-keyspace-events", "gx$", "g$x"),
        ("notify-keyspace-events", "Km", "Km"),
        (
            "client-output-buffer-limit",
            "normal 1mb 1kb 5",
            "normal 1048576 1024 5 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("client-output-buffer-limit", "replica 1 2 3", "normal 1048576 1024 5 slave 1 2 3 pubsub 33554432 8388608 60"),
        ("shutdown-on-sigint", "now save", "save now"),
        ("shutdown-on-sigint", "default", "default"),
        ("latency-tracking-info-percentiles", "5 6.25 100", "5 6.25 100"),
        ("save", "900 1 300 10", "900 1 300 10"),
        ("save", "", ""),
        ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
        ("bind", "", ""),
        ("masterauth", "", ""),
    ] {
        set(&mut config, &[(name, value)]).unwrap();
        assert_eq!(shown(&config, name), expected, "{name} {value}");
    }
    assert_eq!(config.masterauth, None);
}

#[test]
fn the_command_line_reads_as_stock_reads_it() {
    for (args, name, expected) in [
        (&["--port", "7399"][..], "port", "7399"),
        (&["--port 7399", "--hz 20"], "hz", "20"),
        (&["--HZ", "20"], "hz", "20"),
        (&["--", "hz", "20"], "hz", "20"),
        (&["--save", ""], "save", ""),
        (&["--save"], "save", ""),
        (&["--save", "--port", "1"], "save", ""),
        (&["--save", "--port", "1"], "port", "1"),
        (&["--save", "3600", "1", "300", "100"], "save", "3600 1 300 100"),
        (&["--save 3600 1 300 100"], "save", "3600 1 300 100"),
        (&["--save", "3600 1 300 100"], "save", "3600 1 300 100"),
        (&["--save", "3600", "1", "--save", "60", "5"], "save", "3600 1 60 5"),
        (&["--proc-title-template", "--x-{title}"], "proc-title-template", "--x-{title}"),
        (&["--requirepass", "--abc", "--hz", "3"], "requirepass", "--abc"),
        (&["--replicaof", "127.0.0.1 7000"], "slaveof", "127.0.0.1 7000"),
        (&["--slaveof", "127.0.0.1", "7000"], "replicaof", "127.0.0.1 7000"),
        (&["--slaveof", "no", "one"], "slaveof", ""),
        (&["--slaveof", ""], "slaveof", ""),
        (&["--bind", "127.0.0.1", "-::1"], "bind", "127.0.0.1 -::1"),
        (&["--bind", "127.0.0.1 -::1"], "bind", "127.0.0.1 -::1"),
        (&["--appendfilename", "\"a b\""], "appendfilename", "\"a b\""),
        (&["--appendfilename \"a b\""], "appendfilename", "a b"),
        (&["--syslog-ident", "a\nb\"c\\"], "syslog-ident", "a\nb\"c\\"),
        (&["--oom-score-adj-values", "-1", "2", "3"], "oom-score-adj-values", "-1 2 3"),
        (&["--logfile", "", "--masteruser", "x"], "masteruser", "x"),
        (&["", "--hz", "20"], "hz", "20"),
        (&["--sentinel", "--hz", "20"], "hz", "20"),
        (&["--unixsocketperm", "770"], "unixsocketperm", "770"),
    ] {
        assert_eq!(shown(&load(args), name), expected, "{args:?}");
    }
}

#[test]
fn file_then_stdin_then_options() {
    let scratch = Scratch::new("order");
    let file = scratch.file("a.conf", "port 1\nhz 11\ntimeout 1\nsave 60 1\nsave 5 5\n");
    let config = load_with(&[&file, "--hz", "30", "-"], "hz 20\ntimeout 2").unwrap();
    assert_eq!((config.port, config.hz, config.timeout), (1, 30, 2));
    assert_eq!(shown(&config, "save"), "60 1 5 5");
    assert_eq!(config.config_file, Some(PathBuf::from(&file)));
    assert_eq!(shown(&load(&[&file, "--save", "9", "9"]), "save"), "9 9");
    assert_eq!(load_with(&["-", "--hz", "30"], "timeout 7").unwrap().timeout, 7);
}

#[test]
fn a_file_may_quote_comment_and_include() {
    let scratch = Scratch::new("grammar");
    scratch.file("inc1.conf", "hz 11\n");
    scratch.file("inc2.conf", "timeout 22\n");
    let text = format!(
        "# a comment\r\n\n   \n  PORT 7\r\nrequirepass \"a\\x41\\n\\\"b\"\nmasterauth 'it\\'s \\n'\nsave 60 1\nsave \"\"\n\
         save 5 5\ninclude {0}/in*.conf\ninclude {0}/nothing*.conf\nrename-command FLUSHALL \"\"\nuser a on\nuser b off\n\
         list-max-ziplist-entries 5\nloadmodule x.so 1\n",
        scratch.0.display()
    );
    let config = load(&[&scratch.file("main.conf", &text)]);
    assert_eq!((config.port, config.hz, config.timeout), (7, 11, 22));
    assert_eq!(config.requirepass, b"aA\n\"b");
    assert_eq!(config.masterauth.as_deref(), Some(&b"it's \\n"[..]));
    assert_eq!(shown(&config, "save"), "5 5");
    assert_eq!(config.rename_command, [(b"FLUSHALL".to_vec(), Vec::new())]);
    assert_eq!(config.users.len(), 2);
}

#[test]
fn a_bad_start_says_file_line_and_reason() {
    let scratch = Scratch::new("errors");
    let file = scratch.file("bad.conf", "# c\nport 7399\n   \n  requirepass a b\n");
    assert_eq!(
        load_error(&[&file]),
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 4 of {file}\n\
             >>> 'requirepass a b'\nwrong number of arguments"
        )
    );
    assert_eq!(
        load_error(&["--port", "7399", "--tcp-backlog", "x"]),
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 3\n\
         >>> 'tcp-backlog \"x\"'\nargument couldn't be parsed into an integer"
    );
    let inner = scratch.file("inner.conf", "hz 10\nfoo\n");
    let outer = scratch.file("outer.conf", &format!("include {inner}\n"));
    assert!(load_error(&[&outer]).contains(&format!("at line 2 of {inner}\n>>> 'foo'\nBad directive")));
    let circle = format!("include {}\n", scratch.0.join("circle.conf").display());
    assert!(load_error(&[&scratch.file("circle.conf", &circle)]).ends_with("include files nest too deeply"));
    assert_eq!(
        load_error(&["/no/such.conf"]),
        "Fatal error, can't open config file '/no/such.conf': No such file or directory"
    );
    for (args, reason) in [
        (&["--nosuch", "1"][..], "Bad directive or wrong number of arguments"),
        (&["--port"], "wrong number of arguments"),
        (&["--port", "7399", "hz", "20"], "wrong number of arguments"),
        (&["--unixsocketperm", "999"], "argument couldn't be parsed as an octal number"),
        (&["--unixsocketperm", "1777"], "argument must be between 0 and 777 inclusive"),
        (&["--replicaof", "h", "99999"], "Invalid master port"),
        (&["--replicaof", "x"], "wrong number of arguments"),
        (&["--appenddirname", "a/b"], "appenddirname can't be a path, just a dirname"),
        (&["--save", "3600 1", "300 100"], "Invalid save parameters"),
        (&["--rename-command", "a"], "Bad directive or wrong number of arguments"),
        (&["--dir", "/nonexist"], "No such file or directory"),
    ] {
        let error = load_error(args);
        assert!(error.ends_with(&format!("'\n{reason}")), "{args:?}: {error}");
    }
    for text in ["foo \"unbal", "foo \"a\"b", "foo 'a"] {
        let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("Unbalanced quotes in configuration line"), "{error}");
    }
    assert!(Config::parse(b"user x on\nuser x off").unwrap_err().to_string().contains("'x': Duplicate user found"));
}

#[test]
fn what_has_no_effect_is_told() {
    let mut config = load(&["--appendonly", "YES", "--io-threads", "1", "--hz", "20"]);
    assert_eq!(config.ineffective(), ["appendonly"]);
    set(&mut config, &[("appendonly", "no"), ("tls-port", "6380")]).unwrap();
    assert_eq!(config.ineffective(), ["tls-port"]);
    let config = Config::parse(b"notify-keyspace-events KEA\nloadmodule x.so 1").unwrap();
    assert_eq!(config.ineffective(), ["loadmodule"]);
}

#[test]
fn a_line_of_many_values_may_have_none() {
    let config = Config::parse(b"bind\nsave\nclient-output-buffer-limit\nlatency-tracking-info-percentiles").unwrap();
    assert_eq!((shown(&config, "bind"), shown(&config, "save")), (String::new(), String::new()));
    assert_eq!(shown(&config, "client-output-buffer-limit"), shown(&Config::default(), "client-output-buffer-limit"));
    assert!(config.latency_tracking_info_percentiles.is_empty());
    assert!(Config::parse(b"oom-score-adj-values").is_err());
}

#[test]
fn rewrite_keeps_comments_and_order() {
    let old = "# header\nport 7399\n  # indented\nhz 10\nmaxmemory 100mb\nslave-read-only yes\nsave 60 1\nsave 120 2\n\n\
               hz 12\nclient-output-buffer-limit pubsub 32mb 8mb 60\ninclude /x.conf\nmasterauth old\n\
               rename-command FLUSHALL \"\"\n";
    let mut config = Config::parse(b"port 7399\nhz 10\nmaxmemory 100mb\nsave 60 1").unwrap();
    config.dir = PathBuf::from("/");
    let pairs = [
        ("maxmemory", "209715200"),
        ("replica-read-only", "no"),
        ("client-output-buffer-limit", "pubsub 1mb 1025 7 replica 1 2 3"),
        ("requirepass", "pa\"ss word"),
        ("notify-keyspace-events", "KEA"),
        ("shutdown-on-sigterm", "save now"),
        ("maxmemory-clients", "5%"),
        ("syslog-ident", "ignored"),
    ];
    set(&mut config, &pairs[..7]).unwrap();
    config.syslog_ident.clear();
    config.replicaof = Some(ReplicaOf { host: "127.0.0.1".into(), port: 7000 });
    config.users = vec![vec![b"default".to_vec(), b"on".to_vec()]];
    let new = String::from_utf8(config.rewrite(old.as_bytes())).unwrap();
    let expected = "# header\nport 7399\n  # indented\nhz 10\nmaxmemory 200mb\nreplica-read-only no\nsave 60 1\n\n\
                    client-output-buffer-limit pubsub 1mb 1025 7\ninclude /x.conf\n\n\
                    rename-command FLUSHALL \"\"\n\n# Generated by CONFIG REWRITE\nmaxmemory-clients 5%\n\
                    client-output-buffer-limit replica 1 2 3\nrequirepass \"pa\\\"ss word\"\nsyslog-ident \"\"\n\
                    shutdown-on-sigterm save now\ndir \"/\"\nreplicaof 127.0.0.1 7000\n\
                    notify-keyspace-events \"AKE\"\nuser default on\n";
    assert_eq!(new, expected);
    assert_eq!(String::from_utf8(config.rewrite(new.as_bytes())).unwrap(), new, "a second rewrite changes nothing");
    config.replicaof = None;
    config.save.clear();
    let third = String::from_utf8(config.rewrite(new.as_bytes())).unwrap();
    assert!(!third.contains("replicaof") && third.contains("\nsave \"\"\n"), "{third}");
}

/// The present value of one directive, moved away from its default where a plain word can.
fn moved_config() -> Config {
    let mut config = load(&["--save", "9 9 8 8", "--maxmemory-clients", "7%", "--unixsocketperm", "700"]);
    for row in DIRECTIVES {
        for value in [&b"no"[..], b"yes", b"7", b"3mb", b"a \"b\"\\ \x01\xff"] {
            let text = matches!(row.kind, Kind::Text { .. });
            let plain = !matches!(row.kind, Kind::Special { .. }) && (!text || value.len() > 5);
            let unicode = row.name.ends_with("-ip") || row.name.starts_with("bind") || row.name == "syslog-ident";
            if plain && !unicode && config.assign(row, &[value]).is_ok() {
                break;
            }
        }
    }
    config
}

#[test]
fn what_rewrite_writes_reads_back_the_same() {
    for config in [Config::default(), moved_config()] {
        let mut again = Config::parse(&config.rewrite(b"")).unwrap();
        again.dir.clone_from(&config.dir);
        for row in DIRECTIVES {
            assert_eq!(again.show(row), config.show(row), "{}", row.name);
        }
    }
    let moved = moved_config();
    let default = Config::default();
    assert!(DIRECTIVES.iter().filter(|row| moved.show(row) != default.show(row)).count() > 100);
}

#[test]
fn memory_has_units() {
    for (text, bytes) in
        [("", 0), ("mb", 0), ("0", 0), ("1b", 1), ("1k", 1000), ("1KB", 1024), ("2m", 2_000_000), ("3gb", 3 << 30)]
    {
        assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
    }
    for (bytes, text) in [(0, "0"), (1024, "1kb"), (1025, "1025"), (1 << 20, "1mb"), (3 << 30, "3gb")] {
        assert_eq!(format_memory(bytes), text);
    }
}

#[test]
fn help_and_version_name_the_program() {
    assert!(version().starts_with("Understudy server v="));
    assert!(usage("understudy").starts_with("Usage: understudy "));
}

#[test]
fn the_sample_configuration_says_the_defaults() {
    let text = include_str!("../../scripts/understudy.conf");
    let config = Config::parse(text.as_bytes()).unwrap();
    let bind = vec!["127.0.0.1".into(), "-::1".into()];
    assert_eq!(config, Config { bind, ..Config::default() });
    // Each example that is commented out must be good too.
    let examples = text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with([' ', '#']));
    let mut seen = 0;
    for line in examples.filter(|line| !line.is_empty() && !line.starts_with("dir ")) {
        seen += 1;
        Config::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(seen, 10);
}

proptest! {
    #[test]
    fn quoting_round_trips(text in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut line = b"name ".to_vec();
        line.extend(quote(&text));
        prop_assert_eq!(split_args(&line), Some(vec![b"name".to_vec(), text]));
    }

    #[test]
    fn garbage_never_panics(
        head in proptest::sample::select(DIRECTIVES.iter().flat_map(Directive::spellings).collect::<Vec<_>>()),
        text in proptest::collection::vec(any::<u8>(), 0..80),
        words in "[-0-9a-z%{}\"'\\\\ ]{0,40}",
    ) {
        let mut config = Config::default();
        for value in [&text[..], words.as_bytes()] {
            let line = [head.as_bytes(), b" ", value].concat();
            let _ = Config::parse(value);
            let _ = Config::parse(&line);
            let _ = config.set(&[(head.as_bytes(), value)], true);
            let _ = config.get(&[value]);
            let rewritten = config.rewrite(&line);
            prop_assert!(config.rewrite(&rewritten).len() <= rewritten.len() + 1);
        }
        for option in ["x", "--save", words.as_str()] {
            let _ = load_with(&["--hz", "5", option, words.as_str()], "");
        }
    }
}

#[test]
fn versions_for_replicas_are_gathered_line_by_line_and_taken_back() {
    let set = |config: &mut Config, value: &str| {
        config.set(&[(b"repl-rdb-version-for", value.as_bytes())], true).map(drop).map_err(|error| error.to_string())
    };
    let mut config =
        load(&["--repl-rdb-version-for", "10.0.0.7:6379", "9", "--repl-rdb-version-for", "db.example", "80"]);
    let shown = |config: &Config| {
        let row = DIRECTIVES.iter().find(|row| row.name == "repl-rdb-version-for").expect("in the table");
        String::from_utf8(config.show(row)).expect("text")
    };
    assert_eq!(shown(&config), "10.0.0.7:6379 9 db.example 80");
    assert_eq!(set(&mut config, "10.0.0.7:6379 auto h:1 12"), Ok(()));
    assert_eq!(shown(&config), "db.example 80 h:1 12");
    for wrong in ["h:1", "h:1 5", "h:1 13", "h:1 81", "h:1 x", "h:1 9 h:2"] {
        assert!(set(&mut config, wrong).is_err(), "{wrong}");
    }
    assert_eq!(shown(&config), "db.example 80 h:1 12");
    assert_eq!(set(&mut config, ""), Ok(()));
    assert_eq!(shown(&config), "");
}
