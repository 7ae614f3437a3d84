"""Instructions: what a request takes in user space by callgrind's count, ours only; noise of clocks has no part in it."""

import os
import random
import re
import shutil
import signal
import subprocess

from . import machine
from comparison import resp, servers
from comparison.resp import encode

KEYS = 10_000
REQUESTS = (2_048, 10_240)
START_BOUND_SECONDS = 120
VALUE = b"v" * 16
COMMANDS = {
    "PING": lambda n: [b"PING"],
    "SET": lambda n: [b"SET", b"key:%012d" % n, VALUE],
    "GET": lambda n: [b"GET", b"key:%012d" % n],
    "INCR": lambda n: [b"INCR", b"num:%012d" % n],
    "LPUSH": lambda n: [b"LPUSH", b"bench:list", VALUE],
    "SADD": lambda n: [b"SADD", b"bench:set", b"element:%012d" % n],
    "HSET": lambda n: [b"HSET", b"bench:hash", b"field:%012d" % n, VALUE],
    "ZADD": lambda n: [b"ZADD", b"bench:zset", b"%d" % (n * 7919 % KEYS), b"element:%012d" % n],
}
PIPELINES = [1, 16]


def add_arguments(parser):
    parser.add_argument("--commands", help="default %s; GET with --quick" % ",".join(COMMANDS))


def names(options):
    return options.commands.upper().split(",") if options.commands else ["GET"] if options.quick else list(COMMANDS)


def estimate_seconds(options):
    return 0 if not shutil.which("valgrind") else len(names(options)) * len(PIPELINES) * 2 * 6


def counted(options, make, pipeline, requests):
    """Instructions of a whole life: start, data, so many requests of one client, end."""
    program, port = machine.programs(options)[machine.OURS], servers.free_port()
    directory = servers.tempfile.mkdtemp(prefix="bench-")
    out = os.path.join(directory, "callgrind.out")
    command = ["taskset", "-c", str(machine.SERVER_CORE), "valgrind", "--tool=callgrind", "--callgrind-out-file=" + out,
               program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--hz", "1",
               "--logfile", os.path.join(directory, "log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        connection = connected(port, process)
        connection.run([COMMANDS[name](n) for name in ("SET", "SADD", "HSET", "ZADD") for n in range(KEYS)])
        connection.run([["SET", b"num:%012d" % n, b"1000"] for n in range(KEYS)])
        dice = random.Random(1)
        for _ in range(requests // pipeline):
            batch = b"".join(encode(make(dice.randrange(KEYS))) for _ in range(pipeline))
            answered(connection.sock, batch, pipeline)
        connection.close()
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
        return int(re.search(r"Collected : (\d+)", told).group(1))
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def connected(port, process):
    """A connection once the server listens, which under valgrind takes its time."""
    found = []

    def try_it():
        if process.poll() is not None:
            raise machine.Failed("the server ended under valgrind: %s" % process.stderr.read()[-500:])
        try:
            found.append(resp.Connection(port, timeout=60))
        except OSError:
            return False
        return True

    servers.wait_until("the server listens under valgrind", try_it, START_BOUND_SECONDS)
    return found[0]


def answered(sock, batch, count):
    """Sends one pipeline and reads its replies, all of which are a line or a bulk string."""
    sock.sendall(batch)
    buffer = b""
    while True:
        buffer += sock.recv(1 << 16)
        if b"-" == buffer[:1] or b"\r\n-" in buffer:
            raise machine.Failed("error reply: %r" % buffer[:200])
        lines = buffer.count(b"\r\n")
        if buffer.endswith(b"\r\n") and lines - buffer.count(b"$") >= count:
            return


def run(options, recorder):
    if not shutil.which("valgrind"):
        print("instructions: SKIPPED, valgrind is not installed", flush=True)
        return
    few, many = REQUESTS
    for name in names(options):
        for pipeline in PIPELINES:
            measure = "%s, pipeline %d" % (name, pipeline)
            with recorder.measuring(measure):
                cost = counted(options, COMMANDS[name], pipeline, many) - counted(options, COMMANDS[name], pipeline, few)
                recorder.add(measure, "instructions", "per request", {machine.OURS: [cost / (many - few)]})
