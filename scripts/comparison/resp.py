"""RESP over a raw socket, made for big pipelines: replies are parsed from one buffer, and only when needed.

A reply is bytes (bulk), int, None (null bulk), list (array), or a tuple (kind, payload) for the rest:
('+', b'OK') ('-', b'ERR ..') ('*', None) ('_', None) (',', b'1.5') ('#', b't') ('(', b'..') ('~', [..]) ('%', [flat]) ('>', [..])
"""

import socket

MARK = b"end-of-batch:%016d"


class Gone(Exception):
    """The server closed the connection."""


def encode(argv):
    parts = [b"*%d\r\n" % len(argv)]
    for arg in argv:
        parts.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
    return b"".join(parts)


def to_bytes(word):
    return word if isinstance(word, bytes) else str(word).encode()


def parse(buf, at=0):
    """One reply from a buffer that holds it whole: (reply, position after it)."""
    end = buf.index(b"\r\n", at)
    kind = buf[at]
    line = buf[at + 1:end]
    end += 2
    if kind == 36:  # $
        size = int(line)
        if size < 0:
            return None, end
        return bytes(buf[end:end + size]), end + size + 2
    if kind == 58:  # :
        return int(line), end
    if kind == 42:  # *
        count = int(line)
        if count < 0:
            return ("*", None), end
        return parse_many(buf, end, count)
    name = chr(kind)
    if name in "+-,#(_":
        return (name, bytes(line) if name != "_" else None), end
    if name in "~>%":
        items, end = parse_many(buf, end, int(line) * (2 if name == "%" else 1))
        return (name, items), end
    if name in "=!":
        size = int(line)
        return (name, bytes(buf[end:end + size])), end + size + 2
    raise ValueError("no RESP at byte %d: %r" % (at, bytes(buf[at:at + 80])))


def parse_many(buf, at, count):
    items = []
    for _ in range(count):
        item, at = parse(buf, at)
        items.append(item)
    return items, at


def items(reply):
    """The elements of an array, set or map; none for other replies."""
    if isinstance(reply, list):
        return reply
    if isinstance(reply, tuple) and reply[0] in "~>%":
        return reply[1]
    return []


def is_error(reply):
    return isinstance(reply, tuple) and reply[0] in "-!"


class Connection:
    def __init__(self, port, timeout=60, host="127.0.0.1"):
        self.port = port
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.marks = 0

    def close(self):
        self.sock.close()

    def send_batch(self, commands):
        """Sends encoded commands and a mark; `receive_raw` reads up to the mark."""
        self.marks += 1
        mark = MARK % self.marks
        try:
            self.sock.sendall(b"".join(commands) + encode([b"ECHO", mark]))
        except OSError as error:
            raise Gone("port %d: %s" % (self.port, error)) from error

    def receive_raw(self):
        """The bytes of all replies of the batch, without the mark's."""
        mark = MARK % self.marks
        tail = b"$%d\r\n%b\r\n" % (len(mark), mark)
        buf = bytearray()
        while not buf.endswith(tail):
            try:
                chunk = self.sock.recv(1 << 18)
            except OSError as error:
                raise Gone("port %d: %s; so far %r" % (self.port, error, bytes(buf[-300:]))) from error
            if not chunk:
                raise Gone("port %d closed the connection; so far %r" % (self.port, bytes(buf[-300:])))
            buf += chunk
        return bytes(buf[:-len(tail)])

    def run(self, commands):
        """Pipelines commands (lists of words) and returns their replies."""
        replies = []
        for start in range(0, len(commands), 1000):
            chunk = commands[start:start + 1000]
            self.send_batch([encode([to_bytes(word) for word in argv]) for argv in chunk])
            raw, at = self.receive_raw(), 0
            for _ in chunk:
                reply, at = parse(raw, at)
                replies.append(reply)
        return replies

    def __call__(self, *words):
        return self.run([words])[0]

    def good(self, *words):
        reply = self(*words)
        if is_error(reply):
            raise RuntimeError("%s: %s" % (shown(words), shown_reply(reply)))
        return reply

    def info(self, section="everything"):
        text = self.good("INFO", section)
        text = text[1][4:] if isinstance(text, tuple) else text
        pairs = (line.split(":", 1) for line in text.decode("utf8", "replace").splitlines() if ":" in line)
        return {name: value.strip() for name, value in pairs}


def shown(argv, limit=120):
    """A command for people, with long words cut and bytes escaped."""
    words = []
    for word in argv:
        text = repr(to_bytes(word))[2:-1]
        quoted = '"%s"' % text if not text or " " in text or "\\" in text else text
        words.append(quoted if len(quoted) <= limit else "%s..(%d bytes)" % (quoted[:limit], len(word)))
    return " ".join(words)


def shown_reply(reply, limit=1500):
    text = repr(reply)
    return text if len(text) <= limit else text[:limit] + "..(%d characters)" % len(text)
