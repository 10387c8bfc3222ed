"""Executions that take longer than they may."""

from __future__ import annotations

from muster.model.engine.execution import ExecutionState
from muster.model.engine.round import Round
from muster.model.engine.writing import timer
from muster.model.errors import ExecutionOverdueError
from muster.model.log import catalogue as c


def stop(round_: Round, execution: ExecutionState) -> None:
    """It has taken too long: it fails, where its end is not decided yet, and in any case what runs is stopped."""
    due_at = execution.overdue_at
    if due_at is None or round_.now < due_at or execution.stopping or not execution.root.open:
        return
    if execution.ending is None:
        error = ExecutionOverdueError(
            f"the execution took longer than its timeout of {execution.timeout_s:g} s"
        )
        reason = f"longer than its timeout of {execution.timeout_s:g} s"
        body = c.ExecutionEnding(outcome="failed", error=error.info(), reason=reason, stop=True)
    else:
        body = c.ExecutionEnding(
            outcome=execution.ending,  # type: ignore[arg-type]
            error=execution.error,
            reason=execution.ending_reason,
            outputs=execution.outputs,
            stop=True,
        )
    round_.write(body, timer("overdue", due_at), execution=execution.id)
