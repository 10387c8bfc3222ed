"""What a thread hears, on its way to the loop: so many pieces at most, then the thread waits."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

CHUNKS_MAX: Final = 64
"""Printed chunks on their way to the loop: then the reading thread waits, and with it, in the end, the engine."""
LOOK_S: Final = 5
"""Between two looks, of a thread that waits, at whether anybody still listens."""


class Passing:
    """Made on the loop, called by one thread. ``closed`` says that nobody listens any more."""

    def __init__(self, take: Callable[[str, bytes], None], closed: threading.Event) -> None:
        self._take = take
        self._closed = closed
        self.loop = asyncio.get_running_loop()
        self._room = threading.BoundedSemaphore(CHUNKS_MAX)

    def __call__(self, stream: str, chunk: bytes) -> None:
        """Pass it on."""
        while not self._room.acquire(timeout=LOOK_S):
            if self._closed.is_set():
                return
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever listened
            self.loop.call_soon_threadsafe(self._arrive, stream, chunk)

    def at_once(self, stream: str, chunk: bytes) -> None:
        """On the loop itself, behind all that a thread passed before."""
        self._take(stream, chunk)

    def _arrive(self, stream: str, chunk: bytes) -> None:
        self._room.release()
        self._take(stream, chunk)
