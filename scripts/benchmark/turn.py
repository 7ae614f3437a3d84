"""The longest single turn of the event loop while millions of keys are inserted into ours, by its own count."""

from . import machine

PIPELINE, CLIENTS = 16, 50
KEY_SPACE = 2_000_000_000        # so many that hardly any key comes twice (redis-benchmark reads an int)
WORDS = ["SET", "key:__rand_int__", "v" * 16]


def add_arguments(parser):
    pass


def keys(options):
    return machine.keys(options, 10_000_000)


def estimate_seconds(options):
    return options.rounds * (1 + keys(options) * 1.5e-6)


def once(options, count):
    """The longest turn in microseconds, over the whole life of the server."""
    server = machine.start(options, machine.OURS)
    try:
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
        turns = [once(options, count) for _ in range(options.rounds)]
        recorder.add(name, "longest turn", "us", {machine.OURS: turns})
        # Any process that gets the core for a while makes a turn longer; none makes one shorter.
        recorder.add(name + ", in the round that was disturbed least", "longest turn", "us", {machine.OURS: [min(turns)]})
