"""What is missing, or was changed, is found and named; what was archived or cleared is not missing."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.archive.findings import Verified
from muster.archive.packing import pack
from muster.archive.verify import verify, without
from muster.broker.memory import MemoryBroker, MemoryStore
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import Event, encode
from muster.model.log.retention import joined
from tests.fixtures.histories import history
from tests.fixtures.moving import about, everything, move, put, tell
from tests.fixtures.site import NOW

EXECUTIONS = 6


async def site() -> tuple[MemoryBroker, list[str]]:
    """A log with a history in it, and its executions."""
    broker = MemoryBroker(MemoryStore())
    story = history(4, executions=EXECUTIONS, mishaps=0.0)
    for recorded in story.events:
        broker.store.put(subjects.event(recorded.event), encode(recorded.event))
    return broker, list(dict.fromkeys(r.event.execution for r in story.events if r.event.execution != "-"))


async def looked_through(broker: MemoryBroker) -> Verified:
    steps: list[int] = []
    report = await verify(broker, lambda sequence, _: steps.append(sequence))
    assert all(a <= b for a, b in pairwise(steps))
    return report


async def clear(broker: MemoryBroker, execution: str, *, archived: str = "", version: int = 2) -> None:
    """Clear as a leader does."""
    found = await about(broker.history, execution)
    data = c.ExecutionCleared(
        events=len(found),
        sequences=joined((each.sequence, each.sequence) for each in found),
        archived=archived,
    )
    event = Event(id=f"{execution}:cleared", writer="scheduler", time=NOW, execution=execution, data=data)
    line = encode(event)
    if version == 1:
        event = msgspec.structs.replace(event, data=c.ExecutionCleared())
        line = encode(event).replace(b"cleared.v2", b"cleared.v1")
    broker.store.put(subjects.event(event), line)
    await broker.log.erase(execution, (await broker.log.position()).last)
    await broker.archive.home.delete(execution)


async def test_a_whole_log():
    """Nothing is found in a log as it is written, and what it holds is counted."""
    broker, _ = await site()
    report = await looked_through(broker)
    assert report.ok
    assert report.events == report.sequence == broker.store.position().last
    assert (report.objects, report.erased, report.warnings) == (0, 0, [])


async def test_an_empty_log():
    """Nothing is missing where nothing ever was."""
    assert (await looked_through(MemoryBroker(MemoryStore()))).ok


async def test_what_was_archived_and_cleared_is_not_missing():
    """Executions in the archive, cleared ones, and archived ones that were cleared leave no finding."""
    broker, executions = await site()
    before = broker.store.position().last
    moved = await move(broker, *executions[:3])
    await move(broker, executions[3])
    await clear(broker, executions[0], archived=moved[0].sha256)
    await clear(broker, executions[4])
    report = await looked_through(broker)
    assert report.findings == []
    assert (report.objects, report.erased, report.chain) == (3, 2, 2)
    assert report.sequence == before + 4


async def test_half_a_move_is_not_a_loss():
    """An object that is put, told and not yet erased is looked through; one that is only put is a note."""
    broker, executions = await site()
    await tell(broker, await put(broker, executions[0]))
    await put(broker, executions[1])
    report = await looked_through(broker)
    assert report.ok
    assert report.objects == 1
    assert [each.what for each in report.warnings] == ["stray"]
    assert executions[1] in report.warnings[0].message


async def test_a_lost_event_is_named():
    """An event that is gone from the stream, and of whose end nobody wrote, is named with its place."""
    broker, executions = await site()
    lost = (await about(broker.log, executions[2]))[3]
    broker.store.purge(subjects.event(lost.event), lost.sequence + 1)
    gone = set(range(1, broker.store.position().last + 1)) - {
        each.sequence for each in await everything(broker.log)
    }
    report = await looked_through(broker)
    assert not report.ok
    gaps = [each for each in report.findings if each.what == "gap"]
    assert {n for each in gaps for n in range(each.first or 0, (each.last or 0) + 1)} == gone
    assert lost.sequence in gone


async def test_a_lost_decision_is_named_by_its_number():
    """A decision that is missing shows in the numbers of its execution as well."""
    broker, executions = await site()
    decision = next(r for r in await about(broker.log, executions[1]) if r.event.id == f"{executions[1]}:2")
    broker.store.purge(subjects.event(decision.event), decision.sequence + 1)
    report = await looked_through(broker)
    numbers = [each for each in report.findings if each.what == "number"]
    assert [each.execution for each in numbers] == [executions[1]]
    assert "2 to 2" in numbers[0].message


@pytest.mark.parametrize("how", ["missing", "changed", "shorter", "another", "rubbish"])
async def test_a_damaged_object_is_named(how: str):
    """Whatever happened to an object, the events it held are named, once, and all others are still looked at."""
    broker, executions = await site()
    moved = await move(broker, *executions[:3])
    objects = broker.store.objects
    other = objects[executions[0]]
    found = await about(broker.history, executions[1])
    match how:
        case "missing":
            del objects[executions[1]]
        case "changed":
            objects[executions[1]] = objects[executions[1]][:-5] + b"\0\0\0\0\0"
        case "shorter":
            objects[executions[1]] = pack(found[:-1])[0]
        case "another":
            objects[executions[1]] = other
        case "rubbish":
            objects[executions[1]] = b"rubbish"
    report = await looked_through(broker)
    assert {each.what for each in report.findings} == {"object"}
    found_at = {(each.first, each.last): each.message for each in report.findings}
    assert str(moved[1].events) in found_at[moved[1].first, moved[1].last]
    if how != "another":  # then it cannot be known which of the two is where it belongs
        assert (len(found_at), report.objects) == (1, 2)


async def test_an_object_that_never_was_what_the_log_says():
    """The hash alone does not do: an object must hold the events of its execution that the log counts."""
    broker, executions = await site()
    data, moved = pack(await about(broker.log, executions[0]))
    await broker.archive.home.put(executions[0], data)
    await tell(broker, msgspec.structs.replace(moved, events=moved.events + 1))
    report = await looked_through(broker)
    assert [each.what for each in report.findings] == ["object"]


async def test_a_broken_chain_is_named():
    """A log.archived that was taken out shows in the one after it, and in its place."""
    broker, executions = await site()
    for execution in executions[:3]:
        await move(broker, execution)
    newest = await broker.log.last(subjects.ARCHIVED)
    told = [r for r in await everything(broker.log) if isinstance(r.event.data, c.LogArchived)]
    kept = [
        (r.sequence, subjects.event(r.event), r)
        for r in await everything(broker.log)
        if r.sequence != told[1].sequence
    ]
    broker.store._keep(kept)
    report = await looked_through(broker)
    assert {"chain", "gap"} <= {each.what for each in report.findings}
    assert newest is not None
    assert str(newest.sequence) in next(each.message for each in report.findings if each.what == "chain")


async def test_a_clear_of_an_older_release_is_no_loss():
    """A marker that did not say what was erased explains gaps below it only as a possibility, which is said."""
    broker, executions = await site()
    await clear(broker, executions[0], version=1)
    report = await looked_through(broker)
    assert report.ok
    assert {each.what for each in report.warnings} == {"gap"}
    assert "older release" in report.warnings[0].message


async def test_the_object_of_a_cleared_execution():
    """An object that is left of a cleared execution is found."""
    broker, executions = await site()
    [moved] = await move(broker, executions[0])
    data = broker.store.objects[executions[0]]
    await clear(broker, executions[0], archived=moved.sha256)
    broker.store.objects[executions[0]] = data
    report = await looked_through(broker)
    assert [each.what for each in report.findings] == ["erasure"]


async def test_a_number_given_twice():
    """Two events of a machine with one number are found; one event that came twice is not."""
    broker, executions = await site()
    fact = next(r.event for r in await about(broker.log, executions[0]) if r.event.n)
    broker.store.put(subjects.event(fact), encode(fact))
    assert (await looked_through(broker)).ok
    forged = msgspec.structs.replace(fact, id="another", line=None)
    broker.store.put(subjects.event(forged), encode(forged))
    report = await looked_through(broker)
    assert [each.what for each in report.findings] == ["number"]
    assert fact.writer in report.findings[0].message


async def test_unreadable_lines_are_told():
    """What is no event of Muster is no loss, and is told with its place and writer."""
    broker, _ = await site()
    place = broker.store.put("muster.events.m9.-.image.pulled", b"rubbish")
    report = await looked_through(broker)
    assert report.ok
    assert [(each.what, each.first) for each in report.warnings] == [("unreadable", place)]
    assert "m9" in report.warnings[0].message


async def test_executions_move_and_are_cleared_meanwhile():
    """A move or a clear under way is no finding."""
    broker, executions = await site()
    mover = MemoryBroker(broker.store)
    waiting = list(executions)

    async def work() -> None:
        while waiting:
            execution = waiting.pop()
            await (move(mover, execution) if len(waiting) % 2 else clear(mover, execution))

    working = asyncio.create_task(work())
    for _ in range(3):
        assert (await looked_through(broker)).findings == []
    await working
    assert (await looked_through(broker)).findings == []


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 8)), max_size=8),
    st.integers(1, 50),
    st.integers(0, 30),
)
def test_gaps_are_cut_exactly(spans: list[tuple[int, int]], first: int, length: int):
    """What no range covers is left, and nothing else."""
    ranges = joined([(low, low + more) for low, more in spans], 99)
    left = without(first, first + length, ranges, [low for low, _ in ranges])
    covered = {n for low, high in ranges for n in range(low, high + 1)}
    assert {n for low, high in left for n in range(low, high + 1)} == set(
        range(first, first + length + 1)
    ) - covered
