"""The live stream: CPU of the master and of each replica per SET, with 0, 1 and 4 replicas of the same kind."""

from . import machine
from comparison import servers

PIPELINE, CLIENTS, VALUE = 16, 50, "v" * 32
WORDS = ["SET", "key:__rand_int__", VALUE]
USUAL_REQUESTS = 600_000
BOUND_SECONDS = 300


def add_arguments(parser):
    parser.add_argument("--replicas", default="0,1,4", help="default 0,1,4")


def counts(options):
    return [int(text) for text in options.replicas.split(",")]


def estimate_seconds(options):
    keys = machine.keys(options, 1_000_000)
    one = [options.rounds * (0.5 + options.scale * (1 + 0.5 * count)) + keys * 3e-6 + count * (0.4 + keys * 1.5e-6)
           for count in counts(options)]
    return len(machine.programs(options)) * sum(one)


class Troupe:
    """A master on core 0 and its replicas on core 1, beside the load."""

    def __init__(self, options, label, keys, count):
        self.label, self.master, self.replicas = label, machine.start(options, label), []
        try:
            machine.fill([self.master], ([b"SET", b"key:%012d" % i, VALUE.encode()] for i in range(keys)))
            for _ in range(count):
                replica = machine.start(options, label, core=machine.LOAD_CORE)
                self.replicas.append(replica)
                connection = replica.connect()
                connection.good("REPLICAOF", "127.0.0.1", self.master.port)
                servers.wait_until("the link is up", lambda up=connection: up.info("replication")["master_link_status"] == "up",
                                   BOUND_SECONDS)
                connection.close()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for server in [self.master, *self.replicas]:
            server.stop()

    def wait_for_replicas(self):
        """Until each replica has run all that the master has."""
        master = self.master.connect()
        end = int(master.info("replication")["master_repl_offset"])
        master.close()
        for replica in self.replicas:
            connection = replica.connect()
            servers.wait_until("a replica has all", lambda at=connection: int(at.info("replication")["slave_repl_offset"]) >= end,
                               BOUND_SECONDS)
            info = connection.info("replication")
            connection.close()
            if info["master_link_status"] != "up":
                raise machine.Failed("%s: a replica lost its master" % self.label)

    def once(self, requests, keys):
        """(CPU of the master per SET, CPU of a replica per SET), in nanoseconds."""
        self.wait_for_replicas()
        for server in [self.master, *self.replicas]:
            machine.settle(server)
        full = self.full_syncs()
        before = [machine.cpu_nanoseconds(server.pid()) for server in [self.master, *self.replicas]]
        machine.redis_benchmark(self.master, WORDS, requests, PIPELINE, CLIENTS, keys)
        self.wait_for_replicas()
        after = [machine.cpu_nanoseconds(server.pid()) for server in [self.master, *self.replicas]]
        if self.full_syncs() != full:
            raise machine.Failed("%s: a replica was cut and synced anew" % self.label)
        costs = [(y - x) / requests for x, y in zip(before, after)]
        return costs[0], sum(costs[1:]) / len(self.replicas) if self.replicas else None

    def full_syncs(self):
        connection = self.master.connect()
        count = int(connection.info("stats")["sync_full"])
        connection.close()
        return count


def run(options, recorder):
    keys = machine.keys(options, 1_000_000)
    requests = machine.requests(options, USUAL_REQUESTS) // PIPELINE * PIPELINE
    for count in counts(options):
        name = "%d replica%s" % (count, "" if count == 1 else "s")
        troupes = []
        try:
            with recorder.measuring(name):
                for label in machine.programs(options):
                    troupes.append(Troupe(options, label, keys, count))
                told = {troupe.label: [] for troupe in troupes}
                for number in range(options.rounds):
                    shift = number % len(troupes)
                    for troupe in troupes[shift:] + troupes[:shift]:
                        told[troupe.label].append(troupe.once(requests, keys))
                recorder.add(name, "master CPU", "ns/SET", {label: [pair[0] for pair in runs] for label, runs in told.items()})
                if count:
                    recorder.add(name, "replica CPU", "ns/SET", {label: [pair[1] for pair in runs] for label, runs in told.items()})
        finally:
            for troupe in troupes:
                troupe.stop()
