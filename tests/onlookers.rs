//! MONITOR and client-side caching, played beside stock: what each connection is told, and in which order.

mod support;

use std::time::Duration;
use support::{Kind, Server, Value, assert_same_play, wait_until};

fn both() -> (Server, Server) {
    (Server::start(Kind::Stock, &[]), Server::start(Kind::Ours, &[]))
}

#[test]
fn monitors_are_shown_what_stock_shows() {
    let (stock, ours) = both();
    assert_same_play(
        &stock,
        &ours,
        r#"
        M MONITOR
        A SET k "a b"
        A get k
        A SET k "\ and tab	and é"
        A AUTH foo
        A AUTH some one
        A HELLO 3 SETNAME joe AUTH default x
        A HELLO 2
        A CONFIG GET port
        A CLIENT ID
        A SELECT 3
        A MULTI
        A SET a 1
        A GET a
        A EXEC
        A MULTI
        A GET
        A EXEC
        A MULTI
        A GET a
        A DISCARD
        A NOSUCH
        A GET
        A LPUSH k 1
        A EVAL "return redis.call('get', KEYS[1])" 1 k
        A EVALSHA 0123456789012345678901234567890123456789 0
        A PUBLISH a b
        A SUBSCRIBE ch
        A PUBLISH ch x
        A UNSUBSCRIBE ch
        A MONITOR
        A PING
        M PING
        M GET a
        M CLIENT GETNAME
        M RESET
        M GET a
        M MULTI
        M MONITOR
        M EXEC
        A QUIT
        M GET a
        "#,
    );
}

