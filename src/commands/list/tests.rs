//! Replies as stock Redis gave them, and random commands against a `VecDeque`.

use super::ROWS;
use crate::base::rng::Rng;
use crate::commands::testing::Bench;
use std::collections::VecDeque;

/// Runs commands and holds their replies and counts of changes against what is wanted.
fn check(bench: &mut Bench, table: &[(&str, &str, u64)]) {
    for (command, reply, dirty) in table {
        assert_eq!(bench.line(command), *reply, "{command}");
        assert_eq!(bench.dirty, *dirty, "{command}");
    }
}

#[test]
fn both_ends() {
    let mut bench = Bench::new(ROWS);
    check(
        &mut bench,
        &[
            ("lpush l a b c", ":3", 3),
            ("rpush l d e", ":5", 2),
            ("lpushx none a", ":0", 0),
            ("rpushx l f g", ":7", 2),
            ("lpushx l z", ":8", 1),
            ("lpop l", "$1 z", 1),
            ("llen l", ":7", 0),
            ("lrange l 0 -1", "*7 $1 c $1 b $1 a $1 d $1 e $1 f $1 g", 0),
            ("lrange l -2 100", "*2 $1 f $1 g", 0),
            ("lrange l 3 1", "*0", 0),
            ("lrange none 0 1", "*0", 0),
            ("lrange l x 0", "-ERR value is not an integer or out of range", 0),
            ("lpop l 0", "*0", 0),
            ("lpop none", "$-1", 0),
            ("lpop none 3", "*-1", 0),
            ("lpop l -1", "-ERR value is out of range, must be positive", 0),
            ("lpop l x", "-ERR value is out of range, must be positive", 0),
            ("rpop l 1 2", "-ERR wrong number of arguments for 'rpop' command", 0),
            ("lpop l 2", "*2 $1 c $1 b", 2),
            ("rpop l 2", "*2 $1 g $1 f", 2),
            ("rpop l", "$1 e", 1),
            ("rpop l 100", "*2 $1 d $1 a", 2),
        ],
    );
    assert_eq!(bench.events(), ["rpop l", "del l"]);
    assert!(!bench.keys.exists(b"l"));
    bench.line("rpush l x");
    assert_eq!(bench.events(), ["new l", "rpush l"]);
}

#[test]
fn the_middle() {
    let mut bench = Bench::new(ROWS);
    check(
        &mut bench,
        &[
            ("rpush l a b c 1 2 3 c c 1", ":9", 9),
            ("lindex l 0", "$1 a", 0),
            ("lindex l -1", "$1 1", 0),
            ("lindex l 100", "$-1", 0),
            ("lindex none x", "$-1", 0),
            ("lindex l x", "-ERR value is not an integer or out of range", 0),
            ("linsert l foo a x", "-ERR syntax error", 0),
            ("linsert l before zz x", ":-1", 0),
            ("linsert none before a x", ":0", 0),
            ("linsert l before a x", ":10", 1),
            ("linsert l after 1 y", ":11", 1),
            ("lset l 0 q", "+OK", 1),
            ("lset l 100 q", "-ERR index out of range", 0),
            ("lset none x q", "-ERR no such key", 0),
            ("lset l x q", "-ERR value is not an integer or out of range", 0),
            ("lrange l 0 -1", "*11 $1 q $1 a $1 b $1 c $1 1 $1 y $1 2 $1 3 $1 c $1 c $1 1", 0),
            ("lrem l 1 c", ":1", 1),
            ("lrem l -1 c", ":1", 1),
            ("lrem l 0 nope", ":0", 0),
            ("lrem l 0 1", ":2", 2),
            ("lrem none x c", "-ERR value is not an integer or out of range", 0),
            ("lrange l 0 -1", "*7 $1 q $1 a $1 b $1 y $1 2 $1 3 $1 c", 0),
            ("ltrim l 0 100", "+OK", 0),
            ("ltrim l 1 -2", "+OK", 2),
            ("lrange l 0 -1", "*5 $1 a $1 b $1 y $1 2 $1 3", 0),
            ("ltrim l x 1", "-ERR value is not an integer or out of range", 0),
            ("ltrim none 0 1", "+OK", 0),
            ("ltrim l 5 1", "+OK", 5),
        ],
    );
    assert_eq!(bench.events(), ["ltrim l", "del l"]);
    assert!(!bench.keys.exists(b"l"));
}

