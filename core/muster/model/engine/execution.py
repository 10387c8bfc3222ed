"""An execution, its frames and its steps as the log knows them.

A frame is a block that is being run: the workflow's own, a branch that was chosen, one member of a list, what rescues a
failed step, or what is run at the end. Its steps have paths that begin with its prefix. When the last of them has its
outcome the frame closes: what came of it goes to the step it belongs to, and its steps are let go, so that a list of
any length takes the room of what runs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy, deepcopy
from datetime import datetime
from typing import Any, Final, Literal, Self

import msgspec
from msgspec import UNSET

from muster.model.engine.cluster import Attempt
from muster.model.errors import ErrorInfo
from muster.model.expressions.template import Scope
from muster.model.limits import EXPRESSION_COST_MAX, EXPRESSION_COST_SHARE_MIN, STEPS_COST_MAX
from muster.model.log.catalogue import AttemptRef
from muster.model.log.decisions import Parent, Reused
from muster.model.log.transitions import STEP_TERMINAL, TERMINAL
from muster.model.plan.lowering import each_of
from muster.model.plan.tree import Block, Plan, StepPlan
from muster.model.sharing.claims import Claim

Order = tuple[int, ...]
"""The place of a step in its execution: it is what decisions are ordered by."""


NEVER_CHANGED: Final = frozenset(
    {
        "plan",
        "block",
        "item",
        "items",
        "error",
        "inputs",
        "outputs",
        "result",
        "variables",
        "answer",
        "context",
        "claim",
        "reused",
        "loops",
        "tags",
    }
)
"""Fields that are set anew, and whose values stay as they are: copies share them."""


class _Node(msgspec.Struct, kw_only=True):
    """Steps and frames know each other: a copy must know itself before what it refers to is copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = copy(self)
        for name in self.__struct_fields__:
            if name not in NEVER_CHANGED:
                setattr(made, name, deepcopy(getattr(self, name), memo))
        return made


class Frame(_Node, kw_only=True):
    """A block that is being run. ``open`` counts what it waits for: its steps, and what rescues them.

    ``role``: the ``body`` of the workflow or of a step; a ``handler`` goes on where the execution is ending, and its
    failure is nobody's. ``member`` is the number of the item in its list. ``ending``: nothing new starts in it.
    ``inner`` are the frames in it.
    """

    prefix: str
    block: Block
    order: Order
    role: Literal["body", "handler"] = "body"
    parent: StepState | None = None
    around: Frame | None = None
    member: int = 0
    item: Any = UNSET
    error: ErrorInfo | None = None
    open: int = 0
    failed: list[StepState] = []
    ending: bool = False
    steps: dict[str, StepState] = {}
    inner: dict[str, Frame] = {}

    @property
    def beside(self) -> int:
        """How many steps may begin at once with one of this block: all of it, in all members that may run at once."""
        at: Frame | None = self
        while at is not None and at.parent is not None:
            if at.parent.members is not None:
                loop = each_of(at.parent.plan.step)
                return len(self.block.steps) * min(loop.max_parallel, len(at.parent.members.items))
            at = at.around
        return len(self.block.steps)

    @property
    def handler(self) -> bool:
        """Whether it, or a frame around it, is a handler."""
        return self.role == "handler" or (self.around is not None and self.around.handler)

    @property
    def cut_short(self) -> bool:
        """Whether a step of it was left before it came to an end of its own."""
        return any(step.status == "cancelled" or step.reason == "ending" for step in self.steps.values())

    def find(self, id_: str) -> StepState | None:
        """The step of this id that is seen from here: in this frame, or in one around it."""
        found = self.steps.get(id_)
        return self.around.find(id_) if found is None and self.around is not None else found

    @property
    def result(self) -> dict[str, Any]:
        """What its steps gave: the outputs of a single one, else those of each by id."""
        found = {id_: step.outputs for id_, step in self.steps.items() if step.status == "succeeded"}
        return found if len(self.block.steps) != 1 else next(iter(found.values()), {})


class Members(_Node, kw_only=True):
    """The members of a list that an ``each`` goes through, and how far it has come.

    ``opening``: frames for them are being opened, one after the other.
    """

    items: list[Any]
    results: dict[int, dict[str, Any]] = {}
    failed: dict[int, ErrorInfo] = {}
    begun: int = 0
    running: int = 0
    opening: bool = False
    digest: str = ""


