"""Clearing is repeated until nothing is left but one marker, which says what is gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from muster import fault
from muster.identity import uuid7
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Cancel, Clear, Heartbeat, LogLine, Stop
from muster.model.log.envelope import Recorded
from muster.model.log.names import SCHEDULER
from tests.fixtures.moving import put
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.site import QUICK, Puppet, Site, within


async def ran(site: Site, machine: Puppet, execution: str | None = None) -> AttemptRef:
    """An execution that has ended; its one attempt."""
    execution = await site.submit(workflow({"id": "a"}), execution)
    await site.until("step.scheduled", execution)
    ref = AttemptRef(execution, "a", 1)
    for body in (c.AttemptAccepted(), c.AttemptStarted(), c.AttemptFinished()):
        machine.say(body, ref)
    await site.until("execution.succeeded", execution)
    return ref


async def clear(site: Site, execution: str) -> None:
    """Ask for it."""
    await site.send("clear", Clear(id=uuid7(), execution=execution))


async def settled(site: Site) -> None:
    """Return when the scheduler's queue is empty: every command is done with."""
    while site.store.queues.items.get(SCHEDULER):
        await asyncio.sleep(0.005)


async def only_marker(site: Site, execution: str) -> Recorded:
    """Return when one marker is all that is left, and give it."""
    while True:
        found = await site.history(execution)
        if [each.event.kind for each in found] == ["execution.cleared"]:
            return found[0]
        await asyncio.sleep(0.005)


def covered(marker: Recorded) -> set[int]:
    return {each for first, last in marker.event.data.sequences for each in range(first, last + 1)}


async def test_the_marker_says_what_is_gone(site: Site) -> None:
    """Every place that is empty afterwards is in it, no other, and how many they were."""
    await site.scheduler("a")
    machine = site.puppet()
    async with within(10):
        ref = await ran(site, machine)
        other = await ran(site, machine)
        before = await site.history(ref.execution)
        await clear(site, ref.execution)
        await settled(site)
        marker = await only_marker(site, ref.execution)
    assert marker.event.data.events == len(before)
    assert covered(marker) == {each.sequence for each in before}
    assert marker.event.data.archived == ""
    assert len(await site.history(other.execution)) == len(before)


async def test_the_marker_names_the_machines_that_had_not_answered(site: Site) -> None:
    """They connected anew, and never said what became of an attempt: its room is given back by the marker, and a step
    that waited for it goes there.
    """
    await site.scheduler("a", takeover_after_s=5.0)
    machine = site.puppet(slots=1, interval_s=0.05)
    async with within(10):
        execution = await site.submit(workflow({"id": "a", "machine": "m1"}))
        await site.until("step.scheduled", execution)
        await site.until("machine.offline")
        await site.send("cancel", Cancel(id=uuid7(), execution=execution))
        await site.until("execution.cancelled", execution)
        machine.connect(slots=1)
        waits = await site.submit(workflow({"id": "a"}))
        await site.until("execution.started", waits)
        await site.many_ticks()
        assert "step.scheduled" not in [each.event.kind for each in await site.history(waits)]
        await clear(site, execution)
        marker = await only_marker(site, execution)
        scheduled = await site.until("step.scheduled", waits)
    assert marker.event.data.held == ["m1"]
    assert scheduled.sequence > marker.sequence


async def test_a_fact_that_comes_late_is_erased(site: Site) -> None:
    """What an agent still says of a cleared execution goes too; the marker that is left names it and the one before."""
    await site.scheduler("a")
    machine = site.puppet()
    async with within(10):
        ref = await ran(site, machine)
        await clear(site, ref.execution)
        await settled(site)
        first = await only_marker(site, ref.execution)
        site.store.artifacts[ref.execution, "d1"] = b"stored by an attempt that was given up"
        machine.say(c.ContainerExited(container="c", exit_code=0), ref)
        last = (await site.client.log.position()).last
        while (second := await only_marker(site, ref.execution)).sequence == first.sequence:
            await asyncio.sleep(0.005)
    assert covered(second) == covered(first) | {first.sequence, last}
    assert second.event.data.events == first.event.data.events + 2
    assert second.event.id != first.event.id
    assert not site.store.artifacts


