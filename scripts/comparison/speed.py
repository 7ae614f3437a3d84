"""Speed and memory: requests per second, server CPU per request, bytes per key. The server has core 0, the load core 1."""

import os
import re
import statistics
import subprocess
import time

from . import servers
from .resp import encode

VALUE = "v" * 32
KEY_SPACE_NAME = "key:__rand_int__"      # redis-benchmark writes 12 digits there: keys of 16 bytes
COMMANDS = {
    "GET": ["GET", KEY_SPACE_NAME],
    "SET": ["SET", KEY_SPACE_NAME, VALUE],
    "INCR": ["INCR", "counter:__rand_int__"],
    "LPUSH": ["LPUSH", "bench:list", VALUE],
    "SADD": ["SADD", "bench:set", "element:__rand_int__"],
    "HSET": ["HSET", "bench:hash", "field:__rand_int__", VALUE],
    "ZADD": ["ZADD", "bench:zset", "__rand_int__", "element:__rand_int__"],
}
REQUESTS = {1: 100000, 16: 600000, 64: 1000000}
COUNTER_KEYS = 10000


def add_arguments(parser):
    parser.add_argument("--keys", type=int, default=100000, help="keys held while measuring (default 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of which the median counts (default 3)")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="default %s" % ",".join(COMMANDS))
    parser.add_argument("--pipelines", default="1,16,64", help="default 1,16,64")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of requests")
    parser.add_argument("--clients", type=int, default=50)


def preload(server, keys):
    """Fills the server and returns what a key costs: (resident bytes, used_memory bytes)."""
    connection = server.connect()
    before = server.resident_bytes(), int(connection.info("memory")["used_memory"])
    for start in range(0, keys, 2000):
        connection.send_batch([encode([b"SET", b"key:%012d" % i, VALUE.encode()]) for i in range(start, min(start + 2000, keys))])
        connection.receive_raw()
    held = connection.good("DBSIZE")
    if held != keys:
        raise RuntimeError("%s holds %s keys, not %d" % (server.label, held, keys))
    after = server.resident_bytes(), int(connection.info("memory")["used_memory"])
    return [(x - y) / keys for x, y in zip(after, before)]


def measure(server, name, pipeline, options):
    """One run of redis-benchmark: (requests per second, server CPU in microseconds per request)."""
    connection = server.connect()
    connection.run([["DEL", "bench:list", "bench:set", "bench:hash", "bench:zset"]])
    requests = max(1000, int(REQUESTS.get(pipeline, 600000) * options.scale))
    key_space = COUNTER_KEYS if name == "INCR" else options.keys
    command = ["taskset", "-c", "1", servers.peer("redis-benchmark"), "-p", server.port, "-n", requests, "-P", pipeline,
               "-c", options.clients, "-r", key_space, "-q", *COMMANDS[name]]
    cpu, start = server.cpu_seconds(), time.monotonic()
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    seconds, cpu = time.monotonic() - start, server.cpu_seconds() - cpu
    if run.returncode != 0 or re.search(r"(^|\n)Error|ERR ", run.stdout + run.stderr):
        raise RuntimeError("redis-benchmark %s: %s" % (name, (run.stdout + run.stderr)[-500:]))
    told = re.findall(r"([\d.]+) requests per second", run.stdout)
    return float(told[-1]) if told else requests / seconds, cpu * 1e6 / requests


def table(both, memory, options):
    yield "| command | pipeline | stock req/s | ours req/s | ratio | stock CPU us/req | ours CPU us/req | ratio |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for (name, pipeline), samples in both.items():
        rate, cpu = [[statistics.median(run[i] for run in side) for side in samples] for i in (0, 1)]
        ratios = [statistics.median(ours[i] / max(stock[i], 1e-9) for stock, ours in zip(*samples)) for i in (0, 1)]
        yield "| %s | %d | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f |" % (name, pipeline, *rate, ratios[0], *cpu, ratios[1])
    yield ""
    yield "| memory per key (16-byte key, 32-byte value, %d keys) | stock | ours | ratio |" % options.keys
    yield "|---|--:|--:|--:|"
    for label, stock, ours in zip(("resident set, bytes", "used_memory, bytes"), *memory):
        yield "| %s | %.1f | %.1f | %.2f |" % (label, stock, ours, ours / max(stock, 1e-9))


def main(options):
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("speed: needs two cores, one for the server and one for the load")
    both_servers = [servers.Server(program, label=label, core=0)
                    for program, label in ((options.stock, "stock"), (options.ours, "ours"))]
    print("speed: %d keys, %d rounds, %d clients, server on core 0, load on core 1; ratios are ours/stock, medians of rounds"
          % (options.keys, options.rounds, options.clients), flush=True)
    memory = [preload(server, options.keys) for server in both_servers]
    both = {(name, int(pipeline)): ([], []) for name in options.commands.split(",") for pipeline in options.pipelines.split(",")}
    for number in range(options.rounds):
        for (name, pipeline), samples in both.items():
            order = (0, 1) if number % 2 == 0 else (1, 0)
            for side in order:
                samples[side].append(measure(both_servers[side], name, pipeline, options))
    for line in table(both, memory, options):
        print(line, flush=True)
    for server in both_servers:
        server.stop()
