"""What was measured, as JSON: one file per part, to which each run appends. A run is saved after each of its measures."""

import contextlib
import fcntl
import json
import os
import subprocess
import time

from . import figures, machine

RUNS_KEPT = 50
WHOLE_PART = "the whole part"
FAILED = "FAILED"      # the figure of a measure that did not come out


def path_of(directory, part):
    return os.path.join(directory, part + ".json")


def load(directory, part):
    """All runs of a part, oldest first."""
    try:
        with open(path_of(directory, part)) as file:
            return json.load(file)["runs"]
    except FileNotFoundError:
        return []


def save(directory, part, run):
    """Puts a run into its file, in place of an earlier state of itself, and leaves the others alone."""
    os.makedirs(directory, exist_ok=True)
    path = path_of(directory, part)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = [other for other in load(directory, part) if other["id"] != run["id"]] + [run]
        with open(path + ".new", "w") as file:
            json.dump({"part": part, "runs": runs[-RUNS_KEPT:]}, file, indent=1)
        os.replace(path + ".new", path)


def newest_rows(runs):
    """Each measure once, from the newest run that has it. Quick runs count only where there is no full one; a failure is
    forgotten once a later run has figures."""
    rows = {}
    for run in [run for run in runs if not run.get("quick")] or runs:
        rows = {key: row for key, row in rows.items() if key[0] != WHOLE_PART}
        for row in run["rows"]:
            for figure in (row["figure"], FAILED):
                rows.pop((row["measure"], figure), None)
            rows[row["measure"], row["figure"]] = dict(row, run=run)
    return list(rows.values())


def commit():
    told = subprocess.run(["git", "-C", machine.servers.ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return told.stdout.strip()


def processor():
    with open("/proc/cpuinfo") as info:
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return names[0] if names else "?"


class Recorder:
    """Takes the figures of one run of one part."""

    def __init__(self, part, options):
        self.part, self.directory, self.failures = part, options.directory, []
        self.run = {"id": "%d-%d" % (time.time_ns(), os.getpid()), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                    "quick": options.quick, "rounds": options.rounds, "scale": options.scale, "commit": commit(),
                    "processor": processor(), "kernel": os.uname().release, "versions": machine.versions(options), "rows": []}

    def add(self, measure, figure, unit, samples, better="less"):
        """`samples` is label -> one number for each round."""
        row = {"measure": measure, "figure": figure, "unit": unit, "better": better,
               "samples": {label: list(values) for label, values in samples.items() if values}}
        self.run["rows"].append(row)
        save(self.directory, self.part, self.run)
        middle = figures.medians(row["samples"])
        told = "  ".join("%s %s" % (label, shown(value)) for label, value in middle.items())
        beside = figures.ratio(middle, better)
        print("%s: %s, %s [%s]: %s%s" % (self.part, measure, figure, unit, told,
                                         "" if beside is None else "  ratio %.2f" % beside), flush=True)

    @contextlib.contextmanager
    def measuring(self, measure):
        """A measure that fails is told and recorded, and the next one goes on."""
        try:
            yield
        except (machine.Failed, RuntimeError, TimeoutError, OSError, machine.resp.Gone, subprocess.SubprocessError) as error:
            self.fail(measure, error)

    def fail(self, measure, error):
        self.failures.append("%s: %s" % (measure, error))
        print("!!! FAILED %s: %s: %s" % (self.part, measure, error), flush=True)
        self.run["rows"].append({"measure": measure, "figure": FAILED, "unit": "", "better": "less", "samples": {},
                                 "error": str(error)})
        save(self.directory, self.part, self.run)


def shown(value):
    """A number for people: three digits that say something."""
    if value >= 1000:
        return "%.0f" % value
    return "%.1f" % value if value >= 100 else "%.2f" % value if value >= 1 else "%.3f" % value
