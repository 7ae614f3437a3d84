//! Pub/Sub beside stock Redis: the same session of several connections on both, compared byte for byte; and what a
//! session cannot show: replicas, limits, messages to oneself.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::{Client, Kind, Server, Value, encode, wait_until};

const BOUND: Duration = Duration::from_secs(30);

/// Several connections by name, and what each was sent.
struct Session {
    port: u16,
    links: BTreeMap<String, Client>,
    /// Those that cannot answer a PING now: inside MULTI, or muted.
    silent: BTreeSet<String>,
    fences: usize,
}

impl Session {
    fn new(server: &Server) -> Session {
        Session { port: server.port(), links: BTreeMap::new(), silent: BTreeSet::new(), fences: 0 }
    }

    /// One command on one connection, then what came on all of them, up to the answer to a PING that is sent after it.
    fn step(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        let (name, command) = (words[0].to_string(), &words[1..]);
        let port = self.port;
        let link = self.links.entry(name.clone()).or_insert_with(|| Client::connect(port));
        link.write_raw(&encode(command)).unwrap();
        self.note_silence(&name, &command.join(" "));
        let mut said = format!("{line}\n");
        if command == ["QUIT"] {
            let rest = self.links.remove(&name).unwrap().read_to_end().unwrap();
            said += &format!("  {name}: {:?} and the end\n", String::from_utf8_lossy(&rest));
        }
        let mut names: Vec<String> = self.links.keys().filter(|name| !self.silent.contains(*name)).cloned().collect();
        // The one that acted first: what it caused is on its way to the others when it is answered.
        names.sort_by_key(|other| *other != name);
        for other in names {
            let got = self.read_to_fence(&other);
            // HELLO tells the version.
            if !got.is_empty() && command[0] != "HELLO" {
                said += &format!("  {other}: {:?}\n", String::from_utf8_lossy(&got));
            }
        }
        said
    }

    fn note_silence(&mut self, name: &str, command: &str) {
        match command {
            "MULTI" | "CLIENT REPLY OFF" | "CLIENT REPLY SKIP" => {
                self.silent.insert(name.into());
            }
            "EXEC" | "DISCARD" | "RESET" | "CLIENT REPLY ON" | "PING skipped" => {
                self.silent.remove(name);
            }
            _ => {}
        }
    }

    fn read_to_fence(&mut self, name: &str) -> Vec<u8> {
        self.fences += 1;
        let fence = format!("fence-{}", self.fences);
        let end = format!("${}\r\n{fence}\r\n", fence.len()).into_bytes();
        let link = self.links.get_mut(name).unwrap();
        link.write_raw(&encode(&["PING", &fence])).unwrap();
        let mut got = Vec::new();
        while !got.ends_with(&end) {
            got.extend(link.read_exact(1).unwrap_or_else(|e| panic!("{name}: {e} after {got:?}")));
        }
        got.truncate(got.len() - end.len());
        // A subscriber's PONG is an array.
        got.strip_suffix(b"*2\r\n$4\r\npong\r\n").map(<[u8]>::to_vec).unwrap_or(got)
    }
}

/// A session on both servers; what is said must be the same. Names whose order is nobody's promise come one at a time.
#[track_caller]
fn same_as_stock(script: &str) {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (mut left, mut right) = (Session::new(&ours), Session::new(&stock));
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let said = left.step(line);
        assert_eq!(said, right.step(line));
        assert!(said.lines().count() > 1 || !left.silent.is_empty() || line.contains("HELLO"), "nothing came: {said}");
    }
}

