"""Start-up: from exec to the first PONG of an empty server, and what it costs."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

from . import machine
from comparison import servers

STARTS_PER_ROUND = 10
BOUND_SECONDS = 20


def add_arguments(parser):
    pass


def estimate_seconds(options):
    return len(machine.programs(options)) * options.rounds * STARTS_PER_ROUND * 0.06


def without_wrapper(path):
    """(program, environment) behind a wrapper of install-peers, whose shell would count as start-up."""
    with open(path, "rb") as file:
        if file.read(2) != b"#!":
            return path, dict(os.environ)
    with open(path) as file:
        text = file.read()
    environment = dict(os.environ)
    libraries = re.search(r"^LD_LIBRARY_PATH='([^']*)'", text, re.M)
    if libraries:
        environment["LD_LIBRARY_PATH"] = libraries.group(1)
    return re.search(r"^exec '([^']*)'", text, re.M).group(1), environment


def ponged(port, process):
    """Waits for the first PONG, asking as fast as it can."""
    deadline = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(100).startswith(b"+PONG"):
                    return
        except OSError:
            pass
    raise machine.Failed("port %d did not answer PING (exit code %s)" % (port, process.poll()))


def once(path):
    """(milliseconds to the first PONG, milliseconds of CPU)."""
    program, environment = without_wrapper(path)
    port, directory = servers.free_port(), tempfile.mkdtemp(prefix="bench-")
    command = ["taskset", "-c", str(machine.SERVER_CORE), program, "--port", str(port), "--bind", "127.0.0.1",
               "--dir", directory, "--save", "", "--logfile", os.path.join(directory, "log")]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=environment)
    try:
        ponged(port, process)
        return (time.monotonic() - begin) * 1000, machine.cpu_nanoseconds(process.pid) / 1e6
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def run(options, recorder):
    programs = list(machine.programs(options).items())
    told = {label: [] for label, _ in programs}
    with recorder.measuring("empty"):
        for number in range(options.rounds * STARTS_PER_ROUND):
            shift = number % len(programs)
            for label, path in programs[shift:] + programs[:shift]:
                told[label].append(once(path))
        recorder.add("empty", "exec to PONG", "ms", {label: [pair[0] for pair in pairs] for label, pairs in told.items()})
        recorder.add("empty", "CPU", "ms", {label: [pair[1] for pair in pairs] for label, pairs in told.items()})
