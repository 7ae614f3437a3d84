"""The arithmetic of the tables: medians, the best peer, ratios, and the targets that a figure has to meet."""

import re
from statistics import median

OURS, FLOOR = "ours", "floor"
NO_PEER = (OURS, FLOOR)

# (part, measure, figure, against, at most); against "best" peer or "floor" a ratio, "absolute" the figure itself.
TARGETS = [
    ("requests", r".*pipeline 1$", "server CPU", "best", 1.0),
    ("requests", r"(GET|SET|INCR|HSET|SADD|LPUSH), .*pipeline 16$", "server CPU", "best", 0.75),
    ("requests", r"(GET|SET|INCR|HSET|SADD|LPUSH), .*pipeline 64$", "server CPU", "best", 0.5),
    ("requests", r"(ZADD|ZRANGEBYSCORE), .*pipeline (16|64)$", "server CPU", "best", 0.4),
    ("requests", r"GET, 16 B, .*pipeline 64$", "server CPU", "floor", 2.5),
    ("memory", r"string, value of (16|32) B", "resident", "best", 0.8),
    ("memory", r"(zset|set|hash) of .* members|small hash.*", "resident", "best", 0.8),
    ("sync", r".*", "elapsed|CPU of master and child|CPU of replica", "best", 0.5),
    ("stream", r"1 replica", "master CPU", "best", 0.6),
    ("stream", r"1 replica", "replica CPU", "best", 0.5),
    ("latency", r".*", "p99.9", "best", 1.0),
    ("turn", r".*", "longest turn", "absolute", 1000),
]


def targets_of(part, measure, figure):
    return [(against, at_most) for where, measures, figures, against, at_most in TARGETS
            if where == part and re.fullmatch(measures, measure) and re.fullmatch(figures, figure)]


def medians(samples):
    return {label: median(values) for label, values in samples.items() if values}


def best_peer(middle, better):
    """(label, median) of the peer that ours has to beat; None without peers."""
    peers = {label: value for label, value in middle.items() if label not in NO_PEER}
    if not peers:
        return None
    choose = min if better == "less" else max
    return choose(peers.items(), key=lambda pair: pair[1])


def ratio(middle, better, against="best"):
    """Ours to the best peer or to the floor; None where one of them is missing, or nothing to compare with."""
    other = best_peer(middle, better) if against == "best" else (against, middle.get(against))
    if OURS not in middle or not other or not other[1] or other[1] < 0:
        return None
    return middle[OURS] / other[1]


def spread(values):
    """How far apart the rounds lie, as a part of their median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def judged(part, row):
    """For each target of a row: (against, at most, what it came to, whether that passes)."""
    middle = medians(row["samples"])
    for against, at_most in targets_of(part, row["measure"], row["figure"]):
        came_to = middle.get(OURS) if against == "absolute" else ratio(middle, row["better"], against)
        if came_to is not None:
            yield against, at_most, came_to, came_to <= at_most
