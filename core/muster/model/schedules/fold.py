"""Schedules as the log knows them, and how their events are folded.

Theory of operation. What a schedule does next is ``next_at``, which every event about it says: folding works out no
time. A time that came due is dealt with once, by the ``schedule.fired`` or ``schedule.skipped`` that moves ``next_at``
on, and a time is never gone back to: neither where a leader's clock is behind that of the one before, nor where a
schedule is removed and set again. That makes ``due_at`` the identity of a run, and the execution's id is made of it.

``schedule.fired`` comes before the ``execution.queued`` it speaks of. A leader that dies between the two leaves it
*owed*, and the next one writes it. It does so in its first round, before anything is archived; so where a
``log.archived`` stands behind a ``schedule.fired``, its execution was begun, even if it is not in the log any more. An
``execution.cleared`` says the same of the one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from muster.model.definition.schedule import Schedule, Scheduled
from muster.model.definition.workflow import Workflow
from muster.model.log import timetable as t
from muster.model.log.envelope import Event
from muster.model.sharing.claims import Claim

NEVER: Final = Schedule()  # what a log says that was not written by a scheduler
REMEMBERED_MAX: Final = 10_000
"""Commands that changed a schedule, and schedules that were removed, of which is known that they were: the broker may
deliver a command again for as long as it is not acknowledged, and that is minutes."""


class ScheduleState(msgspec.Struct, kw_only=True):
    """One schedule. ``since`` is when it was set, ``command`` what set it; ``passed_at`` is the newest time it was due
    that is dealt with, ``running`` are the executions it has begun that have not ended.
    """

    name: str
    workflow: Workflow
    inputs: dict[str, Any]
    schedule: Schedule
    labels: dict[str, str]
    digest: str
    command: str
    since: datetime
    next_at: datetime | None
    passed_at: datetime | None = None
    paused: bool = False
    running: dict[str, None] = {}


class Owed(msgspec.Struct, frozen=True):
    """An execution that is said to be begun and of which nothing is known yet. It is begun as its schedule was then."""

    execution: str
    due_at: datetime
    claim: Claim | None
    schedule: ScheduleState


class Schedules:
    """All schedules by name. ``touched`` are those that ``decide`` has to look at.

    ``passed`` is up to when those that were removed are dealt with, ``asked`` the commands that changed anything.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, ScheduleState] = {}
        self.owed: dict[str, Owed] = {}
        self.touched: dict[str, None] = {}
        self.passed: dict[str, datetime] = {}
        self.asked: dict[str, None] = {}
        self._begun: dict[str, str] = {}

    @property
    def stirred(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self.touched or self.owed)

    def touch(self, *names: str) -> None:
        """Have ``decide`` look at these."""
        self.touched.update(dict.fromkeys(names))

    def taken(self) -> list[ScheduleState]:
        """What was touched, in an order that does not depend on when: a replay does not know of idle rounds."""
        touched, self.touched = self.touched, {}
        return [self.by_name[name] for name in sorted(touched) if name in self.by_name]

    def begin(self, event: Event, scheduled: Scheduled) -> None:
        """The execution of this ``execution.queued`` was begun for a schedule."""
        execution = event.execution
        self._begun[execution] = scheduled.name
        self.owed.pop(execution, None)
        if scheduled.triggered and event.cause:
            _remember(self.asked, event.cause, None)
        if (found := self.by_name.get(scheduled.name)) is not None:
            found.running[execution] = None

    def end(self, execution: str) -> None:
        """This execution has ended, or is gone from the log."""
        self.owed.pop(execution, None)
        if (found := self.by_name.get(self._begun.pop(execution, ""))) is not None:
            found.running.pop(execution, None)

    def settle(self) -> None:
        """Whatever was said to be begun has been."""
        self.owed.clear()

    def passed_at(self, name: str) -> datetime | None:
        """The newest time that a schedule of this name was due and that is dealt with."""
        found = self.by_name.get(name)
        return self.passed.get(name) if found is None else found.passed_at

    def fold(self, event: Event) -> None:
        """Fold an event about a schedule."""
        data: Any = event.data
        if data.given and event.cause:
            _remember(self.asked, event.cause, None)
        FOLDS[type(data)](self, event, data)
        self.touch(data.name)


def _remember(where: dict[str, Any], key: str, value: Any) -> None:
    where.pop(key, None)
    where[key] = value
    if len(where) > REMEMBERED_MAX:
        del where[next(iter(where))]


def _set(schedules: Schedules, event: Event, data: t.ScheduleSet) -> None:
    passed_at = schedules.passed_at(data.name)
    schedules.by_name[data.name] = ScheduleState(
        name=data.name,
        workflow=data.workflow,
        inputs=data.inputs,
        schedule=data.workflow.schedule or NEVER,
        labels=data.labels,
        digest=data.digest,
        command=event.cause or "",
        since=event.time,
        next_at=data.next_at,
        passed_at=passed_at,
        running={id_: None for id_, name in schedules._begun.items() if name == data.name},
    )


def _paused(schedules: Schedules, _: Event, data: t.SchedulePaused) -> None:
    if (found := schedules.by_name.get(data.name)) is not None:
        found.paused = True


def _resumed(schedules: Schedules, _: Event, data: t.ScheduleResumed) -> None:
    if (found := schedules.by_name.get(data.name)) is not None:
        found.paused, found.next_at = False, data.next_at


def _removed(schedules: Schedules, _: Event, data: t.ScheduleRemoved) -> None:
    found = schedules.by_name.pop(data.name, None)
    if found is not None and found.passed_at is not None:
        _remember(schedules.passed, data.name, found.passed_at)


def _fired(schedules: Schedules, event: Event, data: t.ScheduleFired) -> None:
    _passed(schedules, event, data)
    if (found := schedules.by_name.get(data.name)) is not None:
        schedules.owed[data.execution] = Owed(data.execution, data.due_at, data.concurrency, found)


def _passed(schedules: Schedules, _: Event, data: t.ScheduleFired | t.ScheduleSkipped) -> None:
    if (found := schedules.by_name.get(data.name)) is not None:
        found.next_at, found.passed_at = data.next_at, data.due_at


FOLDS: Final[dict[type, Callable[[Schedules, Event, Any], None]]] = {
    t.ScheduleSet: _set,
    t.SchedulePaused: _paused,
    t.ScheduleResumed: _resumed,
    t.ScheduleRemoved: _removed,
    t.ScheduleFired: _fired,
    t.ScheduleSkipped: _passed,
}
