"""The seeded random command stream. Commands are drawn from a table of templates:

    {x}      a word from the generator of that name     (a|b)    one of the alternatives
    [a|b]    one of the alternatives, or nothing        {x}+     one to four of them

so that most commands make sense, and some are then spoilt: a word replaced by an edge case, dropped, doubled.
Times to live are long and of few kinds, so that nothing depends on when a command runs.
"""

import random
import re

from .scripted import FOR_SCRIPTS, SCRIPTS_OF_ONE, SCRIPTS_OF_TWO, function_command, library_call
from .streams import fixed_ids, short_waits

# (No large negative number that is in range: a sample of that size with repetitions would never end.)
EDGES = [b"", b"0", b"-1", b"-0", b"+7", b" 7", b"7 ", b"007", b"7.0", b"1e3", b"abc", b"nan", b"-nan", b"inf", b"-inf",
         b"+inf", b"infinity", b"1e400", b"-1e400", b"5e-324", b"1e-400", b"0x10", b"0x0p33333333", b"0x1p-2000", b"3.0e", b"1e", b".5", b"4294967296",
         b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"99999999999999999999999",
         b"\x00", b"\x00\xff\r\n", b"(5", b"[a", b"(", b"[", b"+", b"-", b"*", b"?", b"NX", b"XX", b"GT", b"LT", b"COUNT",
         b"LIMIT", b"WITHSCORES", b"STORE", b"BY", b"GET", b"\xc3\xa9", b"a b", b"'", b'"', b"REV", b"m1"]

