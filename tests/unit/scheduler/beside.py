"""A shadow beside whoever leads a site, and what it has told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from muster.broker.memory import MemoryBroker
from muster.clock import Clock
from muster.model.proof.shadow import Disagreement
from muster.scheduler.options import ShadowOptions
from muster.scheduler.report import Notice, Standing
from muster.scheduler.shadow import Shadow
from tests.unit.scheduler.site import Site, within

QUICK = ShadowOptions(
    quiet_s=0.05, patience_s=0.4, silent_s=0.3, tick_s=0.02, asleep_s=0.2, rest=0, settle_s=0.02
)


class Beside:
    """A shadow that runs, and what it has told."""

    def __init__(
        self, site: Site, broker: MemoryBroker | None = None, *, clock: Clock | None = None, **options: Any
    ) -> None:
        self.broker = broker or MemoryBroker(site.store)
        self.said: list[Disagreement | Notice] = []
        self.stop = asyncio.Event()
        self._told = asyncio.Event()
        self.shadow = Shadow(self.broker, QUICK, clock or Clock(), self._tell, **options)
        self.task = asyncio.create_task(self.shadow.run(self.stop))

    def _tell(self, said: Disagreement | Notice) -> None:
        self.said.append(said)
        self._told.set()

    def of(self, kind: str) -> list[Any]:
        """What it told of this kind."""
        return [said for said in self.said if said.kind == kind]

    async def tells(self, kind: str, count: int = 1) -> Any:
        """The ``count``-th of its kind."""
        while len(self.of(kind)) < count:
            self._told.clear()
            telling = asyncio.create_task(self._told.wait())
            await asyncio.wait({telling, self.task}, return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            assert not self.task.done() or len(self.of(kind)) >= count, self.said
        return self.of(kind)[count - 1]

    async def reads(self, site: Site) -> None:
        """Wait until it has read what is in the log now."""
        last = (await site.client.log.position()).last
        while self.shadow.standing.sequence < last:
            await asyncio.sleep(0)

    async def end(self) -> Standing:
        """Ask it to end, as Ctrl-C does."""
        self.stop.set()
        return await self.task


@asynccontextmanager
async def beside(site: Site, **options: Any) -> AsyncIterator[Beside]:
    """A shadow that has read what is there."""
    found = Beside(site, **options)
    try:
        async with within(20):
            await found.tells("caught_up")
            yield found
    finally:
        found.stop.set()
        await found.task
        await found.broker.close()
