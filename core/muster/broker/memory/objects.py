"""The archive's objects in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from muster.archive.objects import Head
from muster.archive.packing import first_of
from muster.broker.memory.link import Link

PLACE = "memory:archive"


class MemoryObjects:
    """``Objects``. What another connection of the same store has put is there too."""

    place = PLACE

    def __init__(self, link: Link) -> None:
        self._link = link
        self._told: set[str] = set()

    async def put(self, name: str, data: bytes) -> bool:
        """See ``Objects.put``."""
        await self._ask()
        if name in self._link.store.objects:
            return False
        self._link.store.objects[name] = data
        return True

    async def get(self, names: Sequence[str]) -> list[bytes | None]:
        """See ``Objects.get``."""
        await self._ask()
        return [self._link.store.objects.get(name) for name in names]

    async def delete(self, name: str) -> None:
        """See ``Objects.delete``."""
        await self._ask()
        self._link.store.objects.pop(name, None)

    async def heads(self, *, anew: bool = False) -> AsyncGenerator[list[Head], None]:
        """See ``Objects.heads``."""
        await self._ask()
        told = set() if anew else self._told
        found = [
            Head(name, first_of(data, name))
            for name, data in self._link.store.objects.items()
            if name not in told
        ]
        told.update(head.name for head in found)
        yield found

    async def _ask(self) -> None:
        await asyncio.sleep(0)
        self._link.require()