#[test]
fn places_of_an_element() {
    let mut bench = Bench::new(ROWS);
    bench.line("rpush l a b c 1 2 3 c c 1");
    let rank_zero = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                     negative to start from the end of the list";
    for (command, reply) in [
        ("lpos l c", ":2"),
        ("lpos l c rank 2", ":6"),
        ("lpos l c rank -1", ":7"),
        ("lpos l c rank -1 count 0", "*3 :7 :6 :2"),
        ("lpos l c rank -2 count 2", "*2 :6 :2"),
        ("lpos l c count 0 maxlen 3", "*1 :2"),
        ("lpos l zz count 0", "*0"),
        ("lpos l zz", "$-1"),
        ("lpos l c rank 10", "$-1"),
        ("lpos l c maxlen 1 rank -1", "$-1"),
        ("lpos l 1 count 1", "*1 :3"),
        ("lpos none x count 1", "*0"),
        ("lpos none x", "$-1"),
        ("lpos none x rank 0", rank_zero),
        ("lpos l x rank x", "-ERR value is not an integer or out of range"),
        ("lpos l x count -1", "-ERR COUNT can't be negative"),
        ("lpos l x maxlen x", "-ERR MAXLEN can't be negative"),
        ("lpos l x foo 1", "-ERR syntax error"),
        ("lpos l x rank", "-ERR syntax error"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
}

#[test]
fn moves_between_lists() {
    let mut bench = Bench::new(ROWS);
    check(
        &mut bench,
        &[
            ("rpush p a b c", ":3", 3),
            ("lmove p p left right", "$1 a", 1),
            ("lmove p q left RIGHT", "$1 b", 1),
            ("lmove p q foo right", "-ERR syntax error", 0),
            ("lmove none q left right", "$-1", 0),
            ("rpoplpush p q", "$1 a", 1),
            ("rpoplpush none q", "$-1", 0),
            ("rpoplpush q q", "$1 b", 1),
            ("lrange q 0 -1", "*2 $1 b $1 a", 0),
            ("rpoplpush p r", "$1 c", 1),
        ],
    );
    assert_eq!(bench.events(), ["new r", "lpush r", "rpop p", "del p"]);
    assert!(!bench.keys.exists(b"p"));
    assert_eq!(bench.line("lmove r r left left"), "$1 c");
    assert_eq!(bench.events(), ["lpush r", "lpop r"]);
    assert_eq!(bench.propagated(), None);
}

#[test]
fn pops_from_the_first_list_there_is() {
    let mut bench = Bench::new(ROWS);
    bench.line("rpush q a b c");
    for (command, reply) in [
        ("lmpop 0 q left", "-ERR numkeys should be greater than 0"),
        ("lmpop x q left", "-ERR numkeys should be greater than 0"),
        ("lmpop 1 q foo", "-ERR syntax error"),
        ("lmpop 2 q left", "-ERR syntax error"),
        ("lmpop 9223372036854775807 q left", "-ERR syntax error"),
        ("lmpop 1 q left count", "-ERR syntax error"),
        ("lmpop 1 q left count 0", "-ERR count should be greater than 0"),
        ("lmpop 1 q left count x", "-ERR count should be greater than 0"),
        ("lmpop 1 q left foo 1", "-ERR syntax error"),
        ("lmpop 1 q left count 1 count 2", "-ERR syntax error"),
        ("lmpop 1 none left", "*-1"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
    assert_eq!(bench.line("lmpop 1 q left count 1"), "*2 $1 q *1 $1 a");
    assert_eq!(bench.propagated().unwrap(), "*3 $4 LPOP $1 q $1 1");
    assert_eq!(bench.line("lmpop 2 none q right count 10"), "*2 $1 q *2 $1 c $1 b");
    assert_eq!(bench.propagated().unwrap(), "*3 $4 RPOP $1 q $1 2");
    assert_eq!((bench.dirty, bench.events()), (2, vec!["rpop q".to_owned(), "del q".to_owned()]));
}

#[test]
fn random_commands_leave_what_a_deque_would_hold() {
    let mut rng = Rng::new(11);
    for max in [-2, 4] {
        let mut bench = Bench::new(ROWS);
        bench.keys.limits.list_max_listpack_size = max;
        let mut twin: VecDeque<String> = VecDeque::new();
        for _ in 0..6000 {
            let value = format!("v{}", rng.below(5));
            let index = rng.index(twin.len() + 1);
            match rng.below(8) {
                0 | 1 => {
                    bench.line(&format!("lpush l {value}"));
                    twin.push_front(value);
                }
                2 | 3 => {
                    bench.line(&format!("rpush l {value}"));
                    twin.push_back(value);
                }
                4 => {
                    let wanted = twin.pop_back().map_or("$-1".to_owned(), |value| format!("$2 {value}"));
                    assert_eq!(bench.line("rpop l"), wanted);
                }
                5 => {
                    bench.line(&format!("lpop l {}", index.min(3)));
                    twin.drain(..index.min(3).min(twin.len()));
                }
                6 if index < twin.len() => {
                    assert_eq!(bench.line(&format!("lset l {index} {value}")), "+OK");
                    twin[index] = value;
                }
                _ => {
                    let removed = bench.line(&format!("lrem l 0 {value}x"));
                    assert_eq!(removed, ":0");
                    assert_eq!(bench.line("llen l"), format!(":{}", twin.len()));
                }
            }
            if twin.len() > 200 {
                bench.line("ltrim l 10 -50");
                twin.drain(twin.len() - 49..);
                twin.drain(..10);
            }
        }
        let held: String = twin.iter().map(|value| format!(" $2 {value}")).collect();
        assert_eq!(bench.line("lrange l 0 -1"), format!("*{}{held}", twin.len()));
        assert_eq!(bench.keys.exists(b"l"), !twin.is_empty());
    }
}

#[test]
fn a_list_is_packed_again_when_it_is_short() {
    let mut bench = Bench::new(ROWS);
    bench.keys.limits.list_max_listpack_size = 4;
    bench.line("rpush l a b c d e");
    assert_eq!(bench.encoding("l"), "quicklist");
    bench.line("rpop l 2");
    assert_eq!(bench.encoding("l"), "quicklist");
    bench.line("rpop l");
    assert_eq!(bench.encoding("l"), "listpack");
}

#[test]
fn another_type_is_refused_by_all() {
    let mut bench = Bench::new(ROWS);
    bench.line("rpush a 1");
    bench.keys.set_str(b"s", b"text", None);
    for command in [
        "lpush s a",
        "rpush s a",
        "lpushx s a",
        "rpushx s a",
        "lpop s",
        "rpop s",
        "lpop s 0",
        "rpop s 1",
        "llen s",
        "lindex s x",
        "lrange s 0 1",
        "lset s x a",
        "linsert s before a b",
        "lrem s 0 a",
        "ltrim s 0 1",
        "lpos s a",
        "lmove s a left left",
        "lmove a s left left",
        "rpoplpush a s",
        "lmpop 2 none s left",
    ] {
        assert!(bench.line(command).starts_with("-WRONGTYPE"), "{command}");
        assert_eq!(bench.dirty, 0);
    }
    assert_eq!(bench.line("rpoplpush none s"), "$-1");
}

#[test]
fn a_push_begins_anew_where_a_key_has_expired() {
    use crate::keyspace::ExpirePolicy;
    for policy in [ExpirePolicy::Delete, ExpirePolicy::Hide] {
        let mut bench = Bench::new(ROWS);
        bench.keys.expire_policy = policy;
        bench.line("rpush l a b");
        bench.keys.set_expire(b"l", Some(bench.now - 1));
        assert_eq!(bench.line("rpush l c"), ":1");
        assert_eq!(bench.keys.current().volatile(), 0);
        assert_eq!(bench.keys.expired.len(), usize::from(policy == ExpirePolicy::Delete));
        assert_eq!(bench.line("lrange l 0 -1"), "*1 $1 c");
    }
}
