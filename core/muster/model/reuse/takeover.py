"""What is taken over of an ended execution where it is run again in part.

Theory of operation. ``Past`` is the fold of its record. *Only what failed* takes over every step that was done well,
unless something it needs, directly or not, is run again. *From a step* is the same, where this step counts as if it had
not succeeded. A step was done well that succeeded, was skipped by its own condition (which is asked again, and costs
nothing), or said itself that it was to be skipped.

A block (a loop, a branch) that has to be run again is entered: what was done well in it is taken over step by step,
so of 10,000 members only those are run that failed. A block is also entered where a step in it sets a variable or
returns, since these must happen again. What handlers ran, and what a child execution did, is not taken over in part: a
``workflow`` step that failed runs a new child. Together, what is taken over must fit one event; what does not is run
again, with all that needs it, and ``too_large`` names it.
"""

from __future__ import annotations

from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any, Final

import msgspec
from msgspec import UNSET

from muster.model.log import catalogue as c
from muster.model.log.body import Body
from muster.model.log.decisions import Reused, Source
from muster.model.log.envelope import Event
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import TERMINAL
from muster.model.plan.lowering import lower
from muster.model.plan.tree import Block, Plan, StepPlan
from muster.model.reuse.outcomes import ASKED, digest, entry

NAMED_MAX: Final = 20  # steps that are named where what they gave is too large
CONDITION: Final = "condition"


class Past:
    """What the log says about an execution that is to be run again. Feed it the events of that one in their order."""

    def __init__(self) -> None:
        self.queued: c.ExecutionQueued | None = None
        self.status = ""
        self.cleared = False
        self.outcomes: dict[str, tuple[Body, Source]] = {}
        self.members: dict[str, list[Any]] = {}
        self.branches: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        data = event.data
        if event.writer != SCHEDULER:
            return
        if (transition := getattr(data, "transition", None)) is not None:
            self.status = transition.after
        match data:
            case c.ExecutionQueued():
                self.queued = data
            case c.ExecutionCleared():
                self.cleared = True
            case c.StepStarted() if event.step is not None:
                if data.members is not None:
                    self.members[event.step] = data.members
                if data.branch is not None:
                    self.branches[event.step] = data.branch
            case c.StepSucceeded() | c.StepFailed() | c.StepSkipped() | c.StepCancelled() if (
                event.step is not None
            ):
                self.outcomes.setdefault(event.step, (data, _source(event, data)))

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status in TERMINAL

    @cached_property
    def plan(self) -> Plan:
        """The plan of its definition."""
        assert self.queued is not None
        return lower(self.queued.workflow)


def _source(event: Event, data: Body) -> Source:
    """Where the outcome was made: what was taken over itself names that."""
    known: Source | None = getattr(data, "source", None)
    made = Source(execution=event.execution, step=event.step or "", attempt=event.attempt, at=event.time)
    return known or made


class Taken(msgspec.Struct, kw_only=True):
    """What is taken over: outcomes by path, the lists of loops by digest, and what was left out for its size."""

    reused: dict[str, Reused] = {}
    loops: dict[str, str] = {}
    too_large: list[str] = []


def taken(past: Past, execution: str, from_step: str | None, room: int) -> Taken:
    """What a rerun of ``execution`` takes over, in at most ``room`` bytes of JSON."""
    selection = _Selection(past, execution, from_step, room)
    selection.walk(past.plan.block, "")
    return selection.found


class _Selection:
    def __init__(self, past: Past, execution: str, from_step: str | None, room: int) -> None:
        self.found = Taken()
        self._past = past
        self._of = execution
        self._from = from_step or ""
        self._room = room
        self._orders: dict[int, list[StepPlan]] = {}

    def walk(self, block: Block, prefix: str) -> bool:
        """Go through the steps of a block in the order of their needs; whether all of it is as it was."""
        again: set[str] = set()
        for plan in self._ordered(block):
            path = f"{prefix}{plan.id}"
            if again.intersection(plan.needs) or not self._keeps(plan, path):
                again.add(plan.id)
        return not again

    def _ordered(self, block: Block) -> list[StepPlan]:
        """The steps in the order of their needs; a loop has the same block for each of its members."""
        if (known := self._orders.get(id(block))) is None:
            order = TopologicalSorter({id_: plan.needs for id_, plan in block.steps.items()})
            known = self._orders[id(block)] = [block.steps[id_] for id_ in order.static_order()]
        return known

    def _keeps(self, plan: StepPlan, path: str) -> bool:
        """Whether the step is as it was; what of it or in it is taken over is noted."""
        if path == self._from:
            return False
        well = self._was_well(plan, path)
        plain = not _acts(plan) and not self._from.startswith(f"{path}/")
        if well and plain and self._note(path):
            return True
        if plan.blocks:
            inside = self._enter(plan, path)
            return well and inside
        if well and len(self.found.too_large) < NAMED_MAX:
            self.found.too_large.append(path)
        return False

    def _was_well(self, plan: StepPlan, path: str) -> bool:
        outcome, _ = self._past.outcomes.get(path, (None, None))
        if isinstance(outcome, c.StepSkipped):
            return outcome.reason in {CONDITION, ASKED}
        return isinstance(outcome, c.StepSucceeded) and plan.step.return_ is UNSET

    def _note(self, path: str) -> bool:
        """Take the outcome over; False where it is too large. A condition is asked again."""
        outcome, source = self._past.outcomes[path]
        if isinstance(outcome, c.StepSkipped) and outcome.reason == CONDITION:
            return True
        made = entry(outcome, source, self._of, path)
        size = len(msgspec.json.encode({path: made}))
        if size > self._room:
            return False
        self._room -= size
        self.found.reused[path] = made
        return True

    def _enter(self, plan: StepPlan, path: str) -> bool:
        """Look into what it chose or repeated; whether all of that is as it was."""
        if (branch := self._past.branches.get(path)) is not None:
            block = next((block for block in plan.blocks if block.name == branch), None)
            return block is None or self.walk(block, f"{path}/{branch}/")
        if (members := self._past.members.get(path)) is None:
            return False
        self.found.loops[path] = digest(members)
        block = plan.blocks[0]
        kept = [self.walk(block, f"{path}/{number}/") for number in range(len(members))]
        return all(kept)


def _acts(plan: StepPlan) -> bool:
    """Whether what runs in its blocks does something to the execution that an outcome of the whole does not tell."""
    inner = [step for block in plan.blocks for step in block.steps.values()]
    return any(step.step.set is not None or step.step.return_ is not UNSET or _acts(step) for step in inner)
