"""Executions: one row each, with where it stands now."""

from __future__ import annotations

from typing import Any, Final

from muster.model.log.catalogue import (
    ExecutionCancelled,
    ExecutionDeferred,
    ExecutionEnding,
    ExecutionFailed,
    ExecutionQueued,
    ExecutionSucceeded,
    ExecutionWaiting,
)
from muster.model.log.envelope import Recorded
from muster.model.plan.lowering import lower
from muster.model.sharing.claims import turn
from muster_projections.projection import (
    Change,
    Column,
    Delete,
    Projection,
    Table,
    Upsert,
    Value,
    moment,
    text,
)

TABLE: Final = Table(
    name="executions",
    doc="One row for each execution, as it stands now.",
    key=("id",),
    columns=(
        Column(name="id", type="TEXT", doc="The execution's id, chosen by the client."),
        Column(name="workflow", type="TEXT", doc="The name of the workflow it is a run of."),
        Column(
            name="status",
            type="TEXT",
            doc="queued, starting, running, awaiting_input, succeeded, failed or cancelled.",
        ),
        Column(
            name="ending",
            type="TEXT",
            doc="The outcome once it is decided (succeeded, failed or cancelled); what is live still ends.",
        ),
        Column(name="inputs", type="JSON", doc="The inputs by name, defaults filled in."),
        Column(name="outputs", type="JSON", doc="The outputs by name, once it succeeded."),
        Column(
            name="error_code", type="TEXT", doc="The stable code of the error, once the outcome is failed."
        ),
        Column(name="error", type="JSON", doc="The error: what, where, and what to do."),
        Column(name="reason", type="TEXT", doc="Why it waits, ends or was cancelled, where that was said."),
        Column(
            name="concurrency_key", type="TEXT", doc="The key of which it holds one while it is under way."
        ),
        Column(
            name="priority", type="INTEGER", doc="How early its steps are placed; 0 where nothing was said."
        ),
        Column(name="timeout_s", type="REAL", doc="How long it may take from its start, in seconds."),
        Column(name="tags", type="JSON", doc="The tags that it holds, which its steps may require."),
        Column(name="labels", type="JSON", doc="The labels it was submitted with."),
        Column(name="metadata", type="JSON", doc="The metadata it was submitted with."),
        Column(name="digest", type="TEXT", doc="The digest of its definition."),
        Column(name="rerun_of", type="TEXT", doc="The execution it repeats."),
        Column(name="parent", type="TEXT", doc="The execution that runs it, if another one does."),
        Column(name="parent_step", type="TEXT", doc="The step of that execution."),
        Column(name="schedule", type="TEXT", doc="The schedule that has begun it, if one has."),
        Column(
            name="due_at",
            type="TEXT",
            doc="When the schedule was due, or when it was triggered out of turn.",
        ),
        Column(
            name="steps",
            type="INTEGER",
            doc="How many steps its workflow has; what loops, branches and handlers run is not counted.",
        ),
        Column(name="transitions", type="INTEGER", doc="How many transitions it has made."),
        Column(name="created_at", type="TEXT", doc="When it was accepted.", first=True),
        Column(name="started_at", type="TEXT", doc="When the scheduler began to work on it.", first=True),
        Column(name="ended_at", type="TEXT", doc="When it reached its final status.", first=True),
        Column(name="updated_at", type="TEXT", doc="The time of the last decision about it or its steps."),
        Column(name="sequence", type="INTEGER", doc="The place in the log of that decision."),
    ),
    indexes=(("created_at",), ("status", "created_at"), ("workflow", "created_at"), ("rerun_of",)),
)


def _touch(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    event = recorded.event
    columns["updated_at"] = moment(event.time)
    columns["sequence"] = recorded.sequence
    return [Upsert(TABLE.name, (event.execution,), columns)]


def _moved(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    """A change of status, and what comes with it."""
    data: Any = recorded.event.data
    columns["status"] = data.transition.after
    columns["transitions"] = data.transition.number
    return _touch(recorded, columns)


def _queued(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionQueued)
    return _moved(
        recorded,
        {
            "workflow": data.workflow.name,
            "inputs": text(data.inputs),
            "labels": text(data.labels),
            "metadata": text(data.metadata),
            "digest": data.digest or None,
            "rerun_of": data.rerun_of,
            "parent": None if data.parent is None else data.parent.execution,
            "parent_step": None if data.parent is None else data.parent.step,
            "schedule": None if data.schedule is None else data.schedule.name,
            "due_at": None if data.schedule is None else moment(data.schedule.due_at),
            "concurrency_key": None if data.concurrency is None else data.concurrency.key,
            "priority": data.priority,
            "timeout_s": data.timeout_s,
            "tags": text(data.tags),
            "steps": len(lower(data.workflow).steps),
            "created_at": moment(recorded.event.time),
        },
    )


def _deferred(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionDeferred)
    return _touch(recorded, {"reason": turn(data.ahead, data.key)})


def _started(recorded: Recorded) -> list[Change]:
    return _moved(recorded, {"started_at": moment(recorded.event.time), "reason": None})


def _waiting(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionWaiting)
    return _moved(recorded, {"reason": data.reason or None})


def _resumed(recorded: Recorded) -> list[Change]:
    return _moved(recorded, {"reason": None})


def _step_started(recorded: Recorded) -> list[Change]:
    return _moved(recorded, {})


def _step(recorded: Recorded) -> list[Change]:
    return _touch(recorded, {})


def _ending(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionEnding)
    columns: dict[str, Value] = {"ending": data.outcome, "reason": data.reason or None}
    if data.error is not None:
        columns |= {"error_code": data.error.code, "error": text(data.error)}
    return _touch(recorded, columns)


def _succeeded(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionSucceeded)
    return _moved(recorded, {"outputs": text(data.outputs), "ended_at": moment(recorded.event.time)})


def _failed(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionFailed)
    return _moved(
        recorded,
        {
            "error_code": data.error.code,
            "error": text(data.error),
            "ended_at": moment(recorded.event.time),
        },
    )


def _cancelled(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionCancelled)
    columns: dict[str, Value] = {"ended_at": moment(recorded.event.time)}
    if data.reason:
        columns["reason"] = data.reason
    return _moved(recorded, columns)


def _cleared(recorded: Recorded) -> list[Change]:
    return [Delete(TABLE.name, "id", recorded.event.execution)]


EXECUTIONS: Final = Projection.of(
    name="executions",
    version=5,
    tables=(TABLE,),
    handlers={
        "execution.queued": _queued,
        "execution.deferred": _deferred,
        "execution.started": _started,
        "execution.waiting": _waiting,
        "execution.resumed": _resumed,
        "execution.ending": _ending,
        "execution.succeeded": _succeeded,
        "execution.failed": _failed,
        "execution.cancelled": _cancelled,
        "execution.cleared": _cleared,
        "step.scheduled": _step,
        "step.started": _step_started,
        "step.admitted": _step,
        "step.waiting": _step,
        "step.resumed": _step,
        "step.retrying": _step,
        "step.succeeded": _step,
        "step.failed": _step,
        "step.skipped": _step,
        "step.cancelled": _step,
    },
)