#[test]
fn a_monitor_that_does_not_read_is_cut_at_its_limit() {
    let ours = Server::start(Kind::Ours, &["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut monitor = ours.client();
    monitor.good(&["MONITOR"]);
    let mut writer = ours.client();
    let big = "x".repeat(100_000);
    wait_until(Duration::from_secs(30), "the monitor is cut", || {
        writer.good(&["SET", "key", &big]);
        ours.log().contains("scheduled to be closed ASAP for overcoming of output buffer limits")
    });
    assert_eq!(writer.good(&["GET", "key"]), Value::bulk(&big));
}

#[test]
fn stale_keys_are_told_as_stock_tells() {
    let (stock, ours) = both();
    assert_same_play(
        &stock,
        &ours,
        r#"
        A CLIENT CACHING yes
        A CLIENT TRACKING foo REDIRECT x
        A CLIENT TRACKING on REDIRECT 12345
        A CLIENT TRACKING on PREFIX a
        A CLIENT TRACKING on OPTIN OPTOUT
        A CLIENT TRACKING on BCAST OPTIN
        A CLIENT TRACKING on foo
        A HELLO 3
        A CLIENT TRACKINGINFO
        A CLIENT GETREDIR
        A CLIENT TRACKING on
        A CLIENT TRACKING on BCAST
        A CLIENT TRACKINGINFO
        A CLIENT GETREDIR
        A GET a
        B SET a 1
        B SET a 2
        A GET a
        A SET a 3
        A MGET a b c c
        B MSET c 1 b 2 a 3
        A LRANGE a 0 1
        B DEL a
        A GET a
        B RENAME b a
        A TTL a
        B EXPIRE a 1000
        A EXISTS a
        B PERSIST a
        A GET a
        B DEBUG RELOAD
        A GET a
        B FLUSHDB
        A FLUSHALL
        A GET a
        B MULTI
        B SET a 1
        B INCR a
        B EXEC
        A MULTI
        A GET a
        A SET a 7
        A SET b 7
        A EXEC
        A SELECT 3
        A GET a
        B SET a 1
        A SORT_RO a
        B SET a 1
        A GETEX a
        B SET a 1
        A EVAL "return redis.call('get', KEYS[1])" 1 a
        B SET a 1
        A EVAL "redis.call('set', KEYS[1], 1) return redis.call('get', KEYS[1])" 1 a
        B EVAL "return redis.call('set', KEYS[1], 1)" 1 a
        A CLIENT TRACKING on NOLOOP
        A GET a
        A SET a 1
        A GET a
        B SET a 1
        A CLIENT TRACKING off
        B SET a 1
        B RESET
        "#,
    );
}

#[test]
fn opting_in_and_out_and_broadcasts_are_as_stocks() {
    let (stock, ours) = both();
    assert_same_play(
        &stock,
        &ours,
        r#"
        A HELLO 3
        A CLIENT TRACKING on OPTIN
        A CLIENT TRACKING on OPTOUT
        A CLIENT CACHING no
        A CLIENT CACHING maybe
        A GET a
        B SET a 1
        A CLIENT CACHING yes
        A CLIENT TRACKINGINFO
        A GET a
        A CLIENT TRACKINGINFO
        B SET a 1
        A CLIENT CACHING yes
        A MULTI
        A GET a
        A GET b
        A EXEC
        A GET c
        B MSET a 1 b 1 c 1
        A CLIENT CACHING yes
        A GET
        A CLIENT TRACKINGINFO
        A CLIENT TRACKING off
        A CLIENT TRACKING on OPTOUT
        A CLIENT CACHING no
        A GET a
        A GET b
        B MSET a 1 b 1 c 1
        A CLIENT TRACKING off
        A CLIENT TRACKING on BCAST PREFIX foo PREFIX foobar
        A CLIENT TRACKING on BCAST PREFIX foo PREFIX ba NOLOOP
        A CLIENT TRACKING on BCAST PREFIX foob
        A CLIENT TRACKINGINFO
        B MSET foo2 1 foo1 2 bar 3 foo1 4 zz 2
        A SET foo1 2
        B FLUSHDB
        A CLIENT TRACKING on BCAST PREFIX quux
        A CLIENT TRACKING on BCAST
        A CLIENT TRACKINGINFO
        A SET zz 1
        A CLIENT TRACKING on OPTIN
        A RESET
        A CLIENT TRACKINGINFO
        "#,
    );
}

#[test]
fn redirections_are_told_as_stock_tells() {
    let (stock, ours) = both();
    assert_same_play(
        &stock,
        &ours,
        r#"
        R SUBSCRIBE __redis__:invalidate
        A CLIENT TRACKING on REDIRECT {R} REDIRECT {R}
        A CLIENT TRACKING on REDIRECT {R}
        A CLIENT TRACKINGINFO
        A CLIENT GETREDIR
        A GET k
        B SET k 1
        A GET k
        A SET k 1
        B FLUSHALL
        A GET k
        R UNSUBSCRIBE __redis__:invalidate
        B SET k 1
        A GET k
        R HELLO 3
        B SET k 1
        A GET k
        R SUBSCRIBE other
        B SET k 1
        R HELLO 2
        A GET k
        B SET k 1
        A GET k
        R SET k 1
        R QUIT
        A GET k
        B SET k 2
        A CLIENT TRACKINGINFO
        A HELLO 3
        A GET k
        B SET k 2
        A CLIENT TRACKING on
        A CLIENT TRACKINGINFO
        A CLIENT TRACKING on REDIRECT {A}
        A GET k
        B SET k 1
        "#,
    );
}

#[test]
fn expired_keys_and_keys_beyond_the_limit_are_told_of() {
    let ours = Server::start(Kind::Ours, &[]);
    let (mut reader, mut writer) = (ours.client(), ours.client());
    reader.good(&["HELLO", "3"]);
    reader.good(&["CLIENT", "TRACKING", "ON"]);
    writer.good(&["SET", "key", "1", "PX", "30"]);
    reader.good(&["GET", "key"]);
    let told = |key: &str| Value::Push(vec![Value::bulk("invalidate"), Value::Array(vec![Value::bulk(key)])]);
    assert_eq!(reader.read().unwrap(), told("key"));
    writer.good(&["CONFIG", "SET", "tracking-table-max-keys", "10"]);
    for number in 0..100 {
        reader.good(&["EXISTS", &format!("key:{number}")]);
        if number >= 10 {
            assert!(matches!(reader.read().unwrap(), Value::Push(_)), "one key for another");
        }
    }
    assert_eq!(ours.info("tracking_total_keys"), "10");
    assert_eq!(ours.info("tracking_total_items"), "10");
    assert_eq!(ours.info("tracking_clients"), "1");
    drop(reader);
    wait_until(Duration::from_secs(30), "nothing of it is left", || {
        ours.info("tracking_total_keys") == "0" && ours.info("tracking_clients") == "0"
    });
}
