"""The scheduler as a service, on the broker in memory, with a real agent on the noop runtime."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from muster.broker.memory import MemoryBroker
from muster.identity import uuid7
from muster.model.log.commands import Cancel, Clear
from muster.scheduler.service import serve
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.site import QUICK, Jumping, Site, once, within


async def test_a_workflow_runs(site: Site) -> None:
    """A submitted diamond is run by the agent and succeeds."""
    await site.scheduler("a")
    await site.agent()
    async with within(5):
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
    once(await site.history(execution))


async def test_two_schedulers_and_one_leads(site: Site) -> None:
    """Of two schedulers one is elected; the other stands by and writes nothing."""
    await site.scheduler("a")
    await site.until("leader.elected")
    await site.scheduler("b")
    await site.agent()
    async with within(5):
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
    assert await site.elections() == 1


async def test_a_standby_takes_over(site: Site) -> None:
    """When the leader is cut off, a standby leads; the old leader stands down and stays out when it is back."""
    first = await site.scheduler("a")
    await site.until("leader.elected")
    await site.scheduler("b")
    await site.agent()
    async with within(5):
        first.disconnect()
        await site.until("leader.elected", count=2)
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        first.reconnect()
        again = await site.submit(diamond())
        await site.until("execution.succeeded", again)
    once(await site.history(execution))
    once(await site.history(again))


@pytest.mark.parametrize("fault", ["lose_acks", "lose_writes"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
async def test_an_append_with_unknown_outcome(site: Site, fault: str, after: int) -> None:
    """Whether a round was written or not, the leader finds out, and every event stands in the log once."""
    leader = await site.scheduler("a")
    await site.agent()
    await site.until("machine.connected")
    async with within(10):
        if after == 0:
            getattr(leader, fault)(1)
        execution = await site.submit(diamond())
        if after:
            await site.until("step.scheduled", execution, after)
            getattr(leader, fault)(1)
        await site.until("execution.succeeded", execution)
    once(await site.history(execution))


@pytest.mark.parametrize("stored", range(6))
async def test_a_half_written_round(site: Site, stored: int) -> None:
    """A round of which only the first events were stored is finished with the same ids."""
    leader = await site.scheduler("a")
    await site.agent()
    await site.until("machine.connected")
    async with within(10):
        leader.cut_next(stored)
        execution = await site.submit(workflow(*({"id": f"s{n}"} for n in range(4))))
        await site.until("execution.succeeded", execution)
    history = await site.history(execution)
    once(history)
    numbers = [int(r.event.id.split(":")[1]) for r in history if r.event.writer == "scheduler"]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("stored", range(6))
async def test_a_half_written_round_is_finished_by_a_successor(site: Site, stored: int) -> None:
    """What a leader left half written the next one finishes, with ids that leave no gap."""
    leader = await site.scheduler("a")
    await site.until("leader.elected")
    await site.scheduler("b")
    await site.agent()
    await site.until("machine.connected")
    async with within(10):
        leader.cut_next(stored)
        execution = await site.submit(workflow(*({"id": f"s{n}"} for n in range(4))))
        while not any(r.event.execution == execution for r in await site.history(execution)) and stored:
            await asyncio.sleep(0)
        leader.disconnect()
        await site.until("leader.elected", count=2)
        await site.submit(workflow(*({"id": f"s{n}"} for n in range(4))), execution)
        await site.until("execution.succeeded", execution)
    once(await site.history(execution))


async def test_a_silent_machine_is_found_offline_and_its_work_moves(site: Site) -> None:
    """A machine whose beats stop is found offline with evidence, and what it had runs elsewhere."""
    await site.scheduler("a")
    silent = await site.agent("m1")
    await site.until("machine.connected")
    async with within(10):
        silent.disconnect()
        offline = await site.until("machine.offline")
        evidence = offline.event.data.evidence
        assert evidence.missed >= 3
        assert evidence.last_beat is not None
        await site.agent("m2")
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        silent.reconnect()
        await site.until("machine.online")


async def test_a_scheduler_that_was_cut_off_blames_nobody(site: Site) -> None:
    """Silence during the scheduler's own absence is no evidence against a machine."""
    leader = await site.scheduler("a")
    await site.agent("m1")
    await site.until("machine.connected")
    async with within(10):
        leader.disconnect()
        await asyncio.sleep(0.8)  # longer than three beats and the slack: the time itself is what is tested
        leader.reconnect()
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
    kinds = {r.event.kind async for batch in site.client.log.read(1) for r in batch}
    assert "machine.offline" not in kinds


