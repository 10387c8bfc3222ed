"""What the main thread has to do, one thing after the other."""

from __future__ import annotations

import queue
from collections import deque

from .raising import complain


class Work:
    """Anything may be put from any thread and from handlers of signals."""

    def __init__(self):
        self._things = deque()
        self._bell = queue.SimpleQueue()

    def put(self, thing):
        self._things.append(thing)
        self._bell.put(None)

    def get(self):
        """The next, waited for. A handler or a timer that a function left may raise meanwhile: that ends nothing.

        It may do so just when the bell has come: a thing that was taken from a queue would be lost then.
        """
        while not self._things:
            try:
                self._bell.get()
            except BaseException:
                complain()
        return self._things.popleft()
