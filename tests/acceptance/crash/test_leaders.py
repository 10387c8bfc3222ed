"""Schedulers that die, that sleep, and that wake up after another one took the lead."""

from __future__ import annotations

import asyncio
import time

import pytest

from muster.identity import uuid7
from muster.model.log.envelope import Basis, Recorded
from tests.acceptance.crash.plays import BROKEN, DIAMOND, NOTHING
from tests.fixtures.processes import Installation, Program
from tests.fixtures.stalls import Stalls

LEADS_WITHIN_S = 5.0
ASLEEP_S = 20.0
STANDS_BY_S = 6.0
AGENT = ("--runtime", "noop")

pytestmark = [pytest.mark.slow]


def _decided(site: Installation, after: int) -> list[Recorded]:
    return [r for r in site.log.events if r.event.writer == "scheduler" and r.sequence > after]


@pytest.mark.parametrize(
    "fault",
    [
        "scheduler.append.before:1",
        "scheduler.append.before:3",
        "scheduler.append.after:2",
        "scheduler.send.before:2",
        "scheduler.ack.before:2",
    ],
)
async def test_a_leader_that_was_replaced(site: Installation, fault: str) -> None:
    """A leader that slept in mid-write while another was elected writes nothing more, says so, and stands by."""
    # It stands by for the rest: one that takes over each time the other gets no turn for a second is another matter.
    first = site.scheduler("first", takeover_after_s=STANDS_BY_S).launch(fault=fault)
    site.agent().launch()
    await site.log.until("machine.connected")
    ids = [uuid7(), uuid7()]
    async with asyncio.TaskGroup() as submits:
        for workflow, id_ in zip((DIAMOND, BROKEN), ids, strict=True):
            submits.create_task(site.client.submit(workflow, execution=id_))
        await first.halted()
        second = site.scheduler("second").launch()
        elected = await site.log.until("leader.elected", count=2)
    assert await site.log.ended(*ids) == ["succeeded", "failed"]
    first.unpause()
    with Stalls(site.folder) as lost:
        began = time.monotonic()
        async with asyncio.TaskGroup() as submits:
            for _ in range(5):
                submits.create_task(site.client.submit(DIAMOND))
        took_s = time.monotonic() - began
    assert took_s - lost.seconds < LEADS_WITHIN_S
    await first.says("no longer leading")
    await site.log.at_rest()
    rounds = [_round(recorded) for recorded in _decided(site, elected.sequence)]
    assert rounds == sorted(rounds)
    assert all(recorded.event.time >= elected.event.time for recorded in _decided(site, elected.sequence))
    for id_ in ids:
        site.log.each_step_once(id_)

    second.kill()
    again = await site.client.submit(DIAMOND)
    assert await site.log.ended(again) == ["succeeded"]
    assert len(site.log.of("leader.elected")) == 3
    assert first.running


def _round(recorded: Recorded) -> int:
    basis = recorded.event.basis
    assert basis is not None
    return Basis.parse(basis).round


@pytest.mark.timeout(120)
async def test_the_lead_passes_on_within_five_seconds(site: Installation) -> None:
    """With default settings a submit sent right after the leader's death is accepted within 5 s, time after time."""
    schedulers = {name: site.muster(name, "scheduler", "--name", name) for name in ("a", "b")}
    for program in schedulers.values():
        await program.launch().says("stands by")
    site.muster("agent", "agent", "--name", "m1", *AGENT).launch()
    await site.log.until("machine.connected")
    for _ in range(3):
        await site.log.holds(lambda: site.log.state.leader_name in schedulers, "leader")
        leader = schedulers[site.log.state.leader_name]
        with Stalls(site.folder) as lost:
            leader.kill()
            began = time.monotonic()
            execution = await site.client.submit(NOTHING)
            took_s = time.monotonic() - began
        print(f"accepted {took_s:.2f} s after the death of {leader.name}; {lost.seconds:.2f} s were lost")
        assert took_s - lost.seconds < LEADS_WITHIN_S
        assert await site.log.ended(execution) == ["succeeded"]
        await leader.launch().says("stands by")


async def _sleeps(program: Program) -> None:
    program.pause()
    await asyncio.sleep(ASLEEP_S)  # what is tested is a sleep of this length
    program.unpause()


@pytest.mark.timeout(120)
async def test_a_scheduler_that_slept_blames_nobody(site: Installation) -> None:
    """With default settings one that did not run for 20 s calls no machine offline when it goes on."""
    scheduler = site.muster("scheduler", "scheduler").launch()
    for name in ("m1", "m2"):
        site.muster(name, "agent", "--name", name, *AGENT).launch()
    await site.log.until("machine.connected", count=2)
    before = await site.client.submit(NOTHING)
    assert await site.log.ended(before) == ["succeeded"]
    await _sleeps(scheduler)
    after = await site.client.submit(NOTHING)
    assert await site.log.ended(after) == ["succeeded"]
    assert site.log.of("machine.offline") == []


@pytest.mark.timeout(120)
async def test_a_standby_that_slept_leaves_the_lead_alone(site: Installation) -> None:
    """A standby that did not run for 20 s does not take over from a leader that is well."""
    site.muster("leader", "scheduler", "--name", "leader").launch()
    await site.log.until("leader.elected")
    patient = (
        "--set",
        f"takeover_after_s={STANDS_BY_S}s",
    )  # less than it sleeps, more than a machine stands still
    standby = site.muster("standby", "scheduler", "--name", "standby", *patient)
    await standby.launch().says("stands by")
    await _sleeps(standby)
    site.muster("agent", "agent", "--name", "m1", *AGENT).launch()
    after = await site.client.submit(NOTHING)
    assert await site.log.ended(after) == ["succeeded"]
    assert len(site.log.of("leader.elected")) == 1
