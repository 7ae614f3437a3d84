//! CLIENT, HELLO, RESET and the limits of what a client may hold, beside stock.

mod support;

use std::time::Duration;
use support::{Client, Kind, Server, Value, assert_same_play, wait_until};

fn both() -> (Server, Server) {
    (Server::start(Kind::Stock, &[]), Server::start(Kind::Ours, &[]))
}

#[test]
fn client_and_hello_answer_as_stock_does() {
    let (stock, ours) = both();
    assert_same_play(
        &stock,
        &ours,
        r#"
        A CLIENT
        A CLIENT FOO
        A CLIENT ID x
        A CLIENT LIST TYPE
        A CLIENT LIST TYPE foo
        A CLIENT LIST ID
        A CLIENT LIST ID x
        A CLIENT LIST ID -1 99999
        A CLIENT LIST FOO bar
        A CLIENT LIST TYPE pubsub
        A CLIENT KILL
        A CLIENT KILL foo
        A CLIENT KILL 1.2.3.4:5
        A CLIENT KILL ID
        A CLIENT KILL ID x
        A CLIENT KILL ID 0
        A CLIENT KILL ID 99999
        A CLIENT KILL TYPE foo
        A CLIENT KILL TYPE replica SKIPME yes
        A CLIENT KILL USER nosuch
        A CLIENT KILL ADDR 1.2.3.4:5
        A CLIENT KILL LADDR 1.2.3.4:5
        A CLIENT KILL ID 9999 SKIPME foo
        A CLIENT KILL USER default SKIPME yes TYPE pubsub
        A CLIENT REPLY foo
        A CLIENT SETNAME "a b"
        A CLIENT SETNAME ""
        A CLIENT GETNAME
        A CLIENT SETNAME abc
        A CLIENT GETNAME
        A CLIENT NO-EVICT foo
        A CLIENT UNBLOCK x
        A CLIENT UNBLOCK 9999
        A CLIENT UNBLOCK 9999 foo
        A CLIENT PAUSE x
        A CLIENT PAUSE -1
        A CLIENT PAUSE 1 foo
        A CLIENT UNPAUSE x
        A HELLO 1
        A HELLO x
        A HELLO 2 foo
        A HELLO 2 AUTH a
        A HELLO 2 AUTH a b
        A HELLO 2 SETNAME
        A HELLO 2 SETNAME "a b"
        A HELLO 2 SETNAME joe AUTH default x SETNAME jim
        A CLIENT GETNAME
        A SELECT x
        A SELECT 16
        A SELECT 99999999999
        A RESET x
        A SELECT 3
        A RESET
        A CLIENT GETNAME
        A DEBUG REPLYBUFFER foo bar
        A DEBUG REPLYBUFFER peak-reset-time x
        A DEBUG REPLYBUFFER peak-reset-time never
        A DEBUG REPLYBUFFER resizing 0
        A DEBUG PROTOCOL foo
        A CONFIG SET maxmemory-clients 101%
        A CONFIG SET maxmemory-clients x
        A SLOWLOG GET x
        A SLOWLOG GET -2
        A SLOWLOG GET 1 2
        A SLOWLOG FOO
        A LATENCY FOO
        A LATENCY LATEST
        A LATENCY HISTORY foo
        A LATENCY GRAPH foo
        A LATENCY RESET foo bar
        A LATENCY HISTOGRAM nosuch
        A CLIENT KILL ID {A} SKIPME no
        "#,
    );
    for protocol in ["2", "3"] {
        for kind in "string integer null array set map attrib push verbatim true false bignum double".split(' ') {
            let raw = |server: &Server| {
                let mut client = server.client();
                client.good(&["HELLO", protocol]);
                client.write_raw(&support::encode(&["DEBUG", "PROTOCOL", kind])).unwrap();
                client.write_raw(&support::encode(&["QUIT"])).unwrap();
                client.read_to_end().unwrap()
            };
            assert_eq!(raw(&stock), raw(&ours), "{kind} in RESP{protocol}");
        }
    }
}

/// The fields of CLIENT LIST in their order; 7.2 adds two.
#[test]
fn client_list_has_the_fields_of_stock() {
    let (stock, ours) = both();
    let fields = |server: &Server| -> Vec<String> {
        let text = server.cmd(&["CLIENT", "INFO"]).text();
        text.split(' ').filter_map(|pair| Some(pair.split_once('=')?.0.to_string())).collect()
    };
    let mut expected = fields(&stock);
    expected.extend(["lib-name".to_string(), "lib-ver".to_string()]);
    assert_eq!(fields(&ours), expected);
}

