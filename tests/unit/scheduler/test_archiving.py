"""Executions that ended long ago leave the log for the archive: by themselves, when asked, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from muster import fault
from muster.archive import packing
from muster.archive.manifest import Manifest
from muster.broker.interface import Appended, Fence
from muster.identity import uuid7
from muster.model.errors import ArchiveUnavailableError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.catalogue import AttemptRef
from muster.model.log.commands import Archive, Cancel, Clear
from muster.model.log.envelope import Recorded, encode
from tests.fixtures.moving import everything, put
from tests.fixtures.play import diamond, workflow
from tests.unit.scheduler.site import QUICK, Site, within

AT_ONCE: dict[str, Any] = {"archive_after_s": 0.0, "archive_every_s": 0.05}
ASKED: dict[str, Any] = {"archive_every_s": 0.0}


def lines(found: list[Recorded]) -> list[tuple[int, bytes]]:
    return [(each.sequence, encode(each.event)) for each in found]


async def ran(site: Site, execution: str | None = None) -> str:
    """An execution that has ended well."""
    execution = await site.submit(diamond(), execution)
    await site.until("execution.succeeded", execution)
    return execution


async def asked(site: Site, older_than_s: float | None = 0.0) -> list[Recorded]:
    """Ask for a pass, and give what the log says of it."""
    command = Archive(id=uuid7(), older_than_s=older_than_s)
    start = site.store.position().last + 1
    await site.send("archive", command)
    found: list[Recorded] = []
    async for batch in site.client.log.follow(start, subjects=[subjects.ARCHIVED]):
        found += [each for each in batch if each.event.cause == command.id]
        if found and found[-1].event.data.left == 0:
            return found
    raise AssertionError


async def gone(site: Site, *executions: str) -> None:
    """Return when the stream holds nothing of them."""
    for execution in executions:
        while await site.history(execution):
            await asyncio.sleep(0.005)


async def test_what_ended_moves_by_itself(site: Site) -> None:
    """An execution that ended longer ago than the limit is in the archive, reads as before, and has left the log."""
    await site.scheduler("a", archive_after_s=0.3, archive_every_s=0.05)
    await site.agent()
    async with within(10):
        execution = await ran(site)
        before = lines(await site.history(execution))
        assert len(before) > 10
        await site.until("log.archived")
        await gone(site, execution)
    assert (
        lines(await everything(site.client.history, subjects=[subjects.events(execution=execution)]))
        == before
    )
    assert list(site.store.objects) == [execution]


async def test_what_is_young_or_runs_stays(site: Site) -> None:
    """Nothing moves that has not ended, or not long enough ago."""
    await site.scheduler("a", **ASKED)
    machine = site.puppet()
    async with within(10):
        execution = await site.submit(workflow({"id": "a"}))
        await site.until("step.scheduled", execution)
        [answer] = await asked(site)
        assert answer.event.data.objects == []
        for body in (c.AttemptAccepted(), c.AttemptStarted(), c.AttemptFinished()):
            machine.say(body, AttemptRef(execution, "a", 1))
        await site.until("execution.succeeded", execution)
        [answer] = await asked(site, 3600.0)
        assert answer.event.data.objects == []
        [answer] = await asked(site, None)
        assert answer.event.data.objects == []
        [answer] = await asked(site)
    assert [moved.events for moved in answer.event.data.objects] == [9]
    assert site.store.objects.keys() == {execution}


async def test_the_manifest_is_a_chain_without_names(site: Site) -> None:
    """Batch after batch is named by hash; each names the one before it, and none names an execution."""
    await site.scheduler("a", archive_batch=2, **ASKED)
    await site.agent()
    async with within(20):
        executions = [await ran(site) for _ in range(5)]
        told = await asked(site)
        await gone(site, *executions)
    assert [(len(each.event.data.objects), each.event.data.left) for each in told] == [(2, 3), (2, 1), (1, 0)]
    manifest = Manifest(site.client.log)
    manifest.add(told)
    assert manifest.breaks == []
    for each in told:
        assert not any(execution.encode() in encode(each.event) for execution in executions)
        assert each.event.data.place == site.client.archive.home.place
    for execution, data in site.store.objects.items():
        assert next(packing.unpack(data, execution)).event.execution == execution


async def test_a_repeated_submit_of_an_archived_execution(site: Site) -> None:
    """Its id stays taken: the same submit changes nothing, another is refused, also by a later scheduler."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(20):
        execution = await ran(site)
        await asked(site)
        await gone(site, execution)
    await site.started.aclose()
    await site.scheduler("b", **ASKED)
    await site.agent()
    async with within(20):
        await site.submit(diamond(), execution)
        await site.send("cancel", Cancel(id=uuid7(), execution=execution))
        await ran(site)
        assert await site.history(execution) == []
        await site.submit(workflow({"id": "other"}), execution)
        refused = await site.until("command.refused", execution)
    assert refused.event.data.error.code == "execution_conflict"