TEMPLATES = """
40 SET {k} {v} [NX|XX] [GET] [EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|KEEPTTL]
20 SET {k} {v}
25 GET ({k}|{n})
6  GETSET {k} {v}
4  GETDEL {k}
8  GETEX {k} [EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|PERSIST]
12 APPEND {k} {v}
6  STRLEN {k}
8  GETRANGE {k} {idx} {idx}
2  SUBSTR {k} {idx} {idx}
8  SETRANGE {k} {off} {v}
4  SETNX {k} {v}
4  SETEX {k} {ttl} {v}
3  PSETEX {k} {pttl} {v}
6  MSET {k} {v} {k} {v}
3  MSETNX {k} {v} {k} {v}
6  MGET {a}+
8  SET {n} {i}
8  INCR {n}
6  DECR {n}
10 INCRBY {n} {i}
5  DECRBY {n} {i}
12 INCRBYFLOAT {n} {f}
6  SET {t} {m}
3  LCS {t} {t} [LEN|IDX] [MINMATCHLEN {cnt}] [WITHMATCHLEN]
10 SETBIT {b} {bo} (0|1)
5  GETBIT {b} {bo}
6  BITCOUNT {b} [{bx} {bx}|{bx} {bx} (BYTE|BIT)]
8  BITPOS {b} (0|1) [{bx}|{bx} {bx}|{bx} {bx} (BYTE|BIT)]
6  BITOP (AND|OR|XOR) {b} {b} [{b}] [{n}]
2  BITOP NOT {b} {b}
8  BITFIELD {b} [OVERFLOW (WRAP|SAT|FAIL)] SET {bt} {bp} {bv} [OVERFLOW (SAT|FAIL)] INCRBY {bt} {bp} {bv} [GET {bt} {bp}]
4  BITFIELD {b} [GET {bt} {bp}] [OVERFLOW (WRAP|SAT|FAIL)] [INCRBY {bt} {bp} {bv}] [GET {bt} {bp}]
3  BITFIELD_RO {b} GET {bt} {bp} [GET {bt} {bp}]
2  BITFIELD_RO {b} [OVERFLOW SAT] [SET {bt} {bp} {bv}]
5  (GET|STRLEN) {b}
3  SET {b} {v}
1  DEL {b}
16 PFADD {p} {m}+
8  PFCOUNT {p} [{p}] [{b}]
5  PFMERGE {p} {p} [{p}] [{b}]
5  PFDEBUG (DECODE|ENCODING|TODENSE|FOO) {p}
1  PFDEBUG GETREG {p}
5  GET {p}
2  SET {p} {hll}
2  DEL {p}
1  PFSELFTEST {v}
25 GEOADD {g} [NX|XX] [CH] {ll} {m} [{ll} {m}] [{ll} {m}]
5  GEODIST {g} {m} {m} [{u}]
4  (GEOHASH|GEOPOS) {g} {m}+
3  GEORADIUS {g} {ll} {rad} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT {cnt} ANY] [ASC|DESC]
3  GEORADIUS {g} {ll} {rad} [WITHCOORD] WITHDIST [WITHHASH] COUNT {cnt} [ASC|DESC]
4  GEORADIUS_RO {g} {ll} {rad} [WITHDIST] [ASC|DESC] [STORE {g}]
2  GEORADIUSBYMEMBER {g} {m} {rad} [WITHCOORD] [WITHDIST] [WITHHASH] [ASC|DESC]
2  GEORADIUSBYMEMBER {g} {m} {rad} [WITHCOORD] WITHDIST [WITHHASH] COUNT {cnt} [ASC|DESC]
2  GEORADIUSBYMEMBER_RO {g} {m} {rad} [WITHCOORD] [WITHDIST] [COUNT {cnt} ANY]
3  (GEORADIUS {g} {ll} {rad}|GEORADIUSBYMEMBER {g} {m} {rad}) (STORE|STOREDIST) {g} [ASC|DESC]
6  GEOSEARCH {g} (FROMMEMBER {m}|FROMLONLAT {ll}) (BYRADIUS {rad}|BYBOX {side} {rad}) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT {cnt} ANY] [ASC|DESC]
6  GEOSEARCH {g} (FROMMEMBER {m}|FROMLONLAT {ll}) (BYRADIUS {rad}|BYBOX {side} {rad}) [WITHCOORD] WITHDIST [WITHHASH] COUNT {cnt} [ASC|DESC]
4  GEOSEARCHSTORE {g} {g} (FROMMEMBER {m}|FROMLONLAT {ll}) (BYRADIUS {rad}|BYBOX {side} {rad}) [STOREDIST] [COUNT {cnt} ANY] [ASC|DESC]
2  ZRANGE {g} {idx} {idx} WITHSCORES
1  DEL {g}
30 RPUSH {l} {m}+
20 LPUSH {l} {m}+
5  (LPUSHX|RPUSHX) {l} {m}+
14 (LPOP|RPOP) {l} [{cnt}]
6  LLEN {l}
14 LRANGE {l} {idx} {idx}
8  LINDEX {l} {idx}
8  LSET {l} {idx} {m}
10 LINSERT {l} (BEFORE|AFTER) {m} {m}
8  LREM {l} {idx} {m}
3  LTRIM {l} {idx} {idx}
8  LPOS {l} {m} [RANK {rank}] [COUNT {cnt}] [MAXLEN {cnt}]
5  RPOPLPUSH {l} {l}
8  LMOVE {l} {l} (LEFT|RIGHT) (LEFT|RIGHT)
5  LMPOP (1 {l}|2 {l} {l}) (LEFT|RIGHT) [COUNT {cnt}]
50 SADD {s} {m}+
8  SREM {s} {m}+
8  SISMEMBER {s} {m}
6  SMISMEMBER {s} {m}+
6  SCARD {s}
10 SMEMBERS {s}
3  SPOP {s} [{cnt}]
3  SRANDMEMBER {s} [{scnt}]
6  SMOVE {s} {s} {m}
8  (SUNION|SINTER|SDIFF) {s} [{s}] [{s}]
8  (SUNIONSTORE|SINTERSTORE|SDIFFSTORE) {s} {s} [{s}] [{s}]
4  SINTERCARD (1 {s}|2 {s} {s}) [LIMIT {cnt}]
50 HSET {h} {m} {v} {m} {m} [{m} {m}]
4  HMSET {h} {m} {v} {m} {i}
5  HSETNX {h} {m} {v}
12 HGET {h} {m}
6  HMGET {h} {m}+
6  HDEL {h} {m}+
5  HEXISTS {h} {m}
5  HLEN {h}
5  HSTRLEN {h} {m}
8  HGETALL {h}
4  (HKEYS|HVALS) {h}
10 HINCRBY {h} {cf} {i}
8  HINCRBYFLOAT {h} {cf} {f}
3  HRANDFIELD {h} [{scnt}] [WITHVALUES]
40 ZADD {z} [NX|XX] [GT|LT] [CH] [INCR] {sc} {m} [{sc} {m}]
50 ZADD {z} {sc} {m} {sc} {m}
10 ZINCRBY {z} {sc} {m}
6  ZREM {z} {m} [{m}]
8  ZSCORE {z} {m}
5  ZMSCORE {z} {m}+
5  ZCARD {z}
6  (ZRANK|ZREVRANK) {z} {m}
10 (ZRANGE|ZREVRANGE) {z} {idx} {idx} [WITHSCORES]
6  ZRANGE {z} ({smin} {smax} BYSCORE|{smax} {smin} BYSCORE REV|{idx} {idx} REV) [LIMIT {off} {idx}] [WITHSCORES]
8  ZRANGEBYSCORE {z} {smin} {smax} [WITHSCORES] [LIMIT {off} {idx}]
8  ZREVRANGEBYSCORE {z} {smax} {smin} [WITHSCORES] [LIMIT {off} {idx}]
5  ZRANGEBYLEX {x} {lmin} {lmax} [LIMIT {off} {idx}]
5  ZREVRANGEBYLEX {x} {lmax} {lmin} [LIMIT {off} {idx}]
5  ZCOUNT {z} {smin} {smax}
4  ZLEXCOUNT {x} {lmin} {lmax}
1  ZREMRANGEBYRANK {z} {idx} {idx}
1  ZREMRANGEBYSCORE {z} {smin} {smax}
1  ZREMRANGEBYLEX {x} {lmin} {lmax}
15 ZADD {x} (0|-0) {m} 0 {m} 0 {m}
5  ZREM {x} {m}+
1  DEL {x}
3  ZRANGE {x} ({lmin} {lmax} BYLEX|{lmax} {lmin} BYLEX REV) [LIMIT {off} {idx}]
3  ZRANGESTORE {x} {x} ({lmin} {lmax} BYLEX|{lmax} {lmin} BYLEX REV) [LIMIT {off} {idx}]
5  ZRANGESTORE {z} {z} ({idx} {idx}|{smin} {smax} BYSCORE|{smax} {smin} BYSCORE REV) [LIMIT {off} {idx}]
7  (ZPOPMIN|ZPOPMAX) {z} [{cnt}]
4  ZMPOP (1 {z}|2 {z} {z}) (MIN|MAX) [COUNT {cnt}]
6  (ZUNION|ZINTER) 2 {zs} {zs} [WEIGHTS {w} {w}] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
3  ZDIFF 2 {zs} {zs} [WITHSCORES]
8  (ZUNIONSTORE|ZINTERSTORE) {z} 2 {zs} {zs} [WEIGHTS {w} {w}] [AGGREGATE (SUM|MIN|MAX)]
4  (ZUNIONSTORE|ZINTERSTORE) {z} 3 {zs} {zs} {zs}
3  ZDIFFSTORE {z} 2 {zs} {zs}
3  ZINTERCARD 2 {zs} {zs} [LIMIT {cnt}]
3  ZRANDMEMBER {z} [{scnt}] [WITHSCORES]
9  DEL {a}
3  UNLINK {a} [{a}]
8  EXISTS {a}+
10 TYPE {a}
3  TOUCH {a}+
16 OBJECT ENCODING {a}
3  OBJECT (REFCOUNT|IDLETIME|FREQ) {a}
5  RENAME {a} {a}
4  RENAMENX {a} {a}
8  COPY {a} {a} [DB {db}] [REPLACE]
4  MOVE {a} {db}
10 EXPIRE {a} {ttl} [NX|XX|GT|LT]
5  PEXPIRE {a} {pttl} [NX|XX|GT|LT]
6  EXPIREAT {a} {at} [NX|XX|GT|LT]
6  PEXPIREAT {a} {pat} [NX|XX|GT|LT]
2  (EXPIRE|PEXPIRE) {a} (-1|0|-100)
1  (EXPIREAT|PEXPIREAT) {a} (1|0|1000000000)
12 (TTL|PTTL|EXPIRETIME|PEXPIRETIME) {a}
6  PERSIST {a}
4  DUMP {a}
1  RESTORE-ASKING {a} (0|{pttl}) {dump} [REPLACE]
4  RESTORE {a} (0|{pttl}|{pat} ABSTTL) {dump} [REPLACE] [IDLETIME {cnt}|FREQ {cnt}]
3  KEYS {glob}
4  SCAN 0 COUNT 100000 [MATCH {glob}] [TYPE (string|list|set|hash|zset|stream|foo)]
3  SSCAN {s} 0 COUNT 100000 [MATCH {glob}]
3  HSCAN {h} 0 COUNT 100000 [MATCH {glob}]
3  ZSCAN {z} 0 COUNT 100000 [MATCH {glob}]
1  SCAN {idx}
1  RANDOMKEY
4  DBSIZE
4  SELECT {db}
2  SWAPDB {db} {db}
6  SORT ({l}|{s}|{z}) [LIMIT {off} {cnt}] [ASC|DESC] ALPHA
6  SORT ({nl}|{ns}) [LIMIT {off} {cnt}] [GET #] [GET {ref}] [ASC|DESC]
4  SORT ({l}|{s}|{z}) [LIMIT {off} {cnt}] [GET #] [GET {ref}] [ASC|DESC] ALPHA STORE {l}
3  SORT ({nl}|{ns}) BY {ref} [GET #] [GET {ref}] [ASC|DESC]
2  SORT ({l}|{z}) BY nosort [LIMIT {off} {cnt}] [GET {ref}] [DESC]
2  SORT {s} BY nosort GET # STORE {l}
3  SORT_RO ({nl}|{ns}|{l}) [LIMIT {off} {cnt}] [GET {ref}] [ALPHA] [DESC]
50 XADD {st} [NOMKSTREAM] [MAXLEN [~|=] {xlen}|MINID [~|=] {xid}|MAXLEN ~ {xlen} LIMIT {cnt}] {nid} {sf1} {v}
60 XADD {st} {nid} f1 {v} [f2 {m}] [f3 {m}]
14 XADD {sf} (9000000000000000-*|9000000000000000-5|9000000000000001-1) {m} {v}
10 XADD {sf} NOMKSTREAM [MAXLEN [~|=] {xlen}] * {m} {v}
4  XADD {st} {low} {m} {v} {m} {v}
10 XLEN {st}
25 (XRANGE|XREVRANGE) {st} ({xid} {xid}|- +|+ -|- {xid}|{xid} +|{xex} +|- {xex}) [COUNT {cnt}]
14 XDEL {st} {xid}+
8  XTRIM {st} (MAXLEN|MINID) [~|=] ({xlen}|{xid})
5  XTRIM {st} MAXLEN ~ {xlen} LIMIT {cnt}
3  XTRIM {st} MINID ~ {xid} LIMIT {cnt}
5  XSETID {st} {up} [ENTRIESADDED {cnt}] [MAXDELETEDID {xid}]
5  XSETID {sx} {xid} [ENTRIESADDED {cnt}]
8  XADD {sx} {nid} f1 {v}
4  XINFO STREAM {sx}
14 XREAD [COUNT {cnt}] [BLOCK 1] STREAMS ({st} ({xid}|$)|{st} {st} {xid} ({xid}|$))
24 XREADGROUP GROUP {sg} {sc1} [COUNT {cnt}] [NOACK] STREAMS ({st} (>|>|>|{xid})|{st} {st} > {xid})
8  XREADGROUP GROUP {sg} {sc1} [BLOCK 1] COUNT 3 STREAMS {st} >
14 XACK {st} {sg} {xid}+
14 XPENDING {st} {sg} [- + {cnt}|{xid} {xid} 10|- + 10 {sc1}|IDLE {idle} - + 10|IDLE {idle} - + 10 {sc1}]
12 XCLAIM {st} {sg} {sc1} {idle} {xid}+ [FORCE] [JUSTID] [RETRYCOUNT {cnt}] [IDLE {cnt}|TIME {cnt}] [LASTID {xid}]
8  XCLAIM {st} {sg} {sc1} 0 {xid}+ [FORCE] [JUSTID]
12 XAUTOCLAIM {st} {sg} {sc1} {idle} (0|-|{xid}|{xex}) [COUNT {cnt}] [JUSTID]
16 XGROUP CREATE {st} {sg} ({xid}|$|0|0) [MKSTREAM] [ENTRIESREAD {cnt}]
5  XGROUP SETID {st} {sg} ({xid}|$|0) [ENTRIESREAD {cnt}]
1  XGROUP DESTROY {st} {sg}
5  XGROUP CREATECONSUMER {st} {sg} {sc1}
3  XGROUP DELCONSUMER {st} {sg} {sc1}
14 XINFO STREAM {st} [FULL [COUNT {cnt}]]
10 XINFO GROUPS {st}
8  XINFO CONSUMERS {st} {sg}
1  (XINFO|XGROUP) (HELP|FOO|STREAM|CREATE)
2  CONFIG SET stream-node-max-entries (0|1|3|10|100)
1  CONFIG SET stream-node-max-bytes (0|1|200|4096)
1  DEL {st}
2  COPY {st} {st} REPLACE
6  DUMP {st}
1  SORT {st}
1  SCAN 0 COUNT 100000 TYPE stream
6  RPUSH {nl} {i} {i}
6  SADD {ns} {i} {i}
4  PING [{v}]
3  ECHO {v}
1  OBJECT (HELP|FOO|ENCODING)
1  {unknown} {v} {a}
1  (EXEC|DISCARD|UNWATCH)
2  TIME
1  CLUSTER (HELP|INFO|NODES|SLOTS|MYID|KEYSLOT {k}|COUNTKEYSINSLOT 1|RESET HARD|KEYSLOT|FOO)
1  (READONLY|READWRITE|ASKING) [{v}]
1  MIGRATE 127.0.0.1 1 {k} (0|{db}|x) (1000|x) [COPY] [REPLACE] [AUTH {v}|AUTH2 {v} {v}|AUTH|FOO|KEYS {k}]
1  LOLWUT VERSION (x|5 x|6 1 x)
1  COMMAND (GETKEYS MIGRATE h 1 {k} 0 1 [COPY]|GETKEYSANDFLAGS MIGRATE h 1 {k} 0 1 AUTH KEYS)
1  MODULE (LIST|FOO)
1  COMMAND (COUNT foo|GETKEYS SET {k} {v}|GETKEYS ZUNIONSTORE {z} 2 {z} {z}|GETKEYS MSET {k} 1 {k} 2|GETKEYS GET|GETKEYS|FOO)
3  ACL SETUSER (alice|bob) {rule} [{rule}] [{rule}]
3  ACL DRYRUN (alice|bob) (GET {k}|SET {k} {v} [GET]|MGET {k} {l}|LMOVE {l} {l} LEFT LEFT|SORT {l} STORE {k}|ZUNIONSTORE {z} 2 {z} {s})
2  ACL DRYRUN (alice|bob) (CONFIG GET x|PUBLISH {k} {v}|PSUBSCRIBE {glob} {k}|SELECT {db}|HELLO|nosuch)
1  ACL (WHOAMI|USERS|CAT foo|DELUSER alice|GETUSER nobody|LOG x|LOG RESET|GENPASS 0|FOO)
1  CLIENT (TRACKINGINFO|GETREDIR|CACHING (YES|NO|maybe)|TRACKING (ON|OFF) (FOO|PREFIX|PREFIX p FOO)|TRACKING ON (PREFIX p|BCAST OPTIN|OPTIN OPTOUT)|TRACKING ON REDIRECT (0|x|999999))
1  CLIENT (KILL ID (0|x|999999)|KILL TYPE (replica|foo)|KILL ADDR 1.2.3.4:5|LIST TYPE (master|foo)|UNBLOCK (x|999999) [foo])
1  SLOWLOG (GET (x|-2)|LEN x|RESET|FOO)
1  LATENCY (LATEST|HISTORY {k}|GRAPH {k}|RESET {k}|HISTOGRAM nosuch|FOO)
2  CLIENT (GETNAME|SETNAME conn{db}|SETNAME {edge}|ID x|FOO|REPLY BAR|NO-EVICT maybe)
"""

