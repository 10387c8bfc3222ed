"""What calls run in: the main thread, one after the other, or a thread each, so many at once.

``done(call, line)`` is called in the main thread when a call has ended, with the rest of its answer (see ``wire``), or
with None where it was cancelled.
"""

from __future__ import annotations

import threading
from collections import deque

from .call import CURRENT
from .loops import SideLoop
from .raising import Stopped


class Alone:
    """In the main thread."""

    def __init__(self, brake, done):
        self._brake = brake
        self._done = done
        self.current = None  # the id of the call that runs

    def start(self, call, outcome):
        """Run it to its end."""
        self.current = call.id
        line = None
        try:
            try:
                call.expose()
                self._brake.begin(call)
                line = outcome(call)
            finally:
                self._brake.end()
        except Stopped:
            pass
        self.current = None
        self._done(call, line)

    def interrupt(self, call):
        """From any thread: it was cancelled."""
        self._brake.pull()

    def next(self, outcome):
        """Nobody waits here."""


class Many:
    """In threads. ``work`` is the queue of the main thread; ``part`` see ``SideLoop``."""

    current = None

    def __init__(self, concurrency, done, work, part):
        self._free = concurrency
        self._work = work
        self._done = done
        self._waiting = deque()
        self._loop = SideLoop(part)
        self.settle = self._loop.run

    def start(self, call, outcome):
        """Let it run, or wait until another has ended."""
        if self._free == 0:
            self._waiting.append(call)
            return
        self._free -= 1
        call.thread = threading.Thread(target=self._run, args=(call, outcome), daemon=True)
        call.thread.start()

    def next(self, outcome):
        """One has ended."""
        self._free += 1
        if self._waiting:
            self.start(self._waiting.popleft(), outcome)

    def _run(self, call, outcome):
        """A Stopped may come between any two steps, but only one: so the end is told, once or twice."""
        line = []
        try:
            try:
                CURRENT.set(call)
                if not call.cancelled:
                    line.append(outcome(call))
            finally:
                self._ended(call, line)
        except Stopped:
            self._ended(call, line)

    def _ended(self, call, line):
        self._work.put((self._done, call, line[0] if line else None))

    def interrupt(self, call):
        """As far as threads can be: between two lines of Python, not out of what waits."""
        if self._loop.cancel(call) or call.thread is None:
            return
        try:
            import ctypes

            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(call.thread.ident), ctypes.py_object(Stopped)
            )
        except Exception:  # no ctypes: the function may look at muster.cancelled
            pass
