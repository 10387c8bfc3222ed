"""Steps: one row each from the moment the execution is accepted, by the scheduler's decisions alone."""

from __future__ import annotations

from typing import Final

from muster.model.catalogue import (
    ExecutionQueued,
    StepCancelled,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from muster.model.envelope import Recorded
from muster_projections.projection import (
    Change,
    Column,
    Projection,
    Table,
    Upsert,
    Value,
    forget,
    moment,
    text,
)

TABLE: Final = Table(
    name="steps",
    doc="One row for each step, as the scheduler sees it; what its attempt is doing stands in attempts.",
    key=("execution", "step"),
    columns=(
        Column(name="execution", type="TEXT", doc="The execution."),
        Column(name="step", type="TEXT", doc="The step's address."),
        Column(name="position", type="INTEGER", doc="Its place in the definition, from 0."),
        Column(
            name="status",
            type="TEXT",
            doc="pending, scheduled, running, waiting, succeeded, failed, skipped or cancelled.",
        ),
        Column(name="image", type="TEXT", doc="The image as the definition names it."),
        Column(name="attempt", type="INTEGER", doc="The number of the last attempt scheduled."),
        Column(name="machine", type="TEXT", doc="The machine of that attempt."),
        Column(name="scheduled_at", type="TEXT", doc="When it was first given to a machine.", first=True),
        Column(name="started_at", type="TEXT", doc="When its first attempt began to run.", first=True),
        Column(name="ended_at", type="TEXT", doc="When it reached its final status.", first=True),
        Column(name="outputs", type="JSON", doc="Its outputs by name, once it succeeded."),
        Column(name="error_code", type="TEXT", doc="The stable code of the last error."),
        Column(name="error", type="JSON", doc="The last error; null once it succeeded."),
        Column(name="reason", type="TEXT", doc="Why it waits, was skipped or was cancelled."),
        Column(name="due_at", type="TEXT", doc="When the wait ends by itself."),
        Column(
            name="retries",
            type="JSON",
            doc="The last retry: the budget it was charged to and how much is used.",
        ),
        Column(name="sequence", type="INTEGER", doc="The place in the log of the last decision about it."),
    ),
    indexes=(("status",),),
)


def _set(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    event = recorded.event
    columns["sequence"] = recorded.sequence
    return [Upsert(TABLE.name, (event.execution, event.step), columns)]


def _queued(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionQueued)
    execution, sequence = recorded.event.execution, recorded.sequence
    return [
        Upsert(
            TABLE.name,
            (execution, step.id),
            {"position": position, "status": "pending", "image": step.image, "sequence": sequence},
        )
        for position, step in enumerate(data.workflow.steps)
    ]


def _scheduled(recorded: Recorded) -> list[Change]:
    event = recorded.event
    data = event.data
    assert isinstance(data, StepScheduled)
    return _set(
        recorded,
        {
            "status": "scheduled",
            "attempt": event.attempt,
            "machine": data.machine,
            "scheduled_at": moment(event.time),
            "reason": None,
            "due_at": None,
        },
    )


def _started(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepStarted)
    return _set(recorded, {"status": "running", "started_at": moment(recorded.event.time)})


def _waiting(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepWaiting)
    due = None if data.due_at is None else moment(data.due_at)
    return _set(recorded, {"status": "waiting", "reason": data.reason, "due_at": due})


def _resumed(recorded: Recorded) -> list[Change]:
    return _set(recorded, {"status": "running", "reason": None, "due_at": None})


def _retrying(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepRetrying)
    return _set(
        recorded,
        {
            "status": "waiting",
            "reason": "retry",
            "due_at": moment(data.due_at),
            "error_code": data.error.code,
            "error": text(data.error),
            "retries": text({"budget": data.budget, "used": data.used}),
        },
    )


def _ended(recorded: Recorded, status: str, reason: str, columns: dict[str, Value]) -> list[Change]:
    columns |= {
        "status": status,
        "ended_at": moment(recorded.event.time),
        "reason": reason or None,
        "due_at": None,
    }
    return _set(recorded, columns)


def _succeeded(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepSucceeded)
    columns: dict[str, Value] = {"outputs": text(data.outputs), "error_code": None, "error": None}
    return _ended(recorded, "succeeded", data.reason, columns)


def _failed(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepFailed)
    return _ended(recorded, "failed", "", {"error_code": data.error.code, "error": text(data.error)})


def _skipped(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepSkipped)
    return _ended(recorded, "skipped", data.reason, {})


def _cancelled(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepCancelled)
    return _ended(recorded, "cancelled", data.reason, {})


STEPS: Final = Projection.of(
    name="steps",
    version=1,
    tables=(TABLE,),
    handlers={
        "execution.queued": _queued,
        "execution.cleared": forget(TABLE.name),
        "step.scheduled": _scheduled,
        "step.started": _started,
        "step.waiting": _waiting,
        "step.resumed": _resumed,
        "step.retrying": _retrying,
        "step.succeeded": _succeeded,
        "step.failed": _failed,
        "step.skipped": _skipped,
        "step.cancelled": _cancelled,
    },
)
