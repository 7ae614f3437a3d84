"""Latency: p50, p99 and p99.9 at half of the best peer's peak rate, counted from when each request was due."""

import json
import subprocess

from comparison import servers

from . import figures, machine

CLIENTS = 50
WORDS = {"GET": ["GET", "key:__rand_int__"], "SET": ["SET", "key:__rand_int__", "v" * 16]}
FIGURES = ["p50", "p99", "p99.9", "max"]


def add_arguments(parser):
    parser.add_argument("--seconds", type=float, help="of each round (default 5)")
    parser.add_argument("--rate", type=float, help="requests/s; default: half of the best peer's peak at pipeline 1")


def seconds_of(options):
    return options.seconds or (1 if options.quick else 5)


def estimate_seconds(options):
    servers = len(machine.programs(options)) + 1
    return len(WORDS) * servers * (options.rounds * (0.3 + seconds_of(options)) + 3 * options.scale) + 8


def scheduled(server, words, rate, seconds, clients, keys):
    """One run of the open-loop client; what it told."""
    command = servers.pinned(machine.LOAD_CORE) + [
        machine.example("load"), server.port, rate, seconds, clients, keys, *words]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                         timeout=seconds + 120)
    if run.returncode != 0:
        raise machine.Failed("%s: load: %s" % (server.label, run.stderr.strip()))
    told = json.loads(run.stdout)
    if told["errors"] or told["unanswered"]:
        raise machine.Failed("%s: %s errors (%s), %s without an answer" % (
            server.label, told["errors"], told["first_error"], told["unanswered"]))
    return told


def run(options, recorder):
    keys = machine.keys(options, 1_000_000)
    # The floor shows what the machine itself does to the slowest of a thousand requests.
    with machine.Fleet(options, with_floor=True) as fleet:
        machine.fill(fleet.real(), ([b"SET", b"key:%012d" % i, b"v" * 16] for i in range(keys)))
        for name, words in WORDS.items():
            with recorder.measuring(name):
                measure = "%s at %.0f/s" % (name, options.rate) if options.rate else "%s at half of the peak" % name
                rate = options.rate or half_of_the_peak(fleet, words, keys, options)
                told = {label: [] for label in fleet.servers}
                for number in range(options.rounds):
                    for label, server in fleet.in_turn(number):
                        told[label].append(scheduled(server, words, rate, seconds_of(options), CLIENTS, keys))
                for figure in FIGURES:
                    samples = {label: [run[figure] for run in runs] for label, runs in told.items()}
                    recorder.add(measure, figure, "us", samples)
                recorder.add(measure, "rate", "requests/s", {"scheduled": [rate]})


def half_of_the_peak(fleet, words, keys, options):
    peers = [server for label, server in fleet.servers.items() if label not in figures.NO_PEER] or fleet.real()
    count = machine.requests(options, 200_000)
    return max(machine.redis_benchmark(server, words, count, 1, CLIENTS, keys)[0] for server in peers) / 2
