"""The decider: from what is, to what should be.

Theory of operation. ``decide`` is level-triggered: it does not ask which event came, but looks at the state
of what was touched since the last round, at the timers that are due, and at the queue of steps without a
machine, and writes the events that bring the state nearer to what it should be. Every decision is folded into
the state as soon as it is made, so that one round follows consequences to their end and a second round right
after it decides nothing. The result depends on the state, ``now`` and nothing else; each event carries what
caused it and the basis it rests on.

Not even the order of a round's events depends on how the state came about: not on the order in which things were
touched, nor on rounds that decided nothing and so left no trace. That is what makes a recorded round one that
can be decided again (``muster.model.proof.replay``).

An execution ends in two strides. ``execution.ending`` fixes the outcome; from then on nothing new starts. The
terminal event is written when every step has its one outcome.
"""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta

from muster.model.engine import control, waiting
from muster.model.engine.assignment import assign
from muster.model.engine.cluster import Attempt, Machine
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.retry import Again, Final, after_asking, after_failure, after_loss
from muster.model.engine.round import Round
from muster.model.engine.state import State, accept_due, enqueue
from muster.model.engine.writing import changed, supersede, timer, write
from muster.model.errors import (
    AttemptLostError,
    MachineOfflineError,
    MusterError,
    NotConnectedError,
    OutputError,
    RetryAskedError,
)
from muster.model.limits import VALUES_BYTES_MAX
from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.clipping import clipped
from muster.model.plan import conditions
from muster.model.plan import tree as plans
from muster.model.plan.results import Result
from muster.model.reuse.outcomes import taken_over
from muster.model.reuse.recall import kept_under, recalled
from muster.model.schedules import firing, overdue
from muster.model.sharing import concurrency, step_turns
from muster.model.sharing.claims import CONCURRENCY
from muster.model.values import size


def decide(state: State, now: datetime, into: Round | None = None) -> Round:
    """Decide everything there is to decide at ``now``; ``into`` continues a round that recorded inputs already."""
    round_ = into or Round(state, now)
    _due(round_)
    while state.stirred or state.queue_stirred or state.schedules.stirred:
        firing.fire(round_)
        while state.stirred:
            concurrency.take_turns(round_)
            step_turns.take_turns(round_)
            for execution, steps in state.taken():
                _execution(round_, execution, steps)
        if state.queue_stirred:
            state.queue_stirred = False
            assign(round_)
        _due(round_)
    return round_


def next_due(state: State) -> datetime | None:
    """When ``decide`` has to be called again even if nothing happens."""
    return state.timers[0][0] if state.timers else None


# ---- timers


def _due(round_: Round) -> None:
    state = round_.state
    while state.timers and state.timers[0][0] <= round_.now:
        due_at, what, execution_id, path = heapq.heappop(state.timers)
        state.queue_stirred = state.queue_stirred or what == "placement"
        if what == "schedule":
            state.schedules.touch(path)
        execution = state.executions.get(execution_id)
        if execution is None:
            continue
        if what == "retry":
            step = execution.steps.get(path)
            if (
                step is not None
                and step.status == "waiting"
                and step.due_at == due_at
                and not execution.leaving(step)
            ):
                enqueue(state, execution, step)
        else:
            for each in [path] if path else execution.steps:
                state.touch(execution_id, each)


# ---- executions


def _execution(round_: Round, execution: ExecutionState, steps: list[StepState]) -> None:
    begins = execution.ending is None or execution.runs_at_end
    if execution.status == "queued" and execution.claim is None and begins:
        concurrency.started(round_, execution)
    overdue.stop(round_, execution)
    waiting.resume(round_, execution)
    touched = round_.state.touched
    for step in steps:
        # Its frame may have closed meanwhile. What was touched again has its turn later, as if it had not been before.
        if execution.steps.get(step.path) is step and step.path not in touched.get(execution.id, ()):
            _step(round_, execution, step)
    _end(round_, execution)


def _end(round_: Round, execution: ExecutionState) -> None:
    state = round_.state
    cause = execution.latest_id or execution.queued_id
    if execution.failing:
        step = execution.failed[0]
        body = c.ExecutionEnding(outcome="failed", error=step.error)
        round_.write(body, step.ended_id or cause, execution=execution.id)
    elif execution.returning is not None:
        returned = c.ExecutionEnding(outcome="succeeded", outputs=execution.returning.outputs)
        round_.write(returned, execution.returning.ended_id or cause, execution=execution.id)
    elif execution.id not in state.executions or execution.id in state.touched:
        return
    elif execution.root.open == 0 and execution.ending is None and _ends_in_two(execution):
        round_.write(_ending(execution), cause, execution=execution.id)
    elif execution.open == 0:
        round_.write(_outcome(execution), cause, execution=execution.id)
    else:
        waiting.wait(round_, execution, cause)


