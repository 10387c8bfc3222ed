"""What the log says about one execution: a pure fold of its events, used by clients and by the command line.

Theory of operation. The fold sees the events of one execution in log order and nothing else. Scheduler events decide:
they carry the transitions and each step's outcome. Agent events only colour in what the current attempt is
doing; one from an attempt that is no longer current goes to the timeline and changes nothing. What a crash may write
twice changes nothing the second time: an agent's ``n`` only ever grows, and a scheduler's ids are derived from
what they decide.

A step that is run again and again, or only under a condition, is known from its first event on; its path says to what
it belongs. Of each loop it is counted how many of its items are done, so that nobody has to look at all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from muster.client.steps import Items, StepView, step_changes
from muster.client.timeline import Moment, moment
from muster.model.definition.schedule import Scheduled
from muster.model.definition.workflow import Workflow
from muster.model.errors import ErrorInfo
from muster.model.log import catalogue
from muster.model.log.catalogue import Body
from muster.model.log.decisions import Parent, Reused
from muster.model.log.envelope import Event, Recorded
from muster.model.log.names import SCHEDULER
from muster.model.log.transitions import TERMINAL, Transition
from muster.model.plan import outline
from muster.model.plan.lowering import lower
from muster.model.plan.tree import Plan
from muster.model.sharing import granted
from muster.model.sharing.claims import Claim

FAILURES_NAMED: Final = 20  # of a loop; whoever wants all has the steps


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the execution's status, with its true time and what came with it."""

    number: int
    time: datetime
    type: str
    before: str | None
    after: str
    step: str | None = None
    output: Any = None
    error: ErrorInfo | None = None
    label: str = ""
    metadata: dict[str, Any] = {}
    sequence: int = 0


