"""What a client refuses before it shows or reads anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from muster.broker.memory import MemoryBroker
from muster.client import Client
from muster.model.errors import ExecutionConflictError, InvalidArgumentError, NameInvalidError
from muster.model.log import commands
from muster.model.log.envelope import Event
from tests.unit.client.story import HELLO, FakeScheduler, Story


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    """The in-memory broker."""
    made = MemoryBroker()
    await made.prepare()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def connected(broker: MemoryBroker) -> AsyncIterator[Client]:
    """A client of it."""
    async with Client(broker=broker) as made:
        yield made


def runs(command: commands.Command) -> list[Event]:
    """A scheduler that plays the whole story."""
    assert isinstance(command, commands.Submit)
    return Story(command.execution).whole()


async def test_a_refused_submit_shows_nothing_of_the_execution_that_has_the_id(
    broker: MemoryBroker, connected: Client
):
    """What the listener is told begins with the acceptance: of another execution under this id it hears nothing."""
    heard: list[str] = []
    async with FakeScheduler(broker, runs):
        await connected.run(HELLO, {"name": "you"}, execution="mine")
        with pytest.raises(ExecutionConflictError):
            await connected.launch(
                HELLO,
                {"name": "another"},
                execution="mine",
                listener=lambda recorded, _: heard.append(recorded.event.kind),
            )
    assert heard == []


async def test_a_listener_hears_all_from_the_first_event_on(broker: MemoryBroker, connected: Client):
    """What was folded until the acceptance is told in order once it is accepted."""
    heard: list[int] = []
    async with FakeScheduler(broker, runs):
        launched = connected.launch(
            HELLO, {"name": "you"}, listener=lambda recorded, _: heard.append(recorded.sequence)
        )
        async with await launched as watch:
            await watch.until_finished()
    assert heard == list(range(1, len(Story().whole()) + 1))


async def test_an_empty_id_is_refused(broker: MemoryBroker, connected: Client):
    """An id that was given and is empty is not one that was left out."""
    async with FakeScheduler(broker, runs) as scheduler:
        with pytest.raises(NameInvalidError):
            await connected.submit(HELLO, {"name": "you"}, execution="")
    assert scheduler.received == []


async def test_events_beyond_the_end_of_the_log_are_refused(broker: MemoryBroker, connected: Client):
    """One may begin where the next event will stand, and not above: the error says where the log ends."""
    await broker.log.append(Story().whole())
    last = (await broker.log.position()).last
    assert [item async for item in connected.events(from_sequence=last + 1)] == []
    with pytest.raises(
        InvalidArgumentError, match=rf"ends at {last}:.* from {last + 2} on.* Begin at {last + 1}"
    ):
        await anext(connected.events(from_sequence=last + 2))
