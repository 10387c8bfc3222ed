"""Schedulers are killed while a schedule is due: each time is run once, and none is passed over in silence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from muster.model.log import catalogue as c
from tests.fixtures.broker import Broker
from tests.fixtures.processes import Installation, Program
from tests.fixtures.severing import Severing

WORK: dict[str, Any] = {"name": "timed", "steps": [{"id": "work", "image": "none", "command": "true"}]}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # seconds must pass, and schedulers be started


def timed(every: str = "1s", **schedule: Any) -> dict[str, Any]:
    """A workflow that is run so often."""
    return {**WORK, "schedule": {"every": every, **schedule}}


@pytest_asyncio.fixture
async def site(broker: Broker, tmp_path: Any) -> AsyncIterator[Installation]:
    """One agent, and whatever a test does to schedulers."""
    async with Installation(tmp_path, broker.url) as site:
        site.agent().launch()
        yield site


def fired(site: Installation) -> list[c.ScheduleFired]:
    """What was begun."""
    return [each.event.data for each in site.log.of("schedule.fired")]


def complete(site: Installation) -> None:
    """Each time that was due was dealt with once, in order and without a gap, and what was fired was begun once."""
    told = [each.event.data for each in site.log.of("schedule.fired", "schedule.skipped")]
    dues = [data.due_at for data in told]
    assert dues == sorted(set(dues))
    counted = sum(getattr(data, "count", 1) for data in told)
    assert counted == round((dues[-1] - dues[0]).total_seconds()) + getattr(told[0], "count", 1)
    begun = Counter(each.event.execution for each in site.log.of("execution.queued"))
    assert begun == Counter(data.execution for data in fired(site))


async def settled(site: Installation) -> None:
    """Nothing is due any more, and everything has ended."""
    await site.client.remove_schedule("tick")
    await site.log.ended(*(data.execution for data in fired(site)))
    await site.log.at_rest()
    complete(site)


@pytest.mark.parametrize("after", [True, False])
async def test_killed_between_the_two_events(site: Installation, broker: Broker, after: bool) -> None:
    """Killed once the log has what was fired and not what it begins (or neither): the next leader begins it, once."""
    async with Severing(broker.port) as severing:
        first = site.scheduler("first")
        first._environment["MUSTER_URL"] = severing.url
        first.launch()
        await site.log.until("leader.elected")
        await site.client.schedule(timed(), name="tick")
        severing.arm("-", 1, after=after)
        async with asyncio.timeout(20):
            await severing.reached.wait()
        assert severing.kinds == ["schedule.fired"]
        first.kill()

    def halves() -> list[int]:
        return [len(site.log.of(kind)) for kind in ("schedule.fired", "execution.queued")]

    if not after:
        await asyncio.sleep(0.2)  # nothing tells that what was held does not come
    await site.log.holds(lambda: halves()[0] - halves()[1] == after, "just what was let through")
    fired_before = halves()[0]
    site.scheduler("second").launch()
    await site.log.until("schedule.fired", count=fired_before + 2)
    await settled(site)


async def test_three_kills(site: Installation) -> None:
    """Killed three times, as it appends and just after it did, each time that was due is run once or skipped."""
    program = site.scheduler("first").launch(fault="scheduler.append.before:9")
    await site.log.until("leader.elected")
    await site.client.schedule(timed(), name="tick")
    for fault in ("scheduler.append.after:5", "scheduler.append.after:6", ""):
        await program.halted()
        program.kill()
        program.launch(fault=fault)
    await site.log.until("leader.elected", count=4)
    await site.log.until("schedule.fired", after=site.log.last)
    await settled(site)


@pytest.mark.parametrize(("catch_up", "runs"), [("none", False), ("last", False), ("all", True)])
async def test_away_for_a_while(site: Installation, catch_up: str, runs: bool) -> None:
    """Of what came due while no scheduler was there each is run, or it is skipped by an event that counts them."""
    program = site.scheduler("first").launch()
    await site.log.until("leader.elected")
    await site.client.schedule(timed(catch_up=catch_up), name="tick")
    await site.log.until("schedule.fired")
    program.kill()
    before = site.log.last
    await asyncio.sleep(4.5)  # beyond the time that several are due
    program.launch()
    await site.log.until("schedule.fired", count=4 if runs else 1, after=before)
    missed = [each.event.data for each in site.log.of("schedule.skipped", after=before)]
    # A run that goes on for a second on a busy machine is not missed: the next one is skipped for it.
    missed = [data for data in missed if data.reason != "overlap"]
    assert bool(missed) is not runs
    assert all(data.reason == "missed" and data.count >= 3 for data in missed[:1])
    await settled(site)


async def test_archived_runs_are_not_run_again(site: Installation) -> None:
    """Everything a schedule has begun is moved out of the log; a new leader knows that it was, and goes on."""
    program: Program = site.scheduler("first").launch()
    await site.log.until("leader.elected")
    await site.client.schedule(timed("2s"), name="tick")
    await site.log.until("schedule.fired", count=2)
    await site.client.pause_schedule("tick")
    begun = [data.execution for data in fired(site)]
    await site.log.ended(*begun)
    await site.client.clear(begun[0])
    from muster.identity import uuid7
    from muster.model.log.commands import Archive

    await site.broker.commands.send("scheduler", "archive", Archive(id=uuid7(), older_than_s=0.0))
    await site.log.until("log.archived")
    program.kill()
    site.scheduler("second").launch()
    await site.log.until("leader.elected", count=2)
    (known,) = await site.client.schedules()
    assert (known.paused, known.last_execution) == (True, begun[-1])
    await site.client.resume_schedule("tick")
    await site.log.until("schedule.fired", count=len(begun) + 1)
    await site.client.remove_schedule("tick")
    await site.log.at_rest()
    queued = Counter(each.event.execution for each in site.log.of("execution.queued"))
    assert set(queued.values()) == {1}
    assert len(queued) == len(fired(site))
