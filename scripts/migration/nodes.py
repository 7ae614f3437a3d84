"""A server as an operator sees it: what it is, what it reads, how far it has come."""

import socket
import time

from comparison import resp

# Redis before this version is sent this RDB version (Redis' release notes; what each writes was looked at).
REDIS_READS = (((3, 2), 6), ((4, 0), 7), ((5, 0), 8), ((7, 0), 9), ((7, 2), 10), ((7, 4), 11))
REDIS_LATEST_READS = 12
VALKEY_READS = (((9, 0), 11),)
VALKEY_LATEST_READS = 80


# One that is loading, such as a bridge that a script before this one has left in the middle of a sync, is waited for.
LOAD_BOUND_SECONDS = 600


class Refused(Exception):
    """Something that the operator must know and mend; nothing was changed."""


class Node:
    """One end of the migration."""

    def __init__(self, role, place, user=None, password=None):
        self.role, self.user, self.password = role, user, password
        host, colon, port = place.rpartition(":")
        if not colon or not port.isdigit():
            raise Refused("%s: %r is no HOST:PORT" % (role, place))
        self.host, self.port = host.strip("[]") or "127.0.0.1", int(port)
        self.connection = self.connect()
        self.facts = self.connection.info("server")

    def __str__(self):
        return "%s %s:%d" % (self.role, self.host, self.port)

    def connect(self):
        try:
            connection = resp.Connection(self.port, timeout=60, host=self.host)
            if self.password:
                connection.good("AUTH", *([self.user] if self.user else []), self.password)
            deadline = time.monotonic() + LOAD_BOUND_SECONDS
            while resp.is_error(reply := connection("PING")) and not reply[1].startswith(b"MASTERDOWN"):
                if not reply[1].startswith(b"LOADING") or time.monotonic() > deadline:
                    raise RuntimeError(resp.shown_reply(reply))
                time.sleep(0.1)
            return connection
        except (OSError, socket.timeout, resp.Gone, RuntimeError) as error:
            raise Refused("%s: %s" % (self, error)) from error

    def ask(self, *words):
        return self.connection.good(*words)

    def info(self, section):
        return self.connection.info(section)

    def is_ours(self):
        return self.facts.get("server_name") == "understudy" or "understudy_version" in self.facts

    def family(self):
        return "Valkey" if "valkey_version" in self.facts else "Redis"

    def version(self):
        text = self.facts.get("valkey_version") or self.facts.get("redis_version", "0.0")
        return tuple(int(part) for part in text.split(".")[:2])

    def named(self):
        own = self.facts.get("understudy_version")
        return "Understudy %s" % own if own else "%s %s" % (self.family(), ".".join(map(str, self.version())))

    def reads(self):
        """The newest RDB version that it can be sent."""
        table, latest = (VALKEY_READS, VALKEY_LATEST_READS) if self.family() == "Valkey" else (REDIS_READS, REDIS_LATEST_READS)
        return next((version for before, version in table if self.version() < before), latest)

    def knows(self, command):
        return resp.items(self.ask("COMMAND", "INFO", command)) not in ([], [None], [("*", None)], [("_", None)])

    def keys(self):
        return sum(self.databases().values())

    def databases(self):
        """Keys by database."""
        found = {}
        for name, value in self.info("keyspace").items():
            if name.startswith("db") and name[2:].isdigit():
                found[int(name[2:])] = int(value.split(",")[0].split("=")[1])
        return found
