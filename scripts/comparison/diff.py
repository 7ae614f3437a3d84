"""The differential run: one seeded random command stream to stock Redis and to ours, every reply compared."""

import collections
import concurrent.futures
import functools
import random
import socket
import sys
import time

from . import known, servers
from .judge import Judge
from .resp import Gone, encode, is_error, items, parse, shown, shown_reply
from .scripted import settled
from .stream import NEEDS_A_LOOK, Stream

BATCH = 150
HISTORY = 60000
STAGE = (b"FLUSHALL", b"FLUSHDB", b"HELLO", b"SELECT", b"SWAPDB")     # worth showing before any difference
CLOSED = "(closed)"

# Bytes that a client may send beside well-formed commands; replies and closing are compared.
RAW_REQUESTS = [
    b"PING\r\n", b"PING\n", b"  PING  \r\n", b"\r\n\r\nPING\r\n", b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"*1\r\n$4\r\nPING\r\n",
    b"ECHO 'a b'\r\n", b'ECHO "a\\x41\\n\\"b"\r\n', b"ECHO 'it\\'s'\r\n", b"ECHO 'open\r\n", b'ECHO "open\r\n', b'ECHO "a"b\r\n',
    b"*abc\r\n", b"*1\r\nPING\r\n", b"*1\r\n$abc\r\n", b"*1\r\n$-1\r\n", b"*2147483648\r\n", b"*1\r\n$536870913\r\n", b"*1048577\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\nGET a\r\n", b"SET b 1\r\nINCR b\r\nGET b\r\n", b"NOSUCH a b\r\n", b"GET\r\n",
    b"*2\r\n$4\r\nECHO\r\n$3\r\nabcde\r\n", b"A" * 70000, b"*1\r\n$" + b"1" * 70000, b"\x00\x00\r\n", b"QUIT\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n", b"HELLO 3\r\nHGETALL none\r\n", b"HELLO 1\r\n", b"HELLO 3 AUTH default nopass\r\nPING\r\n", b"HELLO 3 FOO\r\n",
    b"AUTH x\r\n", b"AUTH a b\r\n", b"RESET\r\n", b"MULTI\r\nGET\r\nEXEC\r\n", b"MULTI\r\nRESET\r\nEXEC\r\n", b"POST / HTTP/1.1\r\nPING\r\n",
    b"PING\r\nHost: x\r\nPING\r\n", b"GET a b c\r\nMULTI\r\nMULTI\r\nDISCARD\r\nDISCARD\r\nEXEC\r\n", b"CLIENT REPLY OFF\r\nPING\r\n",
    b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n", b"SELECT 99\r\nSELECT 1\r\nDBSIZE\r\n", b"COMMAND COUNT x\r\n", b"DEBUG\r\nOBJECT\r\nCONFIG\r\n",
]


def add_arguments(parser):
    parser.add_argument("--count", type=int, default=1000000, help="commands to compare (default 1000000)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the stream (default: by the clock)")
    parser.add_argument("--digest-every", type=int, default=25000, help="compare the data every N commands")
    parser.add_argument("--only", default="", metavar="REGEX", help="only commands whose template begins so, such as 'X|\\(X' for streams")
    parser.add_argument("--strict", action="store_true", help="do not excuse what 7.2 is documented to do differently")
    parser.add_argument("--keep-going", type=int, default=1, metavar="N", help="stop only at the Nth difference of a new kind")
    parser.add_argument("--flip-reply", type=int, default=None, metavar="N",
                        help="falsify our reply to command N, to see that the run fails")


class Difference(Exception):
    pass


