"""Running an ended execution again: what the command records, or why it is refused.

A rerun is a new execution with the definition, the inputs, the labels and whatever else the ended one was submitted
with. The scheduler reads the record of that one and writes into ``execution.queued`` which outcomes are taken over
(``muster.model.reuse.takeover``), so that nothing has to be looked up later (``muster.model.reuse.outcomes``). One
that goes on is not run again, nor one that was cleared. As with a submit, the same command under the same id
changes nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from muster.model.engine.round import Round
from muster.model.engine.state import CLEARED
from muster.model.errors import (
    CommandInvalidError,
    ExecutionConflictError,
    ExecutionNotEndedError,
    ExecutionNotFoundError,
    InvalidArgumentError,
    SourceNodeMissingError,
)
from muster.model.limits import QUEUED_BYTES_MAX
from muster.model.log import catalogue as c
from muster.model.log.commands import Rerun
from muster.model.log.names import check_execution
from muster.model.log.transitions import transition
from muster.model.plan import inputs, outline
from muster.model.plan.lowering import FINISH
from muster.model.plan.tree import Plan
from muster.model.reuse.request import asked_for
from muster.model.reuse.takeover import Past, Taken, taken
from muster.model.sharing import concurrency, granted


def admit_rerun(round_: Round, command: Rerun, known: str | None, past: Past | None) -> None:
    """Queue the rerun; ``known`` is the digest of an execution that has its id already, ``past`` None where the one
    that is to be run again went on when it was looked up.

    Raises what the command is refused with.
    """
    state, of = round_.state, check_execution(command.of)
    live = state.executions.get(command.execution)
    if (before := live.digest if live is not None else known) is not None:
        if before != asked_for(command):
            raise ExecutionConflictError(execution=command.execution)
        return
    if (past is not None and past.cleared) or state.ended.get(of) == CLEARED:
        raise cleared(of)
    if of in state.executions or past is None:
        raise ExecutionNotEndedError(execution=of)
    if past.queued is None:
        raise ExecutionNotFoundError(execution=of)
    if not past.ended:
        raise ExecutionNotEndedError(execution=of)
    check(command, past)
    round_.write(_queued(round_, command, past, past.queued), command.id, execution=command.execution)


def cleared(execution: str) -> ExecutionNotFoundError:
    """What is said of a rerun of an execution that was erased."""
    return ExecutionNotFoundError(
        f"The execution {execution} was cleared.",
        remedy="Nothing of it is kept: submit its workflow again.",
        execution=execution,
    )


def _queued(round_: Round, command: Rerun, past: Past, before: c.ExecutionQueued) -> c.ExecutionQueued:
    """Everything it was submitted with stays, but for what it took over itself and who its parent was."""
    inputs_ = _inputs(before, command)
    granted.check_tags(before.workflow, before.tags, round_.state.policy.function_tags)
    body = msgspec.structs.replace(
        before,
        inputs=inputs_,
        transition=transition(1, "init", None),
        digest=asked_for(command),
        rerun_of=command.of,
        reused={},
        loops={},
        too_large=[],
        parent=None,
        schedule=None,
        no_cache=command.no_cache,
        concurrency=concurrency.claimed(round_.state, before.workflow, inputs_, command.execution),
    )
    room = QUEUED_BYTES_MAX - len(msgspec.json.encode(body))
    if room < 0:
        raise CommandInvalidError(
            f"workflow, inputs, labels and metadata together are {-room} bytes more than {QUEUED_BYTES_MAX}",
            remedy="Put large data where the steps can read it, and give its address as an input.",
        )
    part = command.only_failed or command.from_step is not None
    found = taken(past, command.of, command.from_step, room) if part else Taken()
    return msgspec.structs.replace(body, reused=found.reused, loops=found.loops, too_large=found.too_large)


def _inputs(before: c.ExecutionQueued, command: Rerun) -> dict[str, Any]:
    if not command.inputs:
        return before.inputs
    return inputs.accept(before.workflow, before.inputs | command.inputs)


def check(command: Rerun, past: Past) -> None:
    """Raise InvalidArgumentError or SourceNodeMissingError where this cannot be run again in this way."""
    if command.from_step is not None and command.only_failed:
        raise InvalidArgumentError(
            "It is run again either from a step or where it failed, not both.",
            remedy="Leave one of them out: --from also runs what failed.",
        )
    part = command.from_step is not None or command.only_failed
    if part and command.inputs:
        raise InvalidArgumentError(
            "New inputs are for a whole rerun: what is taken over was made with the old ones.",
            remedy="Leave out --from and --failed, or the inputs.",
        )
    if command.only_failed and past.status == "succeeded":
        raise InvalidArgumentError(
            f"Nothing of {command.of} failed: there is nothing to run again.",
            remedy="Run it again as a whole, or from a step with --from STEP.",
        )
    if command.from_step is not None:
        _check_step(command.of, command.from_step, past)


def _check_step(execution: str, path: str, past: Past) -> None:
    plan = past.plan
    if _is_handled(plan, path):
        raise InvalidArgumentError(
            f"{path} is run where something failed or at the end: it is no step to begin from.",
            remedy="Name a step of the workflow.",
        )
    if outline.find(plan, path) is None:
        raise SourceNodeMissingError(
            f"The execution {execution} has no step {path}.",
            remedy=f"It has: {', '.join(plan.steps)}.",
            source=path,
        )
    if path not in past.outcomes:
        raise InvalidArgumentError(
            f"The step {path} was not run in {execution}: there is nothing to begin from.",
            remedy="Name one that was, as muster show has them; --failed also runs what was never begun.",
        )


def _is_handled(plan: Plan, path: str) -> bool:
    """Whether the step belongs to a handler."""
    parts = path.split("/")
    if parts[0] == FINISH and FINISH not in plan.steps:
        return True
    above = (outline.find(plan, "/".join(parts[:at])) for at in range(1, len(parts) - 1))
    follows = zip(above, parts[1:], strict=False)
    return any(
        step is not None and step.rescue is not None and step.rescue.name == name for step, name in follows
    )