# Cheap ways to make collections cross the thresholds of their encodings.
FILLS = """
3 RPUSH {bl} {bm}*
2 ZADD {x} {zbm}*
3 SADD {bs} {bm}*
3 SADD {bs} {bi}*
3 HSET {bh} {bmv}*
4 ZADD {bz} {bsm}*
1 APPEND {k} {long}
1 SETRANGE {b} {bo} {long}
4 PFADD {p} {bm}*
4 GEOADD {g} {llm}*
"""

BINARY = b"\x00\xfe\r\n"


class Stream:
    """`next_group()` gives the next commands that belong together (one, or a whole transaction)."""

    def __init__(self, seed, only=""):
        self.random = random.Random(seed)
        self.clock = 1           # of the IDs in streams
        self.dumps = [b"", b"\x00\x01a\x0a\x00", b"\x00\xc0\x05\x0a\x00" + b"\x00" * 8]
        self.weights, self.rules = compile_table(TEMPLATES, only)
        self.fill_weights, self.fills = compile_table(FILLS)
        self.cumulative = list(accumulate(self.weights))
        self.makers = {name[5:]: getattr(self, name) for name in dir(self) if name.startswith("make_")}

    def next_group(self):
        dice = self.random.random()
        if dice < 0.004:
            return [self.fill()]
        if dice < 0.02:
            return self.transaction()
        if dice < 0.0202:
            return [self.random.choice([[b"FLUSHALL"], [b"FLUSHDB"], [b"FLUSHDB", b"ASYNC"], [b"FLUSHALL", b"SYNC"], [b"FLUSHALL", b"NOW"]])]
        if dice < 0.0210:
            return [[b"HELLO", self.random.choice([b"2", b"3", b"2", b"3", b"4", b"x"])]]
        if dice < 0.045:
            return [self.script()]
        return [self.command()]

    def script(self):
        """Commands in a script or a function, which is handed them as its arguments; or a call of a script's library."""
        dice = self.random.random()
        if dice < 0.2:
            return library_call(self.random)
        drawn = (self.plain() for _ in range(200))
        fit = [argv for argv in drawn if argv[0].upper() in FOR_SCRIPTS][:2]
        if len(fit) < 2:
            return self.command()
        first, second = fit
        if dice < 0.6:
            return function_command(self.random, first)
        body = self.random.choice(SCRIPTS_OF_ONE + SCRIPTS_OF_TWO)
        if body in SCRIPTS_OF_ONE:
            return [b"EVAL", body, b"0"] + first
        return [b"EVAL", body, b"1", b"%d" % len(first)] + first + second

    def command(self):
        rule = self.random.choices(self.rules, cum_weights=self.cumulative)[0]
        argv = []
        self.expand(rule, argv)
        spoilable = argv[0] not in NOT_SPOILT and not (argv[0] == b"ZADD" and argv[1].startswith(b"lex")) \
            and not (argv[0] == b"SORT" and b"STORE" in argv)
        if spoilable and self.random.random() < 0.05:
            asked = list(argv)
            self.spoil(argv)
            if asked[0] in TIMED and sorted(argv) == sorted(asked):     # two words exchanged: a value for a time to live
                argv = asked
            if ranges_by_name(asked) and argv[source_of(asked):][:1] != asked[source_of(asked):][:1]:
                argv = asked
        if argv[0].upper() in (b"ZADD", b"ZINCRBY"):
            plain_zero(argv)
        fixed_ids(argv)
        short_waits(argv)
        return argv

    def fill(self):
        argv = []
        self.expand(self.random.choices(self.fills, self.fill_weights)[0], argv)
        if argv[0] == b"ZADD":
            plain_zero(argv)
        return argv

    def transaction(self):
        rnd, commands = self.random, []
        if rnd.random() < 0.4:
            commands.append([b"WATCH", self.make_a(), self.make_a()])
            if rnd.random() < 0.6:
                commands.append(self.plain())
        commands.append([b"MULTI"])
        commands += [self.plain() for _ in range(rnd.randrange(6))]
        if rnd.random() < 0.1:
            commands.append(rnd.choice([[b"MULTI"], [b"WATCH", b"x"], [b"GET"], [b"NOSUCH", b"x"], [b"UNWATCH"]]))
        commands.append([b"DISCARD"] if rnd.random() < 0.2 else [b"EXEC"])
        return commands

    def plain(self):
        """A command whose reply needs no second look, for transactions."""
        while True:
            argv = self.command()
            name = argv[0].upper()
            if name not in NEEDS_A_LOOK and name not in (b"EXEC", b"DISCARD") and len(argv) == ARITIES.get(name, len(argv)):
                return argv

    def expand(self, node, argv):
        kind, value = node
        if kind == "word":
            argv.append(value)
        elif kind == "maker":
            argv.append(self.makers[value]())
        elif kind == "sequence":
            for child in value:
                self.expand(child, argv)
        elif kind == "choice":
            self.expand(value[int(self.random.random() * len(value))], argv)
        elif kind == "maybe":
            if self.random.random() < 0.35:
                self.expand(("choice", value), argv)
        else:
            for _ in range(self.random.randint(1, 4) if kind == "some" else self.random.choice([20, 100, 200, 400])):
                self.expand(value, argv)
        flatten(argv)

    def spoil(self, argv):
        rnd = self.random
        at = rnd.randrange(len(argv))
        dice = rnd.random()
        if dice < 0.15 or at == 0:
            argv[0] = rnd.choice([argv[0].lower(), argv[0].title()])
        elif dice < 0.65:
            argv[at] = rnd.choice(EDGES)
        elif dice < 0.75:
            del argv[at]
        elif dice < 0.85:
            argv.append(rnd.choice(EDGES))
        elif dice < 0.92:
            argv.insert(at, argv[at])
        else:
            other = rnd.randrange(1, len(argv))
            argv[at], argv[other] = argv[other], argv[at]

    # ---- makers of words

    def key(self, letter, spread=7):
        dice = self.random.random()
        if dice < 0.90:
            return b"%c%d" % (letter, int(self.random.random() * spread))
        if dice < 0.95:
            return b"big:%c" % letter
        if dice < 0.97:
            return BINARY + b"%c" % letter
        if dice < 0.98:
            return b"missing"
        return self.make_a()

    def make_rule(self):
        rnd = self.random
        command = rnd.choice([b"get", b"set", b"mget", b"lmove", b"sort", b"zunionstore", b"config", b"config|get", b"publish",
                              b"psubscribe", b"select", b"select|1", b"@read", b"@write", b"@string", b"@pubsub", b"@all", b"nosuch"])
        pattern = rnd.choice([self.make_k(), self.make_l(), self.make_glob().replace(b" ", b""), b"*"])
        return rnd.choice([b"+" + command, b"+" + command.upper(), b"-" + command, b"~" + pattern, b"%R~" + pattern, b"%W~" + pattern,
                           b"&" + pattern, b"resetkeys", b"resetchannels", b"clearselectors", b"reset", b"on", b">" + pattern,
                           b"(+" + command + b" ~" + pattern + b")", b"nosuch", b"(+get"])

    def make_k(self): return self.key(107)
    def make_n(self): return self.key(110, 4)
    def make_l(self): return self.key(108)
    def make_s(self): return self.key(115)
    def make_h(self): return self.key(104)
    def make_z(self): return self.key(122)
    def make_x(self): return b"lex%d" % self.random.randrange(3)  # all scores equal, or ranges by name have no meaning
    def make_zbm(self): return [b"0", self.make_bm()]
    def make_zs(self): return self.key(122) if self.random.random() < 0.85 else self.key(115)
    def make_t(self): return b"t%d" % self.random.randrange(4)
    def make_nl(self): return b"numbers:l%d" % self.random.randrange(3)
    def make_ns(self): return b"numbers:s%d" % self.random.randrange(3)
    def make_bl(self): return b"big:l"
    def make_b(self): return self.key(98, 5)
    def make_p(self): return self.key(112, 6)
    def make_g(self): return self.key(103, 4)
    def make_llm(self): return [*self.make_ll(), self.make_bm()]
    def make_u(self): return self.random.choice([b"m", b"km", b"ft", b"mi", b"KM", b"M", b"Mi", b"x"])
    def make_side(self): return self.random.choice([b"0", b"1", b"100", b"333.3", b"2000", b"50000", b"-1", b"x"])

    def make_ll(self):
        """Longitude and latitude; no two alike, or members as far away as others would have no order."""
        rnd = self.random
        if rnd.random() < 0.03:
            return [rnd.choice([b"180", b"-180", b"0", b"181", b"x"]), rnd.choice([b"85.05112878", b"-85.05112878", b"0", b"86"])]
        east, north, reach = rnd.choice([(0, 0, 80), (13, 38, 3), (13.4, 38.1, 0.1), (179.9, 10, 0.1), (-150, 79, 6), (60, -67, 15)])
        place = [east * 1.0 + (rnd.random() * 2 - 1) * reach * (2 if reach == 80 else 1), north + (rnd.random() * 2 - 1) * reach]
        return [b"%.12f" % max(-180, min(180, place[0])), b"%.12f" % max(-85, min(85, place[1]))]

    def make_rad(self):
        return [self.random.choice([b"0", b"1", b"10", b"77.7", b"200", b"1000", b"6000", b"30000", b"1e6"]),
                self.random.choice([b"m", b"km", b"km", b"km", b"mi", b"ft", b"KM"])]
    def make_bs(self): return b"big:s"
    def make_bh(self): return b"big:h"
    def make_bz(self): return b"big:z"

    def make_st(self): return self.key_of_stream(b"st%d" % int(self.random.random() ** 2 * 6))
    def make_sf(self): return b"sf%d" % self.random.randrange(2)
    def make_sx(self): return b"sx%d" % self.random.randrange(2)    # from these nothing is deleted by name
    def make_sg(self): return b"g%d" % self.random.choice([0, 0, 0, 1, 2])
    def make_sc1(self): return b"consumer%d" % self.random.randrange(3)
    def make_sf1(self): return self.random.choice([b"f1", b"f1", b"f2", b"12"])
    def make_xlen(self): return b"%d" % self.random.choice([0, 1, 2, 5, 10, 20, 20, 50, 50, 200])
    def make_idle(self): return self.random.choice([b"0", b"0", b"0", b"100000000", b"-1"])

    def key_of_stream(self, key):
        return key if self.random.random() < 0.97 else self.random.choice([b"k0", b"l0", b"missing"])

    def make_xex(self): return b"(" + self.make_xid()

    def make_nid(self):
        """Mostly above what was there before."""
        self.clock += self.random.random() < 0.3
        dice = self.random.random()
        if dice < 0.5:
            return b"%d-*" % self.clock
        return b"%d-%d" % (self.clock, self.random.randrange(1, 40)) if dice < 0.97 else self.make_low()

    def make_low(self):
        return self.random.choice([self.make_xid()[:9], b"0-*", b"0-0", b"5-", b"07-01", b" 5", b"-", b"+5"])

    def make_up(self): return b"%d-100000" % self.clock

    def make_xid(self):
        dice = self.random.random()
        if dice < 0.75:
            return b"%d-%d" % (max(0, self.clock - int(self.random.random() ** 2 * 60)), self.random.randrange(4))
        if dice < 0.93:
            return b"%d" % max(0, self.clock - int(self.random.random() * 60))
        return self.random.choice([b"0", b"0-0", b"0-1", b"-", b"+", b"18446744073709551615-18446744073709551615", b"5-", b"1-2-3", b"$",
                                   b"18446744073709551615", b"07-01", b" 5", b"+5", b"9000000000000000-3", b"(1-1", b"(-", b">", b"5-+1"])

    def make_a(self):
        return b"%c%d" % (self.random.choice(b"kklshznbp"), int(self.random.random() * 7)) if self.random.random() < 0.9 \
            else self.random.choice([b"big:l", b"big:s", b"big:h", b"big:z", b"missing", BINARY + b"k", b"numbers:l0"])

    def make_m(self):
        dice = self.random.random()
        if dice < 0.6:
            return b"m%d" % int(self.random.random() ** 2 * 25)
        if dice < 0.85:
            return b"%d" % (int(self.random.random() ** 2 * 40) - 5)
        if dice < 0.97:
            return self.random.choice([b"", b"a", b"b", b"\x00\xff", b"1.5", b"007", b"-0", b"32768", b"2147483648",
                                       b"9223372036854775807", b"9223372036854775808", b"x" * 64, b"M1", b"\r\n"])
        return b"y" * self.random.choice([65, 100, 300, 5000])

    def make_v(self):
        return self.make_m() if self.random.random() < 0.9 else b"v" * self.random.choice([44, 45, 32, 33, 256, 2000])

    def make_long(self): return b"w" * self.random.choice([1000, 17000, 40000])
    def make_bm(self): return b"m%d" % int(self.random.random() * 1500)
    def make_bi(self): return b"%d" % int(self.random.random() * 1500)
    def make_bmv(self): return [self.make_bm(), b"%d" % int(self.random.random() * 99)]
    def make_bsm(self): return [self.make_sc(), self.make_bm()]
    def make_cf(self): return b"c%d" % int(self.random.random() * 3)

    def make_i(self):
        if self.random.random() < 0.9:
            return b"%d" % (int(self.random.random() * 200) - 100)
        return self.random.choice([b"9223372036854775807", b"-9223372036854775808", b"4611686018427387904", b"1.5", b"x", b"10000"])

    def make_f(self):
        return self.random.choice([b"0.1", b"1.5", b"-2.25", b"3", b"1e3", b"-0.3", b"0.0001", b"1e-7", b"200000.125", b"5.0e3",
                                   b"1e17", b"3.14159265358979", b"-1", b"nan", b"inf", b"1e5000", b"abc", b"1e-300"])

    def make_sc(self):
        dice = self.random.random()
        if dice < 0.5:
            return b"%d" % (int(self.random.random() * 20) - 5)
        if dice < 0.9:
            return b"%.*f" % (self.random.randrange(1, 9), self.random.random() * 10)
        return self.random.choice([b"inf", b"-inf", b"+inf", b"0", b"-0", b"1e308", b"1e-308", b"0.1", b"1e21", b"123456789012345680000",
                                   b"1e17", b"3.0", b"nan", b"x", b"(1", b"4.9e-324", b"0.30000000000000004", b"1e22"])

    def make_w(self): return self.random.choice([b"1", b"2", b"0.5", b"-1", b"0", b"inf", b"1e300"])
    def make_idx(self): return b"%d" % self.random.choice([0, 0, 1, 2, 3, 5, 10, -1, -1, -1, -2, -3, -10, 100, -100, 600])
    def make_rank(self): return b"%d" % self.random.choice([1, 1, 2, 3, -1, -2, 0, 100])
    def make_cnt(self): return b"%d" % self.random.choice([0, 1, 1, 2, 3, 5, 10, 100, -1])
    def make_scnt(self): return b"%d" % self.random.choice([0, 1, 2, 3, 10, 100, 3000, -1, -3, -20])
    def make_off(self): return b"%d" % self.random.choice([0, 0, 1, 2, 5, 20, 300, -1])
    def make_ttl(self): return b"%d" % (1000 * self.random.randint(20, 10000))
    def make_pttl(self): return b"%d" % (1000000 * self.random.randint(20, 10000))
    def make_at(self): return b"%d" % (4102444800 + self.random.randrange(50))
    def make_pat(self): return b"%d" % (4102444800000 + self.random.randrange(50000))
    def make_db(self): return self.random.choice([b"0", b"0", b"0", b"0", b"1", b"1", b"2", b"15"]) if self.random.random() < 0.97 \
        else self.random.choice([b"16", b"-1", b"x", b"4294967296"])

    def make_bo(self): return b"%d" % int(self.random.random() ** 3 * 400)

    def make_bx(self):
        return b"%d" % self.random.choice([0, 0, 1, 2, 3, 7, 8, 9, 20, 100, 5000, -1, -1, -2, -8, -9, -17, -100, -5000])

    def make_bt(self):
        if self.random.random() < 0.96:
            return b"%c%d" % (self.random.choice(b"iu"), self.random.choice([1, 2, 3, 5, 7, 8, 8, 8, 9, 13, 16, 31, 32, 33, 57, 63]))
        return self.random.choice([b"i64", b"u64", b"i65", b"u0", b"i0", b"i08", b"U8", b"x8", b"u", b"i", b"u8x", b"i-1"])

    def make_bp(self):
        return (b"#%d" % int(self.random.random() * 9)) if self.random.random() < 0.3 else self.make_bo()

    def make_bv(self):
        near = 1 << self.random.choice([0, 1, 3, 7, 8, 15, 31, 32, 56, 62, 63])
        value = (near + int(self.random.random() * 5) - 2) * self.random.choice([1, 1, -1])
        return b"%d" % max(-2**63, min(2**63 - 1, value))

    def make_hll(self):
        """A HyperLogLog's header with some registers, too few or too many as often as not."""
        rnd = self.random
        head = b"HYLL" + rnd.choice([b"\x01", b"\x01", b"\x01", b"\x00", b"\x02"]) + bytes(3)
        head += rnd.choice([bytes(7) + b"\x80", b"\x07" + bytes(7)])
        left, opcodes = 16384, b""
        while left > 5000 and len(opcodes) < 60:
            value = rnd.random() < 0.7
            run = rnd.randrange(1, 5) if value else rnd.choice([1, 2, 64, 65, 900])
            opcodes += bytes([0x80 | rnd.choice([0, 0, 1, 31]) << 2 | run - 1]) if value else zeros(run)
            left -= run
        opcodes += zeros(left)
        # (No opcode of two bytes is cut in the middle: stock would go on to change what lies behind the string.)
        few = opcodes[:-len(zeros(left))]
        return head + rnd.choice([opcodes, opcodes, opcodes, few, opcodes + b"\x00", b""])

    def make_glob(self):
        return self.random.choice([b"*", b"k*", b"?1", b"[kl]*", b"[^k]*", b"m1*", b"*1", b"big:?", b"m[0-5]", b"m[5-0]", b"", b"\\m1",
                                   b"[", b"m[", b"m[1", b"*\\", b"**1**", b"nothing", b"\x00*", b"[a-z][0-9]", b"?"])

    def make_smin(self): return self.random.choice([b"-inf", b"0", b"(0", b"-3", b"1.5", b"(1", b"5", b"-5", b"inf", b"nan", b"x"])
    def make_smax(self): return self.random.choice([b"+inf", b"inf", b"5", b"(5", b"10", b"3.7", b"(0", b"-inf", b"20", b"(inf", b"("])
    def make_lmin(self): return self.random.choice([b"-", b"[m1", b"(m1", b"[", b"(", b"[1", b"+", b"(m", b"m", b"-x"])
    def make_lmax(self): return self.random.choice([b"+", b"[m9", b"(m9", b"[z", b"(n", b"-", b"[5", b"(m2", b"", b"+x"])
    def make_ref(self): return self.random.choice([b"k*", b"n*", b"h*->c1", b"nosuch*", b"h*->m1", b"k", b"*", b"h*->"])
    def make_dump(self): return self.random.choice(self.dumps)
    def make_edge(self): return self.random.choice(EDGES)
    def make_unknown(self): return self.random.choice([b"FOO", b"GETT", b"", b"get\r\n", b"x" * 200, b"\x00\x01", b"SE T"])


