"""An agent's place in the log: connecting, beating, being replaced, a broker that is away."""

import asyncio
from datetime import UTC, datetime

import pytest

from muster.broker.interface import Refused
from muster.broker.memory import MemoryBroker
from muster.model.errors import LogChangedError, ReplacedError
from muster.model.log.catalogue import MachineConnected, MachineFacts
from muster.model.log.envelope import Event
from tests.unit.agents.fake import FakeRun, FakeRuntime, never, well
from tests.unit.agents.scene import Scene, order

REF = order().ref


async def test_the_connection_says_what_the_machine_is(scene: Scene, fake: FakeRuntime):
    """machine.connected carries the facts; what a flag says wins over what the runtime knows."""
    async with scene.agent(labels={"gpu": "true"}, cpus=1.5):
        connection = await scene.connection()
    facts = connection.facts
    assert (facts.slots, facts.cpus, facts.memory, facts.labels) == (8, 1.5, 1 << 30, {"gpu": "true"})
    assert (facts.engine, facts.engine_version, facts.os) == ("fake", "1", "linux")


async def test_beats_carry_session_attempts_and_number(scene: Scene, fake: FakeRuntime):
    """Beats come at once and go on, with growing numbers and what runs."""
    fake.script = never
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.started")
        beats = []
        async for beat in scene.broker.heartbeats.listen():
            beats.append(beat)
            if len(beats) == 3:
                break
        assert [beat.sequence - beats[0].sequence for beat in beats] == [0, 1, 2]
        assert {beat.session for beat in beats} == {await scene.session()}
        assert beats[-1].running == [REF]


async def test_numbers_go_on_after_a_restart(scene: Scene):
    """The next agent of the name numbers its facts from where the log stands."""
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.finished")
    async with scene.agent():
        await scene.start(order(attempt=2))
        await scene.until("attempt.finished", count=2)
    events = [recorded.event for recorded in await scene.events()]
    counted = [event.n for event in events if not isinstance(event.data, MachineConnected)]
    assert counted == list(range(1, len(counted) + 1))


async def test_a_new_disk_does_not_use_old_numbers(scene: Scene, tmp_path):
    """An agent whose disk is empty, of a machine the log knows, begins above everything it can have used."""
    async with scene.agent():
        await scene.start(order())
        await scene.until("attempt.finished")
    elsewhere = Scene(scene.broker, tmp_path / "new")
    async with elsewhere.agent():
        await elsewhere.start(order(attempt=2))
        await elsewhere.until("attempt.finished", count=2)
    assert ((await elsewhere.events("e1"))[-1].event.n or 0) > 1_700_000_000_000


async def test_a_second_agent_of_the_name_takes_over(scene: Scene, fake: FakeRuntime, tmp_path):
    """The first is told so, even if it has nothing to write, and leaves its containers to the second."""
    fake.script = never
    async with scene.agent() as first:
        await scene.start(order())
        await scene.until("attempt.started")
        second = Scene(scene.broker, tmp_path / "other")
        async with second.agent():
            with pytest.raises(ReplacedError, match="Another agent took the name 'm1'"):
                await first.task
            await first.die()
    assert "remove" not in fake.runs[REF].diary


async def test_a_replaced_agent_leaves_commands_to_the_other(scene: Scene, memory: MemoryBroker, tmp_path):
    """A start for the newer connection is not acknowledged by the older agent, which then knows it was replaced."""
    async with scene.agent(guard_s=60) as first:
        await memory.log.append([second_connection()])
        await scene.start(order(), session=await scene.session())
        with pytest.raises(ReplacedError):
            await first.task
        await first.die()
    assert memory.store.queues.items["m1"]


def second_connection() -> Event:
    return Event(
        id="other",
        writer="m1",
        machine="m1",
        time=datetime.now(UTC),
        data=MachineConnected(instance="other", facts=MachineFacts(), interval_s=1.0),
    )


async def test_a_refused_write_is_looked_into(scene: Scene, memory: MemoryBroker, fake: FakeRuntime):
    """The broker's refusal with the next write tells an agent that it was replaced."""
    fake.script = never
    async with scene.agent(guard_s=60) as first:
        session = await scene.session()
        await memory.log.append([second_connection()])
        await scene.start(order(), session=session)
        with pytest.raises(ReplacedError):
            await first.task
        await first.die()