async def test_a_late_fact_beyond_the_memory(site: Site) -> None:
    """That the execution was cleared is looked up where memory has let it go."""
    await site.scheduler("a", policy=msgspec.structs.replace(QUICK["policy"], ended_kept=1))
    machine = site.puppet()
    async with within(10):
        ref = await ran(site, machine)
        await clear(site, ref.execution)
        await settled(site)
        first = await only_marker(site, ref.execution)
        for _ in range(3):
            await ran(site, machine)
        machine.say(c.ContainerExited(container="c", exit_code=0), ref)
        while (await only_marker(site, ref.execution)).sequence == first.sequence:
            await asyncio.sleep(0.005)


async def test_what_came_while_nobody_led(site: Site) -> None:
    """A late fact that was written with no scheduler there is erased by the next one."""
    await site.scheduler("a")
    machine = site.puppet()
    async with within(10):
        ref = await ran(site, machine)
        await clear(site, ref.execution)
        await settled(site)
        await site.started.aclose()
        machine.say(c.ContainerExited(container="c", exit_code=0), ref)
        assert len(await site.history(ref.execution)) == 2
        await site.scheduler("b")
        await only_marker(site, ref.execution)


@pytest.mark.parametrize("cut", ["erase", "log", "done"])
@pytest.mark.parametrize("redelivered", [True, False])
async def test_a_leader_that_goes_in_the_middle(
    site: Site, monkeypatch: pytest.MonkeyPatch, cut: str, redelivered: bool
) -> None:
    """The next one ends the erasure, also where the command is lost: nothing is left but the marker, nothing half."""
    halted = asyncio.Event()

    async def point(name: str) -> None:
        if name == f"scheduler.clear.{cut}" and not halted.is_set():
            halted.set()
            await asyncio.Event().wait()

    first = await site.scheduler("a")
    machine = site.puppet()
    async with within(20):
        ref = await ran(site, machine)
        before = await site.history(ref.execution)
        await put(site.client, ref.execution)
        site.store.artifacts[ref.execution, "d1"] = b"secret"
        monkeypatch.setattr(fault, "point", point)
        await clear(site, ref.execution)
        await halted.wait()
        first.disconnect()
        if not redelivered:
            site.store.queues.items[SCHEDULER].clear()
            if cut != "erase":  # the log is empty already: nobody would look for what else is left
                site.store.objects.clear()
        await site.scheduler("b")
        await site.until("leader.elected", count=2)
        marker = await only_marker(site, ref.execution)
        while site.store.objects:
            await asyncio.sleep(0.005)
        await settled(site)
        await ran(site, machine)
        first.reconnect()
    assert not site.store.artifacts
    assert covered(marker) >= {each.sequence for each in before}
    assert [each.event.kind for each in await site.history(ref.execution)] == ["execution.cleared"]


async def test_nothing_else_names_it_either(site: Site) -> None:
    """Files, log lines, kept beats and commands on their way to machines that name the execution go with it."""
    await site.scheduler("a")
    machine = site.puppet()
    async with within(10):
        ref, other = await ran(site, machine), await ran(site, machine)
        line = LogLine(time=datetime.now(UTC), stream="stdout", text="secret")
        for each in (ref, other):
            site.store.artifacts[each.execution, "d1"] = b"secret"
            await site.client.lines.write("m1", each.execution, "a", 1, [line])
            beat = Heartbeat(
                name="gone", sequence=1, session=1, interval_s=1.0, time=line.time, running=[each]
            )
            await site.client.heartbeats.beat(beat)
            await site.client.commands.send("gone", "stop", Stop(id=uuid7(), attempts=[each]))
        await clear(site, ref.execution)
        await settled(site)
    assert list(site.store.artifacts) == [(other.execution, "d1")]
    kept = [item.payload for items in site.store.queues.items.values() for item in items]
    kept += [beat for beats in site.store.beats.kept.values() for beat in beats]
    kept += [subject.encode() + payload for _, subject, payload in site.store.written.messages]
    assert not [each for each in kept if ref.execution.encode() in each]
    assert (
        len([each for each in kept if other.execution.encode() in each]) == 4
    )  # with the start of its attempt


async def test_a_second_clear_is_harmless(site: Site) -> None:
    """Cleared again and again, one marker stays, the same one."""
    await site.scheduler("a")
    await site.agent()
    async with within(10):
        execution = await site.submit(diamond())
        await site.until("execution.succeeded", execution)
        await clear(site, execution)
        await settled(site)
        marker = await only_marker(site, execution)
        for _ in range(3):
            await clear(site, execution)
        await settled(site)
    assert await only_marker(site, execution) == marker
