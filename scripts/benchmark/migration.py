"""A live move from Redis 8.2 to Valkey 9.1: scripts/migrate over ours, beside a replayer of RESTORE and of the stream.

The replayer (scripts/benchmark/replay.rs) works the way that tools such as RedisShake are documented to work by default: it
follows the source as a replica, sends each key of the snapshot to the target by RESTORE, then the commands of the stream. It
is ours, one thread over one connection; no such tool itself is measured here. Its payloads are told to be of RDB version 11,
the last that both families know (--payload-version): what is of 12 Valkey refuses whatever it holds.

Source and writing client are on core 0, the bridge or the replayer and the comparing script on core 1, and the target beside
the one or the other (--target-beside): that decides who waits for whom, so a figure of time needs both. Afterwards the replayer's
work is compared key by key as scripts/migrate does it, so that "in all" means the same for both. CPU is of the process,
its threads and the children it waited for; the source's has the writing client's SETs in it. Peak memory is of the process
without what a forked child adds.
"""

import json
import os
import re
import subprocess
import sys
import time

from . import machine
from comparison import servers
from migration import nodes, verify

SOURCE, TARGET, REPLAY = "redis-8.2", "valkey-9.1", "replay"
WRITES_PER_SECOND = 1000
BOUND_SECONDS = 900
FAR_MS = 4102444800000
# figure -> unit, in the order of the table
FIGURES = {"until bridge in sync": "s", "until target in sync": "s", "in all": "s", "writes paused": "ms", "CPU of source": "s",
           "CPU of bridge": "s", "CPU of target": "s", "CPU of all three": "s", "CPU of all three, comparison too": "s",
           "peak memory of source": "MB", "peak memory of bridge": "MB", "peak memory of target": "MB", "keys that differ": "keys"}


def add_arguments(parser):
    parser.add_argument("--ways", default="ours,replay", help="default %(default)s")
    parser.add_argument("--target-beside", choices=("source", "bridge"), default="bridge", help="whose core it shares (default %(default)s)")
    parser.add_argument("--payload-version", type=int, default=11, help="what the replayer's payloads say (default %(default)s)")
    parser.add_argument("--writes", type=int, default=WRITES_PER_SECOND, help="SETs a second meanwhile (default %(default)s)")


def ways(options):
    chosen = options.ways.split(",")
    if unknown := set(chosen) - set(WAYS):
        raise SystemExit("no way %s; there are %s" % (", ".join(unknown), ", ".join(WAYS)))
    return chosen


def estimate_seconds(options):
    count = machine.keys(options, 1_000_000)
    return count * 8e-6 + options.rounds * len(ways(options)) * (3 + count * 15e-6)


def moved_keys(count):
    """The mixed keys; some of the strings expire, and two fields of one hash in ten."""
    for number, words in enumerate(machine.mixed_keys(count)):
        yield words
        if number % 20 == 3:
            yield [b"PEXPIREAT", words[1], b"%d" % (FAR_MS + number)]
        elif number % 100 == 14:
            yield [b"HPEXPIREAT", words[1], b"%d" % (FAR_MS + number), b"FIELDS", b"2", b"field:0", b"field:1"]


class Writer:
    """Sets keys at the source on a schedule until it is told to end."""

    def __init__(self, source, rate, keys):
        command = ["taskset", "-c", machine.SERVER_CORE, machine.example("load"), source.port, rate, 0, 4, keys,
                   "SET", "key:__rand_int__", "written while it moves"]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        told = json.loads(self.process.communicate(timeout=60)[0])
        if told["errors"] or told["unanswered"] or not told["requests"]:
            raise machine.Failed("the writing client saw %s" % told)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Scene:
    """The source with its writer, a fresh target, and whatever stands between them, as (name, process)."""

    def __init__(self, options, source, count):
        core = machine.SERVER_CORE if options.target_beside == "source" else machine.LOAD_CORE
        self.source, self.target = source, machine.start(options, TARGET, core=core)
        self.pids = {"source": source.pid(), "target": self.target.pid()}
        try:
            for server in (source, self.target):
                machine.settle(server)
                machine.reset_peak(server.pid())
            self.began, self.before, self.told = time.monotonic(), {}, {}
            self.writer = Writer(source, options.writes, count)
        except BaseException:
            self.target.stop()
            raise

    def begin(self, middle):
        self.pids["bridge"] = middle
        self.before, self.began = self.costs(), time.monotonic()

    def costs(self):
        return {name: (machine.cpu_nanoseconds(pid) + machine.children_cpu_nanoseconds(pid)) / 1e9 for name, pid in self.pids.items()}

    def seconds(self):
        return time.monotonic() - self.began

    def in_sync(self):
        """The target has all: what that has cost."""
        self.told["until target in sync"] = self.seconds()
        spent = {name: cost - self.before[name] for name, cost in self.costs().items()}
        self.told.update({"CPU of " + name: cost for name, cost in spent.items()})
        self.told["CPU of all three"] = sum(spent.values())
        self.note_peaks()

    def note_peaks(self):
        for name, pid in self.pids.items():
            self.told["peak memory of " + name] = machine.status_bytes(pid, "VmHWM") / 1e6

    def compared(self, costs, differ):
        self.told["in all"] = self.seconds()
        self.told["CPU of all three, comparison too"] = sum(costs.values()) - sum(self.before.values())
        self.told["keys that differ"] = differ

    def stop(self):
        self.writer.stop()
        self.target.stop()


