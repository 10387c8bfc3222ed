"""An agent's end, and what the next one makes of what it left."""

import asyncio

import pytest

from muster.broker.memory import MemoryBroker
from muster.model.errors import ContainerStartingError, InvalidArgumentError, NameInvalidError
from muster.model.log.catalogue import AttemptStopped
from muster.model.log.commands import AttemptResources
from muster_agents import removal
from muster_agents.runtimes.interface import Found
from tests.unit.agents.absence import Absence
from tests.unit.agents.fake import FakeRun, FakeRuntime, never, well
from tests.unit.agents.scene import Agent, Scene, order

REF = order().ref


async def test_a_running_container_is_adopted(scene: Scene, fake: FakeRuntime):
    """The next agent goes on with what runs, answers for it, and repeats nothing that was told."""
    fake.script = never
    async with scene.agent() as first:
        await scene.start(order())
        await scene.until("attempt.started")
        await first.die()
    fake.there = [Found(ref=REF, container="c-work", running=True)]
    fake.script = well
    async with scene.agent():
        assert (await scene.connection()).attempts == [REF]
        await scene.until("attempt.finished")
    kinds = await scene.kinds()
    assert kinds[-2:] == ["container.exited", "attempt.finished"]
    assert all(kinds.count(kind) == 1 for kind in kinds)
    assert fake.runs[REF].diary == ["wait", "remove"]


async def test_what_was_not_told_is_told_on_adoption(scene: Scene, fake: FakeRuntime):
    """An agent killed between the start and telling of it leaves that to the next one."""
    reached = asyncio.Event()

    async def starting(run: FakeRun) -> None:
        reached.set()
        await asyncio.Event().wait()

    fake.starting = starting
    async with scene.agent() as first:
        await scene.start(order())
        await reached.wait()
        await first.die()
    fake.there = [Found(ref=REF, container="c-work", running=False)]
    async with scene.agent():
        await scene.until("attempt.finished")
    assert (await scene.kinds())[3:] == [
        "container.starting",
        "container.started",
        "attempt.started",
        "container.exited",
        "attempt.finished",
    ]


@pytest.mark.parametrize("there", ["nothing", "created"])
async def test_what_is_gone_is_lost(scene: Scene, fake: FakeRuntime, there: str):
    """An attempt without a container that ever ran is told lost; the container that never ran is removed."""
    fake.script = never
    async with scene.agent() as first:
        await scene.start(order())
        await scene.until("attempt.started")
        await first.die()
    if there == "created":
        fake.there = [Found(ref=REF, container="half", running=False, started=False)]
    async with scene.agent():
        failed = await scene.until("attempt.failed")
    assert (failed.reason, failed.error.code, failed.phase) == ("lost", "attempt_lost", "run")
    assert fake.discarded == (["half"] if there == "created" else [])


async def test_orphans_are_removed(scene: Scene, fake: FakeRuntime):
    """A container nobody answers for is removed, and nothing is told of it."""
    fake.there = [Found(ref=REF, container="orphan", running=True)]
    async with scene.agent():
        pass
    assert fake.discarded == ["orphan"]
    assert not await scene.kinds()


