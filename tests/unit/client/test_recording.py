"""Recording from a broker's log: what the model keeps, read with as little as can be."""

from __future__ import annotations

import pytest

from muster.broker.memory import MemoryBroker
from muster.client.recording import record
from muster.model import catalogue as c
from muster.model import recording
from muster.model.errors import ExecutionNotFoundError, NameInvalidError
from tests.fixtures.histories import History, history


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
