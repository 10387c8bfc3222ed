"""A journal that takes no more: who waits, who goes on, and that nothing is lost or told twice."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from muster.model.errors import AgentFailedError
from muster.model.log.catalogue import AttemptRef
from muster_agents import outbox, service
from muster_agents.journal import Journal
from muster_agents.runtimes.interface import Exit, Found
from tests.unit.agents.fake import FakeRun, FakeRuntime, never, well
from tests.unit.agents.scene import Agent, Scene, order

REF = order().ref
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """The disk of the journal."""

    def __init__(self) -> None:
        self.full = False
        self.refused = asyncio.Queue[None]()

    def allow(self) -> None:
        """Somebody wants to write."""
        if self.full:
            self.refused.put_nowait(None)
            raise FULL

    async def refuses(self, count: int = 1) -> None:
        """Wait until it has refused so often more."""
        async with asyncio.timeout(30):
            for _ in range(count):
                await self.refused.get()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made, write = Disk(), Journal.write

    def writes(journal: Journal, record: bytes) -> None:
        made.allow()
        write(journal, record)

    monkeypatch.setattr(Journal, "write", writes)
    monkeypatch.setattr(outbox, "DISK_RETRY_S", 0.01)
    monkeypatch.setattr(service, "DISK_RETRY_S", 0.01)
    return made


class Gate:
    """Attempts that run until the test says so, or they are stopped."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def script(self, run: FakeRun) -> Exit:
        """Run; to the end, if nobody stops it."""
        opened = asyncio.create_task(self.open.wait())
        stopped = asyncio.create_task(run.stopped.wait())
        await asyncio.wait({opened, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for one in (opened, stopped):
            one.cancel()
        return await well(run)


async def test_a_full_disk_holds_back_and_loses_nothing(scene: Scene, fake: FakeRuntime, disk: Disk, caplog):
    """An end waits to be written, an order to be taken up; with room again both go on, once, and the agent said why."""
    gate = Gate()
    fake.script = gate.script
    async with scene.agent() as agent:
        await scene.start(order("running"))
        await scene.until("attempt.started")
        disk.full = True
        before = len(await scene.events())
        await scene.start(order("new"))
        gate.open.set()
        await disk.refuses(10)
        assert not agent.task.done()
        assert len(await scene.events()) == before
        assert len(fake.runs) == 1
        disk.full = False
        await scene.until("attempt.finished", count=2)
        kinds = await scene.kinds()
    assert [kinds.count(kind) for kind in ("attempt.accepted", "attempt.started", "attempt.finished")] == [
        2,
        2,
        2,
    ]
    assert caplog.text.count("journal cannot be written") == 1
    assert caplog.text.count("journal can be written again") == 1


async def test_a_stop_reaches_an_order_that_waits_for_the_disk(scene: Scene, fake: FakeRuntime, disk: Disk):
    """It is answered when there is room, and what it stopped never runs."""
    async with scene.agent():
        disk.full = True
        await scene.start(order())
        await disk.refuses(2)
        await scene.stop(REF, reason="cancelled")
        await disk.refuses(4)
        disk.full = False
        await scene.until("attempt.stopped")
        await scene.start(order("marker"))
        await scene.until("attempt.finished")
        assert [event.event.kind for event in await scene.events("e1") if event.event.step == "work"] == [
            "attempt.stopped"
        ]
    assert REF not in fake.runs


async def test_an_outcome_that_was_never_written_is_not_forgotten(
    scene: Scene, fake: FakeRuntime, disk: Disk
):
    """An agent killed while the disk is full: the next one still answers for the attempt."""
    gate = Gate()
    fake.script = gate.script
    async with scene.agent() as first:
        await scene.start(order())
        await scene.until("attempt.started")
        disk.full = True
        gate.open.set()
        await disk.refuses(2)
        await first.die()
    disk.full = False
    async with scene.agent():
        assert (await scene.connection()).attempts == [REF]
        assert (await scene.until("attempt.failed")).reason == "lost"


async def test_an_agent_ends_on_a_full_disk(scene: Scene, fake: FakeRuntime, disk: Disk):
    """It does not wait for room: its last facts go to the log from memory, and the next agent repeats none."""
    gate = Gate()
    fake.script = gate.script
    async with scene.agent():
        await scene.start(order("a"), order("b"))
        await scene.until("attempt.started", count=2)
        disk.full = True
        await scene.stop(AttemptRef("e1", "a", 1), reason="cancelled")
        await disk.refuses()
    events = [recorded.event.kind for recorded in await scene.events()]
    assert events[-1] == "machine.disconnected"
    assert events.count("attempt.stopped") == 2
    disk.full, fake.script = False, well
    async with scene.agent():
        await scene.start(order("c"))
        await scene.until("attempt.finished")
        assert "attempt.failed" not in await scene.kinds()


async def test_a_folder_that_was_removed_is_made_again(scene: Scene, fake: FakeRuntime, caplog):
    """Somebody removes all the agent has on disk: it writes down anew what it answers for."""
    fake.script = never
    folder = scene.settings.data_dir / "agents" / "m1"
    async with scene.agent(sync_interval_s=0.01) as first:
        await scene.start(order())
        await scene.until("attempt.started")
        await asyncio.to_thread(shutil.rmtree, folder)
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(_segments, folder):
                await asyncio.sleep(0.01)
        await first.die()
    assert "was removed by somebody else" in caplog.text
    fake.there = [Found(ref=REF, container="c-work", running=True)]
    fake.script = well
    async with scene.agent():
        await scene.until("attempt.finished")


def _segments(folder: Path) -> list[Path]:
    return [path for path in folder.glob("journal.*") if path.suffix != ".new"]


async def test_a_folder_that_cannot_be_opened_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """An agent that has nowhere to write does not start, in a sentence that says where and what to do."""

    def prepare(*_: object) -> int:
        raise FULL

    monkeypatch.setattr(Journal, "prepare", prepare)
    with pytest.raises(
        AgentFailedError, match=r"agents/m1 cannot be used: No space left on device\. Give the disk"
    ):
        await Agent(scene, scene.broker, scene.options).is_ready()
