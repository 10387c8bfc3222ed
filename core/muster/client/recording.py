"""Recording an execution from the log of a broker: what ``proof.recording`` keeps, read as cheaply as can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import chain

from muster.broker.interface import LogReader
from muster.model.errors import ExecutionNotFoundError
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.envelope import Recorded
from muster.model.log.erasure import spans
from muster.model.log.names import check_execution
from muster.model.proof.recording import OTHERS, Recorder, parent_of

Progress = Callable[[int, int], object]
"""Hears up to which sequence the log was read, and up to which it has to be."""


async def record(log: LogReader, execution: str, progress: Progress | None = None) -> list[Recorded]:
    """The recording of the execution and its family, up to their last event: a fixture that replays without the rest.

    Raises ExecutionNotFoundError where the log holds nothing of it (any more), and BrokerError.
    """
    own = await _own(log, execution)
    while (parent := next(filter(None, (parent_of(recorded.event) for recorded in own)), None)) is not None:
        try:
            execution, own = parent, await _own(log, parent)
        except ExecutionNotFoundError:  # cleared: what it ran is told by itself
            break
    family = await _family(log, execution, own)
    own = deque(sorted(chain.from_iterable(family.values()), key=lambda recorded: recorded.sequence))
    stop, recorder = own[-1].sequence, Recorder(execution)
    async with aclosing(log.read(subjects=OTHERS, stop=stop)) as batches:
        async for batch in batches:
            for recorded in batch:
                while own and own[0].sequence < recorded.sequence:
                    recorder.add(own.popleft())
                if recorded.event.execution not in family:
                    recorder.add(recorded)
            if progress is not None:
                progress(batch[-1].sequence, stop)
    for recorded in own:
        recorder.add(recorded)
    return recorder.recording()


async def _family(log: LogReader, execution: str, own: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """The events of the execution and of all that its steps run. What was cleared is missing."""
    found = {execution: list(own)}
    waiting = [execution]
    while waiting:
        for recorded in found[waiting.pop()]:
            data = recorded.event.data
            if isinstance(data, c.StepStarted) and data.child is not None and data.child not in found:
                found[data.child] = await _events(log, data.child)
                waiting.append(data.child)
    return found


async def erased_beside(log: LogReader, recording: Sequence[Recorded]) -> int:
    """How many executions stood in the log while this one lived and were cleared since.

    What room they held on machines is not known any more: a decision that waited for it may not be explained.
    """
    queued = next(r.sequence for r in recording if isinstance(r.event.data, c.ExecutionQueued))
    last = max(r.sequence for r in recording if r.event.kind != "execution.cleared")
    found = 0
    async with aclosing(log.read(queued, subjects=[subjects.CLEARED])) as batches:
        async for batch in batches:
            gone = (span for recorded in batch for span in spans(recorded))
            found += sum(span.first <= last and span.last >= queued for span in gone)
    return found


async def _own(log: LogReader, execution: str) -> deque[Recorded]:
    own = deque(await _events(log, check_execution(execution)))
    if any(isinstance(recorded.event.data, c.ExecutionQueued) for recorded in own):
        return own
    if any(isinstance(recorded.event.data, c.ExecutionCleared) for recorded in own):
        raise ExecutionNotFoundError(
            f"The execution {execution} was cleared.", remedy="Nothing of it is kept.", execution=execution
        )
    raise ExecutionNotFoundError(execution=execution)


async def _events(log: LogReader, execution: str) -> list[Recorded]:
    found: list[Recorded] = []
    async with aclosing(log.read(subjects=[subjects.events(execution=execution)])) as batches:
        async for batch in batches:
            found += batch
    return found
