//! Links that are cut at a random byte of the handshake, the snapshot, the load and the live stream, while the master
//! is written to: who still can goes on where it was, and the data is the same in the end.
//!
//! `CUTS=200 cargo nextest run --no-capture -E 'binary(cuts)'` cuts 200 times for each pair and tells the counts.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Dice, Kind, Proxy, Server, Stage, assert_same_data, fill, random_writes, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const STAGES: [Stage; 4] = [Stage::Handshake, Stage::Snapshot, Stage::Load, Stage::Live];

/// How often a test of the suite cuts; the four stages take turns.
const CUTS: usize = 8;

fn count(server: &Server, field: &str) -> usize {
    server.info(field).parse().unwrap()
}

struct Pair {
    master: Server,
    replica: Server,
    proxy: Proxy,
}

impl Pair {
    fn start(master: Kind, replica: Kind) -> Pair {
        let master = Server::start(master, &["--repl-backlog-size", "256mb"]);
        let own: &[&str] = if replica == Kind::Ours { &["--repl-reconnect-max-delay", "1"] } else { &[] };
        let replica = Server::start(replica, own);
        let proxy = Proxy::to(master.port());
        fill(&mut master.client());
        let pair = Pair { master, replica, proxy };
        pair.attach();
        pair.wait_for_link();
        pair
    }

    fn attach(&self) {
        self.replica.cmd(&["REPLICAOF", "127.0.0.1", &self.proxy.port().to_string()]);
    }

    fn wait_for_link(&self) {
        let up = || self.replica.info("master_link_status") == "up" && self.master.info("connected_slaves") == "1";
        wait_until(BOUND, "the link is up", up);
    }

    /// One cut, and the wait until the link is up again. Full syncs that it may cost are those whose snapshot was cut,
    /// and the one that a replica needs that was its own master meanwhile.
    fn cut(&self, stage: Stage, dice: &mut Dice) {
        let before = (count(&self.master, "sync_full"), self.proxy.cuts());
        let mut expected = before.0;
        match stage {
            Stage::Handshake => {
                self.proxy.plan(stage, dice.below(69) as usize);
                self.proxy.cut_now();
            }
            Stage::Live => self.proxy.plan(stage, dice.below(20_000) as usize),
            Stage::Snapshot | Stage::Load => {
                let pick = |dice: &mut Dice, values: [&'static str; 2]| values[dice.below(2) as usize];
                self.master.cmd(&["CONFIG", "SET", "repl-diskless-sync", pick(dice, ["yes", "no"])]);
                self.replica.cmd(&["CONFIG", "SET", "repl-diskless-load", pick(dice, ["disabled", "swapdb"])]);
                self.replica.cmd(&["REPLICAOF", "NO", "ONE"]);
                let after = if stage == Stage::Snapshot { dice.below(3_000_000) as usize } else { 0 };
                self.proxy.plan(stage, after);
                self.attach();
                expected += 1 + usize::from(stage == Stage::Snapshot);
            }
        }
        let wanted = before.1 + if stage == Stage::Handshake { 2 } else { 1 };
        wait_until(BOUND, &format!("the link is cut in {stage:?}"), || self.proxy.cuts() == wanted);
        self.wait_for_link();
        assert_eq!(count(&self.master, "sync_full"), expected, "full syncs after a cut in {stage:?}");
    }
}

fn cut_everywhere(master: Kind, replica: Kind) {
    let cuts = std::env::var("CUTS").map_or(CUTS, |text| text.parse().expect("CUTS is a number"));
    let pair = Pair::start(master, replica);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = pair.master.client();
            for seed in 0.. {
                random_writes(&mut writer, seed, 100);
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        // A failed cut must end the writer, too, or the scope would wait for it for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut dice = Dice::new(cuts as u64);
            (0..cuts).for_each(|round| pair.cut(STAGES[round % STAGES.len()], &mut dice));
        }));
        ended.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    pair.wait_for_link();
    pair.replica.wait_caught_up(&pair.master);
    assert_same_data(&pair.master, &pair.replica);
    println!(
        "{master:?} -> {replica:?}: {cuts} rounds, {} cuts, sync_full {}, sync_partial_ok {}, sync_partial_err {}, offset {}",
        pair.proxy.cuts(),
        count(&pair.master, "sync_full"),
        count(&pair.master, "sync_partial_ok"),
        count(&pair.master, "sync_partial_err"),
        pair.master.info("master_repl_offset"),
    );
}

#[test]
fn ours_follows_stock_over_a_link_that_is_cut_everywhere() {
    cut_everywhere(Kind::Stock, Kind::Ours);
}

#[test]
fn stock_follows_ours_over_a_link_that_is_cut_everywhere() {
    cut_everywhere(Kind::Ours, Kind::Stock);
}

#[test]
fn ours_follows_ours_over_a_link_that_is_cut_everywhere() {
    cut_everywhere(Kind::Ours, Kind::Ours);
}
