//! MIGRATE beside stock: what is said to a target and what becomes of the keys, whatever the target answers; and real
//! journeys between servers of both kinds.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use support::{Client, Kind, Server, Value, fill, wait_until};

/// A step of a target that plays a part: it reads a command and says this, closes, or keeps silent.
#[derive(Clone, Copy)]
enum Step {
    Say(&'static str),
    Close,
    Silence,
}

use Step::{Close, Say, Silence};

const YES: Step = Say("+OK\r\n");

fn read_command(input: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut number = |prefix: &str| {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        Some((line.trim_end().strip_prefix(prefix)?.parse::<usize>().ok()?, line))
    };
    let (count, _) = number("*")?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let mut word = vec![0; line.trim_end().strip_prefix('$')?.parse::<usize>().ok()? + 2];
        input.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        words.push(word.escape_ascii().to_string());
    }
    Some(words)
}

/// Plays its part for one connection; returns what it was told.
fn target(steps: &'static [Step]) -> (u16, std::thread::JoinHandle<Vec<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let play = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let mut told = Vec::new();
        for step in steps {
            if let Close = step {
                break;
            }
            let Some(command) = read_command(&mut input) else { break };
            told.push(command);
            match step {
                Say(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                // Until the other side has had enough.
                Silence => drop(stream.read(&mut [0])),
                Close => {}
            }
        }
        told
    };
    (port, std::thread::spawn(play))
}

fn prepare(client: &mut Client) {
    client.good(&["FLUSHALL"]);
    for key in ["a", "b", "c"] {
        client.good(&["SET", key, &key.repeat(3)]);
    }
    client.good(&["RPUSH", "list", "1", "2", "3"]);
}

/// What came of one call: the answer, what the target was told, the keys that are left.
fn outcome(client: &mut Client, steps: Option<&'static [Step]>, line: &str) -> String {
    prepare(client);
    let (port, told) = match steps {
        Some(steps) => {
            let (port, told) = target(steps);
            (port, Some(told))
        }
        None => (1, None),
    };
    let port = port.to_string();
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| match word {
            "PORT" => port.as_str(),
            "EMPTY" => "",
            word => word,
        })
        .collect();
    let answer = client.cmd(&words);
    let left: Vec<String> = ["a", "b", "c", "list"]
        .into_iter()
        .filter(|key| client.cmd(&["EXISTS", key]) == Value::Int(1))
        .map(String::from)
        .collect();
    let told = told.map(|told| told.join().unwrap());
    let left = left.join(" ");
    format!("{answer:?}, told {told:?}, left {left:?}")
}

