"""What machines and other schedulers should not write and some will: the leader passes it over, and goes on leading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from muster import fault
from muster.broker.interface import Fence, Outcome
from muster.broker.memory import MemoryBroker
from muster.model.errors import ExecutionError
from muster.model.log import catalogue as c
from muster.model.log import envelope, subjects
from muster.model.log.body import Body
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Heartbeat
from muster.model.log.envelope import Event
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.site import Site, once, within

DEEP = b"[" * 3000 + b"]" * 3000
DEEP_LINE = (
    b'{"specversion":"1.0","id":"m1/2","source":"/muster/machines/m1","type":"io.muster.attempt.finished.v1",'
    b'"time":"2026-11-21T12:00:00Z","data":{"outputs":{"x":'
    + DEEP
    + b'}},"execution":"x","step":"a","attempt":1,'
    b'"machine":"m1","n":2}'
)

# ---- facts


async def goes_on(site: Site) -> None:
    """The leader has judged everybody, runs what is submitted, and has led all the time."""
    await site.agent("m2")
    await site.many_ticks()
    execution = await site.submit(workflow({"id": "a", "machine": "m2"}))
    await site.until("execution.succeeded", execution)
    once(await site.history(execution))
    assert await site.elections() == 1


async def test_an_event_whose_time_has_no_zone(site: Site) -> None:
    """It cannot be compared with any other time, and counts as one that cannot be read."""
    await site.scheduler("a")
    async with within(10):
        machine = site.puppet(slots=0)
        machine.say(c.MachineDisconnected(reason="naive"), time=datetime(2026, 11, 21))
        await goes_on(site)
    assert [r.event.kind for r in await site.history("-") if r.event.writer == "m1"][1:] == [
        "unreadable.event"
    ]


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 1e300])
async def test_a_machine_that_beats_at_an_impossible_interval(site: Site, interval_s: float) -> None:
    """It is judged by the usual interval instead."""
    await site.scheduler("a")
    async with within(10):
        site.puppet(slots=0, interval_s=interval_s)
        await goes_on(site)


async def test_a_deeply_nested_event(site: Site) -> None:
    """It counts as one that cannot be read."""
    await site.scheduler("a")
    async with within(10):
        site.puppet(slots=0)
        site.store.put("muster.events.m1.x.attempt.finished", DEEP_LINE)
        await goes_on(site)
    assert [r.event.kind for r in await site.history("x")] == ["unreadable.event"]


async def test_a_backoff_that_overflows(site: Site) -> None:
    """A factor whose power is no number any more waits as long as the longest wait."""
    backoff = {"initial": "1ms", "factor": 1e200, "max": "1ms"}
    await site.scheduler("a")
    machine = site.puppet()
    async with within(10):
        execution = await site.submit(workflow({"id": "a", "retry": {"max_attempts": 5, "backoff": backoff}}))
        for attempt in range(1, 6):
            await site.until("step.scheduled", execution, attempt)
            failed = c.AttemptFailed(error=ExecutionError("no").info(), phase="run")
            machine.say(failed, AttemptRef(execution, "a", attempt))
        await site.until("execution.failed", execution)
    assert await site.elections() == 1


@pytest.mark.parametrize("attempts", [1, 2])
async def test_an_error_close_to_the_limit_is_told_twice(site: Site, attempts: int) -> None:
    """An error that just fits one event does not make the event too large that tells it again."""
    await site.scheduler("a")
    machine = site.puppet()
    retry = {"max_attempts": attempts, "backoff": {"initial": "1ms"}}
    async with within(10):
        execution = await site.submit(workflow({"id": "a", "retry": retry}, {"id": "b", "needs": ["a"]}))
        for attempt in range(1, attempts + 1):
            await site.until("step.scheduled", execution, attempt)
            error = ExecutionError("x" * (5 << 20)).info()
            machine.say(c.AttemptFailed(error=error, phase="run"), AttemptRef(execution, "a", attempt))
        failed = await site.until("step.failed", execution)
        await site.until("execution.failed", execution)
    assert "xxx" in str(failed.event.data.error)
    assert await site.elections() == 1


# ---- other schedulers


async def test_a_forged_goodbye(site: Site) -> None:
    """A goodbye for a term there never was costs no leader the lead; that of the leader itself does."""
    await site.scheduler("a")
    leading = await site.until("leader.elected")
    await site.scheduler("b", takeover_after_s=60.0)  # no silence takes the lead from a, only a goodbye
    async with within(10):
        for session in (1, leading.sequence - 1, 10**12):
            for _ in range(3):
                await site.client.heartbeats.beat(goodbye(session))
        await goes_on(site)
        await site.client.heartbeats.beat(goodbye(leading.sequence))
        await site.until("leader.elected", count=2)


def goodbye(session: int) -> Heartbeat:
    """The leader's last beat."""
    return Heartbeat(
        name=SCHEDULER, sequence=1, session=session, interval_s=1.0, time=datetime.now(UTC), leaving=True
    )


