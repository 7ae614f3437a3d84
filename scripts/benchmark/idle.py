"""Idle clients: what one costs in resident memory, and the CPU of a server that has thousands and nothing to do."""

import resource
import socket
import time

from . import machine

SPARE_FILES = 200


def add_arguments(parser):
    parser.add_argument("--clients", type=int, help="default 10000")
    parser.add_argument("--seconds", type=float, help="of idleness whose CPU counts (default 10)")


def clients(options):
    return options.clients or (500 if options.quick else 10_000)


def seconds_of(options):
    return options.seconds or (1 if options.quick else 10)


def estimate_seconds(options):
    return len(machine.programs(options)) * (seconds_of(options) + 2 + clients(options) * 2e-4)


def raise_file_limit(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted) if hard != resource.RLIM_INFINITY else hard))
        except (ValueError, OSError):
            raise machine.Failed("%d open files are needed, the limit is %d" % (wanted, hard)) from None


def once(options, label, count):
    """(bytes resident per client, milliseconds of CPU per second with all of them idle)."""
    server = machine.start(options, label, args=["--maxclients", count + 50])
    sockets = []
    try:
        before = machine.status_bytes(server.pid(), "VmRSS")
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        for one in sockets:     # each has said something once, as real ones have
            one.sendall(b"*1\r\n$4\r\nPING\r\n")
        for one in sockets:
            if one.recv(100) != b"+PONG\r\n":
                raise machine.Failed("%s does not serve %d clients" % (label, count))
        machine.settle(server)
        held = machine.status_bytes(server.pid(), "VmRSS") - before
        cpu = machine.cpu_nanoseconds(server.pid())
        time.sleep(seconds_of(options))
        cpu = machine.cpu_nanoseconds(server.pid()) - cpu
        return held / count, cpu / 1e6 / seconds_of(options)
    finally:
        for one in sockets:
            one.close()
        server.stop()


def run(options, recorder):
    count = clients(options)
    name = "{:,} clients".format(count)
    with recorder.measuring(name):
        raise_file_limit(count)
        told = {label: [once(options, label, count)] for label in machine.programs(options)}
        recorder.add(name, "resident", "bytes/client", {label: [pair[0] for pair in runs] for label, runs in told.items()})
        recorder.add(name, "CPU while idle", "ms/s", {label: [pair[1] for pair in runs] for label, runs in told.items()})
