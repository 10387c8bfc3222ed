"""Folding the log into the scheduler's state, one event at a time.

Theory of operation. ``evolve`` folds one event; it may change the state it is given, because 10,000 steps are
not copied for every event. Two writers meet here: agents append facts, the leading scheduler appends
decisions, and each touches fields of its own. So folding them gives the same state whichever way the two are
interleaved, as long as each writer's own order is kept and a fact follows the decision that made it possible.
That is what lets the leader apply its decisions at once, before they come back from the log (a property test
shuffles histories to hold us to it). Rules:

1. A fact is counted once: an agent's event whose ``n`` is not above the last one seen from that machine is ignored.
2. A fact about an attempt that its machine does not hold any more changes nothing.
3. Terminal is final. An ended execution leaves the state; its id stays, to recognise a repeated submit.
4. Whatever an event changes, it touches: ``decide`` visits what is touched, due timers, and the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from muster.model import catalogue as c
from muster.model import children, frames
from muster.model.catalogue import AttemptRef
from muster.model.cluster import Attempt, Machine
from muster.model.commands import AttemptResources
from muster.model.envelope import Event
from muster.model.execution import ExecutionState, Frame, Members, StepState
from muster.model.facts import AGENT_ENDS
from muster.model.lowering import lower
from muster.model.names import NO_EXECUTION, SCHEDULER
from muster.model.state import CLEARED, State, accept_due, ending_due, waits_for

INPUT: Final = "input"
INTERVAL_DEFAULT_S: Final = 3.0  # where an agent says nonsense
INTERVAL_MAX_S: Final = 3600.0
IMAGES_KEPT: Final = 256  # per machine; only a preference in placement rests on it


def evolve(state: State, event: Event, sequence: int = 0) -> None:
    """Fold ``event``, which stands at ``sequence`` (0 for a decision that is not in the log yet)."""
    state.sequence = max(state.sequence, sequence)
    if not _authorised(event):
        return
    if event.writer == SCHEDULER:
        _count(state, event)
    elif not isinstance(event.data, c.MachineConnected) and not _fresh(state, event):
        return
    fold = _FOLDS.get(type(event.data))
    if fold is not None:
        fold(state, event, event.data, sequence)


def _authorised(event: Event) -> bool:
    """Whether the kind is one that this writer writes, and the event could be read at all."""
    if isinstance(event.data, c.Unknown):
        return event.data.version > 0
    return (event.data.writer == SCHEDULER) == (event.writer == SCHEDULER)


def _count(state: State, event: Event) -> None:
    if isinstance(event.data, c.CommandRefused | c.LeaderElected | c.ExecutionCleared):
        return
    execution = state.executions.get(event.execution)
    if execution is not None:
        execution.number += 1
        execution.transitions += hasattr(event.data, "transition")
    elif event.execution == NO_EXECUTION:
        state.number += 1


def _fresh(state: State, event: Event) -> bool:
    machine = state.machines.get(event.writer)
    if machine is None or event.n is None or event.n <= machine.n:
        return False
    machine.n = event.n
    return True


# ---- who leads


def _leader_elected(state: State, event: Event, data: c.LeaderElected, sequence: int) -> None:
    state.leader_sequence, state.leader_id = sequence, event.id
    state.leader_name, state.term = data.scheduler, data.term
    state.policy = data.policy or state.policy
    state.revisit()


# ---- executions


def _queued(state: State, event: Event, data: c.ExecutionQueued, _: int) -> None:
    plan = lower(data.workflow)
    execution = ExecutionState(
        id=event.execution,
        plan=plan,
        inputs=data.inputs,
        digest=data.digest,
        queued_id=event.id,
        root=Frame(prefix="", block=plan.block, order=()),
        parent=data.parent,
        seed=event.cause or "",
        number=1,
        transitions=1,
    )
    frames.prepare(execution, execution.root)
    state.accept(execution)


def _started(state: State, event: Event, data: c.ExecutionStarted, _: int) -> None:
    execution = state.executions.get(event.execution)
    if execution is not None:
        execution.status = data.transition.after
        frames.begin(state, execution, execution.root, event)


def _moved(state: State, event: Event, data: c.ExecutionWaiting | c.ExecutionResumed, _: int) -> None:
    execution = state.executions.get(event.execution)
    if execution is not None:
        execution.status = data.transition.after


def _ending(state: State, event: Event, data: c.ExecutionEnding, _: int) -> None:
    execution = state.executions.get(event.execution)
    if execution is None:
        return
    execution.ending, execution.ending_id, execution.latest_id = data.outcome, event.id, event.id
    execution.ending_due = ending_due(state, execution, event.time)
    execution.error, execution.ending_reason, execution.outputs = data.error, data.reason, data.outputs
    for path in execution.steps:
        state.touch(execution.id, path)
    state.touch(execution.id, "")
    state.arm(execution.ending_due, "ending", execution.id, "")
    frames.finish(state, execution, event)


def _ended(state: State, event: Event, data: Any, _: int) -> None:
    execution = state.executions.get(event.execution)
    if execution is not None:
        execution.status = data.transition.after
        state.end(execution)
        if execution.parent is not None:
            children.ended(state, execution.parent, event)


def _cleared(state: State, event: Event, _: c.ExecutionCleared, __: int) -> None:
    """The id stays taken: its attempts may still be heard of, and its event ids are used."""
    state.remember(event.execution, CLEARED)


def _archived(state: State, _: Event, __: c.LogArchived, ___: int) -> None:
    """Whose id is not known here may be one of those that ended long ago."""
    state.forgotten = True


# ---- steps


def _step(state: State, event: Event) -> tuple[ExecutionState, StepState] | None:
    execution = state.executions.get(event.execution)
    if execution is None or event.step is None:
        return None
    step = execution.steps.get(event.step)
    return (execution, step) if step is not None else None


def _scheduled(state: State, event: Event, data: c.StepScheduled, _: int) -> None:
    found = _step(state, event)
    machine = state.machines.get(data.machine)
    if found is None or machine is None or event.attempt is None:
        return
    execution, step = found
    ref = AttemptRef(execution.id, step.path, event.attempt)
    resources = AttemptResources(slots=data.slots, cpus=data.cpus, memory=data.memory, gpus=data.gpus)
    step.attempt = Attempt(
        ref=ref,
        machine=data.machine,
        resources=resources,
        ordered_at=event.time,
        ordered_in=data.session,
    )
    step.attempts, step.status, step.due_at = event.attempt, "scheduled", None
    state.queue.remove((execution.id, step.path))
    machine.hold(step.attempt)
    state.arm(accept_due(state, step.attempt), "accept", execution.id, step.path)
    if not machine.online or data.session != machine.session:
        state.touch(execution.id, step.path)


def _step_started(state: State, event: Event, data: c.StepStarted, _: int) -> None:
    found = _step(state, event)
    if found is None:
        return
    execution, step = found
    execution.status, step.started, step.status = data.transition.after, True, "running"
    if data.members is not None:
        frames.repeat(state, execution, step, Members(items=data.members), event)
    elif data.branch is not None:
        frames.choose(state, execution, step, data.branch, event)
    elif data.child is not None:
        step.child = data.child


def _waiting(state: State, event: Event, data: c.StepWaiting, _: int) -> None:
    found = _step(state, event)
    if found is None:
        return
    execution, step = found
    step.status, step.due_at, step.reason, step.token = "waiting", data.due_at, data.reason, data.token
    execution.asking += data.reason == INPUT
    if step.plan.primitive == "run":
        step.ready_at, step.ready_id = data.due_at, event.id
        step.context = step.context if data.context is None else data.context
    if data.due_at is not None:
        state.arm(data.due_at, waits_for(step), execution.id, step.path)
    state.touch(execution.id, "")


def _resumed(state: State, event: Event, data: c.StepResumed, _: int) -> None:
    found = _step(state, event)
    if found is not None and found[1].status == "waiting" and found[1].resumed_id is None:
        execution, step = found
        step.resumed_id, step.answer = event.id, data.output
        execution.asking -= 1
        state.touch(execution.id, step.path)


def _retrying(state: State, event: Event, data: c.StepRetrying, _: int) -> None:
    found = _step(state, event)
    if found is None:
        return
    execution, step = found
    step.status, step.due_at = "waiting", data.due_at
    step.ready_at, step.ready_id = data.due_at, event.id
    step.error = data.error
    step.used[data.budget] = data.used
    state.arm(data.due_at, "retry", execution.id, step.path)


def _outcome(state: State, event: Event, status: str, data: Any) -> None:
    found = _step(state, event)
    if found is None or found[1].terminal:
        return
    execution, step = found
    execution.asking -= step.status == "waiting" and step.reason == INPUT and step.resumed_id is None
    step.status, step.due_at, step.reason = status, None, getattr(data, "reason", "")
    step.error = getattr(data, "error", None)
    step.outputs = getattr(data, "outputs", {})
    if step.plan.step.set is not None:
        execution.variables = execution.variables | step.outputs
    if step.plan.step.return_ is not UNSET and status == "succeeded":
        execution.returned = execution.returned or step
    frames.settle(state, execution, step, event)


def _step_succeeded(state: State, event: Event, data: c.StepSucceeded, _: int) -> None:
    _outcome(state, event, "succeeded", data)


def _step_failed(state: State, event: Event, data: c.StepFailed, _: int) -> None:
    _outcome(state, event, "failed", data)


def _step_skipped(state: State, event: Event, data: c.StepSkipped, _: int) -> None:
    _outcome(state, event, "skipped", data)


def _step_cancelled(state: State, event: Event, data: c.StepCancelled, _: int) -> None:
    _outcome(state, event, "cancelled", data)


def _superseded(state: State, event: Event, data: c.AttemptSuperseded, _: int) -> None:
    found = _step(state, event)
    if found is not None and found[1].attempts == event.attempt:
        _supersede(found[1].attempt, event)
    _supersede(_attempt(state, event, data.machine), event)


def _supersede(attempt: Attempt | None, event: Event) -> None:
    if attempt is not None:
        attempt.superseded, attempt.superseded_id = True, event.id


# ---- verdicts about machines


def _offline(state: State, event: Event, data: c.MachineOffline, _: int) -> None:
    machine = state.machines.get(event.machine or "")
    if machine is None:
        return
    machine.offline_session, machine.offline_id = data.evidence.session, event.id
    machine.offline_at = event.time
    _touch_held(state, machine)


def _online(state: State, event: Event, _: c.MachineOnline, __: int) -> None:
    machine = state.machines.get(event.machine or "")
    if machine is not None:
        machine.offline_session, machine.offline_id = 0, None
        state.queue_stirred = True


def _draining(state: State, event: Event, _: c.MachineDraining, __: int) -> None:
    machine = state.machines.get(event.machine or "")
    if machine is not None:
        machine.draining = True


def _touch_held(state: State, machine: Machine) -> None:
    for ref, attempt in machine.held.items():
        if not attempt.superseded:
            state.touch(ref.execution, ref.step)
    state.queue_stirred = True


# ---- facts about machines


def _connected(state: State, event: Event, data: c.MachineConnected, sequence: int) -> None:
    machine = state.machines.get(event.writer)
    if machine is None:
        machine = state.machines[event.writer] = Machine(name=event.writer)
    machine.session, machine.gone_id = sequence, None
    machine.leaving = False
    machine.facts = data.facts
    machine.interval_s = data.interval_s if 0 < data.interval_s < INTERVAL_MAX_S else INTERVAL_DEFAULT_S
    machine.n = max(machine.n, event.n or 0)
    machine.gone_at = None
    machine.strays = {ref: None for ref in data.attempts if ref not in machine.held}
    listed = set(data.attempts)
    for ref, attempt in list(machine.held.items()):
        if attempt.accepted and ref not in listed:
            attempt.lost_id = event.id
            machine.release(ref)
        state.touch(ref.execution, ref.step)
    state.queue_stirred = True


def _disconnected(state: State, event: Event, _: c.MachineDisconnected, __: int) -> None:
    machine = state.machines.get(event.writer)
    if machine is not None:
        machine.gone_id, machine.gone_at = event.id, event.time
        _touch_held(state, machine)


def _pulled(state: State, event: Event, data: c.ImagePulled, _: int) -> None:
    machine = state.machines.get(event.writer)
    if machine is not None:
        machine.images.pop(data.image, None)
        machine.images[data.image] = None
        if len(machine.images) > IMAGES_KEPT:
            del machine.images[next(iter(machine.images))]


# ---- facts about attempts


def _attempt(state: State, event: Event, machine: str | None = None) -> Attempt | None:
    if event.step is None or event.attempt is None:
        return None
    return state.held(machine or event.writer, AttemptRef(event.execution, event.step, event.attempt))


def _accepted(state: State, event: Event, _: c.AttemptAccepted, __: int) -> None:
    attempt = _attempt(state, event)
    if attempt is not None:
        attempt.accepted = True


def _attempt_started(state: State, event: Event, _: c.AttemptStarted, __: int) -> None:
    attempt = _attempt(state, event)
    if attempt is not None:
        attempt.started_id = event.id
        state.touch(event.execution, attempt.ref.step)


def _attempt_ended(state: State, event: Event, data: Any, _: int) -> None:
    attempt = _attempt(state, event)
    if attempt is None:
        if event.step is not None and event.attempt is not None:
            ref = AttemptRef(event.execution, event.step, event.attempt)
            state.machines[event.writer].strays.pop(ref, None)
        return
    attempt.ended, attempt.ended_id = data.kind.rpartition(".")[2], event.id
    if isinstance(data, c.AttemptFinished):
        attempt.outputs, attempt.result = data.outputs, data.result
    elif isinstance(data, c.AttemptFailed):
        attempt.failure = data
    machine = state.machines[event.writer]
    # Of an attempt of this connection: what an agent before could not send says nothing about this one.
    if isinstance(data, c.AttemptStopped) and data.reason == AGENT_ENDS:
        machine.leaving = machine.leaving or attempt.ordered_in == machine.session
    machine.release(attempt.ref)
    state.touch(event.execution, attempt.ref.step)
    state.queue_stirred = True


_FOLDS: Final[dict[type, Callable[[State, Event, Any, int], None]]] = {
    c.LeaderElected: _leader_elected,
    c.ExecutionQueued: _queued,
    c.ExecutionStarted: _started,
    c.ExecutionWaiting: _moved,
    c.ExecutionResumed: _moved,
    c.ExecutionEnding: _ending,
    c.ExecutionSucceeded: _ended,
    c.ExecutionFailed: _ended,
    c.ExecutionCancelled: _ended,
    c.ExecutionCleared: _cleared,
    c.LogArchived: _archived,
    c.StepScheduled: _scheduled,
    c.StepStarted: _step_started,
    c.StepWaiting: _waiting,
    c.StepResumed: _resumed,
    c.StepRetrying: _retrying,
    c.StepSucceeded: _step_succeeded,
    c.StepFailed: _step_failed,
    c.StepSkipped: _step_skipped,
    c.StepCancelled: _step_cancelled,
    c.AttemptSuperseded: _superseded,
    c.MachineOffline: _offline,
    c.MachineOnline: _online,
    c.MachineDraining: _draining,
    c.MachineConnected: _connected,
    c.MachineDisconnected: _disconnected,
    c.ImagePulled: _pulled,
    c.AttemptAccepted: _accepted,
    c.AttemptStarted: _attempt_started,
    c.AttemptFinished: _attempt_ended,
    c.AttemptFailed: _attempt_ended,
    c.AttemptStopped: _attempt_ended,
}
