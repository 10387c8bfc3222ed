"""When a workflow is to be run again and again, as people write it: the shape only.

What it means is in ``muster.model.schedules.calendar``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

Duration = str | int | float


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a workflow is run: at the times of ``cron`` in ``timezone``, or each time ``every`` has passed since it was
    set.

    ``overlap``: while an execution it has started goes on, the next is not started (skip), is started behind it
    (queue), or takes its place (cancel). ``catch_up``: of what came due while no scheduler was there nothing is run
    (none), the newest (last), or each (all). ``inputs`` are those of the executions.
    """

    cron: str | None = None
    every: Duration | None = None
    timezone: str = "UTC"
    overlap: Literal["skip", "queue", "cancel"] = "skip"
    catch_up: Literal["none", "last", "all"] = "last"
    inputs: dict[str, Any] = {}


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an execution was begun: this schedule was due then. ``triggered``: somebody asked for it, out of turn."""

    name: str
    due_at: datetime
    triggered: bool = False
