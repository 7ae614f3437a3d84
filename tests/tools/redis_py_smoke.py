"""Drives a server through redis-py as an application would: redis_py_smoke.py PORT PROTOCOL.

Every expectation holds on stock Redis 7, too; tests/tools.rs runs it on both.
"""

import sys

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])


def connect(**options):
    return redis.Redis("127.0.0.1", port, protocol=protocol, decode_responses=True, **options)


def same(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def strings(r):
    same(r.set("s", "v"), True)
    same(r.get("s"), "v")
    same(r.set("s", "w", nx=True), None)
    same(r.set("s", "w", xx=True, get=True, ex=100), "v")
    assert 0 < r.ttl("s") <= 100
    same(r.append("s", "!"), 2)
    same(r.incr("n", 5), 5)
    same(r.incrbyfloat("n", 0.5), 5.5)
    same(r.mset({"a": 1, "b": 2}), True)
    same(r.mget("a", "b", "none"), ["1", "2", None])
    same(r.getrange("s", 0, 0), "w")
    same(r.getdel("a"), "1")
    same(r.exists("a", "b"), 1)
    same(r.type("b"), "string")
    same(r.rename("b", "c"), True)
    same(r.delete("c", "none"), 1)
    same(r.dump("none"), None)
    raw = redis.Redis("127.0.0.1", port, protocol=protocol)
    binary = bytes(range(256))
    raw.set(binary, binary)
    same(raw.get(binary), binary)
    payload = raw.dump(binary)
    same(raw.restore("copy", 0, payload) in (True, b"OK"), True)
    same(raw.get("copy"), binary)


def lists(r):
    same(r.rpush("l", *range(10)), 10)
    same(r.lpush("l", "first"), 11)
    same(r.lrange("l", 0, 2), ["first", "0", "1"])
    same(r.lpop("l"), "first")
    same(r.rpop("l", 2), ["9", "8"])
    same(r.lindex("l", -1), "7")
    same(r.linsert("l", "BEFORE", "0", "x"), 9)
    same(r.lpos("l", "7"), 8)
    same(r.lrem("l", 0, "x"), 1)
    same(r.ltrim("l", 0, 3), True)
    same(r.lmove("l", "other", "LEFT", "RIGHT"), "0")
    same(r.llen("l"), 3)
    same(r.sort("l", desc=True), ["3", "2", "1"])


def sets(r):
    same(r.sadd("set", "a", "b", "c"), 3)
    same(r.smembers("set"), {"a", "b", "c"})
    same(bool(r.sismember("set", "a")), True)
    same(list(map(bool, r.smismember("set", "a", "z"))), [True, False])
    r.sadd("set2", "b", "c", "d")
    same(r.sinter("set", "set2"), {"b", "c"})
    same(r.sunion("set", "set2"), {"a", "b", "c", "d"})
    same(r.sdiff("set", "set2"), {"a"})
    same(r.sintercard(2, ["set", "set2"]), 2)
    assert r.spop("set") in {"a", "b", "c"}
    same(len(r.srandmember("set2", 2)), 2)


def hashes(r):
    same(r.hset("h", mapping={"f": "1", "g": "2"}), 2)
    same(r.hgetall("h"), {"f": "1", "g": "2"})
    same(r.hmget("h", "f", "none"), ["1", None])
    same(r.hincrby("h", "f", 2), 3)
    same(r.hincrbyfloat("h", "g", 0.25), 2.25)
    same(r.hdel("h", "f"), 1)
    same(r.hkeys("h"), ["g"])
    same(r.hexists("h", "g"), True)
    same(r.hrandfield("h"), "g")


def sorted_sets(r):
    same(r.zadd("z", {"a": 1, "b": 2, "c": 3.5}), 3)
    same(r.zadd("z", {"a": 1}, incr=True), 2.0)
    same(r.zscore("z", "c"), 3.5)
    same([tuple(pair) for pair in r.zrange("z", 0, -1, withscores=True)], [("a", 2.0), ("b", 2.0), ("c", 3.5)])
    same(r.zrange("z", "(2", "+inf", byscore=True), ["c"])
    same(r.zrank("z", "c"), 2)
    same(r.zrevrange("z", 0, 0), ["c"])
    same(r.zcount("z", 2, 3), 2)
    same(r.zunionstore("zz", {"z": 2, "none": 1}), 3)
    same(r.zscore("zz", "c"), 7.0)
    same(r.zmscore("z", ["a", "none"]), [2.0, None])
    low, high = r.zpopmin("z"), r.zpopmax("z")
    assert "a" in str(low) and "c" in str(high), (low, high)


def bitmaps(r):
    same(r.setbit("bits", 7, 1), 0)
    same(r.getbit("bits", 7), 1)
    r.set("bits", b"\x0f\xf0")
    same(r.bitcount("bits"), 8)
    same(r.bitcount("bits", 4, 7, "BIT"), 4)
    same(r.bitpos("bits", 1), 4)
    same(r.bitop("NOT", "inverted", "bits"), 2)
    same(r.bitcount("inverted"), 8)
    same(r.bitfield("bits").set("u8", 0, 255).incrby("u8", 0, 1, "SAT").get("u4", 8).execute(), [15, 255, 15])


def hyperloglogs(r):
    same(r.pfadd("seen", *range(1000)), 1)
    same(r.pfadd("seen", 1), 0)
    assert 950 < r.pfcount("seen") < 1050, r.pfcount("seen")
    r.pfadd("others", *range(500, 1500))
    same(bool(r.pfmerge("all", "seen", "others")), True)
    same(r.pfcount("all"), r.pfcount("seen", "others"))


def places(r):
    same(r.geoadd("geo", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    same(r.geodist("geo", "Palermo", "Catania", "km"), 166.2742)
    same(r.geohash("geo", "Palermo"), ["sqc8b49rny0"])
    assert abs(r.geopos("geo", "Catania")[0][0] - 15.087269) < 1e-5
    same(r.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"), ["Catania", "Palermo"])
    same(r.geosearch("geo", member="Palermo", width=10, height=10, unit="km"), ["Palermo"])
    same(r.geosearchstore("near", "geo", member="Palermo", radius=200, unit="km", storedist=True), 2)
    same(r.zscore("near", "Palermo"), 0.0)


def pipelines_and_transactions(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(500):
            pipe.set(f"p:{number}", number)
        pipe.get("p:7")
        same(pipe.execute()[-1], "7")
    with r.pipeline() as pipe:
        pipe.incr("t").incr("t").lpush("s", "wrong type")
        found = pipe.execute(raise_on_error=False)
        same(found[:2], [1, 2])
        assert isinstance(found[2], redis.ResponseError) and str(found[2]).startswith("WRONGTYPE"), found
    with r.pipeline() as pipe:
        pipe.watch("t")
        connect().set("t", "meddled")
        pipe.multi()
        pipe.set("t", "lost")
        try:
            pipe.execute()
            raise AssertionError("the transaction went through")
        except redis.WatchError:
            pass
    same(r.get("t"), "meddled")
    same(r.transaction(lambda pipe: (pipe.multi(), pipe.set("t", "won"), None)[-1], "t"), [True])


def scans(r):
    same(sum(1 for _ in r.scan_iter("p:*", count=50)), 500)
    same(set(r.scan_iter(_type="zset")), {"z", "zz", "geo", "near"})
    r.hset("many", mapping={f"f{n}": n for n in range(1000)})
    same(dict(r.hscan_iter("many")), {f"f{n}": str(n) for n in range(1000)})
    r.sadd("members", *range(1000))
    same(set(r.sscan_iter("members")), set(map(str, range(1000))))
    r.zadd("scores", {f"m{n}": n for n in range(1000)})
    same({name: score for name, score in r.zscan_iter("scores")}, {f"m{n}": float(n) for n in range(1000)})


def the_house(r):
    same(r.ping(), True)
    same(r.echo("x"), "x")
    assert r.info()["redis_version"].startswith("7.")
    same(r.info("keyspace")["db0"]["keys"], r.dbsize())
    same(r.config_set("timeout", 0), True)
    same(r.config_get("timeout"), {"timeout": "0"})
    r.client_setname("smoke")
    same(r.client_getname(), "smoke")
    assert any(client["name"] == "smoke" for client in r.client_list())
    assert len(r.time()) == 2
    assert "get" in r.command()
    same(r.object("encoding", "many"), "hashtable")
    other = connect(db=9)
    other.set("only", "here")
    same((other.dbsize(), r.exists("only")), (1, 0))
    same(other.flushdb(), True)
    try:
        r.execute_command("NOSUCH")
        raise AssertionError("an unknown command was taken")
    except redis.ResponseError as error:
        assert "unknown command" in str(error), error


client = connect(single_connection_client=True)
client.flushall()
for part in [strings, lists, sets, hashes, sorted_sets, bitmaps, hyperloglogs, places, pipelines_and_transactions, scans, the_house]:
    try:
        part(client)
    except AssertionError as error:
        raise AssertionError(f"{part.__name__}: {error}") from error
client.flushall()
print("all good")
