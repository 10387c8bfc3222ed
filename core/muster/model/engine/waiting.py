"""Whether an execution stands still: nothing of it moves, and a step waits for somebody."""

from __future__ import annotations

from itertools import islice
from typing import Final

from muster.model.engine.execution import ExecutionState
from muster.model.engine.round import Round
from muster.model.engine.writing import changed
from muster.model.log import catalogue as c

NAMED_MAX: Final = 10  # steps that are named where an execution waits for input


def wait(round_: Round, execution: ExecutionState, cause: str) -> None:
    """Say so where it has come to stand still."""
    if execution.status in ("starting", "running") and execution.asking > 0 and not execution.moving:
        asking = islice((step.path for step in execution.steps.values() if step.asks), NAMED_MAX)
        more = f" and {execution.asking - NAMED_MAX} more" if execution.asking > NAMED_MAX else ""
        body = c.ExecutionWaiting(
            transition=changed(execution, "wait"), reason=f"input for {', '.join(asking)}{more}"
        )
        round_.write(body, cause, execution=execution.id)


def resume(round_: Round, execution: ExecutionState) -> None:
    """Say so where it moves again, before anything else is said of it."""
    if execution.status == "awaiting_input" and (execution.moving or _succeeds(execution)):
        answered = (step.resumed_id for step in execution.steps.values() if not step.terminal)
        cause = next(filter(None, answered), execution.latest_id) or execution.queued_id
        round_.write(
            c.ExecutionResumed(transition=changed(execution, "resume")), cause, execution=execution.id
        )


def _succeeds(execution: ExecutionState) -> bool:
    """Whether it is about to succeed, which only what runs can."""
    return execution.open == 0 and execution.ending in (None, "succeeded") and not execution.failing
