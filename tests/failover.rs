//! FAILOVER between ours and stock: nothing acknowledged is lost, everybody goes on by partial resync, and whatever goes
//! wrong leaves one master.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use support::{Client, Kind, Server, Value, assert_same_data, encode, free_port, wait_until};

const BOUND: Duration = Duration::from_secs(30);

fn failover(from: &Server, args: &[&str]) {
    let line = [&["FAILOVER"], args].concat();
    assert_eq!(from.cmd(&line), Value::ok());
}

fn wait_for_role(server: &Server, role: &str) {
    wait_until(BOUND, &format!("port {} is {role}", server.port()), || {
        server.info("role") == role && server.info("master_failover_state") == "no-failover"
    });
}

#[test]
fn refusals_are_those_of_stock() {
    let masters = [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &[]));
    let replicas = [Kind::Ours, Kind::Stock].map(|kind| Server::start(kind, &[]));
    let said = |servers: &[Server; 2], line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(servers[0].cmd(&args), servers[1].cmd(&args), "{line}");
    };
    for line in [
        "FAILOVER",
        "FAILOVER ABORT",
        "FAILOVER FOO",
        "FAILOVER TO a",
        "FAILOVER TO 127.0.0.1 x",
        "FAILOVER TO 127.0.0.1 1 FORCE",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT x",
        "FAILOVER TIMEOUT",
        "FAILOVER ABORT ABORT",
        "FAILOVER TIMEOUT 10 TIMEOUT 10",
        "FAILOVER FORCE FORCE",
        "PSYNC ? -1 FAILOVER",
    ] {
        said(&masters, line);
    }
    for (replica, master) in replicas.iter().zip(&masters) {
        replica.follow(master);
        wait_for_replica(master);
    }
    for line in [
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER FORCE",
        "FAILOVER TO 127.0.0.1 1 FORCE",
        "FAILOVER TIMEOUT 5 FORCE",
        "FAILOVER TO 127.0.0.1 1 ABORT",
        "FAILOVER ABORT",
    ] {
        said(&masters, line);
    }
    let psync = format!("PSYNC {} 1 FAILOVER", "a".repeat(40));
    for line in ["FAILOVER", "FAILOVER ABORT", &psync] {
        said(&replicas, line);
    }
}

/// Writes numbers, each acknowledged before the next, to whichever of the two is the master, until told to end.
/// Returns how many.
fn write_through(master: &AtomicU16, ends: &AtomicBool) -> usize {
    let mut client = Client::connect(master.load(Ordering::SeqCst));
    let mut written = 0;
    while !ends.load(Ordering::SeqCst) {
        let number = written.to_string();
        match client.try_cmd(&["RPUSH", "written", &number]) {
            Ok(Value::Int(_)) => written += 1,
            Ok(Value::Error(text)) => {
                assert!(text.starts_with("READONLY"), "{text}");
                client = Client::connect(master.load(Ordering::SeqCst));
            }
            other => panic!("{other:?}"),
        }
    }
    written
}

fn wait_for_writes(server: &Server) {
    let before = server.info("master_repl_offset");
    wait_until(BOUND, "writes go on", || server.info("master_repl_offset") != before);
}

fn wait_for_replica(master: &Server) {
    wait_until(BOUND, "the replica is online", || master.info("slave0").contains("state=online"));
}

/// Three nodes, a writer, and the part of the master goes over and back.
fn nothing_is_lost(first: Kind, second: Kind, third: Kind) {
    let [a, b, c] = [first, second, third].map(|kind| Server::start(kind, &["--repl-backlog-size", "100mb"]));
    b.follow(&a);
    c.follow(&a);
    let (master, ends) = (AtomicU16::new(a.port()), AtomicBool::new(false));
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_through(&master, &ends));
        for (from, to) in [(&a, &b), (&b, &a), (&a, &b)] {
            wait_for_writes(to);
            to.wait_for_link(from);
            failover(from, &["TO", "127.0.0.1", &to.port().to_string()]);
            wait_for_role(to, "master");
            wait_for_role(from, "slave");
            master.store(to.port(), Ordering::SeqCst);
            from.wait_for_link(to);
            // Names of histories are remembered one deep: who stays away for two failovers must begin anew.
            wait_for_writes(to);
            c.wait_caught_up(to);
        }
        ends.store(true, Ordering::SeqCst);
        writer.join().expect("the writer")
    });
    assert!(written > 3, "{written}");
    a.wait_caught_up(&b);
    c.wait_for_link(&a);
    c.wait_caught_up(&b);
    let expected: Vec<Value> = (0..written).map(|number| Value::bulk(number.to_string())).collect();
    assert_eq!(b.cmd(&["LRANGE", "written", "0", "-1"]).items(), expected);
    assert_same_data(&b, &a);
    assert_same_data(&b, &c);
    assert_eq!(a.info("sync_full"), "2", "the two that joined at first");
    assert_eq!(b.info("sync_full"), "0");
}

