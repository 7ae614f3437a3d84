"""Full sync and the live stream: stock to ours, ours to stock, ours to ours, from disk and diskless."""

import itertools
import random
import sys
import time

from . import scripted, servers
from .resp import encode, is_error, parse
from .servers import wait_until
from .stream import Stream

PAIRS = "stock-ours,ours-stock,ours-ours"
LOADS = ("disabled", "swapdb")
DATABASES = (0, 3, 15)
NOT_LIVE = {b"FLUSHALL", b"FLUSHDB", b"HELLO", b"CLIENT"}   # would make the rest of the run trivial, or change the connection


def add_arguments(parser):
    parser.add_argument("--pairs", default=PAIRS, help="master-replica pairs (default %s)" % PAIRS)
    parser.add_argument("--writes", type=int, default=100000, help="random live commands after the sync (default 100000)")
    parser.add_argument("--sync-seed", type=int, default=1, help="seed of the data and of the live commands")


def dataset(seed):
    """Commands that make all types in all their encodings, binary keys, big values and expiries."""
    rnd = random.Random(seed)
    word = lambda i: b"member:%d" % i
    for number in (0, -1, 127, -32769, 2**31, 2**63 - 1, -2**63, "007", "1.5", ""):
        yield ["SET", "string:number:%s" % number, number]
    for size in (1, 44, 45, 63, 64, 16383, 16384, 70000, 3000000):
        yield ["SET", "string:noise:%d" % size, rnd.randbytes(size)]
        yield ["SET", "string:even:%d" % size, b"ab" * (size // 2)]
    for size in (1, 2, 20, 200, 70000):
        yield ["SET", b"\x00" + rnd.randbytes(size), rnd.randbytes(10)]
    yield ["SET", "", "the empty key"]
    yield ["APPEND", "string:appended", "12"]
    for bits in (8, 16, 31, 32, 47, 63):
        yield ["SADD", "set:int:%d" % bits, *[2**bits - i for i in range(100)], *[-i for i in range(9)]]
    yield ["SADD", "set:int:many", *range(0, 3000, 3)]
    yield ["SADD", "set:int:full", *range(512)]
    yield ["ZADD", "zset:edges", "inf", "a", "-inf", "b", "0", "c", "-0", "d", "1e300", "e", "0.1", "f", "4.9e-324", "g"]
    yield ["ZADD", "zset:ties", *itertools.chain(*((i % 2, word(i)) for i in range(300)))]
    yield ["HSET", "hash:edges", "", "", 0, -1, 2**63 - 1, -2**63, "01", "1.0", b"\x00\xff", b"\r\n"]
    yield ["RPUSH", "list:edges", "", 0, -1, 127, 128, 4095, -4096, 32768, -8388608, 2**31, 2**63 - 1, "x" * 63, "x" * 64, "x" * 5000]
    yield ["RPUSH", "list:huge-elements", *[bytes([97 + i]) * (20000 * i) for i in range(6)], rnd.randbytes(500000)]
    yield ["RPUSH", "list:noise", *[rnd.randbytes(i) for i in range(300)]]
    for name in ("SADD", "HSET", "ZADD"):
        elements = [[i, b"%d" % i + b"x" * 65] if name != "SADD" else [b"%d" % i + b"x" * 65] for i in range(3)]
        yield [name, "long:%s" % name, *itertools.chain(*elements)]
    for size in (1, 60, 128, 129, 512, 513, 20000):
        members = [word(i) for i in range(size)]
        yield ["RPUSH", "list:%d" % size, *members]
        yield ["RPUSH", "list:int:%d" % size, *[i * i for i in range(size)]]
        yield ["SADD", "set:%d" % size, *members]
        yield ["HSET", "hash:%d" % size, *itertools.chain(*((m, rnd.randrange(1000)) for m in members))]
        yield ["ZADD", "zset:%d" % size, *itertools.chain(*((rnd.random() * 1000, m) for m in members))]
    for i in range(5000):
        yield ["XADD", "stream:%d" % (i % 3), "%d-%d" % (1 + i // 9, 1 + i), "field", rnd.randrange(1000), *(["other", rnd.randbytes(i % 70)] * (i % 3))]
    for i in range(3):
        yield ["XDEL", "stream:%d" % i, "3-%d" % (19 + i), "3-%d" % (22 + i)]
        yield ["XGROUP", "CREATE", "stream:%d" % i, "readers", "0"]
        yield ["XREADGROUP", "GROUP", "readers", "one", "COUNT", 300, "STREAMS", "stream:%d" % i, ">"]
    for i in range(20000):
        yield ["SET", "key:%08d" % i, "value:%d" % i, *(["PXAT", 4102444800000 + i] if i % 3 else [])]
    for key in ("list:60", "set:60", "set:int:16", "hash:128", "hash:20000", "zset:60", "zset:20000", "string:noise:70000"):
        yield ["PEXPIREAT", key, 4102444800123]


def fill(connection, seed):
    for db in DATABASES:
        connection.good("SELECT", db)
        for reply in connection.run(list(dataset(seed + db))):
            if is_error(reply):
                raise RuntimeError(reply)
    connection.good("SELECT", 0)


def unheard(argv):
    """What stock changes without telling its replicas: it lets a string grow for a BITFIELD all of whose steps fail, and a
    PFADD that meets damage midway keeps what it did until there; so no HyperLogLog is damaged here."""
    grows = argv[0].upper() == b"BITFIELD" and b"FAIL" in [word.upper() for word in argv]
    return grows or any(word.startswith(b"HYLL") for word in argv)


class Writer:
    """The random stream, one way: its replies are read and dropped."""

    def __init__(self, master, seed):
        self.connection, self.stream = master.connect(), Stream(seed)
        source = self.connection
        self.stream.dumps = [source.good("DUMP", key) for key in ("set:60", "hash:60", "zset:129", "list:129", "string:noise:64")]

    def write(self, count):
        while count > 0:
            batch = []
            while len(batch) < 200:
                group = self.stream.next_group()
                if not any(argv[0].upper() in NOT_LIVE or unheard(argv) for argv in group):
                    batch += group
            self.connection.send_batch([encode(argv) for argv in batch])
            raw = self.connection.receive_raw()
            parse(raw)
            count -= len(batch)


class Case:
    """One master, one replica, one way of transfer."""

    def __init__(self, options, pair, diskless, load):
        programs = {"stock": options.stock, "ours": options.ours}
        self.names, self.diskless, self.load, self.options = pair.split("-"), diskless, load, options
        common = ["--repl-diskless-sync", "yes" if diskless else "no", "--repl-diskless-load", load, "--repl-timeout", "60",
                  "--client-output-buffer-limit", "replica 1gb 1gb 60"]
        self.master = servers.Server(programs[self.names[0]], common)
        self.replica = servers.Server(programs[self.names[1]], common)
        self.failures = []
        self.times = {}
        self.waiting = []

    def run(self):
        try:
            self.steps()
        except Exception as error:   # one broken case is a row of the table, not the end of it
            self.failures.append("%s: %s" % (type(error).__name__, error))
        if self.failures:
            for server, role in (self.master, "master"), (self.replica, "replica"):
                print("---- %s (%s) %s; its log ends:\n%s" % (role, server.program, "runs" if server.running() else "died", server.log()))
        self.master.stop()
        self.replica.stop()

    def steps(self):
        fill(self.master.connect(), self.options.sync_seed)
        self.populate()
        replica = self.replica.connect()
        replica.good("SET", "stale", "must go")
        replica.good("FUNCTION", "LOAD", "#!lua name=stale\nredis.register_function('stale', function() end)")
        replica.good("CONFIG", "SET", "masteruser", "follower", "masterauth", "secret")
        self.timed("sync", lambda: self.replica.connect().good("REPLICAOF", "127.0.0.1", self.master.port))
        self.compare("after the sync")
        writer = Writer(self.master, self.options.sync_seed)
        self.serve_the_waiting()
        self.compare("after waiting clients were served")
        self.timed("live", lambda: writer.write(self.options.writes))
        self.compare("after the writes")
        self.replica.kill()
        writer.write(self.options.writes // 10)
        self.timed("return", lambda: self.replica.start("--replicaof", "127.0.0.1 %d" % self.master.port,
                                                           "--masteruser", "follower", "--masterauth", "secret"))
        self.compare("after kill -9")
        writer.write(self.options.writes // 10)
        self.compare("in the end")

    def populate(self):
        """What a full sync meets beside data: libraries, users (the replica logs in as one), clients that wait for keys."""
        master, rnd = self.master.connect(), random.Random(self.options.sync_seed)
        for number in range(30):
            code = scripted.library(rnd)
            master("FUNCTION", "LOAD", "REPLACE", code if number % 3 else code + b" --" + rnd.randbytes(3000).replace(b"\n", b""))
        master.good("FUNCTION", "LOAD", "#!lua name=steady\nredis.register_function('steady', function(k, a) return redis.call('rpush', k[1], unpack(a)) end)")
        master.good("ACL", "SETUSER", "follower", "on", ">secret", "+psync", "+replconf", "+ping")
        master.good("ACL", "SETUSER", "reader", "on", ">other", "%R~key:*", "&news:*", "+@read")
        for argv in (["BLPOP", "wait:list", "0"], ["BRPOPLPUSH", "wait:list", "wait:moved", "0"], ["BZPOPMIN", "wait:zset", "0"],
                     ["BLMPOP", "0", "1", "wait:list", "LEFT", "COUNT", "2"], ["XREAD", "BLOCK", "0", "STREAMS", "wait:stream", "$"]):
            connection = self.master.connect()
            connection.sock.sendall(encode([word.encode() for word in argv]))
            self.waiting.append(connection)
            wait_until("a client waits", lambda: int(master.info("clients")["blocked_clients"]) == len(self.waiting))

    def serve_the_waiting(self):
        master = self.master.connect()
        master.good("FCALL", "steady", "1", "wait:list", "1", "2", "3", "4", "5", "6")
        master.good("ZADD", "wait:zset", "1", "a", "2", "b")
        master.good("XADD", "wait:stream", "5-1", "f", "v")
        wait_until("nobody waits", lambda: master.info("clients")["blocked_clients"] == "0")
        for connection in self.waiting:
            connection.close()

    def timed(self, name, action):
        start = time.monotonic()
        action()
        self.wait_caught_up()
        self.times[name] = time.monotonic() - start

    def wait_caught_up(self):
        master, replica = self.master.connect(), self.replica.connect()
        port = str(self.master.port)

        def caught_up():
            goal, info = master.info("replication"), replica.info("replication")
            return info.get("master_port") == port and info.get("master_link_status") == "up" \
                and info.get("slave_repl_offset") == goal["master_repl_offset"]
        wait_until("the replica has caught up", caught_up, 120)

    def compare(self, when):
        self.wait_caught_up()
        master, replica = self.master.connect(), self.replica.connect()
        digests = [side.good("DEBUG", "DIGEST") for side in (master, replica)]
        zero_signs = []
        lines, _ = servers.differences(master, replica, zero_signs=zero_signs)
        if lines or digests[0] != digests[1] and not zero_signs:
            self.failures.append("%s: digests %s; %s" % (when, "differ" if digests[0] != digests[1] else "agree", "; ".join(lines)))
        lists = [scripted.settled(side.good("FUNCTION", "LIST", "WITHCODE")) for side in (master, replica)]
        if lists[0] != lists[1] or (when == "after the sync" and b"name=steady" not in repr(lists[0]).encode()):
            self.failures.append("%s: libraries differ: %d / %d" % (when, *map(len, lists)))
        sizes = [side.info("keyspace") for side in (master, replica)]
        keys = [{db: text.split(",")[0] for db, text in size.items()} for size in sizes]
        if keys[0] != keys[1]:
            self.failures.append("%s: INFO keyspace %s / %s" % (when, *keys))
        self.keys = sum(int(text.split("=")[1]) for text in keys[0].values())

    def row(self):
        took = ["%.2f" % self.times[name] if name in self.times else "-" for name in ("sync", "live", "return")]
        return [*self.names, "diskless" if self.diskless else "disk", "socket" if self.load == "swapdb" else "file",
                *took, "DIFFERS" if self.failures else "equal"]


def print_table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")


def main(options):
    print("sync: databases %s, %d live commands, seed %d" % (DATABASES, options.writes, options.sync_seed), flush=True)
    rows, failures = [], []
    for pair, diskless, load in itertools.product(options.pairs.split(","), (False, True), LOADS):
        case = Case(options, pair, diskless, load)
        case.run()
        rows.append(case.row())
        failures += ["%s: %s" % (" ".join(case.row()[:4]), failure) for failure in case.failures]
    print_table(["master", "replica", "sent from", "loaded from", "sync s", "writes s", "return s", "data"], rows)
    for failure in failures:
        print("  " + failure)
    if failures:
        print("sync: FAILED with seed %d" % options.sync_seed)
        sys.exit(1)
