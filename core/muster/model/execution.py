"""An execution and its steps as the log knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from muster.model.catalogue import AttemptRef
from muster.model.cluster import Attempt
from muster.model.errors import ErrorInfo
from muster.model.plan import Plan, StepPlan
from muster.model.transitions import STEP_TERMINAL, TERMINAL


class StepState(msgspec.Struct, kw_only=True):
    """One step. ``status`` here is what was decided; the phase of a live attempt is its facts' business.

    ``unmet`` counts the needs that have not succeeded; ``used`` the retries by what they were charged to.
    """

    plan: StepPlan
    unmet: int
    status: str = "pending"
    started: bool = False
    attempt: Attempt | None = None
    attempts: int = 0
    used: dict[str, int] = {}
    due_at: datetime | None = None
    ready_at: datetime | None = None
    ready_id: str | None = None
    placement_due: datetime | None = None
    outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    ended_id: str | None = None

    @property
    def terminal(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status in STEP_TERMINAL


class ExecutionState(msgspec.Struct, kw_only=True):
    """One run of a workflow.

    ``position`` counts executions as they were accepted, ``number`` the scheduler's events about this one, ``open`` its
    steps without outcome. ``latest_id`` is the newest outcome of a step, or the ending, where that came later.
    """

    id: str
    plan: Plan
    inputs: dict[str, Any]
    digest: str
    queued_id: str
    steps: dict[str, StepState]
    open: int
    position: int = 0
    number: int = 0
    transitions: int = 0
    status: str = "queued"
    ending: str | None = None
    ending_due: datetime | None = None
    ending_id: str | None = None
    latest_id: str | None = None
    ending_reason: str = ""
    error: ErrorInfo | None = None
    failed: list[str] = []

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL

    def scope(self, step: StepPlan | None = None) -> dict[str, Any]:
        """What expressions of ``step`` (of the workflow's outputs, where None) can see."""
        needs = self.steps if step is None else step.needs
        return {
            "inputs": self.inputs,
            "steps": {
                path: {"outputs": self.steps[path].outputs}
                for path in needs
                if self.steps[path].status == "succeeded"
            },
            "execution": {"id": self.id, "workflow": self.plan.workflow.name},
        }

    def chosen(self, paths: set[str]) -> list[StepState]:
        """These steps, in the order of the definition."""
        return sorted((self.steps[path] for path in paths if path), key=lambda step: step.plan.index)

    def ref(self, step: StepState) -> AttemptRef:
        """The name of the step's next attempt."""
        return AttemptRef(self.id, step.plan.path, step.attempts + 1)