#[test]
fn ours_to_ours_loses_nothing() {
    nothing_is_lost(Kind::Ours, Kind::Ours, Kind::Stock);
}

#[test]
fn ours_to_stock_and_back_loses_nothing() {
    nothing_is_lost(Kind::Ours, Kind::Stock, Kind::Ours);
}

#[test]
fn stock_to_ours_and_back_loses_nothing() {
    nothing_is_lost(Kind::Stock, Kind::Ours, Kind::Ours);
}

#[test]
fn a_target_that_lags_is_waited_for_given_up_or_forced() {
    for kind in [Kind::Ours, Kind::Stock] {
        let (master, replica) = (Server::start(kind, &[]), Server::start(Kind::Ours, &[]));
        replica.follow(&master);
        wait_for_replica(&master);
        let port = replica.port().to_string();
        replica.signal("STOP");
        let mut writer = master.client();
        writer.good(&["SET", "k", "1"]);
        failover(&master, &[]);
        assert_eq!(master.info("master_failover_state"), "waiting-for-sync");
        for (line, text) in [
            (vec!["FAILOVER"], "ERR FAILOVER already in progress."),
            (vec!["REPLICAOF", "NO", "ONE"], "ERR REPLICAOF not allowed while failing over."),
        ] {
            assert_eq!(master.cmd(&line), Value::Error(text.into()));
        }
        // A write waits, and is done when the failover is called off.
        writer.write_raw(&encode(&["INCR", "k"])).unwrap();
        wait_until(BOUND, "it waits", || master.info("blocked_clients") == "1");
        failover(&master, &["ABORT"]);
        assert_eq!(writer.read().unwrap(), Value::Int(2));
        master.wait_for_log("FAILOVER to any replica aborted: Failover manually aborted");
        failover(&master, &["TO", "127.0.0.1", &port, "TIMEOUT", "50"]);
        master.wait_for_log(&format!("FAILOVER to 127.0.0.1:{port} aborted: Replica never caught up before timeout"));
        writer.good(&["INCR", "k"]);
        failover(&master, &["TO", "127.0.0.1", &port, "TIMEOUT", "50", "FORCE"]);
        wait_until(BOUND, "it is forced", || master.info("master_failover_state") == "failover-in-progress");
        assert_eq!(master.info("role"), "slave");
        let failing = Value::Error("NOMASTERLINK Can't SYNC while failing over".into());
        assert_eq!(master.cmd(&["PSYNC", "?", "-1"]), failing);
        replica.signal("CONT");
        wait_for_role(&replica, "master");
        wait_for_role(&master, "slave");
        master.wait_for_link(&replica);
        master.wait_for_log(&format!("FAILOVER to 127.0.0.1:{port} time out exceeded, failing over."));
        assert!(writer.cmd(&["INCR", "k"]).text().starts_with("READONLY"));
        replica.cmd(&["SET", "k", "new"]);
        master.wait_caught_up(&replica);
        assert_same_data(&replica, &master);
    }
}

#[test]
fn a_target_that_refuses_leaves_the_master_what_it_was() {
    for kinds in [(Kind::Ours, Kind::Ours), (Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours)] {
        let (master, replica) = (Server::start(kinds.0, &[]), Server::start(kinds.1, &[]));
        replica.follow(&master);
        wait_for_replica(&master);
        let mut other = replica.client();
        replica.signal("STOP");
        // What waits in its socket is read before it is asked.
        other.write_raw(&encode(&["REPLICAOF", "NO", "ONE"])).unwrap();
        let mut writer = master.client();
        writer.good(&["SET", "k", "1"]);
        failover(&master, &["TO", "127.0.0.1", &replica.port().to_string(), "TIMEOUT", "50", "FORCE"]);
        wait_until(BOUND, "it is forced", || master.info("master_failover_state") == "failover-in-progress");
        replica.signal("CONT");
        assert_eq!(other.read().unwrap(), Value::ok());
        master.wait_for_log("aborted: Failover target rejected psync request");
        wait_for_role(&master, "master");
        assert_eq!(writer.cmd(&["INCR", "k"]), Value::Int(2));
    }
}

