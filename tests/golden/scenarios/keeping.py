"""The keeping of the log itself: what is erased, and what moves into the archive."""

from __future__ import annotations

import asyncio
from typing import Any

from muster.model.log.commands import Submit
from tests.golden.scenario import prints, retry, scenario, step
from tests.golden.stage import Stage, fresh

SOON: dict[str, Any] = {"archive_after_s": 0.5, "archive_every_s": 0.2}


@scenario
async def cleared(stage: Stage) -> None:
    """Of an execution that was erased only the marker is left; the one beside it stays."""
    await _clear_one(stage)
    await stage.take()


@scenario
async def cleared_as_it_was_seen(stage: Stage) -> None:
    """As a reader sees it that was there all the time: an execution, its marker, and what came after."""
    await _clear_one(stage)


async def _clear_one(stage: Stage) -> None:
    await stage.leader()
    await stage.machine()
    assert await stage.run("gone-1", prints("secret", "echo secret")) == "succeeded"
    assert await stage.run("kept-1", prints("plain", "echo plain")) == "succeeded"
    await stage.clear("gone-1")
    await stage.log.until("execution.cleared")
    workflow = {"name": "gone", "steps": [step("other")]}
    await stage.send("submit", Submit(id=fresh(), execution="gone-1", workflow=workflow))
    await stage.log.until("command.refused")
    assert await stage.run("after-1", step("work", "exit 3", retry=retry(2))) == "failed"
    await asyncio.sleep(0.5)  # for the erasure


@scenario
async def archived(stage: Stage) -> None:
    """Executions that ended a while ago moved into the archive; read across the border the log is whole."""
    await _archive(stage)
    await stage.take(stage.broker.history)


@scenario
async def archived_as_left(stage: Stage) -> None:
    """What the stream itself still holds when executions moved into the archive: all that is not about them."""
    await _archive(stage)
    await stage.take()


@scenario
async def cleared_from_archive(stage: Stage) -> None:
    """An execution is erased that is in the archive already: its marker names the object that is gone."""
    await _archive(stage)
    await stage.clear("old-1")
    await stage.log.until("execution.cleared")
    await asyncio.sleep(0.5)  # for the erasure
    await stage.take(stage.broker.history)


async def _archive(stage: Stage) -> None:
    leader = await stage.leader(**SOON)
    await stage.machine()
    assert await stage.run("old-1", prints("a", "echo old")) == "succeeded"
    assert await stage.run("old-2", step("a", "exit 3", retry=retry(2))) == "failed"
    archived = stage.log.of("log.archived")
    while sum(len(each.event.data.objects) for each in archived) < 2:
        await stage.log.until("log.archived", count=len(archived) + 1)
        archived = stage.log.of("log.archived")
    await asyncio.sleep(0.5)  # for the stream to let them go
    leader.kill()
    await stage.leader("second")
    assert await stage.run("new-1", step("a")) == "succeeded"
