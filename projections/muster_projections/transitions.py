"""Transitions: every change of an execution's status, in order, never changed afterwards."""

from __future__ import annotations

from typing import Any, Final

from muster.model.log.catalogue import ExecutionFailed, ExecutionQueued, ExecutionSucceeded
from muster.model.log.envelope import Recorded
from muster.model.log.transitions import TABLE as TRANSITIONS_TABLE
from muster_projections.projection import (
    Change,
    Column,
    Insert,
    Projection,
    Table,
    forget,
    moment,
    text,
)

TABLE: Final = Table(
    name="transitions",
    doc="One row for each change of an execution's status.",
    key=("execution", "number"),
    columns=(
        Column(name="execution", type="TEXT", doc="The execution."),
        Column(name="number", type="INTEGER", doc="Counts from 1 within the execution."),
        Column(name="at", type="TEXT", doc="When it was decided."),
        Column(name="type", type="TEXT", doc="init, start, step, wait, resume, finish, error or cancel."),
        Column(name="before", type="TEXT", doc="The status before; null at the first."),
        Column(name="after", type="TEXT", doc="The status from then on."),
        Column(name="step", type="TEXT", doc="The step that started, for the type step."),
        Column(name="output", type="JSON", doc="The outputs, for the type finish."),
        Column(name="error", type="JSON", doc="The error, for the type error."),
        Column(
            name="label",
            type="TEXT",
            doc="The step's address, for the type step; the workflow's name, for init.",
        ),
        Column(
            name="metadata", type="JSON", doc="What else is known: machine, attempt, reason, cause, rerun_of."
        ),
        Column(name="sequence", type="INTEGER", doc="The place of its event in the log."),
        Column(name="event_id", type="TEXT", doc="The id of its event."),
    ),
    append=True,
)


def _label(recorded: Recorded) -> str | None:
    data = recorded.event.data
    return data.workflow.name if isinstance(data, ExecutionQueued) else recorded.event.step


def _metadata(recorded: Recorded) -> str:
    event = recorded.event
    data: Any = event.data
    known = {
        "machine": getattr(data, "machine", None) or event.machine,
        "attempt": event.attempt,
        "reason": getattr(data, "reason", None) or None,
        "cause": event.cause,
        "rerun_of": getattr(data, "rerun_of", None),
    }
    return text({name: value for name, value in known.items() if value is not None})


def _moved(recorded: Recorded) -> list[Change]:
    event = recorded.event
    data: Any = event.data
    row = (
        event.execution,
        data.transition.number,
        moment(event.time),
        data.transition.type,
        data.transition.before,
        data.transition.after,
        event.step,
        text(data.outputs) if isinstance(data, ExecutionSucceeded) else None,
        text(data.error) if isinstance(data, ExecutionFailed) else None,
        _label(recorded),
        _metadata(recorded),
        recorded.sequence,
        event.id,
    )
    return [Insert(TABLE.name, row)]


TRANSITIONS: Final = Projection.of(
    name="transitions",
    version=1,
    tables=(TABLE,),
    handlers={row.kind: _moved for row in TRANSITIONS_TABLE} | {"execution.cleared": forget(TABLE.name)},
)