def over_ours(options, scene):
    """By scripts/migrate, over an Understudy between the two."""
    bridge, script = machine.start(options, machine.OURS, core=machine.LOAD_CORE), None
    try:
        scene.begin(bridge.pid())
        words = [sys.executable, os.path.join(servers.ROOT, "scripts", "migrate"), "--hold", "0", "--timeout", BOUND_SECONDS]
        for role, server in (("source", scene.source), ("target", scene.target), ("bridge", bridge)):
            words += ["--" + role, "127.0.0.1:%d" % server.port]
        script = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL if options.quick else None, text=True)
        lines = []
        for line in script.stdout:
            lines.append(line.rstrip())
            print("    %6.1f s  %s" % (scene.seconds(), lines[-1]), flush=True)
            if "bridge" in line and " is in sync" in line:
                scene.told["until bridge in sync"] = scene.seconds()
            elif "target" in line and " is in sync" in line:
                scene.in_sync()
            elif line.startswith("moved "):
                scene.note_peaks()
                scene.compared(scene.costs(), 0)
                scene.told["writes paused"] = float(re.search(r"paused for ([\d.]+) s", line).group(1)) * 1000
        if script.wait() != 0 or not any("all equal" in line for line in lines):
            raise machine.Failed("scripts/migrate ended with %d: %s" % (script.returncode, lines[-1:]))
        scene.writer.end()
    finally:
        if script:
            script.kill()
            script.wait()
        bridge.stop()


def by_replay(options, scene):
    """By the replayer; then the two are compared."""
    ends = ["127.0.0.1:%d" % server.port for server in (scene.source, scene.target)]
    command = [machine.example("replay"), *ends, str(options.payload_version)]
    replayer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        scene.begin(replayer.pid)
        told = event_of(replayer, "snapshot")
        print("    %6.1f s  the snapshot is replayed, %d keys" % (scene.seconds(), told["keys"]), flush=True)
        event_of(replayer, "caught up")
        scene.in_sync()
        scene.writer.end()
        paused, spent = time.monotonic(), machine.cpu_nanoseconds(replayer.pid) / 1e9
        source, target = (nodes.Node(name, place) for name, place in zip(("source", "target"), ends))
        replayer.stdin.write("%s\n" % source.info("replication")["master_repl_offset"])
        replayer.stdin.close()
        told = event_of(replayer, "end")
        scene.told["writes paused"] = (time.monotonic() - paused) * 1000
        print("    %6.1f s  the stream is replayed, %d commands" % (scene.seconds(), told["commands"]), flush=True)
        for kind in told["refused"]:
            print("    the target refuses %(what)s, %(count)d times: %(error)s; the first: %(first)s" % kind, flush=True)
        replayer.wait(60)
        del scene.pids["bridge"]
        wrong, count = verify.compare(source, target, lambda text: None)
        scene.compared({**scene.costs(), "bridge": spent}, wrong.total())
        for what, many in wrong.counts.most_common(verify.NAMED):
            print("    of %d keys %d differ: %s" % (count, many, what), flush=True)
    finally:
        replayer.kill()
        replayer.wait()


def event_of(replayer, name):
    line = replayer.stdout.readline()
    told = json.loads(line) if line else {"event": "an end"}
    if told["event"] != name:
        raise machine.Failed("the replayer tells of %s, not of %s" % (told["event"], name))
    return told


WAYS = {machine.OURS: over_ours, REPLAY: by_replay}


def once(options, way, source, count):
    scene = Scene(options, source, count)
    try:
        print("  %s:" % way, flush=True)
        WAYS[way](options, scene)
        return scene.told
    finally:
        scene.stop()


def run(options, recorder):
    count, chosen = machine.keys(options, 1_000_000), ways(options)
    name = "{:,} mixed keys, target beside the {}".format(count, options.target_beside)
    with recorder.measuring(name):
        if missing := {SOURCE, TARGET} - set(machine.programs(options)):
            raise machine.Failed("without %s there is nothing to move" % " and ".join(sorted(missing)))
        source = machine.start(options, SOURCE)
        try:
            machine.fill([source], moved_keys(count), batch_size=200)
            told = {way: [] for way in chosen}
            for number in range(options.rounds):
                shift = number % len(chosen)
                for way in chosen[shift:] + chosen[:shift]:
                    told[way].append(once(options, way, source, count))
            for figure, unit in FIGURES.items():
                samples = {way: [run[figure] for run in runs if figure in run] for way, runs in told.items()}
                recorder.add(name, figure, unit, samples)
        finally:
            source.stop()
