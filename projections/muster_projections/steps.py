"""Steps: one row each from the moment the execution is accepted, by the scheduler's decisions alone."""

from __future__ import annotations

from typing import Final

from muster.model.log.catalogue import (
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
from muster.model.log.decisions import Source
from muster.model.log.envelope import Recorded
from muster.model.plan.lowering import lower
from muster.model.plan.outline import member
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
        Column(
            name="position",
            type="INTEGER",
            doc="Its place in the workflow, from 0; null where a loop, a branch or a handler runs it.",
        ),
        Column(name="loop", type="TEXT", doc="The loop that runs it for one of its items."),
        Column(name="item", type="INTEGER", doc="The number of that item, from 0."),
        Column(
            name="status",
            type="TEXT",
            doc="pending, scheduled, running, waiting, succeeded, failed, skipped or cancelled.",
        ),
        Column(
            name="image", type="TEXT", doc="The image as the definition names it, for steps of the workflow."
        ),
        Column(name="attempt", type="INTEGER", doc="The number of the last attempt scheduled."),
        Column(name="machine", type="TEXT", doc="The machine of that attempt."),
        Column(name="scheduled_at", type="TEXT", doc="When it was first given to a machine.", first=True),
        Column(name="started_at", type="TEXT", doc="When its first attempt began to run.", first=True),
        Column(name="ended_at", type="TEXT", doc="When it reached its final status.", first=True),
        Column(name="outputs", type="JSON", doc="Its outputs by name, once it succeeded."),
        Column(name="error_code", type="TEXT", doc="The stable code of the last error."),
        Column(name="error", type="JSON", doc="The last error; null once it succeeded."),
        Column(
            name="reason",
            type="TEXT",
            doc="Why it waits (input, timer, check_later, retry), was skipped (condition, upstream, ending, asked) "
            "or was cancelled; reused or cached where its outputs were taken over.",
        ),
        Column(name="message", type="TEXT", doc="What its container said about that."),
        Column(name="prompt", type="TEXT", doc="What it asks, or asked, of whoever gives it its input."),
        Column(name="branch", type="TEXT", doc="The branch that was chosen, if it chooses."),
        Column(name="items", type="INTEGER", doc="How many items it goes through, if it is a loop."),
        Column(name="child", type="TEXT", doc="The execution it runs, if it runs another workflow."),
        Column(
            name="source_execution",
            type="TEXT",
            doc="The execution in which its outcome was made, where it was not made here.",
        ),
        Column(name="source_attempt", type="INTEGER", doc="The attempt there."),
        Column(name="source_at", type="TEXT", doc="When."),
        Column(
            name="cache_key", type="TEXT", doc="The key of the result cache it is kept or was found under."
        ),
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
    if (of := member(event.step or "")) is not None:
        columns["loop"], columns["item"] = of
    return [Upsert(TABLE.name, (event.execution, event.step), columns)]


def _queued(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ExecutionQueued)
    execution, sequence = recorded.event.execution, recorded.sequence
    return [
        Upsert(
            TABLE.name,
            (execution, path),
            {"position": plan.index, "status": "pending", "image": plan.step.image, "sequence": sequence},
        )
        for path, plan in lower(data.workflow).steps.items()
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
            "message": None,
            "due_at": None,
        },
    )


def _started(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepStarted)
    columns: dict[str, Value] = {"status": "running", "started_at": moment(recorded.event.time)}
    if data.members is not None:
        columns["items"] = len(data.members)
    if data.branch is not None:
        columns["branch"] = data.branch or None
    if data.child is not None:
        columns["child"] = data.child
    return _set(recorded, columns)


def _waiting(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepWaiting)
    due = None if data.due_at is None else moment(data.due_at)
    said: dict[str, Value] = {"message": data.said or None}
    if data.prompt:
        said["prompt"] = data.prompt
    return _set(recorded, said | {"status": "waiting", "reason": data.reason, "due_at": due})


def _admitted(recorded: Recorded) -> list[Change]:
    return _set(recorded, {"status": "pending", "reason": None, "message": None})


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
    columns |= _source(data.source) | ({"cache_key": data.cache_key} if data.cache_key else {})
    return _ended(recorded, "succeeded", data.reason, columns)


def _failed(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepFailed)
    return _ended(recorded, "failed", "", {"error_code": data.error.code, "error": text(data.error)})


def _skipped(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepSkipped)
    columns: dict[str, Value] = {"message": data.message or None}
    return _ended(recorded, "skipped", data.reason, columns | _source(data.source))


def _source(source: Source | None) -> dict[str, Value]:
    """Where the outcome was made, where that was not here."""
    if source is None:
        return {}
    return {
        "source_execution": source.execution,
        "source_attempt": source.attempt,
        "source_at": None if source.at is None else moment(source.at),
    }


def _cancelled(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, StepCancelled)
    return _ended(recorded, "cancelled", data.reason, {})


STEPS: Final = Projection.of(
    name="steps",
    version=4,
    tables=(TABLE,),
    handlers={
        "execution.queued": _queued,
        "execution.cleared": forget(TABLE.name),
        "step.scheduled": _scheduled,
        "step.started": _started,
        "step.admitted": _admitted,
        "step.waiting": _waiting,
        "step.resumed": _resumed,
        "step.retrying": _retrying,
        "step.succeeded": _succeeded,
        "step.failed": _failed,
        "step.skipped": _skipped,
        "step.cancelled": _cancelled,
    },
)
