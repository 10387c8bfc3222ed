"""Whether an execution stands still: nothing of it moves, and a step waits for somebody."""

from __future__ import annotations

from muster.model import catalogue as c
from muster.model.execution import ExecutionState, StepState
from muster.model.round import Round
from muster.model.writing import changed


def wait(round_: Round, execution: ExecutionState, cause: str) -> None:
    """Say so where it has come to stand still."""
    if execution.status in ("starting", "running") and _still(execution):
        asking = ", ".join(step.path for step in execution.steps.values() if _asks(step))
        body = c.ExecutionWaiting(transition=changed(execution, "wait"), reason=f"input for {asking}")
        round_.write(body, cause, execution=execution.id)


def resume(round_: Round, execution: ExecutionState) -> None:
    """Say so where it moves again, before anything else is said of it."""
    if execution.status == "awaiting_input" and (_moves(execution) or _succeeds(execution)):
        answered = (step.resumed_id for step in execution.steps.values() if not step.terminal)
        cause = next(filter(None, answered), execution.latest_id) or execution.queued_id
        round_.write(
            c.ExecutionResumed(transition=changed(execution, "resume")), cause, execution=execution.id
        )


def _still(execution: ExecutionState) -> bool:
    return execution.asking > 0 and not _moves(execution)


def _succeeds(execution: ExecutionState) -> bool:
    """Whether it is about to succeed, which only what runs can."""
    return execution.open == 0 and execution.ending in (None, "succeeded") and not execution.failing


def _asks(step: StepState) -> bool:
    return step.status == "waiting" and step.reason == "input" and step.resumed_id is None


def _moves(execution: ExecutionState) -> bool:
    return any(_step_moves(step) for step in execution.steps.values())


def _step_moves(step: StepState) -> bool:
    if step.status == "pending":
        return step.ready
    if step.status == "running":
        return step.plan.primitive not in ("choose", "each")
    return not step.terminal and not _asks(step)
