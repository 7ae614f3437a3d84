//! The protocol and the connections, from outside: the same bytes to stock Redis and to ours, and what only ours is
//! asked.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use support::{Client, Kind, Server, Value, encode, wait_until};

fn both(args: &[&str]) -> [Server; 2] {
    [Server::start(Kind::Stock, args), Server::start(Kind::Ours, args)]
}

/// All that comes back for these bytes until the server closes; it is told that no more will come.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server that closes before it has read all resets the link; what it said before still counts.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

#[track_caller]
fn assert_same(servers: &[Server; 2], bytes: &[u8]) {
    let [stock, ours] = servers.each_ref().map(|server| answer(server, bytes));
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    assert_eq!(ours, stock, "{shown:?}");
}

fn lines(commands: &[&str]) -> Vec<u8> {
    commands.iter().flat_map(|command| format!("{command}\r\n").into_bytes()).collect()
}

#[test]
fn inline_commands_and_protocol_errors() {
    let servers = both(&[]);
    let cases: [&[u8]; 20] = [
        b"PING\r\n",
        b"PING\nPING x\n",
        b"\r\n\r\nPING\r\n",
        b"SET k \"a\\x41\\n\"\r\nGET k\r\n",
        b"SET k 'it\\'s'\r\nGET k\r\n",
        b"SET k \"open\r\nPING\r\n",
        b"SET k 'a'b\r\nPING\r\n",
        b"*0\r\n*-1\r\nPING\r\n",
        b"*1\r\n:1\r\nPING\r\n",
        b"*x\r\nPING\r\n",
        b"*2147483648\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$536870913\r\n",
        b"PING\r\n*1\r\n$x\r\nPING\r\n",
        b"PING\r\nQUIT\r\nPING\r\n",
        b"post / HTTP/1.1\r\nPING\r\n",
        b"PING\r\nHost: here\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\nGET k\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\n\xff\r\n",
    ];
    cases.iter().for_each(|case| assert_same(&servers, case));
    assert_same(&servers, &vec![b'a'; 70_000]);
    assert_same(&servers, &[b"*".to_vec(), vec![b'1'; 70_000]].concat());
    assert_same(&servers, &[b"*1\r\n$".to_vec(), vec![b'1'; 70_000]].concat());
}

#[test]
fn errors_are_worded_as_stock_words_them() {
    let servers = both(&[]);
    let long = "x".repeat(300);
    let commands = [
        "nosuch",
        "nosuch a b",
        &format!("nosuch {long} b"),
        &format!("{long} a"),
        "get",
        "get a b",
        "set a",
        "object",
        "object nosuch a",
        "object encoding",
        "client nosuch",
        "client",
        "command nosuch",
        "select 16",
        "select -1",
        "select x",
        "select 15",
        "select 9999999999",
        "ping a b",
        "hello 4",
        "hello x",
        "hello 3 nosuch",
        "auth x",
        "auth default x",
        "auth a b c d",
        "client kill 1.1.1.1:1",
        "client kill id 0",
        "client kill type x",
        "client kill id 5 foo",
        "client setname \"a b\"",
        "client list id x",
        "client list foo",
        "client reply x",
        "client no-evict x",
        "command list filterby foo bar",
        "command getkeys mset a 1 b 2",
        "command getkeysandflags set k v get",
        "command info nosuch get",
        "hello 3 setname \"a b\"",
    ];
    commands.iter().for_each(|command| assert_same(&servers, &lines(&[command])));
}

#[test]
fn client_reply_and_transactions() {
    let servers = both(&[]);
    let cases: [&[&str]; 24] = [
        &["client reply off", "ping", "client reply on", "ping"],
        &["client reply skip", "ping", "ping"],
        &["client reply skip", "nosuch", "ping"],
        &["multi", "client reply off", "ping", "exec", "ping", "client reply on"],
        &["multi", "ping", "client reply skip", "ping", "exec", "ping", "ping"],
        &["multi", "ping", "client reply off", "ping", "client reply on", "ping", "exec"],
        &["client reply skip", "multi", "ping", "client reply skip", "exec", "ping"],
        &["client reply off", "client reply skip", "ping", "client reply on"],
        &["client kill type normal skipme no", "ping"],
        &["exec", "discard", "unwatch"],
        &["multi", "multi", "ping", "exec"],
        &["multi", "watch a", "ping", "exec"],
        &["multi", "nosuch", "ping", "exec", "exec"],
        &["multi", "get", "exec"],
        &["multi", "exec a", "exec"],
        &["exec a"],
        &["multi", "set a 1", "lpush a 1", "get a", "exec"],
        &["multi", "set a 1", "discard", "get a"],
        &["watch w", "set w 1", "multi", "get w", "exec", "get w"],
        &["watch w", "unwatch", "set w 1", "multi", "get w", "exec"],
        &["flushall", "watch none", "flushall", "multi", "ping", "exec"],
        &["set w 1", "watch w", "flushall", "multi", "ping", "exec"],
        &["set w 1", "watch w", "swapdb 0 1", "multi", "ping", "exec", "flushall"],
        &["watch w", "select 1", "set w 1", "multi", "ping", "exec", "flushall"],
    ];
    cases.iter().for_each(|case| assert_same(&servers, &lines(case)));
}

