"""Requests: requests per second and server CPU per request, by command, pipeline and size of the value."""

import random

from . import machine

CLIENTS = 50
MAIN_SIZE = 16
SIZES = [16, 64, 512, 4096]
# 4096 bytes for a million keys do not fit four times into the memory of a small machine.
MAX_VALUE_BYTES = 1 << 30
USUAL_REQUESTS = {1: 100_000, 16: 600_000, 64: 1_200_000}
SMALL_HASHES, FIELDS, RANGE = 10_000, 20, 100
RANDOM = "__rand_int__"       # redis-benchmark writes 12 digits there: keys of 16 bytes

# name -> (words, how many of the usual requests); VALUE stands for the value
COMMANDS = {
    "PING": (["PING"], 1),
    "SET": (["SET", "key:" + RANDOM, "VALUE"], 1),
    "GET": (["GET", "key:" + RANDOM], 1),
    "INCR": (["INCR", "num:" + RANDOM], 1),
    "MSET": (["MSET", *["key:" + RANDOM, "VALUE"] * 10], 0.2),
    "LPUSH": (["LPUSH", "bench:list", "VALUE"], 1),
    "RPOP": (["RPOP", "bench:list"], 1),
    "LRANGE": (["LRANGE", "bench:range", "0", str(RANGE - 1)], 0.15),
    "SADD": (["SADD", "bench:set", "element:" + RANDOM], 0.7),
    "HSET": (["HSET", "bench:hash", "field:" + RANDOM, "VALUE"], 0.7),
    "HGETALL": (["HGETALL", "obj:" + RANDOM], 0.2),
    "ZADD": (["ZADD", "bench:zset", RANDOM, "element:" + RANDOM], 0.3),
    "ZRANGE": (["ZRANGE", "bench:zset", "MIDDLE", "END"], 0.15),
    "ZRANGEBYSCORE": (["ZRANGEBYSCORE", "bench:zset", RANDOM, "+inf", "LIMIT", "0", str(RANGE)], 0.15),
}
BY_SIZE = ["SET", "GET"]
FLOOR_COMMANDS = ["PING", "SET", "GET"]


def add_arguments(parser):
    parser.add_argument("--commands", default=",".join(COMMANDS), help="default: all")
    parser.add_argument("--pipelines", default="1,16,64", help="default 1,16,64")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="values in bytes, for SET and GET; default %(default)s")


def groups(options):
    """For each size of value: (size, keys, commands)."""
    chosen = options.commands.upper().split(",")
    for name in chosen:
        if name not in COMMANDS:
            raise SystemExit("no command %s; there are %s" % (name, ", ".join(COMMANDS)))
    for size in map(int, options.sizes.split(",")):
        names = [name for name in chosen if size == MAIN_SIZE or name in BY_SIZE]
        if names:
            yield size, min(machine.keys(options, 1_000_000), MAX_VALUE_BYTES // size), names


def pipelines(options):
    return [int(text) for text in options.pipelines.split(",")]


def estimate_seconds(options):
    servers = len(machine.programs(options))
    runs = sum(len(names) * servers + len(set(names) & set(FLOOR_COMMANDS)) for _, _, names in groups(options))
    loads = sum(keys * (8 if len(names) > 2 else 2) for _, keys, names in groups(options)) * 1.3e-6 * (servers + 1)
    return runs * len(pipelines(options)) * options.rounds * (0.2 + 1.3 * options.scale) + loads


def data(size, keys, names):
    """What is there before anything is measured."""
    dice = random.Random(1)
    if {"SET", "GET", "MSET", "PING"} & set(names):
        yield from ([b"SET", b"key:%012d" % i, b"v" * size] for i in range(keys))
    if "INCR" in names:
        yield from ([b"SET", b"num:%012d" % i, b"%d" % i] for i in range(keys))
    if any(name.startswith("Z") for name in names):
        for begin in range(0, keys, 10):
            members = range(begin, min(begin + 10, keys))
            pairs = ((b"%d" % dice.randrange(keys), b"element:%012d" % i) for i in members)
            yield [b"ZADD", b"bench:zset", *[word for pair in pairs for word in pair]]
    if "LRANGE" in names:
        yield [b"RPUSH", b"bench:range", *[b"v" * size] * RANGE]
    if "HGETALL" in names:
        fields = [word for i in range(FIELDS) for word in (b"field:%02d" % i, b"v" * size)]
        yield from ([b"HSET", b"obj:%012d" % i, *fields] for i in range(SMALL_HASHES))


def prepare(server, name, count, size):
    """What a command needs of its own, anew for each run."""
    if server.label == machine.FLOOR:
        return
    connection = server.connect()
    if name in ("LPUSH", "RPOP", "SADD", "HSET"):
        connection.good("DEL", {"SADD": "bench:set", "HSET": "bench:hash"}.get(name, "bench:list"))
    connection.close()
    if name == "RPOP":
        machine.fill([server], ([b"LPUSH", b"bench:list", *[b"v" * size] * 100] for _ in range(count // 100 + 1)))
    if name in ("LPUSH", "RPOP", "SADD", "HSET"):
        machine.settle(server)


def words_for(name, size, keys):
    middle = keys // 2
    places = {"VALUE": "v" * size, "MIDDLE": str(middle), "END": str(middle + RANGE - 1)}
    return [places.get(word, word) for word in COMMANDS[name][0]]


def measure(fleet, name, pipeline, size, keys, options, recorder):
    measure_name = "%s, %d B, pipeline %d" % (name, size, pipeline)
    usual = USUAL_REQUESTS.get(pipeline, 600_000) * COMMANDS[name][1]
    count, words = machine.requests(options, usual), words_for(name, size, keys)
    rates, costs = ({label: [] for label in fleet.servers} for _ in range(2))
    with recorder.measuring(measure_name):
        for number in range(options.rounds):
            for label, server in fleet.in_turn(number):
                if label == machine.FLOOR and name not in FLOOR_COMMANDS:
                    continue
                prepare(server, name, count, size)
                space = SMALL_HASHES if name == "HGETALL" else keys
                rate, cost = machine.redis_benchmark(server, words, count, pipeline, CLIENTS, space)
                rates[label].append(rate)
                costs[label].append(cost)
        recorder.add(measure_name, "server CPU", "ns/request", costs)
        recorder.add(measure_name, "throughput", "requests/s", rates, better="more")


def run(options, recorder):
    for size, keys, names in groups(options):
        with machine.Fleet(options, with_floor=bool(set(names) & set(FLOOR_COMMANDS))) as fleet:
            machine.fill(fleet.real(), data(size, keys, names))
            for server in fleet.real():
                machine.settle(server)
            for name in names:
                for pipeline in pipelines(options):
                    measure(fleet, name, pipeline, size, keys, options, recorder)
