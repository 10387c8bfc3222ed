"""The agent as a whole on the in-memory broker: commands, room, restarts, replacement, the end."""

import asyncio
from datetime import UTC, datetime

import pytest

from muster.broker.interface import Refused
from muster.broker.memory import MemoryBroker
from muster.model.catalogue import AttemptRef, AttemptStopped, MachineConnected, MachineFacts
from muster.model.commands import AttemptResources, Command
from muster.model.envelope import Event
from muster.model.errors import InvalidArgumentError, LogChangedError, NameInvalidError, ReplacedError
from muster_agents.runtimes.interface import Found
from tests.unit.agents.fake import FakeRun, FakeRuntime, never, well
from tests.unit.agents.scene import Agent, Scene, order

REF = order().ref


# ---- commands


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


async def test_nonsense_is_dropped(scene: Scene, memory: MemoryBroker, caplog):
    """A command that cannot be read is acknowledged with an error in the agent's log, and the next one is obeyed."""
    async with scene.agent():
        await scene.broker.commands.send("m1", "dance", Command(id="x"))
        await scene.start(order())
        await scene.until("attempt.finished")
    assert "there is no command 'dance'" in caplog.text


# ---- connection


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


# ---- restarts


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
