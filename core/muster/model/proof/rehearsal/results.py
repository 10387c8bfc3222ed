"""What came of executions, told by what the scheduler wrote, and where two tellings differ.

Times are seconds since the execution was queued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from muster.model.errors import ErrorInfo
from muster.model.log import catalogue as c
from muster.model.log.envelope import Event


class StepResult(msgspec.Struct, kw_only=True):
    """One step. ``outcome`` is None while it has none; ``machines`` are those of its attempts, in their order."""

    outcome: str | None = None
    error: str | None = None
    begins_s: float | None = None
    ends_s: float | None = None
    machines: list[str] = []

    @property
    def attempts(self) -> int:
        """How many there were."""
        return len(self.machines)


class ExecutionResult(msgspec.Struct, kw_only=True):
    """One execution. ``outcome`` is None where it has not ended; ``retries`` by what they were charged to."""

    workflow: str
    queued_at: datetime
    outcome: str | None = None
    error: str | None = None
    makespan_s: float | None = None
    attempts: int = 0
    retries: dict[str, int] = {}
    steps: dict[str, StepResult] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same. ``what`` is a path: ``outcome``, ``steps.fetch.ends_s``."""

    what: str
    then: Any
    now: Any


def results(events: Iterable[Event], names: Mapping[str, str] | None = None) -> dict[str, ExecutionResult]:
    """The executions that were queued, by their ids, or by those that ``names`` has for them."""
    found: dict[str, ExecutionResult] = {}
    for event in events:
        data, execution = event.data, (names or {}).get(event.execution, event.execution)
        if isinstance(data, c.ExecutionQueued):
            steps = {step.id: StepResult() for step in data.workflow.steps}
            found[execution] = ExecutionResult(workflow=data.workflow.name, queued_at=event.time, steps=steps)
        elif (result := found.get(execution)) is not None:
            _count(result, event)
    return found


def _count(result: ExecutionResult, event: Event) -> None:
    data, noun = event.data, event.kind.partition(".")[0]
    after_s = (event.time - result.queued_at).total_seconds()
    if isinstance(data, c.ExecutionSucceeded | c.ExecutionFailed | c.ExecutionCancelled):
        result.outcome, result.makespan_s = event.kind.partition(".")[2], after_s
        result.error = _error(data.error) if isinstance(data, c.ExecutionFailed) else None
    if noun != "step" or event.step is None:
        return
    step = result.steps.setdefault(event.step, StepResult())
    if isinstance(data, c.StepScheduled):
        result.attempts += 1
        step.machines.append(data.machine)
        step.begins_s = after_s if step.begins_s is None else step.begins_s
    elif isinstance(data, c.StepRetrying):
        result.retries[data.budget] = result.retries.get(data.budget, 0) + 1
    elif isinstance(data, c.StepSucceeded | c.StepFailed | c.StepSkipped | c.StepCancelled):
        step.outcome, step.ends_s = event.kind.partition(".")[2], after_s
        step.error = _error(data.error) if isinstance(data, c.StepFailed) else None


def _error(error: ErrorInfo) -> str:
    return error.name if error.cause is None else f"{error.name} ({error.cause.name})"


def changes(then: ExecutionResult, now: ExecutionResult, *, times: bool = True) -> list[Change]:
    """Where the two differ; without ``times``, what took longer or shorter does not count."""
    left, right = _flat(msgspec.to_builtins(then)), _flat(msgspec.to_builtins(now))
    names = [name for name in dict.fromkeys([*left, *right]) if name != "queued_at"]
    return [
        Change(what=name, then=left.get(name), now=right.get(name))
        for name in names
        if left.get(name) != right.get(name) and (times or not name.endswith("_s"))
    ]


def _flat(value: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, part in value.items():
        place = f"{name}.{key}" if name else key
        found |= _flat(part, place) if isinstance(part, dict) else {place: part}
    return found


def drift_s(then: ExecutionResult, now: ExecutionResult) -> float:
    """By how much the times of the two differ at most."""
    gaps = (
        abs(change.now - change.then)
        for change in changes(then, now)
        if change.what.endswith("_s") and change.then is not None and change.now is not None
    )
    return max(gaps, default=0.0)


def span_s(found: Mapping[str, ExecutionResult]) -> float | None:
    """From the first that was queued to the last that ended; None while one has not."""
    begins = min((result.queued_at for result in found.values()), default=None)
    spans = [
        (result.queued_at - begins).total_seconds() + result.makespan_s
        for result in found.values()
        if result.makespan_s is not None and begins is not None
    ]
    return max(spans) if spans and len(spans) == len(found) else None
