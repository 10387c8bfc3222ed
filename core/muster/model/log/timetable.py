"""What the scheduler writes about schedules. They stand in the log without an execution, and name their schedule.

Such events are neither archived nor erased, so a schedule lives as long as the log does, whatever becomes of the
executions it has begun.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from muster.model.definition.workflow import Workflow
from muster.model.errors import ErrorInfo
from muster.model.log.body import Body, event
from muster.model.sharing.claims import Claim

Reason = Literal["missed", "overlap", "full", "taken", "refused"]


@event("schedule.set", "scheduler", given=True)
class ScheduleSet(Body, frozen=True):
    """From now on the workflow is run at the times of its ``schedule``, first at ``next_at``.

    One of the same name takes the place of the one before. ``inputs`` are those of every run, defaults filled in;
    ``digest`` is that of all that was asked for.
    """

    name: str
    workflow: Workflow
    inputs: dict[str, Any]
    next_at: datetime | None
    digest: str = ""
    labels: dict[str, str] = {}


@event("schedule.paused", "scheduler", given=True)
class SchedulePaused(Body, frozen=True):
    """It is not run until it is resumed."""

    name: str
    reason: str = ""


@event("schedule.resumed", "scheduler", given=True)
class ScheduleResumed(Body, frozen=True):
    """It is run again, from ``next_at`` on; what came due meanwhile is not made up for."""

    name: str
    next_at: datetime | None


@event("schedule.removed", "scheduler", given=True)
class ScheduleRemoved(Body, frozen=True):
    """It is not run any more. What it has begun goes on."""

    name: str
    reason: str = ""


@event("schedule.fired", "scheduler")
class ScheduleFired(Body, frozen=True):
    """It was due at ``due_at``: this execution is begun. It is due again at ``next_at``, null where never.

    ``concurrency`` is what the execution claims.
    """

    name: str
    due_at: datetime
    execution: str
    next_at: datetime | None
    concurrency: Claim | None = None


@event("schedule.skipped", "scheduler")
class ScheduleSkipped(Body, frozen=True):
    """It was due at ``due_at`` and nothing was begun.

    ``reason``: ``missed`` (no scheduler was there; ``count`` times came due, the last one then, of 1,000 and more the
    number is not known), ``overlap`` (``execution`` goes on), ``full`` (too many of it wait or run), ``taken`` (the id
    of the execution belongs to another one), ``refused`` (what its workflow claims is taken, or cannot be worked out:
    ``error`` says so).
    """

    name: str
    due_at: datetime
    reason: Reason
    next_at: datetime | None
    count: int = 1
    execution: str | None = None
    error: ErrorInfo | None = None