async def test_a_scheduler_that_slept_blames_nobody(site: Site) -> None:
    """The first round after a sleep, before anything that came meanwhile was read, takes no silence for a sign."""
    clock = Jumping()
    await site.scheduler("a", clock=clock)
    await site.agent("m1")
    await site.until("machine.connected")
    async with within(5):
        for _ in range(5):
            clock.ahead_s += 20.0
            execution = await site.submit(diamond())
            await site.until("execution.succeeded", execution)
    kinds = {r.event.kind async for batch in site.client.log.read(1) for r in batch}
    assert "machine.offline" not in kinds


async def test_a_standby_that_slept_leaves_the_lead_alone(site: Site) -> None:
    """A standby that wakes up listens for the leader's beats before it stands for election."""
    clock = Jumping()
    await site.scheduler("a")
    await site.until("leader.elected")
    await site.scheduler("b", clock=clock)
    await site.agent("m1")
    async with within(5):
        for _ in range(5):
            clock.ahead_s += 20.0
            execution = await site.submit(diamond())
            await site.until("execution.succeeded", execution)
    assert await site.elections() == 1


async def test_a_cancel_of_an_unknown_execution_is_refused(site: Site) -> None:
    """The refusal is in the log, under the id that was asked for."""
    await site.scheduler("a")
    async with within(5):
        await site.client.commands.send("scheduler", "cancel", Cancel(id=uuid7(), execution="nobody"))
        refused = await site.until("command.refused", "nobody")
    assert refused.event.data.error.code == "execution_not_found"


async def test_an_ended_execution_is_known_beyond_the_memory(site: Site) -> None:
    """A repeated submit of an execution that memory has let go is recognised from the log."""
    policy = msgspec.structs.replace(QUICK["policy"], ended_kept=1)
    await site.scheduler("a", policy=policy)
    await site.agent()
    async with within(5):
        first = await site.submit(diamond())
        await site.until("execution.succeeded", first)
        for _ in range(3):
            other = await site.submit(diamond())
            await site.until("execution.succeeded", other)
        await site.submit(workflow({"id": "other"}), first)
        refused = await site.until("command.refused", first)
    assert refused.event.data.error.code == "execution_conflict"


async def test_clear_leaves_only_the_marker(site: Site) -> None:
    """Clearing an ended execution erases its events but for the mark; doing it again is harmless."""
    await site.scheduler("a")
    await site.agent()
    async with within(5):
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        for _ in range(2):
            await site.client.commands.send("scheduler", "clear", Clear(id=uuid7(), execution=execution))
            await site.until("execution.cleared", execution)
        again = await site.submit(diamond())
        await site.until("execution.succeeded", again)
    assert [r.event.kind for r in await site.history(execution)] == ["execution.cleared"]


async def test_clear_of_a_live_execution_is_refused(site: Site) -> None:
    """What has not ended is not erased."""
    await site.scheduler("a")
    async with within(5):
        execution = await site.submit(diamond())
        await site.client.commands.send("scheduler", "clear", Clear(id=uuid7(), execution=execution))
        refused = await site.until("command.refused", execution)
    assert refused.event.data.error.code == "execution_not_ended"


async def test_one_that_is_cancelled_while_it_stands_by_leaves_no_task(site: Site) -> None:
    """As where another part of the same process failed: nothing of it goes on to ask for votes."""
    await site.scheduler("a")
    await site.until("leader.elected")
    stands_by = asyncio.Event()
    broker = MemoryBroker(site.store)
    serving = asyncio.create_task(
        serve(broker, site.settings, stop=asyncio.Event(), ready=lambda _: stands_by.set(), name="b", **QUICK)
    )
    await stands_by.wait()
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "Election" in repr(task.get_coro())]
    serving.cancel()
    await asyncio.wait({serving})
    assert not [task for task in asyncio.all_tasks() if "Election" in repr(task.get_coro())]
    await broker.close()
