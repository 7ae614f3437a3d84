//! What replicas cost their master in memory: how it is told, where it ends, and how it comes back.

mod support;

use std::time::Duration;

use support::{Kind, Server, wait_until};

const BOUND: Duration = Duration::from_secs(30);
const ARGS: [&str; 4] = ["--repl-diskless-sync-delay", "0", "--repl-timeout", "600"];

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().unwrap_or_else(|_| panic!("{field}"))
}

/// A field of the only replica in CLIENT LIST.
fn of_replica(master: &Server, field: &str) -> u64 {
    let text = master.cmd(&["CLIENT", "LIST", "TYPE", "replica"]).text();
    let value = text.split_whitespace().find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{field} in {text}")).parse().unwrap()
}

/// Overwrites one key until so many bytes have gone into the stream.
fn write(master: &Server, bytes: usize) {
    let (mut client, value) = (master.client(), vec![b'x'; 100_000]);
    for _ in 0..bytes.div_ceil(value.len()) {
        client.good(&[b"SET".as_slice(), b"key", &value]);
    }
}

#[test]
fn a_stopped_replica_is_accounted_for_as_stock_does() {
    for kind in [Kind::Stock, Kind::Ours] {
        let master = Server::start(kind, &[&ARGS[..], &["--repl-backlog-size", "1mb"]].concat());
        let replica = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        replica.signal("STOP");
        write(&master, 20_000_000);
        let (omem, total) = (of_replica(&master, "omem"), number(&master, "mem_total_replication_buffers"));
        assert!((4_000_000..=total).contains(&omem), "{kind:?}: {omem} of {total}");
        assert!(of_replica(&master, "oll") > 10 && of_replica(&master, "tot-mem") > omem);
        assert_eq!(of_replica(&master, "obl"), 0);
        let (backlog, replicas) = (number(&master, "mem_replication_backlog"), number(&master, "mem_clients_slaves"));
        assert!((1 << 20..1_100_000).contains(&backlog), "{kind:?}: {backlog}");
        assert!((total - (1 << 20)..total).contains(&replicas), "{kind:?}: {replicas} of {total}");
        let uncounted = number(&master, "mem_not_counted_for_evict");
        assert!((total - 1_200_000..total).contains(&uncounted), "{kind:?}: {uncounted} of {total}");
        replica.signal("CONT");
        replica.wait_caught_up(&master);
        wait_until(BOUND, "only the backlog stays", || {
            write(&master, 1);
            of_replica(&master, "omem") < 300_000 && number(&master, "mem_total_replication_buffers") < 1_500_000
        });
    }
}

#[test]
fn a_replica_over_its_limit_is_cut_and_its_blocks_go_at_once() {
    // The hard limit lies below the backlog, which counts instead of it.
    let limits = ["--repl-backlog-size", "12mb", "--client-output-buffer-limit", "replica 100 0 0", "--hz", "1"];
    let master = Server::start(Kind::Ours, &[&ARGS[..], &limits].concat());
    let replica = Server::start(Kind::Ours, &[]);
    replica.follow(&master);
    replica.signal("STOP");
    write(&master, 10_000_000);
    let unsent = of_replica(&master, "omem");
    assert!(unsent > 100, "a limit below the backlog does not cut: {unsent}");
    master.cmd(&["CONFIG", "SET", "client-output-buffer-limit", "replica 20mb 0 0"]);
    write(&master, 8_000_000);
    assert_eq!(master.info("connected_slaves"), "1");
    write(&master, 24_000_000);
    assert_eq!(master.info("connected_slaves"), "0");
    let held = number(&master, "mem_total_replication_buffers");
    assert!(held < (12 << 20) + 3 * 65536, "{held}");
    let log = master.log();
    let line = log.lines().find(|line| line.contains("overcoming of output buffer limits.")).expect("a line");
    assert!(line.contains("Client id=") && line.contains(" flags=S "), "{line}");
    replica.signal("CONT");
}

#[test]
fn the_backlog_changes_its_size_at_once() {
    let master = Server::start(Kind::Ours, &[&ARGS[..], &["--repl-backlog-size", "2mb"]].concat());
    let replica = Server::start(Kind::Ours, &[]);
    replica.follow(&master);
    write(&master, 4_000_000);
    replica.wait_caught_up(&master);
    assert_eq!(number(&master, "repl_backlog_histlen"), 2 << 20);
    // In one batch, so that nothing but the command itself can have done it.
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let batch = [words("CONFIG SET repl-backlog-size 300000"), words("INFO everything")];
    let text = master.client().pipeline(&batch)[1].text();
    let end = number(&master, "master_repl_offset");
    for line in ["repl_backlog_size:300000", "repl_backlog_histlen:300000"] {
        assert!(text.lines().any(|other: &str| other == line), "{line}");
    }
    assert!(number(&master, "repl_backlog_first_byte_offset") > end - 300_000);
    assert!(number(&master, "mem_total_replication_buffers") < 300_000 + 3 * 65536);
    let first = number(&master, "repl_backlog_first_byte_offset");
    master.cmd(&["CONFIG", "SET", "repl-backlog-size", "3mb"]);
    write(&master, 2_000_000);
    assert_eq!(number(&master, "repl_backlog_first_byte_offset"), first, "growing keeps what is there");
    write(&master, 4_000_000);
    wait_until(BOUND, "the larger backlog is full", || number(&master, "repl_backlog_histlen") == 3 << 20);
    assert_eq!(master.info("sync_full"), "1");
}

#[test]
fn an_announced_replica_is_not_waited_for_once_enough_of_them_are_there() {
    for kind in [Kind::Stock, Kind::Ours] {
        let master = Server::start(kind, &["--repl-diskless-sync-delay", "600"]);
        let mut announced = master.client();
        announced.good(&["REPLCONF", "listening-port", "1", "capa", "eof"]);
        let replica = Server::start(Kind::Ours, &[]);
        replica.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
        master.wait_for_log("asks for synchronization");
        assert_eq!(master.info("rdb_bgsave_in_progress"), "0");
        assert!(!master.log().contains("Starting BGSAVE"), "{kind:?} waits for the other");
        master.cmd(&["CONFIG", "SET", "repl-diskless-sync-max-replicas", "1"]);
        replica.wait_for_link(&master);
    }
}

#[test]
fn a_backlog_that_nobody_reads_goes_when_its_time_is_over() {
    for kind in [Kind::Stock, Kind::Ours] {
        let master = Server::start(kind, &[&ARGS[..], &["--repl-backlog-ttl", "1"]].concat());
        let mut replica = Server::start(Kind::Ours, &[]);
        replica.follow(&master);
        let history = master.info("master_replid");
        replica.kill();
        master.wait_for_log("Replication backlog freed after 1 seconds without connected replicas.");
        assert_eq!((master.info("repl_backlog_active"), master.info("repl_backlog_histlen")), ("0".into(), "0".into()));
        assert_ne!(master.info("master_replid"), history, "{kind:?}: writes are not counted from here on");
    }
}
