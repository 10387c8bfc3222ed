"""Lines into something that may never read them: whole, in order, and without blocking the loop.

A line belongs to whoever sends it until its first byte is written. From then on it goes on being written, whoever stops
waiting for it: half a line would spoil the next one. What waits here is bounded by those who wait, as nobody sends
without waiting; at most one line is nobody's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from muster.model.errors import AttemptLostError

FULL: Final = (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError)
"""Said by a file or a connection that takes, or has, nothing at the moment; TLS may have said something for itself."""


class _Line:
    __slots__ = ("begun", "left", "taken")

    def __init__(self, line: bytes, taken: asyncio.Future[None]) -> None:
        self.left = memoryview(line)
        self.taken = taken
        self.begun = False


class Feed:
    """One writer of a file ``descriptor`` that does not block; ``write`` writes what it can of what it gets."""

    def __init__(self, descriptor: int, write: Callable[[memoryview], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._put = write
        self._lines: deque[_Line] = deque()
        self._watched = False
        self.closed = False

    async def send(self, line: bytes) -> None:
        """Write it, and wait until it is taken. Raises AttemptLostError where nobody will read it."""
        if self.closed:
            raise unread()
        entry = _Line(line, self._loop.create_future())
        self._lines.append(entry)
        if len(self._lines) == 1:
            self._write()
        try:
            await entry.taken
        except asyncio.CancelledError:
            if not entry.begun and entry in self._lines:
                self._lines.remove(entry)
                self._watch()
            raise

    def close(self) -> None:
        """Write no more; who waits hears that it is in vain. The descriptor is its owner's."""
        self.closed = True
        for entry in self._lines:
            if not entry.taken.done():
                entry.taken.set_exception(unread())
        self._lines.clear()
        self._watch()

    def _write(self) -> None:
        try:
            while self._lines:
                entry = self._lines[0]
                count = self._put(entry.left)
                entry.left, entry.begun = entry.left[count:], True
                if not entry.left:
                    self._lines.popleft()
                    if not entry.taken.done():
                        entry.taken.set_result(None)
        except FULL:
            pass
        except (OSError, ValueError):  # its reader is gone, or the file is closed
            self.close()
        self._watch()

    def _watch(self) -> None:
        """Be told when there is room, as long as something waits for it."""
        if bool(self._lines) == self._watched:
            return
        self._watched = not self._watched
        if self._watched:
            self._loop.add_writer(self._descriptor, self._write)
        else:
            self._loop.remove_writer(self._descriptor)


def unread() -> AttemptLostError:
    """Nobody reads what is sent."""
    return AttemptLostError("The function does not read what it is sent: it has ended, or closed its stdin.")
