"""A scheduler is killed in mid-archive, or between a marker and the erasure: all is repeated until done."""

from __future__ import annotations

import asyncio

import pytest

from muster.archive.verify import verify
from muster.identity import uuid7
from muster.model.log import subjects
from muster.model.log.commands import Archive, Clear
from muster.model.log.envelope import Recorded, encode
from muster.model.log.names import SCHEDULER
from tests.acceptance.crash.plays import DIAMOND
from tests.fixtures.moving import about, everything
from tests.fixtures.processes import ALONE_S, Installation

EXECUTIONS = 3

ARCHIVING = [
    (f"scheduler.archive.{step}", count)
    for step, counts in {"put": (1, 2, 3), "tell": (1, 2), "erase": (1, 2, 3), "done": (1, 2)}.items()
    for count in counts
]
CLEARING = [f"scheduler.clear.{step}" for step in ("erase", "log", "done")]
WRITING = [("scheduler.append.before", 1), ("scheduler.append.after", 1)]

pytestmark = [pytest.mark.slow]


def lines(found: list[Recorded]) -> list[tuple[int, bytes]]:
    return [(each.sequence, encode(each.event)) for each in found]


async def gone(site: Installation, *executions: str) -> None:
    """Return when the stream holds nothing of them."""
    async with asyncio.timeout(30):
        for execution in executions:
            while await about(site.broker.log, execution):
                await asyncio.sleep(0.02)


async def finished(site: Installation) -> list[str]:
    """Some executions that have ended."""
    agent = site.agent().launch()
    await agent.says("4 slots")
    ids = [uuid7() for _ in range(EXECUTIONS)]
    async with asyncio.TaskGroup() as submits:
        for id_ in ids:
            submits.create_task(site.client.submit(DIAMOND, execution=id_))
    assert await site.log.ended(*ids) == ["succeeded"] * EXECUTIONS
    await site.log.at_rest()
    assert await agent.end() == 0
    return ids


async def whole(site: Installation) -> None:
    """Nothing is missing, nothing is left over."""
    report = await verify(site.broker, lambda _, __: None)
    assert (report.findings, report.warnings) == ([], [])


IN_MID_ARCHIVE = [("bucket", *each) for each in (*ARCHIVING, *WRITING)]
IN_MID_ARCHIVE += [("directory", point, count) for point, count in ARCHIVING if count == 1]


@pytest.mark.parametrize(("place", "point", "count"), IN_MID_ARCHIVE)
async def test_killed_in_mid_archive(site: Installation, place: str, point: str, count: int) -> None:
    """Whatever was done by then: history stays the same to the last byte, and the next scheduler ends the move."""
    if place == "directory":
        site.environment["MUSTER_ARCHIVE"] = str(site.folder / "archive")
    scheduler = site.scheduler(takeover_after_s=ALONE_S, archive_every_s=0.0, archive_batch=2).launch()
    await scheduler.says("leads (term")
    ids = await finished(site)
    assert await scheduler.end() == 0
    await scheduler.launch(fault=f"{point}:{count}").says("leads (term")
    before = lines(await everything(site.broker.history))
    command = Archive(id=uuid7(), older_than_s=0.0)
    await site.broker.commands.send(SCHEDULER, "archive", command)
    await scheduler.halted()
    assert lines(await everything(site.broker.history, stop=len(before))) == before
    scheduler.kill()
    assert lines(await everything(site.broker.history, stop=len(before))) == before
    await scheduler.launch().says("leads (term")
    await gone(site, *ids)
    assert lines(await everything(site.broker.history, stop=len(before))) == before
    for id_ in ids:
        wanted = [each for each in before if f'"execution":"{id_}"'.encode() in each[1]]
        assert lines(await about(site.broker.history, id_)) == wanted
    async with asyncio.timeout(20):
        while not await answered(site, command.id):
            await asyncio.sleep(0.02)
    await whole(site)


async def answered(site: Installation, command: str) -> bool:
    """Whether the log says that the pass which was asked for is over."""
    newest = await site.broker.log.last(subjects.ARCHIVED)
    return newest is not None and newest.event.cause == command and newest.event.data.left == 0


@pytest.mark.parametrize("point", CLEARING)
@pytest.mark.parametrize("archived", [False, True])
async def test_killed_between_the_marker_and_the_erasure(
    site: Installation, point: str, archived: bool
) -> None:
    """The next scheduler erases all of it, the archived object too, and leaves the one marker."""
    scheduler = site.scheduler(takeover_after_s=ALONE_S, archive_every_s=0.0).launch()
    await scheduler.says("leads (term")
    ids = await finished(site)
    if archived:
        await site.broker.commands.send(SCHEDULER, "archive", Archive(id=uuid7(), older_than_s=0.0))
        await gone(site, *ids)
    assert await scheduler.end() == 0
    await scheduler.launch(fault=f"{point}:1").says("leads (term")
    others = [lines(await about(site.broker.history, each)) for each in ids[1:]]
    await site.broker.commands.send(SCHEDULER, "clear", Clear(id=uuid7(), execution=ids[0]))
    await scheduler.halted()
    scheduler.kill()
    await scheduler.launch().says("leads (term")
    async with asyncio.timeout(30):
        while [each.event.kind for each in await about(site.broker.history, ids[0])] != ["execution.cleared"]:
            await asyncio.sleep(0.02)
        while await site.broker.archive.find(ids[0]) is not None:
            await asyncio.sleep(0.02)
    assert [lines(await about(site.broker.history, each)) for each in ids[1:]] == others
    await whole(site)


async def test_killed_over_and_over(site: Installation) -> None:
    """A scheduler that dies at every step, one after the other, still ends what was asked for."""
    scheduler = site.scheduler(takeover_after_s=ALONE_S, archive_every_s=0.0, archive_batch=1).launch()
    await scheduler.says("leads (term")
    ids = await finished(site)
    before = lines(await everything(site.broker.history))
    assert await scheduler.end() == 0
    scheduler.launch(fault="scheduler.archive.put:1")
    await site.broker.commands.send(SCHEDULER, "archive", Archive(id=uuid7(), older_than_s=0.0))
    for fault in ("tell:1", "erase:1", "put:1", "tell:1", "erase:1", "done:1"):
        await scheduler.halted()
        scheduler.kill()
        scheduler.launch(fault=f"scheduler.archive.{fault}")
    await scheduler.halted()
    scheduler.kill()
    scheduler.launch()
    await gone(site, *ids)
    found = [each for each in lines(await everything(site.broker.history)) if each[0] <= before[-1][0]]
    assert found == before
    async with asyncio.timeout(20):
        while await everything_waiting(site):
            await asyncio.sleep(0.05)
    await whole(site)


async def everything_waiting(site: Installation) -> bool:
    """Whether the scheduler still has something to do that it was asked for."""
    from muster.broker.nats import api
    from muster.broker.nats.streams import COMMANDS

    connection = site.broker._connection
    return await api.following(connection, COMMANDS, subjects.commands(SCHEDULER), 1) is not None
