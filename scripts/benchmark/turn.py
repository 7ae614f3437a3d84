"""The longest single turn of the event loop while millions of keys are inserted into ours, by its own count."""

import subprocess
import time

from comparison import servers

from . import machine

PIPELINE, CLIENTS = 16, 50
KEY_SPACE = 2_000_000_000        # so many that hardly any key comes twice (redis-benchmark reads an int)
WORDS = ["SET", "key:__rand_int__", "v" * 16]


def add_arguments(parser):
    pass


def keys(options):
    return machine.keys(options, 10_000_000)


def estimate_seconds(options):
    return options.rounds * (1 + keys(options) * 2.5e-6)


def once(options, count):
    """The longest turn in microseconds, over the whole life of the server, and how many seconds it had the load."""
    server = machine.start(options, machine.OURS)
    try:
        begin = time.monotonic()
        machine.redis_benchmark(server, WORDS, count, PIPELINE, CLIENTS, KEY_SPACE)
        seconds = time.monotonic() - begin
        connection = server.connect()
        held = connection.good("DBSIZE")
        if held < count * 0.99:
            raise machine.Failed("%d keys, not about %d" % (held, count))
        return int(connection.info("stats")["eventloop_duration_max_usec"]), seconds
    finally:
        server.stop()


def gap(seconds):
    """The longest turn, in microseconds, of a loop on the same core that does nothing but read the clock, beside
    another on the core of the load: whatever else the machine runs has no more room then than beside a server."""
    both = [subprocess.Popen(servers.pinned(core) + [machine.example("gap"), str(seconds)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True) for core in (machine.SERVER_CORE, machine.LOAD_CORE)]
    told = [process.communicate(timeout=seconds + 60)[0] for process in both]
    if any(process.returncode for process in both):
        raise machine.Failed("gap ended with an error")
    return int(told[0])


def run(options, recorder):
    count = keys(options)
    name = "{:,} keys inserted".format(count)
    with recorder.measuring(name):
        turns, gaps = [], []
        for _ in range(options.rounds):
            turn, seconds = once(options, count)
            turns.append(turn)
            gaps.append(gap(seconds))
        recorder.add(name, "longest turn", "us", {machine.OURS: turns, machine.FLOOR: gaps})
        # Any process that gets the core for a while makes a turn longer; none makes one shorter.
        least = {machine.OURS: [min(turns)], machine.FLOOR: [min(gaps)]}
        recorder.add(name + ", in the round that was disturbed least", "longest turn", "us", least)