#[test]
fn a_watched_key_that_expires_aborts() {
    for server in both(&[]) {
        let (mut client, mut other) = (server.client(), server.client());
        other.good(&["SET", "k", "v", "PX", "30"]);
        client.good(&["WATCH", "k"]);
        wait_until(Duration::from_secs(10), "the key is gone", || other.cmd(&["EXISTS", "k"]) == Value::Int(0));
        client.good(&["MULTI"]);
        client.good(&["PING"]);
        assert_eq!(client.cmd(&["EXEC"]), Value::Nil, "{:?}", server.kind());
    }
}

#[test]
fn long_pipelines_every_cut_and_big_arguments() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    let mut bytes: Vec<u8> = Vec::new();
    (0..10_000).for_each(|n| bytes.extend(encode(&["ECHO", &n.to_string()])));
    client.write_raw(&bytes).unwrap();
    for n in 0..10_000 {
        assert_eq!(client.read().unwrap(), Value::bulk(n.to_string()));
    }
    let pair = [encode(&["SET", "k", "a\r\nb"]), b"GET k\r\n".to_vec(), encode(&["GET", "k"])].concat();
    for cut in 1..pair.len() {
        for part in [&pair[..cut], &pair[cut..]] {
            client.write_raw(part).unwrap();
        }
        let replies: Vec<Value> = (0..3).map(|_| client.read().unwrap()).collect();
        assert_eq!(replies, [Value::ok(), Value::bulk("a\r\nb"), Value::bulk("a\r\nb")], "cut at {cut}");
    }
    pair.iter().for_each(|&byte| client.write_raw(&[byte]).unwrap());
    assert_eq!(client.read().unwrap(), Value::ok());
    (0..2).for_each(|_| assert_eq!(client.read().unwrap(), Value::bulk("a\r\nb")));
    for size in [32 << 10, (32 << 10) + 1, 1 << 20, 64 << 20] {
        let value: Vec<u8> = (0..size).map(|at: usize| ((at * 31) >> 3) as u8).collect();
        client.good(&[b"SET".as_slice(), b"big", &value]);
        assert!(client.cmd(&["GET", "big"]).bytes() == value, "{size} bytes");
    }
}

#[test]
fn passwords() {
    let servers = both(&["--requirepass", "secret"]);
    let cases: [&[&str]; 7] = [
        &["get a", "ping", "nosuch", "get", "auth wrong", "auth secret", "get a"],
        &["auth default secret", "get a"],
        &["auth nobody secret", "get a"],
        &["hello 3 auth default wrong"],
        &["multi", "set a 1", "exec"],
        &["quit"],
        &["auth secret", "reset", "get a"],
    ];
    cases.iter().for_each(|case| assert_same(&servers, &lines(case)));
    // 7.2 names the protocol version too, which the stock server of version 7.0 does not.
    let refused = answer(&servers[1], b"hello 2\r\n");
    assert!(refused.starts_with("-NOAUTH HELLO must be called with the client already authenticated"), "{refused}");
    assert_same(&servers, b"*11\r\n");
    assert_same(&servers, b"*1\r\n$16385\r\n");
}

#[test]
fn too_many_clients_are_told() {
    for server in both(&["--maxclients", "4"]) {
        let mut clients: Vec<Client> = Vec::new();
        wait_until(Duration::from_secs(10), "only our clients are left", || {
            clients.clear();
            clients.extend((0..4).map(|_| server.client()));
            clients.iter_mut().all(|client| client.try_cmd(&["PING"]).is_ok_and(|reply| !reply.is_error()))
        });
        let text = String::from_utf8(server.client().read_to_end().unwrap()).unwrap();
        assert_eq!(text, "-ERR max number of clients reached\r\n", "{:?}", server.kind());
        clients[0].good(&["PING"]);
    }
}