def _ends_in_two(execution: ExecutionState) -> bool:
    """Whether something is run at the end, or has failed while the rest went on."""
    return execution.plan.finish is not None or bool(execution.failed)


def _ending(execution: ExecutionState) -> Body:
    if execution.failed:
        return c.ExecutionEnding(outcome="failed", error=execution.failed[0].error)
    try:
        return c.ExecutionEnding(
            outcome="succeeded", outputs=plans.outputs(execution.plan, execution.scope())
        )
    except MusterError as error:
        return c.ExecutionEnding(outcome="failed", error=error.info())


def _outcome(execution: ExecutionState) -> Body:
    if execution.ending == "cancelled":
        reason = execution.ending_reason
        return c.ExecutionCancelled(transition=changed(execution, "cancel"), reason=reason)
    if execution.ending == "failed" and execution.error is not None:
        return c.ExecutionFailed(error=execution.error, transition=changed(execution, "error"))
    outputs = execution.outputs
    try:
        outputs = plans.outputs(execution.plan, execution.scope()) if outputs is None else outputs
    except MusterError as error:
        return c.ExecutionFailed(error=error.info(), transition=changed(execution, "error"))
    return c.ExecutionSucceeded(outputs=outputs, transition=changed(execution, "finish"))


# ---- steps


def _step(round_: Round, execution: ExecutionState, step: StepState) -> None:
    if step.terminal:
        return
    leaving = execution.leaving(step)
    if (due_at := execution.over(step, round_.now)) is not None:
        _abandon(round_, execution, step, due_at)
    elif step.attempt is not None and _live(step):
        _attempt(round_, execution, step, step.attempt)
    elif step.status == "pending" and step.ready and not (leaving or execution.closing):
        _begin(round_, execution, step)
    elif step.started:
        control.advance(round_, execution, step)
    if leaving:
        _leave(round_, execution, step)


def _abandon(round_: Round, execution: ExecutionState, step: StepState, due_at: datetime) -> None:
    """The time of the handler is over that the step belongs to; what has come by now still counts."""
    if step.attempt is not None and _live(step):
        _attempt(round_, execution, step, step.attempt)
        if _live(step):
            _give_up(round_, execution, step, step.attempt, due_at)
    elif step.started and step.plan.primitive in {"choose", "each", "child"}:
        control.advance(round_, execution, step)
        control.cancel_child(round_, execution, step, timer("ending", due_at))
        return
    if not step.terminal:
        control.abandon(round_, execution, step, due_at)


