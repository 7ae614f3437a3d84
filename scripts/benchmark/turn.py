"""The longest single turn of the event loop while millions of keys are inserted into ours, by its own count."""

import os

from . import machine

PIPELINE, CLIENTS = 16, 50
KEY_SPACE = 2_000_000_000        # so many that hardly any key comes twice (redis-benchmark reads an int)
WORDS = ["SET", "key:__rand_int__", "v" * 16]


def add_arguments(parser):
    pass


def keys(options):
    return machine.keys(options, 10_000_000)


def estimate_seconds(options):
    return 2 * options.rounds * (1 + keys(options) * 1.5e-6)


def goes_first(process):
    """Lets nothing else have the core while the process wants it; whether the system allows that."""
    try:
        os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


def once(options, count, alone):
    """The longest turn in microseconds, over the whole life of the server; nothing where it cannot run like that."""
    server = machine.start(options, machine.OURS)
    try:
        if alone and not goes_first(server.process):
            return None
        machine.redis_benchmark(server, WORDS, count, PIPELINE, CLIENTS, KEY_SPACE)
        connection = server.connect()
        held = connection.good("DBSIZE")
        if held < count * 0.99:
            raise machine.Failed("%d keys, not about %d" % (held, count))
        return int(connection.info("stats")["eventloop_duration_max_usec"])
    finally:
        server.stop()


def run(options, recorder):
    count = keys(options)
    name = "{:,} keys inserted".format(count)
    with recorder.measuring(name):
        # Any process that gets the core for a while makes a turn longer: the second row is the loop's own doing.
        rows = {name: [], name + ", in real time (SCHED_FIFO)": []}
        for _ in range(options.rounds):
            for alone, turns in enumerate(rows.values()):
                turns.append(once(options, count, alone))
        for row, turns in rows.items():
            if None in turns:
                print("turn: SKIPPED, this user may not ask for real-time scheduling", flush=True)
            else:
                recorder.add(row, "longest turn", "us", {machine.OURS: turns})
