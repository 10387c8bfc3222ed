"""The folders of calls: one for what goes in, one for what comes out.

Where Muster has put nothing they are made here, so that a function always has them. Mostly nothing is put into those,
and they are handed on to the next call under another name: to make one takes five times as long, and to remove one
longer than all else of a call.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import OrderedDict

KEPT_MAX = 1000  # answered calls whose folders are remembered
SPARE_MAX = 8  # empty ones that wait for a call, beside each other


class Folders:
    """Those of all calls. ``roots`` are the process's own, and are never removed."""

    def __init__(self, roots):
        self._roots = roots
        self._made = {}
        self._kept = OrderedDict()
        self._spare = {}
        self._names = itertools.count()
        self._mode = None

    def begin(self, call):
        """They are there."""
        self._made[call] = [one for one in (call.folder, call.out) if one and self._make(one)]

    def answered(self, call):
        """Muster says when it has taken what it finds in those that are its own."""
        folders = [one for one in (call.folder, call.out) if one and one not in self._roots]
        made = self._made.get(call, ())
        folders = [one for one in folders if one not in made and os.path.isdir(one)]
        if folders:
            self._kept[call.id] = folders
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)

    def end(self, call):
        """What was made here goes. Nobody waits for it."""
        for folder in self._made.pop(call, ()):
            if not self._spared(folder):
                _remove(folder)

    def release(self, id):
        """Muster has taken what it wants of this call."""
        for folder in self._kept.pop(id, ()):
            _remove(folder)

    def _make(self, folder):
        """Whether it was not there, and is now. Where it cannot be made the function will see."""
        if os.path.lexists(folder):
            return False
        spare = self._spare.get(os.path.dirname(folder))
        while spare:
            try:
                os.rename(spare.pop(), folder)
                return True
            except OSError:  # the function removed it: it was in its reach
                pass
        try:
            os.mkdir(folder)
            self._mode = os.lstat(folder).st_mode
        except OSError:
            return False
        return True

    def _spared(self, folder):
        """Whether it is as it was made, and waits for another call now."""
        parent = os.path.dirname(folder)
        spare = self._spare.setdefault(parent, [])
        if len(spare) >= SPARE_MAX:
            return False
        name = os.path.join(parent, ".spare-%d" % next(self._names))
        try:
            if os.lstat(folder).st_mode != self._mode or os.listdir(folder):
                return False
            os.rename(folder, name)
        except OSError:
            return False
        spare.append(name)
        return True


def _remove(folder):
    """And what is in it, or what the function put in its place."""
    try:
        if os.path.islink(folder) or os.path.isfile(folder):
            os.unlink(folder)
        else:
            os.rmdir(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
