"""Snapshots: time and CPU of SAVE and of loading at start, and the size of the file, for mixed keys."""

import os
import time

from . import machine
from comparison import resp, servers

BOUND_SECONDS = 600
FIGURES = {"save": "ms", "save, CPU": "ms", "load": "ms", "load, CPU": "ms", "file": "MB"}


def add_arguments(parser):
    pass


def estimate_seconds(options):
    servers = len(machine.programs(options))
    count = machine.keys(options, 1_000_000)
    return count * 5e-6 * (1 + servers) + servers * options.rounds * (0.5 + count * 4e-6)


def loaded(server, count):
    """Whether the server has all keys; while it loads, it says so."""
    try:
        connection = resp.Connection(server.port, timeout=5)
        reply = connection("DBSIZE")
        connection.close()
    except (OSError, resp.Gone):
        return False
    if isinstance(reply, int) and reply != count:
        raise machine.Failed("%s: %d keys after loading, not %d" % (server.label, reply, count))
    return reply == count


def once(server, count):
    connection = server.connect()
    cpu, begin = machine.cpu_nanoseconds(server.pid()), time.monotonic()
    connection.good("SAVE")
    save, save_cpu = time.monotonic() - begin, machine.cpu_nanoseconds(server.pid()) - cpu
    connection.close()
    server.kill()
    size = os.path.getsize(os.path.join(server.dir, "dump.rdb"))
    begin = time.monotonic()
    server.start()
    servers.wait_until("the snapshot is loaded", lambda: loaded(server, count), BOUND_SECONDS)
    load, load_cpu = time.monotonic() - begin, machine.cpu_nanoseconds(server.pid())
    return dict(zip(FIGURES, [save * 1e3, save_cpu / 1e6, load * 1e3, load_cpu / 1e6, size / 1e6]))


def run(options, recorder):
    count = machine.keys(options, 1_000_000)
    name = "{:,} mixed keys".format(count)
    with recorder.measuring(name), machine.Fleet(options) as fleet:
        machine.fill(fleet.real(), machine.mixed_keys(count), batch_size=200)
        told = {label: [] for label in fleet.servers}
        for number in range(options.rounds):
            for label, server in fleet.in_turn(number):
                told[label].append(once(server, count))
        for figure, unit in FIGURES.items():
            recorder.add(name, figure, unit, {label: [run[figure] for run in runs] for label, runs in told.items()})