async def test_a_log_that_was_made_anew_ends_the_agent(scene: Scene, memory: MemoryBroker):
    """An agent whose connection is not in the log any more says so and stops."""
    async with scene.agent() as first:
        memory.store.wipe()
        with pytest.raises(LogChangedError, match="no longer holds the connection"):
            await first.task
        await first.die()


async def test_an_agent_replaced_from_another_machine_stops_its_own(
    scene: Scene, fake: FakeRuntime, tmp_path, monkeypatch
):
    """Where the other agent cannot reach the containers, they are stopped and removed."""
    fake.script = never
    async with scene.agent() as first:
        await scene.start(order())
        await scene.until("attempt.started")
        monkeypatch.setattr("muster_agents.facts._boot_id", lambda: "another")
        async with Scene(scene.broker, tmp_path / "other").agent():
            with pytest.raises(ReplacedError):
                await first.task
            await first.die()
    assert fake.runs[REF].diary[-2:] == ["stop 0", "remove"]


async def test_two_agents_cannot_share_a_disk(scene: Scene):
    """A second agent on the same data directory is refused in one sentence."""
    async with scene.agent():
        with pytest.raises(ReplacedError, match="already"):
            async with scene.agent(lock_wait_s=0.05):
                pass


@pytest.mark.parametrize("fault", ["lose_acks", "lose_writes", "refuse", "cut"])
async def test_writes_with_an_unknown_end_arrive_once(scene: Scene, memory: MemoryBroker, fault: str):
    """Whether a write got through or not, every fact is in the log, once and in order."""
    async with scene.agent():
        session = await scene.session()
        if fault == "cut":
            memory.cut_next(1)
        elif fault == "refuse":
            memory.refuse_next(Refused(10077, "maximum bytes exceeded", full=True))
        else:
            getattr(memory, fault)()
        await scene.start(order())
        await scene.until("attempt.finished")
        assert await scene.session() == session
    events = [recorded.event.n for recorded in await scene.events("e1")]
    assert events == [1, 2, 3]


@pytest.mark.parametrize("fault", ["lose_acks", "lose_writes"])
async def test_a_connection_with_an_unknown_end_is_taken_once(scene: Scene, memory: MemoryBroker, fault: str):
    """An agent that does not know whether its connection is in the log finds out, and writes no second one."""
    agents = MemoryBroker(memory.store)
    getattr(agents, fault)()
    async with scene.agent(agents):
        await scene.start(order())
        await scene.until("attempt.finished")
    kinds = [recorded.event.kind for recorded in await scene.events("-")]
    assert kinds == ["machine.connected", "machine.disconnected"]


async def test_facts_wait_while_the_broker_is_away(scene: Scene, memory: MemoryBroker, fake: FakeRuntime):
    """What happens while the connection is away is told when it is back."""
    agents = MemoryBroker(memory.store)
    end = asyncio.Event()

    async def script(run: FakeRun):
        await end.wait()
        return await well(run)

    fake.script = script
    async with scene.agent(agents):
        await scene.start(order())
        await scene.until("attempt.started")
        agents.disconnect()
        end.set()
        while "remove" not in fake.runs[REF].diary:
            await asyncio.sleep(0.01)
        assert "attempt.finished" not in await scene.kinds()
        agents.reconnect()
        await scene.until("attempt.finished")


async def test_an_agent_cut_off_stops_its_attempts(scene: Scene, memory: MemoryBroker, fake: FakeRuntime):
    """After stop_after_disconnect the attempts are stopped, and the log hears of it later."""
    agents = MemoryBroker(memory.store)
    fake.script = never
    async with scene.agent(agents, stop_after_disconnect_s=0.1):
        await scene.start(order())
        await scene.until("attempt.started")
        agents.disconnect()
        await fake.runs[REF].stopped.wait()
        agents.reconnect()
        assert (await scene.until("attempt.stopped")).reason == "cut off"
