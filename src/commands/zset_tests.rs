//! Sorted sets on a bench, held against a list of pairs that is sorted after each change, and against the words of a
//! stock server.

use super::ROWS;
use crate::base::rng::Rng;
use crate::commands::testing::Bench;
use crate::keyspace::ExpirePolicy;
use crate::types::{CollectionLimits, Set, Value};
use std::collections::BTreeSet;

/// Runs lines of `command => reply`.
fn script(bench: &mut Bench, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, reply) = line.split_once(" => ").unwrap();
        assert_eq!(bench.line(command), reply, "{command}");
    }
}

fn with_set(bench: &mut Bench, key: &str, members: &[&str]) {
    let mut set = Set::new();
    for member in members {
        set.add(member.as_bytes(), &CollectionLimits::default());
    }
    bench.keys.insert(key.as_bytes(), Value::Set(set), None);
}

#[test]
fn zadd_obeys_its_options() {
    let mut bench = Bench::of_changes(ROWS);
    script(
        &mut bench,
        "zadd z 1 a 2 b => :2
        zadd z nx 9 a 3 c => :1
        zadd z xx ch 5 a 5 q => :1
        zadd z gt 4 a => :0
        zadd z gt ch 6 a 7 new => :2
        zadd z lt ch 8 a 1 c => :1
        zadd z incr 2.5 a => $3 8.5
        zadd z nx incr 1 a => $-1
        zadd none xx incr 1 a => $-1
        zadd none xx 1 a => :0
        zincrby z -8.5 a => $1 0
        zmscore z a b c q new => *5 $1 0 $1 2 $1 1 $-1 $1 7
        zadd z nx xx 1 a => -ERR XX and NX options at the same time are not compatible
        zadd z gt lt 1 a => -ERR GT, LT, and/or NX options at the same time are not compatible
        zadd z incr 1 a 2 b => -ERR INCR option supports a single increment-element pair
        zadd z nx 1 => -ERR syntax error
        zadd z 1 a x b => -ERR value is not a valid float
        zadd z nan a => -ERR value is not a valid float
        zadd z inf i => :1
        zincrby z -inf i => -ERR resulting score is not a number (NaN)",
    );
    assert!(!bench.keys.exists(b"none"));
}

#[test]
fn a_change_is_counted_once_for_each_member_and_none_for_nothing() {
    let mut bench = Bench::of_changes(ROWS);
    for (command, dirty, events) in [
        ("zadd z 1 a 2 b 3 c 4 d", 4, &["zadd z"][..]),
        ("zadd z 1 a 9 b", 1, &["zadd z"]),
        ("zadd z 1 a", 0, &[]),
        ("zincrby z 1 a", 1, &["zincr z"]),
        ("zincrby z 0 a", 0, &[]),
        ("zrem z b q", 1, &["zrem z"]),
        ("zremrangebyscore z 50 60", 0, &[]),
        ("zremrangebyscore z 4 4", 1, &["zremrangebyscore z"]),
        ("zrangestore t z 0 -1", 1, &["zrangestore t"]),
        ("zunionstore u 2 z t", 1, &["zunionstore u"]),
        ("zinterstore u 2 z none", 1, &["del u"]),
        ("zinterstore u 2 z none", 0, &[]),
        ("zpopmax z 5", 2, &["zpopmax z", "del z"]),
        ("zrem t a c", 2, &["zrem t", "del t"]),
    ] {
        bench.line(command);
        assert_eq!((bench.dirty, bench.events()), (dirty, events.iter().map(|e| e.to_string()).collect()), "{command}");
        assert_eq!(bench.propagated(), None, "{command} travels as typed");
    }
    assert_eq!(bench.keys.total_keys(), 0);
}

