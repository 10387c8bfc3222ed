"""Schedules as a client sees them: folded from their events in the log, and asked for by commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from muster.broker.interface import Broker
from muster.client.definition import Definition, load_checks, plain, serialize, workflow_of
from muster.client.patience import ACCEPT_LIMIT_S, NO_SCHEDULER, within
from muster.client.watch import Watch
from muster.identity import uuid7
from muster.model.definition.schedule import Schedule
from muster.model.errors import BrokerError, ErrorInfo, ScheduleNotFoundError, from_info
from muster.model.log import catalogue as c
from muster.model.log import subjects
from muster.model.log.commands import (
    Command,
    PauseSchedule,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from muster.model.log.envelope import Recorded
from muster.model.log.names import NO_EXECUTION, SCHEDULER, check_execution, check_schedule
from muster.model.schedules import calendar
from muster.model.schedules.fold import FOLDS, Schedules

TOLD: Final = subjects.events(writer=SCHEDULER, execution=NO_EXECUTION, noun="schedule")
REFUSED: Final = subjects.events(writer=SCHEDULER, execution=NO_EXECUTION, noun="command", verb="refused")
ENDS: Final = ("succeeded", "failed", "cancelled", "cleared")


class ScheduleView(msgspec.Struct, kw_only=True):
    """One schedule. ``when`` is its time in words; ``last_execution`` is what it has begun last when it was due, and
    ``last_outcome`` how that went: succeeded, failed, cancelled, cleared, or running.
    """

    name: str
    workflow: str
    when: str
    schedule: Schedule
    inputs: dict[str, Any]
    labels: dict[str, str]
    set_at: datetime
    next_at: datetime | None
    paused: bool = False
    paused_reason: str = ""
    last_execution: str | None = None
    last_due_at: datetime | None = None
    last_outcome: str | None = None
    skipped_at: datetime | None = None
    skipped_reason: str = ""


class Arrangements:
    """The schedules as their events tell of them, and the commands that were refused."""

    def __init__(self) -> None:
        self.folded = Schedules()
        self.refused: dict[str, ErrorInfo] = {}
        self.sequence = 0
        self._views: dict[str, ScheduleView] = {}

    def apply(self, recorded: Recorded) -> None:
        """Take the next event."""
        self.sequence, event = recorded.sequence, recorded.event
        if isinstance(event.data, c.CommandRefused):
            self.refused[event.data.command] = event.data.error
        elif type(event.data) in FOLDS:
            self.folded.fold(event)
            self._note(recorded)

    def _note(self, recorded: Recorded) -> None:
        event, data = recorded.event, recorded.event.data
        if isinstance(data, c.ScheduleSet):
            before = self._views.pop(data.name, None)
            view = self._views[data.name] = _view(data, event.time)
            if before is not None:
                view.last_execution, view.last_due_at = before.last_execution, before.last_due_at
        elif isinstance(data, c.ScheduleRemoved):
            self._views.pop(data.name, None)
        elif isinstance(data, c.SchedulePaused | c.ScheduleResumed) and data.name in self._views:
            self._views[data.name].paused_reason = getattr(data, "reason", "")
        elif isinstance(data, c.ScheduleFired) and data.name in self._views:
            view = self._views[data.name]
            view.last_execution, view.last_due_at = data.execution, data.due_at
        elif isinstance(data, c.ScheduleSkipped) and data.name in self._views:
            view = self._views[data.name]
            view.skipped_at, view.skipped_reason = data.due_at, data.reason

    @property
    def views(self) -> list[ScheduleView]:
        """The schedules there are, by name."""
        for name, view in self._views.items():
            known = self.folded.by_name[name]
            view.next_at, view.paused = known.next_at, known.paused
        return [self._views[name] for name in sorted(self._views)]


def _view(data: c.ScheduleSet, at: datetime) -> ScheduleView:
    schedule = data.workflow.schedule or Schedule()
    return ScheduleView(
        name=data.name,
        workflow=data.workflow.name,
        when=calendar.words(schedule),
        schedule=schedule,
        inputs=data.inputs,
        labels=data.labels,
        set_at=at,
        next_at=data.next_at,
    )


async def arranged(broker: Broker) -> Arrangements:
    """All there are now."""
    found = Arrangements()
    async with aclosing(broker.history.read(subjects=[TOLD])) as batches:
        async for batch in batches:
            for recorded in batch:
                found.apply(recorded)
    return found


async def outcome(broker: Broker, execution: str) -> str:
    """How the execution went: one of ``ENDS``, or running."""
    asked = [
        subjects.events(writer=SCHEDULER, execution=execution, noun="execution", verb=verb) for verb in ENDS
    ]
    for verb, last in zip(ENDS, await asyncio.gather(*map(broker.history.last, asked)), strict=True):
        if last is not None:
            return verb
    return "running"


async def _ask(broker: Broker, verb: str, command: Command, done: Callable[[Schedules], bool]) -> bool:
    """Send the command, and return once the log shows what it asks for; whether it has changed anything.

    Raises the error that it was refused with, and ExecutionTimeoutError where no scheduler takes it up.
    """
    found = await arranged(broker)
    if done(found.folded):
        return False
    await within(ACCEPT_LIMIT_S, _sent(broker, verb, command, found, done), NO_EXECUTION, NO_SCHEDULER)
    return command.id in found.folded.asked


async def _sent(
    broker: Broker, verb: str, command: Command, found: Arrangements, done: Callable[[Schedules], bool]
) -> None:
    reader = broker.history.follow(found.sequence + 1, subjects=[TOLD, REFUSED])
    async with aclosing(reader) as batches:
        await broker.commands.send(SCHEDULER, verb, command)
        async for batch in batches:
            for recorded in batch:
                found.apply(recorded)
            if command.id in found.refused:
                raise from_info(found.refused[command.id])
            if command.id in found.folded.asked or done(found.folded):
                return
    raise BrokerError("The reading of the log ended: the connection was closed.")


class _Connected(Protocol):
    @property
    def broker(self) -> Broker: ...


class Scheduling:
    """What a client can ask about schedules."""

    async def schedules(self: _Connected) -> list[ScheduleView]:
        """Every schedule there is, by name."""
        found = (await arranged(self.broker)).views
        for view in found:
            if view.last_execution is not None:
                view.last_outcome = await outcome(self.broker, view.last_execution)
        return found

    async def schedule(
        self: _Connected,
        workflow: Definition,
        *,
        name: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Have the workflow run at the times of its ``schedule``; gives the schedule's name, by default the workflow's.

        What had the name gives it up; the same again changes nothing. Nothing is sent if the workflow or its inputs are
        not valid. Raises WorkflowInvalidError where the workflow has no schedule.
        """
        await load_checks()
        from muster.model.schedules.arrangements import (  # only now: it brings the expression library
            checked,
            digest,
        )

        if isinstance(workflow, Path):
            workflow = await asyncio.to_thread(workflow_of, workflow)
        whole = await asyncio.to_thread(workflow_of, workflow)
        given, named = dict(plain(inputs or {})), check_schedule(name or whole.name)
        checked(whole, given)
        command = SetSchedule(
            id=uuid7(), name=named, workflow=serialize(whole), inputs=given, labels=dict(labels or {})
        )
        wanted = digest(command.workflow, command.inputs, command.labels)

        def is_set(schedules: Schedules) -> bool:
            known = schedules.by_name.get(named)
            return known is not None and known.digest == wanted

        await _ask(self.broker, "set-schedule", command, is_set)
        return named

    async def pause_schedule(self: _Connected, name: str, reason: str = "") -> bool:
        """Do not run it until it is resumed; whether that changes anything. Raises ScheduleNotFoundError."""
        command = PauseSchedule(id=uuid7(), name=check_schedule(name), reason=reason)
        return await _ask(self.broker, "pause-schedule", command, _paused(name, True))

    async def resume_schedule(self: _Connected, name: str) -> bool:
        """Run it again, from its next time on; whether that changes anything. Raises ScheduleNotFoundError."""
        command = ResumeSchedule(id=uuid7(), name=check_schedule(name))
        return await _ask(self.broker, "resume-schedule", command, _paused(name, False))

    async def remove_schedule(self: _Connected, name: str, reason: str = "") -> None:
        """Do not run it any more; what it has begun goes on. Raises ScheduleNotFoundError."""
        command = RemoveSchedule(id=uuid7(), name=check_schedule(name), reason=reason)
        await _ask(self.broker, "remove-schedule", command, lambda _: False)

    async def trigger_schedule(self: _Connected, name: str, *, execution: str | None = None) -> str:
        """Run it once now, also where it is paused; gives the id of the execution.

        Raises ScheduleRunningError where its runs do not overlap and one goes on, and ScheduleNotFoundError.
        """
        named = check_execution(execution or uuid7())
        command = TriggerSchedule(id=uuid7(), name=check_schedule(name), execution=named)
        async with Watch(self.broker.history, named) as watch:
            await self.broker.commands.send(SCHEDULER, "trigger-schedule", command)
            await within(ACCEPT_LIMIT_S, watch.until_accepted(command.id), named, NO_SCHEDULER)
        return named


def _paused(name: str, wanted: bool) -> Callable[[Schedules], bool]:  # noqa: FBT001
    def check(schedules: Schedules) -> bool:
        known = schedules.by_name.get(name)
        return known is not None and known.paused is wanted

    return check


async def shown(broker: Broker, name: str) -> ScheduleView:
    """One schedule. Raises ScheduleNotFoundError."""
    for view in (await arranged(broker)).views:
        if view.name == name:
            if view.last_execution is not None:
                view.last_outcome = await outcome(broker, view.last_execution)
            return view
    raise ScheduleNotFoundError(schedule=name)