async def test_an_engine_that_is_away_when_an_orphan_is_to_go(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """It is removed when the engine is back, and keeps its GPU until then; the agent's end does not wait for it."""
    absence = Absence(fake.discarded)
    fake.discard = absence.discard  # type: ignore[method-assign]
    fake.there = [Found(ref=REF, container="orphan", running=True, gpus=["a"])]
    monkeypatch.setattr(removal, "REMOVE_AGAIN_S", 0.01)
    absence.away.set()
    async with scene.agent(gpus=["a"]):
        await absence.tried("orphan")
    assert fake.discarded == []
    async with scene.agent(gpus=["a"]):
        await scene.start(order("one", resources=AttemptResources(gpus=1)))
        await absence.tried("orphan")
        assert "attempt.started" not in await scene.kinds()
        absence.away.clear()
        await scene.until("attempt.finished")
    assert fake.discarded == ["orphan"]
    assert [run.gpus for run in fake.runs.values()] == [["a"]]


async def test_a_finished_attempt_whose_end_was_not_sent_is_told(
    scene: Scene, memory: MemoryBroker, fake: FakeRuntime
):
    """The end of an attempt survives in the outbox, and the agent answers for it until it is sent."""
    agents = MemoryBroker(memory.store)
    async with scene.agent(agents) as first:
        agents.hold_appends()
        await scene.start(order())
        while REF not in fake.runs or "remove" not in fake.runs[REF].diary:
            await asyncio.sleep(0.01)
        await first.die()
    async with scene.agent(MemoryBroker(memory.store)):
        assert (await scene.connection()).attempts == [REF]
        await scene.until("attempt.finished")


# ---- the end


async def test_the_end_is_in_order(scene: Scene, fake: FakeRuntime):
    """An agent that ends stops what runs, says so, says goodbye last, and removes everything."""
    fake.script = never
    async with scene.agent():
        await scene.start(order("a"), order("b"))
        await scene.until("attempt.started", count=2)
    events = [recorded.event for recorded in await scene.events()]
    assert [event.kind for event in events[-3:]] == [
        "attempt.stopped",
        "attempt.stopped",
        "machine.disconnected",
    ]
    assert isinstance(events[-2].data, AttemptStopped)
    assert events[-2].data.reason == "agent ends"
    assert all(run.diary[-1] == "remove" for run in fake.runs.values())


async def test_an_end_without_a_broker_is_an_end(scene: Scene, memory: MemoryBroker, fake: FakeRuntime):
    """Facts that cannot be sent do not hold the agent; the next one sends them, but not the old goodbye."""
    agents = MemoryBroker(memory.store)
    fake.script = never
    async with scene.agent(agents, drain_flush_s=0.1):
        await scene.start(order())
        await scene.until("attempt.started")
        agents.disconnect()
    async with scene.agent():
        await scene.until("attempt.stopped")
        kinds = [recorded.event.kind for recorded in await scene.events("-")]
        assert kinds == ["machine.connected", "machine.connected"]


async def test_an_agent_without_a_broker_can_be_ended(scene: Scene, memory: MemoryBroker):
    """An agent that waits for the broker ends when it is told to, without having been ready."""
    agents = MemoryBroker(memory.store)
    agents.disconnect()
    waiting = Agent(scene, agents, scene.options)
    await asyncio.sleep(0.1)
    await waiting.end()
    assert not await scene.events()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "Not Legal"}, NameInvalidError),
        ({"name": "scheduler"}, NameInvalidError),
        ({"slots": 0}, InvalidArgumentError),
        ({"colour": "red"}, TypeError),
    ],
)
async def test_bad_options_are_refused(scene: Scene, options, error):
    """What an agent cannot be is an error before anything is done."""
    with pytest.raises(error):
        async with scene.agent(**options):
            pass


async def test_an_engine_that_is_away_when_an_attempt_is_over(
    scene: Scene, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
):
    """Its container is removed when it is back, and keeps its GPU until then; the agent's end does not wait for it."""
    remove, away, tries = FakeRun.remove, asyncio.Event(), asyncio.Queue[str]()

    async def removes(run: FakeRun) -> None:
        tries.put_nowait(run.container)
        if away.is_set():
            raise ContainerStartingError("the engine does not answer")
        await remove(run)

    monkeypatch.setattr(FakeRun, "remove", removes)
    monkeypatch.setattr(removal, "REMOVE_AGAIN_S", 0.01)
    gpu = AttemptResources(gpus=1)
    async with scene.agent(gpus=["a"]):
        away.set()
        await scene.start(order("one", resources=gpu))
        await scene.until("attempt.finished")
        await scene.start(order("two", resources=gpu))
        for _ in range(3):
            assert await tries.get() == "c-one"
        away.clear()
        await scene.until("attempt.finished", count=2)
        away.set()
    [one, two] = fake.runs.values()
    assert (one.diary[-1], one.gpus, two.gpus) == ("remove", ["a"], ["a"])
