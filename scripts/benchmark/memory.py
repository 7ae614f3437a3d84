"""Memory: bytes per key or member, resident and as used_memory tells, for each type and several sizes."""

from . import machine

ELEMENTS = 10


def strings(size):
    return lambda count: ([b"SET", b"key:%012d" % i, b"v" * size] for i in range(count))


def one_zset(count):
    return ([b"ZADD", b"big", b"%d" % (i * 7919 % count), b"element:%08d" % i] for i in range(count))


def one_set(count):
    return ([b"SADD", b"big", b"element:%08d" % i] for i in range(count))


def one_hash(count):
    return ([b"HSET", b"big", b"element:%08d" % i, b"value:%010d" % i] for i in range(count))


def small_hashes(count):
    for i in range(count):
        yield [b"HSET", b"key:%012d" % i, *[word for j in range(ELEMENTS) for word in (b"field:%d" % j, b"value:%06d" % (i % 1000000))]]


def small(command):
    return lambda count: ([command, b"key:%012d" % i, *[b"element:%d:%06d" % (j, i % 1000000) for j in range(ELEMENTS)]]
                          for i in range(count))


# measure -> (what fills it, part of the usual number of keys)
CASES = {
    "string, value of 16 B": (strings(16), 1),
    "string, value of 32 B": (strings(32), 1),
    "string, value of 64 B": (strings(64), 1),
    "string, value of 512 B": (strings(512), 1),
    "zset of %s members": (one_zset, 1),
    "set of %s members": (one_set, 1),
    "hash of %s members": (one_hash, 1),
    "small hash of 10 fields": (small_hashes, 0.2),
    "small list of 10": (small(b"RPUSH"), 0.2),
    "small set of 10": (small(b"SADD"), 0.2),
}


def add_arguments(parser):
    parser.add_argument("--cases", default="", help="only those that contain one of these words, by commas")


def cases(options):
    wanted = [word for word in options.cases.split(",") if word]
    for name, (filler, part) in CASES.items():
        if not wanted or any(word in name for word in wanted):
            count = max(1000, int(machine.keys(options, 1_000_000) * part))
            yield name % grouped(count) if "%s" in name else name, filler, count


def grouped(count):
    return "{:,}".format(count)


def estimate_seconds(options):
    return sum(count * 1.6e-6 * (1 + len(machine.programs(options))) + 2 for _, _, count in cases(options))


def run(options, recorder):
    """One round: what a key takes does not depend on chance."""
    for name, filler, count in cases(options):
        with recorder.measuring(name), machine.Fleet(options) as fleet:
            before = {label: held(server) for label, server in fleet.servers.items()}
            machine.fill(fleet.real(), filler(count), batch_size=100)
            for server in fleet.real():
                machine.settle(server)
            after = {label: held(server) for label, server in fleet.servers.items()}
            for index, figure in enumerate(("resident", "used_memory")):
                samples = {label: [(after[label][index] - before[label][index]) / count] for label in fleet.servers}
                recorder.add(name, figure, "bytes/key", samples)


def held(server):
    connection = server.connect()
    used = int(connection.info("memory")["used_memory"])
    connection.close()
    return machine.status_bytes(server.pid(), "VmRSS"), used
