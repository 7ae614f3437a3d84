"""The servers of a run and what they cost: processes on core 0, load on core 1, CPU in nanoseconds from the scheduler."""

import os
import re
import subprocess
import time

from comparison import resp, servers
from comparison.resp import encode, to_bytes

SERVER_CORE, LOAD_CORE = 0, 1
OURS, FLOOR = "ours", "floor"
PEERS = {"redis-7.0": "redis-server", "redis-8.2": "redis-server-8.2", "valkey-9.1": "valkey-server-9.1"}
EXAMPLES = os.environ.get("BENCH_EXAMPLES", os.path.join(servers.TARGET, "release", "examples"))
RUN_BOUND_SECONDS = 900
SETTLE_BOUND_SECONDS = 20


class Failed(Exception):
    """A measure that did not come out: its figure would be a lie."""


def example(name):
    path = os.path.join(EXAMPLES, name)
    if not os.path.exists(path):
        raise SystemExit("%s is not there: cargo build --release --examples" % path)
    return path


def programs(options):
    """Label -> path, ours first. A peer that could not be installed is left out, with a word."""
    found = {OURS: options.ours}
    for label in options.peers.split(",") if options.peers else []:
        if label not in PEERS:
            raise SystemExit("no peer %s; there are %s" % (label, ", ".join(PEERS)))
        path = os.path.join(servers.TARGET, "peers", "bin", PEERS[label])
        if os.path.exists(path):
            found[label] = path
        else:
            print("WITHOUT %s: %s is not there (scripts/install-peers --bench)" % (label, path), flush=True)
    return found


def versions(options):
    """What each label is, as its own --version says."""
    told = {}
    for label, path in programs(options).items():
        text = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
        told[label] = text.splitlines()[0] if text else "?"
    return told


def start(options, label, core=SERVER_CORE, args=()):
    return servers.Server(programs(options)[label], args, label=label, core=core)


class Fleet:
    """One server of each kind, ended together, whatever happens."""

    def __init__(self, options, args=(), labels=None, with_floor=False):
        self.servers = {}
        try:
            for label in labels or programs(options):
                self.servers[label] = start(options, label, args=args)
            if with_floor:
                self.servers[FLOOR] = Floor()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for server in self.servers.values():
            server.stop()

    def real(self):
        return [server for label, server in self.servers.items() if label != FLOOR]

    def in_turn(self, number):
        """The servers in the order of round `number`: each comes first once in a while."""
        order = list(self.servers.items())
        shift = number % len(order)
        return order[shift:] + order[:shift]


