"""Every family of commands through redis-py: redis_py.py PORT PROTOCOL. Prints what the client made of each reply.

tests/clients.rs runs it on stock Redis and on this server; the two must print the same, so nothing here depends on time.
"""

import sys
import threading

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])


def connect(**options):
    return redis.Redis("127.0.0.1", port, protocol=protocol, decode_responses=True, socket_timeout=30, **options)


r = connect()
r.flushall()


def ordered(value):
    """What has no order, in one that is always the same."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=repr)}
    return [ordered(item) for item in value] if isinstance(value, (list, tuple)) else value


def leaves(value):
    """All that stands in a reply, where the order of lists means nothing either."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        return sorted(sum((leaves(item) for item in value), []))
    return [repr(value)]


def show(name, ask):
    try:
        print(name, repr(ordered(ask())))
    except redis.RedisError as error:
        print(name, type(error).__name__, error)


def case(command, *args, **options):
    show("%s %s %s" % (command, args, options or ""), lambda: getattr(r, command)(*args, **options))


def values():
    case("set", "s", "v", ex=100)
    case("set", "s", "w", keepttl=True, get=True)
    case("expiretime", "none")
    case("getex", "s", persist=True)
    case("ttl", "s")
    case("lcs", "s", "s")
    case("incr", "s")
    case("rpush", "l", *"abcdc")
    case("lpos", "l", "c", rank=-1, count=0)
    case("lmpop", 2, "none", "l", direction="LEFT", count=2)
    case("sadd", "set", *range(9))
    case("smembers", "set")
    case("sintercard", 2, ["set", "set"], 4)
    case("hset", "h", mapping={"a": 1, "b": 2})
    case("hgetall", "h")
    case("hrandfield", "h", 5, True)
    case("zadd", "z", {"a": 1, "b": 2.5, "c": "-inf"})
    case("zrange", "z", 0, -1, withscores=True)
    case("zmpop", 1, ["z"], min=True)
    case("zrangestore", "z2", "z", 0, -1)
    case("geoadd", "g", (2.35, 48.85, "Paris", 13.4, 52.52, "Berlin"))
    case("geosearch", "g", member="Paris", radius=1000, unit="km", sort="ASC")
    case("setbit", "bits", 9, 1)
    case("bitpos", "bits", 1)
    case("pfadd", "hll", *range(50))
    case("pfcount", "hll")
    case("sort", "set", desc=True, start=0, num=3)
    case("copy", "l", "l2")
    case("object", "encoding", "set")
    case("restore", "bad", 0, b"nonsense")
    show("scan_iter", lambda: set(r.scan_iter(match="l*", count=2)))
    case("lpush", "s", "x")


def streams():
    for number in range(1, 6):
        case("xadd", "x", {"f": number}, id="%d-0" % number)
    case("xadd", "x", {"f": "old"}, id="1-0")
    case("xrange", "x", "2", "+", count=2)
    case("xrevrange", "x", count=1)
    case("xread", {"x": "3"}, count=5)
    case("xgroup_create", "x", "g", "0")
    case("xgroup_create", "x", "g", "0")
    case("xreadgroup", "g", "alice", {"x": ">"}, count=3)
    case("xack", "x", "g", "1-0")
    case("xpending", "x", "g")
    case("xclaim", "x", "g", "bob", 0, ["2-0"], justid=True)
    case("xautoclaim", "x", "g", "bob", 0, "0", justid=True)
    show("xpending_range", lambda: [(p["message_id"], p["consumer"], p["times_delivered"]) for p in r.xpending_range("x", "g", "-", "+", 9)])
    case("xreadgroup", "none", "alice", {"x": ">"})
    case("xdel", "x", "5-0")
    case("xtrim", "x", maxlen=3)
    case("xlen", "x")
    show("xinfo", lambda: [r.xinfo_stream("x")[field] for field in ("length", "last-generated-id", "groups")])
    case("xinfo_groups", "x")


def scripts():
    case("eval", "return {KEYS[1], ARGV[1], 7, {ok='fine'}, false}", 1, "k", "a")
    case("eval", "return redis.call('incr', KEYS[1])", 1, "counter")
    case("eval", "return redis.call('lpush', KEYS[1], 1)", 1, "s")
    case("eval", "return redis.pcall('nosuch')", 0)
    case("eval", "return cjson.encode({1, 2, {a = 'b'}}) .. cmsgpack.unpack(cmsgpack.pack('x'))", 0)
    case("evalsha", "f" * 40, 0)
    case("eval_ro", "return redis.call('set', KEYS[1], 1)", 1, "s")
    sha = r.script_load("return ARGV[1]")
    show("script_load", lambda: sha)
    case("script_exists", sha, "0" * 40)
    case("evalsha", sha, 0, "hello")
    script = r.register_script("return redis.call('get', KEYS[1])")
    r.script_flush()
    show("registered", lambda: script(keys=["counter"]))


