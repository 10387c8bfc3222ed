"""Executions that claim a key: which begins, which waits, which is cancelled for another, which is refused.

The claim is worked out where the execution is accepted and stands in ``execution.queued``. From then on the execution
waits in the line of its key (``muster.model.sharing.turns``) until it is started, and holds the key until it has
ended. A child whose parent, or whatever is around that, holds the same key runs under it: waiting for it, it would
wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muster.model.definition.workflow import Workflow
from muster.model.engine.execution import ExecutionState
from muster.model.engine.round import Round
from muster.model.engine.state import State
from muster.model.engine.writing import changed
from muster.model.errors import ConcurrencyLimitError
from muster.model.log import catalogue as c
from muster.model.log.decisions import Parent
from muster.model.sharing import claims
from muster.model.sharing.claims import Claim
from muster.model.sharing.turns import listed


def claimed(
    state: State, workflow: Workflow, inputs: Mapping[str, Any], execution: str, parent: Parent | None = None
) -> Claim | None:
    """What an execution of this workflow claims.

    Raises ConcurrencyLimitError where the key is taken and it would not wait, and what evaluating the key raises.
    """
    if workflow.concurrency is None:
        return None
    facts = {"id": execution, "workflow": workflow.name}
    claim = claims.claim(workflow.concurrency, {"inputs": inputs, "execution": facts}, workflow.name)
    if parent is not None and _held_around(state, parent, claim.key):
        return None
    if claim.on_conflict == "reject":
        count, holders = state.turns.before(claim.key)
        if count >= claim.limit:
            raise taken(claim, count, holders)
    return claim


def taken(claim: Claim, count: int, by: list[str]) -> ConcurrencyLimitError:
    """Why something that does not wait cannot begin."""
    return ConcurrencyLimitError(
        f"the key {claim.key} admits {claim.limit} at once, and is taken by {listed(count, by)}.",
        key=claim.key,
        limit=claim.limit,
        count=count,
        held_by=by,
    )


def _held_around(state: State, parent: Parent | None, key: str) -> bool:
    while parent is not None and (around := state.executions.get(parent.execution)) is not None:
        if around.claim is not None and around.claim.key == key:
            return True
        parent = around.parent
    return False


def take_turns(round_: Round) -> None:
    """Look at every line that has changed: who has to end, whose turn it is, who has to wait."""
    turns = round_.state.turns
    for key in turns.taken():
        for loser, winner in turns.surplus(key):
            ending = c.ExecutionEnding(
                outcome="cancelled", reason=f"replaced by {winner}", replaced_by=winner
            )
            round_.write(ending, f"{winner}:1", execution=loser)
        while (next_ := turns.next(key)) is not None:
            execution = round_.state.executions[next_]
            started(round_, execution)
        for waiting in turns.fresh(key):
            ahead, by = turns.before(key, waiting)
            execution = round_.state.executions[waiting]
            body = c.ExecutionDeferred(key=key, ahead=ahead, by=by)
            round_.write(body, execution.queued_id, execution=waiting)


def started(round_: Round, execution: ExecutionState) -> None:
    """Begin with the execution."""
    body = c.ExecutionStarted(transition=changed(execution, "start"))
    round_.write(body, execution.queued_id, execution=execution.id)
