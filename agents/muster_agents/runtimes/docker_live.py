"""What a container prints, read on the loop as it comes: no thread stands between it and who hears it.

Two that wake one another cost a call of a function a tenth of its time where the machine is busy. Nobody who is loud
gets in the way of others: the loop takes a piece of it in each of its rounds, and the engine waits.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

from muster_agents.runtimes.feed import FULL

FRAME_HEADER: Final = 8
STREAMS: Final = {1: "stdout", 2: "stderr"}
READ_BYTES: Final = 64 << 10
LOOK_S: Final = 5
"""Between two looks, of the thread that waits, at whether there is still a loop."""

Hear = Callable[[str, bytes], None]


class Live:
    """The frames of one connection that does not block. ``first`` came before it was watched."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, first: bytes, hear: Hear
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._descriptor = connection.fileno()
        self._first = first
        self._hear = hear
        self._rest = bytearray()
        self._over = threading.Event()
        self._error: Exception | None = None

    def to_the_end(self) -> None:
        """For a thread: wait until the connection has ended. Raises what ended it, and what ``hear`` raised."""
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # the loop is gone, and with it whoever listened
            return
        while not self._over.wait(LOOK_S):
            if self._loop.is_closed():
                return
        if self._error is not None:
            raise self._error

    # ---- on the loop

    def _begin(self) -> None:
        self._loop.add_reader(self._descriptor, self._readable)
        self._take(self._first)

    def _readable(self) -> None:
        try:
            data = self._connection.recv(READ_BYTES)
        except FULL:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._take(data)
        else:
            self._end()

    def _take(self, data: bytes) -> None:
        try:
            for stream, chunk in self._frames(data):
                self._hear(stream, chunk)
        except Exception as error:  # the thread says it to whoever waits for the end
            self._end(error)

    def _frames(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Those that are whole by now."""
        self._rest += data
        at = 0
        while len(self._rest) >= at + FRAME_HEADER:
            begins = at + FRAME_HEADER
            ends = begins + int.from_bytes(self._rest[begins - 4 : begins], "big")
            if len(self._rest) < ends:
                break
            yield STREAMS.get(self._rest[at], "stdout"), bytes(self._rest[begins:ends])
            at = ends
        del self._rest[:at]

    def _end(self, error: Exception | None = None) -> None:
        self._loop.remove_reader(self._descriptor)
        self._error = error
        self._over.set()
