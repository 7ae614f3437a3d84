"""Key by key: do two servers hold the same? By what clients can read, so it works between any two versions."""

import concurrent.futures
import time

from comparison import resp

BATCH = 500
WORKERS = 4
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
            fields = [(*pair, at) for pair, at in zip(values[index], of_fields) if not -1 != at < soon]
            values[index] = fields
            if not fields:
                kinds[index] = b"none"    # all of it is about to go
    return list(zip(kinds, values, times))


def moments_of(connection, hashes):
    """For each (key, fields) when each field expires, in milliseconds since 1970; -1: never, -2: it is gone."""
    asked = [(index, fields[at:at + FIELDS_AT_ONCE]) for index, (_, fields) in enumerate(hashes) for at in range(0, len(fields), FIELDS_AT_ONCE)]
    replies = connection.run([["HPEXPIRETIME", hashes[index][0], "FIELDS", len(fields), *fields] for index, fields in asked])
    found = [[] for _ in hashes]
    for (index, fields), reply in zip(asked, replies):
        if resp.is_error(reply):
            raise RuntimeError("HPEXPIRETIME %r: %s" % (hashes[index][0], resp.shown_reply(reply)))
        found[index] += resp.items(reply) or [-2] * len(fields)
    return found


def group_of(flat):
    """Of a group what every version tells."""
    told = dict(zip(flat[0::2], flat[1::2]))
    return told.get(b"name"), told.get(b"pending"), told.get(b"last-delivered-id")


def same(left, right):
    if left[:2] != right[:2]:
        return False
    (one, other) = left[2], right[2]
    return one == other or (one > 0 and other > 0 and abs(one - other) <= EXPIRY_SLACK_MS)


class Batch:
    def __init__(self, one, other, with_fields):
        self.ends = [one.connect(), other.connect()]
        self.with_fields = with_fields

    def compare(self, db, keys):
        """The keys that differ, each with what is different. One that has just expired does not."""
        for end in self.ends:
            end.good("SELECT", db)
        left, right = (described(end, keys, self.with_fields) for end in self.ends)
        wrong = []
        for key, one, other in zip(keys, left, right):
            if not same(one, other) and not (one[0] == b"none" or 0 <= one[2] < EXPIRY_SLACK_MS):
                wrong.append((db, key, what(one, other)))
        return wrong


def what(one, other):
    if other[0] == b"none":
        return "missing in the target"
    if one[0] != other[0]:
        return "%s at the source, %s at the target" % (one[0].decode(), other[0].decode())
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


def compare(source, target, told, databases=None, match=None, kind=None, whole=True):
    """What differs, as (database, key, what) of the first `NAMED`, and how many keys were compared. With `whole` the
    target may hold nothing beside."""
    wrong, count, began, free = [], 0, time.monotonic(), []
    databases = sorted(source.databases() if databases is None else databases)
    with_fields = source.knows("HPEXPIRETIME") and target.knows("HPEXPIRETIME")
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        def work(db, keys):
            try:
                batch = free.pop()
            except IndexError:    # all are at work
                batch = Batch(source, target, with_fields)
            try:
                return batch.compare(db, keys)
            finally:
                free.append(batch)
        running = set()
        for db in databases:
            for keys in keys_in(source.connect(), db, match, kind):
                running.add(pool.submit(work, db, keys))
                count += len(keys)
                if len(running) > 4 * WORKERS:
                    done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    wrong += [found for future in done for found in future.result()]
                    told("compared %d keys, %d/s" % (count, count / max(time.monotonic() - began, 0.001)))
        wrong += [found for future in running for found in future.result()]
    if whole and not wrong and target.keys() > count:
        wrong += beside(source, target, count)
    return wrong[:NAMED], count


def beside(source, target, count):
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