#[test]
fn zmpop_travels_as_what_it_took() {
    let mut bench = Bench::of_changes(ROWS);
    script(
        &mut bench,
        "zadd z 1 a 2 b 3 c => :3
        zmpop 2 none z max count 2 => *2 $1 z *2 *2 $1 c $1 3 *2 $1 b $1 2",
    );
    assert_eq!(bench.propagated().as_deref(), Some("*3 $7 ZPOPMAX $1 z $1 2"));
    assert_eq!(bench.line("zmpop 1 z min count 9"), "*2 $1 z *1 *2 $1 a $1 1");
    assert_eq!(bench.propagated().as_deref(), Some("*3 $7 ZPOPMIN $1 z $1 1"));
    assert_eq!(bench.line("zmpop 1 z min"), "*-1");
    assert_eq!(bench.propagated(), None);
    script(
        &mut bench,
        "zmpop 0 z min => -ERR numkeys should be greater than 0
        zmpop 1 z min count 0 => -ERR count should be greater than 0
        zmpop 2 z min => -ERR syntax error
        zmpop 9223372036854775807 z min => -ERR syntax error
        zpopmin z -1 => -ERR value is out of range, must be positive",
    );
}

#[test]
fn ranges_by_rank_score_and_name() {
    let mut bench = Bench::of_changes(ROWS);
    script(
        &mut bench,
        "zadd z 1 a 2 b 3 c 4 d => :4
        zrange z 0 -1 rev => *4 $1 d $1 c $1 b $1 a
        zrange z -2 9 withscores => *4 $1 c $1 3 $1 d $1 4
        zrevrange z 1 1 => *1 $1 c
        zrange z 5 6 => *0
        zrange z -9223372036854775808 9223372036854775807 limit 0 -1 => *4 $1 a $1 b $1 c $1 d
        zrangebyscore z (1 3 => *2 $1 b $1 c
        zrangebyscore z -inf 1e400 limit 1 2 => *2 $1 b $1 c
        zrangebyscore z 0 5 limit -1 2 => *0
        zrevrangebyscore z +inf (2 withscores limit 1 5 => *2 $1 c $1 3
        zrange z 4 2 byscore rev limit 0 2 => *2 $1 d $1 c
        zrangebyscore z 3 1 => *0
        zcount z (1 (4 => :2
        zadd l 0 a 0 b 0 ba 0 c => :4
        zrangebylex l [b (c => *2 $1 b $2 ba
        zrevrangebylex l + (b limit 1 1 => *1 $2 ba
        zlexcount l - + => :4
        zlexcount l + - => :0
        zremrangebylex l (a [b => :1
        zremrangebyrank z -1 -1 => :1
        zrange z 0 -1 => *3 $1 a $1 b $1 c
        zrange z 0 1 limit 0 1 => -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
        zrange l - + bylex withscores => -ERR syntax error, WITHSCORES not supported in combination with BYLEX
        zrange l a b bylex => -ERR min or max not valid string range item
        zrange l a b byscore => -ERR min or max is not a float
        zrange l a b => -ERR value is not an integer or out of range
        zrangebyscore z 0 1 rev => -ERR syntax error",
    );
    // What only a plain strtod takes for a number.
    assert_eq!(bench.run(&["ZCOUNT", "z", "", " 2"]), ":2\r\n");
    assert_eq!(bench.run(&["ZCOUNT", "z", "(", "\t+inf"]), ":3\r\n");
    assert_eq!(bench.run(&["ZCOUNT", "z", " ", "2"]), "-ERR min or max is not a float\r\n");
}

#[test]
fn unions_and_their_kin_weigh_and_join() {
    let mut bench = Bench::of_changes(ROWS);
    with_set(&mut bench, "s", &["a", "7", "x"]);
    bench.keys.set_str(b"str", b"value", Some(i64::MAX));
    script(
        &mut bench,
        "zadd z 1 a 2 b 3 7 => :3
        zunion 2 z s weights 2 10 withscores => *8 $1 b $1 4 $1 x $2 10 $1 a $2 12 $1 7 $2 16
        zinter 2 s z aggregate max => *2 $1 a $1 7
        zdiff 2 s z withscores => *2 $1 x $1 1
        zintercard 2 z s => :2
        zintercard 2 z s limit 1 => :1
        zintercard 2 z none => :0
        zadd i inf a -inf b => :2
        zunion 2 i z weights 0 1 withscores => *6 $1 a $1 1 $1 b $1 2 $1 7 $1 3
        zunionstore str 2 i i weights 1 -1 => :2
        zrange str 0 -1 withscores => *4 $1 a $1 0 $1 b $1 0
        zunionstore z 1 z weights -1 => :3
        zrange z 0 -1 => *3 $1 7 $1 b $1 a
        zunion 0 z => -ERR at least 1 input key is needed for 'zunion' command
        zunion 2 z => -ERR syntax error
        zinter 1 z limit 1 => -ERR syntax error
        zintercard 1 z limit -1 => -ERR LIMIT can't be negative
        zunion 1 z weights x => -ERR weight value is not a float
        zdiff 1 z weights 1 => -ERR syntax error
        zunionstore d 1 z withscores => -ERR syntax error",
    );
    assert_eq!(bench.keys.peek(b"str").and_then(|entry| entry.expire_ms()), None, "a store clears the expiry");
    bench.keys.set_str(b"str", b"value", None);
    assert!(bench.line("zunion 1 str weights x").starts_with("-WRONGTYPE"), "types come before options");
    assert!(bench.line("zrangestore d str 0 -1").starts_with("-WRONGTYPE"));
}

#[test]
fn an_input_whose_time_has_come_is_not_there_though_nobody_deletes_it() {
    let mut bench = Bench::of_changes(ROWS);
    bench.line("zadd z 1 a");
    bench.keys.set_expire(b"z", Some(bench.now - 1));
    bench.keys.expire_policy = ExpirePolicy::Hide;
    assert_eq!(bench.line("zunion 1 z"), "*0");
    assert_eq!(bench.line("zrangestore d z 0 -1"), ":0");
    assert_eq!(bench.keys.total_keys(), 1);
}

#[test]
fn replies_in_resp3() {
    let mut bench = Bench::of_changes(ROWS);
    bench.resp3 = true;
    script(
        &mut bench,
        "zadd z 1 a 2.5 b 3 c => :3
        zscore z b => ,2.5
        zscore z q => _
        zrank z b withscore => *2 :1 ,2.5
        zrevrank z a withscore => *2 :2 ,1
        zrank z q withscore => _
        zrange z 0 0 withscores => *1 *2 $1 a ,1
        zunion 1 z withscores => *3 *2 $1 a ,1 *2 $1 b ,2.5 *2 $1 c ,3
        zpopmin z => *2 $1 a ,1
        zpopmin z 1 => *1 *2 $1 b ,2.5
        zrandmember z 1 withscores => *1 *2 $1 c ,3
        zscan z 0 => *2 $1 0 *2 $1 c $1 3
        zmpop 1 z min => *2 $1 z *1 *2 $1 c ,3
        zmpop 1 z min => _",
    );
    bench.resp3 = false;
    script(
        &mut bench,
        "zadd z 2.5 b => :1
        zrank z b withscore => *2 :0 $3 2.5
        zrank z q withscore => *-1
        zrank z q => $-1
        zrank z b score => -ERR syntax error
        zrank z b withscore x => -ERR wrong number of arguments for 'zrank' command",
    );
}

#[test]
fn random_members_are_members_and_different_ones_where_asked() {
    let mut bench = Bench::of_changes(ROWS);
    for entries in [0, 128] {
        bench.keys.limits.zset_max_listpack_entries = entries;
        bench.keys.flush(None, false);
        for member in 0..20 {
            bench.line(&format!("zadd z {member} m{member}"));
        }
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            let reply = bench.line("zrandmember z 15");
            let drawn: BTreeSet<&str> = reply.split(' ').filter(|word| word.starts_with('m')).collect();
            assert_eq!(drawn.len(), 15, "{reply}");
            seen.extend(drawn.into_iter().map(str::to_owned));
        }
        assert_eq!(seen.len(), 20, "each member is drawn some time");
        assert_eq!(bench.line("zrandmember z 99").matches('m').count(), 20);
        let repeated = bench.line("zrandmember z -50 withscores");
        assert!(repeated.starts_with("*100 ") && repeated.matches('m').count() == 50);
        assert!(bench.line("zrandmember z").contains('m'));
    }
    script(
        &mut bench,
        "zrandmember none => $-1
        zrandmember none 5 => *0
        zrandmember z 0 => *0
        zrandmember z x bogus => -ERR value is not an integer or out of range
        zrandmember z 1 bogus => -ERR syntax error
        zrandmember z 9223372036854775807 withscores => -ERR value is out of range",
    );
    let least = bench.line("zrandmember z -9223372036854775808");
    assert!(least.ends_with("must between -9223372036854775807 and 9223372036854775807"), "{least}");
}

#[test]
fn zscan_shows_every_member_once_and_prints_scores_as_each_encoding_does() {
    let mut bench = Bench::of_changes(ROWS);
    assert_eq!(bench.line("zadd p 0.1 a"), ":1");
    assert_eq!(bench.line("zscan p 0"), "*2 $1 0 *2 $1 a $3 0.1");
    for member in 0..1000 {
        bench.line(&format!("zadd z 0.1 m{member}"));
    }
    assert_eq!(bench.encoding("z"), "skiplist");
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = bench.line(&format!("zscan z {cursor} count 100 match m*"));
        let words: Vec<&str> = reply.split(' ').collect();
        cursor = words[2].to_owned();
        seen.extend(words.iter().filter(|word| word.starts_with('m')).map(|word| word.to_string()));
        assert!(words.len() < 6 || words.contains(&"0.10000000000000001"), "{reply}");
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!((5..=10).contains(&calls), "about 100 members a call: {calls}");
    assert_eq!(seen.len(), 1000);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(bench.line("zscan none 0 bogus"), "*2 $1 0 *0");
    assert_eq!(bench.line("zscan z 0 bogus 1"), "-ERR syntax error");
}

/// The naive twin: members in a list, sorted after each change.
#[derive(Default)]
struct Twin(Vec<(i64, String)>);

impl Twin {
    fn set(&mut self, member: &str, score: i64) {
        self.remove(member);
        self.0.push((score, member.to_owned()));
        self.0.sort();
    }

    fn remove(&mut self, member: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, other)| other != member);
        self.0.len() < before
    }

    fn reply<'a>(pairs: impl Iterator<Item = &'a (i64, String)>) -> String {
        let words: Vec<String> = pairs.map(|(_, member)| format!(" ${} {member}", member.len())).collect();
        format!("*{}{}", words.len(), words.concat())
    }
}

#[test]
fn commands_agree_with_a_sorted_list() {
    let mut rng = Rng::new(11);
    for entries in [0, 16, 1000] {
        let (mut bench, mut twin) = (Bench::of_changes(ROWS), Twin::default());
        bench.keys.limits.zset_max_listpack_entries = entries;
        for _ in 0..3000 {
            let member = format!("m{}", rng.index(200));
            let (low, score) = (rng.index(60) as i64 - 30, rng.index(60) as i64 - 30);
            let within = |&&(score_of, _): &&(i64, String)| (low..=low + 9).contains(&score_of);
            match rng.index(6) {
                0..=2 => {
                    let new = !twin.0.iter().any(|(_, other)| *other == member);
                    twin.set(&member, score);
                    assert_eq!(bench.line(&format!("zadd z {score} {member}")), format!(":{}", u8::from(new)));
                }
                3 => {
                    let removed = twin.remove(&member);
                    assert_eq!(bench.line(&format!("zrem z {member}")), format!(":{}", u8::from(removed)));
                }
                4 => {
                    let window = twin.0.iter().rev().filter(within).skip(2).take(5);
                    let command = format!("zrevrangebyscore z {} {low} limit 2 5", low + 9);
                    assert_eq!(bench.line(&command), Twin::reply(window));
                    let count = twin.0.iter().filter(within).count();
                    assert_eq!(bench.line(&format!("zcount z {low} {}", low + 9)), format!(":{count}"));
                }
                _ => {
                    let rank = twin.0.iter().position(|(_, other)| *other == member);
                    let expected = rank.map_or("$-1".to_owned(), |rank| format!(":{rank}"));
                    assert_eq!(bench.line(&format!("zrank z {member}")), expected);
                    let tail = twin.0.len().saturating_sub(7);
                    assert_eq!(bench.line("zrange z -7 -1"), Twin::reply(twin.0[tail..].iter()));
                }
            }
        }
        assert_eq!(bench.line("zrange z 0 -1"), Twin::reply(twin.0.iter()));
    }
}
