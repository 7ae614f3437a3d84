//! RESTORE: the payload of a value of each type, then every way to read the value, then changes to it.

use super::Choices;
use super::bench::{Bench, KEY};
use understudy::base::crc64::crc64;
use understudy::keyspace::ExpirePolicy;
use understudy::persist::rdb::{dump_payload, load_dump_payload};
use understudy::types::CollectionLimits;

/// The numbers of the types that a payload may hold.
const TYPES: &[u8] = &[0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 24, 25];
const STREAM_TYPES: &[u8] = &[15, 19, 21];

/// The first byte chooses the type, the second the thresholds of encodings; the rest is the value.
pub fn restore(data: &[u8]) {
    let mut choices = Choices(data);
    let type_id = TYPES[choices.index(TYPES.len())];
    load_and_use(type_id, &mut choices);
}

/// As `restore`, for streams only.
pub fn stream(data: &[u8]) {
    let mut choices = Choices(data);
    let type_id = STREAM_TYPES[choices.index(STREAM_TYPES.len())];
    load_and_use(type_id, &mut choices);
}

fn load_and_use(type_id: u8, choices: &mut Choices<'_>) {
    let limits = match choices.byte() {
        0..=127 => CollectionLimits::default(),
        small => CollectionLimits {
            list_max_listpack_size: i64::from(small & 3) + 1,
            set_max_intset_entries: 2,
            set_max_listpack_entries: 2,
            hash_max_listpack_entries: 2,
            zset_max_listpack_entries: 2,
            stream_node_max_entries: 2,
            ..CollectionLimits::default()
        },
    };
    let mut payload = [&[type_id], choices.0].concat();
    let version: u16 = if type_id > 21 { 12 } else { 11 };
    payload.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(0, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    let Ok(value) = load_dump_payload(&payload, &limits) else { return };
    let mut bench = Bench::new(value);
    bench.keys.limits = limits.clone();
    assert_dumps_the_same(&mut bench, &limits);
    let kind = bench.keys.peek(KEY.as_bytes()).unwrap().value().type_name();
    let (reads, writes) = uses(kind);
    let before = bench.digest();
    bench.run(GENERIC);
    bench.run(reads);
    assert_eq!(bench.digest(), before, "reading changes nothing");
    bench.keys.expire_policy = ExpirePolicy::Delete;
    bench.run(writes);
    if bench.digest().is_some() {
        assert_dumps_the_same(&mut bench, &limits);
    }
}

/// What DUMP makes of the value is the value again.
fn assert_dumps_the_same(bench: &mut Bench, limits: &CollectionLimits) {
    let digest = bench.digest();
    let entry = bench.keys.peek(KEY.as_bytes()).unwrap();
    let payload = dump_payload(entry.value(), true);
    let again =
        load_dump_payload(&payload, limits).unwrap_or_else(|error| panic!("{error}: {}", payload.escape_ascii()));
    if !bench.has_negative_zero() {
        assert_eq!(Bench::new(again).digest(), digest, "{}", payload.escape_ascii());
    }
}

const GENERIC: &str = "TYPE k
    OBJECT ENCODING k
    OBJECT FREQ k
    OBJECT IDLETIME k
    EXISTS k
    TTL k
    SORT k BY nosort
    SORT_RO k ALPHA LIMIT 0 5
    COPY k copy REPLACE
    DUMP copy
    UNLINK copy
    SCAN 0 COUNT 10";

/// Commands that read a value of a type, and commands that change it.
fn uses(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "string" => STRING,
        "list" => LIST,
        "set" => SET,
        "hash" => HASH,
        "zset" => ZSET,
        _ => STREAM,
    }
}

const STRING: (&str, &str) = (
    "GET k
    STRLEN k
    GETRANGE k 1 -2
    BITCOUNT k 1 -1
    BITPOS k 1
    BITPOS k 0 1 -1
    GETBIT k 70
    BITFIELD_RO k GET u63 3 GET i64 #1
    LCS k k LEN",
    "PFADD k a b c
    PFCOUNT k
    PFMERGE m k k
    PFCOUNT m k
    SETRANGE k 3 abc
    APPEND k x
    SETBIT k 77 1
    INCR k
    INCRBYFLOAT k 0.5
    BITFIELD k INCRBY i8 3 100 OVERFLOW SAT INCRBY u5 9 30
    GETEX k PERSIST
    BITOP NOT n k",
);

const LIST: (&str, &str) = (
    "LLEN k
    LRANGE k 0 -1
    LRANGE k 1 2
    LINDEX k 0
    LINDEX k -1
    LINDEX k 3
    LPOS k a RANK -1 COUNT 0",
    "LSET k 0 x
    LINSERT k BEFORE x 12345
    LINSERT k AFTER x yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
    LPUSH k 1 2 3
    RPUSH k 100000 -5 abc
    LREM k -1 abc
    LSET k -1 1
    LRANGE k 0 -1
    LMOVE k k LEFT RIGHT
    RPOPLPUSH k other
    LPOP k
    RPOP k 2
    LTRIM k 1 -2
    LRANGE k 0 -1",
);