#[test]
fn buffers_have_limits() {
    let args = ["--client-output-buffer-limit", "normal 2000000 0 0", "--client-query-buffer-limit", "1048576"];
    let server = Server::start(Kind::Ours, &args);
    let mut client = server.client();
    client.good(&["SET", "k", &"v".repeat(100_000)]);
    let mut lazy = server.client();
    let number = lazy.good(&["CLIENT", "ID"]).int().to_string();
    // The server may close while we still send.
    let _ = lazy.write_raw(&lines(&vec!["GET k"; 500]));
    wait_until(Duration::from_secs(20), "who does not read is closed", || {
        client.cmd(&["CLIENT", "LIST", "ID", &number]).text().is_empty()
    });
    let mut greedy = server.client();
    let number = greedy.good(&["CLIENT", "ID"]).int().to_string();
    let _ = greedy.write_raw(b"*100000\r\n");
    let argument = encode(&["x".repeat(1000)]);
    let argument = &argument[4..];
    let _ = (0..3000).try_for_each(|_| greedy.write_raw(argument));
    wait_until(Duration::from_secs(20), "who sends without end is closed", || {
        client.cmd(&["CLIENT", "LIST", "ID", &number]).text().is_empty()
    });
}

#[test]
fn idle_clients_are_closed_when_asked_for_and_many_are_no_burden() {
    let server = Server::start(Kind::Ours, &["--timeout", "1"]);
    assert_eq!(server.client().read_to_end().unwrap(), b"");
    let server = Server::start(Kind::Ours, &[]);
    let mut idle: Vec<Client> = (0..1000).map(|_| server.client()).collect();
    idle.iter_mut().step_by(97).for_each(|client| assert_eq!(client.good(&["PING"]), Value::Simple("PONG".into())));
}

#[test]
fn unix_socket_addresses_and_port_zero() {
    let dir = support::fresh_dir();
    let path = dir.join("socket");
    let shown = path.to_str().unwrap();
    let bind = ["--bind", "127.0.0.1 -::1 -192.0.2.1"];
    let server = Server::start(Kind::Ours, &[&["--unixsocket", shown, "--unixsocketperm", "700"], &bind[..]].concat());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"CLIENT INFO\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("addr={shown}:0 laddr={shown}:0")) && text.contains("flags=U"), "{text}");
    if let Ok(stream) = TcpStream::connect(("::1", server.port())) {
        assert_eq!(Client::over(stream).good(&["PING"]), Value::Simple("PONG".into()));
    }
}

#[test]
fn a_server_out_of_descriptors_goes_on_serving() {
    let dir = support::fresh_dir();
    let port = support::free_port();
    let command = format!(
        "ulimit -n 64; exec {} --port {port} --bind 127.0.0.1 --save '' --dir {}",
        Kind::Ours.program().display(),
        dir.display()
    );
    let child = std::process::Command::new("sh").args(["-c", &command]).stdout(std::process::Stdio::null()).spawn();
    let mut child = child.unwrap();
    wait_until(Duration::from_secs(20), "it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut first = Client::connect(port);
    first.good(&["PING"]);
    let crowd: Vec<TcpStream> = (0..150).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    (0..100).for_each(|_| assert_eq!(first.good(&["PING"]), Value::Simple("PONG".into())));
    drop(crowd);
    wait_until(Duration::from_secs(20), "new clients are served again", || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Client::over(stream).try_cmd(&["PING"]).is_ok_and(|reply| !reply.is_error())
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_authenticates_may_send_much_in_the_same_breath() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &["--requirepass", "pw"]);
        let mut client = server.client();
        let long = "x".repeat(100_000);
        let mut bytes = Vec::new();
        for words in [&["AUTH", "no"] as &[&str], &["PING"], &["AUTH", "pw"], &["SET", "k", &long], &["STRLEN", "k"]] {
            bytes.extend(encode(words));
        }
        bytes.extend(b"PING\r\n");
        client.write_raw(&bytes).unwrap();
        let replies: Vec<String> = (0..6).map(|_| format!("{:?}", client.read().unwrap())).collect();
        assert!(replies[0].contains("WRONGPASS") && replies[1].contains("NOAUTH"), "{kind:?}: {replies:?}");
        assert_eq!(replies[2..], [r#"Simple("OK")"#, r#"Simple("OK")"#, "Int(100000)", r#"Simple("PONG")"#]);
        let mut stranger = server.client();
        stranger.write_raw(&encode(&["SET", "k", &long])).unwrap();
        assert!(stranger.read().unwrap().text().contains("unauthenticated bulk length"), "{kind:?}");
    }
}
