"""Commands to an agent: starts, stops, room."""

import asyncio

import pytest

from muster.broker.memory import MemoryBroker
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import AttemptResources, Command
from tests.unit.agents.fake import FakeRuntime, never, well
from tests.unit.agents.scene import Scene, order

REF = order().ref


async def test_an_attempt_is_accepted_started_and_finished(scene: Scene):
    """A start becomes facts, numbered, and named after machine, step and attempt."""
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.finished")
        assert await scene.kinds() == ["attempt.accepted", "attempt.started", "attempt.finished"]
        events = [recorded.event for recorded in await scene.events("e1")]
        assert [event.n for event in events] == [1, 2, 3]
        assert {(event.machine, event.step, event.attempt) for event in events} == {("m1", "work", 1)}


async def test_an_attempt_that_is_here_is_not_started_twice(scene: Scene, fake: FakeRuntime):
    """The same attempt ordered again, while it runs or after its end, changes nothing."""
    fake.script = never
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.started")
        await scene.start(order())
        await scene.stop(REF)
        await scene.until("attempt.stopped")
        await scene.start(order())
        fake.script = well
        await scene.start(order("marker"))
        await scene.until("attempt.finished")
        assert (await scene.kinds()).count("attempt.accepted") == 2


async def test_a_start_for_another_connection_is_ignored(scene: Scene):
    """A start that was meant for an earlier connection is acknowledged and not done."""
    async with scene.agent():
        pass
    async with scene.agent():
        await scene.start(order("old"), session=await scene.session() - 1)
        await scene.start(order("new"))
        await scene.until("attempt.finished")
        assert {recorded.event.step for recorded in await scene.events("e1")} == {"new"}


async def test_a_stop_that_overtakes_its_start_is_remembered(scene: Scene, fake: FakeRuntime):
    """The start is then answered with stopped, and nothing is run."""
    async with scene.agent():
        await scene.stop(REF, reason="too late")
        await scene.start(order())
        assert (await scene.until("attempt.stopped")).reason == "too late"
        assert await scene.kinds() == ["attempt.stopped"]
    assert not fake.runs


@pytest.mark.parametrize(
    "wanted",
    [
        AttemptResources(slots=2),
        AttemptResources(cpus=3.0),
        AttemptResources(memory=700 << 20),
        AttemptResources(gpus=1),
    ],
)
async def test_what_does_not_fit_is_answered_so(scene: Scene, fake: FakeRuntime, wanted: AttemptResources):
    """A start for which there is no room fails as no_capacity, says what is missing, and may be tried again."""
    fake.script = never
    async with scene.agent(slots=2):
        await scene.start(order("first", resources=AttemptResources(slots=1, cpus=2.0, memory=600 << 20)))
        await scene.until("attempt.started")
        await scene.start(order("second", resources=wanted))
        failed = await scene.until("attempt.failed")
    assert (failed.reason, failed.retriable) == ("no_capacity", True)
    assert "asked for" in failed.error.message


async def test_room_is_free_when_the_end_is_told(scene: Scene):
    """Whoever reads that an attempt has ended can give its place to the next one at once."""
    async with scene.agent(slots=1):
        for number in range(1, 20):
            await scene.start(order(f"s{number}"))
            await scene.until("attempt.finished", count=number)
        assert "attempt.failed" not in await scene.kinds()


async def test_a_stop_acts_although_every_slot_is_taken(scene: Scene, fake: FakeRuntime):
    """Commands never wait for attempts."""
    fake.script = never
    async with scene.agent(slots=1):
        await scene.start(order())
        await scene.until("attempt.started")
        await scene.start(order("more"))
        await scene.stop(REF)
        await scene.until("attempt.stopped")


async def test_a_stop_acts_although_the_outbox_is_full(scene: Scene, fake: FakeRuntime, memory: MemoryBroker):
    """A start waits for the outbox; a stop behind it does not, and everything is told in the end."""
    fake.script = never
    async with scene.agent(outbox_bytes=1):
        await scene.start(order("running"))
        await scene.until("attempt.started")
        memory.hold_appends()
        await scene.start(order("waiting"), order("too"))
        await scene.stop(AttemptRef("e1", "running", 1))
        await fake.runs[AttemptRef("e1", "running", 1)].stopped.wait()
        memory.release_appends()
        await scene.until("attempt.stopped")
        await scene.until("attempt.started", count=3)


async def test_what_was_obeyed_leaves_the_queue(scene: Scene, memory: MemoryBroker, fake: FakeRuntime):
    """Starts a little later than they were obeyed, many at once; an agent that ends leaves none behind."""
    fake.script = never
    async with scene.agent():
        await scene.start(order("one"))
        await scene.start(order("two"))
        await scene.until("attempt.started", count=2)
        await scene.stop(AttemptRef("e1", "one", 1))
        await scene.until("attempt.stopped")
        async with asyncio.timeout(10):
            while memory.store.queues.items["m1"]:
                await asyncio.sleep(0.005)
        await scene.start(order("three"))
        await scene.until("attempt.started", count=3)
    assert memory.store.queues.items["m1"] == []


async def test_nonsense_is_dropped(scene: Scene, memory: MemoryBroker, caplog):
    """A command that cannot be read is acknowledged with an error in the agent's log, and the next one is obeyed."""
    async with scene.agent():
        await scene.broker.commands.send("m1", "dance", Command(id="x"))
        await scene.start(order())
        await scene.until("attempt.finished")
    assert "there is no command 'dance'" in caplog.text
