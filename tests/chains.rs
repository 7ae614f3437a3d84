//! Chains of both kinds of server: master → a → b → c. A node in the middle is promoted, the old master is put under it,
//! processes are killed and restarted: who can goes on where it was.

mod support;

use std::time::Duration;

use support::{Kind, Server, assert_same_data, fill, random_writes, wait_until};

const BOUND: Duration = Duration::from_secs(60);
use Kind::{Ours, Stock};

fn full_syncs(servers: &[Server]) -> Vec<u32> {
    servers.iter().map(|server| server.info("sync_full").parse().unwrap()).collect()
}

/// Servers in a chain, each the replica of the one before, with data.
fn chain(kinds: [Kind; 4]) -> Vec<Server> {
    let start = |kind: &Kind| {
        let own: &[&str] = if *kind == Ours { &["--repl-reconnect-max-delay", "1"] } else { &[] };
        Server::start(*kind, &[&["--save", "3600 1000000", "--repl-backlog-size", "64mb"], own].concat())
    };
    let servers: Vec<Server> = kinds.iter().map(start).collect();
    fill(&mut servers[0].client());
    for pair in servers.windows(2) {
        pair[1].follow(&pair[0]);
    }
    servers
}

/// Waits until all are at the same offset of the same history.
fn await_chain(order: &[&Server]) {
    wait_until(BOUND, "all are at the same offset of the same history", || {
        let place = |server: &Server| (server.info("master_repl_offset"), server.info("master_replid"));
        let goal = place(order[0]);
        order[1..].iter().all(|server| server.info("master_link_status") == "up" && place(server) == goal)
    });
}

/// As `await_chain`; then all hold the same data.
fn assert_chain_agrees(order: &[&Server]) {
    await_chain(order);
    for server in &order[1..] {
        assert_same_data(order[0], server);
    }
}

fn replicaof(server: &Server, master: &Server) {
    server.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
}

/// `a` is promoted while the master is cut off, and the old master comes back under it. It may have nothing that `a`
/// lacks, or what it has beyond would be lost to a full sync, rightly.
fn promote_the_first_replica(kinds: [Kind; 4]) {
    let servers = chain(kinds);
    let [master, a, b, c] = &servers[..] else { unreachable!() };
    random_writes(&mut master.client(), 1, 1000);
    await_chain(&[master, a, b, c]);
    let before = full_syncs(&servers);
    // The stock servers ping every ten seconds; a ping after the promotion would be a byte of the old master's own.
    master.cmd(&["CONFIG", "SET", "repl-ping-replica-period", "3600"]);
    await_chain(&[master, a, b, c]);
    master.signal("STOP");
    a.cmd(&["REPLICAOF", "NO", "ONE"]);
    random_writes(&mut a.client(), 2, 1000);
    await_chain(&[a, b, c]);
    master.signal("CONT");
    replicaof(master, a);
    random_writes(&mut a.client(), 3, 500);
    await_chain(&[a, b, c, master]);
    assert_eq!(full_syncs(&servers), before, "{kinds:?}: somebody did not continue");

    // Another one of the same history is as good a master.
    replicaof(c, master);
    random_writes(&mut a.client(), 4, 500);
    assert_chain_agrees(&[a, b, c, master]);
    assert_eq!(full_syncs(&servers), before, "{kinds:?}: c did not continue under another node of the same history");
}

#[test]
fn a_chain_continues_when_its_first_replica_is_promoted_all_ours() {
    promote_the_first_replica([Ours, Ours, Ours, Ours]);
}

#[test]
fn a_chain_continues_when_its_first_replica_is_promoted_stock_at_the_head() {
    promote_the_first_replica([Stock, Ours, Stock, Ours]);
}

#[test]
fn a_chain_continues_when_its_first_replica_is_promoted_stock_promoted() {
    promote_the_first_replica([Ours, Stock, Ours, Stock]);
}

#[test]
fn a_chain_continues_when_its_first_replica_is_promoted_stock_around_ours() {
    promote_the_first_replica([Stock, Ours, Ours, Stock]);
}

#[test]
fn a_chain_continues_when_its_first_replica_is_promoted_stock_in_the_middle() {
    promote_the_first_replica([Ours, Ours, Stock, Ours]);
}

/// Nodes are killed in mid-stream, and ended in order. After an orderly end they continue; after a crash there is never
/// a false continue: in the end all have what the master has.
fn restarts(kinds: [Kind; 4]) {
    let mut servers = chain(kinds);
    let port = |server: &Server| format!("127.0.0.1 {}", server.port());
    for number in 0..4_u64 {
        let place = number as usize;
        random_writes(&mut servers[0].client(), 10 + number, 300);
        await_chain(&servers.iter().collect::<Vec<_>>());
        let above = (place > 0).then(|| port(&servers[place - 1]));
        let before = full_syncs(&servers);
        assert!(servers[place].terminate().success());
        match &above {
            Some(above) => servers[place].restart_with(&["--replicaof", above]),
            None => servers[place].restart(),
        }
        servers[place].wait_loaded();
        random_writes(&mut servers[0].client(), 20 + number, 300);
        await_chain(&servers.iter().collect::<Vec<_>>());
        let after = full_syncs(&servers);
        let others = |counts: &[u32]| [&counts[..place], &counts[place + 1..]].concat();
        assert_eq!(others(&after), others(&before), "{kinds:?}: an orderly restart of node {place} cost a full sync");
        assert_eq!(after[place], 0, "{kinds:?}: node {place} gave full syncs after an orderly restart");
    }
    assert_chain_agrees(&servers.iter().collect::<Vec<_>>());
    for number in 0..4_u64 {
        let place = number as usize;
        // What is written after the save is lost with the master, and must go everywhere else, too.
        servers[place].cmd(&["SAVE"]);
        random_writes(&mut servers[0].client(), 30 + number, 300);
        let above = (place > 0).then(|| port(&servers[place - 1]));
        servers[place].kill();
        match &above {
            Some(above) => servers[place].restart_with(&["--replicaof", above]),
            None => servers[place].restart(),
        }
        servers[place].wait_loaded();
        random_writes(&mut servers[0].client(), 40 + number, 300);
        await_chain(&servers.iter().collect::<Vec<_>>());
    }
    assert_chain_agrees(&servers.iter().collect::<Vec<_>>());
}

#[test]
fn restarts_in_a_chain_of_ours() {
    restarts([Ours, Ours, Ours, Ours]);
}

#[test]
fn restarts_in_a_chain_of_both_kinds() {
    restarts([Stock, Ours, Stock, Ours]);
}

#[test]
fn restarts_in_a_chain_of_the_other_order() {
    restarts([Ours, Stock, Ours, Stock]);
}
