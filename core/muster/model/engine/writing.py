"""What every decision about an execution says in the same way."""

from __future__ import annotations

from datetime import datetime

from muster.model.engine.cluster import Attempt
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.round import Round
from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.transitions import Transition, transition


def write(round_: Round, execution: ExecutionState, step: StepState, body: Body, cause: str) -> None:
    """Decide ``body`` about a step."""
    attempt = step.attempt
    round_.write(
        body,
        cause,
        execution=execution.id,
        step=step.path,
        attempt=attempt.ref.attempt if attempt else None,
        machine=attempt.machine if attempt else None,
    )


def supersede(round_: Round, attempt: Attempt, reason: str, cause: str) -> None:
    """Decide that the attempt never counts again."""
    ref = attempt.ref
    attempt.superseded = True
    round_.write(
        c.AttemptSuperseded(machine=attempt.machine, reason=reason),
        cause,
        execution=ref.execution,
        step=ref.step,
        attempt=ref.attempt,
        machine=attempt.machine,
    )


def changed(execution: ExecutionState, type_: str) -> Transition:
    """The next change of the execution's status."""
    return transition(execution.transitions + 1, type_, execution.status)


def timer(what: str, due_at: datetime) -> str:
    """The cause of what is decided because a time has come."""
    return f"timer:{what}:{due_at.isoformat()}"
