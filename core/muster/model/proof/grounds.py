"""What a decision rests on, as plain values for people: the execution, its step and the machines, as they stood."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muster.model.engine.cluster import Machine
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.state import State
from muster.model.log.envelope import Event

WAITING_MAX: Final = 20  # steps in the queue that are named; the head is what matters


def grounds(state: State, event: Event) -> dict[str, Any]:
    """The part of ``state`` that a decision like ``event`` looks at."""
    execution = state.executions.get(event.execution)
    step = execution.steps.get(event.step or "") if execution is not None else None
    found = {
        "execution": _execution(execution) if execution is not None else None,
        "step": _step(step) if step is not None else None,
        "machines": [_machine(machine) for machine in state.machines.values()],
        "waiting": [f"{slot[0]}/{slot[1]}" for slot in state.queue.slots()[:WAITING_MAX]],
        "policy": msgspec.to_builtins(state.policy),
    }
    return {name: value for name, value in found.items() if value}


def _execution(execution: ExecutionState) -> dict[str, Any]:
    return {
        "id": execution.id,
        "status": execution.status,
        "ending": execution.ending,
        "steps without outcome": execution.open,
        "failed": [step.path for step in execution.failed],
    }


def _step(step: StepState) -> dict[str, Any]:
    found = {
        "path": step.path,
        "status": step.status,
        "attempts": step.attempts,
        "retries used": step.used,
        "needs not met": step.unmet,
        "due at": step.due_at,
        "retry": step.plan.retry,
    }
    if step.attempt is not None:
        attempt = step.attempt
        found["attempt"] = {
            "number": attempt.ref.attempt,
            "machine": attempt.machine,
            "accepted": attempt.accepted,
            "started": attempt.started_id is not None,
            "ended": attempt.ended,
            "superseded": attempt.superseded,
            "failure": attempt.failure,
        }
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "status": machine.status,
        "slots": f"{machine.slots_used}/{machine.facts.slots}",
        "cpus": f"{machine.cpus_used:g}/{machine.facts.cpus:g}",
        "holds": [f"{ref.execution}/{ref.step}#{ref.attempt}" for ref in machine.held],
    }
