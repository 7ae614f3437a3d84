"""Key by key: do two servers hold the same? By what clients can read, so it works between any two versions.

Most keys come out alike byte by byte: both servers are asked the same in the same words, and where their answers are the same
bytes, nothing is taken apart. Only what answers otherwise (a set in another order, a moment told in another way, a stream) is
looked at by its meaning.
"""

import collections
import concurrent.futures
import time

from comparison import resp

BATCH = 500
WORKERS = 4
# So many differences are kept; the rest is counted.
KEPT = 100_000
# PTTL of both sides is not read in the same moment.
EXPIRY_SLACK_MS = 5000
FIELDS_AT_ONCE = 1000
NAMED = 10
READS = {
    b"string": lambda key: ["GET", key],
    b"list": lambda key: ["LRANGE", key, "0", "-1"],
    b"set": lambda key: ["SMEMBERS", key],
    b"hash": lambda key: ["HGETALL", key],
    b"zset": lambda key: ["ZRANGE", key, "0", "-1", "WITHSCORES"],
    b"stream": lambda key: ["XRANGE", key, "-", "+"],
}
# The same reads as bytes around a key, where the bytes of the answers may well be the same.
QUICK_READS = {b"+" + kind: tuple(resp.encode([resp.to_bytes(word) for word in read(b"KEY")]).split(b"$3\r\nKEY\r\n"))
               for kind, read in READS.items() if kind != b"stream"}
TYPE, ENCODING, MOMENT = b"*2\r\n$4\r\nTYPE\r\n", b"*3\r\n$6\r\nOBJECT\r\n$8\r\nENCODING\r\n", b"*2\r\n$11\r\nPEXPIRETIME\r\n"


def canonical(kind, reply):
    """A value without the order that its type does not have."""
    if resp.is_error(reply):
        return reply
    if kind == b"set":
        return sorted(reply)
    if kind == b"hash":
        return sorted(zip(reply[0::2], reply[1::2]))
    if kind == b"zset":
        return [(member, float(score) + 0.0) for member, score in zip(reply[0::2], reply[1::2])]
    if kind == b"string" and reply and reply.startswith(b"HYLL"):
        return reply[:8] + reply[16:]    # without the cached count
    return reply


def described(connection, keys, with_fields=False):
    """For each key its type, value and milliseconds to live; for each field of a hash, if wanted, the moment of its end."""
    kinds = [reply[1] for reply in connection.run([["TYPE", key] for key in keys])]
    reads = [READS.get(kind, lambda key: ["EXISTS", key])(key) for kind, key in zip(kinds, keys)]
    values, times = connection.run(reads), connection.run([["PTTL", key] for key in keys])
    streams = [index for index, kind in enumerate(kinds) if kind == b"stream"]
    groups = dict(zip(streams, connection.run([["XINFO", "GROUPS", keys[index]] for index in streams])))
    values = [canonical(kind, value) for kind, value in zip(kinds, values)]
    for index, told in groups.items():
        values[index] = (values[index], [group_of(flat) for flat in resp.items(told)])
    if with_fields:
        hashes = [index for index, kind in enumerate(kinds) if kind == b"hash" and not resp.is_error(values[index])]
        moments = moments_of(connection, [(keys[index], [field for field, _ in values[index]]) for index in hashes])
        now_s, us = connection.good("TIME")
        soon = int(now_s) * 1000 + int(us) // 1000 + EXPIRY_SLACK_MS
        for index, of_fields in zip(hashes, moments):
            if resp.is_error(of_fields):
                values[index] = of_fields
                continue
            fields = [(*pair, at) for pair, at in zip(values[index], of_fields) if not -1 != at < soon]
            values[index] = fields
            if not fields:
                kinds[index] = b"none"    # all of it is about to go
    return list(zip(kinds, values, times))


def moments_of(connection, hashes):
    """For each (key, fields) when each field expires, in milliseconds since 1970; -1: never, -2: it is gone. Or the error."""
    asked = [(index, fields[at:at + FIELDS_AT_ONCE]) for index, (_, fields) in enumerate(hashes) for at in range(0, len(fields), FIELDS_AT_ONCE)]
    replies = connection.run([["HPEXPIRETIME", hashes[index][0], "FIELDS", len(fields), *fields] for index, fields in asked])
    found = [[] for _ in hashes]
    for (index, fields), reply in zip(asked, replies):
        if resp.is_error(reply) or resp.is_error(found[index]):
            found[index] = reply if resp.is_error(reply) else found[index]
        else:
            found[index] += resp.items(reply) or [-2] * len(fields)
    return found


