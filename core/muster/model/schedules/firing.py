"""What a schedule does when it is due: it begins an execution, or says why not.

Each time that has come due is dealt with, oldest first, by one event that says which, and when it is due next. Where
more than one has come due no scheduler was there (or it was slow): ``catch_up`` says how many of them are run, and
those wait for one another, whatever ``overlap`` says, since they would all be at once. What a workflow says
itself about executions at once (``concurrency``) comes before that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from muster.model.definition.schedule import Scheduled
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.engine.writing import timer
from muster.model.errors import MusterError
from muster.model.log import catalogue as c
from muster.model.log import timetable as t
from muster.model.log.clipping import clipped
from muster.model.log.transitions import transition
from muster.model.schedules import calendar
from muster.model.schedules.fold import Owed, ScheduleState
from muster.model.sharing import concurrency, granted
from muster.model.sharing.claims import Claim

COMPACT: Final = "%Y%m%dT%H%M%SZ"


def fire(round_: Round) -> None:
    """Deal with whatever has come due, and with what the leader before did not come to."""
    schedules = round_.state.schedules
    for owed in list(schedules.owed.values()):
        _begin(round_, owed)
    for schedule in schedules.taken():
        if schedule.paused or schedule.next_at is None:
            continue
        if schedule.next_at > round_.now:
            round_.state.arm(schedule.next_at, "schedule", "", schedule.name)
        else:
            _due(round_, schedule, schedule.next_at)


def name_of(schedule: str, due_at: datetime) -> str:
    """The id of the execution that a schedule begins when it is due then."""
    return f"{schedule}-{due_at.strftime(COMPACT)}"


def _due(round_: Round, schedule: ScheduleState, first: datetime) -> None:
    policy, spec = round_.state.policy, schedule.schedule
    keep = policy.schedule_catch_up_max if spec.catch_up == "all" else 1
    found = calendar.elapsed(spec, schedule.since, first, round_.now, keep)
    due, passed, passed_at = found.due, found.passed, found.passed_at
    late = timedelta(seconds=policy.schedule_late_s)
    if spec.catch_up == "none" and due and due[-1] < round_.now - late:
        due, passed, passed_at = [], passed + len(due), due[-1]
    following = [*due[1:], calendar.after(spec, schedule.since, round_.now)]
    if passed_at is not None:
        next_at = due[0] if due else following[-1]
        _skip(round_, schedule, passed_at, "missed", next_at, count=passed)
    for due_at, next_at in zip(due, following, strict=False):
        _one(round_, schedule, due_at, next_at, behind=len(due) > 1)


def _one(
    round_: Round, schedule: ScheduleState, due_at: datetime, next_at: datetime | None, *, behind: bool
) -> None:
    state, execution = round_.state, name_of(schedule.name, due_at)
    running = next(reversed(schedule.running), None)
    if execution in state.executions or execution in state.ended:
        _skip(round_, schedule, due_at, "taken", next_at, execution=execution)
    elif running is not None and schedule.schedule.overlap == "skip" and not behind:
        _skip(round_, schedule, due_at, "overlap", next_at, execution=running)
    elif len(schedule.running) >= state.policy.schedule_running_max:
        _skip(round_, schedule, due_at, "full", next_at, execution=running)
    else:
        _fire(round_, schedule, due_at, next_at, behind=behind)


def _fire(
    round_: Round, schedule: ScheduleState, due_at: datetime, next_at: datetime | None, *, behind: bool
) -> None:
    execution = name_of(schedule.name, due_at)
    try:
        claim = claimed(round_.state, schedule, execution, behind=behind)
    except MusterError as error:
        _skip(round_, schedule, due_at, "refused", next_at, error=clipped(error.info()))
        return
    body = t.ScheduleFired(
        name=schedule.name, due_at=due_at, execution=execution, next_at=next_at, concurrency=claim
    )
    round_.write(body, timer("schedule", due_at))
    _begin(round_, round_.state.schedules.owed[execution])


def claimed(state: State, schedule: ScheduleState, execution: str, *, behind: bool = False) -> Claim | None:
    """What the execution claims: as its workflow says, or its turn among those of the schedule.

    Raises ConcurrencyLimitError where the workflow says that one more is refused, and what working out its key raises.
    """
    if schedule.workflow.concurrency is not None:
        return concurrency.claimed(state, schedule.workflow, schedule.inputs, execution)
    if behind or schedule.schedule.overlap == "queue":
        return Claim(key=f"schedule:{schedule.name}")
    if schedule.schedule.overlap == "cancel":
        return Claim(key=f"schedule:{schedule.name}", on_conflict="cancel_running")
    return None


def _skip(
    round_: Round,
    schedule: ScheduleState,
    due_at: datetime,
    reason: t.Reason,
    next_at: datetime | None,
    **more: Any,
) -> None:
    body = t.ScheduleSkipped(name=schedule.name, due_at=due_at, reason=reason, next_at=next_at, **more)
    round_.write(body, timer("schedule", due_at))


def _begin(round_: Round, owed: Owed) -> None:
    """The cause is the command that set the schedule: nobody can guess it, and tokens are made of it."""
    schedule = owed.schedule
    scheduled = Scheduled(name=schedule.name, due_at=owed.due_at)
    body = queued(schedule, scheduled, owed.claim)
    round_.write(body, schedule.command, execution=owed.execution)


def queued(schedule: ScheduleState, scheduled: Scheduled, claim: Claim | None) -> c.ExecutionQueued:
    """What queues an execution of a schedule."""
    return c.ExecutionQueued(
        workflow=schedule.workflow,
        inputs=schedule.inputs,
        transition=transition(1, "init", None),
        labels=schedule.workflow.labels | schedule.labels,
        metadata=schedule.workflow.metadata,
        concurrency=claim,
        priority=schedule.workflow.priority,
        timeout_s=granted.timeout_s(schedule.workflow.timeout),
        tags=granted.held(schedule.workflow, ()),
        schedule=scheduled,
    )
