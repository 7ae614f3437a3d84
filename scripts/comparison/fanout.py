"""What replicas cost their master: server CPU per write with 0, 1, 4 and 8 of them. The server has core 0, the rest core 1.

The replicas are sinks: one process that does the handshake for all of them, drops what comes and acknowledges once a
second. It looks at its sockets every few milliseconds only, so that it hardly takes the core from the load.
"""

import os
import statistics
import subprocess
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from comparison import servers  # noqa: E402
from comparison.resp import encode  # noqa: E402
from comparison.speed import measure  # noqa: E402

COUNTS = (0, 1, 4, 8)
LOOK_SECONDS = 0.004


def add_arguments(parser):
    parser.add_argument("--fanout-rounds", type=int, default=5, help="interleaved rounds of which the median counts (default 5)")
    parser.add_argument("--fanout-pipelines", default="1,16", help="default 1,16")
    parser.add_argument("--fanout-scale", type=float, default=2.0, help="multiplies the numbers of requests")


class Sinks:
    """`count` replicas of a server in a process of their own, which says when all are online."""

    def __init__(self, server, count):
        command = ["taskset", "-c", "1", sys.executable, os.path.abspath(__file__), str(server.port), str(count)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if count and self.process.stdout.readline() != b"online\n":
            raise RuntimeError("the sinks did not come online")
        connection = server.connect()
        online = lambda: connection.good("INFO", "replication").count(b"state=online") == count
        servers.wait_until("%d replicas are online" % count, online)
        connection.close()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)


def sink_process(port, count):
    """The process of the sinks; it ends with its standard input."""
    import select
    import socket
    sockets = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for words in ((b"PING",), (b"REPLCONF", b"listening-port", b"1"), (b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")):
            sock.sendall(encode(words))
            sock.recv(4096)
        sock.sendall(encode((b"PSYNC", b"?", b"-1")))
        sockets.append(sock)
    tails, loaded, buffer, told = {sock: b"" for sock in sockets}, set(), bytearray(4 << 20), 0.0
    while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
        for sock in sockets:
            try:
                size = sock.recv_into(buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            if size == 0:
                sys.exit("a link of the sinks is lost")
            if sock not in loaded:
                tails[sock] += bytes(buffer[:size])
                start = tails[sock].find(b"$EOF:")
                mark = tails[sock][start + 5:start + 45]
                if start >= 0 and len(mark) == 40 and tails[sock].find(mark, start + 45) >= 0:
                    loaded.add(sock)
                    told = 0.0
        if time.monotonic() - told > 1:
            told = time.monotonic()
            for sock in loaded:
                sock.sendall(encode((b"REPLCONF", b"ACK", b"0")))
            if len(loaded) == count:
                print("online", flush=True)


def main(options):
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("fanout: needs two cores, one for the server and one for the load")
    options.scale, options.keys, options.clients = options.fanout_scale, 100000, 50
    both = [servers.Server(program, ["--repl-diskless-sync", "yes"], label, 0)
            for program, label in ((options.stock, "stock"), (options.ours, "ours"))]
    for server in both:      # from here on each keeps the stream, also while nobody reads it
        Sinks(server, 1).stop()
    pipelines = [int(word) for word in options.fanout_pipelines.split(",")]
    samples = {(pipeline, count): ([], []) for pipeline in pipelines for count in COUNTS}
    for number in range(options.fanout_rounds):
        for (pipeline, count), sides in samples.items():
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                sinks = Sinks(both[side], count)
                sides[side].append(measure(both[side], "SET", pipeline, options)[1])
                sinks.stop()
    print("fanout: SET, %d clients, server CPU in us per write, medians of %d rounds" % (options.clients, options.fanout_rounds))
    print("| pipeline | server | %s | growth per replica, us |" % " | ".join("%d replicas" % count for count in COUNTS))
    print("|--:|---|%s--:|" % ("--:|" * len(COUNTS)))
    for pipeline in pipelines:
        growth = []
        for side, server in enumerate(both):
            cost = [statistics.median(samples[pipeline, count][side]) for count in COUNTS]
            growth.append((cost[-1] - cost[0]) / COUNTS[-1])
            print("| %d | %s | %s | %.3f |" % (pipeline, server.label, " | ".join("%.2f" % each for each in cost), growth[-1]))
        print("| %d | ratio | %s | %.2f |" % (pipeline, " | ".join("" for _ in COUNTS), growth[1] / max(growth[0], 1e-9)), flush=True)
    for server in both:
        server.stop()


if __name__ == "__main__":
    sink_process(int(sys.argv[1]), int(sys.argv[2]))
