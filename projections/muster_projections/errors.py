"""Errors: every one that was ever recorded, where it happened and what to do about it."""

from __future__ import annotations

from typing import Any, Final

from muster.model.errors import ErrorInfo
from muster.model.log.envelope import Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER
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
    name="errors",
    doc="One row for each event that carries an error.",
    key=("sequence",),
    columns=(
        Column(name="sequence", type="INTEGER", doc="The place of the event in the log."),
        Column(name="at", type="TEXT", doc="When it was recorded."),
        Column(name="execution", type="TEXT", doc="The execution; null where it belongs to none."),
        Column(name="step", type="TEXT", doc="The step's address, if it belongs to a step."),
        Column(name="attempt", type="INTEGER", doc="The attempt's number, if it belongs to one."),
        Column(name="machine", type="TEXT", doc="The machine it happened on or is about."),
        Column(name="phase", type="TEXT", doc="The phase: pull, start, load or run."),
        Column(name="code", type="TEXT", doc="The stable code; scripts may match on it."),
        Column(name="name", type="TEXT", doc="The error's name, such as ImagePullError."),
        Column(name="message", type="TEXT", doc="What went wrong."),
        Column(name="remedy", type="TEXT", doc="What to do."),
        Column(name="details", type="JSON", doc="What else is known, by name."),
        Column(name="cause", type="JSON", doc="The error behind it."),
        Column(name="kind", type="TEXT", doc="The kind of the event that carries it, such as step.failed."),
    ),
    indexes=(("execution",), ("code",)),
    append=True,
)


def _error(recorded: Recorded) -> list[Change]:
    event = recorded.event
    data: Any = event.data
    error: ErrorInfo | None = data.error
    if error is None:
        return []
    row = (
        recorded.sequence,
        moment(event.time),
        None if event.execution == NO_EXECUTION else event.execution,
        error.step or event.step,
        event.attempt if error.attempt is None else error.attempt,
        error.machine or event.machine or (None if event.writer == SCHEDULER else event.writer),
        error.phase or getattr(data, "phase", None),
        error.code,
        error.name,
        error.message,
        error.remedy,
        text(error.details),
        None if error.cause is None else text(error.cause),
        event.data.kind,
    )
    return [Insert(TABLE.name, row)]


ERRORS: Final = Projection.of(
    name="errors",
    version=1,
    tables=(TABLE,),
    handlers={
        "execution.ending": _error,
        "execution.failed": _error,
        "step.retrying": _error,
        "step.failed": _error,
        "command.refused": _error,
        "attempt.failed": _error,
        "execution.cleared": forget(TABLE.name),
    },
)