#[test]
fn a_session_in_resp2() {
    same_as_stock(
        "a PING
        a SUBSCRIBE c1 c2 c1
        a PING
        a PING hi
        a GET x
        a PUBLISH c1 x
        a CLIENT LIST
        a NOSUCH
        a SUBSCRIBE
        b PUBLISH c1 m1
        b PUBLISH
        b SPUBLISH c1 m1
        a PSUBSCRIBE c*
        b PUBLISH c1 m2
        b PUBLISH c9 m2
        b PUBLISH d m2
        a SSUBSCRIBE s1
        b SPUBLISH s1 m3
        b PUBLISH s1 m3
        c SUBSCRIBE c1
        c SUBSCRIBE ''
        b PUBLISH c1 both
        b PUBLISH '' empty
        b PUBSUB CHANNELS c1*
        b PUBSUB NUMSUB
        b PUBSUB NUMSUB c1 zz c1
        b PUBSUB NUMPAT
        b PUBSUB SHARDCHANNELS
        b PUBSUB SHARDCHANNELS x*
        b PUBSUB SHARDNUMSUB s1 zz
        b PUBSUB SHARDNUMSUB
        b PUBSUB HELP
        b PUBSUB
        b PUBSUB foo
        b PUBSUB CHANNELS a b
        b PUBSUB NUMPAT a
        a UNSUBSCRIBE nosuch
        a UNSUBSCRIBE c2
        a UNSUBSCRIBE
        a UNSUBSCRIBE
        a PUNSUBSCRIBE zzz
        a PUNSUBSCRIBE
        a GET x
        a SUNSUBSCRIBE
        a GET x
        a SUNSUBSCRIBE
        a PUNSUBSCRIBE
        a UNSUBSCRIBE x y
        b PUBLISH c1 one
        a SUBSCRIBE z
        a RESET
        a GET x
        b PUBLISH z nobody
        a SUBSCRIBE z
        a QUIT
        b PUBLISH z nobody
        b PUBSUB CHANNELS ''
        c UNSUBSCRIBE ''
        c WATCH k
        c DISCARD
        c EXEC
        c UNSUBSCRIBE c1
        c GET x",
    );
}

#[test]
fn a_session_in_resp3() {
    same_as_stock(
        "d HELLO 3
        d UNSUBSCRIBE
        d PUNSUBSCRIBE
        d SUNSUBSCRIBE
        d SUBSCRIBE c1
        d SUBSCRIBE c1
        d GET x
        d PING
        d PING hi
        d PSUBSCRIBE *
        d SSUBSCRIBE s
        e SUBSCRIBE c1
        b PUBLISH c1 other
        b SPUBLISH s other
        d MULTI
        d SET k 1
        d SUBSCRIBE c5
        d UNSUBSCRIBE c5
        d PING
        d EXEC
        d CLIENT REPLY OFF
        b PUBLISH c1 muted
        d GET k
        d SUBSCRIBE c9
        d SSUBSCRIBE s9
        d UNSUBSCRIBE c9
        d CLIENT REPLY ON
        d CLIENT REPLY SKIP
        b PUBLISH c1 skipping
        d PING skipped
        d PING
        d HELLO 2
        b PUBLISH c1 now2
        d GET x
        d RESET
        d GET k
        b PUBLISH c1 last
        b MULTI
        b PUBLISH c1 queued
        b SPUBLISH c1 queued
        b EXEC",
    );
}

/// As Redis 7.2 and later have it: the reply first, also that to a whole transaction, then the messages. (7.0 sends
/// them as they come.)
#[test]
fn messages_to_oneself_come_after_the_reply() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    client.good(&["HELLO", "3"]);
    client.good(&["SUBSCRIBE", "c"]);
    let message = |text: &str| Value::Push(["message", "c", text].iter().map(Value::bulk).collect());
    client.write_raw(&[encode(&["PUBLISH", "c", "1"]), encode(&["PING"])].concat()).unwrap();
    let got: Vec<Value> = (0..3).map(|_| client.read().unwrap()).collect();
    assert_eq!(got, [Value::Int(1), message("1"), Value::Simple("PONG".into())]);
    client.good(&["MULTI"]);
    client.good(&["PUBLISH", "c", "2"]);
    client.good(&["SET", "k", "v"]);
    assert_eq!(client.good(&["EXEC"]), Value::Array(vec![Value::Int(1), Value::ok()]));
    assert_eq!(client.read().unwrap(), message("2"));
    client.write_raw(&[encode(&["CLIENT", "REPLY", "OFF"]), encode(&["PUBLISH", "c", "3"])].concat()).unwrap();
    assert_eq!(client.read().unwrap(), message("3"));
}

