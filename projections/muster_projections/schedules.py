"""Schedules: one row each, by what was asked for and by what became of the times they were due."""

from __future__ import annotations

from typing import Any, Final

from muster.model.definition.schedule import Schedule
from muster.model.log.catalogue import ScheduleFired, ScheduleSet, ScheduleSkipped
from muster.model.log.envelope import Recorded
from muster_projections.projection import (
    Change,
    Column,
    Projection,
    Table,
    Upsert,
    Value,
    moment,
    text,
)

TABLE: Final = Table(
    name="schedules",
    doc="One row for each schedule that was ever set. What they have begun are executions whose `schedule` names them.",
    key=("name",),
    columns=(
        Column(name="name", type="TEXT", doc="The schedule's name."),
        Column(name="status", type="TEXT", doc="active, paused or removed."),
        Column(name="workflow", type="TEXT", doc="The name of the workflow it runs."),
        Column(name="cron", type="TEXT", doc="When it is due, as cron reads it."),
        Column(name="every", type="TEXT", doc="How often it is due, counted from set_at."),
        Column(name="timezone", type="TEXT", doc="The zone of cron."),
        Column(
            name="overlap",
            type="TEXT",
            doc="What becomes of a run while one before it goes on: skip, queue or cancel.",
        ),
        Column(
            name="catch_up",
            type="TEXT",
            doc="What is run of what came due without a scheduler: none, last or all.",
        ),
        Column(name="inputs", type="JSON", doc="The inputs of every run, defaults filled in."),
        Column(name="labels", type="JSON", doc="The labels of every run."),
        Column(name="next_at", type="TEXT", doc="When it is due next."),
        Column(name="last_due_at", type="TEXT", doc="When it was due the last time it began an execution."),
        Column(name="last_execution", type="TEXT", doc="The execution that it began then."),
        Column(name="skipped_at", type="TEXT", doc="When it was due the last time it began nothing."),
        Column(name="skipped_reason", type="TEXT", doc="Why not: missed, overlap, full, taken or refused."),
        Column(name="set_at", type="TEXT", doc="When it was set to what it is."),
        Column(name="changed_at", type="TEXT", doc="The time of the last event about it."),
        Column(name="reason", type="TEXT", doc="Why it was paused or removed, where that was said."),
        Column(name="sequence", type="INTEGER", doc="The place in the log of that event."),
    ),
)


def _change(recorded: Recorded, columns: dict[str, Value]) -> list[Change]:
    data: Any = recorded.event.data
    columns["changed_at"] = moment(recorded.event.time)
    columns["sequence"] = recorded.sequence
    if hasattr(data, "next_at"):
        columns["next_at"] = None if data.next_at is None else moment(data.next_at)
    return [Upsert(TABLE.name, (data.name,), columns)]


def _set(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ScheduleSet)
    schedule = data.workflow.schedule or Schedule()
    return _change(
        recorded,
        {
            "status": "active",
            "workflow": data.workflow.name,
            "cron": schedule.cron,
            "every": None if schedule.every is None else str(schedule.every),
            "timezone": schedule.timezone,
            "overlap": schedule.overlap,
            "catch_up": schedule.catch_up,
            "inputs": text(data.inputs),
            "labels": text(data.labels),
            "set_at": moment(recorded.event.time),
            "reason": None,
        },
    )


def _paused(recorded: Recorded) -> list[Change]:
    return _change(recorded, {"status": "paused", "reason": _reason(recorded)})


def _resumed(recorded: Recorded) -> list[Change]:
    return _change(recorded, {"status": "active", "reason": None})


def _removed(recorded: Recorded) -> list[Change]:
    return _change(recorded, {"status": "removed", "reason": _reason(recorded), "next_at": None})


def _reason(recorded: Recorded) -> str | None:
    data: Any = recorded.event.data
    return data.reason or None


def _fired(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ScheduleFired)
    return _change(recorded, {"last_due_at": moment(data.due_at), "last_execution": data.execution})


def _skipped(recorded: Recorded) -> list[Change]:
    data = recorded.event.data
    assert isinstance(data, ScheduleSkipped)
    return _change(recorded, {"skipped_at": moment(data.due_at), "skipped_reason": data.reason})


SCHEDULES: Final = Projection.of(
    name="schedules",
    version=1,
    tables=(TABLE,),
    handlers={
        "schedule.set": _set,
        "schedule.paused": _paused,
        "schedule.resumed": _resumed,
        "schedule.removed": _removed,
        "schedule.fired": _fired,
        "schedule.skipped": _skipped,
    },
)
