"""Are two replies to one command the same? Exactly, or, where the reply has chance, order or time in it, in substance."""

from . import known, scripted, streams
from .resp import is_error, items

TIME_TOLERANCE_SECONDS = 20
NOT_NUMBERS = ("-", b"ERR One or more scores can't be converted into double")


def freeze(reply):
    """A reply with sets and maps in one order, hashable."""
    if isinstance(reply, list):
        return tuple(freeze(item) for item in reply)
    if isinstance(reply, tuple) and isinstance(reply[1], list):
        if reply[0] == "%":
            return ("%", frozenset(pairs(reply[1])))
        return (reply[0], in_order(reply[1]))
    return reply


def in_order(values):
    return tuple(sorted((freeze(value) for value in values), key=repr))


def pairs(flat):
    return [(freeze(flat[i]), freeze(flat[i + 1])) for i in range(0, len(flat) - 1, 2)]


def kind(reply):
    """What sort of reply it is, in all but the content."""
    if isinstance(reply, tuple):
        return reply[0] if reply[0] not in "-!" else reply
    return type(reply)


# ---- rules: (argv, a, b) -> the same in substance?

def unordered(argv, a, b):
    return kind(a) == kind(b) and in_order(items(a)) == in_order(items(b))


def unordered_pairs(argv, a, b):
    return kind(a) == kind(b) and in_order(pairs(items(a))) == in_order(pairs(items(b)))


def scan(argv, a, b):
    """A scan whose COUNT takes it all in one call: the same cursor, the same elements."""
    a, b = items(a), items(b)
    if len(a) != 2 or len(b) != 2 or a[0] != b[0]:
        return False
    if argv[0].upper() in (b"SCAN", b"SSCAN"):
        return unordered(argv, a[1], b[1])
    return unordered_pairs(argv, a[1], b[1])


def partial_scan(argv, a, b):
    """A scan that may stop in the middle: only its shape; complete iterations are compared elsewhere."""
    cursor = argv[1 if argv[0].upper() == b"SCAN" else 2]
    whole = cursor == b"0" and b"100000" in argv
    return (whole and scan(argv, a, b)) or (not whole and [kind(x) for x in items(a)] == [kind(x) for x in items(b)] != [])


def near_time(argv, a, b):
    if not (isinstance(a, int) and isinstance(b, int)) or a < 0 or b < 0:
        return False
    scale = 1000 if argv[0].upper().startswith(b"P") else 1
    return abs(a - b) <= TIME_TOLERANCE_SECONDS * scale


def same_shape(argv, a, b):
    return kind(a) == kind(b)


def same_size(argv, a, b):
    return kind(a) == kind(b) and len(items(a)) == len(items(b))


def object_rule(argv, a, b):
    about_chance = len(argv) > 1 and argv[1].upper() in (b"REFCOUNT", b"IDLETIME", b"FREQ")
    return about_chance and isinstance(a, int) and isinstance(b, int)


def sort_rule(argv, a, b):
    """BY nosort on a set, and ties of BY .. ALPHA, have no order; with LIMIT not even the same elements.
    ALPHA compares like strcoll, up to a zero byte."""
    words = [word.upper() for word in argv]
    if b"BY" not in words and b"ALPHA" in words:
        return kind(a) == kind(b) and [up_to_zero(x) for x in items(a)] == [up_to_zero(x) for x in items(b)]
    if b"BY" not in words:
        return False
    return same_size(argv, a, b) if b"LIMIT" in words else unordered(argv, a, b)


def up_to_zero(element):
    return element.split(b"\0")[0] if isinstance(element, bytes) else element


def hello(argv, a, b):
    a, b = items(a), items(b)
    return len(a) == len(b) > 0 and a[0::2] == b[0::2]


def sample(argv, a, b):
    """SPOP, SRANDMEMBER and the like: as many elements; the follow-up looks whether they are members."""
    return same_size(argv, a, b)


def geo_ties(argv, a, b):
    """COUNT without ANY: of several at the same distance stock takes any, in any order (its sort is not stable).
    So such searches ask for the distances, and none of them is stored."""
    words = [word.upper() for word in argv]
    if b"COUNT" not in words or b"ANY" in words or b"WITHDIST" not in words or not same_size(argv, a, b):
        return False
    left, right = ([items(found)[:2] for found in items(reply)] for reply in (a, b))
    if [found[1:] for found in left] != [found[1:] for found in right]:
        return False
    last = left[-1][1:] if left else None
    inner = [in_order(found for found in side if found[1:] != last) for side in (left, right)]
    return inner[0] == inner[1]


RULES = {b"HGETALL": unordered_pairs, b"SCAN": partial_scan, b"SSCAN": partial_scan, b"HSCAN": partial_scan, b"ZSCAN": partial_scan,
         b"OBJECT": object_rule, b"SORT": sort_rule, b"SORT_RO": sort_rule, b"HELLO": hello, b"TIME": same_size,
         b"XPENDING": streams.pending, b"XINFO": streams.info, b"FUNCTION": scripted.function_rule}
RULES.update(dict.fromkeys((b"SMEMBERS", b"SUNION", b"SINTER", b"SDIFF", b"KEYS", b"HKEYS", b"HVALS"), unordered))
RULES.update(dict.fromkeys((b"GEORADIUS", b"GEORADIUS_RO", b"GEORADIUSBYMEMBER", b"GEORADIUSBYMEMBER_RO", b"GEOSEARCH"), geo_ties))
RULES.update(dict.fromkeys((b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"), near_time))
RULES.update(dict.fromkeys((b"RANDOMKEY", b"DUMP"), same_shape))
RULES.update(dict.fromkeys((b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER"), sample))



class Judge:
    """Compares reply after reply of one pair of connections; follows MULTI so that EXEC is judged command by command."""

    def __init__(self, strict):
        self.strict = strict
        self.queued = None
        self.explained = {}
        self.judged = 0

    def same(self, argv, a, b):
        self.judged += 1
        name = argv[0].upper()
        if self.queued is not None and name != b"EXEC":
            if a == b == ("+", b"QUEUED"):
                self.queued.append(argv)
                return True
            if name == b"DISCARD" and a == b == ("+", b"OK"):
                self.queued = None
            return a == b
        if name == b"EXEC":
            queued, self.queued = self.queued, None
            if queued is not None and isinstance(a, list) and isinstance(b, list):
                return len(a) == len(b) == len(queued) and all(map(self.one, queued, a, b))
            return a == b
        if name == b"MULTI" and a == b == ("+", b"OK"):
            self.queued = []
        return self.one(argv, a, b)

    def one(self, argv, a, b):
        if a == b or self.stale_errno(argv, a, b):
            return True
        rule = RULES.get(argv[0].upper())
        if rule is not None and not is_error(a) and not is_error(b) and rule(argv, a, b):
            return True
        return self.excused(argv, a, b)

    def excused(self, argv, a, b):
        """Whether a row of known.py explains a difference; it is counted there."""
        row = None if self.strict else known.explain(argv, a, b)
        if row is not None:
            self.explained[row] = self.explained.get(row, 0) + 1
        return row is not None

    def stale_errno(self, argv, a, b):
        """Stock's numeric SORT sometimes refuses good numbers: it reads the errno that an earlier command left behind.
        (So numeric SORT .. STORE is not in the stream.)"""
        return argv[0].upper().startswith(b"SORT") and (a == NOT_NUMBERS or (self.strict and b == NOT_NUMBERS)) \
            and not (is_error(a) and is_error(b))