CODE = """#!lua name=mine
redis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function{function_name='look', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}
"""


def functions():
    case("function_load", CODE)
    case("function_load", CODE)
    case("function_load", CODE, replace=True)
    case("function_load", "#!lua name=bad\nreturn nosuch")
    case("fcall", "put", 1, "f", "value")
    case("fcall_ro", "put", 1, "f", "value")
    case("fcall", "look", 1, "f")
    case("fcall_ro", "look", 1, "f")
    case("fcall", "nosuch", 0)
    show("function_list", lambda: leaves(r.function_list(library="mine", withcode=True)))
    # (Decoded as text the payload would be spoilt.)
    raw = redis.Redis("127.0.0.1", port, protocol=protocol)
    payload = raw.function_dump()
    case("function_delete", "mine")
    case("fcall", "look", 1, "f")
    show("function_restore", lambda: r.function_restore(payload, "FLUSH"))
    case("fcall", "look", 1, "f")
    case("function_restore", b"nonsense")
    case("function_flush", "SYNC")
    case("function_kill")
    show("function_stats", lambda: ordered(r.function_stats()))


def bits_and_sketches():
    case("bitfield_ro", "bits", "u8", 0)
    show("bitfield", lambda: r.bitfield("bits", "SAT").incrby("u4", 0, 20).set("i8", "#1", -5).get("u16", 0).execute())
    case("setbit", "more", 3, 1)
    case("bitop", "XOR", "both", "bits", "more")
    case("bitcount", "both", 0, 10, "BIT")
    case("bitpos", "both", 0, 1, 5)
    case("getbit", "both", 3)
    case("pfadd", "hll2", "x", "y")
    case("pfmerge", "hll3", "hll", "hll2")
    case("pfcount", "hll", "hll2")
    case("geodist", "g", "Paris", "Berlin", unit="km")
    case("geohash", "g", "Paris", "none")
    case("geopos", "g", "Berlin", "none")
    case("geosearchstore", "g2", "g", longitude=2, latitude=48, width=3000, height=3000, unit="km", storedist=True)
    case("georadiusbymember", "g", "Paris", 2000, unit="km", withdist=True, sort="DESC")
    case("georadius", "g", 13, 52, 100, unit="km", store="g3")


def keys():
    case("expire", "l", 100, nx=True)
    case("expire", "l", 50, gt=True)
    case("pexpireat", "l", 4102444800000)
    case("pexpiretime", "l")
    case("persist", "l")
    case("rename", "l", "renamed")
    case("renamenx", "renamed", "s")
    case("move", "renamed", 3)
    case("swapdb", 0, 3)
    case("exists", "renamed")
    case("swapdb", 0, 3)
    case("touch", "s", "none")
    case("type", "set")
    case("dump", "none")
    case("unlink", "both", "more")
    case("dbsize")
    show("by type", lambda: sorted(r.scan_iter(_type="zset", count=3)))
    show("sscan", lambda: sorted(r.sscan_iter("set", match="[1-5]")))
    show("hscan", lambda: dict(r.hscan_iter("h")))
    show("zscan", lambda: sorted(r.zscan_iter("z2")))
    case("sort_ro", "set", desc=True, start=1, num=2)
    case("object", "freq", "s")


def transactions():
    def run(meddle):
        with r.pipeline() as pipe:
            pipe.watch("t")
            if meddle:
                connect().incr("t")
            pipe.multi()
            pipe.incr("t").get("t").lpush("s", 1).hgetall("h").zscore("z", "b")
            return [repr(found) for found in map(ordered, pipe.execute(raise_on_error=False))]
    show("exec", lambda: run(False))
    show("exec", lambda: run(True))


def blocking():
    def later(*commands):
        other = connect()
        before = other.info("clients")["blocked_clients"]

        def push():
            while other.info("clients")["blocked_clients"] == before:
                pass
            for command, *args in commands:
                getattr(other, command)(*args)
        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        return thread
    for name, args, pushes in [
            ("blpop", (["q1", "q2"], 20), [("rpush", "q2", "x", "y")]),
            ("brpop", (["q2"], 20), []),
            ("blmove", ("q3", "q4", 20), [("rpush", "q3", "moved")]),
            ("blmpop", (20, 1, "q3"), [("rpush", "q3", 1, 2, 3, 4)]),
            ("bzpopmin", (["zq"], 20), [("zadd", "zq", {"a": 1, "b": 2})]),
            ("xread", ({"xq": "0"}, 5, 20000), [("xadd", "xq", {"f": "v"}, "1-1")]),
            ("blpop", (["never"], 0.01), [])]:
        thread = later(*pushes) if pushes else None
        case(name, *args, **({"direction": "LEFT", "count": 3} if name == "blmpop" else {}))
        if thread:
            thread.join()


