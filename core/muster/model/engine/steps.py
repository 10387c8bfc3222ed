"""Folding what the scheduler decided about steps: where they run, what they wait for, how they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from muster.model.engine import frames
from muster.model.engine.cluster import ordered
from muster.model.engine.execution import ExecutionState, Members, StepState
from muster.model.engine.state import State, accept_due, waits_for
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.envelope import Event
from muster.model.sharing import ration
from muster.model.sharing.claims import CONCURRENCY, Claim

INPUT: Final = "input"


def find(state: State, event: Event) -> tuple[ExecutionState, StepState] | None:
    """The step that the event is about, while its frame is open."""
    execution = state.executions.get(event.execution)
    if execution is None or event.step is None:
        return None
    step = execution.steps.get(event.step)
    return (execution, step) if step is not None else None


def _scheduled(state: State, event: Event, data: c.StepScheduled, _: int) -> None:
    found = find(state, event)
    machine = state.machines.get(data.machine)
    if found is None or machine is None or event.attempt is None:
        return
    execution, step = found
    if step.attempts == 0:
        ration.begun(execution, step, data.counted)
    step.attempt = ordered(AttemptRef(execution.id, step.path, event.attempt), data, event.time)
    step.attempts, step.status, step.due_at = event.attempt, "scheduled", None
    execution.count(step)
    state.queue.remove((execution.id, step.path))
    machine.hold(step.attempt)
    state.arm(accept_due(state, step.attempt), "accept", execution.id, step.path)
    if not machine.online or data.session != machine.session:
        state.touch(execution.id, step.path)


def _started(state: State, event: Event, data: c.StepStarted, _: int) -> None:
    found = find(state, event)
    if found is None:
        return
    execution, step = found
    execution.status, step.started, step.status = data.transition.after, True, "running"
    if step.plan.primitive != "run":
        ration.begun(execution, step)
    execution.count(step)
    if data.members is not None:
        frames.repeat(state, execution, step, Members(items=data.members), event)
    elif data.branch is not None:
        frames.choose(state, execution, step, data.branch, event)
    elif data.child is not None:
        step.child = data.child


def _waiting(state: State, event: Event, data: c.StepWaiting, _: int) -> None:
    found = find(state, event)
    if found is None:
        return
    execution, step = found
    if data.claim is not None:
        _defer(state, execution, step, data.claim)
        return
    step.status, step.due_at, step.reason, step.token = "waiting", data.due_at, data.reason, data.token
    execution.asking += data.reason == INPUT
    execution.count(step)
    if step.plan.primitive == "run":
        step.ready_at, step.ready_id = data.due_at, event.id
        step.context = step.context if data.context is None else data.context
    if data.due_at is not None:
        state.arm(data.due_at, waits_for(step), execution.id, step.path)
    state.touch(execution.id, "")


def _defer(state: State, execution: ExecutionState, step: StepState, claim: Claim) -> None:
    """It waits for its turn."""
    _stand(state, execution, step, claim)
    step.status, step.reason = "waiting", CONCURRENCY
    execution.count(step)
    state.step_turns.defer(claim.key, (execution.id, step.path))


def _stand(state: State, execution: ExecutionState, step: StepState, claim: Claim) -> None:
    """It stands in the line of what it claims, and in no other."""
    slot = execution.id, step.path
    if step.claim == claim:
        return
    if step.claim is not None:
        state.step_turns.leave(step.claim.key, slot)
    step.claim = claim
    place = (-execution.priority_of(step), step.ready_at, execution.position, step.order, slot)
    state.step_turns.wait(claim, place)


def _admitted(state: State, event: Event, data: c.StepAdmitted, _: int) -> None:
    found = find(state, event)
    if found is None:
        return
    execution, step = found
    _stand(state, execution, step, data.claim)
    step.status, step.reason, step.turn = "pending", "", True
    execution.count(step)
    state.step_turns.take(data.claim.key, (execution.id, step.path))
    state.touch(execution.id, step.path)


def _resumed(state: State, event: Event, data: c.StepResumed, _: int) -> None:
    found = find(state, event)
    if found is not None and found[1].asks:
        execution, step = found
        step.resumed_id, step.answer = event.id, data.output
        execution.asking -= 1
        execution.count(step)
        state.touch(execution.id, step.path)


def _retrying(state: State, event: Event, data: c.StepRetrying, _: int) -> None:
    found = find(state, event)
    if found is None:
        return
    execution, step = found
    step.status, step.due_at, step.reason = "waiting", data.due_at, ""
    execution.count(step)
    step.ready_at, step.ready_id = data.due_at, event.id
    step.error = data.error
    step.used[data.budget] = data.used
    state.arm(data.due_at, "retry", execution.id, step.path)


def _outcome(state: State, event: Event, status: str, data: Any) -> None:
    found = find(state, event)
    if found is None or found[1].terminal:
        return
    execution, step = found
    execution.asking -= step.asks
    step.status, step.due_at, step.reason = status, None, getattr(data, "reason", "")
    execution.count(step)
    step.error = getattr(data, "error", None)
    step.outputs = getattr(data, "outputs", {})
    if step.plan.step.set is not None:
        execution.variables = execution.variables | step.outputs
    if step.plan.step.return_ is not UNSET and status == "succeeded":
        execution.returned = execution.returned or step
    if step.claim is not None:
        state.step_turns.leave(step.claim.key, (execution.id, step.path))
    frames.settle(state, execution, step, event)


def _succeeded(state: State, event: Event, data: c.StepSucceeded, _: int) -> None:
    if data.cache_key:
        state.cache.fold(event, data, state.policy)
    _outcome(state, event, "succeeded", data)


def _failed(state: State, event: Event, data: c.StepFailed, _: int) -> None:
    _outcome(state, event, "failed", data)


def _skipped(state: State, event: Event, data: c.StepSkipped, _: int) -> None:
    _outcome(state, event, "skipped", data)


def _cancelled(state: State, event: Event, data: c.StepCancelled, _: int) -> None:
    _outcome(state, event, "cancelled", data)


FOLDS: Final[dict[type, Callable[[State, Event, Any, int], None]]] = {
    c.StepScheduled: _scheduled,
    c.StepStarted: _started,
    c.StepAdmitted: _admitted,
    c.StepWaiting: _waiting,
    c.StepResumed: _resumed,
    c.StepRetrying: _retrying,
    c.StepSucceeded: _succeeded,
    c.StepFailed: _failed,
    c.StepSkipped: _skipped,
    c.StepCancelled: _cancelled,
}
