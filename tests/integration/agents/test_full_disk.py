"""A disk that is really full (a small tmpfs), under the attempts or under the agent's own journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from muster.model.errors import AgentFailedError
from muster.model.log.commands import AttemptOrder
from tests.fixtures.disks import SmallDisk, small_disk
from tests.integration.agents.served import soon
from tests.unit.agents.scene import Agent, Scene, shell

__all__ = ["small_disk"]

Mount = Callable[[Path, int], SmallDisk]
LONG = {"text": "x" * 20_000}
ENDS = {"attempt.finished", "attempt.failed", "attempt.stopped"}


def waiting(step: str, go: Path) -> AttemptOrder:
    """Runs until there is a file ``go``, and uses no disk."""
    return shell(f"echo up; while [ ! -e {go} ]; do sleep 0.02; done; echo over", step)


async def go_on(go: Path) -> None:
    await asyncio.to_thread(go.touch)


async def test_attempts_without_room_fail_and_others_go_on(
    processes: Scene, small_disk: Mount, tmp_path: Path
):
    """One attempt fills the disk: who needs room there fails and says so, who needs none runs on."""
    go = tmp_path / "go"
    async with processes.agent() as agent:
        await processes.start(waiting("beside", go))
        await processes.printed("up", step="beside")
        disk = await asyncio.to_thread(small_disk, tmp_path / "agents" / "m1" / "work", 64)
        glutton = shell("cat /dev/zero > fill 2>/dev/null; echo full; exec sleep 1000", "glutton")
        await processes.start(glutton)
        await processes.printed("full", step="glutton")

        await processes.start(shell("echo never", "bad", inputs=LONG))
        failed = await processes.until("attempt.failed")
        assert (failed.error.code, failed.phase, failed.retriable) == ("agent_failed", "start", True)
        assert "No space left on device" in failed.error.message
        assert not agent.task.done()
        await processes.start(shell("echo small", "small"))
        await processes.until("attempt.finished")

        await processes.stop(glutton.ref)
        await processes.until("attempt.stopped")
        await soon(lambda: not (disk.folder / "e1.glutton.1").exists())
        await processes.start(shell("echo well", "bad", inputs=LONG, attempt=2))
        await processes.until("attempt.finished", count=2)
        await go_on(go)
        await processes.printed("up", "over", step="beside")
        await processes.until("attempt.finished", count=3)


class Cramped:
    """An agent all of whose folder is on a small disk, and attempts that wait for a word."""

    def __init__(self, scene: Scene, disk: SmallDisk, agent: Agent, go: Path) -> None:
        self.scene, self.disk, self.agent, self.go = scene, disk, agent, go
        self.new = [shell("true", f"new-{number}") for number in range(30)]

    async def crowd(self, stuck: Callable[[], bool]) -> None:
        """Fill the disk, then the last page of the journal."""
        self.fill = await asyncio.to_thread(self.disk.fill)
        await self.scene.start(*self.new)
        await soon(stuck)

    async def room(self) -> None:
        """Somebody cleans up."""
        await asyncio.to_thread(self.fill.unlink)

    async def ends(self) -> Counter[str]:
        """How often each step has ended."""
        events = [recorded.event for recorded in await self.scene.events("e1")]
        return Counter(event.step or "" for event in events if event.kind in ENDS)

    async def all_ended(self, steps: int) -> None:
        """Wait until so many steps have ended."""
        async with asyncio.timeout(30):
            while len(await self.ends()) < steps:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def cramped(processes: Scene, small_disk: Mount, tmp_path: Path) -> AsyncIterator[Cramped]:
    """With two attempts that run."""
    go = tmp_path / "go"
    disk = await asyncio.to_thread(small_disk, tmp_path / "agents" / "m1", 256)
    async with processes.agent(slots=40) as agent:
        await processes.start(waiting("a", go), waiting("b", go))
        await processes.printed("up", step="a")
        await processes.printed("up", step="b")
        await processes.until("attempt.started", count=2)
        yield Cramped(processes, disk, agent, go)


async def test_the_agent_works_on_when_there_is_room(cramped: Cramped, caplog):
    """Attempts run on and print, their ends and new orders wait; with room each has one end, and none was run twice."""
    await cramped.crowd(lambda: "journal cannot be written" in caplog.text)
    await go_on(cramped.go)
    await cramped.scene.printed("up", "over", step="a")
    await cramped.scene.printed("up", "over", step="b")
    assert not cramped.agent.task.done()
    before = await cramped.ends()
    assert len(before) < len(cramped.new) + 2
    await cramped.room()
    await cramped.all_ended(len(cramped.new) + 2)
    assert set((await cramped.ends()).values()) == {1}
    accepted = Counter(
        recorded.event.step
        for recorded in await cramped.scene.events("e1")
        if recorded.event.kind == "attempt.accepted"
    )
    assert set(accepted.values()) == {1}
    failed = [
        recorded.event.data.error
        for recorded in await cramped.scene.events("e1")
        if recorded.event.kind == "attempt.failed"
    ]
    assert {error.code for error in failed} <= {"agent_failed"}
    await cramped.scene.start(shell("true", "last"))
    await cramped.all_ended(len(cramped.new) + 3)


async def test_an_agent_killed_there_forgets_nothing(cramped: Cramped, caplog):
    """Dead before the ends were written: the next agent answers for every attempt that this one had taken up."""
    await cramped.crowd(lambda: "journal cannot be written" in caplog.text)
    await go_on(cramped.go)
    await cramped.scene.printed("up", "over", step="a")
    await cramped.scene.printed("up", "over", step="b")
    await cramped.agent.die()
    known = {
        recorded.event.step
        for recorded in await cramped.scene.events("e1")
        if recorded.event.kind == "attempt.accepted"
    }
    assert {"a", "b"} <= known
    await cramped.room()
    async with cramped.scene.agent(slots=40):
        async with asyncio.timeout(30):
            while not known <= set(await cramped.ends()):
                await asyncio.sleep(0.02)
    assert set((await cramped.ends()).values()) == {1}


async def test_an_agent_does_not_start_without_room(processes: Scene, small_disk: Mount, tmp_path: Path):
    """It says in a sentence where there is no room; with room it starts."""
    disk = await asyncio.to_thread(small_disk, tmp_path / "agents" / "m1", 16)
    fill = await asyncio.to_thread(disk.fill)
    waiting = Agent(processes, processes.broker, processes.options)
    with pytest.raises(AgentFailedError, match="cannot be used: No space left on device"):
        await waiting.is_ready()
    await asyncio.to_thread(fill.unlink)
    async with processes.agent():
        await processes.start(shell("true"))
        await processes.until("attempt.finished")
