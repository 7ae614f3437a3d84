"""Replies about streams, with what is time in them taken out, so that those of two servers can be compared."""

from .resp import is_error

TIMES = (b"idle", b"inactive", b"seen-time", b"active-time")
TOLERANCE_MS = 20000


def plain(reply):
    """Maps as flat lists, the absence of anything as None."""
    if isinstance(reply, tuple):
        if isinstance(reply[1], list):
            return [plain(item) for item in reply[1]]
        return None if reply[0] in "*_" else reply
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    return reply


def near(a, b):
    """Two times, or two that are none, which are -1 or what a client chose."""
    return a == b or (isinstance(a, int) and isinstance(b, int) and a >= 0 and b >= 0 and abs(a - b) <= TOLERANCE_MS)


def same_deliveries(a, b):
    """Lists of [id, (consumer), time, count]."""
    return len(a) == len(b) and all(
        len(x) == len(y) and x[:-2] == y[:-2] and x[-1] == y[-1] and near(x[-2], y[-2]) for x, y in zip(a, b))


def pending(argv, a, b):
    a, b = plain(a), plain(b)
    if len(argv) == 3 or not (isinstance(a, list) and isinstance(b, list)):
        return a == b
    return same_deliveries(a, b)


def fields(flat):
    return dict(zip(flat[0::2], flat[1::2]))


def same_fields(a, b, known=()):
    """Two maps, in one order. `known` names what the second may have more, or otherwise."""
    names = [name for name in b[0::2] if name not in known]
    if [name for name in a[0::2] if name not in known] != names:
        return False
    a, b = fields(a), fields(b)
    return all(same_field(name, a[name], b[name], known) for name in names)


def same_field(name, a, b, known):
    if name in TIMES:
        return near(a, b) or bool(known) and seen_since(name, a, b)
    if name == b"pending" and isinstance(a, list) and isinstance(b, list):
        return same_deliveries(a, b)
    if name == b"groups" and isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_fields(x, y, known) for x, y in zip(a, b))
    if name == b"consumers" and isinstance(a, list) and isinstance(b, list):
        return same_consumers(a, b, known)
    return a == b


def seen_since(name, a, b):
    """7.2 has seen whoever asks; 7.0 sees a consumer that waits, or that names another stream without news, only when it
    gets something."""
    if not (isinstance(a, int) and isinstance(b, int)):
        return False
    return name == b"idle" and 0 <= b < a or name == b"seen-time" and b > a


def same_consumers(a, b, known):
    if known:
        a, b = busy(a), busy(b)
    return len(a) == len(b) and all(same_fields(x, y, known) for x, y in zip(a, b))


def busy(consumers):
    """Those that have something; others 7.2 makes where 7.0 does not."""
    return [flat for flat in consumers if fields(flat).get(b"pel-count", fields(flat).get(b"pending")) != 0]


def info(argv, a, b, known=()):
    if is_error(a) or is_error(b) or len(argv) < 3:
        return a == b
    a, b = plain(a), plain(b)
    kind = argv[1].upper()
    if kind == b"CONSUMERS":
        return same_consumers(a, b, known)
    if kind == b"GROUPS":
        return len(a) == len(b) and all(same_fields(x, y, known) for x, y in zip(a, b))
    return same_fields(a, b, known)


# What 7.2 tells that 7.0 does not: when a consumer last got something, and consumers that never did.
LATER = (b"inactive", b"active-time", b"consumers-count")


def info_of_72(argv, stock, ours):
    if argv[1:2] and argv[1].upper() == b"GROUPS" and not is_error(stock) and not is_error(ours):
        counts = [[fields(flat).get(b"consumers") for flat in plain(reply)] for reply in (stock, ours)]
        return all(x <= y for x, y in zip(*counts)) and info(argv, stock, ours, (b"consumers",))
    return info(argv, stock, ours, LATER)


def made_before(argv, stock, ours):
    return len(argv) == 5 and argv[1].upper() == b"CREATECONSUMER" and (stock, ours) == (1, 0)


def entries_read_of_74(argv, stock, ours):
    """What newer servers count otherwise: how far a group has come once entries were deleted."""
    return info(argv, stock, ours, (b"entries-read", b"lag"))


def fixed_ids(argv):
    """An ID by the clock would differ between two servers; only streams {sf}, whose last ID lies in the future, get one."""
    if argv[0].upper() == b"XADD" and len(argv) > 1 and not (argv[1].startswith(b"sf") and b"NOMKSTREAM" in argv):
        argv[:] = [b"3-*" if word == b"*" else word for word in argv]


def short_waits(argv):
    """Nobody else writes, so who waits for a stream must not do so for long."""
    if argv[0].upper() in (b"XREAD", b"XREADGROUP"):
        for at in range(1, len(argv)):
            if argv[at - 1].upper() == b"BLOCK" and argv[at].isdigit():
                argv[at] = b"1"
