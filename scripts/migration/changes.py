"""Which keys change meanwhile, as a server tells those who keep copies of them (CLIENT TRACKING with BCAST)."""

import threading

from comparison import resp

MARK = b"told:%d"
BOUND_SECONDS = 60
# Nobody is told of a SWAPDB by the names of keys.
SWAP = "cmdstat_swapdb"


class Changes:
    """From now on. The names come without their databases."""

    def __init__(self, node):
        """RuntimeError: it does not tell."""
        self.node, self.connection, self.keys, self.marks = node, node.connect(), set(), 0
        self.connection.good("HELLO", "3")
        self.connection.sock.settimeout(None)
        self.swaps, self.lost, self.news = self.count_swaps(), None, threading.Condition()
        self.seen = 0
        threading.Thread(target=self.listen, daemon=True).start()
        # From its reply on there may be no end of news.
        self.connection.sock.sendall(resp.encode([b"CLIENT", b"TRACKING", b"ON", b"BCAST"]))
        self.take()

    def count_swaps(self):
        return self.node.info("commandstats").get(SWAP)

    def listen(self):
        """Hears of changes until the connection ends."""
        buffer = bytearray()
        try:
            while chunk := self.connection.sock.recv(1 << 18):
                buffer += chunk
                messages, taken = whole_messages(buffer)
                del buffer[:taken]
                with self.news:
                    for message in messages:
                        self.take_in(message)
                    self.news.notify_all()
            error = "the connection ended"
        except OSError as reason:
            error = str(reason)
        with self.news:
            self.lost = self.lost or "%s tells no changes any more (%s)" % (self.node, error)
            self.news.notify_all()

    def take_in(self, message):
        if isinstance(message, bytes) and message.startswith(b"told:"):
            self.seen = int(message[5:])
        elif resp.is_error(message):
            self.lost = self.lost or "%s tells no changes: %s" % (self.node, resp.shown_reply(message))
        elif message[0] == ">" and message[1][0] == b"invalidate":
            if isinstance(message[1][1], list):
                self.keys.update(message[1][1])
            else:
                self.lost = self.lost or "all data was replaced or a database emptied"

    def take(self):
        """The keys that have changed since this was asked last, as far as the server had come when it was asked. RuntimeError
        if that cannot be said."""
        self.marks += 1
        self.connection.sock.sendall(resp.encode([b"ECHO", MARK % self.marks]))
        with self.news:
            if not self.news.wait_for(lambda: self.seen >= self.marks or self.lost, BOUND_SECONDS):
                self.lost = "%s does not answer" % self.node
            keys, self.keys = self.keys, set()
        if not self.lost and self.count_swaps() != self.swaps:
            self.lost = "databases were swapped"
        if self.lost:
            raise RuntimeError(self.lost)
        return keys

    def end(self):
        try:
            self.connection.sock.shutdown(2)
        except OSError:
            pass    # it has ended by itself


def whole_messages(buffer):
    """Those that have come as a whole, and how many bytes they are."""
    messages, at = [], 0
    while at < len(buffer):
        try:
            message, end = resp.parse(buffer, at)
        except (ValueError, IndexError):    # its end is still to come
            break
        if end > len(buffer):
            break
        messages.append(message)
        at = end
    return messages, at
