"""What differs between two folds of an execution: the same one at two points of the log."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from muster.client.follower import ExecutionView, TransitionView
from muster.client.steps import StepView
from muster.client.timeline import Moment

EXECUTION_FIELDS: Final = ("status", "progress", "ending", "reason", "outputs", "error")
STEP_FIELDS: Final = ("status", "phase", "attempt", "machine", "reason", "due_at", "outputs", "error")


class Change(msgspec.Struct, frozen=True):
    """A value that is not the same any more."""

    before: Any
    after: Any


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed, by the name of the field and, for ``steps``, first by the step's path; and what came between."""

    changes: dict[str, Change]
    steps: dict[str, dict[str, Change]]
    transitions: list[TransitionView]
    timeline: list[Moment]

    @property
    def nothing(self) -> bool:
        """Whether both are the same."""
        return not (self.changes or self.steps or self.transitions or self.timeline)


def difference(before: ExecutionView, after: ExecutionView) -> Difference:
    """What of ``before`` is otherwise in ``after``, which was folded further."""
    steps = {
        path: changes
        for path, step in after.steps.items()
        if (changes := _changes(before.steps.get(path) or StepView(path=path), step, STEP_FIELDS))
    }
    return Difference(
        changes=_changes(before, after, EXECUTION_FIELDS),
        steps=steps,
        transitions=after.transitions[len(before.transitions) :],
        timeline=after.timeline[len(before.timeline) :],
    )


def _changes(before: object, after: object, fields: tuple[str, ...]) -> dict[str, Change]:
    pairs = {name: Change(getattr(before, name), getattr(after, name)) for name in fields}
    return {name: change for name, change in pairs.items() if change.before != change.after}
