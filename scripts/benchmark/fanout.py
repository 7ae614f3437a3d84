"""Fan-out: CPU of the master per SET with 0, 1, 4 and 8 replicas that cost nothing themselves, and what each one adds."""

from . import machine
from comparison.fanout import Sinks

CLIENTS, VALUE = 50, "v" * 32
WORDS = ["SET", "key:__rand_int__", VALUE]
USUAL_REQUESTS = {1: 150_000, 16: 900_000}


def add_arguments(parser):
    parser.add_argument("--replicas", default="0,1,4,8", help="default 0,1,4,8")
    parser.add_argument("--pipelines", default="1,16", help="default 1,16")


def numbers(text):
    return [int(word) for word in text.split(",")]


def estimate_seconds(options):
    servers = len(machine.programs(options))
    runs = len(numbers(options.replicas)) * len(numbers(options.pipelines)) * options.rounds * servers
    return runs * (0.5 + 2 * options.scale) + servers * machine.keys(options, 100_000) * 3e-6


def once(server, count, pipeline, keys, options):
    """Nanoseconds of the master's CPU per SET."""
    sinks = Sinks(server, count)
    try:
        machine.settle(server)
        requests = machine.requests(options, USUAL_REQUESTS.get(pipeline, 900_000))
        return machine.redis_benchmark(server, WORDS, requests, pipeline, CLIENTS, keys)[1]
    finally:
        sinks.stop()


def run(options, recorder):
    keys = machine.keys(options, 100_000)
    with machine.Fleet(options, args=["--repl-diskless-sync", "yes"]) as fleet:
        machine.fill(fleet.real(), ([b"SET", b"key:%012d" % i, VALUE.encode()] for i in range(keys)))
        for server in fleet.real():      # from here on each keeps the stream, also while nobody reads it
            Sinks(server, 1).stop()
        for pipeline in numbers(options.pipelines):
            costs = {count: {label: [] for label in fleet.servers} for count in numbers(options.replicas)}
            with recorder.measuring("pipeline %d" % pipeline):
                for number in range(options.rounds):
                    for count in costs:
                        for label, server in fleet.in_turn(number):
                            costs[count][label].append(once(server, count, pipeline, keys, options))
                for count, samples in costs.items():
                    name = "pipeline %d, %d replica%s" % (pipeline, count, "" if count == 1 else "s")
                    recorder.add(name, "master CPU", "ns/SET", samples)
                few, many = min(costs), max(costs)
                if few < many:
                    growth = {label: [(y - x) / (many - few) for x, y in zip(costs[few][label], costs[many][label])]
                              for label in fleet.servers}
                    recorder.add("pipeline %d" % pipeline, "growth per replica", "ns/SET", growth)
