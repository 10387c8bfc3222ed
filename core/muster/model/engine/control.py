"""Control steps: how each primitive but ``run`` begins, and how it comes to its outcome.

``step.started`` is written where the step begins, with what its expressions gave; folding that opens the frames
(``muster.model.engine.frames``). When something that belongs to the step has changed, ``advance`` looks whether it
is done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from msgspec import UNSET

from muster.model import values
from muster.model.definition.filetypes import is_file
from muster.model.definition.quantities import seconds
from muster.model.engine import children, loops
from muster.model.engine.admission import child_queued
from muster.model.engine.execution import ExecutionState, Members, StepState
from muster.model.engine.round import Round
from muster.model.engine.state import CLEARED
from muster.model.engine.writing import changed, timer, write
from muster.model.errors import (
    ErrorInfo,
    ExpressionError,
    InvalidArgumentError,
    MusterError,
    RaisedError,
    StepTimeoutError,
)
from muster.model.expressions import template as expressions
from muster.model.limits import REDUCE_COST_MAX, VALUES_BYTES_MAX
from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.clipping import clipped
from muster.model.plan.conditions import hold
from muster.model.plan.lowering import case_name, chooses_by_if, listed
from muster.model.plan.order import placed
from muster.model.reuse.recall import kept_under
from muster.model.sharing import ration

TOKEN_BYTES: Final = 16


def begin(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    """Begin the step; what cannot be worked out is its error."""
    try:
        ration.check_steps(execution, step)
        _BEGIN[step.plan.primitive](round_, execution, step, cause)
    except MusterError as error:
        write(round_, execution, step, c.StepFailed(error=_info(error, step)), cause)


def abandon(round_: Round, execution: ExecutionState, step: StepState, due_at: datetime) -> None:
    """The time of its handler is over."""
    body = c.StepCancelled(reason="the time for what is run at the end is over")
    write(round_, execution, step, body, timer("ending", due_at))


def cancel_child(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    """Have the child of the step end; the step ends when it has."""
    child = round_.state.executions.get(step.child)
    if child is not None and child.ending != "cancelled":
        body = c.ExecutionEnding(outcome="cancelled", reason=execution.ending_reason, with_parent=True)
        round_.write(body, cause, execution=child.id)


def advance(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """Give the step its outcome if it has come that far."""
    if not step.terminal and (advancing := _ADVANCE.get(step.plan.primitive)) is not None:
        try:
            advancing(round_, execution, step)
        except MusterError as error:
            write(round_, execution, step, c.StepFailed(error=_info(error, step)), _cause(step))


def _cause(step: StepState) -> str:
    return step.closed_id or step.ready_id or ""


def _info(error: MusterError, step: StepState) -> ErrorInfo:
    return clipped(error.info(step=step.path))


def _field(execution: ExecutionState, step: StepState, field: str, value: Any) -> Any:
    return placed(f"step {step.path}, {field}", value, execution.scope(step), step=step.path)


def _started(execution: ExecutionState, **data: Any) -> c.StepStarted:
    return c.StepStarted(machine=None, transition=changed(execution, "step"), **data)


def _left(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """It was left before it came to an end of its own."""
    body = c.StepCancelled(reason=execution.ending_reason or "the execution is ending")
    write(round_, execution, step, body, execution.left_because(step))


# ---- choose


def _choose(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    scope = execution.scope(step)
    branch = _branch(step, scope)
    write(round_, execution, step, _started(execution, branch=branch), cause)
    _chosen(round_, execution, step)


def _branch(step: StepState, scope: dict[str, Any]) -> str:
    """The name of the branch to take; empty where there is none."""
    written = step.plan.step
    if chooses_by_if(written):
        name = "then" if hold(listed(written.if_), scope, step.path) else "else"
        return name if any(block.name == name and block.steps for block in step.plan.blocks) else ""
    for number, case in enumerate(written.switch or (), 1):
        if case.case is UNSET or hold(listed(case.case), scope, step.path):
            return case_name(case, number)
    return ""


def _chosen(round_: Round, execution: ExecutionState, step: StepState) -> None:
    if step.running:
        return
    if step.error is not None:
        write(round_, execution, step, c.StepFailed(error=step.error), _cause(step))
    elif step.result is None and step.closed_id is not None:
        _left(round_, execution, step)
    else:
        write(round_, execution, step, _succeeded(step.result or {}), _cause(step))


def _succeeded(outputs: dict[str, Any], cache_key: str = "") -> c.StepSucceeded:
    if (size := values.size(outputs)) > VALUES_BYTES_MAX:
        raise InvalidArgumentError(
            f"the outputs are {size} bytes as JSON, more than {VALUES_BYTES_MAX}.",
            remedy="Return less: give files or addresses instead of values.",
        )
    return c.StepSucceeded(outputs=outputs, cache_key=cache_key)


# ---- each


def _repeat(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    field, value = loops.over(step.plan.step)
    members = loops.members(f"step {step.path}, {field}", _field(execution, step, field, value))
    write(round_, execution, step, _started(execution, members=members), cause)
    _repeated(round_, execution, step)


def _repeated(round_: Round, execution: ExecutionState, step: StepState) -> None:
    members = step.members
    if members is None or members.running:
        return
    if members.failed:
        number = min(members.failed)
        write(round_, execution, step, c.StepFailed(error=members.failed[number]), _cause(step))
    elif len(members.results) < len(members.items):
        if execution.leaving(step):
            _left(round_, execution, step)
        elif (due_at := execution.over(step, round_.now)) is not None:
            abandon(round_, execution, step, due_at)
    else:
        write(round_, execution, step, _succeeded(_gathered(execution, step, members)), _cause(step))


def _gathered(execution: ExecutionState, step: StepState, members: Members) -> dict[str, Any]:
    """The results in the order of the members, and what they are reduced to."""
    results = [members.results[number] for number in range(len(members.items))]
    loop = step.plan.step.map
    if loop is None or loop.reduce is None:
        return {"items": results}
    reduced, scope = _field(execution, step, "map.initial", loop.initial), execution.scope(step)
    spent = 0
    for result in results:
        scope["item"] = {"result": reduced, "value": result}
        spent += expressions.cost(loop.reduce, scope)
        if spent > REDUCE_COST_MAX:
            raise ExpressionError(
                f"step {step.path}, map.reduce: it could take too long over {len(results)} results.",
                remedy="Shorten it, or reduce the results in a step that runs a container.",
            )
        reduced = placed(f"step {step.path}, map.reduce", loop.reduce, scope, step=step.path)
    return {"items": results, "result": reduced}


# ---- wait


def _wait(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    body = _waits(round_, execution, step)
    write(round_, execution, step, _started(execution), cause)
    write(round_, execution, step, body, cause)


def _waits(round_: Round, execution: ExecutionState, step: StepState) -> c.StepWaiting:
    written, now = step.plan.step, round_.now
    if (asked := written.wait_for_input) is not None:
        return c.StepWaiting(
            reason="input",
            due_at=now + timedelta(seconds=seconds(asked.timeout)) if asked.timeout is not None else None,
            prompt=values.text(_field(execution, step, "wait_for_input.prompt", asked.prompt)),
            schema=asked.schema,
            token=_token(execution, step),
        )
    if written.sleep is not None:
        return c.StepWaiting(reason="timer", due_at=now + timedelta(seconds=seconds(written.sleep)))
    return c.StepWaiting(reason="timer", due_at=_until(execution, step))


def _token(execution: ExecutionState, step: StepState) -> str:
    """Nobody can guess it who has not read the log: the id of the command that submitted the execution is random."""
    about = f"{execution.id}/{step.path}/{execution.number}".encode()
    return blake2b(about, key=execution.seed.encode()[:64], digest_size=TOKEN_BYTES).hexdigest()


def _until(execution: ExecutionState, step: StepState) -> datetime:
    found = _field(execution, step, "sleep_until", step.plan.step.sleep_until)
    try:
        moment = datetime.fromisoformat(found)
    except (TypeError, ValueError):
        raise _no_time(step, found) from None
    if moment.tzinfo is None:
        raise _no_time(step, found)
    return moment


def _no_time(step: StepState, found: Any) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"step {step.path}, sleep_until: {values.shown(found)} is no time with its zone.",
        remedy="Write it like 2026-11-21T18:00:00Z.",
    )


def _waited(round_: Round, execution: ExecutionState, step: StepState) -> None:
    if step.status == "running":  # the leader that began it did not come to say what it waits for
        write(round_, execution, step, _waits(round_, execution, step), _cause(step))
    if step.resumed_id is not None:
        write(round_, execution, step, _succeeded(_named(step.answer)), step.resumed_id)
    elif step.due_at is not None and round_.now >= step.due_at and not execution.leaving(step):
        cause = timer("wait", step.due_at)
        if step.reason == "input":
            error = StepTimeoutError(f"nobody gave the input that the step {step.path} waits for in time")
            write(round_, execution, step, c.StepFailed(error=_info(error, step)), cause)
        else:
            write(round_, execution, step, c.StepSucceeded(), cause)


# ---- child


def _call(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    id_ = children.name(execution)
    queued = child_queued(execution, step, id_, _given(execution, step), round_)
    write(round_, execution, step, _started(execution, child=id_), cause)
    round_.write(queued, children.begun(execution, step), execution=id_)


def _called(round_: Round, execution: ExecutionState, step: StepState) -> None:
    if not step.child_ended and step.child not in round_.state.executions:
        _call_again(round_, execution, step)
    elif step.child_ended == "succeeded":
        given = _succeeded(step.result or {}, kept_under(execution, step))
        write(round_, execution, step, given, _cause(step))
    elif step.child_ended == "failed" and step.error is not None:
        write(round_, execution, step, c.StepFailed(error=step.error), _cause(step))
    elif step.child_ended == "cancelled":
        _child_cancelled(round_, execution, step)
    elif execution.stopping and execution.leaving(step):
        cancel_child(round_, execution, step, execution.left_because(step))


def _call_again(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """The leader that began it did not come to accept the child. One that was cleared has been: its id stays taken."""
    if execution.stopping and execution.leaving(step):
        _left(round_, execution, step)
    elif round_.state.ended.get(step.child) == CLEARED:
        error = RaisedError(f"the execution {step.child} was cleared before it was known here how it ended")
        write(round_, execution, step, c.StepFailed(error=_info(error, step)), _cause(step))
    else:
        queued = child_queued(execution, step, step.child, _given(execution, step), round_)
        round_.write(queued, children.begun(execution, step), execution=step.child)


def _given(execution: ExecutionState, step: StepState) -> dict[str, Any]:
    """The inputs of the child."""
    written = step.plan.step.inputs
    return {name: _field(execution, step, f"inputs.{name}", value) for name, value in written.items()}


def _child_cancelled(round_: Round, execution: ExecutionState, step: StepState) -> None:
    if execution.leaving(step):
        _left(round_, execution, step)
        return
    error = RaisedError(
        f"the execution {step.child} was cancelled: {step.child_reason or 'no reason was given'}"
    )
    write(round_, execution, step, c.StepFailed(error=_info(error, step)), _cause(step))


# ---- assign


def _assign(round_: Round, execution: ExecutionState, step: StepState, cause: str) -> None:
    body = _assigned(execution, step)
    write(round_, execution, step, _started(execution), cause)
    write(round_, execution, step, body, cause)


def _assigned_again(round_: Round, execution: ExecutionState, step: StepState) -> None:
    """The leader that began it wrote no outcome any more."""
    write(round_, execution, step, _assigned(execution, step), _cause(step))


def _assigned(execution: ExecutionState, step: StepState) -> Body:
    written = step.plan.step
    if written.set is not None:
        return _succeeded(
            {name: _field(execution, step, f"set.{name}", v) for name, v in written.set.items()}
        )
    if written.get is not None:
        return _succeeded({"value": _field(execution, step, "get", f"${{{{ vars.{written.get} }}}}")})
    if written.log is not None:
        return _succeeded({"message": values.text(_field(execution, step, "log", written.log))})
    if written.error is not None:
        message = values.text(_field(execution, step, "error", written.error))
        return c.StepFailed(error=_info(RaisedError(message), step))
    if written.return_ is not UNSET:
        found = _field(execution, step, "return", written.return_)
        return _succeeded(_named(found))
    return _succeeded(_branches(step))


def _named(found: Any) -> dict[str, Any]:
    """An object is outputs by name; all else, a file too, is the output ``value``."""
    return found if isinstance(found, dict) and not is_file(found) else {"value": found}


def _branches(step: StepState) -> dict[str, Any]:
    """What a chain, a group or a parallel gives: the outputs of its last steps."""
    found = [_outputs(step, ids) for ids in step.plan.gathers]
    if step.plan.step.chain is not None:
        return found[-1] if found else {}
    return {"branches": found}


def _outputs(step: StepState, ids: tuple[str, ...]) -> dict[str, Any]:
    ends = {id_: step.frame.steps[id_].outputs for id_ in ids}
    return next(iter(ends.values())) if len(ends) == 1 else ends


_BEGIN: Final[dict[str, Callable[[Round, ExecutionState, StepState, str], None]]] = {
    "choose": _choose,
    "each": _repeat,
    "wait": _wait,
    "child": _call,
    "assign": _assign,
}
_ADVANCE: Final[dict[str, Callable[[Round, ExecutionState, StepState], None]]] = {
    "choose": _chosen,
    "each": _repeated,
    "wait": _waited,
    "child": _called,
    "assign": _assigned_again,
}