/// Messages travel to replicas of either kind, and take as much of the stream as with stock.
#[test]
fn replicas_pass_messages_on() {
    let mut grown = Vec::new();
    for (master, replica) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours)] {
        let master = Server::start(master, &["--repl-ping-replica-period", "3600"]);
        let replica = Server::start(replica, &[]);
        replica.follow(&master);
        let (mut listener, mut writer) = (replica.client(), master.client());
        listener.good(&["PSUBSCRIBE", "*"]);
        listener.good(&["SSUBSCRIBE", "s"]);
        writer.good(&["SET", "k", "v"]);
        let before: u64 = master.info("master_repl_offset").parse().unwrap();
        assert_eq!(writer.good(&["PUBLISH", "c", "1"]), Value::Int(0));
        writer.good(&["SPUBLISH", "s", "2"]);
        writer.good(&["MULTI"]);
        writer.good(&["PUBLISH", "c", "3"]);
        writer.good(&["EXEC"]);
        writer.good(&["SELECT", "3"]);
        writer.good(&["MULTI"]);
        writer.good(&["PUBLISH", "c", "4"]);
        writer.good(&["SET", "k", "v"]);
        writer.good(&["EXEC"]);
        for text in ["1", "2", "3", "4"] {
            let message = listener.read().unwrap();
            assert_eq!(message.items().last().unwrap(), &Value::bulk(text));
        }
        replica.wait_caught_up(&master);
        let after: u64 = master.info("master_repl_offset").parse().unwrap();
        grown.push(after - before);
        // Who publishes at a replica is heard there.
        assert_eq!(replica.cmd(&["PUBLISH", "c", "5"]), Value::Int(1));
    }
    assert_eq!(grown[0], grown[1], "bytes of stream");
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_at_its_own_limit() {
    let server = Server::start(Kind::Ours, &["--client-output-buffer-limit", "pubsub 300000 0 0"]);
    let (mut lazy, mut writer) = (server.client(), server.client());
    lazy.good(&["SUBSCRIBE", "c"]);
    assert_eq!(server.info("pubsub_channels"), "1");
    let text = vec![b'x'; 200_000];
    let sent = (0..1000).take_while(|_| writer.good(&[b"PUBLISH".as_slice(), b"c", &text]) == Value::Int(1)).count();
    assert!((2..1000).contains(&sent), "{sent} messages");
    wait_until(BOUND, "nothing of it is left", || server.info("pubsub_channels") == "0");
    assert_eq!(writer.good(&["CLIENT", "LIST", "TYPE", "pubsub"]).text(), "");
}

#[test]
fn client_list_tells_who_listens_and_kill_finds_them() {
    let server = Server::start(Kind::Ours, &[]);
    let (mut listener, mut other) = (server.client(), server.client());
    for command in [["SUBSCRIBE", "a"], ["SUBSCRIBE", "b"], ["PSUBSCRIBE", "*"], ["SSUBSCRIBE", "s"]] {
        listener.good(&command);
    }
    let line = other.good(&["CLIENT", "LIST", "TYPE", "pubsub"]).text();
    assert!(line.contains(" flags=P ") && line.contains(" sub=2 psub=1 ssub=1 "), "{line}");
    assert_eq!(line.lines().count(), 1);
    for (field, count) in [("channels", "2"), ("patterns", "1"), ("_clients", "1")] {
        let name = if field.starts_with('_') { format!("pubsub{field}") } else { format!("pubsub_{field}") };
        assert_eq!(server.info(&name), count, "{name}");
    }
    assert_eq!(server.info("pubsubshard_channels"), "1");
    assert_eq!(other.good(&["CLIENT", "KILL", "TYPE", "normal"]), Value::Int(0));
    assert_eq!(other.good(&["CLIENT", "KILL", "TYPE", "pubsub"]), Value::Int(1));
    wait_until(BOUND, "nobody listens", || other.good(&["PUBLISH", "a", "x"]) == Value::Int(0));
    assert_eq!(server.info("pubsub_clients"), "0");
}
