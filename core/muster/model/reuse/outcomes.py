"""Outcomes that are taken over from an earlier execution instead of being made again.

Theory of operation. ``execution.queued`` of a rerun names them in full (``reused``), so that the log of one execution
says all that it rests on. Where a step has its turn and an outcome of its path was taken over, that is its outcome, and
nothing of it begins: no attempt, no wait, no child. It has its turn as any other, after what it needs; conditions are
not asked again, since what they look at is taken over as well.

A path speaks of a member of a loop by its number. So what was taken over of members holds only where the loop goes over
the same list again: ``loops`` has the digest of the list that it went over.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from muster.model.engine.execution import ExecutionState, Frame, Members, StepState
from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.decisions import Reused, Source

REUSED: Final = "reused"
ASKED: Final = "asked"  # why a step is skipped that said so itself


def taken_over(execution: ExecutionState, step: StepState) -> Body | None:
    """The outcome of the step, where an earlier execution has it."""
    found = execution.reused.get(step.path)
    if found is None or not _same_members(execution, step.frame):
        return None
    source = Source(
        execution=found.execution or execution.rerun_of or "",
        step=found.step or step.path,
        attempt=found.attempt,
        at=found.at,
    )
    if found.skipped:
        return c.StepSkipped(reason=ASKED, message=found.message, source=source)
    return c.StepSucceeded(outputs=found.outputs, reason=REUSED, source=source)


def _same_members(execution: ExecutionState, frame: Frame) -> bool:
    """Whether every loop around goes over the list it went over then."""
    at: Frame | None = frame
    while at is not None:
        if at.parent is not None and at.parent.members is not None:
            members = at.parent.members
            if execution.loops.get(at.parent.path) != _digest(members):
                return False
        at = at.around
    return True


def _digest(members: Members) -> str:
    members.digest = members.digest or digest(members.items)
    return members.digest


def digest(members: list[Any]) -> str:
    """What tells the list of a loop from others, as 32 hex digits."""
    return blake2b(msgspec.json.encode(members, order="sorted"), digest_size=16).hexdigest()


def entry(outcome: Body, source: Source, rerun_of: str, path: str) -> Reused:
    """What is taken over of an outcome of the step at ``path``; ``source`` says where it was made."""
    skipped = isinstance(outcome, c.StepSkipped)
    return Reused(
        outputs=getattr(outcome, "outputs", {}),
        skipped=skipped,
        message=getattr(outcome, "message", ""),
        execution="" if source.execution == rerun_of else source.execution,
        step="" if source.step == path else source.step,
        attempt=source.attempt,
        at=source.at,
    )