def group_of(flat):
    """Of a group what every version tells."""
    told = dict(zip(flat[0::2], flat[1::2]))
    return told.get(b"name"), told.get(b"pending"), told.get(b"last-delivered-id")


def same(left, right):
    if left[:2] != right[:2] or unread(left[1]):
        return False
    (one, other) = left[2], right[2]
    return one == other or (one > 0 and other > 0 and abs(one - other) <= EXPIRY_SLACK_MS)


class Findings(list):
    """What differs, as (database, key, what): the first `KEPT`. `counts` has all of it, by what."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def add(self, rows):
        self.extend(rows[:max(KEPT - len(self), 0)])
        self.counts.update("another time to live" if what.startswith("lives ") else what for _, _, what in rows)

    def total(self):
        return sum(self.counts.values())

    def without(self, keys):
        """Those that are not of these keys. What was not kept stays."""
        left, gone = Findings(), [row for row in self if row[1] in keys]
        if not gone:
            return self
        left.add([row for row in self if row[1] not in keys])
        kept = Findings()
        kept.add(self)
        left.counts += self.counts - kept.counts
        return left


class Batch:
    def __init__(self, one, other, with_fields, with_moments):
        self.ends = [one.connect(), other.connect()]
        self.with_fields, self.with_moments = with_fields, with_moments

    def compare(self, db, keys):
        """The keys that differ, each with what is different. One that has just expired does not."""
        for end in self.ends:
            end.good("SELECT", db)
        keys = self.not_alike(keys) if self.with_moments else keys
        if not keys:
            return []
        left, right = (described(end, keys, self.with_fields) for end in self.ends)
        wrong = []
        for key, one, other in zip(keys, left, right):
            if not same(one, other) and not (one[0] == b"none" or 0 <= one[2] < EXPIRY_SLACK_MS):
                wrong.append((db, key, what(one, other)))
        return wrong

    def not_alike(self, keys):
        """The keys whose answers are not the same bytes on both sides."""
        words = [b"$%d\r\n%b\r\n" % (len(key), key) for key in keys]
        left, right = (raw.split(b"\r\n") for raw in self.both([TYPE + word for word in words]))
        quick, rest, hashes = [], [], []
        for index, (_, kind, other) in enumerate(zip(keys, left, right)):
            if kind != other or kind not in QUICK_READS:
                rest.append(index)
            elif self.with_fields and kind == b"+hash":
                hashes.append(index)
            else:
                quick.append(index)
        if hashes:
            # There is no room for times in a plain listpack.
            told = self.both([ENCODING + words[index] for index in hashes])
            names = [raw.replace(b"$-1\r\n", b"$0\r\n\r\n").split(b"\r\n")[1::2] for raw in told]
            plain = {index for index, one, other in zip(hashes, *names) if one == other == b"listpack"}
            plain = set() if any(map(has_error, told)) else plain
            quick += [index for index in hashes if index in plain]
            rest += [index for index in hashes if index not in plain]
        reads = [QUICK_READS[left[index]] for index in quick]
        asked = [before + words[index] + after for index, (before, after) in zip(quick, reads)]
        answers = [with_moments(raw, len(quick)) for raw in self.both(asked + [MOMENT + words[index] for index in quick])]
        (one, moments), (other, other_moments) = answers
        if one != other or has_error(one):    # an error is no answer, whoever else gives it
            alike = {index for index, mine, theirs in zip(quick, each_reply(one), each_reply(other)) if mine == theirs and mine[:1] != b"-"}
            rest += [index for index in quick if index not in alike]
        if moments != other_moments or any(moment[:1] == b"-" for moment in moments):
            rest += [index for index, mine, theirs in zip(quick, moments, other_moments) if not same_moment(mine, theirs)]
        return [keys[index] for index in sorted(set(rest))]

    def close(self):
        for end in self.ends:
            end.close()

    def both(self, asked):
        """The bytes that both answer."""
        for end in self.ends:
            end.send_batch(asked)
        return [end.receive_raw() for end in self.ends]


def with_moments(raw, count):
    """The bytes before the last `count` replies, each a line, and those."""
    if not count:
        return b"", []
    lines = raw.rsplit(b"\r\n", count + 1)
    return lines[0] + b"\r\n", lines[1:-1]


def has_error(raw):
    """Whether there may be an error among replies; it may also be a part of a value."""
    return raw[:1] == b"-" or b"\r\n-" in raw


def each_reply(raw):
    """Replies as bytes."""
    at = 0
    while at < len(raw):
        _, end = resp.parse(raw, at)
        yield raw[at:end]
        at = end


def same_moment(one, other):
    if one[:1] != b":" or other[:1] != b":":
        return False    # an error
    one, other = int(one[1:]), int(other[1:])
    return one == other or (one > 0 and other > 0 and abs(one - other) <= EXPIRY_SLACK_MS)


def unread(value):
    return resp.is_error(value[0] if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], list) else value)


def what(one, other):
    if other[0] == b"none":
        return "missing in the target"
    if one[0] != other[0]:
        return "%s at the source, %s at the target" % (one[0].decode(), other[0].decode())
    if unread(one[1]):
        return "cannot be read: %s" % resp.shown_reply(one[1], 200)
    if one[1] != other[1]:
        pairs = [[field[:2] for field in value] if kind == b"hash" and not resp.is_error(value) else value for kind, value, _ in (one, other)]
        return "another value" if pairs[0] != pairs[1] else "fields expire at other times"
    return "lives %s ms at the source, %s ms at the target" % (one[2], other[2])


def keys_in(connection, db, match=None, kind=None):
    """The keys of a database, in batches."""
    connection.good("SELECT", db)
    cursor, batch = b"0", []
    while True:
        words = ["SCAN", cursor, "COUNT", BATCH] + (["MATCH", match] if match else []) + (["TYPE", kind] if kind else [])
        cursor, found = resp.items(connection.good(*words))
        batch += resp.items(found)
        while len(batch) >= BATCH or (cursor == b"0" and batch):
            yield batch[:BATCH]
            batch = batch[BATCH:]
        if cursor == b"0":
            return


def batches(source, databases, match=None, kind=None):
    """All keys of the source, as (database, keys)."""
    for db in databases:
        for keys in keys_in(source.connect(), db, match, kind):
            yield db, keys


def compare_batches(source, target, told, groups):
    """What differs of keys that come as (database, keys), and how many they were."""
    wrong, count, began, free = Findings(), 0, time.monotonic(), []
    # When a field of a hash expires, and when a key, to the millisecond: where both can tell.
    both_know = [source.knows(command) and target.knows(command) for command in ("HPEXPIRETIME", "PEXPIRETIME")]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        def work(db, keys):
            try:
                batch = free.pop()
            except IndexError:    # all are at work
                batch = Batch(source, target, *both_know)
            try:
                return batch.compare(db, keys)
            finally:
                free.append(batch)
        running = set()
        for db, keys in groups:
            running.add(pool.submit(work, db, keys))
            count += len(keys)
            if len(running) > 4 * WORKERS:
                done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    wrong.add(future.result())
                told("compared %d keys, %d/s" % (count, count / max(time.monotonic() - began, 0.001)))
        for future in concurrent.futures.as_completed(running):
            wrong.add(future.result())
    for batch in free:
        batch.close()
    return wrong, count


def compare(source, target, told, databases=None, match=None, kind=None, whole=True):
    """What differs, as `Findings`, and how many keys were compared. With `whole` the target may hold nothing beside."""
    databases = sorted(source.databases() if databases is None else databases)
    wrong, count = compare_batches(source, target, told, batches(source, databases, match, kind))
    if whole and not wrong and target.keys() > count:
        wrong.add(beside(source, target))
    return wrong, count


def compare_keys(source, target, told, keys):
    """The same of these keys, in whatever databases they are."""
    keys, databases = sorted(keys), sorted({*source.databases(), *target.databases()})
    groups = ((db, keys[at:at + BATCH]) for db in databases for at in range(0, len(keys), BATCH))
    return compare_batches(source, target, told, groups)[0]


def beside(source, target):
    """Keys that only the target holds."""
    found, end = [], source.connect()
    for db in sorted(target.databases()):
        end.good("SELECT", db)
        for keys in keys_in(target.connect(), db):
            there = end.run([["EXISTS", key] for key in keys])
            live = [key for key, exists in zip(keys, there) if exists == 0]
            mine = target.connect()
            mine.good("SELECT", db)
            found += [(db, key, "not at the source") for key in live if mine.good("PTTL", key) == -1]
            if len(found) >= NAMED:
                return found
    return found