/// A replica made of bytes, which answers what it is told to.
struct Puppet {
    listener: TcpListener,
    link: BufReader<TcpStream>,
}

impl Puppet {
    /// Joins a master that has sent no stream yet, and acknowledges all of it.
    fn follow(master: &Server) -> Puppet {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mut link = BufReader::new(TcpStream::connect(("127.0.0.1", master.port())).unwrap());
        link.get_ref().set_read_timeout(Some(BOUND)).unwrap();
        let say = |link: &mut BufReader<TcpStream>, args: &[&str]| {
            link.get_mut().write_all(&encode(args)).unwrap();
        };
        say(&mut link, &["REPLCONF", "listening-port", &port.to_string()]);
        assert_eq!(line(&mut link), "+OK");
        say(&mut link, &["REPLCONF", "capa", "psync2"]);
        assert_eq!(line(&mut link), "+OK");
        say(&mut link, &["PSYNC", "?", "-1"]);
        let answer = line(&mut link);
        let offset = answer.split(' ').nth(2).expect("an offset").to_string();
        let announced = loop {
            let announced = line(&mut link);
            if !announced.is_empty() {
                break announced;
            }
        };
        let mut snapshot = vec![0; announced.trim_start_matches('$').parse().unwrap()];
        link.read_exact(&mut snapshot).unwrap();
        say(&mut link, &["REPLCONF", "ACK", &offset]);
        Puppet { listener, link }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Takes the next connection through the handshake; returns it with the arguments of PSYNC.
    fn accept(&self) -> (BufReader<TcpStream>, Vec<String>) {
        let mut link = BufReader::new(self.listener.accept().unwrap().0);
        link.get_ref().set_read_timeout(Some(BOUND)).unwrap();
        loop {
            let count: usize = line(&mut link).trim_start_matches('*').parse().unwrap();
            let args: Vec<String> = (0..count)
                .map(|_| {
                    line(&mut link);
                    line(&mut link)
                })
                .collect();
            if args[0] == "PSYNC" {
                return (link, args);
            }
            link.get_mut().write_all(b"+OK\r\n").unwrap();
        }
    }
}

fn line(link: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    link.read_line(&mut line).expect("a line");
    assert!(line.ends_with('\n'), "the link ended: {line:?}");
    line.trim_end().to_string()
}

#[test]
fn a_link_that_breaks_while_the_target_is_asked_does_not_make_two_masters() {
    let master = Server::start(Kind::Ours, &["--repl-diskless-sync", "no", "--repl-ping-replica-period", "3600"]);
    let puppet = Puppet::follow(&master);
    wait_for_replica(&master);
    let mut writer = master.client();
    failover(&master, &["TO", "127.0.0.1", &puppet.port().to_string()]);
    let (link, first) = puppet.accept();
    assert_eq!((first.len(), first[3].as_str()), (4, "FAILOVER"));
    writer.write_raw(&encode(&["SET", "k", "v"])).unwrap();
    drop(link);
    let (mut link, second) = puppet.accept();
    assert_eq!(second, first, "it is asked again");
    link.get_mut().write_all(b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n").unwrap();
    let (mut link, third) = puppet.accept();
    assert_eq!(third, first[..3], "and followed as the master that it is");
    assert_eq!(master.info("master_failover_state"), "failover-in-progress");
    link.get_mut().write_all(format!("+CONTINUE {}\r\n", "b".repeat(40)).as_bytes()).unwrap();
    wait_for_role(&master, "slave");
    assert_eq!(master.info("master_replid"), "b".repeat(40));
    assert_eq!(master.info("master_replid2"), first[1]);
    let said = writer.read().unwrap();
    assert!(said.text().starts_with("READONLY"), "{said:?}");
    drop(puppet.link);
}
