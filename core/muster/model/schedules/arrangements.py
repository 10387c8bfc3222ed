"""Commands about schedules: what each records, or why it is refused.

A command changes something once, however often it is delivered: those that did are remembered by their ids. One that
asks for what is so already changes nothing: setting a schedule to what it is, pausing one that is paused.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from muster.model.definition.schedule import Scheduled
from muster.model.definition.validation import from_object
from muster.model.definition.workflow import Workflow
from muster.model.engine.acceptance import check_size, check_steps
from muster.model.engine.round import Round
from muster.model.errors import (
    CommandInvalidError,
    ExecutionConflictError,
    ScheduleNotFoundError,
    ScheduleRunningError,
    WorkflowInvalidError,
)
from muster.model.log import catalogue as c
from muster.model.log.commands import (
    Command,
    PauseSchedule,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from muster.model.log.names import check_execution, check_schedule
from muster.model.plan import inputs
from muster.model.schedules import calendar, firing
from muster.model.schedules.fold import ScheduleState
from muster.model.sharing.granted import check_tags, held


def arrange(round_: Round, command: Command) -> bool:
    """Record what the command causes; whether it is one about schedules. Raises a MusterError where it is refused."""
    arranging = _ARRANGE.get(type(command))
    if arranging is not None and command.id not in round_.state.schedules.asked:
        arranging(round_, command)
    return arranging is not None


def digest(workflow: dict[str, Any], given: dict[str, Any], labels: dict[str, str]) -> str:
    """What a schedule was set to, as 32 hex digits: equal for equal content."""
    content = [workflow, given, labels]
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).hexdigest()


def checked(workflow: Workflow, given: dict[str, Any]) -> dict[str, Any]:
    """The inputs of every run: those of the workflow's ``schedule``, then those ``given``, defaults filled in.

    Raises WorkflowInvalidError where the workflow has no schedule, and whatever a submit would be refused with.
    """
    if workflow.schedule is None:
        raise WorkflowInvalidError(
            f"the workflow {workflow.name} does not say when it is to be run.",
            remedy="Give it a schedule, such as: schedule: {every: 1h}.",
        )
    return inputs.accept(workflow, workflow.schedule.inputs | given)


def _set(round_: Round, command: SetSchedule) -> None:
    schedules, policy = round_.state.schedules, round_.state.policy
    name = check_schedule(command.name)
    known, digest_ = schedules.by_name.get(name), digest(command.workflow, command.inputs, command.labels)
    if known is not None and known.digest == digest_:
        return
    workflow = from_object(command.workflow)
    check_steps(round_.state, workflow)
    check_tags(workflow, held(workflow, ()), policy.function_tags)
    given = checked(workflow, command.inputs)
    if known is None and len(schedules.by_name) >= policy.schedules_max:
        raise CommandInvalidError(
            f"there are {len(schedules.by_name)} schedules, and no more are accepted",
            remedy="Remove one that is not needed: muster schedules remove NAME.",
        )
    assert workflow.schedule is not None
    moment = max(filter(None, (round_.now, schedules.passed_at(name))))
    body = c.ScheduleSet(
        name=name,
        workflow=workflow,
        inputs=given,
        next_at=calendar.after(workflow.schedule, round_.now, moment),
        digest=digest_,
        labels=command.labels,
    )
    check_size(body)
    round_.write(body, command.id)


def _known(round_: Round, name: str) -> ScheduleState:
    found = round_.state.schedules.by_name.get(check_schedule(name))
    if found is None:
        raise ScheduleNotFoundError(schedule=name)
    return found


def _pause(round_: Round, command: PauseSchedule) -> None:
    if not _known(round_, command.name).paused:
        round_.write(c.SchedulePaused(name=command.name, reason=command.reason), command.id)


def _resume(round_: Round, command: ResumeSchedule) -> None:
    found = _known(round_, command.name)
    if found.paused:
        moment = max(filter(None, (round_.now, found.passed_at)))
        next_at = calendar.after(found.schedule, found.since, moment)
        round_.write(c.ScheduleResumed(name=command.name, next_at=next_at), command.id)


def _remove(round_: Round, command: RemoveSchedule) -> None:
    _known(round_, command.name)
    round_.write(c.ScheduleRemoved(name=command.name, reason=command.reason), command.id)


def _trigger(round_: Round, command: TriggerSchedule) -> None:
    """Run it now, also where it is paused; where its runs do not overlap, and one goes on, that is refused."""
    found, state = _known(round_, command.name), round_.state
    execution = check_execution(command.execution)
    if execution in state.executions or execution in state.ended:
        raise ExecutionConflictError(execution=execution)
    if found.running and found.schedule.overlap == "skip":
        raise ScheduleRunningError(schedule=found.name, execution=next(reversed(found.running)))
    scheduled = Scheduled(name=found.name, due_at=round_.now, triggered=True)
    claim = firing.claimed(state, found, execution)
    round_.write(firing.queued(found, scheduled, claim), command.id, execution=execution)


_ARRANGE: Final[dict[type[Command], Callable[[Round, Any], None]]] = {
    SetSchedule: _set,
    PauseSchedule: _pause,
    ResumeSchedule: _resume,
    RemoveSchedule: _remove,
    TriggerSchedule: _trigger,
}
