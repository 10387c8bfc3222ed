"""Which GPU of a machine is whose.

The scheduler counts GPUs, and sends a machine no more attempts than it has of them. Which one it is, the agent says:
otherwise every container would be given the first. A device is taken before its container starts and given back when
that is gone. A function that is loaded and idle keeps its devices though nobody counts them, so whoever has to wait
asks for them through ``relieve``. Those who wait are served in the order they came.

A device without a known id is the empty text; the engine is then told how many, and not which.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from muster.model.log.catalogue import Gpu

IDS: Final = ","
"""Between ids, in a label and in a variable."""


class Devices:
    """The GPUs of one machine. For one loop."""

    def __init__(self, gpus: Iterable[Gpu]) -> None:
        self._all = [gpu.id for gpu in gpus]
        self._free = list(self._all)
        self._waiting: deque[tuple[int, asyncio.Future[list[str]]]] = deque()
        self.relieve: Callable[[int], None] = lambda _count: None
        """Asked for so many more devices: whoever keeps idle ones begins to give them back. Does not wait."""

    @property
    def free(self) -> int:
        """How many nobody has."""
        return len(self._free)

    @property
    def short(self) -> int:
        """How many more those who wait are waiting for."""
        return max(0, sum(wanted for wanted, _ in self._waiting) - len(self._free))

    async def take(self, count: int) -> list[str]:
        """So many, as soon as they are free. For ever where there are not so many: for a deadline of the caller's."""
        if not self._waiting and count <= len(self._free):
            return self._taken(count)
        waiting: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        entry = (count, waiting)
        self._waiting.append(entry)
        self.relieve(self.short)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self.give(waiting.result())
            with contextlib.suppress(ValueError):
                self._waiting.remove(entry)
            self._serve()
            raise

    def hold(self, devices: Iterable[str]) -> list[str]:
        """Take these, which a container that was found has. Gives those that are this machine's and were free."""
        held = []
        for device in devices:
            if device in self._free:
                self._free.remove(device)
                held.append(device)
        return held

    def give(self, devices: Iterable[str]) -> None:
        """Back what ``take`` or ``hold`` gave."""
        self._free += devices
        self._free.sort(key=self._all.index)
        self._serve()

    def _taken(self, count: int) -> list[str]:
        taken, self._free = self._free[:count], self._free[count:]
        return taken

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= len(self._free):
            count, waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(self._taken(count))
