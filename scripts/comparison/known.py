"""Where Redis 7.2 (which Understudy follows) is documented to differ from the stock 7.0 it is compared with.

Each row: name, the commands it is about, a predicate over (argv, stock's reply, our reply), and the reason.
A difference that no row explains fails the run; what rows explained is counted and printed.
"""

from . import streams
from .resp import is_error, items


def encodings(*pairs):
    return lambda argv, stock, ours: (stock, ours) in pairs


def number(reply):
    """A double as a reply carries it: bulk in RESP2, ',' in RESP3."""
    text = reply[1] if isinstance(reply, tuple) and reply[0] == "," else reply
    if not isinstance(text, bytes):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def same_but_for_doubles(stock, ours):
    if stock == ours:
        return True
    left, right = items(stock), items(ours)
    if left or right:
        if type(stock) is not type(ours) or len(left) != len(right):
            return False
        return all(same_but_for_doubles(x, y) for x, y in zip(left, right))
    return type(stock) is type(ours) and number(stock) is not None and number(stock) == number(ours)


def doubles(argv, stock, ours):
    return same_but_for_doubles(stock, ours)


def with_score(argv, stock, ours):
    return len(argv) == 4 and is_error(stock)


def scanned_in_another_order(argv, stock, ours):
    stock, ours = items(stock), items(ours)
    if not len(stock) == len(ours) == 2 or stock[0] != ours[0]:
        return False
    left, right = ({member: number(score) for member, score in zip(flat[0::2], flat[1::2])}
                   for flat in (items(stock[1]), items(ours[1])))
    return left == right and None not in left.values()


def closed_for_good(argv, stock, ours):
    return [word.upper() for word in argv[1:3]] == [b"REPLY", b"OFF"] and stock == b"" and ours == b"(closed)"


def lowest_rank(argv, stock, ours):
    return b"%d" % -2**63 in argv and is_error(ours) and b"value must between" in ours[1]


def shorter_getkeys(argv, stock, ours):
    return len(argv) == 3 and argv[1].upper() == b"GETKEYS" and is_error(stock)


def names_the_user(argv, stock, ours):
    if not isinstance(stock, bytes) or not isinstance(ours, bytes):
        return False
    named = stock.replace(b"This user", b"User " + argv[2])
    shown = [part.partition(b"\0")[0] for part in ours.split(b"'")]        # 7.0 shows a key up to its first zero byte
    return b"'".join(shown) == named or ours == named


def both_say(*texts):
    return lambda argv, stock, ours: all(is_error(reply) and any(text in reply[1] for text in texts)
                                         for reply in (stock, ours))


def arguments_first(argv, stock, ours):
    return is_error(ours) and (stock in (0, -1) or (is_error(stock) and stock[1].startswith(b"WRONGTYPE")))


DOUBLES = "ZADD ZSCORE ZMSCORE ZINCRBY ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZPOPMIN ZPOPMAX ZMPOP " \
          "ZUNION ZINTER ZDIFF ZRANDMEMBER"

TABLE = [
    ("list encoding", "OBJECT", encodings((b"quicklist", b"listpack")),
     "7.2 holds a small list in one listpack"),
    ("set encoding", "OBJECT", encodings((b"hashtable", b"listpack")),
     "7.2 holds a small set of strings in a listpack"),
    ("set algebra encoding", "OBJECT", encodings((b"intset", b"listpack"), (b"intset", b"hashtable")),
     "7.2 makes the result of SINTERSTORE and the like in the first source's encoding"),
    ("double formatting", DOUBLES, doubles,
     "7.2 prints doubles with the fewest digits that read back the same, 7.0 with %.17g"),
    ("scanned doubles", "ZSCAN", scanned_in_another_order,
     "as double formatting; and the order follows from the encoding"),
    ("sorted set encoding", "OBJECT", encodings((b"skiplist", b"listpack")),
     "stock's SORT turns a small sorted set that it reads into a skiplist for good; we leave what we read as it is"),
    ("QUIT unanswered", "CLIENT", closed_for_good,
     "after CLIENT REPLY OFF stock never gets to close a connection that said QUIT; we close it"),
    ("LPOS RANK", "LPOS", lowest_rank,
     "7.2 refuses the one rank whose opposite does not fit"),
    ("WITHSCORE", "ZRANK ZREVRANK", with_score,
     "7.2 adds WITHSCORE, so a fourth word is no wrong arity any more"),
    ("ACL DRYRUN", "ACL", names_the_user,
     "7.2 names the user whose rules deny the command"),
    ("consumers made sooner", "XGROUP", streams.made_before,
     "7.2 makes the consumer that XREADGROUP, XCLAIM and XAUTOCLAIM name, even where there is nothing for it"),
    ("consumers known better", "XINFO", streams.info_of_72,
     "as consumers made sooner; and 7.2 tells when a consumer was last active"),
    ("unbalanced streams", "XREAD XREADGROUP", both_say(b"Unbalanced"),
     "7.2 names the command that was called, and the sign that it knows"),
    ("XSETID", "XSETID", both_say(b"ERR The ID specified in XSETID is smaller than", b"ERR The entries_added specified"),
     "7.2 looks at the deleted entries before it looks at those that are there"),
    ("bits' arguments", "BITCOUNT BITPOS", arguments_first,
     "7.2 reads the arguments before it looks the key up"),
    ("COMMAND GETKEYS", "COMMAND", shorter_getkeys,
     "7.2 lets COMMAND GETKEYS be asked about a single word and answers by that command's own arity"),
]


def explain(argv, stock, ours):
    """The name of the row that explains a difference, or None."""
    name = argv[0].upper().decode("latin1")
    for row, commands, predicate, _ in TABLE:
        if name in commands.split() and predicate(argv, stock, ours):
            return row
    return None


def reason(name):
    return next(row[3] for row in TABLE if row[0] == name)
