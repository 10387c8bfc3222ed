"""Running again under an id that was used before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from muster.broker.memory import MemoryBroker
from muster.client import Client
from muster.model.errors import ExecutionConflictError
from muster.model.log import catalogue, commands
from muster.model.log.envelope import Event
from muster.model.reuse.request import asked_for
from tests.unit.client.story import HELLO, FakeScheduler, Story


class Scheduler:
    """Takes the first wish under each id, and refuses any other."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}

    def play(self, command: commands.Command) -> list[Event]:
        if isinstance(command, commands.Submit):
            self.taken[command.execution] = "a submit"
            return Story(command.execution).whole()
        assert isinstance(command, commands.Rerun)
        asked, story = asked_for(command), Story(command.execution)
        before = self.taken.setdefault(command.execution, asked)
        if before != asked:
            error = ExecutionConflictError(execution=command.execution).info()
            made = story.decides(catalogue.CommandRefused(command=command.id, verb="rerun", error=error))
        else:
            made = story.queued(rerun_of=command.of, digest=asked)
        return [msgspec.structs.replace(made, id=f"{command.execution}:{asked}", cause=command.id)]


@pytest_asyncio.fixture
async def connected() -> AsyncIterator[Client]:
    """A client, and two executions that have ended."""
    broker = MemoryBroker()
    await broker.prepare()
    async with FakeScheduler(broker, Scheduler().play), Client(broker=broker) as client:
        for execution in ("first", "second"):
            await client.submit(HELLO, {"name": "you"}, execution=execution)
        yield client
    await broker.close()


HOW: dict[str, Any] = {"from_step": "greet"}


async def test_the_same_again_is_the_same_execution(connected: Client):
    """A repetition is safe: nothing new is begun."""
    assert await connected.rerun("first", rerun_as="again", **HOW) == "again"
    async with await connected.relaunch("first", rerun_as="again", **HOW) as watch:
        assert watch.already
        assert watch.view.id == "again"


@pytest.mark.parametrize(
    ("of", "how"),
    [
        ("second", HOW),
        ("first", {"from_step": "count"}),
        ("first", {"only_failed": True}),
        ("first", {"inputs": {"name": "another"}}),
        ("first", {**HOW, "no_cache": True}),
        ("first", {}),
    ],
)
async def test_another_wish_under_the_same_id_is_a_conflict(connected: Client, of: str, how: dict[str, Any]):
    """Whoever asks for something else is told that the id is taken, and not given the other's execution."""
    await connected.rerun("first", rerun_as="again", **HOW)
    with pytest.raises(ExecutionConflictError, match="again is taken by a run with other content") as found:
        await connected.rerun(of, rerun_as="again", **how)
    assert "new id" in found.value.advice


async def test_the_id_of_a_submit_is_taken(connected: Client):
    """It is no rerun at all."""
    with pytest.raises(ExecutionConflictError):
        await connected.rerun("first", rerun_as="second")
