"""The commands a state implies: sent again to a machine that (re)connected, by a new leader, and where nobody
obeyed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.state import State
from muster.model.errors import InvalidArgumentError
from muster.model.limits import ORDER_BYTES_MAX
from muster.model.log.body import AttemptRef
from muster.model.log.commands import AttemptOrder
from muster.model.plan import tree as plans


def start_order(
    execution: ExecutionState, step: StepState, attempt: int, machine: str, labels: dict[str, str]
) -> AttemptOrder:
    """What the machine is told to run; ``labels`` are its own as they were when it was chosen.

    Raises a MusterError where that cannot be said, or not in one message.
    """
    scope = execution.scope(step)
    scope["machine"] = {"name": machine, "labels": labels}
    order = plans.order(
        step.plan,
        execution=execution.id,
        path=step.path,
        context=step.context,
        attempt=attempt,
        workflow=execution.plan.workflow.name,
        scope=scope,
    )
    if (size := len(msgspec.json.encode(order))) > ORDER_BYTES_MAX:
        raise InvalidArgumentError(
            f"step {step.path}: its command, environment and inputs are {size} bytes as JSON, "
            f"more than {ORDER_BYTES_MAX}",
            remedy="Put large data where the step can read it, and give its address as an input.",
        )
    return order


class Implied:
    """Commands the state implies for one machine: sent again to one that (re)connected, or by a new leader."""

    def __init__(self) -> None:
        self.starts: list[AttemptOrder] = []
        self.stops: list[AttemptRef] = []


def implied(state: State, machine: Machine, before: datetime | None = None) -> Implied:
    """The starts not accepted yet (with ``before``: ordered before then) and the stops not obeyed yet."""
    found = Implied()
    if not machine.online:
        return found
    found.stops.extend(machine.strays)
    for ref, attempt in machine.held.items():
        execution = state.executions.get(ref.execution)
        if attempt.superseded or execution is None:
            found.stops.append(ref)
            continue
        step = execution.steps.get(ref.step)
        if step is None or (execution.stopping and execution.leaving(step)):
            found.stops.append(ref)
        elif (
            not attempt.accepted
            and (before is None or attempt.ordered_at < before)
            and step.attempt is attempt
        ):
            found.starts.append(start_order(execution, step, ref.attempt, attempt.machine, attempt.labels))
    return found


def resend_before(state: State, now: datetime) -> datetime:
    """A start ordered before this and not accepted yet is sent again."""
    return now - timedelta(seconds=state.policy.resend_after_s)