def messages():
    listener = connect().pubsub()
    listener.subscribe("news")
    listener.psubscribe("n*")
    show("subscribed", lambda: [listener.get_message(timeout=20) for _ in range(2)])
    case("publish", "news", "hello")
    show("heard", lambda: [listener.get_message(timeout=20) for _ in range(2)])
    case("pubsub_channels")
    case("pubsub_numsub", "news", "none")
    case("pubsub_numpat")
    sharded = connect().pubsub()
    sharded.ssubscribe("shard")
    show("ssubscribed", lambda: sharded.get_message(timeout=20))
    case("spublish", "shard", "x")
    show("heard", lambda: sharded.get_message(timeout=20))


def events():
    """Keyspace notifications, tracked keys, a monitor."""
    case("config_set", "notify-keyspace-events", "KEA")
    listener = connect().pubsub()
    listener.psubscribe("__key*@0__:*")
    show("subscribed", lambda: listener.get_message(timeout=20))
    r.set("noted", 1)
    r.rename("noted", "noted2")
    show("heard", lambda: [listener.get_message(timeout=20) for _ in range(6)])
    case("config_set", "notify-keyspace-events", "")
    listener.close()
    with connect().monitor() as monitor:
        r.get("watched")
        show("monitored", lambda: monitor.next_command()["command"])
    with connect(single_connection_client=True) as tracking:
        show("tracking", lambda: tracking.execute_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "NOLOOP"))
        show("trackinginfo", lambda: ordered(tracking.client_trackinginfo()))
        show("reset", lambda: tracking.reset() or "reset")


def refused(ask):
    try:
        return ask()
    except redis.exceptions.NoPermissionError:
        return "no permission"


def house():
    case("acl_setuser", "ann", enabled=True, passwords=["+secret"], commands=["+get", "+@stream"], keys=["s*"])
    show("acl_getuser", lambda: r.acl_getuser("ann")["commands"])
    ann = connect(username="ann", password="secret")
    show("allowed", lambda: ann.get("s"))
    for denied in (lambda: ann.get("other"), lambda: ann.set("s", 1)):
        # 7.2 says it in other words.
        show("denied", lambda: refused(denied))
    case("acl_whoami")
    case("acl_deluser", "ann")
    case("config_set", "maxmemory-policy", "allkeys-lru")
    case("config_get", "maxmemory-policy")
    case("config_set", "maxmemory-policy", "noeviction")
    case("config_set", "nosuch", 1)
    case("client_setname", "smoke")
    case("client_getname")
    case("client_no_evict", "ON")
    case("wait", 0, 1)
    case("slowlog_reset")
    case("latency_latest")
    case("memory_usage", "none")
    case("object", "refcount", "h")
    show("role", lambda: r.role()[0])
    show("unknown", lambda: r.execute_command("NOSUCH", "a"))
    show("arity", lambda: r.execute_command("GET"))
    case("select", 99)
    show("acl_cat", lambda: sorted(r.acl_cat("hyperloglog")))
    case("acl_log_reset")
    case("acl_users")
    show("acl_genpass", lambda: len(r.acl_genpass()))
    show("acl_dryrun", lambda: r.acl_dryrun("default", "get", "x"))
    show("client_list", lambda: sorted(client["name"] for client in r.client_list(_type="normal")).count("smoke"))
    show("client_info", lambda: r.client_info()["name"])
    case("client_kill_filter", _id=999999)
    case("client_unblock", 999999)
    case("client_pause", 1, all=False)
    case("client_unpause")
    case("client_getredir")
    show("command", lambda: ordered(r.command()["lmove"]))
    case("command_getkeys", "MSET", "a", "1", "b", "2")
    case("command_getkeysandflags", "LMOVE", "a", "b", "LEFT", "RIGHT")
    show("memory_stats", lambda: sorted(r.memory_stats())[:9])
    case("memory_purge")
    case("latency_history", "command")
    case("latency_reset")
    show("latency_histogram", lambda: r.execute_command("LATENCY", "HISTOGRAM", "nosuch"))
    case("slowlog_len")
    case("config_resetstat")
    show("info", lambda: [r.info(section)[field] for section, field in (("server", "redis_mode"), ("replication", "role"), ("cluster", "cluster_enabled"))])
    show("lastsave", lambda: r.lastsave().year > 2000)
    show("time", lambda: len(r.time()))
    show("lolwut", lambda: "Redis ver." in str(r.lolwut()))
    case("replicaof", "NO", "ONE")
    case("save")
    case("readonly")
    case("module_list")
    case("cluster", "INFO")
    case("echo", "said")
    case("ping")


for family in (values, bits_and_sketches, keys, streams, scripts, functions, transactions, blocking, messages, events, house):
    print("--", family.__name__)
    family()
print("all good")
