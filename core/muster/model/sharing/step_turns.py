"""Steps that claim a key: which begins, which waits, which fails for another.

Where a step would begin, its key is worked out. If there is room it is admitted (``step.admitted``), else it waits in
the line of its key (``step.waiting``, reason ``concurrency``), from any execution of the cluster, until it is. It holds
the key until it has its outcome, retries included. A step in a block, or in a child execution, of a step that holds the
same key runs under it: waiting for it, it would wait for ever. The keys of steps never meet those of executions.
"""

from __future__ import annotations

from muster.model.engine.execution import ExecutionState, Frame, StepState
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.engine.writing import supersede, write
from muster.model.errors import ConcurrencyLimitError
from muster.model.log import catalogue as c
from muster.model.log.clipping import clipped
from muster.model.sharing import claims
from muster.model.sharing.claims import CONCURRENCY
from muster.model.sharing.concurrency import taken


def admitted(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> bool:
    """Whether the step may begin now; where it has to wait for its turn, that is written.

    Raises ConcurrencyLimitError where it would not wait, and what evaluating the key raises.
    """
    written, turns = step.plan.step.concurrency, round_.state.step_turns
    if written is None or step.turn:
        return True
    name = f"{execution.plan.workflow.name}/{step.plan.path}"
    claim = claims.claim(written, execution.scope(step), name, f"step {step.path}, ")
    if _held_around(round_.state, execution, step.frame, claim.key):
        return True
    count, by = turns.before(claim.key, (execution.id, step.path))
    if count < claim.limit:
        write(round_, execution, step, c.StepAdmitted(claim=claim), cause)
        return True
    if claim.on_conflict == "reject":
        raise taken(claim, count, by)
    write(round_, execution, step, c.StepWaiting(reason=CONCURRENCY, claim=claim, ahead=count, by=by), cause)
    return False


def _held_around(state: State, execution: ExecutionState, frame: Frame, key: str) -> bool:
    """Whether a step around it, or around its execution, holds the key."""
    at: Frame | None = frame
    while at is not None:
        holder = at.parent
        if holder is not None and holder.turn and holder.claim is not None and holder.claim.key == key:
            return True
        at = at.around
        if at is None and execution.parent is not None:
            parent = state.executions.get(execution.parent.execution)
            holder = parent.steps.get(execution.parent.step) if parent is not None else None
            if parent is None or holder is None:
                return False
            if holder.turn and holder.claim is not None and holder.claim.key == key:
                return True
            execution, at = parent, holder.frame
    return False


def take_turns(round_: Round) -> None:
    """Look at every line of steps that has changed: who has to end, and whose turn it is."""
    turns = round_.state.step_turns
    for key in turns.taken():
        for (execution, path), winner in turns.surplus(key):
            _replace(round_, execution, path, key, winner)
        while (next_ := turns.next(key)) is not None:
            execution = round_.state.executions[next_[0]]
            step = execution.steps[next_[1]]
            assert step.claim is not None
            write(
                round_,
                execution,
                step,
                c.StepAdmitted(claim=step.claim),
                step.ready_id or execution.queued_id,
            )


def _replace(round_: Round, execution_id: str, path: str, key: str, winner: str) -> None:
    """The step fails for another; what runs of it counts no more, and is stopped."""
    execution = round_.state.executions[execution_id]
    step, cause = execution.steps[path], f"{winner.partition('/')[0]}:1"
    attempt = step.attempt
    if attempt is not None and step.status in ("scheduled", "running") and not attempt.superseded:
        round_.stop(attempt)
        supersede(round_, attempt, "replaced", cause)
    error = ConcurrencyLimitError(
        f"replaced by {winner}, which claims the key {key} too",
        remedy="This is what on_conflict: cancel_running says; with queue it would have been waited for.",
        key=key,
        replaced_by=winner,
    )
    write(round_, execution, step, c.StepFailed(error=clipped(error.info(step=path))), cause)
