//! The tests' own tools, tried on stock Redis alone: what they say of two servers must be true.

mod support;

use support::{Client, Kind, Server, Value, assert_same_data, difference, fill, random_writes};

#[test]
fn a_stock_replica_holds_what_its_master_holds() {
    let master = Server::start(Kind::Stock, &[]);
    let mut replica = Server::start(Kind::Stock, &[]);
    fill(&mut master.client());
    replica.follow(&master);
    assert_same_data(&master, &replica);
    random_writes(&mut master.client(), 7, 5_000);
    replica.wait_caught_up(&master);
    assert_same_data(&master, &replica);
    replica.restart();
    replica.follow(&master);
    assert_same_data(&master, &replica);
}

#[test]
fn the_dataset_holds_every_encoding() {
    let server = Server::start(Kind::Stock, &[]);
    let mut client = server.client();
    fill(&mut client);
    let mut seen = std::collections::BTreeSet::new();
    for key in support::keys_of(&mut client, 3) {
        let kind = client.good(&[b"TYPE".as_slice(), &key]).text();
        let encoding = client.good(&[b"OBJECT".as_slice(), b"ENCODING", &key]).text();
        seen.insert(format!("{kind} {encoding}"));
    }
    for expected in [
        "string int",
        "string embstr",
        "string raw",
        "list quicklist",
        "set intset",
        "set hashtable",
        "hash listpack",
        "hash hashtable",
        "zset listpack",
        "zset skiplist",
    ] {
        assert!(seen.contains(expected), "{expected} is missing in {seen:?}");
    }
}

#[test]
fn a_difference_is_found_and_named() {
    let a = Server::start(Kind::Stock, &[]);
    let b = Server::start(Kind::Stock, &[]);
    let both = |args: &[&str]| [a.cmd(args), b.cmd(args)];
    both(&["HSET", "h", "f", "v"]);
    both(&["SET", "s", "v", "PXAT", "4102444800000"]);
    assert_eq!(difference(&a, &b), None);
    b.cmd(&["HSET", "h", "f", "w"]);
    assert!(difference(&a, &b).unwrap().contains("\"h\" in db 0"));
    b.cmd(&["HSET", "h", "f", "v"]);
    b.cmd(&["PEXPIREAT", "s", "4102444800001"]);
    assert!(difference(&a, &b).unwrap().contains("\"s\" in db 0"));
    b.cmd(&["DEL", "s"]);
    assert!(difference(&a, &b).unwrap().contains("only one holds \"s\""));
}

#[test]
fn the_client_reads_every_kind_of_reply() {
    let server = Server::start(Kind::Stock, &[]);
    let mut client: Client = server.client();
    assert_eq!(client.cmd(&["GET", "none"]), Value::Nil);
    assert_eq!(client.cmd(&["LPOP", "none", "2"]), Value::Nil);
    client.good(&["HELLO", "3"]);
    let replies = ["string", "integer", "double", "null", "array", "set", "map", "true", "bignum", "verbatim"]
        .map(|kind| client.cmd(&["DEBUG", "PROTOCOL", kind]));
    assert_eq!(replies[0], Value::bulk("Hello World"));
    assert_eq!(replies[1], Value::Int(12345));
    assert!(matches!(replies[2], Value::Double(d) if (d * 1000.0).round() == 3141.0));
    assert_eq!(replies[3], Value::Nil);
    assert_eq!(replies[4], Value::Array(vec![Value::Int(0), Value::Int(1), Value::Int(2)]));
    assert_eq!(replies[5], Value::Set(vec![Value::Int(0), Value::Int(1), Value::Int(2)]));
    assert_eq!(
        replies[6].clone(),
        Value::Map(vec![
            (Value::Int(0), Value::Bool(false)),
            (Value::Int(1), Value::Bool(true)),
            (Value::Int(2), Value::Bool(false)),
        ])
    );
    assert_eq!(replies[7], Value::Bool(true));
    assert_eq!(replies[8], Value::Big("1234567999999999999999999999999999999".into()));
    assert_eq!(replies[9], Value::Verbatim(b"This is a verbatim\nstring".to_vec()));
}

#[test]
fn a_server_ends_as_told() {
    let mut server = Server::start(Kind::Stock, &[]);
    server.wait_for_log("Ready to accept connections");
    assert!(server.terminate().success());
    server.restart();
    assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()));
}