async def test_a_fact_that_comes_late_stays(site: Site) -> None:
    """What an agent says of an archived execution stays in the log, and is read with the rest."""
    await site.scheduler("a", **ASKED)
    machine = site.puppet()
    async with within(10):
        execution = await site.submit(workflow({"id": "a"}))
        await site.until("step.scheduled", execution)
        ref = AttemptRef(execution, "a", 1)
        for body in (c.AttemptAccepted(), c.AttemptStarted(), c.AttemptFinished()):
            machine.say(body, ref)
        await site.until("execution.succeeded", execution)
        await asked(site)
        await gone(site, execution)
        machine.say(c.ContainerExited(container="c", exit_code=0), ref)
        await site.many_ticks()
    found = await everything(site.client.history, subjects=[subjects.events(execution=execution)])
    assert found[-1].event.kind == "container.exited"
    assert len(found) == 10
    assert [each.event.kind for each in await site.history(execution)] == ["container.exited"]


async def test_an_execution_a_machine_still_holds_stays(site: Site) -> None:
    """Whoever folds the log anew must find what holds a machine's room: it moves when the machine has answered."""
    policy = msgspec.structs.replace(QUICK["policy"], ending_timeout_s=0.05)
    await site.scheduler("a", policy=policy, **ASKED)
    machine = site.puppet()
    async with within(20):
        definition = workflow({"id": "a", "stop_grace_period": "10ms"})
        execution = await site.submit(definition)
        await site.until("step.scheduled", execution)
        ref = AttemptRef(execution, "a", 1)
        machine.say(c.AttemptAccepted(), ref)
        await site.send("cancel", Cancel(id=uuid7(), execution=execution))
        await site.until("execution.cancelled", execution)
        [answer] = await asked(site)
        assert answer.event.data.objects == []
        machine.say(c.AttemptStopped(reason="asked"), ref)
        await site.until("attempt.stopped", execution)
        [answer] = await asked(site)
        assert len(answer.event.data.objects) == 1
        await gone(site, execution)


async def test_what_is_too_large_stays(site: Site) -> None:
    """A history above the limit stays in the log and holds up nobody."""
    await site.scheduler("a", archive_object_bytes=100, **ASKED)
    await site.agent()
    async with within(10):
        execution = await ran(site)
        [answer] = await asked(site)
    assert answer.event.data.objects == []
    assert await site.history(execution)
    assert site.store.objects == {}