# Commands with chance in their reply: the differential run looks at the data right after them.
NEEDS_A_LOOK = {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY", b"DUMP"}

# With a word dropped, these tell about the program (its commands, its connections) and not about data.
NOT_SPOILT = {b"COMMAND", b"LOLWUT", b"MIGRATE", b"CLIENT", b"CONFIG", b"SLOWLOG", b"LATENCY"}


# To queue these with another number of words spoils a transaction of 7.0 and not one of 7.2.
ARITIES = {b"ZRANK": 3, b"ZREVRANK": 3, b"COMMAND": 2}


def ranges_by_name(argv):
    return argv[0].endswith((b"BYLEX", b"LEXCOUNT")) or b"BYLEX" in argv


def source_of(argv):
    """Where the key stands whose members are ranged by name: it must hold equal scores, so it is not spoilt."""
    return 2 if argv[0] == b"ZRANGESTORE" else 1


# Commands with a time to live in them, which must not become one that ends during the run.
TIMED = {b"SET", b"SETEX", b"PSETEX", b"GETEX", b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT", b"RESTORE", b"RESTORE-ASKING"}


def plain_zero(argv):
    """No -0 for a score: a skiplist keeps its sign and a listpack does not, and stock's SORT makes skiplists of what
    it reads, where ours reads it as it is; nor does 7.0 begin with a skiplist for many members, as 7.2 does.
    (Sets of {x} are small and not sorted, and have it.)"""
    if not argv[1:2] or not argv[1].startswith(b"lex"):
        for at in range(len(argv) - 2, 1, -2):
            argv[at] = b"0" if argv[at] == b"-0" else argv[at]


def zeros(run):
    """The opcode of a HyperLogLog for so many registers of zero."""
    return bytes([run - 1]) if run <= 64 else bytes([0x40 | run - 1 >> 8, run - 1 & 0xff])


def accumulate(weights):
    total = 0
    for weight in weights:
        total += weight
        yield total


def flatten(argv):
    if argv and isinstance(argv[-1], list):
        argv.extend(argv.pop())


def compile_table(text, only=""):
    weights, rules = [], []
    for line in text.strip().splitlines():
        weight, template = line.split(None, 1)
        if not re.match(only, template):
            continue
        tokens = re.findall(r"\{\w+\}[+*]?|[()\[\]|]|[^\s()\[\]|{}]+(?=\{)|[^\s()\[\]|{}]+", template)
        node, rest = compile_sequence(tokens, 0)
        assert rest == len(tokens), template
        weights.append(int(weight))
        rules.append(node)
    return weights, rules


def compile_sequence(tokens, at):
    nodes = []
    while at < len(tokens) and tokens[at] not in "|)]":
        token = tokens[at]
        if token in "([":
            options = []
            while tokens[at] not in ")]":
                node, at = compile_sequence(tokens, at + 1)
                options.append(node)
            nodes.append(("choice" if token == "(" else "maybe", options))
        elif token.startswith("{"):
            maker = ("maker", token.rstrip("+*").strip("{}"))
            nodes.append({"+": ("some", maker), "*": ("many", maker)}.get(token[-1], maker))
        else:
            nodes.append(("word", token.encode()))
        at += 1
    return ("sequence", nodes), at