class Run:
    def __init__(self, options):
        self.options = options
        self.judge = Judge(options.strict)
        self.history = collections.deque(maxlen=HISTORY)
        self.number = 0          # of the next command
        self.kinds = collections.Counter()
        self.chance = random.Random(options.seed ^ 0x5EED)
        self.stock = servers.Server(options.stock, label="stock")
        self.ours = servers.Server(options.ours, label="ours")
        self.a, self.b = self.stock.connect(), self.ours.connect()
        self.stream = Stream(options.seed, options.only)
        self.stream.dumps = self.make_dumps()

    # ---- the loop

    def run(self):
        self.raw_requests()
        start, next_digest = time.monotonic(), self.options.digest_every
        while self.number < self.options.count:
            try:
                self.one_batch()
                if self.number >= next_digest:
                    next_digest += self.options.digest_every
                    self.compare_data()
            except Difference as difference:
                self.report(difference)
        try:
            self.compare_data()
        except Difference as difference:
            self.report(difference)
        return time.monotonic() - start

    def one_batch(self):
        batch, look = [], False
        while len(batch) < BATCH and not look:
            group = self.stream.next_group()
            batch += group
            look = len(group) == 1 and group[0][0].upper() in NEEDS_A_LOOK
        wire = [encode(argv) for argv in batch]
        try:
            self.a.send_batch(wire)
            self.b.send_batch(wire)
            raw_a = self.a.receive_raw()
            raw_b = self.b.receive_raw()
        except Gone as gone:
            self.crashed(gone, batch)
        self.history.extend(batch)
        first, self.number = self.number, self.number + len(batch)
        flip = self.options.flip_reply
        if flip is not None and not first <= flip < self.number:
            flip = None
        if raw_a != raw_b or look or flip is not None:
            self.compare_replies(batch, first, raw_a, raw_b, look, flip)

    def compare_replies(self, batch, first, raw_a, raw_b, look, flip):
        at_a = at_b = 0
        for offset, argv in enumerate(batch):
            a, at_a = parse(raw_a, at_a)
            b, at_b = parse(raw_b, at_b)
            if flip == first + offset:
                b = ("-", b"ERR falsified by --flip-reply")
            if not self.judge.same(argv, a, b):
                self.judge.queued = None
                raise Difference("reply", first + offset, argv, a, b)
        if look and not is_error(a):
            self.look(batch[-1], a, b, first + len(batch) - 1)

    def crashed(self, gone, batch):
        print("\nA server went away: %s" % gone)
        for server in (self.stock, self.ours):
            print("%s %s; its log ends:\n%s" % (server.label, "runs" if server.running() else "DIED", server.log()))
        print("seed %d, commands %d to %d:" % (self.options.seed, self.number, self.number + len(batch) - 1))
        for argv in batch:
            print("   ", shown(argv))
        sys.exit(1)

    # ---- a second look at commands with chance in them

    def look(self, argv, a, b, number):
        name = argv[0].upper()
        if name == b"DUMP":
            return self.look_at_dump(argv, a, b, number)
        if name == b"RANDOMKEY":
            found = [side("EXISTS", reply) if isinstance(reply, bytes) else 1 for side, reply in ((self.a, a), (self.b, b))]
            if found != [1, 1]:
                raise Difference("not a key", number, argv, a, b)
            return None
        if a in (None, ("_", None), ("*", None)):
            return None
        many = not isinstance(a, bytes)
        drawn = [items(reply) if many else [reply] for reply in (a, b)]
        if name == b"SPOP":
            return self.repair_spop(argv, drawn, a, b, number)
        if any(word.upper() in (b"WITHVALUES", b"WITHSCORES") for word in argv[3:]):
            drawn = [[pair[0] for pair in side] if side and isinstance(side[0], list) else side[0::2] for side in drawn]
        if many and not argv[2].startswith(b"-") and any(len(set(side)) != len(side) for side in drawn):
            raise Difference("drawn twice", number, argv, a, b)
        ask = {b"SRANDMEMBER": "SISMEMBER", b"HRANDFIELD": "HEXISTS", b"ZRANDMEMBER": "ZSCORE"}[name]
        for side, members in zip((self.a, self.b), drawn):
            answers = side.run([[ask, argv[1], member] for member in set(members)])
            if any(answer in (0, None, ("_", None)) for answer in answers):
                raise Difference("not a member", number, argv, a, b)
        return None

    def repair_spop(self, argv, drawn, a, b, number):
        """Both lose what either has popped, so that the sets are equal again."""
        popped = set(drawn[0]) | set(drawn[1])
        if len(set(drawn[0])) != len(drawn[0]) or len(set(drawn[1])) != len(drawn[1]):
            raise Difference("popped twice", number, argv, a, b)
        if popped:
            left = [side("SREM", argv[1], *sorted(popped)) for side in (self.a, self.b)]
            if left != [len(popped) - len(drawn[0])] * 2:
                raise Difference("popped no member", number, argv, a, b)

    def look_at_dump(self, argv, a, b, number):
        """Each side's payload must mean the same to both."""
        if not isinstance(a, bytes):
            return
        for key, payload in (b"dump:stock", a), (b"dump:ours", b):
            replies = [side("RESTORE", key, "0", payload, "REPLACE") for side in (self.a, self.b)]
            values = [side("DEBUG", "DIGEST-VALUE", key) for side in (self.a, self.b)]
            if replies[0] != replies[1] or is_error(replies[0]) or values[0] != values[1]:
                raise Difference("payload of %s" % key.decode(), number, argv, replies[0], replies[1])
        for side in (self.a, self.b):
            side("DEL", "dump:stock", "dump:ours")

    # ---- data

    def compare_data(self):
        """Short expiries, complete scans, and the digest of all data."""
        for side in (self.a, self.b):
            side("HELLO", "2")
        self.compare_short_expiry()
        self.compare_scans()
        self.compare_libraries()
        for side in (self.a, self.b):
            side("SELECT", "0")
        digests = [side("DEBUG", "DIGEST") for side in (self.a, self.b)]
        if digests[0] != digests[1]:
            lines, names = servers.differences(self.a, self.b, exact_expiry=False)
            raise Difference("data", self.number, [b"DEBUG", b"DIGEST"] + names, digests[0], digests[1],
                             lines or ["no key differs"])

    def compare_libraries(self):
        """Each side's payload restores the same libraries on the other."""
        asked = [b"FUNCTION", b"LIST", b"WITHCODE"]
        lists = [settled(side(*asked)) for side in (self.a, self.b)]
        payloads = [side("FUNCTION", "DUMP") for side in (self.a, self.b)]
        replies = [side("FUNCTION", "RESTORE", payload, "FLUSH") for side, payload in zip((self.a, self.b), reversed(payloads))]
        lists += [settled(side(*asked)) for side in (self.a, self.b)]
        if any(found != lists[0] for found in lists) or any(map(is_error, replies)):
            raise Difference("libraries", self.number, asked, [lists[0], replies[0]], [lists[1], replies[1]])

    def compare_short_expiry(self):
        key = b"expires-soon"
        setup = [["SET", key, "x", "PX", "1"], ["RPUSH", key + b":l", "x"], ["PEXPIRE", key + b":l", "1"]]
        asked = [["EXISTS", key], ["TTL", key], ["TYPE", key + b":l"], ["GET", key], ["LPUSHX", key + b":l", "y"],
                 ["SETNX", key, "y"], ["PERSIST", key], ["DEL", key, key + b":l"]]
        for side in (self.a, self.b):
            side.run(setup)
        time.sleep(0.01)
        for argv, left, right in zip(asked, self.a.run(asked), self.b.run(asked)):
            if left != right:
                raise Difference("after expiry", self.number, [word if isinstance(word, bytes) else word.encode() for word in argv],
                                 left, right)

    def compare_scans(self):
        self.same_iteration([b"SCAN"], [[], [b"MATCH", b"*1"], [b"TYPE", b"hash"]], pairs=False)
        for name, key in (b"SSCAN", b"big:s"), (b"HSCAN", b"big:h"), (b"ZSCAN", b"big:z"):
            if self.a("TYPE", key)[1] == {b"S": b"set", b"H": b"hash", b"Z": b"zset"}[name[:1]]:
                self.same_iteration([name, key], [[], [b"MATCH", b"m1*"]], pairs=name != b"SSCAN")

    def same_iteration(self, command, options, pairs):
        extra = self.chance.choice(options) + self.chance.choice([[], [b"COUNT", b"1"], [b"COUNT", b"7"], [b"COUNT", b"1000"]])
        found = []
        for side in (self.a, self.b):
            seen, cursor = set(), b"0"
            while True:
                reply = items(side(*command, cursor, *extra))
                if len(reply) != 2:
                    raise Difference("scan", self.number, command + extra, reply, None)
                cursor, flat = reply
                seen.update(zip(flat[0::2], map(float_if, flat[1::2])) if pairs else flat)
                if cursor == b"0":
                    break
            found.append(seen)
        if found[0] != found[1]:
            odd = sorted(found[0] ^ found[1], key=repr)[:5]
            raise Difference("complete iteration", self.number, command + extra, len(found[0]), len(found[1]),
                             ["only one side returns %r" % (element,) for element in odd])

    def make_dumps(self):
        """Payloads for RESTORE, made by stock in a fixed order, and spoilt ones."""
        side = self.a
        side.run([["SET", "d:s", "hello"], ["SET", "d:i", "12345"], ["SET", "d:z", "z" * 500], ["RPUSH", "d:l", *range(20)],
                  ["SADD", "d:is", *range(20)], ["SADD", "d:ss", "one"], ["HSET", "d:h", *range(20)],
                  ["ZADD", "d:zs", "1", "a", "2.5", "b", "inf", "c"], ["RPUSH", "d:bl", *["q" * 3000] * 9]])
        keys = sorted(items(side("KEYS", "d:*")))
        dumps = [side("DUMP", key) for key in keys]
        side("FLUSHALL")
        spoilt = bytearray(dumps[0])
        spoilt[2] ^= 1
        return dumps * 2 + [bytes(spoilt), dumps[1][:-3], b"", b"short"]

    # ---- raw bytes

    def raw_requests(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = [list(pool.map(functools.partial(raw_reply, side.port), RAW_REQUESTS)) for side in (self.stock, self.ours)]
        for request, left, right in zip(RAW_REQUESTS, *replies):
            if left != right:    # perhaps a busy machine: ask again with patience
                left, right = [raw_reply(side.port, request, 1.0) for side in (self.stock, self.ours)]
            if left != right and self.judge.excused(request.split() or [request], left, right):
                continue
            if left != right and not (request.startswith(b"HELLO 3") and left[:1] == right[:1] == b"%"):
                self.report(Difference("raw request", 0, [request], left, right))
        for side in (self.a, self.b):
            side("FLUSHALL")

    # ---- telling

    def report(self, difference):
        what, number, argv, a, b, *more = difference.args
        kind = (what, argv[0].upper(), shown_reply(a)[:40] if is_error(a) else "", shown_reply(b)[:40] if is_error(b) else "")
        self.kinds[kind] += 1
        if self.kinds[kind] == 1:
            print("\nDIFFERENCE (%s) at command %d, seed %d" % (what, number, self.options.seed))
            print("  command: %s\n  stock:   %s\n  ours:    %s" % (shown(argv), shown_reply(a), shown_reply(b)))
            for line in more[0] if more else []:
                print("  " + line)
            self.print_history(argv, number)
            sys.stdout.flush()
        if len(self.kinds) >= self.options.keep_going:
            finish(self, None)
        for side in (self.a, self.b):
            side.run([["DISCARD"], ["UNWATCH"], ["HELLO", "2"], ["FLUSHALL"], ["SELECT", "0"]])

    def print_history(self, argv, number):
        keys = {word for word in argv[1:] if len(word) > 1 and not word.isupper() and not word.lstrip(b"-").isdigit()}
        behind = self.number - number
        earlier = list(self.history)[:-behind] if behind > 0 else list(self.history)
        touching = [past for past in earlier if keys.intersection(past[1:]) or past[0].upper() in STAGE]
        if touching:
            print("  the last commands with a word of it:")
        for past in touching[-8:]:
            print("     ", shown(past))


def float_if(word):
    try:
        return float(word)
    except ValueError:
        return word


def raw_reply(port, request, quiet_seconds=0.15):
    """All that comes back for raw bytes, and whether the server closes by itself."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        mark = b"\r\n*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n*1\r\n$4\r\nQUIT\r\n"
        data = b""
        try:
            sock.sendall(request)
            sock.settimeout(quiet_seconds)
            data = receive_until_quiet(sock)
            sock.settimeout(10)
            sock.sendall(mark)
            sock.settimeout(quiet_seconds)
            data += receive_until_quiet(sock)
        except OSError:
            data += CLOSED.encode()
        return data


def receive_until_quiet(sock):
    data = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except socket.timeout:
            return data
        except OSError:
            chunk = b""
        if not chunk:
            return data + CLOSED.encode() if not data.endswith(CLOSED.encode()) else data
        data += chunk


def finish(run, seconds):
    judge = run.judge
    for row, count in sorted(judge.explained.items()):
        print("  known: %-22s %8d times: %s" % (row, count, known.reason(row)))
    if run.kinds:
        print("diff: FAILED after %d commands with seed %d: %d kinds of difference" % (run.number, run.options.seed, len(run.kinds)))
        sys.exit(1)
    print("diff: %d commands, seed %d, %.0f s: no reply and no data differ" % (run.number, run.options.seed, seconds))


def main(options):
    if options.seed is None:
        options.seed = int(time.time()) % 1000000
    print("diff: %d random commands, seed %d, to %s and %s" % (options.count, options.seed, options.stock, options.ours), flush=True)
    run = Run(options)
    finish(run, run.run())