class Floor:
    """The bare loop of floor.rs. It answers +OK to whatever it hears."""

    def __init__(self):
        self.label, self.port = FLOOR, servers.free_port()
        command = servers.pinned(SERVER_CORE) + [example("floor"), str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        servers.atexit.register(self.stop)
        servers.wait_until("the floor listens", self.listens, 10)

    def listens(self):
        try:
            servers.socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.kill()
        self.process.wait()


# ---- what a process costs

def cpu_nanoseconds(pid):
    """Time on a core so far, of all threads."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as stat:
                total += int(stat.read().split()[0])
        except FileNotFoundError:
            pass    # a thread that ended just now
    return total


def children_cpu_nanoseconds(pid):
    """User and system time of the children that have ended and were waited for."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) * 10 ** 9 // os.sysconf("SC_CLK_TCK")


def children(pid):
    """The processes that it has forked and not waited for yet."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % entry) as stat:
                if int(stat.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            pass    # it ended just now
    return found


def status_bytes(pid, name):
    """VmRSS, VmHWM and their like."""
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"^%s:\s+(\d+) kB" % name, status.read(), re.M).group(1)) * 1024


def reset_peak(pid):
    """VmHWM counts anew from here."""
    with open("/proc/%d/clear_refs" % pid, "w") as file:
        file.write("5")


def pin_to_load_core():
    os.sched_setaffinity(0, {LOAD_CORE})


# ---- load

def error_replies(server):
    if server.label == FLOOR:
        return 0
    connection = server.connect()
    try:
        return int(connection.info("stats").get("total_error_replies", 0))
    finally:
        connection.close()


def redis_benchmark(server, words, requests, pipeline, clients, key_space):
    """(requests per second, nanoseconds of server CPU per request). An error reply fails the measure."""
    requests = max(requests // pipeline, 1) * pipeline
    command = servers.pinned(LOAD_CORE) + [servers.peer("redis-benchmark"), "-p", server.port, "-n", requests,
                                           "-P", pipeline, "-c", clients, "-r", key_space, "-q", *words]
    errors, cpu, begin = error_replies(server), cpu_nanoseconds(server.pid()), time.monotonic()
    try:
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=RUN_BOUND_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed("%s: %s did not end in %d s" % (server.label, words[0], RUN_BOUND_SECONDS)) from None
    cpu, seconds = cpu_nanoseconds(server.pid()) - cpu, time.monotonic() - begin
    text = run.stdout + run.stderr
    if run.returncode != 0 or re.search(r"Error from server|(^|\W)-?(ERR|WRONGTYPE|OOM|MISCONF|NOAUTH) ", text):
        raise Failed("%s: redis-benchmark %s: %s" % (server.label, " ".join(words), text[-300:].strip()))
    if error_replies(server) != errors:
        raise Failed("%s: error replies to %s" % (server.label, " ".join(words)))
    told = re.findall(r"([\d.]+) requests per second", run.stdout)
    return float(told[-1]) if told else requests / seconds, cpu / requests


def fill(targets, commands, batch_size=500):
    """Sends the same commands (lists of words) to all servers; an error reply of any of them ends it."""
    connections = [(server, server.connect()) for server in targets]
    batch = []

    def flush():
        payload = [b"".join(batch)]
        for _, connection in connections:
            connection.send_batch(payload)
        for server, connection in connections:
            raw = connection.receive_raw()
            if raw.startswith(b"-") or b"\r\n-" in raw:
                raise Failed("%s: error while it was filled: %r" % (server.label, raw[:200]))
        batch.clear()

    for words in commands:
        batch.append(encode([to_bytes(word) for word in words]))
        if len(batch) == batch_size:
            flush()
    if batch:
        flush()
    for _, connection in connections:
        connection.close()


def settle(server):
    """Waits until a server does nothing more of its own: no rehashing, no lazy freeing."""
    if server.label == FLOOR:
        return
    deadline = time.monotonic() + SETTLE_BOUND_SECONDS
    while time.monotonic() < deadline:
        before = cpu_nanoseconds(server.pid())
        time.sleep(0.1)
        if cpu_nanoseconds(server.pid()) - before < 5_000_000:
            return


def mixed_keys(count):
    """Keys of all five types: seven of ten are strings, the rest hashes, lists, sets and sorted sets of ten elements."""
    for number in range(count):
        kind, key = number % 20, b"key:%012d" % number
        items = [b"item:%06d" % ((number + i) % 1000000) for i in range(10)]
        if kind < 14:
            yield [b"SET", key, (b"value:%010d" % number) * (1 + number % 4)]
        elif kind < 16:
            yield [b"HSET", key, *[word for i, item in enumerate(items) for word in (b"field:%d" % i, item)]]
        elif kind < 18:
            yield [b"RPUSH", key, *items]
        elif kind == 18:
            yield [b"SADD", key, *items]
        else:
            yield [b"ZADD", key, *[word for i, item in enumerate(items) for word in (b"%d" % (number * 7 + i), item)]]


def keys(options, usual):
    """How many keys: as asked, or the usual number, less in a quick run."""
    return options.keys or (max(1000, usual // 50) if options.quick else usual)


def requests(options, usual):
    return max(1000, int(usual * options.scale))