#[test]
fn a_target_is_spoken_to_and_understood_as_by_stock() {
    let (ours, stock) = (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]));
    let (mut ours, mut stock) = (ours.client(), stock.client());
    let cases: &[(Option<&'static [Step]>, &str)] = &[
        (Some(&[YES, YES]), "MIGRATE 127.0.0.1 PORT a 0 500"),
        (Some(&[YES, YES]), "MIGRATE 127.0.0.1 PORT a 7 0"),
        (Some(&[YES, YES]), "MIGRATE localhost PORT list 0 500 copy replace"),
        (Some(&[YES, YES, YES]), "MIGRATE 127.0.0.1 PORT EMPTY 0 500 KEYS a none b"),
        (Some(&[YES, YES, YES]), "MIGRATE 127.0.0.1 PORT EMPTY 0 500 COPY KEYS a list"),
        (Some(&[YES, YES, YES]), "MIGRATE 127.0.0.1 PORT EMPTY 0 500 KEYS a a"),
        (Some(&[YES, YES, YES]), "MIGRATE 127.0.0.1 PORT a 0 500 AUTH secret"),
        (Some(&[YES, YES, YES]), "MIGRATE 127.0.0.1 PORT a 0 500 AUTH2 user secret"),
        (Some(&[YES]), "MIGRATE 127.0.0.1 PORT a -1 500"),
        (Some(&[Say("-WRONGPASS no\r\n"), YES, YES]), "MIGRATE 127.0.0.1 PORT a 0 500 AUTH secret"),
        (Some(&[Say("-NOAUTH 1\r\n"), Say("-NOAUTH 2\r\n")]), "MIGRATE 127.0.0.1 PORT a 0 500"),
        (Some(&[Say("-ERR DB index is out of range\r\n"), YES]), "MIGRATE 127.0.0.1 PORT a 99 500"),
        (Some(&[YES, Say("-BUSYKEY it is there\r\n")]), "MIGRATE 127.0.0.1 PORT a 0 500"),
        (
            Some(&[YES, Say("-BUSYKEY 1\r\n"), YES, Say("-BUSYKEY 2\r\n")]),
            "MIGRATE 127.0.0.1 PORT EMPTY 0 500 KEYS a b c",
        ),
        (Some(&[Silence]), "MIGRATE 127.0.0.1 PORT a 0 50"),
        (Some(&[YES, YES, Silence]), "MIGRATE 127.0.0.1 PORT EMPTY 0 50 KEYS a b"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500"),
        (None, "MIGRATE 127.0.0.1 none a 0 500"),
        (None, "MIGRATE 127.0.0.1 PORT none 0 500"),
        (None, "MIGRATE 127.0.0.1 PORT EMPTY 0 500 KEYS"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500 KEYS b"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500 KEYS"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500 AUTH"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500 AUTH2 user"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 500 NONSENSE"),
        (None, "MIGRATE 127.0.0.1 PORT a zero 500"),
        (None, "MIGRATE 127.0.0.1 PORT a 0 soon"),
        (None, "MIGRATE 127.0.0.1 PORT a 0"),
    ];
    for (steps, line) in cases {
        // Each has a target of its own, for stock keeps connections and leaves SELECT out then.
        assert_eq!(outcome(&mut ours, *steps, line), outcome(&mut stock, *steps, line), "{line}");
    }
}

#[test]
fn a_target_that_goes_away_has_what_it_said_yes_to() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    for (steps, left) in
        [(&[Close] as &[Step], "a b c list"), (&[YES, Close], "a b c list"), (&[YES, YES, Close], "b c list")]
    {
        // A stock server tries once more here, which it has to as it keeps connections.
        let outcome = outcome(&mut client, Some(steps), "MIGRATE 127.0.0.1 PORT EMPTY 0 500 KEYS a b");
        assert!(outcome.contains("IOERR error or timeout "), "{outcome}");
        assert!(outcome.ends_with(&format!("left {left:?}")), "{outcome}");
    }
}

#[test]
fn a_target_that_speaks_something_else_gets_no_key() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    for (steps, error) in [
        (&[Say("HTTP/1.1 400 Bad Request\r\n"), Say("Connection: close\r\n")] as &[Step], "HTTP/1.1 400 Bad Request"),
        (&[YES, Say(":1\r\n")], ":1"),
    ] {
        let outcome = outcome(&mut client, Some(steps), "MIGRATE 127.0.0.1 PORT a 0 500");
        assert!(outcome.contains(&format!("Target instance replied with error: {error}")), "{outcome}");
        assert!(outcome.ends_with(r#"left "a b c list""#), "{outcome}");
    }
}

#[test]
fn all_keys_arrive_and_a_replica_sees_them_go() {
    for (from, to) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)] {
        let (source, target) = (Server::start(from, &[]), Server::start(to, &["--requirepass", "pw"]));
        let (witness, replica) = (Server::start(Kind::Stock, &[]), Server::start(Kind::Stock, &[]));
        replica.follow(&source);
        fill(&mut source.client());
        witness.follow(&source);
        witness.wait_caught_up(&source);
        witness.client().good(&["REPLICAOF", "NO", "ONE"]);
        let mut client = source.client();
        let keys: Vec<Vec<u8>> = client.cmd(&["KEYS", "*"]).items().iter().map(|key| key.bytes()).collect();
        assert!(keys.len() > 50, "{} keys", keys.len());
        let port = target.port().to_string();
        for some in keys.chunks(40) {
            let mut words: Vec<&[u8]> = vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"0", b"5000"];
            words.extend([b"AUTH2".as_slice(), b"default", b"pw", b"KEYS"]);
            words.extend(some.iter().map(Vec::as_slice));
            client.good(&words);
        }
        assert_eq!(client.cmd(&["DBSIZE"]), Value::Int(0));
        wait_until(Duration::from_secs(20), "the replica has lost them too", || {
            replica.cmd(&["DBSIZE"]) == source.cmd(&["DBSIZE"])
        });
        let (mut there, mut here) = (target.client(), witness.client());
        there.good(&["AUTH", "pw"]);
        for key in &keys {
            let digest = [b"DEBUG".as_slice(), b"DIGEST-VALUE", key.as_slice()];
            assert_eq!(there.cmd(&digest), here.cmd(&digest), "{}", key.escape_ascii());
        }
    }
}
