"""Server processes of a comparison: started on free loopback ports, ended with the script."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from . import resp

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"))
OURS = os.path.join(TARGET, "release", "understudy")
STOCK = os.path.join(TARGET, "peers", "bin", "redis-server")
START_BOUND_SECONDS = 20


def peer(name):
    path = os.path.join(TARGET, "peers", "bin", name)
    if not os.path.exists(path):
        sys.exit("%s is not there: run scripts/install-peers" % path)
    return path


def free_port():
    """A port below the range for outgoing connections, so that no client takes it first."""
    number = os.getpid() * 31
    while True:
        free_port.count += 1
        port = 12000 + (number + free_port.count) % 18000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


free_port.count = 0


def pinned(core):
    """What goes before a command that is to have a core to itself, as far as the system lets it: others may wait."""
    priority = ["nice", "-n", "-20"] if os.geteuid() == 0 else []
    return priority + ["taskset", "-c", str(core)]


class Server:
    """One server; `label` is what tables call it."""

    def __init__(self, program, args=(), label=None, core=None, config=False):
        if not os.path.exists(program):
            sys.exit("%s is not there (make build, scripts/install-peers, or --ours/--stock PATH)" % program)
        self.program, self.args, self.core = program, [str(arg) for arg in args], core
        self.label = label or os.path.basename(program)
        self.dir = tempfile.mkdtemp(prefix="compare-")
        self.port = free_port()
        # With a configuration file, CONFIG REWRITE has a place to write to.
        self.config = [os.path.join(self.dir, "server.conf")] if config else []
        for path in self.config:
            open(path, "w").close()
        self.process = None
        atexit.register(self.stop)
        self.start()

    def start(self, *more):
        command = [self.program] + self.config + ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
                   "--save", "", "--repl-diskless-sync-delay", "0"]
        if not self.program.endswith("-6.2"):    # which knows no such directive and needs none
            command += ["--enable-debug-command", "yes"]
        command += self.args + [str(m) for m in more]
        if self.core is not None:
            command = pinned(self.core) + command
        with open(self.log_path(), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, LC_ALL="C"))
        deadline = time.monotonic() + START_BOUND_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                connection = resp.Connection(self.port, timeout=5)
                connection("PING")
                connection.close()
                return
            except (OSError, resp.Gone):
                time.sleep(0.01)
        sys.exit("%s does not start; its log:\n%s" % (" ".join(command), self.log()))

    def connect(self):
        return resp.Connection(self.port)

    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log_path(self):
        return os.path.join(self.dir, "server.log")

    def log(self, lines=25):
        with open(self.log_path(), errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cpu_seconds(self):
        """User and system time of the process so far."""
        with open("/proc/%d/stat" % self.pid()) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open("/proc/%d/statm" % self.pid()) as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited %d s in vain until %s" % (seconds, what))
        time.sleep(0.01)


# ---- do two servers hold the same data?

def keys_of(connection, db):
    connection.good("SELECT", db)
    keys, cursor = set(), b"0"
    while True:
        cursor, found = resp.items(connection.good("SCAN", cursor, "COUNT", 1000))
        keys.update(resp.items(found))
        if cursor == b"0":
            return keys


def differences(a, b, limit=10, exact_expiry=True, zero_signs=None):
    """What differs between the data behind two connections, as lines of text, and the keys' names. With a list for
    `zero_signs`, sorted sets where only the sign of scores of zero differs are put there instead."""
    lines, names = [], []
    for db in range(16):
        keys_a, keys_b = keys_of(a, db), keys_of(b, db)
        for key in sorted(keys_a ^ keys_b)[:limit]:
            lines.append("db %d: only the %s holds %r" % (db, "first" if key in keys_a else "second", key))
            names.append(key)
        both = sorted(keys_a & keys_b)
        for key, left, right in zip(both, described(a, both, exact_expiry), described(b, both, exact_expiry)):
            if left != right and zero_signs is not None and only_zero_signs(a, b, key, left, right):
                zero_signs.append(key)
            elif left != right and len(lines) < limit:
                lines.append("db %d: %r is %s / %s" % (db, key, left, right))
                names.append(key)
    a.good("SELECT", 0)
    b.good("SELECT", 0)
    return lines, names


def only_zero_signs(a, b, key, left, right):
    """A snapshot carries -0 where a sorted set is big, and a small one forgets it when it is loaded: stock's as well."""
    if (left[0], left[2]) != (right[0], right[2]) or left[0] != ("+", b"zset"):
        return False
    ranges = [resp.items(side.good("ZRANGE", key, 0, -1, "WITHSCORES")) for side in (a, b)]
    pairs = [[(member, float(score)) for member, score in zip(flat[0::2], flat[1::2])] for flat in ranges]
    return pairs[0] == pairs[1]


def described(connection, keys, exact_expiry):
    expiry = "PEXPIRETIME" if exact_expiry else "PERSIST"
    columns = [connection.run([[*words, key] for key in keys])
               for words in (["TYPE"], ["DEBUG", "DIGEST-VALUE"], [expiry])]
    return list(zip(*columns))
