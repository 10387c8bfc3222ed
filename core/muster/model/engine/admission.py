"""Commands to the scheduler: what each records, or why it is refused.

*Accepted* means that ``execution.queued`` is in the log. A command may come twice (the broker delivers at least once):
a second submit of a known id changes nothing if its content is the same and is refused if not; a second cancel, or
one of an execution that has ended, changes nothing. An id that was cleared stays taken. What is not known to memory
any more the caller looks up in the log: ``known`` is the digest of an ended execution of the command's id.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from muster.model.definition.validation import from_object
from muster.model.engine.acceptance import check_size, check_steps
from muster.model.engine.execution import ExecutionState, StepState
from muster.model.engine.round import Round
from muster.model.engine.state import CLEARED
from muster.model.errors import (
    CommandInvalidError,
    ExecutionConflictError,
    ExecutionNotEndedError,
    ExecutionNotFoundError,
    InvalidArgumentError,
    MusterError,
)
from muster.model.log import catalogue as c
from muster.model.log.clipping import clipped
from muster.model.log.commands import Cancel, Clear, Command, Rerun, Resume, Submit
from muster.model.log.decisions import Parent
from muster.model.log.names import NO_EXECUTION, check_execution
from muster.model.log.transitions import transition
from muster.model.plan import answers, inputs
from muster.model.reuse.rerun import admit_rerun
from muster.model.reuse.takeover import Past
from muster.model.schedules import arrangements
from muster.model.sharing import concurrency, granted

COMMAND_ID_MAX: Final = 128  # characters; it stands in the events it causes


def digest(submit: Submit) -> str:
    """What a submit asks for, as 32 hex digits: equal for equal content, whatever the order of its keys."""
    content: list[Any] = [submit.workflow, submit.inputs, submit.labels, submit.metadata]
    if submit.tags or submit.priority is not None or submit.timeout is not None:
        content += [sorted(submit.tags), submit.priority, submit.timeout]
    content += ["no_cache"] if submit.no_cache else []
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).hexdigest()


def admit(
    round_: Round,
    verb: str,
    command: Command,
    known: str | None,
    erased: c.ExecutionCleared | None = None,
    past: Past | None = None,
) -> None:
    """Record what the command causes, or that it is refused and why.

    ``erased`` is what a clear will erase, ``past`` what the log says of the execution that a rerun is of: the caller
    looked them up.
    """
    execution = getattr(command, "execution", NO_EXECUTION)
    try:
        if not command.id or len(command.id) > COMMAND_ID_MAX:
            raise CommandInvalidError(f"a command's id has 1 to {COMMAND_ID_MAX} characters")
        if isinstance(command, Submit):
            _submit(round_, command, _known(round_, check_execution(execution), known))
        elif isinstance(command, Cancel):
            _cancel(round_, command, _known(round_, check_execution(execution), known))
        elif isinstance(command, Resume):
            _resume(round_, command, _known(round_, check_execution(execution), known))
        elif isinstance(command, Rerun):
            admit_rerun(round_, command, _known(round_, check_execution(execution), known), past)
        elif isinstance(command, Clear):
            _clear(round_, command, _known(round_, check_execution(execution), known), erased)
        elif not arrangements.arrange(round_, command):
            raise CommandInvalidError(f"the scheduler takes no {verb} command")
    except MusterError as error:
        refuse(round_, command, verb, error)


def _known(round_: Round, execution: str, known: str | None) -> str | None:
    """It may have ended since the log was asked."""
    return round_.state.ended.get(execution, known)


def _submit(round_: Round, command: Submit, known: str | None) -> None:
    digest_ = digest(command)
    live = round_.state.executions.get(command.execution)
    before = live.digest if live is not None else known
    if before is not None:
        if before != digest_:
            raise ExecutionConflictError(execution=command.execution)
        return
    workflow = from_object(command.workflow)
    check_steps(round_.state, workflow)
    given = inputs.accept(workflow, command.inputs)
    accepted = granted.granted(workflow, command)
    granted.check_tags(workflow, accepted.tags, round_.state.policy.function_tags)
    body = c.ExecutionQueued(
        workflow=workflow,
        inputs=given,
        transition=transition(1, "init", None),
        digest=digest_,
        labels=accepted.labels,
        metadata=accepted.metadata,
        concurrency=concurrency.claimed(round_.state, workflow, given, command.execution),
        priority=accepted.priority,
        timeout_s=accepted.timeout_s,
        tags=accepted.tags,
        no_cache=command.no_cache,
    )
    check_size(body)
    round_.write(body, command.id, execution=command.execution)


def child_queued(
    execution: ExecutionState, step: StepState, id_: str, given: dict[str, Any], round_: Round
) -> c.ExecutionQueued:
    """What queues the child of a ``workflow`` step. Raises what a submit of the same would be refused with."""
    check_execution(id_)
    workflow = execution.plan.workflow.workflows[step.plan.step.workflow or ""]
    check_steps(round_.state, workflow)
    parent = Parent(execution=execution.id, step=step.path)
    accepted = inputs.accept(workflow, given, exact=False)
    return c.ExecutionQueued(
        workflow=workflow,
        inputs=accepted,
        transition=transition(1, "init", None),
        parent=parent,
        labels=workflow.labels,
        metadata=workflow.metadata,
        no_cache=execution.no_cache,
        concurrency=concurrency.claimed(round_.state, workflow, accepted, id_, parent),
        priority=execution.priority_of(step) + workflow.priority,
        timeout_s=granted.timeout_s(workflow.timeout),
        tags=sorted({*execution.tags, *workflow.tags}),
    )


def _resume(round_: Round, command: Resume, known: str | None) -> None:
    """Give a step its input. What was given once, or is not waited for any more, changes nothing."""
    execution = round_.state.executions.get(command.execution)
    if execution is None:
        if known is None:
            raise ExecutionNotFoundError(execution=command.execution)
        return
    step = answered(execution, command)
    if step is None:
        return
    asked = step.plan.step.wait_for_input
    if asked is not None and (defect := answers.defect(command.input, asked.schema)):
        raise InvalidArgumentError(
            f"the input for the step {step.path} is not what it asks for: {defect}",
            remedy="Give what its schema says; muster show tells it.",
            step=step.path,
        )
    body = c.StepResumed(output=command.input)
    round_.write(body, command.id, execution=execution.id, step=step.path)


def answered(execution: ExecutionState, command: Resume) -> StepState | None:
    """The step that the command answers; None where it has its answer.

    Raises InvalidArgumentError where there is no such step, or more than one.
    """
    asked = [
        step
        for step in execution.steps.values()
        if step.token and command.step in (None, step.path) and command.token in (None, step.token)
    ]
    asking = [step for step in asked if step.status == "waiting" and step.resumed_id is None]
    if len(asking) == 1:
        return asking[0]
    if asked and not asking:
        return None
    waiting = (step.path for step in execution.steps.values() if step.status == "waiting" and step.token)
    raise InvalidArgumentError(
        f"the execution {execution.id} waits for input in: {', '.join(waiting) or 'no step'}.",
        remedy="Name the step, or give its token.",
    )


def _cancel(round_: Round, command: Cancel, known: str | None) -> None:
    """Let the execution end as cancelled, unless it is ending already."""
    execution = round_.state.executions.get(command.execution)
    if execution is None and known is None:
        raise ExecutionNotFoundError(execution=command.execution)
    if execution is not None and execution.ending != "cancelled":
        body = c.ExecutionEnding(outcome="cancelled", reason=command.reason)
        round_.write(body, command.id, execution=execution.id)


def _clear(round_: Round, command: Clear, known: str | None, erased: c.ExecutionCleared | None) -> None:
    """Mark an ended execution as cleared. Erasing is the caller's, and may be repeated."""
    execution = command.execution
    if execution in round_.state.executions:
        raise ExecutionNotEndedError(execution=execution)
    if known is None:
        raise ExecutionNotFoundError(execution=execution)
    if known != CLEARED:
        body = msgspec.structs.replace(erased or c.ExecutionCleared(), held=round_.state.holding(execution))
        round_.write(body, command.id, execution=execution, event_id=f"{execution}:cleared")


def refuse(round_: Round, command: Command, verb: str, error: MusterError) -> None:
    """Record that the command is refused. The id names the round: the same command, sent again, is refused again."""
    execution = getattr(command, "execution", NO_EXECUTION)
    try:
        check_execution(execution)
    except MusterError:
        execution = NO_EXECUTION
    id_ = command.id[:COMMAND_ID_MAX]
    body = c.CommandRefused(command=id_, verb=verb, error=clipped(error.info()))
    event_id = f"refused:{id_}:{round_.state.term}.{round_.state.round}.{len(round_.events)}"
    round_.write(body, id_, execution=execution, event_id=event_id)
