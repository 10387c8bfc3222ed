"""Child executions: what a ``workflow`` step runs, linked both ways.

The child's ``execution.queued`` names its parent, the parent's ``step.started`` the child, whose id is derived, so
that a new leader that finds half of it writes the rest. Failure travels up as the step's error, cancelling down.
"""

from __future__ import annotations

from typing import Any

from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.state import State
from muster.model.log import catalogue as c
from muster.model.log.decisions import Parent
from muster.model.log.envelope import Event


def name(execution: ExecutionState) -> str:
    """The id of the child that is begun next: the parent's with the number of the event that begins it."""
    return f"{execution.id}-{execution.number + 1}"


def begun(execution: ExecutionState, step: StepState) -> str:
    """The id of the event that began the step's child."""
    return f"{execution.id}:{step.child.rpartition('-')[2]}"


def ended(state: State, parent: Parent, event: Event) -> None:
    """The child has ended: its parent's step learns how."""
    execution = state.executions.get(parent.execution)
    step = execution.steps.get(parent.step) if execution is not None else None
    if execution is None or step is None or step.child != event.execution:
        return
    data: Any = event.data
    step.child_ended, step.closed_id = event.kind.rpartition(".")[2], event.id
    if isinstance(data, c.ExecutionSucceeded):
        step.result = data.outputs
    elif isinstance(data, c.ExecutionFailed):
        step.error = data.error
    elif isinstance(data, c.ExecutionCancelled):
        step.child_reason = data.reason
    state.touch(execution.id, step.path)
