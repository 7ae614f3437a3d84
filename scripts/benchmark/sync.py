"""Full sync: time, CPU of both sides, peak memory of both, and the longest stall that a client of the master saw.

The CPU of the master holds that of the pings too: some ten milliseconds in a second.
"""

import json
import subprocess
import time

from . import machine
from comparison import servers

PINGS_PER_SECOND = 500
BOUND_SECONDS = 600
# figure -> unit, in the order of the table
FIGURES = {"elapsed": "ms", "CPU of master": "ms", "CPU of child": "ms", "CPU of master and child": "ms", "CPU of replica": "ms",
           "peak memory of master": "MB", "peak memory of replica": "MB", "longest stall": "ms"}


def add_arguments(parser):
    parser.add_argument("--sizes", default="", help="numbers of keys, by commas (default 1000000; the issue also asks for 5000000)")


def sizes(options):
    return [int(text) for text in options.sizes.split(",") if text] or [machine.keys(options, 1_000_000)]


def estimate_seconds(options):
    servers = len(machine.programs(options))
    return sum(count * 5e-6 * (1 + servers) + servers * options.rounds * (1.5 + count * 4e-6) for count in sizes(options))


class Pinger:
    """A client that pings on a schedule until it is told to end."""

    def __init__(self, server):
        command = servers.pinned(machine.LOAD_CORE) + [
            machine.example("load"), server.port, PINGS_PER_SECOND, 0, 1, 1, "PING"]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def longest_stall_ms(self):
        told = json.loads(self.process.communicate(timeout=60)[0])
        if told["errors"] or told["unanswered"] or not told["requests"]:
            raise machine.Failed("the pinging client saw %s" % told)
        return told["max"] / 1000

    def stop(self):
        self.process.kill()
        self.process.wait()


def once(options, label, master, count):
    """One full sync to a fresh replica of the same kind: figure -> value."""
    replica = machine.start(options, label, core=machine.LOAD_CORE)
    pinger = None
    try:
        for server in (master, replica):
            machine.settle(server)
            machine.reset_peak(server.pid())
        pinger = Pinger(master)
        connection = replica.connect()
        before = [machine.cpu_nanoseconds(master.pid()), machine.children_cpu_nanoseconds(master.pid()),
                  machine.cpu_nanoseconds(replica.pid())]
        begin = time.monotonic()
        connection.good("REPLICAOF", "127.0.0.1", master.port)
        servers.wait_until("the link is up", lambda: connection.info("replication")["master_link_status"] == "up", BOUND_SECONDS)
        elapsed = (time.monotonic() - begin) * 1000
        servers.wait_until("the child ended", lambda: not machine.children(master.pid()), BOUND_SECONDS)
        after = [machine.cpu_nanoseconds(master.pid()), machine.children_cpu_nanoseconds(master.pid()),
                 machine.cpu_nanoseconds(replica.pid())]
        held = connection.good("DBSIZE")
        if held != count:
            raise machine.Failed("%s: the replica holds %s keys, not %d" % (label, held, count))
        cpu = [(y - x) / 1e6 for x, y in zip(before, after)]
        peaks = [machine.status_bytes(server.pid(), "VmHWM") / 1e6 for server in (master, replica)]
        values = [elapsed, cpu[0], cpu[1], cpu[0] + cpu[1], cpu[2], *peaks, pinger.longest_stall_ms()]
        return dict(zip(FIGURES, values))
    finally:
        if pinger:
            pinger.stop()
        replica.stop()


def run(options, recorder):
    for count in sizes(options):
        name = "{:,} mixed keys".format(count)
        with recorder.measuring(name), machine.Fleet(options) as fleet:
            machine.fill(fleet.real(), machine.mixed_keys(count), batch_size=200)
            told = {label: [] for label in fleet.servers}
            for number in range(options.rounds):
                for label, master in fleet.in_turn(number):
                    told[label].append(once(options, label, master, count))
            for figure, unit in FIGURES.items():
                recorder.add(name, figure, unit, {label: [run[figure] for run in runs] for label, runs in told.items()})
