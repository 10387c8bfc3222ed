"""A scheduler that reads the log while executions leave it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from muster.broker.memory.log import MemoryLog
from muster.identity import uuid7
from muster.model.log.commands import Archive
from muster.model.log.envelope import Recorded
from tests.fixtures.play import workflow
from tests.unit.scheduler.site import Site, within

ASKED: dict[str, Any] = {"archive_every_s": 0.0}


class Slow:
    """Readers that follow the log from now on pause behind the place ``to`` until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, to: int) -> None:
        self.paused, self.on = asyncio.Event(), asyncio.Event()
        follow, slow = MemoryLog.follow, self

        async def followed(
            log: MemoryLog, start: int = 1, *, subjects: Sequence[str] = ()
        ) -> AsyncGenerator[list[Recorded], None]:
            if subjects or start > to:
                async for batch in follow(log, start, subjects=subjects):
                    yield batch
                return
            yield [each async for batch in log.read(start, stop=to) for each in batch]
            slow.paused.set()
            await slow.on.wait()
            async for batch in follow(log, to + 1):
                yield batch

        monkeypatch.setattr(MemoryLog, "follow", followed)


@pytest.mark.parametrize("read", ["execution.queued", "step.scheduled", "step.started"])
async def test_an_execution_that_is_archived_while_it_is_read_is_not_run_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Its beginning was read and its end is in the archive: whoever leads then knows that it has ended."""
    leader = await site.scheduler("a", **ASKED)
    await site.agent(slots=1)
    async with within(20):
        execution = await site.submit(workflow({"id": "a"}))
        await site.until("execution.succeeded", execution)
        slow = Slow(monkeypatch, (await site.until(read, execution)).sequence)
        await site.scheduler("b", **ASKED)
        await slow.paused.wait()
        await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
        while await site.history(execution):
            await asyncio.sleep(0.005)
        slow.on.set()
        site.store.forget_ids()
        leader.disconnect()
        await site.until("leader.elected", "-", 2)
        other = await site.submit(workflow({"id": "a"}))
        await site.until("execution.succeeded", other)
        leader.reconnect()
    assert await site.history(execution) == []
