"""An engine that is away while something is to be removed."""

from __future__ import annotations

import asyncio

from muster.model.errors import ContainerStartingError
from muster_agents.runtimes.interface import Found, FoundServing


class Absence:
    """While ``away`` is set nothing can be removed; what was, is added to ``gone``."""

    def __init__(self, gone: list[str]) -> None:
        self.away = asyncio.Event()
        self._gone = gone
        self._tries = asyncio.Queue[str]()

    async def discard(self, found: Found | FoundServing) -> None:
        """Instead of the runtime's own."""
        self._tries.put_nowait(found.container)
        if self.away.is_set():
            raise ContainerStartingError("the engine does not answer")
        self._gone.append(found.container)

    async def tried(self, container: str) -> None:
        """Wait for three tries to remove it, and none of anything else."""
        for _ in range(3):
            assert await self._tries.get() == container