/// What a slow log holds, durations and times left out.
#[test]
fn the_slow_log_keeps_what_stock_keeps() {
    let told = |kind: Kind| {
        let server = Server::start(kind, &["--slowlog-log-slower-than", "0"]);
        let mut client = server.client();
        client.good(&["CLIENT", "SETNAME", "joe"]);
        client.good(&["SLOWLOG", "RESET"]);
        client.cmd(&["AUTH", "some", "one"]);
        client.good(&["CONFIG", "SET", "masterauth", "secret", "slowlog-max-len", "20"]);
        client.good(&["SET", "key", &"x".repeat(200)]);
        let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let many: Vec<&str> = ["SADD", "set"].into_iter().chain(many.iter().map(String::as_str)).collect();
        client.good(&many);
        client.cmd(&["LPUSH", "key", "1"]);
        client.cmd(&["NOSUCH"]);
        client.good(&["EVAL", "return redis.call('get', KEYS[1])", "1", "key"]);
        client.good(&["MULTI"]);
        client.good(&["GET", "key"]);
        client.good(&["EXEC"]);
        let entries = client.good(&["SLOWLOG", "GET", "-1"]);
        let told = entries.items().iter().map(|entry| {
            let entry = entry.items();
            let address = entry[4].text();
            assert!(address.starts_with("127.0.0.1:") || address == "?:0", "{address}");
            (entry[0].int(), entry[3].items().iter().map(Value::text).collect::<Vec<_>>(), entry[5].text())
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(Kind::Stock), told(Kind::Ours));
}

#[test]
fn what_takes_long_is_measured() {
    let ours = Server::start(Kind::Ours, &["--latency-monitor-threshold", "5"]);
    let mut client = ours.client();
    client.good(&["DEBUG", "SLEEP", "0.02"]);
    let latest = client.good(&["LATENCY", "LATEST"]);
    let event = &latest.items()[0].items();
    assert_eq!(event[0], Value::bulk("command"));
    assert!(event[2].int() >= 20 && event[3].int() >= 20, "{event:?}");
    assert!(client.good(&["LATENCY", "DOCTOR"]).text().contains("command: 1 latency spikes"));
    assert!(client.good(&["LATENCY", "GRAPH", "command"]).text().starts_with("command - high "));
    assert_eq!(client.good(&["LATENCY", "RESET"]).int(), 1);
    (0..3).for_each(|_| _ = client.good(&["GET", "key"]));
    let histogram = client.good(&["LATENCY", "HISTOGRAM", "get"]);
    let [name, figures] = histogram.items() else { panic!("{histogram:?}") };
    assert_eq!((name.text(), figures.items()[1].int()), ("get".into(), 3));
    assert_eq!(figures.items()[3].items().last(), Some(&Value::Int(3)));
    let told = ours.info("latency_percentiles_usec_get");
    assert!(told.starts_with("p50=") && told.contains(",p99=") && told.contains(",p99.9="), "{told}");
    client.good(&["CONFIG", "SET", "latency-tracking", "no"]);
    assert_eq!(ours.info("latency_percentiles_usec_get"), "");
    client.good(&["GET", "key"]);
    client.good(&["CONFIG", "SET", "latency-tracking", "yes"]);
    assert_eq!(ours.info("latency_percentiles_usec_get"), told);
    client.good(&["CONFIG", "RESETSTAT"]);
    assert_eq!(ours.info("latency_percentiles_usec_get"), "");
}

#[test]
fn reads_of_a_client_that_says_no_touch_are_no_use_of_a_key() {
    let ours = Server::start(Kind::Ours, &["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0"]);
    let (mut quiet, mut loud) = (ours.client(), ours.client());
    let used = |client: &mut Client| client.good(&["OBJECT", "FREQ", "key"]).int();
    quiet.good(&["SET", "key", "x"]);
    let before = used(&mut loud);
    quiet.good(&["CLIENT", "NO-TOUCH", "ON"]);
    assert!(quiet.good(&["CLIENT", "INFO"]).text().contains(" flags=T "));
    (0..5).for_each(|_| _ = quiet.good(&["GET", "key"]));
    assert_eq!(used(&mut loud), before);
    quiet.good(&["TOUCH", "key"]);
    assert_eq!(used(&mut loud), before + 1);
    loud.good(&["GET", "key"]);
    assert_eq!(used(&mut loud), before + 2);
    let mut both = support::encode(&["CLIENT", "NO-TOUCH", "OFF"]);
    both.extend(support::encode(&["GET", "key"]));
    quiet.write_raw(&both).unwrap();
    (0..2).for_each(|_| _ = quiet.read().unwrap());
    assert_eq!(used(&mut loud), before + 3);
}

fn is_closed(client: &mut Client) -> bool {
    client.try_cmd(&["PING"]).is_err()
}

#[test]
fn who_sends_more_than_may_be_held_is_closed() {
    for kind in [Kind::Stock, Kind::Ours] {
        let server = Server::start(kind, &["--client-query-buffer-limit", "1mb"]);
        let mut client = server.client();
        let big = "x".repeat(3 << 20);
        let outcome = client.try_cmd(&["SET", "key", &big]);
        assert!(outcome.is_err(), "{kind:?}: {outcome:?}");
        assert_eq!(server.cmd(&["EXISTS", "key"]), Value::Int(0));
        server.wait_for_log("Closing client that reached max query buffer length");
    }
}

#[test]
fn the_heaviest_clients_go_when_all_together_weigh_too_much() {
    let ours = Server::start(Kind::Ours, &["--maxmemory-clients", "3mb"]);
    let mut spared = ours.client();
    spared.good(&["CLIENT", "NO-EVICT", "ON"]);
    let half = "x".repeat(500_000);
    let unfinished = |client: &mut Client, bytes: usize| {
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", bytes * 2);
        client.write_raw(head.as_bytes()).unwrap();
        client.write_raw(&half.as_bytes()[..bytes]).unwrap();
    };
    unfinished(&mut spared, 500_000);
    let (mut light, mut heavy) = (ours.client(), ours.client());
    light.good(&["PING"]);
    heavy.good(&["MULTI"]);
    let queued = (0..50).take_while(|_| heavy.try_cmd(&["SET", "key", &half]).is_ok()).count();
    assert!(queued < 10, "{queued}");
    wait_until(Duration::from_secs(30), "it is counted", || ours.info("evicted_clients") == "1");
    assert!(!is_closed(&mut light), "a light client stays");
    ours.wait_for_log("Evicting client: id=");
    spared.write_raw(&half.as_bytes()[..500_000]).unwrap();
    spared.write_raw(b"\r\n").unwrap();
    assert_eq!(spared.read().unwrap(), Value::ok());
    // A share of nothing is no limit.
    light.good(&["CONFIG", "SET", "maxmemory-clients", "5%"]);
    light.good(&["MULTI"]);
    (0..10).for_each(|_| _ = light.good(&["SET", "key", &half]));
}
