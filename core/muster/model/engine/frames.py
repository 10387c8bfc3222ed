"""Folding what happens in frames: they open, their steps become ready and have outcomes, they close.

Everything here follows from an event and the plan alone, without evaluating an expression: what expressions gave (the
members of a list, the branch that was chosen) stands in the event.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from muster.model.engine.execution import ExecutionState, Frame, Members, StepState
from muster.model.engine.state import State, enqueue
from muster.model.log.envelope import Event
from muster.model.plan.lowering import each_of

LAST: Final = 1 << 30  # handlers come after everything else in the order of decisions
NOT_WELL: Final = frozenset({"upstream", "ending"})  # reasons for being skipped that bar what needs the step


def prepare(execution: ExecutionState, frame: Frame) -> None:
    """Make the steps of a frame."""
    for id_, plan in frame.block.steps.items():
        step = StepState(
            plan=plan,
            path=f"{frame.prefix}{id_}",
            order=(*frame.order, plan.index),
            frame=frame,
            unmet=len(plan.needs),
        )
        frame.steps[id_] = execution.steps[step.path] = step
    frame.open = len(frame.steps)
    if frame.around is not None:
        frame.around.inner[frame.prefix] = frame


def begin(state: State, execution: ExecutionState, frame: Frame, event: Event) -> None:
    """Those steps of a frame that need nothing are ready."""
    for step in list(frame.steps.values()):
        if step.unmet == 0:
            ready(state, execution, step, event)
    if frame.open == 0:
        close(state, execution, frame, event)


def open_(state: State, execution: ExecutionState, frame: Frame, event: Event) -> None:
    """Open a frame of an execution that is under way."""
    prepare(execution, frame)
    begin(state, execution, frame, event)


def ready(state: State, execution: ExecutionState, step: StepState, event: Event) -> None:
    """Everything the step needs has its outcome. A plain run is placed; about all else ``decide`` has to think."""
    step.ready_at, step.ready_id, step.variables = event.time, event.id, execution.variables
    step.cache_number = state.cache.number
    execution.count(step)
    plain = step.plan.primitive == "run" and not step.plan.conditions and not step.barred
    plain = plain and step.path not in execution.reused and step.plan.step.cache is None
    plain = plain and step.plan.step.concurrency is None
    if plain and not execution.leaving(step) and execution.over(step, event.time) is None:
        enqueue(state, execution, step)
    else:
        state.touch(execution.id, step.path)


def settle(state: State, execution: ExecutionState, step: StepState, event: Event) -> None:
    """The step has its outcome: whatever needs it may be ready, and its frame may close."""
    frame = step.frame
    step.ended_id = execution.latest_id = event.id
    state.queue.remove((execution.id, step.path))
    state.touch(execution.id, "")
    barred = step.status in {"failed", "cancelled"} or step.reason in NOT_WELL
    for id_ in step.plan.dependents:
        dependent = frame.steps[id_]
        dependent.unmet -= 1
        dependent.barred = dependent.barred or (barred and not dependent.plan.step.always)
        if dependent.unmet == 0:
            ready(state, execution, dependent, event)
    if step.status == "failed":
        _failed(state, execution, step, event)
    frame.open -= 1
    if frame.open == 0:
        close(state, execution, frame, event)


def _failed(state: State, execution: ExecutionState, step: StepState, event: Event) -> None:
    frame = step.frame
    frame.failed.append(step)
    if frame is not execution.root and execution.plan.workflow.on_failure != "continue" and not frame.ending:
        frame.ending = True
        _touch(state, execution, frame)
    if step.plan.rescue is not None:
        frame.open += 1
        rescue = Frame(
            prefix=f"{step.path}/{step.plan.rescue.name}/",
            block=step.plan.rescue,
            order=(*step.order, LAST),
            role="handler",
            around=frame,
            error=step.error,
        )
        open_(state, execution, rescue, event)


def _touch(state: State, execution: ExecutionState, frame: Frame) -> None:
    """Have every step in the frame looked at, and in the frames in it."""
    for step in frame.steps.values():
        state.touch(execution.id, step.path)
    for inner in frame.inner.values():
        _touch(state, execution, inner)


def close(state: State, execution: ExecutionState, frame: Frame, event: Event) -> None:
    """Every step of the frame has its outcome."""
    if frame is execution.root:
        finish(state, execution, event)
        return
    if frame is execution.finish:
        state.touch(execution.id, "")
        return
    for step in frame.steps.values():
        del execution.steps[step.path]
    if frame.around is not None:
        frame.around.inner.pop(frame.prefix, None)
    if frame.parent is not None:
        _closed(state, execution, frame, frame.parent, event)
    elif frame.around is not None:
        frame.around.open -= 1
        if frame.around.open == 0:
            close(state, execution, frame.around, event)


def finish(state: State, execution: ExecutionState, event: Event) -> None:
    """What is run at the end begins when the end is decided and nothing else is open."""
    block = execution.plan.finish
    state.touch(execution.id, "")
    if block is None or execution.finish is not None or execution.ending is None or execution.root.open:
        return
    if execution.withdrawn:
        return
    execution.finish = Frame(
        prefix=f"{block.name}/",
        block=block,
        order=(LAST,),
        role="handler",
        around=execution.root,
        error=execution.error,
    )
    execution.finish_due = event.time + timedelta(seconds=state.policy.handler_timeout_s)
    state.arm(execution.finish_due, "ending", execution.id, "")
    open_(state, execution, execution.finish, event)


def _closed(state: State, execution: ExecutionState, frame: Frame, step: StepState, event: Event) -> None:
    """What came of the frame goes to the step it belongs to."""
    step.closed_id = event.id
    error = frame.failed[0].error if frame.failed else None
    left = frame.cut_short and execution.left(frame)
    if step.members is None:
        step.running -= 1
        step.error = error
        step.result = None if error is not None or left else frame.result
    else:
        step.members.running -= 1
        if error is not None:
            step.members.failed[frame.member] = error
        elif not left:
            step.members.results[frame.member] = frame.result
        next_members(state, execution, step, event)
    state.touch(execution.id, step.path)


def choose(state: State, execution: ExecutionState, step: StepState, branch: str, event: Event) -> None:
    """Open the branch that was chosen."""
    block = next((block for block in step.plan.blocks if block.name == branch), None)
    if block is None:
        return
    step.running += 1
    frame = Frame(
        prefix=f"{step.path}/{branch}/", block=block, order=step.order, parent=step, around=step.frame
    )
    open_(state, execution, frame, event)


def repeat(state: State, execution: ExecutionState, step: StepState, members: Members, event: Event) -> None:
    """Begin with the members of a list."""
    step.members = members
    next_members(state, execution, step, event)
    state.touch(execution.id, step.path)


def next_members(state: State, execution: ExecutionState, step: StepState, event: Event) -> None:
    """Open frames for as many members as may be under way at once."""
    members = step.members
    assert members is not None
    if members.opening:  # a member with nothing in it closes as it opens, and there may be thousands of them
        return
    members.opening = True
    while _admits(execution, step, members, event):
        number = members.begun
        members.begun += 1
        members.running += 1
        frame = Frame(
            prefix=f"{step.path}/{number}/",
            block=step.plan.blocks[0],
            order=(*step.order, number),
            parent=step,
            around=step.frame,
            member=number,
            item=members.items[number],
        )
        open_(state, execution, frame, event)
    members.opening = False


def _admits(execution: ExecutionState, step: StepState, members: Members, event: Event) -> bool:
    loop = each_of(step.plan.step)
    return (
        members.begun < len(members.items)
        and members.running < loop.max_parallel
        and not (members.failed and loop.on_failure == "drain")
        and not execution.leaving(step)
        and execution.over(step, event.time) is None
    )
