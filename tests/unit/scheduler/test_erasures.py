"""What a shadow makes of executions that are gone from the log, or go while it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from muster.broker.memory import MemoryBroker
from muster.identity import uuid7
from muster.model.log.commands import Archive, Clear
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


async def test_archiving_and_clearing_go_on_beside_it(site: Site) -> None:
    """What moves away or is erased beside a shadow changes nothing for it, nor for one that comes after."""
    await site.scheduler("a")
    for name in ("m1", "m2"):
        await site.agent(name, slots=1)
    async with beside(site) as shadow:
        for number in range(4):
            executions = [await site.submit(diamond()) for _ in range(3)]
            for execution in executions:
                await site.until("execution.succeeded", execution)
            await site.send("clear", Clear(id=uuid7(), execution=executions[0]))
            await site.until("execution.cleared", executions[0])
            await site.submit(diamond())
            await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
            await site.until("log.archived", count=number + 1)
        await shadow.reads(site)
        standing = await shadow.end()
    assert standing.disagreements == 0
    assert standing.doubtful == 0
    assert shadow.of("again") == []
    async with beside(site, lasts_s=0.1) as after:
        standing = await after.task
    assert standing.disagreements == 0


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