@pytest.mark.parametrize("cut", ["put", "tell", "erase", "done"])
async def test_a_leader_that_goes_in_the_middle(
    site: Site, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """After each step another leader takes over: it ends what was begun, and history is the same to the last byte."""
    halted = asyncio.Event()

    async def point(name: str) -> None:
        if name == f"scheduler.archive.{cut}" and not halted.is_set():
            halted.set()
            await asyncio.Event().wait()

    first = await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(20):
        executions = [await ran(site) for _ in range(3)]
        before = lines(await everything(site.client.log))
        monkeypatch.setattr(fault, "point", point)
        await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
        await halted.wait()
        first.disconnect()
        await site.scheduler("b", **ASKED)
        await site.until("leader.elected", count=2)
        await gone(site, *executions)
        if cut != "done":  # then it was all done but for the acknowledgement
            assert len(before) > 30
        found = lines(await everything(site.client.history, stop=len(before)))
        assert found == before
        first.reconnect()
    told = [r for r in await everything(site.client.log) if isinstance(r.event.data, c.LogArchived)]
    moved = [one.first for each in told for one in each.event.data.objects]
    assert len(moved) == len(set(moved)) == 3
    manifest = Manifest(site.client.log)
    manifest.add(told)
    assert manifest.breaks == []


async def test_an_object_that_was_left_is_adopted(site: Site) -> None:
    """An object a dead leader put is taken as it is; what came after it was put stays in the log."""
    await site.scheduler("a", **ASKED)
    machine = site.puppet()
    async with within(10):
        execution = await site.submit(workflow({"id": "a"}))
        await site.until("step.scheduled", execution)
        ref = AttemptRef(execution, "a", 1)
        for body in (c.AttemptAccepted(), c.AttemptStarted(), c.AttemptFinished()):
            machine.say(body, ref)
        await site.until("execution.succeeded", execution)
        left = await put(site.client, execution)
        machine.say(c.ContainerExited(container="c", exit_code=0), ref)
        [answer] = await asked(site)
        assert answer.event.data.objects == [left]
        while len(await site.history(execution)) > 1:
            await asyncio.sleep(0.005)
    assert [each.event.kind for each in await site.history(execution)] == ["container.exited"]
    found = await everything(site.client.history, subjects=[subjects.events(execution=execution)])
    assert len(found) == 10


async def test_an_object_that_is_another_is_left_alone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Where something else has the name, nothing is overwritten and the execution stays in the log."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(10):
        execution, other = await ran(site), await ran(site)
        data, _ = packing.pack(await site.history(other))
        site.store.objects[execution] = data
        [answer] = await asked(site)
    assert len(answer.event.data.objects) == 1
    assert site.store.objects[execution] == data
    assert await site.history(execution)
    assert "is not its history" in caplog.text


async def test_a_place_that_keeps_something_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An object is read back before anything leaves the log: a place that loses a byte is not believed."""
    leader = await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(10):
        execution = await ran(site)
        real = leader.archive.home.put

        async def careless(name: str, data: bytes) -> bool:
            return await real(name, data[:-1])

        monkeypatch.setattr(leader.archive.home, "put", careless)
        [answer] = await asked(site)
    assert answer.event.data.objects == []
    assert len(await site.history(execution)) > 10
    assert "read back" in caplog.text


async def test_an_acknowledgement_that_is_none(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Where the broker takes the log.archived for an event that it has, nothing leaves the log."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(20):
        execution = await ran(site)
        before = await site.history(execution)
        site.store._ids["-:1"] = 1
        await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
        refused = await site.until("command.refused", "-")
        assert "nothing of it is erased" in refused.event.data.error.message
    assert await site.history(execution) == before


async def test_an_archive_that_cannot_be_reached(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it is refused with the reason; so is a submit of an id that may be there; the leader leads on."""
    policy = msgspec.structs.replace(QUICK["policy"], ended_kept=1)
    leader = await site.scheduler("a", policy=policy, **ASKED)
    await site.agent()
    async with within(20):
        first, second = await ran(site), await ran(site)
        [answer] = await asked(site)
        assert len(answer.event.data.objects) == 2
        third = await ran(site)
        await gone(site, first, second)

        async def away(*_: object) -> None:
            raise ArchiveUnavailableError(place="there")

        monkeypatch.setattr(leader.archive.home, "get", away)
        monkeypatch.setattr(leader.archive.home, "put", away)
        await site.send("archive", Archive(id=uuid7(), older_than_s=0.0))
        refused = await site.until("command.refused", "-")
        assert refused.event.data.error.code == "archive_unavailable"
        await site.submit(diamond(), first)
        refused = await site.until("command.refused", first)
        assert refused.event.data.error.code == "archive_unavailable"
        assert refused.event.data.error.remedy
        monkeypatch.undo()
        await asked(site)
        await gone(site, third)
    assert await site.elections() == 1


async def test_one_who_was_replaced_destroys_nothing(site: Site) -> None:
    """A log.archived of a leader that was replaced is refused, and its object overwrites none."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(10):
        execution = await ran(site)
        await asked(site)
        await gone(site, execution)
    kept = dict(site.store.objects)
    stale = c.LogArchived(place="nowhere")
    event = Recorded(1, (await everything(site.client.log))[0].event).event
    forged = msgspec.structs.replace(event, id="forged", data=stale, line=None)
    [outcome] = await site.client.log.append([forged], Fence(subjects.LEADER, 999))
    assert not isinstance(outcome, Appended)
    assert not await site.client.archive.home.put(execution, b"shorter")
    assert site.store.objects == kept


async def test_clear_of_an_archived_execution(site: Site) -> None:
    """It is erased from the archive too; the marker says which events and which object are gone."""
    await site.scheduler("a", **ASKED)
    await site.agent()
    async with within(20):
        execution, other = await ran(site), await ran(site)
        before = await site.history(execution)
        await asked(site)
        await gone(site, execution, other)
        await site.send("clear", Clear(id=uuid7(), execution=execution))
        marker = await site.until("execution.cleared", execution)
        while execution in site.store.objects:
            await asyncio.sleep(0.005)
        await ran(site)
    data = marker.event.data
    assert data.events == len(before)
    covered = {each for first, last in data.sequences for each in range(first, last + 1)}
    assert covered == {each.sequence for each in before}
    told = [
        r.event.data for r in await everything(site.client.log) if isinstance(r.event.data, c.LogArchived)
    ]
    assert data.archived in {moved.sha256 for each in told for moved in each.objects}
    found = await everything(site.client.history, subjects=[subjects.events(execution=execution)])
    assert [each.event.kind for each in found] == ["execution.cleared"]
    assert list(site.store.objects) == [other]
    rest = await everything(site.client.history)
    assert {each.event.execution for each in rest} >= {other}