class StepState(_Node, kw_only=True):
    """One step. ``status`` here is what was decided; the phase of a live attempt is its facts' business.

    ``unmet`` counts the needs that have no outcome yet, ``barred`` says that one of them did not end well; ``used`` the
    retries by what they were charged to. ``variables`` are those of the execution as they were when the step was ready:
    whoever evaluates what it says, and however late, sees the same. ``result`` is what the block it chose gave,
    ``members`` what it repeats. ``claim`` is what it claims of a key, ``turn`` says that it holds it.
    """

    plan: StepPlan
    path: str
    order: Order
    frame: Frame
    unmet: int
    barred: bool = False
    status: str = "pending"
    reason: str = ""
    started: bool = False
    attempt: Attempt | None = None
    attempts: int = 0
    used: dict[str, int] = {}
    due_at: datetime | None = None
    ready_at: datetime | None = None
    ready_id: str | None = None
    placement_due: datetime | None = None
    cache_number: int = 0
    cache_key: str = ""
    outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    ended_id: str | None = None
    admitted: bool = False
    running: int = 0
    result: dict[str, Any] | None = None
    members: Members | None = None
    token: str = ""
    resumed_id: str | None = None
    variables: dict[str, Any] = {}
    answer: Any = None
    context: Any = None
    child: str = ""
    child_ended: str = ""
    child_reason: str = ""
    closed_id: str | None = None
    counted: bool = False
    claim: Claim | None = None
    turn: bool = False

    @property
    def terminal(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status in STEP_TERMINAL

    @property
    def ready(self) -> bool:
        """Whether everything it needs has its outcome."""
        return self.ready_at is not None

    @property
    def asks(self) -> bool:
        """Whether it waits for somebody's input."""
        return self.status == "waiting" and self.reason == "input" and self.resumed_id is None

    @property
    def moves(self) -> bool:
        """Whether something will become of it without anybody's input; a block moves if a step in it does."""
        if self.status == "pending":
            return self.ready
        if self.status == "running":
            return self.plan.primitive not in ("choose", "each")
        return not self.terminal and not self.asks


class ExecutionState(_Node, kw_only=True):
    """One run of a workflow.

    ``steps`` holds those of every open frame by path. ``position`` counts executions as they were accepted, ``number``
    the scheduler's events about this one. ``latest_id`` is the newest outcome of a step, or the ending, where that came
    later. ``asking`` counts the steps that wait for input, ``moving`` those that go on by themselves. ``claim`` is what
    it holds of a key once it has been started. ``overdue_at`` is when it has taken too long, ``stop`` says that what
    runs is stopped whatever its outcome. ``reused`` and ``loops`` are what a rerun takes over
    (``muster.model.reuse.outcomes``).
    """

    id: str
    plan: Plan
    inputs: dict[str, Any]
    digest: str
    queued_id: str
    root: Frame
    steps: dict[str, StepState] = {}
    finish: Frame | None = None
    finish_due: datetime | None = None
    variables: dict[str, Any] = {}
    parent: Parent | None = None
    rerun_of: str | None = None
    reused: dict[str, Reused] = {}
    loops: dict[str, str] = {}
    no_cache: bool = False
    seed: str = ""
    position: int = 0
    number: int = 0
    transitions: int = 0
    status: str = "queued"
    ending: str | None = None
    ending_due: datetime | None = None
    handlers_due: datetime | None = None
    ending_id: str | None = None
    ending_reason: str = ""
    latest_id: str | None = None
    outputs: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    asking: int = 0
    moving: int = 0
    returned: StepState | None = None
    claim: Claim | None = None
    priority: int = 0
    tags: list[str] = []
    timeout_s: float | None = None
    overdue_at: datetime | None = None
    steps_begun: int = 0
    functions_begun: dict[str, int] = {}
    stop: bool = False

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL

    @property
    def withdrawn(self) -> bool:
        """Whether it ends before it had its turn: then nothing of it is run, not even what always is."""
        return self.status == "queued" and self.claim is not None and self.ending is not None

    @property
    def open(self) -> int:
        """How many of the workflow's own steps, or of what is run at its end, have no outcome."""
        return self.root.open + (self.finish.open if self.finish is not None else 0)

    @property
    def failed(self) -> list[StepState]:
        """The workflow's own steps that failed, in the order in which they did."""
        return self.root.failed

    @property
    def stopping(self) -> bool:
        """Whether what runs is to be stopped, and not let end."""
        if self.ending is None:
            return False
        return self.ending == "cancelled" or self.stop or self.plan.workflow.on_failure == "cancel"

    @property
    def failing(self) -> bool:
        """Whether its end is to be decided because a step has failed."""
        return self.ending is None and bool(self.root.failed) and self.plan.workflow.on_failure != "continue"

    @property
    def runs_at_end(self) -> bool:
        """Whether something is run however it ends."""
        return self.plan.finish is not None or any(plan.step.always for plan in self.plan.steps.values())

    @property
    def returning(self) -> StepState | None:
        """The step that returned, where the end is still to be decided for it."""
        return self.returned if self.ending is None else None

    @property
    def closing(self) -> bool:
        """Whether its end is to be decided before anything else begins."""
        return self.failing or self.returning is not None

    def count(self, step: StepState) -> None:
        """Count the step among those that move, or not any more: its status has changed."""
        moves = step.moves
        self.moving += moves - step.counted
        step.counted = moves

    def leaving(self, step: StepState) -> bool:
        """Whether the step must not start any more."""
        return self.withdrawn or (not step.plan.step.always and self.left(step.frame))

    def left(self, frame: Frame) -> bool:
        """Whether nothing starts in the frame any more.

        It is ending, or what is around it is, up to a handler or to a step that is always run.
        """
        at: Frame | None = frame
        while at is not None and at.role != "handler":
            if at.ending:
                return True
            if at.parent is not None and at.parent.plan.step.always:
                return False
            at = at.around
        return at is None and self.ending is not None

    def over(self, step: StepState, now: datetime) -> datetime | None:
        """When the time of the handler was over that the step belongs to, if it is."""
        at: Frame | None = step.frame
        due_at = None
        while at is not None:
            if at.role == "handler":
                due_at = self.finish_due if at is self.finish else self.handlers_due
            at = at.around
        return due_at if due_at is not None and now >= due_at else None

    def left_because(self, step: StepState) -> str:
        """The event for which the step must not start any more."""
        at: Frame | None = step.frame
        while at is not None:
            if at.ending and at.failed and at.failed[0].ended_id is not None:
                return at.failed[0].ended_id
            at = at.around
        return self.ending_id or self.queued_id

    def scope(self, step: StepState | None = None) -> Scope:
        """What expressions of ``step`` (of the workflow's outputs, where None) can see."""
        frame = self.root if step is None else step.frame
        sources = self.root.steps if step is None else step.plan.sources
        found = Scope(
            inputs=self.inputs,
            steps={id_: _seen(other) for id_ in sources if (other := frame.find(id_)) is not None},
            vars=self.variables if step is None else step.variables,
            execution={"id": self.id, "workflow": self.plan.workflow.name},
        )
        found.update(_around(frame))
        if step is not None and (beside := frame.beside) * EXPRESSION_COST_MAX > STEPS_COST_MAX:
            found.limit = max(STEPS_COST_MAX // beside, EXPRESSION_COST_SHARE_MIN)
        return found

    def priority_of(self, step: StepState) -> int:
        """How early it is placed: its own priority comes on top of the execution's."""
        return self.priority + step.plan.step.priority

    def chosen(self, paths: set[str]) -> list[StepState]:
        """These steps, in the order of the definition."""
        found = (self.steps[path] for path in paths if path in self.steps)
        return sorted(found, key=lambda step: step.order)

    def ref(self, step: StepState) -> AttemptRef:
        """The name of the step's next attempt."""
        return AttemptRef(self.id, step.path, step.attempts + 1)


def _seen(step: StepState) -> dict[str, Any]:
    found: dict[str, Any] = {"status": step.status}
    if step.status == "succeeded":
        found["outputs"] = step.outputs
    return found


def _around(frame: Frame) -> Iterator[tuple[str, Any]]:
    """The item and the error that are seen in a frame: those of the innermost frame that has one."""
    seen: set[str] = set()
    at: Frame | None = frame
    while at is not None:
        if at.item is not UNSET and "item" not in seen:
            seen.add("item")
            yield "item", at.item
        if at.error is not None and "error" not in seen:
            seen.add("error")
            yield "error", msgspec.to_builtins(at.error)
        at = at.around
