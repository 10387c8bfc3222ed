"""What a shadow makes of executions that are gone from the log, or go while it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from muster.broker.memory import MemoryBroker
from muster.identity import uuid7
from muster.model.commands import Clear
from tests.fixtures.play import diamond
from tests.unit.scheduler.beside import Beside, beside
from tests.unit.scheduler.site import Site, within


async def test_executions_that_were_cleared_leave_rounds_in_doubt(site: Site) -> None:
    """What rests on room that an erased execution took is not compared, and is no disagreement."""
    await site.scheduler("a")
    await site.agent(slots=1)
    first = [await site.submit(diamond()) for _ in range(6)]
    for execution in first:
        await site.until("execution.succeeded", execution)
    for execution in first[::2]:
        await site.send("clear", Clear(id=uuid7(), execution=execution))
        await site.until("execution.cleared", execution)
    while any([len(await site.history(execution)) > 1 for execution in first[::2]]):
        await asyncio.sleep(0)
    async with beside(site) as shadow:
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        standing = await shadow.end()
    assert standing.disagreements == 0
    assert standing.doubtful > 0
    assert standing.rounds > 0


async def test_an_execution_that_is_cleared_while_it_is_read_is_read_again(site: Site) -> None:
    """A shadow that read the beginning of an execution whose end was erased meanwhile begins anew."""
    await site.scheduler("a")
    await site.agent(slots=2)
    erased = await site.submit(diamond())
    await site.until("execution.succeeded", erased)
    kept = await site.submit(diamond())
    await site.until("execution.succeeded", kept)
    broker = MemoryBroker(site.store)
    log = Halting(broker.log, after=8)
    broker.log = log  # type: ignore[assignment]
    found = Beside(site, broker)
    async with within(10):
        await log.halted.wait()
        await site.send("clear", Clear(id=uuid7(), execution=erased))
        while len(await site.history(erased)) > 1:
            await asyncio.sleep(0)
        log.go.set()
        await found.tells("caught_up")
        await found.reads(site)
        after = await site.submit(diamond())
        await site.until("execution.succeeded", after)
        await found.tells("again")
        await found.reads(site)
        standing = await found.end()
    assert standing.disagreements == 0
    assert found.of("decided") + found.of("owed") == []
    await broker.close()


class Halting:
    """A log of which the first following stops after some events until it is let go."""

    def __init__(self, log: Any, after: int) -> None:
        self._log = log
        self._after = after
        self.halted, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def follow(self, start: int = 1) -> AsyncIterator[Any]:
        """As the log's own, but for the halt."""
        if not self.halted.is_set():
            async for batch in self._log.read(start, stop=self._after):
                yield batch
            self.halted.set()
            await self.go.wait()
            start = self._after + 1
        async for batch in self._log.follow(start):
            yield batch
