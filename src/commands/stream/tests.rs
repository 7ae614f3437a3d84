//! What travels in place of what was typed, the events, and the shape of replies. That replies are those of stock the
//! comparison with stock shows (`tests/streams.rs`, `scripts/compare diff`).

use super::ROWS;
use crate::commands::testing::Bench;

/// The bench's clock.
const NOW: &str = "1700000000000";

fn travels(bench: &mut Bench, command: &str) -> String {
    bench.line(command);
    let text = bench.propagated().unwrap_or_else(|| if bench.dirty > 0 { "as typed".into() } else { "nothing".into() });
    // The words alone.
    text.split(' ').filter(|word| !word.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ").replace(NOW, "NOW")
}

#[test]
fn what_depends_on_the_time_or_on_nodes_travels_as_what_came_of_it() {
    let mut bench = Bench::new(ROWS);
    bench.keys.limits.stream_node_max_entries = 2;
    for (command, expected) in [
        ("xadd s * a 1", "xadd s NOW-0 a 1"),
        ("xadd s * a 2", "xadd s NOW-1 a 2"),
        ("xadd s 1700000000000-* a 3", "xadd s NOW-2 a 3"),
        ("xadd s 1700000000001-5 a 4", "as typed"),
        ("xadd s 5 a 4", "nothing"),
        ("xadd none nomkstream * a 1", "nothing"),
        ("xadd s maxlen 4 1700000000002 a 5", "as typed"),
        ("xadd s maxlen = 4 1700000000003-* a 6", "xadd s maxlen = 4 1700000000003-0 a 6"),
        ("xadd s maxlen ~ 1 limit 2 1700000000004 a 7", "xadd s maxlen = 3 limit 2 1700000000004-0 a 7"),
        ("xadd s minid ~ 1700000000004 1700000000005 a 8", "xadd s minid = 1700000000004-0 1700000000005-0 a 8"),
        ("xtrim s maxlen ~ 1", "nothing"),
        ("xadd s 1700000000006 a 9", "as typed"),
        ("xtrim s maxlen ~ 1", "xtrim s maxlen = 1"),
        ("xtrim s minid 1700000000006", "nothing"),
        ("xtrim s minid 1700000000007", "as typed"),
        (
            "xadd s minid ~ 1700000000009 1700000000008 a 9",
            "xadd s minid = 18446744073709551615-18446744073709551615 1700000000008-0 a 9",
        ),
        ("xtrim s maxlen 0", "nothing"),
        ("xadd s minid ~ 1 limit 0 1700000000009 a 9", "xadd s minid = 1700000000009-0 limit 0 1700000000009-0 a 9"),
    ] {
        assert_eq!(travels(&mut bench, command), expected, "{command}");
    }
}

#[test]
fn what_a_group_is_given_travels_entry_by_entry() {
    let mut bench = Bench::new(ROWS);
    for seq in 1..=4 {
        bench.line(&format!("xadd s 1-{seq} a {seq}"));
    }
    let claim = |consumer: &str, id: &str, count: u64, last: &str| {
        format!("XCLAIM s g {consumer} 0 {id} TIME NOW RETRYCOUNT {count} FORCE JUSTID LASTID {last}")
    };
    let both = |first: String, second: &str| format!("{first} {second}");
    for (command, expected) in [
        ("xgroup create s g 0", "as typed".to_owned()),
        (
            "xreadgroup group g one count 1 streams s >",
            both(claim("one", "1-1", 1, "1-1"), "XGROUP SETID s g 1-1 ENTRIESREAD 1"),
        ),
        ("xreadgroup group g one streams s 0", String::new()),
        (
            "xreadgroup group g two noack count 1 streams s >",
            "XGROUP CREATECONSUMER s g two XGROUP SETID s g 1-2 ENTRIESREAD 2".to_owned(),
        ),
        ("xclaim s g two 0 1-1", claim("two", "1-1", 3, "1-2")),
        ("xclaim s g two 0 1-1 justid", claim("two", "1-1", 3, "1-2")),
        ("xclaim s g two 5 1-1", String::new()),
        ("xclaim s g two 0 1-9 lastid 1-3", "XGROUP SETID s g 1-3 ENTRIESREAD 2".to_owned()),
        ("xclaim s g two 0 1-4 force", claim("two", "1-4", 2, "1-3")),
        ("xdel s 1-4", "as typed".to_owned()),
        ("xautoclaim s g three 0 0 count 1", claim("three", "1-1", 4, "1-3")),
        ("xautoclaim s g three 0 1-2 justid", claim("two", "1-4", 2, "1-3")),
        ("xack s g 1-1 1-4", "as typed".to_owned()),
        ("xack s g 1-1", "nothing".to_owned()),
        ("xreadgroup group g one block 1 streams s >", String::new()),
        ("xreadgroup group g four noack block 1 streams s >", "XGROUP CREATECONSUMER s g four".to_owned()),
    ] {
        assert_eq!(travels(&mut bench, command), expected, "{command}");
        let waits = bench.effects.take_wait().is_some();
        assert_eq!(waits, command.contains("block"), "{command}");
    }
}

#[test]
fn events_tell_what_happened() {
    let mut bench = Bench::new(ROWS);
    for (command, expected) in [
        ("xadd s 1-1 a 1", "new s, xadd s"),
        ("xadd s maxlen 1 1-2 a 1", "xadd s, xtrim s"),
        ("xadd s nomkstream 1-3 a 1", "xadd s"),
        ("xtrim s maxlen 1", "xtrim s"),
        ("xtrim s maxlen 1", ""),
        ("xdel s 1-3 5-5", "xdel s"),
        ("xdel s 1-3", ""),
        ("xsetid s 7-7", "xsetid s"),
        ("xgroup create t g $ mkstream", "new t, xgroup-create t"),
        ("xgroup createconsumer t g c", "xgroup-createconsumer t"),
        ("xgroup createconsumer t g c", ""),
        ("xreadgroup group g d streams t >", "xgroup-createconsumer t"),
        ("xgroup setid t g 5", "xgroup-setid t"),
        ("xgroup delconsumer t g c", "xgroup-delconsumer t"),
        ("xgroup delconsumer t g c", ""),
        ("xclaim t g e 0 1-1", "xgroup-createconsumer t"),
        ("xautoclaim t g f 0 0", "xgroup-createconsumer t"),
        ("xgroup destroy t g", "xgroup-destroy t"),
        ("xgroup destroy t g", ""),
    ] {
        bench.line(command);
        assert_eq!(bench.events().join(", "), expected, "{command}");
    }
}

#[test]
fn consumers_are_seen_whenever_they_ask_and_active_when_they_get() {
    let mut bench = Bench::new(ROWS);
    bench.line("xgroup create s g 0 mkstream");
    let consumer = |bench: &mut Bench| {
        let text = bench.line("xinfo consumers s g");
        text.split(' ').filter_map(|word| word.strip_prefix(':')).collect::<Vec<_>>().join(" ")
    };
    bench.line("xreadgroup group g c streams s >");
    bench.now += 10;
    assert_eq!(consumer(&mut bench), "0 10 -1", "pending, idle, inactive");
    bench.line("xadd s 1-1 a 1");
    bench.line("xreadgroup group g c noack streams s >");
    bench.line("xgroup setid s g 0");
    bench.now += 5;
    assert_eq!(consumer(&mut bench), "0 5 -1", "what need not be acknowledged makes nobody active");
    bench.line("xreadgroup group g c streams s >");
    bench.now += 7;
    bench.line("xautoclaim s g c 1000 0");
    bench.now += 1;
    assert_eq!(consumer(&mut bench), "1 1 8");
}

#[test]
fn maps_are_maps_in_resp3() {
    let mut bench = Bench::new(ROWS);
    bench.line("xadd s 1-1 a 1");
    bench.line("xgroup create s g 0");
    assert_eq!(bench.line("xread streams s 0"), "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    assert_eq!(bench.line("xread streams none s 0 1-1"), "*-1");
    bench.resp3 = true;
    assert_eq!(bench.line("xread streams s 0"), "%1 $1 s *1 *2 $3 1-1 *2 $1 a $1 1");
    assert_eq!(bench.line("xread streams s 1-1"), "_");
    assert!(bench.line("xinfo stream s").starts_with("%10 $6 length :1 $15 radix-tree-keys :1"));
    assert!(bench.line("xinfo stream s full").starts_with("%9 $6 length :1"));
    assert!(bench.line("xinfo groups s").starts_with("*1 %6 $4 name $1 g"));
    assert_eq!(bench.line("xpending s g"), "*4 :0 _ _ _");
}

#[test]
fn who_waits_for_the_last_id_waits_for_what_it_is_now() {
    let mut bench = Bench::new(ROWS);
    bench.line("xadd s 1-1 a 1");
    bench.line("xread block 0 streams s t $ 5-5");
    let wait = bench.effects.take_wait().expect("nothing to read");
    assert_eq!((wait.keys.len(), wait.deadline_ms, wait.wakes_without_key), (2, None, false));
    let args = wait.args.expect("other words").join(&b' ');
    assert_eq!(String::from_utf8_lossy(&args), "xread block 0 streams s t 1-1 5-5");
    bench.line("xread block 7 streams s 1-1");
    let wait = bench.effects.take_wait().expect("nothing to read");
    assert_eq!((wait.deadline_ms, wait.args), (Some(bench.now + 7), None));
}