const SET: (&str, &str) = (
    "SCARD k
    SMEMBERS k
    SISMEMBER k 1
    SMISMEMBER k a 5 -1
    SRANDMEMBER k
    SRANDMEMBER k 3
    SRANDMEMBER k -3
    SSCAN k 0
    SINTER k k
    SUNION k none
    SDIFF k none
    SINTERCARD 2 k k LIMIT 2",
    "SADD k 1 2 3
    SADD k 99999999999
    SADD k word
    SREM k 2
    SPOP k
    SPOP k 2
    SMOVE k other 3
    SUNIONSTORE u k other
    SDIFFSTORE d k u
    SMEMBERS k",
);

const HASH: (&str, &str) = (
    "HLEN k
    HGETALL k
    HKEYS k
    HVALS k
    HGET k a
    HMGET k a b 1
    HEXISTS k a
    HSTRLEN k a
    HRANDFIELD k
    HRANDFIELD k 3 WITHVALUES
    HRANDFIELD k -3
    HTTL k FIELDS 2 a b
    HPEXPIRETIME k FIELDS 1 1
    HGETEX k FIELDS 2 a 1
    HSCAN k 0",
    "HEXPIRE k 100 LT FIELDS 2 a 1
    HSETEX k PX 5000 FIELDS 2 d 1 e 22
    HPERSIST k FIELDS 1 a
    HPEXPIREAT k 1700000000001 FIELDS 1 d
    HINCRBY k e 1
    HGETEX k EX 50 FIELDS 1 b
    HGETDEL k FIELDS 1 b
    HSET k a 1 b 2
    HSETNX k c x
    HINCRBY k a 5
    HINCRBYFLOAT k b 0.25
    HSET k long xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    HDEL k a long
    HGETALL k",
);

const ZSET: (&str, &str) = (
    "ZCARD k
    ZRANGE k 0 -1 WITHSCORES
    ZRANGE k 0 -1 REV
    ZRANGE k -inf +inf BYSCORE LIMIT 1 5
    ZRANGE k - + BYLEX
    ZREVRANGEBYLEX k + - LIMIT 0 3
    ZCOUNT k (0 5
    ZLEXCOUNT k [a (z
    ZRANK k a
    ZREVRANK k 1
    ZSCORE k a
    ZMSCORE k a b
    ZRANDMEMBER k 3 WITHSCORES
    ZRANDMEMBER k -3
    ZSCAN k 0
    ZUNION 2 k k WEIGHTS 1 -1 WITHSCORES
    ZINTER 2 k k AGGREGATE MAX
    ZDIFF 2 k none
    ZINTERCARD 1 k
    GEOPOS k a
    GEOSEARCH k FROMLONLAT 10 10 BYRADIUS 5000 km WITHCOORD WITHDIST WITHHASH",
    "ZADD k 1 a 2 b 1.5 c
    ZADD k GT CH 5 a
    ZINCRBY k -inf b
    ZADD k 7 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    ZPOPMIN k
    ZPOPMAX k 2
    ZREM k c
    ZADD k 0 d -0 e inf f
    ZREMRANGEBYRANK k 1 1
    ZREMRANGEBYSCORE k (0 1
    ZREMRANGEBYLEX k [x [y
    ZRANGESTORE s k 0 -1
    ZUNIONSTORE u 2 k s
    ZRANGE k 0 -1 WITHSCORES",
);

const STREAM: (&str, &str) = (
    "XLEN k
    XRANGE k - +
    XREVRANGE k + - COUNT 3
    XRANGE k 1 (5
    XINFO STREAM k
    XINFO STREAM k FULL COUNT 0
    XINFO GROUPS k
    XINFO CONSUMERS k g
    XPENDING k g
    XPENDING k g - + 10
    XPENDING k g IDLE 1 - + 10 a
    XREAD COUNT 2 STREAMS k 0",
    "XGROUP CREATE k g 0
    XGROUP CREATECONSUMER k g a
    XREADGROUP GROUP g a COUNT 2 STREAMS k >
    XREADGROUP GROUP g a STREAMS k 0
    XCLAIM k g b 0 1-1 0-1 5-5 FORCE
    XAUTOCLAIM k g b 0 0 COUNT 5
    XACK k g 1-1
    XADD k * f v
    XADD k * f w g x
    XADD k 18446744073709551615-18446744073709551615 f v
    XSETID k 5-5
    XDEL k 1-1 0-1
    XTRIM k MINID = 1-0
    XREADGROUP GROUP g a NOACK COUNT 2 STREAMS k >
    XTRIM k MAXLEN ~ 3
    XINFO STREAM k FULL
    XGROUP DELCONSUMER k g a
    XGROUP SETID k g $
    XTRIM k MAXLEN = 2
    XRANGE k - +
    XGROUP DESTROY k g",
);
