"""How a call is stopped that is under way in the main thread.

Whoever wants that says so to the call, and sends the process a signal, which interrupts what it waits for, time.sleep
included; the handler raises Stopped in the main thread. It must not do so where the harness is at work: only
between ``begin`` and ``end`` of a call, only once for each call, and never in the middle of a line to Muster (``held``).
A coroutine is not broken into, but cancelled by its loop.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

from .raising import Stopped

SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR1)  # a function is unlikely to want this one for itself


class Brake:
    """One for the process. ``loop`` is where coroutines of the main thread run."""

    def __init__(self, loop):
        self._loop = loop
        self._main = threading.main_thread().ident
        self._call = None  # what may be stopped now: anything with ``cancelled``
        self._holds = 0
        self._masks = {}

    def install(self, leave):
        """From now on SIGTERM calls ``leave``, and stops what runs if it was told to."""

        def on_term(number, frame):
            leave()
            self.check()

        signal.signal(signal.SIGTERM, on_term)
        signal.signal(SIGNAL, lambda number, frame: self.check())
        self._handler = on_term

    def forking(self):
        """Before a fork: a signal that comes now waits until the child has handlers of its own, or it is lost there."""
        self._masks[threading.get_ident()] = signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGTERM, SIGNAL)
        )

    def forked(self):
        """In the parent, after it."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident(), ()))

    def forget(self):
        """In the child: signals mean there what they mean everywhere."""
        self._call = None
        if signal.getsignal(signal.SIGTERM) is self._handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.forked()

    def begin(self, call):
        """From here on it may be stopped; at once, if it was cancelled before."""
        self._call = call
        self.check()

    def end(self):
        self._call = None

    def pull(self):
        """From any thread: let the main thread look whether its call is cancelled."""
        signal.pthread_kill(self._main, SIGNAL)

    def check(self):
        """In the main thread."""
        call = self._call
        if call is None or not call.cancelled or self._holds:
            return
        self._call = None
        if not self._loop.cancel():
            raise Stopped

    @contextmanager
    def held(self):
        """No Stopped in here; it comes right after."""
        if threading.get_ident() != self._main:
            yield
            return
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        self.check()
