"""A step as clients see it, and what each event changes of it: the scheduler's decisions, and what an attempt does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from muster.model.errors import ErrorInfo
from muster.model.log import catalogue
from muster.model.log.decisions import Source
from muster.model.log.envelope import Event
from muster.model.log.transitions import STEP_TERMINAL


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
    ``container`` is where its attempt runs, ``warm``: the function that it calls was loaded there before.
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
    container: str = ""
    warm: bool = False
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


def step_changes(step: StepView, event: Event) -> Mapping[str, Any]:
    """The fields of ``step`` that ``event`` changes: the scheduler's decisions first, then what an attempt does."""
    now = event.time
    match event.data:
        case catalogue.StepScheduled() as data:
            return {
                "status": "scheduled", "machine": data.machine, "attempt": event.attempt, "scheduled_at": now,
                "phase": None, "progress": None, "reason": "", "due_at": None, "cached": False, "message": "",
                "container": "", "warm": False,
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
        case catalogue.ContainerStarted() as data:
            return {"container": data.container}
        case catalogue.FunctionLoading():
            return {"phase": "load", "progress": None}
        case catalogue.AttemptStarted() as data:
            return {
                "container": data.container or step.container, "warm": data.warm,
                "status": "running", "phase": "run", "progress": None, "started_at": step.started_at or event.time,
            }  # fmt: skip
        case catalogue.AttemptProgress() as data:
            return {"progress": Progress(data.phase, data.current, data.total, data.unit, data.message)}
    return {}
