"""Recording from a broker's log: what the model keeps, read with as little as can be."""

from __future__ import annotations

import pytest

from muster.broker.memory import MemoryBroker
from muster.client.recording import erased_beside, record
from muster.model.errors import ExecutionNotFoundError, NameInvalidError
from muster.model.log import catalogue as c
from muster.model.proof import recording
from tests.fixtures.histories import History, history
from tests.fixtures.moving import move
from tests.unit.model.engine.test_cuts import DEFINITIONS, played


async def logged(log: History) -> MemoryBroker:
    """A broker whose log holds this history."""
    broker = MemoryBroker()
    await broker.prepare()
    await broker.log.append([recorded.event for recorded in log.events])
    return broker


async def test_the_log_of_a_broker_gives_the_same_recording():
    """Read by its subjects, the log gives the recording that all its events give."""
    broker = await logged(history(11, executions=10, mishaps=0.6))
    log = [recorded async for batch in broker.history.read() for recorded in batch]
    cleared = {recorded.event.execution for recorded in log if recorded.event.kind == "execution.cleared"}
    executions = {recorded.event.execution for recorded in log} - {"-"} - cleared
    assert len(executions) > 4
    for execution in executions:
        assert await record(broker.history, execution) == recording.record(log, execution)


async def test_what_has_moved_into_the_archive_is_recorded_the_same():
    """An execution that was archived, or that took its room beside one that was, has the recording it had before."""
    broker = await logged(history(11, executions=10, mishaps=0.4))
    log = [recorded async for batch in broker.history.read() for recorded in batch]
    cleared = {recorded.event.execution for recorded in log if recorded.event.kind == "execution.cleared"}
    executions = [r.event.execution for r in log if r.event.kind == "execution.queued"]
    kept = [execution for execution in executions if execution not in cleared]
    before = {execution: await record(broker.history, execution) for execution in kept}
    assert len(kept) > 4
    await move(broker, *kept[: len(kept) // 2])
    assert len([r async for batch in broker.log.read() for r in batch]) < len(log)
    assert {execution: await record(broker.history, execution) for execution in kept} == before


async def test_a_family_is_found_by_its_subjects():
    """Asked for by the id of a child or of its parent, the recording is the one that all events of the log give."""
    log = played(DEFINITIONS["succeeds"]).log
    broker = MemoryBroker()
    await broker.prepare()
    await broker.log.append([recorded.event for recorded in log])
    read = [recorded async for batch in broker.history.read() for recorded in batch]
    expected = recording.record(read, "x1")
    for execution in {recorded.event.execution for recorded in log} - {"-"}:
        assert await record(broker.history, execution) == expected


async def test_whoever_waits_hears_how_far_it_is():
    """Progress is told with the end in sight, and never beyond it."""
    log = history(5, executions=4)
    broker = await logged(log)
    heard: list[tuple[int, int]] = []
    execution = log.events[-1].event.execution
    await record(broker.history, execution, lambda at, stop: heard.append((at, stop)))
    assert heard
    assert all(0 < at <= stop <= len(log.events) for at, stop in heard)


async def test_what_is_not_there_cannot_be_recorded():
    """An unknown id, one that was cleared and one that is no id are each an error of their own."""
    log = History()
    log.queue("x1")
    broker = await logged(log)
    with pytest.raises(ExecutionNotFoundError, match="no execution x9"):
        await record(broker.history, "x9")
    with pytest.raises(NameInvalidError):
        await record(broker.history, "a b")
    await broker.log.append([log.decide(c.ExecutionCleared(), "x2").event])
    with pytest.raises(ExecutionNotFoundError, match="x2 was cleared"):
        await record(broker.history, "x2")


async def test_what_was_cleared_beside_it_is_counted():
    """Executions of the same time that were cleared since are counted, and none that were gone before or came after."""
    log = History()
    log.connect("m1")
    for execution in ("before", "beside", "x1"):
        log.queue(execution)
        if execution == "before":
            log.decide(c.ExecutionCleared(sequences=[(2, 2)]), "before")
    log.move(c.ExecutionStarted, "beside", "start")
    log.move(c.ExecutionStarted, "x1", "start")
    log.queue("after")
    log.decide(c.ExecutionCleared(sequences=[(4, 4), (6, 6)]), "beside")
    log.decide(c.ExecutionCleared(sequences=[(8, 8)]), "after")
    broker = await logged(log)
    found = await record(broker.history, "x1")
    assert [r.event.kind for r in found if r.event.execution == "x1"] == [
        "execution.queued",
        "execution.started",
    ]
    assert await erased_beside(broker.history, found) == 1
