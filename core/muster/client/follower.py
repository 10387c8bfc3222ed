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

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from muster.client.timeline import Moment, moment
from muster.model import catalogue, granted, outline
from muster.model.catalogue import Body
from muster.model.claims import Claim
from muster.model.decisions import Parent, Reused, Source
from muster.model.envelope import Event, Recorded
from muster.model.errors import ErrorInfo
from muster.model.lowering import lower
from muster.model.names import SCHEDULER
from muster.model.plan import Plan
from muster.model.schedule import Scheduled
from muster.model.transitions import STEP_TERMINAL, TERMINAL, Transition
from muster.model.workflow import Workflow

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


class Progress(msgspec.Struct, frozen=True):
    """How far a phase of an attempt has come."""

    phase: str
    current: float
    total: float | None = None
    unit: str = ""
    message: str = ""


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """How far a loop has come. ``failures`` are the paths of the first steps that failed in it."""

    total: int
    done: int = 0
    failed: int = 0
    failures: tuple[str, ...] = ()


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it stands. ``finished`` is also true of a step that failed, was skipped or was cancelled.

    ``reason`` says why it waits (input, timer, check_later, backoff), was skipped (condition, upstream, ending, asked)
    or cancelled, ``message`` what the container said about it, or what a
    ``log`` step said. ``prompt``, ``schema`` and ``token`` are of a step that
    waits, or waited, for input, ``resumed_by`` is the command that brought it. ``branch`` is the block that was chosen,
    ``child`` the execution that it runs, ``source`` where its outputs were made, where that was in another execution.
    """

    path: str
    status: str = "pending"
    attempt: int | None = None
    machine: str | None = None
    phase: str | None = None
    progress: Progress | None = None
    reason: str = ""
    due_at: datetime | None = None
    cached: bool = False
    outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    prompt: str = ""
    schema: dict[str, Any] = {}
    token: str = ""
    resumed_by: str | None = None
    branch: str | None = None
    child: str | None = None
    items: Items | None = None
    source: Source | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to the step."""
        return self.status in STEP_TERMINAL

    @property
    def asks(self) -> bool:
        """Whether somebody has to give it its input."""
        return self.status == "waiting" and self.reason == "input"


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
        self.schedule = data.schedule
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


def step_changes(step: StepView, event: Event) -> Mapping[str, Any]:
    """The fields of ``step`` that ``event`` changes: the scheduler's decisions first, then what an attempt does."""
    now = event.time
    match event.data:
        case catalogue.StepScheduled() as data:
            return {
                "status": "scheduled", "machine": data.machine, "attempt": event.attempt, "scheduled_at": now,
                "phase": None, "progress": None, "reason": "", "due_at": None, "cached": False, "message": "",
            }  # fmt: skip
        case catalogue.StepStarted() as data:
            return {
                "status": "running", "started_at": step.started_at or now, "branch": data.branch, "child": data.child,
                "items": None if data.members is None else Items(total=len(data.members)),
            }  # fmt: skip
        case catalogue.StepWaiting() as data:
            return {
                "status": "waiting", "reason": data.reason, "due_at": data.due_at, "message": data.said,
                "prompt": data.prompt, "schema": data.schema, "token": data.token, "phase": None, "progress": None,
            }  # fmt: skip
        case catalogue.StepAdmitted():
            return {"status": "pending", "reason": "", "message": ""}
        case catalogue.StepResumed():
            return {"status": "running", "reason": "", "due_at": None, "resumed_by": event.cause}
        case catalogue.StepRetrying() as data:
            return {
                "status": "waiting", "reason": "backoff", "error": data.error, "due_at": data.due_at,
                "phase": None, "progress": None,
            }  # fmt: skip
        case catalogue.StepSucceeded() as data:
            made = {"outputs": data.outputs, "source": data.source}
            return _ended("succeeded", event, reason=data.reason, error=None, **made)
        case catalogue.StepFailed() as data:
            return _ended("failed", event, error=data.error)
        case catalogue.StepSkipped() as data:
            return _ended("skipped", event, reason=data.reason, message=data.message, source=data.source)
        case catalogue.StepCancelled() as data:
            return _ended("cancelled", event, reason=data.reason)
    return _attempt_changes(step, event)


def _ended(status: str, event: Event, **more: Any) -> Mapping[str, Any]:
    return {"status": status, "ended_at": event.time, "phase": None, "progress": None, "due_at": None} | more


def _attempt_changes(step: StepView, event: Event) -> Mapping[str, Any]:
    if step.status == "waiting":  # a fact of the attempt that failed comes late
        return {}
    match event.data:
        case catalogue.AttemptAccepted():
            return {"status": "preparing"} if step.status == "scheduled" else {}
        case catalogue.ImagePulling():
            return {"phase": "pull"}
        case catalogue.ImagePulled() as data:
            return {"phase": "pull", "progress": None, "cached": data.cached}
        case catalogue.ContainerStarting():
            return {"phase": "start", "progress": None}
        case catalogue.FunctionLoading():
            return {"phase": "load", "progress": None}
        case catalogue.AttemptStarted():
            return {
                "status": "running", "phase": "run", "progress": None, "started_at": step.started_at or event.time,
            }  # fmt: skip
        case catalogue.AttemptProgress() as data:
            return {"progress": Progress(data.phase, data.current, data.total, data.unit, data.message)}
    return {}