async def test_the_state_is_dropped_while_a_round_is_settled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round whose answer comes when another was elected meanwhile is settled on whatever state there is then."""
    async with within(10):
        late = await busy(site, monkeypatch)
        await elect_another(site)
        await late.anew.wait()
        late.answer.set()
        await late.settled.wait()
        late.go_on.set()
        await all_end(site)
    assert await site.elections() == 3


async def test_whoever_leads_by_a_state_that_was_dropped_stops(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision in the log that was not made here has all be read anew; only who is elected after that leads."""
    async with within(10):
        late = await busy(site, monkeypatch)
        event = decision(c.ExecutionCleared(), "ghost:cleared", "ghost")
        site.store.put(subjects.event(event), envelope.encode(event))
        late.go_on.set()
        await late.read_anew.wait()
        late.answer.set()
        await site.until("leader.elected", count=2)
        await all_end(site)


async def busy(site: Site, monkeypatch: pytest.MonkeyPatch) -> Late:
    """The round of x is stored and not acknowledged, that of y waits for it, that of z for room."""
    leader = await site.scheduler("a", rounds_in_flight=1)
    await site.agent()
    await site.until("machine.connected")
    late = Late(leader, monkeypatch)
    await site.submit(diamond(), "x")
    await late.stored.wait()
    for execution in ("y", "z"):
        await site.submit(diamond(), execution)
        await late.asked[execution].wait()
    return late


async def all_end(site: Site) -> None:
    """x, y and z succeed, and nothing of them is written twice."""
    for execution in ("x", "y", "z"):
        await site.until("execution.succeeded", execution)
        once(await site.history(execution))


class Late:
    """A connection whose broker is slow: x's first step is stored and not acknowledged, nothing about y and z is, and
    who reads the log anew does not get it at once.
    """

    def __init__(self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored, self.settled, self.anew, self.read_anew = (asyncio.Event() for _ in range(4))
        self.asked = {"y": asyncio.Event(), "z": asyncio.Event()}
        self.answer, self.go_on = asyncio.Event(), asyncio.Event()
        self._append, self._follow = broker.log.append, broker.log.follow
        monkeypatch.setattr(broker.log, "append", self.append)
        monkeypatch.setattr(broker.log, "follow", self.follow)
        monkeypatch.setattr(fault, "point", self.point)

    async def append(self, events: Sequence[Event], fence: Fence | None = None) -> list[Outcome]:
        for execution in {event.execution for event in events} & set(self.asked):
            self.asked[execution].set()
            await self.answer.wait()
        outcomes = await self._append(events, fence)
        if any(event.kind == "step.scheduled" for event in events):
            self.stored.set()
            await self.answer.wait()
        return outcomes

    async def follow(self, start: int = 1, *, subjects: Sequence[str] = ()) -> AsyncIterator[object]:
        self.anew.set()
        await self.go_on.wait()
        async for batch in self._follow(start, subjects=subjects):
            yield batch
            self.read_anew.set()

    async def point(self, name: str) -> None:
        if name == "scheduler.ack.before":
            self.settled.set()


async def elect_another(site: Site) -> None:
    """Somebody else is elected, and never beats."""
    last = await site.client.log.last(subjects.LEADER)
    assert last is not None
    event = decision(c.LeaderElected(scheduler="other", term=2), "leader:other:2")
    await site.client.log.append([event], Fence(subjects.LEADER, last.sequence))


def decision(body: Body, id_: str, execution: str = NO_EXECUTION) -> Event:
    """What a scheduler writes."""
    return Event(id=id_, writer=SCHEDULER, time=datetime.now(UTC), data=body, execution=execution)
