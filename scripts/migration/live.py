"""Source and target are compared while both are written to.

The bridge tells which keys change. A key that differs and has not changed since everything before was applied everywhere
differs indeed; one that has changed is compared again, in turn after turn, until few are left. Those, and whatever changed
since, are compared while writes are paused: then every key was compared at a moment after which it has not changed.
"""

import time

from . import verify
from .changes import Changes

# So many keys are compared in a blink.
FEW = 2000
TURNS = 8
TRIES = 3
# A walk over keys ends when it has met so many more than there were (and some): they come faster than they can be met.
GROWTH_MAX = 4
GROWTH_SPARE = 1_000_000


class TooMany(RuntimeError):
    """They cannot be compared while writes go on."""


class Live:
    """A comparison of `source` and `end`, both of which hold what `bridge` holds once `settle()` has returned."""

    def __init__(self, source, end, bridge, told, settle):
        self.source, self.end, self.bridge, self.told, self.settle = source, end, bridge, told, settle
        self.changes, self.left, self.wrong, self.why_not = None, set(), verify.Findings(), None

    def before_pause(self):
        """Compares all keys, and those that change meanwhile, until few are left."""
        for _ in range(TRIES):
            try:
                self.changes = Changes(self.bridge)
                self.turns()
                return
            except TooMany as error:
                self.why_not = str(error)
                return
            except RuntimeError as error:
                self.why_not = str(error)
                if self.changes:
                    self.changes.end()
                self.changes = None

    def turns(self):
        self.settle()
        self.why_not, began = None, time.monotonic()
        self.wrong, count = verify.compare_batches(self.source, self.end, self.told, self.unchanged())
        self.settled(began, "%d keys compared" % count)
        for _ in range(TURNS):
            if len(self.left) <= FEW:
                return
            before, began = self.left, time.monotonic()
            self.wrong.add(verify.compare_keys(self.source, self.end, self.told, before))
            self.settled(began, "%d of them compared again" % len(before))
            if 2 * len(self.left) > len(before):
                return    # as many change as can be compared

    def unchanged(self):
        """All keys but those that have changed already, which are compared later anyway."""
        met, most = 0, GROWTH_MAX * self.source.keys() + GROWTH_SPARE
        for db, keys in verify.batches(self.source, sorted(self.source.databases())):
            met += len(keys)
            if met > most:
                raise TooMany("keys come faster than they can be compared")
            keys = [key for key in keys if key not in self.changes.keys]
            if keys:
                yield db, keys

    def settled(self, began, what):
        """Takes out again what was said of keys that have changed."""
        self.settle()
        self.left = self.changes.take()
        self.wrong = self.wrong.without(self.left)
        self.told.step("%s while writes go on, %.1f s: %d changed meanwhile, %s" % (
            what, time.monotonic() - began, len(self.left),
            "%d differ" % self.wrong.total() if self.wrong else "all others are equal"))

    def in_pause(self):
        """What differs, and how many keys were compared, once all nodes have come to the same offset."""
        try:
            if self.why_not:
                raise RuntimeError(self.why_not)
            self.left |= self.changes.take()
        except RuntimeError as error:
            self.told.step("all keys are compared while writes are paused: %s" % error)
            return verify.compare(self.source, self.end, self.told)
        wrong = self.wrong.without(self.left)
        wrong.add(verify.compare_keys(self.source, self.end, self.told, self.left))
        if not wrong and self.end.keys() > self.source.keys():
            wrong.add(verify.beside(self.source, self.end))
        self.told.step("%d keys that changed were compared again" % len(self.left))
        return wrong, self.source.keys()

    def over(self):
        if self.changes:
            self.changes.end()