class ExecutionView:
    """One execution as it stands after the events given to ``apply``."""

    def __init__(self, execution: str) -> None:
        self.id = execution
        self.sequence = 0
        self.status = ""
        self.workflow: Workflow | None = None
        self.inputs: dict[str, Any] = {}
        self.labels: dict[str, str] = {}
        self.metadata: dict[str, Any] = {}
        self.digest = ""
        self.rerun_of: str | None = None
        self.reused: dict[str, Reused] = {}
        self.too_large: list[str] = []
        self.parent: Parent | None = None
        self.schedule: Scheduled | None = None
        self.variables: dict[str, Any] = {}
        self.transitions: list[TransitionView] = []
        self.steps: dict[str, StepView] = {}
        self.timeline: list[Moment] = []
        self.outputs: dict[str, Any] = {}
        self.error: ErrorInfo | None = None
        self.reason = ""
        self.claim: Claim | None = None
        self.granted: granted.Granted | None = None
        self.accepted_by = ""
        self.ending = ""
        self.cleared = False
        self._n: dict[str, int] = {}
        self._ids: set[str] = set()
        self._plan: Plan | None = None
        self._members: dict[tuple[str, int], Member] = {}
        self._asking: dict[str, None] = {}

    @property
    def asking(self) -> list[StepView]:
        """The steps that wait for input, in the order in which they asked."""
        return [] if self.finished else [self.steps[path] for path in self._asking]

    @property
    def known(self) -> bool:
        """Whether the log holds an accepted execution of this id."""
        return bool(self.status)

    @property
    def finished(self) -> bool:
        """Whether the execution has ended."""
        return self.status in TERMINAL

    @property
    def progress(self) -> tuple[int, int]:
        """``(finished, total)`` steps of the workflow itself; failed and skipped ones count as finished.

        What loops, branches and handlers run is not counted: how much that will be is not known beforehand.
        """
        own = [step for path, step in self.steps.items() if "/" not in path]
        return sum(step.finished for step in own), len(own)

    @property
    def queued_at(self) -> datetime | None:
        """When the execution was accepted."""
        return self.transitions[0].time if self.transitions else None

    @property
    def ended_at(self) -> datetime | None:
        """When the execution ended, if it has."""
        return self.transitions[-1].time if self.finished else None

    def apply_all(self, records: Iterable[Recorded]) -> None:
        """Fold several events."""
        for recorded in records:
            self.apply(recorded)

    def apply(self, recorded: Recorded) -> StepView | None:
        """Fold one event; the step that changed by it, if one did."""
        event = recorded.event
        if recorded.sequence <= self.sequence or self._seen(event):
            return None
        self.sequence = recorded.sequence
        if (happened := moment(event)) is not None:
            self.timeline.append(happened)
        if not isinstance(event.data, Body):
            return None
        self._fold_execution(event, recorded.sequence)
        return self._fold_step(event)

    def _seen(self, event: Event) -> bool:
        if event.writer == SCHEDULER or event.n is None:
            seen = event.id in self._ids
            self._ids.add(event.id)
            return seen
        if event.n <= self._n.get(event.writer, 0):
            return True
        self._n[event.writer] = event.n
        return False

    # ---- the execution itself

    def _fold_execution(self, event: Event, sequence: int) -> None:
        data = event.data
        recorded = getattr(data, "transition", None)
        if isinstance(recorded, Transition):
            if self.transitions and recorded.number <= self.transitions[-1].number:
                return
            self._transition(event, recorded, sequence)
        match data:
            case catalogue.ExecutionQueued():
                self._queued(data)
                self.accepted_by = event.cause or ""
            case catalogue.ExecutionEnding():
                self.ending, self.error, self.reason = data.outcome, data.error, data.reason
            case catalogue.ExecutionSucceeded():
                self.outputs = data.outputs
            case catalogue.ExecutionFailed():
                self.error = data.error
            case catalogue.ExecutionCancelled():
                self.reason = data.reason
            case catalogue.ExecutionCleared():
                self.cleared = True

    def _queued(self, data: catalogue.ExecutionQueued) -> None:
        self.workflow, self.inputs, self.rerun_of = data.workflow, data.inputs, data.rerun_of
        self.labels, self.metadata, self.parent = data.labels, data.metadata, data.parent
        self.schedule, self.digest = data.schedule, data.digest
        self.claim = data.concurrency
        self.reused, self.too_large = data.reused, data.too_large
        self.granted = granted.of(data)
        self._plan = lower(data.workflow)
        for path in self._plan.steps:
            self.steps.setdefault(path, StepView(path=path))

    def _transition(self, event: Event, recorded: Transition, sequence: int) -> None:
        data = event.data
        self.status = recorded.after
        self.transitions.append(
            TransitionView(
                number=recorded.number,
                time=event.time,
                type=recorded.type,
                before=recorded.before,
                after=recorded.after,
                step=event.step,
                output=getattr(data, "outputs", None),
                error=getattr(data, "error", None),
                label=getattr(data, "reason", ""),
                metadata=getattr(data, "metadata", {}),
                sequence=sequence,
            )
        )

    # ---- its steps

    def _fold_step(self, event: Event) -> StepView | None:
        path = event.step
        if path is None:
            return None
        before = self.steps.get(path) or StepView(path=path)
        if before.finished:
            return None
        if event.writer != SCHEDULER and event.attempt != before.attempt:
            return None
        changes = step_changes(before, event)
        if not changes:
            return None
        self.steps[path] = after = msgspec.structs.replace(before, **changes)
        if after.asks:
            self._asking[path] = None
        else:
            self._asking.pop(path, None)
        if after.finished:
            self._settle(after, event)
        return self.steps[path]

    def _settle(self, step: StepView, event: Event) -> None:
        """A step has its outcome: a variable may be set by it, something said, an item of a loop done with it."""
        plan = outline.find(self._plan, step.path) if self._plan is not None else None
        if plan is not None and step.status == "succeeded":
            if plan.step.set is not None:
                self.variables = self.variables | step.outputs
            if plan.step.log is not None:
                self._say(step, event)
        of = outline.member(step.path)
        loop = self.steps.get(of[0]) if of is not None else None
        if of is None or loop is None or loop.items is None:
            return
        above = outline.find(self._plan, loop.path) if self._plan is not None else None
        member = self._members.setdefault(of, Member(len(above.blocks[0].steps) if above is not None else 1))
        items = member.settle(step, loop.items)
        if not member.open:
            del self._members[of]
        self.steps[loop.path] = msgspec.structs.replace(loop, items=items)

    def _say(self, step: StepView, event: Event) -> None:
        """A ``log`` step has said what it has to say."""
        message = str(step.outputs.get("message", ""))
        self.steps[step.path] = msgspec.structs.replace(step, message=message)
        said = Moment(time=event.time, label="Said", kind=event.kind, step=step.path, detail=message)
        self.timeline.append(said)


class Member:
    """One item of a loop: its steps that have no outcome yet, and whether one of them failed."""

    def __init__(self, steps: int) -> None:
        self.open = steps
        self._failed = False

    def settle(self, step: StepView, items: Items) -> Items:
        """Count the outcome of a step of it."""
        self.open -= 1
        failed, failures = items.failed, items.failures
        if step.status == "failed":
            failed, self._failed = failed + (not self._failed), True
            failures = (*failures, step.path)[:FAILURES_NAMED]
        return Items(total=items.total, done=items.done + (self.open == 0), failed=failed, failures=failures)
