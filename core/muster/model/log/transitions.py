"""The one table of execution statuses and transitions.

Theory of operation. An execution's status is never stored by a writer: it is what folding its transitions
gives. A transition is written by the scheduler alone, as an event of the kind named below, and carries its
number, its type and the status before and after. Whoever writes, validates, draws or tests a transition reads
this table; there is no second copy. Rules:

1. A status changes only by a row of TABLE; any other pair is an IllegalTransitionError and nothing happens.
2. A terminal status has no way out. A late fact or a second cancel is acknowledged and changes nothing.
3. ``step`` may leave the status as it is (running to running): every first start of a step is a transition.
"""

from __future__ import annotations

from typing import Final

import msgspec

from muster.model.errors import IllegalTransitionError

STATUSES: Final = ("queued", "starting", "running", "awaiting_input", "succeeded", "failed", "cancelled")
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled"})


class Row(msgspec.Struct, frozen=True):
    """One transition type: the event it is written as, and where it leads from where."""

    type: str
    kind: str
    before: tuple[str | None, ...]
    after: str


TABLE: Final = (
    Row("init", "execution.queued", (None,), "queued"),
    Row("start", "execution.started", ("queued",), "starting"),
    Row("step", "step.started", ("starting", "running", "awaiting_input"), "running"),
    Row("wait", "execution.waiting", ("starting", "running"), "awaiting_input"),
    Row("resume", "execution.resumed", ("awaiting_input",), "running"),
    Row("finish", "execution.succeeded", ("queued", "starting", "running"), "succeeded"),
    Row("error", "execution.failed", ("queued", "starting", "running", "awaiting_input"), "failed"),
    Row("cancel", "execution.cancelled", ("queued", "starting", "running", "awaiting_input"), "cancelled"),
)

BY_TYPE: Final = {row.type: row for row in TABLE}
BY_KIND: Final = {row.kind: row for row in TABLE}


class Transition(msgspec.Struct, frozen=True):
    """A change of an execution's status as it is recorded: its number within the execution counts from 1."""

    number: int
    type: str
    before: str | None
    after: str


def transition(number: int, type_: str, status: str | None) -> Transition:
    """The transition ``type_`` from ``status``. Raises IllegalTransitionError if the table has no such row."""
    row = BY_TYPE[type_]
    if status not in row.before:
        raise IllegalTransitionError(transition=type_, status=status)
    return Transition(number, type_, status, row.after)


# ---- steps

STEP_STATUSES: Final = (
    "pending",
    "scheduled",
    "preparing",
    "running",
    "waiting",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
)
STEP_TERMINAL: Final = frozenset({"succeeded", "failed", "skipped", "cancelled"})
PHASES: Final = ("pull", "start", "load", "run")