def _begin(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """Everything the step needs has its outcome: it is skipped, or it begins."""
    cause = step.ready_id or execution.queued_id
    if step.barred:
        write(round_, execution, step, c.StepSkipped(reason="upstream"), cause)
        return
    if (known := taken_over(execution, step)) is not None:
        write(round_, execution, step, known, cause)
        return
    try:
        scope = {} if step.admitted else execution.scope(step)
        step.admitted = step.admitted or conditions.hold(step.plan.conditions, scope, step.path)
        known = recalled(round_.state, execution, step) if step.admitted else None
        begins = step.admitted and known is None and step_turns.admitted(round_, execution, step, cause)
    except MusterError as error:
        write(round_, execution, step, c.StepFailed(error=clipped(error.info(step=step.path))), cause)
        return
    if known is not None:
        write(round_, execution, step, known, cause)
    elif not step.admitted:
        write(round_, execution, step, c.StepSkipped(reason="condition"), cause)
    elif not begins:
        return
    elif step.plan.primitive == "run":
        enqueue(round_.state, execution, step)
    else:
        control.begin(round_, execution, step, cause)


def _live(step: StepState) -> bool:
    return step.status in ("scheduled", "running")


def _leave(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """Nothing new starts in what is ending: a step that is not live gets its outcome."""
    if step.terminal or _live(step):
        return
    body: Body
    if execution.ending == "cancelled" or (step.status == "waiting" and step.reason != CONCURRENCY):
        body = c.StepCancelled(reason=execution.ending_reason or "the execution is ending")
    else:
        body = c.StepSkipped(reason="ending")
    write(round_, execution, step, body, execution.left_because(step))


def _attempt(round_: Round, execution: ExecutionState, step: StepState, attempt: Attempt) -> None:
    machine = round_.state.machines[attempt.machine]
    if attempt.superseded or attempt.lost_id is not None:
        error: MusterError = AttemptLostError(f"the agent on {machine.name} has no trace of it any more")
        _lost(round_, execution, step, attempt, error, attempt.lost_id or attempt.superseded_id or "")
        return
    if attempt.started_id is not None and not step.started:
        started = c.StepStarted(machine=machine.name, transition=changed(execution, "step"))
        write(round_, execution, step, started, attempt.started_id)
    if attempt.ended is not None:
        _ended(round_, execution, step, attempt)
    elif not machine.online:
        cause = machine.gone_id or machine.offline_id or ""
        _lost(round_, execution, step, attempt, _absence(machine), cause)
    elif not attempt.accepted and round_.now >= (due_at := accept_due(round_.state, attempt)):
        error = AttemptLostError(f"the agent on {machine.name} did not take it up")
        _lost(round_, execution, step, attempt, error, timer("accept", due_at))
    elif execution.stopping and execution.leaving(step):
        _stop(round_, execution, step, attempt)


def _absence(machine: Machine) -> MusterError:
    if machine.status == "offline":
        return MachineOfflineError(f"the machine {machine.name} was connected and stopped answering")
    return NotConnectedError(f"the machine {machine.name} said goodbye")


def _ended(round_: Round, execution: ExecutionState, step: StepState, attempt: Attempt) -> None:
    cause = attempt.ended_id or ""
    if attempt.result is not None:
        _asked(round_, execution, step, attempt, attempt.result, cause)
    elif attempt.ended == "finished" and size(attempt.outputs) > VALUES_BYTES_MAX:
        error = OutputError(f"the outputs are larger than {VALUES_BYTES_MAX} bytes").info(**_where(attempt))
        write(round_, execution, step, c.StepFailed(error=error), cause)
    elif attempt.ended == "finished":
        kept = kept_under(execution, step)
        write(round_, execution, step, c.StepSucceeded(outputs=attempt.outputs, cache_key=kept), cause)
    elif attempt.failure is not None:
        used, policy = step.used, round_.state.policy
        next_ = after_failure(
            attempt.failure, attempt.ref, step.plan.retry, used, policy.lost_max, round_.now
        )
        _follow(round_, execution, step, next_, cause)
    elif execution.stopping and execution.leaving(step):
        write(round_, execution, step, c.StepCancelled(reason=execution.ending_reason), cause)
    else:
        lost = AttemptLostError(f"the agent on {attempt.machine} stopped it").info(**_where(attempt))
        next_ = after_loss(lost, step.used, round_.state.policy.lost_max, round_.now)
        _follow(round_, execution, step, next_, cause)


def _asked(
    round_: Round, execution: ExecutionState, step: StepState, attempt: Attempt, result: Result, cause: str
) -> None:
    """The container has run, and asked for something else than success."""
    if result.kind == "skip":
        write(round_, execution, step, c.StepSkipped(reason="asked", message=result.reason), cause)
        return
    if result.kind == "check_later" and not execution.leaving(step):
        due_at = round_.now + timedelta(seconds=result.wait_min)
        body = c.StepWaiting(
            reason="check_later", due_at=due_at, context=result.context, message=result.reason
        )
        write(round_, execution, step, body, cause)
        return
    asked = RetryAskedError(result.reason).info(**_where(attempt))
    next_ = after_asking(result, asked, attempt.ref, step.used, round_.now)
    _follow(round_, execution, step, next_, cause)


def _lost(
    round_: Round,
    execution: ExecutionState,
    step: StepState,
    attempt: Attempt,
    error: MusterError,
    cause: str,
) -> None:
    """The attempt never counts again; the step goes on elsewhere as long as its budget for losses lasts.

    Where a leader died between these two decisions, the next one finds the first in the log and makes the second.
    """
    if not attempt.superseded:
        supersede(round_, attempt, error.code, cause)
    info = error.info(**_where(attempt))
    _follow(
        round_, execution, step, after_loss(info, step.used, round_.state.policy.lost_max, round_.now), cause
    )


def _follow(
    round_: Round, execution: ExecutionState, step: StepState, next_: Again | Final, cause: str
) -> None:
    body: Body
    leaving = execution.leaving(step)
    if leaving and execution.stopping:
        body = c.StepCancelled(reason=execution.ending_reason)
    elif isinstance(next_, Final) or leaving:
        body = c.StepFailed(error=next_.error)
    else:
        body = c.StepRetrying(error=next_.error, budget=next_.budget, used=next_.used, due_at=next_.due_at)
    write(round_, execution, step, body, cause)


def _stop(round_: Round, execution: ExecutionState, step: StepState, attempt: Attempt) -> None:
    """A cancelled execution asks for its attempts to be stopped, and gives up on them after the ending timeout."""
    if execution.ending_due is None or round_.now < execution.ending_due:
        round_.stop(attempt)
        return
    _give_up(round_, execution, step, attempt, execution.ending_due)


def _give_up(
    round_: Round, execution: ExecutionState, step: StepState, attempt: Attempt, due_at: datetime
) -> None:
    cause = timer("ending", due_at)
    supersede(round_, attempt, "ending_timeout", cause)
    body = c.StepCancelled(reason=f"{attempt.machine} did not stop it in time")
    write(round_, execution, step, body, cause)


def _where(attempt: Attempt) -> dict[str, str | int]:
    return {"step": attempt.ref.step, "machine": attempt.machine, "attempt": attempt.ref.attempt}
