"""What follows when an attempt did not succeed: another one, charged to a budget, or the step's final error.

Each phase has a budget of its own; losing the machine has another. Jitter is drawn from the attempt's name,
so that the same history always gives the same delays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from muster.model.errors import ErrorInfo, RetriableError
from muster.model.log.catalogue import AttemptFailed, AttemptRef
from muster.model.log.clipping import clipped
from muster.model.plan.results import Result
from muster.model.plan.tree import RetryPlan

LOST = "lost"
ASKED = "asked"


class Again(msgspec.Struct, frozen=True):
    """Try again from ``due_at`` on; ``used`` retries are charged to ``budget`` then."""

    error: ErrorInfo
    budget: str
    used: int
    due_at: datetime


class Final(msgspec.Struct, frozen=True):
    """The step failed for good."""

    error: ErrorInfo


def after_failure(
    failure: AttemptFailed,
    ref: AttemptRef,
    plan: RetryPlan,
    used: dict[str, int],
    lost_max: int,
    now: datetime,
) -> Again | Final:
    """What follows a failed attempt."""
    error = clipped(failure.error)
    if failure.reason in ("no_capacity", "lost"):
        return after_loss(error, used, lost_max, now)
    phase, spent = failure.phase, used.get(failure.phase, 0)
    allowed = plan.max_attempts.get(phase, 1) - 1
    if failure.retriable and spent < allowed:
        return Again(error, phase, spent + 1, now + timedelta(seconds=delay(plan, ref, spent)))
    if failure.retriable and allowed > 0:
        return Final(_exhausted(error, phase, allowed + 1))
    return Final(error)


def after_asking(
    result: Result, error: ErrorInfo, ref: AttemptRef, used: dict[str, int], now: datetime
) -> Again | Final:
    """What follows where a container asked to be run again: ``error`` says that it did."""
    spent = used.get(ASKED, 0)
    if spent < result.max_retries:
        wait_s = result.wait_min + (result.wait_max - result.wait_min) * drawn(ref)
        return Again(error, ASKED, spent + 1, now + timedelta(seconds=wait_s))
    return Final(_exhausted(error, "run", spent + 1))


def after_loss(error: ErrorInfo, used: dict[str, int], lost_max: int, now: datetime) -> Again | Final:
    """What follows an attempt that was lost with its machine: at once, but not without end."""
    spent = used.get(LOST, 0)
    if spent < lost_max:
        return Again(error, LOST, spent + 1, now)
    return Final(error)


def delay(plan: RetryPlan, ref: AttemptRef, spent: int) -> float:
    """Seconds before the next attempt: initial times factor to the number of retries spent, up to max."""
    try:
        whole = min(plan.initial * plan.factor**spent, plan.max)
    except OverflowError:
        whole = plan.max
    if not plan.jitter:
        return whole
    return whole * (0.5 + drawn(ref) / 2)


def drawn(ref: AttemptRef) -> float:
    """A number from 0 to 1 that looks drawn by chance and is the same for the same attempt."""
    digest = blake2b(f"{ref.execution}/{ref.step}/{ref.attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**32


def _exhausted(error: ErrorInfo, phase: str, tries: int) -> ErrorInfo:
    text = f"all {tries} attempts failed in the {phase} phase; the last one: {error.message}"
    return RetriableError(text, cause=error).info(
        phase=phase, step=error.step, machine=error.machine, attempt=error.attempt
    )
