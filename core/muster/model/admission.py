"""Commands to the scheduler: what each records, or why it is refused.

*Accepted* means that ``execution.queued`` is in the log. A command may come twice (the broker delivers at
least once): a second submit of a known id changes nothing if its content is the same and is refused if not; a
second cancel, or one of an execution that has ended, changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from muster.model import catalogue as c
from muster.model import inputs
from muster.model.commands import Cancel, Clear, Command, Submit
from muster.model.errors import (
    ExecutionConflictError,
    ExecutionNotEndedError,
    ExecutionNotFoundError,
    MusterError,
    StepLimitError,
)
from muster.model.names import check_execution
from muster.model.round import Round
from muster.model.transitions import transition
from muster.model.validation import from_object
from muster.model.workflow import Workflow


def digest(submit: Submit) -> str:
    """What a submit asks for, as 32 hex digits: equal for equal content, whatever the order of its keys."""
    content = [submit.workflow, submit.inputs, submit.labels, submit.metadata]
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).hexdigest()


def admit_submit(round_: Round, command: Submit, known: str | None) -> None:
    """Queue the execution, or refuse. ``known`` is the digest of an ended execution of this id, if there is one."""
    try:
        check_execution(command.execution)
        digest_ = digest(command)
        live = round_.state.executions.get(command.execution)
        before = live.digest if live is not None else known
        if before is not None:
            if before != digest_:
                raise ExecutionConflictError(execution=command.execution)
            return
        workflow = from_object(command.workflow)
        _check_size(round_, workflow)
        given = inputs.accept(workflow, command.inputs)
    except MusterError as error:
        refuse(round_, command, "submit", error, command.execution)
        return
    body = c.ExecutionQueued(
        workflow=workflow,
        inputs=given,
        transition=transition(1, "init", None),
        digest=digest_,
        labels=command.labels,
        metadata=command.metadata,
    )
    round_.write(body, command.id, execution=command.execution)


def _check_size(round_: Round, workflow: Workflow) -> None:
    limit = round_.state.policy.steps_max
    if len(workflow.steps) > limit:
        raise StepLimitError(f"the workflow has {len(workflow.steps)} steps; at most {limit} are accepted")


def admit_cancel(round_: Round, command: Cancel, known: str | None) -> None:
    """Let the execution end as cancelled, unless it is ending already."""
    execution = round_.state.executions.get(command.execution)
    if execution is None:
        if known is None:
            error = ExecutionNotFoundError(execution=command.execution)
            refuse(round_, command, "cancel", error, command.execution)
        return
    if execution.ending != "cancelled":
        body = c.ExecutionEnding(outcome="cancelled", reason=command.reason)
        round_.write(body, command.id, execution=execution.id)


def admit_clear(round_: Round, command: Clear, known: str | None, marker: int) -> None:
    """Mark an ended execution as cleared; ``marker`` is the sequence of a mark already in the log, or 0."""
    error: MusterError | None = None
    if command.execution in round_.state.executions:
        error = ExecutionNotEndedError(execution=command.execution)
    elif known is None and not marker:
        error = ExecutionNotFoundError(execution=command.execution)
    if error is not None:
        refuse(round_, command, "clear", error, command.execution)
    elif known is not None:
        execution = command.execution
        round_.write(c.ExecutionCleared(), command.id, execution=execution, event_id=f"{execution}:cleared")


def refuse(round_: Round, command: Command, verb: str, error: MusterError, execution: str) -> None:
    """Record that the command was refused and why."""
    try:
        check_execution(execution)
    except MusterError:
        execution = "-"
    body = c.CommandRefused(command=command.id, verb=verb, error=error.info())
    round_.write(body, command.id, execution=execution, event_id=f"refused:{command.id}")
