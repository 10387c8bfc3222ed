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
from datetime import timedelta
from typing import Any, Final

from muster.model.engine import children, frames, functions, steps
from muster.model.engine.cluster import Attempt, Machine
from muster.model.engine.execution import ExecutionState, Frame
from muster.model.engine.state import State, ending_due
from muster.model.log import catalogue as c
from muster.model.log.catalogue import AttemptRef
from muster.model.log.envelope import Event
from muster.model.log.facts import AGENT_ENDS
from muster.model.log.names import NO_EXECUTION, SCHEDULER
from muster.model.plan.lowering import lower
from muster.model.schedules import fold as schedules

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
        claim=data.concurrency,
        rerun_of=data.rerun_of,
        reused=data.reused,
        loops=data.loops,
        priority=data.priority,
        timeout_s=data.timeout_s,
        tags=data.tags,
        no_cache=data.no_cache,
        seed=_seed(state, event, data),
        number=1,
        transitions=1,
    )
    frames.prepare(execution, execution.root)
    state.accept(execution)
    if data.schedule is not None:
        state.schedules.begin(event, data.schedule)


def _seed(state: State, event: Event, data: c.ExecutionQueued) -> str:
    """What tokens are made with: the command that asked for it, or for what is around it. Nobody can work it out."""
    around = state.executions.get(data.parent.execution) if data.parent is not None else None
    return around.seed if around is not None else event.cause or ""


def _started(state: State, event: Event, data: c.ExecutionStarted, _: int) -> None:
    execution = state.executions.get(event.execution)
    if execution is not None:
        execution.status = data.transition.after
        if execution.claim is not None:
            state.turns.take(execution.claim.key, execution.id)
        if execution.timeout_s is not None:
            execution.overdue_at = event.time + timedelta(seconds=execution.timeout_s)
            state.arm(execution.overdue_at, "overdue", execution.id, "")
        frames.begin(state, execution, execution.root, event)


def _deferred(state: State, event: Event, data: c.ExecutionDeferred, _: int) -> None:
    state.turns.defer(data.key, event.execution)


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
    execution.handlers_due = event.time + timedelta(seconds=state.policy.handler_timeout_s)
    execution.error, execution.ending_reason, execution.outputs = data.error, data.reason, data.outputs
    execution.stop = data.stop
    if execution.claim is not None:
        state.turns.give_up(execution.claim.key, execution.id)
    for path in execution.steps:
        state.touch(execution.id, path)
    state.touch(execution.id, "")
    state.arm(execution.ending_due, "ending", execution.id, "")
    state.arm(execution.handlers_due, "ending", execution.id, "")
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
    state.erase(event.execution)


def _schedule(state: State, event: Event, _: Any, __: int) -> None:
    state.schedules.fold(event)


# ---- attempts that count no more


def _superseded(state: State, event: Event, data: c.AttemptSuperseded, _: int) -> None:
    found = steps.find(state, event)
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
    functions.listed(machine, data.functions)
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
        functions.listed(machine, None)
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
    c.ExecutionDeferred: _deferred,
    c.ExecutionStarted: _started,
    c.ExecutionWaiting: _moved,
    c.ExecutionResumed: _moved,
    c.ExecutionEnding: _ending,
    c.ExecutionSucceeded: _ended,
    c.ExecutionFailed: _ended,
    c.ExecutionCancelled: _ended,
    c.ExecutionCleared: _cleared,
    c.LogArchived: State.archive,
    **dict.fromkeys(schedules.FOLDS, _schedule),
    **steps.FOLDS,
    c.AttemptSuperseded: _superseded,
    c.MachineOffline: _offline,
    c.MachineOnline: _online,
    c.MachineDraining: _draining,
    c.MachineConnected: _connected,
    c.MachineDisconnected: _disconnected,
    c.ImagePulled: _pulled,
    **functions.FOLDS,
    c.AttemptAccepted: _accepted,
    c.AttemptStarted: _attempt_started,
    c.AttemptFinished: _attempt_ended,
    c.AttemptFailed: _attempt_ended,
    c.AttemptStopped: _attempt_ended,
}
